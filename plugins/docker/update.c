/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing limits of a container: an update that the engine accepted proves nothing, so each is
 * framed by two inspects, and where the engine is on this host the cgroup is read too.
 *
 *	before ─▶ update ─▶ after ─▶ all as wanted? ──yes──▶ done: the limits as they are
 *	  │          │                     └──no──▶ revert ─▶ failed: which limits did not take
 *	  └──────────┴─ failed: the engine's words (a refused update changed nothing)
 *
 * Memory and the sum of memory and swap go together: the engine would refuse a memory over the sum
 * that is there. Where one of the two was not asked for, the other moves so that the swap itself
 * stays what it was; it stays unlimited where it was unlimited.
 * A limit that was not set before cannot be unset by an update, but for that of processes [ran with Docker
 * 20.10: 0 is "leave it", -1 is refused, or told and not applied]. Memory and CPUs are set to all that the
 * host has, which holds nothing back, and the error says so.
 * The revert is not cancelled with the op: half of a change is worse than a late end.
 */
#include "docker.h"

#include <stdarg.h>
#include <stdlib.h>

#define DEFAULT_SHARES 1024 /* of a container that names none */

struct update {
	struct docker_call call;
	struct gantry_op *op; /* borrowed */
	const char *container;
	struct gantry_limits wanted, before, after; /* strings in the op's memory */
	bool swap_is_ours;                          /* not asked for: moved along with the memory */
	char missed[160];
	char unset[160]; /* what the revert has set in place of nothing */
};

static void add(struct json_object *body, const char *key, int64_t value)
{
	if (value != GANTRY_UNSET)
		docker_add_int(body, key, value);
}

static void send_limits(struct update *update, const struct gantry_limits *limits, bool swap)
{
	struct json_object *body = json_object_new_object();

	add(body, "Memory", limits->memory_bytes);
	if (swap) /* -1 is the engine's word for unlimited, and ours for unset */
		docker_add_int(body, "MemorySwap", limits->memory_swap_bytes);
	add(body, "NanoCpus", limits->nano_cpus);
	add(body, "CpuShares", limits->cpu_shares);
	add(body, "PidsLimit", limits->pids);
	docker_add(body, "CpusetCpus", limits->cpuset);
	docker_call(&update->call, "POST", docker_print(body), "/containers/%s/update",
		    update->container);
	json_object_put(body);
}

static void keep_limits(struct update *update, struct json_object *reply,
			struct gantry_limits *ret_limits)
{
	docker_read_limits(reply, ret_limits);
	ret_limits->cpuset = docker_keep(update->call.node, update->op, ret_limits->cpuset);
}

/* Fills in the one of memory and swap that was not asked for. */
static void pair_memory(struct update *update)
{
	struct gantry_limits *wanted = &update->wanted;
	const struct gantry_limits *before = &update->before;

	if (wanted->memory_bytes == GANTRY_UNSET && wanted->memory_swap_bytes != GANTRY_UNSET)
		wanted->memory_bytes = before->memory_bytes;
	if (wanted->memory_bytes == GANTRY_UNSET || wanted->memory_swap_bytes != GANTRY_UNSET)
		return;
	update->swap_is_ours = true;
	if (before->memory_bytes == GANTRY_UNSET)
		wanted->memory_swap_bytes =
			wanted->memory_bytes * 2; /* as the engine does at create */
	else if (before->memory_swap_bytes != GANTRY_UNSET)
		wanted->memory_swap_bytes =
			wanted->memory_bytes + before->memory_swap_bytes - before->memory_bytes;
}

#define WORDS_SIZE sizeof(((struct update *)0)->missed)

/* Another item of a list that a person reads. */
__attribute__((format(printf, 2, 3))) static void add_words(char text[WORDS_SIZE],
							    const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	if (length > 0)
		length += (size_t)snprintf(text + length, WORDS_SIZE - length, ", ");
	if (length >= WORDS_SIZE)
		return;
	va_start(args, format);
	vsnprintf(text + length, WORDS_SIZE - length, format, args);
	va_end(args);
}

static void check(struct update *update, const char *name, int64_t wanted, int64_t after)
{
	if (wanted == GANTRY_UNSET || wanted == after)
		return;
	add_words(update->missed, "%s is %lld, not %lld", name,
		  (long long)(after == GANTRY_UNSET ? 0 : after), (long long)wanted);
}

static void compare(struct update *update)
{
	const struct gantry_limits *wanted = &update->wanted, *after = &update->after;

	check(update, "memory", wanted->memory_bytes, after->memory_bytes);
	/* an engine without swap accounting holds the sum as unlimited */
	if (!update->swap_is_ours || after->memory_swap_bytes != GANTRY_UNSET)
		check(update, "memory_swap", wanted->memory_swap_bytes, after->memory_swap_bytes);
	check(update, "cpus", wanted->nano_cpus, after->nano_cpus);
	check(update, "cpu_shares", wanted->cpu_shares, after->cpu_shares);
	check(update, "pids", wanted->pids, after->pids);
	if (wanted->cpuset && (!after->cpuset || strcmp(wanted->cpuset, after->cpuset) != 0))
		add_words(update->missed, "cpuset is \"%s\", not \"%s\"",
			  after->cpuset ? after->cpuset : "", wanted->cpuset);
}

static void miss(struct update *update, const char *name, int64_t wanted, int64_t held,
		 int64_t step)
{
	char text[32] = "without a limit";

	if (docker_cgroup_holds(wanted, held, step))
		return;
	if (held != DOCKER_CGROUP_NONE)
		snprintf(text, sizeof(text), "%lld", (long long)held);
	add_words(update->missed, "%s is %s in the cgroup, not %lld", name, text,
		  (long long)wanted);
}

/* The kernel counts memory in pages, and CPUs in microseconds of a period. */
static void compare_cgroup(struct update *update, struct json_object *reply)
{
	const struct gantry_limits *wanted = &update->wanted;
	struct docker_cgroup held;

	if (!update->call.node->unix_socket ||
	    !docker_read_cgroup("", docker_int(docker_get(reply, "State"), "Pid", 0),
				docker_text(reply, "Id"), &held))
		return;
	miss(update, "memory", wanted->memory_bytes, held.memory_bytes, 64 << 10);
	if (!update->swap_is_ours)
		miss(update, "memory_swap", wanted->memory_swap_bytes, held.memory_swap_bytes,
		     64 << 10);
	miss(update, "cpus", wanted->nano_cpus, held.nano_cpus, 1000000);
	miss(update, "cpu_shares", wanted->cpu_shares, held.cpu_shares, 1);
	miss(update, "pids", wanted->pids, held.pids, 1);
	if (!docker_cgroup_holds_set(wanted->cpuset, held.cpuset))
		add_words(update->missed, "cpuset is \"%s\" in the cgroup, not \"%s\"", held.cpuset,
			  wanted->cpuset);
}

static void reverted(struct docker_call *call, const struct gantry_error *err,
		     struct json_object *reply)
{
	struct update *update = (struct update *)call;

	(void)reply;
	if (err)
		docker_fail(
			call->node, update->op, -EINVAL,
			"the engine accepted the limits, but %s; and taking them back failed: %s",
			update->missed, err->text);
	else if (update->unset[0])
		docker_fail(call->node, update->op, -EINVAL,
			    "the engine accepted the limits, but %s; they are taken back, but it "
			    "cannot unset one that was not set before: %s",
			    update->missed, update->unset);
	else
		docker_fail(call->node, update->op, -EINVAL,
			    "the engine accepted the limits, but %s; all is as it was before",
			    update->missed);
}

/* What was set before, or in its place what holds nothing back: 0 where there is no such value. */
static int64_t back_to(struct update *update, const char *name, int64_t wanted, int64_t before,
		       int64_t nothing)
{
	if (wanted == GANTRY_UNSET || before != GANTRY_UNSET)
		return wanted == GANTRY_UNSET ? GANTRY_UNSET : before;
	if (nothing)
		add_words(update->unset, "%s is %lld now", name, (long long)nothing);
	else
		add_words(update->unset, "%s stays %lld", name, (long long)wanted);
	return nothing ? nothing : GANTRY_UNSET;
}

static void revert(struct update *update)
{
	const struct gantry_limits *wanted = &update->wanted, *before = &update->before;
	const struct docker_node *node = update->call.node;
	struct gantry_limits back = {
		.memory_bytes = back_to(update, "memory", wanted->memory_bytes,
					before->memory_bytes, node->memory_bytes),
		.memory_swap_bytes = before->memory_swap_bytes,
		.nano_cpus = back_to(update, "cpus", wanted->nano_cpus, before->nano_cpus,
				     node->cpus * 1000000000),
		.cpu_shares = back_to(update, "cpu_shares", wanted->cpu_shares, before->cpu_shares,
				      DEFAULT_SHARES),
		.pids = wanted->pids == GANTRY_UNSET || before->pids != GANTRY_UNSET
				? back_to(update, "pids", wanted->pids, before->pids, 0)
				: 0, /* the engine's word for no limit */
		.cpuset = wanted->cpuset ? before->cpuset : NULL,
	};

	/* -1, which is "no limit" at create, does not reach the kernel by an update */
	if (before->memory_bytes == GANTRY_UNSET && node->memory_bytes)
		back.memory_swap_bytes = 2 * node->memory_bytes;
	else if (wanted->memory_swap_bytes != GANTRY_UNSET &&
		 before->memory_swap_bytes == GANTRY_UNSET)
		back.memory_swap_bytes = back_to(update, "memory_swap", wanted->memory_swap_bytes,
						 before->memory_swap_bytes, 2 * node->memory_bytes);
	if (wanted->cpuset && !before->cpuset)
		add_words(update->unset, "cpuset stays \"%s\"", wanted->cpuset);
	update->call.done = reverted;
	update->call.op = NULL; /* for the call only: no cancel */
	send_limits(update, &back, back.memory_bytes != GANTRY_UNSET);
}

static void read_back(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct update *update = (struct update *)call;

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	keep_limits(update, reply, &update->after);
	compare(update);
	compare_cgroup(update, reply);
	if (update->missed[0])
		revert(update);
	else
		call->node->host->op_done(call->op, NULL, &update->after);
}

static void updated(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct update *update = (struct update *)call;
	struct gantry_error mapped;

	(void)reply;
	if (err) {
		mapped = *err;
		/* whatever the status, the engine said no to these values */
		if (call->status && call->status != 404 && call->status != 503)
			mapped.code = -EINVAL;
		/* the container was there a moment ago: the engine has no such call (Podman before 4.4) */
		if (call->status == 404 && !docker_says(err->text, "no such container"))
			mapped.code = -ENOTSUP;
		call->node->host->op_done(call->op, &mapped, NULL);
		return;
	}
	call->done = read_back;
	docker_call(call, "GET", NULL, "/containers/%s/json", update->container);
}

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct update *update = (struct update *)call;

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	keep_limits(update, reply, &update->before);
	pair_memory(update);
	call->done = updated;
	send_limits(update, &update->wanted,
		    update->wanted.memory_bytes != GANTRY_UNSET ||
			    update->wanted.memory_swap_bytes != GANTRY_UNSET);
}

void docker_update(void *arg, const char *container, const struct gantry_limits *limits,
		   struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct update *update = node->host->op_alloc(op, sizeof(*update));

	update->call.node = node;
	update->call.op = update->op = op;
	update->call.done = inspected;
	update->container = docker_keep(node, op, container);
	update->wanted = *limits;
	update->wanted.cpuset = docker_keep(node, op, limits->cpuset);
	docker_call(&update->call, "GET", NULL, "/containers/%s/json", container);
}
