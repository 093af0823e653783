/* SPDX-License-Identifier: Apache-2.0 */
/* Loading plugins: what is refused and how it is said, smaller structs, options, what is left behind. */
#include "fake/harness.h"

#include "plugin/host.h"
#include "plugin/registry.h"

static struct rig rig;
static struct gantry_error err;

static void put(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", rig.folder, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		bail_out("cannot write %s", path);
}

/* Builds FOLDER/NAME.so from C text and loads it. */
static int load_text(const char *name, const char *text, struct json_object *values,
		     struct plugin **ret_plugin)
{
	struct str command = STR_INIT;
	char path[160], file[64];

	snprintf(file, sizeof(file), "%s.c", name);
	put(file, text);
	str_addf(&command, "gcc -std=gnu17 -Iinclude -shared -fPIC -o %s/%s.so %s/%s.c", rig.folder,
		 name, rig.folder, name);
	if (system(str_text(&command)) != 0)
		bail_out("gcc fails");
	str_fini(&command);
	snprintf(path, sizeof(path), "%s/%s.so", rig.folder, name);
	memset(&err, 0, sizeof(err));
	return plugin_load(&rig.loop, path, values, "plugins.x", ret_plugin, &err);
}

static void refused(void)
{
	struct plugin *plugin;
	char path[160];

	memset(&err, 0, sizeof(err));
	is_int(plugin_load(&rig.loop, "/nowhere/x.so", NULL, "plugins.x", &plugin, &err), -ENOENT,
	       "no file: -ENOENT");
	like(err.text, "/nowhere/x.so", "the error names it");
	put("text.so", "this is no shared object\n");
	snprintf(path, sizeof(path), "%s/text.so", rig.folder);
	is_int(plugin_load(&rig.loop, path, NULL, "plugins.x", &plugin, &err), -ENOEXEC,
	       "no shared object: -ENOEXEC");
	is_int(load_text("other", "int other = 1;\n", NULL, &plugin), -ENOEXEC,
	       "no plugin: -ENOEXEC");
	like(err.text, "gantry_plugin", "the error names the symbol that is missing");
	is_int(load_text(
		       "major",
		       "#include <gantry/plugin.h>\n"
		       "const struct gantry_plugin gantry_plugin = {.abi_major = 7, .abi_minor = 2, "
		       ".size = sizeof(gantry_plugin), .name = \"x\"};\n",
		       NULL, &plugin),
	       -EPROTO, "another major: -EPROTO");
	like(err.text, "7.2", "the error tells what was found");
	like(err.text, "wants 1.x", "and what is wanted");
	like(err.text, "major.so", "and the file");
	is_int(load_text(
		       "small",
		       "#include <gantry/plugin.h>\n"
		       "const struct gantry_plugin gantry_plugin = {.abi_major = 1, .size = 16, .name = \"x\"};\n",
		       NULL, &plugin),
	       -EPROTO, "a struct that ends too early: -EPROTO");
	like(err.text, "16 bytes", "the error tells its size");
}

/* --- plugins that are linked in, with sizes of our choice --- */

static int opened, closed, open_code;
static const struct gantry_host *seen_host;
static char seen_text[64];

struct text_settings {
	const char *text;
	int64_t number;
};

static int open_it(const struct gantry_host *host, const void *settings, void **ret_plugin,
		   struct gantry_error *error)
{
	const struct text_settings *text = settings;

	opened++;
	seen_host = host;
	snprintf(seen_text, sizeof(seen_text), "%s", text->text ? text->text : "");
	*ret_plugin = &opened;
	return open_code ? gantry_error_set(error, open_code, "not today") : 0;
}

static void close_it(void *plugin)
{
	closed += plugin == &opened;
}

static int node_open(void *plugin, const char *name, const void *settings, const char *owner,
		     void **ret_node, struct gantry_error *error)
{
	(void)plugin, (void)name, (void)settings, (void)owner, (void)error;
	*ret_node = &closed;
	return 0;
}

static void nothing(void *node)
{
	(void)node;
}

static void op_only(void *node, struct gantry_op *op)
{
	(void)node, (void)op;
}

static void op_name(void *node, const char *name, struct gantry_op *op)
{
	(void)node, (void)name, (void)op;
}

static void op_watch(void *node, const struct gantry_anchor *anchor,
		     const struct gantry_containers *known, const struct gantry_watch_sink *sink,
		     struct gantry_op *op)
{
	(void)node, (void)anchor, (void)known, (void)sink, (void)op;
}

static void op_create(void *node, const struct gantry_create *create, struct gantry_op *op)
{
	(void)node, (void)create, (void)op;
}

static void op_kill(void *node, const char *name, int signal, struct gantry_op *op)
{
	(void)node, (void)name, (void)signal, (void)op;
}

static const struct gantry_option table[] = {
	{.key = "text",
	 .type = GANTRY_OPTION_STRING,
	 .fallback = "default",
	 .offset = offsetof(struct text_settings, text),
	 .help = "a text"},
	{.key = "number",
	 .type = GANTRY_OPTION_INT,
	 .fallback = "3",
	 .offset = offsetof(struct text_settings, number),
	 .help = "a number",
	 .minimum = 1,
	 .maximum = 9},
	{.key = NULL},
};

static struct gantry_runtime whole_runtime(void)
{
	return (struct gantry_runtime){
		.size = sizeof(struct gantry_runtime),
		.node_open = node_open,
		.node_close = nothing,
		.probe = op_only,
		.list = op_only,
		.watch = op_watch,
		.create = op_create,
		.start = op_name,
		.kill = op_kill,
		.wait = op_name,
		.remove = op_name,
		.inspect = op_name,
		.pause = op_name,
		.stats = op_name,
		.images = op_only,
	};
}

static struct gantry_plugin whole_plugin(const struct gantry_runtime *runtime)
{
	return (struct gantry_plugin){
		.abi_major = GANTRY_ABI_MAJOR,
		.abi_minor = 99,
		.size = sizeof(struct gantry_plugin),
		.name = "linked",
		.version = "1",
		.summary = "for this test",
		.options = table,
		.settings_size = sizeof(struct text_settings),
		.open = open_it,
		.close = close_it,
		.runtime = runtime,
	};
}

static int load(const struct gantry_plugin *offer, const char *options, struct plugin **ret_plugin)
{
	struct json_object *values = options ? json_tokener_parse(options) : NULL;
	int code;

	memset(&err, 0, sizeof(err));
	code = plugin_load_static(&rig.loop, offer, "linked.so", values, "plugins.linked",
				  ret_plugin, &err);
	json_object_put(values);
	return code;
}

static void sizes(void)
{
	struct gantry_runtime runtime = whole_runtime();
	struct gantry_plugin offer = whole_plugin(&runtime);
	struct plugin *plugin;
	void *node;

	is_int(load(&offer, NULL, &plugin), 0, "a later minor is taken");
	is_int(opened, 1, "it was opened");
	is_str(seen_text, "default", "with its options' defaults");
	is_int(seen_host->size, sizeof(struct gantry_host), "the host tells its own size");
	ok(plugin_runtime(plugin)->images != NULL && plugin_runtime(plugin)->pull == NULL,
	   "what it offers is there, what not is NULL");
	is_int(plugin_node_open(plugin, "n", NULL, "o", &node, &err), 0, "a node without options");
	is_int(plugin_unload(plugin), 0, "it is unloaded");
	is_int(closed, 1, "it was closed");

	runtime.size = offsetof(struct gantry_runtime, unpause);
	is_int(load(&offer, NULL, &plugin), 0, "a runtime of an older, smaller ABI is taken");
	ok(plugin_runtime(plugin)->pause != NULL, "what it has is there");
	ok(!plugin_runtime(plugin)->stats && !plugin_runtime(plugin)->images,
	   "what lies after its end is not looked at");
	plugin_unload(plugin);

	runtime = whole_runtime();
	offer.size = offsetof(struct gantry_plugin, runtime);
	is_int(load(&offer, NULL, &plugin), 0, "so is a smaller plugin");
	ok(!plugin_runtime(plugin), "without the roles that came later");
	is_int(plugin_node_open(plugin, "n", NULL, "o", &node, &err), -ENOTSUP,
	       "a node of it is refused: -ENOTSUP");
	is_str(err.field, "nodes.n", "at the node");
	plugin_unload(plugin);

	offer = whole_plugin(&runtime);
	offer.abi_minor = 12;
	is_int(load(&offer, NULL, &plugin), -EPROTO, "a runtime whose facts are shorter: -EPROTO");
	like(err.text, "ABI 1.12", "the error names its version");
	offer = whole_plugin(&runtime);
	runtime.size = offsetof(struct gantry_runtime, inspect);
	is_int(load(&offer, NULL, &plugin), -EPROTO,
	       "a runtime that ends before what is required: -EPROTO");
	runtime = whole_runtime();
	runtime.watch = NULL;
	is_int(load(&offer, NULL, &plugin), -EPROTO, "one that lacks something required: -EPROTO");
	like(err.text, "\"watch\"", "the error names it");
	offer.close = NULL;
	runtime = whole_runtime();
	is_int(load(&offer, NULL, &plugin), -EPROTO, "no close: -EPROTO");
}

static void *read_log(void *plugin, const struct gantry_log_source *source,
		      const struct gantry_log_query *query, const struct gantry_log_sink *sink)
{
	(void)source, (void)query, (void)sink;
	return plugin;
}

static void do_nothing(void *reader)
{
	(void)reader;
}

static void log_started(void *plugin, const char *instance, const struct gantry_log_boot *boot)
{
	(void)plugin, (void)instance, (void)boot;
}

static void log_ended(void *plugin, const char *instance, bool for_good)
{
	(void)plugin, (void)instance, (void)for_good;
}

static void log_removed(void *plugin, const char *instance, const char *folder)
{
	(void)plugin, (void)instance, (void)folder;
}

static void loggers(void)
{
	struct gantry_logger logger = {sizeof(logger), read_log,  do_nothing,  do_nothing,
				       log_started,    log_ended, log_removed, NULL,
				       NULL,           NULL};
	struct gantry_plugin offer = whole_plugin(NULL);
	struct plugin *plugin;
	void *handle;

	is_int(load(&offer, NULL, &plugin), 0, "a plugin without a logger");
	ok(!plugin_logger(plugin, &handle), "has none");
	plugin_unload(plugin);
	offer.logger = &logger;
	is_int(load(&offer, NULL, &plugin), 0, "and one with a logger");
	ok(plugin_logger(plugin, &handle)->read == read_log, "has one");
	plugin_unload(plugin);
	logger.size = offsetof(struct gantry_logger, removed);
	is_int(load(&offer, NULL, &plugin), -EPROTO, "one that ends too early: -EPROTO");
	logger.size = sizeof(logger);
	logger.ended = NULL;
	is_int(load(&offer, NULL, &plugin), -EPROTO, "one that lacks an operation: -EPROTO");
	like(err.text, "its logger lacks", "in words");
}

static void options(void)
{
	struct gantry_plugin offer = whole_plugin(NULL);
	struct plugin *plugin;
	int before = opened;

	is_int(load(&offer, "{\"txet\":\"a\"}", &plugin), -EINVAL, "an unknown option: -EINVAL");
	is_str(err.field, "plugins.linked.txet", "at its key");
	like(err.text, "did you mean \"text\"", "with what was meant");
	is_int(load(&offer, "{\"number\":10}", &plugin), -ERANGE, "out of range: -ERANGE");
	is_str(err.field, "plugins.linked.number", "at its key");
	is_int(load(&offer, "{\"text\":7}", &plugin), -EINVAL, "another type: -EINVAL");
	is_int(opened, before, "nothing was opened with wrong options");
	is_int(load(&offer, "{\"text\":\"given\"}", &plugin), 0, "a right one");
	is_str(seen_text, "given", "reaches the plugin");
	plugin_unload(plugin);
	open_code = -EBUSY;
	is_int(load(&offer, NULL, &plugin), -EBUSY, "what open returns is returned");
	is_str(err.text, "plugin linked: not today", "with its words and whose they are");
	open_code = 0;
}

/* --- what is left behind --- */

static bool fired, ended;

static void fire(void *arg)
{
	(void)arg;
	fired = true;
}

static void http_end(void *arg, const struct gantry_error *error, int status, const char *body,
		     size_t length)
{
	(void)arg, (void)status, (void)body, (void)length;
	ended = error && error->code == -ENOENT;
}

static void left_behind(void)
{
	struct gantry_plugin offer = whole_plugin(NULL);
	struct gantry_http_peer peer = {.base_url = "http://x", .unix_socket = "/nowhere/x"};
	struct gantry_http_request request = {
		.peer = &peer, .method = "GET", .path = "/", .on_done = http_end};
	struct gantry_timer *timer;
	struct plugin *plugin;

	load(&offer, NULL, &plugin);
	seen_host->timer_start(seen_host->core, 20, fire, NULL);
	is_int(host_pending(plugin_core(plugin)), 1, "a timer is counted");
	diag("the next line tells of a timer that was left");
	is_int(plugin_unload(plugin), -EBUSY, "a plugin with a timer is not unloaded");
	ok(rig_until(&rig, &fired, 5000), "the timer fires");
	timer = seen_host->timer_start(seen_host->core, 20, fire, NULL);
	seen_host->timer_stop(timer);
	is_int(host_pending(plugin_core(plugin)), 0, "nothing is left");
	seen_host->http(seen_host->core, &request);
	is_int(plugin_unload(plugin), -EBUSY, "nor one with an exchange");
	ok(rig_until(&rig, &ended, 5000), "which has its end");
	is_int(plugin_unload(plugin), 0, "then it is");
}

static void registry(void)
{
	struct plugin_registry plugins;
	struct plugin *plugin, *again;
	const char *build = getenv("BUILD");
	struct json_object *values = json_tokener_parse("{\"greeting\":\"good morning\"}");
	char folder[160];

	snprintf(folder, sizeof(folder), "%s/plugins", build ? build : ".build/plain");
	plugin_registry_init(&plugins, &rig.loop, folder);
	is_int(plugin_registry_load(&plugins, "skeleton", values, &plugin, &err), 0,
	       "the skeleton loads from its folder");
	is_int(plugin_registry_load(&plugins, "skeleton", NULL, &again, &err), 0, "once");
	ok(plugin == again && plugin_registry_find(&plugins, "skeleton") == plugin,
	   "it is found by name");
	is_int(plugin_registry_load(&plugins, "scheleton", NULL, &again, &err), -ENOENT,
	       "no such plugin");
	like(err.text, "skeleton", "the error lists those that are");
	is_int(plugin_registry_load(&plugins, "../skeleton", NULL, &again, &err), -ENOENT,
	       "a name is no path");
	is_int(plugin_registry_fini(&plugins), 0, "all are unloaded");
	json_object_put(values);
}

int main(void)
{
	rig_open(&rig);
	refused();
	sizes();
	loggers();
	options();
	left_behind();
	registry();
	rig_close(&rig);
	done_testing();
	return tap_end();
}
