/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a placement over many nodes fast must not be seen: facts that are kept from placement to
 * placement, and calls without a count of instructions.
 */
#include "base/str.h"
#include "placing.h"

/* --- kept facts ------------------------------------------------------------------------------------ */

static const char reading[] =
	"return { score = function(req, node)\n"
	"  assert(req.memory == 1 << 30 and req.memory == 1 << 30 and req.image == 'a')\n"
	"  assert(req.labels.x == nil and #req.labels == 0 and req.project == req.project)\n"
	"  assert(node.labels.zone == 'a' or node.labels.zone == 'b')\n"
	"  assert(node.name:sub(1, 1) == 'n' and node.engine.cpus == 4 and not node.drained)\n"
	"  assert(not pcall(function() node.memory = 1 end) and not pcall(function() req.x = 1 end))\n"
	"  assert(not pcall(function() return #node end) and not pcall(function() return node[1] end))\n"
	"  assert(getmetatable(node) == false and type(node) == 'userdata')\n"
	"  local ok, why = pcall(function() return node.memori end)\n"
	"  assert(not ok and why:find('did you mean \"memory\"', 1, true), why)\n"
	"  local seen = 0\n"
	"  for key, value in pairs(node) do if value == node[key] then seen = seen + 1 end end\n"
	"  assert(seen >= 10, seen)\n"
	"  return (node.memory - node.memory_free) / (1 << 20) + node.instances / 1000 end }";

static void is_best(struct script_set *set, size_t count, const char *name, const char *what)
{
	struct trial trial;

	place(&trial, set, count);
	is_str(trial.code == 0 ? trial.chosen->name : trial.err.text, name, "%s", what);
	trial_end(&trial);
}

static void test_changes(void)
{
	struct script_set *set = policy_one(reading);
	struct script_budget small = SCRIPT_BUDGET_DEFAULT;

	make_nodes(200);
	is_best(set, 200, "n199", "all the same: the one with the most instances");
	is_best(set, 200, "n199", "again, with facts that are kept");
	nodes[7].memory_promised_bytes = 1 << 30;
	is_best(set, 200, "n007", "a node has changed");
	nodes[7].memory_promised_bytes = 1 << 20;
	is_best(set, 200, "n199", "and again");
	nodes[3].instances = 1 << 20;
	list[3] = &nodes[4];
	list[4] = &nodes[3];
	is_best(set, 200, "n003", "another place in the list");
	is_best(set, 3, "n002", "fewer nodes");
	is_best(set, 200, "n003", "more of them");
	script_set_free(set);

	policy_write("p.lua", reading);
	small.memory_bytes = 512 << 10;
	small.time_ms = 10000;
	set = policy_load_budget(small);
	policy_remove("p.lua");
	make_nodes(200);
	is_best(set, 200, "n199", "more nodes than may be kept");
	nodes[150].instances = 1 << 20;
	nodes[20].instances = 1 << 19;
	is_best(set, 200, "n150", "one that is not kept");
	nodes[150].instances = 0;
	is_best(set, 200, "n020", "one that is");
	script_set_free(set);
}

/* Wherever a script may hold a fact: it is dead in the next placement, and of use in this one. */
static void test_held(void)
{
	static const char *const holders[] = {
		"local kept local function hold(n) kept = kept or n return kept end",
		"local t = {} local function hold(n) t.deep = t.deep or {n} return t.deep[1] end",
		"local t = {} local function hold(n) if not next(t) then t[n] = 1 end return (next(t)) end",
		"t = {} local function hold(n) t[1] = t[1] or n return t[1] end",
		"local get local function hold(n) get = get or function() return n end return get() end",
		"local co local function hold(n) co = co or coroutine.wrap(function() while true do "
		"coroutine.yield(n) end end) return co() end",
		"local it, s, k local function hold(n) if not it then it, s, k = pairs(n) end "
		"it(s, k) return n end",
		"local p = {} local function hold(n) p.hold = p.hold or setmetatable({}, {__index = n}) "
		"return p.hold.cpus and n end",
	};

	make_nodes(100);
	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
		char *source =
			xasprintf("%s\nreturn { on_error = 'deny', score = function(req, node)\n"
				  "  local kept = hold(node)\n"
				  "  return kept.memory - kept.memory_free end }",
				  holders[i]);
		struct script_set *set = policy_one(source);
		struct trial trial;

		place(&trial, set, 100);
		is_int(trial.code, 0, "holder %zu: good for a placement: %s", i,
		       trial.code ? trial.err.text : "");
		trial_end(&trial);
		for (int again = 0; again < 2; again++) {
			place(&trial, set, 100);
			is_int(trial.code, -EACCES, "holder %zu: fails in the next", i);
			like(trial.err.text, "facts live only while", "holder %zu: it is dead", i);
			trial_end(&trial);
		}
		script_set_free(set);
		free(source);
	}
}

/* --- without a count ------------------------------------------------------------------------------- */

/* A call in the middle of many short ones: what it may use does not depend on when the alarm rings. */
static void test_budget(void)
{
	static const int lengths[] = {400000, 700000, 990000, 1010000, 1200000, 1490000};
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;

	budget.time_ms = 60000;
	make_nodes(200);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		bool over = lengths[i] > budget.instructions;
		char *source = xasprintf("return { filter = function(req, node)\n"
					 "  if node.instances == 90 then\n"
					 "    local r = math.random(1000000)\n"
					 "    for i = 1, %d do end\n"
					 "    return false, 'r is ' .. r end\n"
					 "  return true end }",
					 lengths[i]);
		struct script_set *set;
		char first[64] = "";
		int same = 0;

		policy_write("p.lua", source);
		set = policy_load_budget(budget);
		policy_remove("p.lua");
		for (int run = 0; run < 10; run++) {
			struct trial trial;
			const struct script_record *record;

			place(&trial, set, 200);
			record = policy_record(&trial.decision, "p", "filter", NULL);
			if (run == 0) {
				snprintf(first, sizeof(first), "%s", record->reason);
				like(first, over ? "over its budget of 1000000 instr" : "r is ",
				     "%d instructions: %s", lengths[i], over ? "too many" : "fine");
				is_int(record->line, over ? 4 : 5, "the line");
			}
			same += strncmp(first, record->reason, sizeof(first) - 1) == 0;
			trial_end(&trial);
		}
		is_int(same, 10, "%d instructions: always so, with the same random number",
		       lengths[i]);
		script_set_free(set);
		free(source);
	}
}

/* An error of the script in a call that is in doubt; the nodes behind it are asked. */
static void test_error(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct script_set *set;
	struct trial trial;

	budget.time_ms = 60000;
	make_nodes(200);
	policy_write("p.lua",
		     "return { filter = function(req, node)\n"
		     "  if node.instances == 90 then for i = 1, 900000 do end error('bad') end\n"
		     "  return true end }");
	set = policy_load_budget(budget);
	policy_remove("p.lua");
	place(&trial, set, 200);
	is_str(policy_record(&trial.decision, "p", "filter", NULL)->reason, "bad", "an error");
	is_int(policy_record(&trial.decision, "p", "filter", NULL)->line, 2, "its line");
	is_str(policy_record(&trial.decision, "p", "filter", "n090")->answer,
	       "{\"count\":1,\"nodes\":[\"n090\"]}", "it is told once");
	ok(trial.decision.count >= 2 && trial.decision.records[1].answer &&
		   strcmp(trial.decision.records[1].answer, "{\"count\":199}") == 0,
	   "all others pass");
	trial_end_set(&trial);
}

int main(void)
{
	policy_start();
	test_changes();
	test_held();
	test_budget();
	test_error();
	policy_stop();
	done_testing();
	return tap_end();
}
