/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/operation.h"

#include <stdlib.h>

#include "base/clock.h"
#include "ctl/output.h"

#define PATIENCE_SECONDS 1 /* before progress is shown */

static void fill(struct failure *failure, int http_status, int error, const char *detail)
{
	if (!failure)
		return;
	failure->http_status = http_status;
	failure->error = error;
	snprintf(failure->detail, sizeof(failure->detail), "%s", detail ? detail : "");
}

int call(struct ctl *ctl, const char *subject, const char *method, const char *path,
	 struct json_object *body, double wait_seconds, struct client_reply *ret_reply,
	 struct failure *failure)
{
	struct gantry_error err;
	int status;

	if (client_call(ctl->client, method, path, body, wait_seconds, ret_reply, &err) < 0) {
		fill(failure, 0, err.code, err.text);
		return output_fail(NULL, &err);
	}
	if (ret_reply->status < 400)
		return CTL_OK;
	fill(failure, (int)json_get_int(ret_reply->json, "status", ret_reply->status), 0,
	     json_get_string(ret_reply->json, "detail", NULL));
	status = output_problem(subject, ret_reply->status, ret_reply->json);
	client_reply_fini(ret_reply);
	return status;
}

void path_query(struct str *path, const char *key, const char *value)
{
	str_addf(path, "%c%s=", strchr(str_text(path), '?') ? '&' : '?', key);
	str_add_url(path, value);
}

char *instance_path(struct ctl *ctl, const char *name, const char *rest)
{
	const char *project = args_text(ctl->args, "project", NULL);
	struct str path = STR_INIT;

	str_add(&path, "/v1/instances/");
	str_add_url(&path, name);
	str_add(&path, rest);
	if (project)
		path_query(&path, "project", project);
	return str_take(&path);
}

int instance_call(struct ctl *ctl, const char *method, const char *rest,
		  struct client_reply *ret_reply)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, rest);
	int status = call(ctl, name, method, path, NULL, 0, ret_reply, NULL);

	free(path);
	return status;
}

static bool ended(struct json_object *operation)
{
	return strcmp(json_get_string(operation, "state", ""), "running") != 0;
}

struct watcher {
	struct ctl *ctl;
	const char *subject;
	struct json_object *last; /* owned */
};

static int on_watch(void *arg, struct json_object *object, const char *text)
{
	struct watcher *watcher = arg;

	(void)text;
	json_object_put(watcher->last);
	watcher->last = json_object_get(object);
	if (!ended(object))
		output_progress(object, watcher->subject);
	return 0;
}

/* Shows progress until the operation ends or the stream does; the wait that follows decides. */
static int watch(struct ctl *ctl, const char *subject, struct json_object **operation,
		 struct gantry_error *err)
{
	struct watcher watcher = {ctl, subject, NULL};
	struct client_reply reply;
	char *path = xasprintf("/v1/operations/%s/watch", json_get_string(*operation, "id", ""));
	int error = client_lines(ctl->client, path, on_watch, &watcher, &reply, err);

	output_progress(NULL, NULL);
	free(path);
	if (error == 0)
		client_reply_fini(&reply);
	if (watcher.last) {
		json_object_put(*operation);
		*operation = watcher.last;
	}
	return error == -EINTR ? error : 0;
}

int operation_follow(struct ctl *ctl, const char *subject, struct json_object **operation,
		     struct failure *failure)
{
	struct json_object *problem;
	struct client_reply reply;
	struct gantry_error err;
	int64_t started_us = 0;

	if (ctl->progress && !ended(*operation) && watch(ctl, subject, operation, &err) < 0) {
		fill(failure, 0, err.code, err.text);
		return output_fail(NULL, &err);
	}
	while (!ended(*operation)) {
		char *path = xasprintf("/v1/operations/%s?wait=%d",
				       json_get_string(*operation, "id", ""), CLIENT_WAIT_SECONDS);
		int error = client_call(ctl->client, "GET", path, NULL, CLIENT_WAIT_SECONDS, &reply,
					&err);
		int interrupted = 0;

		free(path);
		/* The daemon may be restarting: it takes the operation up again. */
		if (error == -ECONNREFUSED &&
		    client_retry_pause(ctl->client, &started_us, &interrupted))
			continue;
		if (error < 0) {
			fill(failure, 0, err.code, err.text);
			return output_fail(NULL, &err);
		}
		started_us = 0;
		if (reply.status >= 400 || !reply.json) {
			int status = output_problem(subject, reply.status, reply.json);

			fill(failure, reply.status, 0, json_get_string(reply.json, "detail", NULL));
			client_reply_fini(&reply);
			return status;
		}
		json_object_put(*operation);
		*operation = json_object_get(reply.json);
		client_reply_fini(&reply);
	}
	if (strcmp(json_get_string(*operation, "state", ""), "failed") != 0)
		return CTL_OK;
	problem = json_get(*operation, "error");
	if (json_object_is_type(problem, json_type_object) && !json_get(problem, "operation"))
		json_add_string(problem, "operation", json_get_string(*operation, "id", NULL));
	fill(failure, (int)json_get_int(problem, "status", 500), 0,
	     json_get_string(problem, "detail", NULL));
	return output_problem(subject, 500, problem);
}

int operation_run(struct ctl *ctl, const char *subject, const char *method, const char *path,
		  struct json_object *body, struct json_object **ret_operation,
		  struct failure *failure)
{
	bool wait = !args_has(ctl->args, "no-wait");
	int seconds = !wait ? 0 : ctl->progress ? PATIENCE_SECONDS : CLIENT_WAIT_SECONDS;
	struct str whole = STR_INIT;
	struct client_reply reply;
	char text[16];
	int status;

	str_add(&whole, path);
	snprintf(text, sizeof(text), "%d", seconds);
	if (wait)
		path_query(&whole, "wait", text);
	status = call(ctl, subject, method, str_text(&whole), body, seconds, &reply, failure);
	str_fini(&whole);
	if (status != CTL_OK)
		return status;
	if (!json_get_string(reply.json, "id", NULL)) {
		output_error("%s: gantryd answered %d with no operation; is it of this version?",
			     subject, reply.status);
		fill(failure, reply.status, 0, NULL);
		client_reply_fini(&reply);
		return CTL_FAILED;
	}
	*ret_operation = json_object_get(reply.json);
	client_reply_fini(&reply);
	if (wait)
		status = operation_follow(ctl, subject, ret_operation, failure);
	if (status != CTL_OK) {
		json_object_put(*ret_operation);
		*ret_operation = NULL;
	}
	return status;
}

int instance_wait(struct ctl *ctl, const char *subject, const char *id, int *ret_code)
{
	char *path = xasprintf("/v1/instances/%s/wait?timeout=%d", id, CLIENT_WAIT_SECONDS);
	struct json_object *last_exit;
	struct client_reply reply;
	bool again = true;
	int status = CTL_OK;

	while (again && status == CTL_OK) {
		status = call(ctl, subject, "GET", path, NULL, CLIENT_WAIT_SECONDS, &reply, NULL);
		if (status != CTL_OK)
			break;
		again = json_get_bool(reply.json, "timed_out", false);
		last_exit = json_get(reply.json, "last_exit");
		if (!again && !json_object_is_type(last_exit, json_type_object)) {
			output_error("the instance is %s and nobody knows how its process ended",
				     json_get_string(reply.json, "state", "gone"));
			status = CTL_FAILED;
		} else if (!again) {
			*ret_code = (int)json_get_int(last_exit, "code", CTL_RUN_FAILED);
		}
		client_reply_fini(&reply);
	}
	free(path);
	return status;
}

int operation_print(struct ctl *ctl, const char *subject, const char *method, const char *path,
		    struct json_object *body, const char *word)
{
	struct json_object *operation = NULL;
	int status = operation_run(ctl, subject, method, path, body, &operation, NULL);

	if (status == CTL_OK && ctl->json)
		output_json(operation);
	else if (status == CTL_OK)
		output_line("%s", word);
	json_object_put(operation);
	return status;
}
