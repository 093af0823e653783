/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a port, from the bridge inwards. Of what follows from one thing, that one thing is told. */
#include "net.h"

struct patient {
	const struct net *net;
	const struct net_port *port;
	void (*tell)(void *arg, const struct net_port *port, const char *text);
	void *arg;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct patient *patient,
						       const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	patient->tell(patient->arg, patient->port, text);
}

/* False: nothing behind it can be looked at. */
static bool look_at_bridge(const struct patient *patient, struct netlink *own,
			   struct netlink_link *bridge)
{
	const struct net_port *port = patient->port;
	struct gantry_error err;

	if (port->ovs) {
		if (net_ovs_has_bridge(patient->net, port->bridge, &err))
			return true;
		tell(patient, "%s", err.text);
		return false;
	}
	if (netlink_find(own, port->bridge, bridge) < 0) {
		tell(patient, "bridge %s is missing", port->bridge);
		return false;
	}
	if (!bridge->up)
		tell(patient, "bridge %s is down", port->bridge);
	if (bridge->mtu < port->mtu)
		tell(patient, "bridge %s has MTU %u, the port %u: longer packets are lost",
		     port->bridge, bridge->mtu, port->mtu);
	return true;
}

static bool look_at_tap(const struct patient *patient, struct netlink *own,
			const struct netlink_link *bridge, struct netlink_link *tap)
{
	const struct net_port *port = patient->port;

	if (netlink_find(own, port->tap, tap) < 0) {
		tell(patient, "interface %s on the host is missing", port->tap);
		return false;
	}
	if (port->ovs && !net_ovs_has_port(patient->net, port))
		tell(patient, "interface %s is not on bridge %s", port->tap, port->bridge);
	if (!port->ovs && tap->master != bridge->index)
		tell(patient, "interface %s is not on bridge %s", port->tap, port->bridge);
	if (!tap->up)
		tell(patient, "interface %s on the host is down", port->tap);
	if (tap->mtu != port->mtu)
		tell(patient, "interface %s on the host has MTU %u, not %u", port->tap, tap->mtu,
		     port->mtu);
	if (tap->peer_is_here) {
		tell(patient, "interface %s is beside it on the host, not inside", port->inner);
		return false;
	}
	return true;
}

struct by_index {
	int index;
	struct netlink_link link;
};

static bool has_index(void *arg, const struct netlink_link *link)
{
	struct by_index *look = arg;

	if (link->index == look->index)
		look->link = *link;
	return link->index != look->index;
}

static void look_at_routes(const struct patient *patient, struct netlink *inside,
			   const struct netlink_link *link)
{
	const struct net_port *port = patient->port;
	char to[64], hop[64];

	for (size_t i = 0; i < port->route_count; i++) {
		const struct net_route *route = &port->routes[i];

		/* of two default routes the first port's holds */
		if (netlink_has_route(inside, route->to.bits ? link->index : 0, &route->to,
				      route->has_hop && route->to.bits ? &route->hop : NULL))
			continue;
		tell(patient, "inside, the route to %s%s%s is missing",
		     route->to.bits ? net_address_text(&route->to, true, to) : "everywhere",
		     route->has_hop ? " via " : "",
		     route->has_hop ? net_address_text(&route->hop, false, hop) : "");
	}
}

static void look_inside(const struct patient *patient, struct netlink *inside, int index)
{
	const struct net_port *port = patient->port;
	struct by_index look = {.index = index};
	const struct netlink_link *link = &look.link;
	struct netlink_link lo;
	char mac[18], own[18], text[64];

	if (netlink_links(inside, has_index, &look) < 0 || !link->index) {
		tell(patient, "the other end of %s is in another namespace than the instance",
		     port->tap);
		return;
	}
	if (memcmp(link->mac, port->mac, 6) != 0)
		tell(patient, "inside, %s has MAC address %s, not %s", link->name,
		     net_mac_text(link->mac, mac), net_mac_text(port->mac, own));
	if (link->mtu != port->mtu)
		tell(patient, "inside, %s has MTU %u, not %u", link->name, link->mtu, port->mtu);
	for (size_t i = 0; i < port->address_count; i++)
		if (!netlink_has_address(inside, link->index, &port->addresses[i]))
			tell(patient, "inside, %s lacks the address %s", link->name,
			     net_address_text(&port->addresses[i], true, text));
	if (netlink_find(inside, "lo", &lo) < 0 || !lo.up)
		tell(patient, "inside, lo is down");
	if (!link->up)
		tell(patient, "inside, %s is down", link->name);
	else
		look_at_routes(patient, inside, link);
}

void net_examine(const struct net *net, const struct net_port *port, int64_t pid,
		 void (*fn)(void *arg, const struct net_port *port, const char *text), void *arg)
{
	const struct patient patient = {net, port, fn, arg};
	struct netlink_link bridge = {0}, tap;
	struct netlink *own, *inside;
	char path[64];

	if (netlink_open(NULL, &own) < 0) {
		tell(&patient, "the host's interfaces cannot be read");
		return;
	}
	if (look_at_bridge(&patient, own, &bridge) && pid > 0 &&
	    look_at_tap(&patient, own, &bridge, &tap)) {
		snprintf(path, sizeof(path), "/proc/%lld/ns/net", (long long)pid);
		if (netlink_open(path, &inside) == 0) {
			look_inside(&patient, inside, tap.peer);
			netlink_close(inside);
		} else {
			tell(&patient, "its namespace cannot be looked into: %s", path);
		}
	}
	netlink_close(own);
}
