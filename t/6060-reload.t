#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reload of policies: by a change of the folder, by hand, twice at once; a bad set changes nothing."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

DENY = 'return { admit = function(req) return false, "closed for today" end }\n'
world = World({"10-open.lua": "return { admit = function(req) return true end }\n"}, settings=f'policy_time = "{50 * SLOW}ms"').start()


def status():
    return world.get("/v1/policies").json


first = status()["revision"]
equal(world.spawn(name="a").status, 201, "the first set admits")

world.policy("20-deny.lua", DENY)
until(lambda: status()["revision"] != first, "the change of the folder to be seen")
answer = world.spawn(name="b")
equal(answer.status, 403, "the new set refuses")
has(answer.json["detail"], "closed for today", "with its reason")
second = status()["revision"]

world.policy("30-bad.lua", "return { admit = function(req) return true end, }\nthis is no Lua\n")
answer = world.post("/v1/policies/reload")
equal(answer.status, 400, "a bad set is refused")
has(answer.json["detail"], "30-bad.lua:2", "with file and line")
equal(status()["revision"], second, "the old one stays in force")
has(status()["refused"], "30-bad.lua", "policy status says so")
doctor = {c["name"]: c for c in world.get("/v1/doctor").json["checks"]}
equal(doctor["policies"]["status"], "fail", "and so does doctor")
equal(world.spawn(name="c").status, 403, "and it still decides")

world.policy("30-bad.lua", 'return { admit = function(req) return true end, admti = 1 }\n')
has(world.post("/v1/policies/reload").json["detail"], "admit", "a key that is no hook is refused with a hint")

# one that compiles, and would admit, but is not what its author meant
world.policy("20-deny.lua", DENY.replace("}\n", """,
tests = {
	{ hook = "admit", expect = false },
	{ name = "open at night", hook = "admit", now = "2026-01-05T23:00:00Z", expect = true },
} }
"""))
WHY = '20-deny.lua:4: test "open at night": should not be refused, is refused with "closed for today" (20-deny.lua:1)'
os.unlink(os.path.join(world.policies, "30-bad.lua"))
answer = world.post("/v1/policies/reload")
equal(answer.status, 400, "a set that fails a test of its own is refused")
equal(answer.json["detail"], WHY, "with file, line, test, what should come and what came")
equal(status()["revision"], second, "the old one stays in force")
equal(status()["refused"], WHY, "policy status says why")
doctor = {c["name"]: c for c in world.get("/v1/doctor").json["checks"]}
equal(doctor["policies"]["status"], "fail", "doctor fails")
has(doctor["policies"]["detail"], WHY, "and says why")
with open(world.log) as log:
    has(log.read(), WHY, "so does the log")
equal([event["reason"] for event in world.events() if event["kind"] == "policy.refused"][-1], WHY, "and an event")
equal(world.spawn(name="still").status, 403, "the old set still decides")
os.unlink(os.path.join(world.policies, "20-deny.lua"))
equal(world.post("/v1/policies/reload").status, 200, "a good one is taken")
equal(status()["revision"], first, "the same files are the same revision")
ok("refused" not in status(), "nothing is refused any more")
equal(world.spawn(name="d").status, 201, "and it admits again")

# two at once, and requests meanwhile
for i in range(50):
    world.policy(f"50-p{i}.lua", f'return {{ environment = function(req, env) return {{ P{i} = "{i}" }} end }}\n')
answers = []
threads = [threading.Thread(target=lambda: answers.append(world.post("/v1/policies/reload").status)) for _ in range(4)]
for thread in threads:
    thread.start()
slowest = 0.0
while any(thread.is_alive() for thread in threads):
    began = time.monotonic()
    world.get("/v1/version")
    slowest = max(slowest, time.monotonic() - began)
for thread in threads:
    thread.join()
equal(answers, [200] * 4, "four reloads at once all end well")
equal(len(status()["policies"]), 51, "with the whole set")
answer = world.spawn(name="e")
equal(answer.status, 201, "a spawn under 51 policies")
equal(len(answer.json["result"]["spec"]["environment"]), 50, "each had its say")
diag(f"slowest request during the reloads: {slowest * 1000:.1f} ms")
# a policy that is removed while its hook runs: it decides to its end, and what it said can be explained afterwards
SLOW = """return {
  admit = function(req)
    local sum = 0
    for i = 1, 300000 do sum = sum + i end
    return false, "looked at for long"
  end,
}
"""
for name in os.listdir(world.policies):
    if name.startswith("50-p"):
        os.unlink(os.path.join(world.policies, name))
equal(world.post("/v1/policies/reload").status, 200, "fifty files fewer")
decided, wrong = 0, []
for round in range(8):
    world.policy("60-slow.lua", SLOW)
    world.post("/v1/policies/reload")
    with_it = status()["revision"]
    answers, reloads = [], []
    threads = [threading.Thread(target=lambda: answers.append(world.spawn(name=f"slow{round}")))]
    threads += [threading.Thread(target=lambda: reloads.append(world.post("/v1/policies/reload").status)) for _ in range(2)]
    threads[0].start()
    os.unlink(os.path.join(world.policies, "60-slow.lua"))
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    if answers[0].status == 201 and reloads == [200, 200]:
        continue
    decided += 1
    told = world.get(f"/v1/decisions/{answers[0].json.get('decision')}").json
    said = [(r["file"], r["line"], r["reason"]) for r in told.get("records", []) if r["policy"] == "60-slow"]
    if (answers[0].status, reloads, told.get("revision"), said) != (403, [200, 200], with_it, [("60-slow.lua", 5, "looked at for long")]):
        wrong.append((answers[0], reloads, with_it, told))
equal(wrong, [], "a policy removed while its hook runs: it decides, and file and line are told afterwards; or it was not asked")
ok(decided > 0, f"and it was asked ({decided} of 8 times)")
ok("60-slow" not in [p["name"] for p in status()["policies"]], "it is gone at the end")
kinds = [event["kind"] for event in world.events()]
ok("policy.reloaded" in kinds and "policy.refused" in kinds, "both ends are events")

# at a start there is no set before
equal(world.stop(), 0, "an orderly end")
world.policy("20-deny.lua", 'return { admit = function() end, tests = { { hook = "admit", expect = false } } }')
has(world.refuses()[1], "20-deny.lua:1: test 1: should be refused, is not refused", "gantryd does not start on a set that fails its tests")
os.unlink(os.path.join(world.policies, "20-deny.lua"))
world.start()
equal(world.stop(), 0, "an orderly end")
done()
