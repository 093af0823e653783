#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The orderly end while more spawns wait than the node works at: those in line are not begun at the end."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

COUNT = 10
world = World().start()
engine = world.engine


def creates():
    return engine.state()["calls"].get("POST /containers/create", 0)


def spawn(name):
    try:
        world.spawn(name=name)
    except (OSError, http.client.HTTPException):
        pass  # gantryd went down


engine.fault("POST /containers/create", "hang_after")
threads = [threading.Thread(target=spawn, args=(f"i{n}",)) for n in range(COUNT)]
for thread in threads:
    thread.start()
until(lambda: [o["step"] for o in world.running_operations()] == ["create"] * COUNT and creates() == 4, "four to be at work")
begun = creates()
ok(0 < begun < COUNT, f"the engine has {begun} of them, the others are in line")
equal(world.stop(), 0, "an orderly end")
for thread in threads:
    thread.join(LIMIT)
equal(creates(), begun, "none was begun at the end")
engine.clear()
world.start()
until(lambda: not world.running_operations(), "all to be gone on with")
equal(sorted(i["state"] for i in world.instances()), ["running"] * COUNT, "at the next start all are made")
world.settled("spawns that were in line")
done()
