/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox costs: the same Lua functions asked by gantryd (facts, checks, records included)
 * and called from C in a plain state with plain tables, in turn. `policy [ROUNDS]`.
 *
 *	values  environment + resources: microseconds more than plain
 *	place   filter + score over 1,000 nodes: times plain
 *	load    50 policies, milliseconds
 */
#include "base/clock.h"
#include "base/str.h"
#include "model/spec.h"
#include "script/script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NODES 1000

static const char source[] =
	"return {\n"
	"  environment = function(req, env)\n"
	"    local answer = { GANTRY_INSTANCE = req.name, GANTRY_PROJECT = req.project }\n"
	"    if env.TZ == nil then answer.TZ = 'UTC' end\n"
	"    return answer\n"
	"  end,\n"
	"  resources = function(req, res)\n"
	"    local answer = {}\n"
	"    if not res.memory then answer.memory = '512MiB' end\n"
	"    if not res.cpus then answer.cpus = 1 end\n"
	"    if not res.pids then answer.pids = 512 end\n"
	"    return answer\n"
	"  end,\n"
	"  filter = function(req, node)\n"
	"    if req.memory and node.memory_free < req.memory then\n"
	"      return false, 'memory'\n"
	"    end\n"
	"    return true\n"
	"  end,\n"
	"  score = function(req, node)\n"
	"    return 100 * (node.memory_free - req.memory) / node.memory - node.instances\n"
	"  end,\n"
	"}\n";

static struct node nodes[NODES], *list[NODES];
static struct gantry_pairs no_labels;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(values[0]), compare);
	return values[count / 2];
}

/* --- plain ----------------------------------------------------------------------------------------- */

static lua_State *plain;

static void set_integer(const char *name, int64_t value)
{
	lua_pushinteger(plain, value);
	lua_setfield(plain, -2, name);
}

/* Globals "hooks", "req", "env", "res" and a list "nodes" of plain tables. */
static void plain_start(void)
{
	plain = luaL_newstate();
	luaL_openlibs(plain);
	if (luaL_dostring(plain, source) != LUA_OK)
		abort();
	lua_setglobal(plain, "hooks");
	if (luaL_dostring(
		    plain,
		    "req = { name = 'web', project = 'blue', memory = 64 << 20 } env = {} res = {}"))
		abort();
	lua_createtable(plain, NODES, 0);
	for (int i = 0; i < NODES; i++) {
		lua_newtable(plain);
		set_integer("memory", nodes[i].memory_bytes);
		set_integer("memory_free", nodes[i].memory_bytes - nodes[i].memory_promised_bytes);
		set_integer("instances", nodes[i].instances);
		lua_rawseti(plain, -2, i + 1);
	}
	lua_setglobal(plain, "nodes");
}

static void plain_call(const char *hook, const char *second)
{
	lua_getglobal(plain, "hooks");
	lua_getfield(plain, -1, hook);
	lua_getglobal(plain, "req");
	lua_getglobal(plain, second);
	if (lua_pcall(plain, 2, 1, 0) != LUA_OK)
		abort();
	lua_settop(plain, 0);
}

static double plain_values(void)
{
	double began_us = now_us();

	plain_call("environment", "env");
	plain_call("resources", "res");
	return now_us() - began_us;
}

static double plain_place(void)
{
	double began_us = now_us(), best = -1e300;
	static const char *const hooks[] = {"filter", "score"};

	for (int k = 0; k < 2; k++) {
		lua_getglobal(plain, "hooks");
		lua_getfield(plain, -1, hooks[k]);
		lua_getglobal(plain, "req");
		lua_getglobal(plain, "nodes");
		for (int i = 1; i <= NODES; i++) {
			lua_pushvalue(plain, 2);
			lua_pushvalue(plain, 3);
			lua_rawgeti(plain, 4, i);
			if (lua_pcall(plain, 2, 1, 0) != LUA_OK)
				abort();
			if (k && lua_tonumber(plain, -1) > best)
				best = lua_tonumber(plain, -1);
			lua_settop(plain, 4);
		}
		lua_settop(plain, 0);
	}
	return now_us() - began_us;
}

/* --- gantry ---------------------------------------------------------------------------------------- */

static double gantry(struct script_set *set, bool place)
{
	struct arena arena = {0};
	struct gantry_spec spec;
	struct gantry_error err;
	struct script_request request = {.verb = "spawn",
					 .actor = "uid:0",
					 .project = "blue",
					 .spec = &spec,
					 .now_ms = 1700000000000,
					 .seed = 1};
	struct script_decision decision;
	struct node *chosen;
	double began_us;

	spec_init(&spec);
	spec.image = "a";
	spec.name = "web";
	spec.project = "blue";
	if (place)
		spec.memory_bytes = 64 << 20;
	script_decision_init(&decision, set, &request, 1);
	began_us = now_us();
	if (place) {
		if (script_place(set, &request, list, NODES, &chosen, &decision, &err) < 0)
			abort();
	} else if (script_environment(set, &request, &arena, &spec, &decision, &err) < 0 ||
		   script_resources(set, &request, &arena, &spec, &decision, &err) < 0) {
		abort();
	}
	began_us = now_us() - began_us;
	script_decision_fini(&decision);
	arena_fini(&arena);
	return began_us;
}

static char folder[64];

static void write_policies(int count)
{
	char path[100];

	snprintf(folder, sizeof(folder), "/tmp/gantry-bench.XXXXXX");
	if (!mkdtemp(folder))
		abort();
	for (int i = 0; i < count; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%02d.lua", folder, i);
		file = fopen(path, "w");
		if (!file)
			abort();
		fputs(source, file); /* each is named after its file */
		fclose(file);
	}
}

static void remove_policies(int count)
{
	char path[100];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%02d.lua", folder, i);
		unlink(path);
	}
	rmdir(folder);
}

static struct script_set *load(double *ret_ms)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct gantry_error err;
	struct script_set *set;
	double began_us = now_us();

	if (script_set_load(folder, &budget, &set, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	*ret_ms = (now_us() - began_us) / 1e3;
	return set;
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 400;
	double *ours = xcalloc(rounds + 1, sizeof(double)),
	       *theirs = xcalloc(rounds + 1, sizeof(double));
	double load_ms, a, b;
	struct script_set *set;

	for (int i = 0; i < NODES; i++) {
		nodes[i] = (struct node){.name = xasprintf("node%d", i),
					 .labels = &no_labels,
					 .state = NODE_UP,
					 .memory_bytes = 64LL << 30,
					 .memory_promised_bytes = (int64_t)i << 20,
					 .instances = i % 50};
		list[i] = &nodes[i];
	}
	write_policies(1);
	set = load(&load_ms);
	remove_policies(1);
	plain_start();
	for (size_t i = 0; i < rounds; i++) {
		theirs[i] = plain_values();
		ours[i] = gantry(set, false);
	}
	a = median(ours, rounds);
	b = median(theirs, rounds);
	printf("values: %.1f us, plain %.1f us, %.1f us more\n", a, b, a - b);
	for (size_t i = 0; i < rounds; i++) {
		theirs[i] = plain_place();
		ours[i] = gantry(set, true);
	}
	a = median(ours, rounds);
	b = median(theirs, rounds);
	printf("place: %.0f us, plain %.0f us, %.2f times\n", a, b, a / b);
	script_set_free(set);
	write_policies(50);
	script_set_free(load(&load_ms));
	remove_policies(50);
	printf("load: 50 policies in %.1f ms\n", load_ms);
	lua_close(plain);
	for (int i = 0; i < NODES; i++)
		free((char *)nodes[i].name);
	free(ours);
	free(theirs);
	return 0;
}
