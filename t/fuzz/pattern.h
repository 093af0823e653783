/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our pattern matcher beside Lua's own: one call made in both, and calls at random. For 3020-pattern.c and
 * the fuzzer.
 *
 * One difference is meant: ours refuses a malformed pattern at once, Lua's own where it gets there.
 */
#ifndef T_FUZZ_PATTERN_H
#define T_FUZZ_PATTERN_H

#include "../policy.h"
#include "base/str.h"
#include "random.h"
#include "script/sandbox.h"

static const char driver[] =
	"local out\n"
	"local function add(...)\n"
	"  for i = 1, select('#', ...) do\n"
	"    local v = select(i, ...)\n"
	"    out[#out + 1] = type(v):sub(1, 1) .. ':' .. tostring(v)\n"
	"  end\n"
	"end\n"
	"return function(kind, s, p, r, init)\n"
	"  out = {}\n"
	"  if kind == 0 then add(string.find(s, p, init))\n"
	"  elseif kind == 1 then add(string.match(s, p, init))\n"
	"  elseif kind == 2 then for a, b, c in string.gmatch(s, p, init) do add(a, b, c) end\n"
	"  elseif kind == 3 then add(string.gsub(s, p, r))\n"
	"  elseif kind == 4 then add(string.gsub(s, p, r, init))\n"
	"  elseif kind == 5 then add(string.gsub(s, p, { a = 'A', b = false, [1] = 'one', [2] = 7 }))\n"
	"  elseif kind == 6 then\n"
	"    add(string.gsub(s, p, function(x, y) if x == 'b' then return nil end\n"
	"      return tostring(x) .. '/' .. tostring(y) end))\n"
	"  elseif kind == 7 then add(string.find(s, p, init, true)) end\n"
	"  return table.concat(out, ' ')\n"
	"end\n";
#define KINDS 8

static lua_State *stock;
static struct sandbox *ours;
static int lazy; /* malformed patterns that Lua's own did not get to */

struct call {
	int kind;
	const char *subject, *pattern, *replacement;
	size_t subject_length, pattern_length;
	int init;
};

static void push_call(lua_State *L, const struct call *call)
{
	lua_pushinteger(L, call->kind);
	lua_pushlstring(L, call->subject, call->subject_length);
	lua_pushlstring(L, call->pattern, call->pattern_length);
	lua_pushstring(L, call->replacement);
	lua_pushinteger(L, call->init);
}

static int prepare(lua_State *L)
{
	sandbox_compile(L, driver, sizeof(driver) - 1, "@t.lua");
	lua_call(L, 0, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, "driver");
	return 0;
}

struct answer {
	const struct call *call;
	char text[4096];
};

static int ask_ours(lua_State *L)
{
	struct answer *answer = lua_touserdata(L, 1);

	lua_getfield(L, LUA_REGISTRYINDEX, "driver");
	push_call(L, answer->call);
	lua_call(L, 5, 1);
	snprintf(answer->text, sizeof(answer->text), "%s", lua_tostring(L, -1));
	return 0;
}

static bool compare(const struct call *call, bool wellformed)
{
	struct answer answer = {.call = call};
	bool ours_failed = sandbox_run(ours, ask_ours, &answer, false) < 0, stock_failed, same;
	const char *want;

	lua_getfield(stock, LUA_REGISTRYINDEX, "driver");
	push_call(stock, call);
	stock_failed = lua_pcall(stock, 5, 1, 0) != LUA_OK;
	want = lua_tostring(stock, -1);
	if (ours_failed && !stock_failed && !wellformed &&
	    (strstr(ours->error, "malformed") || strstr(ours->error, "invalid") ||
	     strstr(ours->error, "unfinished"))) {
		lazy++;
		same = true;
	} else {
		same = ours_failed == stock_failed && (ours_failed || str_equal(want, answer.text));
	}
	if (!same)
		diag("kind %d, subject \"%s\", pattern \"%s\", replacement \"%s\", init %d\n"
		     "ours:  %s\nstock: %s",
		     call->kind, call->subject, call->pattern, call->replacement, call->init,
		     ours_failed ? ours->error : answer.text, want);
	lua_settop(stock, 0);
	return same;
}

static const char *const replacements[] = {"", "x", "<%0>", "%1", "%1%1", "%%", "%2", "%", "%x"};

static void add_class(struct str *text)
{
	static const char letters[] = "acdglpsuwxACDGLPSUWX.%-[]()$^+*?";

	str_addf(text, "%%%c", letters[choose(sizeof(letters) - 1)]);
}

static void add_set(struct str *text)
{
	str_add(text, choose(3) ? "[" : "[^");
	for (unsigned n = choose(3) + 1; n > 0; n--) {
		if (choose(3) == 0) {
			add_class(text);
		} else if (choose(3) == 0) {
			char low = (char)('a' + choose(3));

			str_addf(text, "%c-%c", low, (char)(low + (int)choose(3)));
		} else {
			str_add_char(text, "abc1 _"[choose(6)]);
		}
	}
	str_add_char(text, ']');
}

static void add_single(struct str *text)
{
	switch (choose(5)) {
	case 0:
		str_add_char(text, '.');
		break;
	case 1:
		add_class(text);
		break;
	case 2:
		add_set(text);
		break;
	default:
		str_add_char(text, "abc1 _"[choose(6)]);
	}
	if (choose(2))
		str_add_char(text, "*+-?"[choose(4)]);
}

/* A pattern that is well formed. */
static void make_pattern(struct str *text)
{
	int open = 0, captures = 0, closed = 0;

	if (choose(5) == 0)
		str_add_char(text, '^');
	for (unsigned n = choose(6) + 1; n > 0; n--) {
		switch (choose(12)) {
		case 0:
			if (captures < 4) {
				str_add_char(text, '(');
				captures++;
				open++;
				add_single(text);
			}
			break;
		case 1:
			if (open > 0) {
				str_add_char(text, ')');
				open--;
				closed = open == 0 ? captures : closed;
			}
			break;
		case 2:
			if (captures < 4 && open == 0) {
				str_add(text, "()");
				closed = ++captures;
			}
			break;
		case 3:
			if (closed > 0 && open == 0)
				str_addf(text, "%%%u", choose((unsigned)closed) + 1);
			break;
		case 4:
			str_add(text, choose(2) ? "%b()" : "%bab");
			break;
		case 5:
			str_add(text, "%f");
			add_set(text);
			break;
		default:
			add_single(text);
		}
	}
	while (open-- > 0)
		str_add_char(text, ')');
	if (choose(5) == 0)
		str_add_char(text, '$');
}

static void make_garbage(struct str *text)
{
	static const char bytes[] = "ab1%%%[]()^$*+-?.bf\0z";

	for (unsigned n = choose(8) + 1; n > 0; n--)
		str_add_char(text, bytes[choose(sizeof(bytes) - 1)]);
}

static void make_subject(struct str *text)
{
	static const char bytes[] = "aaabbbccc1 _()-.\0A\xff";

	for (unsigned n = choose(14); n > 0; n--)
		str_add_char(text, bytes[choose(sizeof(bytes) - 1)]);
}

/* A random call, made in both; true where they agree. */
static bool compare_random(bool wellformed)
{
	struct str pattern = STR_INIT, subject = STR_INIT;
	struct call call;
	bool same;

	if (wellformed)
		make_pattern(&pattern);
	else
		make_garbage(&pattern);
	make_subject(&subject);
	call = (struct call){
		.kind = (int)choose(KINDS),
		.subject = str_text(&subject),
		.pattern = str_text(&pattern),
		.subject_length = subject.length,
		.pattern_length = pattern.length,
		.replacement = replacements[choose(9)],
		.init = (int)choose(12) - 5,
	};
	same = compare(&call, wellformed);
	str_fini(&pattern);
	str_fini(&subject);
	return same;
}

static void pattern_start(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;

	budget.time_ms = (int64_t)((double)budget.time_ms * slowness());
	stock = luaL_newstate();
	luaL_openlibs(stock);
	ours = sandbox_new("t.lua", &budget);
	if (!ours || sandbox_run(ours, prepare, NULL, false) < 0)
		bail_out("no sandbox");
	if (luaL_loadbuffer(stock, driver, sizeof(driver) - 1, "@t.lua") != LUA_OK)
		bail_out("%s", lua_tostring(stock, -1));
	lua_call(stock, 0, 1);
	lua_setfield(stock, LUA_REGISTRYINDEX, "driver");
}

static void pattern_end(void)
{
	lua_close(stock);
	sandbox_free(ours);
}

#endif
