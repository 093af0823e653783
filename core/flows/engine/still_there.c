/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/still_there.h"
#include "flows/engine/restarts.h"

#define PING_LIMIT_MS 10000

static void ping(struct node_link *link);

static void tell(struct list *line, struct daemon *daemon,
		 void (*told)(struct daemon *daemon, struct instance *instance))
{
	while (!list_empty(line)) {
		struct instance *instance = LIST_ENTRY(line->next, struct instance, proof);

		list_remove(&instance->proof);
		told(daemon, instance);
	}
}

static void on_answered(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;
	struct gantry_error gone;

	(void)result;
	link->ping_op = NULL;
	if (link->closing)
		return;
	if (err) {
		gone = *err;
		gantry_error_prefix(&gone, "it takes no new connections");
		node_link_lose(link, &gone);
		return;
	}
	tell(&link->proof_asked, link->daemon, restarts_engine_there);
	ping(link);
}

static void ping(struct node_link *link)
{
	if (link->ping_op || list_empty(&link->proof_line))
		return;
	list_move_all(&link->proof_asked, &link->proof_line);
	link->ping_op =
		op_new(&link->daemon->scope, "ask whether an engine is there", on_answered, link);
	op_set_deadline(link->ping_op, PING_LIMIT_MS);
	link->runtime->ping(link->handle, link->ping_op);
}

void still_there_ask(struct node_link *link, struct instance *instance)
{
	if (!link->runtime->ping) { /* one that is never on its way down */
		restarts_engine_there(link->daemon, instance);
		return;
	}
	if (list_empty(&instance->proof))
		list_append(&link->proof_line, &instance->proof);
	ping(link);
}

void still_there_lost(struct node_link *link)
{
	if (link->ping_op)
		op_forget(link->ping_op);
	link->ping_op = NULL;
	tell(&link->proof_asked, link->daemon, restarts_engine_gone);
	tell(&link->proof_line, link->daemon, restarts_engine_gone);
}
