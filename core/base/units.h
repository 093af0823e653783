/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and durations as people write them. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * "64MiB", "64m", "1.5G", "512": bytes. Suffixes b, k, m, g, t with or without "b"/"ib", any case,
 * all binary. 0, or -EINVAL (also for a negative or a value over 2^62).
 */
int units_parse_size(const char *text, int64_t *ret_bytes);
/* "500ms", "10s", "1.5m", "2h", "10" (seconds): milliseconds. 0 or -EINVAL. */
int units_parse_duration(const char *text, int64_t *ret_ms);
/* "64MiB", "1.5GiB"; size >= 24. */
void units_format_size(int64_t bytes, char *text, size_t size);
/* "500ms", "10s", "2h": in the largest unit of which it is a whole number; size >= 24. */
void units_format_duration(int64_t ms, char *text, size_t size);

#endif
