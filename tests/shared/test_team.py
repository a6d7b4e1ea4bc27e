"""The team's zone: people read times in it, and scripts in UTC."""

import json

import pytest
import yaml

from lab.charters.drafts import new
from lab.pilots.promise import read_charter
from pilotplant.app import _exit_code
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput
from shared.state.team import read_team
from tests.lab_makers import stage_copy


@pytest.fixture
def workspace(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "launched")


def zoned(workspace, zone):
    (workspace.configs / "team.yaml").write_text(f"schema_version: 1\ntimezone: {zone}\n")


def said(workspace, capsys, *words):
    capsys.readouterr()
    assert _exit_code(["--workspace", str(workspace.root), *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("zone", "told"), [("Europe/Berlin", "2026-01-19 01:00 CET"), ("America/New_York", "2026-01-18 19:00 EST")]
)
def test_people_read_times_in_the_teams_zone(workspace, capsys, zone, told):
    zoned(workspace, zone)
    assert f"Ends {told}" in said(workspace, capsys, "lab", "show", "spring-mail")


def test_without_one_it_is_utc_also_in_a_workspace_of_an_earlier_build(workspace, capsys):
    assert "Ends 2026-01-19 00:00 UTC" in said(workspace, capsys, "lab", "show", "spring-mail")
    (workspace.configs / "team.yaml").unlink()
    assert "Ends 2026-01-19 00:00 UTC" in said(workspace, capsys, "lab", "show", "spring-mail")


def test_scripts_read_utc(workspace, capsys):
    zoned(workspace, "Asia/Tokyo")
    found = json.loads(said(workspace, capsys, "lab", "show", "spring-mail", "--json"))
    assert found["ends"] == "2026-01-19T00:00:00Z"
    assert parse_rfc3339(found["ends"])


def test_a_draft_begins_its_days_there(workspace):
    zoned(workspace, "Asia/Tokyo")
    new(workspace, "autumn-mail")
    charter = read_charter(workspace, "autumn-mail")
    assert (charter.time_box.timezone, charter.play("email").schedule.timezone) == ("Asia/Tokyo", "Asia/Tokyo")


def test_a_zone_that_is_none_is_named_and_keeps_nobody_from_looking(workspace, capsys):
    zoned(workspace, "Mars/Olympus")
    with pytest.raises(BadInput, match="Mars/Olympus"):
        read_team(workspace)
    assert "Ends 2026-01-19 00:00 UTC" in said(workspace, capsys, "lab", "show", "spring-mail")


def test_a_new_workspace_says_how_it_is_set(workspace):
    text = (workspace.configs / "team.yaml").read_text()
    assert yaml.safe_load(text) == {"schema_version": 1}
    assert "#timezone: Europe/Berlin" in text
