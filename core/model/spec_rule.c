/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a value of one field may be: ranges, and forms of text.
 *
 * Paths that reach out of the container, capabilities and sysctls are put into one form or refused,
 * because policies match them as text (spec_unsafe): "/srv/../etc" or "//etc" must not pass where
 * "/etc" would not. What a symbolic link on the host points to is not known here.
 */
#include "model/spec_shape.h"
#include "model/instance.h"
#include "base/cidr.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>

#define MIB  (1LL << 20)
#define HOUR (3600 * 1000LL)

static bool plain_char(char c, const char *more)
{
	return isalnum((unsigned char)c) || (c && strchr(more, c));
}

/* Letters and digits, then also those of more; not empty, at most max bytes. */
static bool is_word(const char *text, const char *more, size_t max)
{
	size_t length = strlen(text);

	if (length == 0 || length > max || !isalnum((unsigned char)text[0]))
		return false;
	for (; *text; text++)
		if (!plain_char(*text, more))
			return false;
	return true;
}

static bool has_control_or_space(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return true;
	return false;
}

const char *spec_quote(const char *text, char *quoted, size_t size)
{
	if (strlen(text) < size)
		snprintf(quoted, size, "%s", text);
	else
		snprintf(quoted, size, "%.*s…", (int)size - 5, text);
	return quoted;
}

/* "X is no Y; write …" */
static int no_such(const char *text, const char *what, const char *write, const char *field,
		   struct gantry_error *err)
{
	char quoted[80];

	return gantry_error_field(err, -EINVAL, field, "\"%s\" is no %s; write %s",
				  spec_quote(text, quoted, sizeof(quoted)), what, write);
}

/* "X is no Y; did you mean Z?", or the list where nothing is near. */
static int not_of(const char *text, const char *what, const char *const *words, const char *field,
		  struct gantry_error *err)
{
	const char *near = str_nearest(text, words);
	struct str all = STR_INIT;
	char quoted[80];
	int code;

	spec_quote(text, quoted, sizeof(quoted));
	if (near)
		return gantry_error_field(err, -EINVAL, field,
					  "\"%s\" is no %s; did you mean \"%s\"?", quoted, what,
					  near);
	for (; *words; words++)
		str_addf(&all, "%s%s", all.length ? ", " : "", *words);
	code = gantry_error_field(err, -EINVAL, field, "\"%s\" is no %s; there are: %s", quoted,
				  what, str_text(&all));
	str_fini(&all);
	return code;
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (str_equal(text, *words))
			return true;
	return false;
}

static int rule_name(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "-", 63))
		return 0;
	return no_such(text, "name",
		       "letters, digits and \"-\", starting with a letter or digit, at most 63",
		       field, err);
}

static int rule_label(char *text, const char *field, struct gantry_error *err)
{
	if (str_starts_with(text, "gantry."))
		return gantry_error_field(
			err, -EINVAL, field,
			"labels that start with \"gantry.\" are Gantry's own; choose "
			"another name");
	if (!*text || has_control_or_space(text) || strchr(text, '='))
		return no_such(text, "name of a label", "text without spaces and \"=\"", field,
			       err);
	return 0;
}

static int rule_image(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "._-/:@", 1024))
		return 0;
	return no_such(text, "image", "[REGISTRY/]NAME[:TAG][@DIGEST], as \"debian:12\"", field,
		       err);
}

static int rule_user(char *text, const char *field, struct gantry_error *err)
{
	if (!has_control_or_space(text))
		return 0;
	return no_such(text, "user", "USER or USER:GROUP, by name or number", field, err);
}

static int rule_working_dir(char *text, const char *field, struct gantry_error *err)
{
	return text[0] == '/' ? 0 : no_such(text, "absolute path", "it from \"/\" on", field, err);
}

static int rule_hostname(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "-.", 63))
		return 0;
	return no_such(text, "host name", "letters, digits, \"-\" and \".\", at most 63", field,
		       err);
}

static int rule_network(char *text, const char *field, struct gantry_error *err)
{
	const char *name = str_starts_with(text, "container:") ? text + 10 : text;

	if (is_word(name, "_.-", 255))
		return 0;
	return no_such(text, "network", "bridge, host, none, container:ID or a network's name",
		       field, err);
}

int spec_rule_port_id(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "-", 36))
		return 0;
	return no_such(text, "id of a port",
		       "letters, digits and \"-\", starting with a letter or digit, at most 36",
		       field, err);
}

int spec_rule_port_type(char *text, const char *field, struct gantry_error *err)
{
	static const char *const types[] = {"bridge", "ovs", NULL};

	return is_one_of(text, types) ? 0 : not_of(text, "type of a port", types, field, err);
}

int spec_rule_bridge(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "-_.", 15))
		return 0;
	return no_such(text, "bridge", "the name of one on the node, at most 15 characters", field,
		       err);
}

int spec_rule_mac(char *text, const char *field, struct gantry_error *err)
{
	bool good = strlen(text) == 17;

	for (int i = 0; good && i < 17; i++)
		good = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]);
	for (char *p = text; good && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (good && !strchr("13579bdf", text[1]) && strcmp(text, "00:00:00:00:00:00") != 0)
		return 0;
	return no_such(text, "MAC address of an interface", "six bytes, as \"fa:16:3e:12:34:56\"",
		       field, err);
}

/* An address with the bits of its network; *ret_family is AF_INET or AF_INET6. */
static bool is_prefixed(const char *text, int *ret_family)
{
	unsigned char bytes[16];
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	char *end;
	long bits;

	if (!slash || !isdigit((unsigned char)slash[1]) || slash - text >= INET6_ADDRSTRLEN)
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	*ret_family = strchr(address, ':') ? AF_INET6 : AF_INET;
	bits = strtol(slash + 1, &end, 10);
	return !*end && bits <= (*ret_family == AF_INET ? 32 : 128) &&
	       inet_pton(*ret_family, address, bytes) == 1;
}

int spec_rule_prefix(char *text, const char *field, struct gantry_error *err)
{
	int family;

	if (is_prefixed(text, &family))
		return 0;
	return no_such(text, "address with the bits of its network", "it as \"10.0.0.5/24\"", field,
		       err);
}

int spec_rule_route(char *text, const char *field, struct gantry_error *err)
{
	static const char form[] =
		"\"default via IP\", \"NETWORK/BITS via IP\" or \"NETWORK/BITS\"";
	const char *via = strstr(text, " via ");
	char destination[64];
	unsigned char bytes[16];
	struct cidr range;
	int family, hop = via && strchr(via, ':') ? AF_INET6 : AF_INET;

	snprintf(destination, sizeof(destination), "%.*s", via ? (int)(via - text) : 60, text);
	if (via && inet_pton(hop, via + 5, bytes) != 1)
		return no_such(text, "route", form, field, err);
	if (str_equal(destination, "default"))
		return via ? 0 : no_such(text, "route", form, field, err);
	if (!is_prefixed(destination, &family) || (via && family != hop) ||
	    cidr_parse(destination, &range, NULL) < 0)
		return no_such(text, "route", form, field, err);
	return 0;
}

static int rule_domain(char *text, const char *field, struct gantry_error *err)
{
	if (str_equal(text, ".") || (is_word(text, "-._", 255)))
		return 0;
	return no_such(text, "search domain", "a name as \"example.org\"", field, err);
}

static int rule_capability(char *text, const char *field, struct gantry_error *err)
{
	static const char *const names[] = {"ALL",
					    "AUDIT_CONTROL",
					    "AUDIT_READ",
					    "AUDIT_WRITE",
					    "BLOCK_SUSPEND",
					    "BPF",
					    "CHECKPOINT_RESTORE",
					    "CHOWN",
					    "DAC_OVERRIDE",
					    "DAC_READ_SEARCH",
					    "FOWNER",
					    "FSETID",
					    "IPC_LOCK",
					    "IPC_OWNER",
					    "KILL",
					    "LEASE",
					    "LINUX_IMMUTABLE",
					    "MAC_ADMIN",
					    "MAC_OVERRIDE",
					    "MKNOD",
					    "NET_ADMIN",
					    "NET_BIND_SERVICE",
					    "NET_BROADCAST",
					    "NET_RAW",
					    "PERFMON",
					    "SETFCAP",
					    "SETGID",
					    "SETPCAP",
					    "SETUID",
					    "SYSLOG",
					    "SYS_ADMIN",
					    "SYS_BOOT",
					    "SYS_CHROOT",
					    "SYS_MODULE",
					    "SYS_NICE",
					    "SYS_PACCT",
					    "SYS_PTRACE",
					    "SYS_RAWIO",
					    "SYS_RESOURCE",
					    "SYS_TIME",
					    "SYS_TTY_CONFIG",
					    "WAKE_ALARM",
					    NULL};

	for (char *p = text; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	if (str_starts_with(text, "CAP_"))
		memmove(text, text + 4, strlen(text + 4) + 1);
	return is_one_of(text, names) ? 0 : not_of(text, "capability", names, field, err);
}

static int rule_sysctl(char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "._-", 255) && strchr(text, '.'))
		return 0;
	return no_such(text, "name of a sysctl", "it with dots, as \"net.core.somaxconn\"", field,
		       err);
}

static int rule_signal(char *text, const char *field, struct gantry_error *err)
{
	if (instance_signal_parse(text) > 0)
		return 0;
	return no_such(text, "signal", "a name or number, as \"SIGTERM\", \"TERM\" or \"15\"",
		       field, err);
}

static int rule_cpuset(char *text, const char *field, struct gantry_error *err)
{
	for (const char *p = text;;) {
		unsigned first, last;
		int used = 0;

		if (!isdigit((unsigned char)*p) || sscanf(p, "%4u%n", &first, &used) != 1)
			break;
		p += used;
		last = first;
		if (*p == '-') {
			if (!isdigit((unsigned char)p[1]) ||
			    sscanf(p + 1, "%4u%n", &last, &used) != 1)
				break;
			p += 1 + used;
		}
		if (last < first)
			break;
		if (!*p)
			return 0;
		if (*p++ != ',')
			break;
	}
	return no_such(text, "set of CPUs", "numbers and ranges, as \"0-2,4\"", field, err);
}

int spec_rule_path(char *text, const char *field, struct gantry_error *err)
{
	char *to = text;

	if (text[0] != '/')
		return no_such(text, "absolute path", "it from \"/\" on", field, err);
	for (const char *from = text; *from;) {
		size_t length;

		while (*from == '/')
			from++;
		length = strcspn(from, "/");
		if (length == 2 && from[0] == '.' && from[1] == '.')
			return gantry_error_field(
				err, -EINVAL, field,
				"must not have \"..\" in it; write the path it leads to");
		if (length > 0 && !(length == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, length);
			to += length;
		}
		from += length;
	}
	if (to == text)
		*to++ = '/';
	*to = '\0';
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return gantry_error_field(err, -EINVAL, field,
						  "must not have control characters in it");
	return 0;
}

int spec_rule_volume(const char *text, const char *field, struct gantry_error *err)
{
	if (is_word(text, "_.-", 255))
		return 0;
	return no_such(
		text, "volume",
		"a name of letters, digits, \"_\", \".\" and \"-\", or an absolute path for a bind",
		field, err);
}

int spec_rule_address(char *text, const char *field, struct gantry_error *err)
{
	unsigned char address[16];
	size_t length = strlen(text);

	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		memmove(text, text + 1, length - 2);
		text[length - 2] = '\0';
	}
	if (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
		return 0;
	return no_such(text, "IP address", "one as \"192.0.2.1\" or \"2001:db8::1\"", field, err);
}

int spec_rule_variable(char *text, const char *field, struct gantry_error *err)
{
	if (*text && !strchr(text, '='))
		return 0;
	return no_such(text, "name of a variable", "text without \"=\"", field, err);
}

int spec_rule_process_limit(char *text, const char *field, struct gantry_error *err)
{
	static const char *const names[] = {
		"core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
		"nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",    NULL};

	return is_one_of(text, names) ? 0 : not_of(text, "process limit", names, field, err);
}

int spec_rule_permissions(char *text, const char *field, struct gantry_error *err)
{
	for (const char *p = text; *p; p++)
		if (!strchr("rwm", *p) || strchr(p + 1, *p))
			return no_such(text, "set of permissions", "some of r, w and m, each once",
				       field, err);
	return 0;
}

int spec_rule_protocol(char *text, const char *field, struct gantry_error *err)
{
	static const char *const names[] = {"tcp", "udp", "sctp", NULL};

	return is_one_of(text, names) ? 0 : not_of(text, "protocol", names, field, err);
}

int spec_rule_log_driver(char *text, const char *field, struct gantry_error *err)
{
	static const char *const names[] = {"local", "json-file", NULL};

	return is_one_of(text, names) ? 0 : not_of(text, "log driver", names, field, err);
}

/* One row for each field that is not just any value of its kind. */
#define RULE(member, ...)                                                                          \
	{                                                                                          \
		offsetof(struct gantry_spec, member),                                              \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
static const struct {
	size_t offset;
	struct spec_rule rule;
} rules[] = {
	RULE(name, .check = rule_name),
	RULE(project, .check = rule_name),
	RULE(labels, .check = rule_label),
	RULE(image, .check = rule_image),
	RULE(command, .text_max = SPEC_LONG_TEXT_MAX, .may_be_empty = true),
	RULE(entrypoint, .text_max = SPEC_LONG_TEXT_MAX, .may_be_empty = true),
	RULE(user, .check = rule_user),
	RULE(working_dir, .check = rule_working_dir),
	RULE(hostname, .check = rule_hostname),
	RULE(network, .check = rule_network),
	RULE(dns, .check = spec_rule_address),
	RULE(dns_search, .check = rule_domain),
	RULE(cap_add, .check = rule_capability),
	RULE(cap_drop, .check = rule_capability),
	RULE(sysctls, .check = rule_sysctl),
	RULE(stop_signal, .check = rule_signal),
	RULE(stop_grace_ms, .maximum = HOUR),
	RULE(memory_bytes, .minimum = 6 * MIB, .maximum = 1LL << 50),
	RULE(memory_swap_bytes, .minimum = 6 * MIB, .maximum = 1LL << 50),
	RULE(nano_cpus, .minimum = 10000000, .maximum = 4096000000000LL),
	RULE(cpu_shares, .minimum = 2, .maximum = 262144),
	RULE(cpuset, .check = rule_cpuset),
	RULE(pids, .minimum = 1, .maximum = 4194304),
};

const struct spec_rule *spec_rule_of(size_t offset)
{
	static const struct spec_rule any;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].offset == offset)
			return &rules[i].rule;
	return &any;
}
