/* SPDX-License-Identifier: Apache-2.0 */
/* May something be done that is no operation: to an instance (attach, exec, copy_in, …), or an image? */
#ifndef FLOWS_ADMIT_H
#define FLOWS_ADMIT_H

#include <gantry/runtime.h>

#include "flows/flows.h"

struct node_link;

/* Whether somebody can sit at its process now. -EAGAIN, -EHOSTUNREACH, -EBUSY, -ENOTSUP. */
int console_check(struct daemon *daemon, const struct instance *instance,
		  const struct node_link **ret_link, struct gantry_error *err);
/* What policies say of one who may. */
struct console_terms {
	int64_t decision;
	enum script_recorded record;
};

/*
 * Asks policies; the decision is kept. exec: what is to be started, NULL: nothing. ret_terms may be
 * NULL. -EACCES.
 */
int admit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	  const char *verb, const struct gantry_exec *exec, struct console_terms *ret_terms,
	  struct gantry_error *err);
/* The same of one who wants to read a recording; its instance may be gone. */
int admit_recording(struct daemon *daemon, const struct flows_ask *ask,
		    const struct script_recording *recording, struct gantry_error *err);
/* The same of an image: image_load, image_save. NULL: it has no name yet. */
int admit_image(struct daemon *daemon, const struct flows_ask *ask, const char *image,
		const char *verb, struct gantry_error *err);

#endif
