# SPDX-License-Identifier: Apache-2.0
"""Cinder's volumes in instances: what one writes the next reads; they are there after each kind of start, on either engine, though the host
has them as other devices then."""
from lab import *


def losetup(*words):
    return subprocess.run(["losetup", *words], capture_output=True, text=True, check=True).stdout.split()


def devices(file):
    """That are made of it."""
    return losetup("--noheadings", "--output", "NAME", "--associated", file)


def connected(volume):
    return devices(os.path.join(CLOUD, "cinder/volumes", volume.id))


def mapping(of, *volumes):
    """Of an instance of that image with those."""
    return [{"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": of.id},
            *({"source_type": "volume", "destination_type": "volume", "boot_index": -1, "uuid": one.id} for one in volumes)]


def check(lab, of, size):
    nova, cinder, becomes, inside = lab.nova, lab.cinder, lab.becomes, lab.inside
    kept, more = lab.volume("kept"), lab.volume("more")
    spare = os.path.join(lab.world.folder, "spare")  # has a device that the volume has later
    with open(spare, "wb") as file:
        file.truncate(1 << 20)

    def boot(name, *volumes):
        return lab.boot(name, of, size, block_device_mapping=mapping(of, *volumes))

    def device(server, name="vdb"):
        return os.path.realpath(os.path.join(CLOUD, "nova/instances", server.id, "volumes", name))

    def has(server, what, status="ACTIVE"):
        until(lambda: nova.get_server(server.id).task_state is None, what, 120)
        equal((becomes(server, status), lab.types(server.id, "head -n 1 /dev/vdb")), (status, "written"), what)
        ok(device(server) in connected(kept), f"by {device(server)}, which it is")

    def free(volume):
        until(lambda: cinder.get_volume(volume.id).status == "available", f"volume {volume.name} to be let go of", 60)

    def shelved(server):
        nova.shelve_server(server)
        until(lambda: nova.get_server(server.id).status == "SHELVED_OFFLOADED", "the shelving", 120)

    def attachments(server, method, rest="", **body):
        return getattr(nova, method)(f"/servers/{server.id}/os-volume_attachments{rest}", microversion="2.20", **body)

    one = boot("one", kept)
    equal(becomes(one, "ACTIVE"), "ACTIVE", "an instance with a volume of Cinder's")
    lab.types(one.id, "echo written >/dev/vdb")
    nova.delete_server(one, force=True)
    free(kept)
    losetup("--find", spare)
    one = boot("two", kept)
    has(one, "what it has written the next one reads")
    taken = device(one)
    losetup("--detach", *devices(spare))
    for end in (nova.revert_server_resize, nova.confirm_server_resize):
        was = inside(one)["node"]
        nova.migrate_server(one)
        has(one, "migrated, it has it", "VERIFY_RESIZE")
        ok(inside(one)["node"] != was, "on the other engine")
        end(one)
        has(one, f"{end.__name__}: it has it")
    ok(device(one) != taken, "as another device than it had at first")
    nova.stop_server(one)
    becomes(one, "SHUTOFF")
    nova.start_server(one)
    has(one, "stopped and started")
    nova.reboot_server(one, "HARD")
    has(one, "rebooted")
    nova.rebuild_server(one, image=of)
    has(one, "rebuilt")

    asked = attachments(one, "post", json={"volumeAttachment": {"volumeId": more.id}})
    equal((asked.status_code, cinder.get_volume(more.id).status), (400, "available"), "one more, while it is there: refused")
    ok("when it is made" in asked.text, asked.json()["badRequest"]["message"])
    attachments(one, "delete", f"/{kept.id}")
    failed = lambda: [action.get("message") for action in nova.get(f"/servers/{one.id}/os-instance-actions").json()["instanceActions"]
                      if action["action"] == "detach_volume"]
    until(lambda: failed() == ["Error"], "one less: an action that fails", 30)
    has(one, "and it keeps it")
    shelved(one)
    equal(attachments(one, "post", json={"volumeAttachment": {"volumeId": more.id}}).status_code, 200, "while it is shelved it can have one more")
    nova.unshelve_server(one)
    has(one, "unshelved")
    ok(device(one, "vdc") in connected(more), "with both")
    shelved(one)
    attachments(one, "delete", f"/{more.id}")
    free(more)
    nova.unshelve_server(one)
    has(one, "or one less")

    cinder.post(f"/volumes/{more.id}/action", json={"os-set_bootable": {"bootable": True}})
    root = nova.create_server(name="root", image_id="", flavor_id=size.id, networks="none", block_device_mapping=[
        {"source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": more.id}])
    equal(becomes(root, "ERROR"), "ERROR", "boot from a volume: an instance in error")
    ok("boots of an image, not of a volume" in str(lab.fault(root)), "whose fault says so")
    lab.gone(force=True)
    for volume in (kept, more):
        free(volume)
        equal(connected(volume), [], f"{volume.name} is connected no more")
