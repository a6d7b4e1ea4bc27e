"""The desk's server: its application, and how it is started."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pilotplant.desk import actions, routes, signatures
from pilotplant.desk.desk import Desk
from pilotplant.desk.frame import Frame, render, static_file
from pilotplant.desk.guard import Guard
from pilotplant.desk.links import LOOPBACK, address_at
from pilotplant.desk.requests import cookie, wants_json
from shared.core.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.core.faults import fault
from shared.core.jsonable import jsonable
from shared.state.team import read_in_its_zone

# Answers to another name were asked for by a page that made its own name mean this machine.
HOSTS = [LOOPBACK, "localhost", "[::1]"]
# What a page is still being given when the server ends has so long.
GRACE_S = 10
FILES = {
    "desk.css": "text/css", "icon.svg": "image/svg+xml", "htmx.min.js": "text/javascript",
    "hx-sse.min.js": "text/javascript", "passkey.js": "text/javascript", "times.js": "text/javascript",
}  # fmt: skip


def application(desk: Desk) -> FastAPI:
    """The web application over one workspace."""
    app = FastAPI(title="Pilot Plant", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.desk = desk
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.add_middleware(Guard)
    app.include_router(routes.router)
    app.include_router(actions.router)
    app.include_router(signatures.router)
    app.add_exception_handler(PilotPlantError, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(Exception, _crashed)
    app.get("/static/{name}", include_in_schema=False)(_static)
    return app


def listen(port: int) -> socket.socket:
    """A socket of this machine alone; port 0 takes any that is free. Raises BadInput where the port is taken."""
    # Of TCP by name: asyncio sends at once only on such sockets; on others a page waits 40 ms for a receipt.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        # From here on: whoever opens a link before the application is up waits for it, and is not refused.
        listener.listen()
    except OSError as error:
        listener.close()
        raise BadInput(
            f"port {port} is taken, maybe by a desk that is already up",
            where="--port",
            remedy="name another one, or 0 for any that is free: pilotplant desk --port 0",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Where it is served."""
    return address_at(listener.getsockname()[1])


def server_of(desk: Desk) -> uvicorn.Server:
    """The server, which `run(sockets=[…])` starts and Ctrl-C ends."""
    server = uvicorn.Server(
        uvicorn.Config(
            application(desk),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    desk.is_closing = lambda: server.should_exit
    return server


async def _static(name: str) -> Response:
    if name not in FILES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    lasts = {"cache-control": "public, max-age=31536000, immutable"}
    return FileResponse(static_file(name), media_type=FILES[name], headers=lasts)


def _told(request: Request, error: Any) -> Response:
    """What went wrong, in the four parts that every message of ours has."""
    found = fault(error) or error
    status = (
        HTTPStatus.NOT_FOUND if isinstance(found, BadInput) and request.method == "GET"
        else HTTPStatus.BAD_REQUEST if isinstance(found, BadInput)
        else HTTPStatus.CONFLICT if isinstance(found, Refused)
        else HTTPStatus.SERVICE_UNAVAILABLE if isinstance(found, Undecided)
        else HTTPStatus.INTERNAL_SERVER_ERROR
    )  # fmt: skip
    return _error(request, status, found)


def _http(request: Request, error: Any) -> Response:
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        if wants_json(request):
            return JSONResponse({"error": {"what": "nobody is signed in"}}, HTTPStatus.UNAUTHORIZED)
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    said = {
        HTTPStatus.NOT_FOUND: "There is no such page",
        HTTPStatus.FORBIDDEN: "This is not yours to do",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This is more than the desk takes at once; nothing was done",
        HTTPStatus.METHOD_NOT_ALLOWED: "This page takes no such request",
    }.get(HTTPStatus(error.status_code), str(error.detail))
    return _error(request, HTTPStatus(error.status_code), PilotPlantError(said, remedy="Begin at Today."))


def _unreadable(request: Request, error: Any) -> Response:
    """What FastAPI says of an address or a form that it cannot read, in our own four parts."""
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"] if part not in {"path", "query", "body"})
    found = BadInput(f"{where or 'the request'} cannot be read: {first['msg']}", where=request.url.path)
    return _error(request, HTTPStatus.UNPROCESSABLE_ENTITY, found)


def _crashed(request: Request, error: Exception) -> Response:
    found = fault(error)
    if found is not None:
        return _error(request, HTTPStatus.SERVICE_UNAVAILABLE, found)
    report = PilotPlantError(
        f"a defect of Pilot Plant: {type(error).__name__}", remedy="the desk's own terminal shows where; report it"
    )
    return _error(request, HTTPStatus.INTERNAL_SERVER_ERROR, report)


def _error(request: Request, status: HTTPStatus, error: PilotPlantError) -> Response:
    if wants_json(request):
        return JSONResponse({"error": jsonable(error)}, status)
    desk: Desk = request.app.state.desk
    session = desk.sessions.find(cookie(request))
    frame = Frame("Something is in the way", desk.workspace.mode, session)
    read_in_its_zone(desk.workspace)
    return HTMLResponse(render("error.html.j2", frame, error=error), status)
