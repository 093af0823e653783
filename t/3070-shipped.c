/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped policies do what they say; the settings example and the guide's policy are valid. */
#include "base/str.h"
#include "model/settings.h"
#include "policy.h"

static struct script_set *load_path(const char *path)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct script_set *set;
	struct gantry_error err;

	if (script_set_load(path, &budget, &set, &err) < 0)
		bail_out("%s", err.text);
	return set;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	struct str text = STR_INIT;
	char part[4096];
	size_t got;

	if (!file)
		bail_out("cannot read %s", path);
	while ((got = fread(part, 1, sizeof(part), file)) > 0)
		str_add_bytes(&text, part, got);
	fclose(file);
	return str_take(&text);
}

/* --- defaults, environment ------------------------------------------------------------------------- */

static void test_defaults(struct script_set *set)
{
	struct trial trial;

	trial_begin(&trial, set, "{\"image\":\"a\"}");
	trial_resources(&trial);
	is_int(trial.code, 0, "defaults");
	is_int(trial.spec.memory_bytes, 512 << 20, "memory");
	is_int(trial.spec.nano_cpus, 1000000000, "cpus");
	is_int(trial.spec.pids, 512, "pids");
	is_int(policy_record(&trial.decision, "defaults", "resources", "pids")->line, 32,
	       "with a line");
	trial_end(&trial);

	trial_begin(&trial, set, "{\"image\":\"a\",\"memory\":\"64MiB\",\"cpus\":0.5,\"pids\":9}");
	trial_resources(&trial);
	ok(trial.spec.memory_bytes == 64 << 20 && trial.spec.nano_cpus == 500000000 &&
		   trial.spec.pids == 9,
	   "what the request says stays");
	is_str(trial.decision.records[0].outcome, "none", "and nothing is recorded as set");
	trial_end(&trial);

	trial_begin(&trial, set, "{\"image\":\"a\",\"memory_swap\":\"100MiB\"}");
	trial_resources(&trial);
	is_int(trial.spec.memory_bytes, 100 << 20, "memory is not above memory and swap");
	trial_end(&trial);
}

static const char *value_of(const struct trial *trial, const char *name)
{
	for (size_t i = 0; i < trial->spec.environment.count; i++)
		if (str_equal(trial->spec.environment.items[i].name, name))
			return trial->spec.environment.items[i].value;
	return NULL;
}

static void test_environment(struct script_set *set)
{
	struct trial trial;

	trial_begin(
		&trial, set,
		"{\"image\":\"a\",\"name\":\"web\",\"project\":\"blue\",\"environment\":[\"TZ=CET\"]}");
	is_int(script_environment(set, &trial.request, &trial.arena, &trial.spec, &trial.decision,
				  &trial.err),
	       0, "environment");
	is_str(value_of(&trial, "GANTRY_INSTANCE"), "web", "the instance's name");
	is_str(value_of(&trial, "GANTRY_PROJECT"), "blue", "the project");
	is_str(value_of(&trial, "TZ"), "CET", "what the request sets stays");
	trial_end(&trial);
	trial_begin(&trial, set, "{\"image\":\"a\",\"name\":\"web\"}");
	script_environment(set, &trial.request, &trial.arena, &trial.spec, &trial.decision,
			   &trial.err);
	is_str(value_of(&trial, "TZ"), "UTC", "the default");
	trial_end(&trial);
}

/* --- unsafe ---------------------------------------------------------------------------------------- */

static void expect_admit(struct script_set *set, const char *verb, const char *spec,
			 const char *refused)
{
	struct trial trial;

	trial_begin(&trial, set, spec);
	trial.request.verb = verb;
	trial.code = script_admit(set, &trial.request, &trial.decision, &trial.err);
	if (refused) {
		is_int(trial.code, -EACCES, "%s %s: refused", verb, spec);
		like(trial.err.text, refused, "%s %s: says what", verb, spec);
		like(trial.err.text, "unsafe.lua:", "%s %s: and where", verb, spec);
	} else {
		is_int(trial.code, 0, "%s %s: allowed", verb, spec);
	}
	trial_end(&trial);
}

static void test_unsafe(struct script_set *set)
{
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"mounts\":[\"data:/data\",\"tmpfs:/tmp\"],\"network\":"
		     "\"none\"}",
		     NULL);
	expect_admit(set, "spawn", "{\"image\":\"a\",\"mounts\":[\"/etc:/mnt\"]}",
		     "mounts: bind /etc rw is not allowed in project default");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"mounts\":[\"/srv:/mnt:ro\"]}",
		     "mounts: bind /srv ro");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"network\":\"host\"}", "network: host");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"network\":\"container:x\"}",
		     "network: container:x");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"cap_add\":[\"cap_sys_admin\"]}",
		     "cap_add: SYS_ADMIN");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"devices\":[\"/dev/kvm\"]}",
		     "devices: /dev/kvm");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"sysctls\":{\"kernel.msgmax\":\"1\"}}",
		     "sysctls: kernel.msgmax");
	expect_admit(set, "stop", "{\"image\":\"a\",\"network\":\"host\"}", NULL);
}

/* The policy with the examples in its tables taken out of their comments. */
static void test_unsafe_allow(void)
{
	char *text = read_file("scripts/policies/30-unsafe.lua"), *comment;
	struct script_set *set;
	int found = 0;

	while ((comment = strstr(text, "\t-- \"")) || (comment = strstr(text, "\t-- blue"))) {
		memset(comment, ' ', 4);
		found++;
	}
	is_int(found, 2, "two examples are in it");
	policy_write("30-unsafe.lua", text);
	free(text);
	set = policy_load_set();
	policy_remove("30-unsafe.lua");
	expect_admit(set, "spawn", "{\"image\":\"a\",\"cap_add\":[\"NET_BIND_SERVICE\"]}", NULL);
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"cap_add\":[\"NET_BIND_SERVICE\",\"NET_ADMIN\"]}",
		     "NET_ADMIN");
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"project\":\"blue\",\"mounts\":[\"/srv/blue/x:/x\"]}",
		     NULL);
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"project\":\"blue\",\"mounts\":[\"/srv/bluex:/x\"]}",
		     "/srv/bluex");
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"project\":\"blue\",\"devices\":[\"/dev/kvm\"]}", NULL);
	expect_admit(set, "spawn",
		     "{\"image\":\"a\",\"project\":\"red\",\"devices\":[\"/dev/kvm\"]}",
		     "/dev/kvm is not allowed in project red");
	script_set_free(set);
}

/* --- placement ------------------------------------------------------------------------------------- */

static struct gantry_pair pairs[2] = {{"zone", "a"}, {"zone", "b"}};
static struct gantry_pairs zone_a = {&pairs[0], 1}, zone_b = {&pairs[1], 1};

static void make_nodes(struct node *nodes, struct node **list, size_t count)
{
	static char names[8][8];

	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		nodes[i] = (struct node){.name = names[i],
					 .labels = i % 2 ? &zone_b : &zone_a,
					 .state = NODE_UP,
					 .memory_bytes = 8LL << 30,
					 .nano_cpus = 4000000000};
		list[i] = &nodes[i];
	}
}

/* Places count instances, each promised at once; the largest and smallest number on a node. */
static void fill(struct script_set *set, struct node **list, size_t nodes, int count,
		 int64_t *ret_most, int64_t *ret_least)
{
	for (int i = 0; i < count; i++) {
		struct node *chosen;
		struct trial trial;

		trial_begin(&trial, set, "{\"image\":\"a\",\"memory\":\"64MiB\",\"cpus\":0.1}");
		if (script_place(set, &trial.request, list, nodes, &chosen, &trial.decision,
				 &trial.err) < 0)
			bail_out("%s", trial.err.text);
		chosen->instances++;
		chosen->memory_promised_bytes += 64 << 20;
		chosen->nano_cpus_promised += 100000000;
		trial_end(&trial);
	}
	*ret_most = *ret_least = list[0]->instances;
	for (size_t i = 1; i < nodes; i++) {
		*ret_most = list[i]->instances > *ret_most ? list[i]->instances : *ret_most;
		*ret_least = list[i]->instances < *ret_least ? list[i]->instances : *ret_least;
	}
}

static void test_spread(struct script_set *set)
{
	struct node nodes[8], *list[8], *chosen;
	int64_t most, least;
	struct trial trial;

	make_nodes(nodes, list, 8);
	fill(set, list, 8, 300, &most, &least);
	ok(most - least <= 1, "300 over 8 equal nodes: %lld to %lld each", (long long)least,
	   (long long)most);

	make_nodes(nodes, list, 2);
	trial_begin(&trial, set,
		    "{\"image\":\"a\",\"labels\":{\"node.zone\":\"b\",\"other\":\"x\"}}");
	script_place(set, &trial.request, list, 2, &chosen, &trial.decision, &trial.err);
	is_str(chosen->name, "n1", "the node with the label that is wanted");
	is_str(policy_record(&trial.decision, "spread", "filter", "n0")->reason,
	       "label zone is a, b is wanted", "the other is told why not");
	trial_end(&trial);

	nodes[0].memory_promised_bytes = (8LL << 30) - (100 << 20);
	nodes[1].memory_bytes = 512 << 20;
	trial_begin(&trial, set, "{\"image\":\"a\",\"memory\":\"1GiB\"}");
	trial.code =
		script_place(set, &trial.request, list, 2, &chosen, &trial.decision, &trial.err);
	is_int(trial.code, -EACCES, "no room");
	is_str(trial.err.text,
	       "no node is left of 2: 1 for memory: 1GiB is wanted, 100MiB is free (40-spread.lua:30); "
	       "1 for memory: 1GiB is wanted, 512MiB is free (40-spread.lua:30)",
	       "the error sums up");
	trial_end(&trial);
	nodes[1].memory_bytes = 0;
	trial_begin(&trial, set, "{\"image\":\"a\",\"memory\":\"1GiB\"}");
	trial.code =
		script_place(set, &trial.request, list, 2, &chosen, &trial.decision, &trial.err);
	is_str(trial.code == 0 ? chosen->name : trial.err.text, "n1",
	       "a node that has not told its size");
	trial_end(&trial);
}

static void test_binpack(void)
{
	struct script_set *set = load_path("scripts/examples/binpack.lua");
	struct node nodes[4], *list[4];
	int64_t most, least;

	make_nodes(nodes, list, 4);
	fill(set, list, 4, 20, &most, &least);
	is_int(most, 20, "binpack: all on one node");
	script_set_free(set);
}

/* --- settings and guide ---------------------------------------------------------------------------- */

static void test_settings(void)
{
	struct json_object *values;
	struct script_lines *lines;
	struct settings settings;
	struct gantry_error err;
	int code = script_settings_read("scripts/gantry.lua", &values, &lines, &err);

	is_int(code, 0, "scripts/gantry.lua is read: %s", code ? err.text : "fine");
	if (code < 0)
		return;
	code = settings_parse(values, &settings, &err);
	is_int(code, 0, "and is valid: %s %s", code ? err.field : "", code ? err.text : "");
	if (code == 0) {
		is_int(settings.node_count, 1, "one node");
		settings_fini(&settings);
	}
	json_object_put(values);
	script_lines_free(lines);
}

static void test_guide(void)
{
	char *text = read_file("scripts/README.md"), *code = strstr(text, "```lua\n"), *close;
	struct script_set *set;
	struct trial trial;

	for (int i = 0; code && i < 2; i++) /* the first two are shadows */
		code = strstr(code + 7, "```lua\n");
	ok(code, "the guide has a policy");
	close = code ? strstr(code + 7, "```") : NULL;
	if (!close)
		bail_out("no policy in scripts/README.md");
	*close = '\0';
	set = policy_one(code + 7);
	trial_begin(&trial, set, "{\"image\":\"debian:12\"}");
	is_int(script_admit(set, &trial.request, &trial.decision, &trial.err), -EACCES,
	       "it refuses");
	like(trial.err.text, "image debian:12 is not from registry.example.org", "as it says");
	trial_end(&trial);
	trial_begin(&trial, set, "{\"image\":\"registry.example.org/web:1\"}");
	is_int(script_admit(set, &trial.request, &trial.decision, &trial.err), 0, "and allows");
	trial_end(&trial);
	script_set_free(set);
	free(text);
}

int main(void)
{
	struct script_set *set = load_path("scripts/policies");

	policy_start();
	test_defaults(set);
	test_environment(set);
	test_unsafe(set);
	test_unsafe_allow();
	test_spread(set);
	script_set_free(set);
	test_binpack();
	test_settings();
	test_guide();
	policy_stop();
	done_testing();
	return tap_end();
}
