/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gantryd: creates everything, passes it down, and takes it apart again.
 *
 *	up    settings → store → policies → plugins and nodes → listeners → what the store has → the
 *	      engines are ours → ready
 *	down  (SIGTERM, SIGINT) no new work → listeners drain → flows get their grace → nodes → store
 *
 * A flow that is still under way at the end of the grace stays in the journal and goes on at the
 * next start.
 */
#include "gantryd.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/str.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#define DRAIN_MS      5000
#define FLOW_GRACE_MS 5000

/* --- settings ------------------------------------------------------------------------------------ */

static void print_setting_error(const struct gantryd *gantryd, const struct gantry_error *err)
{
	const char *path = gantryd->config;
	int line =
		gantryd->lines && err->field[0] ? script_lines_find(gantryd->lines, err->field) : 0;

	if (line)
		fprintf(stderr, "gantryd: %s:%d: %s: %s\n", path, line, err->field, err->text);
	else if (err->field[0])
		fprintf(stderr, "gantryd: %s: %s: %s\n", path, err->field, err->text);
	else
		fprintf(stderr, "gantryd: %s\n", err->text);
}

int gantryd_read_settings(struct gantryd *gantryd, const char *log_level)
{
	struct json_object *values;
	struct gantry_error err;
	enum log_level level;
	int code;

	code = script_settings_read(gantryd->config, &values, &gantryd->lines, &err);
	if (code == 0) {
		code = settings_parse(values, &gantryd->settings, &err);
		json_object_put(values);
	}
	if (code == 0 &&
	    log_level_parse(log_level ? log_level : gantryd->settings.log_level, &level) < 0)
		code = gantry_error_field(&err, -EINVAL, "log_level",
					  "must be debug, info, warn or error");
	if (code < 0) {
		print_setting_error(gantryd, &err);
		return -1;
	}
	log_set_level(level);
	return 0;
}

int gantryd_check_config(struct gantryd *gantryd)
{
	struct gantry_error err;
	int code = gantryd_load_policies(gantryd, &err);

	if (code == 0)
		code = gantryd_load_plugins(gantryd, &err);
	if (code == 0)
		code = gantryd_try_settings(gantryd, &err);
	if (code < 0) {
		print_setting_error(gantryd, &err);
		return 1;
	}
	printf("%s: ok\n", gantryd->config);
	return 0;
}

/* Secrets are kept as hashes under a key of this store's own. One that is damaged is made anew. */
static void load_secret_key(struct gantryd *gantryd, bool *ret_damaged)
{
	unsigned char *key = gantryd->secret_key;
	char *saved = store_load_fact(gantryd->store, "secret_key"), text[65];
	struct store_batch *batch;

	*ret_damaged = saved && (strlen(saved) != 64 || saved[strspn(saved, "0123456789abcdef")]);
	if (*ret_damaged)
		log_warn("the secret key in %s is damaged; a new one is made: hashes of secrets in "
			 "older decisions no longer equal those of the same values, and a POST "
			 "that is repeated with an older idempotency key is refused",
			 gantryd->settings.store);
	if (saved && !*ret_damaged) {
		for (int i = 0; i < 32; i++)
			sscanf(saved + 2 * i, "%2hhx", &key[i]);
	} else {
		while (getrandom(key, 32, 0) != 32)
			;
		for (int i = 0; i < 32; i++)
			snprintf(text + 2 * i, 3, "%02x", key[i]);
		batch = store_batch_new(gantryd->store);
		store_put_fact(batch, "secret_key", text);
		store_batch_commit(batch, NULL, NULL);
	}
	free(saved);
	script_set_secret_key(key);
}

/* --- going down ---------------------------------------------------------------------------------- */

static void on_store_closed(void *arg)
{
	struct gantryd *gantryd = arg;

	uv_close((uv_handle_t *)&gantryd->terminate, NULL);
	uv_close((uv_handle_t *)&gantryd->interrupt, NULL);
}

static void on_daemon_stopped(struct daemon *daemon)
{
	struct gantryd *gantryd = LIST_ENTRY(daemon, struct gantryd, daemon);

	if (daemon->network)
		daemon->network->stop(daemon->network_handle);
	store_close(gantryd->store, on_store_closed, gantryd);
}

static void on_server_closed(void *arg)
{
	struct gantryd *gantryd = arg;

	api_fini(&gantryd->api);
	daemon_stop(&gantryd->daemon, FLOW_GRACE_MS, on_daemon_stopped);
}

static void go_down(struct gantryd *gantryd)
{
	gantryd->going_down = true;
	notify_send("STOPPING=1");
	loop_timer_stop(&gantryd->loop, &gantryd->watchdog);
	gantryd->daemon.stopping = true;
	http_server_drain(gantryd->api.server, DRAIN_MS, on_server_closed, gantryd);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct gantryd *gantryd = handle->data;

	if (gantryd->going_down)
		return;
	log_info("going down on signal %d", number);
	go_down(gantryd);
}

static void on_watchdog(struct loop_timer *timer)
{
	struct gantryd *gantryd = LIST_ENTRY(timer, struct gantryd, watchdog);

	notify_send("WATCHDOG=1");
	loop_timer_start(&gantryd->loop, timer, gantryd->watchdog_ms);
}

/* --- running ------------------------------------------------------------------------------------- */

/* Each engine that answers is ours, or one is another daemon's. */
static void on_ready(struct daemon *daemon, const struct gantry_error *err)
{
	struct gantryd *gantryd = LIST_ENTRY(daemon, struct gantryd, daemon);

	if (gantryd->going_down)
		return;
	if (err) {
		fprintf(stderr, "gantryd: %s\n", err->text);
		gantryd->status = 1;
		go_down(gantryd);
		return;
	}
	log_info("gantryd " API_VERSION " is ready: owner %s, %zu nodes, policies %s",
		 gantryd->settings.owner, gantryd->settings.node_count,
		 script_set_revision(daemon->policies));
	notify_send("READY=1");
}

static void start_signals(struct gantryd *gantryd)
{
	signal(SIGPIPE, SIG_IGN);
	uv_signal_init(&gantryd->loop.uv, &gantryd->terminate);
	uv_signal_init(&gantryd->loop.uv, &gantryd->interrupt);
	gantryd->terminate.data = gantryd->interrupt.data = gantryd;
	uv_signal_start(&gantryd->terminate, on_signal, SIGTERM);
	uv_signal_start(&gantryd->interrupt, on_signal, SIGINT);
	loop_timer_init(&gantryd->watchdog, on_watchdog);
	gantryd->watchdog_ms = notify_watchdog_ms();
	if (gantryd->watchdog_ms > 0)
		on_watchdog(&gantryd->watchdog);
}

static int open_all(struct gantryd *gantryd, struct gantry_error *err)
{
	bool created, key_damaged;
	int code =
		store_open(&gantryd->loop, gantryd->settings.store, &gantryd->store, &created, err);

	if (code < 0)
		return code;
	load_secret_key(gantryd, &key_damaged);
	code = gantryd_load_policies(gantryd, err);
	if (code == 0)
		code = gantryd_load_plugins(gantryd, err);
	if (code < 0)
		return code;
	daemon_init(&gantryd->daemon, &gantryd->loop, gantryd->store, &gantryd->settings,
		    gantryd->policies);
	gantryd->daemon.store_was_new = created;
	gantryd->daemon.key_was_damaged = key_damaged;
	gantryd_take_logger(gantryd);
	code = gantryd_take_network(gantryd, err);
	if (code == 0)
		code = gantryd_open_nodes(gantryd, err);
	if (code == 0)
		code = gantryd_open_sinks(gantryd, err);
	if (code < 0)
		return code;
	api_init(&gantryd->api, &gantryd->daemon, &gantryd->plugins, gantryd->secret_key);
	code = api_listen(&gantryd->api, err);
	if (code == 0)
		code = daemon_load(&gantryd->daemon, on_ready, err);
	return code;
}

static int close_all(struct gantryd *gantryd)
{
	daemon_fini(&gantryd->daemon);
	if (plugin_registry_fini(&gantryd->plugins) < 0) {
		log_error("a plugin had work left at the end");
		return 1;
	}
	settings_fini(&gantryd->settings);
	if (loop_fini(&gantryd->loop) < 0) {
		log_error("a handle was left open at the end");
		return 1;
	}
	return 0;
}

int gantryd_serve(struct gantryd *gantryd)
{
	struct gantry_error err;

	if (open_all(gantryd, &err) < 0) {
		print_setting_error(gantryd, &err);
		return 1; /* the process ends here: what is open goes with it */
	}
	start_signals(gantryd);
	loop_run(&gantryd->loop);
	return close_all(gantryd) ? 1 : gantryd->status;
}
