#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Waits until nova-compute is up, Placement has what it offers, Neutron has its agent and Cinder its backend: then an instance can be placed."""
import os
import sys
import time

from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

session = Session(auth=v3.Password(auth_url=os.environ["AUTH_URL"], username="admin", password=os.environ["PASSWORD"], project_name="admin",
                                   user_domain_id="default", project_domain_id="default"))
nova = Adapter(session, service_type="compute", default_microversion="2.53")
neutron = Adapter(session, service_type="network")
cinder = Adapter(session, service_type="volumev3")
placement = Adapter(session, service_type="placement", default_microversion="1.20")


def offered():
    if not any(agent["alive"] for agent in neutron.get("/v2.0/agents").json()["agents"]):
        return False
    if {"cinder-scheduler", "cinder-volume"} - {one["binary"] for one in cinder.get("/os-services").json()["services"] if one["state"] == "up"}:
        return False
    up = {one["host"] for one in nova.get("/os-services?binary=nova-compute").json()["services"] if one["state"] == "up"}
    for one in nova.get("/os-hypervisors/detail").json()["hypervisors"]:
        answer = placement.get(f"/resource_providers/{one['id']}/inventories", raise_exc=False)
        if one["service"]["host"] in up and answer.json().get("inventories"):
            return True
    return False


error = "nothing is offered"
end = time.monotonic() + 120
while time.monotonic() < end:
    try:
        if offered():
            sys.exit(0)
    except Exception as failure:
        error = failure
    time.sleep(0.5)
sys.exit(f"nova-compute is not ready: {error}")
