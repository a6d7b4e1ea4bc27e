"""Conclusions: what evidence allows to say, what it does not, and how its numbers were made, in words."""

from __future__ import annotations

from lab.pilots.pilot import Pilot
from shared.evidence.conclusions import kept
from shared.evidence.model import Evidence
from shared.experiment.charter import Charter, Guardrail
from shared.ui import phrases

_LOOKS = {
    "fixed": "Welch's test, at one look",
    "group_sequential": "Welch's test at looks agreed on beforehand, which share alpha (Lan and DeMets 1983)",
    "always_valid": "asymptotic confidence sequences (Waudby-Smith et al. 2024)",
}
_NOTHING = "nothing can be said about "


def conclusion(pilot: Pilot, evidence: Evidence, arm: str) -> str:
    """What the numbers of an arm allow to say, in words; the gate has the last one."""
    charter = pilot.charter
    shown = [_shown(pilot, evidence, arm, primary.metric) for primary in charter.primaries]
    so_far = "" if evidence.standing == "decisive" else "so far, which decides nothing, "
    text = f"{arm}: {so_far}" + "; ".join(shown)
    if all(said.startswith(_NOTHING) for said in shown):
        return text + "."
    unsafe = [rail.metric for rail in charter.guardrails if not _ruled_out(pilot, evidence, arm, rail)]
    if not charter.guardrails:
        text += "; no guardrail was declared, so nothing says that it did no harm"
    elif unsafe:
        text += f"; harm to {', '.join(unsafe)} beyond its margin is not ruled out"
    else:
        text += "; harm beyond the margin is ruled out for every guardrail"
    return text + "."


def limits(pilot: Pilot, evidence: Evidence) -> list[str]:
    """What the numbers do not allow to say, in words."""
    charter, found = pilot.charter, []
    if evidence.standing == "descriptive":
        found.append("Nothing is decided by these numbers yet: the charter agreed on no look before this moment.")
    if charter.sample.looks.method == "group_sequential":
        agreed = ", ".join(f"{100 * share:g} %" for share in charter.sample.looks.at)
        found.append(
            f"The charter agreed on looks at {agreed} of the time box. The intervals are as wide as it takes to look "
            "that often; what came in after the last look is not in them."
        )
    if charter.sample.looks.method == "always_valid":
        found.append("The intervals hold at every moment at once, so they are wider than those of a single look.")
    if charter.line:
        found.append(
            f"This pilot {'revises' if charter.line.candidate else 'continues'} {charter.line.pilot}: its line has "
            f"spent an alpha of {charter.line.alpha_spent:g}, so it is tested at {charter.alpha:g}."
        )
    if charter.secondary:
        found.append(f"{', '.join(charter.secondary)}: not adjusted for how many were looked at; a hint, no proof.")
    if evidence.segments:
        found.append("Segments describe: what shows in one of them is a question for the next pilot, no answer.")
    if len(evidence.days) > 1:
        found.append("The effect over time describes: a day on which it looked better was no better day to stop.")
    found.append("No significant difference is never proof that there is none.")
    return found


def methods(charter: Charter) -> str:
    """How the numbers were made, for whoever wants to make them again."""
    parts = [f"Intervals and p-values: {_LOOKS[charter.sample.looks.method]}"]
    if charter.cluster:
        parts.append(f"by {charter.cluster}, which the arms were drawn by")
    if charter.covariates:
        parts.append(f"adjusted for {', '.join(charter.covariates)} as before the pilot (Deng et al. 2013)")
    if charter.strata:
        parts.append(f"the groups of {charter.strata} weighed alike in every arm (Miratrix, Sekhon and Yu 2013)")
    return "; ".join(parts) + ". Lift: delta method. Adjusted p: Holm over primary metrics and arms."


def _shown(pilot: Pilot, evidence: Evidence, arm: str, name: str) -> str:
    """What an arm showed on one primary metric."""
    metric, effect = pilot.promise.metrics[name], evidence.effect(arm, name)
    low, high = (None, None) if effect is None else (effect.low, effect.high)
    if effect is None or effect.estimate is None or effect.p_adjusted is None or low is None or high is None:
        return f"{_NOTHING}{name}: {effect.problem if effect else 'no data'}"
    found = phrases.effect(metric, effect)
    if effect.p_adjusted > evidence.alpha:
        return f"no difference in {name} was shown ({found}); that is not proof of none"
    worse = "" if effect.estimate * metric.sign > 0 else ", which is worse"
    went, by = "rose" if effect.estimate > 0 else "fell", phrases.amount(metric, effect.estimate)
    return f"{name} {went} by {by} ({phrases.ends(metric, low, high)}){worse}"


def _ruled_out(pilot: Pilot, evidence: Evidence, arm: str, rail: Guardrail) -> bool:
    """Whether a guardrail excludes harm beyond its margin, as the gate asks it; what was not computed excludes none."""
    effect, metric = evidence.effect(arm, rail.metric), pilot.promise.metrics[rail.metric]
    return kept(effect, rail, metric, pilot.charter) and not evidence.others_left(arm, rail.metric)
