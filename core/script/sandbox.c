/* SPDX-License-Identifier: Apache-2.0 */
#include "script/sandbox.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/units.h"
#include "script/alarm.h"
#include "script/copies.h"
#include "script/exposed.h"
#include "script/facts.h"

#include <stdlib.h>
#include <time.h>

#define LARGE_BYTES 4096 /* blocks from this size on are charged */

int64_t sandbox_cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- the kill ------------------------------------------------------------------------------------ */

static void on_hook(lua_State *L, lua_Debug *ar);

/* The alarm may go off anywhere in here. */
static void set_hook(struct sandbox *sandbox, lua_State *L)
{
	sig_atomic_t uncounted;

	do {
		uncounted = sandbox->uncounted;
		lua_sethook(L, on_hook,
			    (uncounted ? 0 : LUA_MASKCOUNT) |
				    (sandbox->want_line ? LUA_MASKRET : 0),
			    sandbox->killed ? 1 : SANDBOX_INTERVAL);
	} while (uncounted != sandbox->uncounted);
}

/* Seen from inside a C function, a hook or the allocator too. */
int sandbox_line(lua_State *L)
{
	lua_Debug ar;

	for (int level = 0; level < 8 && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "l", &ar);
		if (ar.currentline > 0)
			return ar.currentline;
	}
	return 0;
}

static void kill_script(struct sandbox *sandbox, enum sandbox_kill why, const char *text)
{
	if (sandbox->killed)
		return;
	sandbox->killed = why;
	sandbox->killed_why = text;
	if (!sandbox->running) /* the state is not made yet */
		return;
	sandbox->killed_line = sandbox_line(sandbox->running);
	sandbox->uncounted = false;
	set_hook(sandbox, sandbox->running);
}

int sandbox_raise(lua_State *L)
{
	lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
	lua_pushlightuserdata(L, sandbox_of(L)); /* takes no memory */
	lua_error(L);
	abort();
}

/*
 * The budget is CPU time of this thread: on a machine under load others take time from us that the
 * script did not use, and a script has nothing to wait for. Wall time is cheap to read and never
 * less, so that it is looked at first.
 */
static void look_at_clock(struct sandbox *sandbox)
{
	int64_t now_us = clock_monotonic_us(), limit_us = sandbox->budget.time_ms * 1000;

	sandbox->unlooked = 0;
	if (sandbox->started_us == 0) {
		sandbox->started_us = now_us;
		sandbox->started_cpu_us = sandbox_cpu_us();
	} else if (now_us - sandbox->started_us >= limit_us &&
		   sandbox_cpu_us() - sandbox->started_cpu_us >= limit_us) {
		kill_script(sandbox, SANDBOX_TIME, NULL);
	}
}

static void charge(struct sandbox *sandbox, int64_t amount)
{
	sandbox->used_instructions += amount;
	sandbox->unlooked += amount;
	if (sandbox->used_instructions > sandbox->budget.instructions)
		kill_script(sandbox, SANDBOX_INSTRUCTIONS, NULL);
	else if (sandbox->unlooked >= SANDBOX_INTERVAL)
		look_at_clock(sandbox);
}

void sandbox_charge(lua_State *L, int64_t amount)
{
	struct sandbox *sandbox = sandbox_of(L);

	charge(sandbox, amount);
	if (sandbox->killed)
		sandbox_raise(L);
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
	struct sandbox *sandbox = sandbox_of(L);

	if (sandbox->killed)
		sandbox_raise(L);
	if (ar->event == LUA_HOOKCOUNT) {
		sandbox_charge(L, lua_gethookcount(L));
	} else {
		lua_getinfo(L, "l", ar);
		if (ar->currentline > 0)
			sandbox->line = ar->currentline;
	}
}

/* --- without the count ----------------------------------------------------------------------------- */

/* In a signal handler. */
static void on_alarm(void *context)
{
	struct sandbox *sandbox = context;

	if (!sandbox->uncounted)
		return;
	sandbox->uncounted = false;
	set_hook(sandbox, sandbox->running);
}

void sandbox_uncount(struct sandbox *sandbox)
{
	if (sandbox->killed || sandbox->budget.instructions < SANDBOX_UNCOUNTED)
		return;
	sandbox->uncounted = true;
	if (!alarm_set(SANDBOX_ALARM_US, on_alarm, sandbox))
		sandbox->uncounted = false;
	set_hook(sandbox, sandbox->L);
}

void sandbox_count(struct sandbox *sandbox)
{
	if (!sandbox->uncounted)
		return;
	alarm_mute();
	sandbox->uncounted = false;
	set_hook(sandbox, sandbox->L);
}

void sandbox_switch(struct sandbox *sandbox, lua_State *L)
{
	sandbox->running = L;
	if (!sandbox->uncounted && !(lua_gethookmask(L) & LUA_MASKCOUNT))
		set_hook(sandbox, L);
}

/* --- memory ---------------------------------------------------------------------------------------- */

static bool may_grow(struct sandbox *sandbox, bool string, size_t size, size_t growth)
{
	int64_t budget = sandbox->budget.memory_bytes;
	int64_t string_limit =
		budget / 4 < SANDBOX_STRING_BYTES ? budget / 4 : SANDBOX_STRING_BYTES;

	if (string && (int64_t)size > string_limit + 64) {
		kill_script(sandbox, SANDBOX_MEMORY, "a string was too long");
		return false;
	}
	if ((int64_t)size > budget / 4) {
		kill_script(sandbox, SANDBOX_MEMORY, "a table, a text or the stack grew too large");
		return false;
	}
	if (sandbox->used_bytes + (int64_t)growth > budget) {
		if (sandbox->out_of_memory || sandbox->killed) /* Lua has collected in between */
			kill_script(sandbox, SANDBOX_MEMORY, NULL);
		else /* a collection is much work for one that allocates: it counts as such */
			charge(sandbox, budget / 64);
		sandbox->out_of_memory = true;
		return false;
	}
	if (size >= LARGE_BYTES) {
		charge(sandbox, (int64_t)size / 16);
	}
	return true;
}

/* For a new object, Lua gives its type as old_size. */
static void *allocate(void *arg, void *memory, size_t old_size, size_t size)
{
	struct sandbox *sandbox = arg;
	bool string = !memory && old_size == LUA_TSTRING;
	size_t had = memory ? old_size : 0;

	if (size == 0) {
		sandbox->used_bytes -= (int64_t)had;
		free(memory);
		return NULL;
	}
	if (size > had && !may_grow(sandbox, string, size, size - had))
		return NULL;
	memory = realloc(memory, size);
	if (memory) {
		sandbox->used_bytes += (int64_t)size - (int64_t)had;
		sandbox->out_of_memory = false;
	}
	return memory;
}

/* --- running --------------------------------------------------------------------------------------- */

static void set_kill_error(struct sandbox *sandbox)
{
	char memory[32];

	sandbox->error_line = sandbox->killed_line;
	switch (sandbox->killed) {
	case SANDBOX_ALIVE:
		break;
	case SANDBOX_INSTRUCTIONS:
		snprintf(sandbox->error, sizeof(sandbox->error),
			 "over its budget of %lld instructions",
			 (long long)sandbox->budget.instructions);
		break;
	case SANDBOX_TIME:
		snprintf(sandbox->error, sizeof(sandbox->error), "over its budget of %lld ms",
			 (long long)sandbox->budget.time_ms);
		break;
	case SANDBOX_MEMORY:
		units_format_size(sandbox->budget.memory_bytes, memory, sizeof(memory));
		snprintf(sandbox->error, sizeof(sandbox->error), "over its budget of %s memory%s%s",
			 memory, sandbox->killed_why ? ": " : "",
			 sandbox->killed_why ? sandbox->killed_why : "");
		break;
	}
}

/* "file.lua:12: text" becomes "text" and 12. */
static void set_error_text(struct sandbox *sandbox, const char *text, size_t length)
{
	size_t name = strlen(sandbox->name);

	if (length > name + 1 && memcmp(text, sandbox->name, name) == 0 && text[name] == ':') {
		char *end;
		long line = strtol(text + name + 1, &end, 10);

		if (line > 0 && end[0] == ':' && end[1] == ' ') {
			sandbox->error_line = (int)line;
			text = end + 2;
		}
	}
	snprintf(sandbox->error, sizeof(sandbox->error), "%s", text);
}

void sandbox_keep_error(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	size_t length;
	const char *text;

	sandbox->error_line = sandbox_line(L);
	if (sandbox->error_line == 0)
		sandbox->error_line = sandbox->line;
	if (lua_type(L, -1) == LUA_TSTRING) {
		text = lua_tolstring(L, -1, &length);
		set_error_text(sandbox, text, length);
	} else {
		snprintf(sandbox->error, sizeof(sandbox->error),
			 "the error that was raised is no text, but a %s value",
			 luaL_typename(L, -1));
	}
}

/* The handler of errors: runs where the error is, so that the line is still known. */
static int on_error(lua_State *L)
{
	if (!sandbox_of(L)->killed)
		sandbox_keep_error(L);
	return 1;
}

int sandbox_run(struct sandbox *sandbox, lua_CFunction body, void *context, bool batch)
{
	lua_State *L = sandbox->L;
	int status;

	sandbox_next(sandbox);
	sandbox->killed = SANDBOX_ALIVE;
	sandbox->killed_line = sandbox->error_line = 0;
	sandbox->out_of_memory = false;
	sandbox->running = L;
	sandbox->error[0] = '\0';
	if (!batch) {
		sandbox->started_us = 0;
		sandbox->unlooked = SANDBOX_INTERVAL; /* the first charge starts the clock */
		sandbox->print_count = 0;
	}
	lua_settop(L, 0);
	lua_pushcfunction(L, on_error);
	lua_pushcfunction(L, body);
	lua_pushlightuserdata(L, context);
	status = lua_pcall(L, 1, 0, 1);
	sandbox_switch(sandbox, L);
	sandbox_count(sandbox);
	lua_settop(L, 0);
	sandbox->close_depth = 0;
	if (sandbox->killed) {
		set_kill_error(sandbox);
		sandbox->want_line = false;
		lua_sethook(L, on_hook, LUA_MASKCOUNT, SANDBOX_INTERVAL);
		return -1;
	}
	if (status == LUA_OK)
		return 0;
	if (sandbox->error[0] == '\0')
		snprintf(sandbox->error, sizeof(sandbox->error), "%s",
			 status == LUA_ERRMEM ? "out of memory" : "an error in handling an error");
	return -1;
}

void sandbox_want_line(struct sandbox *sandbox, bool want)
{
	if (sandbox->want_line == want)
		return;
	sandbox->want_line = want;
	set_hook(sandbox, sandbox->L);
}

void sandbox_compile(lua_State *L, const char *source, size_t length, const char *chunk)
{
	if (length > 0 && source[0] == '\x1b')
		luaL_error(L, "%s is compiled Lua; only text is taken", sandbox_of(L)->name);
	sandbox_charge(L, (int64_t)length / 4);
	if (luaL_loadbufferx(L, source, length, chunk, "t") != LUA_OK)
		lua_error(L);
}

/* --- life ------------------------------------------------------------------------------------------ */

static int set_up(lua_State *L)
{
	lua_settop(L, 0);
	exposed_install(L);
	facts_install(L);
	copies_install(L);
	return 0;
}

struct sandbox *sandbox_new(const char *name, const struct script_budget *budget)
{
	struct sandbox *sandbox = xcalloc(1, sizeof(*sandbox));

	sandbox->name = name;
	sandbox->budget = *budget;
	sandbox->epoch = 1;
	sandbox->L = sandbox->running = lua_newstate(allocate, sandbox);
	if (!sandbox->L) {
		free(sandbox);
		return NULL;
	}
	*(struct sandbox **)lua_getextraspace(sandbox->L) = sandbox;
	set_hook(sandbox, sandbox->L);
	sandbox->budget.time_ms = INT32_MAX; /* no script runs yet: only memory may be short */
	if (sandbox_run(sandbox, set_up, NULL, false) < 0) {
		sandbox_free(sandbox);
		return NULL;
	}
	sandbox->budget = *budget;
	return sandbox;
}

void sandbox_free(struct sandbox *sandbox)
{
	if (!sandbox)
		return;
	lua_close(sandbox->L);
	str_fini(&sandbox->scratch);
	free(sandbox->kept_stamps);
	free(sandbox);
}
