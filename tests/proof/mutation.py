"""The gate's own tests against every mutant of the gate: how many live on, and which can be told from the original."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
# Beside the tests in its own file; what a check asks of several candidates or persons is tested with them.
ALSO = {
    "promotion/gate/gate.py": ["test_gate.py", "test_judgements.py", "test_waiver.py"],
    "promotion/gate/checks/promise/charter_frozen.py": ["test_lineage.py"],
    "promotion/gate/checks/value/owner_entitled.py": ["test_authority.py"],
}
MOST = 0.05


@dataclass(frozen=True, slots=True)
class Module:
    """One module's mutants.

    Attributes:
        survivors: the changes that no test noticed and that can be told from the original.
        equivalent: the changes that no test can notice, each with the reason.
    """

    path: str
    mutants: int
    survivors: list[dict[str, Any]]
    equivalent: list[tuple[dict[str, Any], str]]


def prove() -> tuple[str, bool]:
    """The page, and whether fewer than one in twenty of all mutants that can be told apart live on."""
    paths = ["promotion/gate/gate.py", *(str(path.relative_to(PROJECT)) for path in _checks())]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        modules = list(pool.map(held, paths))
    return _page(modules), _share(modules) < MOST


def held(path: str) -> Module:
    """What is left of a module's mutants after its own tests; raises RuntimeError where these do not pass."""
    own = PROJECT / "tests" / "promotion" / "checks" / f"test_{Path(path).name}"
    tests = [str(own)] * own.exists() + [f"tests/promotion/{name}" for name in ALSO.get(path, [])]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=no", "--assert=plain", "-p", "tests.proof.mutants",
             "-p", "no:cacheprovider", f"--basetemp={folder}/tests", *tests],
            cwd=PROJECT, capture_output=True, text=True, check=False,
            env={**os.environ, "MUTATED": path.removesuffix(".py").replace("/", "."), "MUTATED_FILE": path,
                 "MUTATED_RESULT": str(result)},
        )  # fmt: skip
        if not result.exists():
            raise RuntimeError(f"{path}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        found = json.loads(result.read_text())
    listed = {
        (entry["function"], entry["was"], now): entry["why"]
        for entry in yaml.safe_load(EQUIVALENT.read_text()).get(path, [])
        for now in entry["now"]
    }
    survivors = [change for change in found["survivors"] if _key(change) not in listed]
    equivalent = [(change, listed[_key(change)]) for change in found["survivors"] if _key(change) in listed]
    sys.stderr.write(f"  {path}: {found['mutants']} mutants, {len(survivors)} survived\n")
    return Module(path, found["mutants"], survivors, equivalent)


def _checks() -> list[Path]:
    return sorted((PROJECT / "promotion" / "gate" / "checks").glob("*/[!_]*.py"))


def _key(change: dict[str, Any]) -> tuple[str, str, str]:
    return change["function"], " ".join(change["was"]), " ".join(change["now"])


def _share(modules: list[Module]) -> float:
    distinct = sum(module.mutants - len(module.equivalent) for module in modules)
    return sum(len(module.survivors) for module in modules) / distinct


def _page(modules: list[Module]) -> str:
    mutants = sum(module.mutants for module in modules)
    survivors = sum(len(module.survivors) for module in modules)
    equivalent = sum(len(module.equivalent) for module in modules)
    lines = [
        "# Mutants of the gate",
        "",
        "Every function of the gate and of its checks is changed in one place, again and again: an operator, a number,",
        "a text, an argument that is left out ([mutmut](https://mutmut.readthedocs.io)'s mutants). Each mutant is held",
        "against the tests of its own module alone, and lives on where they all pass. Of three modules these are in",
        f"several files: {', '.join(f'`{name}`' for names in ALSO.values() for name in names)}.",
        "",
        f"**{mutants:,} mutants, {survivors} live on ({_share(modules):.1%} of those that can be told from the "
        f"original; the promise is under {MOST:.0%}).** {equivalent} more cannot be told apart.",
        "",
        "| module | mutants | live on | cannot be told apart |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| `{m.path}` | {m.mutants} | {len(m.survivors)} | {len(m.equivalent)} |" for m in modules]
    lines += ["", "## Mutants that live on", ""]
    lines += [f"- `{m.path}` {_told(change)}" for m in modules for change in m.survivors] or ["None."]
    lines += ["", "## Mutants that cannot be told apart", ""]
    lines += [f"- `{m.path}` {_told(change)}: {why}" for m in modules for change, why in m.equivalent] or ["None."]
    return "\n".join([*lines, ""])


def _told(change: dict[str, Any]) -> str:
    function, was, now = _key(change)
    return f"`{function}`: `{was}` → `{now}`"
