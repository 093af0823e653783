/* SPDX-License-Identifier: Apache-2.0 */
/* A sink at a socket, under a host that does nothing by itself: what its end costs, and how names are looked up. */
#include "../../../t/tap.h"

#include "../sinks.h"
#include "../stdout.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the host ------------------------------------------------------------------------------------ */

struct gantry_op {
	void (*cancel)(void *arg);
	void *arg;
	int done, code;
};

struct gantry_poll {
	void (*ready)(void *arg, bool readable, bool writable);
	void *arg;
};

static struct gantry_poll polls[4];
static struct {
	void (*run)(void *arg), (*done)(void *arg);
	void *arg;
} works[16];
static size_t work_count, lost_count;

static void op_done(struct gantry_op *op, const struct gantry_error *err, const void *result)
{
	(void)result;
	op->done++;
	op->code = err ? err->code : 0;
}

static void op_on_cancel(struct gantry_op *op, void (*cancel)(void *arg), void *arg)
{
	op->cancel = cancel;
	op->arg = arg;
}

static void work(struct gantry_core *core, void (*run)(void *arg), void (*done)(void *arg),
		 void *arg)
{
	(void)core;
	works[work_count].run = run;
	works[work_count].done = done;
	works[work_count++].arg = arg;
}

static int host_poll(struct gantry_core *core, int fd,
		     void (*ready)(void *arg, bool readable, bool writable), void *arg,
		     struct gantry_poll **ret_poll, struct gantry_error *err)
{
	(void)core, (void)fd, (void)err;
	polls[0] = (struct gantry_poll){.ready = ready, .arg = arg};
	*ret_poll = &polls[0];
	return 0;
}

static void poll_set(struct gantry_poll *poll, bool readable, bool writable)
{
	(void)poll, (void)readable, (void)writable;
}

static void poll_close(struct gantry_poll *poll)
{
	poll->ready = NULL;
}

static const struct gantry_host host = {
	.size = sizeof(host),
	.op_done = op_done,
	.op_on_cancel = op_on_cancel,
	.work = work,
	.poll = host_poll,
	.poll_set = poll_set,
	.poll_close = poll_close,
};

static void lost(void *arg, const struct gantry_error *err)
{
	(void)arg, (void)err;
	lost_count++;
}

/* --- a receiver that does not read ---------------------------------------------------------------- */

static void stuck_receiver(void)
{
	char name[] = "/tmp/gantry-t.XXXXXX", to[64];
	struct lookups lookups = {.host = &host};
	struct gantry_op first = {0}, second = {0}, third = {0};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct address address;
	struct gantry_error err;
	struct sender sender;

	if (!mkdtemp(name))
		bail_out("%s: %s", name, strerror(errno));
	snprintf(to, sizeof(to), "unix://%s/socket", name);
	address_parse(to, SOCK_STREAM, &address, &err);
	if (bind(listener, (struct sockaddr *)&address.path, sizeof(address.path)) < 0 ||
	    listen(listener, 1) < 0)
		bail_out("%s: %s", to, strerror(errno));
	sender_init(&sender, &lookups, &address, lost, NULL);
	text_str(&sender.out, "a line");
	sender_begin(&sender, &first);
	first.cancel(first.arg);
	ok(first.done == 1 && first.code == -ETIMEDOUT && lost_count == 0,
	   "cancelled before there is a connection: nothing was lost");
	sender_begin(&sender, &second);
	polls[0].ready(polls[0].arg, false, true);
	ok(second.done == 1 && second.code == 0, "a line is sent");
	sender_clear(&sender);
	for (int i = 0; i < 100000; i++)
		text_str(&sender.out, "too much for a receiver that does not read\n");
	sender_begin(&sender, &third);
	is_int(third.done, 0, "what follows waits");
	third.cancel(third.arg);
	ok(third.done == 1 && third.code == -ETIMEDOUT, "until its time is over");
	is_int((int64_t)lost_count, 1, "what the receiver had not read is told to be lost");
	sender_fini(&sender);
	close(listener);
	unlink(address.path.sun_path);
	rmdir(name);
}

/* --- names ---------------------------------------------------------------------------------------- */

static void names(void)
{
	struct lookups lookups = {.host = &host};
	struct sender senders[3];
	struct gantry_op ops[3][4] = {0};
	struct address address;
	struct gantry_error err;

	address_parse("tcp://localhost:1", SOCK_STREAM, &address, &err);
	for (int i = 0; i < 3; i++)
		sender_init(&senders[i], &lookups, &address, lost, NULL);
	for (int attempt = 0; attempt < 4; attempt++)
		for (int i = 0; i < 3; i++) {
			sender_begin(&senders[i], &ops[i][attempt]);
			if (attempt < 3)
				ops[i][attempt].cancel(ops[i][attempt].arg);
		}
	is_int((int64_t)work_count, 1, "three names that do not resolve hold one thread");
	works[0].run(works[0].arg);
	works[0].done(works[0].arg);
	ok(senders[0].state == SENDER_CONNECTING && ops[0][3].done == 0,
	   "the one that has resolved is connected to");
	is_int((int64_t)work_count, 2, "and the next one is looked up");
	sender_fini(&senders[2]);
	ops[1][3].cancel(ops[1][3].arg);
	works[1].run(works[1].arg);
	works[1].done(works[1].arg);
	is_int((int64_t)work_count, 2, "one that is gone is out of the line");
	ok(senders[1].state == SENDER_CLOSED && senders[1].addresses,
	   "what comes when nobody waits is for the next batch");
	sender_fini(&senders[0]);
	sender_begin(&senders[1], &ops[1][0]);
	ok(work_count == 2 && senders[1].state == SENDER_CONNECTING, "which asks no more");
	sender_fini(&senders[1]);
}

int main(void)
{
	stuck_receiver();
	names();
	done_testing();
	return tap_end();
}
