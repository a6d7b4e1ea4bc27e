"""Metric definitions, from `configs/metrics.yaml`: one definition for Lab, gate and Factory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from shared.core.digests import digest_json
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.core.sql import COLUMN, identifier
from shared.core.yamlfile import read_yaml
from shared.experiment.expressions import Expression, parse_expression
from shared.state.workspace import Workspace

Kind = Literal["proportion", "mean", "count", "ratio", "quantile"]


def _expression(text: str) -> str:
    parse_expression(text)
    return text


ExpressionText = Annotated[str, Field(min_length=1), AfterValidator(_expression)]


class Metric(FrozenModel):
    """How one number per unit comes about.

    A `proportion` is 1 for a unit with any outcome whose value is above zero, a `mean` the sum of the values over the
    unit's outcomes, a `count` the number of outcomes with a value above zero (of all, where no value is named), a
    `ratio` the sum of values over the sum of denominators in an arm, a `quantile` one of the units' sums. A unit that
    was exposed and has no outcome counts as 0 (intention to treat), or is left out where the metric says so.

    Attributes:
        kind: proportion, mean, count, ratio or quantile.
        column: the outcome's value: a column of the outcomes' contract.
        expression: the outcome's value instead, computed from columns of one row, like `spend - 0.1 * visit`.
        denominator: for a ratio: a column or expression too, like `visit`.
        quantile: for a quantile: which one, like 0.9.
        source: the contract of outcomes that the metric reads; None for whichever its charter names.
        unit: what the value is counted in, for people ("share of customers", "USD").
        direction: which way is better.
        cap: the most that one unit's value counts for; a denominator is never capped.
        cap_quantile: the cap as a quantile instead, like 0.99, of the values above zero over the units of all arms
            together: a cap for each arm would hide what one of them does.
        no_outcome: what a unit without any outcome counts as: `zero`, or `left_out` of a mean or proportion that is
            among those who have one, like the rating that customers gave. Who has one may be the arm's own doing:
            health compares their shares.
        window_days: only outcomes within so many days of the unit's first exposure count; None for all.
        description: for people.
        history: a column of the population's table that holds the metric per unit as it was, over a time like a
            pilot's; what a pilot is forecast from until others have measured the metric.
    """

    kind: Kind
    column: str | None = Field(default=None, pattern=COLUMN)
    expression: ExpressionText | None = None
    denominator: ExpressionText | None = None
    quantile: float | None = Field(default=None, gt=0, lt=1)
    source: str | None = None
    unit: str
    direction: Literal["increase", "decrease"] = "increase"
    cap: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    cap_quantile: float | None = Field(default=None, gt=0.5, lt=1)
    no_outcome: Literal["zero", "left_out"] = Field(default="zero", exclude_if=lambda counts: counts == "zero")
    window_days: int | None = Field(default=None, ge=1, le=366)
    description: str = ""
    history: str | None = Field(default=None, pattern=COLUMN)

    @model_validator(mode="after")
    def _hangs_together(self) -> Metric:
        if self.column and self.expression:
            raise ValueError("a metric's value is a column or an expression, not both")
        if not (self.column or self.expression) and self.kind != "count":
            raise ValueError(f"a {self.kind} reads a column: say which with `column:`, or an `expression:`")
        for kind, part, said in (
            ("ratio", self.denominator, "denominator"),
            ("quantile", self.quantile, "quantile"),
        ):
            if (self.kind == kind) != (part is not None):
                raise ValueError(
                    f"a {kind} has a `{said}:`" if self.kind == kind else f"`{said}:` belongs to a {kind} only"
                )
        caps = [said for said in ("cap", "cap_quantile") if getattr(self, said) is not None]
        if caps and self.kind in {"proportion", "quantile"}:
            raise ValueError(f"a {self.kind} has no `{caps[0]}:`")
        if self.no_outcome == "left_out" and self.kind not in {"mean", "proportion"}:
            raise ValueError(f"a {self.kind} has no `no_outcome: left_out`: nothing is nothing there")
        if len(caps) > 1:
            raise ValueError("a cap is a number or a quantile, not both: keep `cap:` or `cap_quantile:`")
        return self

    @property
    def definition(self) -> str:
        """The digest of what the number is: two metrics with the same one measure the same."""
        return digest_json(self.model_dump(mode="json", exclude={"description", "history"}))

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "increase" else -1

    @property
    def value(self) -> Expression | None:
        """An outcome's value; None where outcomes are only counted."""
        if self.column is not None:
            return Expression(identifier(self.column), (self.column,))
        return None if self.expression is None else parse_expression(self.expression)

    @property
    def per(self) -> Expression | None:
        """An outcome's denominator; None where there is none."""
        return None if self.denominator is None else parse_expression(self.denominator)

    @property
    def divided(self) -> bool:
        """Whether an arm's number is a sum over another: a ratio's denominators, or the units that are not left out."""
        return self.kind == "ratio" or self.no_outcome == "left_out"

    @property
    def adds_up(self) -> bool:
        """Whether an arm's number is a sum over its units, to which one outcome more adds what it is worth."""
        return self.kind in {"proportion", "mean", "count"} and not self.divided

    @property
    def reads(self) -> tuple[Expression, ...]:
        """What is computed of every outcome: its value, its denominator, or neither."""
        return tuple(part for part in (self.value, self.per) if part is not None)


class Catalogue(FrozenModel):
    """The workspace's metrics by name."""

    schema_version: Literal[1]
    metrics: dict[str, Metric] = Field(min_length=1)

    def get(self, name: str) -> Metric:
        """The metric of that name; raises BadInput naming those that exist."""
        if name not in self.metrics:
            raise BadInput(
                f"there is no metric `{name}`",
                where="configs/metrics.yaml",
                expected="one of: " + ", ".join(sorted(self.metrics)),
                remedy="correct the name, or define the metric there",
            )
        return self.metrics[name]


def read_metrics(workspace: Workspace) -> Catalogue:
    """The workspace's catalogue."""
    return read_yaml(workspace.configs / "metrics.yaml", Catalogue)
