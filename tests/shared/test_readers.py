"""Files of tables from other tools: read as they are, row for row, or refused whole with the line."""

from __future__ import annotations

import csv
import gzip

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.data.contracts import Column
from shared.data.readers import read_raw
from shared.data.tabular import connect, write_table

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


lined = st.text(st.sampled_from("ab\r\n\",'"), min_size=1, max_size=4)


def read(path, content=None, columns=()):
    """Columns and rows of a file, as texts with their row numbers."""
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with connect() as connection:
        found = read_raw(connection, path, "raw", columns)
        return found, connection.execute("SELECT * FROM raw ORDER BY _row").fetchall()


def refused(path, content, columns=()):
    with pytest.raises(BadInput) as caught:
        read(path, content, columns)
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
    ("content", "line", "said"),
    [
        ("a,b\n1,2\n3\n", 3, "the line has 1 value, and the header 2 columns"),
        ("a,b\n1,2\n3,4,5\n", 3, "the line has 3 values, and the header 2 columns"),
        ("a,b\n1,2,3\n4,5,6\n", 2, "the line has 3 values, and the header 2 columns"),
        ("Report of January\na,b\n1,2\n", 2, "the line has 2 values, and the header 1 column"),
        ("\na,b\n1,2\n", 2, "the line has 2 values, and the header 0 columns"),
        ('a,b\n1,"x\ny"\n2\n', 4, "the line has 1 value, and the header 2 columns"),
        ("a,b\n" + "1,2\n" * 30_000 + "1\n", 30_002, "the line has 1 value, and the header 2 columns"),
    ],
)
def test_a_table_that_is_not_rectangular_is_refused_whole_at_its_line(file, content, line, said):
    error = refused(file, content)
    assert (error.what, error.where) == (said, f"{file}, line {line}")


def test_a_title_above_the_header_is_called_so(file):
    assert "delete what stands above it" in refused(file, "Report of January\na,b\n1,2\n").remedy


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("Report of January\na,b\n1,2\n", 2, "delete what stands above it"),
        ("Orders\n\na;b;c\n1;2;3\n", 3, "delete what stands above it"),
        ('"Exported by Ann, 2026-01-05"\r\na,b,c\r\n1,2,3\r\n', 2, "delete what stands above it"),
        ("\n\na\tb\n1\t2\n", 3, "delete what stands above it"),
        ("\n\n\na,b\n1,2\n", 4, "delete what stands above it"),
        ("Report of January\na|b\n1|2\n", 2, "delete what stands above it"),
        ("note\nbought; came back\n", 2, "put values that hold semicolons in double quotes"),
        ("Report,,\na,b,c\n1,2,3\n", 1, "a title above the header"),
    ],
)
def test_a_title_above_the_header_is_named_with_the_line_and_what_to_delete(file, content, line, said):
    error = refused(file, content)
    assert (error.where, said in error.remedy) == (f"{file}, line {line}", True)


@pytest.mark.parametrize("content", ['note\n"bought; came back"\n', '"note"\n"a|b"\n', 'note\n\n"a\tb"\n'])
def test_a_sign_within_quotes_makes_no_title_of_a_header(file, content):
    assert read(file, content)[0] == ["note"]


def test_a_quote_that_is_not_closed_is_found_where_it_begins(file):
    assert refused(file, 'a,b\n1,2\n3,"x\n5,6\n').where == f"{file}, from line 3"


@pytest.mark.parametrize(
    ("sign", "name"), [(";", "x.csv"), ("\t", "x.csv"), ("\t", "x.tsv"), ("|", "x.TXT"), (",", "x.CSV")]
)
def test_columns_may_be_parted_by_other_signs(tmp_path, sign, name):
    rows = [("a", "b"), ("1", "x"), ("2", "y z")]
    content = "\n".join(sign.join(row) for row in rows)
    assert read(tmp_path / name, content) == (["a", "b"], [(1, "1", "x"), (2, "2", "y z")])


def test_a_sign_within_quotes_parts_nothing(file):
    assert read(file, '"a;x,y";b\n"1;2";3\n') == (["a;x,y", "b"], [(1, "1;2", "3")])


def test_excel_says_in_a_line_of_its_own_what_parts_the_columns(file):
    assert read(file, "sep=;\r\na;b,c\r\n1;2\r\n") == (["a", "b,c"], [(1, "1", "2")])


def test_two_signs_that_could_both_part_the_columns_are_not_guessed_at(file):
    assert "commas or by semicolons" in refused(file, "a,b;c\n1,2;3\n").what


@pytest.mark.parametrize("ends", ["\r\n,\n", "\n,\r", "\r\n,\r"])
def test_mixed_line_ends_are_all_ends_of_lines(file, ends):
    one, two = ends.split(",")
    assert read(file, f"a,b{one}1,2{two}3,4{one}".encode())[1] == [(1, "1", "2"), (2, "3", "4")]


def test_line_ends_within_quotes_stay_as_they_are_among_mixed_ones(file):
    assert read(file, b'a,b\r\n1,"x\r\ny"\n2,"z\n"\r\n')[1] == [(1, "1", "x\r\ny"), (2, "2", "z\n")]


@given(
    rows=st.lists(st.tuples(lined, lined), min_size=1, max_size=6),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=7, max_size=7),
)
def test_mixed_line_ends_lose_nothing(tmp_path_factory, rows, ends):
    assume(("a", "b") not in rows)  # which would be the header once more
    file = tmp_path_factory.mktemp("csv") / "table.csv"
    quoted = ['"a","b"', *('"{}","{}"'.format(*(v.replace('"', '""') for v in row)) for row in rows)]
    file.write_bytes("".join(line + end for line, end in zip(quoted, ends, strict=False)).encode())
    assert read(file)[1] == [(number, *row) for number, row in enumerate(rows, 1)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark_is_read(file, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    assert read(file, f"{mark}a;b\r\nZürich;2\r\n".encode(encoding)) == (["a", "b"], [(1, "Zürich", "2")])


@pytest.mark.parametrize("name", ["x.csv.gz", "x.TSV.GZ"])
def test_what_gzip_packed_is_unpacked(tmp_path, name):
    sign = "," if "csv" in name else "\t"
    assert read(tmp_path / name, gzip.compress(f"a{sign}b\n1{sign}2\n".encode())) == (["a", "b"], [(1, "1", "2")])


def test_a_pack_that_was_cut_off_is_refused(tmp_path):
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 9_999)[:-9]
    assert "cannot be unpacked" in refused(tmp_path / "x.csv.gz", content).what


@pytest.mark.parametrize(
    ("name", "begins", "said"),
    [
        ("x.xlsx", b"PK\x03\x04", "save the sheet as CSV"), ("x.csv", b"PK\x03\x04", "save the sheet as CSV"),
        ("x.xls", b"\xd0\xcf\x11\xe0", "save the sheet as CSV"), ("x.csv", b"\x1f\x8b", "ends in .csv.gz"),
        ("x.csv", b"PAR1", "ends in .parquet"), ("x.parquet", b"PK\x03\x04", "save the sheet as CSV"),
        ("x.pdf", b"%PDF-1.7", "export the table itself"), ("x", b"a,b", "export the table as CSV"),
        ("x.json", b"[1]", "export the table as CSV"),
    ],
)  # fmt: skip
def test_what_is_no_table_says_how_to_make_one_of_it(tmp_path, name, begins, said):
    assert said in refused(tmp_path / name, begins + b"\0 something\n1,2\n").remedy


@pytest.mark.parametrize("header", ["a,b,A", '"a","a"', "a, a ", "b,Amount,amount"])
def test_a_column_that_is_there_twice_is_refused(file, header):
    content = header + "\n" + ",".join("1" * len(header.split(","))) + "\n"
    assert "is there 2 times" in refused(file, content).what


@pytest.mark.parametrize("header", [",a", "a,", "a,,b", "a, ,b"])
def test_a_column_without_a_name_is_refused(file, header):
    content = header + "\n" + ",".join("1" * len(header.split(","))) + "\n"
    assert "has no name" in refused(file, content).what


def test_a_column_may_not_be_called_like_the_numbers_of_rows(file):
    assert "used inside" in refused(file, "a,_ROW\n1,2\n").what


@pytest.mark.parametrize("again", ["a,b", " a ,b", '"a","b"'])
def test_a_header_that_comes_again_is_no_row(file, again):
    assert refused(file, f"a,b\n1,2\n{again}\n3,4\n").where == f"{file}, row 2"


def test_a_contract_s_columns_are_found_by_either_name_and_in_any_capitals(file):
    columns = [Column("order_id", "string", physical="Order ID"), Column("at", "timestamp")]
    assert read(file, "order id ,AT,other\n1,2,3\n", columns)[0] == ["order_id", "at", "other"]
    assert read(file, "ORDER_ID,at\n1,2\n", columns)[0] == ["order_id", "at"]


def test_a_column_under_both_of_its_names_is_there_twice(file):
    columns = [Column("order_id", "string", physical="Order ID")]
    assert "is there 2 times" in refused(file, "order_id,Order ID\n1,2\n", columns).what


NUMBERS = [Column("x", "number"), Column("n", "integer"), Column("t", "string")]


def test_decimal_commas_are_points_where_semicolons_part_the_columns(file):
    content = "x;n;t\n12,50;3,0;1,5\n-1.234,5;;x\n7;1;2\n"
    assert read(file, content, NUMBERS)[1] == [
        (1, "12.50", "3.0", "1,5"),
        (2, "-1234.5", None, "x"),
        (3, "7", "1", "2"),
    ]


@pytest.mark.parametrize("content", ["x;n\n1,234;1\n", "x;n\n7;1\n12,345,678;2\n", "x;n\n1;1,000\n"])
def test_thousands_that_could_be_decimals_are_not_guessed_at(file, content):
    error = refused(file, content, NUMBERS)
    assert "could be thousands or decimals" in error.what
    assert "row" in error.where


@pytest.mark.parametrize("content", ["x;n\n4.000;1\n12.500;2\n", "x;n\n7;1\n1.234.567;2\n", "x;n\n1;1\n2;1.000\n"])
def test_points_before_three_digits_are_not_guessed_at(file, content):
    assert "could be thousands or decimals" in refused(file, content, NUMBERS).what


@pytest.mark.parametrize("other", ["0.125", "1.5", "2.7182", "1234.500", "-.250", "00.250"])
def test_points_are_decimal_ones_where_one_of_them_can_be_nothing_else(file, other):
    assert read(file, f"x;n\n4.250;1\n{other};2\n", NUMBERS)[1] == [(1, "4.250", "1"), (2, other, "2")]


def test_a_text_may_have_points_before_three_digits(file):
    assert read(file, "x;t\n1;4.000\n", NUMBERS)[1] == [(1, "1", "4.000")]


def test_with_commas_between_columns_a_quoted_comma_is_no_decimal(file):
    assert read(file, 'x,n\n"1,5",1\n', NUMBERS)[1] == [(1, "1,5", "1")]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("[1, 2]", "INTEGER[]"), ("{'a': 1}", "STRUCT"), ("MAP {'a': 1}", "MAP"), ("'\\x00'::BLOB", "BLOB")],
)
def test_a_value_of_many_parts_is_no_value_of_a_contract(tmp_path, value, kind):
    with connect() as connection:
        write_table(connection, f"SELECT {value} AS x, 1 AS y", tmp_path / "x.parquet")
    assert kind in refused(tmp_path / "x.parquet", None, [Column("x", "string")]).what
    assert read(tmp_path / "x.parquet", None, [Column("y", "string")])[0] == ["x", "y"]


def test_ids_with_decimals_are_no_texts(tmp_path):
    with connect() as connection:
        write_table(connection, "SELECT 12346.0::DOUBLE AS id", tmp_path / "x.parquet")
    assert "12346 would be `12346.0`" in refused(tmp_path / "x.parquet", None, [Column("id", "string")]).what
    assert read(tmp_path / "x.parquet", None, [Column("id", "integer")])[1] == [(1, "12346.0")]


def test_a_table_without_rows_is_refused(file):
    assert refused(file, "a,b\n").what == "the file has no rows"


def test_an_empty_file_is_refused(file):
    assert refused(file, "").what == "the file is empty"


def test_another_encoding_is_called_so(file):
    assert refused(file, b"a,b\n1,2\nZ\xfcrich,2\n").what == "the file is not in UTF-8"


def test_another_encoding_is_found_on_its_line(file):
    assert refused(file, b"a,b\n1,2\nZ\xfcrich,2\n").where == f"{file}, line 3"


def test_binary_data_is_refused_on_its_line(file):
    assert refused(file, b"a,b\n1,\x00\n").where == f"{file}, line 2"


def test_a_file_that_only_calls_itself_parquet_is_refused(tmp_path):
    assert "cannot be read as a parquet table" in refused(tmp_path / "x.parquet", b"PAR1 no PAR1").what


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


def test_a_quote_within_a_plain_value_is_a_sign_like_any_other(file):
    assert read(file, b'a,b\r\n1,2.5 inch"\n2,x\r\n')[1] == [(1, "1", '2.5 inch"'), (2, "2", "x")]


def test_excel_s_line_for_tabs_is_read(file):
    assert read(file, "sep=\t\r\na\tb\r\n1\t2\r\n") == (["a", "b"], [(1, "1", "2")])


@pytest.mark.parametrize("text", ["\ufeffa,b\n1,2\n\ufeffa,b\n3,4\n", "a,b\n1,2\nA,B\n3,4\n"])
def test_the_header_of_a_second_export_is_none_of_the_rows(file, text):
    assert refused(file, text).where == f"{file}, row 2"


@pytest.mark.parametrize("content", ["x;n\n12,50;1\n1.234;2\n", "x;n\n1,5;1\n2,5;1.234\n"])
def test_with_decimal_commas_a_point_may_stand_between_thousands(file, content):
    error = refused(file, content, NUMBERS)
    assert "could be thousands or decimals" in error.what
    assert error.where == f"{file}, row 2"


def test_utf_16_is_unpacked_too(tmp_path):
    content = gzip.compress("a;b\r\nZürich;2\r\n".encode("utf-16"))
    assert read(tmp_path / "x.csv.gz", content) == (["a", "b"], [(1, "Zürich", "2")])


@pytest.mark.parametrize("at", [0, 15, -12])
def test_a_damaged_pack_is_refused(tmp_path, at):
    content = bytearray(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 999 + b",2\n"))
    content[at] ^= 0xFF
    assert "cannot be unpacked" in refused(tmp_path / "x.csv.gz", bytes(content)).what


def test_the_line_of_another_encoding_is_near_where_a_pack_has_it(tmp_path):
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 5 + b"Z\xfcrich,2\n")
    error = refused(tmp_path / "x.csv.gz", content)
    assert error.what in {"the file is not in UTF-8", "the file is in another encoding"}


def test_decimals_of_parquet_are_no_texts(tmp_path):
    with connect() as connection:
        write_table(connection, "SELECT 12346.50::DECIMAL(18,2) AS id, 7::DECIMAL(9,0) AS n", tmp_path / "x.parquet")
    assert "DECIMAL(18,2)" in refused(tmp_path / "x.parquet", None, [Column("id", "string")]).what
    assert read(tmp_path / "x.parquet", None, [Column("n", "string")])[1][0][2] == "7"
