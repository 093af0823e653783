/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of policies: a folder of files made on the spot, a request, a few nodes. */
#ifndef T_POLICY_H
#define T_POLICY_H

#include "base/clock.h"
#include "model/spec.h"
#include "script/script.h"
#include "tap.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* CPU time of this thread: what else the machine does is not the script's. */
__attribute__((unused)) static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* How much slower this build is: under sanitizers, under valgrind. */
__attribute__((unused)) static double slowness(void)
{
	const char *valgrind = getenv("VG");

	if (valgrind && valgrind[0])
		return 60;
#ifdef GANTRY_SANITIZED
	return 12;
#else
	return 1;
#endif
}

#define TRIAL_DECISION 17 /* its id */

static char policy_folder[64];

__attribute__((unused)) static void policy_start(void)
{
	snprintf(policy_folder, sizeof(policy_folder), "/tmp/gantry-t.XXXXXX");
	if (!mkdtemp(policy_folder))
		bail_out("no temporary folder");
}

/* Writes a policy file. */
__attribute__((unused)) static void policy_write(const char *name, const char *source)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", policy_folder, name);
	file = fopen(path, "w");
	if (!file || fwrite(source, 1, strlen(source), file) != strlen(source))
		bail_out("cannot write %s", path);
	fclose(file);
}

__attribute__((unused)) static void policy_remove(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", policy_folder, name);
	unlink(path);
}

__attribute__((unused)) static void policy_stop(void)
{
	if (rmdir(policy_folder) < 0)
		diag("%s is not empty", policy_folder);
}

__attribute__((unused)) static struct script_set *policy_load_budget(struct script_budget budget)
{
	struct script_set *set;
	struct gantry_error err;

	if (script_set_load(policy_folder, &budget, &set, &err) < 0)
		bail_out("load: %s", err.text);
	return set;
}

__attribute__((unused)) static struct script_set *policy_load_set(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;

	budget.time_ms = (int64_t)((double)budget.time_ms * slowness());
	return policy_load_budget(budget);
}

/* A set of one policy. The file is gone after. */
__attribute__((unused)) static struct script_set *policy_one(const char *source)
{
	struct script_set *set;

	policy_write("p.lua", source);
	set = policy_load_set();
	policy_remove("p.lua");
	return set;
}

/* The error of a load that must fail. */
__attribute__((unused)) static const char *policy_load_error(const char *source)
{
	static struct gantry_error err;
	struct script_set *set = NULL;
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;

	budget.time_ms = (int64_t)((double)budget.time_ms * slowness());
	policy_write("p.lua", source);
	err.text[0] = '\0';
	if (script_set_load(policy_folder, &budget, &set, &err) == 0)
		script_set_free(set);
	policy_remove("p.lua");
	return err.text;
}

__attribute__((unused)) static void policy_spec(const char *json, struct arena *arena,
						struct gantry_spec *ret_spec)
{
	struct json_object *object;
	struct gantry_error err;

	if (json_parse(json, strlen(json), &object, &err) < 0 ||
	    spec_parse(object, arena, ret_spec, &err) < 0)
		bail_out("spec: %s: %s", err.field, err.text);
	json_object_put(object);
}

__attribute__((unused)) static struct script_request policy_request(const struct gantry_spec *spec,
								    struct arena *arena)
{
	struct script_request request = {
		.verb = "spawn",
		.actor = "uid:0",
		.project = spec && spec->project ? spec->project : "default",
		.spec = spec,
		.now_ms = 1700000000123,
		.seed = 42,
	};

	if (spec)
		spec_unsafe(spec, arena, &request.unsafe);
	return request;
}

/* What a policy set makes of one request. */
struct trial {
	struct script_set *set;
	struct arena arena;
	struct gantry_spec spec;
	struct script_request request;
	struct script_decision decision;
	struct gantry_error err;
	struct node *chosen; /* see placing.h */
	int code;
};

__attribute__((unused)) static void trial_begin(struct trial *trial, struct script_set *set,
						const char *spec)
{
	*trial = (struct trial){.set = set};
	policy_spec(spec, &trial->arena, &trial->spec);
	trial->request = policy_request(&trial->spec, &trial->arena);
	script_decision_init(&trial->decision, set, &trial->request, TRIAL_DECISION);
}

__attribute__((unused)) static void trial_resources(struct trial *trial)
{
	trial->code = script_resources(trial->set, &trial->request, &trial->arena, &trial->spec,
				       &trial->decision, &trial->err);
}

__attribute__((unused)) static void trial_end(struct trial *trial)
{
	script_decision_fini(&trial->decision);
	arena_fini(&trial->arena);
}

/* As above, and the set goes with it. */
__attribute__((unused)) static void trial_end_set(struct trial *trial)
{
	trial_end(trial);
	script_set_free(trial->set);
}

/* The first record of the hook (and subject, where not NULL). */
__attribute__((unused)) static const struct script_record *
policy_record(const struct script_decision *decision, const char *policy, const char *hook,
	      const char *subject)
{
	for (size_t i = 0; i < decision->count; i++) {
		const struct script_record *record = &decision->records[i];

		if (strcmp(record->hook, hook) == 0 &&
		    (!policy || strcmp(record->policy, policy) == 0) &&
		    (!subject || (record->subject && strcmp(record->subject, subject) == 0)))
			return record;
	}
	return NULL;
}

#endif
