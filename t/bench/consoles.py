# SPDX-License-Identifier: Apache-2.0
"""The part `console` of the bench: an echo by gantryd's attach, beside the engine's own on the same container, and that by a relay."""
import os
import statistics

ECHOES = int(os.environ.get("BENCH_ECHOES", "4000"))


def echoes(world, where, engine_socket, image, run, line, spread_of, p50, p99):
    rows = []
    for first in range(3):  # of the sessions: the engine serves them in that order
        spawned = world.spawn(wait=60, name="echo", image=image, command=["cat"], stdin_open=True)
        if spawned.status != 201:
            print(f"  left out: {spawned}")
            return
        container = world.get("/v1/instances/echo").json["container_id"]
        rows += [tuple(map(int, text.split()))
                 for text in run("echo", world.socket, "echo", engine_socket, container, (ECHOES + 2) // 3, first)]
        world.delete("/v1/instances/echo?force=true&wait=60")
    print(f"\nan echo of 8 bytes, {len(rows)} interleaved rounds, {where}")
    for name, at in (("by gantryd's attach", 0), ("by the engine's attach", 1), ("by that, with a relay between", 2)):
        values = [row[at] for row in rows]
        line(f"{name}, p50 / p99", f"{p50(values) / 1e3:.0f} us", f"p99 {p99(values) / 1e3:.0f} us")
    for name, at, note in (("gantryd", 0, "target < 60 us"), ("a relay", 2, "")):
        line(f"{name} adds, p50 by p50", f"{(p50([r[at] for r in rows]) - p50([r[1] for r in rows])) / 1e3:.0f} us",
             spread_of(rows, lambda some: p50([r[at] for r in some]) - p50([r[1] for r in some]), 1e3, 0, 200), note)
        line(f"{name} adds, of a pair, median", f"{statistics.median(r[at] - r[1] for r in rows) / 1e3:.0f} us")


def measure(world, *rest):
    cpus = sorted(os.sched_getaffinity(0))
    echoes(world, f"all on {len(cpus)} CPUs", *rest)
    if len(cpus) == 1:
        return
    threads = (0, *map(int, os.listdir(f"/proc/{world.daemon.pid}/task")))
    for thread in threads:
        os.sched_setaffinity(thread, cpus[-1:])
    echoes(world, "client and gantryd on one CPU, the engine on all", *rest)
    os.sched_setaffinity(0, cpus)
