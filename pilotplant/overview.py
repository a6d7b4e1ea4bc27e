"""Both environments on one screen, each by its own measures: the Lab's learning, the Factory's reliability."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from factory.measures import measures as factory_measures
from lab.cli import learning
from lab.portfolio import measures as lab_measures
from lab.state import open_lab
from promotion.waiting import measures as promotion_measures
from shared.clock import parse_rfc3339, rfc3339
from shared.console import date_time, table
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Overview:
    """What `status` shows."""

    workspace: Workspace
    now: str
    lab: dict[str, Any]
    promotion: dict[str, Any]
    factory: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "workspace": str(self.workspace.root),
            "mode": self.workspace.mode,
            "clock": self.now,
            "lab": self.lab,
            "promotion": self.promotion,
            "factory": self.factory,
        }

    def lines(self) -> list[Any]:
        """For people."""
        mode = "REHEARSAL: nothing here counts in a live Factory" if self.workspace.mode == "rehearsal" else "live"
        return [
            f"{self.workspace.root} · {mode} · {date_time(parse_rfc3339(self.now))}",
            "",
            "LAB, learning",
            *(f"  {line}" for line in learning(self.lab)),
            "",
            "GATE",
            "  Decided: " + ", ".join(f"{count} {word}" for word, count in self.promotion["decisions"].items()),
            "",
            "FACTORY, reliability",
            *(f"  {line}" for line in _reliability(self.factory)),
            "",
            *self._waiting(),
        ]

    def _waiting(self) -> list[Any]:
        rows = [
            (entry["pilot"], entry["waits_for"], date_time(parse_rfc3339(entry["until"])))
            for entry in self.lab["waiting"]
        ]
        return [table("waits", "for whom", "until", rows=rows)] if rows else ["Nothing waits for anybody."]


def overview(workspace: Workspace) -> Overview:
    """The overview, now."""
    found = asdict(factory_measures(workspace))
    for release in found["releases"]:
        release["next"] = rfc3339(release["next"]) if release["next"] else None
    return Overview(
        workspace=workspace,
        now=rfc3339(workspace.clock.now()),
        lab=lab_measures(open_lab(workspace)),
        promotion=promotion_measures(workspace),
        factory=found,
    )


def _reliability(found: dict[str, Any]) -> list[str]:
    runs, states = found["runs"], found["releases_by_state"]
    last = date_time(parse_rfc3339(found["last_run"])) if found["last_run"] else "never"
    lines = [
        f"Releases: {states.get('live', 0)} live, {states.get('paused', 0)} paused; "
        f"runs: {runs.get('done', 0)} ok, {runs.get('failed', 0)} failed, {runs.get('refused', 0)} refused, "
        f"{runs.get('skipped', 0)} skipped; last run {last}",
        f"Rows: {found['rows_loaded']:,} loaded, {found['rows_quarantined']:,} quarantined",
    ]
    if found["stopped"] is not None:
        lines.insert(0, f"EVERYTHING IS STOPPED: {found['stopped']}")
    return lines + [_release_line(release) for release in found["releases"]]


def _release_line(release: dict[str, Any]) -> str:
    upcoming = f"next {date_time(parse_rfc3339(release['next']))}" if release["next"] else "no next run"
    return f"{release['name']}: {release['state']}, {release['messages']:,} messages sent, {upcoming}"
