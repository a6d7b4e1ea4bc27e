"""Judging what is named on the command line: one pilot's latest candidate, or all that wait."""

from __future__ import annotations

from promotion.decisions.silence import settle
from promotion.gate.blinding import BLIND, hidden, masked
from promotion.gate.case import Case, open_case
from promotion.gate.checks import CHECKS
from promotion.gate.gate import Judgement, judge
from promotion.gate.policy import read_settings
from promotion.gate.promised import past_pilots, promised
from promotion.queue.looks import note
from promotion.queue.queue import undecided
from promotion.state import open_promotion
from shared.core.errors import BadInput
from shared.experiment.people import Tier
from shared.state.workspace import Workspace
from shared.trust.attestation import Promised
from shared.trust.candidates import find_candidate

# Where the charter cannot be read there is no tier; the strictest policy then frames the findings.
STRICTEST: Tier = "high"


def judge_named(
    workspace: Workspace,
    name: str | None,
    *,
    explain: str | None = None,
    who: str | None = None,
    what: str = "check",
) -> list[tuple[Case, Judgement]]:
    """Judgements on one candidate, or on every one that waits; every check is asked, whichever is explained.

    Early results are masked. What does show results is entered into the ledger as a look: at `what`, of `who` if they
    say so.
    """
    known = [check.name for check in CHECKS]
    if explain is not None and explain not in known:
        raise BadInput(f"there is no check `{explain}`", where="--explain", expected="one of: " + ", ".join(known))
    room, settings = open_promotion(workspace), read_settings(workspace)
    settle(room)
    chosen = undecided(room) if name is None else [find_candidate(workspace, name)]
    judged = []
    for candidate in chosen:
        case = open_case(room, candidate)
        judgement, early = judge(case, settings.policy(tier_of(case))), hidden(case, settings)
        if early is None and (explain is None or explain not in BLIND):
            note(case, judgement, f"{what} {explain}" if explain else what, who)
        judged.append((case, masked(judgement, early) if early else judgement))
    return judged


def promises(case: Case) -> dict[str, tuple[Promised, ...]]:
    """What each arm promises, were it scaled; empty where no charter can be read, or no effect is there or shown."""
    try:
        if hidden(case, read_settings(case.room.workspace)):
            return {}
        past = past_pilots(case)
        found = {arm.name: promised(case, arm.name, past) for arm in case.charter.treatments}
    except Exception:  # noqa: BLE001 - whatever stops it is a finding of the checks as well
        return {}
    return {arm: told for arm, told in found.items() if told}


def tier_of(case: Case) -> Tier:
    """The charter's risk tier."""
    try:
        return case.charter.risk_tier
    except Exception:  # noqa: BLE001 - whatever a damaged charter raises, it names no tier
        return STRICTEST
