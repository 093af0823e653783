/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claim of the docker plugin: held, refused by a holder that lives, taken over from one that is dead,
 * restored, lost. Each party is a node of its own on one fake engine, as if it were a daemon of its own.
 */
#include "fake/harness.h"

#define VOLUME "gantry.claim." RIG_OWNER
#define ASK    "gantry.ask." RIG_OWNER

#ifdef GANTRY_SANITIZED
#define WAIT_MS  1500
#define SHORT    "800ms"
#define SHORT_MS 800
#else
#define WAIT_MS  500
#define SHORT    "200ms"
#define SHORT_MS 200
#endif

/* One that wants the engine. */
struct party {
	struct rig *rig;
	void *node;
	struct gantry_claim claim;
	struct gantry_op *op;
	bool held, over, news; /* news: held or over */
	int times_held, code;
	int64_t asked_us, news_us;
	struct gantry_error err;
};

static void note_news(struct party *p)
{
	if (!p->news)
		p->news_us = clock_monotonic_us();
	p->news = true;
}

static void on_held(void *arg)
{
	struct party *p = arg;

	p->held = true;
	p->times_held++;
	note_news(p);
}

static void on_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct party *p = arg;

	(void)result;
	p->over = true;
	p->op = NULL;
	p->code = err ? err->code : 0;
	if (err)
		p->err = *err;
	note_news(p);
}

/* stall_timeout: NULL: the plugin's. */
static void party_open_patient(struct party *p, struct rig *rig, const char *owner,
			       const char *daemon, const char *holder, const char *stall_timeout)
{
	struct json_object *values = json_object_new_object();
	struct gantry_error err;
	char wait[16];

	*p = (struct party){
		.rig = rig,
		.claim = {.daemon = daemon, .holder = holder, .held = on_held, .arg = p},
	};
	snprintf(wait, sizeof(wait), "%dms", WAIT_MS);
	json_add_string(values, "endpoint", rig->endpoint);
	json_add_string(values, "claim_wait", wait);
	if (stall_timeout)
		json_add_string(values, "stall_timeout", stall_timeout);
	if (plugin_node_open(rig->plugin, daemon, values, owner, &p->node, &err) < 0)
		bail_out("%s", err.text);
	json_object_put(values);
}

static void party_open(struct party *p, struct rig *rig, const char *owner, const char *daemon,
		       const char *holder)
{
	party_open_patient(p, rig, owner, daemon, holder, NULL);
}

static void begin(struct party *p)
{
	p->held = p->over = p->news = false;
	p->times_held = p->code = 0;
	p->asked_us = clock_monotonic_us();
	p->op = op_new(&p->rig->scope, "hold", on_over, p);
	p->rig->runtime->claim(p->node, &p->claim, p->op);
}

/* As begin, and waits until it is held or over. */
static void take(struct party *p)
{
	begin(p);
	if (!rig_until(p->rig, &p->news, 20000))
		bail_out("a claim has no end");
}

static int64_t took_ms(const struct party *p)
{
	return (p->news_us - p->asked_us) / 1000;
}

static void let_go(struct party *p)
{
	if (p->op)
		op_cancel(p->op);
	if (!rig_until(p->rig, &p->over, 5000))
		bail_out("a cancel does not end it");
}

/* The daemon that the volume names; "" where there is no such volume. */
static const char *named_by(struct rig *rig, const char *volume)
{
	static char daemon[64];
	char path[160], *answer;
	struct json_object *object;

	snprintf(path, sizeof(path), "/volumes/%s", volume);
	answer = rig_ask(rig, "GET", path, NULL, NULL);
	object = json_tokener_parse(answer);
	snprintf(daemon, sizeof(daemon), "%s",
		 json_get_string(json_get(object, "Labels"), "gantry.daemon", ""));
	json_object_put(object);
	free(answer);
	return daemon;
}

/* Turns the loop until the volume names the daemon ("": until it is gone). */
static bool comes_to(struct rig *rig, const char *volume, const char *daemon)
{
	int64_t end_us = clock_monotonic_us() + 10000000;

	while (strcmp(named_by(rig, volume), daemon) != 0) {
		if (clock_monotonic_us() > end_us)
			return false;
		rig_turn(rig, 10);
	}
	return true;
}

static void make_volume(struct rig *rig, const char *volume, const char *daemon)
{
	char body[256];

	snprintf(body, sizeof(body),
		 "{\"Name\":\"%s\",\"Labels\":{\"gantry.daemon\":\"%s\",\"gantry.holder\":\"%s\"}}",
		 volume, daemon, daemon);
	free(rig_ask(rig, "POST", "/volumes/create", body, NULL));
}

static void held_and_refused(struct rig *rig, struct party *a, struct party *b)
{
	struct party other, again, copy;
	int64_t creates = rig_calls(rig, "POST /volumes/create");

	take(a);
	ok(a->held, "an engine that nobody has is held");
	is_str(named_by(rig, VOLUME), "a", "its volume names the daemon");
	ok(comes_to(rig, ASK, ""), "nobody asks");
	rig_turn(rig, 100);
	is_int(rig_calls(rig, "POST /volumes/create") - creates, 2,
	       "taken, and looked at again once the events come: no more");

	take(b);
	is_int(b->code, -EBUSY, "another daemon with the same owner is refused: -EBUSY");
	ok(!b->held, "and held nothing");
	ok(took_ms(b) < WAIT_MS, "at once, not after the wait (%lld ms)", (long long)took_ms(b));
	like(b->err.text, "owner " RIG_OWNER " (host a, store /a)", "it is told who has it");
	is_str(named_by(rig, ASK), "", "no ask is left");
	is_str(named_by(rig, VOLUME), "a", "the claim is as it was");
	ok(a->held && !a->over, "the holder goes on");

	party_open(&other, rig, RIG_OWNER "-2", "o", "host o");
	take(&other);
	ok(other.held && !a->over, "another owner holds the engine beside it");
	let_go(&other);
	rig->runtime->node_close(other.node);

	party_open(&copy, rig, RIG_OWNER, "a", "host b, store /copy");
	take(&copy);
	is_int(copy.code, -EBUSY, "a copy of the store elsewhere is another daemon");
	rig->runtime->node_close(copy.node);

	let_go(a);
	is_int(a->code, -ECANCELED, "a cancel ends it: -ECANCELED");
	is_str(named_by(rig, VOLUME), "a", "the volume stays");
	creates = rig_calls(rig, "POST /volumes/create");
	party_open(&again, rig, RIG_OWNER, "a", "host a, store /a");
	take(&again);
	ok(again.held, "the same daemon, started again, holds it");
	ok(took_ms(&again) < WAIT_MS, "at once (%lld ms)", (long long)took_ms(&again));
	let_go(&again);
	rig->runtime->node_close(again.node);
}

static void taken_over(struct rig *rig, struct party *a, struct party *b)
{
	take(b);
	ok(b->held, "a holder that is dead is followed by another");
	ok(took_ms(b) >= WAIT_MS, "after the wait (%lld ms)", (long long)took_ms(b));
	is_str(named_by(rig, VOLUME), "b", "the volume names the new one");
	is_str(named_by(rig, ASK), "", "no ask is left");
	take(a);
	is_int(a->code, -EBUSY, "the one before is refused now");
	let_go(b);

	/* of two that wait for a dead one, one wins */
	make_volume(rig, ASK, "killed-while-it-asked");
	free(rig_ask(rig, "DELETE", "/volumes/" VOLUME, NULL, NULL));
	make_volume(rig, VOLUME, "dead");
	begin(a);
	begin(b);
	rig_until(rig, &a->news, 20000);
	rig_until(rig, &b->news, 20000);
	ok(a->held != b->held, "of two that ask at the same time one holds it");
	is_int(a->held ? b->code : a->code, -EBUSY, "the other is refused");
	is_str(named_by(rig, VOLUME), a->held ? "a" : "b", "the volume names the one");
	ok(comes_to(rig, ASK, ""), "an ask whose maker was killed is gone");
	rig_turn(rig, 100);
	ok(!(a->held && a->over) && !(b->held && b->over), "and it goes on holding");
	let_go(a->held ? a : b);
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));

	/* an answer that no event tells of */
	make_volume(rig, VOLUME, "lives");
	begin(a);
	ok(comes_to(rig, ASK, "a"), "it asks");
	rig_tell(rig, "/fake/mute-events", "{\"mute\":true}");
	free(rig_ask(rig, "DELETE", "/volumes/" ASK, NULL, NULL));
	rig_tell(rig, "/fake/mute-events", "{\"mute\":false}");
	rig_until(rig, &a->news, 20000);
	is_int(a->code, -EBUSY, "an answer whose event was lost counts when the wait is over");
	is_str(named_by(rig, VOLUME), "lives", "the claim is as it was");
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));
}

static void restored_and_lost(struct rig *rig, struct party *a, struct party *b)
{
	take(a);
	rig_turn(rig, 50);
	free(rig_ask(rig, "DELETE", "/volumes/" VOLUME, NULL, NULL));
	ok(comes_to(rig, VOLUME, "a"), "a claim that somebody removes is restored");
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));
	ok(comes_to(rig, VOLUME, "a"), "and one that is pruned");
	is_int(a->times_held, 1, "which is no news");
	make_volume(rig, ASK, "killed");
	ok(comes_to(rig, ASK, ""), "an ask is answered also where its maker has gone");

	/* as if it had slept */
	rig_tell(rig, "/fake/mute-events", "{\"mute\":true}");
	free(rig_ask(rig, "DELETE", "/volumes/" VOLUME, NULL, NULL));
	make_volume(rig, VOLUME, "thief");
	rig_tell(rig, "/fake/mute-events", "{\"mute\":false}");
	make_volume(rig, ASK, "anybody");
	ok(rig_until(rig, &a->over, 10000), "where another has it the claim ends");
	is_int(a->code, -EBUSY, "-EBUSY");
	like(a->err.text, "thief", "it says whose it is");
	is_str(named_by(rig, ASK), "anybody", "and answers nobody any more");
	is_str(named_by(rig, VOLUME), "thief", "the other's is left alone");
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));

	/* who asks before the events come is answered when they do */
	rig_fault(rig, "GET /events", "delay", 300, 1);
	take(a);
	ok(a->held, "held before the events come");
	take(b);
	is_int(b->code, -EBUSY, "who asks meanwhile is refused when they do");
	let_go(a);
	make_volume(rig, VOLUME, "dead");
	rig_fault(rig, "GET /events", "delay", 300, 1);
	take(b);
	ok(b->held, "nor is an ask made before its own events come");
	ok(took_ms(b) >= 300 + WAIT_MS, "the wait begins then (%lld ms)", (long long)took_ms(b));
	let_go(b);
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));
}

static void failures(struct rig *rig, struct party *a)
{
	rig_fault(rig, "POST /volumes/create", "500", 0, 1);
	take(a);
	is_int(a->code, -EIO, "an engine that makes no volume: -EIO");
	like(a->err.text, VOLUME ": docker: the fake engine was told to fail",
	     "with the volume's name and the engine's words");
	rig_fault(rig, "GET /events", "500", 0, 1);
	begin(a);
	ok(rig_until(rig, &a->over, 5000), "an engine without events ends it");
	take(a);
	rig_tell(rig, "/fake/disconnect-events", "{}");
	ok(rig_until(rig, &a->over, 5000), "a stream of events that breaks ends it");
	is_int(a->code, -EHOSTUNREACH, "-EHOSTUNREACH");
	rig_fault(rig, "GET /events", "split", 0, -1);
	take(a);
	free(rig_ask(rig, "DELETE", "/volumes/" VOLUME, NULL, NULL));
	ok(comes_to(rig, VOLUME, "a"), "messages may be cut anywhere");
	let_go(a);
	rig_no_faults(rig);

	begin(a);
	op_cancel(a->op);
	ok(rig_until(rig, &a->over, 5000) && !a->held, "a cancel at once ends it");
	is_int(a->code, -ECANCELED, "-ECANCELED");
	free(rig_ask(rig, "POST", "/volumes/prune", NULL, NULL));
	make_volume(rig, VOLUME, "dead");
	begin(a);
	ok(comes_to(rig, ASK, "a"), "it asks");
	let_go(a);
	is_int(a->code, -ECANCELED, "a cancel while it waits ends it");
	take(a);
	ok(a->held, "the ask that it left is in nobody's way");
	let_go(a);
}

/* Turns the loop until the engine has so many requests that hang. */
static bool hang(struct rig *rig, int64_t count)
{
	int64_t end_us = clock_monotonic_us() + 10000000;

	while (rig_state(rig, "struck") < count) {
		if (clock_monotonic_us() > end_us)
			return false;
		rig_turn(rig, 10);
	}
	return true;
}

/* The engine has a plugin that is dead: it looks long for a volume that is not there. */
static void slow_engine(struct rig *rig, struct party *b)
{
	struct party a;
	int64_t struck = rig_state(rig, "struck");

	party_open_patient(&a, rig, RIG_OWNER, "a", "host a, store /a", SHORT);
	rig_fault(rig, "DELETE /volumes/*", "hang", 0, 1);
	take(&a);
	ok(a.held && hang(rig, struck + 1), "an engine is held, and looks long for an ask");
	rig_turn(rig, SHORT_MS * 3);
	ok(!a.over, "it is not let go because of that");
	let_go(&a);
	rig->runtime->node_close(a.node);

	party_open(&a, rig, RIG_OWNER, "a", "host a, store /a");
	rig_fault(rig, "DELETE /volumes/*", "hang", 0, 1);
	take(&a);
	ok(a.held && hang(rig, struck + 2), "another time");
	take(b);
	is_int(b->code, -EBUSY, "who asks while it still does is answered");
	ok(took_ms(b) < WAIT_MS, "at once (%lld ms)", (long long)took_ms(b));
	ok(a.held && !a.over, "by the holder, that goes on");
	let_go(&a);
	rig->runtime->node_close(a.node);
	rig_no_faults(rig);
}

int main(void)
{
	struct rig rig;
	struct party a, b;

	rig_open(&rig);
	rig_engine(&rig);
	rig_load(&rig, "docker", NULL);
	party_open(&a, &rig, RIG_OWNER, "a", "host a, store /a");
	party_open(&b, &rig, RIG_OWNER, "b", "host b, store /b");
	held_and_refused(&rig, &a, &b);
	taken_over(&rig, &a, &b);
	restored_and_lost(&rig, &a, &b);
	failures(&rig, &a);
	slow_engine(&rig, &b);
	rig.runtime->node_close(a.node);
	rig.runtime->node_close(b.node);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
