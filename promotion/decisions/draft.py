"""Drafting: what somebody wants decided, and the decision as it would be signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from promotion.gate.case import Case
from promotion.registry.revision import parse_changes
from promotion.registry.succession import successor_name
from shared.core.clock import rfc3339
from shared.core.errors import BadInput
from shared.trust.decision import REASON_MIN, Decision, StandIn, Word


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants decided.

    Attributes:
        who: the person who speaks.
        claim, context: what was learned as a claim on one metric, and where it holds, in the place of `insight`.
        changes: for a successor: the fields that are to change, as `--change` takes them.
        revise: for scale: whether a successor goes on with the other arms.
        passphrase, gate_passphrase: of their key and of the gate's; None in a rehearsal.
        gate_apart: whether the gate signs afterwards, in a process of its own; the key of the gate stays closed here.
    """

    word: Word
    who: str
    reason: str
    arm: str | None = None
    insight: str | None = None
    passphrase: str | None = None
    gate_passphrase: str | None = None
    changes: tuple[str, ...] = ()
    claim: str | None = None
    context: str | None = None
    revise: bool = False
    gate_apart: bool = False


def require_word(given: str) -> Word:
    """The word of a decision; raises BadInput for another one."""
    if given not in get_args(Word):
        raise BadInput(f"`{given}` is not a decision", where="WORD", expected="scale, revise or stop")
    return given  # type: ignore[return-value]


def require_reason(reason: str) -> None:
    """Raises BadInput for a reason that says too little; asked before anything is judged, which takes a while."""
    if len(reason.strip()) < REASON_MIN:
        raise BadInput(
            "a decision needs a reason that others understand",
            where="--reason",
            expected=f"at least {REASON_MIN} characters",
            remedy="say why in a sentence",
        )


def draft_decision(case: Case, asked: Asked, stands_in: StandIn | None = None) -> Decision:
    """The decision as it would be signed; raises BadInput where something is missing."""
    charter = case.charter
    require_reason(asked.reason)
    if asked.word == "stop" and not (asked.insight or "").strip():
        raise BadInput(
            "a pilot is stopped with an insight: what was learned is what it was for",
            where="--insight",
            remedy="add --claim METRIC=DIRECTION (more, less, no-difference, could-not-tell), or --insight TEXT",
        )
    arm = release = None
    if asked.word == "scale":
        arm = asked.arm or _only_arm(case)
        charter.play(arm)
        release = charter.release(arm)
    elif asked.arm is not None:
        raise BadInput(f"--arm goes with *scale*, not with *{asked.word}*", where="--arm", remedy="leave --arm away")
    revises = _revises_others(case, asked) or asked.word == "revise"
    if asked.changes and not revises:
        raise BadInput(
            f"--change goes with *revise*, or with --revise, not with *{asked.word}*",
            where="--change",
            remedy="leave it away",
        )
    if asked.revise and any(change.strip().startswith("arms") for change in asked.changes):
        raise BadInput(
            "with --revise the successor has other arms than this pilot", where="--change",
            remedy="change its arms in its draft",
        )  # fmt: skip
    changes = tuple(str(change) for change in parse_changes(asked.changes, charter))
    return Decision(
        word=asked.word,
        owner=asked.who,
        reason=asked.reason,
        at=rfc3339(case.now),
        arm=arm,
        release=release,
        insight=asked.insight,
        successor=successor_name(charter.pilot) if revises else None,
        stands_in=stands_in,
        changes=changes,
    )


def _revises_others(case: Case, asked: Asked) -> bool:
    """Whether arms that are not scaled go on in a successor."""
    if asked.revise and asked.word != "scale":
        raise BadInput(f"--revise goes with *scale*, not with *{asked.word}*", where="--revise", remedy="leave it away")
    if asked.revise and len(case.charter.treatments) == 1:
        raise BadInput(
            "there is no arm beside the one that is scaled",
            where="--revise",
            remedy="leave it away; or decide *revise*",
        )
    return asked.revise


def _only_arm(case: Case) -> str:
    arms = [arm.name for arm in case.charter.treatments]
    if len(arms) > 1:
        raise BadInput("which arm is to be scaled?", where="--arm", expected="--arm with one of: " + ", ".join(arms))
    return arms[0]
