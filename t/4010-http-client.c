/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: good answers, bad ones, none, cancels, and TLS that is verified. */
#include "fake/harness.h"
#include "fake/http_peer.h"

#include "loop/http_client.h"

static struct rig rig;
static struct http_client *client;

struct exchange {
	bool done, started;
	int ends, code, status;
	struct str body, pieces;
	char text[512];
	int empty_pieces, limit; /* on_data refuses after so many pieces; 0: never */
	bool cancel_in_data, start_in_done, pause_in_data;
	struct gantry_http *http;
	bool returned, early; /* the end came before the call had returned */
};

static int on_data(void *arg, int status, const char *data, size_t length)
{
	struct exchange *e = arg;

	if (length == 0) {
		e->empty_pieces++;
		e->status = status;
		return 0;
	}
	e->started = true;
	str_add_bytes(&e->pieces, data, length);
	if (e->cancel_in_data) {
		http_client_cancel(e->http);
		return 0;
	}
	if (e->pause_in_data)
		http_client_pause(e->http, true);
	return e->limit && --e->limit == 0 ? -EPIPE : 0;
}

static void begin(struct exchange *e, const struct gantry_http_request *request);

static void on_done(void *arg, const struct gantry_error *err, int status, const char *body,
		    size_t length)
{
	struct exchange *e = arg;

	e->done = true;
	e->early = !e->returned;
	e->ends++;
	e->code = err ? err->code : 0;
	e->status = status;
	snprintf(e->text, sizeof(e->text), "%s", err ? err->text : "");
	str_add_bytes(&e->body, body, length);
}

static void begin(struct exchange *e, const struct gantry_http_request *request)
{
	struct gantry_http_request whole = *request;

	whole.on_done = on_done;
	whole.arg = e;
	e->http = http_client_start(client, &whole);
	e->returned = true;
}

static void clear(struct exchange *e)
{
	str_fini(&e->body);
	str_fini(&e->pieces);
	*e = (struct exchange){0};
}

static int wait_end(struct exchange *e)
{
	if (!rig_until(&rig, &e->done, 10000))
		bail_out("an exchange has no end");
	return e->code;
}

static int get(struct exchange *e, struct gantry_http_peer *peer, const char *path)
{
	struct gantry_http_request request = {.peer = peer, .method = "GET", .path = path};

	clear(e);
	begin(e, &request);
	return wait_end(e);
}

static void answers(struct peer *peer)
{
	struct exchange e = {0};
	struct gantry_http_request request = {.peer = &peer->peer,
					      .method = "POST",
					      .path = "/post",
					      .headers = "X-Test: a b\nX-Other: c",
					      .content_type = "text/x",
					      .body = "body",
					      .body_length = 4};

	is_int(get(&e, &peer->peer, "/ok"), 0, "GET");
	is_int(e.status, 200, "its status");
	is_str(str_text(&e.body), "fine", "its body");
	ok(!e.early, "the end comes after the call returned");
	clear(&e);
	begin(&e, &request);
	is_int(wait_end(&e), 0, "POST");
	is_str(str_text(&e.body), "body|text/x|a b", "with body, type and headers");
	clear(&e);
	request = (struct gantry_http_request){
		.peer = &peer->peer, .method = "POST", .path = "/post"};
	begin(&e, &request);
	is_int(wait_end(&e), 0, "POST of nothing");
	is_str(str_text(&e.body), "|none|none", "has no type of its own");
	is_int(get(&e, &peer->peer, "/missing"), 0, "a 404 is a whole reply");
	is_int(e.status, 404, "told by its status");
	is_str(str_text(&e.body), "{\"message\":\"no\"}", "with its body");
	is_int(get(&e, &peer->peer, "/split"), 0, "chunks cut byte by byte");
	is_str(str_text(&e.body), "abcde", "are put together");
	get(&e, &peer->peer, "/count");
	ok(atoi(str_text(&e.body)) > 5, "the connection was kept: %s requests", str_text(&e.body));
	clear(&e);
	request = (struct gantry_http_request){
		.peer = &peer->peer, .method = "GET", .path = "/interim", .on_data = on_data};
	begin(&e, &request);
	is_int(wait_end(&e), 0, "an interim answer is passed over");
	is_int(e.empty_pieces, 1, "on_data hears of the headers once");
	is_str(str_text(&e.pieces), "after", "then of the body");
	is_str(str_text(&e.body), "", "which is not kept");
	clear(&e);
	request.path = "/missing";
	begin(&e, &request);
	is_int(wait_end(&e), 0, "with on_data, a 404");
	ok(e.empty_pieces == 0 && e.body.length > 0, "is not streamed but kept");
	clear(&e);
	request =
		(struct gantry_http_request){.peer = &peer->peer, .method = "HEAD", .path = "/ok"};
	begin(&e, &request);
	is_int(wait_end(&e), 0, "HEAD has no body to wait for");
	clear(&e);
}

static void failures(struct peer *peer)
{
	struct gantry_http_peer nobody = {.base_url = "http://127.0.0.1:1"};
	struct gantry_http_peer no_socket = {.base_url = "http://x",
					     .unix_socket = "/nowhere/x.sock"};
	struct gantry_http_peer no_url = {.base_url = "gopher://x"};
	struct gantry_http_request request = {
		.peer = &peer->peer, .method = "GET", .path = "/big/5000"};
	struct gantry_http_request silent = {
		.peer = &peer->peer, .method = "GET", .path = "/silent", .stall_timeout_ms = 400};
	struct gantry_http_request slow = {
		.peer = &peer->peer, .method = "GET", .path = "/slow", .stall_timeout_ms = 700};
	struct exchange e = {0};

	is_int(get(&e, &peer->peer, "/half"), -ECONNRESET, "a body that breaks off: -ECONNRESET");
	is_int(get(&e, &peer->peer, "/nothing"), -ECONNRESET, "no answer: -ECONNRESET");
	is_int(get(&e, &peer->peer, "/garbage"), -EPROTO, "no HTTP: -EPROTO");
	clear(&e);
	begin(&e, &silent);
	is_int(wait_end(&e), -ETIMEDOUT, "a stall: -ETIMEDOUT");
	like(e.text, "0.400 s", "the error says how long");
	clear(&e);
	begin(&e, &slow);
	is_int(wait_end(&e), 0, "what is slow but not quiet does not stall");
	is_int(get(&e, &nobody, "/"), -ECONNREFUSED, "nobody there: -ECONNREFUSED");
	is_int(get(&e, &no_socket, "/"), -ENOENT, "no socket: -ENOENT");
	like(e.text, "/nowhere/x.sock", "the error names it");
	is_int(get(&e, &no_url, "/"), -EINVAL, "no URL: -EINVAL");
	clear(&e);
	request.reply_max = 4999;
	begin(&e, &request);
	is_int(wait_end(&e), -EFBIG, "a reply over its limit: -EFBIG");
	clear(&e);
	request.reply_max = 5000;
	begin(&e, &request);
	is_int(wait_end(&e), 0, "at its limit");
	clear(&e);
	request.path = "/slow";
	request.total_timeout_ms = 200;
	begin(&e, &request);
	is_int(wait_end(&e), -ETIMEDOUT, "a limit on the whole: -ETIMEDOUT");
	clear(&e);
}

static void kept_connections(struct peer *peer)
{
	struct gantry_http_request request = {
		.peer = &peer->peer, .method = "POST", .path = "/die-once"};
	struct exchange e = {0};

	/* the connections of before are gone with a client of its own */
	http_client_close(client);
	http_client_open(&rig.loop, &client);
	begin(&e, &request);
	is_int(wait_end(&e), 0, "a first POST");
	clear(&e);
	begin(&e, &request);
	is_int(wait_end(&e), -ECONNRESET,
	       "a POST on a kept connection that breaks is not sent again");
	clear(&e);
	request.method = "GET";
	begin(&e, &request);
	wait_end(&e);
	clear(&e);
	begin(&e, &request);
	is_int(wait_end(&e), 0, "a GET is");
	clear(&e);
}

static void cancels(struct peer *peer)
{
	struct gantry_http_request request = {
		.peer = &peer->peer, .method = "GET", .path = "/stream", .on_data = on_data};
	struct exchange e = {0};

	begin(&e, &request);
	http_client_cancel(e.http);
	ok(!e.done, "a cancel is a request");
	is_int(wait_end(&e), -ECANCELED, "at once: -ECANCELED");
	clear(&e);
	begin(&e, &request);
	rig_until(&rig, &e.started, 5000);
	http_client_cancel(e.http);
	http_client_cancel(e.http);
	is_int(wait_end(&e), -ECANCELED, "amid the stream, twice: -ECANCELED");
	rig_turn(&rig, 30);
	is_int(e.ends, 1, "one end");
	clear(&e);
	e.cancel_in_data = true;
	begin(&e, &request);
	is_int(wait_end(&e), -ECANCELED, "from inside on_data");
	clear(&e);
	e.limit = 3;
	begin(&e, &request);
	is_int(wait_end(&e), -EPIPE, "what on_data answers ends it");
	is_int(e.status, 200, "with the status that came");
	clear(&e);
	is_int(http_client_pending(client), 0, "nothing is under way");
}

static void many(struct peer *peer)
{
	static struct exchange all[100];
	struct gantry_http_request request = {.peer = &peer->peer, .method = "GET", .path = "/ok"};
	int good = 0;

	for (int i = 0; i < 100; i++)
		begin(&all[i], &request);
	is_int(http_client_pending(client), 100, "100 at once");
	for (int i = 0; i < 100; i++) {
		wait_end(&all[i]);
		good += all[i].code == 0 && strcmp(str_text(&all[i].body), "fine") == 0;
		clear(&all[i]);
	}
	is_int(good, 100, "each has its answer");
}

/* --- TLS --- */

static void tls(void)
{
	struct peer peer = {0}, mutual = {0};
	struct exchange e = {0};
	char files[8][128];
	static const char *const names[] = {"good.pem", "good-leaf.pem", "good-leaf.key",
					    "bad.pem",  "bad-leaf.pem",  "bad-leaf.key"};

	make_authority(rig.folder, "good");
	make_authority(rig.folder, "bad");
	for (int i = 0; i < 6; i++)
		snprintf(files[i], sizeof(files[i]), "%s/%s", rig.folder, names[i]);
	start_peer(&peer, "localhost", "tls", files[1], files[2], NULL);
	peer.peer.ca_file = files[0];
	is_int(get(&e, &peer.peer, "/ok"), 0, "TLS with the right authority");
	peer.peer.ca_file = files[3];
	is_int(get(&e, &peer.peer, "/ok"), -EACCES, "the wrong authority: -EACCES");
	like(e.text, "certificate", "the error says so");
	peer.peer.ca_file = NULL;
	is_int(get(&e, &peer.peer, "/ok"), -EACCES,
	       "the system's authorities do not know it: -EACCES");
	peer.peer.ca_file = "/nowhere/ca.pem";
	is_int(get(&e, &peer.peer, "/ok"), -EACCES, "no such file: -EACCES");
	peer.peer.ca_file = files[0];
	memcpy(strstr(peer.url, "localhost"), "127.0.0.1", 9);
	is_int(get(&e, &peer.peer, "/ok"), -EACCES, "another name than the certificate's: -EACCES");
	peer.peer.insecure = true;
	is_int(get(&e, &peer.peer, "/ok"), 0, "unless the operator turns it off by name");
	stop_peer(&peer);

	start_peer(&mutual, "localhost", "tls", files[1], files[2], files[0]);
	mutual.peer.ca_file = files[0];
	ok(get(&e, &mutual.peer, "/ok") == -EACCES || e.code == -ECONNRESET,
	   "a server that wants our certificate refuses us without: %s", e.text);
	mutual.peer.certificate_file = files[1];
	mutual.peer.key_file = files[2];
	is_int(get(&e, &mutual.peer, "/ok"), 0, "and takes us with it");
	mutual.peer.certificate_file = files[4];
	mutual.peer.key_file = files[5];
	ok(get(&e, &mutual.peer, "/ok") == -EACCES || e.code == -ECONNRESET,
	   "not with one of another authority: %s", e.text);
	stop_peer(&mutual);
	clear(&e);
}

/* Lets the loop turn for so long, or until the end of the exchange: false. */
static bool goes_on(struct exchange *e, int64_t ms)
{
	return !rig_until(&rig, &e->done, ms);
}

static void wait_start(struct exchange *e)
{
	if (!rig_until(&rig, &e->started, 10000))
		bail_out("nothing comes: %s", e->text);
}

static void pauses(struct peer *peer)
{
	struct exchange e = {0};
	struct gantry_http_request request = {.peer = &peer->peer,
					      .method = "GET",
					      .path = "/big/3000000",
					      .stall_timeout_ms = 2000,
					      .on_data = on_data};
	size_t had;
	int rounds = 0;

	e.pause_in_data = true;
	begin(&e, &request);
	wait_start(&e);
	had = e.pieces.length;
	ok(goes_on(&e, 2500), "a pause outlasts the stall timeout: %s", e.text);
	ok(e.pieces.length == had, "nothing comes meanwhile: %zu after %zu", e.pieces.length, had);
	http_client_pause(e.http, false);
	http_client_pause(e.http, true);
	ok(goes_on(&e, 50) && e.pieces.length == had, "nor where it is paused again at once");
	while (!e.done && rounds++ < 1000) { /* one piece a round, as each pauses anew */
		e.started = false;
		http_client_pause(e.http, false);
		for (int i = 0; i < 1000 && !e.started && !e.done; i++)
			rig_until(&rig, &e.started, 10);
	}
	is_int(e.done ? e.code : -1, 0, "it ends well after %d rounds", rounds);
	is_int((int64_t)e.pieces.length, 3000000, "with every byte");
	ok(rounds > 50, "in pieces");
	request.stall_timeout_ms = 0;

	clear(&e);
	e.pause_in_data = true;
	begin(&e, &request);
	wait_start(&e);
	e.limit = 1;
	http_client_pause(e.http, false);
	is_int(wait_end(&e), -EPIPE, "a reader may end it with the piece that was kept");

	clear(&e);
	e.pause_in_data = true;
	begin(&e, &request);
	wait_start(&e);
	http_client_cancel(e.http);
	is_int(wait_end(&e), -ECANCELED, "it can be cancelled while it is paused");

	clear(&e);
	begin(&e, &request);
	http_client_pause(e.http, true);
	ok(goes_on(&e, 300) && !e.pieces.length, "it may be paused before it began");
	e.pause_in_data = false;
	http_client_pause(e.http, false);
	is_int(wait_end(&e), 0, "and goes on");
	is_int((int64_t)e.pieces.length, 3000000, "with every byte");

	clear(&e);
	request.path = "/stream";
	e.pause_in_data = true;
	begin(&e, &request);
	wait_start(&e);
	e.pause_in_data = false;
	e.started = false;
	ok(goes_on(&e, 300), "chunks of a stream wait too");
	http_client_pause(e.http, false);
	wait_start(&e);
	ok(strncmp(str_text(&e.pieces), "tick\ntick\ntick\n", 15) == 0, "and come in order");
	http_client_cancel(e.http);
	wait_end(&e);
	is_int(get(&e, &peer->peer, "/ok"), 0, "another exchange is not paused");
	clear(&e);
}

int main(void)
{
	struct peer peer = {0};

	signal(SIGPIPE, SIG_IGN);
	rig_open(&rig);
	is_int(http_client_open(&rig.loop, &client), 0, "a client");
	start_peer(&peer, "127.0.0.1", "plain", NULL, NULL, NULL);
	answers(&peer);
	failures(&peer);
	kept_connections(&peer);
	cancels(&peer);
	pauses(&peer);
	many(&peer);
	stop_peer(&peer);
	tls();
	http_client_close(client);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
