/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's native protocol: a datagram an entry, NAME=VALUE and a newline a field, or where a value
 * may hold anything NAME, a newline, its length in 64 bits little-endian, VALUE, a newline. An entry that is too large
 * for a datagram goes as a sealed file in memory.
 */
#include "sinks.h"
#include "stdout.h"

#include <ctype.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct settings {
	const char *to;
};

static void add_bytes(struct text *out, const char *name, const char *data, size_t length)
{
	const uint64_t size = htole64(length);

	text_format(out, "%s\n", name);
	text_add(out, &size, sizeof(size));
	text_add(out, data, length);
	text_str(out, "\n");
}

static void add_field(struct text *out, const char *name, const char *value)
{
	if (value)
		add_bytes(out, name, value, strlen(value));
}

static void add_number(struct text *out, const char *name, int64_t value)
{
	text_format(out, "%s=%lld\n", name, (long long)value);
}

static void add_message(struct text *out, const struct gantry_log_line *line)
{
	struct text gap = {0};

	if (line->stream != 0) {
		add_bytes(out, "MESSAGE", line->data, line->length);
		return;
	}
	text_gap(&gap, line);
	add_bytes(out, "MESSAGE", gap.data, gap.length);
	text_fini(&gap);
	add_number(out, "GANTRY_GAP_LINES", line->lost);
}

/* Names of fields are capitals. */
static void add_tag(struct text *out, const struct gantry_pair *tag)
{
	char name[64] = "GANTRY_TAG_";
	size_t used = strlen(name);

	for (size_t i = 0; tag->name[i] && used < sizeof(name) - 1; i++)
		name[used++] = (char)toupper((unsigned char)tag->name[i]);
	name[used] = '\0';
	add_field(out, name, tag->value);
}

static void add_entry(struct text *out, const struct gantry_log_item *item)
{
	const struct gantry_log_origin *origin = item->origin;
	const struct gantry_log_line *line = &item->line;

	add_message(out, line);
	add_number(out, "PRIORITY", line->stream == 0 ? 4 : line->stream == 2 ? 3 : 6);
	add_field(out, "SYSLOG_IDENTIFIER", origin->name);
	add_field(out, "CONTAINER_NAME", origin->name);
	add_field(out, "CONTAINER_ID_FULL", origin->container);
	add_field(out, "IMAGE_NAME", origin->image);
	add_field(out, "GANTRY_INSTANCE", origin->instance);
	add_field(out, "GANTRY_PROJECT", origin->project);
	add_field(out, "GANTRY_NODE", origin->node);
	add_field(out, "GANTRY_STREAM", stream_name(line));
	text_format(out, "GANTRY_CURSOR=%lld.%lld\n", (long long)line->boot,
		    (long long)line->sequence);
	text_str(out, "GANTRY_TIME=");
	text_time(out, line->time_ns, 9);
	text_str(out, "\n");
	if (line->flags & GANTRY_LOG_PARTIAL)
		text_str(out, "CONTAINER_PARTIAL_MESSAGE=true\n");
	for (size_t i = 0; i < text_tags(line); i++)
		add_tag(out, &line->tags->items[i]);
}

static int pass_file(int socket_fd, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_control = control.space,
				 .msg_controllen = sizeof(control.space)};

	control.head = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_by_file(struct sender *sender, const char *data, size_t length)
{
	int fd = memfd_create("gantry-log-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING), code = 0;

	if (fd < 0)
		return -errno;
	for (ssize_t count; code == 0 && length > 0; data += count, length -= (size_t)count) {
		count = write(fd, data, length);
		if (count < 0) {
			code = -errno;
			count = 0;
		}
	}
	if (code == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		code = -errno;
	if (code == 0)
		code = pass_file(sender->fd, fd);
	close(fd);
	return code;
}

static void send_items(void *sink, const struct gantry_log_item *items, size_t count,
		       struct gantry_op *op)
{
	struct sender *sender = sink;

	sender_clear(sender);
	for (size_t i = 0; i < count; i++) {
		add_entry(&sender->out, &items[i]);
		sender_end_datagram(sender);
	}
	sender_begin(sender, op);
}

static int open_sink(void *plugin, const char *name, const void *settings,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     void **ret_sink, struct gantry_error *err)
{
	struct stdout_plugin *stdout_plugin = plugin;
	const struct settings *mine = settings;
	struct address address;
	struct sender *sender;
	int code = address_parse(mine->to, SOCK_DGRAM, &address, err);

	(void)name;
	if (code == 0 && address.path.sun_family != AF_UNIX)
		code = gantry_error_field(err, -EINVAL, "to", "\"%.200s\" must be unix:///PATH",
					  mine->to);
	if (code < 0)
		return code;
	sender = take_memory(NULL, sizeof(*sender));
	sender_init(sender, &stdout_plugin->lookups, &address, lost, arg);
	sender->too_large = send_by_file;
	*ret_sink = sender;
	return 0;
}

static void close_sink(void *sink)
{
	sender_fini(sink);
	free(sink);
}

static const struct gantry_option options[] = {
	{"to", GANTRY_OPTION_STRING, "unix:///run/systemd/journal/socket",
	 offsetof(struct settings, to), "the journal's socket", false, 0, 0},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

const struct gantry_log_kind sink_journald = {
	.size = sizeof(sink_journald),
	.name = "journald",
	.summary = "entries of the systemd journal",
	.options = options,
	.settings_size = sizeof(struct settings),
	.open = open_sink,
	.send = send_items,
	.close = close_sink,
};
