"""The outlook: what a draft's numbers come to while somebody still types, without a simulation."""

from __future__ import annotations

from dataclasses import dataclass

from lab.budget.budget import committed
from lab.charters.sample_size import drafted
from lab.forecast import text
from lab.forecast.forecast import forecast
from lab.state import open_lab, read_settings
from shared.core.errors import Refused
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the numbers come to.

    Attributes:
        rows: of each metric that something is known of, under `text.METRIC_COLUMNS`.
        lines: what the rows do not say, in sentences.
        over: by how much the budget is more than the Lab has left, in a sentence; None where it is not.
    """

    rows: tuple[text.MetricRow, ...]
    lines: tuple[str, ...]
    over: str | None


def outlook(workspace: Workspace, charter: Charter) -> Outlook:
    """The outlook of a charter that lies nowhere yet; raises Refused where nothing is published to plan on."""
    room, frozen = open_lab(workspace), drafted(workspace, charter)
    if frozen is None:
        raise Refused(
            "nothing is published yet that it could be planned on",
            where="the Lab",
            remedy="have ops publish the tables: pilotplant factory publish",
        )
    found, metrics = forecast(room, frozen, simulated=False), frozen.promise.metrics
    left, asked = read_settings(workspace).budget - committed(room), charter.budget.total
    over = None
    if asked.currency != left.currency:
        over = f"The budget is in {asked.currency}, and the Lab's is in {left.currency}."
    elif asked.amount > left.amount:
        over = f"The budget of {asked} is more than the {left} that the Lab has left."
    return Outlook(tuple(text.metric_rows(found, metrics)), tuple(text.lines(found, metrics)), over)
