/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs as a list of allowed addresses needs them: absolute, http or https, and with one meaning only.
 * What two readers may take for two things is refused: user names, backslashes, dot segments also where
 * they are encoded, encoded slashes, characters that are not ASCII.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>
#include <stdint.h>

#include <gantry/error.h>

struct url {
	bool tls;
	char host[256]; /* lower case; an IPv6 address in brackets */
	uint16_t port;
	const char *path; /* with its query; begins with "/". Borrowed from the text */
};

/* -EINVAL; the error reads after the name of the URL: "has no host". */
int url_parse(const char *text, struct url *ret_url, struct gantry_error *err);

/*
 * Whether url is allowed or below it: the same scheme, host and port as they are written, and the
 * path of allowed or one below that, at a "/". Names are not resolved: an address is not its name.
 */
bool url_covers(const struct url *allowed, const struct url *url);

#endif
