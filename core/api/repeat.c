/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request with an Idempotency-Key, asked again.
 *
 *	key of an operation in memory     the handler finds it itself (call_ask), also one that was
 *	                                  begun while the store was being read
 *	of one that only the store has    answered from its row: it has ended
 *	new                               the handler runs
 *
 * A client that leaves while the store is read has begun nothing.
 */
#include "api/call.h"
#include "base/str.h"

struct repeat {
	struct call *call;
	struct json_object *body; /* owned while the store is read; NULL */
	bool gone;
};

static void on_gone(void *arg)
{
	((struct repeat *)arg)->gone = true;
}

static void answer(struct call *call, struct json_object *operation, uint64_t hash)
{
	const char *id = json_get_string(operation, "id", "");
	struct json_object *problem = json_get(operation, "error");
	struct gantry_error err;
	char address[80];
	int64_t wait_ms;

	if (hash != call->request_hash) {
		gantry_error_set(&err, -EEXIST,
				 "the idempotency key was used for another request (operation %s)",
				 id);
		call_fail(call, &err);
	} else if (call_seconds(call, "wait", &wait_ms) < 0) {
		return;
	} else if (wait_ms < 0) {
		snprintf(address, sizeof(address), "/v1/operations/%s", id);
		http_reply_header(call->request, "Location", address);
		call_reply(call, 202, json_object_get(operation));
	} else if (problem) {
		call_reply_problem(call, json_object_get(problem), id);
	} else {
		call_reply(call, str_equal(call->route->operation_id, "instanceSpawn") ? 201 : 200,
			   json_object_get(operation));
	}
}

static void on_row(void *arg, const struct gantry_error *err, char *const *rows, size_t count)
{
	struct repeat *repeat = arg;
	struct call *call = repeat->call;
	struct http_request *request = call->request;
	struct json_object *operation = NULL;
	uint64_t hash = 0;

	if (!repeat->gone) {
		http_request_on_gone(request, NULL, NULL);
		if (!err && count)
			operation = operation_print_row(rows[0], &hash);
		if (err) {
			call_fail(call, err);
		} else if (operation) {
			answer(call, operation, hash);
		} else {
			call->body = repeat->body;
			call->route->handle(call);
			call->body = NULL;
		}
	}
	json_object_put(operation);
	json_object_put(repeat->body);
	http_request_unref(request);
}

void call_run_or_repeat(struct call *call)
{
	const char *key = http_request_header(call->request, "Idempotency-Key");
	struct repeat *repeat;

	if (!key || !*key || operation_find_key(&call->daemon->operations, call->actor, key)) {
		call->route->handle(call);
		return;
	}
	repeat = ARENA_NEW(http_request_arena(call->request), struct repeat);
	repeat->call = call;
	repeat->body = json_object_get(call->body);
	http_request_ref(call->request);
	http_request_on_gone(call->request, on_gone, repeat);
	store_read_operation_of_key(call->daemon->store, call->actor, key, on_row, repeat);
}
