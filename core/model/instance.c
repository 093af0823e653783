/* SPDX-License-Identifier: Apache-2.0 */
/* States, their legal moves, and which verb is allowed when. Text forms are in instance_json.c. */
#include "model/instance.h"
#include "model/spec.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <sys/random.h>

#define BIT(state) (1u << INSTANCE_##state)

/*
 * The table: the name of each state, and where it may go from there.
 *
 *   pending → creating → starting → running ⇄ paused
 *                ↑           ↑          ↓ stopping
 *                └───────────┴─────── stopped          failed: from anywhere, and back by a start
 *
 * An engine out of reach makes any container `unknown`; the next list says what it is. Nothing leaves
 * `removing`: the instance goes.
 */
#define ENDS       (BIT(FAILED) | BIT(REMOVING))
#define NO_PROCESS (BIT(CREATING) | BIT(STARTING) | BIT(STOPPED) | BIT(FAILED))
static const struct {
	const char *name;
	unsigned to;
} states[INSTANCE_STATE_COUNT] = {
	[INSTANCE_PENDING] = {"pending", BIT(CREATING) | ENDS},
	[INSTANCE_CREATING] = {"creating", BIT(STARTING) | BIT(STOPPED) | BIT(UNKNOWN) | ENDS},
	/* creating: it is made anew, on another node */
	[INSTANCE_STARTING] = {"starting",
			       BIT(RUNNING) | BIT(CREATING) | BIT(STOPPED) | BIT(UNKNOWN) | ENDS},
	/* starting: a restart whose stop nobody saw */
	[INSTANCE_RUNNING] = {"running", BIT(PAUSED) | BIT(STOPPING) | BIT(STOPPED) |
						 BIT(STARTING) | BIT(UNKNOWN) | ENDS},
	[INSTANCE_PAUSED] = {"paused",
			     BIT(RUNNING) | BIT(STOPPING) | BIT(STOPPED) | BIT(UNKNOWN) | ENDS},
	/* running, paused: the stop was given up */
	[INSTANCE_STOPPING] = {"stopping",
			       BIT(STOPPED) | BIT(RUNNING) | BIT(PAUSED) | BIT(UNKNOWN) | ENDS},
	/* running: somebody else started it; creating: it is made anew */
	[INSTANCE_STOPPED] = {"stopped",
			      BIT(STARTING) | BIT(CREATING) | BIT(RUNNING) | BIT(UNKNOWN) | ENDS},
	[INSTANCE_FAILED] = {"failed", BIT(STARTING) | BIT(CREATING) | BIT(RUNNING) | BIT(STOPPED) |
					       BIT(UNKNOWN) | BIT(REMOVING)},
	[INSTANCE_REMOVING] = {"removing", 0},
	[INSTANCE_UNKNOWN] = {"unknown", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED) | ENDS},
};

/* `in`: what the verb works on; `already`: where it would lead, so that there is nothing to do. */
static const struct {
	const char *name;
	unsigned in, already;
} verbs[VERB_COUNT] = {
	[VERB_START] = {"start", BIT(STOPPED) | BIT(FAILED), BIT(RUNNING)},
	[VERB_STOP] = {"stop", BIT(RUNNING) | BIT(PAUSED), BIT(STOPPED)},
	[VERB_RESTART] = {"restart", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED) | BIT(FAILED), 0},
	[VERB_PAUSE] = {"pause", BIT(RUNNING), BIT(PAUSED)},
	[VERB_UNPAUSE] = {"unpause", BIT(PAUSED), BIT(RUNNING)},
	[VERB_KILL] = {"kill", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPING), 0},
	[VERB_RESIZE] = {"resize", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED), 0},
	[VERB_REMOVE] = {"remove",
			 BIT(PENDING) | BIT(CREATING) | BIT(STARTING) | BIT(RUNNING) | BIT(PAUSED) |
				 BIT(STOPPING) | BIT(STOPPED) | BIT(FAILED),
			 BIT(REMOVING)},
	[VERB_PORTS] = {"change the ports of", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED), 0},
	[VERB_COMMIT] = {"commit", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED) | BIT(FAILED), 0},
};

static const char *const intents[] = {"running", "stopped", "suspended"};

const char *instance_state_text(enum instance_state state)
{
	return states[state].name;
}

int instance_state_parse(const char *text, enum instance_state *ret_state)
{
	for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
		if (str_equal(states[state].name, text)) {
			*ret_state = (enum instance_state)state;
			return 0;
		}
	}
	return -EINVAL;
}

const char *instance_intent_text(enum instance_intent intent)
{
	return intents[intent];
}

int instance_intent_parse(const char *text, enum instance_intent *ret_intent)
{
	for (size_t i = 0; i < sizeof(intents) / sizeof(intents[0]); i++) {
		if (str_equal(intents[i], text)) {
			*ret_intent = (enum instance_intent)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool instance_may_move(enum instance_state from, enum instance_state to)
{
	return (states[from].to & (1u << to)) != 0;
}

static void forget_reach(struct instance *instance)
{
	instance->reach_known = false;
	instance->address[0] = '\0';
	instance->ports = (struct gantry_ports){0};
	arena_fini(&instance->reach_arena);
}

bool instance_move(struct instance *instance, enum instance_state to)
{
	if (instance->state == to)
		return true;
	if (!instance_may_move(instance->state, to)) {
		log_error("instance %s: a move from %s to %s is not legal; it stays %s",
			  instance->id, states[instance->state].name, states[to].name,
			  states[instance->state].name);
		return false;
	}
	if (to == INSTANCE_UNKNOWN)
		instance->known_state = instance->state;
	if ((1u << to) & NO_PROCESS)
		forget_reach(instance);
	instance->state = to;
	return true;
}

void instance_take_reach(struct instance *instance, const struct gantry_container *container)
{
	const struct gantry_ports *from = &container->ports;

	forget_reach(instance);
	instance->reach_known = true;
	instance->changed = true;
	snprintf(instance->address, sizeof(instance->address), "%s",
		 container->address ? container->address : "");
	instance->ports.count = from->count;
	instance->ports.items =
		ARENA_ARRAY(&instance->reach_arena, struct gantry_port, from->count);
	for (size_t i = 0; i < from->count; i++) {
		struct gantry_port *port = &instance->ports.items[i];

		*port = from->items[i];
		port->host_ip = arena_strdup(&instance->reach_arena, port->host_ip);
		port->protocol = arena_strdup(&instance->reach_arena, port->protocol);
	}
}

const char *instance_verb_text(enum instance_verb verb)
{
	return verbs[verb].name;
}

int instance_verb_check(const struct instance *instance, enum instance_verb verb,
			struct gantry_error *err)
{
	const char *name = instance->spec.name ? instance->spec.name : instance->id;
	unsigned bit = 1u << instance->state, left = verbs[verb].in;
	struct str wanted = STR_INIT;
	int code;

	if (verbs[verb].in & bit)
		return 0;
	if (verbs[verb].already & bit)
		return gantry_error_set(err, -EALREADY, "%s is %s already", name,
					states[instance->state].name);
	if (instance->state == INSTANCE_UNKNOWN)
		return gantry_error_set(
			err, -EHOSTUNREACH,
			"%s is unknown, its engine%s%s is out of reach; %s needs the engine", name,
			instance->node ? " on node " : "", instance->node ? instance->node : "",
			verbs[verb].name);
	for (int state = 0; left; state++) {
		if (!(left & (1u << state)))
			continue;
		left &= ~(1u << state);
		str_addf(&wanted, "%s%s",
			 !wanted.length ? ""
			 : left         ? ", "
					: " or ",
			 states[state].name);
	}
	code = gantry_error_set(err, -EBUSY, "%s is %s; %s needs a %s instance", name,
				states[instance->state].name, verbs[verb].name, str_text(&wanted));
	str_fini(&wanted);
	return code;
}

struct instance *instance_new(const char *id)
{
	struct instance *instance = xcalloc(1, sizeof(*instance));

	snprintf(instance->id, sizeof(instance->id), "%s", id);
	spec_init(&instance->spec);
	instance->generation = 1;
	list_init(&instance->link);
	list_init(&instance->placed);
	list_init(&instance->waiters);
	list_init(&instance->reach);
	list_init(&instance->proof);
	list_init(&instance->readers);
	list_init(&instance->feeds);
	return instance;
}

void instance_free(struct instance *instance)
{
	if (!instance)
		return;
	list_remove(&instance->placed);
	list_remove(&instance->reach);
	list_remove(&instance->proof);
	arena_fini(&instance->reach_arena);
	arena_fini(&instance->arena);
	free(instance);
}

void instance_make_id(char *text)
{
	unsigned char b[16];

	while (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		; /* interrupted: 16 bytes come whole or not at all */
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(text, INSTANCE_ID_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

char *instance_container_name(const struct instance *instance, struct arena *arena)
{
	const struct gantry_spec *spec = &instance->spec;

	if (spec->project && !str_equal(spec->project, "default"))
		return arena_printf(arena, "%s_%s", spec->project, spec->name);
	return spec->name[1] ? arena_strdup(arena, spec->name)
			     : arena_printf(arena, "default_%s", spec->name);
}
