"""A draft's audience without SQL: conditions on columns, and how many customers they select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lab.charters.audience import (
    SEPARATOR,
    Choosable,
    Condition,
    Operator,
    choosable,
    count,
    read,
    split,
    usual_values,
    written,
)
from lab.overview.portfolio import drafts
from lab.pilots.eligibility import key_of_units
from lab.state import open_lab
from pilotplant.desk.views.parts import how_many
from shared.core.digests import digest_bytes
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import write_atomically
from shared.core.yamlfile import read_text, read_yaml
from shared.data.snapshot import Snapshot, latest_snapshot
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace
from shared.ui.page import sentence

CHARTER = "charter.yaml"
# So many empty rows stand below the conditions that there are.
SPARE = 2
VALUES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A condition as it is typed; an empty one without a column."""

    column: str = ""
    operator: str = "is"
    values: str = ""


@dataclass(frozen=True, slots=True)
class AudiencePage:
    """A draft's audience.

    Attributes:
        files: the draft's audience files; `file` is the one that is shown.
        digest: of its text: what is saved takes the place of that and nothing else.
        foreign: whether its SELECT says more than conditions can; then it is shown as `text`, and stays.
        selected: how many customers it selects, in words; `problem` says why that is not known, or was not saved.
        usual: by column, its values where these are few.
    """

    pilot: str
    table: str
    files: tuple[str, ...]
    file: str
    digest: str
    text: str
    foreign: bool
    rows: tuple[Row, ...]
    columns: tuple[Choosable, ...]
    usual: dict[str, tuple[str, ...]]
    selected: str
    problem: str | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        """All that there are; which a column takes is said when it is chosen."""
        return get_args(Operator)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft's audience files, and what they may select from."""

    folder: Path
    files: tuple[str, ...]
    snapshot: Snapshot
    table: str
    key: str
    columns: tuple[Choosable, ...]
    rows: int


def audience_page(
    workspace: Workspace, name: str, file: str = "", typed: Mapping[str, Sequence[str]] | None = None,
    problem: str | None = None,
) -> AudiencePage:  # fmt: skip
    """The page, with what was typed; raises BadInput where there is no such draft or file."""
    draft = _draft(workspace, name)
    file = _file(draft, file)
    text = read_text(draft.folder / file)
    found = read(text, draft.table, draft.key, draft.columns)
    rows = _typed_rows(typed) if typed is not None else [_row(one) for one in found or ()]
    many = ""
    try:
        conditions = found if typed is None else _conditions(typed)
        many = "" if conditions is None else _selected(draft, conditions)
    except BadInput as error:
        problem = problem or sentence(error.what)
    return AudiencePage(
        pilot=name,
        table=draft.table,
        files=draft.files,
        file=file,
        digest=digest_bytes(text.encode()),
        text=text,
        foreign=found is None,
        rows=(*rows, *[Row()] * SPARE),
        columns=draft.columns,
        usual={
            column.name: values
            for column in draft.columns
            if (values := usual_values(draft.snapshot, draft.table, column.name, VALUES_SHOWN))
        },
        selected=many,
        problem=problem,
    )


def selected(workspace: Workspace, name: str, typed: Mapping[str, Sequence[str]]) -> tuple[str, str | None]:
    """How many customers the conditions select as they are typed, or why that cannot be said; nothing is written."""
    try:
        return _selected(_draft(workspace, name), _conditions(typed)), None
    except PilotPlantError as error:
        return "", sentence(error.what)


def save(workspace: Workspace, name: str, file: str, digest: str, typed: Mapping[str, Sequence[str]]) -> None:
    """Writes the SELECT of the conditions into the draft's file, below the comment that stands there.

    Raises BadInput for a condition that cannot be, Refused where somebody has changed the file meanwhile, or where it
    holds a SELECT that was not written here and nobody has said that it may go.
    """
    draft = _draft(workspace, name)
    path = draft.folder / _file(draft, file)
    text = read_text(path)
    if digest != digest_bytes(text.encode()):
        raise Refused(
            "somebody has changed this audience since you opened it; what you typed was not saved",
            where=path.name,
            remedy="open it again, and change it there",
        )
    if read(text, draft.table, draft.key, draft.columns) is None and "replace" not in typed:
        raise Refused(
            "this audience was written as SQL, and conditions would take its place",
            where=path.name,
            remedy="tick that they may, or edit the file",
        )
    after = written(draft.table, draft.key, _conditions(typed), draft.columns, split(text)[0])
    if after != text:
        write_atomically(path, after)


def _draft(workspace: Workspace, name: str) -> _Draft:
    if name not in drafts(open_lab(workspace)):
        raise BadInput(f"there is no draft `{name}`", where="the Lab", remedy="begin one, or look at the board")
    folder, snapshot = workspace.pilots / name, latest_snapshot(workspace)
    charter = read_yaml(folder / CHARTER, Charter)
    contract = snapshot.contract(charter.population)
    key = key_of_units(contract)
    if key is None:
        raise Refused(f"table `{charter.population}` names no units", where=CHARTER, remedy="choose another population")
    files = dict.fromkeys(arm.play.audience for arm in charter.treatments if arm.play is not None)
    rows = snapshot.manifest.tables[charter.population].rows
    return _Draft(folder, tuple(files), snapshot, charter.population, key, choosable(contract), rows)


def _file(draft: _Draft, file: str) -> str:
    if file and file not in draft.files:
        raise BadInput(f"`{file}` is no audience of this draft", expected=f"one of: {', '.join(draft.files)}")
    if not draft.files:
        raise BadInput("no arm of this draft has an audience", where=CHARTER, remedy="give one a play")
    return file or draft.files[0]


def _selected(draft: _Draft, conditions: Sequence[Condition]) -> str:
    found = count(draft.snapshot, draft.table, conditions, draft.columns)
    customers = how_many(found, "customer", "customers")
    return f"{customers} of {draft.rows:,} ({100 * found / max(1, draft.rows):.1f} %)"


def _row(one: Condition) -> Row:
    return Row(one.column, one.operator, f"{SEPARATOR} ".join(one.values))


def _typed_rows(typed: Mapping[str, Sequence[str]]) -> list[Row]:
    """The rows as they were typed, those without a column left out."""
    rows = zip(typed.get("column", ()), typed.get("operator", ()), typed.get("values", ()), strict=False)
    return [Row(column, operator, values) for column, operator, values in rows if column]


def _conditions(typed: Mapping[str, Sequence[str]]) -> tuple[Condition, ...]:
    return tuple(_condition(row) for row in _typed_rows(typed))


def _condition(row: Row) -> Condition:
    known: tuple[Operator, ...] = get_args(Operator)
    operator = next((each for each in known if each == row.operator), None)
    if operator is None:
        raise BadInput(f"`{row.operator}` compares nothing", expected=f"one of: {', '.join(known)}")
    if operator in {"is empty", "is not empty"}:
        return Condition(row.column, operator)
    several = operator in {"between", "one of", "none of"}
    values = [each.strip() for each in row.values.split(SEPARATOR)] if several else [row.values.strip()]
    return Condition(row.column, operator, tuple(each for each in values if each))
