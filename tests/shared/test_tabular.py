"""Tables on their way in and out: their columns, and files that hold no formula."""

from __future__ import annotations

import csv
import io

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.printable import cell
from shared.core.sql import identifier
from shared.data.readers import read_raw
from shared.data.tabular import connect, csv_text, require_columns, write_table


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.csv"


@pytest.mark.parametrize("found", [["a"], ["a", "c"]])
def test_a_missing_column_is_named(file, found):
    with pytest.raises(BadInput, match="column `b` is missing"):
        require_columns(file, found, ["a", "b"], ["c"])


def test_an_unknown_column_is_refused(file):
    with pytest.raises(BadInput, match="column `x` is unknown"):
        require_columns(file, ["a", "b", "x"], ["a", "b"], [])


def test_an_optional_column_may_be_there_or_not(file):
    require_columns(file, ["a"], ["a"], ["c"])
    require_columns(file, ["a", "c"], ["a"], ["c"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_table_is_read_back(tmp_path, suffix):
    with connect() as connection:
        assert write_table(connection, "SELECT 'ü' AS a, 1 AS b", tmp_path / f"out{suffix}") == 1
    with connect() as connection:
        assert read_raw(connection, tmp_path / f"out{suffix}", "raw") == ["a", "b"]
        assert connection.execute("FROM raw").fetchall() == [(1, "ü", "1")]


def test_a_table_that_fails_halfway_leaves_the_old_file(tmp_path):
    (tmp_path / "out.csv").write_text("old")
    with connect() as connection, pytest.raises(duckdb.Error):
        write_table(connection, "SELECT CAST(i::VARCHAR || 'x' AS INTEGER) FROM range(9) r(i)", tmp_path / "out.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.csv", "old")]


@pytest.mark.parametrize("name", ["out.txt", "out", "none/out.csv"])
def test_a_table_is_not_written_where_it_cannot_be(tmp_path, name):
    with connect() as connection, pytest.raises(BadInput):
        write_table(connection, "SELECT 1", tmp_path / name)


SIGNS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("=+-@\t\r\n,\"';")), max_size=12)


def written(tmp_path, texts):
    """The cells of a CSV file that holds these texts, as a reader of CSV takes them."""
    out = tmp_path / "out.csv"
    with connect() as connection:
        connection.execute("CREATE TEMP TABLE said AS SELECT unnest(?::VARCHAR[]) AS said", [texts])
        write_table(connection, "SELECT said, 1 AS one FROM said", out)
    with out.open(newline="", encoding="utf-8") as stream:
        return [row["said"] for row in csv.DictReader(stream)]


@given(
    st.lists(SIGNS.filter(bool), min_size=1, max_size=5).map(lambda texts: [t.replace("\0", "") or "x" for t in texts])
)
def test_a_csv_holds_no_formula_and_nothing_that_acts_whoever_writes_it(tmp_path_factory, texts):
    """DuckDB's rows, and those of what is no table, have the very same cells."""
    cells_ = written(tmp_path_factory.mktemp("csv"), texts)
    assert cells_ == [cell(text) for text in texts]
    assert list(csv.reader(io.StringIO(csv_text(["said"], [[text] for text in texts]))))[1:] == [[c] for c in cells_]


@pytest.mark.parametrize("formula", ["=cmd|' /C calc'!A1", "+1+cmd", "-2+3", "@SUM(A1)", "＝1+1"])
def test_a_formula_in_a_file_or_in_its_header_has_a_quote_before_it(tmp_path, formula):
    assert written(tmp_path, [formula]) == [f"'{formula}"]
    with connect() as connection:
        write_table(connection, f"SELECT 1 AS {identifier(formula)}", tmp_path / "head.csv")
    assert next(csv.reader((tmp_path / "head.csv").open(encoding="utf-8"))) == [f"'{formula}"]


def test_numbers_and_parquet_stay_as_they_are(tmp_path):
    assert written(tmp_path, ["-1", "+2.5", "1e3"]) == ["-1", "+2.5", "1e3"]
    with connect() as connection:
        write_table(connection, "SELECT '=1' AS a, -1 AS b", tmp_path / "out.parquet")
    assert duckdb.execute(f"FROM '{tmp_path / 'out.parquet'}'").fetchall() == [("=1", -1)]
