/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gantry: finds the command, reads its options, opens the client, runs it.
 *
 *	gantry [GLOBAL OPTION…] COMMAND [SUBCOMMAND] [OPTION…] [WORD…]
 */
#include <unistd.h>

#include "ctl/many.h"
#include "ctl/output.h"

/* Tells about a word that is no command. */
static int fail_unknown(int argc, char **argv)
{
	const char *names[64];
	const char *nearest;
	size_t count = 0;

	if (ctl_is_group(argv[0])) {
		if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
			help_group(argv[0]);
			return argc < 2 ? CTL_USAGE : CTL_OK;
		}
		return output_usage(argv[0], "there is no command \"%s %s\"", argv[0], argv[1]);
	}
	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		if (count < 63)
			names[count++] = command->name;
	names[count] = NULL;
	nearest = str_nearest(argv[0], names);
	if (nearest)
		return output_usage(NULL, "there is no command \"%s\"; did you mean \"%s\"?",
				    argv[0], nearest);
	return output_usage(NULL, "there is no command \"%s\"", argv[0]);
}

/* Of `run` in the foreground every failure of ours has one status. */
static int usage_failed(const struct ctl_command *command, const struct args *args,
			const char *name, const char *text)
{
	output_usage(name, "%s", text);
	return command->run == run_command && !args_has(args, "detach") ? CTL_RUN_FAILED
									: CTL_USAGE;
}

/* Whether the instances are chosen, and not among the words. */
static bool is_many(const struct ctl_command *command, const struct args *args)
{
	return command->flags & CTL_MANY && many_wanted(args);
}

static int check_words(const struct ctl_command *command, const struct args *args)
{
	size_t chosen = is_many(command, args) ? 1 : 0; /* stand for the first word */

	if (chosen && command->words_min == 1 && args->word_count)
		return output_usage(command->name, "name instances or choose them, not both");
	if (args->word_count + chosen < (size_t)command->words_min)
		return output_usage(command->name, "%s is missing", command->words);
	if (command->words_max >= 0 && args->word_count > (size_t)command->words_max)
		return output_usage(command->name, "\"%s\" is one word too many",
				    args->words[command->words_max]);
	return CTL_OK;
}

static int run(const struct ctl_command *command, struct args *args)
{
	struct client_settings settings = ctl_client_settings(args);
	struct ctl ctl = {
		.settings = &settings,
		.args = args,
		.json = args_has(args, "json"),
		.progress = isatty(STDERR_FILENO),
	};
	struct gantry_error err;
	int status;

	if (!(command->flags & CTL_LOCAL) && client_open(&settings, &ctl.client, &err) < 0)
		return usage_failed(command, args, NULL, err.text);
	status = is_many(command, args) ? many_run(&ctl, command) : command->run(&ctl);
	client_close(ctl.client);
	return status;
}

int main(int argc, char **argv)
{
	const struct ctl_option *tables[CTL_TABLES_MAX];
	const struct ctl_command *command = NULL;
	struct args args = {0};
	struct gantry_error err;
	int used = 0, name_words = 0, error, status;

	ctl_tables(NULL, tables);
	error = args_parse(&args, argc - 1, argv + 1, tables, true, &used, &err);
	argc -= used + 1;
	argv += used + 1;
	if (error < 0) {
		status = output_usage(NULL, "%s", err.text);
		goto out;
	}
	if (argc == 0) {
		help_overview();
		status = args_has(&args, "help") ? CTL_OK : CTL_USAGE;
		goto out;
	}
	command = ctl_find_command(argc, argv, &name_words);
	if (!command) {
		status = fail_unknown(argc, argv);
		goto out;
	}
	ctl_tables(command, tables);
	error = args_parse(&args, argc - name_words, argv + name_words, tables,
			   command->flags & CTL_WORDS_END, NULL, &err);
	if (args_has(&args, "help")) {
		help_command(command);
		status = CTL_OK;
	} else if (error < 0) {
		status = usage_failed(command, &args, command->name, err.text);
	} else {
		status = check_words(command, &args);
		if (status == CTL_OK)
			status = run(command, &args);
	}
out:
	args_fini(&args);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		output_error("cannot write to standard output: %s", strerror(errno));
		status = status == CTL_OK ? CTL_FAILED : status;
	}
	return status;
}
