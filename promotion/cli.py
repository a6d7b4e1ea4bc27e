"""The gate's commands: each parses, calls one function and prints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from promotion.owner_cli import asked_claim, remind, settle, summary
from shared.console import Json, counted, date_time, emit, passphrase, progress, session, table

app = typer.Typer(
    name="promote", help="The gate between Lab and Factory: evidence, quality, owner.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME")]
LOG_FORMATS = ("text", "json", "csv")
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
COLOURS = {"admit": "bold green", "refuse": "bold red", "undecided": "bold yellow"}
MARKS = {
    "passed": "[green]passed[/]",
    "failed": "[red]FAILED[/]",
    "unevaluable": "[yellow]CANNOT SAY[/]",
    "waived": "[magenta]WAIVED[/]",
}


@app.command()
def enrol(
    context: typer.Context,
    owner: Annotated[str, typer.Argument(help="A person of configs/people.yaml, `gate` (its own key), or `factory`.")],
    public: Annotated[Path | None, typer.Option(help="Register this public record instead of making a pair.")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="A new key takes the old one's place.")] = False,
    as_json: Json = False,
) -> Any:
    """Make or register the key with which somebody signs."""
    from promotion.enrolment import enrol as register
    from shared.keys import FACTORY

    workspace = session(context).workspace()
    secret = None if public or owner == FACTORY else passphrase(workspace, owner, new=True)
    done = register(workspace, owner, passphrase=secret, public=public, rotate=rotate)
    emit(
        as_json,
        {
            "owner": owner,
            "key_id": done.key.key_id,
            "file": str(done.file),
            "repeated": done.repeated,
            "replaces": done.replaces,
        },
        f"{owner}: key {done.key.key_id} {'was enrolled before' if done.repeated else 'is enrolled'}."
        + (
            " It is a rehearsal's key: not encrypted, and trusted nowhere else."
            if workspace.mode == "rehearsal"
            else ""
        ),
        *([f"It takes the place of key {done.replaces}, which has ended."] if done.replaces else []),
        "The gate believes the reports that it signs; compare its id with what `factory enrol` printed."
        if owner == FACTORY
        else f"The Factory trusts it once ops have run: pilotplant factory trust {owner}",
    )
    return done


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="The key's id, or eight characters or more of it.", metavar="KEY_ID")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    since: Annotated[
        datetime | None,
        typer.Option(help="From when on nothing it signed is believed, UTC; now if left out.", formats=DATES),
    ] = None,
    as_json: Json = False,
) -> Any:
    """Revoke a key: what it signs from then on is believed nowhere."""
    from promotion.revocation import revoke as withdraw

    done = withdraw(session(context).workspace(), key_id, reason, since=since.replace(tzinfo=UTC) if since else None)
    key = done.key
    emit(
        as_json,
        {"owner": key.name, "key_id": key.key_id, "since": key.revoked_since, "reason": done.reason,
         "repeated": done.repeated},
        f"{key.name}: key {key.key_id} {'was revoked before' if done.repeated else 'is revoked'}.",
        f"What it signed from {key.revoked_since} on is not believed.",
        "A Factory that reads this gate's records refuses it from its next run on; elsewhere add its id to `revoked` in"
        " configs/factory.yaml.",
        f"A new key: pilotplant promote enrol {key.name} --rotate",
    )  # fmt: skip
    return done


@app.command()
def queue(
    context: typer.Context,
    as_: Annotated[str | None, typer.Option("--as", help="Only what waits for this person.")] = None,
    as_json: Json = False,
) -> Any:
    """List what waits for a decision or a second signature, and until when; what lapsed, and what crosses over."""
    from promotion.reception import receptions
    from promotion.silence import lapses
    from promotion.state import open_promotion
    from promotion.waiting import waiting
    from shared.clock import parse_rfc3339
    from shared.wording import days

    workspace = session(context).workspace()
    found, crossing = waiting(workspace, owner=as_), receptions(workspace)
    lapsed = [one for one in lapses(open_promotion(workspace)).values() if as_ in {None, one.owner}]
    rows = [
        (c["pilot"], c["candidate"][:19] + "…", c["owner"], date_time(parse_rfc3339(c["until"])),
         days(c["days_left"]) + (", due" if c["due"] else ""), c["next"])
        for c in found
    ]  # fmt: skip
    emit(
        as_json,
        {
            "candidates": found,
            "lapsed": [one.as_json() for one in lapsed],
            "handed_over": [one.as_json() for one in crossing],
        },
        table("pilot", "candidate", "waits for", "until", "left", "before scale", rows=rows)
        if found
        else "Nothing waits for a decision.",
        *(line for one in found if one["proposed"] for line in _proposal_text(one["pilot"], one["proposed"])),
        *(one.told() for one in lapsed),
        *(f"{one.pilot}: {one.told}" for one in crossing if one.state != "admitted"),
    )
    return found


app.command()(settle)
app.command()(remind)
app.command()(summary)


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A pilot's name, or the digest of a candidate.")] = None,
    explain: Annotated[str | None, typer.Option(help="Show the numbers behind one check.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every candidate that waits for a decision.")] = False,
    as_: Annotated[
        str | None, typer.Option("--as", help="Who looks: the ledger keeps who has seen results, if they say so.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Run the gate: every check with what was measured, and what would change it. Nothing is decided."""
    from promotion.catalogue import catalogue
    from promotion.gate import EXIT_CODES
    from promotion.judging import judge_named, promises
    from promotion.policy import read_settings
    from shared import wording

    if (name is None) == (not all_):
        raise typer.BadParameter("name one pilot, or say --all")
    progress("Asking every check; the evidence is computed again from the sealed data …")
    workspace = session(context).workspace()
    judged = judge_named(workspace, name, explain=explain, who=as_)
    about = catalogue(read_settings(workspace), explain) if explain else ()
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
            "waived": sum(finding.outcome == "waived" for finding in judgement.findings),
            "promised": {arm: [one.model_dump(mode="json") for one in each] for arm, each in promised.items()},
            **({"explained": about[0].as_json()} if about else {}),
        }
        for (case, judgement), findings, promised in zip(judged, shown, told, strict=True)
    ]
    lines: list[str | Text | Table] = []
    for (case, judgement), findings, promised in zip(judged, shown, told, strict=True):
        lines += [f"{case.candidate.manifest.pilot}, candidate {case.candidate.manifest.digest[:19]}…"]
        lines += [line for each in about for line in _in_full(each)]
        lines += findings_text(findings, numbers=explain is not None)
        lines += _waived_text(judgement.findings)
        if warned := list(dict.fromkeys(f.check for f in judgement.findings if f.level == "warn")):
            lines += [f"Cannot change this verdict, by the policy: {', '.join(warned)}."]
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
def checks(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Only this check, with its thresholds.", metavar="CHECK")] = None,
    as_json: Json = False,
) -> Any:
    """List what the gate asks: each check, what it reads, and what the policy of each tier makes of it."""
    from promotion.catalogue import catalogue
    from promotion.policy import read_settings

    found = catalogue(read_settings(session(context).workspace()), name)
    emit(as_json, {"checks": [each.as_json() for each in found]}, *_listing(found, in_full=name is not None))
    return found


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
    change: Annotated[
        list[str] | None,
        typer.Option(help="For revise: a field that is to change, like sample.units_per_arm=4000; repeatable."),
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
    as_json: Json = False,
) -> Any:
    """Sign scale, revise or stop; scale hands the arm's play over to the Factory if the gate admits it.

    Stop asks on a terminal what was learned; a claim is set against the evidence, which may say otherwise.

    Where configs/gate.yaml asks for two signatures, the first one is a proposal (exit code 4), which a second person
    signs with the same command.
    """
    from promotion.decision import decide as sign
    from promotion.decision import preview
    from promotion.drafting import Asked, require_word
    from promotion.proposing import Proposed
    from shared import wording
    from shared.errors import Undecided
    from shared.keys import GATE

    workspace = session(context).workspace()
    if word == "stop" and insight is claim is None:
        claim, holds = asked_claim(workspace, name)
    asked = Asked(
        require_word(word), as_, reason, arm, insight, changes=tuple(change or ()), claim=claim, context=holds
    )
    if dry_run:
        progress("Judging as the real command would; nothing is signed or written …")
        return _tell_preview(name, preview(workspace, name, asked), as_json=as_json)
    asked = replace(asked, passphrase=passphrase(workspace, as_), gate_passphrase=passphrase(workspace, GATE))
    progress("Judging once more before anything is signed …")
    done = sign(workspace, name, asked)
    if isinstance(done, Proposed):
        _tell_proposal(name, done, as_json=as_json)
        raise typer.Exit(Undecided.exit_code)
    decision, promised = done.decision, done.attestation.predicate.promised
    signed = " and ".join(one.name for one in done.attestation.predicate.signatories if one.role == "owner")
    after = {
        "scale": f"Handed over as release {decision.release}. Next, for ops: pilotplant factory up",
        "revise": f"Draft of the successor: pilots/{decision.successor}/charter.yaml",
        "stop": f"Insight kept: {decision.insight}",
    }[decision.word]
    emit(
        as_json,
        {"pilot": name, "decision": decision.model_dump(mode="json"), "attestation": done.attestation.digest,
         "release": decision.release, "successor": decision.successor, "repeated": done.repeated,
         "waived": [one.model_dump(mode="json") for one in done.attestation.predicate.findings if one.waived],
         "steps": [step.as_json() for step in done.steps],
         "promised": [one.model_dump(mode="json") for one in promised]},
        f"{name}: {decision.word} was decided before, at {decision.at}; nothing new was signed."
        if done.repeated
        else f"{name}: {decision.word} {decision.arm or ''}".rstrip() + f", signed by {signed} and the gate.",
        *(f"{decision.arm}: {wording.promise(done.metrics[one.metric], one)}" for one in promised),
        *_waived_text(done.attestation.predicate.findings),
        f"Attestation: {done.attestation.digest}",
        after,
    )  # fmt: skip
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
    as_json: Json = False,
) -> Any:
    """Sign an exception from one check, for the candidate that is before the gate now.

    What is scaled by way of it runs in the Factory no longer than the waiver counts.
    """
    from promotion.waiving import Wish, preview_waiver
    from promotion.waiving import waive as except_

    workspace = session(context).workspace()
    end = until.replace(tzinfo=UTC) + timedelta(days=1)
    progress("Asking the checks what there is to waive …")
    wish = Wish(check_, as_, reason, end, arm)
    if dry_run:
        return _tell_waiver_preview(name, preview_waiver(workspace, name, wish), as_json=as_json)
    done = except_(workspace, name, replace(wish, passphrase=passphrase(workspace, as_)))
    waiver = done.waiver.waiver
    emit(
        as_json,
        {"waiver": waiver.model_dump(mode="json"), "digest": done.waiver.signed.digest, "repeated": done.repeated},
        f"{name}: {waiver.check} was waived before; nothing new was signed."
        if done.repeated
        else f"{name}: {waiver.check} is waived by {waiver.person} until {waiver.until}, for this candidate only.",
        *(f"It had {finding.outcome}: {finding.reason}" for finding in done.findings),
        "It shows in every verdict on the candidate, in its attestation and in `pilotplant status`.",
    )
    return done


@app.command(name="portfolio")
def portfolio_(context: typer.Context, as_json: Json = False) -> Any:
    """Show all pilots together: each one's level, what came of it, and how much may still be spent on false alarms."""
    from promotion.policy import read_settings
    from promotion.portfolio import portfolio
    from promotion.state import open_promotion
    from shared import wording

    workspace = session(context).workspace()
    found = portfolio(open_promotion(workspace).entries(), read_settings(workspace).portfolio.bound)
    rows = [
        (each.place.number, each.pilot, _when(each.at), f"{each.place.level:.4f}", wording.p_value(each.p), each.state)
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
    name: Annotated[str | None, typer.Argument(help="Only entries on this pilot or key.")] = None,
    format_: Annotated[str, typer.Option("--format", help="text, json or csv.")] = "text",
    as_json: Json = False,
) -> Any:
    """Print the gate's ledger."""
    from promotion.log import read_log
    from promotion.reception import receptions
    from shared.console import write
    from shared.errors import BadInput

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
    rows = [(e.seq, _when(e.at), e.kind, e.subject, _gist(e.kind, e.body), e.hash[:19] + "…") for e in found.entries]
    emit(
        as_json or format_ == "json",
        found.as_json() | {"handed_over": [one.as_json() for one in became]},
        table("#", "at", "kind", "subject", "what", "hash", rows=rows),
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
    from promotion.audit import audit as examine
    from promotion.audit import moment_of
    from shared.errors import Refused

    found = examine(session(context).workspace(), moment_of(as_of))
    lines: list[str] = []
    for one in found.rulings:
        signers = ", ".join(f"{key.name} ({key.role}) {key.key_id[:12]}…" for key in one.keys) or "nobody"
        lines += [
            f"{one.pilot}: {one.word} {one.arm or ''}".rstrip() + f" by {one.owner}, {_when(one.at)} ({one.mode})",
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


@app.command()
def checkpoint(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The file; if left out, one in this folder.")] = None,
    as_json: Json = False,
) -> Any:
    """Sign the present ends of the rooms' ledgers into a small file, to be kept where nobody here can write."""
    from promotion.checkpoint import take
    from shared.clock import parse_rfc3339
    from shared.keys import GATE

    here = session(context)
    workspace = here.workspace()
    heads, unread = here.heads(workspace)
    done = take(workspace, heads, out, passphrase=passphrase(workspace, GATE))
    at = date_time(parse_rfc3339(done.checkpoint.at))
    emit(
        as_json,
        {
            "schema_version": 1,
            "checkpoint": done.checkpoint.model_dump(mode="json"),
            "file": str(done.file),
            "not_covered": unread,
            "repeated": done.repeated,
        },
        f"The checkpoint of {at} was there already: {done.file}" if done.repeated else f"Checkpoint: {done.file}",
        *(f"{room}: entry {head.seq}, {head.hash}" for room, head in done.checkpoint.ledgers.items()),
        *(f"{room}: NOT COVERED ({reason})" for room, reason in unread.items()),
        "Keep it elsewhere: pilotplant promote verify --checkpoint FILE then finds a ledger that was cut or restored.",
    )
    return done


@app.command()
def export(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option(help="The new folder.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint to go with it.")] = None,
    as_json: Json = False,
) -> Any:
    """Write a decided pilot into a folder that others can verify without this workspace: package, keys, ledger."""
    from promotion.exporting import export as write_out

    done = write_out(session(context).workspace(), name, out, checkpoint=checkpoint)
    emit(
        as_json,
        {"schema_version": 1, "pilot": done.pilot, "candidate": done.candidate, "attestation": done.attestation,
         "folder": str(done.folder), "files": list(done.files), "repeated": done.repeated},
        f"{done.pilot} was exported before: {done.folder}" if done.repeated
        else f"{done.pilot}: {counted(len(done.files), 'file')} in {done.folder}",
        "The charter, the data and the names of all pilots in the ledger are in it: give it to whom that may concern.",
        f"To verify it there: pilotplant promote verify --package {done.folder} --keys {done.folder / 'keys'}",
    )  # fmt: skip
    return done


@app.command()
def verify(
    context: typer.Context,
    digest: Annotated[str | None, typer.Argument(help="Only this candidate.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that was kept elsewhere: is everything of then still there?")
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="What `promote export` wrote, or a package; no workspace is needed.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="With --package: the folder of the public keys you trust.")] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="With --package: compute the evidence again from the sealed data.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Verify candidates, attestations, keys and the ledger; name everything that was changed."""
    from promotion.verification import verify as examine
    from shared.errors import Refused

    if package is not None or keys is not None or recompute:
        if package is None or keys is None or digest is not None:
            raise typer.BadParameter("--package goes with --keys, and with no digest; --recompute goes with both")
        return _verify_outside(package, keys, checkpoint, recompute=recompute, as_json=as_json)
    found = examine(session(context).workspace(), digest, checkpoint=checkpoint)
    emit(
        as_json,
        {"schema_version": 1, "verified": found.verified, "problems": found.problems},
        *(f"ok       {line}" for line in found.verified),
        *(f"PROBLEM  {line}" for line in found.problems),
    )
    if found.problems:
        raise typer.Exit(Refused.exit_code)
    return found


def _verify_outside(package: Path, keys: Path, checkpoint: Path | None, *, recompute: bool, as_json: bool) -> Any:
    from promotion.outside import verify_outside
    from shared.errors import Refused

    found = verify_outside(package, keys, checkpoint=checkpoint, recompute=recompute)
    emit(
        as_json,
        {"schema_version": 1, "verified": found.verified, "problems": found.problems, "unverified": found.unverified},
        *(f"ok           {line}" for line in found.verified),
        *(f"PROBLEM      {line}" for line in found.problems),
        *(f"cannot say   {line}" for line in found.unverified),
    )
    if found.problems:
        raise typer.Exit(Refused.exit_code)
    return found


def _tell_preview(name: str, found: Any, *, as_json: bool) -> Any:
    """What a decision would sign and do; a proposal exits as the real one does."""
    from promotion.proposing import said
    from shared.errors import Undecided

    decision, predicate = found.decision, found.predicate
    what = "was proposed" if found.proposed else "was decided"
    signers = " and ".join(found.signers)
    emit(
        as_json,
        {"pilot": name, "dry_run": True, **found.as_json()},
        f"{name}: {said(decision)} {what} before, at {decision.at}; nothing new would be signed."
        if found.repeated
        else f"{name}: {said(decision)} would be {'proposed' if found.proposed else 'signed'} by {signers}.",
        *([] if predicate is None else [
            f"Signed would be: verdict {predicate.verdict} on {len(predicate.findings)} findings, until "
            f"{predicate.expires}, by policy {predicate.policy[:19]}…; in full with --json",
            *_waived_text(predicate.findings),
        ]),
        *(f"{n}. {'Done before: ' if step.done else 'Then: '}{step.line} ({step.target})"
          for n, step in enumerate(found.steps, 1)),
        *(["It would wait for a second signature; nothing is handed over before."] if found.proposed else []),
        "Nothing was signed or written. Passphrases were not asked for.",
    )  # fmt: skip
    if found.proposed:
        raise typer.Exit(Undecided.exit_code)
    return found


def _tell_waiver_preview(name: str, found: Any, *, as_json: bool) -> Any:
    waiver = found.waiver
    emit(
        as_json,
        {"dry_run": True, "waiver": waiver.model_dump(mode="json"), "repeated": found.repeated},
        f"{name}: {waiver.check} was waived before; nothing new would be signed."
        if found.repeated
        else f"{name}: {waiver.check} would be waived by {waiver.person} until {waiver.until} for this candidate.",
        *(f"It had {finding.outcome}: {finding.reason}" for finding in found.findings),
        "Nothing was signed or written. The passphrase was not asked for.",
    )
    return found


def _proposal_text(pilot: str, found: dict[str, Any]) -> list[str]:
    """What waits for a second signature, whose, and what they type."""
    others = ", ".join(found["others"]) or "nobody yet: have configs/people.yaml entitle a second person"
    return [
        f"{pilot}: {found['word']} is proposed by {found['by']} ({found['reason']}).",
        f"  A second signature may give: {others}",
        *([f"  They type: {found['next']}"] if found["next"] else []),
    ]


def _tell_proposal(name: str, found: Any, *, as_json: bool) -> None:
    """What was proposed, who else may sign it, and what they type."""
    from promotion.proposing import said, to_type

    decision, word = found.decision, said(found.decision)
    emit(
        as_json,
        {"pilot": name, "proposed": decision.model_dump(mode="json"), "proposal": found.digest,
         "others": list(found.others), "lapses": found.lapses, "repeated": found.repeated},
        f"{name}: {word} was proposed before, by {decision.owner} at {decision.at}; nothing new was signed."
        if found.repeated
        else f"{name}: {word} is proposed by {decision.owner}. Nothing is handed over yet.",
        f"It needs a second signature by {found.lapses}, of: {', '.join(found.others)}"
        if found.others
        else "Nobody else may sign it: have configs/people.yaml entitle a second person who did not ask for it.",
        f"They type: {to_type(name, decision, 'PERSON')}",
    )  # fmt: skip


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


def _waived_text(findings: tuple[Any, ...]) -> list[str]:
    """How many findings are waived, and each of them; nothing where none is."""
    waived = [finding for finding in findings if finding.outcome == "waived"]
    told = [f"Waived: {one.check}{f' ({one.arm})' if one.arm else ''}: {one.reason}" for one in waived]
    return [f"{counted(len(waived), 'finding')} waived.", *told] if waived else []


def _listing(found: tuple[Any, ...], *, in_full: bool) -> list[str | Table]:
    """The catalogue for people: a table for each group, and of one check all that there is to say."""
    if in_full:
        return [line for each in found for line in _in_full(each)]
    lines: list[str | Table] = []
    for group in dict.fromkeys(each.group for each in found):
        grid = Table(group, "low", "standard", "high", "it asks", box=None, pad_edge=False, header_style="bold")
        for each in (each for each in found if each.group == group):
            grid.add_row(each.name, *each.levels.values(), each.question)
        lines += [grid, ""]
    return [*lines, "One that blocks decides the verdict, one that warns is only printed. One in full: "
            "pilotplant promote checks CHECK"]  # fmt: skip


def _in_full(check: Any) -> list[str | Table]:
    softened = f"; {', '.join(check.softened)} only because the policy says so" if check.softened else ""
    levels = ", ".join(f"{tier} {level}" for tier, level in check.levels.items())
    last = "It may be waived, by whom configs/people.yaml lets" if check.waivable else "Nobody may waive it"
    last += ", and it always blocks" if check.always else ""
    return [
        f"{check.name} ({check.group}): {check.question}",
        f"It reads: {check.reads}",
        f"Levels: {levels}{softened}",
        *([f"On its level: {check.about}"] if check.about else []),
        *(
            f"{each.name}: {_plain(each.tiers)} (default {_plain(each.default)}): {each.source}"
            for each in check.thresholds
        ),
        f"{last}. The policy is configs/gate.yaml.",
    ]


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


def _when(at: str) -> str:
    """A ledger's time for people; as it stands where it is none."""
    from shared.clock import parse_rfc3339

    try:
        return date_time(parse_rfc3339(at))
    except (ValueError, TypeError):
        return str(at)


def _gist(kind: str, body: dict[str, Any]) -> str | None:
    """What an entry says, in a few words; None where it says nothing, or was made to say something else."""
    try:
        return _said(kind, body)
    except (KeyError, TypeError, AttributeError):
        return None


def _said(kind: str, body: dict[str, Any]) -> str | None:
    """What an entry says, in a few words: the decision and whose, the promise, or the key's role."""
    if kind == "decided":
        return f"{body['decision']['word']} by {body['decision']['owner']}"
    if kind == "registered":
        amends = body.get("amends")
        return f"promise {body['promise'][:19]}…" + (
            f", version {amends['version']}: {amends['reason']}" if amends else ""
        )
    return _said_of_owner(kind, body)


def _said_of_owner(kind: str, body: dict[str, Any]) -> str | None:
    """The same for what concerns the owner: silence, looks and reminders."""
    if kind == "lapsed":
        return f"{body['owner']} did not decide before {body['deadline']}, which is *stop*"
    if kind == "looked":
        return f"{body['what']} by {body['by'] or 'somebody'}; candidate {body['candidate'][:19]}…"
    if kind in {"reminding", "reminded", "not_reminded"}:
        return f"{body['to']} to {body['stage']}" + (f": {body['problem']}" if "problem" in body else "")
    return _said_of_trust(kind, body)


def _said_of_trust(kind: str, body: dict[str, Any]) -> str | None:
    """The same for waivers, proposals, keys and what was witnessed."""
    if kind == "waived":
        return f"{body['check']} by {body['by']} until {body['until']}: {body['reason']}"
    if kind == "proposed":
        return f"waits for a second signature; candidate {body['candidate'][:19]}…"
    if kind == "revoked":
        return f"key {body['key_id'][:12]} since {body.get('since', 'then')}: {body['reason']}"
    if kind == "witnessed":
        return ", ".join(f"{room} at entry {head['seq']}" for room, head in body["ledgers"].items())
    return body.get("role") or body.get("mode")
