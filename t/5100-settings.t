#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gantry.lua: --init, --check-config, and that each mistake names file, line, key and what would be right."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
config = os.path.join(folder, "gantry.lua")
policies = os.path.join(folder, "policies")
os.mkdir(policies)

GOOD = f"""owner = "me"
listen = {{
  {{ unix = "{folder}/g.sock", mode = "0660" }},
}}
nodes = {{
  ["local"] = {{
    plugin = "docker",
    endpoint = "unix:///run/nowhere.sock",
    labels = {{ disk = "ssd" }},
  }},
}}
plugins = {{ docker = {{}} }}
policies = "{policies}"
store = "{folder}/g.db"
trusted_actors = {{ "uid:0" }}
"""


def gantryd(*words, text=None):
    if text is not None:
        with open(config, "w") as file:
            file.write(text)
    return subprocess.run([os.path.join(BUILD, "gantryd"), "--config", config, *words], capture_output=True,
                          text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)


result = gantryd("--check-config", text=GOOD)
equal(result.returncode, 0, "a good file passes")
has(result.stdout, "ok", "and is said to be ok")
if result.returncode:
    diag(result.stderr)

# what is replaced, by what, the line it stands in, the key, a part of the message
MISTAKES = [
    ('owner = "me"', 'ownr = "me"', 1, "ownr", 'did you mean "owner"'),
    ('owner = "me"', 'owner = 7', 1, "owner", "must be a string"),
    ('owner = "me"', 'owner = "a b"', 1, "owner", "letters, digits"),
    ('owner = "me"\n', '', None, "owner", "is required"),
    ('mode = "0660"', 'mod = "0660"', 3, "listen[1].mod", 'did you mean "mode"'),
    (f'unix = "{folder}/g.sock", ', '', 3, "listen[1]", "one of unix, tcp and console"),
    (f'unix = "{folder}/g.sock", mode = "0660"', 'tcp = "127.0.0.1:0"', 3, "listen[1]", "mutual TLS"),
    ('endpoint =', 'endpont =', 8, "nodes.local.endpont", 'did you mean "endpoint"'),
    ('"unix:///run/nowhere.sock"', '"gopher://x"', 8, "nodes.local.endpoint", "gopher"),
    ('plugin = "docker"', 'plugin = "dokcer"', 7, "nodes.local.plugin", "docker"),
    ('labels = { disk = "ssd" }', 'labels = "ssd"', 9, "nodes.local.labels", "must be a table"),
    ('["local"]', '["a b"]', 6, "nodes.a b", "letters, digits"),
    ('docker = {}', 'docker = { nothing = 1 }', 12, "plugins.docker.nothing", "no option"),
    (f'"{policies}"', '"/nowhere/at/all"', 13, "", "/nowhere/at/all"),
    ('{ "uid:0" }', '{ 0 }', 15, "trusted_actors", "entry 1 must be a string"),
    ('trusted_actors', 'policy_time = "1 fortnight"\ntrusted_actors', 15, "policy_time", "duration"),
    ('trusted_actors', 'policy_instructions = 3\ntrusted_actors', 15, "policy_instructions", "from 1000"),
    ('trusted_actors', 'policy_http_alow = {}\ntrusted_actors', 15, "policy_http_alow", 'did you mean "policy_http_allow"'),
    ('trusted_actors', 'policy_http_allow = { "http://a/", "http://u@b/" }\ntrusted_actors', 15, "policy_http_allow[2]", "no user name"),
    ('trusted_actors', 'policy_http_allow = { "http://a/?b" }\ntrusted_actors', 15, "policy_http_allow[1]", "no query"),
    ('trusted_actors', 'policy_http_allow = { "a.example" }\ntrusted_actors', 15, "policy_http_allow[1]", "begin with http"),
    ('trusted_actors', 'serial_address = "localhost"\ntrusted_actors', 15, "serial_address", "must be an IPv4 or IPv6 address"),
    ('trusted_actors', 'serial_address = "127.0.0.0/8"\ntrusted_actors', 15, "serial_address", "must be an IPv4 or IPv6 address"),
    ('trusted_actors', 'serial_address = "0.0.0.0"; serial_allow = { "10.0.0.0/8" }\ntrusted_actors', 15, "serial_address", "every address of this host"),
    ('trusted_actors', 'serial_address = "::"; serial_allow = { "10.0.0.0/8" }\ntrusted_actors', 15, "serial_address", "every address of this host"),
    ('trusted_actors', 'serial_address = "192.0.2.1"\ntrusted_actors', 15, "serial_address", "say in serial_allow who may"),
    ('trusted_actors', 'serial_allow = { "::1", "10.0.0.1/8" }\ntrusted_actors', 15, "serial_allow[2]", "first 8 must be 0"),
    ('trusted_actors', 'keep_history = "90s"\ntrusted_actors', 15, "keep_history", "must be 1h or more, not 90s"),
    ('trusted_actors', 'keep_history = "1.5s"\ntrusted_actors', 15, "keep_history", "must be 1h or more, not 1500ms"),
    ('trusted_actors', 'recordings_size = "1KiB"\ntrusted_actors', 15, "recordings_size", "must be 64KiB or more, not 1KiB"),
    ('trusted_actors', 'serial_ports = "20000"\ntrusted_actors', 15, "serial_ports", "must be a range of ports"),
    ('trusted_actors', 'serial_ports = "300-200"\ntrusted_actors', 15, "serial_ports", "must be a range of ports"),
    ('trusted_actors', 'policy_event_time = "2h"\ntrusted_actors', 15, "policy_event_time", "from 100"),
    ('trusted_actors', 'logs = { snks = {} }\ntrusted_actors', 15, "logs.snks", 'did you mean "sinks"'),
    ('trusted_actors', 'logs = { sinks = { { kind = "sislog" } } }\ntrusted_actors', 15, "logs.sinks[1].kind", "it has: file, syslog, journald, fluent"),
    ('trusted_actors', 'logs = { sinks = { { to = "/x" } } }\ntrusted_actors', 15, "logs.sinks[1]", "kind"),
    ('trusted_actors', 'logs = { sinks = { { kind = "syslog", facilty = "user" } } }\ntrusted_actors', 15, "logs.sinks[1].facilty", 'did you mean "facility"'),
    ('trusted_actors', 'logs = { sinks = { { kind = "syslog", facility = "usr" } } }\ntrusted_actors', 15, "logs.sinks[1].facility", "local0"),
    ('trusted_actors', 'logs = { sinks = { { kind = "syslog", to = "tcp://host" } } }\ntrusted_actors', 15, "logs.sinks[1].to", "HOST:PORT"),
    ('trusted_actors', 'logs = { sinks = { { kind = "journald", to = "tcp://host:1" } } }\ntrusted_actors', 15, "logs.sinks[1].to", "unix:///PATH"),
    ('trusted_actors', 'logs = { sinks = { { kind = "file" } } }\ntrusted_actors', 15, "logs.sinks[1].to", "is required"),
    ('trusted_actors', 'logs = { sinks = { { kind = "fluent" }, { kind = "fluent" } } }\ntrusted_actors', 15, "logs.sinks[2].name", "give each a name"),
    ('trusted_actors', 'log_level = "loud"\ntrusted_actors', 15, "log_level", "debug, info"),
    ('trusted_actors', 'while true do end\ntrusted_actors', 15, "", "budget"),
    ('trusted_actors', 'os.exit(1)\ntrusted_actors', 15, "", "os"),
    ('trusted_actors', 'x = = 1\ntrusted_actors', 15, "", "near"),
]
for old, new, line, key, part in MISTAKES:
    assert old in GOOD, old
    result = gantryd("--check-config", text=GOOD.replace(old, new, 1))
    label = new.splitlines()[0] if new else f"without {old.strip()}"
    good = result.returncode == 1 and part in result.stderr and key in result.stderr
    if line and key:
        good = good and f"{config}:{line}:" in result.stderr
    if not ok(good, f"{label}: names {key or 'the reason'}{f' and line {line}' if line and key else ''}"):
        diag(result.stderr or f"no error, status {result.returncode}")
    ok(len(result.stderr.strip().splitlines()) == 1, f"{label}: in one line")

os.unlink(config)
result = gantryd("--check-config")
ok(result.returncode == 1 and config in result.stderr, "a file that is missing is named")
result = gantryd("--init")
equal(result.returncode, 0, "--init writes a file")
with open(config) as file:
    first = file.read()
ok(re.search(r'^owner = "[A-Za-z0-9-]+-[0-9a-f]{8}"$', first, re.M), "with an owner of its own")
result = gantryd("--init")
ok(result.returncode == 1 and "already" in result.stderr, "and never over one that is there")
with open(config) as file:
    equal(file.read(), first, "which stays as it is")
result = gantryd("--nonsense")
equal(result.returncode, 2, "an unknown option is a usage error")
done()
