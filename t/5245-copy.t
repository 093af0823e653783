#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gantry cp against a server that plays gantryd: tars that want out of the place they are unpacked to, answers that break
off, what is sent and with which owners, signals, progress."""
import io
import os
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *

fake = Fake()
gantry = Command(fake.host)
HERE = os.path.join(fake.folder, "here")
OUTSIDE = os.path.join(fake.folder, "outside")
os.makedirs(HERE), os.makedirs(OUTSIDE)
ARCHIVE = "/v1/instances/web/archive"


def entry(name, data=b"", kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size, info.uid = kind, link, mode, len(data), 7
    return info, data


def tar(*entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def served(data, path, end=Handler.end):
    def answer(handler, _):
        handler.stream("application/x-tar", X_Gantry_Path=json.dumps(path))
        for at in range(0, len(data), 1000):
            handler.chunk(data[at:at + 1000])
        end(handler)
    return answer


def unpack(*entries, kind="folder", target="in", end=Handler.end, form=tarfile.PAX_FORMAT, cut=None, options=()):
    """What cp answers, and what is here and outside then."""
    shutil.rmtree(HERE), shutil.rmtree(OUTSIDE)
    os.makedirs(os.path.join(HERE, "in")), os.makedirs(OUTSIDE)
    with open(os.path.join(OUTSIDE, "mine"), "w") as file:
        file.write("mine")
    fake.answers["GET", ARCHIVE] = served(tar(*entries, form=form)[:cut], {"name": "x", "type": kind}, end)
    result = gantry("cp", *options, "web:/x", target, cwd=HERE)
    outside = {name: open(os.path.join(OUTSIDE, name)).read() for name in os.listdir(OUTSIDE)}
    above = set(os.listdir(fake.folder)) - {"s", "here", "outside"}
    found = sorted(os.path.relpath(os.path.join(root, name), HERE) for root, folders, files in os.walk(HERE) for name in folders + files)
    return result, found, outside == {"mine": "mine"} and not above


FOLDER = entry("x", kind=tarfile.DIRTYPE, mode=0o755)
UP = "../" * 12
hostile = {
    "a name with ..": (FOLDER, entry("x/../../escaped", b"no")),
    ".. in front": (FOLDER, entry("../escaped", b"no")),
    "a first name with ..": (entry("../x", kind=tarfile.DIRTYPE), entry("../../outside/escaped", b"no")),
    "an absolute name": (FOLDER, entry(OUTSIDE + "/escaped", b"no")),
    "a name that only begins like the first": (FOLDER, entry("xy/escaped", b"no")),
    "a file through a link": (FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link=OUTSIDE), entry("x/l/escaped", b"no")),
    "a file through a link up": (FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link="../../../outside"), entry("x/l/escaped", b"no")),
    "a folder through a link": (FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link=OUTSIDE), entry("x/l/deep", kind=tarfile.DIRTYPE)),
    "a link through a link": (FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link=OUTSIDE), entry("x/l/m", kind=tarfile.SYMTYPE, link="/etc")),
    "through two links": (FOLDER, entry("x/a", kind=tarfile.SYMTYPE, link="."), entry("x/a/b", kind=tarfile.SYMTYPE, link="../.."), entry("x/a/b/outside/escaped", b"no")),
    "a hard link to the outside": (FOLDER, entry("x/h", kind=tarfile.LNKTYPE, link=OUTSIDE + "/mine"), entry("x/h", b"no")),
    "a hard link up": (FOLDER, entry("x/h", kind=tarfile.LNKTYPE, link="x/../../../outside/mine"), entry("x/h", b"no")),
    "a hard link through a link": (FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link=OUTSIDE), entry("x/h", kind=tarfile.LNKTYPE, link="x/l/mine"), entry("x/h", b"no")),
    "a first entry that is a link": (entry("x", kind=tarfile.SYMTYPE, link=OUTSIDE), entry("x/escaped", b"no")),
}
for name, entries in hostile.items():
    result, _, safe = unpack(*entries)
    ok(safe and result.status == 1 and result.err, f"{name}: refused, and said", result, safe)
result, found, safe = unpack(FOLDER, entry("x/l", kind=tarfile.SYMTYPE, link=OUTSIDE + "/mine"), entry("x/l", b"mine now"))
ok(safe and result.status == 0, "a file in place of a link takes its place, not its target's", result)
os.symlink(OUTSIDE, os.path.join(HERE, "there"))
fake.answers["GET", ARCHIVE] = served(tar(FOLDER, entry("x/a", b"a")), {"name": "x", "type": "folder"})
result = gantry("cp", "web:/x", "there", cwd=HERE)
ok(result.status == 0 and os.path.exists(OUTSIDE + "/x/a"), "a link of ours that is named is followed", result)
result, found, safe = unpack(FOLDER, entry("x/d", kind=tarfile.CHRTYPE), entry("x/b", kind=tarfile.BLKTYPE), entry("x/a", b"a"))
equal((result.status, found), (1, ["in", "in/x", "in/x/a"]), "devices are left out, and the rest is copied")
has(result.err, "left out", "which is said")
result, found, safe = unpack(FOLDER, entry("x/su", b"", mode=0o6755))
equal(os.stat(os.path.join(HERE, "in/x/su")).st_mode & 0o7777, 0o755, "no bits that make it run as somebody else")
result, found, safe = unpack(FOLDER, entry("x/su", b"", mode=0o4755), options=["-a"])
equal((os.stat(os.path.join(HERE, "in/x/su")).st_uid, os.stat(os.path.join(HERE, "in/x/su")).st_mode & 0o7777), (7, 0o4755), "but where owners are kept")

# answers that break off
WHOLE = (FOLDER, entry("x/a", b"a" * 3000), entry("x/b", b"b" * 3000))
for name, end, cut in (("amid a file", Handler.cut, 6000), ("at an entry's end", Handler.cut, 4096), ("amid the first head", Handler.cut, 100),
                       ("by a gantryd that ends it well", Handler.end, 6000)):
    result, found, safe = unpack(*WHOLE, end=end, cut=cut, form=tarfile.USTAR_FORMAT)
    ok(result.status in (1, 6) and result.err and not [f for f in found if "gantry" in f or f == "in/x/b"], f"a tar that is cut {name} leaves whole files only", result, found)
result, found, safe = unpack()
equal((result.status, found), (1, ["in"]), "an empty one is none")
fake.answers["GET", ARCHIVE] = (404, problem(404, "there is no /x in the container"))
result = gantry("cp", "web:/x", "in", cwd=HERE)
equal((result.status, result.err.count("there is no /x")), (3, 1), "a problem is told as such")
fake.answers["GET", ARCHIVE] = (403, problem(403, "no copies", decision=7))
has(gantry("cp", "web:/x", "in", cwd=HERE).err, "policy explain 7", "and a policy's with its decision")

# in
sent = {}


def take(handler, request):
    sent["path"] = request.query
    sent["tar"] = {m.name: m for m in tarfile.open(fileobj=io.BytesIO(request.body)).getmembers()}
    handler.send_response(204)
    handler.end_headers()


def look(found):
    """HEAD: of each path what is there."""
    def answer(handler, request):
        path = request.query.split("path=")[1].replace("%2F", "/")
        handler.send_response(200 if path in found else 404)
        if path in found:
            handler.send_header("X-Gantry-Path", json.dumps({"name": "x", "type": found[path]}))
        handler.end_headers()
    return answer


shutil.rmtree(HERE)
os.makedirs(os.path.join(HERE, "tree/sub"))
for name in ("one", "tree/a", "tree/sub/b"):
    with open(os.path.join(HERE, name), "w") as file:
        file.write(name)
    os.chown(os.path.join(HERE, name), 55, 66)
os.symlink("/nowhere", os.path.join(HERE, "tree/l"))
fake.answers["HEAD", ARCHIVE] = look({"/d": "folder", "/l": "link", "/l/.": "folder", "/f": "file", "/dangling": "link"})
fake.answers["PUT", ARCHIVE] = take
for words, folder, names in (
        (["one", "web:/d"], "%2Fd", {"one"}), (["one", "web:/d/new"], "%2Fd", {"new"}), (["one", "web:/l"], "%2Fl", {"one"}),
        (["one", "web:/new/"], "%2Fnew", {"one"}),
        (["one", "web:/f"], "%2F", {"f"}), (["one", "web:f"], "%2F", {"f"}), (["tree", "web:/d/"], "%2Fd", {"tree", "tree/a", "tree/sub", "tree/sub/b", "tree/l"}),
        (["tree/.", "web:/d"], "%2Fd", {"a", "sub", "sub/b", "l"}), (["tree/", "web:/n"], "%2F", {"n", "n/a", "n/sub", "n/sub/b", "n/l"}),
        (["tree/l", "web:/d"], "%2Fd", {"l"}), (["one", "web:/dangling"], "%2F", {"dangling"})):
    result = gantry("cp", *words, cwd=HERE)
    equal((result.status, sent.get("path"), set(sent.get("tar", ()))), (0, "path=" + folder, names), f"cp {' '.join(words)}")
    sent.clear()
gantry("cp", "one", "web:/d", cwd=HERE)
equal((sent["tar"]["one"].uid, sent["tar"]["one"].gid, sent["tar"]["one"].uname), (0, 0, ""), "owners are root")
gantry("cp", "--archive", "one", "web:/d", cwd=HERE)
equal((sent["tar"]["one"].uid, sent["tar"]["one"].gid), (55, 66), "but with --archive")
equal(json.loads(gantry("--json", "cp", "tree", "web:/d", cwd=HERE).out), {"files": 2, "folders": 2, "links": 1, "bytes": 16, "left_out": 0}, "--json counts")
result = gantry("cp", "-", "web:/d", stdin=tar(entry("z", b"z")))
equal((result.status, set(sent["tar"])), (0, {"z"}), "a tar on standard input goes as it is")


def refuse(handler, request):
    """Amid what is sent."""
    handler.answer(507, problem(507, "no space left on device"))
    handler.close_connection = True


with open(os.path.join(HERE, "big"), "wb") as file:
    file.write(os.urandom(3 << 20))
fake.answers["PUT", ARCHIVE] = refuse
result = gantry("cp", "big", "web:/d", cwd=HERE)
equal((result.status, "no space left" in result.err), (1, True), "a refusal is told")
for words, status in ((["one", "two"], 2), (["web:/a", "web:/b"], 2), (["none", "web:/d"], 2), (["one"], 2), (["tree", "web:/f"], 2)):
    equal(gantry("cp", *words, cwd=HERE).status, status, f"cp {' '.join(words)}: a wrong command line")

# progress, for a person
fake.answers["GET", ARCHIVE] = lambda handler, request: (
    handler.stream("application/x-tar", X_Gantry_Path=json.dumps({"name": "x", "type": "file", "size_bytes": 4 << 20})),
    [(handler.chunk(piece), time.sleep(0.15)) for piece in [tar(entry("x", bytes(4 << 20)))[at:at + (1 << 20)] for at in range(0, 5 << 20, 1 << 20)] if piece],
    handler.end())[:0] or None
result = gantry.on_terminal("cp", "web:/x", os.path.join(HERE, "seen"))
ok(result.status == 0 and "copying" in result.err and "of 4MiB" in result.err, "how far it is", result)
fake.__exit__()
finish()
