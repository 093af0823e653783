/* SPDX-License-Identifier: Apache-2.0 */
/* One action over many instances: chosen by label, project or name, so many at a time. */
#ifndef CTL_MANY_H
#define CTL_MANY_H

#include "ctl/ctl.h"

extern const struct ctl_option many_options[];

/* The command line chooses instances, in place of naming them. */
bool many_wanted(const struct args *args);
/*
 * Does the command to each instance chosen, each in a process of its own with the instance as its first word.
 * Prints how each went; CTL_OK where all went well, CTL_FAILED where one did not.
 */
int many_run(struct ctl *ctl, const struct ctl_command *command);

#endif
