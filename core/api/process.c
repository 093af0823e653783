/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the process: waiting for its end, top, stats, output. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/exits.h"
#include "flows/node_link.h"

#include <arpa/inet.h>

#define ASK_LIMIT_MS    30000
#define WAIT_DEFAULT_MS 3600000
/* A reader may be a pager that somebody has left open. */
#define OUTPUT_STALL_MS 3600000

/* --- wait ---------------------------------------------------------------------------------------- */

struct wait {
	struct call *call;
	struct exit_waiter waiter;
	struct loop_timer timer;
	char instance[INSTANCE_ID_SIZE];
};

static void answer_wait(struct call *call, const struct instance *instance, bool gone,
			bool timed_out)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", instance->id);
	json_add_string(object, "state",
			instance_state_text(gone ? INSTANCE_REMOVING : instance->state));
	json_add_bool(object, "timed_out", timed_out);
	if (instance->last_exit.known)
		json_object_object_add(object, "last_exit",
				       instance_exit_print(&instance->last_exit));
	call_reply(call, 200, object);
}

static void let_go(void *arg)
{
	struct wait *wait = arg;

	list_remove(&wait->waiter.link);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
}

static void on_told(struct exit_waiter *waiter, struct instance *instance, bool gone)
{
	struct wait *wait = LIST_ENTRY(waiter, struct wait, waiter);

	let_go(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	answer_wait(wait->call, instance, gone, false);
}

static void on_time_up(struct loop_timer *timer)
{
	struct wait *wait = LIST_ENTRY(timer, struct wait, timer);
	struct instance *instance = fleet_find(&wait->call->daemon->fleet, wait->instance);

	let_go(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	answer_wait(wait->call, instance, false, true); /* a removed one would have told us */
}

void handle_instance_wait(struct call *call)
{
	struct instance *instance = call_instance(call);
	int64_t timeout_ms;
	struct wait *wait;

	if (!instance || call_seconds(call, "timeout", &timeout_ms) < 0)
		return;
	if ((exits_is_over(instance) && !instance->busy) || timeout_ms == 0) {
		answer_wait(call, instance, false, !exits_is_over(instance));
		return;
	}
	wait = ARENA_NEW(http_request_arena(call->request), struct wait);
	wait->call = call;
	wait->waiter.told = on_told;
	snprintf(wait->instance, sizeof(wait->instance), "%s", instance->id);
	list_append(&instance->waiters, &wait->waiter.link);
	loop_timer_init(&wait->timer, on_time_up);
	loop_timer_start(call->daemon->loop, &wait->timer,
			 timeout_ms > 0 ? timeout_ms : WAIT_DEFAULT_MS);
	http_request_on_gone(call->request, let_go, wait);
}

/* --- one question to the engine ------------------------------------------------------------------- */

struct question {
	struct call *call;
	struct gantry_op *op;
	struct json_object *(*print)(const struct question *question, const void *result);
	size_t stats_size; /* of the plugin's struct gantry_stats */
};

static void on_question_gone(void *arg)
{
	op_forget(((struct question *)arg)->op);
}

static void on_answer(void *arg, const struct gantry_error *err, const void *result)
{
	struct question *question = arg;

	http_request_on_gone(question->call->request, NULL, NULL);
	if (err)
		call_fail(question->call, err);
	else
		call_reply(question->call, 200, question->print(question, result));
}

static struct question *ask(struct call *call, const char *name,
			    struct json_object *(*print)(const struct question *question,
							 const void *result))
{
	struct question *question = ARENA_NEW(http_request_arena(call->request), struct question);

	question->call = call;
	question->print = print;
	question->op = op_new(&call->daemon->scope, name, on_answer, question);
	op_set_deadline(question->op, ASK_LIMIT_MS);
	http_request_on_gone(call->request, on_question_gone, question);
	return question;
}

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

static struct json_object *print_top(const struct question *question, const void *result)
{
	const struct gantry_top *top = result;
	struct json_object *object = json_object_new_object(), *rows = json_object_new_array();

	(void)question;
	json_object_object_add(object, "titles", print_strings(&top->titles));
	for (size_t i = 0; i < top->count; i++)
		json_object_array_add(rows, print_strings(&top->rows[i]));
	json_object_object_add(object, "rows", rows);
	return object;
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
		link->runtime->top(link->handle, instance->container_id,
				   ask(call, "top", print_top)->op);
}

/* What the plugin filled; one that is older than the core knows less. */
static struct gantry_stats known_stats(const void *filled, size_t size)
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

static struct json_object *print_stats(const struct question *question, const void *result)
{
	const struct gantry_stats stats = known_stats(result, question->stats_size);
	struct json_object *object = json_object_new_object();

	json_add_time(object, "at", stats.time_ms);
	json_add_int(object, "memory_bytes", stats.memory_bytes);
	json_add_int(object, "memory_limit_bytes", stats.memory_limit_bytes);
	json_add_int(object, "cpu_ns", stats.cpu_ns);
	add_count(object, "cpu_periods", stats.cpu_periods);
	json_add_int(object, "throttled_ns", stats.throttled_ns);
	json_add_int(object, "throttled_periods", stats.throttled_periods);
	add_count(object, "oom_kills", stats.oom_kills);
	add_percent(object, "cpu_pressure_percent", stats.cpu_pressure_percent);
	add_percent(object, "memory_pressure_percent", stats.memory_pressure_percent);
	add_percent(object, "io_pressure_percent", stats.io_pressure_percent);
	json_add_int(object, "pids", stats.pids);
	add_count(object, "pids_limit", stats.pids_limit);
	json_add_int(object, "network_rx_bytes", stats.network_rx_bytes);
	json_add_int(object, "network_tx_bytes", stats.network_tx_bytes);
	json_add_int(object, "block_read_bytes", stats.block_read_bytes);
	json_add_int(object, "block_write_bytes", stats.block_write_bytes);
	return object;
}

void handle_instance_stats(struct call *call)
{
	struct node_link *link;
	struct instance *instance = running_instance(call, &link);
	struct question *question;

	if (!instance)
		return;
	if (!link->runtime->stats) {
		call_fail_not_offered(call, link, "figures");
		return;
	}
	question = ask(call, "stats", print_stats);
	question->stats_size = link->runtime->stats_size;
	link->runtime->stats(link->handle, instance->container_id, question->op);
}

/* --- output -------------------------------------------------------------------------------------- */

/*
 * The engine is read as fast as the client takes it: where our queue to the client is over
 * HTTP_STREAM_HIGH_BYTES the op is paused, until half of that is left.
 */
struct output {
	struct call *call;
	struct gantry_op *op;
	bool begun;
};

static void on_output_drained(void *arg)
{
	op_pause(((struct output *)arg)->op, false);
}

static bool begin_output(struct output *output)
{
	struct http_request *request = output->call->request;

	if (output->begun)
		return true;
	output->begun = http_stream_begin(request, 200, "application/vnd.gantry.output");
	http_stream_on_drain(request, on_output_drained, output);
	http_stream_set_stall(request, OUTPUT_STALL_MS);
	return output->begun;
}

static int on_output(void *arg, int stream, const char *data, size_t length)
{
	struct output *output = arg;
	unsigned char head[8] = {(unsigned char)stream};
	uint32_t size = htonl((uint32_t)length);

	if (!begin_output(output))
		return -ECANCELED;
	memcpy(head + 4, &size, sizeof(size));
	http_stream_write(output->call->request, head, sizeof(head));
	if (!http_stream_write(output->call->request, data, length))
		op_pause(output->op, true);
	return 0;
}

static void on_output_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct output *output = arg;

	(void)result;
	http_request_on_gone(output->call->request, NULL, NULL);
	if (err)
		call_fail_stream(output->call, output->begun, err);
	else if (begin_output(output))
		http_stream_end(output->call->request);
}

static void on_output_gone(void *arg)
{
	op_forget(((struct output *)arg)->op);
}

void handle_instance_output(struct call *call)
{
	struct node_link *link;
	struct instance *instance = call_container(call, &link);
	struct output *output;
	bool follow;

	if (!instance || call_bool(call, "follow", &follow) < 0)
		return;
	if (!link->runtime->output) {
		call_fail_not_offered(call, link, "output");
		return;
	}
	output = ARENA_NEW(http_request_arena(call->request), struct output);
	output->call = call;
	output->op = op_new(&call->daemon->scope, "read output", on_output_over, output);
	http_request_on_gone(call->request, on_output_gone, output);
	link->runtime->output(link->handle, instance->container_id, follow, on_output, output,
			      output->op);
}
