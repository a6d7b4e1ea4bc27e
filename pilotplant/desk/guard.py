"""What every request passes, whichever page it asks for: whose it may be, how often, and what its answer may do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing runs, frames or loads but what the desk itself serves; forms go nowhere else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # A page's address names pilots; other sites need not know it. Our own forms still say where they come from.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
# By one address: what changes something, and what guesses at links.
CHANGES, SIGN_INS = parse("120 per minute"), parse("10 per minute")
BODY_BYTES_MAX = 1 << 20


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses what must not reach a page; gives every answer its headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        if scope["method"] in SAFE:
            await self.app(scope, receive, answer)
            return
        body = await _body(receive)
        refused = self._refused(scope, body)
        await (refused or self.app)(scope, _again(body or b"", receive), answer)

    def _refused(self, scope: Scope, body: bytes | None) -> PlainTextResponse | None:
        if not is_same_origin(Headers(scope=scope), scope["scheme"]):
            return _say(HTTPStatus.FORBIDDEN, "This form was sent by another site. Nothing was done.")
        if body is None:
            return _say(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is more than a form of the desk holds. Nothing was done."
            )
        limit: RateLimitItem = SIGN_INS if scope["path"] == "/sign-in" else CHANGES
        address = (scope.get("client") or ("", 0))[0]
        if not self._limiter.hit(limit, address):
            return _say(HTTPStatus.TOO_MANY_REQUESTS, f"This was tried more often than {limit}. Wait a minute.")
        return None


async def _body(receive: Receive) -> bytes | None:
    """What a request carries; None for more than a form holds, of which the rest is not read."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The same request for whoever reads it next."""
    told = False

    async def read() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a browser sent this from a page of the desk; a request that does not say so is none."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return origin == f"{scheme}://{headers.get('host')}" if origin is not None else site is not None


def _say(status: HTTPStatus, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status)
