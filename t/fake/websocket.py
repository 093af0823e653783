# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client that sends frames as they are told, right or wrong; not our own code, nor wslay."""

import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def handshake(path="/", protocols=None, headers=(), key=None, replace=None):
    """The bytes of the request; replace: {header: value or None} of the usual ones."""
    fields = {"Host": "x", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
              "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode()}
    if protocols:
        fields["Sec-WebSocket-Protocol"] = protocols
    fields.update(replace or {})
    lines = [f"GET {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items() if value is not None] + list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def frame(opcode, data=b"", fin=True, mask=True, reserved=0, length=None):
    """length: what the head says, where that is not the truth."""
    head = bytes([(0x80 if fin else 0) | reserved | opcode])
    size = len(data) if length is None else length
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + data
    key = os.urandom(4)
    wide = (key * (len(data) // 4 + 1))[:len(data)]
    return head + key + (int.from_bytes(data, "big") ^ int.from_bytes(wide, "big")).to_bytes(len(data), "big")


class WebSocket:
    """On a client of http_client.py (or anything with send and take) that has had its 101."""

    def __init__(self, client):
        self.client = client

    def send(self, data, opcode=None, **how):
        if isinstance(data, str):
            return self.client.send(frame(TEXT if opcode is None else opcode, data.encode(), **how))
        return self.client.send(frame(BINARY if opcode is None else opcode, data, **how))

    def frame(self):
        """(opcode, data), or None at the end; a server's frame is neither masked nor in parts."""
        head = self.client.take(2)
        if head is None:
            return None
        assert head[0] & 0x70 == 0 and head[0] & 0x80 and not head[1] & 0x80, head
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", self.client.take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.client.take(8))[0]
        data = self.client.take(size)
        return None if data is None else (head[0] & 15, data)

    def message(self):
        """The next message, pings answered: str or bytes; (code, reason) of a close; None at the end."""
        while (got := self.frame()):
            opcode, data = got
            if opcode == PING:
                self.client.send(frame(PONG, data))
            elif opcode == CLOSE:
                return (struct.unpack(">H", data[:2])[0], data[2:].decode()) if data else (1005, "")
            elif opcode != PONG:
                return data.decode() if opcode == TEXT else data
        return None
