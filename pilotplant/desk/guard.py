"""What every request passes, whichever page it asks for: whose it may be, how often, and what its answer may do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
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
FORM_BYTES_MAX, FILE_BYTES_MAX = 1 << 20, 256 << 20


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
        refused = self._refused(scope)
        await (refused or self.app)(scope, _bounded(receive, most(scope["path"])), answer)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        if not is_same_origin(Headers(scope=scope), scope["scheme"]):
            return _say(HTTPStatus.FORBIDDEN, "This form was sent by another site. Nothing was done.")
        limit: RateLimitItem = SIGN_INS if scope["path"] == "/sign-in" else CHANGES
        address = (scope.get("client") or ("", 0))[0]
        if not self._limiter.hit(limit, address):
            return _say(HTTPStatus.TOO_MANY_REQUESTS, f"This was tried more often than {limit}. Wait a minute.")
        return None


def most(path: str) -> int:
    """How many bytes a request to a page may carry: a file of results is larger than a form."""
    return FILE_BYTES_MAX if path.endswith("/results") or path == "/import" else FORM_BYTES_MAX


def _bounded(receive: Receive, limit: int) -> Receive:
    """What a request carries, of which no more is read than the limit."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    return bounded


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a browser sent this from a page of the desk; a request that does not say so is none."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return origin == f"{scheme}://{headers.get('host')}" if origin is not None else site is not None


def _say(status: HTTPStatus, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status)
