#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mutual TLS: who is let in and who is not, and everything else of HTTP once more behind it."""
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from certificates import authority, certificate
from http_client import *

warnings.simplefilter("ignore", DeprecationWarning)
MIB = 1024 * 1024
FLAT_KIB = 16384 if SLOW else 4096
DOWNLOAD = 200 * MIB
UPLOAD = (8 if VG else 64 if SAN else 256) * MIB


class Tls:
    """A client's side of TLS."""

    def __init__(self, server, ca, pair=None, version=None):
        self.server = server
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(ca)
        if version == ssl.TLSVersion.TLSv1_1:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        if pair:
            self.context.load_cert_chain(*pair)

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.server.tls_port), timeout=LIMIT)
        return Client(self.context.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False))

    def ask(self, data):
        with self.connect() as client:
            client.send(data)
            return client.reply()

    def refused(self):
        """What the server's alert says; in TLS 1.3 it comes with the first read."""
        try:
            with self.connect() as client:
                client.sock.sendall(request())
                data = client.sock.recv(1000)
                return f"let in: {data!r}"
        except ssl.SSLError as error:
            return str(error)


with tempfile.TemporaryDirectory(prefix="gantry-tls-") as folder:
    ours, theirs = authority(folder, "ours"), authority(folder, "theirs")
    host = certificate(folder, "host", ours, "serverAuth", "/CN=gantryd")
    nova = certificate(folder, "nova", ours, "clientAuth", "/O=site, one/OU=compute/CN=növa")
    stranger = certificate(folder, "stranger", theirs, "clientAuth", "/O=site, one/OU=compute/CN=növa")
    expired = certificate(folder, "expired", ours, "clientAuth", days=-1)
    wrong_use = certificate(folder, "wrong-use", ours, "serverAuth")

    with Server("--header-ms", "15000" if VG else "1500", tls=(*host, ours[0]), asan="quarantine_size_mb=1") as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            name = version.name
            tls = Tls(server, ours[0], nova, version)
            seen = json.loads(tls.ask(request("/about")).body)
            equal((seen.get("subject"), seen.get("common_name"), seen["listener"], seen["local"]),
                 ("CN=növa,OU=compute,O=site\\, one", "növa", "tls", False), f"{name}: the right client is let in, its subject read")
            has(Tls(server, ours[0], stranger, version).refused().lower(), "unknown ca", f"{name}: one of another authority is not")
            has(Tls(server, ours[0], None, version).refused().lower(), "certificate required" if name == "TLSv1_3" else "handshake failure",
                f"{name}: nor one without a certificate")
            has(Tls(server, ours[0], expired, version).refused().lower(), "expired", f"{name}: nor one whose time is over")
            has(Tls(server, ours[0], wrong_use, version).refused().lower(), "unsupported certificate", f"{name}: nor a server's certificate")

            with tls.connect() as client:
                client.send(request() * 3 + request("/echo", "POST", body=b"p" * 100000))
                equal([client.reply().body for _ in range(4)], [b"hello\n"] * 3 + [b"p" * 100000], f"{name}: a pipeline")
            for size in (0, 1, 5 * MIB):
                reply = tls.ask(request(f"/download?bytes={size}"))
                equal((len(reply.body), reply.whole), (size, True), f"{name}: a stream of {size} bytes ends well")
                reply = tls.ask(request(f"/download?bytes={size}&cut"))
                equal((len(reply.body), reply.whole), (size, False), f"{name}: a cut one can be told")
            reply = tls.ask(request("/download?bytes=300000", version="1.0"))
            equal((len(reply.body), reply.whole), (300000, True), f"{name}: a stream for HTTP/1.0 ends with a goodbye")
            equal(tls.ask(request("/download?bytes=300000&cut", version="1.0")).whole, False, f"{name}: a cut one without")
            with tls.connect() as client:
                client.send(request(headers=["Connection: close"]))
                equal((client.reply().body, client.ended()), (b"hello\n", True), f"{name}: a connection ends with a goodbye")
            with tls.connect() as client:
                client.send(request(version="3.0"))
                equal((client.reply().status, client.ended()), (505, True), f"{name}: so does a refused request")
            equal(tls.ask(request("/echo", "POST", body=b"b" * (MIB + 1))).status, 413, f"{name}: 413 is readable")

            gone = server.stats()["gone"]
            client = tls.connect()
            client.send(request("/events"))
            client.head(), client.chunk()
            client.sock.close()
            ok(until(lambda: server.stats()["gone"] == gone + 1), f"{name}: a client that leaves an idle stream is noticed")
            client = tls.connect()
            client.send(request("/events"))
            client.head(), client.chunk()
            client.sock.settimeout(0.2)
            try:
                client.sock.unwrap()  # says goodbye, and stays on the line
            except (OSError, ssl.SSLError):
                pass
            ok(until(lambda: server.stats()["gone"] == gone + 2), f"{name}: so is a goodbye")
            client.sock.close()

            with tls.connect() as client:
                client.send(f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {UPLOAD}\r\n\r\n".encode())
                block, digest, before, peak = os.urandom(MIB), hashlib.sha256(), 0, 0
                for i in range(UPLOAD // MIB):
                    client.send(block)
                    digest.update(block)
                    if i == 4:
                        before = server.rss_kib()
                    peak = max(peak, server.rss_kib() if i > 4 else 0)
                equal(json.loads(client.reply().body or b"{}"), {"bytes": UPLOAD, "sha256": digest.hexdigest()},
                     f"{name}: an upload of {UPLOAD // MIB} MiB into a slow reader")
                ok(before and peak - before < FLAT_KIB, f"{name}: with memory flat ({peak - before} KiB)")

        equal(server.stats()["handshakes_failed"], 8, "handshakes that failed are counted")
        has(Tls(server, ours[0], nova, ssl.TLSVersion.TLSv1_1).refused().lower(), "version", "TLS 1.1 is refused")
        with Client(socket.create_connection(("127.0.0.1", server.tls_port), timeout=LIMIT)) as client:
            client.send(request())
            client.more()
            ok(b"HTTP" not in client.data, "plain HTTP on a TLS port gets no HTTP answer")
        with Client(socket.create_connection(("127.0.0.1", server.tls_port), timeout=LIMIT)) as client:
            client.send(b"\x16\x03\x01")
            ok(client.ended() or client.data, "a handshake that stalls is ended")
        ok(until(lambda: server.stats()["open"] == 1), "no connection is left")

    with Server(tls=(*host, ours[0]), name="the server with stalled downloads", asan="quarantine_size_mb=1") as server:
        tls = Tls(server, ours[0], nova)
        tls.ask(request())
        with tls.connect() as client:
            before = server.rss_kib()
            client.send(request(f"/download?bytes={DOWNLOAD}"))
            client.head()
            ok(settled(lambda: server.stats()["streamed"]), "a writer stops where nobody reads")
            grown = server.rss_kib() - before
            ok(grown < FLAT_KIB, f"a stalled download of 200 MiB holds little memory ({grown} KiB)")
            size = 0
            if not VG:
                while (piece := client.chunk()):
                    size += len(piece)
                equal((piece, size), (b"", DOWNLOAD), "and goes on to its end")
                grown = server.rss_kib() - before
                ok(grown < FLAT_KIB, f"with memory flat ({grown} KiB)")
        clients = [tls.connect() for _ in range(20 if VG else 100)]
        for client in clients:
            client.send(request("/events?stop"))
            client.head(), client.chunk()
        idle = tls.connect()
        idle.send(request())
        idle.reply()
        server.terminate()
        ok(idle.ended(), "at shutdown an idle connection ends with a goodbye")
        equal([(client.chunk(), client.chunk(), client.ended()) for client in clients], [(b"bye\n", b"", True)] * len(clients),
             "and streams say theirs")
        for client in clients + [idle]:
            client.sock.close()

    for files, part, name in (((f"{folder}/none", host[1], ours[0]), "none: No such file", "a missing certificate"),
                              ((host[0], nova[1], ours[0]), "key values mismatch", "a key of another certificate"),
                              ((host[0], host[0], ours[0]), "key ", "a key that is none"),
                              ((host[0], host[1], host[1]), "authority of clients", "an authority that is none")):
        failed = subprocess.run([f"{BUILD}/t/fake/http_server", "--tls", *files], capture_output=True, text=True)
        equal(failed.returncode, 1, f"{name} is an error")
        has(failed.stderr, part, "that tells which file and why")

finish()
