"""How the demo speaks of its folders."""

import json
from pathlib import Path

from pilotplant.demo.shop import Shop
from pilotplant.demo.story import ScheduledRun, Stage, _ended, _from_here
from shared.core.jsonable import jsonable


def test_a_folder_below_is_named_from_here_and_another_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _from_here(tmp_path / "demo" / "rehearsal") == Path("demo/rehearsal")
    assert _from_here(tmp_path.parent / "elsewhere") == tmp_path.parent / "elsewhere"


def test_a_command_is_shown_with_short_paths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen = []
    stage = Stage(Path("demo"), Shop(None, None), seen.append, quiet=False)
    stage.run("factory", "load", "customers", tmp_path / "demo" / "inputs" / "customers.csv")
    assert seen == [
        ["--workspace", "demo/rehearsal", "factory", "load", "customers", "demo/inputs/customers.csv"],
    ]
    assert str(tmp_path) not in capsys.readouterr().out


def test_for_scripts_the_paths_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = Stage(Path("demo"), Shop(None, None), [].append, quiet=True)
    run = ScheduledRun("spring-mail-mens", "Completed", None, auto_scheduled=True)
    ending = jsonable(_ended(stage, (), Path("demo/report.html"), run, (), 1.0))
    assert json.loads(json.dumps(ending))["workspace"] == str(tmp_path / "demo" / "rehearsal")
    assert ending["urls"]["report"] == str(tmp_path / "demo" / "report.html")


def test_it_ends_with_the_desks_address_and_how_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = Stage(Path("demo"), Shop(None, None), [].append, quiet=True)
    run = ScheduledRun("spring-mail-mens", "Completed", None, auto_scheduled=True)
    where, how = _ended(stage, (), Path("demo/report.html"), run, (), 1.0).lines()[-2:]
    assert "http://localhost:8700" in where
    assert "--workspace demo/rehearsal desk" in how
