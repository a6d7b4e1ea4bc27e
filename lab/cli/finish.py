"""The commands at the end of a pilot: what it showed, and how it comes before the gate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lab.cli.group import Name, app
from shared.core.times import date_time
from shared.ui.console import Json, Line, counted, emit, progress, session, styled, table

Final = Annotated[bool, typer.Option("--final", help="After the end, before `record_until`: take nothing any more.")]


@app.command()
def analyse(
    context: typer.Context,
    name: Name,
    final: Final = False,
    as_json: Json = False,
) -> Any:
    """Compute effects and health, write the report, log one MLflow run."""
    from lab.analysis.analysis import analyse as compute
    from lab.analysis.report import warnings

    progress(f"Analysing {name}: one scan, the report and an MLflow run …")
    done = compute(session(context).workspace(), name, final=final)
    evidence = done.evidence
    warned = warnings(done.pilot, evidence, running=done.interim)
    ratio = evidence.health.sample_ratio
    health = [
        {"name": "sample_ratio", **ratio.model_dump()},
        {"name": "multiple_exposure", "units": evidence.health.multiple_units, "frac": evidence.health.multiple_frac},
        {"name": "conflicts", "rows": evidence.health.conflicts},
        *({"name": symptom.check, **symptom.model_dump(exclude={"check"})} for symptom in evidence.health.symptoms),
    ]
    emit(
        as_json,
        {"pilot": name, "evidence": evidence.digest, "interim": done.interim, "repeated": done.repeated,
         "synthetic": done.pilot.charter.synthetic,
         "arms": {arm.arm: arm.units for arm in evidence.arms},
         "effects": evidence.effects, "health": health, "warnings": warned,
         "standing": evidence.standing, "method": evidence.method, "until": evidence.until,
         "looks": evidence.looks,
         "days": evidence.days,
         "segments": evidence.segments,
         "report": str(done.report), "mlflow_run": done.mlflow_run},
        *_found(done, warned),
    )  # fmt: skip
    return done


def _found(done: Any, warned: list[str]) -> list[Line]:
    """What an analysis shows: what must be read first, effects, units, and where the report is."""
    from shared.ui import phrases

    metrics, evidence = done.pilot.promise.metrics, done.evidence
    health = evidence.health
    worrying = [symptom for symptom in health.symptoms if symptom.state == "warning"]
    rows = [
        (e.arm, e.metric, e.part, phrases.effect(metrics[e.metric], e), phrases.share(e.relative), phrases.p_value(e.p))
        for e in evidence.effects
    ]
    return [
        *(styled(warning) for warning in warned),
        *(["Synthetic units: these numbers say nothing about customers."] if done.pilot.charter.synthetic else []),
        *([_INTERIM[evidence.standing]] if done.interim else []),
        table("arm", "metric", "part", "difference [95 %]" if evidence.alpha == 0.05 else "difference", "lift", "p",  # noqa: PLR2004
              rows=rows),
        "Units: " + ", ".join(f"{arm.arm} {arm.units:,}" for arm in evidence.arms)
        + f"; sample ratio p {phrases.p_value(health.sample_ratio.p)}; in two arms: {health.multiple_units}",
        *(styled(f"Look at this: {symptom.told}") for symptom in worrying),
        *([_unasked(evidence)] if _unasked(evidence) else []),
        f"Report: {done.report}",
        f"MLflow run: {done.mlflow_run}",
    ]  # fmt: skip


_INTERIM = {
    "descriptive": "Interim: the time box is open; these numbers decide nothing.",
    "decisive": "Interim, at a look that the charter agreed on: these numbers may decide.",
}


def _unasked(evidence: Any) -> str:
    names = dict.fromkeys(s.check.replace("_", " ") for s in evidence.health.symptoms if s.state == "unevaluable")
    return f"Could not be asked: {', '.join(names)} (the report says why)" if names else ""


@app.command()
def submit(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Seal the analysis as a candidate and put it before the gate."""
    from lab.analysis.submission import submit as seal

    done = seal(session(context).workspace(), name)
    emit(
        as_json,
        {"pilot": name, "candidate": done.candidate.digest, "repeated": done.repeated},
        "The same candidate was submitted before; nothing was done."
        if done.repeated
        else f"{name} is before the gate.",
        f"Candidate: {done.candidate.digest}",
        f"Next, for ops: pilotplant factory preflight {name}; then: pilotplant promote check {name}",
    )
    return done


@app.command()
def finish(
    context: typer.Context,
    name: Name,
    final: Final = False,
    as_json: Json = False,
) -> Any:
    """Analyse a pilot and put it before the gate; in a rehearsal the Factory tries it at once."""
    from lab.analysis.analysis import analyse as compute
    from lab.analysis.report import warnings
    from lab.analysis.submission import require_over
    from lab.analysis.submission import submit as seal

    here = session(context)
    workspace = here.workspace()
    clock = "; a rehearsal's clock can be moved: pilotplant clock MOMENT" if workspace.mode == "rehearsal" else ""
    remedy = f"wait until then; how it is going: pilotplant lab show {name}{clock}"
    require_over(workspace, name, remedy=remedy)
    progress(f"Analysing {name}: one scan, the report and an MLflow run …")
    found = compute(workspace, name, final=final)
    done = seal(workspace, name)
    tried = None
    if workspace.mode == "rehearsal":
        progress("The Factory tries the candidate's plays on its tables; no message is written …")
        tried = here.preflight(workspace, name)
    evidence = found.evidence
    emit(
        as_json,
        {"pilot": name, "evidence": evidence.digest, "candidate": done.candidate.digest, "repeated": done.repeated,
         "report": str(found.report), "effects": evidence.effects,
         "preflight": tried and tried.digest},
        *_found(found, warnings(found.pilot, evidence, running=found.interim)),
        f"{name} was before the gate already, with the same evidence." if done.repeated
        else f"{name} is before the gate, as candidate {done.candidate.digest[:19]}…",
        f"The Factory has tried it. Next: pilotplant promote check {name}" if tried
        else f"Next, for ops: pilotplant factory preflight {name}; then: pilotplant promote check {name}",
    )  # fmt: skip
    return done


@app.command()
def rehearse(
    context: typer.Context,
    name: Name,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            help="A true effect to plant, as ARM:METRIC=VALUE, like email:visit=0.02; may be repeated. If left out, "
            "the first treatment has twice the smallest effect that is worth scaling, and its guardrails gain."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes up the same results.")] = 0,
    as_json: Json = False,
) -> Any:
    """Rehearsal only: make a launched pilot's results up, move the clock past its end, and ask the gate."""
    from lab.analysis.report import warnings
    from lab.synthetic.rehearsal import rehearse as play_through
    from lab.synthetic.synthetic import planted

    here = session(context)
    workspace = here.workspace()
    effects = None if effect is None else [planted(text) for text in effect]
    progress(f"Making up what happens to the units of {name}, and moving the clock past its end …")
    done = play_through(workspace, name, effects=effects, seed=seed)
    progress("The Factory tries the candidate's plays on its tables; no message is written …")
    here.preflight(workspace, name)
    progress("The gate asks every check; the evidence is computed again from the sealed data …")
    judged, verdict = here.judge(workspace, name)
    made, evidence = done.made, done.analysis.evidence
    emit(
        as_json,
        {"pilot": name, "verdict": judged.get("verdict"), "arms": judged.get("arms"),
         "planted": made.planted if made else None, "candidate": judged.get("candidate"),
         "effects": evidence.effects, "report": str(done.analysis.report),
         "clock": workspace.clock.now()},
        *(_made_up(made) if made else [f"{name} has results of its own; only its time passed."]),
        *_found(done.analysis, warnings(done.analysis.pilot, evidence, running=False)),
        "",
        *verdict,
        f"It is {date_time(workspace.clock.now())} now in this rehearsal. Next: "
        f"pilotplant promote summary {name}, which is the owner's page",
    )  # fmt: skip
    return done


def _made_up(made: Any) -> list[Line]:
    """What was planted, and from what the rest was drawn."""
    told = ", ".join(f"{one.arm} {one.metric} {one.effect:+g}" for one in made.planted)
    units = counted(sum(made.per_arm.values()), "unit")
    return [
        f"Made up: {units} over the whole time box; planted: {told or 'no effect'}.",
        *(f"Drawn: {metric} from {source}." for metric, source in made.sources.items()),
    ]
