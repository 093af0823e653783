/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gantry cp, out of an instance and into one, with the rules of `cp -a`:
 *
 *	to an existing folder       under its own name, in there; FOLDER/. is what is in FOLDER
 *	to a file, or to nothing    under the name given
 *	"-"                         a tar on standard input or output, as it is
 *
 * A signal ends it in order. Here that leaves whole files only; in an instance, where the engine writes, the
 * last file may be cut, which is said.
 */
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/tar.h"
#include "ctl/transfer.h"

#define PIECE_BYTES    ((size_t)64 * 1024)
#define PROGRESS_US    100000
#define FIRST_SHOWN_US 500000

struct copy {
	struct ctl *ctl;
	char *instance, *path; /* owned: where, over there; the path from the root on */
	const char *local;     /* here */
	bool owners;

	struct transfer_body *body; /* owned by who opened it */
	int64_t bytes, total_bytes, started_us, shown_us;
	int signal_fd, signal_number; /* the one that ends it; 0: none */
};

/* --- names --------------------------------------------------------------------------------------- */

/* "INSTANCE:PATH"; false: a name here. */
static bool split(struct copy *copy, const char *word)
{
	const char *colon = strchr(word, ':');

	if (!colon || colon == word || memchr(word, '/', (size_t)(colon - word)))
		return false;
	copy->instance = xasprintf("%.*s", (int)(colon - word), word);
	copy->path = xasprintf("%s%s", colon[1] == '/' ? "" : "/", colon + 1);
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), more = strlen(end);

	return length >= more && strcmp(text + length - more, end) == 0;
}

/* What is in it is meant, not the folder itself. */
static bool means_contents(const char *path)
{
	return str_equal(path, "/") || str_equal(path, ".") || str_equal(path, "..") ||
	       ends_with(path, "/.") || ends_with(path, "/..");
}

static char *without_slashes(const char *path)
{
	char *copy = xstrdup(path);
	size_t length = strlen(copy);

	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = '\0';
	return copy;
}

/* "/a/b/" is "/a" and "b"; "b" is "." and "b". The caller frees both. */
static void split_path(const char *path, char **ret_folder, char **ret_name)
{
	char *plain = without_slashes(path), *slash = strrchr(plain, '/');

	*ret_name = xstrdup(slash ? slash + 1 : plain);
	*ret_folder = !slash           ? xstrdup(".")
		      : slash == plain ? xstrdup("/")
				       : xasprintf("%.*s", (int)(slash - plain), plain);
	free(plain);
}

static char *archive_path(const struct copy *copy, const char *path)
{
	char *start = instance_path(copy->ctl, copy->instance, "/archive");
	struct str whole = STR_INIT;

	str_add(&whole, start);
	path_query(&whole, "path", path);
	free(start);
	return str_take(&whole);
}

/* --- signals and progress ------------------------------------------------------------------------ */

static int on_signal(void *arg)
{
	struct copy *copy = arg;
	struct signalfd_siginfo info;

	if (read(copy->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	copy->signal_number = (int)info.ssi_signo;
	return -EINTR;
}

/* Only where there is something to be put in order. */
static void hear_signals(struct copy *copy)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	copy->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	client_set_wake(copy->ctl->client, copy->signal_fd, on_signal, copy);
}

static void show_progress(struct copy *copy, size_t length)
{
	int64_t now_us = clock_monotonic_us();
	struct json_object *operation, *progress;

	copy->bytes += (int64_t)length;
	if (!copy->ctl->progress || now_us - copy->started_us < FIRST_SHOWN_US ||
	    now_us - copy->shown_us < PROGRESS_US)
		return;
	copy->shown_us = now_us;
	operation = json_object_new_object();
	progress = json_object_new_object();
	json_add_string(progress, "stage", "copying");
	json_add_int(progress, "done_bytes", copy->bytes);
	json_add_int(progress, "total_bytes", copy->total_bytes);
	json_object_object_add(operation, "progress", progress);
	output_progress(operation, copy->instance);
	json_object_put(operation);
}

static int report(struct copy *copy, const struct tar_counts *counts)
{
	struct json_object *object = json_object_new_object();

	output_progress(NULL, NULL);
	json_add_int(object, "files", counts->files);
	json_add_int(object, "folders", counts->folders);
	json_add_int(object, "links", counts->links);
	json_add_int(object, "bytes", counts->bytes);
	json_add_int(object, "left_out", counts->left_out);
	if (copy->ctl->json)
		output_json(object);
	json_object_put(object);
	return counts->left_out ? CTL_FAILED : CTL_OK;
}

/* left: what is there nevertheless. */
static int fail(struct copy *copy, const struct gantry_error *err, const char *left)
{
	int status;

	output_progress(NULL, NULL);
	if (copy->signal_number) {
		output_error("interrupted; %s", left);
		return 128 + copy->signal_number;
	}
	status = output_fail(copy->instance, err);
	output_error("%s", left);
	return status;
}

/* --- out ----------------------------------------------------------------------------------------- */

static ssize_t read_piece(void *arg, const char **ret_data, struct gantry_error *err)
{
	struct copy *copy = arg;
	ssize_t length = download_read(copy->body, ret_data, err);

	if (length > 0)
		show_progress(copy, (size_t)length);
	return length;
}

static int to_stdout(struct copy *copy)
{
	struct gantry_error err;
	const char *data;
	ssize_t length;
	int error;

	if (isatty(STDOUT_FILENO))
		return output_usage("cp", "a tar is no text for a terminal: redirect it");
	while ((length = read_piece(copy, &data, &err)) > 0) {
		error = output_write(STDOUT_FILENO, data, (size_t)length);
		if (error < 0) {
			gantry_error_set(&err, error, "standard output: %s", strerror(-error));
			return fail(copy, &err, "the tar is not whole");
		}
	}
	if (length < 0)
		return fail(copy, &err, "the tar is not whole");
	output_progress(NULL, NULL);
	return CTL_OK;
}

/* Where it goes here: *ret_folder, and the name in there; the caller frees both. */
static int choose_local(const struct copy *copy, bool is_folder, char **ret_folder, char **ret_name)
{
	struct stat there;
	bool exists = stat(copy->local, &there) == 0;

	if (exists && S_ISDIR(there.st_mode)) {
		char *above;

		*ret_folder = xstrdup(copy->local);
		if (means_contents(copy->path)) {
			*ret_name = xstrdup(".");
			return CTL_OK;
		}
		split_path(copy->path, &above, ret_name);
		free(above);
		return CTL_OK;
	}
	if ((exists && is_folder) || (!is_folder && ends_with(copy->local, "/")))
		return output_usage("cp", "%s is no folder", copy->local);
	split_path(copy->local, ret_folder, ret_name);
	return CTL_OK;
}

static int to_local(struct copy *copy, struct json_object *path)
{
	bool is_folder = str_equal(json_get_string(path, "type", ""), "folder");
	char *folder = NULL, *name = NULL;
	struct tar_counts counts;
	struct gantry_error err;
	int status = choose_local(copy, is_folder, &folder, &name);

	if (status == CTL_OK) {
		hear_signals(copy);
		status = tar_unpack(folder, name, copy->owners, read_piece, copy, &counts, &err) < 0
				 ? fail(copy, &err,
					"what was copied before it stays, in whole files")
				 : report(copy, &counts);
	}
	free(folder);
	free(name);
	return status;
}

static int copy_out(struct copy *copy)
{
	char *plain = without_slashes(copy->path), *path = archive_path(copy, plain);
	struct client_reply reply;
	struct gantry_error err;
	int status;

	if (download_open(copy->ctl->client, path, &copy->body, &reply, &err) < 0) {
		status = output_fail(copy->instance, &err);
	} else if (!copy->body) {
		status = output_problem(copy->instance, reply.status, reply.json);
		client_reply_fini(&reply);
	} else {
		if (str_equal(json_get_string(reply.path, "type", ""), "file"))
			copy->total_bytes = json_get_int(reply.path, "size_bytes", 0);
		status = str_equal(copy->local, "-") ? to_stdout(copy) : to_local(copy, reply.path);
		download_close(copy->body);
		client_reply_fini(&reply);
	}
	free(path);
	free(plain);
	return status;
}

/* --- in ------------------------------------------------------------------------------------------ */

struct sender {
	struct copy *copy;
	struct gantry_error err;
};

static int write_piece(void *arg, const void *data, size_t length)
{
	struct sender *sender = arg;

	show_progress(sender->copy, length);
	return upload_write(sender->copy->body, data, length, &sender->err);
}

static int from_stdin(struct sender *sender)
{
	char data[PIECE_BYTES];
	ssize_t length;
	int error = 0;

	while (error == 0 && (length = read(STDIN_FILENO, data, sizeof(data))) != 0) {
		if (length < 0 && errno != EINTR)
			error = gantry_error_set(&sender->err, -errno, "standard input: %s",
						 strerror(errno));
		else if (length > 0)
			error = write_piece(sender, data, (size_t)length);
	}
	return error;
}

/* A slash at its end means what a link leads to, which libarchive hears by "/.". The caller frees. */
static char *source_path(const char *local)
{
	char *plain = without_slashes(local), *followed;

	if (!ends_with(local, "/") || str_equal(plain, "/"))
		return plain;
	followed = xasprintf("%s/.", plain);
	free(plain);
	return followed;
}

/* folder, over there, and the name in it. */
static int send_it(struct copy *copy, const char *folder, const char *name)
{
	static const char left[] =
		"what was sent before it stays in the instance, the last file perhaps cut";
	char *path = archive_path(copy, folder);
	struct sender sender = {.copy = copy};
	struct tar_counts counts = {0};
	struct client_reply reply;
	struct gantry_error err = {0};
	int error, status;

	copy->body = upload_open(copy->ctl->client, "PUT", path);
	free(path);
	if (str_equal(copy->local, "-")) {
		error = from_stdin(&sender);
	} else {
		char *source = source_path(copy->local);

		hear_signals(copy);
		error = tar_pack(source, name, copy->owners, write_piece, &sender, &counts, &err);
		free(source);
	}
	if (error < 0 && error != -EPIPE) {
		upload_abort(copy->body);
		return fail(copy, err.code ? &err : &sender.err, left);
	}
	if (upload_end(copy->body, &reply, &err) < 0)
		return fail(copy, &err, left);
	output_progress(NULL, NULL);
	status = reply.status >= 400 ? output_problem(copy->instance, reply.status, reply.json)
		 : str_equal(copy->local, "-") ? CTL_OK
					       : report(copy, &counts);
	client_reply_fini(&reply);
	return status;
}

/* "file", "folder", …, NULL: nothing is there. A link that leads to a folder is one. */
static int look(struct copy *copy, const char *suffix, char **ret_type)
{
	char *bare = without_slashes(copy->path), *plain = xasprintf("%s%s", bare, suffix);
	char *path = archive_path(copy, plain);
	struct client_reply reply;
	struct gantry_error err;
	int status = CTL_OK;

	*ret_type = NULL;
	if (client_call(copy->ctl->client, "HEAD", path, NULL, 0, &reply, &err) < 0) {
		status = output_fail(copy->instance, &err);
	} else {
		/* other refusals are told by the PUT, in words */
		if (reply.status < 400)
			*ret_type = xstrdup(json_get_string(reply.path, "type", "other"));
		client_reply_fini(&reply);
	}
	free(path);
	free(plain);
	free(bare);
	if (status == CTL_OK && !*suffix && *ret_type && str_equal(*ret_type, "link")) {
		char *target;

		status = look(copy, "/.", &target);
		if (target) {
			free(*ret_type);
			*ret_type = target;
		}
	}
	return status;
}

static int copy_in(struct copy *copy)
{
	bool tar = str_equal(copy->local, "-"), contents = !tar && means_contents(copy->local);
	char *type = NULL, *folder = NULL, *name = NULL, *above = NULL, *into = NULL;
	struct stat here = {0};
	int status;

	if (!tar &&
	    (ends_with(copy->local, "/") || contents ? stat : lstat)(copy->local, &here) < 0)
		return output_usage("cp", "%s: %s", copy->local, strerror(errno));
	if (tar && isatty(STDIN_FILENO))
		return output_usage("cp", "\"-\" takes a tar from standard input");
	copy->total_bytes = S_ISREG(here.st_mode) ? here.st_size : 0;
	status = look(copy, "", &type);
	if (status != CTL_OK)
		return status;
	split_path(copy->path, &folder, &name);
	if (tar || (type && str_equal(type, "folder")) ||
	    (!S_ISDIR(here.st_mode) && ends_with(copy->path, "/"))) {
		char *plain = without_slashes(copy->path);

		split_path(copy->local, &above, &into);
		status = send_it(copy, plain, contents ? "." : into);
		free(plain);
	} else if (type && S_ISDIR(here.st_mode)) {
		status = output_usage("cp", "%s in %s is no folder", copy->path, copy->instance);
	} else {
		status = send_it(copy, folder, name);
	}
	free(above);
	free(into);
	free(folder);
	free(name);
	free(type);
	return status;
}

int copy_command(struct ctl *ctl)
{
	char **words = ctl->args->words;
	struct copy copy = {
		.ctl = ctl,
		.owners = args_has(ctl->args, "archive"),
		.started_us = clock_monotonic_us(),
		.signal_fd = -1,
	};
	struct copy other = {0};
	int status;

	setlocale(LC_CTYPE,
		  "C.UTF-8"); /* names in a tar are UTF-8, and stay bytes where they are not */
	if (split(&copy, words[0])) {
		copy.local = words[1];
		status = split(&other, words[1])
				 ? output_usage(
					   "cp",
					   "one of the two is to be here: copy by a third place")
				 : copy_out(&copy);
	} else if (split(&copy, words[1])) {
		copy.local = words[0];
		status = copy_in(&copy);
	} else {
		status = output_usage("cp", "neither \"%s\" nor \"%s\" is INSTANCE:PATH", words[0],
				      words[1]);
	}
	free(copy.instance);
	free(copy.path);
	free(other.instance);
	free(other.path);
	if (copy.signal_fd >= 0)
		close(copy.signal_fd);
	return status;
}
