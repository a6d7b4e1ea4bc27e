"""Running a release by hand: the same way through an occurrence as the schedule's, without Prefect."""

from __future__ import annotations

from datetime import datetime

from factory.releases.releases import play_of
from factory.runtime.campaign import RunResult, run_occurrence
from factory.state.room import open_factory
from factory.state.states import get_release
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import Refused
from shared.state.workspace import Workspace


def run_now(workspace: Workspace, name: str, occurrence: datetime | None = None) -> RunResult:
    """Runs the occurrence that is due, which is the latest one; `occurrence` names another.

    Raises Refused where there has been none since the release was admitted.
    """
    with open_factory(workspace).transaction() as connection:
        release = get_release(connection, name)
    if occurrence is None:
        schedule, now = play_of(workspace, release).schedule, workspace.clock.now()
        occurrence = schedule.latest(now)
        if workspace.mode == "live" and occurrence < parse_rfc3339(release.admitted_at):
            raise Refused(
                f"no moment of its schedule has come since release {name} was admitted, at {release.admitted_at}",
                where=f"the schedule `{schedule.cron}` ({schedule.timezone})",
                expected=f"a run at {rfc3339(schedule.next(now))}",
                remedy="wait for it; nothing was recorded",
            )
    return run_occurrence(workspace, name, occurrence)
