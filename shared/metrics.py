"""Metric definitions, from `configs/metrics.yaml`: one definition for Lab, gate and Factory."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import BadInput
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

Kind = Literal["proportion", "mean"]
NAME = r"^[a-z][a-z0-9_]*$"


class Metric(BaseModel):
    """How one number per unit comes about.

    A `proportion` is 1 for a unit with any outcome above zero in `column`, a `mean` is the sum of `column`
    over the unit's outcomes. A unit that was exposed and has no outcome counts as 0 (intention to treat).

    Attributes:
        kind: proportion or mean.
        column: the column of the outcomes' contract.
        unit: what the value is counted in, for people ("share of customers", "USD").
        direction: which way is better.
        description: for people.
        history: a column of the population's table that holds the metric per unit as it was, over a time like a
            pilot's; what a pilot is forecast from until others have measured the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    column: str = Field(pattern=NAME)
    unit: str
    direction: Literal["increase", "decrease"] = "increase"
    description: str = ""
    history: str | None = Field(default=None, pattern=NAME)

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "increase" else -1


class Catalogue(BaseModel):
    """The workspace's metrics by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    metrics: dict[str, Metric] = Field(min_length=1)

    def get(self, name: str) -> Metric:
        """The metric of that name; raises BadInput naming those that exist."""
        if name not in self.metrics:
            raise BadInput(
                f"there is no metric `{name}`",
                where="configs/metrics.yaml",
                expected="one of: " + ", ".join(sorted(self.metrics)),
                remedy="correct the name in the charter, or define the metric there",
            )
        return self.metrics[name]


def read_metrics(workspace: Workspace) -> Catalogue:
    """The workspace's catalogue."""
    return read_yaml(workspace.configs / "metrics.yaml", Catalogue)
