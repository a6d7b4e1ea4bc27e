"""Another account of this machine reads and writes nothing of a workspace, whatever the umask was."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from factory.releases.admission import admit
from factory.runtime.campaign import run_now
from pilotplant.app import _exit_code
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.files import scratch_in, settle
from shared.state.access import PUBLISHED, SPOOLS, close
from shared.state.workspace import create, open_workspace
from tests.lab_makers import OWNER, PILOT, stage_copy, staged
from tests.makers import moment
from tests.walls import require_setpriv

pytestmark = pytest.mark.check

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
# Really tried, not only asked for: reading, writing at the end, listing, and adding a file.
TRY = """
while IFS= read -r path; do
  if [ -d "$path" ]; then
    ls "$path" >/dev/null 2>&1 && echo "listed $path"
    true 2>/dev/null >"$path/stranger" && echo "added to $path"
  else
    cat "$path" >/dev/null 2>&1 && echo "read $path"
    true 2>/dev/null >>"$path" && echo "wrote $path"
  fi
done
exit 0
"""


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def public():
    """A folder that every account of the machine can enter; pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="pilotplant-access-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def everything(root):
    return [root, *root.rglob("*")]


def reached(paths, *, account=NOBODY):
    """What another account could do."""
    given = "".join(f"{path}\n" for path in paths)
    ended = subprocess.run([*account, "sh", "-c", TRY], input=given, capture_output=True, text=True, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def modes(root):
    return {path: stat.S_IMODE(path.lstat().st_mode) for path in everything(root) if not path.is_symlink()}


def open_ones(root):
    return sorted(str(path) for path, mode in modes(root).items() if mode & 0o077)


@pytest.mark.timeout(1800)
def test_nobody_reaches_anything_of_a_workspace_that_went_the_whole_way_under_an_open_umask(public, capsys):
    require_setpriv()
    (public / "open").write_text("anybody's")
    (public / "open").chmod(0o666)
    with umask(0):
        workspace = open_workspace(staged(public, "submitted").root)
        decide(workspace, PILOT, Asked("scale", OWNER, "letters bring people back", "letter"))
        (release,) = admit(workspace).admitted
        workspace.clock.set(moment("2026-02-02 09:10"))
        assert run_now(workspace, release).state == "done"
    # Whoever tries this can do it where it is allowed.
    assert reached([public / "open"]) == [f"read {public / 'open'}", f"wrote {public / 'open'}"]
    assert reached(everything(workspace.root)) == []
    # What libraries made under that umask is closed by the next command, file by file.
    assert _exit_code(["--workspace", str(workspace.root), "factory", "status"]) == 0
    assert open_ones(workspace.root / "var") == []
    assert len(modes(workspace.root / "var")) > 60


@pytest.mark.parametrize("mask", [0, 0o002, 0o022], ids=oct)
def test_a_command_makes_what_its_account_alone_can_read_whatever_the_umask(public, mask):
    command = [sys.executable, "-m", "pilotplant"]
    with umask(mask):
        for words in (["init", str(public / "team"), "--rehearsal"], ["--workspace", str(public / "team"), "status"]):
            subprocess.run([*command, *words], check=True, capture_output=True)
    assert open_ones(public / "team") == []
    assert len(modes(public / "team" / "var")) > 5


# As the umasks 0, 002 and 022 had left it.
@pytest.mark.parametrize(("folders", "files"), [(0o777, 0o666), (0o775, 0o664), (0o755, 0o644)])
def test_a_workspace_of_an_earlier_build_is_mended_and_says_so_once(request, public, capsys, folders, files):
    workspace = stage_copy(request, public / "workspace", "launched")
    for path in everything(workspace.root):
        path.chmod(folders if path.is_dir() else files)
    assert _exit_code(["--workspace", str(workspace.root), "lab", "list"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("Other accounts of this machine could reach") == 1
    assert "that is mended" in said
    assert open_ones(workspace.root / "var") == []
    # Charters and settings are the team's to share, but not for strangers to write.
    assert not any(mode & 0o002 for mode in modes(workspace.root).values())
    assert _exit_code(["--workspace", str(workspace.root), "lab", "list"]) == 0
    assert "Other accounts" not in capsys.readouterr().err
    if os.geteuid() == 0 and shutil.which("setpriv"):
        assert reached(everything(workspace.root / "var")) == []


@pytest.mark.parametrize(
    "name", ["var/factory/factory.db", "var/lab", "var/factory/pseudonym.key", "var/promotion/keys"]
)
def test_one_place_that_was_opened_is_found_by_the_next_command(request, tmp_path, name):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    close(workspace, everything=True)
    path = workspace.root / name
    path.chmod(0o755)
    assert close(workspace).closed == [path]
    assert close(workspace).lines(workspace.root) == []


def test_a_file_deep_below_is_found_where_everything_is_looked_at(request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    close(workspace, everything=True)
    deep = workspace.lab / "pilots" / PILOT / "frozen" / "promise.json"
    deep.chmod(0o644)
    assert close(workspace).closed == []
    _exit_code(["--workspace", str(workspace.root), "verify"])
    assert "frozen/promise.json" in capsys.readouterr().err
    assert stat.S_IMODE(deep.stat().st_mode) == 0o600


def test_a_private_key_that_others_could_read_is_closed_wherever_keys_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    workspace, _ = create(tmp_path / "team", "live")
    workspace.private_keys.mkdir(parents=True)
    key = workspace.private_keys / "gate.pem"
    key.write_text("secret")
    key.chmod(0o644)
    workspace.private_keys.chmod(0o755)
    assert sorted(close(workspace).closed) == [workspace.private_keys, key]
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(key.parent.stat().st_mode)) == (0o600, 0o700)


def test_rooms_of_one_group_hand_over_to_each_other_and_show_nothing_else(request, public):
    require_setpriv()
    workspace = stage_copy(request, public / "workspace", "launched")
    workspace.root.chmod(0o755)
    group = next(each for each in grp.getgrall() if each.gr_gid not in {0, 65534})
    (workspace.configs / "access.yaml").write_text(f"schema_version: 1\ngroup: {group.gr_name}\n")
    close(workspace, everything=True)
    var = workspace.root / "var"
    assert {stat.S_IMODE((var / name).stat().st_mode) for name in PUBLISHED} == {0o2750}
    assert {stat.S_IMODE((var / name).stat().st_mode) for name in SPOOLS} == {0o2770}
    # What is put there later is the group's as well: to read what is published, to write what is asked.
    member = ["setpriv", "--reuid", "65534", "--regid", str(group.gr_gid), "--clear-groups"]
    for place, mode, reach in (("promotion/keys", 0o640, ["read"]), ("factory/spool", 0o660, ["read", "wrote"])):
        with scratch_in(var / place) as scratch:
            (scratch / "parcel").mkdir()
            (scratch / "parcel" / "manifest.json").write_text("{}")
            settle(scratch, var / place / "later")
        manifest = var / place / "later" / "parcel" / "manifest.json"
        assert (stat.S_IMODE(manifest.stat().st_mode), manifest.stat().st_gid) == (mode, group.gr_gid)
        assert reached([manifest], account=member) == [f"{each} {manifest}" for each in reach]
    shown = [path for name in (*PUBLISHED, *SPOOLS) for path in everything(var / name)]
    private = [path for path in everything(var) if path not in shown]
    assert reached(private, account=member) == []
    assert reached(everything(workspace.root / "var")) == []
    assert close(workspace, everything=True).lines(workspace.root) == []


def test_a_room_behind_a_link_is_closed_and_what_any_other_link_points_to_is_left_alone(request, tmp_path):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    (workspace.root / "var" / "lab").rename(tmp_path / "another-disk")
    (workspace.root / "var" / "lab").symlink_to(tmp_path / "another-disk")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("text")
    for path in everything(tmp_path / "theirs"):
        path.chmod(0o755)
    (workspace.factory / "link").symlink_to(tmp_path / "theirs")
    (workspace.factory / "link-to-file").symlink_to(tmp_path / "theirs" / "file")
    (tmp_path / "another-disk" / "lab.db").chmod(0o644)
    assert close(workspace, everything=True).closed
    assert open_ones(tmp_path / "another-disk") == []
    assert set(modes(tmp_path / "theirs").values()) == {0o755}
    assert close(workspace, everything=True).lines(workspace.root) == []


def test_a_group_that_the_machine_does_not_have_opens_nothing_and_is_named(request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    close(workspace, everything=True)
    (workspace.configs / "access.yaml").write_text("schema_version: 1\ngroup: no-such-group\n")
    assert _exit_code(["--workspace", str(workspace.root), "lab", "list"]) == 0
    assert "this machine has no group `no-such-group`" in capsys.readouterr().err
    assert open_ones(workspace.root / "var") == []


def test_what_a_killed_command_left_is_removed_by_the_next_one_and_work_in_progress_is_not(request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    places = [workspace.lab, workspace.lab / "snapshots", workspace.lab / "pilots" / PILOT / "analyses",
              workspace.promotion / "intake", workspace.factory / "inbox", workspace.pilots]  # fmt: skip
    for place in places:
        (place / ".scratch.killed" / "part").mkdir(parents=True)
    with scratch_in(workspace.factory / "inbox") as busy:
        (busy / "part").write_text("half")
        assert _exit_code(["--workspace", str(workspace.root), "lab", "list"]) == 0
        assert (busy / "part").read_text() == "half"
    assert [str(path) for path in workspace.root.rglob(".scratch.*")] == []
