"""What a finished test showed: each treatment's effects, and whether its numbers can be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lab.insights.retrospective.finished import Contrast, Finished
from shared.evidence.health.sample_ratios import sample_ratio
from shared.evidence.model import RATIO_P_MIN, Effect, SampleRatio, Symptom
from shared.evidence.recorded import recorded
from shared.stats.estimates import differences, reason, relative

ALPHA = 0.05
_RELATIVE = ("relative", "relative_low", "relative_high")
NO_SPREAD = "the export does not tell how much it varies between units (no variance)"
# What is asked of a pilot's rows, and numbers that are summed up cannot answer.
_NEED_ROWS = {
    "outages": "the numbers are summed up: whether an arm's data lacked for some days cannot be told",
    "time_at_risk": "the numbers are summed up: whether the arms were watched equally long cannot be told",
    "pre_period_balance": "nothing is known of the units from before",
}


@dataclass(frozen=True)
class Shown:
    """What a finished test showed."""

    test: Finished

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Each metric of each treatment, as Welch's test has it; with two-sided 95 % intervals."""
        return tuple(_effect(self.test, contrast) for contrast in self.test.contrasts)

    @cached_property
    def sample_ratio(self) -> SampleRatio:
        """The arms' sizes against the planned ones; as the source computed it where only that is known."""
        test = self.test
        if test.weights is not None:
            return sample_ratio(test.units, test.weights)
        return SampleRatio(chi2=None, p=test.ratio_p, deviation=None)

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the randomisation; what could not be asked speaks neither way."""
        return self.sample_ratio.p is None or self.sample_ratio.p >= RATIO_P_MIN

    @cached_property
    def health(self) -> tuple[Symptom, ...]:
        """What can be said of the data, each question once."""
        return (_of_ratio(self.sample_ratio), _of_crossed(self.test), *(
            Symptom(check=check, state="unevaluable", reason=why) for check, why in _NEED_ROWS.items()
        ))  # fmt: skip

    @property
    def clearest(self) -> Effect | None:
        """The primary metric's effect that is farthest from none; None where none could be evaluated."""
        found = [e for e in self.effects if e.metric == self.test.primary and e.estimate is not None and e.se]
        return max(found, key=lambda e: abs((e.estimate or 0.0) / (e.se or 1.0)), default=None)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pilot": self.test.name,
            "retrospective": True,
            "source": self.test.source,
            "control": self.test.control,
            "arms": self.test.units,
            "started": str(self.test.started) if self.test.started else None,
            "ended": str(self.test.ended) if self.test.ended else None,
            "effects": [effect.model_dump(mode="json") for effect in self.effects],
            "health": [
                {"name": "sample_ratio", **self.sample_ratio.model_dump()},
                *({"name": s.check, **s.model_dump(exclude={"check"}, mode="json")} for s in self.health),
            ],
            "sound": self.sound,
        }


def _effect(test: Finished, contrast: Contrast) -> Effect:
    part = "primary" if contrast.metric == test.primary else "secondary"
    said: dict[str, Any] = {"arm": contrast.arm, "metric": contrast.metric, "part": part}
    treated, control = contrast.treated.moments, contrast.control.moments
    if treated is None or control is None:
        return Effect(**said, problem=NO_SPREAD)
    means = recorded([treated, control])
    one, other = means.at(0), means.at(1)
    problem = reason(one, other, (contrast.arm, test.control))
    if problem is not None:
        return Effect(**said, problem=problem)
    found = differences(one, other)
    low, high = found.interval(ALPHA)
    lift = [float(each) for each in relative(one, other, ALPHA)]
    known = dict(zip(_RELATIVE, lift, strict=True)) if all(map(math.isfinite, lift)) else {}
    return Effect(
        **said, estimate=float(found.estimate), low=float(low), high=float(high), se=float(found.se),
        df=float(found.df), p=float(found.p()), **known,
    )  # fmt: skip


def _of_ratio(found: SampleRatio) -> Symptom:
    if found.p is None:
        return Symptom(
            check="sample_ratio",
            state="unevaluable",
            reason="nobody says how large the arms were meant to be, so whether units were lost cannot be told",
        )
    told = f"so uneven arms, or more so, come by chance with p {found.p:.2g}"
    return Symptom(
        check="sample_ratio",
        state="good" if found.p >= RATIO_P_MIN else "warning",
        reason=told if found.p >= RATIO_P_MIN else f"{told}: units were lost or added, and the effects may be theirs",
        measured=found.p,
        threshold=RATIO_P_MIN,
    )


def _of_crossed(test: Finished) -> Symptom:
    if test.crossed is None:
        return Symptom(
            check="multiple_exposure",
            state="unevaluable",
            reason="the numbers are summed up: whether units were in two arms cannot be told",
        )
    return Symptom(
        check="multiple_exposure",
        state="good" if not test.crossed else "warning",
        reason=f"{test.crossed:,} units were in two arms, and are left out",
        measured=float(test.crossed),
    )
