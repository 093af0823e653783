/* SPDX-License-Identifier: Apache-2.0 */
/* What gantryd can be asked for on its command line; gantryd.c is what serves. */
#include "gantryd.h"
#include "base/option.h"
#include "base/roff.h"
#include "base/str.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_DEFAULT "/etc/gantry/gantry.lua"

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
	gantryd_init_plugins(gantryd);
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
	{"steps", "", "list the steps of each flow; memory: has no commit before it", OPT_STEPS},
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

int main(int argc, char **argv)
{
	static struct gantryd gantryd = {.config = CONFIG_DEFAULT};
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
	status = gantryd_read_settings(&gantryd, level_name) < 0;
	if (status == 0 && loop_init(&gantryd.loop) < 0) {
		fprintf(stderr, "gantryd: the event loop cannot be made\n");
		status = 1;
	}
	if (status == 0)
		status = wanted == OPT_CHECK_CONFIG ? gantryd_check_config(&gantryd)
						    : gantryd_serve(&gantryd);
	script_lines_free(gantryd.lines);
	return status;
}
