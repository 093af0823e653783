/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine says when it refuses. Its words pass through many hands ("failed to create shim
 * task: OCI runtime create failed: …: unknown"); people want the last of them. And one status means
 * many things: a port that is taken is a 500, a container that does not run is a 409, or a 500.
 */
#include "docker.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

bool docker_says(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

/* Words that tell who passed the message on. Each goes where it stands in front. */
static const char *const carriers[] = {
	"failed to create shim task: ",
	"failed to create shim: ",
	"OCI runtime create failed: ",
	"OCI runtime error: ",
	"runc create failed: ",
	"crun: ",
	"runc: ",
	"unable to start container process: ",
	"starting container process caused: ",
	"starting container process caused ",
	"cannot update container: ",
	"Error response from daemon: ",
	NULL,
};

static void strip_front(char *text)
{
	for (bool again = true; again;) {
		int number, used = 0;

		again = false;
		for (size_t i = 0; carriers[i]; i++) {
			size_t length = strlen(carriers[i]);

			if (strncasecmp(text, carriers[i], length) == 0) {
				memmove(text, text + length, strlen(text + length) + 1);
				again = true;
			}
		}
		/* "container_linux.go:380: " */
		if (sscanf(text, "%*[a-z_].go:%d: %n", &number, &used) >= 1 && used > 0) {
			memmove(text, text + used, strlen(text + used) + 1);
			again = true;
		}
	}
}

static void strip_end(char *text)
{
	static const char *const ends[] = {
		": unknown", ".", "\n", "\r", " ",
		/* Podman's */
		": OCI runtime attempted to invoke a command that was not found",
		": OCI permission denied", NULL};

	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; ends[i]; i++) {
			size_t length = strlen(text), end = strlen(ends[i]);

			if (length >= end && strcmp(text + length - end, ends[i]) == 0) {
				text[length - end] = '\0';
				again = true;
			}
		}
	}
}

/* "port 80 on 127.0.0.1 is taken on the node" from the engine's "Bind for …" and "listen tcp4 …". */
static bool say_port(char *text, size_t size)
{
	const char *at = strstr(text, "Bind for ");
	char address[80], port[16] = "";
	char *colon;

	if (at) {
		at += strlen("Bind for ");
	} else if ((at = strstr(text, "listen tcp")) || (at = strstr(text, "listen udp"))) {
		at = strchr(at + strlen("listen "), ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at || sscanf(at, "%79s", address) != 1)
		return false;
	while (address[0] && strchr(":,", address[strlen(address) - 1]))
		address[strlen(address) - 1] = '\0';
	colon = strrchr(address, ':');
	if (colon) {
		*colon = '\0';
		snprintf(port, sizeof(port), "%.15s", colon + 1);
	}
	snprintf(text, size, "port %s on %s is taken on the node", port, address);
	return true;
}

/* `The container name "/web" is already in use by container "0123…". You have to …` */
static bool say_name(char *text, size_t size)
{
	const char *name = strstr(text, "name \"");
	const char *by = strstr(text, "by container \"");
	char taken[160] = "", id[13] = "";

	if (!name)
		return false;
	sscanf(name + 6, "%159[^\"]", taken);
	if (by)
		sscanf(by + strlen("by container \""), "%12[^\"]", id);
	snprintf(text, size, "the name \"%s\" is taken on the node by container %s",
		 taken[0] == '/' ? taken + 1 : taken, id[0] ? id : "(unnamed)");
	return true;
}

/* Of one that was killed amid a start its runtime keeps a process, of which it does not know itself. */
static bool is_left_over(const char *text)
{
	return docker_says(text, "id already in use") ||
	       docker_says(text, "container with id exists") ||
	       (docker_says(text, "task ") && docker_says(text, "already exists"));
}

static int map(int status, char *text, size_t size)
{
	if (is_left_over(text)) {
		snprintf(
			text, size,
			"the engine was killed amid an earlier start, and what that left keeps the "
			"container from starting: remove the instance and make it anew");
		return -EEXIST;
	}
	if (docker_says(text, "port is already allocated") ||
	    docker_says(text, "address already in use")) {
		say_port(text, size);
		return -EEXIST;
	}
	if (docker_says(text, "already in use")) {
		say_name(text, size);
		return -EEXIST;
	}
	if (docker_says(text, "is not running") || docker_says(text, "is already paused") ||
	    docker_says(text, "is not paused") ||
	    docker_says(text, "cannot resume a stopped container") ||
	    docker_says(text, "cannot resume a running process") ||
	    docker_says(text, "container state improper") ||
	    docker_says(text, "can only kill running containers"))
		return -EALREADY;
	switch (status) {
	case 400:
	case 422:
		return -EINVAL;
	case 404:
		return -ENOENT;
	case 501:
		return -ENOTSUP;
	default:
		return -EIO;
	}
}

int docker_words(struct gantry_error *err, int status, const char *body, size_t length)
{
	struct json_object *reply = length && body[0] == '{' ? json_tokener_parse(body) : NULL;
	const char *message = docker_text(reply, "message");
	char text[1024];
	int code;

	if (!message)
		message = docker_text(reply, "cause");
	if (!message && length && body[0] != '{' && body[0] != '<')
		message = body;
	snprintf(text, sizeof(text), "%s", message ? message : "");
	for (char *at = text; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = ' ';
	strip_front(text);
	strip_end(text);
	code = map(status, text, sizeof(text));
	json_object_put(reply);
	if (!text[0])
		return gantry_error_set(err, code, "docker: the engine answered with status %d",
					status);
	return gantry_error_set(err, code, "docker: %.480s", text);
}
