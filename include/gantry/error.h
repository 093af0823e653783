/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that a person can act on.
 *
 * A function that can fail returns 0 or a negative errno; where the reason matters to a person it
 * also takes a `struct gantry_error *err` as its last argument:
 *
 *   - on success *err is untouched;
 *   - on failure *err is always filled: `code` (negative errno, the same as the return value) and
 *     `text`, a sentence part without a final full stop;
 *   - each layer puts its own context in front: "start web: docker: port 80 is already allocated";
 *   - `field` names the field of the request, or the key of the settings, that is at fault, as a
 *     path ("mounts[1].target"); empty where no single field is;
 *   - `decision` is the id of the policy decision that refused, 0 where no policy did.
 *
 * err may be NULL where the caller needs the code only. Whoever decides what happens next logs the
 * error; nobody both logs and returns it.
 */
#ifndef GANTRY_ERROR_H
#define GANTRY_ERROR_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct gantry_error {
	int code;
	int64_t decision;
	char field[96];
	char text[512];
};

__attribute__((format(printf, 3, 0))) static inline int
gantry_error_setv(struct gantry_error *err, int code, const char *format, va_list args)
{
	if (!err)
		return code;
	err->code = code;
	err->decision = 0;
	err->field[0] = '\0';
	vsnprintf(err->text, sizeof(err->text), format, args);
	return code;
}

/* Fills *err and returns code, so that a function can end with `return gantry_error_set(...)`. */
__attribute__((format(printf, 3, 4))) static inline int
gantry_error_set(struct gantry_error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	gantry_error_setv(err, code, format, args);
	va_end(args);
	return code;
}

/* As gantry_error_set, for a field at fault. The text should say what would be right. */
__attribute__((format(printf, 4, 5))) static inline int
gantry_error_field(struct gantry_error *err, int code, const char *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	gantry_error_setv(err, code, format, args);
	va_end(args);
	if (err)
		snprintf(err->field, sizeof(err->field), "%s", field);
	return code;
}

/* Puts "context: " in front of the text that is there; returns err->code. */
__attribute__((format(printf, 2, 3))) static inline int
gantry_error_prefix(struct gantry_error *err, const char *format, ...)
{
	char context[sizeof(err->text)];
	char joined[2 * sizeof(err->text) + 4];
	va_list args;

	if (!err)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	snprintf(joined, sizeof(joined), "%s: %s", context, err->text);
	snprintf(err->text, sizeof(err->text), "%.*s", (int)sizeof(err->text) - 1, joined);
	return err->code;
}

#endif
