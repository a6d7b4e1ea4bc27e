"""The door of Prefect's server: who is asked in is decided before Prefect itself sees anything of a request."""

from __future__ import annotations

import base64
import hmac
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
API = "/api"
# What a probe may ask without the password; neither says more than that the server is up.
PROBES = frozenset({"/api/health", "/api/ready"})
# FastAPI serves the whole API's description beside the pages; behind the password it is still there, below /api.
CLOSED = ("/docs", "/redoc", "/openapi.json")
CROSS_ORIGIN = b"access-control-"
# As `prefect server start` has them.
KEEP_ALIVE_S = 5
PING_S = 20.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away, with the HTTP status that says so."""

    status: int
    reason: str


def refusal(method: str, path: str, headers: Mapping[str, str], *, origin: str, password: str) -> Refusal | None:
    """Why a request does not come in; None where it does.

    `headers` have names in lower case; `origin` is the only address under which this server answers, so that a page
    of another origin, and a name that somebody points at this machine, both stay outside.
    """
    if headers.get("host") != origin.removeprefix("http://"):
        return Refusal(421, f"This server answers as {origin} alone.")
    if headers.get("origin", origin) != origin:
        return Refusal(403, f"Pages of {origin} alone may ask this server.")
    is_page = not _is_api(path) and not path.startswith(CLOSED)
    if method in {"GET", "HEAD"} and (path in PROBES or is_page):
        return None
    # A socket is opened first and asked for the password then, by Prefect itself.
    if method == "WEBSOCKET" and _is_api(path):
        return None
    if not _knows(password, headers.get("authorization", "")):
        return Refusal(401, "The password of this workspace's Prefect is needed; `factory up` says where it is.")
    return None if _is_api(path) else Refusal(404, "There is nothing here.")


class Door:
    """The ASGI application that stands in front of Prefect's own."""

    def __init__(self, app: App, *, origin: str, password: str) -> None:
        """A door to `app`, which is reached under `origin`."""
        self._app, self._origin, self._password = app, origin, password

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request that is turned away, and hands over any other."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)  # the server's own start and end
            return
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        turned_away = refusal(method, scope["path"], headers, origin=self._origin, password=self._password)
        if turned_away is None:
            await self._app(scope, receive, _of_one_origin(send))
        elif method == "WEBSOCKET":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": turned_away.reason})
        else:
            await _answer(send, turned_away)


def _is_api(path: str) -> bool:
    return path == API or path.startswith(f"{API}/")


def _knows(password: str, authorization: str) -> bool:
    scheme, _, credentials = authorization.partition(" ")
    try:
        given = base64.b64decode(credentials, validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, password.encode())


def _of_one_origin(send: Send) -> Send:
    """Sends answers without any word that would let pages of another origin read them."""

    async def narrowed(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.accept"}:
            headers = message.get("headers", ())
            kept = [(name, value) for name, value in headers if not name.lower().startswith(CROSS_ORIGIN)]
            message = {**message, "headers": kept}
        await send(message)

    return narrowed


async def _answer(send: Send, turned_away: Refusal) -> None:
    body = json.dumps({"detail": turned_away.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": turned_away.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(port: int) -> None:
    """Runs Prefect's server behind the door until it is told to end; the password comes by the environment."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING

    password = PREFECT_SERVER_API_AUTH_STRING.value()
    if not password:
        raise SystemExit("no password: Prefect's server is not started without one")
    door = Door(create_app(final=True), origin=f"http://{HOST}:{port}", password=password)
    uvicorn.run(
        door,
        host=HOST,
        port=port,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        proxy_headers=False,
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]))
