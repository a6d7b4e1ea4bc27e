"""The sandbox: SQL over the snapshot and the pilot's records, and over nothing else."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from lab.charters.drafts import check
from lab.sandbox.sandbox import run_sql, run_sql_file
from lab.state import open_lab
from pilotplant.app import _exit_code
from shared.core import stamps
from shared.core.errors import BadInput, Contained, Refused, Undecided
from shared.data.snapshot import latest_snapshot
from shared.sandbox import landlock
from tests.lab_makers import PILOT, by_arm
from tests.makers import copy_of


def test_snapshot_and_records_are_tables(recorded):
    found = run_sql(
        recorded,
        PILOT,
        "SELECT e.arm, count(*) AS n, CAST(sum(o.visit) AS INTEGER) AS visits FROM exposures e "
        "JOIN outcomes o USING (unit) JOIN customers c ON c.customer_id = e.unit GROUP BY ALL ORDER BY 1",
    )
    sizes = {arm: len(members) for arm, members in by_arm(recorded).items()}
    # Every second unit of the letter visits, and every tenth of the others, counted from the first.
    visits = {arm: -(-size // (2 if arm == "letter" else 10)) for arm, size in sizes.items()}
    assert found.columns == ["arm", "n", "visits"]
    assert found.rows == [[arm, sizes[arm], visits[arm]] for arm in ("card", "control", "letter")]


def test_before_anything_is_recorded_there_is_the_snapshot(launched):
    assert run_sql(launched, PILOT, "SELECT count(*) FROM customers").rows == [[600]]


def test_a_personal_column_is_not_there(recorded):
    with pytest.raises(Contained, match="email"):
        run_sql(recorded, PILOT, "SELECT email FROM customers")


def test_what_a_pilot_makes_stays_in_its_own_database(recorded):
    run_sql(recorded, PILOT, "CREATE TABLE loyal AS SELECT customer_id FROM customers WHERE recency = 1")
    assert run_sql(recorded, PILOT, "SELECT count(*) FROM loyal").rows == [[50]]


def test_all_rows_go_to_a_file(recorded, tmp_path):
    out = tmp_path / "recency.csv"
    found = run_sql(recorded, PILOT, "SELECT recency, count(*) AS n FROM customers GROUP BY 1 ORDER BY 1", out)
    with out.open() as stream:
        assert list(csv.reader(stream)) == [["recency", "n"], *([str(month), "50"] for month in range(1, 13))]
    assert found.total == 12


def test_files_of_the_machine_are_out_of_reach(recorded):
    with pytest.raises(Contained):
        run_sql(recorded, PILOT, f"SELECT * FROM read_text('{recorded.root}/workspace.json')")


def test_a_pilot_that_does_not_exist_has_no_sandbox(recorded):
    with pytest.raises(BadInput, match="there is no pilot autumn-mail"):
        run_sql(recorded, "autumn-mail", "SELECT 1")


def pilot_file(workspace, name, text):
    path = workspace.pilots / PILOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_sql_file_of_the_pilot_runs(launched):
    pilot_file(launched, "sql/counts.sql", "-- how many\nSELECT count(*) AS n\nFROM customers;\n")
    assert run_sql_file(launched, PILOT, Path("sql/counts.sql")).rows == [[600]]


def test_an_error_in_a_sql_file_names_file_and_line(launched):
    pilot_file(launched, "counts.sql", "SELECT 1;\n\nSELECT *\nFROM nowhere, customers\nWHERE email = 'x'")
    with pytest.raises(Contained) as caught:
        run_sql_file(launched, PILOT, Path("counts.sql"))
    assert caught.value.where == f"pilots/{PILOT}/counts.sql, line 4"


@pytest.mark.parametrize("name", ["nowhere.sql", "../../workspace.json", "message.txt", "/etc/passwd", "link.sql"])
def test_only_a_sql_file_in_the_pilots_folder_is_run(launched, tmp_path, name):
    outside = tmp_path / "outside.sql"
    outside.write_text("SELECT 1")
    (launched.pilots / PILOT / "link.sql").symlink_to(outside)
    (launched.pilots / PILOT / "audience.sql").touch()
    with pytest.raises(BadInput) as caught:
        run_sql_file(launched, PILOT, Path(name))
    assert caught.value.expected == "a .sql file of the pilot's folder; there: audience.sql, link.sql"


def test_query_or_file_and_never_both(launched, capsys):
    start = ["--workspace", str(launched.root), "lab", "sql", PILOT]
    assert _exit_code(start) == 2
    assert _exit_code([*start, "SELECT 1", "--file", "audience.sql"]) == 2
    assert capsys.readouterr().err.count("either QUERY or --file") == 2
    assert _exit_code([*start, "--file", "audience.sql", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 300  # half of 600 customers bought within six months


def with_settings(workspace, text):
    path = workspace.configs / "lab.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("sandbox:")]
    path.write_text("\n".join([*lines, f"sandbox: {text}", ""]))


def test_the_limits_are_the_labs_own(launched):
    with_settings(launched, "{seconds: 0.5, rows: 10}")
    with pytest.raises(Contained, match=r"stopped after 0\.5 s") as caught:
        run_sql(launched, PILOT, "SELECT sleep_ms(60000)")
    assert caught.value.remedy == "make it ask for less, or have `sandbox` in configs/lab.yaml raised"
    with pytest.raises(Contained, match="more than 10 rows"):
        run_sql(launched, PILOT, "SELECT * FROM customers")


def test_a_pilots_database_has_a_quota(launched):
    with_settings(launched, "{disk_mb: 1}")
    run_sql(launched, PILOT, "CREATE TABLE kept AS SELECT 7 AS i")
    with pytest.raises(Contained, match="its quota is 1 MB"):
        run_sql(launched, PILOT, "CREATE TABLE much AS SELECT md5(i::VARCHAR) AS x FROM range(60_000) t(i)")
    assert run_sql(launched, PILOT, "FROM kept").rows == [[7]]


def test_a_snapshot_that_was_changed_is_found_before_and_afterwards(launched, monkeypatch):
    path = latest_snapshot(launched).table("customers")
    content = path.read_bytes()
    start = subprocess.Popen

    def change(*arguments, **options):
        path.write_bytes(content[:-1])
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", change)
    with pytest.raises(Contained, match="an input changed"):
        run_sql(launched, PILOT, "SELECT 1")
    monkeypatch.undo()
    with pytest.raises(Refused, match="was changed after it was published"):
        run_sql(launched, PILOT, "SELECT 1")
    path.write_bytes(content)
    assert run_sql(launched, PILOT, "SELECT count(*) FROM customers").rows == [[600]]


def test_a_known_snapshot_is_opened_by_its_stamp_and_a_changed_one_never(launched, on_disk, monkeypatch):
    monkeypatch.setattr(stamps, "SETTLED_NS", 20_000_000)
    launched = copy_of(launched, on_disk / "workspace")
    path = latest_snapshot(launched).table("customers")
    if not stamps._stamps_every_change(path):
        pytest.skip("this filesystem is not among those whose stamps are relied upon")
    time.sleep(0.05)
    run_sql(launched, PILOT, "SELECT 1")
    (kept,) = (launched.lab / "stamps").iterdir()
    assert json.loads(kept.read_text())["stamp"] == list(stamps.stamp_of(path))
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Refused, match="was changed after it was published"):
        run_sql(launched, PILOT, "SELECT 1")


def test_without_landlock_the_sandbox_refuses_unless_the_lab_accepts_it(launched, monkeypatch, capsys):
    monkeypatch.setattr(landlock, "available", lambda: 0)
    words = ["--workspace", str(launched.root), "lab", "sql", PILOT, "SELECT count(*) FROM customers"]
    assert _exit_code(words) == 4
    assert "cannot confine SQL" in capsys.readouterr().err
    with_settings(launched, "{without_landlock: accept}")
    assert _exit_code([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"] == [[600]]
    assert "Not confined by the kernel" in said.err


def test_without_landlock_no_draft_is_judged_fit_to_launch(loaded, monkeypatch):
    monkeypatch.setattr(landlock, "available", lambda: 0)
    assert {type(problem) for problem in check(loaded, PILOT).problems} == {Undecided}
    with_settings(loaded, "{without_landlock: accept}")
    assert check(loaded, PILOT).problems == []


@pytest.mark.parametrize("out", ["nul", "rows.xlsx", "no-folder/rows.csv"])
def test_where_rows_cannot_be_written_no_look_is_put_on_record(recorded, tmp_path, out):
    before = len(open_lab(recorded).entries(PILOT))
    with pytest.raises(BadInput):
        run_sql(recorded, PILOT, "SELECT * FROM outcomes", tmp_path / out)
    assert len(open_lab(recorded).entries(PILOT)) == before
