#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# A server that behaves as the path says, for the test of the HTTP client; over TCP or TLS.
#
#	http_peer.py plain | tls CERTIFICATE KEY [CA]     prints "PORT N", ends when stdin is closed
#
# /ok  /post (echoes the body)  /split (byte by byte)  /chunks  /big N  /slow  /silent  /stream
# /half (the body breaks off)  /nothing (closes at once)  /garbage  /count (requests of this connection)
# /upgrade (echoes; ends when the client has)  /hijack (the same, by 200)  /upgrade-flood/N (N bytes)
# /upload (reads chunks, tells how many bytes and their hash)  /upload-refused (after the first chunk)
# /upload-lazy (rests a while before it reads)  /upload-cut (breaks off after the first chunk)
# /upgrade-lazy (reads nothing)  /upgrade-cut (breaks off)  /refused  /refused-chunked  /interim-upgrade
# /die-once (the 2nd request of a connection: closed without an answer)  /interim (a 103 first)
import hashlib, os, socket, ssl, struct, sys, threading

done = threading.Event()


def read_request(f):
    line = f.readline()
    if not line:
        return None
    headers = {}
    while True:
        header = f.readline().strip()
        if not header:
            break
        name, value = header.split(b':', 1)
        headers[name.strip().lower()] = value.strip()
    if b'transfer-encoding' in headers:
        method, path = line.split()[:2]
        return method.decode(), path.decode(), headers, f
    body = f.read(int(headers.get(b'content-length', b'0')))
    method, path = line.split()[:2]
    return method.decode(), path.decode(), headers, body


def chunks(f):
    while size := int(f.readline(), 16):
        yield f.read(size)
        f.readline()
    f.readline()


def answer(s, body, status='200 OK', extra=''):
    s.sendall(f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n'.encode() + body)


def serve(s):
    f = s.makefile('rb')
    count = 0
    while True:
        request = read_request(f)
        if request is None:
            return
        method, path, headers, body = request
        count += 1
        if path == '/ok':
            answer(s, b'fine')
        elif path == '/post':
            answer(s, body + b'|' + headers.get(b'content-type', b'none') + b'|' + headers.get(b'x-test', b'none'))
        elif path == '/count':
            answer(s, str(count).encode())
        elif path == '/missing':
            answer(s, b'{"message":"no"}', '404 Not Found')
        elif path in ('/upload', '/upload-lazy'):
            done.wait(0.2 if path == '/upload-lazy' else 0)
            digest, total = hashlib.sha256(), 0
            for chunk in chunks(body):
                digest.update(chunk)
                total += len(chunk)
            answer(s, f'{method} {total} {digest.hexdigest()}'.encode())
        elif path == '/upload-refused':
            next(chunks(body))
            answer(s, b'{"message":"no"}', '400 Bad Request')
            done.wait()
        elif path == '/upload-cut':
            next(chunks(body))
            return
        elif path == '/split':
            for byte in b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n':
                s.sendall(bytes([byte]))
        elif path == '/interim':
            s.sendall(b'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n')
            answer(s, b'after')
        elif path.startswith('/big'):
            answer(s, b'x' * int(path.split('/')[-1]))
        elif path == '/silent':
            done.wait()
        elif path == '/slow':  # never quiet for long, but long in all
            s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n')
            for _ in range(8):
                done.wait(0.1)
                s.sendall(b's')
        elif path == '/stream':
            s.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
            while not done.wait(0.01):
                s.sendall(b'5\r\ntick\n\r\n')
        elif path == '/half':
            s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
            return
        elif path == '/nothing':
            return
        elif path == '/garbage':
            s.sendall(b'SSH-2.0-OpenSSH\r\n\r\n')
            return
        elif path in ('/upgrade', '/hijack', '/interim-upgrade'):
            if path == '/interim-upgrade':
                s.sendall(b'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n')
            head = b'200 OK\r\nContent-Type: raw' if path == '/hijack' else b'101 UPGRADED\r\nConnection: Upgrade'
            s.sendall(b'HTTP/1.1 ' + head + b'\r\n\r\n' + method.encode() + b' ' + body + b';')
            while data := f.read1(65536):
                s.sendall(data)
            s.sendall(b'.')
            return
        elif path.startswith('/upgrade-flood'):
            s.sendall(b'HTTP/1.1 101 UPGRADED\r\n\r\n' + b'x' * int(path.split('/')[-1]))
            return
        elif path == '/upgrade-lazy':
            s.sendall(b'HTTP/1.1 101 UPGRADED\r\n\r\n')
            done.wait(3 if os.environ.get('VG') else 0.3)
            size = 0
            while data := f.read1(65536):
                size += len(data)
            s.sendall(str(size).encode())
            return
        elif path == '/upgrade-cut':
            s.sendall(b'HTTP/1.1 101 UPGRADED\r\n\r\nsome')
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            return
        elif path == '/refused':
            answer(s, b'{"message":"not running"}', '409 Conflict')
        elif path == '/refused-chunked':
            s.sendall(b'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n')
            return
        elif path == '/die-once':
            if count > 1:
                return
            answer(s, b'alive')


def run(s, context):
    try:
        if context:
            s = context.wrap_socket(s, server_side=True)
        serve(s)
    except (OSError, ValueError):
        pass
    finally:
        s.close()


context = None
if sys.argv[1] == 'tls':
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    if len(sys.argv) > 4:
        context.load_verify_locations(sys.argv[4])
        context.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(('127.0.0.1', 0))
sys.stdout.write(f'PORT {listener.getsockname()[1]}\n')
sys.stdout.flush()


def accept():
    while True:
        s, _ = listener.accept()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=run, args=(s, context), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
done.set()
