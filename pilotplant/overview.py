"""Both environments on one screen, each by its own measures: the Lab's learning, the Factory's reliability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from factory.releases.releases import Pause
from factory.runtime.measures import Measures, ReleaseMeasures
from factory.runtime.measures import measures as factory_measures
from factory.runtime.pulse import Pulse
from factory.runtime.troubles import WENT_WRONG, Trouble
from lab.overview.measures import Measures as LabMeasures
from lab.overview.measures import measures as lab_measures
from lab.overview.portfolio import Line, drafts
from lab.state import open_lab
from promotion.queue import views
from promotion.queue.queue import measures as promotion_measures
from shared.core.times import date_time
from shared.state.workspace import Mode, Workspace
from shared.ui.console import counted, styled, table


@dataclass(frozen=True, slots=True)
class ToldPulse(Pulse):
    """The plant's pulse with its sentence, as are the two below."""

    told: str = ""


@dataclass(frozen=True, slots=True)
class ToldTrouble(Trouble):
    """A trouble with its line."""

    told: str


@dataclass(frozen=True, slots=True)
class ToldPause(Pause):
    """A pause with its sentence's end."""

    told: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, for whom, until when, and the command that goes on."""

    what: str
    for_: str
    until: datetime | None
    next: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What `status` shows."""

    workspace: Path
    mode: Mode
    clock: datetime
    lab: LabMeasures
    promotion: views.Measures
    factory: Measures
    waits: tuple[Waiting, ...]

    def lines(self) -> list[Any]:
        """For people."""
        mode = "REHEARSAL: nothing here counts in a live Factory" if self.mode == "rehearsal" else "live"
        return [
            f"{self.workspace} · {mode} · {date_time(self.clock)}",
            "",
            *([styled("TROUBLE", "bold red"), *(f"  {told}" for told in self.troubles), ""] if self.troubles else []),
            "LAB, learning",
            *(f"  {one.pilot}: {one.told}" for one in self.lab.killed),
            *(f"  {line}" for line in self.lab.told),
            "",
            "GATE",
            "  Decided: "
            + ", ".join(f"{count} {word}" for word, count in self.promotion.decisions.items())
            + f"; {len(self.promotion.lapsed)} lapsed",
            *(
                f"  Missed: {one.lapse.told()}; to try it again: a new charter that `follows` {one.lapse.pilot}"
                for one in self.promotion.missed
            ),
            *(
                f"  Not signed by the gate: {one.pilot}, {one.declined.word}: {one.declined.reason}"
                for one in self.promotion.waiting
                if one.declined
            ),
            *(f"  Waived: {one.check} of {one.pilot}, by {one.by} until {one.until}" for one in self.promotion.waivers),
            *(
                f"  Handed over: {one.pilot} as {one.release}: {one.told}"
                for one in self.promotion.handed_over
                if one.state != "admitted"
            ),
            "",
            "FACTORY, reliability",
            *(f"  {line}" for line in _reliability(self.factory)),
            "",
            *self._waiting(),
            *(f"Due: {due.told()}" for due in self.lab.due),
        ]

    @property
    def troubles(self) -> list[str]:
        """What does not do what it should, each in a line."""
        return [each.told for each in self.promotion.troubles] + [str(each) for each in self.factory.troubles]

    def _waiting(self) -> list[Any]:
        rows = [(w.what, w.for_, w.until and date_time(w.until), w.next) for w in self.waits]
        return [table("waits", "for whom", "until", "next", rows=rows)] if rows else ["Nothing needs anybody today."]


def overview(workspace: Workspace) -> Overview:
    """The overview, now."""
    factory, room = _told(factory_measures(workspace)), open_lab(workspace)
    lab, gate = lab_measures(room), promotion_measures(workspace)
    return Overview(
        workspace=workspace.root,
        mode=workspace.mode,
        clock=workspace.clock.now(),
        lab=lab,
        promotion=gate,
        factory=factory,
        waits=(
            *_packages(factory.handed_over),
            *of_pilots(lab.waiting, gate.waiting),
            *(Waiting(f"{name} (draft)", "its author", None, f"pilotplant lab check {name}") for name in drafts(room)),
            *of_releases(factory.releases),
        ),
    )


def _told(found: Measures) -> Measures:
    """The Factory's measures, in which what people read has its sentence."""
    beat = found.plant
    return replace(
        found,
        plant=ToldPulse(beat.state, beat.since, beat.reason, f"The Factory {beat}"),
        troubles=tuple(ToldTrouble(one.subject, one.what, one.next, str(one)) for one in found.troubles),
        releases=tuple(
            replace(each, paused=each.paused and ToldPause(**asdict(each.paused), told=str(each.paused)))
            for each in found.releases
        ),
    )


def _packages(handed_over: int) -> Iterator[Waiting]:
    if handed_over:
        what = counted(handed_over, "package") + " in the Factory's inbox"
        yield Waiting(what, "ops", None, "pilotplant factory up, or factory admit")


def of_pilots(pilots: Sequence[Line], candidates: Sequence[views.Waiting]) -> Iterator[Waiting]:
    """Whose move it is on the gate's candidates that somebody has signed, and on the Lab's other pilots."""
    gate = {candidate.pilot: candidate for candidate in candidates}
    signed = {pilot: each.proposed for pilot, each in gate.items() if each.proposed}
    for pilot, one in signed.items():
        what = f"{pilot} ({one.word}, signed by {' and '.join(one.persons)})"
        if one.for_gate:
            yield Waiting(what, "ops", None, one.next)
        else:
            yield Waiting(what, " or ".join(one.others) or "nobody yet", gate[pilot].until, one.next)
    for line in pilots:
        if line.name not in signed:
            step = gate[line.name].next if line.name in gate else None
            yield Waiting(line.name, str(line.waits_for), line.until, step or _next(line))


def _next(line: Line) -> str | None:
    """The command of whoever a pilot of the Lab waits for, by what it waits for."""
    steps = {"(data)": "lab record {} FILE", "(submission)": "lab finish {}", "(decision)": "promote summary {}"}
    found = next((step for what, step in steps.items() if str(line.waits_for).endswith(what)), None)
    return found and f"pilotplant {found.format(line.name)}"


def of_releases(releases: Sequence[ReleaseMeasures]) -> Iterator[Waiting]:
    """The live releases whose last run went wrong."""
    for each in releases:
        if each.state == "live" and each.last_state in WENT_WRONG:
            step = f"look at it: pilotplant factory show {each.name}"
            yield Waiting(f"{each.name} (run {each.last_state})", "ops", None, step)


def _reliability(found: Measures) -> list[str]:
    runs, states = found.runs, found.releases_by_state
    lines = [
        f"The Factory {found.plant}.",
        f"Releases: {states.get('live', 0)} live, {states.get('paused', 0)} paused; "
        f"runs: {runs.get('done', 0)} ok, {runs.get('failed', 0)} failed, {runs.get('refused', 0)} refused, "
        f"{runs.get('skipped', 0)} skipped; last run {date_time(found.last_run) if found.last_run else 'never'}",
        f"Rows: {found.rows_loaded:,} loaded, {found.rows_quarantined:,} quarantined",
    ]
    if found.stopped is not None:
        lines.insert(0, f"EVERYTHING IS STOPPED: {found.stopped}")
    for each in found.releases:
        upcoming = f"next {date_time(each.next)}" if each.next else "no next run"
        lines.append(f"{each.name}: {each.paused or each.state}, {each.messages:,} messages written, {upcoming}")
    return lines
