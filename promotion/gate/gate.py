"""The gate: asks every check, and folds what they find into one verdict. It fails closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Check, Rule
from promotion.gate.checks import CHECKS
from promotion.gate.policy import Policy
from promotion.gate.waivers import recorded_waivers, waived
from shared.core.errors import PilotPlantError
from shared.experiment.charter import RULES
from shared.trust.finding import Finding, Verdict

EXIT_CODES: dict[Verdict, int] = {"admit": 0, "refuse": 3, "undecided": 4}


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings on a candidate.

    Attributes:
        arms: the arms that could be scaled.
    """

    findings: tuple[Finding, ...]
    arms: tuple[str, ...]

    def of_arm(self, arm: str) -> tuple[Finding, ...]:
        """The findings that concern an arm: its own, and those on the pilot."""
        return tuple(finding for finding in self.findings if finding.arm in {None, arm})

    def verdict_on(self, arm: str) -> Verdict:
        """Whether the arm may be scaled."""
        return fold(self.of_arm(arm)) if arm in self.arms else "undecided"

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each arm."""
        return {arm: self.verdict_on(arm) for arm in self.arms}

    @property
    def admitted(self) -> list[str]:
        """The arms that may be scaled."""
        return [arm for arm, verdict in self.verdicts.items() if verdict == "admit"]

    @property
    def verdict(self) -> Verdict:
        """The best verdict on any arm: `admit` where at least one may be scaled; without arms never."""
        if not self.arms:
            return "refuse" if fold(self.findings) == "refuse" else "undecided"
        reached = self.verdicts.values()
        order: tuple[Verdict, ...] = ("admit", "undecided", "refuse")
        return next((verdict for verdict in order if verdict in reached), "undecided")


def judge(case: Case, policy: Policy) -> Judgement:
    """Asks every check; one that crashes, says nothing or has no rule is unevaluable. Standing waivers are applied."""
    recorded, rules = recorded_waivers(case), _rules(case)
    findings = tuple(
        found
        for check in CHECKS
        if check.since <= rules
        for rule in [policy.rules.get(check.name)]
        for found in waived(case, _ask(check, case, rule), rule, recorded)
    )
    return Judgement(findings, _arms(case))


def fold(findings: Iterable[Finding]) -> Verdict:
    """The verdict: `refuse` on a blocking failure, `undecided` on a blocking gap or without findings, else `admit`."""
    blocking = [finding.outcome for finding in findings if finding.level == "block"]
    if "failed" in blocking:
        return "refuse"
    if not blocking or "unevaluable" in blocking:
        return "undecided"
    return "admit"


def _ask(check: Check[Any], case: Case, rule: Rule | None) -> Sequence[Finding]:
    if rule is None:
        return [_unanswered(check, "the policy has no rule for this check", "name it in configs/gate.yaml")]
    try:
        found = list(check.run(case, rule))
    except Exception as error:  # noqa: BLE001 - whatever a check dies of, it has not passed
        found = [_crashed(check, error)]
    if not found:
        found = [_unanswered(check, "the check found nothing to say", "submit the pilot again; if it stays, report it")]
    return [finding.model_copy(update={"check": check.name, "level": rule.level}) for finding in found]


def _unanswered(check: Check[Any], reason: str, remedy: str) -> Finding:
    return Finding(check=check.name, outcome="unevaluable", reason=reason, remedy=remedy)


def _crashed(check: Check[Any], error: Exception) -> Finding:
    remedy = error.remedy if isinstance(error, PilotPlantError) else None
    told = error.what if isinstance(error, PilotPlantError) else f"{type(error).__name__}: {error}"
    return Finding(
        check=check.name,
        outcome="unevaluable",
        reason=f"the check could not be made: {told}",
        remedy=remedy or "submit the pilot again; if it stays, report it with this text",
    )


def _rules(case: Case) -> int:
    """Under which rules the candidate was promised; all of today's where that cannot be read."""
    try:
        return case.promise.rules
    except Exception:  # noqa: BLE001 - whatever a damaged promise raises, it spares no check
        return RULES


def _arms(case: Case) -> tuple[str, ...]:
    try:
        return tuple(arm.name for arm in case.charter.treatments)
    except Exception:  # noqa: BLE001 - whatever a damaged charter raises, it names no arm
        return ()
