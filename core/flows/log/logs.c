/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/log/logs.h"
#include "flows/engine/exits.h"
#include "flows/engine/node_link.h"
#include "flows/log/log_kept.h"
#include "flows/log/log_sinks.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

#define ASK_LIMIT_MS 30000

static void begin(struct log_reader *reader);

static void let_go(struct log_reader *reader)
{
	list_remove(&reader->link);
	loop_later_cancel(reader->daemon->loop, &reader->later);
	log_origin_unref(reader->origin);
	reader->origin = NULL;
	reader->instance = NULL;
	reader->op = NULL;
	reader->reader = NULL;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* What was not kept at the end of a log whose instance was removed. */
static void tell_unkept(struct log_reader *reader)
{
	const char *why = reader->why;
	const struct gantry_log_line gap = {
		.sequence = reader->sequence,
		.boot = reader->boot,
		.data = why,
		.length = strlen(why),
		.lost = -1,
	};

	reader->why = NULL;
	reader->sink.lines(reader->sink.arg, &gap, 1);
}

static void on_end(void *arg, const struct gantry_error *err)
{
	struct log_reader *reader = arg;
	struct gantry_error why;

	reader->reader = NULL;
	if (!err && reader->counts && reader->instance) {
		reader->counts = false;
		reader->skip = reader->matched - reader->query.tail;
		begin(reader);
		return;
	}
	if (!err && reader->counts) {
		gantry_error_set(&why, -ENOENT, "the instance was removed");
		err = &why;
	}
	if (!err && reader->why)
		tell_unkept(reader);
	if (!reader->instance && reader->closed)
		return;
	let_go(reader);
	reader->sink.end(reader->sink.arg, err);
}

/* Passes over those that are too many for a tail, and what is in front of them. */
static const struct gantry_log_line *pass_over(struct log_reader *reader,
					       const struct gantry_log_line *lines, size_t *count)
{
	while (reader->skip > 0 && *count > 0) {
		reader->skip -= lines->stream > 0;
		lines++;
		--*count;
	}
	return lines;
}

/* A policy wants each line, since just now: on from the last one that was given. */
static void read_again(struct log_reader *reader)
{
	reader->daemon->logger->close(reader->reader);
	reader->reader = NULL;
	reader->query.lines = false;
	if (reader->sequence > 0) {
		reader->query.after = reader->sequence;
		reader->query.tail = -1;
	}
	reader->own_tail = reader->counts = reader->query.text && reader->query.tail >= 0;
	reader->again = true;
	loop_later(reader->daemon->loop, &reader->later);
}

static bool on_lines(void *arg, const struct gantry_log_line *lines, size_t count)
{
	struct log_reader *reader = arg;
	size_t given;
	bool room;

	if (reader->query.lines && script_has_log(reader->daemon->policies)) {
		read_again(reader);
		return false;
	}
	if (count && !reader->counts) {
		reader->sequence = lines[count - 1].sequence;
		reader->boot = lines[count - 1].boot;
	}
	given = count;
	if (!reader->raw)
		lines = log_policy_lines(reader->daemon, reader->origin, lines, &count,
					 reader->query.text, reader->query.text_length);
	if (reader->counts) {
		for (size_t i = 0; i < count; i++)
			reader->matched += lines[i].stream > 0;
		return true;
	}
	lines = pass_over(reader, lines, &count);
	if (given && !count && reader->begun)
		return !reader->full;
	room = reader->sink.lines(reader->sink.arg, lines, count);
	reader->begun = true;
	reader->full = !room; /* its memory is there, also where the sink has closed it */
	return room;
}

/* Whether more may come without anybody asking for it. */
static bool goes_on(const struct instance *instance)
{
	return !exits_is_over(instance) || instance->busy || instance->restart_at_ms > 0;
}

char *logs_folder(const struct daemon *daemon, const char *instance)
{
	const char *store = daemon->settings->store, *slash = strrchr(store, '/');

	return slash ? xasprintf("%.*s/logs/%s", (int)(slash - store), store, instance)
		     : xasprintf("logs/%s", instance);
}

/* --- by the engine's word -------------------------------------------------------------------------- */

struct upstream {
	struct gantry_op *op;
	struct gantry_log_feed feed;
};

static int on_message(void *arg, int stream, int64_t time_ns, const char *data, size_t length)
{
	const struct upstream *upstream = arg;

	return upstream->feed.message(upstream->feed.arg, stream, time_ns, data, length);
}

static void on_upstream_end(void *arg, const struct gantry_error *err, const void *result)
{
	struct upstream *upstream = arg;
	const struct gantry_log_feed feed = upstream->feed;

	(void)result;
	free(upstream);
	feed.end(feed.arg, err);
}

static void *upstream_open(void *arg, const char *id, int64_t since_ns, bool follow,
			   const struct gantry_log_feed *feed)
{
	struct daemon *daemon = arg;
	struct upstream *upstream = xcalloc(1, sizeof(*upstream));
	struct instance *instance = fleet_find(&daemon->fleet, id);
	struct node_link *link = instance ? node_link_find(daemon, instance->node) : NULL;
	struct gantry_error err;

	upstream->feed = *feed;
	upstream->op = op_new(&daemon->scope, "read the log", on_upstream_end, upstream);
	if (link && instance->container_id[0]) {
		link->runtime->log_read(link->handle, instance->container_id, since_ns, follow,
					on_message, upstream, upstream->op);
	} else {
		gantry_error_set(&err, -ENOENT, "the container is gone");
		op_done(upstream->op, &err, NULL);
	}
	return upstream;
}

static void upstream_pause(void *handle, bool paused)
{
	op_pause(((struct upstream *)handle)->op, paused);
}

static void upstream_close(void *handle)
{
	struct upstream *upstream = handle;

	op_forget(upstream->op);
	free(upstream);
}

/* --- opening ------------------------------------------------------------------------------------- */

void logs_source(struct daemon *daemon, const struct instance *instance, const char *folder,
		 struct gantry_log_upstream *upstream, struct gantry_log_source *ret_source)
{
	*upstream = (struct gantry_log_upstream){
		.arg = daemon,
		.open = upstream_open,
		.pause = upstream_pause,
		.close = upstream_close,
	};
	*ret_source = (struct gantry_log_source){
		.instance = instance->id,
		.folder = folder,
		.driver = instance->log.driver,
		.path = instance->log.path,
		.files_max = instance->log.files_max,
		.running = goes_on(instance),
		.boots = instance->log_boots,
		.boot_count = instance->log_boot_count,
		.upstream = instance->log.path ? NULL : upstream,
	};
}

static void begin(struct log_reader *reader)
{
	struct daemon *daemon = reader->daemon;
	char *folder = logs_folder(daemon, reader->instance->id);
	const struct gantry_log_sink sink = {.arg = reader, .lines = on_lines, .end = on_end};
	struct gantry_log_upstream upstream;
	struct gantry_log_source source;
	struct gantry_log_query query = reader->query;

	if (reader->own_tail)
		query.tail = -1;
	if (reader->counts)
		query.follow = false;
	logs_source(daemon, reader->instance, folder, &upstream, &source);
	reader->reader = daemon->logger->read(daemon->logger_handle, &source, &query, &sink);
	free(folder);
}

/* The files where they are on this host, else the engine's word. */
static int check(struct daemon *daemon, const struct instance *instance, struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);

	if (instance->log.path || (link && link->runtime->log_read))
		return 0;
	if (str_equal(instance->log.driver, "local") ||
	    str_equal(instance->log.driver, "json-file"))
		return gantry_error_set(
			err, -ENOTSUP,
			"the log of %s is not on this host but on that of node %s, and gantryd reads files only",
			instance->spec.name, instance->node);
	return gantry_error_set(
		err, -ENOTSUP,
		"the log of %s is written by the engine's driver \"%s\"; gantryd reads local and json-file",
		instance->spec.name, instance->log.driver);
}

bool logs_known(const struct instance *instance)
{
	return instance->log.driver &&
	       str_equal(instance->log.container_id, instance->container_id);
}

void logs_told(struct instance *instance, const struct gantry_log_files *files)
{
	/* of one that was never started the engine does not say yet where they will be */
	bool known = files->path || instance->boots > 0;

	snprintf(instance->log.container_id, sizeof(instance->log.container_id), "%s",
		 known ? instance->container_id : "");
	if (!str_equal(instance->log.driver, files->driver))
		instance->log.driver = arena_strdup(&instance->arena, files->driver);
	instance->log.path = arena_strdup(&instance->arena, files->path);
	instance->log.files_max = files->files_max;
}

static void on_told(void *arg, const struct gantry_error *err, const void *result)
{
	struct log_reader *reader = arg;
	const struct gantry_log_files *files = result;
	struct instance *instance = reader->instance;
	struct gantry_error why;

	reader->op = NULL;
	if (!err && !instance) {
		gantry_error_set(&why, -ENOENT, "the instance was removed");
		err = &why;
	}
	if (err) {
		on_end(reader, err);
		return;
	}
	logs_told(instance, files);
	if (check(reader->daemon, instance, &why) < 0)
		on_end(reader, &why);
	else
		begin(reader);
}

static void on_later(struct loop_later *later)
{
	struct log_reader *reader = LIST_ENTRY(later, struct log_reader, later);
	struct gantry_error err;

	if (reader->again && reader->instance) {
		reader->again = false;
		begin(reader);
		return;
	}
	gantry_error_set(&err, -ENOENT, "the instance was removed");
	on_end(reader, reader->again ? &err : NULL);
}

static void stand_in(struct log_reader *reader, struct daemon *daemon, struct instance *instance,
		     const struct gantry_log_query *query, const struct gantry_log_sink *sink)
{
	*reader = (struct log_reader){
		.daemon = daemon,
		.instance = instance,
		.query = *query,
		.sink = *sink,
	};
	reader->query.lines = query->lines && !script_has_log(daemon->policies);
	reader->own_tail = reader->counts =
		query->text && query->tail >= 0 && script_has_log(daemon->policies);
	loop_later_init(&reader->later, on_later);
	/* readers of one instance share it */
	reader->origin =
		list_empty(&instance->readers)
			? log_origin_new(instance)
			: log_origin_ref(LIST_ENTRY(instance->readers.next, struct log_reader, link)
						 ->origin);
	list_append(&instance->readers, &reader->link);
}

int log_reader_open_kept(struct log_reader *reader, struct daemon *daemon, struct kept_log *kept,
			 const struct gantry_log_query *query, const struct gantry_log_sink *sink,
			 struct gantry_error *err)
{
	struct instance *instance = kept->instance;

	if (!daemon->logger)
		return gantry_error_set(err, -ENOTSUP, "no plugin that reads logs is loaded");
	stand_in(reader, daemon, instance, query, sink);
	reader->why = kept->why;
	reader->sequence = query->after > 0 ? query->after : 0;
	instance->log.driver = kept->driver;
	instance->log.path = kept->path;
	instance->log.files_max = kept->files_max;
	if (kept->bytes > 0)
		begin(reader);
	else
		loop_later(daemon->loop, &reader->later);
	return 0;
}

int log_reader_open(struct log_reader *reader, struct daemon *daemon, struct instance *instance,
		    const struct gantry_log_query *query, const struct gantry_log_sink *sink,
		    struct gantry_error *err)
{
	struct node_link *link = node_link_find(daemon, instance->node);

	if (!daemon->logger)
		return gantry_error_set(err, -ENOTSUP, "no plugin that reads logs is loaded");
	if (!link || !instance->container_id[0])
		return gantry_error_set(err, -EBUSY, "%s is %s: it has no container",
					instance->spec.name, instance_state_text(instance->state));
	if (!link->runtime->log_files)
		return gantry_error_set(err, -ENOTSUP, "node %s offers no logs", link->node.name);
	stand_in(reader, daemon, instance, query, sink);
	if (logs_known(instance)) {
		begin(reader);
		return 0;
	}
	reader->op = op_new(&daemon->scope, "ask where the log is", on_told, reader);
	op_set_deadline(reader->op, ASK_LIMIT_MS);
	link->runtime->log_files(link->handle, instance->container_id, reader->op);
	return 0;
}

void log_reader_resume(struct log_reader *reader)
{
	reader->full = false;
	if (reader->reader)
		reader->daemon->logger->resume(reader->reader);
}

void log_reader_close(struct log_reader *reader)
{
	if (reader->op)
		op_forget(reader->op);
	if (reader->reader)
		reader->daemon->logger->close(reader->reader);
	reader->closed = true;
	let_go(reader);
}

/* --- what happens to an instance ----------------------------------------------------------------- */

/* A start that failed and is tried again is the same boot. */
static void add_boot(struct daemon *daemon, struct instance *instance, int64_t boot,
		     int64_t since_ns)
{
	struct gantry_log_boot *boots = instance->log_boots;
	size_t *count = &instance->log_boot_count;

	if (*count && boots[*count - 1].boot >= boot)
		(*count)--;
	else if (*count == INSTANCE_LOG_BOOTS)
		memmove(boots, boots + 1, --*count * sizeof(*boots));
	boots[(*count)++] = (struct gantry_log_boot){.boot = boot, .since_ns = since_ns};
	instance->changed = true;
	if (!list_empty(&instance->readers))
		daemon->logger->started(daemon->logger_handle, instance->id, &boots[*count - 1]);
}

/* The engine told of the end after it had written the last of the output, and by its own clock. */
static int64_t boot_begins(const struct instance *instance, int64_t otherwise_ns)
{
	return instance->died_ns ? instance->died_ns : otherwise_ns;
}

void logs_starting(struct daemon *daemon, struct instance *instance)
{
	add_boot(daemon, instance, instance->boots + 1,
		 instance->boots ? boot_begins(instance, clock_wall_ns()) : 0);
}

void logs_was_started(struct daemon *daemon, struct instance *instance)
{
	add_boot(daemon, instance, instance->boots,
		 boot_begins(instance, instance->started_ms * 1000000));
	log_sinks_look(daemon, instance);
}

void logs_settled(struct daemon *daemon, struct instance *instance)
{
	if (!list_empty(&instance->readers) && exits_is_over(instance))
		daemon->logger->ended(daemon->logger_handle, instance->id, !goes_on(instance));
}

void logs_removed(struct daemon *daemon, struct instance *instance, struct store_batch *batch)
{
	char *folder;
	bool kept = log_kept_removed(daemon, instance, batch);

	log_sinks_removed(instance, batch);
	LIST_FOREACH (node, &instance->readers) {
		struct log_reader *reader = LIST_ENTRY(node, struct log_reader, link);

		list_remove(&reader->link);
		reader->instance = NULL;
	}
	if (!daemon->logger)
		return;
	folder = logs_folder(daemon, instance->id);
	daemon->logger->removed(daemon->logger_handle, instance->id, kept ? NULL : folder);
	free(folder);
}
