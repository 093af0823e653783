#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Serial ports: the console as plain bytes on a TCP port; who may come, who drives, restarts of both ends, limits."""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command as Gantry
from daemon import *


def free_range(count):
    """Ports that are free now, in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            pass


class Serial:
    def __init__(self, where, source="127.0.0.1", takes=None):
        self.sock = socket.socket()
        if takes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
        self.sock.settimeout(LIMIT)
        self.sock.bind((source, 0))
        self.sock.connect((where["host"], where["port"]))
        self.name = "%s:%d" % self.sock.getsockname()
        self.got = b""

    def put(self, data):
        self.sock.sendall(data)
        return self

    def more(self, limit=LIMIT):
        self.sock.settimeout(limit)
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.got += data
        return data

    def until(self, text):
        """Reads until text has come."""
        text = text if isinstance(text, bytes) else text.encode()
        while text not in self.got:
            if not self.more():
                return False
        return True

    def rest(self):
        while self.more():
            pass
        return self.got.decode(errors="replace")

    def leave(self):
        self.sock.close()


FIRST = free_range(4)
SETTINGS = f'serial_ports = "{FIRST}-{FIRST + 3}"\n'
world = World(settings=SETTINGS, policies={"10-who.lua": """return {
	name = "who",
	admit = function(req)
		if req.verb == "attach" and req.via == "serial" and req.instance.labels.serial == "no" then
			return false, "no serial port for this one"
		end
		return req.via == "serial" or req.verb ~= "attach" or req.via == "api", "how did one come?"
	end,
}
""", "20-recorded.lua": """return {
	name = "recorded",
	admit = function(req)
		if req.verb == "attach" then return true, { record = req.instance.labels.recorded ~= nil } end
	end,
}
"""}).start()


def serial(name="cat"):
    answer = world.post(f"/v1/instances/{name}/serial")
    assert answer.status == 200, answer
    return answer.json


for name, labels in (("cat", {}), ("other", {}), ("private", {"serial": "no"})):
    equal(world.spawn(name=name, command=["cat"], stdin_open=True, tty=True, labels=labels).status, 201, f"{name} runs")

# --- the port ----------------------------------------------------------------------------------------
where = serial()
ok(where["host"] == "127.0.0.1" and FIRST <= where["port"] <= FIRST + 3, f"a port of the range: {where}")
equal(where["peers"], 0, "nobody is there")
ok(where["until"] > world.instance("cat")["created_at"], "it has an end")
equal(world.instance("cat")["serial"]["port"], where["port"], "show has it")
again = serial()
equal(again["port"], where["port"], "asked again it is the same")
ok(again["until"] >= where["until"], "and its time begins anew")
ok(serial("other")["port"] != where["port"], "another instance has another")
answer = world.post("/v1/instances/private/serial")
equal(answer.status, 403, "a policy refuses it")
has(answer.json["detail"], "no serial port for this one", "which was asked for attach by way of serial")
equal(world.post("/v1/instances/nobody/serial").status, 404, "no such instance")
equal(world.delete("/v1/instances/private/serial").status, 404, "none to close")

# --- bytes -------------------------------------------------------------------------------------------
first = Serial(where)
data = bytes(range(256)) * 500
first.put(data)
ok(first.until(data), "what is sent comes back as it was, with nothing around it")
equal(first.got, data, "all 128000 bytes")
until(lambda: world.instance("cat")["serial"]["peers"] == 1, "the peer to be counted")
ok("until" not in world.instance("cat")["serial"], "the port has no end while somebody is there")
second = Serial(where)
ok(second.until(f"[gantry: serial {first.name} drives; you look on]"), "a second one is told that it looks on")
second.put(b"unheard")
first.put(b"<heard>")
ok(second.until(b"<heard>"), "and sees what the driver does")
ok(b"unheard" not in second.got, "its own input is not taken")
first.leave()
ok(second.until("[gantry: you drive now]"), "when the driver leaves it drives")
second.put(b"<mine>")
ok(second.until(b"<mine>"), "and its input is taken")
third = Serial(where)
ok(third.until(b"<mine>"), "who comes sees what was written last")

# --- recorded ------------------------------------------------------------------------------------------
equal(world.spawn(name="taped", command=["cat"], stdin_open=True, labels={"recorded": "1"}).status, 201, "one whose sessions are recorded")
TOLD = "\r\n[gantry: this session is recorded]\r\n"
taped = Serial(serial("taped"))
ok(taped.until(TOLD), "who comes is told so at once")
taped.put(b"<seen>")
ok(taped.until(b"<seen>"), "and sits there")
equal(taped.got, TOLD.encode() + b"<seen>", "once, in a line of its own")
onlooker = Serial(serial("taped"))
ok(onlooker.until("drives; you look on]") and onlooker.until(TOLD), "so is who looks on")
recordings = os.path.join(world.folder, "recordings")
until(lambda: len(os.listdir(recordings)) == 2, "both recordings to be there")
os.rename(recordings, recordings + ".gone")
with open(recordings, "w"):
    pass  # a folder that cannot be made
late = Serial(serial("taped"))
ok(late.until("[gantry: this session is not recorded any more: Not a directory]"), "and who is not, after all, is told why")
os.unlink(recordings)
os.rename(recordings + ".gone", recordings)
equal(world.post(f"/v1/instances/taped/restart?wait={LIMIT}").status, 200, "the instance is restarted")
ok(late.until(TOLD), "the next session of the same peer is another recording, which is told")
ok(b"is recorded" not in first.got + second.got + third.got, "nobody else was told so")
equal(world.delete("/v1/instances/taped/serial").status, 200, "its port is closed")
has(taped.rest(), "[gantry: the port is closed]", "to the end of it")

# --- the process goes and comes ------------------------------------------------------------------------
equal(world.post(f"/v1/instances/cat/restart?wait={LIMIT}").status, 200, "the instance is restarted")
ok(second.until("has ended; waiting for it]") and third.until("has ended; waiting for it]"), "each is told of the end")
ok(second.until("[gantry: cat runs]"), "and that it runs again")
ok(second.until("[gantry: cat runs]") and third.until("[gantry: cat runs]"), "both")
second.put(b"<boot 2>")
ok(second.until(b"<boot 2>") and third.until(b"<boot 2>"), "the same connections are at the new process")
equal(serial()["port"], where["port"], "by the same port")
equal(world.post(f"/v1/instances/cat/stop?wait={LIMIT}").status, 200, "it is stopped")
late = Serial(serial())
ok(late.until("cat is stopped: it has no process; waiting for it]"), "who comes then is told so")
equal(world.post(f"/v1/instances/cat/start?wait={LIMIT}").status, 200, "it is started")
ok(late.until("[gantry: cat runs]"), "and is there when it runs")
for one in (third, late):
    one.leave()

# --- gantryd goes and comes ----------------------------------------------------------------------------
world.kill()
equal(second.rest().count("gantryd stops"), 0, "a gantryd that is killed says nothing")
world.start()
equal(world.instance("cat")["serial"]["port"], where["port"], "after a kill -9 the port is the same")
second = Serial(where)
second.put(b"<after the kill>")
ok(second.until(b"<after the kill>"), "and leads to the process")
equal(world.stop(), 0, "gantryd is stopped")
has(second.rest(), "[gantry: gantryd stops; the process goes on]", "the peer is told why")
blocker = socket.create_server(("127.0.0.1", where["port"]))
world.start()
ok("serial" not in world.instance("cat"), "a port that somebody else has by then is given up")
with open(world.log) as log:
    has(log.read(), f"the serial port {where['port']} of cat is closed: address already in use", "and the log says so")
new = serial()
ok(new["port"] != where["port"], "the next one is another")
blocker.close()

# --- ends ----------------------------------------------------------------------------------------------
peer = Serial(new)
peer.put(b"<there>")
ok(peer.until(b"<there>"), "somebody is there")
equal(world.delete("/v1/instances/cat/serial").status, 200, "the port is closed")
has(peer.rest(), "[gantry: the port is closed]", "which is told")
ok("serial" not in world.instance("cat"), "it is gone")
try:
    Serial(new)
    ok(False, "nobody listens there")
except ConnectionRefusedError:
    ok(True, "nobody listens there")
other = world.instance("other")["serial"]
peer = Serial(other)
peer.put(b"x")
ok(peer.until(b"x"), "somebody is at the other")
equal(world.delete(f"/v1/instances/other?force=true&wait={LIMIT}").status, 200, "that instance is removed")
has(peer.rest(), "[gantry: the instance was removed]", "which is told")
ports = {}
for number in range(4):
    world.spawn(name=f"many{number}", command=["cat"], stdin_open=True)
    ports[number] = serial(f"many{number}")["port"]
equal(sorted(ports.values()), list(range(FIRST, FIRST + 4)), "each has its own until the range is used up")
answer = world.post("/v1/instances/cat/serial")
equal(answer.status, 503, "then there is none")
has(answer.json["detail"], f"no port of serial_ports {FIRST}-{FIRST + 3} is free", "which is said")

# --- a driver that never reads, or a process that never does ---------------------------------------------
world.spawn(name="deaf", command=["deaf"], stdin_open=True)
world.delete("/v1/instances/many0/serial")
deaf = Serial(serial("deaf"))
deaf.sock.settimeout(1)
sent = 0
try:
    while sent < 64 << 20:
        sent += deaf.sock.send(b"x" * 65536)
except TimeoutError:
    pass
ok(0 < sent < 64 << 20, f"a process that does not read holds up who types (after {sent >> 10} KiB)")
next_one = Serial(serial("deaf"))
ok(next_one.until("drives; you look on]"), "another looks on")
deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
deaf.leave()
ok(next_one.until("[gantry: you drive now]"), "and once that one has vanished the next one drives")
next_one.leave()

# --- peers that take nothing -------------------------------------------------------------------------------
port = free_port()
hasty = World(settings=f'serial_ports = "{port}-{port}"\nserial_stall = "2s"\n').start()
hasty.spawn(name="cat", command=["cat"], stdin_open=True)
where = hasty.post("/v1/instances/cat/serial").json
quiet = Serial(where)
quiet.put(b"<quiet>")
ok(quiet.until(b"<quiet>"), "one is there")
quiet.leave()
until(lambda: hasty.instance("cat")["serial"]["peers"] == 0, "it to leave")
stalled = Serial(where, takes=4096)
watching = Serial(where)
ok(watching.until(f"[gantry: serial {stalled.name} drives; you look on]"), "a driver, and one that looks on")


def type_much():
    try:
        for _ in range(160):  # the kernel alone holds some 3 MiB
            stalled.put(os.urandom(65536))
    except OSError:  # it was let go
        pass


typing = threading.Thread(target=type_much)
typing.start()  # beside, so that the other one reads all the time
ok(watching.until("[gantry: you drive now]"), "a driver that takes nothing for serial_stall is let go, and the next one drives")
watching.put(b"<it goes on>")
ok(watching.until(b"<it goes on>"), "the process goes on")
with open(hasty.log) as log:
    has(log.read(), f"serial {stalled.name} is let go from the serial port of cat: it took nothing for 2 s", "which the log says")
typing.join()
stalled.rest()
ok(len(stalled.got) < 160 * 65536, "its connection is at an end")
until(lambda: hasty.instance("cat")["serial"]["peers"] == 1, "only one to be counted")
idle_since = time.monotonic()
until(lambda: time.monotonic() > idle_since + 2.3, "more than that time in which nothing is written to pass")
watching.put(b"<still here>")
ok(watching.until(b"<still here>"), "one that had nothing to take stays")
equal(hasty.stop(), 0, "the orderly end")

# --- the command ---------------------------------------------------------------------------------------
gantry = Gantry(f"unix://{world.socket}")
result = gantry("serial", "deaf")
equal((result.status, result.out), (0, f"127.0.0.1 {serial('deaf')['port']}\n"), "gantry serial prints where it is")
has(gantry("show", "deaf").out, f"serial         127.0.0.1 {serial('deaf')['port']}, 0 connected, until ", "gantry show shows it")
equal(gantry("serial", "--close", "deaf").status, 0, "gantry serial --close closes it")
equal(gantry("serial", "--close", "deaf").status, 3, "once")
equal(world.stop(), 0, "the orderly end")

# --- who may connect, and idle ---------------------------------------------------------------------------
strict = World(settings=SETTINGS + 'serial_allow = { "127.0.0.2", "127.1.0.0/16" }\nserial_idle = "1s"\n').start()
strict.spawn(name="cat", command=["cat"], stdin_open=True)
world = strict
where = serial()
stranger = Serial(where)
equal(stranger.rest(), "", "one who is not allowed is turned away without a word")
friend = Serial(where, "127.1.2.3")
friend.put(b"hello")
ok(friend.until(b"hello"), "one of an allowed range is let in")
until(lambda: strict.instance("cat")["serial"]["peers"] == 1, "only that one is counted")
since = time.monotonic()
until(lambda: time.monotonic() > since + 1.5, "more than serial_idle to pass")
friend.put(b"<still mine>")
ok(friend.until(b"<still mine>"), "a port in use stays, also where nothing is said for longer than serial_idle")
friend.leave()
until(lambda: "serial" not in strict.instance("cat"), "nobody there: the port to be closed")
ok(True, "unused for serial_idle it is closed")
strict.kill()
strict.start()
ok("serial" not in strict.instance("cat"), "and stays so")
equal(strict.stop(), 0, "the orderly end")
done()
