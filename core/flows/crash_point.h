/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points, for tests alone: with GANTRY_CRASH_AT=KIND/STEP/WHEN in its environment gantryd ends
 * as if by SIGKILL at that place of that flow. WHEN is
 *
 *	before   the step's name is committed, the step has not run
 *	during   50 ms after the step's first call of the engine
 *	after    the step is over, the next name is not committed
 *	undo     it is about to be taken back
 *	end      the end is committed, nobody was told
 *
 * KIND/STEP/WHEN/N: of the N-th try, where a flow begins anew.
 */
#ifndef FLOWS_CRASH_POINT_H
#define FLOWS_CRASH_POINT_H

struct flow;

void crash_point(const struct flow *flow, const char *when);

#endif
