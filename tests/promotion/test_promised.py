"""What a scaled arm promises: the raw estimate, less the luck of those who are chosen, by a prior that it names."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.meta_analysis import combine_effects
from typer.testing import CliRunner

from promotion.cli import app
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.gate.promised import past_pilots
from promotion.queue.judgements import promises
from shared.stats.prior import PILOTS_MIN
from shared.trust.attestation import Predicate
from shared.trust.candidate import EVIDENCE
from shared.ui.console import Session
from tests.makers import OWNER
from tests.promotion.cases import GOOD, INSIGHT, REASON, Recorded

# Of 200 units each, 20 and 60 visit; Welch's variance divides by n - 1.
ESTIMATE, SE = 0.2, math.sqrt(0.1 * 0.9 / 199 + 0.3 * 0.7 / 199)
MINIMUM = 0.05  # of the charter, and the default prior's scale
VISITS = (22, 25, 28, 31, 34, 37, 40, 43, 46, 60)


def past(stage, number, visits, word="stop", **changes):
    """A pilot that was decided before."""
    charter = {"pilot": f"past-{number}", **changes.pop("charter", {})}
    candidate = stage.submit(charter=charter, arms={**GOOD, "letter": Recorded(visits=visits)}, **changes)
    decide(stage.workspace, f"past-{number}", Asked(word, OWNER, REASON, insight=INSIGHT))
    return candidate


def run(stage, *words):
    result = CliRunner().invoke(app, words, obj=Session(stage.workspace.root))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_without_past_pilots_the_default_prior_shrinks_and_says_so(stage):
    stage.submit()
    [found] = stage.decide("scale").attestation.predicate.promised
    kept = MINIMUM**2 / (MINIMUM**2 + SE**2)
    half = stats.norm.ppf(0.975) * SE * math.sqrt(kept)
    assert (found.metric, found.estimate, found.se) == ("visit", pytest.approx(ESTIMATE), pytest.approx(SE))
    assert (found.mean, found.low, found.high) == pytest.approx((kept * 0.2, kept * 0.2 - half, kept * 0.2 + half))
    assert found.prior.model_dump() == {"mean": 0.0, "sd": MINIMUM, "df": None, "pilots": 0}


def test_with_enough_past_pilots_the_prior_is_fitted_on_what_they_showed(stage):
    for number, visits in enumerate(VISITS):
        past(stage, number, visits)
    case = stage.case()
    [found] = promises(case)["letter"]
    # DerSimonian and Laird by statsmodels; the posterior by scipy's integration.
    effects = np.array([(visits - 20) / 200 for visits in VISITS])
    variances = np.array([(v / 200 * (1 - v / 200) + 0.09) / 199 for v in VISITS])
    fitted = combine_effects(effects, variances, method_re="dl")
    mean, sd = fitted.mean_effect_re, math.sqrt(fitted.tau2 + fitted.sd_eff_w_re**2)
    assert (found.prior.mean, found.prior.sd) == pytest.approx((mean, sd), rel=1e-9)
    assert (found.prior.df, found.prior.pilots) == (PILOTS_MIN - 2, PILOTS_MIN)

    def density(x):
        return stats.norm.pdf(0.2, x, SE) * stats.t.pdf((x - mean) / sd, PILOTS_MIN - 2)

    whole = integrate.quad(density, -1, 1, points=[mean, 0.2], epsabs=0)[0]
    expected = integrate.quad(lambda x: x * density(x), -1, 1, points=[mean, 0.2], epsabs=0)[0] / whole
    assert found.mean == pytest.approx(expected, rel=1e-7)
    assert mean < found.mean < ESTIMATE
    told = run(stage, "check", "spring-email")
    assert f"letter: visit: measured 20.0 points more; expect +{100 * expected:.2f} pp after launch [" in told
    assert "by 10 past pilots" in told


@pytest.mark.proof
def test_only_sound_pilots_that_were_decided_here_count(stage):
    def names(now):
        return [one.promise.charter.pilot for one in past_pilots(now)]

    past(stage, 1, 30)
    past(stage, 2, 60, word="scale")
    tampered = past(stage, 3, 30)
    stage.submit(charter={"pilot": "past-4"})  # nobody has decided on it
    lopsided = {"control": Recorded(units=400), "letter": Recorded(units=300)}
    stage.submit(charter={"pilot": "past-5"}, arms=lopsided)
    decide(stage.workspace, "past-5", Asked("stop", OWNER, REASON, insight=INSIGHT))
    case = stage.case()
    assert names(case) == ["past-1", "past-2", "past-3"]
    path = tampered.folder / EVIDENCE
    path.write_bytes(path.read_bytes().replace(b'"estimate":', b'"estimate": '))
    assert names(case) == ["past-1", "past-2"]
    stage.decide("scale")
    assert names(case) == ["past-1", "past-2"]  # a pilot is no witness for itself


@pytest.mark.proof
def test_a_metric_that_was_defined_otherwise_or_did_not_decide_says_nothing_of_this_one(stage):
    for number, visits in enumerate(VISITS[1:]):
        past(stage, number, visits)
    other = {"primary": {"metric": "conversion", "minimum_effect": 0.01}, "secondary": ["visit"]}
    past(stage, 9, 30, charter=other)
    case = stage.case()
    assert len(past_pilots(case)) == PILOTS_MIN
    assert [one.prior.pilots for one in promises(case)["letter"]] == [0]
    catalogue = stage.workspace.configs / "metrics.yaml"
    text = catalogue.read_text()
    catalogue.write_text(text.replace("    column: visit\n", "    column: visit\n    window_days: 7\n"))
    past(stage, 10, 30)
    catalogue.write_text(text)
    case = stage.case()
    assert len(past_pilots(case)) == PILOTS_MIN + 1
    assert [one.prior.pilots for one in promises(case)["letter"]] == [0]
    past(stage, 11, 30)
    assert [one.prior.pilots for one in promises(stage.case())["letter"]] == [PILOTS_MIN]


def test_the_decision_says_what_it_promises_and_only_scale_promises(stage):
    stage.submit()
    asked = ("decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON)
    said = json.loads(run(stage, *asked, "--json"))
    [promised] = said["promised"]
    assert promised["metric"] == "visit"
    assert promised["estimate"] == pytest.approx(ESTIMATE)
    told = run(stage, *asked)  # a repeated decision tells what was signed
    assert f"letter: visit: measured 20.0 points more; expect +{100 * promised['mean']:.2f} pp after launch [" in told
    assert "by the default prior" in told


def test_to_stop_promises_nothing(stage):
    stage.submit()
    assert stage.decide("stop").attestation.predicate.promised == ()


def test_the_check_tells_what_each_arm_would_promise(stage):
    stage.submit()
    told = json.loads(run(stage, "check", "spring-email", "--json"))
    [promised] = told["promised"]["letter"]
    assert promised == stage.decide("scale").attestation.predicate.promised[0].model_dump(mode="json")


def test_an_effect_that_cannot_be_computed_promises_nothing(stage):
    assert promises(stage.case(arms={"control": Recorded()})) == {}


def test_an_attestation_of_before_has_no_promise(stage):
    stage.submit()
    content = stage.decide("scale").attestation.predicate.model_dump(mode="json")
    del content["promised"]
    assert Predicate.model_validate(content).promised == ()
