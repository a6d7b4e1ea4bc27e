"""Asking the gate: whole processes of `pilotplant promote check`.

The large candidate has 64,000 customers in three arms, as many as the e-mail test of Hillstrom (2008). The gate scans
its rows, and runs the contract's suite, for which it imports Great Expectations: that import alone is the peer. The
small ones have about 2,000 customers each.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.gate.candidates import submitted
from benchmarks.gate.classes import CLASSES
from benchmarks.gate.shop import NONCE_SEED
from benchmarks.measure import Cost, Line, in_turns
from shared.state.workspace import Workspace, create
from tests.promotion.cases import LAUNCHED, Recorded, Stage

REPEATS = 5
MANY = 100
CUSTOMERS_PER_ARM = 64_000 // 3
VISITS = {"control": 0.106, "mens": 0.183, "womens": 0.151}
IMPORT = "import great_expectations"


def run(repeats: int = REPEATS) -> list[Line]:
    with TemporaryDirectory() as folder:
        large, small = _large(_workspace(Path(folder) / "large")), _small(_workspace(Path(folder) / "small"))
        imported, one = in_turns([IMPORT, _check(large, "spring-email")], repeats)
        single, every = in_turns([_check(small, "winner-0"), _check(small, "--all")], repeats)
    return [
        _line("`promote check`, 64,000 customers", one, "`import great_expectations`", imported, 3.0),
        _line(f"`promote check --all`, {MANY} candidates", every, "`promote check` of one of them", single, 10.0),
    ]


def _line(what: str, ours: Cost, peer: str, theirs: Cost, limit: float) -> Line:
    return Line(f"{what}: {ours.seconds:.1f} s", f"{peer}: {theirs.seconds:.1f} s", ours, theirs, limit)


def _check(workspace: Workspace, *words: str) -> str:
    command = ["--workspace", str(workspace.root), "promote", "check", *words]
    return f"from pilotplant.app import _exit_code\n_exit_code({command!r})"


def _workspace(root: Path) -> Workspace:
    workspace, _ = create(root, "rehearsal")
    workspace.clock.set(LAUNCHED)
    stage = Stage(workspace).with_factory()
    stage.seed(NONCE_SEED)
    return stage.workspace


def _large(workspace: Workspace) -> Workspace:
    stage = Stage(workspace)
    arms = stage.charter().model_dump(mode="json")["arms"]
    named = [arms[0], *({**arms[1], "name": name} for name in VISITS if name != "control")]
    recorded = {name: Recorded(CUSTOMERS_PER_ARM, round(CUSTOMERS_PER_ARM * share)) for name, share in VISITS.items()}
    stage.submit(charter={"arms": named}, arms=recorded)
    return workspace


def _small(workspace: Workspace) -> Workspace:
    [winner] = [one for one in CLASSES if one.name == "winner"]
    for number in range(MANY):
        name = f"winner-{number}"
        submitted(Stage(workspace), name, winner.pilot(np.random.default_rng(number), name))
    return workspace
