from tests.promotion.cases import GOOD, Recorded


def test_metrics_that_vary_pass(stage, ask):
    [found] = ask("metrics_vary", stage.case())
    assert (found.arm, found.outcome, found.level) == ("letter", "passed", "warn")


def test_a_secondary_metric_that_is_the_same_for_all_fails(stage, ask):
    [found] = ask("metrics_vary", stage.case(charter={"secondary": ["conversion"]}))
    assert (found.outcome, found.reason) == ("failed", "conversion: the metric does not vary in either arm")


def test_a_metric_without_data_is_unevaluable_and_never_scores(stage, ask):
    [found] = ask("metrics_vary", stage.case(arms={**GOOD, "letter": Recorded(units=0)}))
    assert found.outcome == "unevaluable"
    assert set(found.measured) == {"visit", "spend"}
    assert "compared" not in found.measured.values()
