/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and times as people write them. */
#include "tap.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <limits.h>

#define BAD INT64_MIN

static const struct {
	const char *text;
	int64_t bytes;
} sizes[] = {
	{"0", 0},
	{"512", 512},
	{"1b", 1},
	{"1k", 1024},
	{"1KB", 1024},
	{"1KiB", 1024},
	{"64MiB", 64LL << 20},
	{"64m", 64LL << 20},
	{"1.5G", 3LL << 29},
	{"2 GiB", 2LL << 30},
	{"1TiB", 1LL << 40},
	{"4194304TiB", 1LL << 62},
	{"12 parsecs", BAD},
	{"", BAD},
	{"-1", BAD},
	{"+1", BAD},
	{" 1", BAD},
	{"1e3", BAD},
	{"0x10", BAD},
	{"1.2.3", BAD},
	{"nan", BAD},
	{"inf", BAD},
	{"MiB", BAD},
	{"1 MiB extra", BAD},
	{"99999999TiB", BAD},
	{"9e99", BAD},
	{"1PiB", BAD},
};

static const struct {
	const char *text;
	int64_t ms;
} durations[] = {
	{"10", 10000},    {"10s", 10000}, {"500ms", 500}, {"1.5m", 90000}, {"2h", 7200000},
	{"1d", 86400000}, {"0", 0},       {"0.5", 500},   {"soon", BAD},   {"-1s", BAD},
	{"1w", BAD},      {"s", BAD},     {"1s 2s", BAD}, {"1e2s", BAD},
};

static const struct {
	int64_t bytes;
	const char *text;
} printed[] = {
	{0, "0B"},
	{1023, "1023B"},
	{1024, "1KiB"},
	{64LL << 20, "64MiB"},
	{3LL << 29, "1.5GiB"},
	{1LL << 50, "1024TiB"},
};

static const struct {
	const char *text;
	int64_t ns;
} times[] = {
	{"1970-01-01T00:00:00Z", 0},
	{"1970-01-01T00:00:01.5Z", 1500000000},
	{"1970-01-01T00:00:00.000000001Z", 1},
	{"1970-01-01T00:00:00.0000000019Z", 1},
	{"1970-01-01T02:00:00+02:00", 0},
	{"1969-12-31T19:00:00-05:00", 0},
	{"2024-02-29T12:00:00Z", 1709208000000000000},
	{"2024-02-29T12:00:00", BAD},
	{"2024-02-29", BAD},
	{"2024-02-29T12:00:00Zx", BAD},
	{"2024-02-29T12:00:00+2", BAD},
	{"yesterday", BAD},
	{"", BAD},
};

#define COUNT(a) (sizeof(a) / sizeof(a[0]))

int main(void)
{
	int64_t value, parsed, start;
	char text[40];

	for (size_t i = 0; i < COUNT(sizes); i++) {
		int code = units_parse_size(sizes[i].text, &value);

		is_int(code < 0 ? BAD : value, sizes[i].bytes, "size \"%s\"", sizes[i].text);
	}
	for (size_t i = 0; i < COUNT(durations); i++) {
		int code = units_parse_duration(durations[i].text, &value);

		is_int(code < 0 ? BAD : value, durations[i].ms, "duration \"%s\"",
		       durations[i].text);
	}
	for (size_t i = 0; i < COUNT(printed); i++) {
		units_format_size(printed[i].bytes, text, sizeof(text));
		is_str(text, printed[i].text, "size of %lld bytes", (long long)printed[i].bytes);
	}
	for (size_t i = 0; i < COUNT(times); i++) {
		int code = clock_parse_ns(times[i].text, &value);

		is_int(code < 0 ? BAD : value, times[i].ns, "time \"%s\"", times[i].text);
	}
	clock_format_ns(1709208000000000678, text);
	is_str(text, "2024-02-29T12:00:00.000000678Z", "a time to the nanosecond");
	clock_format(1709208000678, text, sizeof(text));
	is_str(text, "2024-02-29T12:00:00.678Z", "a time is printed in UTC");
	is_int(clock_parse_ns(text, &parsed), 0, "and read back");
	is_int(parsed, 1709208000678000000, "as the same");
	ok(clock_wall_ms() > 1600000000000, "the wall clock is after 2020");
	start = clock_monotonic_us();
	ok(start > 0 && clock_monotonic_us() >= start, "the monotonic clock does not go back");
	done_testing();
	return tap_end();
}
