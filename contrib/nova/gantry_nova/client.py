# SPDX-License-Identifier: Apache-2.0
"""gantryd's HTTP API, by a unix socket or mutual TLS. Sockets only: they are green where eventlet has patched them."""
import http.client
import json
import socket
import ssl
import time
import urllib.parse
import uuid


AWAY_WAIT_S = 0.5


class _Failure(Exception):
    def format_message(self):
        """What Nova makes an instance's fault of."""
        return str(self)


class Problem(_Failure):
    """gantryd said no: its status, its words, and the decision where a policy did."""

    def __init__(self, status, document):
        self.status, self.document = status, document
        self.decision = document.get("decision")
        detail = document.get("detail") or "status %d" % status
        super().__init__(detail + (" (decision %s)" % self.decision if self.decision else ""))


class Unreachable(_Failure):
    """No answer came."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Stream:
    """A body that is read piece by piece; a cut one is an error, not an end."""

    def __init__(self, connection, answer):
        self._connection, self._answer = connection, answer

    def read(self, size=None):
        try:
            return self._answer.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable("the stream was cut: %s" % error)

    def lines(self):
        while True:
            try:
                line = self._answer.readline()
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable("the stream was cut: %s" % error)
            if not line:
                return
            if line.strip():
                yield json.loads(line)

    def close(self):
        self._connection.close()


class _Chunks:
    """What takes the pieces of an upload."""

    def __init__(self, sock):
        self._sock = sock

    def write(self, data):
        if data:
            self._sock.sendall(b"%x\r\n" % len(data) + data + b"\r\n")


class Client:
    """away: seconds in which a gantryd that does not answer may come back, before its operations are given up."""

    def __init__(self, host, ca_file=None, cert_file=None, key_file=None, timeout=60, away=60):
        self._timeout, self._away = timeout, away
        self._path = self._context = None
        if host.startswith("https://"):
            url = urllib.parse.urlsplit(host)
            self._address = url.hostname, url.port or 443
            self._context = ssl.create_default_context(cafile=ca_file)
            if cert_file:
                self._context.load_cert_chain(cert_file, key_file)
        else:
            self._path = host.removeprefix("unix://")

    def _connect(self, timeout):
        if self._context:
            return http.client.HTTPSConnection(*self._address, timeout=timeout, context=self._context)
        return _UnixConnection(self._path, timeout)

    @staticmethod
    def _headers(actor):
        project, user = actor or (None, None)
        return {key: value for key, value in (("X-Gantry-Project", project), ("X-Gantry-User", user)) if value}

    @staticmethod
    def target(*parts, **query):
        """("instances", "a b"), wait=3 is "/v1/instances/a%20b?wait=3"."""
        path = "/v1/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)
        query = {key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items() if value is not None}
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def _open(self, method, target, body, headers, timeout):
        connection = self._connect(timeout)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise Problem(answer.status, self._json(answer.read()))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable("gantryd: %s" % error)
        except Problem:
            connection.close()
            raise
        return connection, answer

    @staticmethod
    def _json(data):
        try:
            return json.loads(data)
        except ValueError:
            return {"detail": data[:200].decode("utf-8", "replace")}

    def call(self, method, target, body=None, actor=None):
        """One exchange; the answer's JSON."""
        return self._call(method, target, body, self._headers(actor), self._timeout)

    def operate(self, method, target, body=None, actor=None, wait=0):
        """An operation, once, though gantryd be killed and started again meanwhile. wait: how long the answer may be held back."""
        headers = self._headers(actor)
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        return self.patiently(lambda: self._call(method, target, body, headers, self._timeout + wait))

    def patiently(self, ask):
        """What ask() returns, which can be asked again, once gantryd is there."""
        end = None
        while True:
            try:
                return ask()
            except Unreachable:
                end = end or time.monotonic() + self._away
                if time.monotonic() > end:
                    raise
            time.sleep(AWAY_WAIT_S)

    def _call(self, method, target, body, headers, timeout):
        if body is not None:
            body = json.dumps(body)
            headers = {**headers, "Content-Type": "application/json"}
        connection, answer = self._open(method, target, body, headers, timeout)
        try:
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable("gantryd: %s" % error)
        finally:
            connection.close()
        return self._json(data) if data else {}

    def stream(self, target, actor=None, timeout=None):
        return Stream(*self._open("GET", target, None, self._headers(actor), timeout or self._timeout))

    def upload(self, target, give, actor=None, timeout=600, method="POST"):
        """Sends what give(sink) writes, if gantryd asks for it; the answer's JSON."""
        connection = self._connect(timeout)
        try:
            connection.connect()
            lines = ["%s %s HTTP/1.1" % (method, target), "Host: localhost", "Content-Type: application/x-tar",
                     "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close"]
            lines += ["%s: %s" % item for item in self._headers(actor).items()]
            connection.sock.sendall("\r\n".join(lines + ["", ""]).encode())
            answer = connection.sock.makefile("rb")
            status, length = self._head(answer)
            if status == 100:
                try:
                    give(_Chunks(connection.sock))
                    connection.sock.sendall(b"0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it may have said why
                status, length = self._head(answer)
            document = self._json(answer.read(length))
        except (OSError, ValueError, IndexError) as error:
            raise Unreachable("gantryd: %s" % error)
        finally:
            connection.close()
        if status >= 400:
            raise Problem(status, document)
        return document

    @staticmethod
    def _head(answer):
        status, length = int(answer.readline().split()[1]), 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, length
