"""GrowthBook: the results of an experiment, as its API gives them out as JSON, become a record of a finished test.

The form is that of `GET /api/v1/experiments/{id}/results` (docs.growthbook.io/api, "Experiment Results"): for each
metric and variation the number of users, and of each analysis mean and standard deviation.
"""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.insights.retrospective.finished import Contrast, Finished, Stats
from lab.insights.retrospective.mapping import Mapping, Measured
from lab.insights.retrospective.readers import called
from shared.core.digests import digest_file
from shared.core.errors import BadInput
from shared.state.workspace import Workspace

# How GrowthBook numbers the variation that the others are compared with.
BASELINE = "0"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Analysis(_Part):
    mean: float | None = None
    stddev: float | None = None
    numerator: float | None = None
    denominator: float | None = None


class _Variation(_Part):
    variation: str = Field(alias="variationId")
    users: float
    analyses: tuple[_Analysis, ...] = ()


class _Metric(_Part):
    metric: str = Field(alias="metricId")
    variations: tuple[_Variation, ...]


class _Checks(_Part):
    srm: float | None = None


class _Slice(_Part):
    dimension: str = ""
    checks: _Checks = _Checks()
    metrics: tuple[_Metric, ...]


class _Results(_Part):
    experiment: str = Field(alias="experimentId")
    started: str = Field(default="", alias="dateStart")
    ended: str = Field(default="", alias="dateEnd")
    results: tuple[_Slice, ...]


def read(
    workspace: Workspace, name: str, file: Path, mapping: dict[str, Measured], said: Mapping | None
) -> list[Finished]:
    """The finished tests of a file of GrowthBook's; several are called by `name` and their experiment's id.

    `mapping` says which metric of configs/metrics.yaml an id of GrowthBook's stands for; others keep their ids.

    Raises BadInput for a file that is no such export.
    """
    experiments = _parsed(file)
    several = len(experiments) > 1
    return [
        _test(workspace, called(name, each.experiment) if several else name, each, mapping, said, file)
        for each in experiments
    ]


def _parsed(file: Path) -> list[_Results]:
    if not file.is_file():
        raise BadInput("there is no such file", where=str(file), remedy="check the name and the folder")
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        content = content if isinstance(content, list) else [content]
        if not content:
            raise ValueError("an empty list")
        return [_Results.model_validate(each.get("result", each)) for each in content]
    except (ValueError, AttributeError, ValidationError) as error:
        raise BadInput(
            "this is no export of GrowthBook's results",
            where=str(file),
            expected="the JSON of GET /api/v1/experiments/ID/results, or a list of such",
            remedy="for a table use --from csv, with a --mapping",
        ) from error


def _test(
    workspace: Workspace, name: str, found: _Results, known: dict[str, Measured], said: Mapping | None, file: Path
) -> Finished:
    where = f"{file}, experiment {found.experiment}"
    # Beside the whole there may be slices by dimension, which decide nothing here.
    whole = next((each for each in found.results if each.dimension in {"", "All"}), None)
    if whole is None or not whole.metrics:
        raise BadInput("the export has no results of all users together", where=where)
    chosen = [each for each in whole.metrics if not known or each.metric in known]
    if not chosen:
        raise BadInput(
            "the mapping names none of its metrics", where=where,
            expected="some of: " + ", ".join(each.metric for each in whole.metrics),
        )  # fmt: skip
    chosen.sort(key=lambda each: [*known].index(each.metric) if known else 0)
    control = _control(chosen[0], said)
    units, contrasts = {control: 0}, []
    for each in chosen:
        arms = {variation.variation: _stats(variation, where) for variation in each.variations}
        if control not in arms:
            raise BadInput(f"metric {each.metric} has no variation `{control}`, the control", where=where)
        for arm, own in arms.items():
            units[arm] = max(units.get(arm, 0), own.n)
            if arm != control:
                contrasts.append(Contrast(arm=arm, metric=each.metric, treated=own, control=arms[control]))
    measured = {
        each.metric: known.get(each.metric, Measured(kind="mean", unit="as GrowthBook has it")) for each in chosen
    }
    if len(units) < 2:  # noqa: PLR2004 - one arm is no test
        raise BadInput("the experiment has one variation only", where=where, expected="a control and a treatment")
    return Finished(
        name=name,
        source=found.experiment,
        control=control,
        units=units,
        ratio_p=whole.checks.srm,
        metrics={metric: each.definition(metric, workspace) for metric, each in measured.items()},
        catalogued=tuple(metric for metric, each in measured.items() if each.metric is not None),
        contrasts=tuple(contrasts),
        started=_day(found.started, where),
        ended=_day(found.ended, where),
        population=said.population if said else None,
        channel=said.channel if said else None,
        belief=said.belief if said else None,
        from_="growthbook",
        file=digest_file(file),
    )


def _control(metric: _Metric, said: Mapping | None) -> str:
    names = [variation.variation for variation in metric.variations]
    if said is not None and said.control != "first":
        return said.control
    return BASELINE if BASELINE in names else (names or [""])[0]


def _stats(found: _Variation, where: str) -> Stats:
    if not math.isfinite(found.users) or found.users < 0 or found.users != int(found.users):
        raise BadInput(f"variation {found.variation} has `{found.users}` users", where=where)
    n, analysis = int(found.users), found.analyses[0] if found.analyses else _Analysis()
    mean, sd = analysis.mean, analysis.stddev
    if mean is None or not math.isfinite(mean):
        raise BadInput(f"variation {found.variation} has no mean", where=where, remedy="export it once it has results")
    known = sd is not None and math.isfinite(sd) and sd > 0 and n > 1
    return Stats(n=n, mean=mean, m2=sd * sd * (n - 1) if known and sd is not None else None)


def _day(text: str, where: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise BadInput(f"`{text}` is no date", where=where, expected="like 2026-01-05T00:00:00Z") from error
