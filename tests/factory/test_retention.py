"""Retention: what goes and what stays, decided purely; and a removal that may be cut off at any step."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from factory.cli import app
from factory.state import permits
from factory.state.room import open_factory
from factory.warehouse import retention
from factory.warehouse.load import load
from factory.warehouse.retention import Found, Pruning, Step, plan, prune
from factory.warehouse.snapshots import publish
from lab.pilots import snapshots as kept
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import latest_snapshot, open_snapshot
from shared.state.workspace import open_workspace
from shared.trust.usage import SnapshotUser, Usage, declare
from shared.ui.console import Session
from tests.makers import customers_csv, moment

Keep, Remove, Restore, Discard = "keep", "remove", "restore", "discard"
NOBODY = Usage({}, ())
NOW = moment("2026-02-02 09:10")


def snapshots(count):
    """Published day by day, the last one latest."""
    return [Found(f"s{n}", f"2026-01-{n:02}T00:00:00Z", there=True, aside=False) for n in range(1, count + 1)]


def user(snapshot, pilot="spring-mail", days=9):
    return SnapshotUser(pilot=pilot, snapshot=snapshot, deadline=NOW + timedelta(days=days))


def kinds(steps):
    return {step.snapshot: step.step for step in steps}


def test_the_newest_stay_and_the_rest_goes():
    assert kinds(plan(snapshots(4), "s4", NOBODY, 2)) == {"s4": Keep, "s3": Keep, "s2": Remove, "s1": Remove}


def test_a_snapshot_that_an_undecided_pilot_reads_stays_and_says_for_whom_and_how_long():
    steps = plan(snapshots(3), "s3", Usage({"s1": [user("s1")]}, ()), 1)
    assert kinds(steps) == {"s3": Keep, "s2": Remove, "s1": Keep}
    assert steps[-1].reason == "undecided pilots read it: spring-mail (until 2026-02-11 09:10 UTC)"


def test_the_latest_stays_though_others_were_published_after_it():
    """Its content came back: publishing it again gave it no new date."""
    assert kinds(plan(snapshots(3), "s1", NOBODY, 1)) == {"s3": Keep, "s2": Remove, "s1": Keep}


def test_where_anything_is_unclear_everything_stays():
    steps = plan(snapshots(9), "s9", Usage({}, ("a file cannot be read",)), 1)
    assert set(kinds(steps).values()) == {Keep}


def test_a_snapshot_that_is_not_in_the_books_stays():
    assert kinds(plan([Found("s0", None, there=True, aside=False), *snapshots(3)], "s3", NOBODY, 1))["s0"] == Keep


@pytest.mark.parametrize(
    ("published", "there", "users", "expected"),
    [
        ("2026-01-01T00:00:00Z", False, {}, [Remove]),  # set aside, and not yet in the ledger
        ("2026-01-01T00:00:00Z", False, {"s0": [user("s0")]}, [Restore]),
        (None, False, {}, [Discard]),  # in the ledger, and not yet deleted
        ("2026-01-01T00:00:00Z", True, {}, [Discard, Remove]),  # published once more since
        ("2026-01-01T00:00:00Z", True, {"s0": [user("s0")]}, [Discard, Keep]),
    ],
)
def test_what_an_interrupted_run_left_is_finished_or_undone(published, there, users, expected):
    steps = plan([Found("s0", published, there=there, aside=True), *snapshots(2)], "s2", Usage(users, ()), 1)
    assert [step.step for step in steps if step.snapshot == "s0"] == expected


books = st.builds(
    Found,
    snapshot=st.sampled_from([f"s{n}" for n in range(9)]),
    published=st.none() | st.integers(1, 28).map(lambda day: f"2026-01-{day:02}T00:00:00Z"),
    there=st.booleans(),
    aside=st.booleans(),
).filter(lambda found: found.there or found.aside)


@given(
    st.lists(books, unique_by=lambda found: found.snapshot),
    st.sampled_from(["s0", "s1", None]),
    st.sets(st.sampled_from(["s2", "s3"])),
    st.booleans(),
    st.integers(1, 4),
)
@settings(max_examples=200, deadline=None)
def test_no_plan_takes_the_latest_or_what_is_needed_or_anything_in_doubt(found, latest, needed, doubt, keep):
    usage = Usage({name: [user(name)] for name in needed}, ("doubt",) if doubt else ())
    removed = {step.snapshot for step in plan(found, latest, usage, keep) if step.step == Remove}
    assert not removed & {latest, *needed}
    assert not (doubt and removed)
    assert all(each.published for each in found if each.snapshot in removed)


@pytest.fixture(scope="module")
def days(loaded, tmp_path_factory):
    """A workspace with three snapshots, a day apart, to be copied; and their names, oldest first."""
    folder = tmp_path_factory.mktemp("days")
    shutil.copytree(loaded.root, folder / "workspace")
    workspace, names = open_workspace(folder / "workspace"), []
    for day, rows in enumerate((200, 210, 220)):
        workspace.clock.set(NOW + timedelta(days=day - 3))
        load(workspace, "customers", customers_csv(folder / "customers.csv", rows))
        names.append(publish(workspace).snapshot)
    return workspace, names


@pytest.fixture
def three(days, tmp_path):
    """A copy of that, on the day after the last of them."""
    template, names = days
    shutil.copytree(template.root, tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    workspace.clock.set(NOW)
    return workspace, names


def on_disk(workspace):
    return {path.name for path in (workspace.lab / "snapshots").iterdir() if path.is_dir()} - {"pruned"}


def test_a_dry_run_names_the_steps_of_the_real_run_and_takes_none(three):
    workspace, names = three
    planned = prune(workspace, keep=1, dry_run=True)
    assert on_disk(workspace) == set(names)
    assert prune(workspace, keep=1) == replace(planned, dry_run=False)
    assert on_disk(workspace) == {names[2]}
    assert planned.freed_bytes > 0
    assert prune(workspace, keep=1).steps == (Step(Keep, names[2], "it is the latest"),)


def test_the_settings_say_how_many_stay(three):
    workspace, names = three
    assert kinds(prune(workspace).steps) == dict.fromkeys(names, Keep)
    settings_file = workspace.configs / "factory.yaml"
    settings_file.write_text(settings_file.read_text().replace("keep: 5", "keep: 2"))
    assert kinds(prune(workspace).steps) == {names[0]: Remove, names[1]: Keep, names[2]: Keep}


def test_where_nothing_was_published_there_is_nothing_to_remove(workspace):
    assert prune(workspace) == Pruning((), (), 0)


def test_keeping_none_is_refused(three):
    with pytest.raises(BadInput, match="would remove the latest"):
        prune(three[0], keep=0)


def test_a_removal_is_on_the_ledger_and_the_lab_is_told_what_happened_and_when(three):
    workspace, names = three
    prune(workspace, keep=2)
    [entry] = [entry for entry in open_factory(workspace).entries(names[0]) if entry.kind == "pruned"]
    assert entry.at.startswith("2026-02-02T09:10:0")
    assert entry.body == {"why": "published 2026-01-30 09:10 UTC, and no undecided pilot reads it"}
    assert open_factory(workspace).problems() == []
    with pytest.raises(
        Refused, match="of 2026-01-30 was removed on 2026-02-02 09:10 UTC by `pilotplant factory prune`"
    ):
        open_snapshot(workspace, names[0])


def test_files_that_a_later_snapshot_shares_stay_and_count_for_nothing(workspace):
    """The first snapshot differs from the second in its list of live releases only."""
    first = publish(workspace).snapshot
    shared = open_snapshot(workspace, first).table("customers")
    manifest = json.loads((shared.parent / "manifest.json").read_text())
    with open_factory(workspace).transaction() as connection:
        row = {"package": "sha256:1", "attestation": "sha256:2", "pilot": "p", "arm": "a", "state": "live", "epoch": 1}
        moments = {"admitted_at": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}
        connection.execute(sa.text(
            "INSERT INTO releases (name, package, attestation, pilot, arm, state, epoch, admitted_at, expires) "
            "VALUES ('r', :package, :attestation, :pilot, :arm, :state, :epoch, :admitted_at, :expires)"
        ), row | moments)  # fmt: skip
    permits.give(workspace, "r")
    workspace.clock.set(NOW + timedelta(hours=1))
    second = publish(workspace)
    assert second.shared == ("customers",)
    size = shared.stat().st_size
    assert prune(workspace, keep=1).freed_bytes < size
    assert not shared.exists()
    kept = latest_snapshot(workspace)
    assert (kept.id, kept.manifest.tables["customers"].data) == (
        second.snapshot,
        manifest["tables"]["customers"]["data"],
    )
    assert kept.table("customers").stat().st_nlink == 1


def test_what_was_pruned_can_be_published_again(three, tmp_path):
    workspace, names = three
    prune(workspace, keep=1)
    load(workspace, "customers", customers_csv(tmp_path / "back.csv", 220))
    shutil.rmtree(workspace.lab / "snapshots" / names[2])
    assert publish(workspace).snapshot == names[2]
    assert prune(workspace, keep=1).unclear == ()


def test_a_pilot_keeps_its_snapshot_until_its_deadline(three):
    workspace, names = three
    declare(workspace, user(names[0]))
    prune(workspace, keep=1)
    assert on_disk(workspace) == {names[0], names[2]}
    workspace.clock.set(NOW + timedelta(days=9))
    prune(workspace, keep=1)
    assert on_disk(workspace) == {names[2]}


def test_a_pilot_that_is_launched_while_its_snapshot_is_set_aside_gets_it_back(three, monkeypatch):
    workspace, names = three
    real = kept.write_atomically

    def launched_meanwhile(path, content):
        real(path, content)
        declare(workspace, user(names[1]))

    monkeypatch.setattr(kept, "write_atomically", launched_meanwhile)
    steps = prune(workspace, keep=1).steps
    assert kinds(steps) == {names[0]: Remove, names[1]: Keep, names[2]: Keep}
    assert open_snapshot(workspace, names[1]).tables()
    assert on_disk(workspace) == set(names[1:])
    assert [entry.subject for entry in open_factory(workspace).entries() if entry.kind == "pruned"] == [names[0]]


@pytest.mark.parametrize("needed", [False, True])
@pytest.mark.parametrize("step", ["write_atomically", "rename", "write", "rmtree", "half an rmtree"])
def test_a_run_that_was_cut_off_is_finished_by_the_next(three, monkeypatch, step, needed):
    workspace, names = three

    class Cut(BaseException):
        """As if the process had ended here."""

    def cut(*_arguments, **_named):
        if step == "half an rmtree":
            os.unlink(workspace.lab / "snapshots" / f".pruned.{names[0]}" / "manifest.json")
        raise Cut

    place = {"write_atomically": (kept, "write_atomically"), "rename": (kept.Path, "rename"),
             "write": (retention.Room, "write")}.get(step, (kept.shutil, "rmtree"))  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(*place, cut)
        with pytest.raises(Cut):
            prune(workspace, keep=2)
    if needed:
        declare(workspace, user(names[0]))
    prune(workspace, keep=2)
    recorded = [entry.subject for entry in open_factory(workspace).entries() if entry.kind == "pruned"]
    # Once it is in the ledger no launch can have found it: whoever declares so afterwards is told that it is gone.
    saved = needed and step in {"write_atomically", "rename", "write"}
    assert on_disk(workspace) == (set(names) if saved else set(names[1:]))
    assert recorded == ([] if saved else [names[0]])
    if saved:
        assert open_snapshot(workspace, names[0]).tables()
    else:
        with pytest.raises(Refused, match="was removed on"):
            open_snapshot(workspace, names[0])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda w: (w.lab / "snapshot-users").mkdir() or (w.lab / "snapshot-users" / "x.json").write_text("{"),
            "x.json",
        ),
        (lambda w: (w.lab / "pilots" / "old-mail").mkdir(parents=True), "which snapshot pilot old-mail reads"),
        (lambda w: (w.lab / "snapshots" / "latest.json").write_text("{}"), "latest.json"),
        (lambda w: (w.lab / "snapshots" / "latest.json").unlink(), "no snapshot is the latest"),
    ],
)
def test_what_cannot_be_read_keeps_everything_and_says_so(three, spoil, told):
    workspace, names = three
    spoil(workspace)
    found = CliRunner().invoke(app, ["prune", "--keep", "1", "--json"], obj=Session(workspace.root))
    answer = json.loads(found.stdout)
    assert found.exit_code == 4
    assert on_disk(workspace) == set(names)
    assert {step["step"] for step in answer["steps"]} == {"keep"}
    assert told in answer["unclear"][0]


def test_people_are_told_step_by_step(three):
    workspace, names = three
    said = CliRunner().invoke(app, ["prune", "--keep", "2", "--dry-run"], obj=Session(workspace.root))
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    assert lines[0] == f"keep {names[2]}: it is the latest"
    assert lines[2] == f"remove {names[0]}: published 2026-01-30 09:10 UTC, and no undecided pilot reads it"
    assert lines[3].endswith("MiB would be free again; nothing was done yet.")
