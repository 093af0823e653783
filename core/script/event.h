/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hook event(ev), which may wait: operators' own code that does something about what happened.
 *
 * A runner is the event hook of one policy, in a Lua state of its own: it shares no variable with the
 * policy's other hooks, so that no decision depends on it, and what it does to its memory is no harm
 * to them. It runs for one event at a time, in a coroutine:
 *
 *	start ─→ SCRIPT_RUN_DONE
 *	     └─→ SCRIPT_RUN_WAITS ─→ go_on ─→ …      what for: script_runner_wait
 *	     └─→ SCRIPT_RUN_FAILED                   why: script_runner_error
 *
 * Nothing here waits or does I/O: the caller sleeps or asks over HTTP in its place, and goes on with the
 * answer. While a run waits, none of its code runs; ending or freeing the runner then lets it go where
 * it is. Each stretch between two waits has the budget of a hook; a whole run has ten times that
 * and at most SCRIPT_RUN_WAITS_MAX waits. How long it may take by the clock is the caller's to say.
 */
#ifndef SCRIPT_EVENT_H
#define SCRIPT_EVENT_H

#include "script/script.h"

#define SCRIPT_RUN_WAITS_MAX    100
#define SCRIPT_RUN_BUDGETS      10         /* what a whole run has, in budgets of one stretch */
#define SCRIPT_HTTP_BODY_BYTES  (64 << 10) /* of a request or a reply */
#define SCRIPT_HTTP_TIMEOUT_MS  10000      /* unless the script says */
#define SCRIPT_HTTP_TIMEOUT_MAX 60000

struct script_runner;

/* What the script may look at during one stretch. */
struct script_moment {
	const struct fleet *fleet; /* borrowed */
	int64_t now_ms;            /* the clock that the script sees */
};

enum script_run { SCRIPT_RUN_DONE, SCRIPT_RUN_WAITS, SCRIPT_RUN_FAILED };

/* What a run waits for. Texts are borrowed, valid until the runner is used again. */
struct script_wait {
	enum { SCRIPT_WAIT_TIME, SCRIPT_WAIT_HTTP } what;
	int64_t time_ms;          /* how long; of HTTP: how long at the most */
	const char *method, *url; /* of HTTP; the URL as the script wrote it */
	const char *content_type; /* NULL: none */
	const char *headers;      /* lines joined by "\n", NULL: none */
	const char *body;         /* NULL: none */
	size_t body_length;
};

/* How the wait ended: for time all is empty, for HTTP there is an error or a reply. */
struct script_answer {
	const char *error; /* NULL: none */
	int status;
	const char *body;
	size_t length; /* at most SCRIPT_HTTP_BODY_BYTES */
};

/* How many policies the set has. */
size_t script_set_count(const struct script_set *set);
/* The runner of a policy of the set, which it leaves; NULL where the policy has no event hook or is a
 * shadow: an event hook gives no answer that could be recorded, so that one without effect is not run. */
struct script_runner *script_runner_take(struct script_set *set, size_t index);
void script_runner_free(struct script_runner *runner);

const char *script_runner_name(const struct script_runner *runner);
/* Whether both come from the same text. */
bool script_runner_same(const struct script_runner *runner, const struct script_runner *other);

/* Runs the hook for an event, as JSON text (see Event in api/openapi.yaml). None may be waiting. */
enum script_run script_runner_start(struct script_runner *runner, const char *event,
				    const struct script_moment *moment);
const struct script_wait *script_runner_wait(const struct script_runner *runner);
enum script_run script_runner_go_on(struct script_runner *runner,
				    const struct script_answer *answer,
				    const struct script_moment *moment);
/* Ends a run that waits, as failed for the reason given; its file is run anew. */
void script_runner_end(struct script_runner *runner, const char *reason);
/* Why the last run failed: "notify.lua:31: …". */
const char *script_runner_error(const struct script_runner *runner);

#endif
