/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/policy/event_wait.h"
#include "base/str.h"

#include <stdlib.h>

/* The worker's side of the op, in the op's memory. */
struct waiting {
	struct event_waits *waits; /* borrowed */
	struct gantry_op *op;
	struct loop_timer timer;
	struct gantry_http *http; /* NULL: it is the timer that is waited for */
	struct gantry_http_peer peer;
};

static void end_cancelled(struct waiting *waiting)
{
	struct gantry_error err;

	gantry_error_set(&err, -ECANCELED, "cancelled");
	op_done(waiting->op, &err, NULL);
}

/* --- time ------------------------------------------------------------------------------------------ */

static void on_time(struct loop_timer *timer)
{
	struct waiting *waiting = LIST_ENTRY(timer, struct waiting, timer);

	op_done(waiting->op, NULL, op_alloc(waiting->op, sizeof(struct script_answer)));
}

static void on_cancel_time(void *arg)
{
	struct waiting *waiting = arg;

	loop_timer_stop(waiting->waits->loop, &waiting->timer);
	end_cancelled(waiting);
}

/* --- HTTP ------------------------------------------------------------------------------------------ */

static void answer_error(struct gantry_op *op, const char *text)
{
	struct script_answer *answer = op_alloc(op, sizeof(*answer));

	answer->error = arena_strdup(op_arena(op), text);
	op_done(op, NULL, answer);
}

static void on_http_done(void *arg, const struct gantry_error *err, int status, const char *body,
			 size_t length)
{
	struct waiting *waiting = arg;
	struct script_answer *answer;

	if (err && err->code == -ECANCELED) {
		end_cancelled(waiting);
	} else if (err) {
		answer_error(waiting->op, err->text);
	} else {
		answer = op_alloc(waiting->op, sizeof(*answer));
		answer->status = status;
		answer->body = arena_strndup(op_arena(waiting->op), body, length);
		answer->length = length;
		op_done(waiting->op, NULL, answer);
	}
}

static void on_cancel_http(void *arg)
{
	http_client_cancel(((struct waiting *)arg)->http);
}

static bool is_allowed(const struct settings *settings, const struct url *url)
{
	for (size_t i = 0; i < settings->http_allow_count; i++)
		if (url_covers(&settings->http_allow[i], url))
			return true;
	return false;
}

/* What is asked is put together from what was read: nobody reads the script's text a second time. */
static void ask(struct waiting *waiting, const struct script_wait *wait, const struct url *url,
		int64_t limit_ms)
{
	struct event_waits *waits = waiting->waits;
	struct gantry_http_request request = {
		.peer = &waiting->peer,
		.method = wait->method,
		.path = url->path,
		.content_type = wait->content_type,
		.headers = wait->headers,
		.body = wait->body,
		.body_length = wait->body_length,
		.connect_timeout_ms = limit_ms,
		.total_timeout_ms = limit_ms,
		.reply_max = SCRIPT_HTTP_BODY_BYTES,
		.on_done = on_http_done,
		.arg = waiting,
	};

	waiting->peer.base_url = arena_printf(op_arena(waiting->op), "%s://%s:%d",
					      url->tls ? "https" : "http", url->host, url->port);
	if (!waits->client && http_client_open(waits->loop, &waits->client) < 0) {
		answer_error(waiting->op, "out of memory");
		return;
	}
	waiting->http = http_client_start(waits->client, &request);
	op_on_cancel(waiting->op, on_cancel_http, waiting);
}

/* --- the wait -------------------------------------------------------------------------------------- */

void event_wait_describe(const struct script_wait *wait, char *text, size_t size)
{
	struct url url;

	if (wait->what == SCRIPT_WAIT_TIME)
		snprintf(text, size, "%lld.%03d s", (long long)wait->time_ms / 1000,
			 (int)(wait->time_ms % 1000));
	else if (url_parse(wait->url, &url, NULL) < 0)
		snprintf(text, size, "%s", wait->method);
	else
		snprintf(text, size, "%s %s://%s:%d", wait->method, url.tls ? "https" : "http",
			 url.host, url.port);
}

void event_wait_start(struct event_waits *waits, const struct script_wait *wait, int64_t limit_ms,
		      struct gantry_op *op, bool *ret_refused)
{
	struct waiting *waiting = op_alloc(op, sizeof(*waiting));
	char text[sizeof(((struct gantry_error *)0)->text) + 20];
	struct gantry_error err;
	struct url url;

	*ret_refused = false;
	waiting->waits = waits;
	waiting->op = op;
	if (wait->time_ms < limit_ms)
		limit_ms = wait->time_ms;
	if (wait->what == SCRIPT_WAIT_TIME) {
		loop_timer_init(&waiting->timer, on_time);
		loop_timer_start(waits->loop, &waiting->timer, limit_ms);
		op_on_cancel(op, on_cancel_time, waiting);
	} else if (url_parse(wait->url, &url, &err) < 0) {
		snprintf(text, sizeof(text), "the URL %s", err.text);
		answer_error(op, text);
	} else if (!is_allowed(waits->settings, &url)) {
		*ret_refused = true;
		event_wait_describe(wait, text, sizeof(text));
		answer_error(op, arena_printf(op_arena(op),
					      "%s: policy_http_allow in gantry.lua does not allow "
					      "this address",
					      text));
	} else {
		ask(waiting, wait, &url, limit_ms);
	}
}

void event_waits_fini(struct event_waits *waits)
{
	http_client_close(waits->client);
	waits->client = NULL;
}
