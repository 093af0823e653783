/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gantry run`. With --detach one request that is answered when the instance runs. In the foreground:
 *
 *   spawn    the same request
 *   output   the engine's stream, from its first byte, to our standard output and error; with
 *            --interactive a console instead (console.h), which input goes to as well
 *   wait     how the process ended: our exit status
 *
 * It fails in these ways: the spawn fails (125, 126, 127 as told below, nothing to clean up); the
 * stream is cut, as the daemon restarts (it is read again, skipping what was printed); we are asked to
 * end by a signal (the first one stops the instance, the second kills it, the third leaves it).
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/console.h"
#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/spec.h"

#define FRAME_HEADER 8

struct foreground {
	struct ctl *ctl;
	int signal_fd;
	int signals;    /* heard */
	const char *id; /* of the instance; NULL until it is made. Borrowed */

	/* The frame at hand */
	unsigned char header[FRAME_HEADER];
	size_t header_length;
	size_t frame_left;
	/* Bytes printed, and still to be skipped, of each stream */
	int64_t printed[3], skip[3];
	/* Why the stream was left: our output cannot be written, or it is none of output */
	bool unwritten, unframed;
};

/* The spawn failed: as Docker says it, 127 for a command that is not there, 126 for one that cannot run. */
static int failed_status(const struct failure *failure)
{
	if (failure->http_status != 422)
		return CTL_RUN_FAILED;
	return strcasestr(failure->detail, "permission denied") ||
			       strcasestr(failure->detail, "is a directory") ||
			       strcasestr(failure->detail, "exec format")
		       ? CTL_RUN_NOT_EXECUTABLE
		       : CTL_RUN_NO_COMMAND;
}

/* Asks by a connection of its own: ours is busy with the stream. */
static void ask(struct foreground *run, const char *verb, const char *signal_name)
{
	struct json_object *body = json_object_new_object();
	char *path = xasprintf("/v1/instances/%s/%s", run->id, verb);
	struct client_reply reply;
	struct gantry_error err;
	struct client *client;

	json_add_string(body, "signal", signal_name);
	if (client_open(run->ctl->settings, &client, &err) < 0) {
		output_fail(NULL, &err);
	} else {
		if (client_call(client, "POST", path, body, 0, &reply, &err) < 0) {
			output_fail(NULL, &err);
		} else {
			/* A stop that conflicts: it has ended, or is being stopped already. */
			if (reply.status >= 400 && (signal_name || reply.status != 409))
				output_problem(NULL, reply.status, reply.json);
			client_reply_fini(&reply);
		}
		client_close(client);
	}
	json_object_put(body);
	free(path);
}

static int on_signal(void *arg)
{
	struct foreground *run = arg;
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	run->signals++;
	if (run->signals > (run->id ? 2 : 1))
		return -EINTR;
	if (!run->id) /* it is stopped as soon as it is made */
		return 0;
	ask(run, run->signals == 1 ? "stop" : "kill", run->signals == 1 ? NULL : "KILL");
	return 0;
}

static int print_bytes(struct foreground *run, int stream, const char *bytes, size_t length)
{
	int64_t skipped = run->skip[stream] < (int64_t)length ? run->skip[stream] : (int64_t)length;
	int error;

	run->skip[stream] -= skipped;
	error = output_write(stream, bytes + skipped, length - (size_t)skipped);
	if (error == 0)
		run->printed[stream] += (int64_t)length - skipped;
	else
		run->unwritten = true;
	return error;
}

static int on_output(void *arg, const char *bytes, size_t length)
{
	struct foreground *run = arg;

	while (length) {
		size_t part;
		int error;

		if (run->header_length < FRAME_HEADER) {
			run->header[run->header_length++] = (unsigned char)*bytes++;
			length--;
			if (run->header_length < FRAME_HEADER)
				continue;
			if (run->header[0] != 1 && run->header[0] != 2) {
				run->unframed = true;
				return -EPROTO;
			}
			run->frame_left = (size_t)run->header[4] << 24 | run->header[5] << 16 |
					  run->header[6] << 8 | run->header[7];
		}
		part = run->frame_left < length ? run->frame_left : length;
		error = print_bytes(run, run->header[0], bytes, part);
		if (error < 0)
			return error;
		bytes += part;
		length -= part;
		run->frame_left -= part;
		if (run->frame_left == 0)
			run->header_length = 0;
	}
	return 0;
}

/* Prints the output until the process ends. */
static int follow_output(struct foreground *run)
{
	char *path = xasprintf("/v1/instances/%s/output?follow=true", run->id);
	int64_t started_us = 0, printed = 0;
	struct client_reply reply;
	struct gantry_error err;
	int error, wake_error, status = CTL_OK;

	for (;;) {
		error = client_stream(run->ctl->client, path, on_output, run, &reply, &err);
		if (error != -ECONNRESET && error != -ECONNREFUSED)
			break;
		if (run->printed[1] + run->printed[2] > printed)
			started_us = 0;
		printed = run->printed[1] + run->printed[2];
		if (!client_retry_pause(run->ctl->client, &started_us, &wake_error)) {
			if (wake_error < 0)
				error = err.code = wake_error;
			break;
		}
		run->header_length = run->frame_left = 0;
		memcpy(run->skip, run->printed, sizeof(run->skip));
	}
	if (error == -EINTR) {
		status = CTL_FAILED; /* told by the caller */
	} else if (error < 0) {
		if (run->unwritten)
			gantry_error_set(&err, error, "the output cannot be written: %s",
					 strerror(-error));
		else if (run->unframed)
			gantry_error_set(&err, error, "gantryd at %s sends no frames of output",
					 client_host(run->ctl->client));
		status = output_fail(NULL, &err);
	} else {
		if (reply.status >= 400)
			status = output_problem(NULL, reply.status, reply.json);
		client_reply_fini(&reply);
	}
	free(path);
	return status;
}

/*
 * With --interactive: sits at the process, from its first byte on. False: it is left, *ret_code is ours
 * to end with; else the process has ended, or there is output of it to follow.
 */
static bool sit(struct foreground *run, struct json_object *spec, int *ret_status, int *ret_code)
{
	char *path = xasprintf("/v1/instances/%s/attach?scrollback=true", run->id);
	const struct console_ask ask = {
		.command = "run",
		.path = path,
		.subject = json_get_string(spec, "name", run->id),
		.id = run->id,
		.keys = CONSOLE_DETACH_KEYS,
		.input = true,
		.tty = json_get_bool(spec, "tty", false),
		.may_be_over = true,
	};
	enum console_end end = console_run(run->ctl, &ask, ret_code);

	free(path);
	*ret_status = CTL_OK;
	if (end == CONSOLE_OVER)
		*ret_status = follow_output(run);
	if (end == CONSOLE_DETACHED)
		output_error("detached: gantry attach %s", ask.subject);
	return end == CONSOLE_ENDED || end == CONSOLE_OVER;
}

static int remove_after(struct foreground *run)
{
	char *path = xasprintf("/v1/instances/%s?wait=%d", run->id, CLIENT_WAIT_SECONDS);
	struct client_reply reply;
	int status = call(run->ctl, NULL, "DELETE", path, NULL, CLIENT_WAIT_SECONDS, &reply, NULL);

	if (status == CTL_OK)
		client_reply_fini(&reply);
	free(path);
	return status;
}

static int catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_foreground(struct ctl *ctl, struct json_object *spec)
{
	struct foreground run = {.ctl = ctl};
	struct json_object *operation = NULL;
	struct failure failure = {0};
	int code = CTL_RUN_FAILED, status;

	run.signal_fd = catch_signals();
	if (run.signal_fd < 0) {
		output_error("cannot set up signals: %s", strerror(errno));
		return CTL_RUN_FAILED;
	}
	client_set_wake(ctl->client, run.signal_fd, on_signal, &run);
	status = operation_run(ctl,
			       json_get_string(spec, "name", json_get_string(spec, "image", "run")),
			       "POST", "/v1/instances", spec, &operation, &failure);
	if (status != CTL_OK) {
		code = failure.error == -EINTR ? 128 + SIGINT : failed_status(&failure);
		goto out;
	}
	run.id = json_get_string(operation, "instance", "");
	if (run.signals) { /* it came while there was nothing to stop */
		run.signals = 1;
		ask(&run, "stop", NULL);
	}
	if (!json_get_bool(spec, "stdin_open", false))
		status = follow_output(&run);
	else if (!sit(&run, spec, &status, &code))
		goto out;
	if (status == CTL_OK)
		status = instance_wait(ctl, NULL, run.id, &code);
	if (status != CTL_OK && run.signals > 2) {
		output_error("left while it runs: gantry show %s", run.id);
		code = 128 + SIGINT;
	} else if (status != CTL_OK) {
		code = CTL_RUN_FAILED;
	} else if (args_has(ctl->args, "rm")) {
		remove_after(&run);
	}
out:
	client_set_wake(ctl->client, -1, NULL, NULL);
	close(run.signal_fd);
	json_object_put(operation);
	return code;
}

static int run_detached(struct ctl *ctl, struct json_object *spec)
{
	struct json_object *operation = NULL;
	int status = operation_run(
		ctl, json_get_string(spec, "name", json_get_string(spec, "image", "run")), "POST",
		args_has(ctl->args, "no-start") ? "/v1/instances?start=false" : "/v1/instances",
		spec, &operation, NULL);

	if (status != CTL_OK)
		return status;
	if (ctl->json)
		output_json(operation);
	else
		output_line("%s", json_get_string(operation, "instance", ""));
	json_object_put(operation);
	return CTL_OK;
}

int run_command(struct ctl *ctl)
{
	bool detach = args_has(ctl->args, "detach");
	struct args *args = ctl->args;
	struct json_object *spec;
	struct gantry_error err;
	int status;

	if (!detach && args_has(args, "no-wait")) {
		output_usage("run", "--no-wait goes with --detach");
		return CTL_RUN_FAILED;
	}
	if (!detach && args_has(args, "no-start"))
		return output_usage("run", "--no-start goes with --detach");
	if (detach && args_has(args, "rm"))
		return output_usage("run", "--rm is for the foreground, where gantry sees the end");
	if (args->word_count == 0 && !args_has(args, "spec")) {
		output_usage("run", "which image?");
		return detach ? CTL_USAGE : CTL_RUN_FAILED;
	}
	if (spec_build(args, args->word_count ? args->words[0] : NULL, args->words + 1,
		       args->word_count > 1 ? args->word_count - 1 : 0, &spec, &err) < 0) {
		output_usage("run", "%s", err.text);
		return detach ? CTL_USAGE : CTL_RUN_FAILED;
	}
	status = detach ? run_detached(ctl, spec) : run_foreground(ctl, spec);
	json_object_put(spec);
	return status;
}
