#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes at random (of a fixed seed), and good requests with bytes changed: the server stays up and well.
FUZZ_SECONDS is for how long; FUZZ_SEED is another seed; FUZZ_ROUNDS ends after that many."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from http_client import *

SEED = int(os.environ.get("FUZZ_SEED") or 20240611)
SECONDS = float(os.environ.get("FUZZ_SECONDS") or 20)
ROUNDS = int(os.environ.get("FUZZ_ROUNDS") or (10**9 if os.environ.get("FUZZ_SECONDS") else 300 if VG else 3000))
PARTS = [b"GET ", b"POST ", b"/echo", b"/upload", b"/halfway", b"/download?bytes=99999", b"/download?bytes=9&cut", b"/async?ms=1",
         b"/events", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Host: x", b"Content-Length: 5",
         b"Transfer-Encoding: chunked", b"Connection: close", b"Expect: 100-continue", b"Upgrade: h2c", b"5\r\nabcde\r\n", b"0\r\n\r\n",
         b"abcde", b":", b" ", b"\0", b"\xff", b"%", b"?a=b&c", b"ffffffffffffffff\r\n", b"*", b"http://x/"]
WHOLE = [request(), request("/echo", "POST", body=b"body"), request("/upload", "POST", body=b"y" * 3000),
         b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nT: 1\r\n\r\n",
         request("/download?bytes=300000"), request("/async?ms=2"), request("/refuse", "POST", body=b"z" * 100)]


def make(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 400))
    if kind == 1:
        return b"".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 30)))
    data = bytearray(b"".join(rng.choice(WHOLE) for _ in range(rng.randrange(1, 6))))
    for _ in range(rng.randrange(0, 4)):
        place = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[place] = rng.randrange(256)
        elif rng.random() < 0.5:
            del data[place:place + rng.randrange(1, 20)]
        else:
            data[place:place] = rng.choice(PARTS)
        if not data:
            data += b"x"
    return bytes(data)


with Server("--header-ms", "1000", "--progress-ms", "1000", "--linger-ms", "100") as server:
    rng = random.Random(SEED)
    answers = {}
    start = time.monotonic()
    rounds = 0
    alive = True
    while rounds < ROUNDS and time.monotonic() - start < SECONDS and alive:
        rounds += 1
        data = make(rng)
        with server.connect(unix=rng.random() < 0.5) as client:
            while data:  # in pieces
                piece = rng.choice((1, 7, 100, 100000))
                client.send(data[:piece])
                data = data[piece:]
            if rng.random() < 0.3:
                client.sock.settimeout(0.05)
                try:
                    status = client.head().status
                    answers[status] = answers.get(status, 0) + 1
                except (ValueError, IndexError):
                    answers["torn"] = answers.get("torn", 0) + 1
        alive = server.process.poll() is None
    ok(alive, f"{rounds} connections of seed {SEED} leave the server up")
    say(f"answers seen: {answers}")
    ok(answers.get(200, 0) > 10 and answers.get(400, 0) > 10, "good and bad requests were among them")
    ok(until(lambda: server.stats()["open"] == 1), "no connection is left")
    equal(server.ask(request()).body, b"hello\n", "it serves as before")

finish()
