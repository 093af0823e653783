/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gantry stats: what instances use, once, or as it goes on.
 *
 *	--follow   a stream for each ─▶ its last reading, kept ─▶ a table each interval, with --json each as it comes,
 *	           until all have ended
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/each.h"
#include "ctl/operation.h"
#include "ctl/output.h"

/* One instance that is looked at, and its last reading. */
struct reading {
	char *name, *id;       /* owned; id is the name where that was given */
	int64_t at_ms, cpu_ns; /* of the reading before; at_ms 0: none */

	/* of one that is followed; under the lock */
	struct each_call call;
	char *text; /* owned: the last reading; NULL: none yet */
	bool fresh; /* it has not been printed */
	bool told;  /* its end was */
};

static void add_pair(struct table *table, struct json_object *stats, const char *one,
		     const char *two)
{
	char text[24], other[24];

	output_bytes(stats, one, text, sizeof(text));
	output_bytes(stats, two, other, sizeof(other));
	table_addf(table, "%s / %s", text, other);
}

static void add_share(struct table *table, int64_t part, int64_t whole)
{
	if (whole > 0)
		table_addf(table, "%.1f%%", 100.0 * (double)part / (double)whole);
	else
		table_add(table, NULL);
}

static void add_counts(struct table *table, struct json_object *stats)
{
	int64_t pids = json_get_int(stats, "pids", 0), most = json_get_int(stats, "pids_limit", 0);

	if (most > 0)
		table_addf(table, "%lld / %lld", (long long)pids, (long long)most);
	else
		table_addf(table, "%lld", (long long)pids);
	if (json_get(stats, "oom_kills"))
		table_addf(table, "%lld", (long long)json_get_int(stats, "oom_kills", 0));
	else
		table_add(table, NULL);
}

static void add_pressure(struct table *table, struct json_object *stats)
{
	static const char *const keys[] = {"cpu_pressure_percent", "memory_pressure_percent",
					   "io_pressure_percent"};
	struct str text = STR_INIT;
	bool known = false;

	for (size_t i = 0; i < 3; i++) {
		struct json_object *percent = json_get(stats, keys[i]);

		known = known || percent;
		str_add(&text, i ? " / " : "");
		if (percent)
			str_addf(&text, "%.1f%%", json_object_get_double(percent));
		else
			str_add(&text, "-");
	}
	table_add(table, known ? str_text(&text) : NULL);
	str_fini(&text);
}

static void add_row(struct table *table, struct reading *reading, struct json_object *stats)
{
	int64_t cpu_ns = json_get_int(stats, "cpu_ns", 0), at_ns = 0;
	int64_t limit = json_get_int(stats, "memory_limit_bytes", 0);
	char text[24];

	table_add(table, reading->name);
	clock_parse_ns(json_get_string(stats, "at", ""), &at_ns);
	if (reading->at_ms && at_ns / 1000000 > reading->at_ms)
		table_addf(table, "%.1f%%",
			   (double)(cpu_ns - reading->cpu_ns) / 1e4 /
				   (double)(at_ns / 1000000 - reading->at_ms));
	else
		table_add(table, NULL);
	reading->at_ms = at_ns / 1000000;
	reading->cpu_ns = cpu_ns;
	table_addf(table, "%.1fs", (double)cpu_ns / 1e9);
	add_share(table, json_get_int(stats, "throttled_periods", 0),
		  json_get_int(stats, "cpu_periods", 0));
	output_bytes(stats, "memory_bytes", text, sizeof(text));
	table_add(table, text);
	output_bytes(stats, "memory_limit_bytes", text, sizeof(text));
	table_add(table, limit > 0 && limit < INT64_MAX / 4 ? text : NULL);
	add_counts(table, stats);
	add_pressure(table, stats);
	add_pair(table, stats, "network_rx_bytes", "network_tx_bytes");
	add_pair(table, stats, "block_read_bytes", "block_write_bytes");
}

static void table_begin(struct table *table)
{
	static const char *const titles[] = {
		"NAME", "CPU", "CPU-TIME",         "THROTTLED",  "MEMORY",      "LIMIT",
		"PIDS", "OOM", "WAITS CPU/MEM/IO", "NET IN/OUT", "DISK IN/OUT",
	};

	table_init(table, sizeof(titles) / sizeof(*titles), titles);
}

/* One without a row is not printed. */
static void table_end(struct table *table, bool rows)
{
	if (rows)
		table_print(table);
	table_fini(table);
	fflush(stdout);
}

static int read_once(struct ctl *ctl, struct reading *readings, size_t count)
{
	struct table table;
	bool rows = false;
	int status = CTL_OK;

	table_begin(&table);
	for (size_t i = 0; i < count; i++) {
		char *path = instance_path(ctl, readings[i].id, "/stats");
		struct client_reply reply;
		int one = call(ctl, readings[i].name, "GET", path, NULL, 0, &reply, NULL);

		free(path);
		if (status == CTL_OK)
			status = one;
		if (one != CTL_OK)
			continue;
		if (ctl->json)
			output_raw(&reply);
		else
			add_row(&table, &readings[i], reply.json);
		rows = true;
		client_reply_fini(&reply);
	}
	table_end(&table, !ctl->json && (rows || status == CTL_OK));
	return status;
}

/* --- following ----------------------------------------------------------------------------------- */

struct following {
	struct each each;
	int64_t interval_ms;
	struct reading *readings; /* borrowed */
	size_t count;
};

static int on_line(void *arg, struct json_object *object, const char *text)
{
	struct reading *reading = arg;

	(void)object;
	pthread_mutex_lock(&reading->call.each->lock);
	free(reading->text);
	reading->text = xstrdup(text);
	reading->fresh = true;
	pthread_cond_signal(&reading->call.each->changed);
	pthread_mutex_unlock(&reading->call.each->lock);
	return 0;
}

static void follow_one(struct each_call *call)
{
	struct reading *reading = LIST_ENTRY(call, struct reading, call);
	char *path = instance_path(call->each->ctl, reading->id, "/stats?follow=true");

	call->error =
		client_lines(call->client, path, on_line, reading, &call->reply, &call->failure);
	free(path);
}

/* How it ended, said once. */
static int tell_end(struct reading *reading)
{
	const struct each_call *call = &reading->call;
	int status = CTL_OK;

	reading->told = true;
	if (call->error < 0)
		status = output_fail(reading->name, &call->failure);
	else if (call->reply.status >= 400)
		status = output_problem(reading->name, call->reply.status, call->reply.json);
	return status;
}

/* What is new, as lines or as a table of all that go on. Under the lock. */
static void print_readings(struct following *all)
{
	struct json_object *object;
	struct table table;
	bool rows = false;

	table_begin(&table);
	for (size_t i = 0; i < all->count; i++) {
		struct reading *reading = &all->readings[i];

		if (!reading->fresh &&
		    (all->each.ctl->json || !reading->text || reading->call.ended))
			continue;
		reading->fresh = false;
		if (all->each.ctl->json) {
			output_line("%s", reading->text);
		} else if (json_parse(reading->text, strlen(reading->text), &object, NULL) == 0) {
			add_row(&table, reading, object);
			json_object_put(object);
			rows = true;
		}
	}
	table_end(&table, rows);
}

enum news { NEWS_NONE, NEWS_SOME, NEWS_OF_ALL, NEWS_END };

/* Under the lock. */
static enum news news(struct following *all, int *status)
{
	size_t fresh = 0, over = 0;

	for (size_t i = 0; i < all->count; i++) {
		struct reading *reading = &all->readings[i];

		if (reading->call.ended && !reading->told) {
			int one = tell_end(reading);

			*status = *status == CTL_OK ? one : *status;
		}
		fresh += reading->fresh;
		over += reading->call.ended && !reading->fresh;
	}
	if (over == all->count)
		return NEWS_END;
	return fresh + over == all->count ? NEWS_OF_ALL : fresh ? NEWS_SOME : NEWS_NONE;
}

static void wait_until(struct following *all, int64_t at_us)
{
	struct timespec at = {at_us / 1000000, at_us % 1000000 * 1000};

	pthread_cond_timedwait(&all->each.changed, &all->each.lock, &at);
}

/* The first table waits for all, the others for the interval. */
static void print_all(struct following *all, int *status)
{
	int64_t due_us = 0;
	enum news what;

	pthread_mutex_lock(&all->each.lock);
	while ((what = news(all, status)) != NEWS_END) {
		int64_t now_us = clock_monotonic_us();
		bool due = all->each.ctl->json || (due_us ? now_us >= due_us : what == NEWS_OF_ALL);

		if (what != NEWS_NONE && due) {
			print_readings(all);
			due_us = now_us + all->interval_ms * 1000;
		} else if (what == NEWS_NONE || !due_us) {
			pthread_cond_wait(&all->each.changed, &all->each.lock);
		} else {
			wait_until(all, due_us);
		}
	}
	pthread_mutex_unlock(&all->each.lock);
}

static int follow(struct ctl *ctl, struct reading *readings, size_t count, int64_t interval_ms)
{
	struct following all = {
		.interval_ms = interval_ms,
		.readings = readings,
		.count = count,
	};
	int status = each_init(&all.each, ctl, follow_one);

	if (status != CTL_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		int one = each_begin(&all.each, &readings[i].call, readings[i].name);

		readings[i].told = one != CTL_OK;
		status = status == CTL_OK ? one : status;
	}
	print_all(&all, &status);
	for (size_t i = 0; i < count; i++)
		each_end(&readings[i].call);
	each_fini(&all.each);
	return status;
}

/* --- which --------------------------------------------------------------------------------------- */

static void add_running(struct reading *reading, struct json_object *instance)
{
	const char *id = json_get_string(instance, "id", "");

	*reading = (struct reading){.name = xstrdup(json_get_string(instance, "name", id)),
				    .id = xstrdup(id)};
}

/* Those named, or all that run. */
static int choose(struct ctl *ctl, struct reading **ret_readings, size_t *ret_count)
{
	struct json_object *list;
	struct client_reply reply;
	struct str path = STR_INIT;
	struct args *args = ctl->args;
	int status;

	*ret_count = args->word_count;
	*ret_readings = xcalloc(args->word_count + 1, sizeof(**ret_readings));
	for (size_t i = 0; i < args->word_count; i++)
		(*ret_readings)[i] = (struct reading){.name = xstrdup(args->words[i]),
						      .id = xstrdup(args->words[i])};
	if (args->word_count)
		return CTL_OK;
	str_add(&path, "/v1/instances?state=running");
	if (args_has(args, "project"))
		path_query(&path, "project", args_text(args, "project", NULL));
	status = call(ctl, NULL, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK)
		return status;
	list = json_get(reply.json, "instances");
	*ret_count = list ? json_object_array_length(list) : 0;
	*ret_readings = xrealloc(*ret_readings, (*ret_count + 1) * sizeof(**ret_readings));
	for (size_t i = 0; i < *ret_count; i++)
		add_running(&(*ret_readings)[i], json_object_array_get_idx(list, i));
	client_reply_fini(&reply);
	return CTL_OK;
}

int stats_command(struct ctl *ctl)
{
	struct reading *readings;
	int64_t interval_ms = 1000;
	size_t count;
	int status;

	if (units_parse_duration(args_text(ctl->args, "interval", "1s"), &interval_ms) < 0 ||
	    interval_ms < 100)
		return output_usage("stats",
				    "--interval must be a time of 100ms or more, not \"%s\"",
				    args_text(ctl->args, "interval", ""));
	status = choose(ctl, &readings, &count);
	if (status == CTL_OK && args_has(ctl->args, "follow"))
		status = follow(ctl, readings, count, interval_ms);
	else if (status == CTL_OK)
		status = read_once(ctl, readings, count);
	for (size_t i = 0; i < count; i++) {
		free(readings[i].name);
		free(readings[i].id);
		free(readings[i].text);
	}
	free(readings);
	return status;
}
