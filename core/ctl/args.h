/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. Options are tables; a command takes several (its own, the spec's, the global
 * ones) and the first that knows a name wins. --name VALUE, --name=VALUE, -n VALUE, -nVALUE, and
 * flags joined as -itd are read; "--" ends the options.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/error.h>

struct ctl_option {
	const char *name;    /* long form without dashes; "": skipped; NULL ends a table */
	char letter;         /* short form, 0: none */
	const char *metavar; /* "": a flag */
	const char *help;
	bool repeats; /* each one counts; otherwise the last does */
};

struct arg {
	const struct ctl_option *option; /* borrowed from a table */
	const char *value;               /* borrowed from argv; NULL for a flag */
};

struct args {
	struct arg *items; /* owned, in the order given */
	size_t count;
	char **words; /* owned list of borrowed words that are no options */
	size_t word_count;
	bool ended; /* by "--" */
	const struct ctl_option
		*waiting; /* at the end of the line, for its value; borrowed, NULL */
};

/*
 * Reads argv[0..argc). words_end: the first word that is no option ends them. A wrong option is an
 * error with a "did you mean", told after all of the line was read: what was right in it is in
 * *args then, too. *ret_used (may be NULL) counts what was read before the words.
 */
int args_parse(struct args *args, int argc, char **argv, const struct ctl_option *const *tables,
	       bool words_end, int *ret_used, struct gantry_error *err);
void args_fini(struct args *args);

bool args_has(const struct args *args, const char *name);
/* The last value of the option, or the fallback. */
const char *args_text(const struct args *args, const char *name, const char *fallback);

#endif
