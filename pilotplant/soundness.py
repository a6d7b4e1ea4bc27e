"""Whether what the rooms keep is sound inside: their databases, the Lab's notebook, the warehouse, the snapshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from factory.runtime import integrity
from shared.core.errors import Damaged, PilotPlantError
from shared.data.snapshot import open_snapshot
from shared.state.integrity import database_problems, file_problems
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.ui.console import counted


@dataclass(slots=True)
class Soundness:
    """What was looked at and is sound, what is not, and what could not be read, each in a sentence."""

    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def hear(self, name: str, asked: Callable[[], list[str]], sound: str) -> None:
        """Asks one part; what keeps it from answering is told as well."""
        try:
            problems = asked()
        except Damaged as error:
            self.problems.append(f"{name}: {error.what}")
        except PilotPlantError as error:
            self.unread.append(f"{name}: it cannot be read ({error.what})")
        else:
            self.problems += problems
            self.verified += [] if problems else [f"{name}: {sound}"]


def soundness(workspace: Workspace, rooms: Mapping[str, Room | PilotPlantError]) -> Soundness:
    """Everything that can be read here; a room that did not open was named by whoever opened it."""
    result = Soundness()
    for name, room in rooms.items():
        if isinstance(room, Room):
            result.hear(f"the {name} database", partial(database_problems, room), "sound inside")
    notebook = workspace.lab / "mlflow.db"
    if notebook.exists():
        result.hear("the Lab's notebook", partial(file_problems, notebook, "the Lab's notebook"), "sound inside")
    factory = rooms["factory"]
    if isinstance(factory, Room):
        result.hear("the warehouse", partial(integrity.problems, factory), "as it was loaded")
        result.hear("the releases' packages", partial(integrity.package_problems, factory), "as they were attested")
    snapshots = _snapshots(workspace)
    if snapshots:
        said = f"{counted(len(snapshots), 'snapshot')}, each as published"
        result.hear("snapshots", partial(_changed, workspace, snapshots), said)
    return result


def _snapshots(workspace: Workspace) -> list[str]:
    return sorted(
        path.name for path in (workspace.lab / "snapshots").glob("[!.]*") if (path / "manifest.json").exists()
    )


def _changed(workspace: Workspace, snapshots: list[str]) -> list[str]:
    found = []
    for identity in snapshots:
        try:
            snapshot = open_snapshot(workspace, identity)
            snapshot.tables()
            for name in snapshot.manifest.tables:
                snapshot.contract_file(name)
        except PilotPlantError as error:
            found.append(error.what)
    return found
