from datetime import timedelta

import pytest

from shared.core.clock import rfc3339
from tests.makers import OWNER, moment
from tests.promotion.cases import JUDGED
from tests.promotion.shown import measures, waiting

OTHER = {"pilot": "autumn-email", "owner": "other@example.com", "decide_by": "2026-01-25"}


def pilots(found):
    return [entry["pilot"] for entry in found]


def test_a_candidate_waits_for_its_owner_until_its_deadline(stage):
    candidate = stage.submit()
    [found] = waiting(stage.workspace)
    # Judged on 20 January at eight: 11 days and 16 hours before.
    assert found == {
        "pilot": "spring-email", "candidate": candidate.digest, "owner": OWNER, "deciders": [OWNER],
        "until": "2026-02-01T00:00:00Z", "days_left": 11.7, "due": False, "next": None, "proposed": None,
        "declined": None, "warnings": None,
    }  # fmt: skip


@pytest.mark.parametrize("preflight", [None, {"at": JUDGED - timedelta(days=8)}])
def test_a_candidate_that_the_factory_has_not_tried_lately_names_the_command(stage, preflight):
    stage.submit(preflight=preflight)
    assert [entry["next"] for entry in waiting(stage.workspace)] == ["pilotplant factory preflight spring-email"]


def test_in_its_last_days_a_decision_is_due(stage):
    stage.submit()
    for when, due in (("2026-01-28 23:00", False), ("2026-01-29 01:00", True)):
        stage.workspace.clock.set(moment(when))
        assert [entry["due"] for entry in waiting(stage.workspace)] == [due]


def test_the_most_urgent_comes_first_and_an_owner_may_see_only_their_own(stage):
    stage.submit()
    stage.submit(charter=OTHER)
    assert pilots(waiting(stage.workspace)) == ["autumn-email", "spring-email"]
    assert pilots(waiting(stage.workspace, owner=OWNER)) == ["spring-email"]
    assert pilots(waiting(stage.workspace, owner="nobody@example.com")) == []


def test_only_a_pilots_latest_candidate_waits(stage):
    stage.submit(later=9)
    later = stage.submit(later=12, costs=[])
    assert [entry["candidate"] for entry in waiting(stage.workspace)] == [later.digest]


def test_what_was_decided_waits_no_more(stage):
    stage.submit()
    stage.decide("stop")
    assert waiting(stage.workspace) == []
    assert measures(stage.workspace) == {
        "troubles": [],
        "decisions": {"scale": 0, "revise": 0, "stop": 1},
        "waiting": [],
        "lapsed": [],
        "missed": [],
        "waivers": [],
        "handed_over": [],
    }


def test_past_the_deadline_nothing_waits(stage):
    stage.submit()
    stage.workspace.clock.set(moment("2026-02-01 00:00"))
    assert waiting(stage.workspace) == []


def test_a_damaged_candidate_hides_no_other(stage):
    damaged = stage.submit(charter=OTHER)
    (damaged.folder / "promise.json").write_text("{")
    stage.submit()
    assert pilots(waiting(stage.workspace)) == ["spring-email"]


def test_a_manifest_without_its_place_in_the_ledger_hides_no_other(stage):
    stage.submit(charter=OTHER, ledger={})
    stage.submit()
    assert pilots(waiting(stage.workspace)) == ["autumn-email", "spring-email"]


def test_what_a_cut_off_submission_has_left_is_no_candidate(stage):
    candidate = stage.submit()
    candidate.folder.rename(candidate.folder.with_name(".scratch.cut-off"))
    assert waiting(stage.workspace) == []


def test_an_empty_intake_waits_for_nobody(stage):
    assert measures(stage.workspace) == {
        "troubles": [],
        "decisions": {"scale": 0, "revise": 0, "stop": 0},
        "waiting": [],
        "lapsed": [],
        "missed": [],
        "waivers": [],
        "handed_over": [],
    }
    assert rfc3339(stage.workspace.clock.now())
