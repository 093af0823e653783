/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option tables: what an operator may say in gantry.lua.
 *
 * One row an option: its key, type, default, place in the settings struct and help. From the table
 * come the parser, the check of every key (an unknown one is an error with file, line and a
 * "did you mean"), and the help that `gantryd --options` prints. A table ends with a row whose key
 * is NULL.
 *
 * The settings struct is filled by the core before `open`; its strings and lists belong to the core
 * and live as long as the plugin does.
 */
#ifndef GANTRY_OPTION_H
#define GANTRY_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of strings; items is NULL when count is 0. */
struct gantry_strings {
	const char **items;
	size_t count;
};

/* A map from string to string, in the order given. */
struct gantry_pair {
	const char *name;
	const char *value;
};

struct gantry_pairs {
	struct gantry_pair *items;
	size_t count;
};

/* The type of an option and the C type of its place in the settings struct. */
enum gantry_option_type {
	GANTRY_OPTION_STRING, /* const char *, NULL when absent and without default */
	GANTRY_OPTION_BOOL,   /* bool */
	GANTRY_OPTION_INT,    /* int64_t, within minimum and maximum */
	GANTRY_OPTION_SIZE,   /* int64_t bytes: a number, or text as "64MiB", "1.5G" */
	GANTRY_OPTION_DURATION, /* int64_t milliseconds: text as "10s", "500ms", "2m"; a bare number is seconds */
	GANTRY_OPTION_STRINGS, /* struct gantry_strings */
	GANTRY_OPTION_PAIRS,   /* struct gantry_pairs */
	GANTRY_OPTION_DECIMAL, /* double above 0: a number, or text as "1.5"; 0 when absent. Since ABI 1.13 */
};

struct gantry_option {
	const char *key;
	enum gantry_option_type type;
	const char *fallback; /* the default as one would write it; NULL: none */
	size_t offset;        /* of the place in the settings struct */
	const char *help;     /* one line, without a final full stop */
	bool required;
	int64_t minimum, maximum; /* INT, SIZE, DURATION; both 0: no bound but >= 0 */
};

#endif
