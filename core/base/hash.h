/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104): revisions of policy sets, and secrets in records. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32

struct hash {
	uint32_t state[8];
	uint64_t length; /* bytes added so far */
	unsigned char block[64];
};

void hash_init(struct hash *hash);
void hash_add(struct hash *hash, const void *data, size_t length);
/* hash is of no further use after. */
void hash_end(struct hash *hash, unsigned char ret_digest[HASH_BYTES]);

void hash_hmac(const void *key, size_t key_length, const void *data, size_t length,
	       unsigned char ret_digest[HASH_BYTES]);

/* Lower-case hex of count bytes; text has room for 2 * count + 1. */
void hash_hex(const unsigned char *digest, size_t count, char *text);

#endif
