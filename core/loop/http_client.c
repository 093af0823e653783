/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client: exchanges on libcurl's multi interface, which curl_loop.h puts on the loop.
 *
 * The happy path
 *   1. http_client_start takes an easy handle from the pool, sets it up and adds it to the multi;
 *      curl asks to be called at once: from the later-queue, so that the caller returns first.
 *   2. curl connects or takes a kept connection, and sends.
 *   3. on_header sees the end of the headers, on_body each piece: kept, or passed to on_data.
 *   4. on_ended takes the exchange out of the multi, calls on_done, frees it, keeps the easy handle.
 *
 * The ways it fails, each ending in the same `finish`
 *   - curl reports a code: mapped to an errno and words in curl_error.c;
 *   - nothing arrives for stall_timeout_ms: the exchange's own timer, which looks at last_us;
 *   - cancel, an answer of on_data, reply_max: noted in `failure`, the first one stays;
 *   - it could not be set up: noted in `failure`, ended from the later-queue.
 *
 * The body of an upload is a queue: on_read gives it to curl, and has curl rest where it is empty.
 *
 * curl must not be entered from inside its callbacks. Starts and cancels that come from on_data are
 * therefore put off to the later-queue (`inside`), and the end of a pause or a rest always is.
 */
#include "loop/http_client.h"
#include "base/clock.h"
#include "base/str.h"
#include "loop/curl_error.h"
#include "loop/curl_loop.h"

#include <stdlib.h>

#define POOL_MAX           32
#define REPLY_MAX_DEFAULT  (16 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 10000
#define REPLY_HEADERS_MAX  (256 * 1024)
#define UPLOAD_HIGH_BYTES  (256 * 1024)

struct http_client {
	struct curl_loop curl;
	struct list exchanges;
	size_t count;
	CURL *pool[POOL_MAX]; /* owned */
	size_t pooled;
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

	bool upload;          /* body is a queue */
	size_t taken;         /* bytes of it that curl has */
	bool given;           /* that was all of it */
	bool resting, behind; /* curl waits for more; the caller does for on_drain */
	void (*on_drain)(void *arg);

	struct gantry_error failure; /* ours; code 0: none */
	char curl_words[CURL_ERROR_SIZE];
};

static void begin(struct gantry_http *http);
static void finish(struct gantry_http *http, const struct gantry_error *err);
static void on_later(struct loop_later *later);
static void on_stall(struct loop_timer *timer);
static void on_ended(void *arg, CURLcode code);

int http_client_open(struct loop *loop, struct http_client **ret_client)
{
	struct http_client *client = xcalloc(1, sizeof(*client));
	int code = curl_loop_init(&client->curl, loop, on_ended);

	if (code < 0) {
		free(client);
		return code;
	}
	list_init(&client->exchanges);
	*ret_client = client;
	return 0;
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	while (client->pooled > 0)
		curl_easy_cleanup(client->pool[--client->pooled]);
	curl_loop_fini(&client->curl);
	free(client);
}

static struct gantry_http *start(struct http_client *client,
				 const struct gantry_http_request *request,
				 void (*on_drain)(void *arg))
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
	http->upload = on_drain != NULL;
	http->on_drain = on_drain;
	if (request->body && !http->upload)
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

	if (client->curl.inside)
		loop_later(client->curl.loop, &http->later);
	else
		begin(http);
	return http;
}

struct gantry_http *http_client_start(struct http_client *client,
				      const struct gantry_http_request *request)
{
	return start(client, request, NULL);
}

struct gantry_http *http_client_upload(struct http_client *client,
				       const struct gantry_http_request *request,
				       void (*on_drain)(void *arg))
{
	return start(client, request, on_drain);
}

static size_t left_bytes(const struct gantry_http *http)
{
	return http->body.length - http->taken;
}

/* curl has what it rests for, or the answer came before all was sent and nothing more is wanted. */
static bool may_send(const struct gantry_http *http)
{
	return http->resting && (left_bytes(http) > 0 || http->given || http->status >= 400);
}

bool http_client_write(struct gantry_http *http, const void *data, size_t length)
{
	if (!http->upload || http->given || http->failure.code || http->status >= 400)
		return false;
	str_add_bytes(&http->body, data, length);
	if (may_send(http))
		loop_later(http->client->curl.loop, &http->later);
	http->behind = left_bytes(http) > UPLOAD_HIGH_BYTES;
	return !http->behind;
}

void http_client_write_end(struct gantry_http *http)
{
	http->given = true;
	http->last_us = clock_monotonic_us(); /* from now on the peer's answer is waited for */
	if (may_send(http))
		loop_later(http->client->curl.loop, &http->later);
}

const char *http_client_header(struct gantry_http *http, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(http->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
		       ? header->value
		       : NULL;
}

void http_client_cancel(struct gantry_http *http)
{
	http->cancelled = true;
	if (http->failure.code == 0)
		gantry_error_set(&http->failure, -ECANCELED, "cancelled");
	loop_later(http->client->curl.loop, &http->later);
}

void http_client_pause(struct gantry_http *http, bool paused)
{
	http->paused = paused;
	http->last_us = clock_monotonic_us(); /* nobody was to be heard of meanwhile */
	if (!paused && http->held)
		loop_later(http->client->curl.loop, &http->later);
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
	if (may_send(http))
		loop_later(http->client->curl.loop, &http->later);
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

static size_t on_read(char *place, size_t one, size_t room, void *arg)
{
	struct gantry_http *http = arg;
	size_t length = left_bytes(http);

	(void)one;
	http->last_us = clock_monotonic_us();
	if (length == 0 && !http->given) {
		http->resting = true;
		return CURL_READFUNC_PAUSE;
	}
	if (length > room)
		length = room;
	if (length > 0)
		memcpy(place, http->body.data + http->taken, length);
	http->taken += length;
	if (left_bytes(http) == 0 || http->taken > UPLOAD_HIGH_BYTES) {
		str_consume(&http->body, http->taken);
		http->taken = 0;
	}
	if (http->behind && left_bytes(http) <= UPLOAD_HIGH_BYTES / 2)
		loop_later(http->client->curl.loop, &http->later);
	return length;
}

/* Called before each sending: twice where a kept connection broke and curl starts afresh. */
static int on_sending(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct gantry_http *http = arg;
	bool again = http->sent;

	(void)remote, (void)local, (void)remote_port, (void)local_port;
	http->sent = true;
	if (!again || (strcmp(http->method, "POST") != 0 && !http->upload))
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
	curl_loop_set_peer(easy, peer, connect_timeout_ms(http));
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "gantry");
	curl_easy_setopt(easy, CURLOPT_URL, str_text(&http->url));
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_sending);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
	if (request->total_timeout_ms)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_timeout_ms);

	if (str_equal(http->method, "HEAD")) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (http->upload) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, http);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method);
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
		loop_later(client->curl.loop, &http->later);
		return;
	}
	set_up(http);
	code = curl_multi_add_handle(client->curl.multi, http->easy);
	if (code != CURLM_OK) {
		gantry_error_set(&http->failure, -EIO, "%s", curl_multi_strerror(code));
		loop_later(client->curl.loop, &http->later);
		return;
	}
	http->added = true;
	if (http->request.stall_timeout_ms)
		loop_timer_start(client->curl.loop, &http->stall, http->request.stall_timeout_ms);
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

/* After a pause or a rest: curl hands over what it kept, at once, and goes on. */
static void go_on(struct gantry_http *http)
{
	struct http_client *client = http->client;
	CURLcode code;

	if (!(http->held && !http->paused) && !may_send(http))
		return;
	http->held = http->held && http->paused;
	http->resting = http->resting && !may_send(http);
	client->curl.inside = true;
	code = curl_easy_pause(http->easy, (http->held ? CURLPAUSE_RECV : 0) |
						   (http->resting ? CURLPAUSE_SEND : 0));
	client->curl.inside = false;
	if (code == CURLE_OK) {
		loop_later(client->curl.loop, &client->curl.kick);
		return;
	}
	fail_with_curl(http, code);
	finish(http, &http->failure);
}

static void tell_drain(struct gantry_http *http)
{
	if (!http->behind || left_bytes(http) > UPLOAD_HIGH_BYTES / 2 || http->failure.code)
		return;
	http->behind = false;
	http->on_drain(http->request.arg);
}

static void on_later(struct loop_later *later)
{
	struct gantry_http *http = LIST_ENTRY(later, struct gantry_http, later);

	tell_drain(http);
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
	bool idle = http->paused || http->resting;
	int64_t quiet_ms = idle ? 0 : (clock_monotonic_us() - http->last_us) / 1000;

	if (quiet_ms < limit_ms) {
		loop_timer_start(http->client->curl.loop, timer, limit_ms - quiet_ms);
		return;
	}
	if (http->failure.code == 0)
		gantry_error_set(&http->failure, -ETIMEDOUT, "nothing came for %lld.%03lld s",
				 (long long)limit_ms / 1000, (long long)limit_ms % 1000);
	loop_later(http->client->curl.loop, &http->later);
}

static void finish(struct gantry_http *http, const struct gantry_error *err)
{
	struct http_client *client = http->client;

	if (http->added)
		curl_multi_remove_handle(client->curl.multi, http->easy);
	loop_later_cancel(client->curl.loop, &http->later);
	loop_timer_stop(client->curl.loop, &http->stall);
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

/* curl is through with it. Its callbacks may start and cancel as they like. */
static void on_ended(void *arg, CURLcode code)
{
	struct gantry_http *http = arg;
	struct gantry_error err;

	if (code != CURLE_OK)
		fail_with_curl(http, code);
	err = http->failure;
	finish(http, err.code ? &err : NULL);
}
