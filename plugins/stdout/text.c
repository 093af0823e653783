/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks.h"
#include "stdout.h"

#include <gantry/text.h>

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
	size_t more = gantry_base64_length(length);

	reserve(text, more);
	gantry_base64(data, length, text->data + text->length);
	text->length += more;
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
	bool bytes = !gantry_is_utf8(data, length);

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
