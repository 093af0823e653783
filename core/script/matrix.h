/* SPDX-License-Identifier: Apache-2.0 */
/* What each policy answered for each node of a placement. Internal to script/. */
#ifndef SCRIPT_MATRIX_H
#define SCRIPT_MATRIX_H

#include "script/policy.h"

struct matrix;

struct matrix *matrix_new(struct node *const *nodes, size_t count);
void matrix_free(struct matrix *matrix);

/* One policy's filter or score over all nodes begins. */
void matrix_stage(struct matrix *matrix, const struct policy *policy, enum hook hook);
/* outcome is static text; reason is copied. group tells answers apart whose line is told later. */
void matrix_answer(struct matrix *matrix, size_t node, const char *outcome, const char *reason,
		   size_t length, size_t group);
void matrix_score(struct matrix *matrix, size_t node, double score);
/* The line of the stage's answers of that group. */
void matrix_line(struct matrix *matrix, size_t group, int line);
/* The stage's scores do not count: why is static text. */
void matrix_void(struct matrix *matrix, const char *why);

/* scores and out by node. */
struct json_object *matrix_print(const struct matrix *matrix, const double *scores,
				 const bool *out);

#endif
