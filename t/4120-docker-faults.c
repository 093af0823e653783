/* SPDX-License-Identifier: Apache-2.0 */
/* The docker plugin on an engine that answers slowly, in pieces, wrongly, or not at all. */
#include "fake/conformance.h"

static struct conformance list;
static struct rig rig;

static int64_t state_of(const char *name)
{
	char *answer = rig_ask(&rig, "GET", "/containers/json?all=1", NULL, NULL);
	struct json_object *all = json_tokener_parse(answer);
	int64_t count = 0;

	for (size_t i = 0; i < json_object_array_length(all); i++) {
		const char *text = json_object_to_json_string(json_object_array_get_idx(all, i));

		count += strstr(text, name) != NULL;
	}
	json_object_put(all);
	free(answer);
	return count;
}

static void engine_is_away(void)
{
	struct gantry_error err;
	struct json_object *values = json_object_new_object();
	void *node;

	json_add_string(values, "endpoint", "unix:///nowhere/docker.sock");
	is_int(plugin_node_open(rig.plugin, "away", values, RIG_OWNER, &node, &err), 0,
	       "a node opens without its engine");
	rig.runtime->probe(node, rig_op(&rig));
	is_int(rig_wait(&rig), -EHOSTUNREACH, "probe: -EHOSTUNREACH");
	like(rig.err.text, "/nowhere/docker.sock", "the error says where");
	rig.runtime->probe(node, rig_op(&rig));
	op_cancel(rig.op);
	is_int(rig_wait(&rig), -ECANCELED, "a cancel before the version is known: -ECANCELED");
	rig.runtime->node_close(node);
	json_object_put(values);
}

static void options(void)
{
	static const char *const wrong[][3] = {
		{"{\"endpoint\":\"ssh://x\"}", "nodes.bad.endpoint", "unix:///PATH"},
		{"{\"endpont\":\"unix:///x\"}", "nodes.bad.endpont", "did you mean \"endpoint\""},
		{"{\"stall_timeout\":\"12 parsecs\"}", "nodes.bad.stall_timeout", "duration"},
		{"{\"tls_certificate\":\"/x\"}", "nodes.bad.tls_key", "come together"},
		{"{\"log_files\":0}", "nodes.bad.log_files", "1"},
		{"{\"tls_verify\":\"no\"}", "nodes.bad.tls_verify", "true or false"},
	};
	struct gantry_error err;
	void *node;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct json_object *values = json_tokener_parse(wrong[i][0]);

		err.field[0] = '\0';
		ok(plugin_node_open(rig.plugin, "bad", values, RIG_OWNER, &node, &err) < 0,
		   "%s is refused", wrong[i][0]);
		is_str(err.field, wrong[i][1], "at its key");
		like(err.text, wrong[i][2], "with what would be right");
		json_object_put(values);
	}
}

static void slow_and_cut(void)
{
	char id[80];

	rig_fault(&rig, "", "split", 0, -1);
	is_int(conf_create(&list, "split", list.run, id), 0, "answers byte by byte: create");
	is_int(RUN(&rig, start, id), 0, "start");
	is_int(RUN(&rig, kill, id, 9), 0, "kill");
	is_int(conf_wait(&list, id), 137, "wait");
	is_int(RUN(&rig, remove, id), 0, "remove");
	rig_no_faults(&rig);
	rig_fault(&rig, "POST /containers/create", "delay", 150, 1);
	is_int(conf_create(&list, "slow", list.run, id), 0, "a slow answer is waited for");
	rig_fault(&rig, "POST /containers/*/start", "hang", 0, 1);
	is_int(RUN(&rig, start, id), -ETIMEDOUT, "no answer: -ETIMEDOUT after the stall");
	rig_fault(&rig, "POST /containers/*/start", "hang_after", 0, 1);
	is_int(RUN(&rig, start, id), -ETIMEDOUT, "done, and no answer: -ETIMEDOUT");
	is_int(conf_inspect(&list, id), GANTRY_CONTAINER_RUNNING, "it was done all the same");
	rig_fault(&rig, "POST /containers/*/kill", "hang", 0, 1);
	rig.runtime->kill(rig.node, id, 9, rig_op(&rig));
	rig_turn(&rig, 30);
	op_cancel(rig.op);
	is_int(rig_wait(&rig), -ECANCELED, "a call that hangs can be cancelled");
	rig_fault(&rig, "POST /containers/*/kill", "hang", 0, 1);
	rig.runtime->kill(rig.node, id, 9, rig_op(&rig));
	op_set_deadline(rig.op, 50);
	is_int(rig_wait(&rig), -ETIMEDOUT, "and ends at the op's deadline");
	is_int(RUN(&rig, remove, id), 0, "remove");
}

static void broken(void)
{
	char id[80], other[80];
	int64_t calls;

	calls = rig_calls(&rig, "POST /containers/create");
	rig_fault(&rig, "POST /containers/create", "reset", 0, 1);
	is_int(conf_create(&list, "reset", list.run, id), -EHOSTUNREACH,
	       "reset before the work: -EHOSTUNREACH");
	is_int(state_of("c-reset"), 0, "nothing was made");
	rig_fault(&rig, "POST /containers/create", "reset_after", 0, 1);
	is_int(conf_create(&list, "reset", list.run, id), -EHOSTUNREACH,
	       "reset after the work: -EHOSTUNREACH");
	is_int(state_of("c-reset"), 1, "it was made");
	is_int(rig_calls(&rig, "POST /containers/create") - calls, 1,
	       "and asked for once: a POST is not sent again behind our back");
	is_int(RUN(&rig, remove, "c-reset"), 0, "remove by name");
	rig_fault(&rig, "POST /containers/create", "drop_after", 0, 1);
	is_int(conf_create(&list, "drop", list.run, id), -EHOSTUNREACH,
	       "half an answer: -EHOSTUNREACH");
	is_int(RUN(&rig, remove, "c-drop"), 0, "remove");
	rig_fault(&rig, "POST /containers/create", "garbage", 0, 1);
	ok(conf_create(&list, "garbage", list.run, id) < 0, "what is no HTTP is an error: %s",
	   rig.err.text);
	rig_fault(&rig, "POST /containers/create", "500", 0, 1);
	is_int(conf_create(&list, "five", list.run, id), -EIO, "500: -EIO");
	like(rig.err.text, "told to fail", "with the engine's words");
	rig_fault(&rig, "GET /containers/json", "reset", 0, 1);
	rig.take = conf_take_count;
	is_int(RUN0(&rig, list), 0, "a GET whose kept connection broke is tried again");
	is_int(conf_create(&list, "killed", list.run, id), 0, "create");
	is_int(conf_create(&list, "killed2", list.run, other), 0, "create");
	rig_tell(&rig, "/fake/restart", "{}");
	is_int(RUN(&rig, start, id), 0,
	       "after a restart of the engine the kept connections are not used");
	rig.runtime->wait(rig.node, id, rig_op(&rig));
	rig_turn(&rig, 50);
	rig_tell(&rig, "/fake/restart", "{\"stop\":true}");
	is_int(rig_wait(&rig), -EHOSTUNREACH,
	       "a wait that the engine's end cuts off: -EHOSTUNREACH");
	is_int(RUN(&rig, remove, id), 0, "remove");
	is_int(RUN(&rig, remove, other), 0, "remove");
	rig_fault(&rig, "DELETE /containers", "409", 0, 1);
	is_int(RUN(&rig, remove, "x"), -EIO, "a conflict at remove is an error");
}

/* --- update --- */

static void updates(void)
{
	struct gantry_limits limits = {128 << 20, GANTRY_UNSET, 1000000000, 4343, 50, "0-1"};
	struct gantry_spec spec;
	char id[80];

	spec_init(&spec);
	spec.memory_bytes = 64 << 20;
	spec.memory_swap_bytes = 96 << 20;
	spec.nano_cpus = 500000000;
	spec.cpu_shares = 100;
	spec.pids = 20;
	spec.cpuset = "0";
	conf_create_spec(&list, "limits", list.run, &spec, id);
	RUN(&rig, start, id);
	is_int(RUN(&rig, update, id, &limits), -EINVAL,
	       "accepted, and not all of it took: -EINVAL");
	like(rig.err.text, "memory is 67108864, not 134217728", "the error says which did not");
	ok(!strstr(rig.err.text, "cpus is"), "and not which did");
	conf_inspect(&list, id);
	is_int(conf_limits.cpu_shares, 100, "what took is taken back: shares");
	is_int(conf_limits.nano_cpus, 500000000, "CPUs");
	is_int(conf_limits.pids, 20, "processes");
	limits.cpu_shares = 4242;
	is_int(RUN(&rig, update, id, &limits), -EINVAL, "accepted and ignored: -EINVAL");
	limits.cpu_shares = 300;
	rig.take = conf_take_limits;
	is_int(RUN(&rig, update, id, &limits), 0, "what takes is told");
	is_int(conf_limits.memory_swap_bytes, 160 << 20, "the swap stays 32 MiB");
	is_int(conf_limits.pids, 50, "processes");
	rig_fault(&rig, "POST /containers/*/update", "reset_after", 0, 1);
	is_int(RUN(&rig, update, id, &limits), -EHOSTUNREACH,
	       "an engine that goes away: -EHOSTUNREACH");
	RUN(&rig, remove, id);
	is_int(RUN(&rig, update, id, &limits), -ENOENT, "of what is gone: -ENOENT");

	/* one that had no limits: not all can be unset */
	rig.take = NULL;
	spec_init(&spec);
	conf_create_spec(&list, "free", list.run, &spec, id);
	RUN(&rig, start, id);
	rig.runtime->probe(rig.node, rig_op(&rig)); /* by which the host's size is known */
	rig_wait(&rig);
	limits = (struct gantry_limits){128 << 20, GANTRY_UNSET, 1000000000, 4343, 50, "0-1"};
	is_int(RUN(&rig, update, id, &limits), -EINVAL, "of what had no limits: -EINVAL");
	like(rig.err.text, "cannot unset one that was not set before: memory is 274877906944 now",
	     "it says what is not as before");
	like(rig.err.text, "cpus is 64000000000 now, cpu_shares is 1024 now, cpuset stays \"0-1\"",
	     "each of them");
	conf_inspect(&list, id);
	is_int(conf_limits.nano_cpus, 64000000000, "all of the host's CPUs");
	is_int(conf_limits.pids, GANTRY_UNSET, "no limit of processes");
	RUN(&rig, remove, id);
}

/* --- pull --- */

static struct {
	int count, code[4];
	bool two, three;
} pulls;
static int64_t progress_total, progress_calls;

static void pulled(void *arg, const struct gantry_error *err, const void *result)
{
	(void)result;
	pulls.code[(intptr_t)arg] = err ? err->code : 0;
	pulls.count++;
	pulls.two = pulls.count >= 2;
	pulls.three = pulls.count >= 3;
}

static void on_progress(void *arg, const struct gantry_progress *progress)
{
	(void)arg;
	progress_calls++;
	progress_total = progress->total_bytes;
}

static void pull_tests(void)
{
	struct gantry_op *ops[3];
	static const char *const names[] = {"pullable:1", "docker.io/library/pullable:1",
					    "pullable:1"};

	is_int(RUN(&rig, image_present, "pullable:1"), -ENOENT, "the image is not there");
	rig_fault(&rig, "POST /images/create", "delay", 100, 1);
	for (intptr_t i = 0; i < 3; i++) {
		ops[i] = op_new(&rig.scope, "pull", pulled, (void *)i);
		op_set_progress(ops[i], on_progress);
		rig.runtime->pull(rig.node, names[i], ops[i]);
	}
	rig_turn(&rig, 20);
	op_cancel(ops[0]);
	ok(rig_until(&rig, &pulls.three, 5000), "three ops wait for one image");
	is_int(pulls.code[0], -ECANCELED, "the one that was cancelled: -ECANCELED");
	ok(pulls.code[1] == 0 && pulls.code[2] == 0, "the others get it");
	is_int(rig_calls(&rig, "POST /images/create"), 1, "it was asked for once");
	ok(progress_calls > 0, "progress was told");
	is_int(progress_total, 4194304 + 1000, "summed over the layers");
	is_int(RUN(&rig, image_present, "pullable:1"), 0, "the image is there");
	is_int(RUN(&rig, pull, "missing:1"), -ENOENT, "what no registry has: -ENOENT");
	is_int(RUN(&rig, pull, "broken"), -EIO,
	       "an error inside the stream is one, whatever the status");
	like(rig.err.text, "unexpected EOF", "with its words");
	is_int(RUN(&rig, pull, "stalling"), -ETIMEDOUT, "no progress: -ETIMEDOUT after the stall");
	rig.runtime->pull(rig.node, "stalling", rig_op(&rig));
	rig_turn(&rig, 30);
	op_cancel(rig.op);
	is_int(rig_wait(&rig), -ECANCELED, "the last that waits may cancel");
	rig_turn(&rig, 30);
	rig_fault(&rig, "POST /images/create", "split", 0, 1);
	is_int(RUN(&rig, pull, "pullable:2"), 0, "the stream may be cut anywhere");
	rig_fault(&rig, "POST /images/create", "drop_after", 0, 1);
	is_int(RUN(&rig, pull, "pullable:3"), -EHOSTUNREACH,
	       "a stream that breaks off is a failure");
}

/* --- stats, output --- */

static void take_stats(const void *result)
{
	const struct gantry_stats *stats = result;

	is_int(stats->memory_bytes, 10000000, "the cache that can be dropped is not counted");
	is_int(stats->cpu_ns, 123456789, "CPU time");
	is_int(stats->throttled_ns, 5000, "throttled time");
	is_int(stats->throttled_periods, 4, "throttled periods");
	is_int(stats->cpu_periods, 9, "of how many");
	is_int(stats->network_rx_bytes, 101, "received, over all networks");
	is_int(stats->network_tx_bytes, 202, "sent");
	is_int(stats->block_read_bytes, 4097, "read, over all devices");
	is_int(stats->block_write_bytes, 8192, "written");
	is_int(stats->pids, 3, "processes");
	is_int(stats->pids_limit, 50, "and how many there may be");
	is_int(stats->oom_kills, GANTRY_UNSET, "kills that nobody can tell are not known");
	is_int(stats->time_ms, 1767323045678, "the engine's time");
}

static void shapes(void)
{
	struct gantry_pair pairs[] = {{GANTRY_LABEL_OWNER, RIG_OWNER}, {"fake.cgroup", "2"}};
	const char *command[] = {"sleep"};
	struct gantry_spec spec;
	struct gantry_create create = {.name = "v2", .labels = {pairs, 2}, .spec = &spec};
	char id[80];

	conf_create(&list, "v1", list.run, id);
	RUN(&rig, start, id);
	rig.take = take_stats;
	is_int(RUN(&rig, stats, id), 0, "stats of cgroup v1");
	RUN(&rig, remove, id);
	spec_init(&spec);
	spec.image = "base";
	spec.command = (struct gantry_strings){command, 1};
	rig.take = conf_take_id;
	RUN(&rig, create, &create);
	snprintf(id, sizeof(id), "%s", conf_text);
	RUN(&rig, start, id);
	rig.take = take_stats;
	is_int(RUN(&rig, stats, id), 0, "stats of cgroup v2");
	RUN(&rig, remove, id);
}

static void outputs(void)
{
	static const char *const lines[] = {"lines", "200", NULL};
	char id[80];
	int64_t length;

	conf_create(&list, "lines", lines, id);
	RUN(&rig, start, id);
	is_int(RUN(&rig, output, id, false, conf_take_output, NULL), 0, "the output of 200 lines");
	length = (int64_t)(conf_output[1].length + conf_output[2].length);
	conf_output_clear();
	rig_fault(&rig, "GET /containers/*/logs", "split", 0, -1);
	is_int(RUN(&rig, output, id, false, conf_take_output, NULL), 0, "byte by byte");
	is_int((int64_t)(conf_output[1].length + conf_output[2].length), length, "all of it");
	ok(strncmp(str_text(&conf_output[1]), "line 1\nline 3\n", 14) == 0, "stdout");
	ok(strncmp(str_text(&conf_output[2]), "line 2\nline 4\n", 14) == 0, "stderr");
	conf_output_clear();
	rig_no_faults(&rig);
	rig.runtime->output(rig.node, id, true, conf_take_output, NULL, rig_op(&rig));
	rig_turn(&rig, 1500);
	ok(!rig.done, "a follower waits, past the stall of ordinary calls");
	RUN(&rig, inspect,
	    id); /* takes the rig's op: the follower's end is seen in the next check */
	conf_output_clear();
	RUN(&rig, remove, id);
	rig_turn(&rig, 50);
	is_int((int)rig.scope.count, 0, "and ends with the container");
}

/* An engine that ends a follower without what was written last: all is told, and once. */
static void lost_tail(bool terminal)
{
	struct gantry_pair pairs[] = {{GANTRY_LABEL_OWNER, RIG_OWNER}, {"fake.tail", "lost"}};
	const char *command[] = {"lines", "5"};
	struct gantry_spec spec;
	struct gantry_create create = {.name = "tail", .labels = {pairs, 2}, .spec = &spec};
	char id[80], body[200];
	bool never = false;

	spec_init(&spec);
	spec.image = "base";
	spec.command = (struct gantry_strings){command, 2};
	spec.tty = terminal;
	rig.take = conf_take_id;
	RUN(&rig, create, &create);
	snprintf(id, sizeof(id), "%s", conf_text);
	RUN(&rig, start, id);
	rig_fault(&rig, "GET /containers/*/logs", "split", 0, -1);
	rig.runtime->output(rig.node, id, true, conf_take_output, NULL, rig_op(&rig));
	for (int i = 0; i < 500 && conf_output[1].length + conf_output[2].length < 35; i++)
		rig_until(&rig, &never, 10);
	ok(!rig.done, "a follower has what there is");
	for (int stream = 1; stream <= 2; stream++) {
		snprintf(body, sizeof(body),
			 "{\"id\":\"%s\",\"stream\":%d,\"text\":\"last of %d\\n\"}", id, stream,
			 stream);
		rig_tell(&rig, "/fake/write", body);
	}
	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"code\":0}", id);
	rig_tell(&rig, "/fake/exit", body);
	is_int(rig_wait(&rig), 0, "it ends with the container");
	is_str(str_text(&conf_output[1]),
	       terminal ? "line 1\nline 2\nline 3\nline 4\nline 5\nlast of 1\nlast of 2\n"
			: "line 1\nline 3\nline 5\nlast of 1\n",
	       "stdout has the last line, each once%s", terminal ? ", of a terminal" : "");
	is_str(str_text(&conf_output[2]), terminal ? "" : "line 2\nline 4\nlast of 2\n",
	       "stderr too");
	conf_output_clear();
	rig_no_faults(&rig);
	RUN(&rig, remove, id);
}

int main(void)
{
	static const char *const run[] = {"sleep", "1000", NULL};

	list = (struct conformance){&rig, "base", run, run, run, run, "c-", 0};
	rig_open(&rig);
	rig_engine(&rig);
	rig_load(&rig, "docker", "{\"stall_timeout\":\"500ms\",\"pull_stall\":\"500ms\"}");
	engine_is_away();
	options();
	slow_and_cut();
	broken();
	updates();
	pull_tests();
	shapes();
	outputs();
	lost_tail(false);
	lost_tail(true);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
