"""`promote decide`: the owner's word, which can be looked at before it is signed."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promotion.cli.group import Draft, Name, app
from promotion.cli.outcome import MISSING, tell_decided, tell_proposal
from promotion.cli.sign import tell_draft
from promotion.cli.texts import waived_text
from shared.core.errors import Refused, Undecided
from shared.core.times import date_time
from shared.ui.console import Json, ask, emit, passphrase, progress, session

if TYPE_CHECKING:
    from shared.state.workspace import Workspace


@app.command()
def decide(
    context: typer.Context,
    name: Name,
    word: Annotated[str, typer.Argument(help="scale, revise or stop.", metavar="WORD")],
    as_: Annotated[
        str, typer.Option("--as", help="Who decides: the charter's owner, or a delegate; then the second person.")
    ],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; for revise, what changes.")],
    arm: Annotated[str | None, typer.Option(help="For scale: the arm to hand over.")] = None,
    insight: Annotated[str | None, typer.Option(help="What was learned; stop needs it, or a claim.")] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="For scale: go on with the other arms, in the draft of a successor.")
    ] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(help="For a successor: a field that is to change, like sample.units_per_arm=4000; repeatable."),
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(help="What was learned of one metric: METRIC=more, less, no-difference or could-not-tell."),
    ] = None,
    holds: Annotated[
        str | None, typer.Option("--context", help="With a claim: for whom, when and where it holds.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be signed and done; sign and write nothing.")
    ] = False,
    draft: Draft = None,
    yes: Annotated[bool, typer.Option("--yes", help="On a terminal: do not ask once more before signing.")] = False,
    as_json: Json = False,
) -> Any:
    """Sign scale, revise or stop; scale hands the arm's play over to the Factory if the gate admits it.

    On a terminal it shows what would be signed and asks once more. Stop asks there what was learned; a claim is set
    against the evidence, which may say otherwise.

    Where configs/gate.yaml asks for two signatures, the first one is a proposal (exit code 4), which a second person
    signs with the same command. The gate's passphrase is never asked for: where it is not in the environment, what was
    signed waits for `promote countersign` (exit code 4 as well), and does not lapse meanwhile.
    """
    from promotion.decisions.decision import decide as sign
    from promotion.decisions.decision import preview
    from promotion.decisions.draft import Asked, require_word
    from promotion.decisions.proposal import Proposed
    from promotion.keys.signers import require_no_passkey
    from shared.experiment.people import known
    from shared.trust.keys import GATE, passphrase_variable

    workspace = session(context).workspace()
    who = known(workspace, as_) or as_
    if word == "stop" and insight is claim is None:
        claim, holds = _asked_claim(workspace, name)
    asked = Asked(
        require_word(word), who, reason, arm, insight, changes=tuple(change or ()), claim=claim, context=holds,
        revise=revise, gate_passphrase=os.environ.get(passphrase_variable(GATE)),
    )  # fmt: skip
    if draft is not None:
        progress("Judging as the real command would; nothing is signed …")
        return tell_draft(name, workspace, asked, draft, as_json=as_json)
    if dry_run:
        progress("Judging as the real command would; nothing is signed or written …")
        return _tell_preview(name, preview(workspace, name, asked), as_json=as_json)
    if sys.stdin.isatty() and not (yes or as_json):
        progress("Judging; nothing is signed or written yet …")
        _tell_preview(name, preview(workspace, name, asked), as_json=False)
        if not _confirmed():
            emit(as_json, {}, "Nothing was signed.")
            raise typer.Exit(Refused.exit_code)
    require_no_passkey(workspace, who)
    asked = replace(asked, passphrase=passphrase(workspace, who))
    progress("Judging once more before anything is signed …")
    done = sign(workspace, name, asked)
    if isinstance(done, Proposed):
        tell_proposal(name, done, as_json=as_json)
        raise typer.Exit(Undecided.exit_code)
    tell_decided(name, done, as_json=as_json)
    return done


def _confirmed() -> bool:
    """Whether whoever decides has seen what would be signed, and says so once more."""
    answer: str = ask("Sign this? Type yes", default="no")
    return answer.strip().lower() in {"y", "yes"}


def _asked_claim(workspace: Workspace, name: str) -> tuple[str | None, str | None]:
    """The claim and its context, asked for on a terminal; (None, None) where nobody is there to ask."""
    if not sys.stdin.isatty():
        return None, None
    from promotion.decisions.claims import DIRECTIONS
    from shared.trust.candidates import find_candidate

    charter = find_candidate(workspace, name).promise().charter
    arms = [arm.name for arm in charter.treatments]
    progress("What was learned? It is set against the evidence.")
    arm = arms[0] if len(arms) == 1 else ask(f"Of which arm ({', '.join(arms)})")
    measured = ", ".join(charter.measured)
    metric = ask(f"Of which metric ({measured})", default=charter.primary.metric)
    direction = ask(f"Against the control it was ({', '.join(DIRECTIONS)})")
    context = ask("For whom, when and where does that hold", default="", show_default=False)
    return f"{arm}:{metric}={direction}", context


def _tell_preview(name: str, found: Any, *, as_json: bool) -> Any:
    """What a decision would sign and do; a proposal exits as the real one does."""
    from promotion.decisions.proposal import said
    from promotion.gate.failed_warnings import told

    decision, predicate = found.decision, found.predicate
    what, would = {
        "person": ("was proposed", "proposed"), "gate": ("was signed", "signed"), None: ("was decided", "signed"),
    }[found.awaits]  # fmt: skip
    signers = " and ".join(found.signers)
    emit(
        as_json,
        {"pilot": name, "dry_run": True, **found.as_json()},
        f"{name}: {said(decision)} {what} before, at {date_time(decision.at)}; nothing new would be signed."
        if found.repeated
        else f"{name}: {said(decision)} would be {would} by {signers}.",
        *([] if predicate is None else [
            f"Signed would be: verdict {predicate.verdict} on {len(predicate.findings)} findings, until "
            f"{date_time(predicate.expires)}, by policy {predicate.policy[:19]}…; in full with --json",
            *waived_text(predicate.findings),
        ]),
        *told(found.warnings),
        *found.choice,
        *(f"{n}. {'Done before: ' if step.done else 'Then: '}{step.line} ({step.target})"
          for n, step in enumerate(found.steps, 1)),
        *([f"It would wait for {MISSING[found.awaits]}; nothing is handed over before."] if found.awaits else []),
        "Nothing was signed or written. Passphrases were not asked for.",
    )  # fmt: skip
    if found.awaits:
        raise typer.Exit(Undecided.exit_code)
    return found
