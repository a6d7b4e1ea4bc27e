"""The sandbox: SQL over the snapshot and the pilot's records, and over nothing else."""

from __future__ import annotations

import csv

import pytest

from lab.sandbox import run_sql
from shared.errors import BadInput, Contained
from tests.lab_makers import PILOT, by_arm


def test_snapshot_and_records_are_tables(recorded):
    found = run_sql(
        recorded,
        PILOT,
        "SELECT e.arm, count(*) AS n, CAST(sum(o.visit) AS INTEGER) AS visits FROM exposures e "
        "JOIN outcomes o USING (unit) JOIN customers c ON c.customer_id = e.unit GROUP BY ALL ORDER BY 1",
    )
    sizes = {arm: len(members) for arm, members in by_arm(recorded).items()}
    # Every second unit of the letter visits, and every tenth of the others, counted from the first.
    visits = {arm: -(-size // (2 if arm == "letter" else 10)) for arm, size in sizes.items()}
    assert found.columns == ["arm", "n", "visits"]
    assert found.rows == [[arm, sizes[arm], visits[arm]] for arm in ("card", "control", "letter")]


def test_before_anything_is_recorded_there_is_the_snapshot(launched):
    assert run_sql(launched, PILOT, "SELECT count(*) FROM customers").rows == [[600]]


def test_a_personal_column_is_not_there(recorded):
    with pytest.raises(Contained, match="email"):
        run_sql(recorded, PILOT, "SELECT email FROM customers")


def test_what_a_pilot_makes_stays_in_its_own_database(recorded):
    run_sql(recorded, PILOT, "CREATE TABLE loyal AS SELECT customer_id FROM customers WHERE recency = 1")
    assert run_sql(recorded, PILOT, "SELECT count(*) FROM loyal").rows == [[50]]


def test_all_rows_go_to_a_file(recorded, tmp_path):
    out = tmp_path / "recency.csv"
    found = run_sql(recorded, PILOT, "SELECT recency, count(*) AS n FROM customers GROUP BY 1 ORDER BY 1", out)
    with out.open() as stream:
        assert list(csv.reader(stream)) == [["recency", "n"], *([str(month), "50"] for month in range(1, 13))]
    assert found.total == 12


def test_files_of_the_machine_are_out_of_reach(recorded):
    with pytest.raises(Contained):
        run_sql(recorded, PILOT, f"SELECT * FROM read_text('{recorded.root}/workspace.json')")


def test_a_pilot_that_does_not_exist_has_no_sandbox(recorded):
    with pytest.raises(BadInput, match="there is no pilot autumn-mail"):
        run_sql(recorded, "autumn-mail", "SELECT 1")
