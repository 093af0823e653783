/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <gantry/text.h>

#include <arpa/inet.h>
#include <stdlib.h>

#define MTU_DEFAULT  1500
#define NAME_LETTERS 11 /* of the id; Neutron's agents know a port's interface by them */

/* The same for an id at each start: locally administered, of one station. */
static void make_mac(const char *id, unsigned char mac[6])
{
	uint64_t hash = gantry_hash(GANTRY_HASH_SEED, id, strlen(id));

	mac[0] = 0x02;
	for (int i = 1; i < 6; i++)
		mac[i] = (unsigned char)(hash >> (8 * i));
}

static int read_route(const char *text, struct net_route *route)
{
	const char *via = strstr(text, " via ");
	char to[64];

	*route = (struct net_route){.has_hop = via != NULL};
	snprintf(to, sizeof(to), "%.*s", via ? (int)(via - text) : 60, text);
	if (via && !netlink_read_address(via + 5, AF_INET, &route->hop))
		return -EINVAL;
	return netlink_read_address(to, via ? route->hop.family : AF_INET, &route->to) ? 0
										       : -EINVAL;
}

int net_port_read(const struct gantry_network_port *port, const char *instance,
		  struct net_port *ret, struct gantry_error *err)
{
	const char *id = port->id;

	*ret = (struct net_port){
		.ovs = strcmp(port->type, "ovs") == 0,
		.create_bridge = port->create_bridge,
		.mtu = port->mtu == GANTRY_UNSET ? MTU_DEFAULT : (uint32_t)port->mtu,
	};
	if (port->addresses.count > NET_ADDRESSES_MAX || port->routes.count > NET_ROUTES_MAX)
		return gantry_error_set(err, -EINVAL,
					"net: port %s: at most %d addresses and %d routes", id,
					NET_ADDRESSES_MAX, NET_ROUTES_MAX);
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->bridge, sizeof(ret->bridge), "%s", port->bridge);
	snprintf(ret->instance, sizeof(ret->instance), "%s", instance);
	snprintf(ret->tap, sizeof(ret->tap), "tap%.*s", NAME_LETTERS, id);
	snprintf(ret->inner, sizeof(ret->inner), "ctr%.*s", NAME_LETTERS, id);
	if (!port->mac)
		make_mac(id, ret->mac);
	else if (sscanf(port->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &ret->mac[0], &ret->mac[1],
			&ret->mac[2], &ret->mac[3], &ret->mac[4], &ret->mac[5]) != 6)
		return gantry_error_set(err, -EINVAL, "net: port %s: \"%s\" is no MAC address", id,
					port->mac);
	for (size_t i = 0; i < port->addresses.count; i++)
		if (!netlink_read_address(port->addresses.items[i], AF_INET,
					  &ret->addresses[ret->address_count++]))
			return gantry_error_set(err, -EINVAL, "net: port %s: \"%s\" is no address",
						id, port->addresses.items[i]);
	for (size_t i = 0; i < port->routes.count; i++)
		if (read_route(port->routes.items[i], &ret->routes[ret->route_count++]) < 0)
			return gantry_error_set(err, -EINVAL, "net: port %s: \"%s\" is no route",
						id, port->routes.items[i]);
	return 0;
}

/* --- what the engine can be given ------------------------------------------------------------------ */

static bool is_given(const struct net_port *ports, size_t count,
		     const struct netlink_address *address)
{
	for (size_t i = 0; i < count; i++) {
		const struct net_port *port = &ports[i];

		for (size_t j = 0; j < port->address_count; j++)
			if (port->engines[j] && netlink_overlap(&port->addresses[j], address))
				return true;
		for (size_t j = 0; j < port->route_count; j++)
			if (port->routes[j].to.bits &&
			    netlink_overlap(&port->routes[j].to, address))
				return true;
	}
	return false;
}

bool net_has_family(const struct net_port *port, int family)
{
	for (size_t i = 0; i < port->address_count; i++)
		if (port->engines[i] && port->addresses[i].family == family)
			return true;
	return false;
}

void net_plan(struct net_port *ports, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < ports[i].address_count; j++) {
			const struct netlink_address *address = &ports[i].addresses[j];

			ports[i].engines[j] = !net_has_family(&ports[i], address->family) &&
					      !is_given(ports, i, address);
		}
}

bool net_is_engines(const struct net_port *port)
{
	for (size_t i = 0; i < port->address_count; i++)
		if (!port->engines[i])
			return false;
	for (size_t i = 0; i < port->route_count; i++)
		if (!net_has_family(port, port->routes[i].to.family))
			return false;
	return true;
}

/* --- for the driver -------------------------------------------------------------------------------- */

static void add_list(struct json_object *object, const char *key, const struct gantry_strings *list)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->count; i++)
		json_object_array_add(array, json_object_new_string(list->items[i]));
	json_object_object_add(object, key, array);
}

char *net_port_tell(const struct gantry_network_port *port)
{
	struct json_object *object = json_object_new_object();
	char *text;

	json_object_object_add(object, "id", json_object_new_string(port->id));
	json_object_object_add(object, "type", json_object_new_string(port->type));
	json_object_object_add(object, "bridge", json_object_new_string(port->bridge));
	json_object_object_add(object, "create_bridge",
			       json_object_new_boolean(port->create_bridge));
	if (port->mac)
		json_object_object_add(object, "mac", json_object_new_string(port->mac));
	add_list(object, "addresses", &port->addresses);
	add_list(object, "routes", &port->routes);
	json_object_object_add(object, "mtu", json_object_new_int64(port->mtu));
	text = strdup(json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return text;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static void list_of(struct json_object *object, const char *key, const char **items, size_t max,
		    struct gantry_strings *ret)
{
	struct json_object *array = json_object_object_get(object, key);

	*ret = (struct gantry_strings){items, 0};
	if (!json_object_is_type(array, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(array) && i < max; i++)
		items[ret->count++] = json_object_get_string(json_object_array_get_idx(array, i));
}

int net_port_told(const char *text, const char *instance, struct net_port *ret_port,
		  struct gantry_error *err)
{
	struct json_object *object = json_tokener_parse(text);
	const char *addresses[NET_ADDRESSES_MAX], *routes[NET_ROUTES_MAX];
	struct gantry_network_port port;
	int code;

	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return gantry_error_set(err, -EINVAL,
					"net: what is told of the port is unreadable");
	}
	port = (struct gantry_network_port){
		.id = text_of(object, "id"),
		.type = text_of(object, "type"),
		.bridge = text_of(object, "bridge"),
		.create_bridge =
			json_object_get_boolean(json_object_object_get(object, "create_bridge")),
		.mac = text_of(object, "mac"),
		.mtu = json_object_get_int64(json_object_object_get(object, "mtu")),
	};
	list_of(object, "addresses", addresses, NET_ADDRESSES_MAX, &port.addresses);
	list_of(object, "routes", routes, NET_ROUTES_MAX, &port.routes);
	if (port.id && port.type && port.bridge)
		code = net_port_read(&port, instance, ret_port, err);
	else
		code = gantry_error_set(err, -EINVAL, "net: the port has no id, type or bridge");
	json_object_put(object);
	return code;
}

const char *net_address_text(const struct netlink_address *address, bool bits, char text[64])
{
	char bare[INET6_ADDRSTRLEN];

	inet_ntop(address->family, address->bytes, bare, sizeof(bare));
	if (bits)
		snprintf(text, 64, "%s/%d", bare, address->bits);
	else
		snprintf(text, 64, "%s", bare);
	return text;
}
