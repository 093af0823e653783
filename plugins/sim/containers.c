/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdlib.h>

struct sim_container *sim_call_container(struct sim_call *call)
{
	struct sim_container *container = sim_table_find(call->node, call->container);

	if (!container)
		sim_call_fail(call, -ENOENT, "there is no container %.80s", call->container);
	return container;
}

struct sim_container *sim_call_running(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);

	if (!container || sim_lives(container))
		return container;
	sim_call_fail(call, -EALREADY, "it is not running");
	return NULL;
}

void sim_call_pin(struct sim_call *call, const struct sim_container *container)
{
	char id[SIM_ID_SIZE];

	sim_id_text(container->key, id);
	call->container = sim_call_keep(call, id);
}

/* --- create --- */

struct create_call {
	struct sim_call call;
	struct sim_container *made; /* owned until it is in the table */
	bool borrows;               /* the filesystem of another */
};

/* What an engine would refuse. */
static int check_limits(const struct sim_node *node, const struct gantry_limits *limits, char *text,
			size_t size)
{
	int64_t memory = limits->memory_bytes, both = limits->memory_swap_bytes;

	text[0] = '\0';
	if (memory != GANTRY_UNSET && memory < SIM_MEMORY_LEAST)
		snprintf(text, size, "a memory limit is at least 6 MiB, not %lld bytes",
			 (long long)memory);
	else if (memory != GANTRY_UNSET && both != GANTRY_UNSET && both < memory)
		snprintf(text, size, "memory and swap together are %lld bytes, less than memory",
			 (long long)both);
	else if (limits->nano_cpus > node->settings->host_cpus * 1000000000)
		snprintf(text, size, "%.2f CPUs are more than the %lld that there are",
			 (double)limits->nano_cpus / 1e9, (long long)node->settings->host_cpus);
	return text[0] ? -EINVAL : 0;
}

static void create_leave(struct sim_call *call)
{
	struct create_call *create = (struct create_call *)call;

	if (create->made)
		sim_container_free(create->made);
	create->made = NULL;
}

static void create_act(struct sim_call *call)
{
	struct create_call *create = (struct create_call *)call;
	struct sim_container *made = create->made;
	struct sim_container *other = sim_table_find_name(call->node, made->name);
	const struct sim_image *image = sim_call_image(call);
	char id[SIM_ID_SIZE], text[160];

	if (!image)
		return;
	if (other) {
		sim_id_text(other->key, id);
		sim_call_fail(call, -EEXIST,
			      "the name \"%.160s\" is taken on the node by container %.12s",
			      made->name, id);
		return;
	}
	if (create->borrows) {
		sim_call_fail(call, -ENOTSUP, "no filesystem is mounted in another here");
		return;
	}
	if (check_limits(call->node, &made->limits, text, sizeof(text)) < 0) {
		sim_call_fail(call, -EINVAL, "%s", text);
		return;
	}
	create->made = NULL;
	made->tree = sim_tree_ref(image->tree);
	sim_table_add(made);
	sim_event(made, GANTRY_EVENT_CREATE, 0, NULL);
	sim_state_put(made);
	sim_state_files(made);
	sim_id_text(made->key, id);
	sim_call_done(call, sim_call_keep(call, id));
}

void sim_create(void *arg, const struct gantry_create *create, struct gantry_op *op)
{
	struct create_call *call = sim_call_new(arg, op, SIM_CREATE, sizeof(*call), create_act,
						NULL, create->spec->image);

	call->call.leave = create_leave;
	call->made = sim_container_new(arg, create);
	for (size_t i = 0; i < create->spec->mounts.count; i++)
		call->borrows = call->borrows ||
				create->spec->mounts.items[i].type == GANTRY_MOUNT_INSTANCE;
	sim_call_begin(&call->call);
}

/* --- start --- */

struct port_question {
	const struct sim_container *asker;
	const struct gantry_port *port, *taken;
};

static void compare_ports(struct sim_container *other, void *arg)
{
	struct port_question *question = arg;
	const struct gantry_port *port = question->port;

	if (other == question->asker || !sim_lives(other))
		return;
	for (size_t i = 0; i < other->port_count; i++)
		if (other->ports[i].host_port == port->host_port &&
		    strcmp(other->ports[i].protocol ? other->ports[i].protocol : "tcp",
			   port->protocol ? port->protocol : "tcp") == 0)
			question->taken = &other->ports[i];
}

static const struct gantry_port *taken_port(struct sim_container *container)
{
	struct port_question question = {.asker = container};

	for (size_t i = 0; i < container->port_count && !question.taken; i++) {
		question.port = &container->ports[i];
		if (question.port->host_port)
			sim_table_walk(container->node, compare_ports, &question);
	}
	return question.taken;
}

static void start_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);
	const struct sim_settings *settings = call->node->settings;
	const struct gantry_port *port;
	const char *obstacle;
	int64_t needed;

	if (!container)
		return;
	if (sim_lives(container)) {
		sim_call_fail(call, -EALREADY, "it runs already");
		return;
	}
	obstacle = sim_process_obstacle(container);
	if (obstacle) {
		container->exit_code = strcmp(container->words[0], "noexec") == 0 ? 126 : 127;
		sim_state_put(container);
		sim_call_fail(call, -ENOEXEC, "exec: \"%.200s\": %s", container->words[0],
			      obstacle);
		return;
	}
	port = taken_port(container);
	if (port) {
		sim_call_fail(call, -EEXIST, "port %u on %s is taken on the node", port->host_port,
			      port->host_ip ? port->host_ip : "127.0.0.1");
		return;
	}
	needed = container->limits.memory_bytes > 0 ? container->limits.memory_bytes : 0;
	if (settings->true_memory_bytes &&
	    call->node->running_memory_bytes + needed > settings->true_memory_bytes) {
		sim_call_fail(call, -EIO, "cannot allocate memory: the host has less than it says");
		return;
	}
	sim_process_start(container);
	sim_call_done(call, NULL);
}

void sim_start(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_START, 0, start_act, container, NULL));
}

/* --- the others --- */

static void kill_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_running(call);

	if (!container)
		return;
	sim_process_signal(container, call->number);
	sim_call_done(call, NULL);
}

void sim_kill(void *node, const char *container, int signal, struct gantry_op *op)
{
	struct sim_call *call = sim_call_new(node, op, SIM_KILL, 0, kill_act, container, NULL);

	call->number = signal;
	sim_call_begin(call);
}

static void remove_act(struct sim_call *call)
{
	struct sim_container *container = sim_table_find(call->node, call->container);

	if (container) {
		if (sim_lives(container))
			sim_process_signal(container, 9);
		sim_table_remove(container);
		sim_event(container, GANTRY_EVENT_REMOVE, 0, NULL);
		sim_state_gone(container);
		sim_tell_waiters(container);
		sim_container_free(container);
	}
	sim_call_done(call, NULL);
}

void sim_remove(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_REMOVE, 0, remove_act, container, NULL));
}

static void pause_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_running(call);
	bool pausing = call->verb == SIM_PAUSE;

	if (!container)
		return;
	if (pausing == (container->state == GANTRY_CONTAINER_PAUSED)) {
		sim_call_fail(call, -EALREADY, "it is %s paused", pausing ? "already" : "not");
		return;
	}
	container->state = pausing ? GANTRY_CONTAINER_PAUSED : GANTRY_CONTAINER_RUNNING;
	sim_event(container, pausing ? GANTRY_EVENT_PAUSE : GANTRY_EVENT_UNPAUSE, 0, NULL);
	sim_state_put(container);
	if (!pausing)
		sim_process_unpaused(container);
	sim_call_done(call, NULL);
}

void sim_pause(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_PAUSE, 0, pause_act, container, NULL));
}

void sim_unpause(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_UNPAUSE, 0, pause_act, container, NULL));
}

static void rename_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call), *other;

	if (!container)
		return;
	other = sim_table_find_name(call->node, call->text);
	if (other) {
		sim_call_fail(call, -EEXIST, "the name \"%.160s\" is taken on the node",
			      call->text);
		return;
	}
	sim_table_rename(container, call->text);
	sim_event(container, GANTRY_EVENT_RENAME, 0, call->text);
	sim_state_put(container);
	sim_call_done(call, NULL);
}

void sim_rename(void *node, const char *container, const char *name, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_RENAME, 0, rename_act, container, name));
}

/* --- update --- */

struct update_call {
	struct sim_call call;
	struct gantry_limits limits; /* wanted, then as they are; cpuset in the op's memory */
};

static void set(int64_t *place, int64_t value)
{
	if (value != GANTRY_UNSET)
		*place = value;
}

/* What the limits will be. Where memory alone is asked for, the swap itself stays what it was. */
static struct gantry_limits join(const struct sim_container *container,
				 const struct gantry_limits *wanted)
{
	const struct gantry_limits *before = &container->limits;
	struct gantry_limits after = *before;

	set(&after.memory_bytes, wanted->memory_bytes);
	set(&after.memory_swap_bytes, wanted->memory_swap_bytes);
	set(&after.nano_cpus, wanted->nano_cpus);
	set(&after.cpu_shares, wanted->cpu_shares);
	set(&after.pids, wanted->pids);
	if (wanted->memory_bytes != GANTRY_UNSET && wanted->memory_swap_bytes == GANTRY_UNSET &&
	    before->memory_swap_bytes != GANTRY_UNSET && before->memory_bytes != GANTRY_UNSET)
		after.memory_swap_bytes += wanted->memory_bytes - before->memory_bytes;
	return after;
}

static void update_act(struct sim_call *call)
{
	struct update_call *update = (struct update_call *)call;
	struct sim_container *container = sim_call_container(call);
	const char *cpuset = update->limits.cpuset;
	struct gantry_limits after;
	char text[160];

	if (!container)
		return;
	after = join(container, &update->limits);
	if (check_limits(call->node, &after, text, sizeof(text)) < 0) {
		sim_call_fail(call, -EINVAL, "%s", text);
		return;
	}
	if (sim_lives(container)) {
		int64_t more = after.memory_bytes > 0 ? after.memory_bytes : 0;

		more -= container->limits.memory_bytes > 0 ? container->limits.memory_bytes : 0;
		call->node->running_memory_bytes += more;
	}
	if (cpuset) {
		free(container->cpuset);
		container->cpuset = sim_strdup(cpuset);
	}
	after.cpuset = NULL;
	container->limits = after;
	sim_event(container, GANTRY_EVENT_UPDATE, 0, NULL);
	sim_state_put(container);
	update->limits = after;
	update->limits.cpuset = sim_call_keep(call, container->cpuset);
	sim_call_done(call, &update->limits);
}

void sim_update(void *arg, const char *container, const struct gantry_limits *limits,
		struct gantry_op *op)
{
	struct update_call *update = sim_call_new(arg, op, SIM_UPDATE, sizeof(*update), update_act,
						  container, limits->cpuset);

	update->limits = *limits;
	update->limits.cpuset = update->call.text;
	sim_call_begin(&update->call);
}
