"""Each part of what Prefect asks for is compared with the Factory's database, and any difference is a reason."""

from __future__ import annotations

import shutil
from types import MappingProxyType
from uuid import UUID

import pytest

from factory.runtime.deployments import FLOW, POOL, Deployment, code_folder, pool_template
from factory.runtime.drift import SHOWN, Order, judge, reasons_against
from factory.runtime.incidents import KIND
from factory.state.room import open_factory
from shared.state.workspace import open_workspace
from tests.makers import RELEASE

OURS, THEIRS, RUN = (UUID(int=number) for number in (1, 2, 3))
PLAN = Deployment(RELEASE, "0 9 * * *", "UTC", "abc", False, ("pilotplant", "pilot:spring-email", "arm:letter"))
PLANS = MappingProxyType({RELEASE: PLAN})
# 9:00 of a day is a moment of the schedule, a minute later is none.
NINE, LATER = "2026-02-02T09:00:00Z", "2026-02-02T09:01:00Z"
STEP = "prefect.deployments.steps.run_shell_script"


def limit(**parts):
    return {"id": OURS, "name": "deployment:1", "limit": 1, "active": True, "active_slots": 0,
            "slot_decay_per_second": 0.0, **parts}  # fmt: skip


def schedule(cron="0 9 * * *", timezone="UTC", active=True, parameters=None):
    cron = {"cron": cron, "timezone": timezone}
    return {"id": OURS, "schedule": cron, "active": active, "parameters": parameters or {}}


def deployment(workspace, **parts):
    from prefect.client.schemas.responses import DeploymentResponse

    ours = {
        "id": OURS,
        "name": RELEASE,
        "flow_id": OURS,
        "parameters": {"workspace": str(workspace.root), "release": RELEASE},
        "schedules": [schedule()],
        "entrypoint": "factory/runtime/flows/campaign.py:campaign",
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(code_folder())}}],
        "tags": ["arm:letter", "pilot:spring-email", "pilotplant"],
        "version": "abc",
        "work_pool_name": POOL,
        "work_queue_name": "default",
        "job_variables": {},
        "global_concurrency_limit": limit(),
    }
    return DeploymentResponse.model_validate({**ours, **parts})


def run(workspace, **parts):
    from prefect.client.schemas.objects import FlowRun

    ours = {
        "id": RUN,
        "flow_id": OURS,
        "deployment_id": OURS,
        "parameters": {"workspace": str(workspace.root), "release": RELEASE},
        "auto_scheduled": True,
        "work_pool_name": POOL,
        "work_queue_name": "default",
    }
    return FlowRun.model_validate({**ours, **parts})


def pool(**parts):
    from prefect.client.schemas.objects import WorkPool

    ours = {"name": POOL, "type": "process", "base_job_template": pool_template(), "default_queue_id": OURS}
    return WorkPool.model_validate({**ours, **parts})


def reasons(workspace, *, of_deployment=MappingProxyType({}), of_run=MappingProxyType({}),
            of_pool=MappingProxyType({}), flow=FLOW, plans=PLANS):  # fmt: skip
    order = Order(run(workspace, **of_run), deployment(workspace, **of_deployment), flow, pool(**of_pool))
    return reasons_against(workspace, order, plans)


@pytest.fixture
def workspace(loaded):
    """Where it is, is all that is asked of it here."""
    return loaded


def after_a_crash(workspace, occurrence=NINE, **parts):
    named = {"workspace": str(workspace.root), "release": RELEASE, "occurrence": occurrence}
    return {"auto_scheduled": False, "idempotency_key": f"again-{RUN}", "parameters": named, **parts}


def test_nothing_speaks_against_what_the_schedule_asks_for(workspace):
    assert reasons(workspace) == []


def test_nothing_speaks_against_a_run_that_the_plant_starts_after_a_crash_at_a_moment_of_the_schedule(workspace):
    assert reasons(workspace, of_run=after_a_crash(workspace)) == []


def test_a_release_that_rests_is_left_to_the_run_which_asks_the_database_again(workspace):
    assert reasons(workspace, of_deployment={"paused": True}) == []


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"parameters": {"workspace": "/elsewhere", "release": RELEASE}}, "parameters"),
        ({"parameters": {}}, "parameters"),
        ({"entrypoint": "evil.py:campaign"}, "entrypoint"),
        ({"entrypoint": None}, "entrypoint"),
        ({"path": "/evil"}, "path"),
        ({"pull_steps": [{STEP: {"script": "touch /evil"}}]}, "code"),
        ({"pull_steps": None}, "code"),
        ({"job_variables": {"command": "touch /evil"}}, "job variables"),
        ({"job_variables": {"env": {"PYTHONPATH": "/evil"}}}, "job variables"),
        ({"job_variables": {"env.PYTHONPATH": "/evil"}}, "job variables"),
        ({"job_variables": {"working_dir": "/evil"}}, "job variables"),
        ({"job_variables": {"image": "evil"}}, "job variables"),
        ({"work_pool_name": "evil"}, "work pool"),
        ({"work_queue_name": "evil"}, "work pool"),
        ({"storage_document_id": THEIRS}, "storage"),
        ({"infrastructure_document_id": THEIRS}, "storage"),
        ({"tags": []}, "tags"),
        ({"version": "def"}, "version"),
        ({"schedules": []}, "schedule"),
        ({"schedules": [schedule(cron="* * * * *")]}, "schedule"),
        ({"schedules": [schedule(timezone="Asia/Tokyo")]}, "schedule"),
        ({"schedules": [schedule(parameters={"release": "another"})]}, "schedule"),
        ({"schedules": [schedule(), schedule(cron="* * * * *")]}, "schedule"),
        ({"global_concurrency_limit": None}, "runs at once"),
        ({"global_concurrency_limit": limit(limit=9)}, "runs at once"),
        ({"global_concurrency_limit": limit(active=False)}, "runs at once"),
    ],
)
def test_an_edited_part_of_the_deployment_is_a_reason_that_names_it(workspace, parts, word):
    (reason,) = reasons(workspace, of_deployment=parts)
    assert reason.startswith(f"{word} was ")


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"parameters": {"workspace": "/elsewhere", "release": RELEASE}}, "the run's parameters was"),
        ({"parameters": {}}, "the run's parameters was"),
        ({"job_variables": {"command": "touch /evil"}}, "the run's job variables was"),
        ({"job_variables": {"env": {"PYTHONPATH": "/evil"}}}, "the run's job variables was"),
        ({"work_pool_name": "evil"}, "the run's work pool was"),
        ({"work_queue_name": "evil"}, "the run's work pool was"),
        ({"infrastructure_document_id": THEIRS}, "the run's infrastructure was"),
        ({"auto_scheduled": False}, "begun by somebody"),
        ({"auto_scheduled": False, "idempotency_key": "mine"}, "begun by somebody"),
    ],
)
def test_an_edited_part_of_the_run_is_a_reason_that_names_it(workspace, parts, word):
    (reason,) = reasons(workspace, of_run=parts)
    assert word in reason


def test_an_extra_parameter_of_a_run_is_a_reason(workspace):
    named = {"workspace": str(workspace.root), "release": RELEASE, "evil": 1}
    (reason,) = reasons(workspace, of_run={"parameters": named})
    assert "'evil': 1" in reason


@pytest.mark.parametrize("occurrence", [LATER, "yesterday", "2026-02-02T09:00:00", 9, None, [NINE]])
def test_a_run_after_a_crash_names_a_moment_of_the_schedule(workspace, occurrence):
    (reason,) = reasons(workspace, of_run=after_a_crash(workspace, occurrence))
    assert "no moment of the schedule" in reason


def test_a_run_of_the_schedule_names_no_moment_of_its_own(workspace):
    (reason,) = reasons(workspace, of_run=after_a_crash(workspace, auto_scheduled=True))
    assert "no moment of the schedule" in reason


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"type": "docker"}, "type"),
        ({"base_job_template": {}}, "job template"),
        ({"base_job_template": {**pool_template(), "job_configuration": {"command": "touch /evil"}}}, "job template"),
    ],
)
def test_an_edited_work_pool_is_a_reason(workspace, parts, word):
    (reason,) = reasons(workspace, of_pool=parts)
    assert word in reason


def test_what_belongs_to_no_deployment_to_another_flow_or_to_no_release_is_foreign(workspace):
    assert reasons_against(workspace, Order(run(workspace), None, FLOW, pool()), PLANS)
    assert "no deployment" in reasons(workspace, of_run={"deployment_id": THEIRS})[0]
    assert "no deployment" in reasons(workspace, of_run={"flow_id": THEIRS})[0]
    assert "its flow is 'evil'" in reasons(workspace, flow="evil")[0]
    assert "its flow is None" in reasons(workspace, flow=None)[0]
    assert "no release 'evil'" in reasons(workspace, of_deployment={"name": "evil"})[0]
    assert "no release" in reasons(workspace, plans={})[0]


def test_every_difference_is_told_and_none_hides_another(workspace):
    found = reasons(
        workspace,
        of_deployment={"entrypoint": "evil.py:f", "job_variables": {"command": "x"}},
        of_run={"auto_scheduled": False},
        of_pool={"base_job_template": {}},
    )
    assert len(found) == 4


def test_what_somebody_wrote_is_told_without_control_characters_and_not_at_any_length(workspace):
    (reason,) = reasons(workspace, of_deployment={"entrypoint": "\x1b[2J\n\u202e" + "e" * 10_000})
    assert reason.isprintable()
    assert len(reason) < SHOWN + 200


def test_a_refused_run_is_an_incident_once_however_often_it_is_judged(loaded, tmp_path):
    """The workspace has no release at all, so whatever Prefect asks for is foreign."""
    shutil.copytree(loaded.root, tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    order = Order(run(workspace), deployment(workspace), FLOW, pool())
    assert judge(workspace, order) == judge(workspace, order)
    (entry,) = [entry for entry in open_factory(workspace).entries() if entry.kind == KIND]
    assert entry.subject == "prefect"
    assert entry.body["flow_run"] == str(RUN)
    assert f"the Factory has no release '{RELEASE}'" in entry.body["what"]
