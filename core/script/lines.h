/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a source; see lines.c. Internal to script/. */
#ifndef SCRIPT_LINES_H
#define SCRIPT_LINES_H

#include "script/script.h"

/* Never fails: what it does not understand is not known. Free with script_lines_free. */
struct script_lines *lines_scan(const char *source, size_t length);

/* The lines on which a return statement begins, in order; the caller frees. */
int *lines_of_returns(const char *source, size_t length, size_t *ret_count);

#endif
