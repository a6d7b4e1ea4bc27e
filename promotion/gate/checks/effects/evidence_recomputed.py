"""Does the gate, from the sealed data, come to the same numbers as the Lab?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.evidence.model import Evidence
from shared.trust.finding import Finding
from shared.ui import phrases

# Counts exactly, numbers to 1e-9: builds may add in another order, which changes the last digits.
TOLERANCE = 1e-9


@check(NeverOff, reads="sealed data, submitted evidence", on_page=True)
def evidence_recomputed(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Does the gate, from the sealed data, come to the same numbers?"""
    differing = differing_numbers(case.submitted, case.evidence)
    if differing:
        yield finding(
            "failed",
            f"the submitted evidence does not follow from the sealed data: {phrases.first_of(differing)}",
            measured=differing,
            threshold=TOLERANCE,
            remedy="analyse and submit again with this release; if it differs again, report it",
        )
    else:
        yield finding(
            "passed", "the gate computes the same numbers from the sealed data", measured=[], threshold=TOLERANCE
        )


def differing_numbers(submitted: Evidence, own: Evidence) -> list[str]:
    """Each place where two computations of the evidence differ; which release computed them is no number of it."""
    return list(differences(submitted.as_json() | {"software": ""}, own.as_json() | {"software": ""}))


def differences(submitted: Any, own: Any, path: str = "") -> Iterator[str]:
    """Each place where two JSON values differ: numbers with a fraction by more than 1e-9, everything else at all."""
    if isinstance(submitted, dict) and isinstance(own, dict):
        for key in sorted(submitted.keys() | own.keys()):
            yield from differences(submitted.get(key), own.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(submitted, list) and isinstance(own, list) and len(submitted) == len(own):
        for index, (one, other) in enumerate(zip(submitted, own, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif not _same(submitted, own):
        yield f"{path} is {submitted!r}, the gate computes {own!r}"


def _same(submitted: Any, own: Any) -> bool:
    if isinstance(submitted, float) and isinstance(own, float):
        return math.isclose(submitted, own, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(submitted) is type(own) and bool(submitted == own)
