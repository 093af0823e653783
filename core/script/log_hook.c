/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One policy is asked for all lines in one protected call, which goes on behind a line at which it fails. It has
 * the time of one call for each LINES_A_CALL lines, and the instructions of one for each line.
 */
#include "script/log_hook.h"
#include "base/clock.h"
#include "base/log.h"
#include "script/decision.h"
#include "script/exposed.h"
#include "script/facts.h"
#include "script/policy.h"

#include <ctype.h>

#define LINES_A_CALL  256
#define TAG_NAME      32
#define TAG_VALUE     256
#define WARN_EVERY_US (60 * 1000000LL)

struct asking {
	struct policy *policy;
	struct script_line *lines;
	size_t count, at, end; /* at: the one that is asked about */
	uint64_t seed;
	struct arena *arena;
	struct script_decision *decision; /* NULL: none is made */
	size_t given_bytes;               /* of all answers, in the arena */

	/* the answer for the line at hand */
	bool dropped, changed;
	const char *text;
	size_t length;
	struct gantry_pairs tags;
};

/* --- inside the sandbox ---------------------------------------------------------------------------- */

/* The arena is not the sandbox's, whose memory has its own limit. */
static void charge(lua_State *L, struct asking *asking, size_t bytes)
{
	if (bytes > SCRIPT_ANSWERS_BYTES - asking->given_bytes)
		luaL_error(L, "the answers for lines that are read together have at most %d bytes",
			   (int)SCRIPT_ANSWERS_BYTES);
	asking->given_bytes += bytes;
}

static void read_text(lua_State *L, int index, struct asking *asking)
{
	const char *text;

	if (lua_type(L, index) != LUA_TSTRING)
		luaL_error(L, "text must be text, not a %s value", luaL_typename(L, index));
	text = lua_tolstring(L, index, &asking->length);
	if (asking->length > SCRIPT_LINE_BYTES)
		luaL_error(L, "a line must have at most %d bytes", (int)SCRIPT_LINE_BYTES);
	if (memchr(text, '\n', asking->length))
		luaL_error(L, "a line must have no newline");
	charge(L, asking, asking->length + 1);
	asking->text = arena_strndup(asking->arena, text, asking->length);
	asking->changed = true;
}

static bool is_tag_name(const char *name, size_t length)
{
	if (length == 0 || length > TAG_NAME || !isalpha((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return true;
}

/* The table on top. In the order of their names, so that equal answers are equal. */
static void read_tags(lua_State *L, struct asking *asking)
{
	struct gantry_pairs *tags = &asking->tags;
	size_t name_length, length, at;

	if (!lua_istable(L, -1))
		luaL_error(L, "tags must be a table, not a %s value", luaL_typename(L, -1));
	charge(L, asking, SCRIPT_LINE_TAGS * sizeof(struct gantry_pair));
	*tags = (struct gantry_pairs){
		.items = ARENA_ARRAY(asking->arena, struct gantry_pair, SCRIPT_LINE_TAGS)};
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		const char *name, *value;

		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "tags has texts by name");
		name = lua_tolstring(L, -2, &name_length);
		value = lua_tolstring(L, -1, &length);
		if (!is_tag_name(name, name_length))
			luaL_error(L,
				   "the name of a tag is a letter, then letters, digits and \"_\", "
				   "%d at most",
				   TAG_NAME);
		if (length > TAG_VALUE)
			luaL_error(L, "the value of a tag has at most %d bytes", TAG_VALUE);
		if (tags->count == SCRIPT_LINE_TAGS)
			luaL_error(L, "a line has at most %d tags", SCRIPT_LINE_TAGS);
		charge(L, asking, name_length + length + 2);
		for (at = tags->count++; at > 0 && strcmp(tags->items[at - 1].name, name) > 0; at--)
			tags->items[at] = tags->items[at - 1];
		tags->items[at] = (struct gantry_pair){arena_strdup(asking->arena, name),
						       arena_strndup(asking->arena, value, length)};
	}
}

static void read_table(lua_State *L, struct asking *asking)
{
	if (lua_getmetatable(L, -1))
		luaL_error(L, "the answer must have no metatable");
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";

		if (strcmp(key, "text") == 0)
			read_text(L, -1, asking);
		else if (strcmp(key, "tags") == 0)
			read_tags(L, asking);
		else
			luaL_error(L, "the answer has text and tags, nothing else");
	}
}

static void read_answer(lua_State *L, struct asking *asking)
{
	switch (lua_type(L, -1)) {
	case LUA_TNIL:
		return;
	case LUA_TBOOLEAN:
		asking->dropped = !lua_toboolean(L, -1);
		return;
	case LUA_TSTRING:
		read_text(L, -1, asking);
		return;
	case LUA_TTABLE:
		read_table(L, asking);
		return;
	default:
		luaL_error(
			L,
			"the answer must be text, false, a table of text and tags, or nil, not %s",
			exposed_text(L, -1, NULL));
	}
}

static void take_answer(struct asking *asking);

static int ask_lines(lua_State *L)
{
	struct asking *asking = lua_touserdata(L, 1);
	struct sandbox *sandbox = sandbox_of(L);

	for (; asking->at < asking->end; asking->at++) {
		struct script_line *line = &asking->lines[asking->at];

		asking->dropped = asking->changed = false;
		asking->tags.count = 0;
		if (line->fate != SCRIPT_LINE_SHOWN)
			continue;
		if (line->length > SCRIPT_LINE_BYTES)
			luaL_error(L, "the line is longer than %d bytes", (int)SCRIPT_LINE_BYTES);
		sandbox_next(sandbox);
		sandbox->random = asking->seed + (uint64_t)line->sequence * 0x9e3779b97f4a7c15;
		policy_push_hook(L, asking->policy, HOOK_LOG);
		facts_push(L, FACT_LINE, line);
		lua_call(L, 1, 1);
		read_answer(L, asking);
		lua_settop(L, 1);
		take_answer(asking);
		if (asking->decision) /* the line of the answer is wanted: one at a time */
			return 0;
	}
	return 0;
}

/* --- what is made of it ---------------------------------------------------------------------------- */

static void add_tags(struct script_line *line, const struct gantry_pairs *tags, struct arena *arena)
{
	if (!line->tags.items)
		line->tags.items = ARENA_ARRAY(arena, struct gantry_pair, SCRIPT_LINE_TAGS);
	for (size_t i = 0; i < tags->count; i++) {
		size_t at = 0;

		while (at < line->tags.count &&
		       strcmp(line->tags.items[at].name, tags->items[i].name) != 0)
			at++;
		if (at == SCRIPT_LINE_TAGS)
			return; /* of several policies together */
		line->tags.items[at] = tags->items[i];
		if (at == line->tags.count)
			line->tags.count++;
	}
}

/* Also of a shadow, which is counted and has no effect. */
static void take_answer(struct asking *asking)
{
	struct script_line *line = &asking->lines[asking->at];
	struct script_log_counts *counts = &asking->policy->log_counts;

	counts->lines++;
	counts->dropped += asking->dropped;
	counts->changed += asking->changed;
	counts->tagged += asking->tags.count > 0;
	if (asking->policy->shadow)
		return;
	if (asking->dropped)
		line->fate = SCRIPT_LINE_DROPPED;
	if (asking->changed) {
		line->text = asking->text;
		line->length = asking->length;
	}
	if (asking->tags.count)
		add_tags(line, &asking->tags, asking->arena);
}

static void warn(struct policy *policy)
{
	int64_t now_us = clock_monotonic_us();
	int line = policy_error_line(policy);
	char where[24] = "";

	if (line)
		snprintf(where, sizeof(where), ":%d", line);
	if (policy->log_warned_us && now_us - policy->log_warned_us < WARN_EVERY_US)
		return;
	policy->log_warned_us = now_us;
	log_warn("policy %s fails at a line of a log, which is %s: %s (%s%s)", policy->name,
		 policy->shadow                    ? "shown, as it is a shadow"
		 : policy_denies(policy, HOOK_LOG) ? "withheld"
						   : "shown",
		 policy_error(policy), policy->source.name, where);
}

/* At one line, or for all that are left. */
static void fail(struct asking *asking, size_t end)
{
	struct policy *policy = asking->policy;
	bool withhold = policy_denies(policy, HOOK_LOG) && !policy->shadow;

	if (!asking->decision)
		warn(policy);
	for (; asking->at < end; asking->at++) {
		struct script_line *line = &asking->lines[asking->at];

		if (line->fate != SCRIPT_LINE_SHOWN)
			continue;
		policy->log_counts.lines++;
		policy->log_counts.failed++;
		if (!withhold)
			continue;
		line->fate = SCRIPT_LINE_WITHHELD;
		line->why = arena_printf(asking->arena,
					 "policy %s failed, and these lines are withheld",
					 policy->name);
	}
}

static void ask_policy(struct asking *asking)
{
	struct policy *policy = asking->policy;
	struct script_log_counts *counts = &policy->log_counts;
	int64_t began_us = clock_monotonic_us();
	bool batch = false;

	if (policy->sandbox)
		sandbox_want_line(policy->sandbox, false);
	while (asking->at < asking->count) {
		asking->end = asking->at + LINES_A_CALL < asking->count ? asking->at + LINES_A_CALL
									: asking->count;
		while (policy->sandbox && !policy_killed(policy) && asking->at < asking->end) {
			if (sandbox_run(policy->sandbox, ask_lines, asking, batch) == 0)
				break;
			batch = true; /* of the same time */
			if (!policy_killed(policy))
				fail(asking, asking->at + 1);
		}
		batch = false;
		if (policy_killed(policy))
			fail(asking, asking->count);
	}
	policy_end(policy);
	counts->took_us += clock_monotonic_us() - began_us;
}

static uint64_t seed_of(const char *text)
{
	uint64_t seed = 0xcbf29ce484222325;

	for (; text && *text; text++)
		seed = (seed ^ (unsigned char)*text) * 0x100000001b3;
	return seed;
}

static void add_counts(struct script_log_counts *to, const struct script_log_counts *from, int sign)
{
	to->lines += sign * from->lines;
	to->dropped += sign * from->dropped;
	to->changed += sign * from->changed;
	to->tagged += sign * from->tagged;
	to->failed += sign * from->failed;
	to->took_us += sign * from->took_us;
}

bool script_has_log(const struct script_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (policy_has(set->policies[i], HOOK_LOG))
			return true;
	return false;
}

void script_log(struct script_set *set, struct script_line *lines, size_t count,
		struct arena *arena, struct script_log_counts *counts)
{
	uint64_t seed = seed_of(count ? lines[0].origin->instance : NULL);

	for (size_t i = 0; i < set->count; i++) {
		struct asking asking = {.policy = set->policies[i],
					.lines = lines,
					.count = count,
					.seed = seed,
					.arena = arena};

		if (!policy_has(asking.policy, HOOK_LOG))
			continue;
		add_counts(counts, &asking.policy->log_counts, -1);
		ask_policy(&asking);
		add_counts(counts, &asking.policy->log_counts, 1);
	}
}

/* --- one line, told whole -------------------------------------------------------------------------- */

static const char *answer_text(const struct asking *asking)
{
	struct str json = STR_INIT;
	const char *text;

	if (asking->dropped)
		return "false";
	if (!asking->changed && asking->tags.count == 0)
		return NULL;
	str_add(&json, "{");
	if (asking->changed) {
		str_add(&json, "\"text\":");
		decision_add_text(&json, asking->text, false);
	}
	if (asking->tags.count) {
		str_add(&json, asking->changed ? ",\"tags\":{" : "\"tags\":{");
		for (size_t i = 0; i < asking->tags.count; i++) {
			str_add(&json, i ? "," : "");
			decision_add_text(&json, asking->tags.items[i].name, false);
			str_add(&json, ":");
			decision_add_text(&json, asking->tags.items[i].value, false);
		}
		str_add(&json, "}");
	}
	str_add(&json, "}");
	text = decision_answer(asking->decision, &json);
	str_fini(&json);
	return text;
}

void script_log_decide(struct script_set *set, struct script_line *line, struct arena *arena,
		       struct script_decision *decision)
{
	for (size_t i = 0; i < set->count; i++) {
		struct asking asking = {.policy = set->policies[i],
					.lines = line,
					.count = 1,
					.end = 1,
					.seed = seed_of(line->origin->instance),
					.arena = arena,
					.decision = decision};
		struct policy *policy = asking.policy;
		const struct script_log_counts before = policy->log_counts;
		const struct script_request request = {.seed = asking.seed};
		int64_t began_us = clock_monotonic_us();
		struct script_record *record;
		int failed;

		if (!policy_has(policy, HOOK_LOG) || line->fate != SCRIPT_LINE_SHOWN)
			continue;
		failed = policy_run(policy, HOOK_LOG, &request, ask_lines, &asking, false);
		record = decision_add(decision, policy, HOOK_LOG, "none");
		record->took_us = clock_monotonic_us() - began_us;
		if (failed < 0) {
			decision_set_error(decision, record, policy);
			fail(&asking, 1);
		} else {
			record->answer = answer_text(&asking);
			record->outcome = record->answer ? "set" : "none";
			record->line = record->answer ? policy_line(policy) : 0;
		}
		policy_end(policy);
		policy->log_counts = before; /* it is of no log */
	}
}
