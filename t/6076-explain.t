#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who set a variable or a limit, over what; a placement told whole, exactly while it can be, and honestly when it cannot."""
import atexit
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

POLICIES = {
    "10-base.lua": """return {
  environment = function(req, env)
    return { TZ = "UTC", KEY = { value = "hunter2", secret = true }, DROPPED = false }
  end,
  resources = function(req, res) return { memory = "64MiB", log = { size = "1MiB" } } end,
}
""",
    "20-late.lua": """return {
  environment = function(req, env) return { TZ = "CET" } end,
  resources = function(req, res) return { memory = "128MiB" } end,
}
""",
    "30-shadow.lua": 'return { mode = "shadow", environment = function(req, env) return { TZ = "X" } end }\n',
    "40-place.lua": """return {
  filter = function(req, node)
    if req.labels.only and node.name ~= req.labels.only then
      return false, "only " .. req.labels.only .. " is wanted, this is " .. node.name
    end
    if req.labels.app and gantry.count(node, "app", req.labels.app, req.project) > 0 then
      return false, "it has one of " .. req.labels.app
    end
    return true
  end,
  score = function(req, node) return node.name == "b" and 10 or 5 end,
}
""",
}
world = World(POLICIES, engine=False, nodes="NODES")
engines = {name: Engine(world.folder, name) for name in "abc"}
for engine in engines.values():
    atexit.register(engine.stop)
with open(world.config) as file:
    text = file.read()
nodes = ", ".join(f'{name} = {{ plugin = "docker", endpoint = "unix://{engine.socket}" }}' for name, engine in engines.items())
nodes += ', d = { plugin = "docker", endpoint = "unix:///nowhere" }'
with open(world.config, "w") as file:
    file.write(text.replace("{ NODES }", f"{{ {nodes} }}"))
world.start(up=False)
until(lambda: [n["state"] for n in world.get("/v1/nodes").json["nodes"]].count("up") == 3, "three nodes to be up")
gantry = Command("unix://" + world.socket)


def explain(*words, status=0):
    result = gantry("policy", "explain", *words)
    if not equal(result.status, status, f"policy explain {' '.join(words)}: status {status}"):
        diag(result)
    return result.out if status == 0 else result.err


def spawn(name, **spec):
    answer = world.spawn(name=name, **spec)
    if answer.status != 201:
        diag(answer)
    return answer


def decision(name):
    return next(d for d in world.get(f"/v1/instances/{name}/decisions").json["decisions"] if d["verb"] == "spawn")


# where a value comes from
spawn("web", environment=["TZ=America/Lima", "OWN=1", "DROPPED=x", {"name": "KEY", "value": "old", "secret": True}], labels={"app": "web"})
id = decision("web")["id"]
equal(explain("web", "--env", "TZ"), f"""TZ is "CET"
  the request gave "America/Lima"
  policy 10-base set "UTC" over "America/Lima" (10-base.lua:3)
  policy 20-late set "CET" over "UTC" (20-late.lua:2) [conflict: changes what another policy set]
  policy 30-shadow set "X" over "CET" (30-shadow.lua:1) [shadow: without effect]
  decision {id}
""", "a variable that several set")
equal(explain(str(id), "--env", "TZ").splitlines()[0], '  the request gave "America/Lima"', "the same by the decision")
equal(explain("web", "--env", "OWN"), f'OWN is "1"\n  the request gave it: no policy set it\n  decision {id}\n', "one that the request alone set")
has(explain("web", "--env", "DROPPED"), 'DROPPED is not set\n  the request gave "x"\n  policy 10-base took it away, it was "x" (10-base.lua:3)', "one that was dropped")
out = explain("web", "--env", "KEY")
has(out, "the request gave a secret (hmac:", "a secret is a hash")
has(out, "policy 10-base set a secret (hmac:", "before and after")
ok("hunter2" not in out and "old" not in out, "and no value of it is told")
has(explain("web", "--env", "NONE", status=3), "neither the request nor a policy set NONE", "one that nobody set")
has(explain("web", "--field", "memory"), "memory is 128MiB\n  the request gave none\n  policy 10-base set \"64MiB\" (10-base.lua:5)\n"
    "  policy 20-late set \"128MiB\" over 64MiB (20-late.lua:3) [conflict", "a limit")
has(explain("web", "--field", "log.size"), 'log.size is 1MiB\n  the request gave none\n  policy 10-base set "1MiB"', "a limit inside of another")
equal(world.post("/v1/instances/web/resize?wait=20", {"memory": "256MiB"}).status, 200, "a resize")
out = explain("web", "--field", "memory")
has(out, "memory is 256MiB\n", "what is now")
has(out, "and it was changed later", "which no policy set")
answer = json.loads(gantry("--json", "policy", "explain", "web", "--env", "TZ").out)
equal((answer["value"], [(s["policy"], s.get("before"), s["line"]) for s in answer["steps"]]),
      ("CET", [("10-base", "America/Lima", 3), ("20-late", "UTC", 2), ("30-shadow", "CET", 1)]), "in JSON")
has(explain("web", "--env", "TZ", "--matrix", status=2), "one of --env, --field, --matrix and --why-not", "one thing at a time")

# the matrix
matrix = world.get(f"/v1/decisions/{id}/matrix").json
equal((matrix["exact"], matrix["node"], matrix.get("why")), (True, "b", None), "a placement is told exactly")
rows = {row["node"]: row for row in matrix["nodes"]}
equal({name: row["asked"] for name, row in rows.items()}, {"a": True, "b": True, "c": True, "d": False}, "all nodes; one was not asked")
equal(rows["d"]["reason"], "it was not up", "with why")
equal((rows["b"]["score"], rows["b"]["instances"], rows["b"]["memory_promised_bytes"]), (10, 0, 0), "values as they were, not as they are")
spawn("web2", labels={"app": "web"})
second = world.get(f"/v1/decisions/{decision('web2')['id']}/matrix").json
rows = {row["node"]: row for row in second["nodes"]}
equal((second["exact"], second["node"], rows["b"]["refused"], rows["b"]["answers"]),
      (True, "a", True, [{"policy": "40-place", "file": "40-place.lua", "hook": "filter", "outcome": "deny", "reason": "it has one of web", "line": 7}]),
      "a node that was refused, with policy, file, line and reason")
for i in range(20):
    spawn(f"more{i}", labels={"only": "c"} if i % 2 else {})
    if i % 3 == 0:
        world.delete(f"/v1/instances/more{i}?wait=20&force=true")
equal(world.get(f"/v1/decisions/{id}/matrix").json, matrix, "the first placement is told the same after 20 others")
equal(world.get(f"/v1/decisions/{second['decision']}/matrix").json, second, "and the second")
world.delete("/v1/instances/web?wait=20&force=true")
equal(world.get(f"/v1/decisions/{second['decision']}/matrix").json, second, "also when what was there is gone")

out = explain("web2", "--matrix")
has(out, f"decision {second['decision']}: node a of 4 nodes under revision ", "in words: the choice")
has(out, "\na: chosen, 5 points; it had 0 instances, memory 0", "the chosen node first")
has(out, "\nb: refused; it had 1 instances", "a refused one")
has(out, "\n  filter  40-place         deny: it has one of web (40-place.lua:7)\n", "with its reason")
has(out, "\nd: not asked, it was not up\n", "and one that was not asked")
equal(json.loads(gantry("--json", "policy", "explain", "web2", "--matrix").out), second, "in JSON")
equal(explain("web2", "--why-not", "b"), "b: policy 40-place refused it: it has one of web (40-place.lua:7)\n", "why not another: refused")
equal(explain("web2", "--why-not", "c"), "c: it has 5 points and as many instances as a, whose name comes first\n  40-place         5, a 5\n", "a tie")
equal(explain("web2", "--why-not", "d"), "d: it was not asked, it was not up\n", "not asked")
equal(explain("web2", "--why-not", "a"), "a: it was chosen\n", "it was")
has(explain("web2", "--why-not", "z", status=3), "there was no such node", "none")
equal(explain(str(id), "--why-not", "a"), "a: it has 5 points, b has 10\n  40-place         5, b 10\n", "fewer points")

# a request that was refused
answer = world.spawn(name="nowhere", labels={"only": "z"})
equal(answer.status, 403, "no node is left")
has(answer.json["detail"], "no node is left of 3", "with the reasons")
refused = world.get(f"/v1/decisions/{answer.json['decision']}/matrix").json
equal((refused["exact"], "node" in refused), (True, False), "its matrix is told")
has(refused["reason"], "1 for only z is wanted, this is c (40-place.lua:4)", "with the same reason")
equal(explain(str(answer.json["decision"]), "--why-not", "c"), "c: policy 40-place refused it: only z is wanted, this is c (40-place.lua:4)\n", "why not")

# what cannot be told any more
spawn("fresh", labels={"only": "a"})
fresh = decision("fresh")["id"]
ok(world.get(f"/v1/decisions/{fresh}/matrix").json["exact"], "exact before")
engines["c"].stop()
until(lambda: {n["name"]: n["state"] for n in world.get("/v1/nodes").json["nodes"]}["c"] == "down", "node c to be down")
lost = world.get(f"/v1/decisions/{fresh}/matrix").json
equal((lost["exact"], lost["nodes"]), (False, []), "not when a node is not what it was")
has(lost["why"], "node c has gone down", "and it says which")
spawn("after", labels={"only": "a"})
after = decision("after")["id"]
ok(world.get(f"/v1/decisions/{after}/matrix").json["exact"], "a placement after that is told")
world.policy("50-more.lua", "local n = 0 return { score = function(req, node) n = n + 1 return n end }")
equal(world.post("/v1/policies/reload").status, 200, "another set")
lost = world.get(f"/v1/decisions/{after}/matrix").json
has(lost["why"], "other policies are in force since", "not under another set")
result = gantry("policy", "explain", str(after), "--matrix")
equal(result.status, 3, "the command: a status of its own")
has(result.err, "its matrix cannot be told any more: other policies", "and why")
has(result.out, f"decision {after}: spawn", "with what was recorded")
spawn("stateful")
stateful = world.get(f"/v1/decisions/{decision('stateful')['id']}/matrix").json
equal((stateful["exact"], len(stateful["nodes"]) > 0), (False, True), "a policy that counts in its variables is found out")
has(stateful["why"], "keeps something in its variables", "and said so")
world.kill()
world.start(up=False)
lost = world.get(f"/v1/decisions/{after}/matrix").json
has(lost["why"], "it is not kept any more", "not after a restart")
has(explain("fresh", "--env", "TZ"), 'policy 20-late set "CET"', "where values come from is kept")

equal(world.stop(), 0, "an orderly end")
done()
