#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver of log lines, as a process that can be killed: `receiver.py KIND ADDRESS FILE [PEM [CA]]` writes each message that it
gets to FILE, as an object of JSON a line. KIND: syslog, journald, fluent, or stuck, which accepts and never reads.
ADDRESS as gantry.lua has it; for tls:// PEM has certificate and key, and with a CA clients must have one of that.
As a module: Receiver, which starts one."""
import base64
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys

HEAD = re.compile(rb'<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) \[(\S+)((?: [a-z]+="(?:[^"\\\]]|\\.)*")*)\] ')
PARAM = re.compile(r' ([a-z]+)="((?:[^"\\\]]|\\.)*)"')


def text_of(data):
    """Text, or base64 where it is no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def syslog(message):
    head = HEAD.match(message)
    if not head:
        return {"bad": repr(message[:200])}
    names = ("priority", "time", "host", "app", "procid", "msgid", "id")
    found = {name: value.decode() for name, value in zip(names, head.groups())}
    found["data"] = {name: re.sub(r"\\(.)", r"\1", value) for name, value in PARAM.findall(head[8].decode())}
    return {**found, "text": text_of(message[head.end():]), "length": len(message)}


def syslog_stream(data):
    """The messages of a stream with octet counting, and what is left."""
    found = []
    while (match := re.match(rb"(\d{1,7}) ", data)) and len(data) >= match.end() + int(match[1]):
        end = match.end() + int(match[1])
        found.append(syslog(data[match.end():end]))
        data = data[end:]
    if data and not re.match(rb"\d{1,7}( |$)", data):
        found.append({"bad": repr(data[:200])})
    return found, data


def journald(message):
    fields = {}
    while message:
        name, _, rest = message.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            message = rest
        else:
            size = struct.unpack("<Q", rest[:8])[0]
            value, message = rest[8:8 + size], rest[8 + size + 1:]
        fields[name.decode()] = text_of(value)
    return fields


class More(Exception):
    """The message is not all there."""


def unpack(data, at=0):
    """One value of msgpack: (value, where the next one begins)."""
    def take(count):
        if at + 1 + count > len(data):
            raise More
        return data[at + 1:at + 1 + count]

    def items(count, start):
        found = []
        for _ in range(count):
            value, start = unpack(data, start)
            found.append(value)
        return found, start

    def pairs(count, start):
        found, start = items(2 * count, start)
        return dict(zip(found[::2], found[1::2])), start

    if at >= len(data):
        raise More
    head = data[at]
    if head < 0x80:
        return head, at + 1
    if head < 0x90:
        return pairs(head & 15, at + 1)
    if head < 0xa0:
        return items(head & 15, at + 1)
    if head < 0xc0:
        return take(head & 31).decode(), at + 1 + (head & 31)
    if head in (0xc2, 0xc3):
        return head == 0xc3, at + 1
    if head == 0xcf:
        return struct.unpack(">Q", take(8))[0], at + 9
    if head == 0xd7:
        kind, seconds, rest = struct.unpack(">BII", take(9))
        assert kind == 0
        return seconds * 10**9 + rest, at + 10
    size = struct.unpack(">I", take(4))[0]
    if head == 0xdd:
        return items(size, at + 5)
    if head not in (0xdb, 0xc6):
        raise ValueError(f"byte {head:#x}")
    value = take(4 + size)[4:]
    return value.decode() if head == 0xdb else {"base64": base64.b64encode(value).decode()}, at + 5 + size


def fluent_stream(data):
    """The messages of a stream, and what is left."""
    found = []
    try:
        while data:
            (tag, entries, option), end = unpack(data)
            found.append({"tag": tag, "entries": entries, "option": option})
            data = data[end:]
    except More:
        pass
    return found, data


def listen(address, kind):
    """A socket, bound as the address says."""
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        if os.path.exists(rest):
            os.unlink(rest)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if kind == "fluent" else socket.SOCK_DGRAM)
        sock.bind(rest)
    else:
        host, _, port = rest.rpartition(":")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    if sock.type == socket.SOCK_STREAM:
        sock.listen()
    return sock


def main():
    kind, address, path, *pem = sys.argv[1:]
    sock = listen(address, kind)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem and kind != "stuck" else None
    if context:
        context.load_cert_chain(pem[0])
    if context and len(pem) > 1:
        context.load_verify_locations(pem[1])
        context.verify_mode = ssl.CERT_REQUIRED
    out = open(path, "a")
    print("ready", flush=True)

    def keep(messages):
        for message in messages:
            out.write(json.dumps(message) + "\n")
        out.flush()

    if kind == "stuck":
        if sock.type == socket.SOCK_DGRAM:
            signal.pause()
        peers = []
        while True:
            peers.append(sock.accept())
    if sock.type == socket.SOCK_DGRAM:
        while True:
            data, fds, _, _ = socket.recv_fds(sock, 1 << 20, 1)
            by_file = bool(fds)
            for fd in fds:
                with open(fd, "rb") as file:
                    file.seek(0)
                    data = file.read()
            keep([journald(data) if kind == "journald" else syslog(data)] if not by_file else [{**journald(data), "by_file": True}])
    while True:
        peer, data = sock.accept()[0], b""
        try:
            peer = context.wrap_socket(peer, server_side=True) if context else peer
        except OSError:
            continue
        while True:
            try:
                more = peer.recv(65536)
            except OSError:
                break
            if not more:
                break
            messages, data = (fluent_stream if kind == "fluent" else syslog_stream)(data + more)
            keep(messages)
            for message in messages:
                chunk = message.get("option", {}).get("chunk") if kind == "fluent" else None
                if chunk:
                    peer.sendall(b"\x81\xa3ack" + bytes([0xa0 | len(chunk)]) + chunk.encode())


class Receiver:
    """kind and address as above; start and kill as often as one likes, messages() has all that came."""

    def __init__(self, folder, name, kind, address, *pem):
        self.kind, self.address, self.path, self.pem = kind, address, os.path.join(folder, f"{name}.received"), pem
        self.process = None
        open(self.path, "w").close()

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), self.kind, self.address, self.path, *self.pem],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def messages(self):
        """One that a kill has left in half is none."""
        found = []
        with open(self.path) as file:
            for line in file:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    pass
        return found

    def lines(self):
        """(name, cursor, text) of each line, in the order they came."""
        found = []
        for message in self.messages():
            if self.kind == "syslog":
                found.append((message["app"], message["data"]["cursor"], message["text"]) if "app" in message else ("?", "?", message))
            elif self.kind == "journald":
                found.append((message["CONTAINER_NAME"], message["GANTRY_CURSOR"], message["MESSAGE"]))
            else:
                found += [(record["container_name"], record["cursor"], record.get("log", record.get("gap"))) for _, record in message["entries"]]
        return found


if __name__ == "__main__":
    main()
