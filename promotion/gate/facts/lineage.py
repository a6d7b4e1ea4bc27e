"""Lineage: may a candidate be judged by the last version of its promise? The gate's own stamps say so, or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from promotion.gate.case import Case
from promotion.registry.nonces import DRAWS, MEASURES
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import digest_json
from shared.experiment.amendment import broken, changes, protected, remeasured, what_measures
from shared.experiment.charter import Promise
from shared.experiment.draw import redrawn, what_draws


@dataclass(frozen=True, slots=True)
class Objection:
    """Why the promise in force does not count.

    Attributes:
        measured, threshold: what was found, and what was asked, as a finding carries them.
    """

    reason: str
    remedy: str
    measured: Any = None
    threshold: Any = None


START_ANEW = "nothing mends this candidate: launch a new pilot under a new name"


def against_versions(case: Case) -> Objection | None:
    """Why the versions are not one line that the gate took in step by step, each while its pilot ran."""
    versions, manifest = case.versions, case.candidate.manifest
    if case.registered_at is None:
        return Objection(
            "the gate never took in this charter, so it may have been written after the results were known",
            "nothing mends this candidate: launch a new pilot with `pilotplant lab launch`",
        )
    last = case.registrations[-1]
    if last.body["promise"] != manifest.promise:
        amended = last.body.get("amends") is not None
        return Objection(
            "another charter was taken in for this pilot after this one; only the last counts",
            f"analyse and submit the amended pilot: pilotplant lab analyse {manifest.pilot}" if amended else START_ANEW,
            measured=manifest.promise,
            threshold=last.body["promise"],
        )
    if problem := broken(versions):
        return Objection(problem, START_ANEW)
    if objection := _against_draws(case):
        return objection
    for before, after in pairwise(versions):
        if objection := _against_step(case, before, after):
            return objection
    return None


def _against_draws(case: Case) -> Objection | None:
    """Why a version draws other arms than the first promise of the pilot's name, or computes effects otherwise.

    The nonce is known since then, so that other arms by it would be chosen ones, and so would other measures of them.
    """
    if case.promise.rules == 1:
        return None
    drawn = case.registrations[0].body.get(DRAWS)
    for version in case.versions:
        if digest_json(what_draws(version)) != drawn:
            moved = redrawn(case.versions[0], version)
            return Objection(
                f"version {version.version} of the charter draws other arms than were registered first"
                + (f": {', '.join(moved)}" if moved else ""),
                START_ANEW,
                measured=what_draws(version),
                threshold=drawn,
            )
        measured = case.registrations[0].body.get(MEASURES)
        moved = remeasured(measured, what_measures(version)) if measured else []
        if moved:
            return Objection(
                f"version {version.version} of the charter measures otherwise than was registered first, when the arms "
                f"were drawn: {', '.join(moved)}",
                START_ANEW,
                measured=what_measures(version),
                threshold=measured,
            )
    return None


def _against_step(case: Case, before: Promise, after: Promise) -> Objection | None:
    earlier, later = case.taken_in(before.digest), case.taken_in(after.digest)
    if earlier is None or later is None or later < earlier:
        return Objection(
            f"the gate did not take in version {before.version} of the charter before version {after.version}",
            START_ANEW,
            measured=rfc3339(earlier) if earlier else None,
            threshold=rfc3339(later) if later else None,
        )
    if later >= before.charter.time_box.ends:
        return Objection(
            f"version {after.version} of the charter was taken in when the time box was over",
            START_ANEW,
            measured=rfc3339(later),
            threshold=rfc3339(before.charter.time_box.ends),
        )
    return None


def against_goalposts(case: Case, first: datetime) -> Objection | None:
    """Why what decides is not what was taken in last before the first exposure."""
    standing = [entry for entry in case.registrations if parse_rfc3339(entry.at) <= first]
    if not standing:
        return Objection(
            "units were exposed before the charter was frozen",
            "nothing mends this candidate: launch first, expose afterwards",
            measured=rfc3339(first),
            threshold=_stamp(case, case.versions[0]),
        )
    # What was taken in last counts even where it is no version: otherwise one of two could be chosen by the results.
    frozen = next((promise for promise in case.versions if promise.digest == standing[-1].body["promise"]), None)
    if frozen is None:
        return Objection(
            "the charter that the gate had last before the first exposure is none of the candidate's versions",
            START_ANEW,
            measured=[promise.digest for promise in case.versions],
            threshold=standing[-1].body["promise"],
        )
    after = (version for version in case.versions if version.version > frozen.version)
    moved = list(dict.fromkeys(change.name for version in after for change in protected(frozen, version)))
    if moved:
        return Objection(
            "after the first exposure the charter was amended in what decides: " + ", ".join(moved),
            START_ANEW,
            measured=moved,
            threshold=[],
        )
    return None


def amendments(case: Case) -> list[dict[str, Any]]:
    """Each amendment with its reason, the gate's stamp and what it changed, for findings."""
    return [
        {
            "version": after.version,
            "at": _stamp(case, after),
            "reason": after.amends.reason if after.amends else "",
            "changes": [change.name for change in changes(before, after)],
        }
        for before, after in pairwise(case.versions)
    ]


def _stamp(case: Case, promise: Promise) -> str | None:
    moment = case.taken_in(promise.digest)
    return rfc3339(moment) if moment else None
