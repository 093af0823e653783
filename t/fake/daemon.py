# SPDX-License-Identifier: Apache-2.0
"""A gantryd on a fake engine, for tests of the whole daemon: started, asked, killed, started again."""
import atexit
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from contract import Contract
from process import descriptors, memory_kib
from tap import diag, equal, finish, has, ok, skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", ".build/plain"))
SAN, VG = bool(os.environ.get("SAN")), bool(os.environ.get("VG"))
SLOW = 8 if SAN or VG else 1
LIMIT = 20 * SLOW


def done():
    """The end of a test; what the contract and the sanitizers found in its worlds fails it."""
    for number, world in enumerate(World.all, 1):
        if world.contract:
            equal(sorted(set(world.contract_findings))[:20], [], f"world {number}: each answer was as the contract says")
        equal(world.sanitizer_findings(), [], f"world {number}: nothing for the sanitizers")
    finish()


def memory_below(kib, limit_kib, name, sanitized_kib=None):
    """Of a gantryd. Valgrind's own is among it, so none is counted there; sanitizers keep what is freed: sanitized_kib is their limit, if any."""
    limit_kib = None if VG else sanitized_kib if SAN else limit_kib
    if limit_kib is None:
        skip(1, f"{name}: no memory is counted under valgrind and sanitizers")
    else:
        ok(kib < limit_kib, f"{name} ({kib} KiB)")


def free_port(kind=socket.SOCK_STREAM):
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def flow_steps(memory_only=False):
    """(kind, step) of all flows, in order; memory_only: those that have no commit before them."""
    result = subprocess.run([os.path.join(BUILD, "gantryd"), "--steps"], check=True, capture_output=True, text=True)
    lines = [line.split() for line in result.stdout.splitlines()]
    return [tuple(words[:2]) for words in lines if not memory_only or "memory" in words[2:]]


def until(condition, what, limit=LIMIT):
    """The first true value of condition; fails the whole test where it never comes."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            for world in World.all:
                if os.path.exists(world.log):
                    with open(world.log, errors="replace") as file:
                        diag("\n".join(["the end of a gantryd's log:", *file.read().splitlines()[-12:]]))
            ok(False, f"waited {limit} s for: {what}")
            sys.exit(255)
        time.sleep(0.01)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=LIMIT * 2):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


def ask(path, method, target, body=None, headers=None):
    connection = UnixConnection(path)
    try:
        data = None if body is None else json.dumps(body) if isinstance(body, (dict, list)) else body  # an iterator: in chunks
        connection.request(method, target, data, headers or ({"Content-Type": "application/json"} if data else {}))
        reply = connection.getresponse()
        return Answer(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


class Stream:
    """A chunked answer read line by line; knows whether it ended (last chunk) or was cut."""

    def __init__(self, path, target, headers=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT)
        self.sock.connect(path)
        lines = [f"GET {target} HTTP/1.1", "Host: x"] + [f"{k}: {v}" for k, v in (headers or {}).items()]
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode())
        self.raw, self.text, self.ended, self.cut = b"", b"", False, False
        while b"\r\n\r\n" not in self.raw:
            self._more()
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self.head = head.decode()
        if "chunked" not in self.head.lower():
            self.ended = True  # a problem, not a stream: its body is nobody's business here

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.raw += data

    def _chunk(self):
        try:
            while b"\r\n" not in self.raw:
                self._more()
            size, _, rest = self.raw.partition(b"\r\n")
            size = int(size, 16)
            while len(rest) < size + 2:
                self._more()
                rest = self.raw.partition(b"\r\n")[2]
        except (EOFError, ConnectionResetError):
            self.cut = True
            return
        self.raw, self.ended = rest[size + 2:], size == 0
        self.text += rest[:size]

    def line(self, limit=LIMIT):
        """The next line that is not empty (those are signs of life); None at the end (see ended, cut)."""
        end = time.monotonic() + limit
        while True:
            line, newline, rest = self.text.partition(b"\n")
            if newline:
                self.text = rest
                if line:
                    return line.decode()
                continue
            if self.ended or self.cut:
                return None
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            self._chunk()

    def json(self, limit=LIMIT):
        line = self.line(limit)
        return None if line is None else json.loads(line)

    def rest(self):
        """All lines until the end."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        return lines

    def close(self):
        self.sock.close()


class Engine:
    """The fake Docker Engine, a process that outlives gantryd."""

    def __init__(self, folder, name="engine"):
        self.socket = os.path.join(folder, f"{name}.sock")
        self.process = subprocess.Popen([os.path.join(BUILD, "t/fake/engine"), self.socket],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self.process.stdout.readline().strip() == b"ready"

    def ask(self, method, target, body=None):
        return ask(self.socket, method, target, body)

    def state(self):
        return self.ask("GET", "/fake/state").json

    def containers(self, owner=None):
        answer = self.ask("GET", "/v1.41/containers/json?all=1").json
        return [c for c in answer if owner is None or c["Labels"].get("gantry.owner") == owner]

    def fault(self, match, mode, ms=0, count=None, message=None):
        body = {"match": match, "mode": mode, "ms": ms}
        if count is not None:
            body["count"] = count
        if message:
            body["message"] = message
        return self.ask("POST", "/fake/fault", body)

    def clear(self):
        self.ask("DELETE", "/fake/fault")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(LIMIT)
        self.process.stdout.close()


def unit_powers(*additions):
    """A command to run gantryd under, with no more of root's powers than its systemd unit leaves it."""
    powers = [word[4:].lower() for name in ("gantryd.service", *additions)
              for line in open(os.path.join(ROOT, "contrib/systemd", name)) if line.startswith("CapabilityBoundingSet=")
              for word in line.split("=")[1].split()]
    return ["setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all", *("+" + power for power in powers)])]


class World:
    """A folder with an engine, settings, policies and a gantryd that can be killed and started again.

    contract: answers got by get, post and delete are held against openapi.yaml, see done().
    """
    all = []

    def __init__(self, policies=None, engine=True, settings="", endpoint=None, nodes=None, node="", contract=True,
                 owner="test", engines=None):
        """node: further options of the node, as Lua. engines: names of several nodes, each with an engine of its own."""
        World.all.append(self)
        self.contract = Contract() if contract else None
        self.contract_findings = []
        self.folder = tempfile.mkdtemp(prefix="gantry-t.")
        atexit.register(self.end)
        self.owner = owner
        self.engines = {name: Engine(self.folder, name) for name in engines or ()}
        self.engine = None if engines else Engine(self.folder) if engine else None
        self.socket = os.path.join(self.folder, "gantry.sock")
        self.store = os.path.join(self.folder, "gantry.db")
        self.policies = os.path.join(self.folder, "policies")
        self.log = os.path.join(self.folder, "log")
        self.config = os.path.join(self.folder, "gantry.lua")
        self.daemon = None
        self.under = []  # a command to run gantryd under
        if policies == "shipped":
            shutil.copytree(os.path.join(ROOT, "scripts/policies"), self.policies)
        else:
            os.mkdir(self.policies)
            for name, text in (policies or {}).items():
                self.policy(name, text)
        endpoint = endpoint or (f"unix://{self.engine.socket}" if self.engine else "unix:///nowhere")
        if engines:
            nodes = ", ".join(f'["{name}"] = {{ plugin = "docker", endpoint = "unix://{e.socket}", {node} }}' for name, e in self.engines.items())
        nodes = nodes or f'["local"] = {{ plugin = "docker", endpoint = "{endpoint}", {node} }}'
        with open(self.config, "w") as file:
            file.write(f'owner = "{self.owner}"\n'
                       f'listen = {{ {{ unix = "{self.socket}", mode = "0600" }} }}\n'
                       f'nodes = {{ {nodes} }}\n'
                       f'policies = "{self.policies}"\nstore = "{self.store}"\n{settings}\n')

    def policy(self, name, text):
        with open(os.path.join(self.policies, name), "w") as file:
            file.write(text)

    def launch(self, crash_at=None, wrap=None):
        """Starts gantryd and waits for nothing."""
        env = dict(os.environ)
        env.pop("GANTRY_CRASH_AT", None)
        if crash_at:
            env["GANTRY_CRASH_AT"] = crash_at
        command = [os.path.join(BUILD, "gantryd"), "--config", self.config, "--log-level", "debug"]
        if VG and not wrap:
            wrap = ["valgrind", "-q", "--error-exitcode=98", "--leak-check=full",
                    "--errors-for-leak-kinds=definite", f"--suppressions={ROOT}/t/valgrind.supp"]
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(self.under + (wrap or []) + command, stderr=log, stdout=log,
                                           stdin=subprocess.DEVNULL, env=env)

    def start(self, crash_at=None, up=True, wrap=None):
        """Starts gantryd and waits until it answers; up: and has all its nodes."""
        self.launch(crash_at, wrap)
        until(lambda: self.answers() or self.daemon.poll() is not None, "gantryd to answer")
        if self.daemon.poll() is not None:
            diag(open(self.log).read()[-3000:])
            print("Bail out! gantryd did not start", flush=True)
            sys.exit(255)
        if up:
            until(lambda: self.get("/v1/health").json["status"] == "ok", "all nodes to be up")
        return self

    def refuses(self):
        """Starts gantryd where it is to end by itself: its exit status, and what it said."""
        size = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.launch()
        until(lambda: self.daemon.poll() is not None, "gantryd to refuse to start")
        with open(self.log) as log:
            log.seek(size)
            return self.daemon.returncode, log.read()

    def answers(self):
        try:
            return self.get("/v1/version").status == 200
        except OSError:
            return False

    def kill(self):
        self.daemon.kill()
        self.daemon.wait(LIMIT)

    def died(self):
        """Waits until a crash point ended it."""
        until(lambda: self.daemon.poll() is not None, "gantryd to die at its crash point")
        return self.daemon.returncode

    def stop(self):
        """The orderly end; its exit status."""
        self.daemon.terminate()
        until(lambda: self.daemon.poll() is not None, "gantryd to end on SIGTERM", LIMIT + 15)
        return self.daemon.returncode

    def forget(self):
        """Deletes the store of a gantryd that does not run."""
        for end in ("", "-wal", "-shm"):
            if os.path.exists(self.store + end):
                os.unlink(self.store + end)

    def rss_kib(self):
        return memory_kib(self.daemon.pid)

    def descriptors(self):
        return descriptors(self.daemon.pid)

    def ask(self, method, target, body=None, headers=None):
        answer = ask(self.socket, method, target, body, headers)
        if self.contract:
            self.contract_findings += self.contract.answer(method, target, answer.status, answer.headers, answer.body)
        return answer

    def get(self, target, headers=None):
        return self.ask("GET", target, headers=headers)

    def post(self, target, body=None, headers=None):
        return self.ask("POST", target, body, headers)

    def delete(self, target, headers=None):
        return self.ask("DELETE", target, headers=headers)

    def stream(self, target, headers=None):
        return Stream(self.socket, target, headers)

    def check(self, schema, value, where):
        """Holds a value against a schema of the contract, as a line of a stream."""
        self.contract_findings += self.contract.check(f"#/components/schemas/{schema}", value, where)

    def instance(self, name):
        return self.get(f"/v1/instances/{name}").json

    def state(self, name):
        return self.instance(name).get("state")

    def events(self, after=0):
        """All that are kept, each held against the contract."""
        events = [json.loads(line) for line in self.stream(f"/v1/events?after={after}").rest()]
        for event in events:
            self.check("Event", event, f"event {event.get('kind')}")
        return events

    def log_lines(self, name, **query):
        """All that an instance's log has for the query, each held against the contract."""
        stream = self.stream(f"/v1/instances/{name}/logs?" + "&".join(f"{key}={value}" for key, value in query.items()))
        assert stream.status == 200, stream.head
        found = [json.loads(line) for line in stream.rest()]
        assert stream.ended
        for line in found:
            self.check("LogLine", line, "a line of a log")
        return found

    def spawn(self, wait=LIMIT, **spec):
        spec.setdefault("image", "busybox")
        spec.setdefault("command", ["sleep", "1000"])
        return self.post(f"/v1/instances?wait={wait}", spec)

    def instances(self):
        return self.get("/v1/instances").json["instances"]

    def operation(self, id):
        return self.get(f"/v1/operations/{id}?wait={LIMIT}").json

    def running_operations(self):
        return [o for o in self.get("/v1/operations?limit=1000").json["operations"] if o["state"] == "running"]

    def containers(self):
        """Those of our owner on all engines."""
        return [c for engine in self.engines.values() or [self.engine] for c in engine.containers(self.owner)]

    def disagreements(self):
        """Where the engines' lists and the API's list do not say the same, as texts."""
        containers = self.containers()
        by_instance = {c["Labels"]["gantry.instance"]: c for c in containers}
        instances = {i["id"]: i for i in self.instances()}
        wrong = ["two containers of one instance"] if len(containers) != len(by_instance) else []
        wrong += [f"container {by_instance[id]['Names']} is an orphan" for id in by_instance.keys() - instances.keys()]
        for id, instance in instances.items():
            if id not in by_instance:
                wrong.append(f"instance {instance['name']} is {instance['state']} without a container")
                continue
            state = {"exited": "stopped", "created": "stopped"}.get(by_instance[id]["State"], by_instance[id]["State"])
            if state != instance["state"]:
                wrong.append(f"{instance['name']}: engine {state}, API {instance['state']}")
            if instance.get("container_id") != by_instance[id]["Id"]:
                wrong.append(f"{instance['name']}: another container id")
        return wrong

    def settled(self, what):
        """Waits until nothing is under way and engine and API agree; says what does not where it never comes."""
        end = time.monotonic() + LIMIT
        while True:
            wrong = [f"operation {o['kind']} of {o.get('instance_name')} is at {o['step']}" for o in self.running_operations()]
            wrong = wrong or self.disagreements()
            if not wrong or time.monotonic() > end:
                return equal(wrong, [], f"{what}: engine and API agree")
            time.sleep(0.02)

    def sanitizer_findings(self):
        with open(self.log, errors="replace") as file:
            text = file.read()
        marks = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "definitely lost", "Invalid read", "Invalid write")
        return [line for line in text.splitlines() if any(mark in line for mark in marks)]

    def end(self):
        if self.daemon and self.daemon.poll() is None:
            self.kill()
        for engine in [*self.engines.values(), *filter(None, [self.engine])]:
            engine.stop()
        if os.path.isdir(self.folder) and not os.environ.get("GANTRY_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
