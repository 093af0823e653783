/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event of the engine, and what a list implies.
 *
 * Inference: `beliefs` is what was known of each container, with the events since applied; a list that
 * says otherwise proves that something happened that nobody saw. Only what must have happened is told:
 * a container that is exited and was only created must have started; one that is running now and was
 * running before may have been restarted in between, but that is not told, because nobody knows.
 */
#include "docker.h"

#include <gantry/text.h>

#include <stdlib.h>

/* --- one event --- */

static uint64_t hash_add(uint64_t hash, const char *text)
{
	return gantry_hash(hash, text, strlen(text) + 1);
}

static bool read_action(const char *action, struct json_object *attributes,
			struct docker_event *event)
{
	static const struct {
		const char *action;
		enum gantry_event_kind kind;
	} kinds[] = {
		{"create", GANTRY_EVENT_CREATE},   {"start", GANTRY_EVENT_START},
		{"die", GANTRY_EVENT_DIE},         {"died", GANTRY_EVENT_DIE},
		{"oom", GANTRY_EVENT_OOM},         {"pause", GANTRY_EVENT_PAUSE},
		{"unpause", GANTRY_EVENT_UNPAUSE}, {"kill", GANTRY_EVENT_KILL},
		{"rename", GANTRY_EVENT_RENAME},   {"update", GANTRY_EVENT_UPDATE},
		{"destroy", GANTRY_EVENT_REMOVE},  {"remove", GANTRY_EVENT_REMOVE},
	};
	const char *text;

	if (strncmp(action, "health_status", 13) == 0) {
		event->event.kind = GANTRY_EVENT_HEALTH;
		text = strchr(action, ':');
		snprintf(event->text, sizeof(event->text), "%s", text ? text + 2 : "");
		return text != NULL;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(action, kinds[i].action) != 0)
			continue;
		event->event.kind = kinds[i].kind;
		text = docker_text(attributes, "exitCode");
		if (!text)
			text = docker_text(attributes, "containerExitCode"); /* Podman's */
		event->event.exit_code = text ? atoi(text) : 0;
		text = docker_text(attributes, "signal");
		event->event.signal = text ? atoi(text) : 0;
		text = docker_text(attributes, "name");
		if (event->event.kind == GANTRY_EVENT_RENAME && text)
			snprintf(event->text, sizeof(event->text), "%s", text);
		return true;
	}
	return false;
}

bool docker_read_event(struct json_object *message, struct docker_event *ret_event)
{
	struct docker_event *event = ret_event;
	struct json_object *actor = docker_get(message, "Actor");
	struct json_object *attributes = docker_get(actor, "Attributes");
	const char *type = docker_text(message, "Type"), *action = docker_text(message, "Action");
	const char *id = docker_text(actor, "ID"), *text;
	char stamp[32];

	*event = (struct docker_event){0};
	if (!action)
		action = docker_text(message, "status");
	if (!id)
		id = docker_text(message, "id");
	if (!type || !action || !id)
		return false;
	event->event.time_ns = docker_int(message, "timeNano", 0);
	if (event->event.time_ns == 0)
		event->event.time_ns = docker_int(message, "time", 0) * 1000000000;
	snprintf(event->id, sizeof(event->id), "%s", id);
	snprintf(stamp, sizeof(stamp), "%lld", (long long)event->event.time_ns);
	event->hash = hash_add(hash_add(hash_add(GANTRY_HASH_SEED, stamp), id), action);
	if (strcmp(type, "image") == 0) {
		event->event.kind = GANTRY_EVENT_IMAGE;
		text = docker_text(attributes, "name");
		snprintf(event->text, sizeof(event->text), "%s", text ? text : id);
		event->told = true;
		return true;
	}
	if (strcmp(type, "container") != 0)
		return false;
	text = docker_text(attributes, GANTRY_LABEL_INSTANCE);
	if (text)
		snprintf(event->instance, sizeof(event->instance), "%s", text);
	event->told = read_action(action, attributes, event);
	return true;
}

/* --- beliefs --- */

static struct docker_belief *find(struct docker_beliefs *beliefs, const char *id)
{
	for (size_t i = 0; i < beliefs->count; i++)
		if (strcmp(beliefs->items[i].id, id) == 0)
			return &beliefs->items[i];
	return NULL;
}

static struct docker_belief *add(struct docker_beliefs *beliefs, const char *id,
				 const char *instance, const char *name)
{
	struct docker_belief *belief;

	if (beliefs->count == beliefs->capacity) {
		beliefs->capacity = beliefs->capacity ? 2 * beliefs->capacity : 64;
		beliefs->items =
			realloc(beliefs->items, beliefs->capacity * sizeof(*beliefs->items));
		if (!beliefs->items)
			abort();
	}
	belief = &beliefs->items[beliefs->count++];
	*belief = (struct docker_belief){0};
	snprintf(belief->id, sizeof(belief->id), "%s", id);
	snprintf(belief->instance, sizeof(belief->instance), "%s", instance ? instance : "");
	snprintf(belief->name, sizeof(belief->name), "%s", name ? name : "");
	return belief;
}

void docker_believe(struct docker_beliefs *beliefs, const struct gantry_containers *known)
{
	for (size_t i = 0; known && i < known->count; i++) {
		const struct gantry_container *one = &known->items[i];

		if (one->container_id && one->container_id[0])
			add(beliefs, one->container_id,
			    docker_label(&one->labels, GANTRY_LABEL_INSTANCE), one->name)
				->state = one->state;
	}
}

void docker_believe_event(struct docker_beliefs *beliefs, const struct docker_event *event)
{
	struct docker_belief *belief = find(beliefs, event->id);

	if (!event->told || event->event.kind == GANTRY_EVENT_IMAGE)
		return;
	if (!belief)
		belief = add(beliefs, event->id, event->instance, NULL);
	switch (event->event.kind) {
	case GANTRY_EVENT_START:
	case GANTRY_EVENT_UNPAUSE:
		belief->state = GANTRY_CONTAINER_RUNNING;
		break;
	case GANTRY_EVENT_PAUSE:
		belief->state = GANTRY_CONTAINER_PAUSED;
		break;
	case GANTRY_EVENT_DIE:
		belief->state = GANTRY_CONTAINER_EXITED;
		break;
	case GANTRY_EVENT_REMOVE:
		belief->gone = true;
		break;
	case GANTRY_EVENT_RENAME:
		snprintf(belief->name, sizeof(belief->name), "%s", event->text);
		break;
	default:
		break;
	}
}

void docker_undecide(struct docker_beliefs *beliefs, const struct docker_event *event)
{
	struct docker_belief *belief = find(beliefs, event->id);

	if (!belief && event->event.kind == GANTRY_EVENT_CREATE && event->told)
		belief = add(beliefs, event->id, event->instance, NULL);
	if (belief)
		belief->undecided = true;
}

void docker_beliefs_fini(struct docker_beliefs *beliefs)
{
	free(beliefs->items);
	*beliefs = (struct docker_beliefs){0};
}

/* --- inference --- */

struct inference {
	void (*fn)(void *arg, struct gantry_event *event);
	void *arg;
	size_t count;
};

static void infer(struct inference *inference, enum gantry_event_kind kind, const char *id,
		  const char *instance, const char *text, int exit_code)
{
	struct gantry_event event = {
		.kind = kind,
		.container_id = id,
		.instance = instance && instance[0] ? instance : NULL,
		.text = text,
		.exit_code = exit_code,
		.inferred = true,
	};

	inference->count++;
	if (inference->fn)
		inference->fn(inference->arg, &event);
}

static bool ran(enum gantry_container_state state)
{
	return state == GANTRY_CONTAINER_RUNNING || state == GANTRY_CONTAINER_PAUSED;
}

/* From the one state to the other by events that must have been. */
static void infer_moves(struct inference *inference, const struct gantry_container *now,
			const char *instance, enum gantry_container_state before)
{
	enum gantry_container_state after = now->state;
	const char *id = now->container_id;

	if (after == GANTRY_CONTAINER_DEAD && !ran(before))
		return;
	if (after == GANTRY_CONTAINER_REMOVING) /* its end will be told */
		return;
	if (ran(after)) {
		if (!ran(before))
			infer(inference, GANTRY_EVENT_START, id, instance, NULL, 0);
		if (after == GANTRY_CONTAINER_PAUSED && before != GANTRY_CONTAINER_PAUSED)
			infer(inference, GANTRY_EVENT_PAUSE, id, instance, NULL, 0);
		if (after == GANTRY_CONTAINER_RUNNING && before == GANTRY_CONTAINER_PAUSED)
			infer(inference, GANTRY_EVENT_UNPAUSE, id, instance, NULL, 0);
		return;
	}
	if (after != GANTRY_CONTAINER_EXITED && after != GANTRY_CONTAINER_DEAD)
		return;
	if (before == GANTRY_CONTAINER_CREATED)
		infer(inference, GANTRY_EVENT_START, id, instance, NULL, 0);
	if (before == GANTRY_CONTAINER_CREATED || ran(before))
		infer(inference, GANTRY_EVENT_DIE, id, instance, NULL, now->exit_code);
}

size_t docker_infer(struct docker_beliefs *beliefs, const struct gantry_containers *listed,
		    void (*fn)(void *arg, struct gantry_event *event), void *arg)
{
	struct inference inference = {.fn = fn, .arg = arg};

	for (size_t i = 0; i < beliefs->count; i++)
		beliefs->items[i].listed = false;
	for (size_t i = 0; i < listed->count; i++) {
		const struct gantry_container *now = &listed->items[i];
		struct docker_belief *belief = find(beliefs, now->container_id);
		const char *instance = docker_label(&now->labels, GANTRY_LABEL_INSTANCE);

		if (belief)
			belief->listed = true;
		if (belief && belief->undecided)
			continue;
		if (!belief || belief->gone) {
			infer(&inference, GANTRY_EVENT_CREATE, now->container_id, instance, NULL,
			      0);
			infer_moves(&inference, now, instance, GANTRY_CONTAINER_CREATED);
			continue;
		}
		if (belief->name[0] && strcmp(belief->name, now->name) != 0)
			infer(&inference, GANTRY_EVENT_RENAME, now->container_id, instance,
			      now->name, 0);
		infer_moves(&inference, now, instance, belief->state);
	}
	for (size_t i = 0; i < beliefs->count; i++) {
		struct docker_belief *belief = &beliefs->items[i];

		if (!belief->listed && !belief->gone && !belief->undecided)
			infer(&inference, GANTRY_EVENT_REMOVE, belief->id, belief->instance, NULL,
			      0);
	}
	return inference.count;
}
