# SPDX-License-Identifier: Apache-2.0
"""A registry of images on 127.0.0.1 (Debian's docker-registry), reached through a relay that can be
told to hold everything back or to stall."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading

from daemon import free_port, until


class Registry:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="gantry-registry.")
        self.port = free_port()
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w") as file:
            file.write(f"version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: error}}\n"
                       f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\nhttp: {{addr: 127.0.0.1:{self.port}}}\n")
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.requests = []
        self.open = threading.Event()
        self.open.set()
        self.left = None  # bytes that may still be relayed
        self.ended = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        until(self._answers, "the registry to answer")
        return self

    def __exit__(self, *_):
        self.ended = True
        self.release()
        self.listener.close()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder)

    def image(self, name):
        return f"{self.address}/{name}:1"

    def push(self, docker, image, name):
        """Puts an image of the engine there, with 300 kB of its own; the engine keeps nothing of that."""
        docker("run", "--name", f"push-{os.getpid()}", image, "sh", "-c", "head -c 300000 /dev/urandom >/own")
        docker("commit", "--change", "CMD []", f"push-{os.getpid()}", self.image(name))
        docker("rm", f"push-{os.getpid()}")
        docker("push", self.image(name))
        docker("rmi", self.image(name))

    def hold(self):
        """Nothing goes through until release()."""
        self.open.clear()

    def stall_after(self, count):
        """No more than so many bytes go to the engine until release()."""
        self.left = count

    def release(self):
        self.left = None
        self.open.set()

    def count(self, method, part):
        return len([line for line in self.requests if line.startswith(method + " ") and part in line])

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(server, client, False), daemon=True).start()

    def _relay(self, source, target, asks):
        try:
            while data := source.recv(65536):
                if asks:
                    self.requests += [line for line in data.decode("latin-1").split("\r\n") if line.endswith(" HTTP/1.1")]
                self.open.wait()
                if not asks and self.left is not None:
                    self.left -= len(data)
                    if self.left < 0:
                        self.open.clear()
                        self.open.wait()
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
