/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings of consoles: the list, and a file in pieces, read by the pool as the client takes them. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/console/recording.h"
#include "loop/work.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct listing {
	struct call *call;
	struct http_request *request; /* a reference of ours */
};

static void on_list(void *arg, struct json_object *list)
{
	struct listing *listing = arg;
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "recordings", list);
	call_reply(listing->call, 200, object);
	http_request_unref(listing->request);
	free(listing);
}

void handle_recording_list(struct call *call)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));

	listing->call = call;
	listing->request = http_request_ref(call->request);
	recordings_list(call->daemon, on_list, listing);
}

struct download {
	struct call *call;
	struct http_request *request; /* a reference of ours */
	char *path;                   /* owned */
	int fd;
	struct flows_ask ask; /* in the request's arena */
	bool begun, busy, gone;
	ssize_t length; /* or a negative code */
	char data[RECORDING_HEAD_BYTES];
};

static void let_go(struct download *download)
{
	http_request_unref(download->request);
	if (download->fd >= 0)
		close(download->fd);
	free(download->path);
	free(download);
}

static void on_gone(void *arg)
{
	struct download *download = arg;

	download->gone = true;
	if (!download->busy)
		let_go(download);
}

static void run_read(void *arg)
{
	struct download *download = arg;

	if (download->fd < 0)
		download->fd = open(download->path, O_RDONLY | O_CLOEXEC);
	download->length =
		download->fd < 0 ? -1 : read(download->fd, download->data, sizeof(download->data));
	if (download->length < 0)
		download->length = -errno;
}

static void on_read(void *arg);

static void read_on(void *arg)
{
	struct download *download = arg;

	if (download->busy)
		return;
	download->busy = true;
	loop_work(download->call->daemon->loop, run_read, on_read, download);
}

static void refuse(struct download *download, const struct gantry_error *err)
{
	http_request_on_gone(download->request, NULL, NULL);
	call_fail(download->call, err);
	let_go(download);
}

static void finish(struct download *download)
{
	struct gantry_error err;

	if (!download->begun) {
		gantry_error_set(&err, (int)download->length, "recording %s: %s",
				 download->call->parameter, strerror((int)-download->length));
		refuse(download, &err);
		return;
	}
	http_request_on_gone(download->request, NULL, NULL);
	if (download->length == 0)
		http_stream_end(download->request);
	else
		http_stream_abort(download->request);
	let_go(download);
}

static void on_read(void *arg)
{
	struct download *download = arg;
	const struct call *call = download->call;
	struct gantry_error err;

	download->busy = false;
	if (download->gone) {
		let_go(download);
		return;
	}
	if (download->length >= 0 && !download->begun) {
		if (recording_admit(call->daemon, &download->ask, call->parameter, download->data,
				    (size_t)download->length, &err) < 0) {
			refuse(download, &err);
			return;
		}
		download->begun = true;
		if (!http_stream_begin(download->request, 200, "application/x-asciicast")) {
			http_request_on_gone(download->request, NULL, NULL);
			let_go(download);
			return;
		}
		http_stream_on_drain(download->request, read_on, download);
	}
	if (download->length <= 0)
		finish(download);
	else if (http_stream_write(download->request, download->data, (size_t)download->length))
		read_on(download);
}

void handle_recording_show(struct call *call)
{
	char *path = recording_path(call->daemon, call->parameter);
	struct download *download;
	struct gantry_error err;

	if (!path) {
		gantry_error_set(&err, -ENOENT, "there is no recording %.40s", call->parameter);
		call_fail(call, &err);
		return;
	}
	download = xcalloc(1, sizeof(*download));
	download->call = call;
	download->request = http_request_ref(call->request);
	download->ask = call_asker(call);
	download->path = path;
	download->fd = -1;
	http_request_on_gone(call->request, on_gone, download);
	read_on(download);
}
