/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 server: connections, TLS, limits, bodies and streams with back-pressure. It knows no
 * route; what goes wrong in the protocol it answers itself, as RFC 9457 problem documents.
 *
 * A request, as a handler sees it
 *
 *	on_request        the headers are in, the body is not. In this call the handler does one of
 *	                    http_request_read_body    the whole body, then on_body
 *	                    http_request_stream_body  pieces as they come, with pause and resume
 *	                    nothing                   a body is read and dropped
 *	                  It may answer in this call, in a later callback, or any time after.
 *	the answer        exactly one of
 *	                    http_reply                           whole
 *	                    http_stream_begin, …write, …end      in pieces; http_stream_abort cuts it so
 *	                                                         that the client can tell
 *	                    http_websocket_accept                see websocket.h
 *	on_gone           instead of an answer: the client left, or the server had to end the request
 *	                  itself (body too large, bad chunk, stalled body, shutdown).
 *
 * Who owns what: the server holds a reference to a request until it was answered (http_reply,
 * http_stream_end, http_stream_abort) or its on_gone has returned. A handler that keeps the pointer
 * must let go of it at that moment, or hold a reference of its own (http_request_ref): then
 * everything here stays callable, and answers to a request that is gone do nothing.
 *
 * Callbacks come from the loop, never from inside a function of this header, with one exception:
 * on_request, on_body, on_data and on_end come while input is parsed; everything may be called
 * from them. No callback for a request comes after its answer was complete. All of it is for the
 * loop's thread alone.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/error.h>

#include "base/arena.h"
#include "loop/loop.h"

struct http_server;
struct http_listener;
struct http_request;

/* Fields that are 0 take the default. */
struct http_limits {
	size_t header_bytes; /* request line and headers; over: 431 */
	size_t header_count; /* over: 431 */
	size_t url_bytes;    /* over: 414 */
	size_t body_bytes;   /* of read_body without a limit of its own; over: 413 */
	size_t connections;  /* of one listener; over: 503 and close */
	int64_t header_ms;   /* from the first byte (or the connection) to the last header: 408 */
	int64_t idle_ms;     /* between two requests: closed */
	int64_t progress_ms; /* without a byte of a body that is wanted (408), or of an answer taken */
	int64_t ping_ms;     /* a WebSocket's peer that is silent so long is asked, then dropped */
	int64_t linger_ms; /* how long the rest of a refused body is read so that the answer arrives */
};

#define HTTP_HEADER_BYTES_DEFAULT ((size_t)16 * 1024)
#define HTTP_HEADER_COUNT_DEFAULT 64
#define HTTP_URL_BYTES_DEFAULT    ((size_t)8 * 1024)
#define HTTP_BODY_BYTES_DEFAULT   ((size_t)1024 * 1024)
#define HTTP_CONNECTIONS_DEFAULT  1024
#define HTTP_HEADER_MS_DEFAULT    10000
#define HTTP_IDLE_MS_DEFAULT      60000
#define HTTP_PROGRESS_MS_DEFAULT  30000
#define HTTP_PING_MS_DEFAULT      30000
#define HTTP_LINGER_MS_DEFAULT    2000

/* A stream's queue over which http_stream_write returns false; on_drain comes at half of it. */
#define HTTP_STREAM_HIGH_BYTES ((size_t)128 * 1024)
/* A writer that goes on regardless has its stream cut here. */
#define HTTP_STREAM_MAX_BYTES ((size_t)16 * 1024 * 1024)

struct http_counters {
	size_t connections_open;
	uint64_t connections_total;
	uint64_t connections_refused_total; /* over the limit */
	uint64_t handshakes_failed_total;
	uint64_t requests_total;     /* that reached a handler */
	uint64_t bad_requests_total; /* answered by the server itself with 4xx or 5xx */
};

typedef void (*http_request_fn)(void *arg, struct http_request *request);

/* --- the server --------------------------------------------------------------------------------- */

/* limits may be NULL. SIGPIPE is ignored from here on. */
struct http_server *http_server_new(struct loop *loop, const struct http_limits *limits,
				    http_request_fn on_request, void *arg);
const struct http_counters *http_server_counters(const struct http_server *server);

/*
 * Stops listening (socket files are removed), closes idle connections, aborts streams that have no
 * on_stop and tells the others, lets running requests end for up to grace_ms; then answers what is
 * unanswered with 503, cuts what is left, and calls closed from the loop. The server is freed when
 * closed has returned. Requests somebody still holds a reference to stay valid, and gone.
 * A second call can only bring the deadline nearer; its closed and arg are not looked at.
 */
void http_server_drain(struct http_server *server, int64_t grace_ms, void (*closed)(void *arg),
		       void *arg);

/* --- listeners ---------------------------------------------------------------------------------- */

struct http_tls {
	const char *certificate_file; /* PEM, chain included */
	const char *key_file;         /* PEM */
	const char *
		client_ca_file; /* who may have signed a client; NULL: no client certificate is asked */
};

/*
 * Listens on a unix socket. A stale socket file is replaced; one where somebody listens is refused
 * with -EADDRINUSE, anything else at that path with -EEXIST. gid -1 leaves the group. The file never
 * exists with more rights than mode. arg is the listener's mark for the handler.
 */
int http_listen_unix(struct http_server *server, const char *path, mode_t mode, gid_t gid,
		     void *arg, struct http_listener **ret_listener, struct gantry_error *err);

/*
 * Listens on an IPv4 or IPv6 address literal; port 0 picks one (http_listener_port). tls NULL:
 * plain. TLS is 1.2 or newer; its files are read once, here. ret_listener may be NULL in both.
 */
int http_listen_tcp(struct http_server *server, const char *address, int port,
		    const struct http_tls *tls, void *arg, struct http_listener **ret_listener,
		    struct gantry_error *err);

int http_listener_port(const struct http_listener *listener); /* 0 for a unix socket */

/* --- a request ---------------------------------------------------------------------------------- */

/* Who asks. Strings are borrowed from the request. */
struct http_peer {
	bool local; /* unix socket: uid, gid and pid are the kernel's word */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	const char
		*subject; /* client certificate's subject as RFC 2253 ("CN=nova,O=site"), or NULL */
	const char *common_name; /* its last CN, or NULL */
	const char *address;     /* of TCP, without port, or NULL */
};

struct http_request *http_request_ref(struct http_request *request);
void http_request_unref(struct http_request *request);

/* Memory that lives as long as the request. */
struct arena *http_request_arena(struct http_request *request);
const struct http_peer *http_request_peer(const struct http_request *request);
/* Of the request's listener; NULL mark where none was given. Valid after the listener is gone. */
void *http_request_listener_arg(const struct http_request *request);
/* True while an answer can still be given: not answered, not gone. */
bool http_request_open(const struct http_request *request);

const char *http_request_method(const struct http_request *request); /* "GET" */
/* Begins with "/", percent-encoded as it came, without the query; "*" for OPTIONS *. */
const char *http_request_path(const struct http_request *request);
/* Behind the "?", as it came; "" where there is none. */
const char *http_request_query_raw(const struct http_request *request);
/*
 * The decoded value of the first such parameter, "" where it has no "="; NULL: not there, or
 * ill-formed.
 */
const char *http_request_query(struct http_request *request, const char *name);
/*
 * Walks the parameters, decoded; false at the end. Start with *position = 0. An ill-formed name or
 * value is NULL.
 */
bool http_request_query_next(struct http_request *request, size_t *position, const char **ret_name,
			     const char **ret_value);
/* The first header of that name (any case), without space around it; NULL: none. */
const char *http_request_header(const struct http_request *request, const char *name);

/* Percent-decodes into the arena; "+" is a space where form is true. NULL: ill-formed, or holds %00. */
char *http_url_decode(struct arena *arena, const char *text, size_t length, bool form);

/*
 * Called once, from the loop, where no answer can be given any more. NULL takes it back. For a
 * request that is open or was so when the callback at hand began (http_request_open). A client that
 * ends its sending side before it has its answer counts as gone.
 */
void http_request_on_gone(struct http_request *request, void (*on_gone)(void *arg), void *arg);

/*
 * The whole body, kept in memory, NUL-terminated. max_bytes 0: the limits' body_bytes. A body over
 * it is answered with 413 by the server, and the request is gone. Only from inside on_request.
 */
void http_request_read_body(struct http_request *request, size_t max_bytes, http_request_fn on_body,
			    void *arg);
/* From on_body on. Never NULL; borrowed. */
const char *http_request_body(const struct http_request *request, size_t *ret_length);

/*
 * The body in pieces, as it comes. on_data has taken the piece when it returns; with false it asks
 * for a pause: nothing more comes until http_request_resume (which may come at once). on_end comes
 * once, after the last piece. max_bytes 0: no limit. Only from inside on_request.
 */
void http_request_stream_body(struct http_request *request, uint64_t max_bytes,
			      bool (*on_data)(void *arg, struct http_request *request,
					      const char *data, size_t length),
			      http_request_fn on_end, void *arg);
/*
 * Likewise, but nothing is read, nor is a client that waits to be asked for its body, before the first
 * http_request_resume. That the client leaves is not noticed until then.
 */
void http_request_hold_body(struct http_request *request, uint64_t max_bytes,
			    bool (*on_data)(void *arg, struct http_request *request,
					    const char *data, size_t length),
			    http_request_fn on_end, void *arg);
void http_request_resume(struct http_request *request);
/* How long the client may send nothing of a body that is wanted: 408; the limits' progress_ms unless set. */
void http_request_set_stall(struct http_request *request, int64_t limit_ms);

/* --- the answer --------------------------------------------------------------------------------- */

/*
 * A further header of the answer; copied. Before http_reply or http_stream_begin. Content-Length,
 * Transfer-Encoding, Connection, Date and Content-Type are the server's own: do not give them here.
 * Control characters in value become spaces.
 */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* Answers; body is copied. content_type NULL: none. With 204 and 304 no body is sent. */
void http_reply(struct http_request *request, int status, const char *content_type,
		const void *body, size_t length);

/* A small problem document; for those who have nothing to add to it. */
void http_reply_problem(struct http_request *request, int status, const char *detail);

/*
 * Begins an answer in pieces. False where there is nothing to write: the request is gone, or was a
 * HEAD, which this answers completely; the calls below then do nothing.
 */
bool http_stream_begin(struct http_request *request, int status, const char *content_type);
/*
 * Queues a copy of data. False: stop, the peer is behind (on_drain will come) or gone. What is
 * written nevertheless is still queued, up to HTTP_STREAM_MAX_BYTES: there the stream is cut.
 */
bool http_stream_write(struct http_request *request, const void *data, size_t length);
/* The same, with a head in front of it. */
bool http_stream_write_behind(struct http_request *request, const void *head, size_t head_length,
			      const void *data, size_t length);
/* How long the peer may take nothing of this stream before it is cut; the limits' progress_ms unless set. */
void http_stream_set_stall(struct http_request *request, int64_t limit_ms);
/* Called, from the loop, each time the queue falls to the half after a write that returned false. */
void http_stream_on_drain(struct http_request *request, void (*on_drain)(void *arg), void *arg);
/* Called once, from the loop, when the server begins to drain: say a last word and end. */
void http_stream_on_stop(struct http_request *request, void (*on_stop)(void *arg), void *arg);
void http_stream_end(struct http_request *request);
/*
 * Sends what is queued and closes the connection without the last chunk. For HTTP/1.0 over plain
 * TCP, where the end of the connection is the end of the answer, the connection is reset instead.
 */
void http_stream_abort(struct http_request *request);

/*
 * Ends the request from outside of its handler, which hears so by on_gone. A stream is cut, a WebSocket is
 * closed with 1001 and the reason.
 */
void http_request_cut(struct http_request *request, const char *reason);

#endif
