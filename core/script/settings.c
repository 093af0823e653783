/* SPDX-License-Identifier: Apache-2.0 */
/* gantry.lua: runs in a sandbox of its own; the globals that it sets are the settings. */
#include "base/str.h"
#include "script/lines.h"
#include "script/source.h"
#include "script/value.h"

#include <stdlib.h>

struct reading {
	const struct source *source;
	struct json_object *values; /* owned */
	struct gantry_error err;
};

static int run_file(lua_State *L)
{
	struct reading *reading = lua_touserdata(L, 1);
	char chunk[256];

	snprintf(chunk, sizeof(chunk), "@%s", reading->source->name);
	sandbox_compile(L, reading->source->text, reading->source->length, chunk);
	lua_call(L, 0, 0);
	return 0;
}

/* No script runs any more: reading what it left behind raises nothing. */
static int take_globals(lua_State *L)
{
	struct reading *reading = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_pushnil(L);
	lua_setmetatable(L, -2);
	if (value_to_json(L, -1, "", VALUE_SETTINGS_VALUES, &reading->values, &reading->err) < 0)
		return luaL_error(L, "a setting is wrong");
	return 0;
}

int script_settings_read(const char *path, struct json_object **ret_values,
			 struct script_lines **ret_lines, struct gantry_error *err)
{
	/* read once and before anything runs: a loop over thousands of nodes is no fault, on a busy host either */
	const struct script_budget budget = {
		.instructions = 5000000, .time_ms = 5000, .memory_bytes = 64 << 20};
	struct script_lines *lines = NULL;
	struct sandbox *sandbox = NULL;
	struct source source;
	struct reading reading = {.source = &source};
	int line, code = source_read(path, &source, err);

	if (code < 0)
		return code;
	sandbox = sandbox_new(source.name, &budget);
	if (!sandbox) {
		code = gantry_error_set(err, -ENOMEM, "%s: out of memory", path);
		goto out;
	}
	if (sandbox_run(sandbox, run_file, &reading, false) < 0) {
		line = sandbox->error_line;
		if (line)
			code = gantry_error_set(err, -EINVAL, "%s:%d: %s", path, line,
						sandbox->error);
		else
			code = gantry_error_set(err, -EINVAL, "%s: %s", path, sandbox->error);
		goto out;
	}
	lines = lines_scan(source.text, source.length);
	if (sandbox_run(sandbox, take_globals, &reading, false) < 0) {
		line = script_lines_find(lines, reading.err.field);
		if (line)
			code = gantry_error_set(err, -EINVAL, "%s:%d: %s: %s", path, line,
						reading.err.field, reading.err.text);
		else
			code = gantry_error_set(err, -EINVAL, "%s: %s: %s", path, reading.err.field,
						reading.err.text);
		script_lines_free(lines);
		goto out;
	}
	if (json_object_is_type(reading.values, json_type_array)) { /* not one setting */
		json_object_put(reading.values);
		reading.values = json_object_new_object();
	}
	*ret_values = reading.values;
	*ret_lines = lines;
out:
	sandbox_free(sandbox);
	source_fini(&source);
	return code;
}
