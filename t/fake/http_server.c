/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server with routes made for its tests (t/50xx):
 *
 *	http_server [--unix PATH] [--mode OCTAL] [--tcp] [--tls CERTIFICATE KEY CLIENT_CA]
 *	            [--LIMIT NUMBER]…       header-bytes, header-ms, connections, … as in http_limits
 *	            [--grace MS]            of the drain on SIGTERM
 *
 * Prints "tcp PORT" and "tls PORT" where asked, then "ready"; ends on SIGTERM with "closed" and
 * status 0 where nothing was left behind.
 */
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "http/server.h"
#include "http/websocket.h"

/* An upload's reader rests after so many pieces, so that the writer has to wait for it. */
#define REST_PIECES 64
#define REST_MS     2

static struct loop loop;
static struct http_server *server;
static int64_t grace_ms = 2000;
static int gone_count, late_count, stop_count, last_close;
static int64_t streamed_bytes;
static char unix_mark[] = "unix", tcp_mark[] = "tcp", tls_mark[] = "tls";

/* What a route keeps while its request is open. */
struct task {
	struct http_request *request; /* a reference of ours */
	struct loop_timer timer;
	int64_t left, pieces;
	EVP_MD_CTX *hash; /* owned */
};

static struct task *task_new(struct http_request *request, void (*fire)(struct loop_timer *))
{
	struct task *task = ARENA_NEW(http_request_arena(request), struct task);

	task->request = http_request_ref(request);
	loop_timer_init(&task->timer, fire);
	return task;
}

static void task_end(struct task *task)
{
	loop_timer_stop(&loop, &task->timer);
	EVP_MD_CTX_free(task->hash);
	http_request_unref(task->request);
}

static int64_t query_int(struct http_request *request, const char *name, int64_t fallback)
{
	const char *text = http_request_query(request, name);

	return text ? atoll(text) : fallback;
}

static void reply_text(struct http_request *request, const char *text)
{
	http_reply(request, 200, "text/plain", text, strlen(text));
}

static void reply_json(struct http_request *request, struct json_object *object)
{
	const char *text = json_object_to_json_string(object);

	http_reply(request, 200, "application/json", text, strlen(text));
	json_object_put(object);
}

/* --- whole answers ------------------------------------------------------------------------------ */

static void hello(struct http_request *request)
{
	reply_text(request, "hello\n");
}

static void about(struct http_request *request)
{
	const struct http_peer *peer = http_request_peer(request);
	struct json_object *object = json_object_new_object();
	struct json_object *query = json_object_new_object();
	const char *name, *value;
	size_t position = 0;

	while (http_request_query_next(request, &position, &name, &value))
		json_add_string(query, name ? name : "(ill-formed)",
				value ? value : "(ill-formed)");
	json_add_string(object, "method", http_request_method(request));
	json_add_string(object, "path", http_request_path(request));
	json_add_string(object, "raw", http_request_query_raw(request));
	json_object_object_add(object, "query", query);
	json_add_string(object, "after", http_request_query(request, "after"));
	json_add_string(object, "x-test", http_request_header(request, "X-Test"));
	json_add_string(object, "listener", http_request_listener_arg(request));
	json_add_bool(object, "local", peer->local);
	json_add_int(object, "uid", (int64_t)peer->uid);
	json_add_int(object, "pid", (int64_t)peer->pid);
	json_add_string(object, "subject", peer->subject);
	json_add_string(object, "common_name", peer->common_name);
	json_add_string(object, "address", peer->address);
	reply_json(request, object);
}

static void stats(struct http_request *request)
{
	const struct http_counters *counters = http_server_counters(server);
	struct json_object *object = json_object_new_object();

	json_add_int(object, "open", (int64_t)counters->connections_open);
	json_add_int(object, "connections", (int64_t)counters->connections_total);
	json_add_int(object, "refused", (int64_t)counters->connections_refused_total);
	json_add_int(object, "handshakes_failed", (int64_t)counters->handshakes_failed_total);
	json_add_int(object, "requests", (int64_t)counters->requests_total);
	json_add_int(object, "bad", (int64_t)counters->bad_requests_total);
	json_add_int(object, "gone", gone_count);
	json_add_int(object, "late", late_count);
	json_add_int(object, "last_close", last_close);
	json_add_int(object, "streamed", streamed_bytes);
	reply_json(request, object);
}

static void on_echo(void *arg, struct http_request *request)
{
	size_t length;
	const char *body = http_request_body(request, &length);

	(void)arg;
	http_reply(request, 200, "application/octet-stream", body, length);
}

static void on_gone(void *arg)
{
	(void)arg;
	gone_count++;
}

static void echo(struct http_request *request)
{
	http_request_on_gone(request, on_gone, NULL);
	http_request_read_body(request, (size_t)query_int(request, "max", 0), on_echo, NULL);
}

static void refuse(struct http_request *request)
{
	http_reply_problem(request, 404, "there is no \"such\" thing");
}

static void with_headers(struct http_request *request)
{
	http_reply_header(request, "X-One", "1");
	http_reply_header(request, "X-Split", "a\r\nX-Forged: b");
	hello(request);
}

static void twice(struct http_request *request)
{
	reply_text(request, "first\n");
	reply_text(request, "second\n");
	http_stream_begin(request, 200, NULL);
	http_stream_write(request, "third", 5);
	http_stream_end(request);
}

static void no_content(struct http_request *request)
{
	http_reply(request, 204, NULL, "ignored", 7);
}

static void large(struct http_request *request)
{
	size_t length = (size_t)query_int(request, "bytes", 0);
	char *body = xmalloc(length);

	memset(body, 'x', length);
	http_reply(request, 200, "text/plain", body, length);
	free(body);
}

/* The server broke its word: the test that started us sees the signal, and why. */
static _Noreturn void broken(const char *how)
{
	fprintf(stderr, "http_server: %s\n", how);
	abort();
}

/* --- later -------------------------------------------------------------------------------------- */

static void async_fire(struct loop_timer *timer)
{
	struct task *task = LIST_ENTRY(timer, struct task, timer);

	/* also where it is gone: that must do no harm */
	if (!http_request_open(task->request))
		late_count++;
	reply_text(task->request, "late\n");
	if (http_stream_begin(task->request, 200, NULL))
		broken("a second answer was begun");
	http_stream_write(task->request, "x", 1);
	http_stream_end(task->request);
	http_stream_abort(task->request);
	task_end(task);
}

static void async(struct http_request *request)
{
	struct task *task = task_new(request, async_fire);

	http_request_on_gone(request, on_gone, NULL);
	loop_timer_start(&loop, &task->timer, query_int(request, "ms", 50));
}

/* --- uploads ------------------------------------------------------------------------------------ */

static void upload_fire(struct loop_timer *timer)
{
	http_request_resume(LIST_ENTRY(timer, struct task, timer)->request);
}

static bool upload_data(void *arg, struct http_request *request, const char *data, size_t length)
{
	struct task *task = arg;

	EVP_DigestUpdate(task->hash, data, length);
	task->left += (int64_t)length;
	if (++task->pieces % REST_PIECES == 0) {
		loop_timer_start(&loop, &task->timer, REST_MS);
		return false;
	}
	if (task->pieces % 7 == 0) {
		http_request_resume(request); /* at once: no pause after all */
		return false;
	}
	return true;
}

static void upload_end(void *arg, struct http_request *request)
{
	struct task *task = arg;
	struct json_object *object = json_object_new_object();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length;
	struct str hex = STR_INIT;

	EVP_DigestFinal_ex(task->hash, digest, &length);
	for (unsigned i = 0; i < length; i++)
		str_addf(&hex, "%02x", digest[i]);
	json_add_int(object, "bytes", task->left);
	json_add_string(object, "sha256", hex.data);
	str_fini(&hex);
	reply_json(request, object);
	task_end(task);
}

static void upload_gone(void *arg)
{
	gone_count++;
	task_end(arg);
}

static void upload(struct http_request *request)
{
	struct task *task = task_new(request, upload_fire);

	task->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(task->hash, EVP_sha256(), NULL);
	http_request_on_gone(request, upload_gone, task);
	http_request_stream_body(request, (uint64_t)query_int(request, "max", 0), upload_data,
				 upload_end, task);
}

/* Answers in the middle of the body. */
static bool halfway_data(void *arg, struct http_request *request, const char *data, size_t length)
{
	(void)arg, (void)data, (void)length;
	reply_text(request, "enough\n");
	return false;
}

static void halfway(struct http_request *request)
{
	http_request_stream_body(request, 0, halfway_data, on_echo, NULL);
}

/* --- streams ------------------------------------------------------------------------------------ */

static void download_go_on(void *arg)
{
	static char block[16 * 1024];
	struct task *task = arg;
	bool keeps_up = true;

	memset(block, 'd', sizeof(block));
	while (keeps_up && task->left > 0) {
		size_t length =
			(size_t)task->left < sizeof(block) ? (size_t)task->left : sizeof(block);

		task->left -= (int64_t)length;
		streamed_bytes += (int64_t)length;
		keeps_up = http_stream_write(task->request, block, length);
	}
	if (task->left > 0)
		return;
	if (task->pieces)
		http_stream_abort(task->request);
	else
		http_stream_end(task->request);
	if (http_request_open(task->request))
		broken("a download that ended is open");
	task_end(task);
}

static void download_gone(void *arg)
{
	gone_count++;
	task_end(arg);
}

static void download(struct http_request *request)
{
	struct task *task;

	if (!http_stream_begin(request, 200, "application/octet-stream"))
		return;
	task = task_new(request, NULL);
	task->left = query_int(request, "bytes", 0);
	task->pieces = http_request_query(request, "cut") != NULL;
	http_request_on_gone(request, download_gone, task);
	http_stream_on_drain(request, download_go_on, task);
	if (http_request_query(request, "stall"))
		http_stream_set_stall(request, query_int(request, "stall", 0));
	download_go_on(task);
}

/* Writes without looking whether anybody reads. */
static void flood(struct http_request *request)
{
	static char block[1024 * 1024];

	http_stream_begin(request, 200, "text/plain");
	http_request_on_gone(request, on_gone, NULL);
	for (int i = 0; i < 64; i++)
		http_stream_write(request, block, sizeof(block));
	if (http_request_open(request))
		broken("a flood was not cut");
}

static void events_stop(void *arg)
{
	struct http_request *request = arg;

	stop_count++;
	http_stream_write(request, "bye\n", 4);
	http_stream_end(request);
}

static void events(struct http_request *request)
{
	if (!http_stream_begin(request, 200, "application/x-ndjson"))
		return;
	http_request_on_gone(request, on_gone, NULL);
	if (http_request_query(request, "stop"))
		http_stream_on_stop(request, events_stop, request);
	http_stream_write(request, "first\n", 6);
}

/* --- WebSocket ---------------------------------------------------------------------------------- */

/*
 * /socket echoes messages. The text "close CODE REASON" closes, "rest MS" reads nothing for a while, "flood BYTES"
 * sends so many, as fast as they are taken, "origin" tells it, "regardless" sends without looking.
 * /socket?late=MS accepts later; /socket?stop says a last word when the server stops.
 */
static void socket_gone(void *arg)
{
	struct task *task = arg;

	gone_count++;
	last_close = http_websocket_close_code(task->request);
	task_end(task);
}

static void socket_flood(void *arg)
{
	static char block[16 * 1024];
	struct task *task = arg;
	bool keeps_up = true;

	while (keeps_up && task->left > 0) {
		size_t length =
			(size_t)task->left < sizeof(block) ? (size_t)task->left : sizeof(block);

		task->left -= (int64_t)length;
		streamed_bytes += (int64_t)length;
		keeps_up = http_websocket_send(task->request, true, block, length);
	}
}

static void socket_rested(struct loop_timer *timer)
{
	http_websocket_resume(LIST_ENTRY(timer, struct task, timer)->request);
}

static bool socket_message(void *arg, bool binary, const char *data, size_t length)
{
	static char block[1024 * 1024];
	struct task *task = arg;
	char text[256] = "";
	int number = 0, at = 0;

	if (!binary && length < sizeof(text))
		memcpy(text, data, length);
	if (sscanf(text, "close %d %n", &number, &at) == 1) {
		http_websocket_close(task->request, number, text + at);
		http_websocket_send(task->request, true, "late", 4); /* must do no harm */
		task_end(task);
	} else if (sscanf(text, "rest %d", &number) == 1) {
		loop_timer_start(&loop, &task->timer, number);
		return false;
	} else if (sscanf(text, "flood %d", &number) == 1) {
		task->left = number;
		socket_flood(task);
	} else if (strcmp(text, "origin") == 0) {
		const char *origin = http_request_header(task->request, "Origin");

		http_websocket_send(task->request, false, origin, strlen(origin));
	} else if (strcmp(text, "regardless") == 0) {
		for (int i = 0; i < 64; i++)
			http_websocket_send(task->request, true, block, sizeof(block));
	} else {
		http_websocket_send(task->request, binary, data, length);
	}
	return true;
}

static void socket_stop(void *arg)
{
	struct task *task = arg;

	stop_count++;
	http_websocket_send(task->request, false, "last word", 9);
	http_websocket_close(task->request, HTTP_WEBSOCKET_GOING_AWAY, "bye");
	task_end(task);
}

static void socket_accept(struct task *task)
{
	static const char *const spoken[] = {"best", "second", NULL};
	struct http_request *request = task->request;
	const char *protocol;
	bool named;

	protocol = http_websocket_protocol(request, spoken, &named);
	if (named && !protocol) {
		http_request_on_gone(request, NULL, NULL);
		http_reply_problem(request, 400, "no protocol in common");
		task_end(task);
		return;
	}
	loop_timer_init(&task->timer, socket_rested);
	if (http_request_query(request, "stop"))
		http_stream_on_stop(request, socket_stop, task);
	http_stream_on_drain(request, socket_flood, task);
	http_websocket_accept(request, protocol, socket_message, task);
}

static void socket_late(struct loop_timer *timer)
{
	socket_accept(LIST_ENTRY(timer, struct task, timer));
}

static void socket_open(struct http_request *request)
{
	struct task *task;

	if (!http_websocket_check(request))
		return;
	task = task_new(request, socket_late);
	http_request_on_gone(request, socket_gone, task);
	if (http_request_query(request, "late"))
		loop_timer_start(&loop, &task->timer, query_int(request, "late", 0));
	else
		socket_accept(task);
}

/* --- all together ------------------------------------------------------------------------------- */

static const struct {
	const char *path;
	void (*run)(struct http_request *request);
} routes[] = {
	{"/hello", hello},        {"/about", about},   {"/stats", stats},
	{"/echo", echo},          {"/refuse", refuse}, {"/twice", twice},
	{"/none", no_content},    {"/large", large},   {"/headers", with_headers},
	{"/async", async},        {"/upload", upload}, {"/halfway", halfway},
	{"/download", download},  {"/flood", flood},   {"/events", events},
	{"/socket", socket_open},
};

static void on_request(void *arg, struct http_request *request)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (str_equal(routes[i].path, http_request_path(request))) {
			routes[i].run(request);
			return;
		}
	}
	about(request);
}

static void on_closed(void *arg)
{
	(void)arg;
	printf("closed gone=%d stopped=%d\n", gone_count, stop_count);
	fflush(stdout);
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	uv_close((uv_handle_t *)handle, NULL);
	http_server_drain(server, grace_ms, on_closed, NULL);
}

static void die(const char *text)
{
	fprintf(stderr, "%s\n", text);
	exit(1);
}

static bool limit_option(struct http_limits *limits, const char *name, const char *value)
{
	const struct {
		const char *name;
		size_t *size;
		int64_t *time;
	} options[] = {
		{"--header-bytes", &limits->header_bytes, NULL},
		{"--header-count", &limits->header_count, NULL},
		{"--url-bytes", &limits->url_bytes, NULL},
		{"--body-bytes", &limits->body_bytes, NULL},
		{"--connections", &limits->connections, NULL},
		{"--header-ms", NULL, &limits->header_ms},
		{"--idle-ms", NULL, &limits->idle_ms},
		{"--progress-ms", NULL, &limits->progress_ms},
		{"--ping-ms", NULL, &limits->ping_ms},
		{"--linger-ms", NULL, &limits->linger_ms},
		{"--grace", NULL, &grace_ms},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		if (options[i].size)
			*options[i].size = strtoull(value, NULL, 10);
		else
			*options[i].time = atoll(value);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool tcp = false;
	mode_t mode = 0600;
	struct http_tls tls = {0};
	struct http_limits limits = {0};
	struct http_listener *listener;
	struct gantry_error err;
	uv_signal_t signal_handle;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--tcp") == 0)
			tcp = true;
		else if (i + 1 >= argc)
			die("an option lacks its value");
		else if (strcmp(argv[i], "--unix") == 0)
			path = argv[++i];
		else if (strcmp(argv[i], "--mode") == 0)
			mode = (mode_t)strtoul(argv[++i], NULL, 8);
		else if (strcmp(argv[i], "--tls") == 0 && i + 3 < argc)
			tls = (struct http_tls){argv[i + 1], argv[i + 2], argv[i + 3]}, i += 3;
		else if (limit_option(&limits, argv[i], argv[i + 1]))
			i++;
		else
			die("unknown option");
	}
	if (loop_init(&loop) < 0)
		die("no loop");
	server = http_server_new(&loop, &limits, on_request, NULL);
	if (path && http_listen_unix(server, path, mode, (gid_t)-1, unix_mark, NULL, &err) < 0)
		die(err.text);
	if (tcp) {
		if (http_listen_tcp(server, "127.0.0.1", 0, NULL, tcp_mark, &listener, &err) < 0)
			die(err.text);
		printf("tcp %d\n", http_listener_port(listener));
	}
	if (tls.key_file) {
		if (http_listen_tcp(server, "127.0.0.1", 0, &tls, tls_mark, &listener, &err) < 0)
			die(err.text);
		printf("tls %d\n", http_listener_port(listener));
	}
	uv_signal_init(&loop.uv, &signal_handle);
	uv_signal_start(&signal_handle, on_signal, SIGTERM);
	printf("ready\n");
	fflush(stdout);
	loop_run(&loop);
	return loop_fini(&loop) == 0 ? 0 : 3;
}
