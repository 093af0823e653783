/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policies' log hooks make of lines on their way from the plugin to a reader (script/log_hook.h).
 *
 * A line that is dropped is a hole in the sequence, which nobody is told of: it is what the operator wants, and is
 * counted. One that is withheld, as a policy failed, is told as a gap, but to who looks for a text. Cursors are what they
 * were.
 *
 * The followers of an instance are given the same lines in one turn of the loop: the hook is asked for the first one.
 */
#ifndef FLOWS_LOG_POLICY_H
#define FLOWS_LOG_POLICY_H

#include <gantry/logger.h>

#include "flows/daemon.h"
#include "model/instance.h"
#include "script/log_hook.h"

/* Whose lines a reader reads; it outlives the instance. */
struct log_origin;
struct log_origin *log_origin_new(const struct instance *instance);
struct log_origin *log_origin_ref(struct log_origin *origin);
void log_origin_unref(struct log_origin *origin);

/*
 * The lines as they are to be shown, of those that contain text still (NULL: all): lines itself where no policy has the
 * hook. Borrowed until the next call.
 */
const struct gantry_log_line *log_policy_lines(struct daemon *daemon,
					       const struct log_origin *origin,
					       const struct gantry_log_line *lines, size_t *count,
					       const char *text, size_t text_length);
/* Of all policies since the daemon was started. */
const struct script_log_counts *log_policy_counts(const struct daemon *daemon);
void log_policy_free(struct daemon *daemon);

#endif
