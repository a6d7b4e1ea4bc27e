"""Tables from people: read as they are, row for row, or refused whole."""

from __future__ import annotations

import csv
import io

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import Column
from shared.errors import BadInput
from shared.printable import cell
from shared.sql import identifier
from shared.tabular import connect, csv_text, read_raw, require_columns, typed_sql, unreadable_sql, write_table

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


def read(path, content=None):
    """Columns and rows of a file, as texts with their row numbers."""
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with connect() as connection:
        columns = read_raw(connection, path, "raw")
        return columns, connection.execute("SELECT * FROM raw ORDER BY _row").fetchall()


def refused(path, content):
    with pytest.raises(BadInput) as caught:
        read(path, content)
    return caught.value


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.csv"


def test_a_csv_is_read_as_texts_with_numbered_rows(file):
    assert read(file, "a,b\n1,x\n02,y\n") == (["a", "b"], [(1, "1", "x"), (2, "02", "y")])


@pytest.mark.parametrize(
    "content",
    [b"a,b\r\n1,2\r\n", b"\xef\xbb\xbfa,b\n1,2\n", b"a,b\n1,2", b"a,b\n1,2\n\n", b'"a","b"\n"1","2"\n'],
)
def test_the_usual_dialects_of_exports_mean_the_same(file, content):
    assert read(file, content) == (["a", "b"], [(1, "1", "2")])


def test_commas_quotes_and_line_breaks_stand_in_quotes(file):
    assert read(file, 'a,b\n"x, ""y""\nz",2\n')[1] == [(1, 'x, "y"\nz', "2")]


def test_an_empty_value_is_null(file):
    assert read(file, "a,b\n1,\n")[1] == [(1, "1", None)]


@pytest.mark.parametrize("word", ["NULL", "NA", "nan", "None", " x ", "1e3", "007", "2026-01-05"])
def test_a_word_is_kept_as_it_is_written(file, word):
    assert read(file, f"a,b\n{word},1\n")[1] == [(1, word, "1")]


@pytest.mark.parametrize("sign", ["#", "//", "--", ";", "%"])
def test_a_row_that_looks_like_a_comment_is_a_row(file, sign):
    assert len(read(file, f"a,b\n1,2\n{sign}3,4\n5,6\n")[1]) == 3


@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=20))
def test_every_row_that_python_writes_is_read_back_in_order(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("csv") / "table.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    assert read(file)[1] == [(number, *row) for number, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n3\n",
        "a,b\n1,2\n3,4,5\n",
        "a,b\n1,2,3\n4,5,6\n",
        "Report of January\na,b\n1,2\n",
        'a,b\n1,"x\n2,3\n',
        "a,b\n" + "1,2\n" * 30_000 + "1\n",
    ],
)
def test_a_table_that_is_not_rectangular_is_refused_whole(file, content):
    assert "cannot be read as a csv table" in refused(file, content).what


def test_a_table_without_rows_is_refused(file):
    assert refused(file, "a,b\n").what == "the file has no rows"


def test_an_empty_file_is_refused(file):
    assert refused(file, "").what == "the file is empty"


def test_another_encoding_is_called_so(file):
    assert refused(file, b"a,b\n1,2\nZ\xfcrich,2\n").what == "the file is not in UTF-8"


def test_another_encoding_is_found_on_its_line(file):
    assert refused(file, b"a,b\n1,2\nZ\xfcrich,2\n").where == f"{file}, line 3"


def test_utf_16_is_refused(file):
    assert "line 1" in refused(file, "a,b\n1,2\n".encode("utf-16")).where


def test_binary_data_is_refused_on_its_line(file):
    assert refused(file, b"a,b\n1,\x00\n").where == f"{file}, line 2"


def test_a_file_that_only_calls_itself_parquet_is_refused(tmp_path):
    assert "cannot be read as a parquet table" in refused(tmp_path / "x.parquet", b"PAR1 no PAR1").what


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv.gz", "x.CSV", "x"])
def test_a_file_of_another_type_is_refused(tmp_path, name):
    assert refused(tmp_path / name, "a,b\n1,2\n").expected == "a .csv or .parquet file"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no such file"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["data[1].csv", "data*.csv", "data?.csv", "it's.csv", "a=b.csv", "[.csv"])
def test_a_file_of_any_name_is_read_and_no_other(tmp_path, name):
    (tmp_path / "data1.csv").write_text("a,b\nother,other\n")
    assert read(tmp_path / name, "a,b\nmine,mine\n")[1] == [(1, "mine", "mine")]


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    folder = tmp_path / "arm=letter"
    folder.mkdir()
    with connect() as connection:
        write_table(connection, "SELECT 1 AS a", folder / "x.parquet")
    assert read(folder / "x.parquet")[0] == ["a"]


def test_a_parquet_file_is_read_as_texts_too(tmp_path):
    with connect() as connection:
        write_table(connection, "SELECT 1 AS a, TIMESTAMPTZ '2026-01-05 00:00:00+00' AS t", tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[1] == [(1, "1", "2026-01-05 00:00:00+00")]


@pytest.mark.parametrize("found", [["a"], ["a", "c"]])
def test_a_missing_column_is_named(file, found):
    with pytest.raises(BadInput, match="column `b` is missing"):
        require_columns(file, found, ["a", "b"], ["c"])


@pytest.mark.parametrize("header", ["a,b,x\n1,2,3\n", "a,b,b\n1,2,3\n", "a,b,B\n1,2,3\n", "a,b,\n1,2,3\n"])
def test_an_unknown_or_doubled_column_is_refused(file, header):
    columns, _ = read(file, header)
    with pytest.raises(BadInput, match="is unknown"):
        require_columns(file, columns, ["a", "b"], [])


def test_an_optional_column_may_be_there_or_not(file):
    require_columns(file, ["a"], ["a"], ["c"])
    require_columns(file, ["a", "c"], ["a"], ["c"])


def typed(kind, text):
    """The typed value of a text, and the reasons why it has none."""
    columns = [Column(name="x", type=kind)]
    with connect() as connection:
        connection.execute("CREATE TEMP TABLE raw AS SELECT 1 AS _row, CAST(? AS VARCHAR) AS x", [text])
        value = connection.execute(f"SELECT {typed_sql(columns, ['x'])} FROM raw").fetchone()[0]
        reasons = connection.execute(unreadable_sql(columns, ["x"], "raw")).fetchall()
    return value, [reason for _, reason in reasons]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "3", 3), ("integer", "-3", -3), ("integer", "3.0", 3), ("integer", "9007199254740993", 2**53 + 1),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("number", "1.5", 1.5), ("number", "1e3", 1000.0), ("boolean", "true", True), ("string", "x", "x"),
        ("integer", None, None),
    ],
)  # fmt: skip
def test_a_text_of_its_columns_type_is_its_value(kind, text, value):
    assert typed(kind, text) == (value, [])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"), ("integer", "0.4"), ("integer", "many"), ("integer", "9223372036854775808"),
        ("integer", "nan"), ("number", "1,5"), ("number", "x"), ("boolean", "perhaps"), ("date", "2026-02-30"),
        ("timestamp", "yesterday"),
    ],
)  # fmt: skip
def test_a_text_of_another_type_is_null_with_its_reason(kind, text):
    assert typed(kind, text) == (None, [f"x is not a {kind}"])


def test_a_time_without_offset_is_utc():
    assert typed("timestamp", "2026-01-05 09:00:00")[0] == typed("timestamp", "2026-01-05 10:00:00+01")[0]


def test_an_absent_column_is_null():
    with connect() as connection:
        columns = [Column(name="x", type="integer")]
        assert connection.execute(f"SELECT {typed_sql(columns, [])}").fetchone() == (None,)


def test_columns_that_are_all_texts_have_nothing_unreadable():
    with connect() as connection:
        assert connection.execute(unreadable_sql([Column(name="x", type="string")], ["x"], "raw")).fetchall() == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_table_is_read_back(tmp_path, suffix):
    with connect() as connection:
        assert write_table(connection, "SELECT 'ü' AS a, 1 AS b", tmp_path / f"out{suffix}") == 1
    assert read(tmp_path / f"out{suffix}") == (["a", "b"], [(1, "ü", "1")])


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
