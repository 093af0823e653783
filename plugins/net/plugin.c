/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdlib.h>

struct net_work {
	struct net_work *next;
	struct net *net;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

/* One operation of the role; in the op's memory. */
struct role_task {
	struct net *net;
	struct gantry_op *op;
	enum { PLUG, FINISH, UNPLUG, EXAMINE } what;
	struct net_port *ports;
	size_t count;
	int64_t pid;
	struct gantry_endpoints endpoints; /* of a plug */
	struct gantry_finding *findings;   /* of an examine, owned */
	size_t finding_count;
	struct gantry_error err;
	int code;
};

/* --- one piece of work after the other --------------------------------------------------------------- */

static void work_run(void *arg)
{
	struct net_work *work = arg;

	work->run(work->arg);
}

static void work_done(void *arg)
{
	struct net_work *work = arg;
	struct net *net = work->net;

	net->works = work->next;
	if (net->works)
		net->host->work(net->host->core, work_run, work_done, net->works);
	work->done(work->arg);
	free(work);
}

void net_do(struct net *net, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct net_work *work = calloc(1, sizeof(*work)), **place = &net->works;

	if (!work)
		abort();
	*work = (struct net_work){.net = net, .run = run, .done = done, .arg = arg};
	while (*place)
		place = &(*place)->next;
	*place = work;
	if (net->works == work)
		net->host->work(net->host->core, work_run, work_done, work);
}

/* --- the role ------------------------------------------------------------------------------------ */

static void tell(void *arg, const struct net_port *port, const char *text)
{
	struct role_task *task = arg;
	struct gantry_finding *finding;

	task->findings =
		realloc(task->findings, (task->finding_count + 1) * sizeof(*task->findings));
	if (!task->findings)
		abort();
	finding = &task->findings[task->finding_count++];
	*finding = (struct gantry_finding){.port = port->id, .text = strdup(text)};
}

/* All or nothing: what was plugged before the one that fails is unplugged. */
static void plug_all(struct role_task *task)
{
	for (size_t i = 0; i < task->count && task->code == 0; i++) {
		task->code = net_plug(task->net, &task->ports[i], NULL, &task->err);
		if (task->code < 0)
			while (i-- > 0)
				net_unplug(task->net, &task->ports[i], NULL);
	}
}

static void role_run(void *arg)
{
	struct role_task *task = arg;
	struct gantry_error err;

	if (task->what == PLUG) {
		plug_all(task);
		return;
	}
	for (size_t i = 0; i < task->count; i++) {
		const struct net_port *port = &task->ports[i];
		int code = 0;

		if (task->what == FINISH && !net_is_engines(port))
			code = net_finish(port, task->pid, &err);
		else if (task->what == UNPLUG)
			code = net_unplug(task->net, port, &err);
		else if (task->what == EXAMINE)
			net_examine(task->net, port, task->pid, tell, task);
		if (code < 0 && task->code == 0) {
			task->code = code;
			task->err = err;
		}
	}
}

static const char *keep(struct role_task *task, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(task->net->host->op_alloc(task->op, size), text, size);
}

static void role_done(void *arg)
{
	struct role_task *task = arg;
	struct gantry_findings *found;

	if (task->code < 0) {
		task->net->host->op_done(task->op, &task->err, NULL);
		return;
	}
	if (task->what != EXAMINE) {
		task->net->host->op_done(task->op, NULL,
					 task->what == PLUG ? &task->endpoints : NULL);
		return;
	}
	found = task->net->host->op_alloc(task->op, sizeof(*found));
	found->count = task->finding_count;
	found->items =
		task->net->host->op_alloc(task->op, (found->count + 1) * sizeof(*found->items));
	for (size_t i = 0; i < found->count; i++) {
		found->items[i] = (struct gantry_finding){task->findings[i].port,
							  keep(task, task->findings[i].text)};
		free((char *)task->findings[i].text);
	}
	free(task->findings);
	task->net->host->op_done(task->op, NULL, found);
}

static struct role_task *make_task(struct net *net, const struct gantry_wiring *wiring,
				   struct gantry_op *op)
{
	struct role_task *task = net->host->op_alloc(op, sizeof(*task));

	task->net = net;
	task->op = op;
	task->pid = wiring->pid;
	task->count = wiring->ports->count;
	task->ports = net->host->op_alloc(op, (task->count + 1) * sizeof(*task->ports));
	for (size_t i = 0; i < task->count && task->code == 0; i++)
		task->code = net_port_read(&wiring->ports->items[i], wiring->instance,
					   &task->ports[i], &task->err);
	net_plan(task->ports, task->count);
	return task;
}

static void begin(struct role_task *task)
{
	if (task->code < 0)
		task->net->host->op_done(task->op, &task->err, NULL);
	else
		net_do(task->net, role_run, role_done, task);
}

/* The first option tells one endpoint from another: it is all that the port was asked with. */
static void tell_endpoint(struct role_task *task, const struct gantry_network_port *port, size_t at)
{
	struct gantry_endpoint *endpoint = &task->endpoints.items[at];
	char *text = net_port_tell(port), chosen[2 * 64] = "", address[64];

	for (size_t i = 0; i < task->ports[at].address_count; i++)
		if (task->ports[at].engines[i]) {
			net_address_text(&task->ports[at].addresses[i], true, address);
			snprintf(chosen + strlen(chosen), sizeof(chosen) - strlen(chosen), "%s%s",
				 chosen[0] ? " " : "", address);
		}
	endpoint->port = task->ports[at].id;
	endpoint->options.count = 3;
	endpoint->options.items =
		task->net->host->op_alloc(task->op, 3 * sizeof(*endpoint->options.items));
	endpoint->options.items[0] = (struct gantry_pair){"gantry.port", keep(task, text)};
	endpoint->options.items[1] =
		(struct gantry_pair){"gantry.instance", task->ports[at].instance};
	endpoint->options.items[2] = (struct gantry_pair){"gantry.addresses", keep(task, chosen)};
	free(text);
}

static void net_role_plug(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op)
{
	struct role_task *task = make_task(plugin, wiring, op);

	task->what = PLUG;
	net_socket_look(task->net);
	if (task->code == 0 && !task->net->server)
		task->code = gantry_error_set(&task->err, task->net->unserved.code, "net: %s",
					      task->net->unserved.text);
	task->endpoints.driver = task->net->driver;
	task->endpoints.count = task->count;
	task->endpoints.items =
		task->net->host->op_alloc(op, (task->count + 1) * sizeof(*task->endpoints.items));
	for (size_t i = 0; i < task->count && task->code == 0; i++) {
		task->endpoints.unfinished =
			task->endpoints.unfinished || !net_is_engines(&task->ports[i]);
		tell_endpoint(task, &wiring->ports->items[i], i);
	}
	begin(task);
}

static void net_role_finish(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op)
{
	struct role_task *task = make_task(plugin, wiring, op);

	task->what = FINISH;
	begin(task);
}

static void net_role_unplug(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op)
{
	struct role_task *task = make_task(plugin, wiring, op);

	task->what = UNPLUG;
	begin(task);
}

static void net_role_examine(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op)
{
	struct role_task *task = make_task(plugin, wiring, op);

	task->what = EXAMINE;
	begin(task);
}

/* --- life ---------------------------------------------------------------------------------------- */

static void sweep_run(void *arg)
{
	struct role_task *task = arg;

	task->code = net_sweep(task->net, &task->err);
}

static void sweep_done(void *arg)
{
	struct role_task *task = arg;

	if (task->code < 0)
		task->net->host->log(task->net->host->core, GANTRY_LOG_WARN,
				     "what a life before left could not be removed: %s",
				     task->err.text);
	free(task);
}

static int serve(void *plugin, const char *owner, struct gantry_error *err)
{
	struct net *net = plugin;
	struct role_task *sweep = calloc(1, sizeof(*sweep));

	net->owner = strdup(owner);
	if (!sweep || asprintf(&net->driver, "gantry-%s", owner) < 0)
		abort();
	sweep->net = net;
	net_do(net, sweep_run, sweep_done, sweep); /* before any port is wired */
	return net_driver_open(net, err);
}

static void stop(void *plugin)
{
	net_driver_close(plugin);
}

static const struct gantry_network network = {
	.size = sizeof(network),
	.serve = serve,
	.stop = stop,
	.plug = net_role_plug,
	.finish = net_role_finish,
	.unplug = net_role_unplug,
	.examine = net_role_examine,
};

static int open_plugin(const struct gantry_host *host, const void *settings, void **ret_plugin,
		       struct gantry_error *err)
{
	struct net *net;

	if (!GANTRY_HOST_HAS(host, serve_end))
		return gantry_error_set(err, -ENOTSUP, "net: wants a gantryd of ABI 1.12 or newer");
	net = calloc(1, sizeof(*net));
	if (!net)
		return gantry_error_set(err, -ENOMEM, "net: no memory");
	net->host = host;
	net->settings = settings;
	*ret_plugin = net;
	return 0;
}

static void close_plugin(void *plugin)
{
	struct net *net = plugin;

	free(net->owner);
	free(net->driver);
	free(net);
}

static const struct gantry_option options[] = {
	{.key = "plugin_folder",
	 .type = GANTRY_OPTION_STRING,
	 .fallback = "/run/docker/plugins",
	 .offset = offsetof(struct net_settings, plugin_folder),
	 .help = "where engines of this host look for network drivers"},
	{.key = "socket_folder",
	 .type = GANTRY_OPTION_STRING,
	 .fallback = "/run/gantry/net",
	 .offset = offsetof(struct net_settings, socket_folder),
	 .help = "where our socket is: no folder that engines look through"},
	{.key = "ovs_timeout",
	 .type = GANTRY_OPTION_DURATION,
	 .fallback = "10s",
	 .minimum = 1000,
	 .maximum = 60000,
	 .offset = offsetof(struct net_settings, ovs_timeout_ms),
	 .help = "how long Open vSwitch may take for what it is asked"},
	{.key = NULL},
};

extern const struct gantry_plugin gantry_plugin;
const struct gantry_plugin gantry_plugin = {
	.abi_major = GANTRY_ABI_MAJOR,
	.abi_minor = GANTRY_ABI_MINOR,
	.size = sizeof(gantry_plugin),
	.name = "net",
	.version = "1",
	.summary = "wires ports of networks: veth pairs on bridges of Linux and of Open vSwitch",
	.options = options,
	.settings_size = sizeof(struct net_settings),
	.open = open_plugin,
	.close = close_plugin,
	.network = &network,
};
