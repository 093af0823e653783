/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: those of the settings, those that were pulled, those that were asked for and fit a pattern of
 * the settings, and those that were made of containers or loaded: these alone have files of their own. One
 * of the settings that was removed is remembered as such. A pull is one download however many wait for it:
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

static struct sim_image *find(const struct sim_node *node, const char *image)
{
	uint64_t key;

	for (size_t i = 0; i < node->image_count; i++)
		if (strcmp(node->images[i].name, image) == 0)
			return &node->images[i];
	if (strncmp(image, "sha256:", 7) != 0 || !sim_id_read(image + 7, &key))
		return NULL;
	for (size_t i = 0; i < node->image_count; i++)
		if (node->images[i].key == key && !node->images[i].removed)
			return &node->images[i];
	return NULL;
}

static void image_fini(struct sim_image *image)
{
	free(image->name);
	free(image->mark);
	sim_tree_unref(image->tree);
}

bool sim_image_keep(struct sim_node *node, const struct sim_image *image)
{
	struct sim_image *kept = find(node, image->name);

	if (!kept && node->image_count == IMAGES_MAX)
		return false;
	if (!kept) {
		node->images =
			realloc(node->images, (node->image_count + 1) * sizeof(*node->images));
		if (!node->images)
			abort();
		kept = &node->images[node->image_count++];
	} else {
		image_fini(kept);
	}
	*kept = *image;
	kept->name = sim_strdup(image->name);
	kept->mark = image->mark ? sim_strdup(image->mark) : NULL;
	sim_tree_ref(kept->tree);
	sim_state_image(node, kept);
	return true;
}

/* One of which there is the name and nothing else. */
static void keep_name(struct sim_node *node, const char *name)
{
	const struct sim_image *kept = find(node, name);

	if (!kept || kept->removed)
		sim_image_keep(node,
			       &(struct sim_image){.name = (char *)name, .key = sim_hash(name)});
}

const struct sim_image *sim_image_find(struct sim_node *node, const char *image)
{
	struct sim_image *kept;
	char name[512];

	normal(image, name, sizeof(name));
	kept = find(node, name);
	if (!kept && fits(&node->settings->images, name)) {
		keep_name(node, name); /* from now on the list has it */
		kept = find(node, name);
	}
	return kept && !kept->removed ? kept : NULL;
}

const struct sim_image *sim_call_image(struct sim_call *call)
{
	const struct sim_image *image = sim_image_find(call->node, call->text);

	if (!image)
		sim_call_fail(call, -ENOENT, "no such image: %.300s", call->text);
	return image;
}

void sim_images_free(struct sim_node *node)
{
	for (size_t i = 0; i < node->image_count; i++)
		image_fini(&node->images[i]);
	free(node->images);
	sim_tree_unref(node->base);
}

/* --- the two questions --- */

static void present_act(struct sim_call *call)
{
	if (sim_call_image(call))
		sim_call_done(call, NULL);
}

void sim_image_present(void *node, const char *image, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_IMAGE_PRESENT, 0, present_act, NULL, image));
}

const char *sim_image_id(struct sim_call *call, const struct sim_image *image)
{
	char id[SIM_ID_SIZE + 7] = "sha256:";

	sim_id_text(image->key, id + 7);
	return sim_call_keep(call, id);
}

struct images_call {
	struct sim_call call;
	struct gantry_images images;
};

static int64_t size_of(const char *image)
{
	return (int64_t)(32 + sim_hash(image) % 128) << 20;
}

static void list_image(struct images_call *list, const struct sim_image *kept)
{
	struct gantry_image *image = &list->images.items[list->images.count++];
	const char **tag = sim_call_alloc(&list->call, sizeof(*tag));

	*tag = sim_call_keep(&list->call, kept->name);
	image->image_id = sim_image_id(&list->call, kept);
	if (strchr(kept->name, '@'))
		image->digests = (struct gantry_strings){tag, 1};
	else if (strncmp(kept->name, "sha256:", 7) != 0)
		image->tags = (struct gantry_strings){tag, 1};
	image->size_bytes = kept->tree ? kept->tree->bytes : size_of(kept->name);
	image->created_ms = kept->created_ms;
}

static void images_act(struct sim_call *call)
{
	struct images_call *list = (struct images_call *)call;
	struct sim_node *node = call->node;
	const struct gantry_strings *names = &node->settings->images;

	for (size_t i = 0; i < names->count; i++)
		if (!is_pattern(names->items[i]))
			sim_image_find(node, names->items[i]);
	list->images.items = sim_call_alloc(call, node->image_count * sizeof(*list->images.items));
	for (size_t i = 0; i < node->image_count; i++)
		if (!node->images[i].removed)
			list_image(list, &node->images[i]);
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
	keep_name(pull->node, pull->image);
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

/* --- commit --- */

struct commit_call {
	struct sim_call call;
	const char *mark;
};

static void commit_act(struct sim_call *call)
{
	const char *mark = ((struct commit_call *)call)->mark;
	struct sim_node *node = call->node;
	const struct sim_image *made;
	struct sim_container *container;
	struct sim_image image = {0};
	char name[512];

	normal(call->text, name, sizeof(name));
	made = find(node, name);
	if (made && !made->removed && made->mark && strcmp(made->mark, mark) == 0) {
		sim_call_done(call, sim_image_id(call, made));
		return;
	}
	container = sim_call_container(call);
	if (!container)
		return;
	image = (struct sim_image){
		.name = name,
		.mark = (char *)mark,
		.tree = sim_tree_or_base(node, container->tree),
		.key = sim_mix(++node->serial),
		.created_ms = sim_now_ns(node) / 1000000,
	};
	if (!sim_image_keep(node, &image)) {
		sim_call_fail(call, -EIO, "there is no room for more than %d images", IMAGES_MAX);
		return;
	}
	sim_event_image(node, name);
	sim_call_done(call, sim_image_id(call, &image));
}

void sim_commit(void *node, const char *container, const struct gantry_commit *commit,
		struct gantry_op *op)
{
	struct commit_call *call = sim_call_new(node, op, SIM_COMMIT, sizeof(*call), commit_act,
						container, commit->image);

	call->mark = sim_call_keep(&call->call, commit->mark);
	sim_call_begin(&call->call);
}

/* --- remove --- */

struct use {
	const struct sim_image *image;
	const struct sim_container *by; /* NULL: none */
};

static void look_at_use(struct sim_container *container, void *arg)
{
	struct use *use = arg;
	char name[512];

	if (find(container->node, normal(container->image, name, sizeof(name))) == use->image)
		use->by = container;
}

static void remove_act(struct sim_call *call)
{
	struct sim_node *node = call->node;
	const struct sim_image *found = sim_call_image(call);
	struct use use = {.image = found};
	struct sim_image gone;

	if (!found)
		return;
	sim_table_walk(node, look_at_use, &use);
	if (use.by) {
		sim_call_fail(call, -EBUSY, "image %.300s is used by container %.160s", call->text,
			      use.by->name);
		return;
	}
	gone = (struct sim_image){
		.name = sim_strdup(found->name), .key = found->key, .removed = true};
	sim_image_keep(node, &gone);
	sim_event_image(node, gone.name);
	free(gone.name);
	sim_call_done(call, NULL);
}

void sim_image_remove(void *node, const char *image, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_IMAGE_REMOVE, 0, remove_act, NULL, image));
}
