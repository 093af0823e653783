/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/folder_watch.h"
#include "base/str.h"

#include <stdlib.h>

struct folder_watch {
	uv_fs_event_t handle;
	struct loop *loop; /* borrowed */
	struct loop_timer quiet;
	int64_t quiet_ms;
	void (*changed)(void *arg);
	void *arg; /* borrowed */
};

static void on_quiet(struct loop_timer *timer)
{
	struct folder_watch *watch = LIST_ENTRY(timer, struct folder_watch, quiet);

	watch->changed(watch->arg);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
	struct folder_watch *watch = handle->data;

	(void)name;
	(void)events;
	(void)status; /* an error is a change too: whoever reads the folder finds out */
	if (watch->quiet_ms)
		loop_timer_start(watch->loop, &watch->quiet, watch->quiet_ms);
	else
		watch->changed(watch->arg);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int folder_watch_open(struct loop *loop, const char *path, int64_t quiet_ms,
		      void (*changed)(void *arg), void *arg, struct folder_watch **ret_watch,
		      struct gantry_error *err)
{
	struct folder_watch *watch = xcalloc(1, sizeof(*watch));
	int code;

	watch->loop = loop;
	watch->quiet_ms = quiet_ms;
	watch->changed = changed;
	watch->arg = arg;
	watch->handle.data = watch;
	loop_timer_init(&watch->quiet, on_quiet);
	uv_fs_event_init(&loop->uv, &watch->handle);
	code = uv_fs_event_start(&watch->handle, on_event, path, 0);
	if (code < 0) {
		gantry_error_set(err, code, "%s cannot be watched: %s", path, uv_strerror(code));
		uv_close((uv_handle_t *)&watch->handle, on_closed);
		return code;
	}
	*ret_watch = watch;
	return 0;
}

void folder_watch_close(struct folder_watch *watch)
{
	if (!watch)
		return;
	loop_timer_stop(watch->loop, &watch->quiet);
	uv_close((uv_handle_t *)&watch->handle, on_closed);
}
