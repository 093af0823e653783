/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua value as JSON, checked on the way. Internal to script/. */
#ifndef SCRIPT_VALUE_H
#define SCRIPT_VALUE_H

#include "script/sandbox.h"

/* At most so many values in one; a value as JSON takes some 200 bytes outside of the sandbox. */
#define VALUE_ANSWER_VALUES 20000
#define VALUE_SETTINGS_VALUES                                                                      \
	200000 /* 10,000 nodes with labels; read once, from a file of root's */

/*
 * Only plain data: true, false, finite numbers, texts without NUL, and tables of them that have no
 * metatable and are either lists or have text keys only (an empty one is a list). Entries of objects
 * come in the order of their keys. Reads raw and does not raise. -EINVAL with err->field the path
 * ("nodes.local.labels", "listen[1]"); `name` is the path of the value itself. The caller owns
 * *ret_value, never NULL on success.
 */
int value_to_json(lua_State *L, int index, const char *name, int values_max,
		  struct json_object **ret_value, struct gantry_error *err);

/* Pushes a JSON value as Lua's own tables and plain values; null is nil. Raises where memory is out. */
void value_push_json(lua_State *L, struct json_object *value);

/* The error as one text: "memory: must be …". Borrowed from the error or the buffer. */
const char *value_error_text(const struct gantry_error *err, char *text, size_t size);

#endif
