/* SPDX-License-Identifier: Apache-2.0 */
/* Sitting at a process from a terminal or from pipes: for attach, exec and run. */
#ifndef CTL_CONSOLE_H
#define CTL_CONSOLE_H

#include "ctl/ctl.h"

#define CONSOLE_DETACH_KEYS "ctrl-p,ctrl-q" /* unless others are named */

struct console_ask {
	const char *command; /* whose options they are, for a wrong one */
	const char *path;    /* of the WebSocket, with the query */
	const char *subject; /* what messages are about: the instance */
	const char *id;      /* of the instance, for signals; NULL: signals end the session */
	const char *keys;    /* that detach: "ctrl-p,ctrl-q"; "": none do */
	bool input;          /* standard input is sent */
	bool tty;            /* the process has a terminal: ours becomes raw, its size is told */
	bool may_be_over;    /* that there is no process any more is no failure: CONSOLE_OVER */
	bool observes;       /* nothing that is typed is sent, but the keys that detach are heard */
};

enum console_end {
	CONSOLE_ENDED,    /* the process, or its session, came to its end */
	CONSOLE_DETACHED, /* by the keys */
	CONSOLE_OVER,     /* there was no process to sit at */
	CONSOLE_FAILED,   /* it was told why; *ret_code is an exit status */
};

/* Runs until the end. *ret_code of CONSOLE_ENDED: the exit code where it was told (exec), else 0. */
enum console_end console_run(struct ctl *ctl, const struct console_ask *ask, int *ret_code);

#endif
