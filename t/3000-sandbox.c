/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile scripts: each ends within the budget and 100 ms, the failure rule is applied, the reason
 * names the budget and the line, and the next call works. Each is tried in admit, which is counted from
 * its start, and in a placement, whose calls are not until the alarm.
 */
#include "base/str.h"
#include "placing.h"

#define BUDGET_MS 50

static const struct attack {
	const char *name;
	const char *code;  /* the body of admit, called as attack(req) */
	const char *error; /* part of the reason; NULL: it ends well */
} attacks[] = {
	{"endless loop", "while true do end", "budget"},
	{"loop in pcall", "while true do pcall(function() while true do end end) end", "budget"},
	{"pcall of pcall", "local function f() while true do pcall(f) end end f()", "budget"},
	{"pcall tree", "local function f() pcall(f) pcall(f) end f()", "budget"},
	{"loop in an xpcall handler",
	 "xpcall(function() while true do end end, function() while true do end end)", "budget"},
	{"loop in a handler of a plain error",
	 "xpcall(error, function() while true do end end) while true do end", "budget"},
	{"xpcall loop", "while true do xpcall(error, function() error('again') end) end", "budget"},
	{"loop in a coroutine", "coroutine.wrap(function() while true do end end)()", "budget"},
	{"new coroutines for ever",
	 "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
	 "budget"},
	{"coroutines made before",
	 "local t = {} for i = 1, 500 do t[i] = coroutine.create(function() while true do "
	 "pcall(coroutine.yield) end end) end while true do for i = 1, 500 do "
	 "pcall(coroutine.resume, t[i]) end end",
	 "budget"},
	{"loop in a handler of an error in a coroutine",
	 "coroutine.wrap(function() xpcall(error, function() while true do end end) end)()",
	 "budget"},
	{"a comparator that loops", "table.sort({3, 1, 2}, function() while true do end end)",
	 "budget"},
	{"a comparator that loops in pcall",
	 "while true do pcall(table.sort, {3, 1, 2}, function() while true do end end) end",
	 "budget"},
	{"__newindex, __unm, __bnot, __shl, __idiv loops",
	 "local m = {} for _, e in ipairs {'__newindex', '__unm', '__bnot', '__shl', '__idiv'} do "
	 "m[e] = function() while true do end end end local t = setmetatable({}, m) "
	 "pcall(function() t.x = 1 end)",
	 "budget"},
	{"__pairs loop",
	 "for k in pairs(setmetatable({}, {__pairs = function() while true do end end})) "
	 "do end",
	 "budget"},
	{"__pairs that never ends",
	 "for k in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) "
	 "do end",
	 "budget"},
	{"ipairs with an __index that never ends",
	 "for i in ipairs(setmetatable({}, {__index = function(t, i) return i end})) do end",
	 "budget"},
	{"gmatch that is never empty",
	 "while true do for x in string.gmatch(('a'):rep(1000), 'a') do end end", "budget"},
	{"nested tables", "local t = {} while true do t = {t} end", "budget"},
	{"a table that holds itself as the answer", "local t = {} t[1] = t return t",
	 "not a table"},
	{"a text as the answer", "return 'yes'", "not a string"},
	{"NaN as the answer", "return 0/0", "not a number"},
	{"a function as the answer", "return print", "not a function"},
	{"a reason that is no text", "return false, {}", "reason must be text"},
	{"a reason that is huge", "return false, ('x'):rep(200000)", "at most 4096 bytes"},
	{"bytecode by string.dump", "return string.dump(print)", "nil value"},
	{"bytecode by loadstring", "loadstring('\\27Lua')", "no \"loadstring\""},
	{"debug", "debug.sethook()", "no \"debug\""},
	{"string.format of a __tostring that loops",
	 "string.format('%s', setmetatable({}, {__tostring = function() while true do end end}))",
	 "budget"},
	{"table.concat of what is no text", "table.concat({1, {}, 3})", "not text"},
	{"table.unpack in a loop",
	 "local t = {} for i = 1, 4000 do t[i] = i end while true do select('#', table.unpack(t)) end",
	 "budget"},
	{"string.pack in a loop", "while true do string.pack('s4', ('x'):rep(100000)) end",
	 "budget"},
	{"a coroutine made before a long loop",
	 "local c = coroutine.wrap(function() coroutine.yield() while true do end end) c() "
	 "for i = 1, 400000 do end c()",
	 "budget"},
	{"a loop behind a long coroutine",
	 "coroutine.wrap(function() for i = 1, 400000 do end end)() while true do end", "budget"},
	{"a loop behind a coroutine that is long to close",
	 "local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
	 "function() for i = 1, 400000 do end end}) coroutine.yield() end) coroutine.resume(c) "
	 "coroutine.close(c) while true do end",
	 "budget"},
	{"coroutine in coroutine",
	 "local function f() coroutine.wrap(f)() end while true do pcall(f) end", "budget"},
	{"loop in __close",
	 "local x <close> = setmetatable({}, {__close = function() while true do end end})",
	 "budget"},
	{"loop in __close of a killed function",
	 "pcall(function() local x <close> = setmetatable({}, {__close = function() while true do end "
	 "end}) while true do end end)",
	 "budget"},
	{"loop in __close of a killed coroutine",
	 "local f = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() "
	 "while true do end end}) while true do end end) while true do pcall(f) end",
	 "budget"},
	{"loop in __close by coroutine.close",
	 "local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
	 "function() while true do end end}) coroutine.yield() end) coroutine.resume(c) "
	 "while true do pcall(coroutine.close, c) end",
	 "budget"},
	{"coroutines that close coroutines",
	 "local inner for i = 1, 1500 do local this = inner inner = coroutine.create(function() local x "
	 "<close> = setmetatable({}, {__close = function() if this then coroutine.close(this) end "
	 "end}) coroutine.yield() end) coroutine.resume(inner) end assert(coroutine.close(inner))",
	 NULL},
	{"closing value of a for loop",
	 "for i in next, {1}, nil, setmetatable({}, {__close = function() while true do end end}) do "
	 "error('x') end",
	 "budget"},
	{"__gc", "setmetatable({}, {__gc = function() while true do end end})", "__gc"},
	{"__gc later",
	 "local m = {} for i = 1, 1000 do setmetatable({}, m) end m.__gc = function() while true do end "
	 "end for i = 1, 2000 do setmetatable({}, {}) end",
	 NULL},
	{"__mode", "setmetatable({}, {__mode = 'k'})", "__mode"},
	{"a chain of ephemerons",
	 "local m = {} local t = setmetatable({}, m) m.__mode = 'k' local k = {} "
	 "for i = 1, 20000 do local n = {} t[k] = n k = n end "
	 "for i = 1, 60000 do local x = {} end",
	 NULL},
	{"sort with a comparator that lies",
	 "local t = {} for i = 1, 2000 do t[i] = i end table.sort(t, function() return true end) "
	 "table.sort(t, function() while true do end end)",
	 "budget"},
	{"sort of long strings",
	 "local t, s = {}, ('a'):rep(100000) for i = 1, 60 do t[i] = s .. i end "
	 "while true do table.sort(t) end",
	 "budget"},
	{"__index loop",
	 "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
	 "overflow"},
	{"__index chain that is a ring",
	 "local a, b = {}, {} setmetatable(a, {__index = b}) setmetatable(b, {__index = a}) "
	 "while true do pcall(function() return a.x end) end",
	 "budget"},
	{"__eq, __lt, __concat, __len, __call loops",
	 "local f = function() while true do end end local t = setmetatable({}, {__eq = f, __lt = f, "
	 "__concat = f, __len = f, __call = f}) while true do pcall(function() return #t end) end",
	 "budget"},
	{"__tostring loop",
	 "while true do pcall(tostring, setmetatable({}, {__tostring = function() while true do end "
	 "end})) end",
	 "budget"},
	{"iterator loop", "for x in function() return 1 end do end", "budget"},
	{"next over an emptied table",
	 "local t = {} for i = 1, 60000 do t['k' .. i % 30000] = i end for k in pairs(t) do t[k] = nil "
	 "end while true do next(t) end",
	 "budget"},
	{"string.rep of nothing", "return #string.rep('', 1 << 60) == 0", NULL},
	{"string.rep huge", "string.rep('x', 1 << 40)", "string.rep"},
	{"string.rep overflow", "string.rep('xy', math.maxinteger)", "string.rep"},
	{"string.rep in a loop", "while true do string.rep('x', 200000) end", "budget"},
	{"doubling", "local s = 'x' while true do s = s .. s end", "too long"},
	{"doubling in pcall",
	 "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
	 "too long"},
	{"memory bomb", "local t = {} while true do t[#t + 1] = {} end", "memory"},
	{"memory bomb in pcall",
	 "while true do pcall(function() local t = {} while true do t[#t + 1] = {1, 2, 3} end end) end",
	 "budget"},
	{"strings kept", "local t = {} for i = 1, 1e9 do t[#t + 1] = ('x'):rep(10000) .. i end",
	 "budget"},
	{"garbage beside a full heap",
	 "local keep = {} for i = 1, 60000 do keep[i] = {i} end while true do local s = "
	 "('x'):rep(100000) .. math.random() end",
	 "budget"},
	{"deep recursion", "local function f(n) return 1 + f(n + 1) end f(1)", "memory"},
	{"deep recursion in pcall",
	 "local function f(n) return 1 + f(n + 1) end while true do pcall(f, 1) end", "memory"},
	{"table.concat huge", "table.concat({}, 'x', 1, 1 << 60)", "table.concat"},
	{"table.concat long",
	 "local t = {} for i = 1, 100 do t[i] = ('x'):rep(100000) end table.concat(t)", "budget"},
	{"table.concat too long",
	 "local t, s = {}, ('x'):rep(100000) for i = 1, 100 do t[i] = s end table.concat(t)",
	 "table.concat"},
	{"table.move huge", "table.move({}, 1, 1 << 60, 2)", "table.move"},
	{"table.move far", "table.move({}, math.mininteger, math.maxinteger, 1)", "table.move"},
	{"table.unpack huge", "table.unpack({}, 1, 1e8)", "table.unpack"},
	{"table.unpack overflow", "table.unpack({}, math.mininteger, math.maxinteger)",
	 "table.unpack"},
	{"table.insert with a lying length",
	 "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 'x')", NULL},
	{"table.remove with a lying length",
	 "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)", NULL},
	{"string.format wide", "string.format('%99999d', 1)", "invalid conversion"},
	{"string.format many", "string.format(('%s'):rep(1000), table.unpack({}, 1, 1000))", NULL},
	{"string.format long", "string.format(('x'):rep(3000))", "format"},
	{"string.format in a loop", "while true do string.format('%99.99f', 1e300) end", "budget"},
	{"string.pack huge", "string.pack('c' .. (1 << 30), 'x')", "memory"},
	{"string.pack long", "string.pack(('!16 i16'):rep(1000), 1)", "format"},
	{"string.byte huge", "string.byte(('x'):rep(200000), 1, -1)", "memory"},
	{"text as number", "local s = (' '):rep(250000) .. '1' while true do local x = s + 0 end",
	 "budget"},
	{"text as bits",
	 "local s = (' '):rep(250000) .. '1' while true do pcall(function() local x = s & 1 end) end",
	 "budget"},
	{"pattern of many items", "string.find(('a'):rep(30), ('a?'):rep(100) .. ('a'):rep(40))",
	 "budget"},
	{"pattern that backtracks", "string.find(('\"'):rep(512), ('(\".-\")'):rep(3) .. 'b')",
	 "budget"},
	{"pattern that backtracks in pcall",
	 "while true do pcall(string.find, ('\"'):rep(512), ('\".-\"'):rep(5) .. 'b') end",
	 "budget"},
	{"gsub that backtracks", "string.gsub(('a'):rep(50000), '.-.-.-b', '')", "budget"},
	{"gsub that grows", "string.gsub(('a'):rep(10000), 'a', ('b'):rep(10000))", "string.gsub"},
	{"gmatch that backtracks",
	 "for x in string.gmatch(('a'):rep(20000), '(a-)(a-)(a-)b') do end", "budget"},
	{"balanced match", "while true do string.match(('('):rep(100000), '%b()') end", "budget"},
	{"a search for each byte", "while true do string.find(('a'):rep(50000), 'aaaaaaaab') end",
	 "budget"},
	{"load", "load('return 1')", "no \"load\""},
	{"os", "os.exit()", "no \"os\""},
	{"require", "require('os')", "no \"require\""},
	{"string.dump", "string.dump(function() end)", "nil value"},
	{"collectgarbage", "collectgarbage('stop')", "no \"collectgarbage\""},
	{"a misspelt global", "return sting.len('x')", "did you mean \"string\""},
	{"a global", "leak = 1", "read-only"},
	{"_G", "_G.leak = 1", "read-only"},
	{"rawset of _G", "rawset(_G, 'leak', 1)", "read-only"},
	{"table.insert in _G", "table.insert(_G, 1)", "read-only"},
	{"table.move to _G", "table.move({1}, 1, 1, 1, _G)", "read-only"},
	{"string library", "string.rep = nil", "read-only"},
	{"rawset of the string library", "rawset(string, 'rep', 1)", "read-only"},
	{"table library", "table.insert = 1", "read-only"},
	{"string metatable", "getmetatable('').__index = nil", "index a boolean"},
	{"setmetatable of a library", "setmetatable(string, {})", "protected"},
	{"setmetatable of _G", "setmetatable(_G, {})", "protected"},
	{"a fact is written", "req.verb = 'x'", "read-only"},
	{"a field that is not there", "return req.imagee == nil", "did you mean \"image\""},
	{"a fact's metatable", "return getmetatable(req) == false", NULL},
	{"error of no text", "error({})", "no text"},
	{"error of nil", "error()", "no text"},
	{"error in error", "error(setmetatable({}, {__tostring = error}))", "no text"},
	{"yield from a hook", "coroutine.yield()", "outside a coroutine"},
	{"a library that is iterated",
	 "local n = 0 for k, v in pairs(string) do n = n + 1 end return n > 10", NULL},
};

/* Which budget is the first that what grows for ever is over, memory's or time's, is the machine's to say. */
static const char *wanted(const struct attack *attack, const char *reason)
{
	const char *time = "over its budget of";

	return str_equal(attack->error, "memory") && reason && strstr(reason, time) ? time
										    : attack->error;
}

static void try_attack(const struct attack *attack)
{
	double limit_ms = (BUDGET_MS + 100) * slowness(), began_ms, took_ms;
	struct arena arena = {0};
	struct gantry_spec spec;
	struct script_request request;
	struct script_decision decision;
	const struct script_record *record;
	struct gantry_error err = {0};
	struct script_set *set;
	char *source =
		xasprintf("local attack = function(req)\n%s\nend\nreturn { admit = function(req) "
			  "if req.verb == 'attack' then return attack(req) end return true end }",
			  attack->code);
	int code;

	set = policy_one(source);
	policy_spec("{\"image\":\"a\"}", &arena, &spec);
	request = policy_request(&spec, &arena);
	request.verb = "attack";
	script_decision_init(&decision, set, &request, 7);
	began_ms = cpu_ms();
	code = script_admit(set, &request, &decision, &err);
	took_ms = cpu_ms() - began_ms;
	ok(took_ms < limit_ms, "%s: ends in time", attack->name);
	if (took_ms >= limit_ms || getenv("SHOW"))
		diag("%s: %.1f ms: %s", attack->name, took_ms, code < 0 ? err.text : "fine");
	record = policy_record(&decision, "p", "admit", NULL);
	if (attack->error) {
		is_int(code, -EACCES, "%s: is refused", attack->name);
		like(record->reason, wanted(attack, record->reason), "%s: the reason",
		     attack->name);
		is_int(record->line, 2, "%s: the line", attack->name);
	} else {
		is_int(code, 0, "%s: is harmless", attack->name);
		if (code < 0)
			diag("%s", err.text);
	}
	script_decision_fini(&decision);

	request.verb = "spawn";
	script_decision_init(&decision, set, &request, 8);
	is_int(script_admit(set, &request, &decision, &err), 0, "%s: the next call works",
	       attack->name);
	script_decision_fini(&decision);
	script_set_free(set);
	arena_fini(&arena);
	free(source);
}

/* --- in a placement: many calls in one, which begin without a count of instructions --------------- */

#define NODES 100
#define BAD   "n040"

static void try_placement(const struct attack *attack)
{
	double limit_ms = (BUDGET_MS + 100) * slowness(), began_ms, took_ms;
	const struct script_record *record;
	struct trial trial;
	char *source = xasprintf("local attack = function(req)\n%s\nend\nreturn { filter = "
				 "function(req, node) if node.name == '" BAD
				 "' then return attack(req) end return true end }",
				 attack->code);
	struct script_set *set = policy_one(source);

	began_ms = cpu_ms();
	place(&trial, set, NODES);
	took_ms = cpu_ms() - began_ms;
	record = policy_record(&trial.decision, "p", "filter", NULL);
	ok(took_ms < limit_ms, "%s: a placement ends in time", attack->name);
	is_int(trial.code, 0, "%s: the nodes before it are left", attack->name);
	if (attack->error) {
		is_str(record->outcome, "error", "%s: the node is refused", attack->name);
		like(record->reason, wanted(attack, record->reason), "%s: the reason",
		     attack->name);
		like(record->answer, BAD, "%s: for this node", attack->name);
		is_int(record->line, 2, "%s: the line", attack->name);
	} else {
		is_str(record->outcome, "allow", "%s: is harmless", attack->name);
	}
	script_decision_fini(&trial.decision);
	arena_fini(&trial.arena);

	place(&trial, set, 40);
	record = policy_record(&trial.decision, "p", "filter", NULL);
	is_str(record->answer, "{\"count\":40}", "%s: the next placement works", attack->name);
	trial_end_set(&trial);
	free(source);
}

/*
 * The state of another policy of the set: one leaves marks wherever it can, the other looks for them
 * wherever it can. Each place is proved by the same file's own mark being there, or by the write being refused.
 */
static void test_other_policy(void)
{
	static const char leave[] =
		"MARK = 'of the first'\n"
		"local mark, places = 'of the first', {}\n"
		"local function try(name, f) places[#places + 1] = name .. '=' .. tostring(pcall(f)) end\n"
		"return { name = 'first', admit = function(req)\n"
		"  try('_G', function() _G.LATE = mark end)\n"
		"  try('string', function() string.mark = mark end)\n"
		"  try('rawset', function() rawset(string, 'mark', mark) end)\n"
		"  try('metatable of strings', function() getmetatable('').__index.mark = mark end)\n"
		"  try('metatable of a fact', function() getmetatable(req).mark = mark end)\n"
		"  try('fact', function() req.mark = mark end)\n"
		"  try('labels', function() req.labels.mark = mark end)\n"
		"  try('_ENV', function() _ENV.LATE = mark end)\n"
		"  math.random() math.random()\n"
		"  return MARK == mark, table.concat(places, ' ') end,\n"
		"  environment = function() return { PLACES = table.concat(places, ' ') } end }\n";
	static const char look[] =
		"local seen, found = {}, {}\n"
		"local function walk(value, path)\n"
		"  if value == 'of the first' then found[#found + 1] = path end\n"
		"  if type(value) ~= 'table' or seen[value] then return end\n"
		"  seen[value] = true\n"
		"  for k, v in pairs(value) do walk(v, path .. '.' .. tostring(k)) end\n"
		"  walk(getmetatable(value), path .. ' metatable')\n"
		"end\n"
		"local function at(path, f) local fine, value = pcall(f) if fine then walk(value, path) end end\n"
		"local OWN = 'of the first'\n"
		"return { name = 'second', environment = function(req, env)\n"
		"  walk({ OWN }, 'own')\n"
		"  walk(_G, '_G') walk(_ENV, '_ENV')\n"
		"  at('MARK', function() return MARK end)\n"
		"  at('LATE', function() return LATE end)\n"
		"  at('rawget', function() return rawget(_G, 'MARK') end)\n"
		"  at('string', function() return getmetatable('') end)\n"
		"  at('text', function() return ('').mark end)\n"
		"  at('fact', function() return getmetatable(req) end)\n"
		"  at('labels', function() return req.labels.mark end)\n"
		"  at('env', function() return env.MARK end)\n"
		"  at('upvalue', function() return debug.getupvalue(string.gsub, 1) end)\n"
		"  at('registry', function() return debug.getregistry() end)\n"
		"  at('package', function() return package.loaded end)\n"
		"  at('thread', function() return select(2, coroutine.resume(coroutine.create(function() return _G end))) end)\n"
		"  at('running', function() return { coroutine.running() } end)\n"
		"  return { FOUND = table.concat(found, ' '), RANDOM = math.random(1000000) } end }\n";
	struct script_set *set;
	struct trial trial;
	char alone[20];

	policy_write("20-look.lua", look);
	set = policy_load_set();
	trial_begin(&trial, set, "{\"image\":\"x\"}");
	script_environment(set, &trial.request, &trial.arena, &trial.spec, &trial.decision, NULL);
	snprintf(alone, sizeof(alone), "%s",
		 policy_record(&trial.decision, "second", "environment", "RANDOM")->answer);
	trial_end_set(&trial);

	policy_write("10-leave.lua", leave);
	set = policy_load_set();
	trial_begin(&trial, set, "{\"image\":\"x\"}");
	is_int(script_admit(set, &trial.request, &trial.decision, NULL), 0,
	       "the first policy sees its own mark");
	script_environment(set, &trial.request, &trial.arena, &trial.spec, &trial.decision, NULL);
	is_str(policy_record(&trial.decision, "first", "environment", "PLACES")->answer,
	       "\"_G=false string=false rawset=false metatable of strings=false metatable of a fact=false "
	       "fact=false labels=false _ENV=false\"",
	       "it can leave none where policies have the same thing");
	is_str(policy_record(&trial.decision, "second", "environment", "FOUND")->answer,
	       "\"own.1\"", "the second finds none but its own");
	is_str(policy_record(&trial.decision, "second", "environment", "RANDOM")->answer, alone,
	       "nor do its random numbers tell how many the first has drawn");
	trial_end_set(&trial);
	policy_remove("10-leave.lua");
	policy_remove("20-look.lua");
}

int main(int argc, char **argv)
{
	policy_start();
	make_nodes(NODES);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (argc < 2 || strcmp(argv[1], attacks[i].name) == 0) {
			try_attack(&attacks[i]);
			try_placement(&attacks[i]);
		}

	like(policy_load_error("while true do end"), "p.lua:1: over its budget", "a loop at load");
	like(policy_load_error("\x1bLua"), "text", "compiled Lua");
	like(policy_load_error("local t = {} while true do t[#t+1] = {} end"), "memory",
	     "a memory bomb at load");
	like(policy_load_error("return { admit = pcall }"), "function of this file",
	     "a function of the library as a hook");
	test_other_policy();
	policy_stop();
	done_testing();
	return tap_end();
}
