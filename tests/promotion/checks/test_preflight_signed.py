"""The preflight report: believed by the Factory's enrolled key, for this candidate, while it is young."""

from __future__ import annotations

from datetime import timedelta

import pytest

from promotion.keys.enrolment import keys_folder
from shared.core.errors import BadInput
from shared.trust.keys import FACTORY, GATE, KeyStore, write_public
from shared.trust.preflight import report_path
from tests.makers import OWNER
from tests.promotion.cases import JUDGED, TRIED
from tests.promotion.preflights import passing, put

NAMES = (
    "preflight_signed", "contract_compatible", "factory_table", "data_fresh", "shadow_run", "no_personal_data",
    "holdout_kept", "contact_pressure", "no_clash", "kill_switch",
)  # fmt: skip


@pytest.fixture
def found(stage, ask):
    def one(case, **rule):
        [finding] = ask("preflight_signed", case, **rule)
        return finding

    return one


def test_a_young_report_of_the_enrolled_key_passes_and_is_named(stage, found):
    case = stage.case()
    finding = found(case)
    assert (finding.outcome, finding.measured["report"]) == ("passed", case.preflight.digest)
    assert finding.measured["days"] == pytest.approx(1 / 24, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_report_every_check_of_it_is_unevaluable_and_names_the_command(stage, ask, name):
    for finding in ask(name, stage.case(preflight=None)):
        assert finding.outcome == "unevaluable"
        assert "has not tried" in finding.reason
        assert finding.remedy == "for ops: pilotplant factory preflight spring-email"


def test_without_a_report_the_verdict_is_undecided_whatever_the_policy_warns_of(stage):
    stage.settings(standard={name: {"level": "warn"} for name in NAMES[1:]})
    assert stage.judge(preflight=None).verdict == "undecided"
    assert stage.judge().verdict == "admit"


def test_the_policy_cannot_make_a_warning_of_it(stage):
    stage.settings(standard={"preflight_signed": {"level": "warn"}})
    with pytest.raises(BadInput):
        stage.judge()


@pytest.mark.parametrize(("days", "outcome"), [(6.99, "passed"), (7.01, "failed"), (-0.01, "unevaluable")])
def test_a_report_counts_for_a_week_and_not_before_its_time(stage, found, days, outcome):
    assert found(stage.case(preflight={"at": JUDGED - timedelta(days=days)})).outcome == outcome


def test_the_policy_says_how_old_it_may_be(stage, found):
    case = stage.case(preflight={"at": JUDGED - timedelta(days=2)})
    assert found(case, days_max=1).outcome == "failed"
    assert found(case, days_max=3).outcome == "passed"


@pytest.mark.parametrize("signer", [GATE, OWNER])
def test_a_report_that_somebody_else_signed_is_not_believed(stage, found, signer):
    candidate = stage.submit(preflight=None)
    put(stage.workspace, passing(stage.workspace, candidate, TRIED), signer=signer)
    finding = found(stage.open(candidate))
    assert finding.outcome == "unevaluable"
    assert "not signed by the Factory's enrolled key" in finding.reason


def test_a_new_key_of_the_factory_that_nobody_enrolled_is_not_believed(stage, found):
    candidate = stage.submit(preflight=None)
    KeyStore(stage.workspace).create(FACTORY, "factory")
    put(stage.workspace, passing(stage.workspace, candidate, TRIED))
    assert "not signed by" in found(stage.open(candidate)).reason


def test_an_enrolled_record_that_was_exchanged_is_not_believed(stage, found):
    candidate = stage.submit(preflight=None)
    write_public(keys_folder(stage.workspace), KeyStore(stage.workspace).create(FACTORY, "factory"))
    put(stage.workspace, passing(stage.workspace, candidate, TRIED))
    finding = found(stage.open(candidate))
    assert finding.outcome == "unevaluable"
    assert "was changed after it was enrolled" in finding.reason


def test_without_an_enrolled_key_nothing_is_believed_and_the_remedy_names_both_steps(stage, found):
    candidate = stage.submit()
    (keys_folder(stage.workspace) / f"{FACTORY}.yaml").unlink()
    finding = found(stage.open(candidate))
    assert finding.outcome == "unevaluable"
    assert "pilotplant factory enrol" in finding.remedy
    assert "pilotplant promote enrol factory" in finding.remedy


def test_a_report_on_another_candidate_is_not_taken_for_this_one(stage, found):
    other = stage.submit(costs=[("7.00", "USD")])
    candidate = stage.submit(preflight=None)
    report_path(stage.workspace, candidate.digest).write_bytes(report_path(stage.workspace, other.digest).read_bytes())
    assert "another candidate" in found(stage.open(candidate)).reason


@pytest.mark.parametrize("change", [{"workspace": "0" * 16}, {"mode": "live"}])
def test_a_report_of_another_workspace_or_mode_is_not_believed(stage, found, change):
    assert "another workspace" in found(stage.case(preflight={"at": TRIED, **change})).reason


def test_one_changed_byte_anywhere_is_found(stage, found):
    candidate = stage.submit()
    path = report_path(stage.workspace, candidate.digest)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert found(stage.open(candidate)).outcome == "unevaluable", place
    path.write_bytes(whole)
    assert found(stage.open(candidate)).outcome == "passed"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe"])
def test_a_file_that_is_no_report_is_unevaluable(stage, found, content):
    candidate = stage.submit()
    report_path(stage.workspace, candidate.digest).write_bytes(content)
    assert found(stage.open(candidate)).outcome == "unevaluable"
