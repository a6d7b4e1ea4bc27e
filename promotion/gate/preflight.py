"""The Factory's preflight report as the gate reads it: believed only by the enrolled key, for this very candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shared.core.clock import parse_rfc3339
from shared.core.digests import hex_of
from shared.core.errors import BadInput, Refused, Undecided
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate
from shared.trust.candidates import digest_named
from shared.trust.keys import PublicKey
from shared.trust.preflight import PreflightReport, parse_report, report_path

SECONDS_PER_DAY = 86_400
# A candidate is tried again within the week that it is decided in: tables are loaded, and releases come and go.
DAYS_MAX = 7.0


@dataclass(frozen=True, slots=True)
class Believed:
    """A report that the enrolled key of the Factory signed, its envelope's digest, and that key's id."""

    report: PreflightReport
    digest: str
    key_id: str

    def age_days(self, now: datetime) -> float:
        """How old it is; below zero where it comes from the future."""
        return (now - parse_rfc3339(self.report.at)).total_seconds() / SECONDS_PER_DAY


def remedy(pilot: str) -> str:
    """The command that makes a new report."""
    return f"for ops: pilotplant factory preflight {pilot}"


def read_preflight(workspace: Workspace, candidate: Candidate, key_of_factory: Callable[[], PublicKey]) -> Believed:
    """The latest report on a candidate, by the enrolled key; raises Undecided with the reason why none is believed."""
    digest, again = digest_named(candidate), remedy(candidate.manifest.pilot)
    path = report_path(workspace, digest)
    if not path.exists():
        raise Undecided("the Factory has not tried this candidate yet", where=str(path), remedy=again)
    try:
        key = key_of_factory()
        report, signed = parse_report(path.read_bytes(), str(path))
        parse_rfc3339(report.at)
    except Refused as error:
        raise Undecided(
            error.what, remedy="pilotplant factory enrol, then: pilotplant promote enrol factory"
        ) from error
    except (BadInput, OSError, ValueError) as error:
        told = error.what if isinstance(error, BadInput) else "it cannot be read"
        raise Undecided(f"the preflight report is of no use: {told}", where=str(path), remedy=again) from error
    if not signed.verified_by([key]):
        raise Undecided(
            "the preflight report is not signed by the Factory's enrolled key", where=str(path), remedy=again
        )
    if report.candidate != digest:
        raise Undecided("the preflight report is on another candidate", where=str(path), remedy=again)
    if (report.workspace, report.mode) != (workspace.id, workspace.mode):
        raise Undecided("the preflight report was made in another workspace", where=str(path), remedy=again)
    return Believed(report, signed.digest, key.key_id)


def verify_report(
    workspace: Workspace, path: Path, keys: list[PublicKey], verified: list[str], problems: list[str]
) -> None:
    """Says whether a report is, to the byte, what the Factory signed; one that was never made is nothing to verify."""
    name = f"preflight report {path.stem[:12]}"
    if not path.exists():
        return
    try:
        report, signed = parse_report(path.read_bytes(), str(path))
    except (BadInput, OSError) as error:
        problems.append(f"{name}: {error.what if isinstance(error, BadInput) else 'it cannot be read'} ({path.name})")
        return
    counting = [key for key in keys if key.role == "factory" and key.mode == workspace.mode and not key.revoked_since]
    if not signed.verified_by(counting):
        problems.append(f"{name}: no key of the Factory that is enrolled and not revoked has signed it")
    elif hex_of(report.candidate) != path.stem:
        problems.append(f"{name}: it is on another candidate")
    else:
        verified.append(f"{name}: signed by the Factory at {report.at}")
