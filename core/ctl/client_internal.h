/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c shares with transfer.c. */
#ifndef CTL_CLIENT_INTERNAL_H
#define CTL_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "ctl/client.h"

struct client {
	CURLM *multi;                                /* owned */
	char *host;                                  /* owned: as it was given */
	char *unix_socket;                           /* owned; NULL: TLS */
	char *base_url;                              /* owned */
	char *ca_file, *certificate_file, *key_file; /* owned, NULL */
	int wake_fd;
	int (*wake)(void *arg);
	void *wake_arg;
	int64_t limit_ms;
};

/* One exchange under way. */
struct transfer {
	CURL *easy;
	struct client_reply *reply;
	/* NULL: the body is kept. -EAGAIN: paused, the same piece is to be given later */
	int (*data)(void *arg, const char *bytes, size_t length);
	void *arg;
	int data_error;
	size_t received; /* bytes of the body */
	char message[CURL_ERROR_SIZE];
};

/* Makes transfer->easy. body: a text or NULL; it and headers may go with the caller and the handle. */
void client_set_up(struct client *client, struct transfer *transfer, const char *method,
		   const char *path, const char *body, struct curl_slist *headers);
/* Does what can be done now; true: the exchange has ended. */
bool client_turn(struct client *client, CURLcode *ret_code);
/* Waits until there is more to do. 0, or what wake answered. */
int client_rest(struct client *client);
/* After the end (error: what client_rest answered): fills the reply and, where it failed, err. */
int client_judge(struct client *client, struct transfer *transfer, int error, CURLcode code,
		 struct gantry_error *err);

#endif
