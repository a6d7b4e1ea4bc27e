"""Schedules: Prefect's own server and worker fire them, and the Factory keeps the last word."""

from __future__ import annotations

import fcntl
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from factory.delivery.channels.file import outgoing
from factory.releases.releases import pause, resume, show_release, stop_all
from factory.runtime import deployments, processes
from factory.runtime.plant import Plant
from factory.state.room import open_factory
from shared.core.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.state.workspace import open_workspace
from tests.makers import RELEASE, make_charter, make_package, set_factory

pytestmark = [pytest.mark.check, pytest.mark.timeout(600)]
OTHER = "autumn-email-letter"
YEARLY, YEARLY_CRON = "winter-email-letter", "0 0 1 1 *"


@pytest.fixture(scope="module")
def plant(loaded, tmp_path_factory):
    """A plant that is up, in real time, with packages in its inbox; the user's own Prefect settings point elsewhere."""
    root = tmp_path_factory.mktemp("plant") / "workspace"
    shutil.copytree(loaded.root, root)
    workspace = open_workspace(root)
    # Both write to everybody, each minute of the week.
    set_factory(workspace, contacts_per_week=100_000, simultaneous_frac_max=0.99, above_cap_frac_max=0)
    for pilot in ("spring-email", "autumn-email"):
        make_package(workspace, charter=make_charter(pilot, cron="* * * * *"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
        patch.setenv("PREFECT_API_KEY", "someone else's")
        patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        with Plant(workspace, port=0).running() as running:
            yield running
    assert processes.marked(str(workspace.factory / "prefect")) == []


def test_what_the_inbox_holds_is_admitted_scheduled_and_run_by_the_schedule_itself(plant):
    first = plant.reconcile()
    assert sorted(first.admission.admitted) == [OTHER, RELEASE]
    assert {plan.release: plan.paused for plan in first.changed} == {RELEASE: False, OTHER: False}
    assert plant.reconcile().changed == ()
    for run in plant.wait_for_scheduled_runs():
        assert run.auto_scheduled
        assert run.state == "Completed", run.message
        assert "messages written" in run.message
        file = outgoing(plant.workspace, run.release, run.scheduled)
        assert file.exists()
        sent = [entry for entry in open_factory(plant.workspace).entries(run.release) if entry.kind == "sent"]
        assert sent[-1].body["flow_run"] == run.flow_run


def test_a_pause_stops_the_schedule_and_a_tampered_package_fails_by_name(plant):
    pause(plant.workspace, RELEASE, reason="a typo")
    (release, _) = show_release(plant.workspace, OTHER)
    sealed = plant.workspace.factory / "inbox" / release.package.removeprefix("sha256:") / "candidate"
    whole = (sealed / "files" / "message.txt").read_bytes()
    (sealed / "files" / "message.txt").write_bytes(whole + b"!")
    assert {plan.release: plan.paused for plan in plant.reconcile().changed} == {RELEASE: True}
    since = datetime.now(UTC)
    (run,) = plant.wait_for_scheduled_runs()
    (sealed / "files" / "message.txt").write_bytes(whole)
    assert (run.release, run.state) == (OTHER, "Failed")
    assert "files/message.txt: changed after it was sealed" in run.message
    assert not outgoing(plant.workspace, OTHER, run.scheduled).exists()
    with plant._prefect():
        assert deployments.scheduled_run(RELEASE, since) is None


def test_stop_all_rests_every_schedule_and_a_resume_wakes_its_own(plant):
    resume(plant.workspace, RELEASE, reason="mended")
    assert [plan.paused for plan in plant.reconcile().changed] == [False]
    stop_all(plant.workspace, reason="complaints")
    assert {plan.release: plan.paused for plan in plant.reconcile().changed} == {RELEASE: True, OTHER: True}
    assert plant.wait_for_scheduled_runs() == []


def test_a_schedule_that_is_far_away_is_not_waited_for_and_goes_with_its_package(plant):
    stop_all(plant.workspace, reason="complaints")
    make_package(plant.workspace, charter=make_charter("winter-email", cron=YEARLY_CRON))
    assert plant.reconcile().admission.admitted == (YEARLY,)
    plan = next(plan for plan in plant.deployed if plan.release == YEARLY)
    assert plan.paused  # everything is stopped: what comes in meanwhile rests too
    plant._applied[YEARLY] = deployments.Deployment(YEARLY, plan.cron, plan.timezone, plan.version, False, plan.tags)
    with pytest.raises(Undecided, match="is not due before"):
        plant.wait_for_scheduled_runs(60)
    (release, _) = show_release(plant.workspace, YEARLY)
    shutil.rmtree(plant.workspace.factory / "inbox" / release.package.removeprefix("sha256:"))
    round_ = plant.reconcile()
    assert (round_.removed, list(round_.broken)) == ((YEARLY,), [YEARLY])


def test_a_release_that_prefect_does_not_take_stands_in_no_other_s_way(plant, zones_of_this_machine):
    """Such a package is from an earlier build: none of today's promises names a zone of one machine alone."""
    plant.reconcile()
    before = {*plant.deployed}
    for pilot, zone in (("a-zone", "posix/Europe/Berlin"), ("b-zone", "Office"), ("c-email", "UTC")):
        play = {"schedule": {"cron": YEARLY_CRON, "timezone": zone}}
        make_package(plant.workspace, charter=make_charter(pilot, play=play))
    round_ = plant.reconcile()
    assert sorted(round_.admission.admitted) == ["a-zone-letter", "b-zone-letter", "c-email-letter"]
    assert [plan.release for plan in round_.changed] == ["c-email-letter"]
    refused = {name for name, why in round_.broken.items() if why.startswith("Prefect does not take its schedule")}
    assert refused == {"a-zone-letter", "b-zone-letter"}
    assert before < {*plant.deployed}
    [plan] = round_.changed
    with plant._prefect():
        for cron in ("0 9 * * R", "H 9 * * *", "0 9 * *"):
            why = deployments.deploy(plant.workspace, replace(plan, release="d-email-letter", cron=cron))
            assert why.startswith("Prefect does not take its schedule")


def test_a_second_plant_of_the_workspace_is_refused(plant):
    with pytest.raises(Refused, match="up already"), Plant(plant.workspace, port=0).running():
        pass


def test_a_port_in_use_is_named_with_its_setting(plant, tmp_path, loaded):
    shutil.copytree(loaded.root, tmp_path / "other")
    settings = tmp_path / "other" / "configs" / "factory.yaml"
    port = plant.url.rpartition(":")[2]
    settings.write_text(settings.read_text().replace("port: 4200", f"port: {port}"))
    other = Plant(open_workspace(tmp_path / "other"))
    with pytest.raises(BadInput, match=f"port {port} is in use") as error, other.running():
        pass
    assert "configs/factory.yaml" in error.value.where


@pytest.mark.proof
def test_after_a_power_cut_the_run_is_taken_up_again_and_the_schedule_goes_on(loaded, tmp_path):
    """Prefect alone keeps such a run `Running`, its slot taken, and never starts another one."""
    shutil.copytree(loaded.root, tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    make_package(workspace, charter=make_charter(cron="* * * * *"))
    mark = str(workspace.factory / "prefect")
    scratch = workspace.factory / "scratch"
    scratch.mkdir(exist_ok=True)
    since = datetime.now(UTC)
    with (scratch / "runs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the run waits for it, as it would for another attempt
        with Plant(workspace, port=0).running() as plant:
            plant.reconcile()
            cut = _running(plant, since)
            for each in processes.marked(mark):
                each.kill()
            time.sleep(1)
            with pytest.raises(PilotPlantError, match="ended by itself"):
                plant.reconcile()
    with Plant(workspace, port=0).running() as plant:
        assert plant.reconcile().again == (RELEASE,)
        assert plant.reconcile().again == ()
        (run,) = plant.wait_for_scheduled_runs()
    assert run.state == "Completed", run.message
    done = {row.occurrence for row in show_release(workspace, RELEASE)[1] if row.state == "done"}
    assert {f"{moment:%Y-%m-%dT%H:%M:00Z}" for moment in (cut.scheduled, run.scheduled)} <= done


def _running(plant, since):
    give_up = time.monotonic() + 180
    while time.monotonic() < give_up:
        with plant._prefect():
            run = deployments.scheduled_run(RELEASE, since)
        if run is not None and run.state == "Running":
            return run
        time.sleep(0.5)
    raise AssertionError(run)
