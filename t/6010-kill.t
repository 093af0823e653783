#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 before, during and after each step of each flow, then a start: engine, API and store agree.

The steps come from `gantryd --steps`, so a new step is covered with no edit. During a step that calls
the engine it is killed twice: where the engine finishes the call, and where it never does it.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

STEPS = flow_steps()
# what is killed there had begun nothing, and told nobody that it was accepted: all is as before
NOT_BEGUN = flow_steps(memory_only=True)
# ports of networks are wired on real engines only: t/9085
NEVER_REACHED = {(kind, step) for kind in ("spawn", "start", "restart") for step in ("wire", "finish")} | {("remove", "unwire")}
WAIT = 2 * SLOW  # for a call that hangs as for one that is answered
WHENS = [("before", None), ("during", "delay_after"), ("during", "hang"), ("after", None), ("end", None)]
if os.environ.get("VG"):
    WHENS = WHENS[3:4]  # valgrind has a word on the gantryd that recovers: from one moment a step

world = World()
counter = 0


def fresh(image="busybox", command=("sleep", "1000")):
    """A running instance, made without a crash."""
    global counter
    counter += 1
    name = f"i{counter}"
    answer = world.spawn(name=name, image=image, command=list(command))
    assert answer.status == 201, answer
    return name


def spawn(crash):
    global counter
    counter += 1
    name = f"i{counter}"
    world.start(crash_at=crash)
    return name, ("POST", f"/v1/instances?wait={WAIT}",
                  {"name": name, "image": f"pullable{counter}:1", "command": ["sleep", "1000"],
                   "environment": ["A=plain"]})


def on_running(verb, body=None, command=("sleep", "1000"), before=None, method="POST"):
    def scenario(crash):
        world.start()
        name = fresh(command=command)
        if before:
            assert world.post(f"/v1/instances/{name}/{before}?wait=5").status == 200
        world.stop()
        world.start(crash_at=crash)
        suffix = "" if method == "DELETE" else f"/{verb}"
        return name, (method, f"/v1/instances/{name}{suffix}?wait={WAIT}{'&force=true' if method == 'DELETE' else ''}", body)
    return scenario


SCENARIOS = {
    # kind: (scenario, the state before, the state it ends in; None: it is not there)
    "spawn": (spawn, None, "running"),
    "start": (on_running("start", before="stop"), "stopped", "running"),
    "stop": (on_running("stop", {"grace": "300ms"}, command=("stubborn",)), "running", "stopped"),
    "restart": (on_running("restart", {"grace": "300ms"}, command=("stubborn",)), "running", "running"),
    "pause": (on_running("pause"), "running", "paused"),
    "unpause": (on_running("unpause", before="pause"), "paused", "running"),
    "kill": (on_running("kill", {"signal": "KILL"}), "running", "stopped"),
    "resize": (on_running("resize", {"memory": "64MiB"}), "running", "running"),
    "remove": (on_running("remove", method="DELETE"), "running", None),
    "commit": (on_running("commit", {"image": "pullable-made:1"}), "running", "running"),
}
CALLS = ("POST /containers/", "DELETE /containers/", "GET /containers/json",
         "POST /images/create", "GET /images/", "POST /commit")


reached = set()
in_calls = set()  # steps that were killed during a call
for kind, step in STEPS:
    if kind not in SCENARIOS:
        continue
    scenario, first_state, last_state = SCENARIOS[kind]
    end_state = first_state if (kind, step) in NOT_BEGUN else last_state
    for when, mode in WHENS:
        crash = f"{kind}/{step}/{when}"
        if mode == "hang" and (kind, step) not in in_calls:
            continue  # this step calls no engine
        name, (method, target, body) = scenario(crash)
        if mode:
            for match in CALLS:
                world.engine.fault(match, mode, ms=200)
        try:
            answer = ask(world.socket, method, target, body)
        except OSError:
            answer = None
        except http.client.HTTPException:
            answer = None
        if answer is not None and world.daemon.poll() is None:
            # this flow has no such moment: it ended well, or waits for a call that hangs
            world.engine.clear()
            world.kill()
            world.start()
            until(lambda: not world.running_operations(), f"{crash}: operations to end")
            problems = world.disagreements()
            if problems:
                ok(False, f"{crash}: not reached, and all agree")
                diag("\n".join(problems))
            world.stop()
            continue
        reached.add((kind, step))
        if when == "during":
            in_calls.add((kind, step))
        world.died()
        world.engine.clear()
        world.start()
        until(lambda: not world.running_operations(), f"{crash}: operations to end")
        label = f"{crash}{' (' + mode + ')' if mode else ''}"
        problems = world.disagreements()
        state = {i["name"]: i["state"] for i in world.instances()}.get(name)
        if state != end_state:
            problems.append(f"{name} is {state}, not {end_state}")
        if not ok(not problems, f"{label}: engine, API and store agree, {name} is {end_state or 'gone'}"):
            diag("\n".join(problems))
        # once more from the store alone, and from the engine alone
        world.stop()
        if when == "after":
            world.start()
            problems = world.disagreements()
            ok(not problems, f"{label}: and after one more start")
            world.stop()
        if when == "before" and (kind, step) not in NOT_BEGUN:
            world.forget()
            world.start()
            problems = world.disagreements()
            if not ok(not problems, f"{label}: and with the store deleted"):
                diag("\n".join(problems))
            world.stop()

# made only: it is not started by a gantryd that takes it up again
for when in ("create/before", "create/during", "create/after"):
    counter += 1
    world.start(crash_at=f"spawn/{when}")
    try:
        ask(world.socket, "POST", "/v1/instances?wait=5&start=false", {"name": f"i{counter}", "image": "busybox", "environment": ["A=plain"]})
    except (OSError, http.client.HTTPException):
        pass
    world.died()
    world.start()
    until(lambda: not world.running_operations(), f"{when}: operations to end")
    equal((world.disagreements(), world.state(f"i{counter}"), world.instance(f"i{counter}").get("boots", 0)), ([], "stopped", 0),
          f"made only, killed at {when}: all agree, it is there and was not started")
    world.stop()

missing = {(k, s) for k, s in STEPS if k in SCENARIOS} - reached - NEVER_REACHED
equal(missing, set(), "each step of each flow was reached at least once")
done()
