#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every gantry command on a real gantryd with the fake engine."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

POLICY = """
return {
  admit = function(req)
    if #req.cap_add > 0 then return false, "no capabilities here" end
    return true
  end,
  resources = function(req, res) if not req.pids then return { pids = 77 } end end,
}
"""
world = World(policies={"10-caps.lua": POLICY}).start()
gantry = Command("unix://" + world.socket)
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def check(words, status, out=None, err="", name=None):
    """out and err: regular expressions for all of it; None: anything."""
    result = gantry(*words)
    fits = result.status == status
    for want, got in ((out, result.out), (err, result.err)):
        fits = fits and (want is None or re.fullmatch(want, got, re.S) is not None)
    if not ok(fits, name or "gantry " + " ".join(words)):
        diag(f"{result!r}\nwant {status}\nout {out!r}\nerr {err!r}")
    return result.out


def state(name):
    return world.get(f"/v1/instances/{name}").json.get("state")


def wait_state(name, wanted):
    until(lambda: state(name) == wanted, f"{name} to be {wanted}")


# run
out = check(["run", "-d", "--name", "web", "-l", "a=1", "-e", "A=1", "--secret", "S=hidden", "-m", "64MiB", "busybox", "sleep", "1000"], 0, UUID + "\n")
ID = out.strip()
equal((state("web"), [c["State"] for c in world.engine.containers(world.owner)]), ("running", ["running"]), "it runs, on the engine too")
check(["run", "busybox", "echo", "hello  world"], 0, "hello  world\n")
check(["run", "busybox", "warn", "oops"], 0, "", "oops\n")
for code in (0, 1, 3, 125, 255):
    check(["run", "busybox", "exit", str(code)], code, "")
check(["run", "busybox", "notfound"], 127, "", r"gantry: busybox: .*not found.*operation .*")
check(["run", "busybox", "noexec"], 126, "", r"gantry: busybox: .*permission denied.*operation .*")
check(["run", "missing:1"], 125, "", r"gantry: .*missing:1.*operation .*")
check(["run", "-d", "missing:1"], 3, "", r"gantry: .*missing:1.*operation .*")
check(["run", "-d", "--cap-add", "NET_ADMIN", "busybox"], 4, "",
      r"gantry: busybox: .*no capabilities here.*10-caps\.lua:4.*\n  decision \d+; why: gantry policy explain \d+\n  operation .*\n")
check(["run", "-d", "--name", "web", "busybox"], 5, "", r"gantry: .*web.*")
check(["run", "-d", "-m", "12 parsecs", "busybox"], 2, "", r"gantry: busybox: memory: .*12 parsecs.*64MiB.*\n  given by --memory\n")
check(["run", "-d", "-v", "a:b:c:d", "busybox"], 2, "", r"gantry: .*mounts\[0\].*\n  given by --mount\n")
check(["run", "-d", "--network", "", "busybox"], 2, "", r"gantry: .*\n  given by --network\n")
check(["run", "--rm", "--name", "once", "busybox", "exit", "4"], 4, "")
check(["show", "once"], 3, "", r"gantry: .*once.*\n", "run --rm removed it")
result = gantry.on_terminal("run", "-d", "--name", "pulled", "pullable:1", "sleep")
ok(result.status == 0 and re.fullmatch(UUID + "\n", result.out), "run -d of an image that must be pulled, on a terminal")

# a long one in the foreground: signals
for command_words, status in ((["lines", "3"], 143), (["stubborn"], 137)):
    name = "fg-" + command_words[0]
    process = gantry.start("run", "--name", name, "--stop-grace", "300ms", "busybox", *command_words)
    wait_state(name, "running")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT * 2)
    equal(process.returncode, status, f"{' '.join(command_words)}: stopped by Ctrl-C")
    wait_state(name, "stopped")

# gantryd is killed and started again under a foreground run
process = gantry.start("run", "--name", "through", "busybox", "lines", "2")
equal((process.stdout.readline(), process.stderr.readline()), (b"line 1\n", b"line 2\n"), "two lines came, one on each stream")
world.kill()
world.start()
container = next(c for c in world.engine.containers(world.owner) if c["Names"][0].endswith("through"))
world.engine.ask("POST", "/fake/write", {"id": container["Id"], "stream": 1, "text": "after\n"})
world.engine.ask("POST", "/fake/exit", {"id": container["Id"], "code": 9})
out, err = process.communicate(timeout=LIMIT * 3)
equal((process.returncode, out, err), (9, b"after\n", b""), "a foreground run outlives a restart of gantryd, and prints nothing twice")

# looking
check(["ps"], 0, rf"NAME +ID +IMAGE +NODE +STATE +SINCE\n(?=.*\bweb +{ID[:8]} +busybox +local +running +\d+s\n)(?=.*\bpulled +)(?!.*stopped).*")
check(["ps", "-a"], 0, r".*stopped \(3\).*")
check(["ps", "-q", "-l", "a=1"], 0, ID + "\n")
check(["ps", "-q", "--project", "other"], 0, "")
check(["ps", "--state", "asleep"], 2, "", "gantry: .*asleep.*")
equal(json.loads(gantry("ps", "--json").out)["instances"][0]["id"], ID, "ps --json")
for word in ("web", ID, ID[:8]):
    check(["show", word], 0, r"name +web\nid +.*labels\n  a=1\nspec\n.*memory +64MiB\n.*pids +77\n.*", name=f"show {word}")
ok("hidden" not in gantry("show", "web").out + gantry("show", "--json", "web").out, "no secret is shown")
check(["show", "nothing"], 3, "", "gantry: .*nothing.*\n")
check(["top", "web"], 0, r".*PID +CMD\n.*sleep.*")
check(["stats", "web"], 0, r"NAME +CPU .*\nweb  .*MiB.*")
check(["stats"], 0, r"NAME +CPU .*\n(.*\n)*web  .*")

# verbs
check(["pause", "web"], 0, "web\n")
equal(state("web"), "paused", "it is")
check(["pause", "web"], 5, "", "gantry: .*web.*paused.*\n")
check(["unpause", "web"], 0, "web\n")
check(["resize", "-m", "32m", "--memory-swap", "64m", "--cpus", "0.5", "web"], 0, "web\n")
equal(world.get("/v1/instances/web").json["spec"].get("memory"), 32 << 20, "it is resized")
check(["resize", "--cpus", "no", "web"], 2, "", "gantry: web: cpus: .*\n  given by --cpus\n")
check(["stop", "-t", "1s", "web", "pulled"], 0, "web\npulled\n")
check(["wait", "web"], 0, "143\n")
equal(json.loads(gantry("wait", "--json", "web").out)["last_exit"]["signal_source"], "sent", "with its signal")
check(["wait", "--exit-code", "web"], 143, "143\n")
check(["stop", "web"], 5, "", "gantry: .*web is stopped.*\n")
check(["top", "web"], 5, "", "gantry: .*\n")
check(["start", "web", "nothing", "pulled"], 3, "web\npulled\n", "gantry: .*nothing.*\n")
check(["restart", "-t", "1s", "web"], 0, "web\n")
check(["wait", "--timeout", "50ms", "web"], 7, "", "gantry: web: still running\n")
check(["kill", "-s", "NOPE", "web"], 2, "", "gantry: .*NOPE.*\n")
waiters = [gantry.start("wait", "web") for _ in range(5)]
check(["kill", "web"], 0, "web\n")
equal([process.communicate(timeout=LIMIT)[0] for process in waiters], [b"137\n"] * 5, "five that wait hear of it")
check(["start", "web"], 0, "web\n")
waiter = gantry.start("wait", "--any", "--exit-code", "web", "pulled")
check(["kill", "pulled"], 0, "pulled\n")
equal((waiter.communicate(timeout=LIMIT)[0], waiter.returncode), (b"pulled 137\n", 137), "--any: the first that ends, not the first that is named")
check(["kill", "web"], 0, "web\n")
check(["wait", "pulled", "web"], 0, "137\n137\n")
check(["start", "web", "--no-wait"], 0, "web\n")
wait_state("web", "running")
check(["rm", "web"], 5, "", "gantry: .*web.*\n")
check(["rm", "-f", "web", "pulled"], 0, "web\npulled\n")
check(["show", "web"], 3, "", None)

# images and nodes
check(["pull", "pullable:2"], 0, "local: pullable:2\n")
check(["pull", "--node", "local", "missing:2", "pullable:3"], 3, "local: pullable:3\n", r"gantry: .*missing:2.*")
check(["pull", "--node", "nothing", "x"], 3, "", "gantry: .*nothing.*")
check(["images"], 0, r"IMAGE +ID +NODE +SIZE +CREATED\n.*local.*")
check(["images", "--node", "local"], 0, r".*local.*")
check(["node", "ls"], 0, r"NAME +STATE .*\nlocal +up .*")
check(["node", "show", "local"], 0, r"name +local\n.*facts\n.*")
result = gantry.on_terminal("pull", "pullable:9")
ok(result.status == 0 and result.out == "local: pullable:9\n", "pull on a terminal")

# policies
out = check(["policy", "explain", ID], 0, rf"decision \d+: .*allowed.*", name="policy explain of an instance that is gone, by its id")
decision = re.match(r"decision (\d+)", out)[1]
equal(check(["policy", "explain", decision], 0), out, "by the decision: the same")
check(["policy", "explain", "--all", ID], 0, r"(decision \d+: .*\n\n)+decision \d+: spawn .*pids.*10-caps\.lua.*")
check(["policy", "explain", "99999"], 3, "", None)
check(["policy", "eval", "busybox"], 0, r"spawn by uid:\d+ in project default allowed.*10-caps\.lua.*")
check(["policy", "eval", "--cap-add", "NET_ADMIN", "busybox"], 4, r"spawn by .* refused\n.*no capabilities here.*")
check(["policy", "eval", "-m", "lots", "busybox"], 2, "", r"gantry: .*memory: .*\n  given by --memory\n")
check(["policy", "status"], 0, r"revision [0-9a-f]+\nPOLICY .*\n10-caps +enforce +.*admit resources.*10-caps\.lua\n")
check(["policy", "check", world.policies], 0, ".*ok.*")
world.policy("20-more.lua", "return {}")
check(["policy", "reload"], 0, r"revision .*10-caps.*20-more .*")
world.policy("20-more.lua", "return { colour = 1 }")
check(["policy", "reload"], 2, "", r"gantry: .*20-more\.lua.*colour.*")
check(["policy", "status"], 0, r"revision .*20-more .*")
os.unlink(os.path.join(world.policies, "20-more.lua"))
check(["policy", "reload"], 0, r"revision (?!.*20-more).*")
bad = os.path.join(world.folder, "bad")
os.mkdir(bad)
with open(os.path.join(bad, "a.lua"), "w") as file:
    file.write("return { admit = 1 }\n")
result = gantry("policy", "check", bad)
ok(result.status != 0 and "a.lua" in result.out + result.err, "policy check of a wrong file names it")

# events and operations
out = check(["events"], 0, r".*instance\.started  web  node=local.*instance\.exited  web .*exit=137, signal 9 \(sent\).*")
last = int(out.splitlines()[-1].split()[1])
process = gantry.start("events", "-f", "--json", "--after", str(last))
check(["run", "busybox", "exit", "0"], 0)
line = json.loads(process.stdout.readline())
equal(line["sequence"], last + 1, "events --follow goes on after that one")
world.kill()
world.start()
check(["run", "--name", "late", "busybox", "exit", "0"], 0)
sequences = [line["sequence"]]
names = []
while "late" not in names:
    event = json.loads(process.stdout.readline())
    sequences.append(event["sequence"])
    names.append(event.get("name"))
equal(sequences, list(range(last + 1, last + 1 + len(sequences))), "and over a restart of gantryd, each one once")
process.terminate()
process.communicate(timeout=LIMIT)
out = check(["ops"], 0, rf"ID +KIND .*\n{UUID} +spawn +late +done .*")
check(["ops", out.splitlines()[1].split()[0]], 0, r"operation .*\nspawn late by uid:.*: done\n.*took .*: policy .*, store .*, engine .*, other .*\n  policy .*")
check(["ops", "--instance", "late", "--limit", "1"], 0, r"ID .*\n[^\n]* late [^\n]*\n")
check(["ops", "nothing"], 3, "", "gantry: .*nothing.*")

# the daemon
check(["doctor"], 0, r"ok .*")
check(["version"], 0, r"gantry   (\S+)\ngantryd  \1 at .*, API 1\nplugin   docker .*")
world.engine.stop()
until(lambda: world.get("/v1/health").json["status"] == "degraded", "the node to be down")
check(["doctor"], 1, r".*fail  node local: .*")
check(["run", "-d", "busybox"], 1, "", None, "run -d where no node is up: 1")
equal(world.stop(), 0, "gantryd ends well")
check(["ps"], 6, "", "gantry: cannot reach gantryd at .*")
check(["doctor"], 6, "", None)
done()
