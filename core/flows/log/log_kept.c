/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/log/log_kept.h"
#include "flows/log/logs.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sorted.h"
#include "base/str.h"
#include "flows/engine/takeover.h"
#include "loop/work.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACT       "kept_log "
#define READ_MS    10000   /* one that is being read is looked at again */
#define LOOK_MS    3600000 /* the clock may be set meanwhile */
#define KEPT_MAX   10000   /* each costs memory, also where its log is short */
#define WHY_UNREAD "none of it was on this host when the instance was removed"
#define WHY_END    "the engine could not be asked for the last lines before the instance was removed"

/* --- the list ------------------------------------------------------------------------------------ */

struct kept_logs {
	struct list all;         /* owned, the oldest first */
	struct kept_log **by_id; /* owned, sorted by id; what it points to is in all */
	size_t known, capacity;  /* of by_id */
	int64_t count, bytes;    /* of those whose instance is gone */
};

static int by_id(const void *id, const void *item)
{
	return strcmp(id, (*(struct kept_log *const *)item)->id);
}

static size_t place_of(const struct kept_logs *logs, const char *id)
{
	return sorted_place(id, logs->by_id, logs->known, sizeof(*logs->by_id), by_id);
}

static struct kept_log *find_id(const struct daemon *daemon, const char *id)
{
	const struct kept_logs *logs = daemon->kept_logs;
	size_t at = place_of(logs, id);

	return at < logs->known && str_equal(logs->by_id[at]->id, id) ? logs->by_id[at] : NULL;
}

static struct kept_log *add(struct daemon *daemon, const char *id)
{
	struct kept_logs *logs = daemon->kept_logs;
	struct kept_log *kept = xcalloc(1, sizeof(*kept));

	snprintf(kept->id, sizeof(kept->id), "%s", id);
	list_append(&logs->all, &kept->link);
	if (logs->known == logs->capacity) {
		logs->capacity = logs->capacity ? 2 * logs->capacity : 64;
		logs->by_id = xrealloc(logs->by_id, logs->capacity * sizeof(*logs->by_id));
	}
	sorted_insert(logs->by_id, logs->known, sizeof(kept), place_of(logs, id), &kept);
	logs->known++;
	return kept;
}

/* Its instance is gone. */
static void count_in(struct daemon *daemon, const struct kept_log *kept)
{
	daemon->kept_logs->count++;
	daemon->kept_logs->bytes += kept->bytes;
}

static void free_kept(struct kept_log *kept)
{
	instance_free(kept->instance);
	free(kept->driver);
	free(kept->path);
	free(kept->why);
	free(kept);
}

static void let_go(struct daemon *daemon, struct kept_log *kept)
{
	struct kept_logs *logs = daemon->kept_logs;

	if (kept->instance) {
		logs->count--;
		logs->bytes -= kept->bytes;
	}
	sorted_remove(logs->by_id, logs->known, sizeof(kept), place_of(logs, kept->id));
	logs->known--;
	list_remove(&kept->link);
	free_kept(kept);
}

static void put_fact(struct store_batch *batch, const char *id, const char *value)
{
	char *fact = xasprintf(FACT "%s", id);

	store_put_fact(batch, fact, value);
	free(fact);
}

static void save(struct store_batch *batch, const struct kept_log *kept)
{
	struct json_object *object = json_object_new_object(), *instance;

	json_add_string(object, "driver", kept->driver);
	json_add_string(object, "path", kept->path);
	json_add_int(object, "files_max", kept->files_max);
	json_add_int(object, "bytes", kept->bytes);
	json_add_int(object, "removed_ms", kept->removed_ms);
	json_add_string(object, "why", kept->why);
	if (kept->instance) {
		instance = instance_save(kept->instance);
		json_object_object_del(json_get(instance, "spec"), "environment");
		json_object_object_add(object, "instance", instance);
	}
	put_fact(batch, kept->id, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void drop_folder(const struct daemon *daemon, const char *id)
{
	char *folder = logs_folder(daemon, id);

	if (daemon->logger && daemon->logger->drop)
		daemon->logger->drop(daemon->logger_handle, folder);
	free(folder);
}

static bool is_read(const struct kept_log *kept)
{
	return !list_empty(&kept->instance->readers);
}

/* The oldest first, up to the one that may stay. */
static void expire(struct daemon *daemon)
{
	const struct settings *settings = daemon->settings;
	struct kept_logs *logs = daemon->kept_logs;
	int64_t now_ms = clock_wall_ms(), wait_ms = LOOK_MS;
	int64_t bytes = logs->bytes, count = logs->count;

	LIST_FOREACH (node, &logs->all) {
		struct kept_log *kept = LIST_ENTRY(node, struct kept_log, link);
		int64_t left_ms = kept->removed_ms + settings->keep_logs_ms - now_ms;
		struct store_batch *batch;

		if (!kept->instance)
			continue;
		if (left_ms > 0 && bytes <= settings->keep_logs_bytes && count <= KEPT_MAX) {
			wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
			break;
		}
		bytes -= kept->bytes;
		count--;
		if (is_read(kept)) {
			wait_ms = READ_MS < wait_ms ? READ_MS : wait_ms;
			continue;
		}
		drop_folder(daemon, kept->id);
		batch = store_batch_new(daemon->store);
		put_fact(batch, kept->id, NULL);
		takeover_commit(daemon, batch);
		let_go(daemon, kept);
	}
	if (!list_empty(&logs->all))
		loop_timer_start(daemon->loop, &daemon->kept_timer, wait_ms);
}

static void on_timer(struct loop_timer *timer)
{
	expire(LIST_ENTRY(timer, struct daemon, kept_timer));
}

/* --- the step ------------------------------------------------------------------------------------ */

bool log_keep_wanted(const struct flow *flow)
{
	const struct daemon *daemon = flow->daemon;

	return flow->node && flow->instance->container_id[0] && flow->instance->boots > 0 &&
	       daemon->settings->keep_logs_ms > 0 && daemon->logger && daemon->logger->keep &&
	       flow->node->runtime->log_files;
}

static void on_kept(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_log_kept *told = result;
	struct kept_log *kept = find_id(flow->daemon, flow->instance->id);
	struct store_batch *batch;

	if (!kept)
		kept = add(flow->daemon, flow->instance->id);
	free(kept->driver);
	free(kept->path);
	free(kept->why);
	kept->driver = kept->path = kept->why = NULL;
	kept->bytes = kept->files_max = 0;
	if (told) {
		kept->driver = xstrdup(told->driver);
		kept->path = xstrdup(told->path);
		kept->files_max = told->files_max;
		kept->bytes = told->bytes;
	}
	if (err) {
		log_warn("what %s printed cannot be kept, and goes with its container: %s",
			 flow->instance->spec.name, err->text);
		kept->why = xasprintf("it could not be kept when the instance was removed: %s",
				      err->text);
	} else if (told && !told->whole) {
		kept->why = xstrdup(kept->bytes ? WHY_END : WHY_UNREAD);
	}
	batch = store_batch_new(flow->daemon->store);
	save(batch, kept);
	takeover_commit(flow->daemon,
			batch); /* commits keep their order: it is in before the next step runs */
	flow_next(flow);
}

static void keep(struct flow *flow)
{
	struct gantry_log_upstream upstream;
	struct gantry_log_source source;
	char *folder = logs_folder(flow->daemon, flow->instance->id);

	logs_source(flow->daemon, flow->instance, folder, &upstream, &source);
	source.running = false;
	flow->daemon->logger->keep(flow->daemon->logger_handle, &source,
				   flow_op(flow, "keep the log", on_kept));
	free(folder);
}

static void on_told(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err && find_id(flow->daemon, flow->instance->id)) { /* the container is gone already */
		flow_next(flow);
		return;
	}
	if (err) {
		on_kept(flow, err, NULL);
		return;
	}
	logs_told(flow->instance, result);
	keep(flow);
}

void log_keep_run(struct flow *flow)
{
	struct instance *instance = flow->instance;

	if (logs_known(instance))
		keep(flow);
	else
		flow->node->runtime->log_files(flow->node->handle, instance->container_id,
					       flow_op(flow, "ask where the log is", on_told));
}

bool log_kept_removed(struct daemon *daemon, const struct instance *instance,
		      struct store_batch *batch)
{
	struct kept_log *kept = find_id(daemon, instance->id);
	struct json_object *object;
	struct gantry_error err;
	int code;

	if (!kept)
		return false;
	object = instance_save(instance);
	code = instance_load(object, &kept->instance, &err);
	json_object_put(object);
	if (code < 0) { /* never, as the store lives by it */
		log_error("the log of %s is not kept: %s", instance->spec.name, err.text);
		put_fact(batch, kept->id, NULL);
		let_go(daemon, kept);
		return false;
	}
	kept->instance->state = INSTANCE_STOPPED;
	kept->removed_ms = clock_wall_ms();
	count_in(daemon, kept);
	list_remove(&kept->link);
	list_append(&daemon->kept_logs->all, &kept->link);
	save(batch, kept);
	loop_timer_start(daemon->loop, &daemon->kept_timer, 0);
	return true;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* May be meant by a request for this project; NULL: for any. */
static bool is_of(const struct kept_log *kept, const char *project)
{
	return kept->instance && (!project || str_equal(kept->instance->spec.project, project));
}

/* The only one whose id begins so. */
static struct kept_log *find_prefix(const struct kept_logs *logs, const char *word,
				    const char *project)
{
	struct kept_log *found = NULL;

	for (size_t at = place_of(logs, word);
	     at < logs->known && str_starts_with(logs->by_id[at]->id, word); at++) {
		if (!is_of(logs->by_id[at], project))
			continue;
		if (found)
			return NULL;
		found = logs->by_id[at];
	}
	return found;
}

struct kept_log *log_kept_find(struct daemon *daemon, const char *word, const char *project,
			       bool prefix)
{
	const char *slash = strchr(word, '/');
	struct kept_log *found = find_id(daemon, word);

	if (prefix)
		return strlen(word) < 2 ? NULL : find_prefix(daemon->kept_logs, word, project);
	if (found)
		return is_of(found, project) ? found : NULL;
	LIST_FOREACH (node, &daemon->kept_logs->all) {
		struct kept_log *kept = LIST_ENTRY(node, struct kept_log, link);
		const struct gantry_spec *spec = kept->instance ? &kept->instance->spec : NULL;

		if (is_of(kept, project) &&
		    (str_equal(spec->name, word) ||
		     (slash && strlen(spec->project) == (size_t)(slash - word) &&
		      str_starts_with(word, spec->project) && str_equal(spec->name, slash + 1))))
			found = kept; /* the last one that was removed */
	}
	return found;
}

void log_kept_counts(const struct daemon *daemon, int64_t *ret_count, int64_t *ret_bytes)
{
	*ret_count = daemon->kept_logs->count;
	*ret_bytes = daemon->kept_logs->bytes;
}

/* --- at a start ---------------------------------------------------------------------------------- */

static void load_fact(void *arg, const char *fact, const char *value)
{
	struct daemon *daemon = arg;
	const char *id = fact + strlen(FACT);
	struct json_object *object = NULL, *instance;
	struct kept_log *kept;
	struct gantry_error err;
	struct store_batch *batch;

	if (json_parse(value, strlen(value), &object, &err) == 0 &&
	    ((instance = json_get(object, "instance")) || fleet_find(&daemon->fleet, id))) {
		const char *path = json_get_string(object, "path", NULL);
		const char *why = json_get_string(object, "why", NULL);

		kept = add(daemon, id);
		if (!instance || instance_load(instance, &kept->instance, &err) == 0) {
			kept->driver = xstrdup(json_get_string(object, "driver", "local"));
			kept->path = path ? xstrdup(path) : NULL;
			kept->why = why ? xstrdup(why) : NULL;
			kept->files_max = json_get_int(object, "files_max", 1);
			kept->bytes = json_get_int(object, "bytes", 0);
			kept->removed_ms = json_get_int(object, "removed_ms", 0);
			if (kept->instance) {
				kept->instance->state = INSTANCE_STOPPED;
				count_in(daemon, kept);
			}
			json_object_put(object);
			return;
		}
		let_go(daemon, kept);
	}
	json_object_put(object);
	drop_folder(daemon, id);
	batch = store_batch_new(daemon->store);
	store_put_fact(batch, fact, NULL);
	store_batch_commit(batch, NULL, NULL);
}

static int compare_ages(const void *one, const void *two)
{
	const struct kept_log *first = *(struct kept_log *const *)one;
	const struct kept_log *second = *(struct kept_log *const *)two;

	return (first->removed_ms > second->removed_ms) - (first->removed_ms < second->removed_ms);
}

/* The oldest first. */
static void sort(struct kept_logs *logs)
{
	struct kept_log **all = xcalloc(logs->known + 1, sizeof(struct kept_log *));

	if (logs->known)
		memcpy(all, logs->by_id, logs->known * sizeof(struct kept_log *));
	qsort(all, logs->known, sizeof(struct kept_log *), compare_ages);
	list_init(&logs->all);
	for (size_t i = 0; i < logs->known; i++)
		list_append(&logs->all, &all[i]->link);
	free(all);
}

/* Folders that were not touched for a while. */
struct sweep {
	struct daemon *daemon;
	char *parent, *store; /* owned: the folder, and the store beside it */
	int64_t before_s;
	char (*ids)[INSTANCE_ID_SIZE]; /* owned */
	size_t count;
};

static bool is_store(int folder, const char *name)
{
	static const char head[16] = "SQLite format 3";
	char found[sizeof(head)];
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && read(fd, found, sizeof(found)) == sizeof(found) &&
		  memcmp(found, head, sizeof(head)) == 0;

	if (fd >= 0)
		close(fd);
	return is;
}

/* Else what is not ours may be another gantryd's. */
static bool is_alone(const char *store)
{
	const char *slash = strrchr(store, '/'), *own = slash ? slash + 1 : store;
	char *parent = slash ? xasprintf("%.*s/", (int)(slash - store), store) : xstrdup(".");
	DIR *files = opendir(parent);
	struct dirent *file;
	bool alone = files;

	while (alone && (file = readdir(files)))
		alone = str_equal(file->d_name, own) || !is_store(dirfd(files), file->d_name);
	if (files)
		closedir(files);
	free(parent);
	return alone;
}

static void run_sweep(void *arg)
{
	struct sweep *sweep = arg;
	DIR *folders = is_alone(sweep->store) ? opendir(sweep->parent) : NULL;
	struct dirent *folder;
	struct stat st;

	while (folders && (folder = readdir(folders))) {
		if (strlen(folder->d_name) != INSTANCE_ID_SIZE - 1 ||
		    fstatat(dirfd(folders), folder->d_name, &st, 0) < 0 ||
		    st.st_mtime > sweep->before_s)
			continue;
		sweep->ids = xrealloc(sweep->ids, (sweep->count + 1) * sizeof(*sweep->ids));
		memcpy(sweep->ids[sweep->count++], folder->d_name, INSTANCE_ID_SIZE);
	}
	if (folders)
		closedir(folders);
}

static void on_swept(void *arg)
{
	struct sweep *sweep = arg;
	struct daemon *daemon = sweep->daemon;

	for (size_t i = 0; i < sweep->count && !daemon->stopping; i++)
		if (!fleet_find(&daemon->fleet, sweep->ids[i]) && !find_id(daemon, sweep->ids[i]))
			drop_folder(daemon, sweep->ids[i]);
	free(sweep->ids);
	free(sweep->parent);
	free(sweep->store);
	free(sweep);
}

static void sweep(struct daemon *daemon)
{
	struct sweep *sweep = xcalloc(1, sizeof(*sweep));

	sweep->daemon = daemon;
	sweep->parent = logs_folder(daemon, "");
	sweep->store = xstrdup(daemon->settings->store);
	sweep->before_s = (clock_wall_ms() - daemon->settings->keep_logs_ms) / 1000;
	loop_work(daemon->loop, run_sweep, on_swept, sweep);
}

int log_kept_load(struct daemon *daemon, struct gantry_error *err)
{
	int code = store_load_facts(daemon->store, FACT, load_fact, daemon, err);

	if (code < 0)
		return code;
	sort(daemon->kept_logs);
	loop_timer_init(&daemon->kept_timer, on_timer);
	expire(daemon);
	if (!daemon->store_was_new && daemon->logger) /* else nobody knows yet what is whose */
		sweep(daemon);
	return 0;
}

void log_kept_close(struct daemon *daemon)
{
	loop_timer_stop(daemon->loop, &daemon->kept_timer);
}

void log_kept_init(struct daemon *daemon)
{
	daemon->kept_logs = xcalloc(1, sizeof(*daemon->kept_logs));
	list_init(&daemon->kept_logs->all);
}

void log_kept_free(struct daemon *daemon)
{
	if (!daemon->kept_logs)
		return;
	LIST_FOREACH (node, &daemon->kept_logs->all) {
		free_kept(LIST_ENTRY(node, struct kept_log, link));
	}
	free(daemon->kept_logs->by_id);
	free(daemon->kept_logs);
	daemon->kept_logs = NULL;
}
