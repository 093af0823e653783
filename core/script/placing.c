/* SPDX-License-Identifier: Apache-2.0 */
#include "script/placing.h"
#include "script/decision.h"

#include <gantry/text.h>

static uint32_t hash_text(const char *text, size_t length)
{
	return (uint32_t)gantry_hash(GANTRY_HASH_SEED, text, length);
}

bool placing_is_reason(const struct group *group, const char *text, size_t length)
{
	return hash_text(text, length) == group->hash;
}

/* The group of a reason: the same text, else where all are taken the same line, else the last. */
static struct group *find_group(struct placing *placing, const char *reason, size_t length,
				uint32_t hash, int line, bool error)
{
	struct group *group, *same_line = NULL;

	for (size_t i = 0; i < placing->groups_count; i++) {
		group = &placing->groups[i];
		if (group->error != error)
			continue;
		if (group->hash == hash && group->length == length)
			return group;
		if (line && group->line == line)
			same_line = group;
	}
	if (placing->groups_count == GROUPS_MAX)
		return same_line ? same_line : &placing->groups[GROUPS_MAX - 1];
	group = &placing->groups[placing->groups_count++];
	*group = (struct group){.length = length,
				.hash = hash,
				.error = error,
				.first = placing->at,
				.random = placing->random};
	if (reason)
		group->reason = decision_text(placing->decision, reason, length);
	return group;
}

void placing_refuse(struct placing *placing, size_t node, const char *reason, size_t length,
		    int line, bool error)
{
	uint32_t hash = reason ? hash_text(reason, length) : 0;
	struct group *group = find_group(placing, reason, length, hash, line, error);

	if (!group->line)
		group->line = line;
	if (group->count < GROUP_NAMES_MAX)
		group->names[group->count] = placing->nodes[node]->name;
	group->count++;
	if (!group->line)
		placing->lines_left = LINE_NODES;
	if (placing->matrix)
		matrix_answer(placing->matrix, node, error ? "error" : "deny",
			      reason ? reason : "no reason given", reason ? length : 15,
			      (size_t)(group - placing->groups));
	if (!placing->policy->shadow)
		placing->out[node] = true;
}

void placing_record_groups(struct placing *placing, int64_t took_us)
{
	struct script_decision *decision = placing->decision;
	struct script_record *record;
	struct str json = STR_INIT;

	for (size_t i = 0; i < placing->groups_count; i++) {
		const struct group *group = &placing->groups[i];
		size_t names = group->count < GROUP_NAMES_MAX ? group->count : GROUP_NAMES_MAX;

		record = decision_add(decision, placing->policy, placing->hook,
				      group->error ? "error" : "deny");
		record->reason = group->reason;
		record->line = group->line;
		if (placing->matrix)
			matrix_line(placing->matrix, i, group->line);
		if (group->count == 1)
			record->subject = arena_strdup(&decision->arena, group->names[0]);
		str_clear(&json);
		str_addf(&json, "{\"count\":%zu,\"nodes\":[", group->count);
		for (size_t k = 0; k < names; k++) {
			str_add(&json, k ? "," : "");
			decision_add_text(&json, group->names[k], false);
		}
		str_add(&json, "]}");
		record->answer = decision_answer(decision, &json);
		record->took_us = took_us;
		took_us = 0;
	}
	if (placing->hook == HOOK_FILTER && (placing->answered > 0 || placing->groups_count == 0)) {
		record = decision_add(decision, placing->policy, HOOK_FILTER,
				      placing->answered ? "allow" : "none");
		if (placing->answered) {
			str_clear(&json);
			str_addf(&json, "{\"count\":%zu}", placing->answered);
			record->answer = decision_answer(decision, &json);
		}
		record->took_us = took_us;
	}
	str_fini(&json);
}

void placing_sum_up(struct placing *placing)
{
	for (size_t i = 0; i < placing->groups_count; i++) {
		const struct group *group = &placing->groups[i];

		if (placing->policy->shadow ||
		    (group->error && !policy_denies(placing->policy, HOOK_FILTER)))
			continue;
		str_addf(&placing->reasons, "%s%zu for %s (%s", placing->reasons.length ? "; " : "",
			 group->count, group->reason ? group->reason : "no reason given",
			 placing->policy->source.name);
		if (group->line)
			str_addf(&placing->reasons, ":%d", group->line);
		str_add_char(&placing->reasons, ')');
	}
}
