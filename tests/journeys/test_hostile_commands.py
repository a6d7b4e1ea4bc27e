"""Every command, with hostile words, names, files and numbers: it ends in words and with a code of the contract.

A case is told by its number, from which everything in it follows.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pilotplant import app
from tests.lab_makers import OWNER, PILOT, fingerprint, stage_copy

pytestmark = pytest.mark.check

IN_CI, IN_PROOF = range(300), range(300, 5_000)
# Several cases in one test: a test of its own for each would cost more than the case.
TOGETHER = 25
# What takes long, or goes on until it is stopped, has tests of its own.
LEFT_OUT = {("demo",), ("desk",), ("factory", "up")}
OPTIONS_LEFT_OUT = {"help", "as_json", "watch"}
CODES = {0, 1, 2, 3, 4}
WORDS = (
    "", " ", "-", "--", "-1", "0", "1e999", "nan", "NaN", "inf", "99999999999999999999", "1_000", "0x10", "true",
    "None", "null", "..", "../..", "/", "/etc/passwd", "~", ".", "*", "?", "[", "a" * 300, "ü", "名前", "😀", "\u202e",
    "\u0000", "\n", "\t", "\x1b[31m", "'", '"', "`", "; rm -rf /", "$(id)", "{{ 7*7 }}", "%s%n", "=1+1", "SELECT 1",
    "DROP TABLE x", "2026-13-45", "2026-02-30T25:00:00Z", "2026-01-05", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "infinity", "nobody@example.com", "@", "a@b@c", "sha256:0", "sha256:" + "f" * 64, "con", "nul", "a/b", "a\\b",
    "-rf", "--json", "\ud800",
)  # fmt: skip
GOOD = (PILOT, OWNER, "customers", "outcomes", "letter", "control", "visit", "spend", "10.00", "5", "0.5", "a reason")


class Told:
    """What a command printed, and its code."""

    def __init__(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        self.code = app._exit_code(arguments)
        self.out, self.err = capsys.readouterr()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files that are nobody's idea of input, and some that are."""
    folder = tmp_path_factory.mktemp("files")
    contents: dict[str, bytes] = {
        "empty.csv": b"", "header.csv": b"unit,arm,at,event_id\n", "binary.csv": bytes(range(256)) * 9,
        "latin.csv": "unit;arm\nü;1\n".encode("latin-1"), "utf16.csv": "unit;arm\nü;1\n".encode("utf-16"),
        "crooked.csv": b"a,b\n1\n", "twice.csv": b"a,a\n1,2\n", "units.csv": b"unit\nu_1\n", "x.parquet": b"PAR1PAR1",
        "cut.csv.gz": gzip.compress(b"a,b\n1,2\n" * 999)[:-5], "ids.csv": b"customer_id\nC000001\n",
        "both.csv": b"event_id,unit,arm,exposed_at,at,visit,conversion,spend\ne,u,control,x,y,9,9,-1\n",
        "costs.csv": b"event_id,amount,purpose\nc1,-5,x\n", "deep.yaml": b"[" * 5_000, "list.yaml": b"- 1\n",
        "book.xlsx": b"PK\x03\x04 something", "names.json": b"{}",
        "query.sql": b"SELECT * FROM read_csv('/etc/passwd')",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.csv").mkdir()
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    return [str(path) for path in sorted(folder.iterdir())] + [str(folder / "missing.csv"), "/dev/null", str(folder)]


@pytest.fixture(scope="module")
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return stage_copy(request, tmp_path_factory.mktemp("hostile") / "workspace", "submitted")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words."""
    for name, each in sorted(getattr(command, "commands", {}).items()):
        yield from commands(each, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


EVERY = [(path, command) for path, command in commands(app._command()) if path not in LEFT_OUT]


def case(number: int, files: list[str], folder: Path) -> list[str]:
    """The words of a case: a command with arguments and options, each hostile or good."""
    rng = Random(number)
    path, command = EVERY[number % len(EVERY)]
    said: list[str] = []
    for parameter in command.params:
        named = parameter.param_type_name == "option"
        if named and (parameter.name in OPTIONS_LEFT_OUT or not (parameter.required or rng.random() < 0.3)):
            continue
        if named and parameter.is_flag:
            said.append(rng.choice(parameter.opts))
            continue
        if not named and not parameter.required and rng.random() < 0.4:
            continue
        value = _value(parameter, rng, files, folder)
        said += [f"{parameter.opts[-1]}={value}"] if named else [value]
    return [*path, *said, *(["--json"] if rng.random() < 0.5 else [])]


def _value(parameter: Any, rng: Random, files: list[str], folder: Path) -> str:
    if parameter.bare_type() is Path:
        return rng.choice([*files, str(folder / f"{rng.randrange(9)}.csv"), *(w for w in WORDS if "\0" not in w)])
    return rng.choice([*WORDS, *GOOD, *GOOD])


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(start, marks=[] if start in IN_CI else [pytest.mark.proof])
        for start in range(IN_CI.start, IN_PROOF.stop, TOGETHER)
    ],
)
def test_a_hostile_command_ends_in_words(workspace, files, tmp_path, capsys, monkeypatch, start):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PILOTPLANT_WORKSPACE", str(workspace.root))
    for number in range(start, start + TOGETHER):
        arguments = case(number, files, tmp_path)
        before = fingerprint(workspace.root)
        found = Told(arguments, capsys)
        context = f"case {number}: {arguments}\n{found.code}\n{found.out[-2_000:]}\n{found.err[-4_000:]}"
        assert found.code in CODES - {1}, context
        assert "Traceback" not in found.err + found.out, context
        if "--json" in arguments:
            told = json.loads(found.out)
            assert isinstance(told, dict), context
            assert found.code == 0 or "error" in told or found.code in {3, 4}, context
        elif found.code == 2:
            assert found.err.strip(), context
            assert not found.out.strip(), context
        if found.code == 2:
            assert fingerprint(workspace.root) == before, context
        # What is half written begins with a point; a new workspace has one such file of its own.
        assert [path.name for path in tmp_path.glob(".*") if path.name != ".gitignore"] == [], context
