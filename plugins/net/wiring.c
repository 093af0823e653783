/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a port: a veth pair. The end on the node is on the bridge from its first moment on, so that
 * whoever wires bridges (Neutron's agents) sees it; the other waits beside it until an engine takes it inside.
 *
 * Whose it is stands in the alias of the end on the node: "gantry OWNER PORT ENDPOINT". What has another one
 * is not ours, and is left alone. A bridge that was made here has "gantry OWNER", and goes with its last port.
 * Both ends of a pair go where one does, and one that is inside goes with its namespace: after a crash
 * of all there is nothing to tidy but pairs that nobody came for.
 */
#include "net.h"

static int failed(int code, const struct net_port *port, const char *what, const char *name,
		  struct gantry_error *err)
{
	return gantry_error_set(
		err, code, "net: port %s: %s %s: %s%s", port->id, what, name, strerror(-code),
		code == -EPERM ? ": gantryd lacks a capability, see contrib/systemd/net.conf" : "");
}

const char *net_mac_text(const unsigned char mac[6], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return text;
}

static int open_own(struct netlink **ret, struct gantry_error *err)
{
	int code = netlink_open(NULL, ret);

	if (code < 0)
		return gantry_error_set(err, code, "net: netlink: %s", strerror(-code));
	return 0;
}

/* --- bridges ------------------------------------------------------------------------------------- */

/* One that cannot be marked as ours would be left: it goes. */
static int make_bridge(struct netlink *netlink, const struct net *net, const struct net_port *port,
		       struct netlink_link *bridge)
{
	char alias[NETLINK_ALIAS_MAX];
	struct netlink_change change = {.master = -1, .alias = alias, .up = true};
	int code = netlink_add_bridge(netlink, port->bridge);

	if (code < 0) /* somebody may have been faster */
		return code == -EEXIST ? netlink_find(netlink, port->bridge, bridge) : code;
	snprintf(alias, sizeof(alias), NET_ALIAS "%s", net->owner);
	code = netlink_find(netlink, port->bridge, bridge);
	if (code == 0)
		code = netlink_change(netlink, bridge->index, &change);
	if (code < 0 && netlink_find(netlink, port->bridge, bridge) == 0)
		netlink_remove(netlink, bridge->index);
	return code;
}

static int find_bridge(struct netlink *netlink, const struct net *net, const struct net_port *port,
		       struct netlink_link *bridge, struct gantry_error *err)
{
	int code = netlink_find(netlink, port->bridge, bridge);

	if (code == -ENODEV && !port->create_bridge)
		return gantry_error_set(
			err, code,
			"net: port %s: there is no bridge %s on this host; make it, or "
			"give the port create_bridge",
			port->id, port->bridge);
	if (code < 0 && code != -ENODEV)
		return failed(code, port, "look for bridge", port->bridge, err);
	if (code == -ENODEV)
		code = make_bridge(netlink, net, port, bridge);
	if (code < 0)
		return failed(code, port, "make bridge", port->bridge, err);
	if (strcmp(bridge->kind, "bridge") != 0)
		return gantry_error_set(err, -EINVAL,
					"net: port %s: %s is no bridge of Linux; name one, or say "
					"type=ovs where it is of Open vSwitch",
					port->id, port->bridge);
	return 0;
}

static bool count_plugged(void *arg, const struct netlink_link *link)
{
	int *left = arg; /* [0]: the bridge's index, [1]: how many */

	left[1] += link->master == left[0];
	return true;
}

/* A bridge that was made here goes with its last port. */
static int tidy_bridge(struct netlink *netlink, const struct net *net,
		       const struct netlink_link *bridge, struct gantry_error *err)
{
	char ours[NETLINK_ALIAS_MAX];
	int left[2] = {bridge->index, 0}, code;

	snprintf(ours, sizeof(ours), NET_ALIAS "%s", net->owner);
	if (strcmp(bridge->alias, ours) != 0)
		return 0;
	code = netlink_links(netlink, count_plugged, left);
	if (code == 0 && left[1] == 0)
		code = netlink_remove(netlink, bridge->index);
	if (code < 0 && code != -ENODEV)
		return gantry_error_set(err, code,
					"net: remove bridge %s, which was made for ports that are "
					"gone: %s",
					bridge->name, strerror(-code));
	return 0;
}

struct by_index {
	int index;
	struct netlink_link link;
};

static bool has_index(void *arg, const struct netlink_link *link)
{
	struct by_index *look = arg;

	if (link->index != look->index)
		return true;
	look->link = *link;
	return false;
}

/* --- plug and unplug ----------------------------------------------------------------------------- */

static void make_alias(const struct net *net, const struct net_port *port, const char *endpoint,
		       char alias[NETLINK_ALIAS_MAX])
{
	snprintf(alias, NETLINK_ALIAS_MAX, NET_ALIAS "%s %s %s", net->owner, port->id,
		 endpoint ? endpoint : "-");
}

static bool is_ours(const struct netlink_link *tap, const struct net *net,
		    const struct net_port *port)
{
	char start[NETLINK_ALIAS_MAX];

	snprintf(start, sizeof(start), NET_ALIAS "%s %s ", net->owner, port->id);
	return strncmp(tap->alias, start, strlen(start)) == 0;
}

/* One on a bridge of Linux is no affair of Open vSwitch, which may not answer. */
static int remove_tap(struct netlink *netlink, const struct net *net,
		      const struct netlink_link *tap, struct gantry_error *err)
{
	struct by_index bridge = {.index = tap->master};
	int code = 0;

	if (tap->master)
		code = netlink_links(netlink, has_index, &bridge);
	if (code < 0)
		return gantry_error_set(err, code, "net: look for the bridge of %s: %s", tap->name,
					strerror(-code));
	if (strcmp(bridge.link.kind, "bridge") != 0)
		code = net_ovs_remove(net, tap->name, err);
	if (code < 0)
		return code;
	code = netlink_remove(netlink, tap->index);
	if (code < 0 && code != -ENODEV)
		return gantry_error_set(err, code, "net: remove %s: %s", tap->name,
					strerror(-code));
	return tap->master ? tidy_bridge(netlink, net, &bridge.link, err) : 0;
}

/* The pair is there. Its end on the node gets its marks and comes onto the bridge. */
static int set_up(struct netlink *netlink, const struct net *net, const struct net_port *port,
		  const char *endpoint, int bridge, struct gantry_error *err)
{
	struct netlink_change outside = {.mtu = port->mtu, .master = bridge, .up = true};
	struct netlink_change inside = {.mac = port->mac, .mtu = port->mtu, .master = -1};
	char alias[NETLINK_ALIAS_MAX], what[48];
	unsigned char mac[6];
	struct netlink_link link;
	int code;

	/* a bridge takes the lowest MAC of its ports for its own: ours must never be that */
	memcpy(mac, port->mac, 6);
	mac[0] = 0xfe;
	make_alias(net, port, endpoint, alias);
	outside.mac = mac;
	outside.alias = alias;
	code = netlink_find(netlink, port->tap, &link);
	if (code == 0)
		code = netlink_change(netlink, link.index, &outside);
	if (code < 0) {
		snprintf(what, sizeof(what), "set up for bridge %s", port->bridge);
		return failed(code, port, what, port->tap, err);
	}
	code = netlink_find(netlink, port->inner, &link);
	if (code == 0)
		code = netlink_change(netlink, link.index, &inside);
	if (code < 0)
		return failed(code, port, "set up", port->inner, err);
	return port->ovs ? net_ovs_add(net, port, err) : 0;
}

/* The name on the node is free, as was seen before. */
static int add_pair(struct netlink *netlink, const struct net_port *port, struct gantry_error *err)
{
	int code = netlink_add_veth(netlink, port->tap, port->inner, port->mtu);
	struct netlink_link inner;

	if (code == -EEXIST && netlink_find(netlink, port->inner, &inner) == 0)
		return gantry_error_set(err, code,
					"net: port %s: there is an interface %s already that is of "
					"no port of this gantryd; remove it, or give the port "
					"another id",
					port->id, port->inner);
	return code < 0 ? failed(code, port, "make the pair of", port->tap, err) : 0;
}

/* Where it fails, nothing is left. */
static int make_pair(struct netlink *netlink, const struct net *net, const struct net_port *port,
		     const char *endpoint, bool is_there, struct gantry_error *err)
{
	struct netlink_link bridge = {.index = -1}, tap;
	int code = 0;

	if (!port->ovs)
		code = find_bridge(netlink, net, port, &bridge, err);
	else if (!net_ovs_has_bridge(net, port->bridge, err))
		code = gantry_error_prefix(err, "net: port %s", port->id);
	if (code == 0 && !is_there) {
		code = add_pair(netlink, port, err);
		is_there = code == 0;
	}
	if (code == 0)
		code = set_up(netlink, net, port, endpoint, bridge.index, err);
	if (code == 0)
		return 0;
	if (is_there && port->ovs)
		net_ovs_remove(net, port->tap, NULL);
	if (is_there && netlink_find(netlink, port->tap, &tap) == 0)
		netlink_remove(netlink, tap.index);
	if (!port->ovs && netlink_find(netlink, port->bridge, &bridge) == 0)
		tidy_bridge(netlink, net, &bridge, NULL);
	return code;
}

static int plug(struct netlink *netlink, const struct net *net, const struct net_port *port,
		const char *endpoint, struct gantry_error *err)
{
	struct netlink_link tap;
	int code = netlink_find(netlink, port->tap, &tap);

	if (code == 0 && !is_ours(&tap, net, port))
		return gantry_error_set(err, -EEXIST,
					"net: port %s: there is an interface %s already that is of "
					"no port of this gantryd with that id%s%s; remove it, or "
					"give the port another id",
					port->id, port->tap, tap.alias[0] ? ": " : "", tap.alias);
	/* in a container that is on its way out: who asks before a start has come too early to mind */
	if (code == 0 && !tap.peer_is_here && !endpoint)
		return 0;
	if (code < 0 && code != -ENODEV)
		return failed(code, port, "look for", port->tap, err);
	if (code == 0 && tap.peer_is_here)
		return make_pair(netlink, net, port, endpoint, true, err);
	if (code == 0)
		code = remove_tap(netlink, net, &tap, err);
	else
		code = 0;
	return code < 0 ? code : make_pair(netlink, net, port, endpoint, false, err);
}

int net_plug(const struct net *net, const struct net_port *port, const char *endpoint,
	     struct gantry_error *err)
{
	struct netlink *netlink;
	int code = open_own(&netlink, err);

	if (code < 0)
		return code;
	code = plug(netlink, net, port, endpoint, err);
	netlink_close(netlink);
	return code;
}

/* The bridge too, where it was left when the port went. */
static int unplug(struct netlink *netlink, const struct net *net, const struct net_port *port,
		  struct gantry_error *err)
{
	struct netlink_link tap, bridge;
	int code = netlink_find(netlink, port->tap, &tap);

	if (code < 0 && code != -ENODEV)
		return failed(code, port, "look for", port->tap, err);
	if (code == 0 && tap.peer_is_here && is_ours(&tap, net, port))
		return remove_tap(netlink, net, &tap, err);
	if (code == -ENODEV && port->create_bridge &&
	    netlink_find(netlink, port->bridge, &bridge) == 0)
		return tidy_bridge(netlink, net, &bridge, err);
	return 0;
}

int net_unplug(const struct net *net, const struct net_port *port, struct gantry_error *err)
{
	struct netlink *netlink;
	int code = open_own(&netlink, err);

	if (code < 0)
		return code;
	code = unplug(netlink, net, port, err);
	netlink_close(netlink);
	return code;
}

/* --- several at once ----------------------------------------------------------------------------- */

struct gather {
	const char *kind;
	char start[NETLINK_ALIAS_MAX], end[80]; /* of the alias */
	bool left_only;                         /* that no engine has taken */
	struct netlink_link found[64];
	size_t count;
};

static bool gather_one(void *arg, const struct netlink_link *link)
{
	struct gather *gather = arg;
	size_t length = strlen(link->alias), end = strlen(gather->end);

	if (strncmp(link->alias, gather->start, strlen(gather->start)) == 0 && length >= end &&
	    strcmp(link->alias + length - end, gather->end) == 0 &&
	    strcmp(link->kind, gather->kind) == 0 && (!gather->left_only || link->peer_is_here))
		gather->found[gather->count++] = *link;
	return gather->count < sizeof(gather->found) / sizeof(gather->found[0]);
}

static int gather_links(struct netlink *netlink, struct gather *gather, struct gantry_error *err)
{
	int code;

	gather->count = 0;
	code = netlink_links(netlink, gather_one, gather);
	return code < 0
		       ? gantry_error_set(err, code, "net: list of interfaces: %s", strerror(-code))
		       : 0;
}

/* One that stays does not keep the others. A full batch is followed by another. */
static int remove_all(const struct net *net, struct gather *gather, struct gantry_error *err)
{
	struct netlink *netlink;
	struct gantry_error one;
	int code = open_own(&netlink, err);

	if (code < 0)
		return code;
	do {
		code = gather_links(netlink, gather, err);
		for (size_t i = 0; i < gather->count; i++)
			if (remove_tap(netlink, net, &gather->found[i], &one) < 0 && code == 0) {
				code = one.code;
				*err = one;
			}
	} while (code == 0 && gather->count == sizeof(gather->found) / sizeof(gather->found[0]));
	netlink_close(netlink);
	return code;
}

int net_unplug_endpoint(const struct net *net, const char *endpoint, struct gantry_error *err)
{
	struct gather gather = {.kind = "veth"};

	snprintf(gather.start, sizeof(gather.start), NET_ALIAS "%s ", net->owner);
	snprintf(gather.end, sizeof(gather.end), " %s", endpoint);
	return remove_all(net, &gather, err);
}

/* Bridges that were made here and have lost their last port. */
static int sweep_bridges(const struct net *net, struct gantry_error *err)
{
	struct gather gather = {.kind = "bridge"};
	struct netlink *netlink;
	int code = open_own(&netlink, err);

	if (code < 0)
		return code;
	snprintf(gather.start, sizeof(gather.start), NET_ALIAS "%s", net->owner);
	code = gather_links(netlink, &gather, err);
	for (size_t i = 0; code == 0 && i < gather.count; i++)
		code = tidy_bridge(netlink, net, &gather.found[i], err);
	netlink_close(netlink);
	return code;
}

int net_sweep(const struct net *net, struct gantry_error *err)
{
	struct gather gather = {.kind = "veth", .left_only = true};
	int code;

	snprintf(gather.start, sizeof(gather.start), NET_ALIAS "%s ", net->owner);
	code = remove_all(net, &gather, err);
	return code < 0 ? code : sweep_bridges(net, err);
}

/* --- inside ---------------------------------------------------------------------------------------- */

struct by_mac {
	const unsigned char *mac;
	int index;
};

static bool has_mac(void *arg, const struct netlink_link *link)
{
	struct by_mac *look = arg;

	if (memcmp(link->mac, look->mac, 6) != 0)
		return true;
	look->index = link->index;
	return false;
}

static int failed_route(int code, const struct net_port *port, const struct net_route *route,
			struct gantry_error *err)
{
	char to[64], hop[64], what[160];

	snprintf(what, sizeof(what), "%s%s%s", net_address_text(&route->to, true, to),
		 route->has_hop ? " via " : "",
		 route->has_hop ? net_address_text(&route->hop, false, hop) : "");
	return failed(code, port, "route to", what, err);
}

static int finish(struct netlink *netlink, const struct net_port *port, struct gantry_error *err)
{
	struct by_mac inner = {port->mac, 0};
	char text[64];
	int code = netlink_links(netlink, has_mac, &inner);

	if (code == 0 && !inner.index)
		code = -ENODEV;
	if (code < 0)
		return failed(code, port, "look for it", "inside", err);
	for (size_t i = 0; i < port->address_count; i++) {
		code = netlink_add_address(netlink, inner.index, &port->addresses[i]);
		if (code < 0)
			return failed(code, port, "address",
				      net_address_text(&port->addresses[i], true, text), err);
	}
	for (size_t i = 0; i < port->route_count; i++) {
		const struct net_route *route = &port->routes[i];

		/* of two default routes the first port's holds */
		if (!route->to.bits && netlink_has_route(netlink, 0, &route->to, NULL))
			continue;
		code = netlink_add_route(netlink, inner.index, &route->to,
					 route->has_hop ? &route->hop : NULL);
		if (code < 0)
			return failed_route(code, port, route, err);
	}
	return 0;
}

int net_finish(const struct net_port *port, int64_t pid, struct gantry_error *err)
{
	char path[64];
	struct netlink *netlink;
	int code;

	snprintf(path, sizeof(path), "/proc/%lld/ns/net", (long long)pid);
	code = netlink_open(path, &netlink);
	if (code < 0)
		return failed(code, port, "open", path, err);
	code = finish(netlink, port, err);
	netlink_close(netlink);
	return code;
}
