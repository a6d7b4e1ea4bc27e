"""Mail to the team's own people: the server's settings, a letter, and one message given to the server or not."""

from __future__ import annotations

import os
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from pydantic import Field, model_validator

from shared.core.errors import BadInput, Refused, Undecided
from shared.core.frozen import FrozenModel
from shared.core.printable import block, line
from shared.experiment.charter import Email

EXAMPLE = (
    "smtp: {host: mail.example.com, port: 587, sender: lab@example.com, user: lab, password_env: LAB_SMTP_PASSWORD}"
)
# A mail server that has not answered by then will not.
TIMEOUT_S = 20


class Smtp(FrozenModel):
    """The mail server that takes mail to the team's own people.

    Attributes:
        host, port: where it listens.
        security: `starttls` (port 587, as a rule), `tls` (465), or `none` for a relay in the house.
        sender: the address that the mail comes from.
        user: who logs in there; None where nobody has to.
        password_env: the environment variable that holds the password; it stands in no file.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Email
    user: str | None = None
    password_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _hangs_together(self) -> Smtp:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("`user` and `password_env` belong together")
        if self.user is not None and self.security == "none":
            raise ValueError("a password does not go over the wire in the clear; use `starttls` or `tls`")
        return self

    def __str__(self) -> str:
        """`mail.example.com:587`."""
        return f"{self.host}:{self.port}"


def letter(
    *,
    sender: str,
    to: str,
    subject: str,
    body: str,
    key: str,
    html: bool = False,
    headers: dict[str, str] | None = None,
) -> EmailMessage:
    """A mail from this software: a header is one line, and every character of the whole shows.

    `key` names the letter: who gets it twice can see that by its Message-ID.
    """
    mail = EmailMessage()
    named = {"From": sender, "To": to, "Subject": subject, "Message-ID": f"<{key}@{sender.partition('@')[2]}>"}
    for name, text in (named | (headers or {})).items():
        mail[name] = line(text)
    mail["Date"] = formatdate(localtime=False)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply answers it
    mail.set_content(block(body), subtype="html" if html else "plain")
    return mail


def password_of(smtp: Smtp, setting: str) -> str | None:
    """The password from the environment, None where there is none; raises BadInput where it is missing."""
    if smtp.password_env is None:
        return None
    found = os.environ.get(smtp.password_env)
    if not found:
        raise BadInput(
            f"the environment has no {smtp.password_env}",
            where=f"{setting}.password_env",
            expected=f"the password of {smtp.user} at {smtp.host}",
            remedy=f"set it for this command: read -rs {smtp.password_env} && export {smtp.password_env}",
        )
    return found


def deliver(smtp: Smtp, password: str | None, mail: EmailMessage, *, what: str, setting: str) -> None:
    """Gives one message to the server, which takes it or not; `what` it is called in an error.

    Raises Refused where it was not taken, and Undecided where the line broke before the server's answer came.
    """
    speaking = False
    try:
        server = _connected(smtp)
        try:
            if smtp.user is not None and password is not None:
                server.login(smtp.user, password)
            speaking = True
            server.send_message(mail)
            with suppress(smtplib.SMTPException, OSError):
                server.quit()  # the message is taken, whatever comes of this
        finally:
            server.close()
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        # Only an answer of the server, or no talk at all, says for certain that it does not have the message.
        answered = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused | UnicodeError)
        known = answered or not speaking or isinstance(error, smtplib.SMTPNotSupportedError)
        raise (_refused if known else _unknown)(smtp, mail, f"{what}: {_said(error)}", setting) from error


def _refused(smtp: Smtp, mail: EmailMessage, what: str, setting: str) -> Refused:
    return Refused(
        f"the mail server {smtp} did not take the {what}",
        where=setting,
        expected=f"a server that takes mail from {smtp.sender} to {mail['To']} ({smtp.security})",
        remedy="correct the setting, or ask who runs the server; nothing was sent",
    )


def _unknown(smtp: Smtp, mail: EmailMessage, what: str, setting: str) -> Undecided:
    return Undecided(
        f"the mail server {smtp} broke off before it answered to the {what}",
        where=setting,
        remedy=f"ask {mail['To']} whether it has come",
    )


def _connected(smtp: Smtp) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    if smtp.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _said(error: Exception) -> str:
    """What the server said, on one line; smtplib keeps bytes, and a dictionary for refused recipients."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {text.decode(errors='replace')}" for code, text in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    return " ".join(str(error).split()) or type(error).__name__
