/* SPDX-License-Identifier: Apache-2.0 */
/* gantry.lua: values, errors with their line, and the line of each key. */
#include "base/str.h"
#include "policy.h"
#include "script/lines.h"

static struct json_object *values;
static struct script_lines *lines;

static int read_text(const char *text, struct gantry_error *err)
{
	char path[200];
	int code;

	policy_write("gantry.lua", text);
	snprintf(path, sizeof(path), "%s/gantry.lua", policy_folder);
	code = script_settings_read(path, &values, &lines, err);
	policy_remove("gantry.lua");
	return code;
}

static void drop(void)
{
	json_object_put(values);
	script_lines_free(lines);
}

static void expect_error(const char *name, const char *text, const char *part)
{
	struct gantry_error err;
	char *want = xasprintf("%s/gantry.lua%s", policy_folder, part);

	if (read_text(text, &err) == 0) {
		ok(false, "%s: is refused", name);
		drop();
	} else {
		like(err.text, want, "%s: says where and why", name);
	}
	free(want);
}

static void test_values(void)
{
	struct gantry_error err;

	is_int(read_text("-- a comment\n"
			 "owner = 'me'\n"
			 "local base = '/var/lib/gantry'\n"
			 "store = base .. '/gantry.db'\n"
			 "listen = {\n"
			 "  { unix = '/run/gantry.sock', mode = '0660' },\n"
			 "  {\n"
			 "    tcp = '127.0.0.1:7443',\n"
			 "    ca = [[/etc/ca.pem]],\n"
			 "  },\n"
			 "}\n"
			 "nodes = {\n"
			 "  ['local'] = { plugin = 'docker',\n"
			 "    endpoint = 'unix:///var/run/docker.sock', -- here\n"
			 "    labels = { zone = \"a\", ['a.b'] = 'c' } },\n"
			 "  other = { plugin = 'sim', overcommit = 1.5, drained = true, }; }\n"
			 "--[==[ long\n ]] comment ]==]\n"
			 "nodes.other.cpus = 8\n"
			 "plugins = {}\n"
			 "for i = 1, 2 do trusted_actors = { 'uid:0' } end\n"
			 "if true then plugin_path = '/x' end\n",
			 &err),
	       0, "a settings file");
	is_str(json_object_to_json_string_ext(values, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE),
	       "{\"listen\":[{\"mode\":\"0660\",\"unix\":\"/run/gantry.sock\"},{\"ca\":\"/etc/ca.pem\",\"tcp\":"
	       "\"127.0.0.1:7443\"}],\"nodes\":{\"local\":{\"endpoint\":\"unix:///var/run/docker.sock\","
	       "\"labels\":{\"a.b\":\"c\",\"zone\":\"a\"},\"plugin\":\"docker\"},\"other\":{\"cpus\":8,"
	       "\"drained\":true,\"overcommit\":1.5,\"plugin\":\"sim\"}},\"owner\":\"me\",\"plugin_path\":\"/x\","
	       "\"plugins\":[],\"store\":\"/var/lib/gantry/gantry.db\",\"trusted_actors\":[\"uid:0\"]}",
	       "its values");
	is_int(script_lines_find(lines, "owner"), 2, "owner");
	is_int(script_lines_find(lines, "store"), 4, "store");
	is_int(script_lines_find(lines, "listen"), 5, "listen");
	is_int(script_lines_find(lines, "listen[1].unix"), 6, "listen[1].unix");
	is_int(script_lines_find(lines, "listen[2]"), 7, "listen[2]");
	is_int(script_lines_find(lines, "listen[2].ca"), 9, "listen[2].ca");
	is_int(script_lines_find(lines, "listen[2].key"), 7, "a key that is not there: its table");
	is_int(script_lines_find(lines, "nodes.local.plugin"), 13, "nodes.local.plugin");
	is_int(script_lines_find(lines, "nodes.local.endpoint"), 14, "nodes.local.endpoint");
	is_int(script_lines_find(lines, "nodes.local.labels.a.b"), 15, "a key with a dot");
	is_int(script_lines_find(lines, "nodes.other.drained"), 16, "nodes.other.drained");
	is_int(script_lines_find(lines, "nodes.other.cpus"), 19, "one that was set later");
	is_int(script_lines_find(lines, "plugins.docker.x"), 20, "the nearest outer path");
	is_int(script_lines_find(lines, "base"), 0, "a local is no setting");
	is_int(script_lines_find(lines, "nothing"), 0, "what is not known");
	drop();

	is_int(read_text("", &err), 0, "an empty file");
	is_str(json_object_to_json_string(values), "{ }", "has no values");
	drop();
}

static void test_errors(void)
{
	struct gantry_error err;

	expect_error("syntax", "owner = 'x'\nnodes = {\n", ":3: ");
	expect_error("run time", "\nowner = nil .. 'x'", ":2: attempt to concatenate");
	expect_error("a misspelt value", "listen = { { unix = 'x', mode = tru } }",
		     ":1: there is no global \"tru\"");
	expect_error("a loop", "\n\nwhile true do end", ":3: over its budget");
	expect_error("memory", "local t = {} while true do t[#t + 1] = {} end",
		     ":1: over its budget");
	expect_error("a function",
		     "owner = 'x'\nnodes = {\n  a = {\n    endpoint = function() end } }",
		     ":4: nodes.a.endpoint: must be plain data, not a function");
	expect_error("a cycle", "nodes = {}\nnodes.a = nodes", ":2: nodes.a.a");
	expect_error("mixed", "listen = { 'x', y = 1 }", ":1: listen: mixes a list");
	expect_error("no number", "x = 1\noverload = 0/0", ":2: overload: must be a finite number");
	expect_error("os", "owner = os.getenv('USER')", ":1: there is no \"os\" in the sandbox");
	expect_error("a metatable", "nodes = setmetatable({}, {})",
		     ":1: nodes: must be a plain table");
	is_int(script_settings_read("/nonexistent/gantry.lua", &values, &lines, &err), -ENOENT,
	       "no such file");
	like(err.text, "/nonexistent/gantry.lua", "is named");
	is_int(script_settings_read(policy_folder, &values, &lines, &err), -EINVAL, "a folder");
}

/* The scanner meets whatever an editor holds: it ends, and reads within bounds (SAN=1). */
static void test_torn(void)
{
	static const char text[] =
		"nodes = { ['a'] = { x = [==[ long ]==], y = 'q\\'', [1] = 2, f(1)[2], function() if x then "
		"end end }, -- c\n --[[ d ]] b = {{{{}}}} } a.b['c'], d = 1, 2 return { x = 1 }";
	size_t count, found = 0;

	for (size_t length = 0; length < sizeof(text); length++) {
		char *part = malloc(length + 1);
		struct script_lines *torn;

		memcpy(part, text, length); /* no NUL behind it */
		part = realloc(part, length ? length : 1);
		torn = lines_scan(part, length);
		found += script_lines_find(torn, "nodes.a.x") == 1;
		script_lines_free(torn);
		free(lines_of_returns(part, length, &count));
		free(part);
	}
	ok(found > sizeof(text) - 40, "a text that is cut anywhere");
	is_int(count, 1, "one return is in it");
}

/* A fleet is made by a loop; the file stays small. */
static void test_many_nodes(void)
{
	static const char fleet[] =
		"owner = 'x'\nnodes = {}\nfor i = 1, %d do\n"
		"  nodes['n' .. i] = { endpoint = 'tcp://n' .. i .. ':2376', plugin = 'docker', cpus = 64,\n"
		"    memory = '256GiB', labels = { zone = 'z' .. i %% 3, rack = 'r' .. i %% 40 } }\nend\n";
	struct gantry_error err;
	char source[600], path[200];
	double began_ms;
	int code;

	snprintf(source, sizeof(source), fleet, 10000);
	policy_write("many.lua", source);
	snprintf(path, sizeof(path), "%s/many.lua", policy_folder);
	began_ms = cpu_ms();
	code = script_settings_read(path, &values, &lines, &err);
	is_int(code, 0, "10,000 nodes: %s", code < 0 ? err.text : "fine");
	ok(cpu_ms() - began_ms < 3000 * slowness(), "in time");
	is_int(json_object_object_length(json_get(values, "nodes")), 10000, "all of them");
	json_object_put(values);
	script_lines_free(lines);

	snprintf(source, sizeof(source), fleet, 30000);
	policy_write("many.lua", source);
	code = script_settings_read(path, &values, &lines, &err);
	is_int(code, -EINVAL, "30,000 are refused");
	like(err.text, "has over 200000 values", "with the reason");
	policy_remove("many.lua");
}

int main(void)
{
	policy_start();
	test_values();
	test_errors();
	test_torn();
	test_many_nodes();
	policy_stop();
	done_testing();
	return tap_end();
}
