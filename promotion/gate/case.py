"""A case: everything the gate looks at for one candidate; what cannot be read is never taken for a pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from promotion.gate.preflight import Believed, read_preflight
from promotion.keys.enrolment import enrolled_key
from promotion.registry.nonces import registrations
from promotion.state import REGISTERED
from shared.core.clock import parse_rfc3339
from shared.core.digests import PREFIX
from shared.core.errors import BadInput, Refused, Undecided
from shared.data.contracts import load_contract
from shared.data.quality import QualityReport, run_suite
from shared.engines.answers import Placement, Uncaused
from shared.engines.protocol import Engine
from shared.evidence.model import Evidence
from shared.experiment.charter import Charter, Promise
from shared.experiment.draw import Draw
from shared.experiment.people import People, read_people
from shared.state.chain import Entry, Head
from shared.state.room import Room
from shared.state.workspace import Mode
from shared.trust.candidate import Candidate, Spend
from shared.trust.excerpt import Excerpt
from shared.trust.keys import FACTORY
from shared.trust.registration import Registration

LEDGER_REMEDY = "run `pilotplant promote verify`, and restore the gate's database from a backup"


@dataclass(frozen=True)
class Case:
    """One candidate before the gate.

    Everything is read when a check first asks, and only once. An error while reading is that check's to suffer.
    """

    room: Room
    candidate: Candidate
    now: datetime

    @cached_property
    def engine(self) -> Engine:
        """What answers for the sealed data."""
        from shared.engines.duckdb import DuckDB  # not for those who only list what waits

        return DuckDB()

    @property
    def mode(self) -> Mode:
        """The workspace's mode."""
        return self.room.workspace.mode

    @property
    def digest(self) -> str:
        """The digest under which the intake holds the candidate."""
        return PREFIX + self.candidate.folder.name

    @cached_property
    def tampered(self) -> tuple[str, ...]:
        """What differs from what was sealed."""
        return tuple(self.candidate.tampered(self.digest))

    @cached_property
    def promise(self) -> Promise:
        """The promise in the candidate; raises BadInput where it is not the one its manifest names."""
        promise = self.candidate.promise()
        if promise.digest != self.candidate.manifest.promise:
            raise BadInput("the promise in the candidate is not the one that its manifest names")
        named = self.candidate.manifest.pilot
        if promise.charter.pilot != named:
            raise BadInput(f"the candidate is of pilot {named}, and its charter of {promise.charter.pilot}")
        return promise

    @property
    def charter(self) -> Charter:
        """The charter as frozen."""
        return self.promise.charter

    @cached_property
    def versions(self) -> tuple[Promise, ...]:
        """Every version of the promise, the launched one first and the one in force last; what judges is the last."""
        return (*self.candidate.earlier(), self.promise)

    @property
    def registered_at(self) -> datetime | None:
        """When the gate took the promise in, by its own ledger; None if it never did."""
        return self.taken_in(self.candidate.manifest.promise)

    def taken_in(self, digest: str) -> datetime | None:
        """When the gate took a promise of this pilot in, by its own ledger; None if it never did."""
        taken = (entry for entry in self.registrations if entry.body["promise"] == digest)
        return next((parse_rfc3339(entry.at) for entry in taken), None)

    @cached_property
    def registrations(self) -> list[Entry]:
        """Every promise that was taken in under the pilot's name; raises Refused where the ledger is not whole."""
        problems = self.room.problems()
        if problems:
            raise Refused("the gate's ledger cannot be relied on: " + "; ".join(problems), remedy=LEDGER_REMEDY)
        return self.room.entries(self.candidate.manifest.pilot, kinds=[REGISTERED])

    @cached_property
    def registration(self) -> Registration | None:
        """What the gate's own ledger says of the launched promise, the nonce among it; None under the first rules.

        Raises Undecided where the ledger does not say it.
        """
        if self.promise.rules == 1:
            return None
        launched = self.versions[0].digest
        said = registrations(self.registrations, self.room.workspace.id, self.mode)
        found = next((one for one in said if one.promise == launched), None)
        if found is None:
            raise Undecided(
                "the gate's ledger holds no draw for the pilot as it was launched",
                remedy="launch a new pilot with `pilotplant lab launch`",
            )
        return found

    @cached_property
    def submitted(self) -> Evidence:
        """The evidence as the Lab computed it; only ever compared with the gate's own."""
        return self.candidate.evidence()

    @cached_property
    def evidence(self) -> Evidence:
        """The evidence as the gate computes it from the sealed data; every check judges this one."""
        from shared.evidence.compute import compute  # as above

        covers_until = parse_rfc3339(self.candidate.manifest.covers_until)
        return compute(self.promise, self.candidate.data, covers_until, self.engine)

    @property
    def crossed_early(self) -> bool:
        """Whether the charter agreed on looks, and one of them shows an effect on a primary metric, of any arm."""
        evidence = self.evidence
        return (
            evidence.method != "fixed"
            and evidence.standing == "decisive"
            and any(
                effect.part == "primary" and effect.p_adjusted is not None and effect.p_adjusted <= evidence.alpha
                for effect in evidence.effects
            )
        )

    @cached_property
    def placement(self) -> Placement:
        """Whether every row has the unit, the arm and the time that were promised in this very workspace."""
        nonce = self.registration.nonce if self.registration else None
        return self.engine.place(
            self.candidate.data, Draw.of(self.promise, self.room.workspace.id, nonce), self.charter
        )

    @cached_property
    def uncaused(self) -> Uncaused | None:
        """The outcomes that no arm can have caused; None where arms are drawn by cluster, whose units go together."""
        if self.charter.cluster is not None:
            return None
        drawn = self.charter.assignment == "pilotplant" and self.registration is not None
        nonce = self.registration.nonce if self.registration else None
        draw = Draw.of(self.promise, self.room.workspace.id, nonce) if drawn else None
        return self.engine.uncaused(self.candidate.data, draw, self.promise.metrics)

    @cached_property
    def quality(self) -> QualityReport:
        """The outcomes' contract, as a suite, over the sealed outcomes."""
        contract = load_contract(self.candidate.file(f"contracts/{self.charter.outcomes}.odcs.yaml"))
        return run_suite(contract, self.candidate.data.outcomes)

    @cached_property
    def personal_rows(self) -> dict[str, int]:
        """How many sealed values look like personal data, by `table.column`."""
        contract = load_contract(self.candidate.file(f"contracts/{self.charter.outcomes}.odcs.yaml"))
        return self.engine.personal_rows(self.candidate.data, contract)

    @cached_property
    def preflight(self) -> Believed:
        """What the Factory found when it tried the candidate; raises Undecided where no report can be believed."""
        workspace = self.room.workspace
        return read_preflight(workspace, self.candidate, lambda: enrolled_key(workspace, FACTORY))

    @cached_property
    def spend(self) -> Spend:
        """The costs."""
        return self.candidate.spend()

    @cached_property
    def excerpt(self) -> Excerpt:
        """The Lab's chain from where the gate first heard of the pilot to where the candidate was sealed."""
        return self.candidate.excerpt()

    @property
    def witnessed(self) -> list[Head]:
        """Every head of the Lab's ledger that the gate's own witnessed, with whichever pilot's promise."""
        return [Head(**entry.body["lab"]) for entry in self.room.entries(kinds=[REGISTERED])]

    @cached_property
    def people(self) -> People:
        """Who is known."""
        return read_people(self.room.workspace)


def open_case(room: Room, candidate: Candidate) -> Case:
    """The case of a candidate, now."""
    return Case(room, candidate, room.now())
