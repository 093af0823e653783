/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua file in memory. Internal to script/. */
#ifndef SCRIPT_SOURCE_H
#define SCRIPT_SOURCE_H

#include <gantry/error.h>

#include <stddef.h>

struct source {
	char *name; /* owned: base name of the file */
	char *text; /* owned */
	size_t length;
};

/* Reads a regular file of at most SANDBOX_SOURCE_BYTES. */
int source_read(const char *path, struct source *ret_source, struct gantry_error *err);
void source_copy(const struct source *source, struct source *ret_source);
void source_fini(struct source *source);

#endif
