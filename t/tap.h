/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP for C tests: one header, no library. A test file has a main that calls
 *
 *	plan(3);                              or done_testing() at the end
 *	ok(x == 1, "x is %d", x);
 *	is_int(got, want, "name"), is_str(got, want, "name"), like(got, "part", "name")
 *	skip(2, "no engine here");            counts as two tests
 *	diag("…"), bail_out("…")
 *	return tap_end();
 *
 * tap_end fails a run without an assertion, with a wrong count, or with a failure.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned = -1, tap_run, tap_failed, tap_asserted;

__attribute__((unused)) static void plan(int count)
{
	tap_planned = count;
	printf("1..%d\n", count);
	fflush(stdout);
}

__attribute__((format(printf, 1, 2), unused)) static void diag(const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fflush(stdout);
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		fprintf(stderr, "# %s\n", line);
	}
}

__attribute__((format(printf, 1, 2), noreturn, unused)) static void bail_out(const char *format,
									     ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	exit(255);
}

__attribute__((format(printf, 4, 5), unused)) static bool tap_ok(bool pass, const char *file,
								 int line, const char *format, ...)
{
	va_list args;

	tap_asserted++;
	printf("%sok %d - ", pass ? "" : "not ", ++tap_run);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	if (!pass) {
		tap_failed++;
		diag("failed at %s line %d", file, line);
	}
	return pass;
}

#define ok(pass, ...) tap_ok((pass), __FILE__, __LINE__, __VA_ARGS__)

#define is_int(got, want, ...)                                                                     \
	do {                                                                                       \
		long long tap_got = (long long)(got), tap_want = (long long)(want);                \
		if (!tap_ok(tap_got == tap_want, __FILE__, __LINE__, __VA_ARGS__))                 \
			diag("got %lld, want %lld", tap_got, tap_want);                            \
	} while (0)

#define is_str(got, want, ...)                                                                     \
	do {                                                                                       \
		const char *tap_got = (got), *tap_want = (want);                                   \
		bool tap_same = tap_got && tap_want ? strcmp(tap_got, tap_want) == 0               \
						    : tap_got == tap_want;                         \
		if (!tap_ok(tap_same, __FILE__, __LINE__, __VA_ARGS__))                            \
			diag("got  \"%s\"\nwant \"%s\"", tap_got ? tap_got : "(null)",             \
			     tap_want ? tap_want : "(null)");                                      \
	} while (0)

/* got has part in it. */
#define like(got, part, ...)                                                                       \
	do {                                                                                       \
		const char *tap_got = (got), *tap_part = (part);                                   \
		if (!tap_ok(tap_got && strstr(tap_got, tap_part), __FILE__, __LINE__,              \
			    __VA_ARGS__))                                                          \
			diag("got  \"%s\"\nwithout \"%s\"", tap_got ? tap_got : "(null)",          \
			     tap_part);                                                            \
	} while (0)

__attribute__((unused)) static void skip(int count, const char *why)
{
	while (count-- > 0)
		printf("ok %d # SKIP %s\n", ++tap_run, why);
	fflush(stdout);
	tap_asserted++; /* a skip is a statement of its own */
}

__attribute__((unused)) static void done_testing(void)
{
	plan(tap_run);
}

__attribute__((unused)) static int tap_end(void)
{
	if (tap_asserted == 0) {
		diag("no assertion was made");
		return 1;
	}
	if (tap_planned != tap_run) {
		diag("planned %d, ran %d", tap_planned, tap_run);
		return 1;
	}
	return tap_failed ? 1 : 0;
}

#endif
