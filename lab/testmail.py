"""Test mails: one rendering of a pilot's message, sent to one of the team's own people."""

from __future__ import annotations

import os
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from lab.preview import Rendering, preview
from lab.state import Smtp, open_lab, read_settings
from shared.errors import BadInput, Refused
from shared.people import read_people
from shared.workspace import Workspace

SETTING = "configs/lab.yaml, `smtp`"
EXAMPLE = (
    "smtp: {host: mail.example.com, port: 587, sender: lab@example.com, user: lab, password_env: LAB_SMTP_PASSWORD}"
)
# A mail server that has not answered by then will not.
TIMEOUT_S = 20


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
    password = _password(settings.smtp)
    rendering = _one(workspace, name, arm, unit)
    _send(settings.smtp, password, message(rendering, pilot=name, sender=settings.smtp.sender, to=person.email))
    room = open_lab(workspace)
    with room.transaction() as connection:
        room.write(connection, "test_sent", name, {"arm": rendering.arm, "unit": rendering.unit, "to": person.email})
    return Sent(rendering, person.email, f"{settings.smtp.host}:{settings.smtp.port}")


def message(rendering: Rendering, *, pilot: str, sender: str, to: str) -> EmailMessage:
    """The mail, which says in subject and header that it is a test."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, to
    mail["Subject"] = f"[Test: {pilot}, {rendering.arm}] {rendering.subject}"
    mail["Date"], mail["Message-ID"] = formatdate(localtime=False), make_msgid(domain=sender.partition("@")[2])
    mail["X-Pilot-Plant-Test"], mail["X-Pilot-Plant-Unit"] = f"{pilot}, {rendering.arm}", rendering.unit
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply answers it
    html = rendering.body.lstrip()[:9].lower().startswith(("<!doctype", "<html"))
    mail.set_content(rendering.body, subtype="html" if html else "plain")
    return mail


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


def _password(smtp: Smtp) -> str | None:
    if smtp.password_env is None:
        return None
    found = os.environ.get(smtp.password_env)
    if not found:
        raise BadInput(
            f"the environment has no {smtp.password_env}",
            where=f"{SETTING}.password_env",
            expected=f"the password of {smtp.user} at {smtp.host}",
            remedy=f"set it for this command: read -rs {smtp.password_env} && export {smtp.password_env}",
        )
    return found


def _send(smtp: Smtp, password: str | None, mail: EmailMessage) -> None:
    try:
        with _connected(smtp) as server:
            if smtp.user is not None and password is not None:
                server.login(smtp.user, password)
            server.send_message(mail)
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise Refused(
            f"the mail server {smtp.host}:{smtp.port} did not take the test mail: {_said(error)}",
            where=SETTING,
            expected=f"a server that takes mail from {smtp.sender} to {mail['To']} ({smtp.security})",
            remedy="correct the setting, or ask who runs the server; nothing was sent",
        ) from error


def _connected(smtp: Smtp) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    if smtp.security == "starttls":
        server.starttls(context=context)
    return server


def _said(error: Exception) -> str:
    """What the server said, on one line; smtplib keeps bytes, and a dictionary for refused recipients."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {text.decode(errors='replace')}" for code, text in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    return " ".join(str(error).split()) or type(error).__name__
