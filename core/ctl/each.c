/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/each.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/str.h"
#include "ctl/output.h"

static int on_cancel(void *arg)
{
	(void)arg;
	return -EINTR;
}

int each_init(struct each *each, struct ctl *ctl, void (*run)(struct each_call *call))
{
	pthread_condattr_t attributes;

	*each = (struct each){.ctl = ctl, .run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
	each->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (each->cancel_fd < 0) {
		output_error("no descriptor to wait with: %s", strerror(errno));
		return CTL_FAILED;
	}
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&each->changed, &attributes);
	return CTL_OK;
}

static void *work(void *arg)
{
	struct each_call *call = arg;
	struct each *each = call->each;

	each->run(call);
	pthread_mutex_lock(&each->lock);
	call->ended = true;
	if (!each->first)
		each->first = call;
	pthread_cond_signal(&each->changed);
	pthread_mutex_unlock(&each->lock);
	return NULL;
}

int each_begin(struct each *each, struct each_call *call, const char *name)
{
	int error;

	call->each = each;
	call->name = name;
	call->ended = true;
	if (client_open(each->ctl->settings, &call->client, &call->failure) < 0)
		return output_fail(NULL, &call->failure);
	client_set_wake(call->client, each->cancel_fd, on_cancel, NULL);
	call->ended = false;
	error = pthread_create(&call->thread, NULL, work, call);
	call->begun = error == 0;
	if (call->begun)
		return CTL_OK;
	call->ended = true;
	output_error("%s: no thread to wait for it: %s", name, strerror(error));
	return CTL_FAILED;
}

void each_cancel(struct each *each)
{
	eventfd_write(each->cancel_fd, 1);
}

void each_end(struct each_call *call)
{
	if (call->begun)
		pthread_join(call->thread, NULL);
	if (call->begun && call->error == 0)
		client_reply_fini(&call->reply);
	if (call->client)
		client_close(call->client);
}

void each_fini(struct each *each)
{
	pthread_cond_destroy(&each->changed);
	close(each->cancel_fd);
}
