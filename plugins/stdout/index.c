/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of a log: the sequence at which each of its files begins, so that counting goes on
 * where it was after a restart of the daemon, also where the first files are gone. A few lines of text in the
 * instance's folder, replaced as a whole; the oldest rows go.
 *
 * Several threads use it, one at a time. One that cannot be written is a warning: numbers hold as long as
 * the daemon lives.
 */
#include "stdout.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TITLE "gantry log index 1\n"

void index_init(struct index *index, const char *folder)
{
	*index = (struct index){.folder = take_memory(NULL, strlen(folder) + 1)};
	strcpy(index->folder, folder);
	pthread_mutex_init(&index->lock, NULL);
}

void index_fini(struct index *index)
{
	pthread_mutex_destroy(&index->lock);
	free(index->folder);
}

static void load(struct index *index)
{
	char path[4096], title[sizeof(TITLE)];
	struct index_row row;
	int is_open;
	FILE *file;

	if (index->loaded)
		return;
	index->loaded = true;
	snprintf(path, sizeof(path), "%s/index", index->folder);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(title, sizeof(title), file) && strcmp(title, TITLE) == 0) {
		while (index->count < INDEX_ROWS &&
		       fscanf(file, "%" SCNx64 " %" SCNd64 " %" SCNd64 " %d\n", &row.mark,
			      &row.sequence, &row.time_ns, &is_open) == 4) {
			row.open = is_open != 0;
			index->rows[index->count++] = row;
		}
	}
	fclose(file);
}

int index_make_folder(const char *folder)
{
	char parent[4096], *slash;

	if (mkdir(folder, 0700) == 0 || errno == EEXIST)
		return 0;
	snprintf(parent, sizeof(parent), "%s", folder);
	slash = strrchr(parent, '/');
	if (errno != ENOENT || !slash)
		return -errno;
	*slash = '\0';
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return -errno;
	return mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int save(const struct index *index)
{
	char path[4096], name[4096 + 8];
	int code = index_make_folder(index->folder);
	FILE *file;

	if (code < 0)
		return code;
	snprintf(path, sizeof(path), "%s/index", index->folder);
	snprintf(name, sizeof(name), "%s.new", path);
	file = fopen(name, "we");
	if (!file)
		return -errno;
	fputs(TITLE, file);
	for (size_t i = 0; i < index->count; i++)
		fprintf(file, "%016" PRIx64 " %" PRId64 " %" PRId64 " %d\n", index->rows[i].mark,
			index->rows[i].sequence, index->rows[i].time_ns, index->rows[i].open);
	if (fclose(file) != 0 || rename(name, path) < 0) {
		code = -errno;
		unlink(name);
	}
	return code;
}

bool index_find(struct index *index, uint64_t mark, struct index_row *ret_row)
{
	bool found = false;

	pthread_mutex_lock(&index->lock);
	load(index);
	for (size_t i = index->count; i > 0 && !found; i--) {
		found = index->rows[i - 1].mark == mark;
		if (found)
			*ret_row = index->rows[i - 1];
	}
	pthread_mutex_unlock(&index->lock);
	return found;
}

int index_put(struct index *index, const struct index_row *row)
{
	size_t at;
	int code;

	pthread_mutex_lock(&index->lock);
	load(index);
	if (index->count == INDEX_ROWS)
		memmove(index->rows, index->rows + 1, --index->count * sizeof(*row));
	for (at = index->count; at > 0 && index->rows[at - 1].sequence > row->sequence; at--)
		index->rows[at] = index->rows[at - 1];
	index->rows[at] = *row;
	index->count++;
	code = index->error = save(index);
	pthread_mutex_unlock(&index->lock);
	return code;
}

void index_drop(const char *folder)
{
	DIR *files = opendir(folder);
	struct dirent *file;

	while (files && (file = readdir(files)))
		unlinkat(dirfd(files), file->d_name, 0);
	if (files)
		closedir(files);
	rmdir(folder);
}

bool index_before(struct index *index, int64_t sequence, struct index_row *ret_row)
{
	bool found = false;

	pthread_mutex_lock(&index->lock);
	load(index);
	for (size_t i = index->count; i > 0 && !found; i--) {
		found = index->rows[i - 1].sequence <= sequence;
		if (found)
			*ret_row = index->rows[i - 1];
	}
	pthread_mutex_unlock(&index->lock);
	return found;
}

int64_t index_above(struct index *index)
{
	int64_t above = 0;

	pthread_mutex_lock(&index->lock);
	load(index);
	if (index->count)
		above = (index->rows[index->count - 1].sequence / INDEX_JUMP + 1) * INDEX_JUMP;
	pthread_mutex_unlock(&index->lock);
	return above;
}

int64_t index_unknown(struct index *index)
{
	int64_t above = index_above(index);

	return above ? above : INDEX_JUMP;
}
