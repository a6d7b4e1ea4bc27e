"""Both environments on one screen, each by its own measures: the Lab's learning, the Factory's reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from factory.runtime.measures import measures as factory_measures
from factory.runtime.troubles import WENT_WRONG
from lab.overview.measures import Measures
from lab.overview.measures import measures as lab_measures
from lab.overview.portfolio import drafts
from lab.state import open_lab
from promotion.queue.queue import measures as promotion_measures
from promotion.queue.views import Measures as GateMeasures
from promotion.queue.views import Waiting
from shared.core.clock import rfc3339
from shared.core.times import date_time
from shared.state.workspace import Workspace
from shared.ui.console import counted, styled, table
from shared.ui.phrases import days


@dataclass(frozen=True, slots=True)
class Overview:
    """What `status` shows."""

    workspace: Workspace
    now: str
    lab: Measures
    promotion: GateMeasures
    factory: dict[str, Any]
    waits: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "workspace": str(self.workspace.root),
            "mode": self.workspace.mode,
            "clock": self.now,
            "lab": self.lab,
            "promotion": self.promotion,
            "factory": self.factory,
            "waits": self.waits,
        }

    def lines(self) -> list[Any]:
        """For people."""
        mode = "REHEARSAL: nothing here counts in a live Factory" if self.workspace.mode == "rehearsal" else "live"
        return [
            f"{self.workspace.root} · {mode} · {date_time(self.now)}",
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
            *(f"Due: {_due_line(due.as_json())}" for due in self.lab.due),
        ]

    @property
    def troubles(self) -> list[str]:
        """What does not do what it should, each in a line."""
        return [each.told for each in self.promotion.troubles] + [each["told"] for each in self.factory["troubles"]]

    def _waiting(self) -> list[Any]:
        rows = [(w["what"], w["for"], w["until"] and date_time(w["until"]), w["next"]) for w in self.waits]
        return [table("waits", "for whom", "until", "next", rows=rows)] if rows else ["Nothing needs anybody today."]


def overview(workspace: Workspace) -> Overview:
    """The overview, now."""
    measured = factory_measures(workspace)
    found = asdict(measured)
    found["plant"] = measured.plant.as_json() | {"told": f"The Factory {measured.plant}"}
    found["troubles"] = [asdict(trouble) | {"told": str(trouble)} for trouble in measured.troubles]
    for release, each in zip(found["releases"], measured.releases, strict=True):
        release["paused"] = each.paused and asdict(each.paused) | {"told": str(each.paused)}
        release["next"] = rfc3339(release["next"]) if release["next"] else None
    room = open_lab(workspace)
    lab, gate = lab_measures(room), promotion_measures(workspace)
    pilots = [line.as_json() for line in lab.waiting]
    return Overview(
        workspace=workspace,
        now=rfc3339(workspace.clock.now()),
        lab=lab,
        promotion=gate,
        factory=found,
        waits=waits(pilots, drafts(room), found["releases"], found["handed_over"], gate.waiting),
    )


def _next(pilot: dict[str, Any]) -> str | None:
    """The command of whoever a pilot of the Lab waits for, by what it waits for."""
    steps = {"(data)": "lab record {} FILE", "(submission)": "lab finish {}", "(decision)": "promote summary {}"}
    found = next((step for what, step in steps.items() if str(pilot["waits_for"]).endswith(what)), None)
    return found and f"pilotplant {found.format(pilot['pilot'])}"


def waits(
    pilots: list[dict[str, Any]],
    drafted: list[str],
    releases: list[dict[str, Any]],
    handed_over: int = 0,
    candidates: Sequence[Waiting] = (),
) -> list[dict[str, Any]]:
    """Whose move it is: the Lab's pilots, the gate's candidates among them; drafts; packages; runs that went wrong."""
    gate = {candidate.pilot: candidate for candidate in candidates}
    signed = {pilot: each.proposed for pilot, each in gate.items() if each.proposed}
    arrived = {"what": counted(handed_over, "package") + " in the Factory's inbox", "for": "ops", "until": None,
               "next": "pilotplant factory up, or factory admit"}  # fmt: skip
    return [
        *([arrived] if handed_over else []),
        *(
            {
                "what": f"{pilot} ({one.word}, signed by {' and '.join(one.persons)})",
                "for": "ops" if one.for_gate else " or ".join(one.others) or "nobody yet",
                "until": None if one.for_gate else rfc3339(gate[pilot].until),
                "next": one.next,
            }
            for pilot, one in signed.items()
        ),
        *(
            {
                "what": p["pilot"],
                "for": p["waits_for"],
                "until": p["until"],
                "next": (gate[p["pilot"]].next if p["pilot"] in gate else None) or _next(p),
            }
            for p in pilots
            if p["pilot"] not in signed
        ),
        *(
            {"what": f"{name} (draft)", "for": "its author", "until": None, "next": f"pilotplant lab check {name}"}
            for name in drafted
        ),
        *(
            {
                "what": f"{release['name']} (run {release['last_state']})",
                "for": "ops",
                "until": None,
                "next": f"look at it: pilotplant factory show {release['name']}",
            }
            for release in releases
            if release["state"] == "live" and release["last_state"] in WENT_WRONG
        ),
    ]


def _due_line(due: dict[str, Any]) -> str:
    return f"{due['pilot']}: {due['for']}, {due['what']} ({days(due['days_left'])} left)"


def _reliability(found: dict[str, Any]) -> list[str]:
    runs, states = found["runs"], found["releases_by_state"]
    last = date_time(found["last_run"]) if found["last_run"] else "never"
    lines = [
        f"{found['plant']['told']}.",
        f"Releases: {states.get('live', 0)} live, {states.get('paused', 0)} paused; "
        f"runs: {runs.get('done', 0)} ok, {runs.get('failed', 0)} failed, {runs.get('refused', 0)} refused, "
        f"{runs.get('skipped', 0)} skipped; last run {last}",
        f"Rows: {found['rows_loaded']:,} loaded, {found['rows_quarantined']:,} quarantined",
    ]
    if found["stopped"] is not None:
        lines.insert(0, f"EVERYTHING IS STOPPED: {found['stopped']}")
    return lines + [_release_line(release) for release in found["releases"]]


def _release_line(release: dict[str, Any]) -> str:
    upcoming = f"next {date_time(release['next'])}" if release["next"] else "no next run"
    state = release["paused"]["told"] if release["paused"] else release["state"]
    return f"{release['name']}: {state}, {release['messages']:,} messages written, {upcoming}"
