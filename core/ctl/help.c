/* SPDX-License-Identifier: Apache-2.0 */
/* Help, all of it from the tables. */
#include "ctl/many.h"
#include "ctl/output.h"
#include "ctl/spec.h"

const char help_about[] =
	"Runs containers as compute instances, by gantryd. An instance is named by its name, its\n"
	"id, or a prefix of the id that only one has.";
const char help_exit_status[] =
	"Of several instances, the status of the first that failed. `gantry run` in the foreground\n"
	"exits as the instance did, or with 125, 126 or 127: gantry help run.";

static void print_options(const char *title, const struct ctl_option *options)
{
	if (title)
		printf("\n%s:\n", title);
	for (; options->name; options++) {
		char left[64], letter[8] = "    ";

		if (!options->name[0])
			continue;
		if (options->letter)
			snprintf(letter, sizeof(letter), "-%c, ", options->letter);
		snprintf(left, sizeof(left), "  %s--%s %s", letter, options->name,
			 options->metavar);
		printf("%-33s %s%s\n", left, options->help, options->repeats ? " (a list)" : "");
	}
}

static void print_commands(const char *group)
{
	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		if (!group ||
		    (str_starts_with(command->name, group) && command->name[strlen(group)] == ' '))
			printf("  %-16s %s\n", command->name, command->summary);
}

void help_overview(void)
{
	printf("Usage: gantry [OPTION…] COMMAND [OPTION…] [WORD…]\n\n%s\n\nCommands:\n",
	       help_about);
	print_commands(NULL);
	print_options("Options of all commands", ctl_global_options);
	printf("\nExit status:\n");
	for (const struct ctl_status_row *row = ctl_statuses; row->help; row++)
		printf("  %d  %s\n", row->status, row->help);
	puts(help_exit_status);
}

void help_group(const char *group)
{
	printf("Usage: gantry %s COMMAND\n\nCommands:\n", group);
	print_commands(group);
}

const char *help_title(const struct ctl_command *command, const struct ctl_option *table)
{
	if (command && table == command->options)
		return "Options";
	if (table == ctl_global_options)
		return "Options of all commands";
	if (table == ctl_project_options)
		return "Names";
	if (table == many_options)
		return "Many at once";
	if (table == ctl_wait_options)
		return "Waiting";
	if (table == spec_exec_options)
		return "The process";
	return table == spec_more_options ? NULL : "The instance";
}

void help_command(const struct ctl_command *command)
{
	const struct ctl_option *tables[CTL_TABLES_MAX];

	printf("Usage: gantry %s [OPTION…]%s%s\n\n", command->name, *command->words ? " " : "",
	       command->words);
	printf("%c%s.\n", command->summary[0] - 'a' + 'A', command->summary + 1);
	if (command->details)
		printf("%s\n", command->details);
	ctl_tables(command, tables);
	for (size_t i = 0; tables[i]; i++)
		print_options(help_title(command, tables[i]), tables[i]);
}

int help_words_command(struct ctl *ctl)
{
	struct args *args = ctl->args;
	const struct ctl_command *command;
	struct str name = STR_INIT;
	int status = CTL_OK, used;

	for (size_t i = 0; i < args->word_count; i++)
		str_addf(&name, "%s%s", i ? " " : "", args->words[i]);
	command = ctl_find_command((int)args->word_count, args->words, &used);
	if (args_has(args, "man") && args->word_count)
		status = output_usage("help", "--man is of all commands, not of one");
	else if (args_has(args, "man"))
		manual_print();
	else if (args->word_count == 0)
		help_overview();
	else if (command && (size_t)used == args->word_count)
		help_command(command);
	else if (args->word_count == 1 && ctl_is_group(args->words[0]))
		help_group(args->words[0]);
	else
		status = output_usage(NULL, "there is no command \"%s\"", str_text(&name));
	str_fini(&name);
	return status;
}
