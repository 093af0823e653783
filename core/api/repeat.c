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

static void repeat(struct call *call, struct json_object *operation, uint64_t hash)
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

static void answer(struct call *call, const struct gantry_error *err, char *const *rows,
		   size_t count)
{
	struct json_object *operation = NULL;
	uint64_t hash = 0;

	if (!err && count)
		operation = operation_print_row(rows[0], &hash);
	if (err)
		call_fail(call, err);
	else if (operation)
		repeat(call, operation, hash);
	else
		call->route->handle(call);
	json_object_put(operation);
}

void call_run_or_repeat(struct call *call)
{
	const char *key = http_request_header(call->request, "Idempotency-Key");

	if (!key || !*key || operation_find_key(&call->daemon->operations, call->actor, key))
		call->route->handle(call);
	else
		store_read_operation_of_key(call->daemon->store, call->actor, key, call_rows,
					    call_lookup(call, answer));
}
