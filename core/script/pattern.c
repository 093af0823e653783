/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match calls itself only for the items behind a choice, so that its depth is at most the number of
 * items. It may raise (the budget) and so holds no memory.
 */
#include "script/pattern.h"

#define STEPS_PER_LOOK 2048

enum item_kind {
	ITEM_ANY,
	ITEM_BYTE,
	ITEM_CLASS,
	ITEM_SET,
	/* those above match one byte and may repeat */
	ITEM_OPEN,
	ITEM_POSITION,
	ITEM_CLOSE,
	ITEM_SAME,     /* %1 */
	ITEM_BALANCED, /* %b() */
	ITEM_FRONTIER, /* %f[set] */
	ITEM_END,      /* $ */
};

enum item_repeat { ONCE, MAYBE, MANY, SOME, FEW };

/* --- classes --------------------------------------------------------------------------------------- */

enum {
	LOWER = 1,
	UPPER = 2,
	DIGIT = 4,
	HEX = 8,
	SPACE = 16,
	CONTROL = 32,
	PUNCT = 64,
	ZERO = 128,
};

/* As the C locale has it, whatever the daemon's locale is. */
static const uint8_t class_of[256] = {
	[0] = CONTROL | ZERO,        [1 ... 8] = CONTROL,   [9 ... 13] = CONTROL | SPACE,
	[14 ... 31] = CONTROL,       [' '] = SPACE,         ['!' ... '/'] = PUNCT,
	['0' ... '9'] = DIGIT | HEX, [':' ... '@'] = PUNCT, ['A' ... 'F'] = UPPER | HEX,
	['G' ... 'Z'] = UPPER,       ['[' ... '`'] = PUNCT, ['a' ... 'f'] = LOWER | HEX,
	['g' ... 'z'] = LOWER,       ['{' ... '~'] = PUNCT, [127] = CONTROL,
};

/* The classes that the letter stands for; 0: it stands for itself. */
static unsigned class_mask(unsigned char letter)
{
	switch (letter | 32) {
	case 'a':
		return LOWER | UPPER;
	case 'c':
		return CONTROL;
	case 'd':
		return DIGIT;
	case 'g':
		return LOWER | UPPER | DIGIT | PUNCT;
	case 'l':
		return LOWER;
	case 'p':
		return PUNCT;
	case 's':
		return SPACE;
	case 'u':
		return UPPER;
	case 'w':
		return LOWER | UPPER | DIGIT;
	case 'x':
		return HEX;
	case 'z':
		return ZERO;
	}
	return 0;
}

static bool is_upper(unsigned char c)
{
	return class_of[c] & UPPER;
}

static bool is_letter(unsigned char c)
{
	return class_of[c] & (UPPER | LOWER);
}

static bool class_fits(unsigned char c, unsigned mask, bool negated)
{
	return ((class_of[c] & mask) != 0) != negated;
}

static bool in_set(const uint8_t *set, unsigned char c)
{
	return set[c >> 3] >> (c & 7) & 1;
}

static void set_add(uint8_t *set, unsigned char c)
{
	set[c >> 3] |= (uint8_t)(1 << (c & 7));
}

/* --- compiling ------------------------------------------------------------------------------------- */

static int malformed(lua_State *L, const char *why)
{
	return luaL_error(L, "malformed pattern (%s)", why);
}

/* The "]" that ends a set which begins behind its "[": not its first byte, nor one behind "%". */
static const char *find_set_end(lua_State *L, const char *at, const char *end)
{
	bool first = true;

	for (at += at < end && *at == '^'; at < end && (first || *at != ']'); first = false)
		at += *at == '%' ? 2 : 1;
	if (at >= end)
		malformed(L, "missing ']'");
	return at;
}

/*
 * Reads a set from behind its "[" to behind its "]": bytes, classes, and ranges of two bytes with a
 * "-" between them. What follows the "-" ends the range, "%" too.
 */
static const char *compile_set(lua_State *L, const char *at, const char *end,
			       struct pattern *pattern, uint8_t *ret_index)
{
	const char *close = find_set_end(L, at, end);
	bool negated = *at == '^';
	uint8_t *set;

	if (pattern->sets_count == PATTERN_SETS_MAX)
		luaL_error(L, "a pattern with over %d sets", PATTERN_SETS_MAX);
	set = pattern->sets[pattern->sets_count];
	memset(set, 0, 32);
	for (at += negated; at < close;) {
		unsigned char c = (unsigned char)*at++;

		if (c == '%' && at < close) {
			unsigned mask;

			c = (unsigned char)*at++;
			mask = is_letter(c) ? class_mask(c) : 0;
			if (!mask)
				set_add(set, c);
			for (int i = 0; mask && i < 256; i++)
				if (class_fits((unsigned char)i, mask, is_upper(c)))
					set_add(set, (unsigned char)i);
		} else if (close - at >= 2 && *at == '-') {
			for (int i = c; i <= (unsigned char)at[1]; i++)
				set_add(set, (unsigned char)i);
			at += 2;
		} else {
			set_add(set, c);
		}
	}
	for (int i = 0; negated && i < 32; i++)
		set[i] = (uint8_t)~set[i];
	*ret_index = (uint8_t)pattern->sets_count++;
	return close + 1;
}

/* What stands behind "%"; returns the place behind it. *ret_single: it may repeat. */
static const char *compile_escape(lua_State *L, const char *at, const char *end,
				  struct pattern *pattern, struct pattern_item *item,
				  const uint8_t *closed, bool *ret_single)
{
	unsigned char c;

	if (at == end)
		malformed(L, "ends with '%'");
	c = (unsigned char)*at++;
	*ret_single = false;
	if (c == 'b') {
		if (end - at < 2)
			malformed(L, "missing arguments to '%b'");
		item->kind = ITEM_BALANCED;
		item->a = (uint8_t)at[0];
		item->b = (uint8_t)at[1];
		return at + 2;
	}
	if (c == 'f') {
		if (at == end || *at != '[')
			malformed(L, "missing '[' after '%f'");
		item->kind = ITEM_FRONTIER;
		return compile_set(L, at + 1, end, pattern, &item->a);
	}
	if (class_of[c] & DIGIT) {
		if (c == '0' || c - '0' > pattern->captures || !closed[c - '1'])
			luaL_error(L, "invalid capture index %%%d in the pattern", c - '0');
		item->kind = ITEM_SAME;
		item->a = (uint8_t)(c - '1');
		return at;
	}
	*ret_single = true;
	item->mask = is_letter(c) ? (uint16_t)class_mask(c) : 0;
	item->kind = item->mask ? ITEM_CLASS : ITEM_BYTE;
	item->a = item->mask ? is_upper(c) : c;
	return at;
}

static int last_open(const struct pattern *pattern, const uint8_t *closed)
{
	for (int i = pattern->captures - 1; i >= 0; i--)
		if (!closed[i])
			return i;
	return -1;
}

static enum item_repeat repeat_of(char c)
{
	switch (c) {
	case '?':
		return MAYBE;
	case '*':
		return MANY;
	case '+':
		return SOME;
	case '-':
		return FEW;
	}
	return ONCE;
}

/* Raises where the pattern is malformed or too long. anchors: a "^" at the start is an anchor. */
void pattern_compile(lua_State *L, const char *text, size_t length, bool anchors,
		     struct pattern *pattern)
{
	const char *at = text, *end = text + length;
	uint8_t closed[PATTERN_CAPTURES_MAX] = {0};

	pattern->count = pattern->sets_count = pattern->captures = 0;
	pattern->anchored = anchors && at < end && *at == '^';
	at += pattern->anchored;
	while (at < end) {
		struct pattern_item *item = &pattern->items[pattern->count];
		bool single = true;
		int open;

		if (pattern->count++ == PATTERN_ITEMS_MAX)
			luaL_error(L, "a pattern of over %d items", PATTERN_ITEMS_MAX);
		*item = (struct pattern_item){.kind = ITEM_BYTE, .a = (uint8_t)*at};
		switch (*at++) {
		case '(':
			single = false;
			if (pattern->captures == PATTERN_CAPTURES_MAX)
				luaL_error(L, "too many captures");
			item->a = (uint8_t)pattern->captures++;
			item->kind = ITEM_OPEN;
			if (at < end && *at == ')') {
				item->kind = ITEM_POSITION;
				closed[item->a] = true;
				at++;
			}
			break;
		case ')':
			single = false;
			open = last_open(pattern, closed);
			if (open < 0)
				luaL_error(L, "invalid pattern capture");
			closed[open] = true;
			item->kind = ITEM_CLOSE;
			item->a = (uint8_t)open;
			break;
		case '$':
			if (at == end) {
				single = false;
				item->kind = ITEM_END;
			}
			break;
		case '.':
			item->kind = ITEM_ANY;
			break;
		case '[':
			item->kind = ITEM_SET;
			at = compile_set(L, at, end, pattern, &item->a);
			break;
		case '%':
			at = compile_escape(L, at, end, pattern, item, closed, &single);
			break;
		}
		if (single && at < end && (item->repeat = repeat_of(*at)) != ONCE)
			at++;
	}
	if (last_open(pattern, closed) >= 0)
		luaL_error(L, "unfinished capture");
}

/* --- matching -------------------------------------------------------------------------------------- */

static void step(struct matcher *m, int64_t count)
{
	m->steps += count;
	if (m->steps >= STEPS_PER_LOOK)
		pattern_charge(m);
}

static bool fits(const struct matcher *m, const struct pattern_item *item, const char *at)
{
	unsigned char c;

	if (at >= m->end)
		return false;
	c = (unsigned char)*at;
	switch (item->kind) {
	case ITEM_ANY:
		return true;
	case ITEM_BYTE:
		return c == item->a;
	case ITEM_CLASS:
		return class_fits(c, item->mask, item->a);
	case ITEM_SET:
		return in_set(m->pattern->sets[item->a], c);
	}
	return false;
}

static const char *match_balanced(struct matcher *m, const struct pattern_item *item,
				  const char *at)
{
	int depth = 1;

	if (at >= m->end || (uint8_t)*at != item->a)
		return NULL;
	while (++at < m->end) {
		step(m, 1);
		if ((uint8_t)*at == item->b) {
			if (--depth == 0)
				return at + 1;
		} else if ((uint8_t)*at == item->a) {
			depth++;
		}
	}
	return NULL;
}

/* What a finished capture holds, once more. A position is never found again. */
static const char *match_same(struct matcher *m, const struct pattern_item *item, const char *at)
{
	const struct pattern_capture *capture = &m->captures[item->a];

	if (capture->length < 0 || capture->length > m->end - at ||
	    memcmp(at, capture->start, (size_t)capture->length) != 0)
		return NULL;
	step(m, capture->length / 16);
	return at + capture->length;
}

static bool match_frontier(const struct matcher *m, const struct pattern_item *item, const char *at)
{
	const uint8_t *set = m->pattern->sets[item->a];
	unsigned char before = at == m->subject ? 0 : (unsigned char)at[-1];
	unsigned char here = at == m->end ? 0 : (unsigned char)*at;

	return !in_set(set, before) && in_set(set, here);
}

static const char *match(struct matcher *m, int index, const char *at);

/* As many as there are, and then fewer until the rest fits. */
static const char *match_many(struct matcher *m, int index, const char *at)
{
	const struct pattern_item *item = &m->pattern->items[index];
	const char *least = at + (item->repeat == SOME), *most = at, *found;

	while (fits(m, item, most)) {
		step(m, 1);
		most++;
	}
	for (; most >= least; most--) {
		found = match(m, index + 1, most);
		if (found)
			return found;
	}
	return NULL;
}

static const char *match_few(struct matcher *m, int index, const char *at)
{
	const char *found;

	for (;; at++) {
		step(m, 1);
		found = match(m, index + 1, at);
		if (found)
			return found;
		if (!fits(m, &m->pattern->items[index], at))
			return NULL;
	}
}

static const char *match_open(struct matcher *m, int index, const char *at, ptrdiff_t length)
{
	const char *found;

	m->captures[m->level++] = (struct pattern_capture){at, length};
	found = match(m, index + 1, at);
	if (!found)
		m->level--;
	return found;
}

static const char *match_close(struct matcher *m, int index, const char *at)
{
	struct pattern_capture *capture = &m->captures[m->pattern->items[index].a];
	const char *found;

	capture->length = at - capture->start;
	found = match(m, index + 1, at);
	if (!found)
		capture->length = CAPTURE_OPEN;
	return found;
}

/* Where the items from index on end when they begin at `at`; NULL: they do not match. */
static const char *match(struct matcher *m, int index, const char *at)
{
	for (; index < m->pattern->count; index++) {
		const struct pattern_item *item = &m->pattern->items[index];
		const char *found;

		step(m, 1);
		switch ((enum item_kind)item->kind) {
		case ITEM_OPEN:
			return match_open(m, index, at, CAPTURE_OPEN);
		case ITEM_POSITION:
			return match_open(m, index, at, CAPTURE_POSITION);
		case ITEM_CLOSE:
			return match_close(m, index, at);
		case ITEM_SAME:
			at = match_same(m, item, at);
			if (!at)
				return NULL;
			continue;
		case ITEM_BALANCED:
			at = match_balanced(m, item, at);
			if (!at)
				return NULL;
			continue;
		case ITEM_FRONTIER:
			if (!match_frontier(m, item, at))
				return NULL;
			continue;
		case ITEM_END:
			if (at != m->end)
				return NULL;
			continue;
		case ITEM_ANY:
		case ITEM_BYTE:
		case ITEM_CLASS:
		case ITEM_SET:
			break;
		}
		switch ((enum item_repeat)item->repeat) {
		case ONCE:
			if (!fits(m, item, at))
				return NULL;
			at++;
			break;
		case MAYBE:
			if (fits(m, item, at)) {
				found = match(m, index + 1, at + 1);
				if (found)
					return found;
			}
			break;
		case MANY:
		case SOME:
			return match_many(m, index, at);
		case FEW:
			return match_few(m, index, at);
		}
	}
	return at;
}

const char *pattern_match_at(struct matcher *m, const char *at)
{
	m->level = 0;
	step(m, 1);
	return match(m, 0, at);
}

void pattern_charge(struct matcher *m)
{
	int64_t steps = m->steps;

	m->steps = 0;
	sandbox_charge(m->L, steps / PATTERN_STEPS_PER_UNIT);
}

bool pattern_is_digit(char c)
{
	return class_of[(unsigned char)c] & DIGIT;
}
