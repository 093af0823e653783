/* SPDX-License-Identifier: Apache-2.0 */
#include "script/matrix.h"
#include "base/str.h"
#include "script/decision.h"

#include <stdlib.h>

struct cell {
	const char *outcome; /* static; NULL: not asked */
	const char *reason;  /* in the arena */
	size_t group;
	int line;
	double score;
};

struct stage {
	const struct policy *policy; /* borrowed */
	enum hook hook;
	struct cell *cells; /* owned, by node */
};

struct matrix {
	struct node *const *nodes; /* borrowed */
	size_t count;
	struct stage *stages; /* owned */
	size_t stages_count;
	struct script_decision texts; /* for its arena: reasons as a decision keeps them */
};

struct matrix *matrix_new(struct node *const *nodes, size_t count)
{
	struct matrix *matrix = xcalloc(1, sizeof(*matrix));

	matrix->nodes = nodes;
	matrix->count = count;
	return matrix;
}

void matrix_free(struct matrix *matrix)
{
	for (size_t i = 0; i < matrix->stages_count; i++)
		free(matrix->stages[i].cells);
	free(matrix->stages);
	arena_fini(&matrix->texts.arena);
	free(matrix);
}

static struct stage *last_stage(const struct matrix *matrix)
{
	return &matrix->stages[matrix->stages_count - 1];
}

void matrix_stage(struct matrix *matrix, const struct policy *policy, enum hook hook)
{
	matrix->stages =
		xrealloc(matrix->stages, (matrix->stages_count + 1) * sizeof(*matrix->stages));
	matrix->stages[matrix->stages_count++] =
		(struct stage){policy, hook, xcalloc(matrix->count + 1, sizeof(struct cell))};
}

void matrix_answer(struct matrix *matrix, size_t node, const char *outcome, const char *reason,
		   size_t length, size_t group)
{
	last_stage(matrix)->cells[node] = (struct cell){
		.outcome = outcome,
		.reason = reason ? decision_text(&matrix->texts, reason, length) : NULL,
		.group = group,
	};
}

void matrix_score(struct matrix *matrix, size_t node, double score)
{
	last_stage(matrix)->cells[node] = (struct cell){.outcome = "score", .score = score};
}

void matrix_line(struct matrix *matrix, size_t group, int line)
{
	struct stage *stage = last_stage(matrix);

	for (size_t i = 0; i < matrix->count; i++)
		if (stage->cells[i].reason && stage->cells[i].group == group)
			stage->cells[i].line = line;
}

void matrix_void(struct matrix *matrix, const char *why)
{
	struct stage *stage = last_stage(matrix);

	for (size_t i = 0; i < matrix->count; i++)
		if (str_equal(stage->cells[i].outcome, "score"))
			stage->cells[i] = (struct cell){.outcome = "none", .reason = why};
}

static void add_score(struct json_object *object, double score)
{
	char text[32];

	snprintf(text, sizeof(text), "%.14g", score);
	json_object_object_add(object, "score", json_object_new_double_s(score, text));
}

static struct json_object *print_cell(const struct stage *stage, const struct cell *cell)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "policy", stage->policy->name);
	json_add_string(object, "file", stage->policy->source.name);
	json_add_string(object, "hook", hook_text(stage->hook));
	if (stage->policy->shadow)
		json_add_bool(object, "shadow", true);
	json_add_string(object, "outcome", cell->outcome);
	json_add_string(object, "reason", cell->reason);
	if (cell->line)
		json_add_int(object, "line", cell->line);
	if (str_equal(cell->outcome, "score"))
		add_score(object, cell->score);
	return object;
}

static void print_facts(struct json_object *object, const struct node *node)
{
	json_add_int(object, "version", node->version);
	json_add_int(object, "instances", node->instances);
	if (node->lowered)
		json_add_bool(object, "lowered", true);
	json_add_int(object, "memory_bytes", node->memory_bytes);
	json_add_int(object, "memory_promised_bytes", node->memory_promised_bytes);
	json_add_int(object, "nano_cpus", node->nano_cpus);
	json_add_int(object, "nano_cpus_promised", node->nano_cpus_promised);
}

struct json_object *matrix_print(const struct matrix *matrix, const double *scores, const bool *out)
{
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < matrix->count; i++) {
		struct json_object *row = json_object_new_object();
		struct json_object *answers = json_object_new_array();

		json_add_string(row, "node", matrix->nodes[i]->name);
		json_add_bool(row, "asked", true);
		json_add_bool(row, "refused", out[i]);
		if (!out[i])
			add_score(row, scores[i]);
		print_facts(row, matrix->nodes[i]);
		for (size_t k = 0; k < matrix->stages_count; k++)
			if (matrix->stages[k].cells[i].outcome)
				json_object_array_add(answers,
						      print_cell(&matrix->stages[k],
								 &matrix->stages[k].cells[i]));
		json_object_object_add(row, "answers", answers);
		json_object_array_add(rows, row);
	}
	return rows;
}
