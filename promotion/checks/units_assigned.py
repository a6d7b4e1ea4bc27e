"""Is every exposure of a unit that takes part, in the arm that was drawn, and every row inside the time box?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.case import Case
from promotion.check import Check, NeverOff, finding
from shared.finding import Finding


def _run(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    found, cluster = case.placement, case.charter.cluster
    by = f" for their `{cluster}`" if cluster else ""
    wrong = {
        f"exposures in another arm than the salted hash draws{by}": found.misassigned or 0,
        **{f"exposures of units {why}": count for why, count in found.outside.items()},
        "rows before the time box opened": found.early,
        "rows from after its end": found.late,
    }
    compared: dict[str, Any] = {"measured": wrong, "threshold": dict.fromkeys(wrong, 0)}
    told = ", ".join(f"{count:,} {what}" for what, count in wrong.items() if count)
    if found.last_event is None:
        yield finding("unevaluable", "nothing was recorded", remedy="record exposures, analyse, submit", **compared)
    elif told:
        yield finding(
            "failed",
            f"the sealed data hold {told}",
            remedy="the Lab would not have taken these in: find out who wrote them, and run the pilot again",
            **compared,
        )
    elif found.misassigned is None:
        yield finding("passed", "every row is inside the time box; the arms are the source's word", **compared)
    else:
        told = f"every exposure has the arm that was drawn{by}, every row lies in the time box"
        yield finding("passed", told, **compared)


CHECK = Check(
    "units_assigned",
    "Is every exposure of a unit that takes part, in the arm that was drawn, and every row inside the time box?",
    "sealed exposures, outcomes and clusters, the promise's salt, weights, layer, workspace holdout and time box",
    NeverOff,
    _run,
)
