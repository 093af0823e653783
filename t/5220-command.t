#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gantry command against a server that plays gantryd: its usage, its ways to the server, operations and their progress."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from certificates import authority, certificate
from command import *


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


def tls(*_):
    folder = tempfile.mkdtemp(prefix="gantry-tls-")
    authorities = {name: authority(folder, name) for name in ("ca", "other")}
    for name, signer in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        certificate(folder, name, authorities[signer])
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

    # ports of networks
    fake.answers = {("POST", "/v1/instances/web/ports"): (200, operation(kind="port_attach")), ("DELETE", "/v1/instances/web/ports"): (200, operation(kind="port_detach")),
                    ("GET", "/v1/instances/web/ports"): (200, {"ports": [{"id": "p-1", "bridge": "br0", "findings": ["it is down", "and out"]}, {"id": "p-2", "bridge": "br1", "findings": []}]})}
    check(gantry("net", "attach", "web", "p-1,bridge=br0"), 0, "web\n", "", "net attach")
    check(gantry("net", "detach", "web", "p-1"), 0, "web\n", "", "net detach")
    equal([(r.method, r.query, r.json) for r in fake.take()], [("POST", "wait=3600", {"port": "p-1,bridge=br0"}), ("DELETE", "port=p-1&wait=3600", None)],
          "as the contract has them")
    check(gantry("net", "doctor", "web"), 1, "PORT   BRIDGE   FINDING\np-1    br0      it is down\np-1    br0      and out\np-2    br1      ok\n", "",
          "net doctor: status 1 where a port has a finding")


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


run_parts(usage, unreachable, tls, verbs, progress)
