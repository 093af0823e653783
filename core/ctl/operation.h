/* SPDX-License-Identifier: Apache-2.0 */
/* Calls and operations as the commands use them: made, followed to the end, their errors printed. */
#ifndef CTL_OPERATION_H
#define CTL_OPERATION_H

#include "ctl/ctl.h"

/* Why a call or an operation failed, for a command that answers with a status of its own. */
struct failure {
	int http_status; /* 0: no answer came */
	int error;       /* negative errno where no answer came */
	char detail[512];
};

/*
 * One exchange. Answers CTL_OK with *ret_reply for the caller to finish with client_reply_fini, or
 * prints what went wrong and answers the status for it. failure may be NULL.
 */
int call(struct ctl *ctl, const char *subject, const char *method, const char *path,
	 struct json_object *body, double wait_seconds, struct client_reply *ret_reply,
	 struct failure *failure);

/*
 * As call, for a request that starts an operation, followed to its end (unless --no-wait is given)
 * with progress where a person looks. path has no `wait`. *ret_operation is owned by the caller.
 */
int operation_run(struct ctl *ctl, const char *subject, const char *method, const char *path,
		  struct json_object *body, struct json_object **ret_operation,
		  struct failure *failure);
/* Follows an operation that was read; *operation is put and replaced by what it ended as. */
int operation_follow(struct ctl *ctl, const char *subject, struct json_object **operation,
		     struct failure *failure);

/*
 * Waits for the end of the instance's process, however long that takes: *ret_code is what it ended with.
 * A status other than CTL_OK: what went wrong was printed.
 */
int instance_wait(struct ctl *ctl, const char *subject, const char *id, int *ret_code);

/* As operation_run; then the word, or with --json the operation. */
int operation_print(struct ctl *ctl, const char *subject, const char *method, const char *path,
		    struct json_object *body, const char *word);

/* A call about the first instance that was named. */
int instance_call(struct ctl *ctl, const char *method, const char *rest,
		  struct client_reply *ret_reply);

/* "/v1/instances/ID" and what follows, with ?project= where --project is given. The caller frees. */
char *instance_path(struct ctl *ctl, const char *name, const char *rest);
/* Appends "?" or "&" and the query member. */
void path_query(struct str *path, const char *key, const char *value);

#endif
