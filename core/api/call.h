/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call: one request to the API, matched to its route, with actor, project and body. It lives in
 * the request's arena, as does what a handler keeps for a later answer.
 *
 * A handler answers at once or later; a later one must say what is to be let go when the client leaves
 * (http_request_on_gone). Ill-formed parameters are answered by the functions here: they return a
 * negative code, and the handler just returns.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "flows/flows.h"

struct call;
struct node_link;

/* ROUTE_BODY_STREAM: the handler runs before the body is read, and reads it itself. */
enum route_body { ROUTE_NO_BODY, ROUTE_BODY_OPTIONAL, ROUTE_BODY_REQUIRED, ROUTE_BODY_STREAM };

struct route {
	const char *method, *path; /* "/v1/instances/{id}" */
	const char *operation_id;
	void (*handle)(struct call *call);
	enum route_body body;
};

struct call {
	struct api *api;
	struct daemon *daemon;
	struct http_request *request;
	const struct route *route;
	const char *parameter;    /* what stands for {…} in the path, decoded; NULL */
	const char *actor;        /* "uid:0", "cn:nova-compute" */
	const char *user;         /* of X-Gantry-User; NULL */
	const char *via;          /* NULL: "api" */
	const char *project;      /* of ?project= or X-Gantry-Project; NULL: none named */
	struct json_object *body; /* borrowed while handle runs; NULL: none */
	uint64_t request_hash;
};

/* All routes; ends with a NULL method. */
extern const struct route api_routes[];

/* --- answers --- */
void call_reply(struct call *call, int status, struct json_object *object); /* takes object over */
void call_fail(struct call *call, const struct gantry_error *err);
/* Likewise, where the answer is a stream: one that has begun is cut, which its reader can tell from an end. */
void call_fail_stream(struct call *call, bool begun, const struct gantry_error *err);
/* The plugin of the node has no such verb. */
void call_fail_not_offered(struct call *call, const struct node_link *link, const char *what);
/* problem is taken over; operation: that it is about, or NULL. */
void call_reply_problem(struct call *call, struct json_object *problem, const char *operation);
/*
 * Answers with an operation: at once with 202, or as ?wait= says with success_status (or its problem)
 * once it has ended.
 */
void call_answer_operation(struct call *call, struct operation *operation, int success_status);

/*
 * Runs the handler, or, where the Idempotency-Key belongs to an operation that only the store has,
 * answers with that one. (One in memory is found by call_ask.)
 */
void call_run_or_repeat(struct call *call);

/*
 * Answers 200 with the operation as it is when it has ended or the time is up, whichever is first; a
 * failed one is an answer like another.
 */
void call_show_operation(struct call *call, struct operation *operation, int64_t wait_ms);

/* --- what the store is asked for --- */
typedef void (*call_rows_fn)(struct call *call, const struct gantry_error *err, char *const *rows,
			     size_t count);
struct call_lookup;
/*
 * To be passed to a store_read_… together with call_rows: answer is called with what was read, unless
 * the client has left. The call and its body live until then.
 */
struct call_lookup *call_lookup(struct call *call, call_rows_fn answer);
void call_rows(void *lookup, const struct gantry_error *err, char *const *rows, size_t count);

/* --- parameters --- */
/* The instance that {id} means, or NULL: answered. */
struct instance *call_instance(struct call *call);
/* The same, of one whose container can be asked for something; *ret_link is its node. NULL: answered. */
struct instance *call_container(struct call *call, struct node_link **ret_link);
/* The node of that name, or NULL: answered. */
struct node_link *call_node(struct call *call, const char *name);
/* The id that word means, itself where it is an id of an instance that is gone; NULL: answered. */
const char *call_instance_id(struct call *call, const char *word);
/* ?name=SECONDS in milliseconds; -1 where it is not there. */
int call_seconds(struct call *call, const char *name, int64_t *ret_ms);
int call_bool(struct call *call, const char *name, bool *ret_value);
int call_integer(struct call *call, const char *name, int64_t minimum, int64_t maximum,
		 int64_t fallback, int64_t *ret_value);
/* The cursor of a line of a log, BOOT.SEQUENCE: the sequence; -1 where it is not there. */
int call_cursor(struct call *call, const char *name, int64_t *ret_sequence);
/* Answers that text is no value for it: "… it must be " wanted. -EINVAL. */
int call_bad_parameter(struct call *call, const char *name, const char *text, const char *wanted);
/* Any member of the body but these (NULL-terminated) is an error. */
int call_check_members(struct call *call, const char *const *names);

/* Who asks, for what is no operation: an Idempotency-Key means nothing there. */
struct flows_ask call_asker(const struct call *call);
/*
 * What a flow is asked with. Where the Idempotency-Key was used before, the call is answered
 * here and 1 is returned.
 */
int call_ask(struct call *call, int success_status, struct flows_ask *ret_ask);

#endif
