/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against the vectors of FIPS 180-4's examples, HMAC against those of RFC 4231. */
#include "base/hash.h"
#include "tap.h"

static const char *sha256(const void *data, size_t length, size_t piece)
{
	static char text[2 * HASH_BYTES + 1];
	unsigned char digest[HASH_BYTES];
	struct hash hash;

	hash_init(&hash);
	for (size_t at = 0; at < length; at += piece)
		hash_add(&hash, (const char *)data + at, length - at < piece ? length - at : piece);
	hash_end(&hash, digest);
	hash_hex(digest, sizeof(digest), text);
	return text;
}

static const char *hmac(const void *key, size_t key_length, const char *data)
{
	static char text[2 * HASH_BYTES + 1];
	unsigned char digest[HASH_BYTES];

	hash_hmac(key, key_length, data, strlen(data), digest);
	hash_hex(digest, sizeof(digest), text);
	return text;
}

int main(void)
{
	static char many[1000000], key[131];
	const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

	is_str(sha256("", 0, 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	       "nothing");
	is_str(sha256("abc", 3, 64),
	       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "one block");
	is_str(sha256(two, 56, 64),
	       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "two blocks");
	memset(many, 'a', sizeof(many));
	is_str(sha256(many, sizeof(many), sizeof(many)),
	       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million");
	is_str(sha256(many, sizeof(many), 77),
	       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
	       "a million in odd pieces");
	memset(key, 0x0b, 20);
	is_str(hmac(key, 20, "Hi There"),
	       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", "RFC 4231, 1");
	is_str(hmac("Jefe", 4, "what do ya want for nothing?"),
	       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "RFC 4231, 2");
	memset(key, 0xaa, sizeof(key));
	is_str(hmac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First"),
	       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "RFC 4231, 6");
	plan(8);
	return tap_end();
}
