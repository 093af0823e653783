/* SPDX-License-Identifier: Apache-2.0 */
/* Places in a sorted array. As bsearch(3), but what is not there has a place too: the one to put it at. */
#ifndef BASE_SORTED_H
#define BASE_SORTED_H

#include <stddef.h>
#include <string.h>

/* The first place whose item is not before key. compare(key, item): as strcmp(key, item's key). */
static inline size_t sorted_place(const void *key, const void *items, size_t count, size_t size,
				  int (*compare)(const void *key, const void *item))
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(key, (const char *)items + middle * size) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts an item to its place; there is room for one more than count. */
static inline void sorted_insert(void *items, size_t count, size_t size, size_t at,
				 const void *item)
{
	char *place = (char *)items + at * size;

	memmove(place + size, place, (count - at) * size);
	memcpy(place, item, size);
}

/* Takes out the item at a place; count is with it. */
static inline void sorted_remove(void *items, size_t count, size_t size, size_t at)
{
	char *place = (char *)items + at * size;

	memmove(place, place + size, (count - at - 1) * size);
}

#endif
