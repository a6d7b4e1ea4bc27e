from datetime import timedelta

import pytest

from shared.evidence.model import Part
from shared.trust.aa_certificate import AaSource
from shared.trust.candidate import AA
from tests.promotion.cases import JUDGED

# A certificate that was made from other data, so that its age counts.
ELSEWHERE = {
    "source": AaSource(kind="snapshot", name="0011", table="customers", data={"customers.parquet": "sha256:1"})
}


def remove(folder):
    (folder / AA).unlink()


def test_a_sound_certificate_passes_and_says_how_often_the_test_was_wrong(stage, ask):
    [found] = ask("aa_fresh", stage.case(certified={"false": {"spend": 90}}))
    assert (found.outcome, found.level) == ("passed", "warn")
    assert found.reason == "false alarms in 2,000 splits: visit 5.0 %, spend 4.5 %"
    assert found.measured == {"days": 1.0, "times": 2_000, "rates": {"visit": 0.05, "spend": 0.045}}


@pytest.mark.parametrize("metric", ["visit", "spend"])
def test_a_primary_metric_or_guardrail_whose_test_is_wrong_too_often_fails(stage, ask, metric):
    [found] = ask("aa_fresh", stage.case(certified={"false": {metric: 200}}))
    assert found.outcome == "failed"
    assert found.reason == f"{metric}: 200 of 2000 splits"
    assert "cap the metric" in found.remedy


def test_a_secondary_metric_counts_only_where_the_policy_says_so(stage, ask):
    case = stage.case(charter={"secondary": ["conversion"]}, certified={"false": {"conversion": 200}})
    [found] = ask("aa_fresh", case)
    assert found.outcome == "passed"
    every: tuple[Part, ...] = ("primary", "guardrail", "secondary")
    [found] = ask("aa_fresh", case, required=every)
    assert (found.outcome, found.reason) == ("failed", "conversion: 200 of 2000 splits")


def test_without_a_certificate_nothing_can_be_said(stage, ask):
    [found] = ask("aa_fresh", stage.case(alter=remove))
    assert (found.outcome, found.level) == ("unevaluable", "warn")
    assert found.remedy == "pilotplant lab aa spring-email, and submit again"


@pytest.mark.parametrize(
    ("certified", "told"),
    [
        ({"made": JUDGED + timedelta(days=1)}, "is from the future"),
        ({"made": JUDGED - timedelta(days=91), **ELSEWHERE}, "is 91 days old"),
        ({"times": 900}, "900 splits are too few"),
        ({"alpha": 0.1}, "on tests at 0.1, and the charter's are at 0.05"),
        ({"workspace": "another"}, "made in another workspace"),
        ({"definitions": {"visit": "sha256:1", "spend": "sha256:2"}}, "visit is not certified by the charter's"),
        ({"unknown": {"spend": "it is 2 for every unit"}}, "spend is not certified: it is 2 for every unit"),
        ({"definitions": {"conversion": "sha256:1"}}, "spend is not certified by the charter's definition"),
    ],
)
def test_a_certificate_that_does_not_fit_says_nothing(stage, ask, certified, told):
    [found] = ask("aa_fresh", stage.case(certified=certified))
    assert found.outcome == "unevaluable"
    assert told in found.reason


def test_a_certificate_that_does_not_fit_is_no_failure_either(stage, ask):
    certified = {"made": JUDGED - timedelta(days=91), "false": {"visit": 200}, **ELSEWHERE}
    [found] = ask("aa_fresh", stage.case(certified=certified))
    assert found.outcome == "unevaluable"


def test_a_certificate_on_the_very_data_does_not_age(stage, ask):
    [found] = ask("aa_fresh", stage.case(certified={"made": JUDGED - timedelta(days=91)}))
    assert found.outcome == "passed"
    [found] = ask("aa_fresh", stage.case(certified={"made": JUDGED - timedelta(days=89), **ELSEWHERE}))
    assert found.outcome == "passed"
    [found] = ask("aa_fresh", stage.case(certified={"made": JUDGED - timedelta(days=8), **ELSEWHERE}), days_max=7)
    assert found.outcome == "unevaluable"


def test_a_certificate_whose_numbers_were_changed_cannot_be_read(stage, ask, edit):
    alter = edit(AA, lambda content: content["metrics"][0].update(false_positives=10))
    [found] = ask("aa_fresh", stage.case(alter=alter))
    assert (found.outcome, found.reason) == (
        "unevaluable", "the check could not be made: `aa.json` of the candidate cannot be read"
    )  # fmt: skip


def test_it_warns_unless_the_policy_has_it_block(stage):
    assert stage.judge(alter=remove).verdict == "admit"
    stage.settings(standard={"aa_fresh": {"level": "block"}})
    assert stage.judge(alter=remove).verdict == "undecided"
    assert stage.judge(certified={"false": {"visit": 200}}).verdict == "refuse"
    assert stage.judge().verdict == "admit"


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=12), timedelta(days=90)])
def test_a_certificate_counts_from_the_moment_it_was_made_to_the_last_of_its_days(stage, ask, age):
    [found] = ask("aa_fresh", stage.case(certified={"made": JUDGED - age, **ELSEWHERE}))
    assert (found.outcome, found.measured["days"]) == ("passed", age / timedelta(days=1))


def test_the_least_number_of_splits_is_enough(stage, ask):
    [found] = ask("aa_fresh", stage.case(certified={"made": JUDGED - timedelta(minutes=90)}), times_min=2_000)
    assert (found.outcome, found.measured["days"]) == ("passed", 0.062)


def test_all_that_is_wrong_is_named(stage, ask):
    unfit = {"times": 900, "made": JUDGED - timedelta(days=91), **ELSEWHERE}
    [found] = ask("aa_fresh", stage.case(certified=unfit))
    assert found.reason == "its 900 splits are too few; the certificate is 91 days old"
    [found] = ask("aa_fresh", stage.case(certified={"false": {"visit": 200, "spend": 300}}))
    assert found.reason == "visit: 200 of 2000 splits; spend: 300 of 2000 splits"
    [found] = ask("aa_fresh", stage.case(certified={"unknown": {"visit": "it is 1", "spend": "it is 2"}}))
    assert found.reason == "visit is not certified: it is 1; spend is not certified: it is 2"
