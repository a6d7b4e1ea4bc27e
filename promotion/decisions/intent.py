"""Intents: what somebody's word on a candidate comes to, found out before anything is signed or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from promotion.decisions.claims import taught
from promotion.decisions.draft import Asked, draft_decision, require_reason
from promotion.decisions.pending_decision import Pending, last_pending, why_void
from promotion.decisions.proposal import require_second, verdict_for
from promotion.decisions.transaction import recorded
from promotion.gate.authority import Objection, Occasion, Right, right_to_decide
from promotion.gate.blinding import hidden, masked
from promotion.gate.case import Case, open_case
from promotion.gate.decision_findings import ENTITLED, occasion, raise_first, second_signature, standing
from promotion.gate.gate import EXIT_CODES, Judgement, judge
from promotion.gate.policy import GateSettings, Policy, read_settings
from promotion.keys.keyring import KEY_KINDS, Keyring, recorded_ring
from promotion.registry.lapses import require_open
from promotion.registry.succession import require_free
from shared.core.errors import PilotPlantError, Refused, Undecided
from shared.experiment.people import same_person
from shared.state.room import Room
from shared.trust.attestation import Attestation
from shared.trust.candidates import find_candidate
from shared.trust.decision import Decision
from shared.trust.finding import Finding, blocking, remedies


@dataclass(frozen=True, slots=True)
class Judged:
    """A case that was judged, before somebody's word on it is heard.

    Attributes:
        ring: the keys that the gate's ledger and their public records know alike.
    """

    case: Case
    settings: GateSettings
    judgement: Judgement
    on: Occasion
    ring: Keyring

    @property
    def policy(self) -> Policy:
        """What applies to the case."""
        return self.settings.policy(self.case.charter.risk_tier)

    def why_void(self, found: Pending) -> str | None:
        """Why what persons have signed no longer stands, whatever the verdict, in words; None where it does."""
        return why_void(found, self.case, self.on, self.ring, self.policy.signatures_min)

    def why_other(self, found: Pending) -> str | None:
        """How the gate's verdict differs from the one that persons have signed; None where what they signed stands."""
        before, now = found.proposal.proposal.verdict, verdict_for(self.judgement, found.decision)
        if found.proposal.stands_under(now):
            return None
        return f"the gate's verdict was {before} then, and is {now} now"


def judge_case(case: Case, settings: GateSettings) -> Judged:
    """Judges a case."""
    policy = settings.policy(case.charter.risk_tier)
    ring = recorded_ring(case.room.entries(kinds=KEY_KINDS), case.room.workspace)
    return Judged(case, settings, judge(case, policy), occasion(case, policy), ring)


@dataclass(frozen=True, slots=True)
class ToSign:
    """A decision that somebody may sign now.

    Attributes:
        authority: the findings on who decides, and when.
        found: what was signed of the pilot before, and waits: it stands in this one's place, or above it.
        second: whether this is the second person's signature under `found`.
        repeated: whether this very signature is in `found`, which stands.
    """

    judged: Judged
    decision: Decision
    authority: tuple[Finding, ...]
    found: Pending | None = None
    second: bool = False
    repeated: bool = False

    @property
    def completes(self) -> bool:
        """Whether with it all persons have signed whom the policy asks for."""
        least = self.judged.policy.signatures_min
        waits = self.repeated and self.found is not None and self.found.awaits_gate(least)
        return self.second or waits or least == 1


@dataclass(frozen=True, slots=True)
class ToRepeat:
    """A decision that is recorded already, and is asked for once more."""

    case: Case
    attestation: Attestation


def intend(room: Room, name: str, asked: Asked) -> ToSign | ToRepeat:
    """What a word on a pilot's latest candidate comes to: the gate has judged, and nothing is signed yet.

    Raises Refused or Undecided where gate or authority say no.
    """
    workspace = room.workspace
    require_reason(asked.reason)
    case = open_case(room, find_candidate(workspace, name))
    asked = taught(case, asked)
    before = recorded(room, case.candidate.manifest.pilot)
    if before is not None:
        return _again(case, asked, before)
    with room.read() as connection:
        require_open(connection, room, case.candidate.manifest.pilot)
    judged = judge_case(case, read_settings(workspace))
    found = last_pending(room, case.charter.pilot)
    if found is None:
        return _first(judged, asked, None, None)
    why = judged.why_void(found) or judged.why_other(found)
    if why is None and judged.policy.signatures_min > 1 and not same_person(found.decision.owner, asked.who):
        return _second(judged, asked, found)
    return _first(judged, asked, found, why)


def _first(judged: Judged, asked: Asked, found: Pending | None, void_why: str | None) -> ToSign:
    """The owner's word: a decision, or the proposal of one; `found` is what was signed before, and why it lapsed."""
    case, on = judged.case, judged.on
    right = right_to_decide(asked.who, on)
    if found is not None and void_why is not None and isinstance(right, Objection):
        owner = found.decision.owner
        raise Refused(
            f"what {owner} proposed no longer stands: {void_why}",
            where=f"pilot {case.charter.pilot}, proposal {found.digest}",
            remedy=f"have {on.owner} propose anew: pilotplant promote decide {case.charter.pilot} WORD --as {on.owner}",
        )
    decision = draft_decision(case, asked, right.stands_in if isinstance(right, Right) else None)
    if found is not None and void_why is None and found.decision.same_as(decision):
        authority = authority_of(judged, found)
        require_allowed(judged, authority, found.decision)
        return ToSign(judged, found.decision, tuple(authority), found, repeated=True)
    authority = standing(case, asked.who, right, judged.judgement)
    require_allowed(judged, authority, decision)
    return ToSign(judged, decision, tuple(authority), found)


def _second(judged: Judged, asked: Asked, found: Pending) -> ToSign:
    """A second person's signature under what was proposed."""
    draft = draft_decision(judged.case, replace(asked, insight=asked.insight or found.decision.insight))
    require_second(found, draft, replace(judged.on, separate=True), asked.who)
    if found.second is not None:
        authority = authority_of(judged, found)
        require_allowed(judged, authority, found.decision)
        return ToSign(judged, found.decision, tuple(authority), found, second=True, repeated=True)
    # The proposal's own words stand; only the moment of the decision is this one.
    decision = found.decision.model_copy(update={"at": draft.at})
    authority = [*authority_of(judged, found), second_signature(asked.who, decision.owner, found.decision.at)]
    require_allowed(judged, authority, decision)
    return ToSign(judged, decision, tuple(authority), found, second=True)


def authority_of(judged: Judged, found: Pending) -> list[Finding]:
    """The findings on who has signed what waits, and when; whether they may was asked by `why_void`."""
    case, made = judged.case, found.decision
    at = found.at if found.awaits_gate(judged.policy.signatures_min) else case.now
    authority = standing(replace(case, now=at), made.owner, Right(made.owner, made.stands_in), judged.judgement)
    if found.second is not None:
        authority.append(second_signature(found.second.second.person, made.owner, found.proposal.proposal.decision.at))
    return authority


def require_allowed(judged: Judged, authority: Sequence[Finding], decision: Decision) -> None:
    """Raises Refused or Undecided where authority or gate say no to a decision."""
    case, judgement = judged.case, judged.judgement
    raise_first([*authority, *(f for f in judgement.findings if f.check == ENTITLED)], case.charter.pilot)
    if decision.word == "scale":
        early = hidden(case, judged.settings)
        _require_admission(masked(judgement, early) if early else judgement, str(decision.arm))
    if decision.successor is not None:
        require_free(case.room.workspace, case.charter.pilot, decision.successor)


def _require_admission(judgement: Judgement, arm: str) -> None:
    verdict = judgement.verdict_on(arm)
    if verdict == "admit":
        return
    found = blocking(judgement.of_arm(arm))
    error: type[PilotPlantError] = Refused if EXIT_CODES[verdict] == Refused.exit_code else Undecided
    raise error(
        f"the gate does not admit arm `{arm}`: {verdict}",
        where="; ".join(f"{finding.check}: {finding.reason}" for finding in found),
        remedy=remedies(found) or "decide *revise* or *stop*",
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
