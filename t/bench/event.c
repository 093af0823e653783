/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an exit in the engine to the line in a client's hands: event GANTRYD ENGINE SPEC COUNT, on the
 * fake engine. A stream of events stays open; the instance's process is made to exit, and the time runs
 * from before that is asked of the engine until `instance.exited` is read: the engine's answer and
 * its event, gantryd's commit, and the stream. One line each, nanoseconds.
 */
#include "client.h"

/* Reads lines of the stream until one has the mark. The chunks' own lines do no harm. */
static void await_line(struct bench_conn *stream, const char *mark)
{
	size_t have = 0;

	stream->buffer[0] = '\0';
	while (!strstr(stream->buffer, mark)) {
		if (have > sizeof(stream->buffer) / 2)
			have = 0;
		have = bench_read(stream, have);
	}
}

int main(int argc, char **argv)
{
	struct bench_conn *gantryd, *engine, *stream;
	char instance[64], container[80], target[160], exit_body[160];

	if (argc != 5) {
		fprintf(stderr, "usage: event GANTRYD ENGINE SPEC COUNT\n");
		return 2;
	}
	gantryd = bench_open(argv[1]);
	engine = bench_open(argv[2]);
	stream = bench_open(argv[1]);
	bench_want(gantryd, 201, "POST", "/v1/instances?wait=60", argv[3]);
	bench_text(gantryd, "instance", instance, sizeof(instance));
	snprintf(target, sizeof(target), "/v1/instances/%s", instance);
	bench_want(gantryd, 200, "GET", target, NULL);
	bench_text(gantryd, "container_id", container, sizeof(container));
	snprintf(exit_body, sizeof(exit_body), "{\"id\":\"%s\",\"code\":0}", container);
	bench_send(stream, "GET", "/v1/events?follow=true", NULL);
	await_line(stream, "\r\n\r\n");
	for (long left = atol(argv[4]); left > 0; left--) {
		int64_t began_ns = bench_now_ns();

		bench_send(engine, "POST", "/fake/exit", exit_body);
		await_line(stream, "\"instance.exited\"");
		printf("%lld\n", (long long)(bench_now_ns() - began_ns));
		bench_receive(engine);
		snprintf(target, sizeof(target), "/v1/instances/%s/start?wait=60", instance);
		bench_want(gantryd, 200, "POST", target, NULL);
		await_line(stream, "\"instance.started\"");
	}
	bench_remove_instance(gantryd, instance);
	bench_close(gantryd);
	bench_close(engine);
	bench_close(stream);
	return 0;
}
