/* SPDX-License-Identifier: Apache-2.0 */
/* Open vSwitch, by its own tool: it waits for the switch to have done what was asked. */
#include "net.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOOL     "ovs-vsctl"
#define GRACE_MS 250 /* for its own timeout to come first */

enum { NOT_RUN = -1, NO_ANSWER = -2 }; /* beside exit statuses */

extern char **environ;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until its end, or until the time has passed. False: that. */
static bool read_all(int fd, int64_t limit_ms, char *text, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int64_t end_ms = now_ms() + limit_ms, left_ms;
	size_t length = 0;
	ssize_t got = 1;

	while (got > 0 && (left_ms = end_ms - now_ms()) > 0 && poll(&ready, 1, (int)left_ms) > 0) {
		got = read(fd, text + length, size - 1 - length);
		if (got > 0 && length + (size_t)got < size - 1) /* the rest is read and not kept */
			length += (size_t)got;
	}
	while (length > 0 && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	return got <= 0;
}

static pid_t spawn(char *const *words, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawn_file_actions_adddup2(&actions, output, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	if (posix_spawnp(&pid, TOOL, &actions, &attributes, words, environ) != 0)
		pid = -1;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* What it says on both streams comes into text, without the newline at its end. Its exit status, or one of those above. */
static int run(char *const *words, int64_t limit_ms, char *text, size_t size)
{
	int ends[2], status = 0;
	bool ended;
	pid_t pid;

	text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NOT_RUN;
	pid = spawn(words, ends[1]);
	close(ends[1]);
	ended = pid < 0 || read_all(ends[0], limit_ms + GRACE_MS, text, size);
	close(ends[0]);
	if (pid < 0)
		return NOT_RUN;
	if (!ended)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return ended && WIFEXITED(status) ? WEXITSTATUS(status) : NO_ANSWER;
}

static char *timeout_word(const struct net *net, char word[32])
{
	snprintf(word, 32, "--timeout=%lld",
		 (long long)(net->settings->ovs_timeout_ms + 999) / 1000);
	return word;
}

#define RUN(net, text, ...)                                                                        \
	run((char *[]){(char *)TOOL, timeout_word(net, (char[32]){""}), __VA_ARGS__, NULL},        \
	    (net)->settings->ovs_timeout_ms, text, sizeof(text))

static int failed(const struct net *net, int status, const char *what, const char *text,
		  struct gantry_error *err)
{
	if (status == NOT_RUN || status == 127)
		return gantry_error_set(
			err, -ENOENT, "net: %s: " TOOL " cannot be run: install openvswitch-switch",
			what);
	if (status == NO_ANSWER)
		return gantry_error_set(err, -ETIMEDOUT,
					"net: %s: " TOOL
					" has no answer after %.3g s: see whether ovsdb-server "
					"and ovs-vswitchd run (plugins.net.ovs_timeout)",
					what, (double)net->settings->ovs_timeout_ms / 1000);
	return gantry_error_set(err, -EIO, "net: %s: " TOOL ": %s", what,
				text[0] ? text : "no answer");
}

bool net_ovs_has_bridge(const struct net *net, const char *bridge, struct gantry_error *err)
{
	char text[300];
	int status = RUN(net, text, (char *)"br-exists", (char *)bridge);

	if (status == 0)
		return true;
	if (status == 2)
		gantry_error_set(err, -ENODEV, "there is no bridge %s of Open vSwitch on this host",
				 bridge);
	else
		failed(net, status, bridge, text, err);
	return false;
}

/*
 * A packet is passed on with its checksum left to a device to fill in; the datapath in userspace hands it over
 * as it is, and who gets it drops it.
 */
static int fill_checksums(const struct net_port *port, const char *name, struct gantry_error *err)
{
	struct ethtool_value value = {.cmd = ETHTOOL_STXCSUM, .data = 0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), code = 0;
	struct ifreq request = {.ifr_data = (void *)&value};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
		code = -errno;
	if (fd >= 0)
		close(fd);
	if (code < 0)
		return gantry_error_set(err, code, "net: port %s: checksums of %s: %s", port->id,
					name, strerror(-code));
	return 0;
}

/* 1: it has its datapath in userspace. */
static int is_userspace(const struct net *net, const char *bridge, struct gantry_error *err)
{
	char text[300];
	int status = RUN(net, text, (char *)"get", (char *)"bridge", (char *)bridge,
			 (char *)"datapath_type");

	return status == 0 ? strcmp(text, "netdev") == 0 : failed(net, status, bridge, text, err);
}

int net_ovs_add(const struct net *net, const struct net_port *port, struct gantry_error *err)
{
	char id[80], mac[80], instance[96], text[300], raw[18];
	int status, userspace = is_userspace(net, port->bridge, err);

	if (userspace < 0)
		return userspace;
	if (userspace && (fill_checksums(port, port->tap, err) < 0 ||
			  fill_checksums(port, port->inner, err) < 0))
		return err ? err->code : -EIO;
	snprintf(id, sizeof(id), "external_ids:iface-id=%s", port->id);
	snprintf(mac, sizeof(mac), "external_ids:attached-mac=\"%s\"",
		 net_mac_text(port->mac, raw));
	snprintf(instance, sizeof(instance), "external_ids:vm-uuid=%s", port->instance);
	status = RUN(net, text, (char *)"--may-exist", (char *)"add-port", (char *)port->bridge,
		     (char *)port->tap, (char *)"--", (char *)"set", (char *)"Interface",
		     (char *)port->tap, id, mac, instance,
		     (char *)"external_ids:iface-status=active");
	return status == 0 ? 0 : failed(net, status, port->tap, text, err);
}

int net_ovs_remove(const struct net *net, const char *tap, struct gantry_error *err)
{
	char text[300];
	int status;

	if (access("/run/openvswitch/db.sock", F_OK) < 0)
		return 0;
	/* the switch need not be there to see it go */
	status = RUN(net, text, (char *)"--no-wait", (char *)"--if-exists", (char *)"del-port",
		     (char *)tap);
	return status == 0 ? 0 : failed(net, status, tap, text, err);
}

bool net_ovs_has_port(const struct net *net, const struct net_port *port)
{
	char text[300];

	return RUN(net, text, (char *)"port-to-br", (char *)port->tap) == 0 &&
	       strcmp(text, port->bridge) == 0;
}
