/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the HTTP server share. Who does what:
 *
 *	listener.c   sockets to listen on, accepting
 *	conn.c       a connection: reading, writing, deadlines, the ways it ends
 *	tls.c        TLS between the two, by memory BIOs
 *	parse.c      bytes to requests: llhttp and the checks it leaves to us
 *	request.c    a request as a handler sees it: getters, body, references
 *	reply.c      answers, whole and in pieces
 *	websocket.c  a connection that has become a WebSocket
 *	server.c     the whole: deadlines of all connections, shutdown
 *
 * Beside it tls_client.c: TLS of connections that are not the server's (tls.h).
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <llhttp.h>

#include "base/list.h"
#include "base/str.h"
#include "http/server.h"

#define READ_BYTES   ((size_t)64 * 1024) /* of one read */
#define RECORD_BYTES ((size_t)16 * 1024) /* of one TLS record; TLS works in steps of it */
/* Input kept while a request waits for its answer; over it the socket is left unread. */
#define PENDING_BYTES ((size_t)64 * 1024)
/* Output gathered while input is parsed. */
#define CORK_BYTES ((size_t)64 * 1024)
/* Rest of a body that nobody wants which is read for the sake of keeping the connection. */
#define DROP_BYTES ((size_t)64 * 1024)
/* Trailers and chunk extensions of one body, which nobody reads. */
#define TRAILER_BYTES ((size_t)8 * 1024)
/* Connections over the limit that may wait for their 503 to arrive; further ones are just closed. */
#define REFUSED_CONNECTIONS 64

struct tls_context; /* of a listener */
struct tls;         /* of a connection */
struct websocket;   /* of a request that has become one */

struct http_listener {
	struct list link;           /* in server->listeners */
	struct http_server *server; /* borrowed */
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	void *arg;               /* borrowed; the mark */
	struct tls_context *tls; /* owned; NULL: plain */
	char *path;              /* owned; NULL: TCP */
	dev_t device;            /* of the socket file, so that only ours is removed */
	ino_t inode;
	int port;
	bool closing;
	size_t connections;
};

/*
 * Where a connection is in its current request. It moves in parse_run only:
 *
 *	IDLE → HEAD → BODY → COMPLETE → IDLE
 *	        first  on_    message    answered
 *	        byte  request  is in
 */
enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_COMPLETE };

struct conn {
	struct list link; /* in server->conns */
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	struct http_server *server;     /* borrowed */
	struct http_listener *listener; /* borrowed */
	struct tls *tls;                /* owned; NULL: plain */
	struct http_request *request;   /* a reference of ours; NULL when idle */
	struct loop_later later;        /* goes on where an answer or a resume came from outside */
	llhttp_t parser;
	enum phase phase;

	struct str pending; /* input that waits */
	size_t queued;      /* bytes handed to uv_write and not written yet */
	uint64_t added;     /* bytes ever handed to uv_write */
	uint64_t taken;     /* of those, written when last looked at */

	/* Deadlines on the loop's clock; 0: none. */
	int64_t read_due_ms, write_due_ms;
	int64_t take_ms; /* in which the peer must take a byte of the answer at hand */

	/* Of the head at hand. */
	size_t head_bytes;
	bool line_start, target_seen;
	char last;       /* byte of it that came */
	int fail_status; /* set by a parser callback that found something wrong */
	const char *fail_detail;

	bool served;     /* one request at least was answered */
	bool keep_alive; /* as far as the request and its answer go */
	bool parsing;    /* parse_run is on the stack */
	bool reading;
	bool kick;      /* the parser has something to say that needs no input */
	bool eof;       /* the peer has ended its side */
	bool finishing; /* nothing more is answered: flush, shut down, linger, close */
	bool shut;      /* finishing has got to lingering */
	bool cut;       /* no TLS goodbye: the end must not look like a good one */
	bool closing;   /* uv_close was called */

	uv_shutdown_t shutdown;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char address[48];
};

enum body_mode { BODY_DROP, BODY_BUFFER, BODY_STREAM };

struct http_field {
	uint32_t name, value; /* offsets into head */
};

struct http_request {
	struct http_server *server; /* borrowed; while conn is set or a notice is due */
	struct conn *conn;          /* borrowed; NULL: answered and done with, or gone */
	unsigned references;
	struct arena arena;
	struct loop_later notice; /* tells on_stop and on_gone */

	struct str head;           /* owned; the target, then names and values, each ended by NUL */
	struct http_field *fields; /* owned */
	unsigned field_count, field_room;
	const char *method, *path, *query; /* static or in head */
	int64_t content_length;
	bool head_only, http_1_0, expects_continue;
	void *listener_arg; /* borrowed */
	struct http_peer peer;

	enum body_mode body_mode;
	struct str body;
	uint64_t body_max, body_received;
	size_t trailer_bytes;
	bool paused, resumed;
	int64_t give_ms; /* in which the client must send a byte of the body; 0: the limits' */
	bool held;       /* the body is not wanted before it is resumed */
	bool (*on_data)(void *arg, struct http_request *request, const char *data, size_t length);
	http_request_fn on_body; /* also on_end */
	void *body_arg;          /* borrowed */

	struct websocket *websocket; /* owned; NULL: it is none */
	struct str reply_headers;    /* owned */
	bool handed;                 /* on_request was called */
	bool begun;                  /* a stream was */
	bool chunked;
	bool answered;
	bool gone, let_go, stop;
	bool behind; /* a write returned false since the last on_drain */
	void (*on_gone)(void *arg);
	void (*on_drain)(void *arg);
	void (*on_stop)(void *arg);
	void *gone_arg, *drain_arg, *stop_arg; /* borrowed */
};

struct http_server {
	struct loop *loop; /* borrowed */
	struct http_limits limits;
	http_request_fn on_request;
	void *arg; /* borrowed */
	struct http_counters counters;
	struct list conns, listeners;
	size_t open_listeners;
	size_t notices; /* requests whose end is still to be told */

	struct loop_timer sweep; /* looks at all deadlines */
	int64_t sweep_due_ms;    /* 0: not set */

	bool draining;
	int64_t grace_due_ms;
	struct loop_timer grace;
	struct loop_later closed_later;
	void (*closed)(void *arg);
	void *closed_arg; /* borrowed */

	struct conn *corked; /* borrowed; whose output is gathered in cork */
	struct str cork, scratch;
	int64_t date_s;
	char date[40];
	char read_buffer[READ_BYTES], plain_buffer[RECORD_BYTES];
};

/* server.c */
int64_t server_now_ms(const struct http_server *server);
/* Sees to it that deadlines are looked at by then. */
void server_due(struct http_server *server, int64_t due_ms);
/* Something has gone that a drain may have waited for. */
void server_check_closed(struct http_server *server);

/* listener.c */
void listener_close(struct http_listener *listener);
void listener_free(struct http_listener *listener);

/* conn.c */
/* Takes the connection that waits on the listener. */
void conn_accept(struct http_listener *listener);
/* Plaintext has come. */
void conn_feed(struct conn *conn, const char *data, size_t length);
/* The peer has ended its side. */
void conn_eof(struct conn *conn);
/* Sends plaintext, now or when the parser is through with its input. */
void conn_output(struct conn *conn, const void *data, size_t length);
/* Sends bytes as they are; for conn_output and TLS. */
void conn_send_raw(struct conn *conn, const void *data, size_t length);
/* The same of several pieces; only where nothing gathers output on its way there. */
void conn_send_parts(struct conn *conn, const uv_buf_t *parts, unsigned count);
bool conn_gathers(const struct conn *conn);
/* What is not out yet. */
size_t conn_backlog(const struct conn *conn);
/* The answer to the current request is complete. */
void conn_answered(struct conn *conn);
/* Goes on from the loop. */
void conn_continue(struct conn *conn);
/*
 * Answers the current request with a problem and ends the connection; the handler's request is
 * gone. Where an answer has begun, it is cut.
 */
void conn_fail(struct conn *conn, int status, const char *detail);
/* Ends the connection in good order: what is queued arrives, what the peer still sends is dropped. */
void conn_finish(struct conn *conn);
/* Ends it at once. */
void conn_kill(struct conn *conn);
/* Sets how long may pass until the next step of the peer. */
void conn_read_due(struct conn *conn, int64_t after_ms);
/* Looks at the deadlines; returns the next one, 0: none. */
int64_t conn_sweep(struct conn *conn, int64_t now_ms);

/* tls.c */
int tls_context_new(const struct http_tls *settings, struct tls_context **ret_context,
		    struct gantry_error *err);
void tls_context_free(struct tls_context *context);
struct tls *tls_new(struct tls_context *context);
void tls_free(struct tls *tls);
bool tls_ready(const struct tls *tls);
/* The client certificate's subject and CN; NULL. Borrowed. */
const char *tls_subject(const struct tls *tls);
const char *tls_common_name(const struct tls *tls);
/* Bytes have come from the socket; feeds conn. -EPROTO where TLS has failed; the alert is sent. */
int tls_receive(struct conn *conn, const char *data, size_t length);
void tls_send(struct conn *conn, const void *data, size_t length);
/* Says goodbye, so that the end is not taken for a cut. */
void tls_goodbye(struct conn *conn);

/* parse.c */
/* Parses until the input is used or somebody waits; returns how much was used. */
size_t parse_run(struct conn *conn, const char *data, size_t length);

/* websocket.c */
/* Takes input; returns how much of it. For a request that has become a WebSocket. */
size_t websocket_feed(struct conn *conn, const char *data, size_t length);
/* Its reader has asked for a rest. False where there is no WebSocket. */
bool websocket_rests(const struct conn *conn);
/* Nothing has come for ping_ms. */
void websocket_overdue(struct conn *conn);
/* Ends it from our side; the handler is told by on_gone. */
void websocket_bye(struct conn *conn, int code, const char *reason);
void websocket_free(struct websocket *websocket); /* NULL is fine */

/* request.c */
struct http_request *request_new(struct conn *conn);
/* The connection lets go of its request; the handler is told where it still owes an answer. */
void request_detach(struct conn *conn);
void request_notify(struct http_request *request);

/* reply.c */
/* Puts a whole problem answer into server->scratch; Connection: close. */
void reply_problem(struct http_server *server, int status, const char *detail, bool head_only);
/* Ends a stream so that the client can tell; the handler is told where it has set on_gone. */
void stream_cut(struct http_request *request);

#endif
