/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest plugin: a runtime whose engine holds nothing and can do nothing. Copy it to begin one.
 * plugins/README.md goes with it.
 */
#include <gantry/plugin.h>

#include <stdlib.h>

/* --- settings: a struct and a table, filled by the core before `open` and `node_open` --- */

struct settings {
	const char *greeting;
};

struct node_settings {
	int64_t cpus;
};

static const struct gantry_option options[] = {
	{.key = "greeting",
	 .type = GANTRY_OPTION_STRING,
	 .fallback = "hello",
	 .offset = offsetof(struct settings, greeting),
	 .help = "what is logged when the plugin is opened"},
	{.key = NULL},
};

static const struct gantry_option node_options[] = {
	{.key = "engine_cpus",
	 .type = GANTRY_OPTION_INT,
	 .fallback = "1",
	 .offset = offsetof(struct node_settings, cpus),
	 .help = "CPUs the node claims to have",
	 .minimum = 1,
	 .maximum = 1024},
	{.key = NULL},
};

/* --- the plugin and its nodes --- */

struct skeleton {
	const struct gantry_host *host; /* borrowed until close */
};

struct node {
	const struct gantry_host *host;       /* borrowed */
	const struct node_settings *settings; /* borrowed: the core's */
};

struct watch {
	const struct gantry_host *host; /* borrowed */
	struct gantry_op *op;           /* borrowed until op_done */
	struct gantry_watch_sink sink;
	struct gantry_timer *timer; /* NULL once it fired */
};

static int open_plugin(const struct gantry_host *host, const void *settings, void **ret_plugin,
		       struct gantry_error *err)
{
	struct skeleton *skeleton = calloc(1, sizeof(*skeleton));

	if (!skeleton)
		return gantry_error_set(err, -ENOMEM, "out of memory");
	skeleton->host = host;
	host->log(host->core, GANTRY_LOG_DEBUG, "%s",
		  ((const struct settings *)settings)->greeting);
	*ret_plugin = skeleton;
	return 0;
}

static void close_plugin(void *plugin)
{
	free(plugin);
}

static int node_open(void *plugin, const char *name, const void *settings, const char *owner,
		     void **ret_node, struct gantry_error *err)
{
	struct node *node = calloc(1, sizeof(*node));

	(void)name, (void)owner;
	if (!node)
		return gantry_error_set(err, -ENOMEM, "out of memory");
	node->host = ((struct skeleton *)plugin)->host;
	node->settings = settings;
	*ret_node = node;
	return 0;
}

static void node_close(void *node)
{
	free(node);
}

/* --- operations: each ends its op once, here or later --- */

static void refuse(struct node *node, struct gantry_op *op, int code, const char *text)
{
	struct gantry_error err;

	gantry_error_set(&err, code, "skeleton: %s", text);
	node->host->op_done(op, &err, NULL);
}

static void probe(void *arg, struct gantry_op *op)
{
	struct node *node = arg;
	/* what op_done passes lives in the op's memory */
	struct gantry_node_facts *facts = node->host->op_alloc(op, sizeof(*facts));

	facts->engine = "skeleton";
	facts->engine_version = facts->api_version = "1";
	facts->cpus = node->settings->cpus;
	node->host->op_done(op, NULL, facts);
}

static void list(void *arg, struct gantry_op *op)
{
	struct node *node = arg;

	node->host->op_done(op, NULL, node->host->op_alloc(op, sizeof(struct gantry_containers)));
}

/* Something that lasts: it begins later than the call, and ends by a cancel only. */
static void watch_begins(void *arg)
{
	static const struct gantry_containers none;
	struct watch *watch = arg;

	watch->timer = NULL;
	watch->sink.sync(watch->sink.arg, &none);
}

static void watch_cancelled(void *arg)
{
	struct watch *watch = arg;
	struct gantry_error err;

	if (watch->timer)
		watch->host->timer_stop(watch->timer);
	gantry_error_set(&err, -ECANCELED, "skeleton: cancelled");
	watch->host->op_done(watch->op, &err, NULL);
}

static void watch(void *arg, const struct gantry_anchor *anchor,
		  const struct gantry_containers *known, const struct gantry_watch_sink *sink,
		  struct gantry_op *op)
{
	struct node *node = arg;
	struct watch *session = node->host->op_alloc(op, sizeof(*session));

	(void)anchor, (void)known;
	*session = (struct watch){.host = node->host, .op = op, .sink = *sink};
	session->timer = node->host->timer_start(node->host->core, 0, watch_begins, session);
	node->host->op_on_cancel(op, watch_cancelled, session);
}

static void create(void *node, const struct gantry_create *create, struct gantry_op *op)
{
	(void)create;
	refuse(node, op, -ENOTSUP, "it makes no containers");
}

static void start(void *node, const char *container, struct gantry_op *op)
{
	(void)container;
	refuse(node, op, -ENOENT, "there is no such container");
}

static void kill_container(void *node, const char *container, int signal, struct gantry_op *op)
{
	(void)signal;
	start(node, container, op);
}

/* What is not there is removed. */
static void remove_container(void *arg, const char *container, struct gantry_op *op)
{
	struct node *node = arg;

	(void)container;
	node->host->op_done(op, NULL, NULL);
}

static const struct gantry_runtime runtime = {
	.size = sizeof(runtime),
	.node_open = node_open,
	.node_close = node_close,
	.probe = probe,
	.list = list,
	.watch = watch,
	.create = create,
	.start = start,
	.kill = kill_container,
	.wait = start,
	.remove = remove_container,
	.inspect = start,
	/* all else is optional: NULL is "not offered" */
};

extern const struct gantry_plugin gantry_plugin;
const struct gantry_plugin gantry_plugin = {
	.abi_major = GANTRY_ABI_MAJOR,
	.abi_minor = GANTRY_ABI_MINOR,
	.size = sizeof(gantry_plugin),
	.name = "skeleton",
	.version = "1",
	.summary = "the smallest plugin, to begin one from",
	.options = options,
	.settings_size = sizeof(struct settings),
	.node_options = node_options,
	.node_settings_size = sizeof(struct node_settings),
	.open = open_plugin,
	.close = close_plugin,
	.runtime = &runtime,
};
