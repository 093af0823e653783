/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked about containers. */
#include "sim.h"

#include <stdlib.h>

#define STATS_MS 1000 /* between two readings of one that is followed */

/* --- list and inspect --- */

void sim_describe(const struct sim_container *container, struct gantry_container *ret_container,
		  char id[SIM_ID_SIZE])
{
	sim_id_text(container->key, id);
	*ret_container = (struct gantry_container){
		.container_id = id,
		.name = container->name,
		.image = container->image,
		.labels = {container->labels, container->label_count},
		.state = (enum gantry_container_state)container->state,
		.created_ms = container->created_ms,
		.exit_code = container->exit_code,
		.limits = {GANTRY_UNSET, GANTRY_UNSET, GANTRY_UNSET, GANTRY_UNSET, GANTRY_UNSET,
			   NULL},
	};
}

static struct gantry_pairs keep_labels(struct sim_call *call, const struct sim_container *container)
{
	struct gantry_pairs labels = {.count = container->label_count};

	labels.items = sim_call_alloc(call, labels.count * sizeof(*labels.items));
	for (size_t i = 0; i < labels.count; i++) {
		labels.items[i].name = sim_call_keep(call, container->labels[i].name);
		labels.items[i].value = sim_call_keep(call, container->labels[i].value);
	}
	return labels;
}

static struct gantry_ports keep_ports(struct sim_call *call, const struct sim_container *container)
{
	struct gantry_ports ports = {.count = container->port_count};

	ports.items = sim_call_alloc(call, ports.count * sizeof(*ports.items));
	for (size_t i = 0; i < ports.count; i++) {
		ports.items[i] = container->ports[i];
		ports.items[i].host_ip = sim_call_keep(call, container->ports[i].host_ip);
		ports.items[i].protocol = sim_call_keep(call, container->ports[i].protocol);
	}
	return ports;
}

/* In the op's memory: the container may be gone when it is read. */
static void keep_container(struct sim_call *call, const struct sim_container *container,
			   struct gantry_container *ret_container)
{
	sim_describe(container, ret_container, sim_call_alloc(call, SIM_ID_SIZE));
	ret_container->name = sim_call_keep(call, container->name);
	ret_container->image = sim_call_keep(call, container->image);
	ret_container->labels = keep_labels(call, container);
}

struct list_call {
	struct sim_call call;
	struct gantry_containers containers;
};

static void list_one(struct sim_container *container, void *arg)
{
	struct list_call *list = arg;

	if (container->ours)
		keep_container(&list->call, container,
			       &list->containers.items[list->containers.count++]);
}

static void list_act(struct sim_call *call)
{
	struct list_call *list = (struct list_call *)call;

	list->containers.items =
		sim_call_alloc(call, call->node->count * sizeof(*list->containers.items));
	sim_table_walk(call->node, list_one, list);
	sim_call_done(call, &list->containers);
}

void sim_list(void *node, struct gantry_op *op)
{
	sim_call_begin(
		sim_call_new(node, op, SIM_LIST, sizeof(struct list_call), list_act, NULL, NULL));
}

static void inspect_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);
	struct gantry_container *out;
	const char *obstacle;
	char text[64];

	if (!container)
		return;
	out = sim_call_alloc(call, sizeof(*out));
	keep_container(call, container, out);
	out->started_ms = container->started_ms;
	out->finished_ms = container->finished_ms;
	out->oom_killed = container->oom;
	obstacle = sim_process_obstacle(container);
	if (obstacle && container->exit_code)
		out->error = obstacle;
	out->ports = keep_ports(call, container);
	out->limits = container->limits;
	out->limits.cpuset = sim_call_keep(call, container->cpuset);
	if (sim_lives(container)) {
		snprintf(text, sizeof(text), "10.%u.%u.%u", (unsigned)(container->key >> 16 & 255),
			 (unsigned)(container->key >> 8 & 255),
			 (unsigned)(container->key % 253) + 2);
		out->address = sim_call_keep(call, text);
		out->pid = container->pid;
		out->health = container->health_check ? "healthy" : NULL;
	}
	sim_call_done(call, out);
}

void sim_inspect(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_INSPECT, 0, inspect_act, container, NULL));
}

/* --- what waits for the end --- */

struct output_call {
	struct sim_call call;
	gantry_output_fn fn;
	void *arg;
	bool follow;
};

struct wait_call {
	struct sim_call call;
	struct gantry_exit end;
};

static void tell_end(struct sim_call *call, const struct sim_container *container)
{
	struct wait_call *wait = (struct wait_call *)call;

	if (call->verb == SIM_WAIT)
		wait->end.exit_code = container->exit_code;
	sim_call_done(call, call->verb == SIM_WAIT ? &wait->end : NULL);
}

void sim_tell_waiters(struct sim_container *container)
{
	struct sim_call *call = LIST_FIRST(&container->node->pending), *next;
	char id[SIM_ID_SIZE];

	if (container->waiting == 0)
		return;
	sim_id_text(container->key, id);
	container->waiting = 0;
	for (; call; call = next) {
		next = LIST_NEXT(call, pending);
		if ((call->verb == SIM_ATTACH || call->verb == SIM_EXEC) &&
		    strcmp(call->container, id) == 0)
			sim_session_ended(call);
		else if (call->verb == SIM_LOG_READ && strcmp(call->container, id) == 0)
			sim_log_ended(call, container);
		else if ((call->verb == SIM_WAIT || call->verb == SIM_OUTPUT ||
			  call->verb == SIM_STATS) &&
			 strcmp(call->container, id) == 0)
			tell_end(call, container);
	}
}

void sim_await_end(struct sim_call *call, struct sim_container *container)
{
	sim_call_pin(call, container);
	container->waiting++;
	sim_call_pend(call);
}

static void wait_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);

	if (!container)
		return;
	if (sim_lives(container))
		sim_await_end(call, container);
	else
		tell_end(call, container);
}

void sim_wait(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_WAIT, sizeof(struct wait_call), wait_act,
				    container, NULL));
}

static void output_act(struct sim_call *call)
{
	struct output_call *output = (struct output_call *)call;
	struct sim_container *container = sim_call_container(call);
	int code;

	if (!container)
		return;
	code = sim_process_output(container, output->fn, output->arg);
	if (call->ended) /* cancelled by the reader, from inside */
		return;
	if (code < 0)
		sim_call_fail(call, -ECANCELED, "ended by the reader");
	else if (output->follow && sim_lives(container))
		sim_await_end(call, container);
	else
		tell_end(call, container);
}

void sim_output(void *arg, const char *container, bool follow, gantry_output_fn fn, void *fn_arg,
		struct gantry_op *op)
{
	struct output_call *output =
		sim_call_new(arg, op, SIM_OUTPUT, sizeof(*output), output_act, container, NULL);

	output->fn = fn;
	output->arg = fn_arg;
	output->follow = follow;
	output->call.by_timer = true;
	sim_call_begin(&output->call);
}

/* --- stats and top --- */

static struct gantry_stats measure(const struct sim_container *container)
{
	struct sim_node *node = container->node;
	int64_t limit = container->limits.memory_bytes, now_ms = sim_now_ns(node) / 1000000;

	return (struct gantry_stats){
		.time_ms = now_ms,
		.memory_limit_bytes = limit > 0 ? limit : node->settings->host_memory_bytes,
		.memory_bytes = limit > 0 ? limit / 4 : 16 << 20,
		.cpu_ns = (now_ms - container->started_ms) * 10000, /* one part in a hundred */
		.pids = 1,
		.pids_limit = container->limits.pids > 0 ? container->limits.pids : GANTRY_UNSET,
		.cpu_pressure_percent = GANTRY_UNSET,
		.memory_pressure_percent = GANTRY_UNSET,
		.io_pressure_percent = GANTRY_UNSET,
	};
}

static void stats_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_running(call);
	struct gantry_stats *stats;

	if (!container)
		return;
	stats = sim_call_alloc(call, sizeof(*stats));
	*stats = measure(container);
	sim_call_done(call, stats);
}

void sim_stats(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_STATS, 0, stats_act, container, NULL));
}

struct stats_call {
	struct sim_call call;
	struct gantry_timer *tick;
	gantry_stats_fn fn;
	void *arg;
};

static void on_tick(void *arg)
{
	struct stats_call *stats = arg;
	const struct gantry_host *host = stats->call.node->host;
	struct gantry_stats reading =
		measure(sim_table_find(stats->call.node, stats->call.container));

	stats->tick = host->timer_start(host->core, STATS_MS, on_tick, stats);
	if (stats->fn(stats->arg, &reading) < 0 && !stats->call.ended)
		sim_call_fail(&stats->call, -ECANCELED, "ended by the reader");
}

static void follow_leave(struct sim_call *call)
{
	struct stats_call *stats = (struct stats_call *)call;

	if (stats->tick)
		call->node->host->timer_stop(stats->tick);
}

static void follow_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_running(call);

	if (!container)
		return;
	sim_await_end(call, container);
	on_tick(call);
}

void sim_stats_follow(void *node, const char *container, gantry_stats_fn fn, void *arg,
		      struct gantry_op *op)
{
	struct stats_call *stats =
		sim_call_new(node, op, SIM_STATS, sizeof(*stats), follow_act, container, NULL);

	stats->fn = fn;
	stats->arg = arg;
	stats->call.leave = follow_leave;
	stats->call.by_timer = true;
	sim_call_begin(&stats->call);
}

static void top_act(struct sim_call *call)
{
	static const char *titles[] = {"UID", "PID", "CMD"};
	struct sim_container *container = sim_call_running(call);
	struct gantry_top *top;
	const char **row;
	char pid[16];

	if (!container)
		return;
	top = sim_call_alloc(call, sizeof(*top));
	top->rows = sim_call_alloc(call, sizeof(*top->rows));
	row = sim_call_alloc(call, 3 * sizeof(*row));
	snprintf(pid, sizeof(pid), "%u", container->pid);
	row[0] = "root";
	row[1] = sim_call_keep(call, pid);
	row[2] = sim_call_keep(call, container->words[0] ? container->words[0] : "init");
	top->titles = (struct gantry_strings){titles, 3};
	top->rows[0] = (struct gantry_strings){row, 3};
	top->count = 1;
	sim_call_done(call, top);
}

void sim_top(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_TOP, 0, top_act, container, NULL));
}
