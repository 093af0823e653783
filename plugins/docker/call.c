/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the engine's API.
 *
 * The version is agreed once: the first call asks for /version and waits, with all that come meanwhile;
 * the path of each then begins with the highest version that both sides know. It is forgotten at each
 * probe, and when the engine refuses it: an engine may be replaced by a newer or older one at any time.
 *
 *	docker_call ─▶ version known? ──no──▶ waiting ──▶ version_done ──┐
 *	                    └──yes─────────────────────────────────────▶ send ─▶ http_done ─▶ done
 *
 * A cancel reaches whatever the call waits for, and done still comes once.
 */
#include "docker.h"

#include <stdlib.h>

char *docker_path(const struct docker_node *node, const char *path)
{
	char *whole = NULL;

	if (asprintf(&whole, "/v1.%d%s", node->api_minor, path) < 0)
		abort();
	return whole;
}

static void send_call(struct docker_call *call, const char *method, const char *path,
		      const char *body);
static void wait_for_version(struct docker_call *call);

/* --- pauses: of calls whose answer is passed on as it comes --- */

static void on_pause(void *arg, bool paused)
{
	struct docker_call *call = arg;

	call->paused = paused;
	if (call->http)
		call->node->host->http_pause(call->http, paused);
}

static void hear_pauses(struct docker_call *call, void (*pause)(void *arg, bool paused))
{
	const struct gantry_host *host = call->node->host;

	if (call->op && call->on_data && GANTRY_HOST_HAS(host, http_pause))
		host->op_on_pause(call->op, pause, call);
}

/* --- ends --- */

static void finish(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	call->busy = false;
	call->http = NULL;
	if (call->op)
		call->node->host->op_on_cancel(call->op, NULL, NULL);
	hear_pauses(call, NULL);
	call->done(call, err, reply);
}

void docker_translate(const struct gantry_error *from, struct gantry_error *err)
{
	*err = *from;
	switch (from->code) {
	case -ETIMEDOUT:
	case -ECANCELED:
	case -ENOMEM:
		break;
	case -ECONNREFUSED:
	case -ENOENT:
	case -ECONNRESET:
	case -EACCES:
	case -EHOSTUNREACH:
		err->code = -EHOSTUNREACH;
		break;
	default:
		err->code = -EIO;
	}
	gantry_error_prefix(err, "docker");
}

static void http_done(void *arg, const struct gantry_error *failure, int status, const char *body,
		      size_t length)
{
	struct docker_call *call = arg;
	struct json_object *reply = NULL;
	struct json_tokener *tokener;
	struct gantry_error err;

	call->status = status;
	if (failure) {
		call->status = 0;
		docker_translate(failure, &err);
		finish(call, &err, NULL);
		return;
	}
	if (status >= 400) {
		docker_words(&err, status, body, length);
		if (status == 400 && docker_says(err.text, "client version"))
			docker_forget_version(call->node);
		finish(call, &err, NULL);
		return;
	}
	if (length > 0 && (body[0] == '{' || body[0] == '[')) {
		tokener = json_tokener_new_ex(64);
		reply = json_tokener_parse_ex(tokener, body, (int)length);
		json_tokener_free(tokener);
		if (!reply) {
			gantry_error_set(&err, -EIO, "docker: the engine's answer is not JSON");
			finish(call, &err, NULL);
			return;
		}
	}
	finish(call, NULL, reply);
	json_object_put(reply);
}

static void http_drain(void *arg)
{
	struct docker_call *call = arg;

	call->on_drain(call);
}

static int http_data(void *arg, int status, const char *data, size_t length)
{
	struct docker_call *call = arg;

	call->status = status;
	return call->on_data(call, data, length);
}

/* --- cancel --- */

static void tell_cancelled(void *arg)
{
	struct docker_call *call = arg;
	struct gantry_error err;

	call->timer = NULL;
	gantry_error_set(&err, -ECANCELED, "docker: cancelled");
	finish(call, &err, NULL);
}

static void unqueue(struct docker_call *call)
{
	struct docker_call **at = &call->node->waiting;

	while (*at && *at != call)
		at = &(*at)->next;
	if (*at)
		*at = call->next;
	call->waits = false;
	free(call->method);
	free(call->path);
	free(call->body);
	call->method = call->path = call->body = NULL;
}

void docker_call_cancel(struct docker_call *call)
{
	struct docker_node *node = call->node;

	if (!call->busy || call->timer || call->cancelled)
		return;
	call->cancelled = true;
	if (call->waits && node->waiting == call && !call->next) {
		/* nobody else wants the version: end that exchange, and with it this call */
		node->host->http_cancel(node->version_http);
	} else if (call->waits) {
		unqueue(call);
		call->timer = node->host->timer_start(node->host->core, 0, tell_cancelled, call);
	} else if (call->http) {
		node->host->http_cancel(call->http);
	}
}

static void on_cancel(void *arg)
{
	docker_call_cancel(arg);
}

/* --- the version --- */

static int agree(struct docker_node *node, struct json_object *reply, struct gantry_error *err)
{
	const char *most = docker_text(reply, "ApiVersion");
	const char *least = docker_text(reply, "MinAPIVersion");
	struct json_object *components = docker_get(reply, "Components");
	int engine_most = 0, engine_least = 0;

	if (!most || sscanf(most, "1.%d", &engine_most) != 1)
		return gantry_error_set(err, -EIO, "docker: no engine: it tells no API version");
	if (least)
		sscanf(least, "1.%d", &engine_least);
	if (engine_most < API_MINOR_LEAST)
		return gantry_error_set(err, -EIO,
					"docker: the engine speaks API %s; 1.%d or newer is needed",
					most, API_MINOR_LEAST);
	if (engine_least > API_MINOR_MOST)
		return gantry_error_set(
			err, -EIO,
			"docker: the engine speaks API %s and newer; this plugin knows up to 1.%d",
			least, API_MINOR_MOST);
	node->podman = false;
	for (size_t i = 0; components && i < json_object_array_length(components); i++) {
		const char *name = docker_text(json_object_array_get_idx(components, i), "Name");

		node->podman = node->podman || (name && docker_says(name, "podman"));
	}
	node->api_minor = engine_most < API_MINOR_MOST ? engine_most : API_MINOR_MOST;
	return 0;
}

static void version_done(void *arg, const struct gantry_error *failure, int status,
			 const char *body, size_t length)
{
	struct docker_node *node = arg;
	struct docker_call *call = node->waiting;
	struct json_object *reply = NULL;
	struct gantry_error err = {0};

	node->version_http = NULL;
	node->waiting = NULL;
	if (failure) {
		docker_translate(failure, &err);
	} else if (status >= 400) {
		docker_words(&err, status, body, length);
	} else {
		reply = json_tokener_parse(body);
		agree(node, reply, &err);
		json_object_put(reply);
	}
	while (call) {
		struct docker_call *next = call->next;

		call->waits = false;
		call->next = NULL;
		if (err.code == -ECANCELED && !call->cancelled) {
			wait_for_version(call); /* it came while the exchange was being ended */
		} else if (err.code) {
			free(call->method);
			free(call->path);
			free(call->body);
			call->method = call->path = call->body = NULL;
			finish(call, &err, NULL);
		} else {
			char *method = call->method, *path = call->path, *text = call->body;

			call->method = call->path = call->body = NULL;
			send_call(call, method, path, text);
			free(method);
			free(path);
			free(text);
		}
		call = next;
	}
}

static void ask_version(struct docker_node *node)
{
	struct gantry_http_request request = {
		.peer = &node->peer,
		.method = "GET",
		.path = "/version",
		.connect_timeout_ms = node->settings->connect_timeout_ms,
		.stall_timeout_ms = node->settings->stall_timeout_ms,
		.on_done = version_done,
		.arg = node,
	};

	node->version_http = node->host->http(node->host->core, &request);
}

static void wait_for_version(struct docker_call *call)
{
	struct docker_call **last = &call->node->waiting;

	while (*last)
		last = &(*last)->next;
	*last = call;
	call->next = NULL;
	call->waits = true;
	if (!call->node->version_http)
		ask_version(call->node);
}

void docker_forget_version(struct docker_node *node)
{
	node->api_minor = 0;
}

/* --- sending --- */

static void send_call(struct docker_call *call, const char *method, const char *path,
		      const char *body)
{
	struct docker_node *node = call->node;
	char *whole;
	struct gantry_http_request request = {
		.peer = call->fresh ? &node->fresh_peer : &node->peer,
		.method = method,
		.content_type = call->on_open ? "application/x-tar"
				: body        ? "application/json"
					      : NULL,
		.body = body,
		.body_length = body ? strlen(body) : 0,
		.connect_timeout_ms = node->settings->connect_timeout_ms,
		.stall_timeout_ms = call->stall_ms == 0  ? node->settings->stall_timeout_ms
				    : call->stall_ms < 0 ? 0
							 : call->stall_ms,
		.reply_max = 256 << 20,
		.on_data = call->on_data ? http_data : NULL,
		.on_done = http_done,
		.arg = call,
	};

	whole = docker_path(node, path);
	request.path = whole;
	if (call->on_open)
		request.content_type = "application/x-tar";
	call->http = call->on_open ? node->host->http_upload(node->host->core, &request, http_drain)
				   : node->host->http(node->host->core, &request);
	free(whole);
	if (call->paused)
		node->host->http_pause(call->http, true);
	if (call->on_open)
		call->on_open(call);
}

bool docker_call_write(struct docker_call *call, const void *data, size_t length)
{
	return call->http && call->node->host->http_write(call->http, data, length);
}

void docker_call_write_end(struct docker_call *call)
{
	if (call->http)
		call->node->host->http_write_end(call->http);
}

void docker_call(struct docker_call *call, const char *method, const char *body, const char *format,
		 ...)
{
	struct docker_node *node = call->node;
	char *path = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&path, format, args) < 0)
		abort();
	va_end(args);
	call->busy = true;
	call->cancelled = call->paused = false;
	call->status = 0;
	call->http = NULL;
	if (node->api_minor) {
		send_call(call, method, path, body);
		free(path);
	} else {
		call->method = strdup(method);
		call->path = path;
		call->body = body ? strdup(body) : NULL;
		wait_for_version(call);
	}
	if (call->op)
		node->host->op_on_cancel(call->op, on_cancel, call);
	hear_pauses(call, on_pause);
}

struct docker_call *docker_call_new(struct docker_node *node, struct gantry_op *op,
				    void (*done)(struct docker_call *call,
						 const struct gantry_error *err,
						 struct json_object *reply))
{
	struct docker_call *call = node->host->op_alloc(op, sizeof(*call));

	call->node = node;
	call->op = op;
	call->done = done;
	return call;
}

void docker_fail(struct docker_node *node, struct gantry_op *op, int code, const char *format, ...)
{
	struct gantry_error err;
	va_list args;

	va_start(args, format);
	gantry_error_setv(&err, code, format, args);
	va_end(args);
	gantry_error_prefix(&err, "docker");
	node->host->op_done(op, &err, NULL);
}
