"""What makes a judgement slow is done once for the same bytes: a contract's suite, and the evidence of a promise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest

from shared.charter import Promise
from shared.contracts import Contract
from shared.digests import digest_file
from shared.engines.protocol import PilotData
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.quality import QualityReport, run_suite


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
        key = repr(promise), repr(covers_until), *(f"{path.name} {digest_file(path)}" for path in data.files)
        if key not in known:
            while len(known) >= KEPT:
                known.pop(next(iter(known)))
            known[key] = compute(promise, data, covers_until)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "compute", remembered)
        yield


KEPT = 64
