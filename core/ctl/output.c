/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/spec.h"

static bool progress_shown; /* a line of progress is on the terminal */

void output_clean(struct str *s, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) { /* C1 in UTF-8 */
			str_add_char(s, '?');
			p++;
		} else {
			str_add_char(s, *p < 0x20 || *p == 0x7f ? '?' : (char)*p);
		}
	}
}

static void print_clean(FILE *file, const char *prefix, const char *format, va_list args)
{
	struct str raw = STR_INIT, clean = STR_INIT;

	str_addv(&raw, format, args);
	output_clean(&clean, str_text(&raw));
	fprintf(file, "%s%s\n", prefix, str_text(&clean));
	str_fini(&raw);
	str_fini(&clean);
}

void output_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_clean(stdout, "", format, args);
	va_end(args);
}

void output_error(const char *format, ...)
{
	va_list args;

	output_progress(NULL, NULL);
	fflush(stdout);
	va_start(args, format);
	print_clean(stderr, "gantry: ", format, args);
	va_end(args);
}

__attribute__((format(printf, 1, 2))) static void print_hint(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_clean(stderr, "  ", format, args);
	va_end(args);
}

int output_fail(const char *subject, const struct gantry_error *err)
{
	const char *separator = subject ? ": " : "";

	output_error("%s%s%s", subject ? subject : "", separator, err->text);
	switch (err->code) {
	case -EINVAL:
		return CTL_USAGE;
	case -ETIMEDOUT:
		return CTL_TIMED_OUT;
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EACCES:
	case -EPROTO:
		return CTL_UNREACHABLE;
	default:
		return CTL_FAILED;
	}
}

static int problem_status(int status)
{
	switch (status) {
	case 400:
	case 405:
	case 413:
	case 414:
	case 415:
	case 431:
		return CTL_USAGE;
	case 403:
		return CTL_REFUSED;
	case 404:
		return CTL_NOT_FOUND;
	case 408:
	case 504:
		return CTL_TIMED_OUT;
	case 409:
		return CTL_CONFLICT;
	default:
		return CTL_FAILED;
	}
}

/* The text names the subject already: "stop web: …", "no instance is called \"web\"". */
static bool names(const char *text, const char *subject)
{
	size_t length = strlen(subject);

	for (const char *at = text; length && (at = strstr(at, subject)); at++) {
		char before = at == text ? ' ' : at[-1], after = at[length];

		if (!isalnum((unsigned char)before) && before != '-' &&
		    (after == '\0' || strchr(at == text ? ":\",' " : ":\",'", after)))
			return true;
	}
	return false;
}

int output_problem(const char *subject, int http_status, struct json_object *problem)
{
	const char *detail =
		json_get_string(problem, "detail", json_get_string(problem, "title", NULL));
	const char *field = json_get_string(problem, "field", NULL);
	const char *operation = json_get_string(problem, "operation", NULL);
	int64_t decision = json_get_int(problem, "decision", 0);
	int status = (int)json_get_int(problem, "status", http_status);
	struct str line = STR_INIT;

	if (subject && !(detail && names(detail, subject)))
		str_addf(&line, "%s: ", subject);
	if (field && !(detail && str_starts_with(detail, field)))
		str_addf(&line, "%s: ", field);
	if (detail)
		str_add(&line, detail);
	else
		str_addf(&line, "gantryd answered with status %d", status);
	output_error("%s", str_text(&line));
	str_fini(&line);
	if (field && spec_option(field))
		print_hint("given by --%s", spec_option(field));
	if (decision)
		print_hint("decision %lld; why: gantry policy explain %lld", (long long)decision,
			   (long long)decision);
	if (operation)
		print_hint("operation %s; its steps: gantry ops %s", operation, operation);
	return problem_status(status);
}

int output_usage(const char *command, const char *format, ...)
{
	struct str text = STR_INIT;
	va_list args;

	va_start(args, format);
	str_addv(&text, format, args);
	va_end(args);
	output_error("%s%s%s", command ? command : "", command ? ": " : "", str_text(&text));
	str_fini(&text);
	if (command)
		print_hint("see gantry help %s", command);
	else
		print_hint("see gantry help");
	return CTL_USAGE;
}

int output_write(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EPIPE) {
			sigset_t set;

			sigemptyset(&set);
			sigaddset(&set, SIGPIPE);
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			signal(SIGPIPE, SIG_DFL);
			raise(SIGPIPE);
		}
		if (written < 0)
			return -errno;
		bytes += written;
		length -= (size_t)written;
	}
	return 0;
}

void output_raw(const struct client_reply *reply)
{
	size_t length = reply->body.length;

	while (length && reply->body.data[length - 1] == '\n')
		length--;
	fwrite(str_text(&reply->body), 1, length, stdout);
	putchar('\n');
}

bool output_if_json(const struct ctl *ctl, struct client_reply *reply)
{
	if (!ctl->json)
		return false;
	output_raw(reply);
	client_reply_fini(reply);
	return true;
}

void output_json(struct json_object *value)
{
	puts(json_line(value));
}

/* --- tables --- */

void table_init(struct table *table, size_t columns, const char *const *titles)
{
	*table = (struct table){.columns = columns};
	for (size_t i = 0; i < columns; i++)
		table_add(table, titles[i]);
}

void table_add(struct table *table, const char *text)
{
	struct str clean = STR_INIT;

	output_clean(&clean, text && *text ? text : "-");
	table->cells = xrealloc(table->cells, (table->count + 1) * sizeof(*table->cells));
	table->cells[table->count++] = str_take(&clean);
}

void table_addf(struct table *table, const char *format, ...)
{
	struct str text = STR_INIT;
	va_list args;

	va_start(args, format);
	str_addv(&text, format, args);
	va_end(args);
	table_add(table, str_text(&text));
	str_fini(&text);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t width(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

void table_print(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns, widest = 0;

		for (size_t j = column; j < table->count; j += table->columns)
			if (width(table->cells[j]) > widest)
				widest = width(table->cells[j]);
		fputs(table->cells[i], stdout);
		if (column + 1 == table->columns)
			putchar('\n');
		else
			printf("%*s", (int)(widest - width(table->cells[i]) + 3), "");
	}
	table_fini(table);
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}

/* --- values --- */

void output_age(const char *time, char *text, size_t size)
{
	int64_t then_ns, age_s;

	if (!time || clock_parse_ns(time, &then_ns) < 0) {
		snprintf(text, size, "-");
		return;
	}
	age_s = (clock_wall_ms() - then_ns / 1000000) / 1000;
	if (age_s < 0)
		age_s = 0;
	if (age_s < 120)
		snprintf(text, size, "%llds", (long long)age_s);
	else if (age_s < 120 * 60)
		snprintf(text, size, "%lldm", (long long)age_s / 60);
	else if (age_s < 48 * 3600)
		snprintf(text, size, "%lldh", (long long)age_s / 3600);
	else
		snprintf(text, size, "%lldd", (long long)age_s / 86400);
}

void output_span(int64_t us, char *text, size_t size)
{
	if (us < 1000)
		snprintf(text, size, "%lldus", (long long)us);
	else if (us < 1000000)
		snprintf(text, size, "%.1fms", (double)us / 1e3);
	else
		snprintf(text, size, "%.1fs", (double)us / 1e6);
}

void output_bytes(struct json_object *object, const char *key, char *text, size_t size)
{
	int64_t bytes = json_get_int(object, key, -1);

	if (bytes < 0)
		snprintf(text, size, "-");
	else
		units_format_size(bytes, text, size);
}

void output_exit(struct str *s, struct json_object *last_exit)
{
	int64_t signal_number = json_get_int(last_exit, "signal", 0);
	const char *source = json_get_string(last_exit, "signal_source", NULL);
	const char *reason = json_get_string(last_exit, "reason", NULL);

	str_addf(s, "%lld", (long long)json_get_int(last_exit, "code", -1));
	if (signal_number) {
		str_addf(s, ", signal %lld", (long long)signal_number);
		if (source)
			str_addf(s, " (%s)", source);
	}
	if (json_get_bool(last_exit, "oom_killed", false))
		str_add(s, ", killed for memory");
	else if (json_get_bool(last_exit, "oom_seen", false))
		str_add(s, ", out of memory was seen");
	if (json_get_bool(last_exit, "start_failed", false))
		str_add(s, ", could not be started");
	if (json_get_bool(last_exit, "inferred", false))
		str_add(s, ", nobody saw it end");
	if (reason && *reason)
		str_addf(s, ": %s", reason);
}

static int terminal_width(void)
{
	struct winsize window;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 ? window.ws_col
										   : 80;
}

void output_progress(struct json_object *operation, const char *subject)
{
	struct json_object *progress = json_get(operation, "progress");
	const char *stage =
		json_get_string(progress, "stage", json_get_string(operation, "step", ""));
	int64_t done = json_get_int(progress, "done_bytes", 0);
	int64_t total = json_get_int(progress, "total_bytes", 0);
	struct str raw = STR_INIT, line = STR_INIT;
	char size[24];

	if (!operation) {
		if (progress_shown)
			fputs("\r\033[K", stderr);
		progress_shown = false;
		return;
	}
	str_addf(&raw, "%s: %s", subject, stage);
	if (total > 0) {
		int filled = (int)(24 * (done < total ? done : total) / total);

		str_add(&raw, " [");
		for (int i = 0; i < 24; i++)
			str_add_char(&raw, i < filled ? '=' : i == filled ? '>' : ' ');
		str_add(&raw, "]");
	}
	if (done > 0 || total > 0) {
		units_format_size(done, size, sizeof(size));
		str_addf(&raw, " %s", size);
	}
	if (total > 0) {
		units_format_size(total, size, sizeof(size));
		str_addf(&raw, " of %s", size);
	}
	output_clean(&line, str_text(&raw));
	fprintf(stderr, "\r%.*s\033[K", terminal_width() - 1, str_text(&line));
	progress_shown = true;
	fflush(stderr);
	str_fini(&raw);
	str_fini(&line);
}
