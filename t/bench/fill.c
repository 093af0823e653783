/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes instances and leaves them: fill GANTRYD SPEC COUNT. Their ids go to standard output, one a line.
 * fill GANTRYD - removes those whose ids come on standard input.
 */
#include "client.h"

int main(int argc, char **argv)
{
	struct bench_conn *gantryd;
	char id[64];

	if (argc < 3) {
		fprintf(stderr, "usage: fill GANTRYD SPEC COUNT | fill GANTRYD -\n");
		return 2;
	}
	gantryd = bench_open(argv[1]);
	if (argc == 3) {
		while (scanf("%63s", id) == 1)
			bench_remove_instance(gantryd, id);
		bench_close(gantryd);
		return 0;
	}
	for (long left = atol(argv[3]); left > 0; left--) {
		bench_want(gantryd, 201, "POST", "/v1/instances?wait=60", argv[2]);
		bench_text(gantryd, "instance", id, sizeof(id));
		puts(id);
	}
	bench_close(gantryd);
	return 0;
}
