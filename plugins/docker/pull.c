/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulling images: one download an image and node, however many ops wait for it.
 *
 *	docker_pull ─▶ one under way for this reference? ──yes──▶ join
 *	                 └──no──▶ POST /images/create, and wait
 *	stream: progress of each layer ─▶ summed up, told to every waiter
 *	end ─▶ every waiter's op ends with the same outcome
 *
 * A cancel ends one waiter at once; the last one's cancel ends the download, and a pull that comes
 * while that is being ended starts anew. The engine answers 200 before it knows whether it can: what
 * fails later comes inside the stream, as errorDetail. It fails when nothing arrives for pull_stall,
 * however long the whole may take.
 */
#include "docker.h"

#include <stdlib.h>

#define LAYERS_MAX 256

struct waiter {
	struct waiter *next;
	struct docker_pull *pull; /* borrowed */
	struct gantry_op *op;
};

struct layer {
	char id[20];
	int64_t done_bytes, total_bytes;
};

struct docker_pull {
	struct docker_pull *next;
	struct docker_node *node;
	char *reference;        /* owned, normalised */
	struct waiter *waiters; /* each in its op's memory */
	struct docker_call call;
	struct docker_stream stream;
	struct layer *layers; /* owned */
	size_t layer_count;
	char failure[400]; /* errorDetail */
};

/* "busybox" and "docker.io/library/busybox:latest" are one image. The caller frees. */
static char *normal_reference(const char *image)
{
	const char *slash = strchr(image, '/'), *last = strrchr(image, '/');
	size_t first = slash ? (size_t)(slash - image) : 0;
	bool domain = slash && (memchr(image, '.', first) || memchr(image, ':', first) ||
				strncmp(image, "localhost/", 10) == 0);
	bool tagged = strchr(image, '@') || strchr(last ? last : image, ':');
	char *whole = NULL;

	if (asprintf(&whole, "%s%s%s%s", domain ? "" : "docker.io/",
		     domain || slash ? "" : "library/", image, tagged ? "" : ":latest") < 0)
		abort();
	return whole;
}

static void forget(struct docker_pull *pull)
{
	struct docker_pull **at = &pull->node->pulls;

	while (*at && *at != pull)
		at = &(*at)->next;
	if (*at)
		*at = pull->next;
}

/* --- progress --- */

static void tell_progress(struct docker_pull *pull, const char *stage)
{
	struct gantry_progress progress = {.stage = stage};

	for (size_t i = 0; i < pull->layer_count; i++) {
		progress.done_bytes += pull->layers[i].done_bytes;
		progress.total_bytes += pull->layers[i].total_bytes;
	}
	for (struct waiter *waiter = pull->waiters; waiter; waiter = waiter->next)
		pull->node->host->op_progress(waiter->op, &progress);
}

static struct layer *find_layer(struct docker_pull *pull, const char *id)
{
	for (size_t i = 0; i < pull->layer_count; i++)
		if (strcmp(pull->layers[i].id, id) == 0)
			return &pull->layers[i];
	if (pull->layer_count == LAYERS_MAX)
		return NULL;
	if (!pull->layers)
		pull->layers = calloc(LAYERS_MAX, sizeof(*pull->layers));
	if (!pull->layers)
		return NULL;
	snprintf(pull->layers[pull->layer_count].id, sizeof(pull->layers->id), "%s", id);
	return &pull->layers[pull->layer_count++];
}

static int on_message(void *arg, struct json_object *message)
{
	struct docker_pull *pull = arg;
	const char *stage = docker_text(message, "status"), *id = docker_text(message, "id");
	struct json_object *detail = docker_get(message, "progressDetail");
	const char *failure = docker_text(docker_get(message, "errorDetail"), "message");
	struct layer *layer;

	if (!failure)
		failure = docker_text(message, "error");
	if (failure) {
		snprintf(pull->failure, sizeof(pull->failure), "%s", failure);
		return 0;
	}
	if (!stage)
		return 0;
	layer = id && detail && strcmp(stage, "Downloading") == 0 ? find_layer(pull, id) : NULL;
	if (layer) {
		layer->done_bytes = docker_int(detail, "current", 0);
		layer->total_bytes = docker_int(detail, "total", 0);
	} else if (id && strcmp(stage, "Download complete") == 0) {
		layer = find_layer(pull, id);
		if (layer)
			layer->done_bytes = layer->total_bytes;
	}
	tell_progress(pull, stage);
	return 0;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct docker_pull *pull = call->arg;

	return docker_stream_feed(&pull->stream, data, length, on_message, pull);
}

/* --- ends --- */

static bool says_missing(const char *text)
{
	return docker_says(text, "not found") || docker_says(text, "does not exist") ||
	       docker_says(text, "manifest unknown") || docker_says(text, "access denied");
}

static void pull_done(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct docker_pull *pull = call->arg;
	struct gantry_error failure;
	struct waiter *waiter = pull->waiters;

	(void)reply;
	if (!err && pull->failure[0]) {
		gantry_error_set(&failure, -EIO, "docker: pull %s: %s", pull->reference,
				 pull->failure);
		err = &failure;
	} else if (err) {
		failure = *err;
		if (failure.code == -EPROTO)
			failure.code = -EIO;
		err = &failure;
	}
	if (err && failure.code == -EIO && says_missing(failure.text))
		failure.code = -ENOENT;
	forget(pull);
	while (waiter) {
		struct waiter *next = waiter->next;

		pull->node->host->op_on_cancel(waiter->op, NULL, NULL);
		pull->node->host->op_done(waiter->op, err, NULL);
		waiter = next;
	}
	docker_stream_fini(&pull->stream);
	free(pull->layers);
	free(pull->reference);
	free(pull);
}

static void on_cancel(void *arg)
{
	struct waiter *waiter = arg;
	struct docker_pull *pull = waiter->pull;
	struct waiter **at = &pull->waiters;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	docker_fail(pull->node, waiter->op, -ECANCELED, "pull %s: cancelled", pull->reference);
	if (!pull->waiters) {
		forget(pull);
		docker_call_cancel(&pull->call);
	}
}

/* --- begin --- */

static void start_pull(struct docker_pull *pull, const char *image)
{
	const char *last = strrchr(image, '/'), *cut;
	char *name, *encoded, *tag = NULL;

	/* the engine wants name and tag, or name and digest, apart; without a tag it would take all */
	cut = strchr(image, '@');
	if (!cut)
		cut = strchr(last ? last : image, ':');
	name = cut ? strndup(image, (size_t)(cut - image)) : strdup(image);
	tag = docker_url(cut ? cut + 1 : "latest");
	encoded = docker_url(name);
	docker_call(&pull->call, "POST", NULL, "/images/create?fromImage=%s&tag=%s", encoded, tag);
	free(name);
	free(encoded);
	free(tag);
}

void docker_pull(void *arg, const char *image, struct gantry_op *op)
{
	struct docker_node *node = arg;
	char *reference = normal_reference(image);
	struct docker_pull *pull = node->pulls;
	struct waiter *waiter = node->host->op_alloc(op, sizeof(*waiter));
	bool first;

	while (pull && strcmp(pull->reference, reference) != 0)
		pull = pull->next;
	first = !pull;
	if (first) {
		pull = calloc(1, sizeof(*pull));
		if (!pull)
			abort();
		pull->node = node;
		pull->reference = reference;
		pull->call.node = node;
		pull->call.done = pull_done;
		pull->call.on_data = on_data;
		pull->call.arg = pull;
		pull->call.stall_ms = node->settings->pull_stall_ms;
		pull->next = node->pulls;
		node->pulls = pull;
	} else {
		free(reference);
	}
	waiter->op = op;
	waiter->pull = pull;
	waiter->next = pull->waiters;
	pull->waiters = waiter;
	if (first)
		start_pull(pull, image);
	/* last: a cancel that came before is told at once */
	node->host->op_on_cancel(op, on_cancel, waiter);
}
