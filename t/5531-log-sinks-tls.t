#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines forwarded over TLS, syslog and Fluent: what arrives, and from whom nothing is taken: receivers of another authority or
name, and those that want a certificate of ours; over a kill of the receiver; files that are no good."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from certificates import authority, certificate
from daemon import *
from logfiles import LogFiles
from receiver import Receiver

COUNT = 2000
folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
authorities = {name: authority(folder, name) for name in ("ca", "other")}
for name, signer in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
    pair = certificate(folder, name, authorities[signer])
    with open(f"{folder}/{name}.both", "w") as file:
        file.write("".join(open(part).read() for part in pair))
CA = f'tls_ca = "{folder}/ca.pem"'
OURS = f'tls_certificate = "{folder}/client.pem", tls_key = "{folder}/client.key"'


def port():
    return f"tls://127.0.0.1:{free_port()}"


# name: kind, how the receiver stands, what the sink is told beside `to`
CASES = {
    "syslog": ("syslog", ["server.both"], CA),
    "fluent": ("fluent", ["server.both"], CA),
    "mutual": ("syslog", ["server.both", "ca.pem"], f"{CA}, {OURS}"),
    "unverified": ("fluent", ["stranger.both"], "tls_verify = false"),
    "stranger": ("syslog", ["stranger.both"], CA),
    "system": ("fluent", ["server.both"], ""),
    "name": ("syslog", ["server.both"], CA),
    "nobody": ("fluent", ["server.both", "ca.pem"], CA),
    "silent": ("stuck", ["server.both"], f'{CA}, timeout = "1s"'),
}
receivers, sinks = {}, ""
for name, (kind, pem, options) in CASES.items():
    receivers[name] = Receiver(folder, name, kind, port(), *(f"{folder}/{file}" for file in pem)).start()
    atexit.register(receivers[name].kill)
    to = receivers[name].address.replace("127.0.0.1", "localhost") if name == "name" else receivers[name].address
    sinks += f'    {{ kind = "{"syslog" if kind == "stuck" else kind}", name = "{name}", to = "{to}", {options} }},\n'
world = World(settings=f"logs = {{\n  sinks = {{\n{sinks}  }},\n}}").start()
place = os.path.join(world.folder, "web")
files = LogFiles(place, "local")
equal(world.spawn(name="web", labels={"fake.log": place}, log={"driver": "local"}).status, 201, "an instance runs")


def sink(name):
    return next(entry for entry in world.get("/v1/logs/sinks").json["sinks"] if entry["name"] == name)


def texts(name):
    """In the order of their first coming."""
    return [text for _, text in dict.fromkeys((cursor, text) for _, cursor, text in receivers[name].lines())]


wanted = [f"line {number} é " + "x" * (number % 700) for number in range(COUNT)]
for text in wanted[:COUNT // 2]:
    files.line(text)
for name in ("syslog", "fluent", "mutual", "unverified"):
    until(lambda: len(texts(name)) >= COUNT // 2, f"the lines at {name}")
receivers["syslog"].kill()
receivers["fluent"].kill()
for text in wanted[COUNT // 2:]:
    files.line(text)
until(lambda: sink("syslog").get("last_error") and sink("fluent").get("last_error"), "the sinks to notice")
receivers["syslog"].start()
receivers["fluent"].start()
for name in ("syslog", "fluent", "mutual", "unverified"):
    until(lambda: len(texts(name)) >= COUNT, f"the rest at {name}")
    equal(texts(name) == wanted, True, f"{name}: each line, in order, over a kill of the receiver too" if name in ("syslog", "fluent") else f"{name}: each line, in order")
for name, words in (("stranger", "certificate"), ("system", "certificate"), ("name", "mismatch"), ("silent", "no connection yet")):
    has(until(lambda: sink(name).get("last_error"), f"{name} to fail"), words, f"{name}: it is said what is wrong")
    equal((receivers[name].messages(), sink(name)["sent_lines"]), ([], 0), "and nothing was sent")
until(lambda: sink("nobody").get("last_error"), "the one without a certificate to fail")
equal((receivers["nobody"].messages(), sink("nobody")["sent_lines"]), ([], 0), "a receiver that wants a certificate gets none, and nothing")
equal(world.stop(), 0, "gantryd ends well")

# settings
for options, words in ((f'to = "tls://127.0.0.1:1", tls_ca = "{folder}/nowhere.pem"', "nowhere.pem: No such file"),
                       (f'to = "tls://127.0.0.1:1", tls_ca = "{folder}/server.ext"', "server.ext: "),
                       (f'to = "tls://127.0.0.1:1", tls_certificate = "{folder}/client.pem"', "belong together"),
                       (f'to = "tls://127.0.0.1:1", tls_certificate = "{folder}/client.pem", tls_key = "{folder}/server.key"', "mismatch"),
                       (f'to = "tcp://127.0.0.1:1", tls_ca = "{folder}/ca.pem"', "is for tls://HOST:PORT only"),
                       ('to = "tls://nowhere"', "must name HOST:PORT"),
                       ('to = "https://nowhere"', "or tls://HOST:PORT")):
    refused = World(engine=False, endpoint="unix:///nowhere", settings=f'logs = {{ sinks = {{ {{ kind = "syslog", {options} }} }} }}')
    status, said = refused.refuses()
    equal((status != 0, words in said), (True, True), f"refused: {words}")
done()
