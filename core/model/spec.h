/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spec's text forms. The struct and its table of fields are in gantry/spec.h.
 *
 * A spec in memory has all its strings in one arena that its owner keeps beside it.
 */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <gantry/error.h>
#include <gantry/runtime.h>
#include <gantry/spec.h>

#include "base/arena.h"
#include "base/json.h"

/* One row of GANTRY_SPEC_FIELDS at run time. */
struct spec_field {
	const char *key;
	enum gantry_field_kind kind;
	unsigned flags; /* enum gantry_field_flags */
	size_t offset;  /* in struct gantry_spec */
	const char *option, *metavar, *help;
};

/* Ends with a row whose key is NULL. */
extern const struct spec_field spec_fields[];
/* By enum gantry_mount_type; ends with NULL. */
extern const char *const spec_mount_types[];
/* NULL where there is none. */
const struct spec_field *spec_field_find(const char *key);

/* A spec in which nothing is given. */
void spec_init(struct gantry_spec *spec);

/*
 * Reads a JSON object. An unknown key, a wrong type, a value out of range or of the wrong unit is an
 * error whose `field` names the place ("mounts[1].target", "memory") and whose text says what would
 * be right, with a "did you mean" for a key. null is as not given. Required fields must be there.
 * spec is initialised here. A variable {name} without a value is read (labels and the store keep it
 * so): a new request goes through spec_check_complete as well.
 */
int spec_parse(struct json_object *object, struct arena *arena, struct gantry_spec *ret_spec,
	       struct gantry_error *err);

/*
 * Reads only the fields that may be changed while the instance runs (GANTRY_FIELD_RESIZE); any other
 * key is an error. At least one must be given. Where only one of memory and memory_swap is, the
 * caller holds it against the other as it is now: spec_check_limits.
 */
int spec_parse_resize(struct json_object *object, struct arena *arena,
		      struct gantry_limits *ret_limits, struct gantry_error *err);

/*
 * Reads what an exec is asked with: only the fields that a process beside the instance's has
 * (GANTRY_FIELD_EXEC), each variable with its value. There must be a command.
 */
int spec_parse_exec(struct json_object *object, struct arena *arena, struct gantry_exec *ret_exec,
		    struct gantry_error *err);

/* Reads one of network_ports; fields begin with "port". */
int spec_parse_port(struct json_object *value, struct arena *arena,
		    struct gantry_network_port *ret_port, struct gantry_error *err);

/* memory_swap counts both, so it is not under memory; GANTRY_UNSET is not held against the other. */
int spec_check_limits(int64_t memory_bytes, int64_t memory_swap_bytes, struct gantry_error *err);
/* Each variable has a value. */
int spec_check_values(const struct gantry_envs *environment, struct gantry_error *err);
/*
 * What a spec needs before a container is made of it, after policies had their say: required fields,
 * memory where memory_swap is, a value for each variable, spec_check_limits.
 */
int spec_check_complete(const struct gantry_spec *spec, struct gantry_error *err);

enum spec_values {
	SPEC_VALUES_NONE,  /* names of environment variables only: labels */
	SPEC_VALUES_PLAIN, /* values of what is no secret; secrets by name: the store, the API */
	SPEC_VALUES_ALL,   /* everything: for the engine, never to be kept */
};

/* The JSON of what was given: spec_parse of it gives the same spec (but for values left out). */
struct json_object *spec_print(const struct gantry_spec *spec, enum spec_values values);

/* A deep copy of *from into the arena. */
void spec_copy(const struct gantry_spec *from, struct arena *arena, struct gantry_spec *ret_spec);

/*
 * What in the spec could reach out of the container, one line each in a fixed form that policies
 * match: "mounts: bind /etc rw", "mounts: instance ID ro", "network: host", "network: container:x",
 * "network: NAME" of any network but the engine's bridge, "network_ports: br-int", "cap_add: SYS_ADMIN",
 * "devices: /dev/kvm", "sysctls: kernel.msgmax". Volumes, tmpfs, bridge and none are no such thing.
 * Capabilities are upper case without "CAP_"; paths have no "..", "." or "//" and no "/" at the end
 * (a symbolic link on the node is not seen through).
 */
void spec_unsafe(const struct gantry_spec *spec, struct arena *arena, struct gantry_strings *ret);

#endif
