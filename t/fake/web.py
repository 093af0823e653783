# SPDX-License-Identifier: Apache-2.0
"""A little HTTP server on 127.0.0.1 that keeps what it was asked, and answers as it is told."""
import http.server
import json
import threading


class Asked:
    """One request."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Web:
    """answers: path (without query) → (status, headers, body), or a threading.Event to wait for before 200."""

    def __init__(self):
        web = self
        self.asked, self.answers = [], {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.asked.append(Asked(self.command, self.path, self.headers, body))
                told = web.answers.get(self.path.split("?")[0], (200, {}, b"fine"))
                if isinstance(told, threading.Event):
                    told.wait(120)
                    told = (200, {}, b"late")
                status, headers, text = told
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
                except OSError:
                    pass  # the client did not wait

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that went away is no news
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def paths(self):
        return [asked.path for asked in list(self.asked)]

    def of(self, path):
        return [asked for asked in list(self.asked) if asked.path == path]

    def stop(self):
        for told in self.answers.values():
            if isinstance(told, threading.Event):
                told.set()
        self.server.shutdown()
        self.server.server_close()
