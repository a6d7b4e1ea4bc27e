"""Running a release by hand: the same way through an occurrence as the schedule's, without Prefect."""

from __future__ import annotations

from datetime import datetime

from factory.campaign import RunResult, run_occurrence
from factory.releases import get_release, play_of
from factory.state import open_factory
from shared.workspace import Workspace


def run_now(workspace: Workspace, name: str, occurrence: datetime | None = None) -> RunResult:
    """Runs the occurrence that is due, which is the latest one; `occurrence` names another."""
    with open_factory(workspace).transaction() as connection:
        release = get_release(connection, name)
    if occurrence is None:
        occurrence = play_of(workspace, release).schedule.latest(workspace.clock.now())
    return run_occurrence(workspace, name, occurrence)
