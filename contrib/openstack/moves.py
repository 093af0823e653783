# SPDX-License-Identifier: Apache-2.0
"""Each engine a node of Nova's: cold migrations, with volumes of Cinder's, and such as are broken off; and deletes that can be taken back."""
import volumes
from lab import *

CONTENT_MIB = 64  # that an instance writes, so that a move takes a while


def check():
    lab = Lab("east", "west", node_for_each_engine=True, nova={"reclaim_instance_interval": 3600})
    nova, neutron, world, becomes, inside = lab.nova, lab.neutron, lab.world, lab.becomes, lab.inside
    until(lambda: {"east.cloud", "west.cloud"} == {one.name for one in nova.hypervisors()}, "two hypervisors", 120)
    ok(True, "each engine is a hypervisor")
    busybox = lab.image("busybox", gantry_command=f"sh -c 'date +%N >>/born; [ -e /big ] || dd if=/dev/zero of=/big bs=1M count={CONTENT_MIB}; "
                        f"{SHELL}; exec sleep 100000'")
    tiny = lab.flavor("tiny", 64)
    net = lab.network("wide", "10.77.0.0/24", gateway_ip=None)

    def starts(server):
        """How often it was started, as its own files tell."""
        return len(lab.types(server.id, "cat /born").split())

    def left():
        """Images that moves have left."""
        return [tag for image in world.get("/v1/images").json["images"] for tag in image["tags"] if "migration" in tag]

    def has_port(server):
        """Whether its port is in it."""
        port = next(iter(neutron.ports(device_id=server.id)))
        shown = lab.within(server, "ip", "-j", "addr").stdout
        return port.mac_address in shown and port.fixed_ips[0]["ip_address"] in shown

    server = lab.boot("moves", busybox, tiny, [net])
    equal(becomes(server, "ACTIVE"), "ACTIVE", "an instance runs on one of them")
    first = inside(server)["node"]
    equal(nova.get_server(server.id).hypervisor_hostname, f"{first}.cloud", "which Nova knows")
    for end in (nova.revert_server_resize, nova.confirm_server_resize):
        nova.migrate_server(server)
        equal(becomes(server, "VERIFY_RESIZE"), "VERIFY_RESIZE", "a cold migration")
        ok(inside(server)["node"] != first and inside(server)["state"] == "running", f"to {inside(server)['node']}")
        ok(has_port(server), "with its port")
        end(server)
        equal(becomes(server, "ACTIVE"), "ACTIVE", f"{end.__name__}")
    ok(inside(server)["node"] != first, "it is on the other engine in the end")
    ok(has_port(server), "with its port")
    equal(starts(server), 3, "with the files that it had: each start has left a line")

    nova.delete_server(server)
    until(lambda: nova.get_server(server.id).status == "SOFT_DELETED", "the delete", 60)
    equal(inside(server)["state"], "stopped", "deleted where deletes can be taken back: it is stopped")
    nova.post(f"/servers/{server.id}/action", json={"restore": None})
    equal((becomes(server, "ACTIVE"), inside(server)["state"], starts(server)), ("ACTIVE", "running", 4), "restored, it runs, of the files that it had")
    ok(has_port(server), "with its port")
    lab.gone(force=True)
    equal(left(), [], "and leaves no image of its way")

    def refused():
        """A move that is refused where it is to go, with a volume, and may be tried again."""
        volume = lab.volume("moved")
        server = lab.boot("refused", busybox, tiny, [net], block_device_mapping=volumes.mapping(busybox, volume))
        becomes(server, "ACTIVE")
        first = inside(server)["node"]
        world.policy("90-stay.lua", f"""return {{ admit = function(req)
    if req.verb == "spawn" and req.labels["node.name"] == "{other[first]}" then return false, "not there" end
end }}""")
        world.post("/v1/policies/reload")
        nova.migrate_server(server)
        until(lambda: task(server), "the migration to begin", 30)
        until(lambda: task(server) is None, "its end", 120)
        equal((nova.get_server(server.id).status, inside(server)["state"], has_port(server)), ("ACTIVE", "running", True), "a migration that is refused: it runs on")
        equal(lab.allocated(), {f"{first}.cloud": {server.id}, f"{other[first]}.cloud": set()}, f"on {first}, as Placement has it")
        action = nova.get(f"/servers/{server.id}/os-instance-actions").json()["instanceActions"][0]
        told = nova.get(f"/servers/{server.id}/os-instance-actions/{action['request_id']}", microversion="2.84").json()["instanceAction"]["events"]
        ok(any("not there" in str(event["details"]) for event in told), "and the action says why")
        world.policy("90-stay.lua", "return {}")
        world.post("/v1/policies/reload")
        nova.migrate_server(server)
        equal((becomes(server, "VERIFY_RESIZE"), inside(server)["node"]), ("VERIFY_RESIZE", other[first]), "allowed, it moves")
        lab.gone(force=True)
        equal(left(), [], "and leaves no image of its way")

    def tries_another():
        """What a policy's filter keeps from one engine is made on the other, as Nova's scheduler tries it next."""
        world.policy("90-east.lua", """return { filter = function(req, node) if node.name == "east" then return false, "no more there" end end }""")
        world.post("/v1/policies/reload")
        for name in ("one", "two"):  # the second time the other has more room
            server = lab.boot(name, busybox, tiny)
            equal((becomes(server, "ACTIVE"), inside(server)["node"]), ("ACTIVE", "west"), f"{name}: on the engine that policies allow")
        equal(lab.allocated()["east.cloud"], set(), "and none is counted on the other")
        with open(os.path.join(CLOUD, "log/nova-compute")) as log:
            has(log.read(), "is to try another node: ", "which was tried first")
        world.policy("90-east.lua", "return {}")
        world.post("/v1/policies/reload")
        lab.gone(force=True)

    def broken_off(what, kill, reached, ends, back=False):
        """A move, or its way back, ends as it should though something is killed amid it, and by itself."""
        server = lab.boot(what, busybox, tiny, [net])
        becomes(server, "ACTIVE")
        until(lambda: starts(server) == 1, "its first start", 30)
        first = inside(server)["node"]
        nova.migrate_server(server)
        if back:
            becomes(server, "VERIFY_RESIZE")
            nova.revert_server_resize(server)
        was = first if not back else other[first]
        until(lambda: reached(server, was), what, 60)
        kill()
        until(lambda: nova.get_server(server.id).task_state is None, "Nova to end it", 120)
        equal((becomes(server, ends), has_port(server), starts(server)), (ends, True, 2), f"{what}: it runs, of the files that it had")
        if ends == "VERIFY_RESIZE":
            nova.confirm_server_resize(server)
            equal(becomes(server, "ACTIVE"), "ACTIVE", "confirmed")
        node = other[first] if ends == "VERIFY_RESIZE" else first
        equal(inside(server)["node"], node, f"on {node}")
        equal(lab.allocated(), {f"{node}.cloud": {server.id}, f"{other[node]}.cloud": set()}, "as Placement has it")
        lab.agree(what)
        lab.gone(force=True)
        equal(left(), [], "and leaves no image of its way")

    def gantryd_killed():
        world.kill()
        world.start()

    other = {"east": "west", "west": "east"}
    task = lambda server: nova.get_server(server.id).task_state
    elsewhere = lambda server, was: inside(server).get("node") != was  # it is not there, or on the other already
    tries_another()
    refused()
    for who, kill in (("gantryd", gantryd_killed), ("nova-compute", lab.compute_killed)):
        for moment, reached in {"committed": lambda server, was: any(one["kind"] == "commit" for one in world.running_operations()),
                                "streamed": lambda server, was: left(), "made": elsewhere}.items():
            broken_off(f"{who} killed as it is {moment}", kill, reached, "VERIFY_RESIZE")
    broken_off("nova-compute killed as it is stopped", lab.compute_killed, lambda server, was: task(server) == "resize_migrating", "ACTIVE")
    for moment, reached in {"stopped": lambda server, was: task(server) == "resize_reverting", "made": elsewhere}.items():
        broken_off(f"nova-compute killed as it is {moment} on its way back", lab.compute_killed, reached, "ACTIVE", back=True)

    volumes.check(lab, busybox, tiny)
    neutron.delete_network(net)
    lab.clean()
