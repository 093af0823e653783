/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the values of a spec are laid out and written: what parser, printer and copy walk. Private to
 * the spec's files.
 *
 * A plain kind (string, number, list of strings, …) is known to the walkers. A compound kind has a
 * shape: the members of one item, its short text form and its check. Whatever is true of one field
 * alone (a range, a form of text) is a rule, found by the field's place in the struct.
 */
#ifndef MODEL_SPEC_SHAPE_H
#define MODEL_SPEC_SHAPE_H

#include "model/spec.h"

#define SPEC_LIST_MAX      1024
#define SPEC_TEXT_MAX      (64 << 10)
#define SPEC_LONG_TEXT_MAX (128 << 10) /* words of a command, values of variables */
#define SPEC_FIELD_SIZE    96          /* as gantry_error.field */

/* Kinds that only members of compound fields have; they follow enum gantry_field_kind. */
enum spec_member_kind {
	SPEC_MEMBER_PORT = 100,    /* uint16_t */
	SPEC_MEMBER_MOUNT_TYPE,    /* enum gantry_mount_type */
	SPEC_MEMBER_PROCESS_LIMIT, /* int64_t; -1 or "unlimited" */
	SPEC_MEMBER_TEST,          /* struct gantry_strings; text is a shell command */
	SPEC_MEMBER_BLOCK_LIMITS,  /* items and count in struct gantry_block_io */
};

struct spec_rule {
	int64_t minimum, maximum; /* of a number; both 0: 0 or more */
	/* Checks one string (each of a list, each name of pairs); may put it into one form in place,
	 * never longer than it was. NULL: any text. */
	int (*check)(char *text, const char *field, struct gantry_error *err);
	size_t text_max; /* 0: SPEC_TEXT_MAX */
	bool may_be_empty;
};

struct spec_member {
	const char *key;
	int kind;
	size_t offset; /* in the item */
	struct spec_rule rule;
	bool required; /* in the object form; a short form cannot leave it out */
};

/* Every list in a spec is laid out so. Read and written by memcpy: the items' type differs. */
struct spec_list {
	void *items;
	size_t count;
};

struct spec_shape {
	size_t item_size;
	bool is_list;                      /* else the field is one item, in place */
	const struct spec_member *members; /* ends with a NULL key */
	const char *form;                  /* what would be right, after "write " */
	void (*init)(void *item);          /* NULL: zeroes will do */
	/* Reads the short form; text may be cut up and kept. NULL: there is none. */
	int (*from_text)(char *text, struct arena *arena, void *item, const char *field,
			 struct gantry_error *err);
	/* After the members' rules; NULL: nothing more to say. */
	int (*check)(void *item, const char *field, struct gantry_error *err);
	const struct spec_member
		*unique; /* this string member differs in all items; NULL: need not */
};

/* NULL where the kind is plain. */
const struct spec_shape *spec_shape_of(int kind);
/* Never NULL. offset is of a member of struct gantry_spec. */
const struct spec_rule *spec_rule_of(size_t offset);

/* Rules of texts that both fields and members have (spec_rule.c). */
int spec_rule_path(char *text, const char *field, struct gantry_error *err);
int spec_rule_address(char *text, const char *field, struct gantry_error *err);
int spec_rule_variable(char *text, const char *field, struct gantry_error *err);
int spec_rule_port_id(char *text, const char *field, struct gantry_error *err);
int spec_rule_port_type(char *text, const char *field, struct gantry_error *err);
int spec_rule_bridge(char *text, const char *field, struct gantry_error *err);
int spec_rule_mac(char *text, const char *field, struct gantry_error *err);
int spec_rule_prefix(char *text, const char *field, struct gantry_error *err); /* "10.0.0.5/24" */
int spec_rule_route(char *text, const char *field, struct gantry_error *err);
int spec_rule_process_limit(char *text, const char *field, struct gantry_error *err);
int spec_rule_permissions(char *text, const char *field, struct gantry_error *err);
int spec_rule_protocol(char *text, const char *field, struct gantry_error *err);
int spec_rule_log_driver(char *text, const char *field, struct gantry_error *err);
int spec_rule_volume(const char *text, const char *field, struct gantry_error *err);

/* Plain values (spec_number.c). */
const char *spec_kind_text(int kind);
/* "must be a string, not a list" */
int spec_wrong_type(struct json_object *value, int kind, const char *field,
		    struct gantry_error *err);
/* As a person writes it: "64MiB", "1.5", "10s". size >= 32. */
void spec_number_text(int64_t number, int kind, char *text, size_t size);
int spec_number_check(int64_t number, int kind, const struct spec_rule *rule, const char *field,
		      struct gantry_error *err);
int spec_number_parse(struct json_object *value, int kind, int64_t *place, const char *field,
		      struct gantry_error *err);

/* The text with an end of "…" where it is long: for messages. size >= 8. */
const char *spec_quote(const char *text, char *quoted, size_t size);

#endif
