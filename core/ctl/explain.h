/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions in words. */
#ifndef CTL_EXPLAIN_H
#define CTL_EXPLAIN_H

#include "ctl/ctl.h"

void explain_decision(struct json_object *decision);

/* --matrix and --why-not: an exit status. word: what was asked about. */
int explain_matrix(struct ctl *ctl, const char *word, struct json_object *decision);

/* " (FILE:LINE)" of a record, where it has them; what it was without. */
void explain_add_place(struct str *line, struct json_object *record);
void explain_add_marks(struct str *line, struct json_object *record);

#endif
