/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of a follower: what passes, what is left out and told, by the time at which lines were printed. */
#include "../../../t/tap.h"

#include "../stdout.h"

#include <string.h>

#define SECOND 1000000000LL

static char text[4096];
static int64_t sequence;

/* Lines of 936 bytes, 1,000 with what each costs, printed at that time. Those that passed; *ret_lost by gaps. */
static int64_t print(struct limit *limit, int64_t count, int64_t time_ns, int64_t *ret_lost)
{
	int64_t passed = 0;

	*ret_lost = 0;
	for (int64_t i = 0; i < count; i++) {
		const struct gantry_log_line line = {.sequence = ++sequence,
						     .boot = 1,
						     .stream = 1,
						     .time_ns = time_ns,
						     .data = text,
						     .length = 936};
		struct gantry_log_line out[2];
		size_t got = limit_take(limit, &line, 1, out);

		for (size_t at = 0; at < got; at++) {
			if (out[at].stream)
				passed++;
			else
				*ret_lost += out[at].lost;
		}
	}
	return passed;
}

int main(void)
{
	struct limit limit;
	struct gantry_log_line gap, lines[2] = {{.stream = 0, .lost = 7, .data = "other"}}, out[4];
	int64_t lost;

	limit_init(&limit, 10000, 50000);
	is_int(print(&limit, 100, 1 * SECOND, &lost), 50, "a burst passes");
	is_int(lost, 0, "what is over it is not told yet");
	is_int(print(&limit, 100, 2 * SECOND, &lost), 10, "then the rate");
	is_int(lost, 50, "with what was left out in front, once");
	is_int(print(&limit, 1, 2 * SECOND - 1, &lost), 0, "a time that goes back brings nothing");
	is_int(print(&limit, 5, 3 * SECOND, &lost), 5, "less than the rate passes whole");
	is_int(lost, 91, "behind a gap");
	is_int(print(&limit, 100, 6 * SECOND, &lost), 35, "and the burst fills up meanwhile");
	is_int(print(&limit, 100, 100 * SECOND, &lost), 50, "to its size");
	is_int(lost, 65, "what was left out is told");
	ok(limit_flush(&limit, &gap) && gap.lost == 50 && gap.sequence == sequence - 50 &&
		   gap.gap_since_ns == 100 * SECOND && gap.time_ns == 100 * SECOND,
	   "the rest is told where nothing comes behind it");
	ok(!limit_flush(&limit, &gap), "once");

	lines[1] = (struct gantry_log_line){.stream = 1, .time_ns = 100 * SECOND, .data = text};
	ok(limit_take(&limit, lines, 2, out) == 1 && out[0].lost == 7,
	   "gaps of others are not limited");
	limit_init(&limit, 1000, 0);
	lines[1].length = 936;
	lines[0] = lines[1];
	lines[0].length++;
	lines[0].flags = GANTRY_LOG_LINES;
	lines[0].time_ns = lines[1].time_ns = SECOND;
	ok(limit_take(&limit, lines, 2, out) == 1 && limit.gap.lost == 1,
	   "a newline behind a line costs nothing …");
	lines[0].length--;
	limit_init(&limit, 1000, 0);
	ok(limit_take(&limit, lines, 2, out) == 2 && limit.gap.lost == 0, "… a byte of it does");
	limit_init(&limit, 10000, 0);
	is_int(print(&limit, 100, SECOND, &lost), 10, "no burst: the rate alone");
	is_int(print(&limit, 100, 100 * SECOND, &lost), 10, "after a while too");
	is_int(print(&limit, 1, 40 * SECOND, &lost), 0, "a clock that is set back brings nothing");
	is_int(print(&limit, 100, 41 * SECOND, &lost), 10, "but the rate from there on");
	done_testing();
	return tap_end();
}
