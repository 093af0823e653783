# SPDX-License-Identifier: Apache-2.0
"""gantryd's nodes as Nova's: all as one, or each as one of its own, named NODE.HOST."""
import json
import uuid

from nova import exception
from nova.objects import fields
import nova.conf
import os_resource_classes as orc
from oslo_log import log as logging
from oslo_utils import versionutils

from gantry_nova import client as gantry

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
MIB = 1 << 20
TRAITS_LABEL = "nova.traits"  # of a node in gantry.lua: custom traits with spaces between them
MISSES = 3  # answers in a row without a node before it is gone


class Nodes:
    def __init__(self, client, host):
        self._client, self._host = client, host
        self._missed = {}  # Nova's node: how many answers in a row have been without it

    def all(self, patiently=False):
        """patiently: gantryd is waited for, as in an operation, and until it has asked its engines."""
        def ask():
            nodes = self._client.call("GET", "/v1/nodes")["nodes"]
            if patiently and any(node["state"] == "connecting" for node in nodes):
                raise gantry.Unreachable("gantryd has not asked all its engines yet")
            return nodes

        try:
            return self._client.patiently(ask) if patiently else ask()
        except (gantry.Unreachable, gantry.Problem) as error:
            # never a shorter list: a node that is missing once is lost to Nova for good
            raise exception.VirtDriverNotReady() from error

    def up(self):
        """Names of gantryd's nodes that are up; it is waited for."""
        return [node["name"] for node in self.all(patiently=True) if node["state"] == "up"]

    def nova_name(self, name):
        return "%s.%s" % (name, self._host) if CONF.gantry.node_for_each_engine else self._host

    def gantry_name(self, nodename):
        """None: any."""
        return nodename.removesuffix(".%s" % self._host) if CONF.gantry.node_for_each_engine else None

    def behind(self, nodename, patiently=False):
        return [node for node in self.all(patiently) if self.nova_name(node["name"]) == nodename]

    def names(self):
        nodes = self.all()
        found = {self.nova_name(node["name"]) for node in nodes} if CONF.gantry.node_for_each_engine else {self._host}
        self._missed = {name: 0 if name in found else missed + 1 for name, missed in self._missed.items()}
        self._missed.update((name, 0) for name in found)
        gone = {name for name, missed in self._missed.items() if missed >= MISSES}
        for name in gone:
            del self._missed[name]
        if self._missed.keys() - found:
            LOG.warning("gantryd has no node %s now; it is waited for", ", ".join(sorted(self._missed.keys() - found)))
            raise exception.VirtDriverNotReady()
        return sorted(found)

    @staticmethod
    def amounts(nodes):
        def total(part, name):
            return sum(node.get(part, {}).get(name) or 0 for node in nodes)

        memory_mb = total("capacity", "memory_bytes") // MIB
        if memory_mb == 0:
            raise exception.VirtDriverNotReady()  # nobody has seen it yet
        return {
            "vcpus": max(1, total("capacity", "nano_cpus") // 10 ** 9),
            "memory_mb": memory_mb,
            "local_gb": CONF.gantry.disk_gb,
            "vcpus_used": total("promised", "nano_cpus") // 10 ** 9,
            "memory_mb_used": total("promised", "memory_bytes") // MIB,
            "local_gb_used": 0,
        }

    def resource(self, nodename):
        amounts = self.amounts(self.behind(nodename))
        version = self._client.call("GET", "/v1/version").get("version", "0.1.0")
        return {
            **amounts,
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "gantry/%s" % nodename)),
            "hypervisor_type": "gantry",
            "hypervisor_version": versionutils.convert_version_to_int(version),
            "hypervisor_hostname": nodename,
            "disk_available_least": CONF.gantry.disk_gb,
            "cpu_info": json.dumps({}),
            "numa_topology": None,
            "supported_instances": [(fields.Architecture.X86_64, fields.HVType.DOCKER, fields.VMMode.EXE)],
        }

    def offer(self, nodename, ratios, reserved_disk_gb):
        """Inventory and custom traits, by one question: Nova asks in every claim, with all others waiting."""
        nodes = self.behind(nodename, patiently=True)
        amounts, up, inventory = self.amounts(nodes), any(node["state"] == "up" for node in nodes), {}
        for name, total, reserved in ((orc.VCPU, amounts["vcpus"], CONF.reserved_host_cpus),
                                      (orc.MEMORY_MB, amounts["memory_mb"], CONF.reserved_host_memory_mb),
                                      (orc.DISK_GB, amounts["local_gb"], reserved_disk_gb)):
            if total > 0:  # one that is down takes nothing: all of it is reserved
                inventory[name] = {"total": total, "min_unit": 1, "max_unit": total, "step_size": 1, "allocation_ratio": ratios[name],
                                   "reserved": min(reserved, total) if up else total}
        sets = [set(node.get("labels", {}).get(TRAITS_LABEL, "").split()) for node in nodes]
        return inventory, {"CUSTOM_" + name.upper().removeprefix("CUSTOM_") for name in set.intersection(*sets)}
