"""The warehouse: the Factory's own tables in one DuckDB file, which nothing but the Factory opens."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from factory.state.settings import warehouse_path
from factory.warehouse.mask import masked_sql, pseudonym_key
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.faults import fault
from shared.core.sql import MEMORY, identifier, literal
from shared.data.contracts import Contract, load_contract, load_new_contract
from shared.data.pseudonym import pseudonym_sql
from shared.state.workspace import Workspace

# DuckDB admits one writing process; another waits this long before it gives up.
LOCK_WAIT_S = 30.0
LOCK_POLL_S = 0.2
PRIMARY_KEY = " PRIMARY KEY"
# The comment of a column that is of its table's key.
KEY = "key"
# Of each reason that holds rows back so many of these are named.
SHOWN = 3
# A table that is being made anew; no contract can have this name.
ANEW = "_anew"
VERSIONS = "loaded.versions"
QUARANTINE = "quarantine"
# Of a row that was held back: the digest of its file, its number there, why, and what it said.
QUARANTINE_COLUMNS = "file VARCHAR, row BIGINT, reasons VARCHAR[], content JSON"


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that one reason holds back.

    Attributes:
        first: the first of them, as numbers of rows in the file that they came with.
    """

    reason: str
    rows: int
    first: tuple[int, ...]

    @property
    def places(self) -> str:
        """Which rows, for people: the first of them."""
        return ", ".join(map(str, self.first)) + ", …" * (self.rows > len(self.first))


def held_by_reason(connection: duckdb.DuckDBPyConnection, rows: str, counts: str = "*") -> tuple[Held, ...]:
    """What each reason holds back, the most first, of a query for `row` and `reason`, whose rows it counts."""
    found = connection.execute(
        f"SELECT reason, count({counts}), list_sort(list(DISTINCT row))[:{SHOWN}] FROM ({rows}) GROUP BY reason "
        "ORDER BY 2 DESC, 1"
    ).fetchall()
    return tuple(Held(reason, number, tuple(first)) for reason, number, first in found)


@contextmanager
def open_warehouse(workspace: Workspace, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC; waits while another process writes, and raises PilotPlantError if that takes too long."""
    path = warehouse_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path, read_only=read_only and path.exists())
    try:
        connection.execute("SET TimeZone = 'UTC'")
        # What is larger goes to the disk, beside the warehouse.
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        yield connection
    finally:
        connection.close()


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    give_up = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only)
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise fault(error, str(path)) or PilotPlantError(
                    f"the warehouse does not open: {error}", where=str(path)
                ) from error
            if time.monotonic() > give_up:
                raise PilotPlantError(
                    f"another process has held the warehouse for {LOCK_WAIT_S:.0f} s",
                    where=str(path),
                    remedy="wait for its load to end, or stop it, and run this again",
                ) from error
            time.sleep(LOCK_POLL_S)
        else:
            if not read_only:
                # Who may write is alone here: what lies beside the warehouse was spilled by a process that was killed.
                shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
            return connection


def contract_path(workspace: Workspace, table: str) -> Path:
    """Where the contract of a table lies."""
    return workspace.configs / "contracts" / f"{table}.odcs.yaml"


def contract_of(workspace: Workspace, table: str, *, new: bool = False) -> Contract:
    """The contract of a table; raises BadInput naming the tables that have one.

    Rows that are to come in are held to the rules of `new` contracts; what was loaded by an earlier build goes on.
    """
    path = contract_path(workspace, table)
    known = sorted(p.name.removesuffix(".odcs.yaml") for p in path.parent.glob("*.odcs.yaml"))
    if not path.exists():
        raise BadInput(
            f"there is no contract for a table `{table}`",
            where=str(path.parent),
            expected="one of: " + ", ".join(known),
            remedy="correct the name, or write the contract first",
        )
    alike = [other for other in known if other.casefold() == table.casefold() and other != table]
    if alike:
        raise BadInput(
            f"tables `{table}` and `{alike[0]}` differ in capitals only, and the warehouse does not tell them apart",
            where=str(path),
            remedy="give one of them another name",
        )
    contract = load_new_contract(path) if new else load_contract(path)
    if contract.table != table:
        raise BadInput(f"this contract describes table `{contract.table}`", where=str(path), expected=f"`{table}`")
    return contract


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables that hold loaded rows; quarantines are not among them."""
    rows = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table with their types, by the names that contracts declare."""
    rows = connection.execute(
        "SELECT name, CASE type WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMPTZ' ELSE type END, "
        "pk OR c.comment IS NOT DISTINCT FROM ? FROM pragma_table_info(?) JOIN duckdb_columns() c "
        "ON c.column_name = name AND c.table_name = ? AND c.schema_name = 'main' AND NOT c.internal ORDER BY cid",
        [KEY, identifier(table), table],
    ).fetchall()
    return {name: kind + (PRIMARY_KEY if key else "") for name, kind, key in rows}


def mark_key(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Says of a new table which columns are its key; tables of before 0.2 have an index that says so."""
    for column in contract.key:
        place = f"{identifier(contract.table)}.{identifier(column)}"
        connection.execute(f"COMMENT ON COLUMN {place} IS {literal(KEY)}")
        connection.execute(f"ALTER TABLE {identifier(contract.table)} ALTER {identifier(column)} SET NOT NULL")


def has_index(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table has an index of its keys, as those of before 0.2 have."""
    query = "SELECT bool_or(pk) FROM pragma_table_info(?)"
    return bool((connection.execute(query, [identifier(table)]).fetchone() or (False,))[0])


def drop_index(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Makes a table anew without the index of its keys, which would hold all of them in memory."""
    name = identifier(contract.table)
    connection.execute(f"CREATE TABLE {ANEW} AS FROM {name}")
    connection.execute(f"DROP TABLE {name}")
    connection.execute(f"ALTER TABLE {ANEW} RENAME TO {name}")
    mark_key(connection, contract)


def count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    """The rows of a relation, which may have conditions behind it."""
    row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
    return int(row[0]) if row else 0


def renew_version(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Says, within the transaction that changes a table, that it is no longer what it was.

    A version is drawn and not counted: a warehouse that is restored from a backup and loaded again cannot come by a
    number that stood for other rows before.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS loaded")
    connection.execute(f'CREATE TABLE IF NOT EXISTS {VERSIONS} ("table" VARCHAR PRIMARY KEY, version VARCHAR)')
    connection.execute(f"INSERT OR REPLACE INTO {VERSIONS} VALUES (?, ?)", [table, secrets.token_hex(16)])


def versions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The version of each table, drawn by its last load; tables loaded before there were versions are left out."""
    known = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema || '.' || table_name = ?", [VERSIONS]
    ).fetchone()
    return dict(connection.execute(f"FROM {VERSIONS}").fetchall()) if known else {}


def declarations(contract: Contract) -> dict[str, str]:
    """The columns that the warehouse's table has under a contract: by name, type and whether it is of the key."""
    return {
        column.name: column.duckdb_type + (PRIMARY_KEY if column.name in contract.key else "")
        for column in contract.columns
    }


def require_contract(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Raises BadInput where a table is not loaded, or its columns are not its contract's; their order means nothing.

    Whatever takes a table by its contract asks this first: a classification says nothing about another column.
    """
    _require([contract.table], tables(connection))
    there, promised = columns_of(connection, contract.table), declarations(contract)
    differences = [
        f"`{name}` is {there.get(name, 'missing')} in the warehouse and {promised.get(name, 'missing')} in the contract"
        for name in {**promised, **there}
        if there.get(name) != promised.get(name)
    ]
    if differences:
        raise BadInput(
            f"table `{contract.table}` was loaded under another contract: " + "; ".join(differences),
            where=f"configs/contracts/{contract.table}.odcs.yaml",
            expected="the columns of the table: " + ", ".join(f"{name} {kind}" for name, kind in there.items()),
            remedy="bring the contract back, or load the table anew under this one; what that would change: "
            f"pilotplant factory load {contract.table} FILE --replace --dry-run",
        )


def export_masked(workspace: Workspace, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Each named table as Parquet in `folder`, masked, ordered by its key.

    Raises BadInput for a table that is unknown, or that was loaded under another contract.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = pseudonym_key(workspace)
    with open_warehouse(workspace, read_only=True) as connection:
        _require(names, tables(connection))
        paths = {}
        for name in names:
            contract = contract_of(workspace, name)
            require_contract(connection, contract)
            _require_keys_once(connection, contract)
            paths[name] = folder / f"{name}.parquet"
            export(connection, masked_sql(contract, key), paths[name])
    return paths


def _require_keys_once(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Raises Refused where a key is twice in a table: no load lets that come, and a unit would be written to twice."""
    keys = ", ".join(map(identifier, contract.key))
    query = f"SELECT 1 FROM {identifier(contract.table)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
    if connection.execute(query).fetchone() is not None:
        raise Refused(
            f"table `{contract.table}` has a key ({', '.join(contract.key)}) more than once: it was not loaded so",
            where="the Factory's warehouse",
            remedy=f"load it anew: pilotplant factory load {contract.table} FILE --replace",
        )


def export(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """A query's rows as Parquet, in their order: the same rows give the same bytes."""
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)")


def identities(workspace: Workspace, table: str, folder: Path) -> Path:
    """A Parquet file of `unit` (the pseudonym) and `id` (the Factory's own), one row per row of the table."""
    key, contract = pseudonym_key(workspace), contract_of(workspace, table)
    column = identifier(contract.primary_key)
    path = folder / f"{table}.identities.parquet"
    with open_warehouse(workspace, read_only=True) as connection:
        _require([table], tables(connection))
        require_contract(connection, contract)
        connection.execute(
            f"COPY (SELECT {pseudonym_sql(key, column)} AS unit, CAST({column} AS VARCHAR) AS id "
            f"FROM {identifier(table)} ORDER BY unit) TO {literal(str(path))} (FORMAT parquet)"
        )
    return path


def _require(names: Sequence[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise BadInput(
                f"table `{name}` has not been loaded",
                where="the Factory's warehouse",
                expected="one of: " + (", ".join(known) or "(none yet)"),
                remedy=f"bring it in with `pilotplant factory load {name} FILE`",
            )
