/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <gantry/text.h>

#include <stdlib.h>
#include <time.h>

/* --- small things --- */

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t sim_now_ns(struct sim_node *node)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	node->last_ns = ns > node->last_ns ? ns : node->last_ns + 1;
	return node->last_ns;
}

uint64_t sim_mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
	return value ^ (value >> 31);
}

uint64_t sim_hash(const char *text)
{
	return gantry_hash(GANTRY_HASH_SEED, text, strlen(text));
}

double sim_random(struct sim_node *node)
{
	node->random += 0x9e3779b97f4a7c15u;
	return (double)(sim_mix(node->random) >> 11) * 0x1p-53;
}

void *sim_alloc(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory)
		abort();
	return memory;
}

char *sim_strdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* --- outages --- */

/* Where the node is in its outages: how many are over, whether one is on, when that changes. */
static bool is_down(const struct sim_node *node, int64_t *ret_over, int64_t *ret_next_ms)
{
	const struct sim_settings *settings = node->settings;
	int64_t up_ms = settings->down_after_ms, down_ms = settings->up_after_ms;
	int64_t at_ms = clock_ms(CLOCK_MONOTONIC) - node->opened_ms, round = 0;
	bool down;

	*ret_over = 0;
	*ret_next_ms = -1;
	if (up_ms == 0)
		return false;
	if (settings->flap && down_ms > 0) {
		round = at_ms / (up_ms + down_ms);
		at_ms %= up_ms + down_ms;
	}
	down = at_ms >= up_ms && (down_ms == 0 || at_ms < up_ms + down_ms);
	*ret_over = round + (at_ms >= up_ms && !down);
	if (at_ms < up_ms)
		*ret_next_ms = up_ms - at_ms;
	else if (down && down_ms > 0)
		*ret_next_ms = up_ms + down_ms - at_ms;
	return down;
}

static void kill_silently(struct sim_container *container, void *arg)
{
	(void)arg;
	if (sim_lives(container))
		sim_process_die(container, 137);
}

int sim_node_reach(struct sim_node *node, struct gantry_error *err)
{
	int64_t over, next_ms;
	bool down = is_down(node, &over, &next_ms);
	int code;

	if (!node->ready) {
		code = sim_state_open(node, err);
		if (code < 0)
			return code;
		node->ready = true;
	}
	if (over > node->outages) {
		node->outages = over;
		if (node->settings->reboot) { /* nobody saw it happen */
			sim_table_walk(node, kill_silently, NULL);
			sim_events_forget(node);
		}
	}
	if (down)
		return gantry_error_set(err, -EHOSTUNREACH, "sim: the node is out of reach");
	return 0;
}

int64_t sim_node_next_change_ms(const struct sim_node *node)
{
	int64_t over, next_ms;

	is_down(node, &over, &next_ms);
	return next_ms;
}

/* --- life --- */

int sim_node_open(void *plugin, const char *name, const void *settings, const char *owner,
		  void **ret_node, struct gantry_error *err)
{
	struct sim_node *node = sim_alloc(sizeof(*node));
	struct timespec now;
	int code;

	clock_gettime(CLOCK_REALTIME, &now);
	node->host = plugin;
	node->name = name;
	node->owner = owner;
	node->settings = settings;
	node->random = sim_mix((uint64_t)node->settings->seed ^ sim_hash(name));
	node->epoch =
		sim_mix((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) ^ sim_hash(name);
	node->serial = node->epoch;
	node->opened_ms = clock_ms(CLOCK_MONOTONIC);
	node->next_pid = 1000;
	node->next_port = 32768;
	node->state_fd = -1;
	TAILQ_INIT(&node->queue);
	LIST_INIT(&node->pending);
	code = sim_rules_read(node, err);
	if (code < 0) {
		sim_node_close(node);
		return code;
	}
	*ret_node = node;
	return 0;
}

void sim_node_close(void *arg)
{
	struct sim_node *node = arg;

	if (node->outage)
		node->host->timer_stop(node->outage);
	if (node->telling)
		node->host->timer_stop(node->telling);
	sim_table_free(node);
	sim_events_forget(node);
	free(node->events);
	sim_images_free(node);
	sim_state_close(node);
	free(node->rules);
	free(node);
}

static void probed(struct sim_call *call)
{
	const struct sim_node *node = call->node;
	struct gantry_node_facts *facts = sim_call_alloc(call, sizeof(*facts));
	char id[SIM_ID_SIZE], boot[24];

	sim_id_text(sim_hash(node->name), id);
	*facts = (struct gantry_node_facts){
		.engine = "sim",
		.engine_version = "1",
		.api_version = "1.0",
		.engine_id = sim_call_keep(call, id),
		.storage_driver = "memory",
		.cgroup_version = "2",
		.kernel = "none",
		.operating_system = "Simulated",
		.architecture = "x86_64",
		.cpus = node->settings->host_cpus,
		.memory_bytes = node->settings->host_memory_bytes,
		.memory_limit = true,
		.swap_limit = true,
		.cpu_quota = true,
		.pids_limit = true,
	};
	if (node->settings->reboot) {
		snprintf(boot, sizeof(boot), "%lld", (long long)node->outages);
		facts->boot_id = sim_call_keep(call, boot);
	}
	sim_call_done(call, facts);
}

void sim_probe(void *node, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_PROBE, 0, probed, NULL, NULL));
}
