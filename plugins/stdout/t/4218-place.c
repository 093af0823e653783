/* SPDX-License-Identifier: Apache-2.0 */
/* A place in a log at its live end: what is taken at once, and what is left to the pool; how much is read at a time. */
#include "../../../t/tap.h"

#include "../stdout.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/gantry-t.XXXXXX", path[64];

/* Lines of so many bytes at the end of the file, whose first message is the first ever. */
static void print(size_t count, const char *text)
{
	char data[256];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	for (size_t i = 0; i < count; i++) {
		size_t length = spool_encode(data, "stdout", 1, text, strlen(text), false, true);

		if (fd < 0 || write(fd, data, length) != (ssize_t)length)
			bail_out("%s: %s", path, strerror(errno));
	}
	close(fd);
}

/* Reads to the end; the lines. */
static size_t read_all(struct place *place, struct filter *filter)
{
	enum place_end end = PLACE_MORE;
	struct gantry_error err;
	size_t count = 0;

	while (end == PLACE_MORE) {
		struct batch batch = {0};

		if (place_read(place, filter, &batch, &end, &err) < 0)
			bail_out("%s", err.text);
		count += batch.count;
		batch_fini(&batch);
	}
	return count;
}

/* The text of the one line that is taken at once; "": another number of them, NULL: none. */
static const char *peek(struct place *place, struct filter *filter)
{
	static char text[64];
	struct batch batch = {0};
	bool took = place_peek(place, filter, &batch);

	text[0] = '\0';
	if (batch.count == 1)
		snprintf(text, sizeof(text), "%.*s", (int)batch.lines[0].length,
			 batch.lines[0].data);
	batch_fini(&batch);
	return took ? text : NULL;
}

/* Whether the file system here can read without a wait; else all is the pool's. */
static bool has_reads_now(void)
{
	char byte;
	struct file file;
	bool has;

	print(1, "one");
	if (file_open(path, false, ENTRY_LOCAL, &file) < 0)
		bail_out("%s: %s", path, strerror(errno));
	has = file_read_now(&file, &byte, 1);
	file_close(&file);
	return has;
}

static void at_once(struct log *log)
{
	struct filter filter = {.after = -1};
	struct place place;
	struct batch batch = {0};
	struct gantry_error err;
	const char *text;

	print(1, "two");
	if (place_open(&place, log, &filter, -1, &batch, &err) < 0)
		bail_out("%s", err.text);
	batch_fini(&batch);
	is_int((int64_t)read_all(&place, &filter), 2, "what there is");
	ok(!peek(&place, &filter), "at the end there is nothing to take");
	print(1, "three");
	text = peek(&place, &filter);
	is_str(text ? text : "none", "three", "a line that came since is taken at once");
	is_int(place.lines.sequence, 3, "with its number");
	print(PLACE_PEEK / 32, "a line of many");
	ok(!peek(&place, &filter), "much is left to the pool");
	is_int((int64_t)read_all(&place, &filter), PLACE_PEEK / 32, "which has all of it");
	if (truncate(path, 0) < 0)
		bail_out("%s: %s", path, strerror(errno));
	print(PLACE_PEEK / 16, "of another file");
	ok(!peek(&place, &filter), "so is a file that was cut short");
	place_fini(&place);
}

static void pace(void)
{
	struct place place = {.chunk_bytes = 64 << 10};

	place_pace(&place, 1000, PLACE_CHUNK);
	is_int((int64_t)place.chunk_bytes, 64 << 10, "as much as before, where there was less");
	place.full = true;
	place_pace(&place, 1000, PLACE_CHUNK);
	is_int((int64_t)place.chunk_bytes, 128 << 10, "more, where its lines are soon handed on");
	for (int i = 0; i < 20; i++)
		place_pace(&place, 1000, PLACE_CHUNK);
	is_int((int64_t)place.chunk_bytes, PLACE_CHUNK, "up to a limit");
	for (int i = 0; i < 20; i++)
		place_pace(&place, 1000000000, PLACE_CHUNK);
	ok(place.chunk_bytes >= 4096 && place.chunk_bytes <= 16 << 10,
	   "less, where that takes long, but something");
}

int main(void)
{
	struct log log = {.path = path, .format = ENTRY_LOCAL, .files_max = 1};

	if (!mkdtemp(folder))
		bail_out("%s: %s", folder, strerror(errno));
	snprintf(path, sizeof(path), "%s/log", folder);
	index_init(&log.index, folder);
	runs_init(&log.runs);
	pace();
	if (has_reads_now())
		at_once(&log);
	else
		skip(7, "the file system of /tmp cannot say that it would wait");
	runs_fini(&log.runs);
	index_fini(&log.index);
	index_drop(folder);
	unlink(path);
	rmdir(folder);
	done_testing();
	return tap_end();
}
