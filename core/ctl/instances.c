/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at instances: ps, show. */
#include <stdlib.h>

#include "base/units.h"
#include "ctl/operation.h"
#include "ctl/output.h"

/* What `ps` shows without --all: all states but stopped and failed. */
#define STATES_ALIVE "pending,creating,starting,running,paused,stopping,removing,unknown"

static void add_state(struct table *table, struct json_object *instance)
{
	const char *state = json_get_string(instance, "state", "");
	const char *health = json_get_string(instance, "health", NULL);
	struct json_object *last_exit = json_get(instance, "last_exit");

	if (strcmp(state, "running") == 0 && health && *health)
		table_addf(table, "%s (%s)", state, health);
	else if ((strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0) && last_exit)
		table_addf(table, "%s (%lld%s)", state,
			   (long long)json_get_int(last_exit, "code", -1),
			   json_get_bool(last_exit, "oom_killed", false) ? ", memory" : "");
	else
		table_add(table, state);
}

/* Since when it is in its state, as far as is known. */
static const char *since(struct json_object *instance)
{
	const char *state = json_get_string(instance, "state", "");
	const char *ended = json_get_string(json_get(instance, "last_exit"), "at", NULL);
	const char *started = json_get_string(instance, "started_at", NULL);
	const char *created = json_get_string(instance, "created_at", NULL);

	if (strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0)
		return ended ? ended : created;
	return started ? started : created;
}

int list_command(struct ctl *ctl)
{
	static const char *const titles[] = {"NAME", "ID", "IMAGE", "NODE", "STATE", "SINCE"};
	const struct args *args = ctl->args;
	struct str path = STR_INIT;
	struct client_reply reply;
	struct json_object *list;
	struct table table;
	const char *states = args_text(args, "state", args_has(args, "all") ? NULL : STATES_ALIVE);
	int status;

	str_add(&path, "/v1/instances");
	for (size_t i = 0; i < args->count; i++) {
		const char *name = args->items[i].option->name;

		if (strcmp(name, "project") == 0 || strcmp(name, "node") == 0 ||
		    strcmp(name, "label") == 0)
			path_query(&path, name, args->items[i].value);
	}
	if (states)
		path_query(&path, "state", states);
	status = call(ctl, NULL, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "instances");
	table_init(&table, 6, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *instance = json_object_array_get_idx(list, i);
		char age[16];

		if (args_has(args, "quiet")) {
			output_line("%s", json_get_string(instance, "id", ""));
			continue;
		}
		table_add(&table, json_get_string(instance, "name", NULL));
		table_addf(&table, "%.8s", json_get_string(instance, "id", ""));
		table_add(&table, json_get_string(instance, "image", NULL));
		table_add(&table, json_get_string(instance, "node", NULL));
		add_state(&table, instance);
		output_age(since(instance), age, sizeof(age));
		table_add(&table, age);
	}
	if (args_has(args, "quiet"))
		table_fini(&table);
	else
		table_print(&table);
	client_reply_fini(&reply);
	return CTL_OK;
}

static void show_text(const char *title, const char *text)
{
	if (text && *text)
		output_line("%-14s %s", title, text);
}

/* A word as one would type it. */
static void add_word(struct str *s, const char *word)
{
	bool plain = *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789-_=+./:,@%") == strlen(word);

	if (s->length)
		str_add_char(s, ' ');
	if (plain) {
		str_add(s, word);
		return;
	}
	str_add_char(s, '\'');
	for (; *word; word++)
		if (*word == '\'')
			str_add(s, "'\\''");
		else
			str_add_char(s, *word);
	str_add_char(s, '\'');
}

/* NAME=VALUE of a variable, NAME of a secret; of another object "type=bind,source=/a". */
static void add_object(struct str *text, struct json_object *object)
{
	const char *name = json_get_string(object, "name", NULL);
	struct str word = STR_INIT;

	if (name && json_get_bool(object, "secret", false)) {
		str_add(&word, name);
	} else if (name && json_object_is_type(json_get(object, "value"), json_type_string)) {
		str_addf(&word, "%s=%s", name, json_get_string(object, "value", ""));
	} else {
		json_object_object_foreach(object, key, value)
			str_addf(&word, "%s%s=%s", word.length ? "," : "", key, json_text(value));
	}
	add_word(text, str_text(&word));
	str_fini(&word);
	if (name && json_get_bool(object, "secret", false))
		str_add(text, " (secret)");
}

/* The value of a field of the spec on one line. */
static void show_value(const char *key, struct json_object *value)
{
	struct str text = STR_INIT;
	char *title = xasprintf("  %s", key);

	if (json_object_is_type(value, json_type_int) && str_starts_with(key, "memory")) {
		char size[24];

		units_format_size(json_object_get_int64(value), size, sizeof(size));
		str_add(&text, size);
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			struct json_object *item = json_object_array_get_idx(value, i);

			if (json_object_is_type(item, json_type_object))
				add_object(&text, item);
			else
				add_word(&text, json_text(item));
		}
	} else if (json_object_is_type(value, json_type_object)) {
		add_object(&text, value);
	} else {
		str_add(&text, json_text(value));
	}
	output_line("%-14s %s", title, str_text(&text));
	free(title);
	str_fini(&text);
}

static void show_ports(struct json_object *ports)
{
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		const char *ip = json_get_string(port, "host_ip", "");
		bool six = strchr(ip, ':') != NULL;

		output_line("%-14s %s%s%s:%lld to %lld/%s", i ? "" : "ports", six ? "[" : "", ip,
			    six ? "]" : "", (long long)json_get_int(port, "host_port", 0),
			    (long long)json_get_int(port, "container_port", 0),
			    json_get_string(port, "protocol", "tcp"));
	}
}

static void show_serial(struct json_object *serial)
{
	const char *until = json_get_string(serial, "until", NULL);

	if (!serial)
		return;
	output_line("%-14s %s %lld, %lld connected%s%s", "serial",
		    json_get_string(serial, "host", ""), (long long)json_get_int(serial, "port", 0),
		    (long long)json_get_int(serial, "peers", 0), until ? ", until " : "",
		    until ? until : "");
}

static void show_instance(struct json_object *instance)
{
	static const char *const shown[] = {"name", "project", "labels", "image", NULL};
	struct json_object *spec = json_get(instance, "spec"),
			   *labels = json_get(instance, "labels");
	struct json_object *last_exit = json_get(instance, "last_exit");
	const char *health = json_get_string(instance, "health", NULL);
	struct str state = STR_INIT, text = STR_INIT;
	char age[16];

	show_text("name", json_get_string(instance, "name", NULL));
	show_text("id", json_get_string(instance, "id", NULL));
	show_text("project", json_get_string(instance, "project", NULL));
	str_add(&state, json_get_string(instance, "state", ""));
	if (health && *health)
		str_addf(&state, " (%s)", health);
	if (json_get_string(instance, "known_state", NULL))
		str_addf(&state, ", last seen %s", json_get_string(instance, "known_state", ""));
	str_addf(&state, ", wanted %s", json_get_string(instance, "intent", ""));
	show_text("state", str_text(&state));
	str_fini(&state);
	show_text("image", json_get_string(instance, "image", NULL));
	show_text("node", json_get_string(instance, "node", NULL));
	show_text("container", json_get_string(instance, "container_id", NULL));
	show_text("address", json_get_string(instance, "address", NULL));
	show_ports(json_get(instance, "ports"));
	show_serial(json_get(instance, "serial"));
	show_text("created", json_get_string(instance, "created_at", NULL));
	if (json_get_string(instance, "started_at", NULL)) {
		output_age(json_get_string(instance, "started_at", NULL), age, sizeof(age));
		output_line("%-14s %s (%s ago), %lld times", "started",
			    json_get_string(instance, "started_at", ""), age,
			    (long long)json_get_int(instance, "boots", 0));
	}
	if (last_exit) {
		output_exit(&text, last_exit);
		output_line("%-14s %s at %s", "last exit", str_text(&text),
			    json_get_string(last_exit, "at", "?"));
		str_fini(&text);
	}
	if (labels && json_object_object_length(labels)) {
		output_line("labels");
		json_object_object_foreach(labels, label, value)
			output_line("  %s=%s", label, json_object_get_string(value));
	}
	if (!spec)
		return;
	output_line("spec");
	json_object_object_foreach(spec, key, member)
	{
		bool known = false;

		for (size_t i = 0; shown[i]; i++)
			known |= strcmp(key, shown[i]) == 0;
		if (!known)
			show_value(key, member);
	}
}

int show_command(struct ctl *ctl)
{
	int status = CTL_OK;
	bool shown = false;

	for (size_t i = 0; i < ctl->args->word_count; i++) {
		char *path = instance_path(ctl, ctl->args->words[i], "");
		struct client_reply reply;
		int one = call(ctl, ctl->args->words[i], "GET", path, NULL, 0, &reply, NULL);

		free(path);
		if (status == CTL_OK)
			status = one;
		if (one != CTL_OK)
			continue;
		if (shown && !ctl->json)
			output_line("%s", "");
		if (ctl->json)
			output_raw(&reply);
		else
			show_instance(reply.json);
		shown = true;
		client_reply_fini(&reply);
	}
	return status;
}
