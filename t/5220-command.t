#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gantry command against a server that plays gantryd: its requests, its output to the byte, its exit statuses."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OPERATION = "11111111-2222-4333-8444-555555555555"
SPAWN = ("POST", "/v1/instances")
OUTPUT = ("GET", f"/v1/instances/{ID}/output")
WAIT = ("GET", f"/v1/instances/{ID}/wait")


def operation(state="done", kind="spawn", **more):
    return {"id": OPERATION, "kind": kind, "instance": ID, "instance_name": "web", "state": state, "step": "start",
            "actor": "uid:0", "created_at": "2026-01-02T03:04:05.678Z", "error": None, "result": None, **more}


def ended(code, **more):
    return {"id": ID, "state": "stopped", "timed_out": False,
            "last_exit": {"code": code, "at": "2026-01-02T03:04:05.678Z", **more}}


def output(*frames, piece=None):
    """Streams the frames, the bytes cut in pieces of that size."""
    def answer(handler, _):
        handler.stream("application/vnd.gantry.output")
        data = b"".join(frames)
        for at in range(0, len(data), piece or len(data) or 1):
            handler.chunk(data[at:at + (piece or len(data))])
        handler.end()
    return answer


def check(result, status, out, err, name):
    if not ok((result.status, result.out, result.err) == (status, out, err), name):
        print(f"# {result!r}\n# want status {status}\n# out {out!r}\n# err {err!r}".replace("\n", "\n# "), file=sys.stderr)


def usage(fake, gantry):
    result = gantry()
    equal((result.status, result.err), (2, ""), "gantry alone: usage, status 2")
    equal(gantry("help").out, result.out, "the same as gantry help")
    equal((gantry("--help").status, gantry("--help").out), (0, result.out), "and --help, with status 0")
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", result.out[result.out.index("Commands:"):result.out.index("Options")], re.M)
    ok(len(commands) > 24, f"it lists {len(commands)} commands")
    wrong = []
    for command in commands:
        one, two = gantry("help", *command.split()), gantry(*command.split(), "--help")
        if (one.status, two.status) != (0, 0) or one.out != two.out or not one.out.startswith(f"Usage: gantry {command} "):
            wrong.append(command)
        if "--host" not in one.out or "--json" not in one.out:
            wrong.append(command)
    equal(wrong, [], "every command has its help, by help and by --help")
    text = gantry("run", "-h").out
    wrong = [row[4] for row in spec_rows() if row[4] and not re.search(rf"--{row[4]} {re.escape(row[5])} +{re.escape(row[6])}", text)]
    equal(wrong, [], "run's help has every option of the spec's table")
    text = gantry("help", "resize").out
    equal(sorted(set(re.findall(r"--([a-z-]+) ", text)) & {row[4] for row in spec_rows()}),
         sorted(["project"] + [row[4] for row in spec_rows() if "RESIZE" in row[3]]), "resize's has those that may change")

    for words, error in (
            (["strat"], 'there is no command "strat"; did you mean "start"?\n  see gantry help'),
            (["zzzzzz"], 'there is no command "zzzzzz"\n  see gantry help'),
            (["node", "lss"], 'node: there is no command "node lss"\n  see gantry help node'),
            (["help", "strat"], 'there is no command "strat"\n  see gantry help'),
            (["stop"], "stop: INSTANCE… is missing\n  see gantry help stop"),
            (["top", "a", "b"], 'top: "b" is one word too many\n  see gantry help top'),
            (["ps", "x"], 'ps: "x" is one word too many\n  see gantry help ps'),
            (["stop", "--grase", "1s", "a"], "stop: there is no option --grase; did you mean --grace?\n  see gantry help stop"),
            (["stop", "-x", "a"], "stop: there is no option -x\n  see gantry help stop"),
            (["stop", "a", "--grace"], "stop: --grace wants a value: --grace TIME\n  see gantry help stop"),
            (["stop", "a", "-t"], "stop: -t wants a value: -t TIME\n  see gantry help stop"),
            (["ps", "--all=1"], "ps: --all takes no value\n  see gantry help ps"),
            (["--bogus", "ps"], "there is no option --bogus\n  see gantry help"),
            (["run", "-d", "--mem", "1m", "x"], "run: there is no option --mem; did you mean --memory?\n  see gantry help run"),
            (["run", "-d"], "run: which image?\n  see gantry help run"),
            (["run", "-d", "--label", "x", "i"], 'run: --label wants NAME=VALUE, not "x"\n  see gantry help run'),
            (["run", "-d", "--secret", "NOT_THERE", "i"],
             "run: --secret NOT_THERE: it is not in the environment; set it there, or give --secret NAME=VALUE\n  see gantry help run"),
            (["run", "-d", "--rm", "i"], "run: --rm is for the foreground, where gantry sees the end\n  see gantry help run"),
            (["run", "-d", "--spec", "/nowhere", "i"], "run: --spec: cannot open /nowhere: No such file or directory\n  see gantry help run"),
            (["resize", "a"], "resize: what is to change? Give --memory, --cpus or another\n  see gantry help resize"),
            (["wait", "--timeout", "soon", "a"], 'wait: --timeout must be a time as "10s" or "2m", not "soon"\n  see gantry help wait'),
            (["--host", "http://x", "ps"], 'the host must be unix:///PATH or https://HOST:PORT, not "http://x"\n  see gantry help'),
            (["--ca", "x", "ps"], f'--ca, --cert and --key are for https:// only, not for "{fake.host}"\n  see gantry help'),
            (["--host", "https://x", "--cert", "x", "ps"], "--cert and --key belong together\n  see gantry help")):
        check(gantry(*words), 2, "", f"gantry: {error}\n", "usage: " + " ".join(words))
    result = gantry("node")
    equal((result.status, "node ls" in result.out, "run" in result.out), (2, True, False), "gantry node: the commands of that group")
    check(gantry("run", "--mem", "1m"), 125, "", "gantry: run: there is no option --mem; did you mean --memory?\n  see gantry help run\n",
          "run in the foreground: 125 for a wrong command line")
    equal(gantry("run").status, 125, "and without an image")
    equal(gantry("run", "--host", "ftp://x", "i").status, 125, "and with a wrong host")
    equal(fake.take(), [], "none of that reached the server")
    with open("/dev/full", "w") as full:
        result = gantry("help", stdout=full)
    equal((result.status, result.err), (1, "gantry: cannot write to standard output: No space left on device\n"), "a full disk is told")


def unreachable(fake, gantry):
    check(gantry("--host", "unix:///nowhere/s", "ps"), 6, "",
          "gantry: cannot reach gantryd at unix:///nowhere/s: No such file or directory; is it running? --host or GANTRY_HOST names another\n",
          "no socket: status 6 and what to do")
    equal(gantry("ps", env={"GANTRY_HOST": "/nowhere/t"}).status, 6, "GANTRY_HOST, a bare path")
    equal(gantry("run", "--host", "/nowhere/s", "i").status, 125, "run in the foreground: 125")
    equal(gantry("run", "-d", "--host", "/nowhere/s", "i").status, 6, "run -d: 6")
    stale = os.path.join(fake.folder, "stale")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(stale)
    result = gantry("--host", stale, "ps")
    equal((result.status, "Connection refused" in result.err), (6, True), "a socket that nobody serves")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(stale + "2")
        server.listen()
        thread = threading.Thread(target=lambda: server.accept()[0].sendall(b"garbage\r\n\r\n"))
        thread.start()
        equal(gantry("--host", stale + "2", "ps").status, 6, "something that is no HTTP server")
        thread.join()

    # a connection lost before the answer: made again under the same key
    def lose(handler, _):
        handler.close_connection = True
    fake.answers[SPAWN] = [lose, lose, (201, operation())]
    result = gantry("run", "-d", "busybox")
    requests = fake.take()
    equal((result.status, result.out, len(requests)), (0, ID + "\n", 3), "a spawn whose answer is lost is asked for again")
    equal(len({request.headers["Idempotency-Key"] for request in requests}), 1, "with the same key")
    fake.answers[SPAWN] = (201, operation())
    gantry("run", "-d", "busybox")
    ok(fake.take()[0].headers["Idempotency-Key"] != requests[0].headers["Idempotency-Key"], "the next one has another")
    fake.answers[SPAWN] = (200, b"<html>")
    equal(gantry("run", "-d", "x").status, 1, "an answer that is no operation")
    fake.answers[SPAWN] = (500, b"<html>")
    check(gantry("run", "-d", "x"), 1, "", "gantry: x: gantryd answered with status 500\n", "an error that is no problem document")
    fake.take()


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


def line(stream, text, sequence, flags=0, boot=1):
    """A frame of the log."""
    return struct.pack(">BBxxIqqq", stream, flags, len(text), 1767323045000000006, boot, sequence) + text


def log(*frames, piece=None):
    def answer(handler, _):
        handler.stream("application/vnd.gantry.log")
        data = b"".join(frames)
        for at in range(0, len(data), piece or len(data) or 1):
            handler.chunk(data[at:at + (piece or len(data))])
        handler.end()
    return answer


def logs(fake, gantry):
    where = ("GET", f"/v1/instances/{ID}/logs")
    noise = bytes(range(256)) * 20
    all_lines = (line(1, b"one", 1), line(2, b"err", 2), line(0, b"", 0), line(1, noise, 3), line(1, b"a", 4, 1), line(1, b"b", 5),
                 line(0, b'{"gap":{"why":"it went","lines":7}}', 12), line(0, b'{"gap":{"why":"so did others"}}', 12), line(1, b"end", 13, 2))
    for piece in (None, 1, 7, 100):
        fake.answers[where] = log(*all_lines, piece=piece)
        result = gantry("logs", ID, raw=True)
        equal((result.status, result.out == b"one\n" + noise + b"\nab\nend", result.err),
             (0, True, f"err\ngantry: {ID}: 7 lines are missing here: it went\ngantry: {ID}: lines are missing here: so did others\n".encode()),
             f"a log arrives to the byte on its streams, in pieces of {piece or 'any'} size")
    fake.take()
    fake.answers[where] = log(line(1, b"a", 4, 1), line(1, b"b", 5), line(2, b"c", 6))
    time = "2026-01-02T03:04:05.000000006Z "
    check(gantry("logs", "-t", ID), 0, f"{time}ab\n", f"{time}c\n", "-t: the time once a line")
    fake.take()
    gantry("logs", "-f", "-n", "5", "--stream", "stderr", "--grep", "a b", "--since", "2026-01-02T03:04:05Z", "--until", "soon", "--after", "1.3", ID)
    equal(fake.take()[-1].query, "format=frames&follow=true&since=2026-01-02T03%3A04%3A05Z&until=soon&stream=stderr&grep=a%20b&after=1.3&tail=5",
         "what was asked for is asked for")
    gantry("logs", "--since", "10m", ID)
    has(fake.take()[-1].query, "since=20", "a span is a time so long ago")

    def cut(handler, _):
        handler.stream("application/vnd.gantry.log")
        handler.chunk(line(1, b"one", 1) + line(1, b"two", 2, boot=3)[:20])
        handler.cut()
    fake.answers[where] = [cut, log(line(1, b"two", 2, boot=3))]
    check(gantry("logs", "-n", "2", ID), 0, "one\ntwo\n", "", "one that was cut goes on after the last line")
    equal([r.query for r in fake.take()], ["format=frames&tail=2", "format=frames&after=1.1"], "by its cursor")
    fake.answers[where] = [cut, (410, problem(410, "no more"))]
    check(gantry("logs", ID), 1, "one\n", f"gantry: {ID}: no more\n", "or tells what it met")
    fake.answers[where] = log(b"\x03" + bytes(31))
    check(gantry("logs", ID), 6, "", f"gantry: {ID}: gantryd answers in a form that is not known here\n", "another form")
    fake.answers[where] = log(*[line(1, b"y" * 100, n) for n in range(1, 5000)])
    process = gantry.start("logs", ID)
    process.stdout.close()
    process.stderr.close()
    equal(process.wait(LIMIT), -signal.SIGPIPE, "a reader that left: SIGPIPE")
    with open("/dev/full", "w") as full:
        result = gantry("logs", ID, stdout=full)
    equal((result.status, result.err), (1, f"gantry: {ID}: the log cannot be written: No space left on device\n"), "a full disk")

    def objects(handler, _):
        handler.stream("application/x-ndjson")
        handler.chunk(b'{"cursor":"1.1","text":"x"}\n\n{"cursor":"1.2","text":"y"}\n')
        handler.end()
    fake.answers[where] = objects
    check(gantry("--json", "logs", ID), 0, '{"cursor":"1.1","text":"x"}\n{"cursor":"1.2","text":"y"}\n', "", "--json: as it came")
    fake.take()


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


def pending(pid, number):
    """The signal is blocked there and was not read yet."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return any(line.startswith(("SigPnd", "ShdPnd")) and int(line.split()[1], 16) >> (number - 1) & 1 for line in file)
    except FileNotFoundError:
        return False


def verbs(fake, gantry):
    for words, method, path, query, body in (
            (["start", "web"], "POST", "web/start", "", None),
            (["stop", "web"], "POST", "web/stop", "", {}),
            (["stop", "-t", "3s", "web"], "POST", "web/stop", "", {"grace": "3s"}),
            (["restart", "--grace=0", "web"], "POST", "web/restart", "", {"grace": "0"}),
            (["pause", "web"], "POST", "web/pause", "", None),
            (["unpause", "web"], "POST", "web/unpause", "", None),
            (["kill", "web"], "POST", "web/kill", "", {}),
            (["kill", "-s", "SIGTERM", "web"], "POST", "web/kill", "", {"signal": "SIGTERM"}),
            (["rm", "web"], "DELETE", "web", "", None),
            (["rm", "-f", "web"], "DELETE", "web", "force=true", None),
            (["resize", "-m", "1g", "--cpus", "2", "--pids", "5", "--project", "p q", "web"], "POST", "web/resize", "project=p%20q",
             {"memory": "1g", "cpus": 2, "pids": 5}),
            (["start", "--project", "blue", "we/b ü"], "POST", "we%2Fb%20%C3%BC/start", "project=blue", None)):
        fake.answers = {(method, "/v1/instances/" + path): (200, operation(kind=words[0]))}
        check(gantry(*words), 0, words[-1] + "\n", "", " ".join(words))
        request = fake.take()[0]
        equal((request.method, request.path, request.query, request.json),
             (method, "/v1/instances/" + path, (query + "&" if query else "") + "wait=3600", body), "as the contract has it")
        equal((request.headers.get("Idempotency-Key") is not None, request.headers.get("Content-Length")),
             (method == "POST", str(len(request.text)) if method == "POST" else None), "with a key and a length")
        equal(json.loads(gantry("--json", *words).out), operation(kind=words[0]), "--json prints the operation")
        fake.take()
        gantry(*words, "--no-wait")
        equal("wait=" in fake.take()[0].query, False, "--no-wait")

    # several, of which some fail
    fake.answers = {("POST", "/v1/instances/a/stop"): (200, operation()), ("POST", "/v1/instances/b/stop"): (409, problem(409, "stop b: it is stopped")),
                    ("POST", "/v1/instances/c/stop"): (404, problem(404, "no such instance")), ("POST", "/v1/instances/d/stop"): (200, operation())}
    check(gantry("stop", "a", "b", "c", "d"), 5, "a\nd\n", "gantry: stop b: it is stopped\ngantry: c: no such instance\n",
          "a failure does not stop the others; the first one's status is ours")
    equal([r.path[-6:] for r in fake.take()], ["a/stop", "b/stop", "c/stop", "d/stop"], "all were asked")


def looking(fake, gantry):
    long_ago = {"created_at": "2001-01-01T00:00:00.000Z", "started_at": "2001-01-01T00:00:00.000Z"}
    base = {"id": ID, "name": "web", "project": "default", "node": "local", "state": "running", "intent": "running", "image": "busybox:latest",
            "generation": 1, "boots": 2, "labels": {"a": "1"}, "container_id": "c0ffee", "address": "172.17.0.2", **long_ago,
            "spec": {"name": "web", "image": "busybox:latest", "command": ["sh", "-c", "echo 'hi' $A", ""], "memory": 67108864, "cpus": 1.5,
                     "tty": True, "ports": [{"container_port": 80}]}}
    days = int((time.time() - 978307200) / 86400)
    instances = [base, {**base, "name": "a-very-long-name", "id": "ffffffff", "health": "healthy"},
                 {**base, "name": "ü", "state": "stopped", "node": None, "last_exit": {"code": 137, "at": "2001-01-01T00:00:00Z", "oom_killed": True}},
                 {**base, "name": "evil\x1b]0;x\x07", "state": "failed", "image": "", "last_exit": {"code": 127, "at": "x"}}]
    fake.answers = {("GET", "/v1/instances"): (200, {"instances": instances})}
    check(gantry("ps", "-a"), 0, f"""NAME               ID         IMAGE            NODE    STATE                   SINCE
web                0f0e0d0c   busybox:latest   local   running                 {days}d
a-very-long-name   ffffffff   busybox:latest   local   running (healthy)       {days}d
ü                  0f0e0d0c   busybox:latest   -       stopped (137, memory)   {days}d
evil?]0;x?         0f0e0d0c   -                local   failed (127)            -
""", "", "ps -a: a table, without control characters")
    equal(fake.take()[0].query, "", "all states")
    check(gantry("ps", "-aq"), 0, f"{ID}\nffffffff\n{ID}\n{ID}\n", "", "ps -q: ids")
    check(gantry("ps", "--json"), 0, json.dumps({"instances": instances}) + "\n", "", "ps --json: the answer as it came")
    fake.take()
    gantry("ps")
    equal(fake.take()[0].query, "state=pending%2Ccreating%2Cstarting%2Crunning%2Cpaused%2Cstopping%2Cremoving%2Cunknown", "ps alone: not the stopped and failed")
    gantry("ps", "--project", "p", "-l", "a=1", "--label", "b", "--node", "n", "--state", "paused")
    equal(fake.take()[0].query, "project=p&label=a%3D1&label=b&node=n&state=paused", "ps with selectors")
    fake.answers["GET", "/v1/instances"] = (200, {"instances": []})
    check(gantry("ps"), 0, "NAME   ID   IMAGE   NODE   STATE   SINCE\n", "", "ps of nothing: the titles")
    check(gantry("ps", "-q"), 0, "", "", "ps -q of nothing")

    fake.answers["GET", "/v1/instances/web"] = (200, {**base, "last_exit": {"code": 137, "signal": 9, "signal_source": "sent", "oom_seen": True, "at": "T"}})
    fake.answers["GET", "/v1/instances/gone"] = (404, problem(404, "no such instance"))
    check(gantry("show", "gone", "web"), 3, f"""\
name           web
id             {ID}
project        default
state          running, wanted running
image          busybox:latest
node           local
container      c0ffee
address        172.17.0.2
created        2001-01-01T00:00:00.000Z
started        2001-01-01T00:00:00.000Z ({days}d ago), 2 times
last exit      137, signal 9 (sent), out of memory was seen at T
labels
  a=1
spec
  command      sh -c 'echo '\\''hi'\\'' $A' ''
  memory       64MiB
  cpus         1.5
  tty          true
  ports        '{{"container_port":80}}'
""", "gantry: gone: no such instance\n", "show")
    equal(len(gantry("show", "--json", "web", "web").out.splitlines()), 2, "show --json: one answer a line")

    fake.answers["GET", "/v1/instances/web/wait"] = [(200, {"id": ID, "state": "running", "timed_out": True}), (200, ended(7, signal=9))]
    fake.answers["GET", "/v1/instances/b/wait"] = (200, ended(0))
    fake.take()
    check(gantry("wait", "web", "b"), 0, "7\n0\n", "", "wait prints the codes, its status is 0")
    equal([r.query for r in fake.take()], ["timeout=3600.000"] * 3, "it asks again until the end")
    asked = threading.Event()
    fake.answers["GET", "/v1/instances/web/wait"] = lambda *_: asked.wait(20) and (200, ended(7, signal=9))
    fake.answers["GET", "/v1/instances/b/wait"] = lambda *_: asked.set() or (200, ended(0))
    check(gantry("wait", "web", "b"), 0, "7\n0\n", "", "all are asked at once: the second is answered while the first is waited for")
    held = threading.Event()
    fake.answers["GET", "/v1/instances/web/wait"] = lambda *_: held.wait(20) and (200, ended(7, signal=9))
    check(gantry("wait", "--any", "--exit-code", "web", "b"), 0, "b 0\n", "", "--any does not wait for the others")
    held.set()
    fake.answers["GET", "/v1/instances/b/wait"] = (200, ended(0))
    fake.answers["GET", "/v1/instances/web/wait"] = (200, ended(7, signal=9))
    check(gantry("wait", "--exit-code", "b", "web"), 7, "0\n7\n", "", "--exit-code")
    equal(json.loads(gantry("wait", "--json", "web").out), ended(7, signal=9), "--json has the signal too")
    fake.answers["GET", "/v1/instances/web/wait"] = (200, {"id": ID, "state": "running", "timed_out": True})
    check(gantry("wait", "--timeout", "0", "web"), 7, "", "gantry: web: still running\n", "--timeout: status 7")
    check(gantry("wait", "--any", "--timeout", "0", "web", "web"), 7, "", "gantry: all: still running\n", "--any: none has")
    check(gantry("wait", "--any", "b", "b"), 0, "b 0\n", "", "--any: one line")
    fake.answers["GET", "/v1/instances/gone/wait"] = (404, problem(404, "no such instance"))
    check(gantry("wait", "--any", "gone"), 3, "", "gantry: gone: no such instance\n", "--any: one that is not there")
    fake.answers["GET", "/v1/instances/web/wait"] = (200, {"id": ID, "state": "failed", "timed_out": False})
    check(gantry("wait", "web"), 5, "", "gantry: web: is failed and its process never ended\n", "one that never ran")
    fake.take()

    fake.answers["GET", "/v1/instances/web/top"] = (200, {"titles": ["PID", "CMD"], "rows": [["1", "sh -c x"], ["22", "sleep"]]})
    check(gantry("top", "web"), 0, "PID   CMD\n1     sh -c x\n22    sleep\n", "", "top")
    stats = {"id": ID, "name": "web", "at": "2026-01-02T03:04:05.000Z", "memory_bytes": 1048576, "memory_limit_bytes": 67108864, "cpu_ns": 1500000000,
             "cpu_periods": 8, "throttled_periods": 1, "pids": 3, "network_rx_bytes": 1024, "network_tx_bytes": 2048, "block_read_bytes": 0, "block_write_bytes": 10}
    fake.answers["GET", f"/v1/instances/{ID}/stats"] = (200, stats)
    fake.answers["GET", "/v1/instances"] = (200, {"instances": [base]})
    fake.take()
    table = ("NAME   CPU   CPU-TIME   THROTTLED   MEMORY   LIMIT   PIDS   OOM   WAITS CPU/MEM/IO   NET IN/OUT    DISK IN/OUT\n"
             "web    -     1.5s       12.5%       1MiB     64MiB   3      -     -                  1KiB / 2KiB   0B / 10B\n")
    check(gantry("stats"), 0, table, "", "stats of all that run")
    equal([(r.path, r.query) for r in fake.take()], [("/v1/instances", "state=running"), (f"/v1/instances/{ID}/stats", "")], "asks for each")
    known = {**stats, "pids_limit": 64, "oom_kills": 2, "cpu_pressure_percent": 1.25, "memory_pressure_percent": 0, "cpu_periods": 0}
    fake.answers["GET", "/v1/instances/web/stats"] = (200, known)
    equal(re.split("  +", gantry("stats", "web").out.splitlines()[1])[3:9], ["-", "1MiB", "64MiB", "3 / 64", "2", "1.2% / 0.0% / -"],
          "stats: the limit of processes, kills for memory and pressure where they are known")

    fresh = threading.Semaphore(0)

    def readings(*objects, end=True):
        """Each is sent when fresh is released."""
        def answer(handler, _):
            handler.stream("application/x-ndjson")
            for one in objects:
                fresh.acquire()
                handler.chunk(json.dumps(one).encode() + b"\n")
            if end:
                handler.end()
            else:
                handler.cut()
        return answer

    later = {**stats, "at": "2026-01-02T03:04:07.000Z", "cpu_ns": 2500000000}
    fake.answers["GET", "/v1/instances/web/stats"] = readings(stats, later)
    fake.answers["GET", "/v1/instances/gone/stats"] = (409, problem(409, "it is stopped"))
    fake.take()
    process = gantry.start("stats", "-f", "--interval", "100ms", "web", "gone")
    fresh.release()
    rows = [process.stdout.readline().split() for _ in range(2)]
    fresh.release()
    out, errors = process.communicate(timeout=LIMIT)
    rows += [line.split() for line in out.splitlines()]
    equal((process.returncode, [[cell.decode() for cell in row[:3]] for row in rows]), (5, [["NAME", "CPU", "CPU-TIME"], ["web", "-", "1.5s"], ["NAME", "CPU", "CPU-TIME"], ["web", "50.0%", "2.5s"]]),
          "stats --follow: a table when there is something new, with the CPU used in between, until all have ended")
    equal(errors, b"gantry: gone: it is stopped\n", "one that is stopped does not end it")
    equal(sorted((r.path, r.query) for r in fake.take()), [(f"/v1/instances/{name}/stats", "follow=true") for name in ("gone", "web")], "by one request each")
    fresh.release(2)
    lines = gantry("--json", "stats", "-f", "web")
    equal((lines.status, [json.loads(line) for line in lines.out.splitlines()][-1]), (0, later), "with --json each as it comes")
    fake.answers["GET", "/v1/instances/web/stats"] = readings(stats, end=False)
    fresh.release()
    result = gantry("stats", "-f", "web")
    equal((result.status, result.out.splitlines()[1:], "lost the connection" in result.err), (6, [table.splitlines()[1]], True), "a stream that is cut is an error")


def progress(fake, gantry):
    pulling = operation("running", progress={"stage": "Downloading\x1b[2J", "done_bytes": 5 << 20, "total_bytes": 20 << 20})

    def watch(handler, _):
        handler.stream()
        handler.line(operation("running", step="policy"))
        handler.line(pulling)
        handler.chunk(b"\n")
        handler.line(operation())
        handler.end()
    fake.answers = {SPAWN: (202, operation("running")), ("GET", f"/v1/operations/{OPERATION}/watch"): watch,
                    ("GET", f"/v1/operations/{OPERATION}"): (200, operation())}
    fake.take()
    result = gantry.on_terminal("run", "-d", "--name", "web", "busybox")
    equal((result.status, result.out), (0, ID + "\n"), "run -d on a terminal")
    equal(result.err, "\r" + "web: policy\x1b[K" + "\rweb: Downloading?[2J [======>                 ] 5MiB of 20MiB\x1b[K" + "\r\x1b[K",
         "shows progress on standard error and takes it away")
    equal([(r.path.split("/")[-1], r.query) for r in fake.take()], [("instances", "wait=1"), ("watch", "")], "after a moment's wait")
    result = gantry("run", "-d", "--name", "web", "busybox")
    equal((result.err, [r.path.split("/")[-1] for r in fake.take()]), ("", ["instances", OPERATION]), "no progress where nobody looks")

    def cut(handler, _):
        handler.stream()
        handler.line(pulling)
        handler.cut()
    fake.answers["GET", f"/v1/operations/{OPERATION}/watch"] = cut
    result = gantry.on_terminal("run", "-d", "busybox")
    equal((result.status, result.out), (0, ID + "\n"), "a watch that is cut: the wait decides")
    fake.answers["GET", f"/v1/operations/{OPERATION}"] = (200, operation("failed", error=problem(404, "no such image")))
    result = gantry.on_terminal("run", "-d", "busybox")
    equal((result.status, result.err.split("\x1b[K")[-1]), (3, f"gantry: busybox: no such image\r\n  operation {OPERATION}; its steps: gantry ops {OPERATION}\r\n"),
         "an error comes after the progress is gone")
    fake.take()

    fake.answers[("GET", "/v1/nodes")] = (200, {"nodes": [{"name": "n1"}, {"name": "n 2"}]})
    fake.answers[("POST", "/v1/nodes/n1/images")] = (200, operation(kind="pull"))
    fake.answers[("POST", "/v1/nodes/n%202/images")] = (404, problem(404, "no such image"))
    check(gantry("pull", "busybox"), 3, "n1: busybox\n", "gantry: busybox: no such image\n", "pull asks every node")
    equal([(r.method, r.json) for r in fake.take()], [("GET", None)] + 2 * [("POST", {"image": "busybox"})], "as the contract has it")
    check(gantry("pull", "--node", "n1", "a", "b"), 0, "n1: a\nn1: b\n", "", "pull --node, two images")
    fake.take()


def others(fake, gantry):
    image = {"node": "n1", "image_id": "sha256:0123456789abcdef", "tags": ["a:1", "a:2"], "digests": [], "size_bytes": 1536, "created_at": None}
    fake.answers = {("GET", "/v1/images"): (200, {"images": [image, {**image, "tags": []}], "unreachable": ["n2"]}),
                    ("GET", "/v1/nodes/n1/images"): (200, {"images": [image]})}
    check(gantry("images"), 1, "IMAGE    ID             NODE   SIZE     CREATED\n" + "".join(
        f"{tag:6}   0123456789ab   n1     1.5KiB   -\n" for tag in ("a:1", "a:2", "<none>")), "gantry: node n2 cannot be asked\n", "images, one node out of reach")
    equal((gantry("images", "--node", "n1").status, fake.take()[-1].path), (0, "/v1/nodes/n1/images"), "images --node")

    node = {"name": "n1", "plugin": "docker", "state": "up", "drained": True, "labels": {"zone": "a"}, "version": 3,
            "facts": {"engine": "Docker", "engine_version": "20.10", "memory_bytes": 1 << 30}, "capacity": {"memory_bytes": 1 << 30, "nano_cpus": 2000000000},
            "promised": {"instances": 2, "memory_bytes": 1 << 20, "nano_cpus": 500000000}}
    fake.answers = {("GET", "/v1/nodes"): (200, {"nodes": [node, {"name": "n2", "plugin": "docker", "state": "down"}]}), ("GET", "/v1/nodes/n1"): (200, node)}
    check(gantry("node", "ls"), 0, """NAME   STATE         ENGINE         INSTANCES   CPUS   PROMISED   MEMORY   PROMISED
n1     up, drained   Docker 20.10   2           2      0.5        1GiB     1MiB
n2     down          docker         0           -      -          -        -
""", "", "node ls")
    result = gantry("node", "show", "n1", "gone")
    equal((result.status, result.out.splitlines()[:6]), (3, ["name                 n1", "plugin               docker", "state                up",
                                                         "drained              true", "labels", "  zone               a"]), "node show")
    equal(gantry("--json", "node", "ls").out, json.dumps({"nodes": [node, {"name": "n2", "plugin": "docker", "state": "down"}]}) + "\n", "--json before the command")

    decision = {"id": 12, "verb": "spawn", "actor": "uid:0", "project": "default", "instance": ID, "at": "T", "revision": "abc", "allowed": False,
                "reason": "no", "records": [{"policy": "unsafe", "hook": "admit", "outcome": "deny", "reason": "no\x1b", "file": "unsafe.lua", "line": 3, "took_us": 5},
                                            {"policy": "p", "hook": "resources", "outcome": "set", "answer": {"pids": 1}, "subject": "pids", "file": "p.lua",
                                             "shadow": True, "conflict": True}]}
    text = (f"decision 12: spawn of {ID} by uid:0 in project default refused\nat T under revision abc\nbecause no\n"
            "  admit       unsafe           deny  : no? (unsafe.lua:3)\n"
            '  resources   p                set    pids {"pids":1} (p.lua) [shadow: without effect] [conflict: changes what another policy set]\n')
    fake.answers = {("GET", "/v1/decisions/12"): (200, decision), ("GET", "/v1/instances/web/decisions"): (200, {"decisions": [decision, {**decision, "id": 11}]}),
                    ("GET", "/v1/instances/new/decisions"): (200, {"decisions": []}),
                    ("POST", "/v1/policies/eval"): (200, {"decision": {**decision, "id": 0}}),
                    ("GET", "/v1/policies"): (200, {"revision": "abc", "policies": [{"name": "a", "file": "a.lua", "mode": "enforce", "on_error": "deny", "hooks": ["admit", "score"]}]})}
    check(gantry("policy", "explain", "12"), 0, text, "", "policy explain of a decision")
    check(gantry("policy", "explain", "web"), 0, text, "", "of an instance: the last")
    check(gantry("policy", "explain", "-a", "web"), 0, text + "\n" + text.replace("decision 12", "decision 11"), "", "--all")
    check(gantry("policy", "explain", "new"), 3, "", "gantry: new: no decision is kept\n", "none")
    fake.take()
    result = gantry("policy", "eval", "--actor", "uid:7", "--verb", "spawn", "-m", "1g", "busybox", "x")
    equal((result.status, result.out), (4, text.replace("decision 12: ", "")), "policy eval: status 4 where it is refused")
    equal(fake.take()[0].json, {"spec": {"memory": "1g", "image": "busybox", "command": ["x"]}, "verb": "spawn", "actor": "uid:7"}, "as the contract has it")
    fake.answers[("POST", "/v1/policies/eval")] = (200, {"decision": {**decision, "allowed": True, "reason": None}})
    equal(gantry("policy", "eval", "busybox").status, 0, "0 where it is allowed")
    check(gantry("policy", "status"), 0, "revision abc\nPOLICY   MODE      ON ERROR   HOOKS         FILE\na        enforce   deny       admit score   a.lua\n", "", "policy status")
    fake.answers[("POST", "/v1/policies/reload")] = (200, {"revision": "def", "policies": []})
    check(gantry("policy", "reload"), 0, "revision def\nPOLICY   MODE   ON ERROR   HOOKS   FILE\n", "", "policy reload shows the set that is in force then")
    fake.answers[("POST", "/v1/policies/reload")] = (400, problem(400, "a.lua:3: syntax error"))
    check(gantry("policy", "reload"), 2, "", "gantry: a.lua:3: syntax error\n", "or what is wrong")
    folder = os.path.join(fake.folder, "bin")
    os.mkdir(folder)
    shutil.copy(GANTRY, folder)

    def check_policies(path):
        done = subprocess.run([folder + "/gantry", "policy", "check", path], env={**gantry.environment, "PATH": "/nowhere"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    check(check_policies("x"), 1, "", "gantry: policy check runs gantryd, which is neither beside gantry nor in PATH: No such file or directory\n",
          "policy check without gantryd")
    with open(folder + "/gantryd", "w") as file:
        file.write('#!/bin/sh\necho "$@"\nexit 9\n')
    os.chmod(folder + "/gantryd", 0o755)
    check(check_policies("the folder"), 9, "--check-policies the folder\n", "", "policy check runs the gantryd beside it")

    # events
    def event(sequence, **more):
        return {"sequence": sequence, "at": "2026-01-02T03:04:05.678Z", "kind": "instance.state", "instance": ID, "name": "web", "node": "n1", "project": "default", **more}

    def first(handler, _):
        handler.stream()
        handler.line(event(5, to="running\x07"))
        handler.chunk(b"\n")
        handler.chunk(b'{"sequence": 6, "at"')
        handler.cut()

    def second(handler, _):
        handler.stream()
        handler.line(event(6, to="stopped", exit={"code": 3}, error={"detail": "why"}, more={"a": 1}))
        handler.end()
    fake.answers = {("GET", "/v1/events"): [first, second]}
    fake.take()
    lines = ("2026-01-02T03:04:05.678Z  5  instance.state  web  node=n1  to=running?\n"
             "2026-01-02T03:04:05.678Z  6  instance.state  web  node=n1  to=stopped  exit=3  error=why  more={\"a\":1}\n")
    check(gantry("events", "-f", "--after", "4", "--instance", "web"), 0, lines, "", "events --follow: a cut stream goes on, nothing twice")
    equal([r.query for r in fake.take()], ["after=4&follow=true&instance=web", "after=5&follow=true&instance=web"], "where it was")

    def silent(handler, _):
        handler.stream()
        handler.cut()
    fake.answers = {("GET", "/v1/events"): [silent, second], ("GET", "/v1/health"): (200, {"status": "ok", "last_event": 5})}
    check(gantry("events", "-f"), 0, lines.splitlines()[1] + "\n", "", "events --follow: cut before the first one, it goes on")
    equal([r.query for r in fake.take()], ["", "after=5&follow=true", "after=5&follow=true"], "and nothing is lost between")
    fake.answers = {("GET", "/v1/events"): [silent, second]}
    check(gantry("events", "-f", "--after", "5"), 0, lines.splitlines()[1] + "\n", "", "so with a place to begin at")
    equal([r.query for r in fake.take()], ["after=5&follow=true"] * 2, "which is kept")
    fake.answers["GET", "/v1/events"] = first
    result = gantry("events")
    equal((result.status, result.out, result.err), (6, lines.splitlines()[0] + "\n", f"gantry: lost the connection to gantryd at {fake.host}\n"), "without --follow a cut one is an error")
    fake.answers["GET", "/v1/events"] = second
    check(gantry("events", "--json"), 0, json.dumps(event(6, to="stopped", exit={"code": 3}, error={"detail": "why"}, more={"a": 1})) + "\n", "", "events --json: lines as they came")
    fake.answers["GET", "/v1/events"] = (400, problem(400, "must be a number", field="after"))
    check(gantry("events", "--after", "x"), 2, "", "gantry: after: must be a number\n", "events with a wrong value")

    timings = {"policy_us": 500, "store_us": 1500, "engine_us": 2000000, "other_us": 0, "total_us": 2002000, "steps": [{"name": "policy", "us": 400}]}
    failed = operation("failed", timings=timings, ended_at="2026-01-02T03:04:07.000Z", error=problem(409, "taken"), decision=3)
    fake.answers = {("GET", "/v1/operations"): (200, {"operations": [failed]}), ("GET", f"/v1/operations/{OPERATION}"): (200, failed)}
    result = gantry("ops")
    equal((result.status, result.out.splitlines()[0].split(), result.out.splitlines()[1].split()[:6]),
         (0, ["ID", "KIND", "INSTANCE", "STATE", "STEP", "TOOK", "BEGAN", "ACTOR"], [OPERATION, "spawn", "web", "failed", "start", "2.0s"]), "ops")
    check(gantry("ops", OPERATION), 0, f"""operation {OPERATION}
spawn web by uid:0: failed
began 2026-01-02T03:04:05.678Z, ended 2026-01-02T03:04:07.000Z
step start
decision 3; why: gantry policy explain 3
failed: taken
took 2.0s: policy 500us, store 1.5ms, engine 2.0s, other 0us
  policy       400us
""", "", "ops of one: where the time went")
    fake.take()
    gantry("ops", "--instance", "web", "--limit", "5")
    equal(fake.take()[0].query, "instance=web&limit=5", "ops of an instance")
    equal(gantry("ops", "--wait", OPERATION).status, 5, "ops --wait: the operation's own status")

    fake.answers = {("GET", "/v1/doctor"): (200, {"checks": [{"name": "store", "status": "ok", "detail": "fine"},
                                                           {"name": "node n1", "status": "fail", "detail": "down", "hint": "start it"}]}),
                    ("GET", "/v1/version"): (200, {"version": "9.9", "api": "1", "plugins": [{"name": "docker", "version": "1.0"}]})}
    check(gantry("doctor"), 1, "ok    store: fine\nfail  node n1: down\n      start it\n", "", "doctor: status 1 where a check fails")
    result = gantry("version")
    equal((result.status, result.out.splitlines()[1:]), (0, [f"gantryd  9.9 at {fake.host}, API 1", "plugin   docker 1.0"]), "version")
    ok(re.fullmatch(r"gantry   \d+\.\d+\.\d+", result.out.splitlines()[0]), "ours first")
    result = gantry("--host", "/nowhere/s", "version")
    equal((result.status, len(result.out.splitlines())), (6, 1), "also without a daemon")


def tls():
    folder = tempfile.mkdtemp(prefix="gantry-tls-")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for authority in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", authority + ".key", "-out", authority + ".pem",
                "-days", "2", "-subj", "/CN=" + authority)
    with open(folder + "/ext", "w") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", authority + ".pem", "-CAkey", authority + ".key", "-CAcreateserial", "-days", "2",
                "-extfile", "ext", "-out", name + ".pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/server.pem", folder + "/server.key")
    context.load_verify_locations(folder + "/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    def ours(name, authority="ca"):
        return ["--ca", f"{folder}/{authority}.pem"] + (["--cert", f"{folder}/{name}.pem", "--key", f"{folder}/{name}.key"] if name else [])
    with Fake(context) as fake:
        gantry = Command(fake.host)
        fake.answers["GET", "/v1/instances"] = (200, {"instances": []})
        check(gantry("ps", "-q", *ours("client")), 0, "", "", "mutual TLS")
        equal(len(fake.take()), 1, "reaches the server")
        equal(gantry("ps", "-q", env={"GANTRY_TLS_CA": folder + "/ca.pem", "GANTRY_TLS_CERT": folder + "/client.pem",
                                     "GANTRY_TLS_KEY": folder + "/client.key"}).status, 0, "by variables")
        fake.take()
        result = gantry("ps", *ours("client", "other"))
        equal((result.status, f"gantry: cannot trust gantryd at {fake.host}: " in result.err), (6, True), "a server of another authority is not trusted")
        equal(gantry("ps").status, 6, "nor one without --ca")
        result = gantry("ps", *ours(None))
        equal((result.status, "gantryd at" in result.err), (6, True), "without a certificate of ours: 6")
        equal(gantry("ps", *ours("stranger")).status, 6, "with one of another authority: 6")
        equal(gantry("ps", "--host", fake.host.replace("127.0.0.1", "localhost"), *ours("client")).status, 6, "another name than the certificate's: 6")
        result = gantry("ps", "--ca", folder + "/nowhere.pem", "--cert", folder + "/client.pem", "--key", folder + "/client.key")
        equal((result.status, "nowhere.pem" in result.err), (6, True), "a file that is not there is named")
        equal(len(fake.take()), 0, "none of these reached a handler")
    shutil.rmtree(folder)


if os.path.exists(GANTRY):
    with Fake() as server:
        command = Command(server.host)
        for part in (usage, unreachable, detached, problems, foreground, logs, signals, verbs, looking, progress, others):
            say(part.__name__)
            part(server, command)
    say("tls")
    tls()
else:
    ok(False, f"{GANTRY} is built")
finish()
