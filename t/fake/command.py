# SPDX-License-Identifier: Apache-2.0
"""For t/52xx: runs the gantry command, and a server that plays gantryd with answers laid out by the test."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from http.server import BaseHTTPRequestHandler

from http_client import BUILD, SAN, VG, equal, finish, has, ok, say, skip, until

GANTRY = os.path.join(os.path.abspath(BUILD), "gantry")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 300 if VG else 60
VALGRIND = ["valgrind", "-q", "--error-exitcode=98", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--suppressions=" + os.path.join(ROOT, "t/valgrind.supp")] if VG else []


def spec_rows():
    """GANTRY_SPEC_FIELDS, as the header has it: member, key, kind, flags, option, metavar, help."""
    with open(os.path.join(ROOT, "include/gantry/spec.h")) as file:
        text = file.read()
    table = text[text.index("#define GANTRY_SPEC_FIELDS(X)"):].replace("\\\n", " ")
    string = r'"((?:[^"\\]|\\.)*)"'
    return re.findall(rf"X\((\w+),\s*{string},\s*(\w+),\s*([\w| ]+?),\s*{string},\s*{string},\s*{string}\)", table)


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"status {self.status}\nout {self.out!r}\nerr {self.err!r}"


class Command:
    """Runs gantry with a host of its own. Called: waits for its end; start(): a process."""

    def __init__(self, host, **environment):
        self.seen = set()
        self.environment = {"PATH": os.environ["PATH"], "GANTRY_HOST": host, **environment}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def valgrind(self, words):
        """Under VG=1 each command once, detached apart; SAN=1 covers every run."""
        form = (next((word for word in words if word.isalpha()), None), "-d" in words)
        if form in self.seen:
            return []
        self.seen.add(form)
        return VALGRIND

    def start(self, *words, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([*self.valgrind(words), GANTRY, *words], env={**self.environment, **options.pop("env", {})}, **options)

    def __call__(self, *words, stdin=None, raw=False, **options):
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*words, **options)
        try:
            out, err = process.communicate(stdin, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            say(f"killed after {LIMIT} s: gantry {' '.join(words)}")
        if not raw:
            out, err = (out or b"").decode(), (err or b"").decode()
        return Result(process.returncode, out, err)

    def on_terminal(self, *words):
        """With standard error a terminal of 80 columns. err is what the terminal got."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = self.start(*words, stderr=slave)
        os.close(slave)
        seen = b""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            seen += data
        os.close(master)
        out = process.stdout.read().decode()
        process.stdout.close()
        return Result(process.wait(LIMIT), out, seen.decode())


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers = method, target, headers
        self.path, _, self.query = target.partition("?")
        self.body, self.text = body, body.decode(errors="replace")
        self.json = json.loads(body) if body and "json" in (headers.get("Content-Type") or "") else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def address_string(self):
        return "-"

    def log_message(self, *_):
        pass

    def serve(self):
        body = self.chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        owner = self.server.owner
        with owner.lock:
            owner.requests.append(request)
            answer = owner.answers.get((self.command, request.path))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(self, request)
        if answer is None and (self.command, request.path) not in owner.answers:
            answer = (404, problem(404, f"the test has no answer for {self.command} {request.path}"))
        if answer is not None:
            self.answer(*answer)
        try:
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = serve

    def chunks(self):
        if self.headers.get("Expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status, value, content_type=None):
        data = value if isinstance(value, bytes) else (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type or ("application/problem+json" if status >= 400 else "application/json"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, content_type="application/x-ndjson", **headers):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def line(self, value):
        self.chunk((json.dumps(value) + "\n").encode())

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        """The connection is lost here."""
        self.wfile.flush()
        self.close_connection = True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    handle_error = UnixServer.handle_error


class Fake:
    """Plays gantryd. answers: {(method, path): (status, value) | function(handler, request) | [one after the other]}"""

    def __init__(self, tls=None):
        self.folder = tempfile.mkdtemp(prefix="gantry-command-")
        self.answers, self.requests, self.lock = {}, [], threading.Lock()
        if tls:
            self.server = TcpServer(("127.0.0.1", 0), Handler)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            self.host = f"https://127.0.0.1:{self.server.server_address[1]}"
        else:
            self.path = os.path.join(self.folder, "s")
            self.server = UnixServer(self.path, Handler)
            self.host = "unix://" + self.path
        self.server.owner = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder)

    def take(self):
        """The requests since the last take."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken


def problem(status, detail, **more):
    return {"type": "about:blank", "title": "No", "status": status, "detail": detail, **more}


def frame(stream, data):
    return bytes([stream, 0, 0, 0]) + struct.pack(">I", len(data)) + data


# --- what tests of the command say of it ------------------------------------------------------------

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


def output(*frames, piece=None, form="output"):
    """Streams the frames, the bytes cut in pieces of that size."""
    def answer(handler, _):
        handler.stream(f"application/vnd.gantry.{form}")
        data = b"".join(frames)
        for at in range(0, len(data), piece or len(data) or 1):
            handler.chunk(data[at:at + (piece or len(data))])
        handler.end()
    return answer


def check(result, status, out, err, name):
    if not ok((result.status, result.out, result.err) == (status, out, err), name):
        print(f"# {result!r}\n# want status {status}\n# out {out!r}\n# err {err!r}".replace("\n", "\n# "), file=sys.stderr)


def run_parts(*parts):
    """Each with a server that plays gantryd and the command that asks it; the end of the test."""
    if os.path.exists(GANTRY):
        with Fake() as server:
            command = Command(server.host)
            for part in parts:
                say(part.__name__)
                part(server, command)
    else:
        ok(False, f"{GANTRY} is built")
    finish()
