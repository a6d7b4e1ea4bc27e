"""Charters: what hangs together, what does not, and that a charter prints back to itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.core.errors import BadInput
from shared.core.printable import hidden
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter, Layer, Promise, TimeBox, measured_by
from shared.experiment.metrics import Catalogue, Metric
from tests.makers import make_charter

PLAY = make_charter().model_dump(mode="json")["arms"][1]["play"]
# What nobody can see is refused where a file is read.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda text: not hidden(text))
names = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,20}\Z")
numbers = st.floats(1e-6, 1e6)
cents = st.decimals(0, 10**6, places=2)
column = st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z")
columns = st.lists(column, max_size=3, unique=True)
layers = st.builds(
    lambda name, cut: {"name": name, "start": cut / 100, "end": (cut + 1) / 100}, names, st.integers(0, 99)
)
looks = st.sampled_from(
    [
        {"method": "fixed"},
        {"method": "group_sequential", "at": [0.25, 0.5, 1], "spending": "pocock"},
        {"method": "always_valid"},
    ]
)


@st.composite
def charters(draw):
    start = draw(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
    end = start + timedelta(weeks=draw(st.integers(1, 8)))
    control, *treatments = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    weights = st.decimals("0.01", 100, places=2)
    metrics = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(1, len(metrics)))
    return make_charter(
        draw(names),
        hypothesis={"because": draw(texts), "we_believe": draw(texts), "will": draw(texts)},
        risk_tier=draw(st.sampled_from(["low", "standard", "high"])),
        population=draw(texts),
        assignment=draw(st.sampled_from(["pilotplant", "source"])),
        synthetic=draw(st.booleans()),
        arms=[
            {"name": control, "weight": draw(weights)},
            *({"name": name, "weight": draw(weights), "play": {**PLAY, "subject": draw(texts)}} for name in treatments),
        ],
        primary={"metric": metrics[0], "minimum_effect": draw(numbers)},
        guardrails=[{"metric": metric, "margin": -draw(numbers)} for metric in metrics[1:cut]],
        secondary=metrics[cut:],
        kill_criteria=[{"metric": metrics[0], "worse_than": -draw(numbers)}] if draw(st.booleans()) else [],
        covariates=draw(columns),
        segments=draw(columns),
        cluster=draw(st.none() | column),
        layer=draw(st.none() | layers),
        sample={
            "alpha": draw(st.floats(0.001, 0.2)),
            "units_per_arm": draw(st.integers(2, 10**6)),
            "looks": draw(looks),
        },
        time_box={"start": start, "end": end, "timezone": draw(st.sampled_from(["UTC", "Europe/Berlin"]))},
        decide_by=end + timedelta(days=draw(st.integers(0, 30))),
        budget={"media": draw(cents), "ai": draw(cents), "currency": "EUR"},
    )


def promise(charter):
    return Promise(charter=charter, metrics={}, files={"audience.sql": "sha256:1"})


@given(charter=charters())
def test_a_charter_prints_back_to_itself(tmp_path_factory, charter):
    path = tmp_path_factory.mktemp("charter") / "charter.yaml"
    path.write_text(yaml.safe_dump(charter.model_dump(mode="json")), encoding="utf-8")
    assert read_yaml(path, Charter) == charter


@pytest.mark.check
@given(charter=charters())
def test_a_charter_that_was_printed_keeps_its_digest(tmp_path_factory, charter):
    path = tmp_path_factory.mktemp("charter") / "charter.yaml"
    path.write_text(yaml.safe_dump(charter.model_dump(mode="json")), encoding="utf-8")
    assert promise(read_yaml(path, Charter)).digest == promise(charter).digest


@pytest.mark.check
@given(charter=charters())
def test_a_promise_survives_its_json_form(charter):
    assert Promise.model_validate(promise(charter).as_json()).digest == promise(charter).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"synthetic": True},
        {"decide_by": "2026-02-01"},
        {"primary": {"metric": "visit", "minimum_effect": 0.02}},
        {"budget": {"media": Decimal("10.01"), "currency": "USD"}},
    ],
)
def test_any_changed_word_changes_the_digest(changes):
    assert promise(make_charter(**changes)).digest != promise(make_charter()).digest


def test_a_changed_file_changes_the_digest():
    other = promise(make_charter()).model_copy(update={"files": {"audience.sql": "sha256:2"}})
    assert other.digest != promise(make_charter()).digest


def arms(*controls, treatments=("letter",)):
    return [{"name": name} for name in controls] + [{"name": name, "play": PLAY} for name in treatments]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": arms("control", treatments=())}, "at least two arms, this one has 1"),
        ({"arms": []}, "at least two arms, this one has 0"),
        ({"arms": arms("a", "b")}, "these have none: a, b"),
        ({"arms": arms(treatments=("a", "b"))}, "every arm has one"),
        ({"arms": arms("letter")}, "two arms have the same name"),
        ({"secondary": ["visit"]}, "a metric has one part only"),
        ({"co_primary": [{"metric": "visit", "minimum_effect": 1}]}, "a metric has one part only"),
        ({"guardrails": [{"metric": "visit", "margin": -1}]}, "a metric has one part only"),
        ({"secondary": ["a", "a"]}, "a metric has one part only"),
        ({"decide_by": "2026-01-18"}, "before the time box ends"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-05"}}, "before it has begun"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-14"}}, "9 days are not whole weeks; end on 2026-01-12"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-08"}}, "3 days are not whole weeks; end on 2026-01-12"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-19", "timezone": "Mars"}}, "no such time zone"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-19", "enrol_until": "2026-01-05"}}, "is not within"),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-19", "enrol_until": "2026-01-20"}}, "is not within"),
        ({"budget": {"media": "-1", "currency": "USD"}}, "no part of a budget is below zero"),
        ({"budget": {"media": "1e40", "currency": "USD"}}, "an amount"),
        ({"budget": {"media": "1", "currency": "usd"}}, "pattern"),
        ({"primary": {"metric": "visit", "minimum_effect": 0}}, "greater than 0"),
        ({"primary": {"metric": "visit", "minimum_effect": float("nan")}}, "finite"),
        ({"guardrails": [{"metric": "spend", "margin": float("inf")}]}, "finite"),
        ({"sample": {"units_per_arm": 1}}, "greater than or equal to 2"),
        ({"sample": {"units_per_arm": 10, "alpha": 0}}, "greater than 0"),
        ({"sample": {"units_per_arm": 10, "alpha": 0.5}}, "less than or equal to 0.2"),
        ({"sample": {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 0.9]}}}, "rise to 1"),
        ({"sample": {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 0.5, 1]}}}, "rise to 1"),
        ({"sample": {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [1]}}}, "at least 2 items"),
        ({"sample": {"units_per_arm": 10, "looks": {"method": "weekly"}}}, "'always_valid'"),
        ({"layer": {"name": "mail", "start": 0.5, "end": 0.5}}, "holds nobody"),
        ({"layer": {"name": "mail", "end": 1.5}}, "less than or equal to 1"),
        ({"kill_criteria": [{"metric": "spend", "worse_than": -1}]}, "neither primary, guardrail nor secondary"),
        ({"segments": ["channel", "channel"]}, "`segments` names something twice"),
        ({"cluster": "House hold"}, "pattern"),
        ({"owner": "nobody"}, "pattern"),
        ({"pilot": "Spring Mail"}, "pattern"),
        ({"pilot": "../spring"}, "pattern"),
        ({"pilot": "x" * 64}, "pattern"),
        ({"pilot": "spring\n"}, "pattern"),
        ({"schema_version": 2}, "Input should be 1"),
        ({"extra": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_charter_that_does_not_hang_together_is_refused_with_the_reason(changes, words):
    with pytest.raises(ValidationError) as caught:
        make_charter(**{"pilot": "spring-email", **changes})
    assert words in str(caught.value)


@pytest.mark.parametrize("weight", ["0", "-1", "NaN", "Infinity"])
def test_a_weight_that_draws_nobody_is_refused(weight):
    with pytest.raises(ValidationError):
        make_charter(arms=[{"name": "control", "weight": weight}, *arms()])


def test_weights_are_exact():
    charter = make_charter(arms=[{"name": "control", "weight": 0.1}, {**arms()[0], "weight": "0.2"}])
    assert charter.weights == {"control": Fraction(1, 10), "letter": Fraction(1, 5)}


def test_the_control_is_the_arm_without_a_play():
    assert make_charter().control.name == "control"


def test_the_treatments_are_the_others():
    assert [arm.name for arm in make_charter().treatments] == ["letter"]


def test_an_arm_that_can_be_scaled_has_its_play():
    assert make_charter().play("letter").template == "message.txt"


@pytest.mark.parametrize("name", ["control", "card"])
def test_an_arm_that_cannot_be_scaled_comes_with_those_that_can(name):
    with pytest.raises(BadInput) as caught:
        make_charter().play(name)
    assert caught.value.expected == "one of: letter"


def test_measured_metrics_come_primary_first_then_guardrails_then_secondary():
    charter = make_charter(
        co_primary=[{"metric": "basket", "minimum_effect": 2}],
        guardrails=[{"metric": "spend", "margin": -1}],
        secondary=["conversion"],
    )
    assert charter.measured == ("visit", "basket", "spend", "conversion")
    assert (charter.primary_of("basket"), charter.primary_of("spend")) == (charter.co_primary[0], None)


def test_a_budget_is_the_sum_of_its_parts_by_hand():
    charter = make_charter(budget={"media": 0.1, "ai": 0.2, "infrastructure": "0.05", "currency": "EUR"})
    assert str(charter.budget.total) == "0.35 EUR"


# Berlin is one hour ahead of UTC in winter and two in summer; in 2026 the clocks change on 29 March.
@pytest.mark.parametrize(
    ("day", "moment"),
    [
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (date(2026, 3, 30), datetime(2026, 3, 29, 22, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_its_own_midnight(day, moment):
    box = TimeBox(start=date(2026, 3, 23), end=date(2026, 4, 6), timezone="Europe/Berlin")
    assert box.moment(day) == moment


def test_the_owner_has_until_the_end_of_the_day():
    assert make_charter(decide_by="2026-01-31").deadline == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def catalogue():
    def metric(direction):
        return Metric(kind="mean", column="x", unit="USD", direction=direction)

    return Catalogue(
        schema_version=1,
        metrics={"visit": metric("increase"), "spend": metric("increase"), "complaints": metric("decrease")},
    )


def test_the_definitions_of_measured_metrics_are_found(catalogue):
    charter = make_charter(guardrails=[{"metric": "complaints", "margin": 0.1}])
    assert list(measured_by(charter, catalogue)) == ["visit", "complaints"]


@pytest.mark.parametrize(("metric", "margin"), [("spend", 0.1), ("spend", 0), ("complaints", -0.1), ("complaints", 0)])
def test_a_margin_on_the_good_side_is_refused(catalogue, metric, margin):
    with pytest.raises(BadInput, match="the margin of guardrail"):
        measured_by(make_charter(guardrails=[{"metric": metric, "margin": margin}]), catalogue)


@pytest.mark.parametrize(("metric", "harm"), [("spend", 0.1), ("spend", 0), ("complaints", -0.1)])
def test_a_kill_criterion_on_the_good_side_is_refused(catalogue, metric, harm):
    charter = make_charter(secondary=[metric], kill_criteria=[{"metric": metric, "worse_than": harm}])
    with pytest.raises(BadInput, match="`worse_than` of the kill criterion"):
        measured_by(charter, catalogue)


# Slices of a line: two meet where each begins before the other ends; a common end is no meeting.
@pytest.mark.parametrize(
    ("name", "start", "end", "meets"),
    [("mail", 0, 1, True), ("mail", "0.4", "0.6", True), ("mail", "0.5", 1, False), ("page", 0, 1, False)],
)
def test_slices_of_one_layer_that_meet_overlap(name, start, end, meets):
    first, second = Layer(name="mail", end="0.5"), Layer(name=name, start=start, end=end)
    assert (first.overlaps(second), second.overlaps(first)) == (meets, meets)


def test_a_slice_knows_its_share_exactly():
    assert Layer(name="mail", start=0.1, end=0.4).frac == Fraction(3, 10)


def test_an_unknown_metric_comes_with_the_known_ones(catalogue):
    with pytest.raises(BadInput) as caught:
        measured_by(make_charter(secondary=["clicks"]), catalogue)
    assert caught.value.expected == "one of: complaints, spend, visit"


def test_a_name_that_no_release_could_have_is_never_signed():
    assert make_charter("p" * 56).pilot  # and `-letter` makes 63
    with pytest.raises(ValidationError, match=r"would be called `p{57}-letter`, 64 characters; at most 63"):
        make_charter("p" * 57)


def following(spent, **sample):
    """A charter of a line that has spent so much."""
    follows = {"pilot": "autumn", "candidate": "sha256:1", "change": "all of it", "alpha_spent": spent}
    return make_charter(sample={"units_per_arm": 10, **sample}, **({"follows": follows} if spent is not None else {}))


@pytest.mark.parametrize(("spent", "left"), [(None, 0.05), (0.0, 0.05), (0.05, 0.025), (0.1, 0.0125), (0.15, 0.00625)])
def test_each_alpha_that_a_line_has_spent_halves_the_next_one_by_hand(spent, left):
    assert following(spent).alpha == pytest.approx(left)


def test_a_line_of_any_length_errs_at_most_twice_as_often_as_one_pilot():
    # 1 + 1/2 + 1/4 + ... stays below 2.
    assert 0.0999 < sum(following(0.05 * n).alpha for n in range(60)) <= 0.1


def test_guardrails_have_an_alpha_of_their_own_where_the_plan_gives_one():
    assert following(None).guardrail_alpha == 0.05
    assert following(None, guardrail_alpha=0.1).guardrail_alpha == 0.1
    assert following(0.05, guardrail_alpha=0.1).guardrail_alpha == pytest.approx(0.05)


def test_what_came_into_the_charter_later_leaves_earlier_digests_alone():
    """The digest of the tests' charter as it was computed before there were strata and a guardrails' alpha."""
    promise = Promise(charter=make_charter(), metrics={}, files={})
    assert promise.digest == "sha256:a6f4161f98f5b17129f9c745101e920ad2a55d6d8d6e630ddbb5204c474feda3"
    box = {"start": "2026-01-05", "end": "2026-01-19", "enrol_until": "2026-01-12"}
    later = make_charter(strata="zip_code", sample={"units_per_arm": 10, "guardrail_alpha": 0.1}, time_box=box)
    said = Promise(charter=later, metrics={}, files={})
    assert Promise.model_validate(said.as_json()) == said
