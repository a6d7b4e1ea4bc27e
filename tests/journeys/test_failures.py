"""A full disk, a read-only mount, damaged and emptied databases: what each command answers, and that a stop holds.

The answers are approved in docs/failures/, of which docs/failures.md is made; `APPROVE=1` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer.main
import yaml

from factory.releases.admission import admit
from factory.runtime.campaign import run_now
from pilotplant.app import _exit_code, app
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import OWNER, PILOT, results, staged, write_csv
from tests.makers import moment
from tests.walls import fill, remount, small_disk

pytestmark = [pytest.mark.check, pytest.mark.timeout(1800)]
ANSWERS = Path(__file__).parents[2] / "docs" / "failures"
RELEASE = f"{PILOT}-letter"
DISK_MB = 48
NEW = "autumn-mail"
# One way to give each command; `{tmp}` is a folder on another disk, `{disk}` the one in question.
COMMANDS: dict[str, list[str]] = {
    "init": ["init", "{disk}/team"],
    "status": [],
    "verify": [],
    "migrate": [],
    "clock": [],
    "demo": ["demo", "--into", "{disk}/demo"],
    "desk": ["--link"],
    "lab new": [NEW, "--no-input"],
    "lab check": [PILOT],
    "lab preview": [PILOT],
    "lab test-send": [PILOT, "--to", OWNER],
    "lab launch": [PILOT],
    "lab amend": [PILOT, "--reason", "the printer was late"],
    "lab assign": [PILOT, "--out", "{tmp}/arms.csv"],
    "lab synthesise": [PILOT],
    "lab record": [PILOT, "{tmp}/results.csv"],
    "lab spend": [PILOT, "1.00", "--for", "stamps"],
    "lab sql": [PILOT, "SELECT count(*) FROM exposures"],
    "lab end": [PILOT, "--reason", "the printer broke"],
    "lab analyse": [PILOT],
    "lab finish": [PILOT],
    "lab rehearse": [PILOT],
    "lab import": ["spring-2025", "{tmp}/finished.csv", "--mapping", "{tmp}/mapping.yaml"],
    "lab submit": [PILOT],
    "lab list": [],
    "lab remind": [],
    "lab show": [PILOT],
    "lab insights": [],
    "lab insight": [PILOT, "--tag", "letters"],
    "lab report": [],
    "lab aa": [PILOT, "--times", "100"],
    "promote enrol": [OWNER, "--rotate"],
    "promote revoke": ["0" * 64, "--reason", "lost"],
    "promote queue": [],
    "promote settle": [],
    "promote remind": [],
    "promote summary": [PILOT],
    "promote check": [PILOT],
    "promote checks": [],
    "promote decide": [PILOT, "stop", "--as", OWNER, "--reason", "nothing in it", "--insight", "letters do it"],
    "promote countersign": [],
    "promote waive": [
        PILOT,
        "sample_planned",
        "--as",
        OWNER,
        "--reason",
        "the sample is large enough for this",
        "--until",
        "2026-03-01",
    ],
    "promote sign": ["{tmp}/prepared.json", "{tmp}/answer.json"],
    "promote portfolio": [],
    "promote correct-clock": ["--as", OWNER, "--reason", "the battery was empty"],
    "promote log": [],
    "promote audit": ["--as-of", "2026-02-02"],
    "promote checkpoint": ["--out", "{tmp}/checkpoint.json"],
    "promote export": [PILOT, "--out", "{tmp}/export"],
    "promote verify": [],
    "factory contract": ["people", "{tmp}/customers.csv"],
    "factory load": ["customers", "{tmp}/customers.csv"],
    "factory drop": ["customers"],
    "factory tables": [],
    "factory publish": [],
    "factory prune": [],
    "factory pseudonymise": ["{tmp}/customers.csv", "--out", "{tmp}/units.csv"],
    "factory resolve": ["{tmp}/units.csv", "--out", "{tmp}/addressed.csv"],
    "factory messages": [PILOT, "--out", "{tmp}/messages.csv"],
    "factory enrol": [],
    "factory preflight": [PILOT],
    "factory trust": ["gate"],
    "factory admit": [],
    "factory up": ["--once", "--port", "0", "--wait", "1"],
    "factory releases": [],
    "factory show": [RELEASE],
    "factory run": [RELEASE],
    "factory pause": [RELEASE],
    "factory resume": [RELEASE],
    "factory stop-all": [],
    "factory log": [],
    "factory status": [],
}
# What works in no workspace: a server's database, and a new folder, which a damaged workspace beside it does not touch.
# What `doctor` says is of the machine that it runs on: tests/pilotplant/test_doctor.py.
ELSEWHERE = {"init-database", "doctor"}
NEW_FOLDERS = {"init", "demo"}
# A permit is all that these take away, which needs no room and no database.
STOPS = {"factory stop-all", "factory pause"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A rehearsal whose pilot was decided and admitted; its release is due."""
    root = tmp_path_factory.mktemp("failures") / "workspace"
    shutil.copytree(staged(tmp_path_factory.getbasetemp(), "submitted").root, root)
    workspace = open_workspace(root)
    decide(workspace, PILOT, Asked("scale", OWNER, "letters bring people back", "letter"))
    assert admit(workspace).admitted == (RELEASE,)
    workspace.clock.set(moment("2026-02-02 09:10"))
    return workspace


@pytest.fixture
def disk(template, tmp_path):
    """The same on a small disk of its own."""
    with small_disk(tmp_path / "disk", DISK_MB) as folder:
        shutil.copytree(template.root, folder / "workspace")
        yield folder


def databases(workspace):
    names = ("lab/lab.db", "lab/mlflow.db", "promotion/promotion.db", "factory/factory.db", "factory/warehouse.duckdb")
    return [workspace.root / "var" / name for name in names]


@contextmanager
def full(workspace: Workspace) -> Iterator[None]:
    ballast = fill(workspace.root.parent)
    yield
    ballast.unlink()


@contextmanager
def read_only(workspace: Workspace) -> Iterator[None]:
    remount(workspace.root.parent, writable=False)
    yield
    remount(workspace.root.parent, writable=True)


@contextmanager
def replaced(workspace: Workspace, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Every database with another content, and afterwards as it was, as from a backup."""
    before = {path: path.read_bytes() for path in databases(workspace)}
    for path, content in before.items():
        path.write_bytes(change(content))
    yield
    for path, content in before.items():
        for beside in path.parent.glob(f"{path.name}?*"):
            beside.unlink()
        path.write_bytes(content)


def damaged(workspace: Workspace):
    """All but the first page of each is noise."""
    return replaced(workspace, lambda content: content[:4096] + b"\xa5" * (len(content) - 4096))


def emptied(workspace: Workspace):
    """Each is there, with nothing in it."""
    return replaced(workspace, lambda _: b"")


CONDITIONS = {"full": full, "read-only": read_only, "damaged": damaged, "emptied": emptied}


def answer(capsys, workspace: Workspace, tmp: Path, name: str) -> tuple[int, str]:
    """A command's exit code, and the first words of what is wrong."""
    words = [word.format(tmp=tmp, disk=workspace.root.parent) for word in COMMANDS[name]]
    given = words if name in NEW_FOLDERS else ["--workspace", str(workspace.root), *name.split(), *words]
    capsys.readouterr()
    code = _exit_code([*given, "--json"])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err, printed.err
    try:
        found = json.loads(printed.out)
    except ValueError:
        raise AssertionError((name, code, printed.out[:200], printed.err[-400:])) from None
    said = (found.get("error") or {}).get("what")
    if said is None and code:
        said = next(iter([*found.get("problems", []), *found.get("unread", [])]), None) or found.get("verdict") or ""
    if said is None:
        said = found["message"] if name in STOPS else "as ever"
    return code, _plain(str(said), workspace, tmp)


def _plain(said: str, workspace: Workspace, tmp: Path) -> str:
    for place, word in ((workspace.root, "WORKSPACE"), (workspace.root.parent, "DISK"), (tmp, "FOLDER")):
        said = said.replace(str(place), word)
    said = re.sub(r"[0-9a-f]{12,64}|\d{4}-\d\d-\d\dT[\d:.]+Z", "…", said.split("\n")[0])
    return said if len(said) <= 110 else said[:110].rsplit(" ", 1)[0] + " …"


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_command_names_what_is_wrong_and_calls_nothing_else_so(disk, tmp_path, capsys, condition):
    workspace = open_workspace(disk / "workspace")
    tmp = tmp_path / "elsewhere"
    tmp.mkdir()
    write_csv(tmp / "results.csv", results(workspace))
    lines = staged(tmp_path.parent, "loaded").root.with_name("customers.csv").read_text().splitlines()
    (tmp / "customers.csv").write_text("\n".join(lines[:-1]) + "\n")  # one customer is gone since the last load
    (tmp / "units.csv").write_text("unit\n")
    (tmp / "finished.csv").write_text("arm,units,visits\nA,100,20\nB,100,30\n")
    (tmp / "mapping.yaml").write_text(
        "{schema_version: 1, rows: arms, arm: arm, "
        "metrics: {visit: {metric: visit, arm: {units: units, count: visits}}}}\n"
    )
    asked_for = {"word": "stop", "who": OWNER, "reason": "nothing in it", "insight": "letters do it"}
    prepared = {"schema_version": 1, "kind": "proposal", "name": PILOT, "wanted": asked_for, "statement": {}}
    (tmp / "prepared.json").write_text(json.dumps(prepared))
    (tmp / "answer.json").write_text("{}")
    asked = [name for name in COMMANDS if condition in {"full", "read-only"} or name not in NEW_FOLDERS]
    # What stops is asked last: nothing runs after it.
    with CONDITIONS[condition](workspace):
        answers = {name: answer(capsys, workspace, tmp, name) for name in sorted(asked, key=lambda name: name in STOPS)}
    for name, (code, said) in answers.items():
        assert code != 1, (name, said)
        assert "defect" not in said, (name, said)
        if condition != "damaged":
            assert "damaged" not in said, (name, said)
        if condition != "emptied":
            assert "emptied" not in said, (name, said)
    assert not list((workspace.factory / "outgoing").rglob("*.jsonl"))
    file = ANSWERS / f"{condition}.yaml"
    lines = {name: f"{code} {said}" for name, (code, said) in answers.items()}
    if os.environ.get("APPROVE"):
        file.write_text(yaml.safe_dump(lines, sort_keys=False, width=200, allow_unicode=True))
    assert lines == yaml.safe_load(file.read_text())


def test_every_command_is_asked():
    def names(command, path=()):
        children = getattr(command, "commands", {})
        return [name for key, child in children.items() for name in names(child, (*path, key))] or [" ".join(path)]

    assert set(names(typer.main.get_command(app))) == set(COMMANDS) | ELSEWHERE


def at_the_factory(disk):
    """The workspace, a command of its Factory (its exit code), and the files that were sent."""
    workspace = open_workspace(disk / "workspace")

    def call(*words):
        return _exit_code(["--workspace", str(workspace.root), "factory", *words])

    def sent():
        return list((workspace.factory / "outgoing").rglob("*.jsonl"))

    return workspace, call, sent


@pytest.mark.parametrize("condition", CONDITIONS)
def test_after_stop_all_no_run_sends_anything_whatever_is_wrong(disk, capsys, condition):
    workspace, call, sent = at_the_factory(disk)
    with CONDITIONS[condition](workspace):
        stopped = call("stop-all", "--reason", "complaints")
        said = " ".join(capsys.readouterr().out.split())
        assert call("run", RELEASE) in {3, 4}
        assert sent() == []
    if condition == "read-only":
        # Neither permit nor record could be changed, which is no stop, and is not said to be one.
        assert stopped == 4
        return
    assert stopped == 0
    assert "This could not be recorded" in said
    # The disk has room again, the databases came from a backup of before the stop: it holds, and is on record.
    assert call("run", RELEASE) == 3
    assert sent() == []
    assert call("status") == 0
    assert "everything is stopped since" in capsys.readouterr().out
    assert call("resume", "--all") == 0
    assert call("run", RELEASE) == 0
    assert len(sent()) == 1


@pytest.mark.parametrize("condition", CONDITIONS)
def test_after_a_pause_the_release_does_not_run_whatever_is_wrong(disk, capsys, condition):
    workspace, call, sent = at_the_factory(disk)
    with CONDITIONS[condition](workspace):
        paused = call("pause", RELEASE, "--reason", "a typo")
        said = " ".join(capsys.readouterr().out.split())
        assert call("run", RELEASE) in {3, 4}
        assert sent() == []
    if condition == "read-only":
        assert paused == 4
        return
    assert paused == 0
    assert "This could not be recorded" in said
    assert call("run", RELEASE) == 3
    assert sent() == []
    capsys.readouterr()
    assert call("releases", "--json") == 0
    assert [one["state"] for one in json.loads(capsys.readouterr().out)["releases"]] == ["paused"]
    assert call("resume", RELEASE) == 0
    assert call("run", RELEASE) == 0
    assert len(sent()) == 1


@pytest.mark.parametrize("condition", ["full", "read-only"])
def test_nothing_is_sent_where_nothing_can_be_written_though_nobody_stopped_it(disk, capsys, condition):
    workspace = open_workspace(disk / "workspace")
    with CONDITIONS[condition](workspace):
        assert _exit_code(["--workspace", str(workspace.root), "factory", "run", RELEASE]) == 4
        assert not list((workspace.factory / "outgoing").rglob("*"))
    assert run_now(workspace, RELEASE).state == "done"
