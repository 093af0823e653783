#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of real containers forwarded to Debian's own receivers: rsyslog by unix socket, UDP, TCP and TLS, systemd-journald read back
with journalctl, and for the Fluent protocol, of which Debian 12 has no receiver, a decoder that is not ours
(python3-msgpack). rsyslog is killed in the middle."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *
import msgpack
import threading

COUNT = 3000
NASTY = "é" * 20000

docker = Docker()
folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
udp, tcp, tls, fluent = free_port(socket.SOCK_DGRAM), free_port(), free_port(), free_port()
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=rsyslog",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"],
               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Rsyslog:
    def __init__(self):
        self.config, self.out = os.path.join(folder, "rsyslog.conf"), os.path.join(folder, "rsyslog.out")
        fields = " ".join(f'property(outname="{name}" name="{of}" format="jsonf") constant(value=",")' for name, of in
                          (("app", "app-name"), ("procid", "procid"), ("stream", "msgid"), ("data", "structured-data"), ("severity", "syslogseverity-text"),
                           ("facility", "syslogfacility-text"), ("host", "hostname"), ("input", "inputname")))
        with open(self.config, "w") as file:
            file.write(f"""global(workDirectory="{folder}" parser.escapeControlCharactersOnReceive="off")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="{folder}/log" useSpecialParser="off" parseHostname="on" RateLimit.Interval="0")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
input(type="imtcp" address="127.0.0.1" port="{tls}" name="imtls" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"
  streamDriver.CAFile="{folder}/certificate.pem" streamDriver.certFile="{folder}/certificate.pem" streamDriver.keyFile="{folder}/key.pem")
template(name="json" type="list") {{ constant(value="{{") {fields} property(outname="text" name="msg" format="jsonf") constant(value="}}\\n") }}
action(type="omfile" file="{self.out}" template="json")
""")
        self.process = None
        atexit.register(self.kill)

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", self.config, "-i", os.path.join(folder, "rsyslog.pid")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: socket.socket().connect_ex(("127.0.0.1", tcp)) == 0, "rsyslog")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        for name in ("rsyslog.pid", "log"):
            if os.path.exists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))

    def messages(self, input=None, app=None):
        found = []
        if os.path.exists(self.out):
            with open(self.out, errors="replace") as file:
                for line in file:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue  # cut by the kill
                    if input in (None, entry["input"]) and app in (None, entry["app"]):
                        found.append({**entry, "text": entry["text"][1:] if entry["text"].startswith(" ") else entry["text"]})
        return found


class Journald:
    """Debian's, in a mount namespace where /run is a folder of the test's."""

    def __init__(self):
        self.run = os.path.join(folder, "run")
        os.makedirs(os.path.join(self.run, "systemd/journal"))
        os.makedirs(os.path.join(self.run, "log"))
        script = f"""mount --bind {self.run} /run && mount -t tmpfs none /etc/systemd &&
printf '[Journal]\\nStorage=volatile\\nForwardToSyslog=no\\nForwardToWall=no\\nReadKMsg=no\\nAudit=no\\nRateLimitIntervalSec=0\\n' >/etc/systemd/journald.conf &&
exec /lib/systemd/systemd-journald"""
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.stop)
        self.socket = os.path.join(self.run, "systemd/journal/socket")
        self.up = until(lambda: os.path.exists(self.socket) or self.process.poll() is not None, "journald") and self.process.poll() is None

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def entries(self, *matches):
        result = subprocess.run(["journalctl", "-D", os.path.join(self.run, "log/journal"), "-o", "json", "--all", "--no-pager", *matches],
                                capture_output=True, text=True)
        return [json.loads(line) for line in result.stdout.splitlines()]


class Fluent:
    def __init__(self):
        self.records, self.server = [], socket.create_server(("127.0.0.1", fluent))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer = self.server.accept()[0]
            unpacker = msgpack.Unpacker(raw=False, timestamp=0, ext_hook=lambda code, data: int.from_bytes(data[:4], "big"))
            while data := peer.recv(65536):
                unpacker.feed(data)
                for tag, entries, option in unpacker:
                    self.records += [(tag, *entry) for entry in entries]
                    peer.sendall(msgpack.packb({"ack": option["chunk"]}))


rsyslog, journald, receiver = Rsyslog(), Journald(), Fluent()
rsyslog.start()
world = docker.world(settings=f"""logs = {{ sinks = {{
  {{ kind = "syslog", name = "unix", to = "unix://{folder}/log", facility = "local3" }},
  {{ kind = "syslog", name = "udp", to = "udp://127.0.0.1:{udp}" }},
  {{ kind = "syslog", name = "tcp", to = "tcp://127.0.0.1:{tcp}" }},
  {{ kind = "syslog", name = "tls", to = "tls://127.0.0.1:{tls}", tls_ca = "{folder}/certificate.pem" }},
  {{ kind = "journald", to = "unix://{journald.socket}" }},
  {{ kind = "fluent", to = "tcp://localhost:{fluent}" }},
}} }}""").start()
INPUTS = {"unix": "imuxsock", "udp": "imudp", "tcp": "imtcp", "tls": "imtls"}

script = "echo hello; echo err >&2; printf 'é%.0s' $(seq 20000); echo; head -c 300000 /dev/zero | tr '\\0' x; echo; echo 'quote \"]\\ end'; printf last"
equal(world.spawn(name="web", image=IMAGE, command=["sh", "-c", script], log={"driver": "local"}).status, 201, "a container prints")
for name, input in INPUTS.items():
    found = until(lambda: (m := rsyslog.messages(input, "web")) and m[-1]["text"] == "last" and m, f"its last line at rsyslog by {name}")
    hello, error = (next(m for m in found if m["text"] == text) for text in ("hello", "err"))
    equal((hello["severity"], hello["procid"], hello["stream"], hello["host"], error["severity"], error["stream"]),
          ("info", "1", "stdout", socket.gethostname(), "err", "stderr"), f"rsyslog by {name}: header fields")
    equal(hello["facility"], "local3" if name == "unix" else "daemon", f"rsyslog by {name}: the facility")
    has(hello["data"], f'instance="{world.instance("web")["id"]}"', f"rsyslog by {name}: structured data")
    long = [m["text"] for m in found if "part=" in m["data"]]
    equal("".join(text for text in long if "é" in text) == NASTY, True, f"rsyslog by {name}: a long line, in parts")
    if name != "udp":  # more at once than its socket has room for
        equal("".join(text for text in long if "x" in text) == "x" * 300000, True, f"rsyslog by {name}: a longer one")
    has([m["text"] for m in found], 'quote "]\\ end', f"rsyslog by {name}: what structured data would escape")

if journald.up:
    entries = until(lambda: (e := journald.entries("CONTAINER_NAME=web")) and len(e) == 6 and e, "six entries of the journal")
    messages = [entry["MESSAGE"] for entry in entries]
    equal(sorted(messages) == sorted(["hello", "err", NASTY, "x" * 300000, 'quote "]\\ end', "last"]), True, "journal: the lines, whole")
    error = next(entry for entry in entries if entry["MESSAGE"] == "err")
    equal((error["PRIORITY"], error["SYSLOG_IDENTIFIER"], error["GANTRY_STREAM"], error["IMAGE_NAME"], error["GANTRY_INSTANCE"]),
          ("3", "web", "stderr", IMAGE, world.instance("web")["id"]), "journal: fields")
else:
    skip(2, "systemd-journald does not run in a mount namespace here")

found = until(lambda: [r for r in receiver.records if r[2].get("log") == "last"] and list(receiver.records), "its last line by the Fluent protocol")
equal({tag for tag, _, _ in found}, {"gantry.default.web"}, "fluent: the tag, to msgpack's own decoder")
equal(sorted(record["log"] for _, _, record in found) == sorted(["hello", "err", NASTY, "x" * 300000, 'quote "]\\ end', "last"]), True, "fluent: the lines, whole")
ok(all(abs(at - time.time()) < 600 for _, at, _ in found), "fluent: the time of each")

# rsyslog is killed in the middle, with what it has not written yet
equal(world.spawn(name="many", image=IMAGE, command=["sh", "-c", f"for i in $(seq {COUNT}); do echo line $i; done; sleep 1000"]).status, 201, "another one prints")
until(lambda: rsyslog.messages("imtcp", "many"), "some of it")
rsyslog.kill()
rsyslog.start()
for name in ("unix", "tcp", "tls"):
    wanted = [f"line {number}" for number in range(1, COUNT + 1)]
    until(lambda: set(wanted) <= {m["text"] for m in rsyslog.messages(INPUTS[name], "many")}, f"all lines by {name}")
    texts = [m["text"] for m in rsyslog.messages(INPUTS[name], "many")]
    equal(list(dict.fromkeys(texts)) == wanted, True, f"rsyslog by {name}: killed and started again it has all lines, in order ({len(texts)} for {COUNT})")
until(lambda: all(sink["state"] == "idle" for sink in world.get("/v1/logs/sinks").json["sinks"]), "nothing to wait")
equal(world.stop(), 0, "gantryd ends well")
done()
