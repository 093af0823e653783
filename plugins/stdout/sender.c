/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch on its way to a socket.
 *
 *	begin ─▶ resolve ─▶ connect ─▶ (TLS) ─▶ write … write ─▶ (the owner waits for an answer) ─▶ done
 *	             names on the pool              └ each time the socket has room
 *
 * A name that does not resolve may keep a thread for half a minute. So one is asked at a time, and what comes
 * when nobody waits any more is for the next batch.
 *
 * The connection stays open for the next batch. It ends
 *   no connection        what is under way fails
 *   it breaks            so does that; and what was written before may not have been read: lost. That a
 *                        receiver has gone is known at once of a stream, else by the next datagram
 *   the op is cancelled  at once
 * Nothing is tried again here: the core sends the batch anew.
 */
#include "sinks.h"
#include "stdout.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Data that the other side does not acknowledge for so long ends the connection. */
#define UNACKNOWLEDGED_MS 8000

/* A name on its way to addresses: in line, then on the pool. */
struct lookup {
	struct lookup *next;
	struct lookups *lookups; /* borrowed; NULL: the plugin is closed */
	struct sender *sender;   /* borrowed; NULL: it is gone */
	bool cancelled;          /* the sender does not wait any more */
	char name[256], port[8];
	int type, result;
	struct addrinfo *found; /* owned */
};

static void connect_next(struct sender *sender, struct gantry_error *err);

/* --- addresses ----------------------------------------------------------------------------------- */

static int parse_host(const char *text, struct address *address, struct gantry_error *err)
{
	const char *colon = strrchr(text, ':'), *from = text;
	size_t length = colon ? (size_t)(colon - text) : 0;
	char *end;

	if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
		from++;
		length -= 2;
	}
	if (!colon || length == 0 || length >= sizeof(address->host) ||
	    strtol(colon + 1, &end, 10) < 1 || strtol(colon + 1, &end, 10) > 65535 || *end)
		return gantry_error_field(err, -EINVAL, "to",
					  "\"%.200s\" must name HOST:PORT after //", address->text);
	snprintf(address->host, sizeof(address->host), "%.*s", (int)length, from);
	snprintf(address->port, sizeof(address->port), "%ld", strtol(colon + 1, NULL, 10));
	return 0;
}

int address_parse(const char *text, int unix_type, struct address *ret_address,
		  struct gantry_error *err)
{
	struct address *address = ret_address;

	*address = (struct address){.text = text, .type = unix_type};
	if (strncmp(text, "unix://", 7) == 0) {
		if (text[7] != '/' || strlen(text + 7) >= sizeof(address->path.sun_path))
			return gantry_error_field(
				err, -EINVAL, "to",
				"\"%.200s\" must be unix:// and a path from / on of less than %zu bytes",
				text, sizeof(address->path.sun_path));
		address->path.sun_family = AF_UNIX;
		memcpy(address->path.sun_path, text + 7, strlen(text + 7));
		return 0;
	}
	address->type = strncmp(text, "udp://", 6) == 0 ? SOCK_DGRAM : SOCK_STREAM;
	address->tls = strncmp(text, "tls://", 6) == 0;
	if (address->type == SOCK_STREAM && !address->tls && strncmp(text, "tcp://", 6) != 0)
		return gantry_error_field(err, -EINVAL, "to",
					  "\"%.200s\" must be unix:///PATH, udp://HOST:PORT, "
					  "tcp://HOST:PORT or tls://HOST:PORT",
					  text);
	return parse_host(text + 6, address, err);
}

/* --- the end ------------------------------------------------------------------------------------- */

static void drop_socket(struct sender *sender)
{
	if (sender->secured)
		sender->host->tls_end(sender->secured);
	if (sender->poll)
		sender->host->poll_close(sender->poll);
	if (sender->fd >= 0)
		close(sender->fd);
	sender->secured = NULL;
	sender->poll = NULL;
	sender->fd = -1;
}

static void shut(struct sender *sender)
{
	drop_socket(sender);
	if (sender->lookup)
		sender->lookup->cancelled = true;
	if (sender->addresses)
		freeaddrinfo(sender->addresses);
	sender->addresses = sender->next = NULL;
	sender->state = SENDER_CLOSED;
}

void sender_done(struct sender *sender, const struct gantry_error *err)
{
	struct gantry_op *op = sender->op;

	sender->op = NULL;
	if (err)
		shut(sender);
	else if (sender->poll)
		sender->host->poll_set(sender->poll, true, false);
	if (!op)
		return;
	sender->host->op_on_cancel(op, NULL, NULL);
	sender->host->op_done(op, err, NULL);
}

/* What its receiver had not read goes with the connection. */
static void break_off(struct sender *sender, const struct gantry_error *err)
{
	sender_done(sender, err);
	sender->lost(sender->arg, err); /* the next batch may come at once */
}

/* The connection is broken; what is NULL: as code says. */
static void fail(struct sender *sender, int code, const char *what)
{
	struct gantry_error err;

	gantry_error_set(&err, code, "%s: %s", sender->address.text, what ? what : strerror(-code));
	break_off(sender, &err);
}

static void on_cancel(void *arg)
{
	struct sender *sender = arg;
	bool was_open = sender->state == SENDER_OPEN;
	struct gantry_error err;

	gantry_error_set(&err, -ETIMEDOUT, "%s: %s", sender->address.text,
			 !was_open                         ? "no connection yet"
			 : sender->at < sender->out.length ? "it does not take what it is sent"
							   : "it does not acknowledge");
	if (was_open)
		break_off(sender, &err);
	else
		sender_done(sender, &err);
}

/* --- writing ------------------------------------------------------------------------------------- */

static ssize_t write_some(struct sender *sender)
{
	const char *data = sender->out.data + sender->at;
	size_t length = sender->out.length - sender->at;
	ssize_t count;

	if (sender->end_count)
		length = sender->ends[sender->end_at] - sender->at;
	if (sender->secured) {
		count = sender->host->tls_write(sender->secured, data, length);
		return count == 0 ? -EPIPE : count;
	}
	count = send(sender->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (count < 0)
		count = -errno;
	if (sender->end_count && count == -EMSGSIZE && sender->too_large)
		count = sender->too_large(sender, data, length);
	if (!sender->end_count || count < 0)
		return count;
	sender->end_at++;
	return (ssize_t)length;
}

static void write_all(struct sender *sender)
{
	ssize_t count = 0;

	while (sender->at < sender->out.length && (count = write_some(sender)) > 0)
		sender->at += (size_t)count;
	if (sender->at == sender->out.length) {
		sender->host->poll_set(sender->poll, true, false);
		if (!sender->written || sender->written(sender))
			sender_done(sender, NULL);
	} else if (count == -EAGAIN || count == -EINTR || count == -ENOBUFS) {
		sender->host->poll_set(sender->poll, true, true);
	} else {
		fail(sender, (int)count, NULL);
	}
}

static ssize_t read_some(struct sender *sender, char *data, size_t size)
{
	ssize_t count;

	if (sender->secured)
		return sender->host->tls_read(sender->secured, data, size);
	count = recv(sender->fd, data, size, MSG_DONTWAIT);
	return count < 0 ? -errno : count;
}

/* False: the connection has ended. */
static bool read_all(struct sender *sender)
{
	char data[4096];
	ssize_t count;

	while ((count = read_some(sender, data, sizeof(data))) > 0) {
		if (sender->received)
			sender->received(sender, data, (size_t)count);
		if (sender->state != SENDER_OPEN)
			return false;
	}
	if (count < 0 && count != -EAGAIN && count != -EINTR)
		fail(sender, (int)count, NULL);
	else if (count == 0 && sender->address.type == SOCK_STREAM)
		fail(sender, -EPIPE, "the receiver has closed the connection");
	return sender->state == SENDER_OPEN;
}

/* --- connecting ---------------------------------------------------------------------------------- */

static void opened(struct sender *sender)
{
	sender->state = SENDER_OPEN;
	write_all(sender);
}

/* The handshake goes on. */
static void secure(struct sender *sender)
{
	bool writes = false;
	const char *why;
	struct gantry_error err;
	int code = sender->host->tls_handshake(sender->secured, &writes, &why);

	if (code == 0) {
		opened(sender);
	} else if (code == -EAGAIN) {
		sender->host->poll_set(sender->poll, !writes, writes);
	} else {
		gantry_error_set(&err, code, "%s: TLS: %s", sender->address.text, why);
		connect_next(sender, &err);
	}
}

static void connected(struct sender *sender)
{
	if (!sender->tls) {
		opened(sender);
		return;
	}
	sender->state = SENDER_SECURING;
	sender->secured = sender->host->tls_begin(sender->tls, sender->fd, sender->address.host);
	secure(sender);
}

static void on_ready(void *arg, bool readable, bool writable)
{
	struct sender *sender = arg;
	struct gantry_error err;
	int code = 0;
	socklen_t length = sizeof(code);

	if (sender->state == SENDER_CONNECTING) {
		getsockopt(sender->fd, SOL_SOCKET, SO_ERROR, &code, &length);
		if (code == 0) {
			connected(sender);
			return;
		}
		gantry_error_set(&err, -code, "%s: %s", sender->address.text, strerror(code));
		connect_next(sender, &err);
		return;
	}
	if (sender->state == SENDER_SECURING) {
		secure(sender);
		return;
	}
	if ((!readable || read_all(sender)) && writable && sender->op &&
	    sender->at < sender->out.length)
		write_all(sender);
}

/* 0: it is connected, or will be, as ready will tell. */
static int try_address(struct sender *sender, const struct sockaddr *address, socklen_t length,
		       struct gantry_error *err)
{
	int on = 1, limit = UNACKNOWLEDGED_MS, code = 0;

	drop_socket(sender);
	sender->fd =
		socket(address->sa_family, sender->address.type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sender->fd < 0 || (connect(sender->fd, address, length) < 0 && errno != EINPROGRESS))
		code = -errno;
	if (code < 0)
		return gantry_error_set(err, code, "%s: %s", sender->address.text, strerror(-code));
	if (address->sa_family != AF_UNIX && sender->address.type == SOCK_STREAM) {
		setsockopt(sender->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(sender->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(sender->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
	}
	code = sender->host->poll(sender->host->core, sender->fd, on_ready, sender, &sender->poll,
				  err);
	if (code == 0)
		sender->host->poll_set(sender->poll, false, true);
	return code;
}

/* err: of the last attempt, told where there is no other. */
static void connect_next(struct sender *sender, struct gantry_error *err)
{
	sender->state = SENDER_CONNECTING;
	while (sender->next) {
		const struct addrinfo *next = sender->next;

		sender->next = next->ai_next;
		if (try_address(sender, next->ai_addr, next->ai_addrlen, err) == 0)
			return;
	}
	sender_done(sender, err);
}

static void run_lookup(void *arg)
{
	struct lookup *lookup = arg;
	const struct addrinfo hints = {.ai_socktype = lookup->type, .ai_flags = AI_ADDRCONFIG};

	lookup->result = getaddrinfo(lookup->name, lookup->port, &hints, &lookup->found);
}

static void on_found(void *arg);

static void look_up_first(struct lookups *lookups)
{
	if (lookups->first)
		lookups->host->work(lookups->host->core, run_lookup, on_found, lookups->first);
}

static void on_found(void *arg)
{
	struct lookup *lookup = arg;
	struct sender *sender = lookup->sender;
	struct gantry_error err;

	if (lookup->lookups) {
		lookup->lookups->first = lookup->next;
		look_up_first(lookup->lookups);
	}
	if (sender) {
		sender->lookup = NULL;
		sender->addresses = sender->next = lookup->found;
	} else if (lookup->found) {
		freeaddrinfo(lookup->found);
	}
	if (sender && !lookup->cancelled) {
		gantry_error_set(&err, -EHOSTUNREACH, "%s: %s", sender->address.text,
				 gai_strerror(lookup->result));
		connect_next(sender, &err);
	}
	free(lookup);
}

void lookups_close(struct lookups *lookups)
{
	if (lookups->first) /* the one on the pool: senders are gone, and took theirs out of the line */
		lookups->first->lookups = NULL;
}

static void stand_in_line(struct sender *sender)
{
	struct lookup *lookup = take_memory(NULL, sizeof(*lookup)), **at = &sender->lookups->first;

	*lookup = (struct lookup){
		.lookups = sender->lookups, .sender = sender, .type = sender->address.type};
	memcpy(lookup->name, sender->address.host, sizeof(lookup->name));
	memcpy(lookup->port, sender->address.port, sizeof(lookup->port));
	sender->lookup = lookup;
	while (*at)
		at = &(*at)->next;
	*at = lookup;
	if (sender->lookups->first == lookup)
		look_up_first(sender->lookups);
}

static void leave_line(struct lookup *lookup)
{
	struct lookup **at = &lookup->lookups->first;

	lookup->sender = NULL;
	if (*at == lookup)
		return; /* on the pool */
	while (*at != lookup)
		at = &(*at)->next;
	*at = lookup->next;
	free(lookup);
}

static void resolve(struct sender *sender)
{
	const struct addrinfo numeric = {.ai_socktype = sender->address.type,
					 .ai_flags = AI_NUMERICHOST};
	struct gantry_error err;

	if (sender->addresses || getaddrinfo(sender->address.host, sender->address.port, &numeric,
					     &sender->addresses) == 0) {
		sender->next = sender->addresses;
		connect_next(sender, &err);
		return;
	}
	sender->state = SENDER_RESOLVING;
	if (sender->lookup)
		sender->lookup->cancelled = false;
	else
		stand_in_line(sender);
}

/* --- what owners call ---------------------------------------------------------------------------- */

void sender_init(struct sender *sender, struct lookups *lookups, const struct address *address,
		 void (*lost)(void *arg, const struct gantry_error *err), void *arg)
{
	*sender = (struct sender){.host = lookups->host,
				  .lookups = lookups,
				  .address = *address,
				  .lost = lost,
				  .arg = arg,
				  .fd = -1};
}

int sender_secure(struct sender *sender, const struct gantry_tls_settings *settings,
		  struct gantry_error *err)
{
	const char *file = settings->ca            ? "tls_ca"
			   : settings->certificate ? "tls_certificate"
			   : settings->key         ? "tls_key"
						   : NULL;

	if (sender->address.tls && !GANTRY_HOST_HAS(sender->host, tls_end))
		return gantry_error_field(err, -ENOTSUP, "to", "this gantryd offers no TLS");
	if (sender->address.tls)
		return sender->host->tls_open(settings, &sender->tls, err);
	return file ? gantry_error_field(err, -EINVAL, file,
					 "is for tls://HOST:PORT only, not for \"%.200s\"",
					 sender->address.text)
		    : 0;
}

void sender_end_datagram(struct sender *sender)
{
	if (sender->end_count == sender->end_capacity) {
		sender->end_capacity = sender->end_capacity ? 2 * sender->end_capacity : 64;
		sender->ends = take_memory(sender->ends, sender->end_capacity * sizeof(size_t));
	}
	sender->ends[sender->end_count++] = sender->out.length;
}

void sender_clear(struct sender *sender)
{
	text_clear(&sender->out);
	sender->at = 0;
	sender->end_count = sender->end_at = 0;
}

void sender_begin(struct sender *sender, struct gantry_op *op)
{
	struct gantry_error err;

	sender->op = op;
	sender->host->op_on_cancel(op, on_cancel, sender);
	if (!sender->op)
		return; /* it was cancelled before */
	if (sender->state == SENDER_OPEN) {
		write_all(sender);
	} else if (sender->address.path.sun_family == AF_UNIX) {
		sender->state = SENDER_CONNECTING;
		if (try_address(sender, (const struct sockaddr *)&sender->address.path,
				sizeof(sender->address.path), &err) < 0)
			sender_done(sender, &err);
	} else {
		resolve(sender);
	}
}

void sender_fini(struct sender *sender)
{
	shut(sender);
	if (sender->lookup)
		leave_line(sender->lookup);
	if (sender->tls)
		sender->host->tls_close(sender->tls);
	text_fini(&sender->out);
	free(sender->ends);
}
