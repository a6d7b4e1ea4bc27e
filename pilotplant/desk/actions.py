"""What people do at the desk: each a form with its reason, sent by a page of theirs, and on the ledger afterwards."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from factory.releases import releases
from pilotplant.desk.frame import templates
from pilotplant.desk.requests import Actor, PilotName, Reading
from pilotplant.desk.views.charters import audience as audience_view
from pilotplant.desk.views.charters import drafts as drafts_page
from pilotplant.desk.views.charters.form import look_ahead
from pilotplant.desk.views.parts import title_of
from pilotplant.desk.views.results import finish, take
from pilotplant.desk.views.retrospective import bring
from shared.core.errors import BadInput, Refused
from shared.experiment.people import Person
from shared.ui.console import require_seen
from shared.ui.page import sentence

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]


@router.post("/factory/stop-all")
def stop_all(actor: Actor, reason: Text = "") -> RedirectResponse:
    """Stops everything; anybody whom people.yaml knows may do so."""
    releases.stop_all(actor.desk.workspace, reason=said(actor, reason))
    return done(actor, "/factory")


@router.post("/factory/resume-all")
def resume_all(actor: Actor, reason: Text = "") -> RedirectResponse:
    """Lifts the stop."""
    releases.resume_all(actor.desk.workspace, reason=said(actor, reason, operates=True))
    return done(actor, "/factory")


@router.post("/factory/{name}/pause")
def pause(actor: Actor, name: str, reason: Text = "") -> RedirectResponse:
    """Pauses a release; anybody whom people.yaml knows may do so."""
    releases.pause(actor.desk.workspace, name, reason=said(actor, reason))
    return done(actor, f"/factory/{name}")


@router.post("/factory/{name}/resume")
def resume(actor: Actor, name: str, reason: Text = "") -> RedirectResponse:
    """Lets a release run again."""
    releases.resume(actor.desk.workspace, name, reason=said(actor, reason, operates=True))
    return done(actor, f"/factory/{name}")


def named(actor: Reading) -> Person:
    """Who acts; raises HTTPException 403 for somebody whom configs/people.yaml does not know."""
    person = actor.entry()
    if person is None:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    return person


def said(actor: Reading, reason: str, *, operates: bool = False) -> str:
    """The reason as the ledger keeps it, with who gave it.

    Raises HTTPException 403 for somebody who may not do this, BadInput where no reason was given.
    """
    person = named(actor)
    if operates and not person.operates:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    reason = " ".join(reason.split())
    if not reason:
        raise BadInput("a reason is missing", where="why, in a sentence", remedy="go back and say it; nothing was done")
    return f"{require_seen(reason, 'the reason')} ({person.email}, at the desk)"


def done(actor: Reading, href: str) -> RedirectResponse:
    """Shows the page on which what was done stands."""
    actor.desk.changed()
    return RedirectResponse(href, HTTPStatus.SEE_OTHER)


@router.post("/lab/{name}/results")
def bring_results(actor: Actor, name: PilotName, file: UploadFile) -> HTMLResponse:
    """Takes a file of results in, and says what of it counts."""
    named(actor)
    found = actor.desk.alone(lambda: take(actor.desk.workspace, name, file.filename or "", file.file))
    actor.desk.changed()
    return actor.page("results.html.j2", "Results", "/lab", f"pilotplant lab record {name} FILE",
                      trail=(("/lab", "Lab"), (f"/lab/{name}", title_of(name))), page=found)  # fmt: skip


@router.post("/lab/{name}/finish")
def finish_pilot(actor: Actor, name: PilotName) -> RedirectResponse:
    """Analyses an ended pilot and puts it before the gate."""
    named(actor)
    actor.desk.alone(lambda: finish(actor.desk.workspace, name))
    return done(actor, f"/lab/{name}")


@router.post("/import")
def import_tests(actor: Actor, file: UploadFile, name: Text = "", mapping: Text = "") -> HTMLResponse:
    """Brings finished tests in, and says what each showed."""
    named(actor)
    found = actor.desk.alone(lambda: bring(actor.desk.workspace, name, file.filename or "", file.file, mapping))
    actor.desk.changed()
    return actor.page("imported.html.j2", "Finished tests", "/lab", "pilotplant lab import NAME FILE",
                      trail=(("/lab", "Lab"),), page=found)  # fmt: skip


@router.post("/new-pilot")
def begin_draft(
    actor: Actor, name: Text = "", template: Text = "", because: Text = "", believe: Text = "", will: Text = "",
    metric: Text = "", minimum_effect: Text = "", weeks: Text = "", media: Text = "", owner: Text = "",
    requester: Text = "",
) -> RedirectResponse:  # fmt: skip
    """Writes a draft from a form's answers."""
    named(actor)
    answers = {"template": template, "because": because, "believe": believe, "will": will, "metric": metric,
               "minimum_effect": minimum_effect, "weeks": weeks, "media": media, "owner": owner,
               "requester": requester}  # fmt: skip
    said_ = {field: require_seen(text, field.replace("_", " ")) for field, text in answers.items()}
    actor.desk.alone(lambda: drafts_page.begin(actor.desk.workspace, name, said_))
    return done(actor, f"/drafts/{name}")


@router.post("/drafts/{name}/edit")
def edit_draft(actor: Actor, name: PilotName, text: Text = "") -> RedirectResponse:
    """Puts a charter's text in the place of a draft's."""
    named(actor)
    actor.desk.alone(lambda: drafts_page.rewrite(actor.desk.workspace, name, text))
    return done(actor, f"/drafts/{name}")


@router.post("/drafts/{name}/form")
async def save_form(actor: Actor, name: PilotName, request: Request) -> Response:
    """Saves a draft's form, or shows it again with what is wrong."""
    named(actor)
    typed = await typed_in(request)
    return await run_in_threadpool(_saved, actor, name, typed)


def _saved(actor: Reading, name: str, typed: dict[str, list[str]]) -> Response:
    desk, digest = actor.desk, "".join(typed.get("digest", ()))
    try:
        problems = desk.alone(lambda: drafts_page.save_form(desk.workspace, name, digest, typed))
    except Refused as error:
        problems = {"": sentence(error.what)}
    if not problems:
        return done(actor, f"/drafts/{name}")
    found = desk.alone(lambda: drafts_page.draft_page(desk.workspace, name, typed, problems))
    shown = actor.page("draft.html.j2", title_of(name), "/lab", f"pilotplant lab preview {name}", None,
                       (("/lab", "Lab"),), page=found, person=actor.person)  # fmt: skip
    shown.status_code = HTTPStatus.BAD_REQUEST
    return shown


@router.post("/drafts/{name}/outlook")
async def outlook(actor: Actor, name: PilotName, request: Request) -> HTMLResponse:
    """What a draft's numbers come to as they are typed now; nothing is written."""
    typed = await typed_in(request)
    found = await run_in_threadpool(look_ahead, actor.desk.workspace, name, typed)
    return HTMLResponse(templates().get_template("outlook.html.j2").render(outlook=found))


@router.post("/drafts/{name}/audience")
async def save_audience(actor: Actor, name: PilotName, request: Request) -> Response:
    """Saves a draft's audience, or shows it again with what is wrong."""
    named(actor)
    typed = await typed_in(request)
    return await run_in_threadpool(_audience_saved, actor, name, typed)


def _audience_saved(actor: Reading, name: str, typed: dict[str, list[str]]) -> Response:
    workspace = actor.desk.workspace
    file, digest = ("".join(typed.get(key, ())) for key in ("file", "digest"))
    try:
        actor.desk.alone(lambda: audience_view.save(workspace, name, file, digest, typed))
    except (BadInput, Refused) as error:
        found = audience_view.audience_page(workspace, name, file, typed, sentence(error.what))
        trail = (("/lab", "Lab"), (f"/drafts/{name}", title_of(name)))
        shown = actor.page("audience.html.j2", "Audience", "/lab", f"pilotplant lab check {name}", trail=trail,
                           page=found, person=actor.person)  # fmt: skip
        shown.status_code = HTTPStatus.BAD_REQUEST
        return shown
    return done(actor, f"/drafts/{name}/audience?file={quote(file)}")


@router.post("/drafts/{name}/audience/count")
async def count_audience(actor: Actor, name: PilotName, request: Request) -> HTMLResponse:
    """How many customers the conditions select as they are typed now; nothing is written."""
    typed = await typed_in(request)
    found, problem = await run_in_threadpool(audience_view.selected, actor.desk.workspace, name, typed)
    return HTMLResponse(templates().get_template("selected.html.j2").render(selected=found, problem=problem))


async def typed_in(request: Request) -> dict[str, list[str]]:
    """What a form says, by name."""
    form = await request.form()
    return {name: [each for each in form.getlist(name) if isinstance(each, str)] for name in form}


@router.post("/drafts/{name}/launch")
def launch_draft(actor: Actor, name: PilotName) -> RedirectResponse:
    """Launches a draft."""
    named(actor)
    actor.desk.alone(lambda: drafts_page.start(actor.desk.workspace, name))
    return done(actor, f"/lab/{name}")
