"""docs/assignment.md: its own vectors, held against a reading of its text, against Python and against DuckDB."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from shared.experiment import assignment
from shared.experiment.assignment import (
    assign,
    assign_sql,
    bucket,
    held_out,
    held_out_sql,
    pilot_salt,
    sample_salt,
    within,
    within_sql,
)
from shared.experiment.charter import Layer
from shared.experiment.draw import CLUSTERLESS, HELD_OUT, OUTSIDE_SLICE, Draw

PAGE = (Path(__file__).parent.parent.parent / "docs" / "assignment.md").read_text(encoding="utf-8")
WORKSPACE = "0011223344556677"


def table(title):
    """The rows of the table under a heading: code without its marks, JSON texts read."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [tuple(cell(text) for text in re.split(r" \| ", line[2:-2])) for line in lines]


def cell(text):
    if text.startswith('"'):
        return json.loads(text)
    return text[1:-1] if text.startswith("`") else text


def weights_of(text):
    return {arm: Fraction(weight) for arm, weight in (part.split(" ") for part in text.split(", "))}


BUCKETS, ARMS = table("Vectors: buckets"), table("Vectors: arms")
SLICES, PILOT = table("Vectors: slices and holdouts"), table("Vectors: units in a pilot")
CLUSTERS = [(u, None if c == "none" else c, place) for u, c, place in table("Vectors: units in clusters")]
BUCKETS_2, ARMS_2 = table("Vectors of version 2: buckets"), table("Vectors of version 2: arms")
HOLDOUTS_2 = table("Vectors of version 2: holdouts of releases")
SAMPLES_2 = table("Vectors of version 2: samples of pilots")
DRAW = Draw(
    pilot_salt("spring-mail"),
    {"control": Fraction(2), "letter": Fraction(1)},
    Layer(name="mail", start="0.25", end="0.75"),
    WORKSPACE,
    Fraction(1, 10),
)
BY_CLUSTER = replace(DRAW, cluster="household")


# The page read by somebody who has never seen the code: nothing but hashlib and fractions.


def page_bucket(salt, unit):
    digest = hashlib.sha256(salt.encode("utf-8") + b":" + unit.encode("utf-8")).digest()
    return sum((digest[bit // 8] >> (7 - bit % 8) & 1) << (51 - bit) for bit in range(52))


def page_bound(share):
    return Fraction(share) * 2**52 // 1


def page_within(salt, unit, start, end):
    return page_bound(start) <= page_bucket(salt, unit) < page_bound(end)


def page_arm(pilot, unit, weights, nonce=""):
    so_far = Fraction(0)
    for arm, weight in weights.items():
        so_far += weight
        if page_bound(so_far / sum(weights.values())) > page_bucket(f"pilot:{pilot}{nonce and f':{nonce}'}", unit):
            return arm
    raise AssertionError


def page_place(unit, drawn_by):
    if page_within(f"workspace-holdout:{WORKSPACE}", unit, 0, Fraction("0.1")):
        return "of the workspace's holdout"
    if drawn_by is None:
        return "without a cluster"
    if not page_within("layer:mail", drawn_by, Fraction("0.25"), Fraction("0.75")):
        return "outside the pilot's slice of its layer"
    return page_arm("spring-mail", drawn_by, weights_of("control 2, letter 1"))


def bucket_sql(salt, unit):
    """The bucket behind the hash that every expression compares with its bounds."""
    return f"CAST('0x' || substr({assignment._hash_sql(salt, unit)}, 1, {assignment.HEX_DIGITS}) AS UBIGINT)"


def in_duckdb(expression, unit, cluster=None):
    row = f"SELECT {expression} FROM (SELECT CAST(? AS VARCHAR) AS unit, CAST(? AS VARCHAR) AS cluster)"
    return duckdb.execute(row, [unit, cluster]).fetchall()[0][0]


def test_the_page_has_every_table_and_units_beyond_ascii():
    assert min(map(len, (BUCKETS, ARMS, SLICES, PILOT, CLUSTERS, BUCKETS_2, ARMS_2, HOLDOUTS_2, SAMPLES_2))) >= 15
    assert {held for *_, held in HOLDOUTS_2} == {part for *_, part in SAMPLES_2} == {"yes", "no"}
    assert len({nonce for _, nonce, *_ in ARMS_2}) > 1
    assert any(not unit.isascii() for _, unit, _ in BUCKETS)
    assert {within for *_, within in SLICES} == {"yes", "no"}
    places = {"control", "letter", HELD_OUT, OUTSIDE_SLICE}
    assert {place for _, place in PILOT} == places
    assert {place for *_, place in CLUSTERS} == places | {CLUSTERLESS}
    # Two units of one cluster in one arm, and a third in the holdout that is drawn by unit.
    assert {("c00003", "h2", "control"), ("c00004", "h2", "control"), ("c00006", "h2", HELD_OUT)} <= set(CLUSTERS)


@pytest.mark.parametrize(("salt", "unit", "expected"), [*BUCKETS_2, *BUCKETS])
def test_a_published_bucket_is_what_the_text_python_and_duckdb_say(salt, unit, expected):
    found = page_bucket(salt, unit), bucket(salt, unit), in_duckdb(bucket_sql(salt, "unit"), unit)
    assert found == (int(expected),) * 3


@pytest.mark.parametrize(("pilot", "weights", "unit", "expected"), ARMS)
def test_a_published_arm_is_what_the_text_python_and_duckdb_say(pilot, weights, unit, expected):
    given, salt = weights_of(weights), pilot_salt(pilot)
    found = page_arm(pilot, unit, given), assign(salt, unit, given), in_duckdb(assign_sql(salt, "unit", given), unit)
    assert found == (expected,) * 3


@pytest.mark.parametrize(("pilot", "nonce", "weights", "unit", "expected"), ARMS_2)
def test_a_published_arm_by_a_nonce_is_what_the_text_python_and_duckdb_say(pilot, nonce, weights, unit, expected):
    given = weights_of(weights)
    drawn = Draw(pilot_salt(pilot, nonce), given, None, WORKSPACE, Fraction(0))
    found = page_arm(pilot, unit, given, nonce), drawn.arm(unit), in_duckdb(drawn.drawn_sql("unit"), unit)
    assert found == (expected,) * 3


@pytest.mark.parametrize(("pilot", "nonce", "share", "unit", "expected"), SAMPLES_2)
def test_a_published_sample_is_what_the_text_python_and_duckdb_say(pilot, nonce, share, unit, expected):
    arms = {"control": Fraction(1), "letter": Fraction(1)}
    by = {"sampled": Fraction(share), "sampling": sample_salt(pilot, nonce)}
    drawn = Draw(pilot_salt(pilot, nonce), arms, None, WORKSPACE, Fraction(0), **by)
    found = (
        page_within(f"sample:{pilot}:{nonce}", unit, 0, Fraction(share)),
        drawn.against(unit) is None,
        in_duckdb(drawn.takes_part_sql("unit"), unit),
    )
    assert found == (expected == "yes",) * 3


@pytest.mark.parametrize(("release", "nonce", "share", "unit", "expected"), HOLDOUTS_2)
def test_a_published_holdout_by_a_nonce_is_what_the_text_python_and_duckdb_say(release, nonce, share, unit, expected):
    found = (
        page_within(f"holdout:{release}:{nonce}", unit, 0, Fraction(share)),
        held_out(release, unit, Fraction(share), nonce),
        in_duckdb(held_out_sql(release, "unit", Fraction(share), nonce), unit),
    )
    assert found == (expected == "yes",) * 3


@pytest.mark.parametrize(("salt", "start", "end", "unit", "expected"), SLICES)
def test_a_published_slice_is_what_the_text_python_and_duckdb_say(salt, start, end, unit, expected):
    ends = Fraction(start), Fraction(end)
    found = (
        page_within(salt, unit, *ends),
        within(salt, unit, *ends),
        in_duckdb(within_sql(salt, "unit", *ends), unit),
    )
    assert found == (expected == "yes",) * 3


@pytest.mark.parametrize(("unit", "expected"), PILOT)
def test_a_published_place_in_a_pilot_is_what_the_text_python_and_duckdb_say(unit, expected):
    in_sql = [why for why, rule in DRAW.hindrances_sql("unit").items() if in_duckdb(rule, unit)]
    placed = [] if in_sql else [in_duckdb(DRAW.drawn_sql("unit"), unit)]
    assert (page_place(unit, unit), DRAW.against(unit) or DRAW.arm(unit), [*in_sql, *placed][0]) == (expected,) * 3
    assert in_duckdb(DRAW.takes_part_sql("unit"), unit) == (DRAW.arm(unit) is not None)


@pytest.mark.parametrize(("unit", "cluster", "expected"), CLUSTERS)
def test_a_published_place_of_a_unit_in_a_cluster_is_what_the_text_python_and_duckdb_say(unit, cluster, expected):
    rules = BY_CLUSTER.hindrances_sql("unit")
    in_sql = [why for why, rule in rules.items() if in_duckdb(rule, unit, cluster)]
    placed = [] if in_sql else [in_duckdb(BY_CLUSTER.drawn_sql("unit"), unit, cluster)]
    said = BY_CLUSTER.against(unit, cluster) or BY_CLUSTER.arm(unit, cluster)
    assert (page_place(unit, cluster), said, [*in_sql, *placed][0]) == (expected,) * 3
    takes_part = BY_CLUSTER.arm(unit, cluster) is not None
    assert in_duckdb(BY_CLUSTER.takes_part_sql("unit"), unit, cluster) == takes_part
