/* SPDX-License-Identifier: Apache-2.0 */
#include "api/question.h"

#define LIMIT_MS 30000

static void on_gone(void *arg)
{
	op_forget(((struct question *)arg)->op);
}

static void fail(struct question *question, const struct gantry_error *err)
{
	http_request_on_gone(question->call->request, NULL, NULL);
	call_fail(question->call, err);
}

static void on_done(void *arg, const struct gantry_error *err, const void *result)
{
	struct question *question = arg;

	if (err)
		fail(question, err);
	else
		question->take(question, result);
}

struct question *question_new(struct call *call, const struct instance *instance,
			      const struct node_link *link)
{
	struct question *question = ARENA_NEW(http_request_arena(call->request), struct question);

	question->call = call;
	question->link = link;
	snprintf(question->instance, sizeof(question->instance), "%s", instance->id);
	return question;
}

struct gantry_op *question_op(struct question *question, const char *name,
			      void (*take)(struct question *question, const void *result))
{
	question->take = take;
	question->op = op_new(&question->call->daemon->scope, name, on_done, question);
	op_set_deadline(question->op, LIMIT_MS);
	http_request_on_gone(question->call->request, on_gone, question);
	return question->op;
}

struct instance *question_instance(struct question *question)
{
	struct instance *instance = fleet_find(&question->call->daemon->fleet, question->instance);
	struct gantry_error err;

	if (instance)
		return instance;
	gantry_error_set(&err, -ENOENT, "there is no instance %s any more", question->instance);
	fail(question, &err);
	return NULL;
}

void question_answer(struct question *question, struct json_object *object)
{
	http_request_on_gone(question->call->request, NULL, NULL);
	call_reply(question->call, 200, object);
}
