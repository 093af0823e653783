#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The guide in scripts/README.md does what it says, block by block; quotas and affinity hold on the whole daemon, in a burst too."""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from web import Web

FOLDER = "/etc/gantry/policies"
GUIDE = os.path.join(ROOT, "scripts/README.md")


def example(name, *edits):
    with open(os.path.join(ROOT, f"scripts/examples/{name}.lua")) as file:
        text = file.read()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


# --- the guide

def blocks(text):
    """(kind, text) of each block that is a policy with its place, or a session."""
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if kind in ("lua", "console"):
            yield kind, block


def steps(session):
    """[command, [line of output, …]] of a session."""
    found = []
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        else:
            found[-1][1].append(line)
    return found


def fits(want, got):
    """"…" in a line is anything in it; a line of "…" alone is any number of lines."""
    pattern = "".join(r"(?:.*\n)*" if line == "…" else ".*".join(re.escape(part) for part in line.split("…")) + r"\n" for line in want)
    return re.fullmatch(pattern, got) is not None


ok(fits(["a … c", "…", "z"], "a b c\n1\n2\nz\n") and not fits(["a"], "b\n") and not fits(["a"], "a\nb\n"), "the comparison can fail")
world = World("shipped").start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}", "PATH": f"{BUILD}:{os.environ['PATH']}"}
with open(GUIDE) as file:
    guide = file.read()
count = 0
for kind, block in blocks(guide):
    if kind == "lua":
        place = re.match(rf"-- {FOLDER}/(\S+)\n", block)
        if place:
            world.policy(place.group(1), block)
        continue
    for command, want in steps(block):
        count += 1
        done_ = subprocess.run(command.replace(FOLDER, world.policies), shell=True, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT * 3)
        got = done_.stdout.decode().replace(world.policies, FOLDER)
        if os.environ.get("SHOW"):
            print(f"# $ {command}\n" + "".join(f"# {line}\n" for line in got.splitlines()))
        if not ok(fits(want, got), f"the guide: {command}"):
            diag("\n".join(["got", got, "want", *want]))
ok(count > 10, f"the guide has {count} commands")
files = set(os.listdir(os.path.join(ROOT, "scripts/examples")))
equal({name for name in re.findall(r"`examples/([\w-]+\.lua)`", guide)}, files, "the guide names each example")
equal(world.stop(), 0, "an orderly end")

# --- all examples at once

everything = {f"{50 + at}-{name}": example(name[:-4]) for at, name in enumerate(sorted(files)) if name != "flavors.lua"}
world = World({"05-flavors.lua": example("flavors"), **everything}).start()
answer = world.spawn(name="all", image="debian:12", labels={"flavor": "tiny"}, project="blue")
equal(answer.status, 201, "all examples together let an ordinary instance pass")
records = world.get("/v1/instances/all/decisions").json["decisions"][0]["records"]
equal([r for r in records if r["outcome"] == "error"], [], "and none of them fails")
equal(answer.json["result"]["spec"]["memory"] if "result" in answer.json else world.instance("all")["spec"]["memory"], 128 << 20, "with the flavor's memory")
world.stop()

# --- a webhook that does not listen at first

web = Web()
web.answers["/alert"] = (503, {}, b"later")
world = World({"70-notify.lua": example("notify", ("https://hooks.example.org/gantry/alert", f"{web.url}/alert"), ("{ 1, 5, 15 }", "{ 0.1, 0.2, 30 }"))},
              settings=f'policy_http_allow = {{ "{web.url}/alert" }}').start()
world.spawn(name="fails", command=["exit", "3"])
world.spawn(name="quiet", command=["exit", "4"], labels={"notify": "off"})
until(lambda: len(web.of("/alert")) == 3, "three attempts")
web.answers["/alert"] = (200, {}, b"")
world.spawn(name="next", command=["exit", "5"])
until(lambda: len(web.of("/alert")) == 3 and world.get("/v1/policies").json["policies"][0]["events"]["queued"] > 0, "the next to wait for its turn")
message = web.of("/alert")[-1].json
equal((message["text"], message["kind"], message["state"], message["node"]), ("fails ended with 3", "instance.exited", "stopped", "local"),
      "notify: what is told")
equal(world.delete(f"/v1/instances/fails?wait={LIMIT}&force=true").status, 200, "it is removed meanwhile")
equal(world.stop(), 0, "an orderly end in the wait for the next attempt")
web.stop()

# --- a quota in a burst

policies = {"10-defaults.lua": open(os.path.join(ROOT, "scripts/policies/10-defaults.lua")).read(),
            "50-quota.lua": example("quota", ("-- blue = { instances = 20, memory = \"32GiB\", cpus = 16 }",
                                              "blue = { instances = 8 }, red = { memory = \"2GiB\" }")),
            "60-affinity.lua": example("affinity")}
world = World(policies).start()


def burst(project, total, **spec):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: world.spawn(name=f"{project}-{i}", project=project, **spec), range(total)))
    return answers


answers = burst("blue", 40)
equal(sorted({a.status for a in answers}), [201, 403], "some of a burst are refused")
equal(len([a for a in answers if a.status == 201]), 8, "exactly as many as the quota has room for are not")
has(next(a for a in answers if a.status == 403).json["detail"], "project blue has 8 instances of 8 (50-quota.lua:", "with the sum in the reason")
answers = burst("red", 24)
equal(len([a for a in answers if a.status == 201]), 4, "memory that another policy sets counts, in a burst too")
# admit counts those that are still being placed, filter those that are: which of them is the first differs
reasons = [a.json["detail"] for a in answers if a.status == 403]
ok(all("project red has" in reason and "of 2GiB memory" in reason for reason in reasons), "with the sum")
name = next(i["name"] for i in world.instances() if i["project"] == "red")
equal(world.post(f"/v1/instances/{name}/resize?wait={LIMIT}&project=red", {"memory": "513MiB"}).status, 403, "a resize over the quota")
equal(world.post(f"/v1/instances/{name}/resize?wait={LIMIT}&project=red", {"memory": "256MiB"}).status, 200, "and one below")
equal(world.spawn(name="small", project="red", memory="256MiB").status, 201, "makes room for another one")
equal(world.spawn(name="more", project="red", memory="8MiB").status, 403, "but for no more")
equal(world.delete(f"/v1/instances/small?wait={LIMIT}&force=true&project=red").status, 200, "one is removed")
equal(world.spawn(name="more", project="red", memory="8MiB").status, 201, "which counts")
equal(world.spawn(name="missing", project="red", image="missing:1", memory="8MiB").status >= 400, True, "one that fails")
equal(world.spawn(name="rest", project="red", memory="248MiB").status, 201, "does not count")
world.kill()
world.start()
equal(world.spawn(name="after", project="red", memory="8MiB").status, 403, "sums are the same after a kill and a start")
equal(world.spawn(name="a", labels={"app": "db", "apart.app": "db"}).status, 201, "affinity: the first")
answer = world.spawn(name="b", labels={"app": "db", "apart.app": "db"})
equal(answer.status, 403, "the second finds no other node")
has(answer.json["detail"], "apart from app=db is wanted, 1 are there", "and says why")
equal(world.spawn(name="c", labels={"near.app": "db"}).status, 201, "near it")
world.delete(f"/v1/instances/a?wait={LIMIT}&force=true")
equal(world.spawn(name="b", labels={"app": "db", "apart.app": "db"}).status, 201, "when the first has gone the second can come")
equal(world.stop(), 0, "an orderly end")
done()
