"""Reminding: who must decide or sign what by when, and that each of them is told once, by mail or webhook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from email.message import EmailMessage
from typing import Any, Literal

from promotion.gate.policy import GateSettings, read_settings
from promotion.queue.queue import waiting
from promotion.queue.views import Waiting
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_json, hex_of
from shared.core.errors import BadInput, Refused, Undecided
from shared.core.printable import line
from shared.core.times import date_time
from shared.notify.mail import EXAMPLE, deliver, letter, password_of
from shared.notify.webhook import post
from shared.state import ledger
from shared.state.chain import Entry
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.ui.phrases import days

Stage = Literal["decide", "sign"]
Told = Literal["no", "sent", "failed", "unknown"]
SETTING = "configs/gate.yaml"
# An intention is in the ledger before the message leaves, and what became of it after: by itself, it may have left.
REMINDING, REMINDED, NOT_REMINDED = "reminding", "reminded", "not_reminded"


@dataclass(frozen=True, slots=True)
class Reminder:
    """What one person is to do in time, and whether they were told.

    Attributes:
        stage: `decide`, or `sign` for the second signature under a proposal.
        until: the first moment that is too late, RFC 3339.
        next: the command to type.
        told: `no`, `sent`, `failed` (not taken; the next run tries again), or `unknown` (it may have arrived, and is
            not repeated).
        problem: why it failed or is unknown.
        declined: the digest of a decision that the gate would not sign, after which they are told once more.
    """

    pilot: str
    candidate: str
    stage: Stage
    to: str
    what: str
    until: str
    days_left: float
    next: str
    told: Told = "no"
    problem: str | None = None
    declined: str | None = None

    @property
    def key(self) -> str:
        """One person is told once of one candidate at one stage; whoever gets it twice can see it by this."""
        after = {"declined": self.declined} if self.declined else {}
        return hex_of(digest_json({"candidate": self.candidate, "stage": self.stage, "to": self.to, **after}))

    def as_json(self) -> dict[str, Any]:
        """For `--json` and webhooks."""
        return {"for" if name == "to" else name: value for name, value in asdict(self).items()}


Send = Callable[[Reminder], None]


def reminders(workspace: Workspace) -> list[Reminder]:
    """What is due within `remind_days`, the most urgent first, with what the ledger says of each."""
    room = open_promotion(workspace)
    due = [one for entry in waiting(workspace) if entry.due for one in _of(entry)]
    with room.read() as connection:
        return [_as_told(one, ledger.entries(connection, room.entries_table, subject=one.pilot)) for one in due]


def remind(workspace: Workspace) -> list[Reminder]:
    """Tells everybody who was not told yet, each in a message of their own; one that fails stops no other.

    Raises BadInput where configs/gate.yaml names no way to tell anybody.
    """
    send, room = _way(read_settings(workspace)), open_promotion(workspace)
    return [_tell(room, one, send) if one.told in {"no", "failed"} else one for one in reminders(workspace)]


def _of(entry: Waiting) -> list[Reminder]:
    pilot, proposed, declined = entry.pilot, entry.proposed, entry.declined
    about: dict[str, Any] = {
        "pilot": pilot, "candidate": entry.candidate, "until": rfc3339(entry.until), "days_left": entry.days_left,
    }  # fmt: skip
    if proposed:
        what = f"sign as the second person, or not: {proposed.word} is proposed by {proposed.by}"
        typed = f"pilotplant promote decide {pilot} {proposed.word} --as {{}} --reason TEXT"
        return [Reminder(**about, stage="sign", to=who, what=what, next=typed.format(who)) for who in proposed.others]
    typed = f"pilotplant promote decide {pilot} WORD --as {{}} --reason TEXT"
    what = "decide: scale, revise or stop; no decision by then is *stop*"
    if declined:
        what = f"decide anew, for the gate would not sign {declined.word} ({declined.reason}); " + what
    digest = declined.proposal if declined else None
    return [
        Reminder(**about, stage="decide", to=who, what=what, next=typed.format(who), declined=digest)
        for who in entry.deciders
    ]


def _as_told(one: Reminder, entries: list[Entry]) -> Reminder:
    """The reminder with what became of it, by the ledger."""
    mine = [entry for entry in entries if entry.body.get("key") == one.key]
    if not mine:
        return one
    kind, body = mine[-1].kind, mine[-1].body
    if kind == REMINDED:
        return replace(one, told="sent")
    if kind == NOT_REMINDED and body.get("certain"):
        return replace(one, told="failed", problem=str(body.get("problem")))
    return replace(
        one, told="unknown", problem=str(body.get("problem") or "it was cut off, or is being sent right now")
    )


def _tell(room: Room, one: Reminder, send: Send) -> Reminder:
    """Intention, message, outcome; whoever comes second to the intention leaves it alone."""
    body = {"candidate": one.candidate, "stage": one.stage, "to": one.to, "key": one.key}
    with room.transaction() as connection:
        now = _as_told(replace(one, told="no"), ledger.entries(connection, room.entries_table, subject=one.pilot))
        if now.told in {"sent", "unknown"}:
            return now
        room.write(connection, REMINDING, one.pilot, body)
    reach(Point.REMIND_INTENDED)
    try:
        send(one)
    except (Refused, Undecided) as error:
        certain = isinstance(error, Refused)
        outcome = replace(one, told="failed" if certain else "unknown", problem=error.what)
        _note(room, NOT_REMINDED, one.pilot, {**body, "certain": certain, "problem": error.what})
        return outcome
    reach(Point.REMIND_SENT)
    _note(room, REMINDED, one.pilot, body)
    return replace(one, told="sent", problem=None)


def _note(room: Room, kind: str, pilot: str, body: dict[str, Any]) -> None:
    with room.transaction() as connection:
        room.write(connection, kind, pilot, body)


def _way(settings: GateSettings) -> Send:
    """How a message leaves: by the webhook where there is one, else by mail."""
    hook, smtp = settings.notify.webhook, settings.smtp
    if hook is not None:
        address, setting = hook, f"{SETTING}, `notify.webhook`"
        return lambda one: post(address, {"schema_version": 1, **_public(one)}, key=one.key, setting=setting)
    if smtp is None:
        raise BadInput(
            "the gate knows neither a mail server nor a webhook",
            where=f"{SETTING}, `smtp` or `notify`",
            expected=f"{EXAMPLE}, or notify: {{webhook: https://chat.example.com/hooks/pilots}}",
            remedy="add one of them there",
        )
    setting = f"{SETTING}, `smtp`"
    password = password_of(smtp, setting)
    return lambda one: deliver(smtp, password, message(one, smtp.sender), what="reminder", setting=setting)


def _public(one: Reminder) -> dict[str, Any]:
    """What leaves the house: no more than the mail says."""
    return {key: value for key, value in one.as_json().items() if key not in {"told", "problem", "declined"}}


def message(one: Reminder, sender: str) -> EmailMessage:
    """The mail: plain text with the one command to type, and nothing of any customer."""
    until = date_time(one.until)
    wanted = "your decision" if one.stage == "decide" else "your signature"
    return letter(
        sender=sender,
        to=one.to,
        subject=f"{one.pilot}: {wanted} is due by {until}",
        body=f"Pilot {one.pilot} waits for {wanted} until {until} ({days(one.days_left)} left).\n\n"
        f"You are asked to {line(one.what)}.\n\nType, with your own word and reason:\n\n  {line(one.next)}\n\n"
        f"This is sent once. Candidate {line(one.candidate)}.\n",
        key=one.key,
    )
