/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/operation.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

static void operation_free(struct operations *operations, struct operation *operation)
{
	list_remove(&operation->link);
	HASH_DELETE(by_id, operations->by_id, operation);
	if (operation->key)
		HASH_DELETE(by_key, operations->by_key, operation);
	free(operation->instance_name);
	free(operation->project);
	free(operation->actor);
	free(operation->user);
	free(operation->idempotency_key);
	free(operation->key);
	for (size_t i = 0; i < operation->try_count; i++)
		free(operation->tries[i].node);
	free(operation->tries);
	json_object_put(operation->request);
	json_object_put(operation->result);
	free(operation);
}

void operations_init(struct operations *operations)
{
	*operations = (struct operations){0};
	list_init(&operations->running);
	list_init(&operations->ended);
}

void operations_fini(struct operations *operations)
{
	LIST_FOREACH (node, &operations->running) {
		operation_free(operations, LIST_ENTRY(node, struct operation, link));
	}
	LIST_FOREACH (ended, &operations->ended) {
		operation_free(operations, LIST_ENTRY(ended, struct operation, link));
	}
}

struct operation *operation_new(struct operations *operations, const char *id, const char *kind,
				const struct instance *instance, const char *actor,
				const char *idempotency_key)
{
	struct operation *operation = xcalloc(1, sizeof(*operation));

	if (id)
		snprintf(operation->id, sizeof(operation->id), "%s", id);
	else
		instance_make_id(operation->id);
	operation->kind = kind;
	if (instance) {
		snprintf(operation->instance, sizeof(operation->instance), "%s", instance->id);
		operation->instance_name = xstrdup(instance->spec.name);
		operation->project = xstrdup(instance->spec.project);
	}
	operation->actor = xstrdup(actor);
	operation->created_ms = clock_wall_ms();
	list_init(&operation->watchers);
	list_append(&operations->running, &operation->link);
	HASH_ADD(by_id, operations->by_id, id[0], strlen(operation->id), operation);
	if (idempotency_key) {
		operation->idempotency_key = xstrdup(idempotency_key);
		operation->key = xasprintf("%s %s", actor, idempotency_key);
		HASH_ADD_KEYPTR(by_key, operations->by_key, operation->key, strlen(operation->key),
				operation);
	}
	return operation;
}

void operation_asked_by(struct operation *operation, const char *user, uint64_t hash)
{
	operation->user = xstrdup(user);
	operation->request_hash = hash;
}

struct operation *operation_find(const struct operations *operations, const char *id)
{
	struct operation *found;

	HASH_FIND(by_id, operations->by_id, id, strlen(id), found);
	return found;
}

struct operation *operation_find_key(const struct operations *operations, const char *actor,
				     const char *key)
{
	char *joined = xasprintf("%s %s", actor, key);
	struct operation *found;

	HASH_FIND(by_key, operations->by_key, joined, strlen(joined), found);
	free(joined);
	return found;
}

void operation_add_try(struct operation *operation, const char *node,
		       const struct gantry_error *err)
{
	operation->tries =
		xrealloc(operation->tries, (operation->try_count + 1) * sizeof(*operation->tries));
	operation->tries[operation->try_count++] = (struct operation_try){xstrdup(node), *err};
}

bool operation_was_tried(const struct operation *operation, const char *node)
{
	for (size_t i = 0; i < operation->try_count; i++)
		if (str_equal(operation->tries[i].node, node))
			return true;
	return false;
}

/* One that is watched or has a key that may come again soon is kept a while longer. */
static void drop_old(struct operations *operations)
{
	while (operations->ended_count > OPERATIONS_KEPT) {
		struct operation *oldest =
			LIST_ENTRY(operations->ended.next, struct operation, link);

		if (!list_empty(&oldest->watchers))
			break;
		operation_free(operations, oldest);
		operations->ended_count--;
	}
}

void operation_end(struct operations *operations, struct operation *operation)
{
	json_object_put(operation->request); /* for one that goes on after a restart */
	operation->request = NULL;
	operation->result = json_pack(operation->result);
	list_remove(&operation->link);
	list_append(&operations->ended, &operation->link);
	operations->ended_count++;
	operation_changed(operation);
	drop_old(operations);
}

void operation_changed(struct operation *operation)
{
	LIST_FOREACH (node, &operation->watchers) {
		struct operation_watcher *watcher =
			LIST_ENTRY(node, struct operation_watcher, link);

		watcher->changed(watcher, operation);
	}
}

void operation_watch(struct operation *operation, struct operation_watcher *watcher)
{
	list_append(&operation->watchers, &watcher->link);
}

void operation_unwatch(struct operation_watcher *watcher)
{
	list_remove(&watcher->link);
}

static const char *state_text(enum operation_state state)
{
	static const char *const names[] = {"running", "done", "failed"};

	return names[state];
}

static struct json_object *print_timings(const struct operation_timings *timings)
{
	struct json_object *object = json_object_new_object(), *steps = json_object_new_array();

	json_add_int(object, "policy_us", timings->policy_us);
	json_add_int(object, "store_us", timings->store_us);
	json_add_int(object, "engine_us", timings->engine_us);
	json_add_int(object, "other_us",
		     timings->total_us - timings->policy_us - timings->store_us -
			     timings->engine_us);
	json_add_int(object, "total_us", timings->total_us);
	for (size_t i = 0; i < timings->step_count; i++) {
		struct json_object *step = json_object_new_object();

		json_add_string(step, "name", timings->steps[i].name);
		json_add_int(step, "us", timings->steps[i].us);
		json_object_array_add(steps, step);
	}
	json_object_object_add(object, "steps", steps);
	return object;
}

static struct json_object *print_try_codes(const struct operation *operation)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < operation->try_count; i++)
		json_object_array_add(list, json_object_new_int(operation->tries[i].err.code));
	return list;
}

static struct json_object *print_tries(const struct operation *operation)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < operation->try_count; i++) {
		struct json_object *object = json_object_new_object();

		json_add_string(object, "node", operation->tries[i].node);
		json_object_object_add(object, "error",
				       operation_problem(&operation->tries[i].err));
		json_object_array_add(list, object);
	}
	return list;
}

struct json_object *operation_print(const struct operation *operation)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", operation->id);
	json_add_string(object, "kind", operation->kind);
	if (operation->instance[0])
		json_add_string(object, "instance", operation->instance);
	json_add_string(object, "instance_name", operation->instance_name);
	json_add_string(object, "project", operation->project);
	json_add_string(object, "state", state_text(operation->state));
	json_add_string(object, "step", operation->step);
	if (operation->progress_stage[0]) {
		struct json_object *progress = json_object_new_object();

		json_add_string(progress, "stage", operation->progress_stage);
		json_add_int(progress, "done_bytes", operation->progress_done_bytes);
		json_add_int(progress, "total_bytes", operation->progress_total_bytes);
		json_object_object_add(object, "progress", progress);
	}
	json_add_string(object, "actor", operation->actor);
	json_add_string(object, "user", operation->user);
	json_add_time(object, "created_at", operation->created_ms);
	json_add_time(object, "ended_at", operation->ended_ms);
	json_object_object_add(object, "error",
			       operation->err.code ? operation_problem(&operation->err) : NULL);
	json_object_object_add(object, "result", json_object_get(operation->result));
	if (operation->decision)
		json_add_int(object, "decision", operation->decision);
	if (operation->try_count > 0)
		json_object_object_add(object, "tries", print_tries(operation));
	if (operation->ended_ms)
		json_object_object_add(object, "timings", print_timings(&operation->timings));
	return object;
}

void operation_save(struct store_batch *batch, const struct operation *operation)
{
	struct json_object *object = operation_print(operation);

	/* what only the journal keeps; operation_print_row takes it out again */
	json_object_object_add(object, "request", json_object_get(operation->request));
	json_object_object_add(object, "request_hash",
			       json_object_new_int64((int64_t)operation->request_hash));
	if (operation->err.code)
		json_add_int(object, "error_code", operation->err.code);
	if (operation->try_count > 0)
		json_object_object_add(object, "try_codes", print_try_codes(operation));
	store_put_operation(batch, &(struct store_operation){
					   .id = operation->id,
					   .kind = operation->kind,
					   .instance = operation->instance,
					   .state = state_text(operation->state),
					   .step = operation->step,
					   .idempotency_key = operation->idempotency_key,
					   .actor = operation->actor,
					   .json = json_object_to_json_string_ext(
						   object, JSON_C_TO_STRING_PLAIN),
					   .created_ms = operation->created_ms,
				   });
	json_object_put(object);
}

struct json_object *operation_print_row(const char *row, uint64_t *ret_hash)
{
	struct json_object *object = NULL;

	if (json_parse(row, strlen(row), &object, NULL) < 0)
		return NULL;
	if (ret_hash)
		*ret_hash = (uint64_t)json_get_int(object, "request_hash", 0);
	json_object_object_del(object, "request");
	json_object_object_del(object, "request_hash");
	json_object_object_del(object, "error_code");
	json_object_object_del(object, "try_codes");
	if (!*json_get_string(object, "instance", ""))
		json_object_object_del(object, "instance");
	return object;
}

static void load_error(struct json_object *problem, int code, struct gantry_error *ret_error)
{
	gantry_error_field(ret_error, code, json_get_string(problem, "field", ""), "%s",
			   json_get_string(problem, "detail", "failed"));
	ret_error->decision = json_get_int(problem, "decision", 0);
}

static void load_tries(struct operation *operation, struct json_object *object)
{
	struct json_object *list = json_get(object, "tries");
	struct json_object *codes = json_get(object, "try_codes");

	for (size_t i = 0; list && codes && i < json_object_array_length(list); i++) {
		struct json_object *tried = json_object_array_get_idx(list, i);
		struct gantry_error err;

		load_error(json_get(tried, "error"),
			   json_object_get_int(json_object_array_get_idx(codes, i)), &err);
		operation_add_try(operation, json_get_string(tried, "node", ""), &err);
	}
}

struct operation *operation_load(struct operations *operations, const struct store_operation *row,
				 const char *kind)
{
	struct json_object *object = NULL;
	struct operation *operation =
		operation_new(operations, row->id, kind, NULL, row->actor, row->idempotency_key);
	int64_t ended_ns;

	operation->recorded = true;
	json_parse(row->json, strlen(row->json), &object, NULL);
	snprintf(operation->instance, sizeof(operation->instance), "%s", row->instance);
	snprintf(operation->step, sizeof(operation->step), "%s", row->step);
	operation->instance_name = xstrdup(json_get_string(object, "instance_name", NULL));
	operation->project = xstrdup(json_get_string(object, "project", NULL));
	operation->user = xstrdup(json_get_string(object, "user", NULL));
	operation->created_ms = row->created_ms;
	operation->request = json_object_get(json_get(object, "request"));
	operation->request_hash = (uint64_t)json_get_int(object, "request_hash", 0);
	operation->result = json_object_get(json_get(object, "result"));
	operation->decision = json_get_int(object, "decision", 0);
	if (json_get(object, "error"))
		load_error(json_get(object, "error"), (int)json_get_int(object, "error_code", -EIO),
			   &operation->err);
	load_tries(operation, object);
	if (!str_equal(row->state, "running")) {
		operation->state =
			str_equal(row->state, "done") ? OPERATION_DONE : OPERATION_FAILED;
		if (clock_parse_ns(json_get_string(object, "ended_at", ""), &ended_ns) == 0)
			operation->ended_ms = ended_ns / 1000000;
		operation_end(operations, operation);
	}
	json_object_put(object);
	return operation;
}

/* HTTP status for an error's code, and the short title for it. */
static int error_status(int code, const char **ret_title)
{
	static const struct {
		int code, status;
		const char *title;
	} rows[] = {
		{-EINVAL, 400, "Bad value"},
		{-ERANGE, 400, "Value out of range"},
		{-EBADMSG, 400, "Bad request"},
		{-EACCES, 403, "Refused by policy"},
		{-EPERM, 403, "Not allowed"},
		{-ENOENT, 404, "Not found"},
		{-EEXIST, 409, "Already there"},
		{-EALREADY, 409, "Already in that state"},
		{-EBUSY, 409, "Not possible now"},
		{-ENOTUNIQ, 409, "Not unique"},
		{-E2BIG, 413, "Too large"},
		{-EFBIG, 413, "Too large"},
		{-ENOEXEC, 422, "Command cannot be run"},
		{-ENOTSUP, 501, "Not offered"},
		{-EHOSTUNREACH, 503, "Engine out of reach"},
		{-EAGAIN, 503, "Not possible now"},
		{-ENOSPC, 507, "Store is full"},
		{-ENOTRECOVERABLE, 500, "Store failed"},
		{-ETIMEDOUT, 504, "No answer in time"},
		{-ECANCELED, 503, "Cancelled"},
		{-EIO, 502, "Engine failed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].code == code) {
			*ret_title = rows[i].title;
			return rows[i].status;
		}
	}
	*ret_title = "Failed";
	return 500;
}

struct gantry_error operation_store_error(const struct gantry_error *err)
{
	struct gantry_error failure = *err;

	if (failure.code == -ESHUTDOWN)
		failure.code = -EAGAIN;
	else if (failure.code != -ENOSPC)
		failure.code = -ENOTRECOVERABLE;
	return failure;
}

struct json_object *operation_problem(const struct gantry_error *err)
{
	struct json_object *object = json_object_new_object();
	const char *title;
	int status = error_status(err->code, &title);

	json_add_string(object, "type", "about:blank");
	json_add_string(object, "title", title);
	json_add_int(object, "status", status);
	json_add_string(object, "detail", err->text);
	if (err->field[0])
		json_add_string(object, "field", err->field);
	if (err->decision)
		json_add_int(object, "decision", err->decision);
	return object;
}
