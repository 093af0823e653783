#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies in a whole gantryd: what they set crosses to the engine, what they get wrong harms nobody, and no
secret gets out."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *


def created(world, name):
    """What crossed to the engine, as it was in the body of create."""
    return world.engine.ask("GET", f"/v1.41/containers/{name}/json").json


def decision_of(world, answer):
    """The decision that an answer, done or refused, is about; held against the contract."""
    return world.get(f"/v1/decisions/{answer.json['decision']}").json


# --- what policies set ---
world = World(policies={
    "10-first.lua": """return { name = "first",
  environment = function(req, env) return { REGION = "north", DROPPED = false, KEPT = "first" } end,
  resources = function(req, res) return { memory = "96MiB", pids = 50, cpus = 0.5 } end,
}""",
    "20-second.lua": """return {
  environment = function(req, env)
    return { KEPT = "second", SEEN = env.REGION .. "/" .. tostring(env.GIVEN), TOKEN = { value = "p0l1cy-s3cr3t", secret = true } }
  end,
  resources = function(req, res) return { pids = res.pids + 1 } end,
}""",
    "30-shadow.lua": 'return { mode = "shadow", admit = function(req) return false, "only if it counted" end }',
}).start()
answer = world.spawn(name="set", environment=["GIVEN=1", "DROPPED=1", {"name": "MINE", "value": "gr4nny-s3cr3t", "secret": True}],
                     labels={"tier": "web"})
equal(answer.status, 201, "a spawn under three policies")
body = created(world, "set")
equal(sorted(body["Config"]["Env"]),
      ["GIVEN=1", "KEPT=second", "MINE=gr4nny-s3cr3t", "REGION=north", "SEEN=north/1", "TOKEN=p0l1cy-s3cr3t"],
      "the environment crosses to the engine, secrets with their values")
equal((body["HostConfig"]["Memory"], body["HostConfig"]["PidsLimit"], body["HostConfig"]["NanoCpus"]),
      (96 << 20, 51, 500000000), "and so do the resources")
equal(body["Config"]["Labels"]["gantry.spec"].count("s3cr3t"), 0, "no secret is in the label")
spec = answer.json["result"]["spec"]
equal((spec["memory"], spec["pids"]), (96 << 20, 51), "the instance's spec is as it was created")
decision = decision_of(world, answer)
equal((decision["allowed"], decision["verb"], decision["actor"], decision.get("node")),
      (True, "spawn", f"uid:{os.getuid()}", "local"), "the decision says verb, actor and node")
records = {(r["policy"], r["hook"], r.get("subject")): r for r in decision["records"]}
equal(records[("first", "resources", "memory")]["answer"], "96MiB", "a record for each value")
equal(records[("first", "resources", "memory")]["file"], "10-first.lua", "with its file")
equal(records[("first", "resources", "memory")]["line"], 3, "and line")
ok(any(r.get("conflict") and r["policy"].startswith("20-second") or r.get("conflict") and r["policy"] == "20-second"
       for r in decision["records"]), "a value that another policy had set is a conflict")
shadow = next(r for r in decision["records"] if r.get("shadow"))
equal((shadow["outcome"], shadow["reason"]), ("deny", "only if it counted"), "a shadow policy is recorded, without effect")
equal(decision["revision"], world.get("/v1/policies").json["revision"], "with the revision of the set")
equal([d["id"] for d in world.get("/v1/instances/set/decisions").json["decisions"]], [decision["id"]],
      "decisions of an instance")
ended = world.delete("/v1/instances/set?force=true&wait=10")
equal([d["verb"] for d in world.get(f"/v1/instances/{answer.json['instance']}/decisions").json["decisions"]],
      ["remove", "spawn"], "also of one that is gone, newest first")

# --- a dry run ---
mark = (len(world.events()), len(world.get("/v1/operations?limit=1000").json["operations"]))
evaluated = world.post("/v1/policies/eval", {"spec": {"image": "busybox", "environment": [
    {"name": "MINE", "value": "gr4nny-s3cr3t", "secret": True}]}, "actor": "cn:somebody", "project": "red"})
equal(evaluated.status, 200, "an eval")
decision = evaluated.json["decision"]
equal(("id" in decision, decision["actor"], decision["project"], decision["allowed"]), (False, "cn:somebody", "red", True),
      "is a decision without an id, for whom it was asked")
equal(evaluated.json["spec"]["pids"], 51, "with the spec as it would be")
ok("s3cr3t" not in evaluated.body.decode(), "and no secret")
equal((len(world.events()), len(world.get("/v1/operations?limit=1000").json["operations"])), mark, "nothing was done or stored")
equal(world.engine.containers(world.owner), [], "or made")
problem = world.post("/v1/policies/eval", {"spec": {"image": "busybox", "memory": "12 parsecs"}})
equal((problem.status, problem.json["field"]), (400, "memory"), "a wrong spec is refused there as well")
equal(world.post("/v1/policies/eval", {}).json.get("field"), "spec", "and none")
equal(world.post("/v1/policies/eval", {"spec": {"image": "x"}, "verb": 7}).json.get("field"), "verb", "and a verb that is no text")

# --- secrets: nowhere but at the engine ---
SECRETS = ("gr4nny-s3cr3t", "p0l1cy-s3cr3t", "f4iled-s3cr3t", "k3yed-s3cr3t")
secret = lambda value: [{"name": "MINE", "value": value, "secret": True}]
said = [answer, evaluated]
said.append(world.spawn(name="failed", image="missing", environment=secret("f4iled-s3cr3t")))
said.append(world.post("/v1/instances?wait=10", {"name": "keyed", "image": "busybox", "environment": secret("k3yed-s3cr3t")},
                       {"Content-Type": "application/json", "Idempotency-Key": "key"}))
said.append(world.post("/v1/instances?wait=10", {"name": "wrong", "image": "busybox", "memmory": 1,
                                                 "environment": secret("k3yed-s3cr3t")}))
for target in ("/v1/instances", "/v1/operations?limit=1000", "/v1/instances/keyed", "/v1/instances/keyed/decisions",
               f"/v1/instances/{answer.json['instance']}/decisions", "/v1/policies"):
    said.append(world.get(target))
said += [world.get(f"/v1/decisions/{n}") for n in range(1, 5)]
found = [(s, a.body[:100]) for s in SECRETS for a in said if s in a.body.decode()]
equal(found, [], "no answer of the API has a secret")
ok(not any(s in json.dumps(world.events()) for s in SECRETS), "nor an event")
decision = decision_of(world, answer)
token = next(r for r in decision["records"] if r.get("subject") == "TOKEN")
ok(token.get("answer") and "p0l1cy" not in json.dumps(token), "a decision shows it as a hash")
world.post("/v1/instances/keyed/stop?wait=10")
world.kill()
world.start()
world.stop()


def grep(folder, value):
    hits = []
    for root, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)
            if name.endswith(".lua") or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                if value.encode() in file.read():
                    hits.append(name)
    return hits


with open(world.store, "rb") as file:
    ok(b"keyed" in file.read(), "the store is read in the search")
for value in SECRETS:
    equal(grep(world.folder, value), [], f"{value} is in no file: not in the store, not in its log, not in gantryd's log")
for c in world.engine.containers(world.owner):
    ok(not any(s in json.dumps(c["Labels"]) for s in SECRETS), "nor in a label")

# --- what they get wrong ---
BAD = {
    "loop": ('while true do pcall(function() while true do end end) end', ("instructions",)),
    "memory": ('local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end', ("memory", "instructions")),
    "string": ('local s = "x" while true do s = s .. s end', ("memory", "long", "KiB")),
    "pattern": ('local s = ("a"):rep(200) while true do s:find(("a*"):rep(20) .. "b") end', ("instructions", "steps", "time", "pattern")),
    "error": ('error("something is amiss")', ("something is amiss",)),
    "nil-index": ('return req.nothing.at.all', ("nothing",)),
    "global": ('seen = (seen or 0) + 1', ("seen",)),
    "number": ('return 42', ("42", "number")),
    "text": ('return "yes"', ("yes", "string")),
}
world = World(settings=f'policy_time = "{200 * SLOW}ms"', policies={"50-bad.lua": "return {}"}).start()


def load(name, text):
    """Puts the policy in force."""
    before = world.get("/v1/policies").json["revision"]
    world.policy(name, text)
    until(lambda: world.get("/v1/policies").json["revision"] != before, "the policies to be reloaded")


def bad(hook, code, rule=""):
    arguments = {"admit": "req", "environment": "req, env", "resources": "req, res", "filter": "req, node", "score": "req, node"}
    load("50-bad.lua", f'return {{ name = "bad", {rule}\n{hook} = function({arguments[hook]})\n{code}\nend }}')


for hook, denies in (("admit", True), ("filter", True), ("environment", False), ("resources", False), ("score", False)):
    for name, (code, words) in BAD.items():
        bad(hook, code)
        began = time.monotonic()
        answer = world.spawn(name=f"{hook}-{name}")
        took = time.monotonic() - began
        what = f"{name} in {hook}"
        if hook == "score" and name == "number":
            equal(answer.status, 201, f"{what}: that is right there")
            continue
        equal(answer.status, 403 if denies else 201, f"{what}: {'refused' if denies else 'skipped'}")
        if answer.status not in (201, 403):
            diag(answer)
            continue
        ok(took < 3 * SLOW, f"{what}: soon ({took:.2f} s)")
        decision = decision_of(world, answer)
        errors = [r for r in decision["records"] if r["outcome"] == "error"]
        ok(errors and errors[0]["policy"] == "bad" and errors[0]["file"] == "50-bad.lua" and errors[0]["hook"] == hook,
           f"{what}: recorded as an error of that policy")
        reason = errors[0].get("reason", "") if errors else ""
        ok(any(word in reason for word in words), f"{what}: the reason says what ({reason[:100]})")
        equal(decision["allowed"], not denies, f"{what}: and the decision follows the rule")
        if denies:
            has(answer.json["detail"], "50-bad.lua", f"{what}: the problem names the file")
            has(answer.json["detail"], "bad", f"{what}: and the policy")
    equal(world.get("/v1/health").json["status"], "ok", f"{hook}: gantryd goes on")
bad("admit", 'local x = 1\nerror("on the fourth")')
has(world.spawn(name="fourth").json["detail"], "50-bad.lua:4", "the line of the error is named")
bad("admit", BAD["loop"][0], 'on_error = "skip",')
equal(world.spawn(name="skipped").status, 201, "on_error = skip lets an admit that fails be gone over")
bad("resources", BAD["error"][0], 'on_error = "deny",')
equal(world.spawn(name="denied").status, 403, "on_error = deny makes resources that fail refuse")
bad("admit", BAD["error"][0], 'mode = "shadow",')
equal(world.spawn(name="shadowed").status, 201, "in shadow nothing is refused")

for hook, answer_text, word in (
        ("resources", '{ memmory = 1 }', "memmory"), ("resources", '{ memory = "12 parsecs" }', "12 parsecs"),
        ("resources", '{ memory = -1 }', "memory"), ("resources", '{ pids = 1.5 }', "pids"), ("resources", '"all"', "table"),
        ("resources", '{ memory = function() end }', "memory"), ("environment", '{ ["A=B"] = "x" }', "A=B"),
        ("environment", '{ A = {} }', "A"), ("environment", '{ A = true }', "A"), ("environment", '{ "x" }', "not a list")):
    bad(hook, f"return {answer_text}", 'on_error = "deny",')
    answer = world.spawn(name="wrong-answer")
    equal(answer.status, 403, f"{hook} answers {answer_text}: refused")
    has(answer.json["detail"], word, "and the answer is named")
bad("resources", 'return { memory = "1MiB" }')
answer = world.spawn(name="small")
equal(answer.status, 201, "a limit that no engine takes is an error of the policy")
equal([r["outcome"] for r in decision_of(world, answer)["records"] if r["hook"] == "resources"], ["error"], "and recorded so")
world.settled("bad policies")

# --- a bad set never comes into force ---
before = world.get("/v1/policies").json["revision"]
world.policy("60-broken.lua", "return {\n  admit = function(req) retrun true end\n}")
until(lambda: "60-broken.lua" in world.get("/v1/doctor").body.decode(), "doctor to tell of the bad set")
equal(world.get("/v1/policies").json["revision"], before, "a set that does not compile changes nothing")
world.stop()
start = lambda: subprocess.run([os.path.join(BUILD, "gantryd"), "--config", world.config], capture_output=True, text=True,
                               timeout=LIMIT)
run = start()
equal(run.returncode, 1, "and with it gantryd does not start")
has(run.stderr, "60-broken.lua:2", "saying file and line")
for text, word in (("return 1", "table"), ("return { admitt = function() end }", "admit"), ("while true do end", "instructions"),
                   ('return { mode = "maybe" }', "mode must be"), ("return { on_error = 1, admit = function() end }", "on_error"),
                   ("\x1bLua", "60-broken.lua"), ('error("no")', "no")):
    world.policy("60-broken.lua", text)
    run = start()
    equal(run.returncode, 1, f"nor with {text[:40]!r}")
    has(run.stderr, word, "saying why")
    has(run.stderr, "60-broken.lua", "and where")
os.unlink(os.path.join(world.policies, "60-broken.lua"))
world.start()
equal(world.stop(), 0, "without it, it does")

# --- budgets are the settings' to say ---
BIG = """return { admit = function(req)
  local list = {}
  for i = 1, 40000 do list[i] = i end
  return true
end }"""
for settings, word in (('policy_memory = "512KiB"', "512KiB memory"), ("policy_instructions = 5000", "5000 instructions"), ("", None)):
    world = World(policies={"10-big.lua": BIG}, settings=settings).start()
    answer = world.spawn(name="big")
    equal(answer.status, 403 if word else 201, f"{settings or 'the defaults'}: {'over the budget' if word else 'within it'}")
    if word:
        has(answer.json["detail"], word, "which is named")
        has(answer.json["detail"], "10-big.lua:", "with the place")
    equal(world.stop(), 0, "it ends well")

# --- the shipped ones ---
world = World(policies="shipped").start()
for more, word in (({"network": "host"}, "network: host"), ({"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN"),
                   ({"mounts": ["/etc:/etc:ro"]}, "mounts: bind /etc ro"), ({"devices": ["/dev/kvm"]}, "/dev/kvm"),
                   ({"sysctls": {"kernel.msgmax": "1"}}, "kernel.msgmax"), ({"network": "container:x"}, "container:x")):
    answer = world.spawn(**more)
    equal(answer.status, 403, f"{more}: refused by the shipped policies")
    has(answer.json["detail"], word, "saying what")
    has(answer.json["detail"], "30-unsafe.lua:", "and where")
    decision = decision_of(world, answer)
    equal((decision["allowed"], decision["reason"] in answer.json["detail"]), (False, True), "the decision says the same")
    operation = world.get(f"/v1/operations/{answer.json['operation']}").json
    equal((operation["state"], operation["error"]["decision"]), ("failed", decision["id"]), "and the operation names it")
equal((world.instances(), world.engine.containers(world.owner)), ([], []), "nothing was made")
answer = world.spawn(name="plain", project="blue", mounts=["data:/data", "tmpfs:/tmp"], cap_drop=["ALL"], read_only=True)
equal(answer.status, 201, "what is safe runs")
body = created(world, "blue_plain")
equal((body["HostConfig"]["Memory"], body["HostConfig"]["NanoCpus"], body["HostConfig"]["PidsLimit"]),
      (512 << 20, 1000000000, 512), "with the shipped limits")
equal(sorted(body["Config"]["Env"]), ["GANTRY_INSTANCE=plain", "GANTRY_PROJECT=blue", "TZ=UTC"], "and environment")
equal(world.stop(), 0, "it ends well")
done()
