#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs on a real Docker Engine, by both of its drivers, held against `docker logs`: bytes, long lines, restarts,
rotation with compression, a follower through all of it, and the engine and gantryd restarted."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from command import Command
from daemon import *

docker = Docker(own=True)
world = docker.world(node='log_size = "64KiB"; log_files = 3', settings='plugins = { stdout = { follow_rate = "1MiB", follow_burst = "8MiB" } }').start()
gantry = Command("unix://" + world.socket)
NASTY = r'''echo hi; printf 'a\0b\r\303\n'; printf '\n'; head -c 40000 /dev/zero | tr '\0' x; echo; echo '<>&"\' ; printf '\342\200\250\t\033\177\360\237\230\200\n'
echo err >&2; head -c 16384 /dev/zero | tr '\0' y; echo; printf end'''
PRINTED = b"hi\na\0b\r\xc3\n\n" + b"x" * 40000 + b"\n<>&\"\\\n\xe2\x80\xa8\t\x1b\x7f\xf0\x9f\x98\x80\n" + b"y" * 16384 + b"\nend"


def run(name, driver, *script, more=()):
    result = gantry("run", "-d", "--name", name, "--log-driver", driver, *more, IMAGE, "sh", "-c", " ".join(script))
    equal((result.status, result.err), (0, ""), f"{name} runs")


def waited(name):
    gantry("wait", name)
    until(lambda: world.state(name) == "stopped", f"{name} to end")


lines = world.log_lines


def by_stream(found):
    return [[line.get("text", line.get("data")) for line in found if line["stream"] == stream] for stream in ("stdout", "stderr")]


for driver in ("local", "json-file"):
    name = f"n-{driver}"
    run(name, driver, NASTY)
    waited(name)
    ours, theirs = gantry("logs", name, raw=True), docker.run("logs", name, text=False)
    if driver == "local":  # docker logs forgets the newlines of lines over 16 KiB
        equal((ours.out == PRINTED, ours.err), (True, b"err\n"), "local: every byte as it was printed")
    else:
        ok((ours.out, ours.err) == (theirs.stdout, theirs.stderr), f"json-file: as docker logs has it ({len(ours.out)} bytes)")
        equal((ours.out == PRINTED.decode(errors="replace").encode(), ours.err), (True, b"err\n"), "which is what was printed, less what is no UTF-8")
    found = lines(name)
    equal(sum(line["cursor"].startswith("1.") for line in found), len(found), "all of the first boot")
    end = [line for line in found if line["stream"] == "stdout"][-1]
    equal((end["text"], end.get("no_newline")), ("end", True), "the end has no newline")
    follower = world.stream(f"/v1/instances/{name}/logs?follow=true&after={found[-1]['cursor']}")
    equal(follower.json(), None, "a follower of what has ended ends")
    equal(gantry("start", name).status, 0, "started again")
    waited(name)
    both = lines(name)
    equal(by_stream(both[len(found):]) == by_stream(found), True, "the same again")
    equal({line["cursor"].split(".")[0] for line in both[len(found):]}, {"2"}, "of the second boot")
    equal([int(line["cursor"].split(".")[1]) for line in both], list(range(1, len(both) + 1)), "numbered through")

    # a terminal
    run(f"t-{driver}", driver, "echo out; echo err >&2; printf prompt", more=("-t",))
    waited(f"t-{driver}")
    equal(gantry("logs", f"t-{driver}", raw=True).out, b"out\r\nerr\r\nprompt", "a terminal")

    # rotation while it is followed, and every line there once, through restarts of all
    name = f"r-{driver}"
    run(name, driver, "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo line $i some more text to fill the file; [ $((i % 1000)) = 0 ] && sleep 0.3; done; sleep 1000")
    follower = gantry.start("logs", "-f", name)
    got = [follower.stdout.readline() for _ in range(2000)]
    world.kill()
    world.start()
    got += [follower.stdout.readline() for _ in range(7000)]
    equal(got == [b"line %d some more text to fill the file\n" % i for i in range(1, 9001)], True,
          f"{driver}: each of 9000 lines once, in order, over rotation and a gantryd that was killed")
    follower.kill()
    follower.communicate()
    folder = os.path.dirname(docker.inspect(name)["HostsPath"])
    files = [file for _, _, names in os.walk(folder) for file in names if ".log" in file]
    ok(any(file.endswith(".gz") for file in files), f"there are compressed files: {sorted(files)}")
    found = lines(name)
    equal((found[0].get("gap", {}).get("lines", -1), len(found) - 1 + found[0]["gap"]["lines"]), (int(found[0]["cursor"].split(".")[1]), 9000),
          "what the engine has dropped is counted")
    theirs = docker("logs", name).split("\n")
    equal([line["text"] for line in found[-len(theirs):]], theirs, "what is left is what docker logs has")
    cursor = found[-100]["cursor"]
    docker.down()
    docker.again()
    until(lambda: world.get("/v1/health").json["status"] == "ok", "the node to be up")
    equal([line["cursor"] for line in lines(name, after=cursor)], [line["cursor"] for line in found[-99:]],
          "a cursor holds over a restart of the engine")

result = gantry("logs", "n-local", "-n", "1", "--grep", "err", "--stream", "stderr", "-t", raw=True)
ok(result.out == b"" and result.err.endswith(b" err\n") and result.err[:2] == b"20", "options", result)

# what is removed is there for a while
for driver in ("local", "json-file"):
    name = f"r-{driver}"
    id, before = world.instance(name)["id"], lines(name)
    container = world.instance(name)["container_id"]
    equal(gantry("rm", "-f", name).status, 0, "removed")
    ok(container not in docker("ps", "-aq", "--no-trunc"), "with its container")
    after = lines(name)
    equal(after[0]["gap"]["lines"], before[0]["gap"]["lines"], "what the engine had dropped is a gap still")
    equal(after[1:], before[1:], f"{driver}: the same lines after it, rotated and compressed files included")
    equal(lines(id, after=before[-50]["cursor"]), before[-49:], "and behind a cursor")
equal(gantry("logs", "nobody").status, 3, "no log of what was never there")

# a producer at full speed: a follower is given its rate and told of the rest, and the producer waits for nobody
flood = {"image": IMAGE, "command": ["sh", "-c", "yes " + "f" * 500], "log": {"driver": "local", "size": "256MiB", "files": 2}}
equal(world.spawn(name="flood", **flood).status, 201, "a flood")
follower = world.stream("/v1/instances/flood/logs?follow=true")
last, given, lost, gaps = 0, 0, 0, 0
while gaps < 3:
    line = follower.json()
    sequence = int(line["cursor"].split(".")[1])
    if "gap" in line:
        gaps += 1
        if line["gap"]["why"] != "more was printed than a follower is given" or sequence != last:
            ok(False, f"the gap is the rate's, behind the last line: {line}, {last}")
        lost += line["gap"]["lines"]
        last += line["gap"]["lines"]
    else:
        given += 1
        if sequence != last + 1:
            equal(sequence, last + 1, "each line is given or counted")
        last = sequence
equal(given + lost, last, f"a follower at full speed has been given {given} lines and told of {lost}")
ok(lost > given, "most of a flood is left out")
equal(gantry("logs", "flood", "-n", "1").out.split("\n")[0], "f" * 500, "gantryd answers meanwhile")
follower.close()
equal(gantry("kill", "flood").status, 0, "the end of it")
done()
