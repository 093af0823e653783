/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network driver of engines: libnetwork's remote protocol, JSON by POST on a socket that engines find (socket.c).
 *
 *	at a start   CreateEndpoint (what docker_wire left with the container) ─▶ the pair is made
 *	             Join ─▶ the engine is told which end to take, and the routes
 *	at an exit   Leave ─▶ the engine has put the end back ─▶ DeleteEndpoint ─▶ the pair goes
 *
 * The engine waits for each answer, with the container locked. Everything that a start needs comes with
 * CreateEndpoint: a gantryd that was started a moment ago knows as much as one that made the container.
 */
#include "net.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define MIME "application/vnd.docker.plugins.v1.1+json"

struct net_endpoint {
	struct net_endpoint *next;
	char id[80];
	struct net_port port;
};

/* A request whose work is on the pool. */
struct task {
	struct net *net;
	struct gantry_request *request;
	char endpoint[80];
	struct net_port port;
	bool removes;
	struct gantry_error err;
	int code;
};

/* --- answers ------------------------------------------------------------------------------------- */

/* Takes the object. */
static void answer(struct net *net, struct gantry_request *request, struct json_object *object)
{
	net->host->reply(request, 200, MIME,
			 json_object_to_json_string_ext(
				 object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void refuse(struct net *net, struct gantry_request *request, const char *text)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "Err", json_object_new_string(text));
	answer(net, request, object);
}

static void add(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

/* --- endpoints ----------------------------------------------------------------------------------- */

static struct net_endpoint **find(struct net *net, const char *id)
{
	struct net_endpoint **place = &net->endpoints;

	while (*place && strcmp((*place)->id, id) != 0)
		place = &(*place)->next;
	return place;
}

static void forget(struct net *net, const char *id)
{
	struct net_endpoint **place = find(net, id), *endpoint = *place;

	if (!endpoint)
		return;
	*place = endpoint->next;
	free(endpoint);
}

static void remember(struct net *net, const char *id, const struct net_port *port)
{
	struct net_endpoint *endpoint = calloc(1, sizeof(*endpoint));

	if (!endpoint)
		abort();
	forget(net, id);
	snprintf(endpoint->id, sizeof(endpoint->id), "%s", id);
	endpoint->port = *port;
	endpoint->next = net->endpoints;
	net->endpoints = endpoint;
}

static void task_run(void *arg)
{
	struct task *task = arg;

	if (task->removes)
		task->code = net_unplug_endpoint(task->net, task->endpoint, &task->err);
	else
		task->code = net_plug(task->net, &task->port, task->endpoint, &task->err);
}

static void answer_created(const struct task *task)
{
	struct json_object *object = json_object_new_object(),
			   *interface = json_object_new_object();
	const struct net_port *port = &task->port;
	char text[64];

	for (size_t i = 0; i < port->address_count; i++)
		if (port->engines[i])
			add(interface,
			    port->addresses[i].family == AF_INET ? "Address" : "AddressIPv6",
			    net_address_text(&port->addresses[i], true, text));
	add(interface, "MacAddress", net_mac_text(port->mac, text));
	json_object_object_add(object, "Interface", interface);
	answer(task->net, task->request, object);
}

static void task_done(void *arg)
{
	struct task *task = arg;

	if (task->code < 0) {
		refuse(task->net, task->request, task->err.text);
	} else if (task->removes) {
		answer(task->net, task->request, json_object_new_object());
	} else {
		remember(task->net, task->endpoint, &task->port);
		answer_created(task);
	}
	free(task);
}

static struct task *make_task(struct net *net, struct gantry_request *request, const char *endpoint)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		abort();
	task->net = net;
	task->request = request;
	snprintf(task->endpoint, sizeof(task->endpoint), "%s", endpoint);
	return task;
}

/* The addresses that were chosen for the engine when the container was made. */
static void read_chosen(struct net_port *port, const char *text)
{
	char address[64];
	size_t length;

	for (; *text; text += length + strspn(text + length, " ")) {
		length = strcspn(text, " ");
		for (size_t i = 0; i < port->address_count; i++) {
			net_address_text(&port->addresses[i], true, address);
			if (strlen(address) == length && strncmp(address, text, length) == 0)
				port->engines[i] = true;
		}
	}
}

static void create_endpoint(struct net *net, struct gantry_request *request,
			    struct json_object *asked)
{
	struct json_object *options = json_object_object_get(asked, "Options");
	struct task *task = make_task(net, request, text_of(asked, "EndpointID"));
	struct gantry_error err;

	if (net_port_told(text_of(options, "gantry.port"), text_of(options, "gantry.instance"),
			  &task->port, &err) < 0) {
		refuse(net, request, err.text);
		free(task);
		return;
	}
	read_chosen(&task->port, text_of(options, "gantry.addresses"));
	net_do(net, task_run, task_done, task);
}

static void delete_endpoint(struct net *net, struct gantry_request *request,
			    struct json_object *asked)
{
	struct task *task = make_task(net, request, text_of(asked, "EndpointID"));

	forget(net, task->endpoint);
	task->removes = true;
	net_do(net, task_run, task_done, task);
}

/* --- join ---------------------------------------------------------------------------------------- */

static void add_route(struct json_object *object, struct json_object *routes,
		      const struct net_route *route)
{
	struct json_object *one;
	char text[64];

	if (!route->to.bits) {
		add(object, route->to.family == AF_INET ? "Gateway" : "GatewayIPv6",
		    net_address_text(&route->hop, false, text));
		return;
	}
	one = json_object_new_object();
	add(one, "Destination", net_address_text(&route->to, true, text));
	json_object_object_add(one, "RouteType", json_object_new_int(route->has_hop ? 0 : 1));
	if (route->has_hop)
		add(one, "NextHop", net_address_text(&route->hop, false, text));
	json_object_array_add(routes, one);
}

static void join(struct net *net, struct gantry_request *request, struct json_object *asked)
{
	const struct net_endpoint *endpoint = *find(net, text_of(asked, "EndpointID"));
	struct json_object *object, *name, *routes;

	if (!endpoint) {
		refuse(net, request,
		       "net: gantryd was restarted amid the start of the container: start it again");
		return;
	}
	object = json_object_new_object();
	name = json_object_new_object();
	routes = json_object_new_array();
	add(name, "SrcName", endpoint->port.inner);
	add(name, "DstPrefix", "eth");
	json_object_object_add(object, "InterfaceName", name);
	/* else the engine would add an interface of its own where there is no gateway */
	json_object_object_add(object, "DisableGatewayService", json_object_new_boolean(true));
	for (size_t i = 0; i < endpoint->port.route_count; i++)
		if (net_has_family(&endpoint->port, endpoint->port.routes[i].to.family))
			add_route(object, routes, &endpoint->port.routes[i]);
	json_object_object_add(object, "StaticRoutes", routes);
	answer(net, request, object);
}

/* --- the calls ----------------------------------------------------------------------------------- */

static void activate(struct net *net, struct gantry_request *request, struct json_object *asked)
{
	struct json_object *object = json_object_new_object(), *list = json_object_new_array();

	(void)asked;
	json_object_array_add(list, json_object_new_string("NetworkDriver"));
	json_object_object_add(object, "Implements", list);
	answer(net, request, object);
}

static void capabilities(struct net *net, struct gantry_request *request, struct json_object *asked)
{
	struct json_object *object = json_object_new_object();

	(void)asked;
	add(object, "Scope", "local");
	answer(net, request, object);
}

static void nothing(struct net *net, struct gantry_request *request, struct json_object *asked)
{
	(void)asked;
	answer(net, request, json_object_new_object());
}

static const struct {
	const char *path;
	void (*handle)(struct net *net, struct gantry_request *request, struct json_object *asked);
} calls[] = {
	{"/Plugin.Activate", activate},
	{"/NetworkDriver.GetCapabilities", capabilities},
	{"/NetworkDriver.CreateNetwork", nothing},
	{"/NetworkDriver.DeleteNetwork", nothing},
	{"/NetworkDriver.CreateEndpoint", create_endpoint},
	{"/NetworkDriver.DeleteEndpoint", delete_endpoint},
	{"/NetworkDriver.EndpointOperInfo", nothing},
	{"/NetworkDriver.Join", join},
	{"/NetworkDriver.Leave", nothing},
	{"/NetworkDriver.ProgramExternalConnectivity", nothing},
	{"/NetworkDriver.RevokeExternalConnectivity", nothing},
	{"/NetworkDriver.DiscoverNew", nothing},
	{"/NetworkDriver.DiscoverDelete", nothing},
};

static void on_request(void *arg, struct gantry_request *request, const char *path,
		       const char *body)
{
	struct net *net = arg;
	struct json_object *asked = body[0] ? json_tokener_parse(body) : NULL;
	size_t count = sizeof(calls) / sizeof(calls[0]), at = 0;

	while (at < count && strcmp(calls[at].path, path) != 0)
		at++;
	if (at < count)
		calls[at].handle(net, request, asked);
	else
		net->host->reply(request, 404, MIME, "{\"Err\":\"net: there is no such call\"}");
	json_object_put(asked);
}

int net_driver_open(struct net *net, struct gantry_error *err)
{
	return net_socket_open(net, on_request, err);
}

void net_driver_close(struct net *net)
{
	net_socket_close(net);
	while (net->endpoints)
		forget(net, net->endpoints->id);
}
