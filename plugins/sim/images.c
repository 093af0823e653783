/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: names only. Those of the settings, those that were pulled, and those that were asked for
 * and fit a pattern of the settings. A pull is one download however many wait for it:
 *
 *	sim_pull ─▶ one under way for this image? ──yes──▶ join
 *	              └──no──▶ ten steps of a tenth of pull_latency, each told as progress ─▶ all end
 *
 * The last waiter that leaves ends the download.
 */
#include "sim.h"

#include <stdlib.h>

#define STEPS      10
#define IMAGES_MAX 4096 /* names that are kept */

struct pull_call {
	struct sim_call call;
	struct sim_pull *pull; /* borrowed; NULL: it waits for none */
	LIST_ENTRY(pull_call) waiting;
};

struct sim_pull {
	struct sim_pull *next;
	struct sim_node *node;
	char *image; /* owned, normalised */
	LIST_HEAD(, pull_call) waiting;
	struct gantry_timer *timer;
	int64_t size_bytes;
	int step;
};

/* --- names --- */

/* "docker.io/library/base" and "base" are "base:latest". */
static const char *normal(const char *image, char *text, size_t size)
{
	const char *slash;

	if (strncmp(image, "docker.io/", 10) == 0)
		image += 10;
	if (strncmp(image, "library/", 8) == 0)
		image += 8;
	slash = strrchr(image, '/');
	snprintf(text, size, "%s%s", image,
		 strchr(image, '@') || strchr(slash ? slash : image, ':') ? "" : ":latest");
	return text;
}

static bool is_pattern(const char *name)
{
	return name[0] && name[strlen(name) - 1] == '*';
}

/* image is normalised; an empty list is everything. */
static bool fits(const struct gantry_strings *names, const char *image)
{
	char text[512];

	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];

		if (is_pattern(name) && strncmp(name, image, strlen(name) - 1) == 0)
			return true;
		if (!is_pattern(name) && strcmp(normal(name, text, sizeof(text)), image) == 0)
			return true;
	}
	return names->count == 0;
}

static bool is_kept(const struct sim_node *node, const char *image)
{
	for (size_t i = 0; i < node->image_count; i++)
		if (strcmp(node->images[i], image) == 0)
			return true;
	return false;
}

static void keep(struct sim_node *node, const char *image)
{
	if (is_kept(node, image) || node->image_count == IMAGES_MAX)
		return;
	node->images = realloc(node->images, (node->image_count + 1) * sizeof(*node->images));
	if (!node->images)
		abort();
	node->images[node->image_count++] = sim_strdup(image);
	sim_state_image(node, image);
}

void sim_image_keep(struct sim_node *node, const char *image)
{
	keep(node, image);
}

bool sim_has_image(struct sim_node *node, const char *image)
{
	char name[512];

	normal(image, name, sizeof(name));
	if (is_kept(node, name))
		return true;
	if (!fits(&node->settings->images, name))
		return false;
	keep(node, name); /* from now on the list has it */
	return true;
}

void sim_images_free(struct sim_node *node)
{
	for (size_t i = 0; i < node->image_count; i++)
		free(node->images[i]);
	free(node->images);
}

/* --- the two questions --- */

static void present_act(struct sim_call *call)
{
	if (sim_has_image(call->node, call->text))
		sim_call_done(call, NULL);
	else
		sim_call_fail(call, -ENOENT, "no such image: %.300s", call->text);
}

void sim_image_present(void *node, const char *image, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_IMAGE_PRESENT, 0, present_act, NULL, image));
}

struct images_call {
	struct sim_call call;
	struct gantry_images images;
};

static int64_t size_of(const char *image)
{
	return (int64_t)(32 + sim_hash(image) % 128) << 20;
}

static void list_image(struct images_call *list, const char *name)
{
	struct gantry_image *image = &list->images.items[list->images.count++];
	const char **tag = sim_call_alloc(&list->call, sizeof(*tag));
	char id[SIM_ID_SIZE + 8];

	sim_id_text(sim_hash(name), id + 7);
	memcpy(id, "sha256:", 7);
	*tag = sim_call_keep(&list->call, name);
	image->image_id = sim_call_keep(&list->call, id);
	if (strchr(name, '@'))
		image->digests = (struct gantry_strings){tag, 1};
	else
		image->tags = (struct gantry_strings){tag, 1};
	image->size_bytes = size_of(name);
}

static void images_act(struct sim_call *call)
{
	struct images_call *list = (struct images_call *)call;
	const struct sim_node *node = call->node;
	const struct gantry_strings *names = &node->settings->images;
	char name[512];

	list->images.items = sim_call_alloc(call, (node->image_count + names->count) *
							  sizeof(*list->images.items));
	for (size_t i = 0; i < names->count; i++)
		if (!is_pattern(names->items[i]) &&
		    !is_kept(node, normal(names->items[i], name, sizeof(name))))
			list_image(list, name);
	for (size_t i = 0; i < node->image_count; i++)
		list_image(list, node->images[i]);
	sim_call_done(call, &list->images);
}

void sim_images(void *node, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_IMAGES, sizeof(struct images_call), images_act,
				    NULL, NULL));
}

/* --- pulls --- */

static void free_pull(struct sim_pull *pull)
{
	struct sim_pull **at = &pull->node->pulls;

	while (*at != pull)
		at = &(*at)->next;
	*at = pull->next;
	if (pull->timer)
		pull->node->host->timer_stop(pull->timer);
	free(pull->image);
	free(pull);
}

static void pull_leave(struct sim_call *call)
{
	struct pull_call *waiter = (struct pull_call *)call;
	struct sim_pull *pull = waiter->pull;

	if (!pull)
		return;
	waiter->pull = NULL;
	LIST_REMOVE(waiter, waiting);
	if (LIST_EMPTY(&pull->waiting) && pull->step < STEPS)
		free_pull(pull);
}

static void on_step(void *arg);

static void next_step(struct sim_pull *pull)
{
	const struct gantry_host *host = pull->node->host;

	pull->timer = host->timer_start(host->core, pull->node->settings->pull_latency_ms / STEPS,
					on_step, pull);
}

static void on_step(void *arg)
{
	struct sim_pull *pull = arg;
	const struct gantry_host *host = pull->node->host;
	struct gantry_progress progress = {.stage = "Downloading", .total_bytes = pull->size_bytes};
	struct pull_call *waiter;

	pull->timer = NULL;
	pull->step++;
	progress.done_bytes = pull->size_bytes / STEPS * pull->step;
	LIST_FOREACH (waiter, &pull->waiting, waiting)
		host->op_progress(waiter->call.op, &progress);
	if (pull->step < STEPS) {
		next_step(pull);
		return;
	}
	keep(pull->node, pull->image);
	sim_event_image(pull->node, pull->image);
	while (!LIST_EMPTY(&pull->waiting))
		sim_call_done(&LIST_FIRST(&pull->waiting)->call, NULL);
	free_pull(pull);
}

static struct sim_pull *find_or_start(struct sim_node *node, const char *image)
{
	struct sim_pull *pull = node->pulls;

	while (pull && strcmp(pull->image, image) != 0)
		pull = pull->next;
	if (pull)
		return pull;
	pull = sim_alloc(sizeof(*pull));
	pull->node = node;
	pull->image = sim_strdup(image);
	pull->size_bytes = size_of(image);
	LIST_INIT(&pull->waiting);
	pull->next = node->pulls;
	node->pulls = pull;
	next_step(pull);
	return pull;
}

static void pull_act(struct sim_call *call)
{
	struct pull_call *waiter = (struct pull_call *)call;
	char image[512];

	normal(call->text, image, sizeof(image));
	if (!fits(&call->node->settings->registry, image)) {
		sim_call_fail(call, -ENOENT, "pull %.300s: the registry has no such image",
			      call->text);
		return;
	}
	waiter->pull = find_or_start(call->node, image);
	LIST_INSERT_HEAD(&waiter->pull->waiting, waiter, waiting);
	sim_call_pend(call);
}

void sim_pull(void *node, const char *image, struct gantry_op *op)
{
	struct sim_call *call =
		sim_call_new(node, op, SIM_PULL, sizeof(struct pull_call), pull_act, NULL, image);

	call->leave = pull_leave;
	sim_call_begin(call);
}
