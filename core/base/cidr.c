/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V4_BITS 96 /* in front of an IPv4 address that is written as one of IPv6 */

/* The bits of its family; 0: it is no address. */
static int read_address(const char *text, unsigned char address[16])
{
	static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET, text, address + sizeof(v4)) == 1) {
		memcpy(address, v4, sizeof(v4));
		return 32;
	}
	return inet_pton(AF_INET6, text, address) == 1 ? 128 : 0;
}

static bool bit(const unsigned char *address, int at)
{
	return address[at / 8] >> (7 - at % 8) & 1;
}

int cidr_parse(const char *text, struct cidr *ret_cidr, struct gantry_error *err)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN], *end;
	int family_bits = 0;
	long bits;

	if (snprintf(address, sizeof(address), "%.*s",
		     slash ? (int)(slash - text) : (int)sizeof(address),
		     text) < (int)sizeof(address))
		family_bits = read_address(address, ret_cidr->address);
	if (!family_bits)
		return gantry_error_set(
			err, -EINVAL, "is no address or range, as \"192.0.2.1\" or \"10.0.0.0/8\"");
	bits = slash ? strtol(slash + 1, &end, 10) : family_bits;
	if (slash && (slash[1] < '0' || slash[1] > '9' || *end || bits > family_bits))
		return gantry_error_set(err, -EINVAL, "must have 0 to %d bits after the \"/\"",
					family_bits);
	ret_cidr->bits = (int)bits + (family_bits == 32 ? V4_BITS : 0);
	for (int at = ret_cidr->bits; at < 128; at++)
		if (bit(ret_cidr->address, at))
			return gantry_error_set(
				err, -EINVAL,
				"names an address inside of its range; the bits after the "
				"first %ld must be 0",
				bits);
	return 0;
}

bool cidr_contains(const struct cidr *cidr, const char *address)
{
	unsigned char bytes[16];

	if (!read_address(address, bytes))
		return false;
	for (int at = 0; at < cidr->bits; at++)
		if (bit(bytes, at) != bit(cidr->address, at))
			return false;
	return true;
}

static bool in(const char *range, const char *address)
{
	struct cidr cidr;

	return cidr_parse(range, &cidr, NULL) == 0 && cidr_contains(&cidr, address);
}

bool cidr_is_loopback(const char *address)
{
	return in("127.0.0.0/8", address) || in("::1", address);
}

bool cidr_is_any(const char *address)
{
	return in("0.0.0.0", address) || in("::", address);
}
