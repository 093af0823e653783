/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of tests that every runtime plugin must pass (gantry/runtime.h), whatever engine is
 * under it: the fake one, a real Docker Engine, Podman, or none.
 */
#ifndef FAKE_CONFORMANCE_H
#define FAKE_CONFORMANCE_H

#include "harness.h"

#include "model/spec.h"

/* How things are said to the engine at hand. Lists end with NULL. */
struct conformance {
	struct rig *rig;
	const char *image;
	const char *const *run;   /* runs until it is killed; SIGTERM ends it with 143 */
	const char *const *exit3; /* ends with 3 at once */
	const char *const *hello; /* writes "hello\n" to stdout */
	const char *const *oops;  /* writes "oops\n" to stderr */
	const char *prefix;       /* of container names */
	int port;                 /* free on the host; 0: ports are not tried */
};

static char conf_text[256];
static int64_t conf_number;
static struct gantry_limits conf_limits;
static enum gantry_container_state conf_state;

static void conf_take_id(const void *result)
{
	snprintf(conf_text, sizeof(conf_text), "%s", (const char *)result);
}

static void conf_take_exit(const void *result)
{
	conf_number = ((const struct gantry_exit *)result)->exit_code;
}

static void conf_take_count(const void *result)
{
	conf_number = (int64_t)((const struct gantry_containers *)result)->count;
}

static void conf_take_state(const void *result)
{
	const struct gantry_container *container = result;

	conf_state = container->state;
	conf_number = container->exit_code;
	conf_limits = container->limits;
	snprintf(conf_text, sizeof(conf_text), "%s", container->name);
}

static const char *conf_name(struct conformance *c, const char *name)
{
	static char whole[4][96];
	static int at;
	char *text = whole[at++ % 4];

	snprintf(text, 96, "%s%s", c->prefix, name);
	return text;
}

/* Makes a container; returns the code, and the id in id (of 80). */
static int conf_create_spec(struct conformance *c, const char *name, const char *const *command,
			    struct gantry_spec *spec, char *id)
{
	struct gantry_pair pairs[] = {
		{GANTRY_LABEL_OWNER, c->rig->owner},
		{GANTRY_LABEL_INSTANCE, "11111111-2222-4333-8444-555555555555"},
		{"tier", "gold \"quoted\""}};
	struct gantry_create create = {
		.labels = {pairs, 3}, .spec = spec, .name = conf_name(c, name)};
	size_t count = 0;
	int code;

	while (command && command[count])
		count++;
	spec->image = spec->image ? spec->image : c->image;
	spec->command = (struct gantry_strings){(const char **)command, count};
	conf_text[0] = '\0';
	c->rig->take = conf_take_id;
	code = RUN(c->rig, create, &create);
	snprintf(id, 80, "%s", conf_text);
	return code;
}

static int conf_create(struct conformance *c, const char *name, const char *const *command,
		       char *id)
{
	struct gantry_spec spec;

	spec_init(&spec);
	return conf_create_spec(c, name, command, &spec, id);
}

static enum gantry_container_state conf_inspect(struct conformance *c, const char *id)
{
	conf_state = GANTRY_CONTAINER_DEAD;
	c->rig->take = conf_take_state;
	if (RUN(c->rig, inspect, id) < 0)
		diag("inspect: %s", c->rig->err.text);
	return conf_state;
}

static int64_t conf_wait(struct conformance *c, const char *id)
{
	conf_number = -1;
	c->rig->take = conf_take_exit;
	if (RUN(c->rig, wait, id) < 0)
		diag("wait: %s", c->rig->err.text);
	return conf_number;
}

/* --- the list --- */

static void conf_take_facts(const void *result)
{
	const struct gantry_node_facts *facts = result;

	ok(facts->engine && facts->engine[0], "probe: the engine is %s", facts->engine);
	ok(facts->engine_version && facts->api_version, "its version is %s, the API's %s",
	   facts->engine_version, facts->api_version);
	ok(facts->cpus > 0 && facts->memory_bytes > 0, "it has CPUs and memory");
}

static void conf_life(struct conformance *c)
{
	struct rig *rig = c->rig;
	char id[80], other[80], name[96];

	is_int(conf_create(c, "web", c->run, id), 0, "create");
	is_int(strlen(id), 64, "the id is whole");
	is_int(conf_create(c, "web", c->run, other), -EEXIST, "a name is taken once");
	snprintf(name, sizeof(name), "%s", conf_name(c, "web"));
	like(rig->err.text, name, "the error says which");
	is_int(conf_inspect(c, id), GANTRY_CONTAINER_CREATED, "it is created");
	is_str(conf_text, name, "it has its name, without a slash");
	is_int(RUN(rig, kill, id, 9), -EALREADY, "kill of what does not run: -EALREADY");
	is_int(RUN(rig, start, id), 0, "start");
	is_int(RUN(rig, start, id), -EALREADY, "a second start: -EALREADY");
	is_int(conf_inspect(c, id), GANTRY_CONTAINER_RUNNING, "it runs");
	is_int(RUN(rig, kill, id, 15), 0, "kill with SIGTERM");
	is_int(conf_wait(c, id), 143, "wait: it ended with 143");
	is_int(conf_wait(c, id), 143, "a later wait tells the same");
	is_int(conf_inspect(c, id), GANTRY_CONTAINER_EXITED, "it is exited");
	is_int(conf_number, 143, "inspect tells the exit code");
	is_int(RUN(rig, start, id), 0, "start again");
	is_int(RUN(rig, kill, id, 9), 0, "kill with SIGKILL");
	is_int(conf_wait(c, id), 137, "it ended with 137");
	is_int(RUN(rig, remove, id), 0, "remove");
	is_int(RUN(rig, remove, id), 0, "a second remove succeeds");
	is_int(RUN(rig, inspect, id), -ENOENT, "inspect of what is gone: -ENOENT");
	is_int(RUN(rig, start, id), -ENOENT, "start: -ENOENT");
	is_int(RUN(rig, kill, id, 9), -ENOENT, "kill: -ENOENT");
	is_int(RUN(rig, wait, id), -ENOENT, "wait: -ENOENT");
	is_int(conf_create(c, "three", c->exit3, id), 0, "create what ends by itself");
	is_int(RUN(rig, start, id), 0, "start it");
	is_int(conf_wait(c, id), 3, "its exit code is its own");
	is_int(RUN(rig, remove, id), 0, "remove it");
}

static void conf_failures(struct conformance *c)
{
	static const char *const notfound[] = {"notfound", NULL};
	struct rig *rig = c->rig;
	struct gantry_spec spec;
	char id[80];

	spec_init(&spec);
	spec.image = "missing/nowhere:1";
	is_int(conf_create_spec(c, "noimage", c->run, &spec, id), -ENOENT,
	       "no such image: -ENOENT");
	like(rig->err.text, "missing/nowhere", "the error names it");
	is_int(conf_create(c, "nocommand", notfound, id), 0,
	       "create with a command that is not there");
	is_int(RUN(rig, start, id), -ENOEXEC, "start: -ENOEXEC");
	like(rig->err.text, "notfound", "the error names the command");
	ok(!strstr(rig->err.text, "OCI runtime") && !strstr(rig->err.text, ": unknown"),
	   "and is short: %s", rig->err.text);
	is_int(conf_inspect(c, id), GANTRY_CONTAINER_CREATED, "it is as it was");
	is_int(RUN(rig, remove, id), 0, "remove it");
	spec_init(&spec);
	spec.memory_bytes = 1024;
	is_int(conf_create_spec(c, "tiny", c->run, &spec, id), -EINVAL, "1 KiB of memory: -EINVAL");
}

static void conf_take_limits(const void *result)
{
	conf_limits = *(const struct gantry_limits *)result;
}

static void conf_pause_and_update(struct conformance *c)
{
	struct rig *rig = c->rig;
	struct gantry_spec spec;
	struct gantry_limits limits = {GANTRY_UNSET, GANTRY_UNSET, GANTRY_UNSET,
				       GANTRY_UNSET, GANTRY_UNSET, NULL};
	char id[80];

	spec_init(&spec);
	spec.memory_bytes = 64 << 20;
	spec.memory_swap_bytes = 64 << 20;
	is_int(conf_create_spec(c, "limits", c->run, &spec, id), 0, "create with a limit");
	is_int(RUN(rig, start, id), 0, "start");
	if (rig->runtime->pause && rig->runtime->unpause) {
		is_int(RUN(rig, pause, id), 0, "pause");
		is_int(conf_inspect(c, id), GANTRY_CONTAINER_PAUSED, "it is paused");
		is_int(RUN(rig, pause, id), -EALREADY, "pause again: -EALREADY");
		is_int(RUN(rig, unpause, id), 0, "unpause");
		is_int(conf_inspect(c, id), GANTRY_CONTAINER_RUNNING, "it runs");
		is_int(RUN(rig, unpause, id), -EALREADY, "unpause again: -EALREADY");
	}
	if (rig->runtime->update) {
		limits.memory_bytes = 128 << 20;
		rig->take = conf_take_limits;
		is_int(RUN(rig, update, id, &limits), 0,
		       "update over the old sum of memory and swap");
		is_int(conf_limits.memory_bytes, 128 << 20, "the memory is as asked for");
		is_int(conf_limits.memory_swap_bytes, 128 << 20,
		       "the swap stays what it was: none");
		conf_inspect(c, id);
		is_int(conf_limits.memory_bytes, 128 << 20, "inspect says so too");
		limits.memory_bytes = 1024;
		is_int(RUN(rig, update, id, &limits), -EINVAL, "1 KiB: -EINVAL");
		conf_inspect(c, id);
		is_int(conf_limits.memory_bytes, 128 << 20, "and nothing changed");
	}
	is_int(RUN(rig, remove, id), 0, "remove while it runs");
}

static int conf_calls;
static struct str conf_output[3];

static int conf_take_output(void *arg, int stream, const char *data, size_t length)
{
	(void)arg;
	conf_calls++;
	str_add_bytes(&conf_output[stream], data, length);
	return 0;
}

static int conf_refuse_output(void *arg, int stream, const char *data, size_t length)
{
	(void)arg, (void)stream, (void)data, (void)length;
	return -EPIPE;
}

static void conf_output_clear(void)
{
	for (int i = 0; i < 3; i++)
		str_fini(&conf_output[i]);
}

static void conf_outputs(struct conformance *c)
{
	struct rig *rig = c->rig;
	struct gantry_spec spec;
	char id[80];

	if (!rig->runtime->output)
		return;
	is_int(conf_create(c, "hello", c->hello, id), 0, "create what writes to stdout");
	is_int(RUN(rig, start, id), 0, "start it");
	conf_wait(c, id);
	is_int(RUN(rig, output, id, false, conf_take_output, NULL), 0, "its output");
	is_str(str_text(&conf_output[1]), "hello\n", "stdout is byte for byte");
	is_str(str_text(&conf_output[2]), "", "stderr is empty");
	conf_output_clear();
	ok(RUN(rig, output, id, false, conf_refuse_output, NULL) < 0, "a reader may end it");
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(RUN(rig, output, id, false, conf_take_output, NULL), -ENOENT,
	       "of what is gone: -ENOENT");
	is_int(conf_create(c, "oops", c->oops, id), 0, "create what writes to stderr");
	is_int(RUN(rig, start, id), 0, "start it");
	is_int(RUN(rig, output, id, true, conf_take_output, NULL), 0,
	       "followed, it ends with the container");
	is_str(str_text(&conf_output[2]), "oops\n", "stderr is told apart");
	is_str(str_text(&conf_output[1]), "", "stdout is empty");
	conf_output_clear();
	is_int(RUN(rig, remove, id), 0, "remove it");
	spec_init(&spec);
	spec.tty = true;
	is_int(conf_create_spec(c, "term", c->hello, &spec, id), 0, "create with a terminal");
	is_int(RUN(rig, start, id), 0, "start it");
	is_int(RUN(rig, output, id, true, conf_take_output, NULL), 0, "its output");
	like(str_text(&conf_output[1]), "hello", "a terminal has one stream, not in frames");
	ok(str_text(&conf_output[1])[0] == 'h', "from its first byte");
	conf_output_clear();
	is_int(RUN(rig, remove, id), 0, "remove it");
}

/* --- sessions --- */

struct conf_session {
	struct gantry_session *session; /* NULL: not open yet */
	bool open, enough;
	struct str got[3]; /* by stream */
	size_t wanted;     /* enough is set once so much of stream 1 is there */
	int exit_code;
};

static struct conf_session conf_session;

static void conf_session_open(void *arg, struct gantry_session *session)
{
	(void)arg;
	conf_session.session = session;
	conf_session.open = true;
}

static void conf_session_data(void *arg, int stream, const char *data, size_t length)
{
	(void)arg;
	str_add_bytes(&conf_session.got[stream], data, length);
	conf_session.enough = conf_session.got[1].length >= conf_session.wanted;
}

static void conf_session_drain(void *arg)
{
	(void)arg;
}

static void conf_session_take(const void *result)
{
	conf_session.exit_code = result ? ((const struct gantry_exit *)result)->exit_code : -1;
}

static const struct gantry_session_sink conf_sink = {
	.open = conf_session_open, .data = conf_session_data, .drain = conf_session_drain};

static void conf_ignore(void *arg, const struct gantry_error *err, const void *result)
{
	(void)arg, (void)err, (void)result;
}

static void conf_session_clear(void)
{
	for (int i = 0; i < 3; i++)
		str_fini(&conf_session.got[i]);
	conf_session = (struct conf_session){.exit_code = -2};
}

static int conf_exec(struct conformance *c, const char *id, const struct gantry_exec *exec)
{
	conf_session_clear();
	c->rig->take = conf_session_take;
	return RUN(c->rig, exec, id, exec, &conf_sink);
}

static struct gantry_exec conf_command(const char *const *command)
{
	struct gantry_exec exec = {0};

	while (command[exec.command.count])
		exec.command.count++;
	exec.command.items = (const char **)command;
	return exec;
}

static void conf_attach(struct conformance *c, bool tty)
{
	struct rig *rig = c->rig;
	static const char *const cat[] = {"cat", NULL};
	struct gantry_spec spec;
	char id[80];

	spec_init(&spec);
	spec.stdin_open = true;
	spec.tty = tty;
	is_int(conf_create_spec(c, tty ? "cat-tty" : "cat", cat, &spec, id), 0,
	       "create what echoes%s", tty ? " on a terminal" : "");
	conf_session_clear();
	rig->runtime->attach(rig->node, id, true, &conf_sink, rig_op(rig));
	ok(rig_until(rig, &conf_session.open, 10000), "attach to it before it starts");
	conf_session.wanted = 8;
	rig->runtime->start(rig->node, id, op_new(&rig->scope, "start", conf_ignore, NULL));
	rig->runtime->session_write(conf_session.session, "one two\n", 8);
	ok(rig_until(rig, &conf_session.enough, 10000), "what is sent comes back");
	like(str_text(&conf_session.got[1]), "one two", "as it was");
	if (tty) {
		rig->runtime->session_resize(conf_session.session, 40, 100);
		rig->runtime->session_resize(conf_session.session, 41, 101);
		op_cancel(rig->op);
		is_int(rig_wait(rig), -ECANCELED, "leaving ends the session");
		is_int(conf_inspect(c, id), GANTRY_CONTAINER_RUNNING, "and not the process");
	} else {
		is_int(rig->runtime->session_shutdown(conf_session.session), 0, "the input ends");
		is_int(rig_wait(rig), 0, "and with it the process, and the session");
		is_int((int)conf_wait(c, id), 0, "well");
		is_str(str_text(&conf_session.got[1]), "one two\n", "nothing was added or lost");
	}
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(RUN(rig, attach, id, true, &conf_sink), -ENOENT, "to what is gone: -ENOENT");
	conf_session_clear();
}

static void conf_sessions(struct conformance *c)
{
	struct rig *rig = c->rig;
	static const char *const echo[] = {"echo", "hello", NULL}, *const cat[] = {"cat", NULL};
	struct gantry_exec exec;
	char id[80];

	if (!rig->runtime->attach) {
		skip(1, "no sessions are offered");
		return;
	}
	conf_attach(c, false);
	conf_attach(c, true);
	is_int(conf_create(c, "host", c->run, id), 0, "create what runs on");
	exec = conf_command(echo);
	is_int(conf_exec(c, id, &exec), -EALREADY, "exec in what does not run: refused");
	is_int(RUN(rig, start, id), 0, "start it");
	is_int(conf_exec(c, id, &exec), 0, "exec");
	like(str_text(&conf_session.got[1]), "hello", "its output");
	is_int(conf_session.exit_code, 0, "its exit code");
	exec = conf_command(c->exit3);
	is_int(conf_exec(c, id, &exec), 0, "exec of what fails");
	is_int(conf_session.exit_code, 3, "its exit code");
	exec = conf_command(c->oops);
	is_int(conf_exec(c, id, &exec), 0, "exec of what writes to stderr");
	is_str(str_text(&conf_session.got[2]), "oops\n", "stderr is told apart");
	exec.tty = true;
	is_int(conf_exec(c, id, &exec), 0, "on a terminal");
	like(str_text(&conf_session.got[1]), "oops", "there is one stream");
	exec = conf_command(cat);
	exec.input = true;
	conf_session_clear();
	rig->runtime->exec(rig->node, id, &exec, &conf_sink, rig_op(rig));
	ok(rig_until(rig, &conf_session.open, 10000), "exec with input");
	rig->runtime->session_write(conf_session.session, "in\n", 3);
	rig->runtime->session_shutdown(conf_session.session);
	rig->take = conf_session_take;
	is_int(rig_wait(rig), 0, "it ends with its input");
	is_str(str_text(&conf_session.got[1]), "in\n", "which came back");
	is_int(conf_session.exit_code, 0, "well");
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(conf_exec(c, id, &exec), -ENOENT, "exec in what is gone: -ENOENT");
	conf_session_clear();
}

#include "conformance_usage.h"

static void conf_take_images(const void *result)
{
	conf_number = (int64_t)((const struct gantry_images *)result)->count;
}

static void conf_questions(struct conformance *c)
{
	struct rig *rig = c->rig;
	char id[80], name[96];

	is_int(conf_create(c, "asked", c->run, id), 0, "create");
	is_int(RUN(rig, start, id), 0, "start");
	conf_usage(c, id);
	if (rig->runtime->images && rig->runtime->image_present) {
		rig->take = conf_take_images;
		is_int(RUN0(rig, images), 0, "images");
		ok(conf_number > 0, "there are some");
		is_int(RUN(rig, image_present, c->image), 0, "the image is present");
		is_int(RUN(rig, image_present, "missing/nowhere:1"), -ENOENT, "another is not");
	}
	if (rig->runtime->rename) {
		snprintf(name, sizeof(name), "%s", conf_name(c, "renamed"));
		is_int(RUN(rig, rename, id, name), 0, "rename");
		conf_inspect(c, id);
		is_str(conf_text, name, "it has the new name");
	}
	rig->take = conf_take_count;
	is_int(RUN0(rig, list), 0, "list");
	is_int(conf_number, 1, "it has the one container of ours");
	conf_follow_stats(c, id);
	is_int(conf_wait(c, id), 137, "it ends");
	conf_usage_ended(c, id);
	is_int(RUN(rig, remove, id), 0, "remove it");
}

static void conf_cancel(struct conformance *c)
{
	struct rig *rig = c->rig;
	struct gantry_op *op;
	char id[80];

	is_int(conf_create(c, "waited", c->run, id), 0, "create");
	is_int(RUN(rig, start, id), 0, "start");
	op = rig_op(rig);
	rig->runtime->wait(rig->node, id, op);
	ok(!rig->done, "an op has no end before the call returned");
	op_cancel(op);
	is_int(rig_wait(rig), -ECANCELED, "a wait that is cancelled at once: -ECANCELED");
	op = rig_op(rig);
	rig->runtime->wait(rig->node, id, op);
	rig_turn(rig, 50);
	ok(!rig->done, "a wait waits");
	op_cancel(op);
	is_int(rig_wait(rig), -ECANCELED, "a wait that is cancelled later: -ECANCELED");
	op = rig_op(rig);
	op_cancel(op);
	rig->runtime->wait(rig->node, id, op);
	is_int(rig_wait(rig), -ECANCELED, "an op that was cancelled before the call: -ECANCELED");
	is_int(RUN(rig, remove, id), 0, "remove it");
}

struct conf_watch {
	bool synced, ended, removed;
	size_t containers;
	struct str log; /* "create start die:137 remove " */
	int code;
};

static void conf_on_sync(void *arg, const struct gantry_containers *containers)
{
	struct conf_watch *watch = arg;

	watch->synced = true;
	watch->containers = containers->count;
}

static void conf_on_event(void *arg, const struct gantry_event *event)
{
	struct conf_watch *watch = arg;

	if (!event->instance)
		return;
	if (event->kind == GANTRY_EVENT_CREATE)
		str_add(&watch->log, "create ");
	else if (event->kind == GANTRY_EVENT_START)
		str_add(&watch->log, "start ");
	else if (event->kind == GANTRY_EVENT_DIE)
		str_addf(&watch->log, "die:%d ", event->exit_code);
	else if (event->kind == GANTRY_EVENT_REMOVE)
		str_add(&watch->log, "remove ");
	watch->removed = watch->removed || event->kind == GANTRY_EVENT_REMOVE;
}

static void conf_watch_done(void *arg, const struct gantry_error *err, const void *result)
{
	struct conf_watch *watch = arg;

	(void)result;
	watch->ended = true;
	watch->code = err ? err->code : 0;
}

static void conf_events(struct conformance *c)
{
	struct rig *rig = c->rig;
	struct conf_watch watch = {0};
	struct gantry_watch_sink sink = {&watch, conf_on_sync, conf_on_event};
	struct gantry_anchor anchor = {0};
	struct gantry_containers known = {0};
	struct gantry_op *op = op_new(&rig->scope, "watch", conf_watch_done, &watch);
	char id[80];

	rig->runtime->watch(rig->node, &anchor, &known, &sink, op);
	ok(!watch.synced, "a watch says nothing before the call returned");
	ok(rig_until(rig, &watch.synced, 10000), "it says what there is");
	is_int(watch.containers, 0, "that is nothing of ours");
	is_int(conf_create(c, "seen", c->run, id), 0, "create");
	is_int(RUN(rig, start, id), 0, "start");
	is_int(RUN(rig, kill, id, 9), 0, "kill");
	conf_wait(c, id);
	is_int(RUN(rig, remove, id), 0, "remove");
	ok(rig_until(rig, &watch.removed, 10000), "all of it is seen");
	is_str(str_text(&watch.log), "create start die:137 remove ", "in order, each once");
	op_cancel(op);
	ok(rig_until(rig, &watch.ended, 10000), "a watch can be ended");
	is_int(watch.code, -ECANCELED, "-ECANCELED");
	str_fini(&watch.log);
}

static void conf_ports(struct conformance *c)
{
	struct gantry_port port = {"127.0.0.1", (uint16_t)c->port, 80, "tcp"};
	struct gantry_spec spec;
	char first[80], second[80], number[16];

	if (!c->port)
		return;
	spec_init(&spec);
	spec.ports = (struct gantry_ports){&port, 1};
	is_int(conf_create_spec(c, "port1", c->run, &spec, first), 0, "create with a port");
	is_int(conf_create_spec(c, "port2", c->run, &spec, second), 0, "another with the same");
	is_int(RUN(c->rig, start, first), 0, "the first starts");
	is_int(RUN(c->rig, start, second), -EEXIST, "the second does not: -EEXIST");
	snprintf(number, sizeof(number), "%d", c->port);
	like(c->rig->err.text, number, "the error names the port");
	is_int(RUN(c->rig, remove, first), 0, "remove one");
	is_int(RUN(c->rig, remove, second), 0, "remove the other");
}

#include "conformance_files.h"
#include "conformance_logs.h"
#include "conformance_images.h"

__attribute__((unused)) static void conformance(struct conformance *c)
{
	c->rig->take = conf_take_facts;
	is_int(RUN0(c->rig, probe), 0, "probe");
	c->rig->take = conf_take_count;
	is_int(RUN0(c->rig, list), 0, "list");
	is_int(conf_number, 0, "nothing is ours yet");
	conf_life(c);
	conf_failures(c);
	conf_pause_and_update(c);
	conf_outputs(c);
	conf_logs(c);
	conf_questions(c);
	conf_sessions(c);
	conf_files(c);
	conf_cancel(c);
	conf_events(c);
	conf_ports(c);
	conf_images(c);
	c->rig->take = conf_take_count;
	is_int(RUN0(c->rig, list), 0, "list");
	is_int(conf_number, 0, "nothing of ours is left");
}

#endif
