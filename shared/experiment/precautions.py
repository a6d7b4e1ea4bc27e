"""Precautions of a play: who looks before it reaches customers, and how it grows, is watched and is taken back.

They are declared, and the gate asks for them. A release carries them; the Factory does not act on them by itself yet:
it sends on schedule to the whole audience but the holdout, and `factory pause` and `stop-all` are in people's hands.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.core.frozen import FrozenModel

# An audience with a smaller share of the units that were tested is another one than the effect was measured on.
TESTED_FRAC_MIN = 0.8
# And one of so many times the units that might take part has others in it, of whom nothing is known.
WIDER_MAX = 1.1
# What may do harm that no metric of a pilot shows: messages to customers, prices, claims that a law regulates.
Action = Literal["outbound", "pricing", "regulated_claim"]
Share = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False)]


class Precaution(FrozenModel):
    """A part of a play."""


class Review(Precaution):
    """Who looks at it, and before what.

    Attributes:
        by: a person of configs/people.yaml.
        before: `release` once, before it goes into production; `send` before every occurrence of its schedule.
    """

    by: str = Field(pattern=r"^[^@\s/]+@[^@\s/]+$")
    before: Literal["release", "send"] = "send"


class Rollback(Precaution):
    """When the release is taken back.

    Attributes:
        metric: its name in the catalogue; one of those that are watched.
        worse_than: an absolute difference to the holdout, on the bad side of zero.
    """

    metric: str
    worse_than: float = Field(allow_inf_nan=False)


class Rollout(Precaution):
    """How a release grows, and how it is watched meanwhile.

    Attributes:
        steps: the shares of the audience it reaches, rising to 1.
        step_days: for how many days at least each step is watched before the next.
        watched: the metrics that are looked at.
        rollback: when it is taken back.
    """

    steps: tuple[Share, ...] = Field(min_length=1)
    step_days: int = Field(default=1, ge=1, le=90)
    watched: tuple[str, ...] = Field(min_length=1)
    rollback: tuple[Rollback, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Rollout:
        if self.steps[-1] != 1 or any(after <= before for before, after in pairwise(self.steps)):
            raise ValueError("the steps are shares of the audience that rise to 1, like [0.05, 0.25, 1]")
        unwatched = [each.metric for each in self.rollback if each.metric not in self.watched]
        if unwatched:
            raise ValueError(f"it is rolled back by `{unwatched[0]}`, which is not `watched`")
        return self
