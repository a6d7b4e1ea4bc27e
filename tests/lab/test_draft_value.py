import pytest

from lab.charters.drafts import paying
from shared.experiment.charter import Promise
from shared.experiment.metrics import Metric
from tests.makers import make_charter

VISIT = Metric(kind="proportion", column="visit", unit="share of customers")


def told(**changes):
    charter = make_charter(primary={"metric": "visit", "minimum_effect": 0.01}, **changes)
    return list(paying(Promise(charter=charter, metrics={"visit": VISIT}, files={})))


# A visit in a hundred of 10,000 units at 2.00 is 200.00 a month.
@pytest.mark.parametrize(
    ("media", "said"),
    [
        ("200.00", "it pays from visit +1.00 pp on, and the smallest"),
        ("300.00", "it pays from visit +1.50 pp on, and `min"),
    ],
)
def test_the_gain_that_pays_is_told_before_launch(media, said):
    [line] = told(value={"worth": 2, "units_per_month": 10_000, "running": {"media": media}})
    assert line.startswith(said)


def test_where_nothing_is_declared_only_high_risk_is_told():
    assert told() == []
    assert "`value`" in told(risk_tier="high", value=None)[0]
