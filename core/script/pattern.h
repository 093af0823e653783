/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lua's patterns (reference manual 6.4.1), with a budget. Internal to script/.
 *
 * A pattern is compiled into items first, so that a malformed one is an error whatever the subject
 * is; then items are matched with backtracking. Each byte looked at is a step, and steps are charged
 * to the budget: Lua's own matcher can hold the daemon for minutes with 512 bytes.
 */
#ifndef SCRIPT_PATTERN_H
#define SCRIPT_PATTERN_H

#include "script/sandbox.h"

#define PATTERN_ITEMS_MAX      256
#define PATTERN_SETS_MAX       32
#define PATTERN_CAPTURES_MAX   32
#define PATTERN_STEPS_PER_UNIT 4 /* steps that weigh as much as an instruction */

#define CAPTURE_OPEN     (-1) /* lengths of captures that have none */
#define CAPTURE_POSITION (-2)

struct pattern_item {
	uint8_t kind, repeat;
	uint8_t a, b;  /* a byte, an index of a capture or set; of a class: not it */
	uint16_t mask; /* of a class */
};

struct pattern {
	bool anchored;
	int count, sets_count, captures;
	struct pattern_item items[PATTERN_ITEMS_MAX];
	uint8_t sets[PATTERN_SETS_MAX][32];
};

struct pattern_capture {
	const char *start;
	ptrdiff_t length;
};

struct matcher {
	lua_State *L;
	const struct pattern *pattern;
	const char *subject, *end;
	int64_t steps; /* not charged yet */
	int level;     /* captures that are set */
	struct pattern_capture captures[PATTERN_CAPTURES_MAX];
};

/* Raises where the text is malformed or too long. anchors: a "^" at the start is an anchor. */
void pattern_compile(lua_State *L, const char *text, size_t length, bool anchors,
		     struct pattern *ret_pattern);

/* Where the match that begins at `at` ends; NULL: there is none. Raises where the budget is used up. */
const char *pattern_match_at(struct matcher *m, const char *at);
/* Charges the steps that are left. */
void pattern_charge(struct matcher *m);

bool pattern_is_digit(char c);

#endif
