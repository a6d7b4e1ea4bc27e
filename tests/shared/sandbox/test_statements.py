"""The allow-list of audience SQL, word by word; which functions it holds is known by name, so none slips in unseen."""

from pathlib import Path

import duckdb
import pytest

from shared.core.errors import Contained
from shared.sandbox.statements import admit_audience, audience_functions

LISTED = Path(__file__).parent / "audience_functions.txt"


def test_the_functions_of_an_audience_are_those_that_were_reviewed():
    known = set(LISTED.read_text().split("\n")) - {""}
    offered = {name for name in audience_functions(duckdb.connect()) if "collate_" not in name}
    assert offered - known == set(), "review these, then add them to audience_functions.txt"
    assert known - offered == set(), "DuckDB lost these; remove them from audience_functions.txt"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT unit FROM query_table('customers')", "`query_table()`"),
        ("SELECT unit FROM customers.orders", "`customers.orders`"),
        ("SELECT table_name AS unit FROM information_schema.tables", "`information_schema.tables`"),
        ("SELECT name AS unit FROM sqlite_master", "`sqlite_master`"),
        ("SELECT name AS unit FROM duckdb_settings()", "`duckdb_settings()`"),
        ("FROM (DESCRIBE customers)", "SHOW"),
        ("SELECT unit FROM (WITH secrets AS (SELECT 1) FROM secrets), secrets", "`secrets`"),
        ("WITH secrets AS (SELECT unit FROM secrets) FROM secrets", "`secrets`"),
        ("WITH gone AS (DELETE FROM customers RETURNING unit) SELECT unit FROM gone", "DELETE"),
        ("SELECT getenv('HOME') AS unit", "`getenv()`"),
        ("SELECT current_setting('home_directory') AS unit", "`current_setting()`"),
        ("SELECT getvariable('x') AS unit", "`getvariable()`"),
        ("SELECT main.upper('x') AS unit", "`main.upper()`"),
        ("SELECT json_serialize_plan('FROM read_text(''canary.csv'')') AS unit", "`json_serialize_plan()`"),
        ("SELECT unit FROM customers WHERE random() < 0.5", "`random()`"),
        ("SELECT write_log('x') AS unit", "`write_log()`"),
        ("SELECT $1 AS unit", "PARAMETER"),
        ("PREPARE p AS SELECT unit FROM customers", "PREPARE"),
        ("EXPLAIN SELECT unit FROM customers", "EXPLAIN"),
        ("-- nothing", "nothing"),
        ("SELECT unit FROM", "syntax error"),
    ],
)
def test_an_offence_is_named(sql, named):
    with pytest.raises(Contained) as caught:
        admit_audience(duckdb.connect(), sql, ["customers", "orders"])
    assert named in caught.value.what


@pytest.mark.parametrize("end", ["", ";", " ; -- that is all", "\n/* ; */;;\n"])
def test_what_follows_the_last_word_is_cut_off(end):
    sql = "SELECT ';' AS unit -- ;\nFROM \"Cüstomers\""
    assert admit_audience(duckdb.connect(), sql + end, ["cüstomers"]).rstrip() == sql
