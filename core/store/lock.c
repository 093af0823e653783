/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATH.lock: held while the store is open, and what must be known of it when the database could not be
 * written. One record of fixed length, so that it is overwritten in place, which needs no room on a
 * disk that is full:
 *
 *	the process that holds it
 *	the highest number of an event that could not be committed: people may have seen it
 *	the boot of the machine in which the store was opened; dashes: it was closed in order
 *
 * After a power loss the last commits may be gone, though they were told (synchronous=NORMAL): a store
 * that was not closed, of another boot, takes its numbers up far beyond any that it can have given.
 */
#include "store/internal.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
#define CLOSED    "------------------------------------"
#define SKIP      1000000 /* more events than are ever in the WAL */

struct record {
	char holder[20], newline1;
	char lost[20], newline2;
	char boot[36], newline3;
};

static void read_boot(char boot[36])
{
	int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, boot, 36) != 36)
		memcpy(boot, CLOSED, 36); /* not known: no skip */
	if (fd >= 0)
		close(fd);
}

/* A number that ends with its field. */
static int64_t number_of(const char *field, size_t length)
{
	char text[24] = "";

	memcpy(text, field, length);
	return strtoll(text, NULL, 10);
}

/* What the last one left. An older gantryd wrote its process only. */
static void take_over(struct store *store, const struct record *record, const char boot[36])
{
	store->lost_sequence = number_of(record->lost, sizeof(record->lost));
	if (record->boot[0] && memcmp(record->boot, CLOSED, 36) != 0 &&
	    memcmp(record->boot, boot, 36) != 0)
		store->sequence_skip = SKIP;
}

static int write_record(struct store *store, size_t offset, const void *data, size_t length)
{
	return pwrite(store->lock_fd, data, length, (off_t)offset) == (ssize_t)length ? 0 : -errno;
}

int store_lock(struct store *store, struct gantry_error *err)
{
	char *path = xasprintf("%s.lock", store->path), text[80];
	struct record record = {0};
	int code = 0;

	store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_fd < 0)
		code = gantry_error_set(
			err, -errno,
			"store %s: %s cannot be made (%s); its folder must be there and be "
			"writable for gantryd",
			store->path, path, strerror(errno));
	free(path);
	if (code < 0)
		return code;
	code = flock(store->lock_fd, LOCK_EX | LOCK_NB);
	if (pread(store->lock_fd, &record, sizeof(record), 0) < 0)
		record = (struct record){0};
	if (code < 0) {
		int64_t holder = number_of(record.holder, sizeof(record.holder));

		snprintf(text, sizeof(text), " (process %lld)", (long long)holder);
		return gantry_error_set(
			err, -EBUSY,
			"store %s: another gantryd%s uses it; stop that one, or give this one a "
			"store of its own",
			store->path, holder ? text : "");
	}
	read_boot(store->boot);
	take_over(store, &record, store->boot);
	snprintf(text, sizeof(text), "%-20ld\n%020lld\n%.36s\n", (long)getpid(),
		 (long long)store->lost_sequence, store->boot);
	write_record(store, 0, text, sizeof(record)); /* a help only: the lock is held */
	return 0;
}

int store_lock_note_lost(struct store *store, int64_t sequence)
{
	char text[21];
	int code;

	if (sequence <= store->lost_sequence)
		return 0;
	snprintf(text, sizeof(text), "%020lld", (long long)sequence);
	code = write_record(store, offsetof(struct record, lost), text, 20);
	if (code == 0 && fdatasync(store->lock_fd) < 0)
		code = -errno;
	if (code == 0)
		store->lost_sequence = sequence;
	return code;
}

void store_unlock(struct store *store, bool in_order)
{
	if (store->lock_fd < 0)
		return;
	if (in_order)
		write_record(store, offsetof(struct record, boot), CLOSED, 36);
	close(store->lock_fd);
	store->lock_fd = -1;
}
