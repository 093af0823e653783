#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images on real engines: an instance is changed, committed as it runs, saved, loaded into another engine and run there;
half an archive leaves nothing; what gantryd needs for it does not grow with the image."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
from terminal import GANTRY

world = two_engines().start()
engines = world.engines
east, west = engines.values()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}
MIB = 80


def gantry(*words, **options):
    return subprocess.run([GANTRY, *words], capture_output=True, env=environment, timeout=LIMIT * 6, **options)


def tags(engine):
    return set(engine("images", "--format", "{{.Repository}}:{{.Tag}}").split())


FILL = f"dd if=/dev/urandom of=/data bs=1M count={MIB} 2>/dev/null; sha256sum /data > /sum; echo ready; exec sleep 1000"
gantry("run", "-d", "--name", "source", "--label", "node.zone=east", IMAGE, "sh", "-c", FILL, check=True)
until(lambda: b"ready" in gantry("logs", "source").stdout, "the instance to fill its filesystem", LIMIT * 3)
result = gantry("commit", "source", "made:1")
equal((result.returncode, result.stderr), (0, b""), "commit it as it runs")
equal(world.state("source"), "running", "it runs on")
ok("made:1" in tags(east), "the engine has the image")
before = world.rss_kib()
file = os.path.join(world.folder, "made.tar")
result = gantry("save", "-o", file, "made:1")
equal((result.returncode, result.stderr), (0, b""), "save it")
size = os.path.getsize(file)
ok(size > MIB << 20, f"an archive of {size >> 20} MiB")
with open(file, "rb") as half:
    result = gantry("load", "--node", "west", input=half.read(size // 2))
equal(result.returncode, 2, "half of it is refused")
has(result.stderr.decode(), "the archive is cut", "and it is said why")
equal(tags(west) - {IMAGE}, set(), "nothing of it is there")
equal(os.listdir(os.path.join(west("info", "--format", "{{.DockerRootDir}}").strip(), "tmp")), [], "nor is it in the engine's folder")
result = gantry("load", "--node", "west", "--name", "copy:1", "-i", file)
equal((result.returncode, result.stdout, result.stderr), (0, b"copy:1\n", b""), "load it into the other engine, under a name of ours")
equal(tags(west) - {IMAGE}, {"copy:1"}, "which it has, and no other")
result = gantry("run", "--rm", "--label", "node.zone=west", "copy:1", "sha256sum", "-c", "/sum")
equal((result.returncode, result.stdout), (0, b"/data: OK\n"), "what runs there has the files, byte for byte")
result = subprocess.run([GANTRY, "load", "--node", "west", "--name", "piped:1"], env=environment, capture_output=True,
                        stdin=subprocess.Popen([GANTRY, "save", "--node", "east", "made:1"], env=environment, stdout=subprocess.PIPE).stdout)
equal((result.returncode, result.stdout), (0, b"piped:1\n"), "from one engine to the other by a pipe")
memory_below(world.rss_kib() - before, 32768, f"gantryd has grown little for {size >> 20} MiB")
equal(gantry("rmi", "--node", "west", "piped:1", "copy:1").returncode, 0, "remove them")
equal(tags(west) - {IMAGE}, set(), "they are gone")
result = gantry("load", "--node", "west", input=b"no archive")
equal(result.returncode, 2, "what is no archive is refused")
gantry("rm", "-f", "source")
equal(gantry("rmi", "--node", "east", "made:1").returncode, 0, "the image of what is gone goes too")
world.settled("at the end")
done()
