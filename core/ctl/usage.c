/* SPDX-License-Identifier: Apache-2.0 */
/* What instances use: top and stats. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/operation.h"
#include "ctl/output.h"

int top_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "/top");
	struct json_object *titles, *rows;
	struct client_reply reply;
	struct table table = {0};
	int status = call(ctl, name, "GET", path, NULL, 0, &reply, NULL);

	free(path);
	if (status != CTL_OK)
		return status;
	titles = json_get(reply.json, "titles");
	rows = json_get(reply.json, "rows");
	if (ctl->json) {
		output_raw(&reply);
	} else if (json_object_is_type(titles, json_type_array) &&
		   json_object_array_length(titles)) {
		table.columns = json_object_array_length(titles);
		for (size_t i = 0; i < table.columns; i++)
			table_add(&table,
				  json_object_get_string(json_object_array_get_idx(titles, i)));
		for (size_t row = 0; rows && row < json_object_array_length(rows); row++)
			for (size_t i = 0; i < table.columns; i++)
				table_add(&table,
					  json_object_get_string(json_object_array_get_idx(
						  json_object_array_get_idx(rows, row), i)));
		table_print(&table);
	}
	client_reply_fini(&reply);
	return CTL_OK;
}

/* One instance that is looked at, and its last reading. */
struct reading {
	char *name, *id;       /* owned; id is the name where that was given */
	int64_t at_ms, cpu_ns; /* of the reading before; at_ms 0: none */
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

/* One look at all of them. */
static int read_all(struct ctl *ctl, struct reading *readings, size_t count)
{
	static const char *const titles[] = {
		"NAME", "CPU", "CPU-TIME",         "THROTTLED",  "MEMORY",      "LIMIT",
		"PIDS", "OOM", "WAITS CPU/MEM/IO", "NET IN/OUT", "DISK IN/OUT",
	};
	const size_t columns = sizeof(titles) / sizeof(*titles);
	struct table table;
	int status = CTL_OK;

	table_init(&table, columns, titles);
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
		client_reply_fini(&reply);
	}
	if (ctl->json || (table.count == columns && status != CTL_OK))
		table_fini(&table);
	else
		table_print(&table);
	fflush(stdout);
	return status;
}

static void add_running(struct reading *reading, struct json_object *instance)
{
	const char *id = json_get_string(instance, "id", "");

	*reading =
		(struct reading){xstrdup(json_get_string(instance, "name", id)), xstrdup(id), 0, 0};
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
		(*ret_readings)[i] =
			(struct reading){xstrdup(args->words[i]), xstrdup(args->words[i]), 0, 0};
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
	bool follow = args_has(ctl->args, "follow");
	struct reading *readings;
	int64_t interval_ms = 1000;
	struct timespec pause;
	size_t count;
	int status;

	if (units_parse_duration(args_text(ctl->args, "interval", "1s"), &interval_ms) < 0 ||
	    interval_ms < 100)
		return output_usage("stats",
				    "--interval must be a time of 100ms or more, not \"%s\"",
				    args_text(ctl->args, "interval", ""));
	pause = (struct timespec){interval_ms / 1000, interval_ms % 1000 * 1000000};
	status = choose(ctl, &readings, &count);
	if (status == CTL_OK)
		status = read_all(ctl, readings, count);
	while (follow && status == CTL_OK) {
		nanosleep(&pause, NULL);
		status = read_all(ctl, readings, count);
	}
	for (size_t i = 0; i < count; i++) {
		free(readings[i].name);
		free(readings[i].id);
	}
	free(readings);
	return status;
}
