#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gantryd on TCP with mutual TLS: who is let in, and as whom; beside it, who is on the unix socket."""
import os
import re
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from certificates import authority, certificate
from console import Console
from daemon import *
from http_client import Client
from websocket import handshake

world = World(settings='trusted_actors = { "cn:nova-compute" }')
folder = world.folder

ours, theirs = authority(folder, "ours"), authority(folder, "theirs")
server = certificate(folder, "gantryd", ours, "serverAuth")
PORT = free_port()
with open(world.config) as file:
    settings = file.read()


def listen(ca=ours[0], pem=server[0], key=server[1]):
    with open(world.config, "w") as file:
        file.write(settings.replace(
            'mode = "0600" } }', f'mode = "0600" }}, {{ tcp = "127.0.0.1:{PORT}", ca = "{ca}", '
            f'certificate = "{pem}", key = "{key}" }} }}'))


def check_config():
    return subprocess.run([os.path.join(BUILD, "gantryd"), "--config", world.config], capture_output=True, text=True,
                          timeout=LIMIT)


def ask_tls(pair, method, target, body=None, headers=None, ca=ours[0]):
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context, timeout=LIMIT)
    try:
        connection.request(method, target, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})} if body else headers or {})
        reply = connection.getresponse()
        answer = Answer(reply.status, reply.headers, reply.read())
    finally:
        connection.close()
    world.contract_findings.extend(world.contract.answer(method, target, answer.status, answer.headers, answer.body))
    return answer


def websocket_status(pair, target):
    """What an actor is answered who wants a WebSocket."""
    context = ssl.create_default_context(cafile=ours[0])
    context.load_cert_chain(*pair)
    client = Client(context.wrap_socket(socket.create_connection(("127.0.0.1", PORT), LIMIT), server_hostname="127.0.0.1"))
    client.send(handshake(target, "v1.attach.gantry"))
    status = client.head().status
    client.sock.close()
    return status


def refused(pair, what):
    try:
        answer = ask_tls(pair, "GET", "/v1/instances")
        ok(False, what)
        diag(answer)
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
        ok(True, f"{what} ({type(error).__name__})")


# --- settings that cannot be ---
listen(pem="/nowhere.pem")
failed = check_config()
ok(failed.returncode == 1, "a certificate that is not there ends the start")
has(failed.stderr, "/nowhere.pem", "with its name")
has(failed.stderr, "listen", "and where it is named")
listen(key=ours[1])
failed = check_config()
ok(failed.returncode == 1 and failed.stderr.strip(), "so does a key of another certificate")
listen(ca=server[1])
ok(check_config().returncode == 1, "and an authority that is none")
with open(world.config, "w") as file:
    file.write(settings.replace('mode = "0600" } }', f'mode = "0600" }}, {{ tcp = "127.0.0.1:{PORT}" }} }}'))
failed = check_config()
ok(failed.returncode == 1, "TCP without TLS is refused")
has(failed.stderr, "certificate", "and what is missing is said")

# --- who is let in ---
listen()
world.start()
alice, nova = certificate(folder, "alice", ours, "clientAuth"), certificate(folder, "nova-compute", ours, "clientAuth")
answer = ask_tls(alice, "POST", "/v1/instances?wait=10", {"name": "a", "image": "busybox"})
equal(answer.status, 201, "a client of our authority may")
equal(answer.json["actor"], "cn:alice", "its actor is the certificate's name")
equal(world.get("/v1/operations?limit=1").json["operations"][0]["actor"], "cn:alice", "so it is stored")
answer = world.post("/v1/instances?wait=10", {"name": "b", "image": "busybox"})
equal(answer.json["actor"], f"uid:{os.getuid()}", "on the unix socket it is the peer's user")
equal(ask_tls(alice, "POST", "/v1/instances", {"image": "busybox"}, {"X-Gantry-Project": "red"}).status, 403,
      "alice may not ask on behalf of others")
answer = ask_tls(nova, "POST", "/v1/instances?wait=10", {"name": "c", "image": "busybox"},
                 {"X-Gantry-Project": "red", "X-Gantry-User": "bob"})
equal((answer.status, answer.json["actor"], answer.json["user"], answer.json["project"]),
      (201, "cn:nova-compute", "bob", "red"), "nova-compute, which is trusted, may")
first = ask_tls(alice, "POST", "/v1/instances?wait=10", {"name": "d", "image": "busybox"}, {"Idempotency-Key": "k"})
second = ask_tls(nova, "POST", "/v1/instances?wait=10", {"name": "e", "image": "busybox"}, {"Idempotency-Key": "k"})
equal((first.status, second.status), (201, 201), "two actors may use the same idempotency key")

command = world.post("/v1/instances/b/exec", {"command": ["echo", "a"]}).json
equal(ask_tls(alice, "GET", command["path"]).status, 426, "an exec is sat at by WebSocket")
for pair, status in ((alice, 404), (nova, 404)):
    equal(websocket_status(pair, command["path"]), status, "which is only for who asked for it")
equal(Console(world, command["path"]).status, 101, "who is there still")

refused(None, "a client without a certificate is refused")
refused(certificate(folder, "stranger", theirs, "clientAuth", "/CN=alice"), "one of another authority")
refused(certificate(folder, "late", ours, "clientAuth", days=-1), "one that has expired")
refused(certificate(folder, "other", ours, "serverAuth"), "one that is for servers")
with socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT) as plain:
    plain.sendall(b"GET /v1/instances HTTP/1.1\r\nHost: x\r\n\r\n")
    ok(b"instances" not in plain.recv(1000), "one that speaks no TLS")
try:
    ask_tls(alice, "GET", "/v1/health", ca=theirs[0])
    ok(False, "the client can tell a server of another authority")
except ssl.SSLCertVerificationError:
    ok(True, "the client can tell a server of another authority")
equal(ask_tls(alice, "GET", "/v1/health").json["status"], "ok", "and all goes on")
equal(len(world.instances()), 5, "nothing was done for the refused")
handshakes = re.search(r"^gantry_http_handshakes_failed_total (\d+)$", world.get("/v1/metrics").body.decode(), re.M)
ok(int(handshakes[1]) >= 5, f"each of them is counted as a handshake that failed ({handshakes[1]})")
ok("BEGIN" not in open(world.log).read(), "no key or certificate is in the log")

equal(os.stat(world.socket).st_mode & 0o777, 0o600, "the unix socket has the mode of the settings")
equal(world.stop(), 0, "it ends well")
done()
