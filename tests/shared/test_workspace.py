"""Workspaces: made once, live or rehearsal for ever, and found from anywhere inside."""

from __future__ import annotations

import json
import re

import pytest

from shared.core.errors import BadInput, Refused
from shared.experiment.metrics import read_metrics
from shared.state.workspace import MARK, create, find_workspace, open_workspace


@pytest.fixture
def workspace(tmp_path):
    return create(tmp_path / "team", "rehearsal")[0]


@pytest.mark.parametrize("mode", ["live", "rehearsal"])
def test_a_workspace_opens_as_it_was_made(tmp_path, mode):
    made, _ = create(tmp_path / "team", mode)
    assert open_workspace(tmp_path / "team") == made


def test_a_new_workspace_says_that_it_is_new(tmp_path):
    assert create(tmp_path / "team", "live")[1] is True


def test_making_it_again_gives_the_same_one(workspace):
    assert create(workspace.root, "rehearsal") == (workspace, False)


@pytest.mark.parametrize(("one", "other"), [("live", "rehearsal"), ("rehearsal", "live")])
def test_a_workspace_never_changes_its_mode(tmp_path, one, other):
    create(tmp_path / "team", one)
    with pytest.raises(Refused, match=f"this is a {one} workspace"):
        create(tmp_path / "team", other)


@pytest.mark.parametrize("sign", ["[", "*", "?", "\\", "="])
@pytest.mark.parametrize("place", ["{}", "above {}/team", "a{0}1]b{0}c/team"])
def test_a_folder_whose_name_would_be_misread_is_refused_and_not_made(tmp_path, sign, place):
    root = tmp_path / place.format(sign)
    with pytest.raises(BadInput, match=f"the folder has `{re.escape(sign)}` in its name"):
        create(root, "rehearsal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sign", ["[", "*", "?", "\\", "="])
def test_a_workspace_that_was_moved_into_such_a_folder_is_not_opened(workspace, sign):
    moved = workspace.root.rename(workspace.root.with_name(f"team {sign}1]"))
    with pytest.raises(BadInput, match=f"the folder has `{re.escape(sign)}` in its name"):
        open_workspace(moved)


def test_two_workspaces_have_different_ids(tmp_path):
    assert create(tmp_path / "a", "live")[0].id != create(tmp_path / "b", "live")[0].id


def test_an_empty_folder_is_taken(tmp_path):
    assert create(tmp_path, "live")[1] is True


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "novel.txt").write_text("Chapter 1")
    with pytest.raises(BadInput, match="not empty"):
        create(tmp_path, "live")


def test_a_file_is_no_folder_for_a_workspace(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput):
        create(tmp_path / "file", "live")


def test_a_workspace_begins_with_settings_that_can_be_read(workspace):
    assert read_metrics(workspace).metrics


def test_a_workspace_begins_without_code_among_its_settings(workspace):
    assert [path for path in workspace.configs.rglob("*") if path.suffix == ".py" or "__" in path.name] == []


def test_a_workspace_begins_without_trusted_keys(workspace):
    assert list((workspace.configs / "trusted_keys").iterdir()) == []


def test_only_a_rehearsal_has_a_clock_that_can_be_set(tmp_path):
    clocks = [create(tmp_path / mode, mode)[0].clock.offset_file for mode in ("live", "rehearsal")]
    assert [clock is None for clock in clocks] == [True, False]


def test_the_rooms_lie_apart(workspace):
    roots = (workspace.lab, workspace.promotion, workspace.factory)
    assert not any(one.is_relative_to(other) for one in roots for other in roots if one is not other)


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "{}",
        '{"schema_version": 2, "id": "a", "mode": "live", "created": "2026-01-01T00:00:00Z"}',
        '{"schema_version": 1, "id": "a", "mode": "wild", "created": "2026-01-01T00:00:00Z"}',
        '{"schema_version": 1, "id": "a", "mode": ["live"], "created": "2026-01-01T00:00:00Z"}',
        '{"schema_version": 1, "id": "a", "mode": "live", "created": "yesterday"}',
        '{"schema_version": 1, "id": "a", "mode": "live", "created": 1}',
    ],
)  # fmt: skip
def test_a_damaged_mark_is_bad_input(workspace, content):
    (workspace.root / MARK).write_text(content)
    with pytest.raises(BadInput, match="mark is damaged"):
        open_workspace(workspace.root)


def test_a_mark_in_another_encoding_is_bad_input(workspace):
    (workspace.root / MARK).write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="mark is damaged"):
        open_workspace(workspace.root)


@pytest.mark.parametrize("place", ["none", "file"])
def test_where_there_is_no_workspace_it_says_so(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="there is no workspace here"):
        open_workspace(tmp_path / place)


def test_the_mark_says_its_schema_version(workspace):
    assert json.loads((workspace.root / MARK).read_text())["schema_version"] == 1


@pytest.fixture
def unnamed(monkeypatch):
    monkeypatch.delenv("PILOTPLANT_WORKSPACE", raising=False)
    return monkeypatch


def test_a_workspace_is_found_from_deep_inside(workspace, unnamed):
    deep = workspace.pilots / "a" / "b"
    deep.mkdir(parents=True)
    unnamed.chdir(deep)
    assert find_workspace(None) == workspace


def test_a_workspace_is_not_found_from_outside(workspace, unnamed, tmp_path):
    unnamed.chdir(tmp_path)
    with pytest.raises(BadInput, match="there is no workspace here"):
        find_workspace(None)


def test_the_environment_names_a_workspace(workspace, unnamed, tmp_path):
    unnamed.chdir(tmp_path)
    unnamed.setenv("PILOTPLANT_WORKSPACE", str(workspace.root))
    assert find_workspace(None) == workspace


def test_an_option_counts_more_than_the_environment(workspace, unnamed, tmp_path):
    unnamed.setenv("PILOTPLANT_WORKSPACE", str(tmp_path / "none"))
    assert find_workspace(workspace.root) == workspace


def test_a_wrong_name_in_the_environment_never_falls_back_to_the_folder(workspace, unnamed, tmp_path):
    unnamed.chdir(workspace.root)
    unnamed.setenv("PILOTPLANT_WORKSPACE", str(tmp_path / "none"))
    with pytest.raises(BadInput):
        find_workspace(None)
