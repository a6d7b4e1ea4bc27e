"""Comparison: what Prefect holds or asks for, set against what the Factory's own database says should be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory.runtime.deployments import (
    AGAIN,
    ENTRYPOINT,
    FLOW,
    POOL,
    POOL_TYPE,
    QUEUE,
    Deployment,
    all_planned,
    code_folder,
    pool_template,
)
from factory.runtime.incidents import PREFECT, Incident, record
from factory.state.room import open_factory
from shared.core.clock import parse_rfc3339
from shared.experiment.play import Schedule
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

PAUSED = "paused"
OCCURRENCE = "occurrence"
SCHEDULE, CRASH, SOMEBODY = "the schedule", "the plant after a crash", "somebody"
SHOWN = 300  # characters


@dataclass(frozen=True, slots=True)
class Order:
    """A flow run that Prefect asks for, with everything that decides what would run.

    Attributes:
        deployment: whose run it is; None where it is nobody's.
        flow: the name of the deployment's flow.
        pool: the work pool that the worker serves, as it stands now.
    """

    run: FlowRun
    deployment: DeploymentResponse | None
    flow: str | None
    pool: WorkPool


def judge(workspace: Workspace, order: Order) -> list[str]:
    """What speaks against an order now; it is on record as an incident before anything else becomes of the run."""
    plans, _ = all_planned(workspace)
    reasons = reasons_against(workspace, order, plans)
    if reasons:
        name = order.deployment.name if order.deployment else None
        subject = name if name in plans and order.flow == FLOW else PREFECT
        what = f"Prefect asked for a run of {_shown(name)}: {'; '.join(reasons)}"
        record(open_factory(workspace), Incident(subject or PREFECT, what, "it was not run", str(order.run.id)))
    return reasons


def reasons_against(workspace: Workspace, order: Order, plans: Mapping[str, Deployment]) -> list[str]:
    """Every way in which an order is not exactly the Factory's own; empty where it may run.

    `plans` are the deployments that releases should have by the Factory's database. Whether one rests is left to the
    run itself, which asks the database again.
    """
    deployment, run = order.deployment, order.run
    if deployment is None or run.deployment_id != deployment.id or run.flow_id != deployment.flow_id:
        return ["it belongs to no deployment of the Factory"]
    if order.flow != FLOW:
        return [f"its flow is {_shown(order.flow)}, not {FLOW!r}"]
    if deployment.name not in plans:
        return [f"the Factory has no release {_shown(deployment.name)} that could run"]
    plan = plans[deployment.name]
    ours = deployment_as_planned(workspace, plan)
    return [
        *differing(deployment_as_held(deployment), ours, ours.keys() - {PAUSED}),
        *_against_run(workspace, run, plan),
        *pool_differs(order.pool),
    ]


def differing(theirs: Mapping[str, Any], ours: Mapping[str, Any], parts: Iterable[str]) -> list[str]:
    """What differs between two descriptions, in words that name the part."""
    return [f"{part} was {_shown(theirs[part])}, not {_shown(ours[part])}" for part in sorted(parts)
            if theirs[part] != ours[part]]  # fmt: skip


def deployment_as_planned(workspace: Workspace, plan: Deployment) -> dict[str, Any]:
    """Everything that decides what a deployment runs, and when."""
    return {
        "parameters": {"workspace": str(workspace.root), "release": plan.release},
        "schedule": [(plan.cron, plan.timezone, True, {})],
        "entrypoint": ENTRYPOINT,
        "code": [{"prefect.deployments.steps.set_working_directory": {"directory": str(code_folder())}}],
        "path": None,
        "storage": (None, None),
        "tags": sorted(plan.tags),
        "version": plan.version,
        "work pool": (POOL, QUEUE),
        "job variables": {},
        "runs at once": 1,
        PAUSED: plan.paused,
    }


def deployment_as_held(one: DeploymentResponse) -> dict[str, Any]:
    """The same of a deployment as Prefect holds it."""
    limit = one.global_concurrency_limit
    return {
        "parameters": one.parameters,
        "schedule": [
            (getattr(at, "cron", str(at)), getattr(at, "timezone", None), each.active, each.parameters)
            for each in one.schedules
            for at in [each.schedule]
        ],
        "entrypoint": one.entrypoint,
        "code": one.pull_steps,
        "path": one.path,
        "storage": (one.storage_document_id, one.infrastructure_document_id),
        "tags": sorted(one.tags),
        "version": one.version,
        "work pool": (one.work_pool_name, one.work_queue_name),
        "job variables": one.job_variables,
        "runs at once": limit.limit if limit and limit.active else None,
        PAUSED: one.paused,
    }


def pool_differs(pool: WorkPool) -> list[str]:
    """What somebody has changed of the work pool; its limits and pauses hold runs up, and start none."""
    if pool.type != POOL_TYPE:
        return [f"the work pool's type was {_shown(pool.type)}, not {POOL_TYPE!r}"]
    return [] if pool.base_job_template == pool_template() else ["the work pool's job template was another one"]


def _against_run(workspace: Workspace, run: FlowRun, plan: Deployment) -> list[str]:
    ours = {
        "the run's parameters": {"workspace": str(workspace.root), "release": plan.release},
        "the run's job variables": {},
        "the run's work pool": (POOL, QUEUE),
        "the run's infrastructure": None,
    }
    theirs = {
        "the run's parameters": {name: value for name, value in run.parameters.items() if name != OCCURRENCE},
        "the run's job variables": run.job_variables or {},
        "the run's work pool": (run.work_pool_name, run.work_queue_name),
        "the run's infrastructure": run.infrastructure_document_id,
    }
    return [*differing(theirs, ours, ours), *_against_beginning(run, plan)]


def _against_beginning(run: FlowRun, plan: Deployment) -> list[str]:
    """The schedule begins a run, at its own moment; after a crash the plant does, and names the moment."""
    begun_by = SCHEDULE if run.auto_scheduled else CRASH if (run.idempotency_key or "").startswith(AGAIN) else SOMEBODY
    if begun_by == SOMEBODY:
        return ["it was begun by somebody, neither by its schedule nor by the plant after a crash"]
    named = run.parameters.get(OCCURRENCE)
    if (named is None) == (begun_by == SCHEDULE) and (named is None or _names(plan, named)):
        return []
    return [f"{OCCURRENCE} was {_shown(named)}, which is no moment of the schedule for a run begun by {begun_by}"]


def _names(plan: Deployment, moment: Any) -> bool:
    try:
        return Schedule(cron=plan.cron, timezone=plan.timezone).has(parse_rfc3339(moment))
    except (TypeError, ValueError):
        return False


def _shown(value: Any) -> str:
    """A value of somebody else's, without its control characters, and not at any length."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
