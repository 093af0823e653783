/* SPDX-License-Identifier: Apache-2.0 */
/* One alarm for each thread that runs scripts. Internal to script/. */
#ifndef SCRIPT_ALARM_H
#define SCRIPT_ALARM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Calls ring(context) after that time or before, once, as a signal handler in this thread: between any
 * two machine instructions of what runs then. False where the system gives no timer. A system's timer
 * that still runs since an alarm that was muted is used again: to set one costs microseconds.
 */
bool alarm_set(int64_t after_us, void (*ring)(void *context), void *context);
/* It does not ring any more when this has returned; the system's timer goes on. */
void alarm_mute(void);
/* Stops the timer: before the thread goes on to anything that a signal might disturb. */
void alarm_clear(void);

#endif
