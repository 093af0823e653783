/* SPDX-License-Identifier: Apache-2.0 */
/* The table of fields that facts have. Internal to script/. */
#ifndef SCRIPT_FIELDS_H
#define SCRIPT_FIELDS_H

#include "script/facts.h"

/* How a field is kept: enum gantry_field_kind, or one of these. */
enum {
	VALUE_TEXT = 64, /* char[], nil where empty */
	VALUE_COUNT,     /* int64_t, never unset */
	VALUE_AMOUNT,    /* int64_t, nil where it is not above 0 */
	VALUE_NANO,      /* int64_t, billionths, nil where it is not above 0 */
	VALUE_TIME,      /* int64_t milliseconds; seconds, nil for 0 */
	VALUE_PORT,      /* uint16_t */
	VALUE_BLOCK_LIMITS,
	VALUE_FUNCTION,
};

struct field {
	enum fact_kind kind;
	const char *key;
	int value;
	size_t offset;
	void (*push)(lua_State *L, const void *data); /* VALUE_FUNCTION */
};

#define FACT_FIELDS_MAX 200

extern const struct field fact_fields[];
extern const int fact_fields_count;

#endif
