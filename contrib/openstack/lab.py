# SPDX-License-Identifier: Apache-2.0
"""What the checks stand on: Docker Engines of their own, a gantryd on them, and a cloud whose nova-compute asks it. It goes when
the check ends."""
import atexit
import datetime
import fcntl
import io
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "t/fake"))
sys.path.insert(1, "/usr/lib/python3/dist-packages")
from console import OUTPUT, Console
from docker import *
from daemon import *

CLOUD = os.environ.setdefault("CLOUD", "/var/tmp/gantry-cloud")
SCRIPT = os.path.join(ROOT, "contrib/openstack/cloud")
SHELL = 'while read -r line; do eval "$line"; done'  # what it is typed it does
PORTS, RESCUES = "network_ports: brq*", "mounts: instance *"
ALLOWED = (f"mounts: bind {CLOUD}/nova/instances/*", f"devices: {CLOUD}/nova/instances/*", PORTS, RESCUES)  # config drives, volumes; and these


class Lab:
    number = 0
    alone = None  # a lock: Neutron's agents of two clouds would take each other's rules away

    def __init__(self, *nodes, nova=None, **options):
        """nodes: names of gantryd's, each with an engine of its own; options: of [gantry] in nova.conf, and nova: of its [DEFAULT]."""
        Lab.alone = Lab.alone or open("/run/gantry-cloud.lock", "w")
        fcntl.flock(Lab.alone, fcntl.LOCK_EX)  # waits for another check to end
        Lab.number += 1
        self.log = f"gantryd{Lab.number}"
        self.engines = {name: Docker(own=True) for name in nodes or ("local", )}
        self.engine = next(iter(self.engines.values()))
        self.options, self.more = options, nova or {}
        settings = ", ".join(f'["{name}"] = {{ plugin = "docker", endpoint = "unix://{engine.socket}", cpus = "100" }}'
                             for name, engine in self.engines.items())
        self.world = World("shipped", engine=False, nodes=settings, owner=self.engine.owner,
                           settings='trusted_actors = { "uid:0" }\n'
                           f'plugins = {{ net = {{ socket_folder = "{self.engine.folder}/net" }} }}')
        self.world.policy("30-unsafe.lua", self.unsafe())
        self.world.start()
        atexit.register(self.close)
        if not ok(self.cloud("up", self.world.socket), "an OpenStack is up"):
            finish()
        import openstack  # after the packages are there

        with open(os.path.join(CLOUD, "password")) as file:
            self.password = file.read()
        self.connection = openstack.connect(auth_url="http://127.0.0.1:5000/v3", username="admin", password=self.password,
                                            project_name="admin", user_domain_name="Default", project_domain_name="Default",
                                            region_name="RegionOne")
        self.nova, self.glance, self.neutron = self.connection.compute, self.connection.image, self.connection.network
        self.cinder = self.connection.block_storage
        self.archive = subprocess.run([os.path.join(BUILD, "gantry"), "--host", f"unix://{self.world.socket}", "save", "--node",
                                       next(iter(self.engines)), IMAGE],
                                      capture_output=True, check=True).stdout
        self.clean()

    def may(self, without=None):
        """What policies allow from now on."""
        self.world.policy("30-unsafe.lua", self.unsafe(without))
        self.world.post("/v1/policies/reload")

    @staticmethod
    def unsafe(without=None):
        """The shipped policy, with what is needed here, or all but one line of it."""
        with open(os.path.join(ROOT, "scripts/policies/30-unsafe.lua")) as file:
            text = file.read()
        mark = "local allow = {"
        assert mark in text
        return text.replace(mark, mark + "".join(f' "{line}",' for line in ALLOWED if line != without), 1)

    @staticmethod
    def pid_of(name):
        """Of one of the cloud's."""
        with open(os.path.join(CLOUD, "run", f"{name}.pid")) as file:
            return int(file.read().split()[0])

    @staticmethod
    def runs(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    @classmethod
    def end(cls, name):
        """In order."""
        pid = cls.pid_of(name)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not cls.runs(pid), f"{name} to end", 60)

    def compute_killed(self):
        """It is started again, and has begun."""
        died = datetime.datetime.utcnow()
        os.kill(self.pid_of("nova-compute"), signal.SIGKILL)
        ok(self.cloud("up", self.world.socket), "nova-compute is killed and started again")
        told = lambda: next(iter(self.nova.services(binary="nova-compute"))).updated_at
        until(lambda: datetime.datetime.fromisoformat(told()) > died, "nova-compute to have begun", 120)

    def cloud(self, *words):
        return subprocess.run([SCRIPT, *words], env={**os.environ, "CLOUD_GANTRY": json.dumps(self.options), "CLOUD_NOVA": json.dumps(self.more)},
                              check=False).returncode == 0

    def close(self):
        with open(self.world.log) as log:
            os.makedirs(os.path.join(CLOUD, "log"), exist_ok=True)
            with open(os.path.join(CLOUD, "log", self.log), "w") as kept:
                kept.write(log.read())
        self.cloud("down")
        if self.world.daemon and self.world.daemon.poll() is None:  # it takes their ports' interfaces away
            for one in self.world.instances():
                self.world.delete(f"/v1/instances/{one['name']}?force=true&wait={LIMIT}")
        self.world.end()
        plugin = f"/run/docker/plugins/gantry-{self.world.owner}.sock"
        if os.path.lexists(plugin):
            os.unlink(plugin)

    def clean(self):
        """Of a run that was broken off."""
        for left in self.nova.servers(all_projects=True):
            self.nova.delete_server(left, force=True)
        until(lambda: not list(self.nova.servers(all_projects=True)), "what was left to go", 60)
        for left in self.glance.images():
            self.glance.delete_image(left)
        for left in self.nova.aggregates():
            for host in left.hosts or ():
                self.nova.remove_host_from_aggregate(left, host)
            self.nova.delete_aggregate(left)
        for left in self.neutron.networks():
            self.neutron.delete_network(left)
        for left in self.cinder.volumes():
            self.cinder.delete_volume(left)

    def image(self, name, data=None, **properties):
        return self.glance.create_image(name=name, container_format="docker", disk_format="raw", data=io.BytesIO(data or self.archive),
                                        validate_checksum=False, **properties)

    def flavor(self, name, ram, extra=None, **more):
        found = self.nova.find_flavor(name) or self.nova.create_flavor(**{"name": name, "ram": ram, "vcpus": 1, "disk": 1, **more})
        if extra:
            self.nova.create_flavor_extra_specs(found, extra)
        return found

    def network(self, name, cidr, **more):
        """One that all projects have."""
        found = self.neutron.find_network(name) or self.neutron.create_network(name=name, is_shared=True)
        if not found.subnet_ids:
            self.neutron.create_subnet(network_id=found.id, ip_version=4, cidr=cidr, is_dhcp_enabled=False, **more)
        return found

    def volume(self, name):
        made = self.cinder.create_volume(name=name, size=1)
        until(lambda: self.cinder.get_volume(made.id).status == "available", f"volume {name}", 60)
        return made

    def boot(self, name, of, size, networks=(), **more):
        return self.nova.create_server(name=name, image_id=of.id, flavor_id=size.id, networks=[{"uuid": one.id} for one in networks] or "none", **more)

    def fault(self, server):
        return self.nova.get(f"/servers/{server.id}").json()["server"].get("fault")

    def becomes(self, server, status, limit=90):
        """The status that it has in the end."""
        stop = time.monotonic() + limit
        while (now := self.nova.get_server(server.id)).status not in (status, "ERROR") and time.monotonic() < stop:
            time.sleep(0.2)
        if now.status == "ERROR" and status != "ERROR":
            diag(self.fault(now))
        return now.status

    def types(self, name, line):
        """What a line says that is typed to its shell (SHELL); "" where none runs. An exec would meet another root where this one is a chroot."""
        console = Console(self.world, f"/v1/instances/{name}/attach")
        if console.status != 101:
            return ""
        mark = time.monotonic_ns()  # of what was typed before, output may be shown, too
        console.put(f"printf '<%s' '{mark}>'; {line}; printf '<%s' '/{mark}>'\n".encode())
        ended = console.read_until(lambda: f"</{mark}>".encode() in console.got[OUTPUT])
        console.leave()
        shown = console.got[OUTPUT].decode().replace("\r\n", "\n")
        return shown.partition(f"<{mark}>")[2].partition(f"</{mark}>")[0].strip() if ended else ""

    def inside(self, server):
        return self.world.get(f"/v1/instances/{server.id}").json

    def within(self, server, *words):
        """What a program of the host says in its network."""
        found = self.inside(server)
        return self.engines[found["node"]].within(found["container_id"], *words)

    def of_nova(self):
        """Instances by uuid that Nova has; each of them is one of gantryd's, or failed before it came so far."""
        return {one.id: one.status for one in self.nova.servers()}

    def of_gantryd(self):
        return {one["name"]: one["state"] for one in self.world.instances()}

    def of_engines(self):
        return {container for engine in self.engines.values()
                for container in engine("ps", "-a", "--no-trunc", "--filter", f"label=gantry.owner={self.world.owner}", "--format", "{{.ID}}").split()}

    def allocated(self):
        """Who has something of each of Placement's providers."""
        ask = lambda rest: self.connection.placement.get(f"/resource_providers{rest}").json()
        return {one["name"]: set(ask(f"/{one['uuid']}/allocations")["allocations"]) for one in ask("")["resource_providers"]}

    def agree(self, what):
        until(lambda: not self.world.running_operations(), "gantryd to end what it does", 120)
        theirs, ours = self.of_nova(), self.of_gantryd()
        equal(sorted(ours.keys() - theirs.keys()), [], f"{what}: gantryd has no instance that Nova does not have")
        equal([uuid for uuid, status in theirs.items() if status == "ACTIVE" and ours.get(uuid) != "running"], [], "each that is active there runs")
        equal(self.of_engines(), {one["container_id"] for one in self.world.instances()}, "and the engine has their containers and no others")

    def gone(self, force=False):
        for one in list(self.nova.servers()):
            self.nova.delete_server(one, force=force)
        stop = time.monotonic() + 300
        while (left := list(self.nova.servers())) and time.monotonic() < stop:
            time.sleep(1)
        if not equal(len(left), 0, "deleted, the instances go"):
            diag([(one.name, one.status, one.task_state, self.fault(one)) for one in left[:5]])
        until(lambda: not self.of_gantryd(), "gantryd's to go", 60)
