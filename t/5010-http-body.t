#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bodies both ways: limits, pipelines, back-pressure with flat memory, streams that end or are cut."""
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from http_client import *

MIB = 1024 * 1024
FLAT_KIB = 16384 if SLOW else 4096  # what memory may grow by
UPLOAD = (16 if VG else 128 if SAN else 1024) * MIB
DOWNLOAD = 200 * MIB


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


with Server() as server:
    # pipelines
    with server.connect() as client:
        client.send(request() * 3 + request("/about?after=4"))
        replies = [client.reply() for _ in range(4)]
        equal([r.body for r in replies[:3]], [b"hello\n"] * 3, "three GETs in one packet")
        equal(json.loads(replies[3].body)["after"], "4", "and a fourth, in their order")
    with server.connect() as client:
        client.send(b"".join(request("/echo", "POST", body=body) for body in (b"one", b"two", b"three"))
                    + b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"fo") + chunk(b"ur") + b"0\r\n\r\n"
                    + request("/async?ms=30") + request("/echo", "POST", body=b"six"))
        equal([client.reply().body for _ in range(6)], [b"one", b"two", b"three", b"four", b"late\n", b"six"],
             "POSTs of both framings and a late answer in one packet, in their order")
    with server.connect() as client:
        count = 50 if VG else 2000
        client.send(request("/async?ms=1") + request("/about?" + "x" * 100) * count)
        client.reply()
        ok(all(client.reply().whole for _ in range(count)), f"{count} requests behind one that waits")

    # limits of a body
    edge = b"b" * MIB
    equal(server.ask(request("/echo", "POST", body=edge)).body, edge, "a body of 1 MiB")
    reply = server.ask(request("/echo", "POST", body=edge + b"b"))
    equal((reply.status, reply.whole, json.loads(reply.body)["status"]), (413, True, 413), "one byte more is 413, read before the client sent all")
    body = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(edge) + chunk(b"b") + b"0\r\n\r\n"
    equal(server.ask(body).status, 413, "also chunked")
    equal(server.ask(request("/echo?max=2000000", "POST", body=edge + b"b")).body, edge + b"b", "a handler may allow more")
    equal(server.ask(request("/echo?max=3", "POST", body=b"four")).status, 413, "or less")
    equal(server.ask(request("/upload?max=10", "POST", body=b"x" * 11)).status, 413, "a streamed body has its limit too")
    chunked = b"POST /upload?max=10 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    equal(server.ask(chunked + chunk(b"12345678") + chunk(b"123") + b"0\r\n\r\n").status, 413, "also chunked")
    ok(until(lambda: server.stats()["gone"] == 5), "the handlers of all these were told")
    equal(server.ask(request("/hello", "POST", body=b"x" * 8 * MIB)).status, 200, "a large body that nobody wants leaves the answer readable")

    # a body that nobody reads
    with server.connect() as client:
        client.send(request("/refuse", "POST", body=b"z" * 1000) + request())
        replies = client.reply(), client.reply()
        equal([r.status for r in replies], [404, 200], "a refused POST with a small body keeps the connection")
        equal(json.loads(replies[0].body)["detail"], 'there is no "such" thing', "the problem's text is JSON")
    with server.connect() as client:
        client.send(request("/halfway", "POST", body=b"z" * 1000) + request())
        equal([client.reply().body for _ in range(2)], [b"enough\n", b"hello\n"], "an answer in the middle of a body")
    with server.connect() as client:
        client.send(b"POST /halfway HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"a"))
        reply = client.reply()
        equal((reply.body, reply.headers.get("connection")), (b"enough\n", "close"), "with an unknown rest the connection goes")
        ok(client.ended(), "and ends")

    # Expect
    with server.connect() as client:
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        client.send(head)
        equal(client.reply().status, 100, "a handler that wants the body has 100 sent")
        client.send(b"body")
        equal(client.reply().body, b"body", "and gets it")
    with server.connect() as client:
        client.send(head.replace(b"/echo", b"/refuse"))
        reply = client.reply()
        equal((reply.status, reply.headers.get("connection")), (404, "close"), "one that does not, answers at once and closes")
    equal(server.ask(head.replace(b"100-continue", b"magic")).status, 417, "another expectation is 417")
    equal(server.ask(head.replace(b"/echo", b"/echo?max=3")).status, 413, "too large a body is refused before it is sent")

    # HEAD and HTTP/1.0
    with server.connect() as client:
        client.send(request(method="HEAD") + request("/download?bytes=100000", "HEAD") + request("/refuse", "HEAD") + request())
        replies = [client.reply(head_only=True) for _ in range(3)]
        equal((replies[0].headers.get("content-length"), replies[1].headers.get("transfer-encoding"), replies[2].status),
             ("6", "chunked", 404), "HEAD has the headers of GET")
        equal(client.reply().body, b"hello\n", "and no body")
    with server.connect() as client:
        client.send(request(version="1.0", host=False))
        reply = client.reply()
        equal((reply.body, reply.headers.get("connection")), (b"hello\n", "close"), "HTTP/1.0 is answered and closed")
        ok(client.ended(), "with nothing after")
    with server.connect() as client:
        client.send(request(version="1.0", headers=["Connection: keep-alive"]) * 2)
        replies = client.reply(), client.reply()
        equal([(r.body, r.headers.get("connection")) for r in replies], [(b"hello\n", "keep-alive")] * 2, "unless it asks to keep it")
    with server.connect() as client:
        client.send(request("/download?bytes=100000", version="1.0", headers=["Connection: keep-alive"]))
        reply = client.reply()
        equal((reply.headers.get("transfer-encoding"), reply.headers.get("connection"), len(reply.body), reply.whole),
             (None, "close", 100000, True), "a stream for HTTP/1.0 is not chunked and ends with the connection")
    with server.connect() as client:
        client.send(request("/download?bytes=100000&cut", version="1.0"))
        equal(client.reply().whole, False, "a cut one is reset")
    with server.connect() as client:
        client.send(request(headers=["Connection: close"]) + request())
        equal((client.reply().headers.get("connection"), client.ended()), ("close", True), "Connection: close is kept")

    # streams
    for unix in (False, True):
        for size in (0, 1, 5 * MIB):
            reply = server.ask(request(f"/download?bytes={size}"), unix)
            equal((len(reply.body), reply.whole), (size, True), f"a stream of {size} bytes ends well")
            reply = server.ask(request(f"/download?bytes={size}&cut"), unix)
            equal((len(reply.body), reply.whole), (size, False), "a cut one has all its bytes and can be told")
    with server.connect() as client:
        client.send(request("/download?bytes=70000") + request())
        equal((len(client.reply().body), client.reply().body), (70000, b"hello\n"), "the connection goes on after a stream")
    reply = server.ask(request(f"/large?bytes={20 * MIB}"))
    equal((len(reply.body), reply.whole), (20 * MIB, True), "a whole answer of 20 MiB")
    with server.connect() as client:
        client.send(request("/flood"))
        server.ask(request("/about"))  # answered when all was written: nothing is read meanwhile
        reply = client.head()
        ok(not client.ended(), "a writer that never looks back is cut")

# a fresh one: no freed memory hides growth; and ASan must not keep what is freed
with Server(name="the server with large bodies", asan="quarantine_size_mb=1") as server:
    # a large upload into a slow reader
    say(f"upload of {UPLOAD // MIB} MiB{' (less, as this run is slow)' if SLOW else ''}")
    block = os.urandom(MIB)
    digest = hashlib.sha256()
    for kind in ("chunked", "Content-Length"):
        with server.connect() as client:
            framing = "Transfer-Encoding: chunked" if kind == "chunked" else f"Content-Length: {UPLOAD}"
            client.send(f"POST /upload HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
            before = peak = 0
            digest = hashlib.sha256()
            for i in range(UPLOAD // MIB):
                client.send(chunk(block) if kind == "chunked" else block)
                digest.update(block)
                if i == 4:
                    before = server.rss_kib()
                peak = max(peak, server.rss_kib() if i > 4 else 0)
            if kind == "chunked":
                client.send(b"0\r\n\r\n")
            reply = client.reply()
            equal(json.loads(reply.body), {"bytes": UPLOAD, "sha256": digest.hexdigest()}, f"{kind}: every byte arrived")
            ok(before and peak - before < FLAT_KIB, f"{kind}: memory is flat (grew by {peak - before} KiB)")

    # a download that nobody reads
    for unix in (False, True):
        with server.connect(unix) as client:
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

finish()
