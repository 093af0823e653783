/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a log whose instance goes, before the engine forgets it: its files, the newest first, up to
 * kept_bytes, in the instance's folder where a spool would be. So cursors stay what they were.
 *
 *	files of the engine   linked, which costs nothing; copied where they are on another disk. The first one that
 *	                      does not fit whole is cut: its last part stays
 *	a spool               is there already; the engine is asked once more for what came since
 *
 * What is left out of the oldest is a gap to a reader: counted where somebody had read the log, else the index is
 * told that the first file begins behind lines that nobody has counted.
 */
#include "stdout.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOSSY_SPOOL "lossy" /* a driver's name to us: a spool of json-file */

bool kept_is_lossy_spool(const char *driver)
{
	return strcmp(driver, LOSSY_SPOOL) == 0;
}

/* A log that is being kept. */
struct keeping {
	const struct gantry_host *host; /* borrowed */
	struct stdout_plugin *plugin;   /* borrowed */
	struct session *session;        /* held */
	struct log *log;                /* borrowed of it */
	struct gantry_op *op;
	char *path; /* owned */
	bool is_spool, lossy, whole, asked;
	int64_t most_bytes, files_max, bytes;
	uint64_t cut; /* the file of which only the end was taken, by its mark; 0: none */
	int code;
	struct gantry_log_source
		source; /* of a spool: for its last read, with strings of its own */
	struct gantry_log_upstream upstream;
	void *reader; /* owned: that read */
};

/* --- on the pool --------------------------------------------------------------------------------- */

static void name_of(const struct keeping *keeping, int64_t number, bool compressed, char *to,
		    size_t size)
{
	if (number == 0)
		snprintf(to, size, "%s", keeping->path);
	else
		snprintf(to, size, "%s.%lld%s", keeping->path, (long long)number,
			 compressed ? ".gz" : "");
}

static void clear(const struct keeping *keeping)
{
	char name[4096];

	for (int64_t number = 0; number < keeping->files_max + 2; number++) {
		name_of(keeping, number, false, name, sizeof(name));
		unlink(name);
		name_of(keeping, number, true, name, sizeof(name));
		unlink(name);
	}
}

static int copy_bytes(int from, int64_t offset, int to)
{
	char *data = take_memory(NULL, PLACE_CHUNK);
	ssize_t count;
	int code = 0;

	while (code == 0 && (count = pread(from, data, PLACE_CHUNK, offset)) != 0) {
		offset += count > 0 ? count : 0;
		for (ssize_t at = 0, done; code == 0 && at < count; at += done) {
			done = write(to, data + at, (size_t)(count - at));
			if (done < 0)
				code = -errno;
		}
		if (count < 0)
			code = -errno;
	}
	free(data);
	return code;
}

static int copy_file(const struct file *file, int64_t offset, const char *name)
{
	char part[4096 + 8];
	int fd, code;

	snprintf(part, sizeof(part), "%s.new", name);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	code = copy_bytes(file->fd, offset, fd);
	if (close(fd) < 0 && code == 0)
		code = -errno;
	if (code == 0 && rename(part, name) < 0)
		code = -errno;
	if (code < 0)
		unlink(part);
	return code;
}

static int take_file(const struct file *file, const char *name)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	if (linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return copy_file(file, 0, name);
}

/* The last part of a file, of at most so many bytes, from a message on. The line that it begins with has the number
 * that it had. */
static int take_end(struct keeping *keeping, struct file *file, int64_t bytes, const char *name)
{
	struct log *log = keeping->log;
	struct place place = {.log = log, .file = *file};
	struct filter filter = {.after = -1, .count_only = true};
	struct index_row row = {0};
	struct batch batch = {0};
	struct stat st;
	ssize_t count = 1;
	int64_t at = 0;
	struct file kept;
	bool known = index_find(&log->index, file->mark, &row);
	int code;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	place.lines.sequence = row.sequence;
	place.lines.time_ns = row.time_ns;
	while (count > 0 && st.st_size - at > bytes) {
		count = place_skip(&place, &filter, &batch);
		batch_clear(&batch);
		at = place.file.offset - (int64_t)place.rest_length;
	}
	if (at > 0)
		keeping->cut = file->mark;
	code = copy_file(file, at, name);
	if (code == 0 && at > 0 && (code = file_open(name, false, log->format, &kept)) == 0) {
		row = (struct index_row){
			.mark = kept.mark,
			.sequence = known ? place.lines.sequence : index_unknown(&log->index),
			.time_ns = kept.time_ns,
			.open = lines_open(&place.lines),
		};
		if (kept.mark)
			code = index_put(&log->index, &row);
		file_close(&kept);
	}
	batch_fini(&batch);
	place.file.fd = -1;
	place_fini(&place);
	return code;
}

/* Older ones than this were left out, and nobody has counted them. */
static int mark_oldest(struct log *log, const struct file *oldest)
{
	struct index_row row = {.mark = oldest->mark, .time_ns = oldest->time_ns};

	if (!oldest->mark || index_find(&log->index, oldest->mark, &row))
		return 0;
	row.sequence = index_unknown(&log->index);
	return index_put(&log->index, &row);
}

static int take_files(struct keeping *keeping, const struct files *files)
{
	struct log *log = keeping->log;
	int64_t left = keeping->most_bytes, number = 0;
	bool full = false;
	char name[4096];
	struct stat st;
	int code = 0;

	for (size_t i = files->count; code == 0 && i > 0 && !full; i--) {
		struct file *file = &files->items[i - 1];

		if (fstat(file->fd, &st) < 0)
			return -errno;
		full = st.st_size > left;
		if (number == 0 && file->gz)
			number = 1; /* what is compressed has a number */
		name_of(keeping, number, file->gz != NULL, name, sizeof(name));
		if (!full)
			code = take_file(file, name);
		else if (!file->gz)
			code = take_end(keeping, file, left, name);
		else if (i < files->count)
			code = mark_oldest(log, &files->items[i]);
		left -= full ? 0 : st.st_size;
		number++;
		if (!full && i > 1 && left == 0) {
			code = mark_oldest(log, file);
			full = true;
		}
	}
	keeping->files_max = number > 1 ? number : 1;
	return code;
}

static int64_t size_up(const struct keeping *keeping)
{
	char name[4096];
	int64_t bytes = 0;
	struct stat st;

	for (int64_t number = 0; number <= keeping->files_max; number++) {
		name_of(keeping, number, false, name, sizeof(name));
		if (stat(name, &st) == 0)
			bytes += st.st_size;
		name_of(keeping, number, true, name, sizeof(name));
		if (stat(name, &st) == 0)
			bytes += st.st_size;
	}
	return bytes;
}

static void run_keep(void *arg)
{
	struct keeping *keeping = arg;
	struct log *log = keeping->log;
	struct files files;

	keeping->code = 0;
	if (!keeping->is_spool) {
		keeping->cut = 0;
		keeping->files_max = log->files_max;
		keeping->code = index_make_folder(log->index.folder);
		clear(keeping);
		if (keeping->code == 0)
			keeping->code = files_open(log->path, log->files_max, log->format, &files);
		if (keeping->code == 0) {
			keeping->code = take_files(keeping, &files);
			files_close(&files);
		}
		if (keeping->code < 0)
			clear(keeping);
	}
	keeping->bytes = size_up(keeping);
}

/* --- the loop's ---------------------------------------------------------------------------------- */

static void on_kept(void *arg);

static void finish(struct keeping *keeping)
{
	const struct gantry_host *host = keeping->host;
	struct gantry_log_kept *kept = host->op_alloc(keeping->op, sizeof(*kept));
	char *path = host->op_alloc(keeping->op, strlen(keeping->path) + 1);
	struct gantry_error err;

	*kept = (struct gantry_log_kept){
		.driver = !keeping->is_spool && keeping->log->format == ENTRY_JSON_FILE
				  ? "json-file"
			  : keeping->lossy ? LOSSY_SPOOL
					   : "local",
		.path = strcpy(path, keeping->path),
		.files_max = keeping->files_max,
		.bytes = keeping->bytes,
		.whole = keeping->whole && keeping->code == 0,
	};
	if (keeping->code < 0)
		gantry_error_set(&err, keeping->code, "stdout: %s: %s", keeping->path,
				 strerror(-keeping->code));
	if (keeping->code == 0)
		log_move(keeping->log, true, keeping->cut); /* who is behind goes on there */
	host->op_on_cancel(keeping->op, NULL, NULL);
	host->op_done(keeping->op, keeping->code < 0 ? &err : NULL, kept);
	session_release(keeping->session);
	free((char *)keeping->source.instance);
	free((char *)keeping->source.folder);
	free((char *)keeping->source.driver);
	free(keeping->path);
	free(keeping);
}

static void work(struct keeping *keeping)
{
	keeping->host->work(keeping->host->core, run_keep, on_kept, keeping);
}

static bool on_lines(void *arg, const struct gantry_log_line *lines, size_t count)
{
	(void)arg, (void)lines, (void)count;
	return true;
}

static void on_end(void *arg, const struct gantry_error *err)
{
	struct keeping *keeping = arg;

	keeping->reader = NULL;
	keeping->whole = !err;
	work(keeping); /* it has grown */
}

static void on_cancel(void *arg)
{
	struct keeping *keeping = arg;

	if (!keeping->reader)
		return; /* the disk's time is short */
	session_close(keeping->reader);
	on_end(keeping, &(struct gantry_error){.code = -ECANCELED});
}

/* Where somebody has read it, and knows cursors, the rest of it is wanted as well. */
static void on_kept(void *arg)
{
	static const struct gantry_log_query nothing = {.tail = -1, .after = INT64_MAX};
	struct keeping *keeping = arg;

	if (!keeping->is_spool || keeping->asked || keeping->bytes == 0) {
		finish(keeping);
		return;
	}
	keeping->asked = true;
	keeping->reader = session_read(
		keeping->plugin, &keeping->source, &nothing,
		&(struct gantry_log_sink){.arg = keeping, .lines = on_lines, .end = on_end});
	keeping->host->op_on_cancel(keeping->op, on_cancel, keeping);
}

void kept_keep(void *arg, const struct gantry_log_source *source, struct gantry_op *op)
{
	struct stdout_plugin *plugin = arg;
	struct keeping *keeping = take_memory(NULL, sizeof(*keeping));

	*keeping = (struct keeping){
		.host = plugin->host,
		.plugin = plugin,
		.session = session_hold(plugin, source),
		.op = op,
		.path = spool_path(source->folder),
		.is_spool = !source->path,
		.lossy = strcmp(source->driver, "json-file") == 0,
		.whole = source->path != NULL,
		.most_bytes = plugin->settings->kept_bytes,
		.files_max = SPOOL_FILES,
		.source = {.instance = take_copy(source->instance, strlen(source->instance)),
			   .folder = take_copy(source->folder, strlen(source->folder)),
			   .driver = take_copy(source->driver, strlen(source->driver))},
	};
	keeping->log = session_log(keeping->session);
	if (source->upstream)
		keeping->upstream = *source->upstream;
	keeping->source.upstream = &keeping->upstream;
	work(keeping);
}
