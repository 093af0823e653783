/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of a node: two hash tables, chained through the containers, and what one is made of.
 *
 * An id is made of a key of 64 bits, so that none has to be kept as text. A container is one
 * allocation with all strings that do not change; the labels' names of the core are not copied.
 */
#include "sim.h"

#include <stdlib.h>

#define BUCKETS_LEAST 16

static const char *const core_labels[] = {
	GANTRY_LABEL_OWNER,      GANTRY_LABEL_INSTANCE, GANTRY_LABEL_PROJECT,
	GANTRY_LABEL_GENERATION, GANTRY_LABEL_SPEC,
};

/* --- ids --- */

void sim_id_text(uint64_t key, char text[SIM_ID_SIZE])
{
	uint64_t word = key;

	for (int i = 0; i < 4; i++) {
		snprintf(text + 16 * i, 17, "%016llx", (unsigned long long)word);
		word = sim_mix(word + 0x9e3779b97f4a7c15u);
	}
}

bool sim_id_read(const char *text, uint64_t *ret_key)
{
	char whole[SIM_ID_SIZE];
	unsigned long long key;

	if (strlen(text) != SIM_ID_SIZE - 1 || sscanf(text, "%16llx", &key) != 1)
		return false;
	sim_id_text(key, whole);
	*ret_key = key;
	return strcmp(whole, text) == 0;
}

/* --- one --- */

/* Where strings go; at NULL: only counted. */
struct pack {
	char *at;
	size_t size;
};

static const char *pack(struct pack *pack, const char *text)
{
	size_t length;
	char *copy = pack->at;

	if (!text)
		return NULL;
	length = strlen(text) + 1;
	pack->size += length;
	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	pack->at += length;
	return copy;
}

static const char *pack_name(struct pack *into, const char *name)
{
	for (size_t i = 0; i < sizeof(core_labels) / sizeof(core_labels[0]); i++)
		if (strcmp(core_labels[i], name) == 0)
			return core_labels[i];
	return pack(into, name);
}

/* What runs is the entry point with the command behind it. */
static const char *word_of(const struct gantry_spec *spec, size_t index)
{
	if (index < spec->entrypoint.count)
		return spec->entrypoint.items[index];
	index -= spec->entrypoint.count;
	return index < spec->command.count ? spec->command.items[index] : NULL;
}

/* Goes over all strings; container NULL: counts them. */
static void fill(struct sim_container *container, const struct gantry_create *create,
		 struct pack *into)
{
	const struct gantry_spec *spec = create->spec;
	const char *name, *value;

	value = pack(into, spec->image);
	if (container)
		container->image = value;
	for (size_t i = 0; i < 3; i++) {
		value = pack(into, word_of(spec, i));
		if (container)
			container->words[i] = value;
	}
	for (size_t i = 0; i < create->labels.count; i++) {
		name = pack_name(into, create->labels.items[i].name);
		value = pack(into, create->labels.items[i].value);
		if (container)
			container->labels[i] = (struct gantry_pair){name, value};
	}
	for (size_t i = 0; i < spec->ports.count; i++) {
		name = pack(into, spec->ports.items[i].host_ip);
		value = pack(into, spec->ports.items[i].protocol);
		if (!container)
			continue;
		container->ports[i] = spec->ports.items[i];
		container->ports[i].host_ip = name;
		container->ports[i].protocol = value;
	}
}

struct sim_container *sim_container_new(struct sim_node *node, const struct gantry_create *create)
{
	const struct gantry_spec *spec = create->spec;
	size_t labels = create->labels.count * sizeof(struct gantry_pair);
	size_t ports = spec->ports.count * sizeof(struct gantry_port);
	struct sim_container *container;
	struct pack into = {0};
	const char *owner;

	fill(NULL, create, &into);
	container = sim_alloc(sizeof(*container) + labels + ports + into.size);
	container->labels = (struct gantry_pair *)(container + 1);
	container->label_count = (uint32_t)create->labels.count;
	container->ports = (struct gantry_port *)(void *)((char *)(container + 1) + labels);
	container->port_count = (uint32_t)spec->ports.count;
	into.at = (char *)(container + 1) + labels + ports;
	fill(container, create, &into);
	container->node = node;
	container->name = sim_strdup(create->name ? create->name : "");
	container->cpuset = spec->cpuset ? sim_strdup(spec->cpuset) : NULL;
	container->limits = (struct gantry_limits){
		.memory_bytes = spec->memory_bytes,
		.memory_swap_bytes = spec->memory_swap_bytes,
		.nano_cpus = spec->nano_cpus,
		.cpu_shares = spec->cpu_shares,
		.pids = spec->pids,
	};
	container->tty = spec->tty;
	container->health_check = spec->health_check.test.count > 0 &&
				  strcmp(spec->health_check.test.items[0], "NONE") != 0;
	container->state = GANTRY_CONTAINER_CREATED;
	container->created_ms = sim_now_ns(node) / 1000000;
	owner = sim_label(container, GANTRY_LABEL_OWNER);
	container->ours = owner && strcmp(owner, node->owner) == 0;
	do
		container->key = sim_mix(++node->serial);
	while (sim_table_find_key(node, container->key));
	return container;
}

void sim_container_free(struct sim_container *container)
{
	if (container->timer)
		container->node->host->timer_stop(container->timer);
	free(container->name);
	free(container->cpuset);
	sim_tree_unref(container->tree);
	free(container);
}

const char *sim_label(const struct sim_container *container, const char *name)
{
	for (size_t i = 0; i < container->label_count; i++)
		if (strcmp(container->labels[i].name, name) == 0)
			return container->labels[i].value;
	return NULL;
}

/* --- all --- */

static struct sim_container **key_bucket(const struct sim_node *node, uint64_t key)
{
	return &node->by_key[key & (node->buckets - 1)];
}

static struct sim_container **name_bucket(const struct sim_node *node, const char *name)
{
	return &node->by_name[sim_mix(sim_hash(name)) & (node->buckets - 1)];
}

static void link_name(struct sim_container *container)
{
	struct sim_container **bucket = name_bucket(container->node, container->name);

	container->next_name = *bucket;
	*bucket = container;
}

static void unlink_name(struct sim_container *container)
{
	struct sim_container **at = name_bucket(container->node, container->name);

	while (*at != container)
		at = &(*at)->next_name;
	*at = container->next_name;
}

static void link_key(struct sim_container *container)
{
	struct sim_container **bucket = key_bucket(container->node, container->key);

	container->next_key = *bucket;
	*bucket = container;
}

static void grow(struct sim_node *node)
{
	struct sim_container **old = node->by_key;
	size_t buckets = node->buckets;

	node->buckets = buckets ? 2 * buckets : BUCKETS_LEAST;
	free(node->by_name);
	node->by_key = sim_alloc(node->buckets * sizeof(*node->by_key));
	node->by_name = sim_alloc(node->buckets * sizeof(*node->by_name));
	for (size_t i = 0; i < buckets; i++) {
		struct sim_container *next;

		for (struct sim_container *at = old[i]; at; at = next) {
			next = at->next_key;
			link_key(at);
			link_name(at);
		}
	}
	free(old);
}

void sim_table_add(struct sim_container *container)
{
	struct sim_node *node = container->node;

	if (node->count >= node->buckets)
		grow(node);
	link_key(container);
	link_name(container);
	node->count++;
}

void sim_table_remove(struct sim_container *container)
{
	struct sim_container **at = key_bucket(container->node, container->key);

	while (*at != container)
		at = &(*at)->next_key;
	*at = container->next_key;
	unlink_name(container);
	container->node->count--;
}

void sim_table_rename(struct sim_container *container, const char *name)
{
	unlink_name(container);
	free(container->name);
	container->name = sim_strdup(name);
	link_name(container);
}

struct sim_container *sim_table_find_key(struct sim_node *node, uint64_t key)
{
	struct sim_container *at = node->buckets ? *key_bucket(node, key) : NULL;

	while (at && at->key != key)
		at = at->next_key;
	return at;
}

struct sim_container *sim_table_find_name(struct sim_node *node, const char *name)
{
	struct sim_container *at = node->buckets ? *name_bucket(node, name) : NULL;

	while (at && strcmp(at->name, name) != 0)
		at = at->next_name;
	return at;
}

struct sim_container *sim_table_find(struct sim_node *node, const char *word)
{
	uint64_t key;

	return sim_id_read(word, &key) ? sim_table_find_key(node, key)
				       : sim_table_find_name(node, word);
}

void sim_table_walk(struct sim_node *node, void (*fn)(struct sim_container *container, void *arg),
		    void *arg)
{
	for (size_t i = 0; i < node->buckets; i++) {
		struct sim_container *next;

		for (struct sim_container *at = node->by_key[i]; at; at = next) {
			next = at->next_key;
			fn(at, arg);
		}
	}
}

static void free_one(struct sim_container *container, void *arg)
{
	(void)arg;
	sim_container_free(container);
}

void sim_table_free(struct sim_node *node)
{
	sim_table_walk(node, free_one, NULL);
	free(node->by_key);
	free(node->by_name);
	node->by_key = node->by_name = NULL;
	node->buckets = node->count = 0;
}
