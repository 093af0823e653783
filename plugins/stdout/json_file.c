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

#include <string.h>

#define HEAD      "{\"log\":\""
#define HEAD_SIZE (sizeof(HEAD) - 1)
/* A line is no longer: 16 KiB, each byte as six, and some attributes. */
#define LINE_MOST ((size_t)192 << 10)

static bool ends_with(const char *data, size_t length, const char *word, size_t word_length)
{
	return length >= word_length && memcmp(data + length - word_length, word, word_length) == 0;
}
#define ENDS_WITH(data, length, word) ends_with(data, length, word, sizeof(word) - 1)

/* Where the text begins that ends at length with `"KEY":"VALUE"`, less its last quote; NULL: it does not. */
static const char *value_before(const char *data, size_t length, const char *key, size_t most)
{
	size_t from = length > most ? length - most : 0;
	const char *found = memmem(data + from, length - from, key, strlen(key));

	return found ? found + strlen(key) : NULL;
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
	time = value_before(data + HEAD_SIZE, line - HEAD_SIZE, ",\"time\":\"", 48);
	if (!time)
		return ENTRY_DAMAGED;
	ret_entry->time = time;
	ret_entry->time_length = (size_t)(data + line - time);
	line = (size_t)(time - data) - strlen(",\"time\":\"");
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

/* Where the text began again behind a line that was never finished; NULL: nowhere. */
static char *begun_again(char *data, size_t length)
{
	char *found = NULL, *at = data;

	while ((at = memmem(at, length - (size_t)(at - data), HEAD, HEAD_SIZE))) {
		/* an escaped quote is part of the text */
		if (at == data || at[-1] != '\\')
			found = at;
		at += HEAD_SIZE;
	}
	return found ? found + HEAD_SIZE : NULL;
}

void json_file_decode(struct entry *entry)
{
	static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
	char *to, *again = begun_again(entry->data, entry->length);
	const char *at, *end = entry->data + entry->length;

	entry->escaped = false;
	if (again) {
		entry->damaged = true;
		entry->data = again;
		entry->length = (size_t)(end - again);
	}
	at = memchr(entry->data, '\\', entry->length);
	if (!at)
		return;
	to = entry->data + (at - entry->data);
	while (at < end) {
		const char *next;
		const char *letter;

		if (at + 1 >= end) { /* a backslash alone at the end */
			*to++ = *at++;
			break;
		}
		letter = strchr(letters, at[1]);
		at += 2;
		if (at[-1] == 'u')
			to = put_unit(to, &at, end);
		else
			*to++ = letter && at[-1] ? bytes[letter - letters] : at[-1];
		next = memchr(at, '\\', (size_t)(end - at));
		if (!next)
			next = end;
		memmove(to, at, (size_t)(next - at));
		to += next - at;
		at = next;
	}
	entry->length = (size_t)(to - entry->data);
}
