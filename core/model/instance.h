/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance: a container as gantryd knows it. Data and legal moves, no I/O.
 *
 * state  is what we know of the container; intent is what was asked for. They differ while something
 *        is under way, after a crash, and while the engine is out of reach (state unknown).
 */
#ifndef MODEL_INSTANCE_H
#define MODEL_INSTANCE_H

#include <gantry/error.h>
#include <gantry/logger.h>
#include <gantry/runtime.h>
#include <gantry/spec.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/list.h"

#define INSTANCE_ID_SIZE   37 /* a UUID and its NUL */
#define INSTANCE_LOG_BOOTS 16

enum instance_state {
	INSTANCE_PENDING,  /* accepted, no container yet */
	INSTANCE_CREATING, /* the engine is making the container */
	INSTANCE_STARTING,
	INSTANCE_RUNNING,
	INSTANCE_PAUSED,
	INSTANCE_STOPPING,
	INSTANCE_STOPPED, /* the container is there and its process is not */
	INSTANCE_FAILED,  /* the container is gone, or its process never started */
	INSTANCE_REMOVING,
	INSTANCE_UNKNOWN, /* its engine is out of reach */
	INSTANCE_STATE_COUNT,
};

enum instance_intent { INTENT_RUNNING, INTENT_STOPPED, INTENT_SUSPENDED };

/* How the last run of the process ended. */
struct instance_exit {
	bool known;        /* false: it never ended */
	int code;          /* as the engine says it */
	int signal;        /* 0: none */
	bool signal_sent;  /* we sent it; else it is inferred from code - 128 */
	bool oom_seen;     /* the engine told of an OOM while it ran */
	bool oom_killed;   /* the engine's flag on the container */
	bool start_failed; /* the command could not be run */
	bool inferred;     /* nobody saw it end: found so in a list */
	bool engine_gone;  /* its engine, or the host, went down with it or right after */
	int64_t at_ms;
	bool at_engines;  /* at_ms is the engine's word for this very run, else our clock's */
	int64_t ran_ms;   /* how long it had run; both ends by one clock */
	char reason[160]; /* the engine's words on a failed start, "" otherwise */
};

/* What the engine says first of an end; the rest is asked for. */
struct instance_death {
	int code;
	bool inferred, engine_gone; /* as in instance_exit */
};

/* Where its output is, once somebody asked. */
struct instance_log {
	char container_id[72]; /* of which it is known; "": of none */
	const char *driver;    /* in the instance's arena, as path; NULL path: not on this host */
	const char *path;
	int64_t files_max;
};

/* Its serial port, see flows/console/serial.h. */
struct instance_serial {
	const char *host; /* borrowed from the settings */
	int port;         /* 0: none */
	int peers;
	int64_t until_ms; /* when it closes unless somebody connects; 0: somebody is */
};

struct instance {
	char id[INSTANCE_ID_SIZE];
	struct arena arena;      /* owns the strings of this struct and of spec */
	struct gantry_spec spec; /* as created, policies applied; name and project always set */
	const char *node;        /* set by fleet_place */
	char container_id[72];   /* "" until created */
	enum instance_state state;
	enum instance_state known_state; /* while unknown: what it was when last seen */
	enum instance_intent intent;
	int64_t generation;
	int64_t boots; /* how often it was started */
	struct instance_exit last_exit;
	char health[16];
	/* where its process can be reached: of this boot, as the engine says; see instance_take_reach */
	bool reach_known;
	char address[46];          /* "": it has none of its own */
	struct gantry_ports ports; /* as published, with the host's ports; in reach_arena */
	struct arena reach_arena;
	int64_t created_ms, started_ms;
	int64_t started_us; /* the monotonic clock when this boot was seen to begin; 0: it was not seen */
	int signal_sent;          /* the last signal that we sent to this boot, 0: none */
	bool oom_seen;            /* in this boot */
	int64_t restarts;         /* by the restart hook, since a person started it last */
	int64_t restart_at_ms;    /* when the next one is due, wall clock; 0: none is planned */
	int64_t restart_after_ms; /* how long after it was planned: it is never put off for longer */
	bool considered;          /* the hook was asked about the last exit */
	/* When its last runs began, oldest first; the one that is being started too. */
	struct gantry_log_boot log_boots[INSTANCE_LOG_BOOTS];
	size_t log_boot_count;

	/* what the daemon keeps beside, never stored */
	struct fleet_project *counted;                   /* by fleet_count; NULL: not yet */
	int64_t counted_memory_bytes, counted_nano_cpus; /* as they were counted */
	bool counted_placed;
	void *restart;       /* the restart that is planned, borrowed; NULL: none */
	int failed_starts;   /* in a row, the last one among them */
	struct list proof;   /* who asks for its engine; see flows/engine/still_there.h */
	void *busy;          /* the flow at work on it, borrowed; NULL: none. One at a time */
	int besides;         /* flows that run beside it: signals */
	struct list link;    /* in the fleet, by age */
	struct list placed;  /* in its node's; empty where it has none */
	struct list waiters; /* who waits for the process to end */
	struct list reach;   /* in its node's line of those to be asked for; empty otherwise */
	struct list readers; /* of its log; see flows/log/logs.h */
	struct list feeds;   /* of its log to sinks; see flows/log/log_sinks.h */
	struct instance_log log;
	struct instance_serial serial;
	int64_t died_ns;                    /* the engine's clock, when it last told of an end */
	enum gantry_container_state listed; /* what the last list of the engine said */
	bool exit_pending; /* it ended while a flow started it or walked back: look after the flow */
	struct instance_death pending; /* that exit */
	bool gone_pending; /* its container went away beside a flow or a look: told after that */
	bool looking;      /* an inspect after an exit is under way */
	bool changed;      /* differs from its row in the store */
	int echoes[GANTRY_EVENT_GAP]; /* engine events that our own calls will cause, by kind */
};

const char *instance_state_text(enum instance_state state);
int instance_state_parse(const char *text, enum instance_state *ret_state);
const char *instance_intent_text(enum instance_intent intent);
int instance_intent_parse(const char *text, enum instance_intent *ret_intent);

/* The one table of legal moves; a state does not move to itself. */
bool instance_may_move(enum instance_state from, enum instance_state to);
/* Moves, or does nothing where it is there already. An illegal move is a defect of ours: it is
 * logged, refused, and false is returned. On the way to unknown known_state is kept. */
bool instance_move(struct instance *instance, enum instance_state to);

/*
 * Verbs that a person may ask for in a state. -EALREADY: it is where the verb would lead; -EBUSY: the
 * state does not allow it, and the error says which do. Both are a 409 of the API. Whether a flow is
 * at work (busy) is not looked at.
 */
enum instance_verb {
	VERB_START,
	VERB_STOP,
	VERB_RESTART,
	VERB_PAUSE,
	VERB_UNPAUSE,
	VERB_KILL,
	VERB_RESIZE,
	VERB_REMOVE,
	VERB_COMMIT,
	VERB_PORTS, /* one more or less */
	VERB_COUNT
};
const char *instance_verb_text(enum instance_verb verb);
int instance_verb_check(const struct instance *instance, enum instance_verb verb,
			struct gantry_error *err);

/* What an inspect of the container says of how to reach it. It is forgotten when the process is gone. */
void instance_take_reach(struct instance *instance, const struct gantry_container *container);

struct instance *instance_new(const char *id);
void instance_free(struct instance *instance);
/* A random UUID, version 4; text has room for INSTANCE_ID_SIZE. */
void instance_make_id(char *text);

/* The instance as the API shows it. */
struct json_object *instance_print(const struct instance *instance);
/* As the store keeps it, and back: all but values of secrets and busy. */
struct json_object *instance_save(const struct instance *instance);
int instance_load(struct json_object *object, struct instance **ret_instance,
		  struct gantry_error *err);
struct json_object *instance_serial_print(const struct instance_serial *serial);
struct json_object *instance_exit_print(const struct instance_exit *last_exit);

/* The container's name on the engine: NAME, or PROJECT_NAME outside the project "default" and where
 * NAME is one character, of which engines make no name. */
char *instance_container_name(const struct instance *instance, struct arena *arena);

/* The signal's number for "TERM", "SIGTERM", "RTMIN+3" or "15", any case; 0 where there is none. */
int instance_signal_parse(const char *text);

#endif
