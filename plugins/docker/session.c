/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sitting at a process: the engine turns the connection of an attach, or of an exec's start, into a
 * stream of bytes.
 *
 *	attach   inspect ─▶ upgrade ─▶ open ─▶ bytes both ways ─▶ the engine ends it ─▶ inspect ─▶ done
 *	exec     create  ─▶ upgrade ─▶ open ─▶ bytes both ways ─▶ the engine ends it ─▶ inspect ─▶ done
 *
 * An engine that goes away ends its streams as well as one whose process has ended: so it is asked.
 *
 * With a terminal the bytes are as they are, else output comes in frames as in output.c. Input has no
 * frames; its end is the end of our side of the connection.
 *
 * The engine looks for keys that detach in the input of a terminal, and swallows them: ctrl-p ctrl-q
 * unless told otherwise. Nobody here wants that, so it is told keys that nobody types.
 *
 * An exec whose session is cancelled runs on in the container as long as it likes: the engine has no
 * call that ends it. It reads the end of its input, but for one with a terminal. An engine loses that end where it
 * comes before the process is started, which is after the answer to the upgrade: so the connection is closed
 * once the process is there.
 */
#include "docker.h"

#include <stdlib.h>

/* Single bytes that no UTF-8 has: for an attach, where the keys are in the query. */
#define ATTACH_KEYS "%FF,%FE,%FF,%FE,%FF,%FE,%FF,%FE"
/* For an exec they are in JSON and must be ASCII: the first is held back until the next key. */
#define EXEC_KEYS "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_"
/* The engine may call a process running for a moment after its output has ended. */
#define EXIT_LOOKS   250
#define EXIT_LOOK_MS 20
#define BEGIN_LOOKS  250 /* for its beginning, as long */

struct gantry_session {
	struct docker_call
		call; /* inspect or create before, inspect after; the op's cancel ends it */
	struct docker_call resize; /* of its own */
	struct docker_call begin;  /* after a cancel: whether an exec's process is there */
	struct docker_node *node;  /* borrowed, as op */
	struct gantry_op *op;
	struct gantry_session_sink sink;
	const char *container, *exec; /* in the op's memory; exec NULL: an attach */
	struct gantry_stream *stream; /* NULL: before and after */
	struct gantry_timer *timer;   /* NULL: not set */
	int rows, columns;            /* asked for while a resize is under way; 0: nothing */
	bool input, tty, cancelled, malformed;
	bool over; /* only a resize is still under way */
	int looks;
	struct gantry_exit exit;
	struct gantry_error failure; /* code 0: none */

	struct docker_frames frames;
};

static void look_for_exit(void *arg);

static struct gantry_session *session_new(struct docker_node *node, const char *container,
					  const struct gantry_session_sink *sink,
					  struct gantry_op *op)
{
	struct gantry_session *session = node->host->op_alloc(op, sizeof(*session));

	session->call.node = session->resize.node = session->begin.node = session->node = node;
	session->call.op = session->op = op;
	session->call.arg = session->resize.arg = session->begin.arg = session;
	session->container = docker_keep(node, op, container);
	session->sink = *sink;
	return session;
}

/* --- its end ------------------------------------------------------------------------------------- */

static void tell_end(struct gantry_session *session)
{
	session->node->host->op_done(session->op, session->failure.code ? &session->failure : NULL,
				     session->exec ? &session->exit : NULL);
}

static void end_session(struct gantry_session *session, const struct gantry_error *err)
{
	if (err)
		session->failure = *err;
	session->node->host->op_on_cancel(session->op, NULL, NULL);
	if (GANTRY_HOST_HAS(session->node->host, op_on_pause))
		session->node->host->op_on_pause(session->op, NULL, NULL);
	session->over = true;
	if (session->resize.busy)
		docker_call_cancel(&session->resize);
	else
		tell_end(session);
}

__attribute__((format(printf, 3, 4))) static void fail_session(struct gantry_session *session,
							       int code, const char *format, ...)
{
	struct gantry_error err;
	va_list args;

	va_start(args, format);
	gantry_error_setv(&err, code, format, args);
	va_end(args);
	gantry_error_prefix(&err, "docker");
	end_session(session, &err);
}

static void look_for_begin(void *arg);

/* Whatever it tells, the session ends; only when is asked for. */
static void on_begin_known(struct docker_call *call, const struct gantry_error *err,
			   struct json_object *reply)
{
	struct gantry_session *session = call->arg;
	const struct gantry_host *host = session->node->host;

	if (!session->stream)
		fail_session(session, -ECANCELED, "cancelled");
	else if (err || docker_int(reply, "Pid", 0) > 0 || ++session->looks > BEGIN_LOOKS)
		host->stream_close(session->stream);
	else
		session->timer =
			host->timer_start(host->core, EXIT_LOOK_MS, look_for_begin, session);
}

static void look_for_begin(void *arg)
{
	struct gantry_session *session = arg;

	session->timer = NULL;
	session->begin.done = on_begin_known;
	docker_call(&session->begin, "GET", NULL, "/exec/%s/json", session->exec);
}

static void cancel_session(void *arg)
{
	struct gantry_session *session = arg;

	session->cancelled = true;
	if (session->stream && session->exec && session->input) {
		look_for_begin(session);
	} else if (session->stream) {
		session->node->host->stream_close(session->stream);
	} else if (session->timer) {
		session->node->host->timer_stop(session->timer);
		session->timer = NULL;
		fail_session(session, -ECANCELED, "cancelled");
	}
}

static void on_exit_known(struct docker_call *call, const struct gantry_error *err,
			  struct json_object *reply)
{
	struct gantry_session *session = call->arg;
	const struct gantry_host *host = session->node->host;

	if (err && err->code == -ENOENT && !session->exec) {
		end_session(session, NULL); /* removed meanwhile */
	} else if (err) {
		end_session(session, err);
	} else if (!docker_bool(session->exec ? reply : docker_get(reply, "State"), "Running")) {
		session->exit.exit_code = (int)docker_int(reply, "ExitCode", 0);
		end_session(session, NULL);
	} else if (++session->looks > EXIT_LOOKS) {
		fail_session(session, -EIO,
			     "the engine has ended the session, and the process runs on");
	} else {
		session->timer =
			host->timer_start(host->core, EXIT_LOOK_MS, look_for_exit, session);
		host->op_on_cancel(session->op, cancel_session, session);
	}
}

static void look_for_exit(void *arg)
{
	struct gantry_session *session = arg;

	session->timer = NULL;
	session->call.done = on_exit_known;
	docker_call(&session->call, "GET", NULL, "/%s/%s/json",
		    session->exec ? "exec" : "containers",
		    session->exec ? session->exec : session->container);
}

/* --- bytes --------------------------------------------------------------------------------------- */

static void take_frames(struct gantry_session *session, const char *data, size_t length)
{
	struct docker_piece piece;
	int code;

	while ((code = docker_frames_next(&session->frames, &data, &length, &piece)) > 0)
		session->sink.data(session->sink.arg, piece.stream, piece.data, piece.length);
	if (code < 0) {
		session->malformed = true;
		session->node->host->stream_close(session->stream);
	}
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct gantry_session *session = arg;

	if (session->cancelled)
		return;
	if (session->tty)
		session->sink.data(session->sink.arg, 1, data, length);
	else if (!session->malformed)
		take_frames(session, data, length);
}

static void on_open(void *arg)
{
	struct gantry_session *session = arg;

	if (!session->cancelled)
		session->sink.open(session->sink.arg, session);
}

static void on_drain(void *arg)
{
	struct gantry_session *session = arg;

	if (!session->cancelled)
		session->sink.drain(session->sink.arg);
}

static void on_end(void *arg, const struct gantry_error *failure, int status, const char *body,
		   size_t length)
{
	struct gantry_session *session = arg;
	struct gantry_error err;

	session->stream = NULL; /* a pause has nothing more to hold */
	if (session->begin.busy)
		return; /* its answer ends the session */
	if (session->timer)
		session->node->host->timer_stop(session->timer);
	session->timer = NULL;
	if (session->cancelled) {
		fail_session(session, -ECANCELED, "cancelled");
	} else if (session->malformed) {
		fail_session(session, -EPROTO, "the engine sent no frame where one begins");
	} else if (failure) {
		docker_translate(failure, &err);
		end_session(session, &err);
	} else if (status >= 400) {
		docker_words(&err, status, body, length);
		end_session(session, &err);
	} else if (status != 101 && status != 200) {
		fail_session(session, -EIO, "the engine answers %d instead of a stream", status);
	} else if (docker_frames_amid(&session->frames)) {
		fail_session(session, -EIO, "the stream ended amid a frame");
	} else {
		look_for_exit(session);
	}
}

static void pause_session(void *arg, bool paused)
{
	struct gantry_session *session = arg;

	if (session->stream)
		session->node->host->stream_pause(session->stream, paused);
}

static void upgrade(struct gantry_session *session, const char *body, const char *path)
{
	struct docker_node *node = session->node;
	char *whole;
	struct gantry_upgrade asked = {
		.peer = &node->peer,
		.method = "POST",
		.content_type = body ? "application/json" : NULL,
		.body = body,
		.body_length = body ? strlen(body) : 0,
		.connect_timeout_ms = node->settings->connect_timeout_ms,
		.reply_timeout_ms = node->settings->stall_timeout_ms,
		.on_open = on_open,
		.on_data = on_data,
		.on_drain = on_drain,
		.on_end = on_end,
		.arg = session,
	};

	whole = docker_path(node, path);
	asked.path = whole;
	session->stream = node->host->upgrade(node->host->core, &asked);
	free(whole);
	node->host->op_on_pause(session->op, pause_session, session);
	node->host->op_on_cancel(session->op, cancel_session, session);
}

bool docker_session_write(struct gantry_session *session, const void *data, size_t length)
{
	return session->stream && session->input &&
	       session->node->host->stream_write(session->stream, data, length);
}

int docker_session_shutdown(struct gantry_session *session)
{
	return session->stream ? session->node->host->stream_shutdown(session->stream) : 0;
}

/* --- the size of the terminal -------------------------------------------------------------------- */

static void on_resized(struct docker_call *call, const struct gantry_error *err,
		       struct json_object *reply)
{
	struct gantry_session *session = call->arg;
	int rows = session->rows, columns = session->columns;

	(void)err, (void)reply; /* it may not run yet, or not any more */
	session->rows = session->columns = 0;
	if (session->over)
		tell_end(session);
	else if (rows && columns)
		docker_session_resize(session, rows, columns);
}

void docker_session_resize(struct gantry_session *session, int rows, int columns)
{
	if (!session->tty || session->over)
		return;
	if (session->resize.busy) {
		session->rows = rows;
		session->columns = columns;
		return;
	}
	session->resize.done = on_resized;
	docker_call(&session->resize, "POST", NULL, "/%s/%s/resize?h=%d&w=%d",
		    session->exec ? "exec" : "containers",
		    session->exec ? session->exec : session->container, rows, columns);
}

/* A core of ABI 1.0 has no streams; where it has, all is well. */
static bool offered(struct gantry_session *session)
{
	if (GANTRY_HOST_HAS(session->node->host, stream_close))
		return true;
	fail_session(session, -ENOTSUP, "this gantryd has no streams");
	return false;
}

/* --- attach -------------------------------------------------------------------------------------- */

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct gantry_session *session = call->arg;
	struct json_object *config = docker_get(reply, "Config");
	const char *status = docker_text(docker_get(reply, "State"), "Status");
	char *path = NULL;

	if (err) {
		end_session(session, err);
		return;
	}
	/* the engine would let us wait for a start that may never come */
	if (status && (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0)) {
		fail_session(session, -EALREADY, "the process has ended");
		return;
	}
	session->tty = docker_bool(config, "Tty");
	session->input = session->input && docker_bool(config, "OpenStdin");
	if (asprintf(&path,
		     "/containers/%s/attach?stream=1&stdin=%d&stdout=1&stderr=1&detachKeys=%s",
		     session->container, session->input, ATTACH_KEYS) < 0)
		abort();
	upgrade(session, NULL, path);
	free(path);
}

void docker_attach(void *node, const char *container, bool input,
		   const struct gantry_session_sink *sink, struct gantry_op *op)
{
	struct gantry_session *session = session_new(node, container, sink, op);

	if (!offered(session))
		return;
	session->input = input;
	session->call.done = inspected;
	docker_call(&session->call, "GET", NULL, "/containers/%s/json", session->container);
}

/* --- exec ---------------------------------------------------------------------------------------- */

static void created(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct gantry_session *session = call->arg;
	char *path = NULL;

	if (err) {
		end_session(session, err);
		return;
	}
	session->exec = docker_keep(session->node, session->op, docker_text(reply, "Id"));
	if (!session->exec) {
		fail_session(session, -EIO, "the engine told no id of the exec");
		return;
	}
	if (asprintf(&path, "/exec/%s/start", session->exec) < 0)
		abort();
	upgrade(session, session->tty ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false}",
		path);
	free(path);
}

void docker_exec(void *node, const char *container, const struct gantry_exec *exec,
		 const struct gantry_session_sink *sink, struct gantry_op *op)
{
	struct gantry_session *session = session_new(node, container, sink, op);
	struct json_object *body;

	if (!offered(session))
		return;
	body = json_object_new_object();
	session->input = exec->input;
	session->tty = exec->tty;
	docker_add_true(body, "AttachStdin", exec->input);
	docker_add_true(body, "AttachStdout", true);
	docker_add_true(body, "AttachStderr", true);
	docker_add_true(body, "Tty", exec->tty);
	docker_add_strings(body, "Cmd", &exec->command);
	docker_add_environment(body, &exec->environment);
	docker_add(body, "User", exec->user);
	docker_add(body, "WorkingDir", exec->working_dir);
	docker_add(body, "DetachKeys", EXEC_KEYS);
	session->call.done = created;
	docker_call(&session->call, "POST", docker_print(body), "/containers/%s/exec",
		    session->container);
	json_object_put(body);
}
