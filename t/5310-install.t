#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts into a folder works from there, without the tree; and what the systemd unit
relies on: READY, WATCHDOG and STOPPING, an orderly end on SIGTERM."""
import filecmp
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

PREFIX = "/opt/gantry"
SCRIPTS = os.path.join(ROOT, "scripts")
world = World({"10-limits.lua": 'return { resources = function(req, res) return { memory = "64MiB" } end }\n'})
destination = os.path.join(world.folder, "root")
installed = destination + PREFIX


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, cwd=world.folder, timeout=LIMIT * 3, **options)


# make's own variables would be another make's
env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
made = run("make", "-C", ROOT, "-s", "install-files", f"DESTDIR={destination}", f"PREFIX={PREFIX}", f"SAN={os.environ.get('SAN', '')}", env=env)
if not equal(made.returncode, 0, "make install-files DESTDIR=… PREFIX=…"):
    diag(made.stdout + made.stderr)
equal(sorted(os.listdir(destination)), ["opt"], "nothing is put outside of DESTDIR and PREFIX")
equal(sorted(os.listdir(installed)), ["bin", "include", "lib", "sbin", "share"], "the folders under PREFIX")

# the programs
gantryd, gantry = os.path.join(installed, "sbin/gantryd"), os.path.join(installed, "bin/gantry")
answer = run(gantryd, "--version")
equal(answer.returncode, 0, "the installed gantryd runs")
ok(re.fullmatch(r"gantryd \d+\.\d+\.\d+\S*\n", answer.stdout), "and tells its version")
answer = run(gantry, "help")
equal(answer.returncode, 0, "the installed gantry runs")
has(answer.stdout, "Usage: gantry", "and tells its usage")

# settings, with the installed plugin
answer = run(gantryd, "--config", world.config, "--check-config")
equal((answer.returncode, answer.stdout), (0, f"{world.config}: ok\n"), "settings are checked with the installed plugin")
plugin = os.path.join(installed, "lib/gantry/plugins/docker.so")
os.rename(plugin, plugin + ".away")
answer = run(gantryd, "--config", world.config, "--check-config")
equal(answer.returncode, 1, "without that plugin they are refused")
has(answer.stderr, os.path.dirname(plugin), "and the error names where it was looked for")
os.rename(plugin + ".away", plugin)
first = os.path.join(world.folder, "first.lua")
answer = run(gantryd, "--config", first, "--init")
equal(answer.returncode, 0, "gantryd --init writes settings")
with open(first) as file:
    has(file.read(), 'store = "/var/lib/gantry/gantry.db"', "with the paths that the unit makes folders for")

# Nova's driver as a package
made = run("make", "-C", ROOT, "-s", "deb", f"D={world.folder}/deb", f"SAN={os.environ.get('SAN', '')}", env=env)
if not equal(made.returncode, 0, "make deb"):
    diag(made.stdout + made.stderr)
version = run(gantryd, "--version").stdout.split()[1]
equal(run("dpkg-deb", "-x", os.path.join(BUILD, f"gantry-nova_{version}_all.deb"), "unpacked").returncode, 0, "a package with gantryd's version")
packages = os.path.join(world.folder, "unpacked/usr/lib/python3/dist-packages")
source = os.path.join(ROOT, "contrib/nova")
equal(sorted(os.listdir(f"{packages}/gantry_nova")), sorted(name for name in os.listdir(f"{source}/gantry_nova") if name.endswith(".py")),
      "all of the driver is in it")
ok(filecmp.cmp(f"{packages}/nova/virt/gantry/__init__.py", f"{source}/nova/virt/gantry/__init__.py", False), "and what Nova loads")
equal(os.listdir(f"{packages}/nova/virt"), ["gantry"], "nothing of Nova's own")

# the rest
source = 'const struct gantry_plugin gantry_plugin = {.abi_major = GANTRY_ABI_MAJOR, .size = sizeof(gantry_plugin), .name = "x"};\n'
answer = run("gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-fPIC", "-shared", "-o", "x.so",
             f"-I{installed}/include", "-x", "c", "-", input="#include <gantry/plugin.h>\n" + source)
if not equal(answer.returncode, 0, "a plugin is built with the installed headers alone"):
    diag(answer.stderr)
scripts = [os.path.relpath(os.path.join(path, name), SCRIPTS) for path, _, names in os.walk(SCRIPTS) for name in names]
share = os.path.join(installed, "share/gantry")
_, different, missing = filecmp.cmpfiles(SCRIPTS, share, scripts, shallow=False)
ok(any(name.startswith("policies/") for name in scripts), "there are policies to ship")
equal(different + missing, [], "every script is in share/gantry, the same")
answer = run(gantryd, "--check-policies", os.path.join(share, "policies"))
equal(answer.returncode, 0, "the installed policies are good")

for page in ("man1/gantry.1", "man8/gantryd.8", "man5/gantry.lua.5"):
    with open(os.path.join(share, "../man", page)) as file:
        has(file.read(), ".SH \"DESCRIPTION\"", f"the manual page {page} is installed")
for path, part in (("bash-completion/completions/gantry", "complete -F"), ("zsh/site-functions/_gantry", "#compdef gantry"),
                   ("fish/vendor_completions.d/gantry.fish", "complete -c gantry")):
    with open(os.path.join(share, "..", path)) as file:
        has(file.read(), part, f"the completion {path} is installed")

with open(os.path.join(installed, "lib/systemd/system/gantryd.service")) as file:
    unit = dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))
equal(unit["ExecStart"].split()[0], f"{PREFIX}/sbin/gantryd", "the unit starts the installed gantryd")
equal((unit["Type"], unit["RuntimeDirectory"], unit["StateDirectory"]), ("notify", "gantry", "gantry"), "waits for READY, makes the folders")
with open(os.path.join(share, "systemd/net.conf")) as file:
    has(file.read(), "CAP_NET_ADMIN", "what the plugin net needs more is installed too")


# sd_notify
class Notified:
    """A gantryd whose notifications are read."""

    def __init__(self, address, **env):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(address.replace("@", "\0", 1))
        self.listener.settimeout(LIMIT)
        self.seen = []
        wrap = ["valgrind", "-q", "--error-exitcode=98", "--leak-check=full", "--errors-for-leak-kinds=definite",
                f"--suppressions={ROOT}/t/valgrind.supp"] if os.environ.get("VG") else []
        with open(world.log, "ab") as log:
            world.daemon = subprocess.Popen([*wrap, gantryd, "--config", world.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "NOTIFY_SOCKET": address, **env})

    def wait(self, text):
        try:
            while text not in self.seen:
                self.seen.append(self.listener.recv(4096).decode())
        except socket.timeout:
            diag(open(world.log).read()[-2000:])
            return False
        return True

    def end(self):
        """Its exit status; what it said to the last is in seen."""
        world.daemon.send_signal(signal.SIGTERM)
        stopping = self.wait("STOPPING=1")
        status = world.daemon.wait(LIMIT)
        self.listener.setblocking(False)
        try:
            while True:
                self.seen.append(self.listener.recv(4096).decode())
        except BlockingIOError:
            self.listener.close()
        return stopping, status


notified = Notified(os.path.join(world.folder, "notify"), WATCHDOG_USEC="200000")
ok(notified.wait("READY=1"), "READY=1 is sent")
equal(world.get("/v1/version").status, 200, "and the API answers at that moment")
for _ in range(3):
    notified.seen.clear()
    ok(notified.wait("WATCHDOG=1"), "WATCHDOG=1 comes again and again where WATCHDOG_USEC is set")
equal(notified.end(), (True, 0), "on SIGTERM: STOPPING=1, then exit status 0")
equal(notified.seen.count("STOPPING=1"), 1, "STOPPING=1 is sent once")

notified = Notified(f"@gantry-t.{os.getpid()}", WATCHDOG_USEC="200000", WATCHDOG_PID="1")
ok(notified.wait("READY=1"), "READY=1 reaches a socket in the abstract name space")
equal(notified.end(), (True, 0), "and it ends in order")
equal(notified.seen, ["READY=1", "STOPPING=1"], "a watchdog that is meant for another process is not answered")
done()
