from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.clock import rfc3339
from tests.promotion.cases import JUDGED, TRIED


def loaded(days, max_age_days=None, name="customers"):
    at = None if days is None else rfc3339(JUDGED - timedelta(days=days))
    return {"name": name, "loaded_at": at, "version": "1", "max_age_days": max_age_days}


@pytest.fixture
def found(ask_of):
    def one(*tables, **rule):
        [finding] = ask_of("data_fresh", {"at": TRIED, "tables": tables}, **rule)
        return finding

    return one


@pytest.mark.parametrize(
    ("days", "limit", "outcome"),
    [(30.9, None, "passed"), (31.1, None, "failed"), (0.9, 1, "passed"), (1.1, 1, "failed"), (59, 60, "passed"),
     (-0.1, None, "unevaluable"), (None, None, "unevaluable")],
)  # fmt: skip
def test_a_table_is_as_old_as_its_last_load_and_its_contract_says_how_old_it_may_be(found, days, limit, outcome):
    assert found(loaded(days, limit)).outcome == outcome


def test_the_policy_holds_where_the_contract_is_silent(found):
    assert found(loaded(3), days_max=2).outcome == "failed"


def test_the_oldest_of_several_tables_decides(found):
    finding = found(loaded(1), loaded(40, name="orders"))
    assert finding.outcome == "failed"
    assert "orders is 40.0 days old" in finding.reason


def test_a_report_that_names_no_table_of_the_population_is_unevaluable(found):
    assert found().outcome == "unevaluable"
    assert found(loaded(1, name="orders")).outcome == "unevaluable"
