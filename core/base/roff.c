/* SPDX-License-Identifier: Apache-2.0 */
#include "base/roff.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#include <gantry/text.h>

/* One character that roff would change or run; NULL: it is printed as it is. */
static const char *escape(char c)
{
	switch (c) {
	case '\\':
		return "\\e";
	case '-':
		return "\\-";
	case '"':
		return "\\(dq";
	case '\'':
		return "\\(aq";
	case '`':
		return "\\(ga";
	case '^':
		return "\\(ha";
	case '~':
		return "\\(ti";
	default:
		return NULL;
	}
}

/* The code point of the sequence of that length (2 to 4) at text. */
static unsigned code_point(const char *text, size_t length)
{
	unsigned code = (unsigned char)text[0] & (0x7fu >> length);

	for (size_t i = 1; i < length; i++)
		code = code << 6 | ((unsigned char)text[i] & 0x3fu);
	return code;
}

/* Text on one line or several. */
static void print(const char *text, bool capitals)
{
	size_t left = strlen(text);

	/* A full stop that begins a line would make a command of it. */
	if (*text == '.')
		fputs("\\&", stdout);
	while (left) {
		size_t length = gantry_utf8_length(text, left);
		const char *escaped = escape(*text);

		if (escaped)
			fputs(escaped, stdout);
		else if (length > 1)
			printf("\\[u%04X]", code_point(text, length));
		else if (*text == '\n')
			fputs(text[1] == '.' ? "\n\\&" : "\n", stdout);
		else if (length == 1)
			putchar(capitals ? toupper((unsigned char)*text) : *text);
		length = length ? length : 1;
		text += length;
		left -= length;
	}
}

/* A heading begins one by itself. */
static void begin_paragraph(struct roff *page)
{
	if (!page->fresh)
		printf(".PP\n");
	page->fresh = false;
}

void roff_begin(struct roff *page, const char *name, int section, const char *version,
		const char *summary)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
	char date[16] = "";
	struct tm day;

	if (gmtime_r(&now, &day))
		strftime(date, sizeof(date), "%Y-%m-%d", &day);
	printf(".TH \"");
	print(name, true);
	printf("\" %d \"%s\" \"Gantry %s\"\n", section, date, version);
	roff_heading(page, "name");
	print(name, false);
	printf(" \\- ");
	print(summary, false);
	putchar('\n');
}

void roff_heading(struct roff *page, const char *title)
{
	printf(".SH \"");
	print(title, true);
	printf("\"\n");
	page->fresh = true;
}

void roff_subheading(struct roff *page, const char *title)
{
	printf(".SS \"");
	print(title, false);
	printf("\"\n");
	page->fresh = true;
}

void roff_paragraph(struct roff *page, const char *text)
{
	if (!*text)
		return;
	begin_paragraph(page);
	print(text, false);
	putchar('\n');
}

void roff_line(struct roff *page, const char *text)
{
	begin_paragraph(page);
	printf(".nf\n");
	print(text, false);
	printf("%s.fi\n", *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

void roff_entry(struct roff *page, const char *term, const char *value, const char *text)
{
	page->fresh = false;
	printf(".TP\n\\fB");
	print(term, false);
	printf("\\fR");
	if (*value) {
		printf(" \\fI");
		print(value, false);
		printf("\\fR");
	}
	putchar('\n');
	print(text, false);
	putchar('\n');
}
