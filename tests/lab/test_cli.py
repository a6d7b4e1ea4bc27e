"""The Lab's commands for people: what must be known stands where it is read."""

from __future__ import annotations

import json
import re

import pytest

from lab.intake.intake import record
from lab.pilots.promise import read_charter
from pilotplant import app
from tests.lab_makers import (
    AFTER,
    CARD,
    INSIDE,
    OWNER,
    PILOT,
    REASON,
    STARTS,
    draft,
    exposures_only,
    results,
    write_csv,
)


@pytest.fixture
def told(capsys):
    """Runs a command that goes well; returns what it says to people."""

    def run(workspace, *arguments):
        capsys.readouterr()
        assert app._exit_code(["--workspace", str(workspace.root), *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_check_and_launch_say_whom_it_reaches_and_until_when_to_record(loaded, told):
    draft(loaded, PILOT, (CARD, ""))
    assert "Audience of `letter` today: 300 customers" in told(loaded, "lab", "check", PILOT)
    said = told(loaded, "lab", "launch", PILOT)
    assert "Record everything before 2026-01-19 00:00 UTC: later files are refused." in said
    assert f"pilotplant lab assign {PILOT} --out {PILOT}-arms.csv" in said


def test_where_another_system_draws_it_is_told_whom_it_may_expose(loaded, told):
    told(loaded, "lab", "new", "web-test", "--assignment", "source", "--units-per-arm", "100")
    charter = read_charter(loaded, "web-test")
    # The mail's draft would bound who takes part; here that is up to the other system.
    assert (charter.assignment, charter.sample.attrition) == ("source", None)
    draft(loaded, PILOT, (CARD, ""), ("assignment: pilotplant", "assignment: source"))
    said = told(loaded, "lab", "launch", PILOT)
    assert f"Next: pilotplant lab assign {PILOT} --out {PILOT}-units.csv: whom the other system may expose" in said


def test_a_bound_on_who_takes_part_is_refused_where_another_system_says_who(loaded, capsys):
    words = ["lab", "new", "web-test", "--assignment", "source", "--units-per-arm", "100", "--attrition", "0.1"]
    assert app._exit_code(["--workspace", str(loaded.root), *words]) == 2
    assert "with `--assignment source` another system gives them" in capsys.readouterr().err
    assert not (loaded.pilots / "web-test").exists()


def test_arms_are_written_to_a_file_that_names_the_pilot(launched, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told(launched, "lab", "assign", PILOT)
    assert (tmp_path / f"{PILOT}-arms.csv").read_text().startswith("unit,arm\n")


def test_what_an_analysis_warns_of_in_one_arm_names_it(launched, told, tmp_path):
    """Of the card's 182 units all visit but every tenth, of the control's 222 every tenth alone: 163/182 - 23/222."""
    launched.clock.set(INSIDE)
    rows = [line | {"visit": 1 - line["visit"]} if line["arm"] == "card" else line for line in results(launched)]
    record(launched, PILOT, write_csv(tmp_path / "rows.csv", rows))
    launched.clock.set(AFTER)
    said = " ".join(told(launched, "lab", "analyse", PILOT).split())
    warning = "the effect on visit is 15.8 times the one worth scaling; look for a mistake in the data first (card)"
    assert f"Look at this: {warning}" in said
    assert "(letter)" not in said
    [page] = (launched.lab / "pilots" / PILOT / "analyses").glob("*/report.html")
    assert f"</b> Look at this: {warning}" in page.read_text()


def test_warnings_stand_before_the_numbers(launched, told, tmp_path):
    launched.clock.set(STARTS.replace(day=8, hour=12))
    rows = exposures_only(results(launched))
    # Of the control only every second unit was reported.
    kept = [line for n, line in enumerate(rows) if line["arm"] != "control" or n % 2]
    record(launched, PILOT, write_csv(tmp_path / "rows.csv", kept))
    told(launched, "lab", "end", PILOT, "--reason", "the printer broke")
    said = told(launched, "lab", "analyse", PILOT)
    closed = "Closed early on 2026-01-08, after 3 of 14 days: these numbers cannot lead to *scale*."
    assert said.index("Do not trust these effects: ") < said.index(closed) < said.index("difference [95 %]")


def test_the_list_shows_exposures_as_such_and_addresses_in_full(submitted, told):
    submitted.clock.set(AFTER)
    header, line, move, *_ = told(submitted, "lab", "list").splitlines()
    assert header.split()[-3:] == ["budget", "left", "health"]
    assert "exposures" in header
    assert "600" in line.split()
    assert OWNER in move


def test_an_amendment_says_what_changed_and_the_pilot_shows_it_ever_after(launched, told):
    draft(launched, PILOT, ("minimum_effect: 0.05", "minimum_effect: 0.04"))
    amending = ("lab", "amend", PILOT, "--reason", REASON)
    assert "could be amended like this; nothing was done" in told(launched, *amending, "--dry-run")
    said = told(launched, *amending)
    assert "  primary.minimum_effect: 0.05 -> 0.04" in said
    assert "(version 2)" in said
    assert "lab assign" not in said  # who gets which arm has not changed
    assert "says what is in force already; nothing was done" in told(launched, *amending)
    shown = told(launched, "lab", "show", PILOT)
    assert re.search(r"Version 2, of 2026-01-04 12:\d\d UTC, changed primary\.minimum_effect", " ".join(shown.split()))
    assert REASON in shown
    found = json.loads(told(launched, *amending, "--json"))
    assert (found["version"], found["changes"], found["repeated"], found["dry_run"]) == (2, [], True, False)
    shown = json.loads(told(launched, "lab", "show", PILOT, "--json"))
    assert (shown["version"], shown["digest"]) == (2, found["digest"])
    assert [change["path"] for change in shown["amendments"][0]["changes"]] == ["primary.minimum_effect"]


def test_an_amendment_of_the_arms_is_refused_since_they_were_drawn(launched, capsys):
    draft(launched, PILOT, ("  - name: control\n", "  - {name: control, weight: 2}\n"))
    assert app._exit_code(["--workspace", str(launched.root), "lab", "amend", PILOT, "--reason", REASON]) == 3
    assert "who gets which arm was drawn at the launch" in " ".join(capsys.readouterr().err.split())


def test_a_refused_amendment_ends_with_three_and_one_without_a_reason_with_two(launched, capsys):
    draft(launched, PILOT, ("currency: USD", "currency: EUR"))
    place = ["--workspace", str(launched.root)]
    assert app._exit_code([*place, "lab", "amend", PILOT, "--reason", REASON]) == 3
    assert "budget.currency" in capsys.readouterr().err
    assert app._exit_code([*place, "lab", "amend", PILOT, "--reason", "x"]) == 2
    assert app._exit_code([*place, "lab", "amend", PILOT]) == 2


def test_a_preview_shows_words_and_says_whose_they_are(loaded, told):
    draft(loaded, PILOT, (CARD, ""))
    said = told(loaded, "lab", "preview", PILOT)
    assert "For our Rural customers" in said
    assert "Dear customer from a Rural place." in said
    assert f"pilotplant lab test-send {PILOT} --arm letter --to YOU" in said


def test_a_test_mail_without_a_server_names_the_setting(loaded, capsys):
    command = ["lab", "test-send", PILOT, "--arm", "letter", "--to", OWNER, "--json"]
    assert app._exit_code(["--workspace", str(loaded.root), *command]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "configs/lab.yaml, `smtp`"


def test_a_draft_takes_a_flag_for_each_of_its_few_questions(loaded, told):
    options = ["--because", "it: #was", "--believe", "b", "--will", "c", "--metric", "conversion", "--weeks", "3"]
    options += ["--minimum-effect", "0.02", "--units-per-arm", "50", "--media", "12.50", "--owner", OWNER]
    told(loaded, "lab", "new", "autumn", "--template", "journey", *options, "--requester", "requester@example.com")
    charter = read_charter(loaded, "autumn")
    assert (charter.hypothesis.because, charter.primary.metric) == ("it: #was", "conversion")
    assert (charter.primary.minimum_effect, charter.sample.units_per_arm) == (0.02, 50)
    assert (str(charter.budget.media), (charter.time_box.end - charter.time_box.start).days) == ("12.50", 21)
