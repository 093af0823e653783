/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One action over many instances.
 *
 *	list, choose ─▶ a process for each, --parallel at a time ─▶ its lines are read ─▶ it ends ─▶ table
 *
 * A process does what the command does to one instance, with a connection of its own; what it prints comes by a
 * pipe, line by line: an exec's are printed with the instance's name in front, of the others the last word of
 * standard error is kept for the table. No more are begun after --max-failures failures or a signal; those under way
 * end by themselves, and what was not begun is said.
 */
#include "ctl/many.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/operation.h"
#include "ctl/output.h"

#define LINE_MAX_BYTES   ((size_t)1024 * 1024) /* a longer one is shown in parts */
#define PARALLEL_DEFAULT 8
#define PARALLEL_MOST    256

const struct ctl_option many_options[] = {
	{"all", 'a', "", "all that are chosen by what follows, in place of naming them", false},
	{"label", 'l', "NAME[=VALUE]", "with --all: only with this label", true},
	{"name", 0, "PATTERN", "with --all: only with such a name, as web-*", false},
	{"node", 0, "NODE", "with --all: only on this node", false},
	{"parallel", 0, "NUMBER", "with --all: so many at a time; 8 unless given", false},
	{"max-failures", 0, "NUMBER", "with --all: begin no more after so many failures", false},
	{"dry-run", 0, "", "with --all: only list what is chosen", false},
	{NULL, 0, NULL, NULL, false},
};

/* In which states an instance can take the action; others are not chosen. NULL: in any. */
static const struct {
	const char *command, *states;
} able[] = {
	{"start", "stopped,failed"},
	{"pause", "running"},
	{"unpause", "paused"},
	{"rm", NULL},
	{NULL, "running,paused,starting,stopping"},
};

enum outcome { NOT_DONE, UNDER_WAY, DONE, FAILED };

struct target {
	char *id, *name; /* owned */
	enum outcome outcome;
	pid_t process;
	int streams[2];      /* its standard output and error; -1: ended */
	struct str lines[2]; /* the line at hand */
	char *told;          /* owned: the last line of its standard error; NULL: none */
	int64_t started_us, took_us;
	int status;
};

struct many {
	struct ctl *ctl;
	const struct ctl_command *command;
	struct target *targets; /* owned */
	size_t count, next, under_way, failures;
	size_t parallel, failures_most; /* failures_most 0: no limit */
	int signal_fd, signal_number;
	bool shows_output; /* lines are printed, as of exec */
};

bool many_wanted(const struct args *args)
{
	for (const struct ctl_option *option = many_options; option->name; option++)
		if (args_has(args, option->name))
			return true;
	return false;
}

/* --- who ----------------------------------------------------------------------------------------- */

static int read_number(struct ctl *ctl, const char *command, const char *name, size_t least,
		       size_t most, size_t *number)
{
	const char *text = args_text(ctl->args, name, NULL);
	char *end;
	unsigned long value;

	if (!text)
		return CTL_OK;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || value < least || value > most)
		return output_usage(command, "--%s must be a number from %zu to %zu, not \"%s\"",
				    name, least, most, text);
	*number = value;
	return CTL_OK;
}

static void add_target(struct many *many, struct json_object *instance)
{
	const char *name = json_get_string(instance, "name", "");
	const char *pattern = args_text(many->ctl->args, "name", NULL);

	if (pattern && fnmatch(pattern, name, 0) != 0)
		return;
	many->targets[many->count++] = (struct target){
		.id = xstrdup(json_get_string(instance, "id", "")),
		.name = xstrdup(name),
		.streams = {-1, -1},
	};
}

static int choose(struct many *many)
{
	const struct args *args = many->ctl->args;
	struct str path = STR_INIT;
	struct client_reply reply;
	struct json_object *list;
	size_t row = 0;
	int status;

	while (able[row].command && !str_equal(able[row].command, many->command->name))
		row++;
	str_add(&path, "/v1/instances");
	for (size_t i = 0; i < args->count; i++) {
		const char *name = args->items[i].option->name;

		if (str_equal(name, "label") || str_equal(name, "node") ||
		    str_equal(name, "project"))
			path_query(&path, name, args->items[i].value);
	}
	if (able[row].states)
		path_query(&path, "state", able[row].states);
	status = call(many->ctl, NULL, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK)
		return status;
	list = json_get(reply.json, "instances");
	many->targets =
		xcalloc(list ? json_object_array_length(list) + 1 : 1, sizeof(*many->targets));
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		add_target(many, json_object_array_get_idx(list, i));
	client_reply_fini(&reply);
	return CTL_OK;
}

/* --- one of them --------------------------------------------------------------------------------- */

/* In the child: the command, as if the instance had been named. */
_Noreturn static void be_child(struct many *many, const struct target *target, int out, int err)
{
	struct args args = *many->ctl->args;
	struct ctl ctl = {.settings = many->ctl->settings, .args = &args};
	struct gantry_error failure;
	sigset_t none;
	int status;

	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	signal(SIGINT, SIG_IGN); /* who typed it means the parent */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	args.words = xcalloc(args.word_count + 2, sizeof(*args.words));
	args.words[0] = target->id;
	memcpy(args.words + 1, many->ctl->args->words, args.word_count * sizeof(*args.words));
	args.word_count++;
	if (client_open(ctl.settings, &ctl.client, &failure) < 0)
		_exit(output_fail(NULL, &failure));
	status = many->command->run(&ctl);
	fflush(stdout);
	_exit(status);
}

static void begin(struct many *many)
{
	struct target *target = &many->targets[many->next++];
	int out[2], err[2];

	target->outcome = UNDER_WAY;
	target->started_us = clock_monotonic_us();
	many->under_way++;
	fflush(stdout);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		abort();
	target->process = fork();
	if (target->process == 0)
		be_child(many, target, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	target->streams[0] = out[0];
	target->streams[1] = err[0];
	if (target->process < 0)
		abort();
}

static void take_line(struct many *many, struct target *target, int stream)
{
	struct str *line = &target->lines[stream];

	if (many->shows_output && (stream == 0 || !str_starts_with(str_text(line), "gantry: "))) {
		struct str clean = STR_INIT;

		output_clean(&clean, str_text(line));
		fprintf(stream == 0 ? stdout : stderr, "%s: %s\n", target->name, str_text(&clean));
		fflush(stdout);
		str_fini(&clean);
	} else if (stream == 1 && str_starts_with(str_text(line), "gantry: ") && !target->told) {
		target->told = xstrdup(str_text(line) + strlen("gantry: "));
	}
	str_clear(line);
}

static void read_stream(struct many *many, struct target *target, int stream)
{
	char data[65536];
	ssize_t length = read(target->streams[stream], data, sizeof(data));

	if (length < 0 && errno == EINTR)
		return;
	for (ssize_t at = 0; at < length; at++) {
		if (data[at] == '\n' || target->lines[stream].length == LINE_MAX_BYTES)
			take_line(many, target, stream);
		if (data[at] != '\n' && data[at] != '\r')
			str_add_char(&target->lines[stream], data[at]);
	}
	if (length > 0)
		return;
	if (target->lines[stream].length)
		take_line(many, target, stream);
	close(target->streams[stream]);
	target->streams[stream] = -1;
}

static void end(struct many *many, struct target *target)
{
	int status = 0;

	while (waitpid(target->process, &status, 0) < 0 && errno == EINTR)
		;
	target->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	target->took_us = clock_monotonic_us() - target->started_us;
	target->outcome = target->status == 0 ? DONE : FAILED;
	many->under_way--;
	many->failures += target->outcome == FAILED;
}

/* --- all of them --------------------------------------------------------------------------------- */

static bool begins_more(const struct many *many)
{
	return many->next < many->count && many->under_way < many->parallel &&
	       !many->signal_number &&
	       (!many->failures_most || many->failures < many->failures_most);
}

static void look(struct many *many, struct pollfd *fds)
{
	size_t count = 0;

	fds[count++] = (struct pollfd){.fd = many->signal_fd, .events = POLLIN};
	for (size_t i = 0; i < many->next; i++)
		for (int stream = 0; stream < 2; stream++)
			if (many->targets[i].streams[stream] >= 0)
				fds[count++] = (struct pollfd){
					.fd = many->targets[i].streams[stream], .events = POLLIN};
	if (poll(fds, count, -1) < 0)
		return;
	if (fds[0].revents) {
		struct signalfd_siginfo info;

		if (read(many->signal_fd, &info, sizeof(info)) == sizeof(info))
			many->signal_number = (int)info.ssi_signo;
	}
	count = 1;
	for (size_t i = 0; i < many->next; i++) {
		struct target *target = &many->targets[i];

		for (int stream = 0; stream < 2; stream++)
			if (target->streams[stream] >= 0 && fds[count++].revents)
				read_stream(many, target, stream);
		if (target->outcome == UNDER_WAY && target->streams[0] < 0 &&
		    target->streams[1] < 0)
			end(many, target);
	}
}

static void work(struct many *many)
{
	struct pollfd *fds = xcalloc(2 * many->count + 1, sizeof(*fds));
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	many->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	while (begins_more(many) || many->under_way) {
		while (begins_more(many))
			begin(many);
		look(many, fds);
	}
	close(many->signal_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(fds);
}

static const char *outcome_text(const struct target *target)
{
	return target->outcome == DONE ? "done" : target->outcome == FAILED ? "failed" : "not done";
}

static void print_json(const struct target *target)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", target->id);
	json_add_string(object, "name", target->name);
	json_add_string(object, "outcome", outcome_text(target));
	if (target->outcome != NOT_DONE) {
		json_add_int(object, "status", target->status);
		json_add_int(object, "took_us", target->took_us);
	}
	json_add_string(object, "detail", target->told);
	output_json(object);
	json_object_put(object);
}

static void print_outcomes(struct many *many)
{
	static const char *const titles[] = {"NAME", "ID", "OUTCOME", "TIME", "DETAIL"};
	struct table table;

	table_init(&table, 5, titles);
	for (size_t i = 0; i < many->count; i++) {
		struct target *target = &many->targets[i];
		char span[24] = "";

		if (many->ctl->json) {
			print_json(target);
			continue;
		}
		if (target->outcome != NOT_DONE)
			output_span(target->took_us, span, sizeof(span));
		table_add(&table, target->name);
		table_addf(&table, "%.8s", target->id);
		if (target->outcome == FAILED)
			table_addf(&table, "failed (%d)", target->status);
		else
			table_add(&table, outcome_text(target));
		table_add(&table, span);
		table_add(&table, target->told);
	}
	if (many->ctl->json)
		table_fini(&table);
	else
		table_print(&table);
}

static void print_chosen(struct many *many)
{
	for (size_t i = 0; i < many->count; i++) {
		if (many->ctl->json)
			print_json(&many->targets[i]);
		else
			output_line("%s", many->targets[i].name);
	}
}

static int judge(struct many *many)
{
	size_t left = many->count - many->next;

	print_outcomes(many);
	fflush(stdout);
	if (left && many->signal_number)
		output_error("interrupted: %zu of %zu were not begun", left, many->count);
	else if (left)
		output_error("%zu failed: %zu of %zu were not begun", many->failures, left,
			     many->count);
	return many->signal_number ? 128 + many->signal_number
	       : many->failures    ? CTL_FAILED
				   : CTL_OK;
}

int many_run(struct ctl *ctl, const struct ctl_command *command)
{
	struct many many = {
		.ctl = ctl,
		.command = command,
		.parallel = PARALLEL_DEFAULT,
		.shows_output = command->run == exec_command,
	};
	int status;

	if (!args_has(ctl->args, "all"))
		return output_usage(command->name, "name instances, or choose them with --all");
	if (args_has(ctl->args, "interactive") || args_has(ctl->args, "tty"))
		return output_usage(command->name,
				    "there is one standard input, and many instances");
	status = read_number(ctl, command->name, "parallel", 1, PARALLEL_MOST, &many.parallel);
	if (status == CTL_OK)
		status = read_number(ctl, command->name, "max-failures", 1, 1000000,
				     &many.failures_most);
	if (status == CTL_OK)
		status = choose(&many);
	if (status == CTL_OK && many.count == 0) {
		output_error("no instance that could take it is chosen");
		status = CTL_NOT_FOUND;
	} else if (status == CTL_OK && args_has(ctl->args, "dry-run")) {
		print_chosen(&many);
	} else if (status == CTL_OK) {
		work(&many);
		status = judge(&many);
	}
	for (size_t i = 0; i < many.count; i++) {
		free(many.targets[i].id);
		free(many.targets[i].name);
		free(many.targets[i].told);
		str_fini(&many.targets[i].lines[0]);
		str_fini(&many.targets[i].lines[1]);
	}
	free(many.targets);
	return status;
}
