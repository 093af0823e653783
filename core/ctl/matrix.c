/* SPDX-License-Identifier: Apache-2.0 */
/* A placement told whole: what each policy said of each node, and why it was not another one. */
#include "base/units.h"
#include "ctl/explain.h"
#include "ctl/operation.h"
#include "ctl/output.h"

#include <stdlib.h>

static double score_of(struct json_object *object)
{
	struct json_object *score = json_get(object, "score");

	return score ? json_object_get_double(score) : 0;
}

static bool is_chosen(struct json_object *matrix, struct json_object *row)
{
	return str_equal(json_get_string(matrix, "node", NULL), json_get_string(row, "node", ""));
}

static void add_values(struct str *line, struct json_object *row)
{
	int64_t memory = json_get_int(row, "memory_bytes", 0);
	int64_t cpus = json_get_int(row, "nano_cpus", 0);
	char has[32], of[32];

	str_addf(line, "; it had %lld instances", (long long)json_get_int(row, "instances", 0));
	units_format_size(json_get_int(row, "memory_promised_bytes", 0), has, sizeof(has));
	units_format_size(memory, of, sizeof(of));
	if (json_get_bool(row, "lowered", false))
		str_add(line, ", starts failed there");
	str_addf(line, ", memory %s%s%s", has, memory ? " of " : "", memory ? of : "");
	str_addf(line, ", CPUs %.4g", (double)json_get_int(row, "nano_cpus_promised", 0) / 1e9);
	if (cpus)
		str_addf(line, " of %.4g", (double)cpus / 1e9);
}

static void show_answer(struct json_object *answer)
{
	const char *outcome = json_get_string(answer, "outcome", "?");
	const char *reason = json_get_string(answer, "reason", NULL);
	struct str line = STR_INIT;

	str_addf(&line, "  %-7s %-16s ", json_get_string(answer, "hook", "?"),
		 json_get_string(answer, "policy", "?"));
	if (strcmp(outcome, "score") == 0)
		str_addf(&line, "%.14g", score_of(answer));
	else
		str_add(&line, strcmp(outcome, "none") == 0 ? "no opinion" : outcome);
	if (reason)
		str_addf(&line, ": %s", reason);
	if (reason)
		explain_add_place(&line, answer);
	explain_add_marks(&line, answer);
	output_line("%s", str_text(&line));
	str_fini(&line);
}

static void show_row(struct json_object *matrix, struct json_object *row)
{
	struct json_object *answers = json_get(row, "answers");
	struct str line = STR_INIT;

	str_addf(&line, "%s: ", json_get_string(row, "node", "?"));
	if (!json_get_bool(row, "asked", true))
		str_addf(&line, "not asked, %s", json_get_string(row, "reason", ""));
	else if (json_get_bool(row, "refused", false))
		str_add(&line, "refused");
	else
		str_addf(&line, "%s%.14g points", is_chosen(matrix, row) ? "chosen, " : "",
			 score_of(row));
	if (json_get_bool(row, "asked", true))
		add_values(&line, row);
	output_line("%s", str_text(&line));
	str_fini(&line);
	for (size_t i = 0; answers && i < json_object_array_length(answers); i++)
		show_answer(json_object_array_get_idx(answers, i));
}

/* The chosen one, then by points, then those that were refused, then those not asked; then by name. */
static int compare_rows(const void *a, const void *b, void *matrix)
{
	struct json_object *left = *(struct json_object *const *)a,
			   *right = *(struct json_object *const *)b;
	int order = is_chosen(matrix, right) - is_chosen(matrix, left);

	if (!order)
		order = json_get_bool(right, "asked", true) - json_get_bool(left, "asked", true);
	if (!order)
		order = json_get_bool(left, "refused", false) -
			json_get_bool(right, "refused", false);
	if (!order && score_of(left) != score_of(right))
		order = score_of(left) < score_of(right) ? 1 : -1;
	return order ? order
		     : strcmp(json_get_string(left, "node", ""),
			      json_get_string(right, "node", ""));
}

static void show_matrix(struct json_object *matrix)
{
	struct json_object *rows = json_get(matrix, "nodes");
	const char *node = json_get_string(matrix, "node", NULL);
	size_t count = json_object_array_length(rows);
	struct json_object **sorted = xcalloc(count + 1, sizeof(struct json_object *));

	output_line("decision %lld: %s%s of %zu nodes under revision %s",
		    (long long)json_get_int(matrix, "decision", 0), node ? "node " : "none",
		    node ? node : "", count, json_get_string(matrix, "revision", "?"));
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_object_array_get_idx(rows, i);
	qsort_r(sorted, count, sizeof(*sorted), compare_rows, matrix);
	for (size_t i = 0; i < count; i++)
		show_row(matrix, sorted[i]);
	free(sorted);
}

static struct json_object *find_row(struct json_object *matrix, const char *node)
{
	struct json_object *rows = json_get(matrix, "nodes");

	for (size_t i = 0; node && i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (str_equal(json_get_string(row, "node", NULL), node))
			return row;
	}
	return NULL;
}

/* Who refused the node: answers of policies that count. */
static void show_refusals(struct json_object *row)
{
	struct json_object *answers = json_get(row, "answers");
	const char *node = json_get_string(row, "node", "?");

	for (size_t i = 0; i < json_object_array_length(answers); i++) {
		struct json_object *answer = json_object_array_get_idx(answers, i);
		const char *outcome = json_get_string(answer, "outcome", "");
		bool failed = strcmp(outcome, "error") == 0;
		struct str line = STR_INIT;

		if (json_get_bool(answer, "shadow", false) ||
		    (strcmp(outcome, "deny") != 0 && !failed))
			continue;
		str_addf(&line, "%s: policy %s %s: %s", node,
			 json_get_string(answer, "policy", "?"),
			 failed ? "failed and so refused it" : "refused it",
			 json_get_string(answer, "reason", "it gave no reason"));
		explain_add_place(&line, answer);
		output_line("%s", str_text(&line));
		str_fini(&line);
	}
}

static struct json_object *score_by(struct json_object *row, const char *policy)
{
	struct json_object *answers = json_get(row, "answers");

	for (size_t i = 0; i < json_object_array_length(answers); i++) {
		struct json_object *answer = json_object_array_get_idx(answers, i);

		if (str_equal(json_get_string(answer, "outcome", NULL), "score") &&
		    str_equal(json_get_string(answer, "policy", NULL), policy))
			return answer;
	}
	return NULL;
}

static void compare_scores(struct json_object *row, struct json_object *chosen)
{
	struct json_object *answers = json_get(chosen, "answers");
	const char *node = json_get_string(row, "node", "?");
	const char *better = json_get_string(chosen, "node", "?");
	int64_t had = json_get_int(row, "instances", 0),
		other = json_get_int(chosen, "instances", 0);

	if (json_get_bool(row, "lowered", false) && !json_get_bool(chosen, "lowered", false))
		output_line("%s: starts failed there, so that it came after all others", node);
	else if (score_of(row) != score_of(chosen))
		output_line("%s: it has %.14g points, %s has %.14g", node, score_of(row), better,
			    score_of(chosen));
	else if (had != other)
		output_line("%s: it has %.14g points as %s, which had fewer instances: %lld, not "
			    "%lld",
			    node, score_of(row), better, (long long)other, (long long)had);
	else
		output_line("%s: it has %.14g points and as many instances as %s, whose name comes "
			    "first",
			    node, score_of(row), better);
	for (size_t i = 0; i < json_object_array_length(answers); i++) {
		struct json_object *answer = json_object_array_get_idx(answers, i);
		const char *policy = json_get_string(answer, "policy", "?");
		struct json_object *own;

		if (!str_equal(json_get_string(answer, "outcome", NULL), "score"))
			continue;
		own = score_by(row, policy);
		output_line("  %-16s %.14g, %s %.14g%s", policy, score_of(own), better,
			    score_of(answer),
			    json_get_bool(answer, "shadow", false) ? " [shadow: without effect]"
								   : "");
	}
}

static int show_why_not(struct json_object *matrix, const char *node)
{
	struct json_object *row = find_row(matrix, node);
	struct json_object *chosen = find_row(matrix, json_get_string(matrix, "node", NULL));

	if (!row) {
		output_error("%s: there was no such node", node);
		return CTL_NOT_FOUND;
	}
	if (row == chosen)
		output_line("%s: it was chosen", node);
	else if (!json_get_bool(row, "asked", true))
		output_line("%s: it was not asked, %s", node, json_get_string(row, "reason", ""));
	else if (json_get_bool(row, "refused", false) || !chosen)
		show_refusals(row);
	else
		compare_scores(row, chosen);
	return CTL_OK;
}

int explain_matrix(struct ctl *ctl, const char *word, struct json_object *decision)
{
	const char *node = args_text(ctl->args, "why-not", NULL);
	char *path =
		xasprintf("/v1/decisions/%lld/matrix", (long long)json_get_int(decision, "id", 0));
	struct client_reply reply;
	int status = call(ctl, word, "GET", path, NULL, 0, &reply, NULL);
	const char *why;

	free(path);
	if (status != CTL_OK)
		return status;
	why = json_get_string(reply.json, "why", NULL);
	if (ctl->json) {
		output_raw(&reply);
	} else if (json_object_array_length(json_get(reply.json, "nodes")) == 0) {
		output_error("%s: its matrix cannot be told any more: %s", word, why ? why : "?");
		explain_decision(decision);
		status = CTL_NOT_FOUND;
	} else {
		if (why)
			output_error("%s: this is not exact: %s", word, why);
		if (node)
			status = show_why_not(reply.json, node);
		else
			show_matrix(reply.json);
	}
	client_reply_fini(&reply);
	return status;
}
