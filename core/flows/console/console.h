/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles: sitting at an instance's process.
 *
 * One upstream session an instance, however many peers share it; an exec has one of its own. Of the
 * peers one may be the driver: its input goes to the process, and the process waits where the driver is
 * behind. The others observe: one that is behind loses output, which it is told, and slows nobody.
 *
 *	console_attach, console_exec ─▶ opened ─▶ output, drain, changed … ─▶ ended
 *
 * The upstream of an instance with open input is attached before the process starts, so that nothing is
 * missed (that of one with a serial port too), and stays while it runs: without a terminal the end of that session is the end of the
 * process's input. What was written last is kept, and given first to a peer that asks for it, joined to
 * what comes without gap or repeat.
 */
#ifndef FLOWS_CONSOLE_H
#define FLOWS_CONSOLE_H

#include <gantry/runtime.h>

#include "flows/flows.h"

struct console;
struct console_peer;
struct exec;
struct console_join;
struct recording;
struct gantry_log_line;

/* What a peer hears, from the loop; but for changed, by console_take and console_leave, and lost, by
 * console_caught_up, never from inside a call below. */
struct console_events {
	void (*opened)(struct console_peer *peer);
	/* Stream 1 or 2. False: it is behind; console_caught_up says when it is not. */
	bool (*output)(struct console_peer *peer, int stream, const char *data, size_t length);
	void (*lost)(struct console_peer *peer,
		     uint64_t bytes);               /* while it was behind, or before */
	void (*drain)(struct console_peer *peer);   /* its input may go on */
	void (*changed)(struct console_peer *peer); /* who is driver */
	/* Of the log, for one who asked: lines that are not there; and that its line `sequence` (-1: none)
	 * was the last, what is live follows. Not exact: there may be a gap there, or a repeat. */
	void (*missing)(struct console_peer *peer, const struct gantry_log_line *gap);
	void (*joined)(struct console_peer *peer, int64_t boot, int64_t sequence, bool exact);
	/* It is recorded, under this id; or not any more, and why. */
	void (*recorded)(struct console_peer *peer, const char *id, const char *why_not);
	/* Off the console. err NULL: the session came to its end; exit: how an exec ended, else NULL. */
	void (*ended)(struct console_peer *peer, const struct gantry_error *err,
		      const struct gantry_exit *exit);
};

/* Embedded in its owner. */
struct console_peer {
	struct list link;
	struct console *console; /* borrowed; NULL: at none */
	const struct console_events *events;
	const char *actor;           /* borrowed */
	bool wants_kept;             /* asks for what was written before */
	bool wants_log;              /* asks for lines of the log: */
	int64_t tail, after;         /* so many of the last ones, or -1; those after one, or -1 */
	struct console_join *join;   /* owned; while it is shown those */
	struct recording *recording; /* owned; NULL: it is not recorded */
	bool open;
	bool behind; /* the client is, or the disk of its recording */
	bool client_behind, disk_behind;
	uint64_t lost_bytes;
	struct loop_later later;
};

/*
 * Comes to an instance's process. Checks state and policies ("attach"). drives: as the driver, where
 * there is none or `take`; with another driver and no take it is an observer. 0: opened or ended will come.
 */
int console_attach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		   struct console_peer *peer, bool drives, bool take, struct gantry_error *err);
/* Starts the process that was asked for, and takes exec over. The peer drives. */
int console_exec(struct daemon *daemon, struct exec *exec, struct console_peer *peer,
		 struct gantry_error *err);
/* Output for the peer alone, of what was before; as events.output. */
bool console_show(struct console_peer *peer, int stream, const char *data, size_t length);
void console_leave(struct console_peer *peer); /* nothing is called after */

enum console_input { CONSOLE_TAKEN, CONSOLE_BEHIND, CONSOLE_REFUSED };
/* BEHIND: taken too, but wait for drain. REFUSED: not the driver, or there is no input any more. */
enum console_input console_input(struct console_peer *peer, const char *data, size_t length);
/* At a terminal the character that says so is typed, and the input stays open: an engine would take the
 * output away with it. -ENOTSUP where the engine cannot be told. */
int console_input_end(struct console_peer *peer);
void console_resize(struct console_peer *peer, int rows, int columns);
void console_caught_up(struct console_peer *peer);
/* Becomes the driver. */
void console_take(struct console_peer *peer);
bool console_drives(const struct console_peer *peer);
const char *console_driver(const struct console_peer *peer); /* its actor; NULL: none */

/* Is the upstream to be attached before the instance's process starts? */
bool console_wants_prepare(struct daemon *daemon, const struct instance *instance);
/* Attaches; the op ends well once that stands or has failed, which is no reason not to start. */
void console_prepare(struct daemon *daemon, struct instance *instance, struct gantry_op *op);

#endif
