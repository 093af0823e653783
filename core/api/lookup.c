/* SPDX-License-Identifier: Apache-2.0 */
/* A call that has to ask the store before it can answer. */
#include "api/call.h"

struct call_lookup {
	struct call *call;
	struct json_object *body; /* owned: the call's, for a handler that runs after all; NULL */
	call_rows_fn answer;
	bool gone;
};

static void on_gone(void *arg)
{
	((struct call_lookup *)arg)->gone = true;
}

struct call_lookup *call_lookup(struct call *call, call_rows_fn answer)
{
	struct call_lookup *lookup =
		ARENA_NEW(http_request_arena(call->request), struct call_lookup);

	lookup->call = call;
	lookup->body = json_object_get(call->body);
	lookup->answer = answer;
	http_request_ref(call->request);
	http_request_on_gone(call->request, on_gone, lookup);
	return lookup;
}

void call_rows(void *arg, const struct gantry_error *err, char *const *rows, size_t count)
{
	struct call_lookup *lookup = arg;
	struct call *call = lookup->call;
	struct http_request *request = call->request;
	struct gantry_error failure;

	if (err) {
		failure = operation_store_error(err);
		err = &failure;
	}
	if (!lookup->gone) {
		http_request_on_gone(request, NULL, NULL);
		call->body = lookup->body;
		lookup->answer(call, err, rows, count);
		call->body = NULL;
	}
	json_object_put(lookup->body);
	http_request_unref(request);
}
