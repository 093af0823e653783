/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/server.h"
#include "http/tls.h"
#include "loop/fd_watch.h"
#include "loop/folder_watch.h"
#include "loop/http_client.h"
#include "loop/http_stream.h"
#include "loop/op.h"
#include "loop/work.h"

#include <stdlib.h>

struct gantry_core {
	struct gantry_host table;
	struct loop *loop;            /* borrowed */
	const char *name;             /* borrowed */
	struct http_client *client;   /* owned; NULL until the first exchange */
	struct http_streams *streams; /* owned; NULL until the first one */
	struct list timers;           /* of gantry_timer, owned */
	struct list works;            /* of host_work, owned: on the pool */
	struct list watches;          /* of gantry_watch, owned */
	struct list polls;            /* of gantry_poll, owned */
	struct list servers;          /* of gantry_server, owned */
};

struct host_work {
	struct list link;
	int64_t started_us;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg; /* borrowed from the plugin */
};

struct gantry_watch {
	struct list link;
	struct folder_watch *folder; /* owned */
};

struct gantry_poll {
	struct list link;
	struct fd_watch *watch; /* owned */
};

struct gantry_server {
	struct list link;
	struct http_server *server; /* owned */
	void (*handle)(void *arg, struct gantry_request *request, const char *path,
		       const char *body);
	void *arg; /* borrowed from the plugin */
};

struct gantry_request {
	struct http_request *request; /* a reference */
};

struct gantry_timer {
	struct list link;
	struct gantry_core *core; /* borrowed */
	struct loop_timer timer;
	int64_t started_us;
	void (*fire)(void *arg);
	void *arg; /* borrowed from the plugin */
};

__attribute__((format(printf, 3, 4))) static void
host_log(struct gantry_core *core, enum gantry_log_level level, const char *format, ...)
{
	static const enum log_level levels[] = {
		[GANTRY_LOG_DEBUG] = LOG_LEVEL_DEBUG,
		[GANTRY_LOG_INFO] = LOG_LEVEL_INFO,
		[GANTRY_LOG_WARN] = LOG_LEVEL_WARN,
		[GANTRY_LOG_ERROR] = LOG_LEVEL_ERROR,
	};
	struct log_context context = {.key = "plugin", .value = core->name};
	struct str text = STR_INIT;
	va_list args;

	va_start(args, format);
	str_addv(&text, format, args);
	va_end(args);
	log_push(&context);
	log_write(level <= GANTRY_LOG_ERROR ? levels[level] : LOG_LEVEL_ERROR, "%s",
		  str_text(&text));
	log_pop(&context);
	str_fini(&text);
}

static struct http_client *client_of(struct gantry_core *core)
{
	if (!core->client && http_client_open(core->loop, &core->client) < 0) {
		log_error("out of memory for an HTTP client");
		abort();
	}
	return core->client;
}

static struct gantry_http *host_http(struct gantry_core *core,
				     const struct gantry_http_request *request)
{
	return http_client_start(client_of(core), request);
}

static struct gantry_http *host_upload(struct gantry_core *core,
				       const struct gantry_http_request *request,
				       void (*on_drain)(void *arg))
{
	return http_client_upload(client_of(core), request, on_drain);
}

static struct gantry_stream *host_upgrade(struct gantry_core *core,
					  const struct gantry_upgrade *upgrade)
{
	if (!core->streams && http_streams_open(core->loop, tls_end, &core->streams) < 0) {
		log_error("out of memory for a stream");
		abort();
	}
	return http_stream_start(core->streams, upgrade);
}

static void on_timer(struct loop_timer *timer)
{
	struct gantry_timer *set = LIST_ENTRY(timer, struct gantry_timer, timer);
	void (*fire)(void *arg) = set->fire;
	void *arg = set->arg;

	list_remove(&set->link);
	free(set);
	fire(arg);
}

static struct gantry_timer *host_timer_start(struct gantry_core *core, int64_t after_ms,
					     void (*fire)(void *arg), void *arg)
{
	struct gantry_timer *set = xcalloc(1, sizeof(*set));

	set->core = core;
	set->fire = fire;
	set->arg = arg;
	set->started_us = clock_monotonic_us();
	loop_timer_init(&set->timer, on_timer);
	list_append(&core->timers, &set->link);
	loop_timer_start(core->loop, &set->timer, after_ms);
	return set;
}

static void host_timer_stop(struct gantry_timer *set)
{
	loop_timer_stop(set->core->loop, &set->timer);
	list_remove(&set->link);
	free(set);
}

static void run_work(void *arg)
{
	struct host_work *work = arg;

	work->run(work->arg);
}

static void work_done(void *arg)
{
	struct host_work *work = arg;

	list_remove(&work->link);
	work->done(work->arg);
	free(work);
}

static void host_do_work(struct gantry_core *core, void (*run)(void *arg), void (*done)(void *arg),
			 void *arg)
{
	struct host_work *work = xcalloc(1, sizeof(*work));

	work->started_us = clock_monotonic_us();
	work->run = run;
	work->done = done;
	work->arg = arg;
	list_append(&core->works, &work->link);
	loop_work(core->loop, run_work, work_done, work);
}

static int host_watch(struct gantry_core *core, const char *folder, void (*changed)(void *arg),
		      void *arg, struct gantry_watch **ret_watch, struct gantry_error *err)
{
	struct gantry_watch *watch = xcalloc(1, sizeof(*watch));
	int code = folder_watch_open(core->loop, folder, 0, changed, arg, &watch->folder, err);

	if (code < 0) {
		free(watch);
		return code;
	}
	list_append(&core->watches, &watch->link);
	*ret_watch = watch;
	return 0;
}

static void host_watch_close(struct gantry_watch *watch)
{
	folder_watch_close(watch->folder);
	list_remove(&watch->link);
	free(watch);
}

static int host_poll(struct gantry_core *core, int fd,
		     void (*ready)(void *arg, bool readable, bool writable), void *arg,
		     struct gantry_poll **ret_poll, struct gantry_error *err)
{
	struct gantry_poll *poll = xcalloc(1, sizeof(*poll));
	int code = fd_watch_open(core->loop, fd, ready, arg, &poll->watch, err);

	if (code < 0) {
		free(poll);
		return code;
	}
	list_append(&core->polls, &poll->link);
	*ret_poll = poll;
	return 0;
}

static void host_poll_set(struct gantry_poll *poll, bool readable, bool writable)
{
	fd_watch_set(poll->watch, readable, writable);
}

static void host_poll_close(struct gantry_poll *poll)
{
	fd_watch_close(poll->watch);
	list_remove(&poll->link);
	free(poll);
}

static void on_server_closed(void *arg)
{
	struct gantry_server *server = arg;

	list_remove(&server->link);
	free(server);
}

static void host_serve_end(struct gantry_server *server)
{
	http_server_drain(server->server, 0, on_server_closed, server);
}

static void on_served_body(void *arg, struct http_request *http)
{
	struct gantry_server *server = arg;
	struct gantry_request *request = xcalloc(1, sizeof(*request));
	size_t length;

	request->request = http_request_ref(http);
	server->handle(server->arg, request, http_request_path(http),
		       http_request_body(http, &length));
}

static void on_served(void *arg, struct http_request *http)
{
	if (str_equal(http_request_method(http), "POST"))
		http_request_read_body(http, 0, on_served_body, arg);
	else
		http_reply_problem(http, 405, "only POST is known here");
}

static int host_serve(struct gantry_core *core, const char *socket,
		      void (*handle)(void *arg, struct gantry_request *request, const char *path,
				     const char *body),
		      void *arg, struct gantry_server **ret_server, struct gantry_error *err)
{
	struct gantry_server *server = xcalloc(1, sizeof(*server));
	int code;

	server->handle = handle;
	server->arg = arg;
	server->server = http_server_new(core->loop, NULL, on_served, server);
	list_append(&core->servers, &server->link);
	code = http_listen_unix(server->server, socket, 0600, (gid_t)-1, NULL, NULL, err);
	if (code < 0) {
		host_serve_end(server);
		return code;
	}
	*ret_server = server;
	return 0;
}

static void host_reply(struct gantry_request *request, int status, const char *content_type,
		       const char *body)
{
	http_reply(request->request, status, content_type, body, strlen(body));
	http_request_unref(request->request);
	free(request);
}

struct gantry_core *host_open(struct loop *loop, const char *name)
{
	struct gantry_core *core = xcalloc(1, sizeof(*core));

	core->loop = loop;
	core->name = name;
	list_init(&core->timers);
	list_init(&core->works);
	list_init(&core->watches);
	list_init(&core->polls);
	list_init(&core->servers);
	core->table = (struct gantry_host){
		.size = sizeof(core->table),
		.core = core,
		.log = host_log,
		.op_alloc = op_alloc,
		.op_done = op_done,
		.op_progress = op_progress,
		.op_on_cancel = op_on_cancel,
		.http = host_http,
		.http_cancel = http_client_cancel,
		.timer_start = host_timer_start,
		.timer_stop = host_timer_stop,
		.op_on_pause = op_on_pause,
		.http_pause = http_client_pause,
		.work = host_do_work,
		.watch = host_watch,
		.watch_close = host_watch_close,
		.upgrade = host_upgrade,
		.stream_write = http_stream_send,
		.stream_shutdown = http_stream_shutdown,
		.stream_pause = http_stream_pause,
		.stream_close = http_stream_cancel,
		.http_upload = host_upload,
		.http_write = http_client_write,
		.http_write_end = http_client_write_end,
		.poll = host_poll,
		.poll_set = host_poll_set,
		.poll_close = host_poll_close,
		.http_header = http_client_header,
		.serve = host_serve,
		.reply = host_reply,
		.serve_end = host_serve_end,
		.tls_open = tls_client_open,
		.tls_close = tls_client_close,
		.tls_begin = tls_client_begin,
		.tls_handshake = tls_client_handshake,
		.tls_read = tls_client_read,
		.tls_write = tls_client_write,
		.tls_end = tls_client_end,
	};
	return core;
}

const struct gantry_host *host_table(struct gantry_core *core)
{
	return &core->table;
}

size_t host_pending(const struct gantry_core *core)
{
	size_t count = http_client_pending(core->client) + http_streams_pending(core->streams);

	LIST_FOREACH (node, &core->timers) {
		count++;
	}
	LIST_FOREACH (node, &core->works) {
		count++;
	}
	LIST_FOREACH (node, &core->watches) {
		count++;
	}
	LIST_FOREACH (node, &core->polls) {
		count++;
	}
	LIST_FOREACH (node, &core->servers) {
		count++;
	}
	return count;
}

void host_walk(struct gantry_core *core, void (*fn)(void *arg, const char *name, int64_t age_ms),
	       void *arg)
{
	http_client_walk(core->client, fn, arg);
	http_streams_walk(core->streams, fn, arg);
	LIST_FOREACH (node, &core->timers) {
		struct gantry_timer *set = LIST_ENTRY(node, struct gantry_timer, link);

		fn(arg, "timer", (clock_monotonic_us() - set->started_us) / 1000);
	}
	LIST_FOREACH (node, &core->works) {
		struct host_work *work = LIST_ENTRY(node, struct host_work, link);

		fn(arg, "work on the pool", (clock_monotonic_us() - work->started_us) / 1000);
	}
	LIST_FOREACH (node, &core->watches) {
		fn(arg, "watch of a folder", 0);
	}
	LIST_FOREACH (node, &core->polls) {
		fn(arg, "watch of a descriptor", 0);
	}
	LIST_FOREACH (node, &core->servers) {
		fn(arg, "a socket that is served", 0);
	}
}

int host_close(struct gantry_core *core)
{
	if (http_client_pending(core->client) + http_streams_pending(core->streams) > 0 ||
	    !list_empty(&core->works) || !list_empty(&core->servers))
		return -EBUSY;
	while (!list_empty(&core->watches)) {
		log_error("plugin %s: left a watch of a folder behind", core->name);
		host_watch_close(LIST_ENTRY(core->watches.next, struct gantry_watch, link));
	}
	while (!list_empty(&core->polls)) {
		log_error("plugin %s: left a watch of a descriptor behind", core->name);
		host_poll_close(LIST_ENTRY(core->polls.next, struct gantry_poll, link));
	}
	while (!list_empty(&core->timers)) {
		log_error("plugin %s: left a timer behind", core->name);
		host_timer_stop(LIST_ENTRY(core->timers.next, struct gantry_timer, link));
	}
	http_client_close(core->client);
	http_streams_close(core->streams);
	free(core);
	return 0;
}
