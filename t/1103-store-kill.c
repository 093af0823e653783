/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer killed with SIGKILL: all that was told as committed is there after, and what is there is a
 * prefix of what was committed. The same for a WAL that was cut at any length, or damaged.
 */
#include "storage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FRAME_BYTES  (4096 + 24) /* of a WAL; its header has 32 */
#define HEADER_BYTES 32

/* --- the child: commits event after event, and tells each on the pipe once it was told --- */

struct writer {
	struct storage *s;
	int64_t next, told, last;
	size_t at_once;
	int pipe;
};

static void commit_next(struct writer *writer);

static void on_committed(void *arg, const struct gantry_error *err)
{
	struct writer *writer = arg;

	writer->told++;
	if (err || write(writer->pipe, &writer->told, sizeof(writer->told)) != sizeof(writer->told))
		_exit(3);
	commit_next(writer);
}

static void commit_next(struct writer *writer)
{
	struct store_batch *batch = store_batch_new(writer->s->store);
	int64_t sequence = writer->next++;
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)sequence);
	store_put_event(batch, sequence, sequence, sequence % 2 ? "odd" : "even", text);
	store_put_fact(batch, "last", text);
	store_batch_commit(batch, on_committed, writer);
}

static void child(const char *name, int64_t first, size_t at_once, int pipe)
{
	struct writer writer = {.next = first, .told = first - 1, .at_once = at_once, .pipe = pipe};

	writer.s = storage_open(name);
	for (size_t i = 0; i < at_once; i++)
		commit_next(&writer);
	loop_run(&writer.s->loop);
	_exit(4); /* it never ends by itself */
}

/* Lets a child write until it told of at least count, kills it; what it told last. */
static int64_t write_and_kill(const char *name, int64_t first, size_t at_once, int64_t count)
{
	int64_t told = first - 1, number;
	int ends[2], status;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) < 0 || (pid = fork()) < 0)
		bail_out("no child");
	if (pid == 0) {
		close(ends[0]);
		child(name, first, at_once, ends[1]);
	}
	close(ends[1]);
	while (told < first - 1 + count && read(ends[0], &number, sizeof(number)) == sizeof(number))
		told = number;
	kill(pid, SIGKILL);
	while (read(ends[0], &number, sizeof(number)) == sizeof(number))
		told = number;
	close(ends[0]);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		bail_out("the child ended by itself: %d", status);
	return told;
}

/* --- what is there --- */

/* The highest sequence where the file holds a prefix: 1 to it, and the fact of the same batch; else -1. */
static int64_t prefix_of(struct storage *s)
{
	int64_t last = store_last_event(s->store), fact;
	char *text = store_load_fact(s->store, "last");
	struct rows rows = {0};
	bool whole;

	fact = text ? strtoll(text, NULL, 10) : 0;
	free(text);
	store_read_events(s->store, 0, NULL, 100000, rows_keep, &rows);
	loop_run(&s->loop);
	whole = rows.code == 0 && (int64_t)rows.count == last && fact == last;
	for (size_t i = 0; whole && i < rows.count; i++)
		whole = strtoll(rows.items[i], NULL, 10) == (int64_t)i + 1;
	rows_fini(&rows);
	return whole ? last : -1;
}

static void kills(void)
{
	static const size_t at_once[] = {1, 1, 4, 50, 300};
	int64_t first = 1;

	for (size_t round = 0; round < sizeof(at_once) / sizeof(at_once[0]); round++) {
		int64_t told = write_and_kill("kill", first, at_once[round],
					      20 + 37 * (int64_t)round),
			is;
		struct storage *s = storage_open("kill");

		is = prefix_of(s);
		ok(is >= told, "%zu at a time: %lld told, %lld there", at_once[round],
		   (long long)told, (long long)is);
		ok(is <= told + (int64_t)at_once[round], "and no more than was asked for");
		first = is + 1;
		storage_close(s);
	}
}

/* --- the WAL --- */

static char *read_file(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY);
	struct stat status;
	char *data;

	if (fd < 0 || fstat(fd, &status) < 0)
		bail_out("%s cannot be read", path);
	*ret_size = (size_t)status.st_size;
	data = xmalloc(*ret_size);
	if (read(fd, data, *ret_size) != (ssize_t)*ret_size)
		bail_out("%s cannot be read", path);
	close(fd);
	return data;
}

static void write_file(const char *path, const char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		bail_out("%s cannot be written", path);
	close(fd);
}

struct files {
	char *base, *wal;
	size_t base_size, wal_size;
};

/* Puts the files back with the WAL as given, opens, and tells the prefix; -1 where there is none. */
static int64_t opened(const struct files *files, const char *wal, size_t wal_size)
{
	struct storage *s;
	int64_t is = -1;
	char path[128], beside[160];

	storage_path(path, sizeof(path), "cut");
	write_file(path, files->base, files->base_size);
	snprintf(beside, sizeof(beside), "%s-shm", path);
	unlink(beside);
	snprintf(beside, sizeof(beside), "%s-wal", path);
	write_file(beside, wal, wal_size);
	s = storage_try("cut");
	if (s->store)
		is = prefix_of(s);
	else
		diag("%s", s->err.text);
	storage_close(s);
	return is;
}

static void cuts(void)
{
	size_t step = getenv("VG") && *getenv("VG") ? 60013 : 8017, tried = 0, bad = 0, back = 0;
	int64_t told = write_and_kill("wal", 1, 1, 40), is, last = 0, whole;
	struct files files;
	char path[128], beside[160], *damaged;

	storage_path(path, sizeof(path), "wal");
	snprintf(beside, sizeof(beside), "%s-wal", path);
	files.base = read_file(path, &files.base_size);
	files.wal = read_file(beside, &files.wal_size);
	whole = opened(&files, files.wal, files.wal_size);
	ok(whole >= told && told >= 40, "an uncut WAL of %zu bytes: %lld told, %lld there",
	   files.wal_size, (long long)told, (long long)whole);
	for (size_t length = 0; length < files.wal_size; length += step) {
		size_t frame = length < HEADER_BYTES ? 0 : (length - HEADER_BYTES) / FRAME_BYTES;
		size_t near[] = {length, HEADER_BYTES + frame * FRAME_BYTES,
				 HEADER_BYTES + frame * FRAME_BYTES + 1,
				 HEADER_BYTES + (frame + 1) * FRAME_BYTES - 1};

		for (size_t i = 0; i < 4; i++) {
			if (near[i] > files.wal_size)
				continue;
			is = opened(&files, files.wal, near[i]);
			tried++;
			bad += is < 0 || is > whole;
			if (i == 0) {
				back += is < last;
				last = is;
			}
		}
	}
	is_int(bad, 0, "%zu lengths: each opens with a prefix of what was committed", tried);
	is_int(back, 0, "a longer WAL never holds less");
	ok(last > 0, "the longest cut still holds %lld", (long long)last);

	damaged = xmalloc(files.wal_size);
	tried = bad = 0;
	for (size_t at = 5; at < files.wal_size; at += files.wal_size / 23) {
		memcpy(damaged, files.wal, files.wal_size);
		damaged[at] = (char)(damaged[at] ^ 0x40);
		is = opened(&files, damaged, files.wal_size);
		tried++;
		bad += is < 0 || is > whole;
	}
	is_int(bad, 0, "%zu flipped bits: each opens with a prefix", tried);
	free(damaged);
	free(files.base);
	free(files.wal);
}

int main(void)
{
	storage_init();
	kills();
	cuts();
	storage_fini();
	done_testing();
	return tap_end();
}
