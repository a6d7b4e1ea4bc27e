"""What a check of the gate is: a question, what it reads, its policy, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from promotion.gate.case import Case
from shared.core.frozen import FrozenModel
from shared.trust.finding import Finding, Level, Outcome


class Rule(FrozenModel):
    """A check's policy; each check adds its thresholds, with defaults and their source.

    Attributes:
        level: `block` decides the verdict, `warn` is only printed.
        waivable: whether whom configs/people.yaml entitles may waive it for a candidate.
    """

    level: Level = "block"
    waivable: bool = True


class NeverOff(Rule):
    """The policy of a check without which nothing else can be believed: it always blocks, and nobody waives it."""

    level: Literal["block"] = "block"
    waivable: Literal[False] = False


class NeverWaived(Rule):
    """The policy of a check whose answer is what the pilot was for: it may be made a warning, and nobody waives it."""

    waivable: Literal[False] = False


Group = Literal["evidence", "schema quality", "decision owner", "value and risk"]
AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True, slots=True)
class Check(Generic[AnyRule]):
    """One check.

    Attributes:
        name: as in findings and `configs/gate.yaml`.
        question: what it answers, for people.
        reads: what of a case it looks at.
        rule: the type of its policy.
        run: yields at least one finding; raising means that it could not be evaluated.
        group: what of a pilot it concerns.
        since: the rules from which on it binds; a promise made under earlier ones is not asked.
        blind: whether it says nothing of how the arms differ in their outcomes; then it is shown before the look, too.
        on_page: whether the page for whoever decides says what it found, whatever that is.
    """

    name: str
    question: str
    reads: str
    rule: type[AnyRule]
    run: Callable[[Case, AnyRule], Iterable[Finding]]
    group: Group = "evidence"
    since: int = 1
    blind: bool = False
    on_page: bool = False


def check(
    rule: type[AnyRule] = Rule,  # type: ignore[assignment]  # of a check without thresholds
    *,
    reads: str,
    group: Group = "evidence",
    since: int = 1,
    blind: bool = False,
    on_page: bool = False,
) -> Callable[[Callable[[Case, AnyRule], Iterable[Finding]]], Check[AnyRule]]:
    """Makes a check of a function: its name is the check's, its docstring begins with the question."""

    def made(run: Callable[[Case, AnyRule], Iterable[Finding]]) -> Check[AnyRule]:
        question = " ".join((run.__doc__ or "").split("\n\n")[0].split())
        return Check(run.__name__, question, reads, rule, run, group, since, blind, on_page)

    return made


def finding(
    outcome: Outcome,
    reason: str,
    *,
    arm: str | None = None,
    measured: Any = None,
    threshold: Any = None,
    remedy: str | None = None,
) -> Finding:
    """A finding without its check's name and level, which the gate fills in."""
    return Finding(
        check="", arm=arm, outcome=outcome, measured=measured, threshold=threshold, reason=reason, remedy=remedy
    )
