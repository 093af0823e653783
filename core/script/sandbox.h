/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox: one Lua state with a budget that no script can swallow. Internal to script/.
 *
 * What holds a script:
 *   - instructions  a count hook fires every SANDBOX_INTERVAL instructions; C functions charge for
 *                   what they do, the allocator for large blocks;
 *   - time          looked at whenever something is charged;
 *   - memory        the allocator's own count, with a limit for one string and one block too.
 *
 * The count hook costs a call of C for each instruction, a third of the time of a short hook. Where a
 * thousand short hooks are called in one body, it may run *uncounted* (sandbox_uncount): without the
 * hook, under an alarm that sets it. Lua allows lua_sethook in a signal handler; `running` tells which
 * thread it is for, and who switches threads sets the hook where the alarm found another one
 * (sandbox_switch). So no script is without the hook for longer than the alarm. What ran before it is
 * not counted, and so cannot decide: a call that may have gone over its budget is made once more, with
 * the count (sandbox_doubts). A replay decides alike.
 *
 * Over budget the sandbox is *killed*: from then on the hook fires at every instruction and raises,
 * and pcall, xpcall, coroutine.resume, wrap and close (all ours, lib_base.c) raise on instead of
 * returning. Nothing of the script runs any more and sandbox_run returns. What makes that whole:
 *   - Lua runs an error handler given to xpcall, inside a hook that raised, with hooks off; so the
 *     handler that Lua sees is ours and does not call the script's once killed.
 *   - Lua runs pending __close of a coroutine that died in a hook with hooks off; so a coroutine
 *     that was killed is never closed, only collected.
 *   - finalizers run with hooks off: __gc is refused. Ephemeron tables cost the collector time that
 *     grows with the square of their size: __mode is refused. Both are read by Lua long after
 *     setmetatable, so that setmetatable gives Lua a copy.
 *
 * The stock C functions that are left are bounded by the length of their arguments, and so by the
 * limit of one string; exposed.c lists every one.
 */
#ifndef SCRIPT_SANDBOX_H
#define SCRIPT_SANDBOX_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>

#include "base/arena.h"
#include "base/str.h"
#include "script/script.h"

#define SANDBOX_INTERVAL     200         /* instructions between two looks */
#define SANDBOX_ALARM_US     500         /* without the hook at the most … */
#define SANDBOX_UNCOUNTED    900000      /* … and more than can run in this time */
#define SANDBOX_STRING_BYTES (256 << 10) /* one string; a smaller budget of memory makes it less */
#define SANDBOX_SOURCE_BYTES (256 << 10) /* one file */
#define SANDBOX_PRINT_LINES  20          /* of print, in one call */

enum sandbox_kill { SANDBOX_ALIVE, SANDBOX_INSTRUCTIONS, SANDBOX_TIME, SANDBOX_MEMORY };

#define SANDBOX_FUNCTIONS_MAX 160
#define SANDBOX_KEYS          512
#define SANDBOX_ROOTS         8

struct sandbox_key { /* a field of a fact, found by the address of its interned name */
	const void *name;
	int row;
	int kind;
};

struct sandbox {
	lua_State *L; /* owned: the main thread */
	lua_State
		*volatile running; /* the thread that runs: L or a coroutine; the alarm reads it */
	const char *name;          /* borrowed: for print and messages */
	struct script_budget budget;

	int64_t used_bytes;
	int64_t used_instructions; /* of this call */
	int64_t unlooked;          /* charged since the clock was looked at */
	int64_t started_us;        /* of this call or batch of calls, 0: not looked at yet */
	int64_t started_cpu_us;
	bool out_of_memory; /* an allocation failed; Lua collects and tries once more */
	enum sandbox_kill killed;
	const char *killed_why; /* static text for a block or string that was too large; NULL */
	int killed_line;

	volatile sig_atomic_t uncounted; /* no count hook is set; the alarm ends that */
	bool was_uncounted;              /* when this call began */

	bool want_line; /* keep the line of the last return */
	int line;       /* of the last return of a Lua function, 0 */
	char error[512];
	int error_line;

	bool locked; /* globals cannot be set any more */
	int close_depth, print_count;
	uint64_t random;
	uint64_t epoch; /* facts of an older one are dead */
	struct event_call
		*event;     /* borrowed while a run of an event hook is in Lua, see event_call.h */
	struct str scratch; /* what must not be lost where Lua raises */

	lua_CFunction functions[SANDBOX_FUNCTIONS_MAX]; /* by row of exposed[] */
	struct sandbox_key keys[SANDBOX_KEYS];
	int fact_metatable; /* a reference in the registry */

	uint64_t *kept_stamps; /* owned, of kept.c: by node, 0: none is kept */
	uint64_t kept_epoch;   /* facts of a placement are ready for it */
	size_t kept_count;     /* nodes of that placement, 0: it has ended */
	bool kept_never;       /* the script has where to hold a fact */

	int roots
		[SANDBOX_ROOTS]; /* the script's functions that are called: references in the registry */
	int roots_count;
};

/* A state with the library of exposed.c in it. name is borrowed. NULL where memory is below need. */
struct sandbox *sandbox_new(const char *name, const struct script_budget *budget);
void sandbox_free(struct sandbox *sandbox);

static inline struct sandbox *sandbox_of(lua_State *L)
{
	return *(struct sandbox **)lua_getextraspace(L);
}

/*
 * Calls body(L) with lua_touserdata(L, 1) == context, protected; it leaves nothing on the stack. 0,
 * or -1 with sandbox->error and error_line. A batch goes on with the time of the run before
 * (instructions start anew with each run, and with sandbox_next inside one).
 */
int sandbox_run(struct sandbox *sandbox, lua_CFunction body, void *context, bool batch);

/* Before each of several calls in one body: a fresh count of instructions. */
static inline void sandbox_next(struct sandbox *sandbox)
{
	sandbox->used_instructions = 0;
	sandbox->was_uncounted = sandbox->uncounted;
	sandbox->line = 0;
}

/* Keeps the error on top of a coroutine that died of it, with its line, in error and error_line. */
void sandbox_keep_error(lua_State *co);
/* The line of the file that runs, or where a coroutine waits; 0 unknown. */
int sandbox_line(lua_State *L);
/* CPU time of this thread. */
int64_t sandbox_cpu_us(void);

/* In a body, before a call: no count for it and the calls behind it, until the alarm or the end. */
void sandbox_uncount(struct sandbox *sandbox);
void sandbox_count(struct sandbox *sandbox);
/* Whether the call before may have used more than its budget without being counted. */
static inline bool sandbox_doubts(const struct sandbox *sandbox)
{
	return sandbox->was_uncounted &&
	       sandbox->used_instructions + SANDBOX_UNCOUNTED > sandbox->budget.instructions;
}

/* L goes on: a coroutine that is resumed, or who resumed it. */
void sandbox_switch(struct sandbox *sandbox, lua_State *L);

/* Turns the record of return lines on or off. */
void sandbox_want_line(struct sandbox *sandbox, bool want);

/* Compiles text (no bytecode) and leaves the function on the stack; raises on failure. */
void sandbox_compile(lua_State *L, const char *source, size_t length, const char *chunk);

/* Globals and library are read-only from here on. */
void sandbox_lock(lua_State *L);

/* Counts work done in C as if it were instructions; raises where the budget is used up. */
void sandbox_charge(lua_State *L, int64_t amount);
/* Raises the kill. */
int sandbox_raise(lua_State *L) __attribute__((noreturn));

/* Ends the life of all facts that were handed out. */
static inline void sandbox_forget(struct sandbox *sandbox)
{
	sandbox->epoch++;
}

#endif
