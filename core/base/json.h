/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: json-c with our errors. This header is the one place that includes json-c; everybody else
 * gets `struct json_object` from here. Reading functions take the path of the value for messages.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include <gantry/error.h>

#define JSON_DEPTH_MAX 32

/*
 * Parses one JSON value that fills the text; duplicate keys keep the last. Depth is limited to
 * JSON_DEPTH_MAX. The error tells the offset. *ret_value is owned by the caller (json_object_put);
 * it is NULL for the JSON value null.
 */
int json_parse(const char *text, size_t length, struct json_object **ret_value,
	       struct gantry_error *err);

/* The member, or NULL where object is no object or has none (or null). Borrowed. */
struct json_object *json_get(struct json_object *object, const char *key);
/* A member's value, or the fallback where it is missing or of another type. Strings are borrowed. */
const char *json_get_string(struct json_object *object, const char *key, const char *fallback);
int64_t json_get_int(struct json_object *object, const char *key, int64_t fallback);
bool json_get_bool(struct json_object *object, const char *key, bool fallback);

/* Adds a string member; NULL text adds nothing. What is no UTF-8, as a text that was cut inside of a
 * character, becomes U+FFFD: JSON has nothing else. */
void json_add_string(struct json_object *object, const char *key, const char *text);
void json_add_int(struct json_object *object, const char *key, int64_t value);
void json_add_bool(struct json_object *object, const char *key, bool value);
/* Adds an RFC 3339 time; 0 adds nothing. */
void json_add_time(struct json_object *object, const char *key, int64_t wall_ms);

/*
 * The value as one block of text, for one that is kept to be printed: a tree of json-c takes some ten
 * times as much. It prints as the value did and cannot be looked into. Takes value over (NULL gives
 * NULL); the caller owns the answer.
 */
struct json_object *json_pack(struct json_object *value);

/* The value as one line of JSON, until it is printed again or let go. */
const char *json_line(struct json_object *value);
/* The same, but of a string its text. */
const char *json_text(struct json_object *value);

/* What a person calls the type of value: "a string", "an object", "null", … */
const char *json_type_text(struct json_object *value);

#endif
