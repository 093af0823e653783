/* SPDX-License-Identifier: Apache-2.0 */
#include "script/alarm.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* A signal handler is given nothing but its thread. */
static _Thread_local struct {
	bool made;
	timer_t timer;
	volatile bool runs;
	void (*volatile ring)(void *context); /* NULL: not set */
	void *volatile context;               /* borrowed */
} alarm_of_thread;

static void on_signal(int number)
{
	void (*ring)(void *context) = alarm_of_thread.ring;

	(void)number;
	alarm_of_thread.runs = false;
	alarm_of_thread.ring = NULL;
	if (ring)
		ring(alarm_of_thread.context);
}

static bool make(void)
{
	int number = SIGRTMIN + 7;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
	sigset_t set;

	event.sigev_notify_thread_id = gettid();
	sigemptyset(&set);
	sigaddset(&set, number);
	if (sigaction(number, &action, NULL) < 0 || pthread_sigmask(SIG_UNBLOCK, &set, NULL) != 0)
		return false;
	alarm_of_thread.made = timer_create(CLOCK_MONOTONIC, &event, &alarm_of_thread.timer) == 0;
	return alarm_of_thread.made;
}

bool alarm_set(int64_t after_us, void (*ring)(void *context), void *context)
{
	struct itimerspec when = {.it_value.tv_nsec = after_us * 1000};

	if (!alarm_of_thread.made && !make())
		return false;
	alarm_of_thread.context = context;
	alarm_of_thread.ring = ring; /* from here on an earlier timer rings for this one */
	if (alarm_of_thread.runs)
		return true;
	alarm_of_thread.runs = true;
	if (timer_settime(alarm_of_thread.timer, 0, &when, NULL) == 0)
		return true;
	alarm_of_thread.runs = false;
	alarm_of_thread.ring = NULL;
	return false;
}

void alarm_mute(void)
{
	alarm_of_thread.ring = NULL;
}

void alarm_clear(void)
{
	struct itimerspec never = {0};

	alarm_of_thread.ring = NULL;
	if (!alarm_of_thread.runs)
		return;
	timer_settime(alarm_of_thread.timer, 0, &never, NULL);
	alarm_of_thread.runs = false;
}
