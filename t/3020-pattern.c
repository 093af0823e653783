/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our pattern matcher against Lua's own: a list of patterns by hand, all of them over all subjects, then
 * random ones from a fixed seed (SEED and RUNS change that). Both run the same Lua code.
 *
 * One difference is meant: ours refuses a malformed pattern at once, Lua's own where it gets there.
 */
#include "base/str.h"
#include "policy.h"
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

/* --- by hand --------------------------------------------------------------------------------------- */

static const char *const patterns[] = {
	"",
	"a",
	"b",
	"ab",
	".",
	"..",
	"a*",
	"a+",
	"a-",
	"a?",
	".*",
	".+",
	".-",
	".?",
	"^a",
	"^",
	"$",
	"^$",
	"a$",
	"^a*$",
	"a*$",
	"$a",
	"a^",
	"%$",
	"%^",
	"%.",
	"%%",
	"%a",
	"%A",
	"%c",
	"%C",
	"%d",
	"%D",
	"%g",
	"%G",
	"%l",
	"%L",
	"%p",
	"%P",
	"%s",
	"%S",
	"%u",
	"%U",
	"%w",
	"%W",
	"%x",
	"%X",
	"%a+",
	"%d+",
	"%s*",
	"%w-b",
	"[ab]",
	"[^ab]",
	"[a-c]",
	"[^a-c]",
	"[]]",
	"[^]]",
	"[]a]",
	"[a-]",
	"[-a]",
	"[%a]",
	"[%a-z]",
	"[%w_]+",
	"[%]]",
	"[%-]",
	"[a-%z]",
	"[%d%.]+",
	"[^%s]+",
	"[0-9a-f]+",
	"[+-]",
	"[^^]",
	"[a^]",
	"()",
	"(a)",
	"(a*)",
	"(a+)b",
	"(.)(.)",
	"(.)%1",
	"(a)(b)",
	"((a)b)",
	"((a)(b))",
	"(a*(b))",
	"()a()",
	"(.-)b",
	"(.*)b",
	"(a-)b",
	"(.-)%s(.-)$",
	"^(%w+)=(.*)$",
	"(%w+):(%d+)",
	"%b()",
	"%b[]",
	"%bxy",
	"%baa",
	"%b<>",
	"(%b())",
	"%f[%w]%w+",
	"%f[a]",
	"%f[^a]",
	"%f[%z]",
	"%f[%s]",
	"%f[%w]",
	"(%f[a]a+)",
	"a%f[b]",
	"[a-z]+[0-9]*",
	"a.-c",
	"a.*c",
	"(a?)(b?)(c?)",
	"x*",
	"x-",
	"x?",
	"(x*)",
	"(x*)a",
	"a*b*c*",
	"[ab]*c",
	"[ab]-c",
	"[ab]+c",
	"%w+%s+%w+",
	"(%w+)%s*(%w*)",
	"=*",
	"%-%-",
	"a-b",
	"-",
	"+",
	"*",
	"?",
	"a**",
	"a*?",
	"a+-",
	"(*)",
	"(-)",
	"(a)*",
	"(a)+",
	"(a)-",
	"(a)?",
	"%1",
	"%0",
	"(%1)",
	"(a)%1",
	"(a)%2",
	"()%1",
	"(a",
	"a)",
	"((a)",
	"(a))",
	"[a",
	"[",
	"[^",
	"[]",
	"[^]",
	"[%",
	"[%a",
	"%",
	"a%",
	"%b",
	"%ba",
	"%f",
	"%fa",
	"%f[",
	"[a-",
	"%q",
	"%z",
	"%Z",
	"%E",
	"[%q]",
	"(((((a)))))",
	"(.)(.)(.)%3%2%1",
	"^^a",
	"$$",
	"a$b",
	"\\a",
	"%\\",
	"%[",
	"%]",
	"%(",
	"%)",
	"[%^a]",
	"[^%^a]",
	"[%%]",
	"[.]",
	"[*]",
	"[$]",
	"[(]",
	"[[]",
	"[[-]]",
	"[z-a]",
	"[a-a]",
	"[ -~]+",
	"^%s*(.-)%s*$",
	"([^,]*),?",
	"([^,]*)",
	"(%d+)%.(%d+)",
	"^mounts: bind (.+) (r[ow])$",
	"^(.-)/?([^/]*)$",
	"[.-%]",
	"[.-%]]",
	"[z-%]f]",
	"[]-%]*a",
	"[]-%]]*a",
	"[^]-a]",
	"[]-a]",
	"[%]-a]",
	"[a%-z]",
	"[--/]",
	"[+--]",
	"[%--0]",
};

static const char *const subjects[] = {
	"",
	"a",
	"b",
	"ab",
	"ba",
	"aa",
	"aab",
	"aba",
	"abc",
	"abcabc",
	"aaab",
	"xay",
	" a b ",
	"a b",
	"hello world",
	"key=value",
	"k=",
	"=v",
	"host:80",
	"(a(b)c)",
	"((",
	"))",
	"[x]",
	"<<a>>",
	"xyxy",
	"a,b,,c",
	"1.25",
	"0x1F",
	"THE (quick) fox",
	"a-b",
	"--x",
	"%d",
	"^$",
	"[]",
	"]",
	"-",
	"a\tb\nc",
	"caf\xc3\xa9",
	"mounts: bind /etc rw",
	"/usr/local/lib",
	"aXbXc",
	"ABab12_",
	"\\a\\",
	"a.b",
	"a*b",
	"$",
	"a$b",
	"_",
	"~!@#",
};

static const char *const replacements[] = {"", "x", "<%0>", "%1", "%1%1", "%%", "%2", "%", "%x"};

static void test_by_hand(void)
{
	int wrong = 0, run = 0;

	for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++)
		for (size_t s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++) {
			struct call call = {
				.subject = subjects[s],
				.pattern = patterns[p],
				.replacement = replacements[(s + p) % 9],
				.init = (int)((s * 7 + p) % 9) - 4,
				.subject_length = strlen(subjects[s]),
				.pattern_length = strlen(patterns[p]),
			};

			if (slowness() > 20 && (s + p) % 16)
				continue;
			for (call.kind = 0; call.kind < KINDS; call.kind++) {
				run++;
				if (!compare(&call, false) && ++wrong > 10)
					return;
			}
		}
	is_int(wrong, 0, "%d calls by hand give the same", run);
	ok(lazy > 0 && lazy < run / 4, "%d malformed patterns are refused at once", lazy);
}

/* --- random ---------------------------------------------------------------------------------------- */

static uint64_t state;

static unsigned choose(unsigned count)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % count;
}

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

static void test_random(int runs, bool wellformed)
{
	int wrong = 0;

	lazy = 0;
	for (int i = 0; i < runs && wrong < 10; i++) {
		struct str pattern = STR_INIT, subject = STR_INIT;
		struct call call;

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
		wrong += !compare(&call, wellformed);
		str_fini(&pattern);
		str_fini(&subject);
	}
	is_int(wrong, 0, "%d random calls (%s) give the same", runs,
	       wellformed ? "well formed" : "anything");
}

int main(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	int runs = getenv("RUNS") ? atoi(getenv("RUNS")) : (int)(60000 / slowness());

	state = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 20240229;
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

	test_by_hand();
	test_random(runs, true);
	test_random(runs, false);
	done_testing();
	lua_close(stock);
	sandbox_free(ours);
	return tap_end();
}
