"""The report: one self-contained page that says what was found and what may be concluded from it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from lab.analysis.health import killed
from lab.analysis.plots import picture_of_effects
from lab.analysis.results import results
from lab.pilots.pilot import Pilot
from shared.core.money import Money
from shared.evidence.model import RATIO_P_MIN, Evidence
from shared.ui import phrases
from shared.ui.page import pages

PAGE, PICTURE = "report.html", "effects.svg"


def write(folder: Path, pilot: Pilot, evidence: Evidence, *, cost: Money, interim: bool, now: datetime) -> None:
    """Writes the page into `folder`, and the effects as a picture beside it, which goes where a page cannot."""
    (folder / PICTURE).write_text(picture_of_effects(pilot, evidence), encoding="utf-8")
    page = (
        pages("lab")
        .get_template("report.html.j2")
        .render(
            pilot=pilot,
            charter=pilot.charter,
            found=results(pilot, evidence),
            standing=evidence.standing,
            cost=cost,
            interim=interim,
            warnings=warnings(pilot, evidence, running=interim),
            now=now,
        )
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def warnings(pilot: Pilot, evidence: Evidence, *, running: bool) -> list[str]:
    """What must be read before any number: harm that closes a pilot, arms of the wrong size, one closed early."""
    found, ratio = killed(pilot, evidence, running=running), evidence.health.sample_ratio
    if ratio.p is not None and ratio.p < RATIO_P_MIN:
        found.append(
            f"Do not trust these effects: the arms' sizes are not those that were planned (p {phrases.p_value(ratio.p)}"
            "); units were lost or added on the way, and whoever is missing may be different from the rest."
        )
    if pilot.ended_at is not None:
        box = pilot.charter.time_box
        lasted = max(0, (pilot.ended_at - box.starts).days)
        found.append(
            f"Closed early on {pilot.ended_at:%Y-%m-%d}, after {lasted} of {(box.end - box.start).days} days: "
            "these numbers cannot lead to *scale*."
        )
    return found
