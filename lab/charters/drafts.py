"""Drafts: a new charter with its files from a template, and what `lab check` says of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.charters.briefs import Brief, block_scalar, filled, flow_scalar, guardrails, one_line, starter, values
from lab.charters.sample_size import Said, Sizing, sized, unknown
from lab.insights.insights import repeats
from lab.insights.similarity import similar_pilots
from lab.launch.preconditions import Examined, examine
from lab.pilots.pilot import IMPORTED, find_pilot
from lab.pilots.population import Population, population_of
from lab.pilots.promise import freeze
from lab.state import open_lab
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import scratch_in, settle
from shared.core.jsonable import jsonable
from shared.core.sql import plain_identifier
from shared.core.yamlfile import read_yaml
from shared.experiment.bounds import evidence_days_max
from shared.experiment.charter import NAME_PATTERN, Charter, Promise
from shared.experiment.line import Uncarried
from shared.experiment.metrics import Metric, read_metrics
from shared.state.workspace import Workspace
from shared.ui import phrases

if TYPE_CHECKING:
    from lab.charters.verdicts import Verdict
    from lab.forecast.forecast import Forecast

CHARTER = "charter.yaml.j2"
# What a template says of itself, and is no file of a pilot.
OWN = ("template.yaml", "arms.yaml")


@dataclass(frozen=True, slots=True)
class Check:
    """What `lab check` found.

    Attributes:
        problems: what keeps the pilot from being launched.
        notes: what does not, and should be known.
        forecast: what the plan means.
        metrics: the definitions of the charter's metrics.
        audiences: how many units each treatment arm would reach today.
        plot: where the forecast's plot was written; None where there is nothing to plot.
        verdict: what the draft would come to, in a sentence.
    """

    pilot: str
    problems: list[PilotPlantError]
    notes: list[str]
    forecast: Forecast
    metrics: dict[str, Metric]
    audiences: dict[str, int]
    plot: Path | None
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Whether it would launch."""
        return not self.problems

    def forecast_json(self) -> dict[str, Any]:
        """The forecast for `--json`."""
        found: dict[str, Any] = jsonable(self.forecast)
        return found | {"audiences": self.audiences, "plot": str(self.plot) if self.plot else None}


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft that was written.

    Attributes:
        charter: where it lies.
        sizing: what its plan rests on, and what is missing for it.
    """

    charter: Path
    sizing: Sizing


def new(workspace: Workspace, name: str, given: Brief | None = None) -> Draft:
    """Writes a draft charter with its files; its numbers are such that the plan can be kept, where that is known.

    Raises Refused where there is one of that name, BadInput for a name, person or metric that cannot be.
    """
    folder = require_free(workspace, name)
    full, sizing = planned(workspace, name, given or Brief())
    text = charter_text(workspace, name, full)
    with scratch_in(workspace.pilots) as scratch, resources.as_file(resources.files("lab")) as package:
        _write_files(package / "templates" / full.template, scratch, population_of(workspace, full.population))
        (scratch / "charter.yaml").write_text(text, encoding="utf-8")
        read_yaml(scratch / "charter.yaml", Charter)
        settle(scratch, folder)
    return Draft(folder / "charter.yaml", sizing)


def planned(workspace: Workspace, name: str, given: Brief) -> tuple[Brief, Sizing]:
    """The brief without gaps, its numbers as the plan needs them, and what they rest on.

    Of the metrics that might be watched it takes the first of which is known what it is without a treatment.
    """
    full = filled(workspace, given)
    if given.guardrail is None:
        for rail in guardrails(read_metrics(workspace), str(full.metric)):
            watched = full.model_copy(update={"guardrail": rail})
            if rail not in unknown(workspace, charter_text(workspace, name, watched)):
                full = watched
                break
    usual = starter(given.template).attrition if given.attrition is None else given.attrition
    if given.attrition is None and full.assignment == "source":
        usual = None  # who takes part is up to the system that draws the arms
    text = charter_text(workspace, name, full)
    said = Said(given.units_per_arm, given.minimum_effect, given.margin, usual or 0.0)
    found = sized(workspace, text, said)
    return full.model_copy(
        update={
            "units_per_arm": found.units_per_arm or full.units_per_arm,
            "minimum_effect": found.minimum_effect or full.minimum_effect,
            "margin": full.margin if found.margin is None else found.margin,
            # Where nobody knows how many units it takes, none is left out.
            "attrition": usual if found.told or given.units_per_arm else given.attrition,
        }
    ), found


def _write_files(template: Path, folder: Path, population: Population) -> None:
    """A template's files, for the team's own table; its signs are others than those of a message's own template."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(  # noqa: S701 - SQL and plain text, not HTML
        undefined=StrictUndefined, keep_trailing_newline=True, variable_start_string="[[", variable_end_string="]]",
        block_start_string="[%", block_end_string="%]", comment_start_string="[#", comment_end_string="#]",
    )  # fmt: skip
    environment.filters["name"] = plain_identifier
    for path in sorted(template.iterdir()):
        if path.name not in OWN:
            text = environment.from_string(path.read_text(encoding="utf-8")).render(population=population)
            (folder / path.name).write_text(text, encoding="utf-8")


def charter_text(workspace: Workspace, name: str, full: Brief) -> str:
    """The charter of a brief without gaps, as YAML with its comments."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("lab"), undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - YAML, not HTML
    environment.filters |= {"block": block_scalar, "flow": flow_scalar, "line": one_line}
    return environment.get_template(CHARTER).render(values(workspace, name, full))


def require_free(workspace: Workspace, name: str) -> Path:
    """The folder of a new pilot; raises BadInput for a name that none can have, Refused for one that is taken."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadInput(
            f"`{name}` is not a pilot's name",
            where="NAME",
            expected="small letters, digits and hyphens, like spring-email",
        )
    folder = workspace.pilots / name
    if folder.exists():
        raise Refused(
            f"there is a pilot {name} already", where=str(folder), remedy="choose another name, or edit that one"
        )
    if open_lab(workspace).entries(name, kinds=[IMPORTED]):
        raise Refused(
            f"there is a retrospective test {name} already", where="the Lab's ledger", remedy="choose another name"
        )
    return folder


def check(workspace: Workspace, name: str) -> Check:
    """Whether a draft would launch now, by the gate's word on its line too; raises BadInput where it cannot be read."""
    from lab.charters.precautions import late, narrow, uneven, unguarded, wide
    from lab.charters.verdicts import verdict
    from lab.forecast import chart
    from lab.forecast.forecast import forecast

    room = open_lab(workspace)
    launched = find_pilot(room, name)
    frozen = freeze(workspace, name, eligible=launched.eligible if launched else None)
    charter = frozen.promise.charter
    examined = Examined([], {}, {}) if launched else examine(room, frozen)
    notes = []
    if launched:
        same = launched.promise.same_as(frozen.promise)
        notes.append(
            "it has been launched"
            + ("" if same else ", and was changed since: the frozen charter counts until `lab amend`")
        )
    notes += [*paying(frozen.promise), *unguarded(charter)]
    notes += late(charter, evidence_days_max(workspace, charter.risk_tier))
    metrics = frozen.promise.metrics
    # Of an attempt that has to name what it follows nobody asks whether it follows anything.
    counted = launched or any(isinstance(problem, Uncarried) for problem in examined.problems)
    notes += [] if counted else [each.told() for each in similar_pilots(room, frozen)]
    notes += [repeat.told() for repeat in repeats(room, charter, metrics[charter.primary.metric])]
    found = forecast(room, frozen)
    notes += [*narrow(frozen, examined.tested), *wide(frozen, examined.audiences), *uneven(found, metrics)]
    plot = chart.write(workspace, found, metrics[charter.primary.metric])
    said = verdict(found, metrics, launches=not examined.problems, mode=workspace.mode)
    return Check(name, examined.problems, notes, found, metrics, examined.audiences, plot, said)


def paying(promise: Promise) -> Iterator[str]:
    """What is worth knowing before launch: the gain that pays, and whether a smaller one would count as worthwhile."""
    charter, value = promise.charter, promise.charter.value
    if value is None:
        if charter.risk_tier == "high":
            yield "it does not say what a gain is worth (`value`): the gate's policy may ask for that at high risk"
        return
    primary = charter.primary
    metric = promise.metrics[primary.metric]
    least = value.break_even
    told = f"it pays from {primary.metric} {phrases.number(metric, metric.sign * least)} on"
    if least > primary.minimum_effect:
        yield (
            f"{told}, and `minimum_effect` is less: an arm between the two wins, and does not pay "
            f"({value.cost_per_month:,.2f} {charter.budget.currency} a month)"
        )
    else:
        yield f"{told}, and the smallest effect worth scaling is not less"
