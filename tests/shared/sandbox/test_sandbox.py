"""Sandbox SQL: a pilot's own database works, and nothing outside of it can be reached."""

import os

import duckdb
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from shared.core.errors import Contained, PilotPlantError, Refused
from shared.sandbox import Limits, query
from shared.sandbox.statements import admit_sandbox


def run(world, sql, **options):
    settings = {"database": world.root / "sandboxes" / "pilot.duckdb", "out": None, "where": "sql", **options}
    return query(sql, world.tables, **settings)


def refusal(world, sql, **options):
    with pytest.raises(Contained) as caught:
        run(world, sql, **{"limits": world.tight, **options})
    assert "the secret" not in str(caught.value)
    return caught.value


def test_the_sandbox_keeps_tables_and_views_between_queries(world):
    run(
        world, "CREATE TABLE mine AS FROM customers LIMIT 3; CREATE VIEW counted AS SELECT count(*) AS n FROM customers"
    )
    run(world, "INSERT INTO mine FROM customers LIMIT 2; UPDATE mine SET segment = 9; ALTER TABLE mine DROP city")
    assert run(world, "SELECT n, (SELECT count(*) FROM mine), (SELECT max(segment) FROM mine) FROM counted").rows == [
        [100, 5, 9]
    ]
    assert run(world, "DROP TABLE mine; EXPLAIN ANALYZE SELECT 1").total == 1
    assert "mine" in refusal(world, "FROM mine").what


def test_values_come_back_as_json_knows_them(world):
    sql = (
        "SELECT 1.50::DECIMAL(9,2) AS money, sum(i) AS total, DATE '2026-02-01' AS day, 'nan'::DOUBLE AS odd,"
        " NULL AS no, TIMESTAMPTZ '2026-02-01 12:00:00+02' AS at, TIMESTAMP_NS '2026-02-01 00:00:00.123456789' AS fine,"
        " [1, 2] AS l, {'a': true} AS s, 'ab'::BLOB AS raw FROM range(3) t(i)"
    )
    found = run(world, sql, database=None)
    assert found.columns == ["money", "total", "day", "odd", "no", "at", "fine", "l", "s", "raw"]
    plain = ["1.50", 3, "2026-02-01", "nan", None, "2026-02-01T10:00:00+00:00", "2026-02-01T00:00:00.123456"]
    assert found.rows == [[*plain, [1, 2], {"a": True}, "6162"]]


def test_a_preview_is_cut_and_the_file_is_whole(world):
    out = world.root / "all.parquet"
    found = run(world, "SELECT * FROM range(2500) t(i)", out=out, preview=10, database=None)
    assert (len(found.rows), found.total, pq.read_metadata(out).num_rows) == (10, 2500, 2500)


def test_a_result_may_be_written_as_csv(world):
    out = world.root / "all.csv"
    run(world, "SELECT unit, since, now() > TIMESTAMPTZ '2020-01-01' AS later FROM customers ORDER BY since", out=out)
    assert pa_csv.read_csv(out).num_rows == 100


def test_several_files_make_one_table(world):
    tables = {"twice": [world.tables["customers"], world.tables["customers"]]}
    assert query("SELECT count(*) FROM twice", tables, database=None, out=None, where="sql").rows == [[200]]


def test_statements_that_fail_leave_the_database_as_it_was(world):
    run(world, "CREATE TABLE mine AS SELECT 1 AS i")
    refusal(world, "INSERT INTO mine VALUES (2); SELECT * FROM nowhere")
    refusal(world, "DELETE FROM mine; SELECT sleep_ms(60000)")
    assert run(world, "FROM mine").rows == [[1]]


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'stolen.duckdb' AS stolen",
        "COPY (SELECT 1) TO 'canary.csv'",
        "COPY (SELECT 1) TO 'customers.parquet' (USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'canary.csv'",
        "EXPORT DATABASE 'stolen'",
        "IMPORT DATABASE 'folder'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage = 'file')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE SECRET s (TYPE s3)",
        "CREATE /* TABLE */ PERSISTENT SECRET s (TYPE s3)",
        "CREATE MACRO steal() AS TABLE SELECT * FROM read_text('canary.csv')",
        "CREATE TRIGGER t AFTER INSERT ON x FOR EACH STATEMENT INSERT INTO y VALUES (1)",
        "PREPARE p AS SELECT 1",
        "DETACH sandbox",
        "USE memory",
        "BEGIN",
        "SELECT 1; VACUUM",
        "",
    ],
)
def test_a_verb_that_is_not_on_the_list_is_refused(sql):
    with pytest.raises(Contained, match=r"does not run|no statement"):
        admit_sandbox(sql)


def test_a_refused_verb_is_named_with_those_that_run(world):
    error = refusal(world, f"SELECT 1; COPY customers TO '{world.tables['customers']}' (USE_TMP_FILE false)")
    assert error.what == "a sandbox does not run COPY"
    assert error.remedy == "it runs SELECT, EXPLAIN, CREATE TABLE, CREATE VIEW, INSERT, UPDATE, DELETE, DROP, ALTER"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{canary}')",
        "SELECT * FROM '{canary}'",
        "SELECT * FROM glob('{root}/*')",
        "SELECT * FROM parquet_metadata('{canary}')",
        "SELECT * FROM read_duckdb('{root}/sandboxes/other.duckdb')",
        "CREATE VIEW v AS SELECT * FROM read_text('{canary}')",
        "CREATE TABLE t AS SELECT * FROM query('SELECT * FROM read_text(''{canary}'')')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{canary}'')'))",
        "SELECT * FROM enable_logging(storage = 'file')",
        "SELECT getenv('HOME')",
        "SELECT * FROM read_text('{link}')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "INSERT INTO customers FROM customers",
        "SELECT * FROM job",
    ],
)
def test_what_the_verbs_allow_still_reaches_nothing_outside(world, sql):
    (world.root / "sandboxes").mkdir()
    link = world.root / "sandboxes" / "link"
    link.symlink_to(world.canary)
    os.link(world.canary, world.root / "sandboxes" / "hard")
    refusal(world, sql.format(root=world.root, canary=world.canary, link=link))


@pytest.mark.parametrize(
    ("sql", "limit"),
    [
        ("SELECT sleep_ms(600000)", "after 1 s"),
        ("SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e", "after 1 s"),
        ("SELECT list(i) FROM range(999999999) t(i)", "128 MB of memory"),
        ("CREATE TABLE bomb AS SELECT md5(i::VARCHAR) AS x FROM range(99999999) t(i)", "stopped"),
        ("SELECT md5(i::VARCHAR) AS x FROM range(9999999) t(i) ORDER BY x", "stopped"),
        ("SELECT repeat('x', 30000000) FROM range(3)", "stopped"),
    ],
)
def test_a_statement_without_end_is_stopped_by_the_limit_it_hit(world, sql, limit):
    assert limit in refusal(world, sql).what


def test_a_file_that_grows_past_its_limit_is_stopped(world):
    out, limits = world.root / "all.csv", Limits(seconds=10, disk_mb=1)
    error = refusal(world, "SELECT md5(i::VARCHAR) FROM range(900000) t(i)", out=out, limits=limits, database=None)
    assert error.what == "it was stopped: it wrote more than 1 MB"
    assert not out.exists()


def test_only_a_reading_statement_can_be_written_out(world):
    assert "no rows to write" in refusal(world, "CREATE TABLE t AS SELECT 1", out=world.root / "o.csv").what


def test_a_database_that_another_query_uses_is_refused(world):
    import fcntl

    run(world, "CREATE TABLE mine AS SELECT 1")
    with (world.root / "sandboxes" / ".pilot.duckdb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another query"):
            run(world, "SELECT 1")


def test_a_database_with_an_open_log_is_not_copied(world):
    path = world.root / "sandboxes" / "pilot.duckdb"
    run(world, "CREATE TABLE mine AS SELECT 1")
    connection = duckdb.connect(path)
    connection.execute("INSERT INTO mine VALUES (2)")
    with pytest.raises(PilotPlantError, match=r"pilot\.duckdb\.wal holds changes"):
        run(world, "SELECT 1")
    connection.close()
    assert run(world, "SELECT count(*) FROM mine").rows == [[2]]


ROWS_OF_A_MEGABYTE = "SELECT md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS x FROM range(16_000) t(i)"


def test_a_sandbox_grows_to_its_quota_and_not_beyond(world):
    """16,000 rows of 64 characters without repetition are a megabyte, which DuckDB cannot pack."""
    limits = Limits(disk_mb=4, setting="`sandbox` in configs/lab.yaml")
    run(world, f"CREATE TABLE one AS {ROWS_OF_A_MEGABYTE}", limits=limits)
    kept = (world.root / "sandboxes" / "pilot.duckdb").read_bytes()
    five = "; ".join(f"CREATE TABLE more{i} AS {ROWS_OF_A_MEGABYTE}" for i in range(5))
    error = refusal(world, five, limits=limits)
    assert error.what.startswith("the sandbox would hold ")
    assert error.what.endswith(" MB, and its quota is 4 MB; it is as it was")
    assert error.remedy == "DROP tables that are no longer needed, or have `sandbox` in configs/lab.yaml raised"
    assert (world.root / "sandboxes" / "pilot.duckdb").read_bytes() == kept


def test_a_sandbox_above_its_quota_can_be_read_and_emptied(world):
    run(world, "; ".join(f"CREATE TABLE t{i} AS {ROWS_OF_A_MEGABYTE}" for i in range(4)))
    lowered = Limits(disk_mb=1)
    assert run(world, "SELECT count(*) FROM t3", limits=lowered).rows == [[16_000]]
    refusal(world, f"CREATE TABLE t4 AS {ROWS_OF_A_MEGABYTE}", limits=lowered)
    run(world, "DROP TABLE t0; DROP TABLE t1; DROP TABLE t2; DROP TABLE t3", limits=lowered)
    run(world, "CREATE TABLE small AS SELECT 1", limits=lowered)
    assert (world.root / "sandboxes" / "pilot.duckdb").stat().st_size <= 2**20


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT 1;\n\nSELEC 2", 3),
        ("-- counts\nSELECT 1;\n\nCOPY x TO 'y'", 4),
        ("SELECT 1;\n\nSELECT a,\n  b FROM range(3) t(a)", 4),
        ("SELECT 1;\n\nSELECT CAST('x' AS INTEGER)", 3),
        ("SELECT 'ä;';\n/* ; */\nSELECT * FROM nowhere; SELECT 2", 3),
        ("\n\nEXPLAIN ANALYZE COPY x TO 'y'", 3),
    ],
)
def test_a_refusal_names_the_line_of_the_whole_text(world, sql, line):
    assert refusal(world, sql).where == f"sql, line {line}"
