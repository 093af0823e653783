/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses and ranges of them, of both families, as "192.0.2.1", "10.0.0.0/8", "2001:db8::/32". */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include <stdbool.h>

#include <gantry/error.h>

struct cidr {
	unsigned char address[16]; /* of IPv4 as ::ffff:192.0.2.1 */
	int bits;                  /* of 128 that count */
};

/* -EINVAL; the error reads after the text. */
int cidr_parse(const char *text, struct cidr *ret_cidr, struct gantry_error *err);
/* address is a literal; what is none is in no range. */
bool cidr_contains(const struct cidr *cidr, const char *address);

/* Of an address literal: 127.0.0.0/8, ::1. */
bool cidr_is_loopback(const char *address);
/* All addresses of the host: 0.0.0.0, ::. */
bool cidr_is_any(const char *address);

#endif
