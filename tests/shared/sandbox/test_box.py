"""The box itself: without its walls it does not open, and whatever happens in it, the caller lives and is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared import sandbox
from shared.core.errors import Contained, PilotPlantError, Undecided
from shared.sandbox import box as box_module
from shared.sandbox import landlock

CALLS = {
    "audience": lambda folder: sandbox.audience("SELECT 1 AS unit", {}, folder / "out", where="x"),
    "query": lambda _: sandbox.query("SELECT 1", {}, database=None, out=None, where="x"),
    "check_audience": lambda _: sandbox.check_audience("SELECT 1 AS unit", [], where="x"),
    "check_template": lambda _: sandbox.check_template("x", "y", [], where="x"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_landlock_nothing_is_run(monkeypatch, tmp_path, call):
    monkeypatch.setattr(landlock, "available", lambda: 0)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child was started"))
    with pytest.raises(Undecided, match="cannot confine") as caught:
        call(tmp_path)
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())


BARE = "from shared.sandbox import landlock; landlock.available = lambda: 0; from shared.sandbox import child; "


def test_where_it_is_accepted_the_rest_of_the_box_stands_and_every_run_says_what_does_not(world, monkeypatch, capsys):
    monkeypatch.setattr(landlock, "available", lambda: 0)
    _instead_of_the_child(monkeypatch, BARE + "child.main()")

    def run(sql):
        options = {"where": "x", "limits": world.tight, "without_landlock": "accept"}
        return sandbox.query(sql, world.tables, database=None, out=None, **options)

    assert run("SELECT count(*) FROM customers").rows == [[100]]
    for sql in ("COPY customers TO 'x.csv'", f"FROM read_text('{world.canary}')", "SELECT sleep_ms(60000)"):
        with pytest.raises(Contained):
            run(sql)
    assert capsys.readouterr().err.count("Not confined by the kernel") == 4


def test_a_child_that_finds_no_landlock_does_nothing_unless_that_is_accepted(world, monkeypatch):
    _instead_of_the_child(monkeypatch, BARE + "child.main()")
    with pytest.raises(PilotPlantError, match="this kernel has no Landlock"):
        CALLS["query"](world.root)


def test_accepting_its_absence_never_switches_landlock_off(world, monkeypatch):
    task = f"child.SQL['query'] = lambda job: {{'rows': open({str(world.canary)!r}).read()}}; child.main()"
    _instead_of_the_child(monkeypatch, f"from shared.sandbox import child; {task}")
    with pytest.raises(PilotPlantError, match="PermissionError"):
        sandbox.query("SELECT 1", {}, database=None, out=None, where="x", without_landlock="accept")


def test_nothing_of_the_environment_enters_the_box(world, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_SECRET", "x")
    with box_module.opened(world.root) as box:
        environment = _in_a_child(box, "import os; print(sorted(os.environ))")
    assert "PILOTPLANT_SECRET" not in environment
    assert "PATH" not in environment


@pytest.mark.parametrize(
    ("signal", "told"),
    [("SIGSEGV", "brought its process down (SIGSEGV)"), ("SIGKILL", "memory"), ("SIGXCPU", "after 30 s")],
)
def test_a_child_that_a_signal_ends_is_contained(world, monkeypatch, signal, told):
    _instead_of_the_child(monkeypatch, f"import os, signal; os.kill(os.getpid(), signal.{signal})")
    with pytest.raises(Contained) as caught:
        CALLS["query"](world.root)
    assert told in caught.value.what


def test_a_child_that_breaks_is_a_defect_of_ours(world, monkeypatch):
    _instead_of_the_child(monkeypatch, "raise RuntimeError('of our own')")
    with pytest.raises(PilotPlantError, match="the box broke: RuntimeError: of our own") as caught:
        CALLS["query"](world.root)
    assert not isinstance(caught.value, Contained)


def test_a_child_that_hangs_is_killed_with_all_its_children(world, monkeypatch):
    monkeypatch.setattr(box_module, "_START_S", 0.5)
    pid_file = world.root / "pid"
    _instead_of_the_child(
        monkeypatch,
        "import pathlib, subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(p.pid)); time.sleep(60)",
    )
    with pytest.raises(Contained, match=r"stopped after 0\.5 s"):
        sandbox.query("SELECT 1", {}, database=None, out=None, where="x", limits=sandbox.Limits(seconds=0.5))
    grandchild = Path(f"/proc/{pid_file.read_text()}/stat")
    for _ in range(50):
        if not grandchild.exists() or grandchild.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the grandchild lives")


def test_a_child_that_talks_without_end_is_not_read_to_the_end(world, monkeypatch):
    monkeypatch.setattr(box_module, "MAX_ANSWER_BYTES", 1_000)
    _instead_of_the_child(monkeypatch, "print('x' * 2_000)")
    with pytest.raises(Contained, match="it returned more than"):
        CALLS["query"](world.root)


def test_an_input_that_changed_under_way_is_told(world, monkeypatch):
    mine = world.root / "mine.parquet"
    mine.write_bytes(world.tables["customers"].read_bytes())
    _instead_of_the_child(monkeypatch, f"open({str(mine)!r}, 'ab').write(b'x')")
    with pytest.raises(Contained, match="an input changed"):
        sandbox.query("SELECT 1", {"mine": mine}, database=None, out=None, where="x")


def test_the_child_ends_with_its_parent(world):
    code = "from shared import sandbox;sandbox.query('SELECT sleep_ms(60000)', {}, database=None, out=None, where='x')"
    parent = subprocess.Popen([sys.executable, "-c", code])
    child = _wait_for(lambda: _sleeping_child_of(parent.pid))
    assert child is not None
    time.sleep(1)  # until it has closed its box
    parent.kill()
    parent.wait()
    assert _wait_for(lambda: not Path(f"/proc/{child}").exists() or _state(child) == "Z")


def test_what_a_child_leaves_is_delivered_only_if_it_is_a_plain_file(world):
    with box_module.opened(world.root) as box:
        (box.own / "link").symlink_to(world.canary)
        os.link(world.canary, box.own / "hard")
        for name in ("link", "hard"):
            with pytest.raises(PilotPlantError, match="no plain file"):
                box.deliver(name, world.root / "out")


def _instead_of_the_child(monkeypatch, code):
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: start([sys.executable, "-c", code], **options))


def _in_a_child(box, code):
    return subprocess.run(
        [sys.executable, "-I", "-c", code], env=box_module.ENVIRONMENT, cwd=box.own, capture_output=True, text=True
    ).stdout


def _sleeping_child_of(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return "Z"


def _wait_for(condition):
    for _ in range(100):
        if found := condition():
            return found
        time.sleep(0.1)
    return None


def test_a_child_brings_along_none_of_the_parents_libraries():
    """It is started for every query: SQLAlchemy and the command line's libraries would triple the time of that."""
    script = "import sys, shared.sandbox.child; print(*sorted({'sqlalchemy', 'typer', 'pydantic'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
