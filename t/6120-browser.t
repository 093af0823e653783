#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Consoles in a browser: the listener, tokens and sessions by plain HTTP, then the page in a headless Chromium.
SHOTS=FOLDER keeps pictures of it."""
import datetime
import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command as Gantry
from daemon import *
from http_client import Client
from logfiles import LogFiles
from webdriver import Browser
from websocket import WebSocket, handshake

SHOTS = os.environ.get("SHOTS")


PORT = free_port()
certificates = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, certificates, True)
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=console",
                "-keyout", f"{certificates}/key.pem", "-out", f"{certificates}/cert.pem"], check=True, capture_output=True)
CONSOLE = f'{{ console = "127.0.0.1:{PORT}", certificate = "{certificates}/cert.pem", key = "{certificates}/key.pem" }}'
world = World(settings=f'listen[2] = {CONSOLE}\n', policies={"10-who.lua": """return {
	name = "who",
	admit = function(req)
		if req.via == "browser" and req.instance.labels.browser == "no" then
			return false, "no browser for this one"
		end
		return true, req.verb == "attach" and { record = req.via == "browser" } or nil
	end,
}
"""}).start()
ORIGIN = f"https://127.0.0.1:{PORT}"
unsafe = ssl.create_default_context()
unsafe.check_hostname, unsafe.verify_mode = False, ssl.CERT_NONE


def console(method, path, body=None, **headers):
    """What the console listener answers."""
    connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=LIMIT, context=unsafe)
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    answer = Answer(reply.status, reply.headers, reply.read())
    connection.close()
    return answer


def address(name="web"):
    """ID and token of a new address."""
    answer = world.post(f"/v1/instances/{name}/console")
    assert answer.status == 200, answer
    found = re.fullmatch(rf"{ORIGIN}/console/([0-9a-f-]{{36}})#([0-9a-f]{{64}})", answer.json["url"])
    return found[1], found[2]


def exchange(id, token, origin=ORIGIN):
    headers = {"Origin": origin} if origin else {}
    return console("POST", f"/console/{id}/session", json.dumps({"token": token}), **headers)


folder = os.path.join(world.folder, "web")
log = LogFiles(folder, "json-file")
equal(world.spawn(name="web", command=["cat", "sizes"], stdin_open=True, tty=True, labels={"fake.log": folder}, log={"driver": "json-file"}).status,
      201, "an instance runs")
equal(world.spawn(name="other", command=["cat"], stdin_open=True, tty=True, labels={"browser": "no"}).status, 201, "another does")

# --- what is served ------------------------------------------------------------------------------------
for path in ("/", "/v1/instances", "/v1/version", "/console/", "/console/static/", "/console/static/package.json",
             "/console/static/..%2fgantryd", "/console/static/../../gantryd", "/console/x/other"):
    equal(console("GET", path).status, 404, f"nothing at {path}")
page = console("GET", "/console/anything")
equal((page.status, page.headers["Content-Type"]), (200, "text/html; charset=utf-8"), "the page comes to everybody")
for name, kind in (("console.js", "text/javascript"), ("console.css", "text/css"), ("xterm.js", "text/javascript"), ("xterm.css", "text/css"),
                   ("addon-fit.js", "text/javascript")):
    reply = console("GET", f"/console/static/{name}")
    ok(reply.status == 200 and reply.headers["Content-Type"].startswith(kind) and reply.body, f"{name} comes with it")
policy = page.headers["Content-Security-Policy"]
ok("unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, f"under a strict policy: {policy}")
equal([page.headers[name] for name in ("Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options", "Cache-Control")],
      ["no-referrer", "nosniff", "DENY", "no-store"], "and the headers beside it")
ok(b"<script>" not in page.body and b"style=" not in page.body and b"<style" not in page.body, "nothing is inline")
ok("://" not in page.body.decode(), "nothing comes from elsewhere")
equal(console("DELETE", "/console/anything").status, 405, "no other method")

# --- tokens and sessions -------------------------------------------------------------------------------
equal(world.get("/v1/instances/web/console").status, 405, "an address is made by POST")
answer = world.post("/v1/instances/other/console")
equal((answer.status, "no browser for this one" in answer.json["detail"]), (403, True), "policies are asked, and see that a browser comes")
id, token = address()
equal(console("GET", f"/console/{id}/session").status, 401, "without a cookie there is no session")
equal(console("GET", f"/console/{id}/logs").status, 401, "and no log")
equal(exchange(id, token, None).status, 403, "an exchange without Origin is refused")
equal(exchange(id, token, "https://evil.example").status, 403, "and one from another page")
equal(exchange(world.instance("other")["id"], token).status, 403, "a token is for one instance")
reply = exchange(id, token)
equal(reply.status, 200, "the token is exchanged")
equal((reply.json["name"], reply.json["state"], reply.json["tty"]), ("web", "running", True), "with what the page shows")
cookie = reply.headers["Set-Cookie"]
secret = cookie.split(";")[0]
ok(token not in cookie and re.fullmatch(rf"gantry_console=[0-9a-f]{{64}}; Path=/console/{id}; HttpOnly; SameSite=Strict; Secure", cookie),
   f"the cookie: {cookie.replace(secret, '…')}")
twice = exchange(id, token)
equal((twice.status, twice.json["detail"], twice.headers["Set-Cookie"]), (403, "this address was used before, and is good once", None), "a token used twice")
equal(exchange(id, "0" * 64).json["detail"], "this address is not known here; gantryd may have been restarted since it was made", "one that never was")
for bad in ("", "x", "[]", '{"token": 5}', '{"token": "' + "x" * 2000 + '"}'):
    ok(console("POST", f"/console/{id}/session", bad, Origin=ORIGIN).status in (400, 403, 413), f"{bad[:20]!r} is no token")
equal(console("GET", f"/console/{id}/session", Cookie=f"a=b; {secret}; c=d").json["name"], "web", "the cookie is the session")
equal(console("GET", f"/console/{world.instance('other')['id']}/session", Cookie=secret).status, 401, "of one instance")
equal(console("GET", f"/console/{id}/session", Cookie=f"x{secret}").status, 401, "another cookie's end is not it")


def attach(**replace):
    client = Client(unsafe.wrap_socket(socket.create_connection(("127.0.0.1", PORT), LIMIT)))
    client.send(handshake(f"/console/{id}/attach?scrollback=true", "v1.attach.gantry", replace=replace))
    return client, client.head().status


equal(attach(Cookie=secret)[1], 403, "a WebSocket without Origin is refused")
for origin in ("https://evil.example", f"https://127.0.0.1:{PORT ^ 1}", f"{ORIGIN}0", f"http://127.0.0.1:{PORT}", "null"):
    equal(attach(Cookie=secret, Origin=origin)[1], 403, f"and one from the page of {origin}")
equal(attach(Origin=ORIGIN)[1], 401, "and one without a cookie")
client, status = attach(Cookie=secret, Origin=ORIGIN)
equal(status, 101, "with both it opens")
message = WebSocket(client).message()
equal(json.loads(message[1:])["role"], "driver", "and drives")
client.sock.close()
equal(world.post(f"/v1/instances/other/pause?wait={LIMIT}", headers={"Idempotency-Key": "used"}).status, 200, "an operation has a key")
for key in ("used", "new", ""):
    client, status = attach(Cookie=secret, Origin=ORIGIN, **{"Idempotency-Key": key})
    equal(status, 101, f"Idempotency-Key {key!r} means nothing where no operation is begun")
    client.sock.close()
equal(console("GET", f"/console/{id}/logs", Cookie=secret, **{"Idempotency-Key": "used"}).status, 200, "nor at the log")

# --- the page ------------------------------------------------------------------------------------------
browser = Browser(limit=LIMIT * 3)
complaints = []


def picture(name):
    complaints.extend(browser.log())
    if SHOTS:
        browser.screenshot(os.path.join(SHOTS, f"{name}.png"))


def shown(css, text, what):
    """Waits until text is to be read there."""
    until(lambda: text in browser.text(css), f"{what} ({text} in {css})")
    ok(True, what)


gantry = Gantry(f"unix://{world.socket}")
result = gantry("console", "web")
ok(result.status == 0 and result.out.startswith(f"{ORIGIN}/console/"), "gantry console prints an address")
url = result.out.strip()
log.line(b"GET / 200 12ms", "stdout")
log.line("wörld <b>not bold</b>".encode(), "stdout")
log.line(b"connection refused", "stderr")
browser.open(url)
shown("#name", "web", "the page shows the instance")
shown("#state", "running", "its state")
shown("#link", "connected", "that it is connected")
shown("#role", "you drive", "and who drives")
shown(".xterm-rows", "[this session is recorded]", "that a policy has it recorded")
equal(browser.run("return location.href"), url.split("#")[0], "the token is gone from the address")
has(str([{k: c.get(k) for k in ("httpOnly", "secure", "sameSite", "path")} for c in browser.cookies()]),
    str({"httpOnly": True, "secure": True, "sameSite": "Strict", "path": f"/console/{id}"}), "the cookie is out of reach of scripts")
shown("#log", "GET / 200 12ms", "lines of the log are there")
shown("#log", "wörld <b>not bold</b>", "as they are")
equal(browser.run("return document.querySelectorAll('#log .stderr').length"), 1, "those of stderr are marked")
log.line(b"and one that comes later", "stdout")
shown("#log", "and one that comes later", "a line that is written now appears")
browser.type(".xterm-helper-textarea", "hello world")
shown(".xterm-rows", "hello world", "what is typed comes back")
size = browser.run("return [terminal.rows, terminal.cols]")
shown(".xterm-rows", f"<{size[0]} rows, {size[1]} columns>", "the engine was told the size of the terminal")
browser.resize(900, 700)
until(lambda: browser.run("return terminal.cols") < size[1], "the terminal to become narrower")
TOLD = """const text = Array.from({length: terminal.buffer.active.length}, (_, i) => terminal.buffer.active.getLine(i).translateToString()).join("");
return text.includes(`<${terminal.rows} rows, ${terminal.cols} columns>`)"""
until(lambda: browser.run(TOLD), "the engine to be told its new size")
ok(True, "and its new size")
browser.resize(1200, 800)
browser.type(".xterm-helper-textarea", "\r\n\x1b[1;32mok\x1b[0m \x1b[38;2;255;120;0mtrue colour\x1b[0m")
shown(".xterm-rows", "true colour", "colours do too")
equal(browser.run("return getComputedStyle([...document.querySelectorAll('.xterm-rows span')].find(s => s.textContent.includes('true'))).color"),
      "rgb(255, 120, 0)", "in their colour")
browser.type("#filter", "refused")
until(lambda: browser.run("return [...document.querySelectorAll('#log div')].filter(d => !d.hidden).length") == 1, "the filter to leave one line")
ok(True, "lines are filtered")
browser.run("const f = document.getElementById('filter'); f.value = ''; f.oninput()")
picture("console")

# --- two at one console ----------------------------------------------------------------------------------
first = browser.ask("GET", f"{browser.session}/window")
second = browser.ask("POST", f"{browser.session}/window/new", {"type": "tab"})["handle"]
browser.ask("POST", f"{browser.session}/window", {"handle": second})
browser.open(gantry("console", "web").out.strip())
shown("#role", "uid:0 drives, you look on", "a second one looks on")
picture("observer")
browser.click("#take")
shown("#role", "you drive", "and takes over")
browser.ask("DELETE", f"{browser.session}/window")
browser.ask("POST", f"{browser.session}/window", {"handle": first})
shown("#role", "nobody drives", "which the first one sees, and that the second has left")
browser.click("#take")
shown("#role", "you drive", "it takes it back")

# --- ends ------------------------------------------------------------------------------------------------
equal(world.post(f"/v1/instances/web/restart?wait={LIMIT}").status, 200, "the instance is restarted")
shown(".xterm-rows", "[the process has ended]", "the page says that the process has ended")
until(lambda: browser.text("#link") == "connected" and browser.text("#role") == "you drive", "the page to be there again")
browser.type(".xterm-helper-textarea", "second boot")
shown(".xterm-rows", "second boot", "the page goes on with the new process")
equal(complaints + browser.log(), [], "the browser found nothing against the policy, and no error")
equal(world.stop(), 0, "gantryd stops")
shown(".xterm-rows", "gantryd stops; the process goes on", "which the page says")
world.start()
shown("#over-title", "This console is closed", "after a restart of gantryd the page says that it is over")
has(browser.text("#over-command"), "gantry console web", "and how to go on")
picture("closed")
browser.open(url.replace("#", "?again#"))
shown("#over-title", "This address is no good", "an address that was used is no good")
shown("#over-text", "This address is not known here", "which is said")
equal(world.stop(), 0, "the orderly end")

# --- settings --------------------------------------------------------------------------------------------
for listener, wrong in ((f'{{ console = "127.0.0.1:{PORT}" }}', "console needs certificate and key"),
                        (f'{{ console = "0.0.0.0:{PORT}", plain = true }}', "plain is for loopback only"),
                        (CONSOLE.replace("127.0.0.1", "0.0.0.0"), "needs url"),
                        (CONSOLE.replace("{ ", '{ url = "https://a/b", ', 1), "url ends with the host or port"),
                        (CONSOLE.replace("{ ", '{ unix = "/x", ', 1), "one of unix, tcp and console")):
    status, said = World(settings=f"listen[2] = {listener}").refuses()
    ok(status == 1 and "listen[2]" in said and wrong in said, f"refused: {wrong}", said[-300:])
status, said = World(settings=f'listen[2] = {CONSOLE}\nconsole_path = "{certificates}"').refuses()
ok(status == 1 and "the console's page is not whole" in said, "without the page's files gantryd does not start", said[-300:])
plain = World(settings=f'listen[2] = {{ console = "127.0.0.1:{PORT}", plain = true }}\nconsole_idle = "1s"\nconsole_token = "2s"').start()
world = plain
plain.spawn(name="web", command=["cat"], stdin_open=True, tty=True)
late = plain.post("/v1/instances/web/console").json
browser.open("about:blank")  # another address without a token would be the same page
until(lambda: time.time() > datetime.datetime.fromisoformat(late["until"].replace("Z", "+00:00")).timestamp(), "the time of the token to be over")
browser.open(late["url"])
shown("#over-title", "This address is no good", "a token that comes late is no good")
shown("#over-text", "This address came too late: it was good for 2 seconds", "which is said")
picture("late")
url = plain.post("/v1/instances/web/console").json["url"]
ok(url.startswith(f"http://127.0.0.1:{PORT}/console/"), "without TLS on loopback, where it is asked for")
id, token = url.rpartition("/")[2].split("#")
connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=LIMIT)
connection.request("POST", f"/console/{id}/session", json.dumps({"token": token}), {"Origin": f"http://127.0.0.1:{PORT}"})
reply = connection.getresponse()
cookie = reply.headers["Set-Cookie"]
reply.read()
ok("Secure" not in cookie and "HttpOnly" in cookie, "its cookie is not Secure")
client = Client(socket.create_connection(("127.0.0.1", PORT), LIMIT))
client.send(handshake(f"/console/{id}/attach", "v1.attach.gantry", replace={"Cookie": cookie.split(";")[0], "Origin": f"http://127.0.0.1:{PORT}"}))
equal(client.head().status, 101, "somebody attaches")
socket_end = WebSocket(client)
while not isinstance(message := socket_end.message(), tuple):
    pass
equal(message, (1001, "nobody was there for a while"), "and is closed when no sign of them came for console_idle")
connection.request("GET", f"/console/{id}/session", headers={"Cookie": cookie.split(";")[0]})
equal(connection.getresponse().status, 401, "with the session")
equal(plain.stop(), 0, "the orderly end")
bare = World().start()
bare.spawn(name="web")
answer = bare.post("/v1/instances/web/console")
equal((answer.status, "no listener for browsers" in answer.json["detail"]), (501, True), "without a listener there is no address")
equal(bare.stop(), 0, "the orderly end")
done()
