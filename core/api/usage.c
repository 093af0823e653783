/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance uses: its processes, and figures, once or as they come. */
#include "api/call.h"
#include "api/handlers.h"
#include "api/question.h"
#include "api/stream.h"
#include "base/str.h"
#include "flows/engine/node_link.h"
#include "flows/engine/usage.h"

/* --- one question to the engine ------------------------------------------------------------------- */

/* The instance and its node, where its process runs; NULL: answered. */
static struct instance *running_instance(struct call *call, struct node_link **ret_link)
{
	struct instance *instance = call_instance(call);
	struct gantry_error err;

	if (!instance)
		return NULL;
	*ret_link = node_link_find(call->daemon, instance->node);
	if (*ret_link &&
	    (instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED ||
	     instance->state == INSTANCE_STOPPING))
		return instance;
	if (instance->state == INSTANCE_UNKNOWN && *ret_link)
		gantry_error_set(&err, -EHOSTUNREACH, "%s is unknown: node %s: %s",
				 instance->spec.name, instance->node, (*ret_link)->node.last_error);
	else
		gantry_error_set(&err, -EBUSY, "%s is %s: it has no process", instance->spec.name,
				 instance_state_text(instance->state));
	call_fail(call, &err);
	return NULL;
}

static struct json_object *print_strings(const struct gantry_strings *strings)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < strings->count; i++)
		json_object_array_add(list, json_object_new_string(strings->items[i]));
	return list;
}

static void take_top(struct question *question, const void *result)
{
	const struct gantry_top *top = result;
	struct json_object *object = json_object_new_object(), *rows = json_object_new_array();

	json_object_object_add(object, "titles", print_strings(&top->titles));
	for (size_t i = 0; i < top->count; i++)
		json_object_array_add(rows, print_strings(&top->rows[i]));
	json_object_object_add(object, "rows", rows);
	question_answer(question, object);
}

void handle_instance_top(struct call *call)
{
	struct node_link *link;
	struct instance *instance = running_instance(call, &link);

	if (!instance)
		return;
	if (!link->runtime->top)
		call_fail_not_offered(call, link, "list of processes");
	else
		link->runtime->top(
			link->handle, instance->container_id,
			question_op(question_new(call, instance, link), "top", take_top));
}

static void add_count(struct json_object *object, const char *key, int64_t count)
{
	if (count != GANTRY_UNSET)
		json_add_int(object, key, count);
}

static void add_percent(struct json_object *object, const char *key, double percent)
{
	char text[32];

	if (percent < 0)
		return;
	snprintf(text, sizeof(text), "%.2f", percent);
	json_object_object_add(object, key, json_object_new_double_s(percent, text));
}

static struct json_object *print_reading(const struct instance *instance,
					 const struct gantry_stats *stats)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", instance->id);
	json_add_string(object, "name", instance->spec.name);
	json_add_time(object, "at", stats->time_ms);
	json_add_int(object, "memory_bytes", stats->memory_bytes);
	json_add_int(object, "memory_limit_bytes", stats->memory_limit_bytes);
	json_add_int(object, "cpu_ns", stats->cpu_ns);
	add_count(object, "cpu_periods", stats->cpu_periods);
	json_add_int(object, "throttled_ns", stats->throttled_ns);
	json_add_int(object, "throttled_periods", stats->throttled_periods);
	add_count(object, "oom_kills", stats->oom_kills);
	add_percent(object, "cpu_pressure_percent", stats->cpu_pressure_percent);
	add_percent(object, "memory_pressure_percent", stats->memory_pressure_percent);
	add_percent(object, "io_pressure_percent", stats->io_pressure_percent);
	json_add_int(object, "pids", stats->pids);
	add_count(object, "pids_limit", stats->pids_limit);
	json_add_int(object, "network_rx_bytes", stats->network_rx_bytes);
	json_add_int(object, "network_tx_bytes", stats->network_tx_bytes);
	json_add_int(object, "block_read_bytes", stats->block_read_bytes);
	json_add_int(object, "block_write_bytes", stats->block_write_bytes);
	return object;
}

static void take_stats(struct question *question, const void *result)
{
	const struct gantry_stats stats = usage_known(result, question->link->runtime->stats_size);
	const struct instance *instance = question_instance(question);

	if (instance)
		question_answer(question, print_reading(instance, &stats));
}

/* --- stats that go on ---------------------------------------------------------------------------- */

/*
 * It begins with its first reading: what fails before is a plain answer. A reading that comes while the client is behind
 * is left out.
 */
struct following {
	struct call *call;
	struct usage_follower follower;
	struct stream stream;
	char instance[INSTANCE_ID_SIZE];
	bool begun;
};

static void on_following_gone(void *arg)
{
	usage_unfollow(&((struct following *)arg)->follower);
}

static void on_stream_gone(struct stream *stream)
{
	on_following_gone(LIST_ENTRY(stream, struct following, stream));
}

/* False: there is nothing to write. */
static bool begin_following(struct following *following)
{
	if (!following->begun &&
	    !stream_begin(&following->stream, following->call, NULL, on_stream_gone)) {
		http_request_on_gone(following->call->request, NULL, NULL);
		usage_unfollow(&following->follower);
		return false;
	}
	following->begun = true;
	return true;
}

static void on_reading(struct usage_follower *follower, const struct gantry_stats *stats)
{
	struct following *following = LIST_ENTRY(follower, struct following, follower);
	const struct instance *instance =
		fleet_find(&following->call->daemon->fleet, following->instance);
	struct json_object *object;

	if (!instance || !begin_following(following) || following->stream.behind)
		return;
	object = print_reading(instance, stats);
	stream_write(&following->stream,
		     json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), 0);
	json_object_put(object);
}

static void on_following_ended(struct usage_follower *follower, const struct gantry_error *err)
{
	struct following *following = LIST_ENTRY(follower, struct following, follower);

	if (err && following->begun) {
		stream_abort(&following->stream);
	} else if (err) {
		http_request_on_gone(following->call->request, NULL, NULL);
		call_fail(following->call, err);
	} else if (begin_following(following)) {
		stream_end(&following->stream);
	}
}

static void follow_stats(struct call *call, const struct instance *instance,
			 const struct node_link *link)
{
	struct following *following =
		ARENA_NEW(http_request_arena(call->request), struct following);
	struct gantry_error err;

	following->call = call;
	following->follower.reading = on_reading;
	following->follower.ended = on_following_ended;
	snprintf(following->instance, sizeof(following->instance), "%s", instance->id);
	if (usage_follow(call->daemon, instance, link, &following->follower, &err) < 0)
		call_fail(call, &err);
	else
		http_request_on_gone(call->request, on_following_gone, following);
}

void handle_instance_stats(struct call *call)
{
	struct node_link *link;
	struct instance *instance = running_instance(call, &link);
	struct question *question;
	bool follow;

	if (!instance || call_bool(call, "follow", &follow) < 0)
		return;
	if (follow) {
		follow_stats(call, instance, link);
	} else if (!link->runtime->stats) {
		call_fail_not_offered(call, link, "figures");
	} else {
		question = question_new(call, instance, link);
		link->runtime->stats(link->handle, instance->container_id,
				     question_op(question, "stats", take_stats));
	}
}
