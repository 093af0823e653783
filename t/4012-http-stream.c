/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that an upgrade makes: both ways, half-closed, refused, broken, slow, many, over TLS. */
#include "fake/harness.h"
#include "fake/http_peer.h"

#include "http/tls.h"
#include "loop/http_stream.h"

#include <dirent.h>

#define MANY 200
#define LOAD (8 << 20)

static struct rig rig;
static struct http_streams *streams;

struct session {
	struct gantry_stream *stream;
	bool open, done, drained, returned, early;
	int ends, code, status;
	struct str got, body;
	char text[512];
	size_t taken;       /* of data, where it is not kept */
	bool counts;        /* only counts */
	bool close_in_data; /* at the first data */
	bool pause_in_data;
};

static void on_open(void *arg)
{
	struct session *s = arg;

	s->open = true;
	s->early = s->early || !s->returned;
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct session *s = arg;

	s->taken += length;
	if (!s->counts)
		str_add_bytes(&s->got, data, length);
	if (s->close_in_data)
		http_stream_cancel(s->stream);
	if (s->pause_in_data)
		http_stream_pause(s->stream, true);
}

static void on_drain(void *arg)
{
	((struct session *)arg)->drained = true;
}

static void on_end(void *arg, const struct gantry_error *err, int status, const char *body,
		   size_t length)
{
	struct session *s = arg;

	s->done = true;
	s->early = s->early || !s->returned;
	s->ends++;
	s->code = err ? err->code : 0;
	s->status = status;
	snprintf(s->text, sizeof(s->text), "%s", err ? err->text : "");
	str_add_bytes(&s->body, body, length);
}

static void begin(struct session *s, const struct gantry_http_peer *peer, const char *path)
{
	const struct gantry_upgrade upgrade = {
		.peer = peer,
		.method = "POST",
		.path = path,
		.content_type = "application/json",
		.body = "{}",
		.body_length = 2,
		.reply_timeout_ms = str_equal(path, "/silent") ? 400 : 20000,
		.on_open = on_open,
		.on_data = on_data,
		.on_drain = on_drain,
		.on_end = on_end,
		.arg = s,
	};

	s->stream = http_stream_start(streams, &upgrade);
	s->returned = true;
}

static void clear(struct session *s)
{
	str_fini(&s->got);
	str_fini(&s->body);
	*s = (struct session){0};
}

static int wait_end(struct session *s)
{
	if (!rig_until(&rig, &s->done, 20000))
		bail_out("a stream has no end");
	return s->code;
}

static void wait_open(struct session *s)
{
	if (!rig_until(&rig, &s->open, 10000))
		bail_out("a stream does not open");
}

static void both_ways(const struct gantry_http_peer *peer)
{
	static const char *const paths[] = {"/upgrade", "/hijack", "/interim-upgrade"};
	struct session s = {0};

	for (size_t i = 0; i < 3; i++) {
		clear(&s);
		begin(&s, peer, paths[i]);
		ok(!http_stream_send(s.stream, "early", 5), "before it is open nothing is taken");
		wait_open(&s);
		ok(http_stream_send(s.stream, "one", 3), "%s opens", paths[i]);
		http_stream_send(s.stream, "", 0);
		http_stream_send(s.stream, " two", 4);
		is_int(http_stream_shutdown(s.stream), 0, "our side ends");
		ok(!http_stream_send(s.stream, "late", 4), "after which nothing is taken");
		is_int(wait_end(&s), 0, "the peer ends it");
		is_str(str_text(&s.got), "POST {};one two.",
		       "after it has answered all, the end of our side too");
		ok(!s.early && s.ends == 1, "nothing came from inside a call, and one end");
	}
	clear(&s);
}

static void late_peer(const struct gantry_http_peer *peer)
{
	static char block[1 << 20];
	struct session s = {0};
	char wanted[32];
	size_t sent = 0;
	bool keeps_up = true;

	begin(&s, peer, "/upgrade-lazy");
	wait_open(&s);
	while (keeps_up && sent < 4 * LOAD) {
		keeps_up = http_stream_send(s.stream, block, sizeof(block));
		sent += sizeof(block);
	}
	ok(!keeps_up && sent < 4 * LOAD, "a writer is told to wait after %zu bytes", sent);
	ok(rig_until(&rig, &s.drained, 10000), "and to go on");
	http_stream_send(s.stream, block, sizeof(block));
	sent += sizeof(block);
	http_stream_shutdown(s.stream);
	is_int(wait_end(&s), 0, "it ends");
	snprintf(wanted, sizeof(wanted), "%zu", sent);
	is_str(str_text(&s.got), wanted, "all has arrived before the end of our side");
	clear(&s);
}

/* A peer that reads late, and a reader that pauses. */
static void slow(const struct gantry_http_peer *peer)
{
	struct session s = {0};

	late_peer(peer);
	s.counts = s.pause_in_data = true;
	begin(&s, peer, "/upgrade-flood/8388608");
	wait_open(&s);
	rig_turn(&rig, 300);
	ok(s.taken <= 65536 && !s.done, "while paused no more than one read comes: %zu", s.taken);
	s.pause_in_data = false;
	http_stream_pause(s.stream, false);
	is_int(wait_end(&s), 0, "then it goes on to its end");
	is_int((int)s.taken, LOAD, "with every byte");
	clear(&s);
}

static void failures(const struct gantry_http_peer *peer)
{
	const struct gantry_http_peer nobody = {.base_url = "http://127.0.0.1:1"};
	const struct gantry_http_peer no_socket = {.base_url = "http://x",
						   .unix_socket = "/nowhere/x.sock"};
	static const struct {
		const char *path, *text;
		int code, status;
	} rows[] = {
		{"/refused", "", 0, 409},
		{"/refused-chunked", "", 0, 404},
		{"/nothing", "before the answer", -ECONNRESET, 0},
		{"/garbage", "not an answer", -EPROTO, 0},
		{"/silent", "no answer within 400 ms", -ETIMEDOUT, 0},
		{"/upgrade-cut", "broke", -ECONNRESET, 101},
	};
	struct session s = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		clear(&s);
		begin(&s, peer, rows[i].path);
		is_int(wait_end(&s), rows[i].code, "%s ends as it should", rows[i].path);
		is_int(s.status, rows[i].status, "with its status");
		like(s.text, rows[i].text, "and words");
		ok(s.open == (rows[i].status == 101), "open where it was");
		if (i == 0)
			is_str(str_text(&s.body), "{\"message\":\"not running\"}",
			       "a refusal says why");
	}
	clear(&s);
	begin(&s, &nobody, "/upgrade");
	is_int(wait_end(&s), -ECONNREFUSED, "nobody listens");
	ok(!s.early, "which is told later");
	clear(&s);
	begin(&s, &no_socket, "/upgrade");
	is_int(wait_end(&s), -ENOENT, "there is no socket");
	clear(&s);
}

static void cancels(const struct gantry_http_peer *peer)
{
	struct session s = {0};

	begin(&s, peer, "/upgrade");
	http_stream_cancel(s.stream);
	http_stream_cancel(s.stream);
	is_int(wait_end(&s), -ECANCELED, "cancelled at once");
	ok(!s.early && s.ends == 1, "with one end, later");
	clear(&s);
	begin(&s, peer, "/silent");
	rig_turn(&rig, 50);
	http_stream_cancel(s.stream);
	is_int(wait_end(&s), -ECANCELED, "cancelled while it asks");
	clear(&s);
	s.close_in_data = true;
	begin(&s, peer, "/upgrade-flood/8388608");
	is_int(wait_end(&s), -ECANCELED, "cancelled from on_data");
	ok(s.taken <= 65536, "no data comes after that: %zu", s.taken);
	clear(&s);
	begin(&s, peer, "/upgrade-flood/8388608");
	http_stream_pause(s.stream, true);
	wait_open(&s);
	http_stream_cancel(s.stream);
	is_int(wait_end(&s), -ECANCELED, "cancelled while paused");
	clear(&s);
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void many(const struct gantry_http_peer *peer)
{
	static struct session all[MANY];
	int before = descriptors(), good = 0;

	for (int i = 0; i < MANY; i++)
		begin(&all[i], peer, "/upgrade");
	for (int i = 0; i < MANY; i++) {
		wait_open(&all[i]);
		http_stream_send(all[i].stream, "x", 1);
	}
	is_int((int)http_streams_pending(streams), MANY, "as many at a time as one likes");
	for (int i = 0; i < MANY; i++) {
		if (i % 2)
			http_stream_shutdown(all[i].stream);
		else
			http_stream_cancel(all[i].stream);
	}
	for (int i = 0; i < MANY; i++) {
		int code = wait_end(&all[i]);

		good += i % 2 ? code == 0 && str_equal(str_text(&all[i].got), "POST {};x.")
			      : code == -ECANCELED;
		clear(&all[i]);
	}
	is_int(good, MANY, "each ends as it was told to");
	is_int(descriptors(), before, "no descriptor is left");
	is_int((int)http_streams_pending(streams), 0, "nothing is pending");
}

static void tls(void)
{
	struct peer peer = {0};
	struct session s = {0};
	char files[3][128];
	static const char *const names[] = {"good.pem", "good-leaf.pem", "good-leaf.key"};

	make_authority(rig.folder, "good");
	for (int i = 0; i < 3; i++)
		snprintf(files[i], sizeof(files[i]), "%s/%s", rig.folder, names[i]);
	start_peer(&peer, "localhost", "tls", files[1], files[2], NULL);
	begin(&s, &peer.peer, "/upgrade");
	is_int(wait_end(&s), -EACCES, "TLS that is not trusted is refused");
	clear(&s);
	peer.peer.ca_file = files[0];
	begin(&s, &peer.peer, "/upgrade");
	wait_open(&s);
	http_stream_send(s.stream, "one", 3);
	while (s.got.length < strlen("POST {};one") && !s.done)
		rig_turn(&rig, 10);
	is_str(str_text(&s.got), "POST {};one", "over TLS bytes go both ways");
	http_stream_send(s.stream, "two", 3);
	is_int(http_stream_shutdown(s.stream), 0, "our side ends");
	ok(!http_stream_send(s.stream, "three", 5), "nothing more is sent");
	is_int(wait_end(&s), 0, "theirs ends in order");
	is_str(str_text(&s.got), "POST {};onetwo.", "after all that was to come");
	clear(&s);
	late_peer(&peer.peer);
	s.counts = s.pause_in_data = true;
	begin(&s, &peer.peer, "/upgrade-flood/8388608");
	wait_open(&s);
	rig_turn(&rig, 200);
	s.pause_in_data = false;
	http_stream_pause(s.stream, false);
	is_int(wait_end(&s), 0, "a flood that was paused comes to its end");
	is_int((int)s.taken, LOAD, "with every byte");
	clear(&s);
	stop_peer(&peer);
}

int main(void)
{
	struct peer peer = {0};

	signal(SIGPIPE, SIG_IGN);
	rig_open(&rig);
	is_int(http_streams_open(&rig.loop, tls_end, &streams), 0, "streams");
	start_peer(&peer, "127.0.0.1", "plain", NULL, NULL, NULL);
	both_ways(&peer.peer);
	slow(&peer.peer);
	failures(&peer.peer);
	cancels(&peer.peer);
	many(&peer.peer);
	stop_peer(&peer);
	tls();
	http_streams_close(streams);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
