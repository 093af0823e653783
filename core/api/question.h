/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that a plugin answers: asked, perhaps once more with what it said, then answered. It is given up
 * where the client leaves.
 */
#ifndef API_QUESTION_H
#define API_QUESTION_H

#include "api/call.h"
#include "model/instance.h"

struct node_link;

/* In the request's memory. */
struct question {
	struct call *call;
	const struct node_link *link; /* borrowed; NULL: none is asked */

	/* question.c's own */
	struct gantry_op *op;
	void (*take)(struct question *question, const void *result);
	char instance[INSTANCE_ID_SIZE];
};

struct question *question_new(struct call *call, const struct instance *instance,
			      const struct node_link *link);
/* For the plugin. take asks once more or answers; a failure is answered by itself. */
struct gantry_op *question_op(struct question *question, const char *name,
			      void (*take)(struct question *question, const void *result));
/* Of take: what it is about. NULL: it was removed meanwhile, and that is answered. */
struct instance *question_instance(struct question *question);
void question_answer(struct question *question, struct json_object *object); /* takes it over */

#endif
