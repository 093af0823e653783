/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests that a policy file carries: asked of its hooks before the file comes into force. Internal
 * to script/.
 *
 *	tests = {
 *	  { name = "…", hook = "admit", request = { image = "x" }, deny = "a part of the reason" },
 *	  { hook = "resources", request = { image = "x" }, expect = { memory = "512MiB" } },
 *	}
 */
#ifndef SCRIPT_SELFTEST_H
#define SCRIPT_SELFTEST_H

#include "script/policy.h"

#define SELFTEST_TESTS_MAX 64 /* of one file */

/*
 * Runs policy->tests, if any, in a state that is made for them: what they leave in the file's variables
 * is gone after. -EINVAL where one fails or is none: err says file, line and test, what was expected and
 * what came.
 */
int selftest_run(const struct policy *policy, struct gantry_error *err);

#endif
