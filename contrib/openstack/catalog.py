#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tells Keystone the services, where they are, and the users that they are. A second time it changes nothing."""
import os

from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client

ADDRESS, PASSWORD = os.environ["AUTH_URL"], os.environ["PASSWORD"]
SERVICES = {"nova": ("compute", "/v2.1"), "placement": ("placement", ""), "glance": ("image", ""), "neutron": ("network", ""),
            "cinder": ("volumev3", "/v3")}

session = Session(auth=v3.Password(auth_url=ADDRESS, username="admin", password=PASSWORD, project_name="admin", user_domain_id="default",
                                   project_domain_id="default"))
keystone = Client(session=session, endpoint_override=ADDRESS)


def named(manager, name, **values):
    return next((one for one in manager.list() if one.name == name), None) or manager.create(name=name, **values)


project = named(keystone.projects, "service", domain="default")
roles = [named(keystone.roles, name) for name in ("admin", "service")]
for name, (kind, rest) in SERVICES.items():
    user = named(keystone.users, name, domain="default", password=PASSWORD)
    for role in roles:
        keystone.roles.grant(role, user=user, project=project)
    service = named(keystone.services, name, type=kind)
    known = {one.interface for one in keystone.endpoints.list(service=service)}
    for interface in {"public", "internal", "admin"} - known:
        keystone.endpoints.create(service, f"http://127.0.0.1:{os.environ['PORT_' + name.upper()]}{rest}", interface=interface, region="RegionOne")
