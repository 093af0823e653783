/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/policy/placements.h"
#include "base/str.h"
#include "model/spec.h"

#include <stdlib.h>

struct placement {
	int64_t decision;
	char revision[20];
	int64_t at; /* in the past of the nodes */
	uint64_t hash;
	struct arena arena;
	struct gantry_spec spec; /* in the arena, without values of secrets */
	struct script_request request;
	const char *node;             /* chosen; NULL: none */
	unsigned char *asked, *tried; /* bits by the node's index, in the arena */
};

struct placements {
	struct placement *items[PLACEMENTS_KEPT]; /* owned; a ring */
	size_t next;
};

static void placement_free(struct placement *placement)
{
	if (!placement)
		return;
	arena_fini(&placement->arena);
	free(placement);
}

void placements_free(struct placements *placements)
{
	if (!placements)
		return;
	for (size_t i = 0; i < PLACEMENTS_KEPT; i++)
		placement_free(placements->items[i]);
	free(placements);
}

/* Policies never see values of secrets, so that they are not needed here. */
static void drop_secrets(struct gantry_envs *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		if (environment->items[i].secret)
			environment->items[i].value = NULL;
}

/* A copy of the spec in which no value of a secret ever is. */
static void copy_spec(struct placement *placement, const struct gantry_spec *from)
{
	struct gantry_spec spec = *from;
	size_t size = from->environment.count * sizeof(struct gantry_env);

	spec.environment.items =
		ARENA_ARRAY(&placement->arena, struct gantry_env, from->environment.count + 1);
	if (size)
		memcpy(spec.environment.items, from->environment.items, size);
	drop_secrets(&spec.environment);
	spec_copy(&spec, &placement->arena, &placement->spec);
}

static void mark(unsigned char *bits, const struct node *node)
{
	bits[node->index / 8] |= (unsigned char)(1 << node->index % 8);
}

static bool is_marked(const unsigned char *bits, size_t node)
{
	return bits[node / 8] & 1 << node % 8;
}

void placements_keep(struct daemon *daemon, const struct script_request *request,
		     struct node *const *nodes, size_t count, const struct operation *operation,
		     const struct script_decision *decision, size_t first)
{
	struct placement *placement = xcalloc(1, sizeof(*placement)), **place;
	struct arena *arena = &placement->arena;

	placement->decision = decision->id;
	snprintf(placement->revision, sizeof(placement->revision), "%s", decision->revision);
	placement->at = daemon->fleet.past.next;
	placement->hash = script_decision_hash(decision, first);
	copy_spec(placement, request->spec);
	placement->request = *request;
	placement->request.verb = arena_strdup(arena, request->verb);
	placement->request.actor = arena_strdup(arena, request->actor);
	placement->request.user = arena_strdup(arena, request->user);
	placement->request.project = arena_strdup(arena, request->project);
	placement->request.spec = &placement->spec;
	placement->request.instance = NULL;
	spec_unsafe(&placement->spec, arena, &placement->request.unsafe);
	placement->node = arena_strdup(arena, decision->node);
	placement->asked = arena_alloc(arena, daemon->fleet.node_count / 8 + 1);
	for (size_t i = 0; i < count; i++)
		mark(placement->asked, nodes[i]);
	placement->tried = arena_alloc(arena, daemon->fleet.node_count / 8 + 1);
	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		if (operation_was_tried(operation, daemon->fleet.nodes[i]->name))
			mark(placement->tried, daemon->fleet.nodes[i]);
	if (!daemon->placements)
		daemon->placements = xcalloc(1, sizeof(*daemon->placements));
	place = &daemon->placements->items[daemon->placements->next++ % PLACEMENTS_KEPT];
	placement_free(*place);
	*place = placement;
}

/* --- told ---------------------------------------------------------------------------------------- */

/* The last one of the decision: it has several where nodes were tried. */
static const struct placement *find(const struct daemon *daemon, int64_t decision)
{
	const struct placements *placements = daemon->placements;

	for (size_t i = 1; placements && i <= PLACEMENTS_KEPT; i++) {
		const struct placement *placement =
			placements->items[(placements->next - i) % PLACEMENTS_KEPT];

		if (placement && placement->decision == decision)
			return placement;
	}
	return NULL;
}

struct json_object *placements_no_matrix(int64_t decision, const char *why)
{
	struct json_object *object = json_object_new_object();

	json_add_int(object, "decision", decision);
	json_add_bool(object, "exact", false);
	json_add_string(object, "why", why);
	json_object_object_add(object, "nodes", json_object_new_array());
	return object;
}

static struct json_object *not_kept(const struct placement *placement, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct json_object *not_kept(const struct placement *placement, const char *format, ...)
{
	char why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return placements_no_matrix(placement->decision, why);
}

/* Rows of the nodes that were not asked: no policy is to blame. */
static void add_unasked(struct json_object *rows, const struct daemon *daemon,
			const struct placement *placement)
{
	for (size_t i = 0; i < daemon->fleet.node_count; i++) {
		const struct node *node = daemon->fleet.nodes[i];
		struct json_object *row;

		if (is_marked(placement->asked, i))
			continue;
		row = json_object_new_object();
		json_add_string(row, "node", node->name);
		json_add_bool(row, "asked", false);
		json_add_bool(row, "refused", true);
		json_add_string(row, "reason",
				is_marked(placement->tried, i)
					? "it was tried before, and that failed"
				: node->drained ? "it is drained: it takes no new instances"
						: "it was not up");
		json_object_object_add(row, "answers", json_object_new_array());
		json_object_array_add(rows, row);
	}
}

/* Asks again over the nodes as they were; copies has one for each node of the fleet. */
static struct json_object *ask_again(struct daemon *daemon, const struct placement *placement,
				     struct node *copies, struct node **asked)
{
	struct json_object *object = json_object_new_object(), *rows;
	struct script_decision decision;
	size_t count = 0;
	bool same;

	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		if (is_marked(placement->asked, i))
			asked[count++] = &copies[i];
	script_decision_init(&decision, daemon->policies, &placement->request, placement->decision);
	rows = script_matrix(daemon->policies, &placement->request, asked, count, &decision);
	same = script_decision_hash(&decision, 0) == placement->hash;
	json_add_int(object, "decision", placement->decision);
	json_add_bool(object, "exact", same);
	if (!same)
		json_add_string(object, "why",
				"asked again, the policies answer otherwise: one of them keeps "
				"something in its variables, or ran over its time; this is what "
				"they answer now");
	json_add_string(object, "revision", placement->revision);
	json_add_string(object, "node", placement->node);
	json_add_string(object, "reason", decision.reason);
	add_unasked(rows, daemon, placement);
	json_object_object_add(object, "nodes", rows);
	script_decision_fini(&decision);
	return object;
}

struct json_object *placements_matrix(struct daemon *daemon, int64_t decision)
{
	const struct placement *placement = find(daemon, decision);
	const char *revision = script_set_revision(daemon->policies);
	const struct fleet *fleet = &daemon->fleet;
	struct json_object *object = NULL;
	struct node *copies, **asked;
	bool *lost;

	if (!placement)
		return NULL;
	if (!str_equal(placement->revision, revision))
		return not_kept(placement,
				"other policies are in force since: it was decided under revision "
				"%s, now it is %s",
				placement->revision, revision);
	copies = xcalloc(fleet->node_count + 1, sizeof(*copies));
	asked = xcalloc(fleet->node_count + 1, sizeof(struct node *));
	lost = xcalloc(fleet->node_count + 1, sizeof(bool));
	if (past_nodes(fleet, placement->at, copies, lost) < 0)
		object = not_kept(placement, "the nodes have changed more than %d times since",
				  PAST_CHANGES);
	for (size_t i = 0; !object && i < fleet->node_count; i++)
		if (is_marked(placement->asked, i) && lost[i])
			object =
				not_kept(placement,
					 "node %s has gone down, come up or told other facts since",
					 fleet->nodes[i]->name);
	if (!object)
		object = ask_again(daemon, placement, copies, asked);
	past_forget(copies, fleet->node_count);
	free(copies);
	free(asked);
	free(lost);
	return object;
}
