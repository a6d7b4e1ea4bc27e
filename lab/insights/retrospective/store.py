"""Keeping: finished tests are entries of the Lab's ledger, each once and for ever, with a report of its own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lab.insights.retrospective import growthbook, page, readers
from lab.insights.retrospective.effects import Shown
from lab.insights.retrospective.finished import Finished
from lab.insights.retrospective.mapping import read_mapping
from lab.pilots.pilot import IMPORTED, all_pilots
from lab.pilots.population import population_of
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.core.files import locked, write_atomically
from shared.data.personal_data import personal
from shared.doors.door import ask
from shared.doors.requests import NoteRetrospective
from shared.experiment.charter import NAME_PATTERN
from shared.state.room import Room
from shared.state.workspace import Workspace

FORMATS = ("csv", "growthbook")


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished test that is kept.

    Attributes:
        at: when it was brought in.
        report: its page.
    """

    shown: Shown
    at: str
    report: Path

    @property
    def test(self) -> Finished:
        """The test itself."""
        return self.shown.test

    @property
    def ended(self) -> datetime:
        """When it ended, or was brought in where nobody says."""
        day = self.test.ended
        return datetime.fromisoformat(self.at) if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: the tests of the file, and the names of those that were kept before."""

    tests: tuple[Kept, ...]
    repeated: frozenset[str]


def bring_in(
    workspace: Workspace, name: str, file: Path, *, mapping: Path | None = None, source: str | None = None
) -> Imported:
    """Keeps every finished test of a file; the same test again is a no-op.

    Raises BadInput for a file, mapping or name that cannot be, Refused where one of the names is taken by a pilot or by
    other numbers; nothing of the file is kept then.
    """
    room = open_lab(workspace)
    _require_name(name)
    found = [_placed(workspace, test) for test in _read(workspace, name, file, mapping, source)]
    _require_names_once(found, file)
    for test in found:
        _require_nothing_personal(test, file)
    (workspace.lab / "retrospective").mkdir(parents=True, exist_ok=True)
    with locked(workspace.lab / "retrospective" / ".lock"):
        return _keep(room, found)


def _keep(room: Room, found: list[Finished]) -> Imported:
    workspace, pilots = room.workspace, {pilot.name for pilot in all_pilots(room)}
    before = {kept.test.name: kept.test for kept in retrospectives(room)}
    for test in found:
        _require_free(workspace, test, before.get(test.name), pilots)
    fresh = [test for test in found if test.name not in before]
    with room.transaction() as connection:
        for test in fresh:
            room.write(connection, IMPORTED, test.name, test.model_dump(mode="json", by_alias=True, exclude_none=True))
    kept = {each.test.name: each for each in retrospectives(room)}
    for test in found:
        _publish(workspace, kept[test.name])
    return Imported(tuple(kept[test.name] for test in found), frozenset({*before} & {test.name for test in found}))


def retrospectives(room: Room) -> list[Kept]:
    """Every finished test that was brought in, in that order."""
    return [
        Kept(Shown(Finished.model_validate(entry.body)), entry.at, _folder(room.workspace, entry.subject) / page.PAGE)
        for entry in room.entries(kinds=[IMPORTED])
    ]


def _read(workspace: Workspace, name: str, file: Path, mapping: Path | None, source: str | None) -> list[Finished]:
    said = None if mapping is None else read_mapping(mapping)
    kind = source or ("growthbook" if file.suffix.lower() == ".json" else "csv")
    if kind not in FORMATS:
        raise BadInput(f"files of `{kind}` are not read", where="--from", expected="one of: " + ", ".join(FORMATS))
    if kind == "growthbook":
        return growthbook.read(workspace, name, file, said.metrics if said else {}, said)
    if said is None or mapping is None:
        raise BadInput(
            "nothing says what the file's columns mean",
            where="--mapping",
            remedy="write a mapping file: docs/retrospective.md has one for each kind of file",
        )
    if said.rows == "growthbook":
        raise BadInput(
            "the mapping is for an export of GrowthBook's",
            where=str(mapping),
            remedy="say --from growthbook, or `rows`",
        )
    return readers.read(workspace, name, file, said, mapping)


def _placed(workspace: Workspace, test: Finished) -> Finished:
    """The test with its population: the one that was said, or the team's own."""
    if test.population is not None:
        return test
    return test.model_copy(update={"population": population_of(workspace).table})


def _require_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadInput(
            f"`{name}` is not a test's name",
            where="NAME",
            expected="small letters, digits and hyphens, like spring-2024",
        )


def _require_names_once(found: list[Finished], file: Path) -> None:
    names = Counter(test.name for test in found)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        sources = [str(test.source) for test in found if test.name == twice]
        raise BadInput(
            f"two tests of the file would be called {twice}: {' and '.join(sources[:2])}",
            where=str(file),
            remedy="give them other names there",
        )


def _require_nothing_personal(test: Finished, file: Path) -> None:
    """Raises BadInput for a text that looks like an address or a telephone number: what is kept is kept for ever."""
    for text in (test.source, test.belief, *test.units, *test.metrics):
        if text is not None and (found := personal(text)) is not None:
            raise BadInput(
                f"`{text[:60]}` looks like {found}, and the Lab keeps nothing personal",
                where=f"{file}, test {test.name}",
                remedy="name the arms, tests and metrics otherwise; nothing was kept",
            )


def _require_free(workspace: Workspace, test: Finished, before: Finished | None, pilots: set[str]) -> None:
    if test.name in pilots or (workspace.pilots / test.name).exists():
        raise Refused(
            f"there is a pilot {test.name} already",
            where=str(workspace.pilots / test.name),
            remedy="choose another name",
        )
    if before is not None and before != test:
        raise Refused(
            f"{test.name} was brought in before, with other numbers",
            where="the Lab's ledger",
            expected="the same file, and the same mapping",
            remedy="bring it in under another name: what was kept is kept",
        )
    if test.ended is not None and test.ended > _today(workspace):
        raise BadInput(
            f"{test.name} ends on {test.ended}, which is still to come",
            where="its dates",
            remedy="bring in what is finished; what still runs is a pilot with `assignment: source`",
        )


def _today(workspace: Workspace) -> date:
    return workspace.clock.now().date()


def _publish(workspace: Workspace, kept: Kept) -> None:
    """Writes what follows from the entry: the report, and the gate's note that there is nothing to admit."""
    kept.report.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept.report, page.render(kept.shown, kept.at))
    ask(workspace, NoteRetrospective(test=kept.test.name))


def _folder(workspace: Workspace, name: str) -> Path:
    return workspace.lab / "retrospective" / name
