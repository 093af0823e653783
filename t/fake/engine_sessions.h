/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's attach and exec: the connection becomes a stream of bytes. Included once, by
 * engine_containers.h.
 *
 * A container that runs `cat` echoes what it is sent to all that are attached, and ends with its input
 * where that is to be closed with the session (StdinOnce); `cat sizes` tells its terminal's size too; `deaf` reads nothing of it. Commands of an exec:
 *	cat              echoes until its input ends      exit N       ends with N
 *	echo, warn TEXT  writes to stdout, stderr         flood BYTES  writes so many to stdout
 *	show             its user, folder, environment    size         waits for a resize, writes ROWS COLUMNS
 *	anything else    stays until the session is left
 */
#ifndef FAKE_ENGINE_SESSIONS_H
#define FAKE_ENGINE_SESSIONS_H

#include "engine_state.h"

static struct json_object *execs;               /* id to what it was made with, and how it ended */
static struct list sizers = {&sizers, &sizers}; /* execs that wait for a size */

static void upgrade(struct conn *c, void (*raw)(struct conn *c, const char *data, size_t length))
{
	static const char answer[] =
		"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
		"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

	conn_send(c, answer, sizeof(answer) - 1);
	c->raw = raw;
}

/* --- attach --- */

static void attach_input(struct conn *c, const char *data, size_t length)
{
	struct container *k = c->about;
	bool input = query_flag(c, "stdin"), cat = strcmp(command_word(k, 0), "cat") == 0;

	if (length && input && cat) {
		container_write(k, 1, data, length);
	} else if (length == 0) {
		list_remove(&c->wait_link);
		if (input && cat && json_get_bool(k->config, "StdinOnce", false)) {
			c->about = NULL;
			container_die(k, 0);
		}
		conn_finish(c);
	}
}

static void attach(struct conn *c, struct container *k)
{
	if (strcmp(k->state, "exited") == 0) {
		reply_error(c, 409, "cannot attach to a stopped container, start it first");
		return;
	}
	c->about = k;
	upgrade(c, attach_input);
	if (strcmp(command_word(k, 0), "deaf") == 0)
		uv_read_stop((uv_stream_t *)&c->pipe);
	conn_wait(c, &k->attached);
}

static void resize(struct conn *c, struct container *k)
{
	char rows[8] = "", columns[8] = "", text[32];

	query_get(c, "h", rows, sizeof(rows));
	query_get(c, "w", columns, sizeof(columns));
	reply(c, 200, "");
	if (strcmp(command_word(k, 1), "sizes") != 0)
		return;
	snprintf(text, sizeof(text), "<%s rows, %s columns>", rows, columns);
	container_write(k, 1, text, strlen(text));
}

/* --- exec --- */

static const char *exec_word(struct json_object *exec, size_t index)
{
	struct json_object *command = json_get(exec, "Cmd");

	return command && index < json_object_array_length(command)
		       ? json_object_get_string(json_object_array_get_idx(command, index))
		       : "";
}

static void exec_write(struct conn *c, struct json_object *exec, int stream, const char *data,
		       size_t length)
{
	unsigned char head[8] = {(unsigned char)stream,
				 0,
				 0,
				 0,
				 (unsigned char)(length >> 24),
				 (unsigned char)(length >> 16),
				 (unsigned char)(length >> 8),
				 (unsigned char)length};

	if (!json_get_bool(exec, "Tty", false))
		conn_send(c, (char *)head, sizeof(head));
	conn_send(c, data, length);
}

static void exec_end(struct conn *c, struct json_object *exec, int code)
{
	json_add_bool(exec, "Running", false);
	json_add_int(exec, "ExitCode", code);
	conn_finish(c);
}

static void exec_input(struct conn *c, const char *data, size_t length)
{
	struct json_object *exec = c->about;
	const char *word = exec_word(exec, 0);

	if (length && strcmp(word, "cat") == 0)
		exec_write(c, exec, 1, data, length);
	else if (length == 0 && strcmp(word, "cat") == 0)
		exec_end(c, exec, 0);
	else if (length == 0)
		conn_finish(c);
}

static void exec_start(struct conn *c, struct json_object *exec)
{
	const char *word = exec_word(exec, 0), *text = exec_word(exec, 1);
	static char block[65536];

	if (json_get(exec, "Running")) {
		reply_error(c, 409, "exec was started before");
		return;
	}
	json_add_bool(exec, "Running", true);
	json_add_int(exec, "Pid", 1000);
	c->about = exec;
	upgrade(c, exec_input);
	if (strcmp(word, "exit") == 0) {
		exec_end(c, exec, atoi(text));
	} else if (strcmp(word, "echo") == 0 || strcmp(word, "warn") == 0) {
		char *line = xasprintf("%s\n", text);

		exec_write(c, exec, strcmp(word, "echo") == 0 ? 1 : 2, line, strlen(line));
		free(line);
		exec_end(c, exec, 0);
	} else if (strcmp(word, "flood") == 0) {
		for (long left = atol(text); left > 0; left -= (long)sizeof(block))
			exec_write(c, exec, 1, block,
				   (size_t)left < sizeof(block) ? (size_t)left : sizeof(block));
		exec_end(c, exec, 0);
	} else if (strcmp(word, "show") == 0) {
		char *shown = xasprintf("%s %s %s", json_get_string(exec, "User", "-"),
					json_get_string(exec, "WorkingDir", "-"),
					json_object_get_string(json_get(exec, "Env")));

		exec_write(c, exec, 1, shown, strlen(shown));
		free(shown);
		exec_end(c, exec, 0);
	} else if (strcmp(word, "size") == 0) {
		conn_wait(c, &sizers);
	}
}

static void exec_create(struct conn *c, struct container *k)
{
	struct json_object *exec = json_tokener_parse(str_text(&c->body));
	struct json_object *answer;
	static int number;
	char id[32];

	if (strcmp(k->state, "running") != 0 || !exec) {
		reply_error(c, 409, "Container %s is not running", k->id);
		json_object_put(exec);
		return;
	}
	snprintf(id, sizeof(id), "exec%d", ++number);
	if (!execs)
		execs = json_object_new_object();
	json_object_object_add(execs, id, exec);
	answer = json_object_new_object();
	json_add_string(answer, "Id", id);
	reply_json(c, 201, answer);
}

static void exec_resize(struct conn *c, struct json_object *exec)
{
	char rows[8] = "", columns[8] = "", text[32];

	query_get(c, "h", rows, sizeof(rows));
	query_get(c, "w", columns, sizeof(columns));
	snprintf(text, sizeof(text), "%s %s", rows, columns);
	reply(c, 200, "");
	LIST_FOREACH (node, &sizers) {
		struct conn *sizer = LIST_ENTRY(node, struct conn, wait_link);

		if (sizer->about != exec)
			continue;
		list_remove(&sizer->wait_link);
		exec_write(sizer, exec, 1, text, strlen(text));
		exec_end(sizer, exec, 0);
	}
}

static void route_exec(struct conn *c)
{
	char id[64], *verb;
	struct json_object *exec;

	snprintf(id, sizeof(id), "%s", c->path + strlen("/exec/"));
	verb = strchr(id, '/');
	if (verb)
		*verb++ = '\0';
	exec = json_get(execs, id);
	if (!exec || !verb)
		reply_error(c, 404, "No such exec instance: %s", id);
	else if (strcmp(verb, "start") == 0)
		exec_start(c, exec);
	else if (strcmp(verb, "resize") == 0)
		exec_resize(c, exec);
	else
		reply_json(c, 200, json_object_get(exec));
}

#endif
