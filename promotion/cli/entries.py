"""What the gate's commands say to people of a ledger's entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.core.times import date_time


def when(at: Any) -> str:
    """A ledger's time for people; what a hand has put there in its place is told as it stands."""
    return date_time(at) if isinstance(at, str) else str(at)


def gist(kind: str, body: dict[str, Any]) -> str | None:
    """What an entry says, in a few words; None where it says nothing, or was made to say something else."""
    try:
        return GISTS.get(kind, _role)(body)
    except (KeyError, TypeError, AttributeError):
        return None


def _role(body: dict[str, Any]) -> str | None:
    return body.get("role") or body.get("mode")


def _registered(body: dict[str, Any]) -> str:
    amends = body.get("amends")
    said = f", version {amends['version']}: {amends['reason']}" if amends else ""
    return f"promise {body['promise'][:19]}…{said}"


def _reminding(body: dict[str, Any]) -> str:
    return f"{body['to']} to {body['stage']}" + (f": {body['problem']}" if "problem" in body else "")


GISTS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "registered": _registered,
    "decided": lambda body: f"{body['decision']['word']} by {body['decision']['owner']}",
    "proposed": lambda body: f"signed by a person, not yet by the gate; candidate {body['candidate'][:19]}…",
    "seconded": lambda body: f"signed by a second person; proposal {body['proposal'][:19]}…",
    "declined": lambda body: f"the gate would not sign it: {body['reason']}",
    "lapsed": lambda body: (
        f"{body['owner']} did not decide before {when(body['deadline'])}, which is *stop*"
        if "declined" not in body
        else f"the gate did not sign what was decided before {when(body['deadline'])}, which is *stop*"
    ),
    "looked": lambda body: f"{body['what']} by {body['by'] or 'somebody'}; candidate {body['candidate'][:19]}…",
    "reminding": _reminding,
    "reminded": _reminding,
    "not_reminded": _reminding,
    "waived": lambda body: f"{body['check']} by {body['by']} until {when(body['until'])}: {body['reason']}",
    "revoked": lambda body: f"key {body['key_id'][:12]} since {body.get('since', 'then')}: {body['reason']}",
    "witnessed": lambda body: ", ".join(f"{room} at entry {head['seq']}" for room, head in body["ledgers"].items()),
}
