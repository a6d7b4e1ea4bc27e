"""What each layer of the box stops alone: the whole catalogue of attacks against none, each, and all of them."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.core.errors import Contained
from shared.sandbox import Limits, query
from shared.sandbox.box import ENVIRONMENT, Box, opened
from tests.shared.sandbox.attacks import ATTACKS, Attack
from tests.shared.sandbox.scene import MARK, VARIABLE, Scene, scene_in

LIMITS = Limits(seconds=3, memory_mb=128, disk_mb=16, rows=100_000)
# An attack that the net has to end is not stopped by its layer: by processor time (`single_layer`), or by the clock.
NET_S = 20
AT_ONCE = 6
LAYERS = {
    "none": "no layer",
    "statements": "statements only",
    "settings": "DuckDB's settings only",
    "kernel": "kernel only",
    "all": "all together",
}
# How DuckDB names its own limits, other than the net's.
OWN_LIMITS = ("128.0 MiB used", "max_temp_directory_size", "temp_directory")
ENDED_BY_LIMIT = {signal.SIGALRM, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGKILL}


def prove() -> tuple[str, bool]:
    pairs = [(layer, attack) for attack in ATTACKS for layer in LAYERS]
    through: dict[str, dict[Attack, list[str]]] = {layer: {} for layer in LAYERS}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (layer, attack), harm in zip(pairs, pool.map(_attack, pairs), strict=True):
            if harm:
                through[layer][attack] = harm
    return _page(through), not through["all"]


def _attack(pair: tuple[str, Attack]) -> list[str]:
    """The harm that an attack did through a layer, in a scene of its own."""
    layer, attack = pair
    with tempfile.TemporaryDirectory() as folder, scene_in(Path(folder) / "scene") as scene:
        return _attack_all(scene, attack) if layer == "all" else _attack_one(scene, attack, layer)


def _attack_all(scene: Scene, attack: Attack) -> list[str]:
    before, said, broke = scene.inventory(), [], []
    for step in attack.steps:
        try:
            options = {"database": scene.pilot, "out": None, "where": "attack", "limits": LIMITS}
            found = query(scene.aimed(step), scene.tables, **options)
            said.append(json.dumps([found.columns, found.rows]))
        except Contained as error:
            said.append(str(error))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it should have been a refusal
            broke.append(f"ended as a defect: {error}")
    return scene.harm(before, "\n".join(said)) + broke


def _attack_one(scene: Scene, attack: Attack, layer: str) -> list[str]:
    before = scene.inventory()
    with opened(scene.pilot.parent) as box:
        mine = shutil.copyfile(scene.pilot, box.own / "sandbox.duckdb")
        job = {
            "layer": layer,
            "steps": [scene.aimed(step) for step in attack.steps],
            "database": str(mine),
            "tables": {name: [str(path)] for name, path in scene.tables.items()},
            "read": [str(path) for path in scene.tables.values()],
            "own": str(box.own),
            "limits": dataclasses.asdict(LIMITS),
            "parent": os.getpid(),
            "repository": f"http://127.0.0.1:{scene.places()['port']}",
        }
        (box.folder / "job").write_text(json.dumps(job))
        exit_code = _child(box, scene, layer)
        said = (box.folder / "answer").read_text(errors="replace")
        left_mb = sum(path.stat().st_size for path in box.own.rglob("*") if path.is_file()) / 2**20
    return scene.harm(before, said) + _exhausted(layer, exit_code, said, left_mb)


def _child(box: Box, scene: Scene, layer: str) -> int | None:
    """The child's exit code, or None if the net had to end it; only the kernel's layer has an empty environment."""
    environment = (
        ENVIRONMENT
        if layer == "kernel"
        else {
            **os.environ,
            VARIABLE: MARK,
            "HOME": str(scene.root / "home"),
        }
    )
    with (
        (box.folder / "job").open("rb") as job,
        (box.folder / "answer").open("wb") as answer,
        (box.folder / "errors").open("wb") as errors,
    ):
        words = [sys.executable, "-I", "-m", "tests.proof.single_layer"]
        child = subprocess.Popen(words, stdin=job, stdout=answer, stderr=errors, env=environment, cwd=box.own)
    try:
        return child.wait(NET_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return None


def _exhausted(layer: str, exit_code: int | None, said: str, left_mb: float) -> list[str]:
    """What the attack took without end: a layer's own limit stops it, the net below all layers only ends it."""
    found = []
    if exit_code is None or (exit_code == -signal.SIGXCPU and layer != "kernel"):
        found.append("ran on")
    elif exit_code != 0 and layer != "kernel":  # SQL in the caller's own process takes the caller down with it
        found.append("brought its process down")
    elif exit_code < 0 and -exit_code not in {*ENDED_BY_LIMIT, signal.SIGABRT, signal.SIGSEGV}:
        found.append(f"ended by signal {-exit_code}")
    out_of_memory = any(word in said for word in ("OutOfMemoryException", "MemoryError", "Out of Memory"))
    own = layer == "kernel" or (layer == "settings" and any(word in said for word in OWN_LIMITS))
    if out_of_memory and not own:
        found.append("took the memory")
    if left_mb > 4 * LIMITS.disk_mb:
        found.append(f"left {left_mb:.0f} MB")
    return found


def _page(through: dict[str, dict[Attack, list[str]]]) -> str:
    sizes = Counter(attack.family for attack in ATTACKS)
    lines = [
        "# Sandbox matrix\n",
        f"`make proof`. {len(ATTACKS)} attacks (`tests/shared/sandbox/attacks.py`), each in a process and a scene of",
        "its own: how many got through, by family and layer. Through is what learned a planted secret, touched a file",
        "outside its folder, reached the parent's answer or a port, brought its process down, or went on taking time,",
        "memory or disk until the net below all layers ended it.\n",
        "- *statements only*: the list of verbs (`statements.admit_sandbox`), in a DuckDB as it comes",
        "- *DuckDB's settings only*: no access to files, a memory limit, the configuration locked (`tables._connect`)",
        "- *kernel only*: a child with an empty environment, Landlock, limits and a timer (`landlock`, `child`)",
        "- *all together*: `sandbox.query`, as `lab sql` calls it\n",
        "| family | attacks | " + " | ".join(LAYERS.values()) + " |",
        "|---|" + "---:|" * (len(LAYERS) + 1),
    ]
    counts = {layer: Counter(attack.family for attack in found) for layer, found in through.items()}
    for family, size in sizes.items():
        numbers = " | ".join(str(counts[layer][family]) for layer in LAYERS)
        lines.append(f"| {family} | {size} | {numbers} |")
    totals = " | ".join(f"**{len(found)}**" for found in through.values())
    lines.append(f"| **all** | **{len(ATTACKS)}** | {totals} |")
    for layer in ("statements", "settings", "kernel"):
        lines.append(f"\nThrough *{LAYERS[layer]}*:\n")
        by_family = defaultdict(list)
        for attack in through[layer]:
            by_family[attack.family].append(attack.name)
        lines += [f"- {family}: {'; '.join(names)}" for family, names in by_family.items()]
    lines += [f"\n**Through all**: {attack.id}: {'; '.join(harm)}" for attack, harm in through["all"].items()]
    return "\n".join(lines) + "\n"
