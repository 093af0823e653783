/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the net plugin. One file a subject:
 *
 *   plugin.c   the exported struct, the role, and the work that goes to the pool, one piece after the other
 *   driver.c   the network driver that engines ask: requests on a socket
 *   socket.c   the socket, and how engines find it
 *   port.c     a port: read, printed, and what of it the engine can be given
 *   wiring.c   its two ends: made, plugged, finished inside, removed
 *   ovs.c      the bridge that is Open vSwitch's
 *   doctor.c   what is wrong with it
 *   netlink.c  interfaces, addresses and routes
 */
#ifndef NET_H
#define NET_H

#include <gantry/plugin.h>

#include <json-c/json.h>

#include "netlink.h"

#define NET_ADDRESSES_MAX 16
#define NET_ROUTES_MAX    64
#define NET_ALIAS         "gantry "

struct net_settings {
	const char *plugin_folder, *socket_folder;
	int64_t ovs_timeout_ms;
};

struct net_route {
	struct netlink_address to, hop;
	bool has_hop;
};

/* A port with no pointers, so that a thread may have a copy. */
struct net_port {
	char id[40], bridge[IFNAMSIZ], instance[64];
	bool ovs, create_bridge;
	unsigned char mac[6];
	uint32_t mtu;
	struct netlink_address addresses[NET_ADDRESSES_MAX];
	bool engines[NET_ADDRESSES_MAX]; /* the engine is given it: at most one of a family */
	size_t address_count;
	struct net_route routes[NET_ROUTES_MAX];
	size_t route_count;
	char tap[IFNAMSIZ];   /* the end on the node, by the name that Neutron's agents look for */
	char inner[IFNAMSIZ]; /* the end that the engine takes inside */
};

struct net_work;
struct net_endpoint;

typedef void (*net_handler_fn)(void *arg, struct gantry_request *request, const char *path,
			       const char *body);

struct net {
	const struct gantry_host *host; /* borrowed, as settings */
	const struct net_settings *settings;
	char *owner, *driver;           /* owned; NULL before serve */
	net_handler_fn handle;          /* of requests */
	struct gantry_server *server;   /* owned; NULL: see unserved */
	struct gantry_error unserved;   /* why engines do not find us yet */
	struct gantry_timer *again;     /* set while that is tried again */
	char *socket, *link;            /* paths, owned */
	struct net_work *works;         /* the first is on the pool */
	struct net_endpoint *endpoints; /* that were made and not deleted, of this life */
};

/* Queues it: run on the pool, one at a time, then done on the loop. */
void net_do(struct net *net, void (*run)(void *arg), void (*done)(void *arg), void *arg);

/* --- driver.c --- */

int net_driver_open(struct net *net, struct gantry_error *err);
void net_driver_close(struct net *net);

/* --- socket.c --- */

/* Also where it could not be yet, and is tried again. */
int net_socket_open(struct net *net, net_handler_fn handle, struct gantry_error *err);
/* Engines still find it, or again; before a start. */
void net_socket_look(struct net *net);
void net_socket_close(struct net *net);

/* --- port.c --- */

int net_port_read(const struct gantry_network_port *port, const char *instance,
		  struct net_port *ret_port, struct gantry_error *err);
/* Which addresses the engine is given: it takes one of a family, in no network that it was given before. */
void net_plan(struct net_port *ports, size_t count);
/* The engine is given an address of this family. */
bool net_has_family(const struct net_port *port, int family);
/* The port is wholly the engine's to make. */
bool net_is_engines(const struct net_port *port);
/* What the driver is told of it; net_port_told reads it again. The caller frees. */
char *net_port_tell(const struct gantry_network_port *port);
int net_port_told(const char *text, const char *instance, struct net_port *ret_port,
		  struct gantry_error *err);
/* "10.0.0.5/24", without the bits where they are not wanted. */
const char *net_address_text(const struct netlink_address *address, bool bits, char text[64]);

/* --- wiring.c; all block --- */

/* endpoint: the engine's id, that comes for it now; NULL: before a start. */
int net_plug(const struct net *net, const struct net_port *port, const char *endpoint,
	     struct gantry_error *err);
/* Unless an engine has taken it. */
int net_unplug(const struct net *net, const struct net_port *port, struct gantry_error *err);
/* Of which only the engine's id is known. */
int net_unplug_endpoint(const struct net *net, const char *endpoint, struct gantry_error *err);
/* Ends that no engine has taken: what a life before left. */
int net_sweep(const struct net *net, struct gantry_error *err);
int net_finish(const struct net_port *port, int64_t pid, struct gantry_error *err);
/* "fa:16:3e:12:34:56" */
const char *net_mac_text(const unsigned char mac[6], char text[18]);

/* --- ovs.c; all block --- */

bool net_ovs_has_bridge(const struct net *net, const char *bridge, struct gantry_error *err);
int net_ovs_add(const struct net *net, const struct net_port *port, struct gantry_error *err);
/* One that is not there is a success, as is a host without Open vSwitch. */
int net_ovs_remove(const struct net *net, const char *tap, struct gantry_error *err);
bool net_ovs_has_port(const struct net *net, const struct net_port *port);

/* --- doctor.c; blocks --- */

/* Calls tell for each thing that is wrong. */
void net_examine(const struct net *net, const struct net_port *port, int64_t pid,
		 void (*tell)(void *arg, const struct net_port *port, const char *text), void *arg);

#endif
