"""Judging what is named on the command line: one pilot's latest candidate, or all that wait."""

from __future__ import annotations

from promotion.case import Case
from promotion.checks import CHECKS
from promotion.gate import Judgement, judge
from promotion.intake import find_candidate, open_case
from promotion.policy import read_settings
from promotion.promised import past_pilots, promised
from promotion.silence import settle
from promotion.state import open_promotion
from promotion.waiting import undecided
from shared.attestation import Promised
from shared.errors import BadInput
from shared.people import Tier
from shared.workspace import Workspace

# Where the charter cannot be read there is no tier; the strictest policy then frames the findings.
STRICTEST: Tier = "high"


def judge_named(workspace: Workspace, name: str | None, *, explain: str | None = None) -> list[tuple[Case, Judgement]]:
    """Judgements on one candidate, or on every one that waits; every check is asked, whichever is explained."""
    known = [check.name for check in CHECKS]
    if explain is not None and explain not in known:
        raise BadInput(f"there is no check `{explain}`", where="--explain", expected="one of: " + ", ".join(known))
    room, settings = open_promotion(workspace), read_settings(workspace)
    settle(room)
    chosen = undecided(room) if name is None else [find_candidate(workspace, name)]
    judged = []
    for candidate in chosen:
        case = open_case(room, candidate)
        judged.append((case, judge(case, settings.policy(_tier(case)))))
    return judged


def promises(case: Case) -> dict[str, tuple[Promised, ...]]:
    """What each arm promises, were it scaled; empty where the charter cannot be read, or an arm has no effect yet."""
    try:
        past = past_pilots(case)
        found = {arm.name: promised(case, arm.name, past) for arm in case.charter.treatments}
    except Exception:  # noqa: BLE001 - whatever stops it is a finding of the checks as well
        return {}
    return {arm: told for arm, told in found.items() if told}


def _tier(case: Case) -> Tier:
    try:
        return case.charter.risk_tier
    except Exception:  # noqa: BLE001 - whatever a damaged charter raises, it names no tier
        return STRICTEST
