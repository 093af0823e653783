# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by WebDriver's HTTP protocol."""
import atexit
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    def __init__(self, width=1200, height=800, limit=60):
        self.limit = limit
        self.folder = tempfile.mkdtemp(prefix="gantry-t.")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                       stdin=subprocess.DEVNULL, env={**os.environ, "HOME": self.folder})
        self.session = None
        atexit.register(self.end)
        for line in self.driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self.url = f"http://127.0.0.1:{found[1]}"
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={self.folder}/data",
                     f"--window-size={width},{height}"]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{answer['sessionId']}"

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(body or {}).encode() if method == "POST" else None,
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.limit) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url):
        self.ask("POST", f"{self.session}/url", {"url": url})

    def run(self, script, *arguments):
        return self.ask("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css):
        return self.ask("POST", f"{self.session}/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.ask("POST", f"{self.session}/element/{self.find(css)}/click")

    def type(self, css, text):
        self.ask("POST", f"{self.session}/element/{self.find(css)}/value", {"text": text})

    def text(self, css):
        """What is shown there, hidden or not."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", css)

    def cookies(self):
        return self.ask("GET", f"{self.session}/cookie")

    def resize(self, width, height):
        self.ask("POST", f"{self.session}/window/rect", {"width": width, "height": height})

    def log(self):
        """What the browser complained of since it was asked last."""
        return [entry["message"] for entry in self.ask("POST", f"{self.session}/se/log", {"type": "browser"})]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("GET", f"{self.session}/screenshot")))

    def end(self):
        if self.session:
            try:
                self.ask("DELETE", self.session)
            except (OSError, RuntimeError):
                pass
            self.session = None
        if self.driver.poll() is None:
            self.driver.terminate()
            self.driver.wait(self.limit)
        self.driver.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
