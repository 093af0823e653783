/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of our own, in the instance's folder, for a log whose files are not on this host: in the form of the
 * driver local and rotated as that does, so that all of the reader works on them. Where the engine had dropped
 * messages before we had them a new file is begun, with a mark of the gap as its first message.
 *
 * All here runs on the work pool, one call at a time. What could not be written is taken back: the
 * messages are the engine's still, and are asked for again.
 */
#include "stdout.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void spool_init(struct spool *spool, const char *path, int64_t file_bytes, int64_t files_max)
{
	*spool = (struct spool){
		.path = strcpy(take_memory(NULL, strlen(path) + 1), path),
		.fd = -1,
		.file_bytes = file_bytes,
		.files_max = files_max,
	};
}

char *spool_path(const char *folder)
{
	char *path = take_memory(NULL, strlen(folder) + sizeof("/output"));

	return strcat(strcpy(path, folder), "/output");
}

void spool_fini(struct spool *spool)
{
	if (spool->fd >= 0)
		close(spool->fd);
	free(spool->path);
}

/* --- messages ------------------------------------------------------------------------------------ */

void spool_count(struct spool_seen *seen, int stream, int64_t time_ns, bool ends)
{
	struct spool_seen *at = &seen[stream - 1];

	if (time_ns == at->time_ns)
		at->count++;
	else if (time_ns > at->time_ns)
		*at = (struct spool_seen){.time_ns = time_ns, .count = 1};
	at->open = !ends;
}

static size_t put_varint(char *to, uint64_t value)
{
	size_t length = 0;

	for (; value > 127; value >>= 7)
		to[length++] = (char)(value | 128);
	to[length++] = (char)value;
	return length;
}

static size_t put_text(char *to, int field, const char *data, size_t length)
{
	size_t used = put_varint(to, (uint64_t)(field << 3 | 2));

	used += put_varint(to + used, length);
	memcpy(to + used, data, length);
	return used + length;
}

/* See local.c for the form. */
size_t spool_encode(char *to, const char *source, int64_t time_ns, const char *data, size_t length,
		    bool goes_on, bool newline)
{
	const char part[] = {8, newline, 24, goes_on ? 2 : 1}; /* last, ordinal */
	size_t used = 4;
	uint32_t size;

	used += put_text(to + used, 1, source, strlen(source));
	to[used++] = 2 << 3;
	used += put_varint(to + used, (uint64_t)time_ns);
	used += put_text(to + used, 3, data, length);
	if (goes_on || !newline) {
		to[used++] = 4 << 3;
		to[used++] = 1;
		used += put_text(to + used, 5, part, sizeof(part));
	}
	size = htobe32((uint32_t)(used - 4));
	memcpy(to, &size, sizeof(size));
	memcpy(to + used, &size, sizeof(size));
	return used + sizeof(size);
}

/* --- what is there ------------------------------------------------------------------------------- */

/* Where the last whole message of a file ends. */
static int64_t scan(struct file *file, struct spool_seen *seen)
{
	char *data = take_memory(NULL, PLACE_CHUNK);
	size_t had = 0;
	int64_t whole = 0;
	ssize_t count;

	while ((count = file_read(file, data + had, PLACE_CHUNK - had)) > 0) {
		size_t length = had + (size_t)count, used = 0;
		struct entry entry;
		enum entry_result result;

		while ((result = entry_next(ENTRY_LOCAL, data + used, length - used, &entry)) !=
		       ENTRY_MORE) {
			used += entry.used;
			if (result == ENTRY_OK && entry.stream)
				spool_count(seen, entry.stream, entry.time_ns, entry.ends);
		}
		whole += (int64_t)used;
		had = length - used;
		memmove(data, data + used, had);
	}
	free(data);
	return whole;
}

int spool_open(struct spool *spool)
{
	struct files files;
	char *slash = strrchr(spool->path, '/');
	int64_t whole = 0;
	int fd, code;

	*slash = '\0';
	code = index_make_folder(spool->path);
	*slash = '/';
	if (code == 0)
		code = files_open(spool->path, spool->files_max, ENTRY_LOCAL, &files);
	if (code < 0)
		return code;
	memset(spool->seen, 0, sizeof(spool->seen));
	for (size_t i = 0; i < files.count; i++) {
		whole = scan(&files.items[i], spool->seen);
		if (!file_is_at(&files.items[i], spool->path)) /* it was to be begun anew */
			whole = 0;
	}
	files_close(&files);
	fd = open(spool->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, whole) < 0) { /* half a message of a life before */
		code = -errno;
		close(fd);
		return code;
	}
	spool->fd = fd;
	spool->size = whole;
	return 0;
}

/* --- writing ------------------------------------------------------------------------------------- */

static int rotate(struct spool *spool)
{
	int fd, code = files_rotate(spool->path, spool->files_max);

	if (code < 0)
		return code;
	fd = open(spool->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(spool->fd);
	spool->fd = fd;
	spool->size = 0;
	return 0;
}

static int write_all(struct spool *spool, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t count = write(spool->fd, data, length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : -EIO;
		data += count;
		length -= (size_t)count;
		spool->size += count;
	}
	return 0;
}

int spool_write(struct spool *spool, const char *data, size_t length, int64_t gap_ns)
{
	char mark[64];
	int64_t before;
	int code = 0;

	if (spool->size > 0 && (gap_ns || spool->size >= spool->file_bytes))
		code = rotate(spool);
	before = spool->size;
	if (code == 0 && gap_ns)
		code = write_all(spool, mark,
				 spool_encode(mark, SPOOL_GAP, gap_ns, "", 0, false, true));
	if (code == 0)
		code = write_all(spool, data, length);
	if (code < 0 && ftruncate(spool->fd, before) == 0)
		spool->size = before;
	return code;
}
