/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log(line): what a policy makes of a line on its way to a reader.
 *
 *	nil, true                        it is shown as it is
 *	false                            it is dropped
 *	"text"                           that is shown in its place
 *	{ text = "…", tags = { … } }     likewise, with tags beside it; each may be left out
 *
 * Policies are asked in turn, each with what the one before has made of the line. The same line gets the same answer
 * whoever reads it and when: random numbers come from the instance and the sequence. A policy that fails passes the line
 * on, unless its on_error is "deny": then the line is withheld, and who reads is told so. One that was killed for its
 * budget is not asked for the lines behind, for which it has failed as well.
 */
#ifndef SCRIPT_LOG_HOOK_H
#define SCRIPT_LOG_HOOK_H

#include "script/script.h"

#define SCRIPT_LINE_BYTES                                                                          \
	((size_t)64 << 10) /* a longer one a policy cannot be asked about: it fails */
#define SCRIPT_LINE_TAGS 16
/* of texts and tags that one policy gives for the lines of one call: what is more fails */
#define SCRIPT_ANSWERS_BYTES ((size_t)16 << 20)

/* Whose line. Everything borrowed. */
struct script_origin {
	const char *instance, *name, *project, *node, *image;
	const struct gantry_pairs *labels;
};

struct script_line {
	/* what it is */
	const struct script_origin *origin;
	int64_t sequence, boot, time_ns;
	int stream;   /* 1, 2 */
	bool partial; /* the next one goes on */

	/* what it is, then what is to be shown */
	const char *text;
	size_t length;

	/* what came of it */
	enum { SCRIPT_LINE_SHOWN, SCRIPT_LINE_DROPPED, SCRIPT_LINE_WITHHELD } fate;
	struct gantry_pairs tags;
	const char *why; /* of one that is withheld */
};

/* Since a set was loaded, of one policy; in mode shadow what it would have done. */
struct script_log_counts {
	int64_t lines, dropped, changed, tagged, failed, took_us;
};

/* Whether any policy has the hook. */
bool script_has_log(const struct script_set *set);
/* Asks for each of the lines, which are of one instance. What it makes of them is in the arena. *counts is added to. */
void script_log(struct script_set *set, struct script_line *lines, size_t count,
		struct arena *arena, struct script_log_counts *counts);
/* The same for one line, with each policy's answer in the decision. */
void script_log_decide(struct script_set *set, struct script_line *line, struct arena *arena,
		       struct script_decision *decision);

#endif
