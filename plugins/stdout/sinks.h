/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where lines are forwarded to; inside the stdout plugin, and of it apart from reading. One file a subject:
 *
 *   text.c           bytes that are put together: JSON, base64, times, msgpack
 *   sender.c         a batch on its way to a socket: connects, writes, notices that the receiver is gone
 *   sink_file.c      a file, rotated
 *   sink_syslog.c    RFC 5424 to a unix socket, by UDP or TCP
 *   sink_journald.c  the journal's native protocol
 *   sink_fluent.c    the Fluent forward protocol
 */
#ifndef SINKS_H
#define SINKS_H

#include <gantry/plugin.h>

#include <sys/socket.h>
#include <sys/un.h>

extern const struct gantry_log_kind sink_file, sink_syslog, sink_journald, sink_fluent;

/* --- text.c --- */

struct text {
	char *data; /* owned */
	size_t length, capacity;
};

void text_add(struct text *text, const void *data, size_t length);
void text_str(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The inside of a JSON string; data is UTF-8. */
void text_json(struct text *text, const char *data, size_t length);
void text_base64(struct text *text, const void *data, size_t length);
/* RFC 3339 in UTC with so many digits of the second's fraction, 3 to 9. */
void text_time(struct text *text, int64_t time_ns, int digits);
/* What a gap says to a person: "the engine had dropped these lines (12 lines)". */
void text_gap(struct text *text, const struct gantry_log_line *line);
void text_clear(struct text *text);
void text_fini(struct text *text);
/* How many tags it has. */
size_t text_tags(const struct gantry_log_line *line);
/* "stdout", "stderr", "gap" */
const char *stream_name(const struct gantry_log_line *line);

/* Messages of msgpack. A map or an array is followed by its members. */
void pack_array(struct text *text, size_t count);
void pack_map(struct text *text, size_t count);
void pack_uint(struct text *text, uint64_t value);
void pack_bool(struct text *text, bool value);
/* As a string where it is UTF-8, else as bytes. */
void pack_text(struct text *text, const char *data, size_t length);
void pack_string(struct text *text, const char *string);
/* Fluent's EventTime. */
void pack_time(struct text *text, int64_t time_ns);

/* --- sender.c --- */

/* The options of a sink whose settings have a member `tls`. */
#define TLS_OPTION(settings, member, kind, fallback, help)                                         \
	{                                                                                          \
		"tls_" #member, GANTRY_OPTION_##kind, fallback, offsetof(settings, tls.member),    \
			help, false, 0, 0                                                          \
	}
#define TLS_OPTIONS(settings)                                                                      \
	TLS_OPTION(settings, ca, STRING, NULL,                                                     \
		   "authority of the receiver's certificate, a PEM file; else the system's"),      \
		TLS_OPTION(settings, certificate, STRING, NULL, "our certificate, a PEM file"),    \
		TLS_OPTION(settings, key, STRING, NULL, "its key, a PEM file"),                    \
		TLS_OPTION(                                                                        \
			settings, verify, BOOL, "true",                                            \
			"verify the receiver's certificate and name; false lets anybody in between read")

struct address {
	const char *text; /* as it is in the settings; borrowed */
	int type;         /* SOCK_STREAM, SOCK_DGRAM */
	bool tls;
	struct sockaddr_un path; /* sun_family AF_UNIX; else: */
	char host[256], port[8];
};

/* What it takes: "unix:///PATH", "udp://HOST:PORT", "tcp://HOST:PORT", "tls://HOST:PORT"; unix is of the type given. */
int address_parse(const char *text, int unix_type, struct address *ret_address,
		  struct gantry_error *err);

/*
 * A sink at a socket, embedded in its owner as the first member.
 *
 *	CLOSED ─▶ RESOLVING ─▶ CONNECTING ─▶ (SECURING ─▶) OPEN ─▶ CLOSED …
 *
 * The owner fills `out`, and `ends` where each piece is a datagram, and calls sender_begin.
 */
enum sender_state {
	SENDER_CLOSED,
	SENDER_RESOLVING,
	SENDER_CONNECTING,
	SENDER_SECURING,
	SENDER_OPEN,
};

struct sender {
	const struct gantry_host *host; /* borrowed */
	struct lookups *lookups;        /* borrowed */
	struct address address;
	void (*lost)(void *arg, const struct gantry_error *err);
	void *arg;

	/* The owner's; NULL: not wanted. */
	bool (*written)(struct sender *sender); /* all is; false: sender_done comes later */
	void (*received)(struct sender *sender, const char *data, size_t length);
	int (*too_large)(struct sender *sender, const char *data, size_t length); /* one datagram */

	enum sender_state state;
	struct gantry_tls *tls;            /* owned; NULL: not encrypted */
	struct gantry_tls_socket *secured; /* owned; of fd */
	int fd;                            /* owned; -1: none */
	struct gantry_poll *poll;          /* owned; of it */
	struct lookup *lookup; /* on its way, also when nobody waits for it; NULL: none */
	struct addrinfo *addresses, *next; /* owned; the next one to try */
	struct gantry_op *op;              /* what is under way */
	struct text out;
	size_t at;
	size_t *ends; /* owned: where each datagram ends in out */
	size_t end_count, end_capacity, end_at;
};

void sender_init(struct sender *sender, struct lookups *lookups, const struct address *address,
		 void (*lost)(void *arg, const struct gantry_error *err), void *arg);
/* Reads the files that TLS needs, where the address wants it. */
int sender_secure(struct sender *sender, const struct gantry_tls_settings *settings,
		  struct gantry_error *err);
/* What is in out since the last one is a datagram. */
void sender_end_datagram(struct sender *sender);
/* Empties out; for the next batch. */
void sender_clear(struct sender *sender);
void sender_begin(struct sender *sender, struct gantry_op *op);
/* The end of what is under way; err: and of the connection. Also where nothing is. */
void sender_done(struct sender *sender, const struct gantry_error *err);
void sender_fini(struct sender *sender);

/* Names of all senders: one at a time is looked up. */
void lookups_close(struct lookups *lookups);

#endif
