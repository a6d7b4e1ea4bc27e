"""Findings per arm: what a preflight report says of each arm of a charter, and what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from promotion.gate.case import Case
from promotion.gate.check import finding
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding


class _OfArm(Protocol):
    @property
    def arm(self) -> str: ...


Part = TypeVar("Part", bound=_OfArm)


def by_arm(case: Case, found: Iterable[Part], judged: Callable[[Part], Finding]) -> Iterator[Finding]:
    """One finding per arm; an arm of which the report says nothing is unevaluable, never passed."""
    parts = {part.arm: part for part in found}
    for arm in case.charter.treatments:
        if arm.name in parts:
            yield judged(parts[arm.name]).model_copy(update={"arm": arm.name})
        else:
            again = remedy(case.charter.pilot)
            yield finding("unevaluable", f"the report says nothing of arm `{arm.name}`", arm=arm.name, remedy=again)
