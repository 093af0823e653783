/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast plain requests are answered: get GANTRYD CONNECTIONS COUNT TARGET…
 *
 * COUNT rounds, in each one GET of every target in turn, over CONNECTIONS kept-alive connections: each
 * has one request under way, and sends the next one when its answer is there. With one connection the
 * time is that of a client that waits; with more it is what a loaded daemon gives.
 * A line an answer: INDEX-OF-TARGET NANOSECONDS. At the end: total NANOSECONDS (all rounds).
 */
#include "client.h"

#include <poll.h>

#define CONNECTIONS_MAX 64

int main(int argc, char **argv)
{
	struct bench_conn *conns[CONNECTIONS_MAX];
	struct pollfd polls[CONNECTIONS_MAX];
	int64_t began_ns[CONNECTIONS_MAX], *took_ns, started_ns;
	long connections, total, sent = 0, done = 0, which[CONNECTIONS_MAX];
	int targets = argc - 4;

	connections = argc > 4 ? atol(argv[2]) : 0;
	if (connections < 1 || connections > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: get GANTRYD CONNECTIONS COUNT TARGET…\n");
		return 2;
	}
	total = atol(argv[3]) * targets;
	took_ns = xcalloc((size_t)total, sizeof(*took_ns));
	started_ns = bench_now_ns();
	for (long i = 0; i < connections; i++) {
		conns[i] = bench_open(argv[1]);
		polls[i] = (struct pollfd){.fd = conns[i]->fd, .events = POLLIN};
	}
	for (long i = 0; i < connections && sent < total; i++, sent++) {
		which[i] = sent;
		began_ns[i] = bench_now_ns();
		bench_send(conns[i], "GET", argv[4 + sent % targets], NULL);
	}
	while (done < total) {
		if (connections > 1 && poll(polls, (nfds_t)connections, -1) < 0)
			bench_fail("poll", strerror(errno));
		for (long i = 0; i < connections; i++) {
			if (connections > 1 && !(polls[i].revents & POLLIN))
				continue;
			if (bench_receive(conns[i]) != 200)
				bench_fail(argv[4 + which[i] % targets], conns[i]->body);
			took_ns[which[i]] = bench_now_ns() - began_ns[i];
			done++;
			if (sent == total)
				continue;
			which[i] = sent++;
			began_ns[i] = bench_now_ns();
			bench_send(conns[i], "GET", argv[4 + which[i] % targets], NULL);
		}
	}
	started_ns = bench_now_ns() - started_ns;
	for (long i = 0; i < total; i++)
		printf("%ld %lld\n", i % targets, (long long)took_ns[i]);
	printf("total %lld\n", (long long)started_ns);
	free(took_ns);
	for (long i = 0; i < connections; i++)
		bench_close(conns[i]);
	return 0;
}
