"""Admission: what verifies, and what the Factory's own policy allows, becomes a release."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from factory.releases.contacts import against_contacts
from factory.releases.inbox import package_folder
from factory.releases.packages import against_holdout, verify
from factory.releases.receipts import REFUSED, lay_out
from factory.releases.releases import list_releases
from factory.state import permits
from factory.state.room import open_factory
from factory.state.settings import inbox, read_settings
from factory.state.tables import ADMITTED, releases, snapshots
from factory.warehouse.snapshots import PUBLISHED
from factory.warehouse.warehouse import contract_of, open_warehouse, tables
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_json
from shared.core.errors import BadInput, Contained, Refused, Undecided
from shared.core.files import scratch_in, settle
from shared.sandbox import check_audience, check_template
from shared.state.ledger import entries, latest
from shared.state.order import TOLERANCE
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import read_attestation
from shared.trust.candidate import open_candidate
from shared.trust.package import ATTESTATION, CANDIDATE, Sealed, Verified

UNIT = "unit"
_NOT_PRINTABLE = {
    "identifier": "is an identifier: its pseudonym says nothing to a customer",
    "personal": "is personal, and never leaves the Factory's tables",
    "restricted": "is restricted without `generalise`, so every value is redacted",
}


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """What became of the packages that were looked at.

    Attributes:
        admitted: releases that are new.
        already: releases that had been admitted before.
        refused: packages by the name of their folder, each with every reason.
    """

    admitted: tuple[str, ...]
    already: tuple[str, ...]
    refused: dict[str, tuple[str, ...]]


def admit(workspace: Workspace, folder: Path | None = None) -> AdmissionResult:
    """Admits one package, or whatever lies in the inbox.

    Raises Refused naming every reason where the one package is refused; the inbox's refusals are in the result,
    and in the ledger once. Either way each package of the inbox has its receipt then, also where a crash had left none.
    """
    room = open_factory(workspace)
    try:
        return _sweep(room) if folder is None else _admit_one(room, folder)
    finally:
        lay_out(room)
        reach(Point.ADMIT_RECEIPTED)


def _admit_one(room: Room, folder: Path) -> AdmissionResult:
    workspace = room.workspace
    known = _admitted_as(room, _digest_in(folder))
    if known is not None and known[1] == read_attestation(folder / ATTESTATION).digest:
        return AdmissionResult((), (known[0],), {})
    if folder.resolve().parent == inbox(workspace).resolve():
        return AdmissionResult((_admit(room, folder),), (), {})
    return AdmissionResult((_bring_in(room, folder),), (), {})


def _sweep(room: Room) -> AdmissionResult:
    admitted: list[str] = []
    already: list[str] = []
    refused: dict[str, tuple[str, ...]] = {}
    place = inbox(room.workspace)
    for folder in sorted(place.iterdir()) if place.is_dir() else []:
        if folder.name.startswith("."):
            continue  # still being written
        known = _admitted_as(room, f"sha256:{folder.name}")
        if known is not None:
            already.append(known[0])
            continue
        outcome = _take(room, folder)
        if isinstance(outcome, str):
            admitted.append(outcome)
        else:
            refused[folder.name] = tuple(outcome)
            _record_refusal(room, folder.name, outcome)
    return AdmissionResult(tuple(admitted), tuple(already), refused)


def _bring_in(room: Room, folder: Path) -> str:
    """Copies a package into the inbox, where it appears only if the copy itself verifies."""
    target = package_folder(room.workspace, _digest_in(folder))
    if target.exists():
        _refuse(_judge(room, folder))
        if read_attestation(target / ATTESTATION).digest != read_attestation(folder / ATTESTATION).digest:
            _refuse(["the inbox holds this candidate under another attestation"], folder)
        return _admit(room, target)
    with scratch_in(target.parent) as scratch:
        for part in (CANDIDATE, ATTESTATION):
            source = folder / part
            if source.is_dir():
                shutil.copytree(source, scratch / part, symlinks=True)
            elif source.exists():
                shutil.copyfile(source, scratch / part, follow_symlinks=False)
        _refuse(_judge(room, scratch), folder)
        settle(scratch, target)
    return _admit(room, target)


def _admit(room: Room, folder: Path) -> str:
    outcome = _take(room, folder)
    if isinstance(outcome, str):
        return outcome
    _record_refusal(room, folder.name, outcome)
    raise _refusal(outcome, folder)


def _take(room: Room, folder: Path) -> str | list[str]:
    """The name of the release that a package of the inbox has become, or why it has not."""
    while True:
        beside = {release.name for release in list_releases(room.workspace)}
        found = _judge(room, folder)
        if not isinstance(found, Verified):
            return found
        if package_folder(room.workspace, found.digest).name != folder.name:
            return [f"its folder is named {folder.name}, and its candidate's digest is {found.digest}"]
        outcome = _record(room, found, beside)
        # Another release was admitted meanwhile: the package is judged beside that one as well.
        if outcome is not None:
            return outcome


def _judge(room: Room, folder: Path) -> Verified | list[str]:
    """The package if it verifies and the Factory's policy allows it, else every reason."""
    found = verify(room.workspace, folder, now=room.now())
    if not isinstance(found, Verified):
        return found
    return against_policy(room.workspace, found) or _against_neighbours(room, found) or found


def _against_neighbours(room: Room, package: Verified) -> list[str]:
    """Why the package does not go with the releases that are there now."""
    with room.read() as connection:
        reasons = _against_books(connection, room, package)
    if reasons:
        return reasons
    with scratch_in(room.workspace.factory / "scratch") as scratch:
        try:
            return against_contacts(room.workspace, package, room.now(), scratch)
        except (Contained, Undecided, BadInput) as error:
            return [f"who would get how many messages cannot be counted: {error.what} ({error.where})"]


def against_policy(workspace: Workspace, package: Sealed) -> list[str]:
    """Every reason why the Factory's own policy would not let this arm become a release; preflight asks it as well."""
    play, population = package.play, package.promise.charter.population
    settings, reasons = read_settings(workspace), against_holdout(workspace, package)
    if play.channel not in settings.channels:
        reasons.append(f"channel `{play.channel}` is not allowed in configs/factory.yaml")
    reasons += _against_source(workspace, package)
    with open_warehouse(workspace, read_only=True) as connection:
        loaded = tables(connection)
    if population not in loaded:
        reasons.append(f"table `{population}` has not been loaded (`pilotplant factory load {population} FILE`)")
    reasons += _against_contract(workspace, population, play.fields)
    try:
        where, policy = f"release {package.release}", settings.without_landlock
        sql, template, variables = package.text(play.audience), package.text(play.template), [UNIT, *play.fields]
        check_audience(sql, loaded, where=f"{where}, {play.audience}", without_landlock=policy)
        place = f"{where}, {play.template}"
        check_template(template, play.subject, variables, where=place, without_landlock=policy)
    except Contained as error:
        reasons.append(f"{error.where}: {error.what}")
    return reasons


def _against_source(workspace: Workspace, package: Sealed) -> list[str]:
    """The Lab says when the snapshot was published that its promise was made on; the Factory knows."""
    source = package.promise.source
    if source is None or workspace.mode == "rehearsal":
        return []
    room = open_factory(workspace)
    with room.read() as connection:
        query = sa.select(snapshots.c.at).where(snapshots.c.id == source.id)
        at = connection.execute(query).scalar_one_or_none()
    if at is None:
        # One that was pruned since is known from the ledger alone.
        published = [entry.at for entry in room.entries(source.id, kinds=[PUBLISHED])]
        if not published:
            return [f"the promise was made on snapshot {source.id}, which this Factory never published"]
        at = published[0]
    if source.published < parse_rfc3339(at) - TOLERANCE:
        return [f"snapshot {source.id} was published at {at}, and not at {rfc3339(source.published)}, as promised"]
    return []


def _against_contract(workspace: Workspace, population: str, fields: tuple[str, ...]) -> list[str]:
    try:
        contract = contract_of(workspace, population)
        key = contract.primary_key
    except BadInput as error:
        return [error.what]
    kinds = {column.name: column.classification for column in contract.columns}
    reasons = []
    if kinds[key] != "identifier":
        reasons.append(f"`{key}` of table `{population}` is not classified `identifier`: no units")
    printable = {column.name for column in contract.columns if column.printable}
    for name in sorted(set(fields) - printable):
        why = _NOT_PRINTABLE[kinds[name]] if name in kinds else "is not in the contract"
        reasons.append(f"field `{name}` of table `{population}` {why}")
    return reasons


def _record(room: Room, package: Verified, beside: set[str]) -> str | list[str] | None:
    """The release's name once it stands in the books, or why it cannot; None where there are others than `beside`."""
    predicate = package.attestation.predicate
    row = {
        "name": package.release,
        "package": package.digest,
        "attestation": package.attestation.digest,
        "pilot": predicate.pilot,
        "arm": package.arm,
        "state": "live",
        "epoch": 1,
        "admitted_at": rfc3339(room.now()),
        "expires": predicate.expires,
    }
    with room.transaction() as connection:
        reasons = _against_books(connection, room, package)
        if reasons:
            return reasons
        if set(connection.execute(sa.select(releases.c.name)).scalars()) != beside:
            return None
        connection.execute(releases.insert().values(row))
        body = {key: row[key] for key in ("package", "attestation", "pilot", "arm", "expires")}
        more = {"ledgers": predicate.ledgers, "nonce": predicate.nonce}
        room.write(connection, ADMITTED, package.release, {**body, **more, permits.IN_USE: True})
        permits.give(room.workspace, package.release)
        reach(Point.ADMIT_WRITTEN)
    reach(Point.ADMIT_RECORDED)
    return package.release


def _against_books(connection: sa.Connection, room: Room, package: Verified) -> list[str]:
    """Why a package that is to be admitted is not a new one."""
    clash = connection.execute(
        sa.select(releases).where(sa.or_(releases.c.name == package.release, releases.c.package == package.digest))
    ).first()
    if clash is not None:
        return [f"release {clash.name} is there already, of package {clash.package}, state {clash.state}"]
    nonce = package.attestation.predicate.nonce
    for entry in entries(connection, room.entries_table, kinds=[ADMITTED]):
        if entry.body.get("nonce") == nonce:
            return [f"its nonce {nonce} was admitted before, with release {entry.subject}: it is a replay"]
    return []


def _record_refusal(room: Room, folder: str, reasons: list[str]) -> None:
    """Writes down why, unless that was the last word on this package already: its receipt says the last one."""
    digest = digest_json(sorted(reasons))
    with room.transaction() as connection:
        before = latest(connection, room.entries_table, folder, REFUSED)
        if before is None or before.body["digest"] != digest:
            room.write(connection, REFUSED, folder, {"digest": digest, "reasons": sorted(reasons)})


def _admitted_as(room: Room, digest: str) -> tuple[str, str] | None:
    """The release of a package with the attestation it was admitted by, or None."""
    with room.read() as connection:
        row = connection.execute(sa.select(releases).where(releases.c.package == digest)).first()
    return (row.name, row.attestation) if row else None


def _digest_in(folder: Path) -> str:
    if not folder.is_dir():
        raise BadInput(
            "there is no such package", where=str(folder), expected="a folder with candidate/ and attestation.json"
        )
    return open_candidate(folder / CANDIDATE).digest


def _refuse(found: Verified | list[str], folder: Path | None = None) -> None:
    if not isinstance(found, Verified):
        raise _refusal(found, folder)


def _refusal(reasons: list[str], folder: Path | None) -> Refused:
    return Refused(
        "the package is refused: " + "; ".join(reasons),
        where=str(folder) if folder else None,
        expected="a package of this workspace's gate, whole and unexpired, signed by keys trusted here",
        remedy="look at configs/trusted_keys (`pilotplant factory trust NAME`), or have the pilot promoted again",
    )
