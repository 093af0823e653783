#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings of consoles, where admit asks for them: asciicast v2 that replays byte for byte, bounded, and no hindrance."""
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from console import CONTROL, ERRORS, INPUT, OUTPUT, RESIZE, Console as ConsoleAt
from daemon import *
from terminal import GANTRY

POLICY = """return {
	name = "recorded",
	admit = function(req)
		local records = { typed = "input", unseen = false, wrong = 1 }
		if req.verb == "attach" or req.verb == "exec" then
			local record = records[req.instance.name]
			if record == nil then record = true end
			return true, { record = record }
		end
		if req.verb == "recording" and req.recording.name == "typed" then
			local of = req.recording
			return req.on_behalf_of == "auditor", table.concat({ req.actor, "reads", of.verb, "of", of.actor, "in", of.project, req.instance and "here" or "gone" }, " ")
		end
		return true, req.instance and req.instance.name == "odd" and { record = true } or nil
	end,
}
"""
world = World(policies={"10-recorded.lua": POLICY}, settings=f'recordings_size = "4MiB"\ntrusted_actors = {{ "uid:{os.getuid()}" }}').start()
Console = functools.partial(ConsoleAt, world)
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}


def run(instance, *command, **how):
    return Console(world.post(f"/v1/instances/{instance}/exec", {"command": command, **how}).json["path"])


def told(console):
    return [one for one in console.control if one["type"] == "recording"]


def listed():
    answer = world.get("/v1/recordings")
    equal(answer.status, 200, "the list")
    return answer.json["recordings"]


def recorded(name):
    """The first recording at that instance, once it is there."""
    return until(lambda: [one for one in world.get("/v1/recordings").json["recordings"] if one["name"] == name], f"a recording at {name}")[0]


AUDITOR = {"X-Gantry-User": "auditor"}


def cast(name, headers=None):
    """The header and the events of a recording."""
    head, *events = [json.loads(line) for line in world.get(f"/v1/recordings/{name}", headers).body.splitlines()]
    return head, events


def played(events, kinds="o"):
    return b"".join(text.encode("utf-8", "surrogateescape") for _, kind, text in events if kind in kinds)


equal(listed(), [], "nothing was recorded yet")
for name in ("cat", "typed", "unseen", "wrong", "odd"):
    equal(world.spawn(name=name, command=["cat"], stdin_open=True).status, 201, f"{name} runs")

# --- byte for byte -----------------------------------------------------------------------------------
console = Console("/v1/instances/cat/attach")
data = bytes(range(256)) * 300 + "größe ☃ 𝄞 \"\\\n\x1b[1m".encode() * 100
for at in range(0, len(data), 777):  # also amid a character
    console.put(data[at:at + 777])
console.put(b"\xe2\x98")  # half a character at the end
ok(console.read_until(lambda: len(console.got[OUTPUT]) == len(data) + 2), "a session")
equal([(one["goes_on"], one.get("why")) for one in told(console)], [(True, None)], "who sits there is told that it is recorded")
console.put({"Width": 132, "Height": 43}, RESIZE)
console.end_input()
console.rest()
one = recorded("cat")
equal((one["id"], one["name"], one["verb"], one["input"], one["actor"]), (told(console)[0]["recording"], "cat", "attach", False, f"uid:{os.getuid()}"), "it is in the list")
until(lambda: played(cast(one["id"])[1]) == bytes(console.got[OUTPUT]), "the recording to be written")
head, events = cast(one["id"])
equal(played(events), bytes(console.got[OUTPUT]), "what was shown comes back byte for byte")
equal((head["version"], head["width"], head["height"], head["title"]), (2, 80, 24, "cat"), "the header of asciicast v2")
ok(abs(head["timestamp"] - time.time()) < 300 * SLOW and isinstance(head["timestamp"], int), "with the time")
ok([at for at, *_ in events] == sorted(at for at, *_ in events) and all(isinstance(at, float) for at, *_ in events), "events have their times, in order")
equal([text for _, kind, text in events if kind == "r"], ["132x43"], "and the sizes of the terminal")
equal({kind for _, kind, _ in events}, {"o", "r"}, "what is typed is not recorded where nobody asked for it")
equal(world.get(f"/v1/decisions/{one['decision']}").json["records"][0]["answer"], {"record": True}, "the decision says that it is")

# --- input, exec, standard error ---------------------------------------------------------------------
console = Console("/v1/instances/typed/attach")
console.put(b"secret\r\xff")
ok(console.read_until(lambda: len(console.got[OUTPUT]) == 8), "typed")
console.leave()
one = recorded("typed")
until(lambda: played(cast(one["id"], AUDITOR)[1], "i") == b"secret\r\xff", "what was typed")
equal((one["input"], played(cast(one["id"], AUDITOR)[1])), (True, b"secret\r\xff"), "is there beside what was shown")
console = Console("/v1/instances/unseen/attach")
console.put(b"x")
console.read_until(lambda: console.got[OUTPUT])
equal(told(console), [], "a policy that answers false records nothing")
console.leave()
answer = Console("/v1/instances/wrong/attach")
equal(answer.status, 403, "an answer that is none refuses")
has(answer.problem["detail"], "record must be true, false or", "and says what it may be")
has(world.post("/v1/instances/odd/pause?wait=10").json["detail"], "only attach and exec can be recorded, not pause", "so does one for another verb")
console = run("cat2" if world.spawn(name="cat2", command=["sleep", "1000"]).status == 201 else "", "warn", "oops").rest()
one = recorded("cat2")
equal((one["verb"], one["command"]), ("exec", "warn oops"), "an exec, with its command")
until(lambda: played(cast(one["id"])[1]) == b"oops\n", "standard error to be in it")
for name in ("nothing", "../gantry.db", "..%2fgantry.db", "20000101T000000Z-1"):
    equal(world.get(f"/v1/recordings/{name}").status, 404, f"there is no recording {name}")

# --- who may read --------------------------------------------------------------------------------------
typed = recorded("typed")
ok(typed["project"] == "default", "the list says of which project it is")
me = f"uid:{os.getuid()}"
answer = world.get(f"/v1/recordings/{typed['id']}")
equal(answer.status, 403, "a policy refuses to show one")
has(answer.json["detail"], f"{me} reads attach of {me} in default here", "having seen who reads what")
until(lambda: world.get(f"/v1/decisions/{answer.json['decision']}").json.get("verb") == "recording", "the decision to be kept")
result = subprocess.run([GANTRY, "recordings", typed["id"]], capture_output=True, env=environment, timeout=LIMIT)
ok(result.returncode != 0 and b"policy recorded refuses" in result.stderr and not result.stdout, "the command says so")
equal(world.get(f"/v1/recordings/{typed['id']}", AUDITOR).status, 200, "another may")
equal(world.delete(f"/v1/instances/typed?force=true&wait={LIMIT}").status, 200, "its instance is removed")
has(world.get(f"/v1/recordings/{typed['id']}").json["detail"], "in default gone", "policies are asked for what is left of it, too")

# --- the command -------------------------------------------------------------------------------------
result = subprocess.run([GANTRY, "recordings"], capture_output=True, env=environment, timeout=LIMIT)
equal(result.returncode, 0, "gantry recordings")
has(result.stdout.decode(), one["id"], "lists them")
result = subprocess.run([GANTRY, "recordings", one["id"]], capture_output=True, env=environment, timeout=LIMIT)
equal(result.stdout, world.get(f"/v1/recordings/{one['id']}").body, "and prints one")
result = subprocess.run([GANTRY, "exec", "cat2", "echo", "a"], capture_output=True, env=environment, timeout=LIMIT)
has(result.stderr.decode(), "this session is recorded", "exec says so")

# --- bounds ------------------------------------------------------------------------------------------
console = run("cat2", "flood", "3000000").rest()
equal(len(console.got[OUTPUT]), 3000000, "a recording that is as long as one may be does not end the session")
equal([(one["goes_on"], one.get("why")) for one in told(console)], [(True, None), (False, "it is as long as one may be")], "which is told")
head, events = cast(told(console)[0]["recording"])
ok(bytes(console.got[OUTPUT]).startswith(played(events)) and played(events), "what is there is whole")
for _ in range(12):
    run("cat2", "flood", "400000").rest()
until(lambda: sum(one["bytes"] for one in listed()) < 5 << 20, "the oldest to go")
ok(len(listed()) < 12, f"all together have a bound ({len(listed())} are left)")
folder = os.path.join(world.folder, "recordings")


def on_disk():
    sizes = []
    for entry in os.scandir(folder):
        try:
            sizes.append(entry.stat().st_size)
        except FileNotFoundError:  # it went meanwhile
            pass
    return sum(sizes)


many, most = [run("cat2", "cat", stdin_open=True) for _ in range(20)], 0
for _ in range(4):
    for console in many:
        console.put(b"x" * 100000)
        most = max(most, on_disk())
for console in many:
    ok(console.read_until(lambda: len(console.got[OUTPUT]) == 400000), "each of many that are recorded at once goes on")
    most = max(most, on_disk())


def reasons():
    """Of those that were stopped, as told up to now: the disk may be behind the output."""
    for console in many:
        size = len(console.got[OUTPUT])
        console.put(b"x")
        console.read_until(lambda: len(console.got[OUTPUT]) > size)
    return [told(console)[-1].get("why") for console in many if not told(console)[-1]["goes_on"]]


stopped = until(reasons, "recordings to be stopped")
equal(set(stopped), {"those under way are together as long as all may be"}, f"recordings of {len(stopped)} do not")
ok(3 << 20 < most <= 4 << 20, f"together they had {most} bytes at the most, the limit is {4 << 20}")
for console in many:
    console.leave()
until(lambda: on_disk() and run("cat2", "echo", "after").rest() and listed()[-1]["command"] == "echo after", "another to be recorded")
found = [path for path, *_ in os.walk(world.folder) if path.endswith("/recordings")]
equal((len(found), os.stat(found[0]).st_mode & 0o777), (1, 0o700), "nobody else reads them")
os.rename(found[0], found[0] + ".gone")
with open(found[0], "w"):
    pass  # a folder that cannot be made
console = run("cat2", "echo", "on it goes").rest()
equal((console.got[OUTPUT], console.told["status"]), (b"on it goes\n", "Success"), "a disk that takes nothing does not end the session")
console = run("cat2", "cat", stdin_open=True)
ok(console.read_until(lambda: told(console) and not told(console)[-1]["goes_on"]), "and is told")
has(told(console)[-1]["why"], "Not a directory", "with the reason")
console.put(b"x")
ok(console.read_until(lambda: console.got[OUTPUT] == b"x"), "which goes on")
equal(world.stop(), 0, "gantryd stops")
done()
