"""The tables that a candidate's plays read: their age, whether they keep their contracts, what changed in those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
import yaml

from factory.state.tables import loads
from factory.warehouse.masked_contract import masked_contract
from factory.warehouse.warehouse import contract_of, export, export_masked, open_warehouse, require_contract, versions
from shared.core.digests import digest_bytes, digest_file
from shared.core.errors import PilotPlantError
from shared.core.sql import identifier
from shared.data.compatibility import changes
from shared.data.contracts import Contract, load_contract, parse_contract
from shared.data.quality import run_suite
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.package import Sealed
from shared.trust.preflight import Comparison, TableQuality, TableState


def tables_read(arms: list[Sealed], loaded: list[str]) -> list[str]:
    """The tables that the plays read: the population's, those the charter names, and any that their SQL may mean."""
    [charter] = {arm.promise.charter.pilot: arm.promise.charter for arm in arms}.values()
    texts = [arm.text(arm.play.audience).casefold() for arm in arms]
    meant = [name for name in loaded if any(name.casefold() in text for text in texts)]
    return list(dict.fromkeys([charter.population, *charter.sources, *meant]))


def state_of(room: Room, table: str) -> TableState:
    """When a table was loaded last, and how long that lasts."""
    with room.read() as connection:
        query = sa.select(loads.c.at).where(loads.c.table == table).order_by(loads.c.id.desc()).limit(1)
        loaded_at = connection.execute(query).scalar()
    with open_warehouse(room.workspace, read_only=True) as warehouse:
        version = versions(warehouse).get(table)
    try:
        max_age_days = contract_of(room.workspace, table).max_age_days
    except PilotPlantError:
        max_age_days = None  # the comparison names what is wrong with the contract
    return TableState(name=table, loaded_at=loaded_at, version=version, max_age_days=max_age_days)


def compare(workspace: Workspace, arm: Sealed, table: str, *, warehouse: bool) -> Comparison:
    """A table's sealed contract against the present one, both as the Lab sees them.

    With `warehouse` the table as it was loaded has to be the present contract's as well; outcomes are no table there.
    """
    sealed_path, present_path = sealed_contract(arm, table), workspace.configs / "contracts" / f"{table}.odcs.yaml"
    digests = {"sealed": digest_file(sealed_path) if sealed_path.exists() else None, "present": None}
    try:
        if not sealed_path.exists():
            told = f"no contract of table `{table}` was sealed with the candidate; name it in the charter's `sources`"
            return Comparison(table=table, problem=told, **digests)
        contract_of(workspace, table)
        text = masked_contract(present_path) if warehouse else present_path.read_text(encoding="utf-8")
        digests["present"] = digest_bytes(text.encode())
        present = parse_contract(yaml.safe_load(text), where=str(present_path))
        if warehouse:
            with open_warehouse(workspace, read_only=True) as connection:
                require_contract(connection, contract_of(workspace, table))
        return Comparison(table=table, changes=changes(load_contract(sealed_path), present), **digests)
    except PilotPlantError as error:
        return Comparison(table=table, problem=error.what, **digests)


def quality_of(workspace: Workspace, arm: Sealed, table: str, scratch: Path) -> Iterator[TableQuality]:
    """The present contract's suite over the table as it is loaded, and the sealed one's over what a play sees of it."""
    yield _quality(table, "present", lambda: (contract_of(workspace, table), _raw(workspace, table, scratch)))
    sealed = sealed_contract(arm, table)
    if sealed.exists():
        masked = scratch / "masked"
        yield _quality(
            table, "sealed", lambda: (load_contract(sealed), export_masked(workspace, [table], masked)[table])
        )


def _quality(
    table: str, contract: Literal["present", "sealed"], opened: Callable[[], tuple[Contract, Path]]
) -> TableQuality:
    try:
        return TableQuality(table=table, contract=contract, report=run_suite(*opened()))
    except PilotPlantError as error:
        return TableQuality(table=table, contract=contract, problem=error.what)


def _raw(workspace: Workspace, table: str, scratch: Path) -> Path:
    """The table as it is loaded; it never leaves the Factory's own scratch."""
    path = scratch / f"{table}.raw.parquet"
    with open_warehouse(workspace, read_only=True) as connection:
        require_contract(connection, contract_of(workspace, table))
        export(connection, f"SELECT * FROM {identifier(table)}", path)
    return path


def sealed_contract(arm: Sealed, table: str) -> Path:
    """Where a candidate carries a table's contract."""
    return arm.candidate.file(f"contracts/{table}.odcs.yaml")
