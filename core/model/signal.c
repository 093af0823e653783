/* SPDX-License-Identifier: Apache-2.0 */
/* Names of signals, as engines take them: 1 to 31 by name, real-time ones from RTMIN (34) to RTMAX. */
#include "model/instance.h"
#include "base/str.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>

#define RT_MIN 34 /* as the engine's host counts, not this process */
#define RT_MAX 64

/* 0 to max, or -1. */
static int small_number(const char *text, int max)
{
	int number = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -1;
		number = number * 10 + (*text - '0');
		if (number > max)
			return -1;
	}
	return number;
}

static int parse_real_time(const char *name)
{
	int offset = 0;

	if (!str_equal(name, "RTMIN") && !str_equal(name, "RTMAX")) {
		if (!str_starts_with(name, "RTMIN+") && !str_starts_with(name, "RTMAX-"))
			return 0;
		offset = small_number(name + 6, RT_MAX - RT_MIN);
		if (offset < 0)
			return 0;
	}
	return str_starts_with(name, "RTMIN") ? RT_MIN + offset : RT_MAX - offset;
}

int instance_signal_parse(const char *text)
{
	static const struct {
		const char *name;
		int signal;
	} aliases[] = {{"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"IO", SIGIO}, {"UNUSED", SIGSYS}};
	char name[16];
	size_t length = strlen(text);
	int number = small_number(text, RT_MAX);

	if (number >= 0)
		return number;
	if (length >= sizeof(name))
		return 0;
	for (size_t i = 0; i <= length; i++)
		name[i] = (char)toupper((unsigned char)text[i]);
	if (str_starts_with(name, "SIG"))
		memmove(name, name + 3, length - 3 + 1);
	for (int signal = 1; signal < 32; signal++)
		if (str_equal(sigabbrev_np(signal), name))
			return signal;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (str_equal(aliases[i].name, name))
			return aliases[i].signal;
	return parse_real_time(name);
}
