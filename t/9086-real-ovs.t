#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ports on a bridge of Open vSwitch, with its userspace datapath, on a real engine. Skipped where Open vSwitch is not installed, or
somebody's runs."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *

RUN = "/run/openvswitch"
if not all(map(shutil.which, ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovsdb-tool"))):
    skip_all("Open vSwitch is not installed (apt install openvswitch-switch)")
if os.path.exists(f"{RUN}/db.sock"):
    skip_all(f"there is an Open vSwitch at {RUN}")
folder = tempfile.mkdtemp(prefix="gantry-ovs.")
P = f"v{os.getpid() % 100000:05d}"  # unique in the first letters: interfaces are named after ids
BRIDGE = f"br{P}"
processes = []


def tool(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT)


def switch():
    os.makedirs(RUN, exist_ok=True)
    made = tool("ovsdb-tool", "create", f"{folder}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    if made.returncode:
        skip_all(f"no database for Open vSwitch: {made.stderr.strip()}")
    with open(f"{folder}/log", "w") as log:
        processes.append(subprocess.Popen(["ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{RUN}/db.sock", f"--unixctl={folder}/db.ctl"], stderr=log))
        until(lambda: os.path.exists(f"{RUN}/db.sock"), "the database of Open vSwitch")
        tool("ovs-vsctl", "--no-wait", "init")
        processes.append(subprocess.Popen(["ovs-vswitchd", f"unix:{RUN}/db.sock", f"--unixctl={folder}/vs.ctl"], stderr=log))
    made = tool("ovs-vsctl", "--timeout=10", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev")
    if made.returncode:
        skip_all(f"no bridge: {made.stderr.strip()}")


def clean():
    tool("ovs-vsctl", "--timeout=5", "--if-exists", "del-br", BRIDGE)
    for process in reversed(processes):
        process.terminate()
        process.wait(LIMIT)
    for path in (f"{RUN}/db.sock", SOCKET):
        if os.path.lexists(path):
            os.unlink(path)
    shutil.rmtree(folder, ignore_errors=True)


docker = Docker()
SOCKET = f"/run/docker/plugins/gantry-{docker.owner}.sock"
atexit.register(clean)
switch()
world = docker.world(unit=["net.conf"], settings=f'plugins = {{ net = {{ socket_folder = "{folder}/net" }} }}').start()


def port(n, **more):
    return {"id": f"{P}-{n}", "type": "ovs", "bridge": BRIDGE, "mac": f"fa:16:3e:00:01:0{n}", "addresses": [f"10.78.0.{n}/24"], "mtu": 1400, **more}


def external(n, key):
    return tool("ovs-vsctl", "--timeout=5", "get", "Interface", f"tap{P}-{n}", f"external_ids:{key}").stdout.strip().strip('"')


def plugged():
    return sorted(tool("ovs-vsctl", "--timeout=5", "list-ports", BRIDGE).stdout.split())


for n in (1, 2):
    answer = world.spawn(name=f"{P}i{n}", image=IMAGE, command=["sh", "-c", "while :; do echo hello | nc -l -p 80; done"], network_ports=[port(n)])
    equal(answer.status, 201, f"an instance on a bridge of Open vSwitch: {answer}")
equal(plugged(), [f"tap{P}-1", f"tap{P}-2"], "both are on the bridge")
instance = world.get(f"/v1/instances/{P}i1").json
equal((external(1, "iface-id"), external(1, "attached-mac"), external(1, "vm-uuid"), external(1, "iface-status")),
      (f"{P}-1", "fa:16:3e:00:01:01", instance["id"], "active"), "with what Neutron's agent looks for")
ok(docker.pings(f"{P}i1", "10.78.0.2"), "they reach each other")
equal(docker.run("exec", f"{P}i1", "sh", "-c", "nc -w 5 10.78.0.2 80 </dev/null").stdout, "hello\n", "by TCP as well: checksums are whole")
equal(world.get(f"/v1/instances/{P}i1/ports").json["ports"][0]["findings"], [], "the doctor finds nothing")
tool("ovs-vsctl", "--timeout=5", "del-port", f"tap{P}-1")
equal(world.get(f"/v1/instances/{P}i1/ports").json["ports"][0]["findings"], [f"interface tap{P}-1 is not on bridge {BRIDGE}"], "or what is wrong")
equal(world.post(f"/v1/instances/{P}i1/restart?wait=60", {"grace": "0s"}).status, 200, "restart")
equal(world.get(f"/v1/instances/{P}i1/ports").json["ports"][0]["findings"], [], "it is wired again")
answer = world.spawn(name=f"{P}i3", image=IMAGE, network_ports=[port(3, bridge="brnosuch")])
ok(answer.status >= 400 and f"port {P}-3: there is no bridge brnosuch of Open vSwitch" in answer.json["detail"], "no such bridge is told", answer)
for n in (1, 2):
    equal(world.delete(f"/v1/instances/{P}i{n}?force=true&wait=60").status, 200, "removed")
until(lambda: plugged() == [], "the bridge to be empty")
ok(not [line for line in tool("ip", "-o", "link").stdout.splitlines() if f"{P}-" in line], "and no interface is left")
equal(world.stop(), 0, "gantryd ends in order")
done()
