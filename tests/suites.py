"""A contract's suite runs once for the same contract and the same rows: it is the slowest part of a judgement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from shared.contracts import Contract
from shared.digests import digest_file
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
