/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where engines find the driver: by its name, and in no other way.
 *
 * An engine that looks for a volume that it does not know asks every socket in its plugins' folder, and waits 15 s for
 * one that nobody answers. So what is there is a link, which an engine follows where it looks for a driver by
 * name and passes over where it looks for all; the socket is in a folder of our own.
 *
 * A gantryd that is killed leaves both. Whoever starts or ends next, of whatever owner, removes what nobody
 * answers, with the folders locked, so that nothing is removed that is just being made. A lock that another
 * has is not waited for: it is tried again until it is ours, and ports cannot be wired before.
 */
#include "net.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "gantry-"
#define SUFFIX ".sock"

#define AGAIN_MS 100

/* Of a path whose last folder or two are missing. */
static int make_folder(const char *path)
{
	char *upper = strdup(path), *slash = strrchr(upper, '/');

	if (slash && slash != upper) {
		*slash = '\0';
		mkdir(upper, 0700);
	}
	free(upper);
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Refused, or a link to what is not there; where that cannot be told, somebody may listen. */
static bool nobody_answers(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	bool nobody = false;
	int fd;

	if (strlen(path) >= sizeof(name.sun_path))
		return false;
	strcpy(name.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
		nobody = errno == ECONNREFUSED || errno == ENOENT;
	close(fd);
	return nobody;
}

/* A link's socket too, where it has the link's name. */
static void remove_dead(const char *path)
{
	char target[sizeof(((struct sockaddr_un *)0)->sun_path)];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	struct stat st;

	if (length > 0) {
		target[length] = '\0';
		if (target[0] == '/' && strcmp(strrchr(target, '/'), strrchr(path, '/')) == 0 &&
		    lstat(target, &st) == 0 && S_ISSOCK(st.st_mode))
			unlink(target);
	}
	unlink(path);
}

static bool is_ours(const char *name)
{
	size_t length = strlen(name);

	return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && length > strlen(SUFFIX) &&
	       strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static void sweep(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct stat st;
	char *path;

	while (dir && (entry = readdir(dir))) {
		if (!is_ours(entry->d_name))
			continue;
		if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			abort();
		if (lstat(path, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISLNK(st.st_mode)) &&
		    nobody_answers(path))
			remove_dead(path);
		free(path);
	}
	if (dir)
		closedir(dir);
}

struct locks {
	int fds[2];
};

/* -EWOULDBLOCK: somebody else has it. */
static int lock_folder(const char *folder, const char *option, int *ret_fd,
		       struct gantry_error *err)
{
	int code = make_folder(folder);

	*ret_fd = code < 0 ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (code == 0 && *ret_fd < 0)
		code = -errno;
	if (code == 0 && flock(*ret_fd, LOCK_EX | LOCK_NB) < 0)
		code = -errno;
	if (code == -EWOULDBLOCK)
		return gantry_error_field(err, code, option,
					  "%s is locked by another process: until it lets go no "
					  "engine finds the network driver",
					  folder);
	if (code < 0)
		return gantry_error_field(err, code, option, "%s: %s", folder, strerror(-code));
	return 0;
}

static void unlock(struct locks *locks)
{
	for (int i = 0; i < 2; i++) {
		if (locks->fds[i] >= 0)
			close(locks->fds[i]);
		locks->fds[i] = -1; /* a failed lock has no second unlock to close another's */
	}
}

/* Always in this order. */
static int lock(const struct net_settings *settings, struct locks *ret_locks,
		struct gantry_error *err)
{
	int code;

	*ret_locks = (struct locks){{-1, -1}};
	code = lock_folder(settings->socket_folder, "socket_folder", &ret_locks->fds[0], err);
	if (code == 0)
		code = lock_folder(settings->plugin_folder, "plugin_folder", &ret_locks->fds[1],
				   err);
	if (code < 0)
		unlock(ret_locks);
	return code;
}

static void sweep_both(const struct net_settings *settings)
{
	sweep(settings->plugin_folder);
	sweep(settings->socket_folder);
}

static void free_paths(struct net *net)
{
	free(net->link);
	free(net->socket);
	net->link = net->socket = NULL;
}

static int make(struct net *net, struct gantry_error *err)
{
	int code =
		net->host->serve(net->host->core, net->socket, net->handle, net, &net->server, err);

	if (code < 0)
		return code;
	if (symlink(net->socket, net->link) == 0)
		return 0;
	code = gantry_error_field(err, -errno, "plugin_folder", "%s: %s", net->link,
				  strerror(errno));
	net->host->serve_end(net->server);
	net->server = NULL;
	return code;
}

static int try_open(struct net *net)
{
	struct locks locks;
	int code = lock(net->settings, &locks, &net->unserved);

	if (code < 0)
		return code;
	sweep_both(net->settings);
	code = make(net, &net->unserved);
	unlock(&locks);
	return code;
}

static void open_later(struct net *net);

/* What is told once is told again where it is another reason. */
static void on_again(void *arg)
{
	struct net *net = arg;
	int before = net->unserved.code;

	net->again = NULL;
	if (try_open(net) == 0) {
		net->host->log(net->host->core, GANTRY_LOG_INFO, "engines find the driver now");
		return;
	}
	if (net->unserved.code != before)
		net->host->log(net->host->core, GANTRY_LOG_ERROR, "%s", net->unserved.text);
	open_later(net);
}

static void open_later(struct net *net)
{
	net->again = net->host->timer_start(net->host->core, AGAIN_MS, on_again, net);
}

int net_socket_open(struct net *net, net_handler_fn handle, struct gantry_error *err)
{
	const struct net_settings *settings = net->settings;
	int code;

	if (asprintf(&net->socket, "%s/%s" SUFFIX, settings->socket_folder, net->driver) < 0 ||
	    asprintf(&net->link, "%s/%s" SUFFIX, settings->plugin_folder, net->driver) < 0)
		abort();
	net->handle = handle;
	code = try_open(net);
	if (code == -EWOULDBLOCK) {
		net->host->log(net->host->core, GANTRY_LOG_WARN, "%s", net->unserved.text);
		open_later(net);
		return 0;
	}
	if (code < 0) {
		*err = net->unserved;
		free_paths(net);
	}
	return code;
}

/* Somebody has removed the folder, or what is in it. Only where no request is under way. */
void net_socket_look(struct net *net)
{
	char target[sizeof(((struct sockaddr_un *)0)->sun_path)] = "";

	if (!net->server || net->works)
		return;
	if (access(net->socket, F_OK) == 0 && readlink(net->link, target, sizeof(target) - 1) > 0 &&
	    strcmp(target, net->socket) == 0)
		return;
	net->host->log(net->host->core, GANTRY_LOG_WARN,
		       "somebody removed %s or %s: they are made again", net->link, net->socket);
	unlink(net->link);
	net->host->serve_end(net->server);
	net->server = NULL;
	if (try_open(net) < 0)
		open_later(net);
}

/* While we serve no other has our name, so that our link needs no lock. */
void net_socket_close(struct net *net)
{
	struct gantry_error err;
	struct locks locks;
	bool locked;

	if (net->again)
		net->host->timer_stop(net->again);
	net->again = NULL;
	if (net->server) {
		locked = lock(net->settings, &locks, &err) == 0;
		unlink(net->link);
		net->host->serve_end(net->server);
		net->server = NULL;
		if (locked) /* else who has the lock does, or the next one */
			sweep_both(net->settings);
		unlock(&locks);
	}
	free_paths(net);
}
