/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake engine answers about containers and does to them. Included once, by engine.c. */
#ifndef FAKE_ENGINE_CONTAINERS_H
#define FAKE_ENGINE_CONTAINERS_H

#include <sys/stat.h>

#include "engine_archive.h"
#include "engine_sessions.h"

/* --- answers about containers --- */

static struct json_object *json_copy(struct json_object *value)
{
	struct json_object *copy = NULL;

	if (value)
		json_object_deep_copy(value, &copy, NULL);
	return copy;
}

static void add_copy(struct json_object *to, const char *key, struct json_object *value)
{
	json_object_object_add(to, key, json_copy(value));
}

static struct json_object *state_json(struct container *k)
{
	struct json_object *state = json_object_new_object(), *health;
	char text[64];

	json_add_string(state, "Status", k->state);
	json_add_bool(state, "Running", container_live(k));
	json_add_bool(state, "Paused", strcmp(k->state, "paused") == 0);
	json_add_bool(state, "Restarting", false);
	json_add_bool(state, "OOMKilled", k->oom);
	json_add_bool(state, "Dead", false);
	json_add_int(state, "Pid", k->pid);
	json_add_int(state, "ExitCode", k->exit_code);
	json_add_string(state, "Error", k->error);
	json_add_string(state, "StartedAt", iso_time(k->started_ns, text));
	json_add_string(state, "FinishedAt", iso_time(k->finished_ns, text));
	if (json_get(k->config, "FakeHealth")) {
		health = json_object_new_object();
		json_add_string(health, "Status", json_get_string(k->config, "FakeHealth", ""));
		json_object_object_add(state, "Health", health);
	}
	return state;
}

/* Ports as asked for; where none was named, the engine picks one. */
static struct json_object *ports_json(struct container *k)
{
	struct json_object *ports = json_object_new_object();
	struct json_object *bindings = json_get(json_get(k->config, "HostConfig"), "PortBindings");
	int picked = 32768 + (int)(hash(k->id) % 20000);

	if (!bindings || !container_live(k))
		return ports;
	json_object_object_foreach(bindings, key, list)
	{
		struct json_object *out = json_object_new_array();

		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *one = json_copy(json_object_array_get_idx(list, i));
			const char *port = json_get_string(one, "HostPort", "");
			char text[16];

			snprintf(text, sizeof(text), "%d", picked++);
			if (!port[0] || strcmp(port, "0") == 0)
				json_add_string(one, "HostPort", text);
			json_object_array_add(out, one);
		}
		json_object_object_add(ports, key, out);
	}
	return ports;
}

/* In the folder that the label names: tests write the files themselves. */
static void add_log_paths(struct json_object *o, struct container *k)
{
	const char *folder = json_get_string(k->labels, "fake.log", NULL);
	char path[512];

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/hosts", folder);
	json_add_string(o, "HostsPath", path);
	snprintf(path, sizeof(path), "%s/container-json.log", folder);
	json_add_string(o, "LogPath", path);
}

/* As the labels fake.storage and fake.layers say: a storage driver, and how many layers it has. */
static void add_layers(struct json_object *o, struct container *k)
{
	const char *name = json_get_string(k->labels, "fake.storage", "overlay2");
	int count = atoi(json_get_string(k->labels, "fake.layers", "2"));
	struct json_object *driver = json_object_new_object(), *data = json_object_new_object();
	struct str lower = STR_INIT;
	char path[200];

	for (int i = 0; i < count; i++)
		str_addf(&lower, "%s/fake/overlay2/%s-%d/diff", i ? ":" : "", k->id, i);
	json_add_string(data, "LowerDir", str_text(&lower));
	str_fini(&lower);
	snprintf(path, sizeof(path), "/fake/overlay2/%s/diff", k->id);
	json_add_string(data, "UpperDir", path);
	snprintf(path, sizeof(path), "/fake/overlay2/%s/work", k->id);
	json_add_string(data, "WorkDir", path);
	json_add_string(driver, "Name", name);
	json_object_object_add(driver, "Data", data);
	json_object_object_add(o, "GraphDriver", driver);
}

static void inspect(struct conn *c, struct container *k)
{
	struct json_object *o = json_object_new_object(), *config = json_object_new_object();
	struct json_object *network = json_object_new_object(), *networks, *bridge;
	char text[160];

	json_add_string(o, "Id", k->id);
	json_add_string(o, "Created", iso_time(k->created_ns, text));
	snprintf(text, sizeof(text), "/%s", k->name);
	json_add_string(o, "Name", text);
	json_add_string(o, "Image", "sha256:fake");
	json_object_object_add(o, "State", state_json(k));
	add_copy(o, "HostConfig", json_get(k->config, "HostConfig"));
	json_object_object_foreach(k->config, key, value)
	{
		if (strcmp(key, "HostConfig") != 0 && strcmp(key, "NetworkingConfig") != 0)
			add_copy(config, key, value);
	}
	json_object_object_add(o, "Config", config);
	add_log_paths(o, k);
	json_object_object_add(network, "Ports", ports_json(k));
	networks = json_object_new_object();
	bridge = json_object_new_object();
	json_add_string(bridge, "IPAddress", container_live(k) ? "172.30.0.7" : "");
	json_object_object_add(networks, "bridge", bridge);
	json_object_object_add(network, "Networks", networks);
	json_object_object_add(o, "NetworkSettings", network);
	add_layers(o, k);
	reply_json(c, 200, o);
}

static void list(struct conn *c)
{
	struct json_object *all = json_object_new_array(), *filters = NULL, *labels, *name;
	char text[4096];
	bool stopped = query_flag(c, "all");

	if (query_get(c, "filters", text, sizeof(text)))
		filters = json_tokener_parse(text);
	labels = json_get(filters, "label");
	name = json_get(filters, "name");
	LIST_FOREACH (node, &containers) {
		struct container *k = LIST_ENTRY(node, struct container, link);
		struct json_object *o, *names;

		if ((!stopped && !container_live(k)) ||
		    (labels && !labels_match(labels, k->labels)) ||
		    (name && !list_has(name, k->name)))
			continue;
		o = json_object_new_object();
		names = json_object_new_array();
		snprintf(text, sizeof(text), "/%s", k->name);
		json_object_array_add(names, json_object_new_string(text));
		json_add_string(o, "Id", k->id);
		json_object_object_add(o, "Names", names);
		json_add_string(o, "Image", k->image);
		json_add_string(o, "ImageID", "sha256:fake");
		json_add_int(o, "Created", k->created_ns / 1000000000);
		json_object_object_add(o, "Labels",
				       k->labels ? json_object_get(k->labels)
						 : json_object_new_object());
		json_add_string(o, "State", k->state);
		if (strcmp(k->state, "exited") == 0)
			snprintf(text, sizeof(text), "Exited (%d) 1 second ago", k->exit_code);
		else
			snprintf(text, sizeof(text), "%s", k->state);
		json_add_string(o, "Status", text);
		json_object_array_add(all, o);
	}
	json_object_put(filters);
	reply_json(c, 200, all);
}

/* --- what is done to containers --- */

static bool mounts_ok(struct conn *c, struct json_object *host)
{
	struct json_object *mounts = json_get(host, "Mounts");
	struct stat status;

	for (size_t i = 0; mounts && i < json_object_array_length(mounts); i++) {
		struct json_object *mount = json_object_array_get_idx(mounts, i);
		const char *source = json_get_string(mount, "Source", "");

		if (strcmp(json_get_string(mount, "Type", ""), "bind") == 0 &&
		    stat(source, &status) < 0) {
			reply_error(
				c, 400,
				"invalid mount config for type \"bind\": bind source path does not exist: %s",
				source);
			return false;
		}
	}
	return true;
}

static void create(struct conn *c)
{
	struct json_object *config = NULL, *host, *answer;
	struct container *k, *other;
	char name[128];
	const char *image;

	if (json_parse(str_text(&c->body), c->body.length, &config, NULL) < 0 ||
	    !json_object_is_type(config, json_type_object)) {
		json_object_put(config);
		reply_error(c, 400, "invalid JSON");
		return;
	}
	image = json_get_string(config, "Image", "");
	host = json_get(config, "HostConfig");
	if (!image_exists(image)) {
		reply_error(c, 404, "No such image: %s", image);
		json_object_put(config);
		return;
	}
	if (query_get(c, "name", name, sizeof(name)) && (other = container_find(name))) {
		reply_error(
			c, 409,
			"Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to remove (or rename) that container to be able to reuse that name.",
			name, other->id);
		json_object_put(config);
		return;
	}
	if (json_get_int(host, "Memory", 0) > 0 && json_get_int(host, "Memory", 0) < 6 << 20) {
		reply_error(c, 400, "Minimum memory limit allowed is 6MB");
		json_object_put(config);
		return;
	}
	if (!mounts_ok(c, host)) {
		json_object_put(config);
		return;
	}
	k = xcalloc(1, sizeof(*k));
	make_hex(k->id, name);
	snprintf(k->name, sizeof(k->name), "%s",
		 query_get(c, "name", name, sizeof(name)) ? name : k->id);
	k->config = config;
	k->labels = json_get(config, "Labels");
	k->image = json_get_string(config, "Image", "");
	k->state = "created";
	k->created_ns = now_ns();
	list_init(&k->waiters);
	list_init(&k->followers);
	list_init(&k->attached);
	list_init(&k->watchers);
	uv_timer_init(&fake_loop, &k->timer);
	k->timer.data = k;
	list_append(&containers, &k->link);
	k->next_id = by_id[hash(k->id) % TABLE_SIZE];
	by_id[hash(k->id) % TABLE_SIZE] = k;
	container_count++;
	emit_container(k, "create", "");
	answer = json_object_new_object();
	json_add_string(answer, "Id", k->id);
	json_object_object_add(answer, "Warnings", json_object_new_array());
	reply_json(c, 201, answer);
}

/* The container that has one of the ports of k published, or NULL. */
static struct container *port_owner(struct container *k, char *text, size_t size)
{
	struct json_object *mine = json_get(json_get(k->config, "HostConfig"), "PortBindings");

	if (!mine)
		return NULL;
	LIST_FOREACH (node, &containers) {
		struct container *other = LIST_ENTRY(node, struct container, link);
		struct json_object *theirs =
			json_get(json_get(other->config, "HostConfig"), "PortBindings");

		if (other == k || !theirs || !container_live(other))
			continue;
		json_object_object_foreach(mine, key, list_mine)
		{
			json_object_object_foreach(theirs, key2, list_theirs)
			{
				struct json_object *a = json_object_array_get_idx(list_mine, 0);
				struct json_object *b = json_object_array_get_idx(list_theirs, 0);
				const char *port = json_get_string(a, "HostPort", "");

				(void)key, (void)key2;
				if (port[0] && strcmp(port, "0") != 0 &&
				    strcmp(port, json_get_string(b, "HostPort", "")) == 0) {
					snprintf(text, size, "%s:%s",
						 json_get_string(a, "HostIp", "0.0.0.0"), port);
					return other;
				}
			}
		}
	}
	return NULL;
}

static void start(struct conn *c, struct container *k)
{
	const char *word = command_word(k, 0);
	char port[64];

	if (container_live(k)) {
		reply(c, 304, "");
		return;
	}
	if (strcmp(word, "notfound") == 0 || strcmp(word, "noexec") == 0) {
		bool absent = strcmp(word, "notfound") == 0;

		k->exit_code = absent ? 127 : 126;
		snprintf(
			k->error, sizeof(k->error),
			"OCI runtime create failed: runc create failed: unable to start container process: exec: \"%s\": %s: unknown",
			word, absent ? "executable file not found in $PATH" : "permission denied");
		reply_error(c, 400, "failed to create shim task: %s", k->error);
		return;
	}
	if (port_owner(k, port, sizeof(port))) {
		reply_error(
			c, 500,
			"driver failed programming external connectivity on endpoint %s (%s): Bind for %s failed: port is already allocated",
			k->name, k->id, port);
		return;
	}
	if (k->left) {
		reply_error(c, 500,
			    "failed to create task for container: task %s: already exists: unknown",
			    k->id);
		return;
	}
	if (going_down) {
		k->left = true;
		reply(c, 204, "");
		return;
	}
	k->state = "running";
	k->exit_code = 0;
	k->oom = false;
	k->error[0] = '\0';
	k->pid = next_pid++;
	k->started_ns = now_ns();
	emit_container(k, "start", "");
	reply(c, 204, "");
	container_act(k);
}

static void stop_overdue(uv_timer_t *timer)
{
	struct container *k = timer->data;

	signal_container(k, 9);
}

static void stop(struct conn *c, struct container *k)
{
	char text[16];
	const char *grace = query_get(c, "t", text, sizeof(text));

	if (!container_live(k)) {
		reply(c, 304, "");
		return;
	}
	signal_container(k, 15);
	if (container_live(k)) { /* the answer does not wait here; gantryd does its own waiting */
		uv_timer_start(&k->timer, stop_overdue, (uint64_t)(grace ? atoi(grace) : 10) * 1000,
			       0);
	}
	emit_container(k, "stop", "");
	reply(c, 204, "");
}

/* "15", "TERM" or "SIGTERM"; 0 where it is none. */
static int signal_number(const char *name)
{
	static const char *const names[] = {"HUP",  "INT",  "QUIT",  "KILL", "TERM",
					    "USR1", "USR2", "WINCH", NULL};
	static const int numbers[] = {1, 2, 3, 9, 15, 10, 12, 28};

	if (atoi(name))
		return atoi(name);
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return numbers[i];
	return 0;
}

/* Docker lets a paused one go on for its stop signal, and for any where the container names none. */
static bool lets_go_on(struct container *k, int signal)
{
	const char *stop_signal = json_get_string(k->config, "StopSignal", "");

	return strcmp(k->state, "paused") == 0 && signal != 9 &&
	       (!stop_signal[0] || signal_number(stop_signal) == signal);
}

static void kill_it(struct conn *c, struct container *k)
{
	char text[32];
	const char *name = query_get(c, "signal", text, sizeof(text));
	int signal = name ? signal_number(name) : 9;

	if (!container_live(k)) {
		reply_error(c, 409, "Cannot kill container: %s: Container %s is not running", k->id,
			    k->id);
		return;
	}
	if (signal <= 0 || signal > 64) {
		reply_error(c, 400, "Invalid signal: %s", name);
		return;
	}
	reply(c, 204, "");
	if (lets_go_on(k, signal)) {
		k->state = "running";
		emit_container(k, "unpause", "");
	}
	signal_container(k, signal);
}

static void update(struct conn *c, struct container *k)
{
	static const char *const keys[] = {"Memory",     "MemorySwap", "NanoCpus", "CpuShares",
					   "CpusetCpus", "PidsLimit",  NULL};
	struct json_object *wanted = json_tokener_parse(str_text(&c->body));
	struct json_object *host = json_get(k->config, "HostConfig");
	int64_t memory = json_get_int(wanted, "Memory", 0),
		swap = json_get_int(wanted, "MemorySwap", 0);
	int64_t shares = json_get_int(wanted, "CpuShares", 0);

	if (!host) {
		host = json_object_new_object();
		json_object_object_add(k->config, "HostConfig", host);
	}
	if (memory > 0 && memory < 6 << 20) {
		reply_error(c, 400, "Minimum memory limit allowed is 6MB");
	} else if (memory > 0 && swap == 0 && json_get_int(host, "MemorySwap", 0) > 0 &&
		   memory > json_get_int(host, "MemorySwap", 0)) {
		reply_error(
			c, 409,
			"Cannot update container %s: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
			k->id);
	} else {
		for (int i = 0; keys[i] && shares != 4242; i++)
			if (json_get(wanted, keys[i]) && !(shares == 4343 && i < 2))
				add_copy(host, keys[i], json_get(wanted, keys[i]));
		emit_container(k, "update", "");
		reply(c, 200, "{\"Warnings\":null}");
	}
	json_object_put(wanted);
}

static void wait_for(struct conn *c, struct container *k)
{
	char condition[32], text[64];
	bool removed = query_get(c, "condition", condition, sizeof(condition)) &&
		       strcmp(condition, "removed") == 0;

	if (!removed && !container_live(k)) {
		snprintf(text, sizeof(text), "{\"Error\":null,\"StatusCode\":%d}\n", k->exit_code);
		reply(c, 200, text);
		return;
	}
	conn_wait(c, &k->waiters);
}

static void rename_it(struct conn *c, struct container *k)
{
	char name[128], extra[256];

	if (!query_get(c, "name", name, sizeof(name)) || container_find(name)) {
		reply_error(
			c, 409,
			"Error when allocating new name: Conflict. The container name \"/%s\" is already in use by container \"x\". You have to remove (or rename) that container to be able to reuse that name.",
			name);
		return;
	}
	snprintf(extra, sizeof(extra), ",\"oldName\":\"/%s\"", k->name);
	snprintf(k->name, sizeof(k->name), "%s", name);
	emit_container(k, "rename", extra);
	reply(c, 204, "");
}

static void logs(struct conn *c, struct container *k)
{
	char since[40];

	stream_start(c, json_get_bool(k->config, "Tty", false)
				? "application/vnd.docker.raw-stream"
				: "application/vnd.docker.multiplexed-stream");
	c->number = query_flag(c, "timestamps");
	log_send(c, k, 0, query_get(c, "since", since, sizeof(since)) ? since : "");
	if (query_flag(c, "follow") && container_live(k))
		conn_wait(c, &k->followers);
	else
		stream_end(c);
}

/* The text of one reading; the caller frees. */
static char *stats_text(struct container *k)
{
	bool v2 = json_get(k->labels, "fake.cgroup");
	int64_t limit = json_get_int(json_get(k->config, "HostConfig"), "Memory", 0);

	if (!container_live(k))
		return xstrdup(
			"{\"read\":\"0001-01-01T00:00:00Z\",\"memory_stats\":{},\"cpu_stats\":{},\"name\":\"/x\"}");
	return xasprintf(
		"{\"read\":\"2026-01-02T03:04:05.678901234Z\",\"pids_stats\":{\"current\":3,\"limit\":50},"
		"\"blkio_stats\":{\"io_service_bytes_recursive\":[{\"major\":8,\"minor\":0,\"op\":\"%s\",\"value\":4096},"
		"{\"major\":8,\"minor\":0,\"op\":\"%s\",\"value\":8192},{\"major\":8,\"minor\":16,\"op\":\"%s\",\"value\":1}]},"
		"\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":123456789},\"system_cpu_usage\":1,\"online_cpus\":2,"
		"\"throttling_data\":{\"periods\":9,\"throttled_periods\":4,\"throttled_time\":5000}},"
		"\"memory_stats\":{\"usage\":10485760,\"stats\":{%s},\"limit\":%lld},"
		"\"name\":\"/%s\",\"id\":\"%s\",\"networks\":{\"eth0\":{\"rx_bytes\":100,\"tx_bytes\":200},"
		"\"eth1\":{\"rx_bytes\":1,\"tx_bytes\":2}}}",
		v2 ? "read" : "Read", v2 ? "write" : "Write", v2 ? "read" : "Read",
		v2 ? "\"inactive_file\":485760" : "\"cache\":900000,\"total_inactive_file\":485760",
		(long long)limit, k->name, k->id);
}

static void stats(struct conn *c, struct container *k)
{
	char *text = stats_text(k);

	if (query_flag(c, "stream")) {
		stream_start(c, "application/json");
		stream_send(c, text, strlen(text));
		conn_wait(c, &k->watchers);
	} else {
		reply(c, 200, text);
	}
	free(text);
}

/* What the engine does once a second, here at the end of the process and when a test asks for it. */
static void stats_tick(struct container *k)
{
	char *text = stats_text(k);

	LIST_FOREACH (node, &k->watchers)
		stream_send(LIST_ENTRY(node, struct conn, wait_link), text, strlen(text));
	free(text);
}

static void container_verb(struct conn *c, struct container *k, const char *verb)
{
	bool paused = strcmp(k->state, "paused") == 0;

	if (strcmp(verb, "start") == 0) {
		start(c, k);
	} else if (strcmp(verb, "stop") == 0) {
		stop(c, k);
	} else if (strcmp(verb, "kill") == 0) {
		kill_it(c, k);
	} else if (strcmp(verb, "wait") == 0) {
		wait_for(c, k);
	} else if (strcmp(verb, "update") == 0) {
		update(c, k);
	} else if (strcmp(verb, "rename") == 0) {
		rename_it(c, k);
	} else if (strcmp(verb, "resize") == 0) {
		resize(c, k);
	} else if (strcmp(verb, "attach") == 0) {
		attach(c, k);
	} else if (strcmp(verb, "exec") == 0) {
		exec_create(c, k);
	} else if (strcmp(verb, "pause") == 0 || strcmp(verb, "unpause") == 0) {
		bool pausing = verb[0] == 'p';

		if (pausing && paused) {
			reply_error(c, 409, "Container %s is already paused", k->id);
		} else if (pausing && !container_live(k)) {
			reply_error(c, 409, "Container %s is not running", k->id);
		} else if (!pausing && !paused) {
			reply_error(c, 500, "Container %s is not paused", k->id);
		} else {
			k->state = pausing ? "paused" : "running";
			emit_container(k, verb, "");
			reply(c, 204, "");
		}
	} else {
		reply_error(c, 404, "page not found");
	}
}

static void container_question(struct conn *c, struct container *k, const char *verb)
{
	if (strcmp(verb, "json") == 0) {
		inspect(c, k);
	} else if (strcmp(verb, "logs") == 0) {
		logs(c, k);
	} else if (strcmp(verb, "stats") == 0) {
		stats(c, k);
	} else if (strcmp(verb, "top") == 0 && !container_live(k)) {
		reply_error(c, 409, "Container %s is not running", k->id);
	} else if (strcmp(verb, "top") == 0) {
		reply(c, 200,
		      "{\"Titles\":[\"UID\",\"PID\",\"CMD\"],\"Processes\":[[\"root\",\"1000\",\"sleep\"],[\"root\",\"1001\",\"sh\"]]}");
	} else {
		reply_error(c, 404, "page not found");
	}
}

static void route_container(struct conn *c)
{
	char id[256], *verb;
	struct container *k;

	snprintf(id, sizeof(id), "%s", c->path + strlen("/containers/"));
	verb = strchr(id, '/');
	if (verb)
		*verb++ = '\0';
	k = container_find(id);
	if (!k) {
		reply_error(c, 404, "No such container: %s", id);
	} else if (strcmp(c->method, "DELETE") == 0) {
		if (container_live(k) && !query_flag(c, "force")) {
			reply_error(
				c, 409,
				"You cannot remove a running container %s. Stop the container before attempting removal or force remove",
				k->id);
			return;
		}
		if (container_live(k))
			signal_container(k, 9);
		files_forget(k);
		container_remove(k);
		reply(c, 204, "");
	} else if (verb && strcmp(verb, "archive") == 0) {
		archive(c, k);
	} else if (verb && strcmp(c->method, "POST") == 0) {
		container_verb(c, k, verb);
	} else if (verb) {
		container_question(c, k, verb);
	} else {
		reply_error(c, 404, "page not found");
	}
}

#endif
