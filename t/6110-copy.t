#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files in and out of an instance, on a daemon with a fake engine: policies, what stands at a path, an engine that fails
amid a tar, clients that leave, gantryd that stops."""
import io
import os
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World(policies={"10-files.lua": """return {
	name = "files",
	admit = function(req)
		if req.verb == "copy_in" then return req.instance.name ~= "sealed", "nothing goes in" end
		if req.verb == "copy_out" then return req.instance.name ~= "sealed", "nothing comes out" end
		return true
	end,
}
"""}).start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}


def tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o640
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put(name, path, body, chunked=False):
    headers = {"Content-Type": "application/x-tar"}
    return ask(world.socket, "PUT", f"/v1/instances/{name}/archive?path={path}", iter([body[:700], body[700:]]) if chunked else body, headers)


def get(name, path, method="GET"):
    return ask(world.socket, method, f"/v1/instances/{name}/archive?path={path}")


def read(answer):
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        return {member.name: archive.extractfile(member).read() if member.isfile() else None for member in archive}


def running():
    return world.get("/v1/metrics").body.decode()


world.spawn(name="web", command=["sleep", "1000"])
world.spawn(name="sealed", command=["sleep", "1000"])
answer = put("web", "/tmp", tar(one=b"1" * 3000))
equal((answer.status, answer.body), (204, b""), "a tar goes in")
answer = get("web", "/tmp/one", "HEAD")
equal((answer.status, answer.body), (200, b""), "HEAD tells what is at a path")
equal(json.loads(answer.headers["X-Gantry-Path"]), {"name": "one", "type": "file", "mode": 0o640, "size_bytes": 3000, "modified_at": "2026-01-02T03:04:05.000Z"},
      "name, type, mode, size, time")
answer = get("web", "/tmp/one")
equal((answer.status, answer.headers["Content-Type"], read(answer)), (200, "application/x-tar", {"one": b"1" * 3000}), "and comes out")
equal(json.loads(answer.headers["X-Gantry-Path"])["type"], "file", "with what it is")
equal(set(read(get("web", "/tmp"))), {"tmp", "tmp/one"}, "a folder does, too")
equal(put("web", "/tmp", tar(two=b"2" * 9000), chunked=True).status, 204, "a body of unknown length")
equal(read(get("web", "/tmp/two")), {"two": b"2" * 9000}, "is whole")

# refused
for method, answer in (("GET", get("web", "/none")), ("PUT", put("web", "/none", tar(a=b""))), ("GET of nobody's", get("nobody", "/tmp"))):
    equal(answer.status, 404, f"{method}: 404 where there is nothing")
equal(get("web", "/none", "HEAD").status, 404, "HEAD: too")
for path in ("", "tmp", "../tmp"):
    equal((get("web", path).status, put("web", path, tar(a=b"")).status), (400, 400), f"a path as \"{path}\" is none")
equal(put("web", "/tmp/one", tar(a=b"")).status, 400, "a file is no folder")
for verb, answer in (("copy_out", get("sealed", "/tmp")), ("copy_in", put("sealed", "/tmp", tar(a=b"")))):
    equal(answer.status, 403, f"a policy refuses {verb}")
    decision = until(lambda: (found := world.get(f"/v1/decisions/{answer.json['decision']}")).status == 200 and found, "the decision")
    equal(decision.json["verb"], verb, "by a decision that is kept")
equal(get("sealed", "/tmp", "HEAD").status, 200, "a HEAD asks no policy")
answer = put("web", "/full", tar(a=b"x"))
equal((answer.status, "no space left" in answer.json["detail"]), (502, True), "the engine's word on a disk that is full")
answer = put("web", "/tmp", b"no tar" * 200)
equal(answer.status, 502, "or on what is no tar")

# an engine that fails
world.engine.fault("GET /containers/*/archive*", "drop_after", count=1)
stream = Stream(world.socket, "/v1/instances/web/archive?path=/tmp/two")
stream.rest()
ok(stream.status == 200 and stream.cut and not stream.ended, "a tar that the engine cuts is cut")
for mode in ("500", "garbage"):
    world.engine.fault("*/archive*", mode, count=1)
    answer = get("web", "/tmp")
    ok(answer.status in (502, 503), f"{mode}: {answer.status}", answer)
world.engine.clear()
world.engine.fault("PUT /containers/*/archive*", "500", count=1)
equal(put("web", "/tmp", tar(a=b"x")).status, 502, "a put that the engine refuses")
world.engine.clear()

# clients that leave amid it: what is left is what is kept for the next requests, however many there were
KEPT = 64  # core/loop/curl_loop.c
before = world.descriptors()
for number in range(400):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(world.socket)
        client.sendall(b"PUT /v1/instances/web/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n" + tar(left=b"x")[:512] + b"\r\n"[:number % 3])
        if number % 2:
            until(lambda: world.engine.state()["connections"] > 0, "the engine to be asked")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(world.socket)
        client.sendall(b"GET /v1/instances/web/archive?path=/tmp HTTP/1.1\r\nHost: x\r\n\r\n")
until(lambda: world.descriptors() <= before + KEPT, "descriptors to be closed")
ok(True, "who leaves amid a tar leaves nothing behind")
equal(get("web", "/tmp/left", "HEAD").status, 404, "and nothing in the instance")

# stopped, and gone
world.post("/v1/instances/web/kill?wait=10")
until(lambda: world.state("web") == "stopped", "the end of web")
equal((get("web", "/tmp/one").status, put("web", "/tmp", tar(three=b"3")).status), (200, 204), "one that is stopped has files as well")
client = socket.socket(socket.AF_UNIX)
client.connect(world.socket)
client.sendall(b"PUT /v1/instances/web/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
equal(world.stop(), 0, "gantryd ends in order amid a copy")
client.close()
done()
