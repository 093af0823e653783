/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that policy files carry: what they may say of each hook, and each way in which they fail a load. */
#include "base/str.h"
#include "policy.h"

/* A file with each hook that a test can ask; a test begins on line 25. */
static const char hooks[] =
	"local calls = 0\n"
	"return { name = 'p', mode = 'shadow', on_error = 'skip',\n"
	"admit = function(req) calls = calls + 1\n"
	" if req.labels.calls then return calls == 1, 'calls ' .. calls end\n"
	" if req.labels.bad then return false, 'no bad ones' end\n"
	" if req.labels.mute then return false end\n"
	" if req.labels.loop then while true do pcall(error) end end\n"
	" if req.labels.hog then local t = {} while true do t[#t + 1] = ('x'):rep(9000) .. #t end end\n"
	" if req.labels.slip then return req.labels.none.x end\n"
	" if req.exec and req.exec.user then return false, table.concat({ req.verb, req.exec.command[1], req.exec.command[2],\n"
	" req.exec.user, req.exec.environment.A, tostring(req.exec.tty) }, ' ') end\n"
	" if req.recording then return req.recording.actor == req.actor and req.recording.verb == 'attach', 'not yours' end"
	" if req.labels.told then return false, table.concat({ req.verb, req.actor, req.on_behalf_of, req.project, "
	"req.name, gantry.calendar(req.now, 0).hour, req.project_usage.memory, req.project_usage.cpus, "
	"req.project_usage.instances, #req.unsafe, req.instance and req.instance.state or 'new' }, ' ') end end,\n"
	"environment = function(req, env) if req.labels.wrong then return { A = {} } end\n"
	" return { A = '1', S = { value = 'hunter2', secret = true }, D = false } end,\n"
	"resources = function(req, res) return { memory = res.memory or '512MiB', cpus = 0.5, pids = false,\n"
	" log = { size = '1MiB' }, ulimits = { nofile = 10, nproc = { soft = 1, hard = 2 } } } end,\n"
	"filter = function(req, node) return node.labels.zone == 'a' and node.memory_free >= (req.memory or 0)\n"
	" and node.cpus_free > 0, node.name .. ' in zone ' .. (node.labels.zone or 'none') end,\n"
	"score = function(req, node) if node.instances < 9 then return 100 - node.instances / 8 end end,\n"
	"restart = function(instance, exit) if exit.code == 3 then return 'fail' end\n"
	" if exit.cause == 'oom' and exit.oom_seen and exit.signal == 9 then return exit.ran / 1000 end\n"
	" if instance.labels.keep then return exit.restarts end end,\n"
	"event = function() end,\n"
	"tests = {\n";

static const char *load(const char *tests)
{
	char *source = xasprintf("%s%s\n}}", hooks, tests);
	const char *error = policy_load_error(source);

	free(source);
	return error;
}

static void passes(const char *test)
{
	is_str(load(test), "", "%s", test);
}

/* Fails on the line, with the whole of the text behind file, line and test. */
static void fails(const char *test, const char *text)
{
	char *whole = xasprintf("p.lua:25: %s", text);

	is_str(load(test), whole, "%s", test);
	free(whole);
}

static void test_passes(void)
{
	passes("");
	passes("{ hook = 'admit', expect = true }");
	passes("{ hook = 'admit', request = {}, expect = true }");
	passes("{ hook = 'admit', request = { labels = { bad = '1' } }, expect = false }");
	passes("{ hook = 'admit', request = { labels = { bad = '1' } }, deny = 'no bad' }");
	passes("{ hook = 'admit', request = { labels = { mute = '1' } }, expect = false }");
	passes("{ hook = 'admit', verb = 'kill', actor = 'cn:nova', on_behalf_of = 'ann', now = '2026-01-05T23:00:00Z', "
	       "project_usage = { memory = '1KiB', cpus = 2, instances = 3 }, "
	       "request = { project = 'blue', name = 'web', cap_add = { 'SYS_ADMIN' }, labels = { told = '1' } }, "
	       "deny = 'kill cn:nova ann blue web 23 1024 2.0 3 1 running' }");
	passes("{ hook = 'admit', exec = { command = { 'rm', '-rf' }, user = 'joe', environment = { 'A=1' } }, "
	       "deny = 'exec rm -rf joe 1 false' }");
	passes("{ hook = 'admit', verb = 'exec', expect = true }");
	passes("{ hook = 'admit', verb = 'recording', expect = true }");
	passes("{ hook = 'admit', recording = { actor = 'cn:joe', project = 'blue' }, deny = 'not yours' }");
	passes("{ hook = 'admit', request = { labels = { told = '1' } }, on_behalf_of = 'x', "
	       "deny = 'spawn uid:0 x default example 12 0 0.0 0 0 new' }");
	passes("{ hook = 'environment', request = { environment = { 'D=1', 'B=2' } }, "
	       "expect = { A = 1, B = '2', D = false, S = { value = 'hunter2', secret = true } } }");
	passes("{ hook = 'resources', request = { pids = 5, memory_swap = '1GiB' }, expect = { memory = '512MiB', "
	       "cpus = 0.5, pids = false, log = { size = 1048576 }, ulimits = { nproc = { soft = 1, hard = 2 } }, "
	       "memory_swap = '1GiB' } }");
	passes("{ hook = 'filter', node = { labels = { zone = 'a' }, memory = '1GiB', cpus = 2 }, expect = true }");
	passes("{ hook = 'filter', request = { memory = '1GiB' }, node = { name = 'n1', labels = { zone = 'a' }, "
	       "memory = '2GiB', memory_promised = '1.5GiB', cpus = 2 }, deny = 'n1 in zone a' }");
	passes("{ hook = 'filter', node = { labels = { zone = 'a' }, memory = 1, cpus = 2, cpus_promised = 2 }, "
	       "expect = false }");
	passes("{ hook = 'score', node = { labels = { zone = 'a' }, memory = 1, cpus = 1, instances = 4 }, "
	       "expect = 99.5 }");
	passes("{ hook = 'restart', exit = { code = 3 }, expect = 'fail' }");
	passes("{ hook = 'restart', exit = { cause = 'oom', oom_seen = true, signal = 9, ran = 10 }, expect = 0.01 }");
	passes("{ hook = 'restart', request = { labels = { keep = '' } }, exit = { restarts = 4 }, expect = 4 }");
	passes("{ hook = 'restart', expect = false }");
}

/* What came is not what was expected. */
static void test_differs(void)
{
	fails("{ name = 'a\\nname/\"', hook = 'admit', expect = false }",
	      "test \"a\\nname/\\\"\": should be refused, is not refused");
	fails("{ hook = 'admit', deny = 'x' }",
	      "test 1: should be refused with \"x\", is not refused");
	fails("{ hook = 'admit', request = { labels = { bad = '' } }, deny = 'cap' }",
	      "test 1: should be refused with \"cap\", is refused with \"no bad ones\" (p.lua:5)");
	fails("{ hook = 'admit', request = { labels = { bad = '' } }, expect = true }",
	      "test 1: should not be refused, is refused with \"no bad ones\" (p.lua:5)");
	fails("{ hook = 'admit', request = { labels = { mute = '' } }, deny = 'x' }",
	      "test 1: should be refused with \"x\", is refused with \"no reason given\" (p.lua:6)");
	fails("{ hook = 'environment', expect = { A = 2 } }",
	      "test 1: A should be \"2\", is \"1\"");
	fails("{ hook = 'environment', expect = { A = false } }",
	      "test 1: A should be not set, is \"1\"");
	fails("{ hook = 'environment', expect = { C = 'x' } }",
	      "test 1: C should be \"x\", is not set");
	fails("{ hook = 'environment', expect = { A = { value = '1', secret = true } } }",
	      "test 1: A should be a secret, is \"1\"");
	fails("{ hook = 'environment', expect = { S = 'x' } }",
	      "test 1: S should be a secret, is another one");
	fails("{ hook = 'resources', expect = { memory = '1GiB' } }",
	      "test 1: memory should be 1GiB, is 512MiB");
	fails("{ hook = 'resources', expect = { memory = false } }",
	      "test 1: memory should be not set, is 512MiB");
	fails("{ hook = 'resources', expect = { pids = 5 } }",
	      "test 1: pids should be 5, is not set");
	like(load("{ hook = 'resources', expect = { ulimits = { nofile = 11 } } }"),
	     "p.lua:25: test 1: ulimits should be ", "a process limit");
	fails("{ hook = 'filter', node = { labels = { zone = 'b' }, memory = 1, cpus = 1 }, expect = true }",
	      "test 1: should not be refused, is refused with \"node in zone b\" (p.lua:17)");
	fails("{ hook = 'score', node = { labels = { zone = 'a' }, memory = 1, cpus = 1 }, expect = 99 }",
	      "test 1: should score 99, scores 100");
	fails("{ hook = 'score', node = { labels = { zone = 'a' }, memory = 1, cpus = 1, instances = 9 }, expect = 0 }",
	      "test 1: should score 0, has no opinion");
	fails("{ hook = 'score', node = { labels = { zone = 'b' }, memory = 1, cpus = 1 }, expect = 99 }",
	      "test 1: should score 99, its filter refuses the node: node in zone b");
	fails("{ hook = 'restart', exit = { code = 3 }, expect = 5 }",
	      "test 1: should be started after 5 s, is marked failed");
	fails("{ hook = 'restart', expect = 0.5 }",
	      "test 1: should be started after 0.5 s, is left stopped");
	fails("{ hook = 'restart', request = { labels = { keep = '' } }, exit = { restarts = 4 }, expect = 5 }",
	      "test 1: should be started after 5 s, is started after 4 s");
	is_str(load("{ hook = 'admit', expect = true },\n\n{ hook = 'admit',\nexpect = false }"),
	       "p.lua:27: test 2: should be refused, is not refused",
	       "the second one, on its own line");
}

/* What is no test. */
static void test_wrong(void)
{
	fails("{ hok = 'admit', expect = true }",
	      "test 1: hok: there is no option \"hok\"; did you mean \"hook\"?");
	fails("{ hook = 'admit', expct = true }",
	      "test 1: expct: there is no option \"expct\"; did you mean \"expect\"?");
	fails("{ name = 1, hook = 'admit', expect = true }",
	      "test 1: name: must be a string, not a number");
	fails("{ expect = true }", "test 1: hook: must name the hook that is asked, as \"admit\"");
	fails("{ hook = 'admitt', expect = true }",
	      "test 1: hook: this file has no hook \"admitt\"");
	fails("{ hook = 'event', expect = true }",
	      "test 1: hook: event gives no answer that could be tested");
	fails("{ hook = 'admit' }",
	      "test 1: expect: a test has either expect or, for a refusal, deny");
	fails("{ hook = 'admit', expect = true, deny = 'x' }",
	      "test 1: expect: a test has either expect or, for a refusal, deny");
	fails("{ hook = 'admit', expect = 1 }", "test 1: expect: must be true or false");
	fails("{ hook = 'score', expect = true }", "test 1: expect: must be a number");
	fails("{ hook = 'restart', expect = true }",
	      "test 1: expect: must be a number of seconds, false or \"fail\"");
	fails("{ hook = 'resources', expect = {} }",
	      "test 1: expect: must be a table of what is set after, as the hook's answer");
	fails("{ hook = 'resources', expect = { memry = 1 } }",
	      "test 1: expect: memry: is no resource; did you mean \"memory\"?");
	fails("{ hook = 'score', deny = 'x' }", "test 1: deny: does not belong to a test of score");
	fails("{ hook = 'admit', node = { name = 'x' }, expect = true }",
	      "test 1: node: does not belong to a test of admit");
	fails("{ hook = 'filter', exit = { code = 1 }, expect = true }",
	      "test 1: exit: does not belong to a test of filter");
	fails("{ hook = 'filter', node = { memry = 1 }, expect = true }",
	      "test 1: node.memry: there is no option \"memry\"; did you mean \"memory\"?");
	like(load("{ hook = 'admit', request = { imag = 'x' }, expect = true }"),
	     "p.lua:25: test 1: request.imag: ", "a field that a spec does not have");
	like(load("{ hook = 'admit', request = { image = 'x', \nmemory = 'much' }, expect = true }"),
	     "p.lua:26: test 1: request.memory: ", "a wrong value, on its own line");
	fails("{ hook = 'admit', request = 'x', expect = true }",
	      "test 1: request: must be a table as { image = \"debian:12\" }");
	fails("{ hook = 'admit', verb = 'kill', exec = { command = { 'sh' } }, expect = true }",
	      "test 1: exec: belongs to a test of the verb exec");
	fails("{ hook = 'admit', verb = 'exec', recording = { verb = 'exec' }, expect = true }",
	      "test 1: recording: belongs to a test of the verb recording");
	fails("{ hook = 'admit', recording = { by = 'x' }, expect = true }",
	      "test 1: recording.by: there is no option \"by\"");
	fails("{ hook = 'admit', exec = { image = 'x' }, expect = true }",
	      "test 1: exec.image: is the container's, not that of a process in it, which has: command, "
	      "environment, user, working_dir, tty, stdin_open");
	fails("{ hook = 'admit', now = 'noon', expect = true }",
	      "test 1: now: must be a time as \"2026-01-05T12:00:00Z\"");
	fails("{ hook = 'restart', exit = { ran = 'long' }, expect = false }",
	      "test 1: exit.ran: must be a duration as \"10s\" or \"500ms\", not \"long\"");
	like(load("'admit'"), "p.lua:25: test 1: must be a table as ", "a text");
	like(policy_load_error("return {\n tests = 1 }"), "p.lua:2: tests must be a list",
	     "no list");
	like(policy_load_error("return {\n tests = { a = {} } }"), "p.lua:2: tests must be a list",
	     "tests by name");
}

static void test_hostile(void)
{
	struct str many = STR_INIT;

	like(load("{ hook = 'admit', request = { labels = { loop = '' } }, expect = true }"),
	     "test 1: admit fails: over its budget of ", "a loop in the hook");
	like(load("{ hook = 'admit', request = { labels = { hog = '' } }, expect = true }"),
	     "test 1: admit fails: over its budget", "a hook that takes all memory");
	like(load("{ hook = 'admit', request = { labels = { slip = '' } }, expect = true }"),
	     "(p.lua:9)", "a slip in the hook, though on_error is skip");
	like(load("{ hook = 'environment', request = { labels = { wrong = '' } }, expect = { A = 1 } }"),
	     "test 1: environment fails: A: ", "an answer that is none");
	like(load("(function() while true do end end)()"), "over its budget", "a loop in the list");
	like(load("{ hook = function() end }"),
	     "p.lua:25: tests[1].hook must be plain data, not a function", "a function in a test");
	like(policy_load_error(
		     "return {\n tests = setmetatable({}, { __len = function() return 9 end }) }"),
	     "p.lua:2: tests must be a plain table, not one with a metatable", "a lying list");
	like(load("setmetatable({}, { __index = function() return 'admit' end })"),
	     "tests[1] must be a plain table", "a lying test");
	like(policy_load_error("local t = {}\nt[1] = t\nreturn { tests = t }"),
	     "does it hold itself?", "a list that holds itself");
	like(policy_load_error(
		     "local t = {}\nfor i = 1, 30000 do t[i] = i end\nreturn { tests = t }"),
	     "has over 20000 values", "a list without end");
	for (int i = 0; i < 64; i++)
		str_add(&many, "{ hook = 'admit', expect = true },");
	is_str(load(str_text(&many)), "", "64 tests");
	str_add(&many, "{ hook = 'admit', expect = true }");
	like(load(str_text(&many)), "tests has more than 64 tests", "and one more");
	str_fini(&many);
}

/* The tests run in a state of their own, and the policy is what it says it is. */
static void test_apart(void)
{
	char *source = xasprintf(
		"%s{ hook = 'admit', request = { labels = { calls = '' } }, expect = true },\n"
		"{ hook = 'admit', request = { labels = { calls = '' } }, deny = 'calls 2' } }}",
		hooks);
	struct script_set *set = policy_one(source);
	struct json_object *list = script_set_print(set);
	struct script_decision decision;
	struct script_request request;
	struct arena arena = {0};
	struct gantry_spec spec;

	is_str(json_get_string(json_object_array_get_idx(list, 0), "mode", ""), "shadow",
	       "still a shadow");
	is_int(json_get_int(json_object_array_get_idx(list, 0), "tests", 0), 2, "with two tests");
	json_object_put(list);
	policy_spec("{\"image\":\"x\",\"labels\":{\"calls\":\"\"}}", &arena, &spec);
	request = policy_request(&spec, &arena);
	script_decision_init(&decision, set, &request, 1);
	is_int(script_admit(set, &request, &decision, NULL), 0, "asked in earnest");
	is_str(decision.records[0].outcome, "allow", "as if the tests had not been");
	script_decision_fini(&decision);
	arena_fini(&arena);
	script_set_free(set);
	free(source);
}

static void test_cost(void)
{
	struct script_set *set;
	double began_ms;
	char name[20];

	for (int i = 0; i < 50; i++) {
		char *source = xasprintf(
			"return { name = 'p%d', resources = function(req, res) return { memory = "
			"res.memory or '1GiB' } end,\n tests = {\n"
			"{ hook = 'resources', request = { image = 'x' }, expect = { memory = "
			"'1GiB' } },\n"
			"{ hook = 'resources', request = { memory = '2GiB' }, expect = { "
			"memory = '2GiB' } },\n"
			"{ hook = 'resources', request = { memory = '3GiB' }, expect = { "
			"memory = '3GiB' } } } }",
			i);

		snprintf(name, sizeof(name), "%02d.lua", i);
		policy_write(name, source);
		free(source);
	}
	began_ms = cpu_ms();
	set = policy_load_set();
	began_ms = cpu_ms() - began_ms;
	ok(began_ms < 100 * slowness(), "50 policies with three tests each load within 100 ms");
	diag("50 policies with 150 tests: %.1f ms", began_ms);
	script_set_free(set);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%02d.lua", i);
		policy_remove(name);
	}
}

int main(void)
{
	policy_start();
	test_passes();
	test_differs();
	test_wrong();
	test_hostile();
	test_apart();
	test_cost();
	policy_stop();
	done_testing();
	return tap_end();
}
