#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gantry run against a server that plays gantryd: detached, in the foreground, refused, and under signals."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *


def detached(fake, gantry):
    fake.answers[SPAWN] = (201, operation())
    check(gantry("run", "-d", "busybox"), 0, ID + "\n", "", "run -d prints the id")
    requests = fake.take()
    equal([(r.method, r.path, r.query, r.json) for r in requests], [("POST", "/v1/instances", "wait=3600", {"image": "busybox"})],
         "by one request")
    equal((requests[0].headers["Content-Type"], requests[0].headers.get("Expect"), len(requests[0].headers["Idempotency-Key"])),
         ("application/json", None, 32), "with its type and a key, and no Expect")
    equal(json.loads(gantry("run", "--json", "-d", "busybox").out), operation(), "--json prints the operation")
    fake.answers[SPAWN] = [(202, operation("running"))]
    fake.answers["GET", f"/v1/operations/{OPERATION}"] = [(200, operation("running")), (200, operation())]
    fake.take()
    check(gantry("run", "-d", "busybox"), 0, ID + "\n", "", "one that takes longer is waited for")
    equal([(r.method, r.path, r.query) for r in fake.take()],
         [("POST", "/v1/instances", "wait=3600")] + 2 * [("GET", f"/v1/operations/{OPERATION}", "wait=3600")], "by long polls")
    check(gantry("run", "-d", "--no-wait", "busybox"), 0, ID + "\n", "", "--no-wait does not")
    equal([(r.method, r.query) for r in fake.take()], [("POST", "")], "one request, without wait")
    fake.answers[SPAWN] = (201, operation())
    check(gantry("run", "-d", "--no-start", "busybox"), 0, ID + "\n", "", "--no-start makes it only")
    equal([(r.method, r.query) for r in fake.take()], [("POST", "start=false&wait=3600")], "by the same request")
    equal(gantry("run", "--no-start", "busybox").status, 2, "and has no foreground")
    fake.take()

    # options to JSON
    with open(os.path.join(fake.folder, "env"), "w") as file:
        file.write("# comment\n\nA=file\nB=from file\r\n  C=x=y\nINHERITED\nNOT_THERE\n")
    rows = {row[4]: row for row in spec_rows() if row[4]}
    words = ["--name", "web", "--project=blue", "-l", "a=1", "--label", "b=x=y", "--label", "c=",
             "--entrypoint", "/bin/x", "--entrypoint=-c", "-e", "A=1", "-eE=", "--env", "INHERITED", "-e", "NOT_THERE",
             "--env-file", os.path.join(fake.folder, "env"), "--secret", "TOKEN", "--secret", "PASSWORD=pass=word",
             "-u", "1:2", "-w", "/srv", "--hostname", "h", "-it", "-v", "/a:/b:ro", "--mount", "tmpfs:/t:1m",
             "-p8080:80", "-p", "127.0.0.1::53/udp", "--network", "none", "--dns", "1.1.1.1", "--dns", "::1",
             "--dns-search", "x.org", "--cap-add", "NET_ADMIN", "--cap-drop", "ALL", "--device", "/dev/null",
             "--ulimit", "nofile=1:2", "--sysctl", "net.core.somaxconn=1", "--read-only", "--init", "--stop-signal", "INT",
             "--stop-grace", "3s", "--health-cmd", "true", "--health-interval", "5s", "--health-timeout", "1s",
             "--health-start", "2s", "--health-retries", "3", "-m", "64m", "--memory-swap", "128m", "--cpus", "1.5",
             "--cpu-shares", "512", "--cpuset", "0-1", "--pids", "100", "--blkio-weight", "300", "--log-size", "1m",
             "--log-driver", "local", "--log-files", "3", "--port-spec", "p-1,bridge=br0", "-d", "busybox", "sh", "-c", "echo -d $A", "--rm"]
    want = {"name": "web", "project": "blue", "labels": {"a": "1", "b": "x=y", "c": ""}, "image": "busybox",
            "command": ["sh", "-c", "echo -d $A", "--rm"], "entrypoint": ["/bin/x", "-c"],
            "environment": ["B=from file", "C=x=y", "A=1", "E=", "INHERITED=yes",
                            {"name": "TOKEN", "value": "t0ken", "secret": True}, {"name": "PASSWORD", "value": "pass=word", "secret": True}],
            "user": "1:2", "working_dir": "/srv", "hostname": "h", "tty": True, "stdin_open": True,
            "mounts": ["/a:/b:ro", "tmpfs:/t:1m"], "ports": ["8080:80", "127.0.0.1::53/udp"], "network": "none",
            "network_ports": ["p-1,bridge=br0"], "dns": ["1.1.1.1", "::1"], "dns_search": ["x.org"], "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"],
            "devices": ["/dev/null"], "ulimits": ["nofile=1:2"], "sysctls": {"net.core.somaxconn": "1"}, "read_only": True,
            "init": True, "stop_signal": "INT", "stop_grace": "3s",
            "health_check": {"test": ["CMD-SHELL", "true"], "interval": "5s", "timeout": "1s", "start_period": "2s", "retries": 3},
            "memory": "64m", "memory_swap": "128m", "cpus": 1.5, "cpu_shares": 512, "cpuset": "0-1", "pids": 100,
            "block_io": {"weight": 300}, "log": {"size": "1m", "driver": "local", "files": 3}}
    equal(sorted(want), sorted(row[1] for row in rows.values()) if len(rows) == len(want) else sorted(row[1] for row in spec_rows()),
         "the test names every field of the table")
    fake.take()
    check(gantry("run", *words, env={"INHERITED": "yes", "TOKEN": "t0ken"}), 0, ID + "\n", "", "run with every option")
    got = fake.take()[0].json
    for key in want:
        equal(got.get(key), want[key], f"{key} is sent as it was written")
    equal(sorted(set(got) - set(want)), [], "and nothing else is")

    def sent(*more, **options):
        gantry("run", "-d", *more, **options)
        return fake.take()[0].json
    equal(sent("--pids", "12x", "--cpus", "lots", "i"), {"pids": "12x", "cpus": "lots", "image": "i"},
         "what is no number is sent as it is: gantryd says what is wrong")
    equal(sent("--pids", "99999999999999999999", "--cpus", "1e999", "--cpu-shares", "", "i"),
         {"pids": "99999999999999999999", "cpus": "1e999", "cpu_shares": "", "image": "i"}, "so is one out of range")
    equal(sent("--health-cmd", "true", "i"), {"health_check": "true", "image": "i"}, "a health check alone is a command")
    equal(sent("--memory", "1m", "--memory", "2m", "i"), {"memory": "2m", "image": "i"}, "the last one counts")
    equal(sent("--", "i", "--", "-x"), {"image": "i", "command": ["--", "-x"]}, "-- ends the options, once")
    base = {"image": "from-file", "command": ["a"], "dns": ["9.9.9.9"], "environment": ["A=1", "B=2"], "labels": {"x": "1"}}
    equal(sent("--spec", "-", stdin=json.dumps(base).encode()), base, "--spec - takes all of it from standard input")
    equal(sent("--spec", "-", "-eB=3", "--dns", "1.1.1.1", "-ly=2", "i", stdin=json.dumps(base).encode()),
         {"image": "i", "command": ["a"], "dns": ["1.1.1.1"], "environment": ["A=1", "B=3"], "labels": {"x": "1", "y": "2"}},
         "options go over it")
    for text, error in ((b"[]", "must hold a JSON object, not "), (b"{", "not JSON: "), (b"", "not JSON: ")):
        result = gantry("run", "-d", "--spec", "-", stdin=text)
        equal((result.status, error in result.err), (2, True), f"--spec that holds {text!r}")
    equal(fake.take(), [], "is not sent")


def problems(fake, gantry):
    for status, document, code, err in (
            (400, problem(400, 'must be a size as "64MiB", not "12 parsecs"', field="memory"), 2,
             'gantry: web: memory: must be a size as "64MiB", not "12 parsecs"\n  given by --memory\n'),
            (400, problem(400, "mounts[1].target must be an absolute path", field="mounts[1].target"), 2,
             "gantry: web: mounts[1].target must be an absolute path\n  given by --mount\n"),
            (403, problem(403, "policy unsafe refuses cap_add: SYS_ADMIN (unsafe.lua:12)", decision=12, operation=OPERATION), 4,
             "gantry: web: policy unsafe refuses cap_add: SYS_ADMIN (unsafe.lua:12)\n  decision 12; why: gantry policy explain 12\n"
             f"  operation {OPERATION}; its steps: gantry ops {OPERATION}\n"),
            (404, problem(404, "spawn web: no such image: nowhere"), 3, "gantry: spawn web: no such image: nowhere\n"),
            (409, problem(409, "web is stopped already"), 5, "gantry: web is stopped already\n"),
            (409, problem(409, "webs are taken"), 5, "gantry: web: webs are taken\n"),
            (409, problem(409, "port 80 is taken"), 5, "gantry: web: port 80 is taken\n"),
            (413, problem(413, "too large"), 2, "gantry: web: too large\n"),
            (422, problem(422, "no such file"), 1, "gantry: web: no such file\n"),
            (500, problem(500, "a\x1b[2Jb\u009bc"), 1, "gantry: web: a?[2Jb?c\n"),
            (502, problem(502, "engine"), 1, "gantry: web: engine\n"),
            (503, problem(503, "stopping"), 1, "gantry: web: stopping\n"),
            (504, problem(504, "no answer in time"), 7, "gantry: web: no answer in time\n"),
            (507, problem(507, "full"), 1, "gantry: web: full\n")):
        fake.answers[SPAWN] = (status, document)
        check(gantry("run", "-d", "--name", "web", "i"), code, "", err, f"run -d: {status} gives {code}")
        equal(gantry("run", "--name", "web", "i").status, 125 if status != 422 else 127, f"in the foreground: {status}")
    fake.answers[SPAWN] = (202, operation("running"))
    fake.answers["GET", f"/v1/operations/{OPERATION}"] = (200, operation("failed", error=problem(403, "no", decision=7)))
    check(gantry("run", "-d", "i"), 4, "", "gantry: i: no\n  decision 7; why: gantry policy explain 7\n"
          f"  operation {OPERATION}; its steps: gantry ops {OPERATION}\n", "an operation that fails later, too")
    for detail, code in (("exec: \"nope\": executable file not found in $PATH", 127), ("exec: \"/etc\": permission denied", 126),
                         ("exec format error", 126), ("stat /nope: no such file or directory", 127)):
        fake.answers[SPAWN] = (422, problem(422, detail))
        equal(gantry("run", "i").status, code, f"{detail}: {code}")
    fake.take()


def foreground(fake, gantry):
    fake.answers[SPAWN] = (201, operation())
    noise = bytes(range(256)) * 300
    for piece in (None, 1, 7):
        data = noise if not piece else noise[:3000]
        fake.answers[OUTPUT] = output(frame(1, b"one\n"), frame(2, b"two"), frame(1, b""), frame(1, data), frame(2, b"\0\n"), piece=piece)
        fake.answers[WAIT] = (200, ended(0))
        result = gantry("run", "busybox", raw=True)
        equal((result.status, result.out == b"one\n" + data, result.err), (0, True, b"two\0\n"),
             f"output arrives to the byte on its stream, in pieces of {piece or 'any'} size")
    equal([(r.method, r.path, r.query) for r in fake.take()][-3:],
         [("POST", "/v1/instances", "wait=3600"), ("GET", OUTPUT[1], "follow=true"), ("GET", WAIT[1], "timeout=3600")], "by three requests")
    fake.answers[OUTPUT] = output()
    for code in (1, 7, 125, 137, 255):
        fake.answers[WAIT] = (200, ended(code))
        check(gantry("run", "busybox"), code, "", "", f"the process's status {code} is ours")
    fake.answers[WAIT] = [(200, {"id": ID, "state": "running", "timed_out": True}), (200, ended(3))]
    equal(gantry("run", "busybox").status, 3, "a wait that times out is made again")
    fake.answers[WAIT] = (200, {"id": ID, "state": "unknown", "timed_out": False})
    check(gantry("run", "busybox"), 125, "", "gantry: the instance is unknown and nobody knows how its process ended\n", "no exit is known: 125")
    fake.answers[WAIT] = (404, problem(404, "no instance"))
    equal(gantry("run", "busybox").status, 125, "removed meanwhile: 125")
    fake.answers[WAIT] = (200, ended(0))
    fake.answers[OUTPUT] = output(b"\x03\0\0\0\0\0\0\x01x")
    equal(gantry("run", "busybox").status, 125, "a stream of another form: 125")
    fake.answers[OUTPUT] = output()
    fake.answers["GET", f"/v1/instances/{ID}/attach"] = (409, problem(409, "it has no process"))
    result = gantry("run", "-i", "busybox")
    equal((result.status, result.err), (0, ""), "-i of what has ended already: its output is there")
    fake.take()

    fake.answers["DELETE", f"/v1/instances/{ID}"] = (200, operation(kind="remove"))
    fake.answers[WAIT] = (200, ended(9))
    equal((gantry("run", "--rm", "busybox").status, fake.take()[-1].method), (9, "DELETE"), "--rm removes it at the end")

    # cut in the middle of a frame, refused once, then read again from the first byte
    whole = frame(1, b"abc") + frame(2, b"xyz") + frame(1, b"defgh")

    def cut(handler, _):
        handler.stream("application/vnd.gantry.output")
        handler.chunk(whole[:25])
        handler.cut()
    fake.answers[OUTPUT] = [cut, output(whole + frame(2, b"!"))]
    fake.answers[WAIT] = (200, ended(0))
    check(gantry("run", "busybox"), 0, "abcdefgh", "xyz!", "a stream that was cut goes on where it was")

    # a reader that leaves ends us as any program in a pipeline
    fake.answers[OUTPUT] = output(frame(1, b"y\n" * 100000), frame(1, b"y\n" * 100000))
    process = gantry.start("run", "busybox")
    process.stdout.close()
    process.stderr.close()
    equal(process.wait(LIMIT), -signal.SIGPIPE, "a reader that left: SIGPIPE")
    with open("/dev/full", "w") as full:
        result = gantry("run", "busybox", stdout=full)
    equal((result.status, result.err), (125, "gantry: the output cannot be written: No space left on device\n"), "a full disk: 125")
    fake.answers[OUTPUT] = output(frame(1, b"y\n"), b"what is this?")
    check(gantry("run", "busybox"), 125, "y\n", f"gantry: gantryd at {fake.host} sends no frames of output\n", "a stream of something else: 125")

    def nonsense(handler, _):
        handler.wfile.write(b"garbage\r\n\r\n")
        handler.cut()

    fake.answers[OUTPUT] = nonsense
    result = gantry("run", "busybox")
    equal((result.status, result.err.startswith(f"gantry: talking to gantryd at {fake.host}: ")), (125, True), "no HTTP: the error says so")
    fake.take()


def pending(pid, number):
    """The signal is blocked there and was not read yet."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return any(line.startswith(("SigPnd", "ShdPnd")) and int(line.split()[1], 16) >> (number - 1) & 1 for line in file)
    except FileNotFoundError:
        return False


def signals(fake, gantry):
    fake.answers[SPAWN] = (201, operation())
    verbs = []
    changed = threading.Condition()

    def verb(name):
        def answer(handler, request):
            with changed:
                verbs.append((name, request.json))
                changed.notify_all()
            return (202, operation("running", name))
        fake.answers["POST", f"/v1/instances/{ID}/{name}"] = answer
    verb("stop")
    verb("kill")

    def stream_until(count):
        """Streams until so many verbs were asked for."""
        def answer(handler, _):
            handler.stream("application/vnd.gantry.output")
            handler.chunk(frame(1, b"ready\n"))
            with changed:
                changed.wait_for(lambda: len(verbs) >= count, LIMIT)
            handler.chunk(frame(1, b"bye\n"))
            handler.end()
        return answer

    def begin(count, code):
        verbs.clear()
        fake.answers[OUTPUT] = stream_until(count)
        fake.answers[WAIT] = (200, ended(code))
        process = gantry.start("run", "busybox")
        equal(process.stdout.readline(), b"ready\n", "it runs")
        return process

    def heard(count):
        with changed:
            return changed.wait_for(lambda: len(verbs) >= count, LIMIT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = begin(1, 143)
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
        equal((process.returncode, out, err, verbs), (143, b"bye\n", b"", [("stop", {})]), f"{number.name} stops it; the rest is printed, the status its own")
    process = begin(2, 137)
    process.send_signal(signal.SIGINT)
    heard(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    equal((process.returncode, out, verbs), (137, b"bye\n", [("stop", {}), ("kill", {"signal": "KILL"})]), "the second one kills it")
    process = begin(99, 0)
    for count in (1, 2):
        process.send_signal(signal.SIGINT)
        heard(count)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    equal((process.returncode, err.decode()), (130, f"gantry: left while it runs: gantry show {ID}\n"), "the third one leaves it")
    with changed:
        verbs.extend([None] * 99)
        changed.notify_all()
    verbs.clear()

    # while it is being made
    arrived, go = threading.Event(), threading.Event()

    def slow(handler, _):
        arrived.set()
        go.wait(LIMIT)
        return (201, operation())
    fake.answers[SPAWN] = slow
    fake.answers[OUTPUT] = output()
    fake.answers[WAIT] = (200, ended(143))
    process = gantry.start("run", "busybox")
    arrived.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    until(lambda: not pending(process.pid, signal.SIGINT))
    go.set()
    process.communicate(timeout=LIMIT)
    equal((process.returncode, verbs), (143, [("stop", {})]), "a signal before it is made stops it then")
    arrived.clear()
    go.clear()
    process = gantry.start("run", "busybox")
    arrived.wait(LIMIT)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        until(lambda: not pending(process.pid, signal.SIGINT))
    out, err = process.communicate(timeout=LIMIT)
    equal((process.returncode, err), (130, b"gantry: interrupted\n"), "a second one does not wait for that")
    go.set()
    fake.take()


run_parts(detached, problems, foreground, signals)
