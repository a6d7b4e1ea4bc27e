"""Assignment: published vectors, and the laws that keep a unit in its arm."""

from __future__ import annotations

import hashlib
import itertools
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from shared.experiment import assignment
from shared.experiment.assignment import (
    BUCKETS,
    assign,
    assign_sql,
    boundaries,
    bucket,
    held_out,
    held_out_sql,
    holdout_salt,
    pilot_salt,
)

# Test vectors: whoever draws arms outside this project must come to the same buckets.
VECTORS = [
    ("pilot:spring-mail", "c00001", 3_596_703_960_748_055),
    ("pilot:spring-mail", "c00002", 2_841_203_550_516_937),
    ("pilot:autumn-mail", "c00001", 1_986_573_963_962_572),
    ("holdout:spring-mail", "c00001", 3_920_798_957_516_508),
    ("pilot:spring-mail", "", 2_257_668_446_580_558),
    ("", "c00001", 3_289_799_598_545_922),
    ("pilot:spring-mail", "Zoë Łódź", 1_883_878_502_569_180),
    ("pilot:it's", "o'brien:1", 3_466_480_726_017_434),
]

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
weights = st.lists(st.fractions(min_value=Fraction(1, 1000), max_value=100), min_size=1, max_size=5).map(
    lambda values: {f"arm-{number}": value for number, value in enumerate(values)}
)
units = st.lists(names, min_size=1, max_size=40)


def by_hand(salt, unit):
    """The rule in other words: the first seven bytes, big-endian, without the last four bits."""
    digest = hashlib.sha256(salt.encode("utf-8") + b":" + unit.encode("utf-8")).digest()
    number = 0
    for byte in digest[:7]:
        number = number * 256 + byte
    return number // 16


def bucket_sql(salt, unit):
    """The bucket behind the hash that every expression compares with its bounds."""
    return f"CAST('0x' || substr({assignment._hash_sql(salt, unit)}, 1, {assignment.HEX_DIGITS}) AS UBIGINT)"


def in_duckdb(expression, values):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER, unit VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(values)))
        return [row[0] for row in connection.execute(f"SELECT {expression} FROM t ORDER BY i").fetchall()]


@pytest.mark.parametrize(("salt", "unit", "expected"), VECTORS)
def test_the_published_vectors_follow_from_the_rule_written_out_by_hand(salt, unit, expected):
    assert by_hand(salt, unit) == expected


@pytest.mark.parametrize(("salt", "unit", "expected"), VECTORS)
def test_the_bucket_of_a_published_vector_is_the_published_one(salt, unit, expected):
    assert bucket(salt, unit) == expected


@pytest.mark.parametrize(("salt", "unit", "expected"), VECTORS)
def test_duckdb_draws_the_published_bucket(salt, unit, expected):
    assert in_duckdb(bucket_sql(salt, "unit"), [unit]) == [expected]


@given(salt=names, unit=names)
def test_every_bucket_lies_within_52_bits(salt, unit):
    assert 0 <= bucket(salt, unit) < 2**52


@given(salt=names, units=units, weights=weights)
def test_duckdb_assigns_every_unit_the_arm_that_python_does(salt, units, weights):
    assert in_duckdb(assign_sql(salt, "unit", weights), units) == [assign(salt, unit, weights) for unit in units]


@given(release=names, units=units, share=st.fractions(min_value=0, max_value=1))
def test_duckdb_holds_out_the_units_that_python_does(release, units, share):
    assert in_duckdb(held_out_sql(release, "unit", share), units) == [held_out(release, unit, share) for unit in units]


@given(salt=names, unit=names, weights=weights, factor=st.fractions(min_value=Fraction(1, 1000), max_value=1000))
def test_a_unit_keeps_its_arm_when_all_weights_are_scaled(salt, unit, weights, factor):
    scaled = {arm: weight * factor for arm, weight in weights.items()}
    assert assign(salt, unit, scaled) == assign(salt, unit, weights)


@given(weights=weights)
def test_the_arms_own_every_bucket_between_them(weights):
    assert boundaries(weights)[-1][1] == BUCKETS


@given(weights=weights)
def test_each_arm_owns_its_share_to_within_one_bucket(weights):
    bounds = [0, *(bound for _, bound in boundaries(weights))]
    shares = [weight / sum(weights.values()) for weight in weights.values()]
    owned = [after - before for before, after in itertools.pairwise(bounds)]
    assert all(abs(own - BUCKETS * share) <= 1 for own, share in zip(owned, shares, strict=True))


@given(release=names, unit=names, small=st.fractions(0, 1), more=st.fractions(0, 1))
def test_a_larger_holdout_keeps_everyone_of_a_smaller_one(release, unit, small, more):
    assert held_out(release, unit, max(small, more)) or not held_out(release, unit, min(small, more))


@given(release=names, unit=names)
def test_a_holdout_of_nothing_holds_nobody_out(release, unit):
    assert not held_out(release, unit, Fraction(0))


@given(release=names, unit=names)
def test_a_holdout_of_everything_holds_everybody_out(release, unit):
    assert held_out(release, unit, Fraction(1))


@pytest.mark.parametrize("parts", [(1, 1), (1, 2, 3), (90, 5, 5)])
def test_arms_receive_units_in_proportion_to_their_weights_by_chi_square(parts):
    weights = {f"arm-{number}": Fraction(part) for number, part in enumerate(parts)}
    drawn = [assign(pilot_salt("spring-mail"), f"c{number:05}", weights) for number in range(30_000)]
    expected = [30_000 * part / sum(parts) for part in parts]
    assert chisquare([drawn.count(arm) for arm in weights], expected).pvalue > 0.001


def test_two_pilots_draw_independently_of_each_other_by_chi_square():
    halves = {"a": Fraction(1), "b": Fraction(1)}
    pairs = [
        tuple(assign(pilot_salt(pilot), f"c{number:05}", halves) for pilot in ("spring-mail", "autumn-mail"))
        for number in range(20_000)
    ]
    assert chisquare([pairs.count((one, other)) for one in "ab" for other in "ab"]).pvalue > 0.001


def test_a_holdout_is_drawn_independently_of_the_pilot_of_the_same_name_by_chi_square():
    halves = {"a": Fraction(1), "b": Fraction(1)}
    pairs = [
        (assign(pilot_salt("mail"), f"c{number}", halves), held_out("mail", f"c{number}", Fraction(1, 2)))
        for number in range(20_000)
    ]
    assert chisquare([pairs.count((arm, out)) for arm in "ab" for out in (True, False)]).pvalue > 0.001


def test_salts_of_pilots_and_holdouts_differ():
    assert pilot_salt("mail") != holdout_salt("mail")
