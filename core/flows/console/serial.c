/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer of a port:
 *
 *	connects ─▶ WAITS ──the instance has a process──▶ AT THE CONSOLE
 *	              ▲                                        │ the session ends
 *	              └────────────────────────────────────────┘
 *	until it leaves, or the port is closed
 *
 * Those that wait are tried again (look) whenever something was heard of the instance, and now and then
 * where it is not known to be away: the end of a process may be heard of after that of its session.
 */
#include "flows/console/serial.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "flows/console/console.h"
#include "flows/policy/admit.h"
#include "loop/tcp.h"

#include <stdlib.h>

#define FACT         "serial_ports"
#define AGAIN_MS     500 /* doubled with each try that comes to nothing */
#define AGAIN_MAX_MS 30000

struct serials {
	struct daemon *daemon; /* borrowed */
	struct event_follower follower;
	struct list ports; /* struct serial_port; owned */
	int next_port;     /* where the search for a free one begins: one that was closed rests */
};

struct serial_port {
	struct list link;
	struct serials *serials; /* borrowed */
	char instance[INSTANCE_ID_SIZE];
	int port;
	char *actor, *user;            /* owned; who asked for it. user NULL: nobody was named */
	struct tcp_listener *listener; /* owned */
	struct list peers;             /* struct serial_peer, in the order they came; owned */
	int peer_count;
	struct loop_timer idle;  /* it closes */
	struct loop_timer again; /* those that wait are tried again */
	int64_t again_ms;
};

struct serial_peer {
	struct list link;
	struct serial_port *port; /* borrowed */
	struct tcp_conn *conn;    /* owned */
	struct console_peer peer;
	char *actor;                /* owned: "serial 192.0.2.1:4711" */
	bool was_there, told_waits; /* at the console before; that there is no process */
	bool told_observes;
	struct loop_later drive; /* nobody drives any more */
};

static void look(struct serial_port *port);
static void port_close(struct serial_port *port, const char *why);

/* --- the store ----------------------------------------------------------------------------------- */

static void save(struct serials *serials, serial_done_fn done, void *arg)
{
	struct store_batch *batch = store_batch_new(serials->daemon->store);
	struct json_object *all = json_object_new_object();

	LIST_FOREACH (node, &serials->ports) {
		const struct serial_port *port = LIST_ENTRY(node, struct serial_port, link);
		struct json_object *object = json_object_new_object();

		json_add_int(object, "port", port->port);
		json_add_string(object, "actor", port->actor);
		json_add_string(object, "user", port->user);
		json_object_object_add(all, port->instance, object);
	}
	store_put_fact(batch, FACT, json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
	store_batch_commit(batch, done, arg);
	json_object_put(all);
}

static struct instance *instance_of(const struct serial_port *port)
{
	return fleet_find(&port->serials->daemon->fleet, port->instance);
}

/* --- what peers are told ------------------------------------------------------------------------- */

static void say(struct serial_peer *peer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct serial_peer *peer, const char *format, ...)
{
	struct str text = STR_INIT;
	va_list args;

	va_start(args, format);
	str_add(&text, "\r\n[gantry: ");
	str_addv(&text, format, args);
	str_add(&text, "]\r\n");
	va_end(args);
	tcp_send(peer->conn, text.data, text.length);
	str_fini(&text);
}

static const char *name_of(const struct serial_port *port)
{
	const struct instance *instance = instance_of(port);

	return instance ? instance->spec.name : "the instance";
}

/* --- at the console ------------------------------------------------------------------------------ */

static struct serial_peer *peer_of(struct console_peer *peer)
{
	return LIST_ENTRY(peer, struct serial_peer, peer);
}

static void tell_role(struct serial_peer *peer)
{
	const char *driver = console_driver(&peer->peer);

	if (!driver) { /* each is told: the first takes it, the others then see a driver */
		loop_later(peer->port->serials->daemon->loop, &peer->drive);
	} else if (console_drives(&peer->peer)) {
		if (peer->told_observes)
			say(peer, "you drive now");
		peer->told_observes = false;
	} else if (!peer->told_observes) {
		say(peer, "%s drives; you look on", driver);
		peer->told_observes = true;
	}
}

static void on_drive(struct loop_later *later)
{
	struct serial_peer *peer = LIST_ENTRY(later, struct serial_peer, drive);

	if (peer->peer.console && !console_driver(&peer->peer))
		console_take(&peer->peer);
}

static void opened(struct console_peer *console_peer)
{
	struct serial_peer *peer = peer_of(console_peer);

	if (peer->was_there || peer->told_waits)
		say(peer, "%s runs", name_of(peer->port));
	peer->was_there = true;
	peer->told_waits = false;
	peer->port->again_ms = AGAIN_MS;
	tcp_pause(peer->conn, false);
	tell_role(peer);
}

static bool output(struct console_peer *console_peer, int stream, const char *data, size_t length)
{
	(void)stream;
	return tcp_send(peer_of(console_peer)->conn, data, length);
}

static void lost(struct console_peer *console_peer, uint64_t bytes)
{
	say(peer_of(console_peer), "%llu bytes of output are left out", (unsigned long long)bytes);
}

static void recorded(struct console_peer *console_peer, const char *id, const char *why_not)
{
	(void)id;
	if (why_not)
		say(peer_of(console_peer), "this session is not recorded any more: %s", why_not);
	else
		say(peer_of(console_peer), "this session is recorded");
}

static void drain(struct console_peer *console_peer)
{
	tcp_pause(peer_of(console_peer)->conn, false);
}

static void changed(struct console_peer *console_peer)
{
	struct serial_peer *peer = peer_of(console_peer);

	tcp_pause(peer->conn, false); /* a driver that was may rest still */
	tell_role(peer);
}

static void try_later(struct serial_port *port)
{
	loop_timer_start(port->serials->daemon->loop, &port->again, port->again_ms);
	port->again_ms = port->again_ms * 2 < AGAIN_MAX_MS ? port->again_ms * 2 : AGAIN_MAX_MS;
}

static void tell_waits(struct serial_peer *peer, const char *why)
{
	if (!peer->told_waits)
		say(peer, "%s; waiting for it", why);
	peer->told_waits = true;
}

static void ended(struct console_peer *console_peer, const struct gantry_error *err,
		  const struct gantry_exit *exit)
{
	struct serial_peer *peer = peer_of(console_peer);
	struct serial_port *port = peer->port;
	char *why =
		err ? xstrdup(err->text) : xasprintf("the process of %s has ended", name_of(port));

	(void)exit;
	loop_later_cancel(port->serials->daemon->loop, &peer->drive);
	peer->told_observes = false;
	tcp_pause(peer->conn, false);
	tell_waits(peer, why);
	free(why);
	try_later(port);
}

static const struct console_events console_events = {
	.opened = opened,
	.output = output,
	.lost = lost,
	.recorded = recorded,
	.drain = drain,
	.changed = changed,
	.ended = ended,
};

/* --- peers --------------------------------------------------------------------------------------- */

/* Until it closes unless somebody connects. */
static void rest(struct serial_port *port)
{
	struct daemon *daemon = port->serials->daemon;
	struct instance *instance = instance_of(port);
	int64_t idle_ms = daemon->settings->serial_idle_ms;

	if (port->peer_count)
		loop_timer_stop(daemon->loop, &port->idle);
	else
		loop_timer_start(daemon->loop, &port->idle, idle_ms);
	if (!instance)
		return;
	instance->serial.peers = port->peer_count;
	instance->serial.until_ms = port->peer_count ? 0 : clock_wall_ms() + idle_ms;
}

/* Its connection is no more, or not ours any more. */
static void drop(struct serial_peer *peer, bool stalled)
{
	struct serial_port *port = peer->port;

	console_leave(&peer->peer);
	loop_later_cancel(port->serials->daemon->loop, &peer->drive);
	list_remove(&peer->link);
	port->peer_count--;
	if (stalled)
		log_warn("%s is let go from the serial port of %s: it took nothing for %g s",
			 peer->actor, name_of(port),
			 (double)port->serials->daemon->settings->serial_stall_ms / 1000);
	else
		log_info("%s leaves the serial port of %s", peer->actor, name_of(port));
	free(peer->actor);
	free(peer);
	rest(port);
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct serial_peer *peer = arg;

	/* what an observer types, or who waits, is of no use to anybody */
	if (console_input(&peer->peer, data, length) == CONSOLE_BEHIND)
		tcp_pause(peer->conn, true);
}

static void on_drain(void *arg)
{
	console_caught_up(&((struct serial_peer *)arg)->peer);
}

static void on_gone(void *arg, bool stalled)
{
	drop(arg, stalled);
}

/* False: it may not, and was told. */
static bool go_to_console(struct serial_peer *peer, struct instance *instance)
{
	struct serial_port *port = peer->port;
	const struct flows_ask ask = {.actor = port->actor, .user = port->user, .via = "serial"};
	struct gantry_error err;
	int code = console_attach(port->serials->daemon, &ask, instance, &peer->peer, true, false,
				  &err);

	if (code == -EACCES || code == -ENOTSUP) {
		say(peer, "%s", err.text);
		return false;
	}
	if (code < 0)
		tell_waits(peer, err.text);
	else
		tcp_pause(peer->conn, true); /* until it is open, so that nothing typed is lost */
	return true;
}

static void look(struct serial_port *port)
{
	struct serials *serials = port->serials;
	struct instance *instance = instance_of(port);
	bool wait = false;

	if (!instance) {
		port_close(port, "the instance was removed");
		save(serials, NULL, NULL);
		return;
	}
	LIST_FOREACH (node, &port->peers) {
		struct serial_peer *peer = LIST_ENTRY(node, struct serial_peer, link);
		struct tcp_conn *conn = peer->conn;

		if (!peer->peer.console && !go_to_console(peer, instance)) {
			drop(peer, false);
			tcp_close(conn);
			continue;
		}
		wait |= !peer->peer.console;
	}
	if (wait &&
	    instance->state == INSTANCE_UNKNOWN) /* no event of it tells when its node is back */
		try_later(port);
}

static void on_again(struct loop_timer *timer)
{
	look(LIST_ENTRY(timer, struct serial_port, again));
}

static bool may_connect(const struct settings *settings, const struct tcp_conn *conn)
{
	for (size_t i = 0; i < settings->serial_peer_count; i++)
		if (cidr_contains(&settings->serial_peers[i], tcp_address(conn)))
			return true;
	return false;
}

static void on_accepted(void *arg, struct tcp_conn *conn)
{
	static const struct tcp_events events = {
		.data = on_data, .drain = on_drain, .gone = on_gone};
	struct serial_port *port = arg;
	struct serial_peer *peer;

	if (!may_connect(port->serials->daemon->settings, conn)) {
		log_warn("%s is turned away from the serial port of %s: it is not in serial_allow",
			 tcp_name(conn), name_of(port));
		tcp_close(conn);
		return;
	}
	if (port->peer_count == SERIAL_PEERS) {
		log_warn("%s is turned away from the serial port of %s: %d are there already",
			 tcp_name(conn), name_of(port), SERIAL_PEERS);
		tcp_close(conn);
		return;
	}
	peer = xcalloc(1, sizeof(*peer));
	peer->port = port;
	peer->conn = conn;
	peer->actor = xasprintf("serial %s", tcp_name(conn));
	peer->peer.events = &console_events;
	peer->peer.actor = peer->actor;
	peer->peer.wants_kept = true;
	loop_later_init(&peer->drive, on_drive);
	list_append(&port->peers, &peer->link);
	port->peer_count++;
	tcp_start(conn, port->serials->daemon->settings->serial_stall_ms, &events, peer);
	rest(port);
	log_info("%s comes to the serial port of %s", peer->actor, name_of(port));
	look(port);
}

/* --- ports --------------------------------------------------------------------------------------- */

static struct serial_port *find(const struct serials *serials, const char *instance)
{
	LIST_FOREACH (node, &serials->ports) {
		struct serial_port *port = LIST_ENTRY(node, struct serial_port, link);

		if (str_equal(port->instance, instance))
			return port;
	}
	return NULL;
}

static void on_idle(struct loop_timer *timer)
{
	struct serial_port *port = LIST_ENTRY(timer, struct serial_port, idle);
	struct serials *serials = port->serials;

	log_info("the serial port of %s is closed: nobody came", name_of(port));
	port_close(port, "");
	save(serials, NULL, NULL);
}

static int listen_at(struct serial_port *port, int number, struct gantry_error *err)
{
	struct daemon *daemon = port->serials->daemon;

	port->port = number;
	return tcp_listen(daemon->loop, daemon->settings->serial_address, number, on_accepted, port,
			  &port->listener, err);
}

/* A free one of the range. */
static int listen_somewhere(struct serial_port *port, struct gantry_error *err)
{
	struct serials *serials = port->serials;
	const struct settings *settings = serials->daemon->settings;
	int count = settings->serial_last_port - settings->serial_first_port + 1,
	    code = -EADDRINUSE;

	for (int tries = 0; tries < count && code == -EADDRINUSE; tries++) {
		if (serials->next_port < settings->serial_first_port ||
		    serials->next_port > settings->serial_last_port)
			serials->next_port = settings->serial_first_port;
		code = listen_at(port, serials->next_port++, err);
	}
	if (code == -EADDRINUSE)
		return gantry_error_set(err, -EAGAIN, "no port of serial_ports %s is free on %s",
					settings->serial_ports, settings->serial_address);
	return code < 0 ? gantry_error_prefix(err, "listen on %s port %d", settings->serial_address,
					      port->port)
			: 0;
}

static struct serial_port *port_new(struct serials *serials, const char *instance,
				    const char *actor, const char *user)
{
	struct serial_port *port = xcalloc(1, sizeof(*port));

	port->serials = serials;
	snprintf(port->instance, sizeof(port->instance), "%s", instance);
	port->actor = xstrdup(actor);
	port->user = xstrdup(user);
	list_init(&port->peers);
	loop_timer_init(&port->idle, on_idle);
	loop_timer_init(&port->again, on_again);
	port->again_ms = AGAIN_MS;
	list_append(&serials->ports, &port->link);
	return port;
}

/* It listens: the instance shows it. */
static void port_show(struct serial_port *port, struct instance *instance)
{
	instance->serial.host = port->serials->daemon->settings->serial_address;
	instance->serial.port = port->port;
	rest(port);
}

/* Frees it. why: for those who are there. */
static void port_close(struct serial_port *port, const char *why)
{
	struct loop *loop = port->serials->daemon->loop;
	struct instance *instance = instance_of(port);

	while (!list_empty(&port->peers)) {
		struct serial_peer *peer = LIST_ENTRY(port->peers.next, struct serial_peer, link);
		struct tcp_conn *conn = peer->conn;

		say(peer, "%s", why);
		drop(peer, false);
		tcp_close(conn);
	}
	if (instance)
		instance->serial = (struct instance_serial){0};
	loop_timer_stop(loop, &port->idle);
	loop_timer_stop(loop, &port->again);
	tcp_listener_close(port->listener);
	list_remove(&port->link);
	free(port->actor);
	free(port->user);
	free(port);
}

int serial_open(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		serial_done_fn done, void *arg, struct gantry_error *err)
{
	struct serials *serials = daemon->serials;
	struct serial_port *port = find(serials, instance->id);
	struct flows_ask serial_ask = *ask;
	int code;

	if (daemon->stopping)
		return gantry_error_set(err, -EAGAIN, "gantryd stops");
	serial_ask.via = "serial";
	code = admit(daemon, &serial_ask, instance, "attach", NULL, NULL, err);
	if (code < 0)
		return code;
	if (!port) {
		port = port_new(serials, instance->id, ask->actor, ask->user);
		code = listen_somewhere(port, err);
		if (code < 0) {
			port_close(port, "");
			return code;
		}
		log_info("the serial port of %s is %s port %d", instance->spec.name,
			 daemon->settings->serial_address, port->port);
	}
	port_show(port, instance);
	save(serials, done, arg);
	return 0;
}

int serial_shut(struct daemon *daemon, struct instance *instance, serial_done_fn done, void *arg,
		struct gantry_error *err)
{
	struct serial_port *port = find(daemon->serials, instance->id);

	if (!port)
		return gantry_error_set(err, -ENOENT, "%s has no serial port", instance->spec.name);
	port_close(port, "the port is closed");
	save(daemon->serials, done, arg);
	return 0;
}

/* --- all of them --------------------------------------------------------------------------------- */

static void on_event(struct event_follower *follower, const struct event *event)
{
	struct serials *serials = LIST_ENTRY(follower, struct serials, follower);
	struct serial_port *port = event->instance[0] ? find(serials, event->instance) : NULL;

	if (!port)
		return;
	port->again_ms = AGAIN_MS;
	loop_timer_start(serials->daemon->loop, &port->again, 0);
}

static void reopen(struct serials *serials, const char *id, struct json_object *object)
{
	const char *actor = json_get_string(object, "actor", "");
	struct instance *instance = fleet_find(&serials->daemon->fleet, id);
	struct serial_port *port;
	struct gantry_error err;

	if (!instance)
		return;
	port = port_new(serials, id, actor, json_get_string(object, "user", NULL));
	if (listen_at(port, (int)json_get_int(object, "port", 0), &err) == 0) {
		port_show(port, instance);
		return;
	}
	log_warn("the serial port %d of %s is closed: %s", port->port, instance->spec.name,
		 err.text);
	port_close(port, "");
}

void serials_open(struct daemon *daemon)
{
	struct serials *serials = xcalloc(1, sizeof(*serials));
	char *text = store_load_fact(daemon->store, FACT);
	struct json_object *all = NULL;

	daemon->serials = serials;
	serials->daemon = daemon;
	list_init(&serials->ports);
	serials->follower.event = on_event;
	event_log_follow(&daemon->events, &serials->follower);
	if (text && json_parse(text, strlen(text), &all, NULL) == 0 &&
	    json_object_is_type(all, json_type_object)) {
		json_object_object_foreach(all, id, object) reopen(serials, id, object);
	}
	json_object_put(all);
	free(text);
}

void serials_close(struct daemon *daemon)
{
	struct serials *serials = daemon->serials;

	if (!serials)
		return;
	event_log_unfollow(&serials->follower);
	while (!list_empty(&serials->ports))
		port_close(LIST_ENTRY(serials->ports.next, struct serial_port, link),
			   "gantryd stops; the process goes on");
	free(serials);
	daemon->serials = NULL;
}
