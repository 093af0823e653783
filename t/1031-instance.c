/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states, the table of verbs, and an instance's forms for the API and the store. */
#include "tap.h"

#include "model/instance.h"
#include "model/node.h"
#include "model/spec.h"
#include "base/log.h"
#include "base/str.h"

#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static struct json_object *parse_json(const char *text)
{
	struct json_object *value;
	struct gantry_error err;

	if (json_parse(text, strlen(text), &value, &err) < 0)
		bail_out("%s: %s", err.text, text);
	return value;
}

/* Which states can be reached from the given one in any number of moves. */
static unsigned reach(enum instance_state from)
{
	unsigned found = 1u << from, last = 0;

	while (found != last) {
		last = found;
		for (int a = 0; a < INSTANCE_STATE_COUNT; a++)
			for (int b = 0; b < INSTANCE_STATE_COUNT; b++)
				if ((found & (1u << a)) && instance_may_move(a, b))
					found |= 1u << b;
	}
	return found;
}

static void moves(void)
{
	const unsigned all = (1u << INSTANCE_STATE_COUNT) - 1;
	struct instance *instance = instance_new("x");
	size_t refused = 0, made = 0, wrong = 0;

	for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
		const char *name = instance_state_text(s);
		enum instance_state back;

		is_int(instance_state_parse(name, &back), 0, "%s has a name", name);
		is_int(back, s, "%s is read back", name);
		ok(!instance_may_move(s, s), "%s does not move to itself", name);
		ok(!instance_may_move(INSTANCE_REMOVING, s), "no way from removing to %s", name);
		ok(!instance_may_move(s, INSTANCE_PENDING), "no way from %s back to pending", name);
		if (s == INSTANCE_REMOVING)
			continue;
		ok(instance_may_move(s, INSTANCE_REMOVING), "%s can be removed", name);
		ok(s == INSTANCE_FAILED || instance_may_move(s, INSTANCE_FAILED), "%s can fail",
		   name);
		ok(reach(s) == (all & ~(s == INSTANCE_PENDING ? 0 : 1u << INSTANCE_PENDING)),
		   "from %s every state but pending can be reached", name);
		is_int(instance_may_move(s, INSTANCE_UNKNOWN),
		       s != INSTANCE_PENDING && s != INSTANCE_UNKNOWN,
		       "%s becomes unknown where there is a container", name);
	}
	for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
		bool on_its_way = s == INSTANCE_PENDING || s == INSTANCE_CREATING ||
				  s == INSTANCE_STARTING || s == INSTANCE_STOPPING;

		ok(!on_its_way || !instance_may_move(INSTANCE_UNKNOWN, s),
		   "unknown does not return to %s", instance_state_text(s));
	}
	/* instance_move does what the table says, and leaves the state where it is refused */
	log_set_level(LOG_LEVEL_ERROR + 1);
	for (int a = 0; a < INSTANCE_STATE_COUNT; a++) {
		for (int b = 0; b < INSTANCE_STATE_COUNT; b++) {
			bool may = a == b || instance_may_move(a, b);

			instance->state = a;
			instance->known_state = INSTANCE_PENDING;
			wrong += instance_move(instance, b) != may;
			wrong += instance->state != (enum instance_state)(may ? b : a);
			if (b == INSTANCE_UNKNOWN && a != b && may)
				wrong += instance->known_state != (enum instance_state)a;
			else
				wrong += instance->known_state != INSTANCE_PENDING;
			*(may ? &made : &refused) += 1;
		}
	}
	is_int(wrong, 0, "every pair of states: moved or refused as the table says");
	ok(made > 20 && refused > 20, "%zu moves made, %zu refused", made, refused);
	log_set_level(LOG_LEVEL_INFO);
	instance_free(instance);
}

static void names(void)
{
	enum instance_state state;
	enum instance_intent intent;
	static const char *const intents[] = {"running", "stopped", "suspended"};

	is_int(instance_state_parse("Running", &state), -EINVAL, "a state is written small");
	is_int(instance_state_parse("", &state), -EINVAL, "an empty state");
	for (int i = 0; i < 3; i++) {
		is_int(instance_intent_parse(intents[i], &intent), 0, "intent %s", intents[i]);
		is_str(instance_intent_text(intent), intents[i], "and back");
	}
	is_int(instance_intent_parse("paused", &intent), -EINVAL, "no intent");
}

static void verbs(void)
{
	static const struct {
		enum instance_state state;
		enum instance_verb verb;
		int code;
		const char *text;
	} cases[] = {
		{INSTANCE_STOPPED, VERB_START, 0, ""},
		{INSTANCE_FAILED, VERB_START, 0, ""},
		{INSTANCE_RUNNING, VERB_START, -EALREADY, "web is running already"},
		{INSTANCE_PAUSED, VERB_START, -EBUSY,
		 "web is paused; start needs a stopped or failed instance"},
		{INSTANCE_RUNNING, VERB_STOP, 0, ""},
		{INSTANCE_STOPPED, VERB_STOP, -EALREADY, "web is stopped already"},
		{INSTANCE_STOPPED, VERB_PAUSE, -EBUSY,
		 "web is stopped; pause needs a running instance"},
		{INSTANCE_PAUSED, VERB_PAUSE, -EALREADY, "web is paused already"},
		{INSTANCE_RUNNING, VERB_UNPAUSE, -EALREADY, "web is running already"},
		{INSTANCE_STOPPED, VERB_KILL, -EBUSY,
		 "web is stopped; kill needs a running, paused or stopping instance"},
		{INSTANCE_STOPPED, VERB_RESIZE, 0, ""},
		{INSTANCE_UNKNOWN, VERB_STOP, -EHOSTUNREACH,
		 "web is unknown, its engine on node n1 is out of reach; stop needs the engine"},
		{INSTANCE_REMOVING, VERB_REMOVE, -EALREADY, "web is removing already"},
		{INSTANCE_REMOVING, VERB_START, -EBUSY, "web is removing; start needs"},
		{INSTANCE_UNKNOWN, VERB_REMOVE, -EHOSTUNREACH, "out of reach"},
	};
	struct instance *instance = instance_new("x");

	instance->spec.name = "web";
	instance->node = "n1";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gantry_error err = {0};

		instance->state = cases[i].state;
		is_int(instance_verb_check(instance, cases[i].verb, &err), cases[i].code,
		       "%s while %s", instance_verb_text(cases[i].verb),
		       instance_state_text(cases[i].state));
		is_int(err.code, cases[i].code, "the code is in the error");
		like(err.text, cases[i].text, "and the words");
	}
	for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
		instance->state = s;
		is_int(instance_verb_check(instance, VERB_REMOVE, NULL) == 0,
		       s != INSTANCE_REMOVING && s != INSTANCE_UNKNOWN, "remove while %s",
		       instance_state_text(s));
	}
	for (int v = 0; v < VERB_COUNT; v++) {
		int allowed = 0;

		for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
			instance->state = s;
			allowed += instance_verb_check(instance, v, NULL) == 0;
		}
		ok(allowed > 0, "%s is allowed somewhere", instance_verb_text(v));
	}
	instance->spec.name = NULL;
	instance_free(instance);
}

static void signals(void)
{
	static const struct {
		const char *text;
		int signal;
	} cases[] = {
		{"TERM", 15},
		{"SIGTERM", 15},
		{"sigterm", 15},
		{"15", 15},
		{"KILL", 9},
		{"HUP", 1},
		{"SYS", 31},
		{"USR1", 10},
		{"IO", 29},
		{"RTMIN", 34},
		{"SIGRTMIN+3", 37},
		{"RTMAX", 64},
		{"RTMAX-1", 63},
		{"RTMIN+31", 0},
		{"RTMIN+", 0},
		{"RTMIN-1", 0},
		{"0", 0},
		{"64", 64},
		{"65", 0},
		{"-1", 0},
		{"", 0},
		{"SIG", 0},
		{"SIGSIGTERM", 0},
		{"9x", 0},
		{"999999999999999999999", 0},
		{" TERM", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(instance_signal_parse(cases[i].text), cases[i].signal, "signal \"%s\"",
		       cases[i].text);
}

static void ids(void)
{
	char a[INSTANCE_ID_SIZE], b[INSTANCE_ID_SIZE];

	instance_make_id(a);
	instance_make_id(b);
	is_int(strlen(a), 36, "an id is a UUID");
	ok(a[14] == '4' && strchr("89ab", a[19]), "of version 4: %s", a);
	ok(!str_equal(a, b), "two differ");
}

static struct instance *sample(void)
{
	struct instance *instance = instance_new("00000000-0000-4000-8000-000000000001");
	struct json_object *object = parse_json(
		"{\"name\":\"web\",\"project\":\"shop\",\"image\":\"nginx\",\"labels\":{\"tier\":\"front\"},"
		"\"memory\":\"64MiB\",\"environment\":[\"A=1\",{\"name\":\"S\",\"value\":\"hush\",\"secret\":true}]}");

	if (spec_parse(object, &instance->arena, &instance->spec, NULL) < 0)
		bail_out("the sample's spec");
	json_object_put(object);
	instance->node = arena_strdup(&instance->arena, "local");
	strcpy(instance->container_id, "abc");
	instance->state = INSTANCE_UNKNOWN;
	instance->known_state = INSTANCE_PAUSED;
	instance->intent = INTENT_SUSPENDED;
	instance->generation = 7;
	instance->boots = 3;
	instance->last_exit = (struct instance_exit){.known = true,
						     .code = 137,
						     .signal = 9,
						     .signal_sent = true,
						     .oom_seen = true,
						     .oom_killed = true,
						     .start_failed = true,
						     .inferred = true,
						     .at_ms = 1500,
						     .reason = "no such file"};
	strcpy(instance->health, "healthy");
	instance_take_reach(
		instance,
		&(struct gantry_container){
			.address = "172.17.0.2",
			.ports = {&(struct gantry_port){"127.0.0.1", 32768, 80, "tcp"}, 1},
		});
	instance->created_ms = 1000;
	instance->started_ms = 1234;
	instance->signal_sent = 15;
	instance->oom_seen = true;
	return instance;
}

static void forms(void)
{
	struct instance *instance = sample(), *loaded = NULL;
	struct json_object *printed = instance_print(instance), *saved = instance_save(instance),
			   *again;
	struct gantry_error err = {0};
	struct arena arena = {0};

	is_str(json_object_to_json_string_ext(printed, PLAIN),
	       "{\"id\":\"00000000-0000-4000-8000-000000000001\",\"name\":\"web\",\"project\":\"shop\","
	       "\"node\":\"local\",\"state\":\"unknown\",\"known_state\":\"paused\",\"intent\":"
	       "\"suspended\",\"image\":\"nginx\",\"container_id\":\"abc\",\"generation\":7,\"boots\":3,"
	       "\"health\":\"healthy\",\"address\":\"172.17.0.2\",\"ports\":[{"
	       "\"host_ip\":\"127.0.0.1\",\"host_port\":32768,\"container_port\":80,"
	       "\"protocol\":\"tcp\"}],\"created_at\":"
	       "\"1970-01-01T00:00:01.000Z\",\"started_at\":\"1970-01-01T00:00:01.234Z\",\"last_exit\":"
	       "{\"code\":137,\"signal\":9,\"signal_source\":\"sent\",\"oom_seen\":true,\"oom_killed\":"
	       "true,\"start_failed\":true,\"inferred\":true,\"at\":\"1970-01-01T00:00:01.500Z\","
	       "\"reason\":\"no such file\"},\"labels\":{\"tier\":\"front\"},\"spec\":{\"name\":\"web\","
	       "\"project\":\"shop\",\"labels\":{\"tier\":\"front\"},\"image\":\"nginx\","
	       "\"environment\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"S\",\"secret\":true}],"
	       "\"memory\":67108864}}",
	       "as the API shows it, without the secret's value");
	is_int(instance_load(saved, &loaded, &err), 0, "what was saved is loaded");
	again = instance_save(loaded);
	is_str(json_object_to_json_string_ext(again, PLAIN),
	       json_object_to_json_string_ext(saved, PLAIN), "and saves as the same");
	is_int(loaded->known_state, INSTANCE_PAUSED, "known_state");
	is_int(loaded->last_exit.at_ms, 1500, "times are exact");
	is_int(loaded->signal_sent, 15, "signal_sent");
	ok(loaded->oom_seen && loaded->last_exit.known && loaded->last_exit.start_failed, "flags");
	ok(!loaded->busy, "not busy");
	instance_move(loaded, INSTANCE_PAUSED);
	ok(loaded->reach_known && loaded->ports.count == 1, "paused, it can be reached as before");
	instance_move(loaded, INSTANCE_STOPPED);
	ok(!loaded->reach_known && !loaded->address[0] && loaded->ports.count == 0,
	   "stopped, it cannot be reached");
	is_str(instance_container_name(loaded, &arena), "shop_web",
	       "the container's name in a project");
	loaded->spec.project = "default";
	is_str(instance_container_name(loaded, &arena), "web", "and in the default one");
	loaded->spec.name = "w";
	is_str(instance_container_name(loaded, &arena), "default_w",
	       "of one character, which engines refuse as a name");
	instance_free(loaded);
	json_object_put(again);
	json_object_put(saved);
	json_object_put(printed);
	instance_free(instance);
	arena_fini(&arena);

	/* a young one: what is not known is not there */
	instance = instance_new("x");
	instance->spec.name = "a";
	instance->spec.project = "default";
	instance->spec.image = "b";
	printed = instance_print(instance);
	is_str(json_object_to_json_string_ext(printed, PLAIN),
	       "{\"id\":\"x\",\"name\":\"a\",\"project\":\"default\",\"state\":\"pending\",\"intent\":"
	       "\"running\",\"image\":\"b\",\"generation\":1,\"boots\":0,\"labels\":{},\"spec\":{\"name\":"
	       "\"a\",\"project\":\"default\",\"image\":\"b\"}}",
	       "a new instance");
	json_object_put(printed);
	instance_free(instance);
}

static void bad_stored(void)
{
	static const struct {
		const char *key, *value, *text;
	} cases[] = {
		{"id", "\"\"", "has no id"},
		{"id", "\"0123456789012345678901234567890123456789\"", "has no id"},
		{"state", "\"dead\"", "\"dead\" is no state"},
		{"known_state", "\"dead\"", "is no state"},
		{"intent", "7", "is no intent"},
		{"health", "\"0123456789012345678901234567890123456789\"", "is too long"},
		{"spec", "{}", "spec: is required"},
		{"spec", "{\"image\":\"a\"}", "name and project"},
		{"spec", "[]", "spec: must be a JSON object"},
	};
	struct instance *instance = sample();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *saved = instance_save(instance);
		struct instance *loaded = NULL;
		struct gantry_error err = {0};

		json_object_object_add(saved, cases[i].key, parse_json(cases[i].value));
		is_int(instance_load(saved, &loaded, &err), -EINVAL, "stored with %s %s",
		       cases[i].key, cases[i].value);
		like(err.text, cases[i].text, "says what is wrong");
		like(err.text, "stored instance", "and with what");
		ok(!loaded, "nothing is loaded");
		json_object_put(saved);
	}
	instance_free(instance);
}

static void nodes(void)
{
	struct gantry_pair zone = {"zone", "a"};
	struct gantry_pairs labels = {&zone, 1};
	struct node node = {.name = "n1",
			    .plugin = "docker",
			    .labels = &labels,
			    .state = NODE_UP,
			    .memory_bytes = 1 << 30,
			    .nano_cpus = 2500000000};
	struct gantry_spec spec;
	struct json_object *printed;

	spec_init(&spec);
	node_promise(&node, &spec, 1);
	spec.memory_bytes = 64 << 20;
	spec.nano_cpus = 500000000;
	node_promise(&node, &spec, 1);
	printed = node_print(&node);
	is_str(json_object_to_json_string_ext(printed, PLAIN),
	       "{\"name\":\"n1\",\"plugin\":\"docker\",\"state\":\"up\",\"drained\":false,\"labels\":"
	       "{\"zone\":\"a\"},\"capacity\":{\"memory_bytes\":1073741824,\"nano_cpus\":2500000000},\"promised\":{"
	       "\"memory_bytes\":67108864,\"nano_cpus\":500000000,\"instances\":2},\"version\":2}",
	       "a node with two instances, one without limits");
	json_object_put(printed);
	node_promise(&node, &spec, -1);
	spec_init(&spec);
	node_promise(&node, &spec, -1);
	is_int(node.instances, 0, "promises are given back");
	is_int(node.memory_promised_bytes, 0, "memory too");
	is_int(node.nano_cpus_promised, 0, "and CPUs");
	is_int(node.version, 4, "each change has a version");
	node.facts.engine = "docker";
	node.facts.cpus = 2;
	strcpy(node.last_error, "refused");
	node.next_retry_ms = 1000;
	node.state = NODE_DOWN;
	printed = node_print(&node);
	is_int(json_get_int(json_get(printed, "facts"), "cpus", 0), 2, "facts, once known");
	is_str(json_get_string(printed, "last_error", NULL), "refused", "the last error");
	is_str(json_get_string(printed, "next_retry_at", NULL), "1970-01-01T00:00:01.000Z",
	       "the next try");
	is_str(json_get_string(printed, "state", NULL), "down", "down");
	json_object_put(printed);
	is_str(node_state_text(NODE_CONNECTING), "connecting", "connecting");
}

int main(void)
{
	moves();
	names();
	verbs();
	signals();
	ids();
	forms();
	bad_stored();
	nodes();
	done_testing();
	return tap_end();
}
