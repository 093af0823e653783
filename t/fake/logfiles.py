# SPDX-License-Identifier: Apache-2.0
"""Writes log files as the engine's drivers do: json-file and local, parts of 16 KiB, rotation, compression."""
import datetime
import gzip
import json
import os
import struct
import time

PART = 16384


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


class LogFiles:
    """folder is what the fake engine is given as label fake.log of a container."""

    def __init__(self, folder, driver="json-file", size=1 << 40, files=1, compress=False):
        self.folder, self.driver, self.size, self.files, self.compress = folder, driver, size, files, compress
        self.path = os.path.join(folder, "local-logs/container.log" if driver == "local" else "container-json.log")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.file = open(self.path, "ab")
        self.last_ns, self.parts = 0, 0

    def now(self):
        self.last_ns = max(time.time_ns(), self.last_ns + 1)
        return self.last_ns

    def message(self, stream, data, ns, ordinal=0, last=False):
        """The bytes of one message; ordinal: of a part of a longer line."""
        if self.driver == "json-file":
            if ordinal == 0 or last:
                data += b"\n"
            text = json.dumps(data.decode(errors="replace"), ensure_ascii=False)
            seconds, rest = divmod(ns, 10**9)
            at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            return f'{{"log":{text},"stream":"{stream}","time":"{at}.{rest:09}Z"}}\n'.encode()
        body = field(1, stream.encode()) + b"\x10" + varint(ns) + field(3, data)
        if ordinal:
            meta = (b"\x08\x01" if last else b"") + field(2, b"p%d" % self.parts) + b"\x18" + varint(ordinal)
            body += b"\x20\x01" + field(5, meta)
        return struct.pack(">I", len(body)) + body + struct.pack(">I", len(body))

    def raw(self, data):
        """Bytes as they are, at the end of the file."""
        self.file.write(data)
        self.file.flush()

    def put(self, message):
        if self.file.tell() >= self.size:
            self.rotate()
        self.raw(message)

    def rotate(self):
        self.file.close()
        if self.files > 1:
            for end in ("", ".gz"):
                if os.path.exists(f"{self.path}.{self.files - 1}{end}"):
                    os.unlink(f"{self.path}.{self.files - 1}{end}")
            for number in range(self.files - 1, 1, -1):
                for end in ("", ".gz"):
                    if os.path.exists(f"{self.path}.{number - 1}{end}"):
                        os.rename(f"{self.path}.{number - 1}{end}", f"{self.path}.{number}{end}")
            os.rename(self.path, self.path + ".1")
        self.file = open(self.path, "wb")
        if self.files > 1 and self.compress:
            with open(self.path + ".1", "rb") as plain, gzip.open(self.path + ".1.gz", "wb") as packed:
                packed.write(plain.read())
            os.unlink(self.path + ".1")

    def line(self, data, stream="stdout", newline=True, ns=None):
        """One line as the engine's copier cuts it; newline False: the process ends with it."""
        data = data if isinstance(data, bytes) else data.encode()
        ns = ns or self.now()
        if len(data) < PART and newline:
            self.put(self.message(stream, data, ns))
            return
        self.parts += 1
        pieces = [data[at:at + PART] for at in range(0, len(data), PART)] or [b""]
        if newline and len(pieces[-1]) == PART:
            pieces.append(b"")
        for number, piece in enumerate(pieces, 1):
            self.put(self.message(stream, piece, ns, number, newline and number == len(pieces)))

    def close(self):
        self.file.close()
