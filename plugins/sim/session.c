/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sitting at a simulated process: attach and exec.
 *
 *	act ─▶ open ─▶ what the process writes, in the order it comes ─▶ the process ends ─▶ the rest ─▶ done
 *
 * What is written waits in the session and is told by a timer: never from inside a call of the core's, and not while
 * the op is paused. A process that echoes waits while a session holds more than HIGH_BYTES.
 */
#include "sim.h"

#include <stdlib.h>

#define HIGH_BYTES   ((size_t)256 * 1024)
#define END_OF_INPUT 0x04 /* typed at a terminal */

struct piece {
	STAILQ_ENTRY(piece) next;
	int stream;
	size_t length;
	char data[];
};

/* In the op's memory, but for the pieces. */
struct gantry_session {
	struct sim_call call;
	LIST_ENTRY(gantry_session) link; /* of the node's, while it is open */
	struct gantry_session_sink sink;
	STAILQ_HEAD(pieces, piece)
	pieces, early;              /* owned; early: input before the process has begun */
	size_t bytes;               /* in them */
	struct gantry_timer *timer; /* tells */
	bool exec, tty;
	bool input; /* there is one, and it has not ended */
	bool open, paused;
	bool over;  /* the process has ended */
	bool waits; /* the writer is to hear drain */
	bool early_end;
	const char *words[3];
	struct gantry_timer *due; /* of an exec: it ends */
	struct gantry_exit end;
};

static void tell(void *arg);

static void tell_later(struct gantry_session *session)
{
	const struct gantry_host *host = session->call.node->host;

	if (!session->timer && !session->paused)
		session->timer = host->timer_start(host->core, 0, tell, session);
}

static bool is_at(const struct gantry_session *session, const struct gantry_session *other)
{
	return session == other || (!session->exec && !other->exec &&
				    strcmp(session->call.container, other->call.container) == 0);
}

/* Those at the same process as the one given. */
static void drain(const struct gantry_session *given)
{
	struct sim_node *node = given->call.node;
	struct gantry_session *session = LIST_FIRST(&node->sessions);

	while (session) {
		if (!session->waits || !is_at(session, given)) {
			session = LIST_NEXT(session, link);
			continue;
		}
		session->waits = false;
		session->sink.drain(session->sink.arg);
		session = LIST_FIRST(&node->sessions); /* any may have left */
	}
}

static void tell(void *arg)
{
	struct gantry_session *session = arg;
	struct piece *piece;

	session->timer = NULL;
	while (!session->paused && (piece = STAILQ_FIRST(&session->pieces))) {
		STAILQ_REMOVE_HEAD(&session->pieces, next);
		session->bytes -= piece->length;
		session->sink.data(session->sink.arg, piece->stream, piece->data, piece->length);
		free(piece);
		if (session->call.ended) /* it was cancelled meanwhile */
			return;
	}
	if (session->bytes <= HIGH_BYTES / 2)
		drain(session);
	if (!session->call.ended && session->over && STAILQ_EMPTY(&session->pieces))
		sim_call_done(&session->call, session->exec ? &session->end : NULL);
}

static void append(struct pieces *pieces, int stream, const char *data, size_t length)
{
	struct piece *piece = sim_alloc(sizeof(*piece) + length);

	piece->stream = stream;
	piece->length = length;
	memcpy(piece->data, data, length);
	STAILQ_INSERT_TAIL(pieces, piece, next);
}

static void forget(struct pieces *pieces)
{
	struct piece *piece;

	while ((piece = STAILQ_FIRST(pieces))) {
		STAILQ_REMOVE_HEAD(pieces, next);
		free(piece);
	}
}

static void add(struct gantry_session *session, int stream, const char *data, size_t length)
{
	append(&session->pieces, session->tty ? 1 : stream, data, length);
	session->bytes += length;
	tell_later(session);
}

static void end(struct gantry_session *session)
{
	session->over = true;
	session->input = false;
	tell_later(session);
}

static void on_pause(void *arg, bool paused)
{
	struct gantry_session *session = arg;

	session->paused = paused;
	if (paused && session->timer) {
		session->call.node->host->timer_stop(session->timer);
		session->timer = NULL;
	}
	tell_later(session);
}

static void leave(struct sim_call *call)
{
	struct gantry_session *session = (struct gantry_session *)call;
	const struct gantry_host *host = call->node->host;
	struct sim_container *container;

	host->op_on_pause(call->op, NULL, NULL);
	if (session->timer)
		host->timer_stop(session->timer);
	if (session->due)
		host->timer_stop(session->due);
	forget(&session->pieces);
	forget(&session->early);
	if (!session->open)
		return;
	LIST_REMOVE(session, link);
	session->bytes = 0;
	drain(session);
	container = session->exec ? NULL : sim_table_find(call->node, call->container);
	if (container && session->input && !session->tty)
		sim_process_input_end(container);
}

static void open_session(struct gantry_session *session, struct sim_container *container)
{
	session->open = true;
	LIST_INSERT_HEAD(&session->call.node->sessions, session, link);
	sim_await_end(&session->call, container);
	session->call.node->host->op_on_pause(session->call.op, on_pause, session);
	session->sink.open(session->sink.arg, session);
}

static struct gantry_session *session_new(struct sim_node *node, enum sim_verb verb,
					  const char *container,
					  const struct gantry_session_sink *sink,
					  void (*act)(struct sim_call *call), struct gantry_op *op)
{
	struct gantry_session *session =
		sim_call_new(node, op, verb, sizeof(*session), act, container, NULL);

	STAILQ_INIT(&session->pieces);
	STAILQ_INIT(&session->early);
	session->sink = *sink;
	session->call.by_timer = true;
	session->call.leave = leave;
	return session;
}

/* --- attach --- */

static void attach_act(struct sim_call *call)
{
	struct gantry_session *session = (struct gantry_session *)call;
	struct sim_container *container = sim_call_container(call);

	if (!container)
		return;
	if (container->state == GANTRY_CONTAINER_EXITED) {
		sim_call_fail(call, -EALREADY, "it has ended");
		return;
	}
	session->tty = container->tty;
	open_session(session, container);
}

void sim_attach(void *node, const char *container, bool input,
		const struct gantry_session_sink *sink, struct gantry_op *op)
{
	struct gantry_session *session =
		session_new(node, SIM_ATTACH, container, sink, attach_act, op);

	session->input = input;
	sim_call_begin(&session->call);
}

int sim_session_output(void *arg, int stream, const char *data, size_t length)
{
	const struct sim_container *container = arg;
	struct gantry_session *session;
	char id[SIM_ID_SIZE];

	sim_id_text(container->key, id);
	LIST_FOREACH (session, &container->node->sessions, link)
		if (!session->exec && strcmp(session->call.container, id) == 0)
			add(session, stream, data, length);
	return 0;
}

void sim_sessions_started(struct sim_container *container)
{
	struct gantry_session *session;
	struct piece *piece;
	char id[SIM_ID_SIZE];
	bool ends = false;

	sim_id_text(container->key, id);
	LIST_FOREACH (session, &container->node->sessions, link) {
		if (session->exec || strcmp(session->call.container, id) != 0)
			continue;
		STAILQ_FOREACH(piece, &session->early, next)
		sim_process_input(container, piece->data, piece->length);
		forget(&session->early);
		ends = ends || session->early_end;
	}
	if (ends)
		sim_process_input_end(container);
}

void sim_session_ended(struct sim_call *call)
{
	struct gantry_session *session = (struct gantry_session *)call;

	session->end.exit_code = 137; /* of an exec: it goes with its container */
	end(session);
}

/* --- exec --- */

static void on_due(void *arg)
{
	struct gantry_session *session = arg;

	session->due = NULL;
	end(session);
}

static void exec_act(struct sim_call *call)
{
	struct gantry_session *session = (struct gantry_session *)call;
	struct sim_container *container = sim_call_container(call);
	const struct gantry_host *host = call->node->host;
	const char *word = session->words[0], *text = session->words[1] ? session->words[1] : "";

	if (!container)
		return;
	if (container->state != GANTRY_CONTAINER_RUNNING) {
		sim_call_fail(call, -EALREADY, "the container is not running");
		return;
	}
	if (strcmp(word, "notfound") == 0 || strcmp(word, "noexec") == 0) {
		sim_call_fail(call, -ENOEXEC, "exec: \"%s\": it cannot be run", word);
		return;
	}
	open_session(session, container);
	if (call->ended)
		return;
	if (strcmp(word, "echo") == 0 || strcmp(word, "warn") == 0) {
		add(session, word[0] == 'e' ? 1 : 2, text, strlen(text));
		add(session, word[0] == 'e' ? 1 : 2, "\n", 1);
		end(session);
	} else if (strcmp(word, "exit") == 0) {
		session->end.exit_code = atoi(text);
		session->due = host->timer_start(host->core, sim_read_ms(session->words[2]), on_due,
						 session);
	} else if (strcmp(word, "cat") == 0 && !session->input) {
		end(session);
	}
}

void sim_exec(void *node, const char *container, const struct gantry_exec *exec,
	      const struct gantry_session_sink *sink, struct gantry_op *op)
{
	struct gantry_session *session = session_new(node, SIM_EXEC, container, sink, exec_act, op);

	for (size_t i = 0; i < 3 && i < exec->command.count; i++)
		session->words[i] = sim_call_keep(&session->call, exec->command.items[i]);
	if (!session->words[0])
		session->words[0] = "";
	session->exec = true;
	session->input = exec->input;
	session->tty = exec->tty;
	sim_call_begin(&session->call);
}

/* --- both --- */

static bool is_full(const struct gantry_session *given)
{
	const struct gantry_session *session;

	LIST_FOREACH (session, &given->call.node->sessions, link)
		if (session->bytes > HIGH_BYTES && is_at(session, given))
			return true;
	return false;
}

static void input_ends(struct gantry_session *session)
{
	struct sim_container *container;

	if (session->exec && strcmp(session->words[0], "cat") == 0) {
		end(session);
	} else if (!session->exec) {
		container = sim_table_find(session->call.node, session->call.container);
		session->early_end = container && container->state == GANTRY_CONTAINER_CREATED;
		if (container)
			sim_process_input_end(container);
	}
}

bool sim_session_write(struct gantry_session *session, const void *data, size_t length)
{
	const char *eof = session->tty ? memchr(data, END_OF_INPUT, length) : NULL;
	struct sim_container *container;

	if (!session->input)
		return false;
	if (eof)
		length = (size_t)(eof - (const char *)data);
	if (length && session->exec && strcmp(session->words[0], "cat") == 0) {
		add(session, 1, data, length);
	} else if (length && !session->exec) {
		container = sim_table_find(session->call.node, session->call.container);
		if (container && container->state == GANTRY_CONTAINER_CREATED)
			append(&session->early, 0, data, length);
		else if (container)
			sim_process_input(container, data, length);
	}
	if (eof)
		input_ends(session);
	session->waits = is_full(session);
	return !session->waits;
}

int sim_session_shutdown(struct gantry_session *session)
{
	if (!session->input)
		return 0;
	session->input = false;
	if (!session->tty)
		input_ends(session);
	return 0;
}

void sim_session_resize(struct gantry_session *session, int rows, int columns)
{
	(void)session, (void)rows, (void)columns; /* no program here asks for it */
}
