/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file, written on the pool, a batch at a time:
 *
 *	open where it is not ─▶ rotate where it is large ─▶ write ─▶ delivered
 *
 * Another one may rotate it: where the path is of another file, or of none, it is opened anew. A batch that does
 * not fit on the disk is cut off again, so that no line is there in half; one that a crash has left so is
 * ended before the next.
 */
#include "sinks.h"
#include "stdout.h"

#include <gantry/text.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct settings {
	const char *to, *format;
	int64_t size_bytes, files;
};

struct file_sink {
	const struct gantry_host *host; /* borrowed */
	const struct settings *settings;
	bool plain; /* format "text" */
	int fd;     /* owned; -1: none */
	bool busy, closed;
	struct gantry_op *op; /* under way; NULL while busy: nobody waits for it any more */
	struct text out;
	struct gantry_error err; /* of the work */
};

/* --- on the pool --------------------------------------------------------------------------------- */

static int say(struct file_sink *file, int code, const char *what)
{
	return gantry_error_set(&file->err, code, "%s: %s: %s", file->settings->to, what,
				strerror(-code));
}

/* Its last line may have been left in half. */
static int end_line(struct file_sink *file, off_t size)
{
	char last = '\n';

	if (size == 0 || pread(file->fd, &last, 1, size - 1) != 1 || last == '\n')
		return 0;
	return write(file->fd, "\n", 1) == 1 ? 0 : say(file, -errno, "cannot be written");
}

static int open_file(struct file_sink *file, off_t *ret_size)
{
	struct stat status, at_path;
	bool is_new = file->fd < 0;

	if (!is_new && (fstat(file->fd, &status) < 0 || stat(file->settings->to, &at_path) < 0 ||
			status.st_ino != at_path.st_ino || status.st_dev != at_path.st_dev)) {
		close(file->fd);
		is_new = true;
	}
	if (is_new)
		file->fd = open(file->settings->to,
				O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (file->fd < 0 || fstat(file->fd, &status) < 0)
		return say(file, -errno, "cannot be opened");
	if (!S_ISREG(status.st_mode))
		return say(file, -EINVAL, "is no file");
	*ret_size = status.st_size;
	return is_new ? end_line(file, status.st_size) : 0;
}

static int rotate(struct file_sink *file)
{
	int code = files_rotate(file->settings->to, file->settings->files);

	return code < 0 ? say(file, code, "cannot be rotated") : 0;
}

static int write_out(struct file_sink *file, off_t size)
{
	const char *data = file->out.data;
	size_t left = file->out.length;

	while (left > 0) {
		ssize_t count = write(file->fd, data, left);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			int code = -errno;

			if (ftruncate(file->fd, size) < 0)
				code = -errno;
			return say(file, code, "cannot be written");
		}
		data += count;
		left -= (size_t)count;
	}
	return 0;
}

static void run(void *arg)
{
	struct file_sink *file = arg;
	off_t size = 0;

	file->err.code = 0;
	if (open_file(file, &size) < 0)
		return;
	if (size > 0 && size + (off_t)file->out.length > file->settings->size_bytes &&
	    (rotate(file) < 0 || open_file(file, &size) < 0))
		return;
	write_out(file, size);
}

/* --- on the loop --------------------------------------------------------------------------------- */

static void free_file(struct file_sink *file)
{
	if (file->fd >= 0)
		close(file->fd);
	text_fini(&file->out);
	free(file);
}

static void on_run(void *arg)
{
	struct file_sink *file = arg;
	struct gantry_op *op = file->op;

	file->busy = false;
	file->op = NULL;
	if (op) {
		file->host->op_on_cancel(op, NULL, NULL);
		file->host->op_done(op, file->err.code < 0 ? &file->err : NULL, NULL);
	}
	if (file->closed)
		free_file(file);
}

/* The disk hangs: that goes on where it is, and nobody waits for it. */
static void on_cancel(void *arg)
{
	struct file_sink *file = arg;
	struct gantry_op *op = file->op;
	struct gantry_error err;

	gantry_error_set(&err, -ETIMEDOUT, "%s: it is not written in time", file->settings->to);
	file->op = NULL;
	file->host->op_done(op, &err, NULL);
}

static void add_ndjson(struct text *out, const struct gantry_log_item *item)
{
	const struct gantry_log_origin *origin = item->origin;
	const struct gantry_log_line *line = &item->line;
	bool utf8 = gantry_is_utf8(line->data, line->length);

	text_format(out, "{\"instance\":\"%s\",\"name\":\"", origin->instance);
	text_json(out, origin->name, strlen(origin->name));
	text_str(out, "\",\"project\":\"");
	text_json(out, origin->project, strlen(origin->project));
	text_format(out, "\",\"cursor\":\"%lld.%lld\",\"time\":\"", (long long)line->boot,
		    (long long)line->sequence);
	text_time(out, line->time_ns, 9);
	if (line->stream == 0) {
		text_str(out, "\",\"gap\":{\"why\":\"");
		text_json(out, line->data, line->length);
		text_str(out, "\"");
		if (line->lost >= 0)
			text_format(out, ",\"lines\":%lld", (long long)line->lost);
		text_str(out, "}}\n");
		return;
	}
	text_format(out, "\",\"stream\":\"%s\",\"%s\":\"", stream_name(line),
		    utf8 ? "text" : "data");
	if (utf8)
		text_json(out, line->data, line->length);
	else
		text_base64(out, line->data, line->length);
	text_str(out, "\"");
	if (line->flags & GANTRY_LOG_PARTIAL)
		text_str(out, ",\"partial\":true");
	if (line->flags & GANTRY_LOG_NO_NEWLINE)
		text_str(out, ",\"no_newline\":true");
	if (line->flags & GANTRY_LOG_LOSSY)
		text_str(out, ",\"lossy_source\":true");
	for (size_t i = 0; i < text_tags(line); i++) {
		text_format(out, "%s\"%s\":\"", i ? "," : ",\"tags\":{", line->tags->items[i].name);
		text_json(out, line->tags->items[i].value, strlen(line->tags->items[i].value));
		text_str(out, i + 1 < text_tags(line) ? "\"" : "\"}");
	}
	text_str(out, "}\n");
}

/* TIME PROJECT/NAME STREAM TEXT */
static void add_plain(struct text *out, const struct gantry_log_item *item)
{
	const struct gantry_log_line *line = &item->line;

	text_time(out, line->time_ns, 9);
	text_str(out, " ");
	text_str(out, item->origin->project);
	text_str(out, "/");
	text_str(out, item->origin->name);
	text_format(out, " %s ", stream_name(line));
	if (line->stream == 0)
		text_gap(out, line);
	else
		text_add(out, line->data, line->length);
	text_str(out, "\n");
}

static void send_items(void *sink, const struct gantry_log_item *items, size_t count,
		       struct gantry_op *op)
{
	struct file_sink *file = sink;
	struct gantry_error err;

	if (file->busy) {
		gantry_error_set(&err, -EBUSY, "%s: the write before has not ended yet",
				 file->settings->to);
		file->host->op_done(op, &err, NULL);
		return;
	}
	text_clear(&file->out);
	for (size_t i = 0; i < count; i++)
		(file->plain ? add_plain : add_ndjson)(&file->out, &items[i]);
	file->op = op;
	file->busy = true;
	file->host->op_on_cancel(op, on_cancel, file);
	file->host->work(file->host->core, run, on_run, file);
}

static int open_sink(void *plugin, const char *name, const void *settings,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     void **ret_sink, struct gantry_error *err)
{
	const struct stdout_plugin *stdout_plugin = plugin;
	const struct settings *mine = settings;
	bool plain = strcmp(mine->format, "text") == 0;
	struct file_sink *file;

	(void)name;
	(void)lost; /* what is in the file stays */
	(void)arg;
	if (mine->to[0] != '/')
		return gantry_error_field(err, -EINVAL, "to", "\"%.200s\" must be a path from / on",
					  mine->to);
	if (!plain && strcmp(mine->format, "ndjson") != 0)
		return gantry_error_field(err, -EINVAL, "format",
					  "must be ndjson or text, not \"%.100s\"", mine->format);
	file = take_memory(NULL, sizeof(*file));
	*file = (struct file_sink){
		.host = stdout_plugin->host, .settings = mine, .plain = plain, .fd = -1};
	*ret_sink = file;
	return 0;
}

static void close_sink(void *sink)
{
	struct file_sink *file = sink;

	file->closed = true;
	if (!file->busy)
		free_file(file);
}

#define SETTING(member) offsetof(struct settings, member)
static const struct gantry_option options[] = {
	{"to", GANTRY_OPTION_STRING, NULL, SETTING(to), "path of the file", true, 0, 0},
	{"format", GANTRY_OPTION_STRING, "ndjson", SETTING(format),
	 "ndjson, or text: time, project/name, stream and the line", false, 0, 0},
	{"size", GANTRY_OPTION_SIZE, "100MiB", SETTING(size_bytes),
	 "at this size it is rotated to .1, .2, …", false, 4096, 0},
	{"files", GANTRY_OPTION_INT, "5", SETTING(files),
	 "how many are kept, the one that is written among them", false, 1, 1000},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

const struct gantry_log_kind sink_file = {
	.size = sizeof(sink_file),
	.name = "file",
	.summary = "a file that is rotated",
	.options = options,
	.settings_size = sizeof(struct settings),
	.open = open_sink,
	.send = send_items,
	.close = close_sink,
};
