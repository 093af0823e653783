/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Wall time is for people and records; spans and deadlines use the monotonic clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
int64_t clock_wall_ns(void);
int64_t clock_monotonic_us(void); /* since some fixed point */
/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z"; size >= 25. */
void clock_format(int64_t wall_ms, char *text, size_t size);
#define CLOCK_NS_SIZE 31
/* As above with nanoseconds. */
void clock_format_ns(int64_t wall_ns, char text[CLOCK_NS_SIZE]);
/* Parses RFC 3339 with any fraction and offset; nanoseconds since 1970, or -EINVAL. */
int clock_parse_ns(const char *text, int64_t *ret_ns);

#endif
