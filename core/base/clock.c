/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_format(int64_t wall_ms, char *text, size_t size)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t used;

	gmtime_r(&seconds, &tm);
	used = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, size - used, ".%03dZ", (int)(wall_ms % 1000));
}

static char *put_digits(char *at, int64_t value, int count)
{
	for (int i = count; i > 0; i--, value /= 10)
		at[i - 1] = (char)('0' + value % 10);
	return at + count;
}

/* By hand: it is done for every line of a log, and printf takes longer than all the rest. */
void clock_format_ns(int64_t wall_ns, char text[CLOCK_NS_SIZE])
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char *at = text;

	gmtime_r(&seconds, &tm);
	at = put_digits(at, tm.tm_year + 1900, 4);
	*at++ = '-';
	at = put_digits(at, tm.tm_mon + 1, 2);
	*at++ = '-';
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = 'T';
	at = put_digits(at, tm.tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, tm.tm_min, 2);
	*at++ = ':';
	at = put_digits(at, tm.tm_sec, 2);
	*at++ = '.';
	at = put_digits(at, wall_ns % 1000000000, 9);
	memcpy(at, "Z", 2);
}

int clock_parse_ns(const char *text, int64_t *ret_ns)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t fraction_ns = 0, scale = 100000000, offset_s = 0;

	if (!p)
		return -EINVAL;
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++) {
			fraction_ns += (*p - '0') * scale;
			scale /= 10;
		}
	}
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		int hours, minutes, used = 0;

		if (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2)
			return -EINVAL;
		offset_s = (hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
		p += 1 + used;
	} else {
		return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	*ret_ns = ((int64_t)timegm(&tm) - offset_s) * 1000000000 + fraction_ns;
	return 0;
}
