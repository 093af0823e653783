/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the event hook may call: waits, and looks at the fleet.
 *
 * A wait writes down what is waited for and yields the hook's coroutine to event.c. That works only where
 * nothing but Lua and protected calls is between the hook and the wait; all else is an error in
 * words, since a yield that goes elsewhere would be a wait that never was.
 */
#include "script/copies.h"
#include "script/event_call.h"
#include "script/exposed.h"
#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <strings.h>

#define SLEEP_S_MAX         86400
#define URL_BYTES_MAX       2048
#define HEADERS_BYTES_MAX   4096
#define INSTANCES_LIMIT     100
#define INSTANCES_LIMIT_MAX 1000

static struct event_call *check_event(lua_State *L, const char *name)
{
	struct event_call *call = sandbox_of(L)->event;

	if (!call)
		luaL_error(L,
			   "gantry.%s is for the hook \"event\" only: the other hooks answer a "
			   "request that waits for them",
			   name);
	return call;
}

static struct event_call *check_wait(lua_State *L, const char *name)
{
	struct event_call *call = check_event(L, name);

	if (call->ending)
		luaL_error(L, "gantry.%s cannot wait any more: the run of the hook has ended",
			   name);
	if (L != call->thread)
		luaL_error(
			L,
			"gantry.%s cannot wait in a coroutine that the script made; call it from "
			"the event hook itself",
			name);
	if (!lua_isyieldable(L))
		luaL_error(L,
			   "gantry.%s cannot wait inside a function that was called by a library "
			   "function, as by table.sort, string.gsub or tostring; call it from the "
			   "event hook itself",
			   name);
	if (call->waits >= SCRIPT_RUN_WAITS_MAX)
		luaL_error(L, "gantry.%s: one run of an event hook may wait %d times", name,
			   SCRIPT_RUN_WAITS_MAX);
	sandbox_charge(L, 50);
	return call;
}

static int wait(lua_State *L, struct event_call *call, const struct script_wait *what)
{
	call->wait = *what;
	call->waits++;
	return lua_yield(L, 0); /* what is on the stack stays there until the run goes on */
}

int event_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)check_event(L, "now")->now_ms / 1000);
	return 1;
}

int event_sleep(lua_State *L)
{
	struct event_call *call = check_wait(L, "sleep");
	lua_Number seconds = luaL_checknumber(L, 1);

	luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_S_MAX, 1, "seconds from 0 to 86400");
	return wait(L, call,
		    &(struct script_wait){.what = SCRIPT_WAIT_TIME,
					  .time_ms = (int64_t)ceil(seconds * 1000)});
}

/* --- HTTP ------------------------------------------------------------------------------------------ */

/* The table at index 1 has no other keys than these. */
static void check_keys(lua_State *L, const char *name, const char *const *keys)
{
	const char *near;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";

		if (str_find(key, keys))
			continue;
		near = strlen(key) <= 64 ? str_nearest(key, keys) : NULL;
		luaL_error(L,
			   near ? "gantry.%s: there is no \"%s\"; did you mean \"%s\"?"
				: "gantry.%s: its argument has a key that is none of its own",
			   name, key, near);
	}
}

/* A text of the table at index 1, left on the stack; NULL where it has none. */
static const char *read_text(lua_State *L, const char *name, const char *key, size_t limit,
			     size_t *ret_length)
{
	const char *text;

	lua_pushstring(L, key);
	if (lua_rawget(L, 1) == LUA_TNIL)
		return NULL;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "gantry.%s: %s must be text, not a %s value", name, key,
			   luaL_typename(L, -1));
	text = lua_tolstring(L, -1, ret_length);
	if (*ret_length > limit)
		luaL_error(L, "gantry.%s: %s has over %d bytes", name, key, (int)limit);
	return text;
}

static lua_Number read_number(lua_State *L, const char *name, const char *key, lua_Number fallback,
			      lua_Number least, lua_Number most)
{
	lua_Number number = fallback;

	lua_pushstring(L, key);
	if (lua_rawget(L, 1) != LUA_TNIL)
		number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
	if (!(number >= least && number <= most))
		luaL_error(L, "gantry.%s: %s must be a number from %d to %d", name, key, (int)least,
			   (int)most);
	lua_pop(L, 1);
	return number;
}

static const char *read_method(lua_State *L, bool has_body)
{
	static const char *const methods[] = {"GET",   "HEAD",   "POST", "PUT",
					      "PATCH", "DELETE", NULL};
	const char *method, *known;
	size_t length;

	method = read_text(L, "http", "method", 16, &length);
	if (!method)
		return has_body ? "POST" : "GET";
	known = str_find(method, methods);
	if (!known)
		luaL_error(L,
			   "gantry.http: method must be GET, HEAD, POST, PUT, PATCH or DELETE, "
			   "not \"%s\"",
			   method);
	return known;
}

/* What says where a message ends or how a connection is used is not the script's to say. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {"Host",
					   "Content-Length",
					   "Transfer-Encoding",
					   "Connection",
					   "Keep-Alive",
					   "Upgrade",
					   "Expect",
					   "TE",
					   "Trailer",
					   NULL};

	for (const char *const *header = ours; *header; header++)
		if (strcasecmp(name, *header) == 0)
			return true;
	return strncasecmp(name, "Proxy-", 6) == 0;
}

static bool is_header_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_", name[i]))
			return false;
	return length > 0 && length <= 64;
}

static bool is_header_value(const char *value, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return false;
	return length > 0; /* an empty one means "leave it out" to the client */
}

/* The header whose name and value are on top. */
static void add_header(lua_State *L, char *lines, size_t *used, struct script_wait *wait)
{
	size_t name_length = 0, value_length = 0;
	const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &name_length) : "";
	const char *value =
		lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &value_length) : "";

	if (!is_header_name(name, name_length))
		luaL_error(L, "gantry.http: a header's name has letters, digits, \"-\" and \"_\" "
			      "only, at most 64");
	if (is_ours(name))
		luaL_error(L, "gantry.http: header %s is set by gantryd", name);
	if (!is_header_value(value, value_length))
		luaL_error(L, "gantry.http: header %s must be text without control characters",
			   name);
	if (*used + name_length + value_length + 4 > HEADERS_BYTES_MAX)
		luaL_error(L, "gantry.http: headers have over %d bytes", HEADERS_BYTES_MAX);
	if (strcasecmp(name, "Content-Type") == 0)
		wait->content_type = value; /* anchored in the table, which stays on the stack */
	else
		*used += (size_t)sprintf(lines + *used, "%s%s: %s", *used ? "\n" : "", name, value);
}

static void read_headers(lua_State *L, struct script_wait *wait)
{
	char lines[HEADERS_BYTES_MAX];
	size_t used = 0;

	lua_pushliteral(L, "headers");
	if (lua_rawget(L, 1) == LUA_TNIL)
		return;
	if (lua_type(L, -1) != LUA_TTABLE)
		luaL_error(L, "gantry.http: headers must be a table from name to text");
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		add_header(L, lines, &used, wait);
	if (used > 0)
		wait->headers = lua_pushlstring(L, lines, used);
}

int event_http(lua_State *L)
{
	static const char *const keys[] = {"method", "url", "headers", "body", "timeout", NULL};
	struct event_call *call = check_wait(L, "http");
	struct script_wait what = {.what = SCRIPT_WAIT_HTTP};
	size_t length;

	check_keys(L, "http", keys);
	luaL_checkstack(L, 20, "gantry.http");
	what.url = read_text(L, "http", "url", URL_BYTES_MAX, &length);
	if (!what.url || strlen(what.url) != length)
		return luaL_error(L, "gantry.http: url is required");
	what.body = read_text(L, "http", "body", SCRIPT_HTTP_BODY_BYTES, &what.body_length);
	what.method = read_method(L, what.body != NULL);
	if (what.body && (str_equal(what.method, "GET") || str_equal(what.method, "HEAD")))
		return luaL_error(L, "gantry.http: %s has no body", what.method);
	read_headers(L, &what);
	what.time_ms =
		(int64_t)(1000 * read_number(L, "http", "timeout", SCRIPT_HTTP_TIMEOUT_MS / 1000.0,
					     0, SCRIPT_HTTP_TIMEOUT_MAX / 1000.0));
	if (what.time_ms == 0)
		what.time_ms = 1;
	return wait(L, call, &what);
}

/* --- the fleet ------------------------------------------------------------------------------------- */

int event_instance(lua_State *L)
{
	struct event_call *call = check_event(L, "instance");
	size_t length;
	const char *word = luaL_checklstring(L, 1, &length), *project = luaL_optstring(L, 2, NULL);
	struct instance *instance;
	struct gantry_error err;

	sandbox_charge(L, 50 + (int64_t)length / 16);
	if (fleet_resolve(call->fleet, word, project, &instance, &err) == 0) {
		copies_push(L, FACT_INSTANCE, instance);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, err.text);
	return 2;
}

/* What gantry.instances was asked for. Texts are Lua's. */
struct wanted {
	const char *project, *node, *state; /* NULL: any */
	const char *label, *value;          /* NULL: any */
	size_t label_length;
};

static bool has_label(const struct instance *instance, const struct wanted *wanted)
{
	const struct gantry_pairs *labels = &instance->spec.labels;

	for (size_t i = 0; i < labels->count; i++)
		if (strlen(labels->items[i].name) == wanted->label_length &&
		    memcmp(labels->items[i].name, wanted->label, wanted->label_length) == 0)
			return !wanted->value || str_equal(labels->items[i].value, wanted->value);
	return false;
}

static bool fits(const struct instance *instance, const struct wanted *wanted)
{
	if (wanted->project && !str_equal(instance->spec.project, wanted->project))
		return false;
	if (wanted->node && !str_equal(instance->node, wanted->node))
		return false;
	if (wanted->state && !str_equal(instance_state_text(instance->state), wanted->state))
		return false;
	return !wanted->label || has_label(instance, wanted);
}

static void read_wanted(lua_State *L, struct wanted *ret_wanted)
{
	struct wanted *wanted = ret_wanted;
	enum instance_state state;
	size_t length;

	wanted->project = read_text(L, "instances", "project", 256, &length);
	wanted->node = read_text(L, "instances", "node", 256, &length);
	wanted->state = read_text(L, "instances", "state", 32, &length);
	if (wanted->state && instance_state_parse(wanted->state, &state) < 0)
		luaL_error(L, "gantry.instances: there is no state \"%s\"", wanted->state);
	wanted->label = read_text(L, "instances", "label", 1024, &length);
	if (!wanted->label)
		return;
	wanted->label_length = strcspn(wanted->label, "=");
	if (wanted->label[wanted->label_length] == '=')
		wanted->value = wanted->label + wanted->label_length + 1;
}

int event_instances(lua_State *L)
{
	static const char *const keys[] = {"project", "node", "state", "label", "limit", NULL};
	struct event_call *call = check_event(L, "instances");
	struct wanted wanted = {0};
	lua_Integer limit, count = 0;

	if (lua_isnone(L, 1))
		lua_newtable(L);
	check_keys(L, "instances", keys);
	luaL_checkstack(L, 20, "gantry.instances");
	limit = (lua_Integer)read_number(L, "instances", "limit", INSTANCES_LIMIT, 0,
					 INSTANCES_LIMIT_MAX);
	read_wanted(L, &wanted);
	lua_newtable(L);
	LIST_FOREACH (node, &call->fleet->instances) {
		const struct instance *instance = LIST_ENTRY(node, struct instance, link);

		sandbox_charge(L, 1 + (int64_t)instance->spec.labels.count / 8);
		if (!fits(instance, &wanted) || ++count > limit)
			continue;
		copies_push(L, FACT_INSTANCE, instance);
		lua_rawseti(L, -2, count);
	}
	lua_pushinteger(L, count);
	return 2;
}
