/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event hook waits for, as an op: a time, or an HTTP exchange with an address that gantry.lua
 * allows (`policy_http_allow`).
 */
#ifndef FLOWS_EVENT_WAIT_H
#define FLOWS_EVENT_WAIT_H

#include "loop/http_client.h"
#include "loop/op.h"
#include "model/settings.h"
#include "script/event.h"

struct event_waits {
	struct loop *loop;               /* borrowed */
	const struct settings *settings; /* borrowed */
	struct http_client *client;      /* owned; NULL until the first exchange */
};

/* What a person reads of it: "1.5 s", "POST http://host:80". No path: it may hold a secret. */
void event_wait_describe(const struct script_wait *wait, char *text, size_t size);

/*
 * Starts the wait, for limit_ms at the most; op ends with a struct script_answer. An address that is not
 * allowed and a failure of HTTP are answers as well; the op fails only where it is cancelled.
 * *ret_refused: the address is not allowed.
 */
void event_wait_start(struct event_waits *waits, const struct script_wait *wait, int64_t limit_ms,
		      struct gantry_op *op, bool *ret_refused);
/* No wait may be under way. */
void event_waits_fini(struct event_waits *waits);

#endif
