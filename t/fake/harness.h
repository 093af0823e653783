/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of plugins share: a loop with a plugin and one node on it, ops run to their end, and
 * the fake engine with its control. Included by C tests; everything is static.
 *
 *	struct rig rig;
 *	rig_open(&rig);                               loop and a folder of its own
 *	rig_engine(&rig);                             a fake engine; rig.endpoint is where
 *	rig_load(&rig, "docker", "{\"ping_interval\": \"1s\"}");
 *	RUN(&rig, start, id)                          runs an operation, gives its code; rig.err, rig.take
 *	rig_close(&rig);
 */
#ifndef FAKE_HARNESS_H
#define FAKE_HARNESS_H

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

#include "base/clock.h"
#include "base/str.h"
#include "loop/op.h"
#include "plugin/loader.h"

#define RIG_OWNER "tester"

struct rig {
	struct loop loop;
	struct op_scope scope;
	struct plugin *plugin;
	const struct gantry_runtime *runtime;
	void *node;
	char folder[64], socket[108], endpoint[128];
	const char *owner; /* label value of the node's containers */
	pid_t engine;
	bool over; /* the limit of rig_until passed */

	/* of the last op that was run */
	struct gantry_op *op;
	bool done;
	int code;
	struct gantry_error err;
	void (*take)(
		const void *result); /* looks at the result while it lives; set anew for each run */
};

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){.owner = RIG_OWNER};
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/gantry-test.XXXXXX");
	if (!mkdtemp(rig->folder))
		bail_out("no folder");
	loop_init(&rig->loop);
	op_scope_init(&rig->scope, &rig->loop, NULL);
}

/* --- the loop --- */

#define RIG_TICK_MS 5

struct rig_tick {
	struct loop_timer timer;
	struct loop *loop; /* borrowed */
};

/* Always set, so that the loop never sleeps long: a flag may be set by a timer before it goes to sleep. */
static void rig_on_tick(struct loop_timer *timer)
{
	loop_timer_start(LIST_ENTRY(timer, struct rig_tick, timer)->loop, timer, RIG_TICK_MS);
}

/* Turns the loop until *flag, at most so long. */
__attribute__((unused)) static bool rig_until(struct rig *rig, const bool *flag, int64_t limit_ms)
{
	int64_t end_us = clock_monotonic_us() + limit_ms * 1000;
	struct rig_tick tick = {.loop = &rig->loop};

	loop_timer_init(&tick.timer, rig_on_tick);
	loop_timer_start(&rig->loop, &tick.timer, RIG_TICK_MS);
	while (!*flag && clock_monotonic_us() < end_us)
		uv_run(&rig->loop.uv, UV_RUN_ONCE);
	loop_timer_stop(&rig->loop, &tick.timer);
	rig->over = !*flag;
	return *flag;
}

/* Turns the loop for a while, for what must not happen. */
__attribute__((unused)) static void rig_turn(struct rig *rig, int64_t ms)
{
	bool never = false;

	rig_until(rig, &never, ms);
}

static void rig_done(void *arg, const struct gantry_error *err, const void *result)
{
	struct rig *rig = arg;

	rig->done = true;
	rig->op = NULL;
	rig->code = err ? err->code : 0;
	if (err)
		rig->err = *err;
	else if (rig->take)
		rig->take(result);
}

__attribute__((unused)) static struct gantry_op *rig_op(struct rig *rig)
{
	rig->done = false;
	rig->code = 1;
	memset(&rig->err, 0, sizeof(rig->err));
	rig->op = op_new(&rig->scope, "test", rig_done, rig);
	return rig->op;
}

__attribute__((unused)) static int rig_wait(struct rig *rig)
{
	if (!rig_until(rig, &rig->done, 60000))
		bail_out("an operation has no end");
	rig->take = NULL;
	return rig->code;
}

/* Runs one operation of the runtime to its end. */
#define RUN(rig, operation, ...)                                                                   \
	((rig)->runtime->operation((rig)->node, __VA_ARGS__, rig_op(rig)), rig_wait(rig))
#define RUN0(rig, operation) ((rig)->runtime->operation((rig)->node, rig_op(rig)), rig_wait(rig))

/* --- the fake engine --- */

__attribute__((unused)) static void rig_engine(struct rig *rig)
{
	char path[256], line[16] = "";
	int ready[2];
	const char *build = getenv("BUILD");

	snprintf(rig->socket, sizeof(rig->socket), "%s/e.sock", rig->folder);
	snprintf(rig->endpoint, sizeof(rig->endpoint), "unix://%s", rig->socket);
	snprintf(path, sizeof(path), "%s/t/fake/engine", build ? build : ".build/plain");
	if (pipe(ready) < 0)
		bail_out("no pipe");
	rig->engine = fork();
	if (rig->engine == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* it does not outlive a test that crashed */
		dup2(ready[1], 1);
		close(ready[0]);
		close(ready[1]);
		execl(path, path, rig->socket, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	if (read(ready[0], line, sizeof(line) - 1) <= 0)
		bail_out("%s does not start", path);
	close(ready[0]);
}

__attribute__((unused)) static void rig_engine_stop(struct rig *rig)
{
	if (rig->engine > 0) {
		kill(rig->engine, SIGTERM);
		waitpid(rig->engine, NULL, 0);
	}
	rig->engine = 0;
}

/* One request to the engine, past the plugin: the answer's body, to be freed. *ret_status may be NULL. */
__attribute__((unused)) static char *rig_ask(struct rig *rig, const char *method, const char *path,
					     const char *body, int *ret_status)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct str text = STR_INIT;
	char part[65536], *end, *answer;
	ssize_t length;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->socket);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bail_out("no connection to %s", rig->socket);
	str_addf(&text, "%s %s HTTP/1.0\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n",
		 method, path, body ? strlen(body) : 0);
	if (body)
		str_add(&text, "Content-Type: application/json\r\n");
	str_addf(&text, "\r\n%s", body ? body : "");
	if (write(fd, text.data, text.length) < 0)
		bail_out("no writing");
	str_clear(&text);
	for (;;) {
		const char *head = strstr(str_text(&text), "\r\n\r\n"), *wanted;

		if (head) {
			wanted = strstr(text.data, "Content-Length: ");
			if (strstr(text.data, " 204 ") ||
			    (wanted && text.length >= (size_t)(head + 4 - text.data) +
							      strtoul(wanted + 16, NULL, 10)))
				break;
		}
		length = read(fd, part, sizeof(part));
		if (length <= 0)
			break;
		str_add_bytes(&text, part, (size_t)length);
	}
	close(fd);
	if (ret_status)
		*ret_status = text.length > 12 ? atoi(text.data + 9) : 0;
	end = strstr(str_text(&text), "\r\n\r\n");
	answer = xstrdup(end ? end + 4 : "");
	str_fini(&text);
	return answer;
}

__attribute__((unused)) static void rig_tell(struct rig *rig, const char *path, const char *body)
{
	int status;
	char *answer = rig_ask(rig, "POST", path, body, &status);

	if (status != 200)
		bail_out("POST %s: %d %s", path, status, answer);
	free(answer);
}

__attribute__((unused)) static void rig_fault(struct rig *rig, const char *match, const char *mode,
					      int ms, int count)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"match\":\"%s\",\"mode\":\"%s\",\"ms\":%d,\"count\":%d}",
		 match, mode, ms, count);
	rig_tell(rig, "/fake/fault", body);
}

__attribute__((unused)) static void rig_no_faults(struct rig *rig)
{
	free(rig_ask(rig, "DELETE", "/fake/fault", NULL, NULL));
}

/* How often the engine was called so ("POST /images/create"). */
__attribute__((unused)) static int64_t rig_calls(struct rig *rig, const char *call)
{
	char *answer = rig_ask(rig, "GET", "/fake/state", NULL, NULL);
	struct json_object *state = json_tokener_parse(answer);
	int64_t count = json_get_int(json_get(state, "calls"), call, 0);

	json_object_put(state);
	free(answer);
	return count;
}

__attribute__((unused)) static int64_t rig_state(struct rig *rig, const char *key)
{
	char *answer = rig_ask(rig, "GET", "/fake/state", NULL, NULL);
	struct json_object *state = json_tokener_parse(answer);
	int64_t value = json_get_int(state, key, -1);

	json_object_put(state);
	free(answer);
	return value;
}

/* --- the plugin --- */

/* options: the node's, a JSON object or NULL; the endpoint is put in where it has none. */
__attribute__((unused)) static void rig_load(struct rig *rig, const char *name, const char *options)
{
	struct json_object *values = json_tokener_parse(options ? options : "{}");
	struct gantry_error err;
	char path[256];
	const char *build = getenv("BUILD");

	snprintf(path, sizeof(path), "%s/plugins/%s.so", build ? build : ".build/plain", name);
	if (plugin_load(&rig->loop, path, NULL, "plugins.x", &rig->plugin, &err) < 0)
		bail_out("%s", err.text);
	rig->runtime = plugin_runtime(rig->plugin);
	if (rig->endpoint[0] && !json_get(values, "endpoint"))
		json_add_string(values, "endpoint", rig->endpoint);
	if (plugin_node_open(rig->plugin, "n1", values, rig->owner, &rig->node, &err) < 0)
		bail_out("%s: %s", err.field, err.text);
	json_object_put(values);
}

static void rig_close(struct rig *rig)
{
	char command[128];

	if (rig->plugin) {
		rig->runtime->node_close(rig->node);
		is_int(plugin_unload(rig->plugin), 0, "the plugin leaves nothing behind");
	}
	is_int((int)rig->scope.count, 0, "no op is left");
	is_int(loop_fini(&rig->loop), 0, "no handle is left on the loop");
	if (rig->engine > 0) {
		kill(rig->engine, SIGTERM);
		waitpid(rig->engine, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", rig->folder);
	if (system(command) != 0)
		diag("%s is left", rig->folder);
}

#endif
