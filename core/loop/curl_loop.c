/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl says which sockets it watches (on_socket) and when it wants to be called (on_curl_timer); the
 * loop tells it what happened (curl_multi_socket_action); what has ended is then collected.
 */
#include "loop/curl_loop.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

#define KEPT_CONNECTIONS_MAX 64

/* A socket that curl watches. Freed in its close callback. */
struct watched {
	uv_poll_t poll;
	struct curl_loop *curl; /* borrowed */
	curl_socket_t socket;
};

static void act(struct curl_loop *curl, curl_socket_t socket, int events);
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg);
static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg);

static void on_timer(struct loop_timer *timer)
{
	act(LIST_ENTRY(timer, struct curl_loop, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct loop_later *later)
{
	act(LIST_ENTRY(later, struct curl_loop, kick), CURL_SOCKET_TIMEOUT, 0);
}

int curl_loop_init(struct curl_loop *curl, struct loop *loop,
		   void (*ended)(void *arg, CURLcode code))
{
	static bool initialised; /* libcurl wants this once a process */
	CURLM *multi;

	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	initialised = true;
	multi = curl_multi_init();
	if (!multi)
		return -ENOMEM;
	*curl = (struct curl_loop){.loop = loop, .multi = multi, .ended = ended};
	loop_timer_init(&curl->timer, on_timer);
	loop_later_init(&curl->kick, on_kick);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, curl);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, curl);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS_MAX);
	return 0;
}

void curl_loop_fini(struct curl_loop *curl)
{
	curl_multi_cleanup(curl->multi);
	loop_timer_stop(curl->loop, &curl->timer);
	loop_later_cancel(curl->loop, &curl->kick);
}

void curl_loop_set_peer(CURL *easy, const struct gantry_http_peer *peer, int64_t connect_timeout_ms)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
	if (peer->fresh) {
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	if (peer->unix_socket) {
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, peer->unix_socket);
	} else {
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	}
	if (!str_starts_with(peer->base_url, "https:"))
		return;
	if (peer->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, peer->ca_file);
	if (peer->certificate_file)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, peer->certificate_file);
	if (peer->key_file)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, peer->key_file);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, peer->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, peer->insecure ? 0L : 2L);
}

/* Tells what has ended. Those who hear it may start and cancel as they like: curl is not on the stack. */
static void collect(struct curl_loop *curl)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(curl->multi, &left))) {
		CURLcode code = message->data.result;
		char *owner = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
		curl->ended(owner, code);
	}
}

static void act(struct curl_loop *curl, curl_socket_t socket, int events)
{
	int running;

	curl->inside = true;
	curl_multi_socket_action(curl->multi, socket, events, &running);
	curl->inside = false;
	collect(curl);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watched *watched = poll->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(watched->curl, watched->socket, flags);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct curl_loop *curl = arg;
	struct watched *watched = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched) {
			uv_poll_stop(&watched->poll);
			uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
			curl_multi_assign(curl->multi, socket, NULL);
		}
		return 0;
	}
	if (!watched) {
		watched = xcalloc(1, sizeof(*watched));
		watched->curl = curl;
		watched->socket = socket;
		if (uv_poll_init_socket(&curl->loop->uv, &watched->poll, socket) < 0) {
			free(watched);
			return -1;
		}
		watched->poll.data = watched;
		curl_multi_assign(curl->multi, socket, watched);
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	uv_poll_start(&watched->poll, events, on_poll);
	return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct curl_loop *curl = arg;

	(void)multi;
	if (timeout_ms <= 0)
		loop_timer_stop(curl->loop, &curl->timer);
	if (timeout_ms == 0)
		loop_later(curl->loop, &curl->kick);
	else if (timeout_ms > 0)
		loop_timer_start(curl->loop, &curl->timer, timeout_ms);
	return 0;
}
