/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/start_faults.h"
#include "base/clock.h"
#include "base/log.h"

#define LOWER_AFTER    3
#define LOWER_FIRST_MS 5000
#define LOWER_MAX_MS   300000

bool start_fault_is_nodes(const struct gantry_error *err)
{
	return err->code == -EIO || err->code == -EHOSTUNREACH || err->code == -ETIMEDOUT;
}

static void raise_again(struct node_link *link)
{
	struct node *node = &link->node;

	loop_timer_stop(link->daemon->loop, &link->lowered);
	node->lowered = false;
	node->lowered_until_ms = 0;
	node_changed(node);
}

static void on_over(struct loop_timer *timer)
{
	struct node_link *link = LIST_ENTRY(timer, struct node_link, lowered);

	raise_again(link);
	log_info("node %s is chosen like the others again", link->node.name);
}

void start_faults_init(struct node_link *link)
{
	loop_timer_init(&link->lowered, on_over);
}

void start_faults_close(struct node_link *link)
{
	loop_timer_stop(link->daemon->loop, &link->lowered);
}

void start_faults_failed(struct node_link *link, const struct gantry_error *err)
{
	struct node *node = &link->node;

	if (!start_fault_is_nodes(err))
		return;
	node->failed_starts++;
	if (node->lowered || link->closing || node->failed_starts < LOWER_AFTER)
		return;
	link->lowered_ms = link->lowered_ms ? link->lowered_ms * 2 : LOWER_FIRST_MS;
	if (link->lowered_ms > LOWER_MAX_MS)
		link->lowered_ms = LOWER_MAX_MS;
	node->lowered = true;
	node->lowered_until_ms = clock_wall_ms() + link->lowered_ms;
	node_changed(node);
	loop_timer_start(link->daemon->loop, &link->lowered, link->lowered_ms);
	log_warn(
		"node %s: its last %lld starts failed: for %lld s it is chosen only where no other "
		"node is left: %s",
		node->name, (long long)node->failed_starts, (long long)link->lowered_ms / 1000,
		err->text);
}

void start_faults_started(struct node_link *link)
{
	link->node.failed_starts = 0;
	link->lowered_ms = 0;
	if (link->node.lowered)
		raise_again(link);
}
