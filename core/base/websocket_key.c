/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-1 (FIPS 180-4) and base64, for this one use: the handshake asks for it, nothing depends on
 * the strength of the hash.
 */
#include "base/websocket_key.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define KEY_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SHA1_BYTES 20

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

static void sha1_block(uint32_t state[5], const unsigned char block[64])
{
	uint32_t words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

	for (unsigned i = 0; i < 16; i++)
		words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
			   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (unsigned i = 16; i < 80; i++)
		words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
	for (unsigned i = 0; i < 80; i++) {
		uint32_t mixed, next;

		if (i < 20)
			mixed = ((b & c) | (~b & d)) + 0x5a827999;
		else if (i < 40)
			mixed = (b ^ c ^ d) + 0x6ed9eba1;
		else if (i < 60)
			mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
		else
			mixed = (b ^ c ^ d) + 0xca62c1d6;
		next = rotate(a, 5) + mixed + e + words[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

/* Of a text shorter than two blocks less the padding. */
static void sha1(const char *text, size_t length, unsigned char ret_digest[SHA1_BYTES])
{
	uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	unsigned char blocks[128] = {0};
	size_t size = length + 9 <= 64 ? 64 : 128;

	memcpy(blocks, text, length);
	blocks[length] = 0x80;
	blocks[size - 2] = (unsigned char)(length * 8 >> 8);
	blocks[size - 1] = (unsigned char)(length * 8);
	for (size_t at = 0; at < size; at += 64)
		sha1_block(state, blocks + at);
	for (unsigned i = 0; i < SHA1_BYTES; i++)
		ret_digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *data, size_t length, char *ret_text, size_t size)
{
	struct str text = STR_INIT;

	str_add_base64(&text, data, length);
	snprintf(ret_text, size, "%s", str_text(&text));
	str_fini(&text);
}

void websocket_key_make(char ret_key[WEBSOCKET_KEY_LENGTH + 1])
{
	unsigned char random[16] = {0};

	/* a key that repeats does no harm but to caches, which none of ours goes through */
	if (getrandom(random, sizeof(random), 0) < 0)
		memset(random, 0, sizeof(random));
	base64(random, sizeof(random), ret_key, WEBSOCKET_KEY_LENGTH + 1);
}

void websocket_key_accept(const char *key, char ret_accept[WEBSOCKET_ACCEPT_LENGTH + 1])
{
	unsigned char digest[SHA1_BYTES];
	char text[WEBSOCKET_KEY_LENGTH + sizeof(KEY_SUFFIX)];
	int length = snprintf(text, sizeof(text), "%.*s" KEY_SUFFIX, WEBSOCKET_KEY_LENGTH, key);

	sha1(text, (size_t)length, digest);
	base64(digest, sizeof(digest), ret_accept, WEBSOCKET_ACCEPT_LENGTH + 1);
}
