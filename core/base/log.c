/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/str.h"
#include "base/clock.h"

#include <errno.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static enum log_level least = LOG_LEVEL_INFO;
static struct log_context *innermost;

void log_set_level(enum log_level level)
{
	least = level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++) {
		if (str_equal(name, level_names[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_push(struct log_context *context)
{
	context->outer = innermost;
	innermost = context;
}

void log_pop(struct log_context *context)
{
	innermost = context->outer;
}

static void add_context(struct str *line, const struct log_context *context)
{
	if (!context)
		return;
	add_context(line, context->outer);
	if (context->value)
		str_addf(line, "%s=%s ", context->key, context->value);
}

void log_write(enum log_level level, const char *format, ...)
{
	struct str line = STR_INIT;
	char stamp[40];
	va_list args;
	ssize_t ignored;

	if (level < least)
		return;
	clock_format(clock_wall_ms(), stamp, sizeof(stamp));
	str_addf(&line, "%s %-5s ", stamp, level_names[level]);
	add_context(&line, innermost);
	va_start(args, format);
	str_addv(&line, format, args);
	va_end(args);
	for (size_t i = 0; i < line.length; i++)
		if ((unsigned char)line.data[i] < 0x20)
			line.data[i] = ' ';
	str_add_char(&line, '\n');
	ignored = write(STDERR_FILENO, line.data, line.length);
	(void)ignored;
	str_fini(&line);
}
