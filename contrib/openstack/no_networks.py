#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for Neutron where there is none: it has no networks, no ports and no groups, and says so."""
import http.server
import json
import sys

LISTS = "ports networks subnets floatingips security_groups security_group_rules extensions agents".split()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        words = self.path.partition("?")[0].strip("/").removesuffix(".json").split("/")
        name = words[1].replace("-", "_") if len(words) > 1 else ""
        if len(words) == 2 and name in LISTS:
            self.answer(200, {name: []})
        elif name == "quotas":
            self.answer(200, {"quota": dict.fromkeys(("port", "network", "subnet", "floatingip", "security_group", "security_group_rule"), -1)})
        elif words in ([""], ["v2.0"]):
            self.answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]})
        else:
            self.refuse()

    def refuse(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(404, {"NeutronError": {"type": "NotFound", "message": "there is nothing", "detail": ""}})

    do_POST = do_PUT = do_DELETE = refuse


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
