"""Looking at the Lab: whole processes of `pilotplant`, from the interpreter's start to the last line printed.

The workspace holds one pilot that went the real way (launched, fed, analysed, submitted, stopped) and copies of it:
every third is decided, every other one has a sample, costs, a reservation and an analysis. The peer is a process that
imports the same libraries (typer, rich, pydantic, SQLAlchemy) and asks the same database one bare question.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from benchmarks.measure import HEAD, Line, in_turns
from lab.state import analyses, batches, candidates, open_lab, pilots, reservations, spend
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.digests import digest_bytes, hex_of
from shared.experiment.charter import Promise
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import attest, read_attestation
from shared.trust.candidate import EVIDENCE, PROMISE, write_json
from shared.trust.keys import GATE, KeyStore
from shared.trust.record import attestation_path
from tests.lab_makers import OWNER, PILOT, staged

REPEATS = 7
FEW, MANY = 40, 400
# Of the copies two in three are open; each has this many batches and costs.
DECIDED_EVERY, BATCHES, COSTS = 3, 14, 5


def run(repeats: int = REPEATS) -> list[Line]:
    with TemporaryDirectory() as folder:
        few, many = (workspace_of(Path(folder), count) for count in (FEW, MANY))
        found = []
        for command, workspace, limit in (
            (["lab", "list"], few, 3.0),
            (["lab", "list"], many, 5.0),
            (["lab", "insights"], many, 6.0),
            (["lab", "remind"], many, 5.0),
        ):
            found.append(_compared(command, workspace, repeats, limit))
        return found


def _compared(command: list[str], workspace: Workspace, repeats: int, limit: float) -> Line:
    ours = f"from pilotplant.app import _exit_code\n_exit_code(['--workspace', {str(workspace.root)!r}, *{command!r}])"
    peer = (
        "import sqlite3, typer, rich.console, rich.table, pydantic, sqlalchemy\n"
        f"print(sqlite3.connect({str(workspace.lab / 'lab.db')!r}).execute('SELECT name FROM pilots').fetchall())"
    )
    theirs, mine = in_turns([peer, ours], repeats)
    count = MANY if workspace.root.name == str(MANY) else FEW
    what = f"`{' '.join(command)}`, {count} pilots: {mine.seconds:.2f} s"
    return Line(what, f"imports and one query: {theirs.seconds:.2f} s", mine, theirs, limit)


def workspace_of(folder: Path, count: int) -> Workspace:
    """A workspace of so many pilots."""
    template = staged(folder, "submitted")
    root = folder / str(count)
    shutil.copytree(template.root, root)
    workspace = type(template)(root, template.id, template.mode, template.created)
    decide(workspace, PILOT, Asked("stop", OWNER, "nothing to scale here", insight="Letters bring visits."))
    copies = _Copies.of(open_lab(workspace))
    for number in range(1, count):
        copies.add(f"pilot-{number:03}", decided=number % DECIDED_EVERY == 0)
    return workspace


@dataclass(frozen=True, slots=True)
class _Copies:
    """The real pilot, as what is copied."""

    room: Room
    promise: Promise
    folder: Path
    rows: dict[str, dict[str, object]]

    @classmethod
    def of(cls, room: Room) -> _Copies:
        folder = room.workspace.lab / "pilots" / PILOT
        promise = Promise.model_validate_json((folder / "frozen" / PROMISE).read_bytes())
        with room.transaction() as connection:
            rows = {
                table.name: dict(connection.execute(sa.select(table)).mappings().one())
                for table in (pilots, batches, spend, analyses, candidates)
            }
        return cls(room, promise, folder, rows)

    def add(self, name: str, *, decided: bool) -> None:
        charter = self.promise.charter.model_copy(update={"pilot": name})
        promise = self.promise.model_copy(update={"charter": charter})
        folder = self.folder.with_name(name)
        write_json(folder / "frozen" / PROMISE, promise.as_json())
        target = folder / "analyses" / str(self.rows["analyses"]["folder"]) / EVIDENCE
        target.parent.mkdir(parents=True)
        shutil.copyfile(self.folder / target.relative_to(folder), target)
        candidate = digest_bytes(name.encode())
        with self.room.transaction() as connection:

            def insert(table: sa.Table, **changes: object) -> None:
                connection.execute(table.insert().values({**self.rows[table.name], **changes}))

            insert(pilots, name=name, promise=promise.digest)
            for number in range(BATCHES):
                insert(batches, id=None, pilot=name, file_digest=f"{number}", exposures=30)
            for number in range(COSTS):
                insert(spend, pilot=name, id=f"{number}", amount="8.00")
            insert(analyses, pilot=name)
            if decided:
                insert(candidates, digest=candidate, pilot=name)
            else:
                held = {"purpose": "mailing", "amount": "20.00", "currency": "USD", "at": "2026-01-06T00:00:00Z"}
                connection.execute(reservations.insert().values(pilot=name, id="mailing", **held))
        if decided:
            self._attest(name, promise, candidate)

    def _attest(self, name: str, promise: Promise, candidate: str) -> None:
        workspace = self.room.workspace
        real = read_attestation(attestation_path(workspace, str(self.rows["candidates"]["digest"])))
        predicate = real.predicate.model_copy(update={"pilot": name, "promise": promise.digest})
        signers = [KeyStore(workspace, None).signer(who) for who in (GATE, OWNER)]
        attestation_path(workspace, candidate).write_bytes(attest(candidate, predicate, signers))
        # What was decided on lies before the gate.
        intake = workspace.promotion / "intake"
        shutil.copytree(intake / hex_of(real.candidate), intake / hex_of(candidate))


if __name__ == "__main__":
    sys.stdout.write(f"{HEAD}\n" + "".join(f"{line.as_markdown()}\n" for line in run()))
