#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The socket of plugin net, of gantryds that were killed and that live: it is found by name only, and what nobody answers is removed."""
import fcntl
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

if os.geteuid() != 0:
    print("1..0 # SKIP only root may look for what interfaces a life before left", flush=True)
    sys.exit(0)
folder = tempfile.mkdtemp(prefix="gantry-sock.", dir="/tmp")
atexit.register(shutil.rmtree, folder, True)
FOUND, SOCKETS = f"{folder}/found/plugins", f"{folder}/sockets"
SETTINGS = f'plugins = {{ net = {{ plugin_folder = "{FOUND}", socket_folder = "{SOCKETS}" }} }}'


def made(owner):
    return World(settings=SETTINGS, owner=owner)


def there(where):
    return sorted(os.listdir(where))


def dead(path):
    """A socket that nobody answers any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen(1)


def activates(path):
    return ask(path, "POST", "/Plugin.Activate").json


one = made("one").start()
link = f"{FOUND}/gantry-one.sock"
equal(there(FOUND), ["gantry-one.sock"], "engines find the driver by its name")
equal((stat.S_ISLNK(os.lstat(link).st_mode), os.readlink(link)), (True, f"{SOCKETS}/gantry-one.sock"),
      "by a link, which they pass over where they ask all: those are sockets")
equal(activates(link), {"Implements": ["NetworkDriver"]}, "it answers there")

one.kill()
equal(there(FOUND), ["gantry-one.sock"], "one that is killed leaves it")
dead(f"{FOUND}/gantry-old.sock")
dead(f"{FOUND}/somebody.sock")
dead(f"{SOCKETS}/gantry-lost.sock")  # somebody removed the link
os.symlink(f"{folder}/nowhere/gantry-gone.sock", f"{FOUND}/gantry-gone.sock")
lives = socket.socket(socket.AF_UNIX)
lives.bind(f"{FOUND}/gantry-lives.sock")
lives.listen(1)
full = socket.socket(socket.AF_UNIX)  # that lives and is not quick
full.bind(f"{FOUND}/gantry-full.sock")
full.listen(0)
waits = socket.socket(socket.AF_UNIX)
waits.connect(f"{FOUND}/gantry-full.sock")
kept = ["gantry-full.sock", "gantry-lives.sock", "somebody.sock"]
two = made("two").start()
equal(there(FOUND), sorted(["gantry-two.sock", *kept]),
      "the next gantryd, of another owner, removes what nobody answers; neither those that live nor what is not a gantryd's")
equal(there(SOCKETS), ["gantry-two.sock"], "the sockets behind the links too, and those of no link")
one.start()
equal(activates(link), {"Implements": ["NetworkDriver"]}, "the first is back")
equal(activates(f"{FOUND}/gantry-two.sock"), {"Implements": ["NetworkDriver"]}, "the second goes on")
same = made("one")
status, said = same.refuses()
equal(status, 1, "one of the same owner is refused")
has(said, f"another process listens on {SOCKETS}/gantry-one.sock", "with the reason")
equal(activates(link), {"Implements": ["NetworkDriver"]}, "which leaves the first as it is")
two.kill()
equal(one.stop(), 0, "an orderly end")
equal((there(FOUND), there(SOCKETS)), (kept, []), "removes its own, and that of one that was killed")
os.mkdir(link)
status, said = one.refuses()
equal(status, 1, "where something else has the name, it does not start")
has(said, f"plugin net: {link}: File exists", "and says what")
equal(there(SOCKETS), [], "and leaves no socket")
os.rmdir(link)


# --- a lock that somebody has and keeps ----------------------------------------------------------------------
class held:
    """The lock of a folder, as a gantryd that is at its start has it."""

    def __init__(self, folder):
        self.fd = os.open(folder, os.O_RDONLY)
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)


def told(text):
    with open(one.log) as log:
        return log.read().count(text)


for folder in (SOCKETS, FOUND):
    with held(folder):
        one.start()
        equal(one.get("/v1/instances").status, 200, "it starts and answers while another process has the lock of a folder")
        equal(there(FOUND), kept, "makes nothing that it could not sweep for")
        answer = one.spawn(name="w", network_ports=[{"id": "p-1", "bridge": "br0"}])
        equal(answer.status, 503, f"no port is wired before: {answer}")
        has(answer.json["detail"], f"net: {folder} is locked by another process", "which is told")
        equal([i["name"] for i in one.instances()], [], "and leaves nothing")
    until(lambda: os.path.exists(link), "the driver to be served")
    equal(activates(link), {"Implements": ["NetworkDriver"]}, "let go, it serves")
    with held(folder):
        equal(one.stop(), 0, "an orderly end does not wait either")
    equal((there(FOUND), there(SOCKETS)), (kept, []), "and removes what is its own")
equal(told("is locked by another process"), 4, "told once at a start, and with what failed of it")
with held(SOCKETS):
    one.start()
    os.mkdir(link)
    before = told(f"{link}: File exists")
until(lambda: told(f"{link}: File exists") > before, "the reason that came after to be told")
equal(one.get("/v1/instances").status, 200, "it goes on")
os.rmdir(link)
until(lambda: os.path.exists(link) and there(SOCKETS), "the driver to be served")
equal(activates(link), {"Implements": ["NetworkDriver"]}, "and serves once that is gone")
with held(SOCKETS):
    one.stop()
    one.start()
    equal(one.stop(), 0, "it ends also while it tries")
equal((there(FOUND), there(SOCKETS)), (kept, []), "and leaves nothing")
done()
