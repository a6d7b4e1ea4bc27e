"""The Factory's commands: light to start, orderly to stop, and plain in what they print."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from factory.cli import app
from factory.runtime import campaign, processes
from factory.runtime.measures import measures
from shared.core.errors import BadInput, Refused
from shared.trust.attestation import PriorRecord, Promised
from shared.ui.console import Session
from tests.makers import OCCURRENCE, RELEASE, at_work, customers_csv, make_package

HEAVY = ("prefect", "mlflow", "great_expectations", "pandas", "duckdb", "scipy", "pyarrow")


def call(workspace, *arguments):
    """The command's result: what it printed as JSON."""
    result = CliRunner().invoke(app, [*arguments, "--json"], obj=Session(workspace.root))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout), result.exit_code


@pytest.fixture
def released(one_release, tmp_path):
    return at_work(one_release, tmp_path / "workspace")


def test_from_package_to_status_every_command_speaks_json(workspace, tmp_path):
    make_package(workspace)
    assert call(workspace, "admit")[0]["admitted"] == [RELEASE]
    assert call(workspace, "trust", "gate")[0]["changed"] is False
    assert call(workspace, "releases")[0]["releases"][0]["name"] == RELEASE
    ran = call(workspace, "run", RELEASE)[0]
    assert (ran["state"], ran["occurrence"]) == ("done", "2026-02-02T09:00:00Z")
    assert call(workspace, "run", RELEASE, "--occurrence", "2026-02-02T09:00:00Z")[0]["state"] == "repeated"
    shown = call(workspace, "show", RELEASE)[0]
    assert (shown["state"], shown["next"], len(shown["runs"])) == ("live", "2026-02-03T09:00:00Z", 1)
    assert call(workspace, "pause", RELEASE, "--reason", "a typo")[0]["changed"] == [RELEASE]
    assert call(workspace, "resume", RELEASE)[0]["state"] == "live"
    assert call(workspace, "stop-all", "--reason", "complaints")[0]["changed"] == [RELEASE]
    status = call(workspace, "status")[0]
    assert (status["stopped"], status["runs"], status["rows_loaded"]) == ("complaints", {"done": 1}, 200)
    assert call(workspace, "resume", "--all")[0]["changed"] == [RELEASE]
    assert call(workspace, "status")[0]["releases"][0]["next"] == "2026-02-03T09:00:00Z"


@pytest.mark.parametrize("command", ["status", "releases", "log"])
def test_any_next_command_puts_a_run_that_was_killed_on_record(released, monkeypatch, command):
    def killed(*_):
        raise KeyboardInterrupt  # leaves the record as a kill does: no `except Exception` sees it

    with monkeypatch.context() as patch:
        patch.setattr(campaign, "prepare", killed)
        with pytest.raises(KeyboardInterrupt):
            campaign.run_occurrence(released, RELEASE, OCCURRENCE)
    assert measures(released).runs == {"started": 1}
    call(released, command)
    assert measures(released).runs == {"failed": 1}


def test_data_goes_in_and_out(workspace, tmp_path):
    file = customers_csv(tmp_path / "customers.csv", rows=210)
    loaded = call(workspace, "load", "customers", str(file))[0]
    assert (loaded["accepted"], loaded["quarantined"]) == (210, [])
    assert call(workspace, "load", "customers", str(file))[0]["repeated"] is True
    assert call(workspace, "publish")[0]["tables"] == {"customers": 210}
    units, back = tmp_path / "units.csv", tmp_path / "ids.csv"
    assert call(workspace, "pseudonymise", str(file), "--out", str(units))[0]["rows"] == 210
    assert call(workspace, "resolve", str(units), "--out", str(back))[0]["rows"] == 210
    assert back.read_text().splitlines()[1].startswith("c00000,u_")


def test_a_refused_inbox_exits_with_three_and_every_reason(workspace):
    package = make_package(workspace, verdict="refuse", signers=())
    printed, code = call(workspace, "admit")
    assert code == 3
    assert len(printed["refused"][package.name]) == 3


def test_a_refused_run_is_an_error_with_a_remedy(workspace):
    package = make_package(workspace)
    call(workspace, "admit")
    (package / "candidate" / "evidence.json").write_text("{}")
    with pytest.raises(Refused, match=r"evidence\.json: changed"):
        call(workspace, "run", RELEASE)


def test_a_skipped_run_is_refused_and_a_repeated_one_is_not(released):
    call(released, "run", RELEASE)
    repeated, code = call(released, "run", RELEASE, "--occurrence", "2026-02-02T09:00:00Z")
    assert (repeated["state"], code) == ("repeated", 0)
    call(released, "pause", RELEASE, "--reason", "a typo")
    moment = ("--occurrence", "2026-02-01T09:00:00Z")
    skipped, code = call(released, "run", RELEASE, *moment)
    assert (skipped["state"], code) == ("skipped", 3)
    with pytest.raises(Refused, match="paused"):
        CliRunner().invoke(app, ["run", RELEASE, *moment], obj=Session(released.root), catch_exceptions=False)


def test_a_release_shows_what_it_promised_or_that_it_cannot_be_read(workspace):
    said = {"metric": "visit", "estimate": 0.0766, "se": 0.003, "mean": 0.071, "low": 0.065, "high": 0.077}
    prior = {"mean": 0.0, "sd": 0.01, "df": None, "pilots": 0}
    package = make_package(workspace, promised=(Promised(**said, prior=PriorRecord(**prior)),))
    call(workspace, "admit")
    assert call(workspace, "show", RELEASE)[0]["promised"] == [said | {"prior": prior}]
    obj = Session(workspace.root)
    shown = CliRunner().invoke(app, ["show", RELEASE], obj=obj, env={"COLUMNS": "200"}).stdout
    assert (
        "Promised: visit: measured 7.7 points more; expect +7.10 pp after launch [6.50, 7.70], by the default prior."
        in shown
    )
    (package / "attestation.json").write_text("{}")
    assert call(workspace, "show", RELEASE)[0]["promised"] is None
    shown = CliRunner().invoke(app, ["show", RELEASE], obj=obj, env={"COLUMNS": "200"}).stdout
    assert "What it promised cannot be read: its package is missing or damaged." in shown


def test_a_package_without_a_promise_shows_none(released):
    assert call(released, "show", RELEASE)[0]["promised"] == []


def test_people_read_short_times_and_only_a_files_name(released):
    call(released, "run", RELEASE)
    obj = Session(released.root)
    shown = CliRunner().invoke(app, ["show", RELEASE], obj=obj, env={"COLUMNS": "200"}).stdout
    assert "2026-02-02 09:00 UTC" in shown
    assert "20260202T090000Z.jsonl" in shown
    assert "outgoing/" not in shown
    status = CliRunner().invoke(app, ["status"], obj=obj).stdout
    # Of a file, not of mail that anybody got; the header takes two lines.
    assert status.index("messages") < status.index("written") < status.index(RELEASE)
    trusted = CliRunner().invoke(app, ["trust", "gate"], obj=obj).stdout
    assert "compare it with what `promote enrol gate` printed" in trusted


@pytest.mark.parametrize(
    "arguments", [("resume",), ("resume", RELEASE, "--all"), ("run", RELEASE, "--occurrence", "9")]
)
def test_what_cannot_be_meant_is_bad_input(workspace, arguments):
    with pytest.raises(BadInput):
        call(workspace, *arguments)


def test_text_for_people_names_the_next_step(workspace):
    result = CliRunner().invoke(app, ["releases"], obj=Session(workspace.root))
    assert "pilotplant factory admit" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["releases"], ["pause", RELEASE], ["show", RELEASE]])
def test_looking_and_stopping_import_nothing_heavy(released, arguments):
    script = (
        "import sys\nfrom pathlib import Path\nfrom factory.cli import app\nfrom shared.ui.console import Session\n"
        f"app({arguments!r}, obj=Session(Path({str(released.root)!r})), standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip().endswith("[]")


@pytest.mark.check
@pytest.mark.timeout(300)
def test_up_ends_in_order_when_told_and_leaves_what_the_next_one_clears_when_killed(workspace):
    mark = str(workspace.factory / "prefect")
    script = (
        "from pathlib import Path\nfrom factory.cli import app\nfrom shared.ui.console import Session\n"
        f"app(['up', '--port', '0', '--json'], obj=Session(Path({str(workspace.root)!r})))"
    )

    def up():
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if "the Factory is up" in line:
                return process
        raise AssertionError(process.communicate())

    told = up()
    assert len(processes.marked(mark)) >= 2
    told.send_signal(signal.SIGTERM)
    printed, _ = told.communicate(timeout=60)
    assert told.returncode == 0
    assert json.loads(printed)["urls"]["prefect"].startswith("http://127.0.0.1:")
    assert json.loads(printed)["password_file"] == f"{mark}/password"
    assert processes.marked(mark) == []

    killed = up()
    killed.kill()
    killed.communicate(timeout=60)
    time.sleep(1)
    assert processes.marked(mark) != []
    again = up()
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert processes.marked(mark) == []
