# SPDX-License-Identifier: Apache-2.0
"""A real Docker Engine for tests of the whole daemon, and what it says by Debian's own client."""
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from daemon import LIMIT, ROOT, World, ask, unit_powers, until

IMAGE = "gantry-test/busybox:1"
CLIENT = "/usr/bin/docker"
SCRIPT = os.path.join(ROOT, "t/lib/dockerd.sh")
# what the API calls the states of the engine
STATES = {"exited": "stopped", "created": "stopped", "dead": "stopped"}


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


class Docker:
    """An engine of the test's own, or the one that GANTRY_TEST_DOCKER names, which is left as it was.

    own: a private one in any case, for tests that kill it. Skips the whole test where there can be none.
    """

    def __init__(self, own=False):
        self.owner = f"test-{os.getpid()}"
        self.folder = None
        if not os.path.exists(CLIENT):
            skip_all(f"there is no {CLIENT}")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        atexit.register(self.stop)
        given = os.environ.get("GANTRY_TEST_DOCKER")
        if given and not own:
            self.socket = given.removeprefix("unix://")
            made = subprocess.run(["sh", "-c", f". {SCRIPT}; engine_start || {{ echo $engine_why >&2; exit 1; }}"],
                                  capture_output=True, text=True)
        else:
            # short: the path of a socket has 107 characters
            self.folder = tempfile.mkdtemp(prefix="gantry-engine.", dir="/tmp")
            self.socket = os.path.join(self.folder, "docker.sock")
            made = self.script("start")
        if made.returncode != 0:
            skip_all(f"no engine: {made.stderr.strip()}")

    def script(self, verb):
        return subprocess.run(["sh", SCRIPT, verb, self.folder], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def kill(self):
        """As a crash: its containers run on where they can."""
        self.script("kill")

    def down(self):
        """In order: its containers are stopped."""
        self.script("down")

    def again(self, *arguments):
        """After kill or down; arguments: more of dockerd's."""
        with open(os.path.join(self.folder, "arguments"), "w") as file:
            file.write("".join(f"{word}\n" for word in arguments))
        made = self.script("again")
        assert made.returncode == 0, made.stderr

    def stop(self):
        if self.folder:
            self.script("stop")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        elif os.path.exists(self.socket):
            for container in self.containers(self.owner):
                self.ask("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            self.ask("DELETE", f"/volumes/gantry.claim.{self.owner}")

    def world(self, unit=(), **options):
        """A gantryd that has this engine as its node, with the powers of the systemd unit and these additions; not started."""
        options.setdefault("endpoint", f"unix://{self.socket}")
        options.setdefault("owner", self.owner)
        world = World(engine=False, **options)
        world.engine = self
        world.under = unit_powers(*unit)
        return world

    def __call__(self, *words, **options):
        """Runs docker; its standard output. Fails where it does."""
        done = self.run(*words, **options)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def run(self, *words, **options):
        options.setdefault("text", True)
        return subprocess.run([CLIENT, "-H", f"unix://{self.socket}", *words], capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT * 3, **options)

    def inspect(self, *names):
        """Of one container, or a list of several; None where there is no such container."""
        done = self.run("container", "inspect", *names)
        if done.returncode != 0:
            return None
        found = json.loads(done.stdout)
        return found[0] if len(names) == 1 else found

    def within(self, name, *words):
        """What a program of the host says in the container's network."""
        pid = self.inspect(name)["State"]["Pid"]
        return subprocess.run(["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True)

    def pings(self, name, address):
        """Whether an address answers to who is in the container's network."""
        return self.within(name, "busybox", "ping", "-c", "1", "-W", "5", address).returncode == 0

    def ps(self):
        """All containers of our owner by name, as `docker ps --all` has them."""
        lines = self("ps", "--all", "--no-trunc", "--filter", f"label=gantry.owner={self.owner}", "--format", "{{json .}}")
        return {row["Names"]: row for row in map(json.loads, lines.splitlines())}

    def ask(self, method, target, body=None):
        return ask(self.socket, method, target, body)

    def containers(self, owner=None):
        """What the engine's own list says."""
        found = self.ask("GET", "/containers/json?all=1").json
        return [c for c in found if owner is None or c["Labels"].get("gantry.owner") == owner]

    def events(self, name, since):
        """(action, attributes) of what happened to a container since then."""
        lines = self("events", "--since", str(since), "--until", f"{time.time():.9f}", "--filter", f"container={name}", "--format", "{{json .}}")
        return [(event["Action"], event["Actor"]["Attributes"]) for event in map(json.loads, lines.splitlines())]


def two_engines():
    """A gantryd on two engines of its own, the nodes east and west, each labelled with its name as zone; not started."""
    engines = {"east": Docker(own=True), "west": Docker(own=True)}
    nodes = ", ".join(f'{name} = {{ plugin = "docker", endpoint = "unix://{engine.socket}", labels = {{ zone = "{name}" }} }}'
                      for name, engine in engines.items())
    world = World("shipped", engine=False, nodes=nodes, owner=engines["east"].owner)
    world.engines = engines
    return world
