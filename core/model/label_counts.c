/* SPDX-License-Identifier: Apache-2.0 */
#include "model/label_counts.h"
#include "base/str.h"

#include <gantry/text.h>

#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 8

/* The key is project, name and value, each with its NUL; project "" counts those of all. */
struct label_count {
	struct label_count *next; /* owned */
	uint32_t hash;
	int64_t count;
	size_t length;
	char key[];
};

struct key {
	const char *parts[3];
	uint32_t hash;
	size_t length;
};

static struct key make_key(const char *project, const char *name, const char *value)
{
	struct key key = {{project, name, value}, 0, 0};
	uint64_t hash = GANTRY_HASH_SEED;

	for (int i = 0; i < 3; i++) {
		size_t size = strlen(key.parts[i]) + 1;

		hash = gantry_hash(hash, key.parts[i], size);
		key.length += size;
	}
	key.hash = (uint32_t)hash;
	return key;
}

static bool is_key(const struct label_count *entry, const struct key *key)
{
	const char *at = entry->key;

	if (entry->hash != key->hash || entry->length != key->length)
		return false;
	for (int i = 0; i < 3; i++) {
		if (strcmp(at, key->parts[i]) != 0)
			return false;
		at += strlen(at) + 1;
	}
	return true;
}

/* Where the entry is, or the NULL at which it would be. */
static struct label_count **find(const struct label_counts *counts, const struct key *key)
{
	struct label_count **place = &counts->buckets[key->hash % counts->size];

	while (*place && !is_key(*place, key))
		place = &(*place)->next;
	return place;
}

static void grow(struct label_counts *counts)
{
	size_t size = counts->size ? counts->size * 2 : SIZE_FIRST;
	struct label_count **buckets = xcalloc(size, sizeof(struct label_count *));

	for (size_t i = 0; i < counts->size; i++) {
		struct label_count *entry = counts->buckets[i], *next;

		for (; entry; entry = next) {
			next = entry->next;
			entry->next = buckets[entry->hash % size];
			buckets[entry->hash % size] = entry;
		}
	}
	free(counts->buckets);
	counts->buckets = buckets;
	counts->size = size;
}

static struct label_count *new_entry(const struct key *key)
{
	struct label_count *entry = xcalloc(1, sizeof(*entry) + key->length);
	char *at = entry->key;

	entry->hash = key->hash;
	entry->length = key->length;
	for (int i = 0; i < 3; i++)
		at = stpcpy(at, key->parts[i]) + 1;
	return entry;
}

static void add(struct label_counts *counts, const struct key *key, int sign)
{
	struct label_count **place, *entry;

	if (counts->used == counts->size)
		grow(counts);
	place = find(counts, key);
	if (!*place) {
		*place = new_entry(key);
		counts->used++;
	}
	entry = *place;
	entry->count += sign;
	if (entry->count != 0)
		return;
	*place = entry->next;
	free(entry);
	counts->used--;
}

void label_counts_add(struct label_counts *counts, const char *project,
		      const struct gantry_pairs *labels, int sign)
{
	for (size_t i = 0; i < labels->count; i++) {
		const struct gantry_pair *label = &labels->items[i];
		struct key all = make_key("", label->name, label->value);
		struct key one = make_key(project ? project : "default", label->name, label->value);

		add(counts, &all, sign);
		add(counts, &one, sign);
	}
}

int64_t label_counts_get(const struct label_counts *counts, const char *project, const char *name,
			 const char *value)
{
	struct key key = make_key(project ? project : "", name, value);
	const struct label_count *entry = counts->size ? *find(counts, &key) : NULL;

	return entry ? entry->count : 0;
}

void label_counts_copy(const struct label_counts *from, struct label_counts *ret_counts)
{
	*ret_counts = *from;
	if (!from->size)
		return;
	ret_counts->buckets = xcalloc(from->size, sizeof(struct label_count *));
	for (size_t i = 0; i < from->size; i++) {
		struct label_count **end = &ret_counts->buckets[i];

		for (const struct label_count *at = from->buckets[i]; at; at = at->next) {
			size_t size = sizeof(*at) + at->length;

			*end = memcpy(xmalloc(size), at, size);
			(*end)->next = NULL;
			end = &(*end)->next;
		}
	}
}

void label_counts_fini(struct label_counts *counts)
{
	for (size_t i = 0; i < counts->size; i++) {
		struct label_count *entry = counts->buckets[i], *next;

		for (; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(counts->buckets);
	*counts = (struct label_counts){0};
}
