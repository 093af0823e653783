/* SPDX-License-Identifier: Apache-2.0 */
/* Tars for tests and for the fake engine, entry by entry. */
#ifndef FAKE_TAR_H
#define FAKE_TAR_H

#include "base/str.h"

#include <stdio.h>
#include <string.h>

struct tar_entry {
	char type; /* '0': a file, '5': a folder, '2': a link, 'x': what is said of the next entry, … */
	const char *name, *target; /* target NULL: no link */
	unsigned mode, uid;
	const char *data;
	size_t length;
};

static inline void tar_add(struct str *tar, const struct tar_entry *entry)
{
	char head[512] = {0};
	unsigned sum = 0;

	snprintf(head, 100, "%s", entry->name);
	snprintf(head + 100, 8, "%07o", entry->mode);
	snprintf(head + 108, 8, "%07o", entry->uid);
	snprintf(head + 116, 8, "%07o", 0u);
	snprintf(head + 124, 12, "%011zo", entry->length);
	snprintf(head + 136, 12, "%011o", 1767323045u);
	memset(head + 148, ' ', 8);
	head[156] = entry->type;
	snprintf(head + 157, 100, "%s", entry->target ? entry->target : "");
	memcpy(head + 257, "ustar", 6);
	memcpy(head + 263, "00", 2);
	for (size_t i = 0; i < sizeof(head); i++)
		sum += (unsigned char)head[i];
	snprintf(head + 148, 8, "%06o", sum);
	str_add_bytes(tar, head, sizeof(head));
	str_add_bytes(tar, entry->data, entry->length);
	while (tar->length % sizeof(head))
		str_add_char(tar, '\0');
}

static inline void tar_end(struct str *tar)
{
	static const char zeros[1024];

	str_add_bytes(tar, zeros, sizeof(zeros));
}

#endif
