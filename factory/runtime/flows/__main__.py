"""What the worker starts for one flow run: the Factory's own flow, whatever Prefect's database says about code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import UUID

from prefect._internal.control_listener import configure_from_env
from prefect.client.orchestration import get_client
from prefect.engine import handle_engine_signals
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow

from factory.runtime.deployments import POOL
from factory.runtime.drift import Order, judge
from factory.runtime.flows.campaign import campaign
from shared.state.workspace import open_workspace


def main(root: Path, flow_run: UUID) -> None:
    """Runs one campaign, after it was compared once more: meanwhile somebody may have changed it."""
    configure_from_env()
    with handle_engine_signals(flow_run):
        order = _read(flow_run)
        reasons = judge(open_workspace(root), order)
        if reasons:
            raise SystemExit(f"not run, since it is not as the Factory made it: {'; '.join(reasons)}")
        run_flow(campaign, flow_run=order.run)


def _read(flow_run: UUID) -> Order:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run)
        try:
            deployment = client.read_deployment(run.deployment_id) if run.deployment_id else None
        except ObjectNotFound:
            deployment = None
        flow = client.read_flow(run.flow_id).name
        return Order(run, deployment, flow, client.read_work_pool(POOL))


if __name__ == "__main__":
    main(Path(sys.argv[1]), UUID(os.environ["PREFECT__FLOW_RUN_ID"]))
