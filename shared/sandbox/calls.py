"""The calls that the rooms make: an audience, a sandbox query, a rendering, and the checks of each.

Each raises Undecided where the kernel has no Landlock, unless its `without_landlock` says that the operator accepts
that: then the rest of the box still stands, and stderr says at every run that the kernel's part does not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shared.core.errors import BadInput, Contained, PilotPlantError, Refused
from shared.core.files import locked, scratch_in
from shared.sandbox.box import Limits, WithoutLandlock, opened

MIB = 2**20
_ROOM_TO_DROP = 8 * MIB  # a few of DuckDB's blocks of 256 KiB: what a checkpoint writes before it frees any
_DEFAULTS = Limits()
# So many messages are rendered in a few seconds, whatever their template does within its limits.
CHUNK_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What the last statement of a query showed.

    Attributes:
        columns: Names, in order.
        rows: The first of them, as JSON knows values: decimals and times are text.
        total: How many rows there are in all.
    """

    columns: list[str]
    rows: list[list[Any]]
    total: int


def audience(
    sql: str,
    tables: Mapping[str, Path],
    out: Path,
    *,
    where: str,
    limits: Limits = _DEFAULTS,
    without_landlock: WithoutLandlock = "refuse",
) -> int:
    """Run one allow-listed SELECT over Parquet `tables`; return the number of units written to `out`.

    The SELECT returns one column `unit` of text or whole numbers; `out` is a Parquet file with that one VARCHAR
    column, distinct, without NULL, sorted. It appears only when complete. Raises Contained where the SELECT was refused
    or stopped; the message names table, function or limit.
    """
    files = _files(tables, where)
    with opened(out.parent, without_landlock) as box:
        job = {"sql": sql, "tables": files, "database": None, "out": str(box.own / "out.parquet")}
        result = box.run("audience", job, where=where, limits=limits)
        box.deliver("out.parquet", out)
    return int(result["rows"])


def check_audience(
    sql: str, tables: Sequence[str], *, where: str, without_landlock: WithoutLandlock = "refuse"
) -> None:
    """Return if `sql` may run as an audience over tables of these names; nothing is run.

    Raises Contained where it may not, and why.
    """
    with opened(None, without_landlock) as box:
        job: dict[str, Any] = {"sql": sql, "tables": {name: [] for name in tables}, "database": None}
        box.run("check_audience", job, where=where, limits=_DEFAULTS)


def query(
    sql: str,
    tables: Mapping[str, Path | Sequence[Path]],
    *,
    database: Path | None,
    out: Path | None,
    where: str,
    limits: Limits = _DEFAULTS,
    without_landlock: WithoutLandlock = "refuse",
    preview: int = 1000,
) -> QueryResult:
    """Run sandbox SQL and return what its last statement shows, at most `preview` rows of it.

    `tables` are temporary views over Parquet. `database` is the pilot's own DuckDB file, made if absent; the
    statements work on a copy that takes its place when all of them succeeded, so a query that fails or is
    stopped leaves it as it was, as does one that makes it grow beyond `limits.disk_mb`. All rows go to `out` if that
    is given, as CSV or Parquet by its suffix.

    Raises Contained where a statement was refused, failed or was stopped, Refused where another query is at work in
    this database.
    """
    if out and out.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"{out.name} is neither CSV nor Parquet", where=where, expected="a name in .csv or .parquet")
    files = _files(tables, where)
    beside = next((path.parent for path in (database, out) if path), None)
    with opened(beside, without_landlock) as box, _sole_use(database) if database else nullcontext():
        mine = box.own / "sandbox.duckdb"
        if database and database.exists():
            shutil.copyfile(database, mine)
        made, quota = f"out{out.suffix}" if out else None, limits.disk_mb * MIB
        job = {
            "sql": sql,
            "tables": files,
            "database": str(mine) if database else None,
            "out": str(box.own / made) if made else None,
            "preview": preview,
            # What the kernel lets a file grow to: a database that is full needs room to drop something.
            "file_bytes": max(quota, _size(database)) + _ROOM_TO_DROP if database else quota,
        }
        result = box.run("query", job, where=where, limits=limits)
        if database:
            _require_quota(mine, _size(database), where, limits)
        for name, place in ((made, out), (mine.name, database)):
            if name and place:
                box.deliver(name, place)
    return QueryResult(result["columns"], result["rows"], int(result["total"]))


def render(
    template: str,
    subject: str,
    rows: Path,
    out: Path,
    *,
    where: str,
    limits: Limits = _DEFAULTS,
    without_landlock: WithoutLandlock = "refuse",
) -> int:
    """Render subject and body for every row of the Parquet file `rows`; return how many.

    Columns are the variables, `unit` among them; a NULL may be tested but not printed. `out` is Parquet with
    columns unit, subject (white space folded to one line) and body, in the order of the rows. Many rows go in chunks,
    each into a box of its own, so that the limit of time is one for a template and not for an audience.

    Raises Contained where a template was refused, failed for a row, or was stopped.
    """
    import pyarrow.parquet as pq

    source = _file(rows, where)
    total = _count_rows(source, where)
    if total > limits.rows:
        advice = limits.remedy("render for fewer")
        raise Contained(f"there are more than {limits.rows:,} rows to render", where=where, remedy=advice)
    rendering = partial(_render, template, subject, where=where, limits=limits, without_landlock=without_landlock)
    if total <= CHUNK_ROWS:
        return rendering(source, out, 0)
    done = 0
    with scratch_in(out.parent) as folder:
        chunk, rendered, whole = (folder / f"{name}.parquet" for name in ("chunk", "rendered", "whole"))
        writer: Any = None
        for batch in pq.ParquetFile(source).iter_batches(CHUNK_ROWS):
            with pq.ParquetWriter(chunk, batch.schema) as written:
                written.write_batch(batch)
            done += rendering(chunk, rendered, done)
            for found in pq.ParquetFile(rendered).iter_batches():
                writer = writer or pq.ParquetWriter(whole, found.schema)
                writer.write_batch(found)
        writer.close()
        whole.replace(out)
    return done


def _render(
    template: str,
    subject: str,
    rows: Path,
    out: Path,
    before: int,
    *,
    where: str,
    limits: Limits,
    without_landlock: WithoutLandlock,
) -> int:
    """Renders the rows of a file, which has so many `before` it; returns how many."""
    with opened(out.parent, without_landlock) as box:
        job = {"body": template, "subject": subject, "rows": str(rows), "out": str(box.own / "out.parquet")}
        result = box.run("render", job | {"before": before}, where=where, limits=limits)
        box.deliver("out.parquet", out)
    return int(result["rows"])


def _count_rows(rows: Path, where: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(rows).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise BadInput("this cannot be read as Parquet", where=f"{where}, {rows}") from error


def check_template(
    template: str,
    subject: str,
    variables: Sequence[str],
    *,
    where: str,
    without_landlock: WithoutLandlock = "refuse",
) -> None:
    """Return if subject and body compile and use only `variables`; nothing is rendered.

    Raises Contained where they do not, with the line.
    """
    with opened(None, without_landlock) as box:
        job = {"body": template, "subject": subject, "variables": list(variables)}
        box.run("check_template", job, where=where, limits=_DEFAULTS)


def _require_quota(mine: Path, before: int, where: str, limits: Limits) -> None:
    """A database above its quota may be read and shrunk, as when the quota was lowered; it may not grow."""
    size = _size(mine)
    if size > max(limits.disk_mb * MIB, before):
        raise Contained(
            f"the sandbox would hold {-(-size // MIB):,} MB, and its quota is {limits.disk_mb:,} MB; it is as it was",
            where=where,
            remedy=limits.remedy("DROP tables that are no longer needed"),
        )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@contextmanager
def _sole_use(database: Path) -> Iterator[None]:
    """Hold the database for one query: two copies of it would end as one."""
    log = database.with_name(f"{database.name}.wal")
    if log.exists():
        raise PilotPlantError(
            f"{log.name} holds changes that are not in the database yet", where=str(database),
            remedy="close whatever has it open, or open and close it once with DuckDB",
        )  # fmt: skip
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(database.with_name(f".{database.name}.lock"), timeout_s=0))
        except TimeoutError as error:
            remedy = "wait until it ends, and run this again"
            raise Refused("another query is at work in it", where=str(database), remedy=remedy) from error
        yield


def _files(tables: Mapping[str, Path | Sequence[Path]], where: str) -> dict[str, list[str]]:
    return {
        name: [str(_file(path, where)) for path in ([paths] if isinstance(paths, Path) else paths)]
        for name, paths in tables.items()
    }


def _file(path: Path, where: str) -> Path:
    """The file behind any links, as the kernel will see it."""
    real = path.resolve()
    if not real.is_file():
        raise BadInput(f"{path} is not a file", where=where)
    if re.search(r"[*?\[]", str(real)):
        raise BadInput(f"{path} has a wildcard in its name, which DuckDB would follow", where=where)
    return real
