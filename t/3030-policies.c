/* SPDX-License-Identifier: Apache-2.0 */
/* Loading, the failure rules, answers checked field by field, conflicts, shadow mode, decisions. */
#include "base/str.h"
#include "policy.h"

static const char default_spec[] =
	"{\"image\":\"debian:12\",\"name\":\"web\",\"project\":\"blue\",\"environment\":[\"A=1\","
	"{\"name\":\"TOKEN\",\"value\":\"hunter2\",\"secret\":true}]}";

static void begin(struct trial *trial, struct script_set *set, const char *spec)
{
	trial_begin(trial, set, spec ? spec : default_spec);
}

static void admit(struct trial *trial)
{
	trial->code = script_admit(trial->set, &trial->request, &trial->decision, &trial->err);
}

static void environment(struct trial *trial)
{
	trial->code = script_environment(trial->set, &trial->request, &trial->arena, &trial->spec,
					 &trial->decision, &trial->err);
}

static const struct gantry_env *variable(const struct trial *trial, const char *name)
{
	for (size_t i = 0; i < trial->spec.environment.count; i++)
		if (str_equal(trial->spec.environment.items[i].name, name))
			return &trial->spec.environment.items[i];
	return NULL;
}

/* --- loading --------------------------------------------------------------------------------------- */

static void test_load(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct script_set *set, *other;
	struct json_object *list;
	struct gantry_error err;
	char revision[20];

	is_int(script_set_load("/nonexistent", &budget, &set, &err), -ENOENT, "no folder");
	like(err.text, "/nonexistent", "it is named");
	set = policy_load_set();
	is_int(json_object_array_length(list = script_set_print(set)), 0, "an empty folder");
	json_object_put(list);
	snprintf(revision, sizeof(revision), "%s", script_set_revision(set));
	is_int(strlen(revision), 16, "a revision");
	script_set_free(set);

	like(policy_load_error("return {"), "p.lua:1: ", "a file that does not compile");
	like(policy_load_error("\n\nerror('no')"), "p.lua:3: no", "a file that raises");
	like(policy_load_error("local x"), "must return a table", "a file that returns nothing");
	like(policy_load_error("return {\n name = 'x',\n admitt = function() end }"),
	     "p.lua:3: unknown key \"admitt\"; did you mean \"admit\"?", "an unknown key");
	like(policy_load_error("return { mode = 'shade' }"),
	     "p.lua:1: mode must be \"shadow\" or "
	     "\"enforce\"",
	     "a wrong mode");
	like(policy_load_error("return { on_error = true }"), "on_error must be", "a wrong rule");
	like(policy_load_error("return { admit = 1 }"), "admit must be a function", "a wrong hook");
	like(policy_load_error("return { name = 'a b' }"), "name may have", "a wrong name");
	like(policy_load_error("return setmetatable({}, {})"), "metatable",
	     "a table with a metatable");
	like(policy_load_error("return { 1 }"), "short names", "a list");
	like(policy_load_error("local t = {}\nt.x = nil + 1"), "p.lua:2: ", "a run-time error");

	policy_write("20-b.lua",
		     "return { name = 'second', mode = 'shadow', on_error = 'deny', score = "
		     "function() end, admit = function() end }");
	policy_write("10-a.lua", "return {}");
	policy_write("notes.txt", "no policy");
	policy_write(".hidden.lua", "no policy");
	set = policy_load_set();
	list = script_set_print(set);
	is_str(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
	       "[{\"name\":\"10-a\",\"file\":\"10-a.lua\",\"mode\":\"enforce\",\"on_error\":\"default\","
	       "\"hooks\":[],\"tests\":0},{\"name\":\"second\",\"file\":\"20-b.lua\",\"mode\":\"shadow\",\"on_error\":"
	       "\"deny\",\"hooks\":[\"admit\",\"score\"],\"tests\":0}]",
	       "the set in name order");
	json_object_put(list);
	ok(!str_equal(revision, script_set_revision(set)), "another revision");
	other = policy_load_set();
	is_str(script_set_revision(other), script_set_revision(set),
	       "the same files, the same revision");
	script_set_free(other);
	policy_write("30-c.lua", "return { name = 'second' }");
	is_int(script_set_load(policy_folder, &budget, &other, &err), -EEXIST, "a name twice");
	like(err.text, "is taken by 20-b.lua", "both are named");
	script_set_free(set);
	policy_remove("10-a.lua");
	policy_remove("20-b.lua");
	policy_remove("30-c.lua");
	policy_remove("notes.txt");
	policy_remove(".hidden.lua");
}

/* --- admit ----------------------------------------------------------------------------------------- */

static void expect_admit(const char *name, const char *source, int code, const char *outcome,
			 const char *reason, int line)
{
	const struct script_record *record;
	struct trial trial;

	begin(&trial, policy_one(source), NULL);
	admit(&trial);
	is_int(trial.code, code, "%s: %s", name, code ? "refused" : "allowed");
	record = policy_record(&trial.decision, "p", "admit", NULL);
	is_str(record ? record->outcome : NULL, outcome, "%s: outcome", name);
	if (reason)
		like(record->reason, reason, "%s: reason", name);
	is_int(record->line, line, "%s: line", name);
	is_int(trial.decision.allowed, code == 0, "%s: decision", name);
	if (code < 0) {
		is_int(trial.err.decision, 17, "%s: the error has the decision", name);
		like(trial.err.text, "p.lua", "%s: the error has the file", name);
	}
	trial_end_set(&trial);
}

static void test_admit(void)
{
	expect_admit("true", "return { admit = function(req)\n return true end }", 0, "allow", NULL,
		     2);
	expect_admit("nil", "return { admit = function(req)\n\n end }", 0, "none", NULL, 0);
	expect_admit("a long return",
		     "return { admit = function(req)\n return\n false,\n 'long' end }", -EACCES,
		     "deny", "long", 2);
	expect_admit("false",
		     "return { admit = function(req)\n if req.name == 'web' then\n return false, "
		     "'not ' .. req.project\n end\n return true end }",
		     -EACCES, "deny", "not blue", 3);
	expect_admit("false without why", "return { admit = function(req) return false end }",
		     -EACCES, "deny", NULL, 1);
	expect_admit("a helper says no",
		     "local function no(why)\n local t = { why }\n return false, t[1] end\n"
		     "return { admit = function(req)\n local a, b = no('x')\n return a, b\n end }",
		     -EACCES, "deny", "x", 6);
	expect_admit("a number", "return { admit = function() return 1 end }", -EACCES, "error",
		     "must be true, false and a reason, or nil, not a number", 1);
	expect_admit("a table", "return { admit = function() return {} end }", -EACCES, "error",
		     "not a table", 1);
	expect_admit("why is a table", "return { admit = function() return false, {} end }",
		     -EACCES, "error", "reason must be text", 1);
	expect_admit("a long why",
		     "return { admit = function() return false, ('x'):rep(9999) end }", -EACCES,
		     "error", "4096", 1);
	expect_admit("an odd why",
		     "return { admit = function() return false, 'a\\n\\xffb\\0c' end }", -EACCES,
		     "deny", "a ?b c", 1);
	expect_admit("an error", "return { admit = function()\n local x = nil\n return x.y end }",
		     -EACCES, "error", "attempt to index a nil value", 3);
	expect_admit(
		"an error with a level",
		"local function check() error('wrong', 2) end\nreturn { admit = function()\n check()\n "
		"end }",
		-EACCES, "error", "wrong", 3);
	expect_admit("skip", "return { on_error = 'skip', admit = function() error('x') end }", 0,
		     "error", "x", 1);
	expect_admit("shadow",
		     "return { mode = 'shadow', admit = function() return false, 'no' end }", 0,
		     "deny", "no", 1);
	expect_admit("shadow error",
		     "return { mode = 'shadow', admit = function() error('x') end }", 0, "error",
		     "x", 1);
}

static void test_order(void)
{
	struct trial trial;

	policy_write("10-a.lua", "return { admit = function() return false, 'first' end }");
	policy_write("20-b.lua", "return { admit = function() return false, 'second' end }");
	policy_write("30-c.lua", "return { mode = 'shadow', admit = function() return true end }");
	begin(&trial, policy_load_set(), NULL);
	admit(&trial);
	is_int(trial.decision.count, 3, "all are asked");
	like(trial.err.text, "policy 10-a refuses: first (10-a.lua:1)", "the first reason counts");
	is_str(trial.decision.reason, "policy 10-a refuses: first (10-a.lua:1)",
	       "and is the decision's");
	ok(trial.decision.records[2].shadow, "the shadow is marked");
	trial_end_set(&trial);
	policy_remove("10-a.lua");
	policy_remove("20-b.lua");
	policy_remove("30-c.lua");
}

/* --- environment ----------------------------------------------------------------------------------- */

static void test_environment(void)
{
	unsigned char key[32] = {1, 2, 3};
	const struct script_record *record;
	struct trial trial;
	struct json_object *json;
	const char *text;

	script_set_secret_key(key);
	begin(&trial,
	      policy_one("return { environment = function(req, env)\n"
			 "  return { TZ = 'UTC', N = 5, F = 0.5, A = false, NONE = false,\n"
			 "    S = { value = 'topsecret', secret = true }, TOKEN = 'other',\n"
			 "    SEEN = tostring(env.TOKEN) .. env.A .. tostring(env.NO) .. #env }\n"
			 "end }"),
	      NULL);
	environment(&trial);
	is_int(trial.code, 0, "environment");
	is_str(variable(&trial, "TZ")->value, "UTC", "text");
	is_str(variable(&trial, "N")->value, "5", "a whole number");
	is_str(variable(&trial, "F")->value, "0.5", "a number");
	ok(!variable(&trial, "A"), "dropped");
	is_str(variable(&trial, "S")->value, "topsecret", "secret");
	ok(variable(&trial, "S")->secret && !variable(&trial, "TZ")->secret, "marked so");
	ok(variable(&trial, "TOKEN")->secret, "what was secret stays so");
	is_str(variable(&trial, "SEEN")->value, "true1nil2",
	       "what a policy sees: no secret values");
	record = policy_record(&trial.decision, "p", "environment", "TZ");
	is_str(record->answer, "\"UTC\"", "recorded");
	is_int(record->line, 2, "with the line of the return");
	is_str(policy_record(&trial.decision, "p", "environment", "A")->answer, "false", "a drop");
	text = policy_record(&trial.decision, "p", "environment", "S")->answer;
	like(text, "\"hmac:", "a secret is a hash");
	is_int(strlen(strstr(text, "hmac:")), strlen("hmac:0123456789abcdef\",\"secret\":true}"),
	       "of 16 digits");
	json = script_decision_print(&trial.decision);
	text = json_object_to_json_string(json);
	ok(!strstr(text, "topsecret") && !strstr(text, "other") && !strstr(text, "hunter2"),
	   "no secret is printed");
	like(policy_record(&trial.decision, "p", "environment", "TOKEN")->before,
	     "{\"value\":\"hmac:", "nor as what was there before: it is a hash");
	is_str(policy_record(&trial.decision, "p", "environment", "A")->before, "\"1\"",
	       "what was dropped is told");
	json_object_put(json);
	trial_end_set(&trial);
}

/* An answer that is wrong: the failure is recorded and nothing of it is taken. */
static void expect_wrong(const char *hook, const char *answer, const char *reason)
{
	const struct script_record *record;
	struct trial trial;
	char *source =
		xasprintf("return { on_error = 'deny', %s = function(req, now) return %s end }",
			  hook, answer);
	size_t before;

	begin(&trial, policy_one(source), NULL);
	before = trial.spec.environment.count;
	if (str_equal(hook, "environment"))
		environment(&trial);
	else
		trial_resources(&trial);
	is_int(trial.code, -EACCES, "%s %s: is refused", hook, answer);
	record = policy_record(&trial.decision, "p", hook, NULL);
	is_str(record->outcome, "error", "%s %s: an error of the policy", hook, answer);
	like(record->reason, reason, "%s %s: says why", hook, answer);
	ok(trial.spec.environment.count == before && trial.spec.memory_bytes == GANTRY_UNSET &&
		   trial.decision.count == 1,
	   "%s %s: nothing is taken", hook, answer);
	trial_end_set(&trial);
	free(source);
}

static void test_origin(void)
{
	struct trial trial;
	const struct script_record *record;

	begin(&trial, policy_one("return { environment = function() return { A = '2' } end }"),
	      "{\"image\":\"a\",\"environment\":[\"A=1\"],\"labels\":{\"origin.environment.A\":"
	      "\"flavor\",\"origins\":\"x\"}}");
	environment(&trial);
	is_int(trial.decision.count, 2, "a label tells where a value is from: a record more");
	record = policy_record(&trial.decision, "gantry", "environment", "environment.A");
	is_str(record->reason, "flavor", "which says so");
	is_str(record->outcome, "none", "and sets nothing");
	ok(!policy_record(&trial.decision, "p", "environment", "A")->conflict,
	   "nor is it one to be in conflict with");
	trial_end_set(&trial);
}

static void test_wrong_answers(void)
{
	expect_wrong("environment", "1", "must be a table of what to set");
	expect_wrong("environment", "{ 'A=1' }", "not a list");
	expect_wrong("environment", "{ OK = 'x', A = true }", "A: true is no value");
	expect_wrong("environment", "{ A = 0/0 }", "A: must be a finite number");
	expect_wrong("environment", "{ A = 1/0 }", "A: must be a finite number");
	expect_wrong("environment", "{ A = ('x'):rep(140000) }", "A: is longer than 128 KiB");
	expect_wrong("environment", "{ A = 'x\\0y' }", "A: has a NUL byte");
	expect_wrong("environment", "{ ['A=B'] = 'x' }", "has no \"=\"");
	expect_wrong("environment", "{ [''] = 'x' }", "1 to 255 bytes");
	expect_wrong("environment", "{ A = { value = 'x', secrte = true } }",
		     "did you mean \"secret\"?");
	expect_wrong("environment", "{ A = { secret = true } }", "A: needs a value");
	expect_wrong("environment", "{ A = { value = 'x', secret = 1 } }",
		     "secret must be true or false");
	expect_wrong("environment", "{ A = { value = {} } }", "A: must be text");
	expect_wrong("environment", "{ A = print }", "A: must be plain data, not a function");
	expect_wrong("environment", "{ A = req }", "A: must be a plain value, not a fact");
	expect_wrong("environment", "setmetatable({}, { __index = { A = 'x' } })", "metatable");
	expect_wrong("environment", "{ A = setmetatable({ value = 'x' }, {}) }",
		     "A: must be a plain table");
	expect_wrong("environment", "(function() local t = {} t.A = t return t end)()", "A.A.A");
	expect_wrong("environment", "{ A = { [1] = 1, x = 2 } }", "mixes a list");
	expect_wrong("environment", "{ A = { [3] = 1 } }", "without holes");
	expect_wrong("environment", "{ [true] = 1 }", "key that is a boolean");
	/* of several the first by name, whatever Lua's order: a replay gives the same */
	expect_wrong("environment", "{ [{}] = 1, [1.5] = 1, [true] = 1 }", "key that is a boolean");
	expect_wrong(
		"environment",
		"(function() local t = {} for i = 10, 99 do t['K' .. i] = print end return t end)()",
		"K10: must be plain data");

	expect_wrong("resources", "{ memry = 1 }",
		     "memry: is no resource; did you mean \"memory\"?");
	expect_wrong("resources", "{ memory = '12 parsecs' }", "memory: \"12 parsecs\" is no size");
	expect_wrong("resources", "{ memory = -1 }", "memory: must be from");
	expect_wrong("resources", "{ memory = 0/0 }", "memory: must be a finite number");
	expect_wrong("resources", "{ memory = 1e300 }", "memory: ");
	expect_wrong("resources", "{ memory = true }", "memory: must be a size");
	expect_wrong("resources", "{ memory = '64MiB', cpus = 'many' }", "cpus: ");
	expect_wrong("resources", "{ memory = '64MiB', memory_swap = '32MiB' }",
		     "memory_swap: counts");
	expect_wrong("resources", "{ cpus = 0 }", "cpus: must be from");
	expect_wrong("resources", "{ cpu_shares = 1 }", "cpu_shares: must be from 2");
	expect_wrong("resources", "{ cpuset = '3-1' }", "cpuset: ");
	expect_wrong("resources", "{ pids = 1.5 }", "pids: ");
	expect_wrong("resources", "{ log = { sise = 1 } }", "did you mean \"size\"");
	expect_wrong("resources", "{ log = { driver = 'syslog' } }", "log.driver: ");
	expect_wrong("resources", "{ ulimits = { nofiles = 1 } }", "did you mean \"nofile\"");
	expect_wrong("resources", "{ block_io_weight = 5 }", "block_io_weight: ");
	expect_wrong("resources", "{ image = 'other' }", "image: is no resource");
	expect_wrong("resources", "{ 1, 2 }", "not a list");
	expect_wrong("resources", "'64MiB'", "must be a table");
}

/* --- resources ------------------------------------------------------------------------------------- */

static void test_resources(void)
{
	struct trial trial;

	begin(&trial,
	      policy_one(
		      "return { resources = function(req, res)\n"
		      "  assert(res.memory == 128 << 20 and res.cpus == nil and res.log.size == nil)\n"
		      "  assert(res.ulimits[1].name == 'nofile' and #res.ulimits == 2)\n"
		      "  return { memory = '64MiB', memory_swap = 96 << 20, cpus = 1.5, cpu_shares = 512,\n"
		      "    cpuset = '0-1', pids = 100, block_io_weight = 300, log = { size = '10MiB', "
		      "files = 3 },\n"
		      "    ulimits = { nofile = 2048, nproc = { soft = 10, hard = 20 } } } end }"),
	      "{\"image\":\"a\",\"memory\":\"128MiB\",\"ulimits\":[\"nofile=64\",\"core=0\"],\"log\":{"
	      "\"driver\":\"local\"}}");
	trial_resources(&trial);
	is_int(trial.code, 0, "resources: %s", trial.code ? trial.err.text : "fine");
	is_int(trial.spec.memory_bytes, 64 << 20, "memory");
	is_int(trial.spec.memory_swap_bytes, 96 << 20, "memory and swap");
	is_int(trial.spec.nano_cpus, 1500000000, "cpus");
	is_int(trial.spec.cpu_shares, 512, "shares");
	is_str(trial.spec.cpuset, "0-1", "cpuset");
	is_int(trial.spec.pids, 100, "pids");
	is_int(trial.spec.block_io.weight, 300, "weight");
	is_int(trial.spec.log.size_bytes, 10 << 20, "log size");
	is_int(trial.spec.log.files, 3, "log files");
	is_str(trial.spec.log.driver, "local", "what the answer does not name stays");
	is_int(trial.spec.ulimits.count, 3, "ulimits are merged");
	is_int(trial.spec.ulimits.items[0].hard, 2048, "one is changed");
	is_int(trial.spec.ulimits.items[2].soft, 10, "one is new");
	is_str(policy_record(&trial.decision, "p", "resources", "memory")->answer, "\"64MiB\"",
	       "recorded as answered");
	is_int(policy_record(&trial.decision, "p", "resources", "log.size")->line, 4,
	       "with its line");
	ok(policy_record(&trial.decision, "p", "resources", "ulimits.nproc"),
	   "a ulimit is a record");
	trial_end_set(&trial);

	begin(&trial,
	      policy_one(
		      "return { resources = function() return { memory = false, cpuset = false, log = "
		      "false, ulimits = false } end }"),
	      "{\"image\":\"a\",\"memory\":\"128MiB\",\"cpuset\":\"0\",\"ulimits\":[\"nofile=64\"],\"log\":"
	      "{\"driver\":\"local\"}}");
	trial_resources(&trial);
	is_int(trial.code, 0, "taking limits away");
	ok(trial.spec.memory_bytes == GANTRY_UNSET && !trial.spec.cpuset &&
		   !trial.spec.log.driver && trial.spec.ulimits.count == 0,
	   "they are gone");
	trial_end_set(&trial);
}

/* --- more than one policy -------------------------------------------------------------------------- */

static void test_conflict(void)
{
	const struct script_record *record;
	struct trial trial;

	policy_write("10-a.lua",
		     "return { environment = function() return { TZ = 'UTC', L = 'C' } end, "
		     "resources = function() return { memory = '64MiB', pids = 10 } end }");
	policy_write("20-b.lua",
		     "return { environment = function(req, env) return { TZ = 'CET', L = env.L } "
		     "end, resources = function(req, res) return { memory = '128MiB', pids = "
		     "res.pids } end }");
	policy_write("30-c.lua",
		     "return { mode = 'shadow', environment = function() return { TZ = 'X' } end, "
		     "resources = function() return { memory = '1GiB' } end }");
	begin(&trial, policy_load_set(), NULL);
	environment(&trial);
	trial_resources(&trial);
	is_str(variable(&trial, "TZ")->value, "CET", "the last one wins");
	is_int(trial.spec.memory_bytes, 128 << 20, "for resources too");
	record = policy_record(&trial.decision, "20-b", "environment", "TZ");
	ok(record->conflict, "a conflict is recorded");
	is_str(record->before, "\"UTC\"", "with what was there before");
	is_str(policy_record(&trial.decision, "20-b", "resources", "memory")->before, "67108864",
	       "of a limit too");
	ok(!policy_record(&trial.decision, "10-a", "environment", "TZ")->conflict,
	   "not with the request");
	ok(!policy_record(&trial.decision, "20-b", "environment", "L")->conflict,
	   "the same value is no conflict");
	ok(policy_record(&trial.decision, "20-b", "resources", "memory")->conflict,
	   "memory: conflict");
	ok(!policy_record(&trial.decision, "20-b", "resources", "pids")->conflict, "pids: none");
	is_str(policy_record(&trial.decision, "10-a", "resources", "pids")->before, NULL,
	       "nothing was there before");
	record = policy_record(&trial.decision, "30-c", "environment", "TZ");
	is_str(record->before, "\"CET\"", "what a shadow would have changed");
	ok(record && record->shadow && !record->conflict, "the shadow is recorded, without effect");
	trial_end_set(&trial);
	policy_remove("10-a.lua");
	policy_remove("20-b.lua");
	policy_remove("30-c.lua");
}

static void test_rules(void)
{
	struct trial trial;

	begin(&trial,
	      policy_one("return { environment = function() error('x') end, resources = function() "
			 "while true do end end }"),
	      NULL);
	environment(&trial);
	is_int(trial.code, 0, "a failing environment is skipped");
	trial_resources(&trial);
	is_int(trial.code, 0, "failing resources are skipped");
	like(policy_record(&trial.decision, "p", "resources", NULL)->reason,
	     "over its budget of 1000000 instructions", "the budget is named");
	is_int(policy_record(&trial.decision, "p", "resources", NULL)->line, 1, "and the line");
	trial_end_set(&trial);
	begin(&trial,
	      policy_one("return { on_error = 'deny', environment = function() error('x') end }"),
	      NULL);
	environment(&trial);
	is_int(trial.code, -EACCES, "unless it says deny");
	like(trial.err.text, "policy p fails and so refuses: x (p.lua:1)", "and says so");
	trial_end_set(&trial);
}

/* Memory that a policy keeps is gone when it runs out; facts that it keeps are dead. */
static void test_state(void)
{
	struct trial trial;

	begin(&trial,
	      policy_one(
		      "local keep = {}\nlocal old\n"
		      "return { admit = function(req)\n"
		      "  if req.verb == 'fill' then while true do keep[#keep + 1] = ('x'):rep(2000) .. #keep end end\n"
		      "  if req.verb == 'old' then return old.name == 'x' end\n"
		      "  if req.verb == 'list' then for _, v in ipairs(old) do end end\n"
		      "  old = req.verb == 'keep list' and req.command or req\n"
		      "  return #keep < 10\n"
		      "end }"),
	      NULL);
	for (int i = 0; i < 3; i++) {
		trial.request.verb = "fill";
		admit(&trial);
		is_int(trial.code, -EACCES, "full");
		trial.request.verb = "spawn";
		admit(&trial);
		is_int(trial.code, 0, "anew after");
	}
	trial.request.verb = "old";
	admit(&trial);
	is_int(trial.code, -EACCES, "a fact that was kept");
	like(trial.decision.records[trial.decision.count - 1].reason,
	     "facts live only while the hook runs", "is dead");
	trial.request.verb = "keep list";
	admit(&trial);
	trial.request.verb = "list";
	admit(&trial);
	is_int(trial.code, -EACCES, "so is a list that was kept");
	trial_end_set(&trial);
}

/* The same request gives the same answer: random, clock and order of keys come from it. */
static void test_replay(void)
{
	static const char source[] =
		"return { environment = function(req)\n"
		"  local keys, t = {}, { b = 1, a = 2, [3] = 1, [1] = 1, zz = 1, [2.5] = 1, [true] = 1 }\n"
		"  for k in pairs(t) do keys[#keys + 1] = tostring(k) end\n"
		"  local c = gantry.calendar(req.now, 60)\n"
		"  return { R = math.random(1000000) .. ' ' .. math.random(), K = table.concat(keys, ' '),\n"
		"    C = ('%d-%02d-%02d %02d:%02d:%02d %d'):format(c.year, c.month, c.day, c.hour, c.minute, "
		"c.second, c.weekday),\n"
		"    T = tostring({}) .. ('%s'):format(print), Z = gantry.size_text(gantry.size('1.5G')) }\n"
		"end }";
	struct trial one, two;

	begin(&one, policy_one(source), NULL);
	environment(&one);
	begin(&two, policy_one(source), NULL);
	environment(&two);
	is_str(variable(&one, "R")->value, variable(&two, "R")->value, "random numbers");
	is_str(variable(&one, "K")->value, "1 2.5 3 a b zz true", "order of keys");
	is_str(variable(&one, "C")->value, "2023-11-14 23:13:20 2", "the clock, with an offset");
	is_str(variable(&one, "T")->value, "tablefunction", "no addresses");
	is_str(variable(&one, "Z")->value, "1.5GiB", "sizes");
	trial_end_set(&one);
	two.request.seed++;
	environment(&two);
	trial_end_set(&two);
}

/* --- what a decision says -------------------------------------------------------------------------- */

static void test_decision(void)
{
	struct json_object *json, *record;
	struct trial trial;

	begin(&trial, policy_one("return { admit = function(req)\n return false, 'no' end }"),
	      NULL);
	admit(&trial);
	json = script_decision_print(&trial.decision);
	is_int(json_get_int(json, "id", 0), 17, "id");
	is_str(json_get_string(json, "verb", NULL), "spawn", "verb");
	is_str(json_get_string(json, "actor", NULL), "uid:0", "actor");
	is_str(json_get_string(json, "project", NULL), "blue", "project");
	is_str(json_get_string(json, "at", NULL), "2023-11-14T22:13:20.123Z", "time");
	is_str(json_get_string(json, "revision", NULL), script_set_revision(trial.set), "revision");
	ok(!json_get_bool(json, "allowed", true), "refused");
	is_str(json_get_string(json, "reason", NULL), "policy p refuses: no (p.lua:2)", "reason");
	record = json_object_array_get_idx(json_get(json, "records"), 0);
	is_str(json_get_string(record, "policy", NULL), "p", "policy");
	is_str(json_get_string(record, "hook", NULL), "admit", "hook");
	is_str(json_get_string(record, "outcome", NULL), "deny", "outcome");
	is_str(json_get_string(record, "file", NULL), "p.lua", "file");
	is_int(json_get_int(record, "line", 0), 2, "line");
	ok(json_get(record, "took_us"), "time taken");
	json_object_put(json);
	trial_end_set(&trial);
}

int main(void)
{
	policy_start();
	test_load();
	test_admit();
	test_order();
	test_environment();
	test_origin();
	test_wrong_answers();
	test_resources();
	test_conflict();
	test_rules();
	test_state();
	test_replay();
	test_decision();
	policy_stop();
	done_testing();
	return tap_end();
}
