"""Edits: what somebody has changed of our deployments in Prefect itself, which only calls and never knows better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory.deployments import ENTRYPOINT, POOL, Deployment, code_folder, delete, deploy, held
from shared.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

PAUSED = "paused"
GONE = "it was deleted"
TWICE = "there was another one of its name"


def edits(
    workspace: Workspace,
    wanted: Mapping[str, Deployment],
    applied: Mapping[str, Deployment],
    present: Sequence[DeploymentResponse],
) -> dict[str, tuple[str, ...]]:
    """By release, what differs in Prefect from what we made there, in words that name the part.

    `applied` are the deployments as this plant made them. One that an earlier plant made is compared as well, except
    for its pause: the release may have been paused or resumed since.
    """
    found = {}
    for release, plan in wanted.items():
        theirs = [one for one in present if one.name == release]
        if not theirs:
            differing = [GONE] if release in applied else []
        elif len(theirs) > 1:
            differing = [TWICE]
        else:
            # A change of ours that is still to be made is no edit of theirs.
            ours = _expected(workspace, applied.get(release, plan))
            asked = ours.keys() - ({PAUSED} if release not in applied else set())
            differing = _differing(_found(theirs[0]), ours, sorted(asked))
        if differing:
            found[release] = tuple(differing)
    return found


def put_right(workspace: Workspace, plan: Deployment) -> None:
    """Makes a deployment anew; whatever had been added to it goes with the old one."""
    with held() as (client, present):
        for one in present:
            if one.name == plan.release:
                delete(client, one)
    deploy(workspace, plan)


def _differing(theirs: Mapping[str, Any], ours: Mapping[str, Any], parts: Sequence[str]) -> list[str]:
    return [f"{part} was {theirs[part]!r}, not {ours[part]!r}" for part in parts if theirs[part] != ours[part]]


def _expected(workspace: Workspace, plan: Deployment) -> dict[str, Any]:
    """Everything that decides what a deployment runs, and when."""
    return {
        "parameters": {"workspace": str(workspace.root), "release": plan.release},
        "schedule": [(plan.cron, plan.timezone, True, {})],
        "entrypoint": ENTRYPOINT,
        "code": [{"prefect.deployments.steps.set_working_directory": {"directory": str(code_folder())}}],
        "tags": sorted(plan.tags),
        "version": plan.version,
        "work pool": POOL,
        "job variables": {},
        "runs at once": 1,
        PAUSED: plan.paused,
    }


def _found(one: DeploymentResponse) -> dict[str, Any]:
    """The same of a deployment as Prefect holds it."""
    limit = one.global_concurrency_limit
    return {
        "parameters": one.parameters,
        "schedule": [
            (
                getattr(each.schedule, "cron", str(each.schedule)),
                getattr(each.schedule, "timezone", None),
                each.active,
                each.parameters,
            )
            for each in one.schedules
        ],
        "entrypoint": one.entrypoint,
        "code": one.pull_steps,
        "tags": sorted(one.tags),
        "version": one.version,
        "work pool": one.work_pool_name,
        "job variables": one.job_variables,
        "runs at once": limit.limit if limit and limit.active else None,
        PAUSED: one.paused,
    }
