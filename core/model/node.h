/* SPDX-License-Identifier: Apache-2.0 */
/* A node: an engine that runs instances, with what it holds and what is promised to it. No I/O. */
#ifndef MODEL_NODE_H
#define MODEL_NODE_H

#include <gantry/error.h>
#include <gantry/option.h>
#include <gantry/runtime.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/list.h"
#include "model/label_counts.h"
#include "model/past.h"

enum node_state { NODE_CONNECTING, NODE_UP, NODE_DOWN };

struct node {
	const char *name; /* owned by the settings' arena, as all strings from gantry.lua */
	const char *plugin;
	const struct gantry_pairs *labels;
	enum node_state state;
	bool drained;       /* no new instances; from the settings */
	struct list placed; /* its instances, by instance->placed; see fleet_place */

	/* facts of the engine; strings in facts_arena, replaced as a whole at each probe */
	struct arena facts_arena;
	struct gantry_node_facts facts;

	/* capacity: what may be promised, from the settings or the facts times overcommit */
	int64_t memory_bytes;
	int64_t nano_cpus;

	/* promised: the sum over instances and over reservations of flows under way */
	int64_t instances, memory_promised_bytes, nano_cpus_promised;
	struct label_counts label_counts; /* of the same instances; freed with the fleet */
	/* starts that failed because of it: see flows/engine/start_faults.h */
	int64_t failed_starts;    /* in a row */
	bool lowered;             /* chosen only where no other node is left */
	int64_t lowered_until_ms; /* wall clock, 0: it is not */

	int64_t version;   /* grows with each change of what a policy can see */
	struct past *past; /* the fleet's, borrowed; NULL: in none */
	size_t index;      /* in the fleet's nodes */

	/* from here on nothing that a policy can see */
	char last_error[256];
	int last_error_code;
	int64_t next_retry_ms; /* wall clock, 0: none */
	int64_t up_since_ms;
};

#define NODE_SEEN_BYTES                                                                            \
	offsetof(struct node, last_error) /* all that a policy can see is in these */

const char *node_state_text(enum node_state state);
/* Counts a promise in (+1) or out (-1); an unset limit counts 0. */
void node_promise(struct node *node, const struct gantry_spec *spec, int sign);
/* What a policy can see of it has changed, other than by a promise. */
void node_changed(struct node *node);
struct json_object *node_print(const struct node *node);

#endif
