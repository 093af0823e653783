/* SPDX-License-Identifier: Apache-2.0 */
#include "stdout.h"

#include <string.h>

enum entry_result entry_next(enum entry_format format, char *data, size_t length,
			     struct entry *ret_entry)
{
	if (length == 0)
		return ENTRY_MORE;
	return format == ENTRY_LOCAL ? local_next(data, length, ret_entry)
				     : json_file_next(data, length, ret_entry);
}

void entry_decode(struct entry *entry, char *to)
{
	if (entry->escaped) {
		json_file_decode(entry, to);
		return;
	}
	memmove(to, entry->data, entry->length);
	entry->data = to;
}

/* --- time --- */

static int number(const char *text, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

/* Days since 1970 of a date of the Gregorian calendar; years begin in March. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

int64_t entry_parse_time(const char *text, size_t length)
{
	int year, month, day, hour, minute, second, zone_hour, zone_minute;
	static const int32_t tens[] = {1000000000, 100000000, 10000000, 1000000, 100000,
				       10000,      1000,      100,      10,      1};
	int64_t ns = 0, seconds;
	size_t at = 19, digits = 0;

	if (length < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
	    text[16] != ':')
		return 0;
	year = number(text, 4);
	month = number(text + 5, 2);
	day = number(text + 8, 2);
	hour = number(text + 11, 2);
	minute = number(text + 14, 2);
	second = number(text + 17, 2);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || hour < 0 || minute < 0 ||
	    second < 0)
		return 0;
	seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	if (text[at] == '.') {
		for (at++; at < length && text[at] >= '0' && text[at] <= '9'; at++)
			if (digits < 9) {
				ns = 10 * ns + (text[at] - '0');
				digits++;
			}
		ns *= tens[digits];
	}
	if (length - at == 6 && (text[at] == '+' || text[at] == '-')) {
		zone_hour = number(text + at + 1, 2);
		zone_minute = number(text + at + 4, 2);
		if (zone_hour < 0 || zone_minute < 0)
			return 0;
		seconds -= (zone_hour * 3600 + zone_minute * 60) * (text[at] == '+' ? 1 : -1);
	}
	return seconds * 1000000000 + ns;
}

int64_t entry_time_near(struct entry *entry, struct entry_minute *minute)
{
	const char *text = entry->time;
	bool full = text && entry->time_length == 30 && text[19] == '.' && text[29] == 'Z';
	int64_t ns = 0, seconds = full ? number(text + 17, 2) : -1;
	bool known = seconds >= 0 && memcmp(text, minute->text, sizeof(minute->text)) == 0;

	for (int i = 20; i < 29 && known; i++) {
		known = text[i] >= '0' && text[i] <= '9';
		ns = 10 * ns + (text[i] - '0');
	}
	if (known) {
		entry->time = NULL;
		return entry->time_ns = minute->ns + seconds * 1000000000 + ns;
	}
	entry_time_ns(entry);
	if (entry->time_ns > 0 && seconds >= 0 && seconds < 60) {
		memcpy(minute->text, text, sizeof(minute->text));
		minute->ns = entry->time_ns - entry->time_ns % 60000000000;
	}
	return entry->time_ns;
}

int64_t entry_time_ns(struct entry *entry)
{
	if (entry->time) {
		entry->time_ns = entry_parse_time(entry->time, entry->time_length);
		entry->time = NULL;
	}
	return entry->time_ns;
}
