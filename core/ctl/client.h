/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of gantryd's HTTP API over a unix socket or mutual TLS, by libcurl. Blocking; one
 * connection that is kept while the command runs.
 *
 * A POST carries an Idempotency-Key. Where the connection is lost before the answer came, the call
 * is made again with the same key for up to CLIENT_RETRY_MS: the daemon may just be restarting,
 * and does not do the work twice.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/str.h"

#define CLIENT_RETRY_MS     10000
#define CLIENT_REPLY_MAX    (256u << 20) /* bytes of one answer that is no stream */
#define CLIENT_LINE_MAX     (16u << 20)  /* bytes of one line of a stream */
#define CLIENT_WAIT_SECONDS 3600         /* the longest wait that the API grants */

struct client;

struct client_settings {
	const char *host; /* "unix:///PATH", "/PATH" or "https://HOST:PORT" */
	const char *ca_file, *certificate_file, *key_file; /* NULL: none; https only */
	int64_t limit_ms; /* of any call, which is made once only; 0: no other limit than each has */
};

/* Strings are copied. -EINVAL: settings that cannot be right. */
int client_open(const struct client_settings *settings, struct client **ret_client,
		struct gantry_error *err);
void client_close(struct client *client);
const char *client_host(const struct client *client);

/*
 * From now on, fd readable during any call makes wake run; a negative answer of it ends the call
 * with that error. fd -1 takes it back.
 */
void client_set_wake(struct client *client, int fd, int (*wake)(void *arg), void *arg);

struct client_reply {
	int status;
	struct str body;
	struct json_object *json; /* owned; NULL where the body is no JSON */
	struct json_object *path; /* owned: of X-Gantry-Path; NULL: there was none */
};
void client_reply_fini(struct client_reply *reply);

/*
 * One exchange. path begins with "/v1/", is percent-encoded and has the query with it. body NULL:
 * none. wait_seconds: how long the answer may be held back on purpose. 0: a reply came, of any
 * status. Otherwise *err tells why none did: -ECONNREFUSED and -EACCES (nobody there, not allowed),
 * -ETIMEDOUT, -ECONNRESET (lost after the request was sent), -EPROTO, or what wake answered.
 */
int client_call(struct client *client, const char *method, const char *path,
		struct json_object *body, double wait_seconds, struct client_reply *ret_reply,
		struct gantry_error *err);

/*
 * Reads a stream. data gets it as it comes; a negative answer ends the stream with it. 0: it has
 * ended, or the reply is a problem (status >= 400, in *ret_reply). -ECONNRESET: it was cut.
 */
int client_stream(struct client *client, const char *path,
		  int (*data)(void *arg, const char *bytes, size_t length), void *arg,
		  struct client_reply *ret_reply, struct gantry_error *err);

/* As client_stream, a JSON object a line. A negative answer of line ends it. */
int client_lines(struct client *client, const char *path,
		 int (*line)(void *arg, struct json_object *object, const char *text), void *arg,
		 struct client_reply *ret_reply, struct gantry_error *err);

/*
 * A connection of its own, for curl_easy_send and curl_easy_recv: a CURL *, to be given back by
 * client_disconnect. Errors as of client_call.
 */
int client_connect(struct client *client, void **ret_easy, struct gantry_error *err);
void client_disconnect(struct client *client, void *easy);
const char *client_authority(const struct client *client); /* for a Host header */

/* Waits a little before the next try; false once the time since *started_us is over the limit.
 * *started_us 0: starts counting. Wakes as a call does; *ret_error is what wake answered, or 0. */
bool client_retry_pause(struct client *client, int64_t *started_us, int *ret_error);

#endif
