#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections over time: deadlines, clients that leave, limits, listeners, shutdown."""
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from http_client import *

STREAMS = 500


def reset(client):
    """Leaves without a goodbye."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


# --- clients that leave -----------------------------------------------------------------------------
with Server() as server:
    gone = 0
    for unix in (False, True):
        for leave in ("close", "reset", "shutdown"):
            with server.connect(unix) as client:
                client.send(request("/events"))
                client.head()
                equal(client.chunk(), b"first\n", "a stream has begun")
                equal(server.stats()["gone"], gone, "and its client is there")
                if leave == "reset":
                    reset(client)
                elif leave == "shutdown":
                    client.sock.shutdown(socket.SHUT_WR)
                else:
                    client.sock.close()
                gone += 1
                ok(until(lambda: server.stats()["gone"] == gone), f"an idle stream's client that leaves is noticed ({leave})")
    for where in ("/async?ms=200", "/echo", "/upload"):
        client = server.connect()
        if where[:6] == "/async":
            client.send(request(where))
        else:
            client.send(f"POST {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        ok(until(lambda: server.stats()["open"] == 2), "a request is under way")
        client.sock.close()
        gone += 1
        ok(until(lambda: server.stats()["gone"] == gone), f"{where}: its handler is told that the client left")
    ok(until(lambda: server.stats()["late"] == 1), "an answer given later does no harm")
    client = server.connect()
    client.send(request("/download?bytes=50000000"))
    client.head()
    reset(client)
    gone += 1
    ok(until(lambda: server.stats()["gone"] == gone), "a client that leaves in the middle of a download is noticed")
    client = server.connect()
    client.send(request("/async?ms=100") + request() * 10000)  # more than is kept while one waits
    for _ in range(10001):
        if not client.reply().whole:
            break
    else:
        ok(True, "a client that sends far ahead gets all its answers")
    client.sock.close()
    client = server.connect()
    client.send(request("/large?bytes=3000000"))
    client.sock.shutdown(socket.SHUT_WR)
    equal(len(client.reply().body), 3000000, "an answer that is complete still reaches a client that has ended its side")
    client.sock.close()
    ok(until(lambda: server.stats()["open"] == 1), "no connection is left")

# --- deadlines --------------------------------------------------------------------------------------
with Server("--header-ms", "400", "--idle-ms", "600", "--progress-ms", "500", "--linger-ms", "300", name="the impatient server") as server:
    with server.connect() as client:
        start = time.monotonic()
        data = request(headers=["X-A: " + "a" * 1000])
        sent = 0
        client.sock.settimeout(0.02)
        while client.data == b"" and time.monotonic() - start < LIMIT:
            client.sock.send(data[sent:sent + 1])  # a byte each 20 ms: always alive, never done
            sent += 1
            client.more()
        client.sock.settimeout(LIMIT)
        reply = client.reply()
        took = time.monotonic() - start
        equal((reply.status, json.loads(reply.body or b"{}").get("status")), (408, 408), "trickling headers are answered with 408")
        ok(took >= 0.35, f"not before their time ({took:.2f} s)")
    with server.connect() as client:
        ok(client.ended(), "a connection without a byte is just closed")
    with server.connect() as client:
        client.send(request())
        client.reply()
        start = time.monotonic()
        ok(client.ended(), "an idle connection is closed without a word")
        ok(time.monotonic() - start >= 0.5, "not before its time")
    for path in ("/echo", "/upload", "/hello"):
        with server.connect() as client:
            client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
            status = client.reply().status
            equal(status, 200 if path == "/hello" else 408, f"{path}: a body that stalls")
            ok(client.ended(), "ends the connection")
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            time.sleep(0.1)  # slower than the limit in all, never in one step: the pace is the test
            client.send(b"x")
        equal(client.reply().body, b"x" * 10, "a slow body that moves is waited for")
    for path in ("/download?bytes=50000000", "/large?bytes=50000000"):
        with server.connect() as client:
            client.send(request(path))
            ok(until(lambda: server.stats()["open"] == 2), "a download is under way")
            ok(until(lambda: server.stats()["open"] == 1), "and cut when nobody takes it")
            equal(client.reply().whole, False, "which can be told")
    with server.connect(unix=True) as client:
        client.send(request("/download?bytes=3000000&stall=60000"))
        ok(until(lambda: server.stats()["open"] == 2), "a stream with a limit of its own is under way")
        equal(until(lambda: server.stats()["open"] == 1, 1.5), False, "and not cut at the others'")
        equal(len(client.reply().body), 3000000, "all of it comes")
        client.send(request("/large?bytes=50000000"))
        ok(until(lambda: server.stats()["open"] == 1), "the next answer of the connection has the common limit again")
    with server.connect() as client:
        client.send(request("/events"))
        client.head(), client.chunk()
        client.sock.settimeout(1.5)
        equal(client.more(), None, "an idle stream has no deadline")
    with server.connect() as client:
        client.send(request("/async?ms=1000"))
        equal(client.reply().body, b"late\n", "nor has a request that waits for its answer")
    with server.connect() as client:
        client.send(request(version="3.7"))
        client.reply()
        client.sock.settimeout(LIMIT)
        start = time.monotonic()
        ok(until(lambda: server.stats()["open"] == 1), "a refused client that stays is not waited for")

# --- the number of connections ----------------------------------------------------------------------
with Server("--connections", "5", "--linger-ms", "200", name="the small server") as server:
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(request())
    equal([client.reply().status for client in clients], [200] * 5, "five connections are served")
    with server.connect() as client:
        client.send(request())
        reply = client.reply()
        equal((reply.status, reply.headers.get("content-type")), (503, "application/problem+json"), "the sixth is told so")
        ok(client.ended(), "and closed")
    equal(server.stats()["refused"], 1, "another listener has its own count, and tells")
    crowd = [server.connect() for _ in range(150)]
    ok(until(lambda: server.stats()["refused"] == 151), "a crowd is refused")
    ok(until(lambda: server.stats()["open"] == 6), "and does not stay")
    for client in crowd:
        client.sock.close()
    clients[0].send(request())
    equal(clients[0].reply().status, 200, "the five are still served")
    clients.pop().sock.close()
    ok(until(lambda: server.ask(request()).status == 200), "one leaves, another comes")
    for client in clients:
        client.sock.close()

# --- the unix socket --------------------------------------------------------------------------------
with Server("--mode", "0640", name="the server on a stale socket") as server:
    equal(stat.S_IMODE(os.stat(server.path).st_mode), 0o640, "the socket has its mode")
    second = subprocess.run([f"{BUILD}/t/fake/http_server", "--unix", server.path], capture_output=True, text=True)
    equal(second.returncode, 1, "a second server on a live socket is refused")
    has(second.stderr, "another process listens", "and told why")
    equal(server.ask(request(), unix=True).status, 200, "the first goes on")
    plain = os.path.join(server.folder, "plain")
    open(plain, "w").close()
    second = subprocess.run([f"{BUILD}/t/fake/http_server", "--unix", plain], capture_output=True, text=True)
    has(second.stderr, "is not a socket", "a file at the path is left alone")
    ok(os.path.isfile(plain), "really")
    second = subprocess.run([f"{BUILD}/t/fake/http_server", "--unix", "/" + "x" * 120], capture_output=True, text=True)
    has(second.stderr, "longer than 107", "a path that is too long is told")
    second = subprocess.run([f"{BUILD}/t/fake/http_server", "--unix", os.path.join(server.folder, "no/such")], capture_output=True, text=True)
    has(second.stderr, "No such file", "a missing folder is told")
    stale = os.path.join(server.folder, "stale")
    left = socket.socket(socket.AF_UNIX)
    left.bind(stale)
    left.close()
    third = subprocess.Popen([f"{BUILD}/t/fake/http_server", "--unix", stale], stdout=subprocess.PIPE, text=True)
    equal(third.stdout.readline(), "ready\n", "a stale socket is replaced")
    third.send_signal(signal.SIGTERM)
    third.communicate(timeout=LIMIT)
    ok(not os.path.exists(stale), "and removed at the end")

# --- shutdown ---------------------------------------------------------------------------------------
with Server("--connections", "2000", name=f"the server with {STREAMS} streams") as server:
    clients = []
    for i in range(STREAMS):
        client = server.connect(unix=i % 2 == 0)
        client.send(request("/events" if i % 4 < 2 else "/events?stop"))
        clients.append(client)
    for client in clients:
        client.head(), client.chunk()
    idle = server.connect()
    idle.send(request())
    idle.reply()
    silent = server.connect()
    running = server.connect()
    running.send(request("/async?ms=300"))
    upload = server.connect()
    upload.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
    ok(until(lambda: server.stats()["open"] == STREAMS + 5), "all are there")
    server.terminate()
    ok(idle.ended(), "an idle connection is closed at once")
    upload.send(b"more")
    reply = upload.reply()
    equal((reply.body, reply.headers.get("connection")), (b"halfmore", "close"), "an upload under way is finished")
    reply = running.reply()
    equal((reply.body, reply.headers.get("connection")), (b"late\n", "close"), "so is a request that waits")
    ends = [(client.chunk(), client.chunk()) for client in clients]
    equal(ends.count((b"bye\n", b"")), STREAMS // 2, "streams that asked to be told say goodbye")
    equal(ends.count((None, None)), STREAMS // 2, "the others are cut")
    try:
        server.connect()
        ok(False, "nobody is let in any more")
    except OSError:
        ok(True, "nobody is let in any more")
    ok(not os.path.exists(server.path), "the socket is gone")
    for client in clients + [idle, silent, running, upload]:
        client.sock.close()
    has(server.stop(), f"closed gone={STREAMS // 2} stopped={STREAMS // 2}", "every handler was told, once")

with Server("--grace", "300", name="the server that is stuck") as server:
    slow, cut, stalled = server.connect(), server.connect(), server.connect()
    slow.send(request("/async?ms=4000"))
    cut.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
    stalled.send(request("/large?bytes=50000000"))
    ok(until(lambda: server.stats()["requests"] >= 4), "requests that will not end in time")
    server.terminate()
    reply = slow.reply()
    equal((reply.status, reply.headers.get("content-type")), (503, "application/problem+json"), "are answered with 503 at the deadline")
    equal(cut.reply().status, 503, "also where a body is still to come")
    equal(stalled.reply().whole, False, "and an answer that nobody took is cut")
    has(server.stop(), "closed gone=2", "their handlers are told")

finish()
