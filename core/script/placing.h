/* SPDX-License-Identifier: Apache-2.0 */
/* A placement under way, see place.c; and the groups of nodes that are refused with the same reason. */
#ifndef SCRIPT_PLACING_H
#define SCRIPT_PLACING_H

#include "script/kept.h"
#include "script/matrix.h"
#include "script/policy.h"

#define GROUPS_MAX      16
#define GROUP_NAMES_MAX 8
#define LINE_NODES      16

struct group {
	const char *reason; /* in the decision's arena, NULL: none given */
	size_t length;      /* of the author's text */
	uint32_t hash;
	int line;
	bool error;
	size_t first;    /* node */
	uint64_t random; /* before the call for it */
	size_t count;
	const char *names[GROUP_NAMES_MAX]; /* borrowed */
};

struct placing {
	const struct script_request *request;
	struct script_decision *decision;
	struct node *const *nodes;
	const struct kept_nodes *kept; /* of the same nodes; borrowed */
	size_t count;
	bool *out;             /* by node */
	double *scores;        /* by node */
	bool *dead;            /* by policy: over its budget in this placement */
	struct matrix *matrix; /* what is told of each node; NULL: it is not wanted */

	/* of the stage */
	struct policy *policy;
	enum hook hook;
	size_t at;        /* the node that is asked for */
	bool counted;     /* calls are slow, or fail: no more of them uncounted */
	size_t uncounted; /* calls since the alarm was set */
	uint64_t random;  /* before the call */
	int lines_left;   /* nodes for which the line of the answer is looked for */
	double *given;    /* scores of this stage */
	size_t answered;  /* nodes for which an opinion was given */
	struct group *groups;
	size_t groups_count;
	struct group *group; /* whose line is looked for; borrowed */

	/* of all stages, for the sum of reasons */
	struct str reasons;
};

/* The node is refused by the stage's policy. line 0: it is to be looked for. Nothing of reason is kept. */
void placing_refuse(struct placing *placing, size_t node, const char *reason, size_t length,
		    int line, bool error);
/* Whether the text is the one that the group was made for. */
bool placing_is_reason(const struct group *group, const char *text, size_t length);
/* One record a group, and one for all nodes that passed. */
void placing_record_groups(struct placing *placing, int64_t took_us);
/* "2 nodes: no memory (40-spread.lua:31)", for the error where no node is left. */
void placing_sum_up(struct placing *placing);

#endif
