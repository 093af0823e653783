/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the list that is about what containers use. Included once, by conformance.h. */
#ifndef FAKE_CONFORMANCE_USAGE_H
#define FAKE_CONFORMANCE_USAGE_H

static void conf_take_stats(const void *result)
{
	const struct gantry_stats *stats = result;

	ok(stats->time_ms > 0, "stats have a time");
	ok(stats->memory_bytes > 0 && stats->pids > 0, "and memory and processes");
	ok(stats->pids_limit == GANTRY_UNSET || stats->pids_limit >= stats->pids,
	   "processes are within their limit, where there is one");
	ok(stats->cpu_periods == GANTRY_UNSET || stats->cpu_periods >= stats->throttled_periods,
	   "throttled periods are some of all");
	ok(stats->oom_kills == GANTRY_UNSET || stats->oom_kills == 0,
	   "where kills for memory are counted, there was none");
	ok(stats->cpu_pressure_percent <= 100 && stats->memory_pressure_percent <= 100 &&
		   stats->io_pressure_percent <= 100,
	   "pressure is in percent");
}

static void conf_take_top(const void *result)
{
	const struct gantry_top *top = result;

	ok(top->titles.count > 0 && top->count > 0, "top has titles and rows");
	is_int(top->rows[0].count, top->titles.count, "of one width");
}

static void conf_usage(struct conformance *c, const char *id)
{
	struct rig *rig = c->rig;

	if (rig->runtime->stats) {
		rig->take = conf_take_stats;
		is_int((int64_t)rig->runtime->stats_size, sizeof(struct gantry_stats),
		       "it says how much of the stats it fills");
		is_int(RUN(rig, stats, id), 0, "stats");
	}
	if (rig->runtime->top) {
		rig->take = conf_take_top;
		is_int(RUN(rig, top, id), 0, "top");
	}
}

static bool conf_read;

static int conf_reading(void *arg, const struct gantry_stats *stats)
{
	bool *ends = arg;

	if (!conf_read)
		conf_take_stats(stats);
	conf_read = true;
	return *ends ? -ECANCELED : 0;
}

/* Kills what it follows. */
static void conf_follow_stats(struct conformance *c, const char *id)
{
	struct rig *rig = c->rig;
	bool goes_on = false, ends = true;
	struct gantry_op *op;

	if (!rig->runtime->stats_follow) {
		is_int(RUN(rig, kill, id, 9), 0, "kill it");
		return;
	}
	conf_read = false;
	is_int(RUN(rig, stats_follow, id, conf_reading, &ends), -ECANCELED,
	       "stats followed until the reader ends it");
	conf_read = false;
	op = rig_op(rig);
	rig->runtime->stats_follow(rig->node, id, conf_reading, &goes_on, op);
	ok(rig_until(rig, &conf_read, 20000), "a reading comes");
	op_cancel(op);
	is_int(rig_wait(rig), -ECANCELED, "or until a cancel");
	conf_read = false;
	op = rig_op(rig);
	rig->runtime->stats_follow(rig->node, id, conf_reading, &goes_on, op);
	ok(rig_until(rig, &conf_read, 20000), "a reading comes again");
	rig->runtime->kill(rig->node, id, 9, op_new(&rig->scope, "kill", conf_ignore, NULL));
	is_int(rig_wait(rig), 0, "the end of the process is the stream's");
}

static void conf_usage_ended(struct conformance *c, const char *id)
{
	struct rig *rig = c->rig;
	bool ends = true;

	if (rig->runtime->stats)
		is_int(RUN(rig, stats, id), -EALREADY, "stats of what does not run: -EALREADY");
	if (rig->runtime->stats_follow) {
		is_int(RUN(rig, stats_follow, id, conf_reading, &ends), -EALREADY,
		       "followed: -EALREADY");
		is_int(RUN(rig, stats_follow, "nothing", conf_reading, &ends), -ENOENT,
		       "of what is not there: -ENOENT");
	}
	if (rig->runtime->top)
		is_int(RUN(rig, top, id), -EALREADY, "top: -EALREADY");
}

#endif
