/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver local: a message is its size (32 bits, big-endian), a LogEntry of Docker's entry.proto, and the
 * size once more.
 *
 *	1 source (text)  2 time_nano  3 line (bytes)  4 partial (bool)
 *	5 partial_log_metadata { 1 last (bool)  2 id (text)  3 ordinal }
 *
 * A message that is cut off, because the engine died, is found by its second size: then the next place
 * where both sizes and what is between them are right is searched for.
 */
#include "stdout.h"

#include <endian.h>
#include <string.h>

/* Of one message: 16 KiB and what is around it, with room for engines that come. */
#define MESSAGE_MOST ((uint32_t)128 << 10)

static inline uint32_t read_size(const char *data)
{
	const unsigned char *at = (const unsigned char *)data;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* --- protobuf --- */

struct field {
	uint32_t number;
	uint64_t value;   /* a varint; of bytes their count */
	const char *data; /* of bytes; NULL: none */
};

static inline bool read_varint(const char **at, const char *end, uint64_t *ret_value)
{
	*ret_value = 0;
	for (int shift = 0; shift < 64 && *at < end; shift += 7) {
		unsigned char byte = (unsigned char)*(*at)++;

		*ret_value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool read_field(const char **at, const char *end, struct field *field)
{
	uint64_t key;

	if (!read_varint(at, end, &key))
		return false;
	*field = (struct field){.number = (uint32_t)(key >> 3)};
	switch (key & 7) {
	case 0:
		return read_varint(at, end, &field->value);
	case 1:
	case 5:
		if (end - *at < ((key & 7) == 1 ? 8 : 4))
			return false;
		*at += (key & 7) == 1 ? 8 : 4;
		return true;
	case 2:
		if (!read_varint(at, end, &field->value) || field->value > (uint64_t)(end - *at))
			return false;
		field->data = *at;
		*at += field->value;
		return true;
	default:
		return false;
	}
}

static bool read_part(const char *at, size_t length, bool *ret_last, uint64_t *ret_ordinal)
{
	const char *end = at + length;
	struct field field;

	while (at < end) {
		if (!read_field(&at, end, &field))
			return false;
		if (field.number == 1)
			*ret_last = field.value != 0;
		else if (field.number == 3)
			*ret_ordinal = field.value;
	}
	return true;
}

static bool is_text(const struct field *field, const char *text)
{
	return field->value == strlen(text) && memcmp(field->data, text, strlen(text)) == 0;
}

static bool read_message(char *data, size_t length, struct entry *entry)
{
	const char *at = data, *end = data + length;
	bool partial = false, last = false, has_source = false;
	uint64_t ordinal = 0;
	struct field field;

	entry->data = data;
	while (at < end) {
		if (!read_field(&at, end, &field))
			return false;
		if (field.number == 1 && field.data) {
			has_source = true;
			entry->stream = is_text(&field, "stderr")    ? 2
					: is_text(&field, SPOOL_GAP) ? 0
								     : 1;
		} else if (field.number == 2)
			entry->time_ns = (int64_t)field.value;
		else if (field.number == 3 && field.data) {
			entry->data = data + (field.data - data);
			entry->length = field.value;
		} else if (field.number == 4)
			partial = field.value != 0;
		else if (field.number == 5 && field.data &&
			 !read_part(field.data, field.value, &last, &ordinal))
			return false;
	}
	entry->newline = !partial || last;
	entry->begins = !partial || ordinal == 1;
	entry->goes_on = ordinal > 1;
	entry->ends = entry->newline || entry->length < ENTRY_PART;
	return has_source;
}

/* Nine bytes, as nanoseconds since 1970 take for the next hundred years; false: another number of them. */
static inline bool read_time(const char *at, uint64_t *ret_value)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	value = le64toh(value);
	if ((value & 0x8080808080808080) != 0x8080808080808080 || (at[8] & 0x80))
		return false;
	/* seven bits of each byte, side by side */
	value = (value & 0x007f007f007f007f) | (value & 0x7f007f007f007f00) >> 1;
	value = (value & 0x00003fff00003fff) | (value & 0x3fff00003fff0000) >> 2;
	value = (value & 0x000000000fffffff) | (value & 0x0fffffff00000000) >> 4;
	*ret_value = value | (uint64_t)at[8] << 56;
	return true;
}

/* As nearly all are: source, time and line, and no more. False: another one. */
static inline bool read_plain(char *data, size_t length, struct entry *entry)
{
	const char *at = data + 18, *end = data + length;
	uint64_t time, size;

	if (length < 20)
		return false;
	if (memcmp(data, "\x0a\x06stdout\x10", 9) == 0)
		entry->stream = 1;
	else if (memcmp(data, "\x0a\x06stderr\x10", 9) == 0)
		entry->stream = 2;
	else
		return false;
	if (!read_time(data + 9, &time) || *at++ != 0x1a || !read_varint(&at, end, &size) ||
	    size != (uint64_t)(end - at))
		return false;
	entry->time_ns = (int64_t)time;
	entry->data = data + (at - data);
	entry->length = size;
	entry->newline = entry->begins = entry->ends = true;
	return true;
}

/* --- the frame --- */

static inline bool next_plain(char *data, size_t length, struct entry *entry)
{
	size_t size = length < 8 ? 0 : read_size(data);

	if (size == 0 || size > MESSAGE_MOST || size > length - 8 ||
	    read_size(data + 4 + size) != size || !read_plain(data + 4, size, entry))
		return false;
	entry->used = size + 8;
	return true;
}

static enum entry_result read_frame(char *data, size_t length, struct entry *entry)
{
	uint32_t size;

	*entry = (struct entry){0};
	if (next_plain(data, length, entry))
		return ENTRY_OK;
	if (length < 4)
		return ENTRY_MORE;
	size = read_size(data);
	if (size == 0 || size > MESSAGE_MOST)
		return ENTRY_DAMAGED;
	if (length < (size_t)size + 8)
		return ENTRY_MORE;
	*entry = (struct entry){.used = (size_t)size + 8};
	return read_size(data + 4 + size) == size && read_message(data + 4, size, entry)
		       ? ENTRY_OK
		       : ENTRY_DAMAGED;
}

void local_run(char *data, size_t length, struct local_run *run)
{
	struct entry entry;

	while (next_plain(data + run->used, length - run->used, &entry) &&
	       (run->count == 0 || entry.stream == run->stream) && entry.time_ns >= run->since_ns &&
	       entry.time_ns <= run->until_ns && run->length + entry.length < run->most) {
		char *to = run->to + run->length;

		memmove(to, entry.data, entry.length);
		to[entry.length] = '\n';
		run->length += entry.length + 1;
		run->used += entry.used;
		run->stream = entry.stream;
		run->time_ns = entry.time_ns;
		run->count++;
	}
}

enum entry_result local_next(char *data, size_t length, struct entry *ret_entry)
{
	enum entry_result result = read_frame(data, length, ret_entry);
	struct entry other;
	size_t at = 1;

	if (result != ENTRY_DAMAGED)
		return result;
	while (at < length && read_frame(data + at, length - at, &other) != ENTRY_OK)
		at++;
	if (at == length && length < 2 * MESSAGE_MOST)
		return ENTRY_MORE; /* the next one may be there in part: what it is shows when it is whole */
	*ret_entry = (struct entry){.used = at < length ? at : length - MESSAGE_MOST};
	return ENTRY_DAMAGED;
}
