/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filesystem of one container in another. With the storage driver overlay2 it is layers in folders of the
 * engine's host; of these a volume of the engine's own driver is made, that the engine itself mounts as an
 * overlay when the other container starts, and unmounts when it ends, or when the engine starts after a
 * crash. It has no name: it goes with the container that has it.
 *
 *	for each such mount   GET the container it is of ─▶ its layers
 *	then                  POST /containers/create
 */
#include "docker.h"

#include <stdlib.h>

#define OPTIONS_MAX 4095 /* of a mount: the kernel takes a page */

struct borrow {
	struct json_object *body; /* a reference */
	const char *name;         /* as in the URL */
	size_t at;
	void (*created)(struct docker_call *call, const struct gantry_error *err,
			struct json_object *reply);
};

static void look_on(struct docker_call *call);

static struct json_object *mount_at(const struct borrow *borrow)
{
	struct json_object *mounts = docker_get(docker_get(borrow->body, "HostConfig"), "Mounts");

	return mounts ? json_object_array_get_idx(mounts, borrow->at) : NULL;
}

/* What the mount's options are; the caller frees. NULL: why not. */
static char *layers(struct json_object *container, struct gantry_error *err)
{
	struct json_object *driver = docker_get(container, "GraphDriver");
	struct json_object *data = docker_get(driver, "Data");
	const char *name = docker_text(driver, "Name"), *lower = docker_text(data, "LowerDir");
	const char *upper = docker_text(data, "UpperDir"), *work = docker_text(data, "WorkDir");
	char *text;

	if (!name || strcmp(name, "overlay2") != 0 || !lower || !upper || !work ||
	    strchr(lower, ',')) {
		gantry_error_set(err, -ENOTSUP,
				 "docker: the filesystem of a container can be mounted in another "
				 "with the storage driver overlay2; the engine has %s",
				 name ? name : "none that it names");
		return NULL;
	}
	if (asprintf(&text, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work) < 0)
		abort();
	if (strlen(text) <= OPTIONS_MAX)
		return text;
	free(text);
	gantry_error_set(
		err, -ENOTSUP,
		"docker: the image of the container has too many layers for its filesystem "
		"to be mounted in another");
	return NULL;
}

static void make_volume(struct json_object *mount, const char *options)
{
	struct json_object *volume = json_object_new_object();
	struct json_object *driver = json_object_new_object();
	struct json_object *values = json_object_new_object();

	docker_add(values, "type", "overlay");
	docker_add(values, "device", "overlay");
	docker_add(values, "o", options);
	docker_add(driver, "Name", "local");
	json_object_object_add(driver, "Options", values);
	docker_add_true(volume, "NoCopy", true);
	json_object_object_add(volume, "DriverConfig", driver);
	json_object_object_del(mount, "Source");
	docker_add(mount, "Type", "volume");
	json_object_object_add(mount, "VolumeOptions", volume);
}

static void looked(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct borrow *borrow = call->arg;
	struct gantry_error failed;
	char *options = NULL;

	if (!err)
		options = layers(reply, &failed);
	else
		failed = *err;
	if (!options) {
		if (failed.code == -ENOENT)
			failed.code = -EINVAL; /* no image is missing */
		json_object_put(borrow->body);
		call->node->host->op_done(call->op, &failed, NULL);
		return;
	}
	make_volume(mount_at(borrow), options);
	free(options);
	look_on(call);
}

static void look_on(struct docker_call *call)
{
	struct borrow *borrow = call->arg;
	struct json_object *mount;

	while ((mount = mount_at(borrow)) &&
	       strcmp(docker_text(mount, "Type"), DOCKER_BORROWED) != 0)
		borrow->at++;
	if (mount) {
		docker_call(call, "GET", NULL, "/containers/%s/json", docker_text(mount, "Source"));
		return;
	}
	call->done = borrow->created;
	docker_call(call, "POST", docker_print(borrow->body), "/containers/create?name=%s",
		    borrow->name);
	json_object_put(borrow->body);
}

void docker_borrow_create(struct docker_call *call, struct json_object *body, const char *name)
{
	struct borrow *borrow = call->node->host->op_alloc(call->op, sizeof(*borrow));

	borrow->body = json_object_get(body);
	borrow->name = docker_keep(call->node, call->op, name);
	borrow->created = call->done;
	call->arg = borrow;
	call->done = looked;
	look_on(call);
}
