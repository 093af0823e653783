/* SPDX-License-Identifier: Apache-2.0 */
/* Help, all of it from the tables. */
#include "ctl/output.h"
#include "ctl/spec.h"

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
	printf("Usage: gantry [OPTION…] COMMAND [OPTION…] [WORD…]\n\n"
	       "Runs containers as compute instances, by gantryd. An instance is named by its name, its\n"
	       "id, or a prefix of the id that only one has.\n\nCommands:\n");
	print_commands(NULL);
	print_options("Options of all commands", ctl_global_options);
	printf("\nExit status:\n");
	for (const struct ctl_status_row *row = ctl_statuses; row->help; row++)
		printf("  %d  %s\n", row->status, row->help);
	printf("Of several instances, the status of the first that failed. `gantry run` in the foreground\n"
	       "exits as the instance did, or with 125, 126 or 127: gantry help run.\n");
}

void help_group(const char *group)
{
	printf("Usage: gantry %s COMMAND\n\nCommands:\n", group);
	print_commands(group);
}

/* NULL: the table goes on with what the one before began. */
static const char *title_of(const struct ctl_command *command, const struct ctl_option *table)
{
	if (table == command->options)
		return "Options";
	if (table == ctl_global_options)
		return "Options of all commands";
	if (table == ctl_project_options)
		return "Names";
	if (table == ctl_wait_options)
		return "Waiting";
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
		print_options(title_of(command, tables[i]), tables[i]);
}

int help_words_command(struct ctl *ctl)
{
	struct args *args = ctl->args;
	struct str name = STR_INIT;
	int status = CTL_OK;

	for (size_t i = 0; i < args->word_count; i++)
		str_addf(&name, "%s%s", i ? " " : "", args->words[i]);
	if (args->word_count == 0) {
		help_overview();
	} else {
		const struct ctl_command *found = NULL;
		bool group = false;

		for (const struct ctl_command *command = ctl_commands; command->name; command++) {
			if (strcmp(command->name, str_text(&name)) == 0)
				found = command;
			group |= str_starts_with(command->name, str_text(&name)) &&
				 command->name[name.length] == ' ';
		}
		if (found)
			help_command(found);
		else if (group)
			help_group(str_text(&name));
		else
			status = output_usage(NULL, "there is no command \"%s\"", str_text(&name));
	}
	str_fini(&name);
	return status;
}
