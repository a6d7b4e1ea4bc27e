from datetime import timedelta

import duckdb
import pytest

from promotion.registry.register import register
from shared.state.chain import GENESIS, Head
from tests.promotion.cases import EXPOSED, GOOD, LAUNCHED, Recorded

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def registered(stage):
    """The moment at which the gate took the default charter in."""
    stage.workspace.clock.set(LAUNCHED)
    return register(stage.workspace, stage.promise(stage.charter())[0], Head(0, GENESIS)).at


def test_a_charter_deposited_before_the_first_exposure_passes(stage, ask):
    [found] = ask("charter_frozen", stage.case())
    assert (found.outcome, found.measured) == ("passed", "2026-01-05T09:00:00Z")
    assert found.threshold.startswith("2026-01-04T12:00:00")


def test_an_exposure_at_the_very_moment_passes(stage, ask, registered):
    [found] = ask("charter_frozen", stage.case(registered=None, exposed=registered))
    assert found.outcome == "passed"


def test_an_exposure_a_microsecond_before_fails(stage, ask, registered):
    [found] = ask("charter_frozen", stage.case(registered=None, exposed=registered - MICROSECOND))
    assert (found.outcome, found.reason) == ("failed", "units were exposed before the charter was frozen")
    assert "launch first" in found.remedy


def test_a_charter_that_was_never_deposited_fails(stage, ask):
    [found] = ask("charter_frozen", stage.case(registered=None))
    assert found.outcome == "failed"
    assert "never took in this charter" in found.reason


def test_a_charter_that_differs_from_the_deposited_one_fails(stage, ask, registered):
    [found] = ask(
        "charter_frozen", stage.case(registered=None, charter={"primary": {"metric": "visit", "minimum_effect": 0.001}})
    )
    assert found.outcome == "failed"


def test_a_charter_deposited_for_another_pilot_does_not_count(stage, ask):
    [found] = ask("charter_frozen", stage.case(pilot="summer-email"))
    assert (found.outcome, "spring-email" in found.reason) == ("unevaluable", True)


@pytest.mark.parametrize("name", ["audience.sql", "message.txt", "contracts/outcomes.odcs.yaml"])
def test_a_file_that_is_not_the_frozen_one_fails_and_is_named(stage, ask, name):
    def swap(folder):
        path = folder / "files" / name
        path.write_text(path.read_text() + "\n# afterwards\n")

    [found] = ask("charter_frozen", stage.case(alter=swap))
    assert (found.outcome, found.measured) == ("failed", [name])


def test_without_exposures_it_is_unevaluable(stage, ask):
    nobody = dict.fromkeys(GOOD, Recorded(units=0))
    [found] = ask("charter_frozen", stage.case(arms=nobody))
    assert (found.outcome, found.reason) == ("unevaluable", "there are no exposures to compare with")


def test_without_data_it_is_unevaluable(stage, ask):
    [found] = ask("charter_frozen", stage.case(alter=lambda folder: (folder / "data" / "exposures.parquet").unlink()))
    assert found.outcome == "unevaluable"


def test_registering_late_fails_however_early_the_time_box(stage, ask):
    [found] = ask("charter_frozen", stage.case(registered=EXPOSED + timedelta(days=1)))
    assert found.outcome == "failed"


AFTER_THE_DRAW = {
    "another slice": {"layer": {"name": "mail", "end": "0.5"}},
    "by household": {"cluster": "zip_code"},
    "by the source": {"assignment": "pilotplant"},
}


@pytest.mark.parametrize("changes", AFTER_THE_DRAW.values(), ids=AFTER_THE_DRAW)
def test_a_version_that_draws_other_arms_than_were_registered_first_fails(stage, ask, monkeypatch, changes):
    """Amended before anybody was exposed, by a hand that wrote to the gate's ledger past its own rule."""
    first = stage.promise(stage.charter())[0]
    stage.workspace.clock.set(LAUNCHED)
    register(stage.workspace, first, Head(0, GENESIS))
    monkeypatch.setattr("promotion.registry.register.drawing", lambda *_: {})
    [found] = ask("charter_frozen", stage.case(charter=changes, earlier=[first], registered=LAUNCHED + MICROSECOND))
    assert (found.outcome, "draws other arms than were registered first" in found.reason) == ("failed", True)
    assert next(iter(changes)) in found.reason


def test_a_version_that_measures_otherwise_than_was_registered_first_fails(stage, ask, monkeypatch):
    first = stage.promise(stage.charter())[0]
    stage.workspace.clock.set(LAUNCHED)
    register(stage.workspace, first, Head(0, GENESIS))
    monkeypatch.setattr("promotion.registry.register.drawing", lambda *_: {})
    changed = {"guardrails": [], "covariates": ["recency"]}
    [found] = ask("charter_frozen", stage.case(charter=changed, earlier=[first], registered=LAUNCHED + MICROSECOND))
    assert found.outcome == "failed"
    assert found.reason.endswith("when the arms were drawn: covariates, guardrails.spend")


def test_a_first_promise_that_was_registered_without_its_draw_fails(stage, ask, monkeypatch):
    monkeypatch.setattr("promotion.registry.register.drawing", lambda *_: {})
    [found] = ask("charter_frozen", stage.case())
    assert (found.outcome, "draws other arms than were registered first" in found.reason) == ("failed", True)


# Every unit of the stage, by its arm and number, and one that was never reached.
LISTED = [*(f"{arm}-{n}" for arm in ("control", "letter") for n in range(200)), "nobody"]


@pytest.mark.parametrize("hand", [None, "another list", "no list"])
def test_the_list_of_who_was_eligible_is_the_promised_one(stage, ask, hand):
    def alter(folder):
        path = folder / "data" / "eligible.parquet"
        path.unlink()
        if hand == "another list":
            duckdb.execute(f"COPY (SELECT 'nobody' AS unit) TO '{path}' (FORMAT parquet)")

    charter = stage.charter(eligible="audience.sql").model_dump(mode="json")
    [found] = ask("charter_frozen", stage.case(charter=charter, eligible=LISTED, alter=alter if hand else None))
    if hand is None:
        assert found.outcome == "passed"
    else:
        assert (found.outcome, found.measured) == ("failed", ["eligible.parquet"])
