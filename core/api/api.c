/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its handler: route, actor, body. */
#include "api/api.h"
#include "api/browser.h"
#include "api/call.h"
#include "api/page.h"
#include "base/cidr.h"
#include "base/hash.h"
#include "base/str.h"

#include <grp.h>
#include <stdlib.h>

/* --- matching ------------------------------------------------------------------------------------ */

/* Path against "/v1/a/{x}/b": what stands for {x} is decoded into the arena. */
static bool matches(const char *pattern, const char *path, struct arena *arena,
		    const char **ret_parameter)
{
	while (*pattern) {
		if (*pattern == '{') {
			size_t length = strcspn(path, "/");

			if (length == 0)
				return false;
			*ret_parameter = http_url_decode(arena, path, length, false);
			if (!*ret_parameter)
				return false;
			path += length;
			pattern = strchr(pattern, '}') + 1;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

static const struct route *find_route(struct call *call, const char *method, const char *path,
				      struct str *allowed)
{
	struct arena *arena = http_request_arena(call->request);

	for (const struct route *route = api_routes; route->method; route++) {
		const char *parameter = NULL;

		if (!matches(route->path, path, arena, &parameter))
			continue;
		if (str_equal(route->method, method) ||
		    (str_equal(method, "HEAD") && str_equal(route->method, "GET"))) {
			call->parameter = parameter;
			return route;
		}
		str_addf(allowed, "%s%s", allowed->length ? ", " : "", route->method);
	}
	return NULL;
}

/* --- who asks ------------------------------------------------------------------------------------ */

static bool is_trusted(const struct call *call)
{
	const struct gantry_strings *trusted = &call->daemon->settings->trusted_actors;

	for (size_t i = 0; i < trusted->count; i++)
		if (str_equal(trusted->items[i], call->actor))
			return true;
	return false;
}

static int read_actor(struct call *call, struct gantry_error *err)
{
	const struct http_peer *peer = http_request_peer(call->request);
	struct arena *arena = http_request_arena(call->request);
	const char *project = http_request_header(call->request, "X-Gantry-Project");
	const char *user = http_request_header(call->request, "X-Gantry-User");

	call->actor = peer->local ? arena_printf(arena, "uid:%u", (unsigned)peer->uid)
				  : arena_printf(arena, "cn:%s",
						 peer->common_name ? peer->common_name : "");
	if (user && strlen(user) > 128)
		return gantry_error_field(err, -EINVAL, "X-Gantry-User",
					  "must be at most 128 characters");
	if ((project || user) && !is_trusted(call))
		return gantry_error_set(
			err, -EPERM,
			"%s may not ask on behalf of others: it is not one of trusted_actors",
			call->actor);
	call->project = project ? project : http_request_query(call->request, "project");
	call->user = user;
	return 0;
}

/* --- the body ------------------------------------------------------------------------------------ */

/* Keyed, as the body may hold secrets and the hash is stored. Without a key nobody asks for it. */
static uint64_t hash_request(const struct call *call, const char *body, size_t length)
{
	const struct api *api = call->api;
	unsigned char digest[HASH_BYTES];
	struct hash hash;
	uint64_t value;

	if (!http_request_header(call->request, "Idempotency-Key"))
		return 0;
	hash_init(&hash);
	hash_add(&hash, call->route->operation_id, strlen(call->route->operation_id) + 1);
	if (call->parameter)
		hash_add(&hash, call->parameter, strlen(call->parameter));
	hash_add(&hash, "", 1);
	hash_add(&hash, body, length);
	hash_end(&hash, digest);
	hash_hmac(api->secret_key, sizeof(api->secret_key), digest, sizeof(digest), digest);
	memcpy(&value, digest, sizeof(value));
	return value;
}

static bool is_json(const char *type)
{
	size_t length = strlen("application/json");

	return !type || (strncasecmp(type, "application/json", length) == 0 &&
			 (type[length] == '\0' || type[length] == ';' || type[length] == ' '));
}

static void on_body(void *arg, struct http_request *request)
{
	struct call *call = arg;
	struct gantry_error err;
	size_t length;
	const char *body = http_request_body(request, &length);
	static const char *const no_members[] = {NULL};

	call->request_hash = hash_request(call, body, length);
	if (length == 0) {
		if (call->route->body == ROUTE_BODY_REQUIRED)
			http_reply_problem(request, 400, "a JSON object is needed as the body");
		else
			call_run_or_repeat(call);
		return;
	}
	if (!is_json(http_request_header(request, "Content-Type"))) {
		http_reply_problem(request, 415, "the body must be application/json");
		return;
	}
	if (json_parse(body, length, &call->body, &err) < 0) {
		gantry_error_prefix(&err, "body");
		err.code = -EBADMSG;
		call_fail(call, &err);
	} else if (!json_object_is_type(call->body, json_type_object)) {
		gantry_error_set(&err, -EBADMSG, "body: must be an object, not %s",
				 json_type_text(call->body));
		call_fail(call, &err);
	} else if (call->route->body != ROUTE_NO_BODY ||
		   call_check_members(call, no_members) == 0) {
		call_run_or_repeat(call);
	}
	json_object_put(call->body);
	call->body = NULL;
}

static void on_request(void *arg, struct http_request *request)
{
	struct api *api = arg;
	struct call *call = ARENA_NEW(http_request_arena(request), struct call);
	const char *path = http_request_path(request);
	struct str allowed = STR_INIT;
	struct gantry_error err;

	if (http_request_listener_arg(request)) {
		page_request(api, request);
		return;
	}
	call->api = api;
	call->daemon = api->daemon;
	call->request = request;
	call->route = find_route(call, http_request_method(request), path, &allowed);
	if (!call->route && allowed.length) {
		http_reply_header(request, "Allow", str_text(&allowed));
		http_reply_problem(request, 405, "this address has no such method");
	} else if (!call->route) {
		gantry_error_set(&err, -ENOENT, "there is nothing at %.200s", path);
		call_fail(call, &err);
	} else if (read_actor(call, &err) < 0) {
		call_fail(call, &err);
	} else if (call->route->method[0] == 'G' || call->route->body == ROUTE_BODY_STREAM) {
		call->route->handle(call);
	} else {
		http_request_read_body(request, 0, on_body, call);
	}
	str_fini(&allowed);
}

/* --- life ---------------------------------------------------------------------------------------- */

void api_init(struct api *api, struct daemon *daemon, const struct plugin_registry *plugins,
	      const unsigned char secret_key[32])
{
	*api = (struct api){.daemon = daemon, .plugins = plugins};
	memcpy(api->secret_key, secret_key, sizeof(api->secret_key));
	api->server = http_server_new(daemon->loop, NULL, on_request, api);
}

static int group_of(const char *name, gid_t *ret_gid, const char *field, struct gantry_error *err)
{
	struct group *group;

	*ret_gid = (gid_t)-1;
	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return gantry_error_field(err, -EINVAL, field, "there is no group \"%s\"", name);
	*ret_gid = group->gr_gid;
	return 0;
}

static int listen_unix(struct api *api, const struct settings_listener *listener, const char *where,
		       struct gantry_error *err)
{
	char field[96], *end;
	long mode = strtol(listener->mode, &end, 8);
	gid_t gid;
	int code;

	snprintf(field, sizeof(field), "%s.mode", where);
	if (*end || mode < 0 || mode > 0777)
		return gantry_error_field(err, -EINVAL, field,
					  "must be octal as \"0660\", not \"%s\"", listener->mode);
	snprintf(field, sizeof(field), "%s.group", where);
	code = group_of(listener->group, &gid, field, err);
	if (code < 0)
		return code;
	return http_listen_unix(api->server, listener->unix_path, (mode_t)mode, gid, NULL, NULL,
				err);
}

/* "127.0.0.1:7443" or "[::1]:7443" */
static int split_address(const char *text, char *address, size_t size, int *ret_port,
			 struct gantry_error *err)
{
	const char *colon = strrchr(text, ':'), *start = text;
	char *end;
	long port = colon ? strtol(colon + 1, &end, 10) : -1;
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (!colon || *end || end == colon + 1 || port < 0 || port > 65535 || length >= size)
		return gantry_error_set(err, -EINVAL, "must be ADDRESS:PORT, not \"%s\"", text);
	if (*start == '[' && length > 2) {
		start++;
		length -= 2;
	}
	snprintf(address, size, "%.*s", (int)length, start);
	*ret_port = (int)port;
	return 0;
}

static int listen_tcp(struct api *api, const struct settings_listener *listener,
		      struct gantry_error *err)
{
	const struct http_tls tls = {
		.certificate_file = listener->certificate,
		.key_file = listener->key,
		.client_ca_file = listener->ca,
	};
	char address[64];
	int port, code = split_address(listener->tcp, address, sizeof(address), &port, err);

	return code < 0 ? code : http_listen_tcp(api->server, address, port, &tls, NULL, NULL, err);
}

/* Its mark is the api: what comes there is page.c's. */
static int listen_console(struct api *api, const struct settings_listener *listener,
			  struct gantry_error *err)
{
	const struct http_tls tls = {
		.certificate_file = listener->certificate,
		.key_file = listener->key,
	};
	struct http_listener *opened;
	char address[64], *url;
	int port, code = split_address(listener->console, address, sizeof(address), &port, err);

	if (code < 0)
		return code;
	if (listener->plain && !cidr_is_loopback(address))
		return gantry_error_set(err, -EINVAL,
					"plain is for loopback only: what is typed would cross the "
					"network readable; name certificate and key");
	if (!listener->url && cidr_is_any(address))
		return gantry_error_set(
			err, -EINVAL,
			"needs url: how browsers reach it, as \"https://gantry.example.org\"");
	if (api->browser)
		return gantry_error_set(err, -EINVAL,
					"is a second console listener; one is enough");
	code = http_listen_tcp(api->server, address, port, listener->plain ? NULL : &tls, api,
			       &opened, err);
	if (code < 0)
		return code;
	url = listener->url ? xstrdup(listener->url)
			    : xasprintf(strchr(address, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
					listener->plain ? "http" : "https", address,
					http_listener_port(opened));
	code = browser_open(api->daemon, url, &api->browser, err);
	free(url);
	return code;
}

int api_listen(struct api *api, struct gantry_error *err)
{
	const struct settings *settings = api->daemon->settings;

	for (size_t i = 0; i < settings->listener_count; i++) {
		const struct settings_listener *listener = &settings->listeners[i];
		char where[32];
		int code;

		snprintf(where, sizeof(where), "listen[%zu]", i + 1);
		code = listener->unix_path ? listen_unix(api, listener, where, err)
		       : listener->tcp     ? listen_tcp(api, listener, err)
					   : listen_console(api, listener, err);
		if (code < 0) {
			if (!err->field[0])
				snprintf(err->field, sizeof(err->field), "%s", where);
			return code;
		}
	}
	return 0;
}

void api_fini(struct api *api)
{
	browser_close(api->browser);
	api->browser = NULL;
}

void api_print_routes(void)
{
	for (const struct route *route = api_routes; route->method; route++)
		printf("%s %s %s\n", route->method, route->path, route->operation_id);
}
