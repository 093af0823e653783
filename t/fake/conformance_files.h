/* SPDX-License-Identifier: Apache-2.0 */
/* The part of conformance.h about files, in and out. */
#ifndef FAKE_CONFORMANCE_FILES_H
#define FAKE_CONFORMANCE_FILES_H

#include "tar.h"

#include <sys/stat.h>

static struct {
	struct gantry_path path; /* name and target are not kept */
	char name[64];
	int told; /* how often the path was told of */
	bool refuses;
	struct str tar;
	struct gantry_upload *upload;
	bool open;
} conf_file;

static void conf_keep_path(const struct gantry_path *path)
{
	conf_file.path = *path;
	snprintf(conf_file.name, sizeof(conf_file.name), "%s", path->name);
}

static void conf_take_path(const void *result)
{
	conf_keep_path(result);
}

static void conf_on_path(void *arg, const struct gantry_path *path)
{
	(void)arg;
	conf_file.told++;
	conf_keep_path(path);
}

static int conf_on_tar(void *arg, const char *data, size_t length)
{
	(void)arg;
	str_add_bytes(&conf_file.tar, data, length);
	return conf_file.refuses ? -EPIPE : 0;
}

static void conf_on_upload(void *arg, struct gantry_upload *upload)
{
	(void)arg;
	conf_file.upload = upload;
	conf_file.open = true;
}

static void conf_on_upload_drain(void *arg)
{
	(void)arg;
}

static const struct gantry_archive_sink conf_archive_sink = {.path = conf_on_path,
							     .data = conf_on_tar};
static const struct gantry_upload_sink conf_upload_sink = {.open = conf_on_upload,
							   .drain = conf_on_upload_drain};

/* Begins a put; the upload is open, or the op has ended. */
static void conf_put(struct conformance *c, const char *id, const char *path)
{
	conf_file.open = false;
	c->rig->runtime->archive_put(c->rig->node, id, path, &conf_upload_sink, rig_op(c->rig));
}

static int conf_get(struct conformance *c, const char *id, const char *path)
{
	str_clear(&conf_file.tar);
	conf_file.told = 0;
	return RUN(c->rig, archive_get, id, path, &conf_archive_sink);
}

static void conf_files(struct conformance *c)
{
	struct rig *rig = c->rig;
	const struct gantry_runtime *runtime = rig->runtime;
	const struct tar_entry one = {
		.type = '0', .name = "one", .mode = 0640, .uid = 7, .data = "hello\n", .length = 6};
	struct str tar = STR_INIT;
	char id[80];

	if (!runtime->archive_put) {
		skip(1, "no files are offered");
		return;
	}
	is_int(conf_create(c, "files", c->run, id), 0, "create what has files");
	rig->take = conf_take_path;
	is_int(RUN(rig, path_look, id, "/tmp"), 0, "look at a folder of one that does not run");
	ok(S_ISDIR(conf_file.path.mode), "it is one");
	is_str(conf_file.name, "tmp", "by its name");
	is_int(RUN(rig, path_look, id, "/tmp/none"), -ENOENT, "what is not there: -ENOENT");
	like(rig->err.text, "/tmp/none", "the error names it");
	tar_add(&tar, &one);
	tar_end(&tar);
	conf_put(c, id, "/tmp");
	ok(rig_until(rig, &conf_file.open, 10000), "a put opens");
	runtime->upload_write(conf_file.upload, tar.data, 700);
	rig_turn(rig, 20);
	ok(!rig->done, "it waits for the rest");
	runtime->upload_write(conf_file.upload, tar.data + 700, tar.length - 700);
	runtime->upload_end(conf_file.upload);
	is_int(rig_wait(rig), 0, "a tar in two pieces: %s", rig->err.text);
	rig->take = conf_take_path;
	is_int(RUN(rig, path_look, id, "/tmp/one"), 0, "look at what came");
	is_int(conf_file.path.size_bytes, 6, "its size");
	is_int(conf_file.path.mode, S_IFREG | 0640, "its type and mode");
	is_int(conf_get(c, id, "/tmp/one"), 0, "get it");
	is_int(conf_file.told, 1, "it is told of once");
	is_str(conf_file.name, "one", "by its name");
	ok(conf_file.tar.length >= 1024 && memmem(conf_file.tar.data, 1024, "hello\n", 6),
	   "the tar has it");
	is_str(str_text(&conf_file.tar), "one", "as the first name");
	is_int(conf_get(c, id, "/tmp"), 0, "get the folder");
	ok(memmem(conf_file.tar.data, conf_file.tar.length, "tmp/one", 7), "it is in there");
	is_int(conf_get(c, id, "/tmp/none"), -ENOENT, "get what is not there: -ENOENT");
	is_int(conf_file.told, 0, "of which nothing is told");
	conf_file.refuses = true;
	ok(conf_get(c, id, "/tmp") < 0, "who takes no more ends it");
	conf_file.refuses = false;
	conf_put(c, id, "/tmp/one");
	is_int(rig_wait(rig), -EINVAL, "put into what is no folder: -EINVAL");
	conf_put(c, id, "/tmp/none");
	is_int(rig_wait(rig), -ENOENT, "put into what is not there: -ENOENT");
	ok(!conf_file.open, "neither was opened");
	conf_put(c, id, "/tmp");
	ok(rig_until(rig, &conf_file.open, 10000), "a put that is left");
	runtime->upload_write(conf_file.upload, tar.data, 700);
	op_cancel(rig->op);
	is_int(rig_wait(rig), -ECANCELED, "amid the tar: -ECANCELED");
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(conf_get(c, id, "/tmp"), -ENOENT, "of one that is gone: -ENOENT");
	str_fini(&conf_file.tar);
	str_fini(&tar);
}

#endif
