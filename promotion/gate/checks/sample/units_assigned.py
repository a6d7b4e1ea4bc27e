"""Is every exposure of a unit that takes part, in the arm that was drawn, and every row inside the time box?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.trust.candidate import REGISTRATION
from shared.trust.finding import Finding


@check(
    NeverOff,
    reads="sealed exposures, outcomes and clusters, the gate's nonce, the promise's weights, layer, holdout and "
    "time box",
    blind=True,
)
def units_assigned(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Is every exposure of a unit that takes part, in the arm that was drawn, and every row inside the time box?"""
    if case.registration is not None and (objection := _against_registration(case)):
        yield objection
        return
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


def _against_registration(case: Case) -> Finding | None:
    """What speaks against the draw as the candidate tells it; the gate itself draws by its own ledger alone."""
    own = case.registration
    if own is None or REGISTRATION not in case.candidate.manifest.files:
        return finding(
            "unevaluable",
            "the candidate does not say by which nonce its arms were drawn",
            measured=None,
            threshold=REGISTRATION,
            remedy="submit the pilot again with this release",
        )
    said = case.candidate.registration()
    differing = said.differing(own)
    if not differing:
        return None
    return finding(
        "failed",
        f"the candidate was drawn by another registration than the gate's: {', '.join(differing)} differ",
        measured={name: said.as_json()[name] for name in differing},
        threshold={name: own.as_json()[name] for name in differing},
        remedy="find out who wrote the candidate, and run the pilot again under a new name",
    )
