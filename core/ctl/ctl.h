/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `gantry` command: base/ and the HTTP API, never the daemon.
 *
 * main.c finds the command in the table of commands.c, reads its options (args.h) and calls its
 * function, which answers with an exit status. A function prints what it has to say on standard
 * output, and what went wrong on standard error through output.h; it never exits by itself.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/args.h"
#include "ctl/client.h"

#define CTL_DEFAULT_HOST "unix:///run/gantry/gantry.sock"
#define CTL_VERSION      "0.1.0"

/* What the exit status tells. `gantry help` prints the same list from ctl_statuses. */
enum ctl_status {
	CTL_OK = 0,
	CTL_FAILED = 1, /* the operation failed */
	CTL_USAGE = 2,  /* the command line or a value in it is wrong */
	CTL_NOT_FOUND = 3,
	CTL_REFUSED = 4,     /* by a policy, or not allowed */
	CTL_CONFLICT = 5,    /* name taken, not unique, wrong state, busy */
	CTL_UNREACHABLE = 6, /* no gantryd */
	CTL_TIMED_OUT = 7,
	/* `gantry run` in the foreground: the instance's own status, or */
	CTL_RUN_FAILED = 125,
	CTL_RUN_NOT_EXECUTABLE = 126,
	CTL_RUN_NO_COMMAND = 127,
};

struct ctl_status_row {
	int status;
	const char *help;
};
extern const struct ctl_status_row ctl_statuses[]; /* ends with help NULL */

struct ctl {
	struct client *client; /* owned by main; NULL where the command needs none */
	const struct client_settings *settings; /* of the client, for a second one */
	struct args *args;                      /* owned by main */
	bool json;                              /* --json: answers as they came, one a line */
	bool progress;                          /* a person looks at standard error */
};

struct ctl_command {
	const char *name;                 /* "run", "node ls"; NULL ends the table */
	const char *words;                /* what follows the options, for the usage line */
	const char *summary;              /* one line */
	int words_min, words_max;         /* -1: any number */
	const struct ctl_option *options; /* NULL: none of its own */
	unsigned flags;
	const char *details;         /* further help, NULL */
	int (*run)(struct ctl *ctl); /* enum ctl_status */
};

enum ctl_command_flags {
	CTL_SPEC_OPTIONS = 1,   /* takes the options of the instance's spec */
	CTL_RESIZE_OPTIONS = 2, /* takes those that may change while it runs */
	CTL_WORDS_END = 4,      /* options end at the first word that is none: a command follows */
	CTL_INSTANCES = 8,      /* words are instances: --project says where names are looked up */
	CTL_WAITS = 16,         /* starts an operation: --no-wait */
	CTL_LOCAL = 32,         /* needs no gantryd */
	CTL_MANY = 128, /* its first words are instances, and may be chosen instead: many.h */
	CTL_EXEC_OPTIONS = 64, /* takes those of a process beside the instance's */
};

extern const struct ctl_command ctl_commands[];
extern const struct ctl_option ctl_global_options[];
extern const struct ctl_option ctl_project_options[];
extern const struct ctl_option ctl_wait_options[];

/* The tables of options that a command takes; room for CTL_TABLES_MAX, NULL at the end. */
#define CTL_TABLES_MAX 8
void ctl_tables(const struct ctl_command *command, const struct ctl_option **ret_tables);

/* The command that argv begins with, of one word or two, or NULL. *ret_used: the words of its name. */
const struct ctl_command *ctl_find_command(int argc, char *const *argv, int *ret_used);
/* Whether commands of two words begin with this one. */
bool ctl_is_group(const char *word);
/* Where gantryd is, by the options and the environment; the strings are theirs. */
struct client_settings ctl_client_settings(const struct args *args);

/* --- help.c, manual.c --- */
extern const char help_about[];
extern const char help_exit_status[];
void help_overview(void);
void help_group(const char *group); /* the commands that begin with the word */
void help_command(const struct ctl_command *command);
/* The title of an option table of a command (NULL: of any); NULL: it goes on with what the one before began. */
const char *help_title(const struct ctl_command *command, const struct ctl_option *table);
void manual_print(void); /* gantry(1), in roff */

/* --- the commands, by file --- */
int run_command(struct ctl *ctl);    /* run.c */
int attach_command(struct ctl *ctl); /* attach.c */
int exec_command(struct ctl *ctl);
int recordings_command(struct ctl *ctl); /* recordings.c */
int list_command(struct ctl *ctl);       /* instances.c */
int show_command(struct ctl *ctl);
int wait_command(struct ctl *ctl);  /* wait.c */
int start_command(struct ctl *ctl); /* verbs.c */
int stop_command(struct ctl *ctl);
int restart_command(struct ctl *ctl);
int pause_command(struct ctl *ctl);
int unpause_command(struct ctl *ctl);
int kill_command(struct ctl *ctl);
int remove_command(struct ctl *ctl);
int resize_command(struct ctl *ctl);
int logs_command(struct ctl *ctl);   /* logs.c */
int copy_command(struct ctl *ctl);   /* cp.c */
int top_command(struct ctl *ctl);    /* top.c */
int stats_command(struct ctl *ctl);  /* stats.c */
int images_command(struct ctl *ctl); /* images.c */
int pull_command(struct ctl *ctl);
int commit_command(struct ctl *ctl);
int save_command(struct ctl *ctl);
int load_command(struct ctl *ctl);
int image_remove_command(struct ctl *ctl);
int node_list_command(struct ctl *ctl); /* nodes.c */
int node_show_command(struct ctl *ctl);
int policy_status_command(struct ctl *ctl); /* policy.c */
int policy_reload_command(struct ctl *ctl);
int policy_check_command(struct ctl *ctl);
int policy_eval_command(struct ctl *ctl);
int policy_explain_command(struct ctl *ctl); /* explain.c */
int events_command(struct ctl *ctl);         /* events.c */
int operations_command(struct ctl *ctl);
int console_command(struct ctl *ctl); /* serial.c */
int serial_command(struct ctl *ctl);
int net_attach_command(struct ctl *ctl); /* net.c */
int net_detach_command(struct ctl *ctl);
int net_doctor_command(struct ctl *ctl);
int doctor_command(struct ctl *ctl); /* system.c */
int version_command(struct ctl *ctl);
int completion_command(struct ctl *ctl); /* completion.c */
int complete_command(struct ctl *ctl);   /* complete.c */
int help_words_command(struct ctl *ctl); /* help.c */

#endif
