#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every verb of the command on a real Docker Engine under the shipped policies; after each, what
`docker inspect`, `docker ps`, `docker logs` and the engine's events say of it."""
import datetime
import hashlib
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from command import Command
from daemon import *
from registry import Registry

POLICIES = os.path.join(ROOT, "scripts/policies")
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"  # memory is looked at
docker = Docker()
world = docker.world(policies="shipped", node='pull_stall = "4s"').start()
gantry = Command("unix://" + world.socket)
RUNS = "while :; do sleep 0.05; done"
P = f"v{os.getpid()}-"  # names that no other test has on an engine that is shared


def run(*words, status=0):
    """gantry with these words; its standard output. A status that is not expected fails the test."""
    result = gantry(*words)
    if result.status != status:
        equal(result.status, status, "gantry " + " ".join(words))
        diag(result)
    return result.out


def show(name):
    return json.loads(run("--json", "show", name))


def begin(name, *words, options=()):
    """A running instance; a shell that runs what is given."""
    run("run", "-d", "--name", P + name, *options, IMAGE, "sh", "-c", " ".join(words) or RUNS)
    return P + name


def agrees(name, what):
    """One instance as gantry shows it, against inspect and ps. Gives both."""
    ours, theirs, row = show(name), docker.inspect(name), docker.ps().get(name)
    if not theirs or not row:
        ok(False, f"{what}: docker knows it")
        return ours, {"State": {}, "HostConfig": {}}
    state = STATES.get(theirs["State"]["Status"], theirs["State"]["Status"])
    labels = theirs["Config"]["Labels"]
    got = {"state": ours["state"], "container": ours["container_id"], "id": ours["id"], "project": ours["project"],
           "memory": ours["spec"].get("memory"), "cpus": ours["spec"].get("cpus"), "pids": ours["spec"].get("pids"),
           "row": ours["state"]}
    want = {"state": state, "container": theirs["Id"], "id": labels["gantry.instance"], "project": labels["gantry.project"],
            "memory": theirs["HostConfig"]["Memory"], "cpus": theirs["HostConfig"]["NanoCpus"] / 1e9,
            "pids": theirs["HostConfig"]["PidsLimit"], "row": STATES.get(row["State"], row["State"])}
    if state == "stopped":
        got["code"], want["code"] = ours["last_exit"]["code"], theirs["State"]["ExitCode"]
    elif state == "running":
        apart = seconds(ours["started_at"]) - seconds(theirs["State"]["StartedAt"])
        got["started"], want["started"] = apart if abs(apart) > 1 else 0, 0
    equal(got, want, f"{what}: gantry show, docker inspect and docker ps agree")
    return ours, theirs


def seconds(text):
    """Since 1970, of an RFC 3339 time of either."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{,6})\d*Z$", r"\1+00:00", text)).timestamp()


def said(name):
    return docker("logs", name)


def signals(name, since):
    """Numbers of the signals that the engine was asked to send, in order."""
    return [attributes["signal"] for action, attributes in docker.events(name, since) if action == "kill"]


def now():
    """As the engine's events take it; their times are the machine's."""
    return f"{time.time():.9f}"


def cgroup(pid, v1, v2):
    """A file of a process' cgroup: (controller, name) of version 1, name of version 2."""
    with open(f"/proc/{pid}/cgroup") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in rows:
        if v1[0] in controllers.split(","):
            with open(f"/sys/fs/cgroup/{v1[0]}{path}/{v1[1]}") as file:
                return file.read().split()
    with open(f"/sys/fs/cgroup{rows[-1][2]}/{v2}") as file:
        return file.read().split()


# run -d: the shipped policies' limits and variables are on the container
out = run("run", "-d", "--name", P + "web", IMAGE, "sh", "-c", f"trap 'exit 7' TERM; trap 'echo usr1' USR1; echo ready; {RUNS}")
web = P + "web"
ours, theirs = agrees(web, "run -d")
equal(out, ours["id"] + "\n", "run -d prints the id")
equal(sorted(theirs["Config"]["Env"]), sorted([f"GANTRY_INSTANCE={web}", "GANTRY_PROJECT=default", "TZ=UTC", "PATH=/bin"]),
      "its environment is the image's and the policies'")
host = theirs["HostConfig"]
equal((host["Memory"], host["NanoCpus"], host["PidsLimit"]), (512 << 20, 10**9, 512), "its limits are the policies'")
equal((host["RestartPolicy"]["Name"], host["LogConfig"]["Type"], host["Privileged"], host["Binds"]), ("no", "local", False, None),
      "nobody else restarts it, its log is bounded, it has nothing of the host")
until(lambda: "ready" in said(web), "it to be ready")

# how it is reached: the engine picks address and ports, an inspect after the start tells them
name = begin("port", options=("-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp"))
until(lambda: show(name).get("address") and show(web).get("address"), "the addresses to be known")
ours, theirs = show(name), docker.inspect(name)["NetworkSettings"]
equal(ours["address"], theirs["IPAddress"], "its address is docker inspect's")
equal(sorted((p["container_port"], p["protocol"], p["host_ip"], p["host_port"]) for p in ours["ports"]),
      sorted((int(key.split("/")[0]), key.split("/")[1], one["HostIp"], int(one["HostPort"]))
             for key, ones in theirs["Ports"].items() for one in ones), "and its ports are")
equal(show(web)["address"], docker.inspect(web)["NetworkSettings"]["IPAddress"], "one without ports has its address, too")
run("stop", name)
equal((show(name).get("address"), show(name).get("ports")), (None, None), "stopped, it has none of them")
run("rm", name)

# run in the foreground: bytes and statuses
SCRIPT = r"printf 'a\000\377b\r\n'; head -c 300000 /dev/zero | tr '\000' 'x'; printf 'no newline'; printf 'err\376' >&2; exit 3"
result = gantry("run", "--name", P + "bytes", IMAGE, "sh", "-c", SCRIPT, raw=True)
ok((result.status, result.out, result.err) == (3, b"a\0\xffb\r\n" + b"x" * 300000 + b"no newline", b"err\xfe"),
   f"run: output and error byte for byte, and the exit status ({len(result.out)}, {result.err!r}, {result.status})")
logs = docker.run("logs", P + "bytes", text=False)
ok((logs.stdout, logs.stderr) == (result.out, result.err),
   f"run: docker logs has the same bytes ({len(logs.stdout)}, {logs.stderr!r})")
agrees(P + "bytes", "run")

# a reader of much that stops amid it: nothing is lost, and gantryd keeps no more than a little of it
PAGES = 25600  # of 8 KiB
AWK = ("BEGIN { for (n = 1; n <= %d; n++) { s = sprintf(\"%%07d \", n); for (i = 0; i < 10; i++) s = s s; print substr(s, 1, 8191) } }" % PAGES)
want = hashlib.sha256()
for number in range(1, PAGES + 1):
    want.update((b"%07d " % number * 1024)[:-1] + b"\n")
base = world.rss_kib()
reader = gantry.start("run", "--rm", "--name", P + "much", "--log-size", "300m", IMAGE, "awk", AWK)
got, length, grown = hashlib.sha256(), 0, 0
while data := reader.stdout.read(65536):
    got.update(data)
    if length < 1 << 20 <= length + len(data):
        until(lambda: docker.inspect(P + "much")["State"]["Status"] == "exited", "the process to end while nobody reads", LIMIT * 3)
        grown = world.rss_kib() - base
    length += len(data)
grown = max(grown, world.rss_kib() - base)
equal((reader.wait(LIMIT), length, got.hexdigest()), (0, PAGES * 8192, want.hexdigest()),
      "run: 200 MiB to a reader that stops are whole, and do not hold the process up")
memory_below(grown, 8192, "gantryd has grown little", sanitized_kib=65536)

# exit statuses
for code in (0, 1, 125, 255):
    result = gantry("run", "--rm", "--name", f"{P}code", IMAGE, "sh", "-c", f"exit {code}")
    equal((result.status, result.out, result.err), (code, "", ""), f"run: exit {code} is ours")
    equal(docker.inspect(P + "code"), None, "run --rm leaves no container")
made = set(docker.ps())
for words, status, text in (([IMAGE, "/etc/passwd"], 126, "permission denied"), ([IMAGE, "/nowhere"], 127, "/nowhere"),
                            (["gantry-test/nowhere:1"], 125, "gantry-test/nowhere:1")):
    result = gantry("run", *words)
    equal((result.status, result.out), (status, ""), f"run {' '.join(words)}: {status}")
    has(result.err, text, "the error names it")
equal(set(docker.ps()), made, "none of these left a container")
process = gantry.start("run", "--name", P + "ctrlc", IMAGE, "sh", "-c", f"trap 'echo bye; exit 9' TERM; echo up; {RUNS}")
until(lambda: docker.inspect(P + "ctrlc") and "up" in said(P + "ctrlc"), "the foreground run to be up")
process.send_signal(signal.SIGINT)
out, err = process.communicate(timeout=LIMIT)
equal((process.returncode, out.decode()), (9, "up\nbye\n"), "run: Ctrl-C stops it, and its exit status is ours")
agrees(P + "ctrlc", "run, Ctrl-C")

# what the shipped policy refuses leaves nothing
before, since = len(docker.containers()), now()
for words, line in ((["-v", "/etc:/host"], "mounts: bind /etc rw"), (["--network", "host"], "network: host"),
                    (["--cap-add", "SYS_ADMIN"], "cap_add: SYS_ADMIN"), (["--device", "/dev/zero"], "devices: /dev/zero"),
                    (["--sysctl", "net.ipv4.ip_forward=1"], "sysctls: net.ipv4.ip_forward")):
    result = gantry("run", "-d", "--name", P + "refused", *words, IMAGE, "true")
    equal(result.status, 4, f"run {' '.join(words)}: refused")
    has(result.err, line, "the refusal names the option")
equal((len(docker.containers()), docker.inspect(P + "refused"), docker.events(P + "refused", since)), (before, None, []),
      "no container was made of what was refused, not for a moment")
decision = re.search(r"policy explain (\d+)", result.err)[1]
has(run("policy", "explain", decision), "30-unsafe.lua:", "policy explain DECISION says where it was refused")
has(run("policy", "explain", web), "10-defaults.lua:", "policy explain INSTANCE says who set its limits")
run("policy", "check", POLICIES)
equal(gantry("policy", "eval", "-v", "/etc:/host", IMAGE).status, 4, "policy eval says no without doing it")
has(run("policy", "eval", "--name", P + "only-asked", IMAGE), "memory", "policy eval says what would be set")
equal(docker.inspect(P + "only-asked"), None, "policy eval makes nothing")

# ps
names = {line.split()[0]: line for line in run("ps", "-a").splitlines()[1:]}
rows = docker.ps()
equal({n: STATES.get(r["State"], r["State"]) for n, r in rows.items()},
      {n: next(w for w in ("running", "stopped") if f" {w} " in line) for n, line in names.items()}, "ps -a is docker ps --all")
equal([line.split()[0] for line in run("ps").splitlines()[1:]], [n for n, r in rows.items() if r["State"] == "running"],
      "ps is docker ps")

# kill with any signal
for word, count in (("USR1", 1), ("SIGUSR1", 2), ("10", 3)):
    run("kill", "-s", word, web)
    until(lambda: said(web).count("usr1") == count, f"the process to have signal {word}")
equal(agrees(web, "kill -s USR1")[0]["state"], "running", "kill -s USR1: it runs on")
equal(gantry("kill", "-s", "NONSENSE", web).status, 2, "kill -s NONSENSE is refused")

# stop: TERM handled, TERM ignored
since, began = now(), time.monotonic()
run("stop", web)
took = time.monotonic() - began
ours, theirs = agrees(web, "stop")
equal((theirs["State"]["ExitCode"], signals(web, since)), (7, ["15"]), "stop: SIGTERM alone, and the process ended by its own will")
ok(took < 9 * SLOW, "stop: without waiting for the grace")
equal("signal" in ours["last_exit"], False, "stop: an exit code of its own is no signal")
stubborn = begin("stubborn", "trap '' TERM; echo ready;", RUNS, options=("--stop-grace", "700ms"))
until(lambda: "ready" in said(stubborn), "it to ignore SIGTERM")
since, began = now(), time.monotonic()
run("stop", stubborn)
took = time.monotonic() - began
ours, theirs = agrees(stubborn, "stop of one that ignores it")
equal((theirs["State"]["ExitCode"], signals(stubborn, since)), (137, ["15", "9"]), "stop: SIGTERM, then SIGKILL")
ok(0.7 <= took < 9 * SLOW, f"stop: after the grace of 700 ms ({took:.2f} s)")
equal((ours["last_exit"]["signal"], ours["last_exit"]["signal_source"]), (9, "sent"), "stop: the signal was sent by us")

# start, restart
run("start", web)
ours, theirs = agrees(web, "start")
equal((ours["state"], ours["boots"], theirs["State"]["Running"]), ("running", 2, True), "start: it runs for the second time")
equal(gantry("start", web).status, 5, "start of one that runs is refused")
run("restart", "-t", "0", web)
again, after = agrees(web, "restart")
ok(after["Id"] == theirs["Id"] and after["State"]["Pid"] != theirs["State"]["Pid"] and again["boots"] == 3,
   "restart: the same container, another process")

# pause, unpause
run("pause", web)
ours, theirs = agrees(web, "pause")
equal((ours["state"], theirs["State"]["Paused"]), ("paused", True), "pause: it is frozen")
equal(gantry("pause", web).status, 5, "pause of one that is paused is refused")
run("unpause", web)
ours, theirs = agrees(web, "unpause")
equal((ours["state"], theirs["State"]["Paused"]), ("running", False), "unpause: it goes on")
run("pause", web)
run("stop", "-t", "300ms", web)
equal(agrees(web, "stop of one that is paused")[1]["State"]["Running"], False, "stop: one that is paused, too")
run("start", web)

# rm
equal(gantry("rm", web).status, 5, "rm of one that runs is refused")
agrees(web, "rm of one that runs")
run("rm", stubborn)
equal((docker.inspect(stubborn), gantry("show", stubborn).status), (None, 3), "rm: gone from both")
for name, verb in (("forced", None), ("frozen", "pause")):
    name = begin(name)
    if verb:
        run(verb, name)
    run("rm", "--force", name)
    equal((docker.inspect(name), gantry("show", name).status), (None, 3), f"rm --force of {name[len(P):]}: gone from both")

# wait: many waiters, one exit
many = begin("many", "trap 'exit 42' TERM;", RUNS)
waiters = [gantry.start("wait", many) for _ in range(12)]
until(lambda: float(re.search(r"^gantry_http_connections (\S+)", world.get("/v1/metrics").body.decode(), re.M)[1]) > 12,
      "the waiters and us to be connected")
docker("kill", "--signal", "TERM", many)
ended = [(process.communicate(timeout=LIMIT)[0], process.returncode) for process in waiters]
equal(ended, [(b"42\n", 0)] * 12, "wait: each of 12 waiters has the code")
equal(docker("wait", many), "42", "wait: docker wait says the same")
equal(gantry("wait", "--exit-code", many).status, 42, "wait --exit-code")
running = begin("long")
equal(gantry("wait", "--timeout", "200ms", running).status, 7, "wait --timeout of one that runs")


def exit_of(name):
    found = json.loads(run("--json", "wait", name))["last_exit"]
    agrees(name, f"wait {name[len(P):]}")
    return found, docker.inspect(name)["State"]


# what an exit was: a code, a signal of ours, a signal of somebody else's, memory
run("kill", running)
found, state = exit_of(running)
equal((found["code"], found["signal"], found["signal_source"], state["ExitCode"]), (137, 9, "sent", 137), "exit: SIGKILL, sent by us")
theirs_name = begin("theirs")
docker("kill", theirs_name)
found, state = exit_of(theirs_name)
equal((found["code"], found.get("signal"), found.get("signal_source")), (137, 9, "inferred"), "exit: SIGKILL of somebody else, inferred")
for attempt in range(4):  # a busy engine misses one now and then, and says so itself
    hog = begin(f"hog{attempt}", "exec tail /dev/zero", options=("--memory", "16m"))
    found, state = exit_of(hog)
    if state["OOMKilled"]:
        break
equal((found["code"], found["oom_seen"], found["oom_killed"], state["OOMKilled"]), (137, True, True, True),
      "exit: out of memory under --memory 16m")
equal(docker.inspect(hog)["HostConfig"]["Memory"], 16 << 20, "exit: the limit was 16 MiB")
child = begin("child", "tail /dev/zero; echo $?; exit 5", options=("--memory", "16m"))
found, state = exit_of(child)
equal((found["code"], found["oom_seen"], found["oom_killed"], "signal" in found), (5, True, state["OOMKilled"], False),
      "exit: a child was killed for memory, the process went on and said 5")

# resize: inspect and the cgroup
small = begin("small", options=("--memory", "64m"))
run("resize", "--memory", "96m", "--cpus", "0.5", "--pids", "77", "--cpu-shares", "256", "--cpuset", "0", small)
ours, theirs = agrees(small, "resize")
host, pid = theirs["HostConfig"], theirs["State"]["Pid"]
equal([host[key] for key in ("Memory", "MemorySwap", "NanoCpus", "PidsLimit", "CpuShares", "CpusetCpus")],
      [96 << 20, 160 << 20, 500000000, 77, 256, "0"], "resize: inspect has the new limits, and as much swap as before")
equal(cgroup(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), [str(96 << 20)], "resize: the cgroup has the memory")
equal(cgroup(pid, ("pids", "pids.max"), "pids.max"), ["77"], "resize: the cgroup has the processes")
equal(cgroup(pid, ("cpu", "cpu.cfs_quota_us"), "cpu.max")[0], "50000", "resize: the cgroup has the CPU quota")
equal(cgroup(pid, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), ["0"], "resize: the cgroup has the set of CPUs")
equal(gantry("resize", "--memory", "4m", small).status, 2, "resize below what an engine takes is refused")
equal(gantry("resize", "--memory", "80m", "--cpuset", "777", small).status != 0, True, "resize to a CPU that is not there fails")
ours, theirs = agrees(small, "resize that failed")
equal((theirs["HostConfig"]["Memory"], theirs["HostConfig"]["CpusetCpus"]), (96 << 20, "0"), "resize that failed: all or nothing")

# top and stats
top = json.loads(run("--json", "top", small))
rows = docker("top", small).splitlines()
equal(top["titles"], rows[0].split(), "top: titles are docker top's")
column = top["titles"].index("PID")
equal(top["rows"][0][column], str(pid), "top: the first process is the container's")
held = begin("held", "head -c 50000000 /dev/zero > /dev/shm/x; echo ready; i=0; while :; do i=$((i+1)); done", options=("--memory", "100m", "--cpus", "0.5", "--pids", "40", "--mount", "tmpfs:/dev/shm:64m"))
until(lambda: "ready" in said(held), "it to hold its memory")
pid = docker.inspect(held)["State"]["Pid"]
first = json.loads(run("--json", "stats", held))
usage = int(cgroup(pid, ("memory", "memory.usage_in_bytes"), "memory.current")[0])
ok(45e6 < first["memory_bytes"] <= 100 << 20 and abs(first["memory_bytes"] - usage) < 8e6,
   f"stats: memory is the cgroup's: {first['memory_bytes']} and {usage}")
equal(first["memory_limit_bytes"], 100 << 20, "stats: and its limit")
second = until(lambda: (s := json.loads(run("--json", "stats", held)))["cpu_ns"] > first["cpu_ns"] + 3e8 and s, "it to burn CPU")
elapsed = (seconds(second["at"]) - seconds(first["at"])) * 1e9
ok(second["cpu_ns"] - first["cpu_ns"] <= elapsed * 1.2 + 1e8, "stats: no more CPU time than has passed on one CPU")
told = json.loads(docker("stats", "--no-stream", "--format", "{{json .}}", held))
number = lambda text: float(re.match("[0-9.]+", text)[0])
third = json.loads(run("--json", "stats", held))
ok(abs(number(told["MemUsage"]) * 2**20 - third["memory_bytes"]) < 4e6 and "MiB" in told["MemUsage"], f"stats: docker stats says the same of memory: {told['MemUsage']}, {third['memory_bytes']}")
equal(int(told["PIDs"]), third["pids"], "stats: and of processes")
fourth = until(lambda: (s := json.loads(run("--json", "stats", held)))["cpu_ns"] > third["cpu_ns"] + 1e9 and s, "it to burn more CPU")
share = (fourth["cpu_ns"] - third["cpu_ns"]) / (seconds(fourth["at"]) - seconds(third["at"])) / 1e7
ok(20 <= number(told["CPUPerc"]) <= 60 and 20 <= share <= 60, f"stats: and of a CPU that is held to a half: {told['CPUPerc']}, {share:.0f}%")
equal(fourth["pids_limit"], 40, "stats: the limit of processes")
ok(0 < fourth["throttled_periods"] <= fourth["cpu_periods"] and fourth["throttled_ns"] > 1e8, f"stats: it was throttled: {fourth['throttled_periods']} periods of {fourth['cpu_periods']}")
equal(fourth["throttled_periods"] >= (lambda rows: int(rows[rows.index("nr_throttled") + 1]))(cgroup(pid, ("cpu", "cpu.stat"), "cpu.stat")) - 30, True, "stats: as the cgroup counts")
equal(fourth["oom_kills"], 0, "stats: no process was killed for memory")
run("exec", held, "sh", "-c", "sh -c 'head -c 100000000 /dev/zero | tail'; true")
equal(until(lambda: json.loads(run("--json", "stats", held))["oom_kills"], "the kill to be counted") >= 1, True, "stats: one that was is counted")
run("rm", "-f", held)
equal(gantry("stats", many).status, 5, "stats of one that is stopped is refused")

# images, pull
listed = {image["image_id"] for image in json.loads(run("--json", "images"))["images"]}
equal(listed, set(docker("images", "--no-trunc", "-q").split()), "images: the ids are docker's")
with Registry() as registry:
    for name in ("one", "many", "stall"):
        registry.push(docker, IMAGE, name)
    run("pull", registry.image("one"))
    ok(docker.run("image", "inspect", registry.image("one")).returncode == 0, "pull: docker has the image")
    alone = registry.count("GET", "one/manifests")
    ok(alone > 0, "pull: the registry was asked for it")
    registry.hold()
    waiters = [gantry.start("pull", registry.image("many")) for _ in range(6)]
    runners = [gantry.start("run", "--rm", registry.image("many"), "sh", "-c", "exit 6") for _ in range(3)]
    until(lambda: len([o for o in world.running_operations() if o["step"] == "pull"]) == 9, "all of them to wait for the pull")
    registry.release()
    ended = [process.wait(LIMIT) for process in waiters + runners]
    for process in waiters + runners:
        process.communicate()
    equal(ended, [0] * 6 + [6] * 3, "pull: each of 6 pulls and 3 runs that waited goes on")
    equal(registry.count("GET", "many/manifests"), alone, "pull: the registry was asked once for all")
    registry.stall_after(200000)
    began = time.monotonic()
    result = gantry("pull", registry.image("stall"))
    took = time.monotonic() - began
    ok(result.status != 0 and 4 <= took < 25 * SLOW, f"pull: a registry that stalls ends it after pull_stall ({took:.1f} s)")
    has(result.err, "nothing came for 4.000 s", "the error says how long nothing came")
    equal(docker.run("image", "inspect", registry.image("stall")).returncode, 1, "pull: docker has no such image")
    registry.release()
    result = gantry("run", "-d", "--name", P + "missing", registry.image("missing"))
    equal((result.status, docker.inspect(P + "missing")), (3, None), "run of an image that is nowhere: no container")
    has(result.err, registry.image("missing"), "the error names the image")
    equal(gantry("pull", registry.image("missing")).status, 3, "pull of an image that is nowhere")
    for name in ("one", "many"):
        docker("rmi", registry.image(name))

# nodes
node = json.loads(run("--json", "node", "show", "local"))
info = json.loads(docker("info", "--format", "{{json .}}"))
equal({key: node["facts"][key] for key in ("engine_version", "engine_id", "storage_driver", "cpus", "memory_bytes", "kernel")},
      {"engine_version": info["ServerVersion"], "engine_id": info["ID"], "storage_driver": info["Driver"], "cpus": info["NCPU"],
       "memory_bytes": info["MemTotal"], "kernel": info["KernelVersion"]}, "node show: facts are docker info's")
has(run("node", "ls"), info["ServerVersion"], "node ls")

# events, ops, doctor, version
kinds = [json.loads(line) for line in run("--json", "events", "--after", "0", "--instance", web).splitlines()]
boots = show(web)["boots"]
equal([len([e for e in kinds if e["kind"] == kind]) for kind in ("instance.started", "instance.exited")], [boots, boots - 1],
      "events: a start for each boot, an exit for each but the one that runs")
operation = json.loads(run("--json", "ops", "--limit", "1"))["operations"][0]
timings = json.loads(run("--json", "ops", operation["id"]))["timings"]
equal(sum(timings[key] for key in ("policy_us", "store_us", "engine_us", "other_us")), timings["total_us"], "ops: the times sum up")
equal([line.split()[0] for line in run("doctor").splitlines() if not line.startswith("ok")], [], "doctor has nothing to say")
has(run("version"), "docker", "version tells the plugin")

# nothing is left
for name in docker.ps():
    run("rm", "-f", name)
equal((docker.ps(), world.instances()), ({}, []), "all are removed from both")
equal(world.stop(), 0, "gantryd ends in order")
done()
