/* SPDX-License-Identifier: Apache-2.0 */
/* The end of our side of a TLS connection of libcurl, which has no word for it. */
#ifndef LOOP_TLS_END_H
#define LOOP_TLS_END_H

#include <curl/curl.h>
#include <stdbool.h>

/* Of a handle that has sent something by curl_easy_send. */
bool tls_end_possible(CURL *easy);
/* Tells the peer that no more comes; what it sends is read as before. 0, or -EAGAIN: once more when it can be written to. */
int tls_end(CURL *easy);

#endif
