/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads: bodies that are given in pieces, faster or slower than the peer takes them. */
#include "fake/harness.h"
#include "fake/http_peer.h"

#include "base/hash.h"
#include "loop/http_client.h"

#define PIECE_BYTES 65536

static struct rig rig;
static struct http_client *client;

struct upload {
	bool done;
	int ends, code, status, drains;
	char body[256], text[512];
	struct gantry_http *http;
	size_t pieces, piece; /* how many, which is next */
	size_t most_at_once;  /* pieces that were taken without a rest */
	bool refused;         /* the last write returned false */
	struct hash hash;
};

static void give(struct upload *u)
{
	static char data[PIECE_BYTES];
	size_t first = u->piece;

	u->refused = false;
	while (u->piece < u->pieces && !u->refused) {
		memset(data, (int)u->piece++, sizeof(data));
		hash_add(&u->hash, data, sizeof(data));
		u->refused = !http_client_write(u->http, data, sizeof(data));
	}
	if (u->piece - first > u->most_at_once)
		u->most_at_once = u->piece - first;
	if (u->piece == u->pieces)
		http_client_write_end(u->http);
}

static void on_drain(void *arg)
{
	struct upload *u = arg;

	u->drains++;
	if (u->piece < u->pieces)
		give(u);
}

static void on_done(void *arg, const struct gantry_error *err, int status, const char *body,
		    size_t length)
{
	struct upload *u = arg;

	u->done = true;
	u->ends++;
	u->code = err ? err->code : 0;
	u->status = status;
	snprintf(u->text, sizeof(u->text), "%s", err ? err->text : "");
	snprintf(u->body, sizeof(u->body), "%.*s", (int)length, body);
}

static void begin(struct upload *u, struct peer *peer, const char *method, const char *path,
		  size_t pieces)
{
	struct gantry_http_request request = {
		.peer = &peer->peer,
		.method = method,
		.path = path,
		.content_type = "application/x-tar",
		.stall_timeout_ms = 500,
		.on_done = on_done,
		.arg = u,
	};

	*u = (struct upload){.pieces = pieces};
	hash_init(&u->hash);
	u->http = http_client_upload(client, &request, on_drain);
}

static int wait_end(struct upload *u)
{
	if (!rig_until(&rig, &u->done, 10000))
		bail_out("an upload has no end");
	return u->code;
}

static void expect_hash(struct upload *u, const char *method)
{
	unsigned char digest[HASH_BYTES];
	char hex[2 * HASH_BYTES + 1], text[128];

	hash_end(&u->hash, digest);
	hash_hex(digest, sizeof(digest), hex);
	snprintf(text, sizeof(text), "%s %zu %s", method, u->pieces * PIECE_BYTES, hex);
	is_str(u->body, text, "it has it byte for byte");
}

static void whole(struct peer *peer)
{
	struct upload u;

	begin(&u, peer, "POST", "/upload", 64);
	give(&u);
	is_int(wait_end(&u), 0, "4 MiB, given as the peer takes them");
	expect_hash(&u, "POST");
	begin(&u, peer, "PUT", "/upload-lazy", 64);
	give(&u);
	is_int(wait_end(&u), 0, "to a peer that reads later");
	expect_hash(&u, "PUT");
	ok(u.most_at_once < 16, "no more than it takes is kept: %zu pieces at once",
	   u.most_at_once);
	ok(u.drains > 1, "it is told each time that it may go on");
	begin(&u, peer, "POST", "/upload", 0);
	give(&u);
	is_int(wait_end(&u), 0, "nothing");
	expect_hash(&u, "POST");
}

static void slow_giver(struct peer *peer)
{
	struct upload u;

	begin(&u, peer, "POST", "/upload", 3);
	while (u.piece < u.pieces) {
		rig_turn(&rig, 300); /* in all longer than the stall timeout */
		hash_add(&u.hash, "x", 1);
		ok(http_client_write(u.http, "x", 1), "a byte now and then");
		u.piece++;
	}
	rig_turn(&rig, 50);
	ok(!u.done, "the peer waits for the end");
	http_client_write_end(u.http);
	is_int(wait_end(&u), 0, "it is no stall");
	like(u.body, "POST 3 ", "all of it arrived");
	ok(u.status == 200, "and was answered");
}

static void refusals(struct peer *peer)
{
	struct upload u;

	begin(&u, peer, "POST", "/upload-refused", 1000);
	http_client_write(u.http, "first", 5);
	is_int(wait_end(&u), 0, "refused amid it: a whole reply");
	is_int(u.status, 400, "told by its status");
	is_str(u.body, "{\"message\":\"no\"}", "with its body");
	begin(&u, peer, "POST", "/upload-cut", 1000);
	give(&u);
	ok(wait_end(&u) < 0, "cut amid it: %s", u.text);
	begin(&u, peer, "POST", "/upload", 1000);
	http_client_write(u.http, "x", 1);
	rig_turn(&rig, 50);
	http_client_cancel(u.http);
	ok(!http_client_write(u.http, "x", 1), "after a cancel nothing more is taken");
	is_int(wait_end(&u), -ECANCELED, "cancelled amid it");
	is_int(u.ends, 1, "one end");
	begin(&u, peer, "POST", "/silent", 1);
	give(&u);
	is_int(wait_end(&u), -ETIMEDOUT, "no answer to all of it is a stall");
}

static void unreachable(void)
{
	struct peer nobody = {.peer = {.base_url = "http://127.0.0.1:1"}};
	struct upload u;

	begin(&u, &nobody, "POST", "/upload", 4);
	give(&u);
	is_int(wait_end(&u), -ECONNREFUSED, "nobody there");
}

int main(void)
{
	struct peer peer;

	rig_open(&rig);
	start_peer(&peer, "127.0.0.1", "plain", NULL, NULL, NULL);
	if (http_client_open(&rig.loop, &client) < 0)
		bail_out("no client");
	whole(&peer);
	slow_giver(&peer);
	refusals(&peer);
	unreachable();
	http_client_close(client);
	stop_peer(&peer);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
