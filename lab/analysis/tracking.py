"""MLflow, the Lab's notebook: one run per analysis, logged in one batch. The only file that imports it.

MLflow lets a finished run be changed, so it is never the authority: a candidate carries its own export.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.analysis.report import PAGE
from lab.pilots.pilot import Pilot
from shared.core.clock import rfc3339
from shared.core.digests import digest_file
from shared.core.files import locked, scratch_in, sync_folder
from shared.core.money import Money
from shared.core.printable import line
from shared.evidence.model import Evidence
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STORE = "mlflow.db"
ARTIFACTS = (PAGE, "evidence.json")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as candidates carry it in `mlflow_run.json`.

    Attributes:
        artifacts: each file logged, with its digest.
    """

    run_id: str
    experiment: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: dict[str, str]
    schema_version: int = 1


def store_uri(workspace: Workspace) -> str:
    """Where the Lab's MLflow keeps its runs."""
    return f"sqlite:///{workspace.lab / STORE}"


def log(workspace: Workspace, pilot: Pilot, evidence: Evidence, folder: Path, *, cost: Money, interim: bool) -> Run:
    """Logs an analysis as one run of the pilot's experiment: parameters, metrics, tags and the files of `folder`."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1")
    from mlflow.entities import Metric, Param, RunTag

    client = _client(workspace)
    identity = _experiment(client, workspace, pilot.name)
    params, metrics = {name: line(text) for name, text in _params(pilot).items()}, _metrics(evidence, cost)
    tags = {"evidence": evidence.digest, "promise": evidence.promise, "interim": str(interim).lower(),
            "mode": workspace.mode, "owner": line(pilot.charter.owner)}  # fmt: skip
    names = (*ARTIFACTS, *sorted(path.name for path in folder.glob("*.svg")))
    artifacts = {name: digest_file(folder / name) for name in names}
    now = workspace.clock.now()
    stamp = int(now.timestamp() * 1000)
    run_id = _unfinished(client, identity, tags) or str(
        client.create_run(identity, start_time=stamp, run_name=f"{pilot.name} {rfc3339(now)}", tags=tags).info.run_id
    )
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, stamp, 0) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    for name in names:
        client.log_artifact(run_id, str(folder / name))
    client.set_terminated(run_id, "FINISHED", end_time=stamp)
    return Run(run_id, pilot.name, params, metrics, tags, artifacts)


def _experiment(client: MlflowClient, workspace: Workspace, name: str) -> str:
    """The pilot's experiment, with its artifacts in this workspace.

    MLflow keeps the place of the artifacts as an absolute path: one in another folder is from before the workspace was
    moved, or is the original's of which this is a copy. It keeps its runs under another name.
    """
    place = (workspace.lab / "mlartifacts" / name).as_uri()
    known = client.get_experiment_by_name(name)
    if known is not None and known.artifact_location == place:
        return str(known.experiment_id)
    if known is not None:
        client.rename_experiment(known.experiment_id, f"{name} (experiment {known.experiment_id}, in another folder)")
    return str(client.create_experiment(name, artifact_location=place))


def _unfinished(client: MlflowClient, experiment: str, tags: dict[str, str]) -> str | None:
    """The run of this very analysis, where that was cut off before the Lab recorded it; it is written again."""
    wanted = " and ".join(f"tags.{name} = '{tags[name]}'" for name in ("evidence", "interim"))
    return next((run.info.run_id for run in client.search_runs([experiment], filter_string=wanted)), None)


def _client(workspace: Workspace) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its tables at every first use
    store = workspace.lab / STORE
    with locked(store.with_name(f".{STORE}.lock")):
        if not store.exists():
            # MLflow makes its tables step by step and cannot go on where it was cut off: all of them, or none.
            with scratch_in(workspace.lab) as scratch:
                MlflowClient(f"sqlite:///{scratch / STORE}").search_experiments()
                (scratch / STORE).rename(store)
            sync_folder(workspace.lab)
    return MlflowClient(store_uri(workspace))


def _params(pilot: Pilot) -> dict[str, str]:
    charter = pilot.charter
    return {
        "hypothesis": f"Because {charter.hypothesis.because}, we believe that {charter.hypothesis.we_believe} "
        f"will {charter.hypothesis.will}",
        "arms": ", ".join(charter.weights),
        "control": charter.control.name,
        "primary": ", ".join(primary.metric for primary in charter.primaries),
        "minimum_effect": ", ".join(str(primary.minimum_effect) for primary in charter.primaries),
        "guardrails": ", ".join(f"{rail.metric} {rail.margin:+g}" for rail in charter.guardrails),
        "alpha": str(charter.alpha),
        "units_per_arm": str(charter.sample.units_per_arm),
        "time_box": f"{charter.time_box.start} to {charter.time_box.end}",
        "snapshot": pilot.snapshot,
    }


def _metrics(evidence: Evidence, cost: Money) -> dict[str, float]:
    """Every number of the evidence that is one, under `arm/metric/name`."""
    found = {"cost": float(cost.amount), "exposures": float(evidence.exposures), "outcomes": float(evidence.outcomes)}
    ratio = evidence.health.sample_ratio
    found |= {f"health/sample_ratio_{name}": value for name, value in ratio if value is not None}
    found["health/multiple_units"] = float(evidence.health.multiple_units)
    for arm in evidence.arms:
        found[f"{arm.arm}/units"] = float(arm.units)
        found |= {f"{arm.arm}/{name}/mean": moments.mean for name, moments in arm.moments.items()}
    for effect in evidence.effects:
        numbers = effect.model_dump(exclude={"arm", "metric", "part", "plain", "problem"}, exclude_none=True)
        found |= {f"{effect.arm}/{effect.metric}/{name}": float(value) for name, value in numbers.items()}
    return found
