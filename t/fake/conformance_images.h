/* SPDX-License-Identifier: Apache-2.0 */
/* Of the list in conformance.h, which includes it: images of containers, and as archives. */
#ifndef FAKE_CONFORMANCE_IMAGES_H
#define FAKE_CONFORMANCE_IMAGES_H

static struct str conf_archive;
static struct gantry_upload *conf_load; /* NULL: not open yet */
static bool conf_load_open, conf_load_drained;

static int conf_take_archive(void *arg, const char *data, size_t length)
{
	(void)arg;
	str_add_bytes(&conf_archive, data, length);
	return 0;
}

static void conf_take_names(const void *result)
{
	const struct gantry_strings *names = result;

	conf_number = (int64_t)names->count;
	snprintf(conf_text, sizeof(conf_text), "%s", names->count ? names->items[0] : "");
}

static void conf_on_load(void *arg, struct gantry_upload *upload)
{
	(void)arg;
	conf_load = upload;
	conf_load_open = true;
}

static void conf_on_load_drain(void *arg)
{
	(void)arg;
	conf_load_drained = true;
}

/* Loads so much of the bytes; with cut it is cancelled then. */
static int conf_load_bytes(struct conformance *c, const char *data, size_t length, bool cut)
{
	struct gantry_upload_sink sink = {.open = conf_on_load, .drain = conf_on_load_drain};
	struct rig *rig = c->rig;

	conf_load_open = false;
	rig->take = conf_take_names;
	rig->runtime->image_load(rig->node, &sink, rig_op(rig));
	if (!rig_until(rig, &conf_load_open, 10000))
		return 1;
	for (size_t at = 0; at < length;) {
		size_t part = length - at < 30000 ? length - at : 30000;

		conf_load_drained = false;
		if (!rig->runtime->upload_write(conf_load, data + at, part) &&
		    !rig_until(rig, &conf_load_drained, 10000))
			return 2;
		at += part;
	}
	if (cut)
		op_cancel(rig->op);
	else
		rig->runtime->upload_end(conf_load);
	return rig_wait(rig);
}

static void conf_images(struct conformance *c)
{
	struct rig *rig = c->rig;
	struct gantry_commit commit = {.mark = "operation 1", .pause = true};
	char id[80], name[128], first[80];

	if (!rig->runtime->commit) {
		skip(1, "no images of containers are offered");
		return;
	}
	snprintf(name, sizeof(name), "%spullable:1", c->prefix);
	commit.image = name;
	is_int(RUN(rig, image_present, name), -ENOENT, "no such image yet");
	is_int(conf_create(c, "model", c->run, id), 0, "create");
	is_int(RUN(rig, start, id), 0, "start");
	rig->take = conf_take_id;
	is_int(RUN(rig, commit, id, &commit), 0, "commit it as it runs");
	ok(strncmp(conf_text, "sha256:", 7) == 0, "the image's id is told");
	snprintf(first, sizeof(first), "%.79s", conf_text);
	is_int(conf_inspect(c, id), GANTRY_CONTAINER_RUNNING, "it runs on");
	is_int(RUN(rig, image_present, name), 0, "the image is there");
	rig->take = conf_take_id;
	is_int(RUN(rig, commit, id, &commit), 0, "commit once more with the same mark");
	is_str(conf_text, first, "it is the same image");
	is_int(RUN(rig, remove, id), 0, "remove the container");
	is_int(RUN(rig, commit, id, &commit), 0, "what was done is done without it too");
	commit.mark = "operation 2";
	is_int(RUN(rig, commit, id, &commit), -ENOENT, "of what is gone: -ENOENT");

	is_int(RUN(rig, image_save, name, conf_take_archive, NULL), 0, "save");
	ok(conf_archive.length > 1024, "an archive came");
	is_int(RUN(rig, image_save, "missing/pullable:1", conf_take_archive, NULL), -ENOENT,
	       "of none: -ENOENT");
	is_int(RUN(rig, image_remove, name), 0, "remove the image");
	is_int(RUN(rig, image_present, name), -ENOENT, "it is gone");
	is_int(RUN(rig, image_remove, name), -ENOENT, "a second remove: -ENOENT");
	is_int(conf_load_bytes(c, conf_archive.data, conf_archive.length / 2, true), -ECANCELED,
	       "half of the archive, and no more");
	is_int(RUN(rig, image_present, name), -ENOENT, "leaves nothing");
	is_int(conf_load_bytes(c, conf_archive.data, conf_archive.length, false), 0,
	       "all of it: %s", rig->err.text);
	is_int(conf_number, 1, "it holds one image");
	is_str(conf_text, name, "the one that was saved");
	is_int(RUN(rig, image_present, name), 0, "which is there again");
	is_int(conf_load_bytes(c, "no tar at all", 13, false), -EINVAL, "no archive: -EINVAL");
	is_int(conf_create(c, "user", c->run, id), 0, "create");
	is_int(RUN(rig, image_remove, c->image), -EBUSY, "an image that is used: -EBUSY");
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(RUN(rig, image_remove, name), 0, "remove the image");
	str_fini(&conf_archive);
}

#endif
