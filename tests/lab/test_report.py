"""The report: complete in itself, and its words claim no more than the numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from lab.analysis import health, report
from lab.analysis.analysis import latest
from lab.analysis.conclusions import conclusion
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.money import Money
from shared.evidence.model import Effect, SampleRatio
from shared.experiment.charter import KillCriterion, Primary
from tests.lab_makers import AFTER, PILOT, STARTS, staged

COST = Money(amount="40.00", currency="USD")


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """The stage's analysis; look, and change nothing."""
    room = open_lab(staged(tmp_path_factory.getbasetemp(), "submitted"))
    return latest(room, get_pilot(room, PILOT))


def with_effects(evidence, **visit):
    """Evidence that holds, for the letter, this effect on visits and a harmless one on spend."""
    numbers = {"arm": "letter", "metric": "visit", "part": "primary", "estimate": 0.1, "low": 0.05, "high": 0.15,
               "p": 0.001, "p_adjusted": 0.002} | visit  # fmt: skip
    rail = Effect(arm="letter", metric="spend", part="guardrail", estimate=0.0, low=-0.5, high=0.5, p=1.0,
                  margin=-2.0, bound=-0.4, p_non_inferior=0.001)  # fmt: skip
    return evidence.model_copy(update={"effects": (Effect(**numbers), rail)})


def without_guardrails(pilot):
    """The pilot, had its charter none."""
    charter = pilot.charter.model_copy(update={"guardrails": ()})
    return replace(pilot, promise=pilot.promise.model_copy(update={"charter": charter}))


def test_the_page_needs_nothing_from_elsewhere(analysis):
    page = (analysis.folder / report.PAGE).read_text()
    links = set(re.findall(r"(?:https?:)?//[^\s\"'<>)]+", page))
    assert links == set()
    assert "<script" not in page
    assert "<link" not in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page.replace('xlink:href="#', 'href="#'))
    assert "<svg" in page


def test_the_page_says_what_was_asked_and_found(analysis):
    page = (analysis.folder / report.PAGE).read_text()
    assert "Because they came back after the last letter, we believe that a letter will bring visits." in page
    assert "40.00 USD of 100.00 USD" in page
    assert analysis.evidence.digest in page
    assert "Interim." not in page
    assert "Do not trust" not in page


def test_equal_evidence_is_an_equal_page(analysis, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        report.write(tmp_path / name, analysis.pilot, analysis.evidence,
                     cost=COST, interim=False, now=AFTER)  # fmt: skip
    for file in (report.PAGE, "effects.svg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_winner_rose_and_its_harm_is_ruled_out(analysis):
    assert conclusion(analysis.pilot, with_effects(analysis.evidence), "letter") == (
        "letter: visit rose by 10.0 points (between 5.0 points and 15.0 points); harm beyond the margin is ruled out "
        "for every guardrail."
    )


def test_between_looks_a_winner_is_one_so_far_which_decides_nothing(analysis):
    evidence = with_effects(analysis.evidence).model_copy(update={"standing": "descriptive"})
    told = conclusion(analysis.pilot, evidence, "letter")
    assert told.startswith("letter: so far, which decides nothing, visit rose by 10.0 points")


def test_harm_that_only_an_earlier_look_ruled_out_is_not_ruled_out(analysis):
    evidence = with_effects(analysis.evidence)
    margin = analysis.pilot.charter.guardrails[0].margin
    broken = evidence.effects[1].model_copy(update={"bound": 1.1 * margin})
    evidence = evidence.model_copy(update={"effects": (evidence.effects[0], broken)})
    told = conclusion(analysis.pilot, evidence, "letter")
    assert told.endswith("; harm to spend beyond its margin is not ruled out.")


def with_kill(pilot, worse_than):
    """The pilot, had its charter this kill criterion on visits."""
    kill = KillCriterion(metric="visit", worse_than=worse_than)
    charter = pilot.charter.model_copy(update={"kill_criteria": (kill,)})
    return replace(pilot, promise=pilot.promise.model_copy(update={"charter": charter}))


def test_a_kill_criterion_is_met_where_the_whole_interval_lies_beyond_it(analysis):
    evidence = with_effects(analysis.evidence, estimate=-0.1, low=-0.15, high=-0.05)
    [told] = report.warnings(with_kill(analysis.pilot, -0.04), evidence, running=True)
    assert told == (
        "Arm letter does harm: kill criterion met: visit -10.00 pp [-15.00, -5.00], all of it worse than -4.00 pp; "
        'close it: pilotplant lab end spring-mail --reason "kill criterion on visit"'
    )


@pytest.mark.parametrize("worse_than", [-0.05, -0.1, -0.2])
def test_a_kill_criterion_within_the_interval_is_not_met(analysis, worse_than):
    evidence = with_effects(analysis.evidence, estimate=-0.1, low=-0.15, high=-0.05)
    assert report.warnings(with_kill(analysis.pilot, worse_than), evidence, running=True) == []


def test_a_kill_criterion_is_not_met_by_what_cannot_be_evaluated(analysis):
    silent = {"estimate": None, "low": None, "high": None, "p": None, "p_adjusted": None, "problem": "no data"}
    evidence = with_effects(analysis.evidence, **silent)
    assert health.killed(with_kill(analysis.pilot, -0.04), evidence, running=True) == []


def test_several_primary_metrics_are_told_one_after_the_other(analysis):
    both = (Primary(metric="conversion", minimum_effect=0.01),)
    charter = analysis.pilot.charter.model_copy(update={"co_primary": both})
    pilot = replace(analysis.pilot, promise=analysis.pilot.promise.model_copy(update={"charter": charter}))
    text = conclusion(pilot, with_effects(analysis.evidence), "letter")
    assert text.startswith(
        "letter: visit rose by 10.0 points (between 5.0 points and 15.0 points); nothing can be said about conversion: "
        "no data;"
    )


def test_no_significant_difference_is_not_proof_of_none(analysis):
    evidence = with_effects(analysis.evidence, estimate=0.01, low=-0.04, high=0.06, p=0.7, p_adjusted=0.7)
    text = conclusion(analysis.pilot, evidence, "letter")
    assert text.startswith(
        "letter: no difference in visit was shown (+1.00 pp [-4.00, 6.00]); that is not proof of none"
    )


def test_a_loss_is_called_worse(analysis):
    evidence = with_effects(analysis.evidence, estimate=-0.1, low=-0.15, high=-0.05)
    text = conclusion(analysis.pilot, evidence, "letter")
    assert text.startswith("letter: visit fell by 10.0 points (between 5.0 points and 15.0 points), which is worse;")


@pytest.mark.parametrize("p", [0.3, None])
def test_harm_that_is_not_ruled_out_is_said(analysis, p):
    evidence = with_effects(analysis.evidence)
    rail = evidence.effects[1].model_copy(update={"p_non_inferior": p})
    evidence = evidence.model_copy(update={"effects": (evidence.effects[0], rail)})
    text = conclusion(analysis.pilot, evidence, "letter")
    assert text.endswith("; harm to spend beyond its margin is not ruled out.")


def test_a_guardrail_without_an_effect_rules_nothing_out(analysis):
    evidence = with_effects(analysis.evidence)
    evidence = evidence.model_copy(update={"effects": evidence.effects[:1]})
    text = conclusion(analysis.pilot, evidence, "letter")
    assert text.endswith("; harm to spend beyond its margin is not ruled out.")


def test_without_a_guardrail_nothing_says_that_it_did_no_harm(analysis):
    text = conclusion(without_guardrails(analysis.pilot), with_effects(analysis.evidence), "letter")
    assert text.endswith("; no guardrail was declared, so nothing says that it did no harm.")


def test_what_cannot_be_evaluated_is_not_concluded_from(analysis):
    none = dict.fromkeys(("estimate", "low", "high", "p", "p_adjusted"))
    evidence = with_effects(analysis.evidence, **none, problem="the letter arm has 1 unit")
    text = conclusion(analysis.pilot, evidence, "letter")
    assert text == "letter: nothing can be said about visit: the letter arm has 1 unit."


def test_arms_of_the_wrong_size_are_warned_of_before_the_conclusions(analysis, tmp_path):
    health = analysis.evidence.health.model_copy(
        update={"sample_ratio": SampleRatio(chi2=20.0, p=4.5e-5, deviation=0.05)}
    )
    evidence = analysis.evidence.model_copy(update={"health": health, "standing": "descriptive"})
    report.write(tmp_path, analysis.pilot, evidence, cost=COST, interim=True, now=AFTER)
    page = (tmp_path / report.PAGE).read_text()
    assert 0 < page.index("Do not trust these effects: ") < page.index("What may be said")
    assert "Interim." in page


def test_a_pilot_that_was_closed_early_says_so_before_the_conclusions(analysis, tmp_path):
    pilot = replace(analysis.pilot, ended_at=STARTS + timedelta(days=3, hours=5))
    report.write(tmp_path, pilot, analysis.evidence, cost=COST, interim=False, now=AFTER)
    page = (tmp_path / report.PAGE).read_text()
    told = "Closed early on 2026-01-08, after 3 of 14 days: these numbers cannot lead to <em>scale</em>."
    assert 0 < page.index(told) < page.index("What may be said")


def test_a_sound_analysis_warns_of_nothing(analysis):
    assert report.warnings(analysis.pilot, analysis.evidence, running=False) == []


def test_words_of_a_charter_cannot_become_markup(analysis, tmp_path):
    hypothesis = analysis.pilot.charter.hypothesis.model_copy(update={"because": "<script>alert(1)</script>"})
    charter = analysis.pilot.charter.model_copy(update={"hypothesis": hypothesis})
    pilot = replace(analysis.pilot, promise=analysis.pilot.promise.model_copy(update={"charter": charter}))
    report.write(tmp_path, pilot, analysis.evidence, cost=COST, interim=False, now=AFTER)
    page = (tmp_path / report.PAGE).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
