#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each fuzzer for two seconds; and what it does about a finding, a crash and a hang, which are planted."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from tap import finish, ok

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
BUILD = os.environ.get("BUILD") or ".build/plain"
PROGRAMS = ("policy", "pattern", "spec")


def run(*command, **settings):
    """The status and all that was printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("FUZZ_") and key != "SHOW"}
    env.update(settings)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def cases(text):
    """How many cases there were."""
    found = re.search(r"ok 1 - (\d+) ", text)
    return int(found.group(1)) if found else 0


for name in PROGRAMS:
    status, text = run(f"{BUILD}/t/fuzz/{name}", FUZZ_SECONDS="2")
    ok(status == 0 and cases(text) > 0, f"{name}: {cases(text)} cases without a finding", text)
    status, text = run(f"{BUILD}/t/fuzz/{name}", FUZZ_SECONDS="60", FUZZ_SEED="1000", FUZZ_CASES="2")
    ok(status == 0 and cases(text) == 2, f"{name}: as many cases as were asked for", text)
status, text = run("t/5040-http-fuzz.t", FUZZ_SECONDS="2")
ok(status == 0, "http: two seconds without a finding", text)

for what, says in (("finding", "planted"), ("crash", "signal 6|status"), ("hang", "it hangs")):
    status, text = run(f"{BUILD}/t/fuzz/policy", FUZZ_SECONDS="600", FUZZ_SEED="5", FUZZ_PLANT=what, FUZZ_HANG_S="10")
    ok(status == 1 and re.search(f"a finding with seed 7: .*({says})", text), f"{what}: is told with its seed", text)
    ok("FUZZ_SEED=7 FUZZ_CASES=1 " in text, f"{what}: and how to see it again", text)
    left = re.search(r"the policy is (/tmp/gantry-t\.\w+)/fuzz\.lua", text)
    ok(left and "return {" in open(f"{left.group(1)}/fuzz.lua", encoding="utf-8").read(), f"{what}: the policy is left", text)
    if left:
        shutil.rmtree(left.group(1))

finish()
