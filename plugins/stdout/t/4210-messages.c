/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the engine's two drivers, and the lines that they make: nasty input, cut at every byte. */
#include "../../../t/tap.h"

#include "../stdout.h"

#include <string.h>

/* --- json-file: a table ---------------------------------------------------------------------------- */

#define TAIL(stream) "\",\"stream\":\"" stream "\",\"time\":\"2026-01-02T03:04:05.000000006Z\"}\n"
#define OUT          TAIL("stdout")
#define TIME_NS      1767323045000000006

static const struct {
	const char *name, *input;
	size_t input_length; /* 0: strlen */
	enum entry_result result;
	int stream;
	const char *text;
	size_t text_length; /* 0: strlen */
	bool newline, ends;
} cases[] = {
	{"a line", "{\"log\":\"hi\\n" OUT, 0, ENTRY_OK, 1, "hi", 0, true, true},
	{"of standard error", "{\"log\":\"hi\\n" TAIL("stderr"), 0, ENTRY_OK, 2, "hi", 0, true,
	 true},
	{"an empty one", "{\"log\":\"\\n" OUT, 0, ENTRY_OK, 1, "", 0, true, true},
	{"the last of a process", "{\"log\":\"end" OUT, 0, ENTRY_OK, 1, "end", 0, false, true},
	{"NUL and CR", "{\"log\":\"a\\u0000b\\r\\n" OUT, 0, ENTRY_OK, 1, "a\0b\r", 4, true, true},
	{"what JSON escapes", "{\"log\":\"\\u003c\\u0026\\\"\\\\\\t\\b\\f\\/\\n" OUT, 0, ENTRY_OK,
	 1, "<&\"\\\t\b\f/", 0, true, true},
	{"characters of two, three and four bytes",
	 "{\"log\":\"\\u00e9\\u2028\\ud83d\\ude00\\n" OUT, 0, ENTRY_OK, 1,
	 "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", 0, true, true},
	{"half a pair", "{\"log\":\"\\ud83dx\\n" OUT, 0, ENTRY_OK, 1, "\xef\xbf\xbdx", 0, true,
	 true},
	{"an escape that is none", "{\"log\":\"\\uzz\\n" OUT, 0, ENTRY_OK, 1, "\\uzz", 0, true,
	 true},
	{"text that looks like the end", "{\"log\":\"\\\",\\\"stream\\\":\\\"stderr\\n" OUT, 0,
	 ENTRY_OK, 1, "\",\"stream\":\"stderr", 0, true, true},
	{"a backslash before the newline", "{\"log\":\"\\\\\\n" OUT, 0, ENTRY_OK, 1, "\\", 0, true,
	 true},
	{"a backslash and an n, no newline", "{\"log\":\"\\\\n" OUT, 0, ENTRY_OK, 1, "\\n", 0,
	 false, true},
	{"attributes",
	 "{\"log\":\"hi\\n\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-01-02T03:04:05.000000006Z\"}\n",
	 0, ENTRY_OK, 2, "hi", 0, true, true},
	{"a line that the engine did not finish, and the next",
	 "{\"log\":\"lost te{\"log\":\"hi\\n" OUT, 0, ENTRY_OK, 1, "hi", 0, true, true},
	{"half a line", "{\"log\":\"hi\\n\",\"str", 0, ENTRY_MORE, 0, NULL, 0, false, false},
	{"no line at all", "garbage\n", 0, ENTRY_DAMAGED, 0, NULL, 0, false, false},
	{"NULs, as a crash leaves them", "\0\0\0\0\n", 5, ENTRY_DAMAGED, 0, NULL, 0, false, false},
	{"no time", "{\"log\":\"hi\\n\",\"stream\":\"stdout\"}\n", 0, ENTRY_DAMAGED, 0, NULL, 0,
	 false, false},
	{"no stream", "{\"log\":\"hi\\n\",\"time\":\"2026-01-02T03:04:05Z\"}\n", 0, ENTRY_DAMAGED,
	 0, NULL, 0, false, false},
	{"another stream", "{\"log\":\"hi\\n" TAIL("stdin"), 0, ENTRY_DAMAGED, 0, NULL, 0, false,
	 false},
};

static void json_file_cases(bool moves)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t length =
			cases[i].input_length ? cases[i].input_length : strlen(cases[i].input);
		size_t text_length = cases[i].text_length ? cases[i].text_length
				     : cases[i].text      ? strlen(cases[i].text)
							  : 0;
		char *input = malloc(length); /* to the byte: a sanitizer sees a read behind it */
		enum entry_result result;
		struct entry entry;
		size_t early = 0;

		memcpy(input, cases[i].input, length);
		for (size_t cut = 0; cut < length; cut++)
			early += entry_next(ENTRY_JSON_FILE, input, cut, &entry) != ENTRY_MORE;
		result = entry_next(ENTRY_JSON_FILE, input, length, &entry);
		if (result == ENTRY_OK)
			entry_decode(&entry, moves ? input : entry.data);
		ok(early == 0 && result == cases[i].result &&
			   (result == ENTRY_MORE || entry.used == length) &&
			   (result != ENTRY_OK ||
			    (entry.stream == cases[i].stream && entry.length == text_length &&
			     memcmp(entry.data, cases[i].text, text_length) == 0 &&
			     entry.newline == cases[i].newline && entry.ends == cases[i].ends &&
			     entry_time_ns(&entry) == TIME_NS)),
		   "json-file: %s%s", cases[i].name, moves ? ", moved" : "");
		free(input);
	}
}

static void times(void)
{
	static const struct {
		const char *text;
		int64_t ns;
	} table[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-24T11:30:13.758583347Z", 1795519813758583347},
		{"2024-02-29T23:59:59.5Z", 1709251199500000000},
		{"2026-01-02T05:04:05.000000006+02:00", TIME_NS},
		{"2026-01-02T00:34:05.000000006-02:30", TIME_NS},
		{"2024-02-29T23:59:59.000000001999Z", 1709251199000000001},
		{"yesterday, about noon", 0},
		{"2026-13-02T03:04:05Z", 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		ok(entry_parse_time(table[i].text, strlen(table[i].text)) == table[i].ns, "time %s",
		   table[i].text);
}

/* By the minute of the one before: as each by itself, also where that changes or there is none. */
static void times_in_a_row(void)
{
	static const char *const row[] = {
		"2026-01-02T03:04:05.000000006Z", "2026-01-02T03:04:59.999999999Z",
		"2026-01-02T03:05:00.000000000Z", "2026-01-02T03:05:01.5Z",
		"2026-01-02T03:05:0x.000000006Z", "2026-01-02T03:05:02.000000007Z",
		"2026-01-02T03:05:02.00000000xZ", "2026-01-02T03:05:04.000000008Z",
		"2026-01-02T03:05:60.000000009Z", "2026-01-02T03:05:05.000000010Z",
		"2026-01-02T03:06:60.000000009Z", "2026-01-02T03:06:05.000000010Z",
		"2026-01-02T05:06:07.0000+02:00", "2026-01-02T05:06:07.000000011Z",
		"yesterday, about noon, not onZ", "yesterday, about noon, or soonZ",
		"2026-01-02T03:05:03.000000001Z", "2024-02-29T23:59:59.000000001Z"};
	struct entry_minute minute = {{0}, 0};
	size_t same = 0, count = sizeof(row) / sizeof(*row);

	for (size_t i = 0; i < count; i++) {
		struct entry near = {.time = row[i], .time_length = strlen(row[i])};

		same += entry_time_near(&near, &minute) == entry_parse_time(row[i], strlen(row[i]));
	}
	is_int((int64_t)same, (int64_t)count, "times in a row");
}

/* What is escaped is found wherever it stands. */
static void escapes_anywhere(void)
{
	size_t right = 0;

	for (int at = 0; at < 50; at++) {
		char input[256], text[64];
		struct entry entry;
		int length = snprintf(input, sizeof(input), "{\"log\":\"%.*s\\\"%.*s\\n" OUT, at,
				      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 50 - at,
				      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");

		snprintf(text, sizeof(text), "%.*s\"%.*s", at,
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 50 - at,
			 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
		if (entry_next(ENTRY_JSON_FILE, input, (size_t)length, &entry) != ENTRY_OK)
			continue;
		entry_decode(&entry, at % 2 ? input : entry.data);
		right += entry.length == 51 && memcmp(entry.data, text, 51) == 0;
	}
	is_int((int64_t)right, 50, "an escape at each place of a text");
}

/* --- local ----------------------------------------------------------------------------------------- */

struct bytes {
	char data[4 << 20];
	size_t length;
};
static struct bytes log_bytes;

static void put(const void *data, size_t length)
{
	memcpy(log_bytes.data + log_bytes.length, data, length);
	log_bytes.length += length;
}

static size_t varint(char *to, uint64_t value)
{
	size_t length = 0;

	do {
		to[length++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value);
	return length;
}

/* ordinal 0: a whole line */
static void put_local(int stream, int64_t time_ns, const char *text, size_t length, int ordinal,
		      bool last)
{
	static char message[70000];
	size_t size = 0;
	unsigned char frame[4];

	memcpy(message, stream == 2 ? "\x0a\x06stderr" : "\x0a\x06stdout", 8);
	size = 8;
	message[size++] = 0x10;
	size += varint(message + size, (uint64_t)time_ns);
	message[size++] = 0x1a;
	size += varint(message + size, length);
	memcpy(message + size, text, length);
	size += length;
	if (ordinal) {
		message[size++] = 0x20;
		message[size++] = 1;
		message[size++] = 0x2a;
		message[size++] = (char)(last ? 8 : 6);
		if (last) {
			message[size++] = 0x08;
			message[size++] = 1;
		}
		memcpy(message + size, "\x12\x02id\x18", 5);
		size += 5;
		message[size++] = (char)ordinal;
	}
	frame[0] = (unsigned char)(size >> 24);
	frame[1] = (unsigned char)(size >> 16);
	frame[2] = (unsigned char)(size >> 8);
	frame[3] = (unsigned char)size;
	put(frame, 4);
	put(message, size);
	put(frame, 4);
}

/* Reads the log in one go, or a byte more at a time; the lines as "STREAM:TEXT[flags];…". */
static void read_log(enum entry_format format, const struct boots *boots, bool over, char *text,
		     size_t size)
{
	struct filter filter = {.after = -1};
	struct lines lines = {0};
	struct batch batch = {0};
	char *copy = batch_room(&batch, log_bytes.length + 1);
	struct entry entry;
	size_t used = 0, at = 0;

	memcpy(copy, log_bytes.data, log_bytes.length);
	if (boots)
		lines.boots = *boots;
	for (;;) {
		enum entry_result result =
			entry_next(format, copy + used, log_bytes.length - used, &entry);

		if (result == ENTRY_MORE)
			break;
		used += entry.used;
		if (result == ENTRY_DAMAGED)
			lines_gap(&lines, "damaged", 0, 0, 0, &filter, &batch);
		else
			lines_take(&lines, &entry, &filter, &batch);
	}
	if (over)
		lines_end(&lines, &filter, &batch);
	text[0] = '\0';
	for (size_t i = 0; i < batch.count; i++) {
		const struct gantry_log_line *line = &batch.lines[i];

		if (line->length > 40)
			at += (size_t)snprintf(text + at, size - at, "%d:%zu%c", line->stream,
					       line->length, line->data[line->length - 1]);
		else
			at += (size_t)snprintf(text + at, size - at, "%d:%.*s", line->stream,
					       (int)line->length, line->data);
		at += (size_t)snprintf(text + at, size - at, "%s%s;",
				       line->flags & GANTRY_LOG_PARTIAL ? "+" : "",
				       line->flags & GANTRY_LOG_NO_NEWLINE ? "~" : "");
	}
	batch_fini(&batch);
	lines_fini(&lines);
}

static void lines_are(const char *name, enum entry_format format, const struct boots *boots,
		      bool over, const char *wanted)
{
	static char text[8192];

	read_log(format, boots, over, text, sizeof(text));
	is_str(text, wanted, "%s", name);
	log_bytes.length = 0;
}

static void local_cases(void)
{
	static char part[ENTRY_PART];
	struct boots boots = {.items = {{1, 0}, {2, 100}}, .count = 2};

	memset(part, 'x', sizeof(part));
	put_local(1, 1, "hi", 2, 0, false);
	put_local(2, 2, "a\0b\r\xc3", 5, 0, false);
	put_local(1, 3, "", 0, 0, false);
	lines_are("local: lines, bytes as they are", ENTRY_LOCAL, NULL, false, "1:hi;2:a;1:;");

	put_local(1, 1, part, sizeof(part), 1, false);
	put_local(2, 2, "between", 7, 0, false);
	put_local(1, 1, part, sizeof(part), 2, false);
	put_local(1, 1, "end", 3, 3, true);
	lines_are("local: parts are joined, for each stream", ENTRY_LOCAL, NULL, false,
		  "2:between;1:32771d;");

	put_local(1, 1, "no newline", 10, 1, false);
	put_local(1, 200, "next boot", 9, 0, false);
	lines_are("local: a short part is the end of a process", ENTRY_LOCAL, NULL, false,
		  "1:no newline~;1:next boot;");

	put_local(1, 1, part, sizeof(part), 1, false);
	put_local(1, 200, "next boot", 9, 0, false);
	lines_are("local: so is one of 16 KiB, where another line begins", ENTRY_LOCAL, NULL, false,
		  "1:16384x~;1:next boot;");

	put_local(1, 1, part, sizeof(part), 1, false);
	lines_are("local: a part alone waits", ENTRY_LOCAL, NULL, false, "");
	put_local(1, 1, part, sizeof(part), 1, false);
	put_local(2, 1, part, sizeof(part), 1, false);
	lines_are("local: and ends with the process", ENTRY_LOCAL, NULL, true,
		  "1:16384x~;2:16384x~;");

	put_local(1, 1, part, sizeof(part), 1, false);
	put_local(2, 200, "other stream", 12, 0, false);
	lines_are("local: a new boot ends what is open of both streams", ENTRY_LOCAL, &boots, false,
		  "1:16384x~;2:other stream;");

	for (int i = 1; i <= 130; i++)
		put_local(1, 1, part, i == 130 ? 5 : sizeof(part), i > 100 ? 100 : i, i == 130);
	lines_are("local: a line of 2 MiB comes in parts", ENTRY_LOCAL, NULL, false,
		  "1:1048576x+;1:1048576x+;1:16389x;");

	put_local(1, 1, "one", 3, 0, false);
	put("\0\0\0\x30 cut off", 12);
	put_local(1, 2, "two", 3, 0, false);
	put("\0\0\0\0\0\0", 6);
	put_local(1, 2, "three", 5, 0, false);
	lines_are("local: damaged messages are passed over", ENTRY_LOCAL, NULL, false,
		  "1:one;0:damaged;1:two;0:damaged;1:three;");
	put_local(1, 1, "one", 3, 0, false);
	put("\0\0\0\x30 cut off", 12);
	lines_are("local: a message that is cut off may still come", ENTRY_LOCAL, NULL, false,
		  "1:one;");

	put_local(1, 1, "one", 3, 0, false);
	for (size_t length = log_bytes.length; length > 0; length--) {
		struct entry entry;

		if (entry_next(ENTRY_LOCAL, log_bytes.data, length - 1, &entry) != ENTRY_MORE) {
			ok(false, "local: a message of %zu bytes is not whole", length - 1);
			return;
		}
	}
	ok(true, "local: a message is not taken before it is whole");
	log_bytes.length = 0;
}

static void put_json(const char *text, const char *end)
{
	put("{\"log\":\"", 8);
	put(text, strlen(text));
	put(end, strlen(end));
}

static void json_file_lines(void)
{
	static char part[ENTRY_PART + 1];
	struct boots boots = {.items = {{1, 0}, {2, TIME_NS - 10}}, .count = 2};

	memset(part, 'y', ENTRY_PART);
	put_json(part, OUT);
	put_json("err\\n", TAIL("stderr"));
	put_json("rest\\n", OUT);
	lines_are("json-file: parts are joined", ENTRY_JSON_FILE, NULL, false, "2:err;1:16388t;");

	put_json(part, "\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:04Z\"}\n");
	put_json("next boot\\n", OUT);
	lines_are("json-file: but not over a start, whose time is known", ENTRY_JSON_FILE, &boots,
		  false, "1:16384y~;1:next boot;");

	part[ENTRY_PART - 1] = '\0';
	put_json(part, OUT);
	put_json("next boot\\n", OUT);
	lines_are("json-file: a part that is too short is the end of a process", ENTRY_JSON_FILE,
		  NULL, false, "1:16383y~;1:next boot;");

	put_json("one\\n", OUT);
	put("half a li{\"x\":1}\n", 17);
	put_json("two\\n", OUT);
	put("{\"log\":\"not yet", 15);
	lines_are("json-file: a damaged line is told, half a line waits", ENTRY_JSON_FILE, NULL,
		  false, "1:one;0:damaged;1:two;");
}

/* The same log, fed in pieces: every number and every byte as in one go. */
static void numbers(void)
{
	struct filter all = {.after = -1}, after = {.after = 2},
		      count = {.after = -1, .count_only = true};
	struct filter text = {.after = -1, .text = (char *)"b", .text_length = 1};
	struct filter *filters[] = {&all, &after, &count, &text};
	size_t want[] = {4, 2, 0, 1}, matched[] = {4, 2, 4, 1};

	put_json("a\\n", OUT);
	put_json("b\\n", TAIL("stderr"));
	put_json("c\\n", OUT);
	put_json("d", OUT);
	for (size_t i = 0; i < 4; i++) {
		struct lines lines = {0};
		struct batch batch = {0};
		struct entry entry;
		size_t used = 0;
		char *copy = batch_room(&batch, log_bytes.length);

		memcpy(copy, log_bytes.data, log_bytes.length);
		while (entry_next(ENTRY_JSON_FILE, copy + used, log_bytes.length - used, &entry) ==
		       ENTRY_OK) {
			used += entry.used;
			lines_take(&lines, &entry, filters[i], &batch);
		}
		ok(batch.count == want[i] && batch.matched == matched[i] && lines.sequence == 4,
		   "filter %zu: %zu lines of %zu that match, all counted", i, batch.count,
		   batch.matched);
		batch_fini(&batch);
		lines_fini(&lines);
	}
	log_bytes.length = 0;
}

/* Where it is allowed, whole lines of a stream are one. */
static void many_as_one(enum entry_format format)
{
	struct filter filter = {.after = 1, .lines = true};
	struct lines lines = {0};
	struct batch batch = {0};
	struct entry entry;
	size_t used = 0;
	char *data;

	for (int i = 0; i < 5; i++) {
		if (format == ENTRY_JSON_FILE)
			put_json("a\\\"b\\n", i == 3 ? TAIL("stderr") : OUT);
		else
			put_local(i == 3 ? 2 : 1, TIME_NS + i, "a\"b", 3, 0, false);
	}
	if (format == ENTRY_JSON_FILE)
		put_json("end", OUT);
	else
		put_local(1, TIME_NS, "end", 3, 1, false);
	data = batch_room(&batch, log_bytes.length);
	memcpy(data, log_bytes.data, log_bytes.length);
	while (entry_next(format, data + used, log_bytes.length - used, &entry) == ENTRY_OK) {
		used += entry.used;
		lines_take(&lines, &entry, &filter, &batch);
	}
	is_int((int64_t)batch.count, 4,
	       "format %d: two lines are one; then one of the other stream, one, and one without newline",
	       (int)format);
	ok(batch.lines[0].flags == GANTRY_LOG_LINES && batch.lines[0].sequence == 3 &&
		   batch.lines[0].length == 8 && memcmp(data, "a\"b\na\"b\n", 8) == 0,
	   "what is not wanted is not among them, and the number is the last one's");
	ok(batch.lines[1].stream == 2 && batch.lines[1].length == 4 &&
		   batch.lines[2].sequence == 5 && batch.lines[3].flags == GANTRY_LOG_NO_NEWLINE &&
		   batch.lines[3].length == 3,
	   "the others as they were");
	batch_fini(&batch);
	log_bytes.length = 0;
}

static uint32_t roll(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 16) % below;
}

/* A log with all that there is, most of it plain. */
static void put_any(uint32_t *state)
{
	static char part[ENTRY_PART];
	int64_t time_ns = TIME_NS;

	log_bytes.length = 0;
	for (size_t i = 0; i < sizeof(part); i++)
		part[i] = (char)('a' + i % 26);
	for (uint32_t i = 0; i < 60; i++) {
		uint32_t kind = roll(state, 40);
		int stream = 1 + (roll(state, 5) == 0);

		time_ns += (int64_t)roll(state, 10) - 1;
		if (kind == 0)
			put("\0\0\0\x30 cut off", 12);
		else if (kind == 1)
			put_local(stream, time_ns, part, sizeof(part), 1, false);
		else if (kind < 4)
			put_local(stream, time_ns, "part", 4, (int)kind - 1, kind == 3);
		else if (kind == 4)
			put_local(stream, 7, "long ago", 8, 0, false);
		else
			put_local(stream, time_ns, part + roll(state, 26), roll(state, 200), 0,
				  false);
	}
}

/* What the filter leaves of the log, one by one or as many at once as can be. */
static void take_log(bool many, const struct boots *boots, const struct filter *filter,
		     struct lines *lines, struct batch *batch)
{
	struct filter mine = *filter;
	char *data = batch_room(batch, log_bytes.length);
	enum entry_result result = ENTRY_OK;
	struct entry entry;
	size_t used = 0, run;

	memcpy(data, log_bytes.data, log_bytes.length);
	lines->boots = *boots;
	while (result != ENTRY_MORE) {
		run = many ? lines_take_run(lines, ENTRY_LOCAL, data + used,
					    log_bytes.length - used, &mine, batch)
			   : 0;
		used += run;
		if (run)
			continue;
		result = entry_next(ENTRY_LOCAL, data + used, log_bytes.length - used, &entry);
		used += result == ENTRY_MORE ? 0 : entry.used;
		if (result == ENTRY_OK)
			lines_take(lines, &entry, &mine, batch);
	}
	batch->count = lines_join(batch->lines, batch->count);
}

static bool same_lines(const struct batch *batch, const struct batch *other)
{
	bool same = batch->count == other->count && batch->matched == other->matched;

	for (size_t i = 0; same && i < batch->count; i++) {
		const struct gantry_log_line *a = &batch->lines[i], *b = &other->lines[i];

		same = a->sequence == b->sequence && a->boot == b->boot &&
		       a->time_ns == b->time_ns && a->stream == b->stream && a->flags == b->flags &&
		       a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
	}
	return same;
}

/* However many are taken at once, lines are the same, and so are those that are made one later. */
static void many_at_once(void)
{
	const struct boots boots = {.items = {{3, TIME_NS + 50}, {4, TIME_NS + 130}}, .count = 2};
	const struct filter filters[] = {
		{.after = -1, .lines = true},
		{.after = 17, .lines = true},
		{.after = -1, .lines = true, .stream = 2},
		{.after = -1, .lines = true, .since_ns = TIME_NS + 40, .until_ns = TIME_NS + 140},
		{.after = -1, .lines = true, .skip = 5},
		{.after = -1, .lines = true, .text = (char *)"x", .text_length = 1},
		{.after = -1},
		{.after = -1, .count_only = true},
		{.after = 17, .count_only = true, .stream = 1},
		{.after = -1, .count_only = true, .until_ns = TIME_NS + 140},
	};
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		int differ = 0;
		size_t most = 0;

		for (int round = 0; round < 300; round++) {
			struct filter each = filters[i];
			struct lines lines[3] = {{0}, {0}, {0}};
			struct batch batch[3] = {{0}, {0}, {0}};

			each.each = true;
			put_any(&state);
			take_log(false, &boots, &filters[i], &lines[0], &batch[0]);
			take_log(true, &boots, &filters[i], &lines[1], &batch[1]);
			take_log(true, &boots, &each, &lines[2], &batch[2]);
			differ += !same_lines(&batch[0], &batch[1]) ||
				  !same_lines(&batch[0], &batch[2]) ||
				  lines[0].sequence != lines[1].sequence ||
				  (!filters[i].count_only && lines[0].time_ns != lines[1].time_ns);
			most = batch[0].matched > most ? batch[0].matched : most;
			for (int at = 0; at < 3; at++) {
				batch_fini(&batch[at]);
				lines_fini(&lines[at]);
			}
		}
		ok(differ == 0 && most > 0,
		   "filter %zu: taken many at once, lines are as one by one (%d differ, up to %zu)",
		   i, differ, most);
	}
	log_bytes.length = 0;
}

int main(void)
{
	many_at_once();
	many_as_one(ENTRY_JSON_FILE);
	many_as_one(ENTRY_LOCAL);
	json_file_cases(false);
	json_file_cases(true);
	times();
	times_in_a_row();
	escapes_anywhere();
	local_cases();
	json_file_lines();
	numbers();
	done_testing();
	return tap_end();
}
