/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, arenas, lists and the nearest word. */
#include "tap.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/str.h"

#include <gantry/text.h>

static void growing(void)
{
	struct str s = STR_INIT;
	char *taken;

	is_str(str_text(&s), "", "an empty string has a text");
	taken = str_take(&s);
	is_str(taken, "", "and can be taken");
	free(taken);
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i);
	is_int(s.length, 3890, "a thousand additions");
	is_int(strlen(s.data), s.length, "end with NUL");
	str_consume(&s, 2);
	ok(str_starts_with(str_text(&s), "1,2,"), "the first bytes are gone");
	str_consume(&s, 99999);
	is_int(s.length, 0, "more than there is leaves nothing");
	str_add_bytes(&s, "a\0b", 3);
	str_add_char(&s, 'c');
	is_int(s.length, 4, "NULs count");
	ok(memcmp(s.data, "a\0bc", 5) == 0, "and are kept");
	str_clear(&s);
	str_add_int(&s, 0);
	str_add_char(&s, ' ');
	str_add_int(&s, INT64_MAX);
	str_add_char(&s, ' ');
	str_add_int(&s, INT64_MIN);
	is_str(s.data, "0 9223372036854775807 -9223372036854775808", "whole numbers");
	str_clear(&s);
	is_str(str_text(&s), "", "cleared");
	str_add(&s, "x");
	taken = str_take(&s);
	is_str(taken, "x", "taken");
	is_int(s.length, 0, "leaves an empty one");
	free(taken);
	str_fini(&s);
	str_fini(&s);
	taken = xasprintf("%s-%d", "a", 7);
	is_str(taken, "a-7", "xasprintf");
	free(taken);
	ok(!xstrdup(NULL), "a copy of nothing is nothing");
}

static void escapes(void)
{
	static const struct {
		const char *in, *json;
	} cases[] = {
		{"plain", "plain"},
		{"a\"b\\c", "a\\\"b\\\\c"},
		{"line\nend\ttab\x01", "line\\nend\\u0009tab\\u0001"},
		{"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		 "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xc3", "\\ufffd"},
		{"\xc0\xaf", "\\ufffd\\ufffd"},
		{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
		{"\xf4\x90\x80\x80x", "\\ufffd\\ufffd\\ufffd\\ufffdx"},
		{"\xff", "\\ufffd"},
	};
	struct str s = STR_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		str_clear(&s);
		str_add_json(&s, cases[i].in, strlen(cases[i].in));
		is_str(str_text(&s), cases[i].json, "JSON form %zu", i);
	}
	str_clear(&s);
	str_add_json(&s, "a\0b", 3);
	is_str(str_text(&s), "a\\u0000b", "a NUL inside");
	str_clear(&s);
	str_add_url(&s, "a b/c?d=%\xc3\xa4~-._");
	is_str(str_text(&s), "a%20b%2Fc%3Fd%3D%25%C3%A4~-._", "URL form");
	str_clear(&s);
	for (size_t length = 0; length <= 4; length++) {
		str_add_base64(&s, "\xff\0\x10z", length);
		str_add_char(&s, ' ');
	}
	is_str(str_text(&s), " /w== /wA= /wAQ /wAQeg== ", "base64");
	ok(gantry_is_utf8("", 0) && gantry_is_utf8("0123456789\xc3\xa4 0123456", 19) &&
		   gantry_is_utf8("1234567\xe2\x82\xac", 10),
	   "UTF-8");
	ok(!gantry_is_utf8("0123456789\xc3", 11) && !gantry_is_utf8("\xff 23456789", 10) &&
		   !gantry_is_utf8("1234567\xe2\x82", 9),
	   "no UTF-8");
	str_fini(&s);
}

static void nearest(void)
{
	static const char *const words[] = {"memory", "memory_swap", "mounts",
					    "cpus",   "user",        NULL};
	static const char *const none[] = {NULL};

	ok(str_find("mounts", words) && !str_find("mount", words), "only the word itself is found");
	is_str(str_nearest("memroy", words), "memory", "two letters swapped");
	is_str(str_nearest("memoryswap", words), "memory_swap", "one left out");
	is_str(str_nearest("mount", words), "mounts", "one missing at the end");
	is_str(str_nearest("memory", words), "memory", "the word itself");
	ok(!str_nearest("banana", words), "nothing near");
	ok(!str_nearest("memory", none), "no words");
	ok(!str_nearest("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", words),
	   "a very long word");
	is_int(str_equal(NULL, NULL), true, "nothing equals nothing");
	is_int(str_equal("a", NULL), false, "a text does not");
	is_int(str_starts_with("ab", "abc"), false, "a prefix that is longer");
}

static void arenas(void)
{
	struct arena arena = {0};
	char *big, *small;
	size_t not_zero = 0;

	ok(!arena_strdup(&arena, NULL), "a copy of nothing is nothing");
	for (size_t size = 0; size < 3000; size += 7) {
		small = arena_alloc(&arena, size);
		if ((uintptr_t)small % _Alignof(max_align_t))
			not_zero++;
		for (size_t i = 0; i < size; i++)
			not_zero += small[i] != 0;
		memset(small, 0xff, size);
	}
	is_int(not_zero, 0, "blocks of all sizes are aligned and zero");
	big = arena_alloc(&arena, 1 << 20);
	memset(big, 1, 1 << 20);
	is_str(arena_printf(&arena, "%s %d", "x", 7), "x 7", "printf");
	is_str(arena_strndup(&arena, "abcdef", 3), "abc", "a part");
	ok(arena.used_bytes > 1 << 20, "what is used is counted");
	arena_fini(&arena);
	is_int(arena.used_bytes, 0, "and gone at the end");
	is_str(arena_strdup(&arena, "again"), "again", "an ended arena is a new one");
	arena_fini(&arena);
}

struct entry {
	int number;
	struct list link;
};

static void lists(void)
{
	struct list head;
	struct entry entries[5];
	int sum = 0, order = 0;

	list_init(&head);
	ok(list_empty(&head), "an empty list");
	for (int i = 0; i < 5; i++) {
		entries[i].number = i;
		list_append(&head, &entries[i].link);
	}
	LIST_FOREACH (node, &head) {
		struct entry *entry = LIST_ENTRY(node, struct entry, link);

		order = order * 10 + entry->number;
		if (entry->number % 2)
			list_remove(node);
	}
	is_int(order, 1234, "in order, while some are removed");
	list_remove(&entries[1].link);
	LIST_FOREACH (node, &head)
		sum += LIST_ENTRY(node, struct entry, link)->number;
	is_int(sum, 6, "0, 2 and 4 are left; a second removal does nothing");
}

int main(void)
{
	growing();
	escapes();
	nearest();
	arenas();
	lists();
	done_testing();
	return tap_end();
}
