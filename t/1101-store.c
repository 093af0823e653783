/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a good day: order of commits, group commit, every read and load, prune, close. */
#include "tap.h"
#include "storage.h"

#include <sys/stat.h>

/* --- order, and thousands at once --- */

#define BATCHES 5000

static size_t next_done, out_of_order, failed;

static void on_ordered(void *arg, const struct gantry_error *err)
{
	out_of_order += (size_t)arg != next_done++;
	failed += err != NULL;
}

static bool called_inside;

static void on_inside(void *arg, const struct gantry_error *err)
{
	(void)err;
	*(bool *)arg = true;
}

static void group_commit(void)
{
	struct storage *s = storage_open("group");
	struct rows rows = {0};

	ok(s->created, "a new file is told as new");
	for (size_t i = 0; i < BATCHES; i++) {
		struct store_batch *batch = store_batch_new(s->store);

		store_put_event(batch, (int64_t)i + 1, 1000 + (int64_t)i, i % 2 ? "odd" : "even",
				"{}");
		if (i % 3 == 0)
			store_put_fact(batch, "last", "x");
		store_batch_commit(batch, on_ordered, (void *)i);
	}
	is_int(next_done, 0, "nothing is told before the call has returned");
	loop_run(&s->loop);
	is_int(next_done, BATCHES, "the loop ends by itself once all %d are told", BATCHES);
	is_int(out_of_order, 0, "in the order of the commits");
	is_int(failed, 0, "all of them in");
	is_int(store_last_event(s->store), BATCHES, "the last event");
	store_batch_commit(store_batch_new(s->store), on_inside, &called_inside);
	ok(!called_inside, "an empty batch is not told at once either");
	loop_run(&s->loop);
	ok(called_inside, "but it is told");
	store_batch_commit(store_batch_new(s->store), NULL, NULL);
	store_read_events(s->store, BATCHES - 4, "odd", 100, rows_keep, &rows);
	loop_run(&s->loop);
	is_int(rows.count, 2, "events of one instance after a sequence");
	rows_fini(&rows);
	storage_close(s);
}

/* --- rows --- */

static int load_instance(void *arg, const char *id, const char *json)
{
	str_addf(arg, "%s=%s ", id, json);
	return 0;
}

static int refuse_instance(void *arg, const char *id, const char *json)
{
	(void)arg;
	(void)json;
	return str_equal(id, "b") ? -EPROTO : 0;
}

static int load_operation(void *arg, const struct store_operation *o)
{
	str_addf(arg, "%s/%s/%s/%s/%s/%s/%s/%s/%lld ", o->id, o->kind,
		 o->instance ? o->instance : "-", o->state, o->step ? o->step : "-",
		 o->idempotency_key ? o->idempotency_key : "-", o->actor ? o->actor : "-", o->json,
		 (long long)o->created_ms);
	return 0;
}

static void instances_and_facts(void)
{
	struct storage *s = storage_open("rows");
	struct store_batch *batch = store_batch_new(s->store);
	struct str text = STR_INIT;
	struct gantry_error err;
	char id[8] = "b", *fact;

	store_put_instance(batch, id, "{\"v\":1}");
	strcpy(id, "zz"); /* what was given is the caller's again */
	store_put_instance(batch, "a", "{}");
	store_put_instance(batch, "c", "{}");
	store_put_instance(batch, "b", "{\"v\":2}");
	store_delete_instance(batch, "c");
	store_delete_instance(batch, "never");
	store_put_fact(batch, "anchor", "17");
	store_put_fact(batch, "anchor", "18");
	store_put_fact(batch, "gone", "x");
	store_put_fact(batch, "gone", NULL);
	ok(storage_commit(s, batch) == 0, "a batch of many kinds");
	is_int(store_load_instances(s->store, load_instance, &text, &err), 0,
	       "instances are loaded");
	is_str(str_text(&text), "b={\"v\":2} a={} ",
	       "oldest first, as last put, without the deleted");
	is_int(store_load_instances(s->store, refuse_instance, NULL, &err), -EPROTO,
	       "a load ends where its caller says so");
	like(err.text, "loading stopped at b", "and tells where");
	fact = store_load_fact(s->store, "anchor");
	is_str(fact, "18", "a fact, as last put");
	free(fact);
	ok(!store_load_fact(s->store, "gone"), "a fact that was taken out");
	is_int(store_last_event(s->store) + store_last_decision(s->store), 0,
	       "no events, no decisions");
	str_fini(&text);
	storage_close(s);

	s = storage_open("rows");
	ok(!s->created, "an old file is told as old");
	fact = store_load_fact(s->store, "anchor");
	is_str(fact, "18", "and has what it had");
	free(fact);
	storage_close(s);
}

static void operations(void)
{
	struct storage *s = storage_open("operations");
	struct store_operation one = {"o1",  "spawn", "i1",        "running", "policy",
				      "key", "uid:0", "{\"x\":1}", 5};
	struct store_operation two = {"o2", "stop", NULL, "running", NULL, NULL, NULL, "{}", 6};
	struct store_operation twin = {"o3",  "spawn", "i1", "running", "policy",
				       "key", "uid:0", "{}", 7};
	struct store_batch *batch = store_batch_new(s->store);
	struct str text = STR_INIT;
	struct rows rows = {0};
	struct gantry_error err;

	store_put_operation(batch, &one);
	store_put_operation(batch, &two);
	is_int(storage_commit(s, batch), 0, "two operations");
	batch = store_batch_new(s->store);
	store_put_step(batch, "o1", "create");
	is_int(storage_commit(s, batch), 0, "a step");
	store_load_operations(s->store, 0, load_operation, &text, &err);
	is_str(str_text(&text),
	       "o1/spawn/i1/running/create/key/uid:0/{\"x\":1}/5 o2/stop/-/running/-/-/-/{}/6 ",
	       "both run; the step is the last one");
	one.state = "done";
	one.step = "announce";
	one.json = " {\"y\":\"z\"}";
	batch = store_batch_new(s->store);
	store_put_operation(batch, &one);
	is_int(storage_commit(s, batch), 0, "one ends");
	str_clear(&text);
	store_load_operations(s->store, 0, load_operation, &text, &err);
	is_str(str_text(&text), "o2/stop/-/running/-/-/-/{}/6 ",
	       "one that has ended is not loaded where none is asked for");
	str_clear(&text);
	store_load_operations(s->store, 1, load_operation, &text, &err);
	is_str(str_text(&text), "o2/stop/-/running/-/-/-/{}/6 ",
	       "nor is one that is not among the newest");
	str_clear(&text);
	store_load_operations(s->store, 2, load_operation, &text, &err);
	ok(str_starts_with(str_text(&text), "o1/spawn/i1/done/announce"),
	   "one that is among the newest is, in its place");

	batch = store_batch_new(s->store);
	store_put_operation(batch, &twin);
	is_int(storage_commit(s, batch), -EEXIST, "the same key of the same actor is refused");
	like(s->err.text, "is there already", "and told so");
	twin.actor = "uid:1";
	batch = store_batch_new(s->store);
	store_put_operation(batch, &twin);
	is_int(storage_commit(s, batch), 0, "of another actor it is another key");

	store_read_operations(s->store, NULL, 2, rows_keep, &rows);
	loop_run(&s->loop);
	is_int(rows.count, 2, "a read of operations keeps its limit");
	is_str(rows.items[0],
	       "{\"id\":\"o3\",\"kind\":\"spawn\",\"state\":\"running\",\"step\":\"policy\",\"instance\":\"i1\","
	       "\"actor\":\"uid:1\"}",
	       "newest first, columns joined to an empty object");
	is_str(rows.items[1], "{\"id\":\"o2\",\"kind\":\"stop\",\"state\":\"running\"}",
	       "without what it has not");
	rows_fini(&rows);
	store_read_operations(s->store, "i1", 10, rows_keep, &rows);
	loop_run(&s->loop);
	is_int(rows.count, 2, "operations of one instance");
	rows_fini(&rows);
	store_read_operation(s->store, "o1", rows_keep, &rows);
	loop_run(&s->loop);
	is_str(rows.count ? rows.items[0] : NULL,
	       "{\"id\":\"o1\",\"kind\":\"spawn\",\"state\":\"done\",\"step\":\"announce\",\"instance\":\"i1\","
	       "\"actor\":\"uid:0\",\"y\":\"z\"}",
	       "one operation by its id");
	rows_fini(&rows);
	store_read_operation(s->store, "o9", rows_keep, &rows);
	loop_run(&s->loop);
	ok(rows.called == 1 && rows.count == 0 && rows.code == 0,
	   "one that is not there: no row, no error");
	rows_fini(&rows);
	str_fini(&text);
	storage_close(s);
}

static void events_and_decisions(void)
{
	struct storage *s = storage_open("events");
	struct rows all = {0}, some = {0}, one = {0}, of = {0}, none = {0};
	struct store_batch *batch = store_batch_new(s->store);

	for (int i = 1; i <= 9; i++) {
		char *json = xasprintf("{\"n\":%d}", i);

		store_put_event(batch, 10 * i, i, i % 2 ? "a" : NULL, json);
		store_put_decision(batch, i, i % 2 ? "a" : "b", i, json);
		free(json);
	}
	store_put_decision(batch, 3, "a", 3, "{\"n\":33}");
	is_int(storage_commit(s, batch), 0, "events and decisions");
	is_int(store_last_event(s->store), 90, "the last sequence");
	is_int(store_last_decision(s->store), 9, "the last decision");
	store_read_events(s->store, 0, NULL, 100, rows_keep, &all);
	store_read_events(s->store, 30, NULL, 2, rows_keep, &some);
	store_read_decision(s->store, 3, rows_keep, &one);
	store_read_decisions(s->store, "a", 2, rows_keep, &of);
	store_read_decision(s->store, 99, rows_keep, &none);
	is_int(all.called + some.called + one.called, 0, "reads are not told at once");
	loop_run(&s->loop);
	is_int(all.called + some.called + one.called + of.called + none.called, 5,
	       "each is told once");
	is_int(all.count, 9, "all events");
	is_str(some.items[0], "{\"n\":4}", "after a sequence");
	is_int(some.count, 2, "within the limit");
	is_str(one.items[0], "{\"n\":33}", "a decision, as last put");
	is_str(of.items[0], "{\"n\":9}", "decisions of an instance, newest first");
	is_str(of.items[1], "{\"n\":7}", "and the next");
	is_int(none.count, 0, "no such decision");
	batch = store_batch_new(s->store);
	store_put_event(batch, 90, 1, NULL, "{}");
	is_int(storage_commit(s, batch), -EEXIST, "a sequence is given once");
	rows_fini(&all);
	rows_fini(&some);
	rows_fini(&one);
	rows_fini(&of);
	rows_fini(&none);
	storage_close(s);
}

/* One bad batch between good ones, all queued before the writer looks. */
static void bad_neighbour(void)
{
	struct storage *s = storage_open("neighbour");
	int codes[3] = {1, 1, 1};
	struct store_batch *batch;
	struct rows rows = {0};

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 3; i++) {
			batch = store_batch_new(s->store);
			store_put_event(batch, i == 1 ? 1 : 100 + 10 * round + i, 1, NULL, "{}");
			if (i == 1) /* the second row fails: the first of the batch must not stay */
				store_put_event(batch, 1, 1, NULL, "{}");
			store_batch_commit(batch, storage_code, &codes[i]);
		}
		loop_run(&s->loop);
		if (codes[0] != 0 || codes[1] != -EEXIST || codes[2] != 0)
			break;
	}
	is_int(codes[0], 0, "the one before is in");
	is_int(codes[1], -EEXIST, "the bad one is told");
	is_int(codes[2], 0, "the one after is in");
	store_read_events(s->store, 0, NULL, 1, rows_keep, &rows);
	loop_run(&s->loop);
	ok(rows.count == 1 && store_last_event(s->store) == 592, "no part of the bad one is in");
	rows_fini(&rows);
	storage_close(s);
}

static int count_operation(void *arg, const struct store_operation *operation)
{
	(void)operation;
	++*(int *)arg;
	return 0;
}

static void prune(void)
{
	struct storage *s = storage_open("prune");
	struct store_operation running = {"r", "spawn", NULL, "running", NULL, NULL, NULL, "{}", 1};
	struct store_operation ended = {"e", "spawn", NULL, "done", NULL, NULL, NULL, "{}", 1};
	struct store_batch *batch = store_batch_new(s->store);
	struct rows rows = {0};
	int left = 0;

	for (int i = 1; i <= 1000; i++) {
		store_put_event(batch, i, i, NULL, "{}");
		store_put_decision(batch, i, "a", i, "{}");
	}
	store_put_operation(batch, &running);
	store_put_operation(batch, &ended);
	is_int(storage_commit(s, batch), 0, "a thousand events and decisions, two operations");
	store_prune(s->store, 901);
	for (int tries = 0; tries < 2000 && rows.count != 100; tries++) {
		rows_fini(&rows);
		store_read_events(s->store, 0, NULL, 2000, rows_keep, &rows);
		loop_run(&s->loop);
	}
	is_int(rows.count, 100, "events from before are dropped");
	rows_fini(&rows);
	is_int(store_last_event(s->store), 1000, "the newest stays");
	store_load_operations(s->store, 10, count_operation, &left, NULL);
	is_int(left, 2, "operations are as old as their last change");
	store_prune(s->store, INT64_MAX);
	for (int tries = 0; tries < 2000 && left != 1; tries++) {
		left = 0;
		store_load_operations(s->store, 10, count_operation, &left, NULL);
		storage_commit(s, store_batch_new(s->store));
	}
	is_int(left, 1, "an ended operation goes, a running one stays");
	for (int tries = 0; tries < 2000 && rows.count != 1; tries++) {
		rows_fini(&rows);
		store_read_decisions(s->store, "a", 2000, rows_keep, &rows);
		loop_run(&s->loop);
	}
	is_int(rows.count, 1, "one decision is left");
	is_int(store_last_decision(s->store), 1000, "the newest, so that ids go on");
	is_int(store_last_event(s->store), 1000, "and the newest event");
	rows_fini(&rows);
	storage_close(s);
}

/* --- the WAL --- */

static off_t size_of(const char *path, const char *more)
{
	char whole[160];
	struct stat status;

	snprintf(whole, sizeof(whole), "%s%s", path, more);
	return stat(whole, &status) < 0 ? 0 : status.st_size;
}

static void put_large(struct storage *s, int64_t sequence)
{
	static char json[64 << 10];
	struct store_batch *batch = store_batch_new(s->store);

	memset(json, ' ', sizeof(json) - 1);
	json[0] = '{';
	json[sizeof(json) - 2] = '}';
	store_put_event(batch, sequence, sequence, NULL, json);
	store_batch_commit(batch, NULL, NULL);
}

/* The file takes over what is in the WAL while the store is in use, and the WAL does not grow on. */
static void checkpoints(void)
{
	struct storage *s = storage_open("wal");
	int64_t sequence = 0;
	char path[128];

	while (sequence < 2000 && size_of(s->path, "") < 20 << 20) {
		put_large(s, ++sequence);
		loop_run(&s->loop);
	}
	ok(size_of(s->path, "") >= 20 << 20,
	   "checkpoints happen: %lld KiB in the file after %d commits",
	   (long long)size_of(s->path, "") >> 10, (int)sequence);
	ok(size_of(s->path, "-wal") < 20 << 20, "the WAL is used again: %lld KiB",
	   (long long)size_of(s->path, "-wal") >> 10);
	snprintf(path, sizeof(path), "%s", s->path);
	storage_close(s);
	is_int(size_of(path, "-wal"), 0, "a clean end leaves none");
}

/* --- closing --- */

static struct store *closing_store;
static int late_code = 1, told;

static void on_told(void *arg, const struct gantry_error *err)
{
	(void)arg;
	told += err == NULL;
}

/* Told while the store closes, and asks for more. */
static void on_late(void *arg, const struct gantry_error *err)
{
	struct store_batch *batch = store_batch_new(closing_store);

	told += err == NULL;
	store_put_fact(batch, "late", "1");
	store_batch_commit(batch, storage_code, arg);
}

static void close_with_work(void)
{
	struct storage *s = storage_open("close");
	struct rows before = {0}, after = {0};
	char *fact;

	closing_store = s->store;
	for (int i = 1; i <= 1000; i++) {
		struct store_batch *batch = store_batch_new(s->store);

		store_put_event(batch, i, 1, NULL, "{}");
		store_batch_commit(batch, i == 1000 ? on_late : on_told, &late_code);
	}
	store_read_events(s->store, 0, NULL, 10, rows_keep, &before);
	store_close(s->store, storage_closed, s);
	store_read_events(s->store, 0, NULL, 10, rows_keep, &after);
	ok(!s->closed && told == 0, "a close does not end inside the call");
	loop_run(&s->loop);
	ok(s->closed, "closed");
	is_int(told, 1000, "all that was queued was committed and told");
	ok(late_code == 0 || late_code == -ESHUTDOWN, "a batch of while it closed has an end: %d",
	   late_code);
	ok(before.called == 1 && before.code == 0, "a read of before the close is answered");
	ok(after.called == 1 && after.code == -ESHUTDOWN, "one of after is refused, once");
	rows_fini(&before);
	rows_fini(&after);
	is_int(loop_fini(&s->loop), 0, "nothing is left on the loop");
	free(s);

	s = storage_open("close");
	is_int(store_last_event(s->store), 1000, "and is there at the next start");
	fact = store_load_fact(s->store, "late");
	is_int(fact != NULL, late_code == 0, "the late one as it was told");
	free(fact);
	storage_close(s);
}

int main(void)
{
	storage_init();
	group_commit();
	instances_and_facts();
	operations();
	events_and_decisions();
	bad_neighbour();
	prune();
	checkpoints();
	close_with_work();
	storage_fini();
	done_testing();
	return tap_end();
}
