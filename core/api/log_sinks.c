/* SPDX-License-Identifier: Apache-2.0 */
/* How forwarding of logs stands. */
#include "api/call.h"
#include "api/handlers.h"
#include "flows/log/log_sinks.h"

static const char *state_text(const struct log_sink_report *report)
{
	return report->failing ? "retrying" : report->queued ? "sending" : "idle";
}

static void add_sink(void *arg, const struct log_sink_report *report)
{
	const struct settings_sink *settings = report->settings;
	struct json_object *sink = json_object_new_object();

	json_add_string(sink, "name", settings->name);
	json_add_string(sink, "kind", settings->kind);
	json_add_string(sink, "project", settings->project);
	json_add_string(sink, "state", state_text(report));
	json_add_int(sink, "instances", report->instances);
	json_add_int(sink, "behind", report->behind);
	json_add_int(sink, "sent_lines", report->sent);
	json_add_int(sink, "sent_bytes", report->sent_bytes);
	json_add_int(sink, "resent_lines", report->resent);
	json_add_int(sink, "gaps", report->gaps);
	json_add_int(sink, "queued_lines", report->queued);
	json_add_int(sink, "queued_bytes", report->queued_bytes);
	json_add_int(sink, "lag_ms", report->lag_ms);
	json_add_int(sink, "failures", report->failures);
	json_add_time(sink, "last_sent_at", report->sent_ms);
	json_add_string(sink, "last_error", report->error);
	json_add_time(sink, "last_error_at", report->error_ms);
	json_add_time(sink, "next_retry_at", report->retry_ms);
	json_add_int(sink, "unread_instances", report->unread_count);
	json_add_string(sink, "unread_error", report->unread);
	json_object_array_add(arg, sink);
}

void handle_log_sinks(struct call *call)
{
	struct json_object *object = json_object_new_object(), *sinks = json_object_new_array();

	log_sinks_report(call->daemon, add_sink, sinks);
	json_object_object_add(object, "sinks", sinks);
	call_reply(call, 200, object);
}
