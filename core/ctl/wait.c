/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gantry wait`: for all that are named at once, so that none ends and is removed unseen while another is waited for.
 * The answers are printed in the order asked, as far as they are known.
 *
 * With --any the first answer, of whichever instance, is the last; the other calls are broken off.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/each.h"
#include "ctl/operation.h"
#include "ctl/output.h"

struct waiting {
	struct each each;
	int64_t deadline_us;     /* 0: none */
	struct each_call *calls; /* owned */
	size_t count;
};

/* Asks until it has ended or the time is up. */
static void ask(struct each_call *waiter)
{
	const struct waiting *all = LIST_ENTRY(waiter->each, struct waiting, each);
	double seconds = CLIENT_WAIT_SECONDS;
	bool again = true;

	while (again) {
		char rest[48], *path;

		if (all->deadline_us) {
			double left = (double)(all->deadline_us - clock_monotonic_us()) / 1e6;

			seconds = left < 0 ? 0 : left < CLIENT_WAIT_SECONDS ? left : seconds;
		}
		snprintf(rest, sizeof(rest), "/wait?timeout=%.3f", seconds);
		path = instance_path(all->each.ctl, waiter->name, rest);
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

/* Waits for the answer of this one; NULL: of any. */
static struct each_call *await(struct each *each, struct each_call *waiter)
{
	pthread_mutex_lock(&each->lock);
	while (waiter ? !waiter->ended : !each->first)
		pthread_cond_wait(&each->changed, &each->lock);
	pthread_mutex_unlock(&each->lock);
	return waiter ? waiter : each->first;
}

static int print(struct each_call *waiter, bool with_name, int *ret_code)
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
	if (waiter->each->ctl->json) {
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
		return print(await(&all->each, NULL), true, ret_code);
	for (size_t i = 0; i < all->count; i++) {
		int code = 0, one = print(await(&all->each, &all->calls[i]), false, &code);

		fflush(stdout);
		if (*ret_code == 0)
			*ret_code = code;
		if (status == CTL_OK)
			status = one;
	}
	return status;
}

int wait_command(struct ctl *ctl)
{
	struct waiting all = {.count = ctl->args->word_count};
	const char *timeout = args_text(ctl->args, "timeout", NULL);
	int64_t timeout_ms;
	int status, code = 0;

	if (timeout) {
		if (units_parse_duration(timeout, &timeout_ms) < 0)
			return output_usage(
				"wait", "--timeout must be a time as \"10s\" or \"2m\", not \"%s\"",
				timeout);
		all.deadline_us = clock_monotonic_us() + timeout_ms * 1000;
	}
	status = each_init(&all.each, ctl, ask);
	if (status != CTL_OK)
		return status;
	all.calls = xcalloc(all.count, sizeof(*all.calls));
	for (size_t i = 0; i < all.count && status == CTL_OK; i++)
		status = each_begin(&all.each, &all.calls[i], ctl->args->words[i]);
	if (status == CTL_OK)
		status = wait_for(&all, args_has(ctl->args, "any"), &code);
	each_cancel(&all.each);
	for (size_t i = 0; i < all.count; i++)
		each_end(&all.calls[i]);
	each_fini(&all.each);
	free(all.calls);
	return status == CTL_OK && args_has(ctl->args, "exit-code") ? code & 0xff : status;
}
