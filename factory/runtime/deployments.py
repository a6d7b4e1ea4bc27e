"""Deployments: the releases as Prefect knows them, one each, made to agree with the Factory's own database."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.releases.releases import list_releases, play_of
from factory.state.room import open_factory
from factory.state.states import Release, stopped
from shared.core.clock import rfc3339, whole_minute
from shared.core.digests import short
from shared.core.errors import BadInput
from shared.core.jsonable import INSIDE
from shared.experiment.play import Play
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, StateType
    from prefect.client.schemas.responses import DeploymentResponse

POOL, POOL_TYPE, QUEUE = "factory", "process", "default"
FLOW = "campaign"
ENTRYPOINT = "factory/runtime/flows/campaign.py:campaign"
TAG = "pilotplant"
AGAIN = "again-"  # how the key of a run begins that was started once more after a crash
_NOT_TAKEN = (400, 422)  # HTTP's own numbers for what is not understood
PAGE = 200  # what the server gives out at most


@dataclass(frozen=True, slots=True)
class Deployment:
    """A release as a deployment.

    Attributes:
        version: the first digits of its package's digest.
        paused: whether the schedule rests.
    """

    release: str
    cron: str
    timezone: str
    version: str
    paused: bool
    tags: tuple[str, ...] = field(metadata=INSIDE)


@dataclass(frozen=True, slots=True)
class FlowRunFacts:
    """What Prefect says of one flow run.

    Attributes:
        state: the state's name, `Completed` or `Skipped` where all went well.
        message: the state's own words.
        auto_scheduled: whether the schedule itself has made it.
        scheduled: the moment that the schedule named.
    """

    release: str
    flow_run: str
    state: str
    message: str | None
    final: bool = field(metadata=INSIDE)
    auto_scheduled: bool
    scheduled: datetime | None
    ended: datetime | None


def planned(release: Release, play: Play, *, stopped: bool) -> Deployment:
    """The deployment that a release should have now."""
    paused = stopped or release.state != "live"
    tags = (TAG, f"pilot:{release.pilot}", f"arm:{release.arm}")
    return Deployment(release.name, play.schedule.cron, play.schedule.timezone, short(release.package), paused, tags)


def all_planned(workspace: Workspace) -> tuple[dict[str, Deployment], dict[str, str]]:
    """The deployments that releases should have now, by name; and why there is none, where a package cannot be read."""
    wanted: dict[str, Deployment] = {}
    broken: dict[str, str] = {}
    with open_factory(workspace).read() as connection:
        everything = stopped(workspace, connection) is not None
    for release in list_releases(workspace):
        if release.state == "retired":
            continue
        try:
            play = play_of(workspace, release)
        except BadInput as error:
            broken[release.name] = error.what
        else:
            wanted[release.name] = planned(release, play, stopped=everything)
    return wanted, broken


@contextmanager
def talking_to(environment: Mapping[str, str]) -> Iterator[None]:
    """Makes Prefect in this process use our server, whatever the user's environment or profile says."""
    ours = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    theirs = {name for name in os.environ if name.startswith("PREFECT_")} - set(environment)
    before = {name: os.environ.get(name) for name in {*ours, *theirs}}
    _set_environment({**ours, **dict.fromkeys(theirs)})
    try:
        # Imported only now: Prefect reads its settings as it is imported.
        from prefect.context import SettingsContext
        from prefect.settings import PREFECT_API_KEY, Profile, Settings

        # A `.env` or `prefect.toml` in the current folder must not add credentials of some other server.
        settings = Settings().copy_with_update(updates={PREFECT_API_KEY: None})
        with SettingsContext(profile=Profile(name="pilotplant", settings={}), settings=settings):
            yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def pool_template() -> dict[str, Any]:
    """The job template of our work pool, which is Prefect's own."""
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()


def create_pool() -> None:
    """The work pool that the worker serves, made if need be."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    with client_of_ours() as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL_TYPE, base_job_template=pool_template()))


def deploy(workspace: Workspace, wanted: Deployment) -> str | None:
    """Makes or renews the deployment, its schedule active unless it is to rest.

    Returns why Prefect does not take it, and None where it does.
    """
    from prefect.deployments.runner import DeploymentApplyError
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        _deploy(workspace, wanted)
    except (DeploymentApplyError, PrefectHTTPStatusError) as error:
        # Of a deployment that is new, what the server answers is the cause of an error of Prefect's own.
        answer = error.__cause__ if isinstance(error, DeploymentApplyError) else error
        if not (isinstance(answer, PrefectHTTPStatusError) and answer.response.status_code in _NOT_TAKEN):
            raise  # the server's own trouble, which passes
        return f"Prefect does not take its schedule: {answer.response.text}"
    except ValueError as error:  # pydantic's errors are some
        return f"Prefect does not take its schedule: {str(error).splitlines()[0]}"
    return None


def _deploy(workspace: Workspace, wanted: Deployment) -> None:
    from prefect import Flow
    from prefect.schedules import Cron

    # Prefect reports on stdout, which belongs to our own results.
    with contextlib.redirect_stdout(io.StringIO()):
        flow: Any = Flow.from_source(source=str(code_folder()), entrypoint=ENTRYPOINT)
        flow.deploy(
            wanted.release,
            work_pool_name=POOL,
            build=False,
            push=False,
            schedule=Cron(wanted.cron, timezone=wanted.timezone),
            paused=wanted.paused,
            parameters={"workspace": str(workspace.root), "release": wanted.release},
            tags=list(wanted.tags),
            version=wanted.version,
            concurrency_limit=1,
            ignore_warnings=True,
            print_next_steps=False,
        )


@contextmanager
def held() -> Iterator[tuple[SyncPrefectClient, list[DeploymentResponse]]]:
    """Every deployment as Prefect holds it now, with a client to change it."""
    with client_of_ours() as client:
        known: list[DeploymentResponse] = []
        while page := client.read_deployments(limit=PAGE, offset=len(known)):
            known += page
        yield client, known


def remove_others(names: Sequence[str]) -> list[str]:
    """Deletes the deployments of releases that are not among `names`; returns which."""
    gone: list[str] = []
    with held() as (client, known):
        for deployment in known:
            if deployment.name not in names:
                client.delete_deployment(deployment.id)  # with the runs that its schedule was yet to make
                gone.append(deployment.name)
    return gone


def scheduled_run(release: str, since: datetime) -> FlowRunFacts | None:
    """The first run of a release that the schedule itself made for `since` or later; None where there is none yet."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    with client_of_ours() as client:
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[release])),
            flow_run_filter=FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(after_=since)),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=10,
        )
    return next((_facts(release, run) for run in found if run.auto_scheduled), None)


def end_zombies() -> int:
    """Closes runs that no process works on any more, as after a power cut; to be called while no worker is up.

    Prefect would keep them `Running` for ever, and each holds the one slot of its deployment: the schedule would
    fire, and no run would ever begin.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    with client_of_ours() as client:
        zombies = _in_states(client, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
        for run in zombies:
            client.set_flow_run_state(run.id, Crashed(message="cut off with the plant it ran in"), force=True)
    return len(zombies)


def run_again_crashed(known: set[str]) -> list[str]:
    """Starts each crashed run of a schedule once more, at its own occurrence; returns their releases.

    The run itself finds out whether it is too late, or whether all was done before the crash. `known` holds the
    runs that were seen to, and grows.
    """
    from prefect.client.schemas.objects import StateType

    again = []
    with held() as (client, present):
        ours = {one.id: one.name for one in present}
        for run in _in_states(client, StateType.CRASHED):
            if str(run.id) in known or not run.auto_scheduled or run.deployment_id not in ours:
                continue
            release = ours[run.deployment_id]
            moment = whole_minute(run.expected_start_time or datetime.now(UTC))
            client.create_flow_run_from_deployment(
                run.deployment_id,
                parameters={"occurrence": rfc3339(moment)},
                idempotency_key=f"{AGAIN}{run.id}",  # the same after a restart: Prefect makes it once
            )
            known.add(str(run.id))
            again.append(release)
    return again


def _in_states(client: SyncPrefectClient, *types: StateType) -> list[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=wanted), sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE
    )


def code_folder() -> Path:
    """The folder that holds the package `factory`."""
    return Path(__file__).resolve().parents[2]


def _facts(release: str, run: FlowRun) -> FlowRunFacts:
    state = run.state
    return FlowRunFacts(
        release=release,
        flow_run=str(run.id),
        state=state.name or state.type.value if state else "unknown",
        message=state.message if state else None,
        final=state.is_final() if state else False,
        auto_scheduled=bool(run.auto_scheduled),
        scheduled=run.expected_start_time,
        ended=run.end_time,
    )


def client_of_ours() -> SyncPrefectClient:
    """A client of the server that `talking_to` names."""
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)
