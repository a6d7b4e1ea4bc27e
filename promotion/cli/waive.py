"""`promote waive`: an exception from one check, signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from promotion.cli.group import DATES, Draft, Name, app
from promotion.cli.outcome import tell_waived
from promotion.cli.sign import tell_draft
from shared.core.times import date_time
from shared.ui.console import Json, emit, passphrase, progress, session


@app.command()
def waive(
    context: typer.Context,
    name: Name,
    check_: Annotated[str, typer.Argument(help="The check, as `promote check` names it.", metavar="CHECK")],
    as_: Annotated[str, typer.Option("--as", help="Who waives it: a person whom configs/people.yaml lets.")],
    reason: Annotated[str, typer.Option(help="Why what was found does no harm here, in a sentence.")],
    until: Annotated[datetime, typer.Option(help="The last day on which it counts, UTC.", formats=DATES[:1])],
    arm: Annotated[str | None, typer.Option(help="Only for this arm; for all if left out.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be waived; sign and write nothing.")
    ] = False,
    draft: Draft = None,
    as_json: Json = False,
) -> Any:
    """Sign an exception from one check, for the candidate that is before the gate now.

    What is scaled by way of it runs in the Factory no longer than the waiver counts.
    """
    from promotion.decisions.waiver import Wish, preview_waiver
    from promotion.decisions.waiver import waive as except_
    from promotion.keys.signers import require_no_passkey
    from shared.experiment.people import known

    workspace = session(context).workspace()
    who = known(workspace, as_) or as_
    end = until.replace(tzinfo=UTC) + timedelta(days=1)
    progress("Asking the checks what there is to waive …")
    wish = Wish(check_, who, reason, end, arm)
    if draft is not None:
        return tell_draft(name, workspace, wish, draft, as_json=as_json)
    if dry_run:
        return _tell_waiver_preview(name, preview_waiver(workspace, name, wish), as_json=as_json)
    require_no_passkey(workspace, who)
    done = except_(workspace, name, replace(wish, passphrase=passphrase(workspace, who)))
    tell_waived(name, done, as_json=as_json)
    return done


def _tell_waiver_preview(name: str, found: Any, *, as_json: bool) -> Any:
    waiver = found.waiver
    emit(
        as_json,
        {"dry_run": True, "waiver": waiver, "repeated": found.repeated},
        f"{name}: {waiver.check} was waived before; nothing new would be signed."
        if found.repeated
        else f"{name}: {waiver.check} would be waived by {waiver.person} until {date_time(waiver.until)} "
        "for this candidate.",
        *(f"It had {finding.outcome}: {finding.reason}" for finding in found.findings),
        "Nothing was signed or written. The passphrase was not asked for.",
    )
    return found
