/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks.h"
#include "stdout.h"

#include <endian.h>
#include <stdarg.h>
#include <time.h>

static void reserve(struct text *text, size_t more)
{
	if (text->length + more <= text->capacity)
		return;
	while (text->capacity < text->length + more)
		text->capacity = text->capacity ? 2 * text->capacity : 1024;
	text->data = take_memory(text->data, text->capacity);
}

void text_add(struct text *text, const void *data, size_t length)
{
	reserve(text, length);
	if (length)
		memcpy(text->data + text->length, data, length);
	text->length += length;
}

void text_str(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
	char some[256];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(some, sizeof(some), format, args);
	va_end(args);
	text_add(text, some, (size_t)length < sizeof(some) ? (size_t)length : sizeof(some) - 1);
}

void text_json(struct text *text, const char *data, size_t length)
{
	size_t from = 0;

	for (size_t at = 0; at < length; at++) {
		unsigned char c = (unsigned char)data[at];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		text_add(text, data + from, at - from);
		from = at + 1;
		if (c == '"' || c == '\\')
			text_format(text, "\\%c", c);
		else
			text_format(text, "\\u%04x", c);
	}
	text_add(text, data + from, length - from);
}

void text_base64(struct text *text, const void *data, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = data;

	for (; length > 0; at += 3, length -= length < 3 ? length : 3) {
		uint32_t bits = (uint32_t)at[0] << 16 | (length > 1 ? (uint32_t)at[1] << 8 : 0) |
				(length > 2 ? at[2] : 0);
		const char group[4] = {
			digits[bits >> 18],
			digits[bits >> 12 & 63],
			length > 1 ? digits[bits >> 6 & 63] : '=',
			length > 2 ? digits[bits & 63] : '=',
		};

		text_add(text, group, sizeof(group));
	}
}

void text_time(struct text *text, int64_t time_ns, int digits)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	char fraction[16];
	struct tm date;

	gmtime_r(&seconds, &date);
	snprintf(fraction, sizeof(fraction), "%09d", (int)(time_ns % 1000000000));
	text_format(text, "%04d-%02d-%02dT%02d:%02d:%02d.%.*sZ", date.tm_year + 1900,
		    date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec, digits,
		    fraction);
}

void text_gap(struct text *text, const struct gantry_log_line *line)
{
	text_add(text, line->data, line->length);
	if (line->lost > 0)
		text_format(text, " (%lld line%s)", (long long)line->lost,
			    line->lost == 1 ? "" : "s");
}

void text_clear(struct text *text)
{
	text->length = 0;
}

void text_fini(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

/* The length of the sequence at data, 0: there is none that is valid. */
static size_t sequence_length(const unsigned char *data, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		uint32_t value = data[0] & (unsigned char)~forms[i].mask;

		if ((data[0] & forms[i].mask) != forms[i].lead)
			continue;
		for (size_t k = 1; k <= i; k++) {
			if (k >= left || (data[k] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (data[k] & 0x3f);
		}
		return value < forms[i].least || value > 0x10ffff ||
				       (value >= 0xd800 && value < 0xe000)
			       ? 0
			       : i + 1;
	}
	return 0;
}

bool is_utf8(const char *data, size_t length)
{
	for (size_t at = 0, n; at < length; at += n) {
		n = sequence_length((const unsigned char *)data + at, length - at);
		if (n == 0)
			return false;
	}
	return true;
}

size_t text_tags(const struct gantry_log_line *line)
{
	return line->tags ? line->tags->count : 0;
}

const char *stream_name(const struct gantry_log_line *line)
{
	return line->stream == 0 ? "gap" : line->stream == 2 ? "stderr" : "stdout";
}

/* --- msgpack ------------------------------------------------------------------------------------- */

static void pack_head(struct text *text, uint8_t head, uint64_t value, size_t size)
{
	uint64_t big = htobe64(value);

	text_add(text, &head, 1);
	text_add(text, (const char *)&big + sizeof(big) - size, size);
}

void pack_array(struct text *text, size_t count)
{
	if (count < 16)
		pack_head(text, (uint8_t)(0x90 | count), 0, 0);
	else
		pack_head(text, 0xdd, count, 4);
}

void pack_map(struct text *text, size_t count)
{
	pack_head(text, (uint8_t)(0x80 | count), 0, 0); /* of fewer than 16 */
}

void pack_uint(struct text *text, uint64_t value)
{
	if (value < 128)
		pack_head(text, (uint8_t)value, 0, 0);
	else
		pack_head(text, 0xcf, value, 8);
}

void pack_bool(struct text *text, bool value)
{
	pack_head(text, value ? 0xc3 : 0xc2, 0, 0);
}

void pack_text(struct text *text, const char *data, size_t length)
{
	bool bytes = !is_utf8(data, length);

	if (!bytes && length < 32)
		pack_head(text, (uint8_t)(0xa0 | length), 0, 0);
	else
		pack_head(text, bytes ? 0xc6 : 0xdb, length, 4);
	text_add(text, data, length);
}

void pack_string(struct text *text, const char *string)
{
	pack_text(text, string, strlen(string));
}

void pack_time(struct text *text, int64_t time_ns)
{
	const uint8_t head[] = {0xd7, 0x00}; /* an extension of 8 bytes, type 0 */
	const uint32_t parts[] = {htobe32((uint32_t)(time_ns / 1000000000)),
				  htobe32((uint32_t)(time_ns % 1000000000))};

	text_add(text, head, sizeof(head));
	text_add(text, parts, sizeof(parts));
}
