/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/engine/node_link.h"

static struct json_object *print_node(const struct node_link *link)
{
	struct json_object *object = node_print(&link->node);
	struct json_object *starts = json_object_new_object();

	json_add_int(starts, "width", link->window.width);
	json_add_int(starts, "at_work", link->window.at_work);
	json_add_int(starts, "waiting", link->window.in_line);
	json_add_int(starts, "mean_us", link->window.mean_us);
	json_add_int(starts, "failed_in_a_row", link->node.failed_starts);
	json_add_bool(starts, "lowered", link->node.lowered);
	json_add_time(starts, "lowered_until", link->node.lowered_until_ms);
	json_object_object_add(object, "starts", starts);
	return object;
}

void handle_node_list(struct call *call)
{
	struct json_object *object = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < call->daemon->fleet.node_count; i++)
		json_object_array_add(list, print_node(call->daemon->links[i]));
	json_object_object_add(object, "nodes", list);
	call_reply(call, 200, object);
}

void handle_node_show(struct call *call)
{
	struct node_link *link = call_node(call, call->parameter);

	if (link)
		call_reply(call, 200, print_node(link));
}
