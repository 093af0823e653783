/* SPDX-License-Identifier: Apache-2.0 */
/* Our pattern matcher against Lua's own, for as long as it is let. */
#include "fuzz.h"
#include "pattern.h"

#define CALLS 100 /* a case */

static void one(void)
{
	for (int i = 0; i < CALLS; i++)
		if (!compare_random(choose(4) != 0)) {
			fuzz_finding("call %d of %d differs, as told above", i + 1, CALLS);
			return;
		}
	fuzz_note("hundreds of calls");
}

int main(void)
{
	fuzz_run("cases of 100 patterns", pattern_start, one, pattern_end);
	done_testing();
	return tap_end();
}
