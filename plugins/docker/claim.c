/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claim: on one engine one daemon works for an owner.
 *
 * An engine offers no lock that goes with its holder. But to create a volume that is there already answers
 * with that volume and its labels, which is a test and a set in one. So the volume gantry.claim.OWNER
 * says by its labels who holds the engine. It stays when its holder dies; whether the holder lives is found by
 * asking: whoever wants the engine makes the volume gantry.ask.OWNER, and a holder that lives, which
 * follows the events of volumes, answers by removing it.
 *
 *	TAKING ─ours─▶ HELD ─doubt─▶ CHECKING ─ours─▶ ANSWERING ─▶ HELD
 *	 │  ▲                           └─another's─▶ ENDING
 *	 │  └──────────── OUSTING ◀─removed──┐
 *	 └─another's─▶ ASKING ─▶ WAITING ─▶ WITHDRAWING
 *	                            └─ the ask is gone ─┴─▶ ENDING (-EBUSY)
 *
 * The happy path: the events are subscribed to and the claim is created, at the same time; the answer has
 * our labels; the engine is held. One request, whether the volume was there or not.
 *
 * What comes besides
 *   1. In HELD there is doubt when the stream of events has just begun (an ask may have been made before),
 *      when somebody asks, when the claim is destroyed, and when volumes are pruned: Docker tells
 *      of a prune by one event that names none. Then the claim is created once more, which restores it where
 *      it is gone and tells where another daemon has it; and the ask is removed, whoever made it.
 *   2. A holder that is dead does not answer in claim_wait. Of several that wait, the one whose removal
 *      of the ask succeeds takes over; for the others the ask is gone, as if a holder had answered.
 *   3. A holder that slept longer than that sees its claim destroyed, and that another has it: it is lost.
 *   4. An ask whose maker was killed is removed by the holder, or by whoever asks next.
 *   5. An engine that has a dead plugin looks long for a volume that is not there, as in ANSWERING nobody's ask
 *      mostly is. That it takes long is no reason to let go; who asks meanwhile is answered at once.
 */
#include "docker.h"

#include <stdlib.h>

#define CALL_LIMIT_MS 15000
#define LABEL_DAEMON  "gantry.daemon"
#define LABEL_HOLDER  "gantry.holder"

enum phase { TAKING, ASKING, WAITING, WITHDRAWING, OUSTING, HELD, CHECKING, ANSWERING, ENDING };

struct claim {
	struct docker_node *node;
	struct gantry_op *op;
	const struct gantry_claim *wanted; /* borrowed until the op has ended */
	enum phase phase;
	struct docker_call events, call; /* one call at a time beside the stream */
	struct docker_stream stream;
	struct gantry_timer *timer; /* in ASKING and WAITING */
	char volume[96], ask[96];   /* the names */
	bool following;             /* the stream of events has begun */
	bool answered;              /* the ask was removed before the call that made it was back */
	bool doubt, closed;
	char holder[256]; /* another one, as its claim says */
	struct gantry_error end;
};

static void enter(struct claim *claim, enum phase phase);
static void set_timer(struct claim *claim, int64_t after_ms);

/* --- the end --- */

static void close_when_quiet(struct claim *claim)
{
	if (claim->events.busy || claim->call.busy || claim->closed)
		return;
	claim->closed = true;
	docker_stream_fini(&claim->stream);
	claim->node->host->op_on_cancel(claim->op, NULL, NULL);
	claim->node->host->op_done(claim->op, &claim->end, NULL);
}

/* The first reason stays; the op ends when the last call has. */
static void end_claim(struct claim *claim, const struct gantry_error *err)
{
	if (claim->phase != ENDING) {
		claim->phase = ENDING;
		claim->end = *err;
		set_timer(claim, 0);
		docker_call_cancel(&claim->events);
		docker_call_cancel(&claim->call);
	}
	close_when_quiet(claim);
}

static void end_busy(struct claim *claim)
{
	struct gantry_error err;

	gantry_error_set(&err, -EBUSY,
			 "docker: a gantryd with owner %s (%s) is at work on this engine",
			 claim->node->owner, claim->holder);
	end_claim(claim, &err);
}

/* A call of its own failed. */
static void end_failed(struct claim *claim, const struct gantry_error *err)
{
	struct gantry_error failed = *err;

	gantry_error_prefix(&failed, "claim of the engine, by volume %s", claim->volume);
	end_claim(claim, &failed);
}

static void on_cancel(void *arg)
{
	struct gantry_error err;

	gantry_error_set(&err, -ECANCELED, "docker: cancelled");
	end_claim(arg, &err);
}

/* --- the calls --- */

static void create_volume(struct claim *claim, const char *name)
{
	struct json_object *body = json_object_new_object(), *labels = json_object_new_object();

	docker_add(labels, GANTRY_LABEL_OWNER, claim->node->owner);
	docker_add(labels, LABEL_DAEMON, claim->wanted->daemon);
	docker_add(labels, LABEL_HOLDER, claim->wanted->holder);
	docker_add(body, "Name", name);
	docker_add(body, "Driver", "local"); /* else the engine asks all of its plugins first */
	json_object_object_add(body, "Labels", labels);
	docker_call(&claim->call, "POST", docker_print(body), "/volumes/create");
	json_object_put(body);
}

static void remove_volume(struct claim *claim, const char *name)
{
	docker_call(&claim->call, "DELETE", NULL, "/volumes/%s", name);
}

static void on_time_up(void *arg)
{
	struct claim *claim = arg;
	struct gantry_error err;

	claim->timer = NULL;
	if (claim->phase == WAITING) {
		enter(claim, WITHDRAWING);
		return;
	}
	gantry_error_set(&err, -ETIMEDOUT, "docker: no stream of events within %d s",
			 CALL_LIMIT_MS / 1000);
	end_failed(claim, &err);
}

static void set_timer(struct claim *claim, int64_t after_ms)
{
	const struct gantry_host *host = claim->node->host;

	if (claim->timer)
		host->timer_stop(claim->timer);
	claim->timer =
		after_ms > 0 ? host->timer_start(host->core, after_ms, on_time_up, claim) : NULL;
}

/* Does what a phase begins with. */
static void enter(struct claim *claim, enum phase phase)
{
	claim->phase = phase;
	switch (phase) {
	case TAKING:
	case CHECKING:
		create_volume(claim, claim->volume);
		return;
	case ASKING:
		/* without the stream the answer would not be heard: entered again when it begins */
		set_timer(claim, claim->following ? 0 : CALL_LIMIT_MS);
		if (claim->following)
			create_volume(claim, claim->ask);
		return;
	case WAITING:
		set_timer(claim, claim->node->settings->claim_wait_ms);
		return;
	case WITHDRAWING:
	case ANSWERING:
		remove_volume(claim, claim->ask);
		return;
	case OUSTING:
		remove_volume(claim, claim->volume);
		return;
	case HELD:
		if (claim->doubt && claim->following) {
			claim->doubt = false;
			enter(claim, CHECKING);
		}
		return;
	case ENDING:
		return;
	}
}

/* The claim as the engine has it is ours; else keeps who has it. Both labels: a store may be copied. */
static bool is_ours(struct claim *claim, struct json_object *volume)
{
	struct json_object *labels = docker_get(volume, "Labels");
	const char *daemon = docker_text(labels, LABEL_DAEMON);
	const char *holder = docker_text(labels, LABEL_HOLDER);

	if (daemon && holder && strcmp(daemon, claim->wanted->daemon) == 0 &&
	    strcmp(holder, claim->wanted->holder) == 0)
		return true;
	snprintf(claim->holder, sizeof(claim->holder), "%s", holder ? holder : "it says not where");
	return false;
}

static void call_done(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct claim *claim = call->arg;
	bool gone = err && err->code == -ENOENT;
	bool slow = err && (err->code == -ETIMEDOUT || err->code == -ECANCELED);

	if (err && claim->phase != ENDING && !(slow && claim->phase == ANSWERING) &&
	    !(gone && (claim->phase == WITHDRAWING || claim->phase == OUSTING ||
		       claim->phase == ANSWERING))) {
		end_failed(claim, err);
		return;
	}
	switch (claim->phase) {
	case TAKING:
		if (!is_ours(claim, reply)) {
			enter(claim, ASKING);
			return;
		}
		enter(claim, HELD);
		claim->wanted->held(claim->wanted->arg); /* which may cancel */
		return;
	case ASKING:
		if (claim->answered)
			end_busy(claim);
		else
			enter(claim, WAITING);
		return;
	case WITHDRAWING:
		if (gone)
			end_busy(claim);
		else
			enter(claim, OUSTING);
		return;
	case OUSTING:
		enter(claim, TAKING);
		return;
	case CHECKING:
		if (is_ours(claim, reply))
			enter(claim, ANSWERING);
		else
			end_busy(claim);
		return;
	case ANSWERING:
		enter(claim, HELD);
		return;
	case WAITING:
	case HELD:
		return; /* no call of theirs */
	case ENDING:
		close_when_quiet(claim);
		return;
	}
}

/* --- the events --- */

static int on_message(void *arg, struct json_object *message)
{
	struct claim *claim = arg;
	struct json_object *actor = docker_get(message, "Actor");
	const char *action = docker_text(message, "Action"), *name = docker_text(actor, "ID");
	bool ask, begins, prune;

	if (!name || !name[0])
		name = docker_text(docker_get(actor, "Attributes"), "name"); /* Podman's */
	if (!action || claim->phase == ENDING)
		return 0;
	prune = strcmp(action, "prune") == 0;
	begins = strcmp(action, "create") == 0;
	ask = name && strcmp(name, claim->ask) == 0;
	if (!prune && !ask && !(name && strcmp(name, claim->volume) == 0))
		return 0;
	/* a claim is also "created" each time that somebody tries, so that this says nothing */
	if (prune || begins == ask)
		claim->doubt = true;
	if (ask && !begins && claim->phase == ASKING)
		claim->answered = true;
	if (ask && !begins && claim->phase == WAITING)
		end_busy(claim);
	else if (ask && begins && claim->phase == ANSWERING)
		docker_call_cancel(&claim->call); /* it looks for one from before: see 5 */
	else if (claim->phase == HELD)
		enter(claim, HELD);
	return 0;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct claim *claim = call->arg;

	if (length > 0)
		return docker_stream_feed(&claim->stream, data, length, on_message, claim);
	claim->following = claim->doubt = true;
	if (!claim->call.busy && (claim->phase == HELD || claim->phase == ASKING))
		enter(claim, claim->phase);
	return 0;
}

static void stream_ended(struct docker_call *call, const struct gantry_error *err,
			 struct json_object *reply)
{
	struct gantry_error ended;

	(void)reply;
	end_claim(call->arg, docker_events_ended(err, &ended));
}

/* Of all volumes: a filter by name would hold back the event of a prune, which names none. */
static void follow(struct claim *claim)
{
	char *filters = docker_url(
		"{\"type\":[\"volume\"],\"event\":[\"create\",\"destroy\",\"remove\",\"prune\"]}");

	docker_call(&claim->events, "GET", NULL, "/events?filters=%s", filters);
	free(filters);
}

void docker_claim(void *arg, const struct gantry_claim *wanted, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct claim *claim = node->host->op_alloc(op, sizeof(*claim));
	int64_t stall_ms = node->settings->stall_timeout_ms;

	claim->node = node;
	claim->op = op;
	claim->wanted = wanted;
	snprintf(claim->volume, sizeof(claim->volume), "gantry.claim.%s", node->owner);
	snprintf(claim->ask, sizeof(claim->ask), "gantry.ask.%s", node->owner);
	claim->events = (struct docker_call){.node = node,
					     .arg = claim,
					     .done = stream_ended,
					     .on_data = on_data,
					     .stall_ms = -1};
	claim->call = (struct docker_call){.node = node,
					   .arg = claim,
					   .done = call_done,
					   .stall_ms = stall_ms < CALL_LIMIT_MS ? stall_ms
										: CALL_LIMIT_MS};
	follow(claim);
	enter(claim, TAKING);
	node->host->op_on_cancel(op, on_cancel, claim);
}
