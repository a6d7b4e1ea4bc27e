import pytest
from pydantic import ValidationError

from lab.charters.precautions import unguarded
from shared.experiment.charter import Promise
from shared.experiment.precautions import Review, Rollout
from tests.makers import CAREFUL, make_charter

ROLLOUT = CAREFUL["rollout"]


@pytest.mark.parametrize(
    "changes",
    [{"steps": []}, {"steps": ["0.5"]}, {"steps": ["0.5", "0.5", "1"]}, {"steps": ["0", "1"]}, {"steps": ["0.5", "2"]},
     {"watched": []}, {"rollback": []}, {"rollback": [{"metric": "opens", "worse_than": -1}]}, {"step_days": 0}],
)  # fmt: skip
def test_what_can_be_no_rollout_is_refused(changes):
    Rollout.model_validate(ROLLOUT)
    with pytest.raises(ValidationError):
        Rollout.model_validate(ROLLOUT | changes)


def test_a_review_names_a_person_and_what_it_comes_before():
    assert Review(by="owner@example.com").before == "send"
    for wrong in ({"by": "the owner"}, {"by": "owner@example.com", "before": "lunch"}):
        with pytest.raises(ValidationError):
            Review.model_validate(wrong)


def test_a_play_that_declares_nothing_keeps_its_digest_and_one_that_does_carries_it_through():
    silent, said = (
        Promise(charter=make_charter(play=play), metrics={}, files={})
        for play in ({}, {**CAREFUL, "actions": ["pricing"]})
    )
    play = silent.as_json()["charter"]["arms"][1]["play"]
    assert not play.keys() & {"actions", "review", "rollout"}
    assert Promise.model_validate(said.as_json()) == said


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"play": {"actions": ["pricing"]}}, ["arm letter (pricing) names nobody"]),
        ({"risk_tier": "high"}, []),
        (
            {"risk_tier": "high", "play": {"review": None, "rollout": None}},
            ["arm letter (outbound) names nobody", "arm letter does not say how its release grows"],
        ),
    ],
)
def test_what_the_gate_would_miss_is_told_before_launch(changes, told):
    found = list(unguarded(make_charter(**changes)))
    assert [line[: len(start)] for line, start in zip(found, told, strict=True)] == told
