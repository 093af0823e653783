/* SPDX-License-Identifier: Apache-2.0 */
/* How many instances have a label: counted as they come and go, asked in O(1). */
#ifndef MODEL_LABEL_COUNTS_H
#define MODEL_LABEL_COUNTS_H

#include <gantry/spec.h>

#include <stddef.h>
#include <stdint.h>

struct label_count;

/* Zero-filled is a valid empty one. */
struct label_counts {
	struct label_count **buckets; /* owned */
	size_t size, used;
};

/* Counts an instance of the project with these labels in (+1) or out (-1). */
void label_counts_add(struct label_counts *counts, const char *project,
		      const struct gantry_pairs *labels, int sign);
/* Of one project; of all where project is NULL. */
int64_t label_counts_get(const struct label_counts *counts, const char *project, const char *name,
			 const char *value);
void label_counts_copy(const struct label_counts *from, struct label_counts *ret_counts);
void label_counts_fini(struct label_counts *counts);

#endif
