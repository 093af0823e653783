/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console, from the first who wants it to the end of its upstream session:
 *
 *	OPENING ──open──▶ OPEN ──the op ends, for whatever reason──▶ gone
 *
 * The op is its life: whoever wants the end cancels the op, and on_ended tells the peers and frees. One
 * that is on its way out is no longer found: who comes then gets a console anew.
 */
#include "flows/console/console.h"
#include "flows/console/console_join.h"
#include "flows/console/console_kept.h"
#include "flows/console/exec.h"
#include "flows/policy/admit.h"
#include "base/clock.h"
#include "base/str.h"
#include "flows/console/recording.h"
#include "flows/engine/node_link.h"
#include "model/spec.h"

#include <stdlib.h>

struct console {
	struct list link; /* in daemon->consoles; empty: not to be found */
	struct daemon *daemon;
	const struct gantry_runtime *runtime; /* borrowed */
	struct gantry_op *op;
	struct gantry_session *session; /* borrowed; NULL until it is open */
	struct list peers;
	struct console_peer *driver; /* borrowed; NULL: none */
	char instance[INSTANCE_ID_SIZE];
	bool exec, input;
	bool tty;
	bool in_line; /* what was typed last did not end a line */
	bool stays;   /* without peers too: for what is kept, and as its end would be the input's */
	bool paused;  /* the driver is behind, and the op is paused */

	struct console_kept kept;
	size_t joining;    /* peers that look for their place in it */
	int64_t opened_us; /* 0: it is not open */

	struct gantry_op *prepare; /* who starts the process waits; borrowed, NULL: nobody */
};

static void on_open(void *arg, struct gantry_session *session);
static void on_output(void *arg, int stream, const char *data, size_t length);
static void on_drain(void *arg);
static void on_ended(void *arg, const struct gantry_error *err, const void *result);

/* --- consoles ------------------------------------------------------------------------------------ */

static struct console *console_new(struct daemon *daemon, const struct instance *instance,
				   const struct node_link *link)
{
	struct console *console = xcalloc(1, sizeof(*console));

	console->daemon = daemon;
	console->runtime = link->runtime;
	list_init(&console->link);
	list_init(&console->peers);
	snprintf(console->instance, sizeof(console->instance), "%s", instance->id);
	return console;
}

static struct console *find(const struct daemon *daemon, const struct instance *instance)
{
	LIST_FOREACH (node, &daemon->consoles) {
		struct console *console = LIST_ENTRY(node, struct console, link);

		if (str_equal(console->instance, instance->id))
			return console;
	}
	return NULL;
}

static struct console *open_upstream(struct daemon *daemon, const struct instance *instance,
				     const struct node_link *link)
{
	struct console *console = console_new(daemon, instance, link);
	const struct gantry_session_sink sink = {
		.arg = console, .open = on_open, .data = on_output, .drain = on_drain};

	console->input = instance->spec.stdin_open;
	console->tty = instance->spec.tty;
	console->stays = console->input;
	list_append(&daemon->consoles, &console->link);
	console->op = op_new(&daemon->scope, "attach", on_ended, console);
	link->runtime->attach(link->handle, instance->container_id, console->input, &sink,
			      console->op);
	return console;
}

static void on_peer_later(struct loop_later *later);
static void on_joined(struct console_peer *peer);
static void catch_up(struct console_peer *peer);

static void join(struct console *console, struct console_peer *peer)
{
	if (peer->join)
		console->joining++;
	peer->console = console;
	peer->open = peer->behind = peer->client_behind = peer->disk_behind = false;
	peer->lost_bytes = 0;
	loop_later_init(&peer->later, on_peer_later);
	list_append(&console->peers, &peer->link);
	if (console->session)
		loop_later(console->daemon->loop, &peer->later);
}

/* --- recordings ---------------------------------------------------------------------------------- */

static void on_recording_room(void *arg)
{
	struct console_peer *peer = arg;

	peer->disk_behind = false;
	if (!peer->client_behind)
		catch_up(peer);
}

static void on_recording_failed(void *arg, const char *why)
{
	struct console_peer *peer = arg;

	if (peer->open)
		peer->events->recorded(peer, recording_id(peer->recording), why);
	if (peer->disk_behind)
		on_recording_room(peer);
}

/* As its terms say. */
static void record(struct daemon *daemon, const struct instance *instance,
		   struct console_peer *peer, const struct console_terms *terms,
		   const struct gantry_exec *exec)
{
	const struct recording_about about = {
		.instance = instance,
		.verb = exec ? "exec" : "attach",
		.actor = peer->actor,
		.command = exec ? &exec->command : NULL,
		.decision = terms->decision,
		.input = terms->record == SCRIPT_RECORD_INPUT,
	};

	if (terms->record != SCRIPT_UNRECORDED)
		peer->recording =
			recording_new(daemon, &about, on_recording_room, on_recording_failed, peer);
}

static void forget_recording(struct console_peer *peer)
{
	recording_end(peer->recording);
	peer->recording = NULL;
}

static void tell_changed(struct console *console)
{
	LIST_FOREACH (node, &console->peers) {
		struct console_peer *peer = LIST_ENTRY(node, struct console_peer, link);

		if (peer->open)
			peer->events->changed(peer);
	}
}

int console_attach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		   struct console_peer *peer, bool drives, bool take, struct gantry_error *err)
{
	const struct node_link *link;
	struct console_terms terms;
	struct console *console;
	int code = console_check(daemon, instance, &link, err);

	if (code == 0)
		code = admit(daemon, ask, instance, "attach", NULL, &terms, err);
	if (code == 0 && peer->wants_log)
		code = join_new(daemon, instance, peer, on_joined, &peer->join, err);
	if (code < 0)
		return code;
	console = find(daemon, instance);
	if (!console)
		console = open_upstream(daemon, instance, link);
	join(console, peer);
	record(daemon, instance, peer, &terms, NULL);
	if (drives && (take || !console->driver))
		console_take(peer);
	return 0;
}

int console_exec(struct daemon *daemon, struct exec *exec, struct console_peer *peer,
		 struct gantry_error *err)
{
	struct instance *instance = fleet_find(&daemon->fleet, exec->instance);
	const struct node_link *link;
	struct gantry_session_sink sink = {.open = on_open, .data = on_output, .drain = on_drain};
	struct console *console;
	int code = instance ? console_check(daemon, instance, &link, err)
			    : gantry_error_set(err, -ENOENT, "the instance was removed");

	if (code == 0) {
		console = console_new(daemon, instance, link);
		console->exec = true;
		console->input = exec->asked.input;
		console->tty = exec->asked.tty;
		join(console, peer);
		record(daemon, instance, peer, &exec->terms, &exec->asked);
		console->driver = peer;
		console->op = op_new(&daemon->scope, "exec", on_ended, console);
		sink.arg = console;
		link->runtime->exec(link->handle, instance->container_id, &exec->asked, &sink,
				    console->op);
	}
	exec_free(exec);
	return code;
}

bool console_wants_prepare(struct daemon *daemon, const struct instance *instance)
{
	const struct node_link *link = node_link_find(daemon, instance->node);

	return (instance->spec.stdin_open || instance->serial.port) && link &&
	       link->runtime->attach && !find(daemon, instance);
}

void console_prepare(struct daemon *daemon, struct instance *instance, struct gantry_op *op)
{
	open_upstream(daemon, instance, node_link_find(daemon, instance->node))->prepare = op;
}

static void tell_prepared(struct console *console)
{
	struct gantry_op *op = console->prepare;

	console->prepare = NULL;
	if (op)
		op_done(op, NULL, NULL);
}

/* --- output -------------------------------------------------------------------------------------- */

bool console_show(struct console_peer *peer, int stream, const char *data, size_t length)
{
	if (!peer->events->output(peer, stream, data, length))
		peer->client_behind = true;
	if (peer->recording && !recording_output(peer->recording, stream, data, length))
		peer->disk_behind = true;
	return !peer->client_behind && !peer->disk_behind;
}

static void give(struct console *console, struct console_peer *peer, int stream, const char *data,
		 size_t length)
{
	if (peer->behind && peer != console->driver) {
		peer->lost_bytes += length;
		return;
	}
	if (console_show(peer, stream, data, length))
		return;
	peer->behind = true;
	if (peer != console->driver || console->paused || !console->session)
		return;
	console->paused = true;
	op_pause(console->op, true);
}

static void on_output(void *arg, int stream, const char *data, size_t length)
{
	struct console *console = arg;

	if (!console->exec)
		kept_add(&console->kept, console->joining ? KEPT_MORE_BYTES : KEPT_BYTES, stream,
			 data, length);
	LIST_FOREACH (node, &console->peers) {
		struct console_peer *peer = LIST_ENTRY(node, struct console_peer, link);

		if (peer->open && !peer->join)
			give(console, peer, stream, data, length);
	}
}

static void go_on(struct console *console)
{
	if (!console->paused)
		return;
	console->paused = false;
	op_pause(console->op, false);
}

static void tell_lost(struct console_peer *peer, uint64_t bytes)
{
	char text[64];

	peer->events->lost(peer, bytes);
	snprintf(text, sizeof(text), "%llu bytes were left out", (unsigned long long)bytes);
	if (peer->recording)
		recording_mark(peer->recording, text);
}

void console_caught_up(struct console_peer *peer)
{
	peer->client_behind = false;
	if (!peer->disk_behind)
		catch_up(peer);
}

static void catch_up(struct console_peer *peer)
{
	struct console *console = peer->console;
	uint64_t lost_bytes = peer->lost_bytes;

	peer->behind = false;
	peer->lost_bytes = 0;
	if (peer->join)
		join_resume(peer->join);
	if (!console)
		return;
	if (lost_bytes)
		tell_lost(peer, lost_bytes);
	if (peer == console->driver)
		go_on(console);
}

static void give_kept(struct console *console, struct console_peer *peer)
{
	const struct console_kept *kept = &console->kept;
	const char *data = str_text(&kept->bytes);

	if (kept->dropped_bytes)
		tell_lost(peer, kept->dropped_bytes);
	for (size_t i = 0; i < kept->count; data += kept->pieces[i++].length)
		console_show(peer, kept->pieces[i].stream, data, kept->pieces[i].length);
}

/* The upstream is open: so is the peer. What was before comes first. */
static void open_peer(struct console_peer *peer)
{
	struct console *console = peer->console;

	peer->open = true;
	peer->events->opened(peer);
	if (peer->console != console)
		return;
	if (peer->recording)
		peer->events->recorded(peer, recording_id(peer->recording),
				       recording_why_not(peer->recording));
	if (peer->join)
		join_open(peer->join, &console->kept, console->opened_us);
	else if (peer->wants_kept)
		give_kept(console, peer);
}

static void on_peer_later(struct loop_later *later)
{
	open_peer(LIST_ENTRY(later, struct console_peer, later));
}

static void on_open(void *arg, struct gantry_session *session)
{
	struct console *console = arg;

	console->session = session;
	console->opened_us = clock_monotonic_us();
	LIST_FOREACH (node, &console->peers)
		open_peer(LIST_ENTRY(node, struct console_peer, link));
	tell_prepared(console);
}

/* --- input --------------------------------------------------------------------------------------- */

enum console_input console_input(struct console_peer *peer, const char *data, size_t length)
{
	struct console *console = peer->console;

	if (!console || !console->session || console->driver != peer || !console->input)
		return CONSOLE_REFUSED;
	if (peer->recording)
		recording_input(peer->recording, data, length);
	if (length)
		console->in_line = data[length - 1] != '\n' && data[length - 1] != '\r';
	return console->runtime->session_write(console->session, data, length) ? CONSOLE_TAKEN
									       : CONSOLE_BEHIND;
}

int console_input_end(struct console_peer *peer)
{
	static const char ends[] = {0x04, 0x04}; /* VEOF: the first one only ends a line begun */
	struct console *console = peer->console;
	int code;

	if (!console || !console->session || console->driver != peer || !console->input)
		return 0;
	if (console->tty) {
		console_input(peer, ends, console->in_line ? 2 : 1);
		return 0;
	}
	code = console->runtime->session_shutdown(console->session);
	if (code == 0)
		console->input = false;
	return code;
}

static void on_drain(void *arg)
{
	struct console *console = arg;

	if (console->driver)
		console->driver->events->drain(console->driver);
}

void console_resize(struct console_peer *peer, int rows, int columns)
{
	struct console *console = peer->console;

	if (!console || !console->session || console->driver != peer)
		return;
	if (peer->recording)
		recording_resize(peer->recording, rows, columns);
	console->runtime->session_resize(console->session, rows, columns);
}

/* --- who drives ---------------------------------------------------------------------------------- */

void console_take(struct console_peer *peer)
{
	struct console *console = peer->console;

	if (!console || console->driver == peer)
		return;
	console->driver = peer;
	if (!peer->behind)
		go_on(console); /* it was the last one who was behind */
	tell_changed(console);
}

bool console_drives(const struct console_peer *peer)
{
	return peer->console && peer->console->driver == peer;
}

const char *console_driver(const struct console_peer *peer)
{
	return peer->console && peer->console->driver ? peer->console->driver->actor : NULL;
}

/* --- the end ------------------------------------------------------------------------------------- */

static void take_off(struct console_peer *peer)
{
	struct console *console = peer->console;

	loop_later_cancel(console->daemon->loop, &peer->later);
	list_remove(&peer->link);
	peer->console = NULL;
	if (peer->join)
		console->joining--;
	if (console->driver == peer)
		console->driver = NULL;
}

/* Nobody is left, or the driver is not. */
static void go_on_without(struct console *console, bool drove)
{
	if (list_empty(&console->peers) && !console->prepare &&
	    !(console->session && console->stays)) {
		list_remove(&console->link);
		op_cancel(console->op);
	} else if (drove) {
		if (console->session)
			go_on(console);
		tell_changed(console);
	}
}

static void forget_join(struct console_peer *peer)
{
	if (peer->join && peer->console)
		peer->console->joining--;
	join_free(peer->join);
	peer->join = NULL;
}

void console_leave(struct console_peer *peer)
{
	struct console *console = peer->console;
	bool drove;

	forget_join(peer);
	forget_recording(peer);
	if (!console)
		return;
	drove = console->driver == peer;
	take_off(peer);
	go_on_without(console, drove);
}

/* It has been shown the log, and all that was kept behind it. */
static void on_joined(struct console_peer *peer)
{
	const struct gantry_error *told;
	const struct gantry_exit *told_exit;
	bool over = join_is_over(peer->join, &told, &told_exit), failed = told, exited = told_exit;
	struct gantry_error err = failed ? *told : (struct gantry_error){0};
	struct gantry_exit exit = exited ? *told_exit : (struct gantry_exit){0};

	if (!over) {
		forget_join(peer);
		return;
	}
	console_leave(peer);
	peer->events->ended(peer, failed ? &err : NULL, exited ? &exit : NULL);
}

static void on_ended(void *arg, const struct gantry_error *err, const void *result)
{
	struct console *console = arg;

	console->session = NULL;
	list_remove(&console->link);
	tell_prepared(console);
	while (!list_empty(&console->peers)) {
		struct console_peer *peer =
			LIST_ENTRY(console->peers.next, struct console_peer, link);

		take_off(peer);
		if (peer->join && peer->open) {
			join_over(peer->join, err, result);
			continue;
		}
		forget_join(peer);
		forget_recording(peer);
		peer->events->ended(peer, err, result);
	}
	kept_fini(&console->kept);
	free(console);
}
