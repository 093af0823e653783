#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines forwarded to receivers of each kind: what arrives, by which settings, over kills of gantryd and of the receivers, and
past receivers that are away or never read."""
import base64
import json
import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import LogFiles
from receiver import Receiver

folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
receivers = {
    "unix": Receiver(folder, "unix", "syslog", f"unix://{folder}/dev-log"),
    "udp": Receiver(folder, "udp", "syslog", f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"),
    "tcp": Receiver(folder, "tcp", "syslog", f"tcp://127.0.0.1:{free_port()}"),
    "journal": Receiver(folder, "journal", "journald", f"unix://{folder}/journal"),
    "fluent": Receiver(folder, "fluent", "fluent", f"tcp://127.0.0.1:{free_port()}"),
}
KINDS = {"unix": "syslog", "udp": "syslog", "tcp": "syslog", "journal": "journald", "fluent": "fluent"}
for receiver in receivers.values():
    atexit.register(receiver.kill)
stuck = Receiver(folder, "stuck", "stuck", f"tcp://127.0.0.1:{free_port()}")
atexit.register(stuck.kill)
sinks = "".join(f'    {{ kind = "{KINDS[name]}", name = "{name}", to = "{receiver.address}", queue = "128KiB" }},\n' for name, receiver in receivers.items())
FILE = f"{folder}/all.log"
world = World(settings=f"""logs = {{
  sinks = {{
{sinks}    {{ kind = "file", to = "{FILE}", size = "64KiB", files = 3 }},
    {{ kind = "file", name = "some", to = "{folder}/some.log", format = "text", project = "blue", labels = {{ tier = "web" }} }},
    {{ kind = "fluent", name = "stuck", to = "{stuck.address}", timeout = "2s", queue = "64KiB" }},
  }},
}}""")
world.start()
for receiver in receivers.values():
    receiver.start()
stuck.start()


def begin(name, labels=None, project=None, **options):
    """A running instance and the writer of its log."""
    place = os.path.join(world.folder, name)
    files = LogFiles(place, "local", **options)
    spec = {"project": project} if project else {}
    spawned = world.spawn(name=name, labels={"fake.log": place, **(labels or {})}, log={"driver": "local", "files": files.files}, **spec)
    equal(spawned.status, 201, f"{name} runs")
    return files


def sink(name):
    return next(entry for entry in world.get("/v1/logs/sinks").json["sinks"] if entry["name"] == name)


def arrived(name, count, instance):
    """Waits for so many different lines of an instance; all that came of it."""
    receiver = receivers[name]

    def enough():
        found = [line for line in receiver.lines() if line[0] == instance]
        return found if len({cursor for _, cursor, _ in found}) >= count else None
    return until(enough, f"{count} lines of {instance} at {name}")


def once(found):
    """In the order of their first coming."""
    return list(dict.fromkeys((cursor, json.dumps(text)) for _, cursor, text in found))


def written(path=FILE):
    """What a file sink has written, the oldest first."""
    found = []
    for name in (f"{path}.2", f"{path}.1", path):
        if os.path.exists(name):
            with open(name) as file:
                found += [json.loads(line) for line in file]
    return found


# what arrives
files = begin("one", labels={"tier": "web"})
LONG, BYTES = "é" * 20000, b"a\xffb\0c"
files.line("hello")
files.line("quote \" and ] and \\", "stderr")
files.line(BYTES)
files.line("")
files.line(LONG)
files.line("x" * 400_000)
files.line("last")
id = world.instance("one")["id"]
for name in ("unix", "udp", "tcp"):
    until(lambda: [line for line in receivers[name].lines() if line[2] == "last"], f"the last line at {name}")
    found = [message for message in receivers[name].messages() if message.get("app") == "one"]
    equal([message for message in receivers[name].messages() if "bad" in message], [], f"{name}: each message has the form of RFC 5424")
    first = found[0]
    equal((first["priority"], first["procid"], first["msgid"], first["text"], first["host"]), ("30", "1", "stdout", "hello", socket.gethostname()), f"{name}: a line")
    equal(first["data"], {"instance": id, "project": "default", "node": "local", "cursor": "1.1"}, f"{name}: whose it is")
    ok(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first["time"]), f"{name}: when it was printed")
    equal((found[1]["priority"], found[1]["msgid"], found[1]["text"]), ("27", "stderr", 'quote " and ] and \\'), f"{name}: stderr is an error")
    equal(base64.b64decode(found[2]["text"]["base64"]), BYTES, f"{name}: bytes as they were")
    equal(found[3]["text"], "", f"{name}: a line without anything")
    parts = [message for message in found if message["data"]["cursor"] == "1.5"]
    equal(("".join(part["text"] for part in parts), [part["data"]["part"] for part in parts]),
          (LONG, [str(number) for number in range(1, len(parts) + 1)]), f"{name}: a long line comes in parts, never cut amid a character")
    ok(max(message["length"] for message in found) <= 8000 and len(parts) > 4, f"{name}: none is longer than receivers take")
found = arrived("journal", 7, "one")
equal([text for _, _, text in found], ["hello", 'quote " and ] and \\', {"base64": base64.b64encode(BYTES).decode()}, "", LONG, "x" * 400_000, "last"],
      "journal: all lines")
entry = receivers["journal"].messages()
equal({k: entry[1][k] for k in ("PRIORITY", "SYSLOG_IDENTIFIER", "CONTAINER_NAME", "GANTRY_INSTANCE", "GANTRY_PROJECT", "GANTRY_STREAM", "GANTRY_CURSOR", "IMAGE_NAME")},
      {"PRIORITY": "3", "SYSLOG_IDENTIFIER": "one", "CONTAINER_NAME": "one", "GANTRY_INSTANCE": id, "GANTRY_PROJECT": "default", "GANTRY_STREAM": "stderr", "GANTRY_CURSOR": "1.2", "IMAGE_NAME": "busybox"},
      "journal: fields")
equal([message.get("by_file", False) for message in entry], [False] * 5 + [True, False], "journal: what is too large for a datagram comes as a file in memory")
arrived("fluent", 7, "one")
messages = receivers["fluent"].messages()
equal({message["tag"] for message in messages}, {"gantry.default.one"}, "fluent: the tag")
time_ns, record = messages[0]["entries"][0]
equal((record["log"], record["source"], record["instance"], record["cursor"], record["container_id"]),
      ("hello", "stdout", id, "1.1", world.instance("one")["container_id"]), "fluent: a record")
ok(abs(time_ns - time.time_ns()) < 600 * 10**9, "fluent: its time, with nanoseconds")
equal([text for _, _, text in receivers["fluent"].lines()][2:4], [{"base64": base64.b64encode(BYTES).decode()}, ""], "fluent: bytes as they were")
ok(all(message["option"]["size"] == len(message["entries"]) and message["option"]["chunk"] for message in messages), "fluent: each message is to be acknowledged")
until(lambda: len(written()) == 7, "the file")
lines = written()
equal([line.get("text") for line in lines if line["name"] == "one"][:2], ["hello", 'quote " and ] and \\'], "file: lines")
equal(base64.b64decode(lines[2]["data"]), BYTES, "file: bytes as base64")
equal((lines[0]["instance"], lines[0]["cursor"], lines[0]["stream"], lines[0]["project"]), (id, "1.1", "stdout", "default"), "file: whose it is")
ok(os.path.exists(f"{FILE}.1") and os.path.getsize(FILE) < 65536, "file: it was rotated at its size")

# which instances
ok(not os.path.exists(f"{folder}/some.log"), "of another project nothing is forwarded")
for name, labels, project in (("blue1", {"tier": "web"}, "blue"), ("blue2", {"tier": "db"}, "blue")):
    begin(name, labels, project).line(f"from {name}")
until(lambda: os.path.exists(f"{folder}/some.log") and os.path.getsize(f"{folder}/some.log"), "the line of blue1")
arrived("tcp", 1, "blue2")
with open(f"{folder}/some.log") as file:
    ok(re.fullmatch(r"\S+Z blue/blue1 stdout from blue1\n", file.read()), "only what has the project and the labels, as text")

# who rotates it otherwise
os.rename(FILE, f"{folder}/moved")
files.line("after the move")
until(lambda: os.path.exists(FILE) and any(line.get("text") == "after the move" for line in written()), "the file to be made anew")
ok(True, "file: moved away by somebody else, it is made anew")

# a receiver that never reads has slowed nobody down; it is said
until(lambda: sink("stuck")["failures"] > 0, "the stuck one to be noticed")
state = sink("stuck")
has(state["last_error"], "does not acknowledge", "a receiver that accepts and never reads: what is wrong")
equal(state["sent_lines"], 0, "nothing counts as sent")
doctor = {check["name"]: check for check in world.get("/v1/doctor").json["checks"]}
equal((doctor["log sink stuck"]["status"], doctor["log sink tcp"]["status"]), ("fail", "ok"), "doctor tells them apart")
text = world.get("/v1/metrics").body.decode()
ok('gantry_log_sink_up{sink="stuck"} 0' in text and 'gantry_log_sink_up{sink="tcp"} 1' in text and 'gantry_log_sink_lines_total{sink="journal"} 10' in text, "so do the metrics")

# killed with lines unread that the receiver's system had taken
for name in ("unix", "tcp", "journal"):
    os.kill(receivers[name].process.pid, signal.SIGSTOP)
done_before = {name: sink(name)["sent_lines"] for name in receivers}
files.line("unread 1")
files.line("unread 2")
for name in ("unix", "tcp", "journal"):
    until(lambda: sink(name)["sent_lines"] == done_before[name] + 2 and sink(name)["state"] == "idle", f"{name} to have what it does not read")
    receivers[name].kill()
    receivers[name].start()
files.line("the next")  # only that tells what datagrams do not
for name in ("unix", "tcp", "journal"):
    found = until(lambda: (lines := [text for _, _, text in receivers[name].lines()]) and lines[-1] == "the next" and lines, f"the next line at {name}")
    equal(found[-3:], ["unread 1", "unread 2", "the next"], f"{name}: what a killed receiver had not read is sent again")

# killed in the middle, each of them, while an instance prints
files = begin("busy", size=1 << 30)
COUNT = 1500
FORGETFUL = {"udp"}  # nobody notices what UDP loses
for number in range(COUNT):
    files.line(f"line {number} {'y' * 100}")
    if number == 400:
        arrived("tcp", 200, "busy")
        world.kill()
    elif number == 800:
        world.start()
    elif number == 1200:
        arrived("fluent", 900, "busy")
        for receiver in receivers.values():
            receiver.kill()
    elif number == 1300:
        for receiver in receivers.values():
            receiver.start()
    elif number == 1400:
        world.kill()
        world.start()
expected = [(f"1.{number + 1}", json.dumps(f"line {number} {'y' * 100}")) for number in range(COUNT)]
for name in sorted(receivers.keys() - FORGETFUL):
    found = arrived(name, COUNT, "busy")
    equal(once(found) == expected, True, f"{name}: over kills of both sides each line came, in order ({len(found)} for {COUNT})")
until(lambda: len({line["cursor"] for line in written() if line["name"] == "busy"}) > 100, "the file")
equal(sink("tcp")["state"], "idle", "and nothing waits")
ok(sink("fluent")["queued_lines"] == 0, "nor with acknowledgements")

# an orderly end: nothing comes twice
until(lambda: all(sink(name)["queued_lines"] == 0 for name in [*receivers, "file"]), "nothing to wait")
before = {name: len(receivers[name].lines()) for name in receivers}
equal(world.stop(), 0, "gantryd ends in order")
files.line("while it was away")
world.start()
for name in receivers:
    until(lambda: receivers[name].lines()[-1][2] == "while it was away", f"the line at {name}")
    equal(len(receivers[name].lines()) - before[name], 1, f"{name}: after an orderly restart only what is new")

# away, and the engine drops lines meanwhile: a gap
receivers["fluent"].kill()
files = begin("dropped", size=20_000, files=2)
files.line("seen")
arrived("tcp", 1, "dropped")
for number in range(1500):
    files.line(f"{number} {'z' * 100}")
files.line("the end")
receivers["fluent"].start()
until(lambda: receivers["fluent"].lines()[-1][2] == "the end", "the end of it")
found = [line for line in receivers["fluent"].lines() if line[0] == "dropped"]
ok(found[0][2] == "seen" and any("the engine had dropped" in str(text) for _, _, text in found), "what the engine has dropped is told as a gap", found[:3])

# removed: what was printed is forwarded, and nothing is remembered of it
files = begin("short")
files.line("one")
files.line("two")
world.engine.ask("POST", "/fake/exit", {"id": world.instance("short")["container_id"], "code": 0})
until(lambda: world.state("short") == "stopped", "its end")
equal(world.delete(f"/v1/instances/short?wait={LIMIT}").status, 200, "it is removed")
equal([text for _, _, text in arrived("tcp", 2, "short")], ["one", "two"], "a short life is forwarded whole")

# removed while the receiver is away, with more in its log than the queue holds: the rest is sent from what was kept
def cursor_is_saved(id):
    with sqlite3.connect(world.store) as store:
        return store.execute("SELECT count(*) FROM facts WHERE name = ?", (f"log_sink tcp {id}",)).fetchone()[0] == 1


for killed, seen in ((False, True), (True, True), (True, False)):
    name = f"away-{killed}-{seen}".lower()
    files = begin(name)
    id = world.instance(name)["id"]
    if seen:
        files.line("0")
        arrived("tcp", 1, name)
        until(lambda: cursor_is_saved(id), "how far it has come to be recorded")
    receivers["tcp"].kill()
    if not seen:
        files.line("0")
    for number in range(1, 1000):
        files.line(f"{number} " + "a" * 1000)
    until(lambda: sink("tcp")["state"] == "retrying", "the receiver to be missed")
    equal(world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}").status, 200, "it is removed")
    shutil.rmtree(files.folder)
    if killed:
        world.kill()
        world.start()
    receivers["tcp"].start()
    until(lambda: any(n == name and text.startswith("999 ") for n, _, text in receivers["tcp"].lines()), "the last line", 3 * LIMIT)
    found = list(dict.fromkeys(cursor for n, cursor, _ in receivers["tcp"].lines() if n == name))
    equal(found == [f"1.{number}" for number in range(1, 1001)], True, f"{len(found)} lines of an instance that was removed, in order" +
          (", over a kill of gantryd" if killed else "") + ("" if seen else ", of which nothing was sent before"))
world.stop()
done()
