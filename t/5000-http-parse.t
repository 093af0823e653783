#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Requests as they should and should not be: framing, headers, targets, and their limits."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from http_client import *


def refused(server, data, status, name, close=True):
    """Answered with a problem of that status, readable, and the connection closed after it."""
    with server.connect() as client:
        client.send(data)
        reply = client.reply()
        problem = {}
        if reply.whole and reply.headers.get("content-type") == "application/problem+json":
            problem = json.loads(reply.body)
        equal((reply.status, problem.get("status"), problem.get("type"), bool(problem.get("detail"))),
             (status, status, "about:blank", True), name)
        if reply.status != status:
            say(repr(reply))
        ok(client.ended(), f"{name}: closed after")


def about(server, data):
    return json.loads(server.ask(data).body or b"{}")


with Server() as server:
    reply = server.ask(request())
    equal((reply.status, reply.body, reply.headers["content-length"]), (200, b"hello\n", "6"), "a plain GET")
    ok("date" in reply.headers and "connection" not in reply.headers, "with a date, and kept alive")

    # what a handler sees
    seen = about(server, request("/a%20b?after=7&x=%C3%A4+b&bad=%zz&nul=%00&flag&=v&after=8", headers=["X-Test:  two words \t"]))
    equal(seen["path"], "/a%20b", "the path comes as it is")
    equal(seen["raw"], "after=7&x=%C3%A4+b&bad=%zz&nul=%00&flag&=v&after=8", "so does the query")
    equal(seen["query"]["x"], "ä b", "a parameter is decoded")
    equal((seen["query"]["bad"], seen["query"]["nul"], seen["query"]["flag"], seen["query"][""]),
         ("(ill-formed)", "(ill-formed)", "", "v"), "ill-formed and empty ones are told apart")
    equal(seen["after"], "7", "the first of two counts")
    equal(seen["x-test"], "two words", "a header is trimmed")
    equal((seen["listener"], seen["address"], seen["local"]), ("tcp", "127.0.0.1", False), "the peer over TCP")
    seen = json.loads(server.ask(request("/about"), unix=True).body)
    equal((seen["listener"], seen["local"], seen["uid"], seen["pid"]), ("unix", True, os.getuid(), os.getpid()),
         "the peer over the unix socket is the kernel's word")

    # targets
    seen = about(server, request("http://other:80/about?x=1"))
    equal((seen["path"], seen["raw"]), ("/about", "x=1"), "an absolute URL is taken apart")
    equal(about(server, request("HTTPS://other"))["path"], "/", "without a path")
    equal((about(server, request("http://other?q=1"))["path"], about(server, request("http://other?q=1"))["raw"]), ("/", "q=1"),
         "with a query alone")
    equal(about(server, request("*", method="OPTIONS"))["path"], "*", "OPTIONS *")
    refused(server, request("*"), 400, "GET *")
    refused(server, request("http:///about"), 400, "an absolute URL without a host")
    refused(server, request("ftp://x/"), 400, "another scheme")
    refused(server, request("/a#b"), 400, "a fragment")
    refused(server, request("/\xe4"), 400, "a byte that is not ASCII")
    refused(server, request("x:443", method="CONNECT"), 405, "CONNECT")

    # the head
    refused(server, request(method="BREW"), 400, "an unknown method")
    refused(server, request(method="get"), 400, "a method in small letters")
    refused(server, request(version="2.0"), 505, "HTTP/2.0")
    refused(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "the preface of HTTP/2")
    refused(server, request(version="1.2"), 505, "HTTP/1.2")
    refused(server, request(version="0.9"), 505, "HTTP/0.9")
    refused(server, b"GET /hello\r\n\r\n", 505, "no version")
    refused(server, request(host=False), 400, "no Host")
    refused(server, request(headers=["Host: y"]), 400, "two Hosts")
    refused(server, request(headers=["Host: x"]), 400, "the same Host twice")
    refused(server, request(host=False, headers=["Host: a b"]), 400, "a Host with a space")
    refused(server, request(host=False, headers=["Host: user@x"]), 400, "a Host with a user")
    equal(server.ask(request(host=False, headers=["Host:"])).status, 200, "an empty Host is one")
    refused(server, request(headers=["X-A : 1"]), 400, "a space before the colon")
    refused(server, request(headers=["X-A: 1\r\n folded"]), 400, "a folded header")
    refused(server, request(headers=["X-A:\r\n\tfolded"]), 400, "a folded header with an empty first line")
    refused(server, b"GET /hello HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n", 400, "a fold after the request line")
    refused(server, b"GET /hello HTTP/1.1\nHost: x\n\n", 400, "bare LF")
    refused(server, b"GET /hello HTTP/1.1\r\nHost: x\n\r\n", 400, "bare LF after a header")
    refused(server, b"GET /hello HTTP/1.1\r\nHost: x\r\n\n", 400, "bare LF at the end")
    refused(server, b"GET /hello HTTP/1.1\r\nHost: x\rX-A: 1\r\n\r\n", 400, "bare CR")
    refused(server, request(headers=["X-A: a\0b"]), 400, "a NUL in a header")
    refused(server, request(headers=["X\0A: ab"]), 400, "a NUL in a header's name")
    refused(server, request(headers=["nothing"]), 400, "a header without a colon")
    refused(server, request(headers=[": 1"]), 400, "a header without a name")
    refused(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "TLS on a plain port")
    equal(server.ask(b"\r\n" + request()).status, 200, "an empty line in front is forgiven")

    # framing of the body
    post = "POST /echo HTTP/1.1\r\nHost: x\r\n"
    both = (post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode()
    refused(server, both, 400, "Content-Length and Transfer-Encoding")
    both = (post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n").encode()
    refused(server, both, 400, "Transfer-Encoding and Content-Length")
    for values, name in ((("3", "4"), "two Content-Lengths"), (("3", "3"), "the same Content-Length twice"),
                         (("3, 3",), "a list of lengths"), (("+3",), "a signed length"), (("-1",), "a negative length"),
                         (("0x3",), "a hexadecimal length"), (("",), "an empty length"), (("1" * 30,), "a huge length")):
        lines = "".join(f"Content-Length: {value}\r\n" for value in values)
        refused(server, (post + lines + "\r\nabc").encode(), 400, name)
    refused(server, (post + "Content-Length: 9999999999999999999\r\n\r\nabc").encode(), 413, "a length over 2^63")
    for coding, status in (("gzip", 501), ("identity", 501), ("gzip, chunked", 501), ("chunked, gzip", 400), ("xchunked", 501),
                           ("chunked, chunked", 400), ("\x0bchunked", 400), ("chunked;q=1", 501)):
        data = (post + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n").encode()
        with server.connect() as client:
            client.send(data)
            reply = client.reply()
            ok(reply.status in (400, 501), f"Transfer-Encoding {coding!r} is refused ({reply.status})")
            ok(client.ended(), "and the connection closed")
    refused(server, (post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode(), 400,
            "Transfer-Encoding twice")
    refused(server, b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "chunked in HTTP/1.0")
    chunked = (post + "Transfer-Encoding: chunked\r\n\r\n").encode()
    for body, name in ((b"x\r\n", "a chunk size that is none"), (b"3\r\nabcd\r\n0\r\n\r\n", "a chunk longer than it says"),
                       (b"3\nabc\r\n0\r\n\r\n", "bare LF after a chunk size"), (b"3\r\nabc\n0\r\n\r\n", "bare LF after a chunk"),
                       (b"3\r\nabcXX0\r\n\r\n", "a bad end of a chunk"), (b"-3\r\nabc\r\n0\r\n\r\n", "a negative chunk"),
                       (b" 3\r\nabc\r\n0\r\n\r\n", "a space before a chunk size"),
                       (b"fffffffffffffffff\r\n", "a chunk size over 64 bits"), (b"0x3\r\nabc\r\n", "a prefixed chunk size")):
        refused(server, chunked + body, 400, name)
    reply = server.ask(chunked + b"3;a=\"b c\";d=e\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
    equal(reply.body, b"abcde", "chunks, extensions and trailers are read")
    refused(server, chunked + b"3;" + b"a" * 20000 + b"\r\nabc\r\n", 431, "endless chunk extensions")
    refused(server, chunked + b"0\r\n" + b"X-A: aaaaaaaaaaaaa\r\n" * 1000 + b"\r\n", 431, "endless trailers")

    # limits, at their edge
    target = "/" + "a" * (8 * 1024 - 1)
    equal(server.ask(request(target)).status, 200, "a target of 8 KiB")
    refused(server, request(target + "a"), 414, "one byte more")
    refused(server, request("/" + "a" * 300000), 414, "a target of 300 KB")
    many = [f"X-{i}: 1" for i in range(63)]
    equal(server.ask(request(headers=many)).status, 200, "64 headers")
    refused(server, request(headers=many + ["X-One-More: 1"]), 431, "65 headers")
    room = 16 * 1024 - len(request(headers=["X-A: "]))
    equal(server.ask(request(headers=["X-A: " + "a" * room])).status, 200, "a head of 16 KiB")
    refused(server, request(headers=["X-A: " + "a" * (room + 1)]), 431, "one byte more")
    refused(server, request(headers=["X-A: " + "a" * 1000000]), 431, "a head of 1 MB")
    refused(server, b"\r\n" * 20000 + request(), 431, "a megabyte of empty lines")

    # one byte at a time, all the same
    with server.connect() as client:
        for byte in request("/about?after=1", headers=["X-Test: slow"]):
            client.send(bytes([byte]))
        seen = json.loads(client.reply().body)
        equal((seen["path"], seen["after"], seen["x-test"]), ("/about", "1", "slow"), "a request in single bytes")
    with server.connect() as client:
        for byte in chunked + b"3\r\nabc\r\n0\r\nX: 1\r\n\r\n":
            client.send(bytes([byte]))
        equal(client.reply().body, b"abc", "chunks in single bytes")
    with server.connect() as client:
        for byte in request(headers=["X-A: 1\r\n folded"]):
            if not client.send(bytes([byte])):
                break
        equal(client.reply().status, 400, "a fold in single bytes")

    # upgrades are not wanted, and answered as if not asked for
    for kind in ("h2c", "websocket", "raw"):
        with server.connect() as client:
            client.send(request(headers=[f"Upgrade: {kind}", "Connection: Upgrade, HTTP2-Settings"]) + request("/about"))
            replies = client.reply(), client.reply()
            equal([r.status for r in replies], [200, 200], f"Upgrade: {kind} is ignored, the connection goes on")
    with server.connect() as client:
        client.send(request("/echo", "POST", headers=["Upgrade: x", "Connection: Upgrade"], body=b"body") + request())
        equal((client.reply().body, client.reply().body), (b"body", b"hello\n"), "also with a body")

    # answers
    reply = server.ask(request("/headers"))
    equal((reply.headers["x-one"], reply.headers["x-split"]), ("1", "a  X-Forged: b"), "a header cannot be split")
    with server.connect() as client:
        client.send(request("/none") + request())
        reply = client.reply()
        equal((reply.status, reply.headers.get("content-length")), (204, None), "204 has no length")
        equal(client.reply().body, b"hello\n", "nor a body")
    with server.connect() as client:
        client.send(request("/twice") + request())
        equal((client.reply().body, client.reply().body), (b"first\n", b"hello\n"), "a second answer does nothing")

finish()
