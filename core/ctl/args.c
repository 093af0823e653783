/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/args.h"

#include <stdlib.h>

#include "base/str.h"

static const struct ctl_option *find_name(const struct ctl_option *const *tables, const char *name,
					  size_t length)
{
	for (; *tables; tables++)
		for (const struct ctl_option *option = *tables; option->name; option++)
			if (length && strlen(option->name) == length &&
			    memcmp(option->name, name, length) == 0)
				return option;
	return NULL;
}

static const struct ctl_option *find_letter(const struct ctl_option *const *tables, char letter)
{
	for (; *tables; tables++)
		for (const struct ctl_option *option = *tables; option->name; option++)
			if (option->name[0] && option->letter == letter)
				return option;
	return NULL;
}

static void add(struct args *args, const struct ctl_option *option, const char *value)
{
	args->items = xrealloc(args->items, (args->count + 1) * sizeof(*args->items));
	args->items[args->count++] = (struct arg){option, value};
}

/* The first error is the one that is told. */
__attribute__((format(printf, 3, 4))) static void fail(struct gantry_error *err, bool *failed,
						       const char *format, ...)
{
	va_list args;

	if (*failed)
		return;
	*failed = true;
	va_start(args, format);
	gantry_error_setv(err, -EINVAL, format, args);
	va_end(args);
}

/* The name that was meant: the only one that begins so, else the nearest. */
static const char *meant(const char *name, const char *const *names)
{
	const char *found = NULL;

	for (const char *const *each = names; *each; each++) {
		if (!str_starts_with(*each, name))
			continue;
		if (found) /* "memory" before "memory-swap" */
			return str_starts_with(*each, found) ? found : str_nearest(name, names);
		found = *each;
	}
	return found ? found : str_nearest(name, names);
}

static void fail_unknown(struct gantry_error *err, bool *failed,
			 const struct ctl_option *const *tables, const char *name)
{
	const char **names = xcalloc(1, sizeof(*names));
	const char *nearest;
	size_t count = 0;

	for (; *tables; tables++)
		for (const struct ctl_option *option = *tables; option->name; option++) {
			if (!option->name[0])
				continue;
			names = xrealloc(names, (count + 2) * sizeof(*names));
			names[count++] = option->name;
			names[count] = NULL;
		}
	nearest = meant(name, names);
	if (nearest)
		fail(err, failed, "there is no option --%s; did you mean --%s?", name, nearest);
	else
		fail(err, failed, "there is no option --%s", name);
	free(names);
}

/* One word that begins with "--". Answers how many words it took. */
static int read_long(struct args *args, const char *word, const char *next,
		     const struct ctl_option *const *tables, bool *failed, struct gantry_error *err)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
	const struct ctl_option *option = find_name(tables, word + 2, length);

	if (!option) {
		char *name = xasprintf("%.*s", (int)length, word + 2);

		fail_unknown(err, failed, tables, name);
		free(name);
		return 1;
	}
	if (!option->metavar[0]) {
		if (equals)
			fail(err, failed, "--%s takes no value", option->name);
		add(args, option, NULL);
		return 1;
	}
	if (equals) {
		add(args, option, equals + 1);
		return 1;
	}
	if (!next) {
		fail(err, failed, "--%s wants a value: --%s %s", option->name, option->name,
		     option->metavar);
		args->waiting = option;
		return 1;
	}
	add(args, option, next);
	return 2;
}

/* One word that begins with a single "-": flags, the last one perhaps with a value. */
static int read_short(struct args *args, const char *word, const char *next,
		      const struct ctl_option *const *tables, bool *failed,
		      struct gantry_error *err)
{
	for (const char *p = word + 1; *p; p++) {
		const struct ctl_option *option = find_letter(tables, *p);

		if (!option) {
			fail(err, failed, "there is no option -%c", *p);
			return 1;
		}
		if (!option->metavar[0]) {
			add(args, option, NULL);
			continue;
		}
		if (p[1]) {
			add(args, option, p[1] == '=' ? p + 2 : p + 1);
			return 1;
		}
		if (!next) {
			fail(err, failed, "-%c wants a value: -%c %s", *p, *p, option->metavar);
			args->waiting = option;
			return 1;
		}
		add(args, option, next);
		return 2;
	}
	return 1;
}

int args_parse(struct args *args, int argc, char **argv, const struct ctl_option *const *tables,
	       bool words_end, int *ret_used, struct gantry_error *err)
{
	bool failed = false;
	int i = 0;

	args->ended = false;
	args->waiting = NULL;
	args->words =
		xrealloc(args->words, (args->word_count + (size_t)argc + 1) * sizeof(*args->words));
	while (i < argc) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (!args->ended && strcmp(argv[i], "--") == 0) {
			args->ended = true;
			i++;
		} else if (!args->ended && str_starts_with(argv[i], "--")) {
			i += read_long(args, argv[i], next, tables, &failed, err);
		} else if (!args->ended && argv[i][0] == '-' && argv[i][1]) {
			i += read_short(args, argv[i], next, tables, &failed, err);
		} else if (words_end) {
			break;
		} else {
			args->words[args->word_count++] = argv[i++];
		}
	}
	if (ret_used)
		*ret_used = i;
	else
		while (i < argc)
			args->words[args->word_count++] = argv[i++];
	return failed ? -EINVAL : 0;
}

void args_fini(struct args *args)
{
	free(args->items);
	free(args->words);
	*args = (struct args){0};
}

bool args_has(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->count; i++)
		if (strcmp(args->items[i].option->name, name) == 0)
			return true;
	return false;
}

const char *args_text(const struct args *args, const char *name, const char *fallback)
{
	const char *value = fallback;

	for (size_t i = 0; i < args->count; i++)
		if (args->items[i].value && strcmp(args->items[i].option->name, name) == 0)
			value = args->items[i].value;
	return value;
}
