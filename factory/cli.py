"""The Factory's commands: each parses, calls one function and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.console import Json, counted, date_time, emit, progress, session, table

if TYPE_CHECKING:
    from factory.deployments import FlowRunFacts
    from factory.plant import Plant, Reconciled
    from factory.releases import Release, Run, StateChange

# Commands return what their function returned, as Any: typer looks every annotation up when it starts, and the
# types lie in modules that are too heavy to import for `--help`.
app = typer.Typer(name="factory", help="The Factory: run what was approved, and nothing else.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The release's name.", metavar="NAME")]
Table = Annotated[str, typer.Argument(help="A table with a contract in configs/contracts.", metavar="TABLE")]
File = Annotated[Path, typer.Argument(help="A .csv or .parquet file.", metavar="FILE")]
Out = Annotated[Path, typer.Option(help="The file to write, .csv or .parquet.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command()
def load(context: typer.Context, name: Table, file: File, as_json: Json = False) -> Any:
    """Bring a file into a table through its contract; bad rows are kept aside with their reasons."""
    from factory.load import load as bring_in

    progress(f"loading {file} into {name}")
    result = bring_in(session(context).workspace(), name, file)
    held = [{"reason": reason, "rows": rows} for reason, rows in result.reasons.items()]
    done = "This file was loaded before; nothing was changed" if result.repeated else f"Loaded into {name}"
    emit(
        as_json,
        {
            "table": result.table,
            "accepted": result.accepted,
            "quarantined": held,
            "rows_quarantined": result.quarantined,
            "repeated": result.repeated,
        },
        f"{done}: {result.accepted:,} rows accepted, {result.quarantined:,} quarantined.",
        *(f"  {counted(rows, 'row')}: {reason}" for reason, rows in result.reasons.items()),
    )
    return result


@app.command()
def publish(
    context: typer.Context,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read every table, even one that was not loaded since it was published.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Write a masked snapshot of the loaded tables for the Lab; what is unchanged is not written again."""
    from factory.snapshots import publish as write

    result = write(session(context).workspace(), anew=anew)
    new = [name for name in result.rows if name not in result.shared]
    rows = ", ".join(f"{name} {count:,} rows" for name, count in result.rows.items())
    parts = {"New": new, "shared with an earlier snapshot": result.shared}
    written = "; ".join(f"{word}: {', '.join(names) or 'no table'}" for word, names in parts.items())
    emit(
        as_json,
        {"snapshot": result.snapshot, "tables": result.rows, "new": [] if result.repeated else new,
         "shared": list(result.rows) if result.repeated else list(result.shared), "repeated": result.repeated},
        f"Snapshot {result.snapshot}{' was published before' if result.repeated else ' published'}: {rows}.",
        *([] if result.repeated else [f"{written}."]),
    )  # fmt: skip
    return result


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None, typer.Option(help="How many of the newest stay; as in configs/factory.yaml if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> Any:
    """Remove old snapshots that no undecided pilot reads; the latest always stays."""
    from factory.retention import Keep
    from factory.retention import prune as clear

    done = clear(session(context).workspace(), keep=keep, dry_run=dry_run)
    steps = [{"step": type(s).__name__.lower(), "snapshot": s.snapshot, "reason": s.why} for s in done.steps]
    going = [s for s in done.steps if not isinstance(s, Keep)]
    mib = f"{done.freed_bytes / 2**20:,.1f} MiB"
    emit(
        as_json,
        {"steps": steps, "unclear": list(done.unclear), "freed_bytes": done.freed_bytes, "dry_run": dry_run},
        *(f"{step['step']} {step['snapshot']}: {step['reason']}" for step in steps),
        *(f"unclear: {line}" for line in done.unclear),
        "Nothing to remove." if not going else f"{mib} would be free again; nothing was done yet."
        if dry_run else f"{mib} are free again.",
    )  # fmt: skip
    if done.unclear:
        from shared.errors import Undecided

        raise typer.Exit(Undecided.exit_code)
    return done


@app.command()
def pseudonymise(
    context: typer.Context,
    file: File,
    out: Out,
    column: Annotated[str, typer.Option(help="The column that holds customer ids.")] = "customer_id",
    as_json: Json = False,
) -> Any:
    """Copy a result file with customer ids replaced by the units that the Lab knows."""
    from factory.load import pseudonymise as mask

    rows = mask(session(context).workspace(), file, out, column=column)
    emit(as_json, {"file": str(out), "rows": rows}, f"{rows:,} rows written to {out}, `{column}` replaced by `unit`.")
    return out


@app.command()
def resolve(
    context: typer.Context,
    file: File,
    out: Out,
    name: Annotated[str, typer.Option("--table", help="The table whose ids are wanted.")] = "customers",
    as_json: Json = False,
) -> Any:
    """Copy a file of units with each unit's customer id beside it."""
    from factory.load import resolve as unmask

    rows = unmask(session(context).workspace(), file, out, table=name)
    emit(as_json, {"file": str(out), "rows": rows}, f"{rows:,} rows written to {out}, each with its `id`.")
    return out


@app.command()
def enrol(context: typer.Context, as_json: Json = False) -> Any:
    """Make the key with which the Factory signs its preflight reports."""
    from factory.enrolment import enrol_factory
    from shared.console import passphrase
    from shared.keys import FACTORY, KeyStore

    workspace = session(context).workspace()
    new = not KeyStore(workspace).has(FACTORY)
    done = enrol_factory(workspace, passphrase=passphrase(workspace, FACTORY, new=new))
    emit(
        as_json,
        {"key_id": done.key.key_id, "file": str(done.file), "mode": done.key.mode, "repeated": done.repeated},
        f"The Factory's key {done.key.key_id} {'was made before' if done.repeated else 'is made'}: {done.file}",
        "The gate believes it once it is enrolled there: pilotplant promote enrol factory",
    )
    return done


@app.command()
def preflight(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME")],
    as_json: Json = False,
) -> Any:
    """Try a candidate on the Factory's data, writing no message, and sign what was found for the gate."""
    from factory.preflight.report import preflight as try_out
    from factory.preflight.text import lines
    from shared.console import passphrase
    from shared.keys import FACTORY

    workspace = session(context).workspace()
    secret = passphrase(workspace, FACTORY)
    progress("trying the candidate's plays on the Factory's tables; no message is written …")
    done = try_out(workspace, name, passphrase=secret)
    emit(
        as_json,
        {**done.report.as_json(), "report": done.digest, "file": str(done.file)},
        *lines(done.report),
        f"Signed by the Factory: {done.file}",
        f"What it means is the gate's to say: pilotplant promote check {done.report.pilot}",
    )
    return done


@app.command()
def trust(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="`gate`, or an owner's e-mail address.", metavar="NAME")],
    replace: Annotated[bool, typer.Option("--replace", help="Take a new key in place of the one trusted now.")] = False,
    as_json: Json = False,
) -> Any:
    """Trust an enrolled key from now on; compare its id with its holder first."""
    from factory.trust import trust as pin
    from shared.keys import GATE

    key, fresh = pin(session(context).workspace(), name, replace=replace)
    emit(
        as_json,
        {"name": key.name, "role": key.role, "key_id": key.key_id, "mode": key.mode, "changed": fresh},
        f"The key of {key.name} ({key.role}) is {'trusted now' if fresh else 'trusted already; nothing was changed'}.",
        f"Its id is {key.key_id}; "
        + (
            "compare it with what `promote enrol gate` printed."
            if name == GATE
            else f"ask {key.name} whether it is theirs."
        ),
    )
    return key


@app.command()
def admit(
    context: typer.Context,
    package: Annotated[Path | None, typer.Argument(help="A package's folder; the inbox if left out.")] = None,
    as_json: Json = False,
) -> Any:
    """Admit the packages of the inbox, or one from elsewhere; each that verifies becomes a release."""
    from factory.admission import admit as take

    result = take(session(context).workspace(), package)
    emit(
        as_json,
        {"admitted": result.admitted, "already": result.already, "refused": result.refused},
        *(f"Admitted: {name}" for name in result.admitted),
        *(f"Already admitted: {name}" for name in result.already),
        *(line for folder, reasons in result.refused.items() for line in _refusal(folder, reasons)),
        *([] if result.admitted or result.already or result.refused else ["The inbox is empty."]),
    )
    if result.refused and not as_json:
        progress("look at configs/trusted_keys and configs/factory.yaml, or have the pilot promoted again")
    if result.refused:
        raise typer.Exit(3)
    return result


@app.command()
def up(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Wait for each schedule's next run, then stop.")] = False,
    wait: Annotated[float, typer.Option(help="With --once: seconds to wait at most.")] = 180.0,
    port: Annotated[int | None, typer.Option(help="Where Prefect listens; 0 takes any free port.")] = None,
    as_json: Json = False,
) -> Any:
    """Start Prefect and a worker, and keep schedules in step with the releases until Ctrl-C."""
    from factory.plant import Plant, until_told

    runs: list[FlowRunFacts] = []
    with until_told() as stopping, Plant(session(context).workspace(), port=port).running() as plant:
        _tell(plant.reconcile())
        if once:
            runs = plant.wait_for_scheduled_runs(wait)
        emit(as_json, {"urls": {"prefect": plant.url}, "deployments": _deployments(plant), "runs": _facts(runs)},
             f"Prefect: {plant.url}", *_said(plant, runs))  # fmt: skip
        if not once:
            progress("the Factory is up; Ctrl-C stops it")
            plant.keep_up(stopping, heard=_tell)
    return runs


@app.command()
def releases(context: typer.Context, as_json: Json = False) -> Any:
    """List the releases."""
    from factory.releases import list_releases

    found = list_releases(session(context).workspace())
    rows = [(r.name, r.state, r.pilot, r.arm, _told(r.admitted_at), _told(r.expires)) for r in found]
    emit(
        as_json,
        {"releases": [_release(release) for release in found]},
        table("release", "state", "pilot", "arm", "admitted", "expires", rows=rows)
        if found
        else "There are no releases yet; `pilotplant factory admit` takes what the gate has handed over.",
    )
    return found


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Show a release with its runs."""
    from factory.releases import next_occurrence, promised_by, show_release
    from shared import wording

    workspace = session(context).workspace()
    release, runs = show_release(workspace, name)
    upcoming = next_occurrence(workspace, release, workspace.clock.now())
    found = promised_by(workspace, release)
    promised, metrics = found or ((), {})
    rows = [
        (_told(r.occurrence), r.state, r.attempts, r.messages, r.held_out, r.file and Path(r.file).name, r.reason)
        for r in runs
    ]
    emit(
        as_json,
        {
            **_release(release),
            "release": release.name,
            "next": upcoming and _moment(upcoming),
            "promised": None if found is None else [one.model_dump(mode="json") for one in promised],
            "runs": [_run(r) for r in runs],
        },
        f"Release {release.name} is {release.state} (arm {release.arm} of pilot {release.pilot}).",
        f"Package {release.package}, admitted {_told(release.admitted_at)}, expires {_told(release.expires)}.",
        *(f"Promised: {wording.promise(metrics[one.metric], one)}." for one in promised),
        *(["What it promised cannot be read: its package is missing or damaged."] if found is None else []),
        f"Next run: {date_time(upcoming)}.",
        table("occurrence", "state", "tries", "messages written", "held out", "file", "reason", rows=rows),
    )
    return release, runs


@app.command()
def run(
    context: typer.Context,
    name: Name,
    occurrence: Annotated[
        str | None, typer.Option(help="Another moment of the schedule, like 2026-11-23T09:00:00Z.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Run a release now, at the moment of its schedule that is due, without Prefect."""
    from factory.run_now import run_now
    from shared.errors import Refused

    result = run_now(session(context).workspace(), name, _occurrence(occurrence))
    if result.state == "refused":
        raise Refused(
            f"release {name} does not run: {result.reason}",
            remedy="restore its package, look at configs/trusted_keys, or have the pilot promoted again",
        )
    if result.state == "skipped" and not as_json:
        raise Refused(
            f"release {name} did not run: {result.reason}",
            where=f"its occurrence {date_time(result.occurrence)}",
            remedy=f"look at it: pilotplant factory show {name}",
        )
    emit(
        as_json,
        {
            "release": result.release,
            "occurrence": _moment(result.occurrence),
            "state": result.state,
            "reason": result.reason,
            "audience": result.audience,
            "held_out": result.held_out,
            "messages": result.messages,
            "file": result.file and str(result.file),
            "file_digest": result.file_digest,
        },
        f"{result.release} at {date_time(result.occurrence)}: {result.state}: {result.reason}.",
        *([f"File: {result.file}"] if result.file else []),
    )
    if result.state == "skipped":
        raise typer.Exit(Refused.exit_code)
    return result


@app.command()
def pause(context: typer.Context, name: Name, reason: Reason = "", as_json: Json = False) -> Any:
    """Stop a release from running until it is resumed."""
    from factory.releases import pause as stop

    return _changed(stop(session(context).workspace(), name, reason=reason), name, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The release's name.", metavar="[NAME]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lift stop-all, and what it paused runs again.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> Any:
    """Let a paused release run again."""
    from factory.releases import resume as restart
    from factory.releases import resume_all
    from shared.errors import BadInput

    workspace = session(context).workspace()
    if everything == (name is not None):
        raise BadInput("either a release is named, or --all is given", remedy="pilotplant factory resume NAME")
    if name is None:
        return _changed(resume_all(workspace, reason=reason), None, as_json=as_json)
    return _changed(restart(workspace, name, reason=reason), name, as_json=as_json)


@app.command("stop-all")
def stop_all(context: typer.Context, reason: Reason = "no reason was given", as_json: Json = False) -> Any:
    """Stop everything, at once; no message is written until the stop is lifted."""
    from factory.releases import stop_all as stop

    return _changed(stop(session(context).workspace(), reason=reason), None, as_json=as_json)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> Any:
    """Say how the Factory is doing."""
    from factory.measures import measures

    found = measures(session(context).workspace())
    rows = [
        (r.name, r.state, _counts(r.runs), f"{r.messages:,}", _told(r.last_run), date_time(r.next))
        for r in found.releases
    ]
    emit(
        as_json,
        {
            "stopped": found.stopped,
            "releases_by_state": found.releases_by_state,
            "runs": found.runs,
            "last_run": found.last_run,
            "rows_loaded": found.rows_loaded,
            "rows_quarantined": found.rows_quarantined,
            "releases": [
                {"release": r.name, "state": r.state, "runs": r.runs, "messages": r.messages, "last_run": r.last_run,
                 "last_state": r.last_state, "next": r.next and _moment(r.next)}
                for r in found.releases
            ],
        },
        *([f"EVERYTHING IS STOPPED: {found.stopped}"] if found.stopped is not None else []),
        f"Rows loaded: {found.rows_loaded:,}; quarantined: {found.rows_quarantined:,}.",
        f"Releases: {_counts(found.releases_by_state)}. Runs: {_counts(found.runs)}.",
        *([table("release", "state", "runs", "messages written", "last run", "next run", rows=rows)] if rows else []),
    )  # fmt: skip
    return found


def _tell(happened: Reconciled) -> None:
    for line in happened.lines():
        progress(line)


def _changed(change: StateChange, name: str | None, *, as_json: bool) -> StateChange:
    payload = {"release": name, "state": change.state, "changed": list(change.releases), "message": change.said}
    said = change.said[0].upper() + change.said[1:]
    emit(as_json, payload, f"{said}.")
    return change


def _occurrence(text: str | None) -> Any:
    from shared.clock import parse_rfc3339
    from shared.errors import BadInput

    try:
        return parse_rfc3339(text) if text else None
    except ValueError as error:
        raise BadInput(f"`{text}` is not a moment", expected="like 2026-11-23T09:00:00Z, with its offset") from error


def _refusal(folder: str, reasons: tuple[str, ...]) -> list[str]:
    return [f"Refused: package {folder}", *(f"  {reason}" for reason in reasons)]


def _deployments(plant: Plant) -> list[dict[str, Any]]:
    return [
        {"release": d.release, "cron": d.cron, "timezone": d.timezone, "version": d.version, "paused": d.paused}
        for d in plant.deployed
    ]


def _said(plant: Plant, runs: list[FlowRunFacts]) -> list[str]:
    resting = [f"{d.release}: {'paused' if d.paused else f'{d.cron} ({d.timezone})'}" for d in plant.deployed]
    ended = [f"{run.release}: {run.state}: {run.message} (scheduled {date_time(run.scheduled)})" for run in runs]
    return [*resting, *ended] or ["There are no releases yet."]


def _facts(runs: list[FlowRunFacts]) -> list[dict[str, Any]]:
    return [
        {
            "release": run.release,
            "flow_run": run.flow_run,
            "state": run.state,
            "message": run.message,
            "auto_scheduled": run.auto_scheduled,
            "scheduled": run.scheduled and _moment(run.scheduled),
            "ended": run.ended and _moment(run.ended),
        }
        for run in runs
    ]


def _release(release: Release) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(release)


def _run(run: Run) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(run)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _told(at: str | None) -> str:
    from shared.clock import parse_rfc3339

    return date_time(parse_rfc3339(at) if at else None)


def _moment(moment: Any) -> str:
    from shared.clock import rfc3339

    return rfc3339(moment)
