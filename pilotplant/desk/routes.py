"""The pages, each with its JSON beside it, and the way in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from lab.analysis import tracking_server
from pilotplant.desk.access import LASTS_S
from pilotplant.desk.desk import Desk
from pilotplant.desk.frame import Frame, render
from pilotplant.desk.requests import COOKIE, Actor, PilotName, Reader, Reading, ReleaseName, cookie
from pilotplant.desk.views import calendar as calendar_page
from pilotplant.desk.views import factory as factory_page
from pilotplant.desk.views import gate as gate_page
from pilotplant.desk.views import insights as insights_page
from pilotplant.desk.views import lab as lab_page
from pilotplant.desk.views import ledger as ledger_page
from pilotplant.desk.views import today as today_page
from pilotplant.desk.views.charters import drafts as drafts_page
from pilotplant.desk.views.charters.audience import audience_page
from pilotplant.desk.views.output import engines, output_of
from pilotplant.desk.views.parts import title_of
from pilotplant.desk.views.retrospective import EXAMPLE, KINDS, TestShown, test_page
from pilotplant.witnesses import verify as cross
from shared.core.jsonable import jsonable
from shared.core.printable import json_text

router = APIRouter(default_response_class=HTMLResponse)
# A page that is open is told of a change within so many steps, and lets the server end within one.
STEP_S, LOOKED_EVERY = 0.25, 8
CHANGED = "event: changed\ndata:\n\n"

Page = Annotated[int, Query(ge=1, le=10_000, description="Which page of the list.")]
Weeks = Annotated[int, Query(ge=-520, le=520, description="So many weeks later than the present ones.")]
Words = Annotated[str, Query(max_length=200, description="Only insights with these words, or this tag.")]
Mark = Annotated[str, Query(max_length=16, description="What the page showed.")]
Subject = Annotated[str, Query(max_length=200, description="Only entries on this pilot, release, table or person.")]


@router.get("/", include_in_schema=False)
def home(_: Reader) -> Response:
    """The first page."""
    return RedirectResponse("/today", HTTPStatus.SEE_OTHER)


@router.get("/sign-in", include_in_schema=False)
def sign_in(request: Request, link: str = "") -> HTMLResponse:
    """Whom a link lets in; looking at it does not use it up."""
    desk: Desk = request.app.state.desk
    found = desk.links.look(link) if link else None
    frame = Frame("Sign in", desk.workspace.mode, None)
    return HTMLResponse(render("sign_in.html.j2", frame, link=link, found=found))


@router.post("/sign-in", include_in_schema=False)
def let_in(request: Request, link: Annotated[str, Form()] = "") -> Response:
    """Begins a session, once for each link."""
    desk: Desk = request.app.state.desk
    found = desk.links.use(link)
    if found is None:
        frame = Frame("Sign in", desk.workspace.mode, None)
        return HTMLResponse(render("sign_in.html.j2", frame, link=link, found=None), HTTPStatus.FORBIDDEN)
    desk.sessions.end(cookie(request))
    answer = RedirectResponse("/today", HTTPStatus.SEE_OTHER)
    answer.set_cookie(COOKIE, desk.sessions.begin(found[0]), max_age=LASTS_S, httponly=True, samesite="lax", path="/")
    return answer


@router.post("/sign-out", include_in_schema=False)
def sign_out(request: Request, actor: Actor) -> Response:
    """Ends the session."""
    actor.desk.sessions.end(cookie(request))
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.get("/events", include_in_schema=False)
async def events(reader: Reader, request: Request, seen: Mark = "") -> StreamingResponse:
    """Says `changed` whenever something was written into a ledger, and every minute, as server-sent events.

    Also at once, where something was written between the page that was `seen` and this request.
    """
    return StreamingResponse(_changes(reader.desk, request, seen), media_type="text/event-stream")


async def _changes(desk: Desk, request: Request, seen: str) -> AsyncIterator[str]:
    known, mark = await run_in_threadpool(lambda: (desk.stamp(), desk.mark()))
    yield ": here\n\n" if seen in {"", mark} else CHANGED
    while not await request.is_disconnected() and desk.sessions.find(cookie(request), seen=False) is not None:
        for _ in range(LOOKED_EVERY):
            await asyncio.sleep(STEP_S)
            if desk.is_closing():
                return
        now = await run_in_threadpool(desk.stamp)
        yield CHANGED if now != known else ": still here\n\n"
        known = now


class Data(JSONResponse):
    """JSON in which, as on the command line, every character shows."""

    def render(self, content: Any) -> bytes:
        """The values as they are; what is not seen is written as JSON escapes."""
        return json_text(json.dumps(jsonable(content), ensure_ascii=False)).encode()


@router.get("/today.json", response_class=Data)
def today_data(reader: Reader) -> Data:
    """What waits, what is broken, what is about to happen, and what happened since yesterday."""
    return Data(today_page.today(reader.desk.workspace, reader.desk.overview(), reader.person))


@router.get("/today", include_in_schema=False)
def today(reader: Reader) -> HTMLResponse:
    """The same as a page."""
    found = today_page.today(reader.desk.workspace, reader.desk.overview(), reader.person)
    return reader.page("today.html.j2", "Today", "/today", "pilotplant status", "/today.json", page=found)


def _board(reader: Reading, page: int) -> Any:
    return reader.desk.read(("board", page), lambda: lab_page.board(reader.desk.workspace, page))


@router.get("/lab.json", response_class=Data)
def lab_data(reader: Reader, page: Page = 1) -> Data:
    """All pilots by where they stand."""
    return Data(_board(reader, page))


@router.get("/lab", include_in_schema=False)
def lab(reader: Reader, page: Page = 1) -> HTMLResponse:
    """The same as a page."""
    found, data = _board(reader, page), "/lab.json" if page == 1 else f"/lab.json?page={page}"
    return reader.page("lab.html.j2", "Lab", "/lab", "pilotplant lab list", data, page=found)


def _pilot(reader: Reading, name: str) -> Any:
    workspace = reader.desk.workspace

    def look() -> Any:
        return test_page(workspace, name) or lab_page.pilot_page(workspace, name)

    return reader.desk.computed(("lab", name), look)


@router.get("/lab/{name}.json", response_class=Data)
def pilot_data(reader: Reader, name: PilotName) -> Data:
    """One pilot: its plan, what came in, its health, and once they may be seen its effects."""
    return Data(_pilot(reader, name))


@router.get("/lab/{name}", include_in_schema=False)
def pilot(reader: Reader, name: PilotName) -> HTMLResponse:
    """The same as a page."""
    found = _pilot(reader, name)
    template = "test.html.j2" if isinstance(found, TestShown) else "pilot.html.j2"
    return reader.page(template, title_of(name), "/lab", f"pilotplant lab show {name}", f"/lab/{name}.json",
                       (("/lab", "Lab"),), page=found, person=reader.person)  # fmt: skip


def _gate(reader: Reading) -> Any:
    overview = reader.desk.overview()
    return reader.desk.read("gate", lambda: gate_page.gate_page(reader.desk.workspace, overview))


@router.get("/gate.json", response_class=Data)
def gate_data(reader: Reader) -> Data:
    """What waits for a decision, and what was decided."""
    return Data(_gate(reader))


@router.get("/gate", include_in_schema=False)
def gate(reader: Reader) -> HTMLResponse:
    """The same as a page."""
    found = _gate(reader)
    return reader.page("gate.html.j2", "Gate", "/gate", "pilotplant promote queue", "/gate.json", page=found)


def _candidate(reader: Reading, name: str) -> Any:
    desk, person = reader.desk, reader.person
    overview = desk.overview()
    return desk.computed(
        ("gate", name, person), lambda: gate_page.candidate_page(desk.workspace, name, person, overview)
    )


@router.get("/gate/{name}.json", response_class=Data)
def candidate_data(reader: Reader, name: PilotName) -> Data:
    """A pilot's results, judged now; reading them is a look, and on the ledger."""
    return Data(_candidate(reader, name))


@router.get("/gate/{name}", include_in_schema=False)
def candidate(reader: Reader, name: PilotName) -> HTMLResponse:
    """The same as a page."""
    found = _candidate(reader, name)
    return reader.page("candidate.html.j2", title_of(name), "/gate", f"pilotplant promote summary {name}",
                       f"/gate/{name}.json", (("/gate", "Gate"),), page=found)  # fmt: skip


def _factory(reader: Reading) -> Any:
    desk, workspace = reader.desk, reader.desk.workspace
    found = desk.overview().factory
    known = desk.computed("tables", lambda: factory_page.tables_of(workspace))
    output = desk.read("output", lambda: output_of(workspace, workspace.clock.now()))
    port = desk.read("tracking", lambda: tracking_server.port_of(workspace))
    return factory_page.factory_page(found, known, output, engines(workspace, port))


@router.get("/factory.json", response_class=Data)
def factory_data(reader: Reader) -> Data:
    """All releases, what is in trouble, and the tables."""
    return Data(_factory(reader))


@router.get("/factory", include_in_schema=False)
def factory(reader: Reader) -> HTMLResponse:
    """The same as a page."""
    found = _factory(reader)
    return reader.page("factory.html.j2", "Factory", "/factory", "pilotplant factory status", "/factory.json",
                       page=found, person=reader.person, operates=reader.operates)  # fmt: skip


@router.get("/factory/{name}.json", response_class=Data)
def release_data(reader: Reader, name: ReleaseName) -> Data:
    """One release with its latest runs."""
    return Data(factory_page.release_page(reader.desk.workspace, reader.desk.overview().factory, name))


@router.get("/factory/{name}", include_in_schema=False)
def release(reader: Reader, name: ReleaseName) -> HTMLResponse:
    """The same as a page."""
    found = factory_page.release_page(reader.desk.workspace, reader.desk.overview().factory, name)
    return reader.page("release.html.j2", title_of(name), "/factory", f"pilotplant factory show {name}",
                       f"/factory/{name}.json", (("/factory", "Factory"),), page=found, person=reader.person,
                       operates=reader.operates)  # fmt: skip


@router.get("/ledger.json", response_class=Data)
def ledger_data(reader: Reader, subject: Subject = "") -> Data:
    """The latest entries of all three ledgers, the newest first."""
    return Data(ledger_page.ledger_page(reader.desk.workspace, subject))


@router.get("/ledger", include_in_schema=False)
def ledger(reader: Reader, subject: Subject = "") -> HTMLResponse:
    """The same as a page."""
    found = ledger_page.ledger_page(reader.desk.workspace, subject)
    data = f"/ledger.json?{urlencode({'subject': subject})}" if subject else "/ledger.json"
    return reader.page("ledger.html.j2", "Ledger", "/ledger", "pilotplant verify", data, page=found)


@router.post("/ledger/verify", include_in_schema=False)
def verify(actor: Actor) -> HTMLResponse:
    """Verifies the ledgers of all rooms, each against what the others have seen of it; nothing is changed."""
    found = ledger_page.ledger_page(actor.desk.workspace, None, actor.desk.alone(lambda: cross(actor.desk.workspace)))
    return actor.page("ledger.html.j2", "Ledger", "/ledger", "pilotplant verify", "/ledger.json", page=found)


def _insights(reader: Reading, query: str, tag: str) -> Any:
    look = partial(insights_page.insights_page, reader.desk.workspace, query, tag)
    return reader.desk.read(("insights", query, tag), look)


@router.get("/insights.json", response_class=Data)
def insights_data(reader: Reader, query: Words = "", tag: Words = "") -> Data:
    """What pilots taught, the newest first."""
    return Data(_insights(reader, query, tag))


@router.get("/insights", include_in_schema=False)
def insights(reader: Reader, query: Words = "", tag: Words = "") -> HTMLResponse:
    """The same as a page."""
    found = _insights(reader, query, tag)
    data = f"/insights.json?{urlencode({'query': query, 'tag': tag})}" if query or tag else "/insights.json"
    return reader.page("insights.html.j2", "Insights", "/lab", "pilotplant lab insights", data,
                       (("/lab", "Lab"),), page=found)  # fmt: skip


@router.get("/import", include_in_schema=False)
def import_form(reader: Reader) -> HTMLResponse:
    """The form that brings finished tests in."""
    command = "pilotplant lab import NAME FILE --mapping FILE"
    return reader.page(
        "import.html.j2", "Finished tests", "/lab", command, trail=(("/lab", "Lab"),), example=EXAMPLE, kinds=KINDS
    )


def _calendar(reader: Reading, weeks: int, page: int) -> Any:
    workspace = reader.desk.workspace
    # A plan that somebody edits is on no ledger.
    plans = tuple(sorted((str(path), path.stat().st_mtime_ns) for path in workspace.pilots.glob("*/charter.yaml")))
    look = partial(calendar_page.calendar, workspace, weeks, page)
    return reader.desk.read(("calendar", weeks, page, plans), look)


@router.get("/calendar.json", response_class=Data)
def calendar_data(reader: Reader, weeks: Weeks = 0, page: Page = 1) -> Data:
    """Pilots and releases by the week, who shares whose customers, and what is to be decided when."""
    return Data(_calendar(reader, weeks, page))


@router.get("/calendar", include_in_schema=False)
def calendar(reader: Reader, weeks: Weeks = 0, page: Page = 1) -> HTMLResponse:
    """The same as a page."""
    found, data = _calendar(reader, weeks, page), "/calendar.json"
    if (weeks, page) != (0, 1):
        data += f"?weeks={weeks}&page={page}"
    return reader.page("calendar.html.j2", "Calendar", "/lab", "pilotplant lab list", data, (("/lab", "Lab"),),
                       page=found)  # fmt: skip


@router.get("/new-pilot", include_in_schema=False)
def new_draft(reader: Reader) -> HTMLResponse:
    """The form of a new pilot."""
    found = drafts_page.new_page(reader.desk.workspace)
    return reader.page(
        "new.html.j2", "A new pilot", "/lab", "pilotplant lab new NAME", trail=(("/lab", "Lab"),), page=found
    )


@router.get("/drafts/{name}.json", response_class=Data)
def draft_data(reader: Reader, name: PilotName) -> Data:
    """A draft: its charter's text, and what customers would get."""
    return Data(_draft(reader, name))


@router.get("/drafts/{name}", include_in_schema=False)
def draft(reader: Reader, name: PilotName) -> HTMLResponse:
    """The same as a page."""
    found, trail = _draft(reader, name), (("/lab", "Lab"),)
    return reader.page("draft.html.j2", title_of(name), "/lab", f"pilotplant lab preview {name}",
                       f"/drafts/{name}.json", trail, page=found, person=reader.person)  # fmt: skip


def _draft(reader: Reading, name: str) -> Any:
    return reader.desk.alone(lambda: drafts_page.draft_page(reader.desk.workspace, name))


@router.get("/drafts/{name}/audience.json", response_class=Data)
def audience_data(reader: Reader, name: PilotName, file: Subject = "") -> Data:
    """A draft's audience: its conditions, and how many customers they select."""
    return Data(audience_page(reader.desk.workspace, name, file))


@router.get("/drafts/{name}/audience", include_in_schema=False)
def audience(reader: Reader, name: PilotName, file: Subject = "") -> HTMLResponse:
    """The same as a page."""
    trail = (("/lab", "Lab"), (f"/drafts/{name}", title_of(name)))
    found = audience_page(reader.desk.workspace, name, file)
    return reader.page("audience.html.j2", "Audience", "/lab", f"pilotplant lab check {name}",
                       f"/drafts/{name}/audience.json?{urlencode({'file': found.file})}", trail, page=found,
                       person=reader.person)  # fmt: skip


@router.get("/drafts/{name}/check.json", response_class=Data)
def check_data(reader: Reader, name: PilotName) -> Data:
    """What a draft would come to, simulated."""
    return Data(_check(reader, name))


@router.get("/drafts/{name}/check", include_in_schema=False)
def check(reader: Reader, name: PilotName) -> HTMLResponse:
    """The same as a page."""
    trail = (("/lab", "Lab"), (f"/drafts/{name}", title_of(name)))
    return reader.page("check.html.j2", "Check", "/lab", f"pilotplant lab check {name}", f"/drafts/{name}/check.json",
                       trail, page=_check(reader, name), person=reader.person)  # fmt: skip


def _check(reader: Reading, name: str) -> Any:
    folder = reader.desk.workspace.pilots / name
    files = tuple(sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("*") if path.is_file()))
    look = partial(drafts_page.check_page, reader.desk.workspace, name)
    return reader.desk.computed(("check", name, files), look)
