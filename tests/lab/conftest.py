"""Workspaces at the stages of one small pilot, each test with its own copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.state.workspace import Workspace
from tests.lab_makers import stage_copy


@pytest.fixture
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A snapshot is published and a draft written; it is the day before its time box."""
    return stage_copy(request, tmp_path / "workspace", "loaded")


@pytest.fixture
def launched(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """The draft is launched."""
    return stage_copy(request, tmp_path / "workspace", "launched")


@pytest.fixture
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """Everybody's results are in, and a cost; it is an hour before the end."""
    return stage_copy(request, tmp_path / "workspace", "recorded")


@pytest.fixture
def submitted(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """Analysed and before the gate; the owner has a week."""
    return stage_copy(request, tmp_path / "workspace", "submitted")
