/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime role: what runs containers. One table of operations over nodes (engines).
 *
 * Life of a node: node_open (no I/O) → any number of operations and at most one watch at a time →
 * all ops have ended → node_close. Where a claim is offered, nothing but probe and images is asked
 * before it is held. The core serialises operations on one container; operations on different
 * containers, list and watch run at the same time.
 *
 * Every operation but node_open and node_close takes an op and answers through host->op_done; what
 * the result points to is named beside it. Common errors:
 *   -ENOENT  no such container or image          -EHOSTUNREACH the engine cannot be reached
 *   -EALREADY it is in that state already        -ETIMEDOUT   the engine did not answer in time
 *   -EEXIST  name or port is taken               -EINVAL      the engine refuses the values
 *   -ECANCELED                                   -EIO         any other answer of the engine
 * After -EHOSTUNREACH, -ETIMEDOUT or -ECANCELED nobody knows whether the call took effect.
 *
 * Containers are ours by their label gantry.owner. Ids and labels are the core's.
 */
#ifndef GANTRY_RUNTIME_H
#define GANTRY_RUNTIME_H

#include <gantry/host.h>
#include <gantry/spec.h>

#define GANTRY_LABEL_OWNER      "gantry.owner"
#define GANTRY_LABEL_INSTANCE   "gantry.instance"
#define GANTRY_LABEL_PROJECT    "gantry.project"
#define GANTRY_LABEL_GENERATION "gantry.generation"
#define GANTRY_LABEL_SPEC       "gantry.spec"

enum gantry_container_state {
	GANTRY_CONTAINER_CREATED,
	GANTRY_CONTAINER_RUNNING,
	GANTRY_CONTAINER_PAUSED,
	GANTRY_CONTAINER_EXITED,
	GANTRY_CONTAINER_REMOVING,
	GANTRY_CONTAINER_DEAD,
};

/* Limits as the engine holds them. GANTRY_UNSET: leave as it is (update) or not set (inspect). */
struct gantry_limits {
	int64_t memory_bytes, memory_swap_bytes, nano_cpus, cpu_shares, pids;
	const char *cpuset; /* NULL: as above */
};

/* A container as `list` tells it; the second part is filled by `inspect` only. */
struct gantry_container {
	const char *container_id;
	const char *name; /* without a leading slash */
	const char *image;
	struct gantry_pairs labels;
	enum gantry_container_state state;

	int64_t created_ms, started_ms, finished_ms; /* wall clock; 0: never */
	int exit_code;
	bool oom_killed;           /* the engine's flag: also set where only a child was killed */
	const char *error;         /* the engine's word on a failed start; NULL */
	const char *health;        /* "starting", "healthy", "unhealthy"; NULL: no check */
	int64_t pid;               /* on the engine's host, 0 when not running */
	const char *address;       /* IP of the first network, or NULL */
	struct gantry_ports ports; /* as published, with the host ports picked */
	struct gantry_limits limits;
};

struct gantry_containers {
	struct gantry_container *items;
	size_t count;
};

/* What a node is. All strings in the op's memory. */
struct gantry_node_facts {
	const char *engine, *engine_version, *api_version;
	const char *engine_id;
	const char *storage_driver, *cgroup_version, *kernel, *operating_system, *architecture;
	int64_t cpus, memory_bytes;
	bool memory_limit, swap_limit, cpu_quota, pids_limit; /* what the kernel can hold */
	const char *
		boot_id; /* another one after each boot of its host; NULL: not known. Since ABI 1.13 */
};

struct gantry_image {
	const char *image_id;
	struct gantry_strings tags, digests;
	int64_t size_bytes, created_ms;
};

struct gantry_images {
	struct gantry_image *items;
	size_t count;
};

enum gantry_event_kind {
	GANTRY_EVENT_CREATE,
	GANTRY_EVENT_START,
	GANTRY_EVENT_DIE, /* exit_code is set */
	GANTRY_EVENT_OOM, /* a process of it was killed for memory */
	GANTRY_EVENT_PAUSE,
	GANTRY_EVENT_UNPAUSE,
	GANTRY_EVENT_KILL, /* signal is set */
	GANTRY_EVENT_RENAME,
	GANTRY_EVENT_UPDATE,
	GANTRY_EVENT_REMOVE,
	GANTRY_EVENT_HEALTH, /* text is the new health */
	GANTRY_EVENT_IMAGE,  /* the set of images changed; text is the reference */
	GANTRY_EVENT_GAP,    /* from gap_from_ns to time_ns events may be missing */
};

/* Where a watch stopped, so that the next one can prove that nothing was missed. time_ns 0: nowhere. */
struct gantry_anchor {
	int64_t time_ns;
	char key[160]; /* the plugin's own */
};

struct gantry_event {
	enum gantry_event_kind kind;
	int64_t time_ns; /* the engine's clock */
	int64_t gap_from_ns;
	const char *container_id; /* NULL for GAP and IMAGE */
	const char *instance;     /* from the label, NULL where there is none */
	const char *text;
	int exit_code;
	int signal;
	bool inferred; /* nobody saw it: derived from a list after a gap */
	bool repeated; /* it is from before the watch stood; since ABI 1.4 */
	struct gantry_anchor anchor;
};

/* What a watch tells. All borrowed for the call. */
struct gantry_watch_sink {
	void *arg;
	/* First, once a watch: every container with our label, as listed after the subscription. */
	void (*sync)(void *arg, const struct gantry_containers *containers);
	void (*event)(void *arg, const struct gantry_event *event);
};

/* How the output of a container is cut: one call a piece, stream 1 or 2 (1 for a terminal). */
typedef int (*gantry_output_fn)(void *arg, int stream, const char *data, size_t length);
/* A message of a log, with its newline where it ends a line. A negative answer ends the reading. */
typedef int (*gantry_log_message_fn)(void *arg, int stream, int64_t time_ns, const char *data,
				     size_t length);

/* One reading; counters are from the start of the container. It may grow at its end: see stats_size. */
struct gantry_stats {
	int64_t time_ms;
	int64_t memory_bytes, memory_limit_bytes;
	int64_t cpu_ns;
	int64_t throttled_ns, throttled_periods;
	int64_t pids;
	int64_t network_rx_bytes, network_tx_bytes, block_read_bytes, block_write_bytes;

	/* Since ABI 1.10. GANTRY_UNSET: not known, or no limit; of a double, what is below 0. */
	int64_t cpu_periods; /* in which it could be throttled */
	int64_t pids_limit;
	int64_t oom_kills;
	/* How much of the last 10 seconds some of its processes waited: "some avg10" of the kernel. */
	double cpu_pressure_percent, memory_pressure_percent, io_pressure_percent;
};

/* A negative answer ends the reading. */
typedef int (*gantry_stats_fn)(void *arg, const struct gantry_stats *stats);

struct gantry_top {
	struct gantry_strings titles;
	struct gantry_strings *rows;
	size_t count;
};

/* A mount of type instance that cannot be had is -ENOTSUP, with the reason. */
struct gantry_create {
	const char *name;               /* the container's */
	struct gantry_pairs labels;     /* all of them, the core's and the spec's */
	const struct gantry_spec *spec; /* environment with values */
};

/* Who takes a node. Borrowed until the op has ended. */
struct gantry_claim {
	const char *daemon; /* id: another one is another daemon */
	const char *holder; /* where it is, for people */
	void (*held)(void *arg);
	void *arg;
};

/* How an engine comes to a port of a network: what its network driver is told. */
struct gantry_endpoint {
	const char *port; /* its id */
	struct gantry_pairs options;
};

struct gantry_endpoints {
	const char *driver; /* the engine's name for it */
	bool unfinished;    /* see gantry/network.h: something is left to do after the start */
	struct gantry_endpoint *items;
	size_t count;
};

struct gantry_exit {
	int exit_code;
};

/* Where the engine keeps what a container prints. */
struct gantry_log_files {
	const char *driver; /* "local", "json-file", … */
	const char *path;   /* on this host, the one that is being written; NULL: not here */
	int64_t files_max;
};

/*
 * A session with a process: its input and its output, as they are, while the op lasts.
 *
 * The op ends when the process has ended, when the engine ends the session or when it is cancelled. An
 * exec's result is a struct gantry_exit, an attach has none. After a cancel a process that an exec
 * started may run on. While the op is paused nothing is read: the process has to wait.
 */
struct gantry_session;

/* What a session tells; never from inside a call of the core's. */
struct gantry_session_sink {
	void *arg;
	/* First, once: from now on until the end of the op the session_ functions may be called. */
	void (*open)(void *arg, struct gantry_session *session);
	/* Stream 1 or 2; 1 for a terminal. Borrowed for the call. */
	void (*data)(void *arg, int stream, const char *data, size_t length);
	void (*drain)(void *arg); /* after a session_write that returned false: go on */
};

/* What stands at a path in a container. */
struct gantry_path {
	const char *name;        /* the last part of the path */
	const char *link_target; /* of a symbolic link, which is not followed; NULL: it is none */
	uint32_t mode;           /* type and rights as stat(2) has them */
	int64_t size_bytes, modified_ms;
};

/* What is told of an archive that is read. */
struct gantry_archive_sink {
	void *arg;
	void (*path)(void *arg, const struct gantry_path *path); /* first, once */
	/* A negative answer ends it. */
	int (*data)(void *arg, const char *data, size_t length);
};

/* An archive on its way into a container. */
struct gantry_upload;

struct gantry_upload_sink {
	void *arg;
	/* First, once: from now on until the end of the op the upload_ functions may be called. */
	void (*open)(void *arg, struct gantry_upload *upload);
	void (*drain)(void *arg); /* after an upload_write that returned false: go on */
};

struct gantry_exec {
	struct gantry_strings command;
	struct gantry_envs environment;
	const char *user, *working_dir; /* NULL: the container's */
	bool tty, input;
};

struct gantry_commit {
	const char *image; /* its name, with a tag */
	/* The core's, kept with the image. Where the name stands for an image with this mark, the work was
	 * done before, and that image is the answer. */
	const char *mark;
	bool pause; /* the processes rest meanwhile */
};

/* An archive of images ("docker save"), in order, as it is cut. A negative answer ends it. */
typedef int (*gantry_archive_fn)(void *arg, const char *data, size_t length);

struct gantry_runtime {
	uint32_t size; /* of this struct in the plugin */

	/* node_options filled at settings. No I/O. */
	int (*node_open)(void *plugin, const char *name, const void *settings, const char *owner,
			 void **ret_node, struct gantry_error *err);
	void (*node_close)(void *node);

	/* Required */
	void (*probe)(void *node, struct gantry_op *op); /* struct gantry_node_facts */
	void (*list)(void *node,
		     struct gantry_op *op); /* struct gantry_containers: those of our owner */
	/*
	 * Runs until cancelled or the connection is lost, then ends with an error. Subscribes, lists,
	 * calls sink->sync once, then every event after the anchor once, in order. known are the
	 * containers as the core believes them to be: where events may have been missed, what differs
	 * is told as inferred events after a GAP.
	 */
	void (*watch)(void *node, const struct gantry_anchor *anchor,
		      const struct gantry_containers *known, const struct gantry_watch_sink *sink,
		      struct gantry_op *op);
	void (*create)(
		void *node, const struct gantry_create *create,
		struct gantry_op *op); /* const char *: container id; -ENOENT: no such image */
	/* Failure to run the command (not found, not executable) is -ENOEXEC with the engine's word. */
	void (*start)(void *node, const char *container, struct gantry_op *op);
	void (*kill)(void *node, const char *container, int signal,
		     struct gantry_op *op); /* -EALREADY: not running */
	void (*wait)(void *node, const char *container,
		     struct gantry_op *op); /* struct gantry_exit, when not running */
	void (*remove)(void *node, const char *container,
		       struct gantry_op *op); /* forced, with anonymous volumes; unknown: success */
	void (*inspect)(void *node, const char *container,
			struct gantry_op *op); /* struct gantry_container */

	/* Optional: NULL is "not offered" */
	void (*pause)(void *node, const char *container, struct gantry_op *op);
	void (*unpause)(void *node, const char *container, struct gantry_op *op);
	/* Applies what is set, memory and swap together; reads back; all or nothing. struct gantry_limits: as they are now */
	void (*update)(void *node, const char *container, const struct gantry_limits *limits,
		       struct gantry_op *op);
	void (*rename)(void *node, const char *container, const char *name, struct gantry_op *op);
	void (*stats)(void *node, const char *container,
		      struct gantry_op *op); /* struct gantry_stats */
	void (*top)(void *node, const char *container,
		    struct gantry_op *op);                /* struct gantry_top */
	void (*images)(void *node, struct gantry_op *op); /* struct gantry_images */
	void (*image_present)(void *node, const char *image,
			      struct gantry_op *op); /* -ENOENT: it is not */
	/* One download an image however many wait; fails on a stall, not on the total. */
	void (*pull)(void *node, const char *image, struct gantry_op *op);
	/*
	 * Output from the first byte; follow: until the container ends. A negative answer of fn ends it.
	 * It should hear op_on_pause: a reader who falls too far behind a plugin that does not is cut.
	 */
	void (*output)(void *node, const char *container, bool follow, gantry_output_fn fn,
		       void *arg, struct gantry_op *op);
	/*
	 * Takes the node for its owner, so that no two daemons with one owner work on it. Calls
	 * claim->held once when it is taken, then keeps it until cancelled, or until it or the connection
	 * is lost, and ends with an error. -EBUSY: another daemon has it, and lives.
	 */
	void (*claim)(void *node, const struct gantry_claim *claim,
		      struct gantry_op *op); /* since ABI 1.1 */
	void (*log_files)(void *node, const char *container,
			  struct gantry_op *op); /* struct gantry_log_files; since ABI 1.2 */

	/* Sessions; all or none of them. Since ABI 1.3. */

	/* input: the input too, where the container has one open. Also to one that was not started yet;
	 * to one that has ended -EALREADY. */
	void (*attach)(void *node, const char *container, bool input,
		       const struct gantry_session_sink *sink, struct gantry_op *op);
	void (*exec)(void *node, const char *container, const struct gantry_exec *exec,
		     const struct gantry_session_sink *sink, struct gantry_op *op);
	/* Queues a copy; false: the process is behind, drain will come, or it takes no input. */
	bool (*session_write)(struct gantry_session *session, const void *data, size_t length);
	/* The input ends once all is sent. -ENOTSUP: the connection cannot tell the engine. */
	int (*session_shutdown)(struct gantry_session *session);
	/* Of the terminal; ignored where there is none. */
	void (*session_resize)(struct gantry_session *session, int rows, int columns);

	/*
	 * Whether the engine takes new connections. One that is on its way down does not, but goes on for
	 * a while on those that stand: it tells how its containers end, and would start them again.
	 */
	void (*ping)(void *node, struct gantry_op *op); /* since ABI 1.4 */

	/* Files, of a container that runs or not; all or none of them. Since ABI 1.7. */

	void (*path_look)(void *node, const char *container, const char *path,
			  struct gantry_op *op); /* struct gantry_path; -ENOENT: nothing there */
	/*
	 * What is at the path, as a tar: entries begin with its name. A path that ends with "/." is that of a
	 * folder, links followed. Hears op_on_pause.
	 */
	void (*archive_get)(void *node, const char *container, const char *path,
			    const struct gantry_archive_sink *sink, struct gantry_op *op);
	/*
	 * Unpacks a tar into the folder at the path, with the owners that it names; nothing in it reaches what is
	 * outside of the container. -EINVAL: no folder. What was unpacked before a failure stays.
	 */
	void (*archive_put)(void *node, const char *container, const char *path,
			    const struct gantry_upload_sink *sink, struct gantry_op *op);
	/* Queues a copy; false: the engine is behind, drain will come. */
	bool (*upload_write)(struct gantry_upload *upload, const void *data, size_t length);
	void (*upload_end)(struct gantry_upload *upload);

	/* Images of containers, and archives of images. Since ABI 1.8. */

	/* The container's filesystem as it is now becomes an image. const char *: its id */
	void (*commit)(void *node, const char *container, const struct gantry_commit *commit,
		       struct gantry_op *op);
	/* Takes a name, or by its id the image, off the node. -EBUSY: something was made of it. */
	void (*image_remove)(void *node, const char *image, struct gantry_op *op);
	/* It should hear op_on_pause. */
	void (*image_save)(void *node, const char *image, gantry_archive_fn fn, void *arg,
			   struct gantry_op *op);
	/* struct gantry_strings: names of the images that it held, ids of those without. A cancel
	 * leaves nothing of it; -EINVAL: the engine finds no image in it. */
	void (*image_load)(void *node, const struct gantry_upload_sink *sink, struct gantry_op *op);

	/* Since ABI 1.9. */

	/*
	 * The log by the engine's own word, for one whose files are not on this host: messages from since_ns on,
	 * that time included; follow: until the container ends.
	 */
	void (*log_read)(void *node, const char *container, int64_t since_ns, bool follow,
			 gantry_log_message_fn fn, void *arg, struct gantry_op *op);

	/* sizeof(struct gantry_stats) of the plugin, so that it is not read beyond; 0: of ABI 1.0. Since ABI 1.10. */
	size_t stats_size;

	/*
	 * Readings as the engine takes them, some one a second, until the process ends; nothing is asked again and
	 * again. -EALREADY: it does not run. Since ABI 1.11.
	 */
	void (*stats_follow)(void *node, const char *container, gantry_stats_fn fn, void *arg,
			     struct gantry_op *op);

	/* Since ABI 1.12. */

	/*
	 * The container's interfaces become these, whether it runs or not: what is missing is made, any other
	 * goes. One whose first option is the same is left as it is.
	 */
	void (*wire)(void *node, const char *container, const struct gantry_endpoints *endpoints,
		     struct gantry_op *op);
};

#endif
