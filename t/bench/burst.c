/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a burst of spawns takes, from the first byte to the last of them running.
 *
 *	burst gantryd SOCKET SPEC COUNT          all asked for at once, each on a connection of its own:
 *	                                         POST /v1/instances, answered when it runs
 *	burst engine SOCKET CREATE COUNT LANES   create + start of the same container made raw, LANES of
 *	                                         them under way at any time
 *
 * The connections are open before the time begins. What was made is removed after it, REMOVE_LANES at
 * a time. On standard output one line: nanoseconds of the burst.
 */
#include "client.h"

#include <poll.h>

#define LANES_MAX    1000
#define REMOVE_LANES 8

struct item {
	char id[80]; /* of the instance, or of the container; empty: not made yet */
	bool over;
};

struct lane {
	struct bench_conn *conn; /* owned */
	long item;               /* what it is at */
	bool busy;
};

/* Sends the next request for an item, by what it is; takes what came. */
struct work {
	void (*ask)(struct lane *lane, const struct item *item);
	void (*answered)(struct lane *lane, struct item *item);
};

static const char *body;

/* --- through gantryd ---------------------------------------------------------------------------- */

static void spawn_ask(struct lane *lane, const struct item *item)
{
	(void)item;
	bench_send(lane->conn, "POST", "/v1/instances?wait=600", body);
}

static void spawn_answered(struct lane *lane, struct item *item)
{
	if (lane->conn->status != 201)
		bench_fail("spawn", lane->conn->body);
	bench_text(lane->conn, "instance", item->id, sizeof(item->id));
	item->over = true;
}

static void delete_ask(struct lane *lane, const struct item *item)
{
	char target[160];

	snprintf(target, sizeof(target), "/v1/instances/%s?force=true&wait=600", item->id);
	bench_send(lane->conn, "DELETE", target, NULL);
}

static void delete_answered(struct lane *lane, struct item *item)
{
	if (lane->conn->status != 200)
		bench_fail("remove", lane->conn->body);
	item->over = true;
}

/* --- on the engine ------------------------------------------------------------------------------ */

static void raw_ask(struct lane *lane, const struct item *item)
{
	char target[160];

	if (item->id[0])
		snprintf(target, sizeof(target), "/v1.41/containers/%s/start", item->id);
	else
		snprintf(target, sizeof(target),
			 "/v1.41/containers/create?name=bench-burst-%ld-%ld", (long)getpid(),
			 lane->item);
	bench_send(lane->conn, "POST", target, item->id[0] ? NULL : body);
}

static void raw_answered(struct lane *lane, struct item *item)
{
	if (lane->conn->status != (item->id[0] ? 204 : 201))
		bench_fail(item->id[0] ? "start" : "create", lane->conn->body);
	item->over = item->id[0];
	if (!item->over)
		bench_text(lane->conn, "Id", item->id, sizeof(item->id));
}

static void raw_delete_ask(struct lane *lane, const struct item *item)
{
	char target[160];

	snprintf(target, sizeof(target), "/v1.41/containers/%s?force=1&v=1", item->id);
	bench_send(lane->conn, "DELETE", target, NULL);
}

static void raw_delete_answered(struct lane *lane, struct item *item)
{
	if (lane->conn->status != 204)
		bench_fail("remove", lane->conn->body);
	item->over = true;
}

static const struct work spawn = {spawn_ask, spawn_answered};
static const struct work spawn_removal = {delete_ask, delete_answered};
static const struct work raw = {raw_ask, raw_answered};
static const struct work raw_removal = {raw_delete_ask, raw_delete_answered};

/* --- lanes -------------------------------------------------------------------------------------- */

static void next_item(struct lane *lane, const struct work *work, const struct item *items,
		      long count, long *next)
{
	lane->busy = *next < count;
	if (!lane->busy)
		return;
	lane->item = (*next)++;
	work->ask(lane, &items[lane->item]);
}

static void take_answer(struct lane *lane, const struct work *work, struct item *items, long count,
			long *next)
{
	struct item *item = &items[lane->item];

	bench_receive(lane->conn);
	work->answered(lane, item);
	if (item->over)
		next_item(lane, work, items, count, next);
	else
		work->ask(lane, item);
}

/* All items, lane_count at a time; the nanoseconds that it took. */
static int64_t run(const char *socket_path, const struct work *work, struct item *items, long count,
		   long lane_count)
{
	struct lane *lanes = xcalloc((size_t)lane_count, sizeof(*lanes));
	struct pollfd *polls = xcalloc((size_t)lane_count, sizeof(*polls));
	int64_t began_ns, took_ns;
	long next = 0, busy;

	for (long i = 0; i < lane_count; i++)
		lanes[i].conn = bench_open(socket_path);
	began_ns = bench_now_ns();
	for (long i = 0; i < lane_count; i++)
		next_item(&lanes[i], work, items, count, &next);
	for (;;) {
		busy = 0;
		for (long i = 0; i < lane_count; i++) {
			polls[i] = (struct pollfd){
				.fd = lanes[i].busy ? lanes[i].conn->fd : -1,
				.events = POLLIN,
			};
			busy += lanes[i].busy;
		}
		if (busy == 0)
			break;
		if (poll(polls, (nfds_t)lane_count, -1) < 0 && errno != EINTR)
			bench_fail("poll", strerror(errno));
		for (long i = 0; i < lane_count; i++)
			if (polls[i].revents)
				take_answer(&lanes[i], work, items, count, &next);
	}
	took_ns = bench_now_ns() - began_ns;
	for (long i = 0; i < lane_count; i++)
		bench_close(lanes[i].conn);
	free(polls);
	free(lanes);
	return took_ns;
}

int main(int argc, char **argv)
{
	bool through = argc == 5 && str_equal(argv[1], "gantryd");
	bool on_engine = argc == 6 && str_equal(argv[1], "engine");
	long count = argc > 4 ? atol(argv[4]) : 0, lanes = on_engine ? atol(argv[5]) : count;
	struct item *items;

	if ((!through && !on_engine) || count < 1 || lanes < 1 || lanes > LANES_MAX) {
		fprintf(stderr, "usage: burst gantryd SOCKET SPEC COUNT | "
				"burst engine SOCKET CREATE COUNT LANES\n");
		return 2;
	}
	body = argv[3];
	items = xcalloc((size_t)count, sizeof(*items));
	printf("%lld\n", (long long)run(argv[2], through ? &spawn : &raw, items, count, lanes));
	for (long i = 0; i < count; i++)
		items[i].over = false;
	run(argv[2], through ? &spawn_removal : &raw_removal, items, count, REMOVE_LANES);
	free(items);
	return 0;
}
