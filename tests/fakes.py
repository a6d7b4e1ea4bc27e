"""The network's far side: a mail server and a webhook on this machine that keep what they took."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Post:
    """What a server took, as it came over the wire."""

    taken: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    refuses: str | None = None
    port: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuses:
            return self.refuses
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, parsed))
        return "250 taken"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def post_office() -> Iterator[Post]:
    """A server that takes mail from this machine without a word."""
    box = Post(port=free_port())
    server = Controller(box, hostname="127.0.0.1", port=box.port)
    server.start()
    try:
        yield box
    finally:
        server.stop()


@contextmanager
def dropping() -> Iterator[int]:
    """A mail server that takes the whole message, and hangs up before it answers; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            line, _ = server.accept()
            with line, line.makefile("rwb", buffering=0) as stream:
                stream.write(b"220 here\r\n")
                while (said := stream.readline()) and said.strip().upper() != b"DATA":
                    stream.write(b"250 go on\r\n")
                stream.write(b"354 go on\r\n")
                while (said := stream.readline()) and said != b".\r\n":
                    pass

        thread = threading.Thread(target=talk)
        thread.start()
        yield server.getsockname()[1]
        thread.join(timeout=10)


@dataclass
class Hook:
    """What a webhook took: each request's headers and content.

    Attributes:
        answers: the status it answers with; 0 hangs up instead, having taken it.
        waits_s: how long it thinks first.
    """

    taken: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    answers: int = 204
    waits_s: float = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/secret-token"


@contextmanager
def webhook() -> Iterator[Hook]:
    """An HTTP server that takes what is posted to it."""
    hook = Hook()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.taken.append((dict(self.headers), content))
            time.sleep(hook.waits_s)
            if hook.answers:
                self.send_response(hook.answers)
                if hook.answers // 100 == 3:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    hook.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
