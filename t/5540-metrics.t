#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""/v1/metrics: Prometheus' text form 0.0.4, read by a parser of our own, and the counts move as they should."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def parse(text):
    """{name: {labels: value}}, {name: type}, what is wrong."""
    values, types, helped, wrong, current = {}, {}, set(), [], None
    if not text.endswith("\n"):
        wrong.append("the last line does not end")
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            helped.add(words[2])
            current = words[2]
        elif line.startswith("# TYPE "):
            if words[2] in types or words[2] != current or words[3] not in ("counter", "gauge"):
                wrong.append(line)
            types[words[2]] = words[3]
        else:
            match = SAMPLE.match(line)
            if not match or match[1] != current or match[1] not in types:
                wrong.append(line)
                continue
            labels = tuple(sorted((m[1], m[2]) for m in LABEL.finditer(match[2] or "")))
            if labels in values.setdefault(match[1], {}):
                wrong.append(f"twice: {line}")
            values[match[1]][labels] = float(match[3])
    wrong += [f"no help for {name}" for name in types if name not in helped]
    wrong += [f"{name} is a counter without _total" for name in types if types[name] == "counter" and not name.endswith("_total")]
    return values, types, wrong


world = World(policies={"10-no.lua": 'return { admit = function(req) if req.name == "never" then return false, "no" end end }'})
world.start()


def metrics():
    answer = world.get("/v1/metrics")
    equal((answer.status, answer.headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "metrics are there")
    values, types, wrong = parse(answer.body.decode())
    equal(wrong, [], "and are well-formed")
    return values, types


def of(values, name, **labels):
    return values[name][tuple(sorted(labels.items()))]


first, types = metrics()
equal(of(first, "gantry_node_up", node="local"), 1, "the node is up")
equal(types["gantry_operations_total"], "counter", "operations are a counter")
equal({dict(l)["state"] for l in first["gantry_instances"]},
      set(Contract().at("#/components/schemas/State")["enum"]), "instances by each state of the contract")
world.spawn(name="one", memory="64MiB")
world.spawn(name="two", memory="64MiB")
world.post("/v1/instances/two/stop?wait=10", {"grace": "1s"})
equal(world.spawn(name="never").status, 403, "one is refused")
equal(world.spawn(name="gone", image="missing").status, 404, "one fails")
world.get("/v1/nowhere")
second, _ = metrics()


def moved(name, **labels):
    return of(second, name, **labels) - of(first, name, **labels)


equal(moved("gantry_operations_total", result="done"), 3, "three operations were done")
equal(moved("gantry_operations_total", result="failed"), 1, "one failed")
equal(moved("gantry_operations_total", result="denied"), 1, "one was denied")
equal((of(second, "gantry_instances", state="running"), of(second, "gantry_instances", state="stopped")), (1, 1),
      "instances by state")
equal(of(second, "gantry_node_memory_promised_bytes", node="local"), 128 << 20, "memory that is promised")
ok(moved("gantry_http_requests_total") >= 7, "requests are counted")
ok(moved("gantry_events_total") >= 4, "and events")
equal(of(second, "gantry_http_connections"), 1, "this connection is open")
streams = [world.stream("/v1/events?follow=true") for _ in range(5)]
third, _ = metrics()
equal(of(third, "gantry_http_connections"), 6, "and five streams beside it")
ok(of(third, "gantry_http_connections_total") - of(second, "gantry_http_connections_total") >= 5, "each was counted as it came")
equal(of(third, "gantry_http_connections_refused_total"), 0, "none was refused")
for stream in streams:
    stream.close()
sock = socket.socket(socket.AF_UNIX)
sock.connect(world.socket)
sock.sendall(b"nonsense\r\n\r\n")
sock.recv(1000)
sock.close()
fourth, _ = metrics()
equal(of(fourth, "gantry_http_bad_requests_total") - of(first, "gantry_http_bad_requests_total"), 1,
      "a request that is no HTTP is counted")
world.engine.ask("POST", "/fake/restart", {"down_ms": 2000})
until(lambda: parse(world.get("/v1/metrics").body.decode())[0]["gantry_node_up"][(("node", "local"),)] == 0,
      "the node to be down in the metrics")
fifth, _ = metrics()
equal(of(fifth, "gantry_instances", state="unknown"), 2, "its instances are unknown")
equal(world.stop(), 0, "it ends well")
done()
