#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The filesystem of a stopped instance in another, on a real engine: read, mended, gone with it; gantryd and the engine killed meanwhile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
from terminal import GANTRY

docker = Docker(own=True)
if docker("info", "--format", "{{.Driver}}") != "overlay2":
    skip_all("the engine's storage driver is not overlay2")
world = docker.world().start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}


def gantry(*words):
    return subprocess.run([GANTRY, *words], capture_output=True, text=True, env=environment, timeout=LIMIT * 3)


def mounted():
    """Overlays that are volumes of this engine."""
    with open("/proc/mounts") as file:
        return [line.split()[1] for line in file if line.startswith("overlay ") and f"{docker.folder}/data/volumes/" in line]


def volumes():
    return [name for name in docker("volume", "ls", "--quiet").split() if not name.startswith("gantry.")]


def mend(name):
    return gantry("run", "-d", "--name", name, "--mount", "instance/web:/rescue", IMAGE, "sh", "-c",
                  f"cat /rescue/note && echo {name} > /rescue/note && echo changed && exec sleep 1000")


equal(gantry("run", "-d", "--name", "web", IMAGE, "sh", "-c", "test -e /note || echo first > /note; cat /note; exec sleep 1000").returncode, 0, "an instance")
until(lambda: docker("logs", "web") == "first", "its file")
result = mend("mender")
equal(result.returncode, 5, "its filesystem is not to be had while it runs")
has(result.stderr, "web is running", "and it is said why")
gantry("stop", "-t", "0", "web")
equal(mend("mender").stderr, "", "stopped, it is")
until(lambda: docker("logs", "mender") == "first\nchanged", "the file to be read there, and changed")
equal((len(mounted()), len(volumes())), (1, 1), "by an overlay of the engine's")
world.kill()
world.start()
equal(gantry("start", "web").returncode, 5, "gantryd killed: its successor does not start the other")
docker.kill()
docker.again()
until(lambda: world.get("/v1/health").json["status"] == "ok" and world.state("mender") == "stopped", "the engine to be back", LIMIT * 3)
equal(mounted(), [], "the engine killed: nothing is mounted any more")
equal(gantry("start", "mender").stderr, "", "it is started again")
until(lambda: docker("logs", "mender") == "first\nchanged\nmender\nchanged", "and has what it wrote")
equal(len(mounted()), 1, "by an overlay again")
equal(gantry("start", "web").returncode, 5, "the other is not started")
equal(gantry("rm", "-f", "mender").returncode, 0, "removed as it runs")
equal((mounted(), volumes()), ([], []), "it leaves nothing")
equal(gantry("start", "web").stderr, "", "the other starts")
until(lambda: docker("logs", "web") == "first\nmender", "the change to be there")
equal(gantry("rm", "-f", "web").returncode, 0, "removed")
equal((docker.ps(), volumes()), ({}, []), "nothing is left")
done()
