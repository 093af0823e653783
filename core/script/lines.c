/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a Lua source a value was written: a light walk over its tokens.
 *
 * Known are assignments at the top level (`a = …`, `a.b["c"] = …`), table constructors in them, and
 * those of a `return {…}` (under the path "return"). What is computed has the line of the nearest
 * thing around it that is known.
 */
#include "script/lines.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>

#define PATH_SIZE 256
#define DEPTH_MAX 16

struct place {
	char *path; /* owned */
	int line;
};

struct script_lines {
	struct place *places; /* owned */
	size_t count, capacity;
};

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_OTHER };

struct scanner {
	const char *at, *end;
	int line;
	enum token_kind kind; /* of the token at hand */
	char text[64];        /* of a name, string or number; cut */
	char symbol;          /* of any other */
	int token_line;
	struct script_lines *lines;
};

static void add_place(struct script_lines *lines, const char *path, int line)
{
	if (lines->count == lines->capacity) {
		lines->capacity = lines->capacity ? 2 * lines->capacity : 32;
		lines->places = xrealloc(lines->places, lines->capacity * sizeof(lines->places[0]));
	}
	lines->places[lines->count++] = (struct place){xstrdup(path), line};
}

/* --- tokens ---------------------------------------------------------------------------------------- */

static char peek(const struct scanner *scanner, size_t ahead)
{
	return (size_t)(scanner->end - scanner->at) > ahead ? scanner->at[ahead] : '\0';
}

static char take(struct scanner *scanner)
{
	char c = *scanner->at++;

	scanner->line += c == '\n';
	return c;
}

/* The level of a long bracket "[==[" at hand, or -1. */
static int long_level(const struct scanner *scanner)
{
	size_t level = 0;

	if (peek(scanner, 0) != '[')
		return -1;
	while (peek(scanner, 1 + level) == '=')
		level++;
	return peek(scanner, 1 + level) == '[' ? (int)level : -1;
}

static void skip_long(struct scanner *scanner, int level)
{
	for (int i = 0; i < level + 2; i++)
		take(scanner);
	while (scanner->at < scanner->end) {
		if (take(scanner) != ']')
			continue;
		for (int i = 0; i <= level; i++) {
			if (i == level && peek(scanner, (size_t)i) == ']') {
				scanner->at += level + 1;
				return;
			}
			if (peek(scanner, (size_t)i) != '=')
				break;
		}
	}
}

static void skip_space(struct scanner *scanner)
{
	while (scanner->at < scanner->end) {
		if (isspace((unsigned char)*scanner->at)) {
			take(scanner);
		} else if (peek(scanner, 0) == '-' && peek(scanner, 1) == '-') {
			scanner->at += 2;
			if (long_level(scanner) >= 0)
				skip_long(scanner, long_level(scanner));
			else
				while (scanner->at < scanner->end && *scanner->at != '\n')
					scanner->at++;
		} else {
			return;
		}
	}
}

/* Escapes are kept as they are written: a key with one is not found, and its table is. */
static void scan_string(struct scanner *scanner, char quote)
{
	size_t used = 0;

	while (scanner->at < scanner->end && *scanner->at != quote) {
		char c = take(scanner);

		if (used < sizeof(scanner->text) - 1)
			scanner->text[used++] = c;
		if (c == '\\' && scanner->at < scanner->end)
			take(scanner);
	}
	if (scanner->at < scanner->end)
		take(scanner);
	scanner->text[used] = '\0';
}

static void next(struct scanner *scanner)
{
	size_t used = 0;

	skip_space(scanner);
	scanner->token_line = scanner->line;
	scanner->symbol = '\0';
	scanner->text[0] = '\0';
	if (scanner->at >= scanner->end) {
		scanner->kind = TOKEN_END;
		return;
	}
	if (isalnum((unsigned char)*scanner->at) || *scanner->at == '_') {
		scanner->kind = isdigit((unsigned char)*scanner->at) ? TOKEN_NUMBER : TOKEN_NAME;
		while (isalnum((unsigned char)peek(scanner, 0)) || peek(scanner, 0) == '_' ||
		       (scanner->kind == TOKEN_NUMBER && peek(scanner, 0) == '.')) {
			char c = take(scanner);

			if (used < sizeof(scanner->text) - 1)
				scanner->text[used++] = c;
		}
		scanner->text[used] = '\0';
	} else if (*scanner->at == '"' || *scanner->at == '\'') {
		scanner->kind = TOKEN_STRING;
		scan_string(scanner, take(scanner));
	} else if (long_level(scanner) >= 0) {
		scanner->kind = TOKEN_STRING;
		skip_long(scanner, long_level(scanner));
	} else {
		scanner->kind = TOKEN_OTHER;
		scanner->symbol = take(scanner);
		if (strchr("=<>~", scanner->symbol) && peek(scanner, 0) == '=') {
			take(scanner);
			scanner->symbol = '?'; /* a comparison is nothing to us */
		}
	}
}

static bool is_word(const struct scanner *scanner, const char *word)
{
	return scanner->kind == TOKEN_NAME && str_equal(scanner->text, word);
}

static bool is_symbol(const struct scanner *scanner, char symbol)
{
	return scanner->kind == TOKEN_OTHER && scanner->symbol == symbol;
}

static bool opens_block(const struct scanner *scanner)
{
	return is_word(scanner, "function") || is_word(scanner, "do") || is_word(scanner, "if") ||
	       is_word(scanner, "repeat");
}

/* Skips a block or bracket that the token at hand opens, with all in it. */
static void skip_group(struct scanner *scanner)
{
	int depth = 0;

	do {
		if (opens_block(scanner) || is_symbol(scanner, '(') || is_symbol(scanner, '{') ||
		    is_symbol(scanner, '['))
			depth++;
		else if (is_word(scanner, "end") || is_word(scanner, "until") ||
			 is_symbol(scanner, ')') || is_symbol(scanner, '}') ||
			 is_symbol(scanner, ']'))
			depth--;
		next(scanner);
	} while (depth > 0 && scanner->kind != TOKEN_END);
}

/* --- structure ------------------------------------------------------------------------------------- */

static void join(char *path, const char *outer, const char *key)
{
	snprintf(path, PATH_SIZE, "%.170s%s%.80s", outer, outer[0] && key[0] != '[' ? "." : "",
		 key);
}

/* Reads the rest of a value inside a table, up to its comma or brace. */
static void skip_value(struct scanner *scanner)
{
	while (scanner->kind != TOKEN_END && !is_symbol(scanner, ',') && !is_symbol(scanner, ';') &&
	       !is_symbol(scanner, '}')) {
		if (opens_block(scanner) || is_symbol(scanner, '(') || is_symbol(scanner, '{') ||
		    is_symbol(scanner, '['))
			skip_group(scanner);
		else
			next(scanner);
	}
}

static void scan_table(struct scanner *scanner, const char *path, int depth);

/* The value at hand, which begins on this line and has the path. */
static void scan_value(struct scanner *scanner, const char *path, int depth)
{
	if (is_symbol(scanner, '{') && depth < DEPTH_MAX)
		scan_table(scanner, path, depth + 1);
}

/* "[KEY]" at hand, behind the bracket: its part of the path, empty where it is computed. */
static void scan_key(struct scanner *scanner, char *key, size_t size)
{
	key[0] = '\0';
	if (scanner->kind == TOKEN_STRING)
		snprintf(key, size, "%s", scanner->text);
	else if (scanner->kind == TOKEN_NUMBER)
		snprintf(key, size, "[%s]", scanner->text);
	next(scanner);
	if (!is_symbol(scanner, ']'))
		key[0] = '\0';
	while (scanner->kind != TOKEN_END && !is_symbol(scanner, ']'))
		next(scanner);
	next(scanner);
}

static void scan_table(struct scanner *scanner, const char *path, int depth)
{
	char key[80], inner[PATH_SIZE];
	int position = 0;

	next(scanner); /* the brace */
	while (scanner->kind != TOKEN_END && !is_symbol(scanner, '}')) {
		struct scanner before = *scanner;
		bool named = false;

		if (is_symbol(scanner, '[')) {
			next(scanner);
			scan_key(scanner, key, sizeof(key));
			named = is_symbol(scanner, '=');
		} else if (scanner->kind == TOKEN_NAME) {
			snprintf(key, sizeof(key), "%s", scanner->text);
			next(scanner);
			named = is_symbol(scanner, '=');
		}
		if (named) {
			next(scanner);
		} else {
			*scanner = before;
			snprintf(key, sizeof(key), "[%d]", ++position);
		}
		join(inner, path, key);
		if (key[0])
			add_place(scanner->lines, inner, before.token_line);
		scan_value(scanner, inner, depth);
		skip_value(scanner);
		if (!is_symbol(scanner, '}'))
			next(scanner);
	}
	next(scanner);
}

/* A statement that begins with a name: `a = …`, `a.b["c"], d = …`, or a call. */
static void scan_assignment(struct scanner *scanner)
{
	char path[PATH_SIZE], inner[PATH_SIZE], key[80];
	int line = scanner->token_line;

	snprintf(path, sizeof(path), "%s", scanner->text);
	next(scanner);
	for (;;) {
		if (is_symbol(scanner, '.')) {
			next(scanner);
			join(inner, path, scanner->text);
			next(scanner);
		} else if (is_symbol(scanner, '[')) {
			next(scanner);
			scan_key(scanner, key, sizeof(key));
			join(inner, path, key);
		} else {
			break;
		}
		memcpy(path, inner, sizeof(path));
	}
	if (is_symbol(scanner, ',')) {
		add_place(scanner->lines, path, line);
		return;
	}
	if (!is_symbol(scanner, '='))
		return;
	add_place(scanner->lines, path, line);
	next(scanner);
	scan_value(scanner, path, 0);
}

struct script_lines *lines_scan(const char *source, size_t length)
{
	struct script_lines *lines = xcalloc(1, sizeof(*lines));
	struct scanner scanner = {.at = source, .end = source + length, .line = 1, .lines = lines};

	next(&scanner);
	while (scanner.kind != TOKEN_END) {
		if (is_word(&scanner, "local")) {
			next(&scanner);
			if (scanner.kind == TOKEN_NAME && !is_word(&scanner, "function"))
				next(&scanner); /* a local is no setting */
		} else if (is_word(&scanner, "return")) {
			add_place(lines, "return", scanner.token_line);
			next(&scanner);
			scan_value(&scanner, "return", 0);
		} else if (opens_block(&scanner) || is_symbol(&scanner, '(') ||
			   is_symbol(&scanner, '{') || is_symbol(&scanner, '[')) {
			skip_group(&scanner);
		} else if (scanner.kind == TOKEN_NAME) {
			scan_assignment(&scanner);
		} else {
			next(&scanner);
		}
	}
	return lines;
}

int *lines_of_returns(const char *source, size_t length, size_t *ret_count)
{
	struct scanner scanner = {.at = source, .end = source + length, .line = 1};
	size_t count = 0, capacity = 0;
	int *lines = NULL;

	for (next(&scanner); scanner.kind != TOKEN_END; next(&scanner)) {
		if (!is_word(&scanner, "return"))
			continue;
		if (count == capacity) {
			capacity = capacity ? 2 * capacity : 16;
			lines = xrealloc(lines, capacity * sizeof(lines[0]));
		}
		lines[count++] = scanner.token_line;
	}
	*ret_count = count;
	return lines;
}

int script_lines_find(const struct script_lines *lines, const char *path)
{
	char outer[PATH_SIZE];
	char *cut;

	snprintf(outer, sizeof(outer), "%s", path);
	for (;;) {
		for (size_t i = lines->count; i > 0; i--) /* the last assignment counts */
			if (str_equal(lines->places[i - 1].path, outer))
				return lines->places[i - 1].line;
		cut = outer + strlen(outer);
		while (cut > outer && *cut != '.' && *cut != '[')
			cut--;
		if (cut == outer)
			return 0;
		*cut = '\0';
	}
}

void script_lines_free(struct script_lines *lines)
{
	if (!lines)
		return;
	for (size_t i = 0; i < lines->count; i++)
		free(lines->places[i].path);
	free(lines->places);
	free(lines);
}
