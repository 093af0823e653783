/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Fluent forward protocol, version 1, in its Forward mode:
 *
 *	[tag, [[time, record], …], {"chunk": id, "size": count}] ─▶
 *	                                                         ◀─ {"ack": id}
 *
 * One message for each run of lines of an instance; the tag is PREFIX.PROJECT.NAME. With acknowledgements
 * a batch is delivered when all of its messages are acknowledged. No handshake, no heartbeats.
 */
#include "sinks.h"
#include "stdout.h"

#include <sys/random.h>

#define ID_BYTES 16
#define ID_SIZE  24 /* in base64 */

struct settings {
	const char *to, *tag;
	bool ack;
	struct gantry_tls_settings tls;
};

/* A message that is not acknowledged yet. */
struct chunk {
	char id[ID_SIZE];
	bool acknowledged;
};

struct fluent {
	struct sender sender; /* the first: they are one */
	const struct settings *settings;
	struct chunk *chunks; /* owned: of the batch */
	size_t count, capacity, open;
	struct text answers; /* not yet understood */
};

/* {"ack": a string of 24 bytes} */
static const char ack_head[] = "\x81\xa3"
			       "ack"
			       "\xb8";
#define ACK_HEAD_SIZE (sizeof(ack_head) - 1)

static void add_pair(struct text *out, const char *name, const char *value)
{
	pack_string(out, name);
	pack_string(out, value ? value : "");
}

static void add_entry(struct text *out, const struct gantry_log_item *item)
{
	const struct gantry_log_origin *origin = item->origin;
	const struct gantry_log_line *line = &item->line;
	bool partial = line->flags & GANTRY_LOG_PARTIAL, gap = line->stream == 0;
	struct text cursor = {0};

	pack_array(out, 2);
	pack_time(out, line->time_ns);
	pack_map(out, 8 + (size_t)partial + (size_t)gap + (size_t)(text_tags(line) > 0));
	pack_string(out, gap ? "gap" : "log");
	pack_text(out, line->data, line->length);
	if (gap) {
		pack_string(out, "gap_lines"); /* 0: nobody knows */
		pack_uint(out, line->lost > 0 ? (uint64_t)line->lost : 0);
	}
	add_pair(out, "source", stream_name(line));
	add_pair(out, "container_name", origin->name);
	add_pair(out, "container_id", origin->container);
	add_pair(out, "instance", origin->instance);
	add_pair(out, "project", origin->project);
	add_pair(out, "node", origin->node);
	text_format(&cursor, "%lld.%lld", (long long)line->boot, (long long)line->sequence);
	pack_string(out, "cursor");
	pack_text(out, cursor.data, cursor.length);
	text_fini(&cursor);
	if (partial) {
		pack_string(out, "partial_message");
		pack_bool(out, true);
	}
	if (text_tags(line) == 0)
		return;
	pack_string(out, "tags");
	pack_map(out, line->tags->count);
	for (size_t i = 0; i < line->tags->count; i++)
		add_pair(out, line->tags->items[i].name, line->tags->items[i].value);
}

static void add_chunk(struct fluent *fluent)
{
	struct text id = {0};
	unsigned char bytes[ID_BYTES];

	while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		;
	text_base64(&id, bytes, sizeof(bytes));
	if (fluent->count == fluent->capacity) {
		fluent->capacity = fluent->capacity ? 2 * fluent->capacity : 16;
		fluent->chunks =
			take_memory(fluent->chunks, fluent->capacity * sizeof(*fluent->chunks));
	}
	memcpy(fluent->chunks[fluent->count].id, id.data, ID_SIZE);
	fluent->chunks[fluent->count].acknowledged = false;
	fluent->count++;
	fluent->open++;
	pack_string(&fluent->sender.out, "chunk");
	pack_text(&fluent->sender.out, id.data, id.length);
	text_fini(&id);
}

/* count lines of one instance */
static void add_message(struct fluent *fluent, const struct gantry_log_item *items, size_t count)
{
	struct text *out = &fluent->sender.out, tag = {0};

	text_str(&tag, fluent->settings->tag);
	text_str(&tag, ".");
	text_str(&tag, items->origin->project);
	text_str(&tag, ".");
	text_str(&tag, items->origin->name);
	pack_array(out, 3);
	pack_text(out, tag.data, tag.length);
	text_fini(&tag);
	pack_array(out, count);
	for (size_t i = 0; i < count; i++)
		add_entry(out, &items[i]);
	pack_map(out, fluent->settings->ack ? 2 : 1);
	if (fluent->settings->ack)
		add_chunk(fluent);
	pack_string(out, "size");
	pack_uint(out, count);
}

static void send_items(void *sink, const struct gantry_log_item *items, size_t count,
		       struct gantry_op *op)
{
	struct fluent *fluent = sink;

	sender_clear(&fluent->sender);
	text_clear(&fluent->answers);
	fluent->count = fluent->open = 0;
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && items[to].origin == items[from].origin; to++)
			;
		add_message(fluent, items + from, to - from);
	}
	sender_begin(&fluent->sender, op);
}

/* --- acknowledgements ---------------------------------------------------------------------------- */

static bool written(struct sender *sender)
{
	return ((struct fluent *)sender)->open == 0;
}

static void acknowledge(struct fluent *fluent, const char *id)
{
	for (size_t i = 0; i < fluent->count; i++) {
		struct chunk *chunk = &fluent->chunks[i];

		if (chunk->acknowledged || memcmp(chunk->id, id, ID_SIZE) != 0)
			continue;
		chunk->acknowledged = true;
		fluent->open--;
		return;
	}
}

static void received(struct sender *sender, const char *data, size_t length)
{
	struct fluent *fluent = (struct fluent *)sender;
	struct text *answers = &fluent->answers;
	bool had_open = fluent->open > 0;
	struct gantry_error err;
	size_t at = 0;

	text_add(answers, data, length);
	for (; answers->length - at >= ACK_HEAD_SIZE + ID_SIZE; at += ACK_HEAD_SIZE + ID_SIZE) {
		if (memcmp(answers->data + at, ack_head, ACK_HEAD_SIZE) != 0) {
			gantry_error_set(&err, -EPROTO,
					 "%s: the receiver answers with something else than an "
					 "acknowledgement; does it want a shared key?",
					 sender->address.text);
			sender_done(sender, &err);
			return;
		}
		acknowledge(fluent, answers->data + at + ACK_HEAD_SIZE);
	}
	answers->length -= at;
	memmove(answers->data, answers->data + at, answers->length);
	if (had_open && fluent->open == 0 && sender->at == sender->out.length)
		sender_done(sender, NULL);
}

/* What was acknowledged is not lost. */
static void nothing_lost(void *arg, const struct gantry_error *err)
{
	(void)arg;
	(void)err;
}

/* --- the kind ------------------------------------------------------------------------------------ */

static void close_sink(void *sink)
{
	struct fluent *fluent = sink;

	sender_fini(&fluent->sender);
	text_fini(&fluent->answers);
	free(fluent->chunks);
	free(fluent);
}

static int open_sink(void *plugin, const char *name, const void *settings,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     void **ret_sink, struct gantry_error *err)
{
	struct stdout_plugin *stdout_plugin = plugin;
	const struct settings *mine = settings;
	struct address address;
	struct fluent *fluent;
	int code = address_parse(mine->to, SOCK_STREAM, &address, err);

	(void)name;
	if (code == 0 && address.type != SOCK_STREAM)
		code = gantry_error_field(
			err, -EINVAL, "to",
			"\"%.200s\" must be tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH",
			mine->to);
	if (code < 0)
		return code;
	fluent = take_memory(NULL, sizeof(*fluent));
	*fluent = (struct fluent){.settings = mine};
	sender_init(&fluent->sender, &stdout_plugin->lookups, &address,
		    mine->ack ? nothing_lost : lost, arg);
	fluent->sender.written = written;
	fluent->sender.received = received;
	code = sender_secure(&fluent->sender, &mine->tls, err);
	if (code < 0)
		close_sink(fluent);
	else
		*ret_sink = fluent;
	return code;
}

#define SETTING(member) offsetof(struct settings, member)
static const struct gantry_option options[] = {
	{"to", GANTRY_OPTION_STRING, "tcp://127.0.0.1:24224", SETTING(to),
	 "the receiver: tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH", false, 0, 0},
	{"tag", GANTRY_OPTION_STRING, "gantry", SETTING(tag),
	 "what tags begin with; PROJECT and NAME follow, with dots between", false, 0, 0},
	{"ack", GANTRY_OPTION_BOOL, "true", SETTING(ack),
	 "a line is delivered when the receiver has acknowledged it", false, 0, 0},
	TLS_OPTIONS(struct settings),
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

const struct gantry_log_kind sink_fluent = {
	.size = sizeof(sink_fluent),
	.name = "fluent",
	.summary = "records by the Fluent forward protocol",
	.options = options,
	.settings_size = sizeof(struct settings),
	.open = open_sink,
	.send = send_items,
	.close = close_sink,
};
