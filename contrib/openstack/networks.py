# SPDX-License-Identifier: Apache-2.0
"""Neutron's ports in instances: what is inside is what Neutron says, after each kind of start; and nothing stays behind."""
import signal

from lab import *


def check(lab, of, size):
    nova, neutron, world, becomes, inside, within = lab.nova, lab.neutron, lab.world, lab.becomes, lab.inside, lab.within
    world.policy("80-again.lua", """return { restart = function(instance, exit)
    if instance.labels["nova.meta.again"] then return 0 end
end }""")
    world.post("/v1/policies/reload")
    before = links()
    wide = lab.network("wide", "10.77.0.0/24", gateway_ip="10.77.0.1", dns_nameservers=["192.0.2.7"])
    side = lab.network("side", "10.78.0.0/24", gateway_ip=None)

    def seen(server):
        """(MAC, address, MTU, up) of each interface but lo, in order."""
        found = json.loads(within(server, "ip", "-j", "addr").stdout or "[]")
        return sorted((one["address"], f'{ip["local"]}/{ip["prefixlen"]}', one["mtu"], one["operstate"])
                      for one in found if one["ifname"] != "lo" for ip in one["addr_info"] if ip["family"] == "inet")

    def told(server):
        """The same as Neutron has it."""
        networks = {one.id: one for one in neutron.networks()}
        return sorted((port.mac_address, f'{ip["ip_address"]}/24', networks[port.network_id].mtu, port.status.replace("ACTIVE", "UP"))
                      for port in neutron.ports(device_id=server.id) for ip in port.fixed_ips)

    def wired(server, count, what):
        stop = time.monotonic() + 60  # Neutron has a port down for a moment when its agent sees it anew
        while True:
            found, wanted = seen(server), told(server)
            if (len(found) == count and found == wanted) or time.monotonic() > stop:
                break
            time.sleep(0.2)
        equal((len(found), found), (count, wanted), what)

    def reaches(server, other, limit=0):
        address = next(iter(neutron.ports(device_id=other.id, network_id=wide.id))).fixed_ips[0]["ip_address"]
        stop = time.monotonic() + limit
        while within(server, "busybox", "ping", "-c", "1", "-W", "2", address).returncode != 0:
            if time.monotonic() > stop:
                return False
        return True

    one = lab.boot("one", of, size, [wide], metadata={"again": "yes"})
    two = lab.boot("two", of, size, [wide])
    closed = neutron.find_security_group("closed") or neutron.create_security_group(name="closed")
    shut = lab.boot("shut", of, size, [wide], security_groups=[{"name": "closed"}])
    bare = lab.boot("bare", of, size)
    equal([becomes(server, "ACTIVE") for server in (one, two, shut, bare)], ["ACTIVE"] * 4, "instances with ports of Neutron's, and one with none")
    wired(one, 1, "one has the MAC, address and MTU that its port has")
    wired(two, 1, "the other too")
    equal(seen(bare), [], "--nic none: no interface")
    route = within(one, "ip", "route", "show", "default").stdout.split()
    equal(route[:3], ["default", "via", "10.77.0.1"], "the network's gateway")
    equal(lab.engine.inspect(inside(one)["container_id"])["HostConfig"]["Dns"], ["192.0.2.7"], "and name server")
    ok(reaches(one, two) and reaches(two, one), "they reach each other")
    ok(not reaches(one, shut), "one whose security group lets nothing in is not reached: the agent's firewall works")
    rule = neutron.create_security_group_rule(security_group_id=closed.id, direction="ingress", ethertype="IPv4", protocol="icmp")
    ok(reaches(one, shut, 30), "until the group lets it in")
    neutron.delete_security_group_rule(rule)
    equal(doctor(world, one), [], "the doctor finds nothing")

    more = nova.create_server_interface(one, net_id=side.id)
    wired(one, 2, "an interface is attached while it runs")
    nova.reboot_server(one, "HARD")
    until(lambda: inside(one)["boots"] == 2 and nova.get_server(one.id).status == "ACTIVE", "a hard reboot", 60)
    wired(one, 2, "a hard reboot keeps both")
    ok(reaches(one, two, 10), "and they reach each other")

    lab.end("nova-compute")
    lab.engine("kill", inside(one)["container_id"])
    until(lambda: inside(one)["boots"] == 3 and inside(one)["state"] == "running", "the restart by policy", 30)
    wired(one, 2, "a container that is restarted by policy while nova-compute is away is wired again")
    ok(reaches(one, two, 10), "and they reach each other")
    ok(lab.cloud("up", world.socket), "nova-compute is back")
    equal(nova.get_server(one.id).status, "ACTIVE", "for which nothing has happened")

    nova.stop_server(two)
    equal(becomes(two, "SHUTOFF"), "SHUTOFF", "stopped")
    nova.start_server(two)
    equal(becomes(two, "ACTIVE"), "ACTIVE", "and started")
    wired(two, 1, "it is wired again")

    nova.delete_server_interface(more, one)
    until(lambda: len(list(neutron.ports(device_id=one.id))) == 1, "the port to go", 30)
    wired(one, 1, "detached, its interface goes")

    lab.may(without=PORTS)
    refused = lab.boot("refused", of, size, [side])
    equal(becomes(refused, "ERROR"), "ERROR", "a bridge that no policy allows: an instance in error")
    has(str(lab.fault(refused)), "network_ports: brq", "which says so")
    lab.may()

    agent = lab.pid_of("neutron-linuxbridge-agent")
    os.kill(agent, signal.SIGSTOP)
    late = lab.boot("late", of, size, [side])
    equal(becomes(late, "ERROR"), "ERROR", "a port that Neutron does not wire: an instance in error")
    os.kill(agent, signal.SIGCONT)
    equal(world.get(f"/v1/instances/{late.id}").status, 404, "of which gantryd has nothing")

    for server in (one, two, shut, bare, refused, late):
        nova.delete_server(server)
    until(lambda: not list(nova.servers()), "them to go", 60)
    until(lambda: not list(neutron.ports()), "the ports to go", 30)
    equal([name for name in links() - before if name.startswith(("tap", "ctr"))], [], "deleted, they leave no interface")
    for network in (wide, side):
        neutron.delete_network(network)
    neutron.delete_security_group(closed)
    until(lambda: links() <= before, "the bridges to go", 30)
    ok(True, "nor bridges, when the networks are deleted")


def doctor(world, server):
    return [finding for port in world.get(f"/v1/instances/{server.id}/ports").json["ports"] for finding in port["findings"]]


def links():
    """Interfaces of the host that agents, Nova or we make."""
    return {name for name in os.listdir("/sys/class/net") if name.startswith(("tap", "ctr", "brq"))}
