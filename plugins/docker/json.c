/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

struct json_object *docker_get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

const char *docker_text(struct json_object *object, const char *key)
{
	struct json_object *value = docker_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

int64_t docker_int(struct json_object *object, const char *key, int64_t fallback)
{
	struct json_object *value = docker_get(object, key);

	return json_object_is_type(value, json_type_int) ||
			       json_object_is_type(value, json_type_double)
		       ? json_object_get_int64(value)
		       : fallback;
}

bool docker_bool(struct json_object *object, const char *key)
{
	return json_object_get_boolean(docker_get(object, key));
}

void docker_add(struct json_object *object, const char *key, const char *text)
{
	if (text)
		json_object_object_add(object, key, json_object_new_string(text));
}

void docker_add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

const char *docker_print(struct json_object *value)
{
	return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE);
}

const char *docker_keep(struct docker_node *node, struct gantry_op *op, const char *text)
{
	char *copy;

	if (!text)
		return NULL;
	copy = node->host->op_alloc(op, strlen(text) + 1);
	return strcpy(copy, text);
}

struct gantry_strings docker_keep_list(struct docker_node *node, struct gantry_op *op,
				       struct json_object *array)
{
	struct gantry_strings list = {0};

	if (!json_object_is_type(array, json_type_array) || json_object_array_length(array) == 0)
		return list;
	list.items = node->host->op_alloc(op, json_object_array_length(array) * sizeof(char *));
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		if (json_object_is_type(item, json_type_string))
			list.items[list.count++] =
				docker_keep(node, op, json_object_get_string(item));
	}
	return list;
}

struct gantry_pairs docker_keep_pairs(struct docker_node *node, struct gantry_op *op,
				      struct json_object *object)
{
	struct gantry_pairs pairs = {0};

	if (!json_object_is_type(object, json_type_object) ||
	    json_object_object_length(object) == 0)
		return pairs;
	pairs.items = node->host->op_alloc(op, (size_t)json_object_object_length(object) *
						       sizeof(*pairs.items));
	json_object_object_foreach(object, key, value)
	{
		if (!json_object_is_type(value, json_type_string))
			continue;
		pairs.items[pairs.count].name = docker_keep(node, op, key);
		pairs.items[pairs.count++].value =
			docker_keep(node, op, json_object_get_string(value));
	}
	return pairs;
}

int64_t docker_time_ns(const char *text)
{
	struct tm tm = {0};
	int64_t fraction = 0, scale = 100000000, offset_s = 0;
	int used = 0, hours, minutes;
	time_t seconds;

	if (!text || sscanf(text, "%d-%d-%dT%d:%d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			    &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
		return 0;
	if (tm.tm_year < 1970)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	text += used;
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text); text++, scale /= 10)
			fraction += (*text - '0') * scale;
	if ((*text == '+' || *text == '-') && sscanf(text + 1, "%d:%d", &hours, &minutes) == 2)
		offset_s = (hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
	seconds = timegm(&tm);
	return ((int64_t)seconds - offset_s) * 1000000000 + fraction;
}

int64_t docker_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *docker_url(const char *text)
{
	char *encoded = malloc(strlen(text) * 3 + 1), *out = encoded;

	if (!encoded)
		abort();
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~/:@", c))
			*out++ = (char)c;
		else
			out += sprintf(out, "%%%02X", c);
	}
	*out = '\0';
	return encoded;
}

int docker_stream_feed(struct docker_stream *stream, const char *data, size_t length,
		       int (*fn)(void *arg, struct json_object *value), void *arg)
{
	if (!stream->tokener)
		stream->tokener = json_tokener_new_ex(64);
	while (length > 0) {
		struct json_object *value;
		size_t used;
		int code;

		if (!stream->inside) {
			while (length > 0 && isspace((unsigned char)*data))
				data++, length--;
			if (length == 0)
				return 0;
			if (*data != '{' && *data != '[')
				return -EPROTO;
		}
		value = json_tokener_parse_ex(stream->tokener, data, (int)length);
		if (!value) {
			stream->inside = true;
			return json_tokener_get_error(stream->tokener) == json_tokener_continue
				       ? 0
				       : -EPROTO;
		}
		stream->inside = false;
		used = json_tokener_get_parse_end(stream->tokener);
		json_tokener_reset(stream->tokener);
		data += used;
		length -= used;
		code = fn(arg, value);
		json_object_put(value);
		if (code < 0)
			return code;
	}
	return 0;
}

void docker_stream_fini(struct docker_stream *stream)
{
	if (stream->tokener)
		json_tokener_free(stream->tokener);
	*stream = (struct docker_stream){0};
}

const struct gantry_error *docker_events_ended(const struct gantry_error *err,
					       struct gantry_error *ended)
{
	if (err)
		return err;
	gantry_error_set(ended, -EHOSTUNREACH, "docker: the engine ended the stream of events");
	return ended;
}
