/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate at which a follower is given what an instance prints: so many bytes for each second in which they were
 * printed, and a burst on top that fills up again while less is printed. What is over it is left out until the next
 * second begins, counted, and told as one gap.
 *
 * It goes by the time at which lines were printed, not by the time at which they are read: who was away reads up
 * as fast as it can, and two readers are given the same.
 */
#include "stdout.h"

#include <string.h>

#define LINE_BYTES    64 /* what a line costs beside its text */
#define SECOND_NS     1000000000
#define ORDER_SECONDS 10 /* streams are out of order by less */

void limit_init(struct limit *limit, int64_t rate_bytes, int64_t burst_bytes)
{
	*limit = (struct limit){
		.rate_bytes = rate_bytes,
		.most_bytes = burst_bytes > rate_bytes ? burst_bytes : rate_bytes,
		.left_bytes = burst_bytes > rate_bytes ? burst_bytes : rate_bytes,
	};
}

/* Streams are a little out of order: time that goes back is none, unless a clock was set back. */
static void fill_up(struct limit *limit, int64_t time_ns)
{
	int64_t second = time_ns / SECOND_NS, passed = second - limit->second;

	if (passed < -ORDER_SECONDS)
		limit->second = second;
	if (passed <= 0)
		return;
	limit->second = second;
	if (passed > limit->most_bytes / limit->rate_bytes)
		limit->left_bytes = limit->most_bytes;
	else
		limit->left_bytes += passed * limit->rate_bytes;
	if (limit->left_bytes > limit->most_bytes)
		limit->left_bytes = limit->most_bytes;
}

static int64_t text_length(const struct gantry_log_line *line)
{
	return (int64_t)line->length - (line->flags & GANTRY_LOG_LINES ? 1 : 0);
}

static void leave_out(struct limit *limit, const struct gantry_log_line *line)
{
	if (limit->gap.lost == 0)
		limit->gap = (struct gantry_log_line){
			.sequence = line->sequence - 1,
			.boot = line->boot,
			.data = GAP_RATE,
			.length = strlen(GAP_RATE),
			.gap_since_ns = line->time_ns,
		};
	limit->gap.lost++;
	limit->gap.time_ns = line->time_ns;
}

size_t limit_take(struct limit *limit, const struct gantry_log_line *lines, size_t count,
		  struct gantry_log_line *ret_lines)
{
	size_t passed = 0;

	for (size_t i = 0; i < count; i++) {
		const struct gantry_log_line *line = &lines[i];

		if (line->stream) {
			fill_up(limit, line->time_ns);
			if (limit->left_bytes <= 0) {
				leave_out(limit, line);
				continue;
			}
			limit->left_bytes -= text_length(line) + LINE_BYTES;
		}
		if (limit_flush(limit, &ret_lines[passed]))
			passed++;
		ret_lines[passed++] = *line;
	}
	return passed;
}

bool limit_flush(struct limit *limit, struct gantry_log_line *ret_gap)
{
	if (limit->gap.lost == 0)
		return false;
	*ret_gap = limit->gap;
	limit->gap.lost = 0;
	return true;
}
