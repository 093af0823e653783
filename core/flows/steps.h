/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that several flows share. See flow.h for how a step begins and ends. */
#ifndef FLOWS_STEPS_H
#define FLOWS_STEPS_H

#include "flows/flow.h"

/* Longest times for one call of an engine. */
#define STEP_CREATE_MS 120000
#define STEP_START_MS  120000
#define STEP_SIGNAL_MS 30000
#define STEP_DEATH_MS  60000 /* from SIGKILL to the exit */
#define STEP_REMOVE_MS 120000
#define STEP_KEEP_MS   30000

/* Whether the verb fits the instance's state; of one out of reach the error has its node's. */
int step_check_verb(struct daemon *daemon, const struct instance *instance, enum instance_verb verb,
		    struct gantry_error *err);

/* What policies are told about this flow; memory from the flow's arena. */
void step_request(struct flow *flow, struct script_request *ret_request);
/* Begins the flow's decision, and asks admit for the verb, which is the flow's name. */
int step_admit(struct flow *flow, struct script_request *ret_request, struct gantry_error *err);

/* "policy": asks admit, and no more. */
void step_policy(struct flow *flow);

/* "signal": sends the stop signal; "grace": waits for the exit, then goes on; "kill": SIGKILL where
 * it still runs, and waits for the exit. All go on at once where the process is gone. */
void step_signal(struct flow *flow);
void step_grace(struct flow *flow);
void step_kill(struct flow *flow);

/* The answer of an unpause whose event is expected. */
void step_on_unpaused(struct flow *flow, const struct gantry_error *err, const void *result);

/* "start": starts the container. One that runs already is fine. */
void step_start(struct flow *flow);
/* Records in the instance that it was started, with its event, in the flow's last batch. */
void step_started(struct flow *flow, const char *cause);

/* `failed` of flows that leave the container: the instance is as it was before. */
void step_back_to_before(struct flow *flow);

bool step_wants_signal(const struct flow *flow); /* the process is there */

#endif
