/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch of the docker plugin over broken connections: nothing twice, nothing lost unless a gap says
 * so, nothing claimed that nobody saw.
 */
#include "fake/conformance.h"

#include <time.h>

struct watching {
	struct rig *rig;
	bool synced, ended, saw, gap, news; /* news: synced or ended */
	const char *until;                  /* `saw` is set when the log ends with it */
	struct str log;                     /* "start:web " , "die:web=3? " where ? is inferred */
	struct gantry_anchor anchor;
	int64_t gap_from_ns, gap_to_ns;
	size_t containers, order_faults, images;
	int64_t last_ns;
	int code;
	struct gantry_error err;
	struct gantry_op *op;
	bool cancel_in_sync;
};

static const char *const kinds[] = {"create",  "start", "die",    "oom",    "pause",
				    "unpause", "kill",  "rename", "update", "remove",
				    "health",  "image", "gap"};

/* Containers are told by the label "instance". */
static void on_event(void *arg, const struct gantry_event *event)
{
	struct watching *w = arg;

	if (event->kind == GANTRY_EVENT_IMAGE) {
		w->images++;
		return;
	}
	w->anchor = event->anchor;
	if (event->time_ns < w->last_ns)
		w->order_faults++;
	w->last_ns = event->time_ns;
	if (event->kind == GANTRY_EVENT_GAP) {
		w->gap = true;
		w->gap_from_ns = event->gap_from_ns;
		w->gap_to_ns = event->time_ns;
	}
	str_addf(&w->log, "%s", kinds[event->kind]);
	if (event->instance)
		str_addf(&w->log, ":%s", event->instance);
	if (event->kind == GANTRY_EVENT_DIE)
		str_addf(&w->log, "=%d", event->exit_code);
	if (event->kind == GANTRY_EVENT_KILL)
		str_addf(&w->log, "=%d", event->signal);
	if (event->text)
		str_addf(&w->log, "=%s", event->text);
	str_add(&w->log, event->inferred ? "? " : " ");
	if (w->until && w->log.length >= strlen(w->until) &&
	    strcmp(w->log.data + w->log.length - strlen(w->until), w->until) == 0)
		w->saw = true;
}

static void on_sync(void *arg, const struct gantry_containers *containers)
{
	struct watching *w = arg;

	w->synced = w->news = true;
	w->containers = containers->count;
	if (w->cancel_in_sync)
		op_cancel(w->op);
}

static void on_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct watching *w = arg;

	(void)result;
	w->ended = w->news = true;
	w->code = err ? err->code : 0;
	if (err)
		w->err = *err;
}

static void watch(struct watching *w, const struct gantry_containers *known)
{
	static const struct gantry_containers none;
	struct gantry_watch_sink sink = {w, on_sync, on_event};

	w->synced = w->ended = w->saw = w->gap = w->news = false;
	w->last_ns = 0;
	str_clear(&w->log);
	w->op = op_new(&w->rig->scope, "watch", on_over, w);
	w->rig->runtime->watch(w->rig->node, &w->anchor, known ? known : &none, &sink, w->op);
	if (!w->cancel_in_sync)
		rig_until(w->rig, &w->news, 10000);
}

static void until(struct watching *w, const char *text)
{
	w->until = text;
	w->saw = w->log.length >= strlen(text) &&
		 strcmp(w->log.data + w->log.length - strlen(text), text) == 0;
	if (!rig_until(w->rig, &w->saw, 5000))
		diag("waited for \"%s\", have \"%s\"", text, str_text(&w->log));
}

static void end(struct watching *w)
{
	op_cancel(w->op);
	rig_until(w->rig, &w->ended, 5000);
}

/* A container whose instance is called by its name. */
static void make(struct rig *rig, const char *name, const char *word, char *id)
{
	struct gantry_pair pairs[] = {{GANTRY_LABEL_OWNER, rig->owner},
				      {GANTRY_LABEL_INSTANCE, name}};
	const char *command[] = {word};
	struct gantry_spec spec;
	struct gantry_create create = {.name = name, .labels = {pairs, 2}, .spec = &spec};

	spec_init(&spec);
	spec.image = "base";
	spec.command = (struct gantry_strings){command, 1};
	rig->take = conf_take_id;
	if (RUN(rig, create, &create) < 0)
		bail_out("%s", rig->err.text);
	snprintf(id, 80, "%s", conf_text);
}

static struct gantry_container known_one(struct gantry_pair *pair, const char *id, const char *name,
					 enum gantry_container_state state)
{
	*pair = (struct gantry_pair){GANTRY_LABEL_INSTANCE, name};
	return (struct gantry_container){
		.container_id = id, .name = name, .state = state, .labels = {pair, 1}};
}

static void fake_exit(struct rig *rig, const char *id, int code)
{
	char body[160];

	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"code\":%d}", id, code);
	rig_tell(rig, "/fake/exit", body);
}

static bool cut_off(struct watching *w)
{
	rig_tell(w->rig, "/fake/disconnect-events", "{}");
	return rig_until(w->rig, &w->ended, 5000);
}

int main(void)
{
	struct rig rig;
	struct watching w = {.rig = &rig};
	struct gantry_pair pairs[4];
	struct gantry_container items[4];
	struct gantry_containers known = {items, 0};
	char a[80], b[80], c[80], d[80];
	struct timespec before_gap;

	rig_open(&rig);
	rig_engine(&rig);
	rig_load(&rig, "docker", "{\"ping_interval\":\"300ms\",\"stall_timeout\":\"1s\"}");

	/* every kind */
	watch(&w, NULL);
	ok(w.synced && w.containers == 0, "sync comes first, with nothing");
	make(&rig, "a", "sleep", a);
	RUN(&rig, start, a);
	RUN(&rig, pause, a);
	RUN(&rig, unpause, a);
	RUN(&rig, rename, a, "a2");
	free(rig_ask(&rig, "POST", "/fake/health", "{\"id\":\"a2\",\"status\":\"unhealthy\"}",
		     NULL));
	RUN(&rig, kill, a, 15);
	RUN(&rig, remove, a);
	until(&w, "remove:a ");
	is_str(str_text(&w.log),
	       "create:a start:a pause:a unpause:a rename:a=a2 health:a=unhealthy kill:a=15 die:a=143 remove:a ",
	       "each kind is told, once and in order");
	is_int(w.order_faults, 0, "by time");
	RUN(&rig, pull, "pullable:1");
	rig_turn(&rig, 50);
	is_int(w.images, 1, "a change of images is told");
	make(&rig, "a", "sleep", a);
	RUN(&rig, start, a);
	until(&w, "start:a ");

	/* a reconnect without loss */
	ok(cut_off(&w), "the stream breaks: the watch ends");
	is_int(w.code, -EHOSTUNREACH, "-EHOSTUNREACH");
	make(&rig, "b", "sleep", b);
	RUN(&rig, start, b);
	fake_exit(&rig, a, 9);
	items[0] = known_one(&pairs[0], a, "a", GANTRY_CONTAINER_RUNNING);
	known.count = 1;
	watch(&w, &known);
	until(&w, "die:a=9 ");
	is_str(str_text(&w.log), "create:b start:b die:a=9 ",
	       "what was missed comes, once, and no gap");
	is_int(w.containers, 2, "sync has both");
	ok(cut_off(&w), "it breaks again");
	items[0].state = GANTRY_CONTAINER_EXITED;
	items[1] = known_one(&pairs[1], b, "b", GANTRY_CONTAINER_RUNNING);
	known.count = 2;
	watch(&w, &known);
	rig_turn(&rig, 50);
	is_str(str_text(&w.log), "", "with nothing missed, nothing is told twice");
	end(&w);
	is_int(w.code, -ECANCELED, "a cancel ends it");

	/* the anchor of another process: nothing but what is in it */
	plugin_runtime(rig.plugin)->node_close(rig.node);
	{
		struct gantry_error err;
		struct json_object *values = json_object_new_object();

		json_add_string(values, "endpoint", rig.endpoint);
		json_add_string(values, "ping_interval", "300ms");
		json_add_string(values, "stall_timeout", "1s");
		is_int(plugin_node_open(rig.plugin, "n1", values, rig.owner, &rig.node, &err), 0,
		       "the node is opened anew");
		json_object_put(values);
	}
	RUN(&rig, kill, b, 15);
	watch(&w, &known);
	until(&w, "die:b=143 ");
	is_str(str_text(&w.log), "kill:b=15 die:b=143 ",
	       "after a restart of ours: what came since, once");
	RUN(&rig, start, b);
	until(&w, "start:b ");

	/* the stream stalls without being closed */
	rig_tell(&rig, "/fake/clock", "{\"ahead_ms\":0}");
	ok(cut_off(&w), "it breaks");
	items[1].state = GANTRY_CONTAINER_RUNNING;
	RUN0(&rig, probe);
	watch(&w, &known);
	rig_turn(&rig, 1500);
	ok(!w.ended, "quiet, and asked for what it has: it goes on");
	rig_tell(&rig, "/fake/mute-events", "{\"mute\":true}");
	RUN(&rig, pause, b);
	rig_until(&rig, &w.ended, 5000);
	rig_tell(&rig, "/fake/mute-events", "{\"mute\":false}");
	is_int(w.code, -ETIMEDOUT, "an event that does not come by the stream ends it");
	like(w.err.text, "stalls", "with its reason");
	watch(&w, &known);
	until(&w, "pause:b ");
	is_str(str_text(&w.log), "pause:b ", "the next watch has it, once and with no gap");
	RUN(&rig, unpause, b);
	until(&w, "unpause:b ");

	/* the engine's clock is set back an hour under a watch that began with an anchor */
	ok(cut_off(&w), "it breaks");
	watch(&w, &known);
	rig_tell(&rig, "/fake/clock", "{\"ahead_ms\":-3600000}");
	RUN(&rig, pause, b);
	RUN(&rig, unpause, b);
	until(&w, "unpause:b ");
	is_str(str_text(&w.log), "pause:b unpause:b ",
	       "clock set back: what happens is told, once and in order");
	ok(cut_off(&w), "it breaks");
	RUN(&rig, pause, b);
	watch(&w, &known);
	until(&w, "pause:b? ");
	is_str(str_text(&w.log), "gap pause:b? ",
	       "clock set back: what was missed is inferred after a gap, and nothing comes twice");
	RUN(&rig, unpause, b);
	until(&w, "unpause:b ");
	rig_tell(&rig, "/fake/clock", "{\"ahead_ms\":0}");

	/* 300 foreign events while we are away */
	make(&rig, "c", "sleep", c);
	RUN(&rig, start, c);
	until(&w, "start:c ");
	ok(cut_off(&w), "it breaks");
	clock_gettime(CLOCK_REALTIME, &before_gap);
	fake_exit(&rig, b, 7);       /* died, and the ring forgets it */
	RUN(&rig, remove, a);        /* gone */
	make(&rig, "d", "sleep", d); /* made by somebody, runs */
	RUN(&rig, start, d);
	rig_tell(&rig, "/fake/event-flood", "{\"count\":300}");
	RUN(&rig, pause, c); /* still in the ring */
	items[1].state = GANTRY_CONTAINER_RUNNING;
	items[2] = known_one(&pairs[2], c, "c", GANTRY_CONTAINER_RUNNING);
	known.count = 3;
	watch(&w, &known);
	until(&w, "remove:a? ");
	is_str(str_text(&w.log), "gap pause:c die:b=7? create:d? start:d? remove:a? ",
	       "300 foreign events: a gap, what the engine still has, and the rest inferred");
	ok(w.gap_from_ns > 0 && w.gap_to_ns > w.gap_from_ns, "the gap has a span");
	ok(w.gap_to_ns >= (int64_t)before_gap.tv_sec * 1000000000,
	   "that ends after we were cut off");
	is_int(w.containers, 3, "sync has what is there");
	RUN(&rig, unpause, c);
	until(&w, "unpause:c ");
	ok(w.saw, "and it goes on");

	/* foreign events, and the connection stays */
	str_clear(&w.log);
	rig_tell(&rig, "/fake/event-flood", "{\"count\":400}");
	RUN(&rig, remove, d);
	until(&w, "remove:d ");
	is_str(str_text(&w.log), "kill:d=9 die:d=137 remove:d ",
	       "a flood of strangers' events is not ours");

	/* the engine is restarted, its containers with it */
	items[0] = known_one(&pairs[0], b, "b", GANTRY_CONTAINER_EXITED);
	items[1] = known_one(&pairs[1], c, "c", GANTRY_CONTAINER_RUNNING);
	known.count = 2;
	rig_tell(&rig, "/fake/restart", "{\"stop\":true}");
	ok(rig_until(&rig, &w.ended, 5000), "the engine restarts: the watch ends");
	watch(&w, &known);
	until(&w, "die:c=137? ");
	is_str(str_text(&w.log), "gap die:c=137? ",
	       "its memory is gone: a gap, and what must have been");

	/* events that are not told keep the anchor fresh */
	RUN(&rig, start, c);
	until(&w, "start:c ");
	for (int i = 0; i < 300; i++)
		free(rig_ask(&rig, "POST", "/fake/health", "{\"id\":\"c\",\"status\":\"healthy\"}",
			     NULL));
	until(&w, "healthy ");
	ok(cut_off(&w), "it breaks");
	items[1].state = GANTRY_CONTAINER_RUNNING;
	watch(&w, &known);
	rig_turn(&rig, 50);
	ok(!w.gap, "300 events of ours that were seen are no gap");
	end(&w);

	/* no anchor */
	w.anchor = (struct gantry_anchor){0};
	watch(&w, &known);
	rig_turn(&rig, 50);
	is_str(str_text(&w.log), "", "no anchor and nothing differs: nothing is claimed");
	end(&w);
	items[1].state = GANTRY_CONTAINER_PAUSED;
	w.anchor = (struct gantry_anchor){0};
	watch(&w, &known);
	until(&w, "unpause:c? ");
	is_str(str_text(&w.log), "gap unpause:c? ",
	       "no anchor and something differs: a gap from nowhere");
	is_int(w.gap_from_ns, 0, "its beginning is not known");

	/* an engine that is quiet because it is dead */
	rig_fault(&rig, "GET /_ping", "hang", 0, -1);
	ok(rig_until(&rig, &w.ended, 15000), "an engine that gives no sign of life ends the watch");
	is_int(w.code, -ETIMEDOUT, "-ETIMEDOUT");
	rig_no_faults(&rig);

	/* failures and cancels on the way in */
	rig_fault(&rig, "GET /containers/json", "500", 0, 1);
	w.anchor = (struct gantry_anchor){0};
	watch(&w, NULL);
	ok(!w.synced && rig_until(&rig, &w.ended, 1000), "a list that fails ends the watch");
	like(w.err.text, "told to fail", "with the engine's words");
	rig_fault(&rig, "GET /events", "split", 0, -1);
	w.anchor = (struct gantry_anchor){0};
	watch(&w, NULL);
	RUN(&rig, kill, c, 9);
	until(&w, "die:c=137 ");
	ok(w.saw, "messages may be cut anywhere");
	end(&w);
	rig_no_faults(&rig);
	w.cancel_in_sync = true;
	watch(&w, NULL);
	ok(rig_until(&rig, &w.ended, 5000), "a cancel from inside sync ends it");
	is_int(w.code, -ECANCELED, "-ECANCELED");
	w.cancel_in_sync = false;
	w.synced = w.ended = false;
	{
		struct gantry_watch_sink sink = {&w, on_sync, on_event};
		struct gantry_containers none = {0};

		w.op = op_new(&rig.scope, "watch", on_over, &w);
		rig.runtime->watch(rig.node, &w.anchor, &none, &sink, w.op);
		op_cancel(w.op);
	}
	ok(rig_until(&rig, &w.ended, 5000) && !w.synced,
	   "a cancel at once ends it, without a sync");
	RUN(&rig, remove, b);
	RUN(&rig, remove, c);
	str_fini(&w.log);
	rig_close(&rig);
	done_testing();
	return tap_end();
}
