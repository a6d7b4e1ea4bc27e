"""Waiving: a person who is entitled to it signs an exception from one check, and the ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from promotion.gate.authority import acts_for_requester
from promotion.gate.blinding import BLIND, hidden
from promotion.gate.case import Case, open_case
from promotion.gate.checks import CHECKS
from promotion.gate.gate import judge
from promotion.gate.policy import GateSettings, Policy, read_settings
from promotion.gate.waivers import POOR, WAIVED, standing, waivers_of
from promotion.keys.passkey_uses import require_forward
from promotion.keys.signers import require_here, signer_of
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import BadInput, Refused
from shared.state import ledger
from shared.state.workspace import Workspace
from shared.trust.candidates import find_candidate
from shared.trust.decision import REASON_MIN
from shared.trust.finding import Finding
from shared.trust.signed import parse, sign
from shared.trust.waiver import WAIVER, SignedWaiver, Waiver, read_waiver

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants waived.

    Attributes:
        arm: the one arm; None for every arm.
        until: the first moment at which it no longer counts.
    """

    check: str
    who: str
    reason: str
    until: datetime
    arm: str | None = None
    passphrase: str | None = None


@dataclass(frozen=True, slots=True)
class WaivedCheck:
    """A waiver, what it waives, and whether it had been given before."""

    waiver: SignedWaiver
    findings: tuple[Finding, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class WaiverPreview:
    """What a waiver would say: nothing of it is signed or written.

    Attributes:
        findings: what would be waived; none where it was waived before.
        repeated: whether the same stands already.
    """

    waiver: Waiver
    findings: tuple[Finding, ...]
    repeated: bool


def waive(workspace: Workspace, name: str, wish: Wish) -> WaivedCheck:
    """Waives a check for a pilot's latest candidate; the same once more is a no-op that says so.

    Raises BadInput for a check that is not known, a reason that says nothing or a moment that has passed, and Refused
    where the check or the person may not, where there is nothing to waive, or where another waiver stands.
    """
    case, heard = _hear(workspace, name, wish)
    if isinstance(heard, WaivedCheck):
        return heard
    waiver = _draft(case, wish)
    return _sign(case, waiver, heard, wish, signer_of(workspace, wish.who, wish.passphrase))


def draft_waiver(workspace: Workspace, name: str, wish: Wish) -> WaiverPreview:
    """What somebody would sign with a passkey; raises what `waive` would raise before it signs."""
    case, heard = _hear(workspace, name, wish)
    if isinstance(heard, WaivedCheck):
        return WaiverPreview(heard.waiver.waiver, (), repeated=True)
    return WaiverPreview(_draft(case, wish), heard, repeated=False)


def waive_drafted(workspace: Workspace, name: str, wish: Wish, drafted: Waiver, signer: Signer) -> WaivedCheck:
    """Waives what was drafted, where the same wish comes to the same waiver still; as `waive` does."""
    case, heard = _hear(workspace, name, wish)
    if isinstance(heard, WaivedCheck):
        return heard
    waiver = _draft(case, wish).model_copy(update={"at": drafted.at})
    if waiver != drafted:
        raise Refused(
            "what was prepared is another waiver than the same wish comes to now",
            where=f"pilot {case.charter.pilot}",
            remedy="prepare it once more, and sign that",
        )
    return _sign(case, waiver, heard, wish, signer)


def preview_waiver(workspace: Workspace, name: str, wish: Wish) -> WaiverPreview:
    """What `waive` would sign; raises what it would raise, but for a passphrase, which is not asked for."""
    case, heard = _hear(workspace, name, wish)
    if isinstance(heard, WaivedCheck):
        return WaiverPreview(heard.waiver.waiver, (), repeated=True)
    require_here(workspace, wish.who)
    return WaiverPreview(_draft(case, wish), heard, repeated=False)


def _hear(workspace: Workspace, name: str, wish: Wish) -> tuple[Case, WaivedCheck | tuple[Finding, ...]]:
    """The case with what there is to waive, or with the same waiver where it stands already."""
    room = open_promotion(workspace)
    case = open_case(room, find_candidate(workspace, name))
    _require_sense(case, wish)
    settings = read_settings(workspace)
    policy = settings.policy(case.charter.risk_tier)
    _require_waivable(policy, wish)
    _require_entitled(case, wish)
    _require_shown(case, settings, wish)
    before = _standing(case, wish)
    return case, _again(before, wish) if before is not None else _to_waive(case, policy, wish)


def _sign(case: Case, waiver: Waiver, found: tuple[Finding, ...], wish: Wish, signer: Signer) -> WaivedCheck:
    signed = parse(sign(WAIVER, waiver.model_dump(mode="json"), [signer]), WAIVER, where="the waiver")
    return _record(case, SignedWaiver(waiver, signed), found, wish)


def _draft(case: Case, wish: Wish) -> Waiver:
    return Waiver(
        pilot=case.charter.pilot,
        candidate=case.digest,
        workspace=case.room.workspace.id,
        mode=case.mode,
        check=wish.check,
        arm=wish.arm,
        person=wish.who,
        reason=wish.reason,
        at=rfc3339(case.now),
        until=rfc3339(wish.until),
    )


def _require_sense(case: Case, wish: Wish) -> None:
    known = [check.name for check in CHECKS]
    if wish.check not in known:
        raise BadInput(f"there is no check `{wish.check}`", where="CHECK", expected="one of: " + ", ".join(known))
    if len(wish.reason.strip()) < REASON_MIN:
        raise BadInput(
            "a waiver needs a reason that others understand",
            where="--reason",
            expected=f"at least {REASON_MIN} characters",
            remedy="say in a sentence why what was found does no harm here",
        )
    if wish.until <= case.now:
        raise BadInput("a waiver ends in the future", where="--until", expected=f"later than {rfc3339(case.now)}")
    arms = [arm.name for arm in case.charter.treatments]
    if wish.arm is not None and wish.arm not in arms:
        raise BadInput(f"there is no arm `{wish.arm}`", where="--arm", expected="one of: " + ", ".join(arms))


def _require_waivable(policy: Policy, wish: Wish) -> None:
    rule = policy.rules.get(wish.check)
    if rule is None or not rule.waivable:
        able = ", ".join(name for name, one in policy.rules.items() if one.waivable)
        raise Refused(
            f"nobody may waive `{wish.check}`: without it nothing that is decided could be believed",
            where="configs/gate.yaml",
            expected=f"one of: {able}",
            remedy="mend what it found, or decide *revise* or *stop*",
        )


def _require_entitled(case: Case, wish: Wish) -> None:
    """Raises Refused for somebody whom people.yaml does not entitle, and for whoever asked for the promotion."""
    charter, person = case.charter, case.people.find(wish.who)
    able = [
        one.email
        for one in case.people.people
        if one.may_waive(wish.check, charter.risk_tier)
        and not acts_for_requester(one.email, charter, case.people, case.now.date())
    ]
    line = f"waives: [{{checks: [{wish.check}], tiers: [{charter.risk_tier}]}}]"
    remedy = (
        f"{' or '.join(able)} may" if able else f"put `{line}` beside somebody in configs/people.yaml who did not ask"
    )
    if person is None or not person.may_waive(wish.check, charter.risk_tier):
        reason = f"{wish.who} may not waive `{wish.check}` at {charter.risk_tier} risk"
    elif acts_for_requester(wish.who, charter, case.people, case.now.date()):
        reason = f"{wish.who} would waive a check of their own request"
    else:
        return
    raise Refused(reason, where=f"pilot {charter.pilot}", expected="`waives` in configs/people.yaml", remedy=remedy)


def _standing(case: Case, wish: Wish) -> SignedWaiver | None:
    """A waiver of the same check and arm that stands already."""
    return next(
        (
            waiver
            for waiver in waivers_of(case.room, case.charter.pilot)
            if (waiver.waiver.check, waiver.waiver.arm) == (wish.check, wish.arm)
            and standing(waiver, case.digest, case.now) is None
        ),
        None,
    )


def _again(before: SignedWaiver, wish: Wish) -> WaivedCheck:
    said = before.waiver
    if (said.person, said.reason, said.until) != (wish.who, wish.reason, rfc3339(wish.until)):
        raise Refused(
            f"`{said.check}` is waived already, by {said.person} until {said.until}: {said.reason}",
            where=f"pilot {said.pilot}",
            expected="the same once more, or none",
            remedy="a waiver stands until it ends; after that another one may be given",
        )
    return WaivedCheck(before, (), repeated=True)


def _require_shown(case: Case, settings: GateSettings, wish: Wish) -> None:
    """A refusal to waive what is not shown yet: it would tell what was found."""
    early = hidden(case, settings)
    if early is not None and wish.check not in BLIND:
        raise Refused(
            early, where=f"pilot {case.charter.pilot}, check {wish.check}", remedy="waive it then, if need be"
        )


def _to_waive(case: Case, policy: Policy, wish: Wish) -> tuple[Finding, ...]:
    """The findings that would be waived; raises Refused where there is none."""
    findings = [finding for finding in judge(case, policy).findings if finding.check == wish.check]
    found = tuple(finding for finding in findings if finding.outcome in POOR and wish.arm in {None, finding.arm})
    if not found:
        raise Refused(
            f"there is nothing to waive: `{wish.check}` "
            + ("; ".join(f"{one.outcome}: {one.reason}" for one in findings) or "found nothing"),
            where=f"pilot {case.charter.pilot}",
            remedy="leave --arm away: what was found is about the pilot, not about one arm"
            if wish.arm is not None and any(one.outcome in POOR for one in findings)
            else "look: pilotplant promote check",
        )
    return found


def _record(case: Case, waiver: SignedWaiver, found: tuple[Finding, ...], wish: Wish) -> WaivedCheck:
    said, room = waiver.waiver, case.room
    body = {
        "candidate": said.candidate,
        "check": said.check,
        "arm": said.arm,
        "by": said.person,
        "reason": said.reason,
        "until": said.until,
        "found": [finding.model_dump(mode="json") for finding in found],
        "waiver": waiver.signed.digest,
        "envelope": waiver.as_json(),
    }
    with room.transaction() as connection:
        for entry in ledger.entries(connection, room.entries_table, subject=said.pilot):
            if entry.kind == WAIVED and (entry.body["check"], entry.body["arm"]) == (said.check, said.arm):
                before = read_waiver(entry.body["envelope"], where=f"entry {entry.seq} of the gate's ledger")
                if standing(before, case.digest, case.now) is None:
                    return _again(before, wish)
        room.write(connection, WAIVED, said.pilot, body)
        require_forward(connection, room, waiver.signed)
        reach(Point.WAIVE_WRITTEN)
    reach(Point.WAIVE_RECORDED)
    return WaivedCheck(waiver, found, repeated=False)
