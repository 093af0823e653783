# SPDX-License-Identifier: Apache-2.0
"""A client of gantryd's consoles, on a unix socket."""
import json
import socket

from daemon import LIMIT
from http_client import Client
from websocket import WebSocket, handshake

OWN, PLAIN = "v1.attach.gantry", "v5.channel.k8s.io"
INPUT, OUTPUT, ERRORS, STATUS, RESIZE, CONTROL = range(6)


class Console(WebSocket):
    """A console: its output by channel, its control messages, its status and how it was closed."""

    def __init__(self, world, target, protocol=OWN):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(LIMIT)
        sock.connect(world.socket)
        super().__init__(Client(sock))
        self.client.send(handshake(target, protocol))
        reply = self.client.head()
        self.status, self.protocol = reply.status, reply.headers.get("sec-websocket-protocol")
        self.got = {OUTPUT: bytearray(), ERRORS: bytearray()}
        self.control, self.told, self.closed = [], None, None
        if self.status != 101:
            self.problem = json.loads(self.client.take(int(reply.headers["content-length"])))
            sock.close()

    def put(self, data, channel=INPUT):
        return self.send(bytes([channel]) + (data if isinstance(data, bytes) else json.dumps(data).encode()))

    def end_input(self):
        self.send(b"\xff\0")

    def read(self):
        """One message; False at the end."""
        message = self.message()
        if isinstance(message, bytes):
            if message[0] in self.got:
                self.got[message[0]] += message[1:]
            elif message[0] == CONTROL:
                self.control.append(json.loads(message[1:]))
            else:
                self.told = json.loads(message[1:])
            return True
        self.closed = message
        return False

    def read_until(self, condition):
        while not condition() and self.read():
            pass
        return condition()

    def rest(self):
        while self.read():
            pass
        self.client.sock.close()
        return self

    def role(self):
        """The role that was told last."""
        self.read_until(lambda: self.roles())
        return self.roles()[-1]["role"]

    def roles(self):
        return [one for one in self.control if one["type"] == "role"]

    def leave(self):
        self.client.sock.close()
