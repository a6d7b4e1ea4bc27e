"""A kill criterion that is met is said first wherever the Lab tells of a pilot."""

from __future__ import annotations

import json
import re

from lab.analysis.analysis import analyse
from lab.intake.intake import record
from lab.launch.launch import launch
from pilotplant.app import _exit_code
from tests.lab_makers import INSIDE, PILOT, draft, results, write_csv

KILL = ("secondary: [conversion]", "secondary: [conversion]\nkill_criteria: [{metric: visit, worse_than: -0.05}]")


def harmed(workspace):
    """Of the letter's units every tenth visits, and every second one of the others."""
    for row in results(workspace):
        number = int(row["event_id"].split("-")[1])
        yield row | {"visit": int(number % (10 if row["arm"] == "letter" else 2) == 0), "conversion": 0, "spend": 1}


def told(workspace, capsys, *words):
    assert _exit_code(["--workspace", str(workspace.root), *words]) == 0
    return capsys.readouterr().out


def test_it_is_said_first_by_each_command(loaded, tmp_path, capsys):
    draft(loaded, PILOT, KILL)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    record(loaded, PILOT, write_csv(tmp_path / "results.csv", list(harmed(loaded))))
    first = " ".join(told(loaded, capsys, "lab", "analyse", PILOT).split())
    # About 0.1 against 0.5, by how the arms were drawn.
    assert re.match(r"Arm letter does harm: kill criterion met: visit -(39|40)\.\d\d pp", first)
    assert "all of it worse than -5.00 pp; close it: pilotplant lab end spring-mail" in first
    page = analyse(loaded, PILOT).report.read_text()
    assert page.index("Arm letter does harm") < page.index("<table")
    assert " ".join(told(loaded, capsys, "lab", "list").split()).startswith(f"{PILOT}: Arm letter does harm")
    shown = told(loaded, capsys, "lab", "show", PILOT).splitlines()
    assert shown[1].startswith("Arm letter does harm: kill criterion met")
    overview = told(loaded, capsys, "status").splitlines()
    assert overview[overview.index("LAB, learning") + 1].strip().startswith(f"{PILOT}: Arm letter does harm")
    [line] = json.loads(told(loaded, capsys, "lab", "list", "--json"))["pilots"]
    assert len(line["health"]["killed"]) == 1
    assert line["health"]["findings"][0] == "kill criterion met on visit"
    assert [one["pilot"] for one in json.loads(told(loaded, capsys, "status", "--json"))["lab"]["killed"]] == [PILOT]
