"""Contacts: what units receive within a week from all releases, as it is planned and as it was sent.

The cap, the clash and the holdout are asked when a candidate is tried, when its package is admitted, and at every run:
what was free at the preflight may be taken by a release that was admitted since. Plans are counted for the week to
come; a run counts what was sent in the week before, and leaves alone whoever has got enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from factory.delivery.messages import select
from factory.releases.inbox import package_folder
from factory.releases.packages import verify
from factory.releases.releases import list_releases
from factory.state.settings import FactorySettings, read_settings
from shared.core.sql import file_literal
from shared.data.tabular import connect
from shared.state.workspace import Workspace
from shared.trust.package import Sealed, Verified
from shared.trust.preflight import DAYS_PER_WEEK, Contacts, Neighbour

# From these rules on a promise is held to them when its package is admitted.
ADMISSION_RULES = 2


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a release would write to, and when within the coming week.

    Attributes:
        units: a Parquet file with a column `unit`, holdouts left out.
    """

    release: str
    pilot: str
    units: Path
    moments: frozenset[datetime]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The releases that may run, and those that do not, each with the reason."""

    reaches: tuple[Reach, ...]
    silent: dict[str, str]


def neighbours(workspace: Workspace, candidate: str, now: datetime, scratch: Path) -> Neighbours:
    """Every release but those of the candidate itself, with its present audience; one that is paused may be resumed.

    Raises Contained or Undecided where an audience cannot be selected.
    """
    reaches, silent = [], {}
    for release in list_releases(workspace):
        if release.state == "retired":
            silent[release.name] = "it is retired"
            continue
        found = verify(workspace, package_folder(workspace, release.package), now=now)  # as each run asks
        if isinstance(found, list):
            silent[release.name] = "; ".join(found)
        elif release.package != candidate:
            folder = scratch / release.name
            folder.mkdir(parents=True)
            reaches.append(_reach(found, select(workspace, found, folder).rows, now))
    return Neighbours(tuple(reaches), silent)


def contacts_of(workspace: Workspace, arm: Sealed, units: Path, now: datetime, around: Neighbours) -> Contacts:
    """What each of the arm's `units` would receive, counted over all that may run."""
    own = _reach(arm, units, now)
    taken = [r.package for r in list_releases(workspace) if r.name == arm.release and r.package != arm.candidate.digest]
    return Contacts(
        arm=arm.arm,
        cap=read_settings(workspace).contacts_per_week,
        per_week=len(own.moments),
        units=_per_unit(own, around.reaches),
        neighbours=tuple(_neighbour(own, other) for other in around.reaches),
        silent=around.silent,
        taken_by=taken[0] if taken else None,
    )


def uncounted(workspace: Workspace, arm: Sealed, problem: str) -> Contacts:
    """What is left to say where nothing could be counted."""
    return Contacts(arm=arm.arm, cap=read_settings(workspace).contacts_per_week, problem=problem)


def against_contacts(workspace: Workspace, package: Verified, now: datetime, scratch: Path) -> list[str]:
    """Why the package may not become a release beside those that are there now; empty where nothing speaks against it.

    What a signed waiver excuses at the gate is excused here too: a run leaves units above the cap alone all the same.
    Raises Contained or Undecided where an audience cannot be selected.
    """
    if package.promise.rules < ADMISSION_RULES:
        return []
    own = scratch / "own"
    own.mkdir(parents=True)
    units = select(workspace, package, own).rows
    around = neighbours(workspace, package.digest, now, scratch / "neighbours")
    found = contacts_of(workspace, package, units, now, around)
    findings = package.attestation.predicate.findings
    waived = {each.check for each in findings if each.outcome == "waived" and each.arm in {None, package.arm}}
    return list(_objections(found, read_settings(workspace), waived))


def _objections(found: Contacts, settings: FactorySettings, waived: set[str]) -> Iterator[str]:
    if found.pressed(settings.above_cap_frac_max) and "contact_pressure" not in waived:
        others = "".join(f", {each.release} {each.per_week:,}" for each in found.neighbours if each.shared)
        yield (
            f"{found.above_cap:,} units would get up to {found.most:,} messages a week, and {found.cap:,} are allowed "
            f"(this release {found.per_week:,}{others}): end another release by `revoked` in configs/factory.yaml, or "
            "have contacts_per_week raised there"
        )
    if "no_clash" not in waived:
        for release, units in found.clashing(settings.simultaneous_frac_max).items():
            yield (
                f"{units:,} units would get {release} at the same moment: end it by `revoked` in configs/factory.yaml, "
                "or plan another schedule"
            )


def _reach(arm: Sealed, units: Path, now: datetime) -> Reach:
    week = timedelta(days=DAYS_PER_WEEK)
    return Reach(arm.release, arm.promise.charter.pilot, units, arm.play.schedule.between(now, now + week))


def _per_unit(own: Reach, others: tuple[Reach, ...]) -> dict[str, int]:
    counted = [
        f"SELECT unit, {len(each.moments)} AS contacts FROM read_parquet({file_literal(each.units)})"
        for each in (own, *others)
    ]
    with connect() as connection:
        rows = connection.execute(
            f"SELECT contacts, count(*) FROM (SELECT unit, CAST(sum(contacts) AS BIGINT) AS contacts "
            f"FROM ({' UNION ALL '.join(counted)}) SEMI JOIN read_parquet({file_literal(own.units)}) USING (unit) "
            "GROUP BY unit) GROUP BY contacts ORDER BY contacts"
        ).fetchall()
    return {str(contacts): units for contacts, units in rows}


def _neighbour(own: Reach, other: Reach) -> Neighbour:
    with connect() as connection:
        units, shared = connection.execute(
            f"SELECT count(*), count(*) FILTER (unit IN (SELECT unit FROM read_parquet({file_literal(own.units)}))) "
            f"FROM read_parquet({file_literal(other.units)})"
        ).fetchall()[0]
    return Neighbour(
        release=other.release,
        pilot=other.pilot,
        per_week=len(other.moments),
        units=units,
        shared=shared,
        simultaneous=shared if own.moments & other.moments else 0,
    )
