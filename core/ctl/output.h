/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people see: tables, ages, problems. Text that came from elsewhere is printed without its
 * control characters, so that a name or an answer cannot move the cursor of a terminal.
 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "ctl/ctl.h"

/* Appends text, control characters as "?". */
void output_clean(struct str *s, const char *text);
/* Prints one line on standard output, cleaned. */
void output_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "gantry: …" on standard error, cleaned. Progress that is being shown goes away first. */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints err ("gantry: SUBJECT: text"; subject NULL: without) and answers its exit status. */
int output_fail(const char *subject, const struct gantry_error *err);
/* Prints a problem document with field, option, decision, operation, and what to do; as above. */
int output_problem(const char *subject, int http_status, struct json_object *problem);
/* A usage error of the command's own. Always CTL_USAGE. */
int output_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Writes all of it to a descriptor, or a negative errno. Ends as a program in a pipeline does where
 * nobody reads any more. */
int output_write(int fd, const char *bytes, size_t length);
/* The raw answer on one line, for --json. */
void output_raw(const struct client_reply *reply);
/* With --json: prints the answer and lets go of it. False: it is to be shown to a person. */
bool output_if_json(const struct ctl *ctl, struct client_reply *reply);
void output_json(struct json_object *value);

/* A table: its first row holds the titles. Cells are added in order; NULL and "" are shown as "-". */
struct table {
	size_t columns;
	char **cells; /* owned, cleaned */
	size_t count;
};
void table_init(struct table *table, size_t columns, const char *const *titles);
void table_add(struct table *table, const char *text);
void table_addf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees. */
void table_print(struct table *table);
void table_fini(struct table *table);

/* "12s", "3m", "5h", "2d" since an RFC 3339 time; "-" where there is none. size >= 16. */
void output_age(const char *time, char *text, size_t size);
/* A span as "850us", "1.2ms", "3.4s". size >= 16. */
void output_span(int64_t us, char *text, size_t size);
/* A member that counts bytes as "64MiB", "-" where it is missing. size >= 24. */
void output_bytes(struct json_object *object, const char *key, char *text, size_t size);
/* How a process ended: "0", "137, signal 9 (sent), out of memory", … Appended. */
void output_exit(struct str *s, struct json_object *last_exit);

/* A line of progress on standard error, replaced by the next; NULL takes it away. */
void output_progress(struct json_object *operation, const char *subject);

#endif
