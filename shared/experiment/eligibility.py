"""The list of who may take part in a pilot, which the Lab keeps beside the frozen promise that has its digest."""

from __future__ import annotations

from pathlib import Path

from shared.core.digests import digest_file
from shared.core.errors import Refused
from shared.core.sql import file_literal
from shared.experiment.charter import Eligible

ELIGIBLE = "eligible.parquet"


def unchanged(eligible: Eligible, file: Path) -> Path:
    """The list's file; raises Refused where it is not the promised one."""
    if not file.is_file() or digest_file(file) != eligible.digest:
        raise Refused(
            "the list of who is eligible was changed after it was frozen",
            where=str(file),
            expected=f"the content {eligible.digest}",
            remedy="restore it from a backup: a pilot is judged by what was frozen",
        )
    return file


def eligible_sql(eligible: Eligible, file: Path) -> str:
    """A query for the `unit`s of the list; raises Refused where the file is not the promised one."""
    # Of the list and no other: a column that it lacks would else be looked for in the query around this one.
    return f"SELECT e.unit FROM read_parquet({file_literal(unchanged(eligible, file))}) e"
