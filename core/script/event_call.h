/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of event hooks know of the run that calls them. Internal to script/. */
#ifndef SCRIPT_EVENT_CALL_H
#define SCRIPT_EVENT_CALL_H

#include "script/event.h"
#include "script/sandbox.h"

struct event_call {
	lua_State *thread;         /* the hook's own: no other may wait; NULL: none runs */
	const struct fleet *fleet; /* borrowed */
	int64_t now_ms;
	bool ending; /* only its pending __close run any more */
	int waits;   /* so far */
	struct script_wait wait;
};

/* An event as `ev` has it. Everything borrowed. */
struct event_facts {
	const char *kind;
	int64_t sequence, at_ms;
	const char *instance_id, *name, *project, *node, *actor, *operation; /* NULL: none */
	const struct instance *instance; /* NULL: none, or it is gone */
	struct json_object *detail;      /* all other members, an object */
};

#endif
