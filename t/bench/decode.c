/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading a log costs at the least: decode json-file|local FILE
 *
 * One pass over the file: each message is found, its text is decoded and written to stdout. No cursor, no time, no
 * check, and no regard to what is damaged: the measure for who reads the same with all of that.
 */
#include "client.h"

#include <fcntl.h>

static char in[1 << 20], out[2 << 20];

static void put(const char *data, size_t length)
{
	while (length > 0) {
		ssize_t count = write(1, data, length);

		if (count <= 0)
			bench_fail("write", strerror(errno));
		data += count;
		length -= (size_t)count;
	}
}

static char unescaped(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* {"log":"text\n","stream":… a line. Returns how much of in was whole. */
static size_t decode_json(size_t have, size_t *ret_out)
{
	size_t at = 0, to = 0;
	const char *end;

	while ((end = memchr(in + at, '\n', have - at))) {
		const char *from = in + at + strlen("{\"log\":\"");

		while (*from != '"') {
			if (*from != '\\') {
				out[to++] = *from++;
			} else if (from[1] == 'u') {
				out[to++] =
					(char)strtoul((char[]){from[4], from[5], '\0'}, NULL, 16);
				from += 6;
			} else {
				out[to++] = unescaped(from[1]);
				from += 2;
			}
		}
		at = (size_t)(end - in) + 1;
	}
	*ret_out = to;
	return at;
}

static size_t read_varint(const char **at)
{
	size_t value = 0;
	int shift = 0;

	do {
		value |= (size_t)(**at & 0x7f) << shift;
		shift += 7;
	} while (*(*at)++ & 0x80);
	return value;
}

/* size, a LogEntry whose field 3 is the text, size. */
static size_t decode_local(size_t have, size_t *ret_out)
{
	size_t at = 0, to = 0;

	while (have - at >= 4) {
		const unsigned char *head = (const unsigned char *)in + at;
		size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 |
			      head[3];
		const char *from = in + at + 4, *end = from + size;

		if (have - at < size + 8)
			break;
		while (from < end) {
			size_t key = read_varint(&from), value = read_varint(&from);

			if (key >> 3 == 3) {
				memcpy(out + to, from, value);
				to += value;
				out[to++] = '\n';
			}
			if ((key & 7) == 2)
				from += value;
		}
		at += size + 8;
	}
	*ret_out = to;
	return at;
}

int main(int argc, char **argv)
{
	bool json = argc == 3 && strcmp(argv[1], "json-file") == 0;
	int fd = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	size_t have = 0, whole, length;
	ssize_t count;

	if (fd < 0) {
		fprintf(stderr, "usage: decode json-file|local FILE\n");
		return 2;
	}
	while ((count = read(fd, in + have, sizeof(in) - have)) > 0) {
		have += (size_t)count;
		whole = json ? decode_json(have, &length) : decode_local(have, &length);
		put(out, length);
		have -= whole;
		memmove(in, in + whole, have);
	}
	close(fd);
	return have || count < 0;
}
