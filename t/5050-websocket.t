#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""WebSocket: the handshake, messages, closes, hostile peers, slow ones, and the server's own end."""
import os
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from http_client import *
from websocket import *

CONSOLES = 50 if VG else 500


def open_socket(server, path="/socket", unix=False, protocols=None, headers=(), behind=b""):
    client = server.connect(unix)
    key = base64.b64encode(os.urandom(16)).decode()
    client.send(handshake(path, protocols, headers, key) + behind)
    reply = client.head()
    equal((reply.status, reply.headers.get("sec-websocket-accept")), (101, accept_of(key)), f"{path} is accepted")
    return WebSocket(client), reply


# --- handshake --------------------------------------------------------------------------------------
with Server() as server:
    for what, status, change in (
            ("without Upgrade", 426, {"Upgrade": None}), ("Upgrade: h2c", 426, {"Upgrade": "h2c"}),
            ("without Connection", 426, {"Connection": "keep-alive"}), ("an old version", 426, {"Sec-WebSocket-Version": "8"}),
            ("no version", 426, {"Sec-WebSocket-Version": None}), ("no key", 400, {"Sec-WebSocket-Key": None}),
            ("a short key", 400, {"Sec-WebSocket-Key": "YWJj"}), ("a key that is no base64", 400, {"Sec-WebSocket-Key": "!" * 22 + "=="}),
            ("a body", 400, {"Content-Length": "2"}), ("another protocol", 400, {"Sec-WebSocket-Protocol": "none-of-ours"})):
        reply = server.ask(handshake("/socket", replace=change) + (b"xx" if what == "a body" else b""))
        equal(reply.status, status, f"{what} is refused")
        if status == 426:
            equal((reply.headers.get("upgrade"), reply.headers.get("sec-websocket-version")), ("websocket", "13"), "saying what is spoken")
    equal(server.ask(handshake("/socket").replace(b"HTTP/1.1", b"HTTP/1.0")).status, 400, "HTTP/1.0 is refused")
    equal(server.ask(handshake("/socket").replace(b"GET", b"POST")).status, 400, "POST is refused")
    reply = server.ask(handshake("/hello"))
    equal((reply.status, reply.body), (200, b"hello\n"), "where there is none, it is answered as if it had not asked")
    for asked, got in ((None, None), ("second", "second"), ("other, second , best", "best")):
        ws, reply = open_socket(server, protocols=asked)
        equal(reply.headers.get("sec-websocket-protocol"), got, f"asked for {asked}, the protocol is {got}")
        ws.client.sock.close()
    ws, reply = open_socket(server, headers=["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: best"])
    equal(reply.headers.get("sec-websocket-protocol"), "best", "protocols may come in two headers")
    ws, _ = open_socket(server, headers=["Origin: https://site.example"])
    ws.send("origin")
    equal(ws.message(), "https://site.example", "the handler sees Origin")

    # --- messages ---------------------------------------------------------------------------------------
    for unix in (True, False):
        ws, _ = open_socket(server, unix=unix)
        for data in ("text ä€😀", b"", "", bytes(range(256)), b"x" * 125, b"y" * 126, b"z" * 65535, os.urandom(65536), os.urandom(1024 * 1024)):
            ws.send(data)
            ok(ws.message() == data, f"{len(data)} bytes of {type(data).__name__} come back")
        ws.send("ab", fin=False)
        ws.send(b"!", PING)
        equal(ws.frame(), (PONG, b"!"), "a ping between the parts of a message is answered")
        ws.send(b"cd", 0, fin=False)
        ws.send(b"ef", 0)
        equal(ws.message(), "abcdef", "a message in parts")
        for byte in frame(TEXT, b"slowly"):
            ws.client.send(bytes([byte]))
        equal(ws.message(), "slowly", "a message byte by byte")
        ws.client.send(frame(CLOSE, struct.pack(">H", 1000) + b"done"))
        equal(ws.message(), (1000, "done"), "a close is answered")
        ok(ws.client.ended(), "and the connection ends")
    ok(until(lambda: server.stats()["last_close"] == 1000), "the handler hears of the code")
    for path in ("/socket", "/socket?late=50"):
        ws, _ = open_socket(server, path, behind=frame(TEXT, b"one") + frame(BINARY, b"two"))
        equal((ws.message(), ws.message()), ("one", b"two"), "what came right behind the request is its own")
        ws.client.sock.close()
    ws, _ = open_socket(server)
    ws.send("close 4123 " + "ä" * 100)
    code, reason = ws.message()
    equal((code, reason), (4123, "ä" * 61), "the server closes with a code and a reason, which is cut between characters")
    ok(ws.client.ended(), "and nothing after it")
    gone = server.stats()["gone"]

    # --- hostile ------------------------------------------------------------------------------------
    for what, code, data in (
            ("an unmasked frame", 1002, frame(TEXT, b"x", mask=False)), ("a bad opcode", 1002, frame(3, b"x")),
            ("a reserved bit", 1002, frame(TEXT, b"x", reserved=0x40)), ("a control frame in parts", 1002, frame(PING, b"x", fin=False)),
            ("a control frame that is long", 1002, frame(PING, b"x" * 126)), ("a part without a beginning", 1002, frame(0, b"x")),
            ("a message amid another", 1002, frame(TEXT, b"x", fin=False) + frame(TEXT, b"y")),
            ("text that is no UTF-8", 1007, frame(TEXT, b"a\xff\xfeb")), ("a surrogate in text", 1007, frame(TEXT, b"\xed\xa0\x80")),
            ("text that ends amid a character", 1007, frame(TEXT, b"\xe2\x82")),
            ("a close of one byte", 1005, frame(CLOSE, b"x")), ("a close with a code that must not be sent", 1002, frame(CLOSE, struct.pack(">H", 1005))),
            ("a message over the limit", 1009, frame(BINARY, b"x" * (1024 * 1024 + 1))),
            ("parts that add up to more", 1009, frame(BINARY, b"x" * 700000, fin=False) + frame(0, b"x" * 700000)),
            ("a length that nobody has", 1009, frame(BINARY, b"x", length=1 << 62)),
            ("a length of more than 63 bits", 1002, frame(BINARY, b"x", length=(1 << 64) - 1))):
        ws, _ = open_socket(server)
        ws.client.send(data)
        equal(ws.message()[0], code, f"{what} is closed with {code}")
        ok(ws.client.ended(), "and the connection ends")
        gone += 1
        ok(until(lambda: server.stats()["gone"] == gone), "the handler is told")
        equal(server.stats()["last_close"], code, "with the code")
    for half in (True, False):
        ws, _ = open_socket(server)
        ws.client.send(frame(BINARY, b"x" * 100)[:50])
        if half:
            ws.client.sock.shutdown(socket.SHUT_WR)
        else:
            ws.client.sock.close()
        gone += 1
        ok(until(lambda: server.stats()["gone"] == gone), f"a peer that ends its side amid a message ({half}) is gone")
        equal(server.stats()["last_close"], 1006, "without a code")
        ws.client.sock.close()

    # --- slow ---------------------------------------------------------------------------------------
    ws, _ = open_socket(server)
    ws.send("rest 300")
    for _ in range(64):
        ws.send(b"r" * 60000)
    got = [ws.message() for _ in range(64)]
    ok(all(one == b"r" * 60000 for one in got), "a reader that rests gets everything afterwards")
    ws, _ = open_socket(server)
    before = server.rss_kib()
    ws.send("flood 200000000")
    ok(settled(lambda: server.stats()["streamed"]), "a peer that does not read is waited for")
    streamed = server.stats()["streamed"]
    ok(0 < streamed < 20000000, f"with no more than buffers full ({streamed} bytes)")
    ok(SLOW or server.rss_kib() - before < 8000, f"in little memory ({server.rss_kib() - before} KiB)")
    total = 0
    while total < 200000000:
        total += len(ws.message())
    equal(total, 200000000, "and then gets all of it")
    ws, _ = open_socket(server)
    gone = server.stats()["gone"]
    ws.send("regardless")
    ok(until(lambda: server.stats()["gone"] > gone), "who writes without looking has the peer cut")

    # --- many ---------------------------------------------------------------------------------------
    ws = None
    ok(until(lambda: server.stats()["open"] == 1 and settled(server.descriptors)), "nobody is left")
    before = server.descriptors()
    for number in range(CONSOLES):
        client = server.connect(number % 2)
        client.send(handshake("/socket"))
        client.head()
        if number % 3:
            WebSocket(client).send(b"x" * 1000)
        client.sock.close()
    ok(until(lambda: server.stats()["open"] == 1), f"{CONSOLES} that were dropped are gone")
    ok(until(lambda: server.descriptors() == before), "and no descriptor is left")

# --- silence ----------------------------------------------------------------------------------------
with Server("--ping-ms", "200", name="the server that asks") as server:
    ws, _ = open_socket(server)
    equal(ws.frame(), (PING, b""), "a silent peer is asked")
    ws.send(b"", PONG)
    equal(ws.frame(), (PING, b""), "and asked again once it has answered")
    ok(until(lambda: server.stats()["gone"] == 1), "one that does not answer is dropped")
    ws, _ = open_socket(server)
    ws.send("rest 900")
    ws.send("after")
    while (got := ws.message()) == b"":
        pass
    equal(got, "after", "who is not read is not asked in vain")

# --- the server's end -------------------------------------------------------------------------------
with Server() as server:
    told, _ = open_socket(server, "/socket?stop")
    plain, _ = open_socket(server, unix=True)
    resting, _ = open_socket(server)
    resting.send("rest 60000")
    resting.client.send(frame(PING))
    server.terminate()
    equal((told.message(), told.message()), ("last word", (1001, "bye")), "when the server stops, a handler may say a last word")
    equal(plain.message(), (1001, "the server stops"), "else the peer is told why")
    equal(resting.message(), (1001, "the server stops"), "also one that is not read")
    for ws in (told, plain, resting):
        ws.client.sock.close()
    has(server.stop(), "closed gone=2 stopped=1", "the handlers are told")

# --- TLS --------------------------------------------------------------------------------------------
with tempfile.TemporaryDirectory(prefix="gantry-websocket-") as folder:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ws",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key", "-out", f"{folder}/pem"], check=True, capture_output=True)
    with Server(tls=(f"{folder}/pem", f"{folder}/key", f"{folder}/pem"), name="the server with TLS") as server:
        context = ssl.create_default_context(cafile=f"{folder}/pem")
        context.load_cert_chain(f"{folder}/pem", f"{folder}/key")
        client = Client(context.wrap_socket(socket.create_connection(("127.0.0.1", server.tls_port), timeout=LIMIT), server_hostname="127.0.0.1"))
        client.send(handshake("/socket") + frame(TEXT, b"at once"))
        equal(client.head().status, 101, "over TLS")
        ws = WebSocket(client)
        equal(ws.message(), "at once", "with what came right behind it")
        data = os.urandom(1024 * 1024)
        for _ in range(8):
            ws.send(data)
            ok(ws.message() == data, "a large message comes back")
        ws.send("rest 200")
        ws.send(data)
        ok(ws.message() == data, "after a rest too")
        ws.send("flood 30000000")
        total = 0
        while total < 30000000:
            total += len(ws.message())
        equal(total, 30000000, "a flood that is read arrives")
        client.send(frame(CLOSE, struct.pack(">H", 1000)))
        equal(ws.message(), (1000, ""), "and is closed well")
        client.sock.close()

finish()
