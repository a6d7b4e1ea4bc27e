"""Another account of the machine: tries files, routes and ports, and says on stdout what it could do (stdlib alone)."""

import http.client
import json
import os
import socket
import sys

NOWHERE = "00000000-0000-0000-0000-000000000000"


def readable(path):
    try:
        with open(path, "rb") as stream:
            return bool(stream.read(1))
    except OSError:
        return False


def status(port, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=b"{}" if method in ("POST", "PUT", "PATCH") else None)
        return connection.getresponse().status
    finally:
        connection.close()


def filled(path):
    """A route with something in the place of each parameter."""
    while "{" in path:
        path = path[: path.index("{")] + NOWHERE + path[path.index("}") + 1 :]
    return path


def said(port):
    """What a port answers to a greeting, to nonsense and to silence."""
    answers = b""
    for greeting in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\0\xff" * 64 + b"\n", b""):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as stream:
                stream.sendall(greeting)
                answers += stream.recv(1000)
        except OSError:
            pass
    return answers.decode("latin-1")


task = json.load(sys.stdin)
server = task["server"]
done = {
    "uid": os.getuid(),
    "read": [path for path in task["files"] if readable(path)],
    "routes": [[method, path, status(server, method, "/api" + filled(path))] for method, path in task["routes"]],
    "pages": {path: status(server, "GET", path) for path in ("/", "/ui-settings", "/docs", "/openapi.json")},
    "ports": {str(port): said(port) for port in task["ports"]},
}
json.dump(done, sys.stdout)
