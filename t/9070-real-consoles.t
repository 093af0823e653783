#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""attach, exec and run -i of the command on a real Docker Engine: every byte both ways, exit codes, a terminal and its
size, the log joined to what is live, recordings, the serial port, followers that stand still, and nothing left at the
engine. GANTRY_TEST_MIB: how much goes through a pipe; GANTRY_TEST_CONSOLES: how many are opened and dropped."""
import hashlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from console import OUTPUT, Console
from docker import *
from daemon import *
from terminal import GANTRY, Terminal

docker = Docker()
PORT = free_port()
world = docker.world(settings=f'serial_ports = "{PORT}-{PORT}"', policies={"10-recorded.lua": """return {
	name = "recorded",
	admit = function(req)
		if req.verb == "exec" or req.verb == "attach" then
			return true, { record = req.instance.labels.recorded ~= nil }
		end
	end,
}
"""}).start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}
PIECE = os.urandom(1 << 20)
COUNT = int(os.environ.get("GANTRY_TEST_MIB") or (10 if os.environ.get("SAN") or os.environ.get("VG") else 50))  # MiB through a pipe
CONSOLES = int(os.environ.get("GANTRY_TEST_CONSOLES") or 80)
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
equal(gantry("exec", "-u", "1234", P + "c", "id", "-u").stdout, b"1234\n", "and the user")
result = gantry("exec", P + "c", "/no/such")
ok(result.returncode != 0 and b"/no/such" in result.stderr + result.stdout, "exec of what is not there", result.returncode, result.stderr)
result = gantry("run", "-i", "--rm", IMAGE, "sh", "-c", "exit 4")
equal(result.returncode, 4, "run -i of what ends at once: its exit code")
ends = gantry("run", "-i", "--rm", IMAGE, "sh", "-c", "read line; echo got $line", data=b"one\ntwo\n")
equal((ends.returncode, ends.stdout), (0, b"got one\n"), "run -i of what does not read all")

# --- signals -----------------------------------------------------------------------------------------
attached = subprocess.Popen([GANTRY, "run", "-i", "--name", P + "trap", IMAGE, "sh", "-c", "trap 'echo usr1' USR1; trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.1; done"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
told = [attached.stdout.readline()]
for number in (signal.SIGUSR1, signal.SIGINT):
    attached.send_signal(number)
    told.append(attached.stdout.readline())
equal((told, attached.wait(LIMIT)), ([b"ready\n", b"usr1\n", b"int\n"], 5), "signals of the command are the process's")
attached.stdin.close(), attached.stdout.close()

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
result = gantry("exec", "-it", P + "t", "sh", "-c", "echo out; exit 4")
equal((result.returncode, result.stdout), (4, b"out\r\n"), "exec -it with no input at all loses no output")
result = gantry("exec", "-it", P + "t", "cat", data=b"one\ntwo")
equal((result.returncode, result.stdout.count(b"two")), (0, 2), "the end of a piped input is typed at the terminal, within a line too")
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

# --- many that come and go -----------------------------------------------------------------------------
def processes():
    return len(world.get(f"/v1/instances/{P}c/top").json["rows"])


def exec_path(name, *command, **how):
    return world.post(f"/v1/instances/{P}{name}/exec", {"command": command, **how}).json["path"]


until(lambda: processes() == 1, "what was dropped before to be gone")
before = world.descriptors()
for number in range(CONSOLES):
    console = Console(world, exec_path("c", "cat", stdin_open=True))
    if number % 2:
        console.put(b"x" * 100)
    console.leave()
until(lambda: processes() == 1, "their processes to be gone")
until(lambda: world.descriptors() <= before + 64, "their descriptors to be gone")  # so many connections to the engine are kept at most
ok(True, f"{CONSOLES} consoles that were dropped leave no process and no descriptor")

# --- the log, joined to what is live ---------------------------------------------------------------------
gantry("run", "-d", "-i", "--name", P + "lines", IMAGE, "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); done & read end; kill $!; wait; echo over")
until(lambda: len(world.log_lines(P + "lines", tail=100)) == 100, "it to print")
for tail in (1, 20000):
    console = Console(world, f"/v1/instances/{P}lines/attach?role=observer&tail={tail}")
    console.read_until(lambda: console.got[OUTPUT].count(b"\n") > tail + 10000 and any(one["type"] == "cursor" for one in console.control))
    console.leave()
    found = [int(line.split()[1]) for line in bytes(console.got[OUTPUT]).split(b"\n")[1:-1]]
    joined = [one for one in console.control if one["type"] == "cursor"]
    lost = [one for one in console.control if one["type"] == "gap"]
    jumps = [(one, two) for one, two in zip(found, found[1:]) if two != one + 1]
    ok(len(joined) == 1 and (not jumps or lost and all(two > one for one, two in jumps)),
       f"attach after {tail} lines: {len(found)} lines, none twice, none lost but what is told", jumps[:5], lost[:5])
result = gantry("attach", "--tail", "10", P + "lines", data=b"end\n")
lines = result.stdout.splitlines()
ok(result.returncode == 0 and lines[-1] == b"over" and len(lines) >= 10, "gantry attach --tail, up to the end of the process", result.returncode, lines[-3:])

# --- recordings ------------------------------------------------------------------------------------------
gantry("run", "-d", "--name", P + "r", "--label", "recorded=1", IMAGE, "sleep", "1000")
result = gantry("exec", P + "r", "sh", "-c", "head -c 300000 /dev/urandom; echo oops >&2")
has(result.stderr.decode(), "this session is recorded", "an exec is recorded")
recording = until(lambda: [one for one in world.get("/v1/recordings").json["recordings"] if one["name"] == P + "r"], "the recording")[0]


def played():
    events = [json.loads(line) for line in gantry("recordings", recording["id"]).stdout.splitlines()[1:]]
    return b"".join(text.encode("utf-8", "surrogateescape") for _, kind, text in events if kind == "o")


until(lambda: len(played()) == 300005, "it to be written")
equal(played().replace(b"oops\n", b""), result.stdout, "it replays byte for byte")

# --- the serial port -------------------------------------------------------------------------------------
gantry("run", "-d", "-i", "-t", "--name", P + "s", IMAGE, "sh")
result = gantry("serial", P + "s")
equal(result.stdout.decode(), f"127.0.0.1 {PORT}\n", "a serial port")
serial = socket.create_connection(("127.0.0.1", PORT), LIMIT)
serial.settimeout(LIMIT)
seen = b""


def shows(text):
    global seen
    while text not in seen:
        data = serial.recv(65536)
        assert data, seen
        seen += data
    return True


serial.sendall(b"echo $((6 * 7)); tty\n")
ok(shows(b"42\r\n/dev/pts/0"), "a shell answers there, on a terminal")
gantry("restart", "-t", "0", P + "s")
ok(shows(b" runs]"), "the connection outlives a restart of the instance")
serial.sendall(b"echo again $((2 * 4))\n")
ok(shows(b"again 8"), "and is at the new process")
serial.close()

# --- producers at full speed -----------------------------------------------------------------------------
LINE = "0123456789abcdefghijklmnopqrstuvwxyz" * 10
SIZE = len(LINE + "\n") * 60000
name = P + "full"
gantry("run", "-d", "-i", "--name", name, "--log-size", "100m", IMAGE, "sh", "-c", f"read go; yes {LINE} | head -c {SIZE}; read end")
stalled = world.stream(f"/v1/instances/{name}/logs?follow=true")
still = Console(world, f"/v1/instances/{name}/attach?role=observer")
driver = Console(world, f"/v1/instances/{name}/attach")
equal((still.role(), driver.role()), ("observer", "driver"), "a driver, one who looks on and a follower of the log, both of which read nothing")
memory = world.rss_kib()
driver.put(b"go\n")
ok(driver.read_until(lambda: len(driver.got[OUTPUT]) == SIZE), f"a process that writes {SIZE >> 20} MiB at full speed is waited for by its driver alone")
memory_below(world.rss_kib() - memory, 60000, "and costs no memory")
count, text = 0, None
while count < 60000:
    one = stalled.json()
    assert one, "the follower's stream has ended"
    if "gap" in one:
        count += one["gap"]["lines"]
    else:
        count, text = count + 1, one["text"]
equal((count, text), (60000, LINE), "the follower that stood still then has each line, or is told how many it lost")
stalled.close()
driver.put(b"end\n")
still.rest()
lost = sum(one["bytes"] for one in still.control if one["type"] == "gap")
equal((len(still.got[OUTPUT]) + lost, still.closed[0]), (SIZE, 1000), f"and who looked on has lost {lost} bytes, which it is told")
driver.rest()

# --- what it uses ----------------------------------------------------------------------------------------
process = subprocess.Popen([GANTRY, "--json", "stats", "--follow", P + "c"], stdout=subprocess.PIPE, env=environment)
readings = [json.loads(process.stdout.readline()) for _ in range(2)]
ok(readings[0]["at"] < readings[1]["at"] and all(one["name"] == P + "c" and one["memory_bytes"] > 0 for one in readings), "stats --follow: readings that go on", readings)
gantry("kill", P + "c")
rest = process.stdout.read()
equal(process.wait(LIMIT), 0, "until the process ends")
process.stdout.close()

for name in ("cat", "c", "trap", "t", "lines", "r", "s", "full"):
    gantry("rm", "--force", P + name)
equal(docker.run("ps", "-aq", "--filter", f"label=gantry.owner={world.owner}").stdout.strip(), "", "nothing is left")
equal(world.stop(), 0, "gantryd ends in order")
done()
