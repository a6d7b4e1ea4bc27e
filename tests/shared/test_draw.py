"""The draw: shares that hold, draws that know nothing of each other, and units that stay where they are."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from shared.core.errors import Refused
from shared.experiment.assignment import assign, boundaries, bucket, pilot_salt, sample_salt, within, within_sql
from shared.experiment.charter import Layer, Promise
from shared.experiment.draw import CLUSTERLESS, HELD_OUT, NOT_SAMPLED, OUTSIDE_SLICE, SAMPLED, Draw, redrawn, what_draws
from tests.makers import make_charter

UNITS = [f"u_{number:032x}" for number in range(20_000)]
# Fixed units and salts: these p-values are numbers that never change, so that the bound needs no margin for luck.
P_MIN = 0.001
THIRDS = {"a": Fraction(1), "b": Fraction(2), "c": Fraction(3)}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shares = st.fractions(0, 1, max_denominator=1000)
weights = st.lists(st.integers(1, 100), min_size=2, max_size=5)
draws = st.builds(
    Draw,
    salt=texts.map(pilot_salt),
    weights=weights.map(lambda values: {f"arm-{n}": Fraction(value) for n, value in enumerate(values)}),
    layer=st.none()
    | st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True).map(
        lambda ends: Layer(name="mail", start=f"{min(ends) / 100}", end=f"{max(ends) / 100}")
    ),
    workspace=texts,
    holdout=st.fractions(0, Fraction(999, 1000), max_denominator=1000),
    sampled=st.none() | st.fractions(0, 1, max_denominator=1000),
    sampling=texts.map(lambda nonce: sample_salt("spring-mail", nonce)),
)


def draw(pilot="spring-mail", *, layer=None, holdout=0, arms=THIRDS):
    return Draw(pilot_salt(pilot), arms, layer, "w" * 32, Fraction(holdout))


def in_duckdb(draw, units):
    """(takes part, arm, reasons) of each unit, by the batch's own SQL."""
    hindrances = draw.hindrances_sql("unit")
    reasons = "".join(f", {rule}" for rule in hindrances.values())
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER, unit VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(units)))
        rows = connection.execute(
            f"SELECT {draw.takes_part_sql('unit')}, {draw.drawn_sql('unit')}{reasons} FROM t ORDER BY i"
        ).fetchall()
    return [(row[0], row[1], [why for why, holds in zip(hindrances, row[2:], strict=True) if holds]) for row in rows]


@given(draw=draws, units=st.lists(texts, min_size=1, max_size=30))
def test_duckdb_places_every_unit_as_python_does(draw, units):
    for unit, (takes_part, arm, reasons) in zip(units, in_duckdb(draw, units), strict=True):
        assert (draw.arm(unit), draw.against(unit)) == ((arm, None) if takes_part else (None, reasons[0]))


@pytest.mark.check
@given(draw=draws, units=st.lists(texts, min_size=1, max_size=30, unique=True), more=st.lists(texts, max_size=30))
def test_neither_the_order_of_the_units_nor_others_beside_them_move_any(draw, units, more):
    placed = dict(zip(units, in_duckdb(draw, units), strict=True))
    together = [*more, *units[::-1]]
    assert dict(zip(together, in_duckdb(draw, together), strict=True)).items() >= placed.items()


@given(salt=texts, unit=texts, one=weights, other=weights)
def test_other_weights_move_exactly_the_units_between_the_old_and_the_new_end_of_an_arm(salt, unit, one, other):
    size = min(len(one), len(other))
    before, after = (
        {f"arm-{n}": Fraction(weight) for n, weight in enumerate(values[:size])} for values in (one, other)
    )
    own, ends = bucket(salt, unit), zip(boundaries(before), boundaries(after), strict=True)
    between = any(min(old, new) <= own < max(old, new) for (_, old), (_, new) in ends)
    assert (assign(salt, unit, before) != assign(salt, unit, after)) == between


@given(draw=draws, unit=texts, other=st.fractions(0, Fraction(999, 1000), max_denominator=1000))
def test_another_workspace_holdout_moves_no_unit_but_those_between_the_two(draw, unit, other):
    changed = replace(draw, holdout=other)
    between = within(f"workspace-holdout:{draw.workspace}", unit, min(draw.holdout, other), max(draw.holdout, other))
    assert between or (changed.arm(unit), changed.against(unit)) == (draw.arm(unit), draw.against(unit))


@given(unit=texts, cuts=st.lists(shares, max_size=6))
def test_slices_that_touch_share_no_unit_and_leave_none_out(unit, cuts):
    ends = sorted({Fraction(0), Fraction(1), *cuts})
    assert sum(within("layer:mail", unit, start, end) for start, end in itertools.pairwise(ends)) == 1


@given(salt=texts, units=st.lists(texts, min_size=1, max_size=20), ends=st.tuples(shares, shares))
def test_duckdb_finds_the_units_of_a_slice_that_python_does(salt, units, ends):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER, unit VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(units)))
        rows = connection.execute(f"SELECT {within_sql(salt, 'unit', *ends)} FROM t ORDER BY i").fetchall()
    assert [row[0] for row in rows] == [within(salt, unit, *ends) for unit in units]


@pytest.mark.parametrize("parts", [(1, 1), (1, 2, 3), (90, 5, 5), (1, 1, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("pilot", ["spring-mail", "autumn-mail", "winter-page"])
def test_arms_hold_their_shares_of_a_slice_without_the_holdout_by_chi_square(pilot, parts):
    arms = {f"arm-{n}": Fraction(part) for n, part in enumerate(parts)}
    placed = draw(pilot, layer=Layer(name="mail", start="0.2", end="0.9"), holdout=Fraction(1, 10), arms=arms)
    drawn = [arm for unit in UNITS if (arm := placed.arm(unit))]
    expected = [len(drawn) * part / sum(parts) for part in parts]
    assert chisquare([drawn.count(arm) for arm in arms], expected).pvalue > P_MIN


def test_buckets_are_uniform_over_their_range_by_chi_square():
    hundredths = [bound for _, bound in boundaries({str(n): Fraction(1) for n in range(100)})]
    counts = [0] * 100
    for unit in UNITS:
        counts[bisect_right(hundredths, bucket("layer:mail", unit))] += 1
    assert chisquare(counts).pvalue > P_MIN


def test_a_slice_and_a_holdout_hold_the_shares_they_say_by_chi_square():
    placed = draw(layer=Layer(name="mail", start="0.25", end="0.75"), holdout=Fraction(1, 10))
    found = [placed.against(unit) for unit in UNITS]
    held_out, outside = found.count(HELD_OUT), found.count(OUTSIDE_SLICE)
    shares = (0.1, 0.9 * 0.5, 0.9 * 0.5)
    counts = [held_out, outside, len(UNITS) - held_out - outside]
    assert chisquare(counts, [len(UNITS) * share for share in shares]).pvalue > P_MIN
    assert placed.frac == Fraction(9, 20)


def independence(pairs):
    """The p-value of Pearson's chi-square over the table of two answers."""
    rows, columns = sorted({a for a, _ in pairs}), sorted({b for _, b in pairs})
    return chi2_contingency([[pairs[row, column] for column in columns] for row in rows]).pvalue


# Each answer is one of a few, drawn under a salt of its own, or of names as alike as names can be.
ANSWERS = {
    "pilot mail": lambda unit: assign("pilot:mail", unit, THIRDS),
    "pilot mail-2": lambda unit: assign("pilot:mail-2", unit, THIRDS),
    "layer mail": lambda unit: within("layer:mail", unit, Fraction(0), Fraction(1, 2)),
    "layer page": lambda unit: within("layer:page", unit, Fraction(0), Fraction(1, 2)),
    "workspace holdout": lambda unit: within("workspace-holdout:mail", unit, Fraction(0), Fraction(1, 5)),
    "release holdout": lambda unit: within("holdout:mail", unit, Fraction(0), Fraction(1, 5)),
}


@pytest.mark.check
@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(ANSWERS, 2)))
def test_two_draws_know_nothing_of_each_other_by_chi_square(one, other):
    pairs = Counter((ANSWERS[one](unit), ANSWERS[other](unit)) for unit in UNITS)
    assert independence(pairs) > P_MIN


def test_the_test_of_independence_tells_draws_that_know_of_each_other():
    """The same test where one unit in twenty is given the other draw's answer."""
    swaps = random.Random(1)
    pairs = [(ANSWERS["layer mail"](unit), ANSWERS["layer page"](unit)) for unit in UNITS]
    bent = [(a, a if swaps.random() < 0.05 else b) for a, b in pairs]
    assert independence(Counter(bent)) < P_MIN


@given(
    draw=draws.map(lambda draw: replace(draw, cluster="household")),
    units=st.lists(st.tuples(texts, st.none() | st.sampled_from(["h1", "h2", "", "12"])), min_size=1, max_size=30),
)
def test_units_of_one_cluster_are_placed_alike_but_for_the_holdout_and_duckdb_agrees(draw, units):
    placed = [draw.against(*unit) or draw.arm(*unit) for unit in units]
    rules = draw.hindrances_sql("unit")
    reasons = " ".join(f"WHEN {rule} THEN '{why.replace(chr(39), chr(39) * 2)}'" for why, rule in rules.items())
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER, unit VARCHAR, cluster VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, *unit) for n, unit in enumerate(units)])
        rows = connection.execute(
            f"SELECT CASE {reasons} ELSE {draw.drawn_sql('unit')} END, {draw.takes_part_sql('unit')} FROM t ORDER BY i"
        ).fetchall()
    assert rows == [(place, draw.arm(*unit) is not None) for place, unit in zip(placed, units, strict=True)]
    answers: dict[str | None, set[str | None]] = {}
    for (_, cluster), place in zip(units, placed, strict=True):
        if place != HELD_OUT:
            answers.setdefault(cluster, set()).add(place)
    assert all(len(places) == 1 for places in answers.values())
    assert answers.get(None, {CLUSTERLESS}) == {CLUSTERLESS}


def test_the_holdout_is_of_the_same_units_whatever_draws_the_arms():
    by_unit, by_cluster = draw(holdout=Fraction(1, 5)), replace(draw(holdout=Fraction(1, 5)), cluster="household")
    clusters = {unit: str(number // 3) for number, unit in enumerate(UNITS)}
    held_out = [
        {unit for unit in UNITS if each.against(unit, clusters[unit]) == HELD_OUT} for each in (by_unit, by_cluster)
    ]
    assert held_out[0] == held_out[1] != set()


def test_a_promise_says_its_whole_draw():
    charter = make_charter(layer={"name": "mail", "start": "0.5"})
    found = Draw.of(Promise(charter=charter, metrics={}, files={}, holdout_frac="0.1"), "w" * 32, None)
    assert (found.salt, dict(found.weights)) == ("pilot:spring-email", {"control": 1, "letter": 1})
    assert found.cluster is None
    assert (found.layer, found.workspace, found.holdout) == (charter.layer, "w" * 32, Fraction(1, 10))


NONCE = "0011" * 8


def test_a_promise_of_the_first_rules_is_drawn_by_its_name_whatever_the_nonce():
    promise = Promise(charter=make_charter(), metrics={}, files={})
    assert {Draw.of(promise, "w", nonce).salt for nonce in (None, NONCE)} == {"pilot:spring-email"}


def test_a_promise_of_these_rules_is_drawn_by_the_nonce_and_before_that_by_nothing():
    promise = Promise(charter=make_charter(), metrics={}, files={}, rules=2)
    assert Draw.of(promise, "w", NONCE).salt == f"pilot:spring-email:{NONCE}"
    unregistered = Draw.of(promise, "w", None)
    assert unregistered.frac == 1
    for ask in (lambda: unregistered.arm("c1"), lambda: unregistered.drawn_sql("unit")):
        with pytest.raises(Refused, match="no arms are drawn yet"):
            ask()


ARMS = [{"name": "control", "weight": 1}, make_charter().model_dump(mode="json")["arms"][1] | {"weight": 1}]


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"layer": {"name": "mail", "start": "0.5"}}, ["layer"]),
        ({"cluster": "household"}, ["cluster"]),
        ({"population": "others"}, ["population"]),
        ({"assignment": "source"}, ["assignment"]),
        ({"arms": [ARMS[1], ARMS[0]]}, ["arms"]),
        ({"arms": [ARMS[0], ARMS[1] | {"weight": 2}]}, ["arms"]),
        ({"arms": [ARMS[0], ARMS[1] | {"name": "card"}]}, ["arms"]),
        ({"arms": [{"name": "letter"}, ARMS[1] | {"name": "control"}]}, ["arms", "control"]),
        ({"arms": [ARMS[0] | {"weight": 50}, ARMS[1] | {"weight": "50.0"}]}, []),
        ({"sample": {"units_per_arm": 11}}, []),
    ],
)
def test_what_draws_is_named_and_what_moves_nobody_is_not(changes, moved):
    before, after = (
        Promise(charter=make_charter(**{"arms": ARMS, **said}), metrics={}, files={}) for said in ({}, changes)
    )
    assert redrawn(before, after) == moved


def test_a_sample_draws_and_one_that_was_bounded_otherwise_draws_others():
    whole = Promise(charter=make_charter(), metrics={}, files={}, rules=3)
    tenth, fifth = (whole.model_copy(update={"sampled_frac": Decimal(frac)}) for frac in ("0.1", "0.2"))
    assert redrawn(whole, tenth) == redrawn(tenth, fifth) == redrawn(fifth, whole) == [SAMPLED]
    assert redrawn(tenth, tenth) == []
    # What was registered before there were samples keeps the digest that its nonce was drawn for.
    assert SAMPLED not in what_draws(whole)


@pytest.mark.check
def test_a_sample_holds_its_share_of_a_slice_and_knows_nothing_of_the_arms():
    promise = Promise(charter=make_charter(), metrics={}, files={}, rules=3, sampled_frac=Decimal("0.3"))
    drawn = Draw.of(promise, "w" * 32, NONCE)
    assert drawn.frac == Fraction(3, 10)
    everybody = replace(drawn, sampled=None)
    inside = [drawn.against(unit) is None for unit in UNITS]
    assert {drawn.against(unit) for unit in UNITS} == {None, NOT_SAMPLED}
    assert chisquare([inside.count(True), inside.count(False)], [6_000, 14_000]).pvalue > P_MIN
    placed = Counter(zip(inside, map(everybody.arm, UNITS), strict=True))
    table = [[placed[part, arm] for arm in ("control", "letter")] for part in (True, False)]
    assert chi2_contingency(table).pvalue > P_MIN
    assert all(drawn.arm(unit) in {None, everybody.arm(unit)} for unit in UNITS[:500])


def test_before_the_nonce_is_drawn_nobody_knows_who_takes_part():
    promise = Promise(charter=make_charter(), metrics={}, files={}, rules=3, sampled_frac=Decimal("0.3"))
    unregistered = Draw.of(promise, "w", None)
    assert unregistered.frac == Fraction(3, 10)
    with pytest.raises(Refused, match="no arms are drawn yet"):
        unregistered.takes_part_sql("unit")
