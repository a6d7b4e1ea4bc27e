"""The owner's word and the exceptions: both are signed, and both can be looked at first."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from promotion.cli.group import DATES, Name, app
from promotion.cli.texts import waived_text
from shared.core.errors import Refused, Undecided
from shared.core.times import date_time
from shared.state.workspace import Workspace
from shared.trust.finding import failed_warnings
from shared.ui.console import Json, ask, emit, passphrase, progress, session


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
    draft: Annotated[
        Path | None, typer.Option(help="With a passkey: write what it has to sign into this file; then `promote sign`.")
    ] = None,
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
        return _tell_draft(name, workspace, asked, draft, as_json=as_json)
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
        _tell_proposal(name, done, as_json=as_json)
        raise typer.Exit(Undecided.exit_code)
    _tell_decided(name, done, as_json=as_json)
    return done


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
    draft: Annotated[
        Path | None, typer.Option(help="With a passkey: write what it has to sign into this file; then `promote sign`.")
    ] = None,
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
        return _tell_draft(name, workspace, wish, draft, as_json=as_json)
    if dry_run:
        return _tell_waiver_preview(name, preview_waiver(workspace, name, wish), as_json=as_json)
    require_no_passkey(workspace, who)
    done = except_(workspace, name, replace(wish, passphrase=passphrase(workspace, who)))
    _tell_waived(name, done, as_json=as_json)
    return done


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
        _tell_waived(prepared.name, done, as_json=as_json)
    elif isinstance(done, Proposed):
        _tell_proposal(prepared.name, done, as_json=as_json)
        raise typer.Exit(Undecided.exit_code)
    else:
        _tell_decided(prepared.name, done, as_json=as_json)
    return done


def _tell_draft(name: str, workspace: Workspace, wanted: Any, file: Path, *, as_json: bool) -> Any:
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


def _tell_waived(name: str, done: Any, *, as_json: bool) -> None:
    """What was waived, by whom and until when."""
    waiver = done.waiver.waiver
    emit(
        as_json,
        {"waiver": waiver, "digest": done.waiver.signed.digest, "repeated": done.repeated},
        f"{name}: {waiver.check} was waived before; nothing new was signed."
        if done.repeated
        else f"{name}: {waiver.check} is waived by {waiver.person} until {date_time(waiver.until)}, "
        "for this candidate only.",
        *(f"It had {finding.outcome}: {finding.reason}" for finding in done.findings),
        "It shows in every verdict on the candidate, in its attestation and in `pilotplant status`.",
    )


MISSING = {"person": "a second signature", "gate": "the gate's signature"}


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


def _tell_decided(name: str, done: Any, *, as_json: bool) -> None:
    """What was decided and signed, what it promises, and what comes after it."""
    from promotion.gate.failed_warnings import told
    from shared.ui import phrases

    decision, predicate = done.decision, done.attestation.predicate
    signed = " and ".join(one.name for one in predicate.signatories if one.role == "owner")
    after = [
        *([f"Insight kept: {decision.insight}"] if decision.word == "stop" else []),
        *([f"Draft of the successor: pilots/{decision.successor}/charter.yaml"] if decision.successor else []),
        *([f"Handed over as release {decision.release}. Next, for ops: pilotplant factory up"]
          if decision.release else []),
    ]  # fmt: skip
    emit(
        as_json,
        {"pilot": name, "decision": decision, "attestation": done.attestation.digest,
         "release": decision.release, "successor": decision.successor, "repeated": done.repeated,
         "waived": [one for one in predicate.findings if one.waived],
         "warnings": [one.name for one in failed_warnings(predicate.findings)],
         "steps": done.steps,
         "promised": predicate.promised},
        f"{name}: {decision.word} was decided before, at {date_time(decision.at)}; nothing new was signed."
        if done.repeated
        else f"{name}: {decision.word} {decision.arm or ''}".rstrip() + f", signed by {signed} and the gate.",
        *(f"{decision.arm}: {phrases.promise(done.metrics[one.metric], one)}" for one in predicate.promised),
        *waived_text(predicate.findings),
        *told(predicate.findings),
        f"Attestation: {done.attestation.digest}",
        *after,
    )  # fmt: skip


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


def _tell_proposal(name: str, found: Any, *, as_json: bool) -> None:
    """What was proposed, who else may sign it, and what they type."""
    from promotion.decisions.proposal import said, to_type
    from promotion.gate.failed_warnings import told

    decision, word = found.decision, said(found.decision)
    persons, did = " and ".join(found.persons), "signed" if found.awaits == "gate" else "proposed"
    emit(
        as_json,
        {"pilot": name, "proposed": decision, "proposal": found.digest,
         "persons": list(found.persons), "awaits": found.awaits, "others": list(found.others),
         "lapses": found.lapses, "repeated": found.repeated, "warnings": [one.name for one in found.warnings]},
        f"{name}: {word} was {did} before, by {persons} at {date_time(decision.at)}; nothing new was signed."
        if found.repeated
        else f"{name}: {word} is {did} by {persons}. Nothing is handed over yet.",
        *_missing(name, found, to_type(name, decision, "PERSON")),
        *told(found.warnings),
    )  # fmt: skip


def _missing(name: str, found: Any, typed: str) -> list[str]:
    """Whose signature is missing, until when, and what they type."""
    if found.awaits == "gate":
        return [
            "It waits for the gate's signature, and does not lapse meanwhile.",
            f"For ops, where the gate's passphrase is: pilotplant promote countersign {name}",
        ]
    return [
        f"It needs a second signature by {date_time(found.lapses)}, of: {', '.join(found.others)}"
        if found.others
        else "Nobody else may sign it: have configs/people.yaml entitle a second person who did not ask for it.",
        f"They type: {typed}",
    ]
