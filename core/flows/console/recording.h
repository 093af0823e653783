/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody at a console was shown, and typed where that is asked for, kept in a file: asciicast v2.
 *
 *	recording_new ─▶ recording_output, … ─▶ recording_end, which writes what is left
 *
 * Files are RECORDING.cast in the folder `recordings` beside the store. Writing is the pool's; where the
 * disk is slow recording_output asks to wait, and where it is full, or the recording too long, that is the
 * end of the recording, which is told, and not of the session.
 *
 * asciicast is UTF-8. A byte that is none is written as the lone surrogate U+DC00 + byte, as Python's
 * "surrogateescape" has it: a player shows a replacement, and who wants the bytes gets them.
 */
#ifndef FLOWS_RECORDING_H
#define FLOWS_RECORDING_H

#include "flows/daemon.h"
#include "flows/flows.h"
#include "model/instance.h"

#define RECORDING_ID_SIZE 48

struct recording;

struct recording_about {
	const struct instance *instance;
	const char *verb, *actor;
	const struct gantry_strings *command; /* of an exec; NULL: of an attach */
	int64_t decision;                     /* by which it is recorded */
	bool input;                           /* what is typed as well */
};

/* room: of one that asked to wait. failed: it is at its end, why; recording_end is still to be called. */
struct recording *recording_new(struct daemon *daemon, const struct recording_about *about,
				void (*room)(void *arg), void (*failed)(void *arg, const char *why),
				void *arg);
const char *recording_id(const struct recording *recording);
/* Why it goes on no more; NULL: it does. */
const char *recording_why_not(const struct recording *recording);
/* False: wait for room. */
bool recording_output(struct recording *recording, int stream, const char *data, size_t length);
void recording_input(struct recording *recording, const char *data, size_t length);
void recording_resize(struct recording *recording, int rows, int columns);
void recording_mark(struct recording *recording,
		    const char *text);           /* as that something was left out */
void recording_end(struct recording *recording); /* NULL is fine; nothing is called after */

/* --- recordings.c: their files --- */

/* As much of a file's beginning has its header, its first line. */
#define RECORDING_HEAD_BYTES 65536

char *recordings_folder(const struct daemon *daemon); /* the caller frees */
/* The file of a recording; NULL where id is none. The caller frees. */
char *recording_path(const struct daemon *daemon, const char *id);
/* Asks policies ("recording") whether it may be read; head: the beginning of its file. -EACCES, -EIO. */
int recording_admit(struct daemon *daemon, const struct flows_ask *ask, const char *id,
		    const char *head, size_t length, struct gantry_error *err);
/* Of all but the spared ones (by id) the oldest go, until the others take keep_bytes at most. */
void recordings_clear(struct daemon *daemon, const struct gantry_strings *spared,
		      int64_t keep_bytes, void (*done)(void *arg), void *arg);
/* All there are, oldest first: a list for the API. done is called from the loop; it takes the list over. */
void recordings_list(struct daemon *daemon, void (*done)(void *arg, struct json_object *list),
		     void *arg);

#endif
