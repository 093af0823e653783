/* SPDX-License-Identifier: Apache-2.0 */
/* A spool that is opened: what a life before has left there, and what cannot be. */
#include "../../../t/tap.h"

#include "../stdout.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/gantry-t.XXXXXX", path[64];

static size_t encode(char *to, const char *text)
{
	return spool_encode(to, "stdout", 1, text, strlen(text), false, true);
}

static void put(const char *name, const char *data, size_t length)
{
	char file[128];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, length) != (ssize_t)length)
		bail_out("%s: %s", file, strerror(errno));
	close(fd);
}

static int64_t size_of(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 ? st.st_size : -1;
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int open_and_close(void)
{
	struct spool spool;
	int code;

	spool_init(&spool, path, 1 << 20, SPOOL_FILES);
	code = spool_open(&spool);
	if (code == 0)
		is_int(spool.size, size_of(path), "its size is the file's");
	spool_fini(&spool);
	return code;
}

static void half_a_message(void)
{
	char data[256];
	size_t whole = encode(data, "one"), half = whole + encode(data + whole, "two") / 2;

	put("output", data, half);
	is_int(open_and_close(), 0, "half a message at the end");
	is_int(size_of(path), (int64_t)whole, "is cut off");
	unlink(path);
}

static void only_older_files(void)
{
	char data[256];

	put("output.1", data, encode(data, "killed amid a rotation"));
	is_int(open_and_close(), 0, "no file that is being written, one before it");
	is_int(size_of(path), 0, "the one that is made is empty");
	unlink(path);
	strcat(path, ".1");
	unlink(path);
	path[strlen(path) - 2] = '\0';
}

/* A file that may not shrink, with half a message at its end. */
static void not_to_be_cut(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING), before;
	char data[256], target[40];
	size_t whole = encode(data, "one");

	if (write(fd, data, whole - 3) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		bail_out("no sealed file: %s", strerror(errno));
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	if (symlink(target, path) < 0)
		bail_out("%s: %s", path, strerror(errno));
	before = open_files();
	is_int(open_and_close(), -EPERM, "a file that cannot be cut is an error");
	is_int(open_files(), before, "which leaves no descriptor behind");
	unlink(path);
	close(fd);
}

int main(void)
{
	if (!mkdtemp(folder))
		bail_out("%s: %s", folder, strerror(errno));
	snprintf(path, sizeof(path), "%s/output", folder);
	half_a_message();
	only_older_files();
	not_to_be_cut();
	rmdir(folder);
	done_testing();
	return tap_end();
}
