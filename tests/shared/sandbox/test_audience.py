"""Audience SQL: what a marketer writes runs, and what an attacker writes does not."""

import duckdb
import pyarrow.parquet as pq
import pytest

from shared.core.errors import BadInput, Contained
from shared.sandbox import audience, check_audience

ORDINARY = """
-- customers who bought much, best first
WITH spent AS (SELECT unit, sum(amount) AS total FROM orders GROUP BY unit),
ranked AS (SELECT c.unit, s.total, row_number() OVER (PARTITION BY c.segment ORDER BY s.total DESC) AS place
           FROM Customers c JOIN spent s USING (unit) WHERE c.since >= DATE '2026-01-05' AND lower(c.name) LIKE 'zoë%')
SELECT unit FROM ranked WHERE place <= 5; -- fifteen of them
"""


def units(path):
    return pq.read_table(path).column("unit").to_pylist()


def refusal(world, sql, limits=None):
    with pytest.raises(Contained) as caught:
        audience(sql, world.tables, world.out, where="audience.sql", limits=limits or world.tight)
    assert not world.out.exists()
    assert caught.value.where.startswith("audience.sql")
    return caught.value


def test_an_audience_joins_ranks_and_filters(world):
    connection = duckdb.connect()
    for name, path in world.tables.items():
        connection.execute(f"CREATE VIEW {name} AS FROM '{path}'")
    expected = sorted(unit for (unit,) in connection.execute(ORDINARY).fetchall())
    assert audience(ORDINARY, world.tables, world.out, where="audience.sql") == len(expected) == 15
    assert units(world.out) == expected


def test_an_audience_is_distinct_sorted_text_without_null(world):
    sql = "SELECT CASE WHEN i < 8 THEN i % 4 END AS unit FROM range(10) t(i)"
    assert audience(sql, {}, world.out, where="audience.sql") == 4
    assert units(world.out) == ["0", "1", "2", "3"]
    assert pq.read_schema(world.out).names == ["unit"]


def test_an_audience_may_recurse_union_pivot_and_unnest(world):
    sql = """
        WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 3)
        SELECT 'u' || n AS unit FROM up
        UNION (SELECT unnest(['u7', 'u8']) AS unit)
        EXCEPT SELECT unit FROM (PIVOT customers ON segment IN (2) USING count(*) GROUP BY unit) WHERE "2" > 0
    """
    audience(sql, world.tables, world.out, where="audience.sql")
    assert units(world.out) == ["u1", "u3", "u7"]


def test_an_empty_audience_is_a_file_without_rows(world):
    assert audience("SELECT unit FROM customers WHERE false", world.tables, world.out, where="audience.sql") == 0
    assert units(world.out) == []


def test_a_table_may_be_a_link_to_its_file(world):
    link = world.root / "link.parquet"
    link.symlink_to(world.tables["customers"])
    assert audience("SELECT unit FROM customers", {"customers": link}, world.out, where="audience.sql") == 100


def test_the_refusal_names_the_table_the_line_and_what_may_be_read(world):
    error = refusal(world, "SELECT unit\nFROM secrets")
    assert error.what == "the audience reads table `secrets`; it may read customers, orders"
    assert error.where == "audience.sql, line 2"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT content AS unit FROM read_text('{canary}')", "`read_text()`"),
        ("SELECT unit FROM read_csv('{canary}')", "`read_csv()`"),
        ("SELECT file AS unit FROM glob('{root}/*')", "`glob()`"),
        ("SELECT unit FROM '{canary}'", "canary.csv"),
        ("SELECT unit FROM customers LIMIT (SELECT count(*) FROM read_blob('{canary}'))", "`read_blob()`"),
        ("SELECT unit FROM query('SELECT * FROM read_text(''{canary}'')')", "`query()`"),
        ("SELECT unit FROM customers; DROP TABLE customers", "SELECT, DROP"),
        ("COPY customers TO '{canary}'", "COPY"),
    ],
)
def test_the_audience_is_refused_and_the_offence_named(world, sql, named):
    error = refusal(world, sql.format(canary=world.canary, root=world.root))
    assert named in str(error)
    assert "the secret" not in str(error)


@pytest.mark.parametrize(
    ("sql", "limit"),
    [
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS unit FROM r", "after 1 s"),
        ("SELECT repeat(a.unit, 99999999) AS unit FROM customers a, customers b", "stopped"),
        ("SELECT string_agg(a.unit, '') AS unit FROM customers a, range(999999999)", "stopped"),
        ("SELECT 'u' || i AS unit FROM range(9999999999) t(i)", "stopped"),
        ("SELECT unit FROM customers ORDER BY list_sum(range(4294967295))", "memory"),
        ("SELECT i AS unit FROM range(100001) t(i)", "more than 100,000 rows"),
        (f"SELECT {'(' * 3000}1{')' * 3000} AS unit", "depth"),
    ],
)
def test_an_audience_without_end_is_stopped_by_the_limit_it_hit(world, sql, limit):
    assert limit in refusal(world, sql).what


@pytest.mark.parametrize(
    "sql",
    ["SELECT unit, name FROM customers", "SELECT name FROM customers", "SELECT 1.5 AS unit", "SELECT [1] AS unit"],
)
def test_an_audience_returns_one_column_of_units(world, sql):
    assert "`unit`" in refusal(world, sql).what


def test_a_failed_audience_leaves_the_former_one(world):
    audience("SELECT unit FROM customers", world.tables, world.out, where="audience.sql")
    with pytest.raises(Contained):
        audience("SELECT unit, 1 // 0 FROM customers", world.tables, world.out, where="audience.sql")
    assert len(units(world.out)) == 100


def test_a_missing_table_file_is_bad_input(world):
    with pytest.raises(BadInput, match="is not a file"):
        audience("SELECT 1 AS unit", {"gone": world.root / "gone.parquet"}, world.out, where="audience.sql")


def test_a_table_that_is_no_parquet_is_bad_input(world):
    with pytest.raises(BadInput, match="table `canary` cannot be read"):
        audience("SELECT unit FROM canary", {"canary": world.canary}, world.out, where="audience.sql")


def test_a_check_needs_the_names_of_the_tables_only(world):
    check_audience(ORDINARY, ["customers", "orders"], where="audience.sql")
    with pytest.raises(Contained, match="reads table `orders`; it may read customers"):
        check_audience(ORDINARY, ["customers"], where="audience.sql")
