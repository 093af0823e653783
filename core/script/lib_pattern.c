/* SPDX-License-Identifier: Apache-2.0 */
/* string.find, match, gmatch and gsub on our own matcher. */
#include "script/exposed.h"
#include "script/pattern.h"

/* --- results --------------------------------------------------------------------------------------- */

/* Pushes a capture; the whole match where the pattern has none and the first is asked for. */
static void push_capture(struct matcher *m, int index, const char *from, const char *to)
{
	const struct pattern_capture *capture = &m->captures[index];

	if (index >= m->level)
		lua_pushlstring(m->L, from, (size_t)(to - from));
	else if (capture->length == CAPTURE_POSITION)
		lua_pushinteger(m->L, capture->start - m->subject + 1);
	else
		lua_pushlstring(m->L, capture->start, (size_t)capture->length);
}

static int push_captures(struct matcher *m, const char *from, const char *to, bool whole)
{
	int count = m->level == 0 && whole ? 1 : m->level;

	luaL_checkstack(m->L, count, "too many captures");
	for (int i = 0; i < count; i++)
		push_capture(m, i, from, to);
	return count;
}

/* The offset where a search begins, from Lua's argument; over length: nowhere. */
static size_t start_offset(lua_Integer start, size_t length)
{
	if (start > 0)
		return (size_t)start - 1;
	if (start == 0 || start < -(lua_Integer)length)
		return 0;
	return length - (size_t)-start;
}

static int find_plain(lua_State *L, const char *subject, size_t length, size_t offset,
		      const char *text, size_t text_length)
{
	const char *found = memmem(subject + offset, length - offset, text, text_length);

	sandbox_charge(L, 1 + (int64_t)(length - offset) / 16);
	if (!found) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, found - subject + 1);
	lua_pushinteger(L, found - subject + (lua_Integer)text_length);
	return 2;
}

static bool is_plain(const char *pattern, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (pattern[i] == '\0' || strchr("^$*+?.([%-)", pattern[i]))
			return false;
	return true;
}

static int find_or_match(lua_State *L, bool find)
{
	size_t length, pattern_length, offset;
	const char *subject = luaL_checklstring(L, 1, &length), *found;
	const char *pattern = luaL_checklstring(L, 2, &pattern_length);
	struct pattern program;
	struct matcher m = {
		.L = L, .pattern = &program, .subject = subject, .end = subject + length};

	offset = start_offset(luaL_optinteger(L, 3, 1), length);
	if (offset > length) {
		lua_pushnil(L);
		return 1;
	}
	if (find && (lua_toboolean(L, 4) || is_plain(pattern, pattern_length)))
		return find_plain(L, subject, length, offset, pattern, pattern_length);
	sandbox_charge(L, 2 + (int64_t)pattern_length);
	pattern_compile(L, pattern, pattern_length, true, &program);
	for (const char *at = subject + offset; at <= m.end; at++) {
		found = pattern_match_at(&m, at);
		if (found) {
			pattern_charge(&m);
			if (!find)
				return push_captures(&m, at, found, true);
			lua_pushinteger(L, at - subject + 1);
			lua_pushinteger(L, found - subject);
			return 2 + push_captures(&m, at, found, false);
		}
		if (program.anchored)
			break;
	}
	pattern_charge(&m);
	lua_pushnil(L);
	return 1;
}

int pattern_find(lua_State *L)
{
	return find_or_match(L, true);
}

int pattern_match(lua_State *L)
{
	return find_or_match(L, false);
}

/* --- gmatch ---------------------------------------------------------------------------------------- */

struct iteration {
	const char *at,
		*last; /* where to go on; the end of the match before, so that it is not found twice */
	struct pattern program;
};

/* Upvalues: the subject, the iteration. */
static int next_match(lua_State *L)
{
	struct iteration *iteration = lua_touserdata(L, lua_upvalueindex(2));
	size_t length;
	const char *subject = lua_tolstring(L, lua_upvalueindex(1), &length);
	struct matcher m = {.L = L,
			    .pattern = &iteration->program,
			    .subject = subject,
			    .end = subject + length};

	sandbox_charge(L, 2);
	for (; iteration->at <= m.end; iteration->at++) {
		const char *from = iteration->at, *found = pattern_match_at(&m, from);

		if (found && found != iteration->last) {
			pattern_charge(&m);
			iteration->at = iteration->last = found;
			return push_captures(&m, from, found, true);
		}
	}
	pattern_charge(&m);
	return 0;
}

int pattern_gmatch(lua_State *L)
{
	size_t length, pattern_length, offset;
	const char *subject = luaL_checklstring(L, 1, &length);
	const char *pattern = luaL_checklstring(L, 2, &pattern_length);
	struct iteration *iteration;

	offset = start_offset(luaL_optinteger(L, 3, 1), length);
	sandbox_charge(L, 10 + (int64_t)pattern_length);
	lua_pushvalue(L, 1);
	iteration = lua_newuserdatauv(L, sizeof(*iteration), 0);
	iteration->at = subject + (offset > length ? length + 1 : offset);
	iteration->last = NULL;
	pattern_compile(L, pattern, pattern_length, false, &iteration->program);
	lua_pushcclosure(L, next_match, 2);
	return 1;
}

/* --- gsub ------------------------------------------------------------------------------------------ */

struct replacing {
	struct matcher m;
	luaL_Buffer buffer;
	size_t length; /* of what was added */
};

static void add_bytes(struct replacing *r, const char *data, size_t length)
{
	r->length += length;
	if (r->length > SANDBOX_STRING_BYTES)
		luaL_error(r->m.L, "string.gsub would make a string of over %d bytes",
			   SANDBOX_STRING_BYTES);
	luaL_addlstring(&r->buffer, data, length);
}

/* Adds the string on top and pops it. */
static void add_top(struct replacing *r)
{
	r->length += lua_rawlen(r->m.L, -1);
	if (r->length > SANDBOX_STRING_BYTES)
		luaL_error(r->m.L, "string.gsub would make a string of over %d bytes",
			   SANDBOX_STRING_BYTES);
	luaL_addvalue(&r->buffer);
}

/* A replacement text: %0 is the whole match, %1 to %9 its captures, %% a "%". */
static void add_text(struct replacing *r, const char *from, const char *to)
{
	lua_State *L = r->m.L;
	size_t length;
	const char *text = lua_tolstring(L, 3, &length), *end = text + length;

	r->m.steps += (int64_t)length / 16 + 1;
	while (text < end) {
		const char *mark = memchr(text, '%', (size_t)(end - text));
		int index;

		add_bytes(r, text, (size_t)((mark ? mark : end) - text));
		if (!mark)
			return;
		text = mark + 2;
		if (mark + 1 < end && mark[1] == '%') {
			add_bytes(r, "%", 1);
		} else if (mark + 1 < end && mark[1] == '0') {
			add_bytes(r, from, (size_t)(to - from));
		} else if (mark + 1 < end && pattern_is_digit(mark[1])) {
			index = mark[1] - '1';
			if (index >= (r->m.level > 0 ? r->m.level : 1))
				luaL_error(L, "invalid capture index %%%d in replacement string",
					   index + 1);
			push_capture(&r->m, index, from, to);
			lua_tolstring(L, -1, NULL); /* a position becomes text */
			add_top(r);
		} else {
			luaL_error(L, "invalid use of '%%' in replacement string");
		}
	}
}

/* Adds what takes the place of a match; whether anything changed. */
static bool add_replacement(struct replacing *r, const char *from, const char *to, int type)
{
	lua_State *L = r->m.L;

	if (type == LUA_TFUNCTION) {
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(&r->m, from, to, true), 1);
	} else if (type == LUA_TTABLE) {
		push_capture(&r->m, 0, from, to);
		lua_gettable(L, 3);
	} else {
		add_text(r, from, to);
		return true;
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		add_bytes(r, from, (size_t)(to - from));
		return false;
	}
	if (!lua_isstring(L, -1))
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	lua_tolstring(L, -1, NULL);
	add_top(r);
	return true;
}

int pattern_gsub(lua_State *L)
{
	size_t length, pattern_length;
	const char *subject = luaL_checklstring(L, 1, &length), *at = subject, *last = NULL, *found;
	const char *pattern = luaL_checklstring(L, 2, &pattern_length);
	int type = lua_type(L, 3);
	lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
	struct pattern program;
	struct replacing r = {
		.m = {.L = L, .pattern = &program, .subject = subject, .end = subject + length}};
	bool changed = false;

	luaL_argexpected(L,
			 type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
				 type == LUA_TTABLE,
			 3, "string/function/table");
	if (type == LUA_TNUMBER)
		lua_tolstring(L, 3, NULL);
	sandbox_charge(L, 5 + (int64_t)pattern_length);
	pattern_compile(L, pattern, pattern_length, true, &program);
	luaL_buffinit(L, &r.buffer);
	while (count < most) {
		found = pattern_match_at(&r.m, at);
		if (found && found != last) {
			count++;
			changed |= add_replacement(&r, at, found, type);
			at = last = found;
		} else if (at < r.m.end) {
			add_bytes(&r, at++, 1);
		} else {
			break;
		}
		if (program.anchored)
			break;
	}
	pattern_charge(&r.m);
	sandbox_charge(L, (int64_t)r.length / 16);
	if (changed) {
		add_bytes(&r, at, (size_t)(r.m.end - at));
		luaL_pushresult(&r.buffer);
	} else {
		lua_pushvalue(L, 1);
	}
	lua_pushinteger(L, count);
	return 2;
}
