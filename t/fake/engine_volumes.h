/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's volumes: create, which answers with the one that is there, inspect, list, remove and
 * prune. As with Docker 20.10, a create of what is there is told as one too, and a prune by one event that
 * names none. Included once, by engine.c.
 */
#ifndef FAKE_ENGINE_VOLUMES_H
#define FAKE_ENGINE_VOLUMES_H

#include "engine_state.h"

static struct json_object *volumes; /* a map from name to what inspect says */

static void emit_volume(const char *action, const char *name)
{
	emit("volume", action, name, "", "", NULL, "");
}

static void volume_create(struct conn *c)
{
	struct json_object *body = json_tokener_parse(str_text(&c->body)), *volume;
	const char *name = json_get_string(body, "Name", "");
	struct json_object *labels = json_get(body, "Labels");

	volume = json_get(volumes, name);
	if (!volume) {
		volume = json_object_new_object();
		json_add_string(volume, "Name", name);
		json_add_string(volume, "Driver", "local");
		json_add_string(volume, "Scope", "local");
		json_object_object_add(volume, "Labels", json_object_get(labels));
		json_object_object_add(volumes, name, volume);
	}
	emit_volume("create", name);
	reply_json(c, 201, json_object_get(volume));
	json_object_put(body);
}

static void volume_list(struct conn *c)
{
	struct json_object *answer = json_object_new_object(), *list = json_object_new_array();

	json_object_object_foreach(volumes, name, volume)
	{
		(void)name;
		json_object_array_add(list, json_object_get(volume));
	}
	json_object_object_add(answer, "Volumes", list);
	reply_json(c, 200, answer);
}

static void volume_prune(struct conn *c)
{
	json_object_put(volumes);
	volumes = json_object_new_object();
	emit_volume("prune", "");
	reply(c, 200, "{\"VolumesDeleted\":[],\"SpaceReclaimed\":0}");
}

static void route_volume(struct conn *c)
{
	const char *name = c->path + strlen("/volumes/");
	struct json_object *volume;

	if (strcmp(c->path, "/volumes") == 0) {
		volume_list(c);
		return;
	}
	if (strcmp(name, "create") == 0) {
		volume_create(c);
		return;
	}
	if (strcmp(name, "prune") == 0) {
		volume_prune(c);
		return;
	}
	volume = json_get(volumes, name);
	if (!volume) {
		reply_error(c, 404, "get %s: no such volume", name);
	} else if (strcmp(c->method, "DELETE") == 0) {
		emit_volume("destroy", name);
		json_object_object_del(volumes, name);
		reply(c, 204, "");
	} else {
		reply_json(c, 200, json_object_get(volume));
	}
}

#endif
