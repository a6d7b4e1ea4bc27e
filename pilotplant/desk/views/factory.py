"""The Factory's pages: all releases with what is in trouble, and one release with its runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from factory.releases.releases import Run, play_of, promised_by, show_release, why_paused
from factory.runtime.measures import Measures, ReleaseMeasures
from factory.state.room import open_factory
from factory.warehouse.tables import TableFacts, list_tables
from pilotplant.desk.views.output import Engine, Output
from pilotplant.desk.views.parts import Item, how_many, title_of, trouble_of
from shared.core.errors import PilotPlantError
from shared.state.workspace import Workspace
from shared.ui import phrases
from shared.ui.page import Tone, sentence

# The tables, or why they cannot be read.
Tables = tuple[tuple[TableFacts, ...], str | None]
RUNS_MAX, RELEASES_MAX = 30, 50
_STATES: dict[str, tuple[Tone, str, str]] = {
    "live": ("go", "check", "Runs"),
    "paused": ("wait", "pause", "Paused"),
    "retired": ("quiet", "cross", "Retired"),
}
_RUNS: dict[str, tuple[Tone, str, str]] = {
    "done": ("go", "check", "Done"),
    "started": ("new", "clock", "Under way"),
    "failed": ("no", "cross", "Failed"),
    "refused": ("no", "cross", "Refused"),
    "skipped": ("wait", "next", "Skipped"),
}


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A release in the list."""

    name: str
    tone: Tone
    icon: str
    state: str
    note: str
    last: str | None
    last_state: str | None
    next: datetime | None
    messages: int


@dataclass(frozen=True, slots=True)
class FactoryPage:
    """The page.

    Attributes:
        stopped: why everything is stopped; None where it is not.
        earlier: releases that are not shown.
        unread: why the tables cannot be read now; None where they can.
        output: snapshots, and what releases wrote last.
        engines: where Prefect and MLflow are looked at.
    """

    headline: str
    why: str
    tone: Tone
    stopped: str | None
    troubles: tuple[Item, ...]
    releases: tuple[ReleaseLine, ...]
    earlier: int
    tables: tuple[TableFacts, ...]
    unread: str | None
    rows_loaded: int
    rows_quarantined: int
    output: Output
    engines: tuple[Engine, ...]


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run of a release."""

    occurrence: str
    tone: Tone
    icon: str
    state: str
    messages: int | None
    held_out: int | None
    reason: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """One release.

    Attributes:
        promised: what to expect of it, in sentences.
        subject, schedule: what it sends and when; None where its package is damaged, and `damaged` says so.
    """

    line: ReleaseLine
    headline: str
    why: str
    is_paused: bool
    is_stopped: bool
    subject: str | None
    schedule: str | None
    holdout: str | None
    damaged: str | None
    promised: tuple[str, ...]
    runs: tuple[RunLine, ...]
    package: str
    expires: str


def factory_page(found: Measures, known: Tables, output: Output, engines: tuple[Engine, ...]) -> FactoryPage:
    """The page of what was found."""
    live = found.releases_by_state.get("live", 0)
    troubles = tuple(
        Item("warn", "no", trouble_of(one.subject, one.what), "Does not work", one.next) for one in found.troubles
    )
    tone: Tone = "no" if troubles else "go" if live else "quiet"
    releases = sorted((_line(each) for each in found.releases), key=_urgency)
    return FactoryPage(
        headline=_headline(found, live, len(troubles)),
        why=sentence(trouble_of("Factory", str(found.plant))),
        tone=tone,
        stopped=found.stopped,
        troubles=troubles,
        releases=tuple(releases[:RELEASES_MAX]),
        earlier=max(0, len(releases) - RELEASES_MAX),
        tables=known[0],
        unread=known[1],
        rows_loaded=found.rows_loaded,
        rows_quarantined=found.rows_quarantined,
        output=output,
        engines=engines,
    )


def tables_of(workspace: Workspace) -> Tables:
    """The tables, or why they cannot be read: a load that is under way holds them."""
    try:
        return tuple(list_tables(workspace)), None
    except PilotPlantError as error:
        return (), sentence(error.what)


def _headline(found: Measures, live: int, troubles: int) -> str:
    if found.stopped is not None:
        return "Everything is stopped"
    if live and not found.plant.is_up:
        return "The Factory is down: nothing runs"
    runs = how_many(live, "release runs", "releases run")
    if troubles:
        return f"{how_many(troubles, 'thing does', 'things do')} not work. {runs}."
    return f"{runs} as signed" if live else "Nothing is released yet"


def _urgency(line: ReleaseLine) -> tuple[int, str]:
    return ("no", "wait", "new", "go", "quiet").index(line.tone), line.name


def _line(found: ReleaseMeasures) -> ReleaseLine:
    tone, icon, state = _STATES.get(found.state, ("quiet", "info", title_of(found.state)))
    note = str(found.paused) if found.paused else ""
    if found.state == "live" and found.last_state in {"failed", "refused"}:
        tone, icon, state = "no", "cross", f"Last run {found.last_state}"
    name, last = found.name, (found.last_run, found.last_state)
    return ReleaseLine(name, tone, icon, state, note, *last, found.next, found.messages)


def release_page(workspace: Workspace, found: Measures, name: str) -> ReleasePage:
    """The page of a release; raises BadInput where there is none of that name."""
    release, runs = show_release(workspace, name)
    measured = next(each for each in found.releases if each.name == name)
    line, damaged, play = _line(measured), None, None
    try:
        play = play_of(workspace, release)
    except PilotPlantError as error:
        damaged = error.what
    promised = promised_by(workspace, release)
    pause = why_paused(open_factory(workspace), name) if release.state == "paused" else None
    return ReleasePage(
        line=line,
        headline=_of_release(name, release.state, found),
        why=sentence(str(pause)) if pause else "",
        is_paused=release.state == "paused",
        is_stopped=found.stopped is not None,
        subject=play.subject if play else None,
        schedule=f"{play.schedule.cron} ({play.schedule.timezone})" if play else None,
        holdout=f"{100 * float(play.holdout):g} % are left alone, to compare with" if play else None,
        damaged=damaged,
        promised=tuple(phrases.promise(promised[1][one.metric], one) for one in promised[0]) if promised else (),
        runs=tuple(_runs(runs)),
        package=release.package,
        expires=release.expires,
    )


def _of_release(name: str, state: str, found: Measures) -> str:
    if found.stopped is not None:
        return f"{title_of(name)} does not run: everything is stopped"
    if state == "live" and not found.plant.is_up:
        return f"{title_of(name)} does not run: the Factory is down"
    return {"live": f"{title_of(name)} runs as signed", "paused": f"{title_of(name)} is paused"}.get(
        state, f"{title_of(name)} is {state}"
    )


def _runs(runs: list[Run]) -> Iterator[RunLine]:
    for run in runs[:RUNS_MAX]:
        tone, icon, state = _RUNS.get(run.state, ("quiet", "info", title_of(run.state)))
        yield RunLine(run.occurrence, tone, icon, state, run.messages, run.held_out, run.reason, run.file)
