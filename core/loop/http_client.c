/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client: libcurl's multi interface driven by the loop. libcurl says which sockets it
 * watches (on_socket) and when it wants to be called (on_curl_timer); the loop tells it what happened
 * (curl_multi_socket_action); what has ended is then collected (collect).
 *
 * The happy path
 *   1. http_client_start takes an easy handle from the pool, sets it up and adds it to the multi;
 *      curl asks to be called at once: from the later-queue, so that the caller returns first.
 *   2. curl connects or takes a kept connection, sends; sockets come and go through on_socket.
 *   3. on_header sees the end of the headers, on_body each piece: kept, or passed to on_data.
 *   4. collect takes the exchange out of the multi, calls on_done, frees it, keeps the easy handle.
 *
 * The ways it fails, each ending in the same `finish`
 *   - curl reports a code: mapped to an errno and words in curl_error.c;
 *   - nothing arrives for stall_timeout_ms: the exchange's own timer, which looks at last_us;
 *   - cancel, an answer of on_data, reply_max: noted in `failure`, the first one stays;
 *   - it could not be set up: noted in `failure`, ended from the later-queue.
 *
 * curl must not be entered from inside its callbacks. Starts and cancels that come from on_data are
 * therefore put off to the later-queue (`inside`), and the end of a pause always is.
 */
#include "loop/http_client.h"
#include "base/clock.h"
#include "base/str.h"
#include "loop/curl_error.h"

#include <stdlib.h>

#define POOL_MAX             32
#define KEPT_CONNECTIONS_MAX 64
#define REPLY_MAX_DEFAULT    (16 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS   10000
#define REPLY_HEADERS_MAX    (256 * 1024)

struct http_client {
	struct loop *loop; /* borrowed */
	CURLM *multi;      /* owned */
	struct list exchanges;
	size_t count;
	struct loop_timer timer;
	struct loop_later kick; /* curl asked to be called at once */
	bool inside;            /* curl is on the stack */
	CURL *pool[POOL_MAX];   /* owned */
	size_t pooled;
};

/* A socket that curl watches. Freed in its close callback. */
struct watched {
	uv_poll_t poll;
	struct http_client *client; /* borrowed */
	curl_socket_t socket;
};

struct gantry_http {
	struct list link;
	struct http_client *client; /* borrowed */
	CURL *easy;                 /* owned; from the pool and back to it */
	struct curl_slist *headers; /* owned */
	struct str url, body, reply;
	char method[16];
	const struct gantry_http_peer *peer; /* borrowed from the caller */
	struct gantry_http_request
		request;         /* the numbers and the callbacks; pointers are not used */
	struct loop_later later; /* start that was put off, cancel, failure to start */
	struct loop_timer stall;
	int64_t started_us, last_us;
	size_t header_bytes;
	int status;
	bool added, headers_seen, sent, cancelled;
	bool paused; /* as the caller wants it */
	bool held;   /* curl keeps a piece that came while paused, and reads no more */
	struct gantry_error failure; /* ours; code 0: none */
	char curl_words[CURL_ERROR_SIZE];
};

static void begin(struct gantry_http *http);
static void finish(struct gantry_http *http, const struct gantry_error *err);
static void on_later(struct loop_later *later);
static void on_stall(struct loop_timer *timer);
static void act(struct http_client *client, curl_socket_t socket, int events);
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg);
static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg);

static void on_timer(struct loop_timer *timer)
{
	act(LIST_ENTRY(timer, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct loop_later *later)
{
	act(LIST_ENTRY(later, struct http_client, kick), CURL_SOCKET_TIMEOUT, 0);
}

int http_client_open(struct loop *loop, struct http_client **ret_client)
{
	static bool initialised; /* libcurl wants this once a process */
	struct http_client *client;
	CURLM *multi;

	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	initialised = true;
	multi = curl_multi_init();
	if (!multi)
		return -ENOMEM;
	client = xcalloc(1, sizeof(*client));
	client->loop = loop;
	client->multi = multi;
	list_init(&client->exchanges);
	loop_timer_init(&client->timer, on_timer);
	loop_later_init(&client->kick, on_kick);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS_MAX);
	*ret_client = client;
	return 0;
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	while (client->pooled > 0)
		curl_easy_cleanup(client->pool[--client->pooled]);
	curl_multi_cleanup(client->multi);
	loop_timer_stop(client->loop, &client->timer);
	loop_later_cancel(client->loop, &client->kick);
	free(client);
}

struct gantry_http *http_client_start(struct http_client *client,
				      const struct gantry_http_request *request)
{
	struct gantry_http *http = xcalloc(1, sizeof(*http));
	const char *line = request->headers;

	http->client = client;
	http->peer = request->peer;
	http->request = *request;
	http->request.headers = http->request.content_type = NULL;
	http->request.method = http->request.path = NULL;
	http->started_us = http->last_us = clock_monotonic_us();
	snprintf(http->method, sizeof(http->method), "%s", request->method);
	str_add(&http->url, request->peer->base_url);
	str_add(&http->url, request->path);
	if (request->body)
		str_add_bytes(&http->body, request->body, request->body_length);
	loop_later_init(&http->later, on_later);
	loop_timer_init(&http->stall, on_stall);
	list_append(&client->exchanges, &http->link);
	client->count++;

	/* no Expect: a server that does not know it costs a second; no default content type */
	http->headers = curl_slist_append(NULL, "Expect:");
	while (line && *line) {
		size_t length = strcspn(line, "\n");
		char *copy = strndup(line, length);

		http->headers = curl_slist_append(http->headers, copy);
		free(copy);
		line += length + (line[length] == '\n');
	}
	if (request->content_type) {
		char *type = xasprintf("Content-Type: %s", request->content_type);

		http->headers = curl_slist_append(http->headers, type);
		free(type);
	} else {
		http->headers = curl_slist_append(http->headers, "Content-Type:");
	}

	if (client->inside)
		loop_later(client->loop, &http->later);
	else
		begin(http);
	return http;
}

void http_client_cancel(struct gantry_http *http)
{
	http->cancelled = true;
	if (http->failure.code == 0)
		gantry_error_set(&http->failure, -ECANCELED, "cancelled");
	loop_later(http->client->loop, &http->later);
}

void http_client_pause(struct gantry_http *http, bool paused)
{
	http->paused = paused;
	http->last_us = clock_monotonic_us(); /* nobody was to be heard of meanwhile */
	if (!paused && http->held)
		loop_later(http->client->loop, &http->later);
}

size_t http_client_pending(const struct http_client *client)
{
	return client ? client->count : 0;
}

void http_client_walk(struct http_client *client,
		      void (*fn)(void *arg, const char *name, int64_t age_ms), void *arg)
{
	if (!client)
		return;
	LIST_FOREACH (node, &client->exchanges) {
		struct gantry_http *http = LIST_ENTRY(node, struct gantry_http, link);
		char *name = xasprintf("%s %s", http->method, str_text(&http->url));

		fn(arg, name, (clock_monotonic_us() - http->started_us) / 1000);
		free(name);
	}
}

/* --- what curl calls while a transfer runs --- */

static size_t on_header(char *data, size_t one, size_t length, void *arg)
{
	struct gantry_http *http = arg;
	long status = 0;
	int answer;

	(void)one;
	http->last_us = clock_monotonic_us();
	http->header_bytes += length;
	if (http->header_bytes > REPLY_HEADERS_MAX) {
		gantry_error_set(&http->failure, -EPROTO,
				 "the headers of the reply are over %d KiB",
				 REPLY_HEADERS_MAX / 1024);
		return 0;
	}
	if (http->headers_seen || length > 2 || (data[0] != '\r' && data[0] != '\n'))
		return length;
	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return length; /* an interim answer: the real one follows */
	http->headers_seen = true;
	http->status = (int)status;
	if (http->request.on_data && status < 400 && !http->cancelled) {
		answer = http->request.on_data(http->request.arg, http->status, "", 0);
		if (answer < 0) {
			gantry_error_set(&http->failure, answer, "ended by the reader");
			return 0;
		}
	}
	return length;
}

static size_t on_body(char *data, size_t one, size_t length, void *arg)
{
	struct gantry_http *http = arg;
	size_t limit = http->request.reply_max ? http->request.reply_max : REPLY_MAX_DEFAULT;
	int answer;

	(void)one;
	http->last_us = clock_monotonic_us();
	if (http->cancelled)
		return 0;
	if (http->paused) {
		http->held = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (http->request.on_data && http->status < 400) {
		answer = length ? http->request.on_data(http->request.arg, http->status, data,
							length)
				: 0;
		if (answer < 0) {
			gantry_error_set(&http->failure, answer, "ended by the reader");
			return 0;
		}
		return length;
	}
	if (http->reply.length + length > limit) {
		gantry_error_set(&http->failure, -EFBIG, "the reply is over %zu bytes", limit);
		return 0;
	}
	str_add_bytes(&http->reply, data, length);
	return length;
}

/* Called before each sending: twice where a kept connection broke and curl starts afresh. */
static int on_sending(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct gantry_http *http = arg;
	bool again = http->sent;

	(void)remote, (void)local, (void)remote_port, (void)local_port;
	http->sent = true;
	if (!again || strcmp(http->method, "POST") != 0)
		return CURL_PREREQFUNC_OK;
	gantry_error_set(&http->failure, -ECONNRESET,
			 "the connection broke before the answer came");
	return CURL_PREREQFUNC_ABORT;
}

/* --- one exchange from begin to finish --- */

static int64_t connect_timeout_ms(const struct gantry_http *http)
{
	return http->request.connect_timeout_ms ? http->request.connect_timeout_ms
						: CONNECT_TIMEOUT_MS;
}

static void set_up(struct gantry_http *http)
{
	const struct gantry_http_peer *peer = http->peer;
	const struct gantry_http_request *request = &http->request;
	CURL *easy = http->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->curl_words);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
	/* an exchange that ends while a name is looked up must not wait for the thread that does it */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "gantry");
	curl_easy_setopt(easy, CURLOPT_URL, str_text(&http->url));
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_sending);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms(http));
	if (request->total_timeout_ms)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_timeout_ms);
	if (peer->unix_socket) {
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, peer->unix_socket);
	} else {
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	}
	if (str_starts_with(peer->base_url, "https:")) {
		if (peer->ca_file)
			curl_easy_setopt(easy, CURLOPT_CAINFO, peer->ca_file);
		if (peer->certificate_file)
			curl_easy_setopt(easy, CURLOPT_SSLCERT, peer->certificate_file);
		if (peer->key_file)
			curl_easy_setopt(easy, CURLOPT_SSLKEY, peer->key_file);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, peer->insecure ? 0L : 1L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, peer->insecure ? 0L : 2L);
	}

	if (str_equal(http->method, "HEAD")) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (http->body.length || str_equal(http->method, "POST") ||
	    str_equal(http->method, "PUT")) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)http->body.length);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, str_text(&http->body));
	}
	if (!str_equal(http->method, "GET") && !str_equal(http->method, "POST"))
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method);
}

static void begin(struct gantry_http *http)
{
	struct http_client *client = http->client;
	CURLMcode code;

	if (client->pooled > 0)
		http->easy = client->pool[--client->pooled];
	else
		http->easy = curl_easy_init();
	if (!http->easy) {
		gantry_error_set(&http->failure, -ENOMEM, "out of memory for an HTTP exchange");
		loop_later(client->loop, &http->later);
		return;
	}
	set_up(http);
	code = curl_multi_add_handle(client->multi, http->easy);
	if (code != CURLM_OK) {
		gantry_error_set(&http->failure, -EIO, "%s", curl_multi_strerror(code));
		loop_later(client->loop, &http->later);
		return;
	}
	http->added = true;
	if (http->request.stall_timeout_ms)
		loop_timer_start(client->loop, &http->stall, http->request.stall_timeout_ms);
}

/* The first failure stays. */
static void fail_with_curl(struct gantry_http *http, CURLcode code)
{
	const struct curl_attempt attempt = {
		.peer = http->peer,
		.words = http->curl_words,
		.connect_timeout_ms = connect_timeout_ms(http),
		.total_timeout_ms = http->request.total_timeout_ms,
		.status = http->status,
		.sent = http->sent,
	};

	if (http->failure.code == 0)
		curl_error(http->easy, code, &attempt, &http->failure);
}

/* After a pause: curl hands over what it kept, at once, and reads again. */
static void go_on(struct gantry_http *http)
{
	struct http_client *client = http->client;
	CURLcode code;

	if (http->paused || !http->held)
		return;
	http->held = false;
	client->inside = true;
	code = curl_easy_pause(http->easy, CURLPAUSE_CONT);
	client->inside = false;
	if (code == CURLE_OK) {
		loop_later(client->loop, &client->kick);
		return;
	}
	fail_with_curl(http, code);
	finish(http, &http->failure);
}

static void on_later(struct loop_later *later)
{
	struct gantry_http *http = LIST_ENTRY(later, struct gantry_http, later);

	if (http->failure.code)
		finish(http, &http->failure);
	else if (!http->added)
		begin(http); /* put off, because curl was on the stack */
	else
		go_on(http);
}

static void on_stall(struct loop_timer *timer)
{
	struct gantry_http *http = LIST_ENTRY(timer, struct gantry_http, stall);
	int64_t limit_ms = http->request.stall_timeout_ms;
	int64_t quiet_ms = http->paused ? 0 : (clock_monotonic_us() - http->last_us) / 1000;

	if (quiet_ms < limit_ms) {
		loop_timer_start(http->client->loop, timer, limit_ms - quiet_ms);
		return;
	}
	if (http->failure.code == 0)
		gantry_error_set(&http->failure, -ETIMEDOUT, "nothing came for %lld.%03lld s",
				 (long long)limit_ms / 1000, (long long)limit_ms % 1000);
	loop_later(http->client->loop, &http->later);
}

static void finish(struct gantry_http *http, const struct gantry_error *err)
{
	struct http_client *client = http->client;

	if (http->added)
		curl_multi_remove_handle(client->multi, http->easy);
	loop_later_cancel(client->loop, &http->later);
	loop_timer_stop(client->loop, &http->stall);
	list_remove(&http->link);
	client->count--;
	if (http->easy) {
		curl_easy_reset(http->easy);
		if (client->pooled < POOL_MAX)
			client->pool[client->pooled++] = http->easy;
		else
			curl_easy_cleanup(http->easy);
	}
	http->request.on_done(http->request.arg, err, http->status, str_text(&http->reply),
			      http->reply.length);
	curl_slist_free_all(http->headers);
	str_fini(&http->url);
	str_fini(&http->body);
	str_fini(&http->reply);
	free(http);
}

/* --- curl and the loop --- */

/* Takes what has ended out of the multi. Callbacks may start and cancel as they like: curl is not on
 * the stack here. */
static void collect(struct http_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct gantry_http *http = NULL;
		struct gantry_error err;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&http);
		if (code != CURLE_OK)
			fail_with_curl(http, code);
		err = http->failure;
		finish(http, err.code ? &err : NULL);
	}
}

static void act(struct http_client *client, curl_socket_t socket, int events)
{
	int running;

	client->inside = true;
	curl_multi_socket_action(client->multi, socket, events, &running);
	client->inside = false;
	collect(client);
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
	act(watched->client, watched->socket, flags);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct http_client *client = arg;
	struct watched *watched = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched) {
			uv_poll_stop(&watched->poll);
			uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
			curl_multi_assign(client->multi, socket, NULL);
		}
		return 0;
	}
	if (!watched) {
		watched = xcalloc(1, sizeof(*watched));
		watched->client = client;
		watched->socket = socket;
		if (uv_poll_init_socket(&client->loop->uv, &watched->poll, socket) < 0) {
			free(watched);
			return -1;
		}
		watched->poll.data = watched;
		curl_multi_assign(client->multi, socket, watched);
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
	struct http_client *client = arg;

	(void)multi;
	if (timeout_ms <= 0)
		loop_timer_stop(client->loop, &client->timer);
	if (timeout_ms == 0)
		loop_later(client->loop, &client->kick);
	else if (timeout_ms > 0)
		loop_timer_start(client->loop, &client->timer, timeout_ms);
	return 0;
}
