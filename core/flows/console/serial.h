/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serial ports: an instance's console as plain bytes on a TCP port of its own, for Nova's serial proxy and
 * whatever else speaks to such ports. There is no handshake: whoever may connect owns the console.
 *
 *	serial_open ─▶ a port, who connects is at the console (console.h) ─▶ nobody for serial_idle, or
 *	serial_shut, or the instance is removed ─▶ gone
 *
 * The first who connects drives, as far as nobody else does, the others look on; when the driver leaves
 * the next in line drives. As the process waits for the driver, a peer that takes nothing for serial_stall is let
 * go. A peer stays while the process is away, and goes on with the next one. What
 * is not of the process is said in lines of their own that begin with "[gantry: ".
 *
 * Which instance has which port is a fact of the store: after a restart of gantryd it is the same.
 */
#ifndef FLOWS_SERIAL_H
#define FLOWS_SERIAL_H

#include "flows/flows.h"

/* At one port, at the same time. */
#define SERIAL_PEERS 16

/* Opens the ports that the store has. */
void serials_open(struct daemon *daemon);
/* Tells all peers and closes all ports; they stay in the store. */
void serials_close(struct daemon *daemon);

typedef void (*serial_done_fn)(void *arg, const struct gantry_error *err);
/*
 * The instance's port, made where there is none (instance->serial tells which); its time begins anew. Policies are asked
 * ("attach"), now for who asks, and each time somebody connects. done comes once the store has it.
 */
int serial_open(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		serial_done_fn done, void *arg, struct gantry_error *err);
/* -ENOENT: it has none. */
int serial_shut(struct daemon *daemon, struct instance *instance, serial_done_fn done, void *arg,
		struct gantry_error *err);

#endif
