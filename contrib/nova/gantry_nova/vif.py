# SPDX-License-Identifier: Apache-2.0
"""Neutron's ports. gantryd wires them at every start, whoever asks for it; here they are told to it.

What Neutron binds as `bridge` (Linux bridge agent) and as `ovs` (without the hybrid plug) can be had.
"""
import contextlib

import eventlet
from nova import exception
from nova.network import model
import nova.conf
from oslo_log import log as logging

from gantry_nova import client as gantry

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF


def port(vif):
    """One of Nova's network information as gantryd's network_ports has it."""
    network, kind = vif["network"], vif["type"]
    if kind not in (model.VIF_TYPE_BRIDGE, model.VIF_TYPE_OVS) or vif.is_hybrid_plug_enabled():
        raise exception.NovaException("port %s is bound as %s%s: bridge and ovs can be had" % (
            vif["id"], kind, ", with the hybrid plug" if vif.is_hybrid_plug_enabled() else ""))
    told = {"id": vif["id"], "type": "bridge" if kind == model.VIF_TYPE_BRIDGE else "ovs", "bridge": network["bridge"], "mac": vif["address"]}
    if kind == model.VIF_TYPE_BRIDGE and network.get_meta("should_create_bridge", True):
        told["create_bridge"] = True
    if network.get_meta("mtu"):
        told["mtu"] = network.get_meta("mtu")
    addresses, routes, dns = [], [], []
    for subnet in network["subnets"]:
        bits = subnet["cidr"].split("/")[1]
        addresses += ["%s/%s" % (ip["address"], bits) for ip in subnet["ips"]]
        routes += ["%s via %s" % (route["cidr"], route["gateway"]["address"]) for route in subnet["routes"] or []]
        if subnet["gateway"] and subnet["gateway"]["address"]:
            routes.append("default via %s" % subnet["gateway"]["address"])
        dns += [server["address"] for server in subnet["dns"] or []]
    told.update((key, list(dict.fromkeys(value))) for key, value in (("addresses", addresses), ("routes", routes), ("dns", dns)) if value)
    return told


def wanted(network_info):
    """What of a spec says so; nothing where there are no ports."""
    if not network_info or CONF.gantry.ignore_ports:
        return {}
    return {"network": "none", "network_ports": [port(vif) for vif in network_info]}


def kept(found):
    """The ports that an instance of gantryd's has, for the one that takes its place."""
    ports = found["spec"].get("network_ports")
    return {"network": "none", "network_ports": ports} if ports else {}


def awaited(network_info):
    """Neutron tells of those that are not wired yet, once they are."""
    if not CONF.vif_plugging_timeout or CONF.gantry.ignore_ports:
        return []
    return [("network-vif-plugged", vif["id"]) for vif in network_info or [] if vif.get("active", True) is False]


@contextlib.contextmanager
def plugged(virtapi, instance, events):
    """What is done inside plugs the ports; it ends when Neutron has wired them all, as nova.conf's vif_plugging_… say."""
    def failed(name, instance):
        LOG.error("Neutron could not wire %s", name, instance=instance)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()

    if not events:
        yield
        return
    try:
        with virtapi.wait_for_instance_event(instance, events, deadline=CONF.vif_plugging_timeout, error_callback=failed):
            yield
    except eventlet.timeout.Timeout:
        LOG.warning("Neutron has not wired its ports after %d s", CONF.vif_plugging_timeout, instance=instance)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()


def attach(driver, instance, vif):
    try:
        driver.do(instance, "ports", {"port": port(vif)})
    except (gantry.Problem, gantry.Unreachable, exception.NovaException) as error:
        LOG.error("port %s: %s", vif["id"], error, instance=instance)
        raise exception.InterfaceAttachFailed(instance_uuid=instance.uuid) from error


def detach(driver, instance, vif):
    try:
        driver.do(instance, "ports", method="DELETE", port=vif["id"])
    except exception.InstanceNotFound:
        LOG.info("port %s is detached already", vif["id"], instance=instance)
    except (gantry.Problem, gantry.Unreachable, exception.NovaException) as error:
        LOG.error("port %s: %s", vif["id"], error, instance=instance)
        raise exception.InterfaceDetachFailed(instance_uuid=instance.uuid) from error
