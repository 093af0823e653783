/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A string that grows. Always ends with NUL; may hold NULs before that (length counts).
 * Memory for small things that cannot be had aborts in one place: see xmalloc.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	char *data; /* owned; never NULL after the first addition */
	size_t length;
	size_t capacity;
};

#define STR_INIT                                                                                   \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, const void *data, size_t length);
void str_add_char(struct str *s, char c);
void str_add_int(struct str *s, int64_t value);
void str_addf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_addv(struct str *s, const char *format, va_list args);
/* Appends text as the inside of a JSON string (no quotes around). Invalid UTF-8 becomes U+FFFD. */
void str_add_json(struct str *s, const char *text, size_t length);
void str_add_base64(struct str *s, const void *data, size_t length);
/* Appends text percent-encoded for a URL's path segment or query value. */
void str_add_url(struct str *s, const char *text);
/* Removes the first count bytes. */
void str_consume(struct str *s, size_t count);
/* Empties, keeping the memory. */
void str_clear(struct str *s);
void str_fini(struct str *s);
/* Hands the text over (the caller frees); s is empty after. Never NULL. */
char *str_take(struct str *s);
/* The text, "" where nothing was added. */
const char *str_text(const struct str *s);

/* Allocation that aborts with a message where memory is out. Not for sizes an outsider chooses. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *memory, size_t size);
char *xstrdup(const char *text); /* NULL gives NULL */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}
bool str_starts_with(const char *text, const char *prefix);
/* The entry of words (NULL-terminated) that is the word, or NULL. */
const char *str_find(const char *word, const char *const *words);
/* The entry of words (NULL-terminated) nearest to word by edit distance, or NULL if none is near. */
const char *str_nearest(const char *word, const char *const *words);

#endif
