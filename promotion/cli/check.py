"""What the gate asks and what it finds; nothing is decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promotion.cli.group import Looker, app
from promotion.cli.texts import (
    catalogue_text,
    check_text,
    findings_text,
    passed_text,
    remedies_text,
    verdict_text,
    waived_text,
)
from shared.ui.completion import pilots
from shared.ui.console import Json, Line, emit, progress, session

if TYPE_CHECKING:
    from shared.state.workspace import Workspace


@app.command()
def check(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="A pilot's name, or the digest of a candidate.", autocompletion=pilots)
    ] = None,
    explain: Annotated[str | None, typer.Option(help="Show the numbers behind one check.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every candidate that waits for a decision.")] = False,
    passed: Annotated[bool, typer.Option("--passed", help="Show the checks that passed as well.")] = False,
    as_: Looker = None,
    as_json: Json = False,
) -> Any:
    """Run the gate: the verdict, what stands against it, and what would change it. Nothing is decided."""
    from promotion.gate.catalogue import catalogue
    from promotion.gate.gate import EXIT_CODES
    from promotion.gate.policy import read_settings
    from promotion.queue.judgements import judge_named
    from shared.experiment.people import known

    if (name is None) == (not all_):
        raise typer.BadParameter("name one pilot, or say --all")
    progress("Asking every check; the evidence is computed again from the sealed data …")
    workspace = session(context).workspace()
    judged = judge_named(workspace, name, explain=explain, who=known(workspace, as_))
    about = catalogue(read_settings(workspace), explain) if explain else ()
    payload: list[dict[str, Any]] = []
    lines: list[Line] = []
    for case, judgement in judged:
        payload += [_as_json(case, judgement, explain) | ({"explained": about[0]} if about else {})]
        lines += _explained(case, judgement, about) if about else _told(case, judgement, passed=passed)
    emit(
        as_json,
        payload[0] if name and payload else {"candidates": payload},
        *(lines or ["Nothing waits for a decision."]),
    )
    worst = max((EXIT_CODES[judgement.verdict] for _, judgement in judged), default=0)
    if worst:
        raise typer.Exit(worst)
    return [judgement for _, judgement in judged]


def asked(workspace: Workspace, name: str) -> tuple[dict[str, Any], list[Line]]:
    """What `promote check NAME` says, for scripts and for people."""
    from promotion.queue.judgements import judge_named

    [(case, judgement)] = judge_named(workspace, name)
    return _as_json(case, judgement, None), _told(case, judgement, passed=False)


@app.command()
def checks(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Only this check, with its thresholds.", metavar="CHECK")] = None,
    as_json: Json = False,
) -> Any:
    """List what the gate asks: each check, what it reads, and what the policy of each tier makes of it."""
    from promotion.gate.catalogue import catalogue
    from promotion.gate.policy import read_settings

    found = catalogue(read_settings(session(context).workspace()), name)
    lines = catalogue_text(found) if name is None else [line for each in found for line in check_text(each)]
    emit(as_json, {"checks": found}, *lines)
    return found


def _as_json(case: Any, judgement: Any, explain: str | None) -> dict[str, Any]:
    """A judgement for scripts, with every finding or those of one check, and every warning that failed."""
    from promotion.gate.choice import admitted_pairs
    from promotion.queue.judgements import promises
    from shared.trust.finding import failed_warnings

    shown = [finding for finding in judgement.findings if explain in {None, finding.check}]
    return {
        "pilot": case.candidate.manifest.pilot,
        "candidate": case.candidate.manifest.digest,
        "verdict": judgement.verdict,
        "arms": judgement.verdicts,
        "findings": shown,
        "warnings": failed_warnings(judgement.findings),
        "waived": sum(finding.outcome == "waived" for finding in judgement.findings),
        "between": admitted_pairs(case, judgement.admitted),
        "promised": promises(case),
    }


def _told(case: Any, judgement: Any, *, passed: bool) -> list[Line]:
    """The verdict, what stands against it, what an admitted arm promises, and how many checks passed."""
    from promotion.gate.choice import choice
    from promotion.gate.failed_warnings import told
    from promotion.queue.judgements import promises
    from shared.trust.finding import failed_warnings
    from shared.ui import phrases

    metrics, warned = case.promise.metrics, failed_warnings(judgement.findings)
    return [
        _which(case),
        *verdict_text(judgement),
        *findings_text([one for one in judgement.findings if one.outcome != "passed" and one not in warned]),
        *waived_text(judgement.findings),
        *told(judgement.findings),
        *remedies_text(warned),
        *(
            f"{arm}: {phrases.promise(metrics[one.metric], one)}"
            for arm, each in promises(case).items()
            for one in each
        ),
        *choice(case, judgement.admitted),
        *passed_text(case.candidate.manifest.pilot, judgement.findings, shown=passed),
    ]


def _explained(case: Any, judgement: Any, about: Sequence[Any]) -> list[Line]:
    """One check in full; the verdict is still that of all."""
    from promotion.gate.failed_warnings import told

    shown = [finding for finding in judgement.findings if finding.check == about[0].name]
    return [
        _which(case),
        *(line for each in about for line in check_text(each)),
        *findings_text(shown, explained=True),
        *waived_text(judgement.findings),
        *told(judgement.findings),
        *verdict_text(judgement),
    ]


def _which(case: Any) -> str:
    manifest = case.candidate.manifest
    return f"{manifest.pilot}, candidate {manifest.digest[:19]}…"
