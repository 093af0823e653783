/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl on our loop: a multi whose sockets and timer the loop watches, and what a peer's settings
 * mean to curl. For http_client.c and http_stream.c.
 *
 * curl must not be entered from inside its own callbacks: `inside` says when it is on the stack.
 */
#ifndef LOOP_CURL_LOOP_H
#define LOOP_CURL_LOOP_H

#include <curl/curl.h>

#include <gantry/host.h>

#include "loop/loop.h"

struct curl_loop {
	struct loop *loop; /* borrowed */
	CURLM *multi;      /* owned */
	struct loop_timer timer;
	struct loop_later kick; /* curl asked to be called at once */
	bool inside;            /* curl is on the stack */
	/* A handle of the multi has ended what it does; arg is its CURLOPT_PRIVATE. curl is not on the stack. */
	void (*ended)(void *arg, CURLcode code);
};

/* 0, or -ENOMEM. */
int curl_loop_init(struct curl_loop *curl, struct loop *loop,
		   void (*ended)(void *arg, CURLcode code));
/* No handle may be in the multi. Gone at return, but for handles of the loop, which close in its next turn. */
void curl_loop_fini(struct curl_loop *curl);

/* Where the peer is, TLS, no proxy. The peer must outlive the handle's use. */
void curl_loop_set_peer(CURL *easy, const struct gantry_http_peer *peer,
			int64_t connect_timeout_ms);

#endif
