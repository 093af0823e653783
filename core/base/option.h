/* SPDX-License-Identifier: Apache-2.0 */
/* Applies an option table (gantry/option.h) to values that were read from gantry.lua. */
#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include <gantry/error.h>
#include <gantry/option.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/roff.h"

/*
 * Fills the struct at settings (zeroed by the caller) from values, a JSON object or NULL for none.
 * Strings and lists are copied into the arena. `where` is put in front of the key in err->field
 * ("nodes.local" gives "nodes.local.endpoint"), so that the caller can find file and line.
 */
int option_apply(const struct gantry_option *table, struct json_object *values, const char *where,
		 struct arena *arena, void *settings, struct gantry_error *err);

/* Prints the table under its title: for a terminal where page is NULL, else as a part of a section. */
void option_print(struct roff *page, const char *title, const struct gantry_option *options);

#endif
