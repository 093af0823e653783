/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake Docker Engine for tests and for the bench: the part of the API (1.41) that gantryd uses, with
 * the state machine, answers, events and output that Docker 20.10 was seen to give, quick and always
 * the same. It is a process of its own, so that its containers outlive gantryd.
 *
 *	engine SOCKET-PATH        listens there, prints "ready", runs until SIGTERM
 *
 * Images: every name exists, but "missing…" never does and "pullable…" only after a pull; a pull of
 * "stalling…" says two words and then nothing. Commands:
 *	exit N       ends at once with N             echo TEXT / warn TEXT   writes to stdout / stderr, ends
 *	lines N      writes N lines, runs on         notfound, noexec        cannot be started
 *	pages N      writes N lines of 8 KiB, which say their numbers again and again, ends
 *	stubborn     runs, SIGKILL alone ends it     anything else           runs until it is killed
 *	cat, deaf and what an exec may run: engine_sessions.h; files: engine_archive.h
 * With the label fake.cgroup=2 stats have the shape of cgroup v2. With fake.tail a follower of the output
 * gets what is there when it comes and no more, as Docker 20.10 loses the end. The label fake.log=FOLDER is
 * where inspect says that the log's files are (fake/logfiles.py writes them), fake.storage and fake.layers what
 * storage driver and how many layers it has. An update with CpuShares
 * 4242 is accepted and not applied; one with CpuShares 4343 is applied but for the memory.
 *
 * Control
 *	POST /fake/fault {match, mode, ms, count, message}   match: glob on "METHOD /path?query", open at the end;
 *	     mode: delay, split, 500 (any status), reset, hang, garbage, delay_after, reset_after,
 *	     hang_after, drop_after; count: how often (none: until cleared); message: with a status
 *	DELETE /fake/fault              GET /fake/state
 *	POST /fake/event-flood {count}  events of strangers
 *	POST /fake/exit {id, code, oom}      POST /fake/write {id, stream, text}
 *	POST /fake/drop-log {id}        POST /fake/health {id, status}
 *	POST /fake/clock {ahead_ms}     the engine's clock is set so far ahead (or back), and /info tells it
 *	POST /fake/disconnect-events    POST /fake/mute-events {mute}
 *	POST /fake/restart {down_ms, stop, linger_ms}   all connections break, the ring is empty; stop: nothing
 *	     runs after. linger_ms: as Docker goes down: it takes no new connections, tells of the ends, and
 *	     goes on so long on those that stand; what it is asked to start meanwhile never starts again
 */
#include <signal.h>
#include <unistd.h>

#include "engine_containers.h"
#include "engine_images.h"
#include "engine_volumes.h"

static uv_pipe_t server;
static uv_timer_t down_timer;
static int64_t down_ms; /* of the restart that is under way */
static const char *socket_path;
static struct json_object *calls; /* "METHOD /path" with ID for ids, to count */

/* --- images --- */

static void pull(struct conn *c)
{
	char image[512], tag[128], text[1024], normal[600];

	if (query_get(c, "fromSrc", image, sizeof(image))) {
		if (query_get(c, "repo", image, sizeof(image)))
			json_object_object_add(pulled, image_normal(image, normal, sizeof(normal)),
					       json_object_new_string("sha256:made"));
		reply(c, 200, "{\"status\":\"sha256:made\"}\n");
		return;
	}
	if (!query_get(c, "fromImage", image, sizeof(image))) {
		reply_error(c, 400, "fromImage is missing");
		return;
	}
	if (query_get(c, "tag", tag, sizeof(tag)) && tag[0]) {
		strncat(image, strncmp(tag, "sha256:", 7) == 0 ? "@" : ":",
			sizeof(image) - strlen(image) - 1);
		strncat(image, tag, sizeof(image) - strlen(image) - 1);
	}
	if (strncmp(image, "missing", 7) == 0) {
		reply_error(
			c, 404,
			"pull access denied for %s, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
			image);
		return;
	}
	stream_start(c, "application/json");
	snprintf(text, sizeof(text), "{\"status\":\"Pulling from %s\",\"id\":\"latest\"}\r\n",
		 image);
	stream_send(c, text, strlen(text));
	snprintf(
		text, sizeof(text),
		"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1048576,\"total\":4194304},\"id\":\"aaa\"}\r\n"
		"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":100,\"total\":1000},\"id\":\"bbb\"}\r\n");
	stream_send(c, text, strlen(text));
	if (strstr(image, "stalling"))
		return;
	if (strstr(image, "broken")) {
		snprintf(
			text, sizeof(text),
			"{\"errorDetail\":{\"message\":\"unexpected EOF while reading layer\"},\"error\":\"unexpected EOF while reading layer\"}\r\n");
		stream_send(c, text, strlen(text));
		stream_end(c);
		return;
	}
	snprintf(text, sizeof(text), "{\"status\":\"Status: Downloaded newer image for %s\"}\r\n",
		 image);
	stream_send(c, text, strlen(text));
	json_object_object_add(pulled, image_normal(image, normal, sizeof(normal)),
			       json_object_new_string("sha256:pulled"));
	emit("image", "pull", image, image, image, NULL, "");
	stream_end(c);
}

static bool in_use(const char *image)
{
	char normal[600], other[600];

	image_normal(image, normal, sizeof(normal));
	LIST_FOREACH (node, &containers) {
		const struct container *k = LIST_ENTRY(node, struct container, link);

		if (strcmp(image_normal(k->image, other, sizeof(other)), normal) == 0)
			return true;
	}
	return false;
}

/* Takes the word off the name, where it ends with it. */
static bool cut_end(char *name, const char *word)
{
	size_t length = strlen(name), end = strlen(word);

	if (length <= end || strcmp(name + length - end, word) != 0)
		return false;
	name[length - end] = '\0';
	return true;
}

static void route_image(struct conn *c)
{
	char name[512], text[1024], normal[600];
	struct json_object *mark = NULL;
	bool archive;

	if (strcmp(c->path, "/images/load") == 0) {
		load(c);
		return;
	}
	if (strcmp(c->path, "/images/json") == 0) {
		struct str all = STR_INIT;

		str_add(&all,
			"[{\"Id\":\"sha256:base\",\"RepoTags\":[\"base:latest\"],\"RepoDigests\":[\"base@sha256:0001\"],\"Size\":1234567,\"Created\":1700000000}");
		json_object_object_foreach(pulled, key, id)
		{
			str_addf(
				&all,
				",{\"Id\":\"%s\",\"RepoTags\":[\"%s\"],\"RepoDigests\":null,\"Size\":42,\"Created\":1700000001}",
				json_object_get_string(id), key);
		}
		str_add(&all, "]");
		reply(c, 200, str_text(&all));
		str_fini(&all);
		return;
	}
	snprintf(name, sizeof(name), "%s", c->path + strlen("/images/"));
	archive = cut_end(name, "/get");
	cut_end(name, "/json");
	if (!image_exists(name)) {
		reply_error(c, 404, "No such image: %s", name);
	} else if (archive) {
		save(c, name);
	} else if (strcmp(c->method, "DELETE") == 0 && in_use(name)) {
		reply_error(c, 409,
			    "conflict: unable to remove repository reference \"%s\" (must force)",
			    name);
	} else if (strcmp(c->method, "DELETE") == 0) {
		json_object_object_del(pulled, image_normal(name, text, sizeof(text)));
		emit("image", "delete", name, name, name, NULL, "");
		reply(c, 200, "[]");
	} else {
		json_object_object_get_ex(marks, image_normal(name, normal, sizeof(normal)), &mark);
		snprintf(
			text, sizeof(text),
			"{\"Id\":\"sha256:%s\",\"RepoTags\":[\"%s\"],\"Size\":1,\"Config\":{},\"Comment\":\"%s\"}",
			mark ? "committed" : "base", name,
			mark ? json_object_get_string(mark) : "");
		reply(c, 200, text);
	}
}

/* --- events --- */

static void events(struct conn *c)
{
	char text[4096];
	int64_t since_ns = 0, until_ns = 0;
	bool until;
	const char *value;

	json_object_put(c->filters);
	c->filters = NULL;
	if (query_get(c, "filters", text, sizeof(text)))
		c->filters = json_tokener_parse(text);
	if ((value = query_get(c, "since", text, sizeof(text))))
		since_ns = (int64_t)(strtoll(value, NULL, 10)) * 1000000000 +
			   (strchr(value, '.') ? strtoll(strchr(value, '.') + 1, NULL, 10) : 0);
	else
		since_ns = INT64_MAX;
	until = (value = query_get(c, "until", text, sizeof(text))) != NULL;
	if (until)
		until_ns = (int64_t)(strtoll(value, NULL, 10)) * 1000000000 +
			   (strchr(value, '.') ? strtoll(strchr(value, '.') + 1, NULL, 10) : 0);
	stream_start(c, "application/json");
	for (uint64_t i = ring_head > RING_SIZE ? ring_head - RING_SIZE : 0; i < ring_head; i++) {
		struct event *event = &ring[i % RING_SIZE];

		if (event->ns >= since_ns && (!until || event->ns <= until_ns) &&
		    event_matches(event, c->filters))
			stream_send(c, event->text, strlen(event->text));
	}
	if (until && until_ns <= now_ns()) /* else then, which no test waits for */
		stream_end(c);
	else
		conn_wait(c, &subscribers);
}

/* --- control --- */

static void fake_state(struct conn *c)
{
	struct json_object *o = json_object_new_object(), *all = json_object_new_array();
	int64_t live = 0, watching = 0, watchers = 0;

	LIST_FOREACH (node, &containers) {
		struct container *k = LIST_ENTRY(node, struct container, link);
		struct json_object *one = json_object_new_object();

		json_add_string(one, "id", k->id);
		json_add_string(one, "name", k->name);
		json_add_string(one, "state", k->state);
		json_add_string(one, "image", k->image);
		json_add_int(one, "exit_code", k->exit_code);
		json_object_object_add(one, "labels", json_object_get(k->labels));
		json_object_array_add(all, one);
		LIST_FOREACH (watcher, &k->watchers)
			watchers++;
	}
	LIST_FOREACH (node2, &conns) {
		live++;
	}
	LIST_FOREACH (node3, &subscribers) {
		watching++;
	}
	json_object_object_add(o, "containers", all);
	json_object_object_add(o, "calls", json_object_get(calls));
	json_add_int(o, "connections", live);
	json_add_int(o, "watchers", watchers);
	json_add_int(o, "connections_total", connection_total);
	json_add_int(o, "subscribers", watching);
	json_add_int(o, "events_total", event_total);
	json_add_int(o, "struck", struck_total); /* by faults */
	reply_json(c, 200, o);
}

static void fault_add(struct json_object *o)
{
	struct fault *fault = xcalloc(1, sizeof(*fault));
	struct json_object *mode = json_get(o, "mode");

	fault->match = xstrdup(json_get_string(o, "match", ""));
	snprintf(fault->mode, sizeof(fault->mode), "%s",
		 mode ? json_object_get_string(mode) : "500");
	snprintf(fault->message, sizeof(fault->message), "%s",
		 json_get_string(o, "message", "the fake engine was told to fail"));
	fault->ms = json_get_int(o, "ms", 0);
	fault->count = json_get_int(o, "count", -1);
	list_append(&faults, &fault->link);
}

static void faults_clear(void)
{
	while (!list_empty(&faults)) {
		struct fault *fault = LIST_ENTRY(faults.next, struct fault, link);

		list_remove(&fault->link);
		free(fault->match);
		free(fault);
	}
}

static int listen_now(void)
{
	int code;

	unlink(socket_path);
	uv_pipe_init(&fake_loop, &server, 0);
	code = uv_pipe_bind(&server, socket_path);
	return code < 0 ? code : uv_listen((uv_stream_t *)&server, 4096, on_connection);
}

static void up_again(uv_timer_t *timer)
{
	(void)timer;
	listen_now();
}

static void server_closed(uv_handle_t *handle)
{
	struct conn *c = restart_asker;

	(void)handle;
	if (!uv_is_active((uv_handle_t *)&down_timer))
		listen_now();
	restart_asker = NULL;
	if (c) {
		reply(c, 200, "{}");
		conn_process(c);
	}
}

static void stop_all(void)
{
	LIST_FOREACH (node, &containers) {
		container_die(LIST_ENTRY(node, struct container, link), 137);
	}
}

static void break_all(const struct conn *but)
{
	LIST_FOREACH (node, &conns) {
		if (LIST_ENTRY(node, struct conn, link) != but)
			conn_close(LIST_ENTRY(node, struct conn, link));
	}
	ring_head = 0;
}

static void lingered(uv_timer_t *timer)
{
	going_down = false;
	break_all(NULL);
	uv_timer_start(timer, up_again, (uint64_t)down_ms, 0);
}

/* The connection that asks for it alone stays. */
static void restart_engine(struct conn *c, struct json_object *o)
{
	int64_t linger_ms = json_get_int(o, "linger_ms", 0);

	down_ms = json_get_int(o, "down_ms", 0);
	going_down = linger_ms > 0;
	if (!going_down)
		break_all(c);
	if (json_get_bool(o, "stop", false))
		stop_all();
	if (!going_down)
		ring_head = 0;
	restart_asker = c;
	unlink(socket_path);
	if (going_down)
		uv_timer_start(&down_timer, lingered, (uint64_t)linger_ms, 0);
	else if (down_ms > 0)
		uv_timer_start(&down_timer, up_again, (uint64_t)down_ms, 0);
	uv_close((uv_handle_t *)&server, server_closed);
}

static void on_container(struct conn *c, struct json_object *o, const char *what)
{
	struct container *k = container_find(json_get_string(o, "id", ""));
	const char *text = json_get_string(o, "text", ""), *status;
	char action[64];

	if (!k) {
		reply_error(c, 404, "No such container");
		return;
	}
	if (strcmp(what, "exit") == 0) {
		k->oom = json_get_bool(o, "oom", false);
		if (k->oom)
			emit_container(k, "oom", "");
		container_die(k, (int)json_get_int(o, "code", 0));
	} else if (strcmp(what, "health") == 0) {
		status = json_get_string(o, "status", "healthy");
		json_add_string(k->config, "FakeHealth", status);
		snprintf(action, sizeof(action), "health_status: %s", status);
		emit_container(k, action, "");
	} else if (strcmp(what, "drop-log") == 0) {
		log_drop(k);
	} else if (strcmp(what, "stats") == 0) {
		stats_tick(k);
	} else {
		container_write(k, (int)json_get_int(o, "stream", 1), text, strlen(text));
	}
	reply(c, 200, "{}");
}

static void route_fake(struct conn *c)
{
	struct json_object *o = c->body.length ? json_tokener_parse(c->body.data) : NULL;
	const char *what = c->path + strlen("/fake/");

	if (strcmp(what, "state") == 0) {
		fake_state(c);
	} else if (strcmp(what, "fault") == 0) {
		if (strcmp(c->method, "DELETE") == 0)
			faults_clear();
		else
			fault_add(o);
		reply(c, 200, "{}");
	} else if (strcmp(what, "event-flood") == 0) {
		for (int64_t i = json_get_int(o, "count", 300); i > 0; i--)
			emit("container", "exec_create: true",
			     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			     "stranger", "base", NULL, "");
		reply(c, 200, "{}");
	} else if (strcmp(what, "exit") == 0 || strcmp(what, "write") == 0 ||
		   strcmp(what, "drop-log") == 0 || strcmp(what, "health") == 0 ||
		   strcmp(what, "stats") == 0) {
		on_container(c, o, what);
	} else if (strcmp(what, "disconnect-events") == 0) {
		while (!list_empty(&subscribers))
			conn_close(LIST_ENTRY(subscribers.next, struct conn, wait_link));
		reply(c, 200, "{}");
	} else if (strcmp(what, "clock") == 0) {
		clock_ahead_ns = json_get_int(o, "ahead_ms", 0) * 1000000;
		last_ns = 0;
		clock_told = true;
		reply(c, 200, "{}");
	} else if (strcmp(what, "mute-events") == 0) {
		events_muted = json_get_bool(o, "mute", true);
		reply(c, 200, "{}");
	} else if (strcmp(what, "restart") == 0) {
		restart_engine(c, o);
	} else {
		reply_error(c, 404, "no such control");
	}
	json_object_put(o);
}

/* --- routes --- */

static struct json_object *info(void)
{
	struct json_object *o = json_tokener_parse(
		"{\"ID\":\"FAKE:ENGINE\",\"Driver\":\"overlay2\",\"CgroupVersion\":\"2\",\"KernelVersion\":\"6.1.0\",\"OperatingSystem\":\"Fake Linux\",\"Architecture\":\"x86_64\",\"NCPU\":64,\"MemTotal\":274877906944,\"MemoryLimit\":true,\"SwapLimit\":true,\"CpuCfsQuota\":true,\"PidsLimit\":true,\"ServerVersion\":\"20.10.24\"}");

	if (clock_told)
		json_add_time(o, "SystemTime", now_ns() / 1000000);
	return o;
}

/* "POST /containers/ID/start" */
static void count_call(struct conn *c)
{
	char key[256];
	char *slash;
	struct json_object *count;

	snprintf(key, sizeof(key), "%s %s", c->method, c->path);
	if (strstr(key, " /containers/") && strcmp(c->path, "/containers/json") != 0 &&
	    strcmp(c->path, "/containers/create") != 0) {
		slash = strchr(c->path + strlen("/containers/"), '/');
		snprintf(key, sizeof(key), "%s /containers/ID%s", c->method, slash ? slash : "");
	} else if (strstr(key, " /images/") && strcmp(c->path, "/images/json") != 0 &&
		   strcmp(c->path, "/images/create") != 0 && strcmp(c->path, "/images/load") != 0) {
		snprintf(key, sizeof(key), "%s /images/NAME", c->method);
	} else if (strstr(key, " /volumes/gantry.")) {
		snprintf(key, sizeof(key), "%s /volumes/NAME", c->method);
	}
	if (json_object_object_get_ex(calls, key, &count))
		json_object_int_inc(count, 1);
	else
		json_object_object_add(calls, key, json_object_new_int64(1));
}

static void route(struct conn *c)
{
	bool get = strcmp(c->method, "GET") == 0;

	if (strncmp(c->path, "/fake/", 6) == 0) {
		route_fake(c);
		return;
	}
	count_call(c);
	if (strcmp(c->path, "/containers/create") == 0) {
		create(c);
	} else if (get && strcmp(c->path, "/containers/json") == 0) {
		list(c);
	} else if (strncmp(c->path, "/containers/", 12) == 0) {
		route_container(c);
	} else if (strncmp(c->path, "/exec/", 6) == 0) {
		route_exec(c);
	} else if (strcmp(c->path, "/images/create") == 0) {
		pull(c);
	} else if (strcmp(c->path, "/commit") == 0) {
		commit(c);
	} else if (strncmp(c->path, "/images/", 8) == 0) {
		route_image(c);
	} else if (strncmp(c->path, "/volumes", 8) == 0) {
		route_volume(c);
	} else if (get && strcmp(c->path, "/events") == 0) {
		events(c);
	} else if (strcmp(c->path, "/_ping") == 0) {
		reply(c, 200, "OK");
	} else if (strcmp(c->path, "/version") == 0) {
		reply(c, 200,
		      "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\",\"Os\":\"linux\",\"Arch\":\"amd64\",\"KernelVersion\":\"6.1.0\",\"Components\":[{\"Name\":\"Engine\",\"Version\":\"20.10.24\"}]}");
	} else if (strcmp(c->path, "/info") == 0) {
		reply_json(c, 200, info());
	} else {
		reply_error(c, 404, "page not found");
	}
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)handle, (void)number;
	unlink(socket_path);
	_exit(0);
}

int main(int argc, char **argv)
{
	static uv_signal_t term;

	if (argc != 2) {
		fprintf(stderr, "usage: engine SOCKET-PATH\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	socket_path = argv[1];
	calls = json_object_new_object();
	pulled = json_object_new_object();
	marks = json_object_new_object();
	volumes = json_object_new_object();
	uv_loop_init(&fake_loop);
	uv_timer_init(&fake_loop, &down_timer);
	uv_signal_init(&fake_loop, &term);
	uv_signal_start(&term, on_signal, SIGTERM);
	if (listen_now() < 0) {
		fprintf(stderr, "%s: cannot listen\n", socket_path);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	uv_run(&fake_loop, UV_RUN_DEFAULT);
	return 0;
}
