"""Analysis: the numbers of what was recorded, once per content, and never final before the end."""

from __future__ import annotations

import math
import shutil

import pytest

from lab.analysis.analysis import analyse, is_current, latest
from lab.intake.intake import record
from lab.launch.launch import end
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from tests.lab_makers import (
    AFTER,
    INSIDE,
    PILOT,
    STARTS,
    Step,
    by_arm,
    copy_of,
    do_analyse,
    exposures_only,
    results,
    run_child,
    stage_copy,
    staged,
    write_csv,
)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """The analysis of the stage where the pilot is submitted; look, and change nothing."""
    workspace = staged(tmp_path_factory.getbasetemp(), "submitted")
    room = open_lab(workspace)
    return latest(room, get_pilot(room, PILOT))


def test_units_and_means_are_those_of_the_file(analysed, launched):
    sizes = {arm: len(members) for arm, members in by_arm(launched).items()}
    evidence = analysed.evidence
    assert {arm.arm: arm.units for arm in evidence.arms} == sizes
    for arm, size in sizes.items():
        visitors = math.ceil(size / (2 if arm == "letter" else 10))
        moments = evidence.arm(arm).moments
        assert moments["visit"].mean == pytest.approx(visitors / size, rel=1e-12)
        # n p (1 - p) is a proportion's sum of squared deviations.
        assert moments["visit"].m2 == pytest.approx(visitors * (1 - visitors / size), rel=1e-12)
        assert moments["spend"].mean == pytest.approx(10 * visitors / size, rel=1e-12)
        assert moments["spend"].m2 == pytest.approx(100 * visitors * (1 - visitors / size), rel=1e-12)


def test_effect_and_sample_ratio_by_hand(analysed, launched):
    sizes = {arm: len(members) for arm, members in by_arm(launched).items()}
    p1, p0 = (math.ceil(sizes[arm] / step) / sizes[arm] for arm, step in (("letter", 2), ("control", 10)))
    effect = analysed.evidence.effect("letter", "visit")
    se = math.sqrt(p1 * (1 - p1) / (sizes["letter"] - 1) + p0 * (1 - p0) / (sizes["control"] - 1))
    assert effect.estimate == pytest.approx(p1 - p0, rel=1e-12)
    # Half of the interval is the t quantile times se; beyond 200 degrees of freedom that is 1.96 to 1.98.
    assert 1.96 * se < effect.high - effect.estimate < 1.98 * se
    assert effect.relative == pytest.approx(p1 / p0 - 1, rel=1e-12)
    ratio = analysed.evidence.health.sample_ratio
    chi2 = sum((size - 200) ** 2 / 200 for size in sizes.values())
    assert ratio.chi2 == pytest.approx(chi2, rel=1e-9)
    # The upper tail of a chi-square with two degrees of freedom is exp(-x / 2).
    assert ratio.p == pytest.approx(math.exp(-chi2 / 2), rel=1e-9)


def test_the_evidence_names_the_data_and_the_promise_behind_it(analysed):
    evidence, data = analysed.evidence, analysed.folder / "data"
    assert evidence.data == {path.name: digest_file(path) for path in data.iterdir()}
    assert evidence.promise == analysed.pilot.promise.digest
    assert (evidence.exposures, evidence.outcomes) == (600, 600)
    assert evidence.first_exposure == evidence.last_exposure == "2026-01-06T09:00:00Z"
    assert not analysed.interim
    assert analysed.covers_until == analysed.pilot.ends


def test_the_same_data_again_is_a_no_op(submitted):
    before = len(open_lab(submitted).entries())
    assert analyse(submitted, PILOT).repeated
    assert len(open_lab(submitted).entries()) == before


def test_the_order_in_which_files_came_does_not_matter(launched, analysed, tmp_path):
    launched.clock.set(INSIDE)
    content = results(launched)
    for number, chunk in enumerate((content[400:], content[:400][::-1])):
        record(launched, PILOT, write_csv(tmp_path / f"{number}.csv", chunk))
    found = analyse(launched, PILOT).evidence
    for arm in analysed.evidence.arms:
        same = found.arm(arm.arm)
        assert same.units == arm.units
        for name, moments in arm.moments.items():
            assert same.moments[name].mean == pytest.approx(moments.mean, rel=1e-12)
            assert same.moments[name].m2 == pytest.approx(moments.m2, rel=1e-12)


def test_a_last_digit_that_differs_does_not_make_another_analysis(submitted, monkeypatch):
    import lab.analysis.analysis

    real = lab.analysis.analysis.compute

    def otherwise(*arguments):
        evidence = real(*arguments)
        arms = tuple(
            arm.model_copy(update={"moments": {
                name: m.model_copy(update={"m2": math.nextafter(m.m2, math.inf)}) for name, m in arm.moments.items()
            }}) for arm in evidence.arms
        )  # fmt: skip
        return evidence.model_copy(update={"arms": arms})

    monkeypatch.setattr(lab.analysis.analysis, "compute", otherwise)
    before = len(open_lab(submitted).entries())
    assert analyse(submitted, PILOT).repeated
    assert len(open_lab(submitted).entries()) == before


def test_an_analysis_whose_files_are_gone_is_made_again(submitted):
    shutil.rmtree(analyse(submitted, PILOT).folder)
    assert not analyse(submitted, PILOT).repeated
    assert analyse(submitted, PILOT).repeated


def test_before_the_end_numbers_are_interim_and_the_final_analysis_is_another_one(recorded):
    first = analyse(recorded, PILOT)
    assert first.interim
    assert first.covers_until < first.pilot.ends
    recorded.clock.set(AFTER)
    final = analyse(recorded, PILOT)
    assert (final.interim, final.repeated) == (False, False)
    assert final.evidence.data == first.evidence.data
    assert final.folder != first.folder


def test_closing_early_makes_what_came_in_the_whole_of_it(recorded):
    end(recorded, PILOT, "the printer broke")
    found = analyse(recorded, PILOT)
    assert not found.interim
    assert found.covers_until == found.pilot.ended_at


def test_new_data_make_an_analysis_stale(launched, tmp_path):
    launched.clock.set(STARTS.replace(day=8))
    content = exposures_only(results(launched))
    record(launched, PILOT, write_csv(tmp_path / "some.csv", content[:300]))
    first = analyse(launched, PILOT)
    record(launched, PILOT, write_csv(tmp_path / "more.csv", content[300:]))
    room = open_lab(launched)
    assert not is_current(room, first.pilot, first.evidence)
    second = analyse(launched, PILOT)
    assert (second.repeated, second.evidence.exposures) == (False, 600)
    assert latest(room, first.pilot).evidence == second.evidence


def test_nothing_recorded_is_nothing_to_analyse(launched):
    with pytest.raises(Refused, match="has no exposures yet"):
        analyse(launched, PILOT)
    assert latest(open_lab(launched), get_pilot(open_lab(launched), PILOT)) is None


def test_a_draft_has_no_analysis(loaded):
    with pytest.raises(BadInput, match="has not been launched"):
        analyse(loaded, PILOT)


@pytest.mark.proof
def test_killed_at_any_step_an_analysis_is_there_once_after_the_next_try(request, tmp_path):
    template = stage_copy(request, tmp_path / "template", "recorded")
    template.clock.set(AFTER)
    (template.lab / "mlflow.db").unlink()
    whole = copy_of(template, tmp_path / "whole")
    code, steps = run_child(do_analyse, whole.root)
    assert code == 0
    expected = latest(open_lab(whole), get_pilot(open_lab(whole), PILOT)).evidence
    last, written = len(steps), steps.index("replace")
    # In the middle of MLflow's own tables, in the middle of its run, and around each step of ours.
    points = [Step(30), Step(written - 3), Step(written + 2, after=True), Step(last, after=True)]
    for number, point in enumerate(points):
        cut = copy_of(template, tmp_path / f"cut-{number}")
        assert run_child(do_analyse, cut.root, die=point)[0] == -9
        analyse(cut, PILOT)
        room = open_lab(cut)
        found = latest(room, get_pilot(room, PILOT))
        assert found.evidence.data == expected.data
        assert [arm.units for arm in found.evidence.arms] == [arm.units for arm in expected.arms]
        assert {path.name for path in found.folder.iterdir()} == {
            "data", "evidence.json", "report.html", "effects.svg", "mlflow_run.json",
        }  # fmt: skip
        assert [entry.kind for entry in room.entries(PILOT)].count("analysed") == 1
        assert room.problems() == []
