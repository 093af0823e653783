/* SPDX-License-Identifier: Apache-2.0 */
/* The files of recordings: which there are, who may read one, and that they have a limit. */
#include "base/str.h"
#include "flows/console/recording.h"
#include "flows/policy/admit.h"
#include "loop/work.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDING ".cast"

char *recordings_folder(const struct daemon *daemon)
{
	const char *store = daemon->settings->store, *slash = strrchr(store, '/');

	return slash ? xasprintf("%.*s/recordings", (int)(slash - store), store)
		     : xasprintf("recordings");
}

char *recording_path(const struct daemon *daemon, const char *id)
{
	size_t length = strlen(id);
	char *folder, *path;

	if (length == 0 || length >= RECORDING_ID_SIZE || strspn(id, "0123456789TZ-") != length)
		return NULL;
	folder = recordings_folder(daemon);
	path = xasprintf("%s/%s" ENDING, folder, id);
	free(folder);
	return path;
}

static int is_recording(const struct dirent *entry)
{
	const char *dot = strchr(entry->d_name, '.');

	return dot && str_equal(dot, ENDING);
}

static int64_t size_of(int folder, const char *name)
{
	struct stat status;

	return fstatat(folder, name, &status, 0) == 0 ? status.st_size : 0;
}

/* --- their limit --------------------------------------------------------------------------------- */

struct clearing {
	struct arena arena;
	char *folder;                 /* owned */
	struct gantry_strings spared; /* in arena; sorted */
	int64_t keep_bytes;
	void (*done)(void *arg);
	void *arg;
};

static int compare_names(const void *one, const void *two)
{
	return strcmp(*(const char *const *)one, *(const char *const *)two);
}

static bool is_spared(const struct clearing *clearing, const char *name)
{
	const struct gantry_strings *spared = &clearing->spared;

	return bsearch(&name, spared->items, spared->count, sizeof(name), compare_names);
}

static void run_clear(void *arg)
{
	const struct clearing *clearing = arg;
	struct dirent **names;
	int count = scandir(clearing->folder, &names, is_recording, alphasort);
	int folder = open(clearing->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t total = 0;

	for (int i = 0; i < count; i++)
		if (!is_spared(clearing, names[i]->d_name))
			total += size_of(folder, names[i]->d_name);
	for (int i = 0; i < count; i++) {
		if (total > clearing->keep_bytes && !is_spared(clearing, names[i]->d_name)) {
			total -= size_of(folder, names[i]->d_name);
			unlinkat(folder, names[i]->d_name, 0);
		}
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (folder >= 0)
		close(folder);
}

static void on_cleared(void *arg)
{
	struct clearing *clearing = arg;

	clearing->done(clearing->arg);
	free(clearing->folder);
	arena_fini(&clearing->arena);
	free(clearing);
}

void recordings_clear(struct daemon *daemon, const struct gantry_strings *spared,
		      int64_t keep_bytes, void (*done)(void *arg), void *arg)
{
	struct clearing *clearing = xcalloc(1, sizeof(*clearing));
	const char **names = ARENA_ARRAY(&clearing->arena, const char *, spared->count + 1);

	for (size_t i = 0; i < spared->count; i++)
		names[i] = arena_printf(&clearing->arena, "%s" ENDING, spared->items[i]);
	qsort(names, spared->count, sizeof(*names), compare_names);
	clearing->folder = recordings_folder(daemon);
	clearing->spared = (struct gantry_strings){names, spared->count};
	clearing->keep_bytes = keep_bytes;
	clearing->done = done;
	clearing->arg = arg;
	loop_work(daemon->loop, run_clear, on_cleared, clearing);
}

/* --- their first lines ---------------------------------------------------------------------------- */

/* What we put into it, borrowed from *ret_header, which is the caller's; NULL: it is none, or not whole. */
static struct json_object *read_head(const char *head, ssize_t length,
				     struct json_object **ret_header)
{
	const char *end = length > 0 ? memchr(head, '\n', (size_t)length) : NULL;

	*ret_header = NULL;
	if (!end || json_parse(head, (size_t)(end - head), ret_header, NULL) < 0)
		return NULL;
	return json_get(*ret_header, "gantry");
}

/* --- who may read one ---------------------------------------------------------------------------- */

int recording_admit(struct daemon *daemon, const struct flows_ask *ask, const char *id,
		    const char *head, size_t length, struct gantry_error *err)
{
	struct json_object *header, *ours = read_head(head, (ssize_t)length, &header);
	struct script_recording recording;
	int code;

	recording = (struct script_recording){
		.id = id,
		.instance = json_get_string(ours, "instance", ""),
		.name = json_get_string(ours, "name", ""),
		.project = json_get_string(ours, "project", "default"),
		.verb = json_get_string(ours, "verb", ""),
		.actor = json_get_string(ours, "actor", ""),
	};
	code = ours ? admit_recording(daemon, ask, &recording, err)
		    : gantry_error_set(err, -EIO, "recording %s: its first line is not whole", id);
	json_object_put(header);
	return code;
}

/* --- all of them --------------------------------------------------------------------------------- */

struct listing {
	char *folder; /* owned */
	struct json_object *list;
	void (*done)(void *arg, struct json_object *list);
	void *arg;
};

static void list_one(struct listing *listing, int folder, const char *name)
{
	char *head = xcalloc(1, RECORDING_HEAD_BYTES + 1);
	struct json_object *header, *ours;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, head, RECORDING_HEAD_BYTES) : -1;

	ours = read_head(head, length, &header);
	if (ours) {
		json_add_int(ours, "bytes", size_of(folder, name));
		json_object_array_add(listing->list, json_object_get(ours));
	}
	json_object_put(header);
	if (fd >= 0)
		close(fd);
	free(head);
}

static void run_list(void *arg)
{
	struct listing *listing = arg;
	struct dirent **names;
	int count = scandir(listing->folder, &names, is_recording, alphasort);
	int folder = open(listing->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < count; i++) {
		list_one(listing, folder, names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (folder >= 0)
		close(folder);
}

static void on_listed(void *arg)
{
	struct listing *listing = arg;

	listing->done(listing->arg, listing->list);
	free(listing->folder);
	free(listing);
}

void recordings_list(struct daemon *daemon, void (*done)(void *arg, struct json_object *list),
		     void *arg)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));

	listing->folder = recordings_folder(daemon);
	listing->list = json_object_new_array();
	listing->done = done;
	listing->arg = arg;
	loop_work(daemon->loop, run_list, on_listed, listing);
}
