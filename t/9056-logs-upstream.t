#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs of a real Docker Engine that is reached over TCP, so that its files are out of sight: from its log endpoint, by
both drivers, over restarts of container, gantryd and connection."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from command import Command
from daemon import *


class Relay:
    """TCP on 127.0.0.1 to the engine's socket; cut() breaks all connections that stand."""

    def __init__(self, path):
        self.path, self.socks = path, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.server.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.path)
            self.socks += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        for sock in self.socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.socks = []


docker = Docker(own=True)
relay = Relay(docker.socket)
world = docker.world(endpoint=f"tcp://127.0.0.1:{relay.port}").start()
gantry = Command("unix://" + world.socket)

for driver in ("json-file", "local"):
    name = f"far-{driver}"
    size = 40000 if driver == "json-file" else 16000  # of local the endpoint forgets the newline of a longer one
    script = (f"echo out; echo err >&2; head -c {size} /dev/zero | tr '\\0' x; echo; i=0; "
              "while [ $i -lt 6000 ]; do i=$((i+1)); echo line $i; [ $((i % 1000)) = 0 ] && sleep 0.3; done; printf end")
    result = gantry("run", "-d", "--name", name, "--log-driver", driver, IMAGE, "sh", "-c", script)
    equal((result.status, result.err), (0, ""), f"{name} runs")
    follower = gantry.start("logs", "-f", "--stream", "stdout", name)
    equal(follower.stdout.readline(), b"out\n", "a follower")
    equal(len(follower.stdout.readline().rstrip(b"\n")), size, "a long line is one")
    got = [follower.stdout.readline() for _ in range(1500)]
    relay.cut()
    got += [follower.stdout.readline() for _ in range(2000)]
    world.kill()
    world.start()
    got += [follower.stdout.readline() for _ in range(2500)]
    equal(got == [b"line %d\n" % i for i in range(1, 6001)], True, f"{driver}: each of 6000 lines once, over a cut connection and a gantryd that was killed")
    equal(until(lambda: world.instance(name).get("log_source"), "the source to be known again"), "endpoint", "from the endpoint")
    gantry("wait", name)
    until(lambda: world.state(name) == "stopped", "the end")
    equal((follower.stdout.read(), follower.wait(LIMIT)), (b"end", 0), "to its end, which came before it was there again")
    follower.communicate()
    found = world.log_lines(name)
    equal(([int(line["cursor"].split(".")[1]) for line in found], found[-1].get("no_newline")), (list(range(1, 6005)), True), "numbered through")
    equal({line.get("lossy_source", False) for line in found}, {driver == "json-file"}, "lossy_source where it is so")
    cursor = found[5000]["cursor"]
    equal(world.log_lines(name, after=cursor), found[5001:], "after a cursor")
    equal(gantry("start", name).status, 0, "started again")
    gantry("wait", name)
    until(lambda: world.state(name) == "stopped", "the end")
    both = world.log_lines(name)
    equal(({line["cursor"].split(".")[0] for line in both[6004:]}, len(both)), ({"2"}, 12008), "the second run is of the second boot")
    equal(both[:6004] == found, True, "behind the first")
equal(world.stop(), 0, "gantryd ends in order")
done()
