/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that lets the containers of a node outlive gantryd: JSON, one object a line.
 *
 *	{"sim": 1, "epoch": "…", "sequence": 7}     first
 *	{"put": {…}}   a container, new or changed     {"gone": "ID"}
 *	{"image": {…}} {"files": "ID", "tree": […]}, of a container; or "of": "ID" of an image
 *	{"event": {…}} one that is remembered
 *
 * Each change is appended before its operation is answered, with no sync to the disk: it survives a
 * kill, and after a power loss the tail may be gone. A last line that is not whole is left out. The
 * file is written anew when it is opened, and when it has several times the lines that are needed.
 * Who has it open holds a lock on it: of two gantryd the second finds its node out of reach.
 */
#include "sim.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_SPARE 1000

/* --- JSON --- */

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static int64_t get_int(struct json_object *object, const char *key, int64_t fallback)
{
	struct json_object *value = get(object, key);

	return value ? json_object_get_int64(value) : fallback;
}

static const char *get_text(struct json_object *object, const char *key)
{
	struct json_object *value = get(object, key);

	return value ? json_object_get_string(value) : NULL;
}

static void add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	if (text)
		json_object_object_add(object, key, json_object_new_string(text));
}

static void add_flag(struct json_object *object, const char *key, bool value)
{
	if (value)
		json_object_object_add(object, key, json_object_new_boolean(true));
}

/* --- a container --- */

static struct json_object *print_ports(const struct sim_container *container)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < container->port_count; i++) {
		struct json_object *port = json_object_new_object();

		add_text(port, "host_ip", container->ports[i].host_ip);
		add_int(port, "host_port", container->ports[i].host_port);
		add_int(port, "container_port", container->ports[i].container_port);
		add_text(port, "protocol", container->ports[i].protocol);
		json_object_array_add(list, port);
	}
	return list;
}

static struct json_object *print_container(const struct sim_container *container)
{
	struct json_object *object = json_object_new_object(), *words = json_object_new_array(),
			   *labels = json_object_new_object(), *lives = json_object_new_array();
	char id[SIM_ID_SIZE];

	sim_id_text(container->key, id);
	add_text(object, "id", id);
	add_text(object, "name", container->name);
	add_text(object, "image", container->image);
	for (size_t i = 0; i < 3 && container->words[i]; i++)
		json_object_array_add(words, json_object_new_string(container->words[i]));
	json_object_object_add(object, "words", words);
	for (size_t i = 0; i < container->label_count; i++)
		add_text(labels, container->labels[i].name, container->labels[i].value);
	json_object_object_add(object, "labels", labels);
	if (container->port_count > 0)
		json_object_object_add(object, "ports", print_ports(container));
	add_int(object, "picked", (int64_t)container->picked);
	add_int(object, "memory", container->limits.memory_bytes);
	add_int(object, "memory_swap", container->limits.memory_swap_bytes);
	add_int(object, "nano_cpus", container->limits.nano_cpus);
	add_int(object, "cpu_shares", container->limits.cpu_shares);
	add_int(object, "pids", container->limits.pids);
	add_text(object, "cpuset", container->cpuset);
	add_int(object, "state", container->state);
	add_int(object, "exit_code", container->exit_code);
	add_int(object, "boots", container->boots);
	add_int(object, "pid", container->pid);
	add_int(object, "created_ms", container->created_ms);
	add_int(object, "started_ms", container->started_ms);
	add_int(object, "finished_ms", container->finished_ms);
	for (size_t i = 0; i < SIM_LIVES; i++)
		json_object_array_add(lives, json_object_new_int64(container->lives_ns[i]));
	json_object_object_add(object, "lives_ns", lives);
	add_flag(object, "tty", container->tty);
	add_flag(object, "oom", container->oom);
	add_flag(object, "health_check", container->health_check);
	return object;
}

static void read_ports(struct json_object *list, struct gantry_ports *ports)
{
	ports->count = list ? json_object_array_length(list) : 0;
	ports->items = sim_alloc(ports->count * sizeof(*ports->items));
	for (size_t i = 0; i < ports->count; i++) {
		struct json_object *port = json_object_array_get_idx(list, i);

		ports->items[i].host_ip = get_text(port, "host_ip");
		ports->items[i].host_port = (uint16_t)get_int(port, "host_port", 0);
		ports->items[i].container_port = (uint16_t)get_int(port, "container_port", 0);
		ports->items[i].protocol = get_text(port, "protocol");
	}
}

static void read_fields(struct sim_container *container, struct json_object *object)
{
	struct json_object *lives = get(object, "lives_ns");

	for (size_t i = 0; i < SIM_LIVES && i < (lives ? json_object_array_length(lives) : 0); i++)
		container->lives_ns[i] = json_object_get_int64(json_object_array_get_idx(lives, i));
	container->picked = (uint64_t)get_int(object, "picked", 0);
	container->state = (uint8_t)get_int(object, "state", GANTRY_CONTAINER_CREATED);
	container->exit_code = (int)get_int(object, "exit_code", 0);
	container->boots = (uint32_t)get_int(object, "boots", 0);
	container->pid = (uint32_t)get_int(object, "pid", 0);
	container->created_ms = get_int(object, "created_ms", 0);
	container->started_ms = get_int(object, "started_ms", 0);
	container->finished_ms = get_int(object, "finished_ms", 0);
	container->oom = json_object_get_boolean(get(object, "oom"));
	container->health_check = json_object_get_boolean(get(object, "health_check"));
}

static void drop(struct sim_container *container)
{
	sim_table_remove(container);
	sim_container_free(container);
}

/* Made as by create, from a spec that says what is kept. */
static bool read_container(struct sim_node *node, struct json_object *object)
{
	const char *id = get_text(object, "id"), *words[3];
	struct json_object *labels = get(object, "labels"), *list = get(object, "words");
	struct gantry_spec spec = {0};
	struct gantry_create create = {.name = get_text(object, "name"), .spec = &spec};
	struct sim_container *container, *other;
	uint64_t key;

	if (!id || !sim_id_read(id, &key) || !create.name ||
	    !json_object_is_type(labels, json_type_object))
		return false;
	create.labels.items =
		sim_alloc((size_t)json_object_object_length(labels) * sizeof(*create.labels.items));
	json_object_object_foreach(labels, name, value)
	{
		create.labels.items[create.labels.count++] =
			(struct gantry_pair){name, json_object_get_string(value)};
	}
	for (size_t i = 0; list && i < 3 && i < json_object_array_length(list); i++)
		words[spec.command.count++] =
			json_object_get_string(json_object_array_get_idx(list, i));
	spec.command.items = words;
	spec.image = get_text(object, "image");
	spec.tty = json_object_get_boolean(get(object, "tty"));
	spec.memory_bytes = get_int(object, "memory", GANTRY_UNSET);
	spec.memory_swap_bytes = get_int(object, "memory_swap", GANTRY_UNSET);
	spec.nano_cpus = get_int(object, "nano_cpus", GANTRY_UNSET);
	spec.cpu_shares = get_int(object, "cpu_shares", GANTRY_UNSET);
	spec.pids = get_int(object, "pids", GANTRY_UNSET);
	spec.cpuset = get_text(object, "cpuset");
	read_ports(get(object, "ports"), &spec.ports);
	other = sim_table_find_key(node, key);
	container = sim_container_new(node, &create);
	container->key = key;
	if (other) {
		container->tree = sim_tree_ref(other->tree);
		drop(other);
	}
	read_fields(container, object);
	if (container->pid >= node->next_pid)
		node->next_pid = container->pid + 1;
	sim_table_add(container);
	free(spec.ports.items);
	free(create.labels.items);
	return true;
}

/* --- files and images --- */

static struct json_object *print_tree(const struct sim_tree *tree)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < tree->count; i++) {
		const struct sim_file *file = &tree->files[i];
		struct json_object *object = json_object_new_object();

		add_text(object, "path", file->path);
		add_text(object, "target", file->target);
		add_int(object, "mode", file->mode);
		add_int(object, "uid", file->uid);
		add_int(object, "gid", file->gid);
		add_int(object, "modified_s", file->modified_s);
		if (file->length)
			json_object_object_add(
				object, "data",
				json_object_new_string_len(file->data, (int)file->length));
		json_object_array_add(list, object);
	}
	return list;
}

/* What there is no room for any more is left out. */
static struct sim_tree *read_tree(struct sim_node *node, struct json_object *list)
{
	struct sim_tree *tree = sim_tree_new(node);
	struct gantry_error err;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *object = json_object_array_get_idx(list, i);
		struct json_object *data = get(object, "data");
		const struct sim_file file = {
			.path = get_text(object, "path"),
			.target = get_text(object, "target"),
			.data = data ? json_object_get_string(data) : NULL,
			.length = data ? (size_t)json_object_get_string_len(data) : 0,
			.mode = (uint32_t)get_int(object, "mode", 0),
			.uid = (uint32_t)get_int(object, "uid", 0),
			.gid = (uint32_t)get_int(object, "gid", 0),
			.modified_s = get_int(object, "modified_s", 0),
		};

		if (file.path && sim_tree_put(tree, &file, &err) < 0)
			node->host->log(node->host->core, GANTRY_LOG_WARN,
					"node %s: state: %s is left out: %s", node->name, file.path,
					err.text);
	}
	return tree;
}

static void read_files(struct sim_node *node, const char *id, const char *image_id,
		       struct json_object *list)
{
	struct sim_container *container = sim_table_find(node, id);
	const struct sim_image *image = image_id ? sim_image_find(node, image_id) : NULL;

	if (!container)
		return;
	sim_tree_unref(container->tree);
	container->tree = image ? sim_tree_ref(image->tree) : list ? read_tree(node, list) : NULL;
}

static struct json_object *print_image(const struct sim_image *image)
{
	struct json_object *object = json_object_new_object();
	char id[SIM_ID_SIZE];

	sim_id_text(image->key, id);
	add_text(object, "name", image->name);
	add_text(object, "id", id);
	add_text(object, "mark", image->mark);
	add_int(object, "created_ms", image->created_ms);
	add_flag(object, "removed", image->removed);
	if (image->tree)
		json_object_object_add(object, "tree", print_tree(image->tree));
	return object;
}

static void read_image(struct sim_node *node, struct json_object *object)
{
	struct json_object *list = get(object, "tree");
	const char *id = get_text(object, "id");
	struct sim_image image = {
		.name = (char *)get_text(object, "name"),
		.mark = (char *)get_text(object, "mark"),
		.created_ms = get_int(object, "created_ms", 0),
		.removed = json_object_get_boolean(get(object, "removed")),
	};

	if (!image.name || !id || !sim_id_read(id, &image.key))
		return;
	if (json_object_is_type(list, json_type_array))
		image.tree = read_tree(node, list);
	sim_image_keep(node, &image);
	sim_tree_unref(image.tree);
}

/* --- an event --- */

static struct json_object *print_event(uint64_t sequence, const struct sim_event *event)
{
	struct json_object *object = json_object_new_object();
	char id[SIM_ID_SIZE];

	add_int(object, "sequence", (int64_t)sequence);
	add_int(object, "time_ns", event->time_ns);
	add_int(object, "kind", event->kind);
	if (event->key) {
		sim_id_text(event->key, id);
		add_text(object, "id", id);
	}
	add_text(object, "instance", event->instance);
	add_text(object, "text", event->text);
	add_int(object, "exit_code", event->exit_code);
	add_int(object, "signal", event->signal);
	return object;
}

static void read_event(struct sim_node *node, struct json_object *object)
{
	const char *id = get_text(object, "id"), *instance = get_text(object, "instance");
	struct sim_event event = {
		.time_ns = get_int(object, "time_ns", 0),
		.text = (char *)get_text(object, "text"),
		.exit_code = (int)get_int(object, "exit_code", 0),
		.kind = (uint8_t)get_int(object, "kind", 0),
		.signal = (uint8_t)get_int(object, "signal", 0),
	};

	if (id && !sim_id_read(id, &event.key))
		return;
	snprintf(event.instance, sizeof(event.instance), "%s", instance ? instance : "");
	sim_events_restore(node, (uint64_t)get_int(object, "sequence", 1), &event);
}

/* --- the file --- */

static void append(struct sim_node *node, const char *key, struct json_object *value);

static void read_line(struct sim_node *node, const char *text, int number)
{
	struct json_object *line = json_tokener_parse(text);
	struct sim_container *gone;
	const char *word;

	if (get(line, "put")) {
		if (!read_container(node, get(line, "put")))
			node->host->log(node->host->core, GANTRY_LOG_WARN,
					"node %s: %s:%d: no whole container", node->name,
					node->settings->state, number);
	} else if ((word = get_text(line, "gone"))) {
		gone = sim_table_find(node, word);
		if (gone)
			drop(gone);
	} else if (get(line, "image")) {
		read_image(node, get(line, "image"));
	} else if ((word = get_text(line, "files"))) {
		read_files(node, word, get_text(line, "of"), get(line, "tree"));
	} else if (get(line, "event")) {
		read_event(node, get(line, "event"));
	} else if ((word = get_text(line, "epoch"))) {
		node->epoch = strtoull(word, NULL, 16);
		node->sequence = (uint64_t)get_int(line, "sequence", 0);
	} else {
		node->host->log(node->host->core, GANTRY_LOG_WARN,
				"node %s: %s:%d is left out: it is not whole", node->name,
				node->settings->state, number);
	}
	json_object_put(line);
}

static void append_files(const struct sim_container *container)
{
	struct sim_node *node = container->node;
	const struct sim_image *image = node->images;
	struct json_object *line = json_object_new_object();
	char id[SIM_ID_SIZE], of[SIM_ID_SIZE + 7];

	sim_id_text(container->key, id);
	add_text(line, "files", id);
	while (image < node->images + node->image_count && image->tree != container->tree)
		image++;
	if (image < node->images + node->image_count) {
		memcpy(of, "sha256:", 7);
		sim_id_text(image->key, of + 7);
		add_text(line, "of", of);
	} else {
		json_object_object_add(line, "tree", print_tree(container->tree));
	}
	append(node, NULL, line);
}

static void write_one(struct sim_container *container, void *arg)
{
	append(arg, "put", print_container(container));
	if (container->tree)
		append_files(container);
}

static int write_all(struct sim_node *node, struct gantry_error *err)
{
	const char *path = node->settings->state;
	struct json_object *head = json_object_new_object();
	char fresh[4096], epoch[17];
	int old = node->state_fd;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	node->state_fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (node->state_fd < 0 || flock(node->state_fd, LOCK_EX | LOCK_NB) < 0) {
		int code = -errno;

		json_object_put(head);
		if (node->state_fd >= 0)
			close(node->state_fd);
		node->state_fd = old;
		return gantry_error_set(err, -EIO, "sim: state %s: %s", fresh, strerror(-code));
	}
	node->state_lines = 0;
	snprintf(epoch, sizeof(epoch), "%016llx", (unsigned long long)node->epoch);
	add_int(head, "sim", 1);
	add_text(head, "epoch", epoch);
	add_int(head, "sequence", (int64_t)(node->sequence - node->event_count));
	append(node, NULL, head);
	for (size_t i = 0; i < node->image_count; i++)
		append(node, "image", print_image(&node->images[i]));
	sim_table_walk(node, write_one, node);
	for (uint64_t at = node->sequence - node->event_count + 1; at <= node->sequence; at++)
		append(node, "event", print_event(at, sim_events_at(node, at)));
	if (rename(fresh, path) < 0)
		node->host->log(node->host->core, GANTRY_LOG_ERROR, "node %s: state %s: %s",
				node->name, path, strerror(errno));
	if (old >= 0)
		close(old);
	return 0;
}

/* One line; the value is taken over. key NULL: the value is the line. */
static void append(struct sim_node *node, const char *key, struct json_object *value)
{
	struct json_object *line = key ? json_object_new_object() : value;
	const char *text;
	size_t length;
	ssize_t written;
	char *whole;

	if (key)
		json_object_object_add(line, key, value);
	text = json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE);
	length = strlen(text);
	whole = sim_alloc(length + 2);
	memcpy(whole, text, length);
	whole[length++] = '\n';
	written = write(node->state_fd, whole, length);
	if (written != (ssize_t)length)
		node->host->log(node->host->core, GANTRY_LOG_ERROR,
				"node %s: state %s cannot be written: %s", node->name,
				node->settings->state, written < 0 ? strerror(errno) : "no room");
	free(whole);
	json_object_put(line);
	node->state_lines++;
}

static void add_line(struct sim_node *node, const char *key, struct json_object *value)
{
	size_t needed = node->count + node->event_count + node->image_count;
	struct gantry_error err;

	append(node, key, value);
	if (node->state_lines > (int64_t)(4 * needed + LINES_SPARE) && write_all(node, &err) < 0)
		node->host->log(node->host->core, GANTRY_LOG_ERROR, "node %s: %s", node->name,
				err.text);
}

static void resume(struct sim_container *container, void *arg)
{
	(void)arg;
	if (sim_lives(container))
		sim_process_resume(container);
}

/* The file may have been put in place of by another gantryd between our open and our lock. */
static bool is_at(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

int sim_state_open(struct sim_node *node, struct gantry_error *err)
{
	const char *path = node->settings->state;
	char *text = NULL;
	size_t size = 0;
	FILE *file;
	int code, fd, number = 0;

	if (!path)
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return gantry_error_set(err, -EIO, "sim: state %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_at(fd, path)) {
		close(fd);
		return gantry_error_set(err, -EHOSTUNREACH,
					"sim: state %s is in use by another gantryd", path);
	}
	file = fdopen(fd, "r");
	if (!file)
		abort();
	while (getline(&text, &size, file) > 0)
		read_line(node, text, ++number);
	free(text);
	code = write_all(node, err);
	fclose(file);
	if (code < 0)
		return code;
	sim_table_walk(node, resume, NULL);
	return 0;
}

void sim_state_close(struct sim_node *node)
{
	if (node->state_fd >= 0)
		close(node->state_fd);
	node->state_fd = -1;
}

void sim_state_put(const struct sim_container *container)
{
	if (container->node->state_fd >= 0)
		add_line(container->node, "put", print_container(container));
}

void sim_state_gone(const struct sim_container *container)
{
	char id[SIM_ID_SIZE];

	if (container->node->state_fd < 0)
		return;
	sim_id_text(container->key, id);
	add_line(container->node, "gone", json_object_new_string(id));
}

void sim_state_event(struct sim_node *node, const struct sim_event *event)
{
	if (node->state_fd >= 0)
		add_line(node, "event", print_event(node->sequence, event));
}

void sim_state_image(struct sim_node *node, const struct sim_image *image)
{
	if (node->state_fd >= 0)
		add_line(node, "image", print_image(image));
}

void sim_state_files(const struct sim_container *container)
{
	if (container->node->state_fd >= 0 && container->tree)
		append_files(container);
}
