/* SPDX-License-Identifier: Apache-2.0 */
/* All instances and nodes that this daemon knows, found by id, name or unique prefix in O(log n). */
#ifndef MODEL_FLEET_H
#define MODEL_FLEET_H

#include "model/instance.h"
#include "model/node.h"
#include "model/past.h"

/* What instances have in sum; a limit that is not set counts 0. */
struct fleet_usage {
	int64_t instances, memory_bytes, nano_cpus;
};

struct fleet_project {
	char *name;                /* owned */
	struct fleet_usage usage;  /* of all that were admitted */
	struct fleet_usage placed; /* of those that are on a node */
};

/* A port of a network that an instance has. */
struct fleet_port {
	const char *id;            /* in the memory of the instance */
	struct instance *instance; /* borrowed */
};

struct fleet {
	struct list instances;     /* owned, oldest first */
	struct instance **by_id;   /* sorted by id */
	struct instance **by_name; /* sorted by name, then project */
	size_t count, capacity;
	struct fleet_port *ports; /* owned, sorted by id */
	size_t port_count, port_capacity;
	struct node **nodes;         /* borrowed, in the order of the settings */
	struct node **nodes_by_name; /* the same, sorted */
	size_t node_count;
	struct fleet_project **projects; /* owned, sorted by name: those that have instances */
	size_t project_count, project_capacity;
	size_t borrowers; /* instances that mount another's filesystem */
	struct past past; /* of the nodes */
};

void fleet_init(struct fleet *fleet);
/* Frees all instances; the nodes are their owner's, and must still be there. */
void fleet_fini(struct fleet *fleet);

/* Takes the instance over. -EEXIST where its name is taken in its project. */
int fleet_add(struct fleet *fleet, struct instance *instance, struct gantry_error *err);
/* Takes it out and frees it. */
void fleet_remove(struct fleet *fleet, struct instance *instance);

struct instance *fleet_find(const struct fleet *fleet, const char *id);
/*
 * What a person means by word: an id, "PROJECT/NAME", a name (in the project given, else the only
 * one of that name, else the one in "default"), or a prefix of ids or names that fits one only
 * (at least 2 characters). -ENOENT, or -ENOTUNIQ with the candidates.
 */
int fleet_resolve(const struct fleet *fleet, const char *word, const char *project,
		  struct instance **ret_instance, struct gantry_error *err);

/* The ports of an instance are these from now on; what they point to is in its memory. */
void fleet_set_ports(struct fleet *fleet, struct instance *instance,
		     const struct gantry_network_ports *ports);
/* Which instance, but one, has the port; NULL: none. */
const struct instance *fleet_port_owner(const struct fleet *fleet, const char *port,
					const struct instance *but);

/*
 * Another instance that has this one's filesystem mounted, or would have: active, as its process is
 * there or about to be; else NULL.
 */
const struct instance *fleet_borrower(const struct fleet *fleet, const struct instance *instance);

/*
 * Counts the instance in its project, with what its spec says now; again after that has changed, and
 * after it was placed. One that was not yet admitted is not counted. Removing it counts it out.
 */
void fleet_count(struct fleet *fleet, struct instance *instance);
/*
 * What the project has, without one of its instances (NULL: with all). Admission looks at all that were
 * admitted, placement at those that were placed: of several that are on their way between the two and
 * do not all fit, the first one does.
 */
struct fleet_usage fleet_usage(const struct fleet *fleet, const char *project,
			       const struct instance *but);
struct fleet_usage fleet_usage_placed(const struct fleet *fleet, const char *project,
				      const struct instance *but);

/* NULL where there is none, as where name is NULL. */
struct node *fleet_node(const struct fleet *fleet, const char *name);
void fleet_add_node(struct fleet *fleet, struct node *node);
/* Puts the instance on the node; it leaves the one where it was. Promises are not touched. */
void fleet_place(struct instance *instance, struct node *node);
/* It is on none again. */
void fleet_unplace(struct instance *instance);

#endif
