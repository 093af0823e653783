#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""attach, exec and run -i of the command on a real Docker Engine: every byte both ways, exit codes, a terminal and its
size, and nothing left at the engine. GANTRY_TEST_MIB: how much goes through a pipe."""
import hashlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
from terminal import GANTRY, Terminal

docker = Docker()
world = docker.world().start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}
PIECE = os.urandom(1 << 20)
COUNT = int(os.environ.get("GANTRY_TEST_MIB") or (10 if os.environ.get("SAN") or os.environ.get("VG") else 100))  # MiB through a pipe
P = f"con-{os.getpid()}-"


def gantry(*words, data=b""):
    return subprocess.run([GANTRY, *words], input=data, capture_output=True, env=environment, timeout=LIMIT * 6)


def piped(*words):
    """The SHA-256 of what comes back from COUNT pieces is that of what was sent, and the exit status."""
    sent, came = hashlib.sha256(), hashlib.sha256()
    process = subprocess.Popen([GANTRY, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    if os.fork() == 0:
        process.stdout.close()
        for number in range(COUNT):
            process.stdin.write(number.to_bytes(4, "big") + PIECE)
        process.stdin.close()
        os._exit(0)
    process.stdin.close()
    for number in range(COUNT):
        sent.update(number.to_bytes(4, "big") + PIECE)
    while data := process.stdout.read(1 << 16):
        came.update(data)
    process.stdout.close()
    os.wait()
    return came.hexdigest() == sent.hexdigest(), process.wait(LIMIT)


# --- pipes -------------------------------------------------------------------------------------------
equal(piped("run", "-i", "--rm", IMAGE, "cat"), (True, 0), f"run -i: {COUNT} MiB through cat, byte by byte")
gantry("run", "-d", "-i", "--name", P + "cat", IMAGE, "cat")
equal(piped("attach", P + "cat"), (True, 0), f"attach: {COUNT} MiB, and its end is the process's")
until(lambda: docker.inspect(P + "cat")["State"]["Status"] == "exited", "cat to end")
equal(docker.inspect(P + "cat")["State"]["ExitCode"], 0, "which the engine says as well")
gantry("run", "-d", "--name", P + "c", IMAGE, "sleep", "1000")
equal(piped("exec", "-i", P + "c", "cat"), (True, 0), f"exec -i: {COUNT} MiB")
result = gantry("exec", P + "c", "sh", "-c", "echo out; echo err >&2; exit 3")
equal((result.returncode, result.stdout, result.stderr), (3, b"out\n", b"err\n"), "exec: two streams and an exit code")
result = gantry("exec", "-e", "A=x y", "-w", "/tmp", P + "c", "sh", "-c", 'echo "$A"; pwd; id -u')
equal(result.stdout, b"x y\n/tmp\n0\n", "environment and folder arrive")
result = gantry("exec", P + "c", "/no/such")
ok(result.returncode != 0 and b"/no/such" in result.stderr + result.stdout, "exec of what is not there", result.returncode, result.stderr)
result = gantry("run", "-i", "--rm", IMAGE, "sh", "-c", "exit 4")
equal(result.returncode, 4, "run -i of what ends at once: its exit code")
ends = gantry("run", "-i", "--rm", IMAGE, "sh", "-c", "read line; echo got $line", data=b"one\ntwo\n")
equal((ends.returncode, ends.stdout), (0, b"got one\n"), "run -i of what does not read all")

# --- a terminal --------------------------------------------------------------------------------------
terminal = Terminal(environment, "run", "-it", "--name", P + "t", IMAGE, "sh")
until(terminal.is_raw, "a raw terminal")
terminal.type(b"stty size; tty\n")
terminal.shows(b"40 100")
ok(True, "the terminal in the container has the size of ours")
terminal.shows(b"/dev/pts/")
ok(docker.inspect(P + "t")["Config"]["Tty"], "and is one to the engine")
terminal.resize(50, 120)
terminal.type(b"clear; stty size\n")
terminal.shows(b"50 120")
ok(True, "a resize arrives")
terminal.type(b"\x10\x11")
equal(terminal.end(), (0, True), "ctrl-p ctrl-q detaches, and the terminal is as it was")
equal(docker.inspect(P + "t")["State"]["Running"], True, "the process runs on")
terminal = Terminal(environment, "exec", "-it", P + "t", "sh")
until(terminal.is_raw, "a raw terminal")
terminal.type(b"exit 7\n")
equal(terminal.end(), (7, True), "exec -it: the exit code of the shell")
terminal = Terminal(environment, "attach", P + "t")
until(terminal.is_raw, "a raw terminal")
terminal.type(b"exit 9\n")
equal(terminal.end(), (9, True), "attach: the exit code of the process")

# --- a peer that vanishes ----------------------------------------------------------------------------
before = docker.inspect(P + "c")["ExecIDs"] or []
process = subprocess.Popen([GANTRY, "exec", "-i", P + "c", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
process.stdin.write(b"x")
process.stdin.flush()
equal(process.stdout.read(1), b"x", "an exec is under way")
process.send_signal(signal.SIGKILL)
process.wait()
process.stdin.close(), process.stdout.close()
until(lambda: (docker.inspect(P + "c")["ExecIDs"] or []) == before, "the engine to be rid of it")
ok(True, "who vanishes leaves no process in the container")
for name in ("cat", "c", "t"):
    gantry("rm", "--force", P + name)
equal(docker.run("ps", "-aq", "--filter", f"label=gantry.owner={world.owner}").stdout.strip(), "", "nothing is left")
equal(world.stop(), 0, "gantryd ends in order")
done()
