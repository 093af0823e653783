/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 511

static int bind_unix(const char *path, mode_t mode, gid_t gid, struct gantry_error *err);
static void on_connection(uv_stream_t *stream, int status);
static void on_listener_closed(uv_handle_t *handle);

static struct http_listener *listener_new(struct http_server *server, void *arg)
{
	struct http_listener *listener = xcalloc(1, sizeof(*listener));

	listener->server = server;
	listener->arg = arg;
	list_append(&server->listeners, &listener->link);
	server->open_listeners++;
	return listener;
}

int http_listen_unix(struct http_server *server, const char *path, mode_t mode, gid_t gid,
		     void *arg, struct http_listener **ret_listener, struct gantry_error *err)
{
	struct http_listener *listener;
	struct stat st;
	int fd, code;

	fd = bind_unix(path, mode, gid, err);
	if (fd < 0)
		return fd;
	listener = listener_new(server, arg);
	listener->path = xstrdup(path);
	if (lstat(path, &st) == 0) {
		listener->device = st.st_dev;
		listener->inode = st.st_ino;
	}
	uv_pipe_init(&server->loop->uv, &listener->pipe, 0);
	code = uv_pipe_open(&listener->pipe, fd);
	if (code < 0)
		close(fd);
	else
		code = uv_listen(&listener->stream, BACKLOG, on_connection);
	if (code < 0) {
		listener_close(listener);
		return gantry_error_set(err, code, "listen on %s: %s", path, uv_strerror(code));
	}
	if (ret_listener)
		*ret_listener = listener;
	return 0;
}

int http_listen_tcp(struct http_server *server, const char *address, int port,
		    const struct http_tls *tls, void *arg, struct http_listener **ret_listener,
		    struct gantry_error *err)
{
	struct http_listener *listener;
	struct tls_context *context = NULL;
	struct sockaddr_storage bound;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	int length = sizeof(bound), code;

	if (port < 0 || port > 65535)
		return gantry_error_set(err, -EINVAL, "port %d is not between 0 and 65535", port);
	if (uv_ip4_addr(address, port, &name.v4) < 0 && uv_ip6_addr(address, port, &name.v6) < 0)
		return gantry_error_set(err, -EINVAL, "\"%s\" is not an IPv4 or IPv6 address",
					address);
	if (tls) {
		code = tls_context_new(tls, &context, err);
		if (code < 0)
			return code;
	}
	listener = listener_new(server, arg);
	listener->tls = context;
	uv_tcp_init(&server->loop->uv, &listener->tcp);
	code = uv_tcp_bind(&listener->tcp, &name.any, 0);
	if (code == 0)
		code = uv_listen(&listener->stream, BACKLOG, on_connection);
	if (code == 0)
		code = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &length);
	if (code < 0) {
		listener_close(listener);
		return gantry_error_set(err, code, "listen on %s port %d: %s", address, port,
					uv_strerror(code));
	}
	/* the port is at the same place in both kinds of address */
	listener->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
	if (ret_listener)
		*ret_listener = listener;
	return 0;
}

int http_listener_port(const struct http_listener *listener)
{
	return listener->port;
}

void listener_close(struct http_listener *listener)
{
	struct stat st;

	if (listener->closing)
		return;
	listener->closing = true;
	/* somebody else's socket may be there by now */
	if (listener->path && lstat(listener->path, &st) == 0 && st.st_dev == listener->device &&
	    st.st_ino == listener->inode)
		unlink(listener->path);
	uv_close(&listener->handle, on_listener_closed);
}

void listener_free(struct http_listener *listener)
{
	list_remove(&listener->link);
	tls_context_free(listener->tls);
	free(listener->path);
	free(listener);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct http_listener *listener = LIST_ENTRY(handle, struct http_listener, handle);

	listener->server->open_listeners--;
	server_check_closed(listener->server);
}

static void on_connection(uv_stream_t *stream, int status)
{
	if (status == 0)
		conn_accept(LIST_ENTRY(stream, struct http_listener, stream));
}

/* 0: nobody is there, and the file may go. */
static int probe_unix(const struct sockaddr_un *name, struct gantry_error *err)
{
	struct stat st;
	int fd, code = 0;

	if (lstat(name->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return gantry_error_set(err, -EEXIST,
					"%s is there and is not a socket; move it away first",
					name->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return gantry_error_set(err, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno == EAGAIN)
		code = gantry_error_set(
			err, -EADDRINUSE,
			"another process listens on %s; is gantryd running already?",
			name->sun_path);
	else if (errno != ECONNREFUSED && errno != ENOENT)
		code = gantry_error_set(err, -errno, "%s: %s", name->sun_path, strerror(errno));
	close(fd);
	return code;
}

/* Until listen is called every connect is refused: the time to set group and mode. */
static int bind_unix(const char *path, mode_t mode, gid_t gid, struct gantry_error *err)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd, code;

	if (strlen(path) >= sizeof(name.sun_path))
		return gantry_error_set(err, -ENAMETOOLONG,
					"socket path %s is longer than %zu characters", path,
					sizeof(name.sun_path) - 1);
	strcpy(name.sun_path, path);
	code = probe_unix(&name, err);
	if (code < 0)
		return code;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return gantry_error_set(err, -errno, "socket: %s", strerror(errno));
	unlink(path);
	fchmod(fd, mode);
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		code = gantry_error_set(err, -errno, "bind %s: %s", path, strerror(errno));
		close(fd);
		return code;
	}
	if ((gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0) || chmod(path, mode) < 0) {
		code = gantry_error_set(err, -errno, "set group and mode of %s: %s", path,
					strerror(errno));
		unlink(path);
		close(fd);
		return code;
	}
	return fd;
}
