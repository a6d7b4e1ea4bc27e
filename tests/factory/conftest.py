"""One loaded workspace, made once and copied for each test: loading imports a heavy library."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from factory.load import load
from shared.workspace import Workspace, open_workspace
from tests.makers import customers_csv, make_workspace, moment


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loaded")
    workspace = make_workspace(root / "workspace")
    load(workspace, "customers", customers_csv(root / "customers.csv"))
    return workspace


@pytest.fixture
def workspace(loaded: Workspace, tmp_path: Path) -> Workspace:
    """A loaded rehearsal workspace, at ten past nine of the day in question."""
    shutil.copytree(loaded.root, tmp_path / "workspace")
    copy = open_workspace(tmp_path / "workspace")
    copy.clock.set(moment("2026-02-02 09:10"))
    return copy
