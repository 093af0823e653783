/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `environment` and `resources` answer, checked field by field, applied to the spec and recorded:
 * one record a field. Either all of an answer is taken or nothing of it. Internal to script/.
 */
#ifndef SCRIPT_ANSWERS_H
#define SCRIPT_ANSWERS_H

#include "script/policy.h"

/* On failure err says which field and what would be right; nothing is changed or recorded then. */
int answer_environment(struct json_object *answer, const struct policy *policy, int line,
		       struct arena *arena, struct gantry_spec *spec,
		       struct script_decision *decision, struct gantry_error *err);
int answer_resources(struct json_object *answer, const struct policy *policy, int line,
		     struct arena *arena, struct gantry_spec *spec,
		     struct script_decision *decision, struct gantry_error *err);

#endif
