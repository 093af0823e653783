/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sim plugin can be told to do: faults that are the same for the same seed, latencies, a node
 * that goes away and comes back, one that lies about its memory, images that are not there, and
 * containers that outlive it. All under the real loader and loop.
 */
#include "fake/conformance.h"

#include <fcntl.h>
#include <malloc.h>

static const char *const forever[] = {"sleep", "1000", NULL};

static struct conformance sim(struct rig *rig, const char *options)
{
	rig_open(rig);
	rig_load(rig, "sim", options);
	return (struct conformance){.rig = rig, .image = "base", .run = forever, .prefix = "n-"};
}

/* How much longer a time must be that things are to happen within. */
static int slow(void)
{
	const char *valgrind = getenv("VG");

#ifdef GANTRY_SANITIZED
	return 4;
#endif
	return valgrind && valgrind[0] ? 8 : 1;
}

/* --- faults --- */

/* "..x..": what 64 creates came to. */
static void creates(const char *options, char text[65])
{
	struct rig rig;
	struct conformance c = sim(&rig, options);
	char name[16], id[80];

	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		text[i] = conf_create(&c, name, forever, id) == 0 ? '.' : 'x';
		if (text[i] == 'x' && rig.code != -EIO)
			bail_out("%d %s", rig.code, rig.err.text);
	}
	text[64] = '\0';
	rig_close(&rig);
}

static void faults(void)
{
	char first[65], again[65], other[65];

	creates("{\"fail\": [\"create:EIO:0.3\"], \"seed\": 7}", first);
	creates("{\"fail\": [\"create:EIO:0.3\"], \"seed\": 7}", again);
	creates("{\"fail\": [\"create:EIO:0.3\"], \"seed\": 8}", other);
	ok(strchr(first, 'x') && strchr(first, '.'), "some creates fail and some do not: %s",
	   first);
	is_str(again, first, "the same seed, the same faults");
	ok(strcmp(first, other) != 0, "another seed, others: %s", other);
	creates("{\"fail\": [\"start:EIO:1\"]}", first);
	ok(!strchr(first, 'x'), "a rule for another operation does not strike");
}

static void kinds_of_faults(void)
{
	struct rig rig;
	struct conformance c = sim(
		&rig, "{\"fail\": [\"start:ETIMEDOUT:1\", \"create:lost:1\", \"stats:hang:1\"]}");
	struct gantry_op *op;
	char id[80];

	is_int(conf_create(&c, "a", forever, id), -ETIMEDOUT, "a create whose answer is lost");
	is_int(RUN(&rig, inspect, "n-a"), 0, "has taken place");
	is_int(RUN(&rig, start, "n-a"), -ETIMEDOUT,
	       "a start that fails with the error of the rule");
	like(rig.err.text, "as the option fail wants it", "the error tells who wanted it");
	rig.take = conf_take_state;
	is_int(RUN(&rig, inspect, "n-a"), 0, "and was not done");
	is_int(conf_state, GANTRY_CONTAINER_CREATED, "at all");
	op = rig_op(&rig);
	rig.runtime->stats(rig.node, "n-a", op);
	rig_turn(&rig, 30);
	ok(!rig.done, "a call that hangs has no end");
	op_cancel(op);
	is_int(rig_wait(&rig), -ECANCELED, "but by a cancel");
	rig_close(&rig);
}

static void bad_rule(const char *rule, const char *why)
{
	struct gantry_error err = {0};
	struct json_object *options = json_object_new_object(), *list = json_object_new_array();
	struct loop loop;
	struct plugin *plugin;
	char path[256];
	void *node;

	loop_init(&loop);
	snprintf(path, sizeof(path), "%s/plugins/sim.so",
		 getenv("BUILD") ? getenv("BUILD") : ".build/plain");
	if (plugin_load(&loop, path, NULL, "plugins.sim", &plugin, &err) < 0)
		bail_out("%s", err.text);
	json_object_array_add(list, json_object_new_string(rule));
	json_object_object_add(options, "fail", list);
	is_int(plugin_node_open(plugin, "n1", options, "o", &node, &err), -EINVAL, "%s", rule);
	like(err.text, why, "the error tells what is wrong");
	is_str(err.field, "nodes.n1.fail", "and where");
	json_object_put(options);
	plugin_unload(plugin);
	loop_fini(&loop);
}

/* --- latency --- */

struct batch {
	size_t ended;
	bool all;
	int64_t began_us, last_ms;
};

static void on_started(void *arg, const struct gantry_error *err, const void *result)
{
	struct batch *batch = arg;

	(void)result;
	if (err)
		bail_out("%s", err->text);
	batch->last_ms = (clock_monotonic_us() - batch->began_us) / 1000;
	batch->all = ++batch->ended == 6;
}

/* How long six starts take that are asked for at once. */
static int64_t six_starts(const char *options)
{
	struct rig rig;
	struct conformance c = sim(&rig, options);
	struct batch batch = {0};
	char id[6][80], name[8];

	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		conf_create(&c, name, forever, id[i]);
	}
	batch.began_us = clock_monotonic_us();
	for (int i = 0; i < 6; i++)
		rig.runtime->start(rig.node, id[i],
				   op_new(&rig.scope, "start", on_started, &batch));
	ok(rig_until(&rig, &batch.all, 20000), "six starts end");
	rig_close(&rig);
	return batch.last_ms;
}

static void latencies(void)
{
	int64_t together = six_starts("{\"start_latency\": \"40ms\"}");
	int64_t in_turn = six_starts("{\"start_latency\": \"40ms\", \"parallel\": 2}");

	ok(together >= 40, "a start takes as long as it is told to: %lld ms", (long long)together);
	ok(in_turn >= 120, "two at a time, six take three times as long: %lld ms",
	   (long long)in_turn);
}

static void cancels(void)
{
	struct rig rig;
	struct conformance c = sim(
		&rig, "{\"start_latency\": \"10s\", \"parallel\": 1, \"pull_latency\": \"10s\"}");
	struct gantry_op *first, *second;
	char id[80];

	conf_create(&c, "a", forever, id);
	first = rig_op(&rig);
	rig.runtime->start(rig.node, id, first);
	second = rig_op(&rig);
	rig.runtime->start(rig.node, id, second);
	op_cancel(second);
	is_int(rig_wait(&rig), -ECANCELED, "a start that is cancelled in the queue");
	rig.done = false;
	op_cancel(first);
	is_int(rig_wait(&rig), -ECANCELED, "and one that is cancelled in its latency");
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_CREATED, "have no effect");
	first = rig_op(&rig);
	rig.runtime->pull(rig.node, "later:1", first);
	rig_turn(&rig, 20);
	ok(!rig.done, "a pull takes its time");
	op_cancel(first);
	is_int(rig_wait(&rig), -ECANCELED, "and can be cancelled");
	rig_close(&rig);
}

/* --- processes --- */

static void processes(void)
{
	static const char *const soon[] = {"exit", "7", "400ms", NULL}, *const oom[] = {"oom",
											NULL};
	static const char *const stubborn[] = {"stubborn", NULL}, *const lines[] = {"lines", "3",
										    NULL};
	struct rig rig;
	struct conformance c = sim(&rig, "{\"stop_latency\": \"30ms\"}");
	char id[80];

	conf_create(&c, "soon", soon, id);
	RUN(&rig, start, id);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_RUNNING, "exit 7 400ms runs for a while");
	RUN(&rig, pause, id);
	rig_turn(&rig, 450);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_PAUSED, "paused, it does not end");
	RUN(&rig, unpause, id);
	is_int(conf_wait(&c, id), 7, "and then it does");

	conf_create(&c, "slow", forever, id);
	RUN(&rig, start, id);
	RUN(&rig, kill, id, 15);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_RUNNING,
	       "a process takes stop_latency to end");
	is_int(conf_wait(&c, id), 143, "and ends");

	conf_create(&c, "stubborn", stubborn, id);
	RUN(&rig, start, id);
	RUN(&rig, kill, id, 15);
	rig_turn(&rig, 60);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_RUNNING, "a stubborn one does not");
	RUN(&rig, kill, id, 9);
	is_int(conf_wait(&c, id), 137, "but by SIGKILL");

	conf_create(&c, "oom", oom, id);
	RUN(&rig, start, id);
	is_int(conf_wait(&c, id), 137, "oom ends with 137");

	conf_create(&c, "lines", lines, id);
	RUN(&rig, start, id);
	is_int(RUN(&rig, output, id, false, conf_take_output, NULL), 0, "lines 3 writes");
	is_str(str_text(&conf_output[1]), "line 1\nline 3\n", "on stdout");
	is_str(str_text(&conf_output[2]), "line 2\n", "and on stderr");
	conf_output_clear();
	rig_close(&rig);
}

/* --- memory and images --- */

static void lies(void)
{
	struct rig rig;
	struct conformance c =
		sim(&rig, "{\"host_memory\": \"1TiB\", \"true_memory\": \"100MiB\"}");
	struct gantry_spec spec;
	char first[80], second[80];

	spec_init(&spec);
	spec.memory_bytes = 64 << 20;
	conf_create_spec(&c, "a", forever, &spec, first);
	conf_create_spec(&c, "b", forever, &spec, second);
	is_int(RUN(&rig, start, first), 0, "a start within the true memory");
	is_int(RUN(&rig, start, second), -EIO, "one over it fails, whatever the host says");
	like(rig.err.text, "memory", "the error says why");
	RUN(&rig, remove, first);
	is_int(RUN(&rig, start, second), 0, "and goes well where there is room again");
	rig_close(&rig);
}

static struct gantry_op *pull_again;
static int pull_steps;

static void on_progress(void *arg, const struct gantry_progress *progress)
{
	(void)arg;
	pull_steps++;
	if (progress->done_bytes > progress->total_bytes)
		bail_out("more than all");
}

static void images(void)
{
	struct rig rig;
	struct conformance c = sim(&rig, "{\"images\": [\"base\", \"team/*\"], \"registry\": "
					 "[\"far:1\"], \"pull_latency\": \"20ms\"}");
	struct gantry_spec spec;
	char id[80];

	is_int(RUN(&rig, image_present, "base:latest"), 0, "an image that is named is there");
	is_int(RUN(&rig, image_present, "docker.io/library/base"), 0, "by its long name too");
	is_int(RUN(&rig, image_present, "team/web:2"), 0, "and one that fits a pattern");
	is_int(RUN(&rig, image_present, "far:1"), -ENOENT, "one that must be pulled is not");
	spec_init(&spec);
	spec.image = "far:1";
	is_int(conf_create_spec(&c, "far", forever, &spec, id), -ENOENT, "nor can it be used");
	is_int(RUN(&rig, pull, "further:1"), -ENOENT, "a pull of what the registry has not");
	pull_again = op_new(&rig.scope, "pull", NULL, NULL);
	op_set_progress(pull_again, on_progress);
	rig.runtime->pull(rig.node, "far:1", pull_again);
	op_forget(pull_again); /* one of two that wait leaves */
	rig.op = rig_op(&rig);
	op_set_progress(rig.op, on_progress);
	rig.runtime->pull(rig.node, "far:1", rig.op);
	is_int(rig_wait(&rig), 0, "a pull of what it has");
	is_int(pull_steps, 10, "tells its progress");
	is_int(conf_create_spec(&c, "far", forever, &spec, id), 0, "then it can be used");
	rig_close(&rig);
}

/* --- a node that goes away, watched --- */

struct told {
	struct rig *rig;
	struct str log;
	bool synced, ended, gone;
	int code;
	struct gantry_anchor anchor;
	struct gantry_watch_sink sink;
};

static void told_sync(void *arg, const struct gantry_containers *containers)
{
	struct told *told = arg;

	told->synced = true;
	str_addf(&told->log, "sync:%zu ", containers->count);
}

static void told_event(void *arg, const struct gantry_event *event)
{
	static const char *const names[] = {"create",  "start", "die",    "oom",    "pause",
					    "unpause", "kill",  "rename", "update", "remove",
					    "health",  "image", "gap"};
	struct told *told = arg;

	str_addf(&told->log, "%s%s ", event->inferred ? "~" : "", names[event->kind]);
	told->anchor = event->anchor;
	told->gone = told->gone || event->kind == GANTRY_EVENT_REMOVE;
}

static void told_end(void *arg, const struct gantry_error *err, const void *result)
{
	struct told *told = arg;

	(void)result;
	told->ended = true;
	told->code = err ? err->code : 0;
}

/* Watches from the anchor that was told last, with what is known. */
static struct gantry_op *follow(struct told *told, const struct gantry_containers *known)
{
	struct gantry_containers none = {0};
	struct gantry_op *op = op_new(&told->rig->scope, "watch", told_end, told);

	told->sink = (struct gantry_watch_sink){told, told_sync, told_event};
	told->synced = told->ended = told->gone = false;
	str_clear(&told->log);
	told->rig->runtime->watch(told->rig->node, &told->anchor, known ? known : &none,
				  &told->sink, op);
	return op;
}

static void stop_following(struct told *told, struct gantry_op *op)
{
	op_cancel(op);
	ok(rig_until(told->rig, &told->ended, 10000), "the watch ends");
}

/* Asks until the node answers so. */
static void until_reach(struct rig *rig, int code)
{
	int64_t end_us = clock_monotonic_us() + 20000000;

	while (RUN0(rig, probe) != code) {
		if (clock_monotonic_us() > end_us)
			bail_out("the node stays as it is");
		rig_turn(rig, 5);
	}
}

static void outages(bool reboot)
{
	static char after[24], options[128];
	static const char *const soon[] = {"exit", "7", after, NULL};
	int away_ms = 400 * slow();
	struct rig rig;
	struct conformance c;
	struct told told = {.rig = &rig};
	struct gantry_pair label = {GANTRY_LABEL_INSTANCE, "i"};
	struct gantry_container known = {.labels = {&label, 1}, .state = GANTRY_CONTAINER_RUNNING};
	struct gantry_containers all = {&known, 1};
	struct gantry_op *op;
	char id[80];

	snprintf(after, sizeof(after), "%dms", away_ms + 100);
	snprintf(options, sizeof(options),
		 "{\"down_after\": \"%dms\", \"up_after\": \"%dms\", \"reboot\": %s}", away_ms,
		 away_ms, reboot ? "true" : "false");
	c = sim(&rig, options);
	op = follow(&told, NULL);
	rig_until(&rig, &told.synced, 10000);
	is_int(conf_create(&c, "a", reboot ? forever : soon, id), 0, "create");
	is_int(RUN(&rig, start, id), 0, "start");
	ok(rig_until(&rig, &told.ended, 10000), "when the node goes away the watch ends");
	is_int(told.code, -EHOSTUNREACH, "-EHOSTUNREACH");
	is_str(str_text(&told.log), "sync:0 create start ", "having told what happened");
	is_int(RUN(&rig, inspect, id), -EHOSTUNREACH, "and nothing else is answered either");
	until_reach(&rig, 0);
	rig_turn(&rig, 200); /* what ends by itself has ended now, or did while it was away */
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_EXITED, "back again, it is exited");
	is_int(conf_number, reboot ? 137 : 7, "by %s", reboot ? "the reboot" : "itself");
	known.container_id = id;
	op = follow(&told, &all);
	rig_until(&rig, &told.synced, 10000);
	rig_turn(&rig, 30);
	is_str(str_text(&told.log), reboot ? "sync:1 gap ~die " : "sync:1 die ",
	       reboot ? "what nobody saw is inferred, behind a gap"
		      : "what was missed is repeated");
	stop_following(&told, op);
	op = follow(&told, &all);
	rig_until(&rig, &told.synced, 10000);
	rig_turn(&rig, 30);
	is_str(str_text(&told.log), "sync:1 ", "and told once");
	stop_following(&told, op);
	str_fini(&told.log);
	rig_close(&rig);
}

static void ignore(void *arg, const struct gantry_error *err, const void *result)
{
	(void)arg, (void)err, (void)result;
}

/* An engine that remembers two events only. */
static void forgets(void)
{
	struct rig rig;
	struct conformance c = sim(&rig, "{\"events\": 2}");
	struct told told = {.rig = &rig};
	struct gantry_op *op = follow(&told, NULL);
	char id[80], other[80];

	rig_until(&rig, &told.synced, 10000);
	conf_create(&c, "a", forever, id);
	conf_create(&c, "b", forever, other);
	RUN(&rig, start, id);
	for (int i = 0; i < 2; i++) { /* all before the loop turns: none may be lost */
		rig.runtime->pause(rig.node, id, op_new(&rig.scope, "x", ignore, NULL));
		rig.runtime->unpause(rig.node, id, op_new(&rig.scope, "x", ignore, NULL));
	}
	RUN(&rig, remove, id);
	rig_until(&rig, &told.gone, 10000);
	is_str(str_text(&told.log),
	       "sync:0 create create start pause unpause pause unpause kill die remove ",
	       "who watches misses none");
	stop_following(&told, op);
	RUN(&rig, start, other);
	RUN(&rig, kill, other, 9);
	op = follow(&told, NULL);
	rig_until(&rig, &told.synced, 10000);
	rig_turn(&rig, 30);
	is_str(str_text(&told.log), "sync:1 gap ~create ~start ~die ",
	       "who comes late hears of a gap");
	stop_following(&told, op);
	str_fini(&told.log);
	rig_close(&rig);
}

/* --- state --- */

static void survives(void)
{
	static char after[24];
	static const char *const soon[] = {"exit", "5", after, NULL};
	char path[64] = "/tmp/gantry-sim.XXXXXX", options[128], id[80], other[80], gone[80];
	struct rig rig, second;
	struct conformance c;
	struct told told = {.rig = &rig};
	struct gantry_limits limits = {64 << 20,     GANTRY_UNSET, GANTRY_UNSET,
				       GANTRY_UNSET, GANTRY_UNSET, "0-1"};
	struct gantry_op *op;
	int fd = mkstemp(path);

	close(fd);
	snprintf(after, sizeof(after), "%dms", 300 * slow());
	snprintf(options, sizeof(options), "{\"state\": \"%s\"}", path);
	c = sim(&rig, options);
	op = follow(&told, NULL);
	rig_until(&rig, &told.synced, 10000);
	conf_create(&c, "a", forever, id);
	conf_create(&c, "b", soon, other);
	conf_create(&c, "c", forever, gone);
	RUN(&rig, start, id);
	RUN(&rig, update, id, &limits);
	RUN(&rig, rename, id, "n-renamed");
	RUN(&rig, remove, gone);
	rig_until(&rig, &told.gone, 10000);
	stop_following(&told, op);
	rig_open(&second);
	rig_load(&second, "sim", options);
	is_int(RUN0(&second, probe), -EHOSTUNREACH, "a second one on the same file is refused");
	like(second.err.text, path, "the error names the file");
	rig_close(&second);
	RUN(&rig, start, other); /* nobody hears of this one */
	rig_close(&rig);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, "{\"put\": {\"id\"", 13) != 13) /* a line that is not whole */
		bail_out("no writing");
	close(fd);

	c = sim(&rig, options);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_RUNNING, "what ran runs on");
	is_str(conf_text, "n-renamed", "with its name");
	is_int(conf_limits.memory_bytes, 64 << 20, "and its limits");
	is_int(RUN(&rig, inspect, gone), -ENOENT, "what was removed is gone");
	op = follow(&told, NULL);
	rig_until(&rig, &told.synced, 10000);
	rig_turn(&rig, 30);
	is_str(str_text(&told.log), "sync:2 start ",
	       "what nobody heard of is repeated, with no gap");
	is_int(conf_wait(&c, other), 5, "what ends by itself does so");
	stop_following(&told, op);
	for (int i = 0; i < 800; i++) {
		RUN(&rig, pause, id);
		RUN(&rig, unpause, id);
	}
	rig_close(&rig);
	fd = open(path, O_RDONLY);
	ok(lseek(fd, 0, SEEK_END) < 1 << 20, "the file is written anew now and then");
	close(fd);
	c = sim(&rig, options);
	is_int(conf_inspect(&c, id), GANTRY_CONTAINER_RUNNING, "and can be read");
	rig_close(&rig);
	unlink(path);
	str_fini(&told.log);
}

/* --- size --- */

#define MANY 5000

static void sizes(void)
{
	static const char text[] =
		"{\"name\":\"job-12345\",\"project\":\"default\",\"image\":\"registry.local/team/worker:42\","
		"\"command\":[\"sleep\",\"1000\"],\"memory\":536870912,\"cpus\":0.5,\"pids\":100}";
	struct rig rig;
	struct conformance c = sim(&rig, NULL);
	struct gantry_pair pairs[] = {
		{GANTRY_LABEL_OWNER, RIG_OWNER},
		{GANTRY_LABEL_INSTANCE, "11111111-2222-4333-8444-555555555555"},
		{GANTRY_LABEL_PROJECT, "default"},
		{GANTRY_LABEL_GENERATION, "1"},
		{GANTRY_LABEL_SPEC, text}};
	struct gantry_spec spec;
	struct gantry_create create = {.labels = {pairs, 5}, .spec = &spec};
	size_t before = mallinfo2().uordblks, each;
	char name[32];

	spec_init(&spec);
	spec.image = "registry.local/team/worker:42";
	spec.command = (struct gantry_strings){(const char **)forever, 2};
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "job-%d", i);
		create.name = name;
		if (RUN(&rig, create, &create) < 0)
			bail_out("%s", rig.err.text);
		if (RUN(&rig, start, name) < 0)
			bail_out("%s", rig.err.text);
	}
	each = (mallinfo2().uordblks - before) / MANY;
#ifdef GANTRY_SANITIZED
	skip(1, "the sanitizers' allocator counts by itself");
	(void)each;
#else
	if (before == 0)
		skip(1, "valgrind's allocator counts by itself");
	else
		ok(each < 1024, "a container costs %zu bytes, under 1 KiB", each);
#endif
	rig.take = conf_take_count;
	RUN0(&rig, list);
	is_int(conf_number, MANY, "%d containers are listed", MANY);
	(void)c;
	rig_close(&rig);
}

int main(void)
{
	faults();
	kinds_of_faults();
	bad_rule("create:EIO", "three parts");
	bad_rule("creat:EIO:1", "no such operation");
	bad_rule("create:EFUN:1", "no such error");
	bad_rule("*:EIO:1.5", "from 0 to 1");
	bad_rule("*:EIO:often", "from 0 to 1");
	latencies();
	cancels();
	processes();
	lies();
	images();
	outages(false);
	outages(true);
	forgets();
	survives();
	sizes();
	done_testing();
	return tap_end();
}
