/* SPDX-License-Identifier: Apache-2.0 */
/* What the log hook may answer, what is made of a line, and what its failures cost. */
#include "base/str.h"
#include "policy.h"
#include "script/log_hook.h"

static const struct gantry_pair label = {"tier", "web"};
static const struct gantry_pairs labels = {.items = (struct gantry_pair *)&label, .count = 1};
static const struct script_origin origin = {.instance = "i-1",
					    .name = "web",
					    .project = "blue",
					    .node = "n",
					    .image = "busybox",
					    .labels = &labels};

static struct script_line make(int64_t sequence, const char *text)
{
	return (struct script_line){.origin = &origin,
				    .sequence = sequence,
				    .boot = 2,
				    .time_ns = 1500000000,
				    .stream = 2,
				    .text = text,
				    .length = strlen(text)};
}

/* A set of two files, in their order. */
static struct script_set *policy_two(const char *first, const char *second)
{
	struct script_set *set;

	policy_write("a.lua", first);
	policy_write("b.lua", second);
	set = policy_load_set();
	policy_remove("a.lua");
	policy_remove("b.lua");
	return set;
}

/* What becomes of a line, as "TEXT{TAG=VALUE,…}", "-" or "!WHY". */
static void text_of(const struct script_line *line, char *text, size_t size)
{
	size_t used;

	if (line->fate == SCRIPT_LINE_DROPPED) {
		snprintf(text, size, "-");
		return;
	}
	if (line->fate == SCRIPT_LINE_WITHHELD) {
		snprintf(text, size, "!%s", line->why);
		return;
	}
	used = (size_t)snprintf(text, size, "%.*s", (int)line->length, line->text);
	for (size_t i = 0; i < line->tags.count; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i ? "," : "{",
					 line->tags.items[i].name, line->tags.items[i].value);
	if (line->tags.count)
		snprintf(text + used, size - used, "}");
}

static const struct {
	const char *answer, *wanted;
} good[] = {
	{"nil", "hello"},
	{"true", "hello"},
	{"false", "-"},
	{"line.text:upper()", "HELLO"},
	{"''", ""},
	{"'a\\0b'", "a"},
	{"{}", "hello"},
	{"{ text = 'x' }", "x"},
	{"{ tags = { b = '1', a = line.stream } }", "hello{a=stderr,b=1}"},
	{"{ text = line.name .. line.project .. line.node .. line.image .. line.instance }",
	 "webbluenbusyboxi-1"},
	{"line.labels.tier .. line.sequence .. line.boot .. line.time .. tostring(line.partial)",
	 "web721.5false"},
};

static const struct {
	const char *answer, *error;
} bad[] = {
	{"7", "the answer must be text, false, a table of text and tags, or nil, not 7"},
	{"print", "the answer must be text, false, a table of text and tags, or nil, not function"},
	{"'a\\nb'", "a line must have no newline"},
	{"('x'):rep(70000)", "a line must have at most 65536 bytes"},
	{"{ txet = 'x' }", "the answer has text and tags, nothing else"},
	{"{ 'x' }", "the answer has text and tags, nothing else"},
	{"{ text = 1 }", "text must be text, not a number value"},
	{"{ tags = 'x' }", "tags must be a table, not a string value"},
	{"{ tags = { a = 1 } }", "tags has texts by name"},
	{"{ tags = { ['a-b'] = 'x' } }", "the name of a tag is a letter"},
	{"{ tags = { a = ('x'):rep(300) } }", "the value of a tag has at most 256 bytes"},
	{"line.txet", "a line has no field \"txet\"; did you mean \"text\"?"},
	{"error('no')", "no"},
	{"(function() while true do end end)()", "over its budget"},
};

static void answers(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct script_line line = make(7, "hello");
		struct script_log_counts counts = {0};
		struct arena arena = {0};
		struct script_set *set;
		char *source = xasprintf("return { log = function(line) return %s end }",
					 good[i].answer),
		     text[200];

		set = policy_one(source);
		script_log(set, &line, 1, &arena, &counts);
		text_of(&line, text, sizeof(text));
		is_str(text, good[i].wanted, "%s", good[i].answer);
		arena_fini(&arena);
		script_set_free(set);
		free(source);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *source = xasprintf(
			     "return { name = 'p', on_error = 'deny', log = function(line) return %s end }",
			     bad[i].answer),
		     text[200];
		struct script_line line = make(7, "hello"), shown = make(7, "hello");
		const struct script_request request = {
			.verb = "log", .actor = "uid:0", .project = "blue"};
		struct script_log_counts counts = {0};
		struct script_decision decision;
		struct arena arena = {0};
		struct script_set *set = policy_one(source);

		script_log(set, &line, 1, &arena, &counts);
		text_of(&line, text, sizeof(text));
		is_str(text, "!policy p failed, and these lines are withheld", "%s", bad[i].answer);
		is_int(counts.failed, 1, "it is counted");
		script_decision_init(&decision, set, &request, 1);
		script_log_decide(set, &shown, &arena, &decision);
		like(decision.records[0].reason, bad[i].error, "and says why");
		script_decision_fini(&decision);
		arena_fini(&arena);
		script_set_free(set);
		free(source);
	}
}

/* Many lines, some of which a policy fails at. */
static void failures(void)
{
	static struct script_line lines[1000];
	static char texts[1000][8];
	struct script_log_counts counts = {0};
	struct arena arena = {0};
	size_t shown = 0, withheld = 0;
	struct script_set *set = policy_one(
		"return { on_error = 'deny', log = function(line)\n"
		"if line.sequence % 10 == 0 then error('ten') end return line.text .. '!' end }");

	for (int i = 0; i < 1000; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%d", i);
		lines[i] = make(i, texts[i]);
	}
	script_log(set, lines, 1000, &arena, &counts);
	for (int i = 0; i < 1000; i++) {
		withheld += lines[i].fate == SCRIPT_LINE_WITHHELD && i % 10 == 0;
		shown += lines[i].fate == SCRIPT_LINE_SHOWN && i % 10 &&
			 lines[i].text[lines[i].length - 1] == '!';
	}
	ok(shown == 900 && withheld == 100, "one line in ten fails, and it alone: %zu, %zu", shown,
	   withheld);
	is_int(counts.lines, 1000, "all are counted");
	arena_fini(&arena);
	script_set_free(set);

	set = policy_one("local n = 0\nreturn { log = function(line)\n"
			 "if line.sequence == 500 then while true do end end return 'x' end }");
	counts = (struct script_log_counts){0};
	for (int i = 0; i < 1000; i++)
		lines[i] = make(i, texts[i]);
	script_log(set, lines, 1000, &arena, &counts);
	is_int(counts.failed, 500, "one that is killed is not asked for the lines behind");
	ok(lines[499].length == 1 && lines[500].length == 3 && lines[999].fate == SCRIPT_LINE_SHOWN,
	   "which are shown as they are, as on_error is not deny");
	script_log(set, lines, 1, &arena, &counts);
	is_int((int64_t)lines[0].length, 1, "it works again for the next");
	arena_fini(&arena);
	script_set_free(set);
}

static void several(void)
{
	struct script_log_counts counts = {0};
	struct script_line line = make(1, "a"), again = make(1, "a");
	struct arena arena = {0};
	char text[100], other[100];
	struct script_set *set = policy_two(
		"return { log = function(line) return { text = line.text .. 'b', tags = { one = '1', two = '1' } } end }",
		"return { log = function(line) return { text = line.text .. math.random(1000000), tags = { two = '2' } } end }");

	script_log(set, &line, 1, &arena, &counts);
	text_of(&line, text, sizeof(text));
	like(text, "ab", "the second one has what the first has made of it");
	like(text, "{one=1,two=2}", "tags are put together");
	script_log(set, &again, 1, &arena, &counts);
	text_of(&again, other, sizeof(other));
	is_str(other, text, "the same line, the same random numbers");
	again = make(2, "a");
	script_log(set, &again, 1, &arena, &counts);
	text_of(&again, other, sizeof(other));
	ok(strcmp(other, text) != 0, "another line, others");
	is_int(counts.changed, 6, "each policy is counted");
	script_set_free(set);

	set = policy_two("return { mode = 'shadow', log = function(line) return false end }",
			 "return { log = function(line) return line.text end }");
	line = make(1, "a");
	counts = (struct script_log_counts){0};
	script_log(set, &line, 1, &arena, &counts);
	ok(line.fate == SCRIPT_LINE_SHOWN && counts.dropped == 1,
	   "a shadow is counted, without effect");
	script_set_free(set);
	arena_fini(&arena);

	set = policy_one("return { admit = function(req) return true end }");
	ok(!script_has_log(set), "a set without the hook");
	script_set_free(set);
}

static void long_line(void)
{
	static char text[SCRIPT_LINE_BYTES + 2];
	struct script_log_counts counts = {0};
	struct script_line line;
	struct arena arena = {0};
	struct script_set *set =
		policy_one("return { log = function(line) return #line.text .. '' end }");

	memset(text, 'x', SCRIPT_LINE_BYTES);
	line = make(1, text);
	script_log(set, &line, 1, &arena, &counts);
	ok(line.length == 5 && counts.failed == 0, "a line of 64 KiB");
	text[SCRIPT_LINE_BYTES] = 'x';
	line = make(1, text);
	script_log(set, &line, 1, &arena, &counts);
	ok(line.length == SCRIPT_LINE_BYTES + 1 && counts.failed == 1, "a longer one is a failure");
	arena_fini(&arena);
	script_set_free(set);
}

/* Lines that are read together. */
static void much(void)
{
	static struct script_line lines[300];
	struct script_log_counts counts = {0};
	struct arena arena = {0};
	struct script_set *set =
		policy_one("local x = ('x'):rep(65536)\nreturn { log = function() return x end }");

	for (int i = 0; i < 300; i++)
		lines[i] = make(i, "a");
	script_log(set, lines, 300, &arena, &counts);
	is_int(counts.failed, 300 - 255, "what is more than 16 MiB together fails");
	ok(lines[254].length == 65536 && lines[255].length == 1, "what is not is taken");
	arena_fini(&arena);
	script_set_free(set);
}

int main(void)
{
	policy_start();
	answers();
	failures();
	several();
	long_line();
	much();
	policy_stop();
	done_testing();
	return tap_end();
}
