/* SPDX-License-Identifier: Apache-2.0 */
/* How a failure of libcurl reads to a person. */
#ifndef LOOP_CURL_ERROR_H
#define LOOP_CURL_ERROR_H

#include <gantry/host.h>

#include <curl/curl.h>

/* What was tried, and how far it came. */
struct curl_attempt {
	const struct gantry_http_peer *peer; /* borrowed */
	const char *words;                   /* libcurl's own, "" for none; borrowed */
	int64_t connect_timeout_ms, total_timeout_ms;
	int status; /* 0: no answer yet */
	bool sent;
};

/* Maps it to an errno and words; returns err->code. The codes are those of gantry_http_request. */
int curl_error(CURL *easy, CURLcode code, const struct curl_attempt *attempt,
	       struct gantry_error *err);

#endif
