/* SPDX-License-Identifier: Apache-2.0 */
/* A placement told whole: each policy's answer for each node, the same as were recorded. */
#include "base/str.h"
#include "policy.h"

#define NODES 4

static struct node nodes[NODES], *list[NODES];
static char names[NODES][8];

static void make_nodes(void)
{
	for (int i = 0; i < NODES; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		nodes[i] = (struct node){.name = names[i],
					 .state = NODE_UP,
					 .memory_bytes = (int64_t)(i + 1) << 30,
					 .instances = i,
					 .version = 10 + i};
		list[i] = &nodes[i];
	}
}

struct retold {
	struct arena arena;
	struct gantry_spec spec;
	struct script_request request;
	struct script_decision decision, again;
	struct node *chosen;
	struct gantry_error err;
	struct json_object *rows;
	int code;
};

static void run(struct retold *trial, struct script_set *set)
{
	*trial = (struct retold){0};
	policy_spec("{\"image\":\"a\",\"memory\":\"1GiB\"}", &trial->arena, &trial->spec);
	trial->request = policy_request(&trial->spec, &trial->arena);
	script_decision_init(&trial->decision, set, &trial->request, 5);
	trial->code = script_place(set, &trial->request, list, NODES, &trial->chosen,
				   &trial->decision, &trial->err);
	script_decision_init(&trial->again, set, &trial->request, 5);
	trial->rows = script_matrix(set, &trial->request, list, NODES, &trial->again);
}

static void end(struct retold *trial, struct script_set *set)
{
	json_object_put(trial->rows);
	script_decision_fini(&trial->decision);
	script_decision_fini(&trial->again);
	arena_fini(&trial->arena);
	script_set_free(set);
}

static const char *cell(const struct retold *trial, size_t node, size_t answer)
{
	struct json_object *row = json_object_array_get_idx(trial->rows, node);
	struct json_object *value = json_object_array_get_idx(json_get(row, "answers"), answer);

	return value ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN) : NULL;
}

static struct json_object *row(const struct retold *trial, size_t node)
{
	return json_object_array_get_idx(trial->rows, node);
}

static bool same(const struct retold *trial)
{
	return script_decision_hash(&trial->decision, 0) == script_decision_hash(&trial->again, 0);
}

static void test_whole(void)
{
	struct script_set *set;
	struct retold trial;

	make_nodes();
	policy_write("a.lua", "return { filter = function(req, node)\n"
			      "  if node.memory < 2 * req.memory then\n"
			      "    return false, 'has ' .. gantry.size_text(node.memory)\n  end\n"
			      "  if node.name ~= 'n3' then return true end end,\n"
			      "score = function(req, node) return node.instances end }");
	policy_write("b.lua",
		     "return { mode = 'shadow', filter = function(req, node)\n"
		     "  return node.name ~= 'n1', 'shadow' end, score = function(req, node)\n"
		     "  if node.name == 'n2' then error('oh') end end }");
	set = policy_load_set();
	policy_remove("a.lua");
	policy_remove("b.lua");
	run(&trial, set);
	is_str(trial.chosen->name, "n3", "chosen");
	is_str(trial.again.node, "n3", "again");
	ok(same(&trial), "all was answered as before");
	is_int((long long)json_object_array_length(trial.rows), NODES, "a row a node");
	is_str(cell(&trial, 0, 0),
	       "{\"policy\":\"a\",\"file\":\"a.lua\",\"hook\":\"filter\",\"outcome\":\"deny\",\"reason\":\"has "
	       "1GiB\",\"line\":3}",
	       "a refusal with reason, file and line");
	is_str(cell(&trial, 0, 1), NULL, "who is out is not asked for any more");
	ok(json_get_bool(row(&trial, 0), "refused", false) && !json_get(row(&trial, 0), "score"),
	   "and has no score");
	is_str(cell(&trial, 1, 0),
	       "{\"policy\":\"a\",\"file\":\"a.lua\",\"hook\":\"filter\",\"outcome\":\"allow\"}",
	       "what passed");
	like(cell(&trial, 1, 1), "\"shadow\":true,\"outcome\":\"deny\",\"reason\":\"shadow\"",
	     "a shadow's refusal is told");
	ok(!json_get_bool(row(&trial, 1), "refused", true), "and refuses nothing");
	like(cell(&trial, 3, 0), "\"outcome\":\"none\"", "no opinion");
	like(cell(&trial, 2, 2),
	     "\"policy\":\"a\",\"file\":\"a.lua\",\"hook\":\"score\",\"outcome\":"
	     "\"score\",\"score\":2",
	     "a score");
	like(cell(&trial, 2, 3), "\"outcome\":\"error\",\"reason\":\"oh\"", "a failure");
	is_int((int)json_object_get_double(json_get(row(&trial, 3), "score")), 3, "the sum");
	is_int(json_get_int(row(&trial, 3), "memory_bytes", 0), 4LL << 30, "the node's values");
	is_int(json_get_int(row(&trial, 3), "version", 0), 13, "and version");
	end(&trial, set);
}

static void test_differs(void)
{
	struct script_set *set;
	struct retold trial;

	make_nodes();
	set = policy_one("local n = 0 return { score = function(req, node) n = n + 1\n"
			 "  return node.name == 'n' .. n // 4 and 1 or 0 end }");
	run(&trial, set);
	ok(!same(&trial), "a policy that keeps something in its variables is found out");
	end(&trial, set);

	set = policy_one("return { filter = function(req, node) return false, node.name end }");
	run(&trial, set);
	is_int(trial.code, -EACCES, "where all are refused");
	ok(same(&trial) && !trial.again.node, "the same again");
	like(cell(&trial, 3, 0), "\"reason\":\"n3\"", "each with its own reason");
	end(&trial, set);

	set = policy_one("return { score = function(req, node)\n"
			 "  if node.name == 'n2' then while true do end end return 5 end }");
	run(&trial, set);
	ok(same(&trial), "a policy over its budget of instructions is so again");
	like(cell(&trial, 0, 0), "\"outcome\":\"none\",\"reason\":\"does not count",
	     "and none of its scores counts");
	is_int((int)json_object_get_double(json_get(row(&trial, 0), "score")), 0,
	       "not in the sum either");
	end(&trial, set);
}

int main(void)
{
	policy_start();
	test_whole();
	test_differs();
	policy_stop();
	done_testing();
	return tap_end();
}
