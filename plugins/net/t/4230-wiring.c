/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports in network namespaces of the test's own, by the kernel's own netlink: each exchange with it fails once, by the
 * count, and whatever else can be had to fail does so for real. Each failure says what failed, leaves nothing, and
 * the next try works. Open vSwitch is a script that fails or hangs where it is told.
 */
#include "../../../t/tap.h"

#include "../net.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORTS_MAX 1023 /* of a bridge of Linux */

static struct net_settings settings = {.ovs_timeout_ms = 100};
static struct net net = {.owner = (char *)"owner", .settings = &settings};
static struct gantry_error err;
static char folder[] = "/tmp/gantry-wiring.XXXXXX";

/* --- the n-th exchange fails ------------------------------------------------------------------------ */

static int fail_at, exchanges;

/* Stands before the library's, and does what that does. */
ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *data, size_t size)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	if (++exchanges == fail_at) {
		errno = EBUSY;
		return -1;
	}
	return sendto(mnl_socket_get_fd(socket), data, size, 0, (const struct sockaddr *)&kernel,
		      sizeof(kernel));
}

static void fail(int n)
{
	exchanges = 0;
	fail_at = n;
	memset(&err, 0, sizeof(err));
}

/* --- what there is -------------------------------------------------------------------------------- */

static bool add_name(void *arg, const struct netlink_link *link)
{
	char *text = arg;

	if (strcmp(link->name, "lo") != 0)
		snprintf(text + strlen(text), 400 - strlen(text), "%s ", link->name);
	return strlen(text) < 300;
}

/* Names of all interfaces but lo. */
static const char *links(void)
{
	static char text[400];
	struct netlink *netlink;

	fail_at = 0;
	text[0] = '\0';
	if (netlink_open(NULL, &netlink) < 0 || netlink_links(netlink, add_name, text) < 0)
		bail_out("interfaces cannot be read");
	netlink_close(netlink);
	return text;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[400];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		bail_out("%s", command);
}

static struct net_port port_of(const char *bridge, bool create, bool ovs)
{
	const char *addresses[] = {"10.9.0.1/24", "10.9.0.2/24", "fd09::1/64"};
	const char *routes[] = {"10.8.0.0/16 via 10.9.0.254", "default via fd09::fe"};
	const struct gantry_network_port asked = {
		.id = "port-1",
		.type = ovs ? "ovs" : "bridge",
		.bridge = bridge,
		.create_bridge = create,
		.mtu = 1400,
		.addresses = {addresses, 3},
		.routes = {routes, 2},
	};
	struct net_port port;

	if (net_port_read(&asked, "instance-1", &port, &err) < 0)
		bail_out("%s", err.text);
	return port;
}

/* --- the calls, each failing at each of its exchanges --------------------------------------------- */

struct scene {
	const char *name;
	struct net_port port;
	const char *endpoint;
	void (*before)(const struct scene *scene);
	int (*call)(const struct scene *scene);
	int exchanges; /* at least: that the list is not empty */
};

static int call_plug(const struct scene *scene)
{
	return net_plug(&net, &scene->port, scene->endpoint, &err);
}

static int call_unplug(const struct scene *scene)
{
	return net_unplug(&net, &scene->port, &err);
}

static int call_delete(const struct scene *scene)
{
	(void)scene;
	return net_unplug_endpoint(&net, "endpoint-1", &err);
}

static int call_sweep(const struct scene *scene)
{
	(void)scene;
	return net_sweep(&net, &err);
}

static void nothing(const struct scene *scene)
{
	(void)scene;
}

static void plugged(const struct scene *scene)
{
	fail(0);
	if (net_plug(&net, &scene->port, scene->endpoint, &err) < 0)
		bail_out("%s", err.text);
}

static pid_t inside; /* a process in another namespace */

static void taken(const struct scene *scene)
{
	plugged(scene);
	shell("ip link set %s netns %d", scene->port.inner, (int)inside);
}

/* The error of a call that failed names the port, or what it was about. */
static bool is_told(void)
{
	return strncmp(err.text, "net: ", 5) == 0 && strstr(err.text, strerror(EBUSY)) &&
	       (strstr(err.text, "port-1") || strstr(err.text, "br") ||
		strstr(err.text, "list of interfaces"));
}

static void each_plug(const struct scene *scene, const char *start)
{
	int n = 0, code;

	do {
		scene->before(scene);
		fail(++n);
		code = call_plug(scene);
		if (exchanges < n)
			break;
		ok(code == -EBUSY && is_told(), "%s: exchange %d fails, and is told: %s",
		   scene->name, n, err.text);
		fail(0);
		if ((scene->before == taken && net_unplug_endpoint(&net, scene->endpoint, &err)) ||
		    net_unplug(&net, &scene->port, &err)) /* as engine and flow do */
			bail_out("%s", err.text);
		is_str(links(), start, "nothing is left");
	} while (n < 40);
	is_int(code, 0, "%s: without a failure it works", scene->name);
	ok(n > scene->exchanges, "%d exchanges were had to fail", n - 1);
	net_unplug_endpoint(&net, "endpoint-1", &err);
	net_unplug(&net, &scene->port, &err);
	is_str(links(), start, "and what it made can be removed");
}

/* One that fails may leave something, says so, and a sweep has it. */
static void each_removal(const struct scene *scene, const char *start)
{
	int n = 0, code;

	do {
		scene->before(scene);
		fail(++n);
		code = scene->call(scene);
		if (exchanges < n)
			break;
		ok(code == -EBUSY && is_told(), "%s: exchange %d fails, and is told: %s",
		   scene->name, n, err.text);
		fail(0);
		is_int(scene->call(scene), 0, "once more works");
		is_int(net_sweep(&net, &err), 0, "and a sweep");
		is_str(links(), start, "nothing is left");
	} while (n < 40);
	is_int(code, 0, "%s: without a failure it works", scene->name);
	ok(n > scene->exchanges, "%d exchanges were had to fail", n - 1);
	is_str(links(), start, "nothing is left");
}

static void each_exchange(void)
{
	struct net_port on = port_of("br0", false, false), makes = port_of("br1", true, false);
	const struct scene plugs[] = {
		{"plug", on, NULL, nothing, NULL, 5},
		{"plug on a bridge that it makes", makes, NULL, nothing, NULL, 8},
		{"plug for an endpoint", on, "endpoint-1", plugged, NULL, 5},
		{"plug of what is inside of a container before", on, "endpoint-1", taken, NULL, 7},
		{"plug of that, on a bridge that it made", makes, "endpoint-1", taken, NULL, 9},
	};
	const struct scene removals[] = {
		{"unplug", on, NULL, plugged, call_unplug, 2},
		{"unplug, with a bridge that was made", makes, NULL, plugged, call_unplug, 4},
		{"delete", on, "endpoint-1", taken, call_delete, 2},
		{"delete, with a bridge that was made", makes, "endpoint-1", taken, call_delete, 4},
		{"sweep", makes, NULL, plugged, call_sweep, 5},
	};

	shell("ip link add br0 type bridge");
	for (size_t i = 0; i < sizeof(plugs) / sizeof(plugs[0]); i++)
		each_plug(&plugs[i], "br0 ");
	for (size_t i = 0; i < sizeof(removals) / sizeof(removals[0]); i++)
		each_removal(&removals[i], "br0 ");
	shell("ip link del br0");
}

/* --- what the kernel refuses -------------------------------------------------------------------------- */

static void refused(const struct net_port *port, const char *start, int code, const char *text)
{
	fail(0);
	is_int(net_plug(&net, port, "endpoint-1", &err), code, "refused");
	like(err.text, "net: port port-1: ", "the error names the port");
	like(err.text, text, "and what is wrong");
	is_str(links(), start, "nothing is left");
}

static void works_now(const struct net_port *port)
{
	is_int(net_plug(&net, port, "endpoint-1", &err), 0, "without that it works");
	is_int(net_unplug_endpoint(&net, "endpoint-1", &err), 0, "and goes");
}

static void fill_bridge(void)
{
	char path[64];
	FILE *batch;

	snprintf(path, sizeof(path), "%s/batch", folder);
	batch = fopen(path, "w");
	for (int i = 0; i < PORTS_MAX; i += 2)
		fprintf(batch, "link add d%d master br0 type veth peer name d%d\n", i, i + 1);
	for (int i = 1; i < PORTS_MAX; i += 2)
		fprintf(batch, "link set d%d master br0\n", i);
	fclose(batch);
	shell("ip -batch %s", path);
}

static void kernel_refuses(void)
{
	struct net_port port = port_of("br0", false, false), makes = port_of("br1", true, false);

	refused(&port, "", -ENODEV, "there is no bridge br0 on this host; make it");
	shell("ip link add br0 type veth peer name br9");
	refused(&port, "br9 br0 ", -EINVAL, "br0 is no bridge of Linux; name one");
	shell("ip link del br0; ip link add br0 type bridge");
	works_now(&port);
	shell("ip link add tapport-1 type bridge");
	refused(&port, "br0 tapport-1 ", -EEXIST,
		"there is an interface tapport-1 already that is of no port of this gantryd");
	shell("ip link del tapport-1; ip link add ctrport-1 type bridge");
	refused(&port, "br0 ctrport-1 ", -EEXIST,
		"there is an interface ctrport-1 already that is of no port of this gantryd");
	refused(&makes, "br0 ctrport-1 ", -EEXIST, "there is an interface ctrport-1 already");
	shell("ip link del ctrport-1");
	works_now(&makes);
	if (seteuid(65534) < 0)
		bail_out("seteuid");
	refused(&port, "br0 ", -EPERM, "gantryd lacks a capability, see contrib/systemd/net.conf");
	refused(&makes, "br0 ", -EPERM, "make bridge br1: Operation not permitted");
	if (seteuid(0) < 0)
		bail_out("seteuid");
	port.mtu = 20;
	refused(&port, "br0 ", -EINVAL, "make the pair of tapport-1: Invalid argument");
	port.mtu = 1400;
	port.mac[0] = 1; /* of a group */
	refused(&port, "br0 ", -EADDRNOTAVAIL, "set up ctrport-1: Cannot assign requested address");
	port.mac[0] = 2;
	works_now(&port);
	shell("ip link del br0");
}

static void full_bridge(void)
{
	struct net_port port = port_of("br0", false, false);
	char before[400];

	shell("ip link add br0 type bridge");
	fill_bridge();
	snprintf(before, sizeof(before), "%s", links());
	refused(&port, before, -EXFULL, "set up for bridge br0 tapport-1: Exchange full");
	shell("ip link del d0");
	works_now(&port);
}

/* --- inside ------------------------------------------------------------------------------------------- */

static pid_t in_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0 || (pid = fork()) < 0)
		bail_out("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		bail_out("no namespace");
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void unfinished(const struct net_port *port, const char *text)
{
	fail(0);
	ok(net_finish(port, inside, &err) < 0, "what is inside cannot be finished");
	like(err.text, "net: port port-1: ", "the error names the port");
	like(err.text, text, "and what is wrong");
}

/* Interfaces, three addresses, a route; then it looks for a default route, which it would make in any case. */
#define FINISH_LOOKS 6

/* A port whose other end is in the namespace, up, and has nothing yet. */
static void finish(void)
{
	struct scene scene = {.port = port_of("br0", false, false)};
	struct net_port port = scene.port;
	pid_t gone = in_namespace();
	int n = 0, code;

	shell("ip link add br0 type bridge");
	unfinished(&port, "look for it inside: No such device");
	taken(&scene);
	unfinished(&port, "route to 10.8.0.0/16 via 10.9.0.254: Network is unreachable");
	shell("nsenter -t %d -n ip link set %s up", (int)inside, port.inner);
	port.routes[0].hop.bytes[1] = 77;
	unfinished(&port, "route to 10.8.0.0/16 via 10.77.0.254: Network is unreachable");
	port = scene.port;
	shell("nsenter -t %d -n ip addr flush dev %s", (int)inside, port.inner);
	shell("nsenter -t %d -n ip link set %s mtu 1000", (int)inside, port.inner);
	unfinished(&port, "address fd09::1/64: ");
	shell("nsenter -t %d -n ip link set %s mtu 1400", (int)inside, port.inner);
	do {
		shell("nsenter -t %d -n sh -c 'ip addr flush dev %s; ip -6 route flush dev %s'",
		      (int)inside, port.inner, port.inner);
		fail(++n);
		code = net_finish(&port, inside, &err);
		if (exchanges < n)
			break;
		ok(n == FINISH_LOOKS ? code == 0 : code == -EBUSY && is_told(),
		   "finish: exchange %d fails, and is told: %s", n, err.text);
		is_int(net_finish(&port, inside, &err), 0, "once more works");
	} while (n < 40);
	is_int(code, 0, "without a failure it works");
	is_int(n, FINISH_LOOKS + 2, "none was passed over");
	fail(0);
	is_int(net_finish(&port, inside, &err), 0, "a second time it has nothing to do");
	end(gone);
	is_int(net_finish(&port, gone, &err), -ENOENT, "a namespace that is gone");
	like(err.text, "net: port port-1: open /proc/", "is told");
	fail(0);
	if (seteuid(65534) < 0)
		bail_out("seteuid");
	ok(net_finish(&port, inside, &err) < 0, "one that may not be entered");
	like(err.text, "/ns/net: ", "is told");
	if (seteuid(0) < 0)
		bail_out("seteuid");
	is_int(net_sweep(&net, &err), 0, "a sweep leaves what a container has");
	is_str(links(), "br0 tapport-1 ", "as it is");
	end(inside);
	shell("ip link del br0");
}

/* --- Open vSwitch -------------------------------------------------------------------------------------- */

static const char tool[] =
	"#!/bin/sh\n"
	"here=$(dirname \"$0\")\n"
	"for word; do case $word in --*) ;; *) verb=$word; break ;; esac; done\n"
	"[ ! -s $here/fault ] || read -r at how <$here/fault\n"
	"[ $verb != \"$at\" ] || case $how in\n"
	"fail) echo 'ovs-vsctl: database connection failed (Connection refused)' >&2; exit 1 ;;\n"
	"late) touch $here/ports; sleep 1000 ;;\n"
	"hang) sleep 1000 ;;\n"
	"alarm) kill -ALRM $$ ;;\n"
	"esac\n"
	"case $verb in\n"
	"br-exists) case $* in *brovs*) exit 0 ;; *) exit 2 ;; esac ;;\n"
	"get) echo netdev ;;\n"
	"add-port) touch $here/ports ;;\n"
	"del-port) rm -f $here/ports ;;\n"
	"esac\n";

static void write_file(const char *name, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, 0755) < 0)
		bail_out("%s", path);
}

static void fault(const char *verb, const char *how)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %s\n", verb, how);
	write_file("fault", text);
}

static bool is_port(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/ports", folder);
	return access(path, F_OK) == 0;
}

static void switch_fails(void)
{
	static const struct {
		const char *verb, *how, *text;
		int code;
	} faults[] = {
		{"br-exists", "fail", "brovs: ovs-vsctl: ovs-vsctl: database connection", -EIO},
		{"br-exists", "hang", "brovs: ovs-vsctl has no answer after 0.1 s", -ETIMEDOUT},
		{"br-exists", "alarm", "see whether ovsdb-server and ovs-vswitchd run", -ETIMEDOUT},
		{"get", "fail", "brovs: ovs-vsctl: ovs-vsctl: database connection failed", -EIO},
		{"get", "hang", "brovs: ovs-vsctl has no answer after 0.1 s", -ETIMEDOUT},
		{"add-port", "fail", "tapport-1: ovs-vsctl: ovs-vsctl: database conn", -EIO},
		{"add-port", "hang", "tapport-1: ovs-vsctl has no answer after 0.1 s", -ETIMEDOUT},
		{"add-port", "late", "tapport-1: ovs-vsctl has no answer after 0.1 s", -ETIMEDOUT},
	};
	struct net_port port = port_of("brovs", false, true), none = port_of("brno", false, true);
	struct net_port linux_port = port_of("br0", false, false);
	char path[400];

	snprintf(path, sizeof(path), "%s:%s", folder, getenv("PATH"));
	setenv("PATH", path, 1);
	write_file("ovs-vsctl", tool);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		fault(faults[i].verb, faults[i].how);
		is_int(net_plug(&net, &port, "endpoint-1", &err), faults[i].code, "%s: %s",
		       faults[i].verb, faults[i].how);
		like(err.text, faults[i].text, "which is told");
		ok(!is_port() && strcmp(links(), "") == 0, "and leaves nothing");
	}
	fault("none", "");
	is_int(net_plug(&net, &none, "endpoint-1", &err), -ENODEV, "no such bridge");
	like(err.text, "there is no bridge brno of Open vSwitch on this host", "is told");
	is_int(net_plug(&net, &port, "endpoint-1", &err), 0, "without a fault it works");
	ok(is_port(), "the port is there");
	for (int i = 0; i < 2; i++) {
		fault("del-port", i ? "hang" : "fail");
		ok(net_unplug_endpoint(&net, "endpoint-1", &err) < 0, "it cannot be removed");
		like(err.text, "tapport-1: ovs-vsctl", "which is told");
		is_str(links(), "ctrport-1 tapport-1 ", "its interface stays: a sweep finds it");
	}
	shell("ip link add br0 type bridge");
	linux_port.id[5] = linux_port.tap[8] = linux_port.inner[8] = '2';
	is_int(net_plug(&net, &linux_port, NULL, &err), 0, "a port on a bridge of Linux");
	ok(net_sweep(&net, &err) < 0, "a sweep tells of what it cannot remove");
	is_str(links(), "ctrport-1 tapport-1 br0 ", "and removes the rest");
	fault("none", "");
	is_int(net_sweep(&net, &err), 0, "without the fault it goes");
	ok(!is_port() && strcmp(links(), "br0 ") == 0, "nothing is left");
	shell("ip link del br0; rm %s/ovs-vsctl", folder);
	setenv("PATH", folder, 1);
	is_int(net_plug(&net, &port, NULL, &err), -ENOENT, "no Open vSwitch at all");
	like(err.text, "ovs-vsctl cannot be run: install openvswitch-switch", "is told");
	setenv("PATH", path, 1);
}

int main(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		printf("1..0 # SKIP only root may make network namespaces\n");
		return 0;
	}
	if (!mkdtemp(folder) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/openvswitch", 0755) < 0)
		bail_out("no folders: %s", strerror(errno));
	shell("touch /run/openvswitch/db.sock");
	inside = in_namespace();
	switch_fails();
	each_exchange();
	kernel_refuses();
	finish();
	full_bridge(); /* last: its interfaces go with the namespace */
	shell("rm -r %s", folder);
	done_testing();
	return tap_end();
}
