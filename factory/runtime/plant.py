"""The plant: Prefect at work on this workspace's releases, its deployments following the Factory's own database."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from factory.releases.admission import AdmissionResult, admit
from factory.releases.releases import list_releases
from factory.runtime import deployments, incidents, processes, pulse
from factory.runtime.deployments import POOL, Deployment, FlowRunFacts
from factory.runtime.edits import edits, put_pool_right, put_right
from factory.runtime.foreign import remove_foreign
from factory.runtime.incidents import PREFECT, Incident
from factory.runtime.server import PrefectServer, choose_port
from factory.state.room import open_factory
from factory.state.settings import read_settings
from shared.core.errors import PilotPlantError, Undecided
from shared.core.times import date_time
from shared.experiment.play import Schedule
from shared.state.workspace import Workspace
from shared.ui.console import progress

RECONCILE_S = 3.0
POLL_S = 0.5
# From the scheduled moment to the end of a run, process start included, on a busy machine.
RUN_WAIT_S = 180.0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one round came to.

    Attributes:
        admission: what became of the inbox; None where nothing that matters to it has changed since the last round.
        changed: deployments that were made, renewed, paused or resumed now.
        removed: deployments of releases that are gone.
        again: releases whose last run had crashed, and was started once more.
        broken: releases that have no deployment, with the reason, each told once: their package cannot be read, or
            Prefect does not take their schedule.
        edited: what somebody had changed in Prefect itself, by deployment (or pool), with each change; it is made anew.
        foreign: what somebody had put into Prefect, by kind and name; it is gone.
        not_run: runs that Prefect asked for and the worker did not start.
    """

    admission: AdmissionResult | None
    changed: tuple[Deployment, ...]
    removed: tuple[str, ...]
    again: tuple[str, ...]
    broken: dict[str, str]
    edited: dict[str, tuple[str, ...]]
    foreign: tuple[str, ...]
    not_run: tuple[Incident, ...]

    def lines(self) -> list[str]:
        """What people should hear of it; nothing where nothing happened."""
        said = [f"admitted: {name}" for name in self.admission.admitted] if self.admission else []
        for name, reasons in self.admission.refused.items() if self.admission else ():
            said.append(f"refused: package {name[:12]}: " + "; ".join(reasons))
        said += [f"{'paused' if plan.paused else 'scheduled'}: {plan.release} ({plan.cron})" for plan in self.changed]
        said += [f"removed: {name}" for name in self.removed]
        said += [f"started again after a crash: {name}" for name in self.again]
        said += [
            f"edited in Prefect, and put right: {name}: {'; '.join(changes)}; `pilotplant factory` governs releases"
            for name, changes in self.edited.items()
        ]
        said += [f"not the Factory's, and removed from Prefect: {name}" for name in self.foreign]
        said += [f"not run: {one.what}" for one in self.not_run]
        return said + [f"has no schedule: {name}: {why}" for name, why in self.broken.items()]


class Plant:
    """One workspace's plant while it is up; `Plant(…).running()` makes one."""

    def __init__(self, workspace: Workspace, *, port: int | None = None, say: Callable[[str], None] = progress) -> None:
        """A plant that is not up yet; `port` overrides the settings' one, 0 takes any that is free."""
        self.workspace = workspace
        self.say = say
        self._port = port
        self._server: PrefectServer | None = None
        self._applied: dict[str, Deployment] = {}
        self._names: set[str] | None = None
        self._seen: tuple[Any, ...] | None = None
        self._rerun: set[str] = set()
        self._broken: dict[str, str] = {}
        self._told = 0

    @property
    def url(self) -> str:
        """Where people look at it."""
        return self._up.url

    @property
    def password_file(self) -> Path:
        """Where the password to it is."""
        return self._up.password_file

    @property
    def deployed(self) -> tuple[Deployment, ...]:
        """The deployments as they stand."""
        return tuple(self._applied.values())

    @contextmanager
    def running(self) -> Iterator[Plant]:
        """Server and worker are up inside, and gone with all their children afterwards."""
        home = pulse.home(self.workspace)
        with ExitStack() as stack:
            stack.enter_context(processes.only_one(pulse.lock_path(self.workspace)))
            leftovers = processes.stop_marked(str(home))
            if leftovers:
                self.say(f"stopped {leftovers} processes that a killed plant had left behind")
            port = choose_port(self._port, read_settings(self.workspace).prefect.port)
            self._server = PrefectServer(home, port, self.say)
            stack.callback(self._stop)
            _, self._told = incidents.since(open_factory(self.workspace), self._told)
            self._server.start()
            with self._prefect():
                deployments.create_pool()
                zombies = deployments.end_zombies()
            if zombies:
                self.say(f"closed {zombies} runs that a killed plant had left open")
            self._server.start_worker(self.workspace.root)
            with self._alive():
                yield self

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Says outside that the plant is up, and afterwards how it went down; nothing of a start that failed."""
        pulse.begin(self.workspace, self.url)
        try:
            yield
        except BaseException as error:
            pulse.end(self.workspace, error)
            raise
        pulse.end(self.workspace)

    def reconcile(self) -> Reconciled:
        """Admits what has arrived, and makes the deployments agree with the releases; a second time changes nothing."""
        self._up.require_alive()
        admission = self._admit()
        wanted, broken = deployments.all_planned(self.workspace)
        changed: list[Deployment] = []
        removed: list[str] = []
        with self._prefect():
            foreign, kept = self._remove_foreign()
            edited = self._put_right(wanted)
            for name, plan in wanted.items():
                if self._applied.get(name) == plan:
                    continue
                if (why := deployments.deploy(self.workspace, plan)) is not None:
                    broken[name] = why  # it stands in no other's way
                    continue
                self._applied[name] = plan
                changed.append(plan)
            if self._names != set(wanted):
                removed = deployments.remove_others(list(wanted))
            again = deployments.run_again_crashed(self._rerun)
        if kept:
            raise PilotPlantError(
                f"Prefect does not give up what is not the Factory's: {', '.join(kept)}",
                where=str(self.workspace.factory / "prefect" / "prefect.db"),
                remedy="stop the Factory and move that file away; the next start makes a new one from the releases",
            )
        self._names = set(wanted)
        self._applied = {name: plan for name, plan in self._applied.items() if name in wanted}
        return Reconciled(
            admission, tuple(changed), tuple(removed), tuple(again), broken, edited, foreign, self._not_run()
        )

    def wait_for_scheduled_runs(self, timeout_s: float = RUN_WAIT_S) -> list[FlowRunFacts]:
        """The next run that each live release's schedule fires from now on, once it has ended.

        Raises Undecided where one has not ended within `timeout_s`, or is not even due by then.
        """
        since, give_up = datetime.now(UTC), time.monotonic() + timeout_s
        waiting = [plan for plan in self._applied.values() if not plan.paused]
        _require_due_soon(waiting, since, timeout_s)
        ended: dict[str, FlowRunFacts] = {}
        while left := [plan.release for plan in waiting if plan.release not in ended]:
            self._up.require_alive()
            pulse.beat(self.workspace)
            with self._prefect():
                found = [deployments.scheduled_run(release, since) for release in left]
            ended |= {run.release: run for run in found if run is not None and run.final}
            if len(ended) < len(waiting) and time.monotonic() > give_up:
                raise Undecided(
                    f"not ended within {timeout_s:.0f} s: {', '.join(left)}",
                    where=f"{self.url} and {self.workspace.factory / 'prefect' / 'logs'}",
                    remedy="look at the flow run there; give --wait more seconds on a busy machine",
                )
            time.sleep(POLL_S)
        return [ended[plan.release] for plan in waiting]

    def keep_up(self, stopping: threading.Event, *, heard: Callable[[Reconciled], None]) -> None:
        """Reconciles every few seconds until `stopping` is set; raises where server or worker end by themselves.

        What goes wrong in a round (a file half edited, a full disk, a server that answers late) is said once, and tried
        again.
        """
        from httpx import HTTPError

        trouble = ""
        while not stopping.wait(RECONCILE_S):
            self._up.require_alive()
            try:
                heard(self.reconcile())
                trouble = ""
                pulse.beat(self.workspace)
            except (PilotPlantError, HTTPError, OSError) as error:
                with suppress(OSError):  # a full disk takes no word of it either
                    pulse.stumble(self.workspace, str(error).splitlines()[0] if str(error) else type(error).__name__)
                if str(error) != trouble:
                    trouble = str(error)
                    self.say(f"this round failed, and is tried again: {trouble}")

    @property
    def _up(self) -> PrefectServer:
        if self._server is None:
            raise PilotPlantError("the plant is not up", remedy="use it inside `with Plant(workspace).running()`")
        return self._server

    def _prefect(self) -> AbstractContextManager[None]:
        return deployments.talking_to(self._up.environment())

    def _stop(self) -> None:
        self.say("stopping Prefect's worker and server")
        try:
            self._up.stop()
        except KeyboardInterrupt:
            self._up.stop()  # impatience leaves no orphans either
            raise
        self._server, self._names, self._seen = None, None, None
        self._applied.clear()

    def _remove_foreign(self) -> tuple[tuple[str, ...], list[str]]:
        """Removes what is not ours from Prefect, each thing on record, and says what could not be removed."""
        foreign, kept = remove_foreign([release.name for release in list_releases(self.workspace)])
        for name in foreign:
            self._record(PREFECT, f"not the Factory's: {name}", "it was removed from Prefect")
        return tuple(foreign), kept

    def _put_right(self, wanted: Mapping[str, Deployment]) -> dict[str, tuple[str, ...]]:
        """Makes anew whatever was changed in Prefect itself, and says what that was."""
        pool = put_pool_right()
        with deployments.held() as (_, present):
            edited = edits(self.workspace, wanted, self._applied, present)
        for release in edited:
            # One that Prefect does not take any more is tried again, and told, as a new one is.
            self._applied.pop(release, None)
            if put_right(self.workspace, wanted[release]) is None:
                self._applied[release] = wanted[release]
        edited |= {f"work pool {POOL}": pool} if pool else {}
        for name, changes in edited.items():
            self._record(name if name in wanted else PREFECT, f"edited in Prefect: {'; '.join(changes)}", "put right")
        return edited

    def _record(self, subject: str, what: str, done: str) -> None:
        incidents.record(open_factory(self.workspace), Incident(subject, what, done))

    def _not_run(self) -> tuple[Incident, ...]:
        """The runs that the worker has refused since this was asked last."""
        found, self._told = incidents.since(open_factory(self.workspace), self._told)
        return tuple(one for one in found if one.flow_run is not None)

    def _admit(self) -> AdmissionResult | None:
        """Looks at the inbox again only where something has changed that could change the answer."""
        seen = _fingerprint(self.workspace)
        if seen == self._seen:
            return None
        result = admit(self.workspace)
        self._seen = seen
        return result


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """An event that Ctrl-C, `kill` or a closed terminal sets; everything inside ends in order."""
    stopping = threading.Event()

    def told(number: int, _frame: Any) -> None:
        if stopping.is_set():
            return  # already on the way out: processes are being ended one by one
        stopping.set()
        # While the server starts there is no loop yet that looks at the event.
        raise KeyboardInterrupt(signal.Signals(number).name)

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.signal(kind, told) for kind in kinds}
    try:
        yield stopping
    except KeyboardInterrupt:
        if not stopping.is_set():
            raise
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _require_due_soon(waiting: list[Deployment], now: datetime, timeout_s: float) -> None:
    for plan in waiting:
        upcoming = Schedule(cron=plan.cron, timezone=plan.timezone).next(now)
        if upcoming > now + timedelta(seconds=timeout_s):
            raise Undecided(
                f"release {plan.release} is not due before {date_time(upcoming)}",
                expected=f"a run within {timeout_s:.0f} s",
                remedy=f"wait longer with --wait, or run it now with `pilotplant factory run {plan.release}`",
            )


def _fingerprint(workspace: Workspace) -> tuple[Any, ...]:
    """Changes whenever a package, a pinned key, a setting, a contract or the warehouse does."""
    watched = [workspace.configs / "factory.yaml", workspace.factory / "warehouse.duckdb"]
    folders = (workspace.factory / "inbox", workspace.configs / "trusted_keys", workspace.promotion / "keys")
    for folder in (*folders, workspace.configs / "contracts"):
        # A folder that begins with a dot is work in progress, or was moved aside.
        watched += sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    return tuple((str(path), path.stat().st_mtime_ns) for path in watched if path.exists())
