"""Bounded samples: no more units take part than the plan needs, and the gate draws the same ones again."""

from dataclasses import replace
from fractions import Fraction

import pytest
from pydantic import ValidationError
from scipy.stats import norm, poisson

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.charters.drafts import check
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.pilots.promise import freeze
from lab.pilots.sample import sampled_frac
from lab.state import open_lab
from promotion.queue.judgements import judge_named
from shared.core.errors import Refused
from shared.experiment.draw import SAMPLED, redrawn
from tests.lab_makers import AFTER, INSIDE, PILOT, draft, row, units, write_csv
from tests.makers import make_charter

BOUND = ("units_per_arm: 150", "units_per_arm: 40, attrition: 0.1")
REASON = "the plan was made for fewer customers"


@pytest.fixture
def bounded(loaded):
    """A workspace whose draft bounds its sample."""
    draft(loaded, PILOT, BOUND)
    return loaded


def arms_of(workspace, out):
    done = assign(workspace, PILOT, out / "arms.csv")
    rows = [line.split(",") for line in (out / "arms.csv").read_text().splitlines()[1:]]
    return done, dict(rows)


@pytest.mark.parametrize(
    ("planned", "weights", "attrition"), [(40, (1, 1), 0.1), (1_000, (1, 1, 1), 0.0), (9, (3, 1), 0.5)]
)
def test_one_pilot_in_seven_hundred_falls_short_of_its_plan_by_poisson(planned, weights, attrition):
    """Expected: SciPy's Poisson distribution, which has no part in the computation."""
    arms = [{"name": "control", "weight": weights[0]}] + [
        make_charter().model_dump(mode="json")["arms"][1] | {"name": f"a{n}", "weight": weight}
        for n, weight in enumerate(weights[1:])
    ]
    charter = make_charter(arms=arms, sample={"units_per_arm": planned, "attrition": attrition})
    able = 1_000_000
    frac = float(sampled_frac(charter, able, 1.0))
    exposed = able * frac * (1 - attrition) * min(weights) / sum(weights)
    short = poisson.cdf(planned - 1, exposed)
    # The normal bound is rough for few units, and the share is rounded up.
    assert short < 1.5 * norm.sf(3)
    assert poisson.cdf(planned - 1, 0.8 * exposed) > norm.sf(3)


def test_clusters_take_more_units_for_they_come_together():
    charter = make_charter(sample={"units_per_arm": 400, "attrition": 0.0})
    alone, together = (sampled_frac(charter, 100_000, size) for size in (1.0, 25.0))
    assert together > alone


def test_where_the_plan_takes_everybody_nobody_is_left_out():
    charter = make_charter(sample={"units_per_arm": 400, "attrition": 0.0})
    assert sampled_frac(charter, 900, 1.0) is None
    assert sampled_frac(charter, 0, 1.0) is None


def test_without_attrition_everybody_takes_part_and_the_promise_says_nothing_of_it(loaded):
    promise = freeze(loaded, PILOT).promise
    assert promise.sampled_frac is None
    assert not {"sampled_frac", "attrition"} & {*promise.as_json(), *promise.as_json()["charter"]["sample"]}


def test_only_those_who_are_needed_get_an_arm(bounded, tmp_path):
    pilot = launch(bounded, PILOT).pilot
    done, arms = arms_of(bounded, tmp_path)
    everybody = units(bounded)
    assert len(arms) == done.units < len(everybody)
    assert done.left_out["not drawn to take part"] == len(everybody) - done.units
    assert min(done.per_arm.values()) >= 40
    assert pilot.promise.sampled_frac is not None
    # Whoever takes part has the arm that would be theirs if all did.
    drawn = replace(pilot.draw(bounded), sampled=None)
    assert arms == {unit: drawn.arm(unit) for unit in arms}


def test_check_forecasts_with_those_who_take_part(bounded):
    found = check(bounded, PILOT)
    promise = freeze(bounded, PILOT).promise
    sample = found.forecast.sample
    assert sample.available == int(len(units(bounded)) * Fraction(promise.sampled_frac))
    # One in ten of them is never exposed, as the plan says.
    assert sample.units == int(sample.available * 0.9)


def test_a_plan_that_attrition_keeps_from_its_units_does_not_launch(loaded):
    draft(loaded, PILOT, ("units_per_arm: 150", "units_per_arm: 195, attrition: 0.1"))
    [problem] = check(loaded, PILOT).problems
    assert problem.what == "the plan needs 195 units per arm, and the smallest can get 180"


def test_the_gate_draws_the_sample_again(bounded, tmp_path):
    launch(bounded, PILOT)
    _, arms = arms_of(bounded, tmp_path)
    bounded.clock.set(INSIDE)
    rows = [row(f"e{n}", unit, arm) for n, (unit, arm) in enumerate(arms.items())]
    assert record(bounded, PILOT, write_csv(tmp_path / "results.csv", rows)).exposures == len(arms)
    bounded.clock.set(AFTER)
    analyse(bounded, PILOT)
    submit(bounded, PILOT)
    [(_, judgement)] = judge_named(bounded, PILOT)
    found = {finding.check: finding.outcome for finding in judgement.findings}
    assert (found["units_assigned"], found["sample_planned"]) == ("passed", "passed")


def test_an_exposure_of_a_unit_that_was_not_drawn_is_held_back(bounded, tmp_path):
    launch(bounded, PILOT)
    _, arms = arms_of(bounded, tmp_path)
    stranger = next(unit for unit in units(bounded) if unit not in arms)
    bounded.clock.set(INSIDE)
    done = record(bounded, PILOT, write_csv(tmp_path / "results.csv", [row("e1", stranger, "control")]))
    assert (done.exposures, [*done.conflicts]) == (0, ["not drawn to take part"])


@pytest.mark.parametrize(
    "change",
    [
        (BOUND[1], "units_per_arm: 60, attrition: 0.1"),
        (BOUND[1], "units_per_arm: 40, attrition: 0.3"),
        (BOUND[1], "units_per_arm: 40"),
    ],
)
def test_who_takes_part_is_not_amended_once_the_draw_is_known(bounded, change):
    launch(bounded, PILOT)
    draft(bounded, PILOT, (BOUND[0], change[1]))
    with pytest.raises(Refused, match=r"draw anew: sample\.units_per_arm and sample\.attrition"):
        amend(bounded, PILOT, REASON)


def test_all_else_of_a_bounded_pilot_is_amended_as_ever(bounded):
    before = launch(bounded, PILOT).pilot.promise
    draft(bounded, PILOT, BOUND, ("will: bring visits", "will: bring more visits"))
    amend(bounded, PILOT, REASON)
    after = get_pilot(open_lab(bounded), PILOT).promise
    assert (after.version, after.sampled_frac) == (2, before.sampled_frac)


def test_a_launch_again_is_the_same_though_the_population_has_grown(bounded):
    first = launch(bounded, PILOT).pilot.promise
    again = freeze(bounded, PILOT).promise.model_copy(update={"sampled_frac": first.sampled_frac / 2})
    assert again.same_as(first)


def test_a_source_that_draws_its_own_arms_is_not_bounded_here():
    with pytest.raises(ValidationError, match="with `assignment: source` the system that exposes does that"):
        make_charter(assignment="source", sample={"units_per_arm": 40, "attrition": 0.1})


def test_a_smaller_plan_that_comes_to_the_same_sample_is_another_plan(bounded):
    """As an adversary tried: fewer units of whom more are said to be lost."""
    first = launch(bounded, PILOT).pilot.promise
    smaller = first.charter.sample.model_copy(update={"units_per_arm": 10, "attrition": 0.7})
    other = first.model_copy(update={"charter": first.charter.model_copy(update={"sample": smaller})})
    assert other.sampled_frac == first.sampled_frac
    assert redrawn(first, other) == [SAMPLED]
