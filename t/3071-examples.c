/* SPDX-License-Identifier: Apache-2.0 */
/* The examples in scripts/ do what their comments say. */
#include "base/str.h"
#include "policy.h"
#include "script/event.h"
#include "script/log_hook.h"

/* The example with some of its lines changed: pairs of old and new text, NULL at the end. */
static struct script_set *load(const char *name, const char *const *edits)
{
	char *path = xasprintf("scripts/examples/%s.lua", name), part[4096];
	FILE *file = fopen(path, "r");
	struct str text = STR_INIT, after;
	struct script_set *set;
	size_t got;

	if (!file)
		bail_out("cannot read %s", path);
	while ((got = fread(part, 1, sizeof(part), file)) > 0)
		str_add_bytes(&text, part, got);
	fclose(file);
	for (; edits && edits[0]; edits += 2) {
		const char *at = strstr(str_text(&text), edits[0]);

		if (!at)
			bail_out("%s has no \"%s\"", path, edits[0]);
		after = (struct str)STR_INIT;
		str_add_bytes(&after, text.data, (size_t)(at - text.data));
		str_add(&after, edits[1]);
		str_add(&after, at + strlen(edits[0]));
		str_fini(&text);
		text = after;
	}
	set = policy_one(str_text(&text));
	str_fini(&text);
	free(path);
	return set;
}

static void begin(struct trial *trial, struct script_set *set, const char *spec)
{
	trial_begin(trial, set, spec);
	if (!trial->spec.name)
		trial->spec.name = "unnamed";
}

static void admit(struct trial *trial)
{
	trial->code = script_admit(trial->set, &trial->request, &trial->decision, &trial->err);
}

/* refused: a part of the reason, NULL: it is allowed. Ends the trial. */
static void expect(struct trial *trial, const char *refused, const char *what)
{
	if (refused) {
		is_int(trial->code, -EACCES, "%s: refused", what);
		like(trial->code ? trial->err.text : "", refused, "%s: says why", what);
	} else {
		is_int(trial->code, 0, "%s: allowed%s%s", what, trial->code ? ", not " : "",
		       trial->code ? trial->err.text : "");
	}
	trial_end(trial);
}

static void expect_admit(struct script_set *set, const char *spec, const char *refused)
{
	struct trial trial;

	begin(&trial, set, spec);
	admit(&trial);
	expect(&trial, refused, spec);
}

static struct node nodes[4], *list[4];
static char names[4][4];

static void make_nodes(void)
{
	for (int i = 0; i < 4; i++) {
		label_counts_fini(&nodes[i].label_counts);
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		nodes[i] = (struct node){
			.name = names[i], .state = NODE_UP, .memory_bytes = 8LL << 30};
		list[i] = &nodes[i];
	}
}

/* The name of the node, or NULL. Ends the trial. */
static const char *place(struct script_set *set, const char *spec)
{
	static char why[sizeof(((struct gantry_error *)NULL)->text)];
	struct node *chosen = NULL;
	struct trial trial;

	begin(&trial, set, spec);
	trial.code =
		script_place(set, &trial.request, list, 4, &chosen, &trial.decision, &trial.err);
	snprintf(why, sizeof(why), "%s", trial.code ? trial.err.text : chosen->name);
	if (trial.code == 0)
		node_promise(chosen, &trial.spec, 1);
	trial_end(&trial);
	return why;
}

/* --- quota --------------------------------------------------------------------------------------- */

static void expect_quota(struct script_set *set, const char *verb, const char *spec,
			 struct fleet_usage usage, const char *refused)
{
	struct node *chosen;
	struct trial trial;

	begin(&trial, set, spec);
	trial.request.usage = usage;
	trial.request.verb = verb;
	admit(&trial);
	if (trial.code == 0 && str_equal(verb, "spawn")) {
		make_nodes();
		trial.code = script_place(set, &trial.request, list, 4, &chosen, &trial.decision,
					  &trial.err);
	}
	expect(&trial, refused, spec);
}

static void test_quota(void)
{
	static const char *const edits[] = {
		"-- blue = { instances = 20, memory = \"32GiB\", cpus = 16 }",
		"blue = { instances = 3, memory = \"1GiB\", cpus = 2 }, free = {}", NULL};
	struct script_set *set = load("quota", edits);
	const int64_t mib = 1 << 20, cpu = 1000000000;
	static const char half[] =
		"{\"image\":\"a\",\"project\":\"blue\",\"memory\":\"512MiB\",\"cpus\":1}";

	expect_quota(set, "spawn", half, (struct fleet_usage){0}, NULL);
	expect_quota(set, "spawn", half, (struct fleet_usage){2, 512 * mib, cpu}, NULL);
	expect_quota(set, "spawn", half, (struct fleet_usage){3, 3 * mib, cpu / 2},
		     "project blue has 3 instances of 3");
	expect_quota(set, "spawn", half, (struct fleet_usage){2, 513 * mib, cpu},
		     "project blue has 513MiB of 1GiB memory, 512MiB more is wanted");
	expect_quota(set, "spawn", half, (struct fleet_usage){2, 512 * mib, cpu + cpu / 2},
		     "project blue has 1.5 of 2 CPUs, 1 more are wanted");
	expect_quota(set, "resize", half, (struct fleet_usage){2, 513 * mib, cpu},
		     "513MiB of 1GiB");
	expect_quota(set, "resize", half, (struct fleet_usage){2, 512 * mib, cpu}, NULL);
	expect_quota(set, "stop", half, (struct fleet_usage){9, 9999 * mib, 9 * cpu}, NULL);
	expect_quota(set, "spawn", "{\"image\":\"a\",\"project\":\"blue\",\"cpus\":1}",
		     (struct fleet_usage){0}, "4 for an instance needs a limit of memory");
	expect_quota(set, "spawn", "{\"image\":\"a\",\"project\":\"blue\",\"memory\":\"8MiB\"}",
		     (struct fleet_usage){0}, "needs a limit of CPUs");
	expect_quota(set, "spawn", "{\"image\":\"a\",\"project\":\"free\"}",
		     (struct fleet_usage){999, 9999 * mib, 99 * cpu}, NULL);
	expect_quota(set, "spawn", "{\"image\":\"a\",\"memory\":\"8MiB\",\"cpus\":1}",
		     (struct fleet_usage){50, 0, 0}, "project default has 50 instances of 50");
	script_set_free(set);
}

/* --- affinity ------------------------------------------------------------------------------------ */

static void test_affinity(void)
{
	static const char web[] =
		"{\"image\":\"a\",\"labels\":{\"app\":\"web\",\"apart.app\":\"web\"}}";
	static const char thin[] =
		"{\"image\":\"a\",\"labels\":{\"tier\":\"x\",\"thin.tier\":\"x\"}}";
	struct script_set *set = load("affinity", NULL);
	int64_t most = 0;

	make_nodes();
	for (int i = 0; i < 4; i++)
		place(set, web);
	for (int i = 0; i < 4; i++)
		most = nodes[i].instances > most ? nodes[i].instances : most;
	is_int(most, 1, "apart: four on four nodes");
	like(place(set, web), "4 for apart from app=web is wanted, 1 are there",
	     "and no room for a fifth");
	is_str(place(set,
		     "{\"image\":\"a\",\"project\":\"red\",\"labels\":{\"app\":\"web\",\"apart."
		     "app\":\"web\"}}"),
	       "n0", "those of another project do not matter");
	like(place(set, "{\"image\":\"a\",\"labels\":{\"near.app\":\"db\"}}"),
	     "4 for near app=db is wanted, none is there", "near nobody");
	node_promise(&nodes[2],
		     &(struct gantry_spec){
			     .project = "default",
			     .labels = {(struct gantry_pair[]){{"app", "db"}}, 1},
			     .memory_bytes = GANTRY_UNSET,
			     .nano_cpus = GANTRY_UNSET,
		     },
		     1);
	is_str(place(set, "{\"image\":\"a\",\"labels\":{\"near.app\":\"db\"}}"), "n2", "near one");
	make_nodes();
	nodes[0].instances = 9; /* others */
	for (int i = 0; i < 8; i++)
		place(set, thin);
	is_int(nodes[0].instances, 11, "thin: two of eight on each of four nodes");
	is_int(nodes[3].instances, 2, "whatever else is there");
	is_str(place(set, "{\"image\":\"a\"}"), "n1", "no label: no opinion");
	make_nodes();
	script_set_free(set);
}

/* --- images -------------------------------------------------------------------------------------- */

static void test_images(void)
{
	static const char *const edits[] = {"-- blue = true", "blue = true", NULL};
	struct script_set *set = load("images", edits);
	static const char *const allowed[] = {
		"debian",
		"debian:12",
		"docker.io/library/debian:12",
		"registry.example.org/web",
		"registry.example.org/a/b:1.2",
		"alpine@sha256:c5b1261d6d3e43071626931fc004f70149baeba2c8ec672bd4f27761f8e1ad6b"};
	static const char *const refused[][2] = {
		{"alpine", "docker.io/library/alpine is not"},
		{"alpine:3@sha256:c5b1", "docker.io/library/alpine is not"},
		{"debian/evil", "docker.io/debian/evil is not"},
		{"evil/debian:12", "docker.io/evil/debian is not"},
		{"registry.example.org.evil.com/web", "registry.example.org.evil.com/web is not"},
		{"registry.example.org:5000/web", "registry.example.org:5000/web is not"},
		{"localhost/debian", "localhost/debian is not"},
		{"localhost:5000/registry.example.org/x:1", "localhost:5000/registry"},
	};
	char spec[256];

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		snprintf(spec, sizeof(spec), "{\"image\":\"%s\"}", allowed[i]);
		expect_admit(set, spec, NULL);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(spec, sizeof(spec), "{\"image\":\"%s\"}", refused[i][0]);
		expect_admit(set, spec, refused[i][1]);
	}
	expect_admit(set, "{\"image\":\"debian:12\",\"project\":\"blue\"}",
		     "project blue runs images by digest only, as docker.io/library/debian@sha256");
	expect_admit(set, "{\"image\":\"debian:12@sha256:0\",\"project\":\"blue\"}", NULL);
	script_set_free(set);
}

/* --- hours --------------------------------------------------------------------------------------- */

static void expect_hours(struct script_set *set, int64_t at_s, const char *verb, const char *actor,
			 const char *project, const char *refused, const char *what)
{
	struct trial trial;

	begin(&trial, set, "{\"image\":\"a\"}");
	trial.request.now_ms = at_s * 1000;
	trial.request.verb = verb;
	trial.request.actor = actor;
	trial.request.project = project;
	admit(&trial);
	expect(&trial, refused, what);
}

static void test_hours(void)
{
	const int64_t monday = 1700434800; /* 2023-11-20 00:00 one hour east of UTC */
	const int64_t hour = 3600, day = 24 * hour;
	struct script_set *set = load("hours", NULL);
	static const char who[] = "uid:7", prod[] = "production";

	expect_hours(set, monday + 8 * hour, "spawn", who, prod, NULL, "Monday at 8");
	expect_hours(set, monday + 8 * hour - 1, "spawn", who, prod, "it is day 1, 07:59",
		     "a second before");
	expect_hours(set, monday + 18 * hour - 1, "spawn", who, prod, NULL, "until 18");
	expect_hours(
		set, monday + 18 * hour, "remove", who, prod,
		"remove in project production is for days 1 to 5 from 8 to 18 o'clock; it is day "
		"1, 18:00",
		"not at 18");
	expect_hours(set, monday + 4 * day + 9 * hour, "resize", who, prod, NULL, "Friday");
	expect_hours(set, monday + 5 * day + 9 * hour, "resize", who, prod, "day 6",
		     "not Saturday");
	expect_hours(set, monday, "stop", who, prod, NULL, "stopping is always possible");
	expect_hours(set, monday, "spawn", "uid:0", prod, NULL, "for some everything is");
	expect_hours(set, monday, "spawn", who, "blue", NULL, "other projects");
	script_set_free(set);
}

/* --- environment, flavors ------------------------------------------------------------------------ */

static const struct gantry_env *variable(const struct trial *trial, const char *name)
{
	for (size_t i = 0; i < trial->spec.environment.count; i++)
		if (str_equal(trial->spec.environment.items[i].name, name))
			return &trial->spec.environment.items[i];
	return NULL;
}

static const char *value_of(const struct trial *trial, const char *name)
{
	const struct gantry_env *found = variable(trial, name);

	return found ? found->value : NULL;
}

static void begin_environment(struct trial *trial, struct script_set *set, const char *spec)
{
	begin(trial, set, spec);
	is_int(script_environment(set, &trial->request, &trial->arena, &trial->spec,
				  &trial->decision, &trial->err),
	       0, "environment of %s", spec);
}

static void test_environment(void)
{
	struct script_set *set = load("project-environment", NULL);
	struct trial trial;

	begin_environment(&trial, set,
			  "{\"image\":\"a\",\"project\":\"blue\",\"environment\":[\"LANG=de\",\"LD_"
			  "PRELOAD=x\",\"HTTP_PROXY=mine\"]}");
	is_str(value_of(&trial, "LANG"), "de", "what the request says stays");
	is_str(value_of(&trial, "HTTP_PROXY"), "http://proxy.blue.example:3128",
	       "what the project has wins");
	ok(!variable(&trial, "LD_PRELOAD"), "what must not be is taken away");
	ok(variable(&trial, "DB_PASSWORD") && variable(&trial, "DB_PASSWORD")->secret,
	   "the password is a secret");
	is_str(policy_record(&trial.decision, NULL, "environment", "HTTP_PROXY")->before,
	       "\"mine\"", "what was there is told");
	trial_end(&trial);
	begin_environment(&trial, set, "{\"image\":\"a\",\"project\":\"red\"}");
	is_str(value_of(&trial, "LANG"), "C.UTF-8", "the default");
	is_int((long long)trial.spec.environment.count, 1, "and no more in another project");
	ok(!policy_record(&trial.decision, NULL, "environment", "LD_PRELOAD"),
	   "nothing is taken away where there was nothing");
	trial_end(&trial);
	script_set_free(set);
}

static void begin_resources(struct trial *trial, struct script_set *set, const char *spec)
{
	begin(trial, set, spec);
	admit(trial);
	if (trial->code == 0)
		trial->code = script_resources(set, &trial->request, &trial->arena, &trial->spec,
					       &trial->decision, &trial->err);
}

static void test_flavors(void)
{
	static const char *const edits[] = {"-- large = { blue = true }", "large = { blue = true }",
					    NULL};
	struct script_set *set = load("flavors", edits);
	struct trial trial;

	begin_resources(&trial, set,
			"{\"image\":\"a\",\"memory\":\"9GiB\",\"labels\":{\"flavor\":\"medium\"}}");
	ok(trial.spec.memory_bytes == 2LL << 30 && trial.spec.nano_cpus == 2000000000 &&
		   trial.spec.pids == 1024,
	   "a flavor wins over the request");
	expect(&trial, NULL, "medium");
	begin_resources(&trial, set, "{\"image\":\"a\"}");
	is_int(trial.spec.memory_bytes, 512 << 20, "the default");
	trial_end(&trial);
	begin_resources(&trial, set,
			"{\"image\":\"a\",\"memory_swap\":\"100MiB\",\"memory\":\"50MiB\"}");
	is_int(trial.spec.memory_swap_bytes, 512 << 20, "memory and swap together fit");
	expect(&trial, NULL, "memory_swap");
	begin_resources(&trial, set, "{\"image\":\"a\",\"labels\":{\"flavor\":\"huge\"}}");
	expect(&trial, "there is no flavor huge; there are large, medium, small, tiny", "huge");
	begin_resources(&trial, set, "{\"image\":\"a\",\"labels\":{\"flavor\":\"large\"}}");
	expect(&trial, "flavor large is not for project default", "large");
	begin_resources(&trial, set,
			"{\"image\":\"a\",\"project\":\"blue\",\"labels\":{\"flavor\":\"large\"}}");
	is_int((long long)trial.spec.ulimits.count, 1, "with a limit of open files");
	expect(&trial, NULL, "large in blue");
	script_set_free(set);
}

/* --- canary -------------------------------------------------------------------------------------- */

static int count_canaries(struct script_set *set, bool *ret_is)
{
	int count = 0;
	char spec[128];

	for (int i = 0; i < 400; i++) {
		struct trial trial;

		snprintf(spec, sizeof(spec), "{\"image\":\"a\",\"name\":\"web-%d\"}", i);
		begin(&trial, set, spec);
		script_environment(set, &trial.request, &trial.arena, &trial.spec, &trial.decision,
				   &trial.err);
		ret_is[i] = str_equal(value_of(&trial, "CHANNEL"), "canary");
		count += ret_is[i];
		trial_end(&trial);
	}
	return count;
}

static void test_canary(void)
{
	static const char *const edits[] = {"local percent = 10", "local percent = 30", NULL};
	struct gantry_pair label = {"canary", "yes"};
	const struct gantry_pairs labels = {&label, 1};
	struct script_set *set = load("canary", NULL), *more = load("canary", edits);
	bool few[400], many[400], wrong = false;
	int count = count_canaries(set, few), grown = count_canaries(more, many);
	struct trial trial;

	ok(count >= 25 && count <= 55, "%d of 400 are canaries at 10 percent", count);
	ok(grown >= 95 && grown <= 145, "%d at 30 percent", grown);
	for (int i = 0; i < 400; i++)
		wrong |= few[i] && !many[i];
	ok(!wrong, "those who were stay so");
	make_nodes();
	nodes[3].labels = &labels;
	nodes[3].instances = 50;
	for (int i = 0; i < 40; i++) {
		char spec[128];
		const char *node;

		snprintf(spec, sizeof(spec), "{\"image\":\"a\",\"name\":\"web-%d\"}", i);
		node = place(set, spec);
		wrong |= few[i] != str_equal(node, "n3");
	}
	ok(!wrong, "they and nobody else go to nodes for canaries, as environment has it");
	begin_environment(&trial, set, "{\"image\":\"a\",\"labels\":{\"canary\":\"yes\"}}");
	is_str(value_of(&trial, "CHANNEL"), "canary", "by hand");
	trial_end(&trial);
	is_str(place(set, "{\"image\":\"a\",\"labels\":{\"canary\":\"yes\"}}"), "n3", "there");
	for (int i = 0; i < 400; i++) {
		char spec[128];

		if (!few[i])
			continue;
		snprintf(spec, sizeof(spec),
			 "{\"image\":\"a\",\"name\":\"web-%d\",\"labels\":{\"canary\":\"no\"}}", i);
		begin_environment(&trial, set, spec);
		is_str(value_of(&trial, "CHANNEL"), "stable", "and out again by hand");
		trial_end(&trial);
		break;
	}
	nodes[3].labels = NULL;
	ok(strlen(place(set, "{\"image\":\"a\",\"labels\":{\"canary\":\"yes\"}}")) == 2,
	   "anywhere where no node is for them");
	make_nodes();
	script_set_free(set);
	script_set_free(more);
}

/* --- restart ------------------------------------------------------------------------------------- */

static struct script_restart restart(struct script_set *set, const char *label, int code,
				     int64_t ran_ms, int64_t restarts, const char *cause)
{
	struct gantry_pair pair = {"restart", label};
	struct instance instance = {.id = "i", .spec = {.labels = {&pair, label ? 1 : 0}}};
	const struct instance_exit last_exit = {.known = true, .code = code, .ran_ms = ran_ms};
	const struct script_exit told = {&last_exit, cause, restarts};
	struct script_request request = {
		.verb = "restart", .actor = "gantry", .project = "p", .instance = &instance};
	struct script_decision decision;
	struct script_restart answer;

	script_decision_init(&decision, set, &request, 1);
	script_restart(set, &request, &told, &decision, &answer);
	script_decision_fini(&decision);
	return answer;
}

static void test_restart(void)
{
	struct script_set *set = load("restart", NULL);

	is_int(restart(set, NULL, 1, 0, 0, "exit").what, SCRIPT_RESTART_LEAVE, "no label: left");
	is_int(restart(set, "on-failure", 0, 0, 0, "exit").what, SCRIPT_RESTART_LEAVE,
	       "it ended well: left");
	is_int(restart(set, "always", 0, 0, 0, "exit").after_ms, 1000, "always: after a second");
	is_int(restart(set, "on-failure", 1, 0, 3, "exit").after_ms, 8000, "then it doubles");
	is_int(restart(set, "on-failure", 1, 0, 9, "exit").after_ms, 60000, "up to a minute");
	is_int(restart(set, "on-failure", 1, 0, 10, "exit").what, SCRIPT_RESTART_FAIL,
	       "then it is given up");
	is_int(restart(set, "on-failure", 1, 600000, 10, "exit").after_ms, 1000,
	       "but not where it had run for a while");
	is_int(restart(set, "on-failure", 0, 0, 10, "engine").after_ms, 0,
	       "at once where the engine came back");
	script_set_free(set);
}

/* --- notify -------------------------------------------------------------------------------------- */

/* Runs the hook for an event; statuses are what the server answers, one a request, 0: it is not there. What it did,
 * as "POST 1000 POST": the times that it slept are in ms; "!" where it failed. */
static const char *notify(struct script_runner *runner, const char *event, const int *statuses)
{
	static struct fleet fleet;
	static struct str done;
	const struct script_moment moment = {.fleet = &fleet, .now_ms = 1700000000000};
	enum script_run run;

	fleet_init(&fleet);
	str_clear(&done);
	for (run = script_runner_start(runner, event, &moment); run == SCRIPT_RUN_WAITS;) {
		const struct script_wait *wait = script_runner_wait(runner);
		struct script_answer answer = {0};

		str_add(&done, done.length ? " " : "");
		if (wait->what == SCRIPT_WAIT_HTTP) {
			str_addf(&done, "%s", wait->method);
			answer = (struct script_answer){.status = *statuses, .body = ""};
			answer.error = *statuses++ ? NULL : "nobody listens there";
			is_str(wait->url, "https://hooks.example.org/gantry/alert",
			       "the URL of the file");
			is_str(wait->content_type, "application/json", "as JSON");
			like(wait->body, "\"text\":\"", "with a text");
		} else {
			str_addf(&done, "%lld", (long long)wait->time_ms);
		}
		run = script_runner_go_on(runner, &answer, &moment);
	}
	if (run == SCRIPT_RUN_FAILED)
		str_add(&done, " !");
	fleet_fini(&fleet);
	return str_text(&done);
}

static void test_notify(void)
{
	static const char exited[] =
		"{\"sequence\":1,\"at\":\"2026-01-02T03:04:05Z\",\"kind\":\"instance.exited\",\"instance\":\"i\","
		"\"name\":\"web\",\"project\":\"p\",\"node\":\"n\",\"exit\":{\"code\":%d,\"oom_killed\":true}}";
	struct script_set *set = load("notify", NULL);
	struct script_runner *runner = script_runner_take(set, 0);
	char well[300], badly[300];

	snprintf(well, sizeof(well), exited, 0);
	snprintf(badly, sizeof(badly), exited, 3);
	is_str(notify(runner, well, NULL), "", "what ended well is nobody's business");
	is_str(notify(runner, badly, (const int[]){204}), "POST", "what did not is told");
	is_str(notify(runner, badly, (const int[]){503, 0, 429, 200}),
	       "POST 1000 POST 5000 POST 15000 POST", "again where nobody listens");
	is_str(notify(runner, badly, (const int[]){404}), "POST !",
	       "not where it would be of no use");
	like(script_runner_error(runner),
	     "did not take \"web ended with 3, killed for memory\": status 404",
	     "then it is an error");
	is_str(notify(runner, badly, (const int[]){500, 500, 500, 0}),
	       "POST 1000 POST 5000 POST 15000 POST !", "nor for ever");
	like(script_runner_error(runner), "nobody listens there", "with the last reason");
	is_str(notify(runner,
		      "{\"sequence\":2,\"kind\":\"node.down\",\"node\":\"n\",\"reason\":\"gone\"}",
		      (const int[]){200}),
	       "POST", "a node that is down");
	is_str(notify(runner,
		      "{\"sequence\":3,\"kind\":\"instance.failed\",\"name\":\"web\",\"instance\":\"i\"}",
		      (const int[]){200}),
	       "POST", "one that failed, for no reason given");
	is_str(notify(runner,
		      "{\"sequence\":4,\"kind\":\"instance.lost\",\"name\":\"web\",\"instance\":\"i\"}",
		      (const int[]){200}),
	       "POST", "one that is lost");
	is_str(notify(runner,
		      "{\"sequence\":5,\"kind\":\"instance.started\",\"name\":\"web\",\"instance\":\"i\"}",
		      NULL),
	       "", "nothing else");
	script_runner_free(runner);
	script_set_free(set);
}

/* --- logs ---------------------------------------------------------------------------------------- */

static void test_logs(void)
{
	const struct gantry_pairs none = {0};
	const struct script_origin origin = {.instance = "i", .labels = &none};
	struct script_set *set = load("logs", NULL); /* with its own tests */
	struct script_log_counts counts = {0};
	struct script_line lines[1000];
	struct arena arena = {0};
	size_t shown = 0;

	for (int i = 0; i < 1000; i++)
		lines[i] = (struct script_line){.origin = &origin,
						.sequence = i,
						.stream = 1,
						.text = "DEBUG token=abc",
						.length = 15};
	script_log(set, lines, 1000, &arena, &counts);
	for (int i = 0; i < 1000; i++) {
		shown += lines[i].fate == SCRIPT_LINE_SHOWN;
		if (lines[i].fate == SCRIPT_LINE_SHOWN &&
		    !str_equal(lines[i].text, "DEBUG token=***"))
			ok(false, "a secret is shown: %s", lines[i].text);
	}
	ok(shown > 20 && shown < 90, "of 1000 lines that debug some 50 are shown: %zu", shown);
	is_int(counts.failed, 0, "and none fails");
	arena_fini(&arena);
	script_set_free(set);
}

int main(void)
{
	policy_start();
	test_quota();
	test_affinity();
	test_images();
	test_hours();
	test_environment();
	test_flavors();
	test_canary();
	test_restart();
	test_notify();
	test_logs();
	policy_stop();
	done_testing();
	return tap_end();
}
