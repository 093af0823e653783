#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images of instances and archives of images, on a daemon with a fake engine: commit, save, load, rmi, and what goes wrong."""
import hashlib
import io
import os
import sys
import tarfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from terminal import GANTRY

world = World(policies={"images.lua": """
    return { admit = function(req)
        if req.verb == "image_load" and req.image == "pullable-forbidden:1" then return false, "not that one" end
        if req.verb == "image_save" and req.image == "secret" then return false, "it stays here" end
        if req.verb == "commit" and req.instance.name == "closed" then return false, "no copies" end
    end }"""}).start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}
TMP = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, TMP, True)


def gantry(*words, data=b""):
    return subprocess.run([GANTRY, *words], input=data, capture_output=True, env=environment, timeout=LIMIT * 4)


def said(result):
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def tar(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def names():
    return {tag for image in world.get("/v1/images").json["images"] for tag in image["tags"]}


def calls(what):
    return world.engine.state()["calls"].get(what, 0)


# --- commit ------------------------------------------------------------------------------------------
gantry("run", "-d", "--name", "a", "x", "sleep", "1000")
after = world.events()[-1]["sequence"]
equal(said(gantry("commit", "a", "pullable-made:1")), (0, "pullable-made:1\n", ""), "commit prints the image's name")
ok("pullable-made:1" in names(), "which is on the node")
until(lambda: "instance.unpaused" in [event["kind"] for event in world.events(after)], "it to go on")
events = world.events(after)
equal([(event["kind"], event["cause"]) for event in events if "cause" in event], [("instance.paused", "commit"), ("instance.unpaused", "commit")],
     "it was paused meanwhile, and that is told")
made = next(event for event in events if event["kind"] == "instance.committed")
equal((made["image"], made["image_id"]), ("pullable-made:1", "sha256:committed"), "the event says what was made")
equal(world.state("a"), "running", "it runs on")
after = world.events()[-1]["sequence"]
equal(said(gantry("commit", "--no-pause", "a", "pullable-made")), (0, "pullable-made\n", ""), "without a pause, and without a tag")
equal([event["kind"] for event in until(lambda: world.events(after), "the commit to be told")], ["instance.committed"], "it is not paused")
ok("pullable-made:latest" in names(), "the tag is latest")
gantry("stop", "a")
equal(gantry("commit", "a", "pullable-stopped:1").returncode, 0, "of one that is stopped")
for image in ("Upper", "x@sha256:1", ":1", "a:", "a b"):
    result = said(gantry("commit", "a", image))
    ok(result[0] == 2 and "image" in result[2], f"{image!r} is no name for it: {result[2]!r}")
equal(gantry("commit", "nobody", "y").returncode, 3, "of one that there is not")
gantry("run", "-d", "--name", "closed", "x", "sleep", "1000")
result = said(gantry("commit", "closed", "y"))
ok(result[0] == 4 and "no copies" in result[2], f"a policy may refuse it: {result[2]!r}")
world.engine.fault("POST /commit", 500, count=1)
result = said(gantry("commit", "a", "pullable-failed:1"))
ok(result[0] == 1 and "told to fail" in result[2], "where the engine fails, that is told")
ok("pullable-failed:1" not in names(), "and there is no image")

# --- save and load -----------------------------------------------------------------------------------
file = os.path.join(TMP, "a.tar")
equal(said(gantry("save", "-o", file, "pullable-made:1")), (0, "", ""), "save into a file")
archive = open(file, "rb").read()
equal(gantry("save", "pullable-made:1").stdout, archive, "or into a pipe, the same")
with tarfile.open(file) as saved:
    equal(json.load(saved.extractfile("manifest.json"))[0]["RepoTags"], ["pullable-made:1"], "it is a Docker archive")
equal(said(gantry("rmi", "pullable-made:1")), (0, "pullable-made:1\n", ""), "rmi")
ok("pullable-made:1" not in names(), "it is gone")
equal(gantry("rmi", "pullable-made:1").returncode, 3, "a second time there is none")
after = world.events()[-1]["sequence"]
equal(said(gantry("load", "-i", file)), (0, "pullable-made:1\n", ""), "load from a file")
ok("pullable-made:1" in names(), "it is there again")
loaded = lambda: [event["image"] for event in world.events(after) if event["kind"] == "image.loaded"]
equal(until(loaded, "the load to be told"), ["pullable-made:1"], "and told")
equal(said(gantry("load", "--name", "pullable-mine:1", data=archive)), (0, "pullable-mine:1\n", ""), "or from a pipe, with a name of ours")
ok("pullable-mine:1" in names(), "which it has")
oci = {"index.json": b'{"manifests":[{"digest":"sha256:%s"}]}' % (b"a" * 64), "blobs/sha256/" + "b" * 64: b"{}", "blobs/sha256/" + "c" * 64: b"layer",
       "blobs/sha256/" + "a" * 64: b'{"config":{"digest":"sha256:%s"},"layers":[{"digest":"sha256:%s"}]}' % (b"b" * 64, b"c" * 64)}
equal(said(gantry("load", "--name", "pullable-oci:1", data=tar(oci))), (0, "pullable-oci:1\n", ""), "an OCI layout becomes what the engine takes")
result = gantry("run", "-d", "--name", "b", "pullable-mine:1", "sleep", "1000")
equal(result.returncode, 0, "it can be run")
result = said(gantry("rmi", "pullable-mine:1"))
ok(result[0] == 5 and "conflict" in result[2], f"and then not be removed: {result[2]!r}")

# --- what is none ------------------------------------------------------------------------------------
before = names()
for what, data, word in (("a half", archive[:len(archive) // 2], "cut"), ("half a head", archive[:300], "begin as a tar"), ("nothing", b"", "begin as a tar"),
                         ("a tar of something else", tar({"etc/passwd": b"root"}), "neither manifest.json"),
                         ("a damaged one", archive[:1024] + b"x" * 512 + archive[1536:], "damaged"),
                         ("one whose files are not there", tar({"manifest.json": b'[{"Config":"c.json","Layers":[]}]'}), "no such file"),
                         ("a program", b"\x7fELF" * 1000, "begin as a tar")):
    result = said(gantry("load", data=data))
    ok(result[0] == 2 and word in result[2], f"{what} is refused: {result[2].strip()!r}")
equal(names(), before, "and leaves nothing")
result = said(gantry("save", "missing:1"))
ok(result[0] == 3 and "missing:1" in result[2], "save of an image that there is not")
result = said(gantry("save", "-o", file, "secret"))
ok(result[0] == 4 and "it stays here" in result[2] and not os.path.exists(file), "or that a policy keeps: no file is left")
result = said(gantry("load", "--name", "pullable-forbidden:1", data=archive))
ok(result[0] == 4 and "not that one" in result[2], "nor is one loaded that a policy refuses")
world.engine.fault("GET /images/pullable-mine", "drop_after", count=1)
result = said(gantry("save", "-o", file, "pullable-mine:1"))
ok(result[0] == 1 and not os.path.exists(file), f"an engine that breaks off amid a save: {result[2].strip()!r}")
world.engine.clear()
world.engine.fault("POST /images/load", "reset", count=1)
result = said(gantry("load", data=archive))
ok(result[0] in (1, 6) and result[2], f"or amid a load: {result[2].strip()!r}")
world.engine.clear()

# --- once --------------------------------------------------------------------------------------------
ONCE = "/v1/images?once=true&name=pullable-once:1"
loads = calls("POST /images/load")
world.engine.fault("POST /images/load", "delay", ms=500 * SLOW, count=1)
answers = []
threads = [threading.Thread(target=lambda: answers.append(ask(world.socket, "POST", ONCE, archive))) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
equal([(a.status, a.json["images"], a.json["loaded"]) for a in answers], [(200, ["pullable-once:1"], True)] * 10, "ten ask for the same at once: all have it")
equal(calls("POST /images/load") - loads, 1, "by one load")
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(LIMIT)
connection.connect(world.socket)
HEAD = "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
connection.sendall((HEAD % ONCE).encode())
has(connection.recv(65536).decode(), "HTTP/1.1 200 OK", "who comes later is answered without a byte of his archive")
connection.close()
equal(world.post("/v1/images?once=true").status, 400, "once wants a name")


def giver(name):
    """One who has an archive, and waits to be asked for it."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(LIMIT)
    one.connect(world.socket)
    one.sendall((HEAD % f"/v1/images?once=true&name={name}").encode())
    return one


def asked(one):
    return one.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"


first = giver("pullable-left:1")
ok(asked(first), "the first is asked for his archive")
first.sendall(b"200\r\n" + archive[:512] + b"\r\n")
second = giver("pullable-left:1")
for _ in range(2):
    world.get("/v1/health")  # by then the second is in line
first.close()
ok(asked(second), "where he leaves amid it, the next one is asked for his")
second.sendall(b"%x\r\n" % len(archive) + archive + b"\r\n0\r\n\r\n")
has(second.recv(65536).decode(), "HTTP/1.1 200 OK", "and gives it")
second.close()
ok("pullable-left:1" in names(), "it is there")
alone = giver("pullable-alone:1")
ok(asked(alone), "one who is alone")
alone.close()
answer = ask(world.socket, "POST", "/v1/images?once=true&name=pullable-alone:1", archive)
equal((answer.status, answer.json["loaded"]), (200, True), "leaves, and who comes then begins anew")

# --- memory ------------------------------------------------------------------------------------------
before = world.rss_kib()
size = 0
process = subprocess.Popen([GANTRY, "save", "big:1"], stdout=subprocess.PIPE, env=environment)
while data := process.stdout.read(1 << 20):
    size += len(data)
equal(process.wait(), 0, "an image of 64 MiB is saved")
ok(size > 64 << 20, f"all of it ({size} bytes)")
memory_below(world.rss_kib() - before, 16384, "gantryd did not hold it")
equal(world.stop(), 0, "gantryd ends well")
done()
