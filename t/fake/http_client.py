# SPDX-License-Identifier: Apache-2.0
"""For t/50xx: the test server as a process, and a client that sends bytes as they are."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from process import descriptors, memory_kib
from tap import equal, finish, has, ok, skip

BUILD = os.environ.get("BUILD") or ".build/plain"
VG = bool(os.environ.get("VG"))
SAN = bool(os.environ.get("SAN"))
SLOW = VG or SAN
LIMIT = 120 if VG else 30  # seconds until something that should happen counts as not happening


def say(text):
    print(f"# {text}", flush=True)


def until(condition, limit=LIMIT):
    """Waits until condition() is true; its last value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)


def settled(value, times=20):
    """Waits until value() has stayed the same so many looks in a row; True, or False at the limit."""
    seen = []

    def look():
        seen.append(value())
        return len(seen) > times and len(set(seen[-times:])) == 1

    return until(look)


class Server:
    """The test server; `with` ends it and asserts that nothing was left behind."""

    def __init__(self, *options, tls=None, name="server", unix=True, asan=""):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="gantry-http-")
        self.path = os.path.join(self.folder, "http.sock")
        command = [f"{BUILD}/t/fake/http_server", "--tcp", *options]
        if unix:
            command += ["--unix", self.path]
        if tls:
            command += ["--tls", *tls]
        environment = dict(os.environ)
        environment["ASAN_OPTIONS"] = f"{environment.get('ASAN_OPTIONS', '')}:{asan}"
        if VG:
            command = ["valgrind", "-q", "--error-exitcode=98", "--leak-check=full",
                       "--show-leak-kinds=definite,indirect,possible",
                       "--errors-for-leak-kinds=definite,indirect,possible",
                       "--suppressions=t/valgrind.supp", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.port = self.tls_port = self.last_words = None
        self.terminated = False
        for line in self.process.stdout:
            word, *value = line.split()
            if word == "tcp":
                self.port = int(value[0])
            elif word == "tls":
                self.tls_port = int(value[0])
            elif word == "ready":
                break

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
        self.stop()

    def terminate(self):
        """Asks the server to drain; once."""
        if not self.terminated:
            self.terminated = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Ends the server and judges how it did; what it said at the end."""
        if self.last_words is not None:
            return self.last_words
        if self.process.poll() is None:
            self.terminate()
        try:
            self.last_words, _ = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.last_words, _ = self.process.communicate()
        equal(self.process.returncode, 0, f"{self.name} ends clean, with nothing left behind")
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.last_words

    def rss_kib(self):
        return memory_kib(self.process.pid)

    def descriptors(self):
        return descriptors(self.process.pid)

    def connect(self, unix=False):
        if unix:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(LIMIT)
            sock.connect(self.path)
        else:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)
        return Client(sock)

    def ask(self, data, unix=False):
        """Sends bytes on a new connection; the first reply."""
        with self.connect(unix) as client:
            client.send(data)
            return client.reply()

    def stats(self):
        """Asked until it is answered: a server with short deadlines closes on a client that is held up."""
        question = b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        reply = until(lambda: (answer := self.ask(question, unix=True)).status == 200 and answer)
        return json.loads(reply.body)


class Reply:
    status = None
    headers = {}
    body = b""
    whole = False  # the body ended as its framing says

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r} whole={self.whole}>"


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.data = bytearray()  # come, and not yet taken

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """Sends what the peer takes: it may answer and close in the middle."""
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def more(self):
        """Reads on; False at the end, None where the connection broke."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError, TimeoutError):
            return None
        self.data += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.data:
            if not self.more():
                return None
        line = self.cut(self.data.index(b"\r\n") + 2)
        return line[:-2]

    def cut(self, count):
        """So much of what has come, and it is there no longer."""
        data = bytes(memoryview(self.data)[:count])
        del self.data[:count]
        return data

    def take(self, count):
        while len(self.data) < count:
            if not self.more():
                return None
        return self.cut(count)

    def ended(self):
        """True when the peer closes without a further byte."""
        while (more := self.more()):
            pass
        return more is False and self.data == b""

    def head(self):
        reply = Reply()
        line = self.line()
        if line is None:
            return reply
        reply.status = int(line.split()[1])
        reply.headers = {}
        while (line := self.line()):
            name, value = line.decode("latin-1").split(":", 1)
            reply.headers[name.lower()] = value.strip()
        return reply

    def reply(self, head_only=False):
        reply = self.head()
        if reply.status is None:
            return reply
        if head_only or reply.status in (100, 204, 304):
            reply.whole = True
        elif reply.headers.get("transfer-encoding") == "chunked":
            chunks = []
            while (chunk := self.chunk()):
                chunks.append(chunk)
            reply.body = b"".join(chunks)
            reply.whole = chunk == b""
        elif "content-length" in reply.headers:
            body = self.take(int(reply.headers["content-length"]))
            reply.whole = body is not None
            reply.body = self.cut(len(self.data)) if body is None else body
        else:
            while (more := self.more()):
                pass
            reply.whole = more is False
            reply.body = self.cut(len(self.data))
        return reply

    def chunk(self):
        """One chunk; b"" for the last, None where the stream was cut."""
        line = self.line()
        if line is None:
            return None
        data = self.take(int(line, 16) + 2)
        return None if data is None else data[:-2]


def request(path="/hello", method="GET", version="1.1", headers=(), body=b"", host=True):
    lines = [f"{method} {path} HTTP/{version}"]
    if host:
        lines.append("Host: x")
    lines += headers
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
