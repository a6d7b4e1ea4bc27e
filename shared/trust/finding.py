"""A finding: what one check of the gate found, about the pilot or about one arm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from shared.core.frozen import FrozenModel

Outcome = Literal["passed", "failed", "unevaluable", "waived"]
Level = Literal["block", "warn"]
Verdict = Literal["admit", "refuse", "undecided"]


class Waived(FrozenModel):
    """By whom a finding was waived, and what was really found.

    Attributes:
        until: up to when the waiver counts, RFC 3339.
        outcome, found: the check's own outcome, and its sentence.
        waiver: the digest of what was signed.
    """

    by: str
    until: str
    reason: str
    outcome: Outcome
    found: str
    waiver: str


class Finding(FrozenModel):
    """One line of a verdict.

    Attributes:
        check: the check's name.
        arm: the arm it concerns; None where it concerns the pilot.
        level: whether it can change the verdict.
        measured, threshold: what was found and what was asked, JSON values.
        reason: one sentence for people.
        remedy: what would change the outcome; None where it passed.
        waived: for `waived`: by whom, and what was found.
    """

    check: str
    arm: str | None = None
    level: Level = "block"
    outcome: Outcome
    measured: Any = None
    threshold: Any = None
    reason: str
    remedy: str | None = None
    waived: Waived | None = None

    @property
    def name(self) -> str:
        """The check, and the arm where it concerns one."""
        return f"{self.check} ({self.arm})" if self.arm else self.check


def blocking(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stand in the way: they decide, and have failed or could not be evaluated."""
    return [one for one in findings if one.level == "block" and one.outcome in {"failed", "unevaluable"}]


def alike(findings: Iterable[Finding]) -> list[tuple[str, Finding]]:
    """One of each answer, in their order, with the names of all findings that it is the answer of."""
    answers: dict[tuple[str, str, str, str | None], list[Finding]] = {}
    for one in findings:
        answers.setdefault((one.level, one.outcome, one.reason, one.remedy), []).append(one)
    return [(", ".join(one.name for one in same), same[0]) for same in answers.values()]


def remedies(findings: Iterable[Finding]) -> str:
    """What would help against findings, each remedy once; empty where none says so."""
    return "; ".join(dict.fromkeys(one.remedy for one in findings if one.remedy))


def failed_warnings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The warnings among them that failed or could not be evaluated: no verdict tells of them."""
    return tuple(one for one in findings if one.level == "warn" and one.outcome in {"failed", "unevaluable"})
