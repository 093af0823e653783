/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a container, one call each. */
#include "docker.h"

#include <stdlib.h>

/* Success has no result. */
static void plain_done(struct docker_call *call, const struct gantry_error *err,
		       struct json_object *reply)
{
	(void)reply;
	if (!err && call->status == 304)
		docker_fail(call->node, call->op, -EALREADY, "it is so already");
	else
		call->node->host->op_done(call->op, err, NULL);
}

/* --- start --- */

static bool cannot_run(const char *text)
{
	static const char *const words[] = {
		"executable file not found",
		"no such file or directory",
		"permission denied",
		"exec format error",
		"is a directory",
		"not a directory",
		"exec: ",
		"OCI runtime",
		"container init",
		NULL,
	};

	for (size_t i = 0; words[i]; i++)
		if (docker_says(text, words[i]))
			return true;
	return false;
}

static void started(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct gantry_error mapped;

	if (!err) {
		plain_done(call, err, reply);
		return;
	}
	mapped = *err;
	if (call->status == 404 && !docker_says(err->text, "no such container") &&
	    !docker_says(err->text, "no container with"))
		mapped.code = -EINVAL; /* a network, a volume, a program that is not there */
	if (call->status && mapped.code != -EEXIST && mapped.code != -ENOENT &&
	    cannot_run(err->text))
		mapped.code = -ENOEXEC;
	call->node->host->op_done(call->op, &mapped, NULL);
}

void docker_start(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, started), "POST", NULL, "/containers/%s/start",
		    container);
}

/* --- kill, pause, unpause, rename --- */

static void killed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct gantry_error mapped;

	if (err && call->status == 409) {
		mapped = *err;
		mapped.code = -EALREADY;
		err = &mapped;
	}
	plain_done(call, err, reply);
}

void docker_kill(void *arg, const char *container, int signal, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, killed), "POST", NULL, "/containers/%s/kill?signal=%d",
		    container, signal);
}

void docker_pause(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL, "/containers/%s/pause",
		    container);
}

void docker_unpause(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL, "/containers/%s/unpause",
		    container);
}

void docker_rename(void *arg, const char *container, const char *name, struct gantry_op *op)
{
	char *encoded = docker_url(name);

	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL,
		    "/containers/%s/rename?name=%s", container, encoded);
	free(encoded);
}

/* --- wait --- */

static void waited(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	const char *error = docker_text(docker_get(reply, "Error"), "Message");
	struct gantry_exit *end;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	if (error && error[0]) {
		docker_fail(node, call->op, -EIO, "%s", error);
		return;
	}
	end = node->host->op_alloc(call->op, sizeof(*end));
	end->exit_code = (int)docker_int(reply, "StatusCode", 0);
	node->host->op_done(call->op, NULL, end);
}

void docker_wait(void *arg, const char *container, struct gantry_op *op)
{
	struct docker_call *call = docker_call_new(arg, op, waited);

	call->stall_ms = -1;
	docker_call(call, "POST", NULL, "/containers/%s/wait", container);
}

/* --- remove: what is not there is removed --- */

static void gone(struct docker_call *call, const struct gantry_error *err,
		 struct json_object *reply)
{
	plain_done(call, err && call->status == 404 ? NULL : err, reply);
}

static void removed(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	if (err && call->status == 409 && docker_says(err->text, "in progress")) {
		/* somebody else is at it: wait for that */
		call->done = gone;
		call->stall_ms = -1;
		docker_call(call, "POST", NULL, "/containers/%s/wait?condition=removed",
			    (const char *)call->arg);
		return;
	}
	if (err && call->status != 404 && docker_says(err->text, "no such container"))
		err = NULL;
	gone(call, err, reply);
}

void docker_remove(void *arg, const char *container, struct gantry_op *op)
{
	struct docker_call *call = docker_call_new(arg, op, removed);

	call->arg = (void *)docker_keep(arg, op, container);
	docker_call(call, "DELETE", NULL, "/containers/%s?force=1&v=1", container);
}

/* --- stats --- */

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

/* What the engine does not tell; it is there without, where the container has gone meanwhile. */
static void stats_located(struct docker_call *call, const struct gantry_error *err,
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
	struct json_object *memory = docker_get(reply, "memory_stats");
	struct json_object *cpu = docker_get(reply, "cpu_stats"), *throttling, *networks, *block;
	struct gantry_stats *stats;
	struct docker_call *next;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	if (docker_time_ns(docker_text(reply, "read")) == 0) {
		docker_fail(node, call->op, -EALREADY, "the container is not running");
		return;
	}
	stats = node->host->op_alloc(call->op, sizeof(*stats));
	stats->time_ms = docker_time_ns(docker_text(reply, "read")) / 1000000;
	stats->memory_bytes = used_memory(memory);
	stats->memory_limit_bytes = docker_int(memory, "limit", 0);
	stats->cpu_ns = docker_int(docker_get(cpu, "cpu_usage"), "total_usage", 0);
	throttling = docker_get(cpu, "throttling_data");
	stats->cpu_periods = docker_int(throttling, "periods", GANTRY_UNSET);
	stats->throttled_ns = docker_int(throttling, "throttled_time", 0);
	stats->throttled_periods = docker_int(throttling, "throttled_periods", 0);
	stats->pids = docker_int(docker_get(reply, "pids_stats"), "current", 0);
	stats->pids_limit = pids_limit(docker_get(reply, "pids_stats"));
	stats->oom_kills = GANTRY_UNSET;
	stats->cpu_pressure_percent = GANTRY_UNSET;
	stats->memory_pressure_percent = GANTRY_UNSET;
	stats->io_pressure_percent = GANTRY_UNSET;
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
	if (!node->unix_socket) {
		node->host->op_done(call->op, NULL, stats);
		return;
	}
	next = docker_call_new(node, call->op, stats_located);
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

/* --- top --- */

static void listed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct json_object *rows = docker_get(reply, "Processes");
	struct gantry_error mapped;
	struct gantry_top *top;

	if (err) {
		mapped = *err;
		if (call->status == 409)
			mapped.code = -EALREADY;
		node->host->op_done(call->op, &mapped, NULL);
		return;
	}
	top = node->host->op_alloc(call->op, sizeof(*top));
	top->titles = docker_keep_list(node, call->op, docker_get(reply, "Titles"));
	if (json_object_is_type(rows, json_type_array)) {
		top->count = json_object_array_length(rows);
		top->rows = node->host->op_alloc(call->op, (top->count + 1) * sizeof(*top->rows));
		for (size_t i = 0; i < top->count; i++)
			top->rows[i] = docker_keep_list(node, call->op,
							json_object_array_get_idx(rows, i));
	}
	node->host->op_done(call->op, NULL, top);
}

void docker_top(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, listed), "GET", NULL, "/containers/%s/top", container);
}
