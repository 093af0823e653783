#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Consoles on simulated nodes: what a test or a try-out without an engine can do with them."""
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from console import ERRORS, OUTPUT, RESIZE, Console as ConsoleAt
from daemon import *

world = World(engine=False, nodes='one = { plugin = "sim", stop_latency = "20ms" }').start()
Console = functools.partial(ConsoleAt, world)


def run(instance, *command, **how):
    return Console(world.post(f"/v1/instances/{instance}/exec", {"command": command, **how}).json["path"])


for name, tty in (("cat", False), ("term", True)):
    equal(world.spawn(name=name, command=["cat"], stdin_open=True, tty=tty).status, 201, f"{name} runs")
driver, watcher = Console("/v1/instances/cat/attach"), Console("/v1/instances/cat/attach?role=observer")
equal((driver.role(), watcher.role()), ("driver", "observer"), "one drives, one looks on")
data = os.urandom(3 << 20)
for at in range(0, len(data), 50000):
    driver.put(data[at:at + 50000])
    driver.read_until(lambda: len(driver.got[OUTPUT]) > at - 100000)  # who reads nothing is held up
ok(driver.read_until(lambda: driver.got[OUTPUT] == data), "what is sent comes back, however much")
watcher.leave()
driver.end_input()
equal((driver.rest().told, driver.closed[0]), ({"status": "Success"}, 1000), "the end of the input is the end of the process")
equal(world.get("/v1/instances/cat/wait").json["last_exit"]["code"], 0, "which ended well")
equal(world.post(f"/v1/instances/cat/start?wait={LIMIT}").status, 200, "it is started again")
driver = Console("/v1/instances/cat/attach")
driver.put(b"again")
ok(driver.read_until(lambda: driver.got[OUTPUT] == b"again"), "and echoes again")

term = Console("/v1/instances/term/attach")
term.put({"Width": 100, "Height": 40}, RESIZE)
term.put(b"on a terminal")
ok(term.read_until(lambda: term.got[OUTPUT] == b"on a terminal"), "a terminal")
term.leave()
equal(world.state("term"), "running", "whose process outlives who leaves it")
equal(world.spawn(name="lines", command=["lines", "20"], stdin_open=True).status, 201, "one that writes at once")
console = Console("/v1/instances/lines/attach?scrollback=true")
ok(console.read_until(lambda: console.got[OUTPUT].count(b"\n") == 10 and console.got[ERRORS].count(b"\n") == 10), "of whose output nothing is missed")
world.post("/v1/instances/lines/kill?wait=10", {"signal": "KILL"})
equal(console.rest().closed[0], 1000, "its end is the session's")

for command, channel, wanted, code in ((("echo", "hello"), OUTPUT, b"hello\n", 0), (("warn", "oops"), ERRORS, b"oops\n", 0),
                                       (("exit", "3", "10ms"), OUTPUT, b"", 3)):
    console = run("term", *command).rest()
    told = int(console.told.get("details", {}).get("causes", [{}])[0].get("message", "0"))
    equal((bytes(console.got[channel]), told), (wanted, code), f"exec {' '.join(command)}")
console = run("term", "cat", stdin_open=True)
console.put(b"in")
console.end_input()
equal((console.rest().got[OUTPUT], console.told["status"]), (b"in", "Success"), "exec cat")
console = run("term", "cat", stdin_open=True, tty=True)
console.put(b"in")
console.end_input()
equal((console.rest().got[OUTPUT], console.told["status"]), (b"in", "Success"), "at a terminal the end of the input is typed")
equal(run("term", "notfound").status, 422, "exec of what is not there")
term = Console("/v1/instances/term/attach")
term.put(b"last")
term.end_input()
equal((term.rest().got[OUTPUT], term.told["status"], world.state("term")), (b"last", "Success", "stopped"), "so it is for the instance's own process")
equal(world.post(f"/v1/instances/term/start?wait={LIMIT}").status, 200, "it is started again")
console, other = run("term", "anything"), Console("/v1/instances/term/attach")
equal(world.delete(f"/v1/instances/term?force=true&wait={LIMIT}").status, 200, "it is removed")
equal((console.rest().closed[0], other.rest().closed[0]), (1000, 1000), "which ends who sits there")
for _ in range(100):
    run("cat", "anything").leave()
console = Console("/v1/instances/cat/attach")
equal(world.stop(), 0, "gantryd stops")
equal(console.rest().closed[0], 1001, "and says so")
done()
