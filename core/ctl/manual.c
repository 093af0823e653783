/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page gantry(1): what help prints, from the same tables, in roff. */
#include <stdlib.h>

#include "base/roff.h"
#include "ctl/output.h"
#include "ctl/spec.h"

static void print_options(struct roff *page, const struct ctl_option *options)
{
	for (; options->name; options++) {
		char *term, *text;

		if (!options->name[0])
			continue;
		term = options->letter ? xasprintf("-%c, --%s", options->letter, options->name)
				       : xasprintf("--%s", options->name);
		text = xasprintf("%s%s", options->help, options->repeats ? " (a list)" : "");
		roff_entry(page, term, options->metavar, text);
		free(text);
		free(term);
	}
}

/* Tables that several commands take are printed once, in sections of their own. */
static bool is_shared(const struct ctl_option *table)
{
	return table == spec_options || table == spec_more_options || table == ctl_global_options;
}

static void print_command(struct roff *page, const struct ctl_command *command)
{
	const struct ctl_option *tables[CTL_TABLES_MAX];
	char *usage = xasprintf("gantry %s [OPTION…]%s%s", command->name,
				*command->words ? " " : "", command->words);
	char *summary = xasprintf("%c%s.", command->summary[0] - 'a' + 'A', command->summary + 1);

	roff_subheading(page, command->name);
	roff_line(page, usage);
	roff_paragraph(page, summary);
	if (command->details)
		roff_paragraph(page, command->details);
	if (command->flags & CTL_SPEC_OPTIONS)
		roff_paragraph(page, "It takes the options of the instance too.");
	ctl_tables(command, tables);
	for (size_t i = 0; tables[i]; i++)
		if (!is_shared(tables[i]))
			print_options(page, tables[i]);
	free(summary);
	free(usage);
}

void manual_print(void)
{
	struct roff roff, *page = &roff;

	roff_begin(page, "gantry", 1, CTL_VERSION, "run containers as compute instances");
	roff_heading(page, "synopsis");
	roff_line(page, "gantry [OPTION…] COMMAND [OPTION…] [WORD…]");
	roff_heading(page, "description");
	roff_paragraph(page, help_about);
	roff_heading(page, help_title(NULL, ctl_global_options));
	print_options(page, ctl_global_options);
	roff_heading(page, "commands");
	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		print_command(page, command);
	roff_heading(page, help_title(NULL, spec_options));
	print_options(page, spec_options);
	print_options(page, spec_more_options);
	roff_heading(page, "exit status");
	for (const struct ctl_status_row *row = ctl_statuses; row->help; row++) {
		char status[8];

		snprintf(status, sizeof(status), "%d", row->status);
		roff_entry(page, status, "", row->help);
	}
	roff_paragraph(page, help_exit_status);
	roff_heading(page, "see also");
	roff_paragraph(page, "gantryd(8), gantry.lua(5)");
}
