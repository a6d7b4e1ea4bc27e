"""Launching: once, with this content, deposited first; whatever happens in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lab.launch.launch import end, launch
from lab.pilots.pilot import find_pilot, get_pilot, locked_pilot
from lab.pilots.promise import freeze
from lab.state import open_lab, pilots
from promotion.state import open_promotion, promises
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.core.files import settle
from shared.data.snapshot import latest_snapshot
from shared.state.workspace import Workspace
from shared.trust.usage import SnapshotUser, Usage, usage
from tests.lab_makers import (
    BEFORE,
    CARD,
    DEADLINE,
    PILOT,
    STARTS,
    Step,
    copy_of,
    do_end,
    do_launch,
    do_spend,
    draft,
    dump,
    run_child,
    stage_copy,
    start_child,
)


@pytest.fixture
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """As elsewhere, with a draft of one treatment arm only."""
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    draft(workspace, PILOT, (CARD, ""))
    return workspace


def test_a_launch_freezes_deposits_and_reserves(loaded):
    promise = freeze(loaded, PILOT).promise
    done = launch(loaded, PILOT)
    assert not done.repeated
    assert done.pilot.promise.digest == promise.digest
    assert str(done.pilot.reserved) == "100.00 USD"
    files = done.pilot.frozen / "files"
    assert {str(p.relative_to(files)): digest_file(p) for p in files.rglob("*") if p.is_file()} == promise.files


def test_the_gate_had_the_promise_before_the_lab_called_it_launched(loaded):
    launch(loaded, PILOT)
    lab, gate = open_lab(loaded), open_promotion(loaded)
    [launched] = [entry for entry in lab.entries(PILOT) if entry.kind == "launched"]
    [registered] = [entry for entry in gate.entries(PILOT) if entry.kind == "registered"]
    gate_said = launched.body["gate"]
    assert gate_said["at"] <= launched.at
    assert (gate_said["seq"], gate_said["hash"]) == (registered.seq, registered.hash)
    # The gate witnesses the Lab's ledger as it was before the launch.
    assert registered.body["lab"]["seq"] == launched.seq - 1
    assert registered.body["lab"]["hash"] == launched.prev


def test_the_same_launch_again_does_nothing(launched):
    before = dump(launched.lab / "lab.db"), dump(launched.promotion / "promotion.db")
    assert launch(launched, PILOT).repeated
    assert (dump(launched.lab / "lab.db"), dump(launched.promotion / "promotion.db")) == before


def test_other_content_under_the_same_name_is_refused_and_says_what_changed(launched):
    draft(launched, PILOT, ("minimum_effect: 0.05", "minimum_effect: 0.01"))
    (launched.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    with pytest.raises(Refused, match=r"changed since: primary\.minimum_effect, files\.message\.txt\)"):
        launch(launched, PILOT)


def test_the_frozen_files_do_not_follow_the_draft(launched):
    (launched.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    pilot = get_pilot(open_lab(launched), PILOT)
    assert "Dear customer" in (pilot.frozen / "files" / "message.txt").read_text()


def test_a_pilot_may_still_be_launched_on_its_first_day_and_not_on_its_second(loaded, tmp_path):
    other = copy_of(loaded, tmp_path / "other")
    loaded.clock.set(STARTS.replace(hour=20))
    assert launch(loaded, PILOT).pilot.deposited_at >= STARTS.replace(hour=20)
    other.clock.set(STARTS.replace(day=6))
    with pytest.raises(Refused, match="the time box began on 2026-01-05, and today is 2026-01-06"):
        launch(other, PILOT)


def test_pilots_share_the_labs_budget(loaded):
    settings = loaded.configs / "lab.yaml"
    settings.write_text(settings.read_text().replace("20000.00", "150.00"))
    launch(loaded, PILOT)
    draft(loaded, "autumn-mail", (CARD, ""))
    with pytest.raises(Refused, match=r"asks for 100\.00 USD, and the Lab has 50\.00 USD left of 150\.00 USD"):
        launch(loaded, "autumn-mail")
    draft(loaded, "autumn-mail", (CARD, ""), ("media: 100.00", "media: 50.00"))
    launch(loaded, "autumn-mail")


def test_a_refused_launch_leaves_nothing(loaded):
    before = dump(loaded.lab / "lab.db"), dump(loaded.promotion / "promotion.db")
    draft(loaded, PILOT, ("units_per_arm: 150", "units_per_arm: 999"))
    with pytest.raises(Refused):
        launch(loaded, PILOT)
    assert (dump(loaded.lab / "lab.db"), dump(loaded.promotion / "promotion.db")) == before
    assert not (loaded.lab / "pilots").exists()


def test_closing_early_is_said_once(launched):
    launched.clock.set(STARTS.replace(day=8, hour=12))
    pilot, repeated = end(launched, PILOT, "the printer broke")
    assert not repeated
    assert pilot.ends == pilot.ended_at
    assert end(launched, PILOT, "the printer broke")[1]
    with pytest.raises(Refused, match="for another reason: the printer broke"):
        end(launched, PILOT, "we ran out of paper")


def test_a_pilot_whose_frozen_charter_was_changed_is_no_longer_this_pilot(launched):
    path = launched.lab / "pilots" / PILOT / "frozen" / "promise.json"
    text = path.read_text()
    for damaged in (text.replace("0.05", "0.04"), text[:100]):
        assert damaged != text
        path.write_text(damaged)
        with pytest.raises(Refused, match=f"the frozen charter of {PILOT} was changed") as caught:
            get_pilot(open_lab(launched), PILOT)
        assert caught.value.where == str(path)
        assert "restore it" in caught.value.remedy
    path.write_text(text)
    assert get_pilot(open_lab(launched), PILOT).promise.charter.pilot == PILOT


def test_a_frozen_file_that_was_changed_is_not_used(launched):
    pilot = get_pilot(open_lab(launched), PILOT)
    (pilot.frozen / "files" / "contracts" / "outcomes.odcs.yaml").write_text("changed: since\n")
    with pytest.raises(Refused, match=r"the frozen file contracts/outcomes\.odcs\.yaml of spring-mail was changed"):
        _ = pilot.contract


def test_whoever_waited_for_the_lock_sees_a_pilot_that_was_closed_meanwhile(launched):
    launched.clock.set(STARTS.replace(day=8))
    room = open_lab(launched)
    with locked_pilot(room, PILOT):
        process = start_child(do_spend, launched.root)
        process.join(timeout=3)
        assert process.is_alive()
        with room.transaction() as connection:
            connection.execute(
                sa.update(pilots).values(ended_at="2026-01-07T00:00:00Z", end_reason="the printer broke")
            )
    process.join(timeout=60)
    assert process.exitcode == 1
    assert [entry.kind for entry in room.entries(PILOT)] == ["launched"]


def test_closing_waits_for_whoever_is_at_work_on_the_pilot(launched):
    launched.clock.set(STARTS.replace(day=8))
    with locked_pilot(open_lab(launched), PILOT):
        process = start_child(do_end, launched.root)
        process.join(timeout=3)
        assert process.is_alive()
    process.join(timeout=60)
    assert process.exitcode == 0
    assert get_pilot(open_lab(launched), PILOT).end_reason == "the printer broke"


def test_closing_needs_a_reason_and_an_open_pilot(submitted):
    with pytest.raises(BadInput, match="closing early needs a reason"):
        end(submitted, PILOT, " ")
    with pytest.raises(Refused, match="its time box is over"):
        end(submitted, PILOT, "too late")


def state(workspace) -> Any:
    """What a launch comes to, without times and hashes."""
    room, gate = open_lab(workspace), open_promotion(workspace)
    pilot = get_pilot(room, PILOT)
    files = {str(p.relative_to(pilot.folder)): digest_file(p) for p in pilot.frozen.rglob("*") if p.is_file()}
    with gate.transaction() as connection:
        deposits = connection.execute(sa.select(promises.c.digest)).scalars().all()
    ledgers = [[entry.kind for entry in r.entries()] for r in (room, gate)]
    return pilot.promise.digest, pilot.snapshot, str(pilot.reserved), files, deposits, ledgers


@pytest.mark.proof
def test_killed_at_any_step_a_launch_is_undone_or_finished_by_the_next_one(loaded, tmp_path):
    whole = copy_of(loaded, tmp_path / "whole")
    code, steps = run_child(do_launch, whole.root)
    assert code == 0
    expected = state(whole)
    first = steps.index("replace")  # whatever comes before only reads
    points = [Step(number, after) for number in range(first, len(steps) + 1) for after in (False, True)]
    for point in points[1::4]:
        cut = copy_of(loaded, tmp_path / f"cut-{point.at}-{point.after}")
        assert run_child(do_launch, cut.root, die=point)[0] == -9
        known = find_pilot(open_lab(cut), PILOT) is not None
        assert launch(cut, PILOT).repeated == known
        assert state(cut) == expected
        assert open_lab(cut).problems() == []
        assert open_promotion(cut).problems() == []


def test_a_launched_pilot_is_known_to_need_its_snapshot_until_its_deadline(loaded):
    pilot = launch(loaded, PILOT).pilot
    expected = SnapshotUser(pilot=PILOT, snapshot=pilot.snapshot, deadline=DEADLINE)
    assert usage(loaded, BEFORE) == Usage({pilot.snapshot: [expected]}, ())


@pytest.mark.parametrize("changed", [False, True])
def test_launching_again_writes_down_what_got_lost_whatever_the_draft_has_become(launched, changed):
    path = launched.lab / "snapshot-users" / f"{PILOT}.json"
    content = path.read_bytes()
    path.unlink()
    assert usage(launched, BEFORE).unclear
    if changed:
        (launched.pilots / PILOT / "message.txt").write_text("Another letter.\n")
        with pytest.raises(Refused, match="launched with other content"):
            launch(launched, PILOT)
    else:
        launch(launched, PILOT)
    assert path.read_bytes() == content


def test_a_snapshot_that_is_set_aside_during_a_launch_stops_it(loaded, monkeypatch):
    """The Factory is pruning, and has not yet looked who needs what."""
    folder = latest_snapshot(loaded).folder
    monkeypatch.setattr(
        "lab.launch.launch.declare", lambda *_: folder.rename(folder.with_name(f".pruned.{folder.name}"))
    )
    with pytest.raises(BadInput, match="missing"):
        launch(loaded, PILOT)
    assert find_pilot(open_lab(loaded), PILOT) is None


def test_half_of_another_drafts_files_do_not_get_in_the_way(loaded, tmp_path):
    cut = tmp_path / "half"
    (cut / "files").mkdir(parents=True)
    (cut / "files" / "message.txt").write_text("Half of something.\n")
    (loaded.lab / "pilots" / PILOT).mkdir(parents=True)
    settle(cut, loaded.lab / "pilots" / PILOT / "frozen")
    pilot = launch(loaded, PILOT).pilot
    assert "Dear customer" in (pilot.frozen / "files" / "message.txt").read_text()


def test_a_draft_that_was_changed_after_a_cut_launch_is_launched_as_it_is_now(loaded):
    assert run_child(do_launch, loaded.root, die=Step("rename", after=True))[0] == -9
    (loaded.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    pilot = launch(loaded, PILOT).pilot
    assert (pilot.frozen / "files" / "message.txt").read_text() == "Another letter.\n"
    assert json.loads((pilot.frozen / "promise.json").read_bytes()) == pilot.promise.as_json()


def test_of_two_launches_at_once_one_is_the_repetition(loaded):
    processes = [start_child(do_launch, loaded.root) for _ in range(2)]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [entry.kind for entry in open_lab(loaded).entries(PILOT)] == ["launched"]


def test_two_pilots_at_once_cannot_promise_the_same_money(loaded):
    settings = loaded.configs / "lab.yaml"
    settings.write_text(settings.read_text().replace("20000.00", "150.00"))
    draft(loaded, "autumn-mail", (CARD, ""))
    processes = [start_child(do_launch, loaded.root, name) for name in (PILOT, "autumn-mail")]
    for process in processes:
        process.join(timeout=60)
    assert sorted(process.exitcode for process in processes) == [0, 1]
    assert [entry.kind for entry in open_lab(loaded).entries()] == ["opened", "launched"]
