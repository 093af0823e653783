/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that come from GANTRY_SPEC_FIELDS, and the JSON that they make. Values are sent as they
 * were written: gantryd has the one parser, and its errors name the field.
 */
#ifndef CTL_SPEC_H
#define CTL_SPEC_H

#include "base/json.h"
#include "ctl/args.h"

extern const struct ctl_option spec_options[];        /* one for each field that has one */
extern const struct ctl_option spec_more_options[];   /* parts of a field, secrets, files */
extern const struct ctl_option spec_resize_options[]; /* those that may change while it runs */
extern const struct ctl_option spec_exec_options[];   /* those of a process beside the instance's */

/*
 * The spec of what was given: --spec FILE first, options over it, then image and command from the
 * words (image NULL: the file's). The caller frees *ret_spec. -EINVAL: something that cannot even be
 * sent; the error says what is right.
 */
int spec_build(const struct args *args, const char *image, char *const *command,
	       size_t command_count, struct json_object **ret_spec, struct gantry_error *err);

/* The option that gives a field ("mounts[1].target" gives "mount"), or NULL. */
const char *spec_option(const char *field);

#endif
