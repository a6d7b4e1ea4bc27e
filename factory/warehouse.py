"""The warehouse: the Factory's own tables in one DuckDB file, which nothing but the Factory opens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from factory.masking import masked_sql, pseudonym_key
from shared.contracts import Contract, load_contract
from shared.errors import BadInput, PilotPlantError
from shared.faults import fault
from shared.pseudonym import pseudonym_sql
from shared.sql import identifier, literal
from shared.workspace import Workspace

# DuckDB admits one writing process; another waits this long before it gives up.
LOCK_WAIT_S = 30.0
LOCK_POLL_S = 0.2
PRIMARY_KEY = " PRIMARY KEY"
VERSIONS = "loaded.versions"


@contextmanager
def open_warehouse(workspace: Workspace, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC; waits while another process writes, and raises PilotPlantError if that takes too long."""
    path = workspace.factory / "warehouse.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path, read_only=read_only and path.exists())
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    give_up = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
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


def contract_of(workspace: Workspace, table: str) -> Contract:
    """The contract of a table; raises BadInput naming the tables that have one."""
    path = workspace.configs / "contracts" / f"{table}.odcs.yaml"
    if not path.exists():
        raise BadInput(
            f"there is no contract for a table `{table}`",
            where=str(path.parent),
            expected="one of: " + ", ".join(sorted(p.name.removesuffix(".odcs.yaml") for p in path.parent.glob("*"))),
            remedy="correct the name, or write the contract first",
        )
    contract = load_contract(path)
    if contract.table != table:
        raise BadInput(f"this contract describes table `{contract.table}`", where=str(path), expected=f"`{table}`")
    return contract


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables that hold loaded rows; quarantines are not among them."""
    rows = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


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
    """The columns that the warehouse's table has under a contract: by name, type and whether it is the key."""
    return {
        column.name: column.duckdb_type + (PRIMARY_KEY if column.name == contract.primary_key else "")
        for column in contract.columns
    }


def require_contract(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Raises BadInput where a loaded table's columns are not its contract's; their order means nothing.

    Whatever takes a table by its contract asks this first: a classification says nothing about another column.
    """
    rows = connection.execute(
        "SELECT name, CASE type WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMPTZ' ELSE type END, pk "
        "FROM pragma_table_info(?)",
        [identifier(contract.table)],
    ).fetchall()
    there = {name: kind + (PRIMARY_KEY if key else "") for name, kind, key in rows}
    promised = declarations(contract)
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
            remedy="load the table under a new name, or bring the contract back",
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
            paths[name] = folder / f"{name}.parquet"
            export(connection, masked_sql(contract, key), paths[name])
    return paths


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
