/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/log/log_policy.h"
#include "base/str.h"

#include <stdlib.h>

struct log_origin {
	int refs;
	struct arena arena;
	struct script_origin facts;
	struct gantry_pairs labels;
};

/* What was made of some lines last, for the next one who is given the same. */
struct log_policy {
	struct script_log_counts counts;

	/* which they are */
	struct script_set *set; /* only compared */
	char revision[20], instance[INSTANCE_ID_SIZE];
	struct script_line *lines; /* in the arena; no gaps among them */
	size_t count;
	struct arena arena;

	struct gantry_log_line *shown; /* owned */
	size_t capacity;
};

/* --- whose --------------------------------------------------------------------------------------- */

struct log_origin *log_origin_new(const struct instance *instance)
{
	struct log_origin *origin = xcalloc(1, sizeof(*origin));
	const struct gantry_pairs *labels = &instance->spec.labels;
	struct arena *arena = &origin->arena;

	origin->refs = 1;
	origin->facts = (struct script_origin){
		.instance = arena_strdup(arena, instance->id),
		.name = arena_strdup(arena, instance->spec.name),
		.project = arena_strdup(arena, instance->spec.project),
		.node = arena_strdup(arena, instance->node),
		.image = arena_strdup(arena, instance->spec.image),
		.labels = &origin->labels,
	};
	origin->labels.items = ARENA_ARRAY(arena, struct gantry_pair, labels->count + 1);
	for (size_t i = 0; i < labels->count; i++)
		origin->labels.items[origin->labels.count++] =
			(struct gantry_pair){arena_strdup(arena, labels->items[i].name),
					     arena_strdup(arena, labels->items[i].value)};
	return origin;
}

struct log_origin *log_origin_ref(struct log_origin *origin)
{
	origin->refs++;
	return origin;
}

void log_origin_unref(struct log_origin *origin)
{
	if (!origin || --origin->refs > 0)
		return;
	arena_fini(&origin->arena);
	free(origin);
}

/* --- asking -------------------------------------------------------------------------------------- */

static struct log_policy *policy_of(struct daemon *daemon)
{
	if (!daemon->log_policy)
		daemon->log_policy = xcalloc(1, sizeof(*daemon->log_policy));
	return daemon->log_policy;
}

/* The next line that is none of a gap. */
static size_t next_line(const struct gantry_log_line *lines, size_t count, size_t at)
{
	while (at < count && lines[at].stream == 0)
		at++;
	return at;
}

/* Whether it is of these lines that it was asked last. */
static bool has(const struct log_policy *policy, const struct daemon *daemon,
		const struct log_origin *origin, const struct gantry_log_line *lines, size_t count)
{
	size_t line = 0;

	if (policy->set != daemon->policies ||
	    !str_equal(policy->revision, script_set_revision(daemon->policies)) ||
	    !str_equal(policy->instance, origin->facts.instance))
		return false;
	for (size_t at = next_line(lines, count, 0); at < count;
	     at = next_line(lines, count, at + 1), line++)
		if (line == policy->count || policy->lines[line].sequence != lines[at].sequence)
			return false;
	return line == policy->count;
}

static void ask(struct log_policy *policy, struct daemon *daemon, const struct log_origin *origin,
		const struct gantry_log_line *lines, size_t count)
{
	arena_fini(&policy->arena);
	policy->set = daemon->policies;
	snprintf(policy->revision, sizeof(policy->revision), "%s",
		 script_set_revision(daemon->policies));
	snprintf(policy->instance, sizeof(policy->instance), "%s", origin->facts.instance);
	policy->lines = ARENA_ARRAY(&policy->arena, struct script_line, count);
	policy->count = 0;
	for (size_t at = next_line(lines, count, 0); at < count;
	     at = next_line(lines, count, at + 1))
		policy->lines[policy->count++] = (struct script_line){
			.origin = &origin->facts,
			.sequence = lines[at].sequence,
			.boot = lines[at].boot,
			.time_ns = lines[at].time_ns,
			.stream = lines[at].stream,
			.partial = lines[at].flags & GANTRY_LOG_PARTIAL,
			.text = lines[at].data,
			.length = lines[at].length,
		};
	script_log(daemon->policies, policy->lines, policy->count, &policy->arena, &policy->counts);
	/* an answer is in the arena; what was not changed is the plugin's, and is there for this call */
	for (size_t i = 0, at = 0; i < policy->count; i++, at++) {
		at = next_line(lines, count, at);
		if (policy->lines[i].text == lines[at].data)
			policy->lines[i].text = NULL;
	}
}

/* --- what is shown ------------------------------------------------------------------------------- */

static void withhold(struct log_policy *policy, size_t *shown, const struct script_line *line)
{
	struct gantry_log_line *gap = *shown ? &policy->shown[*shown - 1] : NULL;

	if (!gap || gap->stream || !str_equal(gap->data, line->why)) {
		gap = &policy->shown[(*shown)++];
		*gap = (struct gantry_log_line){
			.sequence = line->sequence - 1,
			.boot = line->boot,
			.data = line->why,
			.length = strlen(line->why),
			.gap_since_ns = line->time_ns,
		};
	}
	gap->lost++;
	gap->time_ns = line->time_ns;
}

static void show(struct log_policy *policy, size_t *shown, const struct script_line *line,
		 const struct gantry_log_line *was, const char *text, size_t text_length)
{
	struct gantry_log_line now = *was;

	if (line->text) {
		now.data = line->text;
		now.length = line->length;
	}
	now.tags = line->tags.count ? &line->tags : NULL;
	if (!text || memmem(now.data, now.length, text, text_length))
		policy->shown[(*shown)++] = now;
}

const struct gantry_log_line *log_policy_lines(struct daemon *daemon,
					       const struct log_origin *origin,
					       const struct gantry_log_line *lines, size_t *count,
					       const char *text, size_t text_length)
{
	struct log_policy *policy;
	size_t shown = 0, line = 0;

	if (*count == 0 || !script_has_log(daemon->policies))
		return lines;
	policy = policy_of(daemon);
	if (!has(policy, daemon, origin, lines, *count))
		ask(policy, daemon, origin, lines, *count);
	if (*count > policy->capacity) {
		policy->capacity = *count;
		policy->shown = xrealloc(policy->shown, *count * sizeof(*policy->shown));
	}
	for (size_t at = 0; at < *count; at++) {
		if (lines[at].stream == 0)
			policy->shown[shown++] = lines[at];
		else if (policy->lines[line].fate == SCRIPT_LINE_DROPPED ||
			 (text && policy->lines[line].fate == SCRIPT_LINE_WITHHELD))
			line++; /* a gap would tell who guesses at a text that it is in there */
		else if (policy->lines[line].fate == SCRIPT_LINE_WITHHELD)
			withhold(policy, &shown, &policy->lines[line++]);
		else
			show(policy, &shown, &policy->lines[line++], &lines[at], text, text_length);
	}
	*count = shown;
	return policy->shown;
}

const struct script_log_counts *log_policy_counts(const struct daemon *daemon)
{
	static const struct script_log_counts none;

	return daemon->log_policy ? &daemon->log_policy->counts : &none;
}

void log_policy_free(struct daemon *daemon)
{
	if (!daemon->log_policy)
		return;
	arena_fini(&daemon->log_policy->arena);
	free(daemon->log_policy->shown);
	free(daemon->log_policy);
	daemon->log_policy = NULL;
}
