"""What a signature came to, as the commands that take one print it."""

from __future__ import annotations

from typing import Any

from promotion.cli.texts import waived_text
from shared.core.times import date_time
from shared.ui.console import emit

MISSING = {"person": "a second signature", "gate": "the gate's signature"}


def tell_decided(name: str, done: Any, *, as_json: bool) -> None:
    """What was decided and signed, what it promises, and what comes after it."""
    from promotion.gate.failed_warnings import told
    from shared.trust.finding import failed_warnings
    from shared.ui import phrases

    decision, predicate = done.decision, done.attestation.predicate
    signed = " and ".join(one.name for one in predicate.signatories if one.role == "owner")
    after = [
        *([f"Insight kept: {decision.insight}"] if decision.word == "stop" else []),
        *([f"Draft of the successor: pilots/{decision.successor}/charter.yaml"] if decision.successor else []),
        *([f"Handed over as release {decision.release}. Next, for ops: pilotplant factory up"]
          if decision.release else []),
    ]  # fmt: skip
    emit(
        as_json,
        {"pilot": name, "decision": decision, "attestation": done.attestation.digest,
         "release": decision.release, "successor": decision.successor, "repeated": done.repeated,
         "waived": [one for one in predicate.findings if one.waived],
         "warnings": [one.name for one in failed_warnings(predicate.findings)],
         "steps": done.steps,
         "promised": predicate.promised},
        f"{name}: {decision.word} was decided before, at {date_time(decision.at)}; nothing new was signed."
        if done.repeated
        else f"{name}: {decision.word} {decision.arm or ''}".rstrip() + f", signed by {signed} and the gate.",
        *(f"{decision.arm}: {phrases.promise(done.metrics[one.metric], one)}" for one in predicate.promised),
        *waived_text(predicate.findings),
        *told(predicate.findings),
        f"Attestation: {done.attestation.digest}",
        *after,
    )  # fmt: skip


def tell_proposal(name: str, found: Any, *, as_json: bool) -> None:
    """What was proposed, who else may sign it, and what they type."""
    from promotion.decisions.proposal import said, to_type
    from promotion.gate.failed_warnings import told

    decision, word = found.decision, said(found.decision)
    persons, did = " and ".join(found.persons), "signed" if found.awaits == "gate" else "proposed"
    emit(
        as_json,
        {"pilot": name, "proposed": decision, "proposal": found.digest,
         "persons": list(found.persons), "awaits": found.awaits, "others": list(found.others),
         "lapses": found.lapses, "repeated": found.repeated, "warnings": [one.name for one in found.warnings]},
        f"{name}: {word} was {did} before, by {persons} at {date_time(decision.at)}; nothing new was signed."
        if found.repeated
        else f"{name}: {word} is {did} by {persons}. Nothing is handed over yet.",
        *_missing(name, found, to_type(name, decision, "PERSON")),
        *told(found.warnings),
    )  # fmt: skip


def _missing(name: str, found: Any, typed: str) -> list[str]:
    """Whose signature is missing, until when, and what they type."""
    if found.awaits == "gate":
        return [
            "It waits for the gate's signature, and does not lapse meanwhile.",
            f"For ops, where the gate's passphrase is: pilotplant promote countersign {name}",
        ]
    return [
        f"It needs a second signature by {date_time(found.lapses)}, of: {', '.join(found.others)}"
        if found.others
        else "Nobody else may sign it: have configs/people.yaml entitle a second person who did not ask for it.",
        f"They type: {typed}",
    ]


def tell_waived(name: str, done: Any, *, as_json: bool) -> None:
    """What was waived, by whom and until when."""
    waiver = done.waiver.waiver
    emit(
        as_json,
        {"waiver": waiver, "digest": done.waiver.signed.digest, "repeated": done.repeated},
        f"{name}: {waiver.check} was waived before; nothing new was signed."
        if done.repeated
        else f"{name}: {waiver.check} is waived by {waiver.person} until {date_time(waiver.until)}, "
        "for this candidate only.",
        *(f"It had {finding.outcome}: {finding.reason}" for finding in done.findings),
        "It shows in every verdict on the candidate, in its attestation and in `pilotplant status`.",
    )
