/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream: one connection of its own, by libcurl's CONNECT_ONLY, and from then on bytes.
 *
 *	CONNECTING ──curl: it stands──▶ ASKING ──101, or 200 without a length──▶ OPEN
 *	     │                            │ any other answer: REFUSED, its body is read  │
 *	     └────────────────────────────┴──────────── finish, from the later-queue ◀──┘
 *
 * The happy path
 *   1. http_stream_start lets curl connect (TCP, TLS or a unix socket) in the multi.
 *   2. on_connected takes the socket, watches it, sends the request that was queued meanwhile.
 *   3. The head of the answer is read; on_open; what came behind it is the first data.
 *   4. Data goes both ways. What cannot be sent at once waits in `queue`; a reader that pauses stops
 *      the watch, so that the peer has to wait too.
 *   5. The peer ends its side: on_end without an error.
 *
 * The ways it fails, each by fail(), which keeps the first reason: curl's word, a broken connection, an
 * answer that is none, no answer in time, cancel. Every end is told from the later-queue, once.
 */
#include "loop/http_stream.h"
#include "base/clock.h"
#include "base/http_head.h"
#include "base/str.h"
#include "loop/curl_error.h"
#include "loop/curl_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_MS 10000
#define HEAD_BYTES         ((size_t)64 * 1024) /* of an answer */
#define REFUSE_BYTES       ((size_t)64 * 1024) /* of the body of a refusal */
#define READ_BYTES         ((size_t)64 * 1024)
#define READS              8                    /* in a row, so that others come to their turn */
#define HIGH_BYTES         ((size_t)256 * 1024) /* queued: the writer should wait */

enum state { STATE_CONNECTING, STATE_ASKING, STATE_REFUSED, STATE_OPEN };

/* TLS wants what it could not send once again, from the same place. */
struct piece {
	struct piece *next; /* owned */
	size_t length, sent;
	char data[];
};

struct http_streams {
	struct curl_loop curl;
	stream_tls_end_fn tls_end;
	struct list streams;
	size_t count;
	char buffer[READ_BYTES];
};

struct gantry_stream {
	struct list link;
	struct http_streams *streams;  /* borrowed */
	CURL *easy;                    /* owned */
	uv_poll_t *poll;               /* owned until it is closed; NULL: no socket yet */
	int watched;                   /* events of it */
	struct gantry_upgrade upgrade; /* the numbers and the callbacks; pointers are not used */
	struct str name, answer;
	struct piece *queue, **queue_end; /* owned */
	size_t queued;
	struct loop_later later;
	struct loop_timer timer; /* until the answer is in */
	int64_t started_us;
	enum state state;
	int status;
	int64_t body_left; /* of a refusal; -1: until the end */
	bool tls, added;
	bool blocked; /* the socket takes no more for now */
	bool behind;  /* the writer was told to wait */
	bool paused;
	bool shut, shutting;         /* our side has ended; is to when the queue is empty */
	bool ended;                  /* finish is on its way */
	struct gantry_error failure; /* code 0: none */
	char curl_words[CURL_ERROR_SIZE];
};

static void on_connected(void *arg, CURLcode code);
static void on_later(struct loop_later *later);
static void on_timer(struct loop_timer *timer);
static void write_queue(struct gantry_stream *stream);
static void watch(struct gantry_stream *stream);

int http_streams_open(struct loop *loop, stream_tls_end_fn tls_end,
		      struct http_streams **ret_streams)
{
	struct http_streams *streams = xcalloc(1, sizeof(*streams));
	int code = curl_loop_init(&streams->curl, loop, on_connected);

	if (code < 0) {
		free(streams);
		return code;
	}
	streams->tls_end = tls_end;
	list_init(&streams->streams);
	*ret_streams = streams;
	return 0;
}

void http_streams_close(struct http_streams *streams)
{
	if (!streams)
		return;
	curl_loop_fini(&streams->curl);
	free(streams);
}

size_t http_streams_pending(const struct http_streams *streams)
{
	return streams ? streams->count : 0;
}

void http_streams_walk(struct http_streams *streams,
		       void (*fn)(void *arg, const char *name, int64_t age_ms), void *arg)
{
	if (!streams)
		return;
	LIST_FOREACH (node, &streams->streams) {
		struct gantry_stream *stream = LIST_ENTRY(node, struct gantry_stream, link);

		fn(arg, str_text(&stream->name),
		   (clock_monotonic_us() - stream->started_us) / 1000);
	}
}

/* --- its ends ------------------------------------------------------------------------------------ */

static void end(struct gantry_stream *stream)
{
	stream->ended = true;
	loop_later(stream->streams->curl.loop, &stream->later);
}

__attribute__((format(printf, 3, 4))) static void fail(struct gantry_stream *stream, int code,
						       const char *format, ...)
{
	va_list args;

	if (!stream->ended) {
		va_start(args, format);
		gantry_error_setv(&stream->failure, code, format, args);
		va_end(args);
	}
	end(stream);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void finish(struct gantry_stream *stream)
{
	struct http_streams *streams = stream->streams;
	const struct gantry_error *err = stream->failure.code ? &stream->failure : NULL;

	loop_timer_stop(streams->curl.loop, &stream->timer);
	loop_later_cancel(streams->curl.loop, &stream->later);
	if (stream->poll) {
		uv_poll_stop(stream->poll);
		uv_close((uv_handle_t *)stream->poll, on_poll_closed);
	}
	if (stream->added)
		curl_multi_remove_handle(streams->curl.multi, stream->easy);
	if (stream->easy)
		curl_easy_cleanup(stream->easy);
	list_remove(&stream->link);
	streams->count--;
	stream->upgrade.on_end(stream->upgrade.arg, err, stream->status, str_text(&stream->answer),
			       stream->answer.length);
	while (stream->queue) {
		struct piece *piece = stream->queue;

		stream->queue = piece->next;
		free(piece);
	}
	str_fini(&stream->name);
	str_fini(&stream->answer);
	free(stream);
}

void http_stream_cancel(struct gantry_stream *stream)
{
	fail(stream, -ECANCELED, "cancelled");
}

/* --- its beginning ------------------------------------------------------------------------------- */

static void queue_piece(struct gantry_stream *stream, const void *data, size_t length)
{
	struct piece *piece = xmalloc(sizeof(*piece) + length);

	*piece = (struct piece){.length = length};
	memcpy(piece->data, data, length);
	*stream->queue_end = piece;
	stream->queue_end = &piece->next;
	stream->queued += length;
}

static void queue_request(struct gantry_stream *stream, const struct gantry_upgrade *upgrade)
{
	const char *host = strstr(upgrade->peer->base_url, "//");
	struct str text = STR_INIT;

	host = host ? host + 2 : upgrade->peer->base_url;
	str_addf(&text, "%s %s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: gantry\r\n", upgrade->method,
		 upgrade->path, (int)strcspn(host, "/"), host);
	str_add(&text, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
	if (upgrade->content_type)
		str_addf(&text, "Content-Type: %s\r\n", upgrade->content_type);
	str_addf(&text, "Content-Length: %zu\r\n\r\n", upgrade->body_length);
	if (upgrade->body_length)
		str_add_bytes(&text, upgrade->body, upgrade->body_length);
	queue_piece(stream, text.data, text.length);
	str_fini(&text);
}

static void connect_it(struct gantry_stream *stream, const struct gantry_http_peer *peer)
{
	struct curl_loop *curl = &stream->streams->curl;
	CURLMcode code;

	stream->easy = curl_easy_init();
	if (!stream->easy) {
		fail(stream, -ENOMEM, "out of memory for a connection");
		return;
	}
	curl_loop_set_peer(stream->easy, peer, stream->upgrade.connect_timeout_ms);
	curl_easy_setopt(stream->easy, CURLOPT_PRIVATE, stream);
	curl_easy_setopt(stream->easy, CURLOPT_ERRORBUFFER, stream->curl_words);
	curl_easy_setopt(stream->easy, CURLOPT_URL, peer->base_url);
	curl_easy_setopt(stream->easy, CURLOPT_CONNECT_ONLY, 1L);
	code = curl_multi_add_handle(curl->multi, stream->easy);
	if (code != CURLM_OK)
		fail(stream, -EIO, "%s", curl_multi_strerror(code));
	else
		stream->added = true;
}

struct gantry_stream *http_stream_start(struct http_streams *streams,
					const struct gantry_upgrade *upgrade)
{
	struct gantry_stream *stream = xcalloc(1, sizeof(*stream));

	stream->streams = streams;
	stream->upgrade = *upgrade;
	if (!upgrade->connect_timeout_ms)
		stream->upgrade.connect_timeout_ms = CONNECT_TIMEOUT_MS;
	stream->queue_end = &stream->queue;
	stream->started_us = clock_monotonic_us();
	stream->tls = str_starts_with(upgrade->peer->base_url, "https:");
	loop_later_init(&stream->later, on_later);
	loop_timer_init(&stream->timer, on_timer);
	list_append(&streams->streams, &stream->link);
	streams->count++;
	str_addf(&stream->name, "%s %s%s", upgrade->method, upgrade->peer->base_url, upgrade->path);
	queue_request(stream, upgrade);
	connect_it(stream, upgrade->peer);
	return stream;
}

static void on_connected(void *arg, CURLcode code)
{
	struct gantry_stream *stream = arg;
	struct curl_loop *curl = &stream->streams->curl;
	const struct curl_attempt attempt = {
		.peer = stream->upgrade.peer,
		.words = stream->curl_words,
		.connect_timeout_ms = stream->upgrade.connect_timeout_ms,
	};
	curl_socket_t socket = CURL_SOCKET_BAD;
	struct gantry_error err;

	if (stream->ended)
		return;
	if (code != CURLE_OK) {
		curl_error(stream->easy, code, &attempt, &err);
		fail(stream, err.code, "%s", err.text);
		return;
	}
	curl_easy_getinfo(stream->easy, CURLINFO_ACTIVESOCKET, &socket);
	stream->poll = xcalloc(1, sizeof(*stream->poll));
	if (socket == CURL_SOCKET_BAD ||
	    uv_poll_init_socket(&curl->loop->uv, stream->poll, socket) < 0) {
		free(stream->poll);
		stream->poll = NULL;
		fail(stream, -EIO, "the connection cannot be watched");
		return;
	}
	stream->poll->data = stream;
	stream->state = STATE_ASKING;
	if (stream->upgrade.reply_timeout_ms)
		loop_timer_start(curl->loop, &stream->timer, stream->upgrade.reply_timeout_ms);
	write_queue(stream);
	watch(stream);
}

static void on_timer(struct loop_timer *timer)
{
	struct gantry_stream *stream = LIST_ENTRY(timer, struct gantry_stream, timer);

	fail(stream, -ETIMEDOUT, "no answer within %lld ms",
	     (long long)stream->upgrade.reply_timeout_ms);
}

/* --- writing ------------------------------------------------------------------------------------- */

/* OpenSSL's connection. NULL: this libcurl uses another library. */
static void *ssl_of(struct gantry_stream *stream)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(stream->easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
	    info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

static void shut_now(struct gantry_stream *stream)
{
	uv_os_fd_t fd;

	if (stream->tls && stream->streams->tls_end(ssl_of(stream)) == -EAGAIN) {
		stream->shutting = stream->blocked = true;
		return;
	}
	stream->shutting = false;
	stream->shut = true;
	if (!stream->tls && uv_fileno((uv_handle_t *)stream->poll, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

static void write_queue(struct gantry_stream *stream)
{
	stream->blocked = false;
	while (stream->queue && !stream->ended) {
		struct piece *piece = stream->queue;
		size_t count = 0;
		CURLcode code = curl_easy_send(stream->easy, piece->data + piece->sent,
					       piece->length - piece->sent, &count);

		if (code == CURLE_AGAIN) {
			stream->blocked = true;
			return;
		}
		if (code != CURLE_OK) {
			/* what the peer said before it went, a refusal perhaps, is still read */
			if (stream->state != STATE_OPEN && !stream->tls) {
				stream->shut = true;
				return;
			}
			fail(stream, -ECONNRESET, "the connection broke");
			return;
		}
		piece->sent += count;
		stream->queued -= count;
		if (piece->sent < piece->length)
			continue;
		stream->queue = piece->next;
		if (!stream->queue)
			stream->queue_end = &stream->queue;
		free(piece);
	}
	if (stream->shutting && !stream->ended)
		shut_now(stream);
}

bool http_stream_send(struct gantry_stream *stream, const void *data, size_t length)
{
	if (stream->state != STATE_OPEN || stream->ended || stream->shut || stream->shutting)
		return false;
	if (length)
		queue_piece(stream, data, length);
	if (!stream->blocked) {
		write_queue(stream);
		watch(stream);
	}
	if (stream->queued <= HIGH_BYTES)
		return true;
	stream->behind = true;
	return false;
}

int http_stream_shutdown(struct gantry_stream *stream)
{
	if (stream->state != STATE_OPEN || stream->ended || stream->shut)
		return 0;
	if (stream->tls && !ssl_of(stream))
		return -ENOTSUP;
	stream->shutting = true;
	if (!stream->queue) {
		shut_now(stream);
		watch(stream);
	}
	return 0;
}

static void tell_drain(struct gantry_stream *stream)
{
	if (!stream->behind || stream->queued > HIGH_BYTES / 2 || stream->ended)
		return;
	stream->behind = false;
	stream->upgrade.on_drain(stream->upgrade.arg);
}

/* --- reading ------------------------------------------------------------------------------------- */

/* The head is in, ended by an empty line that is not part of it. */
static void read_head(struct gantry_stream *stream, const char *head)
{
	const char *length = http_head_find(head, "Content-Length");
	const char *encoding = http_head_find(head, "Transfer-Encoding");
	int minor, status;

	if (sscanf(head, "HTTP/1.%d %d", &minor, &status) != 2 || status < 100 || status > 599) {
		fail(stream, -EPROTO, "not an answer in HTTP");
		return;
	}
	if (status < 200 && status != 101)
		return; /* an interim answer: the real one follows */
	stream->status = status;
	if (status == 101 || (status == 200 && !length && !encoding)) {
		loop_timer_stop(stream->streams->curl.loop, &stream->timer);
		stream->state = STATE_OPEN;
		stream->upgrade.on_open(stream->upgrade.arg);
		return;
	}
	stream->state = STATE_REFUSED;
	stream->body_left = length ? strtoll(length, NULL, 10) : -1;
	if (stream->body_left == 0)
		end(stream);
}

/* Bytes of the answer until its head is whole; returns how many were of the head. */
static size_t take_head(struct gantry_stream *stream, const char *data, size_t length)
{
	size_t before = stream->answer.length, from = before > 3 ? before - 3 : 0, used;
	char *found;

	str_add_bytes(&stream->answer, data, length);
	found = memmem(stream->answer.data + from, stream->answer.length - from, "\r\n\r\n", 4);
	if (!found) {
		if (stream->answer.length > HEAD_BYTES)
			fail(stream, -EPROTO, "the answer has no end of its headers");
		return length;
	}
	used = (size_t)(found - stream->answer.data) + 4 - before;
	found[2] = '\0';
	read_head(stream, stream->answer.data);
	str_clear(&stream->answer);
	return used;
}

static void take_body(struct gantry_stream *stream, const char *data, size_t length)
{
	if (stream->body_left >= 0 && length > (size_t)stream->body_left)
		length = (size_t)stream->body_left;
	if (stream->answer.length + length <= REFUSE_BYTES)
		str_add_bytes(&stream->answer, data, length);
	if (stream->body_left < 0)
		return;
	stream->body_left -= (int64_t)length;
	if (stream->body_left == 0)
		end(stream);
}

static void take(struct gantry_stream *stream, const char *data, size_t length)
{
	while (length && !stream->ended) {
		size_t used = length;

		if (stream->state == STATE_ASKING)
			used = take_head(stream, data, length);
		else if (stream->state == STATE_REFUSED)
			take_body(stream, data, length);
		else
			stream->upgrade.on_data(stream->upgrade.arg, data, length);
		data += used;
		length -= used;
	}
}

/* The peer has ended its side, well or not. */
static void read_end(struct gantry_stream *stream, bool broken)
{
	if (stream->state == STATE_ASKING)
		fail(stream, -ECONNRESET, "the connection broke before the answer came");
	else if (broken && stream->state == STATE_OPEN)
		fail(stream, -ECONNRESET, "the connection broke");
	else
		end(stream);
}

/* A pause is about data: the answer is read nevertheless. */
static bool rests(const struct gantry_stream *stream)
{
	return stream->paused && stream->state == STATE_OPEN;
}

static void read_some(struct gantry_stream *stream)
{
	char *buffer = stream->streams->buffer;

	for (int i = 0; i < READS && !stream->ended && !rests(stream); i++) {
		size_t count = 0;
		CURLcode code = curl_easy_recv(stream->easy, buffer, READ_BYTES, &count);

		if (code == CURLE_AGAIN)
			return;
		if (code != CURLE_OK || count == 0) {
			read_end(stream, code != CURLE_OK);
			return;
		}
		take(stream, buffer, count);
	}
	/* TLS may hold more than the socket tells of */
	if (!rests(stream))
		loop_later(stream->streams->curl.loop, &stream->later);
}

void http_stream_pause(struct gantry_stream *stream, bool paused)
{
	if (stream->paused == paused || stream->ended)
		return;
	stream->paused = paused;
	if (!paused && stream->poll)
		loop_later(stream->streams->curl.loop, &stream->later);
	watch(stream);
}

/* --- the loop ------------------------------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct gantry_stream *stream = poll->data;

	if (stream->ended)
		return;
	if (status < 0)
		stream->watched = 0; /* libuv has stopped it */
	if (status < 0 || (events & UV_WRITABLE))
		write_queue(stream);
	if (status < 0 || (events & UV_READABLE))
		read_some(stream);
	tell_drain(stream);
	watch(stream);
}

static void watch(struct gantry_stream *stream)
{
	int events = 0;

	if (!stream->poll)
		return;
	if (!stream->ended && !rests(stream))
		events |= UV_READABLE;
	if (!stream->ended && stream->blocked)
		events |= UV_WRITABLE;
	if (events == stream->watched)
		return; /* libuv would take it out of the kernel's set and put it in again */
	stream->watched = events;
	if (events)
		uv_poll_start(stream->poll, events, on_poll);
	else
		uv_poll_stop(stream->poll);
}

static void on_later(struct loop_later *later)
{
	struct gantry_stream *stream = LIST_ENTRY(later, struct gantry_stream, later);

	if (!stream->ended) {
		read_some(stream);
		tell_drain(stream);
		watch(stream);
	}
	if (stream->ended)
		finish(stream);
}
