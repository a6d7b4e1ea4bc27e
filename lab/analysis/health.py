"""Health: whether a pilot's data can be believed so far, from counts that are at hand and its last analysis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lab.budget.accounts import Account
from lab.pilots.pilot import Pilot
from shared.core.clock import parse_rfc3339
from shared.evidence.kill_criteria import Answer, met
from shared.evidence.model import RATIO_P_MIN, Evidence
from shared.ui import phrases

# What the gate accepts by default (promotion/gate/checks/sample/multiple_exposure.py).
MULTIPLE_FRAC_MAX = 0.01
# One row in twenty held back is a file that is wrong, and no longer a slip in a row.
HELD_BACK_FRAC_MAX = 0.05

Condition = Literal["good", "trouble", "unknown"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What came in, added up over a pilot's batches.

    Attributes:
        exposures, outcomes: rows accepted.
        held_back: rows in conflict.
        last: when the last batch came, RFC 3339.
    """

    exposures: int = 0
    outcomes: int = 0
    held_back: int = 0
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a pilot is.

    Attributes:
        condition: `unknown` where nothing is wrong so far, and nothing was analysed either.
        findings: what is wrong, in words, the worst first.
        as_of: when it was last analysed.
        behind: whether data came in since.
        killed: a sentence for each kill criterion that is met.
    """

    condition: Condition
    findings: tuple[str, ...]
    as_of: datetime | None
    behind: bool = False
    killed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For people: what is wrong, or one word; and whether that was before the latest data."""
        said = "; ".join(self.findings) or self.condition
        return f"{said}, as of {self.as_of:%m-%d}" if self.behind else said


def planned_units(pilot: Pilot) -> int:
    """How many units the charter plans to expose, over all arms."""
    return pilot.charter.sample.units_per_arm * len(pilot.charter.arms)


def health(
    pilot: Pilot, account: Account, counts: Counts, evidence: Evidence | None, *, as_of: datetime | None, ended: bool
) -> Health:
    """The health of a pilot, `evidence` being that of its last analysis; silence is not health."""
    harm = [] if evidence is None else [f"kill criterion met on {name}" for name in _harmed(pilot, evidence)]
    findings = [*harm, *_of_counts(counts), *_of_money(account)]
    if ended:
        findings += _of_sample(pilot, counts)
    if evidence is not None:
        findings += _of_evidence(evidence)
    condition: Condition = "trouble" if findings else "unknown" if evidence is None else "good"
    behind = as_of is not None and counts.last is not None and parse_rfc3339(counts.last) > as_of
    told = () if evidence is None else tuple(killed(pilot, evidence, running=not ended))
    return Health(condition, tuple(findings), as_of, behind, told)


def killed(pilot: Pilot, evidence: Evidence, *, running: bool) -> list[str]:
    """A sentence for each kill criterion that is met, with the arm that meets it and, while it runs, what to do."""
    return [_killed(pilot, answer, running=running) for answer in met(pilot.promise, evidence)]


def _killed(pilot: Pilot, answer: Answer, *, running: bool) -> str:
    name = answer.criterion.metric
    told = f"Arm {answer.arm} does harm: {phrases.kill_criterion(pilot.promise.metrics[name], answer)}"
    close = f'; close it: pilotplant lab end {pilot.name} --reason "kill criterion on {name}"'
    return told + (close if running else ".")


def _harmed(pilot: Pilot, evidence: Evidence) -> list[str]:
    """The metrics on which a kill criterion is met, each once."""
    return list(dict.fromkeys(answer.criterion.metric for answer in met(pilot.promise, evidence)))


def _of_counts(counts: Counts) -> list[str]:
    rows = counts.exposures + counts.outcomes + counts.held_back
    frac = counts.held_back / rows if rows else 0.0
    return [f"{frac:.0%} of the rows held back"] if frac > HELD_BACK_FRAC_MAX else []


def _of_money(account: Account) -> list[str]:
    return ["over budget"] if account.bound.amount > account.budget.amount else []


def _of_sample(pilot: Pilot, counts: Counts) -> list[str]:
    planned = planned_units(pilot)
    return [f"{counts.exposures:,} of {planned:,} units"] if counts.exposures < planned else []


# What is said in other words, or is no trouble with the data.
_SAID = {"multiple_exposure", "metrics_vary", "test_domain"}


def _of_evidence(evidence: Evidence) -> list[str]:
    found, ratio, multiple = [], evidence.health.sample_ratio, evidence.health.multiple_frac
    if ratio.p is not None and ratio.p < RATIO_P_MIN:
        found.append("arms of the wrong size")
    if multiple is not None and multiple > MULTIPLE_FRAC_MAX:
        found.append(f"{multiple:.1%} of the units in two arms")
    found += dict.fromkeys(
        symptom.check.replace("_", " ")
        for symptom in evidence.health.symptoms
        if symptom.state == "warning" and symptom.check not in _SAID
    )
    return found
