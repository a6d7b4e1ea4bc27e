"""Finished tests that ran elsewhere: a file is brought in as `lab import` does it, and what each test showed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import BinaryIO

from lab.insights.retrospective.effects import Shown
from lab.insights.retrospective.store import bring_in, retrospectives
from lab.pilots.pilot import imported
from lab.state import open_lab
from pilotplant.desk.views.parts import how_many
from pilotplant.desk.views.uploads import plain_name
from shared.core.errors import BadInput
from shared.core.files import scratch_in
from shared.state.workspace import Workspace
from shared.ui import phrases

KINDS = (".csv", ".parquet", ".json")
MAPPING = "mapping.yaml"
TEXT_MAX = 64_000
# On one page; a file may hold thousands.
SHOWN = 50
EXAMPLE = """\
schema_version: 1
rows: arms
arm: variant
control: A
started: 2025-03-03
ended: 2025-03-17
weights: equal
belief: a shorter mail
metrics:
  visit: {metric: visit, arm: {units: customers, count: visitors}}
"""


@dataclass(frozen=True, slots=True)
class EffectLine:
    """One metric of one arm, in words."""

    arm: str
    metric: str
    difference: str
    interval: str
    lift: str
    p: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class TestShown:
    """One finished test.

    Attributes:
        sound: whether nothing speaks against how its arms were drawn.
        health: what was found or could not be asked.
        repeated: whether it had been brought in before.
    """

    name: str
    when: str
    sound: bool
    belief: str | None
    effects: tuple[EffectLine, ...]
    health: tuple[str, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class ImportedPage:
    """What came in; `more` says how many tests are not shown."""

    headline: str
    tests: tuple[TestShown, ...]
    more: int


def bring(workspace: Workspace, name: str, file_name: str, content: BinaryIO, mapping: str) -> ImportedPage:
    """Brings a file of finished tests in under a name; what is wrong raises as `lab import` does, and nothing is kept.

    Without a mapping the file has to be one of GrowthBook's.
    """
    file_name = plain_name(file_name, KINDS, "of finished tests")
    mapping = mapping.replace("\r\n", "\n")
    if len(mapping) > TEXT_MAX:
        raise BadInput("the mapping is too long", where=MAPPING, expected=f"at most {TEXT_MAX:,} characters")
    with scratch_in(workspace.root / "var" / "desk") as scratch:
        file, said = scratch / file_name, scratch / MAPPING
        with file.open("wb") as target:
            shutil.copyfileobj(content, target)
        said.write_text(mapping, encoding="utf-8")
        try:
            done = bring_in(workspace, name.strip(), file, mapping=said if mapping.strip() else None)
        except BadInput as error:
            # What is wrong is in what was sent, and no path of this machine.
            where = error.where and error.where.replace(f"{scratch}/", "")
            raise BadInput(error.what, where=where, expected=error.expected, remedy=error.remedy) from error
    shown = tuple(_shown(kept.shown, repeated=kept.test.name in done.repeated) for kept in done.tests[:SHOWN])
    count = len(done.tests) - len(done.repeated)
    headline = how_many(count, "finished test came in", "finished tests came in")
    return ImportedPage(headline, shown, max(0, len(done.tests) - SHOWN))


def test_page(workspace: Workspace, name: str) -> TestShown | None:
    """A finished test that was brought in; None where none has that name."""
    room = open_lab(workspace)
    if name not in imported(room):
        return None
    return next((_shown(one.shown, repeated=False) for one in retrospectives(room) if one.test.name == name), None)


def _shown(found: Shown, *, repeated: bool) -> TestShown:
    test = found.test
    return TestShown(
        name=test.name,
        when=f"{test.started} to {test.ended or 'an unknown day'}" if test.started else "dates not known",
        sound=found.sound,
        belief=test.belief,
        effects=tuple(
            EffectLine(
                one.arm,
                one.metric,
                phrases.number(test.metrics[one.metric], one.estimate),
                phrases.interval(test.metrics[one.metric], one.low, one.high),
                phrases.share(one.relative),
                phrases.p_value(one.p),
                one.problem,
            )
            for one in found.effects
        ),
        health=tuple(one.reason for one in found.health if one.state != "good"),
        repeated=repeated,
    )
