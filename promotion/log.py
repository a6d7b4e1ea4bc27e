"""The gate's ledger as it leaves the house: entries with the version of their form, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any

from promotion.silence import settle
from promotion.state import open_promotion
from shared.digests import canonical
from shared.ledger import Entry, legible
from shared.workspace import Workspace

SCHEMA_VERSION = 1
COLUMNS = ("schema_version", "seq", "at", "kind", "subject", "body", "prev", "hash")
# What makes a spreadsheet take a cell for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in self.entries:
            values = {"schema_version": SCHEMA_VERSION, **asdict(entry), "body": canonical(entry.body).decode()}
            writer.writerow([plain_cell(values[column]) for column in COLUMNS])
        return text.getvalue()


def read_log(workspace: Workspace, subject: str | None = None) -> Log:
    """The gate's ledger, or its entries on one subject."""
    room = open_promotion(workspace)
    settle(room)
    with room.transaction() as connection:
        found = legible(connection, room.entries_table)
    chosen = tuple(entry for entry in found if subject in {None, entry.subject})
    return Log(chosen, tuple(room.problems()))


def plain_cell(value: Any) -> Any:
    """A value that no spreadsheet computes: a text that looks like a formula has `'` before it."""
    text = value if isinstance(value, str) else None
    return f"'{text}" if text is not None and text.lstrip(" ").startswith(_FORMULA) else value
