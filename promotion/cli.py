"""The gate's commands: each parses, calls one function and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from shared.console import Json, date_time, emit, passphrase, progress, session, table

app = typer.Typer(
    name="promote", help="The gate between Lab and Factory: evidence, quality, owner.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME")]
COLOURS = {"admit": "bold green", "refuse": "bold red", "undecided": "bold yellow"}
MARKS = {
    "passed": "[green]passed[/]",
    "failed": "[red]FAILED[/]",
    "unevaluable": "[yellow]CANNOT SAY[/]",
    "waived": "waived",
}


@app.command()
def enrol(
    context: typer.Context,
    owner: Annotated[str, typer.Argument(help="A person of configs/people.yaml, `gate` (its own key), or `factory`.")],
    public: Annotated[Path | None, typer.Option(help="Register this public record instead of making a pair.")] = None,
    as_json: Json = False,
) -> Any:
    """Make or register the key with which somebody signs."""
    from promotion.enrolment import enrol as register
    from shared.keys import FACTORY

    workspace = session(context).workspace()
    secret = None if public or owner == FACTORY else passphrase(workspace, owner, new=True)
    done = register(workspace, owner, passphrase=secret, public=public)
    emit(
        as_json,
        {"owner": owner, "key_id": done.key.key_id, "file": str(done.file), "repeated": done.repeated},
        f"{owner}: key {done.key.key_id} {'was enrolled before' if done.repeated else 'is enrolled'}."
        + (
            " It is a rehearsal's key: not encrypted, and trusted nowhere else."
            if workspace.mode == "rehearsal"
            else ""
        ),
        "The gate believes the reports that it signs; compare its id with what `factory enrol` printed."
        if owner == FACTORY
        else f"The Factory trusts it once ops have run: pilotplant factory trust {owner}",
    )
    return done


@app.command()
def queue(
    context: typer.Context,
    as_: Annotated[str | None, typer.Option("--as", help="Only what waits for this owner.")] = None,
    as_json: Json = False,
) -> Any:
    """List what waits for a decision, and until when."""
    from promotion.waiting import waiting
    from shared.clock import parse_rfc3339
    from shared.wording import days

    found = waiting(session(context).workspace(), owner=as_)
    rows = [
        (c["pilot"], c["candidate"][:19] + "…", c["owner"], date_time(parse_rfc3339(c["until"])),
         days(c["days_left"]) + (", due" if c["due"] else ""), c["next"])
        for c in found
    ]  # fmt: skip
    emit(
        as_json,
        {"candidates": found},
        table("pilot", "candidate", "waits for", "until", "left", "before scale", rows=rows)
        if found
        else "Nothing waits for a decision.",
    )
    return found


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A pilot's name, or the digest of a candidate.")] = None,
    explain: Annotated[str | None, typer.Option(help="Show the numbers behind one check.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every candidate that waits for a decision.")] = False,
    as_json: Json = False,
) -> Any:
    """Run the gate: every check with what was measured, and what would change it. Nothing is decided."""
    from promotion.gate import EXIT_CODES
    from promotion.judging import judge_named, promises
    from shared import wording

    if (name is None) == (not all_):
        raise typer.BadParameter("name one pilot, or say --all")
    progress("Asking every check; the evidence is computed again from the sealed data …")
    judged = judge_named(session(context).workspace(), name, explain=explain)
    # Only one check is shown, but the verdict is still that of all.
    shown = [tuple(f for f in judgement.findings if explain in {None, f.check}) for _, judgement in judged]
    told = [promises(case) for case, _ in judged]
    payload = [
        {
            "pilot": case.candidate.manifest.pilot,
            "candidate": case.candidate.manifest.digest,
            "verdict": judgement.verdict,
            "arms": judgement.verdicts,
            "findings": [finding.model_dump(mode="json") for finding in findings],
            "promised": {arm: [one.model_dump(mode="json") for one in each] for arm, each in promised.items()},
        }
        for (case, judgement), findings, promised in zip(judged, shown, told, strict=True)
    ]
    lines: list[str | Text | Table] = []
    for (case, judgement), findings, promised in zip(judged, shown, told, strict=True):
        lines += [f"{case.candidate.manifest.pilot}, candidate {case.candidate.manifest.digest[:19]}…"]
        lines += findings_text(findings, numbers=explain is not None)
        lines += [
            f"{arm}: {wording.promise(case.promise.metrics[one.metric], one)}"
            for arm, each in promised.items()
            for one in each
        ]
        lines += [
            Text(f"{arm}: {verdict.upper()}", style=COLOURS[verdict]) for arm, verdict in judgement.verdicts.items()
        ] or [judgement.verdict.upper()]
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
def decide(
    context: typer.Context,
    name: Name,
    word: Annotated[str, typer.Argument(help="scale, revise or stop.", metavar="WORD")],
    as_: Annotated[str, typer.Option("--as", help="Who decides: the charter's owner.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; for revise, what changes.")],
    arm: Annotated[str | None, typer.Option(help="For scale: the arm to hand over.")] = None,
    insight: Annotated[str | None, typer.Option(help="What was learned; stop needs it.")] = None,
    as_json: Json = False,
) -> Any:
    """Sign scale, revise or stop; scale hands the arm's play over to the Factory if the gate admits it."""
    from promotion.decision import Asked, require_word
    from promotion.decision import decide as sign
    from shared import wording
    from shared.keys import GATE

    workspace = session(context).workspace()
    asked = Asked(
        require_word(word), as_, reason, arm, insight, passphrase(workspace, as_), passphrase(workspace, GATE)
    )
    progress("Judging once more before anything is signed …")
    done = sign(workspace, name, asked)
    decision, promised = done.decision, done.attestation.predicate.promised
    after = {
        "scale": f"Handed over as release {decision.release}. Next, for ops: pilotplant factory up",
        "revise": f"Draft of the successor: pilots/{decision.successor}/charter.yaml",
        "stop": f"Insight kept: {decision.insight}",
    }[decision.word]
    emit(
        as_json,
        {"pilot": name, "decision": decision.model_dump(mode="json"), "attestation": done.attestation.digest,
         "release": decision.release, "successor": decision.successor, "repeated": done.repeated,
         "promised": [one.model_dump(mode="json") for one in promised]},
        f"{name}: {decision.word} was decided before, at {decision.at}; nothing new was signed."
        if done.repeated
        else f"{name}: {decision.word} {decision.arm or ''}".rstrip() + f", signed by {decision.owner} and the gate.",
        *(f"{decision.arm}: {wording.promise(done.metrics[one.metric], one)}" for one in promised),
        f"Attestation: {done.attestation.digest}",
        after,
    )  # fmt: skip
    return done


@app.command()
def log(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Only entries on this pilot or key.")] = None,
    as_json: Json = False,
) -> Any:
    """Print the gate's ledger."""
    from dataclasses import asdict

    from promotion.state import open_promotion
    from shared.clock import parse_rfc3339

    found = open_promotion(session(context).workspace()).entries(name)
    rows = [
        (e.seq, date_time(parse_rfc3339(e.at)), e.kind, e.subject, _gist(e.kind, e.body), e.hash[:19] + "…")
        for e in found
    ]
    emit(
        as_json,
        {"entries": [asdict(entry) for entry in found]},
        table("#", "at", "kind", "subject", "what", "hash", rows=rows),
    )
    return found


@app.command()
def verify(
    context: typer.Context,
    digest: Annotated[str | None, typer.Argument(help="Only this candidate.")] = None,
    as_json: Json = False,
) -> Any:
    """Verify candidates, attestations, keys and the ledger; name everything that was changed."""
    from promotion.verification import verify as examine
    from shared.errors import Refused

    found = examine(session(context).workspace(), digest)
    emit(
        as_json,
        {"verified": found.verified, "problems": found.problems},
        *(f"ok       {line}" for line in found.verified),
        *(f"PROBLEM  {line}" for line in found.problems),
    )
    if found.problems:
        raise typer.Exit(Refused.exit_code)
    return found


def findings_text(findings: tuple[Any, ...], *, numbers: bool = False) -> list[str | Table]:
    """Findings for people: a table, and below it what would help, each remedy once with all that it is for."""
    grid = Table("check", "arm", "outcome", "what was found", box=None, pad_edge=False, header_style="bold")
    for finding in findings:
        outcome = MARKS[finding.outcome] + (" (warn only)" if finding.level == "warn" else "")
        grid.add_row(finding.check, finding.arm or "", outcome, finding.reason)
    asking: dict[str, list[str]] = {}
    for finding in findings:
        if finding.outcome != "passed" and finding.remedy:
            name = f"{finding.check}{f' ({finding.arm})' if finding.arm else ''}"
            asking.setdefault(finding.remedy, []).append(name)
    remedies = [f"→ {', '.join(names)}: {remedy}" for remedy, names in asking.items()]
    return [grid, *remedies, *(_numbers(finding) for finding in findings if numbers)]


def _numbers(finding: Any) -> str:
    name = f"{finding.check}{f' ({finding.arm})' if finding.arm else ''}"
    return f"{name}: {finding.reason}; measured {_plain(finding.measured)}; asked {_plain(finding.threshold)}"


def _plain(value: Any) -> str:
    """A JSON value for people: `key=value` for each of its parts, numbers to four significant digits."""
    if isinstance(value, dict):
        return ", ".join(_named(key, part) for key, part in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(_nested(part) for part in value) or "nothing"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _named(key: str, value: Any) -> str:
    return f"{key}={_nested(value)}"


def _nested(value: Any) -> str:
    return f"({_plain(value)})" if isinstance(value, dict | list | tuple) else _plain(value)


def _gist(kind: str, body: dict[str, Any]) -> str | None:
    """What an entry says, in a few words: the decision and whose, the promise, or the key's role."""
    if kind == "decided":
        return f"{body['decision']['word']} by {body['decision']['owner']}"
    if kind == "registered":
        amends = body.get("amends")
        return f"promise {body['promise'][:19]}…" + (
            f", version {amends['version']}: {amends['reason']}" if amends else ""
        )
    return body.get("role") or body.get("mode")
