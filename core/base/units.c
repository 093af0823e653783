/* SPDX-License-Identifier: Apache-2.0 */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
	const char *name;
	double factor;
};

#define KIB 1024.0
static const struct unit sizes[] = {
	{"", 1},
	{"b", 1},
	{"k", KIB},
	{"kb", KIB},
	{"kib", KIB},
	{"m", KIB *KIB},
	{"mb", KIB *KIB},
	{"mib", KIB *KIB},
	{"g", 1 << 30},
	{"gb", 1 << 30},
	{"gib", 1 << 30},
	{"t", KIB *(1 << 30)},
	{"tb", KIB *(1 << 30)},
	{"tib", KIB *(1 << 30)},
	{NULL, 0},
};
static const struct unit durations[] = {
	{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}, {NULL, 0},
};

static int parse(const char *text, const struct unit *units, int64_t *ret_value)
{
	char *end;
	double number;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (const char *p = text;
	     *p && (isdigit((unsigned char)*p) || *p == '.' || isalpha((unsigned char)*p)); p++)
		if (*p == 'x' || *p == 'X' || *p == 'e' || *p == 'E')
			return -EINVAL;
	number = strtod(text, &end);
	while (*end == ' ')
		end++;
	for (; units->name; units++) {
		if (strcasecmp(end, units->name) != 0)
			continue;
		number = round(number * units->factor);
		if (!(number >= 0 && number <= 4611686018427387904.0))
			return -EINVAL;
		*ret_value = (int64_t)number;
		return 0;
	}
	return -EINVAL;
}

int units_parse_size(const char *text, int64_t *ret_bytes)
{
	return parse(text, sizes, ret_bytes);
}

int units_parse_duration(const char *text, int64_t *ret_ms)
{
	return parse(text, durations, ret_ms);
}

void units_format_size(int64_t bytes, char *text, size_t size)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	int unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(text, size, value == floor(value) || value >= 100 ? "%.0f%s" : "%.1f%s", value,
		 names[unit]);
}

void units_format_duration(int64_t ms, char *text, size_t size)
{
	const struct unit *unit = durations + sizeof(durations) / sizeof(*durations) - 2;

	while (unit->factor > 1 && (ms == 0 || fmod((double)ms, unit->factor) != 0))
		unit--;
	snprintf(text, size, "%.0f%s", (double)ms / unit->factor, unit->name);
}
