"""Edits: what somebody has changed of our deployments in Prefect itself, which only calls and never knows better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from factory.runtime.deployments import (
    POOL,
    POOL_TYPE,
    Deployment,
    client_of_ours,
    create_pool,
    deploy,
    held,
    pool_template,
)
from factory.runtime.drift import PAUSED, deployment_as_held, deployment_as_planned, differing, pool_differs
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

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
            changes = [GONE] if release in applied else []
        elif len(theirs) > 1:
            changes = [TWICE]
        else:
            # A change of ours that is still to be made is no edit of theirs.
            ours = deployment_as_planned(workspace, applied.get(release, plan))
            asked = ours.keys() - ({PAUSED} if release not in applied else set())
            changes = differing(deployment_as_held(theirs[0]), ours, asked)
        if changes:
            found[release] = tuple(changes)
    return found


def put_right(workspace: Workspace, plan: Deployment) -> str | None:
    """Makes a deployment anew; whatever had been added to it goes with the old one.

    Returns why Prefect does not take it, and None where it does.
    """
    with held() as (client, present):
        for one in present:
            if one.name == plan.release:
                client.delete_deployment(one.id)
    return deploy(workspace, plan)


def put_pool_right() -> tuple[str, ...]:
    """Makes the work pool as it should be again, and returns what was not."""
    from prefect.client.schemas.actions import WorkPoolUpdate

    create_pool()
    with client_of_ours() as client:
        pool = client.read_work_pool(POOL)
        changes = pool_differs(pool)
        if pool.type != POOL_TYPE:  # which can only be made anew; the deployments follow
            client.delete_work_pool(POOL)
            create_pool()
        elif changes or pool.is_paused or pool.concurrency_limit is not None:
            changes = changes or ["it was held up"]
            whole = WorkPoolUpdate(base_job_template=pool_template(), is_paused=False, concurrency_limit=None)
            client.update_work_pool(POOL, whole)
    return tuple(changes)
