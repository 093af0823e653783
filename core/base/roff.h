/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manual pages: the man macros on standard output. Text is taken as it is read by people; what would
 * be a command to roff, and what is beyond ASCII, is escaped here.
 */
#ifndef BASE_ROFF_H
#define BASE_ROFF_H

#include <stdbool.h>

struct roff {
	bool fresh; /* nothing stands below the last heading yet */
};

/* The title and the section NAME. The date is today's, or SOURCE_DATE_EPOCH's. */
void roff_begin(struct roff *page, const char *name, int section, const char *version,
		const char *summary);
void roff_heading(struct roff *page, const char *title);    /* printed in capitals */
void roff_subheading(struct roff *page, const char *title); /* within a heading */
/* A paragraph; what is empty prints nothing. */
void roff_paragraph(struct roff *page, const char *text);
/* A line that is set as it was written: an example, a synopsis. */
void roff_line(struct roff *page, const char *text);
/* An entry of a list: the term in bold with its value ("" for none), then what it means. */
void roff_entry(struct roff *page, const char *term, const char *value, const char *text);

#endif
