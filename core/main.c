/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gantryd: creates everything, passes it down, and takes it apart again.
 *
 *	up    settings → store → policies → plugins and nodes → listeners → what the store has → the
 *	      engines are ours → ready
 *	down  (SIGTERM, SIGINT) no new work → listeners drain → flows get their grace → nodes → store
 *
 * A flow that is still under way at the end of the grace stays in the journal and goes on at the
 * next start.
 */
#include "api/api.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/option.h"
#include "base/str.h"
#include "flows/daemon.h"
#include "flows/log_sinks.h"
#include "flows/node_link.h"
#include "plugin/registry.h"
#include "script/script.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_DEFAULT "/etc/gantry/gantry.lua"
#define LOGGER_DEFAULT "stdout"
#define DRAIN_MS       5000
#define FLOW_GRACE_MS  5000

struct gantryd {
	const char *config;
	struct settings settings;
	struct loop loop;
	struct store *store;
	struct script_set *policies; /* until the daemon takes it over */
	struct plugin_registry plugins;
	struct daemon daemon;
	struct api api;
	unsigned char secret_key[32];
	uv_signal_t terminate, interrupt;
	struct loop_timer watchdog;
	int64_t watchdog_ms;
	bool going_down;
	int status; /* of the process's end */
};

/* --- settings ------------------------------------------------------------------------------------ */

static void print_setting_error(const char *path, const struct script_lines *lines,
				const struct gantry_error *err)
{
	int line = lines && err->field[0] ? script_lines_find(lines, err->field) : 0;

	if (line)
		fprintf(stderr, "gantryd: %s:%d: %s: %s\n", path, line, err->field, err->text);
	else if (err->field[0])
		fprintf(stderr, "gantryd: %s: %s: %s\n", path, err->field, err->text);
	else
		fprintf(stderr, "gantryd: %s\n", err->text);
}

static void init_plugins(struct gantryd *gantryd)
{
	const char *path = gantryd->settings.plugin_path;
	char *folder = path ? xstrdup(path) : plugin_registry_folder();

	plugin_registry_init(&gantryd->plugins, &gantryd->loop, folder);
	free(folder);
}

/* NULL: no plugin reads logs. */
static struct plugin *find_logger(const struct gantryd *gantryd)
{
	void *handle;

	for (size_t i = 0; i < gantryd->plugins.count; i++)
		if (plugin_logger(gantryd->plugins.items[i], &handle))
			return gantryd->plugins.items[i];
	return NULL;
}

/* The one that is named in the settings, else the one that comes with gantryd, where it is there. */
static int load_logger(struct gantryd *gantryd, struct gantry_error *err)
{
	struct plugin *plugin;
	int code;

	if (find_logger(gantryd))
		return 0;
	code = plugin_registry_load(&gantryd->plugins, LOGGER_DEFAULT, NULL, &plugin, err);
	if (code != -ENOENT)
		return code;
	log_warn("logs cannot be read: %s", err->text);
	return 0;
}

/* sink NULL: it is only checked, and closed again. */
static int open_sink(struct gantryd *gantryd, const struct settings_sink *settings,
		     struct log_sink *sink, struct gantry_error *err)
{
	struct plugin *logger = find_logger(gantryd);
	const struct gantry_log_kind *kind;
	void *handle;
	int code;

	if (!logger)
		return gantry_error_field(err, -ENOTSUP, settings->where,
					  "no plugin that reads logs is loaded");
	code = plugin_sink_open(logger, settings->kind, settings->name, settings->options,
				settings->where, log_sink_lost, sink, &kind, &handle, err);
	if (code == 0 && sink)
		log_sink_attach(sink, kind, handle);
	else if (code == 0)
		kind->close(handle);
	return code;
}

static int open_sinks(struct gantryd *gantryd, struct gantry_error *err)
{
	const struct settings *settings = &gantryd->settings;
	int code = 0;

	for (size_t i = 0; code == 0 && i < settings->sink_count; i++)
		code = open_sink(gantryd, &settings->sinks[i],
				 log_sink_new(&gantryd->daemon, &settings->sinks[i]), err);
	return code;
}

static void take_logger(struct gantryd *gantryd)
{
	struct plugin *logger = find_logger(gantryd);

	if (logger)
		gantryd->daemon.logger = plugin_logger(logger, &gantryd->daemon.logger_handle);
}

static int load_plugins(struct gantryd *gantryd, struct gantry_error *err)
{
	struct settings *settings = &gantryd->settings;
	struct plugin *plugin;
	int code = 0;

	init_plugins(gantryd);
	for (size_t i = 0; code == 0 && i < settings->plugin_count; i++)
		code = plugin_registry_load(&gantryd->plugins, settings->plugins[i].name,
					    settings->plugins[i].options, &plugin, err);
	for (size_t i = 0; code == 0 && i < settings->node_count; i++) {
		const struct settings_node *node = &settings->nodes[i];

		code = plugin_registry_load(&gantryd->plugins, node->plugin, NULL, &plugin, err);
		if (code == 0 && !plugin_runtime(plugin))
			code = gantry_error_set(err, -EINVAL, "plugin %s runs no instances",
						node->plugin);
		if (code < 0 && !err->field[0])
			snprintf(err->field, sizeof(err->field), "nodes.%s.plugin", node->name);
	}
	return code == 0 ? load_logger(gantryd, err) : code;
}

static int open_nodes(struct gantryd *gantryd, struct gantry_error *err)
{
	struct settings *settings = &gantryd->settings;

	for (size_t i = 0; i < settings->node_count; i++) {
		const struct settings_node *node = &settings->nodes[i];
		struct plugin *plugin = plugin_registry_find(&gantryd->plugins, node->plugin);
		void *handle;
		int code = plugin_node_open(plugin, node->name, node->options, settings->owner,
					    &handle, err);

		if (code < 0)
			return code;
		node_link_new(&gantryd->daemon, node, plugin_runtime(plugin), handle);
	}
	return 0;
}

static int load_policies(struct gantryd *gantryd, struct gantry_error *err)
{
	const struct script_budget budget = {
		.instructions = gantryd->settings.policy_instructions,
		.time_ms = gantryd->settings.policy_time_ms,
		.memory_bytes = gantryd->settings.policy_memory_bytes,
	};

	return script_set_load(gantryd->settings.policies, &budget, &gantryd->policies, err);
}

/* Secrets are kept as hashes under a key of this store's own. One that is damaged is made anew. */
static void load_secret_key(struct gantryd *gantryd, bool *ret_damaged)
{
	unsigned char *key = gantryd->secret_key;
	char *saved = store_load_fact(gantryd->store, "secret_key"), text[65];
	struct store_batch *batch;

	*ret_damaged = saved && (strlen(saved) != 64 || saved[strspn(saved, "0123456789abcdef")]);
	if (*ret_damaged)
		log_warn("the secret key in %s is damaged; a new one is made: hashes of secrets in "
			 "older decisions no longer equal those of the same values, and a POST "
			 "that is repeated with an older idempotency key is refused",
			 gantryd->settings.store);
	if (saved && !*ret_damaged) {
		for (int i = 0; i < 32; i++)
			sscanf(saved + 2 * i, "%2hhx", &key[i]);
	} else {
		while (getrandom(key, 32, 0) != 32)
			;
		for (int i = 0; i < 32; i++)
			snprintf(text + 2 * i, 3, "%02x", key[i]);
		batch = store_batch_new(gantryd->store);
		store_put_fact(batch, "secret_key", text);
		store_batch_commit(batch, NULL, NULL);
	}
	free(saved);
	script_set_secret_key(key);
}

/* --- going down ---------------------------------------------------------------------------------- */

static void on_store_closed(void *arg)
{
	struct gantryd *gantryd = arg;

	uv_close((uv_handle_t *)&gantryd->terminate, NULL);
	uv_close((uv_handle_t *)&gantryd->interrupt, NULL);
}

static void on_daemon_stopped(struct daemon *daemon)
{
	struct gantryd *gantryd = LIST_ENTRY(daemon, struct gantryd, daemon);

	store_close(gantryd->store, on_store_closed, gantryd);
}

static void on_server_closed(void *arg)
{
	struct gantryd *gantryd = arg;

	api_fini(&gantryd->api);
	daemon_stop(&gantryd->daemon, FLOW_GRACE_MS, on_daemon_stopped);
}

static void go_down(struct gantryd *gantryd)
{
	gantryd->going_down = true;
	notify_send("STOPPING=1");
	loop_timer_stop(&gantryd->loop, &gantryd->watchdog);
	gantryd->daemon.stopping = true;
	http_server_drain(gantryd->api.server, DRAIN_MS, on_server_closed, gantryd);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct gantryd *gantryd = handle->data;

	if (gantryd->going_down)
		return;
	log_info("going down on signal %d", number);
	go_down(gantryd);
}

static void on_watchdog(struct loop_timer *timer)
{
	struct gantryd *gantryd = LIST_ENTRY(timer, struct gantryd, watchdog);

	notify_send("WATCHDOG=1");
	loop_timer_start(&gantryd->loop, timer, gantryd->watchdog_ms);
}

/* --- running ------------------------------------------------------------------------------------- */

/* Each engine that answers is ours, or one is another daemon's. */
static void on_ready(struct daemon *daemon, const struct gantry_error *err)
{
	struct gantryd *gantryd = LIST_ENTRY(daemon, struct gantryd, daemon);

	if (gantryd->going_down)
		return;
	if (err) {
		fprintf(stderr, "gantryd: %s\n", err->text);
		gantryd->status = 1;
		go_down(gantryd);
		return;
	}
	log_info("gantryd " API_VERSION " is ready: owner %s, %zu nodes, policies %s",
		 gantryd->settings.owner, gantryd->settings.node_count,
		 script_set_revision(daemon->policies));
	notify_send("READY=1");
}

static void start_signals(struct gantryd *gantryd)
{
	signal(SIGPIPE, SIG_IGN);
	uv_signal_init(&gantryd->loop.uv, &gantryd->terminate);
	uv_signal_init(&gantryd->loop.uv, &gantryd->interrupt);
	gantryd->terminate.data = gantryd->interrupt.data = gantryd;
	uv_signal_start(&gantryd->terminate, on_signal, SIGTERM);
	uv_signal_start(&gantryd->interrupt, on_signal, SIGINT);
	loop_timer_init(&gantryd->watchdog, on_watchdog);
	gantryd->watchdog_ms = notify_watchdog_ms();
	if (gantryd->watchdog_ms > 0)
		on_watchdog(&gantryd->watchdog);
}

static int open_all(struct gantryd *gantryd, struct gantry_error *err)
{
	bool created, key_damaged;
	int code =
		store_open(&gantryd->loop, gantryd->settings.store, &gantryd->store, &created, err);

	if (code < 0)
		return code;
	load_secret_key(gantryd, &key_damaged);
	code = load_policies(gantryd, err);
	if (code == 0)
		code = load_plugins(gantryd, err);
	if (code < 0)
		return code;
	daemon_init(&gantryd->daemon, &gantryd->loop, gantryd->store, &gantryd->settings,
		    gantryd->policies);
	gantryd->daemon.store_was_new = created;
	gantryd->daemon.key_was_damaged = key_damaged;
	take_logger(gantryd);
	code = open_nodes(gantryd, err);
	if (code == 0)
		code = open_sinks(gantryd, err);
	if (code < 0)
		return code;
	api_init(&gantryd->api, &gantryd->daemon, &gantryd->plugins, gantryd->secret_key);
	code = api_listen(&gantryd->api, err);
	if (code == 0)
		code = daemon_load(&gantryd->daemon, on_ready, err);
	return code;
}

static int close_all(struct gantryd *gantryd)
{
	daemon_fini(&gantryd->daemon);
	if (plugin_registry_fini(&gantryd->plugins) < 0) {
		log_error("a plugin had work left at the end");
		return 1;
	}
	settings_fini(&gantryd->settings);
	if (loop_fini(&gantryd->loop) < 0) {
		log_error("a handle was left open at the end");
		return 1;
	}
	return 0;
}

static int serve(struct gantryd *gantryd, struct script_lines *lines)
{
	struct gantry_error err;

	if (open_all(gantryd, &err) < 0) {
		print_setting_error(gantryd->config, lines, &err);
		return 1; /* the process ends here: what is open goes with it */
	}
	start_signals(gantryd);
	loop_run(&gantryd->loop);
	return close_all(gantryd) ? 1 : gantryd->status;
}

/* --- the other things it can be asked for ---------------------------------------------------------- */

static const char init_text[] =
	"-- Settings of gantryd. `gantryd --options` lists every key; `gantryd --check-config` checks this file.\n"
	"\n"
	"-- Marks the containers of this daemon. Never change it while there are any.\n"
	"owner = \"%s\"\n"
	"\n"
	"listen = {\n"
	"  { unix = \"/run/gantry/gantry.sock\", mode = \"0660\" },\n"
	"}\n"
	"\n"
	"nodes = {\n"
	"  [\"local\"] = { plugin = \"docker\", endpoint = \"unix:///var/run/docker.sock\" },\n"
	"}\n"
	"\n"
	"policies = \"/etc/gantry/policies\"\n"
	"store = \"/var/lib/gantry/gantry.db\"\n"
	"\n"
	"-- Who may ask on behalf of a project and user of their own naming.\n"
	"trusted_actors = { \"uid:0\" }\n";

static int write_init(const char *path)
{
	char host[64] = "host", owner[100];
	unsigned random = 0;
	FILE *file;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0) {
		fprintf(stderr, "gantryd: %s: %s\n", path,
			errno == EEXIST ? "is there already; its owner must stay"
					: strerror(errno));
		return 1;
	}
	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	for (char *p = host; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9')))
			*p = '-';
	while (getrandom(&random, sizeof(random), 0) != sizeof(random))
		;
	snprintf(owner, sizeof(owner), "%.40s-%08x", host[0] == '-' ? "host" : host, random);
	file = fdopen(fd, "w");
	fprintf(file, init_text, owner);
	if (fclose(file) != 0) {
		fprintf(stderr, "gantryd: %s: %s\n", path, strerror(errno));
		return 1;
	}
	printf("wrote %s with owner %s\n", path, owner);
	return 0;
}

static void print_kinds(struct roff *page, const struct plugin *plugin)
{
	void *handle;
	const struct gantry_logger *logger = plugin_logger(plugin, &handle);
	char title[100];

	for (size_t i = 0; logger && logger->kinds && logger->kinds[i]; i++) {
		snprintf(title, sizeof(title), "sinks of kind %s", logger->kinds[i]->name);
		option_print(page, title, logger->kinds[i]->options);
	}
}

/* Of the core, and of every plugin that is found; no settings are needed. page as of option_print. */
static int print_options(struct gantryd *gantryd, struct roff *page)
{
	option_print(page, "gantry.lua", settings_options);
	option_print(page, "listen = { { ... } }", settings_listener_options);
	option_print(page, "nodes = { [NAME] = { ... } }", settings_node_options);
	option_print(page, "logs = { sinks = { { ... } } }", settings_sink_options);
	loop_init(&gantryd->loop);
	init_plugins(gantryd);
	plugin_registry_load_all(&gantryd->plugins);
	for (size_t i = 0; i < gantryd->plugins.count; i++) {
		const struct gantry_plugin *info = plugin_info(gantryd->plugins.items[i]);
		char title[100];

		snprintf(title, sizeof(title), "plugins.%s", info->name);
		option_print(page, title, info->options);
		snprintf(title, sizeof(title), "nodes of plugin %s", info->name);
		option_print(page, title, info->node_options);
		print_kinds(page, gantryd->plugins.items[i]);
	}
	plugin_registry_fini(&gantryd->plugins);
	return loop_fini(&gantryd->loop) < 0;
}

static int check_config(struct gantryd *gantryd, struct script_lines *lines)
{
	struct gantry_error err;
	int code = load_policies(gantryd, &err);

	if (code == 0)
		code = load_plugins(gantryd, &err);
	for (size_t i = 0; code == 0 && i < gantryd->settings.node_count; i++) {
		const struct settings_node *node = &gantryd->settings.nodes[i];
		struct plugin *plugin = plugin_registry_find(&gantryd->plugins, node->plugin);
		void *handle;

		code = plugin_node_open(plugin, node->name, node->options, gantryd->settings.owner,
					&handle, &err);
		if (code == 0)
			plugin_runtime(plugin)->node_close(handle);
	}
	for (size_t i = 0; code == 0 && i < gantryd->settings.sink_count; i++)
		code = open_sink(gantryd, &gantryd->settings.sinks[i], NULL, &err);
	if (code < 0) {
		print_setting_error(gantryd->config, lines, &err);
		return 1;
	}
	printf("%s: ok\n", gantryd->config);
	return 0;
}

static int check_policies(const char *folder)
{
	const struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct script_set *set;
	struct json_object *list;
	struct gantry_error err;
	int64_t tests = 0;

	if (script_set_load(folder, &budget, &set, &err) < 0) {
		fprintf(stderr, "gantryd: %s\n", err.text);
		return 1;
	}
	list = script_set_print(set);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		tests += json_get_int(json_object_array_get_idx(list, i), "tests", 0);
	printf("%s: ok, %zu policies, %lld tests passed, revision %s\n", folder,
	       json_object_array_length(list), (long long)tests, script_set_revision(set));
	json_object_put(list);
	script_set_free(set);
	return 0;
}

enum {
	OPT_INIT = 256,
	OPT_CHECK_CONFIG,
	OPT_OPTIONS,
	OPT_CHECK_POLICIES,
	OPT_ROUTES,
	OPT_STEPS,
	OPT_MAN,
	OPT_VERSION
};

static const struct command_option {
	const char *name, *metavar, *help; /* metavar "": a flag */
	int value;                         /* a letter is its short form */
} command_options[] = {
	{"config", "FILE", "settings; default " CONFIG_DEFAULT, 'c'},
	{"log-level", "LEVEL", "debug, info, warn or error, in place of the settings'", 'l'},
	{"init", "", "write the settings file with an owner of its own", OPT_INIT},
	{"check-config", "", "check settings, plugins' options and policies", OPT_CHECK_CONFIG},
	{"options", "", "list every key of the settings", OPT_OPTIONS},
	{"check-policies", "FOLDER", "compile policies and run their tests", OPT_CHECK_POLICIES},
	{"routes", "", "list the routes of the API", OPT_ROUTES},
	{"steps", "", "list the steps of each flow", OPT_STEPS},
	{"man", "", "print gantryd(8), with --options gantry.lua(5), as manual pages", OPT_MAN},
	{"version", "", "print the version", OPT_VERSION},
	{"help", "", "print this help", 'h'},
};
#define COMMAND_OPTIONS (sizeof(command_options) / sizeof(command_options[0]))

static void usage(FILE *to)
{
	fprintf(to, "usage: gantryd [OPTION…]\n\n");
	for (size_t i = 0; i < COMMAND_OPTIONS; i++) {
		const struct command_option *option = &command_options[i];
		char left[40];

		snprintf(left, sizeof(left), "--%s %s", option->name, option->metavar);
		fprintf(to, "  %-24s %s\n", left, option->help);
	}
}

static void print_manual(void)
{
	struct roff page;

	roff_begin(&page, "gantryd", 8, API_VERSION,
		   "daemon that runs containers as compute instances");
	roff_heading(&page, "synopsis");
	roff_line(&page, "gantryd [OPTION…]");
	roff_heading(&page, "description");
	roff_paragraph(
		&page,
		"Drives container engines by plugins, asks the operators' Lua policies before it "
		"acts, and serves the HTTP API of gantry(1).\n"
		"Without another option that names something to do it serves until SIGTERM or SIGINT:\n"
		"what is under way then gets a short time to end, and goes on at the next start.\n"
		"Containers run on meanwhile.");
	roff_heading(&page, "options");
	for (size_t i = 0; i < COMMAND_OPTIONS; i++) {
		const struct command_option *option = &command_options[i];
		char term[40];

		snprintf(term, sizeof(term), "--%s", option->name);
		roff_entry(&page, term, option->metavar, option->help);
	}
	roff_heading(&page, "see also");
	roff_paragraph(&page, "gantry(1), gantry.lua(5)");
}

static int print_settings_manual(struct gantryd *gantryd)
{
	char *example = xasprintf(init_text, "host-0f1e2d3c");
	struct roff page;
	int status;

	roff_begin(&page, "gantry.lua", 5, API_VERSION, "settings of gantryd");
	roff_heading(&page, "description");
	roff_paragraph(&page,
		       CONFIG_DEFAULT " is a Lua file, read in a sandbox without input and output. "
				      "An unknown key is an error with its line.");
	roff_heading(&page, "keys");
	status = print_options(gantryd, &page);
	roff_heading(&page, "example");
	roff_paragraph(&page, "What gantryd --init writes, with an owner of its own:");
	roff_line(&page, example);
	free(example);
	roff_heading(&page, "see also");
	roff_paragraph(&page, "gantryd(8)");
	return status;
}

static int read_settings(struct gantryd *gantryd, const char *level_name,
			 struct script_lines **ret_lines)
{
	struct json_object *values;
	struct gantry_error err;
	enum log_level level;
	int code;

	*ret_lines = NULL;
	code = script_settings_read(gantryd->config, &values, ret_lines, &err);
	if (code == 0) {
		code = settings_parse(values, &gantryd->settings, &err);
		json_object_put(values);
	}
	if (code == 0 &&
	    log_level_parse(level_name ? level_name : gantryd->settings.log_level, &level) < 0)
		code = gantry_error_field(&err, -EINVAL, "log_level",
					  "must be debug, info, warn or error");
	if (code < 0) {
		print_setting_error(gantryd->config, *ret_lines, &err);
		return -1;
	}
	log_set_level(level);
	return 0;
}

int main(int argc, char **argv)
{
	static struct gantryd gantryd = {.config = CONFIG_DEFAULT};
	struct script_lines *lines;
	struct option long_options[COMMAND_OPTIONS + 1] = {{0}};
	const char *level_name = NULL;
	int option, status, wanted = 0;
	bool manual = false;

	for (size_t i = 0; i < COMMAND_OPTIONS; i++) {
		const struct command_option *row = &command_options[i];

		long_options[i] =
			(struct option){row->name, *row->metavar ? required_argument : no_argument,
					NULL, row->value};
	}
	while ((option = getopt_long(argc, argv, "c:l:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			gantryd.config = optarg;
			break;
		case 'l':
			level_name = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case OPT_MAN:
			manual = true;
			break;
		case OPT_VERSION:
			printf("gantryd " API_VERSION "\n");
			return 0;
		case OPT_ROUTES:
			api_print_routes();
			return 0;
		case OPT_STEPS:
			daemon_print_steps();
			return 0;
		case OPT_CHECK_POLICIES:
			return check_policies(optarg);
		case '?':
			usage(stderr);
			return 2;
		default:
			wanted = option;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gantryd: \"%s\" is one word too many\n", argv[optind]);
		return 2;
	}
	if (wanted == OPT_INIT)
		return write_init(gantryd.config);
	if (wanted == OPT_OPTIONS)
		return manual ? print_settings_manual(&gantryd) : print_options(&gantryd, NULL);
	if (manual) {
		print_manual();
		return 0;
	}
	status = read_settings(&gantryd, level_name, &lines) < 0;
	if (status == 0 && loop_init(&gantryd.loop) < 0) {
		fprintf(stderr, "gantryd: the event loop cannot be made\n");
		status = 1;
	}
	if (status == 0)
		status = wanted == OPT_CHECK_CONFIG ? check_config(&gantryd, lines)
						    : serve(&gantryd, lines);
	script_lines_free(lines);
	return status;
}
