"""Drafts: a new charter with its files from a template, and what `lab check` says of one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.freezing import freeze
from lab.obstacles import Examined, examine
from lab.pilots import find_pilot
from lab.state import open_lab, read_settings
from shared.charter import NAME_PATTERN, Charter
from shared.errors import BadInput, PilotPlantError, Refused
from shared.files import scratch_in, settle
from shared.metrics import Metric
from shared.people import People, read_people
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

if TYPE_CHECKING:
    from lab.forecast import Forecast

TEMPLATES = ("ab-email",)
# A draft begins tomorrow, runs two weeks and leaves its owner a week.
WEEKS, DAYS_TO_DECIDE = 2, 7


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
    """

    pilot: str
    problems: list[PilotPlantError]
    notes: list[str]
    forecast: Forecast
    metrics: dict[str, Metric]
    audiences: dict[str, int]
    plot: Path | None

    @property
    def ok(self) -> bool:
        """Whether it would launch."""
        return not self.problems

    def forecast_json(self) -> dict[str, Any]:
        """The forecast for `--json`."""
        plot = {"audiences": self.audiences, "plot": str(self.plot) if self.plot else None}
        return self.forecast.as_json() | plot


def new(
    workspace: Workspace,
    name: str,
    *,
    template: str = "ab-email",
    owner: str | None = None,
    requester: str | None = None,
) -> Path:
    """Writes a draft charter with its files; returns the charter's path.

    Raises Refused where there is one of that name, BadInput for a name, template or person that cannot be.
    """
    from jinja2 import Environment, StrictUndefined

    if not re.fullmatch(NAME_PATTERN, name):
        raise BadInput(
            f"`{name}` is not a pilot's name",
            where="NAME",
            expected="small letters, digits and hyphens, like spring-email",
        )
    if template not in TEMPLATES:
        raise BadInput(
            f"there is no template `{template}`", where="--template", expected="one of: " + ", ".join(TEMPLATES)
        )
    folder = workspace.pilots / name
    if folder.exists():
        raise Refused(
            f"there is a pilot {name} already", where=str(folder), remedy="choose another name, or edit that one"
        )
    people, today = read_people(workspace), workspace.clock.now().date()
    start = today + timedelta(days=1)
    end = start + timedelta(weeks=WEEKS)
    owner = owner or _first(people, decides=True)
    values = {
        "pilot": name,
        "owner": people.get(owner).email,
        "requester": people.get(requester or _first(people, decides=False, but=owner)).email,
        "start": start,
        "end": end,
        "decide_by": end + timedelta(days=DAYS_TO_DECIDE),
        "currency": read_settings(workspace).budget.currency,
    }
    with scratch_in(workspace.pilots) as scratch, resources.as_file(resources.files("lab")) as package:
        shutil.copytree(package / "templates" / template, scratch, dirs_exist_ok=True)
        charter = scratch / "charter.yaml"
        text = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False).from_string(  # noqa: S701 - YAML, not HTML
            charter.read_text(encoding="utf-8")
        )
        charter.write_text(text.render(values), encoding="utf-8")
        read_yaml(charter, Charter)
        settle(scratch, folder)
    return folder / "charter.yaml"


def check(workspace: Workspace, name: str) -> Check:
    """Whether a draft would launch now; raises BadInput where it cannot even be read."""
    from lab import forecast_plot
    from lab.forecast import forecast

    room = open_lab(workspace)
    frozen = freeze(workspace, name)
    charter = frozen.promise.charter
    launched = find_pilot(room, name)
    examined = Examined([], {}) if launched else examine(room, frozen)
    notes = []
    if launched:
        same = launched.promise.digest == frozen.promise.digest
        notes.append("it has been launched" + ("" if same else ", and was changed since: the frozen charter counts"))
    if not charter.guardrails:
        notes.append("it has no guardrails: the gate will not be able to decide on *scale*")
    found, metrics = forecast(room, frozen), frozen.promise.metrics
    plot = forecast_plot.write(workspace, found, metrics[charter.primary.metric])
    return Check(name, examined.problems, notes, found, metrics, examined.audiences, plot)


def _first(people: People, *, decides: bool, but: str | None = None) -> str:
    for person in people.people:
        if (person.decides is not None) == decides and person.email != but:
            return person.email
    raise BadInput(
        "nobody " + ("may decide" if decides else "is there to ask") + " in configs/people.yaml",
        remedy="add the person there, or name one with --owner or --requester",
    )
