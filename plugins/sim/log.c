/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a container, message by message with its time, as an engine on another host gives it.
 *
 * Nothing is kept but when the last lives began: what was written in one follows from the words, a microsecond
 * apart. Some messages are told a turn of the loop, none while the op is paused.
 */
#include "sim.h"

#define MESSAGES_A_TURN 1000
#define APART_NS        1000

struct log_call {
	struct sim_call call;
	int64_t since_ns;
	bool follow, paused;
	gantry_log_message_fn fn;
	void *arg;
	struct gantry_timer *timer; /* the next ones */
	uint32_t life;              /* that is being told, from 0 on */
	long number;                /* of the next message in it */
};

static void files_act(struct sim_call *call)
{
	struct gantry_log_files *files = sim_call_alloc(call, sizeof(*files));

	files->driver = "sim";
	if (sim_call_container(call))
		sim_call_done(call, files);
}

void sim_log_files(void *node, const char *container, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_LOG_FILES, 0, files_act, container, NULL));
}

/* Goes on to the first message of a life that is wanted. False: there is no such life. */
static bool begin_life(struct log_call *log, const struct sim_container *container, uint32_t life)
{
	uint32_t known = container->boots < SIM_LIVES ? container->boots : SIM_LIVES;

	if (life < container->boots - known)
		life = container->boots - known;
	log->life = life;
	log->number = 0;
	if (life >= container->boots)
		return false;
	if (log->since_ns > container->lives_ns[life % SIM_LIVES])
		log->number = (long)((log->since_ns - container->lives_ns[life % SIM_LIVES] +
				      APART_NS - 1) /
				     APART_NS);
	return true;
}

/* All that was written by now. */
static bool is_told(const struct log_call *log, const struct sim_container *container)
{
	return log->life >= container->boots;
}

static void on_turn(void *arg)
{
	struct log_call *log = arg;
	struct sim_call *call = &log->call;
	struct sim_container *container = sim_call_container(call);
	struct sim_message message;

	log->timer = NULL;
	if (!container)
		return;
	for (int told = 0; told < MESSAGES_A_TURN && !log->paused;) {
		if (is_told(log, container) ||
		    !sim_process_message(container, log->number, &message)) {
			if (!is_told(log, container) && begin_life(log, container, log->life + 1))
				continue;
			if (log->follow && sim_lives(container))
				container->waiting++; /* its end is ours */
			else
				sim_call_done(call, NULL);
			return;
		}
		if (log->fn(log->arg, message.stream,
			    container->lives_ns[log->life % SIM_LIVES] + log->number++ * APART_NS,
			    message.data, message.length) < 0) {
			if (!call->ended)
				sim_call_fail(call, -ECANCELED, "ended by the reader");
			return;
		}
		if (call->ended)
			return;
		told++;
	}
	if (!log->paused && !log->timer)
		log->timer = call->node->host->timer_start(call->node->host->core, 0, on_turn, log);
}

static void on_pause(void *arg, bool paused)
{
	struct log_call *log = arg;
	const struct gantry_host *host = log->call.node->host;
	const struct sim_container *container = sim_table_find(log->call.node, log->call.container);

	log->paused = paused;
	if (paused && log->timer) {
		host->timer_stop(log->timer);
		log->timer = NULL;
	} else if (!paused && !log->timer && !(container && is_told(log, container))) {
		log->timer = host->timer_start(host->core, 0, on_turn, log);
	}
}

void sim_log_ended(struct sim_call *call, const struct sim_container *container)
{
	if (is_told((struct log_call *)call, container))
		sim_call_done(call, NULL);
}

static void log_leave(struct sim_call *call)
{
	struct log_call *log = (struct log_call *)call;

	if (log->timer)
		call->node->host->timer_stop(log->timer);
	call->node->host->op_on_pause(call->op, NULL, NULL);
}

static void log_act(struct sim_call *call)
{
	struct log_call *log = (struct log_call *)call;
	struct sim_container *container = sim_call_container(call);
	const struct gantry_host *host = call->node->host;

	if (!container)
		return;
	sim_call_pin(call, container);
	sim_call_pend(call);
	begin_life(log, container, 0);
	log->timer = host->timer_start(host->core, 0, on_turn, log);
	host->op_on_pause(call->op, on_pause, log);
}

void sim_log_read(void *node, const char *container, int64_t since_ns, bool follow,
		  gantry_log_message_fn fn, void *arg, struct gantry_op *op)
{
	struct log_call *log =
		sim_call_new(node, op, SIM_LOG_READ, sizeof(*log), log_act, container, NULL);

	log->since_ns = since_ns;
	log->follow = follow;
	log->fn = fn;
	log->arg = arg;
	log->call.by_timer = true;
	log->call.leave = log_leave;
	sim_call_begin(&log->call);
}
