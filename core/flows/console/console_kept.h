/* SPDX-License-Identifier: Apache-2.0 */
/* The last output of a console, in the order it came. */
#ifndef FLOWS_CONSOLE_KEPT_H
#define FLOWS_CONSOLE_KEPT_H

#include <stdint.h>

#include "base/str.h"

#define KEPT_BYTES      ((size_t)64 * 1024)
#define KEPT_MORE_BYTES ((size_t)1024 * 1024) /* while somebody has to find a place in it */
#define KEPT_PIECES     256

struct kept_piece {
	int stream;
	size_t length;
};

struct console_kept {
	struct str bytes; /* of all pieces */
	struct kept_piece pieces[KEPT_PIECES];
	size_t count;
	uint64_t dropped_bytes; /* older than what is kept */
	int64_t came_us[3];     /* when the last of a stream did, by its number; 0: never */
};

/* Takes a piece, of stream 1 or 2, and drops the oldest over room_bytes. */
void kept_add(struct console_kept *kept, size_t room_bytes, int stream, const char *data,
	      size_t length);
/* All of one stream, behind what is in *text. */
void kept_text(const struct console_kept *kept, int stream, struct str *text);
void kept_copy(const struct console_kept *from, struct console_kept *ret);
void kept_fini(struct console_kept *kept);

#endif
