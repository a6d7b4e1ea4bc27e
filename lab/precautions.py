"""Precautions that a charter lacks, told before launch, while they can still be written into it."""

from __future__ import annotations

from collections.abc import Iterator

from shared.charter import Charter


def unguarded(charter: Charter) -> Iterator[str]:
    """What the gate would ask of each play by the policy of a new workspace, and the play does not say."""
    high = charter.risk_tier == "high"
    for arm in charter.treatments:
        play = charter.play(arm.name)
        asked = play.risky if high else play.actions
        if asked and play.review is None:
            yield f"arm {arm.name} ({', '.join(asked)}) names nobody who looks before it goes out (`review`)"
        if high and play.rollout is None:
            yield f"arm {arm.name} does not say how its release grows and when it is taken back (`rollout`)"
