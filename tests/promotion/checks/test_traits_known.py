import pytest

from tests.promotion.cases import levels

ZIP = {"segments": ["zip_code"]}


@pytest.mark.parametrize(("unknown", "outcome"), [(0, "passed"), (10, "passed"), (11, "failed")])
def test_a_twentieth_of_unknown_units_is_the_limit(stage, ask, unknown, outcome):
    # 10 of 200 units in each arm are 5 %.
    traits = f"{levels(chr(39) + 'Urban' + chr(39))} WHERE n >= {unknown}"
    [found] = ask("traits_known", stage.case(charter=ZIP, traits=traits))
    assert found.outcome == outcome
    assert list(found.measured.values()) == [pytest.approx(unknown / 200)]


def test_where_no_column_is_declared_there_is_nothing_to_know(stage, ask):
    [found] = ask("traits_known", stage.case())
    assert (found.outcome, found.reason) == (
        "passed", "not asked: the charter names no column of the population",
    )  # fmt: skip


def test_nobody_is_unevaluable(stage, ask):
    [found] = ask("traits_known", stage.case(charter=ZIP, arms={}))
    assert found.outcome == "unevaluable"
