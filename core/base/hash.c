/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value >> bits | value << (32 - bits);
}

static uint32_t read_word(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static void compress(struct hash *hash)
{
	uint32_t schedule[64], s[8];

	for (int i = 0; i < 16; i++)
		schedule[i] = read_word(hash->block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = schedule[i - 15], b = schedule[i - 2];

		schedule[i] = schedule[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
			      schedule[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(s, hash->state, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t sum_e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
		uint32_t sum_a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
		uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
		uint32_t first = s[7] + sum_e + choice + round_constants[i] + schedule[i];

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += first;
		s[0] = first + sum_a + majority;
	}
	for (int i = 0; i < 8; i++)
		hash->state[i] += s[i];
}

void hash_init(struct hash *hash)
{
	static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(hash->state, start, sizeof(start));
	hash->length = 0;
}

void hash_add(struct hash *hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	while (length > 0) {
		size_t used = hash->length % 64, part = 64 - used < length ? 64 - used : length;

		memcpy(hash->block + used, bytes, part);
		hash->length += part;
		bytes += part;
		length -= part;
		if (hash->length % 64 == 0)
			compress(hash);
	}
}

void hash_end(struct hash *hash, unsigned char ret_digest[HASH_BYTES])
{
	static const unsigned char padding[64] = {0x80};
	uint64_t bits = hash->length * 8;
	size_t used = hash->length % 64;
	unsigned char tail[8];

	for (int i = 0; i < 8; i++)
		tail[i] = (unsigned char)(bits >> (56 - 8 * i));
	hash_add(hash, padding, used < 56 ? 56 - used : 120 - used);
	hash_add(hash, tail, sizeof(tail));
	for (int i = 0; i < HASH_BYTES; i++)
		ret_digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hash_hmac(const void *key, size_t key_length, const void *data, size_t length,
	       unsigned char ret_digest[HASH_BYTES])
{
	unsigned char pad[64] = {0};
	struct hash hash;

	if (key_length > sizeof(pad)) {
		hash_init(&hash);
		hash_add(&hash, key, key_length);
		hash_end(&hash, pad);
	} else if (key_length > 0) {
		memcpy(pad, key, key_length);
	}
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	hash_init(&hash);
	hash_add(&hash, pad, sizeof(pad));
	hash_add(&hash, data, length);
	hash_end(&hash, ret_digest);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_init(&hash);
	hash_add(&hash, pad, sizeof(pad));
	hash_add(&hash, ret_digest, HASH_BYTES);
	hash_end(&hash, ret_digest);
	explicit_bzero(pad, sizeof(pad));
}

void hash_hex(const unsigned char *digest, size_t count, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		*text++ = digits[digest[i] >> 4];
		*text++ = digits[digest[i] & 15];
	}
	*text = '\0';
}
