/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits: how an instance's process ended, told once and exactly.
 *
 * The engine says that a process died; one inspect then tells code, time and OOM flag. That goes into
 * the instance and, as the event instance.exited, to everybody; who waits for the instance is told.
 * While a flow starts the process, this is put off until the flow is over: nobody hears of an exit
 * before they heard of the start.
 */
#ifndef FLOWS_EXITS_H
#define FLOWS_EXITS_H

#include "flows/daemon.h"

struct exit_waiter {
	struct list link; /* in instance->waiters; empty when not waiting */
	/* Once, off the list already. The instance is not running; gone: it is being removed. */
	void (*told)(struct exit_waiter *waiter, struct instance *instance, bool gone);
};

/* The engine says that the process ended. */
void exits_died(struct daemon *daemon, struct instance *instance,
		const struct instance_death *death);
/* The container is gone, and not by our doing. */
void exits_gone(struct daemon *daemon, struct instance *instance);
/* The operation on the instance is over, well or not: what was put off is looked at. */
void exits_after_flow(struct daemon *daemon, struct instance *instance,
		      const struct operation *operation);
/* True where the process is not running and nobody is about to start it. */
bool exits_is_over(const struct instance *instance);
/* Tells those who wait; gone: the instance is about to be removed. */
void exits_tell(struct instance *instance, bool gone);

#endif
