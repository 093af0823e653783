#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs of instances that were removed: the same lines and cursors within their budget, then nothing; over kills of gantryd, a
disk that is full, and log files on another disk."""
import glob
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import LogFiles
from small_disk import SmallDisk

SETTINGS = 'plugins = {{ stdout = {{ kept_bytes = "256KiB" }} }}\nkeep_logs = "{keep}"\nkeep_logs_size = "{size}"\n'
world = World(settings=SETTINGS.format(keep="1h", size="3MiB")).start()
lines = world.log_lines
elsewhere = tempfile.mkdtemp(prefix="gantry-t.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)


def begin(name, driver="json-file", folder=None, **options):
    place = os.path.join(folder or world.folder, name)
    files = LogFiles(place, driver, **options)
    equal(world.spawn(name=name, labels={"fake.log": place}, log={"driver": driver, "files": files.files}).status, 201, f"{name} runs")
    return files


def remove(name, files):
    """Its id. The engine takes its files with it."""
    id = world.instance(name)["id"]
    equal(world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}").status, 200, f"{name} is removed")
    shutil.rmtree(files.folder)
    return id


def folder(id):
    return os.path.join(world.folder, "logs", id)


def path(name, **query):
    return f"/v1/instances/{name}/logs?" + "&".join(f"{key}={value}" for key, value in query.items())


def cursors(found):
    return [(line["cursor"], line.get("text", "GAP")) for line in found]


def status(name, method="GET"):
    return ask(world.socket, method, path(name)).status  # a stream: its lines are held against the contract by lines()


def metric(name):
    return next(int(line.split()[1]) for line in world.get("/v1/metrics").body.decode().splitlines() if line.startswith(name + " "))


# the same lines, by either name, from files of each kind
for name, place, options in (("rotated", None, {"driver": "local", "size": 20_000, "files": 3, "compress": True}),
                             ("plain", None, {"driver": "json-file", "size": 20_000, "files": 3}),
                             ("far", elsewhere, {"driver": "local", "size": 20_000, "files": 3})):
    files = begin(name, folder=place, **options)
    for number in range(100):
        files.line(f"line {number} " + "y" * 400)
    before = lines(name)
    reader = world.stream(path(name, follow="true", after=before[-3]["cursor"]))
    equal(reader.json()["cursor"], before[-2]["cursor"], "a reader is there")
    files.line("no newline", newline=False)
    id = remove(name, files)
    equal(([json.loads(line)["text"] for line in reader.rest()][-1], reader.ended), ("no newline", True), "who follows has it to its end")
    after = lines(name)
    equal(cursors(after)[:len(before)], cursors(before), f"{name}: what was printed is there after the removal, by name")
    equal((after[-1]["text"], after[-1]["no_newline"]), ("no newline", True), "to the last line")
    equal(after[0].get("lossy_source"), before[0].get("lossy_source"), "with what is said of its source")
    equal(lines(id), after, "by id")
    equal(lines(id[:13]), after, "by the beginning of that")
    equal(lines(f"default%2F{name}"), after, "with its project")
    equal(lines(name, after=before[50]["cursor"]), after[51:], "behind a cursor")
    equal(cursors(lines(name, tail=2, grep="line%20")), cursors(before)[-2:], "the last ones with a text")
    stream = world.stream(path(name, follow="true", tail=1))
    equal((json.loads(stream.rest()[0])["text"], stream.ended), ("no newline", True), "following it ends")
    equal(status(name, "HEAD"), 200, "HEAD")
equal(world.get(path("plain", project="other")).status, 404, "not in another project")
equal(world.get("/v1/instances/plain").status, 404, "it is no instance any more")
equal(metric("gantry_kept_logs"), 3, "the metrics count them")
ok(metric("gantry_kept_logs_bytes") > 100_000, "and their bytes")

# one that is there goes first by its name; a whole name before the beginning of another
files = begin("plain", "local")
files.line("the new one")
equal(cursors(lines("plain")), [("1.1", "the new one")], "who has the name now is meant by it")
equal(lines(id)[-1]["text"], "no newline", "the other one by its id")
other = begin("plain-two", "local")
remove("plain", files)
equal(cursors(lines("plain")), [("1.1", "the new one")], "the last one that had the name, not plain-two")
other.line("two")
equal(cursors(lines("plain-t")), [("1.1", "two")], "the beginning of a name is one that is there")

# from the engine's endpoint: what was read, and what came since
for name, read in (("since", True), ("unread", False)):
    equal(world.spawn(name=name).status, 201, f"{name} runs")
    id = world.instance(name)["container_id"]
    for text in ("one\n", "two\n"):
        world.engine.ask("POST", "/fake/write", {"id": id, "stream": 1, "text": text})
        if read:
            lines(name, tail=1)
            read = False
    world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
equal(cursors(lines("since")), [("1.1", "one"), ("1.2", "two")], "of one that somebody has read all is there")
found = lines("unread")
equal((len(found), found[0]["gap"]["why"]), (1, "none of it was on this host when the instance was removed"), "of one that nobody had read there is a gap")

# its lines are kept up to the budget: the oldest goes, and who asks later is told how many lines that cost
equal(world.spawn(name="budget").status, 201, "budget runs")
id = world.instance("budget")["container_id"]
follower = world.stream(path("budget", follow="true"))
for number in range(1, 61):
    world.engine.ask("POST", "/fake/write", {"id": id, "stream": 1, "text": f"{number} {'y' * 9000}\n"})
    if follower.json()["text"].split()[0] != str(number):
        ok(False, f"a follower has line {number}")
follower.close()
kept = sum(os.path.getsize(file) for file in glob.glob(folder(world.instance("budget")["id"]) + "/output*"))
found = lines("budget")
ok(100 << 10 < kept <= 256 << 10, f"of 540 KB {kept >> 10} KiB are kept where 256 may be")
equal((found[0]["gap"]["lines"] + len(found) - 1, found[-1]["text"].split()[0], found[1]["cursor"]), (60, "60", f"1.{found[0]['gap']['lines'] + 1}"),
      "what is over it is one gap in front, counted")
equal(lines("budget", after=found[9]["cursor"]), found[10:], "and a cursor among the rest is good")
world.delete(f"/v1/instances/budget?force=true&wait={LIMIT}")

# one that was never started has no log; where its files are is asked again once it was
for name in ("later", "never"):
    place = os.path.join(world.folder, name)
    spec = {"name": name, "image": "busybox", "command": ["sleep", "1000"], "labels": {"fake.log": place}, "log": {"driver": "local"}}
    equal(world.post(f"/v1/instances?start=false&wait={LIMIT}", spec).status, 201, f"{name} is made only")
    equal(lines(name), [], "it has printed nothing")
files = LogFiles(os.path.join(world.folder, "later"), "local")
equal(world.post(f"/v1/instances/later/start?wait={LIMIT}").status, 200, "it is started")
files.line("begun")
equal(cursors(lines("later")), [("1.1", "begun")], "its files are read")
remove("later", files)
equal(cursors(lines("later")), [("1.1", "begun")], "and kept")
equal(world.delete(f"/v1/instances/never?wait={LIMIT}").status, 200, "one that was never started is removed")
equal(status("never"), 404, "nothing is kept of what it never printed")

# gantryd is killed: before, after, and amid the removal
world.kill()
world.start()
equal(cursors(lines("plain")), [("1.1", "the new one")], "over a kill of gantryd")
for point in ("remove/keep/before", "remove/keep/during", "remove/remove/before", "remove/announce/end"):
    name = "killed-" + point.replace("/", "-")
    world.kill()
    world.start(crash_at=point)
    files = begin(name, "local")
    files.line("one")
    files.line("two")
    before = lines(name, tail=1)
    id = world.instance(name)["id"]
    try:
        world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
    except OSError:
        pass
    if point.endswith("during") and world.daemon.poll() is None:
        until(lambda: world.daemon.poll() is not None, "the alarm")
    world.died()
    world.start()
    until(lambda: world.get(f"/v1/instances/{id}").status == 404, "the removal to go on")
    equal(cursors(lines(id)), [("1.1", "one"), ("1.2", "two")], f"killed at {point}: the lines are kept")
    equal(lines(id, after=before[0]["cursor"]), [], "and the cursor is good")
    ok(os.path.isdir(folder(id)), "in its folder")

# more than an instance may have
for driver in ("local", "json-file"):
    files = begin(f"much-{driver}", driver)
    for number in range(1, 2001):
        files.line(f"{number} " + "m" * 300)
    before = lines(f"much-{driver}")
    follower = world.stream(path(f"much-{driver}", follow="true", tail=1))
    follower.json()
    id = remove(f"much-{driver}", files)
    after = lines(id)
    equal((follower.rest(), follower.ended), ([], True), "who had all of it has an end, and no repeat")
    equal("GAP", cursors(after)[0][1], f"{driver}: what is over the budget of an instance is a gap")
    equal((after[0]["gap"]["lines"], after[0]["gap"]["why"]), (int(after[1]["cursor"].split(".")[1]) - 1, "the engine had dropped these lines, or they were not kept when the instance was removed"),
          "which is counted, as somebody had read it")
    equal(cursors(after[1:]), cursors(before)[-len(after) + 1:], "the last ones are there")
    ok(len(after) > 300 and sum(os.path.getsize(file) for file in glob.glob(folder(id) + "/output*")) <= 256 << 10, "as many as fit")
    middle = after[len(after) // 2]["cursor"]
    equal(lines(id, after=middle), after[len(after) // 2 + 1:], "and a cursor among them is good")
    equal(cursors(lines(id, after=before[10]["cursor"]))[0][1], "GAP", "one that is behind them is told of a gap")
files = begin("unread", "local", size=100_000, files=5)
for number in range(1, 1201):
    files.line(f"{number} " + "m" * 300)
id = remove("unread", files)
found = lines(id)
equal((cursors(found)[0], "lines" in found[0]["gap"]), (("1.1000000000", "GAP"), False), "where nobody had read it the gap is not counted")
equal((found[-1]["text"].split()[0], len(found) > 300), ("1200", True), "the last files are there")

# all of them together
while metric("gantry_kept_logs_bytes") < 3 << 20 and status("rotated") == 200:
    name = f"fill{metric('gantry_kept_logs')}"
    files = begin(name, "local")
    files.raw(b"".join(files.message("stdout", b"f" * 1000, files.now()) for _ in range(240)))
    remove(name, files)
until(lambda: status("rotated") == 404, "the oldest to go")
ok(metric("gantry_kept_logs_bytes") <= 3 << 20, "all together have their budget")
until(lambda: len(os.listdir(os.path.join(world.folder, "logs"))) <= metric("gantry_kept_logs") + 1, "folders to go with them")
equal(world.stop(), 0, "gantryd ends well")

# their time, while gantryd runs and over its end
with open(world.config) as file:
    settings = file.read()
with open(world.config, "w") as file:
    file.write(settings.replace('keep_logs = "1h"', 'keep_logs = "2s"'))
os.mkdir(folder("00000000-0000-4000-8000-00000000dead"))
os.utime(folder("00000000-0000-4000-8000-00000000dead"), (1, 1))
world.start()
until(lambda: metric("gantry_kept_logs") == 0, "all that are older to expire")
equal(world.get(path("killed-remove-keep-before")).status, 404, "nothing is there of them")
until(lambda: sorted(os.listdir(os.path.join(world.folder, "logs"))) == [world.instance("plain-two")["id"]], "folders that nothing knows to go, with theirs")
files = begin("short", "local")
files.line("short-lived")
began = time.monotonic()
id = remove("short", files)
found = ask(world.socket, "GET", path("short")).body
ok(b"short-lived" in found or time.monotonic() - began > 2, "kept for two seconds", found)
until(lambda: status("short") == 404, "its time to be over")
until(lambda: not os.path.exists(folder(id)), "its folder to go")
equal(world.stop(), 0, "gantryd ends well")

# not at all
with open(world.config, "w") as file:
    file.write(settings.replace('keep_logs = "1h"', 'keep_logs = 0'))
world.start()
files = begin("none", "local")
files.line("x")
equal(len(lines("none")), 1, "read")
id = remove("none", files)
equal(world.get(path("none")).status, 404, "nothing is kept where that is said")
until(lambda: not os.path.exists(folder(id)), "its folder to go")
equal(world.stop(), 0, "gantryd ends well")

# a disk that is full
disk = SmallDisk(world.folder)
if disk.mounted:
    shutil.rmtree(os.path.join(world.folder, "logs"))
    os.symlink(disk.folder, os.path.join(world.folder, "logs"))
    with open(world.config, "w") as file:
        file.write(settings)
    world.start()
    files = begin("full", "local")
    for number in range(100):
        files.line(f"{number} " + "x" * 1000)
    last = lines("full")[-1]["cursor"]
    disk.fill()
    id = remove("full", files)
    found = lines("full", after=last)
    equal(cursors(found), [("0.100", "GAP")], "a reader is told of a gap, and that was all")
    has(found[0]["gap"]["why"], "No space left", "which says why")
    with open(world.log) as file:
        has(file.read(), "what full printed cannot be kept", "so does gantryd's log")
    world.kill()
    disk.empty()
    world.start()
    equal(cursors(lines("full")), [("0.0", "GAP")], "also after a restart")
    equal(world.stop(), 0, "gantryd ends well")
else:
    skip(6, "no small tmpfs")

# short ones, and more than are remembered: a start does not take long
world = World(settings=SETTINGS.format(keep="1h", size="1GiB")).start()
lines = world.log_lines
files = begin("short", "local")
files.line("the last one")
id = remove("short", files)
world.kill()
store = sqlite3.connect(world.store)
name, value = store.execute("SELECT name, value FROM facts WHERE name LIKE 'kept_log %'").fetchone()
kept = json.loads(value)
for number in range(12_000):
    kept["instance"]["id"] = f"00000000-0000-4000-8000-{number:012}"
    kept["removed_ms"] -= 1
    store.execute("INSERT INTO facts VALUES (?, ?)", ("kept_log " + kept["instance"]["id"], json.dumps(kept)))
store.commit()
store.close()
world.start()
equal((metric("gantry_kept_logs"), cursors(lines(id))), (10_000, [("1.1", "the last one")]), "of 12,000 the oldest 2,001 go")
oldest, gone = (f"00000000-0000-4000-8000-{number:012}" for number in (9998, 9999))
equal([status(word) for word in (oldest, gone, id[:8], oldest[:8], "short")], [200, 404, 200, 404, 200],
      "each is found by its id, the beginning of it that no other has, and the last one by its name")

# another gantryd, whose store is beside this one's
os.utime(folder(id), (1, 1))
other = World(owner="other")
os.symlink(os.path.join(world.folder, "logs"), os.path.join(other.folder, "logs"))
shutil.copy(world.store, os.path.join(other.folder, "first.db"))
for _ in range(2):
    other.start()
    equal(other.stop(), 0, "it starts and ends")
equal(cursors(lines(id)), [("1.1", "the last one")], "folders that it does not know are left alone")
shutil.rmtree(folder(id))
has(world.get(path("short")).json["detail"], "No such file", "what somebody has taken away is told to who reads it")
os.unlink(os.path.join(other.folder, "first.db"))
os.unlink(os.path.join(other.folder, "logs"))
equal(world.stop(), 0, "gantryd ends well")
done()
