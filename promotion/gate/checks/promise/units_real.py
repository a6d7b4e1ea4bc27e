"""Were the units real customers, or is this a rehearsal?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.trust.finding import Finding


@check(NeverOff, reads="charter, manifest, workspace, sealed events", blind=True)
def units_real(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Were the units real customers, or is this a rehearsal?"""
    manifest, synthetic = case.candidate.manifest, case.charter.synthetic
    measured = {"synthetic": synthetic, "candidate": manifest.mode, "workspace": case.mode}
    if manifest.mode != case.mode or manifest.workspace != case.room.workspace.id:
        yield finding(
            "failed",
            f"the candidate was sealed in another workspace ({manifest.mode} {manifest.workspace})",
            measured=measured,
            remedy="run the pilot in this workspace",
        )
    elif synthetic and case.mode == "live":
        yield finding(
            "failed",
            "the units are synthetic: what they do says nothing about customers",
            measured=measured,
            remedy="run the pilot on customers; synthetic units are for rehearsals",
        )
    elif not synthetic and (marked := case.engine.made_up(case.candidate.data, rehearsed=case.mode == "live")):
        yield finding(
            "failed",
            f"{marked:,} of the sealed events are made up, and the charter does not say so",
            measured={**measured, "made_up": marked},
            remedy="nothing mends this candidate: find out who recorded them, and run the pilot on customers",
        )
    else:
        told = "synthetic units, in a rehearsal" if synthetic else f"{case.mode} units"
        yield finding("passed", told, measured=measured)
