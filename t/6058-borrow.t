#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The filesystem of a stopped instance in another: what is asked of the engine, who may start when, what is refused; after a kill, without a store."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World(engines=("n1", "n2"), policies={"p.lua": """return { admit = function(req)
    for _, line in ipairs(req.unsafe) do
        if req.labels.careful and line:find("^mounts: instance") then return false, line .. " is not wanted" end
    end
end, filter = function(req, node) return not req.labels.on or req.labels.on == node.name, "elsewhere" end }"""}).start()


def run(name, *mounts, start=True, **more):
    return world.post(f"/v1/instances?wait=60&start={str(start).lower()}", {"name": name, "image": "pullable:1", "mounts": list(mounts), **more})


def do(name, verb):
    answer = world.post(f"/v1/instances/{name}/{verb}?wait=60", {})
    return answer.status, answer.json.get("detail", "")


def state(name):
    return world.get(f"/v1/instances/{name}").json["state"]


def refused(what, answer, status, *words, field=None):
    got, detail = answer if isinstance(answer, tuple) else (answer.status, answer.json["detail"])
    ok(got == status and all(word in detail for word in words), f"{what}: {detail}", got)
    if field:
        equal(answer.json["field"], field, "the field is named")


def container(name):
    node = world.engines[world.get(f"/v1/instances/{name}").json["node"]]
    return node.ask("GET", f"/v1.41/containers/{name}/json").json


equal(run("web", labels={"on": "n2"}).status, 201, "an instance")
web = world.get("/v1/instances/web").json
refused("its filesystem while it runs", run("fix", "instance/web:/rescue"), 409, "web is running", "mounted at /rescue; stop it first")
equal(run("early", {"type": "instance", "source": web["id"], "target": "/rescue", "read_only": True}, start=False).status, 201, "one that is only made may have it")
refused("which cannot be started", do("early", "start"), 409, "web is running")
equal(do("web", "stop")[0], 200, "stopped")
equal(run("fix", "instance/web:/rescue").status, 201, "now it can be had")
fix = world.get("/v1/instances/fix").json
equal((fix["node"], fix["spec"]["mounts"]), ("n2", [{"type": "instance", "source": web["id"], "target": "/rescue"}]), "on the same node, by its id")
layers = container("web")["GraphDriver"]["Data"]
equal(container("fix")["HostConfig"]["Mounts"], [{"Type": "volume", "Target": "/rescue", "VolumeOptions": {"NoCopy": True, "DriverConfig": {
    "Name": "local", "Options": {"type": "overlay", "device": "overlay",
                                 "o": f"lowerdir={layers['LowerDir']},upperdir={layers['UpperDir']},workdir={layers['WorkDir']}"}}}}],
      "the engine is asked for an overlay of its layers, that goes with the container")
equal(container("early")["HostConfig"]["Mounts"][0].get("ReadOnly"), True, "read-only where it is wanted so")

for verb in ("start", "restart"):
    refused(f"{verb} of the one whose it is", do("web", verb), 409, "the filesystem of web is mounted in fix, which is running")
refused("a commit of it", world.post("/v1/instances/web/commit?wait=60", {"image": "x:1"}), 409, "mounted in fix")
refused("files of it", world.get("/v1/instances/web/archive?path=/etc"), 409, "mounted in fix")
refused("its removal", world.delete("/v1/instances/web?force=true&wait=60"), 409, "mounted in fix")
refused("a third one", do("early", "start"), 409, "mounted in fix")
equal(state("web"), "stopped", "it is as it was")
equal(do("fix", "restart")[0], 200, "who has it is restarted")
equal(do("fix", "pause")[0], 200, "or paused")
refused("start of the other", do("web", "start"), 409, "mounted in fix, which is paused")
equal(do("fix", "unpause")[0], 200, "goes on")

world.kill()
world.start()
refused("after a kill of gantryd", do("web", "start"), 409, "mounted in fix")
world.kill()
world.forget()
world.start()
refused("and with its store deleted", do("web", "start"), 409, "mounted in fix")
equal(world.get("/v1/instances/fix").json["spec"]["mounts"], fix["spec"]["mounts"], "which the container's labels tell")

equal(do("fix", "stop")[0], 200, "who had it is stopped")
equal(do("web", "start")[0], 200, "and the one whose it is starts")
refused("start of the first", do("fix", "start"), 409, "web is running")
equal(world.delete("/v1/instances/fix?wait=60").status, 200, "removed")
equal(do("web", "stop")[0], 200, "stopped")

# --- what cannot be had ----------------------------------------------------------------------------------
refused("of none", run("bad", "instance/none:/rescue"), 404, "none", field="mounts[0].source")
refused("of another project", run("bad", "instance/web:/rescue", project="blue"), 404, 'no instance "web" in project blue', field="mounts[0].source")
equal(run("one", labels={"on": "n1"}, start=False).status, 201, "one on the other node")
refused("of two on two nodes", run("bad", "instance/web:/a", "instance/one:/b"), 400, "one is on node n1, the one before on n2", field="mounts[1].source")
refused("where a policy minds", run("bad", "instance/web:/rescue", labels={"careful": "yes"}), 403, f"mounts: instance {web['id']} rw is not wanted")
refused("where a policy wants it elsewhere", run("bad", "instance/web:/rescue", labels={"on": "n1"}), 403, "elsewhere")
for labels, word in (({"fake.storage": "btrfs"}, "with the storage driver overlay2; the engine has btrfs"), ({"fake.layers": "100"}, "too many layers")):
    equal(run("odd", labels=labels, start=False).status, 201, "one that is stored otherwise")
    before = [len(engine.containers()) for engine in world.engines.values()]
    refused("its filesystem", run("bad", "instance/odd:/rescue"), 501, word)
    equal([len(engine.containers()) for engine in world.engines.values()], before, "leaves nothing")
    equal(world.delete("/v1/instances/odd?wait=60").status, 200, "removed")
equal(run("late", "instance/one:/rescue", start=False).status, 201, "one that has another's")
equal(world.delete("/v1/instances/one?wait=60").status, 200, "that is removed")
refused("it cannot start any more", do("late", "start"), 400, "that is mounted at /rescue, is gone")

# --- killed as it is made ----------------------------------------------------------------------------------
for at in ("spawn/create/before", "spawn/create/during", "spawn/create/after", "spawn/start/during"):
    world.stop()
    world.start(crash_at=at)
    try:
        run("again", "instance/web:/rescue")
    except OSError:
        pass
    world.died()
    world.start()
    until(lambda: not world.running_operations(), "the spawn to go on")
    equal(state("again"), "running", f"killed {at}: the successor goes on")
    equal(container("again")["HostConfig"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"]["type"], "overlay", "with what it mounts")
    refused("the other", do("web", "start"), 409, "mounted in again")
    equal(world.delete("/v1/instances/again?force=true&wait=60").status, 200, "removed")
equal(do("web", "start")[0], 200, "in the end it starts as ever")
equal(world.disagreements(), [], "engines and API agree")
done()
