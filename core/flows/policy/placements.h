/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last placements, kept in memory so that each can be told whole: what every policy answered for
 * every node.
 *
 * That is not recorded when a placement is made (it would be thousands of answers) but asked again,
 * of the same policies, with the same request, clock and random numbers, over the nodes as they were
 * (model/past.h). Where any of this cannot be had any more, or where the answers are not those that
 * were recorded, it says so.
 */
#ifndef FLOWS_PLACEMENTS_H
#define FLOWS_PLACEMENTS_H

#include "flows/daemon.h"

#define PLACEMENTS_KEPT 256

/*
 * Keeps what the placement was asked with: call it after script_place, before anything is promised.
 * operation: what has been tried before. first: the decision's first record of it.
 */
void placements_keep(struct daemon *daemon, const struct script_request *request,
		     struct node *const *nodes, size_t count, const struct operation *operation,
		     const struct script_decision *decision, size_t first);

/* `Matrix` of api/openapi.yaml; NULL where the placement is not kept. */
struct json_object *placements_matrix(struct daemon *daemon, int64_t decision);
/* The same of a decision that is not kept, with why. */
struct json_object *placements_no_matrix(int64_t decision, const char *why);

void placements_free(struct placements *placements);

#endif
