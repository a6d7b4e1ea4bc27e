"""The commands of learning: what a pilot showed, what the Lab has learned, and whose move it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lab.cli.group import Name, app
from shared.core.errors import BadInput
from shared.core.times import date_time, day, last_day
from shared.ui.completion import pilots
from shared.ui.console import Json, counted, emit, session, styled, table


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> Any:
    """List pilots with their state, sample, budget and health, whose move it is, and what is due."""
    from lab.overview.portfolio import drafts_among, lines
    from lab.overview.reminders import reminders
    from lab.pilots.pilot import imported
    from lab.state import open_lab, read_settings
    from shared.ui.phrases import bar

    workspace = session(context).workspace()
    found, past = lines(open_lab(workspace)), imported(open_lab(workspace))
    waiting = drafts_among(workspace, found)
    due = reminders(found, read_settings(workspace).remind_days, workspace.clock.now())
    rows: list[tuple[Any, ...]] = [
        (line.name + _mark(line.synthetic), line.word or line.state, bar(line.sample_frac),
         f"{line.exposures:,} of {line.planned_units:,}", str(line.account.left), line.health)
        for line in found
    ]  # fmt: skip
    rows += [(name, "draft", None, None, None, None) for name in waiting]
    grid = table("pilot", "state", "sample", "exposures", "budget left", "health", rows=rows)
    moves = [f"{line.name} waits for {line.waits_for}{_until(line)}" for line in found if line.waits_for]
    moves += [f"{name} waits for you (lab check, lab launch)" for name in waiting]
    emit(
        as_json,
        {
            "pilots": found,
            "drafts": waiting,
            "due": due,
            "retrospective": past,
        },
        *(styled(f"{line.name}: {told}") for line in found for told in line.killed),
        grid if rows else "No pilots yet. Start one with: pilotplant lab new NAME",
        *moves,
        *([f"{counted(len(past), 'retrospective test')}; what they taught: pilotplant lab insights"] if past else []),
        *(f"Due: {one.told()}" for one in due),
    )
    return found


def _until(line: Any) -> str:
    """Until when whoever a pilot waits for has time, or since when they had."""
    from shared.ui.phrases import days

    if line.until is None:
        return ""
    if line.days_left < 0:
        return f": overdue since {day(line.until)}"
    return f": {days(line.days_left)} left, until the end of {last_day(line.until)}"


@app.command()
def remind(context: typer.Context, as_json: Json = False) -> Any:
    """List who must do what until when, for a timer to mail; nothing is sent, and it always ends with 0."""
    from lab.overview.portfolio import lines
    from lab.overview.reminders import reminders
    from lab.state import open_lab, read_settings

    workspace = session(context).workspace()
    within = read_settings(workspace).remind_days
    due = reminders(lines(open_lab(workspace)), within, workspace.clock.now())
    rows = [(one.who, one.pilot, one.what, date_time(one.until), one.next) for one in due]
    emit(
        as_json,
        {"remind_days": within, "due": due},
        table("for whom", "pilot", "what is due", "until", "next", rows=rows) if rows else "Nothing is due.",
    )
    return due


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Show one launched pilot: its promise, what came in, what it cost. Or a retrospective test: what it showed."""
    from lab.overview.portfolio import line_of
    from lab.pilots.pilot import imported
    from lab.state import open_lab

    room = open_lab(session(context).workspace())
    if name in imported(room):
        from lab.cli.imports import finished_text
        from lab.insights.retrospective.store import retrospectives

        [past] = [kept for kept in retrospectives(room) if kept.test.name == name]
        emit(as_json, past.shown.as_json() | {"report": str(past.report)}, *finished_text(past))
        return past
    line = line_of(room, name)
    pilot = line.pilot
    story = pilot.charter.hypothesis
    emit(
        as_json,
        {
            **line.as_json(),
            "promise": pilot.promise,
            "digest": pilot.promise.digest,
            "snapshot": pilot.snapshot,
            "version": pilot.promise.version,
            "amendments": pilot.amendments,
        },
        f"{name}{_mark(line.synthetic)}: {line.word or line.state}",
        *(styled(told) for told in line.killed),
        f"Because {story.because}, we believe that {story.we_believe} will {story.will}.",
        f"Arms: {', '.join(pilot.charter.weights)}; primary metric "
        + ", ".join(primary.metric for primary in pilot.charter.primaries)
        + "; guardrails "
        + (", ".join(f"{rail.metric} {rail.margin:+g}" for rail in pilot.charter.guardrails) or "none"),
        f"Exposures {line.exposures:,}, of {line.planned_units:,} units planned; spent {line.account.spent} of "
        f"{line.account.budget}, {line.account.left} left",
        *(f"Held: {amount} for {key}" for key, amount in line.open_reservations),
        *([f"Health: {line.health}"] if line.health else []),
        f"Ends {date_time(pilot.ends)}"
        + (f"; waits for {line.waits_for} until {date_time(line.until)}" if line.waits_for else ""),
        f"Promise {pilot.promise.digest}",
        *(amendment.told() for amendment in pilot.amendments),
        *(["The last amendment was cut off: give the same `lab amend` again"] if pilot.undeposited else []),
    )
    return pilot


@app.command()
def insights(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Words that the insight must contain.")] = "",
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    metric: Annotated[str | None, typer.Option(help="Only those on this metric.")] = None,
    as_json: Json = False,
) -> Any:
    """List what decided pilots taught, and which pilots contradict it."""
    from lab.insights.insights import insights as search
    from lab.state import open_lab

    found = search(open_lab(session(context).workspace()), query, tag=tag, metric=metric)
    asked = " ".join(filter(None, (query, tag and f"--tag {tag}", metric and f"--metric {metric}")))
    rows = [
        (i.pilot, i.word if i.signed or i.retrospective else f"{i.word} (lapsed)", i.claim, i.told(),
         ", ".join(i.contradicted_by), " ".join(i.tags))
        for i in found
    ]  # fmt: skip
    emit(
        as_json,
        {"insights": found},
        table("pilot", "decision", "insight", "effect", "contradicted by", "tags", rows=rows)
        if found
        else "No insights yet."
        if not asked
        else f"No insight contains `{asked}`.",
    )
    return found


@app.command()
def insight(
    context: typer.Context,
    name: Name,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to add; may be given several times.")] = None,
    supports: Annotated[
        str | None, typer.Option(help="A pilot whose insight this one's result supports.", autocompletion=pilots)
    ] = None,
    contradicts: Annotated[
        str | None, typer.Option(help="A pilot whose insight this one's result contradicts.", autocompletion=pilots)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it supports or contradicts.")] = None,
    as_json: Json = False,
) -> Any:
    """Show one pilot's insight; tag it, or link it with another pilot's that it supports or contradicts."""
    from lab.insights.links import say

    if supports is not None and contradicts is not None:
        raise BadInput("it is one or the other", where="--supports, --contradicts", expected="one of them at a time")
    kind: Any = "supports" if supports is not None else "contradicts" if contradicts is not None else None
    done = say(
        session(context).workspace(), name, tags=tuple(tag or ()), kind=kind, other=supports or contradicts,
        reason=reason,
    )  # fmt: skip
    found, asked = done.insight, bool(tag or kind)
    emit(
        as_json,
        {**found.as_json(), "repeated": asked and done.repeated},
        *(["This had been said before; nothing was done."] if asked and done.repeated else []),
        f"{name} ({found.word}): {found.claim}",
        f"Effect: {found.told()}",
        f"Context: {found.context.population}, {', '.join(found.context.channels)}",
        f"Tags: {' '.join(found.tags) or '–'}",
        *(f"Supported by {link.pilot}: {link.reason}" for link in found.supporting),
        *(f"Contradicted by {link.pilot}: {link.reason}" for link in found.contradicting),
        *(f"The numbers of {other} contradict it. If so: pilotplant lab insight {other} --contradicts {name} "
          "--reason TEXT" for other in found.proposed),
    )  # fmt: skip
    return found


@app.command()
def report(
    context: typer.Context,
    quarter: Annotated[str | None, typer.Option(help="Like 2026Q1; the present one if left out.")] = None,
    as_json: Json = False,
) -> Any:
    """Say how well the Lab learns: decisions, days to a decision, insights and their cost, and a plot over time."""
    from lab.overview.measures import measures
    from lab.overview.velocity import report as tell
    from lab.state import open_lab
    from shared.core.jsonable import jsonable

    room = open_lab(session(context).workspace())
    found, overall = tell(room, quarter), measures(room)
    emit(as_json, {**jsonable(overall), "report": found}, *overall.told, *found.told)
    return found


def _mark(synthetic: bool) -> str:
    return " (synthetic)" if synthetic else ""
