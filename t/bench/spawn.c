/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spawn costs through gantryd and what its engine calls cost alone.
 *
 *	spawn GANTRYD ENGINE SPEC CREATE COUNT WARM-UP
 *
 * GANTRYD and ENGINE are unix sockets, each held by one kept-alive connection; SPEC is the body of the
 * spawn, CREATE that of the engine's create. COUNT pairs follow each other, the two of a pair in
 * turns the first: POST /v1/instances?wait=60, and create + start of the same container made raw.
 * What was made is removed after each pair, outside the time. A pair is a line on standard output,
 * nanoseconds from before the first byte is sent to after the last one has come:
 *
 *	GANTRYD RAW POLICY STORE ENGINE OTHER	(the last four from the operation's own record, microseconds)
 */
#include "client.h"

struct bench {
	struct bench_conn *gantryd, *engine;
	const char *spec, *create;
	char instance[64], container[80];
	long policy_us, store_us, engine_us, other_us;
};

static long number(const struct bench_conn *conn, const char *key)
{
	const char *at = strstr(conn->body, key);

	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static int64_t spawn(struct bench *bench)
{
	int64_t began_ns = bench_now_ns(), took_ns;

	bench_send(bench->gantryd, "POST", "/v1/instances?wait=60", bench->spec);
	bench_receive(bench->gantryd);
	took_ns = bench_now_ns() - began_ns;
	if (bench->gantryd->status != 201)
		bench_fail("spawn", bench->gantryd->body);
	bench_text(bench->gantryd, "instance", bench->instance, sizeof(bench->instance));
	bench->policy_us = number(bench->gantryd, "\"policy_us\":");
	bench->store_us = number(bench->gantryd, "\"store_us\":");
	bench->engine_us = number(bench->gantryd, "\"engine_us\":");
	bench->other_us = number(bench->gantryd, "\"other_us\":");
	return took_ns;
}

static int64_t raw(struct bench *bench, long index)
{
	char target[160];
	int64_t began_ns = bench_now_ns(), took_ns;

	snprintf(target, sizeof(target), "/v1.41/containers/create?name=bench-raw-%ld-%ld",
		 (long)getpid(), index);
	if (bench_ask(bench->engine, "POST", target, bench->create) != 201)
		bench_fail("create", bench->engine->body);
	bench_text(bench->engine, "Id", bench->container, sizeof(bench->container));
	snprintf(target, sizeof(target), "/v1.41/containers/%s/start", bench->container);
	if (bench_ask(bench->engine, "POST", target, NULL) != 204)
		bench_fail("start", bench->engine->body);
	took_ns = bench_now_ns() - began_ns;
	return took_ns;
}

static void clean(struct bench *bench)
{
	char target[160];

	bench_remove_instance(bench->gantryd, bench->instance);
	snprintf(target, sizeof(target), "/v1.41/containers/%s?force=1&v=1", bench->container);
	bench_want(bench->engine, 204, "DELETE", target, NULL);
}

int main(int argc, char **argv)
{
	struct bench bench;
	long count, warm_up;

	if (argc != 7) {
		fprintf(stderr, "usage: spawn GANTRYD ENGINE SPEC CREATE COUNT WARM-UP\n");
		return 2;
	}
	bench.gantryd = bench_open(argv[1]);
	bench.engine = bench_open(argv[2]);
	bench.spec = argv[3];
	bench.create = argv[4];
	count = atol(argv[5]);
	warm_up = atol(argv[6]);
	for (long i = -warm_up; i < count; i++) {
		int64_t gantryd_ns, raw_ns;

		if (i % 2) {
			raw_ns = raw(&bench, i);
			gantryd_ns = spawn(&bench);
		} else {
			gantryd_ns = spawn(&bench);
			raw_ns = raw(&bench, i);
		}
		clean(&bench);
		if (i >= 0)
			printf("%lld %lld %ld %ld %ld %ld\n", (long long)gantryd_ns,
			       (long long)raw_ns, bench.policy_us, bench.store_us, bench.engine_us,
			       bench.other_us);
	}
	bench_close(bench.gantryd);
	bench_close(bench.engine);
	return 0;
}
