/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces, addresses and routes of one network namespace, by rtnetlink. Everything blocks: for threads of
 * the pool. Functions return 0 or the kernel's negative errno.
 */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct netlink;

#define NETLINK_ALIAS_MAX 256

struct netlink_link {
	int index;
	int peer;   /* of a veth: the other end's index, in whatever namespace; 0: none */
	int master; /* 0: none */
	bool up, peer_is_here; /* peer_is_here: in the same namespace */
	uint32_t mtu;
	char name[IFNAMSIZ], kind[16], alias[NETLINK_ALIAS_MAX];
	unsigned char mac[6];
};

/* An address or the destination of a route; bits 0 and no address: the default route. */
struct netlink_address {
	int family;
	unsigned char bytes[16];
	int bits;
};

/* namespace: a path, as /proc/1/ns/net; NULL: our own. */
int netlink_open(const char *namespace, struct netlink **ret);
void netlink_close(struct netlink *netlink); /* NULL does nothing */

/* -ENODEV: there is none. */
int netlink_find(struct netlink *netlink, const char *name, struct netlink_link *ret_link);
/* Calls fn with each until it returns false. */
int netlink_links(struct netlink *netlink, bool (*fn)(void *arg, const struct netlink_link *link),
		  void *arg);
int netlink_add_veth(struct netlink *netlink, const char *name, const char *peer, uint32_t mtu);
int netlink_add_bridge(struct netlink *netlink, const char *name);
int netlink_remove(struct netlink *netlink, int index);
/* mac NULL, mtu 0, master -1 and alias NULL leave it as it is; master 0 is none. */
struct netlink_change {
	const unsigned char *mac;
	uint32_t mtu;
	int master;
	const char *alias;
	bool up;
};
int netlink_change(struct netlink *netlink, int index, const struct netlink_change *change);

/* One that is there already is a success. */
int netlink_add_address(struct netlink *netlink, int index, const struct netlink_address *address);
/* hop NULL: on the link. */
int netlink_add_route(struct netlink *netlink, int index, const struct netlink_address *to,
		      const struct netlink_address *hop);
bool netlink_has_address(struct netlink *netlink, int index, const struct netlink_address *address);
/* index 0: on any interface. hop NULL: by any. */
bool netlink_has_route(struct netlink *netlink, int index, const struct netlink_address *to,
		       const struct netlink_address *hop);

/* "10.0.0.5/24", "default" (of the family); false: it is none. */
bool netlink_read_address(const char *text, int family, struct netlink_address *ret);
bool netlink_overlap(const struct netlink_address *a, const struct netlink_address *b);

#endif
