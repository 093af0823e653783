/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver json-file: a message a line.
 *
 *	{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}
 *
 * With a line's newline found, all but the text is at fixed places: it is read from the end. The text is
 * searched for quotes and backslashes only, and decoded only where somebody wants it.
 *
 *   half a line at the end     the engine is writing: wait for the rest
 *   no such line               damaged, passed over
 *   a quote within the text    the engine died amid a line and went on behind it: what begins last counts
 *
 * A message without its newline is a part of a longer line, or the last of its process. Only the
 * length tells: parts have 16 KiB.
 */
#include "stdout.h"

#include <endian.h>
#include <string.h>

#define HEAD      "{\"log\":\""
#define HEAD_SIZE (sizeof(HEAD) - 1)
#define TIME      ",\"time\":\""
/* A line is no longer: 16 KiB, each byte as six, and some attributes. */
#define LINE_MOST ((size_t)192 << 10)

static bool ends_with(const char *data, size_t length, const char *word, size_t word_length)
{
	return length >= word_length && memcmp(data + length - word_length, word, word_length) == 0;
}
#define ENDS_WITH(data, length, word) ends_with(data, length, word, sizeof(word) - 1)

/* Where the time begins that ends at length, less its last quote; NULL: it does not. */
static const char *time_before(const char *data, size_t length)
{
	const char *quote = memrchr(data, '"', length);

	return quote && ENDS_WITH(data, (size_t)(quote + 1 - data), TIME) ? quote + 1 : NULL;
}

/* How long the text will be; stops counting at most. */
static size_t decoded_length(const char *data, size_t length, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < length && count < most; count++) {
		if (data[i] != '\\') {
			i++;
		} else if (i + 1 < length && data[i + 1] == 'u') {
			i += 6; /* as one byte, at least */
		} else {
			i += 2;
		}
	}
	return count;
}

/* The text ends with an escaped newline: "\\n" is one, "\\\\n" is a backslash and an n. */
static bool ends_with_newline(const char *data, size_t length)
{
	size_t backslashes = 0;

	if (length < 2 || data[length - 1] != 'n')
		return false;
	while (backslashes + 1 < length && data[length - 2 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

/* With attributes there is one more object between stream and time. */
static int stream_of(const char *data, size_t length, size_t *ret_text_length)
{
	static const char out[] = "\",\"stream\":\"stdout\"", err[] = "\",\"stream\":\"stderr\"";
	const char *found;

	if (ENDS_WITH(data, length, out)) {
		*ret_text_length = length - (sizeof(out) - 1);
		return 1;
	}
	if (ENDS_WITH(data, length, err)) {
		*ret_text_length = length - (sizeof(err) - 1);
		return 2;
	}
	for (int stream = 1; stream <= 2; stream++) {
		const char *word = stream == 1 ? "\",\"stream\":\"stdout\",\"attrs\":{"
					       : "\",\"stream\":\"stderr\",\"attrs\":{";

		found = memmem(data, length, word, strlen(word));
		if (found) {
			*ret_text_length = (size_t)(found - data);
			return stream;
		}
	}
	return 0;
}

enum entry_result json_file_next(char *data, size_t length, struct entry *ret_entry)
{
	const char *end = memchr(data, '\n', length), *time;
	size_t line, text_length = 0;

	if (!end && length < LINE_MOST)
		return ENTRY_MORE;
	line = end ? (size_t)(end - data) : length;
	*ret_entry = (struct entry){.used = end ? line + 1 : line, .escaped = true};
	if (!end || line < HEAD_SIZE + 2 || memcmp(data, HEAD, HEAD_SIZE) != 0 ||
	    !ENDS_WITH(data, line, "\"}"))
		return ENTRY_DAMAGED;
	line -= 2;
	time = time_before(data + HEAD_SIZE, line - HEAD_SIZE);
	if (!time)
		return ENTRY_DAMAGED;
	ret_entry->time = time;
	ret_entry->time_length = (size_t)(data + line - time);
	line = (size_t)(time - data) - (sizeof(TIME) - 1);
	ret_entry->data = data + HEAD_SIZE;
	ret_entry->stream = stream_of(ret_entry->data, line - HEAD_SIZE, &text_length);
	if (!ret_entry->stream)
		return ENTRY_DAMAGED;
	ret_entry->newline = ends_with_newline(ret_entry->data, text_length);
	ret_entry->length = ret_entry->newline ? text_length - 2 : text_length;
	ret_entry->ends = ret_entry->newline ||
			  decoded_length(ret_entry->data, text_length, ENTRY_PART) < ENTRY_PART;
	return ENTRY_OK;
}

/* --- the text --- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* The value of four hex digits, or -1. */
static int32_t hex_unit(const char *at, const char *end)
{
	int32_t value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static char *put_utf8(char *to, int32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

/* Behind "\u"; *at goes on. A half of a pair that stands alone is U+FFFD. */
static char *put_unit(char *to, const char **at, const char *end)
{
	int32_t code = hex_unit(*at, end), low;

	if (code < 0) { /* no such escape: as it is */
		*to++ = '\\';
		*to++ = 'u';
		return to;
	}
	*at += 4;
	if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' &&
	    (*at)[1] == 'u') {
		low = hex_unit(*at + 2, end);
		if (low >= 0xdc00 && low < 0xe000) {
			*at += 6;
			return put_utf8(to, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
		}
	}
	return put_utf8(to, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
}

/* The next byte that is not as it was printed: a backslash, or a quote, which none is in front of. */
static const char *next_special(const char *at, const char *end)
{
	typedef uint8_t bytes __attribute__((vector_size(16)));
	union {
		bytes is;
		uint64_t words[2];
	} found;

	for (; end - at >= (ptrdiff_t)sizeof(found); at += sizeof(found)) {
		memcpy(&found, at, sizeof(found));
		found.is = (bytes)((found.is == '\\') | (found.is == '"'));
		if (found.words[0])
			return at + __builtin_ctzll(le64toh(found.words[0])) / 8;
		if (found.words[1])
			return at + 8 + __builtin_ctzll(le64toh(found.words[1])) / 8;
	}
	while (at < end && *at != '\\' && *at != '"')
		at++;
	return at;
}

/* At the first quote of a text that begins behind another one, which was never finished. */
static bool begins_again(const char *data, const char *quote, const char *end)
{
	return quote > data && end - quote >= (ptrdiff_t)HEAD_SIZE - 1 &&
	       memcmp(quote - 1, HEAD, HEAD_SIZE) == 0;
}

/* What is behind a backslash at *at, which goes on. */
static char *put_escape(char *to, const char **at, const char *end)
{
	static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
	const char *letter;
	char c;

	if (*at + 1 >= end) { /* a backslash alone at the end */
		*to++ = *(*at)++;
		return to;
	}
	c = (*at)[1];
	*at += 2;
	if (c == '"' || c == '\\')
		*to++ = c;
	else if (c == 'u')
		to = put_unit(to, at, end);
	else
		*to++ = c && (letter = strchr(letters, c)) ? bytes[letter - letters] : c;
	return to;
}

void json_file_decode(struct entry *entry, char *to)
{
	char *begin = to;
	const char *at = entry->data, *end = at + entry->length, *next;

	entry->escaped = false;
	for (; at < end; at = next) {
		next = next_special(at, end);
		memmove(to, at, (size_t)(next - at));
		to += next - at;
		if (next == end)
			break;
		if (*next == '\\') {
			to = put_escape(to, &next, end);
		} else if (begins_again(entry->data, next, end)) {
			entry->damaged = true;
			to = begin;
			next += HEAD_SIZE - 1;
		} else {
			*to++ = *next++;
		}
	}
	entry->data = begin;
	entry->length = (size_t)(to - begin);
}
