/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies at random: Lua that compiles, from a small grammar, with a taste for the corners of the
 * sandbox: what catches errors, what runs code behind the script's back, extreme arguments.
 *
 * Names that are there in each function: locals a, b, c; tables t, u (shared by all); functions f, g (the
 * hooks call them, they call each other and themselves); x, y and ... are the function's arguments.
 */
#ifndef T_FUZZ_GRAMMAR_H
#define T_FUZZ_GRAMMAR_H

#include "base/str.h"
#include "random.h"
#include "script/exposed.h"

struct grammar {
	struct str text;
	int depth;
	int left;      /* of the size of the whole */
	bool in_order; /* nothing was used whose order is by luck */
};

static void add_expression(struct grammar *g);
static void add_block(struct grammar *g);

static void put(struct grammar *g, const char *text)
{
	str_add(&g->text, text);
}

/* "$" in the form is an expression, "@" a block, "&" a function. */
static void add_function(struct grammar *g);

static void add_form(struct grammar *g, const char *form)
{
	for (; *form; form++) {
		if (*form == '$')
			add_expression(g);
		else if (*form == '@')
			add_block(g);
		else if (*form == '&')
			add_function(g);
		else
			str_add_char(&g->text, *form);
	}
}

static void add_function(struct grammar *g)
{
	if (choose(4) == 0) {
		put(g, PICK(((const char *const[]){"f", "g", "print", "error", "pcall", "next",
						   "coroutine.yield", "tostring", "rawset",
						   "string.rep", "table.unpack", "coroutine.wrap",
						   "setmetatable", "string.gsub"})));
		if (strcmp(g->text.data + g->text.length - 4, "next") == 0)
			g->in_order = false;
		return;
	}
	add_form(g, "function(x, y, ...) local a, b, c = x, y @ end");
}

static const char *const atoms[] = {
	"nil",
	"true",
	"false",
	"0",
	"1",
	"2",
	"-1",
	"10",
	"100",
	"4096",
	"65536",
	"1 << 20",
	"1 << 31",
	"1 << 40",
	"math.maxinteger",
	"math.mininteger",
	"0.5",
	"-0.0",
	"0/0",
	"1/0",
	"-1/0",
	"1e15",
	"1e308",
	"5e-324",
	"''",
	"'a'",
	"'A'",
	"'PATH'",
	"'64MiB'",
	"'512k'",
	"'10'",
	"'0x1p4'",
	"'\\0'",
	"'\\xff\\xfe'",
	"'caf\\u{e9}'",
	"'%'",
	"'%d'",
	"'%99.99f'",
	"'%-10s%q'",
	"'%s%s%s'",
	"'.-'",
	"'(.-)%1'",
	"'^a*(.-)b$'",
	"'%f[%w]%w+'",
	"'[^a-z]+'",
	"'%b()'",
	"'()'",
	"'(('",
	"'<i4'",
	"'>s2'",
	"'z'",
	"'!16 i16'",
	"('a'):rep(1000)",
	"('ab '):rep(20000)",
	"('x'):rep(262000)",
	"('('):rep(300)",
	"a",
	"b",
	"c",
	"x",
	"y",
	"t",
	"u",
	"...",
	"f",
	"g",
	"#t",
	"_G",
	"string",
	"{}",
	"{...}",
	"req",
	"req.labels",
	"req.memory",
	"req.environment",
	"req.command",
	"req.mounts[1]",
	"req.now",
	"req.unsafe",
	"req.project_usage",
	"math.random()",
	"math.random(100)",
	"math.pi",
	"coroutine.running()",
};

static const char *const operators[] = {
	"+",  "-", "*",  "/", "//", "%", "^",  "..", "==",  "~=", "<",
	"<=", ">", ">=", "&", "|",  "~", "<<", ">>", "and", "or"};

static const char *const events[] = {"__index", "__newindex", "__call",  "__len",    "__close",
				     "__eq",    "__lt",       "__le",    "__concat", "__add",
				     "__unm",   "__tostring", "__pairs", "__name",   "__metatable",
				     "__gc",    "__mode",     "__bnot"};

static const char *const calls[] = {
	"string.rep($, $, $)",
	"string.format($, $, $)",
	"string.find($, $, $)",
	"string.gsub($, $, $)",
	"string.gsub($, $, &)",
	"string.gsub($, $, $, $)",
	"(string.match($, $))",
	"tostring($):rep(3)",
	"string.pack($, $, $)",
	"string.unpack($, $, $)",
	"string.byte($, $, $)",
	"string.sub($, $, $)",
	"table.concat($, $, $, $)",
	"table.move($, $, $, $, $)",
	"table.unpack($, $, $)",
	"table.pack($, $, $)",
	"table.insert(t, $)",
	"table.insert($, $, $)",
	"table.remove($, $)",
	"table.sort(t)",
	"table.sort($, &)",
	"select($, $, $, ...)",
	"rawset(t, $, $)",
	"rawget($, $)",
	"utf8.char($, $)",
	"utf8.codepoint($, $, $)",
	"pcall(&, $, $)",
	"pcall($, $)",
	"pcall(pcall, &)",
	"xpcall(&, &, $)",
	"xpcall(error, &)",
	"select(2, pcall(error, $))",
	"coroutine.wrap(&)($, $)",
	"coroutine.resume(coroutine.create(&), $)",
	"coroutine.close(coroutine.create(&))",
	"coroutine.close($)",
	"coroutine.resume($, $)",
	"coroutine.yield($)",
	"coroutine.wrap(&)",
	"coroutine.create(&)",
	"f($, $)",
	"g($, $, $)",
	"(&)($, $)",
	"setmetatable({}, getmetatable($))",
	"getmetatable($)",
	"assert($, $)",
	"gantry.size($)",
	"gantry.size_text($)",
	"gantry.calendar($, $)",
	"gantry.count($, $, $)",
	"gantry.json($)",
	"gantry.sleep($)",
	"gantry.http({url = 'http://a/', body = $})",
	"gantry.http({url = $, method = $, headers = {[$] = $}, timeout = $})",
	"gantry.http($)",
	"gantry.instance($, $)",
	"gantry.instances({label = $, limit = $})",
	"gantry.instances($)",
	"gantry.now()",
	"math.random($, $)",
	"math.fmod($, $)",
	"tostring($)",
	"tonumber($, $)",
	"tonumber($)",
};

/* A function of the library, whatever it is, with whatever arguments. */
static void add_library_call(struct grammar *g)
{
	unsigned count = 0, at;

	while (exposed[count].name)
		count++;
	do
		at = choose(count);
	while (exposed[at].library[0] == '(');
	if (strcmp(exposed[at].name, "next") == 0)
		g->in_order = false;
	if (exposed[at].library[0])
		str_addf(&g->text, "%s.%s(", exposed[at].library, exposed[at].name);
	else
		str_addf(&g->text, "%s(", exposed[at].name);
	for (unsigned n = choose(5), i = 0; i < n; i++)
		add_form(g, i ? ", $" : "$");
	put(g, ")");
}

static void add_metatable(struct grammar *g)
{
	put(g, "setmetatable(");
	add_form(g, choose(3) ? "{$}" : "$");
	put(g, ", {");
	for (unsigned n = choose(3) + 1; n > 0; n--) {
		str_addf(&g->text, "%s = ", events[choose(choose(3) ? 12 : 18)]);
		add_form(g, choose(4) ? "&" : "$");
		put(g, ", ");
	}
	put(g, "})");
}

static void add_expression(struct grammar *g)
{
	if (g->depth > 6 || g->left < 0 || choose(3) == 0) {
		put(g, "(");
		put(g, PICK(atoms));
		put(g, ")");
		return;
	}
	g->depth++;
	g->left--;
	switch (choose(12)) {
	case 0:
	case 1:
		put(g, "(");
		add_expression(g);
		str_addf(&g->text, " %s ", PICK(operators));
		add_form(g, "$)");
		break;
	case 2:
		add_form(g, PICK(((const char *const[]){"(-$)", "(not $)", "(#$)", "(~$)"})));
		break;
	case 3:
		add_form(g, PICK(((const char *const[]){"{$, $}", "{[$] = $}", "{a = $, b = $}",
							"{n = $, $, $, ...}", "{{{$}}}"})));
		break;
	case 4:
		add_form(g, choose(2) ? "t[$]" : "($)[$]");
		break;
	case 5:
		add_form(g, "&");
		break;
	case 6:
		add_library_call(g);
		break;
	case 7:
		add_metatable(g);
		break;
	default:
		add_form(g, PICK(calls));
	}
	g->depth--;
}

static const char *const statements[] = {
	"a = $",
	"b, c = $, $",
	"t[$] = $",
	"t[#t + 1] = $",
	"u = $",
	"u = {u, $}",
	"t.self = t",
	"f = &",
	"a = tostring(a) .. tostring($)",
	"if $ then @ end",
	"if $ then @ else @ end",
	"for i = 1, 20 do a = i @ end",
	"for i = $, $ do @ end",
	"for i = $, $, $ do @ break end",
	"for k, v in pairs($) do a, b = k, v @ end",
	"for k, v in ipairs($) do a = v @ end",
	"for k, v in $, $, $, $ do @ end",
	"for m in string.gmatch($, $) do a = m @ end",
	"for p, k in utf8.codes($) do a = k end",
	"while $ do @ end",
	"while true do @ if $ then break end end",
	"repeat @ until $",
	"; (function(...) goto over @ ::over:: end)(...)",
	"; (function(...) local n = 0 ::again:: n = n + 1 @ if n < 3 then goto again end end)(...)",
	"pcall(function(...) @ end)",
	"pcall(&)",
	"xpcall(function(...) @ end, function(m, ...) a = m @ end)",
	"pcall(pcall, pcall, &)",
	"local d <close> = setmetatable({}, {__close = &}) @",
	"local d <close> = nil @",
	"local d <const> = $",
	"do local d <close> = setmetatable({}, {__close = &}) error($) end",
	"local o = coroutine.wrap(function(...) @ coroutine.yield($) @ end) o($) pcall(o)",
	"local o = coroutine.create(function(...) local d <close> = setmetatable({}, {__close = &}) "
	"coroutine.yield($) end) coroutine.resume(o) coroutine.close(o)",
	"local o o = coroutine.create(function(...) coroutine.resume(o) coroutine.close(o) @ end) "
	"coroutine.resume(o)",
	"local function h(n, ...) if n > 0 then return h(n - 1) + 1 end return 0 end a = h($)",
	"local function h(n, ...) if n > 0 then return h(n - 1) end @ end h(10000)",
	"local function h(n, ...) pcall(h, n) end h($)",
	"local function h(...) coroutine.wrap(h)() end pcall(h)",
	"local function h() return tostring(setmetatable({}, {__tostring = h})) end pcall(h)",
	"a = (function(...) return select('#', ...) end)(table.unpack(t, 1, 200))",
	"setmetatable(t, {__index = t})",
	"setmetatable(t, {__index = &, __newindex = &})",
	"setmetatable(t, nil)",
	"error($)",
	"do return $ end",
	"do return $, $ end",
	"do return f($) end",
	"print($)",
	"for i = 1, 2000 do t[i] = {} end",
	"for i = 1, 300 do t['k' .. i] = coroutine.wrap(&) end",
	"local s = 'x' while #s < 1e6 do s = s .. s end",
	"req.verb = $",
	"string.rep = $",
	"e = $",
};

static void add_statement(struct grammar *g)
{
	g->left--;
	if (choose(4) == 0) {
		put(g, "a = ");
		add_form(g, PICK(calls));
	} else {
		add_form(g, PICK(statements));
	}
	put(g, "\n");
}

static void add_block(struct grammar *g)
{
	if (g->depth > 7 || g->left < 0)
		return;
	g->depth++;
	put(g, " do ");
	for (unsigned n = choose(g->depth > 3 ? 3 : 5) + 1; n > 0; n--)
		add_statement(g);
	put(g, " end ");
	g->depth--;
}

/* --- answers --------------------------------------------------------------------------------------- */

static const char *const answers[][16] = {
	{"true", "false", "false, 'no'", "false, $", "nil", "$", "$, $", "", "true, $"},
	{"{A = 'b'}", "{A = {value = 'x', secret = true}}", "{A = $}", "{PATH = false}",
	 "{[$] = $}", "{A = {value = $, secret = $}}", "env", "{TOKEN = $, B = $}", "nil", "$",
	 "{['A=B'] = 'x', [''] = 'y'}", "{A = {value = 'x', sekret = true}}"},
	{"{memory = '64MiB'}", "{memory = $, memory_swap = $}", "{cpus = $, pids = $}",
	 "{cpuset = $}", "{ulimits = {nofile = $}}", "{ulimits = {nofile = {soft = $, hard = $}}}",
	 "{ulimits = $}", "{log = {driver = $, size = $, files = $}}", "{log = $}",
	 "{block_io_weight = $}", "{[$] = $}", "res", "{cpu_shares = $, memory = false}", "$",
	 "nil", "{cpus = 0/0}"},
	{"true", "false, 'no'", "false, $", "node.memory_free > 0", "$", "node", "nil",
	 "false, node.name"},
	{"node.memory_free", "$", "0/0", "1/0", "-1e308", "1e308", "math.random(1000)", "nil",
	 "-node.instances", "'5'", "node"},
	{"5", "false", "'fail'", "0.001, 'later'", "$", "$, $", "nil", "true", "1e9", "-1",
	 "exit.code", "0/0", "{}", "'fail', $", "exit"},
	{"nil", "$", "gantry.sleep(1)", "ev", "ev.instance", "gantry.http({url = 'a'})",
	 "pcall(gantry.sleep, $)", "ev.detail", "gantry.json(ev.detail)", "ev[$]",
	 "gantry.instances()"},
};

static const char *const hook_heads[] = {
	"admit = function(req, ...)",          "environment = function(req, env, ...)",
	"resources = function(req, res, ...)", "filter = function(req, node, ...)",
	"score = function(req, node, ...)",    "restart = function(req, exit, ...)",
	"event = function(ev, ...)",
};

/* An answer that only trouble would give. */
static const char *const odd_answers[] = {
	"return t",
	"return u",
	"return t.self",
	"local r = {} r.r = r return r",
	"local r = {} for i = 1, 30 do r = {A = r} end return r",
	"local r = {} for i = 1, 5000 do r['K' .. i] = 'v' end return r",
	"local r = {} for i = 1, 5000 do r[i] = i end return r",
	"return {A = ('x'):rep(200000)}",
	"return false, ('x'):rep(5000)",
	"return setmetatable({A = 'x'}, {__index = t})",
	"return setmetatable({}, {__tostring = f})",
	"return a, b, c, t, u, f",
	"return function() end",
	"return coroutine.create(f)",
	"return table.unpack(t)",
	"return coroutine.yield(1)",
	"return req",
	"error(setmetatable({}, {__tostring = f}))",
	"error({})",
	"error(nil, 0)",
	"error('two\\nlines', 2)",
	"return false, 'two\\nlines\\0\\xff'",
	"while true do end",
};

static void add_hook(struct grammar *g, unsigned hook)
{
	const char *answer;

	str_addf(&g->text, "%s local a, b, c, x, y, e = 1, 'b', {}\nlocal function h(...)\n",
		 hook_heads[hook]);
	for (unsigned n = choose(5); n > 0; n--)
		add_statement(g);
	put(g, "end\n");
	put(g, PICK(((const char *const[]){"h()\n", "pcall(h, a)\n", "pcall(h)\n",
					   "a = coroutine.wrap(h)()\n",
					   "pcall(coroutine.wrap(h))\n", "xpcall(h, f)\n", ""})));
	if (choose(4) == 0) {
		put(g, PICK(odd_answers));
	} else {
		do
			answer = answers[hook][choose(16)];
		while (!answer);
		put(g, "return ");
		add_form(g, answer);
	}
	put(g, "\nend,\n");
}

/* The whole file. */
static void make_policy(struct grammar *g)
{
	*g = (struct grammar){.left = 20 + (int)choose(200), .in_order = true};
	put(g,
	    "local a, b, c, x, y, e, f, g\nlocal t, u, req = {}, {}, {labels = {}, environment = {}, "
	    "command = {}, mounts = {}}\n");
	add_form(g, "f = &\ng = &\n");
	if (choose(4) == 0) /* when it is loaded */
		add_form(g,
			 choose(3) ? "pcall(function(...) @ end)\n" : "(function(...) @ end)()\n");
	put(g, "return {\n");
	if (choose(2))
		str_addf(&g->text, "on_error = '%s',\n", choose(2) ? "deny" : "skip");
	if (choose(6) == 0)
		put(g, "mode = 'shadow',\n");
	for (unsigned hook = 0; hook < sizeof(hook_heads) / sizeof(hook_heads[0]); hook++) {
		g->left += 20;
		if (choose(5))
			add_hook(g, hook);
	}
	put(g, "}\n");
}

#endif
