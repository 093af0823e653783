#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cp of the command on a real Docker Engine: in and out, by the rules of cp -a; owners, holes, long names; what refuses,
what is cut, and how little memory gantryd takes for it."""
import hashlib
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
from terminal import GANTRY

docker = Docker()
world = docker.world().start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}
HERE = os.path.join(world.folder, "here")
SLOW = bool(os.environ.get("SAN") or os.environ.get("VG"))
MIB = 30 if SLOW else 200
WEB = f"cp-{os.getpid()}"


def gantry(*words, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([GANTRY, *words], capture_output=True, env=environment, timeout=LIMIT * 6, cwd=HERE, **options)


def cp(*words):
    result = gantry("cp", *words)
    if result.stderr:
        diag(result.stderr.decode().strip())
    return result.returncode


def sh(script):
    """In the container's files: an exec of the engine takes its time."""
    return subprocess.run(["chroot", root, "sh", "-c", script], capture_output=True, text=True).stdout.strip()


def local(name, text=None, mode=None):
    path = os.path.join(HERE, name)
    if text is None:
        with open(path, "rb") as file:
            return file.read()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text)
    if mode:
        os.chmod(path, mode)
    return path


def peak_kb():
    return memory_kib(world.daemon.pid, "VmHWM")


os.makedirs(HERE)
gantry("run", "-d", "--name", WEB, IMAGE, "sleep", "1000")
W = WEB + ":"
root = f"/proc/{docker.inspect(WEB)['State']['Pid']}/root"

# --- the rules of cp ---------------------------------------------------------------------------------
local("one", b"one\n", 0o640)
local("tree/a", b"a")
local("tree/deep/" + "n" * 120 + "/" + "m" * 120, b"long")
local("tree/näme ☃", b"utf")
os.symlink("a", os.path.join(HERE, "tree/link"))
os.link(os.path.join(HERE, "tree/a"), os.path.join(HERE, "tree/hard"))
os.chown(os.path.join(HERE, "one"), 1234, 4321)
sh("mkdir /d /e; ln -s /d /l; echo old >/f")
equal(cp("one", W + "/d"), 0, "a file into a folder")
equal(sh("stat -c '%u:%g %a' /d/one; cat /d/one"), "0:0 640\none", "it has its name, its mode, and is root's")
equal((cp("-a", "one", W + "/d/two"), sh("stat -c '%u:%g' /d/two")), (0, "1234:4321"), "a file under a name; --archive keeps the owner")
equal((cp("one", W + "f"), sh("cat /f")), (0, "one"), "a file in place of another; a path without a slash is from the root")
equal((cp("one", W + "/l"), sh("test -L /l; cat /l/one")), (0, "one"), "a link that leads to a folder is one")
equal((cp("tree", W + "/d"), sh("cat /d/tree/a /d/tree/link; ls /d/tree | wc -l")), (0, "aa5"), "a folder into a folder")
equal(sh("cat /d/tree/deep/*/*; cat '/d/tree/näme ☃'; test /d/tree/a -ef /d/tree/hard && echo same"), "longutfsame", "long names, other letters, hard links")
equal((cp("tree", W + "/new"), sh("cat /new/a")), (0, "a"), "a folder under a new name")
equal((cp("tree/.", W + "/e"), sh("cat /e/a; ls -d /e/tree 2>&1 | grep -c 'No such'")), (0, "a1"), "what is in a folder")
equal(cp("one", W + "/none/there"), 3, "a folder that is not there is not made")
equal(cp("one", W + "/none/"), 3, "nor one that a slash asks for")
equal(cp("tree", W + "/f"), 2, "a folder is not put over a file")
equal(cp("nothing", W + "/d"), 2, "what is not here")
equal(cp("one", "nobody:/d"), 3, "no such instance")
equal(cp("one", "two"), 2, "neither is an instance's")
equal(cp(W + "/f", W + "/g"), 2, "both are")

os.makedirs(os.path.join(HERE, "out"))
equal((cp(W + "/d/one", "out"), local("out/one"), os.stat(os.path.join(HERE, "out/one")).st_mode & 0o777), (0, b"one\n", 0o640), "out: a file into a folder")
equal((cp(W + "/d/two", "named"), os.stat(os.path.join(HERE, "named")).st_uid), (0, 0), "under a name; it is ours")
equal((cp("-a", W + "/d/two", "named"), os.stat(os.path.join(HERE, "named")).st_uid), (0, 1234), "in place of it; --archive keeps the owner")
equal((cp(W + "/d/tree", "out"), local("out/tree/" + "deep/" + "n" * 120 + "/" + "m" * 120)), (0, b"long"), "a folder into a folder")
ok(os.path.samefile(os.path.join(HERE, "out/tree/a"), os.path.join(HERE, "out/tree/hard")), "hard links stay")
equal((os.readlink(os.path.join(HERE, "out/tree/link")), local("out/tree/näme ☃")), ("a", b"utf"), "links and other letters too")
equal((cp(W + "/d/tree", "fresh"), local("fresh/a")), (0, b"a"), "a folder under a new name")
os.makedirs(os.path.join(HERE, "contents"))
equal((cp(W + "/d/tree/.", "contents"), local("contents/a")), (0, b"a"), "what is in a folder")
equal((cp(W + "/l", "alink"), os.readlink(os.path.join(HERE, "alink"))), (0, "/d"), "a link is a link")
equal(cp(W + "/none", "out"), 3, "what is not there")
equal(cp(W + "/d", "one"), 2, "a folder is not put over a file")
equal(cp(W + "/d/one", "nowhere/x"), 1, "a folder that is not here is not made")
os.makedirs(os.path.join(HERE, "root"))
sh("mknod /d/node b 8 0; chmod 666 /d/node; chmod 4755 /d/one")
equal((cp(W + "/", "root"), local("root/f")), (1, b"one\n"), "all of an instance, but for its devices")
ok(not os.path.lexists(os.path.join(HERE, "root/d/node")), "of which there is none")
equal(os.stat(os.path.join(HERE, "root/d/one")).st_mode & 0o7777, 0o755, "nor a program that runs as root because it is ours now")
for left in ("root", "contents"):
    shutil.rmtree(os.path.join(HERE, left))

# --- tars --------------------------------------------------------------------------------------------
result = gantry("cp", W + "/d/tree", "-")
listed = subprocess.run(["tar", "-t"], input=result.stdout, capture_output=True).stdout
ok(b"tree/a\n" in listed and result.returncode == 0, "a tar on standard output", listed)
packed = subprocess.run(["tar", "-c", "--owner=7:7", "-C", HERE, "one"], capture_output=True).stdout
result = gantry("cp", "-", W + "/e", stdin=None, input=packed)
equal((result.returncode, sh("stat -c %u /e/one")), (0, "7"), "a tar on standard input, with its own owners")
result = gantry("cp", "-", W + "/e", stdin=None, input=b"no tar at all" * 1000)
ok(result.returncode != 0 and result.stderr, "what is no tar", result)
ok(world.daemon.poll() is None, "which harms nobody")

# --- large, with holes -------------------------------------------------------------------------------
big = os.path.join(HERE, "big")
digest = hashlib.sha256()
with open(big, "wb") as file:
    piece = os.urandom(1 << 20)
    for number in range(MIB):
        digest.update(number.to_bytes(4, "big") + piece[4:])
        file.write(number.to_bytes(4, "big") + piece[4:])
before = peak_kb()
equal(cp("big", W + "/big"), 0, f"{MIB} MiB in")
equal(sh("sha256sum </big").split()[0], digest.hexdigest(), "byte for byte")
equal(cp(W + "/big", "back"), 0, "and out")
equal(hashlib.sha256(local("back")).hexdigest(), digest.hexdigest(), "byte for byte")
ok(SLOW or peak_kb() - before < 8 << 10, f"for which gantryd takes {peak_kb() - before} KiB of memory")
with open(os.path.join(HERE, "holes"), "wb") as file:
    file.write(b"start")
    file.seek(60 << 20)
    file.write(b"end")
    file.truncate(100 << 20)
equal((cp("holes", W + "/holes"), sh("stat -c %s /holes; dd if=/holes bs=1M skip=60 count=1 2>/dev/null | head -c 3; head -c 5 /holes")), (0, f"{100 << 20}\nendstart"), "holes in")
equal(cp(W + "/holes", "holes2"), 0, "and out")
there = os.stat(os.path.join(HERE, "holes2"))
ok(there.st_size == 100 << 20 and there.st_blocks * 512 < 4 << 20, f"are holes again: {there.st_blocks * 512} bytes on the disk")
equal(subprocess.run(["cmp", "holes", "holes2"], cwd=HERE).returncode, 0, "in the same place")

# --- cut ---------------------------------------------------------------------------------------------
def has_read(process):
    """It is amid the 200 MiB."""
    with open(f"/proc/{process.pid}/io") as file:
        return max(int(line.split()[1]) for line in file.readlines()[:2]) > 8 << 20


def interrupted(*words):
    # libarchive 3.6 does not free its buffer where a write has failed
    quiet = {**environment, "ASAN_OPTIONS": "detect_leaks=0"}
    process = subprocess.Popen([GANTRY, "cp", *words], stderr=subprocess.PIPE, text=True, env=quiet, cwd=HERE, stdin=subprocess.DEVNULL)
    until(lambda: has_read(process), "the copy to be under way")
    process.send_signal(signal.SIGINT)
    return process.wait(LIMIT), process.stderr.read()


os.makedirs(os.path.join(HERE, "cut"))
code, words = interrupted(W + "/big", "cut")
equal((code, os.listdir(os.path.join(HERE, "cut"))), (130, []), "ctrl-c on the way out leaves no part of a file")
has(words, "interrupted", "and says so")
code, words = interrupted("big", W + "/part")
equal(code, 130, "ctrl-c on the way in")
has(words, "perhaps cut", "says that the last file may be cut")
docker("stop", "-t", "0", WEB)
until(lambda: world.state(WEB) == "stopped", "it to be stopped")
equal((cp(W + "/f", "stopped"), local("stopped")), (0, b"one\n"), "from one that is stopped")
equal(cp("one", W + "/after"), 0, "and to one")
gantry("run", "-d", "--name", WEB + "ro", "--read-only", IMAGE, "sleep", "1000")
result = gantry("cp", "big", WEB + "ro:/big")
ok(result.returncode not in (0, 6) and b"read-only" in result.stderr, "a read-only one: the engine's word, amid the tar", result)
gantry("rm", "--force", WEB, WEB + "ro")
equal(world.stop(), 0, "gantryd ends in order")
done()
