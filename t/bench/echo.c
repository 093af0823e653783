/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an echo takes: echo GANTRYD INSTANCE ENGINE CONTAINER COUNT
 *
 * Two sessions at the input of the same container, which echoes (cat, without a terminal): one by gantryd's attach, one
 * by the engine's own. In turns each sends eight bytes and waits until both have got them: the other one's time is
 * not in it. A line a pair: NANOSECONDS of gantryd, of the engine.
 */
#include "client.h"

#define ECHO_BYTES 8

enum kind { BY_GANTRYD, BY_ENGINE };

/* The bytes of output that have come; frames of the engine, or messages of a WebSocket, are cut anywhere. */
struct session {
	enum kind kind;
	struct bench_conn *conn;
	size_t have; /* in conn->buffer, not looked at */
	size_t echoed;
};

static void upgrade(struct session *session, const char *method, const char *target,
		    const char *headers)
{
	struct bench_conn *conn = session->conn;
	const char *end;
	size_t have = 0, head;
	int length = snprintf(conn->request, sizeof(conn->request),
			      "%s %s HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n%s\r\n",
			      method, target, headers);

	if (write(conn->fd, conn->request, (size_t)length) != length)
		bench_fail(target, strerror(errno));
	conn->buffer[0] = '\0';
	while (!(end = strstr(conn->buffer, "\r\n\r\n")))
		have = bench_read(conn, have);
	if (atoi(conn->buffer + strlen("HTTP/1.1 ")) != 101)
		bench_fail(target, conn->buffer);
	head = (size_t)(end - conn->buffer) + 4;
	session->have = have - head;
	memmove(conn->buffer, conn->buffer + head, session->have);
}

/* How long the first frame or message is, head and all, and how much of it is output; 0: more is needed. */
static size_t first_part(const struct session *session, size_t *ret_output)
{
	const unsigned char *at = (const unsigned char *)session->conn->buffer;
	size_t length, head = 2;

	*ret_output = 0;
	if (session->kind == BY_ENGINE) {
		if (session->have < 8)
			return 0;
		*ret_output =
			(size_t)at[4] << 24 | (size_t)at[5] << 16 | (size_t)at[6] << 8 | at[7];
		return 8 + *ret_output;
	}
	if (session->have < 4)
		return 0;
	length = at[1];
	if (length == 126) {
		length = (size_t)at[2] << 8 | at[3];
		head = 4;
	} else if (length == 127) {
		bench_fail("WebSocket", "a message is too long");
	}
	if (session->have <= head)
		return 0;
	if ((at[0] & 15) == 2 && at[head] == 1) /* binary, and the channel of output */
		*ret_output = length - 1;
	return head + length;
}

static void take(struct session *session, size_t wanted)
{
	size_t output, part;

	while (session->echoed < wanted) {
		part = first_part(session, &output);
		if (part == 0 || part > session->have) {
			session->have = bench_read(session->conn, session->have);
			continue;
		}
		session->echoed += output;
		session->have -= part;
		memmove(session->conn->buffer, session->conn->buffer + part, session->have);
	}
}

static void put(struct session *session)
{
	/* a final binary message of nine bytes, masked with zeros: the channel of input, and the bytes */
	static const char message[] = "\x82\x89\0\0\0\0\0echo me\n";
	const char *data = session->kind == BY_GANTRYD ? message : message + 7;
	size_t length = session->kind == BY_GANTRYD ? 7 + ECHO_BYTES : ECHO_BYTES;

	if (write(session->conn->fd, data, length) != (ssize_t)length)
		bench_fail("write", strerror(errno));
}

/* Nanoseconds until its own echo is there. */
static int64_t echo(struct session *session, struct session *other, size_t wanted)
{
	int64_t began_ns = bench_now_ns(), took_ns;

	put(session);
	take(session, wanted);
	took_ns = bench_now_ns() - began_ns;
	take(other, wanted);
	return took_ns;
}

int main(int argc, char **argv)
{
	struct session ours = {.kind = BY_GANTRYD}, theirs = {.kind = BY_ENGINE};
	char target[256];
	size_t wanted = 0;
	long count = argc == 6 ? atol(argv[5]) : 0;

	if (count < 1) {
		fprintf(stderr, "usage: echo GANTRYD INSTANCE ENGINE CONTAINER COUNT\n");
		return 2;
	}
	ours.conn = bench_open(argv[1]);
	theirs.conn = bench_open(argv[3]);
	snprintf(target, sizeof(target), "/v1/instances/%s/attach", argv[2]);
	upgrade(&ours, "GET", target,
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n");
	snprintf(target, sizeof(target), "/v1.41/containers/%s/attach?stream=1&stdin=1&stdout=1",
		 argv[4]);
	upgrade(&theirs, "POST", target, "Upgrade: tcp\r\nContent-Length: 0\r\n");
	for (long i = 0; i < count; i++) {
		int64_t our_ns, their_ns;

		if (i % 2)
			their_ns = echo(&theirs, &ours, wanted += ECHO_BYTES);
		our_ns = echo(&ours, &theirs, wanted += ECHO_BYTES);
		if (i % 2 == 0)
			their_ns = echo(&theirs, &ours, wanted += ECHO_BYTES);
		printf("%lld %lld\n", (long long)our_ns, (long long)their_ns);
	}
	return 0;
}
