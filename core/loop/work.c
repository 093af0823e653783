/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/work.h"
#include "base/str.h"

#include <stdlib.h>

struct work {
	uv_work_t request;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg; /* borrowed */
};

static void on_run(uv_work_t *request)
{
	struct work *work = request->data;

	work->run(work->arg);
}

static void on_done(uv_work_t *request, int status)
{
	struct work *work = request->data;

	(void)status; /* nobody cancels it */
	work->done(work->arg);
	free(work);
}

void loop_work(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct work *work = xcalloc(1, sizeof(*work));

	work->request.data = work;
	work->run = run;
	work->done = done;
	work->arg = arg;
	uv_queue_work(&loop->uv, &work->request, on_run, on_done);
}
