"""Preflight: what the Factory found when it tried a candidate on its own data, signed for the gate to read.

The report holds facts and no verdict: what was counted, with the digests of what was counted in. Which of them are good
enough is the gate's policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from shared.core.digests import hex_of
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.data.compatibility import Change
from shared.data.quality import QualityReport
from shared.state.workspace import Mode, Workspace
from shared.trust.keys import FACTORY
from shared.trust.signed import Signed, parse

KIND = "preflight"
DAYS_PER_WEEK = 7


class TableState(FrozenModel):
    """A table of the warehouse that the play reads, or whose contract it was promised by.

    Attributes:
        loaded_at: when a file of it came in last; None where none ever did.
        version: drawn by that load; None where the table was loaded before there were versions.
        max_age_days: how old it may be by its own contract; None where that says nothing.
    """

    name: str
    loaded_at: str | None
    version: str | None
    max_age_days: float | None


class Comparison(FrozenModel):
    """A contract that was sealed with the candidate, against the same table's contract in the Factory now.

    Attributes:
        sealed, present: digests of the two contracts, as the Lab sees them; None where there is none.
        changes: between the two, each with its class.
        problem: why they could not be compared.
    """

    table: str
    sealed: str | None
    present: str | None
    changes: tuple[Change, ...] = ()
    problem: str | None = None


class TableQuality(FrozenModel):
    """What a contract, as a suite of rules, says of the Factory's table.

    Attributes:
        contract: the one in force on the table as it is loaded, or the sealed one on what the play will see of it.
        problem: why the suite could not be run.
    """

    table: str
    contract: Literal["present", "sealed"]
    report: QualityReport | None = None
    problem: str | None = None


class PersonalData(FrozenModel):
    """What the rendered messages were searched for, and in how many it was found.

    Attributes:
        fields: the columns that the templates print, each with its classification in the contract.
        pseudonyms: messages with something that looks like a unit's pseudonym.
        addresses: messages with an e-mail address that the template itself does not name.
        looked_for: columns of identifiers and personal data, with their classification; each unit's own value was
            looked for in its message.
        values: of these, the columns that were found, with the number of messages.
    """

    fields: dict[str, str]
    pseudonyms: int
    addresses: int
    looked_for: dict[str, str]
    values: dict[str, int]


class ShadowRun(FrozenModel):
    """One arm's play, run as it would be, with the step that writes left out.

    Attributes:
        release: what the arm would be called.
        refusals: why the Factory, or the box, would not run it; then nothing was counted.
        problem: why it could not be tried.
        audience: units selected; of these `held_out` were left alone and `strangers` are not in the population's table.
        messages: that would have been written, all of them rendered.
        subject_max, body_max: characters of the longest ones.
        holdout_touched: messages to units that are in a holdout, counted apart from the run itself.
        tested: units that the pilot exposed, in all its arms; of these `tested_selected` are in the audience. None in
            reports of before 0.2.
    """

    arm: str
    release: str
    refusals: tuple[str, ...] = ()
    problem: str | None = None
    audience: int = 0
    held_out: int = 0
    strangers: int = 0
    messages: int = 0
    subject_max: int = 0
    body_max: int = 0
    holdout_touched: int = 0
    tested: int | None = None
    tested_selected: int | None = None
    personal: PersonalData | None = None

    @property
    def ran(self) -> bool:
        """Whether there is anything to judge."""
        return not self.refusals and self.problem is None


class HoldoutShares(FrozenModel):
    """The share of all units that nothing touches: as the pilot was frozen, as published last, and as set now."""

    frozen: str
    published: str | None
    present: str


class Neighbour(FrozenModel):
    """A release that may run, beside the arm's own.

    Attributes:
        pilot: whose it is.
        per_week: its occurrences within the coming week.
        units: whom it would write to.
        shared: of these, how many the arm would write to as well.
        simultaneous: of those, how many would get both messages at one and the same moment within that week.
    """

    release: str
    pilot: str
    per_week: int
    units: int
    shared: int
    simultaneous: int


class Contacts(FrozenModel):
    """What the units of an arm would receive within the coming week, from its release and from all others.

    Attributes:
        cap: contacts per unit and week, as configs/factory.yaml has it.
        per_week: the arm's own occurrences within that week.
        units: by the number of contacts, how many units would get so many.
        neighbours: releases that may run; `silent` ones do not, each with the reason.
        taken_by: the package of a release that has the arm's name already.
        problem: why this could not be counted.
    """

    arm: str
    cap: int
    per_week: int = 0
    units: dict[str, int] = Field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    silent: dict[str, str] = Field(default_factory=dict)
    taken_by: str | None = None
    problem: str | None = None

    @property
    def above_cap(self) -> int:
        """Units that would get more than the cap allows."""
        return sum(units for contacts, units in self.units.items() if int(contacts) > self.cap)

    def pressed(self, above_frac_max: float) -> bool:
        """Whether more units than this share of them would get more than the cap allows."""
        return self.above_cap > above_frac_max * sum(self.units.values())

    def clashing(self, simultaneous_frac_max: float) -> dict[str, int]:
        """Releases from which more than this share of the units would get a message at the very same moment."""
        allowed = simultaneous_frac_max * sum(self.units.values())
        return {each.release: each.simultaneous for each in self.neighbours if each.simultaneous > allowed}

    @property
    def most(self) -> int:
        """The most that any unit would get."""
        return max(map(int, self.units), default=0)


class KillSwitch(FrozenModel):
    """The stop of everything, tried in a transaction that was taken back.

    Attributes:
        stops: whether a live release would not have run while it was set.
        resumes: whether, lifted, it would have run again.
        undone: whether everything was afterwards as it had been before.
        stopped: why everything is stopped at present; None where it is not.
        problem: why it could not be tried.
    """

    stops: bool = False
    resumes: bool = False
    undone: bool = False
    stopped: str | None = None
    problem: str | None = None


class PreflightReport(FrozenModel):
    """What the Factory found.

    Attributes:
        candidate, pilot: what was tried.
        workspace, mode: where; a rehearsal's report says so and counts nowhere else.
        at: when, by the workspace's clock.
        software: which version of this software.
        factory: the Factory's ledger at that time (seq and hash), as witness.
        snapshot: the one published last; None where none is.
    """

    schema_version: Literal[1] = 1
    candidate: str
    pilot: str
    workspace: str
    mode: Mode
    at: str
    software: str
    factory: dict[str, Any]
    snapshot: str | None
    tables: tuple[TableState, ...]
    compatibility: tuple[Comparison, ...]
    quality: tuple[TableQuality, ...]
    shadow_runs: tuple[ShadowRun, ...]
    holdout: HoldoutShares
    contacts: tuple[Contacts, ...]
    kill_switch: KillSwitch

    def as_json(self) -> dict[str, Any]:
        """Plain JSON content, as it is signed."""
        return self.model_dump(mode="json")


def reports_folder(workspace: Workspace) -> Path:
    """Where the gate reads reports."""
    return workspace.promotion / "preflight"


def report_path(workspace: Workspace, candidate: str) -> Path:
    """Where the gate reads the latest report on a candidate."""
    return reports_folder(workspace) / f"{hex_of(candidate)}.json"


def public_key_path(workspace: Workspace) -> Path:
    """Where the Factory lays out the public half of the key that signs reports."""
    return workspace.factory / "keys" / f"{FACTORY}.yaml"


def parse_report(raw: bytes, where: str) -> tuple[PreflightReport, Signed]:
    """A report with its signatures, which are not judged here; raises BadInput for any byte that is not as signed."""
    signed = parse(raw, KIND, where=where)
    try:
        return PreflightReport.model_validate(signed.content), signed
    except ValidationError as error:
        raise BadInput(
            "the preflight report is not one that this version can read",
            where=where,
            expected="schema_version 1",
            remedy="run `pilotplant factory preflight` again",
        ) from error
