"""The gate's ledger as it leaves the house: entries with the version of their form, as JSON or as CSV."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any

from promotion.decisions.silence import settle
from promotion.state import open_promotion
from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.data.tabular import csv_text
from shared.state.chain import Entry
from shared.state.ledger import legible
from shared.state.workspace import Workspace

SCHEMA_VERSION = 1
COLUMNS = ("schema_version", "seq", "at", "kind", "subject", "body", "prev", "hash")


@dataclass(frozen=True, slots=True)
class Log:
    """Entries in their order, and what is wrong with the whole ledger; an entry that cannot be read is named there."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`; the ledger's own fields, each entry with the version of its form."""
        found = [{"schema_version": SCHEMA_VERSION, **asdict(entry)} for entry in self.entries]
        return {"schema_version": SCHEMA_VERSION, "entries": found, "problems": list(self.problems)}

    def as_csv(self) -> str:
        """One row per entry, its body as canonical JSON; a cell that a spreadsheet would compute begins with `'`."""
        values = [
            {"schema_version": SCHEMA_VERSION, **asdict(entry), "body": canonical(entry.body).decode()}
            for entry in self.entries
        ]
        return csv_text(COLUMNS, [[each[column] for column in COLUMNS] for each in values])


def read_log(workspace: Workspace, subject: str | None = None) -> Log:
    """The gate's ledger, or its entries on one subject; raises BadInput for one that it has nothing on."""
    room = open_promotion(workspace)
    settle(room)
    with room.read() as connection:
        found = legible(connection, room.entries_table)
    chosen = tuple(entry for entry in found if subject in {None, entry.subject})
    if subject is not None and not chosen:
        close = difflib.get_close_matches(subject, {entry.subject for entry in found}, n=1)
        raise BadInput(
            f"the gate's ledger has no entry on `{subject}`",
            where="promote log",
            expected="the name of a pilot that was registered, or of a key",
            remedy=f"did you mean `{close[0]}`?" if close else "see all entries: pilotplant promote log",
        )
    return Log(chosen, tuple(room.problems()))
