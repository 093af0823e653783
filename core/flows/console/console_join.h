/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that is first shown lines of the instance's log, then what is live, without a gap or a repeat
 * between them.
 *
 *	read the log to its end ─▶ is its end in what the console has kept? ─▶ joined: on from there
 *	         ▲                                   │ not yet
 *	         └───────────── a moment ────────────┘
 *
 * The engine hands each byte both to the log (lines, once they are whole) and to the console (at once), so
 * the two show the same, one of them a little later. For each stream the place is found
 *
 *	by rest      where nothing came for a while before the log was read, and its end is the end of the
 *	             last whole line that the console has: both have all of it
 *	by content   where it does not rest: the last of the log's bytes stand once in what is kept
 *
 * Where neither is so for JOIN_LIMIT_MS (a flood of lines that are all the same; a log that does not keep
 * bytes as they are) it joins where it seems best, and says that it is not exact.
 *
 * When the process ends meanwhile what was kept is taken along, and the peer is told after it has all.
 */
#ifndef FLOWS_CONSOLE_JOIN_H
#define FLOWS_CONSOLE_JOIN_H

#include "flows/console/console.h"
#include "flows/console/console_kept.h"

#define JOIN_REST_MS  100
#define JOIN_LIMIT_MS 5000

struct console_join;

/*
 * Begins, for a peer whose `tail` or `after` says what to read; kept, the console's, is looked at until
 * join_over. done is called when the peer has all, and what is live is next; or when there will be none.
 */
int join_new(struct daemon *daemon, struct instance *instance, struct console_peer *peer,
	     void (*done)(struct console_peer *peer), struct console_join **ret_join,
	     struct gantry_error *err);
/* The console is open, since opened_us: kept has what came since, or the last of it. */
void join_open(struct console_join *join, const struct console_kept *kept, int64_t opened_us);
/* There is no console any more. */
void join_over(struct console_join *join, const struct gantry_error *err,
	       const struct gantry_exit *exit);
/* The peer has room again. */
void join_resume(struct console_join *join);
/* Whether the console is gone, and how it ended; see console_events.ended. */
bool join_is_over(const struct console_join *join, const struct gantry_error **ret_err,
		  const struct gantry_exit **ret_exit);
void join_free(struct console_join *join); /* NULL is fine; done is not called */

#endif
