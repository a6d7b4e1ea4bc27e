"""`promote sign`, and what `--draft` prepares for it: statements that a passkey signs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promotion.cli.group import app
from promotion.cli.outcome import tell_decided, tell_proposal, tell_waived
from shared.core.errors import Undecided
from shared.core.times import date_time
from shared.ui.console import Json, emit, progress, session

if TYPE_CHECKING:
    from shared.state.workspace import Workspace


@app.command("sign")
def sign(
    context: typer.Context,
    draft: Annotated[Path, typer.Argument(help="What `promote decide --draft` or `promote waive --draft` wrote.")],
    answer: Annotated[Path, typer.Argument(help="What the browser gave for it: the JSON of the passkey's answer.")],
    as_json: Json = False,
) -> Any:
    """Take a passkey's answer to a statement that was prepared, after judging it once more.

    The answer counts for that very statement, for a day, while the same words still come to it. Exit codes as those of
    `promote decide` and `promote waive`.
    """
    from promotion.decisions.prepared import sign_with_passkey
    from promotion.decisions.prepared_file import read_answer_file, read_prepared
    from promotion.decisions.proposal import Proposed
    from promotion.decisions.waiver import WaivedCheck
    from shared.trust.keys import GATE, passphrase_variable

    workspace = session(context).workspace()
    prepared = read_prepared(workspace, draft)
    progress("Judging once more before anything is signed …")
    gate_passphrase = os.environ.get(passphrase_variable(GATE))
    done = sign_with_passkey(workspace, prepared, read_answer_file(answer), gate_passphrase=gate_passphrase)
    if isinstance(done, WaivedCheck):
        tell_waived(prepared.name, done, as_json=as_json)
    elif isinstance(done, Proposed):
        tell_proposal(prepared.name, done, as_json=as_json)
        raise typer.Exit(Undecided.exit_code)
    else:
        tell_decided(prepared.name, done, as_json=as_json)
    return done


def tell_draft(name: str, workspace: Workspace, wanted: Any, file: Path, *, as_json: bool) -> Any:
    """Prepares what a passkey has to sign, writes it, and says what it is and what comes next."""
    from promotion.decisions.prepared import prepare
    from promotion.decisions.prepared_file import as_json as content
    from promotion.decisions.prepared_file import write_prepared
    from promotion.decisions.proposal import said
    from promotion.decisions.waiver import WaiverPreview
    from promotion.gate.failed_warnings import told

    made = prepare(workspace, name, wanted)
    write_prepared(made, file)
    shown: Any = made.shown
    if isinstance(shown, WaiverPreview):
        what = f"waive {shown.waiver.check} until {date_time(shown.waiver.until)}"
        found = [f"It had {finding.outcome}: {finding.reason}" for finding in shown.findings]
    else:
        what, found = said(shown.decision), [*told(shown.warnings), *shown.choice]
    emit(
        as_json,
        {**content(made), "file": str(file)},
        f"{name}: {what} is prepared for the passkey of {wanted.who}. Nothing is signed yet.",
        *found,
        f"What it has to sign: {file}, challenge {content(made)['challenge']}",
        f"With the browser's answer, within a day: pilotplant promote sign {file} ANSWER",
    )
    return made
