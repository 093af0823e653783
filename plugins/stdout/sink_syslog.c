/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syslog: RFC 5424, a datagram a message (RFC 5426, and the same on a unix socket), or by TCP with octet
 * counting (RFC 6587), also over TLS (RFC 5425).
 *
 *	<14>1 2026-01-02T03:04:05.678901Z node7 web 1 stdout [gantry@32473 instance="…" …] text
 *
 * APP-NAME is the instance's name, PROCID how often it had been started, MSGID the stream. Lines that are
 * longer than receivers take come in parts, each a message. 32473 is the number that examples use: there is
 * none of this project's own.
 */
#include "sinks.h"
#include "stdout.h"

#include <unistd.h>

#define ID         "gantry@32473"
#define TAGS_ID    "tags@32473"
#define LEAST_SENT 480 /* what every receiver takes */

struct settings {
	const char *to, *facility;
	int64_t message_bytes;
	struct gantry_tls_settings tls;
};

struct syslog {
	struct sender sender; /* the first: they are one */
	const struct settings *settings;
	int facility;
	char host[64];
	struct text message; /* the one at hand */
};

static const char *const facilities[] = {
	"kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
	"uucp",   "cron",   "authpriv", "ftp",    NULL,     NULL,     NULL,     NULL,
	"local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
#define FACILITIES ((int)(sizeof(facilities) / sizeof(*facilities)))

enum { SEVERITY_ERROR = 3, SEVERITY_WARNING = 4, SEVERITY_INFO = 6 };

static int severity(const struct gantry_log_line *line)
{
	return line->stream == 0   ? SEVERITY_WARNING
	       : line->stream == 2 ? SEVERITY_ERROR
				   : SEVERITY_INFO;
}

/* Printable ASCII without spaces, as header fields have it. */
static void add_word(struct text *text, const char *word, size_t most)
{
	for (size_t i = 0; i < most && word[i]; i++) {
		char c = word[i] > ' ' && word[i] < 127 ? word[i] : '_';

		text_add(text, &c, 1);
	}
	if (!word[0])
		text_str(text, "-");
}

static void add_param(struct text *text, const char *name, const char *value)
{
	if (!value)
		return;
	text_format(text, " %s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\' || *value == ']')
			text_str(text, "\\");
		text_add(text, value, 1);
	}
	text_str(text, "\"");
}

/* All but the text. part: 0, or which one of the line it is. */
static void add_head(const struct syslog *syslog, struct text *text,
		     const struct gantry_log_item *item, int part)
{
	const struct gantry_log_origin *origin = item->origin;
	const struct gantry_log_line *line = &item->line;

	text_format(text, "<%d>1 ", syslog->facility * 8 + severity(line));
	text_time(text, line->time_ns, 6);
	text_format(text, " %s ", syslog->host);
	add_word(text, origin->name, 48);
	text_format(text, " %lld %s [" ID, (long long)line->boot, stream_name(line));
	add_param(text, "instance", origin->instance);
	add_param(text, "project", origin->project);
	add_param(text, "node", origin->node);
	text_format(text, " cursor=\"%lld.%lld\"", (long long)line->boot,
		    (long long)line->sequence);
	if (part)
		text_format(text, " part=\"%d\"", part);
	if (line->flags & GANTRY_LOG_PARTIAL)
		text_str(text, " partial=\"true\"");
	text_str(text, "]");
	for (size_t i = 0; i < text_tags(line); i++) {
		text_str(text, i ? "" : "[" TAGS_ID);
		add_param(text, line->tags->items[i].name, line->tags->items[i].value);
		text_str(text, i + 1 < text_tags(line) ? "" : "]");
	}
	text_str(text, " ");
}

static void add_message(struct syslog *syslog)
{
	struct sender *sender = &syslog->sender;

	if (sender->address.type == SOCK_STREAM)
		text_format(&sender->out, "%zu ", syslog->message.length);
	text_add(&sender->out, syslog->message.data, syslog->message.length);
	if (sender->address.type == SOCK_DGRAM)
		sender_end_datagram(sender);
}

static void add_item(struct syslog *syslog, const struct gantry_log_item *item)
{
	const struct gantry_log_line *line = &item->line;
	struct text *message = &syslog->message;
	size_t most = (size_t)syslog->settings->message_bytes, at = 0;
	int part = 0;

	do {
		size_t length = line->length - at, room;

		text_clear(message);
		add_head(syslog, message, item, part);
		room = message->length + 64 < most ? most - message->length : 64;
		if (part == 0 && length > room) {
			part = 1; /* the head is longer, then */
			continue;
		}
		if (length > room) {
			length = room;
			while (length > room - 4 &&
			       ((unsigned char)line->data[at + length] & 0xc0) == 0x80)
				length--; /* not amid a character */
		}
		if (line->stream == 0)
			text_gap(message, line);
		else
			text_add(message, line->data + at, length);
		add_message(syslog);
		at += length;
		part++;
	} while (at < line->length);
}

/* The receiver's system takes less than it says receivers do: the beginning is better than nothing. */
static int send_less(struct sender *sender, const char *data, size_t length)
{
	if (length > LEAST_SENT)
		send(sender->fd, data, LEAST_SENT, MSG_NOSIGNAL | MSG_DONTWAIT);
	return 0;
}

static void send_items(void *sink, const struct gantry_log_item *items, size_t count,
		       struct gantry_op *op)
{
	struct syslog *syslog = sink;

	sender_clear(&syslog->sender);
	for (size_t i = 0; i < count; i++)
		add_item(syslog, &items[i]);
	sender_begin(&syslog->sender, op);
}

static void close_sink(void *sink)
{
	struct syslog *syslog = sink;

	sender_fini(&syslog->sender);
	text_fini(&syslog->message);
	free(syslog);
}

static int open_sink(void *plugin, const char *name, const void *settings,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     void **ret_sink, struct gantry_error *err)
{
	struct stdout_plugin *stdout_plugin = plugin;
	const struct settings *mine = settings;
	struct syslog *syslog;
	struct address address;
	int facility = 0, code = address_parse(mine->to, SOCK_DGRAM, &address, err);

	(void)name;
	if (code < 0)
		return code;
	while (facility < FACILITIES &&
	       (!facilities[facility] || strcmp(facilities[facility], mine->facility) != 0))
		facility++;
	if (facility == FACILITIES)
		return gantry_error_field(err, -EINVAL, "facility",
					  "\"%.100s\" is no facility; user, daemon and local0 to "
					  "local7 are some",
					  mine->facility);
	syslog = take_memory(NULL, sizeof(*syslog));
	*syslog = (struct syslog){.settings = mine, .facility = facility};
	sender_init(&syslog->sender, &stdout_plugin->lookups, &address, lost, arg);
	syslog->sender.too_large = send_less;
	if (gethostname(syslog->host, sizeof(syslog->host) - 1) < 0 || !syslog->host[0])
		strcpy(syslog->host, "-");
	code = sender_secure(&syslog->sender, &mine->tls, err);
	if (code < 0)
		close_sink(syslog);
	else
		*ret_sink = syslog;
	return code;
}

#define SETTING(member) offsetof(struct settings, member)
static const struct gantry_option options[] = {
	{"to", GANTRY_OPTION_STRING, "unix:///dev/log", SETTING(to),
	 "the receiver: unix:///PATH (datagrams), udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT (octet counting)",
	 false, 0, 0},
	{"facility", GANTRY_OPTION_STRING, "daemon", SETTING(facility),
	 "facility of the messages: user, daemon, local0, …", false, 0, 0},
	{"message", GANTRY_OPTION_SIZE, "8000", SETTING(message_bytes),
	 "bytes of the longest message that the receiver takes (rsyslog: 8096); longer lines come in parts",
	 false, 1024, 60 << 10},
	TLS_OPTIONS(struct settings),
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

const struct gantry_log_kind sink_syslog = {
	.size = sizeof(sink_syslog),
	.name = "syslog",
	.summary = "messages of RFC 5424 to a unix socket, by UDP, TCP or TLS",
	.options = options,
	.settings_size = sizeof(struct settings),
	.open = open_sink,
	.send = send_items,
	.close = close_sink,
};
