#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every field of a spec crosses to a real Docker Engine, given through the API and through the command:
a container each, and what `docker inspect` says of it beside one that was given nothing."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from command import Command, spec_rows
from daemon import *

docker = Docker()
world = docker.world(unit=["net.conf"], settings="plugins = { net = {} }").start()
gantry = Command("unix://" + world.socket)
P = f"f{os.getpid()}-"
HOME = os.path.join(world.folder, "bound")
os.mkdir(HOME)
DISK = next((f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if name.startswith(("vd", "sd", "nvme", "xvd"))), None)
MIB = 1 << 20


def at(inspected, path):
    for key in path:
        inspected = inspected[key] if isinstance(key, int) and len(inspected) > key else inspected.get(key) if isinstance(
            inspected, dict) else None
        if inspected is None:
            return None
    return inspected


def host(*path):
    return ("HostConfig", *path)


def config(*path):
    return ("Config", *path)


HEALTH = {"Test": ["CMD-SHELL", "true"], "Interval": 30 * 10**9, "Timeout": 2500 * 10**6, "StartPeriod": 10**9, "Retries": 7}
# member: (value for the API, words for the command, [(path in docker inspect, what is there)])
FIELDS = {
    "name": (P + "named", ["--name", P + "named"], [(("Name",), f"/{P}named")]),
    "project": ("shop", ["--project", "shop"], [(config("Labels", "gantry.project"), "shop")]),
    "labels": ({"tier": 'gold "quoted"', "empty": ""}, ["--label", 'tier=gold "quoted"', "--label", "empty="],
               [(config("Labels", "tier"), 'gold "quoted"'), (config("Labels", "empty"), "")]),
    "image": (IMAGE, [], [(config("Image"), IMAGE)]),
    "command": (["sleep", "1001"], [], [(config("Cmd"), ["sleep", "1001"])]),
    "entrypoint": (["/bin/sh", "-c"], ["--entrypoint", "/bin/sh", "--entrypoint", "-c"], [(config("Entrypoint"), ["/bin/sh", "-c"])]),
    "environment": (["COLOUR=blue=green", {"name": "EMPTY", "value": ""}, {"name": "HIDDEN", "value": "s3cret", "secret": True}],
                    ["--env", "COLOUR=blue=green", "--env", "EMPTY=", "--secret", "HIDDEN=s3cret"],
                    [(config("Env"), ["COLOUR=blue=green", "EMPTY=", "HIDDEN=s3cret", "PATH=/bin"])]),
    "user": ("0:0", ["--user", "0:0"], [(config("User"), "0:0")]),
    "working_dir": ("/tmp", ["--workdir", "/tmp"], [(config("WorkingDir"), "/tmp")]),
    "hostname": ("fields", ["--hostname", "fields"], [(config("Hostname"), "fields")]),
    "tty": (True, ["--tty"], [(config("Tty"), True)]),
    "stdin_open": (True, ["--interactive"], [(config("OpenStdin"), True)]),
    "mounts": ([f"{HOME}:/host:ro", {"type": "volume", "source": P + "volume", "target": "/data"}, "tmpfs:/scratch:1MiB"],
               ["--mount", f"{HOME}:/host:ro", "--mount", f"{P}volume:/data", "--mount", "tmpfs:/scratch:1MiB"],
               [(host("Mounts", 0), {"Type": "bind", "Source": HOME, "Target": "/host", "ReadOnly": True}),
                (host("Mounts", 1, "Type"), "volume"), (host("Mounts", 1, "Source"), P + "volume"),
                (host("Mounts", 2, "Type"), "tmpfs"), (host("Mounts", 2, "TmpfsOptions", "SizeBytes"), MIB)]),
    "ports": (["80", {"container_port": 53, "protocol": "udp", "host_ip": "127.0.0.2"}],
              ["--publish", "80", "--publish", "127.0.0.2::53/udp"],
              [(host("PortBindings", "80/tcp", 0, "HostIp"), "127.0.0.1"), (host("PortBindings", "53/udp", 0, "HostIp"), "127.0.0.2"),
               (config("ExposedPorts"), {"80/tcp": {}, "53/udp": {}})]),
    "network": ("none", ["--network", "none"], [(host("NetworkMode"), "none")]),
    "network_ports": ([{"id": f"{P}port", "bridge": f"br{os.getpid()}", "create_bridge": True}],
                      ["--port-spec", f"{P}port,bridge=br{os.getpid()},create_bridge"],
                      [(("NetworkSettings", "Networks", f"gantry-{docker.owner}-00", "DriverOpts", "gantry.addresses"), ""),
                       (host("NetworkMode"), "none")]),
    "dns": (["192.0.2.53"], ["--dns", "192.0.2.53"], [(host("Dns"), ["192.0.2.53"])]),
    "dns_search": (["example.test"], ["--dns-search", "example.test"], [(host("DnsSearch"), ["example.test"])]),
    "cap_add": (["NET_ADMIN"], ["--cap-add", "NET_ADMIN"], [(host("CapAdd"), ["CAP_NET_ADMIN"])]),
    "cap_drop": (["CHOWN"], ["--cap-drop", "CHOWN"], [(host("CapDrop"), ["CAP_CHOWN"])]),
    "devices": (["/dev/zero:/dev/nought:r"], ["--device", "/dev/zero:/dev/nought:r"],
                [(host("Devices"), [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nought", "CgroupPermissions": "r"}])]),
    "ulimits": (["nofile=512:1024"], ["--ulimit", "nofile=512:1024"],
                [(host("Ulimits"), [{"Name": "nofile", "Soft": 512, "Hard": 1024}])]),
    "sysctls": ({"net.ipv4.ip_unprivileged_port_start": "80"}, ["--sysctl", "net.ipv4.ip_unprivileged_port_start=80"],
                [(host("Sysctls"), {"net.ipv4.ip_unprivileged_port_start": "80"})]),
    "read_only": (True, ["--read-only"], [(host("ReadonlyRootfs"), True)]),
    "init": (True, ["--init"], [(host("Init"), True)]),
    "stop_signal": ("SIGINT", ["--stop-signal", "SIGINT"], [(config("StopSignal"), "SIGINT")]),
    "stop_grace_ms": ("2500ms", ["--stop-grace", "2500ms"], [(config("StopTimeout"), 3)]),
    "health_check": ({"test": ["CMD-SHELL", "true"], "interval": "30s", "timeout": "2500ms", "start_period": "1s", "retries": 7},
                     ["--health-cmd", "true", "--health-interval", "30s", "--health-timeout", "2500ms", "--health-start", "1s",
                      "--health-retries", "7"], [(config("Healthcheck"), HEALTH)]),
    "memory_bytes": ("64MiB", ["--memory", "64m"], [(host("Memory"), 64 * MIB)]),
    "memory_swap_bytes": ("96MiB", ["--memory-swap", "96MiB"], [(host("MemorySwap"), 96 * MIB)]),
    "nano_cpus": (0.5, ["--cpus", "0.5"], [(host("NanoCpus"), 500000000)]),
    "cpu_shares": (512, ["--cpu-shares", "512"], [(host("CpuShares"), 512)]),
    "cpuset": ("0", ["--cpuset", "0"], [(host("CpusetCpus"), "0")]),
    "pids": (33, ["--pids", "33"], [(host("PidsLimit"), 33)]),
    "block_io": ({"weight": 300, "devices": [{"device": DISK, "read_bps": "1MiB", "write_bps": 2000000, "read_iops": 1003,
                                              "write_iops": 1004}]} if DISK else {"weight": 300},
                 ["--blkio-weight", "300"], [(host("BlkioWeight"), 300)]),
    "log": ({"driver": "json-file", "size": 65536, "files": 2},
            ["--log-driver", "json-file", "--log-size", "64KiB", "--log-files", "2"],
            [(host("LogConfig", "Type"), "json-file"), (host("LogConfig", "Config", "max-size"), "65536"),
             (host("LogConfig", "Config", "max-file"), "2")]),
}
# what a field cannot be without
BESIDE = {"entrypoint": {"command": ["exec sleep 1000"]}, "memory_swap_bytes": {"memory": "64MiB"}}
# what only the API can say
API_ONLY = {"block_io": [(host(f"BlkioDevice{key}", 0, "Rate"), rate) for key, rate in
                         (("ReadBps", MIB), ("WriteBps", 2000000), ("ReadIOps", 1003), ("WriteIOps", 1004))] if DISK else []}
SLEEP = ["sleep", "1000"]

rows = spec_rows()
ok(len(rows) > 30, f"the table has {len(rows)} fields")
equal(sorted(row[0] for row in rows), sorted(FIELDS), "each field of the table is checked here, and no other")
equal([row[0] for row in rows if row[4] and f"--{row[4]}" not in FIELDS[row[0]][1]], [], "each by the option that the table gives it")


def spawn(member, key, way):
    """One container with this field. Its name, or why there is none."""
    value, words, _ = FIELDS[member]
    beside = BESIDE.get(member, {})
    name = value if member == "name" else f"{P}{key.replace('_', '-')}-{way}"
    command = beside.get("command", SLEEP)
    if way == "api":
        answer = world.spawn(**{"name": name, "image": IMAGE, "command": command, **beside, key: value})
        return (name, None) if answer.status == 201 else (name, str(answer))
    if member == "command":
        command = value
    more = [word for other, text in beside.items() if other != "command" for word in (f"--{other}", text)]
    result = gantry("run", "-d", *([] if member == "name" else ["--name", name]), *words, *more, IMAGE, *command)
    return (name, None) if result.status == 0 else (name, str(result))


def remove(name):
    answer = world.delete(f"/v1/instances/{name}?force=true&wait=60")
    if answer.status != 200:
        equal(answer.status, 200, f"{name} is removed: {answer}")


made = {}


def work(todo):
    while todo:
        member, key, way = todo.pop()
        made[member, way] = spawn(member, key, way)


def run_all(way):
    todo = [(row[0], row[1], way) for row in rows]
    threads = [threading.Thread(target=work, args=(todo,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


assert world.spawn(name=P + "plain", image=IMAGE, command=SLEEP).status == 201
plain = docker.inspect(P + "plain")
equal((plain["HostConfig"]["RestartPolicy"]["Name"], plain["HostConfig"]["LogConfig"]["Type"], plain["HostConfig"]["Privileged"]),
      ("no", "local", False), "given nothing: no restarts but ours, a bounded log, no privileges")
for way in ("api", "command"):
    run_all(way)
    for member, key, *_ in rows:
        name, why = made[member, way]
        # names are a project's own: in the engine another than the default one stands in front
        inspected = why is None and docker.inspect(f"shop_{name}" if member == "project" else name)
        if not ok(inspected and inspected["State"]["Running"], f"{key} by the {way}: it runs"):
            diag(why)
            continue
        for path, want in FIELDS[member][2] + (API_ONLY.get(member, []) if way == "api" else []):
            got = at(inspected, path)
            if path[-1] == "BlkioWeight" and got == 0:
                skip(1, "this kernel has no block I/O weight; the engine drops it with a warning")
                continue
            if member == "environment":
                got = sorted(got)
            elif member in ("cap_add", "cap_drop"):  # newer engines put the prefix there
                got = got and [f"CAP_{name.removeprefix('CAP_')}" for name in got]
            equal(got, want, f"{key} by the {way}: {'.'.join(map(str, path))}")
            if member not in ("image", "labels"):
                ok(at(plain, path) != want, f"{key}: that is not what is there without it")
        if member == "environment":
            texts = [gantry("--json", "show", name).out, str(world.events()), gantry("--json", "policy", "explain", name).out,
                     inspected["Config"]["Labels"]["gantry.spec"], open(world.log).read()]
            equal([text for text in texts if "s3cret" in text], [], f"environment by the {way}: the secret is nowhere but in the engine's own")
        remove(name)
remove(P + "plain")

# seen from inside, all at once
words = ["--hostname", "inside", "--workdir", "/tmp", "--user", "65534:65534", "--env", "COLOUR=blue", "--ulimit", "nofile=512:1024",
         "--read-only", "--dns", "192.0.2.53", "--memory", "64m", "--cap-drop", "ALL", "--network", "none", "--mount", f"{HOME}:/host"]
with open(os.path.join(HOME, "file"), "w") as file:
    file.write("from the host")
script = ('hostname; pwd; id -u; id -g; echo $COLOUR; ulimit -n; ulimit -Hn; touch /new 2>/dev/null || echo refused; grep -c 192.0.2.53 /etc/resolv.conf;'
          ' grep CapEff /proc/self/status | cut -f2; ls /sys/class/net; cat /host/file')
result = gantry("run", "--rm", "--name", P + "inside", *words, IMAGE, "sh", "-c", script)
inside = [line for line in result.out.splitlines() if line not in ("sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip6tnl0", "bonding_masters")]
wanted = ["inside", "/tmp", "65534", "65534", "blue", "512", "1024", "refused", "0" * 16, "lo", "from the host"]
equal([line for line in inside if line != "1" and line != "0"], wanted, "the process sees what was asked for")
docker("volume", "rm", P + "volume")
equal(docker.ps(), {}, "nothing is left")
equal(world.stop(), 0, "gantryd ends in order")
done()
