/* SPDX-License-Identifier: Apache-2.0 */
/* Figures in Prometheus' text form, version 0.0.4. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/str.h"
#include "flows/log/log_kept.h"
#include "flows/log/log_policy.h"
#include "flows/log/log_sinks.h"
#include "flows/policy/event_hooks.h"

static void metric(struct str *text, const char *name, const char *type, const char *help,
		   int64_t value)
{
	str_addf(text, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", name, help, name, type, name,
		 (long long)value);
}

static void add_states(struct str *text, const struct fleet *fleet)
{
	int64_t counts[INSTANCE_STATE_COUNT] = {0};

	LIST_FOREACH (node, &fleet->instances) {
		counts[LIST_ENTRY(node, struct instance, link)->state]++;
	}
	str_add(text,
		"# HELP gantry_instances Instances by state.\n# TYPE gantry_instances gauge\n");
	for (int i = 0; i < INSTANCE_STATE_COUNT; i++)
		str_addf(text, "gantry_instances{state=\"%s\"} %lld\n",
			 instance_state_text((enum instance_state)i), (long long)counts[i]);
}

static void add_nodes(struct str *text, const struct fleet *fleet)
{
	str_add(text, "# HELP gantry_node_up Whether the node's engine is reached.\n"
		      "# TYPE gantry_node_up gauge\n");
	for (size_t i = 0; i < fleet->node_count; i++)
		str_addf(text, "gantry_node_up{node=\"%s\"} %d\n", fleet->nodes[i]->name,
			 fleet->nodes[i]->state == NODE_UP);
	str_add(text, "# HELP gantry_node_memory_promised_bytes Memory promised to instances.\n"
		      "# TYPE gantry_node_memory_promised_bytes gauge\n");
	for (size_t i = 0; i < fleet->node_count; i++)
		str_addf(text, "gantry_node_memory_promised_bytes{node=\"%s\"} %lld\n",
			 fleet->nodes[i]->name, (long long)fleet->nodes[i]->memory_promised_bytes);
}

static void add_event_hooks(struct str *text, const struct event_hook_counts *counts)
{
	str_addf(text,
		 "# HELP gantry_policy_event_runs_total Runs of policies' event hooks that ended.\n"
		 "# TYPE gantry_policy_event_runs_total counter\n"
		 "gantry_policy_event_runs_total{result=\"done\"} %lld\n"
		 "gantry_policy_event_runs_total{result=\"failed\"} %lld\n"
		 "gantry_policy_event_runs_total{result=\"cancelled\"} %lld\n",
		 (long long)counts->done, (long long)counts->failed, (long long)counts->cancelled);
	metric(text, "gantry_policy_events_dropped_total", "counter",
	       "Events that an event hook was not given.", counts->dropped);
	metric(text, "gantry_policy_events_queued", "gauge", "Events that wait for event hooks.",
	       counts->queued);
}

/* One figure of every sink. */
struct sink_metric {
	const char *name, *type, *help;
	int64_t (*value)(const struct log_sink_report *report);
	struct str *text;
};

static int64_t sink_up(const struct log_sink_report *report)
{
	return !report->failing;
}

static int64_t sink_sent(const struct log_sink_report *report)
{
	return report->sent;
}

static int64_t sink_resent(const struct log_sink_report *report)
{
	return report->resent;
}

static int64_t sink_failures(const struct log_sink_report *report)
{
	return report->failures;
}

static int64_t sink_queued(const struct log_sink_report *report)
{
	return report->queued;
}

static int64_t sink_lag(const struct log_sink_report *report)
{
	return report->lag_ms / 1000;
}

static void add_sink(void *arg, const struct log_sink_report *report)
{
	const struct sink_metric *row = arg;

	str_addf(row->text, "%s{sink=\"%s\"} %lld\n", row->name, report->settings->name,
		 (long long)row->value(report));
}

static void add_sinks(struct str *text, const struct daemon *daemon)
{
	static const struct sink_metric rows[] = {
		{"gantry_log_sink_up", "gauge", "Whether the receiver of lines takes them.",
		 sink_up, NULL},
		{"gantry_log_sink_lines_total", "counter", "Lines that were forwarded.", sink_sent,
		 NULL},
		{"gantry_log_sink_resent_lines_total", "counter", "Lines that were sent once more.",
		 sink_resent, NULL},
		{"gantry_log_sink_failures_total", "counter", "Times that sending failed.",
		 sink_failures, NULL},
		{"gantry_log_sink_queued_lines", "gauge", "Lines that wait in memory.", sink_queued,
		 NULL},
		{"gantry_log_sink_lag_seconds", "gauge", "The age of the oldest of these.",
		 sink_lag, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sink_metric row = rows[i];

		row.text = text;
		str_addf(text, "# HELP %s %s\n# TYPE %s %s\n", row.name, row.help, row.name,
			 row.type);
		log_sinks_report(daemon, add_sink, &row);
	}
}

static void add_kept_logs(struct str *text, const struct daemon *daemon)
{
	int64_t count, bytes;

	log_kept_counts(daemon, &count, &bytes);
	metric(text, "gantry_kept_logs", "gauge", "Logs of instances that were removed.", count);
	metric(text, "gantry_kept_logs_bytes", "gauge", "What these take on the disk.", bytes);
}

static void add_log_hooks(struct str *text, const struct script_log_counts *counts)
{
	str_addf(text,
		 "# HELP gantry_policy_log_lines_total Lines that log hooks were asked about.\n"
		 "# TYPE gantry_policy_log_lines_total counter\n"
		 "gantry_policy_log_lines_total{result=\"dropped\"} %lld\n"
		 "gantry_policy_log_lines_total{result=\"changed\"} %lld\n"
		 "gantry_policy_log_lines_total{result=\"failed\"} %lld\n"
		 "gantry_policy_log_lines_total{result=\"any\"} %lld\n"
		 "# HELP gantry_policy_log_seconds_total Time that log hooks have taken.\n"
		 "# TYPE gantry_policy_log_seconds_total counter\n"
		 "gantry_policy_log_seconds_total %.6f\n",
		 (long long)counts->dropped, (long long)counts->changed, (long long)counts->failed,
		 (long long)counts->lines, (double)counts->took_us / 1e6);
}

void handle_metrics(struct call *call)
{
	const struct daemon *daemon = call->daemon;
	const struct event_hook_counts hooks = event_hooks_counts(daemon);
	const struct http_counters *http = http_server_counters(call->api->server);
	struct str text = STR_INIT;

	add_states(&text, &daemon->fleet);
	add_nodes(&text, &daemon->fleet);
	str_addf(&text,
		 "# HELP gantry_operations_total Operations that ended.\n"
		 "# TYPE gantry_operations_total counter\n"
		 "gantry_operations_total{result=\"done\"} %lld\n"
		 "gantry_operations_total{result=\"failed\"} %lld\n"
		 "gantry_operations_total{result=\"denied\"} %lld\n",
		 (long long)daemon->flows_done, (long long)daemon->flows_failed,
		 (long long)daemon->flows_denied);
	metric(&text, "gantry_events_total", "counter", "Events since the store was made.",
	       daemon->events.last_sequence);
	add_event_hooks(&text, &hooks);
	if (daemon->settings->sink_count)
		add_sinks(&text, daemon);
	add_kept_logs(&text, daemon);
	add_log_hooks(&text, log_policy_counts(daemon));
	metric(&text, "gantry_http_requests_total", "counter", "Requests to the API.",
	       (int64_t)http->requests_total);
	metric(&text, "gantry_http_bad_requests_total", "counter",
	       "Requests that were no good HTTP or over a limit.",
	       (int64_t)http->bad_requests_total);
	metric(&text, "gantry_http_connections", "gauge", "Connections that are open.",
	       (int64_t)http->connections_open);
	metric(&text, "gantry_http_connections_total", "counter", "Connections that were made.",
	       (int64_t)http->connections_total);
	metric(&text, "gantry_http_connections_refused_total", "counter",
	       "Connections that were over the limit.", (int64_t)http->connections_refused_total);
	metric(&text, "gantry_http_handshakes_failed_total", "counter",
	       "TLS handshakes that failed, as without a certificate of ours.",
	       (int64_t)http->handshakes_failed_total);
	metric(&text, "gantry_uptime_seconds", "gauge", "Since the daemon was started.",
	       (clock_monotonic_us() - daemon->started_us) / 1000000);
	http_reply(call->request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data,
		   text.length);
	str_fini(&text);
}
