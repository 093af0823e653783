#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ports of networks on a real engine: two instances on a bridge of the test's own, seen from inside and by each other; every
kind of restart; a port more and one less; what the doctor finds; steps that fail; and nothing left."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
from terminal import GANTRY

docker = Docker(own=True)
P = f"g{os.getpid() % 100000:05d}"  # unique in the first letters: interfaces are named after ids
BRIDGE = f"br{P}"
SOCKET = f"/run/docker/plugins/gantry-{docker.owner}.sock"
world = docker.world(settings=f'plugins = {{ net = {{ socket_folder = "{docker.folder}/net" }} }}', policies={"p.lua": """return { restart = function(instance, exit)
    if instance.labels.again then return 0 end
end }"""}, unit=["net.conf"]).start()


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def links():
    """Names of interfaces of the host that are of our ports, or bridges of ours."""
    return sorted(line.split(":")[1].split("@")[0].strip() for line in ip("-o", "link").stdout.splitlines() if P in line.split(":")[1])


def clean():
    world.end()
    for name in links():
        ip("link", "del", name)
    if os.path.lexists(SOCKET):
        os.unlink(SOCKET)


atexit.register(clean)
made = ip("link", "add", BRIDGE, "type", "bridge")
if made.returncode:
    skip_all(f"no bridge can be made: {made.stderr.strip()}")
ip("link", "set", BRIDGE, "up")


def port(n, **more):
    return {"id": f"{P}-{n}", "bridge": BRIDGE, "mac": f"fa:16:3e:00:00:0{n}", "addresses": [f"10.79.0.{n}/24", f"fd79::{n}/64"],
            "routes": ["default via 10.79.0.254", "10.80.0.0/16 via 10.79.0.253", "default via fd79::fe"], "mtu": 1400, "dns": ["192.0.2.7"], **more}


def run(name, *ports, command=("sleep", "1000"), **more):
    return world.spawn(name=name, image=IMAGE, command=list(command), network_ports=list(ports), **more)


def inside(name, *words):
    return docker("exec", name, *words)


def facts(name, interface="eth0"):
    """MAC, MTU and addresses of an interface, and the routes, as the kernel has them inside."""
    link = inside(name, "ip", "link", "show", interface)
    addresses = [line.split()[1] for line in inside(name, "ip", "addr", "show", interface).splitlines() if "scope global" in line]
    routes = [line.split(" dev ")[0] for line in (inside(name, "ip", "route") + "\n" + inside(name, "ip", "-6", "route")).splitlines()
              if " via " in line]
    return (link.split("link/ether ")[1].split()[0], int(link.split("mtu ")[1].split()[0]), addresses, sorted(routes))


def doctor(name):
    answer = world.get(f"/v1/instances/{name}/ports")
    assert answer.status == 200, answer
    return {p["id"]: p["findings"] for p in answer.json["ports"]}


def as_wanted(n):
    return (f"fa:16:3e:00:00:0{n}", 1400, [f"10.79.0.{n}/24", f"fd79::{n}/64"],
            ["10.80.0.0/16 via 10.79.0.253", "default via 10.79.0.254", "default via fd79::fe"])


# --- a first start -----------------------------------------------------------------------------------
FIRST = 'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu /sys/class/net/lo/operstate; ip -o addr show eth0; ip route; sleep 1000'
answer = run("na", port(1), command=("sh", "-c", FIRST))
equal(answer.status, 201, f"an instance with a port: {answer}")
answer = run("nb", port(2))
equal(answer.status, 201, f"and another: {answer}")
equal(facts("na"), as_wanted(1), "MAC, MTU, addresses and routes inside")
text = docker("logs", "na")
ok("fa:16:3e:00:00:01" in text and "1400" in text and "10.79.0.1/24" in text and "fd79::1/64" in text and "via 10.79.0.253" in text,
   "which its first process saw at once", text)
equal(inside("na", "ls", "/sys/class/net").split().count("eth1"), 0, "no interface of the engine's beside it")
equal(docker.pings("na", "10.79.0.2") and docker.pings("nb", "10.79.0.1"), True, "they reach each other over the bridge")
ok(docker.pings("na", "127.0.0.1"), "and themselves: lo is up")
has(inside("na", "cat", "/etc/resolv.conf"), "nameserver", "there is a name server")
equal(docker.inspect("na")["HostConfig"]["Dns"], ["192.0.2.7"], "the port's")
equal(doctor("na"), {f"{P}-1": []}, "the doctor finds nothing")
equal(links(), sorted([BRIDGE, f"tap{P}-1"[:14], f"tap{P}-2"[:14]]), "each has an interface on the host, named as Neutron's agents look for it")
show = world.get("/v1/instances/na").json["spec"]
equal((show["network"], show["network_ports"][0]["id"]), ("none", f"{P}-1"), "the spec says so")
answer = run("nc", port(1))
equal((answer.status, answer.json["field"]), (409, "network_ports[0].id"), "a port is one instance's")
has(answer.json["detail"], "is of instance na", "which is named")

# --- restarts of all kinds ---------------------------------------------------------------------------
equal(world.post("/v1/instances/na/restart?wait=60", {"grace": "0s"}).status, 200, "restart")
equal(facts("na"), as_wanted(1), "it is wired again")
equal(world.post("/v1/instances/na/stop?wait=60", {"grace": "0s"}).status, 200, "stop")
until(lambda: f"tap{P}-1"[:14] not in links(), "the engine to let go of the port")
equal(f"ctr{P}-1"[:14] in links(), False, "a stopped one has no interface")
equal(world.post("/v1/instances/na/start?wait=60").status, 200, "start")
equal(facts("na"), as_wanted(1), "it is wired again")
equal(run("nr", port(3), command=("sh", "-c", "sleep 1000"), labels={"again": "yes"}).status, 201, "one that policy restarts")
docker("kill", "nr")
until(lambda: world.get("/v1/instances/nr").json.get("boots") == 2 and world.get("/v1/instances/nr").json["state"] == "running", "the restart by policy")
equal(facts("nr"), as_wanted(3), "it is wired again")
world.kill()
world.start()
equal(facts("na"), as_wanted(1), "gantryd killed: nothing happens to who runs")
equal(doctor("na"), {f"{P}-1": []}, "and its successor knows the port")
world.kill()
pid = docker.inspect("nb")["State"]["Pid"]
away = subprocess.Popen([CLIENT, "-H", f"unix://{docker.socket}", "kill", "nb"], stdout=subprocess.DEVNULL)  # waits for the driver, that is us
until(lambda: not os.path.exists(f"/proc/{pid}/exe"), "the process to end")
world.start()
away.wait()
until(lambda: world.get("/v1/instances/nb").json["state"] == "stopped", "the exit to be seen")
equal([name for name in links() if name in (f"tap{P}-2"[:14], f"ctr{P}-2"[:14])], [], "what ended while gantryd was away leaves nothing")
equal(world.post("/v1/instances/nb/start?wait=60").status, 200, "start by the successor")
equal(facts("nb"), as_wanted(2), "it is wired again")
docker("stop", "-t", "0", "nb")
docker("start", "nb")
equal(facts("nb"), as_wanted(2), "also where somebody starts it at the engine")
docker.kill()
docker.again()
until(lambda: world.get("/v1/health").json["status"] == "ok" and world.get("/v1/instances/na").json["state"] == "stopped", "the engine to be back",
      LIMIT * 3)
until(lambda: world.get("/v1/instances/nr").json["state"] == "running", "the restart by policy after the engine's crash")
equal(facts("nr"), as_wanted(3), "it is wired again")
equal(world.post("/v1/instances/na/start?wait=60").status, 200, "start after the engine's crash")
equal(facts("na"), as_wanted(1), "it is wired again")
equal(docker.pings("na", "10.79.0.3"), True, "and reaches the other")

# --- a port more, and one less -------------------------------------------------------------------------
more = {"id": f"{P}-4", "bridge": f"bx{P}", "create_bridge": True, "addresses": ["10.81.0.4/24"]}
answer = world.post("/v1/instances/na/ports?wait=60", {"port": more})
equal(answer.status, 200, f"a port is attached while it runs: {answer}")
has(inside("na", "ip", "-o", "addr", "show", "eth1"), "10.81.0.4/24", "its interface is there")
ok(f"bx{P}" in links(), "its bridge was made")
equal(doctor("na"), {f"{P}-1": [], f"{P}-4": []}, "the doctor finds nothing")
same = {"id": f"{P}-5", "bridge": BRIDGE, "mtu": 1400, "addresses": ["10.79.0.5/24", "10.79.0.6/24"], "routes": ["default via 10.79.0.254"]}
answer = world.post("/v1/instances/na/ports?wait=60", {"port": same})
equal(answer.status, 200, f"one in a network that it is in already: {answer}")
equal(doctor("na"), {f"{P}-1": [], f"{P}-4": [], f"{P}-5": []}, "it has its addresses, which the engine cannot give it")
equal(world.post("/v1/instances/na/restart?wait=60", {"grace": "0s"}).status, 200, "restart")
equal(doctor("na"), {f"{P}-1": [], f"{P}-4": [], f"{P}-5": []}, "all three are wired again")
equal(world.post("/v1/instances/na/ports?wait=60", {"port": same}).status, 409, "attached twice is refused")
result = subprocess.run([GANTRY, "net", "detach", "na", f"{P}-4"], capture_output=True, text=True, env={**os.environ, "GANTRY_HOST": f"unix://{world.socket}"})
equal((result.returncode, result.stdout), (0, "na\n"), f"gantry net detach {result.stderr}")
equal([name for name in links() if name in (f"bx{P}", f"tap{P}-4"[:14])], [], "the port is gone, and the bridge that was made for it")
equal(world.delete(f"/v1/instances/na/ports?port={P}-4&wait=60").status, 404, "detached twice is told")
equal(world.delete(f"/v1/instances/na/ports?port={P}-5&wait=60").status, 200, "the other is detached")
equal(facts("na"), as_wanted(1), "the first is as it was")

# --- the doctor ------------------------------------------------------------------------------------------
pid = str(docker.inspect("na")["State"]["Pid"])
TAP = f"tap{P}-1"[:14]


def found(break_it, repair):
    for words in break_it:
        assert subprocess.run(words).returncode == 0, words
    findings = doctor("na")[f"{P}-1"]
    for words in repair:
        assert subprocess.run(words).returncode == 0, words
    return findings


enter = ["nsenter", "-t", pid, "-n", "ip"]
for wanted, break_it, repair in (
        (f"interface {TAP} on the host is down", ["link set {t} down"], ["link set {t} up"]),
        (f"interface {TAP} is not on bridge {BRIDGE}", ["link set {t} nomaster"], ["link set {t} master {b}"]),
        (f"interface {TAP} on the host has MTU 1300, not 1400", ["link set {t} mtu 1300"], ["link set {t} mtu 1400"]),
        (f"bridge {BRIDGE} is down", ["link set {b} down"], ["link set {b} up"]),
        (f"bridge {BRIDGE} has MTU 1200, the port 1400", ["link set {b} mtu 1200"], ["link set {b} mtu 1400"]),
        ("has MAC address fa:16:3e:99:00:01, not fa:16:3e:00:00:01", ["> link set eth0 address fa:16:3e:99:00:01"],
         ["> link set eth0 address fa:16:3e:00:00:01"]),
        ("eth0 has MTU 1280, not 1400", ["> link set eth0 mtu 1280"], ["> link set eth0 mtu 1400"]),
        ("eth0 lacks the address 10.79.0.1/24", ["> addr del 10.79.0.1/24 dev eth0"], ["> addr add 10.79.0.1/24 dev eth0"]),
        ("the route to everywhere via 10.79.0.254 is missing", [], ["> route add default via 10.79.0.254", "> route add 10.80.0.0/16 via 10.79.0.253"]),
        ("lo is down", ["> link set lo down"], ["> link set lo up"])):
    def words(texts):
        return [[*enter, *t[2:].split()] if t[0] == ">" else ["ip", *t.format(t=TAP, b=BRIDGE).split()] for t in texts]
    findings = found(words(break_it), words(repair))
    ok(any(wanted in text for text in findings), f"the doctor: {wanted}", findings)
equal(doctor("na"), {f"{P}-1": []}, "repaired, it finds nothing")
result = subprocess.run([GANTRY, "net", "doctor", "na"], capture_output=True, text=True, env={**os.environ, "GANTRY_HOST": f"unix://{world.socket}"})
equal((result.returncode, result.stdout.split()[-1]), (0, "ok"), "gantry net doctor")

# --- steps that fail ---------------------------------------------------------------------------------------
before = links(), sorted(docker.ps())


def fails(answer, *words):
    text = answer.json["detail"] if answer.status >= 400 else str(answer)
    ok(answer.status >= 400 and all(word in text for word in words), f"fails, and says {words}", text)
    until(lambda: (links(), sorted(docker.ps())) == before, "nothing to be left behind")


fails(run("nx", {"id": f"{P}-7", "bridge": "nosuchbr"}), "there is no bridge nosuchbr on this host")
fails(run("nx", {"id": f"{P}-7", "bridge": BRIDGE}, {"id": f"{P}-8", "bridge": "lo"}), "lo is no bridge")
fails(run("nx", {"id": f"{P}-7", "bridge": BRIDGE, "type": "ovs"}), P)
ip("link", "add", f"tap{P}-7"[:14], "type", "bridge")
before = links(), before[1]
fails(run("nx", {"id": f"{P}-7", "bridge": BRIDGE}), "is of no port of this gantryd")
ip("link", "del", f"tap{P}-7"[:14])
before = links(), before[1]
fails(run("nx", {"id": f"{P}-7", "bridge": BRIDGE, "addresses": ["10.82.0.7/24"], "routes": ["10.83.0.0/16 via 10.99.0.1"]}), "10.99.0.1 could not be found")
fails(run("nx", {"id": f"{P}-7", "bridge": f"by{P}", "create_bridge": True}, command=("/no/such",)), "/no/such")
fails(world.post("/v1/instances/na/ports?wait=60", {"port": {"id": f"{P}-7", "bridge": "nosuchbr"}}), "there is no bridge nosuchbr")
fails(world.post("/v1/instances/na/ports?wait=60", {"port": {"id": f"{P}-7", "bridge": BRIDGE, "addresses": ["10.82.0.7/24"],
                                                            "routes": ["10.83.0.0/16 via 10.99.0.1"]}}), f"port {P}-7")
equal(facts("na"), as_wanted(1), "who runs has what it had")
equal(world.post("/v1/instances/na/restart?wait=60", {"grace": "0s"}).status, 200, "restart")
equal(len(docker.inspect("na")["NetworkSettings"]["Networks"]), 1, "at the engine too, at the latest with its next start")

# --- killed amid ---------------------------------------------------------------------------------------------
for at in ("spawn/wire/during", "spawn/start/before", "spawn/start/during"):
    world.stop()
    world.start(crash_at=at)
    try:
        run("nk", port(6))
    except OSError:
        pass
    world.died()
    world.start()
    until(lambda: not [op for op in world.get("/v1/operations").json["operations"] if op["state"] == "running"], "the spawn to go on")
    equal(facts("nk"), as_wanted(6), f"killed {at}: the successor goes on, and all is wired")
    equal(world.delete("/v1/instances/nk?force=true&wait=60").status, 200, "removed")

for name in ("na", "nb", "nr"):
    equal(world.delete(f"/v1/instances/{name}?force=true&wait=60").status, 200, f"{name} is removed")
end = time.monotonic() + LIMIT
while links() != [BRIDGE] and time.monotonic() < end:
    time.sleep(0.05)
equal(links(), [BRIDGE], "no interface is left")
equal(world.stop(), 0, "gantryd ends in order")
equal(os.path.lexists(SOCKET), False, "its socket is gone")

# --- the host starts again: its interfaces are gone, the engine comes up first ---------------------------------
world.start()
equal([run("nh", port(1), labels={"again": "yes"}).status, run("ni", port(2)).status], [201, 201], "two instances with ports")
world.kill()
docker.kill()
for name in links():
    ip("link", "del", name)
ip("link", "add", BRIDGE, "type", "bridge")
ip("link", "set", BRIDGE, "up")
docker.again()
world.start()
until(lambda: world.get("/v1/instances/nh").json.get("boots") == 2 and world.get("/v1/instances/nh").json["state"] == "running", "the restart by policy", LIMIT * 3)
equal(facts("nh"), as_wanted(1), "one that policy restarts is wired again")
equal(world.post("/v1/instances/ni/start?wait=60").status, 200, "the other is started")
equal((facts("ni"), docker.pings("ni", "10.79.0.1")), (as_wanted(2), True), "and wired again, and they reach each other")
equal([world.delete(f"/v1/instances/{name}?force=true&wait=60").status for name in ("nh", "ni")], [200, 200], "removed")
until(lambda: links() == [BRIDGE], "no interface to be left")
equal(world.stop(), 0, "gantryd ends in order")

# --- a dead gantryd, and an engine that was not there when it lived ------------------------------------------
world.start()
world.kill()
equal(os.path.exists(SOCKET), True, "a gantryd that is killed leaves its socket")
docker.down()
docker.again()
began = time.monotonic()
has(docker.run("volume", "inspect", "nosuch").stderr, "No such volume", "an engine looks for a volume that is not there")
took = time.monotonic() - began
ok(took < 6, f"and does not wait for a dead gantryd ({took:.1f} s)")
done()
