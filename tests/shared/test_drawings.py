"""Drawings on pages: places are in proportion to the numbers, worked out by hand, and every number is said in words."""

from __future__ import annotations

import re

import pytest

from shared.evidence.model import ArmEvidence, Between, Day, DayEffect, Evidence, Health, SampleRatio, SegmentEffect
from shared.ui.forest import between, segments
from shared.ui.page import pages
from shared.ui.timeline import over_time, shares
from tests.shared.pilot_data import promised

# Six in a hundred of the drawing's width are free on both sides.
FREE, WIDE = 6.0, 88.0
NUMBER = re.compile(r' (?:x1|x2|y1|y2|cx|cy|x|y)="(-?[0-9.]+)%"')


@pytest.fixture(scope="module")
def promise():
    return promised(primary={"metric": "visit", "minimum_effect": 0.01}, secondary=["spend"])


def evidence(**more) -> Evidence:
    said = {
        "pilot": "spring-email", "promise": "sha256:0", "control": "control", "alpha": 0.05, "data": {},
        "exposures": 0, "outcomes": 0, "first_exposure": None, "last_exposure": None, "effects": (), "software": "none",
        "arms": tuple(ArmEvidence(arm=arm, planned_frac=0.5, units=100, moments={}) for arm in ("control", "letter")),
        "health": Health(sample_ratio=SampleRatio(chi2=None, p=None, deviation=None), multiple_units=0,
                         multiple_frac=None, conflicts={}),
    }  # fmt: skip
    return Evidence(**(said | more))


def primary(promise) -> str:
    [found] = promise.charter.primaries
    return found.metric


def test_two_arms_beside_each_other_stand_where_their_difference_is(promise):
    name = primary(promise)
    told_apart = Between(arm="card", other="letter", metric=name, estimate=-0.2, low=-0.3, high=-0.1)
    alike = Between(arm="card", other="poster", metric=name, estimate=0.02, low=-0.05, high=0.1)
    unknown = Between(arm="letter", other="poster", metric=name, problem="poster has no units")
    [found] = between(promise.charter, promise.metrics, [told_apart, alike, unknown])
    first, second, third = found.rows
    # From -0.3 to 0.1: none is three quarters of the way, -0.2 one quarter, -0.1 the half.
    assert found.none == pytest.approx(FREE + WIDE * 0.75)
    assert (first.low, first.mid, first.high) == pytest.approx((FREE, FREE + WIDE * 0.25, FREE + WIDE * 0.5))
    assert (first.word, second.word) == ("letter is better", "Neither is shown to be better")
    assert (third.mid, third.word, third.told) == (
        None, "Could not be checked", "letter less poster: poster has no units",
    )  # fmt: skip
    assert [tick for _, tick in found.ticks] == ["−30", "−20", "−10", "0", "+10"]


def test_a_metric_that_should_fall_is_better_where_it_is_lower(promise):
    name = primary(promise)
    metrics = promise.metrics | {name: promise.metrics[name].model_copy(update={"direction": "decrease"})}
    [found] = between(
        promise.charter, metrics, [Between(arm="a", other="b", metric=name, estimate=-0.2, low=-0.3, high=-0.1)]
    )
    assert found.rows[0].word == "a is better"


def level(promise, name, at, **more):
    said = {"segment": "region", "level": name, "arm": "letter", "metric": primary(promise), "units": (120, 110)}
    effect = {} if at is None else {"estimate": at, "low": at - 0.05, "high": at + 0.05}
    return SegmentEffect(**said, **effect, **more)


def test_each_level_of_a_segment_has_its_row_and_its_customers(promise):
    found = evidence(segments=(
        level(promise, "north", 0.05), level(promise, None, 0.15),
        level(promise, "a\u202eb", None, problem="too few"),
    ))  # fmt: skip
    [drawn] = segments(promise.charter, promise.metrics, found)
    assert drawn.part == "By region"
    assert [(row.label, row.word) for row in drawn.rows] == [
        ("north", "120 and 110"), ("(none)", "120 and 110"), (r"a\u202eb", "Could not be checked"),
    ]  # fmt: skip
    # From 0 to 0.2: the first one's middle is a quarter of the way.
    assert drawn.rows[0].mid == pytest.approx(FREE + WIDE * 0.25)


def test_of_a_segment_with_very_many_levels_the_first_are_drawn_and_the_rest_is_counted(promise):
    [drawn] = segments(promise.charter, promise.metrics, evidence(segments=tuple(
        level(promise, f"store {number}", 0.1) for number in range(50)
    )))  # fmt: skip
    assert (len(drawn.rows), drawn.part) == (40, "By region; 10 more are in the evidence")


def day(promise, number, estimate, units=(50, 50)):
    effect = DayEffect(
        arm="letter", metric=primary(promise), estimate=estimate, low=estimate - 0.1, high=estimate + 0.1
    )
    return Day(day=f"2026-01-{number:02}", units=dict(zip(("control", "letter"), units, strict=True)), p=1.0,
               effects=(effect,))  # fmt: skip


def test_days_run_from_left_to_right_and_effects_from_bottom_to_top(promise):
    days = (day(promise, 5, 0.1), day(promise, 6, 0.3), day(promise, 7, 0.2))
    [drawn] = over_time(promise.charter, promise.metrics, evidence(days=days))
    [course] = drawn.courses
    # From 0 to 0.4, downwards: 0.1 is three quarters of the way down, 0.3 one quarter, 0.2 the half.
    assert [point.mid for point in course.points] == pytest.approx(
        [94 - WIDE * 0.25, 94 - WIDE * 0.75, 94 - WIDE * 0.5]
    )
    assert [point.at for point in course.points] == [12.0, 54.0, 96.0]
    assert drawn.none == 94.0
    assert course.points[1].told == "letter, 2026-01-06: +30.0 points, probably 20.0 to 40.0"


def test_one_day_is_no_course(promise):
    alone = evidence(days=(day(promise, 5, 0.1),))
    assert list(over_time(promise.charter, promise.metrics, alone)) == []
    assert shares(alone) is None


def test_days_without_anybody_have_no_share(promise):
    days = (day(promise, 5, 0.1), day(promise, 6, 0.1, units=(0, 0)), day(promise, 7, 0.1, units=(30, 50)))
    drawn = shares(evidence(days=days))
    assert [len(course.points) for course in drawn.courses] == [2, 2]
    told = [course.points[1].told for course in drawn.courses]
    # 30 of 80 are 37.5 %, a half was planned.
    assert told == [
        "control, 2026-01-07: -12.5 points from its planned share",
        "letter, 2026-01-07: +12.5 points from its planned share",
    ]
    # One arm of two with a half each: 3.29 standard deviations of a day of 80 are 18.4 points.
    assert "within 18.4 on the smallest day" in drawn.note
    assert [course.shade for course in drawn.courses] == [0, 1]


def test_every_place_lies_in_the_drawing_and_every_number_behind_it(promise):
    days = tuple(day(promise, number, (-1) ** number / number) for number in range(1, 29))
    [drawn] = over_time(promise.charter, promise.metrics, evidence(days=days))
    template = pages("lab").from_string('{% from "timeline.html.j2" import timeline %}{{ timeline(one) }}')
    html = template.render(one=drawn)
    places = [float(each) for each in NUMBER.findall(html)]
    assert len(places) > 28 * 6
    assert all(0 <= each <= 100 for each in places)
    assert html.count("<li>letter, 2026-01-") == 28
    assert len(drawn.days) <= 6
