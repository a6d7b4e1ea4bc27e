"""Test mails: one rendering of a pilot's message, sent to one of the team's own people."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from uuid import uuid4

from lab.launch.preview import Rendering, preview
from lab.state import open_lab, read_settings
from shared.core.errors import BadInput
from shared.experiment.people import read_people
from shared.notify.mail import EXAMPLE, deliver, letter, password_of
from shared.state.workspace import Workspace

SETTING = "configs/lab.yaml, `smtp`"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and to whom."""

    rendering: Rendering
    to: str
    server: str


def send_test(workspace: Workspace, name: str, *, to: str, arm: str | None = None, unit: str | None = None) -> Sent:
    """Sends the words that one unit would get to one person of the team, and to nobody else: one message per call.

    Raises BadInput where there is no such person, arm or mail server, Refused where the server does not take it.
    """
    person = read_people(workspace).get(to)
    settings = read_settings(workspace)
    if settings.smtp is None:
        raise BadInput("the Lab knows no mail server", where=SETTING, expected=EXAMPLE, remedy="add it there")
    password = password_of(settings.smtp, SETTING)
    rendering = _one(workspace, name, arm, unit)
    mail = message(rendering, pilot=name, sender=settings.smtp.sender, to=person.email)
    deliver(settings.smtp, password, mail, what="test mail", setting=SETTING)
    room = open_lab(workspace)
    with room.transaction() as connection:
        room.write(connection, "test_sent", name, {"arm": rendering.arm, "unit": rendering.unit, "to": person.email})
    return Sent(rendering, person.email, str(settings.smtp))


def message(rendering: Rendering, *, pilot: str, sender: str, to: str) -> EmailMessage:
    """The mail, which says in subject and header that it is a test."""
    return letter(
        sender=sender,
        to=to,
        subject=f"[Test: {pilot}, {rendering.arm}] {rendering.subject}",
        body=rendering.body,
        key=uuid4().hex,
        html=rendering.body.lstrip()[:9].lower().startswith(("<!doctype", "<html")),
        headers={"X-Pilot-Plant-Test": f"{pilot}, {rendering.arm}", "X-Pilot-Plant-Unit": rendering.unit},
    )


def _one(workspace: Workspace, name: str, arm: str | None, unit: str | None) -> Rendering:
    found = preview(workspace, name, arm=arm, unit=unit).renderings
    arms = sorted({rendering.arm for rendering in found})
    if len(arms) > 1:
        raise BadInput(
            f"pilot {name} has several messages",
            where="--arm",
            expected="one of: " + ", ".join(arms),
            remedy="say which",
        )
    return found[0]
