"""A deployment that somebody edits in Prefect itself is named, part by part, and made anew."""

from __future__ import annotations

import shutil

import pytest

from factory.releases.releases import pause
from factory.runtime import deployments, processes
from factory.runtime.deployments import ENTRYPOINT, TAG
from factory.runtime.edits import GONE, TWICE, edits
from factory.runtime.plant import Plant
from shared.state.workspace import open_workspace
from tests.makers import RELEASE, make_charter, make_package

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]
YEARLY = "0 0 1 1 *"


@pytest.fixture(scope="module")
def plant(loaded, tmp_path_factory):
    root = tmp_path_factory.mktemp("edited") / "workspace"
    shutil.copytree(loaded.root, root)
    workspace = open_workspace(root)
    make_package(workspace, charter=make_charter(cron=YEARLY))
    with Plant(workspace, port=0).running() as running:
        assert running.reconcile().edited == {}
        yield running
    assert processes.marked(str(workspace.factory / "prefect")) == []


def present(plant):
    with plant._prefect(), deployments.held() as (_, found):
        return found


def change(plant, **parts):
    from prefect.client.schemas.actions import DeploymentUpdate

    with plant._prefect(), deployments.held() as (client, [one]):
        client.update_deployment(one.id, DeploymentUpdate(**parts))


def schedule(plant, **parts):
    with plant._prefect(), deployments.held() as (client, [one]):
        client.update_deployment_schedule(one.id, one.schedules[0].id, **parts)


def found_and_put_right(plant, *words):
    """One round names the edit, and the next one finds nothing left of it."""
    done = plant.reconcile()
    told = "; ".join(done.edited[RELEASE])
    assert all(word in told for word in words), told
    assert any(f"edited in Prefect, and put right: {RELEASE}: {told}" in line for line in done.lines())
    assert plant.reconcile().edited == {}


def test_nothing_was_edited_where_nobody_did(plant):
    assert plant.reconcile().edited == {}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"parameters": {"workspace": "/elsewhere", "release": "another"}}, ["parameters was", "another"]),
        ({"entrypoint": "evil.py:campaign"}, ["entrypoint was 'evil.py:campaign'", ENTRYPOINT]),
        ({"tags": ["mine"]}, ["tags was ['mine']", TAG]),
        ({"paused": True}, ["paused was True, not False"]),
        ({"job_variables": {"env": {"PYTHONPATH": "/evil"}}}, ["job variables was", "/evil"]),
        ({"pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": "/evil"}}]}, ["code was"]),
    ],
    ids=["parameters", "entrypoint", "tags", "paused", "job variables", "code"],
)
def test_an_edited_part_is_named_and_put_right(plant, parts, words):
    change(plant, **parts)
    found_and_put_right(plant, *words)


def test_an_edited_schedule_is_named_and_put_right(plant):
    from prefect.client.schemas.schedules import CronSchedule

    schedule(plant, schedule=CronSchedule(cron="*/5 * * * *", timezone="UTC"))
    found_and_put_right(plant, "schedule was [('*/5 * * * *'", YEARLY)
    schedule(plant, active=False)
    found_and_put_right(plant, "schedule was", "False")


def test_a_deployment_that_was_deleted_comes_back(plant):
    with plant._prefect(), deployments.held() as (client, [one]):
        client.delete_deployment(one.id)
    found_and_put_right(plant, GONE)
    assert [one.name for one in present(plant)] == [RELEASE]


def test_what_was_edited_while_the_plant_was_down_is_named_as_well(plant):
    """A new plant has made nothing yet; a pause meanwhile was the Factory's own word, and is no edit."""
    change(plant, parameters={"workspace": "/elsewhere", "release": RELEASE}, paused=True)
    found = present(plant)
    wanted, _ = deployments.all_planned(plant.workspace)
    told = edits(plant.workspace, wanted, {}, found)[RELEASE]
    assert len(told) == 1
    assert "/elsewhere" in told[0]
    assert edits(plant.workspace, wanted, {}, [*found, *found]) == {RELEASE: (TWICE,)}
    assert edits(plant.workspace, wanted, {}, []) == {}
    found_and_put_right(plant, "/elsewhere", "paused")


def test_a_pause_by_the_factorys_own_command_is_no_edit(plant):
    pause(plant.workspace, RELEASE, reason="a typo")
    done = plant.reconcile()
    assert (done.edited, [plan.paused for plan in done.changed]) == ({}, [True])
    assert plant.reconcile().edited == {}
