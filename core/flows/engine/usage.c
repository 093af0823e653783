/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/usage.h"
#include "base/str.h"
#include "flows/engine/node_link.h"

#include <stdlib.h>

/* The op is its life: once nobody follows it is forgotten. */
struct usage_stream {
	struct list link;  /* in daemon->usage_streams */
	struct loop *loop; /* borrowed */
	struct gantry_op *op;
	struct list followers;
	bool telling;             /* a follower may leave meanwhile, and be the last one */
	size_t stats_size;        /* of the plugin's struct gantry_stats */
	struct gantry_stats last; /* time_ms 0: none yet */
	char container[sizeof(((struct instance *)0)->container_id)];
};

struct gantry_stats usage_known(const void *filled, size_t size)
{
	struct gantry_stats stats = {
		.cpu_periods = GANTRY_UNSET,
		.pids_limit = GANTRY_UNSET,
		.oom_kills = GANTRY_UNSET,
		.cpu_pressure_percent = GANTRY_UNSET,
		.memory_pressure_percent = GANTRY_UNSET,
		.io_pressure_percent = GANTRY_UNSET,
	};

	if (size == 0)
		size = offsetof(struct gantry_stats, cpu_periods);
	memcpy(&stats, filled, size < sizeof(stats) ? size : sizeof(stats));
	return stats;
}

static void take_off(struct usage_follower *follower)
{
	loop_later_cancel(follower->stream->loop, &follower->later);
	list_remove(&follower->link);
	follower->stream = NULL;
}

/* Where nobody follows it any more. */
static void let_go(struct usage_stream *stream)
{
	if (stream->telling || !list_empty(&stream->followers))
		return;
	list_remove(&stream->link);
	op_forget(stream->op);
	free(stream);
}

static void on_later(struct loop_later *later)
{
	struct usage_follower *follower = LIST_ENTRY(later, struct usage_follower, later);

	follower->reading(follower, &follower->stream->last);
}

static int on_reading(void *arg, const struct gantry_stats *filled)
{
	struct usage_stream *stream = arg;

	stream->last = usage_known(filled, stream->stats_size);
	stream->telling = true;
	LIST_FOREACH (node, &stream->followers) {
		struct usage_follower *follower = LIST_ENTRY(node, struct usage_follower, link);

		loop_later_cancel(stream->loop, &follower->later);
		follower->reading(follower, &stream->last);
	}
	stream->telling = false;
	let_go(stream);
	return 0;
}

static void on_ended(void *arg, const struct gantry_error *err, const void *result)
{
	struct usage_stream *stream = arg;

	(void)result;
	list_remove(&stream->link); /* who comes now has another */
	while (!list_empty(&stream->followers)) {
		struct usage_follower *follower =
			LIST_ENTRY(stream->followers.next, struct usage_follower, link);

		take_off(follower);
		follower->ended(follower, err);
	}
	free(stream);
}

static struct usage_stream *find(const struct daemon *daemon, const char *container)
{
	LIST_FOREACH (node, &daemon->usage_streams) {
		struct usage_stream *stream = LIST_ENTRY(node, struct usage_stream, link);

		if (str_equal(stream->container, container))
			return stream;
	}
	return NULL;
}

static struct usage_stream *open_stream(struct daemon *daemon, const char *container,
					const struct node_link *link)
{
	struct usage_stream *stream = xcalloc(1, sizeof(*stream));

	snprintf(stream->container, sizeof(stream->container), "%s", container);
	stream->loop = daemon->loop;
	stream->stats_size = link->runtime->stats_size;
	list_init(&stream->followers);
	list_append(&daemon->usage_streams, &stream->link);
	stream->op = op_new(&daemon->scope, "follow stats", on_ended, stream);
	link->runtime->stats_follow(link->handle, container, on_reading, stream, stream->op);
	return stream;
}

int usage_follow(struct daemon *daemon, const struct instance *instance,
		 const struct node_link *link, struct usage_follower *follower,
		 struct gantry_error *err)
{
	struct usage_stream *stream = find(daemon, instance->container_id);

	if (daemon->stopping)
		return gantry_error_set(err, -EAGAIN, "gantryd stops");
	if (!link->runtime->stats_follow)
		return gantry_error_set(err, -ENOTSUP, "node %s offers no stream of figures",
					link->node.name);
	if (!stream)
		stream = open_stream(daemon, instance->container_id, link);
	follower->stream = stream;
	loop_later_init(&follower->later, on_later);
	list_append(&stream->followers, &follower->link);
	if (stream->last.time_ms)
		loop_later(daemon->loop, &follower->later);
	return 0;
}

void usage_unfollow(struct usage_follower *follower)
{
	struct usage_stream *stream = follower->stream;

	if (!stream)
		return;
	take_off(follower);
	let_go(stream);
}
