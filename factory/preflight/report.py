"""The preflight of a candidate: each part found out, put into one report, signed, and laid where the gate reads it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from factory.preflight.kill_switch import try_kill_switch
from factory.preflight.shadow import shadow_run
from factory.preflight.tables import compare, quality_of, state_of, tables_read
from factory.releases.contacts import contacts_of, neighbours, uncounted
from factory.releases.enrolment import find_key
from factory.releases.packages import open_arms
from factory.state.room import open_factory
from factory.state.settings import read_settings
from factory.warehouse.warehouse import open_warehouse, tables, versions
from shared.core.clock import rfc3339
from shared.core.digests import digest_bytes, hex_of
from shared.core.errors import PilotPlantError, Refused, Undecided
from shared.core.files import scratch_in
from shared.data.snapshot import latest_id, open_snapshot
from shared.doors.door import ask, asked
from shared.doors.requests import CandidateToTry, Report
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate, open_candidate
from shared.trust.candidates import digest_named
from shared.trust.keys import FACTORY, KeyStore
from shared.trust.package import Sealed
from shared.trust.preflight import KIND, Contacts, HoldoutShares, PreflightReport
from shared.trust.signed import sign

PREFLIGHTED = "preflighted"


@dataclass(frozen=True, slots=True)
class Preflight:
    """A report as it was signed, its envelope's digest, and where the gate reads it."""

    report: PreflightReport
    digest: str
    file: Path


def preflight(workspace: Workspace, name: str, *, passphrase: str | None = None) -> Preflight:
    """Tries a pilot's latest candidate (or the one of a digest) and signs what was found; a later report replaces it.

    Raises BadInput where there is none, Refused where it is not as it was sealed or the Factory has no key, and
    Undecided where tables were loaded meanwhile.
    """
    room = open_factory(workspace)
    with asked(workspace, CandidateToTry(name=name)) as (candidate, folder):
        found = open_candidate(folder / hex_of(candidate))
        arms = open_arms(workspace, found, candidate)
        signer = _signer(workspace, passphrase)
        before = _versions(workspace)
        with scratch_in(workspace.factory / "scratch") as scratch:
            report = _report(room, found, arms, scratch)
    if _versions(workspace) != before:
        raise Undecided("tables were loaded meanwhile", where="the warehouse", remedy="run it again")
    envelope = sign(KIND, report.as_json(), [signer])
    digest = digest_bytes(envelope)
    with room.transaction() as connection:
        room.write(connection, PREFLIGHTED, report.pilot, {"candidate": report.candidate, "report": digest})
    kept_at = ask(workspace, Report(candidate=report.candidate, envelope=envelope))
    return Preflight(report, digest, Path(kept_at))


def _signer(workspace: Workspace, passphrase: str | None) -> CryptoSigner:
    key = find_key(workspace)
    if key is None:
        raise Refused(
            "the Factory has no key to sign its report with",
            where=str(workspace.factory / "keys"),
            remedy="make one and make it known to the gate: pilotplant factory enrol, pilotplant promote enrol factory",
        )
    signer = KeyStore(workspace, passphrase).signer(FACTORY)
    if signer.public_key.keyid != key.key_id:
        raise Refused(
            "the Factory's private key is not the one of its public record",
            where=str(workspace.factory / "keys"),
            expected=f"key {key.key_id}",
            remedy="restore that key from a backup",
        )
    return signer


def _report(room: Room, candidate: Candidate, arms: list[Sealed], scratch: Path) -> PreflightReport:
    workspace, now, digest = room.workspace, room.now(), digest_named(candidate)
    charter = arms[0].promise.charter
    with open_warehouse(workspace, read_only=True) as warehouse:
        read = tables_read(arms, tables(warehouse))
    with room.read() as connection:
        head = room.head(connection)
    compared = [compare(workspace, arms[0], table, warehouse=True) for table in read]
    compared.append(compare(workspace, arms[0], charter.outcomes, warehouse=False))
    exposures = candidate.data.exposures
    tried = []
    for arm in arms:
        folder = scratch / "arms" / arm.arm
        folder.mkdir(parents=True)
        tried.append(shadow_run(workspace, arm, folder, exposures))
    reached = [(arm, units) for arm, (_, units) in zip(arms, tried, strict=True)]
    snapshot = latest_id(workspace)
    return PreflightReport(
        candidate=digest,
        pilot=charter.pilot,
        workspace=workspace.id,
        mode=workspace.mode,
        at=rfc3339(now),
        software=f"pilotplant {version('pilotplant')}",
        factory=head.as_json(),
        snapshot=snapshot,
        tables=tuple(state_of(room, table) for table in read),
        compatibility=tuple(compared),
        quality=tuple(each for table in read for each in quality_of(workspace, arms[0], table, scratch)),
        shadow_runs=tuple(run for run, _ in tried),
        holdout=HoldoutShares(
            frozen=str(arms[0].promise.holdout_frac),
            published=str(open_snapshot(workspace, snapshot).manifest.holdout_frac) if snapshot else None,
            present=str(read_settings(workspace).holdout_frac),
        ),
        contacts=_contacts(room, digest, reached, scratch / "neighbours"),
        kill_switch=try_kill_switch(room),
    )


def _contacts(
    room: Room, candidate: str, reached: list[tuple[Sealed, Path | None]], scratch: Path
) -> tuple[Contacts, ...]:
    workspace, now = room.workspace, room.now()
    try:
        around = neighbours(workspace, candidate, now, scratch)
    except PilotPlantError as error:
        told = f"the audience of a release cannot be told: {error.what} ({error.where})"
        return tuple(uncounted(workspace, arm, told) for arm, _ in reached)
    return tuple(
        uncounted(workspace, arm, "its audience is not known: the shadow run did not come that far")
        if units is None
        else contacts_of(workspace, arm, units, now, around)
        for arm, units in reached
    )


def _versions(workspace: Workspace) -> dict[str, str]:
    with open_warehouse(workspace, read_only=True) as warehouse:
        return versions(warehouse)
