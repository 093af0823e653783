/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/crash_point.h"
#include "flows/flow.h"
#include "base/str.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define DURING_US 50000

void crash_point(const struct flow *flow, const char *when)
{
	const char *wanted = flow->daemon->crash_at;
	char here[128], tried[140];

	if (!wanted)
		return;
	snprintf(here, sizeof(here), "%s/%s/%s", flow->kind->name, flow_step_at(flow)->name, when);
	snprintf(tried, sizeof(tried), "%s/%zu", here, flow->operation->try_count + 1);
	if (!str_equal(here, wanted) && !str_equal(tried, wanted))
		return;
	if (str_equal(when, "during"))
		ualarm(DURING_US, 0); /* SIGALRM ends the process as abruptly as SIGKILL */
	else
		raise(SIGKILL);
}
