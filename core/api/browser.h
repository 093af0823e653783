/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sits at consoles in a browser: tickets that are exchanged once for a session, and sessions, each for
 * one instance. All of it is in memory: a restart of gantryd ends every session.
 *
 *	ticket   FRESH ──exchanged──▶ USED        kept for a while, so that it can be said
 *	           └──console_token──▶ LATE       why it is no good any more
 *	session  from the exchange until nothing was asked with it for console_idle; its streams end with it
 */
#ifndef API_BROWSER_H
#define API_BROWSER_H

#include "flows/flows.h"
#include "http/server.h"

#define BROWSER_SECRET_SIZE 65 /* 32 random bytes in hex */

struct browser;

struct browser_file {
	const char *name, *content_type;
	char *data; /* owned */
	size_t length;
};

struct browser_session {
	struct list link;
	struct browser *browser; /* borrowed */
	char secret[BROWSER_SECRET_SIZE];
	char instance[INSTANCE_ID_SIZE];
	char *actor, *user; /* owned; user NULL: nobody was named */
	struct loop_timer idle;
	struct http_request *streams[16]; /* references of ours; NULL: free */
};

/* Reads the page's files. url: how browsers reach the listener. */
int browser_open(struct daemon *daemon, const char *url, struct browser **ret_browser,
		 struct gantry_error *err);
/* Ends all sessions. NULL is fine. */
void browser_close(struct browser *browser);
const char *browser_url(const struct browser *browser);
/* NULL: there is none of that name. */
const struct browser_file *browser_file(const struct browser *browser, const char *name);

/* A secret for who is to open the instance's console, good until *ret_until_ms. */
const char *browser_ticket(struct browser *browser, const struct flows_ask *ask,
			   const struct instance *instance, int64_t *ret_until_ms);
/* -EPERM with words for a person. */
int browser_exchange(struct browser *browser, const char *secret, const char *instance,
		     struct browser_session **ret_session, struct gantry_error *err);
/* The session of the secret and the instance, and its time begins anew; NULL: none. */
struct browser_session *browser_session(struct browser *browser, const char *secret,
					const char *instance);
/* The request ends with the session. False: too many are open. */
bool browser_keep(struct browser_session *session, struct http_request *request);

#endif
