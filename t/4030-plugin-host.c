/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin under a host that is no daemon: thirty lines of fake functions, no loop, no libuv, nothing of
 * core/. It is the plugin border itself that is tested: the skeleton and the docker plugin reach for
 * nothing but what the table offers.
 */
#include "tap.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <gantry/plugin.h>

/* --- the fake host --- */

struct gantry_op {
	int ends, code;
	char text[256];
	const void *result;
	void (*cancel)(void *arg);
	void *arg;
	void *memory[64];
	size_t count;
};

struct gantry_timer {
	void (*fire)(void *arg);
	void *arg;
	bool set;
};

static struct gantry_timer timers[8];
static struct gantry_http_request requests[8]; /* of which the callbacks are kept */
static char request_lines[8][512];
static size_t request_count, timer_count;
static int http_cancels;

static void host_log(struct gantry_core *core, enum gantry_log_level level, const char *format, ...)
{
	(void)core, (void)level, (void)format;
}

static void *op_alloc(struct gantry_op *op, size_t size)
{
	if (op->count == 64)
		bail_out("too much memory");
	return op->memory[op->count++] = calloc(1, size);
}

static void op_done(struct gantry_op *op, const struct gantry_error *err, const void *result)
{
	op->ends++;
	op->code = err ? err->code : 0;
	snprintf(op->text, sizeof(op->text), "%s", err ? err->text : "");
	op->result = result;
}

static void op_progress(struct gantry_op *op, const struct gantry_progress *progress)
{
	(void)op, (void)progress;
}

static void op_on_cancel(struct gantry_op *op, void (*cancel)(void *arg), void *arg)
{
	op->cancel = cancel;
	op->arg = arg;
}

static struct gantry_http *http(struct gantry_core *core, const struct gantry_http_request *request)
{
	(void)core;
	snprintf(request_lines[request_count], sizeof(request_lines[0]), "%s %s %.*s",
		 request->method, request->path, (int)request->body_length,
		 request->body ? (const char *)request->body : "");
	requests[request_count] = *request;
	return (struct gantry_http *)&requests[request_count++];
}

static void http_cancel(struct gantry_http *one)
{
	(void)one;
	http_cancels++;
}

static struct gantry_timer *timer_start(struct gantry_core *core, int64_t after_ms,
					void (*fire)(void *arg), void *arg)
{
	(void)core, (void)after_ms;
	timers[timer_count] = (struct gantry_timer){fire, arg, true};
	return &timers[timer_count++];
}

static void timer_stop(struct gantry_timer *timer)
{
	timer->set = false;
}

/* A core of ABI 1.0: what came later is not in its table. */
static const struct gantry_host host = {
	.size = offsetof(struct gantry_host, op_on_pause),
	.log = host_log,
	.op_alloc = op_alloc,
	.op_done = op_done,
	.op_progress = op_progress,
	.op_on_cancel = op_on_cancel,
	.http = http,
	.http_cancel = http_cancel,
	.timer_start = timer_start,
	.timer_stop = timer_stop,
};

static void op_clear(struct gantry_op *op)
{
	while (op->count > 0)
		free(op->memory[--op->count]);
	*op = (struct gantry_op){0};
}

static void reply(size_t at, int status, const char *body)
{
	requests[at].on_done(requests[at].arg, NULL, status, body, strlen(body));
}

static const struct gantry_plugin *take(const char *name, void **ret_library)
{
	const struct gantry_plugin *plugin;
	const char *build = getenv("BUILD");
	char path[256];

	snprintf(path, sizeof(path), "%s/plugins/%s.so", build ? build : ".build/plain", name);
	*ret_library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!*ret_library)
		bail_out("%s", dlerror());
	plugin = dlsym(*ret_library, "gantry_plugin");
	ok(plugin && strcmp(plugin->name, name) == 0, "%s loads without a daemon", name);
	ok(plugin->summary && plugin->version, "it says what it is");
	return plugin;
}

/* --- the skeleton --- */

static int syncs;

static void on_sync(void *arg, const struct gantry_containers *containers)
{
	(void)arg;
	syncs += containers->count == 0;
}

static void on_event(void *arg, const struct gantry_event *event)
{
	(void)arg, (void)event;
}

static void skeleton(void)
{
	const char *greeting = "hello";
	int64_t cpus = 7;
	void *library, *handle, *node;
	const struct gantry_plugin *plugin = take("skeleton", &library);
	const struct gantry_runtime *runtime = plugin->runtime;
	struct gantry_watch_sink sink = {NULL, on_sync, on_event};
	struct gantry_anchor anchor = {0};
	struct gantry_containers known = {0};
	struct gantry_op op = {0};
	struct gantry_error err;

	is_int(plugin->open(&host, &greeting, &handle, &err), 0, "open");
	is_int(runtime->node_open(handle, "n", &cpus, "me", &node, &err), 0, "a node");
	runtime->probe(node, &op);
	is_int(op.ends, 1, "probe ends");
	is_int(((const struct gantry_node_facts *)op.result)->cpus, 7, "with the node's option");
	op_clear(&op);
	runtime->create(node, NULL, &op);
	is_int(op.code, -ENOTSUP, "create: -ENOTSUP");
	op_clear(&op);
	runtime->remove(node, "x", &op);
	is_int(op.code, 0, "remove of what is unknown succeeds");
	op_clear(&op);
	runtime->start(node, "x", &op);
	is_int(op.code, -ENOENT, "start of it: -ENOENT");
	op_clear(&op);
	runtime->watch(node, &anchor, &known, &sink, &op);
	is_int(syncs, 0, "a watch waits until the call returned");
	timers[timer_count - 1].fire(timers[timer_count - 1].arg);
	is_int(syncs, 1, "then it says what there is");
	is_int(op.ends, 0, "and goes on");
	op.cancel(op.arg);
	is_int(op.code, -ECANCELED, "until it is cancelled");
	op_clear(&op);
	runtime->node_close(node);
	plugin->close(handle);
	dlclose(library);
}

/* --- docker, by hand --- */

struct places { /* as in plugins/docker/docker.h: the order of its settings */
	const char *endpoint, *ca, *certificate, *key;
	bool verify;
	int64_t connect_ms, stall_ms, pull_ms, ping_ms, claim_ms;
	const char *log_driver;
	int64_t log_size, log_files;
};

static void docker(void)
{
	struct places settings = {
		"unix:///x/docker.sock", NULL, NULL, NULL, true, 1, 2, 3, 4, 5, "local", 6, 7};
	void *library, *handle, *node;
	const struct gantry_plugin *plugin = take("docker", &library);
	struct gantry_op op = {0}, second = {0};
	struct gantry_error err;

	is_int(plugin->node_settings_size, sizeof(settings),
	       "the settings are those that this test knows");
	is_int(plugin->open(&host, NULL, &handle, &err), 0, "open");
	is_int(plugin->runtime->node_open(handle, "n", &settings, "me", &node, &err), 0, "a node");
	request_count = 0;
	plugin->runtime->start(node, "abc", &op);
	plugin->runtime->kill(node, "abc", 9, &second);
	is_int(request_count, 1, "two first calls, one question for the version");
	is_str(request_lines[0], "GET /version ", "which is this");
	is_str(requests[0].peer->unix_socket, "/x/docker.sock", "at the endpoint");
	reply(0, 200, "{\"ApiVersion\":\"1.30\",\"MinAPIVersion\":\"1.12\"}");
	is_int(request_count, 3, "then both go out");
	is_str(request_lines[1], "POST /v1.30/containers/abc/start ",
	       "with the version agreed, in order");
	is_str(request_lines[2], "POST /v1.30/containers/abc/kill?signal=9 ", "the second too");
	second.cancel(second.arg);
	is_int(http_cancels, 1, "a cancel reaches the exchange");
	is_int(second.ends, 0, "and waits for its end");
	reply(2, 204, "");
	is_int(second.code, 0, "an answer that was on its way stays what it is");
	reply(1, 500, "{\"message\":\"Bind for 0.0.0.0:80 failed: port is already allocated\"}");
	is_int(op.code, -EEXIST, "a port that is taken: -EEXIST");
	is_str(op.text, "docker: port 80 on 0.0.0.0 is taken on the node", "in words");
	op_clear(&op);
	op_clear(&second);

	plugin->runtime->start(node, "abc", &op);
	is_int(request_count, 4, "the version is not asked for again");
	reply(3, 400,
	      "{\"message\":\"client version 1.30 is too old. Minimum supported API version is 1.44\"}");
	op_clear(&op);
	request_count = 0;
	plugin->runtime->start(node, "abc", &op);
	is_str(request_lines[0], "GET /version ", "until the engine refuses it");
	reply(0, 200, "{\"ApiVersion\":\"1.99\",\"MinAPIVersion\":\"1.60\"}");
	is_int(op.code, -EIO, "an engine that is too new is an error");
	like(op.text, "1.60", "that says so");
	op_clear(&op);
	request_count = 0;
	plugin->runtime->start(node, "abc", &op);
	reply(0, 200, "{\"ApiVersion\":\"1.20\"}");
	like(op.text, "1.24 or newer", "as is one that is too old");
	op_clear(&op);
	request_count = 0;
	plugin->runtime->start(node, "abc", &op);
	reply(0, 200, "<html>");
	is_int(op.code, -EIO, "and what is no engine");
	op_clear(&op);
	request_count = 0;
	plugin->runtime->list(node, &op);
	reply(0, 200, "{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}");
	like(request_lines[1], "GET /v1.47/containers/json?all=1&filters=%7B",
	     "a newer one gets what we know");
	reply(1, 200, "[{\"Id\":");
	is_int(op.code, -EIO, "half an answer is none");
	op_clear(&op);
	plugin->runtime->node_close(node);
	plugin->close(handle);
	dlclose(library);
}

int main(void)
{
	skeleton();
	docker();
	done_testing();
	return tap_end();
}
