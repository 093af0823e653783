/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console at the command's end.
 *
 *	handshake ─▶ our terminal becomes raw ─▶ poll: input, WebSocket, signals ─▶ the terminal is as it was
 *
 * Input is read only while little waits to be sent, output is written before more is read: whoever is
 * slow makes the other side wait. It ends when gantryd closes it; when the keys that detach were typed;
 * or by a signal, where none goes to the process. The terminal is restored in every case, by atexit too.
 */
#include "ctl/console.h"
#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/websocket.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define PROTOCOL    "v1.attach.gantry"
#define QUEUE_BYTES ((size_t)256 * 1024) /* that wait to be sent: input is left unread */
#define INPUT_BYTES ((size_t)64 * 1024)
#define KEYS_MAX    16
#define CLOSE_BUSY  1001 /* gantryd stops */

enum channel {
	INPUT = 0,
	OUTPUT = 1,
	ERRORS = 2,
	STATUS = 3,
	RESIZE = 4,
	CONTROL = 5,
	CLOSE = 255
};

struct console {
	struct ctl *ctl;
	const struct console_ask *ask;
	struct websocket *websocket;
	int signal_fd;
	unsigned char keys[KEYS_MAX];
	size_t key_count, key_at; /* how many of them were typed */
	bool input_open, detached, told_role;
	int write_error; /* of our own output */
	int code;        /* told by the channel of status; -1: it was not */
	struct str failure;
};

static struct termios saved;
static bool raw;

/* --- the terminal -------------------------------------------------------------------------------- */

static void terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	raw = false;
}

static void terminal_make_raw(void)
{
	static bool registered;
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	if (!registered)
		atexit(terminal_restore);
	registered = true;
	mode = saved;
	cfmakeraw(&mode);
	raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0;
}

/* "ctrl-p,ctrl-q", "a,b". */
static int parse_keys(struct console *console, const char *text)
{
	static const char controls[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
	const char *found;

	while (*text) {
		size_t length = strcspn(text, ",");

		if (console->key_count == KEYS_MAX)
			return -EINVAL;
		if (length == 1) {
			console->keys[console->key_count++] = (unsigned char)*text;
		} else if (length == 6 && strncmp(text, "ctrl-", 5) == 0 &&
			   (found = strchr(controls, text[5]))) {
			console->keys[console->key_count++] = (unsigned char)(found - controls);
		} else {
			return -EINVAL;
		}
		text += length + (text[length] == ',');
	}
	return 0;
}

/* --- to gantryd ---------------------------------------------------------------------------------- */

static void send_channel(struct console *console, enum channel channel, const void *data,
			 size_t length)
{
	char message[INPUT_BYTES + 1];

	message[0] = (char)channel;
	memcpy(message + 1, data, length);
	websocket_send(console->websocket, message, length + 1);
}

static void send_size(struct console *console)
{
	struct winsize size;
	char text[64];

	if (!console->ask->tty || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row)
		return;
	snprintf(text, sizeof(text), "{\"Width\":%d,\"Height\":%d}", size.ws_col, size.ws_row);
	send_channel(console, RESIZE, text, strlen(text));
}

static void end_input(struct console *console)
{
	console->input_open = false;
	if (!console->ask->observes)
		send_channel(console, CLOSE, "\0", 1);
}

/*
 * Looks for the keys that detach; what may be their beginning is held back until it is known. Returns
 * how much is in out.
 */
static size_t filter_keys(struct console *console, const char *data, size_t length, char *out)
{
	size_t count = 0;

	if (!console->key_count || !raw) {
		memcpy(out, data, length);
		return length;
	}
	for (size_t i = 0; i < length && !console->detached; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte != console->keys[console->key_at] && console->key_at) {
			memcpy(out + count, console->keys, console->key_at);
			count += console->key_at;
			console->key_at = 0;
		}
		if (byte != console->keys[console->key_at])
			out[count++] = (char)byte;
		else if (++console->key_at == console->key_count)
			console->detached = true;
	}
	return count;
}

static void read_input(struct console *console)
{
	char data[INPUT_BYTES - KEYS_MAX], out[INPUT_BYTES];
	ssize_t length = read(STDIN_FILENO, data, sizeof(data));
	size_t count;

	if (length < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (length <= 0) {
		end_input(console);
		return;
	}
	count = filter_keys(console, data, (size_t)length, out);
	if (count && !console->ask->observes)
		send_channel(console, INPUT, out, count);
	if (console->detached)
		websocket_close(console->websocket);
}

/* --- signals ------------------------------------------------------------------------------------- */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

static int watch_signals(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(watched) / sizeof(*watched); i++)
		sigaddset(&set, watched[i]);
	sigprocmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* By a connection of its own. */
static void pass_signal(struct console *console, int number)
{
	struct json_object *body = json_object_new_object();
	char *path = xasprintf("/v1/instances/%s/kill", console->ask->id);
	struct client_reply reply;

	json_add_string(body, "signal", sigabbrev_np(number));
	if (call(console->ctl, console->ask->subject, "POST", path, body, 0, &reply, NULL) ==
	    CTL_OK)
		client_reply_fini(&reply);
	json_object_put(body);
	free(path);
}

/* False: the session is to end. */
static bool take_signal(struct console *console, int *ret_code)
{
	struct signalfd_siginfo info;

	if (read(console->signal_fd, &info, sizeof(info)) != sizeof(info))
		return true;
	if (info.ssi_signo == SIGWINCH) {
		send_size(console);
		return true;
	}
	if (console->ask->id && !console->ask->tty && info.ssi_signo != SIGHUP) {
		pass_signal(console, (int)info.ssi_signo);
		return true;
	}
	*ret_code = 128 + (int)info.ssi_signo;
	return false;
}

/* --- from gantryd -------------------------------------------------------------------------------- */

static void take_status(struct console *console, struct json_object *status)
{
	struct json_object *causes = json_get(json_get(status, "details"), "causes");
	struct json_object *cause =
		json_object_is_type(causes, json_type_array) && json_object_array_length(causes)
			? json_object_array_get_idx(causes, 0)
			: NULL;

	if (str_equal(json_get_string(status, "status", ""), "Success"))
		console->code = 0;
	else if (cause)
		console->code = atoi(json_get_string(cause, "message", "1"));
	else
		str_add(&console->failure, json_get_string(status, "message", "it failed"));
}

static void take_control(struct console *console, struct json_object *object)
{
	const char *type = json_get_string(object, "type", "");
	const char *driver = json_get_string(object, "driver", NULL);

	if (str_equal(type, "recording")) {
		if (json_get_bool(object, "goes_on", false))
			output_error("this session is recorded\r");
		else
			output_error("this session is not recorded any more: %s\r",
				     json_get_string(object, "why", ""));
	} else if (str_equal(type, "gap") && json_get(object, "why")) {
		output_error("%s\r", json_get_string(object, "why", ""));
	} else if (str_equal(type, "gap")) {
		output_error("%lld bytes of output were left out\r",
			     (long long)json_get_int(object, "bytes", 0));
	} else if (str_equal(type, "role") &&
		   str_equal(json_get_string(object, "role", ""), "observer")) {
		if (!console->ask->observes)
			output_error("%s: %s%s drives; --take takes over\r", console->ask->subject,
				     driver ? driver : "nobody", driver ? "" : " now");
	} else if (str_equal(type, "role") && !console->told_role) {
		console->told_role = true;
		send_size(console);
	}
}

static void on_message(void *arg, const char *data, size_t length)
{
	struct console *console = arg;
	struct json_object *object = NULL;
	unsigned char channel = length ? (unsigned char)*data : CLOSE;

	if (channel == OUTPUT || channel == ERRORS) {
		if (!console->write_error)
			console->write_error =
				output_write(channel == OUTPUT ? 1 : 2, data + 1, length - 1);
		return;
	}
	if ((channel != STATUS && channel != CONTROL) ||
	    json_parse(data + 1, length - 1, &object, NULL) < 0)
		return;
	if (channel == STATUS)
		take_status(console, object);
	else
		take_control(console, object);
	json_object_put(object);
}

/* --- all together -------------------------------------------------------------------------------- */

static int work(struct console *console)
{
	bool reads = console->input_open && !console->detached &&
		     websocket_queued(console->websocket) < QUEUE_BYTES;
	struct pollfd fds[3] = {
		{.fd = websocket_fd(console->websocket),
		 .events = (short)(POLLIN | (websocket_queued(console->websocket) ? POLLOUT : 0))},
		{.fd = console->signal_fd, .events = POLLIN},
		{.fd = reads ? STDIN_FILENO : -1, .events = POLLIN},
	};
	int code = 0;

	if (poll(fds, 3, -1) < 0 && errno != EINTR)
		return -errno;
	if (fds[1].revents && !take_signal(console, &code))
		return code;
	if (fds[2].revents)
		read_input(console);
	return 0;
}

static enum console_end judge(struct console *console, int worked, int *ret_code)
{
	struct gantry_error err;

	if (console->detached)
		return CONSOLE_DETACHED;
	if (worked == 1 && console->code >= 0) {
		*ret_code = console->code;
		return CONSOLE_ENDED;
	}
	if (console->write_error)
		gantry_error_set(&err, console->write_error, "the output cannot be written: %s",
				 strerror(-console->write_error));
	else if (worked == 1)
		gantry_error_set(
			&err,
			websocket_close_code(console->websocket) == CLOSE_BUSY ? -ECONNREFUSED
									       : -EIO,
			"%s",
			console->failure.length ? str_text(&console->failure)
						: websocket_close_reason(console->websocket));
	else
		gantry_error_set(&err, -ECONNRESET, "lost the connection to gantryd at %s",
				 client_host(console->ctl->client));
	*ret_code = output_fail(console->ask->subject, &err);
	return CONSOLE_FAILED;
}

enum console_end console_run(struct ctl *ctl, const struct console_ask *ask, int *ret_code)
{
	struct console console = {
		.ctl = ctl, .ask = ask, .input_open = ask->input || ask->observes, .code = -1};
	enum console_end end = CONSOLE_FAILED;
	struct client_reply reply = {0};
	struct gantry_error err;
	sigset_t before;
	int worked;

	if (parse_keys(&console, ask->keys) < 0) {
		*ret_code = output_usage(ask->command,
					 "--detach-keys: \"%s\" is no list of keys as "
					 "ctrl-p,ctrl-q",
					 ask->keys);
		return CONSOLE_FAILED;
	}
	console.signal_fd = watch_signals(&before);
	if (websocket_open(ctl->client, ask->path, PROTOCOL, on_message, &console,
			   &console.websocket, &reply, &err) < 0) {
		*ret_code = output_fail(ask->subject, &err);
		goto out;
	}
	if (!console.websocket && reply.status == 409 && ask->may_be_over) {
		end = CONSOLE_OVER;
		goto out;
	}
	if (!console.websocket) {
		*ret_code = output_problem(ask->subject, reply.status, reply.json);
		goto out;
	}
	if (ask->tty && isatty(STDIN_FILENO))
		terminal_make_raw();
	if (ask->observes && !raw)
		console.input_open = false;
	*ret_code = 0;
	/* what came right behind the handshake is not heard of by poll */
	worked = websocket_work(console.websocket);
	while (worked == 0 && !console.write_error) {
		*ret_code = work(&console);
		if (*ret_code)
			break;
		worked = websocket_work(console.websocket);
	}
	terminal_restore();
	if (*ret_code == 0)
		end = judge(&console, worked, ret_code);
out:
	websocket_free(console.websocket);
	close(console.signal_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	str_fini(&console.failure);
	client_reply_fini(&reply);
	return end;
}
