/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a container, one call each. */
#include "docker.h"

#include <stdlib.h>

/* Success has no result. */
static void plain_done(struct docker_call *call, const struct gantry_error *err,
		       struct json_object *reply)
{
	(void)reply;
	if (!err && call->status == 304)
		docker_fail(call->node, call->op, -EALREADY, "it is so already");
	else
		call->node->host->op_done(call->op, err, NULL);
}

/* --- start --- */

static bool cannot_run(const char *text)
{
	static const char *const words[] = {
		"executable file not found",
		"no such file or directory",
		"permission denied",
		"exec format error",
		"is a directory",
		"not a directory",
		"exec: ",
		"OCI runtime",
		"container init",
		NULL,
	};

	for (size_t i = 0; words[i]; i++)
		if (docker_says(text, words[i]))
			return true;
	return false;
}

static void started(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct gantry_error mapped;

	if (!err) {
		plain_done(call, err, reply);
		return;
	}
	mapped = *err;
	if (call->status == 404 && !docker_says(err->text, "no such container") &&
	    !docker_says(err->text, "no container with"))
		mapped.code = -EINVAL; /* a network, a volume, a program that is not there */
	if (call->status && mapped.code != -EEXIST && mapped.code != -ENOENT &&
	    cannot_run(err->text))
		mapped.code = -ENOEXEC;
	call->node->host->op_done(call->op, &mapped, NULL);
}

void docker_start(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, started), "POST", NULL, "/containers/%s/start",
		    container);
}

/* --- kill, pause, unpause, rename --- */

static void killed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct gantry_error mapped;

	if (err && call->status == 409) {
		mapped = *err;
		mapped.code = -EALREADY;
		err = &mapped;
	}
	plain_done(call, err, reply);
}

void docker_kill(void *arg, const char *container, int signal, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, killed), "POST", NULL, "/containers/%s/kill?signal=%d",
		    container, signal);
}

void docker_pause(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL, "/containers/%s/pause",
		    container);
}

void docker_unpause(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL, "/containers/%s/unpause",
		    container);
}

void docker_rename(void *arg, const char *container, const char *name, struct gantry_op *op)
{
	char *encoded = docker_url(name);

	docker_call(docker_call_new(arg, op, plain_done), "POST", NULL,
		    "/containers/%s/rename?name=%s", container, encoded);
	free(encoded);
}

/* --- wait --- */

static void waited(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	const char *error = docker_text(docker_get(reply, "Error"), "Message");
	struct gantry_exit *end;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	if (error && error[0]) {
		docker_fail(node, call->op, -EIO, "%s", error);
		return;
	}
	end = node->host->op_alloc(call->op, sizeof(*end));
	end->exit_code = (int)docker_int(reply, "StatusCode", 0);
	node->host->op_done(call->op, NULL, end);
}

void docker_wait(void *arg, const char *container, struct gantry_op *op)
{
	struct docker_call *call = docker_call_new(arg, op, waited);

	call->stall_ms = -1;
	docker_call(call, "POST", NULL, "/containers/%s/wait", container);
}

/* --- remove: what is not there is removed --- */

static void gone(struct docker_call *call, const struct gantry_error *err,
		 struct json_object *reply)
{
	plain_done(call, err && call->status == 404 ? NULL : err, reply);
}

static void removed(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	if (err && call->status == 409 && docker_says(err->text, "in progress")) {
		/* somebody else is at it: wait for that */
		call->done = gone;
		call->stall_ms = -1;
		docker_call(call, "POST", NULL, "/containers/%s/wait?condition=removed",
			    (const char *)call->arg);
		return;
	}
	if (err && call->status != 404 && docker_says(err->text, "no such container"))
		err = NULL;
	gone(call, err, reply);
}

void docker_remove(void *arg, const char *container, struct gantry_op *op)
{
	struct docker_call *call = docker_call_new(arg, op, removed);

	call->arg = (void *)docker_keep(arg, op, container);
	docker_call(call, "DELETE", NULL, "/containers/%s?force=1&v=1", container);
}

/* --- top --- */

static void listed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct json_object *rows = docker_get(reply, "Processes");
	struct gantry_error mapped;
	struct gantry_top *top;

	if (err) {
		mapped = *err;
		if (call->status == 409)
			mapped.code = -EALREADY;
		node->host->op_done(call->op, &mapped, NULL);
		return;
	}
	top = node->host->op_alloc(call->op, sizeof(*top));
	top->titles = docker_keep_list(node, call->op, docker_get(reply, "Titles"));
	if (json_object_is_type(rows, json_type_array)) {
		top->count = json_object_array_length(rows);
		top->rows = node->host->op_alloc(call->op, (top->count + 1) * sizeof(*top->rows));
		for (size_t i = 0; i < top->count; i++)
			top->rows[i] = docker_keep_list(node, call->op,
							json_object_array_get_idx(rows, i));
	}
	node->host->op_done(call->op, NULL, top);
}

void docker_top(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, listed), "GET", NULL, "/containers/%s/top", container);
}
