/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/node_link.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/reach.h"
#include "flows/engine/restarts.h"
#include "flows/engine/start_faults.h"
#include "flows/engine/still_there.h"
#include "flows/engine/strays.h"
#include "flows/engine/takeover.h"
#include "flows/flow.h"
#include "flows/log/log_sinks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>

#define PROBE_LIMIT_MS  15000
#define IMAGES_LIMIT_MS 60000
#define RETRY_FIRST_MS  500
#define RETRY_MAX_MS    30000

static void connect_node(struct node_link *link);
static void list_images(struct node_link *link);

/* --- going down and trying again ---------------------------------------------------------------- */

static void on_retry(struct loop_timer *timer)
{
	connect_node(LIST_ENTRY(timer, struct node_link, retry));
}

static void announce(struct node_link *link, const char *kind, struct json_object *detail)
{
	struct daemon *daemon = link->daemon;
	struct store_batch *batch = store_batch_new(daemon->store);

	event_add(&daemon->events, batch, kind, NULL, link->node.name, detail);
	takeover_commit(daemon, batch);
}

static void make_unknown(struct node_link *link)
{
	LIST_FOREACH (entry, &link->node.placed) {
		struct instance *instance = LIST_ENTRY(entry, struct instance, placed);

		if (instance->busy || !instance->container_id[0] ||
		    instance->state == INSTANCE_UNKNOWN)
			continue;
		instance->known_state = instance->state;
		instance_move(instance, INSTANCE_UNKNOWN);
	}
}

static void note_tried(struct node_link *link)
{
	if (link->tried)
		return;
	link->tried = true;
	link->daemon->links_untried--;
}

/* The first word on whose the engine is; err: another daemon's. */
static void note_claim(struct node_link *link, const struct gantry_error *err)
{
	if (link->claim_known)
		return;
	link->claim_known = true;
	daemon_node_claimed(link->daemon, err);
}

static void go_down(struct node_link *link, const struct gantry_error *err)
{
	struct node *node = &link->node;
	bool was_up = node->state == NODE_UP;
	bool news = was_up || !str_equal(node->last_error, err->text);

	link->synced = false;
	if (link->closing)
		return;
	if (node->state != NODE_DOWN) {
		node->state = NODE_DOWN;
		node_changed(node);
	}
	snprintf(node->last_error, sizeof(node->last_error), "%s", err->text);
	node->last_error_code = err->code;
	link->retry_ms = was_up || link->retry_ms == 0 ? RETRY_FIRST_MS : link->retry_ms * 2;
	if (link->retry_ms > RETRY_MAX_MS)
		link->retry_ms = RETRY_MAX_MS;
	node->next_retry_ms = clock_wall_ms() + link->retry_ms;
	loop_timer_start(link->daemon->loop, &link->retry, link->retry_ms);
	if (news)
		log_warn("node %s: %s", node->name, err->text);
	still_there_lost(link);
	make_unknown(link);
	if (was_up) {
		struct json_object *detail = json_object_new_object();

		json_add_string(detail, "reason", err->text);
		announce(link, "node.down", detail);
	}
	if (!link->tried) {
		note_tried(link);
		takeover_node_tried(link->daemon);
	}
	note_claim(link, NULL); /* nobody answers there */
}

/* --- images ------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void keep_images(struct node_link *link, const struct gantry_images *images)
{
	size_t count = 0;

	arena_fini(&link->images_arena);
	for (size_t i = 0; i < images->count; i++)
		count += 1 + images->items[i].tags.count + images->items[i].digests.count;
	link->image_names = ARENA_ARRAY(&link->images_arena, const char *, count);
	link->image_count = 0;
	for (size_t i = 0; i < images->count; i++) {
		const struct gantry_image *image = &images->items[i];
		const char **names = link->image_names;

		names[link->image_count++] = arena_strdup(&link->images_arena, image->image_id);
		for (size_t j = 0; j < image->tags.count; j++)
			names[link->image_count++] =
				arena_strdup(&link->images_arena, image->tags.items[j]);
		for (size_t j = 0; j < image->digests.count; j++)
			names[link->image_count++] =
				arena_strdup(&link->images_arena, image->digests.items[j]);
	}
	qsort(link->image_names, link->image_count, sizeof(*link->image_names), compare_names);
}

static void on_images(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;

	link->image_op = NULL;
	if (!err)
		keep_images(link, result);
	if (link->images_stale && !link->closing)
		list_images(link);
}

static void list_images(struct node_link *link)
{
	if (!link->runtime->images)
		return;
	if (link->image_op) {
		link->images_stale = true; /* once more when this one is back */
		return;
	}
	link->images_stale = false;
	link->image_op = op_new(&link->daemon->scope, "list images", on_images, link);
	op_set_deadline(link->image_op, IMAGES_LIMIT_MS);
	link->runtime->images(link->handle, link->image_op);
}

void node_link_refresh_images(struct node_link *link)
{
	list_images(link);
}

bool node_link_has_image(const struct node_link *link, const char *image)
{
	const char *slash = strrchr(image, '/');
	char tagged[512];

	/* a name without tag or digest means ":latest" */
	if (!strchr(image, '@') && !strchr(slash ? slash : image, ':')) {
		snprintf(tagged, sizeof(tagged), "%s:latest", image);
		image = tagged;
	}
	return link->image_count > 0 && bsearch(&image, link->image_names, link->image_count,
						sizeof(*link->image_names), compare_names) != NULL;
}

/* --- connecting ---------------------------------------------------------------------------------- */

static void set_capacity(struct node_link *link)
{
	const struct settings_node *settings = link->settings;
	struct node *node = &link->node;
	double cpus = settings->cpus > 0 ? settings->cpus
					 : (double)node->facts.cpus * settings->overcommit;

	node->memory_bytes =
		settings->memory_bytes
			? settings->memory_bytes
			: (int64_t)((double)node->facts.memory_bytes * settings->overcommit);
	node->nano_cpus = (int64_t)(cpus * 1e9 + 0.5);
}

static void look_at_boot(struct node_link *link, const char *boot_id)
{
	struct store_batch *batch;
	char fact[100], value[100];

	if (!boot_id || strncmp(link->boot_id, boot_id, sizeof(link->boot_id) - 1) == 0)
		return;
	if (link->boot_id[0])
		link->booted_ms = clock_wall_ms();
	snprintf(link->boot_id, sizeof(link->boot_id), "%s", boot_id);
	snprintf(fact, sizeof(fact), "boot.%s", link->node.name);
	snprintf(value, sizeof(value), "%lld %s", (long long)link->booted_ms, link->boot_id);
	batch = store_batch_new(link->daemon->store);
	store_put_fact(batch, fact, value);
	store_batch_commit(batch, NULL, NULL);
}

static void keep_facts(struct node_link *link, const struct gantry_node_facts *facts)
{
	struct node *node = &link->node;
	struct arena arena = {0};

	node->facts = *facts;
	node->facts.engine = arena_strdup(&arena, facts->engine);
	node->facts.engine_version = arena_strdup(&arena, facts->engine_version);
	node->facts.api_version = arena_strdup(&arena, facts->api_version);
	node->facts.engine_id = arena_strdup(&arena, facts->engine_id);
	node->facts.boot_id = arena_strdup(&arena, facts->boot_id);
	node->facts.storage_driver = arena_strdup(&arena, facts->storage_driver);
	node->facts.cgroup_version = arena_strdup(&arena, facts->cgroup_version);
	node->facts.kernel = arena_strdup(&arena, facts->kernel);
	node->facts.operating_system = arena_strdup(&arena, facts->operating_system);
	node->facts.architecture = arena_strdup(&arena, facts->architecture);
	arena_fini(&node->facts_arena);
	node->facts_arena = arena;
	set_capacity(link);
	node_changed(node);
	look_at_boot(link, node->facts.boot_id);
}

static void on_taken_over(struct node_link *link)
{
	struct json_object *detail = json_object_new_object();

	link->node.state = NODE_UP;
	node_changed(&link->node);
	link->node.last_error[0] = '\0';
	link->node.next_retry_ms = 0;
	link->node.up_since_ms = clock_wall_ms();
	link->retry_ms = 0;
	note_tried(link);
	json_add_string(detail, "engine_version", link->node.facts.engine_version);
	announce(link, "node.up", detail);
	log_info("node %s is up: %s %s", link->node.name, link->node.facts.engine,
		 link->node.facts.engine_version);
	LIST_FOREACH (node, &link->daemon->flows) {
		struct flow *flow = LIST_ENTRY(node, struct flow, link);

		if (flow->node == link)
			flow_node_is_up(flow);
	}
	restarts_node_is_up(link->daemon, &link->node);
	reach_look_all(link, false);
	LIST_FOREACH (placed, &link->node.placed) {
		log_sinks_look(link->daemon, LIST_ENTRY(placed, struct instance, placed));
	}
	takeover_node_tried(link->daemon);
}

static void on_sync(void *arg, const struct gantry_containers *containers)
{
	struct node_link *link = arg;

	link->synced = true;
	link->after_gap = false;
	takeover_begin(link, containers, on_taken_over);
}

static void on_event(void *arg, const struct gantry_event *event)
{
	struct node_link *link = arg;

	if (link->untold == 0)
		link->firm = link->anchor;
	link->anchor = event->anchor;
	if (list_empty(&link->anchor_moved))
		list_append(&link->daemon->anchors, &link->anchor_moved);
	if (event->kind == GANTRY_EVENT_IMAGE)
		list_images(link);
	else
		engine_event(link, event);
}

static void on_watch_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;
	struct gantry_error ended;

	(void)result;
	link->op = NULL;
	if (!err) {
		gantry_error_set(&ended, -EHOSTUNREACH, "the engine ended the stream of events");
		err = &ended;
	}
	if (link->claim_op)
		op_forget(link->claim_op);
	link->claim_op = NULL;
	go_down(link, link->lost.code ? &link->lost : err);
	link->lost.code = 0;
}

static void watch_node(struct node_link *link)
{
	struct gantry_containers known;

	link->op = op_new(&link->daemon->scope, "watch a node", on_watch_over, link);
	takeover_known(link, op_arena(link->op), &known);
	link->sink = (struct gantry_watch_sink){.arg = link, .sync = on_sync, .event = on_event};
	link->runtime->watch(link->handle, &link->anchor, &known, &link->sink, link->op);
}

static void on_held(void *arg)
{
	struct node_link *link = arg;

	if (link->closing)
		return;
	note_claim(link, NULL);
	watch_node(link);
}

static void on_claim_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;
	bool at_start = !link->claim_known;
	struct gantry_error ended;

	(void)result;
	link->claim_op = NULL;
	if (!err) {
		gantry_error_set(&ended, -EHOSTUNREACH, "the engine was let go of");
		err = &ended;
	}
	if (link->op) {
		node_link_lose(link, err);
		return;
	}
	if (at_start && err->code == -EBUSY && !link->closing) {
		ended = *err;
		gantry_error_prefix(&ended, "node %s", link->node.name);
		note_claim(link, &ended);
		if (link->daemon->stopping)
			return; /* that is what this daemon ends with */
	}
	go_down(link, err);
}

static void on_probed(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;

	link->op = NULL;
	if (err || link->closing) {
		if (err)
			go_down(link, err);
		return;
	}
	keep_facts(link, result);
	list_images(link);
	if (!link->runtime->claim) {
		note_claim(link, NULL);
		watch_node(link);
		return;
	}
	link->claim_op = op_new(&link->daemon->scope, "hold a node", on_claim_over, link);
	link->runtime->claim(link->handle, &link->claim, link->claim_op);
}

static void connect_node(struct node_link *link)
{
	link->node.state = NODE_CONNECTING;
	link->node.next_retry_ms = 0;
	link->op = op_new(&link->daemon->scope, "probe a node", on_probed, link);
	op_set_deadline(link->op, PROBE_LIMIT_MS);
	link->runtime->probe(link->handle, link->op);
}

/* --- life ---------------------------------------------------------------------------------------- */

/* A fact about the node: "TIME TEXT". */
static void load_fact(const struct node_link *link, const char *kind, int64_t *ret_time,
		      char *ret_text, size_t size)
{
	char fact[100], *saved, *rest;

	snprintf(fact, sizeof(fact), "%s.%s", kind, link->node.name);
	saved = store_load_fact(link->daemon->store, fact);
	if (!saved)
		return;
	*ret_time = strtoll(saved, &rest, 10);
	snprintf(ret_text, size, "%s", *rest ? rest + 1 : "");
	free(saved);
}

struct node_link *node_link_new(struct daemon *daemon, const struct settings_node *settings,
				const struct gantry_runtime *runtime, void *handle)
{
	struct node_link *link = xcalloc(1, sizeof(*link));

	link->daemon = daemon;
	link->settings = settings;
	link->runtime = runtime;
	link->handle = handle;
	link->node.name = settings->name;
	link->node.plugin = settings->plugin;
	link->node.labels = &settings->labels;
	link->node.drained = settings->drained;
	link->node.state = NODE_CONNECTING;
	link->claim = (struct gantry_claim){
		.daemon = daemon->id, .holder = daemon->holder, .held = on_held, .arg = link};
	list_init(&link->anchor_moved);
	list_init(&link->reach_line);
	list_init(&link->proof_line);
	list_init(&link->proof_asked);
	loop_timer_init(&link->retry, on_retry);
	start_window_init(&link->window);
	start_faults_init(link);
	strays_init(link);
	load_fact(link, "anchor", &link->anchor.time_ns, link->anchor.key,
		  sizeof(link->anchor.key));
	load_fact(link, "boot", &link->booted_ms, link->boot_id, sizeof(link->boot_id));
	fleet_add_node(&daemon->fleet, &link->node);
	daemon->links = xrealloc(daemon->links, daemon->fleet.node_count * sizeof(*daemon->links));
	daemon->links[daemon->fleet.node_count - 1] = link;
	daemon->links_untried++;
	daemon->links_unclaimed++;
	return link;
}

void node_link_open(struct node_link *link)
{
	connect_node(link);
}

void node_link_close(struct node_link *link)
{
	link->closing = true;
	loop_timer_stop(link->daemon->loop, &link->retry);
	start_faults_close(link);
	if (link->op)
		op_cancel(link->op);
	if (link->claim_op)
		op_cancel(link->claim_op);
	if (link->image_op)
		op_cancel(link->image_op);
	if (link->reach_op)
		op_cancel(link->reach_op);
	if (link->ping_op)
		op_cancel(link->ping_op);
}

void node_link_lose(struct node_link *link, const struct gantry_error *err)
{
	if (!link->op || link->lost.code)
		return; /* it is down, or about to be */
	link->lost = *err;
	op_cancel(link->op); /* it goes down when the watch has ended too */
}

void node_link_free(struct node_link *link)
{
	list_remove(&link->anchor_moved);
	link->runtime->node_close(link->handle);
	strays_fini(link);
	arena_fini(&link->node.facts_arena);
	arena_fini(&link->images_arena);
	free(link);
}

struct node_link *node_link_find(struct daemon *daemon, const char *name)
{
	struct node *node = fleet_node(&daemon->fleet, name);

	return node ? LIST_ENTRY(node, struct node_link, node) : NULL;
}
