"""The worker: it compares what Prefect asks for with the Factory's database, and starts the Factory's own code."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.abc
import anyio.to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Cancelled, Crashed
from prefect.utilities.processutils import command_to_string, setup_signal_handlers_worker
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult

from factory.runtime.deployments import POOL, POOL_TYPE
from factory.runtime.drift import Order, judge
from factory.runtime.flows.campaign import campaign
from shared.state.workspace import Workspace, open_workspace

NAME = "plant"
REFUSED = "Refused"


class CampaignJob(ProcessJobConfiguration):
    """How one campaign is started: nothing of it comes from Prefect's database."""

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,  # noqa: ARG003 - Prefect's own signature
        work_pool: WorkPool,  # noqa: ARG003
        worker_name: str,
        worker_id: Any = None,
        deployment: DeploymentResponse | None = None,  # noqa: ARG003
    ) -> Self:
        """The job of a flow run, without any template, block, variable or job variable."""
        job = cls()
        job.prepare_for_flow_run(flow_run, worker_name=worker_name, worker_id=worker_id)
        return job


class CampaignWorker(BaseWorker[CampaignJob, ProcessVariables, ProcessWorkerResult]):
    """Prefect's process worker, narrowed to the campaigns of one workspace."""

    type = POOL_TYPE
    job_configuration = CampaignJob
    job_configuration_variables = ProcessVariables

    def __init__(self, workspace: Workspace) -> None:
        """A worker of the Factory's pool."""
        super().__init__(POOL, name=NAME, create_pool_if_not_found=False)
        self._workspace = workspace
        self._trouble = ""

    @classmethod
    def __dispatch_key__(cls) -> str:
        """A name of its own among Prefect's workers, whose process worker stays what it is."""
        return "pilotplant"

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Prefect's own first step for a run, taken only where the run is ours in every part."""
        if await self._may_run(flow_run):
            await super()._submit_run(flow_run)
            return
        self._release_limit_slot(flow_run.id)
        self._submitting_flow_run_ids.discard(flow_run.id)
        if self._cancelling_observer is not None:
            self._cancelling_observer.remove_in_flight_flow_run_id(flow_run.id)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: CampaignJob,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Starts the Factory's own flow in a process, and waits for its end."""
        ended: FlowRunExecutionResult | None = None

        async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
            nonlocal ended
            ended = await executor.submit(task_status=task_status)

        async with FlowRunExecutorContext() as context:
            starter = EngineCommandStarter(
                command=command_to_string(
                    [sys.executable, "-P", "-m", "factory.runtime.flows", str(self._workspace.root)]
                ),
                cwd=os.environ["PREFECT_HOME"],
                env=configuration.env,
                control_channel=context.control_channel,
            )
            # Prefect would load the flow, for what it may want to do after a crash, from where its database says.
            executor = context.create_executor(flow_run, starter, resolve_flow=_campaign, propose_submitting=False)
            async with anyio.create_task_group() as group:
                handle: ProcessHandle = await group.start(execute)
                if task_status is not None and handle.pid is not None:
                    task_status.started(handle.pid)
        if ended is None or ended.status_code is None:
            raise RuntimeError("the process of the run could not be started")
        return ProcessWorkerResult(status_code=ended.status_code, identifier=str(ended.handle.pid))

    async def _may_run(self, flow_run: FlowRun) -> bool:
        """Whether a run is ours; one that is not is ended, and one that cannot be compared now waits."""
        try:
            order = await self._order(flow_run)
            reasons = await anyio.to_thread.run_sync(judge, self._workspace, order)
            if reasons:
                await self._end(order, reasons)
        except Exception as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._logger.exception("run %s cannot be compared, so it waits", flow_run.id)
            return False
        self._trouble = ""
        return not reasons

    async def _order(self, flow_run: FlowRun) -> Order:
        """The run as it stands now: what a poll hands out leaves parts of it unsaid."""
        run = await self.client.read_flow_run(flow_run.id)
        try:
            deployment = await self.client.read_deployment(run.deployment_id) if run.deployment_id else None
        except ObjectNotFound:
            deployment = None
        flow = await self.client.read_flow(run.flow_id)
        return Order(run, deployment, flow.name, await self.client.read_work_pool(POOL))

    async def _end(self, order: Order, reasons: list[str]) -> None:
        """Ends a run that is not ours; one that the schedule made crashes, and starts again once the pool is right."""
        said = f"not run, since it is not as the Factory made it: {'; '.join(reasons)}"
        self._logger.error("run %s: %s", order.run.id, said)
        state = Crashed if order.run.auto_scheduled else Cancelled
        await self.client.set_flow_run_state(order.run.id, state(name=REFUSED, message=said), force=True)


async def _campaign(_flow_run: FlowRun) -> Any:
    return campaign


def main(root: Path) -> None:
    """Works until it is told to end."""
    worker = CampaignWorker(open_workspace(root))
    setup_signal_handlers_worker(os.getpid(), "the plant's worker", print)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(worker.start())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
