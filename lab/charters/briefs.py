"""Briefs: the little that a new pilot's author says, and what the template says where they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from importlib import resources
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, Field, ValidationError

from lab.pilots.population import Population, population_of
from lab.state import read_settings
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.core.money import Amount
from shared.core.yamlfile import read_yaml
from shared.experiment.metrics import Catalogue, Metric, read_metrics
from shared.experiment.people import People, read_people
from shared.experiment.sample_plan import Assumption
from shared.state.team import read_team
from shared.state.workspace import Workspace

# Where a draft's days begin and end until its author says otherwise.
ZONE = "Europe/Berlin"
Template = Literal["ab-email", "ab-page", "multi-arm-content", "journey"]
Assignment = Literal["pilotplant", "source"]
TEMPLATES: tuple[str, ...] = get_args(Template)
# A draft begins tomorrow and leaves its owner a week to decide.
DAYS_TO_DECIDE = 7
WEEKS_MAX = 52
# What a pilot watches besides its primary metric: the first that the catalogue has, of which anything is known.
GUARDRAILS = ("spend", "conversion", "visit")
BESIDES = ("visit", "conversion")


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("this says nothing")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("this holds characters that are no text") from error
    return text


Words = Annotated[str, AfterValidator(_said)]


class Brief(FrozenModel):
    """What is said of a new pilot; None leaves it to the template and the workspace.

    Attributes:
        template: what to start from.
        because, believe, will: the hypothesis.
        owner, requester: who decides and who asks; people of configs/people.yaml.
        metric: the primary metric, by its name in the catalogue.
        minimum_effect: the smallest absolute difference worth scaling, in the metric's unit.
        weeks: how long the pilot runs.
        units_per_arm: how many units each arm needs.
        media: what is spent on media, in the Lab's currency.
        population: the snapshot's table that units are drawn from.
        assume: what metrics are expected to be without a treatment.
        guardrail: the metric that must not get worse.
        margin: by how much it may at most, on its bad side.
        attrition: the share of assigned units that are expected never to be exposed; None lets everybody take part.
        assignment: who draws the arms, as in a charter.
    """

    template: Template = "ab-email"
    because: Words | None = None
    believe: Words | None = None
    will: Words | None = None
    owner: str | None = None
    requester: str | None = None
    metric: str | None = None
    minimum_effect: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    weeks: int | None = Field(default=None, ge=1, le=WEEKS_MAX)
    units_per_arm: int | None = Field(default=None, ge=2)
    media: Annotated[Amount, Field(ge=0)] | None = None
    population: str | None = None
    assume: dict[str, Assumption] = Field(default_factory=dict)
    guardrail: str | None = None
    margin: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    attrition: float | None = Field(default=None, ge=0, lt=1)
    assignment: Assignment | None = None


class Starter(FrozenModel):
    """A template's own words and numbers, from its `template.yaml`.

    Attributes:
        title: what it compares, for people who choose.
        minimum_effect: None for the metric's own default.
        requires: columns of the table of units without which it says nothing.
        attrition: the share of assigned units that are expected never to be exposed; None where only some are, as on
            a page, and everybody has to take part for enough of them to be.
    """

    title: str
    because: str
    we_believe: str
    will: str
    metric: str = "visit"
    minimum_effect: float | None = None
    units_per_arm: int
    weeks: int
    media: Amount
    requires: tuple[str, ...] = ()
    attrition: float | None = None


def brief(**said: Any) -> Brief:
    """A brief of what was said, None left out; raises BadInput naming the flag that it came by."""
    try:
        return Brief.model_validate({name: value for name, value in said.items() if value is not None})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        if name == "template":
            raise BadInput(
                f"there is no template `{said[name]}`",
                where="--template",
                expected="one of: " + ", ".join(TEMPLATES),
            ) from error
        raise BadInput(
            f"`{said[name]}`: {problem['msg'].removeprefix('Value error, ')}", where="--" + name.replace("_", "-")
        ) from error


def starter(template: str) -> Starter:
    """What a template says of itself."""
    with resources.as_file(resources.files("lab")) as package:
        return read_yaml(package / "templates" / template / "template.yaml", Starter)


def filled(workspace: Workspace, given: Brief) -> Brief:
    """The brief with every gap filled: by the template, by the catalogue, by the people there are."""
    if given.attrition is not None and given.assignment == "source":
        raise BadInput(
            "`--attrition` bounds who gets an arm here, and with `--assignment source` another system gives them",
            where="--attrition",
            remedy="leave one of the two out",
        )
    said, people = starter(given.template), read_people(workspace)
    catalogue = read_metrics(workspace)
    metric = given.metric or (said.metric if said.metric in catalogue.metrics else next(iter(catalogue.metrics)))
    owner = given.owner or _first(people, decides=True)
    effect = said.minimum_effect if metric == said.metric else None
    return Brief(
        template=given.template,
        because=given.because or said.because,
        believe=given.believe or said.we_believe,
        will=given.will or said.will,
        owner=people.get(owner).email,
        requester=people.get(given.requester or _first(people, decides=False, but=owner)).email,
        metric=metric,
        minimum_effect=given.minimum_effect or effect or smallest_effect(catalogue.get(metric)),
        weeks=given.weeks or said.weeks,
        units_per_arm=given.units_per_arm or said.units_per_arm,
        media=said.media if given.media is None else given.media,
        population=_population(workspace, given, said).table,
        assume=given.assume,
        guardrail=given.guardrail or next(iter(guardrails(catalogue, metric)), None),
        margin=given.margin,
        attrition=given.attrition,
        assignment=given.assignment or "pilotplant",
    )


def _population(workspace: Workspace, given: Brief, said: Starter) -> Population:
    """The table that units are drawn from; raises BadInput where the template needs columns that it does not have."""
    found = population_of(workspace, given.population)
    missing = [name for name in said.requires if not found.has(name)]
    if missing:
        raise BadInput(
            f"the template {given.template} reads `{', '.join(missing)}`, and table `{found.table}` has no such column",
            where="--template",
            expected="a template that fits the team's tables: "
            + ", ".join(t for t in TEMPLATES if t != given.template),
            remedy="choose another template, or another table with --population",
        )
    return found


def smallest_effect(metric: Metric) -> float:
    """A first guess at the smallest difference worth scaling: a percentage point, or a tenth of the metric's unit."""
    return 0.01 if metric.kind == "proportion" else 0.1


def guardrails(catalogue: Catalogue, primary: str) -> list[str]:
    """The metrics of the catalogue that a pilot might watch, the likeliest first."""
    return [name for name in GUARDRAILS if name in catalogue.metrics and name != primary]


def assumption(text: str) -> tuple[str, Assumption]:
    """What the command line says of a metric, METRIC=MEAN or METRIC=MEAN:SD; raises BadInput for anything else."""
    name, equals, numbers = text.partition("=")
    mean, _, sd = numbers.partition(":")
    try:
        found = Assumption(mean=float(mean), sd=float(sd) if sd else None)
    except ValueError as error:
        raise BadInput(
            f"`{text}` does not say what a metric is without a treatment",
            where="--assume",
            expected="METRIC=SHARE for a share, like visit=0.11, or METRIC=MEAN:SD, like spend=0.65:10",
        ) from error
    if not (name and equals):
        raise BadInput(f"`{text}` names no metric", where="--assume", expected="METRIC=SHARE or METRIC=MEAN:SD")
    return name, found


def values(workspace: Workspace, name: str, full: Brief) -> Mapping[str, Any]:
    """What the charter's template is filled with, from a brief without gaps."""
    catalogue = read_metrics(workspace)
    metric = catalogue.get(str(full.metric))
    zone = read_team(workspace).timezone or ZONE
    start = workspace.clock.now().astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    end = start + timedelta(weeks=full.weeks or 1)
    rails = [] if full.guardrail is None else [(full.guardrail, _margin(catalogue.get(full.guardrail), full.margin))]
    minimum_effect = full.minimum_effect or math.nan
    taken = {full.metric, full.guardrail}
    measured = [full.metric, full.guardrail, *(each for each in BESIDES if each in catalogue.metrics)]
    stray = [each for each in full.assume if each not in measured]
    if stray:
        raise BadInput(
            f"`{stray[0]}` is not measured here, and nothing has to be assumed of it",
            where="--assume",
            expected="one of: " + ", ".join(str(each) for each in dict.fromkeys(measured) if each),
        )
    population = population_of(workspace, full.population)
    return {
        **full.model_dump(exclude={"believe", "minimum_effect", "population"}),
        "population": population,
        # What may tell more of a unit; an effect is not made clearer by what it is paid for.
        "numbers": population.of_type("number", "integer"),
        "texts": population.of_type("string"),
        "pilot": name,
        "we_believe": full.believe,
        "minimum_effect": plain_number(minimum_effect),
        # As a first guess: twice the gain that would be worth it, lost.
        "kill": plain_number(-metric.sign * 2 * minimum_effect),
        "unit": metric.unit,
        "proportion": metric.kind == "proportion",
        "guardrails": rails,
        "assume": [(each, _assumed(said)) for each, said in full.assume.items()],
        "secondary": [each for each in BESIDES if each in catalogue.metrics and each not in taken],
        "zone": zone,
        "start": start,
        "end": end,
        "decide_by": _decide_by(end),
        "currency": read_settings(workspace).budget.currency,
    }


def _decide_by(end: date) -> date:
    return end + timedelta(days=DAYS_TO_DECIDE)


def _margin(metric: Metric, margin: float | None) -> str:
    """How much worse a metric may get, on its bad side; as a first guess as much as would be worth it to gain."""
    return plain_number(-metric.sign * (smallest_effect(metric) if margin is None else margin))


def _assumed(said: Assumption) -> str:
    return f"mean: {plain_number(said.mean)}" + ("" if said.sd is None else f", sd: {plain_number(said.sd)}")


def plain_number(value: float) -> str:
    """A number as people write it: YAML reads `1e-05` as a text."""
    return format(Decimal(repr(value)), "f")


def block_scalar(text: str) -> str:
    """A text as the value of a key on its own line, quoted where YAML would read it as anything else."""
    plain = yaml.safe_dump(text, allow_unicode=True, width=math.inf).removesuffix("\n").removesuffix("\n...")
    return plain if text.isprintable() else _in_quotes(text)


def flow_scalar(text: str) -> str:
    """A text as a value between braces or brackets."""
    listed = yaml.safe_dump([text], allow_unicode=True, width=math.inf, default_flow_style=True)
    return listed.strip()[1:-1] if text.isprintable() else _in_quotes(text)


def one_line(text: str) -> str:
    """A text inside a comment, where a new line would end it."""
    return " ".join(text.split())


def _in_quotes(text: str) -> str:
    """A text in double quotes on one line, with every character escaped that does not show."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).removesuffix("\n")


def _first(people: People, *, decides: bool, but: str | None = None) -> str:
    for person in people.people:
        if (person.decides is not None) == decides and person.email != but:
            return person.email
    other = f" but {but}, and who asks does not decide" if but else ""
    raise BadInput(
        f"there is nobody who {'may decide' if decides else 'could ask'}{other}",
        where="configs/people.yaml",
        remedy="add the person there, or name one with --owner or --requester",
    )
