"""What was done: all pilots together, the ledger, and who had decided what by a date; entries as people read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from promotion.cli.group import app
from shared.core.errors import BadInput, Refused
from shared.core.times import date_time
from shared.ui.completion import pilots
from shared.ui.console import Json, counted, emit, progress, session, table, write

LOG_FORMATS = ("text", "json", "csv")


@app.command(name="portfolio")
def portfolio_(context: typer.Context, as_json: Json = False) -> Any:
    """Show all pilots together: each one's level, what came of it, and how much may still be spent on false alarms."""
    from promotion.gate.policy import read_settings
    from promotion.registry.portfolio import portfolio
    from promotion.state import DECIDED, REGISTERED, open_promotion
    from shared.ui import phrases

    workspace = session(context).workspace()
    entries = open_promotion(workspace).entries(kinds=[REGISTERED, DECIDED])
    found = portfolio(entries, read_settings(workspace).portfolio.bound)
    rows = [
        (each.place.number, each.pilot, when(each.at), f"{each.place.level:.4f}", phrases.p_value(each.p), each.state)
        for each in found.tested
    ]
    emit(
        as_json,
        found.as_json(),
        table("", "pilot", "registered", "level", "p", "state", rows=rows) if rows else "No pilot was registered yet.",
        f"At most {100 * found.bound:g} % of the discoveries are expected to be false. "
        f"{counted(found.discoveries, 'pilot')} scaled within the level; all levels come to {found.spent:.3f}.",
        f"Left to be spent: {found.wealth:.4f}. The next pilot gets a level of {found.following:.4f}; "
        "each discovery adds to it.",
    )
    return found


@app.command()
def log(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Only entries on this pilot or key.", autocompletion=pilots)
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="text, json or csv.")] = "text",
    as_json: Json = False,
) -> Any:
    """Print the gate's ledger."""
    from promotion.audit.log import read_log
    from promotion.queue.reception import receptions

    if format_ not in LOG_FORMATS or (as_json and format_ == "csv"):
        raise BadInput(f"`{format_}` is not a format here", where="--format", expected="one of: text, json, csv")
    workspace = session(context).workspace()
    found = read_log(workspace, name)
    if format_ == "csv":
        write(found.as_csv())
        for problem in found.problems:
            progress(f"PROBLEM  {problem}")
        return found
    became = [one for one in receptions(workspace) if name in {None, one.pilot}]
    rows = [(e.seq, when(e.at), e.kind, e.subject, gist(e.kind, e.body)) for e in found.entries]
    emit(
        as_json or format_ == "json",
        found.as_json() | {"handed_over": became},
        table("#", "at", "kind", "subject", "what", rows=rows),
        *(f"{one.pilot}: {one.told}" for one in became),
        *(f"PROBLEM  {problem}" for problem in found.problems),
    )
    return found


@app.command()
def audit(
    context: typer.Context,
    as_of: Annotated[str, typer.Option(help="A date, which includes that day (UTC), or a moment with its offset.")],
    as_json: Json = False,
) -> Any:
    """Tell who had decided what, on which evidence, by a date; name whatever is wrong with the record."""
    from promotion.audit.audit import audit as examine
    from promotion.audit.audit import moment_of

    found = examine(session(context).workspace(), moment_of(as_of))
    lines: list[str] = []
    for one in found.rulings:
        signers = ", ".join(f"{key.name} ({key.role}) {key.key_id[:12]}…" for key in one.keys) or "nobody"
        lines += [
            f"{one.pilot}: {one.word} {one.arm or ''}".rstrip() + f" by {one.owner}, {when(one.at)} ({one.mode})",
            f"  because: {one.reason}",
            f"  verdict {one.verdict}; candidate {one.candidate}",
            f"  evidence {one.evidence}",
            f"  policy {one.policy}",
            f"  attestation {one.attestation}, signed by {signers}",
            *(f"  PROBLEM  {problem}" for problem in one.problems),
        ]
    emit(
        as_json,
        found.as_json(),
        *(lines or ["Nothing had been decided."]),
        *(one.told() for one in found.lapsed),
        *(f"PROBLEM  {problem}" for problem in found.problems),
    )
    if found.problems or any(one.problems for one in found.rulings):
        raise typer.Exit(Refused.exit_code)
    return found


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
