/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/console/console_kept.h"
#include "base/clock.h"

#include <string.h>

static void drop_oldest(struct console_kept *kept)
{
	size_t length = kept->pieces[0].length;

	str_consume(&kept->bytes, length);
	kept->dropped_bytes += length;
	kept->count--;
	memmove(kept->pieces, kept->pieces + 1, kept->count * sizeof(*kept->pieces));
}

void kept_add(struct console_kept *kept, size_t room_bytes, int stream, const char *data,
	      size_t length)
{
	struct kept_piece *last;

	kept->came_us[stream] = clock_monotonic_us();
	if (length > room_bytes / 2) { /* of a large piece its end */
		kept->dropped_bytes += length - room_bytes / 2;
		data += length - room_bytes / 2;
		length = room_bytes / 2;
	}
	while (kept->count && kept->bytes.length + length > room_bytes)
		drop_oldest(kept);
	last = kept->count ? &kept->pieces[kept->count - 1] : NULL;
	if (!last || last->stream != stream || last->length + length > room_bytes / 8) {
		if (kept->count == KEPT_PIECES)
			drop_oldest(kept);
		last = &kept->pieces[kept->count++];
		*last = (struct kept_piece){.stream = stream};
	}
	last->length += length;
	str_add_bytes(&kept->bytes, data, length);
}

void kept_text(const struct console_kept *kept, int stream, struct str *text)
{
	const char *data = str_text(&kept->bytes);

	for (size_t i = 0; i < kept->count; data += kept->pieces[i++].length)
		if (kept->pieces[i].stream == stream)
			str_add_bytes(text, data, kept->pieces[i].length);
}

void kept_copy(const struct console_kept *from, struct console_kept *ret)
{
	*ret = *from;
	ret->bytes = (struct str)STR_INIT;
	str_add_bytes(&ret->bytes, str_text(&from->bytes), from->bytes.length);
}

void kept_fini(struct console_kept *kept)
{
	str_fini(&kept->bytes);
}
