/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/fd_watch.h"
#include "base/str.h"

#include <stdlib.h>

struct fd_watch {
	uv_poll_t handle;
	void (*ready)(void *arg, bool readable, bool writable);
	void *arg; /* borrowed */
	int events;
};

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct fd_watch *watch = handle->data;

	if (status < 0) { /* libuv has stopped it; whoever reads or writes finds out why */
		events = watch->events;
		watch->events = 0;
	}
	watch->ready(watch->arg, events & UV_READABLE, events & UV_WRITABLE);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int fd_watch_open(struct loop *loop, int fd, void (*ready)(void *arg, bool readable, bool writable),
		  void *arg, struct fd_watch **ret_watch, struct gantry_error *err)
{
	struct fd_watch *watch = xcalloc(1, sizeof(*watch));
	int code = uv_poll_init(&loop->uv, &watch->handle, fd);

	if (code < 0) {
		free(watch);
		return gantry_error_set(err, code, "a descriptor cannot be watched: %s",
					uv_strerror(code));
	}
	watch->handle.data = watch;
	watch->ready = ready;
	watch->arg = arg;
	*ret_watch = watch;
	return 0;
}

void fd_watch_set(struct fd_watch *watch, bool readable, bool writable)
{
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	if (events == watch->events)
		return;
	watch->events = events;
	if (events)
		uv_poll_start(&watch->handle, events, on_ready);
	else
		uv_poll_stop(&watch->handle);
}

void fd_watch_close(struct fd_watch *watch)
{
	if (watch)
		uv_close((uv_handle_t *)&watch->handle, on_closed);
}
