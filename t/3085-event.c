/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event hook in the real sandbox: what it is told, waits and their answers, every place where a wait
 * is refused, budgets over waits, and what a run that has ended leaves behind: nothing.
 */
#include "base/log.h"
#include "base/str.h"
#include "model/fleet.h"
#include "policy.h"
#include "script/event.h"

#define EVENT                                                                                      \
	"{\"sequence\":7,\"at\":\"2026-01-02T03:04:05.500Z\",\"kind\":\"instance.exited\","        \
	"\"instance\":\"i-1\",\"name\":\"web\",\"project\":\"blue\",\"node\":\"n1\","              \
	"\"exit\":{\"code\":3,\"oom_killed\":false},\"list\":[1,2]}"

static struct fleet fleet;
static struct script_moment moment = {.fleet = &fleet, .now_ms = 1700000000250};

static struct instance *add_instance(const char *id, const char *name, const char *app)
{
	struct instance *instance = instance_new(id);
	struct gantry_pair *label = ARENA_NEW(&instance->arena, struct gantry_pair);
	struct gantry_error err;

	*label = (struct gantry_pair){"app", arena_strdup(&instance->arena, app)};
	instance->spec.name = arena_strdup(&instance->arena, name);
	instance->spec.project = "blue";
	instance->spec.labels = (struct gantry_pairs){label, 1};
	instance->state = INSTANCE_STOPPED;
	if (fleet_add(&fleet, instance, &err) < 0)
		bail_out("%s", err.text);
	return instance;
}

/* The runner of a file; in the set are the other hooks. */
static struct script_runner *take(const char *source, struct script_set **ret_set)
{
	struct script_set *set = policy_one(source);
	struct script_runner *runner = script_runner_take(set, 0);

	if (!runner)
		bail_out("no event hook in: %s", source);
	*ret_set = set;
	return runner;
}

/* A hook whose body is code. */
static struct script_runner *hook(const char *code)
{
	char *source = xasprintf("return { event = function(ev)\n%s\nend }", code);
	struct script_set *set;
	struct script_runner *runner = take(source, &set);

	script_set_free(set); /* the runner does not lean on it */
	free(source);
	return runner;
}

/* Runs to the end; each wait is answered at once. How many waits there were, -1: it failed. */
static int drive(struct script_runner *runner, const struct script_answer *answer)
{
	enum script_run run = script_runner_start(runner, EVENT, &moment);
	int waits = 0;

	while (run == SCRIPT_RUN_WAITS && waits < 1000) {
		waits++;
		run = script_runner_go_on(runner, answer, &moment);
	}
	return run == SCRIPT_RUN_DONE ? waits : -1;
}

static const struct script_answer nothing = {0};
static const struct script_answer reply = {NULL, 201, "made", 4};

/* The code fails with the error, twice alike. */
static void refuses(const char *what, const char *code, const char *error)
{
	struct script_runner *runner = hook(code);

	is_int(drive(runner, &reply), -1, "%s: fails", what);
	like(script_runner_error(runner), error, "%s: says why", what);
	is_int(drive(runner, &reply), -1, "%s: again, as the first time", what);
	script_runner_free(runner);
}

/* All that the code asserts holds. */
static void holds(const char *what, const char *code, int waits, const struct script_answer *answer)
{
	struct script_runner *runner = hook(code);
	int got = drive(runner, answer);

	is_int(got, waits, "%s", what);
	if (got < 0)
		diag("%s", script_runner_error(runner));
	script_runner_free(runner);
}

/* --- what it is told ------------------------------------------------------------------------------- */

static void test_facts(void)
{
	holds("the event's own members",
	      "assert(ev.kind == 'instance.exited' and ev.sequence == 7 and ev.name == 'web')\n"
	      "assert(ev.project == 'blue' and ev.node == 'n1' and ev.instance_id == 'i-1')\n"
	      "assert(ev.time == 1767323045.5 and ev.actor == nil and ev.operation == nil)",
	      0, NULL);
	holds("what belongs to the kind",
	      "assert(ev.detail.exit.code == 3 and ev.detail.exit.oom_killed == false)\n"
	      "assert(#ev.detail.list == 2 and ev.detail.list[2] == 2 and ev.detail.kind == nil)",
	      0, NULL);
	holds("the instance, as a copy",
	      "local i = ev.instance\n"
	      "assert(i.id == 'i-1' and i.state == 'stopped' and i.labels.app == 'shop')\n"
	      "local n = 0 for k, v in pairs(i) do assert(i[k] == v) n = n + 1 end assert(n > 6, n)",
	      0, NULL);
	refuses("a slip of the pen", "local x = ev.knd",
		"an event has no field \"knd\"; did you mean \"kind\"?");
	refuses("a slip in the instance", "local x = ev.instance.nmae",
		"p.lua:2: an instance has no field \"nmae\"");
	refuses("counting by a copy", "gantry.count(ev.instance, 'a', 'b')",
		"bad argument #1 (a node is wanted, not a userdata value)");
	refuses("a copy as a list", "table.concat(ev)", "table expected");
	refuses("writing", "ev.kind = 'x'", "facts are read-only");
	refuses("writing the instance", "ev.instance.name = 'x'", "facts are read-only");
	refuses("rawset", "rawset(ev, 'kind', 'x')", "table expected");
	holds("no metatable", "assert(getmetatable(ev) == false)", 0, NULL);
	holds("the clock is the caller's", "assert(gantry.now() == 1700000000.25)", 0, NULL);
	holds("JSON",
	      "assert(gantry.json{b = {1, 2.5, true}, a = 'x\"\\n/'} == "
	      "'{\"a\":\"x\\\\\"\\\\n/\",\"b\":[1,2.5,true]}')",
	      0, NULL);
	refuses("JSON of a function", "gantry.json{a = {print}}",
		"not JSON: a[1]: must be plain data");
	refuses("JSON of one long text many times",
		"local s, t = ('x'):rep(50000), {} for i = 1, 1000 do t[i] = s end gantry.json(t)",
		"has over 4 MiB of text");
}

static void test_random(void)
{
	struct script_runner *a = hook("error(tostring(math.random(1 << 40)))");
	struct script_runner *b = hook("error(tostring(math.random(1 << 40)))");

	drive(a, &nothing);
	drive(b, &nothing);
	is_str(script_runner_error(a), script_runner_error(b),
	       "the event seeds the random numbers");
	script_runner_free(a);
	script_runner_free(b);
}

/* --- waits ------------------------------------------------------------------------------------------ */

static void test_sleep(void)
{
	struct script_runner *runner = hook("gantry.sleep(1.5)\nassert(gantry.now() == 9)");
	struct script_moment later = {.fleet = &fleet, .now_ms = 9000};

	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "a sleep waits");
	is_int(script_runner_wait(runner)->what, SCRIPT_WAIT_TIME, "for time");
	is_int(script_runner_wait(runner)->time_ms, 1500, "so long");
	is_int(script_runner_go_on(runner, &nothing, &later), SCRIPT_RUN_DONE,
	       "and ends, with a later clock");
	script_runner_free(runner);
	holds("a sleep gives nothing", "assert(select('#', gantry.sleep(0)) == 0)", 1, &nothing);
	refuses("a negative time", "gantry.sleep(-1)", "seconds from 0 to 86400");
	refuses("no number", "gantry.sleep(0/0)", "seconds from 0 to 86400");
	refuses("no time", "gantry.sleep()", "number expected");
	refuses("for ever", "gantry.sleep(math.huge)", "seconds from 0 to 86400");
}

static void test_http(void)
{
	struct script_runner *runner = hook(
		"local r, why = gantry.http{ method = 'PUT', url = 'http://a/b?c', body = 'x\\0y', timeout = 2.5,\n"
		"  headers = { ['Content-Type'] = 'text/plain', ['X-One'] = '1' } }\n"
		"assert(r.status == 201 and r.body == 'made' and why == nil)\n"
		"r, why = gantry.http{ url = 'http://a/' }\n"
		"assert(r == nil and why == 'nobody listens there')");
	const struct script_answer refused = {.error = "nobody listens there"};
	const struct script_wait *wait = script_runner_wait(runner);

	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "HTTP waits");
	is_int(wait->what, SCRIPT_WAIT_HTTP, "for HTTP");
	is_str(wait->method, "PUT", "the method");
	is_str(wait->url, "http://a/b?c", "the URL");
	is_str(wait->content_type, "text/plain", "the type of the body");
	is_str(wait->headers, "X-One: 1", "the other headers");
	ok(wait->body_length == 3 && memcmp(wait->body, "x\0y", 3) == 0, "the body, byte for byte");
	is_int(wait->time_ms, 2500, "the time");
	is_int(script_runner_go_on(runner, &reply, &moment), SCRIPT_RUN_WAITS,
	       "the reply is there, and the next waits");
	is_str(wait->method, "GET", "with the method that is meant");
	ok(!wait->content_type && !wait->headers && !wait->body && wait->time_ms == 10000,
	   "and nothing of the one before");
	is_int(script_runner_go_on(runner, &refused, &moment), SCRIPT_RUN_DONE,
	       "an error is nil and why");
	script_runner_free(runner);

	refuses("no URL", "gantry.http{}", "url is required");
	refuses("no table", "gantry.http('http://a/')", "table expected");
	refuses("an unknown key", "gantry.http{ url = 'x', metod = 'GET' }",
		"no \"metod\"; did you mean \"method\"?");
	refuses("a key that is no text", "gantry.http{ url = 'x', 1 }",
		"a key that is none of its own");
	refuses("an unknown method", "gantry.http{ url = 'x', method = 'CONNECT' }",
		"not \"CONNECT\"");
	refuses("a body of GET", "gantry.http{ url = 'x', method = 'GET', body = '' }",
		"GET has no body");
	refuses("a large body", "gantry.http{ url = 'x', body = ('x'):rep(65537) }",
		"body has over 65536 bytes");
	refuses("a long URL", "gantry.http{ url = ('x'):rep(3000) }", "url has over 2048 bytes");
	refuses("a URL with a NUL", "gantry.http{ url = 'http://a/\\0' }", "url is required");
	refuses("a header's end", "gantry.http{ url = 'x', headers = { A = 'b\\r\\nHost: c' } }",
		"without control characters");
	refuses("a header's name", "gantry.http{ url = 'x', headers = { ['A: b'] = 'c' } }",
		"a header's name has");
	refuses("an empty header", "gantry.http{ url = 'x', headers = { A = '' } }",
		"header A must be text");
	refuses("a header of ours",
		"gantry.http{ url = 'x', headers = { ['content-LENGTH'] = '1' } }",
		"is set by gantryd");
	refuses("a header of the proxy",
		"gantry.http{ url = 'x', headers = { ['Proxy-X'] = '1' } }", "is set by gantryd");
	refuses("many headers",
		"local h = {} for i = 1, 90 do h['a' .. i] = ('x'):rep(60) end gantry.http{ url = 'x', headers = h }",
		"headers have over 4096 bytes");
	refuses("a long timeout", "gantry.http{ url = 'x', timeout = 61 }",
		"timeout must be a number from 0 to 60");
}

static void test_where_it_works(void)
{
	holds("in pcall",
	      "local fine, r = pcall(gantry.http, { url = 'x' }) assert(fine and r.status == 201)",
	      1, &reply);
	holds("in pcall, with an error after",
	      "local fine, why = pcall(function() gantry.sleep(1) error('later', 0) end) assert(not fine and why == 'later')",
	      1, &nothing);
	holds("in xpcall", "assert(xpcall(function() gantry.sleep(1) return true end, print))", 1,
	      &nothing);
	holds("in __close of a block",
	      "local n = 0 do local x <close> = setmetatable({}, { __close = function() gantry.sleep(1) n = 1 end }) end assert(n == 1)",
	      1, &nothing);
	holds("in a metamethod that Lua calls",
	      "local t = setmetatable({}, { __index = function(t, k) gantry.sleep(1) return k end }) assert(t.a == 'a')",
	      1, &nothing);
	holds("in an iterator",
	      "local function step(_, n) gantry.sleep(1) if n < 3 then return n + 1 end end\n"
	      "local sum = 0 for n in step, nil, 0 do sum = sum + n end assert(sum == 6)",
	      4, &nothing);
	holds("a coroutine of its own that does not wait",
	      "local c = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end)\n"
	      "assert(c() == 1) gantry.sleep(1) assert(c() == 2)",
	      1, &nothing);
}

static const char made[] = "cannot wait in a coroutine that the script made";
static const char inside[] = "cannot wait inside a function that was called by a library function";

static void test_where_it_does_not(void)
{
	static const char *const calls[][2] = {{"sleep", "gantry.sleep(1)"},
					       {"http", "gantry.http{ url = 'x' }"}};
	struct script_runner *runner;
	char code[400], what[100], error[200];

	for (size_t i = 0; i < 2; i++) {
		const struct {
			const char *what, *format, *error;
		} places[] = {
			{"a coroutine of its own",
			 "assert(coroutine.resume(coroutine.create(function() %s end)))", made},
			{"a wrapped coroutine", "coroutine.wrap(function() %s end)()", made},
			{"a coroutine in pcall", "assert(pcall(coroutine.wrap(function() %s end)))",
			 made},
			{"table.sort", "table.sort({ 2, 1 }, function() %s return true end)",
			 inside},
			{"string.gsub", "(''):gsub('', function() %s end)", inside},
			{"__tostring",
			 "tostring(setmetatable({}, { __tostring = function() %s return '' end }))",
			 inside},
			{"print",
			 "print(setmetatable({}, { __tostring = function() %s return '' end }))",
			 inside},
			{"__index of a library function",
			 "(''):gsub('', setmetatable({}, { __index = function() %s end }))",
			 inside},
			{"the handler of xpcall",
			 "local _, why = xpcall(error, function() %s end) error(why, 0)", NULL},
			{"__close of coroutine.close",
			 "local c = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() %s end }) "
			 "coroutine.yield() end) coroutine.resume(c) assert(coroutine.close(c))",
			 made},
			{"__close after its end",
			 "local x <close> = setmetatable({}, { __close = function() local _, why = pcall(function() %s end) print(why) end }) "
			 "error('the first error')",
			 "the first error"},
		};

		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			snprintf(code, sizeof(code), places[k].format, calls[i][1]);
			snprintf(what, sizeof(what), "%s in %s", calls[i][0], places[k].what);
			if (places[k].error == made || places[k].error == inside)
				snprintf(error, sizeof(error), "p.lua:2: gantry.%s %s", calls[i][0],
					 places[k].error);
			else
				snprintf(error, sizeof(error), "%s",
					 places[k].error ? places[k].error : "");
			refuses(what, code, error);
			runner = hook(code);
			is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_FAILED,
			       "%s: no wait", what);
			script_runner_free(runner);
		}
	}
	refuses("coroutine.yield in the hook", "coroutine.yield(1)",
		"p.lua:2: coroutine.yield in the event hook itself");
	refuses("and in pcall", "assert(pcall(coroutine.yield))",
		"coroutine.yield in the event hook itself");
	refuses("resuming the hook's own coroutine",
		"local own = coroutine.running() assert(coroutine.resume(coroutine.create(function() assert(coroutine.resume(own)) end)))",
		"cannot resume non-suspended coroutine");
	refuses("closing it",
		"local own = coroutine.running() coroutine.wrap(function() coroutine.close(own) end)()",
		"cannot close a running coroutine");
	refuses("more waits than one run has", "for i = 1, 101 do gantry.sleep(0) end",
		"may wait 100 times");
	holds("as many as it has", "for i = 1, 100 do gantry.sleep(0) end", 100, &nothing);
}

/* What is pending when a run ends by an error runs, and must not wait: the second run tells what it heard. */
static void test_pending_close(void)
{
	static const char *const calls[][2] = {
		{"gantry.sleep(1)", "gantry.sleep cannot wait any more"},
		{"gantry.http{ url = 'x' }", "gantry.http cannot wait any more"},
		{"coroutine.yield()", "coroutine.yield in the event hook itself"},
	};
	static const char format[] =
		"local heard\n"
		"return { event = function(ev)\n"
		"if heard then error(heard, 0) end\n"
		"local x <close> = setmetatable({}, { __close = function()\n"
		"  local _, why = pcall(function() %s end) heard = why or 'nothing' end })\n"
		"gantry.sleep(1)\n"
		"error('the first error', 0) end }";

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char *source = xasprintf(format, calls[i][0]);
		struct script_set *set;
		struct script_runner *runner = take(source, &set);

		is_int(drive(runner, &reply), -1, "%s in a __close that is pending", calls[i][0]);
		like(script_runner_error(runner), "the first error",
		     "the run fails for its own reason");
		is_int(drive(runner, &reply), -1, "it ran");
		like(script_runner_error(runner), calls[i][1], "and was told why not");
		script_runner_free(runner);
		script_set_free(set);
		free(source);
	}
}

/* --- outside of the hook ------------------------------------------------------------------------------ */

static void test_other_hooks(void)
{
	static const char *const calls[] = {"gantry.sleep(1)", "gantry.http{ url = 'x' }",
					    "gantry.now()", "gantry.instance('web')",
					    "gantry.instances()"};
	char source[300];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct arena arena = {0};
		struct gantry_spec spec;
		struct script_decision decision;
		struct script_request request;
		struct script_set *set;
		struct gantry_error err;

		snprintf(source, sizeof(source),
			 "return { admit = function(req) %s return true end }", calls[i]);
		set = policy_one(source);
		policy_spec("{\"image\":\"a\"}", &arena, &spec);
		request = policy_request(&spec, &arena);
		script_decision_init(&decision, set, &request, 1);
		is_int(script_admit(set, &request, &decision, &err), -EACCES, "admit: %s fails",
		       calls[i]);
		like(err.text, "is for the hook \"event\" only", "and says why");
		script_decision_fini(&decision);
		script_set_free(set);
		arena_fini(&arena);
		snprintf(source, sizeof(source), "%s return {}", calls[i]);
		like(policy_load_error(source), "is for the hook \"event\" only",
		     "%s while the file is loaded", calls[i]);
	}
}

static void test_apart(void)
{
	struct arena arena = {0};
	struct gantry_spec spec;
	struct script_decision decision;
	struct script_request request;
	struct script_set *set;
	struct gantry_error err;
	struct script_runner *runner = take(
		"local n = 0\n"
		"return { event = function(ev) n = n + 1 gantry.sleep(1) assert(n == 1, n) end,\n"
		"admit = function(req) n = n + 1 if n > 1 then return false, 'n is ' .. n end end }",
		&set);

	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "while a run waits");
	policy_spec("{\"image\":\"a\"}", &arena, &spec);
	request = policy_request(&spec, &arena);
	script_decision_init(&decision, set, &request, 1);
	is_int(script_admit(set, &request, &decision, &err), 0,
	       "another hook of the policy is asked, and sees none of its variables");
	script_decision_fini(&decision);
	is_int(script_runner_go_on(runner, &nothing, &moment), SCRIPT_RUN_DONE,
	       "nor does the run see those");
	ok(!script_runner_take(set, 0), "a policy has one runner");
	script_set_free(set);
	script_runner_free(runner);
	arena_fini(&arena);

	set = policy_one("return { mode = 'shadow', event = function(ev) end }");
	ok(!script_runner_take(set, 0), "a shadow has none");
	script_set_free(set);
	set = policy_one("return { admit = function(req) end }");
	ok(!script_runner_take(set, 0), "nor has a policy without the hook");
	script_set_free(set);
	like(policy_load_error("return { evnt = function(ev) end }"), "did you mean \"event\"?",
	     "a slip of the pen");
	like(policy_load_error("return { event = gantry.sleep }"),
	     "event must be a function of this file", "a function of ours");
}

/* --- the fleet ---------------------------------------------------------------------------------------- */

static void test_fleet(void)
{
	struct script_runner *runner = hook(
		"local i = gantry.instance('web')\nassert(i.id == 'i-1')\ngantry.sleep(1)\n"
		"assert(i.name == 'web' and i.labels.app == 'shop' and ev.instance.name == 'web')\n"
		"local gone, why = gantry.instance(i.id)\nassert(gone == nil, 'still there')\nerror(why, 0)");
	struct instance *gone = fleet_find(&fleet, "i-1");

	holds("by id or name",
	      "assert(gantry.instance('i-2').name == 'db' and gantry.instance('db', 'blue').id == 'i-2')",
	      0, NULL);
	holds("one that is not",
	      "local i, why = gantry.instance('nobody') assert(i == nil and why:find('nobody', 1, true), why)",
	      0, NULL);
	holds("all",
	      "local list, total = gantry.instances() assert(#list == 2 and total == 2 and list[1].id == 'i-1')",
	      0, NULL);
	holds("by label",
	      "local list, total = gantry.instances{ label = 'app=store' } assert(total == 1 and list[1].id == 'i-2')",
	      0, NULL);
	holds("by the label's name", "assert(select(2, gantry.instances{ label = 'app' }) == 2)", 0,
	      NULL);
	holds("a beginning is no label", "assert(select(2, gantry.instances{ label = 'ap' }) == 0)",
	      0, NULL);
	holds("by project",
	      "assert(#gantry.instances{ project = 'red' } == 0 and #gantry.instances{ project = 'blue', state = 'stopped' } == 2)",
	      0, NULL);
	holds("no more than wanted",
	      "local list, total = gantry.instances{ limit = 1 } assert(#list == 1 and total == 2)",
	      0, NULL);
	refuses("a state that is none", "gantry.instances{ state = 'asleep' }",
		"there is no state \"asleep\"");
	refuses("a key that is none", "gantry.instances{ labels = 'a' }",
		"did you mean \"label\"?");
	refuses("a limit", "gantry.instances{ limit = 1001 }",
		"limit must be a number from 0 to 1000");

	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "a run waits");
	fleet_remove(&fleet, gone);
	is_int(script_runner_go_on(runner, &nothing, &moment), SCRIPT_RUN_FAILED,
	       "the instance is removed meanwhile");
	like(script_runner_error(runner), "i-1",
	     "what it kept is as it was; asked again it is nil, and why");
	script_runner_free(runner);
	holds("an event of one that is gone",
	      "assert(ev.instance == nil and ev.name == 'web' and ev.instance_id == 'i-1')", 0,
	      NULL);
	add_instance("i-1", "web", "shop");
}

/* --- budgets ------------------------------------------------------------------------------------------ */

static void test_budgets(void)
{
	refuses("a loop after a wait", "gantry.sleep(1)\nwhile true do end",
		"p.lua:3: over its budget of 1000000 instructions");
	refuses("a loop in pcall after a wait in pcall",
		"pcall(function() gantry.sleep(1) while true do pcall(function() while true do end end) end end) while true do end",
		"over its budget");
	refuses("a loop in __close after a wait",
		"local x <close> = setmetatable({}, { __close = function() while true do end end }) gantry.sleep(1) error('x')",
		"over its budget");
	refuses("a loop in __close of a wait's pcall",
		"while true do pcall(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) "
		"gantry.sleep(1) error('x') end) end",
		"over its budget");
	refuses("a loop in a coroutine after a wait",
		"gantry.sleep(1) coroutine.wrap(function() while true do end end)()",
		"over its budget");
	refuses("memory that grows over waits",
		"local t = {} for i = 1, 100 do for k = 1, 3000 do t[#t + 1] = { i } end gantry.sleep(0) end",
		"over its budget of 8MiB memory");
	refuses("work between many waits",
		"while true do for i = 1, 400000 do end gantry.sleep(0) end",
		"p.lua:2: over its budget of 10000000 instructions for one event");
	refuses("deep recursion after a wait",
		"gantry.sleep(1) local function f() return 1 + f() end f()", "p.lua:2: ");
	refuses("recursion of waits", "local function f() gantry.sleep(0) return 1 + f() end f()",
		"may wait 100 times");
	refuses("an error that is no text", "gantry.sleep(1)\nerror({})",
		"p.lua:3: the error that was raised is no text");
	holds("memory that is let go",
	      "for i = 1, 99 do local s = ('x'):rep(200000) .. i gantry.sleep(0) end", 99,
	      &nothing);
}

/* A body counts against the policy's memory, like all that it keeps. */
static void test_replies(void)
{
	static char body[SCRIPT_HTTP_BODY_BYTES];
	const struct script_answer large = {NULL, 200, body, sizeof(body)};
	struct script_runner *runner = hook(
		"local t = {} while true do local b = gantry.http{ url = 'x' }.body t[#t + 1] = { b, b .. #t } end");

	memset(body, 'x', sizeof(body));
	is_int(drive(runner, &large), -1, "replies that are kept");
	like(script_runner_error(runner), "over its budget of 8MiB memory",
	     "are over the budget some time");
	script_runner_free(runner);
	holds("replies that are not kept",
	      "for i = 1, 100 do assert(#gantry.http{ url = 'x' }.body == 65536) end", 100, &large);
}

static void test_kill(void)
{
	struct script_set *set;
	struct script_runner *runner = take(
		"local n = 0\n"
		"return { event = function(ev) n = n + 1 gantry.sleep(n)\nif n == 2 then while true do end end end }",
		&set);

	script_set_free(set);
	is_int(drive(runner, &nothing), 1, "the first run is fine");
	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "the second waits");
	is_int(script_runner_wait(runner)->time_ms, 2000, "and has the variable of the file");
	is_int(script_runner_go_on(runner, &nothing, &moment), SCRIPT_RUN_FAILED,
	       "it goes over its budget");
	like(script_runner_error(runner), "p.lua:3: over its budget", "in that line");
	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "the third");
	is_int(script_runner_wait(runner)->time_ms, 1000, "runs in a state that was made anew");
	script_runner_end(runner, "over its limit of 60 s for one event");
	is_str(script_runner_error(runner), "p.lua:2: over its limit of 60 s for one event",
	       "one that is ended names where it waited");
	is_int(script_runner_start(runner, EVENT, &moment), SCRIPT_RUN_WAITS, "after that as well");
	is_int(script_runner_wait(runner)->time_ms, 1000, "it is made anew");
	script_runner_free(runner); /* while it waits */

	runner = take(
		"local kept\nreturn { event = function(ev) if kept then assert(coroutine.status(kept) == 'dead', 'a run is left') end\n"
		"kept = coroutine.running() gantry.sleep(1) error('x') end }",
		&set);
	script_set_free(set);
	drive(runner, &nothing);
	is_int(drive(runner, &nothing), -1, "a coroutine of an earlier run");
	like(script_runner_error(runner), "p.lua:3: x", "is dead");
	script_runner_free(runner);
}

/* Each function with odd arguments: an error or an answer, in time, and nothing for the sanitizers. */
static void test_hostile_arguments(void)
{
	static const char *const names[] = {"now",  "instance", "instances",
					    "json", "sleep",    "http"};
	static const char format[] =
		"local long = {} for i = 1, 2000 do long[i] = i end\n"
		"local big = ('x'):rep(200000)\n"
		"local liar = setmetatable({}, { __index = function(t, k) return big end, __len = function() return 1 << 50 end })\n"
		"local values = { -1, 1 << 62, 0/0, 1/0, big, 'web', {}, long, liar, true, print, ev, ev.instance, coroutine.running(),\n"
		"  { url = big }, { url = liar }, { label = big }, { label = '=' }, { label = '' }, { headers = long, url = 'x' },\n"
		"  { [big] = 1 }, { [1 << 40] = 1 }, { limit = liar }, { timeout = 0/0, url = 'x' }, { headers = liar, url = 'x' } }\n"
		"local f, tried, waited = gantry.%s, 0, 0\n"
		"for _, a in ipairs(values) do for _, b in ipairs{ 1, 'x', {}, big } do\n"
		"  tried = tried + 1\n"
		"  pcall(f, a, b)\n"
		"  pcall(coroutine.wrap(f), a, b)\n"
		"end end\n"
		"assert(tried == 100, tried)";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *code = xasprintf(format, names[i]);
		struct script_runner *runner = hook(code);
		double began_ms = cpu_ms();

		ok(drive(runner, &nothing) >= 0, "gantry.%s with hostile arguments", names[i]);
		ok(cpu_ms() - began_ms < 300 * slowness(), "ends in time");
		if (script_runner_error(runner)[0])
			diag("%s", script_runner_error(runner));
		script_runner_free(runner);
		free(code);
	}
}

int main(void)
{
	log_set_level(LOG_LEVEL_WARN);
	policy_start();
	fleet_init(&fleet);
	add_instance("i-1", "web", "shop");
	add_instance("i-2", "db", "store");
	test_facts();
	test_random();
	test_sleep();
	test_http();
	test_where_it_works();
	test_where_it_does_not();
	test_pending_close();
	test_other_hooks();
	test_apart();
	test_fleet();
	test_budgets();
	test_replies();
	test_kill();
	test_hostile_arguments();
	fleet_fini(&fleet);
	policy_stop();
	done_testing();
	return tap_end();
}
