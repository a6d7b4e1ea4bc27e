"""Which SQL may run at all: one pure SELECT over named tables for an audience, a short list of verbs for a sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb

from shared.core.errors import Contained

SANDBOX_VERBS = ("SELECT", "EXPLAIN", "CREATE TABLE", "CREATE VIEW", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER")
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})

_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset({"BASE_TABLE", "TABLE_FUNCTION", "JOIN", "SUBQUERY", "PIVOT", "EXPRESSION_LIST", "EMPTY"})
_MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
_ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
_EXPRESSIONS = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA"}
    | {"LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"}
)

# Functions that DuckDB calls constant and that still look beyond the rows: at the session, the catalogue, SQL in text.
_LOOKS_BEYOND = re.compile(
    r"__|pg_|inet_|has_|json_(de)?serialize|current_(?!date$|localtime)|.*_description$|format_(pg_)?type$|map_to_pg_oid$"
    r"|(getenv|getvariable|get_block_size|in_search_path|txid_current|version|user|session_user|to_aggregate_state)$"
)
_NOWHERE = 2**64 - 1  # DuckDB's query_location where a node has none


def audience_functions(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """The functions that an audience may call: those of DuckDB that compute from their arguments and nothing else."""
    rows: list[tuple[str]] = connection.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"
        " WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') GROUP BY ALL"
        " HAVING count(*) FILTER (stability = 'VOLATILE') = 0"
    ).fetchall()
    return frozenset(name for (name,) in rows if not _LOOKS_BEYOND.match(name)) | TABLE_FUNCTIONS


def admit_audience(connection: duckdb.DuckDBPyConnection, sql: str, tables: Iterable[str]) -> str:
    """The text of `sql` that may run, if it is one SELECT over `tables` that calls only pure functions.

    Raises Contained where it is not; the message names the table, function or statement, `where` its line.
    """
    _require_text(sql)
    sql = _without_end(sql)
    kinds = [_kind(statement) for statement in _parse(sql)]
    if kinds != ["SELECT"]:
        given = ", ".join(kinds) or "nothing"
        raise Contained(f"an audience is exactly one SELECT; this is {given}", remedy="keep the one SELECT")
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(text[0]) if text else {"error": True}
    if tree["error"]:
        raise Contained(f"an audience is a plain SELECT; {tree.get('error_message', 'this is something else')}")
    reader = _Reader(sql, sorted(tables), audience_functions(connection))
    for statement in tree["statements"]:
        reader.read(statement["node"], frozenset())
        if statement["named_param_map"]:
            raise Contained("the audience has parameters, which nothing fills", remedy="write the values")
    return sql


def admit_sandbox(sql: str) -> list[tuple[int, duckdb.Statement]]:
    """The statements of `sql`, each with its line, if each starts with one of `SANDBOX_VERBS`.

    Raises Contained where one does not, there is none, or the text is not SQL.
    """
    _require_text(sql)
    found = _parse(sql)
    if not found:
        raise Contained("there is no statement to run", remedy=f"a sandbox runs {', '.join(SANDBOX_VERBS)}")
    located = list(zip(_lines(sql, found), found, strict=True))
    for line, statement in located:
        _admit_verb(statement, line)
    return located


def _lines(sql: str, found: list[duckdb.Statement]) -> Iterator[int]:
    """The line that each begins on; DuckDB cuts the text into statements and drops nothing between them."""
    offset = 0
    for statement in found:
        offset = max(offset, sql.find(statement.query, offset))
        yield sql[:offset].count("\n") + 1
        offset += len(statement.query)


def _admit_verb(statement: duckdb.Statement, line: int) -> None:
    kind, words = _kind(statement), list(_words(statement.query))
    if kind == "CREATE":
        named = next((word for word in words if word in {"TABLE", "VIEW"}), None)
        before = words[1 : words.index(named)] if named else words[1:]
        plain = named is not None and set(before) <= {"OR", "REPLACE", "TEMP", "TEMPORARY", "RECURSIVE"}
        kind = f"CREATE {named}" if plain else " ".join(words[:2])
    if kind == "EXPLAIN":
        explained = re.sub(r"(?is)^\s*EXPLAIN\s*(ANALYZE\b|\((ANALYZE|FORMAT)[^)]*\))?", "", statement.query)
        for inner in _parse(explained):
            _admit_verb(inner, line)
    if kind not in SANDBOX_VERBS:
        remedy = f"it runs {', '.join(SANDBOX_VERBS)}"
        raise Contained(f"a sandbox does not run {kind}", where=f"line {line}", remedy=remedy)


def _require_text(sql: str) -> None:
    """Half a character, which JSON and a damaged file can hold, is nothing that DuckDB takes."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        line = sql[: error.start].count("\n") + 1
        raise Contained("there is half a character in the SQL", where=f"line {line}", remedy="retype it") from error


def _parse(sql: str) -> list[duckdb.Statement]:
    try:
        found: list[duckdb.Statement] = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refusal_by_duckdb(error) from error
    return found


def _kind(statement: duckdb.Statement) -> str:
    """The statement's verb; DuckDB's binding has no name for some, like UPDATE EXTENSIONS, and raises."""
    try:
        return str(statement.type.name)
    except ValueError:
        return " ".join(list(_words(statement.query))[:2])


def refusal_by_duckdb(error: Exception, begins: int | None = None) -> Contained:
    """What DuckDB said, in one line, with the line of the SQL that it pointed at.

    `begins` is the line that the statement begins on: DuckDB counts from there, if it points at all.
    """
    message, _, rest = str(error).partition("\n\nLINE ")
    pointed = re.match(r"\d+", rest)
    line = (begins or 1) + int(pointed.group()) - 1 if pointed else begins
    return Contained(" ".join(message.split()), where=f"line {line}" if line else None)


def _without_end(sql: str) -> str:
    """The text without the semicolons and comments after its last word, where a relation cannot have them."""
    raw = sql.encode()
    end = len(raw)
    for offset, kind in reversed(duckdb.tokenize(sql)):
        if kind != duckdb.token_type.comment and raw[offset : offset + 1] != b";":
            break
        end = offset
    return raw[:end].decode()


def _words(sql: str) -> Iterator[str]:
    raw = sql.encode()  # the tokens' offsets count bytes
    for offset, kind in duckdb.tokenize(sql):
        word = re.match(rb"\w+", raw[offset:])
        if word and kind != duckdb.token_type.comment:
            yield word.group().decode().upper()


class _Reader:
    """Walks the tree that DuckDB parsed and stops at the first thing that an audience may not do."""

    def __init__(self, sql: str, tables: list[str], functions: frozenset[str]) -> None:
        self.raw, self.tables, self.functions = sql.encode(), tables, functions
        self.known = frozenset(table.casefold() for table in tables)

    def read(self, part: Any, scope: frozenset[str]) -> None:
        """Check `part` and all below it; `scope` holds the names of the CTEs visible here."""
        if isinstance(part, list):
            for each in part:
                self.read(each, scope)
        elif isinstance(part, dict):
            scope = self._with_ctes(part, scope)
            self._check(part, scope)
            for key, value in part.items():
                if key != "cte_map":
                    self.read(value, scope)

    def _with_ctes(self, part: dict[str, Any], scope: frozenset[str]) -> frozenset[str]:
        """A CTE sees those before it, and itself only where it is recursive: as DuckDB resolves names."""
        for entry in part.get("cte_map", {}).get("map", []):
            name, inside = frozenset({entry["key"].casefold()}), entry["value"]["query_node"]
            self.read(entry["value"], scope | name if inside["type"] == "RECURSIVE_CTE_NODE" else scope)
            scope |= name
        return scope

    def _check(self, part: dict[str, Any], scope: frozenset[str]) -> None:
        kind = part.get("type")
        if part.get("sample"):
            self._refuse(part, "draws rows by chance", "name them by a condition; the gate draws who takes part")
        if "class" in part:
            if part["class"] not in _EXPRESSIONS:
                self._refuse(part, f"contains {part['class']}", "write plain expressions over columns and values")
            if "function_name" in part:
                self._check_function(part)
        elif kind == "BASE_TABLE":
            self._check_table(part, scope)
        elif kind == "TABLE_FUNCTION":
            self._check_table_function(part)
        elif isinstance(kind, str) and kind not in _NODES | _SOURCES | _MODIFIERS | _ORDERS:
            self._refuse(
                part,
                f"contains {kind.partition('_')[0]}",
                "only SELECT over tables, joins, subqueries and CTEs is left",
            )

    def _check_table(self, part: dict[str, Any], scope: frozenset[str]) -> None:
        path = part["qualified_name"]["path"]
        name = path[-1].casefold()
        if len(path) > 1 or (name not in scope and name not in self.known):
            allowed = ", ".join(self.tables) or "no table at all"
            self._refuse(part, f"reads table `{'.'.join(path)}`; it may read {allowed}", "name one of these tables")

    def _check_table_function(self, part: dict[str, Any]) -> None:
        name = ".".join(part["function"]["qualified_name"]["path"])
        if name.casefold() not in TABLE_FUNCTIONS:
            allowed = ", ".join(sorted(TABLE_FUNCTIONS))
            self._refuse(part, f"reads from `{name}()`; it may read from {allowed}", "read a table that is given")

    def _check_function(self, part: dict[str, Any]) -> None:
        path = part["qualified_name"]["path"]
        if len(path) > 1:
            self._refuse(part, f"calls `{'.'.join(path)}()`", f"write `{path[-1]}(…)` without a dot")
        if path[0].casefold() not in self.functions:
            self._refuse(part, f"calls `{path[0]}()`", "call functions that compute from their arguments alone")

    def _refuse(self, part: dict[str, Any], what: str, remedy: str) -> None:
        offset = part.get("query_location", _NOWHERE)
        line = self.raw[:offset].count(b"\n") + 1
        raise Contained(f"the audience {what}", where=None if offset >= _NOWHERE else f"line {line}", remedy=remedy)
