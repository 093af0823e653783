/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a log. The engine writes PATH; when that is full it becomes PATH.1, what was PATH.1 becomes
 * PATH.2, and so on up to the last, which goes. Where it compresses, PATH.1 becomes PATH.1.gz a little later.
 *
 * A file is known again by the hash of its first message, which has a time in nanoseconds: names change, and
 * so does the inode when it is compressed. One that is open can be read to its end whatever becomes of it.
 *
 * They are opened from the newest to the oldest, in which direction they also move: so one may be seen
 * twice while that happens, and none is missed.
 */
#include "stdout.h"

#include <gantry/text.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#define FIRST_MOST   ((size_t)256 << 10) /* bytes in which the first message is looked for */
#define DAMAGED_HEAD 32 /* bytes by which a file is known whose first message is damaged */

static const struct file no_file = {.fd = -1};

void file_close(struct file *file)
{
	if (file->gz)
		gzclose_r(file->gz);
	else if (file->fd >= 0)
		close(file->fd);
	*file = no_file;
}

static int open_gz(struct file *file)
{
	file->gz = gzdopen(file->fd, "rb");
	if (!file->gz) {
		close(file->fd);
		file->fd = -1;
		return -ENOMEM;
	}
	return 0;
}

int file_copy(struct file *to, const struct file *from, int64_t offset)
{
	char path[40];
	int code = 0;

	*to = *from;
	if (from->fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", from->fd);
	to->gz = NULL;
	to->offset = offset;
	to->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (to->fd < 0)
		code = -errno;
	else if (from->gz)
		code = open_gz(to);
	if (code == 0 && to->gz && gzseek(to->gz, offset, SEEK_SET) < 0)
		code = -EIO;
	if (code < 0)
		file_close(to);
	return code;
}

bool file_is_at(const struct file *file, const char *path)
{
	struct stat st;

	return file->fd >= 0 && !file->gz && stat(path, &st) == 0 && st.st_ino == file->inode;
}

/* --- reading --- */

static ssize_t read_plain(struct file *file, void *buffer, size_t size)
{
	unsigned char head[sizeof(file->head)];
	ssize_t count;

	count = pread(file->fd, head, sizeof(head), 0);
	if (count < 0)
		return -errno;
	if ((size_t)count < file->head_length || memcmp(head, file->head, file->head_length) != 0)
		return -ESTALE;
	memcpy(file->head, head, (size_t)count);
	file->head_length = (size_t)count;
	count = pread(file->fd, buffer, size, file->offset);
	return count < 0 ? -errno : count;
}

/* -EIO: it is damaged, breaks off, or is no compressed file: zlib would hand on what is in that. */
static ssize_t read_packed(struct file *file, void *buffer, size_t size)
{
	ssize_t count = gzread(file->gz, buffer, (unsigned)size);
	int error = Z_OK;

	if (count == 0)
		gzerror(file->gz, &error);
	return count < 0 || error != Z_OK || gzdirect(file->gz) ? -EIO : count;
}

ssize_t file_read(struct file *file, void *buffer, size_t size)
{
	ssize_t count = file->gz ? read_packed(file, buffer, size) : read_plain(file, buffer, size);

	if (count > 0)
		file->offset += count;
	return count;
}

/* The system may block elsewhere (a disk, a file system without such reads): then it says so. */
static ssize_t read_at_now(const struct file *file, void *buffer, size_t size, int64_t offset)
{
	struct iovec to = {.iov_base = buffer, .iov_len = size};

	return preadv2(file->fd, &to, 1, offset, RWF_NOWAIT);
}

size_t file_peek(const struct file *file)
{
	unsigned char head[sizeof(file->head)];
	struct stat st;

	if (file->fd < 0 || file->gz || file->head_length < sizeof(head) ||
	    fstat(file->fd, &st) < 0 || st.st_size <= file->offset ||
	    read_at_now(file, head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head, file->head, sizeof(head)) != 0)
		return 0;
	return (size_t)(st.st_size - file->offset);
}

bool file_read_now(struct file *file, void *buffer, size_t size)
{
	if (read_at_now(file, buffer, size, file->offset) != (ssize_t)size)
		return false;
	file->offset += (int64_t)size;
	return true;
}

/* --- which file it is --- */

/* Never 0. */
static uint64_t hash(const char *data, size_t length)
{
	uint64_t value = gantry_hash(GANTRY_HASH_SEED, data, length);

	return value ? value : 1;
}

static ssize_t read_start(struct file *file, void *buffer, size_t size)
{
	ssize_t count;

	if (!file->gz)
		return pread(file->fd, buffer, size, 0);
	if (gzrewind(file->gz) < 0)
		return -1;
	count = read_packed(file, buffer, size);
	return gzseek(file->gz, file->offset, SEEK_SET) < 0 ? -1 : count;
}

void file_look(struct file *file, enum entry_format format)
{
	char *data = NULL;
	struct entry entry;

	if (file->fd < 0 || file->mark)
		return;
	for (size_t size = 4096; size <= FIRST_MOST; size *= 8) {
		ssize_t count;
		enum entry_result result;

		data = take_memory(data, size);
		count = read_start(file, data, size);
		if (count <= 0)
			break;
		result = entry_next(format, data, (size_t)count, &entry);
		if (result == ENTRY_OK)
			file->time_ns = entry_time_ns(&entry);
		file->gap = result == ENTRY_OK && entry.stream == 0;
		if (result == ENTRY_OK || (result == ENTRY_DAMAGED && count >= DAMAGED_HEAD))
			file->mark = hash(data, result == ENTRY_OK ? entry.used : DAMAGED_HEAD);
		if (file->mark || (size_t)count < size)
			break;
	}
	free(data);
}

/* --- all of them --- */

int file_open(const char *path, bool compressed, enum entry_format format, struct file *file)
{
	struct stat st;

	*file = no_file;
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0)
		return -errno;
	if (fstat(file->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		file_close(file);
		return -EINVAL;
	}
	file->inode = st.st_ino;
	if (compressed && open_gz(file) < 0)
		return -ENOMEM;
	file_look(file, format);
	return 0;
}

/*
 * The plain one is there until the compressed one is whole: where it has come meanwhile, they have moved, and
 * what was opened may be the half of its compressed one.
 */
static int open_number(const char *path, int64_t number, enum entry_format format,
		       struct file *file)
{
	char name[4096], compressed[4096 + 8];
	struct file plain;
	int code;

	if (number == 0)
		return file_open(path, false, format, file);
	snprintf(name, sizeof(name), "%s.%lld", path, (long long)number);
	code = file_open(name, false, format, file);
	if (code != -ENOENT)
		return code;
	snprintf(compressed, sizeof(compressed), "%s.gz", name);
	code = file_open(compressed, true, format, file);
	if (code == 0 && file_open(name, false, format, &plain) == 0) {
		file_close(file);
		*file = plain;
	} else if (code == 0) {
		file_look(file, format);
	}
	return code;
}

int files_find(const struct files *files, const struct file *file)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct file *other = &files->items[i];

		if (file->mark ? other->mark == file->mark : other->inode == file->inode)
			return (int)i;
	}
	return -1;
}

static bool folder_is_there(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];
	struct stat st;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	return stat(folder, &st) == 0;
}

int files_open(const char *path, int64_t files_max, enum entry_format format,
	       struct files *ret_files)
{
	*ret_files = (struct files){0};
	/* one more, as they may move while we look */
	for (int64_t number = 0, missing = 0; number <= files_max && missing < 2; number++) {
		struct file file;
		int code = open_number(path, number, format, &file);

		if (code == -ENOENT) {
			missing++;
			continue;
		}
		if (code < 0) {
			files_close(ret_files);
			return code;
		}
		if (files_find(ret_files, &file) >= 0) {
			file_close(&file);
			continue;
		}
		ret_files->items =
			take_memory(ret_files->items, (ret_files->count + 1) * sizeof(struct file));
		memmove(ret_files->items + 1, ret_files->items,
			ret_files->count++ * sizeof(struct file));
		ret_files->items[0] = file;
	}
	return ret_files->count == 0 && !folder_is_there(path) ? -ENOENT : 0;
}

void files_close(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		file_close(&files->items[i]);
	free(files->items);
	*files = (struct files){0};
}

int files_rotate(const char *path, int64_t files_max)
{
	size_t size = strlen(path) + 24;
	char *from = take_memory(NULL, size), *to = take_memory(NULL, size);
	bool is_there = access(path, F_OK) == 0;
	int code = 0;

	for (int64_t number = files_max - 1; is_there && code == 0 && number > 0; number--) {
		snprintf(to, size, "%s.%lld", path, (long long)number);
		snprintf(from, size, number > 1 ? "%s.%lld" : "%s", path, (long long)number - 1);
		if (rename(from, to) < 0 && errno != ENOENT)
			code = -errno;
	}
	if (code == 0 && files_max <= 1 && unlink(path) < 0 && errno != ENOENT)
		code = -errno;
	free(from);
	free(to);
	return code;
}
