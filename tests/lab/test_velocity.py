"""Learning: a quarter's figures by hand arithmetic, the months of the plot, and the plot itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from lab.overview.portfolio import lines
from lab.overview.velocity import Closed, Quarter, closed, numbers, report, velocity
from lab.state import open_lab
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.errors import BadInput
from shared.core.jsonable import jsonable
from shared.core.money import Money
from shared.trust.record import decisions
from tests.lab_makers import DEADLINE, OWNER, PILOT


def one(name, ending, at, days=None, cost="0.00", *, taught=False):
    amount = Money(amount=Decimal(cost), currency="USD")
    return Closed(name, ending, datetime.fromisoformat(at).replace(tzinfo=UTC), days, amount, taught=taught)


CLOSED = [
    one("a", "stop", "2025-11-30", 20.0, "10.00", taught=True),
    one("b", "scale", "2026-01-10", 15.0, "30.00", taught=True),
    one("c", "revise", "2026-02-10", 22.0, "50.10"),
    one("d", "stop", "2026-03-31T23:59:59", 17.0, "20.00", taught=True),
    one("e", "lapsed", "2026-03-01", None, "40.00"),
    one("f", "stop", "2026-04-01", 9.0, "99.00", taught=True),
]


def test_a_quarter_counts_what_was_decided_in_it():
    within = [c for c in CLOSED if c.month in Quarter.parse("2026Q1").months]
    assert jsonable(numbers(within, "USD")) == {
        "decided": 4, "scaled": 1, "revised": 1, "stopped": 1, "lapsed": 1,
        # Two of four; the median of 15, 22 and 17; 30 + 50.10 + 20 + 40 = 140.10, for two insights.
        "insights": 2, "insight_rate": 0.5, "days_to_decision": 17.0,
        "cost": {"amount": "140.10", "currency": "USD"}, "cost_per_insight": {"amount": "70.05", "currency": "USD"},
    }  # fmt: skip


def test_an_empty_quarter_has_no_rate_and_no_price():
    found = numbers([], "USD")
    assert (found.decided, found.insight_rate, found.days_to_decision, found.cost_per_insight) == (
        0, None, None, None,
    )  # fmt: skip


def test_velocity_shows_every_month_from_the_first_decision_to_the_quarters_end():
    found = velocity(CLOSED, Quarter.parse("2026Q1"))
    assert [(month.month, month.insights) for month in found] == [
        ("2025-11", 1), ("2025-12", 0), ("2026-01", 1), ("2026-02", 0), ("2026-03", 1),
    ]  # fmt: skip
    assert (found[-1].scale, found[-1].revise, found[-1].stop, found[-1].lapsed) == (0, 0, 1, 1)
    assert len(velocity([one("old", "stop", "2020-01-01")], Quarter.parse("2026Q1"))) == 24
    assert [month.month for month in velocity([], Quarter.parse("2026Q2"))] == ["2026-04", "2026-05", "2026-06"]


@pytest.mark.parametrize("text", ["2026", "2026Q5", "Q1", "26Q1", "", "2026Q1x"])
def test_what_is_no_quarter_is_bad_input(text):
    with pytest.raises(BadInput, match="is not a quarter"):
        Quarter.parse(text)


def test_a_quarter_is_read_and_told_alike():
    assert str(Quarter.parse("2026q4")) == "2026Q4"
    assert Quarter.of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)).months == ["2026-10", "2026-11", "2026-12"]


def test_the_report_of_a_decided_pilot_with_a_plot_that_is_the_same_each_time(submitted):
    decide(submitted, PILOT, Asked("stop", OWNER, "nothing to scale here", insight="Letters bring visits."))
    room = open_lab(submitted)
    found = report(room)
    assert (str(found.quarter), found.numbers.stopped, found.numbers.insight_rate) == ("2026Q1", 1, 1.0)
    assert str(found.numbers.cost_per_insight) == "40.00 USD"
    # Launched on the 4th at noon, decided on the 19th at ten: 14 days and 22 hours.
    assert found.numbers.days_to_decision == 14.9
    assert found.plot == submitted.lab / "reports" / "2026Q1.svg"
    drawn = found.plot.read_bytes()
    texts = {element.text for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - our own
    assert {"2026-01", "2026-03", "insights", "lapsed"} <= texts
    assert report(room).plot.read_bytes() == drawn
    assert report(room, "2025Q4").numbers.decided == 0


def test_silence_is_counted_as_lapsed_at_its_deadline_with_what_it_cost(submitted):
    submitted.clock.set(DEADLINE)
    [found] = closed(lines(open_lab(submitted)), decisions(submitted))
    assert (found.ending, found.at, found.days, str(found.cost), found.taught) == (
        "lapsed", DEADLINE, None, "40.00 USD", False,
    )  # fmt: skip
