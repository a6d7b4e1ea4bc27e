"""A storm of kills: campaign runs are killed at random instants and run again; an auditor reads only what is left."""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from factory.releases.admission import admit
from factory.releases.releases import show_release
from factory.state.room import open_factory
from factory.warehouse.load import load
from shared.state.workspace import Workspace
from tests.makers import OCCURRENCE, RELEASE, customers_csv, make_package, make_workspace

SEED, STORMS, KILLS_EACH, CUSTOMERS = 7, 30, 2, 5_000
CHILD = """
import sys
from datetime import datetime
from pathlib import Path
from factory.runtime.campaign import run_occurrence
from shared.state.workspace import open_workspace
print("ready", flush=True)
run_occurrence(open_workspace(Path(sys.argv[1])), sys.argv[2], datetime.fromisoformat(sys.argv[3]))
"""


@dataclass(slots=True)
class Tally:
    kills: int = 0
    cut_off: int = 0
    problems: list[str] = field(default_factory=list)


def prove() -> tuple[str, bool]:
    chance, tally = random.Random(SEED), Tally()
    with tempfile.TemporaryDirectory() as folder:
        workspace = _prepare(Path(folder))
        length = _storm(workspace, 0, chance, Tally(), longest_s=0)
        for number in range(1, STORMS + 1):
            _storm(workspace, number, chance, tally, longest_s=length)
        _audit(workspace, tally)
    return _page(tally), not tally.problems and tally.cut_off > 0


def _prepare(folder: Path) -> Workspace:
    workspace = make_workspace(folder / "workspace")
    workspace.clock.set(OCCURRENCE)
    load(workspace, "customers", customers_csv(folder / "customers.csv", CUSTOMERS))
    make_package(workspace)
    admit(workspace)
    return workspace


def _storm(workspace: Workspace, number: int, chance: random.Random, tally: Tally, *, longest_s: float) -> float:
    """One occurrence: killed a few times at random instants, then run to its end; returns how long that took."""
    occurrence = OCCURRENCE + timedelta(days=number)
    workspace.clock.set(occurrence + timedelta(seconds=1))
    words = [sys.executable, "-c", CHILD, str(workspace.root), RELEASE, occurrence.isoformat()]
    for _ in range(KILLS_EACH if longest_s else 0):
        child = _begin(words)
        time.sleep(chance.uniform(0, longest_s))
        tally.cut_off += child.poll() is None
        child.kill()
        child.wait()
        tally.kills += 1
    child = _begin(words)
    began = time.monotonic()
    _, said = child.communicate()
    if child.returncode:
        tally.problems.append(f"{occurrence:%Y-%m-%d}: the run after the kills failed: {said[-300:]}")
    return time.monotonic() - began


def _begin(words: list[str]) -> subprocess.Popen[str]:
    """A run whose imports are done."""
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _audit(workspace: Workspace, tally: Tally) -> None:
    """Reads files, runs and ledger as an outsider would: each occurrence and unit once, always the same units."""
    runs = {run.occurrence: run for run in show_release(workspace, RELEASE)[1]}
    sent = Counter(
        entry.body["occurrence"] for entry in open_factory(workspace).entries(RELEASE) if entry.kind == "sent"
    )
    files = sorted((workspace.factory / "outgoing" / RELEASE).glob("*.jsonl"))
    audiences = set()
    for path in files:
        units = Counter(json.loads(line)["unit"] for line in path.read_text(encoding="utf-8").splitlines())
        audiences.add(frozenset(units))
        tally.problems += [f"{path.name}: {unit} got {n} messages" for unit, n in units.items() if n > 1]
    if len(files) != STORMS + 1 or len(audiences) != 1:
        tally.problems.append(f"{len(files)} files with {len(audiences)} different audiences")
    tally.problems += [f"{when}: sent {n} times" for when, n in sent.items() if n != 1]
    tally.problems += [f"{when}: {run.state}" for when, run in runs.items() if run.state != "done"]
    if len(sent) != STORMS + 1:
        tally.problems.append(f"{len(sent)} occurrences on the ledger")
    tally.problems += open_factory(workspace).problems()


def _page(tally: Tally) -> str:
    lines = [
        f"# Crash storm\n\n`make proof`; seed {SEED}. A campaign over {CUSTOMERS:,} customers, each occurrence killed",
        f"(`kill -9`) {KILLS_EACH} times at random instants and then run once more. Files and ledger are all that the",
        "auditor reads.\n",
        "| occurrences | kills | in the middle of a run | units written to twice, files missing, ledger faults |",
        "|---|---|---|---|",
        f"| {STORMS} | {tally.kills} | {tally.cut_off} | {len(tally.problems)} |",
    ]
    return "\n".join([*lines, *(f"- {problem}" for problem in tally.problems)]) + "\n"
