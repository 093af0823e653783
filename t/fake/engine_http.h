/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's HTTP server: small, quick, and not our own core/http, so that a mistake in one is
 * not hidden by the same mistake in the other. Included once, by engine.c.
 *
 * One request at a time a connection: `busy` from the whole request until conn_end. Requests that
 * arrive meanwhile wait in `in`. Faults (engine.c's control endpoint) act before the work is done
 * (delay, status, reset, hang, garbage) or on the answer (split, delay_after, reset_after,
 * hang_after, drop_after).
 */
#ifndef FAKE_ENGINE_HTTP_H
#define FAKE_ENGINE_HTTP_H

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <strings.h>
#include <uv.h>

#include "base/json.h"
#include "base/list.h"
#include "base/str.h"

struct fault {
	struct list link;
	char *match; /* owned; a glob over "METHOD /path?query", open at the end */
	char mode[16];
	char message[80]; /* of a status */
	int64_t ms;
	int64_t count; /* how often it strikes; -1: always */
};

struct conn {
	uv_pipe_t pipe;
	uv_timer_t timer; /* delay and split */
	int open_handles;
	struct list link;
	struct str in, body, out;                    /* out: an answer on its way in pieces */
	char method[8], target[4096], *path, *query; /* both point into target */
	bool busy, closing, streaming;
	char mode[16]; /* of the fault that strikes this request, "" none */
	int64_t fault_ms;
	struct list wait_link; /* in a list of waiters, followers or subscribers */
	void *about;           /* what it waits for */
	struct json_object *filters;
	int64_t number;
	/* Where set, it is a stream of bytes; length 0: the peer has ended its side. */
	void (*raw)(struct conn *c, const char *data, size_t length);
	uv_shutdown_t shutdown;
};

static uv_loop_t fake_loop;
static int64_t connection_total, struck_total;
static bool going_down;            /* see engine.c's /fake/restart */
static struct conn *restart_asker; /* is answered once the engine listens again */
static struct list conns = {&conns, &conns}, faults = {&faults, &faults};

static void route(struct conn *c); /* in engine.c */
static void conn_process(struct conn *c);

static void conn_freed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	if (--c->open_handles > 0)
		return;
	list_remove(&c->link);
	str_fini(&c->in);
	str_fini(&c->body);
	str_fini(&c->out);
	json_object_put(c->filters);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (restart_asker == c)
		restart_asker = NULL;
	list_remove(&c->wait_link);
	uv_close((uv_handle_t *)&c->pipe, conn_freed);
	uv_close((uv_handle_t *)&c->timer, conn_freed);
}

static void write_done(uv_write_t *write, int status)
{
	(void)status;
	free(write);
}

static void conn_send(struct conn *c, const char *data, size_t length)
{
	uv_buf_t buffer = uv_buf_init((char *)data, (unsigned)length);
	uv_write_t *write;
	int sent = 0;

	if (c->closing || length == 0)
		return;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) == 0)
		sent = uv_try_write((uv_stream_t *)&c->pipe, &buffer, 1);
	if (sent < 0 && sent != UV_EAGAIN) {
		conn_close(c);
		return;
	}
	if (sent < 0)
		sent = 0;
	if ((size_t)sent == length)
		return;
	write = malloc(sizeof(*write) + length - (size_t)sent);
	memcpy(write + 1, data + sent, length - (size_t)sent);
	buffer = uv_buf_init((char *)(write + 1), (unsigned)(length - (size_t)sent));
	if (uv_write(write, (uv_stream_t *)&c->pipe, &buffer, 1, write_done) < 0)
		free(write);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	(void)status;
	conn_close(shutdown->data);
}

/* Closes once all is sent. */
static void conn_finish(struct conn *c)
{
	list_remove(&c->wait_link);
	c->shutdown.data = c;
	if (!c->closing && uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, on_shutdown) < 0)
		conn_close(c);
}

/* The request is answered: the next one of this connection may come. */
static void conn_end(struct conn *c)
{
	c->busy = c->streaming = false;
	c->about = NULL;
	list_remove(&c->wait_link);
}

/* Puts it in a list of waiters; not where it broke while it was being answered. */
static void conn_wait(struct conn *c, struct list *list)
{
	if (!c->closing)
		list_append(list, &c->wait_link);
}

static void send_piece(uv_timer_t *timer)
{
	struct conn *c = timer->data;

	if (c->closing)
		return;
	conn_send(c, c->out.data, 1);
	str_consume(&c->out, 1);
	if (c->out.length > 0) {
		uv_timer_start(&c->timer, send_piece, (uint64_t)c->fault_ms, 0);
	} else {
		c->mode[0] = '\0';
		conn_end(c);
		conn_process(c);
	}
}

static void send_late(uv_timer_t *timer)
{
	struct conn *c = timer->data;

	conn_send(c, c->out.data, c->out.length);
	str_clear(&c->out);
	conn_end(c);
	conn_process(c);
}

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 409:
		return "Conflict";
	case 500:
		return "Internal Server Error";
	default:
		return "Other";
	}
}

static void reply_bytes(struct conn *c, int status, const char *body, size_t length)
{
	static struct str text;

	str_clear(&text);
	str_addf(&text, "HTTP/1.1 %d %s\r\nApi-Version: 1.41\r\nServer: Fake/1\r\n", status,
		 status_text(status));
	if (status != 204 && status != 304)
		str_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			 length);
	str_add(&text, "\r\n");
	if (status != 204 && status != 304 && strcmp(c->method, "HEAD") != 0)
		str_add_bytes(&text, body, length);
	if (c->mode[0]) {
		str_clear(&c->out);
		str_add_bytes(&c->out, text.data, text.length);
		if (strcmp(c->mode, "split") == 0) {
			send_piece(&c->timer);
		} else if (strcmp(c->mode, "delay_after") == 0) {
			uv_timer_start(&c->timer, send_late, (uint64_t)c->fault_ms, 0);
		} else if (strcmp(c->mode, "drop_after") == 0) {
			conn_send(c, c->out.data, c->out.length - (length ? (length + 1) / 2 : 4));
			conn_close(c);
		} else if (strcmp(c->mode, "reset_after") == 0) {
			conn_close(c);
		} /* hang_after: nothing more ever comes */
		return;
	}
	conn_send(c, text.data, text.length);
	conn_end(c);
}

static void reply(struct conn *c, int status, const char *body)
{
	reply_bytes(c, status, body, strlen(body));
}

/* Takes the value over. */
static void reply_json(struct conn *c, int status, struct json_object *value)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

	reply_bytes(c, status, text, length);
	json_object_put(value);
}

__attribute__((format(printf, 3, 4))) static void reply_error(struct conn *c, int status,
							      const char *format, ...)
{
	struct json_object *value = json_object_new_object();
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_object_add(value, "message", json_object_new_string(text));
	reply_json(c, status, value);
}

/* A body of unknown length, in chunks. */
static void stream_start(struct conn *c, const char *type)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", type);
	conn_send(c, text, strlen(text));
	c->streaming = true;
}

static void stream_send(struct conn *c, const char *data, size_t length)
{
	static struct str text;

	if (length == 0)
		return;
	str_clear(&text);
	str_addf(&text, "%zx\r\n", length);
	str_add_bytes(&text, data, length);
	str_add(&text, "\r\n");
	if (strcmp(c->mode, "split") == 0) /* one byte a write: frames and lines are cut anywhere */
		for (size_t i = 0; i < text.length; i++)
			conn_send(c, text.data + i, 1);
	else
		conn_send(c, text.data, text.length);
}

static void stream_end(struct conn *c)
{
	if (strcmp(c->mode, "drop_after") == 0) {
		conn_close(c);
		return;
	}
	conn_send(c, "0\r\n\r\n", 5);
	conn_end(c);
}

/* The decoded value of a query parameter, or NULL. One call's result at a time for each place. */
static const char *query_get(struct conn *c, const char *name, char *place, size_t size)
{
	size_t length = strlen(name), out = 0;

	for (char *at = c->query; at && *at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
		if (strncmp(at, name, length) != 0 || at[length] != '=')
			continue;
		for (at += length + 1; *at && *at != '&' && out + 1 < size; at++) {
			if (*at == '%' && isxdigit((unsigned char)at[1]) &&
			    isxdigit((unsigned char)at[2])) {
				char hex[3] = {at[1], at[2], 0};

				place[out++] = (char)strtol(hex, NULL, 16);
				at += 2;
			} else {
				place[out++] = *at == '+' ? ' ' : *at;
			}
		}
		place[out] = '\0';
		return place;
	}
	return NULL;
}

static bool query_flag(struct conn *c, const char *name)
{
	char value[8];

	return query_get(c, name, value, sizeof(value)) &&
	       (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

static void route_late(uv_timer_t *timer)
{
	struct conn *c = timer->data;

	route(c);
	conn_process(c);
}

/* Picks the fault that strikes; true where the request is dealt with by it. */
static bool strike(struct conn *c)
{
	char subject[4200];

	c->mode[0] = '\0';
	if (list_empty(&faults) || strncmp(c->path, "/fake/", 6) == 0)
		return false;
	snprintf(subject, sizeof(subject), "%s %s%s%s", c->method, c->path, c->query ? "?" : "",
		 c->query ? c->query : "");
	LIST_FOREACH (node, &faults) {
		struct fault *fault = LIST_ENTRY(node, struct fault, link);
		char pattern[512];

		snprintf(pattern, sizeof(pattern), "%s*", fault->match);
		if (fault->count == 0 || fnmatch(pattern, subject, 0) != 0)
			continue;
		if (fault->count > 0)
			fault->count--;
		struck_total++;
		c->fault_ms = fault->ms;
		if (strcmp(fault->mode, "delay") == 0) {
			uv_timer_start(&c->timer, route_late, (uint64_t)fault->ms, 0);
			return true;
		}
		if (strcmp(fault->mode, "hang") == 0)
			return true;
		if (strcmp(fault->mode, "reset") == 0) {
			conn_close(c);
			return true;
		}
		if (strcmp(fault->mode, "garbage") == 0) {
			conn_send(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n", 23);
			conn_close(c);
			return true;
		}
		if (isdigit((unsigned char)fault->mode[0])) {
			reply_error(c, atoi(fault->mode), "%s", fault->message);
			return true;
		}
		snprintf(c->mode, sizeof(c->mode), "%s", fault->mode);
		return false;
	}
	return false;
}

/* Takes a whole request out of `in`: 1, 0 where more must come, -1 where it is none. */
static int take_request(struct conn *c)
{
	char *text = c->in.data, *end, *line;
	size_t head, body = 0;
	bool chunked = false;

	if (c->in.length == 0 || !(end = memmem(text, c->in.length, "\r\n\r\n", 4)))
		return 0;
	head = (size_t)(end - text) + 4;
	for (line = memchr(text, '\n', head) + 1; line < end; line = memchr(line, '\n', head) + 1) {
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			body = strtoul(line + 15, NULL, 10);
		else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0)
			chunked = true;
	}
	str_clear(&c->body);
	if (chunked) {
		size_t at = head;

		for (;;) {
			char *eol = memmem(text + at, c->in.length - at, "\r\n", 2);
			size_t size;

			if (!eol)
				return 0;
			size = strtoul(text + at, NULL, 16);
			at = (size_t)(eol - text) + 2;
			if (at + size + 2 > c->in.length)
				return 0;
			str_add_bytes(&c->body, text + at, size);
			at += size + 2;
			if (size == 0)
				break;
		}
		body = at - head;
	} else {
		if (c->in.length < head + body)
			return 0;
		str_add_bytes(&c->body, text + head, body);
	}
	if (sscanf(text, "%7s %4095s", c->method, c->target) != 2)
		return -1;
	str_consume(&c->in, head + body);
	c->path = c->target;
	c->query = strchr(c->target, '?');
	if (c->query)
		*c->query++ = '\0';
	if (c->path[0] == '/' && c->path[1] == 'v' && isdigit((unsigned char)c->path[2]))
		c->path = strchr(c->path + 1, '/') ? strchr(c->path + 1, '/') : c->path;
	return 1;
}

static void conn_process(struct conn *c)
{
	while (!c->busy && !c->closing) {
		int got = take_request(c);

		if (got == 0)
			return;
		if (got < 0) {
			conn_close(c);
			return;
		}
		c->busy = true;
		if (!strike(c))
			route(c);
	}
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
	static char memory[65536];

	(void)handle, (void)wanted;
	*buffer = uv_buf_init(memory, sizeof(memory));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct conn *c = stream->data;

	if (c->raw && (length > 0 || length == UV_EOF)) {
		c->raw(c, buffer->base, length > 0 ? (size_t)length : 0);
		return;
	}
	if (length < 0) {
		conn_close(c);
		return;
	}
	str_add_bytes(&c->in, buffer->base, (size_t)length);
	conn_process(c);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct conn *c;

	if (status < 0)
		return;
	connection_total++;
	c = xcalloc(1, sizeof(*c));
	list_init(&c->wait_link);
	uv_pipe_init(&fake_loop, &c->pipe, 0);
	uv_timer_init(&fake_loop, &c->timer);
	c->pipe.data = c->timer.data = c;
	c->open_handles = 2;
	list_append(&conns, &c->link);
	if (uv_accept(server, (uv_stream_t *)&c->pipe) < 0) {
		conn_close(c);
		return;
	}
	uv_read_start((uv_stream_t *)&c->pipe, give_buffer, on_read);
}

#endif
