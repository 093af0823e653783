/* SPDX-License-Identifier: Apache-2.0 */
/* What projects have, which labels a node carries, and how nodes were a while ago. */
#include "model/fleet.h"
#include "base/str.h"
#include "tap.h"

static struct gantry_pair web[] = {{"app", "web"}, {"tier", "front"}}, db[] = {{"app", "db"}};

static void set_spec(struct gantry_spec *spec, const char *project, struct gantry_pair *labels,
		     size_t count, int64_t memory_bytes)
{
	*spec = (struct gantry_spec){.project = (char *)project,
				     .name = (char *)project,
				     .labels = {labels, count},
				     .memory_bytes = memory_bytes,
				     .nano_cpus = 500000000};
}

static void test_labels(void)
{
	const struct gantry_pairs two = {web, 2}, one = {db, 1};
	struct label_counts counts = {0}, copy;
	char name[16];

	is_int(label_counts_get(&counts, NULL, "app", "web"), 0, "an empty one");
	label_counts_add(&counts, "blue", &two, 1);
	label_counts_add(&counts, "red", &two, 1);
	label_counts_add(&counts, "blue", &one, 1);
	is_int(label_counts_get(&counts, NULL, "app", "web"), 2, "of all projects");
	is_int(label_counts_get(&counts, "blue", "app", "web"), 1, "of one");
	is_int(label_counts_get(&counts, "blue", "app", "db"), 1, "another value");
	is_int(label_counts_get(&counts, "red", "app", "db"), 0, "not in that project");
	is_int(label_counts_get(&counts, NULL, "appweb", ""), 0, "the parts of a key are apart");
	for (int i = 0; i < 500; i++) {
		struct gantry_pair pair = {"number", name};
		const struct gantry_pairs pairs = {&pair, 1};

		snprintf(name, sizeof(name), "%d", i);
		label_counts_add(&counts, "blue", &pairs, 1);
	}
	is_int(label_counts_get(&counts, "blue", "number", "499"), 1, "many");
	is_int(label_counts_get(&counts, NULL, "tier", "front"), 2, "the others are still there");
	label_counts_copy(&counts, &copy);
	label_counts_add(&counts, "red", &two, -1);
	is_int(label_counts_get(&counts, NULL, "app", "web"), 1, "counted out");
	is_int(label_counts_get(&copy, NULL, "app", "web"), 2, "not from the copy");
	for (int i = 0; i < 500; i++) {
		struct gantry_pair pair = {"number", name};
		const struct gantry_pairs pairs = {&pair, 1};

		snprintf(name, sizeof(name), "%d", i);
		label_counts_add(&counts, "blue", &pairs, -1);
	}
	label_counts_add(&counts, "blue", &two, -1);
	label_counts_add(&counts, "blue", &one, -1);
	is_int((long long)counts.used, 0, "what nobody has is not kept");
	label_counts_fini(&counts);
	label_counts_fini(&copy);
}

static struct instance *add(struct fleet *fleet, const char *id, const char *project,
			    const char *name, int64_t memory_bytes)
{
	struct instance *instance = instance_new(id);
	struct gantry_error err;

	set_spec(&instance->spec, project, NULL, 0, memory_bytes);
	instance->spec.name = (char *)name;
	if (fleet_add(fleet, instance, &err) < 0)
		bail_out("%s", err.text);
	return instance;
}

static void expect(const struct fleet *fleet, const char *project, const struct instance *but,
		   int64_t instances, int64_t memory_bytes, int64_t nano_cpus, const char *what)
{
	struct fleet_usage usage = fleet_usage(fleet, project, but);

	ok(usage.instances == instances && usage.memory_bytes == memory_bytes &&
		   usage.nano_cpus == nano_cpus,
	   "%s: %lld, %lld, %lld", what, (long long)usage.instances, (long long)usage.memory_bytes,
	   (long long)usage.nano_cpus);
}

static void test_usage(void)
{
	struct fleet fleet;
	struct instance *a, *b, *c;

	fleet_init(&fleet);
	a = add(&fleet, "a", "blue", "a", 100);
	expect(&fleet, "blue", NULL, 0, 0, 0, "one that was not admitted does not count");
	fleet_count(&fleet, a);
	fleet_count(&fleet, a);
	expect(&fleet, "blue", NULL, 1, 100, 500000000, "counted once, however often");
	b = add(&fleet, "b", "blue", "b", GANTRY_UNSET);
	fleet_count(&fleet, b);
	c = add(&fleet, "c", "red", "c", 7);
	fleet_count(&fleet, c);
	expect(&fleet, "blue", NULL, 2, 100, 1000000000, "two, one without a limit");
	expect(&fleet, "blue", a, 1, 0, 500000000, "without one of them");
	expect(&fleet, "blue", c, 2, 100, 1000000000, "without one of another project");
	expect(&fleet, "red", NULL, 1, 7, 500000000, "the other project");
	a->spec.memory_bytes = 300;
	expect(&fleet, "blue", a, 1, 0, 500000000, "without one that is being changed");
	fleet_count(&fleet, a);
	expect(&fleet, "blue", NULL, 2, 300, 1000000000, "after a change");
	is_int(fleet_usage_placed(&fleet, "blue", NULL).instances, 0, "none is placed");
	a->node = "n0";
	fleet_count(&fleet, a);
	is_int(fleet_usage_placed(&fleet, "blue", NULL).memory_bytes, 300, "one is");
	is_int(fleet_usage_placed(&fleet, "blue", a).instances, 0, "without itself");
	is_int(fleet_usage_placed(&fleet, "blue", b).instances, 1, "another one was not in it");
	fleet_remove(&fleet, a);
	fleet_remove(&fleet, b);
	expect(&fleet, "blue", NULL, 0, 0, 0, "all are gone");
	is_int((long long)fleet.project_count, 1, "a project that has nothing is not kept");
	fleet_fini(&fleet);
}

static void test_past(void)
{
	struct node nodes[2] = {{.name = "n0", .state = NODE_UP}, {.name = "n1", .state = NODE_UP}};
	struct node copies[2];
	struct gantry_spec front, back;
	struct fleet fleet;
	bool lost[2];
	int64_t at;

	fleet_init(&fleet);
	fleet_add_node(&fleet, &nodes[0]);
	fleet_add_node(&fleet, &nodes[1]);
	set_spec(&front, "blue", web, 2, 100);
	set_spec(&back, "blue", db, 1, GANTRY_UNSET);
	node_promise(&nodes[0], &front, 1);
	at = fleet.past.next;
	node_promise(&nodes[0], &front, -1);
	node_promise(&nodes[0], &back, 1);
	node_promise(&nodes[1], &front, 1);
	is_int(past_nodes(&fleet, at, copies, lost), 0, "a while ago");
	ok(!lost[0] && !lost[1], "both are known");
	ok(copies[0].instances == 1 && copies[0].memory_promised_bytes == 100 &&
		   copies[0].nano_cpus_promised == 500000000 && copies[0].version == 1,
	   "the first node as it was");
	is_int(label_counts_get(&copies[0].label_counts, "blue", "app", "web"), 1, "its labels");
	is_int(label_counts_get(&copies[0].label_counts, "blue", "app", "db"), 0, "as they were");
	ok(copies[1].instances == 0 && copies[1].version == 0, "the second one, too");
	is_int(label_counts_get(&nodes[0].label_counts, "blue", "app", "db"), 1,
	       "the node itself is as it is");
	past_forget(copies, 2);
	node_changed(&nodes[1]);
	past_nodes(&fleet, at, copies, lost);
	ok(!lost[0] && lost[1], "a node that changed in itself is lost, the other is not");
	past_forget(copies, 2);
	at = fleet.past.next;
	for (int i = 0; i < PAST_CHANGES / 2; i++) {
		node_promise(&nodes[0], &front, 1);
		node_promise(&nodes[0], &front, -1);
	}
	is_int(past_nodes(&fleet, at, copies, lost), 0, "as far back as changes are kept");
	is_int(copies[0].version, 3, "and right");
	past_forget(copies, 2);
	is_int(past_nodes(&fleet, at - 1, copies, lost), -ESTALE, "and not further");
	is_int(past_nodes(&fleet, fleet.past.next + 1, copies, lost), -ESTALE, "nor ahead");
	fleet_fini(&fleet);
}

int main(void)
{
	test_labels();
	test_usage();
	test_past();
	done_testing();
	return tap_end();
}
