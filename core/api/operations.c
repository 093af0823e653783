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

/* A list under way: the store is read after what is in memory. */
struct listing {
	struct call *call;
	bool gone;
};

static void on_listing_gone(void *arg)
{
	((struct listing *)arg)->gone = true;
}

static void on_rows(void *arg, const struct gantry_error *err, char *const *rows, size_t count)
{
	struct listing *listing = arg;
	struct http_request *request = listing->call->request;
	struct json_object *object, *list, *operation;

	if (!listing->gone) {
		http_request_on_gone(request, NULL, NULL);
		if (err) {
			call_fail(listing->call, err);
		} else {
			object = json_object_new_object();
			list = json_object_new_array();
			for (size_t i = 0; i < count; i++)
				if ((operation = operation_print_row(rows[i], NULL)))
					json_object_array_add(list, operation);
			json_object_object_add(object, "operations", list);
			call_reply(listing->call, 200, object);
		}
	}
	http_request_unref(request);
}

/* The id of an instance: one that is there, or the word itself for one that is gone. */
static const char *instance_word(struct call *call, bool *ret_failed)
{
	const char *word = http_request_query(call->request, "instance");
	struct instance *instance;
	struct gantry_error err;
	int code;

	*ret_failed = false;
	if (!word)
		return NULL;
	code = fleet_resolve(&call->daemon->fleet, word, call->project, &instance, &err);
	if (code == 0)
		return instance->id;
	if (code == -ENOENT && strlen(word) == INSTANCE_ID_SIZE - 1)
		return word;
	call_fail(call, &err);
	*ret_failed = true;
	return NULL;
}

void handle_operation_list(struct call *call)
{
	struct listing *listing;
	const char *instance;
	bool failed;
	int64_t limit;

	if (call_integer(call, "limit", 1, 1000, 100, &limit) < 0)
		return;
	instance = instance_word(call, &failed);
	if (failed)
		return;
	listing = ARENA_NEW(http_request_arena(call->request), struct listing);
	listing->call = call;
	http_request_ref(call->request);
	http_request_on_gone(call->request, on_listing_gone, listing);
	store_read_operations(call->daemon->store, instance, (size_t)limit, on_rows, listing);
}

/* One that is not in memory, or NULL: answered. */
static struct json_object *stored_operation(struct listing *listing, const struct gantry_error *err,
					    char *const *rows, size_t count)
{
	struct json_object *operation = !err && count ? operation_print_row(rows[0], NULL) : NULL;
	struct gantry_error missing;

	if (!err && !operation) {
		gantry_error_set(&missing, -ENOENT, "there is no operation %.80s",
				 listing->call->parameter);
		err = &missing;
	}
	if (err)
		call_fail(listing->call, err);
	return operation;
}

static void on_row(void *arg, const struct gantry_error *err, char *const *rows, size_t count)
{
	struct listing *listing = arg;
	struct http_request *request = listing->call->request;
	struct json_object *operation;

	if (!listing->gone) {
		http_request_on_gone(request, NULL, NULL);
		operation = stored_operation(listing, err, rows, count);
		if (operation)
			call_reply(listing->call, 200, operation);
	}
	http_request_unref(request);
}

/* Waits as call_answer_operation does, but a failed operation is an answer like another. */
struct show_wait {
	struct call *call;
	struct operation *operation;
	struct operation_watcher watcher;
	struct loop_timer timer;
};

static void show_let_go(void *arg)
{
	struct show_wait *wait = arg;

	operation_unwatch(&wait->watcher);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
}

static void show_answer(struct show_wait *wait)
{
	show_let_go(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	call_reply(wait->call, 200, operation_print(wait->operation));
}

static void show_changed(struct operation_watcher *watcher, struct operation *operation)
{
	if (operation->state != OPERATION_RUNNING)
		show_answer(LIST_ENTRY(watcher, struct show_wait, watcher));
}

static void show_time_up(struct loop_timer *timer)
{
	show_answer(LIST_ENTRY(timer, struct show_wait, timer));
}

static struct listing *read_stored(struct call *call)
{
	struct listing *listing = ARENA_NEW(http_request_arena(call->request), struct listing);

	listing->call = call;
	http_request_ref(call->request);
	http_request_on_gone(call->request, on_listing_gone, listing);
	return listing;
}

void handle_operation_show(struct call *call)
{
	struct operation *operation = operation_find(&call->daemon->operations, call->parameter);
	struct show_wait *wait;
	int64_t wait_ms;

	if (call_seconds(call, "wait", &wait_ms) < 0)
		return;
	if (!operation) {
		store_read_operation(call->daemon->store, call->parameter, on_row,
				     read_stored(call));
		return;
	}
	if (wait_ms <= 0 || operation->state != OPERATION_RUNNING) {
		call_reply(call, 200, operation_print(operation));
		return;
	}
	wait = ARENA_NEW(http_request_arena(call->request), struct show_wait);
	wait->call = call;
	wait->operation = operation;
	wait->watcher.changed = show_changed;
	loop_timer_init(&wait->timer, show_time_up);
	loop_timer_start(call->daemon->loop, &wait->timer, wait_ms);
	operation_watch(operation, &wait->watcher);
	http_request_on_gone(call->request, show_let_go, wait);
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
static void on_watched_row(void *arg, const struct gantry_error *err, char *const *rows,
			   size_t count)
{
	struct listing *listing = arg;
	struct http_request *request = listing->call->request;
	struct json_object *operation = NULL;
	struct watch *watch;

	if (!listing->gone) {
		http_request_on_gone(request, NULL, NULL);
		operation = stored_operation(listing, err, rows, count);
	}
	watch = operation ? watch_new(listing->call) : NULL;
	if (watch) {
		write_object(watch, operation);
		stream_end(&watch->stream);
	} else {
		json_object_put(operation);
	}
	http_request_unref(request);
}

void handle_operation_watch(struct call *call)
{
	struct operation *operation = operation_find(&call->daemon->operations, call->parameter);
	struct watch *watch;

	if (!operation) {
		store_read_operation(call->daemon->store, call->parameter, on_watched_row,
				     read_stored(call));
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
