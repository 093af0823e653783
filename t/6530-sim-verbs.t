#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Verbs on simulated nodes, to be tried with no engine: copies in and out, links, commits, archives between nodes, where the
room ends; logs over restarts and kills."""
import io
import os
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

STATE = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, STATE, True)
POLICY = """return { filter = function(req, node) return req.labels.on == node.name, "not asked for" end }"""
world = World(engine=False, policies={"on.lua": POLICY}, nodes=f'one = {{ plugin = "sim", state = "{STATE}/one", host_disk = "1MiB" }}, '
                                  'two = { plugin = "sim", images = { "base" } }').start()
gantry = Command("unix://" + world.socket)


def tar(*members):
    """Of (name, data or None for a folder or a link's target in a tuple)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.mode, info.uid = 0o640, 7
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(data, tuple):
                info.type, info.linkname = data
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data if isinstance(data, bytes) else b""))
    return out.getvalue()


def put(name, path, body):
    return ask(world.socket, "PUT", f"/v1/instances/{name}/archive?path={path}", body, {"Content-Type": "application/x-tar"})


def get(name, path, method="GET"):
    return ask(world.socket, method, f"/v1/instances/{name}/archive?path={path}")


def files(name, path):
    answer = get(name, path)
    assert answer.status == 200, answer
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        return {member.name: archive.extractfile(member).read() if member.isfile() else member.linkname if member.issym() else None
                for member in archive}


def looks(name, path):
    return json.loads(get(name, path, "HEAD").headers["X-Gantry-Path"])


def spawn(name, image="base", node="one"):
    answer = world.spawn(name=name, image=image, command=["sleep", "1000"], labels={"on": node})
    assert answer.status == 201, answer


# --- in and out by the command -------------------------------------------------------------------------
ODD = bytes(range(256)) * 300
os.makedirs(f"{STATE}/tree/deep")
with open(f"{STATE}/tree/deep/odd", "wb") as file:
    file.write(ODD)
os.symlink("deep/odd", f"{STATE}/tree/link")
spawn("web")
equal(gantry("cp", f"{STATE}/tree", "web:/etc").status, 0, "a folder goes in")
equal(gantry("cp", "web:/etc/tree", f"{STATE}/back").status, 0, "and comes out")
with open(f"{STATE}/back/deep/odd", "rb") as file:
    ok(file.read() == ODD, "its file is the same, byte for byte")
equal(os.readlink(f"{STATE}/back/link"), "deep/odd", "and so is its link")
found = looks("web", "/etc/tree/link")
equal((found["type"], found["link_target"]), ("link", "deep/odd"), "a link is told as one")
equal(get("web", "/etc/none").status, 404, "of what is not there: 404")

# --- tars ------------------------------------------------------------------------------------------------
long = "d" * 150 + "/" + "ä" * 60
equal(put("web", "/var", tar(("plain", b"1"), ("dir", None), ("dir/in", b"2"), ("up", (tarfile.SYMTYPE, "/tmp")), ("up/through", b"3"),
                             ("same", (tarfile.LNKTYPE, "plain")), (long, b"4"))).status, 204, "one with all kinds goes in")
had = files("web", "/var")
equal({name: had.get("var/" + name) for name in ("plain", "dir/in", "up", "same", long)},
      {"plain": b"1", "dir/in": b"2", "up": "/tmp", "same": b"1", long: b"4"}, "all are there")
equal(files("web", "/tmp").get("tmp/through"), b"3", "what goes through a link is where that leads to")
equal(files("web", "/var/up/."), {"up": None, "up/through": b"3"}, "a link with /. is the folder that it leads to")
found = looks("web", "/var/plain")
equal((found["mode"], found["size_bytes"]), (0o640, 1), "mode and size are kept")
for what, body, word in (("a name that climbs", tar(("../x", b"")), "leads out"), ("a file over a folder", tar(("dir", b"x")), "is a folder"),
                         ("a folder over a file", tar(("plain", None)), "is no folder"), ("no tar", b"x" * 600, "no whole tar"),
                         ("a link to nothing", tar(("l", (tarfile.LNKTYPE, "none"))), "not there")):
    answer = put("web", "/var", body)
    ok(400 <= answer.status < 500 and word in answer.json["detail"], f"{what}: refused: {answer.status} {answer.json.get('detail')}")
equal(put("web", "/var", tar(("loop", (tarfile.SYMTYPE, "loop")))).status, 204, "a link to itself is a link")
equal(get("web", "/var/loop/.").status, 404, "that leads nowhere")
equal(put("web", "/var/plain", tar(("x", b""))).status, 400, "into what is no folder")

# --- the room --------------------------------------------------------------------------------------------
answer = put("web", "/tmp", tar(("big", bytes(2 << 20))))
ok(answer.status >= 500 and "no space left on device" in answer.json["detail"], f"more than host_disk: {answer.status} {answer.json['detail']}")
equal(put("web", "/tmp", tar(("big", bytes(600 << 10)))).status, 204, "what there is room for")
ok("no space left" in put("web", "/tmp", tar(("more", bytes(600 << 10)))).json["detail"], "goes in once")
equal(world.delete("/v1/instances/web?force=true&wait=10").status, 200, "with the container")
spawn("web")
big = os.urandom(900 << 10)
equal(put("web", "/tmp", tar(("big", big))).status, 204, "the room is free again")
readers = [UnixConnection(world.socket) for _ in range(3)]
for reader in readers:
    reader.request("GET", "/v1/instances/web/archive?path=/tmp/big")
answers = [reader.getresponse() for reader in readers]  # each has the head, and reads no more for now
equal(get("web", "/tmp/big", "HEAD").status, 200, "who reads nothing holds up nobody")
readers[2].close()
for answer in answers[:2]:
    with tarfile.open(fileobj=io.BytesIO(answer.read())) as archive:
        ok(archive.extractfile("big").read() == big, "and has all once it reads")
world.delete("/v1/instances/web?force=true&wait=10")

# --- images ----------------------------------------------------------------------------------------------
spawn("model")
equal(put("model", "/etc", tar(("odd", ODD))).status, 204, "files go into one that is to be an image")
equal(gantry("commit", "model", "app:1").out, "app:1\n", "commit")
spawn("user", "app:1")
equal(files("user", "/etc/odd"), {"odd": ODD}, "what is made of it has its files")
equal(put("user", "/etc", tar(("odd", b"own"))).status, 204, "one of them is changed")
equal((files("user", "/etc/odd"), files("model", "/etc/odd")), ({"odd": b"own"}, {"odd": ODD}), "in one container only")
spawn("other", "app:1")
equal(files("other", "/etc/odd"), {"odd": ODD}, "and not in the image")
result = gantry("rmi", "--node", "one", "app:1")
ok(result.status != 0 and "used by container" in result.err, f"an image that is used stays: {result.err!r}")
world.kill()
world.start()
until(lambda: world.state("other") == "running", "the node to be there")
equal((files("user", "/etc/odd"), files("other", "/etc/odd")), ({"odd": b"own"}, {"odd": ODD}), "with a state file all outlive kill -9")
spawn("later", "app:1")
equal(files("later", "/etc/odd"), {"odd": ODD}, "the image too")
archive = gantry("save", "--node", "one", "app:1", raw=True).out
with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
    equal(json.load(saved.extractfile("manifest.json"))[0]["RepoTags"], ["app:1"], "its archive has a manifest")
equal(gantry("load", "--node", "two", "--name", "copy:2", stdin=archive, raw=True).status, 0, "which another node loads, under another name")
spawn("elsewhere", "copy:2", node="two")
equal(files("elsewhere", "/etc/odd"), {"odd": ODD}, "with its files")
ok("copy:2" in gantry("images", "--node", "two").out, "and lists")
spawn("base", node="two")
equal(gantry("rmi", "--node", "two", "copy:2").status == 0, False, "it is used there")
world.delete("/v1/instances/elsewhere?force=true&wait=10")
equal(gantry("rmi", "--node", "two", "copy:2").status, 0, "and removed after")
ok("copy:2" not in gantry("images", "--node", "two").out, "which is listed no more")
world.delete("/v1/instances/base?force=true&wait=10")
equal(gantry("rmi", "--node", "two", "base").status, 0, "one of the settings is removed too")
ok("base" not in gantry("images", "--node", "two").out, "and is not there")
equal(gantry("pull", "--node", "two", "base").status, 0, "until it is pulled")
ok("base" in gantry("images", "--node", "two").out, "which brings it back")

# one of Docker's: two layers, the second takes away what the first has
layers = {"a/layer.tar": tar(("etc", None), ("etc/gone", b"1"), ("etc/kept", b"2"), ("old", None), ("old/in", b"3")),
          "b/layer.tar": tar(("etc/.wh.gone", b""), ("old/.wh..wh..opq", b""), ("old/new", b"4"))}
docker = tar(("c.json", b"{}"), *layers.items(),
             ("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": ["two-layers:1"], "Layers": list(layers)}]).encode()))
equal(gantry("load", "--node", "two", stdin=docker, raw=True).status, 0, "an archive of Docker's")
spawn("layered", "two-layers:1", node="two")
equal({name: data for name, data in files("layered", "/").items() if data is not None},
      {"/etc/kept": b"2", "/old/new": b"4"}, "has the files of its layers, but for those that they take away")
bad = tar(("c.json", b"{}"), ("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["none.tar"]}]).encode()))
result = gantry("load", "--node", "two", stdin=bad, raw=True)
ok(result.status != 0 and b"none.tar" in result.err, "one that names what it has not is refused")
equal(world.stop(), 0, "gantryd ends in order")

# --- logs ------------------------------------------------------------------------------------------------
world = World(engine=False, nodes=f'one = {{ plugin = "sim", state = "{STATE}/logs", stop_latency = "10ms" }}', settings="plugins = { stdout = {} }").start()
gantry = Command("unix://" + world.socket)


def told(name, **query):
    return [(line["cursor"], line["stream"], line["text"]) for line in world.log_lines(name, **query)]


equal(world.spawn(name="lines", command=["lines", "3"]).status, 201, "one that writes and runs on")
first = [("1.1", "stdout", "line 1"), ("1.2", "stderr", "line 2"), ("1.3", "stdout", "line 3")]
equal(told("lines"), first, "its lines, on their streams")
equal(gantry("logs", "-n", "1", "lines").out, "line 3\n", "gantry logs")
follower = gantry.start("logs", "-f", "-n", "1", "lines")
equal(follower.stdout.readline(), b"line 3\n", "followed")
equal(gantry("restart", "lines").status, 0, "it is started again")
second = [(f"2.{int(cursor[2:]) + 3}", stream, text) for cursor, stream, text in first]
equal([follower.stdout.readline() for _ in range(2)], [b"line 1\n", b"line 3\n"], "which the follower sees")
follower.kill()
follower.communicate()
equal(told("lines"), first + second, "lines of both lives, each once, and no gap")
world.kill()
world.start()
until(lambda: world.state("lines") == "running", "the node to be there")
equal(told("lines", after="1.2"), (first + second)[2:], "the same after kill -9, from a cursor on")
equal(world.spawn(name="echo", command=["echo", "hello"]).status, 201, "one that ends at once")
equal(told("echo"), [("1.1", "stdout", "hello")], "has its line")
equal(world.delete("/v1/instances/lines?force=true&wait=10").status, 200, "one is removed")
equal(told("lines"), first + second, "its log is kept")
equal(world.spawn(name="many", command=["lines", "20000"]).status, 201, "one that writes much")
many = told("many")
equal((len(many), many[-1][2]), (20000, "line 20000"), "all of it is there")
equal(world.stop(), 0, "gantryd ends in order")
done()
