/* SPDX-License-Identifier: Apache-2.0 */
/* All policy files of a folder, loaded at one time. */
#include "base/hash.h"
#include "base/str.h"
#include "script/policy.h"
#include "script/selftest.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#define POLICIES_MAX 256

struct names {
	char **items; /* owned */
	size_t count;
};

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
}

static bool is_policy_name(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && length > 4 && length < 128 && str_equal(name + length - 4, ".lua");
}

static int list_files(const char *folder, struct names *ret_names, struct gantry_error *err)
{
	struct names names = {0};
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int code = 0;

	if (!dir)
		return gantry_error_set(err, -errno, "cannot read the policies folder %s: %s",
					folder, strerror(errno));
	names.items = xcalloc(POLICIES_MAX, sizeof(names.items[0]));
	while (code == 0 && (entry = readdir(dir))) {
		if (!is_policy_name(entry->d_name))
			continue;
		if (names.count == POLICIES_MAX)
			code = gantry_error_set(err, -E2BIG, "%s has more than %d policy files",
						folder, POLICIES_MAX);
		else
			names.items[names.count++] = xstrdup(entry->d_name);
	}
	closedir(dir);
	if (code < 0) {
		names_fini(&names);
		return code;
	}
	qsort(names.items, names.count, sizeof(names.items[0]), compare_names);
	*ret_names = names;
	return 0;
}

static int check_name(const struct script_set *set, const struct policy *policy,
		      struct gantry_error *err)
{
	for (size_t i = 0; i < set->count; i++)
		if (str_equal(set->policies[i]->name, policy->name))
			return gantry_error_set(err, -EEXIST, "%s: the name \"%s\" is taken by %s",
						policy->source.name, policy->name,
						set->policies[i]->source.name);
	return 0;
}

/* One file in place of a folder: to check it alone. */
static bool is_file(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

static int add_file(struct script_set *set, const char *path, const struct script_budget *budget,
		    struct hash *hash, struct gantry_error *err)
{
	struct policy *policy;
	struct source source;
	int code = source_read(path, &source, err);

	if (code < 0)
		return code;
	hash_add(hash, source.name, strlen(source.name) + 1);
	hash_add(hash, &source.length, sizeof(source.length));
	hash_add(hash, source.text, source.length);
	code = policy_load(&source, budget, &policy, err);
	if (code < 0)
		return code;
	code = check_name(set, policy, err);
	if (code == 0)
		code = selftest_run(policy, err);
	if (code < 0) {
		policy_free(policy);
		return code;
	}
	set->policies[set->count++] = policy;
	return 0;
}

int script_set_load(const char *folder, const struct script_budget *budget,
		    struct script_set **ret_set, struct gantry_error *err)
{
	unsigned char digest[HASH_BYTES];
	struct script_set *set;
	struct names names = {0};
	struct hash hash;
	int code = is_file(folder) ? 0 : list_files(folder, &names, err);

	if (code < 0)
		return code;
	set = xcalloc(1, sizeof(*set));
	set->policies = xcalloc(names.count + 1, sizeof(set->policies[0]));
	hash_init(&hash);
	if (!names.items)
		code = add_file(set, folder, budget, &hash, err);
	for (size_t i = 0; i < names.count && code == 0; i++) {
		char *path = xasprintf("%s/%s", folder, names.items[i]);

		code = add_file(set, path, budget, &hash, err);
		free(path);
	}
	names_fini(&names);
	if (code < 0) {
		script_set_free(set);
		return code;
	}
	hash_end(&hash, digest);
	hash_hex(digest, 8, set->revision);
	*ret_set = set;
	return 0;
}

void script_set_free(struct script_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		policy_free(set->policies[i]);
	free(set->policies);
	kept_nodes_fini(&set->kept);
	free(set);
}

const char *script_set_revision(const struct script_set *set)
{
	return set->revision;
}

static struct json_object *print_log_counts(const struct policy *policy)
{
	const struct script_log_counts *counts = &policy->log_counts;
	struct json_object *object = json_object_new_object();

	json_add_int(object, "lines", counts->lines);
	json_add_int(object, "dropped", counts->dropped);
	json_add_int(object, "changed", counts->changed);
	json_add_int(object, "tagged", counts->tagged);
	json_add_int(object, "failed", counts->failed);
	json_add_int(object, "took_us", counts->took_us);
	return object;
}

struct json_object *script_set_print(const struct script_set *set)
{
	static const char *const rules[] = {"default", "deny", "skip"};
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < set->count; i++) {
		const struct policy *policy = set->policies[i];
		struct json_object *object = json_object_new_object();
		struct json_object *hooks = json_object_new_array();

		json_add_string(object, "name", policy->name);
		json_add_string(object, "file", policy->source.name);
		json_add_string(object, "mode", policy->shadow ? "shadow" : "enforce");
		json_add_string(object, "on_error", rules[policy->on_error]);
		for (int hook = 0; hook < HOOK_COUNT; hook++)
			if (policy_has(policy, hook))
				json_object_array_add(hooks,
						      json_object_new_string(hook_text(hook)));
		json_object_object_add(object, "hooks", hooks);
		if (policy_has(policy, HOOK_LOG))
			json_object_object_add(object, "log", print_log_counts(policy));
		json_add_int(object, "tests", (int64_t)policy_tests(policy));
		json_object_array_add(list, object);
	}
	return list;
}
