/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gantry wait`: for all that are named at once, so that none ends and is removed unseen while another is waited for.
 *
 *	a thread and a connection for each ─▶ its answer, kept ─▶ printed in the order asked, as far as that is known
 *
 * With --any the first answer, of whichever instance, is the last; the other calls are broken off by cancel_fd. Only
 * the main thread prints.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/operation.h"
#include "ctl/output.h"

struct waiting;

struct waiter {
	struct waiting *all; /* borrowed */
	const char *name;    /* borrowed */
	struct client *client;
	pthread_t thread;
	bool begun, answered;

	/* The answer; error below 0: there is none */
	int error;
	struct gantry_error failure;
	struct client_reply reply;
};

struct waiting {
	struct ctl *ctl;
	int64_t deadline_us; /* 0: none */
	int cancel_fd;       /* readable once nobody is to wait any more */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct waiter *first;   /* of all to be answered; NULL: none yet */
	struct waiter *waiters; /* owned */
	size_t count;
};

static int on_cancel(void *arg)
{
	(void)arg;
	return -EINTR;
}

/* Asks until it has ended or the time is up. */
static void ask(struct waiter *waiter)
{
	const struct waiting *all = waiter->all;
	double seconds = CLIENT_WAIT_SECONDS;
	bool again = true;

	while (again) {
		char rest[48], *path;

		if (all->deadline_us) {
			double left = (double)(all->deadline_us - clock_monotonic_us()) / 1e6;

			seconds = left < 0 ? 0 : left < CLIENT_WAIT_SECONDS ? left : seconds;
		}
		snprintf(rest, sizeof(rest), "/wait?timeout=%.3f", seconds);
		path = instance_path(all->ctl, waiter->name, rest);
		waiter->error = client_call(waiter->client, "GET", path, NULL, seconds,
					    &waiter->reply, &waiter->failure);
		free(path);
		again = waiter->error == 0 && waiter->reply.status < 400 &&
			json_get_bool(waiter->reply.json, "timed_out", false) &&
			(!all->deadline_us || clock_monotonic_us() < all->deadline_us);
		if (again)
			client_reply_fini(&waiter->reply);
	}
}

static void *work(void *arg)
{
	struct waiter *waiter = arg;
	struct waiting *all = waiter->all;

	ask(waiter);
	pthread_mutex_lock(&all->lock);
	waiter->answered = true;
	if (!all->first)
		all->first = waiter;
	pthread_cond_signal(&all->changed);
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

static int begin(struct waiter *waiter)
{
	int error;

	if (client_open(waiter->all->ctl->settings, &waiter->client, &waiter->failure) < 0)
		return output_fail(NULL, &waiter->failure);
	client_set_wake(waiter->client, waiter->all->cancel_fd, on_cancel, NULL);
	error = pthread_create(&waiter->thread, NULL, work, waiter);
	if (error) {
		output_error("%s: no thread to wait for it: %s", waiter->name, strerror(error));
		return CTL_FAILED;
	}
	waiter->begun = true;
	return CTL_OK;
}

/* Waits for the answer of this one; NULL: of any. */
static struct waiter *await(struct waiting *all, struct waiter *waiter)
{
	pthread_mutex_lock(&all->lock);
	while (waiter ? !waiter->answered : !all->first)
		pthread_cond_wait(&all->changed, &all->lock);
	pthread_mutex_unlock(&all->lock);
	return waiter ? waiter : all->first;
}

static int print(struct waiter *waiter, bool with_name, int *ret_code)
{
	struct json_object *reply = waiter->reply.json, *last_exit;

	if (waiter->error < 0)
		return output_fail(NULL, &waiter->failure);
	if (waiter->reply.status >= 400)
		return output_problem(waiter->name, waiter->reply.status, reply);
	if (json_get_bool(reply, "timed_out", false)) {
		output_error("%s: still running", with_name ? "all" : waiter->name);
		return CTL_TIMED_OUT;
	}
	last_exit = json_get(reply, "last_exit");
	*ret_code = (int)json_get_int(last_exit, "code", 0);
	if (waiter->all->ctl->json) {
		output_raw(&waiter->reply);
	} else if (!json_object_is_type(last_exit, json_type_object)) {
		output_error("%s: is %s and its process never ended", waiter->name,
			     json_get_string(reply, "state", "gone"));
		return CTL_CONFLICT;
	} else if (with_name) {
		output_line("%s %lld", waiter->name,
			    (long long)json_get_int(last_exit, "code", -1));
	} else {
		output_line("%lld", (long long)json_get_int(last_exit, "code", -1));
	}
	return CTL_OK;
}

/* The status is the first that is none of success, the code the first that is not 0. */
static int wait_for(struct waiting *all, bool any, int *ret_code)
{
	int status = CTL_OK;

	if (any)
		return print(await(all, NULL), true, ret_code);
	for (size_t i = 0; i < all->count; i++) {
		int code = 0, one = print(await(all, &all->waiters[i]), false, &code);

		fflush(stdout);
		if (*ret_code == 0)
			*ret_code = code;
		if (status == CTL_OK)
			status = one;
	}
	return status;
}

static void fini(struct waiting *all)
{
	eventfd_write(all->cancel_fd, 1);
	for (size_t i = 0; i < all->count; i++) {
		struct waiter *waiter = &all->waiters[i];

		if (waiter->begun)
			pthread_join(waiter->thread, NULL);
		if (waiter->begun && waiter->error == 0)
			client_reply_fini(&waiter->reply);
		if (waiter->client)
			client_close(waiter->client);
	}
	free(all->waiters);
	close(all->cancel_fd);
}

int wait_command(struct ctl *ctl)
{
	struct waiting all = {
		.ctl = ctl,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.count = ctl->args->word_count,
	};
	const char *timeout = args_text(ctl->args, "timeout", NULL);
	int64_t timeout_ms;
	int status = CTL_OK, code = 0;

	if (timeout) {
		if (units_parse_duration(timeout, &timeout_ms) < 0)
			return output_usage(
				"wait", "--timeout must be a time as \"10s\" or \"2m\", not \"%s\"",
				timeout);
		all.deadline_us = clock_monotonic_us() + timeout_ms * 1000;
	}
	all.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (all.cancel_fd < 0) {
		output_error("no descriptor to wait with: %s", strerror(errno));
		return CTL_FAILED;
	}
	all.waiters = xcalloc(all.count, sizeof(*all.waiters));
	for (size_t i = 0; i < all.count; i++) {
		all.waiters[i].all = &all;
		all.waiters[i].name = ctl->args->words[i];
	}
	for (size_t i = 0; i < all.count && status == CTL_OK; i++)
		status = begin(&all.waiters[i]);
	if (status == CTL_OK)
		status = wait_for(&all, args_has(ctl->args, "any"), &code);
	fini(&all);
	return status == CTL_OK && args_has(ctl->args, "exit-code") ? code & 0xff : status;
}
