"""The draw of the gate: one nonce for a pilot's name, drawn when it is registered, and chosen by nobody."""

import hashlib
import statistics

import numpy as np
import pytest
import yaml

from promotion.gate.policy import read_settings
from promotion.registry.nonces import drawn_nonce
from promotion.registry.register import register
from promotion.state import REGISTERED, open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.core.errors import BadInput, Refused
from shared.experiment.assignment import pilot_salt
from shared.experiment.charter import Promise
from shared.experiment.draw import Draw
from shared.experiment.metrics import Metric
from shared.state.chain import GENESIS, Head
from shared.state.workspace import create, open_workspace
from tests.lab_makers import run_child
from tests.makers import make_charter
from tests.promotion.cases import Stage

LAB = Head(0, GENESIS)
NAMES, UNITS = 12_000, 60
# What was known of each unit before: months since the last order, whether it is new, and what it has spent.
KNOWN = {
    "a number": np.arange(UNITS) % 13.0,
    "one in five": (np.arange(UNITS) % 5 == 0) * 1.0,
    "a few who spend": np.where(np.arange(UNITS) % 6 == 0, 40.0 + np.arange(UNITS), np.arange(UNITS) % 4),
}


@pytest.fixture
def unseeded(tmp_path):
    """A rehearsal as `init` makes it, whose gate draws at random."""
    return Stage(create(tmp_path / "unseeded", "rehearsal")[0])


def registered(stage, name="spring-email", metrics=None, **changes):
    promise = stage.promise(stage.charter(pilot=name, **changes))[0]
    if metrics is not None:
        promise = promise.model_copy(update={"metrics": {**promise.metrics, **metrics}})
    return register(stage.workspace, promise, LAB)


def test_a_nonce_is_128_random_bits_and_another_one_for_each_name(unseeded):
    nonces = [registered(unseeded, f"pilot-{number}").nonce for number in range(5)]
    assert all(len(nonce) == 32 and int(nonce, 16) >= 0 for nonce in nonces)
    assert len(set(nonces)) == 5


def test_two_workspaces_give_the_same_name_other_arms(unseeded, tmp_path):
    other = Stage(create(tmp_path / "other", "rehearsal")[0])
    drawn = []
    for stage in (unseeded, other):
        promise = stage.promise(stage.charter())[0]
        nonce = register(stage.workspace, promise, LAB).nonce
        draw = Draw.of(promise, stage.workspace.id, nonce)
        drawn.append([draw.arm(f"u{number}") for number in range(200)])
    same = sum(one == other for one, other in zip(*drawn, strict=True))
    # Of 200 fair coins, 5 standard deviations from 100 are 35.
    assert 65 < same < 135


def test_the_name_keeps_its_nonce_through_later_versions_and_other_charters(unseeded):
    first = registered(unseeded)
    assert registered(unseeded).nonce == first.nonce
    # A launch that was cut off after the registration, and another charter under the name afterwards.
    other = registered(unseeded, decide_by="2026-01-30")
    assert (other.nonce, other.ledger.seq) == (first.nonce, first.ledger.seq + 1)
    promise = unseeded.promise(unseeded.charter())[0]
    later = unseeded.promise(unseeded.charter(decide_by="2026-02-01"))[0].amending(promise, "the owner is away")
    assert register(unseeded.workspace, later, LAB).nonce == first.nonce


@pytest.mark.parametrize(
    "changes",
    [
        {"cluster": "zip_code"},
        {"layer": {"name": "mail", "end": "0.5"}},
        {"assignment": "pilotplant"},
        {"population": "outcomes"},
        {"arms": "turned"},
        {"arms": "weighed"},
    ],
    ids=str,
)
def test_once_the_nonce_is_known_nothing_that_draws_is_registered_under_the_name(unseeded, changes):
    registered(unseeded)
    arms = unseeded.charter().model_dump(mode="json")["arms"]
    ways = {"turned": arms[::-1], "weighed": [arms[0], {**arms[1], "weight": 2}]}
    before = len(open_promotion(unseeded.workspace).entries())
    with pytest.raises(Refused, match="registered with another draw of its arms"):
        registered(unseeded, **{name: ways.get(value, value) if name == "arms" else value
                                for name, value in changes.items()})  # fmt: skip
    assert len(open_promotion(unseeded.workspace).entries()) == before


OTHER = Metric(kind="proportion", column="spend", unit="share")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"primary": {"metric": "conversion", "minimum_effect": 0.03}}, "primary"),
        ({"guardrails": []}, "guardrails.spend"),
        ({"covariates": ["recency"]}, "covariates"),
        ({"strata": "zip_code"}, "strata"),
        ({"metrics": {"visit": OTHER}}, "metrics.visit"),
    ],
    ids=str,
)
def test_once_the_arms_are_known_nobody_chooses_by_what_they_are_compared(unseeded, changes, named):
    """With the arms and the customers' past in hand one could choose the metric in which they differ by chance."""
    registered(unseeded)
    with pytest.raises(Refused, match=f"its arms are known: .*{named}"):
        registered(unseeded, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"secondary": ["conversion"]},
        {"segments": ["zip_code"]},
        {"primary": {"metric": "visit", "minimum_effect": 0.04}},
    ],
    ids=str,
)
def test_what_only_describes_and_how_much_is_asked_may_still_be_registered(unseeded, changes):
    registered(unseeded)
    registered(unseeded, **changes)
    assert [entry.kind for entry in open_promotion(unseeded.workspace).entries("spring-email")] == [REGISTERED] * 2


def test_what_moves_nobody_is_registered(unseeded):
    registered(unseeded)
    arms = unseeded.charter().model_dump(mode="json")["arms"]
    assert registered(unseeded, arms=[{**arm, "weight": 50} for arm in arms]).nonce


def test_a_rehearsals_seed_gives_a_name_the_same_nonce_by_sha256(unseeded):
    path = unseeded.workspace.configs / "gate.yaml"
    path.write_text(path.read_text() + "nonce_seed: spring\n")
    assert registered(unseeded).nonce == hashlib.sha256(b"spring:spring-email").hexdigest()[:32]


@pytest.mark.parametrize("seed", ["spring", "0", "a long one, with words"])
def test_a_live_workspace_refuses_a_seed_and_registers_nothing(make_stage, seed):
    live = make_stage("live")
    promise = live.promise(live.charter())[0]
    path = live.workspace.configs / "gate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "nonce_seed": seed}))
    with pytest.raises(BadInput, match="let somebody choose") as caught:
        register(live.workspace, promise, LAB)
    assert caught.value.exit_code == 2
    with pytest.raises(BadInput, match="let somebody choose"):
        read_settings(live.workspace)
    assert not (live.workspace.promotion / "promotion.db").exists()


def _apart(salt, known):
    """By how many standard errors two equal arms differ in what was known of the units, as docs/assignment.md draws."""
    # The first of 52 bits says on which side of one half a bucket lies.
    sides = np.array([hashlib.sha256(f"{salt}:u{number}".encode()).digest()[0] >> 7 for number in range(UNITS)])
    high, low = known[sides == 1], known[sides == 0]
    return (high.mean() - low.mean()) / np.sqrt(high.var(ddof=1) / len(high) + low.var(ddof=1) / len(low))


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_the_luckiest_of_12000_names_is_like_any_other_once_the_gate_has_drawn(known):
    """By the name alone the luckiest is about 4 standard errors apart; by a nonce it is a draw like any other."""
    lucky = max((f"name-{number}" for number in range(NAMES)), key=lambda name: _apart(pilot_salt(name), known))
    assert _apart(pilot_salt(lucky), known) > 3.3
    promise = Promise(charter=make_charter(lucky), metrics={}, files={}, rules=2)
    nonces = [drawn_nonce(lucky, str(seed)) for seed in range(200)]
    drawn = [_apart(Draw.of(promise, "w" * 32, nonce).salt, known) for nonce in nonces]
    # Student's t of 58 degrees of freedom: mean 0 and standard deviation 1.02, so the mean of 200 within 4 of .072.
    assert abs(statistics.fmean(drawn)) < 0.29
    assert 0.85 < statistics.stdev(drawn) < 1.2


def do_register(root, point):
    import os

    os.environ[VARIABLE] = point
    stage = Stage(open_workspace(root))
    registered(stage)


@pytest.mark.parametrize("point", [Point.REGISTER_WRITTEN, Point.REGISTER_RECORDED])
def test_a_registration_that_is_cut_off_leaves_no_nonce_or_the_one_that_stays(stage, point):
    code, _ = run_child(do_register, stage.workspace.root, point)
    assert code == -9
    entries = open_promotion(stage.workspace).entries("spring-email")
    assert len(entries) == (point is Point.REGISTER_RECORDED)
    kept = [entry.body["nonce"] for entry in entries]
    again = registered(stage)
    assert len(open_promotion(stage.workspace).entries("spring-email")) == 1
    assert kept in ([], [again.nonce])
