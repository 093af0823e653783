/* SPDX-License-Identifier: Apache-2.0 */
/* One test of a policy, from what the file says to what came of it; see selftest.c. */
#ifndef SCRIPT_TRIAL_H
#define SCRIPT_TRIAL_H

#include "model/instance.h"
#include "model/node.h"
#include "script/decision.h"
#include "script/policy.h"

/* What a test says, beside its request and what it expects. All texts are in the trial's arena. */
struct trial_words {
	const char *name, *hook, *deny;
	const char *verb, *actor, *user, *via, *now;
};

struct trial {
	struct script_set *set;     /* borrowed: of the one policy */
	struct json_object *test;   /* borrowed */
	struct json_object *expect; /* borrowed from test; NULL: the test has `deny` */
	enum hook hook;
	struct trial_words words;
	struct gantry_pairs node_labels; /* in arena */
	struct arena arena;
	struct gantry_spec spec; /* of the request; with what was set, after */
	struct gantry_exec exec; /* of an exec */
	struct script_recording recording;
	struct instance *instance; /* owned; NULL: of a spawn */
	struct node node;
	struct instance_exit end;
	struct script_exit told;
	struct script_request request;
	struct script_origin origin;
	struct script_line line;
	struct script_decision decision; /* none before it is asked */
};

/* Takes in what the test says. On an error its field is the member of the test that it is about. */
int trial_read(struct trial *trial, struct gantry_error *err);

/*
 * Holds what came against what is expected; restart is what the hook restart answered. 0, or -EINVAL
 * with both in the text.
 */
int trial_judge(struct trial *trial, const struct script_restart *restart,
		struct gantry_error *err);

#endif
