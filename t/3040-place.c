/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: filter, score, ties, failures, what is recorded. */
#include "base/str.h"
#include "placing.h"

static void test_choice(void)
{
	struct trial trial;

	make_nodes(8);
	place(&trial, policy_one("return {}"), 8);
	is_str(trial.chosen->name, "n000", "no policy: fewest instances");
	is_str(trial.decision.node, "n000", "the decision has it");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { score = function(req, node) return node.memory_free end }"), 8);
	is_str(trial.chosen->name, "n007", "the highest score wins");
	like(policy_record(&trial.decision, "gantry", "score", "n007")->answer,
	     "{\"count\":8,\"top\":[{\"node\":\"n007\",\"score\":8053063680,\"instances\":7,\"version\":107},"
	     "{\"node\":\"n006\"",
	     "top scores and versions are recorded");
	trial_end_set(&trial);

	nodes[3].instances = nodes[5].instances = 0;
	nodes[0].instances = 1;
	place(&trial, policy_one("return { score = function() return 1 end }"), 8);
	is_str(trial.chosen->name, "n003", "ties: fewer instances, then the name");
	trial_end_set(&trial);

	policy_write(
		"a.lua",
		"return { score = function(req, node) return node.name == 'n001' and 5 or 0 end }");
	policy_write(
		"b.lua",
		"return { score = function(req, node) if node.name == 'n002' then return 7 end end }");
	policy_write(
		"c.lua",
		"return { score = function(req, node) return node.name == 'n001' and 3 or 0 end }");
	policy_write(
		"d.lua",
		"return { mode = 'shadow', score = function(req, node) return node.name == 'n006' "
		"and 99 or 0 end, filter = function() return false, 'shadow' end }");
	place(&trial, policy_load_set(), 8);
	is_str(trial.chosen->name, "n001", "scores add up, the shadow's do not");
	ok(policy_record(&trial.decision, "d", "filter", NULL)->shadow, "the shadow was asked");
	trial_end_set(&trial);
	policy_remove("a.lua");
	policy_remove("b.lua");
	policy_remove("c.lua");
	policy_remove("d.lua");
}

static void test_filter(void)
{
	const struct script_record *record;
	struct trial trial;

	make_nodes(8);
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  if node.labels.zone ~= 'b' then\n"
			 "    return false, 'wrong zone'\n"
			 "  end\n"
			 "  if node.memory_free < 4 * req.memory then return false, 'memory' end\n"
			 "  return true\n"
			 "end }"),
	      8);
	is_str(trial.chosen->name, "n005", "filtered");
	record = policy_record(&trial.decision, "p", "filter", NULL);
	is_str(record->outcome, "deny", "a group of refusals");
	is_str(record->reason, "wrong zone", "its reason");
	is_int(record->line, 3, "its line");
	is_str(record->answer, "{\"count\":4,\"nodes\":[\"n000\",\"n002\",\"n004\",\"n006\"]}",
	       "its count and nodes");
	is_int(trial.decision.records[1].line, 5, "the other's line");
	is_str(trial.decision.records[2].outcome, "allow", "what passed");
	is_str(trial.decision.records[2].answer, "{\"count\":2}", "is counted");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  if node.labels.zone == 'a' then return false, 'zone a' end\n"
			 "  return false\nend }"),
	      3);
	is_int(trial.code, -EACCES, "no node is left");
	is_str(trial.err.text,
	       "no node is left of 3: 2 for zone a (p.lua:2); 1 for no reason given (p.lua:3)",
	       "the reasons are summed up");
	is_int(trial.err.decision, TRIAL_DECISION, "with the decision");
	ok(!trial.decision.allowed && !trial.decision.node, "the decision is no");
	trial_end_set(&trial);

	place(&trial, policy_one("return {}"), 0);
	is_int(trial.code, -EACCES, "no nodes at all");
	like(trial.err.text, "no node is up", "says so");
	trial_end_set(&trial);
}

static void test_many(void)
{
	const struct script_record *record;
	struct trial trial;
	size_t count = slowness() > 20 ? 200 : NODES_MAX;

	make_nodes(count);
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  return false, 'needs 64, has ' .. node.instances\nend }"),
	      count);
	is_int(trial.code, -EACCES, "each node with a reason of its own");
	ok(trial.decision.count <= 20, "few records: %zu", trial.decision.count);
	record = policy_record(&trial.decision, "p", "filter", NULL);
	is_int(record->line, 2, "the line is known");
	trial_end_set(&trial);

	/* the line costs a hook at each return: it is looked for until it is known */
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  if node.instances == 150 then\n"
			 "    return false, 'one of many' end\n"
			 "  if node.instances > 160 then return false,\n"
			 "    'more' end\n"
			 "  return true\nend }"),
	      count);
	is_int(trial.code, 0, "some are left");
	record = policy_record(&trial.decision, "p", "filter", "n150");
	is_str(record->reason, "one of many", "a single refusal has its node");
	record = &trial.decision.records[1];
	is_str(record->reason, "more", "many");
	is_int(record->line, 4, "have their line");
	trial_end_set(&trial);
}

static void test_failures(void)
{
	const struct script_record *record;
	struct trial trial;
	double began_ms;

	make_nodes(8);
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  if node.name ~= 'n004' then error('oh') end\n"
			 "  return true end }"),
	      8);
	is_str(trial.chosen->name, "n004", "a filter that fails refuses the node");
	record = policy_record(&trial.decision, "p", "filter", NULL);
	is_str(record->outcome, "error", "recorded as an error");
	is_str(record->answer,
	       "{\"count\":7,\"nodes\":[\"n000\",\"n001\",\"n002\",\"n003\",\"n005\",\"n006\",\"n007\"]}",
	       "of seven nodes");
	is_int(record->line, 2, "with its line");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { on_error = 'skip', filter = function(req, node)\n"
			 "  if node.name == 'n000' then error('oh') end\n"
			 "  return node.name == 'n000', 'no' end }"),
	      8);
	is_str(trial.chosen->name, "n000", "unless it says skip");
	trial_end_set(&trial);

	began_ms = cpu_ms();
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  while true do end end }"),
	      8);
	is_int(trial.code, -EACCES, "a filter that loops");
	ok(cpu_ms() - began_ms < 150 * slowness(), "is asked once");
	like(trial.err.text, "8 for over its budget of 1000000 instructions (p.lua:2)",
	     "and refuses all nodes");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { score = function(req, node)\n"
			 "  if node.instances > 3 then while true do end end return 100 end }"),
	      8);
	is_int(trial.code, 0, "a score that loops is skipped");
	is_str(trial.chosen->name, "n000", "and none of its scores counts");
	record = policy_record(&trial.decision, "p", "score", NULL);
	is_str(record->outcome, "error", "which is recorded");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { score = function(req, node)\n"
			 "  return node.instances == 3 and 0/0 or node.instances end }"),
	      8);
	is_str(trial.chosen->name, "n007", "a score that is no number is none");
	like(policy_record(&trial.decision, "p", "score", NULL)->reason, "finite number",
	     "recorded");
	trial_end_set(&trial);

	place(&trial,
	      policy_one("return { on_error = 'deny', score = function(req, node)\n"
			 "  return 'much' end }"),
	      8);
	is_int(trial.code, -EACCES, "a score that fails and says deny");
	like(trial.err.text, "policy p fails and so refuses: the answer must be a number",
	     "refuses");
	trial_end_set(&trial);
}

/* One stage has one budget of time, however many nodes there are. */
static void test_time(void)
{
	struct script_set *set;
	struct trial trial;
	double began_ms, took_ms;

	make_nodes(200);
	policy_write("p.lua", "return { filter = function(req, node)\n"
			      "  for i = 1, 90000 do local x = i end return true end }");
	set = policy_load_budget(SCRIPT_BUDGET_DEFAULT);
	policy_remove("p.lua");
	began_ms = cpu_ms();
	place(&trial, set, 200);
	took_ms = cpu_ms() - began_ms;
	ok(took_ms < 150 * slowness(), "200 slow answers take %.0f ms", took_ms);
	is_str(policy_record(&trial.decision, "p", "filter", NULL)->outcome, "error",
	       "they are not all asked");
	like(policy_record(&trial.decision, "p", "filter", NULL)->reason, "50 ms", "for the time");
	trial_end_set(&trial);
}

/* A node's fact is good for the whole placement and dead in the next. */
static void test_facts(void)
{
	struct trial trial;
	struct script_set *set = policy_one(
		"local kept\nreturn { on_error = 'deny',\n"
		"filter = function(req, node)\n"
		"  if not kept then kept = node end\n"
		"  return kept.name == 'n000' and node.engine.storage_driver == 'overlay2' and\n"
		"    node.cpus_free == 2.5 and node.state == 'up' end,\n"
		"score = function(req, node) return kept == node and 5 or 1 end }");

	make_nodes(4);
	place(&trial, set, 4);
	is_int(trial.code, 0, "within a placement: %s", trial.code ? trial.err.text : "fine");
	is_str(trial.chosen ? trial.chosen->name : NULL, "n000",
	       "filter and score see the same fact");
	script_decision_fini(&trial.decision);
	arena_fini(&trial.arena);
	place(&trial, set, 4);
	is_int(trial.code, -EACCES, "in the next one");
	like(trial.err.text, "facts live only while", "it is dead");
	trial_end_set(&trial);
}

/* What instances on a node carry. */
static void test_labels(void)
{
	static struct gantry_pair web[] = {{"app", "web"}};
	const struct gantry_pairs labels_of_web = {web, 1};
	struct trial trial;

	make_nodes(4);
	label_counts_add(&nodes[2].label_counts, "default", &labels_of_web, 1);
	label_counts_add(&nodes[2].label_counts, "default", &labels_of_web, 1);
	label_counts_add(&nodes[3].label_counts, "red", &labels_of_web, 1);
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  return gantry.count(node, 'app', 'web', req.project) == 2 and\n"
			 "    gantry.count(node, 'app', 'db') == 0 end }"),
	      4);
	is_str(trial.chosen ? trial.chosen->name : NULL, "n002", "of one project");
	trial_end_set(&trial);
	place(&trial,
	      policy_one("return { filter = function(req, node)\n"
			 "  return gantry.count(node, 'app', 'web') == 1 end }"),
	      4);
	is_str(trial.chosen ? trial.chosen->name : NULL, "n003", "of all projects");
	trial_end_set(&trial);
	for (int i = 0; i < 4; i++)
		label_counts_fini(&nodes[i].label_counts);
}

int main(void)
{
	policy_start();
	test_choice();
	test_filter();
	test_many();
	test_failures();
	test_time();
	test_facts();
	test_labels();
	policy_stop();
	done_testing();
	return tap_end();
}
