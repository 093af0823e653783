/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation on a node.
 *
 *	begin ─▶ in reach? ─▶ a place of `parallel`? ─▶ latency ─▶ in reach? a fault? ─▶ act ─▶ end
 *	             │              (else it queues)                    │                 └─▶ pending ─▶ end
 *	             └── -EHOSTUNREACH ─────────────────────────────────┴── the fault's error
 *
 * Whether a fault strikes is decided at the begin, so that a run is the same for the same seed. A
 * cancel ends the call wherever it is, without effect. An outage ends those that are pending; those
 * that are in their latency find out when it is over.
 */
#include "sim.h"

#include <stdlib.h>
#include <strings.h>

struct sim_rule {
	enum sim_verb verb; /* SIM_VERBS: each */
	int code;           /* 0: see how */
	enum { SIM_RULE_FAIL, SIM_RULE_LOST, SIM_RULE_HANG } how;
	const char *word; /* as it is written */
	double share;
};

static const char *const verb_names[SIM_VERBS] = {
	[SIM_PROBE] = "probe",
	[SIM_LIST] = "list",
	[SIM_WATCH] = "watch",
	[SIM_CREATE] = "create",
	[SIM_START] = "start",
	[SIM_KILL] = "kill",
	[SIM_WAIT] = "wait",
	[SIM_REMOVE] = "remove",
	[SIM_INSPECT] = "inspect",
	[SIM_PAUSE] = "pause",
	[SIM_UNPAUSE] = "unpause",
	[SIM_UPDATE] = "update",
	[SIM_RENAME] = "rename",
	[SIM_STATS] = "stats",
	[SIM_TOP] = "top",
	[SIM_IMAGES] = "images",
	[SIM_PULL] = "pull",
	[SIM_IMAGE_PRESENT] = "image_present",
	[SIM_OUTPUT] = "output",
	[SIM_ATTACH] = "attach",
	[SIM_EXEC] = "exec",
	[SIM_LOG_FILES] = "log_files",
	[SIM_LOG_READ] = "log_read",
	[SIM_COMMIT] = "commit",
	[SIM_PATH_LOOK] = "path_look",
	[SIM_ARCHIVE_GET] = "archive_get",
	[SIM_ARCHIVE_PUT] = "archive_put",
	[SIM_IMAGE_REMOVE] = "image_remove",
	[SIM_IMAGE_SAVE] = "image_save",
	[SIM_IMAGE_LOAD] = "image_load",
};

static const struct {
	const char *word, *text;
	int code, how;
} faults[] = {
	{"EIO", "the engine fails", -EIO, SIM_RULE_FAIL},
	{"EINVAL", "the engine refuses the values", -EINVAL, SIM_RULE_FAIL},
	{"ENOENT", "there is no such thing", -ENOENT, SIM_RULE_FAIL},
	{"EEXIST", "it is taken", -EEXIST, SIM_RULE_FAIL},
	{"EALREADY", "it is so already", -EALREADY, SIM_RULE_FAIL},
	{"ENOEXEC", "the command cannot be run", -ENOEXEC, SIM_RULE_FAIL},
	{"EHOSTUNREACH", "the engine cannot be reached", -EHOSTUNREACH, SIM_RULE_FAIL},
	{"ETIMEDOUT", "the engine did not answer in time", -ETIMEDOUT, SIM_RULE_FAIL},
	{"lost", "the engine's answer was lost", -ETIMEDOUT, SIM_RULE_LOST},
	{"hang", "", 0, SIM_RULE_HANG},
};

static void serve(struct sim_call *call);

/* --- faults --- */

static int bad_rule(const struct sim_node *node, const char *rule, const char *why,
		    struct gantry_error *err)
{
	char field[96];

	snprintf(field, sizeof(field), "nodes.%s.fail", node->name);
	return gantry_error_field(
		err, -EINVAL, field,
		"\"%s\": %s; a rule is OPERATION:ERROR:SHARE, as \"create:EIO:0.01\"", rule, why);
}

static int read_rule(struct sim_node *node, const char *text, struct sim_rule *rule,
		     struct gantry_error *err)
{
	char verb[32] = "", word[32] = "", *end;
	const char *share;
	int used = 0;

	if (sscanf(text, "%31[^:]:%31[^:]:%n", verb, word, &used) != 2 || used == 0)
		return bad_rule(node, text, "it has not three parts", err);
	share = text + used;
	*rule = (struct sim_rule){.verb = SIM_VERBS};
	for (int i = 0; i < SIM_VERBS && rule->verb == SIM_VERBS; i++)
		if (strcmp(verb_names[i], verb) == 0)
			rule->verb = (enum sim_verb)i;
	if (rule->verb == SIM_VERBS && strcmp(verb, "*") != 0)
		return bad_rule(node, text, "there is no such operation", err);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (strcasecmp(faults[i].word, word) != 0)
			continue;
		rule->code = faults[i].code;
		rule->how = faults[i].how;
		rule->word = faults[i].text;
	}
	if (!rule->word)
		return bad_rule(node, text, "there is no such error", err);
	rule->share = strtod(share, &end);
	if (end == share || *end || !(rule->share >= 0 && rule->share <= 1))
		return bad_rule(node, text, "the share must be from 0 to 1", err);
	return 0;
}

int sim_rules_read(struct sim_node *node, struct gantry_error *err)
{
	const struct gantry_strings *texts = &node->settings->fail;

	node->rules = sim_alloc(texts->count * sizeof(*node->rules));
	for (; node->rule_count < texts->count; node->rule_count++) {
		int code = read_rule(node, texts->items[node->rule_count],
				     &node->rules[node->rule_count], err);

		if (code < 0)
			return code;
	}
	return 0;
}

/* The rule that strikes this time, or NULL. */
static const struct sim_rule *roll(struct sim_node *node, enum sim_verb verb)
{
	const struct sim_rule *struck = NULL;

	for (size_t i = 0; i < node->rule_count; i++) {
		const struct sim_rule *rule = &node->rules[i];

		if (rule->verb != SIM_VERBS && rule->verb != verb)
			continue;
		if (sim_random(node) < rule->share && !struck)
			struck = rule;
	}
	return struck;
}

static void rule_error(const struct sim_rule *rule, struct gantry_error *err)
{
	gantry_error_set(err, rule->code ? rule->code : -EIO,
			 "sim: %s, as the option fail wants it", rule->word);
}

/* --- ends --- */

/* Gives waiting calls the places that are free. Not from inside itself: one without latency ends at once. */
static void pump(struct sim_node *node)
{
	if (node->pumping)
		return;
	node->pumping = true;
	while (!TAILQ_EMPTY(&node->queue) && node->working < (size_t)node->settings->parallel) {
		struct sim_call *call = TAILQ_FIRST(&node->queue);

		TAILQ_REMOVE(&node->queue, call, queued);
		node->working++;
		call->placed = true;
		serve(call);
	}
	node->pumping = false;
}

static void let_go(struct sim_call *call)
{
	struct sim_node *node = call->node;

	if (call->timer)
		node->host->timer_stop(call->timer);
	call->timer = NULL;
	if (call->stage == SIM_CALL_QUEUED)
		TAILQ_REMOVE(&node->queue, call, queued);
	if (call->stage == SIM_CALL_PENDING)
		LIST_REMOVE(call, pending);
	call->stage = SIM_CALL_NEW;
	call->ended = true;
	if (node->outage && LIST_EMPTY(&node->pending)) {
		node->host->timer_stop(node->outage);
		node->outage = NULL;
	}
	if (call->leave)
		call->leave(call);
	if (call->placed) {
		call->placed = false;
		node->working--;
		pump(node);
	}
}

static void end(struct sim_call *call, const struct gantry_error *err)
{
	const struct gantry_host *host = call->node->host;

	let_go(call);
	host->op_on_cancel(call->op, NULL, NULL);
	host->op_done(call->op, err, NULL);
}

void sim_call_done(struct sim_call *call, const void *result)
{
	const struct gantry_host *host = call->node->host;
	struct gantry_error err;

	let_go(call);
	host->op_on_cancel(call->op, NULL, NULL);
	if (call->fault) { /* it was done, and nobody is told */
		rule_error(call->fault, &err);
		host->op_done(call->op, &err, NULL);
		return;
	}
	host->op_done(call->op, NULL, result);
}

void sim_call_fail(struct sim_call *call, int code, const char *format, ...)
{
	struct gantry_error err;
	va_list args;

	va_start(args, format);
	gantry_error_setv(&err, code, format, args);
	va_end(args);
	gantry_error_prefix(&err, "sim");
	end(call, &err);
}

static void on_cancel(void *arg)
{
	sim_call_fail(arg, -ECANCELED, "cancelled");
}

/* --- the way --- */

static void on_outage(void *arg)
{
	struct sim_node *node = arg;
	struct gantry_error err;
	int64_t next_ms;

	node->outage = NULL;
	if (sim_node_reach(node, &err) < 0) {
		while (!LIST_EMPTY(&node->pending))
			end(LIST_FIRST(&node->pending), &err);
		return;
	}
	next_ms = sim_node_next_change_ms(node);
	if (next_ms >= 0 && !LIST_EMPTY(&node->pending))
		node->outage = node->host->timer_start(node->host->core, next_ms, on_outage, node);
}

void sim_call_pend(struct sim_call *call)
{
	struct sim_node *node = call->node;
	int64_t next_ms;

	call->stage = SIM_CALL_PENDING;
	LIST_INSERT_HEAD(&node->pending, call, pending);
	if (node->outage)
		return;
	next_ms = sim_node_next_change_ms(node);
	if (next_ms >= 0)
		node->outage = node->host->timer_start(node->host->core, next_ms, on_outage, node);
}

static void finish(struct sim_call *call)
{
	const struct sim_rule *fault = call->fault;
	struct gantry_error err;

	if (sim_node_reach(call->node, &err) < 0) {
		end(call, &err);
	} else if (fault && fault->how == SIM_RULE_HANG) {
		sim_call_pend(call);
	} else if (fault && fault->how == SIM_RULE_FAIL) {
		rule_error(fault, &err);
		end(call, &err);
	} else {
		call->act(call);
	}
}

static void on_served(void *arg)
{
	struct sim_call *call = arg;

	call->timer = NULL;
	finish(call);
}

static int64_t latency_ms(struct sim_call *call)
{
	const struct sim_settings *settings = call->node->settings;
	int64_t latency_ms = settings->call_latency_ms;

	if (call->verb == SIM_CREATE)
		latency_ms = settings->create_latency_ms;
	else if (call->verb == SIM_START)
		latency_ms = settings->start_latency_ms;
	else
		return latency_ms;
	if (settings->jitter_ms)
		latency_ms += (int64_t)(sim_random(call->node) * (double)(settings->jitter_ms + 1));
	return latency_ms;
}

static void serve(struct sim_call *call)
{
	const struct gantry_host *host = call->node->host;
	int64_t after_ms = latency_ms(call);

	call->stage = SIM_CALL_SERVED;
	if (after_ms == 0 && !call->by_timer)
		finish(call);
	else
		call->timer = host->timer_start(host->core, after_ms, on_served, call);
}

void sim_call_begin(struct sim_call *call)
{
	struct sim_node *node = call->node;
	const struct gantry_host *host = node->host;
	bool placed = node->settings->parallel > 0 &&
		      (call->verb == SIM_CREATE || call->verb == SIM_START);
	struct gantry_error err;

	if (sim_node_reach(node, &err) < 0) {
		end(call, &err);
		return;
	}
	call->fault = roll(node, call->verb);
	host->op_on_cancel(call->op, on_cancel, call);
	if (call->ended) /* the cancel had come before the call */
		return;
	if (placed && node->working >= (size_t)node->settings->parallel) {
		call->stage = SIM_CALL_QUEUED;
		TAILQ_INSERT_TAIL(&node->queue, call, queued);
		return;
	}
	call->placed = placed;
	node->working += placed;
	serve(call);
}

void *sim_call_new(struct sim_node *node, struct gantry_op *op, enum sim_verb verb, size_t size,
		   void (*act)(struct sim_call *call), const char *container, const char *text)
{
	struct sim_call *call =
		node->host->op_alloc(op, size > sizeof(*call) ? size : sizeof(*call));

	call->node = node;
	call->op = op;
	call->verb = verb;
	call->act = act;
	call->container = sim_call_keep(call, container);
	call->text = sim_call_keep(call, text);
	return call;
}

void *sim_call_alloc(struct sim_call *call, size_t size)
{
	return call->node->host->op_alloc(call->op, size ? size : 1);
}

const char *sim_call_keep(struct sim_call *call, const char *text)
{
	char *copy;

	if (!text)
		return NULL;
	copy = sim_call_alloc(call, strlen(text) + 1);
	return strcpy(copy, text);
}
