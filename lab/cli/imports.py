"""Finished tests that ran elsewhere: brought in for what they taught."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.group import app
from shared.ui.console import Json, Line, counted, emit, progress, session, styled, table

SHOWN_MAX = 20


@app.command(name="import")
def import_(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="What the test is called here; of several, how each name begins.", metavar="NAME")
    ],
    file: Annotated[Path, typer.Argument(help="Its numbers: .csv or .parquet, or GrowthBook's .json.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="csv or growthbook; told from the file's name if left out.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="What the file's columns mean, as YAML.")] = None,
    as_json: Json = False,
) -> Any:
    """Bring in finished tests that ran elsewhere: their effects, health and insights, for forecasts; none is scaled."""
    from lab.insights.retrospective.store import bring_in

    progress(f"Reading {file.name} …")
    done = bring_in(session(context).workspace(), name, file, mapping=mapping, source=from_)
    several = len(done.tests) > 1
    payload = [kept.shown.as_json() | {"report": str(kept.report)} for kept in done.tests]
    emit(
        as_json,
        {"tests": payload, "repeated": sorted(done.repeated)} if several
        else payload[0] | {"repeated": bool(done.repeated)},
        *(_many(done) if several else finished_text(done.tests[0])),
        *([f"{counted(len(done.repeated), 'test')} had been brought in before; nothing was done to them."]
          if done.repeated else []),
        _used_for([kept.shown for kept in done.tests]),
    )  # fmt: skip
    return done


def _used_for(shown: list[Any]) -> str:
    """What becomes of finished tests, of which some may have arms of other sizes than planned."""
    sound = sum(each.sound for each in shown)
    if sound == len(shown):
        used = "forecasts and insights use " + ("its effects" if sound == 1 else "their effects")
    elif sound:
        used = f"forecasts and insights use the effects of the {sound} that can be trusted"
    else:
        used = "no forecast and no insight uses " + ("its effects" if len(shown) == 1 else "their effects")
    return f"Retrospective: {used}; the gate never admits a test that ran elsewhere."


def _many(done: Any) -> list[Line]:
    """What came in, in a few lines; each test has a page of its own."""
    tests = [kept.shown for kept in done.tests]
    unsound = [shown.test.name for shown in tests if not shown.sound]
    effects = [effect for shown in tests for effect in shown.effects]
    open_ = sum(effect.problem is not None for effect in effects)
    rows = [
        (shown.test.name, sum(shown.test.units.values()), _told(shown), "" if shown.sound else "do not trust")
        for shown in tests[:SHOWN_MAX]
    ]
    return [
        f"{counted(len(tests), 'test')}, {counted(len(effects), 'effect')}: {open_} cannot be evaluated.",
        *([styled(f"Arms of other sizes than planned, so that the effects are not to be trusted: {len(unsound)}")]
          if unsound else []),
        table("test", "units", "primary metric, clearest arm", "", rows=rows),
        *([f"… and {len(tests) - SHOWN_MAX} more: pilotplant lab insights"] if len(tests) > SHOWN_MAX else []),
        "One in full: pilotplant lab show NAME",
    ]  # fmt: skip


def _told(shown: Any) -> str:
    from shared.ui import phrases

    found = shown.clearest
    if found is None:
        return "cannot be evaluated"
    return f"{found.arm}: {found.metric} {phrases.effect(shown.test.metrics[found.metric], found)}"


def finished_text(kept: Any) -> list[Line]:
    """One finished test for people: its arms, effects, and what speaks against it."""
    from shared.ui import phrases

    shown, test = kept.shown, kept.test
    rows = [
        (e.arm, e.metric, e.part, phrases.effect(test.metrics[e.metric], e), phrases.share(e.relative),
         phrases.p_value(e.p))
        for e in shown.effects
    ]  # fmt: skip
    when = f"{test.started or '?'} to {test.ended or '?'}" if test.started or test.ended else "dates not known"
    return [
        f"{test.name} (retrospective), {when}" + (f": {test.belief}" if test.belief else ""),
        table("arm", "metric", "part", "difference [95 %]", "lift", "p", rows=rows),
        "Units: " + ", ".join(f"{arm} {units:,}" for arm, units in test.units.items()),
        *(styled(f"Look at this: {found.told}") for found in shown.health if found.state == "warning"),
        *(f"Cannot be asked: {found.told}" for found in shown.health if found.state == "unevaluable"),
        f"Report: {kept.report}",
    ]
