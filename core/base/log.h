/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines to stderr, one a call: time, level, context, text. The context of what is being worked
 * on (instance, operation, step) is put in front by itself: whoever resumes a piece of work pushes
 * its context for as long as it runs on the loop. Not for other threads than the loop's.
 * Never pass a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_context {
	const char *key;           /* "instance", "operation", … */
	const char *value;         /* borrowed while pushed; NULL: skipped */
	struct log_context *outer; /* set by the push */
};

void log_set_level(enum log_level level);
/* 0, or -EINVAL where name is none of debug, info, warn, error. */
int log_level_parse(const char *name, enum log_level *ret_level);
void log_push(struct log_context *context);
void log_pop(struct log_context *context);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
