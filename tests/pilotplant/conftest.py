"""A pilot that went through all three rooms."""

from __future__ import annotations

import shutil

import pytest

from factory.releases.admission import admit
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.state.workspace import open_workspace
from tests.lab_makers import OWNER, PILOT, staged


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A rehearsal whose pilot was launched, submitted, scaled and admitted."""
    root = tmp_path_factory.mktemp("crossed") / "workspace"
    shutil.copytree(staged(tmp_path_factory.getbasetemp(), "submitted").root, root)
    workspace = open_workspace(root)
    decide(workspace, PILOT, Asked("scale", OWNER, "letters bring people back", "letter"))
    assert len(admit(workspace).admitted) == 1
    return workspace
