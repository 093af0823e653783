#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Event hooks in a whole gantryd: what they are given, HTTP and whom they may ask, waits that something happens to."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *
from web import Web

web = Web()


PAUSES = 'ev.kind:find("paused")'


def policy(name, code, more="", on=PAUSES):
    """A policy with the event hook; say(PATH, TABLE) in it posts to the server. It does nothing but where `on` holds."""
    return f"""local function say(path, value)
  return assert(gantry.http{{ url = "{web.url}" .. path, body = gantry.json(value), headers = {{ ["Content-Type"] = "application/json" }} }})
end
return {{ name = "{name}", {more} event = function(ev) if not ({on}) then return end
{code}
end }}"""


def said(path, count=1):
    """The JSON that was said there, once there is so much of it."""
    until(lambda: len(web.of(path)) >= count, f"{count} requests for {path}")
    return [asked.json for asked in web.of(path)]


def events_of(name):
    """What `policy status` says of a policy's event hook."""
    return next(p for p in world.get("/v1/policies").json["policies"] if p["name"] == name).get("events")


def log():
    with open(world.log, errors="replace") as file:
        return file.read()


def load(name, text):
    """Puts a file into the folder, or takes it away, and waits until that is in force."""
    if text is None:
        os.unlink(os.path.join(world.policies, name))
    else:
        world.policy(name, text)
    equal(world.post("/v1/policies/reload").status, 200, f"{name} is in force")


def happen(what="ping"):
    """Makes an event, a pause or the end of one: its sequence."""
    verb = "pause" if world.state("web") == "running" else "unpause"
    equal(world.post(f"/v1/instances/web/{verb}?wait={LIMIT}").status, 200, f"{what}: something happens")
    return next(e["sequence"] for e in reversed(world.events()) if "paused" in e["kind"])


# --- what a hook is given, in order ---
world = World(policies={
    "10-all.lua": policy("all", 'say("/all", { kind = ev.kind, sequence = ev.sequence, name = ev.name or "", code = ev.detail.exit and ev.detail.exit.code or -1,\n'
                         '  state = ev.instance and ev.instance.state or "gone", late = gantry.now() >= ev.time, node = ev.node or "" })', on="true"),
    "20-shadow.lua": policy("shadow", 'say("/shadow", {})', 'mode = "shadow",'),
    "30-other.lua": 'return { name = "other", admit = function(req) return true end }',
}, settings=f'policy_http_allow = {{ "{web.url}/" }}').start()
equal(world.spawn(name="web").status, 201, "a spawn under policies with event hooks")
equal(world.post(f"/v1/instances/web/stop?wait={LIMIT}").status, 200, "a stop")
equal(world.delete(f"/v1/instances/web?wait={LIMIT}").status, 200, "and a removal")
want = world.events()
got = said("/all", len(want))
equal([(e["sequence"], e["kind"], e["name"]) for e in got], [(e["sequence"], e["kind"], e.get("name", "")) for e in want],
      "each event once, in order")
ok(all(e["late"] for e in got), "after it happened")
removed = got[-1]
equal((removed["kind"], removed["state"], removed["node"]), ("instance.removed", "gone", "local"), "of one that is gone there are the facts of the event")
equal(web.of("/all")[0].headers["Content-Type"], "application/json", "with the headers that were given")
until(lambda: events_of("all")["done"] == len(want), "the runs to be counted")
equal((events_of("all")["failed"], events_of("all")["queued"], events_of("shadow"), events_of("other")), (0, 0, None, None),
      "policy status tells of hooks that are run")
equal(web.of("/shadow"), [], "a shadow's is not")
has(Command(f"unix://{world.socket}")("policy", "status").out, f"all: event hook: {len(want)} done, 0 failed, 0 dropped, 0 queued", "so does the command")
metrics = world.get("/v1/metrics").body.decode()
has(metrics, f'gantry_policy_event_runs_total{{result="done"}} {len(want)}\n', "and the metrics")
equal(world.spawn(name="web").status, 201, "an instance for what follows")

# --- whom it may ask ---
port = web.port
web.answers["/away"] = (302, {"Location": f"{web.url}/hooks/elsewhere"}, b"")
web.answers["/large"] = (200, {}, b"x" * 70000)
web.answers["/full"] = (200, {}, b"x" * 65536)
web.answers["/broken"] = (500, {}, b"no")
TRIES = [(f"{web.url}/away", "302 0"), (f"{web.url}/large", "nil the reply is over 65536 bytes"), (f"{web.url}/full", "200 65536"),
         (f"{web.url}/broken", "500 2"), (f"HTTP://127.0.0.1:{port}/fine?a=b/../c", "200 4"),
         (f"http://127.0.0.1:{port + 1}/", "does not allow this address"), (f"http://127.0.0.1:{port}1/", "has a port that is not"),
         (f"http://127.0.0.1:{port}@localhost:{port}/", "must have no user name"), (f"http://user@127.0.0.1:{port}/", "must have no user name"),
         (f"http://localhost:{port}/", "does not allow this address"), (f"http://127.1:{port}/", "does not allow this address"),
         (f"http://127.0.0.1.:{port}/", "does not allow this address"), (f"https://127.0.0.1:{port}/", "does not allow this address"),
         (f"http://127.0.0.1:{port}\\\\@a/", "must have a"), ("http://[::1]/", "does not allow this address"), ("file:///etc/passwd", "must begin with http"),
         ("", "must begin with http"), (f"{web.url}/%2e%2e/x", "must have no"), (f" {web.url}/", "must begin with http")]
load("10-all.lua", policy("all", "local said = {}\nfor i, url in ipairs{ " + ", ".join(json.dumps(url) for url, _ in TRIES) + """ } do
  local r, why = gantry.http{ url = url }
  said[i] = r and r.status .. " " .. #r.body or "nil " .. why
end
say("/tries", said)"""))
web.asked.clear()
happen("addresses")
said("/tries")
for (url, part), line in zip(TRIES, said("/tries")[0]):
    has(line, part, f"asking {url!r}")
paths = [path for path in web.paths() if path != "/tries"]
equal(set(paths), {"/away", "/large", "/full", "/broken", "/fine?a=b/../c"}, "the server was asked for nothing else, and no redirect was followed")
has(log(), "is refused: policy_http_allow in gantry.lua does not allow this address", "a refused address is in the log")

# --- a slow server, and one that is not there ---
held = web.answers["/held"] = threading.Event()
load("10-all.lua", policy("all", f"""local began = gantry.now()
local r, why = gantry.http{{ url = "{web.url}/held", timeout = 0.3 }}
gantry.sleep(0.1)
say("/slow", {{ why = why or "it came", took = gantry.now() - began }})"""))
happen("a slow server")
slow = said("/slow")[0]
has(slow["why"], "no whole reply within 300 ms", "a server that is slow is an answer too")
ok(slow["took"] >= 0.4, f"after the time given and the sleep ({slow['took']:.2f} s)")
held.set()

# --- a run waits: nothing else does ---
hold = web.answers["/hold"] = threading.Event()
load("10-all.lua", policy("all", """local first = gantry.instance(ev.instance_id)
local r = say("/hold", { sequence = ev.sequence, state = first and first.state or "gone" })
local again, why = gantry.instance(ev.instance_id)
say("/held-on", { sequence = ev.sequence, body = r.body, kept = first and first.name or "", now = again and again.state or why })""", on='ev.kind ~= "policy.reloaded"'))
web.asked.clear()
sequence = happen("a wait")
equal(said("/hold")[0]["sequence"], sequence, "a run waits for a server")
began = time.monotonic()
equal(world.spawn(name="beside").status, 201, "a spawn meanwhile")
ok(time.monotonic() - began < 5 * SLOW, "is not held up")
equal(world.delete(f"/v1/instances/web?wait={LIMIT}&force=true").status, 200, "the instance that the run is about is removed meanwhile")
until(lambda: events_of("all")["queued"] >= 2, "events to wait for the hook")
equal(events_of("all")["waits"], sequence, "policy status tells that it waits, and about what")
equal(len(web.of("/hold")), 1, "one run at a time")
hold.set()
held_on = said("/held-on")[0]
equal((held_on["body"], held_on["kept"]), ("late", "web"), "it goes on with what it had")
has(held_on["now"], "no instance", "and sees that the instance is gone")
last = world.events()[-1]["sequence"]
until(lambda: said("/held-on")[-1]["sequence"] == last, "the others to follow")
equal([e["sequence"] for e in said("/held-on")], list(range(sequence, last + 1)), "each, in order")
equal(world.spawn(name="web").status, 201, "the instance again")

# --- budgets: the queue goes on ---
load("10-all.lua", policy("all", """gantry.sleep(0)
if ev.sequence % 2 == 0 then
  while true do end
end
say("/odd", { sequence = ev.sequence })"""))
web.asked.clear()
first = happen("a loop after a wait")
second = happen("the next")
second = second if (first + second) % 2 else happen("one with the other kind of number")
even, odd = (second, first) if first % 2 else (first, second)
until(lambda: odd in [e["sequence"] for e in said("/odd")], "the other event to be told")
until(lambda: events_of("all")["failed"] == 1, "the failure to be counted")
has(events_of("all")["last_error"], "10-all.lua:7: over its budget", "with file and line")
has(log(), f"policy all: its event hook failed for event {even}: 10-all.lua:7: over its budget", "in the log too")
has(world.get("/v1/doctor").body.decode(), "policy all: 1 of ", "and doctor tells")

# --- its own time ---
world.stop()
with open(world.config, "a") as file:
    file.write('policy_event_time = "700ms"\n')
world.policy("10-all.lua", policy("all", "gantry.sleep(3600)"))
world.start()
happen("a sleep that is too long")
until(lambda: events_of("all")["failed"] == 1, "the run to be ended")
equal(events_of("all")["last_error"], "10-all.lua:5: over its time of 700 ms for one event", "a run ends when its time is over")
equal(world.stop(), 0, "an orderly end")

# --- reload while a run waits ---
with open(world.config) as file:
    settings = file.read().replace('policy_event_time = "700ms"\n', "")
with open(world.config, "w") as file:
    file.write(settings)
WAITS = 'say("/%s", { sequence = ev.sequence }) say("/%s-after", { sequence = ev.sequence })'
gate = web.answers["/old"] = threading.Event()
stay = web.answers["/stay"] = threading.Event()
world.policy("10-all.lua", policy("all", WAITS % ("old", "old")))
world.policy("40-stay.lua", policy("stay", WAITS % ("stay", "stay")))
world.start()
web.asked.clear()
first = happen("a run of the old set")
said("/old"), said("/stay")
second = happen("the next in its queue")
until(lambda: events_of("all")["queued"] >= 1, "it to be in the queue")
load("10-all.lua", policy("all", WAITS % ("new", "new")))
equal([e["sequence"] for e in said("/new")][0], second, "the new file goes on with the queue of the old one")
has(log(), f"policy all: the run of its event hook for event {first} is cancelled: its file was changed", "the run of the old one is cancelled")
equal(events_of("stay")["waits"], first, "a policy whose file is the same is left alone")
gate.set(), stay.set()
equal(said("/stay-after", 2)[0]["sequence"], first, "and its run goes on")
equal(web.of("/old-after"), [], "that of the old file does not")

# --- the policy is removed while its hook runs ---
gone = web.answers["/new"] = threading.Event()
web.asked.clear()
first = happen("a run of a policy that goes")
said("/new")
happen("one more")
load("10-all.lua", None)
has(log(), f"for event {first} is cancelled: the policy is not in force any more", "a policy that is removed while its hook runs: cancelled")
has(log(), "events that waited for its event hook are dropped: the policy is not in force any more", "what waited is dropped, and told")
gone.set()
said("/stay-after", 2)
equal(web.of("/new-after"), [], "nothing of it runs any more")
has(world.get("/v1/metrics").body.decode(), 'gantry_policy_event_runs_total{result="cancelled"} 2\n', "both are counted")

# --- more than it can take ---
full = web.answers["/full-up"] = threading.Event()
load("40-stay.lua", policy("stay", 'say("/full-up", { sequence = ev.sequence })', on='ev.kind == "instance.health"'))
container = world.instance("web")["container_id"]
before = world.events()[-1]["sequence"]
become = lambda number: world.engine.ask("POST", "/fake/health", {"id": container, "status": "healthy" if number % 2 else "unhealthy"})
become(0)
said("/full-up")
for number in range(1, 1101):
    become(number)
health = lambda: [e["sequence"] for e in world.events(before) if e["kind"] == "instance.health"]
until(lambda: len(health()) == 1101, "1,100 events more", LIMIT * 2)
state = events_of("stay")
equal(state["queued"], 1000, "a thousand events wait")
equal(state["dropped"], 100, "the others are dropped and counted")
equal(log().count("policy stay: 1000 events wait for its event hook; events from"), 1, "which is told once")
has(world.get("/v1/doctor").body.decode(), "100 events were dropped", "and by doctor")
full.set()
until(lambda: events_of("stay")["queued"] == 0, "it to catch up", LIMIT * 3)
equal([e["sequence"] for e in said("/full-up")], health()[:1001], "those that waited are told in order")

# --- the end while a server never answers ---
never = web.answers["/never"] = threading.Event()
load("40-stay.lua", policy("stay", 'say("/never", { sequence = ev.sequence })'))
load("50-sleep.lua", policy("sleeper", "gantry.sleep(3600)"))
sequence = happen("one that is never answered")
said("/never")
until(lambda: events_of("sleeper").get("waits") == sequence, "the sleeper to sleep")
began = time.monotonic()
equal(world.stop(), 0, "gantryd stops while runs wait")
ok(time.monotonic() - began < 4 * SLOW, "at once")
for name in ("stay", "sleeper"):
    has(log(), f"policy {name}: the run of its event hook for event {sequence} is cancelled: gantryd stops", f"{name}: told as cancelled")
world.start()
happen("after the start")
world.kill()
never.set()
world.start()
equal(world.stop(), 0, "killed in a wait, started, stopped")
web.stop()

# --- no node is up ---
world = World(engine=False, policies={"10-all.lua": 'return { event = function(ev) gantry.sleep(3600) end }'}).start(up=False)
load("20-more.lua", "return {}")
until(lambda: events_of("10-all").get("waits"), "a run to wait")
equal(world.stop(), 0, "a run that waits does not keep gantryd from its end, where no node is up either")
done()
