"""Assigning: the salted hash of the charter, the same in the file, in Python and in the ledger."""

from __future__ import annotations

import csv

import duckdb
import pytest

from lab.launch.launch import launch
from lab.pilots.assignment import assign
from lab.state import open_lab
from shared.core.digests import digest_file
from shared.core.errors import BadInput
from tests.lab_makers import CARD, PILOT, arm_of, by_arm, draft, units, write_csv


def test_everybody_gets_the_arm_that_the_hash_draws(launched, tmp_path):
    out = tmp_path / "arms.csv"
    done = assign(launched, PILOT, out)
    with out.open() as stream:
        assert list(csv.DictReader(stream)) == [{"unit": unit, "arm": arm_of(unit)} for unit in units(launched)]
    assert done.units == 600
    assert done.per_arm == {arm: len(members) for arm, members in by_arm(launched).items()}
    # Three equal arms of 600: 200 each, give or take four standard deviations of sqrt(600 * 1/3 * 2/3) = 11.5.
    assert all(abs(count - 200) < 47 for count in done.per_arm.values())


def test_assigning_again_writes_the_same_bytes_and_the_ledger_names_them(launched, tmp_path):
    for out in (tmp_path / "arms.csv", tmp_path / "again.csv"):
        assign(launched, PILOT, out)
    assert (tmp_path / "arms.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    written = [entry.body["file"] for entry in open_lab(launched).entries(PILOT) if entry.kind == "assigned"]
    assert written == [digest_file(tmp_path / "arms.csv")] * 2


def test_named_units_get_their_arm_once_each_in_either_format(launched, tmp_path):
    chosen = units(launched)[:20]
    file = write_csv(tmp_path / "named.csv", [{"unit": unit} for unit in [*chosen, *chosen[:5]]])
    out = tmp_path / "arms.parquet"
    assert assign(launched, PILOT, out, file).units == 20
    assert duckdb.execute(f"SELECT unit, arm FROM '{out}' ORDER BY 1").fetchall() == [
        (unit, arm_of(unit)) for unit in sorted(chosen)
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"unit": "C000001"}], "unit `C000001` is not of the population `customers`"),
        ([{"id": "u_1"}], "column `unit` is missing"),
    ],
)
def test_who_is_not_of_the_population_gets_no_arm(launched, tmp_path, rows, told):
    file, out = write_csv(tmp_path / "named.csv", rows), tmp_path / "arms.csv"
    with pytest.raises(BadInput, match=told):
        assign(launched, PILOT, out, file)
    assert not out.exists()


def test_a_file_of_another_type_is_not_written(launched, tmp_path):
    with pytest.raises(BadInput, match="has no type that can be written"):
        assign(launched, PILOT, tmp_path / "arms.xlsx")


def test_where_the_source_draws_the_arms_none_are_drawn(loaded, tmp_path):
    draft(loaded, PILOT, ("assignment: pilotplant", "assignment: source"), (CARD, ""))
    launch(loaded, PILOT)
    done = assign(loaded, PILOT, tmp_path / "units.csv")
    assert (done.units, done.per_arm, done.left_out) == (len(units(loaded)), {}, {})
    assert (tmp_path / "units.csv").read_text().split() == ["unit", *units(loaded)]
