# SPDX-License-Identifier: Apache-2.0
"""The part `logs` of the bench: one big log read by docker logs, by gantry logs, and plainly; following by both."""
import datetime
import os
import socket
import statistics
import subprocess
import time

import daemon
from logfiles import LogFiles

MIB = int(os.environ.get("BENCH_LOG_MIB", "150"))
ROUNDS = 3
# lines of some 100 bytes, as programs write them, with something to escape now and then
SCRIPT = """yes '2026-01-02 03:04:05 INFO  worker[17]: request "GET /v1/things/4711" took 12 ms, 200 OK' | head -c %d"""


def cpu_s(pid):
    """Seconds of CPU of a process so far."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(command, pid):
    """(seconds, seconds of CPU of pid) of a whole process whose output nobody looks at."""
    cpu, began = cpu_s(pid), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began, cpu_s(pid) - cpu


def handed(command):
    """Seconds until another process has all that the command writes, by a unix socket."""
    ours, theirs = socket.socketpair()
    began = time.monotonic()
    with ours, theirs:
        taker = subprocess.Popen(["cat"], stdin=theirs, stdout=subprocess.DEVNULL)
        subprocess.run(command, stdout=ours)
    taker.wait()
    return time.monotonic() - began


def size(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    count = int(subprocess.run(["wc", "-c"], stdin=process.stdout, capture_output=True, text=True).stdout)
    process.wait()
    return count


def log_file(engine, container, driver):
    """The engine's file, which is one only, as the instances are made."""
    folder = os.path.join(engine.folder, "data/containers", container)
    return os.path.join(folder, "local-logs/container.log" if driver == "local" else f"{container}-json.log")


def delays(command, count=300):
    """Milliseconds from the engine's own time of a line to its arrival here."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = []
    for text in process.stdout:
        now = time.time_ns()
        seconds, _, rest = text.split(b" ")[0].decode().rstrip("Z").partition(".")
        at = datetime.datetime.fromisoformat(seconds + "+00:00")
        found.append((now - int(at.timestamp()) * 10**9 - int(rest.ljust(9, "0"))) / 1e6)
        if len(found) == count:
            break
    process.kill()
    process.wait()
    return sorted(found)


def measure(world, engine, line, image):
    engine_pid = int(open(f"{engine.folder}/dockerd").read())
    decode = os.path.join(daemon.BUILD, "t/bench/decode")
    gantry = [os.path.join(daemon.BUILD, "gantry"), "--host", f"unix://{world.socket}", "logs"]
    docker = ["docker", "-H", f"unix://{engine.socket}", "logs"]
    for driver in ("json-file", "local"):
        name = f"log-{driver}"
        spawned = world.spawn(wait=60, name=name, image=image, command=["sh", "-c", SCRIPT % (MIB << 20)],
                              log={"driver": driver, "size": "2GiB", "files": 1})
        if spawned.status != 201:
            print(f"  left out: {spawned}")
            return
        world.get(f"/v1/instances/{name}/wait?timeout=600")
        daemon.until(lambda: world.state(name) == "stopped", "the end", 600)
        ours, theirs, plain, given = [], [], [], []
        file = log_file(engine, world.get(f"/v1/instances/{name}").json["container_id"], driver)
        for _ in range(ROUNDS):
            ours.append(measured([*gantry, name], world.daemon.pid))
            theirs.append(measured([*docker, name], engine_pid))
            plain.append(measured([decode, driver, file], engine_pid)[0])
            given.append(handed([decode, driver, file]))
        sizes = {size([*gantry, name]), size([*docker, name])}
        mine, other = (tuple(statistics.median(row[i] for row in rows) for i in (0, 1)) for rows in (ours, theirs))
        print(f"\na log of {MIB} MiB, {driver}; medians of {ROUNDS}" + ("" if len(sizes) == 1 else f"; SIZES DIFFER: {sizes}"))
        line("docker logs: time / CPU of dockerd", f"{other[0]:.2f} s", f"{other[1]:.2f} s")
        line("gantry logs: time / CPU of gantryd", f"{mine[0]:.2f} s", f"{mine[1]:.2f} s", f"{MIB / mine[0]:.0f} MiB/s")
        line("docker / gantry, time", f"{other[0] / mine[0]:.1f}", "", "target: 15 at least")
        line("dockerd / gantryd, CPU", f"{other[1] / max(mine[1], 0.01):.1f}", "", "target: 15 at least")
        for what, took in (("to nobody", plain), ("by a unix socket to a process", given)):
            bare = statistics.median(took)
            line(f"a plain read and decode, {what}", f"{bare:.2f} s", "", f"{MIB / bare:.0f} MiB/s")
            line("of its speed gantry has", f"{bare / mine[0]:.2f}", "", "target: 0.5 at least")
        world.delete(f"/v1/instances/{name}?force=true&wait=60")
    world.spawn(wait=60, name="ticks", image=image, command=["sh", "-c", "while :; do echo tick; usleep 20000; done"],
                log={"driver": "local"})
    print("\nfollowing a line every 20 ms")
    took = []
    for name, command in (("docker logs -f", [*docker, "-f", "-t", "--tail", "0", "ticks"]),
                          ("gantry logs -f", [*gantry, "-f", "-t", "-n", "0", "ticks"])):
        found = delays(command)
        took.append(found)
        line(f"{name}: write to read, p50 / p99", f"{found[len(found) // 2]:.2f} ms", f"{found[int(len(found) * 0.99)]:.2f} ms")
    line("gantry / docker, p50 / p99", *(f"{took[1][at] / took[0][at]:.2f}" for at in (len(took[0]) // 2, int(len(took[0]) * 0.99))), "target: 1 at most")
    world.delete("/v1/instances/ticks?force=true&wait=60")


def resident_mib(pid):
    row = next(line for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Rss:"))
    return int(row.split()[1]) / 1024


def follow_many(world, line, instances=50, followers=1000):
    """Many followers on a fake engine, whose containers' logs are written here."""
    def ready(follower, word):
        data = b""
        while word not in data:
            data += follower.recv(65536)

    files, following = [], []
    for number in range(instances):
        files.append(LogFiles(os.path.join(world.folder, f"many{number}"), "local"))
        world.spawn(name=f"many{number}", labels={"fake.log": files[-1].folder}, log={"driver": "local"})
        files[-1].line("first")
    before = resident_mib(world.daemon.pid)
    for number in range(followers):
        follower = socket.socket(socket.AF_UNIX)
        follower.connect(world.socket)  # waits where too many come at once, which one with a limit would not
        follower.settimeout(60)
        follower.sendall(f"GET /v1/instances/many{number % instances}/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        following.append(follower)
    for follower in following:
        ready(follower, b"first")
    print(f"\n{followers} followers over {instances} instances, on the fake engine")
    line("memory (Rss) before", f"{before:.1f} MiB")
    line("with them", f"{resident_mib(world.daemon.pid):.1f} MiB", "", "target: under 60 MB")
    reads = sum(count for call, count in world.engine.state()["calls"].items() if call.endswith("/logs"))
    line("reads of the engine's log endpoint", str(reads), "", "target: 0")
    began = time.monotonic()
    for file in files:
        file.line("second")
    for follower in following:
        ready(follower, b"second")
    line("a line of each, to all of them", f"{(time.monotonic() - began) * 1e3:.0f} ms")
    for follower in following:
        follower.close()
