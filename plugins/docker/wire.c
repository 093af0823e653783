/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of a container: look what it has, take off what is not wanted, see to it that the networks are
 * there, put on what is missing. Each answer leads to the next call.
 *
 *	look ─▶ drop … ─▶ make networks … ─▶ join … ─▶ done
 *	                                      └─ refused ─▶ drop that one ─▶ failed
 *
 * An engine connects a container to a network once. So there is one network of the driver for each place of
 * a port in its container, DRIVER-00, DRIVER-01, …, and all containers share them. Engines make two networks
 * of one name where they are asked at the same time: one container after the other looks after them.
 * A network that no running container uses may be pruned by somebody: it is made again.
 */
#include "docker.h"

#include <stdlib.h>

#define PLACES_MAX 32
#define NAME_SIZE  128

struct docker_wire {
	struct docker_call call; /* first */
	struct docker_wire *next;
	const char *container, *driver; /* in the op's memory, as what follows */
	size_t count;
	struct gantry_endpoint *endpoints;
	int *places;        /* by endpoint; -1: to be found */
	const char **drops; /* names of networks */
	size_t drop_count;
	bool taken[PLACES_MAX];
	bool makes; /* its turn has come */
	size_t at;
	struct gantry_error err; /* of a join that was refused */
};

static void drop_next(struct docker_wire *wire);
static void make_next(struct docker_wire *wire);
static void join_next(struct docker_wire *wire);

static struct docker_wire *wire_of(struct docker_call *call)
{
	return (struct docker_wire *)call;
}

/* The next container may look after the networks. */
static void pass_on(struct docker_wire *wire)
{
	struct docker_node *node = wire->call.node;
	struct docker_wire **place = &node->wires;

	while (*place && *place != wire)
		place = &(*place)->next;
	if (!*place)
		return;
	*place = wire->next;
	if (wire->makes && node->wires) {
		node->wires->makes = true;
		make_next(node->wires);
	}
	wire->makes = false;
}

static void end(struct docker_wire *wire, const struct gantry_error *err)
{
	pass_on(wire);
	wire->call.node->host->op_done(wire->call.op, err, NULL);
}

static void network_name(const struct docker_wire *wire, int place, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s-%02d", wire->driver, place);
}

static void ask(struct docker_wire *wire, struct json_object *body, const char *name,
		const char *verb,
		void (*done)(struct docker_call *call, const struct gantry_error *err,
			     struct json_object *reply))
{
	char *encoded = docker_url(name);

	wire->call.done = done;
	docker_call(&wire->call, "POST", docker_print(body), "/networks/%s%s%s", encoded,
		    verb[0] ? "/" : "", verb);
	json_object_put(body);
	free(encoded);
}

/* --- join ---------------------------------------------------------------------------------------- */

static void refused_dropped(struct docker_call *call, const struct gantry_error *err,
			    struct json_object *reply)
{
	(void)err, (void)reply; /* it was not connected, or is not any more */
	end(wire_of(call), &wire_of(call)->err);
}

static struct json_object *container_body(const struct docker_wire *wire)
{
	struct json_object *body = json_object_new_object();

	docker_add(body, "Container", wire->container);
	return body;
}

static void drop(struct docker_wire *wire, const char *name,
		 void (*done)(struct docker_call *call, const struct gantry_error *err,
			      struct json_object *reply))
{
	struct json_object *body = container_body(wire);

	docker_add_true(body, "Force", true); /* also where the network is gone */
	ask(wire, body, name, "disconnect", done);
}

static void joined(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_wire *wire = wire_of(call);
	char name[NAME_SIZE];

	(void)reply;
	if (err && call->status) {
		wire->err = *err;
		gantry_error_prefix(&wire->err, "port %s", wire->endpoints[wire->at].port);
		network_name(wire, wire->places[wire->at], name);
		drop(wire, name, refused_dropped);
		return;
	}
	if (err) {
		end(wire, err);
		return;
	}
	wire->at++;
	join_next(wire);
}

static void join_next(struct docker_wire *wire)
{
	struct json_object *body, *config, *options;
	const struct gantry_endpoint *endpoint;
	char name[NAME_SIZE];

	while (wire->at < wire->count && wire->places[wire->at] >= 0)
		wire->at++;
	if (wire->at == wire->count) {
		end(wire, NULL);
		return;
	}
	endpoint = &wire->endpoints[wire->at];
	for (int place = 0; wire->places[wire->at] < 0; place++)
		if (!wire->taken[place])
			wire->places[wire->at] = place;
	wire->taken[wire->places[wire->at]] = true;
	network_name(wire, wire->places[wire->at], name);
	body = container_body(wire);
	config = json_object_new_object();
	options = json_object_new_object();
	for (size_t i = 0; i < endpoint->options.count; i++)
		docker_add(options, endpoint->options.items[i].name,
			   endpoint->options.items[i].value);
	json_object_object_add(config, "DriverOpts", options);
	json_object_object_add(body, "EndpointConfig", config);
	ask(wire, body, name, "connect", joined);
}

/* --- networks ------------------------------------------------------------------------------------ */

static void made(struct docker_call *call, const struct gantry_error *err,
		 struct json_object *reply)
{
	struct docker_wire *wire = wire_of(call);

	(void)reply;
	if (err) {
		end(wire, err);
		return;
	}
	wire->at++;
	make_next(wire);
}

static void make(struct docker_wire *wire, const char *name)
{
	struct json_object *body = json_object_new_object(), *ipam = json_object_new_object();

	docker_add(body, "Name", name);
	docker_add(body, "Driver", wire->driver);
	docker_add_true(body, "CheckDuplicate", true);
	docker_add(ipam, "Driver", "null"); /* addresses are the ports' own */
	json_object_object_add(body, "IPAM", ipam);
	ask(wire, body, "create", "", made);
}

/* One of the name that is another driver's would wire something else. */
static void found(struct docker_call *call, const struct gantry_error *err,
		  struct json_object *reply)
{
	struct docker_wire *wire = wire_of(call);
	const char *driver = docker_text(reply, "Driver");
	struct gantry_error other;
	char name[NAME_SIZE];

	network_name(wire, (int)wire->at, name);
	if (err && call->status == 404) {
		make(wire, name);
	} else if (err) {
		end(wire, err);
	} else if (!driver || strcmp(driver, wire->driver) != 0) {
		gantry_error_set(&other, -EEXIST,
				 "there is a network %s of driver %s, not %s: remove it, the name "
				 "is for ports of networks",
				 name, driver ? driver : "?", wire->driver);
		end(wire, &other);
	} else {
		made(call, NULL, reply);
	}
}

/* As many networks as it has ports are enough, whichever of them it is on. */
static void make_next(struct docker_wire *wire)
{
	char name[NAME_SIZE], *encoded;
	size_t places = wire->count;

	for (size_t i = places; i < PLACES_MAX; i++)
		if (wire->taken[i])
			places = i + 1;
	if (wire->at == places) {
		pass_on(wire);
		wire->at = 0;
		join_next(wire);
		return;
	}
	network_name(wire, (int)wire->at, name);
	encoded = docker_url(name);
	wire->call.done = found;
	docker_call(&wire->call, "GET", NULL, "/networks/%s", encoded);
	free(encoded);
}

static void wait_turn(struct docker_wire *wire)
{
	struct docker_wire **place = &wire->call.node->wires;

	wire->at = 0;
	if (wire->count == 0) {
		end(wire, NULL);
		return;
	}
	while (*place)
		place = &(*place)->next;
	*place = wire;
	if (wire->call.node->wires == wire) {
		wire->makes = true;
		make_next(wire);
	}
}

/* --- look and drop ------------------------------------------------------------------------------- */

static void dropped(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct docker_wire *wire = wire_of(call);

	(void)reply;
	/* what it was refused while it runs stays written down until it has ended */
	if (err && !docker_says(err->text, "not connected")) {
		end(wire, err);
		return;
	}
	wire->at++;
	drop_next(wire);
}

static void drop_next(struct docker_wire *wire)
{
	if (wire->at < wire->drop_count)
		drop(wire, wire->drops[wire->at], dropped);
	else
		wait_turn(wire);
}

/* The place of a network of the driver; -1: it is another one. */
static int place_of(const struct docker_wire *wire, const char *name)
{
	size_t length = strlen(wire->driver);
	char *end_of;
	long place;

	if (strncmp(name, wire->driver, length) != 0 || name[length] != '-')
		return -1;
	place = strtol(name + length + 1, &end_of, 10);
	return *end_of || place < 0 || place >= PLACES_MAX ? -1 : (int)place;
}

static bool is_wanted(struct docker_wire *wire, int place, struct json_object *network)
{
	struct json_object *options = docker_get(network, "DriverOpts");

	for (size_t i = 0; place >= 0 && i < wire->count; i++) {
		const struct gantry_pair *mark = &wire->endpoints[i].options.items[0];
		const char *text = docker_text(options, mark->name);

		if (wire->places[i] >= 0 || !text || strcmp(text, mark->value) != 0)
			continue;
		wire->places[i] = place;
		wire->taken[place] = true;
		return true;
	}
	return false;
}

static void looked(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_wire *wire = wire_of(call);
	struct docker_node *node = call->node;
	struct json_object *networks = docker_get(docker_get(reply, "NetworkSettings"), "Networks");

	if (err) {
		end(wire, err);
		return;
	}
	if (json_object_is_type(networks, json_type_object)) {
		wire->drops = node->host->op_alloc(
			call->op,
			(size_t)(json_object_object_length(networks) + 1) * sizeof(*wire->drops));
		json_object_object_foreach(networks, name, network)
		{
			if (!is_wanted(wire, place_of(wire, name), network))
				wire->drops[wire->drop_count++] = docker_keep(node, call->op, name);
		}
	}
	drop_next(wire);
}

static void keep_options(struct docker_wire *wire, struct gantry_endpoint *to,
			 const struct gantry_endpoint *from)
{
	struct docker_node *node = wire->call.node;
	struct gantry_op *op = wire->call.op;

	to->port = docker_keep(node, op, from->port);
	to->options.count = from->options.count;
	to->options.items =
		node->host->op_alloc(op, from->options.count * sizeof(*to->options.items));
	for (size_t i = 0; i < from->options.count; i++)
		to->options.items[i] =
			(struct gantry_pair){docker_keep(node, op, from->options.items[i].name),
					     docker_keep(node, op, from->options.items[i].value)};
}

void docker_wire(void *arg, const char *container, const struct gantry_endpoints *endpoints,
		 struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct docker_wire *wire = node->host->op_alloc(op, sizeof(*wire));

	if (endpoints->count > PLACES_MAX) {
		docker_fail(node, op, -EINVAL, "a container has at most %d ports", PLACES_MAX);
		return;
	}
	wire->call.node = node;
	wire->call.op = op;
	wire->call.done = looked;
	wire->container = docker_keep(node, op, container);
	wire->driver = docker_keep(node, op, endpoints->driver);
	wire->count = endpoints->count;
	wire->endpoints =
		node->host->op_alloc(op, (endpoints->count + 1) * sizeof(*wire->endpoints));
	wire->places = node->host->op_alloc(op, (endpoints->count + 1) * sizeof(*wire->places));
	for (size_t i = 0; i < endpoints->count; i++) {
		keep_options(wire, &wire->endpoints[i], &endpoints->items[i]);
		wire->places[i] = -1;
	}
	docker_call(&wire->call, "GET", NULL, "/containers/%s/json", container);
}
