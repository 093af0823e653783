/* SPDX-License-Identifier: Apache-2.0 */
/* What a container uses: one reading, or the engine's stream of them, with what the kernel alone tells of it. */
#include "docker.h"

/* "Read" of cgroup v1, "read" of v2. */
static int64_t sum_block_io(struct json_object *list, const char *what)
{
	int64_t sum = 0;

	if (!json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *op = docker_text(one, "op");

		if (op && docker_says(op, what))
			sum += docker_int(one, "value", 0);
	}
	return sum;
}

/* The engine's "usage" counts the page cache; what can be dropped at once is taken off. */
static int64_t used_memory(struct json_object *memory)
{
	struct json_object *detail = docker_get(memory, "stats");
	int64_t usage = docker_int(memory, "usage", 0);
	int64_t cache = docker_int(detail, "total_inactive_file", -1); /* v1 */

	if (cache < 0)
		cache = docker_int(detail, "inactive_file", 0); /* v2 */
	return cache < usage ? usage - cache : usage;
}

static int64_t pids_limit(struct json_object *pids)
{
	int64_t limit = docker_int(pids, "limit", 0);

	return limit > 0 && limit < INT64_MAX ? limit : GANTRY_UNSET; /* some engines say 2^64-1 */
}

static void read_stats(struct json_object *reply, struct gantry_stats *stats)
{
	struct json_object *memory = docker_get(reply, "memory_stats");
	struct json_object *cpu = docker_get(reply, "cpu_stats"), *throttling, *networks, *block;

	*stats = (struct gantry_stats){
		.time_ms = docker_time_ns(docker_text(reply, "read")) / 1000000,
		.memory_bytes = used_memory(memory),
		.memory_limit_bytes = docker_int(memory, "limit", 0),
		.cpu_ns = docker_int(docker_get(cpu, "cpu_usage"), "total_usage", 0),
		.pids = docker_int(docker_get(reply, "pids_stats"), "current", 0),
		.pids_limit = pids_limit(docker_get(reply, "pids_stats")),
		.oom_kills = GANTRY_UNSET,
		.cpu_pressure_percent = GANTRY_UNSET,
		.memory_pressure_percent = GANTRY_UNSET,
		.io_pressure_percent = GANTRY_UNSET,
	};
	throttling = docker_get(cpu, "throttling_data");
	stats->cpu_periods = docker_int(throttling, "periods", GANTRY_UNSET);
	stats->throttled_ns = docker_int(throttling, "throttled_time", 0);
	stats->throttled_periods = docker_int(throttling, "throttled_periods", 0);
	networks = docker_get(reply, "networks");
	if (json_object_is_type(networks, json_type_object)) {
		json_object_object_foreach(networks, name, network)
		{
			(void)name;
			stats->network_rx_bytes += docker_int(network, "rx_bytes", 0);
			stats->network_tx_bytes += docker_int(network, "tx_bytes", 0);
		}
	}
	block = docker_get(docker_get(reply, "blkio_stats"), "io_service_bytes_recursive");
	stats->block_read_bytes = sum_block_io(block, "read");
	stats->block_write_bytes = sum_block_io(block, "write");
}

/* A reading of what does not run has no time. */
static bool is_reading(struct json_object *reply)
{
	return docker_time_ns(docker_text(reply, "read")) > 0;
}

/* --- one --- */

/* What the engine does not tell; it is there without, where the container has gone meanwhile. */
static void located(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	if (!err)
		docker_read_cgroup_stats("", docker_int(docker_get(reply, "State"), "Pid", 0),
					 docker_text(reply, "Id"), call->arg);
	call->node->host->op_done(call->op, NULL, call->arg);
}

static void measured(struct docker_call *call, const struct gantry_error *err,
		     struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct gantry_stats *stats;
	struct docker_call *next;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	if (!is_reading(reply)) {
		docker_fail(node, call->op, -EALREADY, "the container is not running");
		return;
	}
	stats = node->host->op_alloc(call->op, sizeof(*stats));
	read_stats(reply, stats);
	if (!node->unix_socket) {
		node->host->op_done(call->op, NULL, stats);
		return;
	}
	next = docker_call_new(node, call->op, located);
	next->arg = stats;
	docker_call(next, "GET", NULL, "/containers/%s/json", (const char *)call->arg);
}

void docker_stats(void *arg, const char *container, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct docker_call *call = docker_call_new(node, op, measured);

	call->arg = (void *)docker_keep(arg, op, container);
	/* without one-shot the engine takes a second sample, a second later; before 1.41 it always does */
	docker_call(call, "GET", NULL, "/containers/%s/stats?stream=false%s", container,
		    node->api_minor == 0 || node->api_minor >= 41 ? "&one-shot=true" : "");
}

/* --- the stream --- */

/*
 *	inspect   does it run, and which process is it: where the engine is on this host its cgroup tells the rest
 *	read      a reading a second. Where the process has ended the engine goes on with empty ones, so the first of
 *	          those is the end
 */
struct follow {
	struct docker_call call;
	struct docker_stream stream;
	const char *container, *id; /* in the op's memory */
	int64_t pid;                /* 0: not of this host */
	gantry_stats_fn fn;
	void *arg;
	bool over, ended_by_reader;
};

static int on_reading(void *arg, struct json_object *reading)
{
	struct follow *follow = arg;
	struct gantry_stats stats;

	follow->over = !is_reading(reading);
	if (follow->over)
		return -ECANCELED;
	read_stats(reading, &stats);
	if (follow->pid)
		docker_read_cgroup_stats("", follow->pid, follow->id, &stats);
	follow->ended_by_reader = follow->fn(follow->arg, &stats) < 0;
	return follow->ended_by_reader ? -ECANCELED : 0;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct follow *follow = (struct follow *)call;

	return docker_stream_feed(&follow->stream, data, length, on_reading, follow);
}

static void followed(struct docker_call *call, const struct gantry_error *err,
		     struct json_object *reply)
{
	struct follow *follow = (struct follow *)call;

	(void)reply;
	docker_stream_fini(&follow->stream);
	if (follow->ended_by_reader)
		docker_fail(call->node, call->op, -ECANCELED, "ended by the reader");
	else
		call->node->host->op_done(call->op, follow->over ? NULL : err, NULL);
}

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct follow *follow = (struct follow *)call;
	struct json_object *state = docker_get(reply, "State");

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	if (!docker_bool(state, "Running")) {
		docker_fail(call->node, call->op, -EALREADY, "the container is not running");
		return;
	}
	if (call->node->unix_socket)
		follow->pid = docker_int(state, "Pid", 0);
	follow->id = docker_keep(call->node, call->op, docker_text(reply, "Id"));
	call->done = followed;
	call->on_data = on_data;
	docker_call(call, "GET", NULL, "/containers/%s/stats?stream=true", follow->container);
}

void docker_stats_follow(void *arg, const char *container, gantry_stats_fn fn, void *fn_arg,
			 struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct follow *follow = node->host->op_alloc(op, sizeof(*follow));

	follow->call.node = node;
	follow->call.op = op;
	follow->call.done = inspected;
	follow->container = docker_keep(node, op, container);
	follow->fn = fn;
	follow->arg = fn_arg;
	docker_call(&follow->call, "GET", NULL, "/containers/%s/json", container);
}
