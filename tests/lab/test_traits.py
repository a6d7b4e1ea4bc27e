"""Traits: the dataset has what the charter names of its exposed units, as the snapshot had it, and nothing else."""

from __future__ import annotations

import csv

import duckdb
import pytest

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.pre_period import GROUPS_MAX, traits_sql
from lab.analysis.submission import submit
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.launch.preconditions import examine
from lab.pilots.pilot import get_pilot
from lab.pilots.promise import freeze
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import Snapshot, latest_snapshot
from shared.trust.candidate import open_candidate
from tests.lab_makers import AFTER, CARD, INSIDE, PILOT, draft, results, write_csv

NAMED = "population: customers\ncovariates: [history, recency]\nsegments: [zip_code]\nstrata: zip_code"
COLUMNS = ["unit", "history", "recency", "zip_code"]


@pytest.fixture
def named(loaded):
    """A launched pilot whose charter names traits, with the results of all but the last ten units."""
    draft(loaded, PILOT, ("population: customers", NAMED))
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    file = loaded.root.with_name("results.csv")
    record(loaded, PILOT, write_csv(file, sorted(results(loaded), key=lambda row: row["unit"])[:-10]))
    loaded.clock.set(AFTER)
    return loaded


def rows(path):
    """A Parquet file's columns and rows, in its own order."""
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{path}'")
        return [column[0] for column in found.description], found.fetchall()


def test_the_traits_are_those_of_the_exposed_units_by_unit(named):
    columns, found = rows(analyse(named, PILOT).folder / "data" / "traits.parquet")
    _, snapshot = rows(latest_snapshot(named).table("customers"))
    with duckdb.connect() as connection:
        expected = connection.execute(
            f"SELECT customer_id, history, recency, zip_code FROM '{latest_snapshot(named).table('customers')}' "
            "ORDER BY customer_id"
        ).fetchall()
    assert columns == COLUMNS
    assert found == expected[:-10]
    assert len(found) == len(snapshot) - 10


def test_a_later_snapshot_changes_no_trait(named):
    first = analyse(named, PILOT)
    export = named.root.with_name("customers.csv")
    with export.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("customer_id", "email", "recency", "history", "zip_code"))
        writer.writerows((f"C{n:06d}", f"c{n:06d}@example.com", 1, 9999, "Rural") for n in range(1, 601))
    load(named, "customers", export)
    publish(named)
    assert latest_snapshot(named).id != get_pilot(open_lab(named), PILOT).snapshot
    again = analyse(named, PILOT)
    assert again.repeated
    assert again.evidence.data == first.evidence.data


def test_the_traits_are_sealed_and_named_by_the_evidence(named):
    evidence = analyse(named, PILOT).evidence
    candidate = submit(named, PILOT).candidate
    assert candidate.manifest.files["data/traits.parquet"] == evidence.data["traits.parquet"]
    assert candidate.data.traits is not None
    (candidate.folder / "data" / "traits.parquet").write_bytes(b"other")
    assert open_candidate(candidate.folder).tampered() == ["data/traits.parquet: changed after it was sealed"]


def test_no_personal_data_is_among_the_traits(named):
    content = (analyse(named, PILOT).folder / "data" / "traits.parquet").read_bytes()
    assert b"example.com" not in content
    assert b"C000001" not in content


def test_a_charter_that_names_none_has_no_file_of_them(submitted):
    assert not (analyse(submitted, PILOT).folder / "data" / "traits.parquet").exists()


def test_traits_of_a_snapshot_that_was_changed_are_refused(named):
    path = latest_snapshot(named).table("customers")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * REPLACE (history + 1 AS history) FROM '{path}') TO '{path}.new'")
    path.with_suffix(".parquet.new").replace(path)
    with pytest.raises(Refused, match="was changed after it was published"):
        analyse(named, PILOT)


def test_a_unit_that_is_there_twice_is_refused(named, tmp_path, monkeypatch):
    pilot, path = get_pilot(open_lab(named), PILOT), latest_snapshot(named).table("customers")
    twice = tmp_path / "twice.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{path}' UNION ALL (FROM '{path}' LIMIT 1)) TO '{twice}' (FORMAT parquet)")
        monkeypatch.setattr(Snapshot, "table", lambda *_: twice)
        with pytest.raises(Refused, match="is more than once in table `customers`"):
            traits_sql(connection, named, pilot, ())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("strata: shoe_size", "`strata` names column `shoe_size`, which table `customers` does not publish"),
        ("strata: email", "`strata` names column `email`, which"),
        ("strata: customer_id", "`strata` names column `customer_id`, which"),
        ("strata: history", "`strata` names column `history`, which makes 600 groups"),
        ("segments: [history]", "`segments` names column `history`, which makes 600 groups"),
        ("cluster: email", "`cluster` names column `email`, which"),
        ("cluster: customer_id", "`cluster` names column `customer_id`, which"),
        ("cluster: history", "`cluster` names column `history`, which is a number"),
    ],
)
def test_what_cannot_be_a_trait_is_an_obstacle(loaded, line, told):
    draft(loaded, PILOT, (CARD, ""), ("population: customers", f"population: customers\n{line}"))
    [problem] = examine(open_lab(loaded), freeze(loaded, PILOT)).problems
    assert isinstance(problem, BadInput)
    assert problem.what.startswith(told)
    assert problem.expected


def test_as_many_groups_as_are_allowed_are_no_obstacle(loaded):
    draft(loaded, PILOT, (CARD, ""), ("population: customers", "population: customers\nstrata: recency"))
    assert GROUPS_MAX >= 12  # months
    assert examine(open_lab(loaded), freeze(loaded, PILOT)).problems == []
