/* SPDX-License-Identifier: Apache-2.0 */
#include "model/past.h"
#include "base/str.h"
#include "model/fleet.h"

#include <stdlib.h>

/* One block: the struct, the pairs, the texts. */
struct past_labels {
	const char *project;
	struct gantry_pairs pairs;
};

static char *put(char **at, const char *text)
{
	char *copy = *at;

	*at = stpcpy(copy, text) + 1;
	return copy;
}

static struct past_labels *copy_labels(const struct gantry_spec *spec)
{
	const char *project = spec->project ? spec->project : "default";
	const struct gantry_pairs *from = &spec->labels;
	struct past_labels *labels;
	size_t size;
	char *at;

	if (from->count == 0)
		return NULL;
	size = sizeof(*labels) + from->count * sizeof(struct gantry_pair) + strlen(project) + 1;
	for (size_t i = 0; i < from->count; i++)
		size += strlen(from->items[i].name) + strlen(from->items[i].value) + 2;
	labels = xmalloc(size);
	labels->pairs.items = (struct gantry_pair *)(labels + 1);
	labels->pairs.count = from->count;
	at = (char *)(labels->pairs.items + from->count);
	labels->project = put(&at, project);
	for (size_t i = 0; i < from->count; i++)
		labels->pairs.items[i] = (struct gantry_pair){put(&at, from->items[i].name),
							      put(&at, from->items[i].value)};
	return labels;
}

void past_init(struct past *past)
{
	*past = (struct past){0};
	past->changes = xcalloc(PAST_CHANGES, sizeof(*past->changes));
}

void past_fini(struct past *past)
{
	for (size_t i = 0; past->changes && i < PAST_CHANGES; i++)
		free(past->changes[i].labels);
	free(past->changes);
	*past = (struct past){0};
}

static struct past_change *add(struct past *past, size_t node)
{
	struct past_change *change = &past->changes[past->next++ % PAST_CHANGES];

	free(change->labels);
	*change = (struct past_change){.node = node};
	return change;
}

void past_promised(struct past *past, size_t node, const struct gantry_spec *spec, int sign)
{
	struct past_change *change = add(past, node);

	change->sign = sign;
	change->memory_bytes = spec->memory_bytes != GANTRY_UNSET ? spec->memory_bytes : 0;
	change->nano_cpus = spec->nano_cpus != GANTRY_UNSET ? spec->nano_cpus : 0;
	change->labels = copy_labels(spec);
}

void past_broken(struct past *past, size_t node)
{
	add(past, node);
}

static void take_back(struct node *node, const struct past_change *change)
{
	node->instances -= change->sign;
	node->memory_promised_bytes -= change->sign * change->memory_bytes;
	node->nano_cpus_promised -= change->sign * change->nano_cpus;
	node->version--;
	if (change->labels)
		label_counts_add(&node->label_counts, change->labels->project,
				 &change->labels->pairs, -change->sign);
}

int past_nodes(const struct fleet *fleet, int64_t at, struct node *ret_nodes, bool *ret_lost)
{
	const struct past *past = &fleet->past;

	if (at < 0 || at > past->next || past->next - at > PAST_CHANGES)
		return -ESTALE;
	for (size_t i = 0; i < fleet->node_count; i++) {
		ret_nodes[i] = *fleet->nodes[i];
		label_counts_copy(&fleet->nodes[i]->label_counts, &ret_nodes[i].label_counts);
		ret_lost[i] = false;
	}
	for (int64_t i = past->next; i-- > at;) {
		const struct past_change *change = &past->changes[i % PAST_CHANGES];

		if (change->sign)
			take_back(&ret_nodes[change->node], change);
		else
			ret_lost[change->node] = true;
	}
	return 0;
}

void past_forget(struct node *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		label_counts_fini(&nodes[i].label_counts);
}
