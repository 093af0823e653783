/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container becomes an image: look for what a commit before made, then commit.
 *
 * The mark is the image's comment. Who was killed between the engine's work and its own note of it asks
 * again, and must not make a second image.
 */
#include "docker.h"

#include <stdlib.h>

struct commit {
	struct docker_call call;
	const char *container, *image, *mark; /* in the op's memory */
	bool pause;
};

static void committed(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct docker_node *node = call->node;
	const char *id = docker_text(reply, "Id");

	if (err)
		node->host->op_done(call->op, err, NULL);
	else if (!id)
		docker_fail(node, call->op, -EIO, "the engine told no id of the image");
	else
		node->host->op_done(call->op, NULL, docker_keep(node, call->op, id));
}

static void begin(struct commit *commit)
{
	const char *slash = strrchr(commit->image, '/');
	const char *colon = strchr(slash ? slash : commit->image, ':');
	char *front = colon ? strndup(commit->image, (size_t)(colon - commit->image))
			    : strdup(commit->image);
	char *name = docker_url(front), *tag = docker_url(colon ? colon + 1 : "latest");
	char *mark = docker_url(commit->mark);

	commit->call.done = committed;
	commit->call.stall_ms = -1; /* it says nothing before it is through, however large */
	docker_call(&commit->call, "POST", NULL,
		    "/commit?container=%s&repo=%s&tag=%s&comment=%s&pause=%d", commit->container,
		    name, tag, mark, commit->pause);
	free(front);
	free(name);
	free(tag);
	free(mark);
}

static void looked(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct commit *commit = (struct commit *)call;
	const char *mark = docker_text(reply, "Comment");

	if (err && err->code != -ENOENT)
		call->node->host->op_done(call->op, err, NULL);
	else if (!err && mark && strcmp(mark, commit->mark) == 0)
		committed(call, NULL, reply);
	else
		begin(commit);
}

void docker_commit(void *arg, const char *container, const struct gantry_commit *asked,
		   struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct commit *commit = node->host->op_alloc(op, sizeof(*commit));
	char *encoded = docker_url(asked->image);

	commit->call.node = node;
	commit->call.op = op;
	commit->call.done = looked;
	commit->container = docker_keep(node, op, container);
	commit->image = docker_keep(node, op, asked->image);
	commit->mark = docker_keep(node, op, asked->mark);
	commit->pause = asked->pause;
	docker_call(&commit->call, "GET", NULL, "/images/%s/json", encoded);
	free(encoded);
}
