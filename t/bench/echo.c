/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an echo takes: echo GANTRYD INSTANCE ENGINE CONTAINER COUNT FIRST
 *
 * Three sessions at the input of the same container, which echoes (cat, without a terminal): by gantryd's attach, by the
 * engine's own, and by the engine's own with a process between that passes on what it reads, the least that any daemon
 * has to do. FIRST (0 to 2) is opened first, as the engine serves them in that order. In turns each sends eight bytes and waits until all have got them: the others' time is not in it. A line a
 * round: NANOSECONDS of gantryd, of the engine, of the relay.
 */
#include "client.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <signal.h>

#define ECHO_BYTES 8

enum kind { BY_GANTRYD, BY_ENGINE, BY_RELAY, KINDS };

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
	if (session->kind != BY_GANTRYD) {
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

/* Passes on what comes from either to the other, until one ends. */
static void relay(int a, int b)
{
	const int other[] = {b, a};
	struct epoll_event event;
	char data[4096];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2; i++) {
		event = (struct epoll_event){.events = EPOLLIN, .data.fd = i};
		epoll_ctl(epoll, EPOLL_CTL_ADD, other[1 - i], &event);
	}
	while (epoll_wait(epoll, &event, 1, -1) == 1) {
		ssize_t count = read(other[1 - event.data.fd], data, sizeof(data));

		if (count <= 0 || write(other[event.data.fd], data, (size_t)count) != count)
			break;
	}
	_exit(0);
}

/* Puts a process between the session and its engine. */
static void put_between(struct session *session)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		bench_fail("socketpair", strerror(errno));
	child = fork();
	if (child < 0)
		bench_fail("fork", strerror(errno));
	if (child == 0) {
		close(ends[0]);
		relay(ends[1], session->conn->fd);
	}
	close(ends[1]);
	close(session->conn->fd);
	session->conn->fd = ends[0];
}

static void open_session(struct session *session, enum kind kind, char **argv)
{
	char target[256];

	session->kind = kind;
	session->conn = bench_open(argv[kind == BY_GANTRYD ? 1 : 3]);
	if (kind == BY_GANTRYD) {
		snprintf(target, sizeof(target), "/v1/instances/%s/attach", argv[2]);
		upgrade(session, "GET", target,
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n");
		return;
	}
	snprintf(target, sizeof(target), "/v1.41/containers/%s/attach?stream=1&stdin=1&stdout=1",
		 argv[4]);
	upgrade(session, "POST", target, "Upgrade: tcp\r\nContent-Length: 0\r\n");
	if (kind == BY_RELAY)
		put_between(session);
}

/* Nanoseconds until its own echo is there; then all have got it. */
static int64_t echo(struct session *sessions, enum kind kind, size_t wanted)
{
	int64_t began_ns = bench_now_ns(), took_ns;

	put(&sessions[kind]);
	take(&sessions[kind], wanted);
	took_ns = bench_now_ns() - began_ns;
	for (int i = 0; i < KINDS; i++)
		take(&sessions[i], wanted);
	return took_ns;
}

int main(int argc, char **argv)
{
	struct session sessions[KINDS] = {0};
	size_t wanted = 0;
	long count = argc == 7 ? atol(argv[5]) : 0;

	if (count < 1) {
		fprintf(stderr, "usage: echo GANTRYD INSTANCE ENGINE CONTAINER COUNT FIRST\n");
		return 2;
	}
	for (int i = 0; i < KINDS; i++)
		open_session(&sessions[(i + atoi(argv[6])) % KINDS], (i + atoi(argv[6])) % KINDS,
			     argv);
	for (long i = 0; i < count; i++) {
		int64_t took_ns[KINDS];

		for (int j = 0; j < KINDS; j++) { /* each of them first, second and last in turn */
			enum kind kind = (enum kind)((i + j) % KINDS);

			took_ns[kind] = echo(sessions, kind, wanted += ECHO_BYTES);
		}
		printf("%lld %lld %lld\n", (long long)took_ns[BY_GANTRYD],
		       (long long)took_ns[BY_ENGINE], (long long)took_ns[BY_RELAY]);
	}
	return 0;
}
