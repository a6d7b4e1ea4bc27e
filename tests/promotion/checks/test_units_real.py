from promotion.gate.case import Case
from promotion.state import open_promotion
from shared.state.workspace import create
from tests.promotion.cases import JUDGED


def live_case(stage, tmp_path, **charter):
    live, _ = create(tmp_path / "live", "live")
    candidate = stage.submit(charter=charter, workspace=live.id, mode="live")
    return Case(open_promotion(live), candidate, JUDGED)


def test_units_of_a_rehearsal_pass_in_their_rehearsal_and_are_called_so(stage, ask):
    [found] = ask("units_real", stage.case())
    assert (found.outcome, found.reason) == ("passed", "rehearsal units")


def test_synthetic_units_pass_in_a_rehearsal_and_are_called_so(stage, ask):
    [found] = ask("units_real", stage.case(charter={"synthetic": True}))
    assert (found.outcome, found.reason) == ("passed", "synthetic units, in a rehearsal")


def test_customers_pass_in_a_live_workspace(stage, ask, tmp_path):
    [found] = ask("units_real", live_case(stage, tmp_path))
    assert (found.outcome, found.reason) == ("passed", "live units")


def test_synthetic_units_fail_in_a_live_workspace(stage, ask, tmp_path):
    [found] = ask("units_real", live_case(stage, tmp_path, synthetic=True))
    assert (found.outcome, found.measured["synthetic"]) == ("failed", True)
    assert "run the pilot on customers" in found.remedy


def test_a_candidate_of_another_workspace_fails(stage, ask):
    [found] = ask("units_real", stage.case(workspace="0123456789abcdef"))
    assert found.outcome == "failed"
    assert "another workspace (rehearsal 0123456789abcdef)" in found.reason


def test_a_candidate_that_calls_itself_live_fails_in_a_rehearsal(stage, ask):
    [found] = ask("units_real", stage.case(mode="live"))
    assert (found.outcome, found.measured["candidate"], found.measured["workspace"]) == ("failed", "live", "rehearsal")


def test_a_charter_that_cannot_be_read_is_unevaluable(stage, ask):
    case = stage.case(alter=lambda folder: (folder / "promise.json").write_text("{"))
    [found] = ask("units_real", case)
    assert (found.outcome, found.remedy) == ("unevaluable", "submit the pilot again")


def test_made_up_events_under_a_charter_of_real_units_fail(stage, ask):
    marked = "SELECT * REPLACE ('Synthetic-x-' || event_id AS event_id) FROM outcomes"
    [found] = ask("units_real", stage.case(outcomes=marked))
    assert (found.outcome, found.measured["made_up"]) == ("failed", 400)
    assert found.reason == "400 of the sealed events are made up, and the charter does not say so"


def test_made_up_events_under_a_charter_that_says_so_pass_in_a_rehearsal(stage, ask):
    marked = "SELECT * REPLACE ('synthetic-x-' || event_id AS event_id) FROM outcomes"
    [found] = ask("units_real", stage.case(charter={"synthetic": True}, outcomes=marked))
    assert found.outcome == "passed"
