/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/verbs/borrow.h"
#include "base/str.h"
#include "model/spec.h"

static const struct instance *lender_of(const struct daemon *daemon,
					const struct gantry_mount *mount)
{
	return mount->type == GANTRY_MOUNT_INSTANCE ? fleet_find(&daemon->fleet, mount->source)
						    : NULL;
}

static int resolve(struct daemon *daemon, struct instance *instance, struct gantry_mount *mount,
		   const char *field, struct gantry_error *err)
{
	const char *project = instance->spec.project, *node = borrow_node(daemon, &instance->spec);
	struct instance *lender;
	int code = fleet_resolve(&daemon->fleet, mount->source, project, &lender, err);

	if (code < 0) {
		snprintf(err->field, sizeof(err->field), "%s", field);
		return code;
	}
	if (!str_equal(lender->spec.project, project))
		return gantry_error_field(err, -ENOENT, field,
					  "there is no instance \"%s\" in project %s",
					  mount->source, project);
	if (!lender->container_id[0])
		return gantry_error_field(err, -EBUSY, field, "%s has no container",
					  lender->spec.name);
	if (node && !str_equal(node, lender->node))
		return gantry_error_field(err, -EINVAL, field,
					  "%s is on node %s, the one before on %s",
					  lender->spec.name, lender->node, node);
	mount->source = arena_strdup(&instance->arena, lender->id);
	return 0;
}

int borrow_resolve(struct daemon *daemon, struct instance *instance, struct gantry_error *err)
{
	struct gantry_mounts *mounts = &instance->spec.mounts;
	char field[48];
	int code = 0;

	for (size_t i = 0; code == 0 && i < mounts->count; i++) {
		if (mounts->items[i].type != GANTRY_MOUNT_INSTANCE)
			continue;
		snprintf(field, sizeof(field), "mounts[%zu].source", i);
		code = resolve(daemon, instance, &mounts->items[i], field, err);
	}
	return code;
}

const char *borrow_node(const struct daemon *daemon, const struct gantry_spec *spec)
{
	for (size_t i = 0; i < spec->mounts.count; i++) {
		const struct instance *lender = lender_of(daemon, &spec->mounts.items[i]);

		if (lender)
			return lender->node;
	}
	return NULL;
}

static int gone(const struct gantry_mount *mount, struct gantry_error *err)
{
	return gantry_error_set(err, -EINVAL, "instance %s, that is mounted at %s, is gone",
				mount->source, mount->target);
}

int borrow_containers(struct flow *flow, struct gantry_spec *ret_spec, struct gantry_error *err)
{
	spec_copy(&flow->spec, &flow->arena, ret_spec);
	for (size_t i = 0; i < ret_spec->mounts.count; i++) {
		struct gantry_mount *mount = &ret_spec->mounts.items[i];
		const struct instance *lender = lender_of(flow->daemon, mount);

		if (lender && lender->container_id[0])
			mount->source = arena_strdup(&flow->arena, lender->container_id);
		else if (mount->type == GANTRY_MOUNT_INSTANCE)
			return gone(mount, err);
	}
	return 0;
}

int borrow_check(const struct daemon *daemon, const struct instance *instance,
		 struct gantry_error *err)
{
	const struct instance *borrower = fleet_borrower(&daemon->fleet, instance);

	if (!borrower)
		return 0;
	return gantry_error_set(
		err, -EBUSY, "the filesystem of %s is mounted in %s, which is %s; stop that first",
		instance->spec.name, borrower->spec.name, instance_state_text(borrower->state));
}

int borrow_check_start(const struct daemon *daemon, const struct instance *instance,
		       struct gantry_error *err)
{
	const struct gantry_mounts *mounts = &instance->spec.mounts;
	int code = borrow_check(daemon, instance, err);

	for (size_t i = 0; code == 0 && i < mounts->count; i++) {
		const struct gantry_mount *mount = &mounts->items[i];
		const struct instance *lender = lender_of(daemon, mount);

		if (mount->type != GANTRY_MOUNT_INSTANCE)
			continue;
		if (!lender)
			return gone(mount, err);
		if (lender->state != INSTANCE_STOPPED && lender->state != INSTANCE_FAILED)
			return gantry_error_set(
				err, -EBUSY,
				"%s is %s, and its filesystem is to be mounted at %s; stop it first",
				lender->spec.name, instance_state_text(lender->state),
				mount->target);
		code = borrow_check(daemon, lender, err); /* in a third one */
	}
	return code;
}
