#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Steps of a plug that fail on a real engine: a network's name that is taken, a driver's socket that is gone, a bridge that goes in between, an
engine that is killed between endpoint and join, what is left to do after a start, ports attached and detached. Each tells what failed, leaves
nothing, and works once the fault is gone. What the kernel and Open vSwitch can refuse has plugins/net/t/4230-wiring.c."""
import os
import shutil
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *

docker = Docker(own=True)
P = f"f{os.getpid() % 100000:05d}"  # unique in the first letters: interfaces are named after ids
BRIDGE = f"br{P}"
LINK = f"/run/docker/plugins/gantry-{docker.owner}.sock"
NETWORK = f"gantry-{docker.owner}"
HELD, GO = (f"{docker.folder}/{name}" for name in ("held", "go"))
FIRST, SECOND = (f"{docker.folder}/{name}" for name in ("first", "second"))
# Open vSwitch as far as a plug needs it. Where the files are there, the second that looks for a bridge is held: the first is the flow, that one the engine.
TOOL = f"""#!/bin/sh
case $* in
*br-exists*) rm {FIRST} 2>/dev/null || ! rm {SECOND} 2>/dev/null || {{ touch {HELD}; until [ -e {GO} ]; do sleep 0.02; done; }} ;;
*get*) echo system ;;
esac
"""
os.mkdir(f"{docker.folder}/bin")
with open(f"{docker.folder}/bin/ovs-vsctl", "w") as file:
    file.write(TOOL)
os.chmod(file.name, 0o755)
os.environ["PATH"] = f"{docker.folder}/bin:{os.environ['PATH']}"
world = docker.world(settings=f'plugins = {{ net = {{ socket_folder = "{docker.folder}/net", ovs_timeout = "{LIMIT}s" }} }}', unit=["net.conf"])


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def links():
    """Names of interfaces of the host that are of our ports, or bridges of ours."""
    return sorted(line.split(":")[1].split("@")[0].strip() for line in ip("-o", "link").stdout.splitlines() if P in line.split(":")[1])


def clean():
    if stopped:
        os.kill(stopped.pop(), signal.SIGCONT)
    world.end()
    for name in links():
        ip("link", "del", name)
    if os.path.lexists(LINK):
        os.unlink(LINK)


stopped = []  # an engine


def make_bridge():
    return ip("link", "add", BRIDGE, "up", "type", "bridge")


atexit.register(clean)
made = make_bridge()
if made.returncode:
    skip_all(f"no bridge can be made: {made.stderr.strip()}")
world.start()


def port(n, **more):
    return {"id": f"{P}-{n}", "bridge": BRIDGE, "addresses": [f"10.78.0.{n}/24"], **more}


def run(*ports, command=("sleep", "1000"), name="na"):
    return world.spawn(name=name, image=IMAGE, command=list(command), network_ports=list(ports))


def start():
    return world.post("/v1/instances/na/start?wait=60")


def addresses():
    return [line.split()[3] for line in docker("exec", "na", "ip", "-o", "-4", "addr").splitlines() if " eth" in line]


def endpoints():
    """Of all networks of ours, as libnetwork has them."""
    names = docker("network", "ls", "--filter", f"name={NETWORK}", "--format", "{{.Name}}").split()
    return sorted(e["Name"] for network in (json.loads(docker("network", "inspect", *names)) if names else []) for e in network["Containers"].values())


def left():
    return links(), sorted(docker.ps()), endpoints()


def fails(answer, *words, leaves):
    detail = answer.json.get("detail") or answer.json.get("error", {}).get("detail", "")
    ok(answer.status >= 400 and all(word in detail for word in words), f"fails, and says {words}", answer)
    until(lambda: left() == leaves, f"nothing to be left: {left()}, not {leaves}")


def taken(place):
    """A network that has the name of one of ours."""
    docker("network", "create", "--driver", "bridge", "--subnet", "10.77.0.0/24", f"{NETWORK}-{place:02d}")
    return f"there is a network {NETWORK}-{place:02d} of driver bridge, not {NETWORK}: remove it"


NOTHING = ([BRIDGE], [], [])
TAP = [f"tap{P}-1"]

# --- networks, and the driver's socket -----------------------------------------------------------------
said = taken(0)
fails(run(port(1)), said, leaves=NOTHING)
docker("network", "rm", f"{NETWORK}-00")
os.unlink(LINK)
os.unlink(f"{docker.folder}/net/{NETWORK}.sock")
answer = run(port(1))
equal(answer.status, 201, f"without that one, and with a socket that somebody removed: {answer}")
equal(addresses(), ["10.78.0.1/24"], "it is wired")
RUNS = (sorted([BRIDGE, *TAP]), ["na"], ["na"])
equal(left(), RUNS, "by an endpoint and a pair")

# --- a port more, of what runs -----------------------------------------------------------------------------
said = taken(1)
attach = "/v1/instances/na/ports?wait=60"
fails(world.post(attach, {"port": port(2, addresses=["10.76.0.2/24"])}), said, leaves=RUNS)
docker("network", "rm", f"{NETWORK}-01")
UNREACHABLE = port(3, routes=["10.90.0.0/16 via 10.77.0.9"])
REASON = f"port {P}-3: route to 10.90.0.0/16 via 10.77.0.9: Network is unreachable"
fails(world.post(attach, {"port": UNREACHABLE}), REASON, leaves=RUNS)
equal((addresses(), world.state("na")), (["10.78.0.1/24"], "running"), "it has what it had")
equal(world.post(attach, {"port": port(2, addresses=["10.76.0.2/24"])}).status, 200, "without the fault a port is attached")
equal(addresses(), ["10.78.0.1/24", "10.76.0.2/24"], "and there")
equal(world.delete(f"/v1/instances/na/ports?port={P}-2&wait=60").status, 200, "and detached")
equal(left(), RUNS, "wholly")

# --- what is left to do after a start -------------------------------------------------------------------------
fails(run(port(4), UNREACHABLE, name="nb"), REASON, leaves=RUNS)
answer = run(port(4), port(3), command=["true"], name="nb")
equal(answer.status, 201, f"what ended at once has nothing left to do: {answer}")
equal(world.delete("/v1/instances/nb?force=true&wait=60").status, 200, "removed")
equal(world.post("/v1/instances/na/stop?wait=60", {"grace": "0s"}).status, 200, "stop")
STOPPED = ([BRIDGE], ["na"], [])
until(lambda: left() == STOPPED, "the engine to let go")
equal(world.post(attach, {"port": UNREACHABLE}).status, 200, "a port is attached to what does not run")
fails(start(), REASON, leaves=STOPPED)
until(lambda: (world.state("na"), docker.inspect("na")["State"]["Running"]) == ("stopped", False), "the start that failed to have an end")
equal(world.delete(f"/v1/instances/na/ports?port={P}-3&wait=60").status, 200, "detached where it does not run")
equal(links(), sorted([BRIDGE, f"ctr{P}-1", *TAP]), "its pair goes; that of the other waits for a start")

# --- a bridge that goes between ----------------------------------------------------------------------------------
world.stop()
world.start(crash_at="start/start/before")
try:
    start()
except OSError:
    pass
world.died()
ip("link", "del", BRIDGE)
world.start()
until(lambda: not world.running_operations(), "the start to go on")
failed = world.get("/v1/operations?instance=na").json["operations"]
ok(any(o["kind"] == "start" and f"port {P}-1: there is no bridge {BRIDGE} on this host" in str(o.get("error")) for o in failed),
   "a bridge that goes between wire and start is told", failed[:2])
until(lambda: left() == ([], ["na"], []) and world.state("na") == "stopped", "nothing to be left")
for why, fault, repair in (
        (f"there is no bridge {BRIDGE} on this host", lambda: None, make_bridge),
        (f"there is an interface {TAP[0]} already that is of no port of this gantryd", lambda: ip("link", "add", *TAP, "type", "bridge"),
         lambda: ip("link", "del", *TAP))):
    fault()
    there = links()
    tried = docker.run("start", "na")
    ok(tried.returncode and why in tried.stderr, f"started by somebody at the engine it fails, and says {why}", tried)
    equal((left(), world.state("na")), ((there, ["na"], []), "stopped"), "nothing is left")
    repair()
equal(start().status, 200, "without the faults it starts")
equal((addresses(), left()), (["10.78.0.1/24"], RUNS), "and is wired")
equal(world.delete("/v1/instances/na?force=true&wait=60").status, 200, "removed")
until(lambda: left() == NOTHING, "nothing to be left")

# --- an engine that is killed between endpoint and join -------------------------------------------------------------
HOLD = {"id": f"{P}-h", "type": "ovs", "bridge": "brhold", "addresses": ["10.78.0.9/24"]}
equal(world.post("/v1/instances?start=false&wait=60", {"name": "na", "image": IMAGE, "command": ["sleep", "1000"], "network_ports": [HOLD]}).status, 201, "made")
for name in (FIRST, SECOND):
    with open(name, "w"):
        pass
answers = []
asked = threading.Thread(target=lambda: answers.append(start()))
asked.start()
until(lambda: os.path.exists(HELD), "the engine to ask for an endpoint")
with open(f"{docker.folder}/dockerd") as file:
    stopped.append(int(file.read()))
os.kill(stopped[0], signal.SIGSTOP)
with open(GO, "w"):
    pass
until(lambda: "alias gantry" in (told := ip("link", "show", f"tap{P}-h").stdout) and not told.strip().endswith("-"), "the endpoint to be made")
docker.kill()
stopped.clear()
docker.again()
asked.join()
ok(answers[0].status >= 400, "the start fails", answers[0])
until(lambda: world.get("/v1/health").json["status"] == "ok" and not world.running_operations() and world.state("na") == "stopped", "the engine to be back", LIMIT * 3)
until(lambda: left() == STOPPED, "nothing to be left")
equal(start().status, 200, "with the engine back it starts")
equal((addresses(), links()), (["10.78.0.9/24"], sorted([BRIDGE, f"tap{P}-h"])), "and is wired")
equal(world.delete("/v1/instances/na?force=true&wait=60").status, 200, "removed")
until(lambda: left() == NOTHING, "nothing to be left")
done()
