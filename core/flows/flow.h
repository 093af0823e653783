/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: what the daemon does, one step table an operation.
 *
 *	happy path   the operation's row is committed with the name of the first step that does something
 *	             outside memory; then, step by step: commit the name, run the step, go on. What the
 *	             steps before it decided (policies, a node) is in that commit too. The last step
 *	             ("announce") puts the outcome into one batch with the end of the operation; once
 *	             committed, followers hear of it.
 *	failure      the error is kept, and the flow walks back from the failed step (included) to the
 *	             first, calling each undo. An undo treats "not found" as success. Then the failure
 *	             is committed as the operation's end.
 *	again        a kind that can do otherwise begins anew once all is walked back (`again`): a spawn
 *	             does on another node.
 *	killed       before the first commit nothing was begun, and nobody was told that it was accepted.
 *	             Else the journal has the last name: at the next start the kind's `resume` decides where
 *	             to go on; every step can be run a second time.
 *	store fails  a step whose name cannot be committed does not run: the flow fails there. While
 *	             walking back and at the end a failing store is logged and gone over.
 *
 * A step's run and undo return at once; each ends by flow_next, flow_fail or flow_undone, from
 * inside or from a later callback. None of these calls into the next step before it returns.
 */
#ifndef FLOWS_FLOW_H
#define FLOWS_FLOW_H

#include "flows/daemon.h"
#include "flows/engine/exits.h"
#include "flows/engine/node_link.h"
#include "flows/engine/start_window.h"
#include "base/log.h"

struct flow;

struct flow_step {
	const char *name;
	void (*run)(struct flow *flow);
	void (*undo)(struct flow *flow); /* NULL: nothing to take back */
	bool (*wanted)(
		const struct flow *flow); /* NULL: always. One that is not is no step at all */
	int64_t limit_ms;                 /* of each op in it; 0: none */
	bool memory; /* changes memory only, and is not waited for: needs no commit before it */
	bool slot;   /* takes one of the node's starts at a time: see start_window.h */
	bool boots;  /* the process is being started: exits are looked at when the flow is over */
};

struct flow_kind {
	const char *name;
	const struct flow_step *steps; /* ends with a NULL name; the last row is the announcement */
	/* After everything was walked back: what becomes of the instance. May free it. NULL: nothing */
	void (*failed)(struct flow *flow);
	/* All is walked back: whether it begins anew, from flow->step, which it sets. NULL: never */
	bool (*again)(struct flow *flow);
	/* What an undo should have taken back is on a node that is out of reach: sees to it that it is done
	 * when the node is back. NULL: the flow waits for the node */
	void (*leave)(struct flow *flow);
	/* Whether it may run beside the flow that is at work on the instance. NULL: never */
	bool (*beside)(const struct flow *busy);
	/* Which step an interrupted one goes on with; the journal's step is given. NULL: that one */
	size_t (*resume)(struct flow *flow, size_t step);
};

struct flow {
	struct list link; /* in daemon->flows */
	struct daemon *daemon;
	const struct flow_kind *kind;
	struct operation *operation; /* borrowed from daemon->operations */
	struct instance *instance;   /* borrowed from the fleet; NULL for a pull */
	struct node_link *node;      /* borrowed; NULL until placed */
	struct arena arena;

	/* what was asked for */
	struct gantry_spec spec;     /* spawn: environment with values, in arena */
	int signal;                  /* stop, kill, restart: 0: the spec's */
	int64_t grace_ms;            /* stop, restart; GANTRY_UNSET: the spec's */
	bool force;                  /* remove */
	struct gantry_limits limits; /* resize; strings in arena */
	const char *image;           /* pull, image_remove, commit; in arena */
	bool rests;                  /* commit: the processes do meanwhile */

	/* how it stands */
	struct script_decision decision; /* id 0: no policy was asked */
	bool decision_saved;
	size_t step;
	enum { FLOW_FORTH, FLOW_BACK, FLOW_OVER } phase;
	bool resumed;                      /* taken up again after a restart of the daemon */
	bool promised;                     /* the node counts it */
	bool begins_anew;                  /* its row is written whole with the next step */
	bool awaiting_node;                /* goes on when its node is up again */
	bool awaiting_besides;             /* goes on when nothing runs beside it any more */
	struct gantry_endpoints endpoints; /* wire; in arena */
	bool unfinished;                   /* wire: something is left to do after the start */
	const char *image_id;              /* commit: what was made; in arena */
	int undo_tries;                    /* of the step at hand */
	bool undo_failed;                  /* something may be left on the engine */
	struct gantry_error err;           /* the first failure; code 0: none */

	/* what it waits for */
	struct gantry_op *op; /* borrowed; NULL: none */
	void (*op_answer)(struct flow *flow, const struct gantry_error *err, const void *result);
	struct exit_waiter exit_waiter;
	struct loop_timer ask_timer; /* a wait for the exit that broke off is asked again */
	int asked;                   /* how often */
	struct store_batch *batch;   /* of the announcement, owned; NULL until wanted */
	struct loop_timer timer;
	struct loop_later later;
	int64_t began_us, step_began_us, wait_began_us;
	bool abandoned; /* the daemon goes down */
	struct start_slot slot;
	int pending_commits;
};

/*
 * Makes a flow on an instance that no other flow is at work on (-EBUSY otherwise), with its
 * operation. It does not run before flow_begin.
 */
int flow_new(struct daemon *daemon, const struct flow_kind *kind, struct instance *instance,
	     const char *actor, const char *idempotency_key, struct flow **ret_flow,
	     struct gantry_error *err);
void flow_begin(struct flow *flow);
/* Takes a flow up again whose operation was loaded from the store. */
struct flow *flow_resume(struct daemon *daemon, const struct flow_kind *kind,
			 struct operation *operation, struct instance *instance);
/* Runs it from where resume says. */
void flow_go_on(struct flow *flow);
/* True: signals are on their way beside it; the step is run again when they have arrived. */
bool flow_await_besides(struct flow *flow);
/* The daemon goes down: lets go of what it waits for; the journal has the rest. Frees it. */
void flow_abandon(struct flow *flow);

/* --- for steps --- */

void flow_next(struct flow *flow);
/* *err is copied, with nothing put in front. */
void flow_fail(struct flow *flow, const struct gantry_error *err);
void flow_undone(struct flow *flow);

/*
 * An op for the runtime, within the step's limit; its time is the engine's. answer is called with
 * the end: err NULL is success. Returns what to pass to the runtime.
 */
struct gantry_op *flow_op(struct flow *flow, const char *name,
			  void (*answer)(struct flow *flow, const struct gantry_error *err,
					 const void *result));
/* Lets go of the op that is waited for, if there is one; the time until now is the engine's. */
void flow_op_forget(struct flow *flow);
/* The exit that a step waits for is nothing to it any more. */
void flow_stop_awaiting(struct flow *flow);
/* Answers for flow_op that do the usual: go on, or fail with "NODE: …" in front. */
void flow_answer_next(struct flow *flow, const struct gantry_error *err, const void *result);
/* As above, and -ENOENT and -EALREADY are successes. */
void flow_answer_next_if_there(struct flow *flow, const struct gantry_error *err,
			       const void *result);
/*
 * For undo: goes on back. Not found is success. Where the engine is out of reach the flow waits for
 * its node and tries again; where it refuses, a few times, then it is logged and undo_failed is set.
 */
void flow_answer_undone(struct flow *flow, const struct gantry_error *err, const void *result);
/* Fails with the node's name and the error; for answers that handled a code or two themselves. */
void flow_fail_node(struct flow *flow, const struct gantry_error *err);

/* It walks back, and does not wait for its node. */
bool flow_can_leave(const struct flow *flow);

/* The batch of the end: what the announcement and `failed` put in (events, deleted rows). */
struct store_batch *flow_batch(struct flow *flow);
/* The node is up: goes on where the flow waits for it. */
void flow_node_is_up(struct flow *flow);

const struct flow_step *flow_step_at(const struct flow *flow);

/* --- between flow.c and flow_node.c --- */

/* Lines of the log have the instance, the operation and the step, until it is popped. */
void flow_push_context(const struct flow *flow, struct log_context context[3]);
void flow_pop_context(struct log_context context[3]);
/* Of flow->timer: a step's, or a try of an undo. */
void flow_on_timer(struct loop_timer *timer);

#endif
