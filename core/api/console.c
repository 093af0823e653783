/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles over WebSocket: attach and exec. What is said on it stands in openapi.yaml.
 *
 *	handshake ─▶ console_attach, console_exec ─▶ opened: 101 ─▶ messages both ways ─▶ ended: close
 *
 * Until the upstream is open a failure is a plain answer; afterwards it is told on the channel of status.
 */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/console/console.h"
#include "flows/console/exec.h"
#include "http/websocket.h"

#include <stdlib.h>

/* The first byte of a message: 0 to 4 and 255 are those of v5.channel.k8s.io. */
enum channel {
	CHANNEL_INPUT = 0,
	CHANNEL_OUTPUT = 1,
	CHANNEL_ERRORS = 2, /* the process's standard error */
	CHANNEL_STATUS = 3, /* how it ended, once; from us */
	CHANNEL_RESIZE = 4,
	CHANNEL_CONTROL = 5, /* v1.attach.gantry only */
	CHANNEL_CLOSE = 255, /* of the channel in the second byte */
};

#define PROTOCOL_OWN   "v1.attach.gantry"
#define PROTOCOL_PLAIN "v5.channel.k8s.io"

struct session {
	struct console_peer peer;
	struct call *call;
	struct http_request *request; /* a reference of ours */
	const char *protocol;         /* that is spoken; NULL: none was named */
	bool accepted;
	bool control; /* it is our own */
	struct str message;
};

static bool on_message(void *arg, bool binary, const char *data, size_t length);

/* --- to the client ------------------------------------------------------------------------------- */

static bool send_channel(struct session *session, enum channel channel, const char *data,
			 size_t length)
{
	str_clear(&session->message);
	str_add_char(&session->message, (char)channel);
	str_add_bytes(&session->message, data, length);
	return http_websocket_send(session->request, true, session->message.data,
				   session->message.length);
}

static void send_object(struct session *session, enum channel channel, struct json_object *object)
{
	size_t length;
	const char *text =
		json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);

	if (channel != CHANNEL_CONTROL || session->control)
		send_channel(session, channel, text, length);
	json_object_put(object);
}

static struct json_object *control(const char *type)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "type", type);
	return object;
}

static void send_role(struct session *session)
{
	struct json_object *object = control("role");

	json_add_string(object, "role", console_drives(&session->peer) ? "driver" : "observer");
	json_add_string(object, "driver", console_driver(&session->peer));
	send_object(session, CHANNEL_CONTROL, object);
}

static void send_notice(struct session *session, const char *text)
{
	struct json_object *object = control("notice");

	json_add_string(object, "text", text);
	send_object(session, CHANNEL_CONTROL, object);
}

/* How Kubernetes tells the end: {"status": "Success"}, or why not. */
static void send_status(struct session *session, const struct gantry_error *err,
			const struct gantry_exit *exit)
{
	struct json_object *object = json_object_new_object(), *cause, *details;
	char code[16];

	json_add_string(object, "status", err || (exit && exit->exit_code) ? "Failure" : "Success");
	if (err) {
		json_add_string(object, "reason", "InternalError");
		json_add_string(object, "message", err->text);
	} else if (exit && exit->exit_code) {
		snprintf(code, sizeof(code), "%d", exit->exit_code);
		json_add_string(object, "reason", "NonZeroExitCode");
		cause = json_object_new_object();
		json_add_string(cause, "reason", "ExitCode");
		json_add_string(cause, "message", code);
		details = json_object_new_object();
		json_object_object_add(details, "causes", json_object_new_array());
		json_object_array_add(json_get(details, "causes"), cause);
		json_object_object_add(object, "details", details);
	}
	send_object(session, CHANNEL_STATUS, object);
}

/* --- its life ------------------------------------------------------------------------------------ */

static void let_go(struct session *session)
{
	console_leave(&session->peer);
	str_fini(&session->message);
	http_request_unref(session->request);
}

static void on_gone(void *arg)
{
	let_go(arg);
}

static void end(struct session *session, int code, const char *reason)
{
	http_request_on_gone(session->request, NULL, NULL);
	http_websocket_close(session->request, code, reason);
	let_go(session);
}

static void on_stop(void *arg)
{
	struct session *session = arg;
	struct gantry_error err;

	gantry_error_set(&err, -ECANCELED, "gantryd stops; the process goes on");
	send_status(session, &err, NULL);
	end(session, HTTP_WEBSOCKET_GOING_AWAY, err.text);
}

static void on_caught_up(void *arg)
{
	console_caught_up(&((struct session *)arg)->peer);
}

static struct session *session_of(struct console_peer *peer)
{
	return LIST_ENTRY(peer, struct session, peer);
}

static void opened(struct console_peer *peer)
{
	struct session *session = session_of(peer);

	http_stream_on_stop(session->request, on_stop, session);
	http_stream_on_drain(session->request, on_caught_up, session);
	session->accepted = true;
	http_websocket_accept(session->request, session->protocol, on_message, session);
	send_role(session);
}

static bool output(struct console_peer *peer, int stream, const char *data, size_t length)
{
	return send_channel(session_of(peer), stream == 2 ? CHANNEL_ERRORS : CHANNEL_OUTPUT, data,
			    length);
}

static void lost(struct console_peer *peer, uint64_t bytes)
{
	struct json_object *object = control("gap");

	json_add_int(object, "bytes", (int64_t)bytes);
	send_object(session_of(peer), CHANNEL_CONTROL, object);
}

static void missing(struct console_peer *peer, const struct gantry_log_line *gap)
{
	struct json_object *object = control("gap");

	if (gap->lost >= 0)
		json_add_int(object, "lines", gap->lost);
	json_object_object_add(object, "why",
			       json_object_new_string_len(gap->data, (int)gap->length));
	send_object(session_of(peer), CHANNEL_CONTROL, object);
}

static void joined(struct console_peer *peer, int64_t boot, int64_t sequence, bool exact)
{
	struct json_object *object = control("cursor");
	char cursor[48];

	snprintf(cursor, sizeof(cursor), "%lld.%lld", (long long)boot, (long long)sequence);
	json_add_string(object, "cursor", sequence >= 0 ? cursor : NULL);
	json_add_bool(object, "exact", exact);
	send_object(session_of(peer), CHANNEL_CONTROL, object);
}

static void recorded(struct console_peer *peer, const char *id, const char *why_not)
{
	struct json_object *object = control("recording");

	json_add_string(object, "recording", id);
	json_add_bool(object, "goes_on", !why_not);
	json_add_string(object, "why", why_not);
	send_object(session_of(peer), CHANNEL_CONTROL, object);
}

static void drain(struct console_peer *peer)
{
	http_websocket_resume(session_of(peer)->request);
}

static void changed(struct console_peer *peer)
{
	send_role(session_of(peer));
	http_websocket_resume(session_of(peer)->request); /* a driver that was may rest still */
}

static void ended(struct console_peer *peer, const struct gantry_error *err,
		  const struct gantry_exit *exit)
{
	struct session *session = session_of(peer);
	struct gantry_error stops;

	if (err && session->call->daemon->stopping) {
		gantry_error_set(&stops, -EAGAIN, "gantryd stops; the process goes on");
		err = &stops;
	}
	if (session->accepted) {
		send_status(session, err, exit);
		end(session,
		    !err            ? HTTP_WEBSOCKET_NORMAL
		    : err == &stops ? HTTP_WEBSOCKET_GOING_AWAY
				    : HTTP_WEBSOCKET_FAILED,
		    err ? err->text : "");
		return;
	}
	http_request_on_gone(session->request, NULL, NULL);
	if (!err) { /* it came to its end before it was open */
		gantry_error_set(&stops, -EBUSY, "the process has ended");
		err = &stops;
	}
	call_fail(session->call, err);
	let_go(session);
}

static const struct console_events events = {
	.opened = opened,
	.output = output,
	.lost = lost,
	.missing = missing,
	.joined = joined,
	.recorded = recorded,
	.drain = drain,
	.changed = changed,
	.ended = ended,
};

/* --- from the client ----------------------------------------------------------------------------- */

static void take_resize(struct session *session, struct json_object *object)
{
	int64_t columns = json_get_int(object, "Width", 0),
		rows = json_get_int(object, "Height", 0);

	if (columns > 0 && columns <= 10000 && rows > 0 && rows <= 10000)
		console_resize(&session->peer, (int)rows, (int)columns);
}

static void take_control(struct session *session, struct json_object *object)
{
	const char *type = json_get_string(object, "type", "");

	if (str_equal(type, "take"))
		console_take(&session->peer);
	else if (str_equal(type, "detach"))
		end(session, HTTP_WEBSOCKET_NORMAL, "detached");
}

static bool take_input(struct session *session, const char *data, size_t length)
{
	enum console_input taken = console_input(&session->peer, data, length);

	if (taken == CONSOLE_REFUSED && length)
		send_notice(session, console_drives(&session->peer)
					     ? "the process takes no input"
					     : "only the driver's input is taken");
	return taken != CONSOLE_BEHIND;
}

static void close_channel(struct session *session, const char *data, size_t length)
{
	if (length == 1 && data[0] == CHANNEL_INPUT && console_input_end(&session->peer) < 0)
		send_notice(session, "the engine cannot be told that the input has ended");
}

static bool on_message(void *arg, bool binary, const char *data, size_t length)
{
	struct session *session = arg;
	struct json_object *object = NULL;
	struct gantry_error err;
	unsigned char channel;

	if (!binary || length == 0) {
		end(session, HTTP_WEBSOCKET_PROTOCOL_ERROR,
		    "messages are binary, their first byte is the channel");
		return true;
	}
	channel = (unsigned char)*data++;
	length--;
	if (channel == CHANNEL_INPUT)
		return take_input(session, data, length);
	if (channel == CHANNEL_CLOSE) {
		close_channel(session, data, length);
		return true;
	}
	if (channel != CHANNEL_RESIZE && !(channel == CHANNEL_CONTROL && session->control)) {
		end(session, HTTP_WEBSOCKET_PROTOCOL_ERROR, "nobody sends on that channel");
		return true;
	}
	if (json_parse(data, length, &object, &err) < 0 ||
	    !json_object_is_type(object, json_type_object))
		end(session, HTTP_WEBSOCKET_PROTOCOL_ERROR, "no JSON object");
	else if (channel == CHANNEL_RESIZE)
		take_resize(session, object);
	else
		take_control(session, object);
	json_object_put(object);
	return true;
}

/* --- routes -------------------------------------------------------------------------------------- */

/* The handshake is right: the session, or NULL: answered. */
static struct session *session_new(struct call *call)
{
	static const char *const spoken[] = {PROTOCOL_OWN, PROTOCOL_PLAIN, NULL};
	const char *protocol;
	struct session *session;
	bool named;

	if (!http_websocket_check(call->request))
		return NULL;
	protocol = http_websocket_protocol(call->request, spoken, &named);
	if (named && !protocol) {
		http_reply_problem(call->request, 400,
				   PROTOCOL_OWN " and " PROTOCOL_PLAIN " are spoken here");
		return NULL;
	}
	session = ARENA_NEW(http_request_arena(call->request), struct session);
	session->call = call;
	session->protocol = protocol;
	session->control = protocol && str_equal(protocol, PROTOCOL_OWN);
	session->peer.events = &events;
	session->peer.actor = call->user ? call->user : call->actor;
	session->request = http_request_ref(call->request);
	return session;
}

static void begin(struct session *session, int code, const struct gantry_error *err)
{
	if (code == 0) {
		http_request_on_gone(session->request, on_gone, session);
		return;
	}
	call_fail(session->call, err);
	let_go(session);
}

void handle_instance_attach(struct call *call)
{
	struct instance *instance = call_instance(call);
	const char *role = http_request_query(call->request, "role");
	const struct flows_ask ask = call_asker(call);
	struct session *session;
	struct gantry_error err;
	int64_t tail, after;
	bool take, scrollback;
	int code;

	if (!instance || call_integer(call, "tail", 1, INT64_MAX, -1, &tail) < 0 ||
	    call_cursor(call, "after", &after) < 0 || call_bool(call, "take", &take) < 0 ||
	    call_bool(call, "scrollback", &scrollback) < 0)
		return;
	if (role && !str_equal(role, "driver") && !str_equal(role, "observer")) {
		gantry_error_field(&err, -EINVAL, "role", "must be driver or observer");
		call_fail(call, &err);
		return;
	}
	session = session_new(call);
	if (!session)
		return;
	session->peer.wants_kept = scrollback;
	session->peer.wants_log = tail >= 0 || after >= 0;
	session->peer.tail = tail;
	session->peer.after = after;
	code = console_attach(call->daemon, &ask, instance, &session->peer,
			      !str_equal(role, "observer"), take, &err);
	begin(session, code, &err);
}

void handle_instance_exec(struct call *call)
{
	struct instance *instance = call_instance(call);
	const struct exec *exec;
	struct json_object *object;
	struct flows_ask ask;
	struct gantry_error err;
	char path[64];

	if (!instance || call_ask(call, 201, &ask) != 0)
		return;
	if (exec_create(call->daemon, &ask, instance, call->body, &exec, &err) < 0) {
		call_fail(call, &err);
		return;
	}
	snprintf(path, sizeof(path), "/v1/execs/%s", exec->id);
	object = json_object_new_object();
	json_add_string(object, "id", exec->id);
	json_add_string(object, "path", path);
	json_add_time(object, "expires_at", exec->expires_ms);
	http_reply_header(call->request, "Location", path);
	call_reply(call, 201, object);
}

void handle_exec_attach(struct call *call)
{
	struct session *session;
	struct exec *exec;
	struct gantry_error err;

	session = session_new(call);
	if (!session)
		return;
	if (exec_take(call->daemon, call->parameter, call->actor, &exec, &err) < 0)
		begin(session, err.code, &err);
	else
		begin(session, console_exec(call->daemon, exec, &session->peer, &err), &err);
}
