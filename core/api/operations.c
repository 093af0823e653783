/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: list, show (with waiting), watch. Older ones come from the store. */
#include "api/call.h"
#include "api/handlers.h"
#include "api/stream.h"
#include "base/str.h"

struct watch {
	struct stream stream;
	struct operation_watcher watcher;
};

/* --- list and show -------------------------------------------------------------------------------- */

static void answer_list(struct call *call, const struct gantry_error *err, char *const *rows,
			size_t count)
{
	struct json_object *object, *list, *operation;

	if (err) {
		call_fail(call, err);
		return;
	}
	object = json_object_new_object();
	list = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		if ((operation = operation_print_row(rows[i], NULL)))
			json_object_array_add(list, operation);
	json_object_object_add(object, "operations", list);
	call_reply(call, 200, object);
}

void handle_operation_list(struct call *call)
{
	const char *instance = http_request_query(call->request, "instance");
	int64_t limit;

	if (call_integer(call, "limit", 1, 1000, 100, &limit) < 0)
		return;
	if (instance && !(instance = call_instance_id(call, instance)))
		return;
	store_read_operations(call->daemon->store, instance, (size_t)limit, call_rows,
			      call_lookup(call, answer_list));
}

/* One that is not in memory, or NULL: answered. */
static struct json_object *stored_operation(struct call *call, const struct gantry_error *err,
					    char *const *rows, size_t count)
{
	struct json_object *operation = !err && count ? operation_print_row(rows[0], NULL) : NULL;
	struct gantry_error missing;

	if (!err && !operation) {
		gantry_error_set(&missing, -ENOENT, "there is no operation %.80s", call->parameter);
		err = &missing;
	}
	if (err)
		call_fail(call, err);
	return operation;
}

static void answer_stored(struct call *call, const struct gantry_error *err, char *const *rows,
			  size_t count)
{
	struct json_object *operation = stored_operation(call, err, rows, count);

	if (operation)
		call_reply(call, 200, operation);
}

void handle_operation_show(struct call *call)
{
	struct operation *operation = operation_find(&call->daemon->operations, call->parameter);
	int64_t wait_ms;

	if (call_seconds(call, "wait", &wait_ms) < 0)
		return;
	if (operation)
		call_show_operation(call, operation, wait_ms);
	else
		store_read_operation(call->daemon->store, call->parameter, call_rows,
				     call_lookup(call, answer_stored));
}

/* --- watch --------------------------------------------------------------------------------------- */

static void write_object(struct watch *watch, struct json_object *object)
{
	stream_write(&watch->stream, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
		     0);
	json_object_put(object);
}

static void write_operation(struct watch *watch, const struct operation *operation)
{
	write_object(watch, operation_print(operation));
}

static void on_watched(struct operation_watcher *watcher, struct operation *operation)
{
	struct watch *watch = LIST_ENTRY(watcher, struct watch, watcher);
	bool over = operation->state != OPERATION_RUNNING;

	/* a client that is behind misses progress, never the end */
	if (!watch->stream.behind || over)
		write_operation(watch, operation);
	if (over) {
		operation_unwatch(watcher);
		stream_end(&watch->stream);
	}
}

static void on_watch_gone(struct stream *stream)
{
	operation_unwatch(&LIST_ENTRY(stream, struct watch, stream)->watcher);
}

static struct watch *watch_new(struct call *call)
{
	struct watch *watch = ARENA_NEW(http_request_arena(call->request), struct watch);

	watch->watcher.changed = on_watched;
	list_init(&watch->watcher.link);
	return stream_begin(&watch->stream, call, NULL, on_watch_gone) ? watch : NULL;
}

/* One that only the store has is over: one line. */
static void watch_stored(struct call *call, const struct gantry_error *err, char *const *rows,
			 size_t count)
{
	struct json_object *operation = stored_operation(call, err, rows, count);
	struct watch *watch = operation ? watch_new(call) : NULL;

	if (!watch) {
		json_object_put(operation);
		return;
	}
	write_object(watch, operation);
	stream_end(&watch->stream);
}

void handle_operation_watch(struct call *call)
{
	struct operation *operation = operation_find(&call->daemon->operations, call->parameter);
	struct watch *watch;

	if (!operation) {
		store_read_operation(call->daemon->store, call->parameter, call_rows,
				     call_lookup(call, watch_stored));
		return;
	}
	watch = watch_new(call);
	if (!watch)
		return;
	write_operation(watch, operation);
	if (operation->state != OPERATION_RUNNING)
		stream_end(&watch->stream);
	else
		operation_watch(operation, &watch->watcher);
}
