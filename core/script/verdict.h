/* SPDX-License-Identifier: Apache-2.0 */
/* What admit and filter answer. Internal to script/. */
#ifndef SCRIPT_VERDICT_H
#define SCRIPT_VERDICT_H

#include "script/sandbox.h"

enum verdict { VERDICT_NONE, VERDICT_ALLOW, VERDICT_DENY };

/*
 * Reads the two results on top of the stack: true, false and why, or nil. *ret_reason is borrowed from
 * the stack, NULL where none was given. Raises on any other answer.
 */
enum verdict verdict_read(lua_State *L, const char **ret_reason, size_t *ret_length);

#endif
