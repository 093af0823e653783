/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fleet.h"
#include "base/sorted.h"
#include "base/str.h"

#include <stdlib.h>

/* The order of by_id, by_name, ports, projects and nodes_by_name: what a place is looked for by, and an item. */

static int by_id(const void *id, const void *item)
{
	return strcmp(id, (*(struct instance *const *)item)->id);
}

static int by_name(const void *name, const void *item)
{
	return strcmp(name, (*(struct instance *const *)item)->spec.name);
}

/* Within a name by project: what a place is looked for is an instance. */
static int by_full_name(const void *key, const void *item)
{
	const struct instance *wanted = key, *at = *(struct instance *const *)item;
	int order = strcmp(wanted->spec.name, at->spec.name);

	return order ? order : strcmp(wanted->spec.project, at->spec.project);
}

static int by_port(const void *id, const void *item)
{
	return strcmp(id, ((const struct fleet_port *)item)->id);
}

static int by_project(const void *name, const void *item)
{
	return strcmp(name, (*(struct fleet_project *const *)item)->name);
}

static int by_node(const void *name, const void *item)
{
	return strcmp(name, (*(struct node *const *)item)->name);
}

static size_t place_of_id(const struct fleet *fleet, const char *id)
{
	return sorted_place(id, fleet->by_id, fleet->count, sizeof(*fleet->by_id), by_id);
}

static size_t place_of_name(const struct fleet *fleet, const char *name)
{
	return sorted_place(name, fleet->by_name, fleet->count, sizeof(*fleet->by_name), by_name);
}

static size_t place_of_full_name(const struct fleet *fleet, const struct instance *instance)
{
	return sorted_place(instance, fleet->by_name, fleet->count, sizeof(*fleet->by_name),
			    by_full_name);
}

static size_t place_of_port(const struct fleet *fleet, const char *id)
{
	return sorted_place(id, fleet->ports, fleet->port_count, sizeof(*fleet->ports), by_port);
}

static size_t place_of_project(const struct fleet *fleet, const char *name)
{
	return sorted_place(name, fleet->projects, fleet->project_count, sizeof(*fleet->projects),
			    by_project);
}

static size_t place_of_node(const struct fleet *fleet, const char *name)
{
	return sorted_place(name, fleet->nodes_by_name, fleet->node_count,
			    sizeof(*fleet->nodes_by_name), by_node);
}

void fleet_init(struct fleet *fleet)
{
	*fleet = (struct fleet){0};
	list_init(&fleet->instances);
	past_init(&fleet->past);
}

void fleet_fini(struct fleet *fleet)
{
	LIST_FOREACH (node, &fleet->instances) {
		instance_free(LIST_ENTRY(node, struct instance, link));
	}
	for (size_t i = 0; i < fleet->node_count; i++) {
		label_counts_fini(&fleet->nodes[i]->label_counts);
		fleet->nodes[i]->past = NULL;
	}
	for (size_t i = 0; i < fleet->project_count; i++) {
		free(fleet->projects[i]->name);
		free(fleet->projects[i]);
	}
	free(fleet->projects);
	past_fini(&fleet->past);
	free(fleet->by_id);
	free(fleet->by_name);
	free(fleet->ports);
	free(fleet->nodes);
	free(fleet->nodes_by_name);
	*fleet = (struct fleet){0};
	list_init(&fleet->instances);
}

/* --- ports of networks ----------------------------------------------------------------------------- */

static void add_ports(struct fleet *fleet, struct instance *instance)
{
	const struct gantry_network_ports *ports = &instance->spec.network_ports;

	for (size_t i = 0; i < ports->count; i++) {
		const struct fleet_port port = {ports->items[i].id, instance};

		if (fleet->port_count == fleet->port_capacity) {
			fleet->port_capacity = fleet->port_capacity ? 2 * fleet->port_capacity : 64;
			fleet->ports = xrealloc(fleet->ports,
						fleet->port_capacity * sizeof(*fleet->ports));
		}
		sorted_insert(fleet->ports, fleet->port_count, sizeof(port),
			      place_of_port(fleet, port.id), &port);
		fleet->port_count++;
	}
}

/* Two instances may have been found with one port. */
static void take_out_ports(struct fleet *fleet, const struct instance *instance)
{
	const struct gantry_network_ports *ports = &instance->spec.network_ports;

	for (size_t i = 0; i < ports->count; i++) {
		size_t at = place_of_port(fleet, ports->items[i].id);

		while (at < fleet->port_count && fleet->ports[at].instance != instance)
			at++;
		if (at == fleet->port_count)
			continue;
		sorted_remove(fleet->ports, fleet->port_count, sizeof(*fleet->ports), at);
		fleet->port_count--;
	}
}

void fleet_set_ports(struct fleet *fleet, struct instance *instance,
		     const struct gantry_network_ports *ports)
{
	take_out_ports(fleet, instance);
	instance->spec.network_ports = *ports;
	add_ports(fleet, instance);
}

const struct instance *fleet_port_owner(const struct fleet *fleet, const char *port,
					const struct instance *but)
{
	for (size_t at = place_of_port(fleet, port);
	     at < fleet->port_count && str_equal(fleet->ports[at].id, port); at++)
		if (fleet->ports[at].instance != but)
			return fleet->ports[at].instance;
	return NULL;
}

/* --- filesystems ----------------------------------------------------------------------------------- */

static bool borrows(const struct instance *instance, const struct instance *from)
{
	const struct gantry_mounts *mounts = &instance->spec.mounts;

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].type == GANTRY_MOUNT_INSTANCE &&
		    (!from || str_equal(mounts->items[i].source, from->id)))
			return true;
	return false;
}

static bool is_active(const struct instance *instance)
{
	return instance->state != INSTANCE_PENDING && instance->state != INSTANCE_CREATING &&
	       instance->state != INSTANCE_STOPPED && instance->state != INSTANCE_FAILED;
}

const struct instance *fleet_borrower(const struct fleet *fleet, const struct instance *instance)
{
	if (fleet->borrowers == 0)
		return NULL;
	LIST_FOREACH (node, &fleet->instances) {
		const struct instance *other = LIST_ENTRY(node, struct instance, link);

		if (other != instance && is_active(other) && borrows(other, instance))
			return other;
	}
	return NULL;
}

/* --- projects -------------------------------------------------------------------------------------- */

static struct fleet_project *find_project(const struct fleet *fleet, const char *name)
{
	size_t at = place_of_project(fleet, name);

	if (at == fleet->project_count || !str_equal(fleet->projects[at]->name, name))
		return NULL;
	return fleet->projects[at];
}

static struct fleet_project *add_project(struct fleet *fleet, const char *name)
{
	struct fleet_project *project = xcalloc(1, sizeof(*project));

	if (fleet->project_count == fleet->project_capacity) {
		fleet->project_capacity = fleet->project_capacity ? 2 * fleet->project_capacity : 8;
		fleet->projects = xrealloc(fleet->projects,
					   fleet->project_capacity * sizeof(*fleet->projects));
	}
	sorted_insert(fleet->projects, fleet->project_count, sizeof(project),
		      place_of_project(fleet, name), &project);
	fleet->project_count++;
	project->name = xstrdup(name);
	return project;
}

static void add_usage(struct fleet_usage *usage, const struct instance *instance, int sign)
{
	usage->instances += sign;
	usage->memory_bytes += sign * instance->counted_memory_bytes;
	usage->nano_cpus += sign * instance->counted_nano_cpus;
}

static void count_out(struct fleet *fleet, struct instance *instance)
{
	struct fleet_project *project = instance->counted;

	if (!project)
		return;
	instance->counted = NULL;
	add_usage(&project->usage, instance, -1);
	if (instance->counted_placed)
		add_usage(&project->placed, instance, -1);
	if (project->usage.instances > 0)
		return;
	sorted_remove(fleet->projects, fleet->project_count, sizeof(project),
		      place_of_project(fleet, project->name));
	fleet->project_count--;
	free(project->name);
	free(project);
}

static int64_t amount(int64_t limit)
{
	return limit != GANTRY_UNSET ? limit : 0;
}

void fleet_count(struct fleet *fleet, struct instance *instance)
{
	const struct gantry_spec *spec = &instance->spec;
	struct fleet_project *project;

	count_out(fleet, instance);
	project = find_project(fleet, spec->project);
	if (!project)
		project = add_project(fleet, spec->project);
	instance->counted = project;
	instance->counted_memory_bytes = amount(spec->memory_bytes);
	instance->counted_nano_cpus = amount(spec->nano_cpus);
	instance->counted_placed = instance->node != NULL;
	add_usage(&project->usage, instance, 1);
	if (instance->counted_placed)
		add_usage(&project->placed, instance, 1);
}

struct fleet_usage fleet_usage(const struct fleet *fleet, const char *project,
			       const struct instance *but)
{
	const struct fleet_project *found = find_project(fleet, project);
	struct fleet_usage usage = found ? found->usage : (struct fleet_usage){0};

	if (but && but->counted && but->counted == found)
		add_usage(&usage, but, -1);
	return usage;
}

struct fleet_usage fleet_usage_placed(const struct fleet *fleet, const char *project,
				      const struct instance *but)
{
	const struct fleet_project *found = find_project(fleet, project);
	struct fleet_usage usage = found ? found->placed : (struct fleet_usage){0};

	if (but && but->counted && but->counted == found && but->counted_placed)
		add_usage(&usage, but, -1);
	return usage;
}

/* --- instances ------------------------------------------------------------------------------------- */

static struct instance *find_name(const struct fleet *fleet, const char *project, const char *name)
{
	for (size_t i = place_of_name(fleet, name); i < fleet->count; i++) {
		struct instance *instance = fleet->by_name[i];

		if (!str_equal(instance->spec.name, name))
			break;
		if (str_equal(instance->spec.project, project))
			return instance;
	}
	return NULL;
}

int fleet_add(struct fleet *fleet, struct instance *instance, struct gantry_error *err)
{
	const struct instance *other =
		find_name(fleet, instance->spec.project, instance->spec.name);

	if (other)
		return gantry_error_field(err, -EEXIST, "name",
					  "project %s has an instance %s already (%s, %s)",
					  instance->spec.project, instance->spec.name, other->id,
					  instance_state_text(other->state));
	if (fleet->count == fleet->capacity) {
		fleet->capacity = fleet->capacity ? fleet->capacity * 2 : 64;
		fleet->by_id = xrealloc(fleet->by_id, fleet->capacity * sizeof(*fleet->by_id));
		fleet->by_name =
			xrealloc(fleet->by_name, fleet->capacity * sizeof(*fleet->by_name));
	}
	sorted_insert(fleet->by_id, fleet->count, sizeof(instance),
		      place_of_id(fleet, instance->id), &instance);
	sorted_insert(fleet->by_name, fleet->count, sizeof(instance),
		      place_of_full_name(fleet, instance), &instance);
	fleet->count++;
	add_ports(fleet, instance);
	fleet->borrowers += borrows(instance, NULL);
	list_append(&fleet->instances, &instance->link);
	return 0;
}

void fleet_remove(struct fleet *fleet, struct instance *instance)
{
	sorted_remove(fleet->by_id, fleet->count, sizeof(instance),
		      place_of_id(fleet, instance->id));
	sorted_remove(fleet->by_name, fleet->count, sizeof(instance),
		      place_of_full_name(fleet, instance));
	fleet->count--;
	take_out_ports(fleet, instance);
	fleet->borrowers -= borrows(instance, NULL);
	count_out(fleet, instance);
	list_remove(&instance->link);
	instance_free(instance);
}

struct instance *fleet_find(const struct fleet *fleet, const char *id)
{
	size_t at = place_of_id(fleet, id);

	return at < fleet->count && str_equal(fleet->by_id[at]->id, id) ? fleet->by_id[at] : NULL;
}

static int not_unique(const char *word, const struct instance *a, const struct instance *b,
		      struct gantry_error *err)
{
	return gantry_error_set(err, -ENOTUNIQ, "\"%s\" could be %s/%s (%s) or %s/%s (%s), or more",
				word, a->spec.project, a->spec.name, a->id, b->spec.project,
				b->spec.name, b->id);
}

/* Looks at the run of instances that begin with word; more than one is an error. */
static int find_prefix(const struct fleet *fleet, bool names, const char *word, const char *project,
		       struct instance **ret_found, struct gantry_error *err)
{
	for (size_t i = (names ? place_of_name : place_of_id)(fleet, word); i < fleet->count; i++) {
		struct instance *instance = names ? fleet->by_name[i] : fleet->by_id[i];

		if (!str_starts_with(names ? instance->spec.name : instance->id, word))
			break;
		if (project && !str_equal(instance->spec.project, project))
			continue;
		if (*ret_found && *ret_found != instance)
			return not_unique(word, *ret_found, instance, err);
		*ret_found = instance;
	}
	return 0;
}

static int find_exact_name(const struct fleet *fleet, const char *word, struct instance **ret_found,
			   struct gantry_error *err)
{
	struct instance *first = NULL, *second = NULL;

	for (size_t i = place_of_name(fleet, word);
	     i < fleet->count && str_equal(fleet->by_name[i]->spec.name, word); i++) {
		if (!first)
			first = fleet->by_name[i];
		else
			second = fleet->by_name[i];
	}
	if (second)
		first = find_name(fleet, "default", word);
	if (second && !first)
		return not_unique(word, fleet->by_name[place_of_name(fleet, word)], second, err);
	*ret_found = first;
	return 0;
}

int fleet_resolve(const struct fleet *fleet, const char *word, const char *project,
		  struct instance **ret_instance, struct gantry_error *err)
{
	struct instance *found = fleet_find(fleet, word);
	const char *slash = strchr(word, '/');
	int code = 0;

	if (!found && slash) {
		char *name = xstrdup(word);

		name[slash - word] = '\0';
		found = find_name(fleet, name, slash + 1);
		free(name);
	} else if (!found && project) {
		found = find_name(fleet, project, word);
	} else if (!found) {
		code = find_exact_name(fleet, word, &found, err);
	}
	if (!found && code == 0 && strlen(word) >= 2 && !slash) {
		code = find_prefix(fleet, true, word, project, &found, err);
		if (code == 0)
			code = find_prefix(fleet, false, word, project, &found, err);
	}
	if (code < 0)
		return code;
	if (!found || (project && !str_equal(found->spec.project, project)))
		return gantry_error_set(err, -ENOENT, "there is no instance \"%s\"%s%s", word,
					project ? " in project " : "", project ? project : "");
	*ret_instance = found;
	return 0;
}

struct node *fleet_node(const struct fleet *fleet, const char *name)
{
	size_t at = name ? place_of_node(fleet, name) : fleet->node_count;

	if (at == fleet->node_count || !str_equal(fleet->nodes_by_name[at]->name, name))
		return NULL;
	return fleet->nodes_by_name[at];
}

void fleet_add_node(struct fleet *fleet, struct node *node)
{
	size_t size = (fleet->node_count + 1) * sizeof(node);

	list_init(&node->placed);
	node->past = &fleet->past;
	node->index = fleet->node_count;
	fleet->nodes = xrealloc(fleet->nodes, size);
	fleet->nodes_by_name = xrealloc(fleet->nodes_by_name, size);
	sorted_insert(fleet->nodes_by_name, fleet->node_count, sizeof(node),
		      place_of_node(fleet, node->name), &node);
	fleet->nodes[fleet->node_count++] = node;
}

void fleet_place(struct instance *instance, struct node *node)
{
	list_remove(&instance->placed);
	list_append(&node->placed, &instance->placed);
	instance->node = node->name;
}

void fleet_unplace(struct instance *instance)
{
	list_remove(&instance->placed);
	instance->node = NULL;
}
