"""What the gate asks and what it finds; nothing is decided."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from promotion.cli.group import Looker, app
from promotion.cli.texts import catalogue_text, check_text, findings_text, waived_text
from shared.console import Json, Line, emit, progress, session, styled

COLOURS = {"admit": "bold green", "refuse": "bold red", "undecided": "bold yellow"}


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A pilot's name, or the digest of a candidate.")] = None,
    explain: Annotated[str | None, typer.Option(help="Show the numbers behind one check.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every candidate that waits for a decision.")] = False,
    as_: Looker = None,
    as_json: Json = False,
) -> Any:
    """Run the gate: every check with what was measured, and what would change it. Nothing is decided."""
    from promotion.catalogue import catalogue
    from promotion.failed_warnings import told
    from promotion.gate import EXIT_CODES
    from promotion.judging import judge_named, promises
    from promotion.policy import read_settings
    from shared.people import known

    if (name is None) == (not all_):
        raise typer.BadParameter("name one pilot, or say --all")
    progress("Asking every check; the evidence is computed again from the sealed data …")
    workspace = session(context).workspace()
    judged = judge_named(workspace, name, explain=explain, who=known(workspace, as_))
    about = catalogue(read_settings(workspace), explain) if explain else ()
    payload: list[dict[str, Any]] = []
    lines: list[Line] = []
    for case, judgement in judged:
        # Only one check is shown, but the verdict is still that of all.
        shown = [finding for finding in judgement.findings if explain in {None, finding.check}]
        promised = promises(case)
        explained = {"explained": about[0].as_json()} if about else {}
        payload += [_as_json(case, judgement, shown, promised) | explained]
        lines += [
            f"{case.candidate.manifest.pilot}, candidate {case.candidate.manifest.digest[:19]}…",
            *(line for each in about for line in check_text(each)),
            *findings_text(shown, explained=explain is not None),
            *waived_text(judgement.findings),
            *told(judgement.findings),
            *_verdict_text(case, judgement, promised),
        ]
    emit(
        as_json,
        payload[0] if name and payload else {"candidates": payload},
        *(lines or ["Nothing waits for a decision."]),
    )
    worst = max((EXIT_CODES[judgement.verdict] for _, judgement in judged), default=0)
    if worst:
        raise typer.Exit(worst)
    return [judgement for _, judgement in judged]


@app.command()
def checks(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Only this check, with its thresholds.", metavar="CHECK")] = None,
    as_json: Json = False,
) -> Any:
    """List what the gate asks: each check, what it reads, and what the policy of each tier makes of it."""
    from promotion.catalogue import catalogue
    from promotion.policy import read_settings

    found = catalogue(read_settings(session(context).workspace()), name)
    lines = catalogue_text(found) if name is None else [line for each in found for line in check_text(each)]
    emit(as_json, {"checks": [each.as_json() for each in found]}, *lines)
    return found


def _as_json(case: Any, judgement: Any, shown: list[Any], promised: dict[str, Any]) -> dict[str, Any]:
    """A judgement for scripts, with the findings that are shown, and every warning that failed."""
    from promotion.choice import admitted_pairs
    from shared.finding import failed_warnings

    return {
        "pilot": case.candidate.manifest.pilot,
        "candidate": case.candidate.manifest.digest,
        "verdict": judgement.verdict,
        "arms": judgement.verdicts,
        "findings": [finding.model_dump(mode="json") for finding in shown],
        "warnings": [one.model_dump(mode="json") for one in failed_warnings(judgement.findings)],
        "waived": sum(finding.outcome == "waived" for finding in judgement.findings),
        "between": [one.model_dump(mode="json") for one in admitted_pairs(case, judgement.admitted)],
        "promised": {arm: [one.model_dump(mode="json") for one in each] for arm, each in promised.items()},
    }


def _verdict_text(case: Any, judgement: Any, promised: dict[str, Any]) -> list[Line]:
    """What could not change the verdict, what each arm promises, which is the better one, and the verdict."""
    from promotion.choice import choice
    from shared import wording

    warned = list(dict.fromkeys(finding.check for finding in judgement.findings if finding.level == "warn"))
    metrics = case.promise.metrics
    return [
        *([f"Cannot change this verdict, by the policy: {', '.join(warned)}."] if warned else []),
        *(f"{arm}: {wording.promise(metrics[one.metric], one)}" for arm, each in promised.items() for one in each),
        *choice(case, judgement.admitted),
        *(styled(f"{arm}: {word.upper()}", COLOURS[word]) for arm, word in judgement.verdicts.items()),
        *([] if judgement.verdicts else [judgement.verdict.upper()]),
    ]
