/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fake engine holds: containers, images, the ring of 256 events, and who waits for what.
 * Included once, by engine.c.
 */
#ifndef FAKE_ENGINE_STATE_H
#define FAKE_ENGINE_STATE_H

#include <time.h>

#include "base/clock.h"
#include "engine_http.h"

#define RING_SIZE      256
#define TABLE_SIZE     4096
#define STDERR_LATE_NS 3 /* against stdout, in the log */

struct container {
	struct list link;          /* in containers, by age */
	struct container *next_id; /* in by_id */
	char id[65], name[128];
	struct json_object *config; /* owned: the body of create */
	struct json_object *labels; /* borrowed from config; may be NULL */
	const char *image;          /* borrowed from config */
	const char *state;          /* as docker says it */
	int exit_code;
	bool oom, ever_ran;
	char error[256];
	int64_t pid, created_ns, started_ns, finished_ns;
	struct str log;      /* raw for a terminal, else frames */
	int64_t log_dropped; /* lines before it that are gone */
	struct list waiters, followers, attached,
		watchers; /* of conn.wait_link; watchers: of stats */
	uv_timer_t timer; /* stop's grace, restart */
	bool timer_open;
	struct conn *stopper; /* waits for the end of a stop */
	bool restart;         /* the stop is part of a restart */
	bool left; /* it was started while the engine went down: its task is in the way */
	bool remove_soon;
};

struct event {
	int64_t ns;
	char type[16], action[64], id[80];
	char *text;                 /* owned, one line */
	struct json_object *labels; /* owned or NULL */
};

static struct list containers = {&containers, &containers};
static struct list subscribers = {&subscribers, &subscribers};
static struct container *by_id[TABLE_SIZE];
static size_t container_count;
static struct event ring[RING_SIZE];
static uint64_t ring_head;         /* events ever put in since the "engine" started */
static struct json_object *pulled; /* images that were pulled or made: a map from reference to id */
static int64_t last_ns, next_pid = 1000, event_total;
static bool events_muted, clock_told;
static int64_t clock_ahead_ns; /* of the machine's */

static int64_t now_ns(void)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + clock_ahead_ns;
	last_ns = ns > last_ns ? ns : last_ns + 1;
	return last_ns;
}

static uint64_t hash(const char *text)
{
	uint64_t value = 1469598103934665603u;

	while (*text)
		value = (value ^ (unsigned char)*text++) * 1099511628211u;
	return value;
}

static void make_hex(char *text, const char *seed)
{
	static uint64_t counter;
	uint64_t value = hash(seed) ^ (++counter * 0x9e3779b97f4a7c15u) ^ (uint64_t)last_ns;

	for (int i = 0; i < 64; i++) {
		value ^= value << 13, value ^= value >> 7, value ^= value << 17;
		text[i] = "0123456789abcdef"[value >> 60];
	}
	text[64] = '\0';
}

static const char *iso_time(int64_t ns, char *text)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	char stamp[32];

	if (ns == 0)
		return "0001-01-01T00:00:00Z";
	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	sprintf(text, "%s.%09lldZ", stamp, (long long)(ns % 1000000000));
	return text;
}

/* --- images --- */

/* "docker.io/library/base" and "base" are "base:latest". */
static const char *image_normal(const char *image, char *text, size_t size)
{
	const char *slash;

	if (strncmp(image, "docker.io/", 10) == 0)
		image += 10;
	if (strncmp(image, "library/", 8) == 0)
		image += 8;
	slash = strrchr(image, '/');
	snprintf(text, size, "%s%s", image,
		 strchr(image, '@') || strchr(slash ? slash : image, ':') ? "" : ":latest");
	return text;
}

static bool image_exists(const char *name)
{
	char image[600];

	image_normal(name, image, sizeof(image));
	if (strncmp(name, "sha256:", 7) == 0)
		return true;
	if (json_object_object_get_ex(pulled, image, NULL))
		return true;
	return !strstr(image, "missing") && !strstr(image, "pullable") &&
	       !strstr(image, "stalling");
}

/* --- events --- */

static bool list_has(struct json_object *list, const char *text)
{
	/* docker takes {"key": ["a"]} and {"key": {"a": true}} */
	if (json_object_is_type(list, json_type_object))
		return json_object_object_get_ex(list, text, NULL);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), text) == 0)
			return true;
	return false;
}

/* Each "name" or "name=value" of the filter holds. */
static bool labels_match(struct json_object *list, struct json_object *labels)
{
	bool match = true;

	if (json_object_is_type(list, json_type_object)) {
		json_object_object_foreach(list, key, ignored)
		{
			struct json_object *one = json_object_new_array();

			(void)ignored;
			json_object_array_add(one, json_object_new_string(key));
			match = match && labels_match(one, labels);
			json_object_put(one);
		}
		return match;
	}
	for (size_t i = 0; match && i < json_object_array_length(list); i++) {
		char want[512], *equals;
		struct json_object *value = NULL;

		snprintf(want, sizeof(want), "%s",
			 json_object_get_string(json_object_array_get_idx(list, i)));
		equals = strchr(want, '=');
		if (equals)
			*equals++ = '\0';
		match = labels && json_object_object_get_ex(labels, want, &value) &&
			(!equals || strcmp(json_object_get_string(value), equals) == 0);
	}
	return match;
}

static bool event_matches(const struct event *event, struct json_object *filters)
{
	struct json_object *list;

	if ((list = json_get(filters, "type")) && !list_has(list, event->type))
		return false;
	if ((list = json_get(filters, "event")) && !list_has(list, event->action))
		return false;
	if ((list = json_get(filters, "container")) && !list_has(list, event->id))
		return false;
	if ((list = json_get(filters, "label")) && !labels_match(list, event->labels))
		return false;
	return true;
}

/* extra: further attributes as `"key":"value"` pairs with a comma in front, or "". */
static void emit(const char *type, const char *action, const char *id, const char *name,
		 const char *image, struct json_object *labels, const char *extra)
{
	struct event *event = &ring[ring_head++ % RING_SIZE];
	struct str text = STR_INIT;
	int64_t ns = now_ns();

	free(event->text);
	json_object_put(event->labels);
	event_total++;
	event->ns = ns;
	event->labels = json_object_get(labels);
	snprintf(event->type, sizeof(event->type), "%s", type);
	snprintf(event->action, sizeof(event->action), "%s", action);
	snprintf(event->id, sizeof(event->id), "%s", id);
	if (strcmp(type, "container") == 0)
		str_addf(&text, "{\"status\":\"%s\",\"id\":\"%s\",\"from\":\"%s\",", action, id,
			 image);
	else
		str_add(&text, "{");
	str_addf(&text,
		 "\"Type\":\"%s\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"%s\",\"Attributes\":{",
		 type, action, id);
	if (labels) {
		json_object_object_foreach(labels, key, value)
		{
			str_add(&text, "\"");
			str_add_json(&text, key, strlen(key));
			str_add(&text, "\":\"");
			str_add_json(&text, json_object_get_string(value),
				     strlen(json_object_get_string(value)));
			str_add(&text, "\",");
		}
	}
	if (strcmp(type, "volume") == 0)
		str_add(&text, "\"driver\":\"local\"");
	else
		str_addf(&text, "\"image\":\"%s\",\"name\":\"%s\"%s", image, name, extra);
	str_addf(&text, "}},\"scope\":\"local\",\"time\":%lld,\"timeNano\":%lld}\n",
		 (long long)(ns / 1000000000), (long long)ns);
	event->text = str_take(&text);
	if (events_muted)
		return;
	LIST_FOREACH (node, &subscribers) {
		struct conn *c = LIST_ENTRY(node, struct conn, wait_link);

		if (event_matches(event, c->filters))
			stream_send(c, event->text, strlen(event->text));
	}
}

static void emit_container(struct container *k, const char *action, const char *extra)
{
	emit("container", action, k->id, k->name, k->image, k->labels, extra);
}

/* --- containers --- */

static struct container *container_find(const char *key)
{
	size_t length = strlen(key);

	for (struct container *k = by_id[hash(key) % TABLE_SIZE]; k; k = k->next_id)
		if (strcmp(k->id, key) == 0)
			return k;
	LIST_FOREACH (node, &containers) {
		struct container *k = LIST_ENTRY(node, struct container, link);

		if (strcmp(k->name, key) == 0 || (length >= 6 && strncmp(k->id, key, length) == 0))
			return k;
	}
	return NULL;
}

static const char *command_word(struct container *k, size_t index)
{
	struct json_object *command = json_get(k->config, "Cmd");

	if (!command || json_object_array_length(command) <= index)
		return "";
	return json_object_get_string(json_object_array_get_idx(command, index));
}

static bool container_live(struct container *k)
{
	return strcmp(k->state, "running") == 0 || strcmp(k->state, "paused") == 0;
}

/*
 * Sends what the log has from an offset on. With times (conn.number) each message is preceded by one, two
 * by the same, and those of stderr have later ones: the engine reads each stream by itself. Those before
 * since are left out.
 */
static void log_send(struct conn *c, struct container *k, size_t from, const char *since)
{
	size_t head = json_get_bool(k->config, "Tty", false) ? 0 : 8, length;
	const char *log = str_text(&k->log);
	int64_t number = k->log_dropped;

	if (!c->number) {
		stream_send(c, log + from, k->log.length - from);
		return;
	}
	for (size_t at = 0; at < k->log.length; at += head + length, number++) {
		const char *end = memchr(log + at + head, '\n', k->log.length - at - head);
		int64_t at_ns = number / 2;
		char time[40], seconds[40];
		char frame[8];

		length = end ? (size_t)(end + 1 - log) - at - head : k->log.length - at - head;
		if (head && log[at] == 2)
			at_ns += STDERR_LATE_NS;
		snprintf(time, sizeof(time), "2026-01-02T03:04:05.%09lldZ ", (long long)at_ns);
		snprintf(seconds, sizeof(seconds), "1767323045.%09lld", (long long)at_ns);
		if (at < from || strcmp(seconds, since) < 0)
			continue;
		if (head) {
			memcpy(frame, log + at, head);
			frame[6] = (char)((length + strlen(time)) >> 8); /* lines are short here */
			frame[7] = (char)(length + strlen(time));
			stream_send(c, frame, head);
		}
		stream_send(c, time, strlen(time));
		stream_send(c, log + at + head, length);
	}
}

/* As a rotation does that drops all; what comes then has another time. */
static void log_drop(struct container *k)
{
	for (size_t i = 0; i < k->log.length; i++)
		k->log_dropped += k->log.data[i] == '\n';
	k->log_dropped += k->log_dropped % 2;
	str_clear(&k->log);
}

static void container_write(struct container *k, int stream, const char *data, size_t length)
{
	unsigned char head[8] = {(unsigned char)stream,
				 0,
				 0,
				 0,
				 (unsigned char)(length >> 24),
				 (unsigned char)(length >> 16),
				 (unsigned char)(length >> 8),
				 (unsigned char)length};
	size_t at = k->log.length;

	if (!json_get_bool(k->config, "Tty", false))
		str_add_bytes(&k->log, head, sizeof(head));
	str_add_bytes(&k->log, data, length);
	LIST_FOREACH (session, &k->attached)
		conn_send(LIST_ENTRY(session, struct conn, wait_link), k->log.data + at,
			  k->log.length - at);
	if (json_get(k->labels, "fake.tail"))
		return;
	LIST_FOREACH (node, &k->followers)
		log_send(LIST_ENTRY(node, struct conn, wait_link), k, at, "");
}

static void timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* Answers whoever waits for "not-running", or for anything where removed. */
static void answer_waiters(struct container *k, bool removed)
{
	LIST_FOREACH (node, &k->waiters) {
		struct conn *c = LIST_ENTRY(node, struct conn, wait_link);
		char condition[32], text[64];

		if (!removed && query_get(c, "condition", condition, sizeof(condition)) &&
		    strcmp(condition, "removed") == 0)
			continue;
		snprintf(text, sizeof(text), "{\"Error\":null,\"StatusCode\":%d}\n", k->exit_code);
		list_remove(&c->wait_link);
		reply(c, 200, text);
		conn_process(c);
	}
}

/* Whoever is attached hears of the end. */
static void end_sessions(struct container *k)
{
	while (!list_empty(&k->attached)) {
		struct conn *c = LIST_ENTRY(k->attached.next, struct conn, wait_link);

		c->about = NULL;
		c->raw = NULL;
		conn_finish(c);
	}
}

static void container_remove(struct container *k)
{
	struct container **at = &by_id[hash(k->id) % TABLE_SIZE];

	while (*at != k)
		at = &(*at)->next_id;
	*at = k->next_id;
	list_remove(&k->link);
	container_count--;
	emit_container(k, "destroy", "");
	answer_waiters(k, true);
	while (!list_empty(&k->followers))
		stream_end(LIST_ENTRY(k->followers.next, struct conn, wait_link));
	while (!list_empty(&k->watchers))
		stream_end(LIST_ENTRY(k->watchers.next, struct conn, wait_link));
	end_sessions(k);
	json_object_put(k->config);
	str_fini(&k->log);
	uv_close((uv_handle_t *)&k->timer, timer_closed);
}

static void stats_tick(struct container *k);

static void container_die(struct container *k, int code)
{
	char extra[64];

	if (!container_live(k))
		return;
	k->state = "exited";
	k->exit_code = code;
	k->pid = 0;
	k->finished_ns = now_ns();
	uv_timer_stop(&k->timer);
	snprintf(extra, sizeof(extra), ",\"exitCode\":\"%d\"", code);
	emit_container(k, "die", extra);
	while (!list_empty(&k->followers)) {
		struct conn *c = LIST_ENTRY(k->followers.next, struct conn, wait_link);

		list_remove(&c->wait_link);
		stream_end(c);
		conn_process(c);
	}
	end_sessions(k);
	stats_tick(k);
	answer_waiters(k, false);
	if (json_get_bool(json_get(k->config, "HostConfig"), "AutoRemove", false))
		container_remove(k);
}

/* What the command of the container does as soon as it runs. */
static void container_act(struct container *k)
{
	const char *word = command_word(k, 0);
	char text[512];

	if (strcmp(word, "exit") == 0) {
		container_die(k, atoi(command_word(k, 1)));
	} else if (strcmp(word, "echo") == 0 || strcmp(word, "warn") == 0) {
		snprintf(text, sizeof(text), "%s\n", command_word(k, 1));
		container_write(k, strcmp(word, "echo") == 0 ? 1 : 2, text, strlen(text));
		container_die(k, 0);
	} else if (strcmp(word, "lines") == 0) { /* on both streams in turn, and runs on */
		for (int i = 1; i <= atoi(command_word(k, 1)); i++) {
			snprintf(text, sizeof(text), "line %d\n", i);
			container_write(k, i % 2 ? 1 : 2, text, strlen(text));
		}
	} else if (strcmp(word, "pages") == 0) {
		char page[8192 + 1];

		for (int i = 1; i <= atoi(command_word(k, 1)); i++) {
			snprintf(page, 9, "%07d ", i);
			for (size_t at = 8; at < 8192; at += 8)
				memcpy(page + at, page, 8);
			page[8191] = '\n';
			container_write(k, 1, page, 8192);
		}
		container_die(k, 0);
	}
}

static void signal_container(struct container *k, int signal)
{
	char extra[64];

	snprintf(extra, sizeof(extra), ",\"signal\":\"%d\"", signal);
	emit_container(k, "kill", extra);
	if (signal == 9)
		container_die(k, 137);
	else if ((signal == 15 || signal == 1 || signal == 2 || signal == 3) &&
		 strcmp(command_word(k, 0), "stubborn") != 0 && strcmp(k->state, "paused") != 0)
		container_die(k, 128 + signal);
}

#endif
