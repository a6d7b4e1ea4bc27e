"""What is wrong with this machine or workspace, and how to mend it. It looks, and changes nothing."""

from __future__ import annotations

from pathlib import Path

from pilotplant.doctor import machine
from pilotplant.doctor import workspace as workspaces
from pilotplant.doctor.checks import Check, Diagnosis, run, said
from shared.core.errors import PilotPlantError
from shared.state.workspace import MARK, find_workspace


def examine(folder: Path | None, *, named: bool) -> Diagnosis:
    """Every check of the machine, and of the workspace where there is one, or one was `named` and should be there."""
    try:
        found = find_workspace(folder)
    except PilotPlantError as error:
        here = Path.cwd()
        if named or any((place / MARK).exists() for place in (here, *here.parents)):
            missing = Check("workspace", False, said(error), error.remedy)
            return Diagnosis(None, (*run(machine.checks(None)), missing))
        return Diagnosis(None, run(machine.checks(None)))
    return Diagnosis(found.root, run([*machine.checks(found), *workspaces.checks(found)]))
