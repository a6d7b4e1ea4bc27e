"""The table that a new pilot draws its units from, and what a draft may read of it: the team's own, by its snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.errors import BadInput
from shared.data.contracts import Column, Contract, load_contract
from shared.data.snapshot import Snapshot, latest_id, latest_snapshot
from shared.state.workspace import Workspace

# What the table of customers is called in a new workspace.
USUAL = "customers"


@dataclass(frozen=True, slots=True)
class Population:
    """A table of units.

    Attributes:
        key: the column that names the unit.
        columns: those that a message may print and an audience may ask for.
    """

    table: str
    key: str
    columns: tuple[Column, ...]

    def has(self, *names: str) -> bool:
        """Whether all of these columns are there for the Lab."""
        return {*names} <= {column.name for column in self.columns}

    def of_type(self, *types: str) -> list[str]:
        """The names of its columns of some types."""
        return [column.name for column in self.columns if column.type in types]


def population_of(workspace: Workspace, table: str | None = None) -> Population:
    """The table of that name, or the one that pilots are likeliest drawn from: `customers`, else the largest.

    Where nothing is published yet, the workspace's contract says what will be there. Raises BadInput for a table that
    is not in the latest snapshot, or has no row of its own for each unit.
    """
    if latest_id(workspace) is None:
        path = workspace.configs / "contracts" / f"{table or USUAL}.odcs.yaml"
        return _of(load_contract(path)) if path.exists() else Population(table or USUAL, "customer_id", ())
    snapshot = latest_snapshot(workspace)
    if table is not None:
        return _of(snapshot.contract(table))
    able = {name: contract for name in snapshot.manifest.tables if _is_of_units(contract := snapshot.contract(name))}
    if not able:
        raise BadInput(
            "no table of the snapshot has a row for each customer",
            where=f"snapshot {snapshot.id}: {', '.join(sorted(snapshot.manifest.tables)) or 'no table'}",
            expected="a table with one key, whose classification is `identifier`",
            remedy="correct its contract in configs/contracts, then: pilotplant factory load, and factory publish",
        )
    return _of(able[USUAL] if USUAL in able else able[_largest(snapshot, able)])


def _is_of_units(contract: Contract) -> bool:
    if len(contract.key) != 1:
        return False
    [key] = [column for column in contract.columns if column.name == contract.primary_key]
    return key.classification == "identifier"


def _largest(snapshot: Snapshot, able: dict[str, Contract]) -> str:
    return max(able, key=lambda name: (snapshot.manifest.tables[name].rows, name))


def _of(contract: Contract) -> Population:
    told = {*contract.told}
    columns = tuple(column for column in contract.columns if column.name in told)
    return Population(contract.table, contract.primary_key, columns)
