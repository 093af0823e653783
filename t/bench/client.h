/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking HTTP client on one kept-alive unix socket, for clients that take time: a request is one
 * write, a reply is read to its last byte, nothing is allocated on the way. Whatever goes wrong ends
 * the program with a sentence.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BENCH_BUFFER_BYTES (1 << 20)

struct bench_conn {
	int fd;
	int status;       /* of the last reply */
	const char *body; /* of the last reply, ends with NUL; inside buffer */
	size_t length;
	char buffer[BENCH_BUFFER_BYTES];
	char request[65536];
};

static inline void bench_fail(const char *what, const char *detail)
{
	fprintf(stderr, "bench: %s: %.2000s\n", what, detail);
	exit(1);
}

static inline int64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline struct bench_conn *bench_open(const char *path)
{
	struct bench_conn *conn = xcalloc(1, sizeof(*conn));
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	conn->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_fail(path, strerror(errno));
	return conn;
}

static inline void bench_close(struct bench_conn *conn)
{
	close(conn->fd);
	free(conn);
}

static inline void bench_send(struct bench_conn *conn, const char *method, const char *target,
			      const char *body)
{
	size_t sent = 0, length;

	length =
		(size_t)snprintf(conn->request, sizeof(conn->request),
				 "%s %s HTTP/1.1\r\nHost: bench\r\n%sContent-Length: %zu\r\n\r\n%s",
				 method, target, body ? "Content-Type: application/json\r\n" : "",
				 body ? strlen(body) : 0, body ? body : "");
	if (length >= sizeof(conn->request))
		bench_fail(target, "the request is too long");
	while (sent < length) {
		ssize_t count = write(conn->fd, conn->request + sent, length - sent);

		if (count < 0 && errno != EINTR)
			bench_fail(target, strerror(errno));
		sent += count > 0 ? (size_t)count : 0;
	}
}

static inline size_t bench_read(struct bench_conn *conn, size_t have)
{
	ssize_t count;

	if (have >= sizeof(conn->buffer) - 1)
		bench_fail("reply", "is too long");
	do {
		count = read(conn->fd, conn->buffer + have, sizeof(conn->buffer) - 1 - have);
	} while (count < 0 && errno == EINTR);
	if (count <= 0)
		bench_fail("reply", count < 0 ? strerror(errno) : "the connection was closed");
	conn->buffer[have + (size_t)count] = '\0';
	return have + (size_t)count;
}

/* Puts the chunks that begin at `at` together, reading on as needed. */
static inline void bench_read_chunks(struct bench_conn *conn, size_t at, size_t have)
{
	size_t to = at;

	conn->body = conn->buffer + at;
	for (;;) {
		size_t size;
		char *line;

		while (!(line = strstr(conn->buffer + at, "\r\n")))
			have = bench_read(conn, have);
		size = strtoul(conn->buffer + at, NULL, 16);
		at = (size_t)(line - conn->buffer) + 2;
		while (have < at + size + 2)
			have = bench_read(conn, have);
		memmove(conn->buffer + to, conn->buffer + at, size);
		to += size;
		at += size + 2;
		if (size == 0)
			break;
	}
	conn->length = to - (size_t)(conn->body - conn->buffer);
	conn->buffer[to] = '\0';
}

static inline int bench_receive(struct bench_conn *conn)
{
	const char *end, *field;
	size_t have = 0, head;

	conn->buffer[0] = '\0';
	while (!(end = strstr(conn->buffer, "\r\n\r\n")))
		have = bench_read(conn, have);
	head = (size_t)(end - conn->buffer) + 4;
	conn->status = atoi(conn->buffer + strlen("HTTP/1.1 "));
	conn->body = conn->buffer + head;
	conn->length = 0;
	field = strcasestr(conn->buffer, "\r\nTransfer-Encoding: chunked");
	if (field && field < end + 2) {
		bench_read_chunks(conn, head, have);
		return conn->status;
	}
	field = strcasestr(conn->buffer, "\r\nContent-Length:");
	if (field && field < end && conn->status != 204 && conn->status != 304)
		conn->length = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	while (have < head + conn->length)
		have = bench_read(conn, have);
	if (have != head + conn->length)
		bench_fail("reply", "is followed by something");
	return conn->status;
}

/* The status; the whole reply is there when it returns. */
static inline int bench_ask(struct bench_conn *conn, const char *method, const char *target,
			    const char *body)
{
	bench_send(conn, method, target, body);
	return bench_receive(conn);
}

/* As bench_ask, for one that must be answered with `status`. */
static inline void bench_want(struct bench_conn *conn, int status, const char *method,
			      const char *target, const char *body)
{
	if (bench_ask(conn, method, target, body) != status) {
		fprintf(stderr, "bench: %s %s: %d, not %d\n", method, target, conn->status, status);
		bench_fail("the answer was", conn->body);
	}
}

/* Copies the text that follows the first `"key":"` (spaces or none) of the last reply. */
static inline void bench_text(const struct bench_conn *conn, const char *key, char *text,
			      size_t size)
{
	char mark[64];
	const char *at;

	snprintf(mark, sizeof(mark), "\"%s\":", key);
	at = strstr(conn->body, mark);
	if (!at)
		bench_fail(key, conn->body);
	at += strlen(mark);
	at += strspn(at, " \"");
	snprintf(text, size, "%.*s", (int)strcspn(at, "\""), at);
}

static inline void bench_remove_instance(struct bench_conn *gantryd, const char *instance)
{
	char target[160];

	snprintf(target, sizeof(target), "/v1/instances/%s?force=true&wait=60", instance);
	bench_want(gantryd, 200, "DELETE", target, NULL);
}

#endif
