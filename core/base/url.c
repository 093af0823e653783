/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int parse_host(const char *text, size_t length, struct url *url, struct gantry_error *err)
{
	bool address = length > 2 && text[0] == '[' && text[length - 1] == ']';

	if (length == 0)
		return gantry_error_set(err, -EINVAL, "has no host");
	if (length >= sizeof(url->host))
		return gantry_error_set(err, -EINVAL, "has a host of over %zu bytes",
					sizeof(url->host) - 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		bool edge = address && (i == 0 || i == length - 1);

		if (!edge && !(address ? isxdigit(c) || c == ':' || c == '.'
				       : isalnum(c) || c == '-' || c == '.' || c == '_'))
			return gantry_error_set(err, -EINVAL, "has a host with a wrong character");
		url->host[i] = (char)tolower(c);
	}
	url->host[length] = '\0';
	return 0;
}

static int parse_port(const char *text, size_t length, struct url *url, struct gantry_error *err)
{
	long port = 0;

	for (size_t i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			port = 65536;
	if (length > 0 && length <= 5 && port == 0)
		port = strtol(text, NULL, 10);
	if (port < 1 || port > 65535)
		return gantry_error_set(err, -EINVAL, "has a port that is not 1 to 65535");
	url->port = (uint16_t)port;
	return 0;
}

/* HOST or HOST:PORT. */
static int parse_authority(const char *text, size_t length, struct url *url,
			   struct gantry_error *err)
{
	const char *end = text + length, *colon = NULL;
	int code;

	if (memchr(text, '@', length))
		return gantry_error_set(err, -EINVAL, "must have no user name");
	for (const char *p = text; p < end && text[0] != '['; p++)
		if (*p == ':')
			colon = colon ? colon : p;
	if (text[0] == '[' && length > 0) {
		colon = memchr(text, ']', length);
		colon = colon && colon + 1 < end && colon[1] == ':' ? colon + 1 : NULL;
	}
	code = parse_host(text, (size_t)((colon ? colon : end) - text), url, err);
	if (code == 0 && colon)
		code = parse_port(colon + 1, (size_t)(end - colon - 1), url, err);
	return code;
}

/* ".", ".." and those with parameters behind, which some servers take off. */
static bool is_dots(const char *segment)
{
	size_t length = strcspn(segment, "/?;");

	return (length == 1 || length == 2) && strspn(segment, ".") == length;
}

static bool is_escape(const char *text, const char *code)
{
	return strncasecmp(text, code, 3) == 0;
}

static int check_path(const char *path, struct gantry_error *err)
{
	bool query = false;

	for (const char *p = path; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '#')
			return gantry_error_set(err, -EINVAL,
						"has a character that must be written as %%XX");
		if (*p == '%' && !(isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])))
			return gantry_error_set(err, -EINVAL, "has a \"%%\" that starts no %%XX");
		query |= *p == '?';
		if (query)
			continue;
		if (is_escape(p, "%2e") || is_escape(p, "%2f") || is_escape(p, "%5c") ||
		    is_escape(p, "%00") || (*p == '/' && is_dots(p + 1)))
			return gantry_error_set(
				err, -EINVAL,
				"must have no \".\", \"..\" or encoded \".\" and \"/\" in its path");
	}
	return 0;
}

int url_parse(const char *text, struct url *ret_url, struct gantry_error *err)
{
	struct url url = {0};
	size_t length;
	int code;

	if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
		return gantry_error_set(err, -EINVAL, "must begin with http:// or https://");
	url.tls = tolower((unsigned char)text[4]) == 's';
	url.port = url.tls ? 443 : 80;
	text += url.tls ? 8 : 7;
	length = strcspn(text, "/?#\\");
	code = parse_authority(text, length, &url, err);
	if (code < 0)
		return code;
	url.path = text[length] ? text + length : "/";
	if (url.path[0] != '/')
		return gantry_error_set(err, -EINVAL, "must have a \"/\" after its host");
	code = check_path(url.path, err);
	if (code == 0)
		*ret_url = url;
	return code;
}

bool url_covers(const struct url *allowed, const struct url *url)
{
	size_t length = strcspn(allowed->path, "?");

	if (allowed->tls != url->tls || allowed->port != url->port ||
	    strcmp(allowed->host, url->host) != 0 || strncmp(allowed->path, url->path, length) != 0)
		return false;
	return allowed->path[length - 1] == '/' || strchr("/?", url->path[length]) != NULL;
}
