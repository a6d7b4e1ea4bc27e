"""The demo's story, scene by scene; every step is a command, run in this process by the same code."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from pilotplant.demo.shop import Shop, open_shop, write_customers, write_results
from pilotplant.desk.links import address_at
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import write_atomically
from shared.state.workspace import Workspace, open_workspace
from shared.ui.console import DESK_PORT, emit, styled

OWNER = "owner@example.com"
GOOD, BROKEN = "spring-mail", "womens-mail"
ARMS = {GOOD: ["control", "mens", "womens"], BROKEN: ["control", "womens"]}
LOST = {GOOD: None, BROKEN: "womens"}
COSTS = {GOOD: ("640.00", "mailing"), BROKEN: ("410.00", "mailing")}
WEEKS, DAYS_TO_DECIDE = 2, 7
INSIGHT = (
    "A quarter of the women's mail records never came back, so this pilot says nothing about the mail; "
    "count the records of every arm on the first day."
)
# Every demo draws the same arms: a rehearsal's pseudonyms protect nobody, since its customers are known.
PSEUDONYM_KEY = "2008" * 16
NONCE_SEED = "demo"
DAYS_VOUCHED = 90
RUN_TIMEOUT_S = 180.0
# The demo's release writes every minute, so that its schedule fires while people watch; so is its cap on contacts.
MINUTES_PER_WEEK = 7 * 24 * 60


# Runs one command in this process: its result, or its exit code where that is not 0.
Run = Callable[[list[str]], Any]


@dataclass(frozen=True, slots=True)
class Scaled:
    """A pilot that the gate admitted, and the release that it became."""

    pilot: str
    decision: str
    arm: str
    release: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A pilot that the gate refused, and what it taught."""

    pilot: str
    decision: str
    insight: str


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """The run of the release that its schedule fired: its state, and in words how many messages it wrote."""

    release: str
    state: str
    message: str | None
    auto_scheduled: bool


@dataclass(frozen=True, slots=True)
class Urls:
    """Where to look: a page, and the commands that open the other two."""

    report: Path
    mlflow: str
    prefect: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What the demo has come to.

    Attributes:
        live_refused: what the live workspace said to the rehearsal's package.
        seconds: how long all of it took.
    """

    workspace: Path
    live_workspace: Path
    pilots: tuple[Scaled | Stopped, ...]
    releases: tuple[str, ...]
    scheduled_run: ScheduledRun
    live_refused: tuple[str, ...]
    urls: Urls
    seconds: float

    def lines(self) -> list[str]:
        """Where to look, and what to try next."""
        rehearsal = _from_here(self.workspace)
        pilotplant = f"{command('pilotplant')} --workspace {rehearsal}"
        return [
            "",
            f"Done in {self.seconds:.0f} s. Where to look:",
            f"  what the pilot showed   {_from_here(self.urls.report)}",
            f"  every run in MLflow     {self.urls.mlflow}",
            f"  the Factory in Prefect  {self.urls.prefect}",
            f"  messages                {rehearsal}/var/factory/outgoing/",
            "What to try next:",
            f"  {pilotplant} status",
            f"  {pilotplant} promote check {GOOD} --explain guardrails",
            f"  {pilotplant} factory stop-all --reason 'trying the switch'",
            f"  {pilotplant} lab new my-first-pilot",
            "",
            f"All of it in a browser, at {address_at(DESK_PORT)}; this serves it and prints the links that let you in:",
            f"  {pilotplant} desk        # Ctrl-C stops it",
        ]


def command(name: str) -> str:
    """How a command is called from here: by its name where a shell finds it, else by its path."""
    own = Path(sys.executable).with_name(name)
    if shutil.which(name) or not own.exists():
        return name
    return str(_from_here(own))


def _from_here(path: Path) -> Path:
    """The path from the current folder, where it lies below; nobody reads the long one."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


class Stage:
    """Where the story plays: prints each scene and command, and runs it."""

    def __init__(self, folder: Path, shop: Shop, command: Run, *, quiet: bool) -> None:
        self.folder, self.shop, self.command, self.quiet = folder, shop, command, quiet
        self.inputs, self.root, self.live = folder / "inputs", folder / "rehearsal", folder / "live"
        self.workspace: Workspace | None = None

    def say(self, text: str) -> None:
        """One sentence of the story."""
        if not self.quiet:
            emit(False, {}, "", styled(text))

    def run(self, *arguments: str | Path, expect: int = 0, root: Path | None = None) -> Any:
        """Runs a command in the rehearsal (or another workspace) and returns its result; a surprise ends the demo."""
        given = (_from_here(word) if isinstance(word, Path) else word for word in arguments)
        words = ["--workspace", str(root or self.root), *map(str, given)]
        if not self.quiet:
            emit(False, {}, styled(f"$ pilotplant {shlex.join(words)}", "cyan"))
        # What a command prints belongs to the story; with --json only the ending is printed.
        with redirect_stdout(io.StringIO()) if self.quiet else nullcontext():
            found = self.command(words)
        code = found if isinstance(found, int) and not isinstance(found, bool) else 0
        if code != expect:
            raise PilotPlantError(
                f"the demo expected exit code {expect} and got {code}", where=shlex.join(["pilotplant", *words])
            )
        return found

    @property
    def here(self) -> Workspace:
        """The rehearsal."""
        if self.workspace is None:
            self.workspace = open_workspace(self.root)
        return self.workspace


def free_folder(wanted: Path) -> Path:
    """`wanted`, or the first of `wanted-2`, `wanted-3` and so on that does not exist yet: a demo deletes nothing."""
    names = (wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def run_demo(into: Path, data: Path | None, *, run: Run, quiet: bool = False) -> Ending:
    """Plays the whole story into a new folder, each step through `run`, the command line itself.

    Raises BadInput where the folder is taken or the data cannot be read.
    """
    began = time.monotonic()
    if into.exists() and any(into.iterdir()):
        raise BadInput(
            "the demo's folder is not empty", where=str(into), remedy=f"remove it, or choose another: --into {into}-2"
        )
    stage = Stage(_from_here(into.resolve()), open_shop(data), run, quiet=quiet)
    stage.inputs.mkdir(parents=True)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(weeks=WEEKS)
    _prepare(stage, start)
    _launch(stage, start, today)
    _run_pilots(stage, start, today)
    scaled, stopped, report = _conclude(stage)
    fired = _produce(stage)
    refused = _refuse_live(stage)
    stage.say("Nothing that was recorded has been changed since, and both environments are on one screen.")
    stage.run("promote", "verify")
    stage.run("status")
    return _ended(stage, (scaled, stopped), report, fired, refused, time.monotonic() - began)


def _ended(
    stage: Stage,
    pilots: tuple[Scaled | Stopped, ...],
    report: Path,
    fired: ScheduledRun,
    refused: tuple[str, ...],
    seconds: float,
) -> Ending:
    store = f"sqlite:///{stage.root}/var/lab/mlflow.db"
    return Ending(
        workspace=stage.root.resolve(),
        live_workspace=stage.live.resolve(),
        pilots=pilots,
        releases=tuple(each.release for each in pilots if isinstance(each, Scaled)),
        scheduled_run=fired,
        live_refused=refused,
        urls=Urls(
            report=report.resolve(),
            mlflow=f"{command('mlflow')} ui --host 127.0.0.1 --backend-store-uri {store}",
            prefect=f"{command('pilotplant')} --workspace {stage.root} factory up",
        ),
        seconds=round(seconds, 1),
    )


def _prepare(stage: Stage, start: datetime) -> None:
    kind = (
        "64,000 synthetic customers"
        if stage.shop.synthetic
        else f"the e-mail test's {stage.shop.customers.num_rows:,} customers"
    )
    stage.say(f"A rehearsal workspace, with {kind}. Its clock is set back two weeks and will end at the present.")
    if stage.shop.synthetic:
        stage.say(
            "What they do is drawn from the published cell figures of the 2008 MineThatData e-mail test (Hillstrom); "
            "exposure times and costs are inputs of this demo."
        )
    else:
        stage.say(
            "Arms and outcomes are the test's own; exposure times, outcome times and costs are inputs of this demo."
        )
    stage.run("init", stage.root, "--rehearsal", root=stage.root)
    write_atomically(stage.here.factory / "pseudonym.key", PSEUDONYM_KEY)
    settings = stage.here.configs / "factory.yaml"
    allowed = re.sub(
        "^contacts_per_week: .*", f"contacts_per_week: {MINUTES_PER_WEEK}", settings.read_text(), flags=re.MULTILINE
    )
    write_atomically(settings, allowed)
    _configure(stage.here.configs, synthetic=stage.shop.synthetic)
    stage.here.clock.set(start - timedelta(hours=12))
    write_customers(stage.shop, stage.inputs / "customers.csv")
    stage.say(
        "Factory: customers come in through their contract (three broken rows are quarantined), and leave masked."
    )
    stage.run("factory", "load", "customers", stage.inputs / "customers.csv")
    stage.run("factory", "publish")


def _configure(configs: Path, *, synthetic: bool) -> None:
    """The same draws in every demo; and where the arms are the published test's own, the owner may vouch for them."""
    gate, people = configs / "gate.yaml", configs / "people.yaml"
    write_atomically(gate, f"{gate.read_text()}nonce_seed: {NONCE_SEED}\n")
    if not synthetic:
        known = people.read_text().replace(
            "    # waives: [{checks: [sample_planned],", "    waives: [{checks: [randomised],"
        )
        write_atomically(people, known)


def _launch(stage: Stage, start: datetime, end: datetime) -> None:
    stage.say(
        "Lab: two charters are written, checked and frozen. The gate notes their digests before anybody is exposed."
    )
    for name in ARMS:
        _write_pilot(stage, name, start, end)
        stage.run("lab", "check", name)
        stage.run("lab", "launch", name)


def _write_pilot(stage: Stage, name: str, start: datetime, end: datetime) -> None:
    values = {
        "assignment": "pilotplant" if stage.shop.synthetic else "source",
        "synthetic": str(stage.shop.synthetic).lower(),
        "start": start.date(),
        "end": end.date(),
        "decide_by": (end + timedelta(days=DAYS_TO_DECIDE)).date(),
    }
    target = stage.here.pilots / name
    with resources.as_file(resources.files("pilotplant.demo") / "pilots" / name) as source:
        shutil.copytree(source, target)
    charter = target / "charter.yaml"
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - YAML, not HTML
    charter.write_text(environment.from_string(charter.read_text()).render(values) + "\n", encoding="utf-8")


def _run_pilots(stage: Stage, start: datetime, end: datetime) -> None:
    stage.say("Two weeks pass. The shop mails, and reports under its own ids, which become pseudonyms on their way in.")
    stage.say(f"On purpose, a quarter of the records of arm `{LOST[BROKEN]}` of {BROKEN} gets lost.")
    for name, arms in ARMS.items():
        stage.here.clock.set(start + timedelta(hours=1))
        addressed = None
        if stage.shop.synthetic:
            drawn, addressed = stage.inputs / f"{name}-arms.csv", stage.inputs / f"{name}-addressed.csv"
            stage.run("lab", "assign", name, "--out", drawn)
            stage.run("factory", "resolve", drawn, "--out", addressed)
        amount, purpose = COSTS[name]
        stage.run("lab", "spend", name, amount, "--for", purpose)
        reported, results = stage.inputs / f"{name}-reported.csv", stage.inputs / f"{name}-results.csv"
        write_results(stage.shop, addressed, arms, LOST[name], start, reported)
        stage.here.clock.set(end - timedelta(hours=1))
        stage.run("factory", "pseudonymise", reported, "--out", results)
        stage.run("lab", "record", name, results)


def _conclude(stage: Stage) -> tuple[Scaled, Stopped, Path]:
    """Both pilots as they were decided, and the report of the one that was scaled."""
    stage.here.clock.follow_real_time()
    stage.say(f"The time boxes are over. {GOOD} is analysed, sealed and put before the gate, which admits it.")
    report = stage.run("lab", "analyse", GOOD).report
    stage.say("Does the test itself keep its word? Its control arm is split 2,000 times, and false alarms are counted.")
    stage.run("lab", "aa", GOOD)
    stage.run("lab", "submit", GOOD)
    stage.say("Would the plays run on the Factory's own tables? They are tried there, and no message is written.")
    stage.run("factory", "preflight", GOOD)
    if not stage.shop.synthetic:
        _vouch(stage)
    stage.run("promote", "check", GOOD)
    words = ["--as", OWNER, "--reason", "visits rise well above what a mail costs, and sales do not fall"]
    decided = stage.run("promote", "decide", GOOD, "scale", "--arm", "mens", *words)
    stage.say(f"{BROKEN} looks good as well. The gate refuses it, says why, and it ends with an insight.")
    stage.run("lab", "analyse", BROKEN)
    stage.run("lab", "submit", BROKEN)
    stage.run("factory", "preflight", BROKEN)
    stage.run("promote", "check", BROKEN, expect=Refused.exit_code)
    words = ["--as", OWNER, "--reason", "records were lost in one arm, so the comparison is void", "--insight", INSIGHT]
    stage.run("promote", "decide", BROKEN, "stop", *words)
    return Scaled(GOOD, "scale", "mens", decided.decision.release), Stopped(BROKEN, "stop", INSIGHT), report


def _vouch(stage: Stage) -> None:
    stage.say("The arms are the published test's own, so somebody who knows how they were drawn waives that by name.")
    until = f"{stage.here.clock.now() + timedelta(days=DAYS_VOUCHED):%Y-%m-%d}"
    words = ["--as", OWNER, "--reason", "the arms were drawn at random, as the published test describes"]
    stage.run("promote", "waive", GOOD, "randomised", *words, "--until", until)


def _produce(stage: Stage) -> ScheduledRun:
    stage.say(
        "Factory: the release becomes a Prefect deployment. Its schedule, every minute, is for this demo only, and so "
        "is the cap on contacts that allows it: "
        "it fires while you watch."
    )
    [run] = stage.run("factory", "up", "--once", "--port", "0", "--wait", str(int(RUN_TIMEOUT_S)))
    if run.state != "Completed":
        raise PilotPlantError(
            f"the scheduled run of {run.release} ended as {run.state}: {run.message}",
            where=str(stage.here.factory / "prefect" / "logs"),
        )
    stage.run("factory", "show", run.release)
    return ScheduledRun(run.release, run.state, run.message, run.auto_scheduled)


def _refuse_live(stage: Stage) -> tuple[str, ...]:
    stage.say("A live workspace refuses what the rehearsal attested.")
    stage.run("init", stage.live, root=stage.live)
    [package] = [path for path in (stage.here.factory / "inbox").iterdir() if not path.name.startswith(".")]
    try:
        stage.run("factory", "admit", package, root=stage.live)
    except Refused as refusal:
        said = tuple(str(refusal).splitlines())
        if not stage.quiet:
            emit(False, {}, *said, styled("(refused, as it should be)", "dim"))
        return said
    raise PilotPlantError("a live workspace admitted what a rehearsal attested; report this")
