/* SPDX-License-Identifier: Apache-2.0 */
#include "api/page.h"
#include "api/browser.h"
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/policy/admit.h"

#include <stdlib.h>

#define PREFIX      "/console/"
#define STATIC      "static"
#define COOKIE      "gantry_console"
#define TOKEN_BYTES 1024 /* of the body that has it */

/* Nothing of another origin, nothing inline, nobody's frame. */
static const char *const headers[][2] = {
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
	 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Cache-Control", "no-store"},
};

/* A request below /console/: /console/ID/REST, in the request's arena. */
struct page {
	struct api *api;
	struct http_request *request;
	const char *id, *rest; /* rest "": the page itself */
};

/* --- who asks ------------------------------------------------------------------------------------ */

/* The cookie's value; NULL: it did not come. */
static const char *read_cookie(const struct page *page)
{
	const char *at = http_request_header(page->request, "Cookie");
	size_t length = strlen(COOKIE "=");

	while (at && strncmp(at, COOKIE "=", length) != 0) {
		at = strchr(at, ';');
		if (at)
			at += 1 + strspn(at + 1, " ");
	}
	if (!at)
		return NULL;
	at += length;
	return arena_printf(http_request_arena(page->request), "%.*s", (int)strcspn(at, "; "), at);
}

/* Whoever says another origin, or none, is not our page. */
static bool is_ours(const struct page *page)
{
	const char *origin = http_request_header(page->request, "Origin");

	return origin && strcasecmp(origin, browser_url(page->api->browser)) == 0;
}

/* NULL: answered. */
static struct browser_session *find_session(const struct page *page)
{
	const char *secret = read_cookie(page);
	struct browser_session *session =
		secret ? browser_session(page->api->browser, secret, page->id) : NULL;

	if (!session)
		http_reply_problem(
			page->request, 401,
			"its session is over: nobody was there for a while, or gantryd was restarted");
	return session;
}

/* --- answers ------------------------------------------------------------------------------------- */

static void reply_file(const struct page *page, const char *name)
{
	const struct browser_file *file = browser_file(page->api->browser, name);

	if (file)
		http_reply(page->request, 200, file->content_type, file->data, file->length);
	else
		http_reply_problem(page->request, 404, "there is no such file");
}

static void reply_session(const struct page *page, struct browser_session *session)
{
	const struct instance *instance = fleet_find(&page->api->daemon->fleet, session->instance);
	struct json_object *object = json_object_new_object();
	size_t length;
	const char *text;

	if (instance) {
		json_add_string(object, "name", instance->spec.name);
		json_add_string(object, "project", instance->spec.project);
		json_add_string(object, "image", instance->spec.image);
		json_add_string(object, "node", instance->node);
		json_add_string(object, "state", instance_state_text(instance->state));
		json_add_bool(object, "tty", instance->spec.tty);
		json_add_bool(object, "stdin_open", instance->spec.stdin_open);
	}
	json_add_string(object, "actor", session->user ? session->user : session->actor);
	json_add_int(object, "idle_ms", page->api->daemon->settings->console_idle_ms);
	text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
	http_reply(page->request, 200, "application/json", text, length);
	json_object_put(object);
}

static void set_cookie(const struct page *page, const struct browser_session *session)
{
	bool tls = str_starts_with(browser_url(page->api->browser), "https:");

	http_reply_header(page->request, "Set-Cookie",
			  arena_printf(http_request_arena(page->request),
				       COOKIE "=%s; Path=" PREFIX "%s; HttpOnly; SameSite=Strict%s",
				       session->secret, session->instance, tls ? "; Secure" : ""));
}

static void on_token(void *arg, struct http_request *request)
{
	struct page *page = arg;
	struct browser_session *session;
	struct json_object *object = NULL;
	struct gantry_error err;
	size_t length;
	const char *body = http_request_body(request, &length);
	int code = json_parse(body, length, &object, &err);

	if (code == 0)
		code = browser_exchange(page->api->browser, json_get_string(object, "token", ""),
					page->id, &session, &err);
	json_object_put(object);
	if (code < 0) {
		http_reply_problem(request, code == -EPERM ? 403 : 400, err.text);
		return;
	}
	set_cookie(page, session);
	reply_session(page, session);
}

/* What the API has too, asked by whom the session is of. */
static void pass_on(const struct page *page, void (*handle)(struct call *call))
{
	struct browser_session *session = find_session(page);
	struct arena *arena = http_request_arena(page->request);
	struct call *call;

	if (!session)
		return;
	if (!browser_keep(session, page->request)) {
		http_reply_problem(page->request, 429, "this console has too many streams open");
		return;
	}
	call = ARENA_NEW(arena, struct call);
	*call = (struct call){
		.api = page->api,
		.daemon = page->api->daemon,
		.request = page->request,
		.parameter = arena_strdup(arena, session->instance),
		.actor = arena_strdup(arena, session->actor),
		.user = arena_strdup(arena, session->user),
		.via = "browser",
	};
	handle(call);
}

/* --- requests ------------------------------------------------------------------------------------ */

static void route(struct page *page)
{
	const char *method = http_request_method(page->request);
	bool reads = str_equal(method, "GET") || str_equal(method, "HEAD");

	if (str_equal(page->rest, "session") && str_equal(method, "POST")) {
		if (is_ours(page))
			http_request_read_body(page->request, TOKEN_BYTES, on_token, page);
		else
			http_reply_problem(page->request, 403,
					   "the request comes from another page");
	} else if (!reads) {
		http_reply_problem(page->request, 405, "this address has no such method");
	} else if (str_equal(page->id, STATIC)) {
		reply_file(page, page->rest);
	} else if (!*page->rest) {
		reply_file(page, "console.html");
	} else if (str_equal(page->rest, "session")) {
		struct browser_session *session = find_session(page);

		if (session)
			reply_session(page, session);
	} else if (str_equal(page->rest, "logs")) {
		pass_on(page, handle_instance_logs);
	} else if (str_equal(page->rest, "attach")) {
		if (is_ours(page))
			pass_on(page, handle_instance_attach);
		else
			http_reply_problem(page->request, 403,
					   "the request comes from another page");
	} else {
		http_reply_problem(page->request, 404, "there is nothing at this address");
	}
}

void page_request(struct api *api, struct http_request *request)
{
	struct arena *arena = http_request_arena(request);
	struct page *page = ARENA_NEW(arena, struct page);
	const char *path = http_request_path(request), *slash;

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		http_reply_header(request, headers[i][0], headers[i][1]);
	if (!str_starts_with(path, PREFIX) || !path[strlen(PREFIX)]) {
		http_reply_problem(request, 404, "there is nothing at this address");
		return;
	}
	path += strlen(PREFIX);
	slash = strchr(path, '/');
	*page = (struct page){
		.api = api,
		.request = request,
		.id = slash ? arena_printf(arena, "%.*s", (int)(slash - path), path) : path,
		.rest = slash ? slash + 1 : "",
	};
	route(page);
}

/* --- the API's side ------------------------------------------------------------------------------ */

void handle_instance_console(struct call *call)
{
	struct browser *browser = call->api->browser;
	struct json_object *object;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;
	const char *secret;
	int64_t until_ms;

	if (call_ask(call, 200, &ask) != 0 || !(instance = call_instance(call)))
		return;
	ask.via = "browser";
	if (!browser) {
		gantry_error_set(
			&err, -ENOTSUP,
			"the settings have no listener for browsers, as listen = { { console = "
			"\"127.0.0.1:8443\", certificate = …, key = … } }");
		call_fail(call, &err);
		return;
	}
	if (admit(call->daemon, &ask, instance, "attach", NULL, NULL, &err) < 0) {
		call_fail(call, &err);
		return;
	}
	secret = browser_ticket(browser, &ask, instance, &until_ms);
	object = json_object_new_object();
	json_add_string(object, "url",
			arena_printf(http_request_arena(call->request), "%s" PREFIX "%s#%s",
				     browser_url(browser), instance->id, secret));
	json_add_time(object, "until", until_ms);
	call_reply(call, 200, object);
}
