"""Intents: what somebody's word on a candidate comes to, found out before anything is signed or written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from promotion.authority import Objection, Occasion, Right, right_to_decide
from promotion.case import Case
from promotion.claims import taught
from promotion.drafting import Asked, draft_decision
from promotion.early import hidden, masked
from promotion.gate import EXIT_CODES, Judgement, judge
from promotion.intake import open_case
from promotion.keyring import keyring
from promotion.policy import GateSettings, Policy, read_settings
from promotion.proposing import is_proposer, lapsed, last_proposal, require_second
from promotion.recording import recorded, require_open
from promotion.standing import ENTITLED, occasion, raise_first, second_signature, standing
from promotion.succession import require_free
from shared.attestation import Attestation
from shared.decision import Decision
from shared.errors import PilotPlantError, Refused, Undecided
from shared.finding import Finding
from shared.intake import find_candidate
from shared.proposal import SignedProposal
from shared.room import Room


@dataclass(frozen=True, slots=True)
class Sitting:
    """A case that was judged, before somebody's word on it is heard."""

    case: Case
    settings: GateSettings
    judgement: Judgement
    on: Occasion

    @property
    def policy(self) -> Policy:
        """What applies to the case."""
        return self.settings.policy(self.case.charter.risk_tier)


@dataclass(frozen=True, slots=True)
class ToSign:
    """A decision that may be signed now.

    Attributes:
        authority: the findings on who decides, and when.
        found: the proposal of a first person, under which this is the second signature.
    """

    sitting: Sitting
    decision: Decision
    authority: tuple[Finding, ...]
    found: SignedProposal | None = None


@dataclass(frozen=True, slots=True)
class ToPropose:
    """A decision that needs a second signature, and may be proposed now.

    Attributes:
        found: what was proposed before, whose place it takes.
        repeated: whether that is the same, and stands.
    """

    sitting: Sitting
    decision: Decision
    found: SignedProposal | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class ToRepeat:
    """A decision that is recorded already, and is asked for once more."""

    case: Case
    attestation: Attestation


def intend(room: Room, name: str, asked: Asked) -> ToSign | ToPropose | ToRepeat:
    """What a word on a pilot's latest candidate comes to: the gate has judged, and nothing is signed yet.

    Raises Refused or Undecided where gate or authority say no.
    """
    workspace = room.workspace
    case = open_case(room, find_candidate(workspace, name))
    asked = taught(case, asked)
    before = recorded(room, case.candidate.manifest.pilot)
    if before is not None:
        return _again(case, asked, before)
    with room.transaction() as connection:
        require_open(connection, room, case.candidate.manifest.pilot)
    settings = read_settings(workspace)
    policy = settings.policy(case.charter.risk_tier)
    sitting = Sitting(case, settings, judge(case, policy), occasion(case, policy))
    found = last_proposal(room, case.charter.pilot) if policy.signatures_min > 1 else None
    if found is None:
        return _first(sitting, asked, None, None)
    ring = keyring(room.entries(), workspace)
    why = lapsed(found, case, sitting.on, sitting.judgement, ring)
    if why is None and not is_proposer(found, asked.who):
        return _second(sitting, asked, found)
    return _first(sitting, asked, found, why)


def _first(sitting: Sitting, asked: Asked, found: SignedProposal | None, lapsed_why: str | None) -> ToSign | ToPropose:
    """The owner's word: a decision, or the proposal of one; `found` is what was proposed before, and why it lapsed."""
    case, on = sitting.case, sitting.on
    right = right_to_decide(asked.who, on)
    if found is not None and lapsed_why is not None and isinstance(right, Objection):
        owner = found.proposal.decision.owner
        raise Refused(
            f"what {owner} proposed has lapsed: {lapsed_why}",
            where=f"pilot {case.charter.pilot}, proposal {found.signed.digest}",
            remedy=f"have {on.owner} propose anew: pilotplant promote decide {case.charter.pilot} WORD --as {on.owner}",
        )
    decision = draft_decision(case, asked, right.stands_in if isinstance(right, Right) else None)
    authority = standing(case, asked.who, right, sitting.judgement)
    _require_allowed(sitting, authority, decision)
    if sitting.policy.signatures_min == 1:
        return ToSign(sitting, decision, tuple(authority))
    repeated = found is not None and lapsed_why is None and found.proposal.decision.same_as(decision)
    return ToPropose(sitting, decision, found, repeated)


def _second(sitting: Sitting, asked: Asked, found: SignedProposal) -> ToSign:
    """A second person's signature under what was proposed."""
    case, made = sitting.case, found.proposal.decision
    draft = draft_decision(case, replace(asked, insight=asked.insight or made.insight))
    require_second(found, draft, replace(sitting.on, separate=True), asked.who)
    # The proposal's own words stand; only the moment of the decision is this one.
    decision = made.model_copy(update={"at": draft.at})
    right = Right(made.owner, made.stands_in)
    authority = [
        *standing(case, made.owner, right, sitting.judgement),
        second_signature(asked.who, made.owner, made.at),
    ]
    _require_allowed(sitting, authority, decision)
    return ToSign(sitting, decision, tuple(authority), found)


def _require_allowed(sitting: Sitting, authority: list[Finding], decision: Decision) -> None:
    """Raises Refused or Undecided where authority or gate say no to a decision."""
    case, judgement = sitting.case, sitting.judgement
    raise_first([*authority, *(f for f in judgement.findings if f.check == ENTITLED)], case.charter.pilot)
    if decision.word == "scale":
        early = hidden(case, sitting.settings)
        _require_admission(masked(judgement, early) if early else judgement, str(decision.arm))
    if decision.successor is not None:
        require_free(case.room.workspace, case.charter.pilot, decision.successor)


def _require_admission(judgement: Judgement, arm: str) -> None:
    verdict = judgement.verdict_on(arm)
    if verdict == "admit":
        return
    blocking = [f for f in judgement.of_arm(arm) if f.level == "block" and f.outcome in {"failed", "unevaluable"}]
    error: type[PilotPlantError] = Refused if EXIT_CODES[verdict] == Refused.exit_code else Undecided
    raise error(
        f"the gate does not admit arm `{arm}`: {verdict}",
        where="; ".join(f"{finding.check}: {finding.reason}" for finding in blocking),
        remedy="; ".join(dict.fromkeys(finding.remedy for finding in blocking if finding.remedy))
        or "decide *revise* or *stop*",
    )


def _again(case: Case, asked: Asked, attestation: Attestation) -> ToRepeat:
    before, pilot = attestation.predicate.decision, case.candidate.manifest.pilot
    second = {one.name for one in attestation.predicate.signatories if one.role == "owner"} - {before.owner}
    if asked.who in second:
        asked = replace(asked, who=before.owner, reason=before.reason, insight=asked.insight or before.insight)
        others_go_on = before.arm is not None and before.successor is not None
        asked = replace(asked, changes=asked.changes or before.changes, revise=asked.revise or others_go_on)
    if not before.same_as(draft_decision(case, asked)):
        raise Refused(
            f"it was decided before: {before.word} by {before.owner} at {before.at} ({before.reason})",
            where=f"pilot {pilot}",
            expected="the same decision again, or none",
            remedy="a decision stands; *revise* opens a successor, `revoked` in configs/factory.yaml ends a release",
        )
    return ToRepeat(case, attestation)
