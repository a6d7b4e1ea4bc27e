"""Signing at the desk: a last look, a signature by key or by passkey, and the page of a person's key."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from pilotplant.desk.actions import Text, done, named
from pilotplant.desk.requests import Actor, PilotName, Reader
from pilotplant.desk.views.decision import choice_of, look, sign, take_answer
from pilotplant.desk.views.key import creation, key_page, register
from pilotplant.desk.views.parts import title_of
from shared.core.errors import BadInput
from shared.trust.passkey import base64url, read_answer

router = APIRouter(include_in_schema=False)


@router.post("/gate/{name}/look")
def last_look(
    actor: Actor,
    name: PilotName,
    word: Text = "",
    arm: Text = "",
    reason: Text = "",
    insight: Text = "",
    revise: Text = "",
) -> HTMLResponse:
    """Shows what would be signed; nothing is."""
    choice = choice_of(name, word, arm, reason, insight, revise=bool(revise))
    person = named(actor).email
    found = actor.desk.alone(lambda: look(actor.desk.workspace, choice, person))
    if found.prepared is not None:
        actor.desk.challenges.keep(actor.session, base64url(found.prepared.challenge), found.prepared)
    return actor.page("look.html.j2", choice.what, "/gate", f"pilotplant promote decide {name} {word} --dry-run",
                      trail=(("/gate", "Gate"), (f"/gate/{name}", title_of(name))), page=found)  # fmt: skip


@router.post("/gate/{name}/decide")
def decide(
    actor: Actor, name: PilotName, word: Text = "", arm: Text = "", reason: Text = "", insight: Text = "",
    revise: Text = "", passphrase: Text = "",
) -> RedirectResponse:  # fmt: skip
    """Signs what was looked at with the person's key, and carries it out."""
    choice = choice_of(name, word, arm, reason, insight, revise=bool(revise))
    person = named(actor).email
    actor.desk.alone(lambda: sign(actor.desk.workspace, choice, person, passphrase))
    return done(actor, f"/gate/{name}")


@router.post("/gate/{name}/sign")
def take(actor: Actor, name: PilotName, challenge: Text = "", answer: Text = "") -> RedirectResponse:
    """Takes a passkey's answer to what this browser was shown, and carries it out."""
    person = named(actor).email
    given = read_answer(answer, where="the passkey's answer")
    prepared = actor.desk.challenges.take(actor.session, challenge)
    if (prepared.name, prepared.wanted.who) != (name, person):
        raise BadInput(
            "this answer is about another pilot", where=f"/gate/{name}", remedy="nothing was done; look anew"
        )
    actor.desk.alone(lambda: take_answer(actor.desk.workspace, prepared, given))
    return done(actor, f"/gate/{name}")


@router.get("/key")
def key(reader: Reader, request: Request) -> HTMLResponse:
    """What somebody signs with, and how they register a passkey."""
    person, origin = named(reader).email, origin_of(request)
    found = key_page(reader.desk.workspace, person, origin)
    return reader.page("key.html.j2", "Your key", "/gate", f"pilotplant promote enrol {person}", page=found)


@router.post("/key/passkey")
def ask_passkey(actor: Actor, request: Request) -> HTMLResponse:
    """Asks the browser to make a passkey."""
    person = named(actor).email
    asked = creation(person, origin_of(request))
    actor.desk.registrations.keep(actor.session, asked["challenge"], person)
    return actor.page("passkey.html.j2", "A passkey", "/gate", f"pilotplant promote enrol {person} --passkey FILE",
                      trail=(("/key", "Your key"),), asked=json.dumps(asked), challenge=asked["challenge"])  # fmt: skip


@router.post("/key/register")
def take_passkey(actor: Actor, request: Request, challenge: Text = "", answer: Text = "") -> RedirectResponse:
    """Keeps the passkey that the browser made, for ops to enrol."""
    if actor.desk.registrations.take(actor.session, challenge) != named(actor).email:
        raise BadInput("this passkey was asked of somebody else", where="/key", remedy="sign in, and ask anew")
    register(actor.desk.workspace, named(actor).email, origin_of(request), _registration(challenge, answer))
    return done(actor, "/key")


def origin_of(request: Request) -> str:
    """The address at which the browser is; the guard has let no other host through."""
    return f"{request.url.scheme}://{request.headers['host']}"


def _registration(challenge: str, answer: str) -> bytes:
    """The registration as it is enrolled: the desk's own challenge, and what the browser gave."""
    try:
        credential = json.loads(answer)
    except (ValueError, RecursionError):
        credential = None  # what is none is named where it is read
    return json.dumps({"challenge": challenge, "credential": credential}).encode()
