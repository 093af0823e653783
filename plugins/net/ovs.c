/* SPDX-License-Identifier: Apache-2.0 */
/* Open vSwitch, by its own tool: it waits for the switch to have done what was asked. */
#include "net.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL "ovs-vsctl"

extern char **environ;

/* What it says on both streams comes into text, without the newline at its end. Its exit status; -1: it did not run. */
static int run(char *const *words, char *text, size_t size)
{
	posix_spawn_file_actions_t actions;
	size_t length = 0;
	int ends[2], status = -1;
	ssize_t got;
	pid_t pid;

	text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	if (posix_spawnp(&pid, TOOL, &actions, NULL, words, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (pid > 0 && (got = read(ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	while (length > 0 && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	return -1;
}

#define RUN(text, ...)                                                                             \
	run((char *[]){(char *)TOOL, (char *)"--timeout=10", __VA_ARGS__, NULL}, text, sizeof(text))

static int failed(int status, const char *what, const char *text, struct gantry_error *err)
{
	if (status == -1 || status == 127)
		return gantry_error_set(
			err, -ENOENT, "net: %s: " TOOL " cannot be run: install openvswitch-switch",
			what);
	return gantry_error_set(err, -EIO, "net: %s: " TOOL ": %s", what,
				text[0] ? text : "no answer");
}

bool net_ovs_has_bridge(const char *bridge, struct gantry_error *err)
{
	char text[300];
	int status = RUN(text, (char *)"br-exists", (char *)bridge);

	if (status == 0)
		return true;
	if (status == 2)
		gantry_error_set(err, -ENODEV, "there is no bridge %s of Open vSwitch on this host",
				 bridge);
	else
		failed(status, bridge, text, err);
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

static bool is_userspace(const char *bridge)
{
	char text[300];

	return RUN(text, (char *)"get", (char *)"bridge", (char *)bridge,
		   (char *)"datapath_type") == 0 &&
	       strcmp(text, "netdev") == 0;
}

int net_ovs_add(const struct net_port *port, struct gantry_error *err)
{
	char id[80], mac[80], instance[96], text[300], raw[18];
	int status;

	if (is_userspace(port->bridge) && (fill_checksums(port, port->tap, err) < 0 ||
					   fill_checksums(port, port->inner, err) < 0))
		return err ? err->code : -EIO;
	snprintf(id, sizeof(id), "external_ids:iface-id=%s", port->id);
	snprintf(mac, sizeof(mac), "external_ids:attached-mac=\"%s\"",
		 net_mac_text(port->mac, raw));
	snprintf(instance, sizeof(instance), "external_ids:vm-uuid=%s", port->instance);
	status = RUN(text, (char *)"--may-exist", (char *)"add-port", (char *)port->bridge,
		     (char *)port->tap, (char *)"--", (char *)"set", (char *)"Interface",
		     (char *)port->tap, id, mac, instance,
		     (char *)"external_ids:iface-status=active");
	return status == 0 ? 0 : failed(status, port->tap, text, err);
}

int net_ovs_remove(const char *tap, struct gantry_error *err)
{
	char text[300];
	int status;

	if (access("/run/openvswitch/db.sock", F_OK) < 0)
		return 0;
	status = RUN(text, (char *)"--if-exists", (char *)"del-port", (char *)tap);
	return status == 0 ? 0 : failed(status, tap, text, err);
}

bool net_ovs_has_port(const struct net_port *port)
{
	char text[300];

	return RUN(text, (char *)"port-to-br", (char *)port->tap) == 0 &&
	       strcmp(text, port->bridge) == 0;
}
