/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core offers a plugin: a table of functions, passed to `open`. A plugin calls nothing
 * else of the core, so that it loads in a test under a fake host.
 *
 * Rules
 *   1. All calls come and go on the loop's thread. Nothing may block it.
 *   2. Work that takes time is an op. The core makes it and passes it in; the plugin ends it with
 *      op_done exactly once, from any callback or at once: the core hears of it only after the
 *      call that started the work has returned.
 *   3. Cancel is a request: on_cancel's function is called at most once, and the op still ends
 *      through op_done (with -ECANCELED, or with the result that was already on its way).
 *   4. What op_done passes must live in the op's own memory (op_alloc); it goes with the op.
 *   5. Errors are returned or passed to op_done, never logged as well.
 */
#ifndef GANTRY_HOST_H
#define GANTRY_HOST_H

#include <stddef.h>
#include <sys/types.h>

#include <gantry/error.h>
#include <gantry/option.h>

struct gantry_core;       /* the core's side of a loaded plugin */
struct gantry_op;         /* one piece of work under way */
struct gantry_http;       /* one HTTP exchange under way */
struct gantry_timer;      /* one timer that is set */
struct gantry_watch;      /* one folder that is watched */
struct gantry_poll;       /* one descriptor that is watched */
struct gantry_server;     /* one socket that is served */
struct gantry_request;    /* one request of a client of it, not answered yet */
struct gantry_stream;     /* one connection that an upgrade has made a stream of bytes */
struct gantry_tls;        /* what encrypted connections share: authorities, our certificate */
struct gantry_tls_socket; /* one connected socket of the plugin's that is encrypted */

enum gantry_log_level {
	GANTRY_LOG_DEBUG,
	GANTRY_LOG_INFO,
	GANTRY_LOG_WARN,
	GANTRY_LOG_ERROR,
};

/* Progress of a long op; for people and for stall watchers. Totals may be 0 while unknown. */
struct gantry_progress {
	const char *stage; /* "Downloading", … borrowed for the call */
	int64_t done_bytes, total_bytes;
};

/* Where an HTTP server is. Strings are borrowed and must live until the exchange has ended. */
struct gantry_http_peer {
	const char *unix_socket;                 /* path, or NULL for TCP */
	const char *base_url;                    /* "http://localhost", "https://node7:2376" */
	const char *ca_file;                     /* https: authority; NULL: the system's */
	const char *certificate_file, *key_file; /* https: ours, or NULL */
	bool insecure; /* https: do not verify. Only where the operator says so by name */
	bool fresh;    /* each exchange on a new connection, closed after it; since ABI 1.4 */
};

/* Of connections that a plugin makes itself. PEM files; ca NULL: the system's authorities. */
struct gantry_tls_settings {
	const char *ca, *certificate, *key;
	bool verify; /* the peer's certificate and name. False only where the operator says so by name */
};

struct gantry_http_request {
	const struct gantry_http_peer *peer;
	const char *method, *path; /* path with query, percent-encoded; copied */
	const char *content_type;  /* of body; NULL: none; copied */
	const char *headers;       /* further header lines joined by "\n", or NULL; copied */
	const void *body;          /* copied; NULL: none */
	size_t body_length;
	int64_t connect_timeout_ms; /* 0: 10 s */
	int64_t stall_timeout_ms;   /* fail when nothing arrives for so long; 0: never */
	int64_t total_timeout_ms;   /* 0: never */
	size_t reply_max; /* bytes kept for on_done; 0: 16 MiB. Over it the exchange fails with -EFBIG */

	/*
	 * Where set, the body of a reply with status < 400 comes here as it arrives and is not kept.
	 * Called with length 0 once when the status line and headers are in. Returning a negative
	 * errno ends the exchange with it.
	 */
	int (*on_data)(void *arg, int status, const char *data, size_t length);
	/*
	 * The end, exactly once, never before http() has returned: err is NULL when a whole reply came
	 * (of any status: see status), else why not. body is NUL-terminated, borrowed for the call.
	 * -ECONNREFUSED, -ENOENT (socket missing), -ETIMEDOUT, -ECONNRESET, -ECANCELED, -EPROTO, -EACCES (TLS).
	 */
	void (*on_done)(void *arg, const struct gantry_error *err, int status, const char *body,
			size_t length);
	void *arg;
};

/*
 * A request that turns its connection into a stream of bytes both ways ("Upgrade: tcp", as a Docker
 * Engine has it for attach and exec): answered with 101, or with 200 without a length.
 *
 *	upgrade ─▶ on_open ─▶ on_data, on_drain … ─▶ on_end
 *	   └──── refused, or no connection ────────────┘
 *
 * No callback comes before the call that caused it has returned.
 */
struct gantry_upgrade {
	const struct gantry_http_peer *peer;
	const char *method, *path; /* as in gantry_http_request; copied */
	const char *content_type;  /* of body; NULL: none; copied */
	const void *body;          /* copied; NULL: none */
	size_t body_length;
	int64_t connect_timeout_ms; /* 0: 10 s */
	int64_t reply_timeout_ms;   /* until the answer is in; 0: never */

	void (*on_open)(void *arg);
	void (*on_data)(void *arg, const char *data, size_t length);
	void (*on_drain)(void *arg); /* may go on, after a stream_write that returned false */
	/*
	 * The end, exactly once. err NULL and status 101 or 200: the peer has ended the stream. err NULL
	 * and any other status: refused, body says why. Else err as for on_done of an exchange.
	 */
	void (*on_end)(void *arg, const struct gantry_error *err, int status, const char *body,
		       size_t length);
	void *arg;
};

struct gantry_host {
	uint32_t size; /* of this struct in the core that runs */
	struct gantry_core *core;

	void (*log)(struct gantry_core *core, enum gantry_log_level level, const char *format, ...)
		__attribute__((format(printf, 3, 4)));

	/* Zero-filled memory that lives until the op is gone (after its end was heard by the core). */
	void *(*op_alloc)(struct gantry_op *op, size_t size);
	/* Ends the op. Success: err NULL and the op's result or NULL. Failure: err, copied. */
	void (*op_done)(struct gantry_op *op, const struct gantry_error *err, const void *result);
	void (*op_progress)(struct gantry_op *op, const struct gantry_progress *progress);
	/* Names who is told of a cancel; NULL takes it back. Called at once where the cancel came before. */
	void (*op_on_cancel)(struct gantry_op *op, void (*cancel)(void *arg), void *arg);

	/* Starts an exchange; failure to start is told by on_done too. Never NULL. */
	struct gantry_http *(*http)(struct gantry_core *core,
				    const struct gantry_http_request *request);
	/* Asks for the end; on_done still comes, with -ECANCELED. */
	void (*http_cancel)(struct gantry_http *http);

	/* Calls fire once after the time. The handle is dead once fire is called or after the stop. */
	struct gantry_timer *(*timer_start)(struct gantry_core *core, int64_t after_ms,
					    void (*fire)(void *arg), void *arg);
	void (*timer_stop)(struct gantry_timer *timer);

	/* Since ABI 1.1: look with GANTRY_HOST_HAS before use. */

	/*
	 * Names who is told that what the op gives goes on too fast (paused) and may go on again; NULL
	 * takes it back. Called at once where the pause came before. A few pieces more do no harm.
	 */
	void (*op_on_pause)(struct gantry_op *op, void (*pause)(void *arg, bool paused), void *arg);
	/*
	 * Nothing is read while paused, but for what was read already: at most one on_data more. The stall
	 * timeout does not count meanwhile. May be called from on_data.
	 */
	void (*http_pause)(struct gantry_http *http, bool paused);

	/* Since ABI 1.2. */

	/* Calls run on a thread of the pool, then done on the loop, exactly once. run may block, and
	 * calls nothing of this table. */
	void (*work)(struct gantry_core *core, void (*run)(void *arg), void (*done)(void *arg),
		     void *arg);

	/* Calls changed as soon as something in the folder was made, written, renamed or removed. */
	int (*watch)(struct gantry_core *core, const char *folder, void (*changed)(void *arg),
		     void *arg, struct gantry_watch **ret_watch, struct gantry_error *err);
	void (*watch_close)(struct gantry_watch *watch);

	/* Since ABI 1.3. */

	/* Starts it; failure to start is told by on_end too. Never NULL. */
	struct gantry_stream *(*upgrade)(struct gantry_core *core,
					 const struct gantry_upgrade *upgrade);
	/* From on_open on. Queues a copy; false: it is not open, or the peer is behind, on_drain will come. */
	bool (*stream_write)(struct gantry_stream *stream, const void *data, size_t length);
	/* Ends our side once all is sent, while the peer goes on. -ENOTSUP: over TLS, where libcurl has not OpenSSL. */
	int (*stream_shutdown)(struct gantry_stream *stream);
	/* Nothing is read while paused, but for what was read already. */
	void (*stream_pause)(struct gantry_stream *stream, bool paused);
	/* Asks for the end; on_end still comes, with -ECANCELED. */
	void (*stream_close)(struct gantry_stream *stream);

	/* Since ABI 1.5. */

	/*
	 * As http, on a connection of its own and sent once, with a body of unknown length that http_write
	 * gives in pieces; request->body is not looked at. on_drain: go on, after a http_write that
	 * returned false. The stall timeout does not count while the next piece is waited for.
	 */
	struct gantry_http *(*http_upload)(struct gantry_core *core,
					   const struct gantry_http_request *request,
					   void (*on_drain)(void *arg));
	/* Queues a copy; false: the peer is behind, on_drain will come, or it takes no more. */
	bool (*http_write)(struct gantry_http *http, const void *data, size_t length);
	/* That was all of the body. */
	void (*http_write_end)(struct gantry_http *http);

	/* Since ABI 1.6. */

	/*
	 * Watches a descriptor of the plugin's, which stays open until poll_close. Nothing is told until
	 * poll_set; from then on ready is called, never from inside a call, as long as it is so.
	 */
	int (*poll)(struct gantry_core *core, int fd,
		    void (*ready)(void *arg, bool readable, bool writable), void *arg,
		    struct gantry_poll **ret_poll, struct gantry_error *err);
	void (*poll_set)(struct gantry_poll *poll, bool readable, bool writable);
	void (*poll_close)(struct gantry_poll *poll);

	/* Since ABI 1.7. */

	/* A header of the reply, any case; NULL: none. From on_data only; borrowed for the call. */
	const char *(*http_header)(struct gantry_http *http, const char *name);

	/* Since ABI 1.12. */

	/*
	 * Serves HTTP on a unix socket that root alone may use. handle gets each POST with its whole body, borrowed
	 * for the call, and sees to it that it is answered by reply once, at once or later.
	 */
	int (*serve)(struct gantry_core *core, const char *socket,
		     void (*handle)(void *arg, struct gantry_request *request, const char *path,
				    const char *body),
		     void *arg, struct gantry_server **ret_server, struct gantry_error *err);
	/* Whether somebody still waits for it does not matter. body is copied. */
	void (*reply)(struct gantry_request *request, int status, const char *content_type,
		      const char *body);
	/* The socket goes at once; no call comes any more. Each request has been answered before. */
	void (*serve_end)(struct gantry_server *server);

	/* Since ABI 1.13. */

	/* Reads the files. An error is at the field tls_ca, tls_certificate or tls_key. */
	int (*tls_open)(const struct gantry_tls_settings *settings, struct gantry_tls **ret_tls,
			struct gantry_error *err);
	void (*tls_close)(struct gantry_tls *tls); /* all that was begun has ended before */
	/* Of a socket that does not block and is connected to host, a name or an address; as the client. */
	struct gantry_tls_socket *(*tls_begin)(struct gantry_tls *tls, int fd, const char *host);
	/* 0: it stands. -EAGAIN: once more when the socket can be read, or written. -EPROTO: why, in words. */
	int (*tls_handshake)(struct gantry_tls_socket *socket, bool *ret_writes,
			     const char **ret_why);
	/* As recv and send, with a negative errno. */
	ssize_t (*tls_read)(struct gantry_tls_socket *socket, void *data, size_t size);
	ssize_t (*tls_write)(struct gantry_tls_socket *socket, const void *data, size_t length);
	/* The socket stays the plugin's to close. */
	void (*tls_end)(struct gantry_tls_socket *socket);
};

/* Whether the core that runs has this member of the table. */
#define GANTRY_HOST_HAS(host, member)                                                              \
	((host)->size >= offsetof(struct gantry_host, member) + sizeof((host)->member))

#endif
