/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: what the API starts. Each checks what can be checked at once (states, values, names),
 * makes a flow and answers with its operation; the rest happens later. On failure nothing was begun.
 *
 * Errors: -EINVAL and -ERANGE with the field, -ENOENT, -EEXIST, -EALREADY (it is so already), -EBUSY
 * (wrong state, or another operation is under way), -EAGAIN (going down), -ENOTSUP (not offered by the
 * node's plugin). A policy's no comes later, as the operation's error (-EACCES).
 */
#ifndef FLOWS_FLOWS_H
#define FLOWS_FLOWS_H

#include "flows/daemon.h"

/* Who asks. Strings are copied. */
struct flows_ask {
	const char *actor;
	const char *user;            /* on whose behalf; NULL: the actor's own */
	const char *via;             /* see script_request; NULL: "api" */
	const char *project;         /* a spawn's where the spec names none; NULL: "default" */
	const char *idempotency_key; /* NULL: none */
	uint64_t request_hash;
};

/* start: else it is made only, and stopped. */
int flows_spawn(struct daemon *daemon, const struct flows_ask *ask, struct json_object *spec,
		bool start, struct operation **ret_operation, struct gantry_error *err);
int flows_start(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct operation **ret_operation, struct gantry_error *err);
/* grace_ms GANTRY_UNSET: the spec's. */
int flows_stop(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	       int64_t grace_ms, struct operation **ret_operation, struct gantry_error *err);
int flows_restart(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		  int64_t grace_ms, struct operation **ret_operation, struct gantry_error *err);
int flows_pause(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct operation **ret_operation, struct gantry_error *err);
int flows_unpause(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		  struct operation **ret_operation, struct gantry_error *err);
int flows_kill(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	       int signal, struct operation **ret_operation, struct gantry_error *err);
int flows_resize(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 struct json_object *limits, struct operation **ret_operation,
		 struct gantry_error *err);
/* force: also one that runs. */
int flows_remove(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 bool force, struct operation **ret_operation, struct gantry_error *err);
int flows_pull(struct daemon *daemon, const struct flows_ask *ask, const char *node,
	       const char *image, struct operation **ret_operation, struct gantry_error *err);

struct node_link;
int flows_image_remove(struct daemon *daemon, const struct flows_ask *ask, struct node_link *link,
		       const char *image, struct operation **ret_operation,
		       struct gantry_error *err);
/* request: {port: as in network_ports of a spec}. */
int flows_port_attach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		      struct json_object *request, struct operation **ret_operation,
		      struct gantry_error *err);
int flows_port_detach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		      const char *port, struct operation **ret_operation, struct gantry_error *err);
/* image: NAME or NAME:TAG. pause: the processes rest meanwhile. */
int flows_commit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 const char *image, bool pause, struct operation **ret_operation,
		 struct gantry_error *err);

extern const struct flow_kind flow_spawn, flow_start, flow_stop, flow_restart, flow_pause,
	flow_unpause, flow_kill, flow_resize, flow_remove, flow_pull, flow_image_remove,
	flow_commit, flow_port_attach, flow_port_detach;

#endif
