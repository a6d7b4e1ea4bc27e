"""The report: one self-contained page that says what was found and what may be concluded from it."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.pilots import Pilot
from shared import wording
from shared.charter import Charter, KillCriterion
from shared.evidence.model import Effect, Evidence
from shared.money import Money

PAGE = "report.html"
PLOT = "effects.svg"

# Fabijan et al. (2019), "Diagnosing sample ratio mismatch": below this, chance is no explanation.
RATIO_P_MIN = 0.001
# Okabe and Ito (2008): colours that people with colour-vision deficiencies can tell apart.
GOOD, BAD, OPEN = "#0072B2", "#D55E00", "#555555"


def write(folder: Path, pilot: Pilot, evidence: Evidence, *, cost: Money, interim: bool, now: datetime) -> None:
    """Writes the page and the plot it contains into `folder`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    plot = _plot(pilot, evidence)
    (folder / PLOT).write_text(plot, encoding="utf-8")
    environment = Environment(loader=PackageLoader("lab"), autoescape=True, undefined=StrictUndefined)
    environment.filters["p_value"] = wording.p_value
    environment.filters["share"] = wording.share
    page = environment.get_template("report.html.j2").render(
        pilot=pilot,
        charter=pilot.charter,
        evidence=evidence,
        metrics=pilot.promise.metrics,
        rows=[_row(pilot, effect) for effect in evidence.effects],
        conclusions=[conclusion(pilot, evidence, arm.name) for arm in pilot.charter.treatments],
        level=wording.level,
        plot=plot[plot.index("<svg") :],
        cost=cost,
        interim=interim,
        warnings=warnings(pilot, evidence),
        now=now,
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def warnings(pilot: Pilot, evidence: Evidence) -> list[str]:
    """What must be read before any number: arms of the wrong size, harm that closes a pilot, one closed early."""
    found, ratio = [], evidence.health.sample_ratio
    if ratio.p is not None and ratio.p < RATIO_P_MIN:
        found.append(
            f"Do not trust these effects: the arms' sizes are not those that were planned (p {wording.p_value(ratio.p)}"
            "); units were lost or added on the way, and whoever is missing may be different from the rest."
        )
    found += [_killed(pilot, kill, effect) for kill, effect in kills(pilot, evidence)]
    if pilot.ended_at is not None:
        box = pilot.charter.time_box
        lasted = max(0, (pilot.ended_at - box.starts).days)
        found.append(
            f"Closed early on {pilot.ended_at:%Y-%m-%d}, after {lasted} of {(box.end - box.start).days} days: "
            "these numbers cannot lead to *scale*."
        )
    return found


def kills(pilot: Pilot, evidence: Evidence) -> list[tuple[KillCriterion, Effect]]:
    """The charter's kill criteria that are met, each with the effect whose whole interval lies beyond it."""
    metrics = pilot.promise.metrics
    return [
        (kill, effect)
        for kill in pilot.charter.kill_criteria
        for effect in evidence.effects
        if effect.metric == kill.metric and _beyond(effect, kill.worse_than, metrics[kill.metric].sign)
    ]


def _beyond(effect: Effect, worse_than: float, sign: int) -> bool:
    best = effect.high if sign > 0 else effect.low
    return best is not None and sign * best < sign * worse_than


def _killed(pilot: Pilot, kill: KillCriterion, effect: Effect) -> str:
    metric = pilot.promise.metrics[kill.metric]
    text = (
        f"Kill criterion met: arm {effect.arm} harms {kill.metric} by more than "
        f"{wording.number(metric, kill.worse_than)} ({wording.effect(metric, effect)})"
    )
    close = f'; close it: pilotplant lab end {pilot.name} --reason "kill criterion on {kill.metric}"'
    return text + ("." if pilot.ended_at else close)


def conclusion(pilot: Pilot, evidence: Evidence, arm: str) -> str:
    """What the numbers of an arm allow to say, in words; the gate has the last one."""
    charter = pilot.charter
    shown = [_shown(pilot, evidence.effect(arm, primary.metric), primary.metric) for primary in charter.primaries]
    text = f"{arm}: " + "; ".join(shown)
    if all(said.startswith(_NOTHING) for said in shown):
        return text + "."
    unsafe = [rail.metric for rail in charter.guardrails if not _ruled_out(evidence.effect(arm, rail.metric), charter)]
    if not charter.guardrails:
        text += "; no guardrail was declared, so nothing says that it did no harm"
    elif unsafe:
        text += f"; harm to {', '.join(unsafe)} beyond its margin is not ruled out"
    else:
        text += "; harm beyond the margin is ruled out for every guardrail"
    return text + "."


_NOTHING = "nothing can be said about "


def _shown(pilot: Pilot, effect: Effect | None, name: str) -> str:
    """What an arm showed on one primary metric."""
    metric = pilot.promise.metrics[name]
    if effect is None or effect.estimate is None or effect.p_adjusted is None:
        return f"{_NOTHING}{name}: {effect.problem if effect else 'no data'}"
    found = wording.effect(metric, effect)
    if effect.p_adjusted > pilot.charter.sample.alpha:
        return f"no difference in {name} was shown ({found}); that is not proof of none"
    worse = "" if effect.estimate * metric.sign > 0 else ", which is worse"
    return f"{name} {'rose' if effect.estimate > 0 else 'fell'} by {found}{worse}"


def _ruled_out(rail: Effect | None, charter: Charter) -> bool:
    """Whether a guardrail's effect excludes harm beyond its margin; what was not computed excludes nothing."""
    return rail is not None and rail.p_non_inferior is not None and rail.p_non_inferior <= charter.sample.alpha


def _row(pilot: Pilot, effect: Effect) -> dict[str, Any]:
    metric = pilot.promise.metrics[effect.metric]
    return {
        "effect": effect,
        "estimate": wording.number(metric, effect.estimate),
        "interval": wording.interval(metric, effect.low, effect.high),
        "bound": wording.number(metric, effect.bound),
        "margin": wording.number(metric, effect.margin),
    }


def _plot(pilot: Pilot, evidence: Evidence) -> str:
    """Intervals of every effect as SVG: one panel per metric, since units differ."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(pilot.charter.measured)
    arms = [arm.name for arm in pilot.charter.treatments]
    # A fixed salt and no metadata make equal evidence an equal file, which names nothing outside itself.
    with rc_context({"svg.hashsalt": "pilotplant", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(4.0 * len(names), 1.3 + 0.55 * len(arms)), layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            _panel(panel, pilot, evidence, name, arms)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()


def _panel(panel: Any, pilot: Pilot, evidence: Evidence, name: str, arms: list[str]) -> None:
    metric = pilot.promise.metrics[name]
    scale = 100 if metric.kind == "proportion" else 1
    for position, arm in enumerate(arms):
        effect = evidence.effect(arm, name)
        if effect is None or effect.estimate is None or effect.low is None or effect.high is None:
            panel.text(0, position, "cannot be evaluated", color=BAD, va="center", ha="center")
            continue
        colour = OPEN if effect.low <= 0 <= effect.high else GOOD if effect.estimate * metric.sign > 0 else BAD
        panel.plot([scale * effect.low, scale * effect.high], [position, position], color=colour, linewidth=2.5)
        panel.plot([scale * effect.estimate], [position], "o", color=colour, markersize=7)
    panel.axvline(0, color="black", linewidth=1)
    margin = next((rail.margin for rail in pilot.charter.guardrails if rail.metric == name), None)
    if margin is not None:
        panel.axvline(scale * margin, color=BAD, linewidth=1, linestyle="--")
    panel.set_yticks(range(len(arms)), arms)
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.set_title(f"{name} ({'percentage points' if metric.kind == 'proportion' else metric.unit})", loc="left")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(left=False)
