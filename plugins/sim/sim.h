/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the sim plugin. One file a subject:
 *
 *   plugin.c      the exported struct and the option tables
 *   node.c        a node: its options, when it is out of reach, probe
 *   call.c        one operation: latency, faults, the queue, the one end
 *   table.c       the containers of a node, found by id and name; what one is made of
 *   containers.c  create, start, kill, remove, pause, rename, update
 *   process.c     what commands do while they "run"
 *   questions.c   list, inspect, wait, stats, top, output
 *   session.c     attach and exec
 *   log.c         the log, by its messages
 *   images.c      which images there are, pulls, commits
 *   tree.c        files in memory, and tars of them
 *   archive.c     files of a container, in and out
 *   image_archive.c  images as archives
 *   events.c      the events a node remembers;  watch.c  the session that follows them
 *   state.c       the file that lets containers outlive gantryd
 *
 * A node does nothing by itself: no timer is set but for an operation under way, a process that ends
 * by itself, an outage that would end a watch, and events that are about to be told.
 */
#ifndef SIM_H
#define SIM_H

#include <gantry/plugin.h>

#include <sys/queue.h>

#define SIM_ID_SIZE      65
#define SIM_LIVES        4         /* whose output the log still has */
#define SIM_MEMORY_LEAST (6 << 20) /* what an engine takes as a limit at the least */

struct sim_settings {
	int64_t host_memory_bytes, host_cpus, true_memory_bytes;
	int64_t create_latency_ms, start_latency_ms, stop_latency_ms, pull_latency_ms;
	int64_t call_latency_ms, jitter_ms, parallel;
	struct gantry_strings fail;
	int64_t seed;
	int64_t down_after_ms, up_after_ms;
	bool flap, reboot;
	struct gantry_strings images, registry;
	int64_t events, host_disk_bytes;
	const char *state;
};

enum sim_verb {
	SIM_PROBE,
	SIM_LIST,
	SIM_WATCH,
	SIM_CREATE,
	SIM_START,
	SIM_KILL,
	SIM_WAIT,
	SIM_REMOVE,
	SIM_INSPECT,
	SIM_PAUSE,
	SIM_UNPAUSE,
	SIM_UPDATE,
	SIM_RENAME,
	SIM_STATS,
	SIM_TOP,
	SIM_IMAGES,
	SIM_IMAGE_PRESENT,
	SIM_PULL,
	SIM_OUTPUT,
	SIM_ATTACH,
	SIM_EXEC,
	SIM_LOG_FILES,
	SIM_LOG_READ,
	SIM_PATH_LOOK,
	SIM_ARCHIVE_GET,
	SIM_ARCHIVE_PUT,
	SIM_COMMIT,
	SIM_IMAGE_REMOVE,
	SIM_IMAGE_SAVE,
	SIM_IMAGE_LOAD,
	SIM_VERBS,
};

struct sim_call;
struct sim_container;
struct sim_event;
struct sim_image;
struct sim_pull;
struct sim_rule;
struct sim_tree;
struct sim_watch;

TAILQ_HEAD(sim_queue, sim_call);
LIST_HEAD(sim_calls, sim_call);

struct sim_node {
	const struct gantry_host *host; /* borrowed, as name, owner and settings */
	const char *name, *owner;
	const struct sim_settings *settings;
	struct sim_rule *rules; /* owned */
	size_t rule_count;
	uint64_t random;   /* of faults and jitter: the same seed, the same run */
	uint64_t serial;   /* of ids, unlike in each life */
	int64_t opened_ms; /* monotonic */
	int64_t last_ns;   /* the last time that was given: none is given twice */
	int64_t outages;   /* that are over and were seen to */
	uint32_t next_pid, next_port;
	bool ready; /* the state was read */

	/* containers, owned; table.c */
	struct sim_container **by_key, **by_name;
	size_t buckets, count;
	int64_t running_memory_bytes;

	/* work; call.c */
	struct sim_queue queue; /* for one of `parallel` places */
	size_t working;
	bool pumping;
	struct sim_calls pending;    /* those that wait for something to happen */
	struct gantry_timer *outage; /* set while there are some and an outage will come */

	LIST_HEAD(, gantry_session) sessions; /* that are open; borrowed from their ops */

	/* events; events.c */
	struct sim_event *events; /* owned ring */
	size_t event_capacity, event_head, event_count;
	uint64_t sequence;            /* of the last event */
	uint64_t epoch;               /* of the sequence */
	struct sim_watch *watch;      /* borrowed from its op; NULL: nobody watches */
	struct gantry_timer *telling; /* set while there are events to tell */

	/* images; images.c */
	struct sim_image *
		images; /* owned: beside those of the settings, and those of these that were asked for */
	size_t image_count;
	struct sim_pull *pulls;

	/* files; tree.c */
	struct sim_tree *
		base; /* owned: what a container has that nothing was put into; NULL: not made yet */
	int64_t disk_bytes; /* that all of them take */

	int state_fd; /* -1: none */
	int64_t state_lines;
};

/* --- node.c --- */

int sim_node_open(void *plugin, const char *name, const void *settings, const char *owner,
		  void **ret_node, struct gantry_error *err);
void sim_node_close(void *node);
void sim_probe(void *node, struct gantry_op *op);
/* Sees to outages that came and went; 0, or -EHOSTUNREACH while it is out of reach. */
int sim_node_reach(struct sim_node *node, struct gantry_error *err);
/* Milliseconds until the next outage begins or ends; -1: never. */
int64_t sim_node_next_change_ms(const struct sim_node *node);
int64_t sim_now_ns(struct sim_node *node); /* wall clock, each time later than the last */
uint64_t sim_mix(uint64_t value);
uint64_t sim_hash(const char *text);
double sim_random(struct sim_node *node); /* from 0 to under 1 */
/* Memory or the end: what is small is not worth a way back. */
void *sim_alloc(size_t size);
char *sim_strdup(const char *text);

/* --- call.c --- */

/*
 * One operation, in its op's memory, whose first member it is where more is needed. The caller sets
 * the first part. act is called when the latency is over, and either ends the call or pends it.
 */
struct sim_call {
	struct sim_node *node;
	struct gantry_op *op;
	enum sim_verb verb;
	void (*act)(struct sim_call *call);
	void (*leave)(struct sim_call *call); /* before any end; NULL: nothing to let go of */
	const char *container, *text;         /* in the op's memory */
	int number;
	bool by_timer; /* act is not called before the operation returned */

	/* call.c's own */
	TAILQ_ENTRY(sim_call) queued;
	LIST_ENTRY(sim_call) pending;
	struct gantry_timer *timer;
	const struct sim_rule *fault; /* NULL: all will be well */
	enum { SIM_CALL_NEW, SIM_CALL_QUEUED, SIM_CALL_SERVED, SIM_CALL_PENDING } stage;
	bool placed; /* has one of `parallel` places */
	bool ended;
};

/* Zero-filled, of the size given; container and text are copied, either may be NULL. */
void *sim_call_new(struct sim_node *node, struct gantry_op *op, enum sim_verb verb, size_t size,
		   void (*act)(struct sim_call *call), const char *container, const char *text);
void sim_call_begin(struct sim_call *call);
/* It waits for something that will happen, or for a cancel, or for an outage. */
void sim_call_pend(struct sim_call *call);
/* The end. The call may be gone after. */
void sim_call_done(struct sim_call *call, const void *result);
__attribute__((format(printf, 3, 4))) void sim_call_fail(struct sim_call *call, int code,
							 const char *format, ...);
void *sim_call_alloc(struct sim_call *call, size_t size);
const char *sim_call_keep(struct sim_call *call, const char *text); /* NULL gives NULL */

/* Reads the rules of the settings ("create:EIO:0.01") into the node. */
int sim_rules_read(struct sim_node *node, struct gantry_error *err);

/* --- table.c --- */

/* One allocation, strings of create and all; name and cpuset have their own, because they change. */
struct sim_container {
	struct sim_container *next_key, *next_name;
	struct sim_node *node;      /* borrowed */
	struct gantry_timer *timer; /* its process ends then; NULL: not by itself */
	struct sim_tree *tree;      /* a reference; NULL: the node's base */
	char *name, *cpuset;        /* owned */
	const char *image;
	const char *words[3]; /* the beginning of what it runs; NULL: not so many */
	struct gantry_pair *labels;
	struct gantry_port *ports; /* as asked for, with the host ports picked while it runs */
	uint64_t key;              /* its id is made of it */
	uint64_t picked;           /* ports whose host port is ours, of the first 64: a bit each */
	struct gantry_limits limits; /* cpuset is the above */
	int64_t created_ms, started_ms, finished_ms;
	int64_t lives_ns[SIM_LIVES]; /* when it began to write; of life N at N % SIM_LIVES */
	uint32_t label_count, port_count;
	uint32_t pid, boots, waiting; /* waiting: calls that are told of its end */
	int exit_code, due_code;      /* due_code: what it ends with when the timer fires */
	uint8_t state;                /* enum gantry_container_state */
	bool ours, tty, oom, health_check;
	bool late; /* it was to end while it was paused */
};

/* Makes one that is in no table yet. */
struct sim_container *sim_container_new(struct sim_node *node, const struct gantry_create *create);
void sim_container_free(struct sim_container *container);
void sim_table_add(struct sim_container *container);
void sim_table_remove(struct sim_container *container);
void sim_table_rename(struct sim_container *container, const char *name);
/* By id, else by name. */
struct sim_container *sim_table_find(struct sim_node *node, const char *word);
struct sim_container *sim_table_find_key(struct sim_node *node, uint64_t key);
struct sim_container *sim_table_find_name(struct sim_node *node, const char *name);
/* Calls fn with each; it may remove the one it is given. */
void sim_table_walk(struct sim_node *node, void (*fn)(struct sim_container *container, void *arg),
		    void *arg);
void sim_table_free(struct sim_node *node);
void sim_id_text(uint64_t key, char text[SIM_ID_SIZE]);
bool sim_id_read(const char *text, uint64_t *ret_key);
const char *sim_label(const struct sim_container *container, const char *name); /* NULL: none */

/* --- containers.c --- */

void sim_create(void *node, const struct gantry_create *create, struct gantry_op *op);
void sim_start(void *node, const char *container, struct gantry_op *op);
void sim_kill(void *node, const char *container, int signal, struct gantry_op *op);
void sim_remove(void *node, const char *container, struct gantry_op *op);
void sim_pause(void *node, const char *container, struct gantry_op *op);
void sim_unpause(void *node, const char *container, struct gantry_op *op);
void sim_update(void *node, const char *container, const struct gantry_limits *limits,
		struct gantry_op *op);
void sim_rename(void *node, const char *container, const char *name, struct gantry_op *op);
/* The container of the call; NULL: the call was failed with -ENOENT. */
struct sim_container *sim_call_container(struct sim_call *call);
/* The same, where it runs; NULL: the call was failed with that, or with -EALREADY. */
struct sim_container *sim_call_running(struct sim_call *call);
/* From now on the call's container is found by its id, whatever it was asked by. */
void sim_call_pin(struct sim_call *call, const struct sim_container *container);

/* --- process.c --- */

bool sim_lives(const struct sim_container *container);
/* NULL: the command can be run. */
const char *sim_process_obstacle(const struct sim_container *container);
void sim_process_start(struct sim_container *container);
void sim_process_signal(struct sim_container *container, int signal);
void sim_process_unpaused(struct sim_container *container);
void sim_process_die(struct sim_container *container, int exit_code);
struct sim_message {
	int stream;
	size_t length;
	char data[16384]; /* as an engine cuts them */
};

/* What it writes from one start to the next, by numbers from 0 on. False: there is no such message. */
bool sim_process_message(const struct sim_container *container, long number,
			 struct sim_message *ret_message);
/* Gives what its process has written since it was made, until fn is negative; that, or 0. */
int sim_process_output(const struct sim_container *container, gantry_output_fn fn, void *arg);
/* Input comes to it, and ends. */
void sim_process_input(struct sim_container *container, const char *data, size_t length);
void sim_process_input_end(struct sim_container *container);
/* "500ms", "2s", "2"; 0 where it is none. */
int64_t sim_read_ms(const char *text);
/* What a life that was read from the state goes on with. */
void sim_process_resume(struct sim_container *container);

/* --- questions.c --- */

void sim_list(void *node, struct gantry_op *op);
void sim_inspect(void *node, const char *container, struct gantry_op *op);
void sim_wait(void *node, const char *container, struct gantry_op *op);
void sim_stats(void *node, const char *container, struct gantry_op *op);
void sim_stats_follow(void *node, const char *container, gantry_stats_fn fn, void *arg,
		      struct gantry_op *op);
void sim_top(void *node, const char *container, struct gantry_op *op);
void sim_output(void *node, const char *container, bool follow, gantry_output_fn fn, void *arg,
		struct gantry_op *op);
/* What a list tells of a container. Strings are borrowed from it, and id is written for it. */
void sim_describe(const struct sim_container *container, struct gantry_container *ret_container,
		  char id[SIM_ID_SIZE]);
/* It does not run any more, or is gone: ends the calls that wait for that. */
void sim_tell_waiters(struct sim_container *container);

/* Pends until the container's end, and pins it. */
void sim_await_end(struct sim_call *call, struct sim_container *container);

/* --- session.c --- */

void sim_attach(void *node, const char *container, bool input,
		const struct gantry_session_sink *sink, struct gantry_op *op);
void sim_exec(void *node, const char *container, const struct gantry_exec *exec,
	      const struct gantry_session_sink *sink, struct gantry_op *op);
bool sim_session_write(struct gantry_session *session, const void *data, size_t length);
int sim_session_shutdown(struct gantry_session *session);
void sim_session_resize(struct gantry_session *session, int rows, int columns);
/* arg: the container, whose process has written this. 0, as a gantry_output_fn. */
int sim_session_output(void *arg, int stream, const char *data, size_t length);
/* Its process has begun: it has the input that came before. */
void sim_sessions_started(struct sim_container *container);
/* The call is a session; what it sits at has ended. */
void sim_session_ended(struct sim_call *call);

/* --- log.c --- */

void sim_log_files(void *node, const char *container, struct gantry_op *op);
void sim_log_read(void *node, const char *container, int64_t since_ns, bool follow,
		  gantry_log_message_fn fn, void *arg, struct gantry_op *op);
/* The call is such a reading; the process that it follows has ended. */
void sim_log_ended(struct sim_call *call, const struct sim_container *container);

/* --- images.c --- */

struct sim_image {
	char *name;            /* owned, normalised; of one without a name its id */
	char *mark;            /* owned; of the commit that made it, or NULL */
	struct sim_tree *tree; /* a reference; NULL: the node's base */
	uint64_t key;          /* its id is made of it */
	int64_t created_ms;
	bool removed; /* it is not there, whatever the settings say */
};

void sim_images(void *node, struct gantry_op *op);
void sim_image_present(void *node, const char *image, struct gantry_op *op);
void sim_pull(void *node, const char *image, struct gantry_op *op);
void sim_commit(void *node, const char *container, const struct gantry_commit *commit,
		struct gantry_op *op);
void sim_image_remove(void *node, const char *image, struct gantry_op *op);
/* By name or id; NULL: it is not there. Good until the next call of these. */
const struct sim_image *sim_image_find(struct sim_node *node, const char *image);
/* Likewise, by the text of the call; NULL: the call was failed with -ENOENT. */
const struct sim_image *sim_call_image(struct sim_call *call);
/* It is there from now on, in the place of one with its name; copied. False: there are too many. */
bool sim_image_keep(struct sim_node *node, const struct sim_image *image);
const char *sim_image_id(struct sim_call *call, const struct sim_image *image);
void sim_images_free(struct sim_node *node);

/* --- tree.c --- */

struct sim_bytes {
	char *data; /* owned */
	size_t length, capacity;
};

void sim_bytes_add(struct sim_bytes *bytes, const void *data, size_t length);
void sim_bytes_fini(struct sim_bytes *bytes);

struct sim_file {
	const char *path, *target; /* from the root on; target of a link, NULL of anything else */
	const char *data;
	size_t length;
	uint32_t mode, uid, gid; /* mode as stat(2) has it */
	int64_t modified_s;
};

struct sim_tree {
	struct sim_node *node; /* borrowed; NULL: it is not counted */
	size_t references;
	struct sim_file *files; /* owned with what they point to, in the order of their paths */
	size_t count, capacity;
	int64_t bytes;
};

struct sim_tree *sim_tree_new(struct sim_node *node);
/* The tree, or the base of the node where it is NULL. Never NULL; borrowed. */
struct sim_tree *sim_tree_or_base(struct sim_node *node, struct sim_tree *tree);
struct sim_tree *sim_tree_ref(struct sim_tree *tree); /* NULL is fine */
void sim_tree_unref(struct sim_tree *tree);           /* NULL is fine */
int sim_tree_copy(struct sim_node *node, const struct sim_tree *from, struct sim_tree **ret_tree,
		  struct gantry_error *err);
/* What is at a path, links on the way followed, at its end where follow is set; NULL: nothing. */
const struct sim_file *sim_tree_find(const struct sim_tree *tree, const char *path, bool follow);
/* Copies; in the place of what has its path. */
int sim_tree_put(struct sim_tree *tree, const struct sim_file *file, struct gantry_error *err);
/* Below a folder of it. layer: of an image, which may take files away. What was unpacked before a failure stays. */
int sim_tree_unpack(struct sim_tree *tree, const char *folder, const struct sim_bytes *bytes,
		    bool layer, struct gantry_error *err);
/* What is at a path, under another name; where that is empty only what is below it. */
void sim_tree_pack(const struct sim_tree *tree, const char *path, const char *name,
		   struct sim_bytes *out);
/* -EIO: there is no room for so much more. node NULL: there is. */
int sim_disk_check(const struct sim_node *node, int64_t bytes, struct gantry_error *err);

/* --- archive.c --- */

/* Bytes that go out; at the beginning of the call's memory. */
struct sim_sending {
	struct sim_call call;
	struct sim_bytes bytes; /* owned */
	size_t at;
	gantry_archive_fn fn;
	void *arg;
	struct gantry_timer *timer; /* the next piece */
	bool paused;
};

void sim_sending_init(struct sim_sending *sending, gantry_archive_fn fn, void *arg);
/* From act: the bytes are there. */
void sim_sending_begin(struct sim_sending *sending);

struct gantry_upload {
	struct sim_call call;
	struct sim_bytes bytes; /* owned */
	int64_t counted;        /* of them, as taken from host_disk */
	struct gantry_upload_sink sink;
	void (*take)(struct gantry_upload *upload);
};

struct gantry_upload *sim_upload_new(struct sim_node *node, struct gantry_op *op,
				     enum sim_verb verb, void (*act)(struct sim_call *call),
				     const char *container, const char *text,
				     const struct gantry_upload_sink *sink);
/* From act: bytes may come. take is called when they are all there, and ends the call. */
void sim_upload_open(struct gantry_upload *upload, void (*take)(struct gantry_upload *upload));
bool sim_upload_write(struct gantry_upload *upload, const void *data, size_t length);
void sim_upload_end(struct gantry_upload *upload);

void sim_path_look(void *node, const char *container, const char *path, struct gantry_op *op);
void sim_archive_get(void *node, const char *container, const char *path,
		     const struct gantry_archive_sink *sink, struct gantry_op *op);
void sim_archive_put(void *node, const char *container, const char *path,
		     const struct gantry_upload_sink *sink, struct gantry_op *op);

/* --- image_archive.c --- */

void sim_image_save(void *node, const char *image, gantry_archive_fn fn, void *arg,
		    struct gantry_op *op);
void sim_image_load(void *node, const struct gantry_upload_sink *sink, struct gantry_op *op);

/* --- events.c --- */

struct sim_event {
	uint64_t key; /* of the container; 0: of an image */
	int64_t time_ns;
	char *text; /* owned; NULL: none */
	int exit_code;
	uint8_t kind, signal;
	char instance[37];
};

/* Something happened: it is remembered, and told to who watches. text may be NULL. */
void sim_event(struct sim_container *container, enum gantry_event_kind kind, int number,
	       const char *text);
void sim_event_image(struct sim_node *node, const char *image);
/* Puts one in that was read from the state. */
void sim_events_restore(struct sim_node *node, uint64_t sequence, const struct sim_event *event);
/* The event of that number, or NULL where it is forgotten or has not been. */
const struct sim_event *sim_events_at(const struct sim_node *node, uint64_t sequence);
void sim_events_forget(struct sim_node *node);

/* --- watch.c --- */

void sim_watch(void *node, const struct gantry_anchor *anchor,
	       const struct gantry_containers *known, const struct gantry_watch_sink *sink,
	       struct gantry_op *op);
/* There is an event to tell. */
void sim_watch_wake(struct sim_node *node);
/* The oldest event that is still to be told; above the last where all were. */
uint64_t sim_watch_wants(const struct sim_node *node);

/* --- state.c --- */

/* Opens and reads the file, where the settings name one. */
int sim_state_open(struct sim_node *node, struct gantry_error *err);
void sim_state_close(struct sim_node *node);
/* Written before the operation is answered, so that it survives kill -9. */
void sim_state_put(const struct sim_container *container);
void sim_state_gone(const struct sim_container *container);
void sim_state_event(struct sim_node *node, const struct sim_event *event);
void sim_state_image(struct sim_node *node, const struct sim_image *image);
void sim_state_files(const struct sim_container *container);

#endif
