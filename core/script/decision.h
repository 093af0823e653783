/* SPDX-License-Identifier: Apache-2.0 */
/* How the hooks write decisions. Internal to script/. */
#ifndef SCRIPT_DECISION_H
#define SCRIPT_DECISION_H

#include "base/str.h"
#include "script/policy.h"

/* A new record with policy, hook, file and shadow; valid until the next one is added. */
struct script_record *decision_add(struct script_decision *decision, const struct policy *policy,
				   enum hook hook, const char *outcome);

/* Fills reason and line of a record from the policy's failure. */
void decision_set_error(struct script_decision *decision, struct script_record *record,
			const struct policy *policy);

/* A copy of an author's text that is fit for a log: UTF-8, one line, at most 300 bytes. */
const char *decision_text(struct script_decision *decision, const char *text, size_t length);

/* JSON text of an answer in the decision's arena. A secret becomes its keyed hash. */
const char *decision_answer(struct script_decision *decision, const struct str *json);
void decision_add_text(struct str *json, const char *text, bool secret);

/* The decision is no; keeps the first reason. -EACCES with all of it in err. */
int decision_deny(struct script_decision *decision, const struct script_record *record,
		  struct gantry_error *err);
/* As decision_deny where no single policy did it. */
int decision_deny_text(struct script_decision *decision, const char *text,
		       struct gantry_error *err);

/* The policy that last set the subject in this decision with effect, NULL: none did. */
const char *decision_owner(const struct script_decision *decision, enum hook hook,
			   const char *subject);

#endif
