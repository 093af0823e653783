/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion: what the last word of a command line may become. The line is read by the parser and the
 * tables that run it. A value is known by the name it has in the help ("NODE", "FILE"): words in
 * small letters are meant as they are ("local|json-file"), others are looked up here.
 *
 * gantryd is asked for names, once and shortly; where it does not answer there are none.
 */
#include <signal.h>
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"

#define LIMIT_MS 500

/* The word that is being typed. */
struct typed {
	const char
		*before; /* of it what stands in front of the part that is completed, "--node=" */
	const char *part;
};

static void offer(const struct typed *typed, const char *word, const char *meaning)
{
	struct str line = STR_INIT;

	if (!str_starts_with(word, typed->part))
		return;
	output_clean(&line, typed->before);
	output_clean(&line, word);
	if (meaning) {
		str_add_char(&line, '\t');
		output_clean(&line, meaning);
	}
	puts(str_text(&line));
	str_fini(&line);
}

/* Any file: the shell knows them. */
static void offer_files(void)
{
	puts(":files");
}

/* --- values -------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *words;
} sets[] = {
	{"STATE", "pending creating starting running paused stopping stopped failed removing "
		  "unknown"},
	{"MODE", "bridge host none"},
};

static const struct list {
	const char *name, *route;
	const char *key, *member,
		*meaning; /* of the list in the answer, of its items; NULL: none */
	bool by_project;
} lists[] = {
	{"INSTANCE", "/v1/instances", "instances", "name", "image", true},
	{"PROJECT", "/v1/instances", "instances", "project", NULL, false},
	{"NODE", "/v1/nodes", "nodes", "name", "state", false},
	{"IMAGE", "/v1/images", "images", "tags", NULL, false},
	{"OPERATION", "/v1/operations", "operations", "id", "kind", false},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void offer_words(const char *words, const struct typed *typed)
{
	char *copy = xstrdup(words), *rest = copy, *word;

	while ((word = strsep(&rest, " ")))
		offer(typed, word, NULL);
	free(copy);
}

static void offer_signals(const struct typed *typed)
{
	for (int number = 1; number < NSIG; number++) {
		const char *name = sigabbrev_np(number);

		if (name)
			offer(typed, name, NULL);
	}
}

/* Adds the string, or those of the array, to the set. */
static void collect(struct json_object *set, struct json_object *value, const char *meaning)
{
	if (json_object_is_type(value, json_type_array))
		for (size_t i = 0; i < json_object_array_length(value); i++)
			collect(set, json_object_array_get_idx(value, i), meaning);
	else if (json_object_is_type(value, json_type_string))
		json_add_string(set, json_object_get_string(value), meaning ? meaning : "");
}

/* What gantryd has by that name; args say where it is, and the project. */
static void offer_list(const struct list *list, const struct args *args, const struct typed *typed)
{
	struct client_settings settings = ctl_client_settings(args);
	struct json_object *items, *set = json_object_new_object();
	struct client_reply reply = {0};
	const char *project = args_text(args, "project", NULL);
	struct client *client = NULL;
	struct str path = STR_INIT;

	settings.limit_ms = LIMIT_MS;
	str_add(&path, list->route);
	if (list->by_project && project)
		path_query(&path, "project", project);
	if (client_open(&settings, &client, NULL) == 0 &&
	    client_call(client, "GET", str_text(&path), NULL, 0, &reply, NULL) == 0) {
		items = json_get(reply.json, list->key);
		for (size_t i = 0; items && i < json_object_array_length(items); i++) {
			struct json_object *item = json_object_array_get_idx(items, i);

			collect(set, json_get(item, list->member),
				list->meaning ? json_get_string(item, list->meaning, NULL) : NULL);
		}
		json_object_object_foreach(set, name, value)
		{
			const char *meaning = json_object_get_string(value);

			offer(typed, name, *meaning ? meaning : NULL);
		}
	}
	client_reply_fini(&reply);
	client_close(client);
	str_fini(&path);
	json_object_put(set);
}

/* The first words of all commands, or the second ones of a group. Those of a group stand together. */
static void offer_commands(const char *group, const struct typed *typed)
{
	const char *last = "";

	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		const char *space = strchr(command->name, ' ');
		char *first = space ? xasprintf("%.*s", (int)(space - command->name), command->name)
				    : xstrdup(command->name);

		if (group && space && strcmp(group, first) == 0)
			offer(typed, space + 1, command->summary);
		else if (!group && !space)
			offer(typed, first, command->summary);
		else if (!group && !(str_starts_with(last, first) && last[strlen(first)] == ' '))
			offer(typed, first, NULL);
		last = command->name;
		free(first);
	}
}

static bool is_small(const char *word)
{
	return *word && word[strspn(word, "abcdefghijklmnopqrstuvwxyz-")] == '\0';
}

/* A value by its name in the help, as "DECISION|INSTANCE", "NODE" or "local|json-file". */
static void offer_value(const char *names, const struct args *args, const struct typed *typed)
{
	char *copy = xstrdup(names), *rest = copy, *name;
	bool files = false;

	while ((name = strsep(&rest, "|"))) {
		if (is_small(name))
			offer(typed, name, NULL);
		else if (strcmp(name, "SIGNAL") == 0)
			offer_signals(typed);
		else if (strcmp(name, "FILE") == 0 || strcmp(name, "FOLDER") == 0 ||
			 strcmp(name, "PATH") == 0)
			files = true;
		for (size_t i = 0; i < COUNT(sets); i++)
			if (strcmp(sets[i].name, name) == 0)
				offer_words(sets[i].words, typed);
		for (size_t i = 0; i < COUNT(lists); i++)
			if (strcmp(lists[i].name, name) == 0)
				offer_list(&lists[i], args, typed);
	}
	if (files)
		offer_files();
	free(copy);
}

/* --- the line ------------------------------------------------------------------------------------ */

/* The value of an option; of several joined by commas the last one. */
static void offer_option_value(const struct ctl_option *option, const struct args *args,
			       const char *before, const char *value)
{
	const char *comma = strcmp(option->metavar, "STATE") == 0 ? strrchr(value, ',') : NULL;
	const char *part = comma ? comma + 1 : value;
	char *front = xasprintf("%s%.*s", before, (int)(part - value), value);

	offer_value(option->metavar, args, &(struct typed){front, part});
	free(front);
}

/* Names of options, or the value of one that is typed as --name=value. */
static void offer_options(const struct ctl_option *const *tables, const struct args *args,
			  const char *word)
{
	const char *equals = strchr(word, '=');
	const struct typed typed = {"--", str_starts_with(word, "--") ? word + 2 : ""};

	for (; *tables; tables++)
		for (const struct ctl_option *option = *tables; option->name; option++) {
			if (!option->name[0])
				continue;
			if (!equals) {
				offer(&typed, option->name, option->help);
			} else if (strlen(option->name) == (size_t)(equals - typed.part) &&
				   str_starts_with(typed.part, option->name)) {
				char *before = xasprintf("--%s=", option->name);

				offer_option_value(option, args, before, equals + 1);
				free(before);
			}
		}
}

/* The word at that place of those that a command takes ("IMAGE [COMMAND [ARGUMENT…]]"). */
static void offer_word(const struct ctl_command *command, size_t place, const struct args *args,
		       const char *word)
{
	char *copy = xstrdup(command->words), *rest = copy, *name = NULL, *next;
	const struct typed typed = {"", word};

	while ((next = strsep(&rest, " "))) {
		name = next + strspn(next, "[");
		if (place-- == 0 || strstr(name, "…"))
			break;
	}
	if (command->flags & CTL_WORDS_END && args->word_count) {
		offer_files(); /* of a command to run anything may be meant */
	} else if (next) {
		for (char *end = name; *end; end++)
			if (*end == ']' || str_starts_with(end, "…"))
				*end = '\0';
		offer_value(name, args, &typed);
	}
	free(copy);
}

static void offer_after(const struct ctl_option *const *tables, const struct ctl_command *command,
			char *const *words, int count, struct args *args, const char *word)
{
	const struct typed typed = {"", word};

	if (args->waiting)
		offer_option_value(args->waiting, args, "", word);
	else if (word[0] == '-' && !args->ended &&
		 !(command && command->flags & CTL_WORDS_END && args->word_count))
		offer_options(tables, args, word);
	else if (command && command->run == help_words_command)
		offer_commands(args->word_count ? args->words[0] : NULL, &typed);
	else if (command)
		offer_word(command, args->word_count, args, word);
	else if (count < 2)
		offer_commands(count ? words[0] : NULL, &typed);
}

/* The words are those after "gantry", the last one as far as it is typed. */
int complete_command(struct ctl *ctl)
{
	const struct ctl_option *tables[CTL_TABLES_MAX];
	const struct ctl_command *command = NULL;
	int count = (int)ctl->args->word_count - 1, used = 0, name_words = 0;
	char **words = ctl->args->words;
	const char *word = words[count];
	struct args args = {0};

	ctl_tables(NULL, tables);
	args_parse(&args, count, words, tables, true, &used, NULL);
	words += used;
	count -= used;
	if (!args.waiting)
		command = ctl_find_command(count, words, &name_words);
	if (command) {
		ctl_tables(command, tables);
		args_parse(&args, count - name_words, words + name_words, tables,
			   command->flags & CTL_WORDS_END, NULL, NULL);
	}
	offer_after((const struct ctl_option *const *)tables, command, words, count, &args, word);
	args_fini(&args);
	return CTL_OK;
}
