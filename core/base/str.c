/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <gantry/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t size)
{
	fprintf(stderr, "gantry: out of memory (%zu bytes wanted)\n", size);
	abort();
}

void *xmalloc(size_t size)
{
	void *memory = malloc(size ? size : 1);

	if (!memory)
		out_of_memory(size);
	return memory;
}

void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);

	if (!memory)
		out_of_memory(count * size);
	return memory;
}

void *xrealloc(void *memory, size_t size)
{
	memory = realloc(memory, size ? size : 1);
	if (!memory)
		out_of_memory(size);
	return memory;
}

char *xstrdup(const char *text)
{
	return text ? memcpy(xmalloc(strlen(text) + 1), text, strlen(text) + 1) : NULL;
}

char *xasprintf(const char *format, ...)
{
	struct str s = STR_INIT;
	va_list args;

	va_start(args, format);
	str_addv(&s, format, args);
	va_end(args);
	return str_take(&s);
}

static void reserve(struct str *s, size_t more)
{
	size_t need = s->length + more + 1;

	if (need <= s->capacity)
		return;
	if (s->capacity < 64)
		s->capacity = 64;
	while (s->capacity < need)
		s->capacity += s->capacity / 2;
	s->data = xrealloc(s->data, s->capacity);
}

void str_add_bytes(struct str *s, const void *data, size_t length)
{
	reserve(s, length);
	if (length)
		memcpy(s->data + s->length, data, length);
	s->length += length;
	s->data[s->length] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_add_bytes(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
	str_add_bytes(s, &c, 1);
}

void str_addv(struct str *s, const char *format, va_list args)
{
	va_list again;
	int length;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		return;
	reserve(s, (size_t)length);
	vsnprintf(s->data + s->length, (size_t)length + 1, format, args);
	s->length += (size_t)length;
}

void str_add_int(struct str *s, int64_t value)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (value < 0)
		*--at = '-';
	str_add_bytes(s, at, (size_t)(digits + sizeof(digits) - at));
}

void str_addf(struct str *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	str_addv(s, format, args);
	va_end(args);
}

/* How many bytes from p on need nothing done to them. */
static size_t plain_run(const unsigned char *p, const unsigned char *end)
{
	const unsigned char *at = p;

	while (at < end && *at >= 0x20 && *at != '"' && *at != '\\') {
		size_t n =
			*at < 0x80 ? 1 : gantry_utf8_length((const char *)at, (size_t)(end - at));

		if (n == 0)
			break;
		at += n;
	}
	return (size_t)(at - p);
}

void str_add_json(struct str *s, const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + length;

	while (p < end) {
		size_t n = plain_run(p, end);

		if (n > 0) {
			str_add_bytes(s, p, n);
			p += n;
			continue;
		}
		if (*p >= 0x80)
			str_add(s, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			str_addf(s, "\\%c", *p);
		else if (*p == '\n')
			str_add(s, "\\n");
		else
			str_addf(s, "\\u%04x", *p);
		p++;
	}
}

void str_add_base64(struct str *s, const void *data, size_t length)
{
	size_t more = gantry_base64_length(length);

	reserve(s, more);
	gantry_base64(data, length, s->data + s->length);
	s->length += more;
	s->data[s->length] = '\0';
}

void str_add_url(struct str *s, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text))
			str_add_char(s, *text);
		else
			str_addf(s, "%%%02X", (unsigned char)*text);
	}
}

void str_consume(struct str *s, size_t count)
{
	if (count >= s->length) {
		str_clear(s);
		return;
	}
	memmove(s->data, s->data + count, s->length - count + 1);
	s->length -= count;
}

void str_clear(struct str *s)
{
	s->length = 0;
	if (s->data)
		s->data[0] = '\0';
}

void str_fini(struct str *s)
{
	free(s->data);
	*s = (struct str)STR_INIT;
}

char *str_take(struct str *s)
{
	char *data = s->data ? s->data : xstrdup("");

	*s = (struct str)STR_INIT;
	return data;
}

const char *str_text(const struct str *s)
{
	return s->data ? s->data : "";
}

bool str_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Edit distance with insert, delete, replace and swap of neighbours; words over 40 are far. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][42], la = strlen(a), lb = strlen(b);

	if (la > 40 || lb > 40)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *last = row[(i - 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    row[(i - 2) % 3][j - 2] + 1 < best)
				best = row[(i - 2) % 3][j - 2] + 1;
			now[j] = best;
		}
	}
	return row[la % 3][lb];
}

const char *str_find(const char *word, const char *const *words)
{
	while (*words && !str_equal(*words, word))
		words++;
	return *words;
}

const char *str_nearest(const char *word, const char *const *words)
{
	const char *best = NULL;
	size_t limit = strlen(word) / 3 + 1, best_distance = limit + 1;

	for (; *words; words++) {
		size_t d = distance(word, *words);

		if (d < best_distance) {
			best_distance = d;
			best = *words;
		}
	}
	return best;
}
