/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the docker plugin. One file a subject:
 *
 *   plugin.c      the exported struct and the option tables
 *   node.c        a node: its endpoint, probe
 *   call.c        one call of the engine's API: version, cancel, errors
 *   words.c       what the engine says, made fit for people and mapped to an errno
 *   json.c        reading JSON, JSON that comes in pieces, times, URLs
 *   create.c      spec to request
 *   borrow.c      the filesystem of one container in another
 *   containers.c  start, kill, wait, remove, pause, rename, top;  stats.c  what one uses
 *   inspect.c     list and inspect
 *   wire.c        endpoints: the ports of networks
 *   update.c      limits;  cgroup.c  the same as the kernel holds them
 *   frames.c      the frames in which the engine sends output
 *   images.c      list, present, remove;  pull.c  one download however many wait
 *   commit.c      a container becomes an image;  image_archive.c  images as archives
 *   output.c      logs, demultiplexed;  log_files.c  where the engine keeps them
 *   log_read.c    logs by the engine's endpoint, message by message
 *   claim.c       one daemon an owner
 *   session.c     attach and exec: streams of bytes;  archive.c  files in and out
 *   watch.c       the session that follows events;  events.c  one event, and what a list implies
 */
#ifndef DOCKER_H
#define DOCKER_H

#include <gantry/plugin.h>

#include <json-c/json.h>

#define API_MINOR_LEAST 24 /* 1.24, Docker 1.12 */
#define API_MINOR_MOST  47

struct docker_node_settings {
	const char *endpoint;
	const char *tls_ca, *tls_certificate, *tls_key;
	bool tls_verify;
	int64_t connect_timeout_ms, stall_timeout_ms, pull_stall_ms, ping_interval_ms,
		claim_wait_ms;
	const char *log_driver;
	int64_t log_size_bytes, log_files;
};

struct docker_call;
struct docker_pull;
struct docker_wire;

struct docker_node {
	const struct gantry_host *host; /* borrowed, as name, owner and settings */
	const char *name, *owner;
	const struct docker_node_settings *settings;
	char *unix_socket, *base_url;             /* owned */
	struct gantry_http_peer peer, fresh_peer; /* the same, but for fresh */

	int64_t cpus, memory_bytes; /* all that the host has; 0: not known yet */

	int api_minor;                    /* 0: not agreed yet */
	bool podman;                      /* answers by other names here and there */
	struct gantry_http *version_http; /* under way */
	struct docker_call *waiting;      /* for the version; first in, first out */
	struct docker_wire *wires;        /* that look after the networks; the first does */
	struct docker_pull *pulls;        /* under way and open to more waiters */

	struct gantry_anchor told, fresh; /* see watch.c */
	int64_t clock_ahead_ns; /* the engine's clock, of our monotonic one; 0: it did not tell */
};

/* --- call.c --- */

/*
 * One call. Lives in the op's memory, or in its owner's. The caller sets the first part; `done` comes
 * exactly once, never before docker_call returned: err is NULL when the engine answered with a status
 * under 400; reply is the answer as JSON, or NULL; both borrowed for the call.
 */
struct docker_call {
	struct docker_node *node;
	struct gantry_op *op; /* its cancel ends the call; NULL: docker_call_cancel does */
	void (*done)(struct docker_call *call, const struct gantry_error *err,
		     struct json_object *reply);
	/* As of gantry_http_request, with length 0 once the headers are in; NULL: collect */
	int (*on_data)(struct docker_call *call, const char *data, size_t length);
	/* Where on_open is set the body is a tar that comes by docker_call_write: from on_open on. */
	void (*on_open)(struct docker_call *call);
	void (*on_drain)(struct docker_call *call);
	void *arg;
	int64_t stall_ms; /* 0: the node's; -1: never */
	bool fresh;       /* on a new connection */
	int status;       /* 0: no answer */

	/* call.c's own */
	struct docker_call *next;
	struct gantry_http *http;
	struct gantry_timer *timer;
	char *method, *path, *body; /* owned while it waits for the version */
	bool busy, waits, cancelled, paused;
};

/* One look at files of a container, get or put of them, or one load of images; in the op's memory. */
struct gantry_upload {
	struct docker_call call;
	const char *container, *path; /* in the op's memory; NULL: of images */
	struct gantry_path *found;    /* the same; NULL: not told yet */
	bool unread;                  /* the engine told what is no answer */
	union {
		struct gantry_archive_sink archive;
		struct gantry_upload_sink upload;
	} sink;
};

/* path is formatted, begins after the version, and is percent-encoded already. body: JSON text or NULL. */
__attribute__((format(printf, 4, 5))) void docker_call(struct docker_call *call, const char *method,
						       const char *body, const char *path, ...);
/* Of http_write and http_write_end, for a call with on_open. */
bool docker_call_write(struct docker_call *call, const void *data, size_t length);
void docker_call_write_end(struct docker_call *call);
/* The path with the version in front; the caller frees. */
char *docker_path(const struct docker_node *node, const char *path);
/* A request; done comes with -ECANCELED. Does nothing where the call is not busy. */
void docker_call_cancel(struct docker_call *call);
/* Forgets the version: the engine may be another one now. */
void docker_forget_version(struct docker_node *node);

/* A call in the op's memory, with node, op, done and arg set. */
struct docker_call *docker_call_new(struct docker_node *node, struct gantry_op *op,
				    void (*done)(struct docker_call *call,
						 const struct gantry_error *err,
						 struct json_object *reply));
/* Ends the op with a failure. */
__attribute__((format(printf, 4, 5))) void
docker_fail(struct docker_node *node, struct gantry_op *op, int code, const char *format, ...);

/* What the host says of a connection, as the core wants to hear it. */
void docker_translate(const struct gantry_error *from, struct gantry_error *err);

/* --- create.c --- */

void docker_add_strings(struct json_object *object, const char *key,
			const struct gantry_strings *list); /* an empty one adds nothing */
void docker_add_true(struct json_object *object, const char *key, bool value);
void docker_add_environment(struct json_object *body, const struct gantry_envs *environment);

/* --- borrow.c --- */

#define DOCKER_BORROWED "instance" /* type of such a mount, whose source is a container */

/* Sends a new call, whose done is told of the answer: creates the container, with those mounts as an engine knows them. */
void docker_borrow_create(struct docker_call *call, struct json_object *body, const char *name);

/* --- words.c --- */

/* Fills err from an answer with status >= 400 and returns its code. */
int docker_words(struct gantry_error *err, int status, const char *body, size_t length);
/* The text has the word, any case. */
bool docker_says(const char *text, const char *word);

/* --- json.c --- */

struct json_object *docker_get(struct json_object *object, const char *key);
const char *docker_text(struct json_object *object, const char *key); /* NULL: no string there */
int64_t docker_int(struct json_object *object, const char *key, int64_t fallback);
bool docker_bool(struct json_object *object, const char *key);
void docker_add(struct json_object *object, const char *key,
		const char *text); /* NULL adds nothing */
void docker_add_int(struct json_object *object, const char *key, int64_t value);
/* The text of a value, owned by it. */
const char *docker_print(struct json_object *value);

/* Copies into the op's memory; NULL gives NULL. */
const char *docker_keep(struct docker_node *node, struct gantry_op *op, const char *text);
struct gantry_strings docker_keep_list(struct docker_node *node, struct gantry_op *op,
				       struct json_object *array);
struct gantry_pairs docker_keep_pairs(struct docker_node *node, struct gantry_op *op,
				      struct json_object *object);
/* RFC 3339 to nanoseconds since 1970; 0 where it is none or before 1970. */
int64_t docker_time_ns(const char *text);
/* Of a clock that nobody sets. */
int64_t docker_monotonic_ns(void);
/* Percent-encodes for a query value or a path; "/" and ":" stay. The caller frees. */
char *docker_url(const char *text);

/* Values that follow each other in a stream that is cut anywhere. Zero-filled is empty. */
struct docker_stream {
	struct json_tokener *tokener; /* owned */
	bool inside;                  /* amid a value */
};
/* Calls fn with each whole value (borrowed). 0, -EPROTO, or what fn returned if that is negative. */
int docker_stream_feed(struct docker_stream *stream, const char *data, size_t length,
		       int (*fn)(void *arg, struct json_object *value), void *arg);
void docker_stream_fini(struct docker_stream *stream);
/* Why a stream of events is over, which the engine never ends by itself: err, or what is put into ended. */
const struct gantry_error *docker_events_ended(const struct gantry_error *err,
					       struct gantry_error *ended);

/* --- node.c --- */

int docker_node_open(void *plugin, const char *name, const void *settings, const char *owner,
		     void **ret_node, struct gantry_error *err);
void docker_node_close(void *node);
void docker_probe(void *node, struct gantry_op *op);

/* --- the operations of gantry/runtime.h --- */

void docker_list(void *node, struct gantry_op *op);
void docker_inspect(void *node, const char *container, struct gantry_op *op);
void docker_create(void *node, const struct gantry_create *create, struct gantry_op *op);
void docker_start(void *node, const char *container, struct gantry_op *op);
void docker_kill(void *node, const char *container, int signal, struct gantry_op *op);
void docker_wait(void *node, const char *container, struct gantry_op *op);
void docker_remove(void *node, const char *container, struct gantry_op *op);
void docker_pause(void *node, const char *container, struct gantry_op *op);
void docker_unpause(void *node, const char *container, struct gantry_op *op);
void docker_update(void *node, const char *container, const struct gantry_limits *limits,
		   struct gantry_op *op);
void docker_rename(void *node, const char *container, const char *name, struct gantry_op *op);
void docker_stats(void *node, const char *container, struct gantry_op *op);
void docker_stats_follow(void *node, const char *container, gantry_stats_fn fn, void *arg,
			 struct gantry_op *op);
void docker_top(void *node, const char *container, struct gantry_op *op);
void docker_images(void *node, struct gantry_op *op);
void docker_image_present(void *node, const char *image, struct gantry_op *op);
void docker_pull(void *node, const char *image, struct gantry_op *op);

/*
 * Frames, cut anywhere by the network: a head of eight bytes (stream, three zeros, length), then a message.
 * Zero-filled at the start.
 */
struct docker_frames {
	unsigned char head[8];
	size_t head_length;
	uint32_t left; /* bytes of the message to come */
	bool begins;   /* none of it has come */
};

/* Bytes of one message, where they arrived. */
struct docker_piece {
	int stream; /* 1, 2 */
	const char *data;
	size_t length;
	bool first, last;
};

/* Takes the next piece off data. 1: there is one; 0: all was taken; -EPROTO: no head where one is due. */
int docker_frames_next(struct docker_frames *frames, const char **data, size_t *length,
		       struct docker_piece *ret_piece);
/* The end must not come now. */
bool docker_frames_amid(const struct docker_frames *frames);

void docker_output(void *node, const char *container, bool follow, gantry_output_fn fn, void *arg,
		   struct gantry_op *op);
void docker_log_files(void *node, const char *container, struct gantry_op *op);
void docker_log_read(void *node, const char *container, int64_t since_ns, bool follow,
		     gantry_log_message_fn fn, void *arg, struct gantry_op *op);
void docker_attach(void *node, const char *container, bool input,
		   const struct gantry_session_sink *sink, struct gantry_op *op);
void docker_exec(void *node, const char *container, const struct gantry_exec *exec,
		 const struct gantry_session_sink *sink, struct gantry_op *op);
bool docker_session_write(struct gantry_session *session, const void *data, size_t length);
int docker_session_shutdown(struct gantry_session *session);
void docker_session_resize(struct gantry_session *session, int rows, int columns);
void docker_ping(void *node, struct gantry_op *op);
void docker_path_look(void *node, const char *container, const char *path, struct gantry_op *op);
void docker_archive_get(void *node, const char *container, const char *path,
			const struct gantry_archive_sink *sink, struct gantry_op *op);
void docker_archive_put(void *node, const char *container, const char *path,
			const struct gantry_upload_sink *sink, struct gantry_op *op);
bool docker_upload_write(struct gantry_upload *upload, const void *data, size_t length);
void docker_upload_end(struct gantry_upload *upload);
void docker_commit(void *node, const char *container, const struct gantry_commit *commit,
		   struct gantry_op *op);
void docker_image_remove(void *node, const char *image, struct gantry_op *op);
void docker_image_save(void *node, const char *image, gantry_archive_fn fn, void *arg,
		       struct gantry_op *op);
void docker_image_load(void *node, const struct gantry_upload_sink *sink, struct gantry_op *op);
void docker_watch(void *node, const struct gantry_anchor *anchor,
		  const struct gantry_containers *known, const struct gantry_watch_sink *sink,
		  struct gantry_op *op);
void docker_wire(void *node, const char *container, const struct gantry_endpoints *endpoints,
		 struct gantry_op *op);
void docker_claim(void *node, const struct gantry_claim *claim, struct gantry_op *op);

/* --- inspect.c --- */

/* The query of the list of our containers. The caller frees. */
char *docker_list_path(struct docker_node *node);
/* Reads an answer of it into the op's memory. */
void docker_read_list(struct docker_node *node, struct gantry_op *op, struct json_object *reply,
		      struct gantry_containers *ret_containers);
void docker_read_limits(struct json_object *inspected, struct gantry_limits *ret_limits);
const char *docker_label(const struct gantry_pairs *labels, const char *name); /* NULL: none */

/* --- cgroup.c --- */

#define DOCKER_CGROUP_UNREAD (-2)      /* there is no such file, or it cannot be read */
#define DOCKER_CGROUP_NONE   INT64_MAX /* no limit */

/* Limits of a process as the kernel holds them. */
struct docker_cgroup {
	int64_t memory_bytes, memory_swap_bytes, nano_cpus, cpu_shares, pids;
	char cpuset[256]; /* "": not read */
};

/* False where the process is not one of this container on this host. root: "", or a test's folder. */
bool docker_read_cgroup(const char *root, int64_t pid, const char *container_id,
			struct docker_cgroup *ret_cgroup);
/* What was asked for is what is held, but for less than a step; or one of the two is not known. */
bool docker_cgroup_holds(int64_t wanted, int64_t held, int64_t step);
bool docker_cgroup_holds_set(const char *wanted, const char *held);
/* Kills for memory, and pressure; what cannot be read is left as it is. */
void docker_read_cgroup_stats(const char *root, int64_t pid, const char *container_id,
			      struct gantry_stats *stats);

/* --- events.c --- */

/* An event with its own copies of the strings. */
struct docker_event {
	struct gantry_event event; /* container_id, instance and text point to what follows */
	char id[72], instance[64], text[128];
	uint64_t hash; /* of time, id and action */
	bool told;     /* it is of a kind that the core hears of */
};

/* Reads one message of the stream of events; false: no event of a container or image. */
bool docker_read_event(struct json_object *message, struct docker_event *ret_event);

/* What is believed of a container, for inference. */
struct docker_belief {
	char id[72], instance[64], name[128];
	enum gantry_container_state state;
	bool gone, listed, undecided;
};

struct docker_beliefs {
	struct docker_belief *items; /* owned */
	size_t count, capacity;
};

void docker_believe(struct docker_beliefs *beliefs, const struct gantry_containers *known);
void docker_believe_event(struct docker_beliefs *beliefs, const struct docker_event *event);
/* An event that the list may or may not have in it: nothing is inferred for its container. */
void docker_undecide(struct docker_beliefs *beliefs, const struct docker_event *event);
/* Calls fn with each event that must have happened for the list to be as it is; times and anchors are
 * the caller's to set. Returns how many. fn NULL: only counts. */
size_t docker_infer(struct docker_beliefs *beliefs, const struct gantry_containers *listed,
		    void (*fn)(void *arg, struct gantry_event *event), void *arg);
void docker_beliefs_fini(struct docker_beliefs *beliefs);

#endif
