/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/console/exec.h"
#include "base/clock.h"
#include "base/str.h"
#include "model/spec.h"

#include <stdlib.h>

void exec_free(struct exec *exec)
{
	loop_timer_stop(exec->daemon->loop, &exec->due);
	list_remove(&exec->link);
	arena_fini(&exec->arena);
	free(exec);
}

static void on_due(struct loop_timer *timer)
{
	exec_free(LIST_ENTRY(timer, struct exec, due));
}

static size_t waiting(const struct daemon *daemon)
{
	size_t count = 0;

	LIST_FOREACH (node, &daemon->execs)
		count++;
	return count;
}

int exec_create(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct json_object *body, const struct exec **ret_exec, struct gantry_error *err)
{
	struct exec *exec = xcalloc(1, sizeof(*exec));
	const struct node_link *link;
	int code;

	exec->daemon = daemon;
	list_init(&exec->link);
	loop_timer_init(&exec->due, on_due);
	code = spec_parse_exec(body, &exec->arena, &exec->asked, err);
	if (code == 0)
		code = console_check(daemon, instance, &link, err);
	if (code == 0)
		code = admit(daemon, ask, instance, "exec", &exec->asked, &exec->terms, err);
	if (code == 0 && waiting(daemon) >= EXECS_MAX)
		code = gantry_error_set(err, -EAGAIN,
					"%d execs wait for those who asked for them to come",
					EXECS_MAX);
	if (code < 0) {
		exec_free(exec);
		return code;
	}
	instance_make_id(exec->id);
	snprintf(exec->instance, sizeof(exec->instance), "%s", instance->id);
	exec->actor = arena_strdup(&exec->arena, ask->actor);
	exec->expires_ms = clock_wall_ms() + EXEC_WAIT_MS;
	list_append(&daemon->execs, &exec->link);
	loop_timer_start(daemon->loop, &exec->due, EXEC_WAIT_MS);
	*ret_exec = exec;
	return 0;
}

int exec_take(struct daemon *daemon, const char *id, const char *actor, struct exec **ret_exec,
	      struct gantry_error *err)
{
	LIST_FOREACH (node, &daemon->execs) {
		struct exec *exec = LIST_ENTRY(node, struct exec, link);

		if (!str_equal(exec->id, id) || !str_equal(exec->actor, actor))
			continue;
		loop_timer_stop(daemon->loop, &exec->due);
		list_remove(&exec->link);
		*ret_exec = exec;
		return 0;
	}
	return gantry_error_set(
		err, -ENOENT, "no such exec waits: it is good once, for %d s, for who asked for it",
		EXEC_WAIT_MS / 1000);
}

void execs_close(struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->execs)
		exec_free(LIST_ENTRY(node, struct exec, link));
}
