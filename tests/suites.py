"""What makes a judgement slow is done once for the same bytes.

That is a contract's suite, the evidence of a promise, and what the box says of SQL and templates, each of which takes a
process of its own. Only what went well is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared import sandbox
from shared.core.digests import digest_file
from shared.data.contracts import Contract
from shared.data.quality import QualityReport, run_suite
from shared.engines.protocol import PilotData
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.experiment.charter import Promise
from shared.sandbox import landlock


@contextmanager
def each_suite_once(module: ModuleType) -> Iterator[None]:
    """Has a module that runs suites remember what they said."""
    known: dict[tuple[str, str], QualityReport] = {}

    def remembered(contract: Contract, rows: Path) -> QualityReport:
        key = repr(contract), digest_file(rows) if rows.exists() else str(rows)
        if key not in known:
            known[key] = run_suite(contract, rows)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_suite", remembered)
        yield


@contextmanager
def each_evidence_once(*modules: ModuleType) -> Iterator[None]:
    """Has modules that compute evidence remember the last that they did."""
    known: dict[tuple[str, ...], Evidence] = {}

    def remembered(promise: Promise, data: PilotData, covers_until: datetime | None = None) -> Evidence:
        if not all(path.exists() for path in data.files):
            return compute(promise, data, covers_until)
        key = promise.digest, repr(covers_until), *(f"{path.name} {digest_file(path)}" for path in data.files)
        if key not in known:
            while len(known) >= KEPT:
                known.pop(next(iter(known)))
            known[key] = compute(promise, data, covers_until)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "compute", remembered)
        yield


@contextmanager
def each_box_once(*modules: ModuleType) -> Iterator[None]:
    """Has modules that run SQL and templates of the Lab remember what the box said of them, and what it wrote.

    Where the kernel confines nothing, and that is told each time, nothing is remembered.
    """
    once = {
        "audience": _written_once(sandbox.audience),
        "check_audience": _checked_once(sandbox.check_audience),
        "check_template": _checked_once(sandbox.check_template),
        "render": _written_once(sandbox.render),
    }
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


KEPT = 64
_CHECKED: set[str] = set()
_WRITTEN: dict[str, tuple[int, bytes]] = {}
