/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch: who follows the events of a node.
 *
 *	begin ─latency─▶ list: sync ─▶ what came after the anchor, or a GAP and what must have been
 *	                                    └─▶ following: each event, from a timer ─▶ cancel, outage: end
 *
 * An anchor is the epoch of the node's numbers and the number of the last event that was told. It is
 * proven where the epoch is the same and the next event is remembered, or there was none. Else what
 * differs between `known` and the list is told as inferred, behind a GAP; without an anchor too, but
 * only where something differs: nothing is claimed that nobody knows.
 *
 * No event is told from inside the operation that caused it.
 */
#include "sim.h"

#include <stdlib.h>

struct belief {
	uint64_t key;
	enum gantry_container_state state;
	char *name; /* owned; NULL: not known */
	char instance[37];
};

struct sim_watch {
	struct sim_call call;
	struct gantry_watch_sink sink;
	struct gantry_anchor anchor; /* as passed in */
	struct belief *beliefs;      /* owned, by key */
	size_t belief_count;
	bool following;
	uint64_t told;
	int64_t settled_ns; /* the time of what is inferred */
};

/* --- anchors --- */

static void write_anchor(const struct sim_watch *watch, int64_t time_ns,
			 struct gantry_anchor *anchor)
{
	anchor->time_ns = time_ns;
	snprintf(anchor->key, sizeof(anchor->key), "%016llx.%llu",
		 (unsigned long long)watch->call.node->epoch, (unsigned long long)watch->told);
}

/* Whether nothing is missing since the anchor; if so, the number of the last event that was told. */
static bool prove(const struct sim_watch *watch, uint64_t *ret_told)
{
	const struct sim_node *node = watch->call.node;
	unsigned long long epoch, told;

	if (sscanf(watch->anchor.key, "%llx.%llu", &epoch, &told) != 2 || epoch != node->epoch)
		return false;
	if (told != node->sequence && !sim_events_at(node, told + 1))
		return false;
	*ret_told = told;
	return true;
}

/* --- telling --- */

static bool tell_event(struct sim_watch *watch, struct gantry_event *event)
{
	write_anchor(watch, event->time_ns, &event->anchor);
	watch->sink.event(watch->sink.arg, event);
	return !watch->call.ended;
}

/* What is numbered; false: the watch was ended meanwhile. */
static bool tell_next(struct sim_watch *watch)
{
	const struct sim_event *seen = sim_events_at(watch->call.node, watch->told + 1);
	struct sim_event copy = *seen; /* the ring may move while the core hears of it */
	struct gantry_event event = {
		.kind = (enum gantry_event_kind)copy.kind,
		.time_ns = copy.time_ns,
		.exit_code = copy.exit_code,
		.signal = copy.signal,
	};
	char id[SIM_ID_SIZE];
	bool goes_on;

	sim_id_text(copy.key, id);
	copy.text = copy.text ? sim_strdup(copy.text) : NULL;
	event.text = copy.text;
	if (copy.kind != GANTRY_EVENT_IMAGE) {
		event.container_id = id;
		event.instance = copy.instance[0] ? copy.instance : NULL;
	}
	watch->told++;
	goes_on = tell_event(watch, &event);
	free(copy.text);
	return goes_on;
}

static void on_telling(void *arg)
{
	struct sim_node *node = arg;
	struct sim_watch *watch = node->watch;

	node->telling = NULL;
	while (watch && watch->told < node->sequence)
		if (!tell_next(watch))
			return;
}

void sim_watch_wake(struct sim_node *node)
{
	const struct gantry_host *host = node->host;

	if (node->watch && node->watch->following && !node->telling)
		node->telling = host->timer_start(host->core, 0, on_telling, node);
}

uint64_t sim_watch_wants(const struct sim_node *node)
{
	return node->watch && node->watch->following ? node->watch->told + 1 : UINT64_MAX;
}

/* --- what must have been --- */

struct inference {
	struct sim_watch *watch;
	bool tell; /* or only count */
	size_t count;
	bool *listed; /* by belief */
};

static bool ran(enum gantry_container_state state)
{
	return state == GANTRY_CONTAINER_RUNNING || state == GANTRY_CONTAINER_PAUSED;
}

static void infer(struct inference *inference, enum gantry_event_kind kind, uint64_t key,
		  const char *instance, const char *text, int exit_code)
{
	struct sim_watch *watch = inference->watch;
	char id[SIM_ID_SIZE];
	struct gantry_event event = {
		.kind = kind,
		.time_ns = watch->settled_ns,
		.container_id = id,
		.instance = instance && instance[0] ? instance : NULL,
		.text = text,
		.exit_code = exit_code,
		.inferred = true,
	};

	inference->count++;
	sim_id_text(key, id);
	if (inference->tell && !watch->call.ended)
		tell_event(watch, &event);
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t left = ((const struct belief *)a)->key, right = ((const struct belief *)b)->key;

	return left < right ? -1 : left > right;
}

/* Only moves that must have been: one that ran and runs may have been restarted, and nobody knows. */
static void infer_moves(struct inference *inference, const struct gantry_container *now,
			uint64_t key, const char *instance, enum gantry_container_state before)
{
	enum gantry_container_state after = now->state;

	if (!ran(before) && before != GANTRY_CONTAINER_EXITED && after != GANTRY_CONTAINER_CREATED)
		infer(inference, GANTRY_EVENT_START, key, instance, NULL, 0);
	else if (before == GANTRY_CONTAINER_EXITED && ran(after))
		infer(inference, GANTRY_EVENT_START, key, instance, NULL, 0);
	if (after == GANTRY_CONTAINER_PAUSED && before != GANTRY_CONTAINER_PAUSED)
		infer(inference, GANTRY_EVENT_PAUSE, key, instance, NULL, 0);
	if (after == GANTRY_CONTAINER_RUNNING && before == GANTRY_CONTAINER_PAUSED)
		infer(inference, GANTRY_EVENT_UNPAUSE, key, instance, NULL, 0);
	if (after == GANTRY_CONTAINER_EXITED && before != GANTRY_CONTAINER_EXITED)
		infer(inference, GANTRY_EVENT_DIE, key, instance, NULL, now->exit_code);
}

static void infer_listed(struct inference *inference, const struct gantry_container *now)
{
	struct sim_watch *watch = inference->watch;
	struct belief wanted = {0}, *belief = NULL;
	const char *instance = NULL;

	for (size_t i = 0; i < now->labels.count; i++)
		if (strcmp(now->labels.items[i].name, GANTRY_LABEL_INSTANCE) == 0)
			instance = now->labels.items[i].value;
	sim_id_read(now->container_id, &wanted.key);
	if (watch->belief_count > 0)
		belief = bsearch(&wanted, watch->beliefs, watch->belief_count,
				 sizeof(*watch->beliefs), compare_keys);
	if (!belief) {
		infer(inference, GANTRY_EVENT_CREATE, wanted.key, instance, NULL, 0);
		infer_moves(inference, now, wanted.key, instance, GANTRY_CONTAINER_CREATED);
		return;
	}
	inference->listed[belief - watch->beliefs] = true;
	if (belief->name && strcmp(belief->name, now->name) != 0)
		infer(inference, GANTRY_EVENT_RENAME, wanted.key, instance, now->name, 0);
	infer_moves(inference, now, wanted.key, instance, belief->state);
}

static size_t infer_all(struct sim_watch *watch, const struct gantry_containers *listed, bool tell)
{
	struct inference inference = {.watch = watch, .tell = tell};

	inference.listed = sim_alloc(watch->belief_count * sizeof(bool));
	for (size_t i = 0; i < listed->count; i++)
		infer_listed(&inference, &listed->items[i]);
	for (size_t i = 0; i < watch->belief_count; i++)
		if (!inference.listed[i])
			infer(&inference, GANTRY_EVENT_REMOVE, watch->beliefs[i].key,
			      watch->beliefs[i].instance, NULL, 0);
	free(inference.listed);
	return inference.count;
}

/* --- the begin and the end --- */

static void believe(struct sim_watch *watch, const struct gantry_containers *known)
{
	watch->beliefs = sim_alloc(known->count * sizeof(*watch->beliefs));
	for (size_t i = 0; i < known->count; i++) {
		const struct gantry_container *one = &known->items[i];
		struct belief *belief = &watch->beliefs[watch->belief_count];

		if (!one->container_id || !sim_id_read(one->container_id, &belief->key))
			continue; /* of another engine: it cannot be here */
		belief->state = one->state;
		belief->name = one->name ? sim_strdup(one->name) : NULL;
		for (size_t k = 0; k < one->labels.count; k++)
			if (strcmp(one->labels.items[k].name, GANTRY_LABEL_INSTANCE) == 0)
				snprintf(belief->instance, sizeof(belief->instance), "%s",
					 one->labels.items[k].value);
		watch->belief_count++;
	}
	qsort(watch->beliefs, watch->belief_count, sizeof(*watch->beliefs), compare_keys);
}

static void disbelieve(struct sim_watch *watch)
{
	for (size_t i = 0; i < watch->belief_count; i++)
		free(watch->beliefs[i].name);
	free(watch->beliefs);
	watch->beliefs = NULL;
	watch->belief_count = 0;
}

static void watch_leave(struct sim_call *call)
{
	struct sim_watch *watch = (struct sim_watch *)call;
	struct sim_node *node = call->node;

	if (node->watch == watch) {
		node->watch = NULL;
		if (node->telling)
			node->host->timer_stop(node->telling);
		node->telling = NULL;
	}
	disbelieve(watch);
}

struct listing {
	struct gantry_containers containers;
	char (*ids)[SIM_ID_SIZE];
};

static void list_one(struct sim_container *container, void *arg)
{
	struct listing *listing = arg;
	size_t at = listing->containers.count;

	if (!container->ours)
		return;
	sim_describe(container, &listing->containers.items[at], listing->ids[at]);
	listing->containers.count++;
}

/* A GAP, and what differs. All that happened is in the list, so that no event before now is told. */
static void tell_gap(struct sim_watch *watch, const struct gantry_containers *listed)
{
	struct gantry_event gap = {
		.kind = GANTRY_EVENT_GAP,
		.gap_from_ns = watch->anchor.time_ns,
		.time_ns = watch->settled_ns,
	};

	if (tell_event(watch, &gap))
		infer_all(watch, listed, true);
}

static void watch_act(struct sim_call *call)
{
	struct sim_watch *watch = (struct sim_watch *)call;
	struct sim_node *node = call->node;
	struct listing listing = {0};
	bool missing;

	watch->told = node->sequence;
	watch->settled_ns = sim_now_ns(node);
	listing.containers.items = sim_alloc(node->count * sizeof(*listing.containers.items));
	listing.ids = sim_alloc(node->count * sizeof(*listing.ids));
	sim_table_walk(node, list_one, &listing);
	missing = watch->anchor.time_ns ? !prove(watch, &watch->told)
					: watch->belief_count > 0 &&
						  infer_all(watch, &listing.containers, false) > 0;
	node->watch = watch;
	watch->following = true;
	sim_call_pend(call);
	watch->sink.sync(watch->sink.arg, &listing.containers);
	if (missing && !call->ended)
		tell_gap(watch, &listing.containers);
	free(listing.containers.items);
	free(listing.ids);
	if (call->ended)
		return;
	disbelieve(watch);
	if (watch->told < node->sequence)
		sim_watch_wake(node);
}

void sim_watch(void *arg, const struct gantry_anchor *anchor, const struct gantry_containers *known,
	       const struct gantry_watch_sink *sink, struct gantry_op *op)
{
	struct sim_watch *watch =
		sim_call_new(arg, op, SIM_WATCH, sizeof(*watch), watch_act, NULL, NULL);

	watch->sink = *sink;
	watch->anchor = *anchor;
	believe(watch, known);
	watch->call.leave = watch_leave;
	watch->call.by_timer = true;
	sim_call_begin(&watch->call);
}
