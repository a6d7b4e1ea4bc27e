"""Results that are brought to the desk: a file is taken in as the command line takes it, and what became of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import BinaryIO

from lab.analysis.analysis import analyse
from lab.analysis.submission import require_over, submit
from lab.intake.customer_ids import with_units
from lab.intake.intake import record
from pilotplant.desk.views.uploads import plain_name
from shared.core.files import scratch_in
from shared.state.workspace import Workspace
from shared.ui.console import counted
from shared.ui.page import Tone

KINDS = (".csv", ".csv.gz", ".tsv", ".xlsx", ".parquet")


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """What became of a file.

    Attributes:
        held: how many rows did not count, by reason.
        notes: what else to know of it.
    """

    pilot: str
    headline: str
    tone: Tone
    icon: str
    held: dict[str, int]
    notes: tuple[str, ...]


def take(workspace: Workspace, pilot: str, name: str, content: BinaryIO) -> ResultsPage:
    """Takes a file of results in; raises BadInput where it cannot be read, Refused past the pilot's end."""
    name = plain_name(name, KINDS, "of results")
    with scratch_in(workspace.root / "var" / "desk") as scratch:
        file = scratch / name
        with file.open("wb") as target:
            shutil.copyfileobj(content, target)
        with with_units(workspace, pilot, file) as results:
            done = record(workspace, pilot, results.file)
    held = sum(done.conflicts.values())
    told = f"{counted(done.exposures, 'exposure')} and {counted(done.outcomes, 'outcome')} of {name} count"
    notes = [
        *([f"{counted(done.duplicates, 'row')} had been taken before."] if done.duplicates else []),
        *([f"The Factory put units in the place of the customer ids in `{results.masked}`."] if results.masked else []),
        *([f"{counted(results.strangers, 'row')} are of nobody in the table."] if results.strangers else []),
        *([f"{counted(done.cleared, 'row')} that did not count before count now."] if done.cleared else []),
        *([f"{counted(done.hashed, 'value')} looked like an address or a telephone number; a hash is kept instead."]
          if done.hashed else []),
    ]  # fmt: skip
    if done.repeated:
        return ResultsPage(pilot, f"{name} was recorded before; nothing was done", "quiet", "info", {}, tuple(notes))
    if done.in_vain:
        headline = f"Nothing in {name} counts"
        return ResultsPage(
            pilot, headline, "no", "cross", done.conflicts, (*notes, "Correct the file, and bring it again.")
        )
    tone: Tone = "wait" if held else "go"
    return ResultsPage(pilot, told, tone, "warn" if held else "check", done.conflicts, tuple(notes))


def finish(workspace: Workspace, name: str) -> None:
    """Analyses an ended pilot and puts it before the gate; in a rehearsal the Factory tries it at once.

    Raises Refused while it runs and no look before its end was agreed on.
    """
    require_over(workspace, name, remedy="wait until then")
    analyse(workspace, name)
    submit(workspace, name)
    if workspace.mode == "rehearsal":
        from factory.preflight.report import preflight

        preflight(workspace, name)
