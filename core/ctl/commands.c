/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands: from it come the dispatch, the check of the command line, the help, the
 * manual page and the completion.
 */
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/many.h"
#include "ctl/spec.h"

const struct ctl_status_row ctl_statuses[] = {
	{CTL_OK, "done"},
	{CTL_FAILED, "the operation failed"},
	{CTL_USAGE, "wrong command line, or a value that gantryd refuses as such"},
	{CTL_NOT_FOUND, "no such instance, image, node, operation or decision"},
	{CTL_REFUSED, "refused by a policy, or not allowed"},
	{CTL_CONFLICT,
	 "a name or port is taken, a name is not unique, or it is in the wrong state"},
	{CTL_UNREACHABLE, "gantryd cannot be reached"},
	{CTL_TIMED_OUT, "not done in time"},
	{0, NULL},
};

const struct ctl_option ctl_global_options[] = {
	{"host", 0, "ADDRESS",
	 "unix:///PATH or https://HOST:PORT; GANTRY_HOST, else " CTL_DEFAULT_HOST, false},
	{"ca", 0, "FILE", "certificate of the authority to trust; GANTRY_TLS_CA", false},
	{"cert", 0, "FILE", "our certificate; GANTRY_TLS_CERT", false},
	{"key", 0, "FILE", "its key; GANTRY_TLS_KEY", false},
	{"json", 0, "", "print answers as they came, one a line", false},
	{"help", 'h', "", "print this help", false},
	{NULL, 0, NULL, NULL, false},
};

const struct ctl_option ctl_project_options[] = {
	{"project", 0, "PROJECT", "project in which names are looked up", false},
	{NULL, 0, NULL, NULL, false},
};

const struct ctl_option ctl_wait_options[] = {
	{"no-wait", 0, "", "do not wait for the end of the operation", false},
	{NULL, 0, NULL, NULL, false},
};

static const struct ctl_option run_options[] = {
	{"detach", 'd', "", "print the id as soon as it runs, and leave it", false},
	{"rm", 0, "", "remove the instance when it has ended", false},
	{"no-start", 0, "", "with --detach, make it only: gantry start starts it", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option attach_options[] = {
	{"observe", 0, "", "only look on", false},
	{"take", 0, "", "drive, also where somebody else does", false},
	{"no-input", 0, "", "send no standard input", false},
	{"tail", 'n', "LINES", "first so many of the last lines of the log", false},
	{"detach-keys", 0, "KEYS", "that leave it, on a terminal: ctrl-p,ctrl-q unless given",
	 false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option serial_options[] = {
	{"close", 0, "", "close it, with its connections", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option exec_options[] = {
	{"secret", 0, "NAME[=VALUE]", "secret environment variable; without a value, ours", true},
	{"env-file", 0, "FILE", "file of environment variables, one NAME=VALUE a line", true},
	{"detach-keys", 0, "KEYS", "that leave it, on a terminal; none unless given", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option copy_options[] = {
	{"archive", 'a', "", "keep owners; else files are root's there and yours here", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option list_options[] = {
	{"all", 'a', "", "stopped and failed ones too", false},
	{"quiet", 'q', "", "ids only", false},
	{"state", 0, "STATE", "only in these states, joined by commas", false},
	{"label", 'l', "NAME[=VALUE]", "only with this label", true},
	{"node", 0, "NODE", "only on this node", false},
	{"project", 0, "PROJECT", "only of this project", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option grace_options[] = {
	{"grace", 't', "TIME", "time between the stop signal and SIGKILL; the spec's unless given",
	 false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option kill_options[] = {
	{"signal", 's', "SIGNAL", "signal to send, as TERM, SIGTERM or 15; KILL unless given",
	 false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option remove_options[] = {
	{"force", 'f', "", "kill it first where it runs", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option wait_options[] = {
	{"timeout", 0, "TIME", "give up after this time (exit status 7)", false},
	{"any", 0, "", "only until the first of them has ended; its name and code are printed",
	 false},
	{"exit-code", 0, "", "exit with the first code that is not 0", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option stats_options[] = {
	{"follow", 'f', "", "as it goes on, with the CPU used in between, until the processes end",
	 false},
	{"interval", 0, "TIME",
	 "time between two tables; 1s unless given, as often as engines tell", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option logs_options[] = {
	{"follow", 'f', "", "go on with what it prints from now on", false},
	{"tail", 'n', "NUMBER", "only so many of the last lines", false},
	{"since", 0, "TIME", "only from then on: 2026-01-02T03:04:05Z, or 10m ago", false},
	{"until", 0, "TIME", "only up to then", false},
	{"stream", 0, "STREAM", "only stdout or only stderr", false},
	{"timestamps", 't', "", "the time in front of each line", false},
	{"grep", 0, "TEXT", "only lines that contain the text", false},
	{"after", 0, "CURSOR", "only what comes after this line", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option node_options[] = {
	{"node", 0, "NODE", "this node only", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option commit_options[] = {
	{"no-pause", 0, "", "let its processes go on meanwhile", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option save_options[] = {
	{"output", 'o', "FILE", "write it there; standard output unless given", false},
	{"node", 0, "NODE", "from this node; the first that has it unless given", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option load_options[] = {
	{"input", 'i', "FILE", "read it there; standard input unless given", false},
	{"node", 0, "NODE", "into this node; needed where there are several", false},
	{"name", 0, "IMAGE", "call its one image so, instead of as it says", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option image_remove_options[] = {
	{"node", 0, "NODE", "on this node; the first that has it unless given", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option eval_options[] = {
	{"verb", 0, "VERB", "what is asked for; spawn unless given", false},
	{"actor", 0, "ACTOR", "who asks, as uid:1000; you unless given", false},
	{"line", 0, "TEXT", "what the hooks log would make of this line of its log", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option explain_options[] = {
	{"all", 'a', "", "all decisions on the instance, not the last one only", false},
	{"env", 0, "NAME", "who set this variable, and over what", false},
	{"field", 0, "NAME", "who set this limit, as memory, pids or log.size, and over what",
	 false},
	{"matrix", 0, "", "what each policy answered for each node", false},
	{"why-not", 0, "NODE", "why it was not placed on this node", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option events_options[] = {
	{"follow", 'f', "", "go on with those to come; a connection that is cut is made again",
	 false},
	{"after", 0, "SEQUENCE", "only those after this one; 0: all that are kept", false},
	{"instance", 0, "INSTANCE", "only of this instance", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option help_options[] = {
	{"man", 0, "", "print all of it as the manual page gantry(1)", false},
	{NULL, 0, NULL, NULL, false},
};
static const struct ctl_option operations_options[] = {
	{"instance", 0, "INSTANCE", "only of this instance", false},
	{"limit", 0, "NUMBER", "at most so many", false},
	{"wait", 0, "", "with an OPERATION: wait for its end", false},
	{NULL, 0, NULL, NULL, false},
};

const struct ctl_command ctl_commands[] = {
	{"run", "IMAGE [COMMAND [ARGUMENT…]]", "make an instance and start it", 0, -1, run_options,
	 CTL_SPEC_OPTIONS | CTL_WORDS_END | CTL_WAITS,
	 "Without --detach its output is printed and its exit status is ours; 125 where gantry or\n"
	 "gantryd failed, 126 where the command cannot be run, 127 where it does not exist.\n"
	 "Ctrl-C stops the instance, a second one kills it, a third one leaves it.\n"
	 "An option given several times adds to its list where the help says so; else the last counts.",
	 run_command},
	{"ps", "", "list instances", 0, 0, list_options, 0, NULL, list_command},
	{"show", "INSTANCE…", "show all about an instance", 1, -1, NULL, CTL_INSTANCES, NULL,
	 show_command},
	{"start", "INSTANCE…", "start stopped instances", 1, -1, NULL,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, start_command},
	{"stop", "INSTANCE…", "stop instances, and kill what has not ended after the grace", 1, -1,
	 grace_options, CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, stop_command},
	{"restart", "INSTANCE…", "stop and start instances", 1, -1, grace_options,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, restart_command},
	{"pause", "INSTANCE…", "freeze instances", 1, -1, NULL,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, pause_command},
	{"unpause", "INSTANCE…", "let paused instances go on", 1, -1, NULL,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, unpause_command},
	{"kill", "INSTANCE…", "send a signal to instances", 1, -1, kill_options,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, kill_command},
	{"rm", "INSTANCE…", "remove instances", 1, -1, remove_options,
	 CTL_INSTANCES | CTL_MANY | CTL_WAITS, NULL, remove_command},
	{"wait", "INSTANCE…", "wait until instances have ended, and print their exit codes", 1, -1,
	 wait_options, CTL_INSTANCES,
	 "Prints one code a line, in the order asked; with --json signal, memory and the rest too.",
	 wait_command},
	{"resize", "INSTANCE…", "change limits while instances run", 1, -1, NULL,
	 CTL_INSTANCES | CTL_WAITS | CTL_RESIZE_OPTIONS, NULL, resize_command},
	{"logs", "INSTANCE", "print what an instance has printed", 1, 1, logs_options,
	 CTL_INSTANCES,
	 "Standard output and standard error come as they were written, each on its own. With --follow it\n"
	 "goes on over restarts, until the instance has ended for good. With --json each line has a cursor\n"
	 "for --after, which neither repeats nor leaves out a line.",
	 logs_command},
	{"attach", "INSTANCE", "sit at an instance's process", 1, 1, attach_options, CTL_INSTANCES,
	 "Input goes to the process and output comes from it, byte for byte, until it ends: its exit code is\n"
	 "that of the command. One drives, others look on. On a terminal ctrl-p ctrl-q leaves it running; without\n"
	 "one the end of standard input is the end of the process's, and signals are passed on to it.",
	 attach_command},
	{"console", "INSTANCE", "print an address where a browser shows log and console", 1, 1,
	 NULL, CTL_INSTANCES,
	 "Good once, and for a minute (console_token in the settings). Needs a console listener there.",
	 console_command},
	{"serial", "INSTANCE", "open an instance's serial port, and print where it is", 1, 1,
	 serial_options, CTL_INSTANCES,
	 "Its console as plain bytes over TCP, for programs that know nothing else. There is no handshake: whoever\n"
	 "may connect (serial_allow in the settings) owns the console. It stays the same until nobody has been\n"
	 "there for a while (serial_idle). What gantryd has to say there, as who drives and that the session is\n"
	 "recorded, is a line [gantry: …]. Prints HOST PORT.",
	 serial_command},
	{"exec", "INSTANCE COMMAND…", "run a command beside an instance's process", 2, -1,
	 exec_options, CTL_INSTANCES | CTL_MANY | CTL_WORDS_END | CTL_EXEC_OPTIONS,
	 "The exit code is that of what was run.", exec_command},
	{"cp", "INSTANCE:PATH LOCAL | LOCAL INSTANCE:PATH",
	 "copy files out of an instance, or into one", 2, 2, copy_options, CTL_INSTANCES,
	 "Into a folder that exists they go under their own name, else under the name given; FOLDER/. is what\n"
	 "is in FOLDER. LOCAL may be -, a tar on standard input or output. The instance may be stopped. Symbolic\n"
	 "links are copied as such; nothing leaves the place it is copied to, whatever a link or a name in the tar\n"
	 "says; devices are left out.",
	 copy_command},
	{"recordings", "[RECORDING]", "list recordings of consoles, or print one", 0, 1, NULL, 0,
	 "A recording is in asciicast v2: gantry recordings ID > session.cast; asciinema play session.cast\n"
	 "What is recorded is said by policies: admit answers true, { record = true } for attach or exec.",
	 recordings_command},
	{"top", "INSTANCE", "list the processes of an instance", 1, 1, NULL, CTL_INSTANCES, NULL,
	 top_command},
	{"stats", "[INSTANCE…]", "show what instances use; all that run unless named", 0, -1,
	 stats_options, CTL_INSTANCES,
	 "THROTTLED is the share of the scheduler's periods in which it had used up its CPU time. OOM counts the "
	 "processes that the kernel killed for memory; WAITS is how much of the last 10 seconds some of its "
	 "processes waited for a CPU, for memory and for disks. Both are known where the engine is on this host, "
	 "WAITS with cgroup v2 only.",
	 stats_command},
	{"images", "", "list images", 0, 0, node_options, 0, NULL, images_command},
	{"pull", "IMAGE…", "pull images to a node, or to every node", 1, -1, node_options,
	 CTL_WAITS, NULL, pull_command},
	{"commit", "INSTANCE IMAGE", "make an image of an instance as it is now", 2, 2,
	 commit_options, CTL_INSTANCES | CTL_WAITS,
	 "On its node; IMAGE is NAME or NAME:TAG. Volumes and other mounts are no part of it.",
	 commit_command},
	{"save", "IMAGE", "write an image as a Docker archive", 1, 1, save_options, 0, NULL,
	 save_command},
	{"load", "", "load a Docker or OCI archive into a node", 0, 0, load_options, 0,
	 "Prints what it held. One that is cut, or no image, leaves nothing.", load_command},
	{"rmi", "IMAGE…", "remove images from a node", 1, -1, image_remove_options, CTL_WAITS, NULL,
	 image_remove_command},
	{"net attach", "INSTANCE PORT", "give an instance one more port of a network", 2, 2, NULL,
	 CTL_INSTANCES | CTL_WAITS,
	 "PORT as of gantry run --port-spec. Where it runs the interface is there at once.",
	 net_attach_command},
	{"net detach", "INSTANCE PORT", "take a port of a network off an instance", 2, 2, NULL,
	 CTL_INSTANCES | CTL_WAITS, "PORT is its id.", net_detach_command},
	{"net doctor", "INSTANCE", "tell what is wrong with an instance's ports", 1, 1, NULL,
	 CTL_INSTANCES, "Exit status 1 where something is.", net_doctor_command},
	{"node ls", "", "list nodes", 0, 0, NULL, 0, NULL, node_list_command},
	{"node show", "NODE…", "show all about a node", 1, -1, NULL, 0, NULL, node_show_command},
	{"policy status", "", "show the set of policies in force", 0, 0, NULL, 0, NULL,
	 policy_status_command},
	{"policy reload", "", "read the folder of policies again; a bad set changes nothing", 0, 0,
	 NULL, 0, NULL, policy_reload_command},
	{"policy check", "FOLDER|FILE", "check policies before they are put in force", 1, 1, NULL,
	 CTL_LOCAL, "Runs gantryd --check-policies, which needs no daemon.", policy_check_command},
	{"policy eval", "IMAGE [COMMAND [ARGUMENT…]]",
	 "ask the policies what they would say to a run, without doing it", 0, -1, eval_options,
	 CTL_SPEC_OPTIONS | CTL_WORDS_END, "Exit status 4 where they would refuse.",
	 policy_eval_command},
	{"policy explain", "DECISION|INSTANCE", "tell why a decision was made", 1, 1,
	 explain_options, CTL_INSTANCES, NULL, policy_explain_command},
	{"events", "", "print events", 0, 0, events_options, 0, NULL, events_command},
	{"ops", "[OPERATION]", "list operations, or show where the time of one went", 0, 1,
	 operations_options, 0, NULL, operations_command},
	{"doctor", "", "check the installation, and say what to do", 0, 0, NULL, 0,
	 "Exit status 1 where a check fails.", doctor_command},
	{"version", "", "print versions", 0, 0, NULL, 0, NULL, version_command},
	{"completion", "bash|zsh|fish", "print the script by which a shell completes our words", 1,
	 1, NULL, CTL_LOCAL,
	 "bash: . <(gantry completion bash)   zsh: . <(gantry completion zsh)\n"
	 "fish: gantry completion fish | source\n"
	 "Names of instances and the like come from gantryd, where it answers at once.",
	 completion_command},
	{"complete", "-- WORD…", "print what the last word may become; the scripts ask this", 1, -1,
	 NULL, CTL_LOCAL | CTL_WORDS_END,
	 "One a line, a tab, and what it means; \":files\" where any file may follow.",
	 complete_command},
	{"help", "[COMMAND]", "print help", 0, 2, help_options, CTL_LOCAL, NULL,
	 help_words_command},
	{NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL},
};

void ctl_tables(const struct ctl_command *command, const struct ctl_option **ret_tables)
{
	size_t count = 0;

	if (command && command->options)
		ret_tables[count++] = command->options;
	if (command && command->flags & CTL_SPEC_OPTIONS) {
		ret_tables[count++] = spec_options;
		ret_tables[count++] = spec_more_options;
	}
	if (command && command->flags & CTL_RESIZE_OPTIONS)
		ret_tables[count++] = spec_resize_options;
	if (command && command->flags & CTL_MANY)
		ret_tables[count++] = many_options;
	if (command && command->flags & CTL_EXEC_OPTIONS)
		ret_tables[count++] = spec_exec_options;
	if (command && command->flags & CTL_INSTANCES)
		ret_tables[count++] = ctl_project_options;
	if (command && command->flags & CTL_WAITS)
		ret_tables[count++] = ctl_wait_options;
	ret_tables[count++] = ctl_global_options;
	ret_tables[count] = NULL;
}

const struct ctl_command *ctl_find_command(int argc, char *const *argv, int *ret_used)
{
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		const char *space = strchr(command->name, ' ');
		size_t length = space ? (size_t)(space - command->name) : strlen(command->name);

		if (argc < 1 || strlen(argv[0]) != length ||
		    memcmp(argv[0], command->name, length) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_used = space ? 2 : 1;
		return command;
	}
	return NULL;
}

bool ctl_is_group(const char *word)
{
	size_t length = strlen(word);

	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		if (str_starts_with(command->name, word) && command->name[length] == ' ')
			return true;
	return false;
}

static const char *setting(const struct args *args, const char *option, const char *variable,
			   const char *fallback)
{
	const char *value = getenv(variable);

	return args_text(args, option, value && *value ? value : fallback);
}

struct client_settings ctl_client_settings(const struct args *args)
{
	struct client_settings settings = {
		.host = setting(args, "host", "GANTRY_HOST", CTL_DEFAULT_HOST),
	};

	/* The variables are for https only; given for a unix socket as options they are an error. */
	if (str_starts_with(settings.host, "https://")) {
		settings.ca_file = setting(args, "ca", "GANTRY_TLS_CA", NULL);
		settings.certificate_file = setting(args, "cert", "GANTRY_TLS_CERT", NULL);
		settings.key_file = setting(args, "key", "GANTRY_TLS_KEY", NULL);
	} else {
		settings.ca_file = args_text(args, "ca", NULL);
		settings.certificate_file = args_text(args, "cert", NULL);
		settings.key_file = args_text(args, "key", NULL);
	}
	return settings;
}
