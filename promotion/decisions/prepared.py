"""Prepared: a statement that a person signs with a passkey, in two steps with a browser or an air gap between them.

What is taken is an answer to what was prepared here and kept by the caller; and the same word has to come to the same
statement still, but for its moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from securesystemslib.dsse import Envelope

from promotion.decisions.countersignature import countersign
from promotion.decisions.decision import Preview, keep, preview_waiting
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Decided, carry_out
from promotion.decisions.intent import ToRepeat, ToSign, intend
from promotion.decisions.proposal import Proposed, draft_proposal, draft_second, verdict_for
from promotion.decisions.silence import settle
from promotion.decisions.waiver import WaivedCheck, WaiverPreview, Wish, draft_waiver, waive_drafted
from promotion.keys.signers import gate_opens, passkey_of
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import canonical
from shared.core.errors import Refused
from shared.state.order import TOLERANCE
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.keys import PublicKey
from shared.trust.passkey import Answer, AnswerSigner, base64url, challenge_of
from shared.trust.proposal import PROPOSAL, SECOND
from shared.trust.signed import payload_type
from shared.trust.waiver import WAIVER, Waiver

# Whoever signs does so within a working day; what is prepared for longer was prepared by nobody who waits for it.
LAPSES_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a person is to sign with a passkey.

    Attributes:
        name: the pilot, or the candidate's digest, as it was asked for.
        wanted: the word, or the waiver, that was asked for.
        kind: of the statement.
        content: the statement.
        key: the passkey that has to answer.
        shown: what the person is shown before they sign; None for one that was read back from a file.
    """

    name: str
    wanted: Asked | Wish
    kind: str
    content: dict[str, Any]
    key: PublicKey
    shown: Preview | WaiverPreview | None

    @property
    def statement(self) -> bytes:
        """The statement, to the byte as it is signed."""
        return canonical(self.content)

    @property
    def pae(self) -> bytes:
        """Its DSSE pre-authentication encoding."""
        encoding: bytes = Envelope(self.statement, payload_type(self.kind), {}).pae()
        return encoding

    @property
    def challenge(self) -> bytes:
        """What the authenticator signs: the SHA-256 of that."""
        return challenge_of(self.pae)

    @property
    def at(self) -> str:
        """When it was prepared, which is the moment that is signed."""
        return str(self.content["decision"]["at"] if self.kind == PROPOSAL else self.content["at"])

    @property
    def request(self) -> dict[str, Any]:
        """What `navigator.credentials.get()` is asked, as JSON."""
        passkey = self.key.passkey
        return {
            "challenge": base64url(self.challenge),
            "rpId": passkey.rp_id if passkey else "",
            "allowCredentials": [{"type": "public-key", "id": passkey.credential_id if passkey else ""}],
            "userVerification": "required",
        }


def prepare(workspace: Workspace, name: str, wanted: Asked | Wish) -> Prepared:
    """The statement by which a person would decide, or waive, with their passkey: nothing is signed or written.

    Raises what `decide` or `waive` would raise before it signs, and Refused where the person signs with no passkey, or
    has signed the same already.
    """
    key = passkey_of(workspace, wanted.who)
    if isinstance(wanted, Wish):
        drafted = draft_waiver(workspace, name, wanted)
        if drafted.repeated:
            raise _nothing_left(name, f"{wanted.check} is waived already")
        return Prepared(name, wanted, WAIVER, drafted.waiver.model_dump(mode="json"), key, drafted)
    intent = intend(open_promotion(workspace), name, wanted)
    if isinstance(intent, ToRepeat):
        raise _nothing_left(name, f"it was decided at {intent.attestation.predicate.decision.at}")
    if intent.repeated:
        raise _nothing_left(name, f"{wanted.who} has signed the same")
    kind, content = _statement(intent, wanted)
    return Prepared(name, wanted, kind, content, key, preview_waiting(intent, wanted))


def sign_with_passkey(
    workspace: Workspace, prepared: Prepared, answer: Answer, *, gate_passphrase: str | None = None
) -> Decided | Proposed | WaivedCheck:
    """Takes a passkey's answer to what was prepared, after judging it once more, as `decide` and `waive` do.

    Where all persons have signed and the gate's key opens, the gate signs at once. The same answer again is a no-op.
    Raises Refused where the answer is to anything else, is not by the enrolled passkey, or comes too late.
    """
    room = open_promotion(workspace)
    key = passkey_of(workspace, prepared.wanted.who)
    verifier = key.passkey_verifier()
    if verifier is None or key.key_id != prepared.key.key_id:
        raise Refused(
            f"another passkey of {key.name} is enrolled since this was prepared",
            where=f"key {prepared.key.key_id}",
            expected=f"an answer of key {key.key_id}",
            remedy="prepare the statement once more, and sign that",
        )
    signer = AnswerSigner(verifier, answer)
    signer.sign(prepared.pae)  # before anything is judged: what is no answer to it learns nothing
    _require_fresh(room, prepared)
    if isinstance(prepared.wanted, Wish):
        drafted = Waiver.model_validate(prepared.content)
        return waive_drafted(workspace, prepared.name, prepared.wanted, drafted, signer)
    return _decide(room, prepared, prepared.wanted, signer, gate_passphrase)


def _decide(
    room: Room, prepared: Prepared, asked: Asked, signer: AnswerSigner, gate_passphrase: str | None
) -> Decided | Proposed:
    settle(room)
    intent = intend(room, prepared.name, asked)
    if isinstance(intent, ToRepeat):
        return carry_out(room, intent.attestation.predicate.pilot, repeated=True)
    if not intent.repeated:
        intent = _as_prepared(intent, prepared)
        _require_the_same(intent, asked, prepared)
    kept = keep(intent, asked, signer)
    if kept.awaits != "gate" or asked.gate_apart or not gate_opens(room.workspace, gate_passphrase):
        return kept
    [done] = countersign(room.workspace, gate_passphrase, intent.judged.case.charter.pilot)
    if done.problem is not None:
        raise done.problem
    return done.decided or kept


def _statement(intent: ToSign, asked: Asked) -> tuple[str, dict[str, Any]]:
    """What the person signs: a proposal, or a second signature under one."""
    case = intent.judged.case
    if intent.found is not None and intent.second:
        return SECOND, draft_second(case, intent.found, asked.who, asked.reason).model_dump(mode="json")
    proposal = draft_proposal(case, intent.decision, verdict_for(intent.judged.judgement, intent.decision))
    return PROPOSAL, proposal.model_dump(mode="json")


def _as_prepared(intent: ToSign, prepared: Prepared) -> ToSign:
    """What is signed now, as of the moment at which it was prepared."""
    judged = intent.judged
    case = replace(judged.case, now=parse_rfc3339(prepared.at))
    decision = intent.decision.model_copy(update={"at": prepared.at})
    return replace(intent, judged=replace(judged, case=case), decision=decision)


def _require_the_same(intent: ToSign, asked: Asked, prepared: Prepared) -> None:
    kind, content = _statement(intent, asked)
    if (kind, content) == (prepared.kind, prepared.content):
        return
    before = prepared.content
    differing = sorted(key for key in content.keys() | before.keys() if content.get(key) != before.get(key))
    raise Refused(
        f"what was prepared no longer holds: it has another {', '.join(differing)} now",
        where=f"pilot {intent.judged.case.charter.pilot}",
        expected="the very statement that was prepared, but for its moment",
        remedy="prepare it once more, look at what is shown, and sign that",
    )


def _require_fresh(room: Room, prepared: Prepared) -> None:
    age_s = (room.now() - parse_rfc3339(prepared.at)).total_seconds()
    if not -TOLERANCE.total_seconds() <= age_s <= LAPSES_S:
        raise Refused(
            f"this was prepared at {prepared.at}, which is not within the last {LAPSES_S // 3600} hours",
            where=f"clock: {rfc3339(room.now())}",
            remedy="prepare the statement once more, and sign that",
        )


def _nothing_left(name: str, why: str) -> Refused:
    return Refused(f"nothing is left to sign: {why}", where=f"pilot {name}", remedy="look: pilotplant promote queue")
