"""What makes a test slow is done once for the same bytes.

That is a contract's suite, the evidence of a promise and its picture, and what the box says of SQL and templates, each
of which takes a process of its own. Only what went well is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import factory.delivery.messages
import factory.delivery.pilot_messages
import factory.preflight.tables
import factory.releases.admission
import factory.warehouse.load
import lab.analysis.report
import lab.launch.preconditions
import lab.launch.preview
import lab.pilots.eligibility
import promotion.decisions.shown_messages
import promotion.gate.case
import promotion.registry.fingerprint
from lab.analysis.plots import picture_of_effects
from lab.pilots.pilot import Pilot
from shared import sandbox
from shared.core.digests import digest_file
from shared.data.contracts import Contract
from shared.data.quality import quarantine_reasons, run_suite
from shared.engines.duckdb import DuckDB
from shared.engines.protocol import Engine, PilotData
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.experiment.charter import Promise
from shared.sandbox import landlock


@contextmanager
def each_once() -> Iterator[None]:
    """Has the rooms remember what suites and the box said, and what they drew."""
    with (
        _in_place({"picture_of_effects": _drawn_once}, lab.analysis.report),
        _each_suite_once(factory.preflight.tables, factory.warehouse.load, promotion.gate.case),
        _each_box_once(
            factory.delivery.messages,
            factory.delivery.pilot_messages,
            factory.releases.admission,
            lab.launch.preconditions,
            lab.launch.preview,
            lab.pilots.eligibility,
            promotion.decisions.shown_messages,
            promotion.registry.fingerprint,
        ),
    ):
        yield


@contextmanager
def _each_suite_once(*modules: ModuleType) -> Iterator[None]:
    once = {"quarantine_reasons": _judged_once(quarantine_reasons), "run_suite": _judged_once(run_suite)}
    with _in_place(once, *modules):
        yield


def _judged_once(judge: Callable[..., Any]) -> Callable[..., Any]:
    def judged(contract: Contract, rows: Path | Sequence[Path], *asked: str) -> Any:
        paths = [rows] if isinstance(rows, Path) else rows
        key = f"{judge.__name__} {contract!r} {[_by_digest(path) for path in paths]!r} {asked!r}"
        if key not in _JUDGED:
            _JUDGED[key] = judge(contract, rows, *asked)
        return _JUDGED[key]

    return judged


@contextmanager
def each_evidence_once(*modules: ModuleType) -> Iterator[None]:
    """Has modules that compute evidence remember the last that they did."""
    known: dict[tuple[str, ...], Evidence] = {}

    def remembered(
        promise: Promise, data: PilotData, covers_until: datetime | None = None, engine: Engine | None = None
    ) -> Evidence:
        if not all(path.exists() for path in data.files):
            return compute(promise, data, covers_until, engine)
        key = promise.digest, repr(covers_until), *(f"{path.name} {digest_file(path)}" for path in data.files)
        if key not in known:
            while len(known) >= KEPT:
                known.pop(next(iter(known)))
            known[key] = compute(promise, data, covers_until, engine)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "compute", remembered)
        yield


@contextmanager
def each_answer_once() -> Iterator[None]:
    """Has the engine remember what is asked of rows; what errs is asked each time."""
    asked = ("summarise", "place", "uncaused", "early_outcomes", "pre_period", "made_up", "personal_rows")
    with _in_place({name: _answered_once(getattr(DuckDB, name)) for name in asked}, DuckDB):
        yield


def _answered_once(answer: Callable[..., Any]) -> Callable[..., Any]:
    def answered(self: DuckDB, data: PilotData, *asked: Any, **options: Any) -> Any:
        if not all(path.exists() for path in data.files):
            return answer(self, data, *asked, **options)
        files = [f"{path.name} {digest_file(path)}" for path in data.files]
        key = f"{answer.__name__} {files!r} {asked!r} {options!r}"
        if key not in _ANSWERED:
            while len(_ANSWERED) >= KEPT_ANSWERS:
                _ANSWERED.pop(next(iter(_ANSWERED)))
            _ANSWERED[key] = answer(self, data, *asked, **options)
        return _ANSWERED[key]

    return answered


def _drawn_once(pilot: Pilot, evidence: Evidence) -> str:
    key = pilot.promise.digest, evidence.digest
    if key not in _DRAWN:
        _DRAWN[key] = picture_of_effects(pilot, evidence)
    return _DRAWN[key]


@contextmanager
def _each_box_once(*modules: ModuleType) -> Iterator[None]:
    """Where the kernel confines nothing, and that is told each time, nothing is remembered."""
    once = {
        "audience": _written_once(sandbox.audience),
        "check_audience": _checked_once(sandbox.check_audience),
        "check_template": _checked_once(sandbox.check_template),
        "render": _written_once(sandbox.render),
    }
    with _in_place(once, *modules):
        yield


@contextmanager
def _in_place(once: Mapping[str, Callable[..., Any]], *modules: ModuleType | type) -> Iterator[None]:
    """Has the modules, or classes, call these for those of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            for name in once.keys() & vars(module).keys():
                patch.setattr(module, name, once[name])
        yield


def _checked_once(check: Callable[..., None]) -> Callable[..., None]:
    def checked(*asked: Any, where: str, **options: Any) -> None:
        key = f"{check.__name__} {asked!r} {options!r}"
        if key not in _CHECKED or not landlock.available():
            check(*asked, where=where, **options)
            _CHECKED.add(key)

    return checked


def _written_once(run: Callable[..., int]) -> Callable[..., int]:
    def written(*asked: Any, where: str, **options: Any) -> int:
        *given, out = asked
        key = f"{run.__name__} {[_by_digest(each) for each in given]!r} {options!r}"
        if key not in _WRITTEN or not landlock.available():
            rows = run(*asked, where=where, **options)
            _WRITTEN[key] = rows, out.read_bytes()
        rows, content = _WRITTEN[key]
        out.write_bytes(content)
        return rows

    return written


def _by_digest(given: Any) -> Any:
    """What is given to the box, each file by its content."""
    if isinstance(given, Mapping):
        return {name: _by_digest(each) for name, each in given.items()}
    return digest_file(given) if isinstance(given, Path) and given.is_file() else given


KEPT, KEPT_ANSWERS = 64, 1_024
_ANSWERED: dict[str, Any] = {}
_DRAWN: dict[tuple[str, str], str] = {}
_JUDGED: dict[str, Any] = {}
_CHECKED: set[str] = set()
_WRITTEN: dict[str, tuple[int, bytes]] = {}
