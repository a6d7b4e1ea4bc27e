"""What Great Expectations is asked, what its answers are made of, and which of its traps are closed.

Expected counts and row numbers are read off the planted rows by hand.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import socket
from types import SimpleNamespace

import duckdb
import pytest
import sqlalchemy

from shared.core.errors import BadInput, Undecided
from shared.core.jsonable import jsonable
from shared.data import quality
from shared.data.breaches import breaches_sql
from shared.data.contracts import Column, Contract
from shared.data.quality import Breach, QualityReport, column_rules, quarantine_reasons, run_suite

KEY = Column("id", "string", required=True, unique=True)
GOOD = QualityReport(rows=5, minimum_rows=1, expected=3, evaluated=3, breaches=(), problems=())


def contract(*columns, table="things", minimum_rows=1):
    return Contract("c", "things", "1.0.0", table, ("id",), (KEY, *columns), minimum_rows)


def parquet(path, query):
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture
def table(tmp_path):
    """Writes rows (name, values...) under an id and a row number, counted from 0."""

    def write(name, kind, *values):
        rows = ", ".join(f"({row}, 'i{row}', {value})" for row, value in enumerate(values))
        cast = f"SELECT n, id, v::{kind} AS {name} FROM (VALUES {rows}) AS t(n, id, v)"
        parquet(tmp_path / "numbered.parquet", cast)
        parquet(tmp_path / "plain.parquet", f"SELECT * EXCLUDE n FROM ({cast})")
        return tmp_path / "plain.parquet", tmp_path / "numbered.parquet"

    return write


RULES = [
    (Column("v", "integer", required=True), "BIGINT", ("1", "NULL", "3", "NULL"), {"v must not be missing": [1, 3]}),
    (Column("v", "integer"), "BIGINT", ("1", "NULL"), {}),
    (Column("v", "integer"), "BIGINT", ("NULL", "NULL"), {}),
    (
        Column("v", "string", unique=True),
        "VARCHAR",
        ("'a'", "'b'", "'a'", "NULL", "NULL"),
        {"v must be unique": [0, 2]},
    ),
    (
        Column("v", "integer", minimum=1, maximum=12),
        "INTEGER",
        ("0", "1", "12", "13", "NULL", "-5"),
        {"v must be between 1 and 12": [0, 3, 5]},
    ),
    (Column("v", "integer", minimum=0), "BIGINT", ("-1", "0", "9223372036854775807"), {"v must be at least 0": [0]}),
    (Column("v", "number", maximum=0.1), "DOUBLE", ("0.1", "0.2", "-7"), {"v must be at most 0.1": [1]}),
    (Column("v", "number", maximum=0.1), "DECIMAL(9,2)", ("0.1", "0.2", "-7"), {"v must be at most 0.1": [1]}),
    (
        Column("v", "number", minimum=0),
        "DOUBLE",
        ("'1'", "'nan'", "'inf'", "NULL"),
        {"v must be a finite number": [1, 2]},
    ),
    (
        Column("v", "string", min_length=2, max_length=3),
        "VARCHAR",
        ("'a'", "'ab'", "'äöü'", "'abcd'", "''"),
        {"v must have a length between 2 and 3": [0, 3, 4]},
    ),
    (Column("v", "string", min_length=1), "VARCHAR", ("''", "'a'"), {"v must have a length at least 1": [0]}),
    (
        Column("v", "string", pattern="b.?c"),
        "VARCHAR",
        ("'abc'", "'bxc'", "'ab'", "''", "NULL"),
        {"v must match the pattern b.?c": [2, 3]},
    ),
    (
        Column("v", "string", pattern=r"^it's 100%? \$1 :v_1 {x}$"),
        "VARCHAR",
        ("'it''s 100% $1 :v_1 {x}'", "'its 100% $1 :v_1 {x}'"),
        {r"v must match the pattern ^it's 100%? \$1 :v_1 {x}$": [1]},
    ),
    (Column("v", "integer", valid_values=(1,)), "TINYINT", ("1", "2", "NULL"), {"v must be one of 1": [1]}),
    (Column("v", "integer", valid_values=(1, 2)), "BIGINT", ("1", "2", "3"), {"v must be one of 1, 2": [2]}),
    (Column("v", "number", valid_values=(0.5, 1)), "DOUBLE", ("0.5", "1", "2"), {"v must be one of 0.5, 1": [2]}),
    (
        Column("v", "string", valid_values=("it's", "a?b", "$1", "100%", "back\\slash", 'say "x"')),
        "VARCHAR",
        ("'it''s'", "'a?b'", "'$1'", "'100%'", "'back\\slash'", "'say \"x\"'", "'its'"),
        {'v must be one of it\'s, a?b, $1, 100%, back\\slash, say "x"': [6]},
    ),
    (Column("v", "boolean", valid_values=(True,)), "BOOLEAN", ("true", "false"), {"v must be one of True": [1]}),
    (Column("v", "date", required=True), "DATE", ("'2026-01-01'", "NULL"), {"v must not be missing": [1]}),
    (Column("v", "timestamp", required=True), "TIMESTAMPTZ", ("'2026-01-01'", "NULL"), {"v must not be missing": [1]}),
    (Column("v", "timestamp", required=True), "TIMESTAMP", ("'2026-01-01'", "NULL"), {"v must not be missing": [1]}),
]


@pytest.mark.parametrize(("column", "kind", "values", "expected"), RULES)
def test_each_rule_counts_exactly_the_planted_rows(table, column, kind, values, expected):
    plain, _ = table("v", kind, *values)
    report = run_suite(contract(column), plain)
    assert {breach.rule: breach.rows for breach in report.breaches} == {rule: len(r) for rule, r in expected.items()}


@pytest.mark.parametrize(("column", "kind", "values", "expected"), RULES)
def test_each_rule_is_evaluated(table, column, kind, values, expected):
    plain, _ = table("v", kind, *values)
    report = run_suite(contract(column), plain)
    assert (report.problems, report.evaluated) == ((), report.expected)


@pytest.mark.parametrize(("column", "kind", "values", "expected"), RULES)
def test_each_rule_finds_exactly_the_planted_rows(table, column, kind, values, expected):
    _, numbered = table("v", kind, *values)
    found = quarantine_reasons(contract(column), numbered, "n").to_pylist()
    assert [(entry["reason"], entry["row"]) for entry in found] == [
        (rule, row) for rule, rows in expected.items() for row in rows
    ]


@pytest.mark.parametrize(("column", "kind", "values", "expected"), RULES)
def test_each_rule_as_sql_finds_exactly_the_planted_rows(table, column, kind, values, expected):
    _, numbered = table("v", kind, *values)
    found = {
        text: [row for (row,) in duckdb.execute(f"SELECT n FROM '{numbered}' WHERE {rule}").fetchall()]
        for text, rule in breaches_sql(column).items()
    }
    alone = {rule: rows for rule, rows in expected.items() if "unique" not in rule and "type" not in rule}
    assert {rule: rows for rule, rows in found.items() if rows} == alone


def test_every_rule_that_the_library_evaluates_is_one_in_sql_but_for_types_and_uniqueness():
    column = Column("v", "string", required=True, unique=True, min_length=1, pattern="x", valid_values=("x",))
    asked = [rule.text for rule in column_rules(column)]
    assert [text for text in asked if text not in breaches_sql(column)] == [
        "v must be of type string",
        "v must be unique",
    ]


def test_a_thousand_random_rows_break_the_same_rules_in_sql_as_in_the_library(tmp_path):
    columns = (
        Column("a", "integer", required=True, minimum=-3, maximum=40),
        Column("b", "number", minimum=-1.5, maximum=0.25),
        Column("c", "string", min_length=2, max_length=4, pattern="^[a-z]+$", valid_values=("ab", "abc", "Zoë")),
        Column("d", "boolean", required=True, valid_values=(True,)),
    )
    path = tmp_path / "random.parquet"
    duckdb.execute("SELECT setseed(0.5)")
    maybe = "CASE WHEN random() < 0.1 THEN NULL ELSE {} END"
    texts = "['ab', 'abc', 'a', 'abcde', 'Zoë', '', 'zoë'][1 + CAST(floor(random() * 7) AS INTEGER)]"
    numbers = "[-2, -1.5, 0.25, 0.26, 'nan', 'inf', '-inf', 1e308][1 + CAST(floor(random() * 8) AS INTEGER)]::DOUBLE"
    whole = "CAST(floor(random() * 50) AS BIGINT) - 5"
    duckdb.execute(
        f"COPY (SELECT i AS n, 'i' || i AS id, {maybe.format(whole)} AS a, {maybe.format(numbers)} AS b, "
        f"{maybe.format(texts)} AS c, {maybe.format('random() < 0.5')} AS d "
        f"FROM range(1000) AS t(i)) TO '{path}' (FORMAT parquet)"
    )
    library = quarantine_reasons(contract(*columns), path, "n").to_pylist()
    in_sql = [
        (row, text)
        for column in columns
        for text, rule in breaches_sql(column).items()
        for (row,) in duckdb.execute(f"SELECT n FROM '{path}' WHERE {rule}").fetchall()
    ]
    assert len({text for _, text in in_sql}) == 9
    assert sorted(in_sql) == sorted((entry["row"], entry["reason"]) for entry in library)


def test_a_good_table_passes(table):
    plain, _ = table("v", "BIGINT", "1", "2")
    assert run_suite(contract(Column("v", "integer", minimum=1)), plain) == QualityReport(
        rows=2, minimum_rows=1, expected=6, evaluated=6, breaches=(), problems=()
    )


def test_a_broken_rule_fails_the_table(table):
    plain, _ = table("v", "BIGINT", "1", "0")
    report = run_suite(contract(Column("v", "integer", minimum=1)), plain)
    assert (report.outcome, report.breaches) == ("failed", (Breach("v must be at least 1", "v", 1),))


def test_a_table_of_zero_rows_is_unevaluable_although_every_rule_holds(tmp_path):
    path = parquet(tmp_path / "t.parquet", "SELECT 'a' AS id, 1 AS v WHERE false")
    report = run_suite(contract(Column("v", "integer", required=True, unique=True, minimum=1)), path)
    assert (report.outcome, report.rows, report.breaches) == ("unevaluable", 0, ())


def test_fewer_rows_than_the_contract_asks_are_unevaluable(table):
    plain, _ = table("v", "BIGINT", "1", "2")
    assert run_suite(contract(Column("v", "integer"), minimum_rows=3), plain).outcome == "unevaluable"


def test_an_empty_suite_is_unevaluable(table, monkeypatch):
    plain, _ = table("v", "BIGINT", "1")
    monkeypatch.setattr(quality, "_rules", lambda *_: ())
    report = run_suite(contract(), plain)
    assert (report.outcome, report.expected, report.rows) == ("unevaluable", 0, 1)


def test_an_answer_that_did_not_come_is_unevaluable(table, monkeypatch):
    plain, _ = table("v", "BIGINT", "1")
    validate = quality._validate
    monkeypatch.setattr(quality, "_validate", lambda *given: validate(*given)[1:])
    assert run_suite(contract(Column("v", "integer")), plain).outcome == "unevaluable"


@pytest.mark.parametrize("result", [{}, {"unexpected_count": None}, {"unexpected_count": 3}])
def test_a_success_without_a_count_of_zero_is_a_problem(table, monkeypatch, result):
    plain, _ = table("v", "BIGINT", "1")
    validate = quality._validate

    def changed(*given):
        results = validate(*given)
        next(r for r in results if "unexpected_count" in r.result).result = result
        return results

    monkeypatch.setattr(quality, "_validate", changed)
    report = run_suite(contract(Column("v", "integer")), plain)
    assert (report.outcome, len(report.problems)) == ("unevaluable", 1)


def test_a_missing_column_fails_in_plain_words(tmp_path):
    path = parquet(tmp_path / "t.parquet", "SELECT 'a' AS id")
    report = run_suite(contract(Column("v", "integer", minimum=1)), path)
    assert (report.outcome, report.breaches) == (
        "failed",
        (Breach("v must be there: the column is missing", "v", 1),),
    )


def test_an_unknown_column_fails_in_plain_words(tmp_path):
    path = parquet(tmp_path / "t.parquet", "SELECT 'a' AS id, 1 AS extra")
    report = run_suite(contract(), path)
    assert (report.outcome, report.breaches) == ("failed", (Breach("unknown column extra", "extra", 1),))


def test_a_column_of_another_type_fails_in_plain_words(table):
    plain, _ = table("v", "VARCHAR", "'1'", "'2'")
    assert run_suite(contract(Column("v", "integer")), plain).breaches == (
        Breach("v must be of type integer (it is String)", "v", 2),
    )


@pytest.mark.parametrize(
    ("declared", "kind", "value"),
    [
        ("integer", "DOUBLE", "1.5"),
        ("number", "VARCHAR", "'1'"),
        ("boolean", "INTEGER", "1"),
        ("date", "TIMESTAMP", "'2026-01-01'"),
        ("timestamp", "DATE", "'2026-01-01'"),
        ("string", "BLOB", "'x'"),
        ("integer", "BOOLEAN", "true"),
    ],
)
def test_no_type_passes_for_another(table, declared, kind, value):
    plain, _ = table("v", kind, value)
    rules = [breach.rule for breach in run_suite(contract(Column("v", declared)), plain).breaches]
    assert [rule.split(" (")[0] for rule in rules] == [f"v must be of type {declared}"]


def test_what_the_library_raises_is_a_problem_and_never_a_pass(table):
    plain, _ = table("v", "VARCHAR", "'a'")
    report = run_suite(contract(Column("v", "string", pattern="(?=look-ahead)")), plain)
    assert (report.outcome, len(report.problems), report.evaluated) == ("unevaluable", 1, report.expected - 1)


def test_a_problem_does_not_quote_the_value_that_caused_it(table):
    plain, _ = table("v", "VARCHAR", "'o''brien@example.com'")
    report = run_suite(contract(Column("v", "integer", valid_values=(0, 1))), plain)
    assert report.problems
    assert "brien" not in json.dumps(jsonable(report))


def test_a_breach_does_not_quote_the_values_in_breach(table):
    plain, _ = table("v", "VARCHAR", "'anna@example.com'")
    report = run_suite(contract(Column("v", "string", valid_values=("x",))), plain)
    assert report.breaches
    assert "anna" not in json.dumps(jsonable(report))


def test_words_of_sql_may_name_tables_and_columns(tmp_path):
    path = parquet(tmp_path / "t.parquet", "SELECT range AS n, 'i' || range AS id, range AS \"order\" FROM range(4)")
    found = quarantine_reasons(contract(Column("order", "integer", maximum=2), table="select"), path, "n")
    assert found.column("row").to_pylist() == [3]


def test_names_that_the_library_uses_itself_do_no_harm(tmp_path):
    path = parquet(tmp_path / "t.parquet", "SELECT 1 AS n, 'a' AS id, 'b' AS _num_rows")
    assert quarantine_reasons(contract(Column("_num_rows", "string"), table="anon_1"), path, "n").num_rows == 0


def test_several_files_are_one_table(tmp_path):
    paths = [parquet(tmp_path / f"{name}.parquet", f"SELECT 'same' AS id, {name} AS v") for name in (1, 2)]
    report = run_suite(contract(Column("v", "integer")), paths)
    assert (report.rows, report.breaches) == (2, (Breach("id must be unique", "id", 2),))


def test_a_column_that_only_the_second_file_has_is_unknown(tmp_path):
    paths = [parquet(tmp_path / "1.parquet", "SELECT 'a' AS id"), parquet(tmp_path / "2.parquet", "SELECT 'b' id, 1 x")]
    assert run_suite(contract(), paths).breaches == (Breach("unknown column x", "x", 2),)


def test_a_path_is_taken_as_it_is_written(tmp_path):
    parquet(tmp_path / "day=1" / "ab.parquet", "SELECT 'other' AS id")
    path = parquet(tmp_path / "day=1" / "a[b]*.parquet", "SELECT 'a' AS id UNION ALL SELECT 'b'")
    report = run_suite(contract(), path)
    assert (report.outcome, report.rows) == ("passed", 2)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        run_suite(contract(), tmp_path / "none.parquet")


def test_no_file_at_all_is_bad_input():
    with pytest.raises(BadInput, match="no file was given"):
        run_suite(contract(), [])


def test_a_file_that_is_not_parquet_is_bad_input(tmp_path):
    (tmp_path / "t.parquet").write_text("id\na\n")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        run_suite(contract(), tmp_path / "t.parquet")


def test_quarantine_gives_a_row_one_line_per_broken_rule_in_order(tmp_path):
    path = parquet(
        tmp_path / "t.parquet",
        "SELECT * FROM (VALUES (7, NULL, 5), (3, 'a', 9), (5, 'b', 1), (4, 'a', 1)) AS t(n, id, v)",
    )
    rule = "v must be at most 4"
    assert quarantine_reasons(contract(Column("v", "integer", maximum=4)), path, "n").to_pylist() == [
        {"row": 3, "column": "id", "reason": "id must be unique"},
        {"row": 3, "column": "v", "reason": rule},
        {"row": 4, "column": "id", "reason": "id must be unique"},
        {"row": 7, "column": "id", "reason": "id must not be missing"},
        {"row": 7, "column": "v", "reason": rule},
    ]


def test_quarantine_of_a_good_table_is_empty(table):
    _, numbered = table("v", "BIGINT", "1")
    assert quarantine_reasons(contract(Column("v", "integer")), numbered, "n").num_rows == 0


@pytest.mark.parametrize("query", ["SELECT 1 n, 'a' id", "SELECT 1 n, 'a' id, 1 v, 2 w", "SELECT 1 n, 'a' id, 'x' v"])
def test_quarantine_refuses_a_table_that_is_wrong_as_a_whole(tmp_path, query):
    path = parquet(tmp_path / "t.parquet", query)
    with pytest.raises(BadInput, match="as a whole"):
        quarantine_reasons(contract(Column("v", "integer")), path, "n")


def test_quarantine_cannot_decide_where_a_rule_cannot_be_evaluated(table):
    _, numbered = table("v", "VARCHAR", "'a'")
    with pytest.raises(Undecided, match="1 of 6 rules"):
        quarantine_reasons(contract(Column("v", "string", pattern="(?=look-ahead)")), numbered, "n")


def test_quarantine_does_not_believe_a_query_that_finds_other_rows_than_were_counted(table, monkeypatch):
    _, numbered = table("v", "BIGINT", "1", "2")
    answers = quality._answers

    def lying(*given):
        return [dataclasses.replace(a, query=a.query and f"{a.query[:-1]} LIMIT 0") for a in answers(*given)]

    monkeypatch.setattr(quality, "_answers", lying)
    with pytest.raises(Undecided, match="1 rows break it, but 0 were found"):
        quarantine_reasons(contract(Column("v", "integer", maximum=1)), numbered, "n")


def test_a_column_of_the_contract_cannot_number_the_rows(table):
    _, numbered = table("v", "BIGINT", "1")
    with pytest.raises(BadInput, match="cannot number the rows"):
        quarantine_reasons(contract(Column("v", "integer")), numbered, "V")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "passed"),
        ({"rows": 0}, "unevaluable"),
        ({"rows": 0, "minimum_rows": 0}, "unevaluable"),
        ({"minimum_rows": 6}, "unevaluable"),
        ({"expected": 0, "evaluated": 0}, "unevaluable"),
        ({"evaluated": 2}, "unevaluable"),
        ({"evaluated": 4}, "unevaluable"),
        ({"problems": ("p",)}, "unevaluable"),
        ({"breaches": (Breach("r", None, 1),)}, "failed"),
        ({"breaches": (Breach("r", None, 1),), "problems": ("p",), "evaluated": 2, "rows": 0}, "failed"),
    ],
)
def test_only_rows_rules_and_answers_without_breach_make_a_pass(changes, outcome):
    assert dataclasses.replace(GOOD, **changes).outcome == outcome


def test_a_report_is_json():
    report = dataclasses.replace(GOOD, breaches=(Breach("r", "c", 2),))
    assert json.loads(json.dumps(jsonable(report))) == {
        "rows": 5, "minimum_rows": 1, "expected": 3, "evaluated": 3,
        "breaches": [{"rule": "r", "column": "c", "rows": 2}], "problems": [],
    }  # fmt: skip


def test_nothing_is_sent_written_or_printed(table, tmp_path, monkeypatch, capfd):
    plain, _ = table("v", "BIGINT", "1")
    empty = tmp_path / "empty"
    empty.mkdir()

    def forbidden(*_):
        raise AssertionError("a connection to the network")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setenv("HOME", str(empty))
    monkeypatch.chdir(empty)
    outcome = run_suite(contract(Column("v", "integer")), plain).outcome
    assert (outcome, list(empty.iterdir()), capfd.readouterr()) == ("passed", [], ("", ""))


def test_upstream_11579_is_still_there(table, monkeypatch):
    plain, _ = table("v", "BIGINT", "1")
    quality._library()
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine

    theirs = tuple(name for name in engine._PERSISTED_CONNECTION_DIALECTS if name.value != "duckdb")
    monkeypatch.setattr(engine, "_PERSISTED_CONNECTION_DIALECTS", theirs)
    report = run_suite(contract(Column("v", "integer", minimum=1)), plain)
    assert report.outcome == "unevaluable", "upstream #11579 is mended: _Dialect and its use in _library can go"


def test_upstream_still_leaves_placeholders_in_the_queries_it_hands_out():
    quality._library()
    from great_expectations.expectations.metrics import util

    specification = importlib.util.spec_from_file_location("unmended", util.__file__)
    unmended = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(unmended)
    engine = SimpleNamespace(engine=sqlalchemy.create_engine("duckdb:///:memory:"), dialect_name="duckdb")
    query = sqlalchemy.select(sqlalchemy.column("v")).where(sqlalchemy.column("v").in_([1]))
    handed_out = unmended.sqlalchemy_select_to_sql_string(engine=engine, select_statement=query)
    assert "$1" in handed_out, "upstream writes its values in full: the second mend in _library can go"
