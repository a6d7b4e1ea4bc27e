"""What each arm says, as one customer of the pilot would read it: for whoever signs and never saw the template."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from promotion.gate.case import Case
from shared.core.errors import PilotPlantError
from shared.core.sql import file_literal, identifier, literal
from shared.data.tabular import connect
from shared.experiment.charter import Arm
from shared.experiment.play import Play
from shared.sandbox import render
from shared.trust.candidate import FILES

# So many customers of an arm are asked what they would read.
READERS = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """One arm's message.

    Attributes:
        note: how many would read it so, or why it is the template that is shown; None where all read the same.
    """

    arm: str
    subject: str
    body: str
    note: str | None = None


def shown_messages(case: Case) -> tuple[Shown, ...]:
    """The message of each treatment as a customer of the pilot would read it; else its template, and why."""
    return tuple(_shown(case, arm) for arm in case.charter.treatments)


def _shown(case: Case, arm: Arm) -> Shown:
    play = case.charter.play(arm.name)
    try:
        template = (case.candidate.folder / FILES / play.template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return Shown(arm.name, play.subject, "", "its template cannot be read")
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows, out = Path(folder) / "rows.parquet", Path(folder) / "rendered.parquet"
            _write_rows(case, arm.name, play, rows)
            render(template, play.subject, rows, out, where=play.template)
            words = Counter((row["subject"], row["body"]) for row in pq.read_table(out).to_pylist())
    except (PilotPlantError, OSError, pa.ArrowException, ValueError, KeyError) as error:
        why = error.what if isinstance(error, PilotPlantError) else "it needs fields that were not sealed"
        return Shown(arm.name, play.subject, template, f"its template, since no message can be made here: {why}")
    [((subject, body), often)] = words.most_common(1)
    of = sum(words.values())
    note = None if len(words) == 1 else (
        f"as {often} of {of} customers of the arm would read it; there are {len(words)} different ones among these"
    )  # fmt: skip
    return Shown(arm.name, subject, body, note)


def _write_rows(case: Case, arm: str, play: Play, rows: Path) -> None:
    """The fields of customers of the arm, as they were sealed; raises KeyError where one of them was not.

    Which customers follows from the candidate's digest: nobody can write a template for those whom the owner sees.
    """
    fields = [name for name in play.fields if name != "unit"]
    path = case.candidate.data.pre_period
    if not fields or path is None:
        if fields:
            raise KeyError(fields[0])
        pq.write_table(pa.table({"unit": ["u_1"]}), rows)
        return
    there = set(pq.read_schema(path).names)
    missing = [name for name in fields if name not in there]
    if missing:
        raise KeyError(missing[0])
    columns = ", ".join(map(identifier, ["unit", *fields]))
    exposed = f"SELECT unit FROM read_parquet({file_literal(case.candidate.data.exposures)}) WHERE arm = {literal(arm)}"
    with connect() as connection:
        found = connection.sql(
            f"SELECT {columns} FROM read_parquet({file_literal(path)}) WHERE unit IN ({exposed}) "
            f"ORDER BY sha256({literal(case.digest)} || unit) LIMIT {READERS}"
        )
        pq.write_table(found.to_arrow_table(), rows)
