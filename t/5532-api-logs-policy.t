#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies' log hooks between a log and who reads it: every form, followers, sinks, logs of what was removed; failures; what a
line costs."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *
from logfiles import LogFiles

HOOK = """return { name = "hide", on_error = "deny", log = function(line)
  if line.text:find("noise", 1, true) then return false end
  if line.text:find("broken", 1, true) then error("it is broken") end
  if line.text:find("secret=", 1, true) then return { text = (line.text:gsub("secret=%S+", "secret=***")), tags = { kind = "secret", of = line.name } } end
end }"""
folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
SINK = f"{folder}/all.log"
world = World(policies={"10-hide.lua": HOOK}, settings=f'logs = {{ sinks = {{ {{ kind = "file", to = "{SINK}" }} }} }}').start()
gantry = Command("unix://" + world.socket)
lines = world.log_lines


def begin(name):
    place = os.path.join(world.folder, name)
    files = LogFiles(place, "local")
    equal(world.spawn(name=name, labels={"fake.log": place}, log={"driver": "local"}).status, 201, f"{name} runs")
    return files


def path(name, **query):
    return f"/v1/instances/{name}/logs?" + "&".join(f"{key}={value}" for key, value in query.items())


def raw(name, **query):
    return ask(world.socket, "GET", path(name, **query)).body


def seen(found):
    return [(line["cursor"], line.get("text", "GAP")) for line in found]


def counts(name="hide"):
    return next(policy["log"] for policy in world.get("/v1/policies").json["policies"] if policy["name"] == name)


def replace(name, text):
    world.policy(name, text)
    equal(world.post("/v1/policies/reload").status, 200, "the policies are read again")


# in every form
files = begin("web")
for text in ("one", "noise", "login secret=hunter2", "two", "broken 1", "broken 2", "three"):
    files.line(text)
WHY = "policy hide failed, and these lines are withheld"
SHOWN = [("1.1", "one"), ("1.3", "login secret=***"), ("1.4", "two"), ("1.4", "GAP"), ("1.7", "three")]
found = lines("web")
equal(seen(found), SHOWN, "what is shown: a hole where a line was dropped, a gap where some are withheld")
equal((found[3]["gap"]["lines"], found[3]["gap"]["why"]), (2, WHY), "the gap says how many, and by which policy")
equal((found[1]["tags"], "tags" in found[0]), ({"kind": "secret", "of": "web"}, False), "tags")
equal(raw("web", format="raw"), b"one\nlogin secret=***\ntwo\nthree\n", "raw")
ok(b"hunter2" not in raw("web", format="frames") and b"secret=***" in raw("web", format="frames"), "frames")
equal(gantry("logs", "web").out, "one\nlogin secret=***\ntwo\nthree\n", "the command")
equal(seen(lines("web", after="1.2")), SHOWN[1:], "behind the cursor of a line that was dropped")
equal((seen(lines("web", grep="hunter2")), seen(lines("web", grep="secret=*"))), ([], []), "nobody finds what is hidden, nor what only stands in its place")
equal((seen(lines("web", grep="broken")), seen(lines("web", grep="broken%201"))), ([], []), "nor what a line has that is withheld")
equal(seen(lines("web", grep="login")), [SHOWN[1]], "what is in both is found")
equal(seen(lines("web", tail=1)), [SHOWN[-1]], "the last line")

# the last line that has a text, of those that show it: not one less, where later ones are hidden, dropped or withheld
last = begin("last")
for text in ("first x42", "see x42 here", "other", "secret=x42", "noise x42", "broken x42", "the end"):
    last.line(text)
equal(seen(lines("last", grep="x42", tail=1)), [("1.2", "see x42 here")], "the last line that shows a text")
equal(seen(lines("last", grep="x42", tail=9)), [("1.1", "first x42"), ("1.2", "see x42 here")], "of fewer than asked for all")
equal(seen(lines("last", grep="x42", tail=0)), [], "none, where none is asked for")
equal(seen(lines("last", grep="x42", tail=1, after="1.2")), [], "behind a cursor")
follower = world.stream(path("last", grep="x42", tail=1, follow="true"))
equal(follower.json()["cursor"], "1.2", "and a follower has it")
last.line("secret=x42")
last.line("again x42")
equal(follower.json()["cursor"], "1.9", "then what comes")
follower.close()
equal(gantry("logs", "--grep", "x42", "-n", "1", "last").out, "again x42\n", "the command")

# followers: the hook is asked once for all of them
followers = [world.stream(path("web", follow="true", tail=0)) for _ in range(5)]
before = counts()["lines"]
until(lambda: os.path.exists(SINK) and "three" in open(SINK).read(), "the sink to have it")
before = counts()["lines"]
for number in range(20):
    files.line(f"{number} secret=x")
    for follower in followers:
        if follower.json()["text"] != f"{number} secret=***":
            ok(False, f"a follower has line {number}")
asked = counts()["lines"] - before
ok(20 <= asked < 6 * 20, f"five followers and a sink: asked {asked} times for 20 lines")
files.line("noise")
files.line("heard")
equal([follower.json()["cursor"] for follower in followers], ["1.29"] * 5, "behind what is dropped they go on")

# another set comes into force amid it; in mode shadow it has no effect
replace("10-hide.lua", HOOK.replace('name = "hide"', 'name = "hide", mode = "shadow"'))
files.line("noise secret=seen")
equal([follower.json()["text"] for follower in followers], ["noise secret=seen"] * 5, "a shadow has no effect")
equal({key: counts()[key] for key in ("dropped", "failed")}, {"dropped": counts()["lines"], "failed": 0}, "and is counted")
replace("10-hide.lua", HOOK)
files.line("again secret=hunter3")
equal([follower.json()["text"] for follower in followers], ["again secret=***"] * 5, "in force it has")
equal(ask(world.socket, "HEAD", path("web")).status, 200, "HEAD")

# a follower whose lines are all dropped has an answer nevertheless
quiet = begin("quiet")
quiet.line("noise")
follower = world.stream(path("quiet", follow="true"))
equal(follower.status, 200, "all is dropped: it is answered")
quiet.line("not noise? no: noise")
quiet.line("now")
equal(follower.json()["cursor"], "1.3", "and goes on")
follower.close()

# sinks
until(lambda: "again secret=" in open(SINK).read(), "the sink to have it")
with open(SINK) as file:
    text = file.read()
ok("hunter" not in text and "noise secret=seen" in text, "a sink is sent what is shown")
sent = [json.loads(line) for line in text.splitlines()]
equal(next(line["tags"] for line in sent if line.get("text") == "login secret=***"), {"kind": "secret", "of": "web"}, "with tags")
gaps = [line["gap"] for line in sent if "gap" in line and line["name"] == "web"]  # it may have read them as they came
equal((sum(gap["lines"] for gap in gaps), {gap["why"] for gap in gaps}), (2, {WHY}), "and gaps")

# who removed it, and what is kept
for follower in followers:
    follower.close()
follower = world.stream(path("web", follow="true", tail=0))
follower_line = world.stream(path("web", follow="true", tail=1)).json()
equal(follower_line["text"], "again secret=***", "a follower is there")
files.line("last secret=hunter4")
equal(follower.json()["text"], "last secret=***", "to the last line")
world.delete(f"/v1/instances/web?force=true&wait={LIMIT}")
shutil.rmtree(files.folder)
ok(b"hunter" not in raw("web") and seen(lines("web"))[-1][1] == "last secret=***", "of an instance that was removed no more is shown")

# what people are told
status = gantry("policy", "status").out
has(status, "hide: log hook:", "policy status counts")
has(status, " us a line", "and tells what a line costs")
metrics = world.get("/v1/metrics").body.decode()
ok('gantry_policy_log_lines_total{result="dropped"}' in metrics and "gantry_policy_log_seconds_total" in metrics, "so do the metrics")
result = gantry("policy", "eval", "--line", "secret=abc", "busybox")
equal(result.status, 0, "policy eval of a line")
has(result.out, 'set    {"text":"secret=***","tags":{"kind":"secret","of":"unnamed"}}', "tells what is made of it")
has(gantry("policy", "eval", "--line", "broken", "busybox").out, "error : it is broken (10-hide.lua:3)", "and where it fails")
equal(world.post("/v1/policies/eval", {"spec": {"image": "x"}, "line": {"text": "x", "stream": "stdin"}}).status, 400, "a stream that is none")
with open(world.log) as file:
    told = file.read().count("policy hide fails at a line of a log, which is withheld: it is broken (10-hide.lua:3)")
ok(2 <= told <= 2 + SLOW, f"the log has a failure once a minute, for each set ({told})")
with open(os.path.join(world.policies, "20-wrong.lua"), "w") as file:
    file.write('return { log = function(line) return line.text .. "!" end, tests = { { hook = "log", line = "a", expect = "a?" } } }')
has(gantry("policy", "check", world.policies).err, '20-wrong.lua:1: test 1: should be shown as "a?", is shown as "a!"', "a test in the file is run")
os.unlink(os.path.join(world.policies, "20-wrong.lua"))

# what it costs
COUNT = 100_000
files = begin("much")
files.raw(b"".join(files.message("stdout", b"GET /index.html 200 from 192.0.2.7 in 12 ms", files.now()) for _ in range(COUNT)))


def read():
    began = time.monotonic()
    equal(raw("much", format="raw").count(b"\n"), COUNT, f"{COUNT} lines are read")
    return time.monotonic() - began


read()
with_hook = min(read() for _ in range(2))
os.unlink(os.path.join(world.policies, "10-hide.lua"))
equal(world.post("/v1/policies/reload").status, 200, "no hook")
without = min(read() for _ in range(2))
diag(f"reading {COUNT} lines: {with_hook * 1e6 / COUNT:.2f} us a line with a log hook, {without * 1e6 / COUNT:.2f} us without")
ok(with_hook / COUNT < 30e-6 * SLOW, "a line with a hook costs microseconds")

# a hook that comes while a log is read without: each line once, and as it says from then on
long = LogFiles(os.path.join(world.folder, "long"), "local")
long.file.write(b"".join(long.message("stdout", b"%d secret=abc" % number, long.now()) for number in range(200000)))
long.file.flush()
equal(world.spawn(name="long", labels={"fake.log": long.folder}, log={"driver": "local"}).status, 201, "long runs")
reader = world.stream(path("long", format="raw"))
first = reader.line()
replace("10-hide.lua", HOOK)
printed = [line.split(" ") for line in [first, *reader.rest()]]
equal(([int(number) for number, _ in printed] == list(range(200000)), reader.ended), (True, True), "each line once")
equal((printed[0][1], printed[-1][1], len({text for _, text in printed})), ("secret=abc", "secret=***", 2), "the later ones as the hook shows them")
reader.close()
equal(world.stop(), 0, "gantryd ends well")
done()
