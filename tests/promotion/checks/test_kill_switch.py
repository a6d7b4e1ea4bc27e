from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED

WORKS = {"stops": True, "resumes": True, "undone": True}


@pytest.fixture
def found(ask_of):
    def one(**said):
        [finding] = ask_of("kill_switch", {"at": TRIED, "kill_switch": {**WORKS, **said}})
        return finding

    return one


def test_a_switch_that_answers_passes(found):
    assert found().outcome == "passed"


def test_a_stop_that_is_set_passes_and_is_told(found):
    finding = found(stopped="complaints")
    assert finding.outcome == "passed"
    assert "complaints" in finding.reason


@pytest.mark.parametrize("broken", list(WORKS))
def test_a_switch_that_does_not_do_all_of_it_fails(found, broken):
    assert found(**{broken: False}).outcome == "failed"


def test_a_switch_that_could_not_be_tried_is_unevaluable(found):
    finding = found(**dict.fromkeys(WORKS, False), problem="the database is locked")
    assert finding.outcome == "unevaluable"
    assert "locked" in finding.reason
