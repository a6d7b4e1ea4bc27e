"""Mappings: which columns of somebody else's export say what, from a YAML file."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.experiment.metrics import Metric, read_metrics
from shared.state.workspace import Workspace


class Numbers(FrozenModel):
    """The columns that hold a metric's numbers in one arm.

    Attributes:
        units: how many units the arm has.
        count, sum, mean: one of them: how many units did it (a share), the sum of all units' values, or their mean.
        sum_squares, variance, sd: what tells the spread between units; a share needs none. Without one the effect
            cannot be evaluated.
    """

    units: str
    count: str | None = None
    sum: str | None = None
    mean: str | None = None
    sum_squares: str | None = None
    variance: str | None = None
    sd: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        levels = [name for name in ("count", "sum", "mean") if getattr(self, name) is not None]
        spreads = [name for name in ("sum_squares", "variance", "sd") if getattr(self, name) is not None]
        if len(levels) != 1:
            raise ValueError("an arm's number is one of `count`, `sum` and `mean`")
        if len(spreads) > 1:
            raise ValueError("the spread is one of `sum_squares`, `variance` and `sd`")
        if self.count is not None and spreads:
            raise ValueError("a share's spread follows from its `count`")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns it reads."""
        return [name for name in self.model_dump().values() if name is not None]


class Measured(FrozenModel):
    """A metric of the tests.

    Attributes:
        metric: the same thing by its name in configs/metrics.yaml; it then counts for the forecasts of that metric.
        kind, unit, direction: what it is, where the catalogue has none like it.
        column: in rows of units: what the unit did.
        arm: in rows of arms: the columns of the arm's numbers.
        treatment, control: in rows of contrasts: the columns of both.
    """

    metric: str | None = None
    kind: Literal["proportion", "mean"] | None = None
    unit: str | None = None
    direction: Literal["increase", "decrease"] = "increase"
    column: str | None = None
    arm: Numbers | None = None
    treatment: Numbers | None = None
    control: Numbers | None = None

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if (self.metric is None) == (self.kind is None):
            raise ValueError("say either which `metric` of configs/metrics.yaml it is, or its `kind` and `unit`")
        if self.kind is not None and self.unit is None:
            raise ValueError("a metric of its own has a `unit:`, for people")
        return self

    def definition(self, name: str, workspace: Workspace) -> Metric:
        """What it measures; raises BadInput for a metric that the catalogue does not have."""
        if self.metric is not None:
            return read_metrics(workspace).get(self.metric)
        column = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_") or "value"
        return Metric(
            kind=self.kind or "mean",
            column=column if column[0].isalpha() else f"m_{column}",
            unit=self.unit or "",
            direction=self.direction,
        )


def _day(said: object) -> object:
    """A day that stands in quotes is one all the same."""
    if isinstance(said, str):
        with suppress(ValueError):
            return date.fromisoformat(said)
    return said


Day = Annotated[date | str, BeforeValidator(_day)]
# What each metric names, by what a row is.
_NEEDED: dict[str, tuple[str, ...]] = {
    "units": ("column",),
    "arms": ("arm",),
    "contrasts": ("treatment", "control"),
    "growthbook": (),
}


class Mapping(FrozenModel):
    """What a file of finished tests holds.

    Attributes:
        rows: what a row is: a unit, an arm of a test, or a treatment beside its control; `growthbook` for an export of
            GrowthBook's, which names its numbers itself.
        test: the column that tells tests apart; None where the file is one test.
        arm: the column of the arm's name; None for arms that are numbered as the file has them.
        control: the control's name; `first` for the arm that comes first in each test.
        unit: in rows of units: the column of its id, so that one in two arms is found.
        metric: the column of the metric's name, where each row holds one metric.
        metrics: by name, or by what that column says; the first one is primary.
        latest_by: of several rows for one arm and metric, the one with the largest value of this column counts.
        started, ended: a day, or the column of one; `dates` says how it is written.
        weights: how the arms were meant to be: alike, by share, or nobody knows.
        population, channel: the table of the units, and the channel that plays like it go out by; None for any.
        belief, belief_column: what was tried, as text or as the column that says it.
    """

    schema_version: Literal[1]
    rows: Literal["units", "arms", "contrasts", "growthbook"]
    test: str | None = None
    arm: str | None = None
    control: str = "first"
    unit: str | None = None
    metric: str | None = None
    metrics: dict[str, Measured] = Field(min_length=1)
    latest_by: str | None = None
    started: Day | None = None
    ended: Day | None = None
    dates: Literal["day", "iso_week"] = "day"
    weights: Literal["equal", "unknown"] | dict[str, float] = "unknown"
    population: str | None = None
    channel: str | None = None
    belief: str | None = None
    belief_column: str | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        needed = _NEEDED[self.rows]
        for name, measured in self.metrics.items():
            given = {part for part in ("column", "arm", "treatment", "control") if getattr(measured, part) is not None}
            if given != {*needed}:
                asked = " and ".join(f"`{part}`" for part in needed) or "no columns"
                raise ValueError(f"metric `{name}`: in rows of {self.rows} it has {asked}")
        if self.rows == "units" and (self.arm is None or self.metric is not None):
            raise ValueError("rows of units have a column for their `arm`, and one for each metric")
        if self.rows == "contrasts" and self.arm is None:
            raise ValueError("rows of contrasts have a column for the treatment's `arm`")
        return self


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file; raises BadInput with its line."""
    return read_yaml(path, Mapping)
