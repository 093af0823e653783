/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua host: operators' policies, asked by flows.
 *
 * A set is all policy files of a folder, compiled at one time, each file in a Lua state of its own.
 * Files run in name order. A file returns a table:
 *
 *	return {
 *	  name = "defaults",                    -- default: the file's name without ".lua"
 *	  mode = "enforce",                     -- or "shadow": asked and recorded, without effect
 *	  on_error = "skip",                    -- or "deny"; unless named, admit and filter deny
 *	  admit = function(req) return true end -- or false, "why"
 *	  environment = function(req, env) … end, resources = function(req, res) … end,
 *	  filter = function(req, node) … end, score = function(req, node) … end,
 *	  restart = function(instance, exit) … end,   -- seconds, false or "fail"; and a reason
 *	  event = function(ev) … end,                 -- may wait: see event.h
 *	  log = function(line) … end,                 -- see log_hook.h
 *	  tests = { { hook = "admit", request = { … }, expect = true }, … }, -- see selftest.h
 *	}
 *
 * A hook that returns nil has no opinion. Every call is protected, within a budget of instructions,
 * time and memory that no script can swallow; what a script may call is one table with a bound for
 * each function (exposed.c). Facts are read-only userdata over the C structs; what a hook answers
 * is checked field by field here, and a wrong answer is an error of the policy: nothing of it is
 * taken. A policy that went over its budget is run anew from its source at the end of that call, under
 * the same budget: such a call takes the budget, and what loading the file takes on top.
 *
 * All calls are from the loop's thread, not from inside another script call, and return within the
 * budget. Nothing here does I/O but script_set_load and script_settings_read.
 */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include <gantry/error.h>
#include <gantry/spec.h>

#include "base/arena.h"
#include "base/json.h"
#include "model/fleet.h"

struct script_set;

struct script_budget {
	int64_t instructions; /* of one hook call */
	int64_t time_ms;      /* CPU time; filter and score have it for all nodes together */
	int64_t memory_bytes; /* of one policy's state */
};
#define SCRIPT_BUDGET_DEFAULT ((struct script_budget){1000000, 50, 8 << 20})

/*
 * Compiles and runs every *.lua of the folder. A file that does not compile, runs over its budget,
 * returns no such table, has an unknown key or fails a test of its own fails the whole load, with file
 * and line in the error.
 * A folder that does not exist is an error; an empty one is an empty set. A path to one file is a set
 * of that file, to check it alone.
 */
int script_set_load(const char *folder, const struct script_budget *budget,
		    struct script_set **ret_set, struct gantry_error *err);
void script_set_free(struct script_set *set);
/* A short hash over names and contents of the files: the revision. Borrowed. */
const char *script_set_revision(const struct script_set *set);
/* [{name, file, mode, on_error, hooks: […], tests: 2}] for `policy status`. */
struct json_object *script_set_print(const struct script_set *set);

/* A recording that somebody wants to read. */
struct script_recording {
	const char *id, *instance, *name, *project; /* instance: its id; it may be gone */
	const char *verb, *actor; /* by which it came about: "attach", "exec", and whose */
};

/* What a hook is told. Everything borrowed. */
struct script_request {
	const char *verb;    /* "spawn", "resize", "kill", … */
	const char *actor;   /* "uid:0", "cn:nova-compute" */
	const char *user;    /* on whose behalf a trusted actor asks; NULL: nobody was named */
	const char *via;     /* how one comes: "api", "serial", "browser" */
	const char *project; /* never NULL */
	const struct gantry_spec *spec;
	const struct instance *instance;          /* NULL for a spawn */
	const struct gantry_exec *exec;           /* what is to be run in it, NULL: it is no exec */
	const struct script_recording *recording; /* that is to be read; NULL: none */
	struct gantry_strings unsafe;             /* see spec_unsafe */
	struct fleet_usage usage;                 /* of the project, without this instance */
	int64_t now_ms;                           /* the clock that the script sees */
	uint64_t seed;                            /* of the random numbers that the script sees */
};

/* One answer of one hook of one policy. */
struct script_record {
	const char *policy, *hook;
	const char *outcome; /* "allow", "deny", "set", "score", "none", "error" */
	const char *answer;  /* JSON text of what was answered, NULL for none */
	const char *before;  /* JSON text of what was there before it was set, NULL: nothing */
	const char *reason;  /* of the author's, or the error's text; NULL */
	const char *subject; /* the field or the node it is about; NULL */
	const char *file;    /* base name */
	int line;            /* where the answer came from: the return or the error; 0 unknown */
	bool shadow;
	bool conflict; /* it changed a value that another policy had set */
	int64_t took_us;
};

/* Whether a console is recorded. */
enum script_recorded { SCRIPT_UNRECORDED, SCRIPT_RECORD_OUTPUT, SCRIPT_RECORD_INPUT };

/* A decision: all that was asked and answered for one request. It grows over the hooks. */
struct script_decision {
	int64_t id; /* given by the caller */
	struct arena arena;
	const char *verb, *actor, *user, *project, *instance; /* in the arena */
	int64_t at_ms;
	char revision[20];
	uint64_t seed;
	bool allowed;
	enum script_recorded record; /* as `admit` answered for attach and exec */
	const char *reason;          /* why not, with policy, file and line; NULL */
	const char *node;            /* chosen, NULL */
	struct script_record *records;
	size_t count, capacity;
};

void script_decision_init(struct script_decision *decision, const struct script_set *set,
			  const struct script_request *request, int64_t id);
void script_decision_fini(struct script_decision *decision);
/* The whole decision as JSON; secrets as keyed hashes only. */
struct json_object *script_decision_print(const struct script_decision *decision);

/* Each returns 0, or -EACCES with decision id, reason, policy, file and line in the error. */
int script_admit(struct script_set *set, const struct script_request *request,
		 struct script_decision *decision, struct gantry_error *err);

/* Labels of this prefix tell where a value of the request is from: "origin.command=flavor". */
#define SCRIPT_ORIGIN "origin."

/*
 * Asks `environment`; sets and drops variables of spec->environment (memory from the arena). The
 * decision has the labels of origin too, as records of gantry's.
 */
int script_environment(struct script_set *set, const struct script_request *request,
		       struct arena *arena, struct gantry_spec *spec,
		       struct script_decision *decision, struct gantry_error *err);

/* Asks `resources`; sets memory, memory_swap, cpus, cpu_shares, cpuset, pids, block_io.weight,
 * ulimits and log of *spec. */
int script_resources(struct script_set *set, const struct script_request *request,
		     struct arena *arena, struct gantry_spec *spec,
		     struct script_decision *decision, struct gantry_error *err);

/* How a process ended, for `restart(instance, exit)`. */
struct script_exit {
	const struct instance_exit *end;
	const char *cause; /* "exit", "oom", "engine", "start": see flows/engine/restarts.h */
	int64_t restarts;  /* by this hook, since a person started it last */
};

struct script_restart {
	enum { SCRIPT_RESTART_LEAVE, SCRIPT_RESTART_AFTER, SCRIPT_RESTART_FAIL } what;
	int64_t after_ms;   /* AFTER */
	const char *reason; /* in the decision's arena; NULL: none given */
};

/* Whether any policy has the hook. */
bool script_has_restart(const struct script_set *set);
/*
 * Asks `restart`: a number of seconds restarts after that time, false leaves it stopped, "fail" marks
 * it failed; a second result is the reason; nil is no opinion. The first policy with an opinion decides.
 * A policy that fails has none, unless its on_error is "deny": then it is left.
 */
void script_restart(struct script_set *set, const struct script_request *request,
		    const struct script_exit *told, struct script_decision *decision,
		    struct script_restart *ret_answer);

/*
 * Asks `filter` and then `score` for each node given (all of them up and not drained; some once more,
 * for the line of a reason or for a call that has to be counted); the highest sum of scores wins, a
 * lowered node comes after all others; ties go to the node with fewer instances, then by name. -EACCES
 * where no node is left: the error sums up the reasons with their counts.
 */
int script_place(struct script_set *set, const struct script_request *request,
		 struct node *const *nodes, size_t count, struct node **ret_node,
		 struct script_decision *decision, struct gantry_error *err);

/* Keeps that the node was tried and why it did not work; the placement goes on over the others. */
void script_decision_tried(struct script_decision *decision, const char *node, const char *why);
/*
 * Asks as script_place does, and tells what each policy answered for each node: a list, see
 * `MatrixRow` in api/openapi.yaml. *decision becomes what script_place would have made of it.
 */
struct json_object *script_matrix(struct script_set *set, const struct script_request *request,
				  struct node *const *nodes, size_t count,
				  struct script_decision *decision);
/* A number over all that was answered (not when and how long): equal where the answers are. */
uint64_t script_decision_hash(const struct script_decision *decision, size_t first);

/*
 * Reads a settings file: Lua in the same sandbox that assigns globals; the result is an object of
 * them. *ret_lines answers script_lines_find. An error names file and line.
 */
struct script_lines;
int script_settings_read(const char *path, struct json_object **ret_values,
			 struct script_lines **ret_lines, struct gantry_error *err);
/* The line where the value at the path ("nodes.local.endpoint", "listen[1].unix") was written; the
 * nearest known outer path's line where that one was computed; 0 where nothing is known. */
int script_lines_find(const struct script_lines *lines, const char *path);
void script_lines_free(struct script_lines *lines);

/* The key for hashes of secrets: 32 bytes, set once by main before anything else. */
void script_set_secret_key(const unsigned char key[32]);

#endif
