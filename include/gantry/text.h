/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, base64 and a hash, for both sides of the border. */
#ifndef GANTRY_TEXT_H
#define GANTRY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GANTRY_HASH_SEED 14695981039346656037u

/* FNV-1a of the bytes, added to hash: for tables, and to tell two things apart; who chooses the bytes can make two alike. */
static inline uint64_t gantry_hash(uint64_t hash, const void *data, size_t length)
{
	for (const unsigned char *at = data; length > 0; at++, length--)
		hash = (hash ^ *at) * 1099511628211u;
	return hash;
}

/* The length of the sequence at text, of which left bytes are there (1 at least); 0: none that is valid. */
static inline size_t gantry_utf8_length(const char *text, size_t left)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = p[0] < 0x80                   ? 1
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		   : (p[0] & 0xf0) == 0xe0       ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static inline bool gantry_is_utf8(const char *text, size_t length)
{
	for (size_t at = 0, n; at < length; at += n) {
		uint64_t word;

		n = sizeof(word); /* mostly all of it is ASCII */
		if (length - at >= n) {
			memcpy(&word, text + at, n);
			if (!(word & 0x8080808080808080u))
				continue;
		}
		n = gantry_utf8_length(text + at, length - at);
		if (n == 0)
			return false;
	}
	return true;
}

#define GANTRY_BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* How long length bytes are in base64. */
static inline size_t gantry_base64_length(size_t length)
{
	return (length + 2) / 3 * 4;
}

/* Writes so much, and no NUL. */
static inline void gantry_base64(const void *data, size_t length, char *out)
{
	static const char digits[] = GANTRY_BASE64_DIGITS;
	const unsigned char *at = data;

	for (; length > 0; at += 3, out += 4, length -= length < 3 ? length : 3) {
		uint32_t bits = (uint32_t)at[0] << 16 | (length > 1 ? (uint32_t)at[1] << 8 : 0) |
				(length > 2 ? at[2] : 0);

		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = length > 1 ? digits[bits >> 6 & 63] : '=';
		out[3] = length > 2 ? digits[bits & 63] : '=';
	}
}

/* Up to what is no digit of it; out has room for strlen(text), of which what was written is told. */
static inline size_t gantry_base64_read(const char *text, char *out)
{
	static const char digits[] = GANTRY_BASE64_DIGITS;
	uint32_t bits = 0, count = 0;
	const char *found;
	size_t length = 0;

	for (; *text && (found = strchr(digits, *text)); text++) {
		bits = bits << 6 | (uint32_t)(found - digits);
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[length++] = (char)(bits >> count & 0xff);
		}
	}
	return length;
}

#endif
