/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands do while they "run". The first word says it:
 *
 *	exit N [AFTER]   ends with N, at once or so long after its start ("exit 3 500ms")
 *	echo TEXT        writes TEXT to stdout and ends with 0;  warn TEXT  to stderr
 *	lines N          writes N lines, on both streams in turn, and runs on
 *	cat              echoes its input, and ends with it (where it is no terminal)
 *	oom [AFTER]      is killed for memory
 *	notfound         cannot be started: it is not there;  noexec  it may not be run
 *	stubborn         runs; SIGKILL alone ends it
 *	anything else    runs until SIGKILL, SIGTERM, SIGINT, SIGQUIT or SIGHUP
 *
 * What was written is not kept: it follows from the words and from how often it was started.
 */
#include "sim.h"

#include <stdlib.h>

#define LINES_MAX 1000000

static bool says(const struct sim_container *container, const char *word)
{
	return container->words[0] && strcmp(container->words[0], word) == 0;
}

bool sim_lives(const struct sim_container *container)
{
	return container->state == GANTRY_CONTAINER_RUNNING ||
	       container->state == GANTRY_CONTAINER_PAUSED;
}

const char *sim_process_obstacle(const struct sim_container *container)
{
	if (says(container, "notfound"))
		return "executable file not found in $PATH";
	if (says(container, "noexec"))
		return "permission denied";
	return NULL;
}

int64_t sim_read_ms(const char *text)
{
	double value;
	char *end;

	if (!text)
		return 0;
	value = strtod(text, &end);
	if (!(value > 0 && value < 1e9))
		return 0;
	return (int64_t)(strcmp(end, "ms") == 0 ? value : value * 1000);
}

/* --- ends --- */

static int64_t memory_of(const struct sim_container *container)
{
	return container->limits.memory_bytes > 0 ? container->limits.memory_bytes : 0;
}

static void stop_timer(struct sim_container *container)
{
	if (container->timer)
		container->node->host->timer_stop(container->timer);
	container->timer = NULL;
}

void sim_process_die(struct sim_container *container, int exit_code)
{
	stop_timer(container);
	container->state = GANTRY_CONTAINER_EXITED;
	container->exit_code = exit_code;
	container->late = false;
	container->pid = 0;
	for (size_t i = 0; i < container->port_count && i < 64; i++)
		if (container->picked >> i & 1)
			container->ports[i].host_port = 0;
	container->picked = 0;
	container->finished_ms = sim_now_ns(container->node) / 1000000;
	container->node->running_memory_bytes -= memory_of(container);
	sim_event(container, GANTRY_EVENT_DIE, exit_code, NULL);
	sim_state_put(container);
	sim_tell_waiters(container);
}

static void end_now(struct sim_container *container)
{
	if (container->state == GANTRY_CONTAINER_PAUSED) { /* nothing moves in it */
		container->late = true;
		return;
	}
	container->oom = says(container, "oom") && container->due_code == 137;
	if (container->oom)
		sim_event(container, GANTRY_EVENT_OOM, 0, NULL);
	sim_process_die(container, container->due_code);
}

static void on_due(void *arg)
{
	struct sim_container *container = arg;

	container->timer = NULL;
	end_now(container);
}

static void end_after(struct sim_container *container, int64_t after_ms, int exit_code)
{
	const struct gantry_host *host = container->node->host;

	stop_timer(container);
	container->due_code = exit_code;
	if (after_ms == 0)
		end_now(container);
	else
		container->timer = host->timer_start(host->core, after_ms, on_due, container);
}

void sim_process_unpaused(struct sim_container *container)
{
	if (container->late)
		end_now(container);
}

/* --- output and input --- */

bool sim_process_message(const struct sim_container *container, long number,
			 struct sim_message *ret_message)
{
	const char *second = container->words[0] && container->words[1] ? container->words[1] : "";
	bool warn = says(container, "warn");
	size_t length = strlen(second), at = (size_t)number * sizeof(ret_message->data);
	long count;

	if (says(container, "lines")) {
		count = strtol(second, NULL, 10);
		ret_message->stream = container->tty || number % 2 == 0 ? 1 : 2;
		ret_message->length = (size_t)snprintf(ret_message->data, sizeof(ret_message->data),
						       "line %ld\n", number + 1);
		return number < (count < LINES_MAX ? count : LINES_MAX);
	}
	if ((!warn && !says(container, "echo")) || at > length)
		return false;
	ret_message->stream = warn && !container->tty ? 2 : 1;
	ret_message->length =
		length - at < sizeof(ret_message->data) ? length - at : sizeof(ret_message->data);
	memcpy(ret_message->data, second + at, ret_message->length);
	if (ret_message->length < sizeof(ret_message->data))
		ret_message->data[ret_message->length++] = '\n';
	return true;
}

static int write_life(const struct sim_container *container, gantry_output_fn fn, void *arg)
{
	struct sim_message message;
	int code = 0;

	for (long i = 0; code >= 0 && sim_process_message(container, i, &message); i++)
		code = fn(arg, message.stream, message.data, message.length);
	return code;
}

int sim_process_output(const struct sim_container *container, gantry_output_fn fn, void *arg)
{
	int code = 0;

	for (uint32_t boot = 0; code >= 0 && boot < container->boots; boot++)
		code = write_life(container, fn, arg);
	return code;
}

void sim_process_input(struct sim_container *container, const char *data, size_t length)
{
	if (container->state == GANTRY_CONTAINER_RUNNING && says(container, "cat"))
		sim_session_output(container, 1, data, length);
}

void sim_process_input_end(struct sim_container *container)
{
	if (sim_lives(container) && says(container, "cat"))
		end_after(container, 0, 0);
}

/* --- starts --- */

static void act(struct sim_container *container)
{
	const char *second = container->words[0] ? container->words[1] : NULL;

	if (says(container, "exit"))
		end_after(container, sim_read_ms(second ? container->words[2] : NULL),
			  second ? atoi(second) : 0);
	else if (says(container, "echo") || says(container, "warn"))
		end_after(container, 0, 0);
	else if (says(container, "oom"))
		end_after(container, sim_read_ms(second), 137);
}

void sim_process_start(struct sim_container *container)
{
	struct sim_node *node = container->node;

	container->state = GANTRY_CONTAINER_RUNNING;
	container->exit_code = 0;
	container->oom = container->late = false;
	container->boots++;
	container->pid = node->next_pid++;
	container->finished_ms = 0;
	container->started_ms = sim_now_ns(node) / 1000000;
	node->running_memory_bytes += memory_of(container);
	for (size_t i = 0; i < container->port_count; i++) {
		if (container->ports[i].host_port)
			continue;
		container->ports[i].host_port = (uint16_t)node->next_port;
		node->next_port = node->next_port == 65535 ? 32768 : node->next_port + 1;
		container->picked |= i < 64 ? (uint64_t)1 << i : 0;
	}
	sim_event(container, GANTRY_EVENT_START, 0, NULL);
	if (container->health_check)
		sim_event(container, GANTRY_EVENT_HEALTH, 0, "healthy");
	container->lives_ns[(container->boots - 1) % SIM_LIVES] = sim_now_ns(node);
	sim_state_put(container);
	write_life(container, sim_session_output, container);
	act(container);
	sim_sessions_started(container);
}

void sim_process_resume(struct sim_container *container)
{
	container->node->running_memory_bytes += memory_of(container);
	if (container->state == GANTRY_CONTAINER_RUNNING)
		act(container);
}

void sim_process_signal(struct sim_container *container, int signal)
{
	bool ends = signal == 15 || signal == 1 || signal == 2 || signal == 3;

	sim_event(container, GANTRY_EVENT_KILL, signal, NULL);
	if (signal == 9)
		sim_process_die(container, 137);
	else if (ends && !says(container, "stubborn"))
		end_after(container, container->node->settings->stop_latency_ms, 128 + signal);
}
