#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""attach, exec and run -i of the command, on a daemon with a fake engine: bytes, ends, signals, a terminal, detach keys."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from terminal import GANTRY, Terminal

DATA = os.urandom(3_000_000 if os.environ.get("VG") else 20_000_000)

world = World().start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}


def gantry(*words, data=b""):
    return subprocess.run([GANTRY, *words], input=data, capture_output=True, env=environment, timeout=LIMIT * 4)


def at_terminal(*words):
    return Terminal(environment, *words)


# --- pipes -------------------------------------------------------------------------------------------
result = gantry("run", "-i", "--name", "a", "x", "cat", data=DATA)
ok(result.stdout == DATA and result.returncode == 0 and result.stderr == b"", f"run -i is a pipe ({result.returncode}, {result.stderr[:200]!r})")
result = gantry("run", "-i", "--rm", "x", "exit", "4")
equal((result.returncode, result.stdout), (4, b""), "run -i of what ends at once: its exit code")
equal(gantry("run", "-i", "x", "echo", "early").stdout, b"early\n", "what it wrote is there")
gantry("run", "-d", "-i", "--name", "b", "x", "cat")
result = gantry("attach", "b", data=DATA)
ok(result.stdout == DATA and result.returncode == 0, "attach is one, and its end is the process's")
result = gantry("attach", "b")
equal(result.returncode, 5, "to what has ended nobody comes")
has(result.stderr.decode(), "b is stopped", "which is said")
equal(gantry("attach", "nobody").returncode, 3, "nor to what there is not")
gantry("run", "-d", "--name", "c", "x", "sleep", "1000")
result = gantry("exec", "c", "echo", "-n")
equal((result.returncode, result.stdout), (0, b"-n\n"), "exec: options behind the command are its own")
equal(gantry("exec", "c", "warn", "oops").stderr, b"oops\n", "standard error is told apart")
equal(gantry("exec", "c", "exit", "3").returncode, 3, "the exit code is that of what ran")
result = gantry("exec", "-i", "c", "cat", data=DATA)
ok(result.stdout == DATA, "exec -i is a pipe")
equal(gantry("exec", "-e", "A=1", "-e", "B=x y", "-u", "joe", "-w", "/tmp", "c", "show").stdout, b'joe /tmp [ "A=1", "B=x y" ]', "user, folder and environment arrive")
equal(gantry("exec", "--secret", "A=s3cret", "c", "show").stdout, b'- - [ "A=s3cret" ]', "a secret does too")
equal(gantry("exec", "c").returncode, 2, "exec of nothing is a wrong command line")
equal(gantry("attach", "--detach-keys", "ctrl-", "c").returncode, 2, "keys that are none")
has(gantry("exec", "--detach-keys", "ctrl-", "c", "cat").stderr.decode(), "exec: --detach-keys", "are told as the command's own")

before = world.engine.state()["calls"]["POST /containers/ID/attach"]
gantry("run", "-d", "-i", "--name", "silent", "x", "cat")
attached = subprocess.Popen([GANTRY, "attach", "--no-input", "silent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
attached.stdin.write(b"not sent")
attached.stdin.close()
until(lambda: world.engine.state()["calls"]["POST /containers/ID/attach"] > before, "the attach")
equal(world.state("silent"), "running", "--no-input: the end of our input is not the process's")
gantry("kill", "silent")
equal((attached.wait(LIMIT), attached.stdout.read()), (137, b""), "and nothing of it was sent")
attached.stdout.close()

# --- signals -----------------------------------------------------------------------------------------
for name, number in (("c", signal.SIGTERM), ("d", signal.SIGQUIT), ("e", signal.SIGINT)):
    gantry("run", "-d", "--name", name, "x", "sleep", "1000")
    before = world.engine.state()["calls"]["POST /containers/ID/attach"]
    attached = subprocess.Popen([GANTRY, "attach", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)
    until(lambda: world.engine.state()["calls"]["POST /containers/ID/attach"] > before, "the attach")
    attached.send_signal(number)
    equal(attached.wait(LIMIT), 128 + number, f"{number.name} is passed on as what it is, and the process's end is ours")
    attached.stdout.close()

# --- a terminal --------------------------------------------------------------------------------------
terminal = at_terminal("run", "-it", "--name", "t", "x", "cat")
until(terminal.is_raw, "a raw terminal")
terminal.type(b"one\x10two\x03")
terminal.shows(b"one\x10two\x03")
ok(True, "what is typed arrives, ctrl-c and half of the keys that detach as well")
terminal.type(b"\x10\x11")
equal(terminal.end(), (0, True), "ctrl-p ctrl-q detaches, and the terminal is as it was")
equal(world.state("t"), "running", "the process runs on")
terminal = at_terminal("attach", "t")
terminal.shows(b"one\x10two\x03")
ok(True, "who comes back sees what was there")
look = at_terminal("attach", "--observe", "t")
look.shows(b"one\x10two\x03")
look.type(b"not sent")
terminal.type(b"three")
look.shows(b"three")
ok(b"not sent" not in look.seen, "an observer's keys are not sent")
look.type(b"\x10\x11")
equal(look.end(), (0, True), "but those that detach are heard")
second = at_terminal("attach", "t")
second.shows(b"drives; --take takes over")
second.type(b"nobody's")
third = at_terminal("attach", "--take", "t")
third.shows(b"three")
terminal.shows(b"drives; --take takes over")
third.type(b"taken")
for each in (third, second, terminal):
    each.shows(b"taken")
ok(b"nobody's" not in third.seen, "a second one looks on; --take takes over, and who drove is told")
third.type(b"\x10\x11")
equal(third.end(), (0, True), "who took over leaves")
second.type(b"\x10\x11")
equal(second.end(), (0, True), "and who looked on")
terminal.type(b"\x10\x11")
equal(terminal.end(), (0, True), "and who drove before")
terminal = at_terminal("attach", "t")
terminal.shows(b"taken")
terminal.process.send_signal(signal.SIGTERM)
equal(terminal.end(), (128 + 15, True), "a signal ends it, and the terminal is as it was")
terminal = at_terminal("attach", "--detach-keys", "ctrl-x,y", "t")
terminal.shows(b"taken")
terminal.type(b"\x10\x11\x18-")
terminal.shows(b"\x10\x11\x18-")
terminal.type(b"\x18y")
equal(terminal.end(), (0, True), "other keys that detach, in place of those")
terminal = at_terminal("exec", "-it", "t", "size")
terminal.shows(b"40 100")
equal(terminal.end(), (0, True), "the size of the terminal is told")
terminal = at_terminal("attach", "t")
until(terminal.is_raw, "a raw terminal")
equal(world.stop(), 0, "gantryd stops")
terminal.shows(b"gantryd stops")
equal(terminal.end(), (6, True), "which is said, and the terminal is as it was")
done()
